"""Operands of Python expressions: symbols, numbers, arrays, brought into one program.

In: values that meet in one operation. Out: their terms, and the context that holds all their tensors.
Invariant: extents named alike are one extent; an axis of extent 1 broadcasts as in NumPy, axes pair up from
the right; an array becomes a tensor of the running trace, or is refused where there is none.
"""

from __future__ import annotations

import linecache
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, NoReturn, Protocol, Self

import numpy as np

from ...errors import DimensionError, EinderivError, NotationError, Span
from ...notations import Context
from ...terms import (
    Delta,
    Dim,
    Expr,
    Ones,
    Shape,
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

# Refusals of what symbols cannot do, with the line of the user's code that asked for it.
#
# In: what was asked, why it cannot be, a way out. Out: NotationError with file, line and carets.
# Invariant: the line shown is the innermost one outside this package, NumPy and SciPy.

_NUMPY = os.path.dirname(os.path.abspath(np.__file__))
_PACKAGE = os.path.join(str(Path(__file__).parents[2]), "")
_OURS = (
    _PACKAGE,
    _NUMPY + os.sep,
    os.path.join(os.path.dirname(_NUMPY), "scipy") + os.sep,
)


class ShapeAsDataError(NotationError):
    """A symbolic extent was needed as a number; concrete sizes would do."""


def refuse(
    message: str, fact: str, hint: str, kind: type[EinderivError] = NotationError
) -> NoReturn:
    """Raise the error for what a symbol was asked to do."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    if frame is None:
        raise kind(message, facts=[fact], hint=hint)
    line, span, where = _place(frame.f_code, frame.f_globals, frame.f_lineno, frame.f_lasti)
    raise kind(message, source=line, spans=[span], facts=[where, fact], hint=hint)


def located(error: EinderivError, traceback: TracebackType | None) -> EinderivError:
    """The error with the line of the user's code that it came through."""
    users = None
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_OURS):
            users = traceback
        traceback = traceback.tb_next
    if users is not None and error.source is None:
        frame = users.tb_frame
        error.source, span, where = _place(
            frame.f_code, frame.f_globals, users.tb_lineno, users.tb_lasti
        )
        error.spans, error.facts = (span,), (where, *error.facts)
    return error


def is_ours(traceback: TracebackType | None) -> bool:
    """Whether a line of this package, called by the user's, raised an exception."""
    users, ours = False, False
    while traceback is not None:
        ours = traceback.tb_frame.f_code.co_filename.startswith(_PACKAGE)
        users = users or not ours
        traceback = traceback.tb_next
    return users and ours


def _place(
    code: CodeType, scope: dict[str, Any], number: int, instruction: int
) -> tuple[str, Span, str]:
    """The source line that a frame stands at, the columns of what it does there, and where it is."""
    where = f"{code.co_filename}, line {number}, in {code.co_name}"
    line = linecache.getline(code.co_filename, number, scope).rstrip("\n")
    shown = line.strip()
    if not shown:
        return "(no source)", (0, 11), where
    indent = len(line) - len(line.lstrip())
    positions = islice(code.co_positions(), instruction // 2, None)
    first, last, start, end = next(positions, (None, None, None, None))
    if first == last == number and start is not None and end is not None:
        return shown, (max(start - indent, 0), max(end - indent, 1)), where
    return shown, (0, len(shown)), where


# ----------------------------------------------------------------------

LETTERS = "ijklpqrstuvwabcdefghmnoxyz"


class Arrays(Protocol):
    """What takes arrays that a traced function uses, and makes tensors of them; `context`: its program."""

    context: Context

    def constant(self, array: Any) -> Variable:
        """The tensor that stands for an array."""


tracing: ContextVar[Arrays | None] = ContextVar("tracing", default=None)


class Symbolic:
    """What Python code computes with: a term and the context of its program."""

    __slots__ = ("_context", "_indices", "_term")

    _term: Expr
    _indices: tuple[str, ...]
    _context: Context

    def _with(
        self,
        term: Expr,
        indices: tuple[str, ...] | None = None,
        context: Context | None = None,
    ) -> Self:
        raise NotImplementedError


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

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int | float | np.number) and tracing.get() is not None:
            if other in (0, 1):
                return False  # these extents have no names
            self._refuse()  # it may well be that number
        return isinstance(other, str) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __iter__(self) -> Iterator[str]:
        self._refuse()  # NumPy takes it for a shape

    def __index__(self) -> int:
        self._refuse()

    def __int__(self) -> int:
        self._refuse()

    def __float__(self) -> float:
        self._refuse()

    def __bool__(self) -> bool:
        self._refuse()

    def __lt__(self, other: Any) -> bool:
        return self._ordered(other, str.__lt__)

    def __le__(self, other: Any) -> bool:
        return self._ordered(other, str.__le__)

    def __gt__(self, other: Any) -> bool:
        return self._ordered(other, str.__gt__)

    def __ge__(self, other: Any) -> bool:
        return self._ordered(other, str.__ge__)

    def _ordered(self, other: object, compare: Callable[[str, str], bool]) -> bool:
        if isinstance(other, str) and tracing.get() is None:
            return compare(self, other)
        self._refuse()

    def _refuse(self) -> NoReturn:
        refuse(
            f"the extent {self.name} is used as a number that must be known",
            "shapes are symbolic here: an extent can be multiplied and divided, not counted",
            "write the loop with sums, products or einsum, or give the tensor axes of known size",
            ShapeAsDataError,
        )

    def symbol(self) -> Any:
        """The extent as a scalar expression."""
        return self.owner._with(extent(self.name), ())

    def __add__(self, other: Any) -> Any:
        return self.name + other if type(other) is str else self.symbol() + other

    def __radd__(self, other: Any) -> Any:
        return other + self.name if type(other) is str else other + self.symbol()

    def __sub__(self, other: Any) -> Any:
        return self.symbol() - other

    def __rsub__(self, other: Any) -> Any:
        return other - self.symbol()

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, list | tuple | bytes) or type(other) is str:
            self._refuse()  # it repeats them
        return self.symbol() * other

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self.symbol() / other

    def __rtruediv__(self, other: Any) -> Any:
        return other / self.symbol()

    def __pow__(self, other: Any) -> Any:
        return self.symbol() ** other

    def __neg__(self) -> Any:
        return -self.symbol()

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        symbols = [x.symbol() if isinstance(x, Size) else x for x in inputs]
        return getattr(function, method)(*symbols, **options)


def number(value: Any) -> Fraction | None:
    """A Python or NumPy number, exact as its decimals are; None for anything else.

    >>> number(0.1), number("x")
    (Fraction(1, 10), None)
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, np.generic):
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
        array = np.asarray(value) if not isinstance(value, np.ndarray) else value
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


def together(values: Sequence[Any]) -> tuple[list[Expr], Any, Context]:
    """The terms of all values, a symbol to make results from, and the context of all."""
    owner = next(v for v in values if isinstance(v, Symbolic) or isinstance(v, Size))
    owner = owner.owner if isinstance(owner, Size) else owner
    pairs = [operand(value, owner._context) for value in values]
    contexts = {id(context): context for _, context in pairs}
    if len(contexts) == 1:
        return [term for term, _ in pairs], owner, owner._context
    return _merged(pairs, owner)


def _merged(pairs: list[tuple[Expr, Context]], owner: Any) -> tuple[list[Expr], Any, Context]:
    """The terms over common tensors. Declared extents named alike are one, letters of texts are not."""
    contexts = list({id(context): context for _, context in pairs}.values())
    variables: dict[str, Variable] = {}
    direct = True
    for context in contexts:
        for name, x in context.variables.items():
            named = all(isinstance(dim, int) or dim in context.declared for dim in x.shape)
            direct = direct and named and variables.setdefault(name, x) is x
    terms = [term for term, _ in pairs]
    if not direct:
        declared = {dim for context in contexts for dim in context.declared}
        where: dict[str, list[int]] = {
            dim: [n for n, (_, c) in enumerate(pairs) if dim in c.declared] for dim in declared
        }
        for n, (_, context) in enumerate(pairs):  # one program's extents are its own
            for m in range(n):
                if pairs[m][1] is context:
                    for x in context.variables.values():
                        for dim in x.shape:
                            where.setdefault(f"{id(context)} {dim}", []).extend([m, n])
        same = [
            ((places[0], key.rpartition(" ")[2]), (place, key.rpartition(" ")[2]))
            for key, places in where.items()
            for place in places[1:]
        ]
        terms, variables = united([(term, c.variables) for term, c in pairs], same)
    whole = replace(contexts[0], variables=variables, name=None)
    for context in contexts[1:]:
        whole = replace(
            whole,
            assumptions={**whole.assumptions, **context.assumptions},
            letters={**context.letters, **whole.letters},
            definitions={**whole.definitions, **context.definitions},
            declared=whole.declared | context.declared,
        )
    return terms, owner, whole


def joined_shapes(
    terms: list[Expr], context: Context, pairs: Sequence[tuple[Dim, Dim]], what: str
) -> tuple[list[Expr], Context]:
    """Terms in which extents that meet are one, where nobody declared them to differ."""
    for a, b in pairs:
        if (a in context.declared or isinstance(a, int)) and (
            b in context.declared or isinstance(b, int)
        ):
            raise_extents(what, a, b)
    programs = [(term, context.variables) for term in terms]
    joined, variables = united(programs, [((0, a), (0, b)) for a, b in pairs])
    return joined, replace(context, variables=variables)


def raise_extents(what: str, a: Dim, b: Dim) -> NoReturn:
    """The error for two extents that meet and differ."""
    refuse(
        f"{what}: the extents {a} and {b} meet and differ",
        "axes pair up from the right, and only an axis of extent 1 is repeated",
        "transpose one of them, add an axis with x[:, None], or declare both extents with one name",
        DimensionError,
    )


def broadcast_shape(shapes: Sequence[Shape], what: str) -> tuple[Shape, list[tuple[Dim, Dim]]]:
    """The common shape, axes paired from the right, and the extents that must become one."""
    rank = max(len(shape) for shape in shapes)
    common: list[Dim] = [1] * rank
    clashes: list[tuple[Dim, Dim]] = []
    for shape in shapes:
        for place, dim in enumerate(reversed(shape), 1):
            known = common[rank - place]
            if known == 1:
                common[rank - place] = dim
            elif dim not in (1, known):
                clashes.append((known, dim))
    return tuple(common), clashes


def aligned(values: Sequence[Any], what: str) -> tuple[list[Expr], Shape, Any, Context]:
    """The terms of values whose shapes broadcast, and the common shape."""
    terms, owner, context = together(values)
    shape, clashes = broadcast_shape([term.shape for term in terms], what)
    if clashes:
        terms, context = joined_shapes(terms, context, clashes, what)
        shape, _ = broadcast_shape([term.shape for term in terms], what)
    return terms, shape, owner, context


def stretched(term: Expr, shape: Shape) -> Expr:
    """A term repeated to `shape`."""
    if term.shape == shape:
        return term
    labels, ones = _labels_in(term, shape)
    axes = tuple(range(len(shape)))
    return contract([term, *(o for o, _ in ones)], [labels, *(own for _, own in ones)], axes)


def _labels_in(
    term: Expr, shape: Shape
) -> tuple[tuple[int, ...], list[tuple[Expr, tuple[int, ...]]]]:
    rank, labels = len(shape), []
    for place, dim in enumerate(term.shape):
        target = place + rank - term.rank
        labels.append(target if dim == shape[target] else rank + place)  # an axis of 1 is summed
    lacking = [axis for axis in range(rank) if axis not in labels]
    return tuple(labels), [(Ones(shape[axis]), (axis,)) for axis in lacking]


def product(values: Sequence[Any], what: str = "*") -> Any:
    """The entry-by-entry product."""
    terms, shape, owner, context = aligned(values, what)
    operands: list[Expr] = []
    inputs: list[tuple[int, ...]] = []
    for term in terms:
        operands.append(term)
        inputs.append(_labels_in(term, shape)[0])
    given = {label for own in inputs for label in own}
    fresh = len(shape) + max((t.rank for t in terms), default=0)
    inputs = [
        tuple(label if label < len(shape) else label + fresh * k for label in own)
        for k, own in enumerate(inputs)
    ]
    for axis, dim in enumerate(shape):
        if axis not in given:
            operands.append(Ones(dim))
            inputs.append((axis,))
    return made(owner, contract(operands, inputs, tuple(range(len(shape)))), context)


def total(values: Sequence[Any], signs: Sequence[int], what: str = "+") -> Any:
    """The sum, each value with a sign."""
    terms, shape, owner, context = aligned(values, what)
    full = [(sign, stretched(term, shape)) for sign, term in zip(signs, terms, strict=True)]
    return made(owner, add(full, shape), context)


def mapped(function: str, values: Sequence[Any]) -> Any:
    """An elementwise function; numbers and scalars are repeated."""
    terms, shape, owner, context = aligned(values, function)
    full = [term if not term.shape else stretched(term, shape) for term in terms]
    return made(owner, elementwise(function, full), context)


def raised(base: Any, exponent: Any) -> Any:
    """base ** exponent."""
    exact = number(exponent)
    if exact is not None and isinstance(base, Symbolic):
        return made(base, power(base._term, exact), base._context)
    return mapped("pow", [base, exponent])


def made(owner: Any, term: Expr, context: Context | None = None) -> Any:
    """A symbol for a term of the owner's program."""
    context = owner._context if context is None else context
    taken = context.declared
    names = [letter for letter in LETTERS if letter not in taken][: term.rank]
    names += [f"i{k}" for k in range(term.rank - len(names))]
    return owner._with(term, tuple(names), context)


# Axes of symbols: moved, added, dropped, reduced, taken along a diagonal.
#
# In: symbols and axes as NumPy's functions take them. Out: symbols.
# Invariant: axes count from 0, negative ones from the end; an axis of extent 1 is a factor of ones.

Axis = int | Sequence[int] | None


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
        result = unit_axes(result, over, term.rank)
    return made(x, result)


def unit_axes(term: Expr, places: Sequence[int], rank: int) -> Expr:
    """`term` with axes of extent 1 at `places` of the `rank` axes of the result."""
    rest = [k for k in range(rank) if k not in places]
    return contract(
        [term, *(Ones(1) for _ in places)],
        [tuple(rest), *((place,) for place in places)],
        tuple(range(rank)),
    )


def with_axes_behind(x: Any, count: int) -> Any:
    if not isinstance(x, Symbolic):
        return np.asarray(x)[(..., *[None] * count)]
    rank = x._term.rank
    return made(x, unit_axes(x._term, range(rank, rank + count), rank + count))


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


def moved(x: Any, source: Any, destination: Any) -> Any:
    rank = x._term.rank
    start, end = (
        axes_of(k if not isinstance(k, int) else (k,), rank) for k in (source, destination)
    )
    order = [k for k in range(rank) if k not in start]
    for place, axis in sorted(zip(end, start, strict=True)):
        order.insert(place, axis)
    return permuted(x, order)


def swapped(x: Any, a: int, b: int) -> Any:
    rank = x._term.rank
    order = list(range(rank))
    (a,), (b,) = axes_of(a, rank), axes_of(b, rank)
    order[a], order[b] = order[b], order[a]
    return permuted(x, order)


def expanded(x: Any, axis: Axis) -> Any:
    """np.expand_dims."""
    count = 1 if isinstance(axis, int) else len(axis or ())
    rank = x._term.rank + count
    return made(x, unit_axes(x._term, sorted(axes_of(axis, rank)), rank))


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


def is_same_but_for_ones(x: Any, shape: Sequence[Any]) -> bool:
    """Whether a reshape only adds or drops axes of extent 1."""
    old = [str(dim) for dim in x._term.shape if dim != 1]
    new = [str(dim) for dim in shape if str(dim) != "1"]
    free = new.count("-1") <= 1 and len(old) == len(new)
    return free and all(b in ("-1", a) for a, b in zip(old, new, strict=True))


def with_axes_of_one(x: Any, shape: Sequence[Any]) -> Any:
    """np.reshape where it only adds or drops axes of extent 1."""
    if not is_same_but_for_ones(x, shape):
        refuse(
            f"a reshape of {_shown(x._term.shape)} to {_shown(tuple(shape))}",
            "entries of tensors keep their indices; only axes of extent 1 come and go",
            "give the tensor the axes it is used with, or pass it in that shape",
        )
    places = [k for k, dim in enumerate(shape) if str(dim) == "1"]
    return made(x, unit_axes(squeezed(x)._term, places, len(shape)))


def _shown(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


def rank_of(x: Any) -> int:
    return int(x._term.rank) if isinstance(x, Symbolic) else int(np.ndim(x))


def ones(shape: Shape) -> Expr:
    axes = tuple(range(len(shape)))
    return contract([Ones(dim) for dim in shape], [(k,) for k in axes], axes)


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


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return reduced("sum", diagonal(x, offset, axis1, axis2), -1)


def diag(x: Any, k: int = 0) -> Any:
    if rank_of(x) == 2:
        return diagonal(x, k)
    if k or rank_of(x) != 1:
        refuse("diag off the main diagonal", "only the main diagonal has one index", "use k=0")
    term = x._term
    return made(x, contract([term, Delta(term.shape[0])], [(0,), (0, 1)], (0, 1)))


def broadcast_to(x: Any, shape: Any, **_: Any) -> Any:
    wanted = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    plain = tuple(int(d) if isinstance(d, int | np.integer) else str(d) for d in wanted)
    return made(x, stretched(x._term, plain))
