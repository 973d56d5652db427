"""Sixty expressions in every notation that can express them.

In: nothing. Out: ROWS. A field is empty where the notation has no way to say the expression.
Invariant: the shapes are given beside all of them; Python takes the tensors in the order of the shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One expression: its tensors (`X[n,d] y[n] c[]`), and how each notation writes it."""

    tensors: str
    index: str
    matrix: str = ""
    latex: str = ""
    einsum: tuple[str, str] | None = None  # subscripts, operands
    python: Callable[..., Any] | None = None

    @property
    def shapes(self) -> dict[str, tuple[str, ...]]:
        """What to pass as `shapes=`."""
        shapes = {}
        for word in self.tensors.split():
            name, _, rest = word.partition("[")
            shapes[name] = tuple(part for part in rest.rstrip("]").split(",") if part)
        return shapes


ROWS = (
    # products of two
    Row("A[m,n] x[n]", "y[i] = A[i,j]*x[j]", "A*x", r"y_i = A_{ij} x_j", ("ij,j->i", "A x"),
        lambda A, x: A @ x),
    Row("A[m,n] x[m]", "y[j] = x[i]*A[i,j]", "x'*A", r"y_j = x_i A_{ij}", ("i,ij->j", "x A"),
        lambda A, x: x @ A),
    Row("A[m,n] B[n,p]", "Y[i,k] = A[i,j]*B[j,k]", "A*B", r"Y_{ik} = A_{ij} B_{jk}", ("ij,jk->ik", "A B"),
        lambda A, B: A @ B),
    Row("A[m,n] B[m,n]", "Y[i,j] = A[i,j]*B[i,j]", "A.*B", r"Y_{ij} = A_{ij} B_{ij}", ("ij,ij->ij", "A B"),
        lambda A, B: A * B),
    Row("x[n] y[n]", "x[i]*y[i]", "x'*y", r"x_i y_i", ("i,i->", "x y"), lambda x, y: x @ y),
    Row("x[n] y[m]", "Y[i,j] = x[i]*y[j]", "x*y'", r"Y_{ij} = x_i y_j", ("i,j->ij", "x y"),
        lambda x, y: np.outer(x, y)),
    Row("x[n] y[n]", "z[i] = x[i]*y[i]", "x.*y", r"z_i = x_i y_i", ("i,i->i", "x y"), lambda x, y: x * y),
    Row("A[m,n] B[m,n]", "A[i,j]*B[i,j]", "tr(A'*B)", r"A_{ij} B_{ij}", ("ij,ij->", "A B"),
        lambda A, B: np.sum(A * B)),
    Row("A[m,n] B[n,m]", "A[i,j]*B[j,i]", "tr(A*B)", r"\operatorname{tr}(A B)", ("ij,ji->", "A B"),
        lambda A, B: np.trace(A @ B)),
    Row("A[m,n] B[p,n]", "Y[i,k] = A[i,j]*B[k,j]", "A*B'", r"Y_{ik} = A_{ij} B_{kj}", ("ij,kj->ik", "A B"),
        lambda A, B: A @ B.T),
    # one tensor
    Row("X[m,n]", "Y[j,i] = X[i,j]", "X'", r"Y_{ji} = X_{ij}", ("ij->ji", "X"), lambda X: X.T),
    Row("X[n,n]", "X[i,i]", "tr(X)", r"X_{ii}", ("ii->", "X"), lambda X: np.trace(X)),
    Row("X[n,n]", "y[i] = X[i,i]", "diag(X)", r"y_i = X_{ii}", ("ii->i", "X"), lambda X: np.diagonal(X)),
    Row("x[n]", "Y[i,j] = delta[i,j]*x[j]", "diag(x)", r"Y_{ij} = \delta_{ij} x_j", None,
        lambda x: np.diag(x)),
    Row("X[m,n]", "sum[i,j](X[i,j])", "sum(X)", r"\sum_{i,j} X_{ij}", ("ij->", "X"), lambda X: X.sum()),
    Row("X[m,n]", "y[i] = sum[j](X[i,j])", "X*ones(n)", r"y_i = \sum_j X_{ij}", ("ij->i", "X"),
        lambda X: X.sum(axis=1)),
    Row("x[n]", "x[i]*x[i]", "norm2(x)^2", r"\|x\|^2", ("i,i->", "x x"), lambda x: np.linalg.norm(x) ** 2),
    Row("X[m,n]", "X[i,j]*X[i,j]", "norm2(X)^2", r"\lVert X \rVert_F^2", ("ij,ij->", "X X"),
        lambda X: (X**2).sum()),
    # chains
    Row("x[n] A[n,n]", "x[i]*A[i,j]*x[j]", "x'*A*x", r"x^\top A x", ("i,ij,j->", "x A x"),
        lambda x, A: x @ A @ x),
    Row("A[m,n] X[n,p] B[p,m]", "A[i,j]*X[j,k]*B[k,i]", "tr(A*X*B)", r"\operatorname{tr}(A X B)",
        ("ij,jk,ki->", "A X B"), lambda A, X, B: np.trace(A @ X @ B)),
    Row("a[m] X[m,n] b[n]", "a[i]*X[i,j]*b[j]", "a'*X*b", r"a_i X_{ij} b_j", ("i,ij,j->", "a X b"),
        lambda a, X, b: a @ X @ b),
    Row("X[n,n]", "Y[i,l] = X[i,j]*X[j,k]*X[k,l]", "X^3", r"Y_{il} = X_{ij} X_{jk} X_{kl}",
        ("ij,jk,kl->il", "X X X"), lambda X: X @ X @ X),
    Row("X[m,n] W[n,n]", "X[i,j]*W[j,k]*X[i,k]", "tr(X*W*X')", r"X_{ij} W_{jk} X_{ik}",
        ("ij,jk,ik->", "X W X"), lambda X, W: np.trace(X @ W @ X.T)),
    Row("A[m,n] B[n,p] x[p]", "y[i] = A[i,j]*B[j,k]*x[k]", "A*B*x", r"y_i = A_{ij} B_{jk} x_k",
        ("ij,jk,k->i", "A B x"), lambda A, B, x: A @ (B @ x)),
    Row("T[m,n,p] x[n]", "Y[i,k] = T[i,j,k]*x[j]", "", r"Y_{ik} = T_{ijk} x_j", ("ijk,j->ik", "T x"),
        lambda T, x: np.einsum("ijk,j->ik", T, x)),
    Row("T[m,n,p] a[m] b[n] c[p]", "T[i,j,k]*a[i]*b[j]*c[k]", "", r"T_{ijk} a_i b_j c_k",
        ("ijk,i,j,k->", "T a b c"), lambda T, a, b, c: np.einsum("ijk,i,j,k->", T, a, b, c)),
    Row("A[b,m,n] B[b,n,p]", "Y[b,i,k] = A[b,i,j]*B[b,j,k]", "", r"Y_{bik} = A_{bij} B_{bjk}",
        ("bij,bjk->bik", "A B"), lambda A, B: A @ B),
    # numbers
    Row("x[n] c[]", "y[i] = c*x[i]", "c*x", r"y_i = c x_i", (",i->i", "c x"), lambda x, c: c * x),
    Row("x[n]", "y[i] = x[i]/2", "x/2", r"y_i = \frac{1}{2} x_i", None, lambda x: x / 2),
    Row("x[n]", "y[i] = 3*x[i] - x[i]", "2*x", r"y_i = 3 x_i - x_i", None, lambda x: 3 * x - x),
    Row("x[n] y[n]", "x[i]*y[i]/2 + 1", "x'*y/2 + 1", r"\frac{x_i y_i}{2} + 1", None,
        lambda x, y: x @ y / 2 + 1),
    Row("a[] b[]", "a^2 - b^2", "a^2 - b^2", r"a^2 - b^2", None, lambda a, b: a**2 - b**2),
    Row("a[] b[]", "a/b + b/a", "a/b + b/a", r"\frac{a}{b} + \frac{b}{a}", None, lambda a, b: a / b + b / a),
    # functions entry by entry
    Row("x[n]", "y[i] = exp(x[i])", "exp(x)", r"y_i = \exp(x_i)", None, lambda x: np.exp(x)),
    Row("x[n]", "sum[i](exp(x[i]))", "sum(exp(x))", r"\sum_i \exp(x_i)", None, lambda x: np.exp(x).sum()),
    Row("X[m,n] w[n]", "y[i] = tanh(X[i,j]*w[j])", "tanh(X*w)", r"y_i = \tanh(X_{ij} w_j)", None,
        lambda X, w: np.tanh(X @ w)),
    Row("x[n]", "y[i] = x[i]^2", "x.^2", r"y_i = x_i^2", None, lambda x: x**2),
    Row("x[n] y[n]", "z[i] = x[i]/y[i]", "x./y", r"z_i = \frac{x_i}{y_i}", None, lambda x, y: x / y),
    Row("x[n]", "sum[i](log(1 + x[i]^2))", "sum(log(vector(1) + x.^2))", r"\sum_i \log(1 + x_i^2)", None,
        lambda x: np.log(1 + x**2).sum()),
    Row("x[n]", "y[i] = 1/(1 + exp(-x[i]))", "1./(vector(1) + exp(-x))", r"y_i = \frac{1}{1 + \exp(-x_i)}",
        None, lambda x: 1 / (1 + np.exp(-x))),
    Row("x[n]", "y[i] = sigmoid(x[i])", "sigmoid(x)", r"y_i = \sigma(x_i)", None, None),
    Row("x[n]", "sum[i](sqrt(abs(x[i])))", "sum(sqrt(abs(x)))", r"\sum_i \sqrt{|x_i|}", None,
        lambda x: np.sqrt(np.abs(x)).sum()),
    Row("A[m,n] x[n] b[m]", "sum[i](max(A[i,j]*x[j] - b[i], 0))", "sum(max(A*x - b, 0))", "", None,
        lambda A, x, b: np.maximum(A @ x - b, 0).sum()),
    Row("x[n] y[n]", "sum[i](sin(x[i])*cos(y[i]))", "sin(x)'*cos(y)", r"\sum_i \sin(x_i) \cos(y_i)", None,
        lambda x, y: (np.sin(x) * np.cos(y)).sum()),
    # losses
    Row("X[n,d] theta[d] Y[n]", "(X[a,b]*theta[b] - Y[a])*(X[a,c]*theta[c] - Y[a])/n",
        "(X*theta - Y)'*(X*theta - Y)/n",
        r"\frac{1}{n}(X_{ab}\theta_b - Y_a)(X_{ac}\theta_c - Y_a)", None,
        lambda X, theta, Y: ((X @ theta - Y) ** 2).sum() / X.shape[0]),
    Row("X[n,d] w[d] y[n]", "sum[i](log(1 + exp(-y[i]*X[i,j]*w[j])))", "sum(log(vector(1) + exp(-y.*(X*w))))",
        r"\sum_i \log(1 + \exp(-y_i X_{ij} w_j))", None,
        lambda X, w, y: np.log(1 + np.exp(-y * (X @ w))).sum()),
    Row("X[n,d] w[d] y[n] c[]", "(X[i,j]*w[j]-y[i])*(X[i,k]*w[k]-y[i])/2 + c*w[j]*w[j]/2",
        "0.5*norm2(X*w - y)^2 + c/2*norm2(w)^2", r"\frac12 \|Xw - y\|^2 + \frac{c}{2} \|w\|^2", None,
        lambda X, w, y, c: ((X @ w - y) ** 2).sum() / 2 + c * (w @ w) / 2),
    Row("T[m,n] U[m,q] V[n,q]", "(T[i,j]-U[i,a]*V[j,a])*(T[i,j]-U[i,b]*V[j,b])", "norm2(T - U*V')^2",
        r"(T_{ij} - U_{ia} V_{ja})(T_{ij} - U_{ib} V_{jb})", None,
        lambda T, U, V: np.linalg.norm(T - U @ V.T) ** 2),
    Row("A[m,n] x[n]", "log(sum[i](exp(A[i,j]*x[j])))", "log(sum(exp(A*x)))",
        r"\log \sum_i \exp(A_{ij} x_j)", None, lambda A, x: np.log(np.exp(A @ x).sum())),
    Row("x[n] y[n]", "(x[i]-y[i])*(x[i]-y[i])/n", "norm2(x - y)^2/n", r"\frac{1}{n} \|x - y\|^2", None,
        lambda x, y: ((x - y) ** 2).mean()),
    Row("x[n] A[n,n]", "(x[i]*A[i,j]*x[j])/(x[k]*x[k])", "(x'*A*x)/(x'*x)",
        r"\frac{x^\top A x}{x^\top x}", None,
        lambda x, A: (x @ A @ x) / (x @ x)),
    # matrix functions
    Row("A[n,n]", "det(A)", "det(A)", r"\det(A)", None, lambda A: np.linalg.det(A)),
    Row("A[n,n]", "Y[i,j] = inv(A)[i,j]", "inv(A)", r"A^{-1}", None, lambda A: np.linalg.inv(A)),
    Row("a[n] A[n,n] b[n]", "a[i]*inv(A)[i,j]*b[j]", "a'*inv(A)*b", r"a_i A^{-1}_{ij} b_j", None,
        lambda a, A, b: a @ np.linalg.inv(A) @ b),
    Row("A[n,n] b[n]", "y[i] = solve(A,b)[i]", "solve(A, b)", r"A^{-1} b", None,
        lambda A, b: np.linalg.solve(A, b)),
    Row("A[n,n]", "logdet(A)", "logdet(A)", r"\log\det A", None, lambda A: np.linalg.slogdet(A)[1]),
    Row("X[m,n]", "logdet[j,k](X[i,j]*X[i,k])", "logdet(X'*X)", r"\log\det(X^\top X)", None,
        lambda X: np.linalg.slogdet(X.T @ X)[1]),
    Row("A[n,n] B[n,n]", "inv[r,c](A[r,c] + B[r,c])[i,i]", "tr(inv(A + B))",
        r"\operatorname{tr}((A + B)^{-1})", None, lambda A, B: np.trace(np.linalg.inv(A + B))),
    Row("X[n,d] y[n] c[]", "w[i] = inv[r,s](X[k,r]*X[k,s] + c*delta[r,s])[i,j]*X[l,j]*y[l]",
        "inv(X'*X + c*eye)*X'*y", r"(X^\top X + c I)^{-1} X^\top y", None, None),
    # whole axes
    Row("x[n]", "y[i] = softmax[i](x[i])", "softmax(x)", "", None, None),
    Row("x[n]", "logsumexp[i](x[i])", "logsumexp(x)", "", None, None),
    Row("X[m,n]", "mean[i,j](X[i,j])", "mean(X)", "", None, lambda X: np.mean(X)),
    Row("x[n]", "max[i](x[i])", "max(x)", "", None, lambda x: np.max(x)),
    Row("x[n]", "prod[i](x[i])", "prod(x)", r"\prod_i x_i", None, lambda x: np.prod(x)),
)  # fmt: skip
