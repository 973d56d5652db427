"""Symbols in Python: operators, methods and indexing, as NumPy arrays have them.

In: Python code over symbols. Out: the same terms that a text gives; nothing is evaluated.
Invariant: axes are positional as in NumPy; what needs entries or known sizes is refused with its line.
NumPy's functions: `functions.py`. Index notation on symbols, `X["a","b"]`, entries and parts: `indexing.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from ...terms import contract
from .functions import UFUNCS, array_function, matmul, reshaped, ufunc
from .indexing import Indexed, is_known, picked, with_new_axes
from .operands import (
    ShapeAsDataError,
    Size,
    Symbolic,
    both_ways,
    made,
    permuted,
    product,
    refuse,
    tracing,
)

_NUMBERS = (int, float, complex, np.generic, np.ndarray, list, tuple)


def _method(function: Any, meaning: str = "") -> Any:
    """A function of NumPy as a method of arrays."""

    def method(self: Any, *arguments: Any, **options: Any) -> Any:
        return function(self, *arguments, **options)

    method.__name__, method.__doc__ = function.__name__, meaning or f"As numpy.{function.__name__}."
    return method


class PythonOperators(Symbolic):
    """Arithmetic, comparison, NumPy's methods and protocols for expressions."""

    __slots__ = ()

    # ------------------------------------------------------------ facts

    @property
    def shape(self) -> tuple[Any, ...]:
        """Extents of the axes: symbolic names, which compute as numbers, or numbers.

        >>> import einderiv as ed
        >>> X = ed.tensor("X[n,d]")
        >>> X.shape, str(1 / X.shape[0])
        (('n', 'd'), 'X : (n, d)\\n1/n')
        """
        return tuple(Size(d, self) if isinstance(d, str) else d for d in self._term.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._term.rank

    @property
    def dtype(self) -> np.dtype[Any]:
        """Terms are real: float64, whatever the arrays will be."""
        return np.dtype(float)

    @property
    def size(self) -> Any:
        """The number of entries, a scalar expression where it is symbolic."""
        sizes = [size for size in self.shape if size != 1]
        if not any(isinstance(size, Size) for size in sizes):
            return int(np.prod(sizes, dtype=int))
        return product([made(self, contract([], [], ())), *sizes])

    @property
    def T(self) -> Any:
        """The transpose: axes reversed."""
        return permuted(self)

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        return permuted(self, (*range(self.ndim - 2), self.ndim - 1, self.ndim - 2))

    # ------------------------------------------------------------ arithmetic

    __add__, __radd__ = both_ways(UFUNCS["add"])
    __sub__, __rsub__ = both_ways(UFUNCS["subtract"])
    __mul__, __rmul__ = both_ways(UFUNCS["multiply"])
    __truediv__, __rtruediv__ = both_ways(UFUNCS["divide"])
    __pow__, __rpow__ = both_ways(UFUNCS["power"])
    __matmul__, __rmatmul__ = both_ways(matmul)
    __lt__, __gt__ = both_ways(UFUNCS["less"])[0], both_ways(UFUNCS["greater"])[0]
    __le__, __ge__ = both_ways(UFUNCS["less_equal"])[0], both_ways(UFUNCS["greater_equal"])[0]
    __and__ = __rand__ = both_ways(UFUNCS["logical_and"])[0]
    __or__ = __ror__ = both_ways(UFUNCS["logical_or"])[0]
    __xor__ = __rxor__ = both_ways(UFUNCS["logical_xor"])[0]

    def __neg__(self) -> Any:
        return UFUNCS["negative"](self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return UFUNCS["absolute"](self)

    def __invert__(self) -> Any:
        return UFUNCS["logical_not"](self)

    def _compared(self, other: object, name: str) -> Any:
        """While a function is traced, == and != are those of arrays."""
        if tracing.get() is not None and isinstance(other, (Symbolic, *_NUMBERS)):
            return UFUNCS[name](self, other)
        return None

    def __floordiv__(self, other: Any) -> NoReturn:
        refuse(
            "a whole quotient //", "it is constant between jumps", "use /, or compute it beforehand"
        )

    def __mod__(self, other: Any) -> NoReturn:
        refuse("a remainder %", "no term stands for it", "compute it beforehand")

    __rfloordiv__ = __floordiv__
    __rmod__ = __mod__

    # ------------------------------------------------------------ methods of arrays

    sum = _method(np.sum, "The sum over axes, all of them where none is named.")
    mean = _method(np.mean, "The mean over axes.")
    prod = _method(np.prod, "The product over axes.")
    max = _method(np.max, "The maximum over axes.")
    min = _method(np.min, "The minimum over axes.")
    var = _method(np.var, "The variance over axes.")
    std = _method(np.std, "The standard deviation over axes.")
    dot = _method(np.dot)
    trace = _method(np.trace)
    diagonal = _method(np.diagonal)
    swapaxes = _method(np.swapaxes)
    squeeze = _method(np.squeeze)
    ravel = flatten = _method(np.ravel, "A vector as it is; anything else is refused.")

    def transpose(self, *axes: Any) -> Any:
        """As numpy.ndarray.transpose."""
        chosen = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        return permuted(self, chosen or None)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """Adds or drops axes of extent 1; any other shape is refused where extents are symbolic."""
        return reshaped(self, *shape, order=order)

    def copy(self, order: str = "C") -> Any:
        """The symbol itself, since nothing can be written into it."""
        return self

    def clip(self, low: Any = None, high: Any = None) -> Any:
        """As numpy.clip."""
        return np.clip(self, low, high)

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:
        """The symbol itself for floating types; others are refused."""
        if np.dtype(dtype).kind != "f":
            refuse(
                f"a conversion to {np.dtype(dtype)}",
                "terms are real",
                "convert the array beforehand",
            )
        return self

    def item(self, *_: Any) -> NoReturn:
        """Refused: entries have no value yet."""
        _needs_value("item()")

    tolist = item

    # ------------------------------------------------------------ indexing

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if keys and all(isinstance(k, str) for k in keys):
            return Indexed.access(self, keys)
        return picked(self, keys) if is_known(self) else with_new_axes(self, keys)

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        refuse(
            "an entry of a symbol is written",
            "symbols have no memory; every step makes a new one",
            "build the result with np.where, sums and products",
        )

    def __iter__(self) -> Iterator[Any]:
        if self.ndim and is_known(self):
            return (self[k] for k in range(len(self)))
        refuse(
            "a loop over the entries of a symbol",
            "how many there are is not known, and an entry has no index of its own",
            "use whole arrays: sums, products, einsum",
            ShapeAsDataError,
        )

    def __len__(self) -> int:
        if self.ndim and isinstance(self._term.shape[0], int):
            return self._term.shape[0]
        refuse(
            "len() of a symbol",
            "its extent is symbolic",
            "use x.shape[0], which computes as a number",
            ShapeAsDataError,
        )

    # ------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return ufunc(function, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        return array_function(function, arguments, options)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        _needs_value("a NumPy array")

    def __bool__(self) -> bool:
        refuse(
            "a branch on the value of a symbol",
            "which way it goes depends on the data",
            "write np.where(condition, a, b), which keeps both",
        )

    def __float__(self) -> float:
        _needs_value("float()")

    def __int__(self) -> int:
        _needs_value("int()")

    def __complex__(self) -> complex:
        _needs_value("complex()")

    def __index__(self) -> int:
        _needs_value("an index or a count")


def _needs_value(what: str) -> NoReturn:
    refuse(
        f"{what} needs the value of a symbol",
        "a symbol stands for arrays that come later",
        "leave the conversion out, or compute it beforehand and pass the result",
    )
