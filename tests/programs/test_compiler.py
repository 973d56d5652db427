"""What the compiler makes of terms: forms, loops, memory; and that the numbers stay right."""

import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

import einderiv as ed
from einderiv.programs import program as steps
from einderiv.programs.backends import numpy_functions
from einderiv.programs.compiler.order import best_tree, contraction_order

FACTORISATION = "f = (T[i,j] - U[i,k]*V[j,k])*(T[i,j] - U[i,l]*V[j,l])"
REGRESSION = "(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])"
LOGISTIC = "f = sum[i](softplus(-y[i]*(X[i,j]*w[j])))"

rng = np.random.default_rng(20)


def planned(e: Any, **shapes: tuple[int, ...]) -> Any:
    return ed.compile(e, shapes=shapes)


def shapes_of(p: Any, kind: type = steps.Contract) -> set[tuple[Any, ...]]:
    return {step.shape for step in p.program.instructions if isinstance(step, kind)}


# ---------------------------------------------------------------- forms


def test_gradient_of_a_factorisation_makes_no_residual() -> None:
    e = ed.parse(FACTORISATION)
    p = planned(e.grad("U"), T=(300, 200), U=(300, 5), V=(200, 5))
    assert all(set(shape) != {"i", "j"} for shape in shapes_of(p) | shapes_of(p, steps.Combine))


def test_value_keeps_the_residual_and_its_digits() -> None:
    e = ed.parse(FACTORISATION)
    p = ed.compile([e, e.grad("U")])
    U, V = rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
    value, gradient = p(T=U @ V.T + 1e-9, U=U, V=V)
    assert value == pytest.approx(1200e-18, rel=1e-5)
    assert np.allclose(gradient, -2e-9 * V.sum(0), rtol=1e-5)


def test_matrix_plus_its_transpose_meets_the_vector_first() -> None:
    p = planned(ed.parse("x[i]*A[i,j]*x[j]").grad("x"), A=(500, 500), x=(500,))
    assert not shapes_of(p, steps.Combine) & {("i", "i"), ("j", "j")}
    A, x = rng.normal(size=(500, 500)), rng.normal(size=500)
    assert np.allclose(p(A=A, x=x), (A + A.T) @ x)


def test_logistic_hessian_is_one_symmetric_product() -> None:
    p = planned(ed.parse(LOGISTIC).hessian("w"), X=(300, 100), w=(100,), y=(300,))
    last = [s for s in p.program.instructions if isinstance(s, steps.Contract)][-1]
    assert last.operands[0] == last.operands[1]
    X, w, y = rng.normal(size=(300, 100)), rng.normal(size=100), rng.normal(size=300)
    s = 1 / (1 + np.exp(y * (X @ w)))
    H = p(X=X, w=w, y=y)
    assert np.allclose(H, (X.T * (s * (1 - s) * y * y)) @ X)
    assert np.array_equal(H, H.T)


@pytest.mark.parametrize("n", [5, 384, 500, 1030])
def test_half_of_a_symmetric_hessian_is_computed(n: int) -> None:
    e = ed.parse("x[i]*B[j,i]*A[j,k]*B[k,l]*x[l]").hessian("x")
    A, B = rng.normal(size=(n, n)), rng.normal(size=(n, n))
    p = planned(e, A=(n, n), B=(n, n))
    assert ("symmetric_product" in p.source) == (n >= 384)  # below, one product is faster
    H, truth = p(A=A, B=B), B.T @ (A + A.T) @ B
    assert np.allclose(H, truth, rtol=1e-9, atol=1e-9 * np.abs(truth).max())
    half = n // 2
    assert n < 384 or np.array_equal(H[half:, :half], H[:half, half:].T)


def test_weights_that_may_be_negative_get_no_root() -> None:
    p = planned(ed.parse("H[j,k] = X[i,j]*d[i]*X[i,k]"), X=(300, 100), d=(300,))
    assert "sqrt" not in p.source
    X, d = rng.normal(size=(300, 100)), rng.normal(size=300)
    assert np.allclose(p(X=X, d=d), (X.T * d) @ X)


def test_all_factors_of_a_decomposition_share_two_products_with_the_tensor() -> None:
    e = ed.parse("f = (T[i,j,k] - A[i,r]*B[j,r]*C[k,r])*(T[i,j,k] - A[i,s]*B[j,s]*C[k,s])")
    size = {"T": (50, 40, 30), "A": (50, 4), "B": (40, 4), "C": (30, 4)}
    p = planned(list(e.grad("A", "B", "C").values()), **size)
    (tensor,) = (step.target for step in p.program.inputs if step.name == "T")
    products = [
        s for s in p.program.instructions if isinstance(s, steps.Contract) and tensor in s.operands
    ]
    assert len(products) == 2


@pytest.mark.parametrize("wins", [True, False])
@pytest.mark.parametrize(
    "shape", [(700, 600, 4), (703, 601, 3), (9, 600, 4), (60_007, 9, 8), (0, 60, 4)]
)
def test_products_with_a_thin_operand_are_right_in_blocks(
    shape: tuple[int, int, int], wins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_functions, "blocks_win", lambda: wins)
    n, m, k = shape
    T, V, W = rng.normal(size=(n, m)), rng.normal(size=(m, k)), rng.normal(size=(n, k))
    for A in (T, np.asfortranarray(T), T.astype(np.float32)):
        assert np.allclose(numpy_functions.thin_product(A, V), A @ V, rtol=1e-5, atol=1e-3)
        assert np.allclose(numpy_functions.long_product(A.T, W), A.T @ W, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("text", "truth", "helper"),
    [
        ("C[i,k] = T[i,j]*V[j,k]", lambda T, V: T @ V, "thin_product"),
        ("C[k,i] = T[i,j]*V[j,k]", lambda T, V: (T @ V).T, "thin_product"),
        ("C[i,j] = T[a,i]*V[a,j]", lambda T, V: T.T @ V, "long_product"),
    ],
    ids=["rows", "columns", "sum"],
)
def test_thin_operands_are_seen_by_their_extents(text: str, truth: Any, helper: str) -> None:
    big = (60_000, 9) if helper == "long_product" else (700, 600)
    T, V = rng.normal(size=big), rng.normal(size=(big[0] if "V[a" in text else big[1], 4))
    p = planned(ed.parse(text), T=T.shape, V=V.shape)
    assert helper in p.source
    assert np.allclose(p(T=T, V=V), truth(T, V))


# ---------------------------------------------------------------- order


def test_every_tree_of_few_operands_is_no_dearer_than_the_greedy_one() -> None:
    inputs = [(0, 1), (1, 2), (2, 3), (3, 4)]
    extents = {0: 5, 1: 200, 2: 3, 3: 200, 4: 5}
    price, splits = best_tree(inputs, (0, 4), extents)
    assert set(splits) >= {0b1111} and price > 0
    assert contraction_order(inputs, (0, 4), extents)[-1] == (0, 1)


def test_product_that_exists_is_free() -> None:
    e = ed.parse("y[i] = A[i,j]*B[j,k]*x[k]")
    AB = ed.parse("C[i,k] = A[i,j]*B[j,k]")
    p = planned([AB, e], A=(50, 60), B=(60, 50), x=(50,))
    assert len([s for s in p.program.instructions if isinstance(s, steps.Contract)]) == 2


# ---------------------------------------------------------------- loops and memory


@pytest.mark.parametrize("rows", [300_001, 270_000])
def test_regression_runs_block_by_block(rows: int) -> None:
    J = ed.parse(REGRESSION)
    X, th, Y = rng.normal(size=(rows, 12)), rng.normal(size=12), rng.normal(size=rows)
    p = ed.compile([J, J.grad("th")])
    value, gradient = p(X=X, th=th, Y=Y)
    r = X @ th - Y
    assert np.allclose(value, r @ r, rtol=1e-12) and np.allclose(gradient, 2 * X.T @ r, rtol=1e-9)
    assert "for s in range" in planned(J.grad("th"), X=X.shape, th=(12,), Y=(rows,)).source
    X = np.asfortranarray(X)
    assert np.allclose(p(X=X, th=th, Y=Y)[1], gradient, rtol=1e-9)


def test_chain_of_functions_runs_block_by_block_and_gives_whole_results() -> None:
    x = rng.normal(size=5_000_000)
    e = ed.parse("z[i] = exp(-x[i]^2)*tanh(x[i]) + 1/(1 + x[i]^2)")
    p = planned([e, e], x=x.shape)
    assert "for s in range" in p.source
    first, second = p(x=x)
    assert np.allclose(first, np.exp(-(x**2)) * np.tanh(x) + 1 / (1 + x**2))
    assert np.array_equal(first, second) and not np.may_share_memory(first, second)


def test_result_in_hand_is_never_written_again() -> None:
    p = ed.compile(ed.parse("C[i,j] = exp(A[i,j])*B[i,j]"))
    A, B = rng.normal(size=(400, 400)), rng.normal(size=(400, 400))
    kept = p(A=A, B=B)
    view = p(A=A, B=B)[:3]
    before, seen = kept.copy(), view.copy()
    for _ in range(5):
        p(A=2 * A, B=B)
    assert np.array_equal(kept, before) and np.array_equal(view, seen)


def test_memory_of_a_dropped_result_is_used_again() -> None:
    p = ed.compile(ed.parse("C[i,j] = exp(A[i,j])*B[i,j]"))
    A, B = rng.normal(size=(600, 600)), rng.normal(size=(600, 600))
    p(A=A, B=B)
    at = p(A=A, B=B).ctypes.data
    assert p(A=A, B=B).ctypes.data == at
    p.release()


def test_out_is_written_and_checked() -> None:
    p = ed.compile(ed.parse("C[i,j] = exp(A[i,j])*B[i,j]"))
    A, B = rng.normal(size=(200, 300)), rng.normal(size=(200, 300))
    truth = np.exp(A) * B
    for out in (np.empty((200, 300)), np.empty((300, 200)).T, np.empty((200, 300), np.float32)):
        assert p(A=A, B=B, out=out) is out
        assert np.allclose(out, truth, rtol=1e-6)
    assert p(A=A, B=B, out=B) is B and np.allclose(B, truth)
    with pytest.raises(ed.DimensionError, match="out has shape"):
        p(A=A, B=truth, out=np.empty((3, 3)))
    with pytest.raises(ed.DataError, match="no array that can be written to"):
        p(A=A, B=truth, out=[1.0])


def test_threads_have_buffers_of_their_own() -> None:
    p = ed.compile(ed.parse("y[i] = sum[j](exp(A[i,j])*tanh(A[i,j] + x[j]))"))
    A, x = rng.normal(size=(300, 400)), rng.normal(size=400)
    truth = p(A=A, x=x)
    wrong = []

    def work() -> None:
        for _ in range(20):
            if not np.array_equal(p(A=A, x=x), truth):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


CASES = [
    (FACTORISATION, "grad", "U", {"T": (900, 800), "U": (900, 6), "V": (800, 6)}),
    (REGRESSION, "hessian", "th", {"X": (3000, 300), "th": (300,), "Y": (3000,)}),
    (LOGISTIC, "hessian", "w", {"X": (2000, 300), "w": (300,), "y": (2000,)}),
    (
        "f = sum[i,j](exp(A[i,j]*B[i,j])*tanh(A[i,j]))",
        "grad",
        "A",
        {"A": (900, 900), "B": (900, 900)},
    ),
]


@pytest.mark.parametrize(("text", "kind", "name", "shapes"), CASES, ids=lambda x: str(x)[:24])
def test_cost_predicts_the_peak(
    text: str, kind: str, name: str, shapes: dict[str, tuple[int, ...]]
) -> None:
    e = ed.parse(text)
    arrays = {key: rng.normal(size=shape) for key, shape in shapes.items()}
    p = ed.compile(getattr(e, kind)(name))
    arrays = {key: arrays[key] for key in p.arguments}
    p(**arrays)
    p.release()
    extents = {
        d: n for key, shape in shapes.items() for d, n in zip(e.variables[key], shape, strict=True)
    }
    needed = {
        d: n for d, n in extents.items() if d in {x for k in p.arguments for x in e.variables[k]}
    }
    tracemalloc.start()
    p(**arrays)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    given = sum(array.nbytes for array in arrays.values())
    assert 0.8 <= p.cost(**needed).peak_memory / (peak + given) <= 1.02


# ---------------------------------------------------------------- binding


def test_bound_regression_never_touches_the_rows_again() -> None:
    J = ed.parse(REGRESSION)
    X, Y, th = rng.normal(size=(500, 7)), rng.normal(size=500), rng.normal(size=7)
    p = ed.compile(J.grad("th"))
    q = p.bind(X=X, Y=Y)
    assert q.arguments == ("th",)
    assert np.allclose(q(th=th), 2 * X.T @ (X @ th - Y))
    X[:] = np.nan  # what was needed of it is computed
    assert np.all(np.isfinite(q(th)))


def test_bound_arrays_may_be_given_in_steps_and_mistakes_are_told() -> None:
    p = ed.compile(ed.parse("x[i]*A[i,j]*y[j]"))
    A, x, y = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=4)
    assert p.bind(A=A).bind(x=x)(y) == pytest.approx(x @ A @ y)
    with pytest.raises(ed.DataError, match="no such tensor"):
        p.bind(B=A)
    with pytest.raises(ed.DataError, match="x: bound already"):
        p.bind(x=x)(x=x, A=A, y=y)
    with pytest.raises(ed.DimensionError, match="q: no such extent"):
        p.cost(i=3, j=4, q=5)
    with pytest.raises(ed.DimensionError, match="two values"):
        p.bind(A=A)(x=np.ones(5), y=y)


def test_bound_matrix_is_factored_once() -> None:
    p = ed.compile(ed.parse("x[i] = inv(A)[i,j]*b[j]"))
    A, b = rng.normal(size=(5, 5)), rng.normal(size=5)
    q = p.bind(A=A)
    assert "factors of" not in str(p) and "solve(" in str(p)
    assert np.allclose(q(b=b), np.linalg.solve(A, b))
    assert np.allclose(q(b=2 * b), np.linalg.solve(A, 2 * b))


# ---------------------------------------------------------------- factorizations


@pytest.mark.parametrize("assumed", ["", " spd"])
def test_one_factorization_serves_value_gradient_and_hessian(assumed: str) -> None:
    e = ed.parse(f"A : (n, n){assumed}\nf = logdet(A) + a[i]*inv(A)[i,j]*b[j]")
    p = ed.compile([e, e.grad("A"), e.hessian("a", "b")])
    assert p.source.count("Factored(v") == 1
    R = rng.normal(size=(6, 6))
    A, a, b = R @ R.T + np.eye(6), rng.normal(size=6), rng.normal(size=6)
    inverse = np.linalg.inv(A)
    value, gradient, mixed = p(A=A, a=a, b=b)
    assert value == pytest.approx(np.linalg.slogdet(A)[1] + a @ inverse @ b)
    assert np.allclose(gradient, inverse.T - np.outer(inverse.T @ a, inverse @ b))
    assert np.allclose(mixed, inverse)
    with pytest.raises(ed.DataError, match="singular"):
        p(A=np.zeros((6, 6)), a=a, b=b)


def test_total_of_a_large_product_is_right() -> None:
    A, B = rng.normal(size=(300, 200)), rng.normal(size=(200, 90))
    p = planned(ed.parse("s = A[i,j]*B[j,k]*ones[i,k:k]"), A=A.shape, B=B.shape)
    assert p(A=A, B=B) == pytest.approx((A @ B).sum())


def test_arrays_given_for_results_do_not_pile_up() -> None:
    p = ed.compile(ed.parse("C[i,j] = exp(A[i,j])*B[i,j]"))
    A, B = rng.normal(size=(400, 400)), rng.normal(size=(400, 400))
    tracemalloc.start()
    for _ in range(30):
        p(A=A, B=B, out=np.empty((400, 400)))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 6 * A.nbytes
