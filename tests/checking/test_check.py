"""A claim that is right is found right, and each typical mistake is named; nothing wrong passes.

Oracles: published NumPy formulas for right claims; for wrong ones the evaluation of both at arrays.
"""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest

import einderiv as ed
from einderiv.checking.quotients import numerical_derivative
from tests.claims import MSE, RIGHT, WRONG
from tests.test_cases import CASES, TOLERANCE, arrays_of, error, expected

BY_ID = {case["id"]: case for case in CASES}


def expression_of(text: str) -> ed.Expression:
    """Index notation where a name stands before a bracket, else matrix notation or scalars."""
    scalars = ("sqrt(x*x)", "relu(x - 1000)", "abs(x)")
    if re.search(r"\w\[", text) or text in scalars:
        return ed.parse(text)
    return ed.parse(text, "matrix")


def test_tables_are_as_long_as_promised() -> None:
    assert len(WRONG) >= 60 and len(RIGHT) >= 40


@pytest.mark.parametrize(("name", "claim", "assume"), RIGHT, ids=[f"{r[0]} {r[1]}" for r in RIGHT])
def test_right_claim_of_a_published_case_is_correct(
    name: str, claim: str, assume: dict[str, str]
) -> None:
    case = BY_ID[name]
    words = {n: [w] for n, w in assume.items()}
    e = ed.parse(case["index"], shapes=case["shapes"], assume=words)
    wrt = [case["wrt"], case["wrt2"]] if "wrt2" in case else case["wrt"]
    order = 1 if "wrt2" in case else case["order"]
    v = ed.check(e, wrt, claim, order=order)
    assert v.correct and v.kind == "correct", str(v)
    arrays = arrays_of(case)
    assert v.claim is not None
    # the claim itself, evaluated, has the published value: the verdict did not come from the engine alone
    assert error(v.claim(arrays), expected(case, arrays)) <= TOLERANCE


@pytest.mark.parametrize(
    ("text", "wrt", "claim", "kind", "factor", "words"),
    WRONG,
    ids=[f"{w[0][:30]} | {w[2]}" for w in WRONG],
)
def test_wrong_claim_gets_its_verdict(
    text: str, wrt: str, claim: str, kind: str, factor: str | None, words: str
) -> None:
    v = ed.check(expression_of(text), wrt, claim)
    assert not v.correct
    assert v.kind == kind, str(v)
    assert (None if v.factor is None else str(v.factor).splitlines()[-1]) == factor
    assert words in " ".join(str(v).split()), str(v)
    if v.counterexample is not None:
        assert not np.allclose(v.counterexample.claimed, v.counterexample.truth, rtol=1e-6, atol=0)


# ------------------------------------------------------------ how a claim is read


def test_definitions_of_the_program_may_stand_in_a_claim() -> None:
    e = ed.parse("r[a] = X[a,b]*th[b] - Y[a]; J = r[a]*r[a]")
    for claim in ("2*X[a,b]*r[a]", "2*X'*r", "2 X_{ab} r_a"):
        assert ed.check(e, "th", claim).correct
    assert ed.check(e, "th", "X'*r").factor == Fraction(1, 2)


@pytest.mark.parametrize(
    ("wrt", "claim", "kind"),
    [
        ("X[k,l]", "b[l]*a[k]", "correct"),  # by name
        ("X", "a[p]*b[q]", "correct"),  # in order
        ("X", "b[l]*a[k]", "transposed"),  # in the order in which they come
        ("X[k,l]", "G[l,k] = b[l]*a[k]", "transposed"),  # the left-hand side states the order
    ],
)
def test_indices_are_matched_by_name_where_the_derivative_has_names(
    wrt: str, claim: str, kind: str
) -> None:
    assert ed.check(ed.parse("a'*X*b", "matrix"), wrt, claim).kind == kind


def test_an_index_that_the_derivative_names_is_kept() -> None:
    e = ed.parse("sin(x[i])*y[i]")
    assert ed.check(e, "x[i]", "cos(x[i])*y[i]").mistakes == ()
    v = ed.check(e, "x", r"\cos(x_i) y_i")
    assert v.correct and "read as the entry at i" in str(v)


@pytest.mark.parametrize(
    ("text", "wrt", "claim", "layout", "kind"),
    [
        ("a'*X*b", "X", "b*a'", "numerator", "correct"),
        ("a'*X*b", "X", "a*b'", "denominator", "correct"),
        ("a'*X*b", "X", "a*b'", None, "correct"),
        ("A*x", "x", "A", None, "correct"),
        ("A*x", "x", "A'", "denominator", "correct"),
        ("A*x", "x", "A", "denominator", "transposed"),
        ("a'*x", "x", "a'", "numerator", "correct"),
    ],
)
def test_layouts_are_those_of_diff(
    text: str, wrt: str, claim: str, layout: str | None, kind: str
) -> None:
    assert ed.check(ed.parse(text, "matrix"), wrt, claim, layout=layout).kind == kind


def test_mixed_and_repeated_derivatives_are_checked_as_diff_takes_them() -> None:
    e = ed.parse("norm2(X*w - y)^2", "matrix")
    assert ed.check(e, "w", "2*X'*X", order=2).correct
    assert ed.check(e, ("w", "w"), "2*X'*X").correct
    assert ed.check(e, "w", "X'*X", order=2).factor == Fraction(1, 2)
    assert ed.check(e, ("w", "y"), "-2*X'").correct
    assert ed.check(e, ("w", "y"), "-2*X").kind == "transposed"


def test_a_claim_may_be_an_expression_with_extents_of_its_own() -> None:
    e = ed.parse("x[i]*Q[i,j]*x[j]")
    assert ed.check(e, "x", ed.parse("(Q + Q')*x", "matrix")).correct
    assert ed.check(e, "x", e.grad("x")).correct


def test_what_only_the_claim_assumes_does_not_count() -> None:
    e = ed.parse("x[i]*Q[i,j]*x[j]")
    text = "Q : (n, n) symmetric; G[i] = 2*Q[i,j]*x[j]"
    for claim in (text, ed.parse(text)):
        v = ed.check(e, "x", claim)
        assert v.kind == "wrong" and "right if Q is symmetric" in str(v)
    assumed = ed.parse("Q : (n, n) symmetric; x[i]*Q[i,j]*x[j]")
    assert ed.check(assumed, "x", "2*Q*x").correct


def test_an_extent_that_only_the_claim_makes_equal_to_another_is_a_wrong_shape() -> None:
    claim = ed.parse("A : (n, n); x : (n); y : (n); x[i]*y[j]")
    v = ed.check(ed.parse("x[i]*A[i,j]*y[j]"), "A", claim)
    assert v.kind == "shape" and "only for i = j" in str(v)


def test_eye_and_zero_take_their_size_from_the_derivative() -> None:
    assert ed.check(ed.parse("tr(X)", "matrix"), "X", "eye").correct
    assert ed.check(ed.parse("X : (n, n); a'*a", "matrix"), "X", "0").correct
    assert ed.check(ed.parse("tr(X)", "matrix"), "X", "2*eye").factor == 2
    assert ed.check(ed.parse("tr(X)", "matrix"), "X", "eye(3)").kind == "shape"


# ------------------------------------------------------------ how it is decided


@pytest.mark.parametrize(
    ("text", "claim", "method"),
    [
        ("x[i]*x[i]", "2*x[i]", "canonical"),
        ("1/(1 + x)", "-1/(1 + 2*x + x^2)", "exact"),
        ("sum[i](tanh(x[i]))", "1/cosh(x[i])^2", "exact with unknown functions"),
        ("sum[i](exp(2*x[i]))", "G[i] = 2*exp(x[i])*exp(x[i])", "high precision"),
        ("sum[i](abs(x[i]))", "G[i] = x[i]/abs(x[i])", "high precision"),
    ],
)
def test_the_verdict_says_by_which_way_it_was_found(text: str, claim: str, method: str) -> None:
    e = ed.parse(text)
    (name,) = e.variables
    v = ed.check(e, name, claim)
    assert (v.kind, v.method) == ("correct", method), str(v)
    assert v.certainty in str(v)


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("x : (n); x[i]*x[i]*(n - 2)*(n - 3)*(n - 4)", "0*x"),  # equal at the extents 2, 3, 4
        ("x : (n); sum[i](exp(x[i]))*(n - 2)*(n - 3)*(n - 4)", "0*exp(x)"),
        ("relu(x - 1000)", "0"),  # equal below 1000
        ("relu(x + y + 1) - relu(x + y)", "0*x"),  # equal but for -1 < x + y < 1
        ("exp(-1000*x^2)", "-2000*x*exp(-1000*x^2)*(1 + x^2/10^12)"),
        ("x^2/2 + 10^(-20)*x", "x"),
        ("sum[i](x[i]^2/2) + 10^(-20)*sum[i](exp(x[i]))", "x[i]"),
        ("sum[i](asin(x[i]))", "1/sqrt(x[i]^2 - 1)"),  # has values only where the other has none
        ("sqrt(x^2)", "1"),
        ("x : (1000); sum[i](exp(x[i]))", "exp(x[i]) + exp(x[i])/10^9"),
    ],
)
def test_what_agrees_almost_everywhere_is_not_correct(text: str, claim: str) -> None:
    v = ed.check(ed.parse(text), "x", claim)
    assert not v.correct and v.kind != "transposed", str(v)


def test_zeros_of_a_claim_without_values_do_not_make_it_correct() -> None:
    e = ed.parse("y[i] = asin(tanh(x[i])/2)")
    right = "J[i,j] = (1 - tanh(x[i])^2)/sqrt(4 - tanh(x[i])^2)*delta[i,j]"
    assert ed.check(e, "x", right).correct
    wrong = right.replace("4 -", "-4 -")
    assert not ed.check(e, "x", wrong).correct


def test_a_claim_that_never_has_values_is_an_error_when_the_derivative_has_none_either() -> None:
    with pytest.raises(ed.DataError, match="no random point"):
        ed.check(ed.parse("asin(2 + x^2)"), "x", "4*x/sqrt(1 - (2 + x^2)^2)")


def test_large_extents_are_tried_at_small_ones() -> None:
    e = ed.parse("X : (1000, 500); sum[i,j](exp(X[i,j])*X[i,j])")
    assert ed.check(e, "X", "exp(X).*X + exp(X)").correct
    v = ed.check(e, "X", "exp(X).*X")
    assert v.kind == "missing term" and "in place of 500, 1000" in str(v)
    assert v.difference is not None and v.difference.shape == (1000, 500)


# ------------------------------------------------------------ what a verdict holds


def test_a_verdict_holds_the_difference_and_an_example() -> None:
    v = ed.check(ed.parse("x'*A*x", "matrix"), "x", "A*x")
    assert str(v.difference) == "A[j,i]*x[j]"
    assert v.truth.matrix() == "(A + A')*x"
    example = v.counterexample
    assert example is not None
    A, x = example.arrays["A"], example.arrays["x"]
    assert np.array_equal(example.claimed, A @ x)
    assert np.array_equal(example.truth, A @ x + A.T @ x)
    assert not v and v.facts()["kind"] == "missing term"


@pytest.mark.parametrize(
    ("claim", "factor"),
    [("X'*(X*th - Y)/n", Fraction(1, 2)), ("-6*X'*(X*th - Y)/(7*n)", Fraction(-3, 7))],
)
def test_a_rational_factor_is_exact(claim: str, factor: Fraction) -> None:
    assert ed.check(MSE, "th", claim).factor == factor


def test_a_factor_of_scalars_is_an_expression() -> None:
    v = ed.check("c*x[i]*x[i]/n", "x", "2*n*x[i]/c")
    assert isinstance(v.factor, ed.Expression)
    assert v.factor(c=3.0, n=5.0) * 2 * 3 / 5 == pytest.approx(2 * 5 / 3)


# ------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("2*X'*(", "never closed"),
        ("", "no expression"),
        ("2*Z*th", "names Z, which the expression does not have"),
        ("2*X[a,d]*th[d]/m", "names m"),
        (3, "the claim is no expression"),
        ("foo(x)", "foo"),
    ],
)
def test_a_claim_that_cannot_be_read_is_an_error(claim: object, words: str) -> None:
    with pytest.raises(ed.NotationError, match=re.escape(words)):
        ed.check(MSE, "th", claim)  # type: ignore[arg-type]


def test_an_expression_that_reads_in_two_ways_is_an_error() -> None:
    with pytest.raises(ed.NotationError, match="two notations"):
        ed.check("A*x", "x", "A'")
    assert ed.check("x^3", "x", "3*x^2").correct


# ------------------------------------------------------------ check_derivative


@pytest.mark.parametrize(
    ("text", "wrt", "bound"),
    [
        ("x[i]*Q[i,j]*x[j]", "x", 1e-13),
        ("logdet(X)", "X", 1e-13),
        ("exp(x[i]*Q[i,j]*x[j])", ("x", "x"), 1e-12),
        ("y[i] = sin(A[i,j]*x[j])", "A", 1e-13),
        ("sum[i](abs(x[i]))", "x", 1e-9),  # central differences
        ("max[i](x[i]*y[i])", "x", 1e-9),
        ("cholesky(S)[i,j]*a[i]*b[j]", "S", 1e-9),
        ("det[i,j](A[i,k]*X[k,l]*B[l,j])", "X", 1e-12),  # singular where X has fewer rows than A
    ],
)
def test_the_derivative_agrees_with_steps(
    text: str, wrt: str | tuple[str, ...], bound: float
) -> None:
    assert ed.check_derivative(text, wrt) < bound


def test_check_derivative_takes_arrays_and_sizes() -> None:
    e = ed.parse("x[i]*Q[i,j]*x[j]")
    assert ed.check_derivative(e, "x", x=[1.0, 2.0], Q=[[1.0, 2.0], [3.0, 4.0]]) < 1e-14
    assert ed.check_derivative(e, "x", {"x": [1.0, 2.0, 3.0]}) < 1e-14
    with pytest.raises(ed.DataError, match="no such tensor"):
        ed.check_derivative(e, "x", z=[1.0])
    with pytest.raises(ed.DataError, match="no point gave finite values"):
        ed.check_derivative(ed.parse("1/x"), "x", x=0.0)


def test_a_wrong_derivative_would_show() -> None:
    """The numerical derivative alone, against a derivative that is off by a part in a million."""
    x = np.array([0.3, 0.7])
    numerical = numerical_derivative(lambda v: np.sum(v**3), x)
    assert numerical is not None
    assert np.max(np.abs(numerical - 3 * x**2)) < 1e-14
    assert np.max(np.abs(numerical - 3 * x**2 * (1 + 1e-6))) > 1e-7
