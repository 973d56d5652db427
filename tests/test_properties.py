"""Claims about signs, against values: a claim that an entry breaks is false."""

import sys
from fractions import Fraction

import numpy as np
import pytest

import einderiv as ed
from einderiv.calculus.signs import interval, is_nonnegative
from einderiv.terms.functions import ANY, ELEMENTWISE
from tests.random_programs import random_program
from tests.terms.test_functions import ORACLES

NOT_CALLED = {"pi", "softmax", "logsoftmax", "atan2", "lt", "le", "gt", "ge", "eq", "ne"}
POINTS = np.concatenate([np.linspace(-30, 30, 241), [-1e-9, 1e-9, 0.5, 1.0]])


@pytest.mark.parametrize(
    "text",
    [
        "exp(x)",
        "x^2",
        "x*x",
        "x^4*exp(x)",
        "1 - tanh(x)^2",
        "sigmoid(x)*(1 - sigmoid(x))",
        "sigmoid(x)*sigmoid(-x)",
        "sigmoid(x) - sigmoid(x)^2",
        "1/(1 + x^2)",
        "abs(x) + softplus(x)",
        "sqrt(1 + x^2)",
        "relu(x)*step(x)",
        "y[i]*y[i]",
        "z[i]^2*exp(-w[i]) + 3",
        "softmax[i](w[i])",
        "max(x, 0)",
        "where(x > 0, 1, x^2)",
        "cosh(x) - 1",
    ],
)
def test_term_is_proved_not_to_be_negative(text: str) -> None:
    assert is_nonnegative(ed.parse(text).term)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "x*y",
        "tanh(x)",
        "x^3",
        "x - 1",
        "exp(x) - 1",
        "sin(x)",
        "log(x)",
        "1 - x^2",
        "sigmoid(x) - 2*sigmoid(x)^2",
        "y[i,j] = sigmoid(a[i]) - sigmoid(a[j])^2",
        "sigmoid(A[i,j]) - sigmoid(A[j,i])^2",
        "a[i]*a[j]",
        "a[i]^2 - b[i]^2",
    ],
)
def test_term_that_may_be_negative_is_not_claimed(text: str) -> None:
    assert not is_nonnegative(ed.parse(text).term)


def test_weights_whose_rounding_may_go_below_zero_are_not_claimed() -> None:
    e = ed.parse("1 - 2*sigmoid(x) + sigmoid(x)^2")  # (1 - s)^2, but computed as it stands
    assert not is_nonnegative(e.term)
    assert interval(e.term)[0] > -1e-11


def test_numbers_beyond_floating_point_have_an_interval() -> None:
    assert interval(ed.parse("10^400").term) == (sys.float_info.max, np.inf)
    assert is_nonnegative(ed.parse("10^400*exp(x)").term)
    assert not is_nonnegative(ed.parse("x + 10^400*y").term)


def test_nested_polynomials_are_visited_once() -> None:
    """In 0.01 s; a visit for every path takes 2^30."""
    text = "x"
    for _ in range(30):
        text = f"1 - tanh({text})^2"
    term = ed.parse(text).term
    assert interval(term) == (0.0, 1.0)


def test_interval_ends_are_rounded_outwards() -> None:
    low, high = interval(ed.parse("tanh(x)/3").term)
    assert Fraction(low) <= Fraction(-1, 3) and Fraction(high) >= Fraction(1, 3)


def test_weights_of_the_logistic_hessian_are_proved() -> None:
    e = ed.parse("sum[i](softplus(-y[i]*(X[i,j]*w[j])))").hessian("w").simplify()
    weights = ed.parse("u[i] = y[i]^2*sigmoid(-y[i]*z[i])*sigmoid(y[i]*z[i])").simplify()
    assert is_nonnegative(weights.term)
    assert "sigmoid" in str(e)


def test_assumptions_count() -> None:
    assert is_nonnegative(ed.parse("x : (n) positive\ny[i] = x[i]*exp(x[i])").term)
    assert not is_nonnegative(ed.parse("y[i] = x[i]*exp(x[i])").term)


@pytest.mark.parametrize(
    "function",
    [name for name, row in ELEMENTWISE.items() if len(row.arguments) == 1 and row.range != ANY],
)
def test_range_of_a_function_holds(function: str) -> None:
    low, high = ELEMENTWISE[function].range
    own = np.array([x for (x,) in ORACLES[function][1]])
    points = np.concatenate([own, POINTS]) if ELEMENTWISE[function].domain == "real" else own
    e = ed.parse(f"{function}(x)")
    values = np.array([e(x=x) for x in points])
    assert np.all(values >= low) and np.all(values <= high)


@pytest.mark.parametrize("seed", range(120))
def test_claims_about_random_programs_hold(seed: int) -> None:
    program = random_program(seed)
    e = ed.parse(program.text, shapes=program.shapes, assume=program.assume)
    for term in [e, *(e.diff(name) for name in e.variables)]:
        low, high = interval(term.term)
        value = np.atleast_1d(term(**program.arrays))
        value = value[np.isfinite(value)]
        assert np.all(value >= low - 1e-9) and np.all(value <= high + 1e-9), (str(term), low, high)
