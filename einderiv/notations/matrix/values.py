"""Values of matrix notation: their rows and columns, the tensors in them, and words for errors.

In: a surface tree, extents and assumptions given beside it.
Out: `MatrixProgram`: ranks at once; values, while `reading.py` reads the text; the variables after
`settle`, once all extents are joined.
Invariant: a declaration decides; without one an upper-case ASCII name is a matrix, any other a column.
A value is built after those it is made of, in the order in which they were noted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from ...errors import DimensionError, Span
from ...terms import Dim, Expr, Shape, Variable
from .. import syntax
from ..extents import Slot
from ..ranks import Program
from ..syntax import Call, Definition, Group, Name, Node
from .words import ALIASES, REASONS, is_own, refusal

SIZED = ("eye", "ones", "zeros")  # their arguments are extents
BARE = "eye"  # stands without brackets too


class Layout(NamedTuple):
    """The slots of rows and columns; None is one row or column without an axis: a scalar has no slots."""

    rows: Slot | None = None
    columns: Slot | None = None

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots of the axes, in order."""
        return tuple(slot for slot in self if slot is not None)

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
    """A part of a text: its rows and columns, and how its term is built once the extents are known.

    `name` is that of a tensor standing alone; `is_tight` tells that it needs no brackets as an operand;
    `brackets` is the kind of node in brackets that are the whole part.
    `refusal` raises the error of a scalar added to columns or matrices; an elementwise function allows it.
    `factors` are those of a Kronecker product, which has no term of its own.
    """

    layout: Layout
    span: Span
    build: Callable[[], Expr]
    refusal: Callable[[], NoReturn] | None = None
    name: str | None = None
    is_tight: bool = True
    factors: tuple[Value, ...] = ()
    brackets: type[Node] | None = None
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


def without_group(node: Node) -> Node:
    """A node without the brackets around it."""
    return node.inner if isinstance(node, Group) else node


def in_number(size: str, what: str) -> str:
    """`1 row`, `n rows`."""
    return f"{size} {what}" if size == "1" else f"{size} {what}s"


class MatrixProgram(Program):
    """What the statements of a text have in common, and the errors that show its values."""

    def __init__(
        self,
        text: syntax.Text,
        shapes: Mapping[str, Sequence[Dim]],
        assume: Mapping[str, Iterable[str]],
    ) -> None:
        super().__init__(text, shapes, assume)
        self.defined: dict[str, Value] = {}
        self.values: list[Value] = []  # in the order in which their terms are built
        self.sized_by_context: list[tuple[Slot, Value]] = []

    # ------------------------------------------------------------ ranks

    def define(self, statement: Definition, rank: int) -> None:
        """A definition's rank, found from its expression."""
        assert statement.name is not None
        self._refuse_reserved(statement.name, statement.name_span, rank > 0)
        self.ranks[statement.name] = rank

    def _read_annotations(self) -> None:
        """Names of extents: `n` in ones(n)."""
        for _, node in self._walk():
            if isinstance(node, Call) and ALIASES.get(node.function, node.function) in SIZED:
                for size in map(without_group, node.arguments):
                    if isinstance(size, Name):
                        fact = f"{size.name} is an extent (in {self.text(node.span)})"
                        self._name_extent(size.name, size.span, fact)
                        slot: Slot = ("extent", size.name, 0)
                        self.dimensions.fix(slot, size.name, fact, size.span, f"extent {size.name}")

    def _read_whole_uses(self) -> None:
        """Undeclared names are matrices or columns, by their first letter."""
        for _, node in self._walk():
            if isinstance(node, Name) and not (
                node.name in self.ranks or node.name in self.extents or node.name in ("pi", BARE)
            ):
                self._guess(node)

    def _guess(self, node: Name) -> None:
        if node.name in ("ones", "zeros"):
            number = int(node.name == "ones")
            self.refuse("no extents", [node.span], name=node.name, number=number)
        if is_own(node.name):
            self.refuse("no argument", [node.span], name=node.name)
        self._refuse_reserved(node.name, node.span, True)
        is_matrix = "A" <= node.name[0] <= "Z"
        how = "undeclared: upper-case" if is_matrix else "undeclared"
        self._set_rank(node.name, 2 if is_matrix else 1, node.span, how)

    def is_guessed(self, name: str) -> bool:
        """Does only its letter tell that the name is a column or a matrix?"""
        return name in self._shown and self._shown[name].startswith("undeclared")

    def _join(self, text: syntax.Text) -> None:
        """Extents are joined statement by statement, by what the operators say."""

    def _make_variables(self) -> dict[str, Variable]:
        return {}  # by `settle`, once the statements have joined their extents

    def settle(self) -> None:
        """Give every extent its name, and make the variables."""
        self.variables = super()._make_variables()

    def letters(self) -> dict[Dim, tuple[str, ...]]:
        """A letter for the index that runs over each extent, for printers."""
        dims = dict.fromkeys(dim for x in self.variables.values() for dim in x.shape)
        taken = {*self.ranks, *self.extents, *map(str, dims)}
        free = (letter for letter in "ijklmpqrstuvwabcdefgh" if letter not in taken)
        return {dim: (letter,) for dim, letter in zip(dims, free, strict=False)}

    # ------------------------------------------------------------ values

    def value(
        self,
        layout: Layout,
        span: Span,
        build: Callable[[], Expr],
        refusal: Callable[[], NoReturn] | None = None,
        name: str | None = None,
    ) -> Value:
        """Note a value, whose term is built by `build` once the extents are known."""
        made = Value(layout, span, build, refusal, name)
        self.values.append(made)
        return made

    def dim(self, slot: Slot) -> Dim:
        """The extent of a slot, once they are settled."""
        return self.dimensions.extent(slot)

    def shape(self, layout: Layout) -> Shape:
        """The extents of a layout, once they are settled."""
        return tuple(map(self.dim, layout.slots))

    def plain(self, value: Value) -> Value:
        """The value, if it has rows and columns of its own and no scalar waits in it."""
        if value.factors:
            self.refuse_kron(value)
        if value.refusal is not None:
            value.refusal()
        return value

    # ------------------------------------------------------------ extents

    def fit(self, first: Slot | None, second: Slot | None) -> bool:
        """Can two extents be the same?"""
        if first is None or second is None:
            return first is second
        dimensions = self.dimensions
        if dimensions.find(first) == dimensions.find(second):
            return True
        known = {entry.dim for slot in (first, second) for entry in dimensions.known(slot)}
        return all(sum(isinstance(dim, kind) for dim in known) < 2 for kind in (int, str))

    def fits(self, first: Layout, second: Layout) -> bool:
        """Can two layouts be the same?"""
        return all(map(self.fit, first, second))

    def join(self, first: Slot | None, second: Slot | None, span: Span) -> None:
        """Two extents that fit are one."""
        if first is not None and second is not None:
            self.dimensions.join(first, second, span, "the product")

    def square(self, name: str, value: Value) -> None:
        """The argument of a function of square matrices has as many rows as columns."""
        self.plain(value)
        shown = self.short(value.span)
        if value.kind != "matrix":
            hint = f"diag({shown}) is the matrix with {shown} on its diagonal"
            if value.name and self.is_guessed(value.name):
                hint = f"if {value.name} is a matrix, declare it: {value.name} : (n, n); {hint}"
            self.mismatch(f"{name} takes a matrix, {shown} is a {value.kind}", [value], hint)
        if not self.fit(*value.layout):
            rows, columns = self.sizes(*value.layout)
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
        self.join(*value.layout, value.span)

    # ------------------------------------------------------------ words

    def short(self, span: Span) -> str:
        """What the source says at `span`, shortened."""
        shown = self.text(span)
        return shown if len(shown) <= 60 else f"{shown[:30]}...{shown[-25:]}"

    def operand(self, value: Value) -> str:
        """The text of a value, in brackets if an operator beside it needs them."""
        shown = self.short(value.span)
        return shown if value.is_tight else f"({shown})"

    def transpose_text(self, value: Value) -> str:
        """The text of a value's transpose."""
        shown = self.short(value.span)
        return shown[:-1] if value.is_tight and shown.endswith("'") else f"{self.operand(value)}'"

    def sizes(self, *slots: Slot | None) -> list[str]:
        """The extents of slots in words; those that nothing tells get letters of their own."""
        free = (c for c in "nmpqrst" if c not in self.extents)
        chosen: dict[Slot, str] = {}
        words = []
        for slot in slots:
            if slot is None:
                words.append("1")
                continue
            dims = [entry.dim for entry in self.dimensions.known(slot)]
            named = [dim for dim in dims if isinstance(dim, str)] or dims
            root = self.dimensions.find(slot)
            if not named and root not in chosen:
                chosen[root] = next(free, "n")
            words.append(str(named[0]) if named else chosen[root])
        return words

    def _what_each_is(self, values: Sequence[Value]) -> list[str]:
        """What each value is, and why: `w is a column of n rows (declared)`."""
        every = iter(self.sizes(*(slot for value in values for slot in value.layout)))
        facts: dict[str, None] = {}
        for value in values:
            rows, columns = in_number(next(every), "row"), in_number(next(every), "column")
            what = {
                "scalar": "a scalar",
                "column": f"a column of {rows}",
                "row": f"a row of {columns}",
                "matrix": f"a matrix of {rows} and {columns}",
            }[value.kind]
            how = f" ({self.rank_told(value.name)[1]})" if value.name else ""
            facts[f"{self.short(value.span)} is {what}{how}"] = None
        return list(facts)

    # ------------------------------------------------------------ errors

    def refuse(self, reason: str, spans: Sequence[Span], **words: object) -> NoReturn:
        """Refuse the text for a reason of `words.py`, with the place."""
        raise refusal(REASONS[reason], self.source, spans, **words)

    def mismatch(
        self, message: str, values: Sequence[Value], hint: str, span: Span | None = None
    ) -> NoReturn:
        """Refuse the rows and columns of values, with what each of them is."""
        for value in values:
            guessed = value.name and value.kind == "column" and self.is_guessed(value.name)
            if guessed and "declare it" not in hint:
                hint += f"; if {value.name} is a scalar, declare it: {value.name} : ()"
        spans = [span] if span else sorted({value.span for value in values})
        self.fail(message, spans, self._what_each_is(values), hint, DimensionError)

    def refuse_kron(self, value: Value) -> NoReturn:
        """A Kronecker product stands where its rows and columns are needed one by one."""
        functions = "tr, det, logdet, sum, mean, norm2"
        self.refuse("kron", [value.span], shown=self.short(value.span), functions=functions)
