"""Operands of Python expressions: symbols, numbers, arrays, brought into one program.

In: values that meet in one operation, axes as NumPy's functions take them. Out: terms or symbols.
Invariant: extents named alike are one extent; an axis of extent 1 broadcasts as in NumPy, axes pair up from
the right; an array becomes a tensor of the running trace, or is refused if there is none. A refusal shows
the innermost line of code outside this package, NumPy and SciPy.
"""

from __future__ import annotations

import linecache
import math
import operator
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from traceback import extract_tb
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

import numpy as np

from ...errors import DimensionError, EinderivError, NotationError
from ...notations import Context
from ...terms import (
    Delta,
    Dim,
    Expr,
    Ones,
    Shape,
    Subscript,
    Variable,
    add,
    contract,
    elementwise,
    extent,
    literal,
    power,
    transpose,
    united,
    whole,
)

# ---------------------------------------------------------------- refusals

_NUMPY = os.path.dirname(os.path.abspath(np.__file__))
_PACKAGE = os.path.join(str(Path(__file__).parents[2]), "")
_OURS = (_PACKAGE, _NUMPY + os.sep, os.path.join(os.path.dirname(_NUMPY), "scipy") + os.sep)


class ShapeAsDataError(NotationError):
    """A symbolic extent was needed as a number; concrete sizes would do."""


def refuse(
    message: str, fact: str, hint: str, kind: type[EinderivError] = NotationError
) -> NoReturn:
    """Raise the error for what a symbol was asked to do."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    here = frame and TracebackType(None, frame, frame.f_lasti, frame.f_lineno)
    raise locate(kind(message, facts=[fact], hint=hint), here)


def locate(error: EinderivError, traceback: TracebackType | None) -> EinderivError:
    """The error with the line of the user's code that it came through."""
    users = None
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_OURS):
            users = traceback
        traceback = traceback.tb_next
    if users is not None and error.source is None:
        (place,) = extract_tb(users, limit=1)
        line = linecache.getline(place.filename, place.lineno or 0)
        indent = len(line) - len(line.lstrip())
        error.source = place.line or "(no source)"
        start, end = indent, indent + len(error.source)
        if place.lineno == place.end_lineno and place.colno is not None:
            start, end = place.colno, place.end_colno or end
        error.spans = ((max(start - indent, 0), max(end - indent, 1)),)
        where = f"{place.filename}, line {place.lineno}, in {place.name}"
        error.facts = (where, *error.facts)
    return error


def is_ours(traceback: TracebackType | None) -> bool:
    """Did a line of this package, called by the user's, raise an exception?"""
    users, ours = False, False
    while traceback is not None:
        ours = traceback.tb_frame.f_code.co_filename.startswith(_PACKAGE)
        users = users or not ours
        traceback = traceback.tb_next
    return users and ours


# ---------------------------------------------------------------- symbols and numbers

Array = np.ndarray[Any, Any]

LETTERS = "ijklpqrstuvwabcdefghmnoxyz"


class Constants:
    """Tensors for the arrays that a function uses besides its arguments."""

    def __init__(self, dims: Mapping[int, Dim], context: Context) -> None:
        self.dims, self.context = dims, context
        self.variables = dict(context.variables)
        self.arrays: dict[str, Array] = {}
        self._known: dict[int, list[tuple[Array, str]]] = {}

    def constant(self, array: Array) -> Variable:
        """The tensor for an array with the entries it has now; the same one for the same array."""
        seen = self._known.setdefault(id(array), [])
        for _, name in seen:
            if np.array_equal(self.arrays[name], array, equal_nan=True):
                return self.variables[name]
        name = fresh_name(f"const{len(self.arrays) + 1}", self.variables)
        self.arrays[name] = array.astype(array.dtype if array.dtype.kind == "f" else float)
        self.variables[name] = Variable(name, tuple(self.dims.get(d, d) for d in array.shape))
        seen.append((array, name))  # held, so that its identity stays its own
        return self.variables[name]


def fresh_name(name: str, taken: Collection[str]) -> str:
    """The name, with as many _ behind it as make it new."""
    while name in taken:
        name += "_"
    return name


tracing: ContextVar[Constants | None] = ContextVar("tracing", default=None)


class Symbolic:
    """What Python code computes with: a term and the context of its program."""

    __slots__ = ("_context", "_indices", "_term")

    _term: Expr
    _indices: tuple[str, ...]
    _context: Context


def both_ways(function: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """The two methods of an operator: for the operand on the left, and for the one on the right."""
    return lambda self, other: function(self, other), lambda self, other: function(other, self)


def _arithmetic(function: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    return both_ways(lambda a, b: function(_symbol_of(a), _symbol_of(b)))


def _comparison(compare: Callable[[str, str], bool]) -> Any:
    """Extents are ordered by name outside a trace; inside, and by numbers, they are unknown."""
    return lambda size, other: (
        compare(size, other) if isinstance(other, str) and tracing.get() is None else size._refuse()
    )


class Size(str):
    """An extent as `x.shape` gives it: its name, which is a number in arithmetic.

    >>> Size("n", None) == "n", Size("n", None)
    (True, 'n')
    """

    __slots__ = ("owner",)
    owner: Any

    def __new__(cls, name: str, owner: Any) -> Self:
        size = super().__new__(cls, name)
        size.owner = owner
        return size

    @property
    def name(self) -> str:
        """The name alone."""
        return str.__str__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (self.name,)

    __hash__ = str.__hash__

    def _refuse(self) -> NoReturn:
        refuse(
            f"the extent {self.name} is used as a number that must be known",
            "shapes are symbolic here: an extent can be multiplied and divided, not counted",
            "write the loop with sums, products or einsum, or give the tensor axes of known size",
            ShapeAsDataError,
        )

    # NumPy takes what can be iterated over for a shape
    __iter__ = __index__ = __int__ = __float__ = __bool__ = _refuse
    __lt__ = _comparison(str.__lt__)
    __le__ = _comparison(str.__le__)
    __gt__ = _comparison(str.__gt__)
    __ge__ = _comparison(str.__ge__)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int | float | np.number) and tracing.get() is not None:
            if other in (0, 1):
                return False  # these extents have no names
            self._refuse()  # it may well be that number
        return isinstance(other, str) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def symbol(self) -> Any:
        """The extent as a scalar expression."""
        return self.owner._with(extent(self.name), ())

    def __add__(self, other: Any) -> Any:
        return self.name + other if type(other) is str else self.symbol() + other

    def __radd__(self, other: Any) -> Any:
        return other + self.name if type(other) is str else other + self.symbol()

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, list | tuple | bytes) or type(other) is str:
            self._refuse()  # it repeats them
        return self.symbol() * other

    __rmul__ = __mul__
    __sub__, __rsub__ = _arithmetic(operator.sub)
    __truediv__, __rtruediv__ = _arithmetic(operator.truediv)
    __pow__, __rpow__ = _arithmetic(operator.pow)

    def __neg__(self) -> Any:
        return -self.symbol()

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return getattr(function, method)(*map(_symbol_of, inputs), **options)


def _symbol_of(value: Any) -> Any:
    return value.symbol() if isinstance(value, Size) else value


def number(value: Any) -> Fraction | None:
    """A Python or NumPy number, exact as its decimals are; None for anything else.

    >>> number(0.1), number("x")
    (Fraction(1, 10), None)
    """
    if isinstance(value, np.ndarray | np.generic) and not value.ndim:
        value = value.item()
    if isinstance(value, bool | int | Fraction):
        return Fraction(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return Fraction(repr(value))
        if tracing.get() is not None:
            return None  # a tensor of the trace
        refuse(
            f"the number {value} stands in the expression",
            "terms hold finite numbers only",
            "leave it out, or give it as the value of a tensor",
        )
    return None


def operand(value: Any, context: Context) -> tuple[Expr, Context]:
    """The term of a value that meets a symbol, and its context."""
    if isinstance(value, Symbolic):
        return value._term, value._context
    if isinstance(value, Size):
        return extent(value.name), value.owner._context
    exact = number(value)
    if exact is not None:
        return literal(exact), context
    arrays = tracing.get()
    if isinstance(value, complex | np.complexfloating):
        refuse(
            "a complex number stands in the expression", "terms are real", "split it into two parts"
        )
    if isinstance(value, np.ndarray | list | tuple | float | np.floating):
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            refuse(
                f"an array of {array.dtype} meets a symbol",
                "only arrays of real numbers can take part",
                "use tensors for its entries, with sums or einsum instead of lists of symbols",
            )
        if arrays is not None:
            return arrays.constant(array), context
        refuse(
            "an array of numbers meets a symbol",
            "an expression holds names, and gets its arrays when it is called",
            "name it, as in A = ed.tensor('A[n,d]'), and pass the array as e(A=...)",
        )
    refuse(
        f"an object of type {type(value).__name__} meets a symbol",
        "numbers, symbols and arrays can take part in an expression",
        "convert it first",
    )


Operands = tuple[list[Expr], Any, Context]  # terms, a symbol to make results from, their context


def together(values: Sequence[Any]) -> Operands:
    """The terms of all values, a symbol to make results from, and the context of all."""
    owner = next(v for v in values if isinstance(v, Symbolic | Size))
    owner = owner.owner if isinstance(owner, Size) else owner
    pairs = [operand(value, owner._context) for value in values]
    contexts = list({id(context): context for _, context in pairs}.values())
    terms = [term for term, _ in pairs]
    if len(contexts) == 1:
        return terms, owner, owner._context
    variables: dict[str, Variable] = {}
    direct = True
    for context in contexts:
        for name, x in context.variables.items():
            named = all(isinstance(dim, int) or dim in context.declared for dim in x.shape)
            direct = direct and named and variables.setdefault(name, x) is x
    if (
        not direct
    ):  # declared extents named alike are one; letters of texts are so in one program only
        same = []
        for n, (_, context) in enumerate(pairs):
            for m, (_, other) in enumerate(pairs[:n]):
                dims: dict[Dim, None] = dict.fromkeys(sorted(context.declared & other.declared))
                if other is context:
                    dims |= dict.fromkeys(d for x in context.variables.values() for d in x.shape)
                same += [((m, dim), (n, dim)) for dim in dims if isinstance(dim, str)]
        terms, variables = united([(term, c.variables) for term, c in pairs], same)
    common = replace(contexts[0], variables=variables, name=None)
    for context in contexts[1:]:
        common = replace(
            common,
            assumptions={**common.assumptions, **context.assumptions},
            letters={**context.letters, **common.letters},
            definitions={**common.definitions, **context.definitions},
            declared=common.declared | context.declared,
        )
    return terms, owner, common


def joined_shapes(
    terms: list[Expr], context: Context, pairs: Sequence[tuple[Dim, Dim]], what: str
) -> tuple[list[Expr], Context]:
    """Terms in which extents that meet are one, unless both are declared."""
    for a, b in pairs:
        if all(isinstance(dim, int) or dim in context.declared for dim in (a, b)):
            refuse(
                f"{what}: the extents {a} and {b} meet and differ",
                "axes pair up from the right, and only an axis of extent 1 is repeated",
                "transpose one of them, add an axis with x[:, None], or declare both extents with one name",
                DimensionError,
            )
    programs = [(term, context.variables) for term in terms]
    joined, variables = united(programs, [((0, a), (0, b)) for a, b in pairs])
    return joined, replace(context, variables=variables)


# ---------------------------------------------------------------- products and sums


def agreeing(
    terms: list[Expr],
    context: Context,
    inputs: Sequence[Subscript],
    what: str,
    exact: Collection[int] = (),
) -> tuple[list[Expr], Context, dict[int, Dim]]:
    """Terms in which each label has one extent, or 1 if it is not in `exact`; these extents."""
    dims: dict[int, Dim] = {}
    clashes: list[tuple[Dim, Dim]] = []
    for term, labels in zip(terms, inputs, strict=True):
        for label, dim in zip(labels, term.shape, strict=True):
            known = dims.setdefault(label, dim)
            if known == 1 and label not in exact:
                dims[label] = dim
            elif dim != known and (dim != 1 or label in exact):
                clashes.append((known, dim))
    if not clashes:
        return terms, context, dims
    terms, context = joined_shapes(terms, context, clashes, what)
    return agreeing(terms, context, inputs, what, exact)


def contraction(
    operands: Operands,
    inputs: Sequence[Subscript],
    output: Subscript,
    what: str,
    exact: Collection[int] = (),
) -> Any:
    """The product of operands at their labels, summed over those that are not in `output`.

    An axis of extent 1 is repeated, but not at a label of `exact`.
    """
    terms, owner, context = operands
    terms, context, dims = agreeing(terms, context, inputs, what, exact)
    fresh, own = 1 + max(dims, default=0), []
    for term, labels in zip(terms, inputs, strict=True):
        if 1 not in term.shape:
            own.append(tuple(labels))
            continue
        kept = []
        for label, dim in zip(labels, term.shape, strict=True):
            repeated = dim == 1 != dims[label]  # its label is new and summed
            kept.append(fresh if repeated else label)
            fresh += repeated
        own.append(tuple(kept))
    return symbol_of(owner, contract(terms, own, output), context)


def _from_the_right(terms: Sequence[Expr]) -> tuple[list[Subscript], Subscript]:
    """Labels under which the axes of all terms pair up as NumPy broadcasts, and those of the result."""
    rank = max(term.rank for term in terms)
    return [tuple(range(rank - term.rank, rank)) for term in terms], tuple(range(rank))


def product(values: Sequence[Any], what: str = "*") -> Any:
    """The entry-by-entry product."""
    operands = together(values)
    return contraction(operands, *_from_the_right(operands[0]), what)


def align(values: Sequence[Any], what: str) -> tuple[list[Expr], Shape, Any, Context]:
    """The terms of values whose shapes broadcast, and the common shape."""
    terms, owner, context = together(values)
    inputs, axes = _from_the_right(terms)
    terms, context, dims = agreeing(terms, context, inputs, what)
    return terms, tuple(dims[axis] for axis in axes), owner, context


def stretch(term: Expr, shape: Shape) -> Expr:
    """A term repeated to `shape`."""
    if term.shape == shape:
        return term
    axes = tuple(range(len(shape)))
    labels = tuple(
        axis if dim == shape[axis] else len(shape) + axis  # an axis of 1 is summed
        for axis, dim in zip(axes[len(shape) - term.rank :], term.shape, strict=True)
    )
    lacking = [axis for axis in axes if axis not in labels]
    ones = [Ones(shape[axis]) for axis in lacking]
    return contract([term, *ones], [labels, *((axis,) for axis in lacking)], axes)


def total(values: Sequence[Any], signs: Sequence[int], what: str = "+") -> Any:
    """The sum, each value with a sign."""
    terms, shape, owner, context = align(values, what)
    full = [(sign, stretch(term, shape)) for sign, term in zip(signs, terms, strict=True)]
    return symbol_of(owner, add(full, shape), context)


def map_entries(function: str, *values: Any) -> Any:
    """An elementwise function; numbers and scalars are repeated."""
    terms, shape, owner, context = align(values, function)
    full = [term if not term.shape else stretch(term, shape) for term in terms]
    return symbol_of(owner, elementwise(function, full), context)


def raise_to(base: Any, exponent: Any) -> Any:
    """base ** exponent."""
    exact = number(exponent)
    if exact is not None and isinstance(base, Symbolic):
        return symbol_of(base, power(base._term, exact), base._context)
    return map_entries("pow", base, exponent)


def symbol_of(owner: Any, term: Expr, context: Context | None = None) -> Any:
    """A symbol for a term of the owner's program."""
    context = owner._context if context is None else context
    names = [letter for letter in LETTERS if letter not in context.declared][: term.rank]
    names += [f"i{k}" for k in range(term.rank - len(names))]
    return owner._with(term, tuple(names), context)


# ---------------------------------------------------------------- axes

Axis = int | Sequence[int] | None


def axes_of(axis: Axis, rank: int) -> tuple[int, ...]:
    """Axes as positions from the left."""
    chosen = (
        range(rank) if axis is None else (axis,) if isinstance(axis, int | np.integer) else axis
    )
    for k in chosen:
        if not -rank <= k < rank:
            refuse(
                f"axis {k} of something with {rank} axes",
                "axes are counted from 0, negative ones from the end",
                f"choose one from {-rank} to {rank - 1}" if rank else "leave the axis out",
            )
    return tuple(int(k) % rank for k in chosen)


def reduce_axes(name: str, x: Any, axis: Axis = None, keepdims: Any = False) -> Any:
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
    else:
        result = whole(name, transpose(term, (*rest, *over)), len(over)) if over else term
    return symbol_of(x, unit_axes(result, over, term.rank) if keepdims else result)


def unit_axes(term: Expr, places: Sequence[int], rank: int) -> Expr:
    """`term` with axes of extent 1 at `places` of the `rank` axes of the result."""
    rest = tuple(k for k in range(rank) if k not in places)
    ones = [Ones(1)] * len(places)
    return contract([term, *ones], [rest, *((k,) for k in places)], tuple(range(rank)))


def permute(x: Any, axes: Sequence[int] | None = None) -> Any:
    """np.transpose."""
    rank = x._term.rank
    order = tuple(range(rank))[::-1] if axes is None else axes_of(tuple(axes), rank)
    if sorted(order) != list(range(rank)):
        refuse(
            f"axes {tuple(axes or ())} of a transposition",
            f"there are {rank}",
            "name each one once",
        )
    return symbol_of(x, transpose(x._term, order))


def move_axes(x: Any, source: Axis, destination: Axis) -> Any:
    """np.moveaxis."""
    rank = x._term.rank
    start, end = axes_of(source, rank), axes_of(destination, rank)
    return permute(x, np.moveaxis(np.empty(range(rank)), start, end).shape)


def swap_axes(x: Any, a: int = -1, b: int = -2) -> Any:
    """np.swapaxes."""
    rank = x._term.rank
    first, second = (axes_of(axis, rank)[0] for axis in (a, b))
    return permute(x, np.swapaxes(np.empty(range(rank)), first, second).shape)


def expand_axes(x: Any, axis: Axis) -> Any:
    """np.expand_dims, of symbols and of arrays."""
    if not isinstance(x, Symbolic):
        return np.expand_dims(x, axis)  # type: ignore[arg-type]
    rank = x._term.rank + (1 if isinstance(axis, int) else len(axis or ()))
    return symbol_of(x, unit_axes(x._term, sorted(axes_of(axis, rank)), rank))


def squeeze_axes(x: Any, axis: Axis = None) -> Any:
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
    return symbol_of(x, contract([term], [tuple(range(term.rank))], rest))


def rank_of(x: Any) -> int:
    """The number of axes of a symbol or an array."""
    return int(x._term.rank) if isinstance(x, Symbolic) else int(np.ndim(x))


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """np.diagonal, the main one."""
    if offset:
        refuse(
            f"diagonal {offset} of an array", "only the main diagonal has one index", "use offset 0"
        )
    rank = x._term.rank
    (a,), (b,) = axes_of(axis1, rank), axes_of(axis2, rank)
    labels = tuple(a if k == b else k for k in range(rank))
    output = (*(k for k in range(rank) if k not in (a, b)), a)
    return contraction(together([x]), [labels], output, "diagonal", labels)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """np.trace."""
    return reduce_axes("sum", diagonal(x, offset, axis1, axis2), -1)


def diag(x: Any, k: int = 0) -> Any:
    """np.diag."""
    if rank_of(x) == 2:
        return diagonal(x, k)
    if k or rank_of(x) != 1:
        refuse("diag off the main diagonal", "only the main diagonal has one index", "use k=0")
    return symbol_of(x, contract([x._term, Delta(x._term.shape[0])], [(0,), (0, 1)], (0, 1)))


def broadcast_to(x: Any, shape: Any, **_: Any) -> Any:
    """np.broadcast_to."""
    wanted = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    plain = tuple(int(d) if isinstance(d, int | np.integer) else str(d) for d in wanted)
    return symbol_of(x, stretch(x._term, plain))
