"""Operators of matrix notation: products, sums, what works entry by entry, powers, transposes.

In: surface nodes and the values of their parts. Out: values.
Invariant: a product chain is read from the left and is one contraction; scalars may stand anywhere in it.
Refusals with their ways out: `matrix_refusals.py`; products of Kronecker products: `matrix_kron.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import count
from typing import NoReturn

from ...errors import Span
from ...terms import (
    Expr,
    Label,
    Subscript,
    add,
    broadcast,
    contract,
    elementwise,
    literal,
    power,
    scale,
)
from ..syntax import Group, Negative, Node, Number, Pointwise, Power, Product, Sum, Transpose
from .kron import Kronecker
from .matrix_layouts import SCALAR, Layout, Value
from .matrix_terms import opened
from .values import Visit


class Operators(Kronecker):
    """The values of operators; `visit` of the whole program evaluates their operands."""

    def negative(self, node: Negative) -> Visit:
        value = yield node.operand
        if value.factors:
            return self.kron_scaled(value, lambda: literal(-1), node.span)
        return self.value(
            value.layout,
            node.span,
            lambda: scale(-1, value.term),
            is_tight=False,
            refusal=value.refusal,
        )

    def transpose(self, node: Transpose) -> Visit:
        return self.transposed((yield node.operand), node.span)

    # ------------------------------------------------------------ products

    def product(self, node: Product) -> Visit:
        values = []
        for _, factor in node.factors:
            values.append((yield factor))
        if any(value.factors for value in values):
            return self.kron_product(node, values)
        full = [value for value in values if not value.is_scalar]
        refusal = full[0].refusal if len(full) == 1 else None
        if len(full) > 1:
            for value in full:
                self.plain(value)
        return self._chain(node, values, refusal)

    def _chain(
        self, node: Product, values: Sequence[Value], refusal: Callable[[], NoReturn] | None
    ) -> Value:
        layout, inputs, fresh = SCALAR, list[Subscript](), count()
        ends: list[Label | None] = [None, None]  # labels of the chain's rows and columns
        for place, ((divides, _), value) in enumerate(zip(node.factors, values, strict=True)):
            if divides and not value.is_scalar:
                self.refuse_divisor(self._left(values[:place], layout), value)
            if value.is_scalar:
                inputs.append(())
                continue
            own = value.layout
            if layout == SCALAR:
                ends[0] = next(fresh) if own.rows else None
                own_rows, layout = ends[0], own
            elif not self.fit(layout.columns, own.rows):
                self.refuse_product(self._left(values[:place], layout), value)
            else:
                self.join(layout.columns, own.rows, value.span)
                own_rows, layout = ends[1], Layout(layout.rows, own.columns)
            ends[1] = next(fresh) if own.columns else None
            inputs.append(tuple(e for e in (own_rows, ends[1]) if e is not None))
        output = tuple(end for end in ends if end is not None)

        def build() -> Expr:
            operands: list[tuple[Expr, Subscript]] = []
            for (divides, part), value, labels in zip(node.factors, values, inputs, strict=True):
                if divides:
                    operands.append((power(value.term, Fraction(-1)), labels))
                elif isinstance(part, Group) and not isinstance(part.inner, Pointwise):
                    operands.append((value.term, labels))
                else:
                    operands += opened(value.term, labels)
            return contract([op for op, _ in operands], [own for _, own in operands], output)

        return self.value(layout, node.span, build, is_tight=False, refusal=refusal)

    def _left(self, values: Sequence[Value], layout: Layout) -> Value:
        """The chain so far, for a message."""
        if len(values) == 1:
            return values[0]
        span = values[0].span[0], values[-1].span[1]
        return Value(layout, span, values[0].build)

    # ------------------------------------------------------------ sums

    def sum(self, node: Sum) -> Visit:
        values = []
        for _, term in node.terms:
            value = yield term
            values.append(self.plain(value) if value.factors else value)
        full = [value for value in values if not value.is_scalar]
        layout = full[0].layout if full else SCALAR
        for value in full[1:]:
            if not self.fits(layout, value.layout):
                self.refuse_sum(node, values, full[0], value)
            self.join_all(layout, value.layout, value.span)
        refusal = next((value.refusal for value in full if value.refusal), None)
        scalar = next((value for value in values if value.is_scalar), None)
        if full and scalar is not None and refusal is None:
            refusal = self.refusal_of_scalar(node, values, full[0], scalar)
        signs = [-1 if minus else 1 for minus, _ in node.terms]

        def build() -> Expr:
            shape = self.shape(layout)
            terms = [broadcast(value.term, shape) for value in values]
            return add(zip(signs, terms, strict=True), shape)

        return self.value(layout, node.span, build, is_tight=False, refusal=refusal)

    # ------------------------------------------------------------ entry by entry

    def pointwise(self, node: Pointwise) -> Visit:
        if node.operator == ".^":
            left = yield node.left
            right = yield node.right
            if left.factors:
                return self.kron_entries_raised(left, _constant(node.right), node.span)
            return self.entrywise("pow", [left, right], node.span, ".^")
        parts: list[tuple[bool, Node]] = []
        inner: Node = node
        while isinstance(inner, Pointwise) and inner.operator != ".^":
            parts.append((inner.operator == "./", inner.right))
            inner = inner.left
        parts = [(False, inner), *reversed(parts)]
        values = []
        for _, part in parts:
            values.append((yield part))
        if any(value.factors for value in values):
            return self.kron_entries(parts, values, node.span)
        layout, refusal = self.common(
            values, lambda a, b: self.refuse_pointwise(a, b, node.operator)
        )

        def build() -> Expr:
            operands: list[tuple[Expr, Subscript]] = []
            axes = tuple(range(len(layout.slots)))
            for (divides, part), value in zip(parts, values, strict=True):
                labels = () if value.is_scalar else axes
                if divides:
                    operands.append((power(value.term, Fraction(-1)), labels))
                elif isinstance(part, Group):
                    operands.append((value.term, labels))
                else:
                    operands += opened(value.term, labels)
            return contract([op for op, _ in operands], [own for _, own in operands], axes)

        return self.value(layout, node.span, build, is_tight=False, refusal=refusal)

    def common(
        self, values: Sequence[Value], refuse: Callable[[Value, Value], NoReturn]
    ) -> tuple[Layout, Callable[[], NoReturn] | None]:
        """The layout that all values but scalars share, and what refuses a scalar added in one."""
        full = [value for value in values if not value.is_scalar]
        if not full:
            return SCALAR, None
        for value in full[1:]:
            if not self.fits(full[0].layout, value.layout):
                refuse(full[0], value)
            self.join_all(full[0].layout, value.layout, value.span)
        return full[0].layout, next((value.refusal for value in full if value.refusal), None)

    def entrywise(self, name: str, values: Sequence[Value], span: Span, shown: str) -> Value:
        """An elementwise function: its arguments have one layout, or are scalars."""
        for value in values:
            if value.factors:
                self.refuse_kron(value)
        layout, _ = self.common(values, lambda a, b: self.refuse_pointwise(a, b, shown))
        is_power = shown == ".^"
        refusal = next((value.refusal for value in values if is_power and value.refusal), None)

        def build() -> Expr:
            return elementwise(name, [value.term for value in values])

        return self.value(layout, span, build, is_tight=not is_power, refusal=refusal)

    # ------------------------------------------------------------ powers

    def power(self, node: Power) -> Visit:
        base = yield node.base
        exponent = yield node.exponent
        number = _constant(node.exponent)
        if base.factors:
            return self.kron_power(base, number, node.span)
        self.plain(base)
        if not exponent.is_scalar:
            self.refuse_exponent(node, base, exponent)
        if base.is_scalar:

            def build() -> Expr:
                return elementwise("pow", [base.term, exponent.term])

            return self.value(SCALAR, node.span, build, is_tight=False)
        if base.kind != "matrix" or number is None or number.denominator != 1:
            self.refuse_power(base, self.text(node.exponent.span), node.span)
        return self.matrix_power(base, int(number), node.span)


def _constant(node: Node) -> Fraction | None:
    """The number that an exponent is, if it is one."""
    sign = 1
    while isinstance(node, Group | Negative):
        if isinstance(node, Negative):
            sign, node = -sign, node.operand
        else:
            node = node.inner
    return sign * node.value if isinstance(node, Number) else None
