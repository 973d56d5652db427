"""Linear systems of structured tensors: blocks on a diagonal, a diagonal plus a low rank.

In: a matrix as terms, a right side. Out: the solution.
Invariant: the way with the fewest operations runs; the dense matrix is one of them, up to a size.
Source of the low-rank way: Woodbury, "Inverting Modified Matrices" (1950), and one step of refinement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from math import inf, prod
from typing import NamedTuple

import numpy as np

from ...errors import DataError, ResourceLimitError
from ...terms import Subscript
from ..arrays import Array
from .terms import (
    Factor,
    Matrix,
    Pairs,
    Term,
    common_pairs,
    distinct,
    extents_of,
    identify_labels,
    labels_of,
)

DENSE_BYTES = 2**30  # a matrix or its blocks beyond this size are not written out
_FACTORS = 6  # all 64 ways of cutting between so many factors are compared
_POOR = 1e-6  # residual over right side of the low-rank way, beyond which the dense way is asked

Cut = tuple[Matrix, Matrix]  # a term as left @ right


class _Way(NamedTuple):
    """Terms with blocks on the diagonal of `pairs`, and the others as products of low rank."""

    pairs: Pairs
    blocks: tuple[Term, ...]
    cuts: tuple[Cut, ...]


# ---------------------------------------------------------------- ways to solve


def _cut(term: Term, system: Matrix) -> Cut:
    """The term as a product of two, through as few entries as the factors allow.

    x_i y_j: 1 entry. V_il V_kj with the rows i, j: V_il d_jm times d_ln V_km, through l and m.
    """
    sizes, factors = extents_of(term, system.shape), term.factors
    rows, columns = term.places[: system.rows], term.places[system.rows :]
    few = len(factors) <= _FACTORS  # beyond, those that touch no column are left, the others right
    sides = product((True, False), repeat=len(factors)) if few else ()
    found: list[tuple[int, Subscript, list[Factor], list[Factor]]] = []
    for side in sides or [tuple(not set(columns).intersection(ls) for _, ls in factors)]:
        left = [f for f, is_left in zip(factors, side, strict=True) if is_left]
        right = [f for f, is_left in zip(factors, side, strict=True) if not is_left]
        inner = tuple(sorted(labels_of(left).union(rows) & labels_of(right).union(columns)))
        found.append((prod(sizes[label] for label in inner), inner, left, right))
    _, inner, left, right = min(found, key=lambda entry: entry[0])
    between = tuple(sizes[label] for label in inner)
    (high, wide), dtype = system.halves, system.dtype
    before = Term(term.coefficient, tuple(left), rows + inner)
    after = Term(1.0, tuple(right), inner + columns)
    return (
        Matrix(high + between, system.rows, [before], dtype),
        Matrix(between + wide, len(inner), [after], dtype),
    )


def _inner(cut: Cut) -> int:
    """The number of entries that a cut goes through."""
    return prod(cut[1].halves[0])


def _ways(system: Matrix) -> list[_Way]:
    """Ways to solve, the cheapest first; the first of those without cuts always works."""
    candidates = dict.fromkeys([common_pairs(system.terms, system.rows)])
    candidates |= dict.fromkeys(common_pairs([term], system.rows) for term in system.terms)
    cut_of = cache(lambda number: _cut(system.terms[number], system))
    found = []
    for pairs in candidates:
        blocks: list[Term] = []
        cuts: list[Cut] = []
        for number, term in enumerate(system.terms):
            if all(term.places[row] == term.places[column] for row, column in pairs):
                blocks.append(term)
            else:
                cuts.append(cut_of(number))
        found.append(_Way(pairs, tuple(blocks), tuple(cuts)))
    return sorted(found, key=lambda way: _operations(system, way))


def _operations(system: Matrix, way: _Way) -> float:
    """Multiplications of a way, about; infinite where its blocks are too large to be written out."""
    size = prod(system.halves[0])
    block = size // prod(system.shape[row] for row, _ in way.pairs)
    count = prod(system.shape[row] for row, _ in _apart(way))
    inner = sum(map(_inner, way.cuts))
    if max(count * block**2, inner**2) * system.dtype.itemsize > DENSE_BYTES:
        return inf
    return count * block**3 + inner**3 + inner * size * (block + 1)


def _apart(way: _Way) -> Pairs:
    """The pairs along which the blocks differ; along the others they repeat."""
    found = []
    for pair in way.pairs:
        for term in way.blocks:
            label = term.places[pair[0]]
            if label in labels_of(term.factors) or term.places.count(label) > 2:
                found.append(pair)
                break
    return tuple(found)


# ---------------------------------------------------------------- blocks


class _Blocks:
    """Blocks (batch, rows, columns) written out, and the axes of the tensor that they have."""

    def __init__(self, system: Matrix, way: _Way) -> None:
        self.system, shape = system, system.shape
        self.batch = _apart(way)
        self.repeated = tuple(pair for pair in way.pairs if pair not in self.batch)
        taken = {axis for pair in way.pairs for axis in pair}
        self.rows = tuple(k for k in range(system.rows) if k not in taken)
        self.columns = tuple(k for k in range(system.rows, len(shape)) if k not in taken)
        lead = tuple(row for row, _ in self.batch)
        block = prod(shape[row] for row in self.rows)
        axes = (*lead, *self.rows, *self.columns)
        size = prod(shape[axis] for axis in axes) * system.dtype.itemsize
        if size > DENSE_BYTES:
            count = prod(system.halves[0])
            raise ResourceLimitError(
                f"solving with a {count:,} x {count:,} matrix of this structure needs "
                f"blocks of {size:,} bytes",
                facts=[f"the limit is {DENSE_BYTES:,} bytes"],
                hint="solve iteratively: scipy.sparse.linalg.cg or gmres with .to_scipy()",
            )
        self.array = system._replace(terms=way.blocks).at(axes).dense()
        self.are_numbers = not (self.rows or self.columns)
        if not self.are_numbers:
            self.array = self.array.reshape(*(shape[row] for row in lead), block, block)
        elif not np.all(self.array):
            place = ", ".join(map(str, np.argwhere(np.asarray(self.array) == 0)[0])) or "0"
            raise _singular(f"entry {place} of its diagonal is 0")

    def solve(self, b: Array) -> Array:
        """inv(blocks) b, for the row axes and one more: the column axes and it."""
        shape, start = self.system.shape, self.system.rows
        batch, repeated = self.batch, self.repeated
        lead, depth = len(batch), len(self.rows)
        order = [*(a for a, _ in batch), *self.rows, *(a for a, _ in repeated), start]
        moved = b.transpose(order)
        if self.are_numbers:
            solution = moved / self.array.reshape(self.array.shape + (1,) * (moved.ndim - lead))
        else:
            head, rest = moved.shape[:lead], moved.shape[lead + depth :]
            flat = moved.reshape(*head, self.array.shape[-1], prod(rest))
            solution = _regular(np.linalg.solve, "a block of it", self.array, flat)
            solution = solution.reshape(*head, *(shape[axis] for axis in self.columns), *rest)
        made = [*(c for _, c in batch), *self.columns, *(c for _, c in repeated)]
        return solution.transpose(*(made.index(axis) for axis in range(start, len(shape))), -1)

    def inverse(self) -> Matrix:
        """The inverse of the blocks: its rows are the columns of the system."""
        system = self.system
        row_of = {column: row for row, column in (*self.batch, *self.repeated)}
        if self.are_numbers:
            array = 1 / self.array
        else:
            array = _regular(np.linalg.inv, "a block of it", self.array)
        axes = (*(row for row, _ in self.batch), *self.columns, *self.rows)
        array = array.reshape([system.shape[axis] for axis in axes])
        columns = range(system.rows, len(system.shape))
        places = (*(row_of.get(axis, axis) for axis in columns), *range(system.rows))
        high, wide = system.halves
        return Matrix(wide + high, len(wide), [Term(1.0, ((array, axes),), places)], system.dtype)


def _low_rank(system: Matrix, way: _Way) -> Callable[[Array], Array]:
    """inv(B + sum of U V) by the inverse of B and one small matrix, I + V inv(B) U.

    Of the small matrix, V and U are terms, only their product is written out, block by block.
    """
    inverse = _Blocks(system, way).inverse()
    sizes = list(map(_inner, way.cuts))
    ends = np.cumsum(sizes)
    small = np.eye(sum(sizes), dtype=system.dtype)
    for (_, above), end, high in zip(way.cuts, ends, sizes, strict=True):
        half = above.compose(inverse)
        for (aside, _), right, wide in zip(way.cuts, ends, sizes, strict=True):
            block = half.compose(aside).dense().reshape(high, wide)
            small[end - high : end, right - wide : right] += block

    def solve(b: Array) -> Array:
        """The solution for a right side with the row axes and one more."""
        start = inverse.times(b)
        seen = [right.times(start).reshape(-1, b.shape[-1]) for _, right in way.cuts]
        what = "the small matrix of its low-rank part"
        weights = _regular(np.linalg.solve, what, small, np.concatenate(seen))
        back = np.zeros(b.shape, start.dtype)
        for (left, right), part in zip(way.cuts, np.split(weights, ends[:-1]), strict=True):
            back += left.times(part.reshape(*right.halves[0], b.shape[-1]))
        return start - inverse.times(back)

    return solve


# ---------------------------------------------------------------- Kronecker products


Part = tuple[tuple[Factor, ...], Subscript, Subscript]  # factors that share labels, rows, columns


def _parts(term: Term, rows: int) -> list[Part]:
    """The term as a Kronecker product: A_ik B_jl is A for the axes of i, k times B for those of j, l."""
    together = identify_labels(term, ((ls[0], x) for _, ls in term.factors for x in ls[1:]))
    linked = together.places
    parts = []
    for label in distinct(linked):
        own = tuple(
            f
            for f, (_, ls) in zip(term.factors, together.factors, strict=True)
            if label in ls or (label == linked[0] and not set(ls).intersection(linked))
        )
        axes = [axis for axis, place in enumerate(linked) if place == label]
        before = tuple(axis for axis in axes if axis < rows)
        parts.append((own, before, tuple(axes[len(before) :])))
    return parts


def _solve_by_parts(system: Matrix, parts: Sequence[Part], b: Array) -> Array:
    """inv(A x B x ...) b, one Kronecker factor after the other."""
    (term,), names = system.terms, [*range(system.rows), -1]
    coefficient = term.coefficient
    for factors, rows, columns in parts:
        whole = system._replace(terms=[Term(coefficient, factors, term.places)])
        one = whole.at((*rows, *columns), len(rows))
        high, wide = one.halves
        if prod(high) != prod(wide):
            raise _singular("it is a Kronecker product of matrices that are not square")
        rest = [name for name in names if name not in rows]
        moved = b.transpose([names.index(name) for name in (*rows, *rest)])
        outside = moved.shape[len(rows) :]
        found = _solution(one, moved.reshape((*high, prod(outside))))
        b, names, coefficient = found.reshape(wide + outside), [*columns, *rest], 1.0
    columns = tuple(range(system.rows, len(system.shape)))
    return b.transpose([names.index(name) for name in (*columns, -1)])


# ---------------------------------------------------------------- all ways


def solution(system: Matrix, b: Array) -> Array:
    """x with A x = b: `b` has the row axes and one more, x the column axes and it.

    Raises DataError where A is singular, ResourceLimitError where A has no structure to solve with
    and its dense form is beyond DENSE_BYTES.
    """
    if not prod(system.halves[0]):
        return np.zeros(system.halves[1] + b.shape[-1:], np.result_type(system.dtype, b))
    if not system.terms:
        raise _singular("it is zero")
    with np.errstate(all="ignore"):
        if len(system.terms) == 1:
            parts = _parts(system.terms[0], system.rows)
            if len(parts) > 1:
                return _solve_by_parts(system, parts, b)
        return _solution(system, b)


def _solution(system: Matrix, b: Array) -> Array:
    """The cheapest way; the plain one after it, where the low-rank way is inaccurate or impossible."""
    ways = _ways(system)
    best: Array = None
    if ways[0].cuts:
        try:
            solve = _low_rank(system, ways[0])
            best = solve(b)
            best = best + solve(b - system.times(best))  # one step of refinement
            residual = np.linalg.norm(b - system.times(best))
            if residual <= _POOR * np.linalg.norm(b):
                return best
        except DataError:
            best = None  # B may be singular where A is not
    plain = next(way for way in ways if not way.cuts)
    try:
        return _Blocks(system, plain).solve(b)
    except ResourceLimitError:
        if best is None:
            raise
        return best


def _regular(function: Callable[..., Array], what: str, *arrays: Array) -> Array:
    try:
        return function(*arrays)
    except np.linalg.LinAlgError:
        raise _singular(f"{what} has no inverse") from None


def _singular(fact: str) -> DataError:
    return DataError(
        "a matrix to be solved with is singular",
        facts=[fact],
        hint="check the tensor, or add a multiple of the identity",
    )
