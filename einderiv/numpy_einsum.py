"""`einsum`: numpy.einsum, computed by our own programs.

In: the arguments of numpy.einsum. Out: what numpy.einsum returns, faster where that is possible.
Invariant: whatever has no kernel here (a mistake, an array of another library, a rare dtype) is handed to
numpy.einsum with the very arguments, so that its answer, or its error, is NumPy's.
Kernels: `einsum_programs.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import index
from typing import Any

import numpy as np

from .arrays import Array
from .einsum_programs import Compiled, Order, Pairwise, RefusalError, Zeros, kernel_of

# A label of a list stands for this letter in numpy.einsum; the order matters where no output is given.
_LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_KEEP, _SAFE = "K", "safe"
_ORDERS = ("K", "C", "F", "A", "k", "c", "f", "a")
_CASTINGS = ("no", "equiv", "safe", "same_kind", "unsafe")
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
    if (
        out is dtype is None
        and order is _KEEP
        and casting is _SAFE
        and (optimize is None or optimize is False)
    ):
        arrays = operands[1:]
        signature: list[Any] = []
        for (
            array
        ) in arrays:  # in a loop, not by a function: half a microsecond is a third of a small call
            if type(array) is not np.ndarray:
                break
            signature += array.shape, array.dtype
        else:
            if operands and type(operands[0]) is str:
                try:
                    kernel = kernel_of(operands[0], optimize is None, None, *signature)
                except RefusalError:
                    pass  # perhaps NumPy's answer is an error
                else:
                    return kernel(*arrays)
    try:
        return _computed(operands, out, optimize, dtype, order, casting)
    except RefusalError:
        pass
    asked = None if optimize is True else optimize  # True: the order is ours to choose
    given = {"out": out, "optimize": asked, "dtype": dtype}
    settings = {key: value for key, value in given.items() if value is not None}
    return np.einsum(*operands, order=order, casting=casting, **settings)


def _computed(
    operands: Sequence[Any], out: Any, optimize: Any, dtype: Any, order: Any, casting: Any
) -> Any:
    """The call with everything it may be given; RefusalError where NumPy has to answer."""
    text, given = _string_and_operands(operands)
    arrays = [_array(operand) for operand in given]
    if len(arrays) < 2:
        raise RefusalError  # perhaps a view
    if not (isinstance(order, str) and order in _ORDERS):
        raise RefusalError
    if not (isinstance(casting, str) and casting in _CASTINGS):
        raise RefusalError
    target = _dtype(arrays, out, dtype, casting)
    signature = chain.from_iterable((array.shape, array.dtype) for array in arrays)
    kernel = kernel_of(text, _order(optimize), target, *signature)
    if not isinstance(kernel, Compiled | Pairwise | Zeros):
        settings = {"out": out, "dtype": None if dtype is None else target}
        settings = {key: value for key, value in settings.items() if value is not None}
        return kernel(*arrays, order=order, casting=casting, **settings)
    result = kernel(*arrays)
    if out is None:
        return _laid_out(result, order.upper(), text, arrays)
    if out.shape != np.shape(result):
        raise RefusalError  # an error, or an axis of 1 repeated
    np.copyto(out, result)  # `_dtype` has looked at the casting
    return out


def _string_and_operands(operands: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Both forms of the call as the first.

    >>> _string_and_operands(["ij", 1]), _string_and_operands([1, [0, ...], 2, [], [0]])
    (('ij', [1]), ('A...,->A', [1, 2]))
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
    if not isinstance(labels, list | tuple):
        raise RefusalError
    try:
        return "".join(["..." if x is Ellipsis else _LABELS[_natural(x)] for x in labels])
    except (TypeError, IndexError) as error:
        raise RefusalError from error


def _natural(number: Any) -> int:
    value = index(number)
    if value < 0 or isinstance(number, bool):  # NumPy takes neither
        raise RefusalError
    return value


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


def _dtype(arrays: Sequence[Array], out: Any, dtype: Any, casting: Any) -> np.dtype[Any]:
    """What the operands, and `out`, are promoted to; every conversion keeps the values and is allowed."""
    own = [array.dtype for array in arrays]
    if out is not None:
        if type(out) is not np.ndarray or not out.flags.writeable:
            raise RefusalError
        own.append(out.dtype)
    try:
        target = (np.result_type(*own) if dtype is None else np.dtype(dtype)).newbyteorder("=")
    except TypeError as error:
        raise RefusalError from error
    pairs = [(array.dtype, target) for array in arrays]
    pairs += [] if out is None else [(target, out.dtype), (out.dtype, target)]
    for rule in (casting, "safe"):
        if not all(np.can_cast(a, b, rule) for a, b in pairs):
            raise RefusalError
    return target


def _order(optimize: Any) -> Order:
    """What `optimize` asks for, as `kernel_of` takes it."""
    if optimize is None or isinstance(optimize, bool | str):
        return True if optimize is None else optimize
    if not isinstance(optimize, list | tuple) or not optimize:
        raise RefusalError
    first, *rest = optimize
    if not isinstance(first, str):
        raise RefusalError
    if first != "einsum_path":
        if len(rest) != 1 or not isinstance(rest[0], int | float):
            raise RefusalError
        return (first, rest[0])
    try:
        return (first, *(tuple(map(_natural, step)) for step in rest))
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
