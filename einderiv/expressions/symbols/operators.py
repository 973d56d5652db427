"""Symbols in Python: operators, methods and indexing, as NumPy arrays have them.

In: Python code over symbols. Out: the same terms that a text gives; nothing is evaluated.
Invariant: axes are positional as in NumPy; what needs entries or known sizes is refused with its line.
NumPy's functions: `python_functions.py`. Index notation on symbols, `X["a","b"]`: `python_indexed.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from ...terms import contract
from .functions import UFUNCS, array_function, dot, matmul, reshaped, ufunc
from .indexing import Indexed, is_known, picked
from .operands import (
    ShapeAsDataError,
    Size,
    Symbolic,
    diagonal,
    expanded,
    made,
    permuted,
    product,
    reduced,
    refuse,
    squeezed,
    trace,
    tracing,
)

_NUMBERS = (int, float, complex, np.generic, np.ndarray, list, tuple)


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
        return product([self._with(self._term)._one(), *sizes])

    def _one(self) -> Any:
        return made(self, contract([], [], ()))

    @property
    def T(self) -> Any:
        """The transpose: axes reversed."""
        return permuted(self)

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        return permuted(self, (*range(self.ndim - 2), self.ndim - 1, self.ndim - 2))

    # ------------------------------------------------------------ arithmetic

    def __add__(self, other: Any) -> Any:
        return UFUNCS["add"](self, other)

    def __radd__(self, other: Any) -> Any:
        return UFUNCS["add"](other, self)

    def __sub__(self, other: Any) -> Any:
        return UFUNCS["subtract"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return UFUNCS["subtract"](other, self)

    def __mul__(self, other: Any) -> Any:
        return UFUNCS["multiply"](self, other)

    def __rmul__(self, other: Any) -> Any:
        return UFUNCS["multiply"](other, self)

    def __truediv__(self, other: Any) -> Any:
        return UFUNCS["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return UFUNCS["divide"](other, self)

    def __pow__(self, other: Any) -> Any:
        return UFUNCS["power"](self, other)

    def __rpow__(self, other: Any) -> Any:
        return UFUNCS["power"](other, self)

    def __matmul__(self, other: Any) -> Any:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return matmul(other, self)

    def __neg__(self) -> Any:
        return UFUNCS["negative"](self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return UFUNCS["absolute"](self)

    def __lt__(self, other: Any) -> Any:
        return UFUNCS["less"](self, other)

    def __le__(self, other: Any) -> Any:
        return UFUNCS["less_equal"](self, other)

    def __gt__(self, other: Any) -> Any:
        return UFUNCS["greater"](self, other)

    def __ge__(self, other: Any) -> Any:
        return UFUNCS["greater_equal"](self, other)

    def __and__(self, other: Any) -> Any:
        return UFUNCS["logical_and"](self, other)

    def __or__(self, other: Any) -> Any:
        return UFUNCS["logical_or"](self, other)

    def __xor__(self, other: Any) -> Any:
        return UFUNCS["logical_xor"](self, other)

    def __invert__(self) -> Any:
        return UFUNCS["logical_not"](self)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

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

    def sum(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Any:
        """The sum over axes, all of them where none is named."""
        return reduced("sum", self, axis, keepdims)

    def mean(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Any:
        """The mean over axes."""
        return reduced("mean", self, axis, keepdims)

    def prod(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Any:
        """The product over axes."""
        return reduced("prod", self, axis, keepdims)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """The maximum over axes."""
        return reduced("max", self, axis, keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """The minimum over axes."""
        return reduced("min", self, axis, keepdims)

    def var(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: int = 0,
        keepdims: bool = False,
    ) -> Any:
        """The variance over axes."""
        return np.var(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def std(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: int = 0,
        keepdims: bool = False,
    ) -> Any:
        """The standard deviation over axes."""
        return np.std(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def dot(self, other: Any) -> Any:
        """As numpy.dot."""
        return dot(self, other)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        """As numpy.trace."""
        return trace(self, offset, axis1, axis2)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        """As numpy.diagonal."""
        return diagonal(self, offset, axis1, axis2)

    def transpose(self, *axes: Any) -> Any:
        """As numpy.ndarray.transpose."""
        chosen = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        return permuted(self, chosen or None)

    def swapaxes(self, a: int, b: int) -> Any:
        """As numpy.swapaxes."""
        return np.swapaxes(self, a, b)

    def squeeze(self, axis: Any = None) -> Any:
        """As numpy.squeeze."""
        return squeezed(self, axis)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """Adds or drops axes of extent 1; any other shape is refused where extents are symbolic."""
        return reshaped(self, *shape, order=order)

    def ravel(self, order: str = "C") -> Any:
        """A vector as it is; anything else is refused."""
        return reshaped(self, -1, order=order)

    flatten = ravel

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
        return picked(self, keys) if is_known(self) else _new_axes(self, keys)

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


def _new_axes(x: Any, keys: tuple[Any, ...]) -> Any:
    """x[:, None] and its kin: new axes of extent 1, whole axes, an ellipsis."""
    whole = [k for k in keys if k is not None and k is not Ellipsis]
    for k in whole:
        if not (isinstance(k, slice) and k == slice(None)):
            single = isinstance(k, int | np.integer)
            refuse(
                f"{'an entry' if single else 'a part'} of a symbol, [{_written(k)}]",
                "an index runs over a whole axis",
                "cut the array beforehand, or multiply by an array that picks the entries",
            )
    if len(whole) > x.ndim:
        refuse(f"{len(whole)} indices for {x.ndim} axes", "each axis has one", "drop some")
    if Ellipsis not in keys:
        keys = (*keys, Ellipsis)
    at = keys.index(Ellipsis)
    missing = [slice(None)] * (x.ndim - len(whole))
    places = [n for n, k in enumerate((*keys[:at], *missing, *keys[at + 1 :])) if k is None]
    return expanded(x, tuple(places)) if places else x


def _written(key: Any) -> str:
    if isinstance(key, slice):
        parts = [key.start, key.stop] + ([key.step] if key.step is not None else [])
        return ":".join("" if part is None else str(part) for part in parts)
    return repr(key) if isinstance(key, int) else type(key).__name__
