"""Where a derivative is zero, known from its deltas.

Oracles: NumPy's Kronecker products, and dense derivatives, of all published cases and of random programs.
"""

import numpy as np
import pytest

import einderiv as ed
from einderiv.printers.pictures.spy import patterns_of
from einderiv.terms.functions import ELEMENTWISE
from tests.random_programs import random_program
from tests.test_cases import EXTENTS, INDEX, arrays_of, derivative


def eye(n: int) -> np.ndarray:
    return np.eye(n, dtype=bool)


def full(n: int, m: int) -> np.ndarray:
    return np.ones((n, m), bool)


SPY = {  # expression, variables -> the pattern, by NumPy
    ("x[i]*x[i]", "x", "x"): eye(4),
    ("Y[i,p] = X[i,j]*B[j,p]", "X"): np.kron(eye(4), full(3, 5)),
    ("Y[i,p] = A[i,j]*X[j,p]", "X"): np.kron(full(4, 5), eye(3)),
    ("Y[i,j] = exp(X[i,j])", "X"): eye(12),
    ("y[i] = softmax[i](x[i])", "x"): full(4, 4),
    ("a[i]*x[i]*x[i] + b[i]*exp(x[i])", "x", "x"): eye(4),
    ("A[i,j]*x[j]", "x", "x"): np.zeros((4, 9), bool),
    ("Y[i,j] = tanh(X[i,j])*b[j]", "b"): np.tile(eye(3), (4, 1)),
}


@pytest.mark.parametrize("key", SPY, ids=str)
def test_the_pattern_of_a_derivative_is_that_of_its_deltas(key):
    text, *variables = key
    assert np.array_equal(ed.parse(text).diff(*variables).spy().mask, SPY[key])


@pytest.mark.parametrize("number", range(len(INDEX)), ids=lambda k: INDEX[k]["id"])
def test_what_is_outside_the_pattern_is_zero(number):
    e = derivative(number)
    sizes = {dim: EXTENTS[dim] for dim in e.shape if dim in EXTENTS}
    value = np.asarray(e(arrays_of(INDEX[number]), sizes=sizes), dtype=float)
    spy = e.spy(sizes)
    assert not value.reshape(spy.matrix_shape)[~spy.mask].any()


@pytest.mark.parametrize("seed", range(40))
def test_random_derivatives_are_zero_outside_their_pattern(seed):
    print("seed", seed)
    program = random_program(seed)
    e = ed.parse(program.text, shapes=program.shapes, assume=program.assume)
    for name in [name for name in program.arrays if name in e.variables][:3]:
        derivative = e.diff(name)
        value = np.asarray(derivative(program.arrays))
        sizes = dict(zip(derivative.shape, value.shape, strict=True))
        spy = derivative.spy({dim: size for dim, size in sizes.items() if isinstance(dim, str)})
        assert value.shape == spy.shape
        assert not value.reshape(spy.matrix_shape)[~spy.mask].any(), program.text


def test_the_text_marks_terms_and_says_what_the_structure_is():
    H = ed.parse("H[i,p,j,q] = delta[i,j]*A[p,q] + delta[p,q]*B[i,j]")
    assert str(H.spy({"i": 2, "p": 2})).splitlines() == [
        "a: A[p,q]*delta[i,j] (2 blocks of 2 x 2 on the diagonal (i = j), all equal)",
        "b: B[i,j]*delta[p,q] (2 blocks of 2 x 2 interleaved (p = q), all equal)",
        "+: several of these",
        "zero unless i = j or p = q",
        "rows (i,p), columns (j,q): 4 x 4 for i = 2, p = 2, 12 of 16 entries",
        "+ a   b .",
        "a +   . b",
        "",
        "b .   + a",
        ". b   a +",
    ]


def test_blocks_that_differ_are_not_called_equal():
    same = ed.parse("H[i,p,j,q] = delta[i,j]*C[p,q]").spy().description
    differ = ed.parse("H[i,p,j,q] = delta[i,j]*C[i,p,q]").spy().description
    assert same == "4 blocks of 3 x 5 on the diagonal (i = j), all equal"
    assert differ == "4 blocks of 3 x 5 on the diagonal (i = j)"


@pytest.mark.parametrize("name", [n for n, row in ELEMENTWISE.items() if row.at_zero == 0])
def test_function_keeps_zeros(name):
    assert float(ed.parse(f"{name}(x)")(x=0.0)) == 0.0
    kept = patterns_of(ed.parse(f"Y[i,j] = {name}(delta[i,j]*x[i])").term)
    assert kept == {(0, 0)}


def test_functions_that_are_not_zero_at_zero_fill_the_pattern():
    assert ed.parse("Y[i,j] = exp(delta[i,j]*x[i])").spy().mask.all()


def test_rows_follow_the_layout():
    e = ed.parse("y[i] = A[i,j]*X[j,k]*b[k]")
    assert e.diff("X").spy().rows == 1
    assert e.diff("X", layout="denominator").spy().rows == 2
    assert e.diff("X").spy(rows=3).rows == 3


def test_sizes_that_make_no_sense_are_refused():
    H = ed.parse("x[i]*x[i]").hessian("x")
    for sizes, error in (
        ({"k": 3}, ed.DimensionError),
        ({"i": -1}, ed.DimensionError),
        ({"i": 10**6}, ed.ResourceLimitError),
    ):
        with pytest.raises(error):
            H.spy(sizes)
    with pytest.raises(ed.DimensionError, match="rows=5"):
        H.spy(rows=5)
    with pytest.raises(ed.ResourceLimitError, match="too large for a picture"):
        H.spy({"i": 1000}).svg()
    assert "too large for a text" in str(H.spy({"i": 1000}))
    assert H.spy({"i": 0}).matrix_shape == (0, 0)
