"""Contractions of one or two arrays, their labels by what they do.

In: labels of the operands and of the result, extents. Out: `Single` and `Pair`, what `kernels.py` looks at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from ..expr import Label, Subscript
from ..program import is_turned


@dataclass(frozen=True, slots=True)
class Pair:
    """A contraction of two arrays, its labels by what they do.

    `batch`: in both and the result; `rows`: in the first and the result; `columns`: in the second and the
    result; `summed`: in both; `alone`: in one only, not in the result. The operands stand such that the rows
    come first in the result, where they can.
    """

    first: Subscript
    second: Subscript
    output: Subscript
    extents: Mapping[Label, int]
    batch: tuple[Label, ...]
    rows: tuple[Label, ...]
    columns: tuple[Label, ...]
    summed: tuple[Label, ...]
    is_plain: bool  # no label twice in one operand, none alone
    is_symmetric: bool = False
    is_one: bool = False  # are both operands the same array?

    def entries(self, labels: Sequence[Label]) -> int:
        """The number of entries of an array with these labels."""
        return prod([self.extents[label] for label in labels])

    @property
    def is_matrix_product(self) -> bool:
        """Are there sums, and no label alone?"""
        return self.is_plain and bool(self.summed)

    @property
    def is_single(self) -> bool:
        """At most one axis each of rows and columns, one sum."""
        return len(self.rows) <= 1 and len(self.columns) <= 1 and len(self.summed) == 1


def pair_of(
    first: Subscript,
    second: Subscript,
    output: Subscript,
    extents: Mapping[Label, int],
) -> Pair:
    """The labels of a contraction of two arrays by what they do.

    >>> pair = pair_of((0, 1), (1, 2), (0, 2), {0: 5, 1: 6, 2: 7})
    >>> pair.rows, pair.summed, pair.columns
    ((0,), (1,), (2,))
    """
    a, b, out = set(first), set(second), set(output)
    extents = {label: max(extent, 1) for label, extent in extents.items()}
    plain = len(a) == len(first) and len(b) == len(second)
    return Pair(
        first,
        second,
        output,
        extents,
        tuple([x for x in output if x in a and x in b]),
        tuple([x for x in first if x in out and x not in b]),
        tuple([x for x in second if x in out and x not in a]),
        tuple([x for x in first if x in b and x not in out]),
        plain and (a ^ b) <= out,
    )


def oriented(
    first: Subscript, second: Subscript, output: Subscript, extents: Mapping[Label, int]
) -> Pair:
    """The same, the operands exchanged where the columns would stand before the rows.

    >>> oriented((0, 1), (1, 2), (2, 0), {0: 5, 1: 6, 2: 7}).rows
    (2,)
    """
    if is_turned(first, second, output):
        first, second = second, first
    return pair_of(first, second, output, extents)


def exchanged(pair: Pair) -> Pair:
    """The second operand times the first."""
    return replace(
        pair,
        first=pair.second,
        second=pair.first,
        rows=pair.columns,
        columns=pair.rows,
        summed=tuple([x for x in pair.second if x in pair.summed]),
    )


@dataclass(frozen=True, slots=True)
class Single:
    """A contraction of one array: a view, a diagonal, sums."""

    labels: Subscript
    output: Subscript
    extents: Mapping[Label, int]

    @property
    def is_distinct(self) -> bool:
        """Is no label repeated?"""
        return len(set(self.labels)) == len(self.labels)

    @property
    def summed(self) -> tuple[int, ...]:
        """The axes that are summed over."""
        return tuple(k for k, label in enumerate(self.labels) if label not in self.output)

    @property
    def entries(self) -> int:
        """The number of entries of the array."""
        return prod([self.extents[label] for label in self.labels])


def ends(axes: Sequence[int], rank: int) -> str | None:
    """Are these axes the first of so many, or the last?

    >>> ends((0, 1), 3), ends((2,), 3), ends((1,), 3)
    ('first', 'last', None)
    """
    if list(axes) == list(range(len(axes))):
        return "first"
    return "last" if list(axes) == list(range(rank - len(axes), rank)) else None
