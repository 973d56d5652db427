"""Claims made to be mistaken for right ones, and right ones that were once refused."""

from __future__ import annotations

import pytest

import einderiv as ed

# what the derivative of the first is not: wrong in a far corner, by little, or by a multiple of a prime
FALSE = [
    ("x^2/2", "max(x,-100)"),
    ("x^2/2", "where(x < -100, 0, x)"),
    ("x^2/2", "relu(x + 100) - 100"),
    ("x^2/2", "max(x, 2*x - 10^8)"),
    ("x^2/2", "where(x > 10^12, 0, x)"),
    ("x^2/2", "where(sin(x) > 0.999999, 0, x)"),
    ("x^2/2", "x + 2305843009213693951*x"),
    ("x^2/2", "x*tanh(10^9)*(1 + 1/10^60)"),
    ("abs(x + 50)", "1"),
    ("relu(x + 30)", "1"),
    ("min(x + 40, 0)", "0"),
    ("sum[i](x[i]^2)/2", "max(x[i], -10^10)"),
    ("exp(x)", "exp(x) + 1/10^87"),
    ("exp(x)", "exp(x) + exp(-200)"),
    ("exp(x)", "exp(x)*cos(1/10^70)"),
    ("exp(x)", "exp(x) + exp(-1000000)"),
    ("exp(x)", "exp(x)*tanh(1000000)"),
    ("x^2/2", f"x*(1 + {(2**61 - 1) * (2**89 - 1) * (2**127 - 1)})"),
    ("x^2/2", "max(x, -10^40)"),
    ("x", "where(x^2 < 1/10^20, 2, 1)"),
    ("max(x^3, 10^15)", "where(x > 99999, 3*x^2, 0)"),
    ("exp(exp(10*x))", "exp(10*x)"),
    ("abs(exp(x) - 10^9)", "exp(x)"),
    ("max(exp(x), 10^30)", "exp(x)"),
]

TRUE = [
    ("x^2/2", "max(x, x - 1)"),
    ("x^2/2", "x*relu(x^2 + 1)/(x^2 + 1)"),
    ("abs(x + 50)", "sign(x + 50)"),
    ("abs(x + 50)", "where(x < -50, -1, where(x > -50, 1, 0))"),
    ("exp(x)", "exp(x/2)^2"),
    ("x*log(6)", "log(2) + log(3)"),
    ("x*sin(pi/6)", "1/2"),
    ("max(x^3, 10^15)", "where(x > 100000, 3*x^2, where(x < 100000, 0, 3*x^2/2))"),
]


@pytest.mark.parametrize(("text", "claim"), FALSE)
def test_a_claim_that_is_wrong_somewhere_is_not_correct(text: str, claim: str) -> None:
    verdict = ed.check(ed.parse(text), "x", claim)
    assert not verdict.correct, str(verdict)


@pytest.mark.parametrize(("text", "claim"), TRUE)
def test_a_claim_with_other_kinks_is_correct(text: str, claim: str) -> None:
    verdict = ed.check(ed.parse(text), "x", claim)
    assert verdict.correct, str(verdict)


@pytest.mark.parametrize(
    ("text", "wrt"),
    [
        ("Y[i,j] = X[i,k]*X[k,j]", "X[p,q]"),
        ("r[a] = X[a,b]*th[b] - Y[a]; J = r[a]*r[a]", "th[d]"),
        ("h[i] = tanh(W[i,j]*x[j])\nJ = h[i]*h[i]", "x"),
    ],
)
def test_a_printed_derivative_is_a_right_claim(text: str, wrt: str) -> None:
    e = ed.parse(text)
    derivative = e.diff(wrt)
    assert ed.check(e, wrt, str(derivative)).correct
    assert ed.check(e, wrt, derivative.latex()).correct


def test_a_definition_may_be_repeated_in_a_claim() -> None:
    e = ed.parse("r[a] = X[a,b]*th[b] - Y[a]; J = r[a]*r[a]")
    assert ed.check(e, "th[d]", "r[a] = X[a,b]*th[b] - Y[a]; 2*X[a,d]*r[a]").correct


def test_the_diagonal_alone_is_not_advised_as_the_derivative() -> None:
    e = ed.parse("softmax(x)", notation="matrix")
    told = str(ed.check(e, "x", "softmax(x).*(vector(1) - softmax(x))", notation="matrix"))
    assert "the diagonal of the derivative alone" in told and "write diag" not in told


def test_check_derivative_refuses_complex_arrays() -> None:
    with pytest.raises(ed.DataError, match="complex"):
        ed.check_derivative("x[i]*x[i]", "x", x=[1 + 2j])
