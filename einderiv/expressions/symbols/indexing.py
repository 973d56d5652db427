"""Indices of symbols: names as in X["a","b"]*th["b"] - Y["a"], new axes, entries and parts.

In: a symbol and what is between its brackets. Out: `Indexed`, which every other operation takes for the
expression, or a symbol.
Invariant: names follow the summation convention of LANGUAGE section 1: a product sums the indices that it
has twice; a sum closes its terms; `p["i"]` after a product keeps i, as a left-hand side does. Everything
else follows NumPy's rules. An entry is picked by a product with an array of zeros and ones: a part costs its
entries times the extent of the axis, and an infinite entry makes those picked beside it nan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ...terms import Dim, Expr, Ones, add, contract, power, transpose
from .operands import (
    Array,
    Symbolic,
    agreeing,
    both_ways,
    contraction,
    expand_axes,
    number,
    refuse,
    stretch,
    symbol_of,
    together,
    tracing,
)

Factor = tuple[Any, tuple[str, ...]]  # a symbol and the names of its axes


class Indexed:
    """A product of symbols with named axes, summed when it is used as a whole."""

    __slots__ = ("factors",)

    def __init__(self, factors: Sequence[Factor]) -> None:
        self.factors = tuple(factors)

    @staticmethod
    def access(x: Any, names: Sequence[str]) -> Indexed:
        """X["a","b"]."""
        if len(names) != x._term.rank:
            refuse(
                f"{len(names)} indices for {x._term.rank} axes",
                "each axis has one index",
                f"write X[{', '.join(repr(c) for c in 'ijkl'[: x._term.rank])}]",
            )
        return Indexed([(x, tuple(names))])._check()

    def __getitem__(self, key: Any) -> Any:
        """The expression whose axes are the named indices, in this order; these are not summed."""
        names = key if isinstance(key, tuple) else (key,)
        return self._sum_to(tuple(names))

    def _check(self) -> Indexed:
        """Itself; extents that differ are refused here, where they meet."""
        names = [name for _, own in self.factors for name in own]
        if len(set(names)) < len(names):
            self.expression()
        return self

    @property
    def free(self) -> tuple[str, ...]:
        """Indices that the product has once."""
        count = Counter(name for _, names in self.factors for name in names)
        return tuple(name for name, times in count.items() if times == 1)

    def expression(self) -> Any:
        """The expression: its axes are the free indices in order of appearance."""
        return self._sum_to(self.free)

    def _sum_to(self, names: tuple[str, ...]) -> Any:
        every = {
            n: k for k, n in enumerate(dict.fromkeys(n for _, own in self.factors for n in own))
        }
        if not set(self.free) <= set(names) <= set(every) or len(set(names)) < len(names):
            refuse(
                f"the indices {', '.join(names)} of a product whose free ones are {', '.join(self.free)}",
                "all free indices and none else stand on the left",
                "name each free index once",
            )
        inputs = [tuple(every[n] for n in own) for _, own in self.factors]
        output = tuple(every[n] for n in names)
        operands = together([x for x, _ in self.factors])
        x = contraction(operands, inputs, output, "index", every.values())
        context = x._context
        if tracing.get() is None:  # the letters that printers use for extents
            letters = dict(context.letters)
            dims: dict[str, Dim] = {}
            for term, (_, own) in zip(operands[0], self.factors, strict=True):
                for name, dim in zip(own, term.shape, strict=True):
                    dims.setdefault(name, dim)
            for name, dim in dims.items():
                if name not in letters.get(dim, ()):
                    letters[dim] = (*letters.get(dim, ()), name)
            context = replace(context, letters=letters)
        return x._with(x._term, names, context)

    # ------------------------------------------------------------ arithmetic

    def _factor(self) -> Factor:
        return self.expression(), self.free

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Indexed):
            return Indexed([*self.factors, *other.factors])._check()
        return Indexed([*self.factors, (_scalar(other, self), ())])

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Indexed):
            x, names = other._factor()
            return Indexed([*self.factors, (_inverse(x), names)])
        exact = number(other)
        if exact:
            return self * (1 / exact)
        return Indexed([*self.factors, (_inverse(_scalar(other, self)), ())])

    def __rtruediv__(self, other: Any) -> Any:
        x, names = self._factor()
        return Indexed([(_inverse(x), names)]) * other

    def __neg__(self) -> Any:
        return self * -1

    def __pow__(self, exponent: Any) -> Any:
        x, names = self._factor()
        return Indexed([(x**exponent, names)])

    def __add__(self, other: Any) -> Any:
        return self._plus(other, 1)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._plus(other, -1)

    def __rsub__(self, other: Any) -> Any:
        return (-self)._plus(other, 1)

    def _plus(self, other: Any, sign: int) -> Any:
        x, names = self._factor()
        if isinstance(other, Indexed):
            y, own = other._factor()
        else:
            y, own = _scalar(other, self), ()
        if own and names and set(own) != set(names):
            refuse(
                f"a sum of terms with the indices {', '.join(names)} and {', '.join(own)}",
                "the terms of a sum have the same free indices",
                "sum the others, or multiply by ones",
            )
        axes = names or own
        terms, owner, context = together([x, y])
        inputs = [tuple(map(axes.index, given)) for given in (names, own)]
        terms, context, dims = agreeing(terms, context, inputs, "+", range(len(axes)))
        shape = tuple(dims[axis] for axis in range(len(axes)))
        a, b = (
            transpose(term, tuple(map(labels.index, range(len(axes))))) if labels else term
            for term, labels in zip(terms, inputs, strict=True)
        )
        both = add([(1, stretch(a, shape)), (sign, stretch(b, shape))], shape)
        return Indexed([(owner._with(both, axes, context), axes)])

    # ------------------------------------------------------------ everything else

    def __eq__(self, other: object) -> bool:
        return bool(self.expression() == expression_of(other))

    def __hash__(self) -> int:
        return hash(self.expression())

    __lt__, __le__ = both_ways(np.less)[0], both_ways(np.less_equal)[0]
    __gt__, __ge__ = both_ways(np.greater)[0], both_ways(np.greater_equal)[0]

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        own = _OPERATORS.get(function.__name__)
        if method == "__call__" and own is not None and len(inputs) == 2 and not options:
            a, b = inputs
            if isinstance(a, Indexed):
                return getattr(a, f"__{own}__")(b)
            return getattr(b, f"__r{own}__")(a)
        return getattr(function, method)(*map(expression_of, inputs), **options)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        return function(*map(expression_of, arguments), **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.expression(), name)

    def __str__(self) -> str:
        return str(self.expression())

    def __call__(self, *arguments: Any, **arrays: Any) -> Any:
        """The value for arrays by name."""
        return self.expression()(*arguments, **arrays)

    def __repr__(self) -> str:
        return f"<Indexed {self.expression()!r}>"


def expression_of(x: Any) -> Any:
    """The expression of a product with named axes; anything else as it is."""
    return x.expression() if isinstance(x, Indexed) else x


# how Python calls the ufuncs that keep indices
_OPERATORS = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "truediv",
    "power": "pow",
}


def _scalar(value: Any, like: Indexed) -> Any:
    """A number or a scalar symbol; a symbol with axes needs indices."""
    if isinstance(value, Symbolic) and value._term.rank:
        refuse(
            f"a symbol with {value._term.rank} axes stands without indices beside indexed ones",
            "index notation names every axis",
            "write its indices, as in Y['a']",
        )
    if isinstance(value, Symbolic):
        return value
    owner = like.factors[0][0]
    return owner._with(together([value, owner])[0][0], ())


def _inverse(x: Any) -> Any:
    return x._with(power(x._term, Fraction(-1)), x._indices)


# ---------------------------------------------------------------- entries and parts

_MOST = 10_000_000  # entries of an array of zeros and ones: 80 MB


def with_new_axes(x: Any, keys: tuple[Any, ...]) -> Any:
    """x[:, None] and its kin: new axes of extent 1, whole axes, an ellipsis."""
    whole = [k for k in keys if k is not None and k is not Ellipsis]
    for k in whole:
        if not (isinstance(k, slice) and k == slice(None)):
            single = isinstance(k, int | np.integer)
            refuse(
                f"{'an entry' if single else 'a part'} of a symbol, [{_spelling(k)}]",
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
    return expand_axes(x, tuple(places)) if places else x


def _spelling(key: Any) -> str:
    if isinstance(key, slice):
        parts = [key.start, key.stop] + ([key.step] if key.step is not None else [])
        return ":".join("" if part is None else str(part) for part in parts)
    return repr(key) if isinstance(key, int) else type(key).__name__


def is_known(x: Any) -> bool:
    """Can entries of x be picked? Its extents are numbers, and a trace takes the arrays."""
    return tracing.get() is not None and all(isinstance(dim, int) for dim in x._term.shape)


def pick(x: Any, keys: tuple[Any, ...]) -> Any:
    """x[keys]."""
    shape: tuple[int, ...] = x._term.shape
    _check_keys(keys, shape)
    result = np.broadcast_to(0, shape)[keys].shape
    rank, labels = len(result), []
    factors: list[Expr] = [x._term]
    inputs: list[tuple[int, ...]] = []
    for axis, places in enumerate(np.indices(shape, sparse=True)):
        source = np.broadcast_to(places, shape)[keys]  # the index along the axis, entry by entry
        along = tuple(k for k in range(rank) if _varies(source, k))
        own = source[tuple(slice(None) if k in along else 0 for k in range(rank))]
        if len(along) == 1 and np.array_equal(own, np.arange(shape[axis])):
            labels.append(along[0])
            continue
        labels.append(rank + axis)
        factors.append(array_of_choices(own, shape[axis], shape[axis : axis + 1]))
        inputs.append((*along, rank + axis))
    inputs.insert(0, tuple(labels))
    lacking = set(range(rank)).difference(*inputs)
    factors += [Ones(result[k]) for k in lacking]
    return symbol_of(x, contract(factors, [*inputs, *((k,) for k in lacking)], tuple(range(rank))))


def _varies(array: Array, axis: int) -> bool:
    return array.shape[axis] != 1 and (
        not array.size or bool((array != array.take([0], axis)).any())
    )


def _check_keys(keys: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    """Refuse what NumPy's indexing of an array of this shape does not take."""
    arrays = [
        None if k is None or k is Ellipsis or isinstance(k, slice) else _indices(k) for k in keys
    ]
    axes = [
        isinstance(key, slice) if array is None else array.ndim if array.dtype == bool else 1
        for key, array in zip(keys, arrays, strict=True)
    ]
    dots = [n for n, key in enumerate(keys) if key is Ellipsis]
    if sum(axes) > len(shape) or len(dots) > 1:
        refuse(f"{sum(axes)} indices for {len(shape)} axes", "each axis has one", "drop some")
    at = 0
    for key, array, taken in zip(keys, arrays, axes, strict=True):
        own = shape[at : at + taken]
        at += len(shape) - sum(axes) if key is Ellipsis else taken
        if array is not None and array.dtype == bool:
            if not array.ndim or array.shape != own:
                refuse(
                    f"bools of shape {array.shape} as an index of axes {shape[at - taken :]}",
                    "they say for each entry whether it is taken",
                    "give them the shape of the axes",
                )
        elif array is not None and array.size:
            (size,), least, most = own, int(array.min()), int(array.max())
            if least < -size or most >= size:
                refuse(
                    f"index {most if most >= size else least} of an axis with {size} entries",
                    "indices run from 0, or from the end as negative numbers",
                    f"choose one from {-size} to {size - 1}",
                )


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


def check_number_of_choices(count: int, size: int) -> None:
    """Refuse an array of so many rows of zeros and ones that no memory should hold it."""
    if count * size > _MOST:
        refuse(
            f"{count} entries picked from {size}",
            f"an array of more than {_MOST} zeros and ones would pick them",
            "cut or shape the array beforehand and pass what is used",
        )


def array_of_choices(places: Array, size: int, shape: Sequence[int]) -> Expr:
    """The tensor with the axes of `places`, then those of `shape`: 1 at the place that is named."""
    check_number_of_choices(places.size, size)
    chosen = np.zeros((*places.shape, size))
    np.put_along_axis(chosen, places[..., None], 1.0, axis=-1)
    running = tracing.get()
    assert running is not None
    return running.constant(chosen.reshape(*places.shape, *shape))
