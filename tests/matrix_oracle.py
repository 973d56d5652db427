"""Matrix notation evaluated by NumPy as MATLAB would: columns have one column, rows one row.

In: a surface tree, arrays by name. Out: a number, or an array with two axes.
Invariant: nothing here knows terms; `kron`, `vec`, `K` have their textbook meaning (columns are stacked).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from einderiv.notations import syntax
from einderiv.notations.syntax import Node

Array = np.ndarray[Any, Any]

_ELEMENTWISE = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "sign": np.sign, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2,
    "log1p": np.log1p, "expm1": np.expm1, "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0, x), "relu": lambda x: np.maximum(x, 0),
    "step": lambda x: np.heaviside(x, 0.0), "erf": special.erf, "erfc": special.erfc,
    "lgamma": special.gammaln, "digamma": special.digamma, "polygamma": special.polygamma,
    "where": np.where,
}  # fmt: skip
_MATRIX = {
    "inv": np.linalg.inv, "det": np.linalg.det, "tr": np.trace, "sum": np.sum, "mean": np.mean,
    "logdet": lambda a: np.linalg.slogdet(a)[1], "norm2": np.linalg.norm, "prod": np.prod,
    "cholesky": np.linalg.cholesky, "tril": np.tril, "kron": np.kron,
    "softmax": lambda x: special.softmax(x), "logsoftmax": lambda x: special.log_softmax(x),
    "logsumexp": lambda x: special.logsumexp(x), "prodexcept": lambda x: np.prod(x) / x,
    "vec": lambda a: a.reshape(-1, 1, order="F"),
}  # fmt: skip
_COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
            "==": np.equal, "!=": np.not_equal}  # fmt: skip


def as_matrix(x: Any) -> Any:
    """A one-axis array as a column."""
    x = np.asarray(x, float)
    return x[:, None] if x.ndim == 1 else x


class Evaluator:
    """Evaluates surface trees; extents are numbers among the arrays."""

    def __init__(self, arrays: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
        self.values = {name: as_matrix(x) for name, x in arrays.items()}
        self.sizes = dict(sizes)

    def text(self, text: syntax.Text) -> Any:
        """The value of the last statement."""
        value: Any = None
        for statement in text.statements:
            if isinstance(statement, syntax.Definition):
                value = self.value(statement.expression)
                if statement.name is not None:
                    self.values[statement.name] = value
        return value

    def size(self, node: Node) -> int:
        if isinstance(node, syntax.Number):
            return int(node.value)
        assert isinstance(node, syntax.Name)
        return self.sizes[node.name]

    def value(self, node: Node) -> Any:
        match node:
            case syntax.Number():
                return float(node.value)
            case syntax.Name(name="pi"):
                return np.pi
            case syntax.Name():
                known = self.values.get(node.name)
                return self.sizes[node.name] if known is None else known
            case syntax.Group():
                return self.value(node.inner)
            case syntax.Negative():
                return -self.value(node.operand)
            case syntax.Transpose():
                return np.transpose(self.value(node.operand))
            case syntax.Power():
                base, exponent = self.value(node.base), self.value(node.exponent)
                if np.ndim(base) == 2:
                    return np.linalg.matrix_power(base, int(exponent))
                return base**exponent
            case syntax.Pointwise():
                left, right = self.value(node.left), self.value(node.right)
                return {".*": np.multiply, "./": np.divide, ".^": np.power}[node.operator](
                    left, right
                )
            case syntax.Product():
                return self.product(node)
            case syntax.Sum():
                return self.sum(node)
            case syntax.Comparison():
                return _COMPARE[node.operator](self.value(node.left), self.value(node.right))
            case syntax.Call():
                return self.call(node)
        raise AssertionError(node)

    def product(self, node: syntax.Product) -> Any:
        value: Any = 1.0
        for divides, factor in node.factors:
            other = self.value(factor)
            if divides:
                assert np.ndim(other) == 0, "only numbers divide"
                value = value / other
            elif np.ndim(value) == 2 and np.ndim(other) == 2:
                value = value @ other
                if value.shape == (1, 1):
                    value = value[0, 0]
            else:
                value = value * other
        return value

    def sum(self, node: syntax.Sum) -> Any:
        values: list[Any] = []
        for place, (minus, term) in enumerate(node.terms):
            sized = isinstance(term, syntax.Call) and term.function in ("vector", "matrix")
            value = self.value(term.arguments[0]) if sized else self.value(term)  # type: ignore[union-attr]
            values.append((sized, -value if minus else value, place))
        shapes = {np.shape(value) for sized, value, _ in values if not sized}
        assert len(shapes) == 1, f"shapes differ: {shapes}"
        return sum(value for _, value, _ in values)

    def call(self, node: syntax.Call) -> Any:
        name = node.function
        if name in ("ones", "zeros", "eye"):
            sizes = [self.size(a) for a in node.arguments]
            if name == "eye":
                return np.eye(sizes[0])
            return (np.ones if name == "ones" else np.zeros)((*sizes, 1)[:2])
        if name == "K":  # K*vec(X) = vec(X') for X with p rows and q columns
            p, q = (self.size(a) for a in node.arguments)
            return np.eye(p * q).reshape(q, p, p * q).transpose(1, 0, 2).reshape(p * q, p * q)
        arguments = [
            self.value(a.arguments[0])  # vector(c), matrix(c): NumPy broadcasts
            if isinstance(a, syntax.Call) and a.function in ("vector", "matrix")
            else self.value(a)
            for a in node.arguments
        ]
        if name == "diag":
            (x,) = arguments
            return np.diag(x[:, 0]) if x.shape[1] == 1 else np.diag(x)[:, None]
        if name in ("max", "min"):
            pair = {"max": np.maximum, "min": np.minimum}[name]
            whole = {"max": np.max, "min": np.min}[name]
            return pair(*arguments) if len(arguments) == 2 else whole(arguments[0])
        return (_ELEMENTWISE | _MATRIX)[name](*arguments)
