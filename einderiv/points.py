"""Where terms are tried: small extents, and random arrays that respect what is assumed of tensors.

In: terms, a source of random numbers. Out: extents by name, arrays of exact integers or of Decimals.
Invariant: a symmetric tensor gets a symmetric array, a positive one positive entries.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from .evaluating import TooLargeError
from .expr import Expr, Variable
from .uniting import symbolic_extents
from .walk import postorder

Array = Any

PRIME = 2**61 - 1
_LARGEST = 100_000  # entries of an array


class Sizes:
    """Extents for one point after the other: small, larger, one large; smaller where that is too much.

    Terms that agree at a few small extents only, such as (n - 2)*(n - 3)*x and 0, must not pass.
    """

    def __init__(self, terms: Sequence[Expr], rng: random.Random) -> None:
        self.dims, self.rng = symbolic_extents(terms), rng
        self.largest, self.long = 8, 40

    def next(self, number: int) -> dict[str, int]:
        """Extents of the point of this number, drawn anew at every call."""
        low, high = (5, self.largest) if number % 3 == 1 and self.largest > 5 else (2, 4)
        sizes = {dim: self.rng.randrange(low, min(high, self.largest) + 1) for dim in self.dims}
        if number % 3 == 2 and self.dims and self.long > 8:
            sizes[self.rng.choice(self.dims)] = self.rng.randrange(9, self.long + 1)
        return sizes

    def shrink(self) -> None:
        """After a point that was too large; TooLargeError where there are no smaller ones."""
        if self.long > 8:
            self.long //= 2
        elif self.largest > 2:
            self.largest -= 1
        else:
            raise TooLargeError


def leaves(terms: Sequence[Expr]) -> list[Variable]:
    return [node for node in postorder(terms) if isinstance(node, Variable)]


def integers(x: Variable, sizes: Mapping[str, int], rng: random.Random) -> Array:
    value = _filled(x, sizes, lambda: rng.randrange(1, PRIME))
    return value + np.swapaxes(value, -1, -2) if x.symmetric else value


def _filled(x: Variable, sizes: Mapping[str, int], draw: Callable[[], Any]) -> Array:
    shape = tuple(sizes[d] if isinstance(d, str) else d for d in x.shape)
    count = int(np.prod(shape, dtype=int))
    if count > _LARGEST:
        raise TooLargeError
    flat = np.empty(count, dtype=object)
    flat[:] = [draw() for _ in flat]
    return flat.reshape(shape)


def decimals(
    x: Variable,
    sizes: Mapping[str, int],
    rng: random.Random,
    scale: Decimal,
    mixed: bool,
    regular: bool,
    symmetric: bool,
) -> Array:
    positive = not mixed or bool(x.assumptions & {"positive", "nonnegative"})

    def draw() -> Decimal:
        number = scale * Decimal(rng.randrange(10**11, 2 * 10**12)) / 10**12
        return number if positive or rng.random() < 0.5 else -number

    value = _filled(x, sizes, draw)
    if value.ndim > 1 and value.shape[-1] == value.shape[-2]:
        spd = symmetric or "spd" in x.assumptions
        if x.symmetric or spd:
            value = (value + np.swapaxes(value, -1, -2)) / 2
        if regular or spd:  # the diagonal outweighs its row
            size = value.shape[-1]
            value = value + np.eye(size, dtype=int).astype(object) * (3 * size * scale)
    return value
