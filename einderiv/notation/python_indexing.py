"""Entries and parts of symbols whose extents are known, inside a function that is traced.

In: a symbol and what stands between its brackets. Out: a symbol.
Invariant: NumPy's rules for indexing. An entry is picked by a product with an array of zeros and ones: a part
costs its entries times the extent of the axis, and an infinite entry makes those picked beside it nan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..canonical import contract
from ..expr import Expr, Ones, Shape
from .python_operands import Symbolic, made, tracing
from .python_refusals import refuse

_MOST = 10_000_000  # entries of an array of zeros and ones: 80 MB

Array = np.ndarray[Any, Any]


def is_known(x: Any) -> bool:
    """Whether entries of x can be picked: its extents are numbers, and a trace takes the arrays."""
    return tracing.get() is not None and all(isinstance(dim, int) for dim in x._term.shape)


def picked(x: Any, keys: tuple[Any, ...]) -> Any:
    """x[keys]."""
    pieces = _Pieces(x)
    axis = 0
    for key in _spelled_out(keys, x._term.rank):
        if key is None:
            pieces.new_axis()
        elif isinstance(key, slice):
            pieces.part(axis, np.arange(x._term.shape[axis])[key])
            axis += 1
        else:
            for own in _arrays_of(key, x._term.shape[axis:]):
                pieces.gather(axis, own)
                axis += 1
    return pieces.result()


def _spelled_out(keys: tuple[Any, ...], rank: int) -> list[Any]:
    """One key an axis, bool arrays one for several, None for a new axis; no ellipsis."""
    taken = sum(_axes_taken(key) for key in keys)
    dots = [n for n, key in enumerate(keys) if key is Ellipsis]
    if taken > rank or len(dots) > 1:
        refuse(f"{taken} indices for {rank} axes", "each axis has one", "drop some")
    at = dots[0] if dots else len(keys)
    return [*keys[:at], *[slice(None)] * (rank - taken), *keys[at + 1 :]]


def _axes_taken(key: Any) -> int:
    if key is None or key is Ellipsis:
        return 0
    if isinstance(key, slice):
        return 1
    array = _indices(key)
    return array.ndim if array.dtype == bool else 1


def _indices(key: Any) -> Array:
    """A whole number, a list or an array as an array of indices."""
    if isinstance(key, Symbolic):
        refuse(
            "a symbol stands as an index",
            "which entry it picks depends on the data",
            "multiply by np.where(condition, 1, 0), or pass the index as an argument",
        )
    array = np.asarray(key)
    if array.size == 0 and not isinstance(key, np.ndarray):
        array = array.astype(int)
    if array.dtype != bool and array.dtype.kind not in "iu":
        refuse(
            f"an object of type {type(key).__name__} stands as an index",
            "indices are whole numbers, slices, and arrays of whole numbers or bools",
            "convert it first",
        )
    return array


def _arrays_of(key: Any, shape: Shape) -> Sequence[Array]:
    """The indices of each axis that a key takes."""
    array = _indices(key)
    if array.dtype != bool:
        return (array,)
    if not array.ndim or array.shape != shape[: array.ndim]:
        refuse(
            f"bools of shape {array.shape} as an index of axes {shape}",
            "they say for each entry whether it is taken",
            "give them the shape of the axes",
        )
    return array.nonzero()


class _Pieces:
    """The factors of a part, and the labels of its axes as they come."""

    def __init__(self, x: Any) -> None:
        self.x = x
        self.labels = tuple(range(x._term.rank))  # of x itself
        self.fresh: int = x._term.rank
        self.operands: list[Expr] = []
        self.inputs: list[tuple[int, ...]] = []
        self.axes: list[
            int | None
        ] = []  # labels of the result; None where the gathered axes belong
        self.gathered: list[tuple[int, Array]] = []

    def label(self) -> int:
        """A label that no axis has."""
        self.fresh += 1
        return self.fresh - 1

    def new_axis(self) -> None:
        """An axis of extent 1."""
        self.axes.append(self.label())
        self.factor(Ones(1), self.axes[-1])

    def factor(self, operand: Expr, *labels: int | None) -> None:
        """One more factor."""
        self.operands.append(operand)
        self.inputs.append(tuple(k for k in labels if k is not None))

    def part(self, axis: int, indices: Array) -> None:
        """The axis cut to a slice."""
        size = self.x._term.shape[axis]
        if len(indices) == size and (indices == np.arange(size)).all():
            self.axes.append(axis)
            return
        own = self.label()
        self.axes.append(own)
        self.factor(_choice(indices, size), own, axis)

    def gather(self, axis: int, indices: Array) -> None:
        """The axis read at indices, which all gathered axes share."""
        size = self.x._term.shape[axis]
        if indices.size and not (-size <= indices.min() and indices.max() < size):
            worst = int(indices.max() if indices.max() >= size else indices.min())
            refuse(
                f"index {worst} of an axis with {size} entries",
                "indices run from 0, or from the end as negative numbers",
                f"choose one from {-size} to {size - 1}",
            )
        self.gathered.append((axis, indices % size if size else indices))
        self.axes.append(None)

    def result(self) -> Any:
        """The product of all factors."""
        arrays = np.broadcast_arrays(*(indices for _, indices in self.gathered))
        common = [self.label() for _ in (arrays[0].shape if arrays else ())]
        for (axis, _), indices in zip(self.gathered, arrays, strict=True):
            self.factor(_choice(indices, self.x._term.shape[axis]), *common, axis)
        places = [n for n, label in enumerate(self.axes) if label is None]
        together = not places or places[-1] - places[0] + 1 == len(places)
        # NumPy: gathered axes stand where they were, in front where something is between them
        at = places[0] if places and (together or not _lists(self.gathered)) else 0
        rest = [label for label in self.axes if label is not None]
        output = (*rest[:at], *common, *rest[at:])
        term = contract([self.x._term, *self.operands], [self.labels, *self.inputs], output)
        return made(self.x, term)


def _lists(gathered: Sequence[tuple[int, Array]]) -> bool:
    return any(indices.ndim for _, indices in gathered)


def _choice(indices: Array, size: int) -> Expr:
    """The tensor that is 1 at [..., indices[...]] and 0 elsewhere."""
    return array_of_choices(indices, size, (size,))


def array_of_choices(places: Array, size: int, shape: Sequence[int]) -> Expr:
    """The tensor with the axes of `places`, then those of `shape`: 1 at the place that is named."""
    if places.size * size > _MOST:
        refuse(
            f"{places.size} entries picked from {size}",
            f"an array of more than {_MOST} zeros and ones would pick them",
            "cut or shape the array beforehand and pass what is used",
        )
    chosen = np.zeros((*places.shape, size))
    np.put_along_axis(chosen, places[..., None], 1.0, axis=-1)
    running = tracing.get()
    assert running is not None
    return running.constant(chosen.reshape(*places.shape, *shape))
