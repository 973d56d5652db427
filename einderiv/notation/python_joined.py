"""Symbols of known extents reshaped, reordered and put together, inside a function that is traced.

In: symbols, numbers and arrays as NumPy's functions take them. Out: a symbol.
Invariant: every entry of the result is one entry of an operand, or a sum of them, chosen by an array of zeros
and ones (see `python_indexing.py`); symbols whose extents are names are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..canonical import contract
from ..expr import Expr
from .python_axes import axes_of, expanded, is_same_but_for_ones, rank_of, with_axes_of_one
from .python_indexing import array_of_choices, is_known, picked
from .python_operands import Symbolic, made, operand, together, total, tracing
from .python_refusals import refuse

Array = np.ndarray[Any, Any]


def rearranged(name: str, x: Any, function: Callable[[Array], Array]) -> Any:
    """What `function` makes of an array: the same entries in other places."""
    _check_known(name, [x])
    shape: tuple[Any, ...] = x._term.shape
    size = int(np.prod(shape, dtype=int))
    try:
        places = function(np.arange(size).reshape(shape))
    except (ValueError, IndexError, TypeError) as error:
        refuse(f"np.{name} of an array of shape {shape}", str(error), "change the arguments")
    chosen = array_of_choices(places, size, shape)
    labels = tuple(range(places.ndim + len(shape)))
    term = contract([chosen, x._term], [labels, labels[places.ndim :]], labels[: places.ndim])
    return made(x, term)


def reshaped(x: Any, *shape: Any, order: str = "C") -> Any:
    """np.reshape; of symbols with symbolic extents only to add or drop axes of extent 1."""
    wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    if is_known(x) and not is_same_but_for_ones(x, wanted):
        return rearranged("reshape", x, lambda a: a.reshape(wanted, order=order))  # type: ignore[call-overload]
    return with_axes_of_one(x, wanted)


def summed_up(x: Any, axis: int | None = None, **_: Any) -> Any:
    """np.cumsum."""
    _check_known("cumsum", [x])
    if axis is None:
        x, axis = rearranged("ravel", x, np.ravel), 0
    (place,) = axes_of(axis, x._term.rank)
    size = x._term.shape[place]
    return _along(x, place, np.tril(np.ones((size, size))))


def differences(x: Any, n: int = 1, axis: int = -1) -> Any:
    """np.diff."""
    _check_known("diff", [x])
    (place,) = axes_of(axis, x._term.rank)
    for _ in range(n):
        before = (slice(None),) * place
        ahead, behind = picked(x, (*before, slice(1, None))), picked(x, (*before, slice(0, -1)))
        x = total([ahead, behind], [1, -1], "diff")
    return x


def concatenated(arrays: Sequence[Any], axis: int | None = 0, **_: Any) -> Any:
    """np.concatenate: each array placed along the axis by zeros and ones, then added."""
    symbols = _symbols("concatenate", arrays)
    if axis is None:
        symbols, axis = [rearranged("ravel", x, np.ravel) for x in symbols], 0
    (place,) = axes_of(axis, symbols[0]._term.rank)
    shapes = [x._term.shape for x in symbols]
    rest = {(*shape[:place], *shape[place + 1 :]) for shape in shapes}
    if len(rest) > 1:
        refuse(
            f"np.concatenate of the shapes {', '.join(map(str, shapes))}",
            f"they agree in every axis but {place}",
            "bring them into such shapes",
        )
    sizes = [shape[place] for shape in shapes]
    whole, start, placed = np.eye(sum(sizes)), 0, []
    for x, size in zip(symbols, sizes, strict=True):
        placed.append(_along(x, place, whole[:, start : start + size]))
        start += size
    return total(placed, [1] * len(placed)) if len(placed) > 1 else placed[0]


def stacked(arrays: Sequence[Any], axis: int = 0, **_: Any) -> Any:
    """np.stack."""
    return concatenated([expanded(x, axis) for x in _symbols("stack", arrays)], axis)


def stacked_by_rows(arrays: Sequence[Any], **_: Any) -> Any:
    """np.vstack."""
    rows = [_of_rank(x, 2, 0) for x in _symbols("vstack", arrays)]
    return concatenated(rows, 0)


def stacked_by_columns(arrays: Sequence[Any], **_: Any) -> Any:
    """np.hstack."""
    parts = [_of_rank(x, 1, 0) for x in _symbols("hstack", arrays)]
    return concatenated(parts, 0 if rank_of(parts[0]) == 1 else 1)


def stacked_as_columns(arrays: Sequence[Any]) -> Any:
    """np.column_stack."""
    parts = [_of_rank(_of_rank(x, 1, 0), 2, 1) for x in _symbols("column_stack", arrays)]
    return concatenated(parts, 1)


def _of_rank(x: Any, rank: int, place: int) -> Any:
    """A symbol with new axes at `place` until it has `rank` of them."""
    while rank_of(x) < rank:
        x = expanded(x, min(place, rank_of(x)))
    return x


def _along(x: Any, axis: int, matrix: Array) -> Any:
    """The matrix times x along an axis."""
    running = tracing.get()
    assert running is not None
    labels = tuple(range(x._term.rank))
    output = tuple(len(labels) if k == axis else k for k in labels)
    factor: Expr = running.constant(matrix)
    return made(x, contract([factor, x._term], [(len(labels), axis), labels], output))


def _symbols(name: str, arrays: Sequence[Any]) -> list[Any]:
    """All of them as symbols of one program."""
    _check_known(name, arrays)
    _, owner, context = together([x for x in arrays if isinstance(x, Symbolic)])
    return [
        x if isinstance(x, Symbolic) else made(owner, operand(x, context)[0], context)
        for x in arrays
    ]


def _check_known(name: str, arrays: Sequence[Any]) -> None:
    if not all(is_known(x) for x in arrays if isinstance(x, Symbolic)):
        refuse(
            f"np.{name} of symbols",
            "it needs extents that are known numbers, and entries one by one",
            "keep parts apart and add what comes of them, or pass the array in its final form",
        )
