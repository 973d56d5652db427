"""From a text in matrix notation to its meaning: rows and columns become axes.

In: a surface tree (`syntax.Text`) without subscripts, extents and assumptions given beside it.
Out: `Meaning`, the same as that of the text written with indices.
Invariant: ranks first (`matrix_ranks.py`), then rows and columns, which join extents, then terms.
Operators: `matrix_operators.py`; functions: `matrix_calls.py`; errors of both: `matrix_refusals.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ...errors import DimensionError, axes_in_words
from ...terms import Dim, Map, extent, literal, trampoline
from .. import syntax
from ..context import Meaning
from ..extents import Slot
from ..syntax import (
    Access,
    Call,
    Comparison,
    Definition,
    Group,
    Name,
    Negative,
    Node,
    Number,
    Pointwise,
    Power,
    Product,
    Sum,
    Transpose,
)
from .matrix_calls import Calls
from .matrix_layouts import SCALAR, Layout, Value
from .matrix_ranks import BARE, MatrixProgram
from .values import Visit


def elaborate_matrix(
    text: syntax.Text,
    shapes: Mapping[str, Sequence[Dim]] | None = None,
    assume: Mapping[str, Iterable[str]] | None = None,
) -> Meaning:
    """The meaning of `text`; `shapes` and `assume` declare more tensors and assumptions.

    Raises NotationError or DimensionError with the place.
    """
    program = MatrixProgram(text, shapes or {}, assume or {})
    statements = _Statements(program)
    last, last_name = statements.read(text)
    program.settle()
    statements.check_sizes()
    for value in statements.values:
        value.made = value.build()
    names = {
        value.term: name
        for name, value in statements.defined.items()
        if not value.factors and value.term.children and value.term.rank
    }
    context = program.context(names, last_name)
    return Meaning(last.term, _indices(last, statements, context.letters), context)


def _indices(
    value: Value, statements: _Statements, letters: Mapping[Dim, tuple[str, ...]]
) -> tuple[str, ...]:
    """Names for the result's axes."""
    taken = {*statements.program.ranks, *statements.program.extents}
    chosen: list[str] = []
    foreign = {letter for own in letters.values() for letter in own}
    for dim in statements.shape(value.layout):
        own = [*letters.get(dim, ()), *(c for c in "ijklmpqrstuvw" if c not in foreign | taken)]
        numbered = (f"i{k}" for k in range(1, 4))
        chosen.append(next(c for c in (*own, *numbered) if c not in chosen))
    return tuple(chosen)


class _Statements(Calls):
    """The statements of a text, one after the other."""

    def read(self, text: syntax.Text) -> tuple[Value, str | None]:
        """The value of the last statement, and its name."""
        last: tuple[Value, str | None] | None = None
        for statement in text.statements:
            if isinstance(statement, Definition):
                self._check_left(statement)
                value: Value = trampoline(statement.expression, self.visit)
                if value.refusal is not None:
                    value.refusal()
                if statement.name is not None:
                    self.defined[statement.name] = value
                    rank = 2 if value.factors else len(value.layout.slots)
                    self.program.define(statement, rank)
                last = value, statement.name
        assert last is not None  # the parser refuses a text without an expression
        return self.plain(last[0]), last[1]

    def _check_left(self, statement: Definition) -> None:
        if statement.indices:
            self.fail(
                f"indices stand at {statement.name}",
                [index.span for index in statement.indices],
                facts=["matrix notation has no indices"],
                hint='read the text with notation="index"',
            )

    def check_sizes(self) -> None:
        """Every size that the context should tell is told."""
        for slot, value in self.sized_by_context:
            if not self.program.is_told(slot):
                shown = self.text(value.span)
                sizes = {"matrix": "m,n", "column": "n"}[value.kind]
                word = "eye(n)" if shown == BARE else f"c*ones({sizes})"
                self.fail(
                    f"nothing tells the size of {shown}",
                    [value.span],
                    facts=["it is as large as what it is added to, multiplied with or compared to"],
                    hint=f"name its extents: {word}",
                )

    def visit(self, node: Node) -> Visit:
        """The value of a node."""
        match node:
            case Number():
                return self.value(SCALAR, node.span, lambda: literal(node.value))
            case Name():
                return self.tensor(node)
            case Group():
                value = yield node.inner
                value.span, value.is_tight = node.span, True
                return value
            case Negative():
                return (yield from self.negative(node))
            case Transpose():
                return (yield from self.transpose(node))
            case Power():
                return (yield from self.power(node))
            case Product():
                return (yield from self.product(node))
            case Sum():
                return (yield from self.sum(node))
            case Pointwise():
                return (yield from self.pointwise(node))
            case Comparison():
                return (yield from self.comparison(node))
            case Call():
                return (yield from self.call(node))
            case Access():
                self.refuse_access(node)
        raise AssertionError(node)

    def tensor(self, node: Name) -> Value:
        """A name: a definition, an extent, pi, eye, or a tensor."""
        name, program = node.name, self.program
        if name in self.defined:
            known = self.defined[name]
            if known.factors:
                return replace(known, span=node.span)
            return self.value(known.layout, node.span, lambda: known.term, name=name)
        if name in program.extents:
            return self.value(
                SCALAR, node.span, lambda: extent(program.dimensions.number_behind(name))
            )
        if name not in program.ranks:
            if name == BARE:
                return self.eye(node)
            return self.value(SCALAR, node.span, lambda: Map(name, ()))  # pi
        rank = program.ranks[name]
        if rank > 2:
            places, how = program.rank_told(name)
            raise DimensionError(
                f"{name} has {axes_in_words(rank)}",
                source=self.source,
                spans=[*places, node.span],
                facts=[f"{axes_in_words(rank)} ({how}); matrix notation has rows and columns"],
                hint='name its indices: notation="index"',
            )
        slots: list[Slot] = [("axis", name, axis) for axis in range(rank)]
        return self.value(Layout(*slots), node.span, lambda: program.variables[name], name=name)
