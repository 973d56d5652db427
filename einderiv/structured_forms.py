"""A structured tensor as a SciPy matrix or operator, and its pattern in words.

In: terms, their shape, how many of its axes are rows. Out: sparse arrays, a LinearOperator, a text.
Invariant: a sparse array holds an entry for every one that the deltas allow, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from .arrays import Array
from .expr import Label, Subscript
from .structured_terms import (
    Extents,
    Term,
    applied,
    common_pairs,
    dense,
    diagonal,
    distinct,
    extents_of,
    has_delta,
    labels_of,
    turned,
)

_SHOWN = 4  # terms in a pattern; of a longer sum, the number of the rest
_AXES = "ijklmnopqrstuvwxyz"
_SUMMED = "abcdefgh"
_ARRAYS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def scipy_form(
    shape: Extents, rows: int, terms: Sequence[Term], dtype: np.dtype[np.generic]
) -> Any:
    """Sparse where every term has a delta, by its shape: a diagonal, blocks, or entries. Else an operator."""
    if not all(map(has_delta, terms)):
        return _operator(shape, rows, terms, dtype)
    pairs = common_pairs(terms, rows)
    ahead = 0
    while (ahead, ahead + rows) in pairs:
        ahead += 1
    if ahead and 2 * ahead == len(shape) and ahead == rows:
        return _diagonal(shape, rows, terms, dtype)
    if ahead and prod(shape):
        return _blocks(shape, rows, terms, dtype, ahead)
    return _entries(shape, rows, terms, dtype)


def _diagonal(shape: Extents, rows: int, terms: Sequence[Term], dtype: np.dtype[np.generic]) -> Any:
    from scipy.sparse import dia_array

    size = prod(shape[:rows])
    entries = dense(shape[:rows], diagonal(shape, rows, terms), dtype)
    return dia_array((entries.reshape(1, size), [0]), shape=(size, size))


def _blocks(
    shape: Extents, rows: int, terms: Sequence[Term], dtype: np.dtype[np.generic], ahead: int
) -> Any:
    """The first `ahead` row axes are the first column axes: the blocks stand in order."""
    from scipy.sparse import bsr_array

    axes = (*range(rows), *range(rows + ahead, len(shape)))
    inside = [term._replace(places=tuple(term.places[axis] for axis in axes)) for term in terms]
    count = prod(shape[:ahead])
    height, width = prod(shape[ahead:rows]), prod(shape[rows + ahead :])
    blocks = dense(tuple(shape[axis] for axis in axes), inside, dtype)
    places = np.arange(count), np.arange(count + 1)
    whole = count * height, count * width
    return bsr_array((blocks.reshape(count, height, width), *places), shape=whole)


def _entries(shape: Extents, rows: int, terms: Sequence[Term], dtype: np.dtype[np.generic]) -> Any:
    from scipy.sparse import coo_array

    values, at_rows, at_columns = [np.zeros(0, dtype)], [np.zeros(0, int)], [np.zeros(0, int)]
    for term in terms:
        once = distinct(term.places)
        sizes = extents_of(term, shape)
        inner = tuple(sizes[label] for label in once)
        values.append(dense(inner, [term._replace(places=once)], dtype).reshape(-1))
        at_rows.append(_numbers(term.places[:rows], once, inner))
        at_columns.append(_numbers(term.places[rows:], once, inner))
    places = np.concatenate(at_rows), np.concatenate(at_columns)
    whole = prod(shape[:rows]), prod(shape[rows:])
    return coo_array((np.concatenate(values), places), shape=whole).tocsr()


def _numbers(places: Subscript, once: Subscript, inner: Extents) -> Array:
    """The row (or column) number of every entry: sum of index times stride."""
    total = np.zeros((1,) * len(once), int)
    stride = 1
    for label in reversed(places):
        axis = once.index(label)
        index = np.arange(inner[axis]) * stride
        total = total + index.reshape([-1 if k == axis else 1 for k in range(len(once))])
        stride *= inner[axis]
    return np.broadcast_to(total, inner).reshape(-1)


def _operator(shape: Extents, rows: int, terms: Sequence[Term], dtype: np.dtype[np.generic]) -> Any:
    from scipy.sparse.linalg import LinearOperator

    columns = shape[rows:]
    back = [turned(term, rows) for term in terms]

    def times(
        shape: Extents, rows: int, terms: Sequence[Term], conjugate: bool
    ) -> Callable[[Array], Array]:
        def product(v: Array) -> Array:
            v = np.conj(v) if conjugate else np.asarray(v)
            made = applied(shape, rows, terms, v.reshape(shape[rows:] + v.shape[1:]), dtype)
            made = made.reshape(prod(shape[:rows]), *v.shape[1:])
            return np.conj(made) if conjugate else made

        return product

    forward = times(shape, rows, terms, False)
    adjoint = times(columns + shape[:rows], len(columns), back, True)
    return LinearOperator(
        (prod(shape[:rows]), prod(columns)),
        matvec=forward,
        rmatvec=adjoint,
        matmat=forward,
        rmatmat=adjoint,
        dtype=dtype,
    )


# ---------------------------------------------------------------- words


def pattern(terms: Sequence[Term]) -> str:
    """The terms as a formula: axes i, j, k, ..., summed indices a, b, ..., one array one name.

    >>> x = np.ones(3)
    >>> pattern([Term(2.0, ((x, (0,)),), (0, 0)), Term(-1.0, ((x, (0,)), (x, (1,))), (0, 1))])
    '2*delta[i,j]*core[i] - core[i]*core[j]'
    """
    arrays = list({id(array): array for term in terms for array, _ in term.factors})
    names = {key: _letter(_ARRAYS, k) for k, key in enumerate(arrays)}
    if len(names) == 1:
        names = dict.fromkeys(names, "core")
    text = ""
    for number, term in enumerate(terms[:_SHOWN]):
        word, negative = _word(term, names)
        sign = ("-" if negative else "") if not number else (" - " if negative else " + ")
        text += f"{sign}{word}"
    more = len(terms) - _SHOWN
    return (text or "0") + (f" + {more} more" if more > 0 else "")


def _word(term: Term, names: dict[int, str]) -> tuple[str, bool]:
    letters: dict[Label, str] = {}
    words = []
    known = labels_of(term.factors)
    for axis, label in enumerate(term.places):
        if label in letters:
            words.append(f"delta[{letters[label]},{_letter(_AXES, axis)}]")
        else:
            letters[label] = _letter(_AXES, axis)
    for label in distinct(term.places):
        if label not in known and term.places.count(label) == 1:
            words.append(f"ones[{letters[label]}]")
    for label in sorted(known.difference(term.places)):
        letters[label] = _letter(_SUMMED, len(letters) - len(set(term.places)))
    for array, labels in term.factors:
        index = ",".join(letters[label] for label in labels)
        words.append(f"{names[id(array)]}[{index}]" if index else names[id(array)])
    number = term.coefficient
    negative = isinstance(number, int | float) and number < 0
    size = -number if negative else number
    if size != 1 or not words:
        words.insert(0, f"{size:g}" if isinstance(size, int | float) else str(size))
    return "*".join(words), negative


def _letter(alphabet: str, number: int) -> str:
    """The letter of that number, numbered beyond the alphabet."""
    turn, place = divmod(number, len(alphabet))
    return alphabet[place] + (str(turn) if turn else "")
