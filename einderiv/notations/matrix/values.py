"""What every construct of matrix notation uses: values, joined extents, errors in rows and columns.

In: values with rows and columns. Out: new values; errors that name the sizes of both sides.
Invariant: a value is built after those it is made of, in the order in which they were noted here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import NoReturn

from ...errors import DimensionError, NotationError, Span
from ...terms import Dim, Expr, Shape
from ..extents import Slot
from ..syntax import Node
from .matrix_layouts import Layout, Value
from .matrix_ranks import MatrixProgram

Visit = Generator[Node, Value, Value]


class Places:
    """The values of a program, and the errors that show them."""

    def __init__(self, program: MatrixProgram) -> None:
        self.program = program
        self.source = program.source
        self.defined: dict[str, Value] = {}
        self.values: list[Value] = []  # in the order in which their terms are built
        self.sized_by_context: list[tuple[Slot, Value]] = []

    # ------------------------------------------------------------ values

    def value(
        self,
        layout: Layout,
        span: Span,
        build: Callable[[], Expr],
        *,
        name: str | None = None,
        is_tight: bool = True,
        refusal: Callable[[], NoReturn] | None = None,
    ) -> Value:
        """Note a value, whose term is built by `build` once the extents are known."""
        made = Value(layout, span, build, name, is_tight, refusal)
        self.values.append(made)
        return made

    def dim(self, slot: Slot) -> Dim:
        """The extent of a slot, once they are settled."""
        return self.program.dimensions.extent(slot)

    def shape(self, layout: Layout) -> Shape:
        """The extents of a layout, once they are settled."""
        return tuple(map(self.dim, layout.slots))

    def plain(self, value: Value) -> Value:
        """The value where it has rows and columns of its own and no scalar waits in it."""
        if value.factors:
            self.refuse_kron(value)
        if value.refusal is not None:
            value.refusal()
        return value

    def refuse_kron(self, value: Value) -> NoReturn:
        """A Kronecker product stands where its rows and columns are needed one by one."""
        shown = self.text(value.span)
        self.fail(
            f"{shown} is a Kronecker product, whose rows and columns run over pairs",
            [value.span],
            facts=[
                "it stands inside tr, det, logdet, sum, mean, norm2, "
                "and in products and inverses of Kronecker products there"
            ],
            hint="write kron(A,B)*vec(X) as B*X*A', a matrix; "
            'or name four axes: notation="index", A[i,j]*B[k,l]',
        )

    # ------------------------------------------------------------ words

    def text(self, span: Span) -> str:
        """What the source says at `span`, on one line."""
        shown = " ".join(self.source[span[0] : span[1]].split())
        return shown if len(shown) <= 60 else f"{shown[:30]}...{shown[-25:]}"

    def operand(self, value: Value) -> str:
        """The text of a value, in brackets where an operator beside it needs them."""
        shown = self.text(value.span)
        return shown if value.is_tight else f"({shown})"

    def sizes(self, *slots: Slot | None) -> list[str]:
        """The extents of slots in words; those that nothing tells get letters of their own."""
        free = (c for c in "nmpqrst" if c not in self.program.extents)
        chosen: dict[Slot, str] = {}
        words = []
        for slot in slots:
            if slot is None:
                words.append("1")
                continue
            dims = [entry.dim for entry in self.program.known(slot)]
            named = [dim for dim in dims if isinstance(dim, str)] or dims
            root = self.program.dimensions.find(slot)
            if not named and root not in chosen:
                chosen[root] = next(free, "n")
            words.append(str(named[0]) if named else chosen[root])
        return words

    def told(self, *values: Value) -> list[str]:
        """What each value is, and why: `w is a column of n rows (declared)`."""
        every = self.sizes(*(slot for v in values for slot in (v.layout.rows, v.layout.columns)))
        facts: dict[str, None] = {}
        for k, value in enumerate(values):
            rows, columns = _counted(every[2 * k], "row"), _counted(every[2 * k + 1], "column")
            what = {
                "scalar": "a scalar",
                "column": f"a column of {rows}",
                "row": f"a row of {columns}",
                "matrix": f"a matrix of {rows} and {columns}",
            }[value.kind]
            how = f" ({self.program.rank_told(value.name)[1]})" if value.name else ""
            facts[f"{self.text(value.span)} is {what}{how}"] = None
        return list(facts)

    def undeclared(self, *values: Value) -> str:
        """The end of a hint where a name may be meant as a scalar."""
        for value in values:
            if value.name and value.kind == "column" and self.program.is_guessed(value.name):
                return f"; if {value.name} is a scalar, declare it: {value.name} : ()"
        return ""

    # ------------------------------------------------------------ errors

    def fail(
        self,
        message: str,
        spans: Sequence[Span],
        facts: Sequence[str] = (),
        hint: str | None = None,
    ) -> NoReturn:
        """Refuse the text, with the place."""
        raise NotationError(message, source=self.source, spans=spans, facts=facts, hint=hint)

    def mismatch(
        self, message: str, values: Sequence[Value], hint: str, span: Span | None = None
    ) -> NoReturn:
        """Refuse the rows and columns of values, with what each of them is."""
        raise DimensionError(
            message,
            source=self.source,
            spans=[span] if span else sorted({value.span for value in values}),
            facts=self.told(*values),
            hint=hint if "declare it" in hint else hint + self.undeclared(*values),
        )

    # ------------------------------------------------------------ extents

    def fit(self, first: Slot | None, second: Slot | None) -> bool:
        """Can two extents be the same?"""
        if first is None or second is None:
            return first is second
        return not self.program.clash(first, second)

    def fits(self, first: Layout, second: Layout) -> bool:
        """Can two layouts be the same?"""
        return self.fit(first.rows, second.rows) and self.fit(first.columns, second.columns)

    def join(self, first: Slot | None, second: Slot | None, span: Span) -> None:
        """Two extents that fit are one."""
        if first is not None and second is not None:
            self.program.dimensions.join(first, second, span, "the product")

    def join_all(self, first: Layout, second: Layout, span: Span) -> None:
        """Two layouts that fit are one."""
        self.join(first.rows, second.rows, span)
        self.join(first.columns, second.columns, span)

    def square(self, name: str, value: Value) -> Value:
        """The argument of a function of square matrices, or the error that it is none."""
        self.plain(value)
        shown = self.text(value.span)
        if value.kind != "matrix":
            hint = f"diag({shown}) is the matrix with {shown} on its diagonal"
            if value.name and self.program.is_guessed(value.name):
                hint = f"if {value.name} is a matrix, declare it: {value.name} : (n, n); {hint}"
            self.mismatch(f"{name} takes a matrix, {shown} is a {value.kind}", [value], hint)
        if not self.fit(value.layout.rows, value.layout.columns):
            rows, columns = self.sizes(value.layout.rows, value.layout.columns)
            a = self.operand(value)
            ways = {
                "solve": f"the x with the least squares of {a}*x - b is solve({a}'*{a}, {a}'*b)",
                "diag": f"diag({a}'*{a}) and diag({a}*{a}') are sums of squares",
            }
            both = f"write {name}({a}'*{a}) or {name}({a}*{a}') if one of these is meant"
            self.mismatch(
                f"{name} takes a square matrix, {shown} has {rows} rows and {columns} columns",
                [value],
                ways.get(name, both)
                if value.is_tight
                else "a square matrix has one extent for its rows and columns",
            )
        self.join(value.layout.rows, value.layout.columns, value.span)
        return value


def _counted(size: str, what: str) -> str:
    return f"{size} {what}" if size == "1" else f"{size} {what}s"
