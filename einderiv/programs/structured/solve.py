"""Linear systems of structured tensors: blocks on a diagonal, a diagonal plus a low rank.

In: terms, their shape, how many of its axes are rows; a right side. Out: the solution.
Invariant: the way with the fewest operations runs; the dense matrix is one of them, up to a size.
Source of the low-rank way: Woodbury, "Inverting Modified Matrices" (1950), and one step of refinement.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from math import inf, prod
from typing import NamedTuple

import numpy as np

from ...errors import DataError, ResourceLimitError
from ...terms import Subscript
from ..arrays import Array
from .terms import (
    Extents,
    Factor,
    Pairs,
    Term,
    applied,
    common_pairs,
    composed,
    dense,
    distinct,
    extents_of,
    labels_of,
    merged,
)

DENSE_BYTES = 2**30  # a matrix or its blocks beyond this size are not written out
_FACTORS = 6  # all 64 ways of cutting between so many factors are compared
_POOR = 1e-6  # residual over right side of the low-rank way, beyond which the dense way is asked


class _System(NamedTuple):
    shape: Extents
    rows: int
    terms: tuple[Term, ...]
    dtype: np.dtype[np.generic]

    @property
    def size(self) -> int:
        return prod(self.shape[: self.rows])

    def times(self, v: Array) -> Array:
        return applied(self.shape, self.rows, self.terms, v, self.dtype)


class _Cut(NamedTuple):
    """A term as left @ right through `inner`, the labels between."""

    left: Term
    right: Term
    inner: Extents


class _Way(NamedTuple):
    """Terms with blocks on the diagonal of `pairs`, and the others as products of low rank."""

    pairs: Pairs
    blocks: tuple[Term, ...]
    cuts: tuple[_Cut, ...]


# ---------------------------------------------------------------- ways to solve


def _cut(term: Term, shape: Extents, rows: int) -> _Cut:
    """The term as a product of two, through as few entries as the factors allow.

    x_i y_j: 1 entry. V_il V_kj with the rows i, j: V_il d_jm times d_ln V_km, through l and m.
    """
    sizes, factors = extents_of(term, shape), term.factors
    row_labels, column_labels = set(term.places[:rows]), set(term.places[rows:])
    few = len(factors) <= _FACTORS  # beyond, those that touch no column are left, the others right
    sides = product((True, False), repeat=len(factors)) if few else ()
    found: list[tuple[int, Subscript, tuple[bool, ...]]] = []
    for left in sides or [tuple(not column_labels.intersection(ls) for _, ls in factors)]:
        in_left = labels_of(f for f, is_left in zip(factors, left, strict=True) if is_left)
        in_right = labels_of(f for f, is_left in zip(factors, left, strict=True) if not is_left)
        inner = tuple(sorted((in_left | row_labels) & (in_right | column_labels)))
        found.append((prod(sizes[label] for label in inner), inner, left))
    _, inner, left = min(found, key=lambda entry: entry[0])
    return _Cut(
        Term(
            term.coefficient,
            tuple(f for f, is_left in zip(factors, left, strict=True) if is_left),
            term.places[:rows] + inner,
        ),
        Term(
            1.0,
            tuple(f for f, is_left in zip(factors, left, strict=True) if not is_left),
            inner + term.places[rows:],
        ),
        tuple(sizes[label] for label in inner),
    )


def _ways(system: _System) -> list[_Way]:
    """Ways to solve, the cheapest first; the first of those without cuts always works."""
    candidates = dict.fromkeys([common_pairs(system.terms, system.rows)])
    candidates |= dict.fromkeys(common_pairs([term], system.rows) for term in system.terms)
    cut_of = cache(lambda number: _cut(system.terms[number], system.shape, system.rows))
    found = []
    for pairs in candidates:
        blocks: list[Term] = []
        cuts: list[_Cut] = []
        for number, term in enumerate(system.terms):
            if all(term.places[row] == term.places[column] for row, column in pairs):
                blocks.append(term)
            else:
                cuts.append(cut_of(number))
        found.append(_Way(pairs, tuple(blocks), tuple(cuts)))
    return sorted(found, key=lambda way: _operations(system, way))


def _operations(system: _System, way: _Way) -> float:
    """Multiplications of a way, about; infinite where its blocks are too large to be written out."""
    block, count = _block_size(system, way.pairs), prod(_batch_extents(system, way))
    inner = sum(prod(cut.inner) for cut in way.cuts)
    largest = max(count * block**2, inner**2)
    if largest * system.dtype.itemsize > DENSE_BYTES:
        return inf
    return count * block**3 + inner**3 + inner * system.size * (block + 1)


def _block_size(system: _System, pairs: Pairs) -> int:
    taken = {row for row, _ in pairs}
    return prod(system.shape[row] for row in range(system.rows) if row not in taken)


def _apart(way: _Way) -> list[tuple[int, int]]:
    """The pairs along which the blocks differ; along the others they repeat."""
    found = []
    for pair in way.pairs:
        for term in way.blocks:
            label = term.places[pair[0]]
            if label in labels_of(term.factors) or term.places.count(label) > 2:
                found.append(pair)
                break
    return found


def _batch_extents(system: _System, way: _Way) -> Extents:
    return tuple(system.shape[row] for row, _ in _apart(way))


# ---------------------------------------------------------------- blocks


class _Blocks(NamedTuple):
    """Blocks (batch, rows, columns) written out, and the axes they stand at."""

    array: Array
    batch: Pairs
    repeated: Pairs
    rows: Subscript  # axes of the tensor within a block
    columns: Subscript


def _blocks(system: _System, way: _Way) -> _Blocks:
    batch = tuple(_apart(way))
    repeated = tuple(pair for pair in way.pairs if pair not in batch)
    rows = tuple(k for k in range(system.rows) if k not in {row for row, _ in way.pairs})
    columns = tuple(
        k for k in range(system.rows, len(system.shape)) if k not in {c for _, c in way.pairs}
    )
    axes = (*(row for row, _ in batch), *rows, *columns)
    shape = tuple(system.shape[axis] for axis in axes)
    if prod(shape) * system.dtype.itemsize > DENSE_BYTES:
        raise ResourceLimitError(
            f"solving with a {system.size:,} x {system.size:,} matrix of this structure needs "
            f"blocks of {prod(shape) * system.dtype.itemsize:,} bytes",
            facts=[f"the limit is {DENSE_BYTES:,} bytes"],
            hint="solve iteratively: scipy.sparse.linalg.cg or gmres with .to_scipy()",
        )
    terms = [term._replace(places=tuple(term.places[axis] for axis in axes)) for term in way.blocks]
    array = dense(shape, terms, system.dtype)
    block = _block_size(system, way.pairs)
    if rows or columns:
        array = array.reshape(*(system.shape[row] for row, _ in batch), block, block)
    elif not np.all(array):
        raise _singular(f"entry {_first_zero(array)} of its diagonal is 0")
    return _Blocks(array, batch, repeated, rows, columns)


def _solved(system: _System, blocks: _Blocks, b: Array) -> Array:
    """inv(blocks) b; the axes of `b` are the rows and one more, those of the result the columns and it."""
    rows = system.rows
    order = [a for a, _ in (*blocks.batch, *blocks.repeated)]
    lead = len(blocks.batch)
    order[lead:lead] = blocks.rows
    moved = b.transpose(*order, rows)
    if not (blocks.rows or blocks.columns):
        solution = moved / blocks.array.reshape(blocks.array.shape + (1,) * (moved.ndim - lead))
    else:
        block, depth = blocks.array.shape[-1], len(blocks.rows)
        flat = moved.reshape(*moved.shape[:lead], block, prod(moved.shape[lead + depth :]))
        try:
            solution = np.linalg.solve(blocks.array, flat)
        except np.linalg.LinAlgError:
            raise _singular("a block of it has no inverse") from None
        middle = tuple(system.shape[axis] for axis in blocks.columns)
        solution = solution.reshape(*moved.shape[:lead], *middle, *moved.shape[lead + depth :])
    made = [c for _, c in blocks.batch] + [*blocks.columns] + [c for _, c in blocks.repeated]
    return solution.transpose(*(made.index(axis) for axis in range(rows, len(system.shape))), -1)


def _inverse(system: _System, blocks: _Blocks) -> Term:
    """The inverse of the blocks as a term: its row axes are the columns of the system."""
    pairs = (*blocks.batch, *blocks.repeated)
    row_of = {column: row for row, column in pairs}
    lead = tuple(row for row, _ in blocks.batch)
    if blocks.rows or blocks.columns:
        try:
            array = np.linalg.inv(blocks.array)
        except np.linalg.LinAlgError:
            raise _singular("a block of it has no inverse") from None
    else:
        array = 1 / blocks.array
    axes = (*lead, *blocks.columns, *blocks.rows)
    array = array.reshape([system.shape[axis] for axis in axes])
    columns = range(system.rows, len(system.shape))
    places = (*(row_of.get(axis, axis) for axis in columns), *range(system.rows))
    return Term(1.0, ((array, axes),), places)


# ---------------------------------------------------------------- the low-rank way


class _LowRank:
    """inv(B + sum of U V) by the inverse of B and one small matrix, I + V inv(B) U."""

    def __init__(self, system: _System, way: _Way) -> None:
        self.system, self.cuts = system, way.cuts
        rows = system.rows
        self.row_shape, self.column_shape = system.shape[:rows], system.shape[rows:]
        self.inverse = _inverse(system, _blocks(system, way))
        self.small = self.capacitance()

    def capacitance(self) -> Array:
        """I + V inv(B) U, block by block: V and U are terms, only their product is written out."""
        starts = np.cumsum([0, *(prod(cut.inner) for cut in self.cuts)])
        small = np.eye(int(starts[-1]), dtype=self.system.dtype)
        width = len(self.column_shape)
        for i, above in enumerate(self.cuts):
            in_rows, depth = above.inner + self.column_shape, len(above.inner)
            turned = self.column_shape + self.row_shape
            half = composed(above.right, in_rows, depth, self.inverse, turned, width)
            for j, aside in enumerate(self.cuts):
                shapes = above.inner + self.row_shape, self.row_shape + aside.inner
                both = composed(half, shapes[0], depth, aside.left, shapes[1], self.system.rows)
                block = dense(above.inner + aside.inner, [both], self.system.dtype)
                part = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
                small[part] += block.reshape(prod(above.inner), prod(aside.inner))
        return small

    def solved(self, b: Array) -> Array:
        """The solution for a right side with the row axes and one more."""
        shape, rows, dtype = self.system.shape, self.system.rows, self.system.dtype
        turned, width = self.column_shape + self.row_shape, len(self.column_shape)
        start = applied(turned, width, [self.inverse], b, dtype)
        seen = [
            applied(cut.inner + self.column_shape, len(cut.inner), [cut.right], start, dtype)
            for cut in self.cuts
        ]
        inner = [
            part.reshape(prod(cut.inner), b.shape[-1])
            for cut, part in zip(self.cuts, seen, strict=True)
        ]
        try:
            weights = np.linalg.solve(self.small, np.concatenate(inner))
        except np.linalg.LinAlgError:
            raise _singular("the small matrix of its low-rank part has no inverse") from None
        ends = np.cumsum([len(part) for part in inner])[:-1]
        back = np.zeros(shape[:rows] + b.shape[-1:], start.dtype)
        for cut, part in zip(self.cuts, np.split(weights, ends), strict=True):
            part = part.reshape(*cut.inner, b.shape[-1])
            back += applied(shape[:rows] + cut.inner, rows, [cut.left], part, dtype)
        return start - applied(turned, width, [self.inverse], back, dtype)


# ---------------------------------------------------------------- Kronecker products


class _Part(NamedTuple):
    """A Kronecker factor of a term: the factors that share labels, and the axes they have."""

    factors: tuple[Factor, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]


def _parts(term: Term, rows: int) -> list[_Part]:
    """The term as a Kronecker product: A_ik B_jl is A for the axes of i, k times B for those of j, l."""
    together = merged(term, ((ls[0], x) for _, ls in term.factors for x in ls[1:]))
    linked = together.places
    parts = []
    for label in distinct(linked):
        own = tuple(
            f
            for f, (_, ls) in zip(term.factors, together.factors, strict=True)
            if label in ls or (label == linked[0] and not set(ls).intersection(linked))
        )
        axes = [axis for axis, place in enumerate(linked) if place == label]
        parts.append(
            _Part(own, tuple(x for x in axes if x < rows), tuple(x for x in axes if x >= rows))
        )
    return parts


def _solved_by_parts(system: _System, parts: Sequence[_Part], b: Array) -> Array:
    """inv(A x B x ...) b, one Kronecker factor after the other."""
    (term,), shape = system.terms, system.shape
    names = [*range(system.rows), -1]
    coefficient = term.coefficient
    for part in parts:
        inside = tuple(shape[axis] for axis in part.rows + part.columns)
        if prod(inside[: len(part.rows)]) != prod(inside[len(part.rows) :]):
            raise _singular("it is a Kronecker product of matrices that are not square")
        places = tuple(term.places[axis] for axis in part.rows + part.columns)
        rest = [name for name in names if name not in part.rows]
        moved = b.transpose([names.index(name) for name in (*part.rows, *rest)])
        outside = moved.shape[len(part.rows) :]
        one = _System(
            inside, len(part.rows), (Term(coefficient, part.factors, places),), system.dtype
        )
        found = _solution(one, moved.reshape((*moved.shape[: len(part.rows)], prod(outside))))
        b, names, coefficient = (
            found.reshape(found.shape[:-1] + outside),
            [*part.columns, *rest],
            1.0,
        )
    return b.transpose([names.index(name) for name in (*range(system.rows, len(shape)), -1)])


# ---------------------------------------------------------------- all ways


def solution(
    shape: Extents, rows: int, terms: Sequence[Term], dtype: np.dtype[np.generic], b: Array
) -> Array:
    """x with A x = b: `b` has the row axes and one more, x the column axes and it.

    Raises DataError where A is singular, ResourceLimitError where A has no structure to solve with
    and its dense form is beyond DENSE_BYTES.
    """
    system = _System(shape, rows, tuple(terms), dtype)
    if not system.size:
        return np.zeros(shape[rows:] + b.shape[-1:], np.result_type(dtype, b))
    if not system.terms:
        raise _singular("it is zero")
    with np.errstate(all="ignore"):
        if len(system.terms) == 1:
            parts = _parts(system.terms[0], rows)
            if len(parts) > 1:
                return _solved_by_parts(system, parts, b)
        return _solution(system, b)


def _solution(system: _System, b: Array) -> Array:
    """The cheapest way; the plain one after it, where the low-rank way is inaccurate or impossible."""
    ways = _ways(system)
    best: Array = None
    if ways[0].cuts:
        try:
            best, fine = _refined(system, _LowRank(system, ways[0]), b)
            if fine:
                return best
        except DataError:
            pass  # B may be singular where A is not
    plain = next(way for way in ways if not way.cuts)
    try:
        return _solved(system, _blocks(system, plain), b)
    except ResourceLimitError:
        if best is None:
            raise
        return best


def _refined(system: _System, low_rank: _LowRank, b: Array) -> tuple[Array, bool]:
    """The solution after one step of refinement, and whether its residual is small."""
    x = low_rank.solved(b)
    x = x + low_rank.solved(b - system.times(x))
    residual = np.linalg.norm(b - system.times(x))
    return x, bool(residual <= _POOR * np.linalg.norm(b))


def _first_zero(array: Array) -> str:
    place = np.argwhere(np.asarray(array) == 0)[0]
    return ", ".join(map(str, place)) or "0"


def _singular(fact: str) -> DataError:
    return DataError(
        "a matrix to be solved with is singular",
        facts=[fact],
        hint="check the tensor, or add a multiple of the identity",
    )
