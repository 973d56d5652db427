"""Rows and columns of values: what a product, a sum or a function may do with them.

In: slots of extents. Out: layouts, and values whose terms are built once the extents are known.
Invariant: a missing slot is an extent of 1 without an axis, so a scalar has no slots, a column one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from ...errors import Span
from ...terms import Expr
from ..extents import Slot


@dataclass(frozen=True, slots=True)
class Layout:
    """The slots of a value's rows and columns; None where there is one without an axis."""

    rows: Slot | None = None
    columns: Slot | None = None

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots of the axes, in order."""
        return tuple(slot for slot in (self.rows, self.columns) if slot is not None)

    @property
    def kind(self) -> str:
        """One of scalar, column, row, matrix.

        >>> Layout(("axis", "x", 0)).kind
        'column'
        """
        if self.rows is None:
            return "scalar" if self.columns is None else "row"
        return "column" if self.columns is None else "matrix"

    @property
    def transposed(self) -> Layout:
        """Rows and columns exchanged."""
        return Layout(self.columns, self.rows)


SCALAR = Layout()


@dataclass(slots=True, eq=False)
class Value:
    """A part of a text: its rows and columns, and how its term is built later.

    `name` is that of a tensor standing alone; `is_tight` tells that it needs no brackets as an operand.
    `refusal` raises the error of a scalar added to columns or matrices; an elementwise function allows it.
    `factors` are those of a Kronecker product, which has no term of its own.
    """

    layout: Layout
    span: Span
    build: Callable[[], Expr]
    name: str | None = None
    is_tight: bool = False
    refusal: Callable[[], NoReturn] | None = None
    factors: tuple[Value, ...] = ()
    made: Expr | None = None

    @property
    def term(self) -> Expr:
        """The term, once it is built."""
        assert self.made is not None
        return self.made

    @property
    def kind(self) -> str:
        """One of scalar, column, row, matrix."""
        return self.layout.kind

    @property
    def is_scalar(self) -> bool:
        """Has it no axes?"""
        return not self.factors and self.layout == SCALAR
