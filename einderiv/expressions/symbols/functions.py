"""NumPy's functions on symbols, by NumPy's own dispatch protocol.

In: a NumPy function with its arguments, some of them symbols. Out: a symbol.
Invariant: the meaning is NumPy's (positional axes, broadcasting); nothing is evaluated. FUNCTIONS has a row
for each. Entry by entry: `python_ufuncs.py`; axes: `python_axes.py`; products: `python_products.py`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np

from ...notations import ELLIPSIS
from ...terms import Delta, Dim, Expr, contract, elementwise, extent, literal, power, whole
from .indexing import array_of_choices, is_known, picked
from .operands import (
    Axis,
    Symbolic,
    aligned,
    axes_of,
    broadcast_to,
    diag,
    diagonal,
    expanded,
    is_same_but_for_ones,
    joined_shapes,
    made,
    mapped,
    moved,
    number,
    ones,
    operand,
    permuted,
    product,
    raised,
    rank_of,
    reduced,
    refuse,
    squeezed,
    stretched,
    swapped,
    together,
    total,
    trace,
    tracing,
    with_axes_behind,
    with_axes_of_one,
)

# Products of symbols that sum: matmul, dot, tensordot, einsum.
#
# In: symbols, numbers and arrays as NumPy's functions take them. Out: symbols.
# Invariant: one contraction each; the extents that are summed together are one extent.


def matmul(a: Any, b: Any) -> Any:
    """a @ b: 1-d, 2-d and stacks of matrices."""
    (x, y), owner, context = together([a, b])
    if not x.rank or not y.rank:
        refuse("a matrix product @ with a number", "both sides need an axis", "write *")
    inner = (x.shape[-1], y.shape[-2 if y.rank > 1 else 0])
    if inner[0] != inner[1]:
        (x, y), context = joined_shapes([x, y], context, [inner], "@")
    left, right = x.shape[:-2], y.shape[:-2]
    if left and right:
        batch = aligned([made(owner, ones(left), context), made(owner, ones(right), context)], "@")[
            1
        ]
    else:
        batch = left or right
    x = stretched(x, (*batch, *x.shape[-2:])) if left and left != batch else x
    y = stretched(y, (*batch, *y.shape[-2:])) if right and right != batch else y
    count = len(batch)
    row, column, summed = count, count + 1, count + 2
    labels_x = (*range(count), row, summed)[-x.rank :] if x.rank > 1 else (summed,)
    labels_y = (*range(count), summed, column)[-y.rank :] if y.rank > 1 else (summed,)
    output = (*range(count), *([row] if x.rank > 1 else []), *([column] if y.rank > 1 else []))
    return made(owner, contract([x, y], [labels_x, labels_y], output), context)


def pairs_product(a: Any, b: Any, over: Sequence[tuple[int, int]], what: str) -> Any:
    """A product summed over pairs of axes; the other axes of a, then those of b."""
    (x, y), owner, context = together([a, b])
    clashes = [(x.shape[i], y.shape[j]) for i, j in over if x.shape[i] != y.shape[j]]
    if clashes:
        (x, y), context = joined_shapes([x, y], context, clashes, what)
    labels_x = tuple(range(x.rank))
    names = {j: labels_x[i] for i, j in over}
    labels_y = tuple(names.get(j, x.rank + j) for j in range(y.rank))
    summed = set(names.values())
    output = tuple(k for k in (*labels_x, *labels_y) if k not in summed)
    return made(owner, contract([x, y], [labels_x, labels_y], output), context)


def dot(a: Any, b: Any) -> Any:
    """np.dot."""
    if not rank_of(a) or not rank_of(b):
        return product([a, b])
    return pairs_product(a, b, [(rank_of(a) - 1, max(rank_of(b) - 2, 0))], "dot")


def inner(a: Any, b: Any) -> Any:
    if not rank_of(a) or not rank_of(b):
        return product([a, b])
    return pairs_product(a, b, [(rank_of(a) - 1, rank_of(b) - 1)], "inner")


def vdot(a: Any, b: Any) -> Any:
    if rank_of(a) != rank_of(b):
        refuse("vdot of different ranks", "both are flattened", "sum a product instead")
    return reduced("sum", product([a, b]))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if isinstance(axes, int):
        count = rank_of(a)
        return pairs_product(a, b, [(count - axes + k, k) for k in range(axes)], "tensordot")
    left, right = ((k,) if isinstance(k, int) else tuple(k) for k in axes)
    pairs = zip(axes_of(left, rank_of(a)), axes_of(right, rank_of(b)), strict=True)
    return pairs_product(a, b, list(pairs), "tensordot")


def outer(a: Any, b: Any) -> Any:
    if rank_of(a) != 1 or rank_of(b) != 1:
        refuse("outer of something that is no vector", "it flattens what it gets", "use einsum")
    return pairs_product(a, b, [], "outer")


def einsum(subscripts: Any, *operands: Any, **_: Any) -> Any:
    """np.einsum, with a string or with lists of labels; every label has one extent."""
    if isinstance(subscripts, str):
        from ...notations import read_subscripts

        equation = read_subscripts(subscripts)
        terms, owner, context = together(operands)
        inputs, output = equation.resolve([term.rank for term in terms])
    else:
        given = (subscripts, *operands)
        arrays, lists = given[0::2][: len(given) // 2], given[1::2]
        terms, owner, context = together(arrays)
        places = {
            label: k for k, label in enumerate(dict.fromkeys(x for own in lists for x in own))
        }
        if ELLIPSIS in places or Ellipsis in places:
            refuse("einsum with lists and an ellipsis", "its axes have no labels", "use a string")
        inputs = tuple(tuple(places[x] for x in own) for own in lists)
        counts = [x for own in inputs for x in own]
        output = tuple(
            [places[x] for x in given[-1]]
            if len(given) % 2
            else sorted(x for x in set(counts) if counts.count(x) == 1)
        )
    dims: dict[int, Dim] = {}
    clashes: list[tuple[Dim, Dim]] = []
    for term, labels in zip(terms, inputs, strict=True):
        for label, dim in zip(labels, term.shape, strict=True):
            known = dims.setdefault(label, dim)
            if known == 1:
                dims[label] = dim
            elif dim not in (1, known):
                clashes.append((known, dim))
    if clashes:
        terms, context = joined_shapes(terms, context, clashes, "einsum")
        for term, labels in zip(terms, inputs, strict=True):
            dims.update((k, d) for k, d in zip(labels, term.shape, strict=True) if d != 1)
    fresh = 1 + max(dims, default=0)
    new_inputs = []
    for term, labels in zip(terms, inputs, strict=True):
        own = []
        for label, dim in zip(labels, term.shape, strict=True):
            repeated = dim == 1 and dims[label] != 1
            own.append(fresh if repeated else label)
            fresh += repeated
        new_inputs.append(tuple(own))
    return made(owner, contract(terms, new_inputs, output), context)


# NumPy's universal functions on symbols: what works entry by entry, and their reductions.
#
# In: a ufunc with its arguments, some of them symbols. Out: a symbol.
# Invariant: UFUNCS has a row for each function, by the name that NumPy or SciPy gives it.

HALF = Fraction(1, 2)


def quotient(a: Any, b: Any) -> Any:
    return product([a, raised(b, -1) if isinstance(b, Symbolic) else _inverse(b, a)], "/")


def _inverse(value: Any, owner: Any) -> Any:
    exact = number(value)
    if exact is not None:
        if not exact:
            refuse("a division by 0", "the divisor is the number 0", "divide by something else")
        return 1 / exact
    term, context = operand(value, owner._context)
    return made(owner, power(term, Fraction(-1)), context)


def _function(name: str) -> Callable[..., Any]:
    return lambda *arguments: mapped(name, arguments)


def _square_root(x: Any) -> Any:
    return raised(x, HALF)


def _squared_plus(x: Any, c: int) -> Any:
    return total([raised(x, 2), c], [1, 1])


def _logarithm(base: int) -> Callable[..., Any]:
    return lambda x: quotient(mapped("log", [x]), mapped("log", [made(x, literal(base))]))


def _turned(half_turn: int) -> Callable[..., Any]:
    """Angles whose half turn is 180, in radians; or those in radians, whose half turn is 1, in degrees."""

    def function(x: Any) -> Any:
        pi = made(x, elementwise("pi", []))
        if half_turn == 1:
            return quotient(product([x, 180]), pi)
        return product([x, pi, Fraction(1, half_turn)])

    return function


def _arcsinh(x: Any) -> Any:
    """+-log1p(y + y^2/(1 + sqrt(1 + y^2))) for y = |x|: no digits are lost on either side of 0."""
    below = mapped("lt", [x, 0])
    y = mapped("where", [below, product([x, -1]), x])
    slow = quotient(raised(y, 2), total([_square_root(_squared_plus(y, 1)), 1], [1, 1]))
    return product([mapped("where", [below, -1, 1]), mapped("log1p", [total([y, slow], [1, 1])])])


def _arccosh(x: Any) -> Any:
    """log1p(y + sqrt(y^2 + 2y)) for y = x - 1."""
    y = total([x, 1], [1, -1])
    root = _square_root(total([raised(y, 2), y, y], [1, 1, 1]))
    return mapped("log1p", [total([y, root], [1, 1])])


def _arctanh(x: Any) -> Any:
    minus = mapped("log1p", [product([x, -1])])
    return product([total([mapped("log1p", [x]), minus], [1, -1]), HALF])


def _holds(x: Any) -> Any:
    """1 where x is not 0: the truth of numbers."""
    return mapped("ne", [x, 0])


def _relative_entropy(x: Any, y: Any) -> Any:
    return product([x, total([mapped("log", [x]), mapped("log", [y])], [1, -1])])


def _log_beta(a: Any, b: Any) -> Any:
    gammas = [mapped("lgamma", [x]) for x in (a, b, total([a, b], [1, 1]))]
    return total(gammas, [1, 1, -1])


UFUNCS: dict[str, Callable[..., Any]] = {
    # arithmetic
    "add": lambda a, b: total([a, b], [1, 1]),
    "subtract": lambda a, b: total([a, b], [1, -1], "-"),
    "multiply": lambda a, b: product([a, b]),
    "divide": quotient,
    "negative": lambda a: product([a, -1]),
    "positive": lambda a: a,
    "conjugate": lambda a: a,  # terms are real
    "power": raised,
    "float_power": raised,
    "square": lambda a: raised(a, 2),
    "reciprocal": lambda a: raised(a, -1),
    "sqrt": _square_root,
    "cbrt": lambda a: product([mapped("sign", [a]), raised(mapped("abs", [a]), Fraction(1, 3))]),
    "hypot": lambda a, b: _square_root(total([raised(a, 2), raised(b, 2)], [1, 1])),
    # exponentials and logarithms
    "exp": _function("exp"),
    "exp2": lambda a: raised(2, a),
    "expm1": _function("expm1"),
    "log": _function("log"),
    "log2": _logarithm(2),
    "log10": _logarithm(10),
    "log1p": _function("log1p"),
    "logaddexp": lambda a, b: total([a, mapped("softplus", [total([b, a], [1, -1])])], [1, 1]),
    # trigonometric and hyperbolic functions
    "sin": _function("sin"),
    "cos": _function("cos"),
    "tan": _function("tan"),
    "arcsin": _function("asin"),
    "arccos": _function("acos"),
    "arctan": _function("atan"),
    "arctan2": _function("atan2"),
    "deg2rad": _turned(180),
    "radians": _turned(180),
    "rad2deg": _turned(1),
    "degrees": _turned(1),
    "sinh": _function("sinh"),
    "cosh": _function("cosh"),
    "tanh": _function("tanh"),
    "arcsinh": _arcsinh,
    "arccosh": _arccosh,
    "arctanh": _arctanh,
    # pieces and choices
    "absolute": _function("abs"),
    "fabs": _function("abs"),
    "sign": _function("sign"),
    "heaviside": lambda x, h: mapped(
        "where", [mapped("eq", [x, 0]), h, mapped("where", [mapped("gt", [x, 0]), 1, 0])]
    ),
    "maximum": _function("max"),
    "minimum": _function("min"),
    "fmax": _function("max"),
    "fmin": _function("min"),
    # conditions: 1 where they hold, else 0
    "less": _function("lt"),
    "less_equal": _function("le"),
    "greater": _function("gt"),
    "greater_equal": _function("ge"),
    "equal": _function("eq"),
    "not_equal": _function("ne"),
    "logical_not": lambda x: mapped("eq", [x, 0]),
    "logical_and": lambda a, b: product([_holds(a), _holds(b)]),
    "logical_or": lambda a, b: mapped("max", [_holds(a), _holds(b)]),
    "logical_xor": lambda a, b: mapped("ne", [_holds(a), _holds(b)]),
    # products of arrays
    "matmul": lambda a, b: matmul(a, b),
    "vecdot": lambda a, b: reduced("sum", product([a, b]), -1),
    # scipy.special
    "expit": _function("sigmoid"),
    "log_expit": lambda x: product([mapped("softplus", [product([x, -1])]), -1]),
    "logit": lambda x: total([mapped("log", [x]), mapped("log1p", [product([x, -1])])], [1, -1]),
    "erf": _function("erf"),
    "erfc": _function("erfc"),
    "ndtr": lambda x: product(
        [mapped("erfc", [product([x, -1, raised(made(x, literal(2)), -HALF)])]), HALF]
    ),
    "gammaln": _function("lgamma"),
    "loggamma": _function("lgamma"),
    "betaln": _log_beta,
    "psi": _function("digamma"),
    "digamma": _function("digamma"),
    "xlogy": lambda x, y: product([x, mapped("log", [y])]),
    "xlog1py": lambda x, y: product([x, mapped("log1p", [y])]),
    "entr": lambda x: product([x, mapped("log", [x]), -1]),
    "rel_entr": _relative_entropy,
    "kl_div": lambda x, y: total([_relative_entropy(x, y), x, y], [1, -1, 1]),
}

# ufuncs of bool arrays: the same rows
UFUNCS["bitwise_and"] = UFUNCS["logical_and"]
UFUNCS["bitwise_or"] = UFUNCS["logical_or"]
UFUNCS["bitwise_xor"] = UFUNCS["logical_xor"]
UFUNCS["invert"] = UFUNCS["logical_not"]

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
    given = {key: value for key, value in options.items() if key not in _WITHOUT_EFFECT}
    if given.get("out") is not None:
        refuse(
            f"np.{name} writes into an array (out=)",
            "a symbol has no memory to write into",
            f"use the result: y = np.{name}(x)",
        )
    given.pop("out", None)
    if given.get("where", True) is True:
        given.pop("where", None)
    if method == "reduce" and name in REDUCTIONS:
        axis, keepdims = given.pop("axis", 0), given.pop("keepdims", False)
        if not given:
            return reduced(REDUCTIONS[name], inputs[0], axis, keepdims)
    elif method == "outer" and name in UFUNCS and not given:
        a, b = inputs
        return UFUNCS[name](with_axes_behind(a, rank_of(b)), b)
    elif method == "__call__" and name in UFUNCS and not given:
        return UFUNCS[name](*inputs)
    no_meaning(f"np.{name}" + ("" if method == "__call__" else f".{method}"), given)


def no_meaning(call: str, options: Iterable[str] = ()) -> NoReturn:
    """Refuse a function, or what it is given."""
    refuse(
        f"{call} has no meaning for symbols" + (f" with {', '.join(options)}=" if options else ""),
        "supported are arithmetic, elementwise functions, sums, products of arrays, linear algebra",
        "rewrite it with these, or compute it beforehand and pass the result",
    )


# Symbols of known extents reshaped, reordered and put together, inside a function that is traced.
#
# In: symbols, numbers and arrays as NumPy's functions take them. Out: a symbol.
# Invariant: every entry of the result is one entry of an operand, or a sum of them, chosen by an array of
# zeros and ones (see `python_indexing.py`); symbols whose extents are names are refused.

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


# ----------------------------------------------------------------------


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
