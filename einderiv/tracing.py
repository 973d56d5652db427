"""A plain Python function, called once with symbols.

In: a function and arguments of a call. Out: `Traced`: what it computes as terms, the arrays they need.
Invariant: the function runs once for each signature: ranks, which extents are equal, which are 1. Arrays
that it uses besides its arguments become tensors that travel with the trace.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .containers import Structure, flattened, rebuilt
from .context import Context
from .errors import DataError
from .expr import Dim, Variable
from .expression import Expression
from .notation.python_operands import Symbolic, made, operand, tracing

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mode:
    """How much a trace leaves open: extents, numbers, arrays one does not differentiate by."""

    symbolic_extents: bool
    traces_numbers: bool
    traces_others: bool


# From the most general trace to the most permissive: a shape used as data needs known extents, a label
# used as an index needs its array. The last one holds for one call only.
MODES = (Mode(True, True, True), Mode(False, False, True), Mode(False, False, False))


@dataclass
class Call:
    """The arguments of a call, leaf by leaf."""

    structure: Structure
    leaves: list[Any]
    names: list[str]
    wanted: list[bool]  # one differentiates by this leaf

    def traced(self, mode: Mode) -> list[bool]:
        """Which leaves become tensors."""
        return [
            wanted
            or (mode.traces_others and isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biuf")
            or (mode.traces_others and mode.traces_numbers and type(leaf) is float)
            for leaf, wanted in zip(self.leaves, self.wanted, strict=True)
        ]

    def key(self, mode: Mode) -> Hashable | None:
        """The signature under which a trace can be used again; None where there is none."""
        if not mode.traces_others:
            return None
        parts: list[Hashable] = []
        order: dict[int, int] = {}
        for leaf, traced in zip(self.leaves, self.traced(mode), strict=True):
            if traced:
                shape = np.shape(leaf)
                pattern = tuple(
                    d
                    if not mode.symbolic_extents or d < 2
                    else -order.setdefault(d, len(order)) - 1
                    for d in shape
                )
                parts.append(pattern)
            else:
                try:
                    hash(leaf)
                except TypeError:
                    return None
                parts.append((type(leaf), leaf))
        return mode, self.structure, tuple(self.wanted), tuple(parts)

    def sizes(self) -> tuple[int, ...]:
        """All extents of the arrays, in order."""
        arrays = (leaf for leaf in self.leaves if isinstance(leaf, np.ndarray))
        return tuple(size for array in arrays for size in array.shape)


@dataclass
class Traced:
    """What a function computes: its results as terms, its tensors, the arrays it brought along."""

    outputs: list[Expression]
    structure: Structure
    inputs: list[tuple[int, Variable]]  # place among the leaves
    wanted: list[Variable]
    variables: dict[str, Variable]
    constants: dict[str, Array]
    sizes: tuple[int, ...]
    held: list[Any] = field(default_factory=list)  # kept alive, since their identity is in the key


class _Constants:
    """Tensors for the arrays that a function uses besides its arguments."""

    def __init__(self, dims: dict[int, Dim], variables: dict[str, Variable]) -> None:
        self.dims, self.variables = dims, variables
        self.arrays: dict[str, Array] = {}
        self._known: dict[int, Variable] = {}

    def constant(self, array: Array) -> Variable:
        """The tensor for an array; the same one for the same array."""
        if id(array) not in self._known:
            name = _fresh(f"const{len(self.arrays) + 1}", self.variables)
            x = Variable(name, tuple(self.dims.get(size, size) for size in array.shape))
            self.variables[name] = x
            self.arrays[name] = array  # also keeps its identity alive
            self._known[id(array)] = x
        return self._known[id(array)]


def _fresh(name: str, taken: Any) -> str:
    while name in taken:
        name += "_"
    return name


def call_of(
    function: Callable[..., Any],
    argnums: Sequence[int],
    arguments: Sequence[Any],
    keywords: dict[str, Any],
) -> Call:
    """The leaves of a call, those of `argnums` as arrays of floats."""
    leaves: list[Any] = []
    structures: list[Structure] = []
    names: list[str] = []
    wanted: list[bool] = []
    parameters = _parameter_names(function, len(arguments))
    for place, value in enumerate([*arguments, *keywords.values()]):
        positional = place < len(arguments)
        name = parameters[place] if positional else list(keywords)[place - len(arguments)]
        own, structure = flattened(value)
        by = positional and place in argnums
        for k, leaf in enumerate(own):
            leaves.append(_array(leaf, name) if by else _plain(leaf))
            names.append(name if len(own) == 1 else f"{name}_{k}")
            wanted.append(by)
        structures.append(structure)
    whole = (("tuple", len(arguments)), tuple(structures), tuple(keywords))
    return Call(whole, leaves, names, wanted)


def _parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in plain][:count]
    return names + [f"x{k}" for k in range(len(names), count)]


def _plain(leaf: Any) -> Any:
    """An argument as it is; arrays of other libraries as NumPy arrays."""
    if not isinstance(leaf, np.ndarray | np.generic) and hasattr(leaf, "__array__"):
        return np.asarray(leaf)
    return leaf


def _array(leaf: Any, name: str) -> Array:
    """An argument that one differentiates by, as an array of floats."""
    array = np.asarray(leaf) if not isinstance(leaf, Symbolic) else np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"one cannot differentiate by {name}: it is of type {type(leaf).__name__}",
            facts=[
                "a variable is a number, an array of numbers, or tuples, lists and dicts of them"
            ],
            hint="choose another argument with argnums",
        )
    return array if array.dtype.kind == "f" else array.astype(float)


def trace(function: Callable[..., Any], call: Call, mode: Mode) -> Traced:
    """Call the function with symbols for the arrays that `mode` leaves open."""
    dims: dict[int, Dim] = {}
    variables: dict[str, Variable] = {}
    inputs: list[tuple[int, Variable]] = []
    leaves: list[Any] = list(call.leaves)
    traced = call.traced(mode)
    for place, (leaf, is_traced) in enumerate(zip(call.leaves, traced, strict=True)):
        if is_traced:
            name = _fresh(call.names[place], variables)
            shape = tuple(_dim(size, dims, mode) for size in np.shape(leaf))
            inputs.append((place, Variable(name, shape)))
            variables[name] = inputs[-1][1]
    constants = _Constants(dims, variables)
    context = Context(variables, declared=frozenset(d for d in dims.values() if isinstance(d, str)))
    for place, x in inputs:
        leaves[place] = made(Expression(x, ("",) * x.rank, context), x)
    count, structures, keys = call.structure  # type: ignore[misc]
    values = _arguments(structures, leaves)
    positional = values[: count[1]]
    keywords = dict(zip(keys, values[count[1] :], strict=True))
    token = tracing.set(constants)
    try:
        result = function(*positional, **keywords)
        found, structure = flattened(result)
        owner = Expression(Variable("_", ()), (), context)
        outputs = [
            leaf if isinstance(leaf, Expression) else made(owner, operand(leaf, context)[0])
            for leaf in (_expression(leaf) for leaf in found)
        ]
    finally:
        tracing.reset(token)
    wanted = [x for place, x in inputs if call.wanted[place]]
    return Traced(outputs, structure, inputs, wanted, variables, constants.arrays, call.sizes())


def _expression(leaf: Any) -> Any:
    """X['a','b'] products stand for their expressions."""
    return leaf.expression() if hasattr(leaf, "factors") else leaf


def _dim(size: int, dims: dict[int, Dim], mode: Mode) -> Dim:
    if size < 2 or not mode.symbolic_extents:
        return size
    return dims.setdefault(size, f"n{len(dims) + 1}")


def _arguments(structures: Sequence[Structure], leaves: list[Any]) -> list[Any]:
    rest = iter(leaves)
    return [rebuilt(structure, rest) for structure in structures]


def fingerprint(function: Callable[..., Any]) -> tuple[Hashable, list[Any]]:
    """What a function refers to outside its arguments: a trace holds as long as these are the same.

    Numbers count by value, arrays and other objects by identity; also the objects, to keep them alive.
    """
    plain = inspect.unwrap(function)
    held: list[Any] = [getattr(plain, "__self__", None)]
    code = getattr(plain, "__code__", None)
    for cell in getattr(plain, "__closure__", None) or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            held.append(None)
    names = code.co_names if code is not None else ()
    scope = getattr(plain, "__globals__", {})
    held += [
        scope[n] for n in names if isinstance(scope.get(n), int | float | np.generic | np.ndarray)
    ]
    return tuple(_identity(value) for value in held), held


def _identity(value: Any) -> Hashable:
    if isinstance(value, bool | int | float | str | np.generic | type(None)):
        return type(value), value
    return id(value)
