"""Values of terms in exact arithmetic: modulo a prime with functions as unknowns, or in many digits.

In: a term, arrays of its variables, extents. Out: the value, an object array of numbers.
Invariant: no floating point, and nothing shared with canonical form, simplifier or compiler.
`Modular`: a function is a random one that obeys the laws listed at it and no others, so terms that agree
here agree for the true function too; those that differ may still be equal. `Precise`: both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, getcontext
from fractions import Fraction
from functools import cache
from hashlib import blake2b
from itertools import permutations
from typing import Any

import numpy as np

from ..terms import (
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
    Subscript,
    Sum,
    Variable,
    postorder,
)
from . import digits
from .reference import PoleError

Array = Any
Number = Any

_LARGEST = 300_000  # entries of an intermediate array
_KINKS = ("abs", "sign", "step", "relu", "max", "min", "where", "lt", "le", "gt", "ge")


class TooLargeError(ArithmeticError):
    """More entries than exact arithmetic can afford."""


class Evaluator:
    """The part that any field shares: contractions, sums, elimination."""

    one: Number
    zero: Number

    def __init__(self, values: Mapping[Variable, Array], sizes: Mapping[str, int]) -> None:
        self.values, self.sizes = values, sizes
        self.known: dict[Expr, Array] = {}
        # on which side of each kink of a piecewise function its entries lie, in order
        self.sides: dict[Expr, list[int]] = {}
        self.margins: dict[Expr, list[Number]] = {}  # how far they are from it

    def value(self, term: Expr) -> Array:
        """The value of a term; what several terms share is computed once."""
        for node in postorder([term], self.known):
            shape = tuple(self.size(dim) for dim in node.shape)
            _check_entries(shape)
            raw = self._node(node, shape, [self.known[child] for child in node.children])
            result = np.empty(shape, dtype=object)
            result[...] = raw
            self.known[node] = self.reduced(result)
        return self.known[term]

    def size(self, dim: Dim) -> int:
        return dim if isinstance(dim, int) else self.sizes[dim]

    # what a field is

    def reduced(self, array: Array) -> Array:
        raise NotImplementedError

    def number(self, value: Fraction) -> Number:
        raise NotImplementedError

    def divided(self, a: Number, b: Number) -> Number:
        raise NotImplementedError

    def function(self, name: str, arguments: Sequence[Number]) -> Number:
        raise NotImplementedError

    def whole(self, name: str, row: Sequence[Number]) -> Sequence[Number]:
        """A function of an axis with no definition by field operations: max, softmax, ..."""
        raise NotImplementedError

    def matrix(self, name: str, argument: Array) -> Array:
        """A function of a matrix with no definition by field operations."""
        raise NotImplementedError

    def pivot(self, column: Sequence[Number]) -> int | None:
        """Which of these to divide by, None if all are zero."""
        raise NotImplementedError

    # nodes

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
                total = np.full(shape, self.zero, dtype=object)
                for coefficient, child in zip(node.coefficients, children, strict=True):
                    total = self.reduced(total + self.number(coefficient) * child)
                return total
            case Map():
                return self._map(node, shape, children)
            case Apply():
                return self._apply(node, shape, children)
        raise AssertionError(node)

    def _map(self, node: Map, shape: tuple[int, ...], children: list[Array]) -> Array:
        result = np.empty(shape, dtype=object)
        arguments = [np.broadcast_to(child, shape) for child in children]
        for place in np.ndindex(*shape):
            own = [argument[place] for argument in arguments]
            if node.function in _KINKS:
                self._note_side(node, own)
            result[place] = self.function(node.function, own)
        return result

    def _note_side(self, node: Map, own: Sequence[Number]) -> None:
        """Which branch a piecewise function took; only ordered fields can tell."""

    def _note_extreme(self, node: Apply, row: Array) -> None:
        """Which entry a maximum or minimum is; only ordered fields can tell."""

    def _contraction(self, node: Contraction, children: list[Array]) -> Array:
        """Operands multiplied one by one, each label summed as soon as no other operand has it."""
        waiting = [_diagonal(a, ls) for a, ls in zip(children, node.inputs, strict=True)]
        product: tuple[Array, Subscript] = (np.array(self.one, dtype=object), ())
        while waiting:
            own = set(product[1])
            k = max(range(len(waiting)), key=lambda j: (len(own & set(waiting[j][1])), -j))
            product = self._multiplied(product, waiting.pop(k))
            needed = set(node.output).union(*(labels for _, labels in waiting))
            array, labels = product
            axes = tuple(k for k, label in enumerate(labels) if label not in needed)
            if axes:
                array = self.reduced(np.sum(array, axis=axes))
            product = array, tuple(label for label in labels if label in needed)
        array, labels = product
        return np.transpose(array, [labels.index(label) for label in node.output])

    def _multiplied(
        self, left: tuple[Array, Subscript], right: tuple[Array, Subscript]
    ) -> tuple[Array, Subscript]:
        labels = tuple(dict.fromkeys((*left[1], *right[1])))
        a, b = (_spread(array, own, labels) for array, own in (left, right))
        _check_entries(np.broadcast_shapes(a.shape, b.shape))
        return self.reduced(a * b), labels

    def _apply(self, node: Apply, shape: tuple[int, ...], children: list[Array]) -> Array:
        if node.function == "eps":
            return self._levi_civita(node.width)
        (argument,) = children
        if node.function in ("inv", "det", "logdet", "cholesky", "tril"):
            core, apply = 2, self._of_matrix
        else:
            core, apply = node.width, self._of_axis
        batch = argument.shape[: argument.ndim - core]
        result = np.empty(shape, dtype=object)
        for place in np.ndindex(*batch):
            result[place] = apply(node.function, argument[place])
            if node.function in ("max", "min"):
                self._note_extreme(node, argument[place].reshape(-1))
        return result

    def _of_matrix(self, name: str, argument: Array) -> Array:
        if name == "tril":
            return np.where(np.tri(len(argument), dtype=bool), argument, self.zero)
        if name in ("inv", "det"):
            inverse, determinant = self.eliminated(argument)
            return determinant if name == "det" else inverse
        if name == "cholesky":  # of the symmetric part, as the program computes it
            half = self.number(Fraction(1, 2))
            argument = self.reduced(half * (argument + argument.T))
        return self.matrix(name, argument)

    def _of_axis(self, name: str, argument: Array) -> Array:
        row = list(argument.reshape(-1))
        if name == "prod":
            return self._product(row)
        if name == "prodexcept":
            values: Sequence[Number] = [
                self._product(row[:k] + row[k + 1 :]) for k in range(len(row))
            ]
        else:
            values = self.whole(name, row)
        if name in ("max", "min", "logsumexp"):
            return values[0]
        result = np.empty(len(row), dtype=object)
        result[:] = values
        return result.reshape(argument.shape)

    def _product(self, row: Sequence[Number]) -> Number:
        value = np.array(self.one, dtype=object)
        for number in row:
            value = self.reduced(value * number)
        return value[()]

    def _levi_civita(self, rank: int) -> Array:
        result = np.full((rank,) * rank, self.zero, dtype=object)
        for order in permutations(range(rank)):
            swaps = sum(order[i] > order[j] for j in range(rank) for i in range(j))
            result[order] = self.number(Fraction(-1 if swaps % 2 else 1))
        return result

    def eliminated(self, matrix: Array) -> tuple[Array, Number]:
        """Inverse and determinant by Gauss and Jordan; PoleError where there is no inverse."""
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
            determinant = self._product([determinant, rows[column, column]])
            factor = self.divided(self.one, rows[column, column])
            rows[column] = self.reduced(rows[column] * factor)
            for r in range(n):
                if r != column:
                    rows[r] = self.reduced(rows[r] - rows[r, column] * rows[column])
        return rows[:, n:], determinant


def _check_entries(shape: Sequence[int]) -> None:
    entries = 1
    for size in shape:
        entries *= size
    if entries > _LARGEST:
        raise TooLargeError


def _diagonal(array: Array, labels: Subscript) -> tuple[Array, Subscript]:
    """An operand with each of its labels once."""
    kept = tuple(dict.fromkeys(labels))
    if len(kept) < len(labels):
        sizes = {label: size for label, size in zip(labels, array.shape, strict=True)}
        grid = np.ix_(*(range(sizes[label]) for label in kept))
        array = array[tuple(grid[kept.index(label)] for label in labels)]
    return array, kept


def _spread(array: Array, own: Subscript, labels: Sequence[Label]) -> Array:
    """The array with axes in the order of `labels`, of size 1 where it has none."""
    array = np.transpose(array, [own.index(label) for label in labels if label in own])
    sizes = dict(zip(sorted(own, key=list(labels).index), array.shape, strict=True))
    return array.reshape([sizes.get(label, 1) for label in labels])


class Modular(Evaluator):
    """Integers modulo a prime; a function is unknown but for the laws that `_LAWS` gives it."""

    def __init__(
        self,
        values: Mapping[Variable, Array],
        sizes: Mapping[str, int],
        prime: int,
        salt: int,
    ) -> None:
        super().__init__(values, sizes)
        self.prime, self.salt = prime, salt
        self.one, self.zero = 1, 0

    def reduced(self, array: Array) -> Array:
        return np.asarray(array % self.prime, dtype=object)  # arrays without axes too

    def number(self, value: Fraction) -> int:
        return self.divided(value.numerator, value.denominator)

    def divided(self, a: int, b: int) -> int:
        if not b % self.prime:
            raise PoleError
        return int(a) * pow(int(b), -1, self.prime) % self.prime

    def pivot(self, column: Sequence[int]) -> int | None:
        return next((k for k, x in enumerate(column) if x % self.prime), None)

    def unknown(self, name: str, *arguments: int) -> int:
        """A random number, the same for the same function and arguments."""
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
        if not x:
            return 1
        if 2 * x < self.prime:
            return self.unknown("exp", x)
        return self.divided(1, self.unknown("exp", self.prime - x))

    def log(self, x: int) -> int:
        return 0 if x % self.prime == 1 else self.unknown("log", x % self.prime)

    def function(self, name: str, arguments: Sequence[int]) -> int:
        if name == "pow":
            return self._power(*arguments)
        law = _LAWS.get(name)
        return self.unknown(name, *arguments) if law is None else law(self, *arguments)

    def _power(self, x: int, p: int) -> int:
        whole = p if 2 * p < self.prime else p - self.prime
        if abs(whole) > 10**6:
            return self.unknown("pow", x, p)
        if whole < 0 and not x:
            raise PoleError
        return pow(x, whole, self.prime)

    def whole(self, name: str, row: Sequence[int]) -> Sequence[int]:
        if name in ("max", "min"):
            return [self.unknown(name, *sorted(row))]
        powers = [self.exp(x) for x in row]
        total = sum(powers) % self.prime
        if name == "softmax":
            return [self.divided(x, total) for x in powers]
        logarithm = self.log(total)
        return [logarithm] if name == "logsumexp" else [x - logarithm for x in row]

    def matrix(self, name: str, argument: Array) -> Array:
        if name == "logdet":  # a function of the determinant
            return self.unknown(name, self.eliminated(argument)[1] % self.prime)
        flat = [int(x) for x in argument.reshape(-1)]
        result = np.zeros(argument.shape, dtype=object)
        for i, j in zip(*np.tril_indices(len(argument)), strict=True):
            result[i, j] = self.unknown(f"{name}{i},{j}", *flat)
        return result


def _half_angle(f: Modular, x: int) -> tuple[int, int]:
    """sin(x) = 2 t/(1 + t^2) and cos(x) = (1 - t^2)/(1 + t^2)."""
    t = f.odd("half angle", x)
    return f.divided(2 * t, 1 + t * t), f.divided(1 - t * t, 1 + t * t)


# Laws of the functions, each true of the real function wherever both of its sides are defined.
_LAWS: dict[str, Callable[..., int]] = {
    "exp": lambda f, x: f.exp(x),
    "expm1": lambda f, x: f.exp(x) - 1,
    "sigmoid": lambda f, x: f.divided(1, 1 + f.exp(-x % f.prime)),
    "sinh": lambda f, x: f.divided(f.exp(x) - f.exp(-x % f.prime), 2),
    "cosh": lambda f, x: f.divided(f.exp(x) + f.exp(-x % f.prime), 2),
    "tanh": lambda f, x: f.divided(f.exp(x) - f.exp(-x % f.prime), f.exp(x) + f.exp(-x % f.prime)),
    "log": lambda f, x: f.log(x),
    "log1p": lambda f, x: f.log(1 + x),
    "softplus": lambda f, x: f.log(1 + f.exp(x)),
    "sin": lambda f, x: _half_angle(f, x)[0],
    "cos": lambda f, x: _half_angle(f, x)[1],
    "tan": lambda f, x: f.divided(*_half_angle(f, x)),
    "asin": lambda f, x: f.odd("asin", x),
    "acos": lambda f, x: f.divided(f.unknown("pi"), 2) - f.odd("asin", x),
    "atan": lambda f, x: f.odd("atan", x),
    "erf": lambda f, x: f.odd("erf", x),
    "erfc": lambda f, x: 1 - f.odd("erf", x),
    "digamma": lambda f, x: f.unknown("polygamma", 0, x),
    "sign": lambda f, x: f.odd("sign", x),
    "abs": lambda f, x: x * f.odd("sign", x),
    "relu": lambda f, x: x * f.unknown("step", x),
    "where": lambda f, c, a, b: c * a + (1 - c) * b,
    "lt": lambda f, a, b: f.unknown("lt", a, b),
    "gt": lambda f, a, b: f.unknown("lt", b, a),
    "ge": lambda f, a, b: 1 - f.unknown("lt", a, b),
    "le": lambda f, a, b: 1 - f.unknown("lt", b, a),
    "eq": lambda f, a, b: f.unknown("eq", *sorted((a, b))),
    "ne": lambda f, a, b: 1 - f.unknown("eq", *sorted((a, b))),
    "max": lambda f, a, b: f.unknown("max", *sorted((a, b))),
    "min": lambda f, a, b: a + b - f.unknown("max", *sorted((a, b))),
}


class Precise(Evaluator):
    """Decimals in the context of the caller; entries outside a domain are NaN."""

    def __init__(self, values: Mapping[Variable, Array], sizes: Mapping[str, int]) -> None:
        super().__init__(values, sizes)
        self.one, self.zero = Decimal(1), Decimal(0)

    def reduced(self, array: Array) -> Array:
        return np.asarray(array, dtype=object)

    def number(self, value: Fraction) -> Decimal:
        return _decimal(value, getcontext().prec)

    def divided(self, a: Decimal, b: Decimal) -> Decimal:
        return a / b

    def pivot(self, column: Sequence[Decimal]) -> int | None:
        if any(not x.is_finite() for x in column):
            raise PoleError
        largest = max(range(len(column)), key=lambda k: abs(column[k]))
        return largest if column[largest] else None

    def function(self, name: str, arguments: Sequence[Decimal]) -> Decimal:
        return digits.FUNCTIONS[name](*arguments)

    def _note_side(self, node: Map, own: Sequence[Decimal]) -> None:
        if node.function == "where":
            return  # its condition is a node of its own
        value = own[0] - own[1] if len(own) > 1 else own[0]
        self.sides.setdefault(node, []).append(int(digits.sign(value)) if value == value else 0)
        self.margins.setdefault(node, []).append(value)

    def _note_extreme(self, node: Apply, row: Array) -> None:
        chosen = (np.argmax if node.function == "max" else np.argmin)(row)
        self.sides.setdefault(node, []).append(int(chosen))

    def whole(self, name: str, row: Sequence[Decimal]) -> Sequence[Decimal]:
        if any(x.is_nan() for x in row):
            return [digits.NAN] * len(row)
        largest = max(row)
        if name in ("max", "min"):
            return [largest if name == "max" else min(row)]
        total = sum(((x - largest).exp() for x in row), Decimal(0))
        if name == "softmax":
            return [(x - largest).exp() / total for x in row]
        logarithm = largest + total.ln()
        return [logarithm] if name == "logsumexp" else [x - logarithm for x in row]

    def matrix(self, name: str, argument: Array) -> Array:
        if name == "logdet":
            return digits.FUNCTIONS["log"](abs(self.eliminated(argument)[1]))
        n = len(argument)
        lower = np.full((n, n), Decimal(0), dtype=object)
        for i in range(n):
            for j in range(i + 1):
                rest = argument[i, j] - sum(
                    (lower[i, k] * lower[j, k] for k in range(j)), Decimal(0)
                )
                lower[i, j] = rest.sqrt() if i == j else rest / lower[j, j]
        return lower


@cache
def _decimal(value: Fraction, precision: int) -> Decimal:
    return digits.from_fraction(value)
