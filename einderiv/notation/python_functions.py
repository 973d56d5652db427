"""NumPy's functions on symbols, by NumPy's own dispatch protocols.

In: a NumPy function or ufunc with its arguments, some of them symbols. Out: a symbol.
Invariant: the meaning is NumPy's (positional axes, broadcasting); nothing is evaluated. Two tables:
UFUNCS for what works entry by entry, FUNCTIONS for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..canonical import contract, extent, literal, power, transpose, whole
from ..expr import Delta, Dim, Expr, Ones, Shape
from .equations import ELLIPSIS
from .python_operands import (
    Symbolic,
    aligned,
    joined_shapes,
    made,
    mapped,
    number,
    operand,
    product,
    raise_extents,
    raised,
    stretched,
    together,
    total,
)
from .python_refusals import refuse

Axis = int | Sequence[int] | None


# ---------------------------------------------------------------- entry by entry


def _quotient(a: Any, b: Any) -> Any:
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


def _compare(name: str) -> Callable[..., Any]:
    return lambda a, b: mapped(name, [a, b])


UFUNCS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: total([a, b], [1, 1]),
    "subtract": lambda a, b: total([a, b], [1, -1], "-"),
    "multiply": lambda a, b: product([a, b]),
    "divide": _quotient,
    "power": raised,
    "float_power": raised,
    "negative": lambda a: product([a, -1]),
    "positive": lambda a: a,
    "square": lambda a: raised(a, 2),
    "reciprocal": lambda a: raised(a, -1),
    "sqrt": lambda a: raised(a, Fraction(1, 2)),
    "cbrt": lambda a: product([mapped("sign", [a]), raised(mapped("abs", [a]), Fraction(1, 3))]),
    "exp2": lambda a: raised(2, a),
    "log2": lambda a: _quotient(mapped("log", [a]), mapped("log", [_two(a)])),
    "log10": lambda a: _quotient(mapped("log", [a]), mapped("log", [product([_two(a), 5])])),
    "logaddexp": lambda a, b: total([a, mapped("softplus", [total([b, a], [1, -1])])], [1, 1]),
    "matmul": lambda a, b: matmul(a, b),
    "absolute": _function("abs"),
    "fabs": _function("abs"),
    "heaviside": lambda x, h: mapped(
        "where", [mapped("eq", [x, 0]), h, mapped("where", [mapped("gt", [x, 0]), 1, 0])]
    ),
    "maximum": _function("max"),
    "minimum": _function("min"),
    "fmax": _function("max"),
    "fmin": _function("min"),
    "less": _compare("lt"),
    "less_equal": _compare("le"),
    "greater": _compare("gt"),
    "greater_equal": _compare("ge"),
    "equal": _compare("eq"),
    "not_equal": _compare("ne"),
    "arcsin": _function("asin"),
    "arccos": _function("acos"),
    "arctan": _function("atan"),
    "arctan2": _function("atan2"),
    "arcsinh": lambda x: mapped("log", [total([x, raised(total([raised(x, 2), 1], [1, 1]), _HALF)], [1, 1])]),
    "arccosh": lambda x: mapped("log", [total([x, raised(total([raised(x, 2), 1], [1, -1]), _HALF)], [1, 1])]),
    "arctanh": lambda x: product([_quotient_log(x), _HALF]),
    "expit": _function("sigmoid"),
    "log_expit": lambda x: product([mapped("softplus", [product([x, -1])]), -1]),
    "gammaln": _function("lgamma"),
    "psi": _function("digamma"),
    "xlogy": lambda x, y: product([x, mapped("log", [y])]),
    "deg2rad": lambda x: product([x, mapped("pi", []) if False else _pi(x), Fraction(1, 180)]),
    "logical_not": lambda x: mapped("eq", [x, 0]),
    **{
        name: _function(name)
        for name in (
            "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sign",
            "erf", "erfc", "digamma",
        )
    },
}  # fmt: skip
_HALF = Fraction(1, 2)


def _two(owner: Any) -> Any:
    return made(owner, literal(2))


def _pi(owner: Any) -> Any:
    from ..canonical import elementwise

    return made(owner, elementwise("pi", []))


def _quotient_log(x: Any) -> Any:
    return mapped("log", [_quotient(total([1, x], [1, 1]), total([1, x], [1, -1]))])


REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logaddexp": "logsumexp",
}


def ufunc(function: np.ufunc, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """What `__array_ufunc__` answers."""
    name = function.__name__
    options = {key: value for key, value in options.items() if value is not None}
    if options.pop("out", None) is not None:
        refuse(
            f"np.{name} writes into an array (out=)",
            "a symbol has no memory to write into",
            "use the result: y = np." + name + "(x)",
        )
    if method == "reduce" and name in REDUCTIONS:
        return reduced(
            REDUCTIONS[name], inputs[0], options.get("axis", 0), options.get("keepdims", False)
        )
    if method == "outer" and name in UFUNCS:
        a, b = inputs
        return UFUNCS[name](
            _with_axes_behind(a, np.ndim(b) if not isinstance(b, Symbolic) else b._term.rank), b
        )
    where = options.pop("where", True)
    options = {k: v for k, v in options.items() if k not in ("dtype", "casting", "order", "subok")}
    if method != "__call__" or name not in UFUNCS or options or where is not True:
        call = f"np.{name}" + ("" if method == "__call__" else f".{method}")
        _no_meaning(call, options)
    return UFUNCS[name](*inputs)


def _no_meaning(call: str, options: object = None) -> None:
    refuse(
        f"{call} has no meaning for symbols" + (f" with {options}" if options else ""),
        "supported are arithmetic, elementwise functions, sums, products of arrays and linear algebra",
        "rewrite it with these, or compute it beforehand and pass the result",
    )


# ---------------------------------------------------------------- axes


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
        result = _unit_axes(result, over, term.rank)
    return made(x, result)


def _unit_axes(term: Expr, places: Sequence[int], rank: int) -> Expr:
    """`term` with axes of extent 1 at `places` of the `rank` axes of the result."""
    rest = [k for k in range(rank) if k not in places]
    return contract(
        [term, *(Ones(1) for _ in places)],
        [tuple(rest), *((place,) for place in places)],
        tuple(range(rank)),
    )


def _with_axes_behind(x: Any, count: int) -> Any:
    if not isinstance(x, Symbolic):
        return np.asarray(x)[(..., *[None] * count)]
    rank = x._term.rank
    return made(x, _unit_axes(x._term, range(rank, rank + count), rank + count))


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


def _moved(x: Any, source: Any, destination: Any) -> Any:
    rank = x._term.rank
    start, end = (
        axes_of(k if not isinstance(k, int) else (k,), rank) for k in (source, destination)
    )
    order = [k for k in range(rank) if k not in start]
    for place, axis in sorted(zip(end, start, strict=True)):
        order.insert(place, axis)
    return permuted(x, order)


def _swapped(x: Any, a: int, b: int) -> Any:
    rank = x._term.rank
    order = list(range(rank))
    (a,), (b,) = axes_of(a, rank), axes_of(b, rank)
    order[a], order[b] = order[b], order[a]
    return permuted(x, order)


def expanded(x: Any, axis: Axis) -> Any:
    """np.expand_dims."""
    count = 1 if isinstance(axis, int) else len(axis or ())
    rank = x._term.rank + count
    return made(x, _unit_axes(x._term, sorted(axes_of(axis, rank)), rank))


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


def reshaped(x: Any, *shape: Any) -> Any:
    """np.reshape where it only adds or drops axes of extent 1."""
    wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    old = [dim for dim in x._term.shape if dim != 1]
    new = [dim for dim in wanted if str(dim) != "1"]
    fits = len(old) == len(new) and sum(str(dim) == "-1" for dim in new) <= 1
    if not fits or any(str(b) not in ("-1", str(a)) for a, b in zip(old, new, strict=True)):
        refuse(
            f"a reshape of {_shown(x._term.shape)} to {_shown(tuple(wanted))}",
            "entries of tensors keep their indices; only axes of extent 1 come and go",
            "give the tensor the axes it is used with, or pass it in that shape",
        )
    flat = squeezed(x)._term
    places = [k for k, dim in enumerate(wanted) if str(dim) == "1"]
    return made(x, _unit_axes(flat, places, len(wanted)))


def _shown(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


# ---------------------------------------------------------------- products


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
        batch = aligned(
            [made(owner, _ones(left), context), made(owner, _ones(right), context)], "@"
        )[1]
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


def _ones(shape: Shape) -> Expr:
    axes = tuple(range(len(shape)))
    return contract([Ones(dim) for dim in shape], [(k,) for k in axes], axes)


def _pairs_product(a: Any, b: Any, over: Sequence[tuple[int, int]], what: str) -> Any:
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


def _rank(x: Any) -> int:
    return int(x._term.rank) if isinstance(x, Symbolic) else int(np.ndim(x))


def dot(a: Any, b: Any) -> Any:
    """np.dot."""
    if not _rank(a) or not _rank(b):
        return product([a, b])
    return _pairs_product(a, b, [(_rank(a) - 1, max(_rank(b) - 2, 0))], "dot")


def _inner(a: Any, b: Any) -> Any:
    if not _rank(a) or not _rank(b):
        return product([a, b])
    return _pairs_product(a, b, [(_rank(a) - 1, _rank(b) - 1)], "inner")


def _vdot(a: Any, b: Any) -> Any:
    if _rank(a) != _rank(b):
        refuse("vdot of different ranks", "both are flattened", "sum a product instead")
    return reduced("sum", product([a, b]))


def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if isinstance(axes, int):
        count = _rank(a)
        return _pairs_product(a, b, [(count - axes + k, k) for k in range(axes)], "tensordot")
    left, right = ((k,) if isinstance(k, int) else tuple(k) for k in axes)
    pairs = zip(axes_of(left, _rank(a)), axes_of(right, _rank(b)), strict=True)
    return _pairs_product(a, b, list(pairs), "tensordot")


def _outer(a: Any, b: Any) -> Any:
    if _rank(a) != 1 or _rank(b) != 1:
        refuse("outer of something that is no vector", "it flattens what it gets", "use einsum")
    return _pairs_product(a, b, [], "outer")


def _einsum(subscripts: Any, *operands: Any, **_: Any) -> Any:
    """np.einsum, with a string or with lists of labels; every label has one extent."""
    if isinstance(subscripts, str):
        from .subscripts import read_subscripts  # deferred: it loads the parser

        equation = read_subscripts(subscripts)
        terms, owner, context = together(operands)
        inputs, output = equation.resolved([term.rank for term in terms])
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


# ---------------------------------------------------------------- the rest


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


def _trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return reduced("sum", diagonal(x, offset, axis1, axis2), -1)


def _diag(x: Any, k: int = 0) -> Any:
    if _rank(x) == 2:
        return diagonal(x, k)
    if k or _rank(x) != 1:
        refuse("diag off the main diagonal", "only the main diagonal has one index", "use k=0")
    term = x._term
    return made(x, contract([term, Delta(term.shape[0])], [(0,), (0, 1)], (0, 1)))


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
    return _quotient(reduced("sum", square, axis, keepdims), total([count, ddof], [1, -1]))


def _norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    rank = _rank(x)
    vector = rank == 1 or isinstance(axis, int)
    if ord in (None, "fro") or (ord == 2 and vector):
        return raised(reduced("sum", raised(x, 2), axis, keepdims), _HALF)
    if vector and ord == 1:
        return reduced("sum", mapped("abs", [x]), axis, keepdims)
    if vector and ord == np.inf:
        return reduced("max", mapped("abs", [x]), axis, keepdims)
    return _no_meaning(f"np.linalg.norm with ord={ord!r} here")


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
        return product([fill, made(x, _ones(x._term.shape))])

    return function


def _average(x: Any, axis: Axis = None, weights: Any = None, **_: Any) -> Any:
    if weights is None:
        return reduced("mean", x, axis)
    return _quotient(
        reduced_any("sum", product([x, weights]), axis), reduced_any("sum", weights, axis)
    )


def reduced_any(name: str, x: Any, axis: Axis = None) -> Any:
    """A reduction of a symbol or of an array."""
    return reduced(name, x, axis) if isinstance(x, Symbolic) else getattr(np, name)(x, axis=axis)


def _reduction(name: str) -> Callable[..., Any]:
    def function(
        x: Any, axis: Axis = None, dtype: Any = None, out: Any = None, keepdims: Any = False
    ) -> Any:
        return reduced(name, x, axis, keepdims is True)

    return function


def _extreme(name: str) -> Callable[..., Any]:
    return lambda x, axis=None, out=None, keepdims=False: reduced(name, x, axis, keepdims is True)


def _broadcast_to(x: Any, shape: Any, **_: Any) -> Any:
    wanted = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    plain = tuple(int(d) if isinstance(d, int | np.integer) else str(d) for d in wanted)
    return made(x, stretched(x._term, plain))


def _clip(x: Any, low: Any = None, high: Any = None, **_: Any) -> Any:
    if low is not None:
        x = mapped("max", [x, low])
    return x if high is None else mapped("min", [x, high])


def _nothing_to_stack(name: str) -> Callable[..., Any]:
    def function(*_: Any, **__: Any) -> Any:
        refuse(
            f"np.{name} puts arrays together",
            "the parts of a tensor have no index of their own",
            "keep the parts apart and add what is computed from each, or pass one array",
        )

    return function


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _reduction("sum"),
    np.prod: _reduction("prod"),
    np.mean: _reduction("mean"),
    np.max: _extreme("max"),
    np.min: _extreme("min"),
    np.var: lambda x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, **_: _variance(
        x, axis, keepdims is True, ddof
    ),
    np.std: lambda x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, **_: raised(
        _variance(x, axis, keepdims is True, ddof), _HALF
    ),
    np.average: _average,
    np.ptp: lambda x, axis=None, **_: total(
        [reduced("max", x, axis), reduced("min", x, axis)], [1, -1]
    ),
    np.dot: dot,
    np.vdot: _vdot,
    np.inner: _inner,
    np.outer: _outer,
    np.tensordot: _tensordot,
    np.einsum: _einsum,
    np.trace: _trace,
    np.diagonal: diagonal,
    np.diag: _diag,
    np.transpose: permuted,
    np.swapaxes: _swapped,
    np.moveaxis: _moved,
    np.expand_dims: expanded,
    np.squeeze: squeezed,
    np.reshape: lambda x, shape, *_, **__: reshaped(x, shape),
    np.broadcast_to: _broadcast_to,
    np.where: _where,
    np.clip: _clip,
    np.copy: lambda x, *_, **__: x,
    np.zeros_like: _filled(0),
    np.ones_like: _filled(1),
    np.full_like: _filled(None),
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x._term.rank,
    np.tril: lambda x, k=0: (
        _matrix("tril")(x) if k == 0 else _no_meaning("np.tril off the diagonal")
    ),
    np.triu: lambda x, k=0: (
        _swapped(_matrix("tril")(_swapped(x, -1, -2)), -1, -2)
        if k == 0
        else _no_meaning("np.triu off the diagonal")
    ),
    np.linalg.inv: _matrix("inv"),
    np.linalg.det: _matrix("det"),
    np.linalg.cholesky: lambda a, **_: _matrix("cholesky")(a),
    np.linalg.slogdet: _slogdet,
    np.linalg.solve: _solve,
    np.linalg.norm: _norm,
    np.linalg.matrix_power: _matrix_power,
    np.linalg.multi_dot: lambda arrays, **_: _chained(arrays),
    **{
        getattr(np, name): _nothing_to_stack(name)
        for name in ("concatenate", "stack", "vstack", "hstack", "column_stack", "append", "block")
    },
}


def _chained(arrays: Sequence[Any]) -> Any:
    result = arrays[0]
    for x in arrays[1:]:
        result = dot(result, x)
    return result


def array_function(function: Any, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """What `__array_function__` answers."""
    if function not in FUNCTIONS:
        module = getattr(function, "__module__", "numpy").replace("numpy", "np")
        _no_meaning(f"{module}.{getattr(function, '__name__', function)}")
    known = {k: v for k, v in options.items() if v is not np._NoValue}  # type: ignore[attr-defined]
    if known.pop("out", None) is not None:
        refuse("a function writes into an array (out=)", "a symbol has no memory", "use the result")
    return FUNCTIONS[function](*arguments, **known)


__all__ = ["FUNCTIONS", "UFUNCS", "array_function", "raise_extents", "ufunc"]
