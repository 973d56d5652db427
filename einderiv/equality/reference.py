"""A slow interpreter of terms: exact integers modulo a prime, or any numbers that add and multiply.

In: a term, values of its variables, extents. Out: the value, entry by entry.
Invariant: it shares no code with canonical form, simplifier or compiler, so it can judge them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from ..terms import (
    Apply,
    Contraction,
    Delta,
    Dim,
    Expr,
    Extent,
    Literal,
    Map,
    Ones,
    Sum,
    Variable,
    postorder,
)

Array = Any


class PoleError(ArithmeticError):
    """A division by zero at this point: choose another one."""


def is_rational(term: Expr) -> bool:
    """Is the term a rational function of its variables' entries?"""
    return all(_is_rational_node(node) for node in postorder([term]))


def _is_rational_node(node: Expr) -> bool:
    if isinstance(node, Map):
        exponent = node.children[1] if node.function == "pow" else None
        return isinstance(exponent, Literal) and exponent.value.denominator == 1
    if isinstance(node, Apply):
        return node.function in ("inv", "det", "prod", "prodexcept", "tril", "eps")
    return True


def modular_value(
    term: Expr, values: Mapping[Variable, Array], sizes: Mapping[str, int], prime: int
) -> Array:
    """The value of a rational term modulo a prime; raises PoleError where a divisor is zero.

    Shapes: the term's; entries are Python integers.
    """
    return _Interpreter(values, sizes, prime).value(term)


class _Interpreter:
    def __init__(
        self, values: Mapping[Variable, Array], sizes: Mapping[str, int], prime: int
    ) -> None:
        self.values, self.sizes, self.prime = values, sizes, prime

    def value(self, term: Expr) -> Array:
        known: dict[Expr, Array] = {}
        for node in postorder([term]):
            raw = self.node(node, [known[child] for child in node.children])
            known[node] = np.asarray(np.asarray(raw, dtype=object) % self.prime, dtype=object)
        return known[term]

    def size(self, dim: Dim) -> int:
        return dim if isinstance(dim, int) else self.sizes[dim]

    def inverse(self, number: int) -> int:
        try:
            return pow(int(number), -1, self.prime)
        except ValueError:
            raise PoleError from None

    def rational(self, value: Any) -> int:
        return int(value.numerator) * self.inverse(value.denominator) % self.prime

    def node(self, node: Expr, children: list[Array]) -> Array:
        match node:
            case Variable():
                return self.values[node]
            case Literal():
                return self.rational(node.value)
            case Extent():
                return self.size(node.dim)
            case Ones():
                return np.full(self.size(node.shape[0]), 1, dtype=object)
            case Delta():
                return np.eye(self.size(node.shape[0]), dtype=int).astype(object)
            case Contraction():
                return self.contraction(node, children)
            case Sum():
                total = np.zeros([self.size(dim) for dim in node.shape], dtype=object)
                for coefficient, child in zip(node.coefficients, children, strict=True):
                    total = total + self.rational(coefficient) * child
                return total
            case Map():
                return self.power(node, children[0])
            case Apply():
                return self.apply(node, children)
        raise AssertionError(node)

    def contraction(self, node: Contraction, children: list[Array]) -> Array:
        """The definition itself: a sum over all values of all labels."""
        sizes = {
            label: child.shape[axis]
            for child, labels in zip(children, node.inputs, strict=True)
            for axis, label in enumerate(labels)
        }
        labels = list(sizes)
        result = np.zeros([sizes[label] for label in node.output], dtype=object)
        for point in product(*(range(sizes[label]) for label in labels)):
            at = dict(zip(labels, point, strict=True))
            value = 1
            for child, own in zip(children, node.inputs, strict=True):
                value = value * child[tuple(at[label] for label in own)] % self.prime
            result[tuple(at[label] for label in node.output)] += value
        return result

    def power(self, node: Map, base: Array) -> Array:
        exponent = node.children[1]
        assert isinstance(exponent, Literal)
        count = int(exponent.value)
        result = np.empty(base.shape, dtype=object)
        for place in np.ndindex(*base.shape):
            number = int(base[place])
            if count < 0:
                number = self.inverse(number)
            result[place] = pow(number, abs(count), self.prime)
        return result

    def apply(self, node: Apply, children: list[Array]) -> Array:
        if node.function == "eps":
            return self.levi_civita(node.width)
        (argument,) = children
        if node.function in ("prod", "prodexcept"):
            return self.products(node, argument)
        result = np.empty([self.size(dim) for dim in node.shape], dtype=object)
        for place in np.ndindex(*argument.shape[:-2]):
            matrix = argument[place]
            if node.function == "tril":
                result[place] = np.tril(matrix)
            else:
                inverse, determinant = self.eliminated(matrix)
                result[place] = determinant if node.function == "det" else inverse
        return result

    def products(self, node: Apply, argument: Array) -> Array:
        count = node.width
        rest = argument.shape[: argument.ndim - count]
        flat = argument.reshape((*rest, -1))
        result = np.empty(flat.shape if node.function == "prodexcept" else rest, dtype=object)
        for place in np.ndindex(*rest):
            row = [int(x) for x in flat[place]]
            if node.function == "prod":
                result[place] = self.product(row)
            else:
                for k in range(len(row)):
                    result[(*place, k)] = self.product(row[:k] + row[k + 1 :])
        return result.reshape(argument.shape) if node.function == "prodexcept" else result

    def product(self, row: list[int]) -> int:
        value = 1
        for number in row:
            value = value * number % self.prime
        return value

    def levi_civita(self, rank: int) -> Array:
        result = np.zeros((rank,) * rank, dtype=object)
        for point in product(range(rank), repeat=rank):
            sign = 1
            for i in range(rank):
                for j in range(i + 1, rank):
                    sign *= (point[j] > point[i]) - (point[j] < point[i])
            result[point] = sign
        return result

    def eliminated(self, matrix: Array) -> tuple[Array, int]:
        """Inverse and determinant by Gauss and Jordan."""
        n, p = len(matrix), self.prime
        rows = [
            [int(x) for x in row] + [int(i == j) for j in range(n)] for i, row in enumerate(matrix)
        ]
        determinant = 1
        for column in range(n):
            pivot = next((r for r in range(column, n) if rows[r][column] % p), None)
            if pivot is None:
                raise PoleError
            if pivot != column:
                rows[column], rows[pivot] = rows[pivot], rows[column]
                determinant = -determinant
            determinant = determinant * rows[column][column] % p
            factor = self.inverse(rows[column][column])
            rows[column] = [x * factor % p for x in rows[column]]
            for r in range(n):
                if r != column and rows[r][column]:
                    c = rows[r][column]
                    rows[r] = [(x - c * y) % p for x, y in zip(rows[r], rows[column], strict=True)]
        inverse = np.empty((n, n), dtype=object)
        for r in range(n):
            inverse[r] = rows[r][n:]
        return inverse, determinant
