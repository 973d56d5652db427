"""LaTeX means what index notation, or matrix notation where no index stands, means."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

import einderiv as ed
from einderiv.notations.latex import read_latex
from tests.notation_table import ROWS

CASES = json.loads(
    (Path(__file__).parents[1] / "cases" / "matrix_calculus.json").read_text(encoding="utf-8")
)


def same(first: ed.Expression, second: ed.Expression) -> bool:
    return first == second or bool(ed.equal(first, second))


# ---------------------------------------------------------------- indices

INDEXED = [
    # as LaTeX, as index notation
    (r"X_{ab}\theta_b", "X[a,b]*theta[b]"),
    (r"X_{a,b} \theta_b", "X[a,b]*theta[b]"),
    (r"X_{a b} \cdot \theta_b", "X[a,b]*theta[b]"),
    (r"\tilde X_{ab} \hat{y}_b", "X_tilde[a,b]*y_hat[b]"),
    (r"\mathbf{X}_{ab} \boldsymbol\theta_b", "X[a,b]*theta[b]"),
    (r"\beta_1 x_i + \beta_{2} y_i", "beta1*x[i] + beta2*y[i]"),
    (r"X_{ij}^T y_j", "X[j,i]*y[j]"),
    (r"X^\top_{ij} y_j", "X[j,i]*y[j]"),
    (r"(X^{\mathsf T})_{ij} y_j", "X[j,i]*y[j]"),
    (r"X'_{ij} y_j", "X[j,i]*y[j]"),
    (r"X_{ij}^{-1} y_j", "inv(X)[i,j]*y[j]"),
    (r"(X^{-1})_{ij} y_j", "inv(X)[i,j]*y[j]"),
    (r"X^{-T}_{ij} y_j", "inv(X)[j,i]*y[j]"),
    (r"{X_{ij}}^{-1} y_j", "y[j]/X[i,j]"),
    (r"(AB)_{ij} x_j", "A[i,k]*B[k,j]*x[j]"),
    (r"(A + B)_{ij} x_j", "(A[i,j] + B[i,j])*x[j]"),
    (r"((A + B)^{-1})_{ij} x_j", "inv[r,c](A[r,c] + B[r,c])[i,j]*x[j]"),
    (r"\left[A^T (A x - y)\right]_d", "A[a,d]*(A[a,b]*x[b] - y[a])"),
    (r"\delta_{ij} x_j", "delta[i,j]*x[j]"),
    (r"\varepsilon_{ijk} a_j b_k", "eps[i,j,k]*a[j]*b[k]"),
    (r"\mathbf{1}_i x_i", "ones[i]*x[i]"),
    (r"\sum_i x_i", "sum[i](x[i])"),
    (r"\sum_{i=1}^n x_i y_i", "x[i]*y[i]"),
    (r"\sum_{i,j} X_{ij}", "sum[i,j](X[i,j])"),
    (r"\sum_i \sum_j X_{ij} y_j", "sum[i](X[i,j]*y[j])"),
    (r"\sum_i x_i^2 + c", "sum[i](x[i]^2) + c"),
    (r"\left(\sum_i x_i\right)^2", "sum[i](x[i])^2"),
    (r"\prod_i x_i", "prod[i](x[i])"),
    (r"\sum_n (t_n - w_k \phi_{nk})^2", "sum[n]((t[n] - w[k]*phi[n,k])^2)"),
    (r"\max_i(x_i) y", "max[i](x[i])*y"),
    (r"\max(a_i, b_i)^2 c_i", "max(a[i], b[i])^2*c[i]"),
    (r"\max_i (x_i)^2", "max[i](x[i]^2)"),
    (r"\prod_i (x_i + c)^2", "prod[i]((x[i] + c)^2)"),
    (r"\sum_i |x_i|^3", "sum[i](abs(x[i])^3)"),
    (r"\max_i x_i + \min_j y_j", "max[i](x[i]) + min[j](y[j])"),
    (r"y_i = \max(a_i, b_i)", "y[i] = max(a[i], b[i])"),
    (r"\operatorname{softmax}_j(X_{ij})", "softmax[j](X[i,j])"),
    (r"\frac{x_i}{2}", "x[i]/2"),
    (r"\frac12 x_i", "x[i]/2"),
    (r"\frac{x_i y_i}{z_i}", "x[i]*y[i]/z[i]"),
    (r"\frac{1}{x_i y_i}", "1/(x[i]*y[i])"),
    (r"\operatorname{cholesky}\left({S_{0}}\right)_{ij} x_j", "cholesky(S0)[i,j]*x[j]"),
    (r"\left({R_{1}}^{-1}\right)_{bij} x_j", "inv(R1)[b,i,j]*x[j]"),
    (r"\dfrac{a_i b_i}{c_j d_j}", "a[i]*b[i]/(c[j]*d[j])"),
    (r"\sqrt{x_i x_i}", "sqrt(x[i]*x[i])"),
    (r"\sqrt[3]{x_i}", "x[i]^(1/3)"),
    (r"|x_i| + \lvert y_i \rvert", "abs(x[i]) + abs(y[i])"),
    (r"e^{-x_i}", "exp(-x[i])"),
    (r"\exp\left(-x_i\right)", "exp(-x[i])"),
    (r"\log x_i + 1", "log(x[i]) + 1"),
    (r"\sin^2 x_i", "sin(x[i])^2"),
    (r"\log(x_i)^2", "log(x[i])^2"),
    (r"\sin x_i \cos y_i", "sin(x[i])*cos(y[i])"),
    (r"\log \sum_i \exp(A_{ij} x_j)", "log(sum[i](exp(A[i,j]*x[j])))"),
    (r"\sigma(W_{ij} x_j)", "sigmoid(W[i,j]*x[j])"),
    (r"\sigma x_i", "sigma*x[i]"),
    (r"-\sum_i y_i \log \sigma(X_{ij} w_j)", "-sum[i](y[i]*log(sigmoid(X[i,j]*w[j])))"),
    (r"\exp \sin \operatorname{relu}(x_i) y_i", "exp(sin(relu(x[i])))*y[i]"),
    (r"y_i = x_i z_i", "y[i] = x[i]*z[i]"),
    (r"J(\theta) = \theta_i \theta_i", "theta[i]*theta[i]"),
    (r"\frac{\partial J}{\partial \theta_d} = X_{ad} r_a", "X[a,d]*r[a]"),
    (r"\log\det(A) x_i", "logdet(A)*x[i]"),
    (r"\operatorname{tr}(A) x_i", "tr(A)*x[i]"),
    (r"\begin{equation} y_i = A_{ij} x_j \end{equation}", "y[i] = A[i,j]*x[j]"),
    (r"$$\displaystyle y_i = A_{ij}\, x_j .$$", "y[i] = A[i,j]*x[j]"),
    (r"\begin{align} r_a &= X_{ab} w_b \\ J &= r_a r_a \end{align}", "(X[a,b]*w[b])*(X[a,c]*w[c])"),
    (r"y_i = A_{ij} x_j = z_i", "z[i]"),
    (r"= \frac{2}{n} x_i, \qquad (A.20)", "2/n*x[i]"),
]


@pytest.mark.parametrize(("latex", "index"), INDEXED)
def test_latex_with_subscripts_is_index_notation(latex: str, index: str) -> None:
    assert same(ed.parse(latex, notation="latex"), ed.parse(index))


# ---------------------------------------------------------------- matrices

MATRICES = [
    (r"X^\top(Xw - y)", "X'*(X*w - y)"),
    (r"X^T X", "X'*X"),
    (r"x^\top A x", "x'*A*x"),
    (r"(A + B)^{-1} x", "inv(A + B)*x"),
    (r"A^{-\top} x", "inv(A')*x"),
    (r"\|Xw - y\|_2^2", "norm2(X*w - y)^2"),
    (r"\lVert X \rVert_F^2", "norm2(X)^2"),
    (r"\|w\|_1", "norm1(w)"),
    (r"\operatorname{tr}(A X B)", "tr(A*X*B)"),
    (r"\text{Tr}\left(A X\right)", "tr(A*X)"),
    (r"Tr(AB)", "tr(A*B)"),
    (r"\det A", "det(A)"),
    (r"\log\det(A)", "logdet(A)"),
    (r"\exp(A x)^\top y", "exp(A*x)'*y"),
    (r"A \odot B", "A.*B"),
    (r"(X^\top X + I) w", "(X'*X + eye)*w"),
    (r"\mathbf{1}^\top x", "vector(1)'*x"),
    (r"\frac12 \|x\|^2", "0.5*norm2(x)^2"),
    (r"\|x\|^2/n", "n : (); norm2(x)^2/n"),
    (
        r"F(X) = \operatorname{Tr}(AXB) \implies \frac{\partial F}{\partial X} = A^\top B^\top",
        "A'*B'",
    ),
    (r"-\frac{1}{2} x^{\top} (Q + Q^{\top}) x", "-0.5*x'*(Q + Q')*x"),
]


@pytest.mark.parametrize(("latex", "matrix"), MATRICES)
def test_latex_without_subscripts_is_matrix_notation(latex: str, matrix: str) -> None:
    assert same(ed.parse(latex, notation="latex"), ed.parse(matrix, notation="matrix"))


@pytest.mark.parametrize("name", ["X_tilde", "Xtilde", "tilde_X", "tildeX"])
def test_an_accented_letter_has_the_name_that_is_declared(name: str) -> None:
    e = ed.parse(r"\tilde{X}\theta", notation="latex", shapes={name: ("n", "d")})
    assert set(e.variables) == {name, "theta"}


# ---------------------------------------------------------------- the notes, as they stand

SQUARE = "(X_tilde[a,b]*theta[b]-Y_tilde[a])*(X_tilde[a,c]*theta[c]-Y_tilde[a])/n"
SHAPES = {"X_tilde": ("n", "d"), "theta": ("d",), "Y_tilde": ("n",)}
NOTES = [
    # file, a part of the formula, shapes, the same in index notation
    ("mit", r"\tag{A.17}", {}, SQUARE),
    ("mit", r"\qquad (A.15)", SHAPES, SQUARE),
    ("mit", r"\tag{A.16}", SHAPES, "2/n*X_tilde[a,d]*(X_tilde[a,b]*theta[b]-Y_tilde[a])"),
    ("mit", r"\tag{A.19}", {}, "2/n*X_tilde[a,d]*(X_tilde[a,b]*theta[b]-Y_tilde[a])"),
    ("mit", r"\qquad (A.20)", {}, "2/n*X_tilde[a,d]*(X_tilde[a,b]*theta[b]-Y_tilde[a])"),
    ("mit", r"\tag{A.21}", {}, "2/n*X_tilde[a,d]*(X_tilde[a,b]*theta[b]-Y_tilde[a])"),
    ("mit", r"\qquad (A.22)", {}, "2/n*X_tilde[a,d]*(X_tilde[a,b]*theta[b]-Y_tilde[a])"),
    ("mit", r"\tag{A.4}", {}, "Y[j,i] = A[i,j]"),
    ("mit", r"\tag{A.5}", {}, "A[i,j]"),
    ("mit", r"A_{j,k} \mathbf{x}_{k}", {}, "y[j] = A[j,k]*x[k]"),
    ("carson", r"= \delta_{ik} x_l", {}, "J[i,k,l] = delta[i,k]*x[l]"),
    ("carson", r"\delta_{rl} C_{rj}", {}, "J[i,j,k,l] = delta[i,k]*C[l,j]"),
    ("carson", r"a^{\mathsf{T}} X b = a b", {}, "a[i]*b[j]"),
    ("carson", r"x^{\mathsf{T}} a = a^{\mathsf{T}}", {}, "a[i]"),
    ("washington", r"\Rightarrow \frac{\partial f}{\partial x} = x^{\top}", {},
     "x[j]*(Q[j,i] + Q[i,j]) + b[i]"),
    ("washington", r"\operatorname{Tr}(C^{\top}X) \implies", {}, "C[i,j]"),
    ("washington", r"\operatorname{Tr}(b a^{\mathsf{T}} X) \implies", {}, "a[i]*b[j]"),
    ("washington", r"\operatorname{Tr}(BAX) \implies", {}, "Y[j,k] = A[i,j]*B[k,i]"),
    ("washington", r"Tr(ABCD) =", {}, "B[i,j]*C[j,k]*D[k,l]*A[l,i]"),
    ("washington", r"f(X) = a^{\mathsf{T}} X^{\mathsf{T}}", {},
     "a[i]*X[j,i]*inv[r,c](A[r,c] + X[r,k]*B[k,c])[j,l]*X[l,m]*b[m]"),
    ("washington", r"\left(x^{\top}(Q + Q^{\top}) + b^{\top}\right) \Delta x", {},
     "(x[j]*(Q[j,i] + Q[i,j]) + b[i])*x_Delta[i]"),
    ("washington", r"\tag{2}", {}, "x_Delta[i]*Q[i,j]*x[j] + x[i]*Q[i,j]*x_Delta[j] + b[i]*x_Delta[i]"),
]  # fmt: skip
# Copied from the notes, so that the test needs no file beside the project.
FORMULAS = json.loads((Path(__file__).parent / "notes_latex.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("note", "part", "shapes", "index"), NOTES)
def test_a_formula_of_the_notes_reads_as_it_stands(
    note: str, part: str, shapes: dict[str, Any], index: str
) -> None:
    (formula,) = [text for text in FORMULAS[note] if part in text][:1]
    assert same(ed.parse(formula, notation="latex", shapes=shapes), ed.parse(index, shapes=shapes))


# ---------------------------------------------------------------- reading back, and mistakes


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_printed_latex_reads_back(case: dict[str, Any]) -> None:
    shapes = {name: tuple(axes) for name, axes in case["shapes"].items()}
    e = ed.parse(case["index"], shapes=shapes)
    d = (
        e.diff(case["wrt"], case["wrt2"])
        if "wrt2" in case
        else e.diff(case["wrt"], order=case["order"])
    )
    for one in (e, d):
        assert same(ed.parse(one.latex(), notation="latex", shapes=one.variables), one)


def test_a_sum_over_a_quotient_is_not_printed_below_the_line() -> None:
    for text in ("sum[i](c/x[i]/y[i])", "z[i]/x[i]/y[i]"):
        e = ed.parse(text)
        assert same(ed.parse(e.latex(), notation="latex"), e)


REFUSED = [
    (r"\sin x y", r"\sin x y has two readings", r"\sin(x) times what follows, or \sin(x y)"),
    (r"1/2x", "1/2x has two readings", "(... / 2) x, or ... / (2 x)"),
    (r"a/b c", "a/b c has two readings", "(... / b) c, or ... / (b c)"),
    (r"f(x+1)", "f(x+1) has two readings", "a product of f and (x+1), or a function f"),
    (
        r"\mathrm{loss}(x)",
        r"\mathrm{loss}(x) has two readings",
        "a product of loss and (x), or a function loss",
    ),
    (r"x_ij y_j", "j stands beside indices, and is an index elsewhere", "x_ij is x_i times j"),
    (
        r"X_{12}",
        "the subscript of X_{12} has two readings",
        "a name that ends in 12, or one entry",
    ),
    (
        r"\sum_i a_i + b_i",
        r"\sum_i a_i + b_i has two readings",
        "the sum over i ends before the sign",
    ),
    (r"A^{ij} x_j", "the superscript {ij} has two readings", "upper indices, or a power"),
    (r"|A|", "|A| has two readings", "the absolute values of the entries, or the determinant"),
    (r"\foo x", r"the command \foo is not known", "read are letters, accents"),
    (r"\alfa x", r"the command \alfa is not known", "read are letters"),
    (r"x_i^", "the formula ends where an operand is missing", "expected a letter"),
    (
        r"\frac{\partial f}{\partial x} y",
        "a derivative stands in the formula",
        "differentiated afterwards",
    ),
    (r"\|x\| y_i", "a norm stands beside indices", "every axis has its index"),
    (r"X^T y_i", "a transpose stands without indices beside indices", "a transpose exchanges them"),
    (r"\sum x_i", r"\sum without an index", "it runs over the indices below it"),
    (r"x_{i+1}", "i+1 stands as an index", "an index is a letter"),
    (r"(x_i", "the bracket ( is never closed", "a line end"),
    (r"\int x", r"the command \int cannot be read", "an integral has no term"),
    ("", "there is no formula", "the text is empty"),
    (r"x, y", "a comma stands outside of scripts", "commas separate indices"),
    (r"_i", "a subscript stands behind nothing", "scripts belong to what stands before them"),
    (r"x_i_j", "two subscripts", "a letter has one"),
]


@pytest.mark.parametrize(("text", "message", "fact"), REFUSED)
def test_what_cannot_be_read_is_refused_with_a_reason_and_a_way_out(
    text: str, message: str, fact: str
) -> None:
    with pytest.raises(ed.EinderivError) as caught:
        ed.parse(text, notation="latex")
    assert caught.value.message == message
    assert fact in str(caught.value)
    assert caught.value.hint


def test_damaged_formulas_raise_only_our_errors() -> None:
    rng = random.Random(7)
    texts = [row.latex for row in ROWS if row.latex] + [latex for latex, _ in INDEXED]
    pieces = [
        *sorted({c for text in texts for c in text}),
        r"\frac",
        r"\sum_",
        r"\|",
        "{",
        "}",
        "²",
        "\\",
    ]
    for _ in range(3000):
        text = list(rng.choice(texts))
        for _ in range(rng.randrange(1, 4)):
            place = rng.randrange(len(text) + 1)
            text[place : place + rng.randrange(2)] = rng.choice([[], [rng.choice(pieces)]])
        try:
            read_latex("".join(text))
        except ed.EinderivError as error:
            assert re.search(r"\w", str(error))


DEEP = ["{" * 20000 + "x" + "}" * 20000, "(" * 20000 + "x_i" + ")" * 20000,
        r"\frac{1}{" * 5000 + "2" + "}" * 5000, "(" * 3000 + "A" + "+B)" * 3000 + "_{ij}"]  # fmt: skip


@pytest.mark.parametrize("text", DEEP, ids=range(len(DEEP)))
def test_depth_needs_no_recursion(text: str) -> None:
    assert read_latex(text).term is not None
