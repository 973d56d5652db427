"""Products of factors with Kronecker deltas, written out, applied and multiplied without ever being dense.

In: sums of terms (`Matrix`, `Term`); labels are integers local to a term.
Out: arrays (a sum written out, a product with a vector) or sums (a product of two).
Invariant: no temporary is larger than the operands and the result together, nor a delta an array.
`solve.py` solves with these; `tensor.py` has the tensor that users hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from ...errors import ResourceLimitError
from ...terms import Label, Subscript
from ..arrays import Array
from ..backends.numpy import c_einsum as loop
from ..compiler.order import contraction_order
from ..einsum.call import Runnable, compile_steps, steps_along, typical

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
    found: dict[int, int] = {}
    for row, column in product(range(rows), range(rows, len(terms[0].places) if terms else 0)):
        taken = row in found or column in found.values()
        if not taken and all(term.places[row] == term.places[column] for term in terms):
            found[row] = column
    return tuple(found.items())


# ---------------------------------------------------------------- products of factors


@lru_cache(maxsize=4096)
def _program(
    inputs: tuple[Subscript, ...], output: Subscript, extents: Extents, apart: bool
) -> Runnable:
    """The program of a product; `apart`: without its last step, if that sums nothing."""
    path = contraction_order(inputs, output, dict(enumerate(extents)))
    steps = steps_along(inputs, output, path)
    last = steps[-1].inputs
    if apart and len(last) == 2 and set(last[0]).intersection(last[1]).issubset(output):
        steps = steps[:-1]
    return compile_steps(inputs, output, steps, extents)


def _multiply(
    factors: Sequence[Factor], output: Subscript, sizes: Mapping[Label, int], apart: bool
) -> list[Factor]:
    """The factors as one, or as two to be multiplied entry by entry if `apart`; the rest is summed."""
    number = {label: k for k, label in enumerate(sizes)}
    names = tuple(sizes)
    inputs = tuple([tuple([number[x] for x in labels]) for _, labels in factors])
    known = labels_of(factors)
    wanted = tuple([number[x] for x in output if x in known])
    extents = tuple(sizes.values())
    run, dims, results = _program(inputs, wanted, tuple(map(typical, extents)), apart)
    arrays = run(*[array for array, _ in factors], None, *[extents[k] for k in dims])
    return [(a, tuple([names[k] for k in own])) for a, own in zip(arrays, results, strict=True)]


# ---------------------------------------------------------------- writing


def _diagonals(array: Array, labels: Subscript, once: Subscript) -> Array:
    """The view of `array` with an axis for each label: equal labels are one diagonal."""
    if labels == once:
        return array
    return loop(array, [once.index(x) for x in labels], list(range(len(once))))


def _broadcast(factor: Factor, target: Subscript) -> Array:
    """A view that broadcasts to the axes of `target`."""
    array, labels = factor
    order = [labels.index(x) for x in target if x in labels]
    index = tuple(slice(None) if x in labels else None for x in target)
    return array.transpose(order)[index]


def _scale(factors: Sequence[Factor], coefficient: float | complex) -> Sequence[Factor]:
    """The factors, the smallest of them times the coefficient."""
    if coefficient == 1:
        return factors
    least = min(range(len(factors)), key=lambda k: int(factors[k][0].size))
    array, labels = factors[least]
    return [*factors[:least], (array * coefficient, labels), *factors[least + 1 :]]


def allocate(shape: Extents, dtype: np.dtype[np.generic], filled: bool) -> Array:
    """A new array, of zeros unless it will be filled; ResourceLimitError where there is no memory."""
    try:
        return np.empty(shape, dtype) if filled else np.zeros(shape, dtype)
    except (MemoryError, ValueError):  # ValueError: more bytes than an address has
        raise ResourceLimitError(
            f"a dense array of shape {shape} needs {prod(shape) * dtype.itemsize:,} bytes",
            facts=["there is not as much memory"],
            hint="keep the tensor structured: @ v, .diagonal(), .solve(b) and .to_scipy() never write it out",
        ) from None


def _sum_of_products(
    shape: Extents,
    dtype: np.dtype[np.generic],
    products: Iterable[tuple[Term, Mapping[Label, int]]],
) -> Array:
    """The sum of products with the extents of their labels, each on the diagonals that its places name."""
    total: Array = None
    for term, sizes in products:
        once, first = distinct(term.places), total is None
        factors = term.factors or ((np.ones((), dtype), ()),)
        left = _multiply(_scale(factors, term.coefficient), once, sizes, apart=first)
        if first and len(left) == 1 and _is_whole(left[0][0], shape, dtype, factors):
            total = left[0][0]
            continue
        if first:
            total = allocate(shape, dtype, len(once) == len(term.places))
        view = _diagonals(total, term.places, once)
        if len(left) == 2:
            a, b = (_broadcast(factor, once) for factor in left)
            np.multiply(a, b, out=view, casting="unsafe")
        elif first:
            view[...] = _broadcast(left[0], once)
        else:
            np.add(view, _broadcast(left[0], once), out=view, casting="unsafe")
    return allocate(shape, dtype, False) if total is None else total


def _is_whole(
    array: Array, shape: Extents, dtype: np.dtype[np.generic], factors: Iterable[Factor]
) -> bool:
    """Is an array the whole result already, and nobody else's?"""
    fits = isinstance(array, np.ndarray) and array.shape == shape and array.dtype == dtype
    own = fits and array.flags.c_contiguous and array.flags.writeable
    return own and not any(np.may_share_memory(array, factor) for factor, _ in factors)


# ---------------------------------------------------------------- sums of terms


def identify_labels(term: Term, equal: Iterable[tuple[Label, Label]]) -> Term:
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


class Matrix(NamedTuple):
    """A tensor as a sum of terms, its first `rows` axes as rows, the others as columns."""

    shape: Extents
    rows: int
    terms: Sequence[Term]
    dtype: np.dtype[np.generic]

    @property
    def halves(self) -> tuple[Extents, Extents]:
        """The extents of the row axes, and those of the column axes."""
        return self.shape[: self.rows], self.shape[self.rows :]

    def at(self, axes: Sequence[int], rows: int = 0) -> Matrix:
        """The same terms with some of the axes only, in another order."""
        shape = tuple(self.shape[axis] for axis in axes)
        terms = [term._replace(places=tuple(term.places[a] for a in axes)) for term in self.terms]
        return Matrix(shape, rows, terms, self.dtype)

    def transpose(self) -> Matrix:
        """The transposed matrix."""
        axes = (*range(self.rows, len(self.shape)), *range(self.rows))
        return self.at(axes, len(self.shape) - self.rows)

    def dense(self) -> Array:
        """All entries, written out: zeros once, each term on its diagonals."""
        filling = sorted(self.terms, key=has_delta)  # one that fills the tensor spares the zeros
        products = ((term, extents_of(term, self.shape)) for term in filling)
        return _sum_of_products(self.shape, self.dtype, products)

    def times(self, v: Array) -> Array:
        """The product with `v`, summed over the columns, which are the first axes of `v`."""
        count = len(self.shape) - self.rows
        products = []
        for term in self.terms:
            sizes = extents_of(term, self.shape)
            fresh = max(sizes, default=-1) + 1
            more = tuple(range(fresh, fresh + v.ndim - count))
            sizes.update(zip(more, v.shape[count:], strict=True))
            factors = (*term.factors, (v, term.places[self.rows :] + more))
            places = term.places[: self.rows] + more
            products.append((Term(term.coefficient, factors, places), sizes))
        shape = (*self.halves[0], *v.shape[count:])
        return _sum_of_products(shape, np.result_type(self.dtype, v), products)

    def diagonal(self) -> Array:
        """The entries whose row is their column."""
        joined = []
        for term in self.terms:
            pairs = zip(term.places[: self.rows], term.places[self.rows :], strict=True)
            joined.append(identify_labels(term, pairs))
        return Matrix(self.shape, self.rows, joined, self.dtype).at(range(self.rows)).dense()

    def compose(self, other: Matrix) -> Matrix:
        """The matrix product: the columns summed with the rows of `other`."""
        rows, columns = self.halves[0], other.halves[1]
        terms = [_compose(a, self, b, other) for a in self.terms for b in other.terms]
        dtype = np.result_type(self.dtype, other.dtype)
        return Matrix(rows + columns, self.rows, terms, dtype)


def _compose(a: Term, left: Matrix, b: Term, right: Matrix) -> Term:
    shift = max(extents_of(a, left.shape), default=-1) + 1
    moved = tuple((array, tuple(x + shift for x in labels)) for array, labels in b.factors)
    places = (*a.places, *(x + shift for x in b.places))
    start, end = len(a.places), len(a.places) + right.rows
    both = Term(a.coefficient * b.coefficient, a.factors + moved, places)
    joined = identify_labels(both, zip(places[left.rows : start], places[start:end], strict=True))
    kept = joined.places[: left.rows] + joined.places[end:]
    known = labels_of(joined.factors).union(kept)
    sizes = dict(zip(joined.places, left.shape + right.shape, strict=True))
    free = prod(size for label, size in sizes.items() if label not in known)
    return Term(joined.coefficient * free, joined.factors, kept)
