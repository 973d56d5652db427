"""What a derivative of an einsum equation computes, for arrays of given shapes.

In: an equation, the number of an operand, shapes. Out: `Plan`, run with arrays.
Invariant: a plan is one einsum whose result is written on a diagonal of zeros; no delta is ever an array.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, NoReturn

import numpy as np

from .arrays import Array
from .einsum_forms import FORMS, Repeated
from .errors import DimensionError, Span
from .notation.equations import ELLIPSIS, Labels, Subscripts

Sizes = tuple[int, ...]

_FEW = 10_000  # multiplications in one loop over all labels that take about 6 us


class Extents:
    """The extent of every label; 1 gives way to another, as NumPy broadcasts."""

    def __init__(self, equation: Subscripts) -> None:
        self.source = str(equation)
        self._found: dict[str, tuple[int | str, str]] = {}

    def read(self, name: str, labels: Labels, shape: Sequence[int | str]) -> None:
        """The axes of one array."""
        own: dict[str, tuple[int | str, str]] = {}
        for axis, (label, dim) in enumerate(zip(labels, shape, strict=True)):
            fact = f"axis {axis + 1} of {name} is {dim}"
            same = own.setdefault(label, (dim, fact))
            if same[0] != dim and isinstance(same[0], int) and isinstance(dim, int):
                self._clash(label, same[1], fact)  # a diagonal repeats nothing
            self.put(label, dim, fact)

    def put(self, label: str, dim: int | str, fact: str) -> None:
        """One extent with its reason."""
        known = self._found.get(label)
        if known is None or known[0] == 1:
            self._found[label] = dim, fact
        elif dim in (1, known[0]):
            return
        elif isinstance(dim, str) is isinstance(known[0], str):
            self._clash(label, known[1], fact)
        elif isinstance(dim, int):  # a number tells more than a name
            self._found[label] = dim, fact

    def exactly(self, label: str, dim: int, fact: str) -> None:
        """Refuse a 1 that was repeated, where nothing may be."""
        known = self._found[label]
        if known[0] != dim:
            self._clash(label, known[1], fact)

    def _clash(self, label: str, first: str, second: str) -> NoReturn:
        raise DimensionError(
            f"label {label} has two extents",
            source=self.source,
            spans=self.places(label),
            facts=[f"{first}, {second}"],
            hint="axes with one label have one extent, or 1 where the array is repeated",
        )

    def places(self, label: str) -> list[Span]:
        """Where the label stands in the equation."""
        return [(k, k + 1) for k, x in enumerate(self.source) if x == label]

    def get(self, label: str) -> int | None:
        """The extent, None where nothing tells it."""
        dim = self._found.get(label, (None, ""))[0]
        return dim if isinstance(dim, int) else None

    def repeated(self, labels: Labels, shape: Sizes) -> frozenset[int]:
        """The axes of extent 1 whose label has another extent."""
        return frozenset(
            axis
            for axis, (label, dim) in enumerate(zip(labels, shape, strict=True))
            if dim == 1 != self.get(label)
        )


def repeated_axes(
    equation: Subscripts, operand: int, shapes: Sequence[Sequence[int | str]]
) -> Repeated:
    """What the equation repeats, for operands of these shapes; DimensionError where they clash."""
    own = shapes[operand]
    extents, others = Extents(equation), Extents(equation)
    for k, (term, shape) in enumerate(zip(equation.inputs, shapes, strict=True)):
        extents.read(f"operand {k}", term, shape)
        if k != operand:
            others.read(f"operand {k}", term, shape)
    labels = equation.inputs[operand]
    thin = frozenset(x for x in labels if others.get(x) == 1 != extents.get(x))
    numbers = tuple(dim if isinstance(dim, int) else -1 for dim in own)
    return Repeated(extents.repeated(labels, numbers), thin)


@dataclass(frozen=True, slots=True)
class Plan:
    """One einsum and where its result is written."""

    core: str  # einsum string over the inputs
    shape: Sizes
    view: str  # einsum string from the result to its diagonal; empty where nothing is tied
    lead: tuple[slice | None, ...]  # places the core's axes among the diagonal's
    optimize: bool  # NumPy's order of pairs and its BLAS, worth 6 us from some size on

    def run(self, arrays: Sequence[Array]) -> Any:
        """The result, in memory of its own."""
        core = np.asarray(np.einsum(self.core, *arrays, optimize=self.optimize) if arrays else 1.0)
        if not self.view and core.shape == self.shape:
            shared = any(np.may_share_memory(core, array) for array in arrays)
            result = core.copy() if shared else core
        else:
            if prod(self.shape) * core.itemsize > sys.maxsize:
                raise MemoryError(f"an array of shape {self.shape} is out of reach")
            result = np.zeros(self.shape, core.dtype)
            target = np.einsum(self.view, result) if self.view else result
            target[...] = core[self.lead]
        return result if result.ndim else result[()]


@lru_cache(maxsize=512)
def plan_of(
    kind: str,
    equation: Subscripts,
    operand: int,
    shapes: tuple[Sizes, ...],
    own: Sizes | None,
    sizes: tuple[tuple[str, int], ...],
) -> Plan:
    """The plan for arrays of these shapes: the cotangent's first for a vjp, then the other operands'."""
    cotangent = shapes[0] if kind == "vjp" else None
    others = list(shapes[1:] if kind == "vjp" else shapes)
    equation = _spelled(equation, operand, others, own, cotangent)
    extents = Extents(equation)
    for label, size in sizes:
        extents.put(label, size, f"{label} is {size} (given in sizes=)")
    terms = [(k, term) for k, term in enumerate(equation.inputs) if k != operand]
    for (k, term), shape in zip(terms, others, strict=True):
        extents.read(f"operand {k}", term, shape)
    labels = equation.inputs[operand]
    if own is not None:
        extents.read(f"operand {operand} (given in shape=)", labels, own)
    if cotangent is not None:
        extents.read("the cotangent g", equation.output, cotangent)
        for axis, (label, dim) in enumerate(zip(equation.output, cotangent, strict=True)):
            extents.exactly(label, dim, f"axis {axis + 1} of the cotangent g is {dim}")
    for label, size in sizes:
        extents.exactly(label, size, f"{label} is {size} (given in sizes=)")
    repeated = Repeated() if own is None else Repeated(extents.repeated(labels, own))
    form = FORMS[kind](equation, operand, repeated)
    shape = tuple(
        1 if x in form.single else _extent(extents, form.old.get(x, x)) for x in form.result
    )
    distinct = tuple(dict.fromkeys(form.result))
    core = tuple(x for x in distinct if x in form.present)
    steps = prod(extents.get(form.old.get(x, x)) or 1 for x in form.present)
    return Plan(
        str(Subscripts(tuple(term for _, term in form.inputs), core)),
        shape,
        str(Subscripts((form.result,), distinct)) if len(distinct) < len(form.result) else "",
        tuple(slice(None) if x in form.present else None for x in distinct),
        len(form.inputs) > 1 and steps > _FEW,
    )


def _spelled(
    equation: Subscripts,
    operand: int,
    others: Sequence[Sizes],
    own: Sizes | None,
    cotangent: Sizes | None,
) -> Subscripts:
    """The equation without ellipses, for arrays of these shapes; their ranks checked."""
    labels = equation.inputs[operand]
    ranks = [len(shape) for shape in others]
    if own is not None:
        rank = len(own)
    elif ELLIPSIS not in labels:
        rank = len(labels)
    else:  # as many axes as the output has without letters
        assert cotangent is not None
        rank = max(len(labels) - 1, len(cotangent) - len(equation.output) + len(labels))
    ranks.insert(operand, rank)
    spelled = equation.spelled(ranks)
    if cotangent is not None and len(cotangent) != len(spelled.output):
        raise DimensionError(
            f"the cotangent g has shape {cotangent}, the output {len(spelled.output)} axes",
            source=str(equation),
            spans=[(str(equation).index("->") + 2, len(str(equation)))],
            facts=["the cotangent has the shape of the output"],
            hint="pass an array like the result of the einsum",
        )
    return spelled


def _extent(extents: Extents, label: str) -> int:
    size = extents.get(label)
    if size is None:
        raise DimensionError(
            f"no given array tells the extent of {label}",
            source=extents.source,
            spans=extents.places(label),
            facts=["only the operand differentiated by has it"],
            hint=f"pass its shape: shape=A.shape, or sizes={{{label!r}: ...}}",
        )
    return size
