"""What a text in matrix notation computes is what its NumPy expression computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from einderiv.expressions.expression import Expression
from einderiv.notations.matrix import elaborate_matrix, parse_matrix


def read(text: str, shapes: Any = None) -> Expression:
    return Expression(*elaborate_matrix(parse_matrix(text), shapes))


RNG = np.random.default_rng(3)
ARRAYS = {
    "A": RNG.uniform(0.2, 0.9, (3, 4)),
    "B": RNG.uniform(0.2, 0.9, (4, 2)),
    "D": RNG.uniform(0.2, 0.9, (3, 4)),
    "X": RNG.uniform(0.2, 0.9, (4, 4)) + 4 * np.eye(4),
    "S": np.diag([2.0, 3.0]) + 0.5,
    "x": RNG.uniform(0.2, 0.9, 4),
    "y": RNG.uniform(0.2, 0.9, 4),
    "u": RNG.uniform(0.2, 0.9, 3),
    "c": np.array(0.7),
}
VALUES = {  # text -> the same in NumPy
    "A*x - u": "A @ x - u",
    "A'*u": "A.T @ u",
    "x'*X*y": "x @ X @ y",
    "u*x'": "np.outer(u, x)",
    "A.*D./A": "A * D / A",
    "x.^c": "x ** c",
    "c.^x": "c ** x",
    "c*A*B/2": "c * A @ B / 2",
    "X^3": "np.linalg.matrix_power(X, 3)",
    "X^-2": "np.linalg.matrix_power(X, -2)",
    "X^11": "np.linalg.matrix_power(X, 11)",
    "X^0": "np.eye(4)",
    "inv(X)": "np.linalg.inv(X)",
    "det(X)": "np.linalg.det(X)",
    "logdet(X)": "np.linalg.slogdet(X)[1]",
    "tr(X)": "np.trace(X)",
    "cholesky(X + X')": "np.linalg.cholesky(X + X.T)",
    "tril(X)": "np.tril(X)",
    "solve(X, x)": "np.linalg.solve(X, x)",
    "solve(X, B)": "np.linalg.solve(X, B)",
    "solve(c, x)": "x / c",
    "diag(x)": "np.diag(x)",
    "diag(x')": "np.diag(x)",
    "diag(X)": "np.diag(X)",
    "transpose(A)": "A.T",
    "sum(A)": "A.sum()",
    "mean(A)": "A.mean()",
    "prod(A)": "A.prod()",
    "max(A)": "A.max()",
    "min(x')": "x.min()",
    "logsumexp(A)": "np.log(np.exp(A).sum())",
    "softmax(x')": "np.exp(x) / np.exp(x).sum()",
    "logsoftmax(x)": "x - np.log(np.exp(x).sum())",
    "prodexcept(x)": "x.prod() / x",
    "norm1(-x)": "np.abs(x).sum()",
    "norm2(A)": "np.linalg.norm(A)",
    "norm2(x')": "np.linalg.norm(x)",
    "norm2(-c)": "c",
    "inv(c)": "1 / c",
    "det(c)": "c",
    "logdet(-c)": "np.log(c)",
    "tr(x'*X*x)": "x @ X @ x",
    "sum(c)": "c",
    "mean(c)": "c",
    "exp(A)": "np.exp(A)",
    "log(1 + exp(-y.*x))": "np.log1p(np.exp(-y * x))",
    "max(x, y)": "np.maximum(x, y)",
    "min(x, 0.5)": "np.minimum(x, 0.5)",
    "where(x < y, 2*x, y)": "np.where(x < y, 2 * x, y)",
    "sum(x > y)": "(x > y).sum()",
    "x - vector(mean(x))": "x - x.mean()",
    "A - matrix(c)": "A - c",
    "X - c*eye": "X - c * np.eye(4)",
    "A + u*vector(1)'": "A + u[:, None]",
    "numel(A)*length(x)*size(A,1)": "12 * 4 * 3",
    "ones(3,4) - A": "1 - A",
    "ones(4,1)'*x": "x.sum()",
    "ones(1,4)*x": "x.sum()",
    "zeros(4) - x": "-x",
    "eye(4,4) + X": "np.eye(4) + X",
    "det(kron(X,S))": "np.linalg.det(np.kron(X, S))",
    "logdet(kron(X,S))": "np.linalg.slogdet(np.kron(X, S))[1]",
    "det(kron(X,kron(S,S)))": "np.linalg.det(np.kron(X, np.kron(S, S)))",
    "tr(kron(X,S))": "np.trace(np.kron(X, S))",
    "tr(-2*kron(X,S)/c)": "np.trace(-2 * np.kron(X, S) / c)",
    "tr(inv(kron(X,S)))": "np.trace(np.linalg.inv(np.kron(X, S)))",
    "tr(kron(X,S)^3)": "np.trace(np.linalg.matrix_power(np.kron(X, S), 3))",
    "norm2(kron(A,B))": "np.linalg.norm(np.kron(A, B))",
    "norm1(kron(x,u))": "np.abs(np.kron(x, u)).sum()",
    "mean(kron(A,B))": "np.kron(A, B).mean()",
    "sum(kron(A,B).*kron(D,B))": "(np.kron(A, B) * np.kron(D, B)).sum()",
    "sum(kron(A,B).^2./kron(D,B))": "(np.kron(A, B) ** 2 / np.kron(D, B)).sum()",
    "sum(abs(kron(-A,B)))": "np.kron(A, B).sum()",
    "sum(diag(kron(X,S)))": "np.diag(np.kron(X, S)).sum()",
    "kron(x,u)'*kron(y,u)": "np.kron(x, u) @ np.kron(y, u)",
    "sum(kron(A,B')*kron(x,ones(4)))": "(np.kron(A, B.T) @ np.kron(x, np.ones(4))).sum()",
    "dot(x, y)": "np.dot(x, y)",
    "dot(A, x)": "np.dot(A, x)",
    "dot(A, B)": "np.dot(A, B)",
    "dot(u, A)": "np.dot(u, A)",
    "inner(x, y)": "np.inner(x, y)",
    "outer(u, x)": "np.outer(u, x)",
    "outer(u', x')": "np.outer(u, x)",
    "matmul(x, X)": "x @ X",
    "matmul(x, matmul(X, y))": "x @ (X @ y)",
    "c*matmul(A.*D, B)'": "c * ((A * D) @ B).T",
    "mtimes(u, x')": "np.outer(u, x)",
    "tr(matmul(kron(X,S), kron(X,S)))": "np.trace(np.kron(X @ X, S @ S))",
    "hadamard(A, D)*B": "(A * D) @ B",
    "multiply(x, y)": "np.multiply(x, y)",
    "times(c, x)": "c * x",
    "power(x, c)": "np.power(x, c)",
    "square(A)": "np.square(A)",
    "A ⊙ D": "A * D",
    "x ∘ y": "x * y",
    "norm(x - y)": "np.linalg.norm(x - y)",
    "norm(x, 1)": "np.linalg.norm(x, 1)",
    "norm(-x', 2)": "np.linalg.norm(x)",
    "normfro(A)": "np.linalg.norm(A)",
    "X - c*identity(4)": "X - c * np.identity(4)",
    "triu(X)": "np.triu(X)",
    "triu(X)*x": "np.triu(X) @ x",
    "ctranspose(A)*u": "A.T @ u",
    "logabsdet(X)": "np.linalg.slogdet(X)[1]",
    "len(x)": "len(x)",
    "kron(u,x')": "np.kron(u[:, None], x[None, :])",
    "kron(u',x)": "np.kron(u[None, :], x[:, None])",
}  # fmt: skip


@pytest.mark.parametrize("text", VALUES)
def test_value_is_numpys(text: str) -> None:
    want = np.asarray(eval(VALUES[text], {"np": np, **ARRAYS}), float)
    used = {name: ARRAYS[name].shape for name in ARRAYS}
    got = read(text, shapes=used)(**{n: ARRAYS[n] for n in used})
    assert np.shape(got) == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-12)  # a few dozen roundings


@pytest.mark.parametrize(
    "name, numpy",
    [
        ("sin", np.sin), ("cos", np.cos), ("tan", np.tan), ("asin", np.arcsin), ("arccos", np.arccos),
        ("atan", np.arctan), ("sinh", np.sinh), ("cosh", np.cosh), ("tanh", np.tanh), ("exp", np.exp),
        ("expm1", np.expm1), ("log", np.log), ("ln", np.log), ("log1p", np.log1p), ("sqrt", np.sqrt),
        ("abs", np.abs), ("sign", np.sign),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("softplus", lambda x: np.log1p(np.exp(x))),
        ("relu", lambda x: np.maximum(x, 0)), ("step", lambda x: (x > 0) * 1.0),
    ],
)  # fmt: skip
def test_elementwise_function_is_numpys(name: str, numpy: Any) -> None:
    for text, tensor in [("A", "A"), ("x", "x"), ("c", "c")]:
        value = ARRAYS[tensor]
        got = read(f"{name}({text})", shapes={tensor: value.shape})(**{tensor: value})
        np.testing.assert_allclose(got, numpy(value), rtol=1e-13)
