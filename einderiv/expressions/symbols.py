"""Symbols in Python: operators, methods, indices as NumPy's arrays have them, and NumPy's functions.

In: Python code over symbols, numbers and arrays; NumPy's functions by its own dispatch protocol.
Out: the same terms that a text gives; nothing is evaluated. `Indexed`: products with named axes.
Invariant: the meaning is NumPy's: axes pair up from the right, one of extent 1 is repeated. Extents named
alike are one extent. What needs entries or known sizes is refused with the user's line of code.
Long because operators, indices and functions lean on one another.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import math
import operator
import os
import sys
from collections import Counter, namedtuple
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from traceback import extract_tb, walk_tb
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

import numpy as np

from ..errors import DimensionError, EinderivError, NotationError
from ..notations import Context, read_subscripts
from ..programs import string_and_operands
from ..terms import (
    ELEMENTWISE,
    WHOLE,
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
    unite,
    whole,
)

# ---------------------------------------------------------------- refusals

_NUMPY = os.path.dirname(os.path.abspath(np.__file__))
_PACKAGE = os.path.join(str(Path(__file__).parents[1]), "")
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
    users = [p for p in extract_tb(traceback) if not p.filename.startswith(_OURS)]
    if users and error.source is None:
        place = users[-1]
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
    ours = [frame.f_code.co_filename.startswith(_PACKAGE) for frame, _ in walk_tb(traceback)]
    return any(ours[-1:]) and not all(ours)


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
    named = [(c, name, x) for c in contexts for name, x in c.variables.items()]
    if not all(
        all(isinstance(dim, int) or dim in context.declared for dim in x.shape)
        and variables.setdefault(name, x) is x
        for context, name, x in named
    ):  # declared extents named alike are one; letters of texts are so in one program only
        same = []
        for n, (_, context) in enumerate(pairs):
            for m, (_, other) in enumerate(pairs[:n]):
                dims: dict[Dim, None] = dict.fromkeys(sorted(context.declared & other.declared))
                if other is context:
                    dims |= dict.fromkeys(d for x in context.variables.values() for d in x.shape)
                same += [((m, dim), (n, dim)) for dim in dims if isinstance(dim, str)]
        terms, variables = unite([(term, c.variables) for term, c in pairs], same)
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
    joined, variables = unite(programs, [((0, a), (0, b)) for a, b in pairs])
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


# ---------------------------------------------------------------- named axes


class Indexed:
    """A product of symbols with named axes, summed when it is used as a whole.

    It follows the summation convention: a product sums the indices that it has twice; a sum closes its
    terms; `p["i"]` after a product keeps i, as a left-hand side does.
    """

    __slots__ = ("factors",)

    def __init__(self, *factors: tuple[Any, tuple[str, ...]]) -> None:
        self.factors = factors
        names = [name for _, own in factors for name in own]
        if len(set(names)) < len(names):
            self.expression()  # extents that differ are refused here, where they meet

    def __getitem__(self, key: Any) -> Any:
        """The expression whose axes are the named indices, in this order; these are not summed."""
        names = key if isinstance(key, tuple) else (key,)
        free = self.free
        every = list(dict.fromkeys(name for _, own in self.factors for name in own))
        if not set(free) <= set(names) <= set(every) or len(set(names)) < len(names):
            refuse(
                f"the indices {', '.join(names)} of a product whose free ones are {', '.join(free)}",
                "all free indices and none else stand on the left",
                "name each free index once",
            )
        inputs = [tuple(map(every.index, own)) for _, own in self.factors]
        operands = together([x for x, _ in self.factors])
        output = tuple(map(every.index, names))
        x = contraction(operands, inputs, output, "index", range(len(every)))
        context = x._context
        if tracing.get() is None:  # the letters that printers use for extents
            letters = dict(context.letters)
            for place, name in enumerate(every):
                dim = next(
                    dim
                    for term, labels in zip(operands[0], inputs, strict=True)
                    for label, dim in zip(labels, term.shape, strict=True)
                    if label == place
                )
                if name not in letters.get(dim, ()):
                    letters[dim] = (*letters.get(dim, ()), name)
            context = replace(context, letters=letters)
        return x._with(x._term, names, context)

    @property
    def free(self) -> tuple[str, ...]:
        """Indices that the product has once."""
        count = Counter(name for _, names in self.factors for name in names)
        return tuple(name for name, times in count.items() if times == 1)

    def expression(self) -> Any:
        """The expression: its axes are the free indices in order of appearance."""
        return self[self.free]

    def _with_indices(self, other: Any) -> Indexed:
        """The other operand; a number or a scalar has no indices, a symbol with axes needs them."""
        if isinstance(other, Indexed):
            return other
        if isinstance(other, Symbolic) and other._term.rank:
            refuse(
                f"a symbol with {other._term.rank} axes stands without indices beside indexed ones",
                "index notation names every axis",
                "write its indices, as in Y['a']",
            )
        owner = self.factors[0][0]
        if not isinstance(other, Symbolic):
            other = owner._with(together([other, owner])[0][0], ())
        return Indexed((other, ()))

    # ------------------------------------------------------------ arithmetic

    def __mul__(self, other: Any) -> Any:
        return Indexed(*self.factors, *self._with_indices(other).factors)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self * self._with_indices(other) ** -1

    def __rtruediv__(self, other: Any) -> Any:
        return self**-1 * other

    def __neg__(self) -> Any:
        return self * -1

    def __pow__(self, exponent: Any) -> Any:
        return Indexed((self.expression() ** exponent, self.free))

    def __add__(self, other: Any) -> Any:
        return self._plus(other, 1)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._plus(other, -1)

    def __rsub__(self, other: Any) -> Any:
        return (-self)._plus(other, 1)

    def _plus(self, other: Any, sign: int) -> Any:
        parts = self, self._with_indices(other)
        names, own = (part.free for part in parts)
        if own and names and set(own) != set(names):
            refuse(
                f"a sum of terms with the indices {', '.join(names)} and {', '.join(own)}",
                "the terms of a sum have the same free indices",
                "sum the others, or multiply by ones",
            )
        axes = names or own
        terms, owner, context = together([p[axes if p.free else ()] for p in parts])
        inputs = [tuple(range(term.rank)) for term in terms]
        (a, b), context, dims = agreeing(terms, context, inputs, "+", range(len(axes)))
        shape = tuple(dims[axis] for axis in range(len(axes)))
        both = add([(1, stretch(a, shape)), (sign, stretch(b, shape))], shape)
        return Indexed((owner._with(both, axes, context), axes))

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
    sources = [np.broadcast_to(own, shape)[keys] for own in np.indices(shape, sparse=True)]
    return _entries_at(x, sources, np.broadcast_to(0, shape)[keys].shape)


def _entries_at(x: Any, places: Sequence[Array], shape: tuple[int, ...]) -> Any:
    """The array of `shape` with the entries of x at `places`, which has an array of indices for each axis.

    By products with zeros and ones: an infinite entry makes those picked beside it nan.
    """
    rank, labels = len(shape), []
    factors: list[Expr] = [x._term]
    inputs: list[tuple[int, ...]] = []
    for axis, (own, size) in enumerate(zip(places, x._term.shape, strict=True)):
        along = tuple(
            k
            for k, count in enumerate(own.shape)
            if count != 1 and (not own.size or (own != own.take([0], k)).any())
        )
        own = own[tuple(slice(None) if k in along else 0 for k in range(rank))]
        if len(along) == 1 and np.array_equal(own, np.arange(size)):
            labels.append(along[0])
            continue
        labels.append(rank + axis)
        _check_number_of_choices(own.size, size)
        chosen = np.zeros((*own.shape, size))
        np.put_along_axis(chosen, own[..., None], 1.0, axis=-1)
        factors.append(_constant(chosen))
        inputs.append((*along, rank + axis))
    inputs.insert(0, tuple(labels))
    lacking = set(range(rank)).difference(*inputs)
    factors += [Ones(shape[k]) for k in lacking]
    return symbol_of(x, contract(factors, [*inputs, *((k,) for k in lacking)], tuple(range(rank))))


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


def _check_number_of_choices(count: int, size: int) -> None:
    """Refuse an array of so many rows of zeros and ones that no memory should hold it."""
    if count * size > _MOST:
        refuse(
            f"{count} entries picked from {size}",
            f"an array of more than {_MOST} zeros and ones would pick them",
            "cut or shape the array beforehand and pass what is used",
        )


def _constant(array: Array) -> Expr:
    running = tracing.get()
    assert running is not None
    return running.constant(array)


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


def _dot(back: int) -> Callable[..., Any]:
    """np.dot and np.inner: the last axis of a with the second to last, or the last, of b."""

    def function(a: Any, b: Any) -> Any:
        if not rank_of(a) or not rank_of(b):
            return product([a, b])
        over = rank_of(a) - 1, max(rank_of(b) - back, 0)
        return pairs_product(a, b, [over], "dot" if back == 2 else "inner")

    return function


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
    text, arrays = string_and_operands((subscripts, *operands))
    given = together(arrays)
    inputs, output = read_subscripts(text).resolve([term.rank for term in given[0]])
    return contraction(given, inputs, output, "einsum")


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


log, log1p, where, sign, softplus = (
    partial(map_entries, name) for name in ("log", "log1p", "where", "sign", "softplus")
)


def _logarithm(base: int) -> Callable[..., Any]:
    return lambda x: quotient(log(x), log(symbol_of(x, literal(base))))


def _pi(like: Any) -> Any:
    return symbol_of(like, elementwise("pi", []))


def _arcsinh(x: Any) -> Any:
    """+-log1p(y + y^2/(1 + sqrt(1 + y^2))) for y = |x|: no digits are lost on either side of 0."""
    y = where(x < 0, -x, x)
    return where(x < 0, -1, 1) * log1p(y + y**2 / ((y**2 + 1) ** HALF + 1))


def _arccosh(x: Any) -> Any:
    """log1p(y + sqrt(y^2 + 2y)) for y = x - 1."""
    y = x - 1
    return log1p(y + total([y**2, y, y], [1, 1, 1]) ** HALF)


def _holds(x: Any) -> Any:
    """1 if x is not 0: the truth of numbers."""
    return map_entries("ne", x, 0)


def _relative_entropy(x: Any, y: Any) -> Any:
    return product([x, total([log(x), log(y)], [1, -1])])


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
    "cbrt": lambda a: sign(a) * map_entries("abs", a) ** Fraction(1, 3),
    "hypot": lambda a, b: total([raise_to(a, 2), raise_to(b, 2)], [1, 1]) ** HALF,
    # exponentials, logarithms, angles
    "exp2": lambda a: raise_to(2, a),
    "log2": _logarithm(2),
    "log10": _logarithm(10),
    "logaddexp": lambda a, b: total([a, softplus(total([b, a], [1, -1]))], [1, 1]),
    "radians": lambda x: product([x, _pi(x), Fraction(1, 180)]),
    "degrees": lambda x: quotient(product([x, 180]), _pi(x)),
    "arcsinh": _arcsinh,
    "arccosh": _arccosh,
    "arctanh": lambda x: (log1p(x) - log1p(-x)) * HALF,
    "heaviside": lambda x, h: where(map_entries("eq", x, 0), h, map_entries("gt", x, 0)),
    # conditions: 1 if they hold, else 0
    "logical_not": lambda x: map_entries("eq", x, 0),
    "logical_and": lambda a, b: product([_holds(a), _holds(b)]),
    "logical_or": lambda a, b: map_entries("max", _holds(a), _holds(b)),
    "logical_xor": lambda a, b: map_entries("ne", _holds(a), _holds(b)),
    # products of arrays
    "matmul": matmul,
    "vecdot": lambda a, b: reduce_axes("sum", product([a, b]), -1),
    # scipy.special
    "log_expit": lambda x: -softplus(-x),
    "logit": lambda x: log(x) - log1p(-x),
    "ndtr": lambda x: (
        map_entries("erfc", product([x, -1, raise_to(symbol_of(x, literal(2)), -HALF)])) * HALF
    ),
    "betaln": _log_beta,
    "xlogy": lambda x, y: product([x, log(y)]),
    "xlog1py": lambda x, y: product([x, log1p(y)]),
    "entr": lambda x: product([x, log(x), -1]),
    "rel_entr": _relative_entropy,
    "kl_div": lambda x, y: total([_relative_entropy(x, y), x, y], [1, -1, 1]),
}
UFUNCS |= {"deg2rad": UFUNCS["radians"], "rad2deg": UFUNCS["degrees"]}
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
    return _entries_at(x, np.unravel_index(places, shape) if shape else (), places.shape)


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
    labels = tuple(range(x._term.rank))
    output = tuple(len(labels) if k == axis else k for k in labels)
    factors = [_constant(matrix), x._term]
    return symbol_of(x, contract(factors, [(len(labels), axis), labels], output))


def _diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    _check_known("diff", [x])
    (place,) = axes_of(axis, x._term.rank)
    size = x._term.shape[place]
    _check_number_of_choices(size, size)
    return _along(x, place, np.diff(np.eye(size), n, axis=0))


def _scan(name: str) -> Callable[..., Any]:
    """A function of NumPy that the table of functions has for whole axes: as many entries as before."""

    def function(x: Any, axis: int | None = None, **_: Any) -> Any:
        if axis is None:
            x, axis = reshape_symbol(x, -1), 0
        moved = move_axes(x, axis, -1)
        return move_axes(symbol_of(x, whole(name, moved._term)), -1, axis)

    return function


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


# ---------------------------------------------------------------- NumPy's functions


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
    return where(condition, *choices)


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
    np.average: lambda x, axis=None, weights=None, **_: (
        reduce_axes("mean", x, axis)
        if weights is None
        else quotient(np.sum(product([x, weights]), axis=axis), np.sum(weights, axis=axis))
    ),
    np.ptp: lambda x, axis=None, **_: total(
        [reduce_axes("max", x, axis), reduce_axes("min", x, axis)], [1, -1]
    ),
    # products
    np.dot: _dot(2),
    np.vdot: vdot,
    np.inner: _dot(1),
    np.outer: outer,
    np.linalg.outer: outer,
    np.tensordot: tensordot,
    np.einsum: einsum,
    np.linalg.multi_dot: lambda arrays, **_: functools.reduce(_dot(2), arrays),
    # axes
    np.trace: lambda x, offset=0, axis1=0, axis2=1: reduce_axes(
        "sum", diagonal(x, offset, axis1, axis2), -1
    ),
    np.linalg.trace: lambda x, offset=0, **_: reduce_axes("sum", diagonal(x, offset, -2, -1), -1),
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
    np.linalg.slogdet: lambda a: SlogdetResult(sign(_matrix("det")(a)), _matrix("logdet")(a)),
    np.linalg.solve: _solve,
    np.linalg.norm: _norm,
    np.linalg.matrix_power: _matrix_power,
    # arrays of known extents
    np.concatenate: concatenate,
    np.stack: lambda arrays, axis=0, **_: concatenate(
        [expand_axes(x, axis) for x in _symbols("stack", arrays)], axis
    ),
    np.vstack: lambda arrays, **_: concatenate(_symbols("vstack", arrays, 2)),
    np.hstack: lambda arrays, **_: concatenate(
        parts := _symbols("hstack", arrays, 1), 0 if rank_of(parts[0]) == 1 else 1
    ),
    np.column_stack: lambda arrays: concatenate(_symbols("column_stack", arrays, 2, 1), 1),
    np.append: lambda x, values, axis=None: concatenate([x, values], axis),
    np.diff: _diff,
    **{f: _rearranging(f) for f in (np.flip, np.roll, np.repeat, np.tile, np.take)},
    **{
        getattr(np, row.name): _scan(row.name)
        for row in WHOLE.values()
        if row.signature == "(n)->(n)" and hasattr(np, row.name)
    },
}


_signature = functools.lru_cache(maxsize=256)(inspect.signature)


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
        """The number of entries, a scalar expression if it is symbolic."""
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

    __neg__, __pos__ = _method(np.negative), _method(np.positive)
    __abs__, __invert__ = _method(np.absolute), _method(np.invert)

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
        """Adds or drops axes of extent 1; any other shape is refused if extents are symbolic."""
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
            if len(keys) != self.ndim:
                refuse(
                    f"{len(keys)} indices for {self.ndim} axes",
                    "each axis has one index",
                    f"write X[{', '.join(repr(c) for c in 'ijkl'[: self.ndim])}]",
                )
            return Indexed((self, keys))
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
