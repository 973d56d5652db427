"""Symbols in Python: operators, methods and indexing as NumPy arrays have them, and NumPy's functions.

In: Python code over symbols; a NumPy function with its arguments, by NumPy's own dispatch protocol.
Out: the same terms that a text gives; nothing is evaluated.
Invariant: the meaning is NumPy's (positional axes, broadcasting); what needs entries or known sizes is
refused with its line. UFUNCS has a row for each function of entries, by the name that NumPy or SciPy gives
it, FUNCTIONS one for each other function. Functions that move entries need known extents: zeros and ones
choose the entries.
"""

from __future__ import annotations

import functools
import inspect
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, NoReturn

import numpy as np

from ...notations import ELLIPSIS
from ...terms import ELEMENTWISE, Delta, contract, elementwise, extent, literal, power, whole
from .indexing import (
    Indexed,
    array_of_choices,
    check_number_of_choices,
    is_known,
    pick,
    with_new_axes,
)
from .operands import (
    Array,
    Axis,
    ShapeAsDataError,
    Size,
    Symbolic,
    axes_of,
    both_ways,
    broadcast_to,
    contraction,
    diag,
    diagonal,
    expand_axes,
    joined_shapes,
    map_entries,
    move_axes,
    number,
    operand,
    permute,
    product,
    raise_to,
    rank_of,
    reduce_axes,
    refuse,
    squeeze_axes,
    stretch,
    swap_axes,
    symbol_of,
    together,
    total,
    trace,
    tracing,
    unit_axes,
)

HALF = Fraction(1, 2)


def no_meaning(call: str, options: Iterable[str] = ()) -> NoReturn:
    """Refuse a function, or what it is given."""
    refuse(
        f"{call} has no meaning for symbols" + (f" with {', '.join(options)}=" if options else ""),
        "supported are arithmetic, elementwise functions, sums, products of arrays, linear algebra",
        "rewrite it with these, or compute it beforehand and pass the result",
    )


# ---------------------------------------------------------------- products that sum


def matmul(a: Any, b: Any) -> Any:
    """a @ b: 1-d, 2-d and stacks of matrices."""
    operands = together([a, b])
    x, y = operands[0]
    if not x.rank or not y.rank:
        refuse("a matrix product @ with a number", "both sides need an axis", "write *")
    count = max(x.rank, y.rank, 2) - 2
    row, column, summed = count, count + 1, count + 2
    left = (*range(count), row, summed)[-x.rank :]
    right = (*range(count), summed, column)[-y.rank :] if y.rank > 1 else (summed,)
    output = tuple(k for k in range(summed) if k in left or k in right)
    return contraction(operands, [left, right], output, "@", [summed])


def pairs_product(a: Any, b: Any, over: Sequence[tuple[int, int]], what: str) -> Any:
    """A product summed over pairs of axes; the other axes of a, then those of b."""
    operands = together([a, b])
    x, y = operands[0]
    summed = {j: i for i, j in over}
    left = tuple(range(x.rank))
    right = tuple(summed.get(j, x.rank + j) for j in range(y.rank))
    output = tuple(k for k in (*left, *right) if k not in summed.values())
    return contraction(operands, [left, right], output, what, summed.values())


def dot(a: Any, b: Any) -> Any:
    """np.dot."""
    if not rank_of(a) or not rank_of(b):
        return product([a, b])
    return pairs_product(a, b, [(rank_of(a) - 1, max(rank_of(b) - 2, 0))], "dot")


def inner(a: Any, b: Any) -> Any:
    """np.inner."""
    if not rank_of(a) or not rank_of(b):
        return product([a, b])
    return pairs_product(a, b, [(rank_of(a) - 1, rank_of(b) - 1)], "inner")


def vdot(a: Any, b: Any) -> Any:
    """np.vdot."""
    if rank_of(a) != rank_of(b):
        refuse("vdot of different ranks", "both are flattened", "sum a product instead")
    return reduce_axes("sum", product([a, b]))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """np.tensordot."""
    if isinstance(axes, int):
        axes = range(-axes, 0), range(axes)
    left, right = (axes_of(own, rank_of(x)) for own, x in zip(axes, (a, b), strict=True))
    return pairs_product(a, b, list(zip(left, right, strict=True)), "tensordot")


def outer(a: Any, b: Any) -> Any:
    """np.outer."""
    if rank_of(a) != 1 or rank_of(b) != 1:
        refuse("outer of something that is no vector", "it flattens what it gets", "use einsum")
    return pairs_product(a, b, [], "outer")


def einsum(subscripts: Any, *operands: Any, **_: Any) -> Any:
    """np.einsum, with a string or with lists of labels; every label has one extent."""
    if isinstance(subscripts, str):
        from ...notations import read_subscripts

        given = together(operands)
        inputs, output = read_subscripts(subscripts).resolve([term.rank for term in given[0]])
        return contraction(given, inputs, output, "einsum")
    both = (subscripts, *operands)
    lists = both[1::2]
    number = {label: k for k, label in enumerate(dict.fromkeys(x for own in lists for x in own))}
    if ELLIPSIS in number or Ellipsis in number:
        refuse("einsum with lists and an ellipsis", "its axes have no labels", "use a string")
    inputs = tuple(tuple(number[x] for x in own) for own in lists)
    every = [label for own in inputs for label in own]
    output = tuple(x for x in sorted(set(every)) if every.count(x) == 1)
    if len(both) % 2:
        output = tuple(number[x] for x in both[-1])
    return contraction(together(both[0::2][: len(lists)]), inputs, output, "einsum")


# ---------------------------------------------------------------- entry by entry


def quotient(a: Any, b: Any) -> Any:
    """a / b."""
    if isinstance(b, Symbolic):
        return product([a, raise_to(b, -1)], "/")
    exact = number(b)
    if exact is None:
        term, context = operand(b, a._context)
        return product([a, symbol_of(a, power(term, Fraction(-1)), context)], "/")
    if not exact:
        refuse("a division by 0", "the divisor is the number 0", "divide by something else")
    return product([a, 1 / exact], "/")


def _logarithm(base: int) -> Callable[..., Any]:
    return lambda x: quotient(
        map_entries("log", x), map_entries("log", symbol_of(x, literal(base)))
    )


def _radians(x: Any) -> Any:
    return product([x, symbol_of(x, elementwise("pi", [])), Fraction(1, 180)])


def _degrees(x: Any) -> Any:
    return quotient(product([x, 180]), symbol_of(x, elementwise("pi", [])))


def _arcsinh(x: Any) -> Any:
    """+-log1p(y + y^2/(1 + sqrt(1 + y^2))) for y = |x|: no digits are lost on either side of 0."""
    y = map_entries("where", x < 0, -x, x)
    slow = y**2 / ((y**2 + 1) ** HALF + 1)
    return map_entries("where", x < 0, -1, 1) * map_entries("log1p", y + slow)


def _arccosh(x: Any) -> Any:
    """log1p(y + sqrt(y^2 + 2y)) for y = x - 1."""
    y = x - 1
    return map_entries("log1p", y + total([y**2, y, y], [1, 1, 1]) ** HALF)


def _holds(x: Any) -> Any:
    """1 where x is not 0: the truth of numbers."""
    return map_entries("ne", x, 0)


def _heaviside(x: Any, h: Any) -> Any:
    return map_entries(
        "where", map_entries("eq", x, 0), h, map_entries("where", map_entries("gt", x, 0), 1, 0)
    )


def _relative_entropy(x: Any, y: Any) -> Any:
    return product([x, total([map_entries("log", x), map_entries("log", y)], [1, -1])])


def _log_beta(a: Any, b: Any) -> Any:
    gammas = [map_entries("lgamma", x) for x in (a, b, total([a, b], [1, 1]))]
    return total(gammas, [1, 1, -1])


_ALSO = {  # functions of SciPy, and second names in NumPy
    "fabs": "abs",
    "fmax": "max",
    "fmin": "min",
    "erf": "erf",
    "erfc": "erfc",
    "expit": "sigmoid",
    "gammaln": "lgamma",
    "loggamma": "lgamma",
    "psi": "digamma",
    "digamma": "digamma",
}
UFUNCS: dict[str, Callable[..., Any]] = {
    **{
        function.__name__: partial(map_entries, row.name)
        for row in ELEMENTWISE.values()
        if isinstance(function := getattr(np, row.numpy.rpartition(".")[2], None), np.ufunc)
    },
    **{name: partial(map_entries, function) for name, function in _ALSO.items()},
    # arithmetic
    "add": lambda a, b: total([a, b], [1, 1]),
    "subtract": lambda a, b: total([a, b], [1, -1], "-"),
    "multiply": lambda a, b: product([a, b]),
    "divide": quotient,
    "negative": lambda a: product([a, -1]),
    "positive": lambda a: a,
    "conjugate": lambda a: a,  # terms are real
    "power": raise_to,
    "float_power": raise_to,
    "square": lambda a: raise_to(a, 2),
    "reciprocal": lambda a: raise_to(a, -1),
    "sqrt": lambda a: raise_to(a, HALF),
    "cbrt": lambda a: map_entries("sign", a) * map_entries("abs", a) ** Fraction(1, 3),
    "hypot": lambda a, b: total([raise_to(a, 2), raise_to(b, 2)], [1, 1]) ** HALF,
    # exponentials, logarithms, angles
    "exp2": lambda a: raise_to(2, a),
    "log2": _logarithm(2),
    "log10": _logarithm(10),
    "logaddexp": lambda a, b: total([a, map_entries("softplus", total([b, a], [1, -1]))], [1, 1]),
    "deg2rad": _radians,
    "radians": _radians,
    "rad2deg": _degrees,
    "degrees": _degrees,
    "arcsinh": _arcsinh,
    "arccosh": _arccosh,
    "arctanh": lambda x: (map_entries("log1p", x) - map_entries("log1p", -x)) * HALF,
    "heaviside": _heaviside,
    # conditions: 1 where they hold, else 0
    "logical_not": lambda x: map_entries("eq", x, 0),
    "logical_and": lambda a, b: product([_holds(a), _holds(b)]),
    "logical_or": lambda a, b: map_entries("max", _holds(a), _holds(b)),
    "logical_xor": lambda a, b: map_entries("ne", _holds(a), _holds(b)),
    # products of arrays
    "matmul": matmul,
    "vecdot": lambda a, b: reduce_axes("sum", product([a, b]), -1),
    # scipy.special
    "log_expit": lambda x: -map_entries("softplus", -x),
    "logit": lambda x: map_entries("log", x) - map_entries("log1p", -x),
    "ndtr": lambda x: (
        map_entries("erfc", product([x, -1, raise_to(symbol_of(x, literal(2)), -HALF)])) * HALF
    ),
    "betaln": _log_beta,
    "xlogy": lambda x, y: product([x, map_entries("log", y)]),
    "xlog1py": lambda x, y: product([x, map_entries("log1p", y)]),
    "entr": lambda x: product([x, map_entries("log", x), -1]),
    "rel_entr": _relative_entropy,
    "kl_div": lambda x, y: total([_relative_entropy(x, y), x, y], [1, -1, 1]),
}
# ufuncs of bool arrays
UFUNCS["invert"] = UFUNCS["logical_not"]
UFUNCS |= {f"bitwise_{name}": UFUNCS[f"logical_{name}"] for name in ("and", "or", "xor")}

REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logaddexp": "logsumexp",
}
_WITHOUT_EFFECT = ("dtype", "casting", "order", "subok", "signature")


def ufunc(function: np.ufunc, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """What `__array_ufunc__` answers."""
    name = function.__name__
    given = _effective(f"np.{name}", options)
    given = {key: value for key, value in given.items() if key not in _WITHOUT_EFFECT}
    if method == "reduce" and name in REDUCTIONS:
        axis, keepdims = given.pop("axis", 0), given.pop("keepdims", False)
        if not given:
            return reduce_axes(REDUCTIONS[name], inputs[0], axis, keepdims)
    elif method in ("outer", "__call__") and name in UFUNCS and not given:
        if method == "outer":
            first, rank = inputs[0], rank_of(inputs[0])
            inputs = expand_axes(first, range(rank, rank + rank_of(inputs[1]))), inputs[1]
        return UFUNCS[name](*inputs)
    no_meaning(f"np.{name}" + ("" if method == "__call__" else f".{method}"), given)


def _effective(call: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that say something; an array to write into is refused."""
    if options.get("out") is not None:
        refuse(
            f"{call} writes into an array (out=)",
            "a symbol has no memory to write into",
            f"use the result: y = {call}(x)",
        )
    said = {key: value for key, value in options.items() if value is not np._NoValue}
    return {k: v for k, v in said.items() if k != "out" and not (k == "where" and v is True)}


# ---------------------------------------------------------------- entries in other places


def _check_known(name: str, arrays: Sequence[Any]) -> None:
    if not all(is_known(x) for x in arrays if isinstance(x, Symbolic)):
        refuse(
            f"np.{name} of symbols",
            "it needs extents that are known numbers, and entries one by one",
            "keep parts apart and add what comes of them, or pass the array in its final form",
        )


def _symbols(name: str, arrays: Sequence[Any], rank: int = 0, place: int = 0) -> list[Any]:
    """All of them as symbols of one program, with new axes at `place` until they have `rank`."""
    _check_known(name, arrays)
    _, owner, context = together([x for x in arrays if isinstance(x, Symbolic)])
    found = []
    for x in arrays:
        x = x if isinstance(x, Symbolic) else symbol_of(owner, operand(x, context)[0], context)
        while rank_of(x) < rank:
            x = expand_axes(x, min(place, rank_of(x)))
        found.append(x)
    return found


def rearrange(name: str, x: Any, function: Callable[[Array], Array]) -> Any:
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
    return symbol_of(x, term)


def _rearranging(function: Callable[..., Array]) -> Callable[..., Any]:
    """The row of a function of NumPy that moves or repeats entries."""
    return lambda x, *more, **options: rearrange(
        function.__name__, x, lambda places: function(places, *more, **options)
    )


def reshape_symbol(x: Any, *shape: Any, order: Any = "C") -> Any:
    """np.reshape; of symbols with symbolic extents only to add or drop axes of extent 1."""
    wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    old = [str(dim) for dim in x._term.shape if dim != 1]
    new = [str(dim) for dim in wanted if str(dim) != "1"]
    if len(old) == len(new) and new.count("-1") < 2:
        if all(b in ("-1", a) for a, b in zip(old, new, strict=True)):
            places = [k for k, dim in enumerate(wanted) if str(dim) == "1"]
            return symbol_of(x, unit_axes(squeeze_axes(x)._term, places, len(wanted)))
    if is_known(x):
        return rearrange("reshape", x, lambda a: a.reshape(wanted, order=order))
    before, after = (f"({', '.join(map(str, dims))})" for dims in (x._term.shape, wanted))
    refuse(
        f"a reshape of {before} to {after}",
        "entries of tensors keep their indices; only axes of extent 1 come and go",
        "give the tensor the axes it is used with, or pass it in that shape",
    )


def _along(x: Any, axis: int, matrix: Array) -> Any:
    """The matrix times x along an axis."""
    running = tracing.get()
    assert running is not None
    labels = tuple(range(x._term.rank))
    output = tuple(len(labels) if k == axis else k for k in labels)
    factors = [running.constant(matrix), x._term]
    return symbol_of(x, contract(factors, [(len(labels), axis), labels], output))


def _combined_along(name: str, x: Any, axis: int, function: Callable[[Array], Array]) -> Any:
    """What a linear function of NumPy makes of the entries along an axis; it gets the identity."""
    _check_known(name, [x])
    (place,) = axes_of(axis, x._term.rank)
    size = x._term.shape[place]
    check_number_of_choices(size, size)
    return _along(x, place, function(np.eye(size)))


def _cumulative_sum(x: Any, axis: int | None = None, **_: Any) -> Any:
    """np.cumsum."""
    if axis is None:
        x, axis = rearrange("cumsum", x, np.ravel), 0
    return _combined_along("cumsum", x, axis, lambda entries: np.cumsum(entries, axis=0))


def concatenate(arrays: Sequence[Any], axis: int | None = 0, **_: Any) -> Any:
    """np.concatenate: each array placed along the axis by zeros and ones, then added."""
    symbols = _symbols("concatenate", arrays)
    if axis is None:
        symbols, axis = [rearrange("ravel", x, np.ravel) for x in symbols], 0
    (place,) = axes_of(axis, symbols[0]._term.rank)
    shapes = [x._term.shape for x in symbols]
    if len({(*shape[:place], *shape[place + 1 :]) for shape in shapes}) > 1:
        refuse(
            f"np.concatenate of the shapes {', '.join(map(str, shapes))}",
            f"they agree in every axis but {place}",
            "bring them into such shapes",
        )
    ends = np.cumsum([shape[place] for shape in shapes])
    columns = np.split(np.eye(int(ends[-1])), ends[:-1], axis=1)
    parts = [_along(x, place, own) for x, own in zip(symbols, columns, strict=True)]
    return total(parts, [1] * len(parts)) if len(parts) > 1 else parts[0]


def _side_by_side(arrays: Sequence[Any], **_: Any) -> Any:
    """np.hstack."""
    parts = _symbols("hstack", arrays, 1)
    return concatenate(parts, 0 if rank_of(parts[0]) == 1 else 1)


# ---------------------------------------------------------------- other functions


def _where(condition: Any, *choices: Any) -> Any:
    if len(choices) != 2:
        refuse(
            "where without two choices",
            "which entries fulfil a condition depends on the data",
            "write np.where(condition, a, b)",
        )
    if isinstance(condition, Symbolic):
        condition = _holds(condition)
    else:
        condition = np.asarray(condition, float) if np.ndim(condition) else int(bool(condition))
    return map_entries("where", condition, *choices)


def _variance(
    x: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: int = 0,
    keepdims: Any = False,
    **_: Any,
) -> Any:
    centred = total([x, reduce_axes("mean", x, axis, True)], [1, -1])
    square = product([centred, centred])
    if not ddof:
        return reduce_axes("mean", square, axis, keepdims)
    sizes = [symbol_of(x, extent(x._term.shape[k])) for k in axes_of(axis, x._term.rank)]
    return reduce_axes("sum", square, axis, keepdims) / (product(sizes) - ddof)


def _norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    vector = rank_of(x) == 1 or isinstance(axis, int)
    if ord in (None, "fro") or (ord == 2 and vector):
        return raise_to(reduce_axes("sum", raise_to(x, 2), axis, keepdims), HALF)
    if vector and ord in (1, np.inf):
        return reduce_axes("sum" if ord == 1 else "max", map_entries("abs", x), axis, keepdims)
    return no_meaning(f"np.linalg.norm with ord={ord!r} here")


def _matrix(name: str) -> Callable[..., Any]:
    """A function of whole matrices."""

    def function(a: Any, **_: Any) -> Any:
        term, context = a._term, a._context
        if term.rank < 2:
            refuse(
                f"{name} of something with {term.rank} axes",
                "it takes matrices",
                "give it two axes",
            )
        pair = term.shape[-2:]
        if pair[0] != pair[1]:
            (term,), context = joined_shapes([term], context, [pair], name)
        return symbol_of(a, whole(name, term), context)

    return function


SlogdetResult = namedtuple("SlogdetResult", ["sign", "logabsdet"])


def _slogdet(a: Any) -> Any:
    return SlogdetResult(map_entries("sign", _matrix("det")(a)), _matrix("logdet")(a))


def _solve(a: Any, b: Any) -> Any:
    (matrix, _), owner, context = together([a, b])
    return matmul(_matrix("inv")(symbol_of(owner, matrix, context)), b)


def _matrix_power(a: Any, n: int) -> Any:
    if n < 0:
        return _matrix_power(_matrix("inv")(a), -n)
    return functools.reduce(matmul, [a] * n) if n else symbol_of(a, Delta(a._term.shape[0]))


def _triangle(name: str, x: Any, k: int = 0) -> Any:
    if k:
        no_meaning(f"np.{name} off the diagonal")
    lower = _matrix("tril")
    return lower(x) if name == "tril" else swap_axes(lower(swap_axes(x)))


def _constant_like(value: Any) -> Callable[..., Any]:
    return lambda x, fill=value, *_, **__: product(
        [fill, symbol_of(x, stretch(literal(1), x._term.shape))]
    )


def _average(x: Any, axis: Axis = None, weights: Any = None, **_: Any) -> Any:
    if weights is None:
        return reduce_axes("mean", x, axis)
    return quotient(np.sum(product([x, weights]), axis=axis), np.sum(weights, axis=axis))


def _reduction(name: str) -> Callable[..., Any]:
    if name in ("max", "min"):
        return lambda x, axis=None, out=None, keepdims=False: reduce_axes(name, x, axis, keepdims)
    return lambda x, axis=None, dtype=None, out=None, keepdims=False: reduce_axes(
        name, x, axis, keepdims
    )


def _clip(
    x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None, **_: Any
) -> Any:
    for function, bounds in (("max", (a_min, min)), ("min", (a_max, max))):
        for bound in bounds:
            x = x if bound is None else map_entries(function, x, bound)
    return x


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    # reductions
    np.sum: _reduction("sum"),
    np.prod: _reduction("prod"),
    np.mean: _reduction("mean"),
    np.max: _reduction("max"),
    np.min: _reduction("min"),
    np.amax: _reduction("max"),
    np.amin: _reduction("min"),
    np.var: _variance,
    np.std: lambda x, *more, **options: raise_to(_variance(x, *more, **options), HALF),
    np.average: _average,
    np.ptp: lambda x, axis=None, **_: total(
        [reduce_axes("max", x, axis), reduce_axes("min", x, axis)], [1, -1]
    ),
    # products
    np.dot: dot,
    np.vdot: vdot,
    np.inner: inner,
    np.outer: outer,
    np.linalg.outer: outer,
    np.tensordot: tensordot,
    np.einsum: einsum,
    np.linalg.multi_dot: lambda arrays, **_: functools.reduce(dot, arrays),
    # axes
    np.trace: trace,
    np.linalg.trace: lambda x, offset=0, **_: trace(x, offset, -2, -1),
    np.diagonal: diagonal,
    np.diag: diag,
    np.transpose: permute,
    np.matrix_transpose: swap_axes,
    np.swapaxes: swap_axes,
    np.moveaxis: move_axes,
    np.expand_dims: expand_axes,
    np.squeeze: squeeze_axes,
    np.reshape: lambda x, shape, order="C", **_: reshape_symbol(x, shape, order=order),
    np.ravel: lambda x, order="C": reshape_symbol(x, -1, order=order),
    np.broadcast_to: broadcast_to,
    np.shape: lambda x: x.shape,
    np.size: lambda x, axis=None: x.size if axis is None else x.shape[axis],
    np.ndim: lambda x: x._term.rank,
    # entries
    np.where: _where,
    np.clip: _clip,
    np.copy: lambda x, *_, **__: x,
    np.real: lambda x: x,
    np.zeros_like: _constant_like(0),
    np.ones_like: _constant_like(1),
    np.full_like: _constant_like(None),
    np.tril: partial(_triangle, "tril"),
    np.triu: partial(_triangle, "triu"),
    # linear algebra
    np.linalg.inv: _matrix("inv"),
    np.linalg.det: _matrix("det"),
    np.linalg.cholesky: _matrix("cholesky"),
    np.linalg.slogdet: _slogdet,
    np.linalg.solve: _solve,
    np.linalg.norm: _norm,
    np.linalg.matrix_power: _matrix_power,
    # arrays of known extents
    np.concatenate: concatenate,
    np.stack: lambda arrays, axis=0, **_: concatenate(
        [expand_axes(x, axis) for x in _symbols("stack", arrays)], axis
    ),
    np.vstack: lambda arrays, **_: concatenate(_symbols("vstack", arrays, 2)),
    np.hstack: _side_by_side,
    np.column_stack: lambda arrays: concatenate(_symbols("column_stack", arrays, 2, 1), 1),
    np.append: lambda x, values, axis=None: concatenate([x, values], axis),
    np.cumsum: _cumulative_sum,
    np.diff: lambda x, n=1, axis=-1: _combined_along(
        "diff", x, axis, lambda entries: np.diff(entries, n, axis=0)
    ),
    **{f: _rearranging(f) for f in (np.flip, np.roll, np.repeat, np.tile, np.take)},
}


def array_function(function: Any, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """What `__array_function__` answers."""
    module = getattr(function, "__module__", "numpy").replace("numpy", "np")
    called = f"{module}.{getattr(function, '__name__', function)}"
    if function not in FUNCTIONS:
        no_meaning(called)
    known = _effective(called, options)
    try:
        _signature(FUNCTIONS[function]).bind(*arguments, **known)
    except TypeError:
        no_meaning(called, known)
    return FUNCTIONS[function](*arguments, **known)


@functools.lru_cache(maxsize=256)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


# ---------------------------------------------------------------- symbols as arrays

_NUMBERS = (int, float, complex, np.generic, np.ndarray, list, tuple)


def _method(function: Any, meaning: str = "") -> Any:
    """A function of NumPy as a method of arrays."""

    def method(self: Any, *arguments: Any, **options: Any) -> Any:
        return function(self, *arguments, **options)

    method.__name__, method.__doc__ = function.__name__, meaning or f"As numpy.{function.__name__}."
    return method


def _refusal(message: str, fact: str, hint: str) -> Any:
    """A method that no symbol has."""

    def method(self: Any, *_: Any, **__: Any) -> NoReturn:
        refuse(message, fact, hint)

    method.__doc__ = f"Refused: {fact}."
    return method


def _without_value(what: str) -> Any:
    return _refusal(
        f"{what} needs the value of a symbol",
        "a symbol stands for arrays that come later",
        "leave the conversion out, or compute it beforehand and pass the result",
    )


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
        return product([symbol_of(self, contract([], [], ())), *sizes])

    @property
    def T(self) -> Any:
        """The transpose: axes reversed."""
        return permute(self)

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        return permute(self, (*range(self.ndim - 2), self.ndim - 1, self.ndim - 2))

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

    def _compare(self, other: object, name: str) -> Any:
        """While a function is traced, == and != are those of arrays."""
        if tracing.get() is not None and isinstance(other, (Symbolic, *_NUMBERS)):
            return UFUNCS[name](self, other)
        return None

    __floordiv__ = __rfloordiv__ = _refusal(
        "a whole quotient //", "it is constant between jumps", "use /, or compute it beforehand"
    )
    __mod__ = __rmod__ = _refusal("a remainder %", "no term stands for it", "compute it beforehand")

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
        return permute(self, chosen or None)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """Adds or drops axes of extent 1; any other shape is refused where extents are symbolic."""
        return reshape_symbol(self, *shape, order=order)

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

    item = tolist = _without_value("item()")

    # ------------------------------------------------------------ indexing

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if keys and all(isinstance(k, str) for k in keys):
            return Indexed.access(self, keys)
        return pick(self, keys) if is_known(self) else with_new_axes(self, keys)

    __setitem__ = _refusal(
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

    __bool__ = _refusal(
        "a branch on the value of a symbol",
        "which way it goes depends on the data",
        "write np.where(condition, a, b), which keeps both",
    )
    __array__ = _without_value("a NumPy array")
    __float__ = _without_value("float()")
    __int__ = _without_value("int()")
    __complex__ = _without_value("complex()")
    __index__ = _without_value("an index or a count")
