"""Terms: nine interned node kinds with positional axes.

In: data and children that are terms already.
Out: immutable nodes; the same data and children give the same object, so `is` compares whole terms.
Invariant: shape, digest and order key are computed at construction from the children's, so hashing,
comparing and sorting never descend. Nodes validate; algebra lives in `canonical.py`, loops in `walk.py`.
"""

from __future__ import annotations

import threading
from fractions import Fraction
from hashlib import blake2b
from typing import ClassVar, Self
from weakref import WeakValueDictionary

from .functions import ELEMENTWISE, WHOLE, core_ranks

Dim = str | int  # the extent of an axis: a symbolic name, or a number
Shape = tuple[Dim, ...]
Label = int
Subscript = tuple[Label, ...]
OrderKey = tuple[int, str, bytes]

_interned: WeakValueDictionary[tuple[object, ...], Expr] = WeakValueDictionary()
_lock = threading.Lock()


class Expr:
    """A term. Equality is identity; `order` sorts the same way in every run.

    Neither `digest` nor `order` looks at the names of extents, so renaming these reorders nothing.
    `symmetric`: invariant under every permutation of its axes.
    """

    __slots__ = ("__weakref__", "children", "digest", "order", "shape", "symmetric")
    rank_of_kind: ClassVar[int]
    children: tuple[Expr, ...]
    shape: Shape
    digest: bytes
    order: OrderKey
    symmetric: bool

    @classmethod
    def _intern(
        cls,
        data: tuple[object, ...],
        children: tuple[Expr, ...],
        shape: Shape,
        name: str,
        told: str,
    ) -> Self:
        """The node of this key; `told` is what the digest sees of `data`."""
        key = (cls, data, children, shape)
        with _lock:
            known = _interned.get(key)
            if known is not None:
                return known  # type: ignore[return-value]
            node = object.__new__(cls)
            node.children, node.shape = children, shape
            node.symmetric = False
            state = blake2b(f"{cls.__name__}|{name}|{told}|{len(shape)}".encode(), digest_size=16)
            for child in children:
                state.update(child.digest)
            node.digest = state.digest()
            node.order = (cls.rank_of_kind, name, node.digest)
            node._fill(data)
            _interned[key] = node
            return node

    def _fill(self, data: tuple[object, ...]) -> None:
        raise NotImplementedError

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __reduce__(self) -> str:
        raise TypeError("terms are pickled through flat.dump, not one by one")

    def __repr__(self) -> str:
        axes = ", ".join(map(str, self.shape))
        return f"<{type(self).__name__} {self.order[1]} ({axes}) {self.digest.hex()[:6]}>"


def _is_square(shape: Shape) -> bool:
    return len(shape) > 1 and len(set(shape)) == 1


class Variable(Expr):
    """A named tensor of the user."""

    __slots__ = ("assumptions", "name")
    rank_of_kind = 4
    name: str
    assumptions: frozenset[str]

    def __new__(
        cls, name: str, axes: Shape = (), assumptions: frozenset[str] = frozenset()
    ) -> Variable:
        told = ",".join(sorted(assumptions))
        return cls._intern((name, assumptions), (), tuple(axes), name, told)

    def _fill(self, data: tuple[object, ...]) -> None:
        self.name, self.assumptions = data  # type: ignore[assignment]
        self.symmetric = bool(self.assumptions & {"symmetric", "spd"})


class Literal(Expr):
    """An exact rational number."""

    __slots__ = ("value",)
    rank_of_kind = 0
    value: Fraction

    def __new__(cls, value: Fraction | int) -> Literal:
        value = Fraction(value)
        return cls._intern((value,), (), (), "", str(value))

    def _fill(self, data: tuple[object, ...]) -> None:
        (self.value,) = data  # type: ignore[assignment]


class Extent(Expr):
    """The extent of an axis as a scalar: the trace of a Kronecker delta."""

    __slots__ = ("dim",)
    rank_of_kind = 1
    dim: str

    def __new__(cls, dim: str) -> Extent:
        return cls._intern((dim,), (), (), "", "")

    def _fill(self, data: tuple[object, ...]) -> None:
        (self.dim,) = data  # type: ignore[assignment]


class Ones(Expr):
    """A vector of ones: broadcasts along its axis."""

    __slots__ = ()
    rank_of_kind = 2

    def __new__(cls, dim: Dim) -> Ones:
        return cls._intern((), (), (dim,), "", "")

    def _fill(self, data: tuple[object, ...]) -> None:
        pass


class Delta(Expr):
    """The Kronecker delta."""

    __slots__ = ()
    rank_of_kind = 3

    def __new__(cls, dim: Dim) -> Delta:
        return cls._intern((), (), (dim, dim), "", "")

    def _fill(self, data: tuple[object, ...]) -> None:
        self.symmetric = True


class Contraction(Expr):
    """Product, sum over labels, transpose, trace and diagonal in one.

    `inputs[k]` labels the axes of operand k; labels missing in `output` are summed.
    """

    __slots__ = ("inputs", "output")
    rank_of_kind = 7
    inputs: tuple[Subscript, ...]
    output: Subscript

    def __new__(
        cls, operands: tuple[Expr, ...], inputs: tuple[Subscript, ...], output: Subscript
    ) -> Contraction:
        dims: dict[Label, Dim] = {}
        for operand, labels in zip(operands, inputs, strict=True):
            assert len(labels) == len(operand.shape), (labels, operand)
            for label, dim in zip(labels, operand.shape, strict=True):
                assert dims.setdefault(label, dim) == dim, (label, dim, dims)
        assert len(set(output)) == len(output), output
        shape = tuple(dims[label] for label in output)
        name = " ".join(operand.order[1] for operand in operands[:4])[
            :24
        ]  # sums read alphabetically
        return cls._intern((inputs, output), operands, shape, name, f"{inputs}{output}")

    def _fill(self, data: tuple[object, ...]) -> None:
        self.inputs, self.output = data  # type: ignore[assignment]


class Sum(Expr):
    """A linear combination of terms of one shape; the empty one is zero."""

    __slots__ = ("coefficients",)
    rank_of_kind = 8
    coefficients: tuple[Fraction, ...]

    def __new__(
        cls, terms: tuple[Expr, ...], coefficients: tuple[Fraction, ...], shape: Shape
    ) -> Sum:
        assert all(term.shape == shape for term in terms), [term.shape for term in terms]
        assert len(terms) == len(coefficients) and all(coefficients)
        return cls._intern((coefficients,), terms, shape, "", ",".join(map(str, coefficients)))

    def _fill(self, data: tuple[object, ...]) -> None:
        (self.coefficients,) = data  # type: ignore[assignment]
        self.symmetric = _is_square(self.shape) and all(term.symmetric for term in self.children)


class Map(Expr):
    """An elementwise function; every argument has the shape of the result or is a scalar."""

    __slots__ = ("function",)
    rank_of_kind = 5
    function: str

    def __new__(cls, function: str, arguments: tuple[Expr, ...]) -> Map:
        assert len(arguments) == len(ELEMENTWISE[function].arguments)
        shape: Shape = ()
        for argument in arguments:
            shape = shape or argument.shape
            assert argument.shape in ((), shape), (function, shape, argument.shape)
        return cls._intern((function,), arguments, shape, function, "")

    def _fill(self, data: tuple[object, ...]) -> None:
        (self.function,) = data  # type: ignore[assignment]
        self.symmetric = _is_square(self.shape) and all(
            argument.symmetric or not argument.shape for argument in self.children
        )


class Apply(Expr):
    """A function of whole axes: the last ones, as its signature says; the leading axes are batch.

    `width`: how many axes one axis of the signature stands for, so that a maximum over i and j is one.
    `eps` has no argument: the Levi-Civita symbol, with `width` axes of that extent.
    """

    __slots__ = ("function", "width")
    rank_of_kind = 6
    function: str
    width: int

    def __new__(cls, function: str, arguments: tuple[Expr, ...], width: int = 1) -> Apply:
        if function == "eps":
            shape: Shape = (width,) * width
        else:
            (core,), result = core_ranks(WHOLE[function].signature)
            (argument,) = arguments
            assert argument.rank >= core * width, (function, argument.shape)
            assert core < 2 or argument.shape[-1] == argument.shape[-2]
            batch = argument.rank - core * width
            shape = (*argument.shape[:batch], *argument.shape[-width:] * result)
        return cls._intern((function, width), arguments, shape, function, str(width))

    def _fill(self, data: tuple[object, ...]) -> None:
        self.function, self.width = data  # type: ignore[assignment]
        self.symmetric = self.function == "inv" and self.rank == 2 and self.children[0].symmetric
