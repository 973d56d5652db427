"""Kronecker products: kept as their factors, since no index runs over pairs.

In: values, some of them Kronecker products. Out: values, Kronecker products or with rows and columns again.
Laws: (A x B)(C x D) = AC x BD, (A x B)' = A' x B', inv(A x B) = inv(A) x inv(B), tr(A x B) = tr(A) tr(B),
det(A x B) = det(A)^n det(B)^m for A of m rows and B of n. Invariant: a factor is no Kronecker product itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce
from itertools import count

from ...errors import Span
from ...terms import Expr, add, contract, elementwise, extent, power, transpose, whole
from ..syntax import Node, Product
from .matrix_layouts import SCALAR, Layout, Value
from .matrix_terms import power_of
from .refusals import Refusals


class Kronecker(Refusals):
    """What operators and functions make of Kronecker products."""

    def kron(self, factors: Sequence[Value], span: Span) -> Value:
        """The Kronecker product of values; a column and a row make a matrix, scalars only scale."""
        scalars = [value for value in factors if value.is_scalar]
        rest = [inner for v in factors if not v.is_scalar for inner in v.factors or (v,)]
        for value in rest:
            self.plain(value)
        if sorted(value.kind for value in rest) == ["column", "row"]:
            column, row = sorted(rest, key=lambda value: value.kind)
            rest = [self.multiplied(column, row, span)]
        if not rest:
            return self.scaled(scalars, None, span)
        if scalars:
            rest[0] = self.scaled(scalars, rest[0], span)
        if len(rest) == 1:
            return self.value(rest[0].layout, span, lambda: rest[0].term)
        return Value(SCALAR, span, _no_term, is_tight=True, factors=tuple(rest))

    def scaled(self, scalars: Sequence[Value], value: Value | None, span: Span) -> Value:
        """The product of scalars, and of one other value."""
        layout = value.layout if value else SCALAR
        axes = tuple(range(len(layout.slots)))

        def build() -> Expr:
            inputs = [*((scalar.term, ()) for scalar in scalars)]
            operands = [(value.term, axes)] if value else []
            every = [*inputs, *operands]
            return contract([term for term, _ in every], [own for _, own in every], axes)

        return self.value(layout, span, build)

    def kron_scaled(self, value: Value, build: Callable[[], Expr], span: Span) -> Value:
        """A Kronecker product times a scalar."""
        return self.kron([self.value(SCALAR, span, build), value], span)

    def multiplied(self, left: Value, right: Value, span: Span) -> Value:
        """The matrix product of two values, neither a scalar."""
        self.plain(left), self.plain(right)
        if not self.fit(left.layout.columns, right.layout.rows):
            self.refuse_product(left, right)
        self.join(left.layout.columns, right.layout.rows, right.span)
        fresh = count()
        row = [next(fresh)] if left.layout.rows else []
        inner = [next(fresh)] if left.layout.columns else []
        column = [next(fresh)] if right.layout.columns else []
        inputs = [tuple(row + inner), tuple(inner + column)]
        layout = Layout(left.layout.rows, right.layout.columns)
        return self.value(
            layout, span, lambda: contract([left.term, right.term], inputs, tuple(row + column))
        )

    def transposed(self, value: Value, span: Span) -> Value:
        """Rows and columns exchanged."""
        if value.factors:
            return self.kron([self.transposed(f, f.span) for f in value.factors], span)
        if value.kind == "matrix":
            layout = value.layout.transposed
            return self.value(
                layout, span, lambda: transpose(value.term, (1, 0)), refusal=value.refusal
            )
        return self.value(value.layout.transposed, span, lambda: value.term, refusal=value.refusal)

    # ------------------------------------------------------------ operators

    def kron_product(self, node: Product, values: Sequence[Value]) -> Value:
        """A product chain with a Kronecker product in it, from the left."""
        result: Value | None = None
        for (divides, _), value in zip(node.factors, values, strict=True):
            if divides:
                if not value.is_scalar:
                    self.refuse_kron(value if value.factors else result or value)
                value = self._inverse(value)
            span = (node.span[0], value.span[1])
            result = value if result is None else self._pair(result, value, span)
        assert result is not None
        return result

    def _inverse(self, value: Value) -> Value:
        return self.value(SCALAR, value.span, lambda: power(value.term, Fraction(-1)))

    def _pair(self, left: Value, right: Value, span: Span) -> Value:
        if left.is_scalar or right.is_scalar:
            return self.kron([left, right], span)
        if not left.factors and not right.factors:
            return self.multiplied(left, right, span)
        if len(left.factors) != len(right.factors):
            self.refuse_kron(left if left.factors else right)
        pairs = zip(left.factors, right.factors, strict=True)
        return self.kron([self.multiplied(a, b, a.span) for a, b in pairs], span)

    def kron_power(self, base: Value, number: Fraction | None, span: Span) -> Value:
        """A whole power, factor by factor."""
        if number is None or number.denominator != 1:
            self.refuse_kron(base)
        return self.kron([self.matrix_power(f, int(number), f.span) for f in base.factors], span)

    def matrix_power(self, base: Value, number: int, span: Span) -> Value:
        """A^3, A^-1, A^0 of a square matrix."""
        self.plain(base)
        if base.kind != "matrix" or not self.fit(base.layout.rows, base.layout.columns):
            self.refuse_power(base, str(number), span)
        self.join(base.layout.rows, base.layout.columns, base.span)
        return self.value(base.layout, span, lambda: power_of(base.term, number), is_tight=False)

    def kron_entries(
        self, parts: Sequence[tuple[bool, Node]], values: Sequence[Value], span: Span
    ) -> Value:
        """.* and ./ of Kronecker products whose factors have the same rows and columns."""
        full = [value for value in values if not value.is_scalar]
        first = next(value for value in full if value.factors)
        scalars, columns = [], list[list[tuple[bool, Value]]]([] for _ in first.factors)
        for (divides, _), value in zip(parts, values, strict=True):
            if value.is_scalar:
                scalars.append(self._inverse(value) if divides else value)
            elif len(value.factors) != len(first.factors):
                self.refuse_kron(first)
            for column, factor in zip(columns, value.factors, strict=False):
                column.append((divides, factor))
        return self.kron([*scalars, *map(self._entries, columns)], span)

    def _entries(self, column: Sequence[tuple[bool, Value]]) -> Value:
        first = column[0][1]
        for _, value in column[1:]:
            if not self.fits(first.layout, value.layout):
                self.refuse_pointwise(first, value, ".*")
            self.join_all(first.layout, value.layout, value.span)
        axes = tuple(range(len(first.layout.slots)))

        def build() -> Expr:
            terms = [power(v.term, Fraction(-1)) if divides else v.term for divides, v in column]
            return contract(terms, [axes] * len(terms), axes)

        return self.value(first.layout, first.span, build)

    def kron_entries_raised(self, base: Value, number: Fraction | None, span: Span) -> Value:
        """.^ with a whole number: (a b)^2 = a^2 b^2, whatever the signs."""
        if number is None or number.denominator != 1:
            self.refuse_kron(base)
        return self.kron([self._raised(factor, number) for factor in base.factors], span)

    def _raised(self, factor: Value, number: Fraction) -> Value:
        return self.value(factor.layout, factor.span, lambda: power(factor.term, number))

    # ------------------------------------------------------------ functions

    def kron_determinant(self, name: str, value: Value, span: Span) -> Value:
        """det(A x B) = det(A)^n det(B)^m, log |det| accordingly."""
        for factor in value.factors:
            self.square(name, factor)

        def build() -> Expr:
            terms = []
            for factor in value.factors:
                dims = [
                    self.dim(other.layout.slots[0])
                    for other in value.factors
                    if other is not factor
                ]
                copies = contract([extent(dim) for dim in dims], [()] * len(dims), ())
                one = whole(name, factor.term)
                terms.append(
                    contract([copies, one], [(), ()], ())
                    if name == "logdet"
                    else elementwise("pow", [one, copies])
                )
            if name == "logdet":
                return add([(1, term) for term in terms], ())
            return reduce(lambda a, b: contract([a, b], [(), ()], ()), terms)

        return self.value(SCALAR, span, build)


def _no_term() -> Expr:
    raise AssertionError("a Kronecker product has no term of its own")
