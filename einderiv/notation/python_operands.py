"""Operands of Python expressions: symbols, numbers, arrays, brought into one program.

In: values that meet in one operation. Out: their terms, and the context that holds all their tensors.
Invariant: extents named alike are one extent; an axis of extent 1 broadcasts as in NumPy, axes pair up from
the right; an array becomes a tensor of the running trace, or is refused where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import replace
from fractions import Fraction
from typing import Any, NoReturn, Protocol, Self

import numpy as np

from ..canonical import add, contract, elementwise, extent, literal, power
from ..context import Context
from ..errors import DimensionError
from ..expr import Dim, Expr, Ones, Shape, Variable
from ..uniting import united
from .python_refusals import ShapeAsDataError, refuse

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
