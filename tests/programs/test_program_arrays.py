"""Programs and the arrays they are given: dtypes, memory layouts, aliasing, threads."""

from __future__ import annotations

import copy
import itertools
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import einderiv as ed
from tests.program_cases import Array, arrays_for, close, run_alone, varied

# ---------------------------------------------------------------- dtypes

KINDS = [("f8", "f8"), ("f4", "f4"), ("f2", "f4"), ("i8", "f8"), ("u1", "f8"), ("?", "f8"),
         (">f8", "f8"), (">i4", "f8"), (">f4", "f4")]  # fmt: skip
FLOATS = [
    ed.parse("x[i]*x[i]/3 + size[i]*pi"),
    ed.parse("x[i]*x[i]*x[i]/3").grad("x"),
    ed.parse("x[i]*x[i]*sum[j](exp(x[j]))/7").hessian("x"),
    ed.parse("y[i] = softmax[i](x[i])*2/3").diff("x"),
    ed.parse("y[i] = where(x[i] > 1/2, x[i]^(1/3), sigmoid(x[i]))").diff("x"),
    ed.parse("y[i,j] = (x[i]*x[j] + delta[i,j])/3"),
    ed.parse("y[i] = eps[i,j,k]*x[j]*x[k]*pi + lgamma(x[i] + 1)*size[i]"),
    ed.parse("y[i] = step(x[i]) + max(x[i], 1/3) + erf(x[i]) + polygamma(1, x[i] + 1)"),
]


@pytest.mark.parametrize(("given", "computed"), KINDS)
@pytest.mark.parametrize("e", FLOATS, ids=str)
def test_dtype_of_results_follows_the_arrays(e: ed.Expression, given: str, computed: str) -> None:
    x = np.array([1, 0, 1]).astype(given)
    result = e(x=x)
    assert result.dtype == np.dtype(computed) and result.dtype.isnative
    wanted = e(x=x.astype("f8"))
    finite = np.isfinite(wanted)  # a root's slope at 0 is infinite
    assert close(result[finite], wanted[finite], 1e-5 if computed == "f4" else 1e-13)


def test_arrays_that_a_derivative_no_longer_needs_still_tell_its_dtype() -> None:
    hessian = ed.parse("x[i]*x[i]").hessian("x")  # 2*delta
    assert hessian(x=np.ones(2, "f4")).dtype == np.float32


@pytest.mark.parametrize("kind", ["i1", "?", "f2", ">f8", "f4", "c8"])
@pytest.mark.parametrize("text", ["x[i]*x[i]", "y[i] = -x[i]", "y[i] = x[i]^(-3)/3 + pi"])
def test_source_computes_in_the_dtype_of_the_program(text: str, kind: str) -> None:
    p, x = ed.compile(ed.parse(text)), np.array([100, 1]).astype(kind)
    ours, theirs = run_alone(p.source, {"x": x}, ["x"]), p(x=x)
    assert np.asarray(ours).dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


HOLOMORPHIC = ["x[i]*x[i]*A[i,j]", "exp(A[i,j]*x[j])", "sin(x[i])/(2 + x[i])", "inv(A)[i,j]*x[j]",
               "logdet(A)*x[i]", "softmax[i](x[i])*x[i]",
               "tanh(x[i])^3 + sqrt(x[i])", "sigmoid(x[i]) + softplus(x[i])",
               "logsumexp[i](x[i])*log(A[i,j])", "prod[i](x[i]) + erf(x[j])"]  # fmt: skip


@pytest.mark.parametrize("text", HOLOMORPHIC)
@pytest.mark.parametrize(("kind", "tolerance"), [("c16", 1e-12), ("c8", 2e-5)])
def test_complex_arrays_give_the_real_function_at_real_points(
    text: str, kind: str, tolerance: float
) -> None:
    e = ed.parse(text)
    arrays = arrays_for(e)
    result = e({name: array.astype(kind) for name, array in arrays.items()})
    assert result.dtype == kind
    assert close(result, e(arrays), tolerance)


@pytest.mark.parametrize("text", HOLOMORPHIC)
def test_complex_step_gives_the_derivative(text: str) -> None:
    e = ed.parse(text)
    arrays, h = arrays_for(e), 1e-30
    direction = np.array([1.0, -2.0, 0.5])
    moved = e({**arrays, "x": arrays["x"] + 1j * h * direction}).imag / h
    assert close(e.diff("x")(arrays) @ direction, moved)


def test_functions_that_are_not_holomorphic_refuse_complex_arrays() -> None:
    with pytest.raises(ed.DataError, match="abs"):
        ed.parse("abs(x[i])")(x=np.ones(2, complex))


def test_asked_dtype_is_computed_in() -> None:
    p = ed.compile(ed.parse("x[i]*x[i]/3"), dtype="float32")
    assert p(x=[1.0, 2.0]).dtype == np.float32


# ---------------------------------------------------------------- arrays in memory


def spaced(a: Array) -> Array:
    wide = np.full(tuple(2 * n for n in a.shape), np.nan)
    wide[tuple(slice(None, None, 2) for _ in a.shape)] = a
    return wide[tuple(slice(None, None, 2) for _ in a.shape)]


def reversed_view(a: Array) -> Array:
    return np.ascontiguousarray(np.flip(a))[(slice(None, None, -1),) * a.ndim]


def unaligned(a: Array) -> Array:
    return np.frombuffer(b"0" + a.tobytes(), np.uint8)[1:].view("f8").reshape(a.shape)


LAYOUTS = {
    "fortran": np.asfortranarray,
    "spaced": spaced,
    "negative strides": reversed_view,
    "list": lambda a: a.tolist(),
    "big-endian": lambda a: a.astype(">f8"),
    "unaligned": unaligned,
}


@varied
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_of_the_arrays_does_not_matter_and_they_are_never_written(
    text: str, formula: Any, layout: str
) -> None:
    e = ed.parse(text)
    arrays = arrays_for(e)
    given = {name: LAYOUTS[layout](array) for name, array in arrays.items()}
    before = copy.deepcopy(given)
    for array in given.values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    assert close(e(given), e(arrays))
    assert all(np.asarray(given[k]).tobytes() == np.asarray(before[k]).tobytes() for k in given)


def test_repeated_entries_of_a_broadcast_array_are_read_right() -> None:
    x = np.broadcast_to(np.float64(2), (3,))
    A = np.broadcast_to(np.arange(3.0), (2, 3))
    assert ed.parse("y[i] = A[i,j]*x[j]")(A=A, x=x).tolist() == [6, 6]
    result = ed.parse("Y[i,j] = A[i,j]")(A=A)
    assert result.flags.writeable and 0 not in result.strides


ALIASES = [
    "x[i]",
    "A[i,j]",
    "Y[j,i] = A[i,j]",
    "y[i] = A[i,i]",
    "Y[i,j] = x[i]*ones[j:3]",
    "1*x[i] + 0*y[i]",
    "2*x[i]/2",
]


def test_results_share_no_memory_with_arrays_or_each_other() -> None:
    expressions = [ed.parse(text) for text in ALIASES]
    x, A = np.arange(3.0), np.arange(9.0).reshape(3, 3)
    for e in expressions:
        result = e({k: v for k, v in {"x": x, "A": A, "y": x}.items() if k in e.variables})
        assert not np.shares_memory(result, x) and not np.shares_memory(result, A)
        assert result.flags.writeable
    results = ed.compile([*expressions, *expressions])(x=x, A=A, y=x)
    for first, second in itertools.combinations([x, A, *results], 2):
        assert not np.shares_memory(first, second)


@pytest.mark.parametrize(
    "text",
    ["x[i]", "Y[j,i] = A[i,j]", "sin(x[i])", "y[i] = A[i,j]*x[j]", "Y[i,j] = x[i]*x[j] + A[i,j]"],
)
def test_equal_results_of_one_program_are_two_arrays(text: str) -> None:
    e = ed.parse(text)
    first, second = ed.compile([e, ed.parse(text)])(arrays_for(e))
    assert np.array_equal(first, second) and not np.shares_memory(first, second)
    transposed = ed.compile(
        [e, ed.parse("Z[j,i] = 1*Q[i,j]").substitute(Q=text)] if len(e.shape) == 2 else [e, e]
    )
    assert not np.shares_memory(*transposed(arrays_for(e)))


@pytest.mark.parametrize(("text", "wanted"), [
    ("x[i]*x[i]", 0.0), ("y[i] = A[i,j]*x[j]", [0.0, 0.0]), ("Y[i,j] = x[i]*x[j]", np.zeros((0, 0))),
    ("prod[i](x[i])", 1.0), ("logsumexp[i](x[i])", None), ("Y[i,j] = delta[i,j]*x[j]", np.zeros((0, 0))),
])  # fmt: skip
def test_empty_arrays_have_the_value_of_empty_sums(text: str, wanted: Any) -> None:
    e = ed.parse(text)
    arrays = {"x": np.zeros(0), "A": np.zeros((2, 0))}
    arrays = {name: arrays[name] for name in e.variables}
    if wanted is None:
        with pytest.raises(ed.DataError):
            e(arrays)
    else:
        assert np.array_equal(e(arrays), wanted)


@pytest.mark.parametrize(
    "text",
    [
        "x[i]*y[i]",
        "x[i] + y[i]",
        "max(x[i], y[i])",
        "y[i] = A[i,j]*x[j]",
        "where(x[i] > 0, y[i], 0)",
    ],
)
def test_axes_of_extent_one_are_never_stretched(text: str) -> None:
    e = ed.parse(text)
    arrays = {"x": np.ones(1), "y": np.ones(3), "A": np.ones((3, 3))}
    with pytest.raises(ed.DimensionError):
        e({name: arrays[name] for name in e.variables})


# ---------------------------------------------------------------- repetition, threads, copies


@varied
def test_results_are_the_same_from_call_to_call_and_in_threads(text: str, formula: Any) -> None:
    e = ed.parse(text)
    p, arrays = ed.compile([e]), arrays_for(e)
    barrier, results = threading.Barrier(8), [b""] * 8

    def work(k: int) -> None:
        barrier.wait()
        results[k] = p(arrays)[0].tobytes()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results) == {p(arrays)[0].tobytes()}


def test_one_program_serves_threads_with_arrays_of_different_sizes() -> None:
    p, wrong = ed.compile(ed.parse("y[i] = A[i,j]*B[j,k]*x[k]")), []

    def work(n: int) -> None:
        A, x = np.full((n, n), 2.0), np.ones(n)
        for _ in range(20):
            if not np.array_equal(p(A=A, B=A, x=x), np.full(n, 4.0 * n * n)):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(4**k,)) for k in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@varied
def test_copies_are_equal_and_compute_the_same(text: str, formula: Any) -> None:
    e = ed.parse(text)
    arrays = arrays_for(e)
    name = next(iter(e.variables))
    for original in (e, e.diff(name)):
        for again in (
            copy.copy(original),
            copy.deepcopy(original),
            pickle.loads(pickle.dumps(original)),
        ):
            assert (
                again == original and hash(again) == hash(original) and str(again) == str(original)
            )
            assert again.variables == original.variables and again.indices == original.indices
            assert np.array_equal(again(arrays), original(arrays))


def test_copies_keep_assumptions() -> None:
    e = ed.parse("x[i]*Q[i,j]*x[j]", assume={"Q": "symmetric"})
    again = pickle.loads(pickle.dumps(e))
    assert again.grad("x") == e.grad("x") != ed.parse("x[i]*Q[i,j]*x[j]").grad("x")
