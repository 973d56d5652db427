"""Values of terms in exact arithmetic: modulo a prime with functions as unknowns, or in many digits.

In: a term, arrays of its variables, extents. Out: the value, an object array of numbers.
Invariant: no floating point, and nothing shared with canonical form, simplifier or compiled programs.
`Modular`: a function is a random one that obeys the laws listed at it and no others, so terms that agree
here agree for the true function too; those that differ may still be equal. `Precise`: both ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from hashlib import blake2b
from math import prod
from typing import Any

import numpy as np

from ..programs import levi_civita
from ..terms import (
    ELEMENTWISE,
    WHOLE,
    Apply,
    Contraction,
    Delta,
    Dim,
    Expr,
    Extent,
    Label,
    Literal,
    Map,
    Ones,
    Sum,
    Variable,
    postorder,
)
from .digits import FUNCTIONS, NAN, PoleError, context, of_array, sign

Array = Any
Number = Any

_OPAQUE = 600  # entries of a function of mpmath times rows: more takes seconds
_LARGEST = 300_000  # entries of an intermediate array


class TooLargeError(ArithmeticError):
    """More entries than exact arithmetic can afford."""


def check_entries(shape: Sequence[int], largest: int = _LARGEST) -> None:
    if prod(shape) > largest:
        raise TooLargeError


class Evaluator:
    """What all fields share. A field has numbers `one` and `zero`, and the methods that fail here."""

    one: Number
    zero: Number

    def __init__(self, values: Mapping[Variable, Array], sizes: Mapping[str, int]) -> None:
        self.values, self.sizes = values, sizes
        self.known: dict[Expr, Array] = {}

    def reduce(self, array: Array) -> Array:
        return np.asarray(array, dtype=object)  # arrays without axes too

    def number(self, value: Fraction) -> Number:
        return self.quotient(self.one * value.numerator, self.one * value.denominator)

    def quotient(self, a: Number, b: Number) -> Number:
        raise NotImplementedError

    def pivot(self, column: Sequence[Number]) -> int | None:
        """Which of these to divide by, None if all are zero."""
        raise NotImplementedError

    def function(self, name: str, arguments: Sequence[Number]) -> Number:
        """A function of entries."""
        raise NotImplementedError

    def entry(self, node: Map, arguments: Sequence[Number]) -> Number:
        return self.function(node.function, arguments)

    def whole(self, node: Apply, argument: Array, shape: tuple[int, ...]) -> Any:
        """A function of whole axes, with a value of this shape."""
        row = WHOLE[node.function]
        return (
            self.opaque(node, argument, shape) if row.exact is None else row.exact(self, argument)
        )

    def opaque(self, node: Apply, argument: Array, shape: tuple[int, ...]) -> Any:
        """A function that arithmetic does not reach."""
        raise NotImplementedError

    def extreme(self, name: str, row: Sequence[Number]) -> Number:
        """Maximum or minimum."""
        raise NotImplementedError

    def shift(self, row: Sequence[Number]) -> Number:
        """What to subtract from exponents, so that exponentials do not overflow."""
        return self.zero

    def factor(self, matrix: Array) -> Array:
        """The Cholesky factor of a symmetric matrix."""
        raise NotImplementedError

    def value(self, term: Expr) -> Array:
        """The value of a term; what several terms share is computed once."""
        for node in postorder([term], self.known):
            shape = tuple(self.size(dim) for dim in node.shape)
            check_entries(shape)
            result = np.empty(shape, dtype=object)
            result[...] = self._node(node, shape, [self.known[child] for child in node.children])
            self.known[node] = self.reduce(result)
        return self.known[term]

    def size(self, dim: Dim) -> int:
        return dim if isinstance(dim, int) else self.sizes[dim]

    def _node(self, node: Expr, shape: tuple[int, ...], children: list[Array]) -> Array:
        match node:
            case Variable():
                return self.values[node]
            case Literal():
                return self.number(node.value)
            case Extent():
                return self.number(Fraction(self.size(node.dim)))
            case Ones():
                return self.one
            case Delta():
                return np.where(np.eye(shape[0], dtype=bool), self.one, self.zero)
            case Contraction():
                return self._contraction(node, children)
            case Sum():
                pairs = zip(node.coefficients, children, strict=True)
                return sum((self.number(c) * child for c, child in pairs), self.zero)
            case Map():
                result = np.empty(shape, dtype=object)
                arguments = [np.broadcast_to(child, shape) for child in children]
                for place in np.ndindex(*shape):
                    result[place] = self.entry(node, [argument[place] for argument in arguments])
                return result
            case Apply() if node.function == "eps":
                signs = levi_civita(node.width)
                return np.where(signs > 0, self.one, np.where(signs < 0, -self.one, self.zero))
            case Apply():
                (argument,) = children
                core = 2 if WHOLE[node.function].matrix else node.width
                batch = argument.shape[: argument.ndim - core]
                own = shape[len(batch) :]
                result = np.empty(shape, dtype=object)
                for place in np.ndindex(*batch):
                    found = self.whole(node, argument[place], own)
                    result[place] = np.asarray(found, dtype=object).reshape(own)[()]
                return result
        raise AssertionError(node)

    def _contraction(self, node: Contraction, children: list[Array]) -> Array:
        """Operands multiplied one by one, each label summed as soon as no other operand has it."""
        waiting = list(zip(children, node.inputs, strict=True))
        array = np.array(self.one, dtype=object)
        labels: tuple[Label, ...] = ()
        while waiting:
            k = max(range(len(waiting)), key=lambda j: (len(set(labels) & set(waiting[j][1])), -j))
            other, own = waiting.pop(k)
            needed = set(node.output).union(*(rest for _, rest in waiting))
            sizes: dict[Label, int] = dict(
                zip((*labels, *own), (*array.shape, *other.shape), strict=True)
            )
            check_entries(list(sizes.values()))
            number = {label: k for k, label in enumerate(sizes)}  # NumPy takes small ones only
            kept = tuple(label for label in sizes if label in needed)
            first, second, third = (
                [number[label] for label in group] for group in (labels, own, kept)
            )
            array, labels = self.reduce(np.einsum(array, first, other, second, third)), kept
        return np.transpose(array, [labels.index(label) for label in node.output])

    def product(self, row: Sequence[Number]) -> Number:
        value = self.one
        for number in row:
            value = self.reduce(value * number)[()]
        return value

    def eliminate(self, matrix: Array) -> tuple[Array, Number]:
        """Inverse and determinant by Gauss and Jordan; PoleError if there is no inverse."""
        n = len(matrix)
        unit = np.where(np.eye(n, dtype=bool), self.one, self.zero)
        rows = np.concatenate([matrix, unit], axis=1).astype(object)
        determinant = self.one
        for column in range(n):
            found = self.pivot(list(rows[column:, column]))
            if found is None:
                raise PoleError
            if found:
                rows[[column, column + found]] = rows[[column + found, column]]
                determinant = -determinant
            determinant = self.product([determinant, rows[column, column]])
            factor = self.quotient(self.one, rows[column, column])
            rows[column] = self.reduce(rows[column] * factor)
            for r in range(n):
                if r != column:
                    rows[r] = self.reduce(rows[r] - rows[r, column] * rows[column])
        return rows[:, n:], determinant


class Modular(Evaluator):
    """Integers modulo a prime; a function is unknown but for the laws that `LAWS` gives it.

    Without `laws` it is unknown altogether, unless it is rational.
    """

    def __init__(
        self,
        values: Mapping[Variable, Array],
        sizes: Mapping[str, int],
        prime: int,
        salt: int,
        laws: bool,
    ) -> None:
        super().__init__(values, sizes)
        self.prime, self.salt, self.laws = prime, salt, laws
        self.one, self.zero = 1, 0
        self.is_rational = True  # so far: have all functions been rational?

    def reduce(self, array: Array) -> Array:
        return np.asarray(array % self.prime, dtype=object)

    def quotient(self, a: int, b: int) -> int:
        if not b % self.prime:
            raise PoleError
        return int(a) * pow(int(b), -1, self.prime) % self.prime

    def pivot(self, column: Sequence[int]) -> int | None:
        return next((k for k, x in enumerate(column) if x % self.prime), None)

    def function(self, name: str, arguments: Sequence[int]) -> int:
        reduced = [x % self.prime for x in arguments]
        self.is_rational &= name == "pow"
        law = ELEMENTWISE[name].law
        if law is None or not (self.laws or name == "pow"):
            return self.unknown(name, *reduced)
        return int(law(self, *reduced))

    def whole(self, node: Apply, argument: Array, shape: tuple[int, ...]) -> Any:
        rational = WHOLE[node.function].rational
        self.is_rational &= rational
        if self.laws or rational:
            return super().whole(node, argument, shape)
        return self.opaque(node, argument, shape)

    def opaque(self, node: Apply, argument: Array, shape: tuple[int, ...]) -> Any:
        return [self.unknown(f"{node.function}{k}", *argument.flat) for k in range(prod(shape))]

    def unknown(self, name: str, *arguments: int) -> int:
        """A random number, the same for the same function and arguments."""
        self.is_rational = False
        text = f"{self.salt}|{name}|{'|'.join(str(int(x)) for x in arguments)}"
        found = int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big")
        return found % (self.prime - 1) + 1

    def odd(self, name: str, x: int) -> int:
        """f(-x) = -f(x)."""
        if not x:
            return 0
        return self.unknown(name, x) if 2 * x < self.prime else -self.unknown(name, self.prime - x)

    def exp(self, x: int) -> int:
        """exp(-x) = 1/exp(x)."""
        x %= self.prime
        if not x:
            return 1
        if 2 * x < self.prime:
            return self.unknown("exp", x)
        return self.quotient(1, self.unknown("exp", self.prime - x))

    def log(self, x: int) -> int:
        return 0 if x % self.prime == 1 else self.unknown("log", x % self.prime)

    def half_angle(self, x: int) -> tuple[int, int]:
        """sin(x) = 2 t/(1 + t^2) and cos(x) = (1 - t^2)/(1 + t^2)."""
        t = self.odd("half angle", x)
        return self.quotient(2 * t, 1 + t * t), self.quotient(1 - t * t, 1 + t * t)

    def power(self, x: int, p: int) -> int:
        whole = p if 2 * p < self.prime else p - self.prime
        if abs(whole) > 10**6:
            return self.unknown("pow", x, p)
        if whole < 0 and not x:
            raise PoleError
        return pow(x, whole, self.prime)

    def extreme(self, name: str, row: Sequence[int]) -> int:
        return self.unknown(name, *sorted(row))

    def factor(self, matrix: Array) -> Array:
        result = np.zeros(matrix.shape, dtype=object)
        for i, j in zip(*np.tril_indices(len(matrix)), strict=True):
            result[i, j] = self.unknown(f"cholesky{i},{j}", *matrix.flat)
        return result


class Precise(Evaluator):
    """Decimals of so many digits; entries outside a domain are NaN."""

    def __init__(
        self, values: Mapping[Variable, Array], sizes: Mapping[str, int], digits: int
    ) -> None:
        super().__init__(values, sizes)
        self.digits = digits
        self.one, self.zero = Decimal(1), Decimal(0)
        # on which side of each kink of a piecewise function its entries lie, in order
        self.sides: dict[Expr, list[int]] = {}
        self.margins: dict[Expr, list[Decimal]] = {}  # how far they are from it

    def value(self, term: Expr) -> Array:
        with localcontext(context(self.digits)):
            return super().value(term)

    def quotient(self, a: Decimal, b: Decimal) -> Decimal:
        return a / b

    def pivot(self, column: Sequence[Decimal]) -> int | None:
        if any(not x.is_finite() for x in column):
            raise PoleError
        largest = max(range(len(column)), key=lambda k: abs(column[k]))
        return largest if column[largest] else None

    def function(self, name: str, arguments: Sequence[Decimal]) -> Decimal:
        return FUNCTIONS[name](*arguments)

    def entry(self, node: Map, arguments: Sequence[Decimal]) -> Decimal:
        if ELEMENTWISE[node.function].kink:
            margin = arguments[0] - arguments[1] if len(arguments) > 1 else arguments[0]
            self.sides.setdefault(node, []).append(side(margin))
            self.margins.setdefault(node, []).append(margin)
        return self.function(node.function, arguments)

    def whole(self, node: Apply, argument: Array, shape: tuple[int, ...]) -> Any:
        if node.function in ("max", "min"):
            chosen = (np.argmax if node.function == "max" else np.argmin)(argument)
            self.sides.setdefault(node, []).append(int(chosen))
        return super().whole(node, argument, shape)

    def opaque(self, node: Apply, argument: Array, shape: tuple[int, ...]) -> Any:
        if prod(shape) * len(argument) > _OPAQUE:
            raise TooLargeError
        return of_array(WHOLE[node.function].digits, argument)

    def extreme(self, name: str, row: Sequence[Decimal]) -> Decimal:
        if any(x.is_nan() for x in row):
            return NAN
        return max(row) if name == "max" else min(row)

    def shift(self, row: Sequence[Decimal]) -> Decimal:
        return max(row)

    def factor(self, matrix: Array) -> Array:
        lower = np.full(matrix.shape, self.zero, dtype=object)
        for i, j in zip(*np.tril_indices(len(matrix)), strict=True):
            rest = matrix[i, j] - lower[i, :j] @ lower[j, :j] if j else matrix[i, j]
            lower[i, j] = rest.sqrt() if i == j else rest / lower[j, j]
        return lower


def side(margin: Decimal) -> int:
    """The side of a kink: -1 or 1, 0 on it or without a number."""
    return 0 if margin.is_nan() else int(sign(margin))
