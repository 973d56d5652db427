"""NumPy's functions on symbols, by NumPy's own dispatch protocol.

In: a NumPy function with its arguments, some of them symbols. Out: a symbol.
Invariant: the meaning is NumPy's (positional axes, broadcasting); nothing is evaluated. FUNCTIONS has a row
for each. Entry by entry: `python_ufuncs.py`; axes: `python_axes.py`; products: `python_products.py`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..canonical import extent, whole
from ..expr import Delta, Expr
from .python_axes import (
    Axis,
    axes_of,
    broadcast_to,
    diag,
    diagonal,
    expanded,
    moved,
    ones,
    permuted,
    rank_of,
    reduced,
    squeezed,
    swapped,
    trace,
)
from .python_joined import (
    concatenated,
    differences,
    rearranged,
    reshaped,
    stacked,
    stacked_as_columns,
    stacked_by_columns,
    stacked_by_rows,
    summed_up,
)
from .python_operands import Symbolic, joined_shapes, made, mapped, operand, product, raised, total
from .python_products import dot, einsum, inner, matmul, outer, tensordot, vdot
from .python_refusals import refuse
from .python_ufuncs import HALF, no_meaning, quotient


def _where(condition: Any, *choices: Any) -> Any:
    if len(choices) != 2:
        refuse(
            "where without two choices",
            "which entries fulfil a condition depends on the data",
            "write np.where(condition, a, b)",
        )
    if isinstance(condition, bool | np.bool_):
        condition = int(condition)
    if not any(isinstance(v, Symbolic) for v in (condition,)):
        condition = np.asarray(condition, float) if np.ndim(condition) else int(bool(condition))
    return mapped(
        "where",
        [mapped("ne", [condition, 0]) if isinstance(condition, Symbolic) else condition, *choices],
    )


def _variance(x: Any, axis: Axis = None, keepdims: bool = False, ddof: int = 0, **_: Any) -> Any:
    centred = total([x, reduced("mean", x, axis, True)], [1, -1])
    square = product([centred, centred])
    if not ddof:
        return reduced("mean", square, axis, keepdims)
    sizes = [made(x, extent(x._term.shape[k])) for k in axes_of(axis, x._term.rank)]
    count = product(sizes) if len(sizes) > 1 else sizes[0]
    return quotient(reduced("sum", square, axis, keepdims), total([count, ddof], [1, -1]))


def _norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    rank = rank_of(x)
    vector = rank == 1 or isinstance(axis, int)
    if ord in (None, "fro") or (ord == 2 and vector):
        return raised(reduced("sum", raised(x, 2), axis, keepdims), HALF)
    if vector and ord == 1:
        return reduced("sum", mapped("abs", [x]), axis, keepdims)
    if vector and ord == np.inf:
        return reduced("max", mapped("abs", [x]), axis, keepdims)
    return no_meaning(f"np.linalg.norm with ord={ord!r} here")


def _matrix(name: str) -> Callable[..., Any]:
    def function(a: Any) -> Any:
        return made(a, *_square(a, name))

    return function


def _square(a: Any, name: str) -> tuple[Expr, Any]:
    term, context = a._term, a._context
    if term.rank < 2:
        refuse(
            f"{name} of something with {term.rank} axes", "it takes matrices", "give it two axes"
        )
    if term.shape[-1] != term.shape[-2]:
        (term,), context = joined_shapes([term], context, [(term.shape[-2], term.shape[-1])], name)
    return whole(name, term), context


def _slogdet(a: Any) -> Any:
    determinant = _matrix("det")(a)
    return _SlogdetResult(mapped("sign", [determinant]), _matrix("logdet")(a))


class _SlogdetResult(tuple[Any, Any]):
    """(sign, logabsdet), as np.linalg.slogdet gives it."""

    def __new__(cls, sign: Any, logabsdet: Any) -> _SlogdetResult:
        return super().__new__(cls, (sign, logabsdet))

    @property
    def sign(self) -> Any:
        return self[0]

    @property
    def logabsdet(self) -> Any:
        return self[1]


def _solve(a: Any, b: Any) -> Any:
    if not isinstance(a, Symbolic):
        term, context = operand(a, b._context)
        a = made(b, term, context)
    inverse = _matrix("inv")(a)
    return matmul(inverse, b)


def _matrix_power(a: Any, n: int) -> Any:
    if n < 0:
        return _matrix_power(_matrix("inv")(a), -n)
    if n == 0:
        return made(a, Delta(a._term.shape[0]))
    result = a
    for _ in range(n - 1):
        result = matmul(result, a)
    return result


def _filled(value: Any) -> Callable[..., Any]:
    def function(x: Any, *more: Any, **_: Any) -> Any:
        fill = more[0] if more else value
        return product([fill, made(x, ones(x._term.shape))])

    return function


def _average(x: Any, axis: Axis = None, weights: Any = None, **_: Any) -> Any:
    if weights is None:
        return reduced("mean", x, axis)
    return quotient(
        reduced_any("sum", product([x, weights]), axis), reduced_any("sum", weights, axis)
    )


def reduced_any(name: str, x: Any, axis: Axis = None) -> Any:
    """A reduction of a symbol or of an array."""
    return reduced(name, x, axis) if isinstance(x, Symbolic) else getattr(np, name)(x, axis=axis)


def _reduction(name: str) -> Callable[..., Any]:
    def function(
        x: Any, axis: Axis = None, dtype: Any = None, out: Any = None, keepdims: Any = False
    ) -> Any:
        return reduced(name, x, axis, bool(keepdims))

    return function


def _extreme(name: str) -> Callable[..., Any]:
    return lambda x, axis=None, out=None, keepdims=False: reduced(name, x, axis, bool(keepdims))


def _clip(x: Any, low: Any = None, high: Any = None, **_: Any) -> Any:
    if low is not None:
        x = mapped("max", [x, low])
    return x if high is None else mapped("min", [x, high])


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _reduction("sum"),
    np.prod: _reduction("prod"),
    np.mean: _reduction("mean"),
    np.max: _extreme("max"),
    np.min: _extreme("min"),
    np.amax: _extreme("max"),
    np.amin: _extreme("min"),
    np.var: lambda x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, **_: _variance(
        x, axis, bool(keepdims), ddof
    ),
    np.std: lambda x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, **_: raised(
        _variance(x, axis, bool(keepdims), ddof), HALF
    ),
    np.average: _average,
    np.ptp: lambda x, axis=None, **_: total(
        [reduced("max", x, axis), reduced("min", x, axis)], [1, -1]
    ),
    np.dot: dot,
    np.vdot: vdot,
    np.inner: inner,
    np.outer: outer,
    np.tensordot: tensordot,
    np.einsum: einsum,
    np.trace: trace,
    np.diagonal: diagonal,
    np.diag: diag,
    np.transpose: permuted,
    np.swapaxes: swapped,
    np.moveaxis: moved,
    np.expand_dims: expanded,
    np.squeeze: squeezed,
    np.reshape: lambda x, shape, order="C", **_: reshaped(x, shape, order=order),
    np.broadcast_to: broadcast_to,
    np.where: _where,
    np.clip: _clip,
    np.copy: lambda x, *_, **__: x,
    np.zeros_like: _filled(0),
    np.ones_like: _filled(1),
    np.full_like: _filled(None),
    np.shape: lambda x: x.shape,
    np.size: lambda x, axis=None: x.size if axis is None else x.shape[axis],
    np.real: lambda x: x,
    np.ravel: lambda x, order="C": reshaped(x, -1, order=order),
    np.linalg.trace: lambda x, offset=0, **_: trace(x, offset, -2, -1),
    np.linalg.outer: outer,
    np.matrix_transpose: lambda x: swapped(x, -1, -2),
    np.ndim: lambda x: x._term.rank,
    np.tril: lambda x, k=0: (
        _matrix("tril")(x) if k == 0 else no_meaning("np.tril off the diagonal")
    ),
    np.triu: lambda x, k=0: (
        swapped(_matrix("tril")(swapped(x, -1, -2)), -1, -2)
        if k == 0
        else no_meaning("np.triu off the diagonal")
    ),
    np.linalg.inv: _matrix("inv"),
    np.linalg.det: _matrix("det"),
    np.linalg.cholesky: lambda a, **_: _matrix("cholesky")(a),
    np.linalg.slogdet: _slogdet,
    np.linalg.solve: _solve,
    np.linalg.norm: _norm,
    np.linalg.matrix_power: _matrix_power,
    np.linalg.multi_dot: lambda arrays, **_: _chained(arrays),
    np.concatenate: concatenated,
    np.stack: stacked,
    np.vstack: stacked_by_rows,
    np.hstack: stacked_by_columns,
    np.column_stack: stacked_as_columns,
    np.append: lambda x, values, axis=None: concatenated([x, values], axis),
    np.cumsum: summed_up,
    np.diff: differences,
    np.flip: lambda x, axis=None: rearranged("flip", x, lambda a: np.flip(a, axis)),
    np.roll: lambda x, shift, axis=None: rearranged("roll", x, lambda a: np.roll(a, shift, axis)),
    np.repeat: lambda x, repeats, axis=None: rearranged(
        "repeat", x, lambda a: np.repeat(a, repeats, axis)
    ),
    np.tile: lambda x, reps: rearranged("tile", x, lambda a: np.tile(a, reps)),
    np.take: lambda x, indices, axis=None, **_: rearranged(
        "take", x, lambda a: np.take(a, indices, axis)
    ),
}


def _chained(arrays: Sequence[Any]) -> Any:
    result = arrays[0]
    for x in arrays[1:]:
        result = dot(result, x)
    return result


def array_function(function: Any, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """What `__array_function__` answers."""
    module = getattr(function, "__module__", "numpy").replace("numpy", "np")
    called = f"{module}.{getattr(function, '__name__', function)}"
    if function not in FUNCTIONS:
        no_meaning(called)
    known = {k: v for k, v in options.items() if v is not np._NoValue}
    if known.pop("out", None) is not None:
        refuse(f"{called} writes into an array (out=)", "a symbol has no memory", "use the result")
    if known.get("where", False) is True:
        del known["where"]
    try:
        _signature(FUNCTIONS[function]).bind(*arguments, **known)
    except TypeError:
        no_meaning(called, known)
    return FUNCTIONS[function](*arguments, **known)


@functools.lru_cache(maxsize=256)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)
