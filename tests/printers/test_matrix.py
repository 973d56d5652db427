"""Matrix forms say what the terms say: NumPy, which knows nothing of terms, evaluates the printed trees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einderiv as ed
from einderiv.printers.matrix import matrix_text_of, nearest_tree
from tests.matrix_oracle import Evaluator
from tests.random_programs import random_program

CASES = json.loads(
    (Path(__file__).parents[1] / "cases" / "matrix_calculus.json").read_text(encoding="utf-8")
)
SIZES = {"m": 3, "n": 4, "p": 5, "q": 2, "r": 6, "s": 7}


def derivative(case: dict[str, Any]) -> ed.Expression:
    e = ed.parse(case["index"], shapes={k: tuple(v) for k, v in case["shapes"].items()})
    if "wrt2" in case:
        return e.diff(case["wrt"], case["wrt2"])
    return e.diff(case["wrt"], order=case["order"])


def arrays_of(e: ed.Expression, rng: np.random.Generator) -> dict[str, Any]:
    """Positive entries, square matrices well conditioned."""
    arrays = {}
    for name, axes in e.variables.items():
        shape = tuple(SIZES[str(axis)] for axis in axes)
        x = rng.uniform(0.3, 1.0, shape)
        if len(shape) == 2 and shape[0] == shape[1]:
            x = x + 4 * np.eye(shape[0])
        arrays[name] = x
    return arrays


def evaluated(e: ed.Expression, arrays: dict[str, Any], sizes: dict[str, int]) -> Any:
    text = matrix_text_of(e.term, e._context)
    return np.squeeze(Evaluator(arrays, sizes).text(text))


SMALL = [case for case in CASES if len(derivative(case).shape) <= 2]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case["id"])
def test_the_matrix_form_of_a_case_has_the_value_of_its_derivative(case: dict[str, Any]) -> None:
    d = derivative(case)
    if not case["matrix"]:  # not written in matrices to begin with
        try:
            d.matrix()
        except ed.NotMatrixFormError:
            return
    arrays = arrays_of(d, np.random.default_rng(5))
    np.testing.assert_allclose(evaluated(d, arrays, SIZES), np.squeeze(d(arrays)), rtol=1e-10)


def test_at_least_95_percent_of_the_small_cases_have_a_matrix_form() -> None:
    printed = 0
    for case in SMALL:
        try:
            printed += bool(derivative(case).matrix())
        except ed.NotMatrixFormError as error:
            assert "no matrix form for" in str(error)
    assert printed >= 0.95 * len(SMALL), f"{printed} of {len(SMALL)}"


FORMS = [
    # the derivative's form, as it stands in the tables
    ("(X[a,b]*th[b]-Y[a])*(X[a,c]*th[c]-Y[a])/n", "th", "2/n*X'*(X*th - Y)"),
    ("x[i]*Q[i,j]*x[j]", "x", "(Q + Q')*x"),
    ("a[i]*X[i,j]*b[j]", "X", "a*b'"),
    ("A[i,j]*X[j,k]*B[k,i]", "X", "A'*B'"),
    ("a[i]*inv(X)[i,j]*b[j]", "X", "-inv(X)'*a*b'*inv(X)'"),
    ("det(X)", "X", "det(X)*inv(X)'"),
    ("logdet(X)", "X", "inv(X)'"),
    ("y[i] = A[i,j]*x[j]", "x", "A"),
    ("y[i] = x[j]*A[j,i]", "x", "A'"),
    ("y[i] = sin(x[i])", "x", "diag(cos(x))"),
    ("X[i,i]", "X", "eye(i)"),
    ("sum[i,j](X[i,j])", "X", "ones(i, j)"),
    ("sum[i](x[i])", "x", "ones(i)"),
    ("c*sum[i](x[i])", "x", "c*ones(i)"),
    ("X[i,j]*X[i,j]", "X", "2*X"),
    ("sqrt(X[i,j]*X[i,j])", "X", "X/norm2(X)"),
    ("sqrt(x[i]*x[i])", "x", "x/norm2(x)"),
    ("sum[i,j](A[i,j]*X[i,j]^2)", "X", "2*(A.*X)"),
    ("sum[i](A[i,j]*B[i,j]*x[j])", "x", "diag(A'*B)"),
    ("y[i] = A[i,j]*B[i,j]", "B", None),
    ("sum[i](log(x[i]))", "x", "1./x"),
    ("sum[i](y[i]/x[i])", "x", "-y./x.^2"),
    ("X[i,j]*X[j,k]*X[k,l]*X[l,i]", "X", "4*(X^3)'"),
    ("max(a, b)*c", "a", "c*(sign(a - b) + 1)/2"),
    ("sum[i](relu(A[i,j]*x[j] - b[i]))", "x", "A'*step(A*x - b)"),
    ("logsumexp[i](A[i,j]*x[j])", "x", "A'*softmax(A*x)"),
    ("sum[i](where(x[i] > 0, a[i]*x[i], x[i]^2))", "a", "x.*where(x > 0, 1, 0)"),
]


@pytest.mark.parametrize(("text", "wrt", "form"), FORMS)
def test_a_derivative_is_written_as_in_the_tables(text: str, wrt: str, form: str | None) -> None:
    d = ed.parse(text).diff(wrt)
    if form is None:
        with pytest.raises(ed.NotMatrixFormError):
            d.matrix()
    else:
        assert d.matrix() == form


VALUES = [
    # the expression's form
    ("X[i,i]", "tr(X)"),
    ("A[i,j]*B[i,j]", "tr(A'*B)"),
    ("(A[i,j]-B[i,j])*(A[i,j]-B[i,j])", "norm2(A - B)^2"),
    ("x[i]*A[i,j]*B[j,k]*y[k]", "x'*A*B*y"),
    ("sum[i](a[i]*b[i]*c[i])", "sum(a.*b.*c)"),
    ("a[i]*A[i,j]*c[j]*B[j,k]*b[k]", "a'*A*(c.*(B*b))"),
    ("Y[i,k] = A[i,j]*c[j]*B[j,k]", "A*diag(c)*B"),
    ("Y[i,j] = A[i,j]*B[i,j]", "A.*B"),
    ("Y[i,j] = A[j,i]/B[i,j]", "A'./B"),
    ("Y[i,j] = a[i]*b[j]", "a*b'"),
    ("Y[i,j] = a[i]*A[i,j]*b[j]", "diag(a)*A*diag(b)"),
    ("y[i] = A[i,j]*B[i,j]", "diag(A*B')"),
    ("y[i] = A[i,j]*B[i,j]*x[j]", "(A.*B)*x"),
    ("y[i] = A[i,i]*x[i]", "diag(A).*x"),
    ("sum[i,j](A[i,j])", "sum(A)"),
    ("sum[i,j](A[i,j]*x[j])", "sum(A*x)"),
    ("y[i] = sum[j](A[i,j])", "A*ones(j)"),
    ("Y[i,j] = A[i,j] + c", "A + matrix(c)"),
    ("y[i] = x[i] + 1", "x + vector(1)"),
    ("Y[i,j] = A[i,j] + a[i]", "A + a*ones(j)'"),
    ("y[i] = max(x[i], 0)", "max(x, 0)"),
    ("A[i,j]*B[j,k]*C[k,i]", "tr(A*B*C)"),
    ("Y[i,j] = X[i,a]*X[a,b]*X[b,j]", "X^3"),
    ("(x[i]*x[i])^2*c", "c*(x'*x)^2"),
    ("x[i]*A[i,j]*x[j]/(x[k]*x[k])", "x'*A*x/(x'*x)"),
    ("x : (n); sum[i](x[i])/n", "sum(x)/n"),
    ("A[i,j]*B[i,j]*a[i]*b[j]", "a'*(A.*B)*b"),
]


@pytest.mark.parametrize(("text", "form"), VALUES)
def test_an_expression_is_written_as_one_would(text: str, form: str) -> None:
    assert ed.parse(text).matrix() == form


def test_layout_turns_gradients_and_matrices_around() -> None:
    g = ed.parse("x[i]*Q[i,j]*x[j]").grad("x")
    assert (g.matrix("denominator"), g.matrix("numerator")) == ("(Q + Q')*x", "x'*(Q + Q')")
    G = ed.parse("A[i,j]*X[j,k]*B[k,i]").grad("X")
    assert (G.matrix("denominator"), G.matrix("numerator")) == ("A'*B'", "B*A")
    J = ed.parse("y[i] = A[i,j]*x[j]").jacobian("x")
    assert (J.matrix("numerator"), J.matrix("denominator")) == ("A", "A'")
    assert ed.parse("y[i] = A[i,j]*x[j]").matrix("numerator") == "A*x"  # no derivative: a column
    t = ed.parse("y[i] = A[i,j]*x[j]*t").diff("t")
    assert (t.matrix("numerator"), t.matrix("denominator")) == ("A*x", "x'*A'")
    back = ed.parse("y[i] = A[i,j]*x[j]").diff("x", layout="denominator")
    assert (back.matrix(), back.matrix("numerator"), back.matrix("denominator")) == (
        "A'",
        "A",
        "A'",
    )


def test_declarations_make_the_text_stand_alone() -> None:
    e = ed.parse("X : (n, d); Q : (d, d) symmetric; c : (); X[i,j]*Q[j,k]*X[i,k]/n*c")
    assert e.matrix(declarations=True) == (
        "X : (n, d)\nQ : (d, d) symmetric\nc : ()\nc*tr(X'*X*Q)/n"
    )


def test_a_shared_part_is_defined_once() -> None:
    e = ed.parse(
        "r[i] = tanh(A[i,j]*x[j] - b[i])*sigmoid(A[i,j]*x[j] - b[i])\nr[i]*B[i,j]*r[j]*exp(r[k]*r[k])"
    )
    assert e.matrix().splitlines() == [
        "r = sigmoid(A*x - b).*tanh(A*x - b)",
        "exp(r'*r)*(r'*B*r)",
    ]


NEAREST = [
    ("Y[i,l] = A[i,j]*X[j,k]*B[k,l]", "X", "kron(B', A)"),
    ("Y[i,l] = A[i,j]*X[k,j]*B[k,l]", "X", "kron(B', A)*K(k, j)"),
    ("Y[i,j] = X[j,i]", "X", "kron(eye(j), eye(i))*K(j, i)"),
    ("Y[i,j] = inv(X)[i,j]", "X", "-kron(inv(X)', inv(X))"),
    ("Y[i,j] = X[i,k]*X[k,j]", "X", "kron(X', eye(i)) + kron(eye(i), X)"),
    ("Y[i,j] = tanh(X[i,j])", "X", "diag(vec(matrix(1) - tanh(X).^2))"),
    ("y[i] = X[i,j]*w[j]", "X", "kron(w', eye(i))"),
    ("y[i] = X[j,i]*w[j]", "X", "kron(eye(i), w')"),
    ("Y[i,j] = x[i]*x[j]", "x", "kron(eye(i), x) + kron(x, eye(i))"),
    ("Y[i,j] = c[k]*x[k]*A[i,j]", "x", "vec(A)*c'"),
    ("Y[i,j] = A[i,j]*B[k,l]*X[k,l]", "X", "vec(A)*vec(B)'"),
    ("y[i] = b[i]*A[k,l]*X[k,l]", "X", "b*vec(A)'"),
    ("Y[i,j] = A[i,j]*X[i,j]", "X", "diag(vec(A))"),
]


@pytest.mark.parametrize(("text", "wrt", "form"), NEAREST)
def test_a_larger_derivative_names_its_nearest_form(text: str, wrt: str, form: str) -> None:
    with pytest.raises(ed.NotMatrixFormError) as caught:
        ed.parse(text).diff(wrt).matrix()
    assert f"stacked by vec: {form}" in str(caught.value)


@pytest.mark.parametrize(("text", "wrt", "form"), NEAREST)
def test_the_nearest_form_maps_stacked_columns(text: str, wrt: str, form: str) -> None:
    e = ed.parse(text)
    d = e.diff(wrt)
    rng = np.random.default_rng(3)
    square = len({axis for axes in e.variables.values() for axis in axes}) == 1
    sizes = {str(a): 3 if square else 2 + k for k, a in enumerate(sorted(
        {axis for axes in e.variables.values() for axis in axes}, key=str))}  # fmt: skip
    arrays = {
        n: rng.uniform(0.3, 1.0, [sizes[str(a)] for a in axes]) for n, axes in e.variables.items()
    }
    rows = len(e.shape)
    tree = nearest_tree(d.term, rows, d._context)
    assert tree is not None
    value = np.asarray(d(arrays))
    stacked = value.reshape(
        int(np.prod(value.shape[:rows])), *value.shape[rows:], order="F"
    ).reshape(int(np.prod(value.shape[:rows])), -1, order="F")
    np.testing.assert_allclose(Evaluator(arrays, sizes).value(tree), stacked, rtol=1e-12)


def test_a_part_without_a_form_is_named_with_its_axes() -> None:
    with pytest.raises(ed.NotMatrixFormError) as caught:
        ed.parse("T[i,j,k]*x[i]*y[j]*z[k]").matrix()
    assert str(caught.value) == (
        "no matrix form for T[i,j,k], which has 3 axes\n"
        "  matrix notation has numbers, columns and matrices: 2 axes at most\n"
        "  it stands in T[i,j,k]*x[i]*y[j]*z[k]\n"
        "  index notation shows it: print the expression, or ask for its LaTeX"
    )


def test_three_matrices_at_one_summed_index_have_no_form() -> None:
    # A_ij B_ik C_il with all of j, k, l at further matrices: no order of products sums i
    text = "Y[j] = A[i,j]*B[i,k]*C[i,l]*D[k,l]*E[k,j]*F[l,j]"
    with pytest.raises(ed.NotMatrixFormError, match="no matrix form for"):
        ed.parse(text).matrix()


@pytest.mark.parametrize("seed", range(60))
def test_random_derivatives_have_the_value_of_their_matrix_form(seed: int) -> None:
    program = random_program(seed).sampled()
    if program is None:
        pytest.skip("no sample away from kinks")
    e = ed.parse(program.text, shapes=program.shapes, assume=program.assume)
    arrays = program.arrays
    sizes = {str(d): s for n, x in arrays.items()
             for d, s in zip(e.variables[n], np.shape(x), strict=True)}  # fmt: skip
    for d in [e, *([e.diff(name) for name in e.variables] if not e.shape else [])]:
        try:
            value = evaluated(d, arrays, sizes)
        except ed.NotMatrixFormError:
            continue
        np.testing.assert_allclose(
            value, np.squeeze(d(arrays)), rtol=1e-8, atol=1e-10, err_msg=f"seed {seed}"
        )


ROWS = [
    ("y[i] = logsumexp[j](A[i,j])", "log(exp(A)*ones(j))"),
    ("Y[i,j] = softmax[j](A[i,j])", "exp(A)./(exp(A)*ones(j, j))"),
    ("Y[i,j] = logsoftmax[j](A[i,j])", "A - log(exp(A)*ones(j))*ones(j)'"),
    ("Y[i,j] = softmax[i,j](A[i,j])", "exp(A - matrix(logsumexp(A)))"),
    ("Y[i,j] = logsoftmax[i,j](A[i,j])", "A - matrix(logsumexp(A))"),
]


@pytest.mark.parametrize(("text", "form"), ROWS)
def test_normalisations_of_a_matrix_are_written_out(text: str, form: str) -> None:
    e = ed.parse(text)
    assert e.matrix() == form
    assert ed.equal(ed.parse(form, notation="matrix", shapes=e.variables), e)
