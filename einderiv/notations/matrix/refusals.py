"""What operators refuse, with both sides' rows and columns and the ways out.

In: the values that do not fit. Out: errors.
Invariant: a way out is offered only where its own rows and columns fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from ...errors import Span
from ..syntax import Name, Power, Sum
from .matrix_layouts import Layout, Value
from .matrix_ranks import ungrouped
from .values import Places

_KINDS = {"scalar": "a number", "column": "a column", "row": "a row", "matrix": "a matrix"}


class Refusals(Places):
    """Errors of operators."""

    def turned(self, value: Value) -> str:
        """The text of a value's transpose."""
        shown = self.text(value.span)
        return shown[:-1] if value.is_tight and shown.endswith("'") else f"{self.operand(value)}'"

    # ------------------------------------------------------------ products

    def refuse_product(self, left: Value, right: Value) -> NoReturn:
        """A product whose inner extents differ: `X*w: X has d columns, w has n rows`."""
        _, columns, rows, _ = self.sizes(
            left.layout.rows, left.layout.columns, right.layout.rows, right.layout.columns
        )
        a, b = self.operand(left), self.operand(right)
        message = (
            f"{a}*{b}: {a} has {columns} {_plural('column', columns)}, "
            f"{b} has {rows} {_plural('row', rows)}"
        )
        self.mismatch(message, [left, right], self._products(left, right))

    def _products(self, left: Value, right: Value) -> str:
        """The products of two values that do fit."""
        a, b, at, bt = (
            self.operand(left),
            self.operand(right),
            self.turned(left),
            self.turned(right),
        )
        one, two = left.layout, right.layout
        wanted = [
            (f"{at}*{b}", one.transposed, two),
            (f"{a}*{bt}", one, two.transposed),
            (f"{b}*{a}", two, one),
        ]
        found = [
            f"{text} for {_KINDS[Layout(x.rows, y.columns).kind]}"
            for text, x, y in wanted
            if self.fit(x.columns, y.rows)
        ]
        if self.fits(one, two):
            found.insert(1, f"{a}.*{b} entry by entry")
        if not found:
            return "correct one of them, or declare the extents that are the same with one name"
        return f"write {', '.join(found)}"

    def refuse_divisor(self, left: Value | None, right: Value) -> NoReturn:
        """One divides by scalars only."""
        b = self.operand(right)
        a = self.operand(left) if left is not None else "1"
        ways = []
        if left is None or left.is_scalar or self.fits(left.layout, right.layout):
            ways.append(f"{a}./{b} divides entry by entry")
        if right.kind == "matrix" and self.fit(right.layout.rows, right.layout.columns):
            fits = (
                left is None or left.is_scalar or self.fit(left.layout.columns, right.layout.rows)
            )
            ways += [f"{a}*inv({self.text(right.span)}) multiplies by the inverse"] if fits else []
        values = [right] if left is None else [left, right]
        self.mismatch(
            f"{a}/{b}: {b} is a {right.kind}, and one divides by scalars",
            values,
            "; ".join(ways) or f"{b} has no inverse and other rows and columns than {a}",
        )

    # ------------------------------------------------------------ sums

    def refuse_sum(
        self, node: Sum, values: Sequence[Value], first: Value, second: Value
    ) -> NoReturn:
        """Terms of different rows or columns."""
        sign = "-" if node.terms[values.index(second)][0] else "+"
        a, b = self.text(first.span), self.text(second.span)
        message = f"{a} {sign} {b}: {self._difference(first, second)}"
        self.mismatch(message, [first, second], self._sums(first, second, sign))

    def _difference(self, first: Value, second: Value) -> str:
        a, b = self.text(first.span), self.text(second.span)
        if first.kind != second.kind:
            return f"{a} is {_article(first)}, {b} is {_article(second)}"
        rows = not self.fit(first.layout.rows, second.layout.rows)
        what = "row" if rows else "column"
        slots = (first.layout.rows, first.layout.columns, second.layout.rows, second.layout.columns)
        one, other = self.sizes(*slots)[0 if rows else 1 :: 2]
        return f"{a} has {one} {_plural(what, one)}, {b} has {other} {_plural(what, other)}"

    def _sums(self, first: Value, second: Value, sign: str) -> str:
        a, b = self.text(first.span), self.text(second.span)
        if self.fits(first.layout, second.layout.transposed):
            return f"write {a} {sign} {self.turned(second)}"
        kinds = {first.kind, second.kind}
        if "matrix" in kinds and len(kinds) == 2:
            small = first if second.kind == "matrix" else second
            word = self._repeated(small)
            to = "columns" if small.kind == "column" else "rows"
            pair = (word, b) if small is first else (a, word)
            return f"write {pair[0]} {sign} {pair[1]} for a sum with each of the {to}"
        return "correct one of them, or declare the extents that are the same with one name"

    def _repeated(self, small: Value) -> str:
        shown = self.operand(small)
        return f"{shown}*vector(1)'" if small.kind == "column" else f"vector(1)*{shown}"

    def refusal_of_scalar(
        self, node: Sum, values: Sequence[Value], full: Value, scalar: Value
    ) -> Callable[[], NoReturn]:
        """A scalar beside columns or matrices: which entries it is added to must be written."""

        def refuse() -> NoReturn:
            later = max(values.index(full), values.index(scalar))
            sign = "-" if node.terms[later][0] else "+"
            c, shown = self.text(scalar.span), self.text(full.span)
            is_matrix = full.kind == "matrix"
            word = f"matrix({c})" if is_matrix else f"vector({c})"
            word = f"{word}'" if full.kind == "row" else word
            ways = [f"{_in_order(values, full, scalar, shown, word, sign)} adds to every entry"]
            if is_matrix and self.fit(full.layout.rows, full.layout.columns):
                eye = "eye" if c == "1" else f"{self.operand(scalar)}*eye"
                ways.append(f"{_in_order(values, full, scalar, shown, eye, sign)} to the diagonal")
            sides = _in_order(values, full, scalar, shown, c, sign)
            self.mismatch(
                f"{sides}: {shown} is a {full.kind}, {c} is a scalar",
                [full, scalar],
                ", ".join(ways),
            )

        return refuse

    # ------------------------------------------------------------ entry by entry, powers

    def refuse_pointwise(self, left: Value, right: Value, shown: str) -> NoReturn:
        """An operator or a function that works entry by entry, on other rows and columns."""
        a, b = self.operand(left), self.operand(right)
        is_operator = not shown[0].isalpha()
        if is_operator and not shown.startswith("."):
            shown = f" {shown} "
        sides = f"{a}{shown}{b}" if is_operator else f"{shown} of {a} and {b}"
        hint = "correct one of them, or declare the extents that are the same with one name"
        if self.fits(left.layout, right.layout.transposed):
            other = self.turned(right)
            hint = f"write {a}{shown}{other}" if is_operator else f"write {other} for {b}"
            if {left.kind, right.kind} == {"column", "row"} and shown == ".*":
                column, row = (a, b) if left.kind == "column" else (b, a)
                hint += f", or {column}*{row} for a matrix"
        elif {left.kind, right.kind} == {"column", "row"} and shown == ".*":
            column, row = (a, b) if left.kind == "column" else (b, a)
            hint = f"write {column}*{row} for a matrix"
        elif "matrix" in (left.kind, right.kind) and left.kind != right.kind:
            hint = self._scaled_rows(left, right, shown)
        difference = self._difference(left, right)
        self.mismatch(f"{sides}: {difference}", [left, right], hint)

    def _scaled_rows(self, left: Value, right: Value, shown: str) -> str:
        matrix, small = (left, right) if left.kind == "matrix" else (right, left)
        if shown == ".*":
            m, s = self.operand(matrix), self.text(small.span)
            if small.kind == "column":
                return f"write diag({s})*{m} to scale the rows"
            return f"write {m}*diag({self.turned(small)}) to scale the columns"
        return f"write {self._repeated(small)} for {self.text(small.span)} to repeat it"

    def refuse_exponent(self, node: Power, base: Value, exponent: Value) -> NoReturn:
        """An exponent with rows or columns."""
        a, b = self.operand(base), self.operand(exponent)
        self.plain(exponent)
        inside = ungrouped(node.exponent)
        if isinstance(inside, Name) and inside.name in ("T", "t", "top") and not base.is_scalar:
            self.fail(
                f"{inside.name} stands as an exponent",
                [node.exponent.span],
                facts=[f"{inside.name} would be a tensor here; a transpose is written with '"],
                hint=f"write {a}'",
            )
        hint = f"write {a}.^{b} for powers entry by entry"
        if not base.is_scalar and not self.fits(base.layout, exponent.layout):
            hint = "an exponent is a number; the exponential of every entry is exp(...)"
        self.mismatch(f"{a}^{b}: the exponent {b} is a {exponent.kind}", [base, exponent], hint)

    def refuse_power(self, base: Value, exponent: str, span: Span) -> NoReturn:
        """A power of a column or of a matrix that is not square, or one that is no whole number."""
        a, at = self.operand(base), self.turned(base)
        if "^" in exponent and not exponent.endswith(")"):
            exponent = f"({exponent})"
        entries = f"write {a}.^{exponent} for powers entry by entry"
        if base.kind != "matrix":
            product = f"{at}*{a}" if base.kind == "column" else f"{a}*{at}"
            more = f", {product} for the sum of squares" if exponent == "2" else ""
            what = f"{a} is a {base.kind}, and powers are taken of scalars and square matrices"
            self.mismatch(f"{a}^{exponent}: {what}", [base], entries + more, span)
        if not self.fit(base.layout.rows, base.layout.columns):
            rows, columns = self.sizes(base.layout.rows, base.layout.columns)
            more = f", {at}*{a} or {a}*{at} for a product" if exponent == "2" else ""
            what = f"{a} has {rows} rows and {columns} columns, and is not square"
            self.mismatch(f"{a}^{exponent}: {what}", [base], entries + more, span)
        self.mismatch(
            f"{a}^{exponent}: a matrix has whole powers only",
            [base],
            f"{entries}; cholesky({self.text(base.span)}) is a factor L with L*L' = {a}",
            span,
        )


def _plural(what: str, size: str) -> str:
    return what if size == "1" else f"{what}s"


def _article(value: Value) -> str:
    return f"a {value.kind}"


def _in_order(
    values: Sequence[Value], full: Value, scalar: Value, shown: str, word: str, sign: str
) -> str:
    first = values.index(full) < values.index(scalar)
    return f"{shown} {sign} {word}" if first else f"{word} {sign} {shown}"
