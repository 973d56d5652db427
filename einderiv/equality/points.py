"""Where terms are tried: small extents, and random arrays that respect what is assumed of tensors.

In: terms, a source of random numbers. Out: extents by name, arrays of exact integers or of Decimals.
Invariant: a symmetric tensor gets a symmetric array, a positive one positive entries.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

import numpy as np

from ..terms import Apply, Expr, Variable, postorder, symbolic_extents
from .digits import context, sign
from .evaluating import Precise, TooLargeError
from .reference import PoleError

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


# Points on both sides of the kinks of piecewise functions, close to them.
#
# In: terms with functions such as abs, step, max or where. Out: extents and arrays.
# Two terms that agree at random points may take different branches in a corner that these miss: step(x +
# 1) and step(x) differ for -1 < x < 0 only. On the segment between two points on different sides of a kink
# there is a point where it is crossed; beside it one of the terms changes its branch, and the other one
# with it or not.

Values = dict[Variable, Array]
Sides = dict[Expr, list[int]]

_SEGMENTS = 8
_CROSSINGS = 24  # in all
_PER_KINK = 3
_HALVINGS = 40
_DIGITS = 30
_SEARCHED = 8  # kinks that were met on one side only, and are searched for their other side
_STARTS = 3
_POWERS = (
    0,
    1,
    2,
    3,
    4,
    6,
    9,
    13,
    20,
    45,
    -3,
    -7,
    -12,
    -25,
)  # of ten: how far from zero it is looked for
_CLIMBS = 40  # steps towards the kink from each start


def crossings(
    terms: Sequence[Expr], rng: random.Random, scales: Sequence[Decimal]
) -> Iterator[tuple[dict[str, int], Values]]:
    """Points close to kinks, in pairs: one on each side; entries are of the magnitudes `scales`."""
    sizing = Sizes(terms, rng)
    symmetric = symmetric_names(*terms)
    met: dict[Expr, int] = {}
    for number in range(2 * len(scales) + _SEGMENTS):
        sizes = sizing.next(0)
        try:
            ends = [_point(terms, sizes, rng, number, symmetric, scales) for _ in range(2)]
            sides = [_sides(terms, values, sizes) for values in ends]
        except TooLargeError:
            sizing.shrink()
            continue
        except PoleError:
            continue
        for node, first in sides[0].items():
            second = sides[1].get(node, first)
            places = [k for k, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
            if not places or met.get(node, 0) >= _PER_KINK or sum(met.values()) >= _CROSSINGS:
                continue
            met[node] = met.get(node, 0) + 1
            try:
                pair = _beside(terms, sizes, ends, node, rng.choice(places), first)
            except PoleError:
                continue
            yield from ((sizes, values) for values in pair)


def other_sides(
    terms: Sequence[Expr], one_sided: Mapping[Expr, set[int]], rng: random.Random
) -> Iterator[tuple[dict[str, int], Values]]:
    """Points beside kinks of which one side was not met: far from zero, or where its argument is extreme."""
    sizing = Sizes(terms, rng)
    symmetric = symmetric_names(*terms)
    for node in list(one_sided)[:_SEARCHED]:
        for start in range(_STARTS):
            sizes = sizing.next(0)

            def drawn(scale: Decimal, sizes: Mapping[str, int] = sizes) -> Values:
                return {
                    x: decimals(x, sizes, rng, scale, True, False, x.name in symmetric)
                    for x in leaves(terms)
                }

            try:
                found = _search(node, one_sided[node], sizes, drawn)
            except TooLargeError:
                sizing.shrink()
                continue
            if found is None:
                continue
            ends, place, first = found
            try:
                pair = _beside(terms, sizes, ends, node, place, first)
            except PoleError:
                continue
            yield from ((sizes, values) for values in (*pair, ends[1]))
            if start:
                break


def _search(
    node: Expr,
    met: set[int],
    sizes: Mapping[str, int],
    drawn: Callable[[Decimal], Values],
) -> tuple[list[Values], int, list[int]] | None:
    """A point on the side that was met and one on another; the place of the entry; the sides at the first."""
    start = drawn(Decimal(1))
    base = _margins(node, start, sizes)
    if base is None:
        return None
    sides = [_sign(x) for x in base]
    candidates = [drawn(Decimal(10) ** power) for power in _POWERS for _ in range(4)]
    for values in candidates:
        place = _crossed(node, values, sizes, met, len(sides))
        if place is not None:
            return [start, values], place, sides
    best, least = start, min(abs(x) for x in base)
    reach = Decimal(1)
    for _ in range(_CLIMBS):
        other = _between([best, drawn(Decimal(10))], reach)
        margins = _margins(node, other, sizes)
        if margins is None:
            continue
        for place, margin in enumerate(margins):
            if _sign(margin) not in met and place < len(sides):
                return [start, other], place, sides
        nearest = min(abs(x) for x in margins)
        if nearest < least:
            best, least = other, nearest
        else:
            reach *= Decimal("0.8")
    return None


def _crossed(
    node: Expr, values: Values, sizes: Mapping[str, int], met: set[int], count: int
) -> int | None:
    margins = _margins(node, values, sizes) or []
    for place, margin in enumerate(margins[:count]):
        if _sign(margin) not in met:
            return place
    return None


def _sign(margin: Decimal) -> int:
    return 0 if margin != margin else int(sign(margin))


def _margins(node: Expr, values: Values, sizes: Mapping[str, int]) -> list[Decimal] | None:
    """How far the entries of a kink's argument are from it; None where they have no value."""
    with localcontext(context(_DIGITS)):
        at = Precise(values, sizes)
        try:
            at.value(node)
        except PoleError:
            return None
        return at.margins.get(node)


def _point(
    terms: Sequence[Expr],
    sizes: Mapping[str, int],
    rng: random.Random,
    number: int,
    symmetric: set[str],
    scales: Sequence[Decimal],
) -> Values:
    """Arrays of different magnitudes, so that each part of a kink's argument decides it at some point."""
    values = {}
    for x in leaves(terms):
        scale = rng.choice(scales)
        values[x] = decimals(x, sizes, rng, scale, True, number % 4 == 3, x.name in symmetric)
    return values


def _sides(terms: Sequence[Expr], values: Values, sizes: Mapping[str, int]) -> Sides:
    with localcontext(context(_DIGITS)):
        at = Precise(values, sizes)
        for term in terms:
            at.value(term)
        return at.sides


def _beside(
    terms: Sequence[Expr],
    sizes: Mapping[str, int],
    ends: Sequence[Values],
    node: Expr,
    place: int,
    first: list[int],
) -> list[Values]:
    """Two points on the segment, as close as halving makes them, between which the kink is crossed."""
    low, high = Decimal(0), Decimal(1)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        side = _sides([node], _between(ends, middle), sizes)[node][place]
        low, high = (middle, high) if side == first[place] else (low, middle)
    return [_between(ends, t) for t in (low, high)]


def _between(ends: Sequence[Values], t: Decimal) -> Values:
    return {x: ends[0][x] * (1 - t) + ends[1][x] * t for x in ends[0]}


def symmetric_names(*terms: Expr) -> set[str]:
    """Tensors whose arrays must be symmetric: those assumed to be so, and those inside cholesky."""
    nodes = postorder(terms)
    inside = postorder(n for n in nodes if isinstance(n, Apply) and n.function == "cholesky")
    found = {n.name for n in nodes if isinstance(n, Variable) and n.symmetric}
    return found | {n.name for n in inside if isinstance(n, Variable)}
