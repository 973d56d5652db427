"""`Spy`: where the entries of a tensor, laid out as a matrix, can be other than zero.

In: a term, names of its axes, how many of them are rows, sizes. Out: a picture, a text for terminals.
A pattern gives every axis a number; entries are zero unless axes of one number have one index. Invariant:
an entry outside all patterns is zero. They are known from the term's deltas alone, exactly for deltas,
sums, products and functions with f(0) = 0, as an upper bound for others; no entry is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import cycle, product
from math import prod
from typing import NamedTuple

import numpy as np

from ...errors import DimensionError, ResourceLimitError, axes_in_words
from ...notations import Context, Definition, Text, indices_of, tree_nodes
from ...programs import Array, checked_sizes
from ...terms import (
    ELEMENTWISE,
    ONE,
    Apply,
    Classes,
    Contraction,
    Delta,
    Dim,
    Expr,
    Label,
    Map,
    Ones,
    Shape,
    Sum,
    base_and_exponent,
    contract,
    fold,
    merged_by_deltas,
    scale,
    split_scale,
)
from ..named import arranged_terms
from ..surface import unparse
from ..text import to_text
from .drawing import Canvas, Drawn, Side, grid_canvas
from .graph import index_text, short_line

Pattern = tuple[int, ...]
Patterns = frozenset[Pattern]

MOST = 48  # patterns of a term; beyond, it counts as dense
_SIZES = (4, 3, 5, 2, 6)  # of extents without a given size, in the order they come
_SIDE = 48  # rows and columns up to which these are taken; beyond, smaller ones
_SMALLER = (3, 2, 2, 2)
_LARGEST_GIVEN = 8  # an extent that is a number is drawn in full up to it
_MOST_SHOWN = 400  # rows and columns of a picture
_MOST_CELLS = 4_000_000
_WIDE = 78  # columns of a text
_MOST_TERMS = 32  # of a product that is multiplied out
_LINE = 64  # characters of a term in the legend
# Of terms with a pattern of their own; the last one is for all that are more.
_COLOURS = ("#44618f", "#c08a3e", "#5e8c6a", "#8c5e80", "#7a7f87")
_LETTERS = "abcde"


def patterns_of(root: Expr) -> Patterns:
    """The patterns of a term: none for zero, one without ties for a dense tensor.

    >>> from einderiv.terms import Delta, Variable, contract
    >>> block = contract([Delta("n"), Variable("C", ("d", "d"))], [(0, 2), (1, 3)], (0, 1, 2, 3))
    >>> sorted(patterns_of(block))
    [(0, 1, 0, 2)]
    """
    return fold([root], _value)[root]


def _value(node: Expr, children: list[Patterns]) -> Patterns:
    match node:
        case Delta():
            return frozenset([(0, 0)])
        case Sum():
            return widest(pattern for patterns in children for pattern in patterns)
        case Contraction():
            return _of_product(node, children)
        case Map(function="pow") if base_and_exponent(node)[1] > 0:
            return children[0]
        case Map(children=(_,)) if ELEMENTWISE[node.function].at_zero == 0:
            return children[0]
        case Apply(function="tril"):
            return children[0]
    return _dense(node.rank)


def _dense(rank: int) -> Patterns:
    return frozenset([tuple(range(rank))])


def _of_product(node: Contraction, children: list[Patterns]) -> Patterns:
    """An entry is zero if one of a factor is: each choice of a pattern for every factor is a pattern."""
    if prod(map(len, children)) > MOST:
        children = [
            patterns if isinstance(child, Delta) else _dense(child.rank)
            for child, patterns in zip(node.children, children, strict=True)
        ]
    found = []
    for choice in product(*map(sorted, children)):
        same: Classes[Label] = Classes()
        for labels, pattern in zip(node.inputs, choice, strict=True):
            for label, number in zip(labels, pattern, strict=True):
                same.join(labels[pattern.index(number)], label)
        numbers: dict[Label, int] = {}
        classes = [same.find(label) for label in node.output]
        found.append(tuple(numbers.setdefault(label, len(numbers)) for label in classes))
    return widest(found)


def widest(patterns: Iterable[Pattern]) -> Patterns:
    """The patterns that lie in no other one.

    >>> sorted(widest([(0, 0, 0), (0, 1, 0)]))
    [(0, 1, 0)]
    """
    found = sorted(set(patterns), key=lambda pattern: -len(set(pattern)))
    if len(found) > MOST:
        return _dense(len(found[0]))
    kept: list[Pattern] = []
    for pattern in found:  # it lies in another one if all ties of that one are its own
        if all(len(set(zip(other, pattern, strict=True))) > len(set(other)) for other in kept):
            kept.append(pattern)
    return frozenset(kept)


class Part(NamedTuple):
    """A term of the sum: its text, where it can be other than zero, axes along which its blocks repeat."""

    text: str
    patterns: Patterns
    repeated: frozenset[int]


class Spy(Drawn):
    """The pattern of zeros of a tensor as a matrix; `str()` is the picture for a terminal.

    >>> import einderiv as ed
    >>> print(ed.parse("x[i]*x[i]").hessian("x").spy())
    2*delta[i,j]
    diagonal
    rows (i), columns (j): 4 x 4 for i = 4, 4 of 16 entries
    x . . .
    . x . .
    . . x .
    . . . x
    """

    __slots__ = ("__dict__", "indices", "parts", "rows", "shape", "shrunk", "sizes")

    def __init__(
        self,
        term: Expr,
        indices: Sequence[str],
        hints: Context,
        rows: int,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self.indices = tuple(indices)
        self.rows = rows
        parts = []
        for coefficient, part in _terms(term):
            if patterns := patterns_of(part):  # it is not zero
                text = _body(scale(coefficient, part), self.indices, hints)
                parts.append(Part(short_line(text, _LINE), patterns, _repeated_axes(part)))
        self.parts = tuple(parts)
        self.sizes, self.shrunk = _sizes(term.shape, rows, sizes or {})
        self.shape = tuple(self.sizes[dim] for dim in term.shape)
        self._dims = term.shape

    @property
    def patterns(self) -> Patterns:
        """The patterns of the whole tensor."""
        return widest(pattern for part in self.parts for pattern in part.patterns)

    @cached_property
    def matrix_shape(self) -> tuple[int, int]:
        """How many rows and columns the matrix has."""
        return prod(self.shape[: self.rows]), prod(self.shape[self.rows :])

    @cached_property
    def mask(self) -> Array:
        """An array of booleans, rows by columns: can the entry be other than zero?"""
        return self._mask(self.patterns)

    def _mask(self, patterns: Patterns) -> Array:
        full = np.zeros(self.shape, bool)
        for pattern in patterns:
            grid = np.indices(
                [self.shape[pattern.index(k)] for k in sorted(set(pattern))], sparse=True
            )
            full[tuple(grid[number] for number in pattern)] = True
        return full.reshape(self.matrix_shape)

    @property
    def description(self) -> str:
        """The structure in words: dense, diagonal, blocks on the diagonal, or which indices must agree."""
        return self._words_for(self.patterns, self.parts)

    def _words_for(self, patterns: Patterns, parts: Sequence[Part]) -> str:
        if not patterns:
            return "all zero"
        ties = _common_ties(patterns)
        if not ties:
            if any(len(set(p)) == len(p) for p in patterns):
                return "dense"
            words = [_condition(_common_ties([p]), self.indices) for p in sorted(patterns)]
            return f"zero unless {' or '.join(words)}"
        condition = _condition(ties, self.indices)
        pairs = sorted((group[0], group[-1]) for group in ties)  # of a row and a column
        if len(patterns) > 1 or any(len(t) > 2 or not t[0] < self.rows <= t[1] for t in ties):
            return f"zero unless {condition}"
        if 2 * len(pairs) == len(self.indices):
            columns = [column for _, column in pairs]
            return "diagonal" if columns == sorted(columns) else "one entry in each row and column"
        count = prod(self.shape[row] for row, _ in pairs)
        height, width = (side // max(count, 1) for side in self.matrix_shape)
        diagonal = pairs == [(k, self.rows + k) for k in range(len(pairs))]
        same = all(row in part.repeated for part in parts for row, _ in pairs)
        return (
            f"{count} {'block' if count == 1 else 'blocks'} of {height} x {width} "
            f"{'on the diagonal' if diagonal else 'interleaved'}"
            f" ({condition}){', all equal' if same and count > 1 else ''}"
        )

    @property
    def facts(self) -> tuple[str, ...]:
        """Size and structure, in lines."""
        height, width = self.matrix_shape
        count = int(self.mask.sum())
        sizes = ", ".join(f"{dim} = {size}" for dim, size in self.sizes.items() if dim != size)
        rows, columns = map(",".join, (self.indices[: self.rows], self.indices[self.rows :]))
        lines = [
            self.description,
            f"rows ({rows}), columns ({columns}): {height} x {width}"
            f"{f' for {sizes}' if sizes else ''}, {count:,} of {height * width:,} entries",
        ]
        if self.shrunk:
            lines.append(f"drawn smaller than it is: {', '.join(self.shrunk)}")
        return tuple(lines)

    def __str__(self) -> str:
        height, width = self.matrix_shape
        groups = self._groups
        legend = [text for text, _ in groups]
        marks = np.full(self.matrix_shape, ".")  # x, or the letter of a term, + where several meet
        if height * width <= _MOST_SHOWN**2:
            letters = _LETTERS if len(groups) > 1 else "x"
            count = np.zeros(self.matrix_shape, int)
            for letter, (_, patterns) in zip(letters, groups, strict=False):
                mask = self._mask(patterns)
                count += mask
                marks[mask] = letter
            marks[count > 1] = "+"
            if len(groups) != 1:
                legend = [f"{a}: {text}" for a, text in zip(letters, legend, strict=False)]
            legend += ["+: several of these"] if (count > 1).any() else []
        lines = [*legend, *self.facts]
        if max(2 * width, height) > _WIDE:
            return "\n".join([*lines, "too large for a text: pass smaller sizes, or take .svg()"])
        breaks, blocks = self._lines(0, self.rows), self._lines(self.rows, len(self.shape))
        for number, row in enumerate(marks.tolist()):
            cells = [f"  {mark}" if k in blocks else mark for k, mark in enumerate(row)]
            lines += [*([""] if number in breaks else []), " ".join(cells)]
        return "\n".join(lines)

    @cached_property
    def _groups(self) -> list[tuple[str, Patterns]]:
        """Texts with patterns: terms that share their patterns together, and what is too many as one."""
        same: dict[Patterns, list[Part]] = {}
        for part in self.parts:
            same.setdefault(part.patterns, []).append(part)
        groups = sorted(same.items(), key=lambda group: -max(len(set(p)) for p in group[0]))
        shown, most = [], len(_COLOURS)
        for patterns, parts in groups[: most if len(groups) <= most else most - 1]:
            text = short_line(" + ".join(part.text for part in parts).replace("+ -", "- "), _LINE)
            words = self._words_for(patterns, parts)
            shown.append((f"{text} ({words})" if len(groups) > 1 else text, patterns))
        rest = groups[len(shown) :]
        if rest:
            number = sum(len(parts) for _, parts in rest)
            shown.append((f"{number} more terms", widest(p for key, _ in rest for p in key)))
        return shown

    def _side(self, start: int, stop: int) -> Side:
        """The axes from `start` to before `stop`, with the number of each block of the first."""
        names = self.indices[start:stop]
        pairs = zip(names, self._dims[start:stop], strict=True)
        lines = self._lines(start, stop)
        blocks = [f"{names[0]} = {k}" for k in range(self.shape[start])] if lines else []
        return ", ".join(index_text(n, d) for n, d in pairs), lines, tuple(blocks)

    def _lines(self, start: int, stop: int) -> tuple[int, ...]:
        """The rows (or columns) at which the index of the first of these axes changes."""
        if stop - start < 2:
            return ()
        step = prod(self.shape[start + 1 : stop])
        return tuple(range(step, step * self.shape[start], step)) if step > 1 else ()

    def __repr__(self) -> str:
        return f"<Spy of [{','.join(self.indices)}]: {'; '.join(self.facts)}>"

    def _check(self) -> None:
        if max(self.matrix_shape) > _MOST_SHOWN:
            raise ResourceLimitError(
                f"a matrix of {self.matrix_shape[0]} x {self.matrix_shape[1]} is too large for a picture",
                facts=[f"pictures have up to {_MOST_SHOWN} rows and columns"],
                hint="pass smaller sizes: the structure is the same",
            )

    def _canvas(self) -> Canvas:
        groups = zip(_COLOURS, self._groups, strict=False)
        layers = [(colour, text, self._mask(patterns)) for colour, (text, patterns) in groups]
        left, top = self._side(0, self.rows), self._side(self.rows, len(self.shape))
        return grid_canvas(self.matrix_shape, layers, left, top, self.facts)


def _terms(root: Expr) -> list[tuple[Fraction, Expr]]:
    """The terms of a sum; a product is multiplied out if that sets a term with deltas free."""
    made: list[tuple[Fraction, Expr]] = []
    stack: list[tuple[Fraction, Expr]] = [(ONE, root)]
    while stack:
        coefficient, term = stack.pop()
        inner, term = split_scale(term)
        coefficient *= inner
        if isinstance(term, Sum):
            stack += [(coefficient * c, t) for c, t in reversed(arranged_terms(term))]
            continue
        place = _sum_with_ties(term) if len(made) + len(stack) < _MOST_TERMS else None
        if place is None or not isinstance(term, Contraction):
            made.append((coefficient, term))
            continue
        operands = list(term.children)
        total = operands[place]
        assert isinstance(total, Sum)
        for c, part in reversed(arranged_terms(total)):
            operands[place] = part
            stack.append((coefficient * c, contract(operands, term.inputs, term.output)))
    return made


def _sum_with_ties(term: Expr) -> int | None:
    """The operand of a product that is a sum in which a term has deltas."""
    for place, operand in enumerate(term.children if isinstance(term, Contraction) else ()):
        if isinstance(operand, Sum) and len(operand.children) > 1:
            for child in operand.children:
                if all(len(set(p)) < len(p) for p in patterns_of(child)):
                    return place
    return None


def _body(term: Expr, indices: tuple[str, ...], hints: Context) -> str:
    """A term in index notation, its indices without extents."""
    *others, last = unparse(term, indices, hints).statements
    assert isinstance(last, Definition)
    for node in tree_nodes(last.expression):
        for index in indices_of(node):
            index.extent = None
    last = Definition(None, None, last.expression, last.span, last.name_span)
    shown = [x for x in (*others, last) if isinstance(x, Definition)]
    return "; ".join(to_text(Text("", tuple(shown))).splitlines())


def _repeated_axes(term: Expr) -> frozenset[int]:
    """The axes on which only deltas and ones depend: all blocks along them are equal."""
    if isinstance(term, Delta | Ones):
        return frozenset(range(term.rank))
    if not isinstance(term, Contraction):
        return frozenset()
    factors = list(zip(term.children, term.inputs, strict=True))
    same = merged_by_deltas(factors, term.output)
    read = {
        same.get(label, label)
        for operand, labels in factors
        if not isinstance(operand, Delta | Ones)
        for label in labels
    }
    return frozenset(
        axis for axis, label in enumerate(term.output) if same.get(label, label) not in read
    )


def _common_ties(patterns: Sequence[Pattern] | Patterns) -> list[tuple[int, ...]]:
    """Groups of axes that have one number in every pattern."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for axis, key in enumerate(zip(*sorted(patterns), strict=True)):
        groups.setdefault(key, []).append(axis)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _condition(ties: Sequence[tuple[int, ...]], indices: Sequence[str]) -> str:
    """`i = j and p = q`."""
    return " and ".join(" = ".join(indices[axis] for axis in group) for group in ties)


def _sizes(
    shape: Shape, rows: int, given: Mapping[str, int]
) -> tuple[dict[Dim, int], tuple[str, ...]]:
    """A size for every extent: those given, else small ones; and what is drawn smaller than it is."""
    known = checked_sizes(given)
    dims = list(dict.fromkeys(shape))
    unknown = [name for name in known if name not in dims]
    if unknown:
        raise DimensionError(
            f"{', '.join(unknown)}: no such extent",
            facts=[f"the tensor has {', '.join(map(str, dims)) or 'no axes'}"],
            hint="correct the name",
        )
    for choice in (_SIZES, _SMALLER):
        free = cycle(choice)
        sizes: dict[Dim, int] = {
            dim: min(dim, _LARGEST_GIVEN)
            if isinstance(dim, int)
            else known[dim]
            if dim in known
            else next(free)
            for dim in dims
        }
        sides = [prod(sizes[dim] for dim in part) for part in (shape[:rows], shape[rows:])]
        if max(sides) <= _SIDE:
            break
    if sides[0] * sides[1] > _MOST_CELLS:
        raise ResourceLimitError(
            f"a pattern of {sides[0]:,} x {sides[1]:,} entries is too large",
            facts=[f"patterns have up to {_MOST_CELLS:,} entries"],
            hint="pass smaller sizes: the structure is the same",
        )
    shrunk = tuple(
        f"{dim} as {size}" for dim, size in sizes.items() if isinstance(dim, int) and dim != size
    )
    return sizes, shrunk


def row_axes(ranks: Sequence[int], rank: int, rows: int | None, denominator: bool) -> int:
    """How many axes are rows: as asked, the first part of a derivative, or the first half.

    >>> row_axes((0, 2, 2), 4, None, False), row_axes((0, 1), 1, None, False)
    (2, 1)
    """
    if rows is not None:
        if isinstance(rows, bool) or not isinstance(rows, int) or not 0 <= rows <= rank:
            raise DimensionError(
                f"rows={rows!r}, the tensor has {axes_in_words(rank)}",
                hint=f"pass a number between 0 and {rank}",
            )
        return rows
    parts = [part for part in ranks if part]
    if len(parts) > 1 and sum(parts) == rank:
        return parts[-1] if denominator else parts[0]
    return (rank + 1) // 2
