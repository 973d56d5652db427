"""A statement's scopes: what the convention sums, how terms of different indices meet.

In: values with named axes. Out: values with named axes.
Invariant: an index is summed only by `close` here and by products and reductions above; terms broadcast
only as LANGUAGE section 1, rule 4 allows.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..canonical import contract, elementwise
from ..errors import NotationError, Span
from ..expr import Dim, Expr, Ones
from .ranks import Program
from .syntax import Definition, Node


@dataclass(frozen=True, slots=True)
class Value:
    """A term, the names of its axes, and what its scope has settled or left to settle.

    `twice`: indices that stand twice in one access, to be summed over the product around.
    `hidden`: indices summed by the convention further in, with the place.
    """

    term: Expr
    indices: tuple[str, ...]
    span: Span
    twice: frozenset[str] = frozenset()
    hidden: Mapping[str, Span] = field(default_factory=dict)


Visit = Generator[tuple[Node, frozenset[str]], Value, Value]


class Scopes:
    """What every construct of a statement uses: places, letters, closing, broadcasting."""

    def __init__(
        self, program: Program, number: int, statement: Definition, defined: dict[str, Value]
    ) -> None:
        self.program, self.number, self.statement = program, number, statement
        self.defined = defined
        self.source = program.source

    def text(self, span: Span) -> str:
        """What the source says at `span`, on one line."""
        return " ".join(self.source[span[0] : span[1]].split())

    def fail(
        self,
        message: str,
        spans: Sequence[Span],
        facts: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        """Refuse the text, with the place."""
        raise NotationError(message, source=self.source, spans=spans, facts=facts, hint=hint)

    def dim(self, name: str) -> Dim:
        """The extent of an index of this statement."""
        return self.program.dimensions.extent(("index", name, self.number))

    def close(self, value: Value, kept: frozenset[str]) -> Value:
        """End a product of one factor: `A[i,i]` becomes the trace unless i is kept."""
        summed = [name for name in value.indices if name in value.twice and name not in kept]
        if not summed:
            return Value(value.term, value.indices, value.span, frozenset(), value.hidden)
        rest = tuple(name for name in value.indices if name not in summed)
        numbers = {name: place for place, name in enumerate(value.indices)}
        term = contract(
            [value.term], [tuple(numbers.values())], tuple(numbers[name] for name in rest)
        )
        hidden = {**value.hidden, **dict.fromkeys(summed, value.span)}
        return Value(term, rest, value.span, frozenset(), hidden)

    def closed(
        self, nodes: Iterable[Node], kept: frozenset[str]
    ) -> Generator[tuple[Node, frozenset[str]], Value, list[Value]]:
        """The values of several scopes."""
        values = []
        for node in nodes:
            value = yield node, kept
            values.append(self.close(value, kept))
        return values

    def tensor(self, name: str) -> Expr:
        """The term of a named tensor."""
        if name in self.defined:
            return self.defined[name].term
        return self.program.variables[name]

    def subscripted(
        self, term: Expr, names: tuple[str, ...], span: Span, hidden: Mapping[str, Span]
    ) -> Value:
        """`term[names]`: repeated names take the diagonal, to be summed by the product around."""
        distinct = tuple(dict.fromkeys(names))
        twice = frozenset(name for name in distinct if names.count(name) > 1)
        if twice:
            labels = {name: place for place, name in enumerate(distinct)}
            term = contract([term], [tuple(labels[name] for name in names)], tuple(labels.values()))
        return Value(term, distinct, span, twice, hidden)

    def aligned(
        self, values: Sequence[Value], span: Span, kept: frozenset[str]
    ) -> tuple[list[Expr], tuple[str, ...]]:
        """The terms with the same axes in the same order; scalars and kept indices broadcast."""
        names = tuple(dict.fromkeys(name for value in values for name in value.indices))
        left = [index.name for index in self.statement.indices or ()]
        if len(names) == len(left) and set(names) == set(left):
            names = tuple(left)  # the order in which the result is wanted
        terms = []
        for value in values:
            lacking = [name for name in names if name not in value.indices]
            if value.indices and lacking and not kept.issuperset(names):
                other = next(v for v in values if lacking[0] in v.indices)
                self._refuse_other_indices(value, other, lacking, names)
            terms.append(self.spread(value, names))
        return terms, names

    def _refuse_other_indices(
        self, value: Value, other: Value, lacking: Sequence[str], names: tuple[str, ...]
    ) -> None:
        ones = ",".join(lacking)
        self.fail(
            f"two terms with different indices: {self.text(value.span)} lacks {', '.join(lacking)}",
            [value.span, other.span],
            facts=[
                f"{self.text(value.span)} has {free_in_words(value.indices)}, "
                f"{self.text(other.span)} has {free_in_words(other.indices)}"
            ],
            hint=f"name all on the left, as in Y[{','.join(names)}] = ..., "
            f"or repeat the term: {self.text(value.span)}*ones[{ones}]",
        )

    def spread(self, value: Value, names: tuple[str, ...]) -> Expr:
        """The value's term with the axes `names`, repeated along those it lacks."""
        if value.indices == names:
            return value.term
        labels = {name: place for place, name in enumerate(names)}
        lacking = [name for name in names if name not in value.indices]
        return contract(
            [value.term, *(Ones(self.dim(name)) for name in lacking)],
            [tuple(labels[n] for n in value.indices), *((labels[n],) for n in lacking)],
            tuple(labels.values()),
        )

    def map(
        self, function: str, values: Sequence[Value], span: Span, kept: frozenset[str]
    ) -> Value:
        """An elementwise function; arguments broadcast as the terms of a sum do."""
        full = [value for value in values if value.indices]
        hidden = together(values)
        if not full:
            term = elementwise(function, [value.term for value in values])
            return Value(term, (), span, frozenset(), hidden)
        aligned, names = self.aligned(full, span, kept)
        terms = iter(aligned)
        arguments = [next(terms) if value.indices else value.term for value in values]
        return Value(elementwise(function, arguments), names, span, frozenset(), hidden)


def together(values: Iterable[Value]) -> dict[str, Span]:
    return {name: place for value in values for name, place in value.hidden.items()}


def free_in_words(names: Sequence[str]) -> str:
    """Free indices for a message.

    >>> free_in_words(["i"]), free_in_words(["i", "j"])
    ('the free index i', 'the free indices i, j')
    """
    if not names:
        return "no free index"
    return f"the free {'indices' if len(names) > 1 else 'index'} {', '.join(names)}"
