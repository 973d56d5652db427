"""`einsum`: numpy.einsum, computed by our own programs.

In: the arguments of numpy.einsum. Out: what numpy.einsum returns, faster where that is possible.
Invariant: whatever has no kernel here (a mistake, an array of another library, a rare dtype) is handed to
numpy.einsum with the very arguments, so that its answer, or its error, is NumPy's.
Kernels: `einsum_programs.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import index
from typing import Any

import numpy as np

from .arrays import Array
from .einsum_programs import Compiled, Order, Pairwise, RefusalError, Zeros, kernel_of

# A label of a list stands for this letter in numpy.einsum; the order matters where no output is given.
_LABELS: dict[Any, str] = {
    **dict(enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")),
    Ellipsis: "...",
}

_KEEP, _SAFE = "K", "safe"
_ORDERS = ("K", "C", "F", "A", "k", "c", "f", "a")
_CASTINGS = ("no", "equiv", "safe", "same_kind", "unsafe")
_OURS = (Compiled, Pairwise, Zeros)
_LISTS = (list, tuple)
_PLAIN = (np.ndarray, np.generic, int, float, complex, list, tuple)  # bool is an int


def einsum(
    *operands: Any,
    out: Any = None,
    optimize: Any = None,
    dtype: Any = None,
    order: Any = _KEEP,
    casting: Any = _SAFE,
) -> Any:
    """The sum of products that an einsum string names: a drop-in for `numpy.einsum`.

    `einsum("ij,jk->ik", A, B)` or `einsum(A, [0, 1], B, [1, 2], [0, 2])`: the string, broadcasting, views,
    `out`, `dtype`, `order`, `casting` and errors are NumPy's. `optimize`: None (the default) or True orders
    the pairs of three or more operands by cost, and sums early what stands in one operand only; False does
    neither, as `numpy.einsum` by default; "greedy", "optimal", (name, memory limit) and a path of
    `numpy.einsum_path` mean what they mean there. Results agree up to rounding, exactly for integers and
    booleans; where an infinity meets a zero, another order may give inf for nan, as in NumPy.

    >>> A, x = np.arange(6.0).reshape(2, 3), np.ones(3)
    >>> einsum("ij,j->i", A, x)
    array([ 3., 12.])
    >>> einsum(A, [0, 1], x, [1], [0])
    array([ 3., 12.])
    """
    try:
        if operands and type(operands[0]) is str:
            text, arrays = operands[0], operands[1:]
        else:
            text, arrays = _string_and_operands(operands)
        signature: list[Any] = []
        for array in arrays:  # no helper: half a microsecond is a third of a small call
            if type(array) is not np.ndarray:
                arrays = tuple(map(_array, arrays))
                signature = [x for array in arrays for x in (array.shape, array.dtype)]
                break
            signature += array.shape, array.dtype
        how = True if optimize is None else _order(optimize, len(arrays))
        if not (out is dtype is None and order is _KEEP and casting is _SAFE):
            return _with_settings(text, how, arrays, signature, out, dtype, order, casting)
        kernel = kernel_of(text, how, None, *signature)
    except RefusalError:
        pass
    else:
        return kernel(*arrays)
    asked = None if optimize is True else optimize  # True: the order is ours to choose
    given = {"out": out, "optimize": asked, "dtype": dtype}
    settings = {key: value for key, value in given.items() if value is not None}
    return np.einsum(*operands, order=order, casting=casting, **settings)


def _with_settings(
    text: str,
    how: Order,
    arrays: Sequence[Array],
    signature: Sequence[Any],
    out: Any,
    dtype: Any,
    order: Any,
    casting: Any,
) -> Any:
    """The call with an array for the result, a dtype, a layout or a rule of conversion."""
    if len(arrays) < 2 or type(order) is not str or type(casting) is not str:
        raise RefusalError  # one operand: perhaps a view
    if order not in _ORDERS:
        raise RefusalError
    own = signature[1::2]
    if out is not None:
        if type(out) is not np.ndarray or not out.flags.writeable:
            raise RefusalError
        own = [*own, out.dtype]
    try:
        wanted = None if dtype is None else np.dtype(dtype)
    except TypeError as error:
        raise RefusalError from error
    target = _target(wanted, casting, out is not None, *own)
    kernel = kernel_of(text, how, target, *signature)
    if not isinstance(kernel, _OURS):  # NumPy's loop knows the settings itself
        given = {"out": out, "dtype": None if wanted is None else target}
        given = {key: value for key, value in given.items() if value is not None}
        return kernel(*arrays, order=order, casting=casting, **given)
    result = kernel(*arrays)
    if out is None:
        return _laid_out(result, order.upper(), text, arrays)
    if out.shape != np.shape(result):
        raise RefusalError  # an error, or an axis of 1 repeated
    np.copyto(out, result)  # `_target` has looked at the casting
    return out


@lru_cache(maxsize=512)
def _target(
    wanted: np.dtype[Any] | None, casting: str, has_out: bool, *own: np.dtype[Any]
) -> np.dtype[Any]:
    """What the operands, and `out`, which stands last, are converted to: NumPy's choice, or the one wanted.

    RefusalError where the casting forbids a conversion, or where one may change a value.
    """
    if casting not in _CASTINGS:
        raise RefusalError
    try:
        target = (np.result_type(*own) if wanted is None else wanted).newbyteorder("=")
    except TypeError as error:
        raise RefusalError from error
    pairs = [(dtype, target) for dtype in own]
    pairs += [(target, own[-1])] if has_out else []
    rules: Any = (casting, "safe")
    if not all(np.can_cast(a, b, rule) for rule in rules for a, b in pairs):
        raise RefusalError
    return target


def _string_and_operands(operands: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Both forms of the call as the first.

    >>> _string_and_operands((1, [0, ...], 2, [], [0]))
    ('A...,->A', (1, 2))
    """
    if operands and isinstance(operands[0], str):
        return str(operands[0]), operands[1:]
    if len(operands) < 2:
        raise RefusalError
    terms = ",".join(map(_letters, operands[1::2]))
    if len(operands) % 2 == 0:
        return terms, operands[::2]
    return f"{terms}->{_letters(operands[-1])}", operands[:-1:2]


def _letters(labels: Any) -> str:
    """A list of numbers and Ellipsis as part of an einsum string."""
    if not isinstance(labels, _LISTS):
        raise RefusalError
    try:
        return "".join([_LABELS[x if type(x) is int else _number(x)] for x in labels])
    except (TypeError, KeyError) as error:
        raise RefusalError from error


def _number(label: Any) -> Any:
    if label is Ellipsis or isinstance(label, bool):  # NumPy takes no bool
        return label if label is Ellipsis else None
    return index(label)


def _array(operand: Any) -> Array:
    """An operand as a plain array, as NumPy's loop takes it; another library's array is not ours."""
    if type(operand) is np.ndarray:
        return operand
    subclass = isinstance(operand, np.ndarray)
    if subclass and type(operand).__array_function__ is not np.ndarray.__array_function__:
        raise RefusalError
    if not isinstance(operand, _PLAIN):
        raise RefusalError
    try:
        return np.asarray(operand)
    except ValueError as error:  # rows of several lengths
        raise RefusalError from error


def _order(optimize: Any, count: int) -> Order:
    """What `optimize` asks for with so many operands, as `kernel_of` takes it."""
    if type(optimize) is bool or isinstance(optimize, str):
        return optimize
    if not isinstance(optimize, _LISTS) or not optimize or count < 2:
        raise RefusalError
    first, *rest = optimize
    if not isinstance(first, str):
        raise RefusalError
    if first != "einsum_path":
        if len(rest) != 1 or not isinstance(rest[0], int | float):
            raise RefusalError
        return (first, rest[0])
    try:
        return (first, *(tuple(map(index, step)) for step in rest))
    except TypeError as error:
        raise RefusalError from error


def _laid_out(result: Any, order: str, text: str, arrays: Sequence[Array]) -> Any:
    """The result in the memory layout asked for; K leaves it as it came, A asks for F where all operands are.

    A diagonal is neither C nor F.
    """
    if order == "K" or not np.ndim(result):
        return result
    if order == "A":
        terms = ["".join(filter(str.isalpha, term)) for term in text.partition("->")[0].split(",")]
        plain = all(len(set(term)) == len(term) for term in terms)
        order = "F" if plain and all(array.flags.f_contiguous for array in arrays) else "C"
    return np.asfortranarray(result) if order == "F" else np.ascontiguousarray(result)
