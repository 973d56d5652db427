"""Structured tensors: every operation agrees with the dense array, and none writes it out.

Oracles: `written_out`, einsum with identity matrices in the place of deltas; NumPy on its matrix; closed
formulas where the dense array would not fit into memory. Random tensors are seeded by their number.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import einderiv as ed
from einderiv.errors import DataError, DimensionError, ResourceLimitError
from einderiv.programs.structured import StructuredTensor, Term
from tests.structured_cases import (
    CORE,
    each_random,
    matrix,
    near,
    outer,
    peak,
    random_tensor,
    refusal,
    ridge,
    same_core,
    written_out,
)

# ---------------------------------------------------------------- agreement with the dense array


def test_dense_is_the_sum_of_factors_and_deltas() -> None:
    each_random(lambda t, A, rng: near(t.dense(), A.reshape(t.shape)))


def test_diagonal_is_that_of_the_matrix() -> None:
    def check(t: StructuredTensor, A: np.ndarray, rng: Any) -> None:
        rows = t.shape[: t.matrix_split]
        if rows == t.shape[t.matrix_split :]:
            near(t.diagonal(), np.diagonal(A).reshape(rows))

    each_random(check)


def test_product_with_an_array_sums_over_the_columns() -> None:
    def check(t: StructuredTensor, A: np.ndarray, rng: Any) -> None:
        rows, columns = t.shape[: t.matrix_split], t.shape[t.matrix_split :]
        more = tuple(int(x) for x in rng.integers(1, 3, size=rng.integers(0, 3)))
        v = rng.standard_normal(columns + more)
        near(t @ v, (A @ v.reshape(prod(columns), prod(more))).reshape(rows + more))

    each_random(check)


def test_product_from_the_left_sums_over_the_rows() -> None:
    def check(t: StructuredTensor, A: np.ndarray, rng: Any) -> None:
        rows, columns = t.shape[: t.matrix_split], t.shape[t.matrix_split :]
        more = tuple(int(x) for x in rng.integers(1, 3, size=rng.integers(0, 3)))
        v = rng.standard_normal(more + rows)
        near(v @ t, (v.reshape(prod(more), prod(rows)) @ A).reshape(more + columns))

    each_random(check)


def test_transposed_is_the_matrix_transposed() -> None:
    def check(t: StructuredTensor, A: np.ndarray, rng: Any) -> None:
        near(t.T.dense().reshape(A.shape[::-1]), A.T)
        assert t.T.T.shape == t.shape and t.T.T.matrix_split == t.matrix_split

    each_random(check)


def test_sums_and_multiples_are_those_of_the_arrays() -> None:
    def check(t: StructuredTensor, A: np.ndarray, rng: Any) -> None:
        other = random_tensor(int(rng.integers(10**6, 10**7)), t.shape)
        other = StructuredTensor(t.shape, other.terms, np.float64, t.matrix_split)
        A, B = A.reshape(t.shape), written_out(other)
        t = StructuredTensor(t.shape, t.terms, np.float64, t.matrix_split)
        made = [
            t + other,
            t - other,
            -t,
            3 * t,
            t / 4,
            t + 2,
            2 - t,
            np.float64(3) * t,
            sum([t, t]),
        ]
        wanted = [A + B, A - B, -A, 3 * A, A / 4, A + 2, 2 - A, 3 * A, 2 * A]
        for found, array in zip(made, wanted, strict=True):
            assert isinstance(found, StructuredTensor)
            near(found.dense(), array)
        for found, array in ((t + B, A + B), (B + t, A + B), (t - B, A - B), (B - t, B - A)):
            assert isinstance(found, StructuredTensor) == (not t.ndim)  # then B is a number
            near(np.asarray(found), array)

    each_random(check)


def test_product_of_two_tensors_stays_structured() -> None:
    def check(t: StructuredTensor, A: np.ndarray, rng: Any) -> None:
        made = t @ t.T
        assert isinstance(made, StructuredTensor)
        near(made.dense().reshape(A.shape[0], A.shape[0]), A @ A.T)

    each_random(check)


def test_scipy_form_multiplies_as_the_matrix_does() -> None:
    def check(t: StructuredTensor, A: np.ndarray, rng: Any) -> None:
        form = t.to_scipy()
        assert form.shape == A.shape
        x, y = rng.standard_normal(A.shape[1]), rng.standard_normal(A.shape[0])
        near(form @ x, A @ x)
        near(form.T @ y, A.T @ y)
        X = rng.standard_normal((A.shape[1], 2))
        near(form @ X, A @ X)

    each_random(check)


# ---------------------------------------------------------------- never dense


def test_bytes_are_those_of_the_factors_each_array_once() -> None:
    t, M, x = outer(40)
    assert t.nbytes == M.nbytes + x.nbytes
    assert (t + t.T).nbytes == t.nbytes
    assert same_core().nbytes == 32  # the dense array takes 2,880,000


def test_a_repeated_block_is_multiplied_and_solved_without_the_matrix() -> None:
    n = 10**6  # the dense array would take 32 TB
    t = same_core(n)
    v = np.random.default_rng(1).standard_normal((n, 2))
    near(t @ v, v @ CORE)
    near(t.diagonal(), np.broadcast_to([2.0, 3.0], (n, 2)))
    near(t.solve(v), np.linalg.solve(CORE, v.T).T)
    assert peak(lambda: t.solve(v)) <= 6 * v.nbytes


def test_outer_structure_is_multiplied_and_has_its_diagonal_in_its_own_size() -> None:
    n = 300
    t, M, x = outer(n)  # the dense array would take 65 GB
    V = np.random.default_rng(2).standard_normal((n, n))
    near(t @ V, np.outer(M @ (V @ x), x))
    near(V @ t, np.outer(M.T @ (V @ x), x))
    near(t.diagonal(), np.outer(np.diagonal(M), x * x))
    assert peak(lambda: t @ V) < 2 * V.nbytes
    assert peak(t.diagonal) < 2 * V.nbytes


def test_one_term_that_fills_the_tensor_is_written_without_a_second_array() -> None:
    t, _, _ = outer(30)
    dense = t.dense()
    assert peak(t.dense) < 1.1 * dense.nbytes


# ---------------------------------------------------------------- forms


def test_deltas_become_sparse_by_their_shape_and_the_rest_an_operator() -> None:
    x = np.arange(1.0, 4.0)
    diagonal = StructuredTensor((3, 3), [Term(1.0, ((x, (0,)),), (0, 0))], np.float64)
    inner = StructuredTensor((2, 3, 2, 3), [Term(1.0, ((CORE, (0, 2)),), (0, 1, 2, 1))], np.float64)
    assert isinstance(diagonal.to_scipy(), scipy.sparse.dia_array)
    assert isinstance(same_core(3).to_scipy(), scipy.sparse.bsr_array)
    assert isinstance(inner.to_scipy(), scipy.sparse.csr_array)
    assert isinstance(outer(3)[0].to_scipy(), scipy.sparse.linalg.LinearOperator)
    assert same_core(3).to_scipy().nnz == 12
    assert inner.to_scipy().nnz == 12


def test_sparse_form_solves_with_scipy() -> None:
    t = same_core(50)
    b = np.random.default_rng(7).standard_normal(100)
    near(scipy.sparse.linalg.spsolve(t.to_scipy().tocsc(), b), t.solve(b))


def test_operator_form_serves_conjugate_gradients() -> None:
    t, _, _ = ridge(10, 40)
    b = np.ones(40)
    x, information = scipy.sparse.linalg.cg(t.to_scipy(), b, rtol=1e-12)
    assert information == 0
    np.testing.assert_allclose(x, t.solve(b), rtol=1e-8)  # CG stops at a residual of 1e-12


def test_operator_of_complex_factors_has_their_adjoint() -> None:
    rng = np.random.default_rng(8)
    u, w, y = rng.standard_normal((3, 4)) + 1j * rng.standard_normal((3, 4))
    t = StructuredTensor((4, 4), [Term(1j, ((u, (0,)), (w, (1,))), (0, 1))], np.complex128)
    near(t.to_scipy().rmatvec(y), np.conj(1j * np.outer(u, w)).T @ y)
    near(t.to_scipy().matvec(y), 1j * np.outer(u, w) @ y)


def test_numpy_takes_the_tensor_for_its_dense_array() -> None:
    t = same_core(3)
    near(np.asarray(t), written_out(t))
    assert np.asarray(t, dtype=np.float32).dtype == np.float32
    near(np.sum(t), written_out(t).sum())
    with pytest.raises(ValueError, match="only by writing it out"):
        np.array(t, copy=False)


def test_repr_says_the_pattern_and_both_sizes() -> None:
    assert repr(same_core()) == (
        "<StructuredTensor (300, 2, 300, 2) float64: delta[i,k]*core[j,l], 32 bytes, dense 2,880,000>"
    )
    assert repr(outer(4)[0]) == (
        "<StructuredTensor (4, 4, 4, 4) float64: A[i,k]*B[j]*B[l], 160 bytes, dense 2,048>"
    )
    assert repr(ridge(2, 3)[0]) == (
        "<StructuredTensor (3, 3) float64: A[a,i]*B[a]*A[a,j] + 0.5*delta[i,j], 64 bytes, dense 72>"
    )
    ones = StructuredTensor((2, 2), [Term(-1.0, (), (0, 1))], np.float64)
    assert "-ones[i]*ones[j]" in repr(ones)
    assert ": 0, 0 bytes" in repr(StructuredTensor((2, 2), [], np.float64))
    assert "+ 2 more" in repr(sum([same_core()] * 6))


def test_flat_arrays_are_taken_where_the_shape_of_the_columns_does_not_fit() -> None:
    t = same_core(3)
    v = np.arange(12.0).reshape(6, 2)
    A = matrix(t)
    near(t @ v, A @ v)
    near(t @ v[:, 0], A @ v[:, 0])
    near(v.T @ t, v.T @ A)
    near(t.solve(v), np.linalg.solve(A, v))


def test_a_jacobian_splits_where_it_is_told() -> None:
    x = np.array([1.0, 2.0])
    t = StructuredTensor((3, 3, 2), [Term(1.0, ((x, (1,)),), (0, 0, 1))], np.float64)  # d(Wx)/dW
    assert t.matrix_split == 1
    W = np.arange(6.0).reshape(3, 2)
    near(t @ W, W @ x)
    near(np.ones(3) @ t, np.outer(np.ones(3), x))
    swapped = StructuredTensor((3, 2, 3), [Term(1.0, ((x, (1,)),), (0, 1, 0))], np.float64, rows=2)
    near(swapped @ np.ones(3), np.outer(np.ones(3), x))


# ---------------------------------------------------------------- memory and dtypes


def test_results_share_no_memory_with_factors_or_arguments() -> None:
    v = np.arange(3.0)
    identity = StructuredTensor((3, 3), [Term(1.0, (), (0, 0))], np.float64)
    plain = StructuredTensor((2, 2), [Term(1.0, ((CORE, (0, 1)),), (0, 1))], np.float64)
    assert not np.shares_memory(identity @ v, v)
    assert not np.shares_memory(identity.solve(v), v)
    assert not np.shares_memory(plain.dense(), CORE)
    assert not np.shares_memory(plain.diagonal(), CORE)
    assert not np.shares_memory(plain.to_scipy() @ np.ones(2), CORE)


def test_single_precision_stays_and_complex_numbers_widen() -> None:
    core = CORE.astype(np.float32)
    t = StructuredTensor((3, 2, 3, 2), [Term(1.0, ((core, (1, 2)),), (0, 1, 0, 2))], np.float32)
    v = np.ones((3, 2), np.float32)
    made = [
        t.dense(),
        t.diagonal(),
        t @ v,
        v @ t,
        t.solve(v),
        (2 * t).dense(),
        t.to_scipy() @ v.ravel(),
    ]
    assert [array.dtype for array in made] == [np.float32] * 7
    assert (t * 1j).dtype == np.complex64
    assert (t @ np.ones((3, 2))).dtype == np.float64


def test_axes_of_extent_zero_are_computed_with() -> None:
    t = same_core(0)
    empty = np.ones((0, 2))
    assert t.dense().shape == (0, 2, 0, 2)
    assert t.diagonal().shape == (t @ empty).shape == t.solve(empty).shape == (0, 2)
    assert t.to_scipy().shape == (0, 0)
    assert (same_core(3) @ np.ones((3, 2, 0))).shape == (3, 2, 0)
    assert same_core(3).solve(np.ones((3, 2, 0))).shape == (3, 2, 0)
    t, _, _ = ridge(0, 3)
    near(t.solve(np.ones(3)), [2.0, 2.0, 2.0])


# ---------------------------------------------------------------- refusals


def test_an_array_that_does_not_fit_is_refused_with_both_shapes() -> None:
    assert refusal(lambda: same_core(3) @ np.ones((3, 3)), DimensionError) == (
        "shapes do not fit in @\n"
        "  columns of the tensor: (3, 2), the array: (3, 3)\n"
        "  pass an array with the axes (3, 2), or a flat one of 6 entries; .T swaps rows and columns"
    )
    assert refusal(lambda: ridge(2, 3)[0].solve([1, 2]), DimensionError) == (
        "shapes do not fit in solve\n"
        "  rows of the tensor: (3,), the array: (2,)\n"
        "  pass an array with the axes (3,); .T swaps rows and columns"
    )
    assert "in +" in refusal(lambda: same_core(3) + same_core(2), DimensionError)
    assert "in @" in refusal(lambda: same_core(3) @ same_core(2), DimensionError)
    assert "in @" in refusal(lambda: np.ones(5) @ same_core(3), DimensionError)
    assert refusal(lambda: ridge(2, 3)[0] + np.ones(2), DimensionError) == (
        "shapes do not fit in +\n"
        "  shape of the tensor: (3, 3), the array: (2,)\n"
        "  pass an array that broadcasts to (3, 3)"
    )


def test_a_tensor_that_is_not_square_is_refused() -> None:
    t = StructuredTensor((2, 3), [Term(1.0, (), (0, 1))], np.float64)
    assert refusal(lambda: t.solve([1, 2]), DimensionError) == (
        "a 2 x 3 matrix has no inverse\n"
        "  rows of shape (2,), columns of shape (3,)\n"
        "  least squares: scipy.sparse.linalg.lsqr with .to_scipy()"
    )
    assert refusal(t.diagonal, DimensionError) == (
        "a tensor of shape (2, 3) has no diagonal\n"
        "  its rows have shape (2,), its columns (3,)\n"
        "  a diagonal needs equal shapes; rows= of the constructor says where they split"
    )


def test_what_would_not_fit_into_memory_is_refused() -> None:
    M = np.ones((120, 120))  # two Kronecker products: no way but the dense one
    term = Term(1.0, ((M, (0, 2)), (M, (1, 3))), (0, 1, 2, 3))
    t = StructuredTensor((120,) * 4, [term, term], np.float64)
    text = refusal(lambda: t.solve(np.ones((120, 120))), ResourceLimitError)
    assert text == (
        "solving with a 14,400 x 14,400 matrix of this structure needs blocks of 1,658,880,000 bytes\n"
        "  the limit is 1,073,741,824 bytes\n"
        "  solve iteratively: scipy.sparse.linalg.cg or gmres with .to_scipy()"
    )
    large = StructuredTensor((10**8, 10**8), [Term(1.0, (), (0, 0))], np.float64)
    assert refusal(large.dense, ResourceLimitError) == (
        "a dense array of shape (100000000, 100000000) needs 80,000,000,000,000,000 bytes\n"
        "  there is not as much memory\n"
        "  keep the tensor structured: @ v, .diagonal(), .solve(b) and .to_scipy() never write it out"
    )


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (lambda t: t[0], "a StructuredTensor has no items\n  index the dense array: .dense()"),
        (lambda t: list(t), "a StructuredTensor has no items\n  iterate over .dense()"),
        (lambda t: t * t, "a StructuredTensor is multiplied by numbers, not by StructuredTensor"),
        (lambda t: t * np.ones(2), "a StructuredTensor is multiplied by numbers, not by ndarray"),
        (lambda t: np.ones(2) * t, "a StructuredTensor is multiplied by numbers, not by ndarray"),
        (lambda t: t / "x", "a StructuredTensor is divided by numbers, not by str"),
        (lambda t: t * 10**400, "a number of 1329 bits is too large for a float"),
        (lambda t: t @ "x", "the right operand of @ is no array"),
        (lambda t: t.solve([[1], [2, 3]]), "the right side is no array"),
    ],
)
def test_misuse_is_refused_with_a_way_out(run: Callable[[Any], Any], text: str) -> None:
    assert refusal(lambda: run(same_core(3)), DataError).startswith(text)


def test_checked_construction_compares_every_extent() -> None:
    term = Term(1.0, ((CORE, (0, 1)),), (0, 1))
    assert refusal(lambda: StructuredTensor.checked((2, 3), [term]), DimensionError) == (
        "label 1 of term 0 has two extents\n"
        "  axis 1 of the tensor is 3, axis 1 of factor 0 is 2\n"
        "  give the axes different labels, or arrays of one extent"
    )
    short = Term(1.0, ((CORE, (0,)),), (0, 1))
    assert refusal(lambda: StructuredTensor.checked((2, 2), [short]), DimensionError) == (
        "labels of factor 0 of term 0: (0,)\n"
        "  the array has 2 axes\n"
        "  give one whole number of 0 or more for each axis"
    )
    assert "rows=3, the tensor has 2 axes" in refusal(
        lambda: StructuredTensor.checked((2, 2), [term], rows=3), DimensionError
    )
    good = StructuredTensor.checked((2, 2), [Term(2, (([[1, 2], [3, 4]], (1, 0)),), (0, 1))])
    near(good.dense(), [[2.0, 6.0], [4.0, 8.0]])


def test_factors_may_be_numpy_scalars_and_views() -> None:
    X = np.arange(24.0).reshape(4, 6)[::2, ::-1]
    term = Term(2.0, ((np.float64(3), ()), (X.T, (1, 2))), (0, 1, 0, 2))
    t = StructuredTensor((5, 6, 5, 2), [term], np.float64)
    near(t.dense(), written_out(t))
    near(t @ np.ones((5, 2)), 6 * np.broadcast_to(X.sum(0), (5, 6)))
    assert t.nbytes == 8 + X.nbytes


def test_a_number_before_a_sum_does_not_make_it_dense() -> None:
    e = ed.parse("f = (T[i,j] - U[i,k]*V[j,k])*(T[i,j] - U[i,l]*V[j,l]) + c*U[i,k]*U[i,k]")
    H = e.hessian("U")
    rng = np.random.default_rng(6)
    arrays = {
        "T": rng.normal(size=(9, 8)),
        "U": rng.normal(size=(9, 2)),
        "V": rng.normal(size=(8, 2)),
    }
    found = ed.compile(H, structured=True)(arrays, c=0.5)
    assert isinstance(found, ed.StructuredTensor)
    assert np.allclose(found.dense(), ed.compile(H)(arrays, c=0.5))
