"""Where terms are tried: small extents, and random arrays that respect what is assumed of tensors.

In: terms, a source of random numbers. Out: extents by name, arrays of exact integers, Decimals or floats.
Invariant: a symmetric tensor gets a symmetric array, a positive one positive entries.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, localcontext
from math import prod
from typing import Any

import numpy as np

from ..terms import Apply, Expr, Variable, postorder, symbolic_extents
from .digits import PoleError, context
from .evaluating import Precise, TooLargeError, check_entries, side

Array = Any
Values = dict[Variable, Array]

_LARGEST = 100_000  # entries of an array


class Sizes:
    """Extents for one point after the other: small, larger, one large; smaller if that is too much.

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
        """After a point that was too large; TooLargeError if none is smaller."""
        if self.long > 8:
            self.long //= 2
        elif self.largest > 2:
            self.largest -= 1
        else:
            raise TooLargeError


def leaves(terms: Sequence[Expr]) -> list[Variable]:
    return [node for node in postorder(terms) if isinstance(node, Variable)]


def symmetric_names(terms: Sequence[Expr]) -> set[str]:
    """Tensors whose arrays must be symmetric: those assumed to be so, and those inside cholesky."""
    nodes = postorder(terms)
    inside = {*leaves([n for n in nodes if isinstance(n, Apply) and n.function == "cholesky"])}
    return {x.name for x in leaves(terms) if x.symmetric or x in inside}


def shape_at(x: Variable, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes[d] if isinstance(d, str) else d for d in x.shape)


def is_square(value: Array) -> bool:
    return bool(value.ndim > 1 and value.shape[-1] == value.shape[-2])


def may_be_negative(x: Variable) -> bool:
    return not x.assumptions & {"positive", "nonnegative"}


def _random_array(x: Variable, sizes: Mapping[str, int], draw: Callable[[], Any]) -> Array:
    shape = shape_at(x, sizes)
    check_entries(shape, _LARGEST)
    flat = np.empty(prod(shape), dtype=object)
    flat[:] = [draw() for _ in flat]
    return flat.reshape(shape)


def integers(x: Variable, sizes: Mapping[str, int], rng: random.Random) -> Array:
    value = _random_array(x, sizes, lambda: rng.randrange(1, 2**61 - 1))
    return value + np.swapaxes(value, -1, -2) if x.symmetric else value


def decimals(
    terms: Sequence[Expr],
    sizes: Mapping[str, int],
    rng: random.Random,
    scales: Sequence[Decimal] = (Decimal(1),),
    mixed: bool = False,
    regular: bool = True,
) -> Values:
    """Arrays for all tensors of the terms, each of one of the magnitudes `scales`.

    `mixed`: of both signs, if nothing else is assumed. `regular`: square ones have inverses.
    """
    symmetric = symmetric_names(terms)
    values = {}
    for x in leaves(terms):
        scale = rng.choice(scales) if len(scales) > 1 else scales[0]
        positive = not (mixed and may_be_negative(x))

        def draw(scale: Decimal = scale, positive: bool = positive) -> Decimal:
            number = scale * Decimal(rng.randrange(10**11, 2 * 10**12)) / 10**12
            return number if positive or rng.random() < 0.5 else -number

        value = _random_array(x, sizes, draw)
        if is_square(value):
            if x.name in symmetric:
                value = (value + np.swapaxes(value, -1, -2)) / 2
            if regular or x.name in symmetric:  # the diagonal outweighs its row
                size = value.shape[-1]
                value = value + np.eye(size, dtype=int).astype(object) * (3 * size * scale)
        values[x] = value
    return values


def floats(
    x: Variable, sizes: Mapping[str, int], rng: np.random.Generator, mixed: bool, symmetric: bool
) -> Array:
    """As `decimals`, regular and of magnitude 1."""
    value = rng.uniform(0.1, 0.9, size=shape_at(x, sizes))
    if mixed and may_be_negative(x):
        value = value * rng.choice([-1.0, 1.0], size=value.shape)
    if is_square(value):
        value = value + 2 * value.shape[-1] * np.eye(value.shape[-1])
        if symmetric:
            value = (value + np.swapaxes(value, -1, -2)) / 2
    return value


# Points on both sides of the kinks of piecewise functions, close to them. Two terms that agree at random
# points may take different branches in a corner that these miss: step(x + 1) and step(x) differ for
# -1 < x < 0 only. On the segment between two points on different sides of a kink there is a point where it
# is crossed; beside it one of the terms changes its branch, and the other one with it or not.

Point = tuple[Mapping[str, int], Values]

_SEGMENTS = 8
_CROSSINGS = 24  # in all
_PER_KINK = 3
_HALVINGS = 40
_DIGITS = 30
_SEARCHED = 8  # kinks that were met on one side only, and are searched for their other side
_STARTS = 3
_POWERS = (0, 1, 2, 3, 4, 6, 9, 13, 20, 45, -3, -7, -12, -25)  # of ten: how far from zero it may be
_CLIMBS = 40  # steps towards the kink from each start


def crossings(
    terms: Sequence[Expr], rng: random.Random, scales: Sequence[Decimal]
) -> Iterator[Point]:
    """Points close to kinks, in pairs: one on each side; entries are of the magnitudes `scales`."""
    sizing = Sizes(terms, rng)
    met: dict[Expr, int] = {}
    for number in range(2 * len(scales) + _SEGMENTS):
        sizes = sizing.next(0)
        try:  # arrays of different magnitudes: each part of a kink's argument decides it at some point
            ends = [decimals(terms, sizes, rng, scales, True, number % 4 == 3) for _ in range(2)]
            sides = [_sides(terms, values, sizes) for values in ends]
        except TooLargeError:
            sizing.shrink()
            continue
        except PoleError:
            continue
        for node, first in sides[0].items():
            second = sides[1].get(node, first)
            places = [k for k, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
            if places and met.get(node, 0) < _PER_KINK and sum(met.values()) < _CROSSINGS:
                met[node] = met.get(node, 0) + 1
                yield from _beside(sizes, ends, node, rng.choice(places), first)


def other_sides(
    terms: Sequence[Expr], one_sided: Mapping[Expr, set[int]], rng: random.Random
) -> Iterator[Point]:
    """Points beside kinks of which one side was not met: far from zero, or where its argument is extreme."""
    sizing = Sizes(terms, rng)
    for node in list(one_sided)[:_SEARCHED]:
        for start in range(_STARTS):
            sizes = sizing.next(0)
            try:
                found = _search(node, one_sided[node], terms, sizes, rng)
            except TooLargeError:
                sizing.shrink()
                continue
            if found is None:
                continue
            ends, place, first = found
            pair = list(_beside(sizes, ends, node, place, first))
            if pair:
                yield from (*pair, (sizes, ends[1]))
                if start:
                    break


def _search(
    node: Expr,
    met: set[int],
    terms: Sequence[Expr],
    sizes: Mapping[str, int],
    rng: random.Random,
) -> tuple[list[Values], int, list[int]] | None:
    """A point on the side that was met and one on another; the place of the entry; the sides at the first."""

    def draw_values(scale: Decimal) -> Values:
        return decimals(terms, sizes, rng, (scale,), True, False)

    def crossing(margins: Sequence[Decimal]) -> int | None:
        return next((k for k, x in enumerate(margins[: len(sides)]) if side(x) not in met), None)

    start = draw_values(Decimal(1))
    base = _margins(node, start, sizes)
    if not base:
        return None
    sides = [side(x) for x in base]
    for values in [draw_values(Decimal(10) ** power) for power in _POWERS for _ in range(4)]:
        place = crossing(_margins(node, values, sizes))
        if place is not None:
            return [start, values], place, sides
    best, reach = start, Decimal(1)
    least = min((abs(x) for x in base if not x.is_nan()), default=Decimal("Infinity"))
    for _ in range(_CLIMBS):
        other = _between([best, draw_values(Decimal(10))], reach)
        margins = _margins(node, other, sizes)
        if not margins:
            continue
        place = crossing(margins)
        if place is not None:
            return [start, other], place, sides
        nearest = min((abs(x) for x in margins if not x.is_nan()), default=least)
        if nearest < least:
            best, least = other, nearest
        else:
            reach *= Decimal("0.8")
    return None


def _margins(node: Expr, values: Values, sizes: Mapping[str, int]) -> list[Decimal]:
    """How far the entries of a kink's argument are from it; none if they have no value."""
    at = Precise(values, sizes, _DIGITS)
    try:
        at.value(node)
    except PoleError:
        return []
    return at.margins.get(node, [])


def _sides(
    terms: Sequence[Expr], values: Values, sizes: Mapping[str, int]
) -> dict[Expr, list[int]]:
    at = Precise(values, sizes, _DIGITS)
    for term in terms:
        at.value(term)
    return at.sides


def _beside(
    sizes: Mapping[str, int], ends: Sequence[Values], node: Expr, place: int, first: list[int]
) -> Iterator[Point]:
    """Two points on the segment, as close as halving makes them, between which the kink is crossed."""
    low, high = Decimal(0), Decimal(1)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        try:
            found = _sides([node], _between(ends, middle), sizes)[node][place]
        except PoleError:
            return
        low, high = (middle, high) if found == first[place] else (low, middle)
    yield from ((sizes, _between(ends, t)) for t in (low, high))


def _between(ends: Sequence[Values], t: Decimal) -> Values:
    with localcontext(context(_DIGITS)):
        return {x: ends[0][x] * (1 - t) + ends[1][x] * t for x in ends[0]}
