"""`ed.equal` says True for equal expressions and False for others, whatever the sizes that are tried."""

from __future__ import annotations

import pytest

import einderiv as ed
from einderiv.equality.digits import FUNCTIONS
from einderiv.terms.functions import ELEMENTWISE, WHOLE


def both(first: str, second: str, **options: object) -> tuple[bool, str]:
    e1, e2 = (ed.parse(text, **options) for text in (first, second))  # type: ignore[arg-type]
    answer = ed.equal(e1, e2, how=True)
    assert isinstance(answer, tuple)
    return answer


def test_an_inverse_is_compared_at_sizes_where_it_exists() -> None:
    # X'X has no inverse unless X has at least as many rows as columns
    first = "inv[a,b](X[i,a]*X[i,b])[p,q]*X[k,p]*X[k,r]"
    shapes = {"X": ("n", "q")}
    assert both(f"Y[q,r] = {first}", "Y[q,r] = delta[q:q,r]", shapes=shapes) == (True, "modular")
    assert both(f"Y[q,r] = {first}", "Y[q,r] = 2*delta[q:q,r]", shapes=shapes) == (False, "modular")


def test_a_function_of_a_matrix_and_of_its_transpose_differ() -> None:
    assert both("Y[i,j] = exp(Q[i,j])", "Y[i,j] = exp(Q[j,i])") == (False, "floating point")
    shapes = {"Q": ("n", "n")}
    text = "exp(Q[i,j])*a[i]", "exp(Q[j,i])*a[i]"
    assert both(*text, shapes=shapes) == (False, "floating point")
    assert both(*text, shapes=shapes, assume={"Q": "symmetric"})[0]


def test_what_one_expression_assumes_of_a_tensor_holds_in_the_other() -> None:
    assumed = ed.parse("Q : (n, n) symmetric; Y[i,j] = Q[i,j]*c")
    plain = ed.parse("Q : (n, n); Y[i,j] = Q[j,i]*c")
    assert ed.equal(assumed, plain)
    positive = ed.parse("P : (n) positive; y[i] = sum[j](A[j,i])/P[i]")
    assert ed.equal(positive, ed.parse("y[i] = sum[j](A[j,i]/P[i])"))


def test_symmetric_tensors_are_symmetric_at_random_points_too() -> None:
    first = "a[i]*inv(Q)[i,j]*b[j]"
    second = "b[i]*inv(Q)[i,j]*a[j]"
    assert both(first, second, assume={"Q": "symmetric"})[0]
    assert not both(first, second)[0]


@pytest.mark.parametrize(
    ("first", "second", "answer"),
    [
        ("sin(x)^2 + cos(x)^2", "1", True),
        ("softmax[i](x[i])*y[i]*sum[j](exp(x[j]))", "exp(x[i])*y[i]", True),
        ("cholesky(S)[i,j]*cholesky(S)[k,j]", "S[i,k]", True),
        ("log(x*x)", "2*log(x)", True),  # where both are defined
        ("sqrt(x*x)", "-abs(x)", False),
        ("tanh(x)", "sin(x)", False),
        ("max[i](y*x[i])", "y*max[i](x[i])", False),  # equal for positive y only
        ("abs(x)", "x", False),
    ],
)
def test_functions_are_compared_in_floating_point(first: str, second: str, answer: bool) -> None:
    assert both(first, second) == (answer, "floating point")


def test_every_function_has_a_meaning_in_exact_arithmetic() -> None:
    assert set(FUNCTIONS) == set(ELEMENTWISE)
    assert [
        name for name, row in WHOLE.items() if (row.exact is None) == (row.digits is None)
    ] == []


def test_factors_that_vanish_at_small_extents_are_not_zero() -> None:
    shapes = {"x": ("n",)}
    assert not both("y[i] = x[i]*(n - 2)*(n - 3)*(n - 4)", "y[i] = 0*x[i]", shapes=shapes)[0]
