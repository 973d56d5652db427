"""From index notation to what it means: names become labels, scopes decide what is summed.

In: a text, or a surface tree (`syntax.Text`), with extents and assumptions given beside it.
Out: `Meaning`: the term of the last statement, its index names, and all tensors of the program.
Invariant: the summation convention (README.md, "The notation") is applied here and nowhere else. A first
pass finds ranks and extents (`ranks.py`), a second one makes the terms, one statement after the other.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fractions import Fraction
from typing import Any, NoReturn

from ..errors import DimensionError, Span, axes_in_words, indices_in_words
from ..terms import (
    INDICES,
    Apply,
    Delta,
    Dim,
    Expr,
    Map,
    Ones,
    add,
    contract,
    elementwise,
    extent,
    functions,
    literal,
    power,
    scale,
    trampoline,
    transpose,
    whole,
    zero,
)
from . import complaints, syntax
from .context import Assumptions, Meaning, Shapes
from .parser import Indices, Parser, Token, TreeBuilder, error_at, over, span_of
from .ranks import Program
from .syntax import Node


def elaborate(
    text: syntax.Text, shapes: Shapes | None = None, assume: Assumptions | None = None
) -> Meaning:
    """The meaning of `text`; `shapes` and `assume` declare more tensors and assumptions."""
    program = Program(text, shapes or {}, assume or {})
    defined: dict[str, Value] = {}
    value = name = None
    for number, statement in enumerate(text.statements):
        if isinstance(statement, syntax.Definition):
            value, name = Statement(program, number, statement, defined).value(), statement.name
            if name is not None:
                defined[name] = value
    assert value is not None  # the parser refuses a text without an expression
    names = {v.term: name for name, v in defined.items() if v.term.children and v.term.rank}
    return Meaning(value.term, value.indices, program.context(names, name))


@dataclass(frozen=True, slots=True)
class Value:
    """A term, the names of its axes, and what its scope has settled or left to settle.

    `twice`: indices that occur twice in one access, to be summed over the product around.
    `hidden`: indices summed by the convention further in, with the place.
    """

    term: Expr
    indices: tuple[str, ...]
    span: Span
    twice: frozenset[str] = frozenset()
    hidden: Mapping[str, Span] = field(default_factory=dict)


def contraction(factors: Sequence[tuple[Expr, Sequence[str]]], free: Sequence[str]) -> Expr:
    """The product of terms whose axes have names, summed over all names but the free ones."""
    labels: dict[str, int] = {}
    inputs = [tuple([labels.setdefault(n, len(labels)) for n in names]) for _, names in factors]
    return contract([term for term, _ in factors], inputs, tuple([labels[name] for name in free]))


# A node, and the indices that the convention does not sum there.
Scope = tuple[Node, frozenset[str]]
Visit = Generator[Scope, Value, Value]

_OVER_INDICES = (*functions.REDUCTIONS, *functions.NORMALISATIONS)


class Statement:
    """One statement: its letters, its scopes, its term.

    An index is summed by `close`, by products and by reductions only; terms broadcast only where the
    notation allows it.
    """

    def __init__(
        self, program: Program, number: int, statement: syntax.Definition, defined: dict[str, Value]
    ) -> None:
        self.program, self.number, self.statement = program, number, statement
        self.defined = defined
        self.text, self.fail = program.text, program.fail

    def value(self) -> Value:
        """The statement's term, its axes as the left-hand side names them."""
        names = tuple(index.name for index in self.statement.indices or ())
        kept = frozenset(names)
        value = self.close(trampoline((self.statement.expression, kept), self.visit), kept)
        if self.statement.name is None:
            return value
        self._check_left(names, value)
        axes = tuple(value.indices.index(name) for name in names)
        return Value(transpose(value.term, axes), names, value.span)

    def _check_left(self, names: tuple[str, ...], value: Value) -> None:
        statement = self.statement
        left = statement.indices or ()
        free = free_in_words(value.indices)
        shown = f"{statement.name}[{','.join(names)}]" if left else f"{statement.name}"
        repeated = next((name for place, name in enumerate(names) if name in names[:place]), None)
        if repeated:
            self.fail(
                f"index {repeated} stands twice on the left-hand side",
                [index.span for index in left if index.name == repeated],
                ["there each index names an axis of its own"],
                f"a diagonal is written with delta: {statement.name}[i,j] = delta[i,j]*...",
            )
        missing = [name for name in value.indices if name not in names]
        body = self.text(statement.expression.span)
        if missing:
            some, several = ",".join(missing), len(missing) > 1
            it, which = ("them", "indices") if several else ("it", "index")
            self.fail(
                f"{which} {', '.join(missing)} {'are' if several else 'is'} free on the right "
                "but missing on the left",
                [
                    statement.name_span,
                    *(
                        place
                        for name in missing
                        for place in self._where(name, statement.expression.span)
                    ),
                ],
                [f"the expression has {free}"],
                f"sum {it}: {shown} = sum[{some}]({body}), or name {it}: "
                f"{statement.name}[{','.join((*names, *missing))}] = {body}",
            )
        absent = [index for index in left if index.name not in value.indices]
        if absent:
            ones = ",".join(index.name for index in absent)
            self.fail(
                f"index {absent[0].name} stands on the left but is not free on the right",
                [index.span for index in absent],
                [f"the expression has {free}"],
                f"repeat it along {ones}: {shown} = ({body})*ones[{ones}], or drop the index",
            )

    def _where(self, name: str, around: Span, inside: Span = (0, 0)) -> list[Span]:
        """The first place of an index in `around` that is not inside `inside`."""
        for node in self.program.nodes[self.number]:
            indices = (
                node.subscript or () if isinstance(node, syntax.Call) else syntax.indices_of(node)
            )
            for index in indices:
                at = index.span[0]
                if index.name == name and around[0] <= at < around[1]:
                    if not inside[0] <= at < inside[1]:
                        return [index.span]
        return []

    def visit(self, wanted: Scope) -> Visit:
        """The value of a node; `kept` indices are not summed by the convention."""
        node, kept = wanted
        match node:
            case syntax.Number():
                return Value(literal(node.value), (), node.span)
            case syntax.Name():
                return self.scalar(node)
            case syntax.Access():
                return self.access(node)
            case syntax.Group():
                inner = yield node.inner, kept
                return self.close(inner, kept)
            case syntax.Negative():
                inner = yield node.operand, kept
                inner = self.close(inner, kept)
                return Value(scale(-1, inner.term), inner.indices, node.span, hidden=inner.hidden)
            case syntax.Power():
                return (yield from self.power(node, kept))
            case syntax.Product():
                return (yield from self.product(node, kept))
            case syntax.Sum():
                values = yield from self.close_all([term for _, term in node.terms], kept)
                terms, names = self.align(values, kept)
                signs = [-1 if minus else 1 for minus, _ in node.terms]
                total = add(zip(signs, terms, strict=True), terms[0].shape)
                return Value(total, names, node.span, hidden=together(values))
            case syntax.Comparison():
                values = yield from self.close_all([node.left, node.right], kept)
                name = functions.COMPARISONS[node.operator]
                return self.map(name, values, node.span, kept)
            case syntax.Call():
                return (yield from self.call(node, kept))
        raise AssertionError(node)

    def close(self, value: Value, kept: frozenset[str]) -> Value:
        """End a product of one factor: `A[i,i]` becomes the trace unless i is kept."""
        if not value.twice:
            return value
        summed = [name for name in value.indices if name in value.twice and name not in kept]
        if not summed:
            return replace(value, twice=frozenset())
        rest = tuple(name for name in value.indices if name not in summed)
        hidden = {**value.hidden, **dict.fromkeys(summed, value.span)}
        return Value(
            contraction([(value.term, value.indices)], rest), rest, value.span, hidden=hidden
        )

    def close_all(
        self, nodes: Iterable[Node], kept: frozenset[str]
    ) -> Generator[Scope, Value, list[Value]]:
        """The values of several scopes."""
        values = []
        for node in nodes:
            value = yield node, kept
            values.append(self.close(value, kept))
        return values

    def dim(self, name: str) -> Dim:
        """The extent of an index of this statement."""
        return self.program.dimensions.extent(("index", name, self.number))

    def tensor(self, name: str) -> Expr:
        """The term of a named tensor."""
        return self.defined[name].term if name in self.defined else self.program.variables[name]

    def subscript(
        self,
        term: Expr,
        names: tuple[str, ...],
        span: Span,
        hidden: Mapping[str, Span] | None = None,
    ) -> Value:
        """`term[names]`: repeated names take the diagonal, to be summed by the product around."""
        distinct = tuple(dict.fromkeys(names))
        twice = frozenset(name for name in distinct if names.count(name) > 1)
        if twice:
            term = contraction([(term, names)], distinct)
        return Value(term, distinct, span, twice, hidden or {})

    def align(
        self, values: Sequence[Value], kept: frozenset[str]
    ) -> tuple[list[Expr], tuple[str, ...]]:
        """The terms with the same axes in the same order; scalars and kept indices broadcast."""
        names = tuple(dict.fromkeys(name for value in values for name in value.indices))
        left = tuple(index.name for index in self.statement.indices or ())
        if len(names) == len(left) and set(names) == set(left):
            names = left  # the order in which the result is wanted
        for value in values:
            lacking = [name for name in names if name not in value.indices]
            if value.indices and lacking and not kept.issuperset(names):
                other = next(v for v in values if lacking[0] in v.indices)
                shown = self.text(value.span)
                self.fail(
                    f"two terms with different indices: {shown} lacks {', '.join(lacking)}",
                    [value.span, other.span],
                    [
                        f"{shown} has {free_in_words(value.indices)}, "
                        f"{self.text(other.span)} has {free_in_words(other.indices)}"
                    ],
                    f"name all on the left, as in Y[{','.join(names)}] = ..., "
                    f"or repeat the term: {shown}*ones[{','.join(lacking)}]",
                )
        return [self.spread(value, names) for value in values], names

    def spread(self, value: Value, names: tuple[str, ...]) -> Expr:
        """The value's term with the axes `names`, repeated along those it lacks."""
        if value.indices == names:
            return value.term
        ones = [(Ones(self.dim(name)), (name,)) for name in names if name not in value.indices]
        return contraction([(value.term, value.indices), *ones], names)

    def map(
        self, function: str, values: Sequence[Value], span: Span, kept: frozenset[str]
    ) -> Value:
        """An elementwise function; arguments broadcast as the terms of a sum do."""
        full = [value for value in values if value.indices]
        aligned, names = self.align(full, kept) if full else ([], ())
        terms = iter(aligned)
        arguments = [next(terms) if value.indices else value.term for value in values]
        return Value(elementwise(function, arguments), names, span, hidden=together(values))

    def scalar(self, node: syntax.Name) -> Value:
        """The value of a name without brackets."""
        name = node.name
        if name not in self.defined and name in self.program.extents:
            return Value(extent(self.program.dimensions.number_behind(name)), (), node.span)
        if name == "pi" and name not in self.defined and name not in self.program.ranks:
            return Value(Map("pi", ()), (), node.span)
        term = self.tensor(name)
        if term.rank:
            spans, how = self.program.rank_origin(name)
            self.fail(
                f"{name} has {axes_in_words(term.rank)} and stands without indices",
                [*spans, node.span],
                [f"{axes_in_words(term.rank)} ({how}), no index here"],
                f"write {name}[{','.join(INDICES[: term.rank])}]",
            )
        return Value(term, (), node.span)

    def access(self, node: syntax.Access) -> Value:
        """The value of a tensor at its indices."""
        names = tuple(index.name for index in node.indices)
        match syntax.full_name(node.name):
            case "delta":
                term: Expr = Delta(self.dim(names[0]))
            case "eps":
                term = Apply("eps", (), len(names))
            case "size":
                return Value(extent(self.dim(names[0])), (), node.span)
            case "zeros":
                term = zero(tuple(map(self.dim, names)))
            case "ones":
                axes = tuple(range(len(names)))
                term = contract([Ones(self.dim(n)) for n in names], [(a,) for a in axes], axes)
            case _:
                term = self.tensor(node.name)
        return self.subscript(term, names, node.span)

    def power(self, node: syntax.Power, kept: frozenset[str]) -> Visit:
        base = yield node.base, kept
        (exponent,) = yield from self.close_all([node.exponent], kept)
        if exponent.indices:
            return self.map("pow", [self.close(base, kept), exponent], node.span, kept)
        term = elementwise("pow", [base.term, exponent.term])
        return Value(term, base.indices, node.span, base.twice, together([base, exponent]))

    def product(self, node: syntax.Product, kept: frozenset[str]) -> Visit:
        values = []
        for divides, factor in node.factors:
            value = yield factor, kept
            if divides:
                value = replace(value, term=power(value.term, Fraction(-1)))
            values.append(value)
        count: dict[str, int] = {}
        for value in values:
            for name in value.indices:
                count[name] = count.get(name, 0) + (2 if name in value.twice else 1)
        self._check_hidden(values, count, node.span)
        free = tuple(name for name, n in count.items() if n == 1 or name in kept)
        hidden = together(values) | {name: node.span for name in count if name not in free}
        term = contraction([(value.term, value.indices) for value in values], free)
        return Value(term, free, node.span, hidden=hidden)

    def _check_hidden(
        self, values: Sequence[Value], free: Mapping[str, object], span: Span
    ) -> None:
        """No index that a scope inside has summed is free around it."""
        for value in values:
            for name, place in value.hidden.items():
                if name in free:
                    inner = self.text(place)
                    self.fail(
                        f"index {name} is summed inside and free outside",
                        [place, *self._where(name, span, place)],
                        [
                            f"{inner} sums over {name} by the convention, "
                            f"and the product around it has {name} free"
                        ],
                        f"write sum[{name}]({inner}) if the sum is meant there, "
                        f"sum[{name}](...) around the whole product if it is meant there, "
                        "or rename one of the indices",
                    )

    # Indices named in brackets are kept inside the argument; the trace, the mean and solve are
    # contractions, so that they equal what a user would write with indices.

    def call(self, node: syntax.Call, kept: frozenset[str]) -> Visit:
        """The value of a call."""
        name = syntax.full_name(node.function)
        if name in functions.MATRIX_FUNCTIONS:
            return (yield from self.matrix_function(name, node, kept))
        if node.subscript is not None:
            self.fail(
                f"the result of {node.function} is not indexed",
                [node.subscript[0].span],
                ["its axes are the indices that are free in its argument"],
                "only matrix functions take indices behind them: inv(A)[i,j]",
            )
        if node.kept is not None and name in _OVER_INDICES:
            return (yield from self.reduction(name, node, kept))
        if name in functions.ELEMENTWISE and name != "pi" and node.kept is None:
            return (yield from self.elementwise_call(name, node, kept))
        self._refuse_function(name, node)

    def _refuse_function(self, name: str, node: syntax.Call) -> NoReturn:
        program, given = self.program, node.function
        if given in program.ranks:
            rank = program.ranks[given]
            spans, how = program.rank_origin(given)
            example = f"; its entries are {given}[{','.join(INDICES[:rank])}]"
            self.fail(
                f"{given} is a tensor, not a function",
                [*spans, node.name_span],
                [f"a tensor with {axes_in_words(rank)} ({how})"],
                "a product is written with *" + (example if rank else ""),
            )
        inside = [self.text(argument.span) for argument in node.arguments]
        if name in _OVER_INDICES:
            parts = syntax.tree_nodes(node.arguments[0])
            letters = ",".join(
                dict.fromkeys(i.name for part in parts for i in syntax.indices_of(part))
            )
            self.fail(
                f"{name} needs the indices it runs over",
                [node.name_span],
                [f"its argument has {f'the indices {letters}' if letters else 'no indices'}"],
                f"write {name}[{letters}]({inside[0]})" if letters else f"write {name}[i](x[i])",
            )
        if name in functions.ELEMENTWISE:
            self.fail(
                f"{name} works entry by entry and takes no indices",
                [index.span for index in node.kept or ()],
                ["its result has the indices that are free in its argument"],
                f"write {name}({', '.join(inside)})",
            )
        near = get_close_matches(given, syntax.KNOWN, n=3, cutoff=0.6)
        self.fail(
            f"unknown function {given}",
            [node.name_span],
            [] if near else [f"known are {', '.join(syntax.KNOWN)}"],
            f"did you mean {' or '.join(near)}?"
            if near
            else f"an entry is written {given}[i], a product with *",
        )

    def elementwise_call(self, name: str, node: syntax.Call, kept: frozenset[str]) -> Visit:
        arguments = functions.ELEMENTWISE[name].arguments
        wanted, over_index = len(arguments), name in functions.REDUCTIONS
        if len(node.arguments) < wanted or (len(node.arguments) > wanted and not over_index):
            self.program.refuse_count(
                node,
                wanted,
                f"write {name}({', '.join(arguments)})"
                + (f", or {name}[i](...) over an index" if over_index else ""),
            )
        values = yield from self.close_all(node.arguments, kept)
        if name == "where" and not isinstance(node.arguments[0], syntax.Comparison):
            zero_value = Value(literal(0), (), node.span)  # a condition holds if it is not zero
            values[0] = self.map("ne", [values[0], zero_value], values[0].span, kept)
        value = self.map(name, values[:wanted], node.span, kept)
        for more in values[wanted:]:
            value = self.map(name, [value, more], node.span, kept)
        return value

    def reduction(self, name: str, node: syntax.Call, kept: frozenset[str]) -> Visit:
        """`name` over the indices in its brackets, whose axes are moved behind the others."""
        over = tuple(index.name for index in node.kept or ())
        if len(node.arguments) != 1:
            self.fail(
                f"{name} over an index takes 1 argument, {len(node.arguments)} given",
                [argument.span for argument in node.arguments],
                hint=f"write {name}[{','.join(over)}](...) around each of them",
            )
        repeated = [i for place, i in enumerate(node.kept or ()) if i.name in over[:place]]
        if repeated:
            self.fail(
                f"index {repeated[0].name} stands twice in the brackets of {name}",
                [repeated[0].span],
                ["each index there is one that the function runs over"],
                f"write {name}[{','.join(dict.fromkeys(over))}](...)",
            )
        (value,) = yield from self.close_all(node.arguments, kept.union(over))
        self._check_kept(name, node, value, "drop it, or repeat the argument: ones[{0}]*(...)")
        rest = tuple(index for index in value.indices if index not in over)
        value = replace(value, span=node.span)
        if name in ("sum", "mean"):
            term = contraction([(value.term, value.indices)], rest)
            for index in over if name == "mean" else ():
                size = power(extent(self.dim(index)), Fraction(-1))
                term = contraction([(size, ()), (term, rest)], rest)
            return replace(value, term=term, indices=rest)
        order = tuple(value.indices.index(index) for index in (*rest, *over))
        term = whole(name, transpose(value.term, order), len(over))
        if name in functions.NORMALISATIONS:
            back = tuple(order.index(axis) for axis in range(len(order)))
            return replace(value, term=transpose(term, back))
        return replace(value, term=term, indices=rest)

    def _check_kept(self, name: str, node: syntax.Call, value: Value, hint: str) -> None:
        """The indices in brackets are free in the argument."""
        for index in node.kept or ():
            if index.name not in value.indices:
                self.fail(
                    f"index {index.name} of {name} does not occur free in its argument",
                    [index.span, node.arguments[0].span],
                    [f"free there: {', '.join(value.indices) or 'none'}"],
                    hint.format(index.name),
                )

    def matrix_function(self, name: str, node: syntax.Call, kept: frozenset[str]) -> Visit:
        """`inv(A)[p,q]`, and `inv[i,j](e)[p,q]` with the rows i and columns j of e."""
        behind = tuple(index.name for index in node.subscript or ())
        if node.kept is None:
            term = _of_matrix(name, [self._whole(argument) for argument in node.arguments])
            if len(behind) != term.rank:
                raise DimensionError(
                    f"{name} has {axes_in_words(term.rank)} here, "
                    f"{indices_in_words(len(behind))} given behind it",
                    source=self.program.source,
                    spans=[node.span],
                    hint=f"write {self.text((node.span[0], node.arguments[-1].span[1]))})"
                    + syntax.brackets(INDICES[: term.rank]),
                )
            return self.subscript(term, behind, node.span)
        row, column = (index.name for index in node.kept)
        values = yield from self.close_all(node.arguments, kept.union((row, column)))
        hint = f"write {name}[i,j](...) with i the rows and j the columns of the argument"
        self._check_kept(name, node, values[0], hint)
        free = tuple(n for n in values[0].indices if n not in (row, column))
        square = self.spread(values[0], (*free, row, column))
        hidden = together(values)
        if name == "solve":
            _, right = values
            hidden = dict(right.hidden)
        else:
            term = _of_matrix(name, [square])
        wanted = syntax.result_rank(name)
        if len(behind) != wanted:
            self.fail(
                f"{name} has {axes_in_words(wanted)} here, "
                f"{indices_in_words(len(behind))} given behind it",
                [node.span],
                hint=f"write {name}[i,j](...){syntax.brackets('pqrstu'[:wanted])}",
            )
        if name == "solve":  # the x with A_ij x_j = b_i, its entry p
            if row not in right.indices or column in right.indices:
                self.fail(
                    f"the right-hand side of solve[{row},{column}] must have the index {row}, "
                    f"not {column}",
                    [node.arguments[1].span],
                    [f"free there: {', '.join(right.indices) or 'none'}"],
                    f"write solve[{row},{column}](A[{row},{column}], b[{row}])[p]",
                )
            inverse = whole("inv", square), (*free, column, row)
            free = tuple(n for n in dict.fromkeys((*free, *right.indices)) if n != row)
            term = contraction([inverse, (right.term, right.indices)], (*free, column))
        return self.subscript(term, (*free, *behind), node.span, hidden)

    def _whole(self, argument: Node) -> Expr:
        """The term of `A`, `inv(A)`, `cholesky(inv(A))`: matrix functions of whole tensors."""
        chain, leaf = syntax.whole_chain(argument)
        term = self.tensor(leaf)
        for name in reversed(chain):
            term = _of_matrix(name, [term])
        return term


def together(values: Iterable[Value]) -> dict[str, Span]:
    """What the scopes of several values have summed."""
    return {name: place for value in values for name, place in value.hidden.items()}


def free_in_words(names: Sequence[str]) -> str:
    """Free indices for a message.

    >>> free_in_words(["i"]), free_in_words(["i", "j"])
    ('the free index i', 'the free indices i, j')
    """
    if not names:
        return "no free index"
    return f"the free {'indices' if len(names) > 1 else 'index'} {', '.join(names)}"


def _of_matrix(name: str, terms: Sequence[Expr]) -> Expr:
    """A matrix function of whole terms; the trace and solve are contractions."""
    matrix, axes = terms[0], tuple(range(terms[0].rank))
    if name == "tr":
        return contract([matrix], [(*axes[:-1], axes[-2])], axes[:-2])
    if name != "solve":
        return whole(name, matrix)
    right, batch = terms[1], axes[:-2]
    before = batch if right.rank > len(batch) else ()
    more = tuple(range(len(axes), len(axes) + right.rank - len(before) - 1))
    inverse = whole("inv", matrix)
    return contract([inverse, right], [axes, (*before, axes[-1], *more)], (*axes[:-1], *more))


class _IndexTree(TreeBuilder):
    """One method per rule that only `grammar/index.lark` has: subscripts."""

    def access(self, c: list[Any]) -> syntax.Access:
        name: Token = c[0]
        indices, span = c[1]
        return syntax.Access(str(name), indices, over(span_of(name), span), span_of(name))

    def subscript(self, c: list[Any]) -> Indices:
        return tuple(c[1]), over(span_of(c[0]), span_of(c[2]))

    def no_subscript(self, c: list[Any]) -> Indices:
        return (), over(span_of(c[0]), span_of(c[1]))

    def index(self, c: list[Any]) -> syntax.Index:
        return syntax.Index(str(c[0]), None, span_of(c[0]))

    def sized_index(self, c: list[Any]) -> syntax.Index:
        extent, span = c[2]
        return syntax.Index(str(c[0]), extent, over(span_of(c[0]), span))

    def number_index(self, c: list[Any]) -> syntax.Index:
        raise error_at("number as index", span_of(c[0]), shown=complaints.short(c[0]))


_PARSER = Parser("index", _IndexTree)


def parse_index(source: str) -> syntax.Text:
    """The surface tree of a text in index notation.

    Raises NotationError with the place of the first mistake.

    >>> parse_index("y[i] = A[i,j]*x[j]").statements[0].name
    'y'
    """
    return _PARSER.text(source, "x[i]*Q[i,j]*x[j]", "r[a] = ...")
