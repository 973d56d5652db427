"""Products of factors with Kronecker deltas, written out, applied and multiplied without ever being dense.

In: terms (`Term`), shapes, dtypes; labels are integers local to a term.
Out: arrays (a term written out, a product with a vector) or terms (a product of two terms).
Invariant: no temporary is larger than the operands and the result together, nor a delta an array.
`solve.py` solves with these; `tensor.py` has the tensor that users hold.
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
from ..einsum.call import Runnable, compiled, steps_along, typical

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
    return compiled(inputs, output, steps, extents)


def _multiplied(
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


def _scaled(factors: Sequence[Factor], coefficient: float | complex) -> Sequence[Factor]:
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


def _written(
    shape: Extents,
    dtype: np.dtype[np.generic],
    products: Iterable[tuple[Term, Mapping[Label, int]]],
) -> Array:
    """The sum of products with the extents of their labels, each on the diagonals that its places name."""
    total: Array = None
    for term, sizes in products:
        once, first = distinct(term.places), total is None
        factors = term.factors or ((np.ones((), dtype), ()),)
        left = _multiplied(_scaled(factors, term.coefficient), once, sizes, apart=first)
        if first and len(left) == 1 and _is_whole(left[0][0], shape, dtype, factors):
            total = left[0][0]
            continue
        if first:
            total = allocated(shape, dtype, len(once) == len(term.places))
        view = _diagonals(total, term.places, once)
        if len(left) == 2:
            a, b = (_placed(factor, once) for factor in left)
            np.multiply(a, b, out=view, casting="unsafe")
        elif first:
            view[...] = _placed(left[0], once)
        else:
            np.add(view, _placed(left[0], once), out=view, casting="unsafe")
    return allocated(shape, dtype, False) if total is None else total


def _is_whole(
    array: Array, shape: Extents, dtype: np.dtype[np.generic], factors: Iterable[Factor]
) -> bool:
    """Is an array the whole result already, and nobody else's?"""
    fits = isinstance(array, np.ndarray) and array.shape == shape and array.dtype == dtype
    own = fits and array.flags.c_contiguous and array.flags.writeable
    return own and not any(np.may_share_memory(array, factor) for factor, _ in factors)


def dense(shape: Extents, terms: Iterable[Term], dtype: np.dtype[np.generic]) -> Array:
    """The sum of the terms, written out: zeros once, each term on its diagonals."""
    filling = sorted(terms, key=has_delta)  # one that fills the tensor spares the zeros
    return _written(shape, dtype, ((term, extents_of(term, shape)) for term in filling))


def applied(
    shape: Extents, rows: int, terms: Iterable[Term], v: Array, dtype: np.dtype[np.generic]
) -> Array:
    """The tensor times `v`, summed over its axes from `rows` on, which are the first ones of `v`."""
    count = len(shape) - rows
    products = []
    for term in terms:
        sizes = extents_of(term, shape)
        fresh = max(sizes, default=-1) + 1
        more = tuple(range(fresh, fresh + v.ndim - count))
        sizes.update(zip(more, v.shape[count:], strict=True))
        factors = (*term.factors, (v, term.places[rows:] + more))
        products.append((Term(term.coefficient, factors, term.places[:rows] + more), sizes))
    return _written((*shape[:rows], *v.shape[count:]), np.result_type(dtype, v), products)


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
