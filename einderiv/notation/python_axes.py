"""Axes of symbols: moved, added, dropped, reduced, taken along a diagonal.

In: symbols and axes as NumPy's functions take them. Out: symbols.
Invariant: axes count from 0, negative ones from the end; an axis of extent 1 is a factor of ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..canonical import contract, extent, power, transpose, whole
from ..expr import Delta, Expr, Ones, Shape
from .python_operands import Symbolic, joined_shapes, made, stretched
from .python_refusals import refuse

Axis = int | Sequence[int] | None


def axes_of(axis: Axis, rank: int) -> tuple[int, ...]:
    """Axes as positions from the left."""
    chosen = (
        range(rank) if axis is None else (axis,) if isinstance(axis, int | np.integer) else axis
    )
    found = []
    for k in chosen:
        if not -rank <= k < rank:
            refuse(
                f"axis {k} of something with {rank} axes",
                "axes are counted from 0, negative ones from the end",
                f"choose one from {-rank} to {rank - 1}" if rank else "leave the axis out",
            )
        found.append(int(k) % rank)
    return tuple(found)


def reduced(name: str, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """sum, prod, mean, max, min, logsumexp over axes."""
    term: Expr = x._term
    over = axes_of(axis, term.rank)
    rest = tuple(k for k in range(term.rank) if k not in over)
    if name in ("sum", "mean"):
        result = contract([term], [tuple(range(term.rank))], rest)
        if name == "mean":
            sizes = [power(extent(term.shape[k]), Fraction(-1)) for k in over]
            labels = tuple(range(len(rest)))
            result = contract([result, *sizes], [labels, *[()] * len(sizes)], labels)
    elif over:
        result = whole(name, transpose(term, (*rest, *over)), len(over))
    else:
        result = term
    if keepdims:
        result = unit_axes(result, over, term.rank)
    return made(x, result)


def unit_axes(term: Expr, places: Sequence[int], rank: int) -> Expr:
    """`term` with axes of extent 1 at `places` of the `rank` axes of the result."""
    rest = [k for k in range(rank) if k not in places]
    return contract(
        [term, *(Ones(1) for _ in places)],
        [tuple(rest), *((place,) for place in places)],
        tuple(range(rank)),
    )


def with_axes_behind(x: Any, count: int) -> Any:
    if not isinstance(x, Symbolic):
        return np.asarray(x)[(..., *[None] * count)]
    rank = x._term.rank
    return made(x, unit_axes(x._term, range(rank, rank + count), rank + count))


def permuted(x: Any, axes: Sequence[int] | None = None) -> Any:
    """np.transpose."""
    rank = x._term.rank
    order = tuple(range(rank))[::-1] if axes is None else axes_of(tuple(axes), rank)
    if sorted(order) != list(range(rank)):
        refuse(
            f"axes {tuple(axes or ())} of a transposition",
            f"there are {rank}",
            "name each one once",
        )
    return made(x, transpose(x._term, order))


def moved(x: Any, source: Any, destination: Any) -> Any:
    rank = x._term.rank
    start, end = (
        axes_of(k if not isinstance(k, int) else (k,), rank) for k in (source, destination)
    )
    order = [k for k in range(rank) if k not in start]
    for place, axis in sorted(zip(end, start, strict=True)):
        order.insert(place, axis)
    return permuted(x, order)


def swapped(x: Any, a: int, b: int) -> Any:
    rank = x._term.rank
    order = list(range(rank))
    (a,), (b,) = axes_of(a, rank), axes_of(b, rank)
    order[a], order[b] = order[b], order[a]
    return permuted(x, order)


def expanded(x: Any, axis: Axis) -> Any:
    """np.expand_dims."""
    count = 1 if isinstance(axis, int) else len(axis or ())
    rank = x._term.rank + count
    return made(x, unit_axes(x._term, sorted(axes_of(axis, rank)), rank))


def squeezed(x: Any, axis: Axis = None) -> Any:
    """np.squeeze: axes of extent 1 go."""
    term: Expr = x._term
    ones = [k for k, dim in enumerate(term.shape) if dim == 1]
    gone = ones if axis is None else axes_of(axis, term.rank)
    for k in gone:
        if k not in ones:
            refuse(
                f"squeeze of axis {k}",
                f"its extent is {term.shape[k]}, not 1",
                "sum over it instead",
            )
    rest = tuple(k for k in range(term.rank) if k not in gone)
    return made(x, contract([term], [tuple(range(term.rank))], rest))


def is_same_but_for_ones(x: Any, shape: Sequence[Any]) -> bool:
    """Whether a reshape only adds or drops axes of extent 1."""
    old = [str(dim) for dim in x._term.shape if dim != 1]
    new = [str(dim) for dim in shape if str(dim) != "1"]
    free = new.count("-1") <= 1 and len(old) == len(new)
    return free and all(b in ("-1", a) for a, b in zip(old, new, strict=True))


def with_axes_of_one(x: Any, shape: Sequence[Any]) -> Any:
    """np.reshape where it only adds or drops axes of extent 1."""
    if not is_same_but_for_ones(x, shape):
        refuse(
            f"a reshape of {_shown(x._term.shape)} to {_shown(tuple(shape))}",
            "entries of tensors keep their indices; only axes of extent 1 come and go",
            "give the tensor the axes it is used with, or pass it in that shape",
        )
    places = [k for k, dim in enumerate(shape) if str(dim) == "1"]
    return made(x, unit_axes(squeezed(x)._term, places, len(shape)))


def _shown(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


def rank_of(x: Any) -> int:
    return int(x._term.rank) if isinstance(x, Symbolic) else int(np.ndim(x))


def ones(shape: Shape) -> Expr:
    axes = tuple(range(len(shape)))
    return contract([Ones(dim) for dim in shape], [(k,) for k in axes], axes)


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """np.diagonal, the main one."""
    if offset:
        refuse(
            f"diagonal {offset} of an array", "only the main diagonal has one index", "use offset 0"
        )
    rank = x._term.rank
    (a,), (b,) = axes_of(axis1, rank), axes_of(axis2, rank)
    labels = list(range(rank))
    labels[b] = a
    output = (*(k for k in range(rank) if k not in (a, b)), a)
    term, context = x._term, x._context
    if term.shape[a] != term.shape[b]:
        (term,), context = joined_shapes(
            [term], context, [(term.shape[a], term.shape[b])], "diagonal"
        )
    return made(x, contract([term], [tuple(labels)], output), context)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return reduced("sum", diagonal(x, offset, axis1, axis2), -1)


def diag(x: Any, k: int = 0) -> Any:
    if rank_of(x) == 2:
        return diagonal(x, k)
    if k or rank_of(x) != 1:
        refuse("diag off the main diagonal", "only the main diagonal has one index", "use k=0")
    term = x._term
    return made(x, contract([term, Delta(term.shape[0])], [(0,), (0, 1)], (0, 1)))


def broadcast_to(x: Any, shape: Any, **_: Any) -> Any:
    wanted = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    plain = tuple(int(d) if isinstance(d, int | np.integer) else str(d) for d in wanted)
    return made(x, stretched(x._term, plain))
