"""Matrix notation means what MATLAB's reader expects, and the same terms as index notation."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einderiv as ed
from einderiv.errors import EinderivError
from einderiv.expressions.expression import Expression
from einderiv.notations.matrix import elaborate_matrix, parse_matrix

CASES = Path(__file__).resolve().parents[1] / "cases" / "matrix_calculus.json"


def read(text: str, shapes: Any = None, assume: Any = None) -> Expression:
    return Expression(*elaborate_matrix(parse_matrix(text), shapes, assume))


# ---------------------------------------------------------------- the same terms as with indices

SCALARS = "c : (); d : (); "
SAME = [  # matrix notation, index notation
    ("x", "y[i] = x[i]"),
    ("x'", "y[i] = x[i]"),
    ("A", "Y[i,j] = A[i,j]"),
    ("A'", "Y[i,j] = A[j,i]"),
    ("A''", "Y[i,j] = A[i,j]"),
    ("A*x", "A[i,j]*x[j]"),
    ("x'*A", "A[i,j]*x[i]"),
    ("A'*x", "y[i] = A[j,i]*x[j]"),
    ("A*B", "A[i,j]*B[j,k]"),
    ("A*B*C", "A[i,j]*B[j,k]*C[k,l]"),
    ("A*(B*C)", "A[i,j]*(B[j,k]*C[k,l])"),
    ("(A*B)'", "Y[k,i] = A[i,j]*B[j,k]"),
    ("A'*B'", "Y[i,k] = A[j,i]*B[k,j]"),
    ("A*B' - C", "A[i,j]*B[k,j] - C[i,k]"),
    ("x'*y", "x[i]*y[i]"),
    ("x*y'", "x[i]*y[j]"),
    ("x'*A*x", "x[i]*A[i,j]*x[j]"),
    ("x*x'*x", "y[i] = x[i]*x[j]*x[j]"),
    ("x'*y*z", "u[k] = x[i]*y[i]*z[k]"),
    ("z*(x'*y)", "u[k] = z[k]*(x[i]*y[i])"),
    ("x'*A*x*y'", "z[k] = x[i]*A[i,j]*x[j]*y[k]"),
    (SCALARS + "c*A", "c*A[i,j]"),
    (SCALARS + "A*c", "c*A[i,j]"),
    (SCALARS + "A/c", "A[i,j]/c"),
    (SCALARS + "c*A*d*x/c", "d*A[i,j]*x[j]"),
    (SCALARS + "c^d", "c^d"),
    (SCALARS + "c^(1/3)", "c^(1/3)"),
    (SCALARS + "c'", "c"),
    (SCALARS + "c + d", "c + d"),
    ("2*x - x/3", "5/3*x[i]"),
    ("x.*y", "z[i] = x[i]*y[i]"),
    ("x.*y.*z", "u[i] = x[i]*y[i]*z[i]"),
    ("x./y", "z[i] = x[i]/y[i]"),
    ("1./x", "1/x[i]"),
    ("2.*x", "2*x[i]"),
    (SCALARS + "c./x./d", "c/x[i]/d"),
    ("x.^2", "z[i] = x[i]^2"),
    ("x.^y", "z[i] = x[i]^y[i]"),
    ("2.^x", "2^x[i]"),
    (SCALARS + "x.^c", "x[i]^c"),
    ("x.^-1", "1/x[i]"),
    ("-x.^2", "-x[i]^2"),
    ("A.*B", "Y[i,j] = A[i,j]*B[i,j]"),
    ("A./B'", "Y[i,j] = A[i,j]/B[j,i]"),
    ("(A.*B)*x", "y[i] = A[i,j]*B[i,j]*x[j]"),
    ("(x.*y)'*z", "x[i]*y[i]*z[i]"),
    ("A.*B*x", "y[i] = A[i,j]*B[i,j]*x[j]"),
    ("X^3", "X[i,j]*X[j,k]*X[k,l]"),
    ("X^1*A", "X : (n, n); X[i,j]*A[j,k]"),
    ("X^-1", "inv(X)[i,j]"),
    ("X^(-2)", "inv(X)[i,j]*inv(X)[j,k]"),
    ("X^0*x", "y[i] = x[i]"),
    ("tr(X)", "X[i,i]"),
    ("trace(A*B)", "A[i,j]*B[j,i]"),
    ("tr(X^3)", "X[i,j]*X[j,k]*X[k,i]"),
    ("tr(X)^2", "X[i,i]*X[j,j]"),
    ("inv(X)*A", "inv(X)[i,j]*A[j,k]"),
    ("inv(A'*A)", "inv[i,j](A[k,i]*A[k,j])[i,j]"),
    ("det(X*Y)", "det[i,k](X[i,j]*Y[j,k])"),
    ("logdet(X')", "logdet(X)"),
    ("solve(X, b)", "solve(X,b)[i]"),
    ("solve(X, B)", "Y[i,k] = inv(X)[i,j]*B[j,k]"),
    ("cholesky(X)", "cholesky(X)[i,j]"),
    ("tril(X)", "tril(X)[i,j]"),
    ("diag(x)", "Y[i,j] = delta[i,j]*x[j]"),
    ("diag(X)", "y[i] = X[i,i]"),
    ("A*diag(x)*A'", "Y[i,k] = A[i,j]*x[j]*A[k,j]"),
    ("transpose(A)", "Y[i,j] = A[j,i]"),
    ("sum(x)", "sum[i](x[i])"),
    ("sum(A)", "sum[i,j](A[i,j])"),
    ("sum(A.*B)", "A[i,j]*B[i,j]"),
    ("mean(x)", "mean[i](x[i])"),
    ("mean(A)", "mean[i,j](A[i,j])"),
    ("prod(x)", "prod[i](x[i])"),
    ("max(x)", "max[i](x[i])"),
    ("min(A)", "min[i,j](A[i,j])"),
    ("logsumexp(x)", "logsumexp[i](x[i])"),
    ("softmax(x)", "softmax[i](x[i])"),
    ("logsoftmax(A*x)", "logsoftmax[i](A[i,j]*x[j])"),
    ("norm1(x)", "sum[i](abs(x[i]))"),
    ("norm2(x)", "sqrt(x[i]*x[i])"),
    ("norm2(x)^2", "x[i]*x[i]"),
    ("norm2(A)^2", "A[i,j]*A[i,j]"),
    (SCALARS + "norm2(c)", "abs(c)"),
    ("exp(A*x)", "exp(A[i,j]*x[j])"),
    ("ln(x)", "log(x[i])"),
    ("max(x, 0)", "max(x[i], 0)"),
    ("maximum(x, y)", "z[i] = max(x[i], y[i])"),
    ("max(x, y, 0)", "z[i] = max(max(x[i], y[i]), 0)"),
    ("where(x > 0, x, y)", "z[i] = where(x[i] > 0, x[i], y[i])"),
    ("where(x, 1, 0)", "z[i] = where(x[i], 1, 0)"),
    ("sum(where(x >= y, 1, 0))", "sum[i](where(x[i] >= y[i], 1, 0))"),
    ("atan2(y, x)", "z[i] = atan2(y[i], x[i])"),
    ("log(1 + exp(x))", "log(1 + exp(x[i]))"),
    ("sum(exp(2*(x - 1)))", "sum[i](exp(2*(x[i] - 1)))"),
    ("x + vector(1)", "x[i] + 1"),
    ("A + matrix(2)", "Y[i,j] = A[i,j] + 2"),
    ("x' + vector(1)'", "x[i] + 1"),
    ("X + 2*eye", "X[i,j] + 2*delta[i,j]"),
    ("A*vector(1)", "y[i] = A[i,j]*ones[j]"),
    ("eye(n)*A + B", "A[i,j] + B[i,j]"),
    ("A*ones(n)", "y[i] = A[i,j]*ones[j]"),
    ("X : (n, d); X'*ones(n,d)", "X : (n, d); X[a,i]*ones[a,j:d]"),
    ("X : (n, d); X + zeros(n,d)", "X : (n, d); X[i,j]"),
    ("X : (n, d); 1/n*sum(X)", "X : (n, d); 1/n*sum[i,j](X[i,j])"),
    ("ones(3)'*x", "x : (3); ones[i]*x[i]"),
    ("X : (n, d); size(X,1)/size(X,2)", "X : (n, d); n/d"),
    ("X : (n, d); numel(X)", "X : (n, d); n*d"),
    ("x : (n); length(x)", "x : (n); n"),
    ("r = X*w - y; r'*r", "r[a] = X[a,b]*w[b] - y[a]; r[a]*r[a]"),
    ("pi*x", "pi*x[i]"),
    ("tr(kron(A,X))", "A[i,i]*X[j,j]"),
    ("sum(kron(x,y))", "sum[i](x[i])*sum[j](y[j])"),
    ("kron(x,y')", "x[i]*y[j]"),
    ("kron(x',y)", "Y[i,j] = y[i]*x[j]"),
    (SCALARS + "kron(c,A)", "c*A[i,j]"),
    ("tr(kron(A,B)*kron(C,D))", "A[i,j]*C[j,i]*B[k,l]*D[l,k]"),
    ("tr(kron(A,B)'*kron(A,B))", "A[i,j]*A[i,j]*(B[k,l]*B[k,l])"),
    ("tr(inv(kron(A,B)))", "inv(A)[i,i]*inv(B)[j,j]"),
    ("K = kron(A,B); tr(K^2)/3", "A[i,j]*A[j,i]*(B[k,l]*B[l,k])/3"),
]  # fmt: skip


@pytest.mark.parametrize("matrix, index", SAME, ids=[text for text, _ in SAME])
def test_text_is_the_same_object_as_with_indices(matrix: str, index: str) -> None:
    first, second = read(matrix), ed.parse(index)
    assert first == second, f"{first} and {second}"


# ---------------------------------------------------------------- names, ranks, extents


@pytest.mark.parametrize(
    "text, ranks",
    [
        ("A*x", {"A": 2, "x": 1}),
        ("c : (); c*x", {"c": 0, "x": 1}),
        ("th*Th'", None),
        ("a : (n, d); B : (d); a*B", {"a": 2, "B": 1}),
        ("θ'*θ", {"θ": 1}),
        ("Θ'*Θ", {"Θ": 1}),
        ("_a'*_a", {"_a": 1}),
    ],
)
def test_only_an_upper_case_ascii_letter_makes_a_matrix(
    text: str, ranks: dict[str, int] | None
) -> None:
    if ranks is None:
        with pytest.raises(EinderivError):
            read(text)
        return
    assert {name: len(shape) for name, shape in read(text).variables.items()} == ranks


def test_shapes_declare_as_a_declaration_does() -> None:
    e = read("X*w", shapes={"X": ("n", 3), "w": (3,), "unused": ()})
    assert e.variables == {"X": ("n", 3), "w": (3,), "unused": ()}
    assert e.shape == ("n",)


def test_sizes_follow_from_the_operators() -> None:
    e = read("X : (n, d)\nX'*(X*w - y) + diag(v)*u")
    assert e.variables == {
        "X": ("n", "d"),
        "w": ("d",),
        "y": ("n",),
        "v": ("d",),
        "u": ("d",),
    }


def test_extents_that_nobody_named_avoid_all_names() -> None:
    e = read("n'*A*m")
    assert e.variables == {"n": ("p",), "A": ("p", "q"), "m": ("q",)}


def test_a_name_in_ones_is_an_extent_everywhere() -> None:
    e = read("1/n*ones((n))'*x")
    assert float(e(x=[1.0, 2.0, 6.0])) == 3.0


def test_number_and_name_of_one_extent_agree() -> None:
    e = read("X : (n, 3)\nX*ones(3) + ones(n)")
    np.testing.assert_array_equal(e(X=np.ones((2, 3))), [4.0, 4.0])


def test_two_extents_of_the_same_number_stay_apart() -> None:
    e = read("X : (n, d); ones(3)'*X*ones(3)")
    assert float(e(X=np.ones((3, 3)))) == 9.0


def test_declared_extent_of_one_is_an_axis() -> None:
    e = read("A : (1, n); A*x")
    assert e.shape == (1,)


def test_assumptions_reach_the_term() -> None:
    assert read("Q : (n, n) symmetric\nQ' - Q") == ed.parse("Q : (n, n); 0*Q[i,j]")
    assert read("Q' - Q", assume={"Q": "symmetric"}) == ed.parse("Q : (n, n); 0*Q[i,j]")


def test_definitions_keep_their_names() -> None:
    e = read("X : (n, d); r = exp(X*w) + X*w; r + r.^3*(r'*r)")
    assert str(e) == "r[i] = X[i,j]*w[j] + exp(X[i,j]*w[j])\nr[i]^3*r[k]*r[k] + r[i]"


@pytest.mark.parametrize("text", ["A*B*x", "i'*A", "inv(X'*X + eye)*X'*y", "X.*(u*v')", "diag(x)"])
def test_printed_text_reads_back(text: str) -> None:
    e = read(text)
    assert ed.parse(str(e)) == e
    for name in e.variables:
        d = e.diff(name)
        assert ed.equal(ed.parse(str(d)), d)


# ---------------------------------------------------------------- every public case


def _cases() -> list[dict[str, Any]]:
    if not CASES.is_file():
        return []
    return [case for case in json.loads(CASES.read_text()) if case["matrix"]]


@pytest.mark.parametrize("case", _cases(), ids=lambda case: str(case["id"]))
def test_case_has_the_derivative_of_its_index_form(case: dict[str, Any]) -> None:
    shapes = {name: tuple(axes) for name, axes in case["shapes"].items()}
    first = read(case["matrix"], shapes=shapes)
    second = ed.parse(case["index"], shapes=shapes)
    assert ed.equal(first, second)
    assert ed.equal(
        first.diff(case["wrt"], order=case["order"]), second.diff(case["wrt"], order=case["order"])
    )


# ---------------------------------------------------------------- size and damage


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000 + "x" + ")" * 100_000,
        "sin(" * 10_000 + "x" + ")" * 10_000,
        "-" * 10_000 + "x",
        "x" + "'" * 10_000,
        ".*".join(["x", "y"] * 5_000),
        "+".join(["x", "y"] * 5_000),
        "log(1 + " * 2_000 + "x" + ")" * 2_000,
    ],
    ids=["brackets", "sines", "minus", "transposes", "products", "sums", "sums in functions"],
)
def test_depth_and_length_are_no_limit(text: str) -> None:
    assert len(read(text).shape) == 1


SEEDS = [text for text, _ in SAME] + [case["matrix"] for case in _cases()]


def test_damaged_text_gives_an_answer_or_an_einderiv_error() -> None:
    seed = 7
    rng = random.Random(seed)
    print(f"seed {seed}")
    pieces = [
        "'",
        "*",
        ".*",
        "./",
        ".^",
        "^",
        "(",
        ")",
        "-",
        "+",
        ",",
        ";",
        "\n",
        " : (n)",
        "c",
        "A",
        "x",
    ]
    pieces += [
        "eye",
        "1",
        "0",
        "2.5",
        "inv(",
        "kron(",
        "tr(",
        "vector(",
        "sum(",
        "=",
        "<",
        "[",
        ".",
        "@",
    ]
    read_back = refused = 0
    for _ in range(3000):
        text = rng.choice(SEEDS)
        for _ in range(rng.randint(1, 3)):
            place = rng.randint(0, len(text))
            text = text[:place] + rng.choice([*pieces, ""]) + text[place + rng.randint(0, 2) :]
        try:
            e = read(text)
            str(e)
            read_back += 1
        except EinderivError as error:
            assert str(error)
            refused += 1
    assert read_back > 100 and refused > 1000
