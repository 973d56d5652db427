"""`e.explain(wrt, method="differential")`: dF by perturbation, trace form, the gradient read off.

Oracles: gradients from textbooks written in NumPy; every line of a derivation is read back as matrix notation
and evaluated: a line of dF must be the sum of G entry by entry with dX. Complex steps for random functions.
"""

import json
import random
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einderiv as ed
from einderiv.derivations import differential
from einderiv.derivations.derivation import Derivation
from einderiv.derivations.records import Step, all_steps
from einderiv.errors import DerivativeError, EinderivError, NotMatrixFormError
from einderiv.printers import Form
from einderiv.terms.functions import ELEMENTWISE

RNG = np.random.default_rng(1105)
CASES = json.loads(
    (Path(__file__).parents[1] / "cases")
    .joinpath("matrix_calculus.json")
    .read_text(encoding="utf-8")
)
SHAPES: dict[str, tuple[str | int, ...]] = {
    "A": ("n", "n"), "B": ("n", "n"), "C": ("n", "n"), "S": ("n", "n"), "X": ("n", "n"),
    "M": ("m", "n"), "W": ("m", "n"), "P": ("n", "m"), "a": ("n",), "b": ("n",), "x": ("n",),
    "y": ("m",), "c": (),
}  # fmt: skip
SIZES = {"m": 3, "n": 4}
EYE = np.eye(4)


def array(name: str) -> np.ndarray:
    """Entries between 0.2 and 1.2, square matrices made regular with a positive determinant."""
    shape = tuple(SIZES[str(dim)] for dim in SHAPES[name])
    value = RNG.uniform(0.2, 1.2, shape)
    if shape == (4, 4):
        value = value + 4 * EYE
    return (value + value.T) / 2 if name == "S" else value


POINT = {name: array(name) for name in SHAPES}
A, B, C, S, X = (POINT[name] for name in "ABCSX")
M, W, P, a, b, x, y, c = (POINT[name] for name in ("M", "W", "P", "a", "b", "x", "y", "c"))
inv, det = np.linalg.inv, np.linalg.det
IX = inv(X)


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum()


# Petersen and Pedersen, The Matrix Cookbook, chapter 2, and the notes in ../shared/notes
KNOWN = [
    # first order
    ("a'*x", "x", a),
    ("a'*X*b", "X", np.outer(a, b)),
    ("a'*X'*b", "X", np.outer(b, a)),
    ("tr(A*X*B)", "X", A.T @ B.T),
    ("tr(A*X'*B)", "X", B @ A),
    ("tr(X)", "X", EYE),
    ("sum(W)", "W", np.ones((3, 4))),
    ("sum(M*X)", "X", M.T @ np.ones((3, 4))),
    ("a'*diag(X)", "X", np.diag(a)),
    ("tr(A*diag(x))", "x", np.diag(A)),
    ("a'*diag(x)*b", "x", a * b),
    # second order
    ("x'*x", "x", 2 * x),
    ("x'*A*x", "x", (A + A.T) @ x),
    ("x'*A*x + b'*x", "x", (A + A.T) @ x + b),
    ("tr(X'*X)", "X", 2 * X),
    ("tr(X*X)", "X", 2 * X.T),
    ("tr(X'*A*X)", "X", (A + A.T) @ X),
    ("tr(X*A*X')", "X", X @ (A + A.T)),
    ("tr(A*X*B*X)", "X", A.T @ X.T @ B.T + B.T @ X.T @ A.T),
    ("tr((A*X*B)'*(A*X*B))", "X", 2 * A.T @ A @ X @ B @ B.T),
    ("a'*X*X'*b", "X", np.outer(a, b) @ X + np.outer(b, a) @ X),
    ("a'*X'*X*b", "X", X @ (np.outer(a, b) + np.outer(b, a))),
    ("norm2(W*x - y)^2", "x", 2 * W.T @ (W @ x - y)),
    ("norm2(W*x - y)^2", "W", 2 * np.outer(W @ x - y, x)),
    ("(W*x - y)'*(W*x - y)/2 + c*x'*x", "x", W.T @ (W @ x - y) + 2 * c * x),
    ("tr((X*P - A*P)'*(X*P - A*P))", "X", 2 * (X - A) @ P @ P.T),
    ("x'*S*x", "x", 2 * S @ x),
    # higher order and quotients
    ("tr(A*X^3)", "X", (X @ X @ A + X @ A @ X + A @ X @ X).T),
    ("(a'*x)^2*(x'*x)", "x", 2 * (a @ x) * (x @ x) * a + 2 * (a @ x) ** 2 * x),
    ("a'*x/(b'*x)", "x", a / (b @ x) - (a @ x) / (b @ x) ** 2 * b),
    ("x'*S*x/(x'*x)", "x", 2 * S @ x / (x @ x) - 2 * (x @ S @ x) / (x @ x) ** 2 * x),
    ("1/tr(X)", "X", -EYE / np.trace(X) ** 2),
    # norms
    ("norm2(x)", "x", x / np.linalg.norm(x)),
    ("norm2(X)", "X", X / np.linalg.norm(X)),
    ("norm2(x - a)", "x", (x - a) / np.linalg.norm(x - a)),
    ("norm2(x)^3", "x", 3 * np.linalg.norm(x) * x),
    ("norm1(x)", "x", np.sign(x)),
    # inverses and determinants
    ("tr(inv(X))", "X", -(IX @ IX).T),
    ("tr(inv(X)*A)", "X", -(IX @ A @ IX).T),
    ("a'*inv(X)*b", "X", -IX.T @ np.outer(a, b) @ IX.T),
    ("tr(A*inv(X + B))", "X", -(inv(X + B) @ A @ inv(X + B)).T),
    ("det(X)", "X", det(X) * IX.T),
    ("logdet(X)", "X", IX.T),
    ("log(det(X))", "X", IX.T),
    ("det(A*X*B)", "X", det(A @ X @ B) * IX.T),
    ("logdet(A*X*B + C)", "X", A.T @ inv(A @ X @ B + C).T @ B.T),
    ("det(X'*A*X)", "X", det(X.T @ A @ X) * (A @ X @ inv(X.T @ A @ X) + A.T @ X @ inv(X.T @ A.T @ X))),
    ("logdet(P'*P)", "P", 2 * P @ inv(P.T @ P)),
    ("logdet(S) + x'*inv(S)*x", "S", inv(S) - inv(S) @ np.outer(x, x) @ inv(S)),
    # entry by entry
    ("sum(exp(X))", "X", np.exp(X)),
    ("sum(A./X)", "X", -A / X**2),
    ("sum(X./A)", "X", 1 / A),
    ("a'*(X.*A)*b", "X", A * np.outer(a, b)),
    ("a'*exp(X)*b", "X", np.exp(X) * np.outer(a, b)),
    ("tr(A*(X.*B))", "X", A.T * B),
    ("tr(X.*A)", "X", np.diag(np.diag(A))),
    ("sum(X.^2.5)", "X", 2.5 * X**1.5),
    ("sum(tanh(W*x))", "x", W.T @ (1 - np.tanh(W @ x) ** 2)),
    ("y'*log(W*x)", "W", np.outer(y / (W @ x), x)),
    ("sum(log(1 + exp(-y.*(W*x))))", "x", -W.T @ (y / (1 + np.exp(y * (W @ x))))),
    ("logsumexp(W*x)", "x", W.T @ softmax(W @ x)),
    ("log(sum(exp(W*x)))", "W", np.outer(softmax(W @ x), x)),
    ("sum(B'*X'*exp(x))", "x", np.exp(x) * (X @ B @ np.ones(4))),
    ("softmax(x)'*a", "x", softmax(x) * (a - softmax(x) @ a)),
    ("sum(max(W*x, y))", "x", W.T @ (0.5 * (1 + np.sign(W @ x - y)))),
    ("prod(x)", "x", np.prod(x) / x),
    ("exp(-x'*S*x/2)", "x", -np.exp(-x @ S @ x / 2) * S @ x),
    # by a number
    ("c^2*(a'*b) + sin(c)*tr(A)", "c", 2 * c * (a @ b) + np.cos(c) * np.trace(A)),
    ("norm2(X - c*A)^2", "c", -2 * np.sum((X - c * A) * A)),
    ("logdet(X + c*eye(n))", "c", np.trace(inv(X + c * EYE))),
    # the example of the Washington notes that ends with "we have that"
    (
        "a'*X'*inv(A + X*B)*X*b",
        "X",
        (
            np.outer(a, b) @ X.T @ inv(A + X @ B).T
            + np.outer(b, a) @ X.T @ inv(A + X @ B)
            - B @ inv(A + X @ B) @ X @ np.outer(b, a) @ X.T @ inv(A + X @ B)
        ).T,
    ),
]  # fmt: skip


def derivation(text: str, wrt: str, **more: Any) -> Derivation:
    shapes = {n: dims for n, dims in SHAPES.items() if n in text or n == wrt}
    shapes.update(more)
    assume = {"S": ["symmetric"]} if "S" in shapes and wrt != "S" else None
    e = ed.parse(text, "matrix", shapes=shapes, assume=assume)
    return e.explain(wrt, method="differential")


def value(text: str, wrt: str, moved: np.ndarray) -> np.ndarray:
    """A line read back as matrix notation, at the point and the direction."""
    last, *definitions = text.split("\nwhere ")
    text = "\n".join([*definitions, last])
    line = ed.parse(text, "matrix", shapes={**SHAPES, f"d{wrt}": SHAPES[wrt]})
    return np.asarray(line({**POINT, f"d{wrt}": moved}, sizes=SIZES))


@pytest.mark.parametrize(
    ("text", "wrt", "gradient"), KNOWN, ids=[f"{t} by {w}" for t, w, _ in KNOWN]
)
def test_every_line_is_the_differential_or_the_gradient(
    text: str, wrt: str, gradient: np.ndarray
) -> None:
    moved = RNG.uniform(-1, 1, np.shape(gradient))
    d = derivation(text, wrt)
    close = {"rtol": 1e-9, "atol": 1e-9}  # rounding of inverses, over sums of up to 60 terms
    read = 0
    for step in d.steps:
        assert step.how in ("identity", "expansion", "modular", "floating point")
        left = str(step.left)
        for line in (step.before, step.after):
            if re.search(r"\bd\(", str(line)) or str(line) == f"dF/d{wrt}":
                continue  # not carried out yet; another name of the derivative
            found = value(str(line), wrt, moved)
            expected = gradient if left.startswith("∂") else np.sum(gradient * moved)
            np.testing.assert_allclose(found, expected, **close, err_msg=str(line))
            read += 1
    assert read >= 2
    assert d.steps[-1].after.term is d.result.term


def test_the_trace_is_rotated_until_dx_stands_last() -> None:
    shapes = {"A": ("p", "m"), "X": ("m", "n"), "B": ("n", "p")}
    assert str(
        ed.parse("tr(A*X*B)", "matrix", shapes=shapes).explain("X", method="differential")
    ) == (
        """\
F = tr(A*X*B)

dF = d(tr(A*X*B))
   = tr(A*dX*B)   tr is linear, constants come out: d tr(U) = tr(dU); d(A*U*B) = A*dU*B
   = tr(B*A*dX)   cyclic rotation: tr(U*V*W) = tr(W*U*V)

∂F/∂X = (B*A)'
      = A'*B'     gradient read off: dF = tr(G'*dX)

[the gradient is a matrix of the shape of X (denominator layout); numerator layout writes its transpose]"""
    )


def test_a_quadratic_form_is_derived_as_in_equations_2_to_5_of_the_notes() -> None:
    assert str(ed.parse("x'*Q*x + b'*x", "matrix").explain("x", method="differential")) == (
        """\
F = x'*Q*x + b'*x

dF = d(x'*Q*x + b'*x)
   = d(x'*Q*x) + b'*dx            sum rule, constants come out: d(U + V) = dU + dV; d(A*U*B) = A*dU*B
   = dx'*Q*x + x'*Q*dx + b'*dx    product rule: d(U*V) = dU*V + U*dV
   = x'*Q'*dx + x'*Q*dx + b'*dx   a number is its own transpose: u'*V*w = w'*V'*u
   = (x'*Q' + x'*Q + b')*dx       collected: u'*dx + v'*dx = (u' + v')*dx

∂F/∂x = (x'*Q' + x'*Q + b')'
      = Q*x + Q'*x + b            gradient read off: dF = g'*dx
      = (Q + Q')*x + b            simplified: U*V + U*W = U*(V + W)

[the gradient is a column, as x (denominator layout); numerator layout writes its transpose]"""
    )


def test_an_inverse_is_perturbed_by_its_row_of_the_table() -> None:
    shapes = {"X": ("n", "n"), "x": ("n",)}
    e = ed.parse("x'*inv(X)*x - logdet(X)", "matrix", shapes=shapes)
    assert str(e.explain("X", method="differential")) == (
        """\
F = x'*inv(X)*x - logdet(X)

dF = d(x'*inv(X)*x - logdet(X))
     (sum rule, constants come out: d(U + V) = dU + dV; d(A*U*B) = A*dU*B)
   = x'*d(inv(X))*x - d(logdet(X))
     (inverse, log-determinant: d inv(U) = -inv(U)*dU*inv(U); d logdet(U) = tr(inv(U)*dU))
   = -x'*inv(X)*dX*inv(X)*x - tr(inv(X)*dX)
   = -tr(x'*inv(X)*dX*inv(X)*x) - tr(inv(X)*dX)   a number is its own trace: u'*V*w = tr(u'*V*w)
   = -tr(inv(X)*x*x'*inv(X)*dX) - tr(inv(X)*dX)   cyclic rotation: tr(U*V*W) = tr(W*U*V)
   = -tr((inv(X)*x*x'*inv(X) + inv(X))*dX)        collected: tr(U*dX) + tr(V*dX) = tr((U + V)*dX)

∂F/∂X = (-(inv(X)*x*x'*inv(X) + inv(X)))'
      = -(inv(X)'*x*x'*inv(X)' + inv(X)')         gradient read off: dF = tr(G'*dX)

[the gradient is a matrix of the shape of X (denominator layout); numerator layout writes its transpose]"""
    )


def test_latex_has_upright_differentials_and_laws_in_symbols() -> None:
    shown = derivation("tr(A*inv(X))", "X").latex()
    assert r"\operatorname{tr}\left(A \mathrm{d}\left({X}^{-1}\right)\right)" in shown
    assert r"\mathrm{d}X" in shown and "dX" not in shown.replace(r"\mathrm{d}X", "")


# ---------------------------------------------------------------- definitions, names, assumptions


def test_a_definition_keeps_its_name_and_gets_a_differential() -> None:
    text = "r = W*x - y; norm2(r)^2/2 + c*sum(r)"
    d = derivation(text, "x")
    assert [str(left) for left, _ in d.given] == ["r", "F"]
    assert [str(step.after) for step in d.steps if str(step.left) == "dr"] == ["W*dx"]
    last = d.steps[-1]
    assert last.rule == "definitions written out" and last.law == "r from above"
    expected = W.T @ (W @ x - y) + c * W.T @ np.ones(3)
    np.testing.assert_allclose(value(str(last.after), "x", x), expected, rtol=1e-12)


def test_a_differential_that_clashes_with_a_tensor_gets_another_name() -> None:
    d = ed.parse("dX'*X*dX", "matrix", shapes={"dX": (3,), "X": (3, 3)}).explain(
        "X", method="differential"
    )
    assert str(d.steps[0].after) == "dX'*ΔX*dX"
    assert d.steps[-1].after.text == "dX*dX'"


def test_a_symmetric_matrix_is_not_transposed() -> None:
    shown = str(derivation("x'*S*x", "x"))
    assert "S'" not in shown and "= 2*x'*S*dx" in shown


def test_the_entries_of_a_symmetric_variable_are_independent_until_the_last_step() -> None:
    e = ed.parse("X : (n, n) symmetric; A : (n, n); logdet(X) + tr(A*X)", "matrix")
    last = e.explain("X", method="differential").steps[-1]
    assert (last.before.text, last.after.text) == ("A' + inv(X)'", "inv(X) + A'")
    assert last.law == "X is symmetric"


def test_a_function_without_the_variable_has_differential_zero() -> None:
    d = ed.parse("x'*y", "matrix", shapes={"x": (3,), "y": (3,), "z": (3,)}).explain(
        "z", method="differential"
    )
    assert [(s.rule, s.after.text) for s in d.steps] == [
        ("constant", "0"),
        ("gradient read off", "zeros(3)"),
    ]


def test_long_derivations_are_folded_to_twenty_steps() -> None:
    lines = ["h0 = tanh(W0*x)"]
    lines += [f"h{k} = tanh(W{k}*h{k - 1})" for k in range(1, 12)]
    e = ed.parse("\n".join([*lines, "y'*h11"]), "matrix")
    d = e.explain("W11", method="differential")
    assert len(d.steps) <= 20
    e = ed.parse("\n".join([*lines[:6], "y'*h5"]), "matrix")
    d = e.explain("x", method="differential")
    assert len(d.steps) <= 20 < len([s for s in all_steps(d.steps) if not s.folded])


# ---------------------------------------------------------------- what holds for all


def test_a_step_that_is_no_equality_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(matrices: Any, piece: Any) -> Any:
        turned, rule = differential.rotate(matrices, piece)
        return (turned.times(Form(Fraction(-1))), rule) if rule is not None else (turned, rule)

    monkeypatch.setattr(differential, "TURNS", (differential.with_trace, wrong))
    with pytest.raises(EinderivError, match="not an equality"):
        derivation("tr(A*X*B)", "X")


UNARY = [
    name
    for name, row in ELEMENTWISE.items()
    if len(row.arguments) == 1 and row.derivatives[0] != "0"
]


@pytest.mark.parametrize("name", UNARY)
def test_the_law_of_an_elementwise_function_is_its_row(name: str) -> None:
    step = next(s for s in derivation(f"sum({name}(M))", "M").steps if s.rule == name)
    left, _, right = step.law.partition(" = ")
    assert left == f"d {name}(U)"
    point = np.array([[0.25, 0.5], [0.625, 0.75]])
    law = ed.parse(right, "matrix", shapes={"U": (2, 2), "dU": (2, 2)})(U=point, dU=np.ones((2, 2)))
    f = ed.parse(f"{name}(x)")
    slopes = [(f(x=t + 1e-6) - f(x=t - 1e-6)) / 2e-6 for t in point.ravel()]
    np.testing.assert_allclose(law.ravel(), slopes, rtol=1e-7, atol=1e-8)  # central differences


def scalar_cases() -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    for case in CASES:
        for notation in ("matrix", "index"):
            if case.get(notation):
                e = ed.parse(case[notation], notation, shapes=case["shapes"])
                if not e.shape:
                    found.append((f"{case['id']} {notation}", notation, case))
    return found


SCALARS = scalar_cases()
RANK_3 = {"te-13", "te-14", "te-17", "te-20", "te-23"}  # a tensor T or G with three axes


@pytest.mark.parametrize(
    ("name", "notation", "case"), SCALARS, ids=[name for name, _, _ in SCALARS]
)
def test_public_cases_end_with_the_engines_gradient_or_say_why_not(
    name: str, notation: str, case: dict[str, Any]
) -> None:
    e = ed.parse(case[notation], notation, shapes=case["shapes"])
    if case["id"] in RANK_3:
        with pytest.raises((DerivativeError, NotMatrixFormError), match='method="index"'):
            e.explain(case["wrt"], method="differential")
        return
    d = e.explain(case["wrt"], method="differential")
    assert d.steps[-1].after.term is e.diff(case["wrt"]).term
    assert all(step.how for step in d.steps)
    assert joined(d.steps)
    latex = d.latex()
    assert latex.count("{") == latex.count("}") and latex.count("&=") > len(d.steps)


def joined(steps: tuple[Step, ...]) -> bool:
    """Does each step of one left-hand side begin where the one before ends?"""
    same_left = ((p, q) for p, q in pairwise(steps) if str(p.left) == str(q.left))
    return all(p.after.text == q.before.text for p, q in same_left)


MATRICES = ("({}*{})", "({} + {})", "({}.*{})", "({} - 2*{})")
LEAVES = ("X", "X'", "A", "B", "inv(X)", "exp(X)", "x*a'", "diag(x)", "tanh(X)", "(a'*x)*A")
SCALAR_FORMS = (
    "tr({0})", "a'*{0}*x", "norm2({0})^2", "sum({0})", "x'*{0}'*b", "tr({0}*{1})",
    "x'*{0}*diag({1})", "tr({0})*(x'*x)", "(a'*{0}*x)/norm2(x)", "sum({0}*{1}*x)", "a'*softmax({0}*x)",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_random_functions_have_the_gradient_of_complex_steps(seed: int) -> None:
    rng = random.Random(seed)

    def matrix() -> str:
        if rng.random() < 0.5:
            return rng.choice(LEAVES)
        return rng.choice(MATRICES).format(rng.choice(LEAVES), rng.choice(LEAVES))

    text = rng.choice(SCALAR_FORMS).format(matrix(), matrix())
    wrt = rng.choice(["X", "x"])
    if wrt not in text.replace("exp", ""):
        text += f" + tr(X)*(a'*{wrt})" if wrt == "x" else " + tr(X)"
    print(f"seed {seed}: {text} by {wrt}")
    d = derivation(text, wrt)
    f = ed.parse(text, "matrix", shapes={n: SHAPES[n] for n in ("X", "A", "B", "x", "a", "b")})
    point = {n: POINT[n].astype(complex) for n in ("X", "A", "B", "x", "a", "b")}
    columns = []
    for k in range(POINT[wrt].size):
        moved = point[wrt].copy()
        moved.reshape(-1)[k] += 1e-30j
        columns.append(f({**point, wrt: moved}, sizes=SIZES).imag / 1e-30)
    expected = np.reshape(columns, POINT[wrt].shape)
    for step in d.steps:
        if str(step.left).startswith("∂"):
            found = (
                value(str(step.before), wrt, POINT[wrt]),
                value(str(step.after), wrt, POINT[wrt]),
            )
            size = 1 + np.abs(expected).max()
            for side in found:
                np.testing.assert_allclose(side / size, expected / size, rtol=0, atol=1e-11)


# ---------------------------------------------------------------- refusals


def refusal(text: str, wrt: str, **more: Any) -> str:
    with pytest.raises(EinderivError) as caught:
        ed.parse(text, **more).explain(wrt, method="differential")
    return str(caught.value)


def test_an_expression_with_axes_is_refused() -> None:
    assert refusal("y[i] = A[i,j]*x[j]", "x") == (
        "the differential method derives scalars, the expression has 1 axis\n"
        "  its axes are i\n"
        "  it reads off dF = tr(G'*dX)\n"
        '  method="index" derives it entry by entry'
    )


def test_a_variable_with_three_axes_is_refused() -> None:
    assert refusal("T[i,j,k]*x[i]*y[j]*z[k]", "T") == (
        "the differential method derives by numbers, columns and matrices, T has 3 axes\n"
        "  a trace tr(G'*dX) sums over rows and columns\n"
        '  method="index" derives it entry by entry'
    )


def test_a_part_without_matrix_form_is_named() -> None:
    shown = refusal("T[i,j,k]*x[i]*y[j]*z[k]", "x")
    assert shown.startswith(
        "the differential method needs matrix notation: "
        "no matrix form for T[i,j,k], which has 3 axes"
    )
    assert shown.endswith('method="index" derives it entry by entry')


def test_a_differential_without_matrix_form_is_named() -> None:
    shown = refusal("sum(prodexcept(x).*a)", "x", notation="matrix")
    assert "no matrix form for the differential of prodexcept(x)" in shown


def test_lines_that_nobody_reads_are_refused() -> None:
    lines = ["h0 = tanh(W0*x)"]
    lines += [f"h{k} = h{k - 1} + tanh(W{k}*h{k - 1})" for k in range(1, 12)]
    square = {f"W{k}": ("n", "n") for k in range(12)}
    shown = refusal("\n".join([*lines, "y'*h11"]), "x", notation="matrix", shapes=square)
    assert shown.startswith("this derivation is too long for the differential method")
    assert shown.endswith('method="adjoint" lists it in rows of a line each')
