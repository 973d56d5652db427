"""Claims about signs, against values: a claim that an entry breaks is false."""

import numpy as np
import pytest

import einderiv as ed
from einderiv.properties import RANGES, interval, is_nonnegative
from tests.random_programs import random_program

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
    ],
)
def test_term_that_may_be_negative_is_not_claimed(text: str) -> None:
    assert not is_nonnegative(ed.parse(text).term)


def test_weights_of_the_logistic_hessian_are_proved() -> None:
    e = ed.parse("sum[i](softplus(-y[i]*(X[i,j]*w[j])))").hessian("w").simplify()
    weights = ed.parse("u[i] = y[i]^2*sigmoid(-y[i]*z[i])*sigmoid(y[i]*z[i])").simplify()
    assert is_nonnegative(weights.term)
    assert "sigmoid" in str(e)


def test_assumptions_count() -> None:
    assert is_nonnegative(ed.parse("x : (n) positive\ny[i] = x[i]*exp(x[i])").term)
    assert not is_nonnegative(ed.parse("y[i] = x[i]*exp(x[i])").term)


@pytest.mark.parametrize("function", sorted(set(RANGES) - NOT_CALLED))
def test_range_of_a_function_holds(function: str) -> None:
    low, high = RANGES[function]
    points = POINTS[np.abs(POINTS) <= 1] if function in ("asin", "acos") else POINTS
    points = points[points >= 0] if function == "sqrt" else points
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
