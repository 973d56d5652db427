"""From what a text says to what it means: names become labels, scopes decide what is summed.

In: a surface tree (`syntax.Text`), extents and assumptions given beside it.
Out: `Meaning`: the term of the last statement, its index names, and all tensors of the program.
Invariant: the summation convention of LANGUAGE section 1 is applied here and nowhere else. The passes:
ranks (`ranks.py`), extents (`ranks.py`, `dimensions.py`), then terms, one statement after the other.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from ..errors import DimensionError, NotationError, Span, axes_in_words, indices_in_words
from ..terms import (
    INDICES,
    Apply,
    Delta,
    Dim,
    Expr,
    Map,
    Ones,
    Shape,
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
from .context import Meaning
from .parser import Indices, Parser, Token, TreeBuilder, over, span_of
from .ranks import Program
from .syntax import (
    Access,
    Call,
    Comparison,
    Definition,
    Group,
    Index,
    Name,
    Negative,
    Node,
    Number,
    Power,
    Product,
    Sum,
    indices_of,
    tree_nodes,
    whole_chain,
)

# A statement's scopes: what the convention sums, how terms of different indices meet.
#
# In: values with named axes. Out: values with named axes.
# Invariant: an index is summed only by `close` here and by products and reductions above; terms broadcast
# only as LANGUAGE section 1, rule 4 allows.


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


# Calls: elementwise functions, reductions, normalisations and matrix functions.
#
# In: a call and the values of its arguments. Out: its value.
# Invariant: indices named in brackets are kept inside the argument; the trace, the mean and solve are
# contractions, so that they equal what a user would write with indices.

# In a text these are written with signs or not at all; no message offers them.
_UNSPOKEN = frozenset({"pi", "pow", "prodexcept", *functions.COMPARISONS.values()})


class Calls(Scopes):
    """The values of calls; `visit` of the whole statement evaluates their arguments."""

    def call(self, node: Call, kept: frozenset[str]) -> Visit:
        name = functions.ALIASES.get(node.function, node.function)
        brackets = node.kept is not None
        if name in functions.MATRIX_FUNCTIONS:
            return (yield from self.matrix_function(name, node, kept))
        if node.subscript is not None:
            self.fail(
                f"the result of {node.function} is not indexed",
                [node.subscript[0].span],
                facts=["its axes are the indices that are free in its argument"],
                hint="only matrix functions take indices behind them: inv(A)[i,j]",
            )
        if brackets and name in (*functions.REDUCTIONS, *functions.NORMALISATIONS):
            return (yield from self.reduction(name, node, kept))
        if name in functions.ELEMENTWISE and name != "pi" and not brackets:
            return (yield from self.elementwise_call(name, node, kept))
        self.refuse_function(name, node)
        raise AssertionError(node)

    def refuse_function(self, name: str, node: Call) -> None:
        known = sorted(
            {*functions.ELEMENTWISE, *functions.REDUCTIONS, *functions.NORMALISATIONS}
            | {*functions.MATRIX_FUNCTIONS}
        )
        known = [word for word in known if word not in _UNSPOKEN]
        if node.function in self.program.ranks:
            rank = self.program.ranks[node.function]
            spans, how = self.program.rank_told(node.function)
            example = f"; its entries are {node.function}[{','.join(INDICES[:rank])}]"
            self.fail(
                f"{node.function} is a tensor, not a function",
                [*spans, node.name_span],
                facts=[f"a tensor with {axes_in_words(rank)} ({how})"],
                hint="a product is written with *" + (example if rank else ""),
            )
        if name in (*functions.REDUCTIONS, *functions.NORMALISATIONS):
            argument = node.arguments[0]
            letters = ",".join(
                dict.fromkeys(i.name for part in tree_nodes(argument) for i in indices_of(part))
            )
            self.fail(
                f"{name} needs the indices it runs over",
                [node.name_span],
                facts=[f"its argument has {f'the indices {letters}' if letters else 'no indices'}"],
                hint=f"write {name}[{letters}]({self.text(argument.span)})"
                if letters
                else f"write {name}[i](x[i])",
            )
        if name in functions.ELEMENTWISE:
            self.fail(
                f"{name} works entry by entry and takes no indices",
                [index.span for index in node.kept or ()],
                facts=["its result has the indices that are free in its argument"],
                hint=f"write {name}({', '.join(self.text(a.span) for a in node.arguments)})",
            )
        near = get_close_matches(node.function, known, n=3, cutoff=0.6)
        self.fail(
            f"unknown function {node.function}",
            [node.name_span],
            facts=[] if near else [f"known are {', '.join(known)}"],
            hint=f"did you mean {' or '.join(near)}?"
            if near
            else f"an entry is written {node.function}[i], a product with *",
        )

    def elementwise_call(self, name: str, node: Call, kept: frozenset[str]) -> Visit:
        wanted = len(functions.ELEMENTWISE[name].arguments)
        given = len(node.arguments)
        chained = name in ("max", "min") and given > 2
        if given != wanted and not chained:
            self.fail(
                f"{name} takes {wanted} argument{'s' * (wanted > 1)}, {given} given",
                [node.span],
                hint=f"write {name}({', '.join(functions.ELEMENTWISE[name].arguments)})"
                + (f", or {name}[i](...) over an index" if name in ("max", "min") else ""),
            )
        values = yield from self.closed(node.arguments, kept)
        if name == "where" and not isinstance(node.arguments[0], Comparison):
            zero_value = Value(literal(0), (), node.span)  # a condition holds where it is not zero
            values[0] = self.map("ne", [values[0], zero_value], values[0].span, kept)
        value = self.map(name, values[:wanted], node.span, kept)
        for more in values[wanted:]:
            value = self.map(name, [value, more], node.span, kept)
        return value

    def reduction(self, name: str, node: Call, kept: frozenset[str]) -> Visit:
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
                facts=["each index there is one that the function runs over"],
                hint=f"write {name}[{','.join(dict.fromkeys(over))}](...)",
            )
        inside = kept.union(over)
        (value,) = yield from self.closed(node.arguments, inside)
        for index in node.kept or ():
            if index.name not in value.indices:
                self.fail(
                    f"index {index.name} of {name} does not occur free in its argument",
                    [index.span, node.arguments[0].span],
                    facts=[f"free there: {', '.join(value.indices) or 'none'}"],
                    hint=f"drop it, or repeat the argument: ones[{index.name}]*(...)",
                )
        return self.reduce(name, value, over, node.span)

    def reduce(self, name: str, value: Value, over: tuple[str, ...], span: Span) -> Value:
        """`name` over the axes `over`, which are moved behind the others."""
        rest = tuple(index for index in value.indices if index not in over)
        order = tuple(value.indices.index(index) for index in (*rest, *over))
        if name in ("sum", "mean"):
            term = contract([value.term], [tuple(range(value.term.rank))], order[: len(rest)])
            if name == "mean":
                for index in over:
                    size = power(extent(self.dim(index)), Fraction(-1))
                    term = contract(
                        [size, term], [(), tuple(range(term.rank))], tuple(range(term.rank))
                    )
            return Value(term, rest, span, frozenset(), value.hidden)
        term = whole(name, transpose(value.term, order), len(over))
        if name in functions.NORMALISATIONS:
            back = tuple(order.index(axis) for axis in range(len(order)))
            return Value(transpose(term, back), value.indices, span, frozenset(), value.hidden)
        return Value(term, rest, span, frozenset(), value.hidden)

    def matrix_function(self, name: str, node: Call, kept: frozenset[str]) -> Visit:
        if node.kept is None:
            term = self.whole_call(node)
            names = tuple(index.name for index in node.subscript or ())
            if len(names) != term.rank:
                raise DimensionError(
                    f"{name} has {axes_in_words(term.rank)} here, "
                    f"{indices_in_words(len(names))} given behind it",
                    source=self.source,
                    spans=[node.span],
                    hint=f"write {self.text((node.span[0], node.arguments[-1].span[1]))})"
                    + (f"[{','.join(INDICES[: term.rank])}]" if term.rank else ""),
                )
            return self.subscripted(term, names, node.span, {})
        return (yield from self.bracketed(name, node, kept))

    def whole_call(self, node: Node) -> Expr:
        """The term of `A`, `inv(A)`, `det(inv(A))`: matrix functions of whole tensors."""
        assert isinstance(node, Call)
        terms = []
        for argument in node.arguments:
            chain, leaf = whole_chain(argument)
            term = self.tensor(leaf)
            for name in reversed(chain):
                term = _of_matrix(name, [term])
            terms.append(term)
        return _of_matrix(functions.ALIASES.get(node.function, node.function), terms)

    def bracketed(self, name: str, node: Call, kept: frozenset[str]) -> Visit:
        """`inv[i,j](e)[p,q]`: rows i and columns j of e; other free indices of e stay free."""
        row, column = (index.name for index in node.kept or ())
        values = yield from self.closed(node.arguments, kept.union((row, column)))
        matrix = values[0]
        for index in node.kept or ():
            if index.name not in matrix.indices:
                self.fail(
                    f"index {index.name} of {name} does not occur free in its argument",
                    [index.span, node.arguments[0].span],
                    facts=[f"free there: {', '.join(matrix.indices) or 'none'}"],
                    hint=f"write {name}[i,j](...) with i the rows and j the columns of the argument",
                )
        batch = tuple(n for n in matrix.indices if n not in (row, column))
        square = self.spread(Value(matrix.term, matrix.indices, matrix.span), (*batch, row, column))
        behind = tuple(index.name for index in node.subscript or ())
        hidden = together(values)
        if name == "solve":
            return self.bracketed_solve(node, square, (*batch, row, column), values[1], behind)
        term = _of_matrix(name, [square])
        self.check_subscript(name, node, term.rank - len(batch), behind)
        return self.subscripted(term, (*batch, *behind), node.span, hidden)

    def check_subscript(self, name: str, node: Call, wanted: int, behind: Sequence[str]) -> None:
        if len(behind) != wanted:
            self.fail(
                f"{name} has {axes_in_words(wanted)} here, "
                f"{indices_in_words(len(behind))} given behind it",
                [node.span],
                hint=f"write {name}[i,j](...)" + ("", "[p]", "[p,q]")[wanted],
            )

    def bracketed_solve(
        self, node: Call, square: Expr, names: tuple[str, ...], right: Value, behind: Sequence[str]
    ) -> Value:
        """`solve[i,j](A, b)[p]`: the x with A_ij x_j = b_i, its entry p."""
        row, column = names[-2:]
        self.check_subscript("solve", node, 1, behind)
        if row not in right.indices or column in right.indices:
            self.fail(
                f"the right-hand side of solve[{row},{column}] must have the index {row}, not {column}",
                [node.arguments[1].span],
                facts=[f"free there: {', '.join(right.indices) or 'none'}"],
                hint=f"write solve[{row},{column}](A[{row},{column}], b[{row}])[p]",
            )
        batch = names[:-2]
        every = tuple(dict.fromkeys((*batch, *right.indices, column)))
        labels = {name: place for place, name in enumerate(every)}
        free = tuple(name for name in every if name not in (row, column))
        term = contract(
            [whole("inv", square), right.term],
            [
                (*(labels[b] for b in batch), labels[column], labels[row]),
                tuple(labels[n] for n in right.indices),
            ],
            tuple(labels[n] for n in (*free, column)),
        )
        return self.subscripted(term, (*free, *behind), node.span, right.hidden)


def _of_matrix(name: str, terms: Sequence[Expr]) -> Expr:
    """A matrix function of whole terms; the trace and solve are contractions."""
    matrix = terms[0]
    axes = tuple(range(matrix.rank))
    if name == "tr":
        return contract([matrix], [(*axes[:-1], axes[-2])], axes[:-2])
    if name != "solve":
        return whole(name, matrix)
    right = terms[1]
    inverse = whole("inv", matrix)
    batch = matrix.rank - 2
    shared = right.rank >= batch + 1 and batch > 0
    before = tuple(range(batch)) if shared else ()
    more = tuple(range(batch + 2, batch + 2 + right.rank - len(before) - 1))
    return contract(
        [inverse, right],
        [axes, (*before, batch + 1, *more)],
        (*range(batch), batch, *more),
    )


# ----------------------------------------------------------------------


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
            example = ",".join(INDICES[:count])
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


# From index notation to the surface tree.
#
# In: a text in index notation. Out: `syntax.Text`.
# Invariant: one method per rule of `grammar/index.lark`; those that grammars share are in `tree_builder.py`.


class _IndexTree(TreeBuilder):
    """The rules that only index notation has: subscripts."""

    # atoms

    def access(self, c: list[Any]) -> Access:
        name: Token = c[0]
        indices, span = c[1]
        return Access(str(name), indices, over(span_of(name), span), span_of(name))

    def call_kept(self, c: list[Any]) -> Call:
        return self._call(c[0], c[1], c[3], c[4], None)

    def call_behind(self, c: list[Any]) -> Call:
        return self._call(c[0], None, c[2], c[3], c[4])

    def call_both(self, c: list[Any]) -> Call:
        return self._call(c[0], c[1], c[3], c[4], c[5])

    # indices

    def subscript(self, c: list[Any]) -> Indices:
        return tuple(c[1]), over(span_of(c[0]), span_of(c[2]))

    def no_subscript(self, c: list[Any]) -> Indices:
        return (), over(span_of(c[0]), span_of(c[1]))

    def index(self, c: list[Any]) -> Index:
        return Index(str(c[0]), None, span_of(c[0]))

    def sized_index(self, c: list[Any]) -> Index:
        extent, span = c[2]
        return Index(str(c[0]), extent, over(span_of(c[0]), span))

    def number_index(self, c: list[Any]) -> Index:
        raise NotationError(
            f"the number {complaints.short(c[0])} stands as an index",
            spans=[span_of(c[0])],
            facts=["an index is a name that runs over a whole axis"],
            hint="cut the array beforehand, or multiply by a vector that picks the entry",
        )


_PARSER = Parser("index", _IndexTree)


def parse_index(source: str) -> syntax.Text:
    """The surface tree of a text in index notation.

    Raises NotationError with the place of the first mistake.

    >>> parse_index("y[i] = A[i,j]*x[j]").statements[0].name
    'y'
    """
    complaints.check_brackets(source)
    statements = _PARSER.parsed(source)
    complaints.check_statements(source, statements)
    return syntax.Text(source, tuple(statements))
