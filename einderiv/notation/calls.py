"""Calls: elementwise functions, reductions, normalisations and matrix functions.

In: a call and the values of its arguments. Out: its value.
Invariant: indices named in brackets are kept inside the argument; the trace, the mean and solve are
contractions, so that they equal what a user would write with indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fractions import Fraction

from .. import functions
from ..canonical import contract, extent, literal, power, transpose, whole
from ..errors import DimensionError, Span, axes_in_words, indices_in_words
from ..expr import Expr
from .scopes import Scopes, Value, Visit, together
from .syntax import Call, Comparison, Node
from .trees import indices_of, tree_nodes, whole_chain

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
            example = f"; its entries are {node.function}[{','.join('ijklmnpq'[:rank])}]"
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
                    + (f"[{','.join('ijklmnpq'[: term.rank])}]" if term.rank else ""),
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
