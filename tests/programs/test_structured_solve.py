"""Linear systems of structured tensors: right, and solved where the dense matrix would not fit into memory.

Oracles: NumPy on the dense matrix of random tensors; elsewhere the product with the solution, by formulas.
"""

from __future__ import annotations

import numpy as np

from einderiv.errors import DataError
from einderiv.programs.structured import StructuredTensor, Term
from tests.structured_cases import (
    CORE,
    SEEDS,
    matrix,
    near,
    outer,
    peak,
    random_tensor,
    refusal,
    ridge,
    same_core,
)


def test_solve_inverts_the_product() -> None:
    solved = 0
    for seed in SEEDS:
        t = random_tensor(seed)
        A = matrix(t)
        if A.shape[0] != A.shape[1] or np.linalg.cond(A) > 1e6:
            continue
        solved += 1
        rng = np.random.default_rng(seed)
        b = rng.standard_normal((*t.shape[: t.matrix_split], 2))
        flat = b.reshape(A.shape[0], 2)
        wanted = np.linalg.solve(A, flat)
        near(t.solve(flat), wanted.reshape(np.shape(t.solve(flat))))
        near(t.solve(b), wanted.reshape(*t.shape[t.matrix_split :], 2))
    assert solved >= 50


def test_a_diagonal_plus_a_low_rank_is_solved_by_a_small_matrix() -> None:
    n = 20_000  # the dense matrix would take 3.2 GB
    t, X, D = ridge(30, n)
    b = np.random.default_rng(3).standard_normal((n, 2))
    x = t.solve(b)
    near(X.T @ (D[:, None] * (X @ x)) + x / 2, b)
    assert peak(lambda: t.solve(b)) < 8 * X.nbytes


def test_outer_structure_plus_a_multiple_of_the_identity_is_solved_by_a_small_matrix() -> None:
    n = 120
    t, M, x = outer(n)  # the dense matrix would take 1.7 GB
    identity = StructuredTensor(t.shape, [Term(2.0, (), (0, 1, 0, 1))], np.float64)
    b = np.random.default_rng(4).standard_normal((n, n))
    V = (t + identity).solve(b)
    near(np.outer(M @ (V @ x), x) + 2 * V, b)


def test_blocks_plus_a_low_rank_are_solved_by_a_small_matrix() -> None:
    n, rng = 7_000, np.random.default_rng(5)
    g = rng.standard_normal((n, 2))
    t = same_core(n)  # the dense matrix would take 1.6 GB
    t = t + StructuredTensor(t.shape, [Term(1.0, ((g, (0, 1)), (g, (2, 3))), (0, 1, 2, 3))], float)
    b = rng.standard_normal((n, 2))
    x = t.solve(b)
    near(x @ CORE + g * np.sum(g * x), b)


def test_a_factorisation_s_hessian_is_solved_by_a_matrix_of_its_rank_squared() -> None:
    n, k, rng = 4_000, 3, np.random.default_rng(9)
    V = rng.standard_normal((n, k))  # the dense matrix would take 1.2 GB
    C = V.T @ V + 5 * np.eye(k)
    terms = [
        Term(1.0, ((C, (1, 3)),), (0, 1, 0, 3)),
        Term(0.5, ((V, (0, 3)), (V, (2, 1))), (0, 1, 2, 3)),  # V_il V_kj
    ]
    t = StructuredTensor((n, k, n, k), terms, np.float64)
    b = rng.standard_normal((n, k))
    x = t.solve(b)
    near(x @ C + V @ (V.T @ x).T / 2, b)


def test_a_kronecker_product_is_solved_factor_by_factor() -> None:
    n, rng = 200, np.random.default_rng(10)
    A, B = (rng.standard_normal((n, n)) + n * np.eye(n) for _ in range(2))
    term = Term(2.0, ((A, (0, 2)), (B, (3, 1))), (0, 1, 2, 3))  # A_ik B_lj: 13 GB
    t = StructuredTensor((n,) * 4, [term], np.float64)
    b = rng.standard_normal((n, n))
    near(2 * A @ t.solve(b) @ B, b)


def test_different_blocks_are_solved_one_by_one() -> None:
    n, rng = 5_000, np.random.default_rng(6)
    blocks = rng.standard_normal((n, 3, 3)) + 4 * np.eye(3)
    t = StructuredTensor((3, n, n, 3), [Term(1.0, ((blocks, (0, 1, 2)),), (1, 0, 0, 2))], float)
    b = rng.standard_normal((3, n))
    near(t.solve(b), np.linalg.solve(blocks, b.T[..., None])[..., 0])


def test_a_singular_diagonal_does_not_stop_the_sum_with_a_low_rank() -> None:
    e = np.array([1.0, 0.0, 0.0, 0.0])
    d = np.array([0.0, 1.0, 2.0, 4.0])
    terms = [Term(1.0, ((d, (0,)),), (0, 0)), Term(3.0, ((e, (0,)), (e, (1,))), (0, 1))]
    t = StructuredTensor((4, 4), terms, np.float64)
    near(t.solve(np.ones(4)), [1 / 3, 1, 1 / 2, 1 / 4])


def test_a_singular_tensor_is_refused_with_the_reason() -> None:
    zeros = StructuredTensor(
        (3, 3), [Term(1.0, ((np.array([1.0, 0.0, 2.0]), (0,)),), (0, 0))], np.float64
    )
    assert refusal(lambda: zeros.solve(np.ones(3)), DataError) == (
        "a matrix to be solved with is singular\n"
        "  entry 1 of its diagonal is 0\n"
        "  check the tensor, or add a multiple of the identity"
    )
    assert refusal(lambda: outer(120)[0].solve(np.ones((120, 120))), DataError) == (
        "a matrix to be solved with is singular\n"
        "  it is a Kronecker product of matrices that are not square\n"
        "  check the tensor, or add a multiple of the identity"
    )
    flat = StructuredTensor((2, 2), [Term(1.0, ((np.ones((2, 2)), (0, 1)),), (0, 1))], np.float64)
    assert "a block of it has no inverse" in refusal(lambda: flat.solve(np.ones(2)), DataError)
    nothing = StructuredTensor((2, 2), [], np.float64)
    assert "it is zero" in refusal(lambda: nothing.solve(np.ones(2)), DataError)
