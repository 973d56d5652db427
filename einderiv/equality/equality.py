"""Are two expressions equal? Decided by identity, then exactly where the terms are rational, else in floats.

In: two expressions. Out: True or False, and how it was found.
Invariant: "equal" by random evaluation is wrong with a probability below 1e-9: a rational difference of
degree d vanishes at a random point modulo p with probability at most d/p (Schwartz 1980, Zippel 1979).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..errors import DataError
from ..programs import Executable
from ..terms import Contraction, Expr, Variable, postorder, symbolic_extents
from .points import symmetric_names
from .reference import PoleError, modular_value

Array = Any

_PRIMES = (2**61 - 1, 2**89 - 1, 2**127 - 1)  # one for each point
_POINTS = 3
_POINTS_OF_A_SUM = 20_000  # added up one after the other
_WILD = 1e8  # larger values are those of inverses of nearly singular matrices


def _sizes(
    terms: Sequence[Expr], variables: dict[str, Variable], rng: random.Random
) -> dict[str, int]:
    """Small extents, other ones at every point: the inverse of X'X needs more rows than columns.

    Some are larger, since (n - 2)*(n - 3)*(n - 4)*x is not 0.
    """
    dims = symbolic_extents([*terms, *variables.values()])
    labels = [
        len({label for own in node.inputs for label in own})
        for node in postorder(terms)
        if isinstance(node, Contraction)
    ]
    small = 7 ** max(labels, default=0) <= _POINTS_OF_A_SUM
    largest = 7 if len(dims) <= 3 and small and rng.random() < 0.5 else 4
    return {dim: rng.randrange(2, largest + 1) for dim in dims}


def _modular(a: Expr, b: Expr, variables: dict[str, Variable]) -> tuple[bool, str]:
    rng = random.Random(20)
    points = 0
    for _ in range(20 * _POINTS):
        sizes = _sizes([a, b], variables, rng)
        prime = _PRIMES[points]
        values = {
            x: _random_array(x, sizes, partial(rng.randrange, 1, prime)) for x in _leaves(a, b)
        }
        try:
            left, right = (modular_value(t, values, sizes, prime) for t in (a, b))
        except PoleError:
            continue
        if not np.array_equal(left, right):
            return False, "modular"
        points += 1
        if points == len(_PRIMES):
            return True, "modular"
    return agree_in_floats(a, b, variables), "floating point"


def _leaves(*terms: Expr) -> list[Variable]:
    return [node for node in postorder(terms) if isinstance(node, Variable)]


def _random_array(x: Variable, sizes: dict[str, int], draw):  # type: ignore[no-untyped-def]
    shape = tuple(sizes[d] if isinstance(d, str) else d for d in x.shape)
    flat = np.empty(int(np.prod(shape, dtype=int)), dtype=object)
    flat[:] = [draw() for _ in flat]
    value = flat.reshape(shape)
    return value + np.swapaxes(value, -1, -2) if x.symmetric else value


def agree_in_floats(a: Expr, b: Expr, variables: dict[str, Variable]) -> bool:
    """Do two terms agree to 1e-8 at random points? DataError where no point gives finite values."""
    rng = np.random.default_rng(20)
    draw = random.Random(20)
    program = Executable([a, b], 2, variables)
    symmetric = symmetric_names(a, b)
    coverage = Coverage()
    for attempt in range(8 * _POINTS):
        sizes = _sizes([a, b], variables, draw)
        scale = (1.0, 0.3, 2.0)[attempt % 3]
        arrays = {}
        for name, x in variables.items():
            shape = tuple(sizes[d] if isinstance(d, str) else d for d in x.shape)
            value = rng.uniform(0.1, 0.9, size=shape) * scale
            if attempt % 2 and not x.assumptions & {"positive", "nonnegative"}:
                value = value * rng.choice(
                    [-1.0, 1.0], size=shape
                )  # max(y x) is y max(x) for y > 0
            if len(shape) > 1 and shape[-1] == shape[-2]:
                value = value + 2 * shape[-1] * np.eye(shape[-1])
                value = (value + np.swapaxes(value, -1, -2)) / 2 if name in symmetric else value
            arrays[name] = value
        try:
            left, right = program(arrays, sizes=sizes)
        except DataError:
            continue
        finite = np.isfinite(left) & np.isfinite(right)
        if np.any(np.abs(left[finite]) > _WILD) or np.any(np.abs(right[finite]) > _WILD):
            continue  # near a pole, where rounding decides
        difference = np.abs(left - right)[finite]
        if np.any(difference > 1e-8 * (1 + np.abs(left)[finite])):
            return False
        coverage.add(np.isfinite(left), np.isfinite(right), (left != 0) | (right != 0))
        if coverage.full == 2 * _POINTS:
            break
    return coverage.says_equal()


class Coverage:
    """At which points two terms that agree wherever both have values have been compared.

    A term that lacks values where the other one has them may not be called equal for its zeros.
    """

    def __init__(self) -> None:
        self.full = 0  # points at which both have all their values
        self.partial = 0  # at which both lack the same ones, and some of the others are not zero
        self.one_sided = 0  # at which one of them lacks values that the other one has

    def add(self, first: Array, second: Array, nonzero: Array) -> None:
        """A point: where the terms are finite, and where one of them is not 0."""
        if np.any(first != second):
            self.one_sided += 1
        elif np.all(first):
            self.full += 1
        else:
            self.partial += bool(np.any(first & nonzero))

    def says_equal(self) -> bool:
        """DataError where nothing could be compared."""
        if self.full or (self.partial and not self.one_sided):
            return True
        if self.one_sided:
            return False
        raise DataError(
            "the expressions could not be compared: no random point gave finite values",
            hint="evaluate both on arrays of their domain",
        )
