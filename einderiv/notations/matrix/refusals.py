"""What operators refuse, with both sides' rows and columns and the ways out.

In: a program and the values in it that do not fit. Out: errors.
Invariant: a way out is offered only if its own rows and columns fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from ...errors import Span
from ..syntax import Call, Name, Number, Power, Sum
from .values import Layout, MatrixProgram, Value, in_number, without_group
from .words import REASONS

_KINDS = {"scalar": "a number", "column": "a column", "row": "a row", "matrix": "a matrix"}
_CORRECT = "correct one of them, or declare the extents that are the same with one name"


# ---------------------------------------------------------------- products


def refuse_product(p: MatrixProgram, left: Value, right: Value) -> NoReturn:
    """A product whose inner extents differ: `X*w: X has d columns, w has n rows`."""
    _, columns, rows, _ = p.sizes(*left.layout, *right.layout)
    a, b = p.operand(left), p.operand(right)
    message = f"{a}*{b}: {a} has {in_number(columns, 'column')}, {b} has {in_number(rows, 'row')}"
    p.mismatch(message, [left, right], products_that_fit(p, left, right))


def products_that_fit(p: MatrixProgram, left: Value, right: Value) -> str:
    """The products of two values that can be meant."""
    a, b, at, bt = (
        p.operand(left),
        p.operand(right),
        p.transpose_text(left),
        p.transpose_text(right),
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
        if p.fit(x.columns, y.rows)
    ]
    if p.fits(one, two):
        found.insert(1, f"{a}.*{b} entry by entry")
    return f"write {', '.join(found)}" if found else _CORRECT


def refuse_divisor(p: MatrixProgram, left: Value | None, right: Value) -> NoReturn:
    """One divides by scalars only."""
    a, b = p.operand(left) if left else "1", p.operand(right)
    is_number = left is None or left.is_scalar
    one = left.layout if left else Layout()
    ways = []
    if is_number or p.fits(one, right.layout):
        ways.append(f"{a}./{b} divides entry by entry")
    if right.kind == "matrix" and p.fit(*right.layout):
        if is_number or p.fit(one.columns, right.layout.rows):
            ways.append(f"{a}*inv({p.short(right.span)}) multiplies by the inverse")
    p.mismatch(
        f"{a}/{b}: {b} is a {right.kind}, and one divides by scalars",
        [left, right] if left else [right],
        "; ".join(ways) or f"{b} has no inverse and other rows and columns than {a}",
    )


# ---------------------------------------------------------------- sums


def refuse_sum(
    p: MatrixProgram, node: Sum, values: Sequence[Value], first: Value, second: Value
) -> NoReturn:
    """Terms of different rows or columns."""
    sign = "-" if node.terms[values.index(second)][0] else "+"
    a, b = p.short(first.span), p.short(second.span)
    hint = _CORRECT
    if p.fits(first.layout, second.layout.transposed):
        hint = f"write {a} {sign} {p.transpose_text(second)}"
    elif "matrix" in (first.kind, second.kind) and first.kind != second.kind:
        small = first if second.kind == "matrix" else second
        word = _repetition(p, small)
        one, other = (word, b) if small is first else (a, word)
        to = "columns" if small.kind == "column" else "rows"
        hint = f"write {one} {sign} {other} for a sum with each of the {to}"
    p.mismatch(f"{a} {sign} {b}: {_difference(p, first, second)}", [first, second], hint)


def _difference(p: MatrixProgram, first: Value, second: Value) -> str:
    a, b = p.short(first.span), p.short(second.span)
    if first.kind != second.kind:
        return f"{a} is a {first.kind}, {b} is a {second.kind}"
    axis = 1 if p.fit(first.layout.rows, second.layout.rows) else 0
    one, other = p.sizes(*first.layout, *second.layout)[axis::2]
    what = ("row", "column")[axis]
    return f"{a} has {in_number(one, what)}, {b} has {in_number(other, what)}"


def _repetition(p: MatrixProgram, small: Value) -> str:
    shown = p.operand(small)
    return f"{shown}*vector(1)'" if small.kind == "column" else f"vector(1)*{shown}"


def refusal_of_scalar(
    p: MatrixProgram, node: Sum, values: Sequence[Value], full: Value, scalar: Value
) -> Callable[[], NoReturn]:
    """A scalar beside columns or matrices: which entries it is added to must be written."""

    def refuse() -> NoReturn:
        places = values.index(full), values.index(scalar)
        sign = " - " if node.terms[max(places)][0] else " + "
        c, shown = p.short(scalar.span), p.short(full.span)

        def beside(word: str) -> str:
            return sign.join((shown, word) if places[0] < places[1] else (word, shown))

        word = {"matrix": f"matrix({c})", "column": f"vector({c})", "row": f"vector({c})'"}
        ways = [f"{beside(word[full.kind])} adds to every entry"]
        if full.kind == "matrix" and p.fit(*full.layout):
            eye = "eye" if c == "1" else f"{p.operand(scalar)}*eye"
            ways.append(f"{beside(eye)} to the diagonal")
        message = f"{beside(c)}: {shown} is a {full.kind}, {c} is a scalar"
        p.mismatch(message, [full, scalar], ", ".join(ways))

    return refuse


# ---------------------------------------------------------------- entry by entry, powers


def refuse_pointwise(p: MatrixProgram, left: Value, right: Value, shown: str) -> NoReturn:
    """An operator or a function that works entry by entry, on other rows and columns."""
    a, b = p.operand(left), p.operand(right)
    is_operator = not shown[0].isalpha()
    if is_operator and not shown.startswith("."):
        shown = f" {shown} "
    sides = f"{a}{shown}{b}" if is_operator else f"{shown} of {a} and {b}"
    hint = _CORRECT
    column, row = (a, b) if left.kind == "column" else (b, a)
    are_both = {left.kind, right.kind} == {"column", "row"} and shown == ".*"
    if p.fits(left.layout, right.layout.transposed):
        other = p.transpose_text(right)
        hint = f"write {a}{shown}{other}" if is_operator else f"write {other} for {b}"
        hint += f", or {column}*{row} for a matrix" if are_both else ""
    elif are_both:
        hint = f"write {column}*{row} for a matrix"
    elif "matrix" in (left.kind, right.kind) and left.kind != right.kind:
        matrix, small = (left, right) if left.kind == "matrix" else (right, left)
        m, s = p.operand(matrix), p.short(small.span)
        if shown != ".*":
            hint = f"write {_repetition(p, small)} for {s} to repeat it"
        elif small.kind == "column":
            hint = f"write diag({s})*{m} to scale the rows"
        else:
            hint = f"write {m}*diag({p.transpose_text(small)}) to scale the columns"
    p.mismatch(f"{sides}: {_difference(p, left, right)}", [left, right], hint)


def refuse_exponent(p: MatrixProgram, node: Power, base: Value, exponent: Value) -> NoReturn:
    """An exponent with rows or columns."""
    a, b = p.operand(base), p.operand(exponent)
    p.plain(exponent)
    inside = without_group(node.exponent)
    if isinstance(inside, Name) and inside.name in ("T", "t", "top") and not base.is_scalar:
        p.refuse("exponent", [node.exponent.span], name=inside.name, a=a)
    hint = f"write {a}.^{b} for powers entry by entry"
    if not base.is_scalar and not p.fits(base.layout, exponent.layout):
        hint = "an exponent is a number; the exponential of every entry is exp(...)"
    p.mismatch(f"{a}^{b}: the exponent {b} is a {exponent.kind}", [base, exponent], hint)


def refuse_power(p: MatrixProgram, base: Value, exponent: str, span: Span) -> NoReturn:
    """A power of a column or of a matrix that is not square, or one that is no whole number."""
    a, at = p.operand(base), p.transpose_text(base)
    if "^" in exponent and not exponent.endswith(")"):
        exponent = f"({exponent})"
    hint = f"write {a}.^{exponent} for powers entry by entry"
    if base.kind != "matrix":
        what = f"{a} is a {base.kind}, and powers are taken of scalars and square matrices"
        product = f"{at}*{a}" if base.kind == "column" else f"{a}*{at}"
        hint += f", {product} for the sum of squares" if exponent == "2" else ""
    elif not p.fit(*base.layout):
        rows, columns = p.sizes(*base.layout)
        what = f"{a} has {rows} rows and {columns} columns, and is not square"
        hint += f", {at}*{a} or {a}*{at} for a product" if exponent == "2" else ""
    else:
        what = "a matrix has whole powers only"
        hint += f"; cholesky({p.short(base.span)}) is a factor L with L*L' = {a}"
    p.mismatch(f"{a}^{exponent}: {what}", [base], hint, span)


# ---------------------------------------------------------------- functions


def refuse_matrix(p: MatrixProgram, name: str, value: Value) -> None:
    """A matrix as the argument of a function that has one meaning for columns only."""
    if value.kind == "matrix":
        reason = f"{name} of a matrix"
        reason = reason if reason in REASONS else "of a matrix"
        p.refuse(reason, [value.span], name=name, a=p.short(value.span))


def check_count(p: MatrixProgram, node: Call, name: str, form: str) -> None:
    """A function has the arguments that its form names."""
    count, given = form.count(",") + 1, len(node.arguments)
    if given != count:
        wanted = f"{count} argument{'s' * (count > 1)}"
        way = "drop the others" if given > count else "write the missing one"
        words = {"wanted": wanted, "given": given, "form": form, "way": way}
        p.refuse("count", [node.span], name=name, **words)


def refuse_axis(p: MatrixProgram, node: Call, name: str) -> None:
    """`sum(A, 1)`: over which axis depends on whom one asks."""
    if len(node.arguments) == 2 and isinstance(node.arguments[1], Number):
        matrix, axis = (argument.span for argument in node.arguments)
        reason = f"{name} over an axis" if name in ("sum", "mean") else "over an axis"
        p.refuse(reason, [axis], name=name, a=p.short(matrix))
