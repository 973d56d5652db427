"""From what a text says to what it means: names become labels, scopes decide what is summed.

In: a surface tree (`syntax.Text`), extents and assumptions given beside it.
Out: `Meaning`: the term of the last statement, its index names, and all tensors of the program.
Invariant: the summation convention of LANGUAGE section 1 is applied here and nowhere else. The passes:
ranks (`ranks.py`), extents (`ranks.py`, `dimensions.py`), then terms, one statement after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .. import functions
from ..canonical import (
    add,
    contract,
    elementwise,
    extent,
    literal,
    power,
    scale,
    transpose,
    zero,
)
from ..errors import Span, axes_in_words
from ..expr import Apply, Delta, Dim, Expr, Map, Ones, Shape, Variable
from ..walk import trampoline
from . import syntax
from .calls import Calls
from .ranks import Program
from .scopes import Value, Visit, free_in_words, together
from .syntax import (
    Access,
    Call,
    Comparison,
    Definition,
    Group,
    Name,
    Negative,
    Node,
    Number,
    Power,
    Product,
    Sum,
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a program says: its result, and everything an evaluation or a printer may ask for."""

    term: Expr
    indices: tuple[str, ...]
    variables: dict[str, Variable]
    assumptions: dict[str, frozenset[str]]
    definitions: dict[Expr, str]  # term -> the name the user gave it
    declared: frozenset[str]  # extents with a name of the user's
    letters: dict[Dim, tuple[str, ...]]  # extent -> the indices that stood there
    name: str | None


def elaborate(
    text: syntax.Text,
    shapes: Mapping[str, Sequence[Dim]] | None = None,
    assume: Mapping[str, Iterable[str]] | None = None,
) -> Meaning:
    """The meaning of `text`; `shapes` and `assume` declare more tensors and assumptions."""
    program = Program(text, shapes or {}, assume or {})
    defined: dict[str, Value] = {}
    last: Value | None = None
    last_name = None
    for number, statement in enumerate(text.statements):
        if isinstance(statement, Definition):
            value = _Statement(program, number, statement, defined).value()
            if statement.name is not None:
                defined[statement.name] = value
            last, last_name = value, statement.name
    assert last is not None  # the parser refuses a text without an expression
    names = {v.term: name for name, v in defined.items() if v.term.children and v.term.rank}
    return Meaning(
        last.term,
        last.indices,
        program.variables,
        program.assumptions,
        names,
        frozenset(program.dimensions.declared),
        program.dimensions.letters(),
        last_name,
    )


class _Statement(Calls):
    """One statement: its letters, its scopes, its term."""

    def value(self) -> Value:
        """The statement's term, its axes as the left-hand side names them."""
        left = self.statement.indices or ()
        names = tuple(index.name for index in left)
        kept = frozenset(names)
        value = trampoline((self.statement.expression, kept), self.visit)
        value = self.close(value, kept)
        if self.statement.name is None:
            return value
        self._check_left(names, value)
        axes = tuple(value.indices.index(name) for name in names)
        return Value(transpose(value.term, axes), names, value.span)

    def _check_left(self, names: tuple[str, ...], value: Value) -> None:
        statement = self.statement
        left = statement.indices or ()
        repeated = [index for place, index in enumerate(left) if index.name in names[:place]]
        if repeated:
            self.fail(
                f"index {repeated[0].name} stands twice on the left-hand side",
                [index.span for index in left if index.name == repeated[0].name],
                facts=["there each index names an axis of its own"],
                hint=f"a diagonal is written with delta: {statement.name}[i,j] = delta[i,j]*...",
            )
        missing = [name for name in value.indices if name not in names]
        body = self.text(statement.expression.span)
        if missing:
            some, several = ",".join(missing), len(missing) > 1
            it = "them" if several else "it"
            self.fail(
                f"indices {', '.join(missing)} are free on the right but missing on the left"
                if several
                else f"index {some} is free on the right but missing on the left",
                [statement.name_span, *(place for n in missing for place in self._where(n))],
                facts=[f"the expression has {free_in_words(value.indices)}"],
                hint=f"sum {it}: {self._left_text()} = sum[{some}]({body}), or name {it}: "
                f"{statement.name}[{','.join((*names, *missing))}] = {body}",
            )
        absent = [index for index in left if index.name not in value.indices]
        if absent:
            ones = ",".join(index.name for index in absent)
            self.fail(
                f"index {absent[0].name} stands on the left but is not free on the right",
                [index.span for index in absent],
                facts=[f"the expression has {free_in_words(value.indices)}"],
                hint=f"repeat it along {ones}: {self._left_text()} = ({body})*ones[{ones}], "
                "or drop the index",
            )

    def _left_text(self) -> str:
        left = self.statement.indices
        names = f"[{','.join(index.name for index in left)}]" if left else ""
        return f"{self.statement.name}{names}"

    def _where(self, name: str) -> list[Span]:
        for node in self.program.nodes[self.number]:
            if isinstance(node, Access | Call):
                indices = node.indices if isinstance(node, Access) else node.subscript or ()
                for index in indices:
                    if index.name == name:
                        return [index.span]
        return []

    # ------------------------------------------------------------ scopes

    def visit(self, wanted: tuple[Node, frozenset[str]]) -> Visit:
        """The value of a node, where `kept` indices are not summed by the convention."""
        node, kept = wanted
        match node:
            case Number():
                return Value(literal(node.value), (), node.span)
            case Name():
                return self.scalar(node)
            case Access():
                return self.access(node)
            case Group():
                inner = yield node.inner, kept
                return self.close(inner, kept)
            case Negative():
                inner = yield node.operand, kept
                inner = self.close(inner, kept)
                return Value(
                    scale(-1, inner.term), inner.indices, node.span, inner.twice, inner.hidden
                )
            case Power():
                return (yield from self.power(node, kept))
            case Product():
                return (yield from self.product(node, kept))
            case Sum():
                return (yield from self.sum(node, kept))
            case Comparison():
                values = yield from self.closed([node.left, node.right], kept)
                name = functions.COMPARISONS[node.operator]
                return self.map(name, values, node.span, kept)
            case Call():
                return (yield from self.call(node, kept))
        raise AssertionError(node)

    # ------------------------------------------------------------ leaves

    def scalar(self, node: Name) -> Value:
        name = node.name
        if name in self.defined:
            term, count = self.defined[name].term, self.defined[name].term.rank
        elif name in self.program.extents:
            return Value(extent(self.program.dimensions.number_behind(name)), (), node.span)
        elif name == "pi" and name not in self.program.ranks:
            return Value(Map("pi", ()), (), node.span)
        else:
            term = self.program.variables[name]
            count = term.rank
        if count:
            example = ",".join("ijklmnpq"[:count])
            spans, how = self.program.rank_told(name)
            self.fail(
                f"{name} has {axes_in_words(count)} and stands without indices",
                [*spans, node.span],
                facts=[f"{axes_in_words(count)} ({how}), no index here"],
                hint=f"write {name}[{example}]",
            )
        return Value(term, (), node.span)

    def access(self, node: Access) -> Value:
        name = functions.ALIASES.get(node.name, node.name)
        names = tuple(index.name for index in node.indices)
        if name not in functions.SPECIAL_TENSORS:
            term = self.tensor(node.name)
        elif name == "delta":
            term = Delta(self.dim(names[0]))
        elif name == "eps":
            term = Apply("eps", (), len(names))
        elif name == "size":
            return Value(extent(self.dim(names[0])), (), node.span)
        else:  # ones, zeros
            shape = tuple(self.dim(index) for index in names)
            term = zero(shape) if name == "zeros" else _ones(shape)
        return self.subscripted(term, names, node.span, {})

    # ------------------------------------------------------------ products

    def power(self, node: Power, kept: frozenset[str]) -> Visit:
        base = yield node.base, kept
        (exponent,) = yield from self.closed([node.exponent], kept)
        if not exponent.indices:
            term = elementwise("pow", [base.term, exponent.term])
            hidden = {**base.hidden, **exponent.hidden}
            return Value(term, base.indices, node.span, base.twice, hidden)
        base = self.close(base, kept)
        return self.map("pow", [base, exponent], node.span, kept)

    def product(self, node: Product, kept: frozenset[str]) -> Visit:
        values = []
        for divides, factor in node.factors:
            value = yield factor, kept
            if divides:
                inverse = power(value.term, Fraction(-1))
                value = Value(inverse, value.indices, value.span, value.twice, value.hidden)
            values.append(value)
        count: dict[str, int] = {}
        for value in values:
            for name in value.indices:
                count[name] = count.get(name, 0) + (2 if name in value.twice else 1)
        hidden = self.hidden_of(values, count, node.span)
        summed = {name for name, n in count.items() if n > 1 and name not in kept}
        labels = {name: place for place, name in enumerate(count)}
        free = tuple(name for name in count if name not in summed)
        term = contract(
            [value.term for value in values],
            [tuple(labels[name] for name in value.indices) for value in values],
            tuple(labels[name] for name in free),
        )
        for name in summed:
            hidden[name] = node.span
        return Value(term, free, node.span, frozenset(), hidden)

    def hidden_of(
        self, values: Sequence[Value], free: Mapping[str, object], span: Span
    ) -> dict[str, Span]:
        """What the scopes inside have summed; an error where such an index is free around them."""
        hidden: dict[str, Span] = {}
        for value in values:
            for name, place in value.hidden.items():
                if name in free:
                    inner = self.text(place)
                    self.fail(
                        f"index {name} is summed inside and free outside",
                        [place, *(self._index_span(name, place, span))],
                        facts=[
                            f"{inner} sums over {name} by the convention, "
                            f"and the product around it has {name} free"
                        ],
                        hint=f"write sum[{name}]({inner}) if the sum is meant there, "
                        f"sum[{name}](...) around the whole product if it is meant there, "
                        f"or rename one of the indices",
                    )
                hidden[name] = place
        return hidden

    def _index_span(self, name: str, inner: Span, outer: Span) -> list[Span]:
        for node in self.program.nodes[self.number]:
            if isinstance(node, Access):
                for index in node.indices:
                    inside = inner[0] <= index.span[0] < inner[1]
                    around = outer[0] <= index.span[0] < outer[1]
                    if index.name == name and around and not inside:
                        return [index.span]
        return []

    # ------------------------------------------------------------ sums and functions

    def sum(self, node: Sum, kept: frozenset[str]) -> Visit:
        values = yield from self.closed([term for _, term in node.terms], kept)
        terms, names = self.aligned(values, node.span, kept)
        shape = terms[0].shape
        signs = [-1 if minus else 1 for minus, _ in node.terms]
        hidden = together(values)
        return Value(
            add(zip(signs, terms, strict=True), shape), names, node.span, frozenset(), hidden
        )


def _ones(shape: Shape) -> Expr:
    """The tensor of ones."""
    axes = tuple(range(len(shape)))
    return contract([Ones(dim) for dim in shape], [(axis,) for axis in axes], axes)
