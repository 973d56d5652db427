# ruff: noqa: E501 - tables
"""The page of worked examples, made by running einderiv: `python docs/worked_examples.py` writes it anew.

In: the table below. Out: `docs/worked_examples.md`. Nothing on the page is typed by hand: derivations, matrix
forms and code are what the engine gives; `tests/derivations/test_worked_examples.py` says when the page is stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import einderiv as ed

PAGE = Path(__file__).with_suffix(".md")


@dataclass(frozen=True)
class Example:
    """A title, where it is from, the expression, the variable, and how it is derived."""

    title: str
    text: str
    by: str
    notation: str = "index"
    methods: tuple[str, ...] = ("index",)
    code: str | None = None
    source: str = ""


NOTES = (
    Example("A squared residual", "J = 1/n*(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])", "th[d]",
            code="numpy", source="MIT, matrix derivatives, A.17 to A.22"),
    Example("A linear form", "x[k]*b[k]", "x[i]", source="MIT, A.5"),
    Example("A matrix times a vector", "y[j] = A[j,k]*x[k]", "x[i]", source="MIT, A.3"),
    Example("A product of matrices, by one of them", "A[i,j] = B[i,k]*C[k,j]", "B[m,l]", source="Carson, 0.1"),
    Example("Half a squared length", "1/2*(A[i,j]*x[j] - b[i])*(A[i,k]*x[k] - b[i])", "A[m,l]",
            source="Carson, example 0.2.1"),
    Example("A quadratic form", "x'*Q*x", "x", "matrix", ("index", "differential"),
            source="Washington, equations 2 to 5"),
    Example("The trace of a product of three", "tr(A*X*B)", "X", "matrix", ("differential",), source="Washington"),
    Example("A bilinear form", "a'*X*b", "X", "matrix", ("differential",), source="Washington"),
    Example("The square of a bilinear form", "(a'*X*b)^2", "X", "matrix", ("index", "differential")),
    Example("The trace of an inverse", "tr(inv(X)*A)", "X", "matrix", ("differential",)),
    Example("A determinant", "det(X)", "X", "matrix", ("differential",)),
)  # fmt: skip

LEARNING = (
    Example("Ridge regression", "c : (); norm2(X*w - y)^2 + c*norm2(w)^2", "w", "matrix", code="numpy"),
    Example("Logistic regression", "J = sum[i](softplus(-y[i]*(X[i,j]*w[j])))", "w[k]", code="torch"),
    Example("Softmax cross-entropy", "J = -Y[i,c]*logsoftmax[c](X[i,j]*W[j,c])", "W[p,q]", code="jax"),
    Example("Matrix factorization", "J = (T[i,j] - U[i,k]*V[j,k])*(T[i,j] - U[i,l]*V[j,l])", "U[p,q]"),
    Example("A Gaussian's log-likelihood", "-1/2*logdet(S) - 1/2*(x - m)'*inv(S)*(x - m)", "S", "matrix",
            ("index", "differential")),
    Example("Gaussian process evidence", "logdet(K) + y'*inv(K)*y", "K", "matrix", ("differential",), code="numpy"),
    Example("Mahalanobis metric", "J = (x[i] - z[i])*M[i,j]*(x[j] - z[j])", "x[k]"),
    Example("A hidden layer", "h[i] = tanh(W[i,j]*x[j] + b[i])\nJ = (v[i]*h[i] - y)^2", "W[p,q]",
            methods=("index", "adjoint")),
    Example("Linear attention", "O[i,d] = Q[i,k]*K[j,k]*V[j,d]\nJ = G[i,d]*O[i,d]", "K[p,q]",
            methods=("index", "adjoint")),
    Example("Normalization", "f[i] = x[i]/sqrt(x[j]*x[j])", "x[k]"),
    Example("Contrastive loss", "J = logsumexp[j](x[k]*Z[j,k]) - x[k]*p[k]", "x[i]"),
)  # fmt: skip

PARTS = (("From lecture notes", NOTES), ("From machine learning", LEARNING))


def section(example: Example) -> str:
    """One example as Markdown."""
    e = ed.parse(example.text, notation=example.notation)
    lines = [f"### {example.title}", ""]
    if example.source:
        lines += [f"From {example.source}.", ""]
    for method in example.methods:
        named = "" if method == "index" else f', method="{method}"'
        call = f'ed.parse({example.text!r}, notation="{example.notation}").explain("{example.by}"{named})'
        lines += [f"`{call}`", "", "```text", str(e.explain(example.by, method=method)), "```", ""]
    if example.code:
        code = e.diff(example.by).code(example.code)
        lines += [f"As code for {example.code}:", "", "```python", code.rstrip(), "```", ""]
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    lines = [
        "# Worked examples",
        "",
        "Made by running einderiv (`python docs/worked_examples.py`); every step of every derivation was checked to",
        "be an equality when the page was made.",
        "",
    ]
    for title, examples in PARTS:
        lines += [f"## {title}", ""]
        lines += [section(example) for example in examples]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
