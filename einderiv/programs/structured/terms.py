"""Products of factors with Kronecker deltas, written out, applied and multiplied without ever being dense.

In: terms (`Term`), shapes, dtypes; labels are integers local to a term.
Out: arrays (a term written out, a product with a vector) or terms (a product of two terms).
Invariant: no temporary is larger than the operands and the result together, nor a delta an array.
`structured_solve` solves with these; `structured` is the tensor that users hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...errors import ResourceLimitError
from ...terms import Label, Subscript
from ..arrays import Array
from ..compiler.order import contraction_order

Factor = tuple[Array, Subscript]  # an array at its labels
Extents = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]  # a row axis and a column axis with one label, in every term


class Term(NamedTuple):
    """coefficient * product of factors; `places[k]` labels axis k of the tensor.

    Equal labels in `places` are a Kronecker delta, a label there in no factor repeats along its axis,
    labels of factors that are not there are summed.
    """

    coefficient: float | complex
    factors: tuple[Factor, ...]
    places: Subscript


# ---------------------------------------------------------------- facts


def distinct(labels: Iterable[Label]) -> Subscript:
    """Each label once, where it comes first."""
    return tuple(dict.fromkeys(labels))


def labels_of(factors: Iterable[Factor]) -> set[Label]:
    """All labels that the factors have."""
    return {label for _, labels in factors for label in labels}


def extents_of(term: Term, shape: Extents) -> dict[Label, int]:
    """The extent of every label."""
    sizes = dict(zip(term.places, shape, strict=True))
    for array, labels in term.factors:
        sizes.update(zip(labels, array.shape, strict=True))
    return sizes


def has_delta(term: Term) -> bool:
    """Is the term zero off some diagonal?"""
    return len(set(term.places)) < len(term.places)


def common_pairs(terms: Sequence[Term], rows: int) -> Pairs:
    """Row axes and column axes that carry one label in every term."""
    found: list[tuple[int, int]] = []
    width = len(terms[0].places) if terms else 0
    for row in range(rows if terms else 0):
        free = [column for column in range(rows, width) if column not in {c for _, c in found}]
        for column in free:
            if all(term.places[row] == term.places[column] for term in terms):
                found.append((row, column))
                break
    return tuple(found)


# ---------------------------------------------------------------- products of factors


class _Reduction(NamedTuple):
    """A factor on the diagonal of its repeated labels, with unwanted labels summed."""

    given: Subscript
    once: Subscript  # the labels of that diagonal
    gone: tuple[int, ...]  # its axes that are summed
    left: Subscript

    def of(self, array: Array) -> Array:
        if len(self.once) < len(self.given):
            array = _diagonals(array, self.given, self.once)
        return np.add.reduce(array, axis=self.gone) if self.gone else array


class _Step(NamedTuple):
    """Two factors as one: entry by entry (`subscripts`), or as a product of matrices."""

    places: tuple[int, int]  # in the list of factors that are left
    reductions: tuple[_Reduction, _Reduction]
    subscripts: tuple[list[int], list[int], list[int]] | None
    orders: tuple[list[int], list[int]]  # axes as batch, rows, summed and batch, summed, columns
    groups: tuple[int, int, int]  # how many labels are batch, rows, summed
    made: Subscript

    def of(self, a: Array, b: Array) -> Array:
        a, b = self.reductions[0].of(a), self.reductions[1].of(b)
        if self.subscripts is not None:
            return np.einsum(a, self.subscripts[0], b, self.subscripts[1], self.subscripts[2])
        batch, rows, summed = self.groups
        a, b = a.transpose(self.orders[0]), b.transpose(self.orders[1])
        if rows == summed == 1 and b.ndim == batch + 2:
            return np.matmul(a, b)
        lead, high, wide = a.shape[:batch], a.shape[batch : batch + rows], b.shape[batch + summed :]
        inner = prod(a.shape[batch + rows :])
        a, b = a.reshape((*lead, prod(high), inner)), b.reshape((*lead, inner, prod(wide)))
        return np.matmul(a, b).reshape(lead + high + wide)


def _reduction(labels: Subscript, keep: Iterable[Label]) -> _Reduction:
    once, kept = distinct(labels), set(keep)
    gone = tuple(axis for axis, label in enumerate(once) if label not in kept)
    return _Reduction(labels, once, gone, tuple(x for x in once if x in kept))


def _step(
    places: tuple[int, int],
    first: Subscript,
    second: Subscript,
    output: Subscript,
    keep: set[Label],
) -> _Step:
    """How two factors are multiplied where the labels `keep` are needed later on."""
    reductions = _reduction(first, keep.union(second)), _reduction(second, keep.union(first))
    a, b = (reduction.left for reduction in reductions)
    known = distinct((*(x for x in output if x in a or x in b), *a, *b))
    summed = [x for x in a if x in b and x not in keep]
    rows = [x for x in known if x in a and x not in b]
    columns = [x for x in known if x in b and x not in a]
    made = tuple(x for x in known if x not in summed)
    if not summed or not (rows or columns):  # the C loop is best
        number = {x: k for k, x in enumerate(known)}
        first_axes, second_axes, made_axes = ([number[x] for x in own] for own in (a, b, made))
        subscripts = first_axes, second_axes, made_axes
        return _Step(places, reductions, subscripts, ([], []), (0, 0, 0), made)
    if rows and made[-1] == rows[-1]:  # the last axis of the result belongs to the columns
        places, reductions = places[::-1], reductions[::-1]
        a, b, rows, columns = b, a, columns, rows
    batch = [x for x in made if x in a and x in b]
    orders = (
        [a.index(x) for x in (*batch, *rows, *summed)],
        [b.index(x) for x in (*batch, *summed, *columns)],
    )
    groups = len(batch), len(rows), len(summed)
    return _Step(places, reductions, None, orders, groups, (*batch, *rows, *columns))


@lru_cache(maxsize=4096)
def _steps(
    inputs: tuple[Subscript, ...],
    output: Subscript,
    sizes: tuple[tuple[Label, int], ...],
    left: int,
) -> tuple[tuple[_Step, ...], tuple[Subscript, ...]]:
    """The steps until `left` factors remain, and the labels of those."""
    pool, steps = list(inputs), []
    for pair in contraction_order(inputs, output, dict(sizes)) if len(pool) > left else ():
        if len(pool) <= left:
            break
        first, second = sorted(pair)
        b, a = pool.pop(second), pool.pop(first)
        steps.append(
            _step((first, second), a, b, output, {x for ls in pool for x in ls}.union(output))
        )
        pool.append(steps[-1].made)
    return tuple(steps), tuple(pool)


def _multiplied(
    factors: Sequence[Factor], output: Subscript, sizes: Mapping[Label, int], left: int = 1
) -> list[Factor]:
    """The factors multiplied pair by pair until `left` of them remain; what is in no output is summed."""
    if len(factors) <= left:
        return list(factors)
    inputs = tuple([labels for _, labels in factors])
    steps, labels = _steps(inputs, output, tuple(sizes.items()), left)
    pool = [array for array, _ in factors]
    for step in steps:
        first, second = step.places
        made = step.of(pool[first], pool[second])
        del pool[max(step.places)], pool[min(step.places)]
        pool.append(made)
    return list(zip(pool, labels, strict=True))


def product(factors: Sequence[Factor], output: Subscript, sizes: Mapping[Label, int]) -> Factor:
    """All factors as one, with the labels of `output` that occur, in its order."""
    array, labels = _multiplied(factors, output, sizes)[0]
    if labels == output:
        return array, labels
    reduction = _reduction(labels, output)
    array, labels = reduction.of(array), reduction.left
    order = [labels.index(x) for x in output if x in labels]
    return array.transpose(order), tuple([labels[k] for k in order])


# ---------------------------------------------------------------- writing


def _diagonals(array: Array, labels: Subscript, once: Subscript) -> Array:
    """The view of `array` with an axis for each label: equal labels are one diagonal."""
    strides = dict.fromkeys(once, 0)
    for label, stride in zip(labels, array.strides, strict=True):
        strides[label] += stride
    sizes = dict(zip(labels, array.shape, strict=True))
    return as_strided(array, [sizes[x] for x in once], [strides[x] for x in once])


def _placed(factor: Factor, target: Subscript) -> Array:
    """A view that broadcasts to the axes of `target`."""
    array, labels = factor
    order = [labels.index(x) for x in target if x in labels]
    index = tuple(slice(None) if x in labels else None for x in target)
    return array.transpose(order)[index]


def _scaled(factors: list[Factor], coefficient: float | complex) -> list[Factor]:
    """The factors, the smallest of them times the coefficient."""
    if coefficient == 1:
        return factors
    least = min(range(len(factors)), key=lambda k: int(factors[k][0].size))
    array, labels = factors[least]
    return [*factors[:least], (array * coefficient, labels), *factors[least + 1 :]]


def allocated(shape: Extents, dtype: np.dtype[np.generic], filled: bool) -> Array:
    """A new array, of zeros unless it will be filled; ResourceLimitError where there is no memory."""
    try:
        return np.empty(shape, dtype) if filled else np.zeros(shape, dtype)
    except (MemoryError, ValueError):  # ValueError: more bytes than an address has
        raise ResourceLimitError(
            f"a dense array of shape {shape} needs {prod(shape) * dtype.itemsize:,} bytes",
            facts=["there is not as much memory"],
            hint="keep the tensor structured: @ v, .diagonal(), .solve(b) and .to_scipy() never write it out",
        ) from None


class _Sum:
    """A result that terms are added to, each on the diagonals that its places name."""

    def __init__(self, shape: Extents, dtype: np.dtype[np.generic]) -> None:
        self.shape, self.dtype = shape, dtype
        self.array: Array = None

    def add(self, factors: Sequence[Factor], term: Term, sizes: Mapping[Label, int]) -> None:
        """Add the product of the factors on the diagonals of the term."""
        places = term.places
        once = distinct(places)
        left = _scaled(_multiplied(factors, once, sizes, left=2), term.coefficient)
        apart = len(left) == 2 and labels_of(left).issubset(once)
        first = self.array is None
        core: Factor | None = None
        if not (apart and first):
            core = product(left, once, sizes)
        if first and core is not None and self.adopt(core[0], factors):
            return
        if first:
            self.array = allocated(self.shape, self.dtype, len(once) == len(places))
        view = _diagonals(self.array, places, once)
        if core is None:
            a, b = (
                _placed((_reduction(x, once).of(array), distinct(x)), once) for array, x in left
            )
            np.multiply(a, b, out=view, casting="unsafe")
        elif first:
            view[...] = _placed(core, once)
        else:
            np.add(view, _placed(core, once), out=view, casting="unsafe")

    def adopt(self, core: Array, factors: Sequence[Factor]) -> bool:
        """Take an array that is the whole result already, and nobody else's."""
        fits = isinstance(core, np.ndarray) and core.shape == self.shape
        whole = fits and core.dtype == self.dtype and core.flags.c_contiguous
        if whole and not any(np.may_share_memory(core, array) for array, _ in factors):
            self.array = core
            return True
        return False

    def result(self) -> Array:
        return allocated(self.shape, self.dtype, False) if self.array is None else self.array


def dense(shape: Extents, terms: Iterable[Term], dtype: np.dtype[np.generic]) -> Array:
    """The sum of the terms, written out: zeros once, each term on its diagonals."""
    total = _Sum(shape, dtype)
    for term in sorted(terms, key=has_delta):  # one that fills the tensor spares the zeros
        sizes = extents_of(term, shape)
        factors = term.factors or ((np.ones((), dtype), ()),)
        total.add(factors, term, sizes)
    return total.result()


def applied(
    shape: Extents,
    rows: int,
    terms: Iterable[Term],
    v: Array,
    dtype: np.dtype[np.generic],
) -> Array:
    """The tensor times `v`, summed over its axes from `rows` on, which are the first ones of `v`."""
    count = len(shape) - rows
    total = _Sum((*shape[:rows], *v.shape[count:]), np.result_type(dtype, v))
    for term in terms:
        sizes = extents_of(term, shape)
        fresh = max(sizes, default=-1) + 1
        more = tuple(range(fresh, fresh + v.ndim - count))
        sizes.update(zip(more, v.shape[count:], strict=True))
        places = term.places[:rows] + more
        factors = [*term.factors, (v, term.places[rows:] + more)]
        total.add(factors, term._replace(places=places), sizes)
    return total.result()


# ---------------------------------------------------------------- terms from terms


def turned(term: Term, rows: int) -> Term:
    """The transposed term: the axes from `rows` on come first."""
    return term._replace(places=term.places[rows:] + term.places[:rows])


def merged(term: Term, equal: Iterable[tuple[Label, Label]]) -> Term:
    """The term with labels set equal: x_ij with i = j is x_ii."""
    now: dict[Label, Label] = {}

    def final(label: Label) -> Label:
        while label in now:
            label = now[label]
        return label

    for a, b in equal:
        a, b = final(a), final(b)
        if a != b:
            now[b] = a
    factors = tuple((array, tuple(map(final, labels))) for array, labels in term.factors)
    return Term(term.coefficient, factors, tuple(map(final, term.places)))


def diagonal(shape: Extents, rows: int, terms: Iterable[Term]) -> list[Term]:
    """Terms of the tensor's diagonal: row axis k and column axis k are one."""
    found = []
    for term in terms:
        joined = merged(term, zip(term.places[:rows], term.places[rows:], strict=True))
        found.append(joined._replace(places=joined.places[:rows]))
    return found


def composed(
    a: Term, shape_a: Extents, rows_a: int, b: Term, shape_b: Extents, rows_b: int
) -> Term:
    """The matrix product of two terms: columns of `a` summed with the rows of `b`."""
    shift = max(extents_of(a, shape_a), default=-1) + 1
    moved = tuple((array, tuple(x + shift for x in labels)) for array, labels in b.factors)
    places = (*a.places, *(x + shift for x in b.places))
    width = len(a.places)
    both = Term(a.coefficient * b.coefficient, a.factors + moved, places)
    joined = merged(both, zip(places[rows_a:width], places[width : width + rows_b], strict=True))
    kept = joined.places[:rows_a] + joined.places[width + rows_b :]
    known = labels_of(joined.factors).union(kept)
    sizes = dict(zip(joined.places, shape_a + shape_b, strict=True))
    free = prod(size for label, size in sizes.items() if label not in known)
    return Term(joined.coefficient * free, joined.factors, kept)
