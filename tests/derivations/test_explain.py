"""Derivations by the index method: the steps of the notes, and every step an equality.

Oracles: the MIT notes' A.17 to A.22 as text; each right-hand side read back by the parser and evaluated
against the engine's derivative; the engine's result itself, which is the last step.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einderiv as ed
from einderiv.derivations.derivation import Derivation
from einderiv.derivations.laws import differential_law, slope_law
from einderiv.derivations.records import MOST, Step, all_steps
from einderiv.equality.deciding import check_equal, how_equal
from einderiv.errors import DerivativeError, EinderivError
from einderiv.terms.canonical import add, literal
from einderiv.terms.expr import Variable
from einderiv.terms.functions import ELEMENTWISE, WHOLE
from tests.random_programs import random_program

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "cases" / "matrix_calculus.json").read_text(encoding="utf-8")
)
INDEX = [case for case in CASES if case["index"]]
PROOFS = {"identity", "expansion", "modular", "floating point"}
LEAST_SQUARES = "J = (X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/n"


def explained(text: str, wrt: str, **options: Any) -> Derivation:
    return ed.parse(text).explain(wrt, **options)


def sides(d: Derivation) -> list[str]:
    return [str(step.after) for step in d.steps]


# ------------------------------------------------------------ the notes


def test_least_squares_goes_as_in_the_mit_notes():
    """A.17 to A.22, with the chain rule of A.18 in two steps."""
    d = explained(LEAST_SQUARES, "th[d]")
    assert [str(line) for line in d.given[0]] == [
        "J",
        "(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/n",
    ]
    assert sides(d) == [
        "((∂(X[a,b]*th[b] - Y[a])/∂th[d])*(X[a,c]*th[c] - Y[a])"
        " + (X[a,b]*th[b] - Y[a])*(∂(X[a,c]*th[c] - Y[a])/∂th[d]))/n",
        "(X[a,b]*delta[b,d]*(X[a,c]*th[c] - Y[a]) + (X[a,b]*th[b] - Y[a])*X[a,c]*delta[c,d])/n",
        "(X[a,d]*(X[a,c]*th[c] - Y[a]) + (X[a,b]*th[b] - Y[a])*X[a,d])/n",
        "(X[a,d]*(X[a,b]*th[b] - Y[a]) + X[a,d]*(X[a,b]*th[b] - Y[a]))/n",
        "2*X[a,d]*(X[a,b]*th[b] - Y[a])/n",
        "2/n*X'*(X*th - Y)",
    ]
    assert [step.rule for step in d.steps] == [
        "product rule",
        "sum rule, constant factor, derivative of an entry",
        "deltas contracted",
        "dummy indices renamed",
        "like terms collected",
        "matrix form",
    ]
    assert d.note == "numerator layout: axes d of th"


def test_quadratic_form_goes_as_in_the_washington_notes():
    d = explained("x[i]*A[i,j]*x[j]", "x[k]")
    assert sides(d) == [
        "A[i,j]*(∂x[i]/∂x[k])*x[j] + A[i,j]*x[i]*(∂x[j]/∂x[k])",
        "A[i,j]*delta[i,k]*x[j] + A[i,j]*x[i]*delta[j,k]",
        "A[k,j]*x[j] + A[i,k]*x[i]",
        "A[k,i]*x[i] + A[i,k]*x[i]",
        "(A[k,i] + A[i,k])*x[i]",
        "(A + A')*x",
    ]


def test_chain_rule_shows_the_row_of_the_function_table():
    d = explained("y[i] = tanh(A[i,j]*x[j])", "x[k]")
    assert sides(d)[:3] == [
        "(1 - tanh(A[i,j]*x[j])^2)*(∂(A[i,j]*x[j])/∂x[k])",
        "(1 - tanh(A[i,j]*x[j])^2)*A[i,l]*delta[l,k]",
        "A[i,k]*(1 - tanh(A[i,j]*x[j])^2)",
    ]
    assert d.steps[0].law == "∂tanh(x)/∂x = 1 - tanh(x)^2"


def test_inverse_shows_its_differential():
    d = explained("inv(A)[i,j]*b[j]", "A[k,l]")
    rules = [step.rule for step in d.steps]
    assert rules[:2] == ["constant factor", "differential of inv"]
    assert d.steps[1].law == "d inv(A)[i,j] = -inv(A)[i,k]*dA[k,l]*inv(A)[l,j]"
    assert sides(d)[-1] == "-inv(A)[i,k]*inv(A)[l,j]*b[j]"


def test_definition_is_derived_once_and_put_in():
    d = explained("r[a] = X[a,b]*th[b] - Y[a]; J = r[a]*r[a]", "th[d]")
    left = [str(step.left) for step in d.steps]
    assert left == sorted(left, reverse=True)  # ∂r before ∂J, each in one piece
    assert left.count("∂r[a]/∂th[d]") == 2
    put_in = next(step for step in d.steps if step.rule.startswith("definitions'"))
    assert put_in.law == "∂r[a]/∂th[d] = X[a,d]"


def test_function_of_a_definition_is_called_by_its_name():
    """h = tanh(...) has the derivative (1 - h^2) times ..."""
    d = explained("h[i] = tanh(W[i,j]*x[j]); L = h[i]*h[i]", "W[k,l]")
    assert str(d.steps[0].after) == "(1 - h[i]^2)*(∂(W[i,j]*x[j])/∂W[k,l])"


def test_letters_of_the_user_stay_when_no_new_index_is_named():
    d = explained("x[i]*A[i,j]*x[j]", "x")
    assert str(d.given[0][1]) == "A[i,j]*x[i]*x[j]"
    assert d.variable == "x[k]"


def test_assumption_is_used_in_the_last_step_only():
    d = ed.parse("x[i]*Q[i,j]*x[j]", assume={"Q": "symmetric"}).explain("x[k]")
    simplified = next(step for step in d.steps if step.rule == "simplified")
    assert simplified.law == "Q is symmetric"
    assert str(simplified.before) == "Q[k,i]*x[i] + Q[i,k]*x[i]"
    assert str(simplified.after) == "2*Q[k,i]*x[i]"


def test_number_that_does_not_depend_has_derivative_zero():
    d = ed.parse("c*a[i]", shapes={"x": ("n",)}).explain("x[k]")
    assert sides(d)[0].startswith("zeros[")


def test_term_without_a_summed_index_counts_its_values():
    """A term of a sum that lacks r counts once for each r."""
    d = explained("sum[r,l](A[r,l] + c)", "c")
    assert sides(d) == ["sum[r,l](ones[r]*ones[l])", "size[l:l]*size[r:r]", "l*r"]
    assert d.steps[1].rule == "ones summed"
    assert d.result(A=np.zeros((3, 4)), c=1.0) == 12


def test_denominator_layout_reverses_the_axes():
    d = explained("y[i] = A[i,j]*x[j]", "x[k]", layout="denominator")
    assert d.note == "denominator layout: axes k of x, then i of y"
    assert d.steps[-1].after.term is d.result.term


def test_result_without_matrix_form_says_why():
    d = explained("Y[i,j] = inv(A)[i,j]", "A[k,l]")
    assert d.note.endswith("no matrix form: the result has 4 axes")


@pytest.mark.parametrize(
    "e",
    [
        ed.parse("tr(A'*X)", notation="matrix"),
        ed.parse(r"A_{ij} X_{ij}", notation="latex"),
        ed.parse("ij,ij->", notation="einsum", operands=("A", "X")),
        (ed.tensor("A[m,n]") * ed.tensor("X[m,n]")).sum(),
    ],
    ids=["matrix", "latex", "einsum", "python"],
)
def test_every_notation_is_explained(e):
    d = e.explain("X")
    assert [step.rule for step in d.steps][-1] == "matrix form"
    assert sides(d)[-1] == "A"


# ------------------------------------------------------------ every step an equality


def check_derivation(e: ed.Expression, wrt: str) -> Derivation:
    """Steps, each checked, at most MOST of them; the last one is the engine's result."""
    d = e.explain(wrt)
    assert 0 < len(d.steps) <= MOST
    assert d.steps[-1].after.term is e.diff(wrt).term
    for step in all_steps(d.steps):
        assert set(step.how.split(", ")) <= PROOFS, step
        assert step.rule and step.before.text and step.after.text
    assert str(d) and d.latex() and d.html()
    return d


@pytest.mark.parametrize("case", INDEX, ids=lambda case: case["id"])
def test_public_case_is_derived_step_by_step(case):
    check_derivation(ed.parse(case["index"], shapes=case["shapes"]), case["wrt"])


@pytest.mark.parametrize("case", INDEX, ids=lambda case: case["id"])
def test_right_hand_side_reads_back_as_the_derivative(case):
    """What the parser makes of the text of each step is the engine's derivative."""
    e = ed.parse(case["index"], shapes=case["shapes"])
    d = e.explain(case["wrt"])
    truth = e.diff(d.variable)
    if len(d.given) > 1:
        pytest.skip("its lines need the definitions above them")
    left = f"Result[{','.join(truth.indices)}]" if truth.indices else "Result"
    read = 0
    for step in d.steps:
        text = str(step.after)
        if step.rule == "matrix form" or "∂" in text or "\n" in text or "size[" in text:
            continue
        assert ed.equal(ed.parse(f"{left} = {text}", shapes=case["shapes"]), truth), text
        read += 1
    assert read


@pytest.mark.parametrize("seed", range(40))
def test_random_program_is_derived_step_by_step(seed):
    program = random_program(seed)
    e = ed.parse(program.text, shapes=program.shapes, assume=program.assume)
    for name in list(e.variables)[:2]:
        try:
            e.diff(name)
        except DerivativeError:
            continue
        check_derivation(e, name)


FUNCTIONS = [row for row in ELEMENTWISE.values() if row.arguments and any(row.derivatives)]


@pytest.mark.parametrize("row", FUNCTIONS, ids=lambda row: row.name)
def test_law_of_a_function_is_its_row(row):
    place = next(k for k, d in enumerate(row.derivatives) if d)
    law, _ = slope_law(row.name, place)
    assert law.endswith(f" = {row.derivatives[place]}")


@pytest.mark.parametrize(
    "row", [row for row in WHOLE.values() if row.differential], ids=lambda row: row.name
)
def test_differential_of_a_whole_function_is_its_row(row):
    law, latex = differential_law(row.name)
    assert law.endswith(row.differential.partition(" = ")[2]) and latex


@pytest.mark.parametrize(
    "name", [row.name for row in WHOLE.values() if row.matrix and row.differential]
)
def test_matrix_function_of_an_expression(name):
    axes = "pqrs"[: WHOLE[name].signature.partition("->")[2].count("n")]
    behind = f"[{','.join(axes)}]" if axes else ""
    check_derivation(ed.parse(f"{name}[i,j](X[k,i]*X[k,j]){behind}"), "X")


@pytest.mark.parametrize("name", [row.name for row in WHOLE.values() if not row.matrix])
def test_function_of_an_axis(name):
    check_derivation(ed.parse(f"{name}[i](A[i,j]*x[j])"), "x")


def test_second_use_of_a_softmax_index_keeps_the_delta():
    """softmax[j](x[i,j]) at j = i is no softmax: its delta stays."""
    e = ed.parse("y = softmax[j](X[i,j])*A[i,j]")
    d = check_derivation(e, "X")
    rng = np.random.default_rng(0)
    x, a = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    s = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    expected = s * (a - (s * a).sum(1, keepdims=True))
    assert np.allclose(d.result(X=x, A=a), expected)


# ------------------------------------------------------------ size


def network(layers: int) -> str:
    lines = [f"h{k}[i] = tanh(W{k}[i,j]*h{k - 1}[j])" for k in range(1, layers + 1)]
    return "\n".join(["h0[i] = x[i]", *lines, f"L = h{layers}[i]*h{layers}[i]"])


def test_long_derivation_is_folded_and_loses_no_step():
    d = explained(network(12), "W1")
    assert len(d.steps) <= MOST
    inner = list(all_steps(d.steps))
    for k in range(1, 13):
        assert any(str(step.left).startswith(f"∂h{k}[") for step in inner)


def test_depth_costs_lines_not_characters():
    """Nested functions become definitions, so no line grows with the depth."""
    text = "x"
    for _ in range(300):
        text = f"sin({text})"
    d = explained(text, "x")
    last = d.steps.index(next(s for s in d.steps if s.rule == "definitions written out"))
    assert max(len(str(step.after)) for step in d.steps[:last]) < 400


# ------------------------------------------------------------ checks and errors


def test_step_that_is_no_equality_is_an_error():
    x, y = Variable("x", ("n",)), Variable("y", ("n",))
    with pytest.raises(EinderivError, match="not an equality"):
        check_equal([(x, add([(2, x)], x.shape)), (x, y)])


@pytest.mark.parametrize(
    ("first", "second", "how"),
    [
        ("x[i]*y[i]", "y[j]*x[j]", "identity"),
        ("(x + y)^2", "x^2 + 2*x*y + y^2", "expansion"),
        ("1/(x*(x + 1))", "1/x - 1/(x + 1)", "modular"),
        ("exp(x)/(exp(x)*(exp(x) + y))", "1/(exp(x) + y)", "identity"),
        ("1/(log(x)*(log(x) + 1))", "1/log(x) - 1/(log(x) + 1)", "modular"),
        ("sin(x)^2 + cos(x)^2", "1", "floating point"),
        ("sin(x)", "cos(x)", ""),
        ("x^2", "x^3", ""),
    ],
)
def test_sides_are_compared_by_the_strongest_means_there_are(first, second, how):
    shapes = {name: ("n",) if "[" in first else () for name in "xy"}
    a, b = (ed.parse(text, shapes=shapes).term for text in (first, second))
    assert how_equal(a, b) == how


def test_zero_differs_from_one():
    assert how_equal(literal(0), literal(1)) == ""


@pytest.mark.parametrize(
    ("wrt", "options", "words"),
    [
        ("z", {}, "z does not occur"),
        ("x[i,j]", {}, "1 axis"),
        ("x", {"method": "magic"}, "unknown method 'magic'"),
        ("x", {"layout": "sideways"}, "unknown layout"),
        ("", {}, "names no variable"),
    ],
)
def test_bad_request_is_refused(wrt, options, words):
    with pytest.raises(EinderivError, match=words):
        explained("x[i]*x[i]", wrt, **options)


def test_function_without_derivative_is_refused():
    with pytest.raises(DerivativeError, match="polygamma"):
        explained("polygamma(n, x)", "n")


def test_steps_are_immutable_records():
    step = explained("x[i]*x[i]", "x[k]").steps[0]
    assert isinstance(step, Step)
    with pytest.raises(AttributeError):
        step.rule = "other"  # type: ignore[misc]
    assert str(step.part[0]).startswith("∂(")
