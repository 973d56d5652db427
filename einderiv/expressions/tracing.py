"""A plain Python function, called once with symbols.

In: a function and arguments of a call. Out: `Traced`: what it computes as terms, the arrays they need.
Invariant: a trace holds for every call with its signature: ranks, which extents are equal, which are 1, the
values of arguments that are no arrays of numbers. Arrays that the function uses besides its arguments become
tensors that travel with the trace; what else it reads is in its fingerprint.
"""

from __future__ import annotations

import functools
import inspect
import os
import sysconfig
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType, TracebackType
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, EinderivError, NotationError
from ..notations import Context
from ..programs import converted
from ..terms import Dim, Variable
from .expression import Expression, symbol
from .symbols.indexing import expression_of
from .symbols.operands import (
    Array,
    Constants,
    Size,
    Symbolic,
    fresh_name,
    is_ours,
    locate,
    operand,
    symbol_of,
    tracing,
)

# ---------------------------------------------------------------- nested arguments and results

# As JAX's pytrees: dicts by sorted keys, None without leaves; all but tuples, lists and dicts are leaves.
Structure = Hashable  # () for a leaf, else the kind, its keys and the structures inside
_NOTHING = (("none", 0), ())


def leaves_of(value: Any) -> tuple[list[Any], Structure]:
    """The leaves of a nested value, and its structure.

    >>> leaves_of({"w": [1, 2], "b": 3})[0]
    [3, 1, 2]
    """
    if value is None:
        return [], _NOTHING
    kind: Hashable
    if isinstance(value, dict):
        keys = list(value)
        with suppress(TypeError):
            keys = sorted(value)
        kind, inside = ("dict", tuple(keys)), [value[key] for key in keys]
    elif isinstance(value, tuple | list):
        kind = ("list" if isinstance(value, list) else "tuple", len(value))
        kind, inside = ("named", type(value)) if hasattr(value, "_fields") else kind, list(value)
    else:
        return [value], ()
    leaves: list[Any] = []
    structures: list[Structure] = []
    for item in inside:
        own, structure = leaves_of(item)
        leaves += own
        structures.append(structure)
    return leaves, (kind, tuple(structures))


def nest(structure: Any, leaves: Iterable[Any]) -> Any:
    """A value of a structure.

    >>> nest(leaves_of((1, [2]))[1], "ab")
    ('a', ['b'])
    """
    leaves = iter(leaves)
    if structure == ():
        return next(leaves)
    (name, detail), inside = structure
    if name == "none":
        return None
    values = [nest(part, leaves) for part in inside]
    if name == "dict":
        return dict(zip(detail, values, strict=True))
    if name == "named":
        return detail(*values)
    return tuple(values) if name == "tuple" else values


# ---------------------------------------------------------------- what a function reads

# Numbers, texts and small arrays count by value; lists, tuples, dicts, attributes of objects and helper
# functions by what is in them, to a depth; everything else by identity. Of a large array a sample counts.

_DEPTH = 4  # helper of a helper, entry of a dict of an object ...
_MOST = 64  # entries of a container that are looked at
_SMALL = 4096  # bytes of an array that are compared in full
_SAMPLE = 256  # entries of a larger one

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
_LIBRARIES = tuple(
    os.path.join(path, "")
    for path in {
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)


def fingerprint(function: Callable[..., Any]) -> tuple[Hashable, list[Any]]:
    """A key for what `function` refers to outside its arguments, and the objects it holds by identity.

    >>> scale = [2.0]
    >>> f = lambda x: scale[0] * x
    >>> before = fingerprint(f)[0]; scale[0] = 3.0
    >>> fingerprint(f)[0] == before
    False
    """
    held: list[Any] = []
    return _of(function, _DEPTH, held), held


def _of(value: Any, depth: int, held: list[Any]) -> Hashable:
    kind = type(value)
    if kind in _PLAIN or isinstance(value, np.generic):
        return kind, value
    if isinstance(value, np.ndarray):
        if value.nbytes <= _SMALL and not value.dtype.hasobject:
            return value.shape, value.dtype.str, value.tobytes()
        held.append(value)
        flat = value.reshape(-1) if value.flags.c_contiguous else value.flat
        sample = b"" if value.dtype.hasobject else flat[:: value.size // _SAMPLE + 1].tobytes()
        return id(value), sample
    held.append(value)
    if not depth or isinstance(value, ModuleType | type | BuiltinFunctionType):
        return id(value)
    if not isinstance(value, list | tuple | dict | set | frozenset):
        return id(value), tuple(_of(part, depth - 1, held) for part in _parts(value))
    if len(value) > _MOST:
        return id(value)
    if isinstance(value, set | frozenset):
        return set, id(value), len(value)
    parts = chain(value, value.values()) if isinstance(value, dict) else value
    return kind, tuple(_of(part, depth - 1, held) for part in parts)


def _parts(value: Any) -> Iterator[Any]:
    """What a function or an object refers to."""
    wrapped = getattr(value, "__dict__", {}).get("__wrapped__")
    if isinstance(value, FunctionType):
        yield from _references(value)
    elif isinstance(value, MethodType):
        yield value.__self__
        yield value.__func__
    elif isinstance(value, functools.partial):
        yield value.func
        yield value.args
        yield value.keywords
    elif wrapped is None and not type(value).__module__.startswith(("numpy", "scipy", "einderiv")):
        call = inspect.getattr_static(type(value), "__call__", None)
        if isinstance(call, FunctionType):
            yield call
        yield from list(getattr(value, "__dict__", {}).values())[:_MOST]
    if wrapped is not None:
        yield wrapped


def _references(function: FunctionType) -> Iterator[Any]:
    """Closure, defaults, and the globals that the function names; those of a library never change."""
    code = function.__code__
    if code.co_filename.startswith(_LIBRARIES):
        return
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            yield None
    yield function.__defaults__
    if function.__kwdefaults__:
        yield function.__kwdefaults__
    scope = function.__globals__
    for name in _names(code):
        value = scope.get(name)
        if value is not None and not isinstance(value, ModuleType | type):
            yield value


@functools.lru_cache(maxsize=4096)
def _names(code: CodeType) -> tuple[str, ...]:
    """Global names in a function and in those written inside it."""
    found = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found.update(dict.fromkeys(_names(constant)))
    return tuple(found)


# ---------------------------------------------------------------- calls


class Mode(NamedTuple):
    """What a trace leaves open: extents and numbers, arrays one does not differentiate by."""

    is_general: bool
    traces_others: bool


# From the most general trace to the most permissive: a shape used as data needs known extents, a label
# used as an index needs its array. The last one holds for one call only.
MODES = (Mode(True, True), Mode(False, True), Mode(False, False))


@dataclass
class Call:
    """The arguments of a call, leaf by leaf."""

    structure: tuple[int, tuple[Structure, ...], tuple[str, ...]]  # positional ones, all, keywords
    leaves: list[Any]
    places: list[tuple[int, int]]  # the argument of each, and its number there; -1 if it is alone
    wanted: list[bool]  # one differentiates by this leaf
    parameter: Callable[[int], str]

    def name(self, place: int) -> str:
        """A name for a leaf."""
        argument, number = self.places[place]
        return self.parameter(argument) + (f"_{number}" if number >= 0 else "")

    @property
    def is_symbolic(self) -> bool:
        """Are symbols among the arguments?"""
        return any(isinstance(leaf, Symbolic) for leaf in self.leaves)

    def tensor_leaves(self, mode: Mode) -> list[bool]:
        """Which leaves become tensors."""
        return [
            wanted
            or (mode.traces_others and isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biuf")
            or (mode.is_general and isinstance(leaf, float | np.floating))
            for leaf, wanted in zip(self.leaves, self.wanted, strict=True)
        ]

    def key(self, mode: Mode) -> Hashable | None:
        """The signature under which a trace can be used again; None if there is none."""
        if not mode.traces_others:
            return None
        parts: list[Hashable] = []
        order: dict[int, int] = {}
        for leaf, traced in zip(self.leaves, self.tensor_leaves(mode), strict=True):
            if traced:
                shape = np.shape(leaf)
                if mode.is_general:  # -1 the first extent beyond 1, -2 the second ...
                    shape = tuple(
                        -order.setdefault(d, len(order) + 1) if d > 1 else d for d in shape
                    )
                parts.append(shape)
            elif isinstance(leaf, bool | int | float | str | bytes | np.generic | Enum | type):
                parts.append((type(leaf), leaf))
            elif inspect.isroutine(leaf):
                parts.append(fingerprint(leaf)[0])
            else:
                return None  # it may change without our noticing
        return mode, self.structure, tuple(self.wanted), tuple(parts)

    def sizes(self) -> tuple[int, ...]:
        """All extents of the arrays, in order."""
        arrays = (leaf for leaf in self.leaves if isinstance(leaf, np.ndarray))
        return tuple(size for array in arrays for size in array.shape)

    def apply(self, function: Callable[..., Any], leaves: Sequence[Any]) -> Any:
        """The function's result for arguments with other leaves."""
        count, structures, keywords = self.structure
        rest = iter(leaves)
        values = [nest(structure, rest) for structure in structures]
        return function(*values[:count], **dict(zip(keywords, values[count:], strict=True)))


@dataclass
class Traced:
    """What a function computes: its results as terms, its tensors, the arrays it brought along."""

    outputs: list[Expression]
    structure: Structure
    inputs: list[tuple[int, Variable]]  # place among the leaves
    wanted: list[Variable]
    variables: dict[str, Variable]
    constants: dict[str, Array]


# ---------------------------------------------------------------- the arguments


def call_of(
    function: Callable[..., Any],
    argnums: Sequence[int],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
) -> Call:
    """The leaves of a call, those of `argnums` as arrays of floats."""
    leaves: list[Any] = []
    structures: list[Structure] = []
    places: list[tuple[int, int]] = []
    wanted: list[bool] = []

    def name(place: int) -> str:  # looked up where it is needed: 10 us
        names = [f"x{k}" for k in range(len(arguments))]
        with suppress(TypeError, ValueError):  # a function without a signature
            parameters = inspect.signature(function).parameters.values()
            plain = [
                p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
            ]
            names = [*plain, *names[len(plain) :]]
        return [*names[: len(arguments)], *keywords][place]

    for place, value in enumerate((*arguments, *keywords.values())):
        own, structure = leaves_of(value)
        by = place < len(arguments) and place in argnums
        leaves += [(_differentiable if by else _plain)(leaf, place, name) for leaf in own]
        places += [(place, k if len(own) > 1 else -1) for k in range(len(own))]
        wanted += [by] * len(own)
        structures.append(structure)
    whole = (len(arguments), tuple(structures), tuple(keywords))
    return Call(whole, leaves, places, wanted, name)


def _plain(leaf: Any, place: int, name: Callable[[int], str]) -> Any:
    """An argument as it is; arrays of other libraries as NumPy arrays."""
    if isinstance(leaf, np.ma.MaskedArray | np.matrix):
        converted(name(place), leaf)  # raises
    if isinstance(leaf, np.ndarray | np.generic | Symbolic) or not hasattr(leaf, "__array__"):
        return leaf
    return np.asarray(leaf)


def _differentiable(leaf: Any, place: int, name: Callable[[int], str]) -> Any:
    """An argument that one differentiates by, as an array of floats; symbols as they are."""
    plain = type(leaf) is np.ndarray and leaf.dtype == float and leaf.dtype.isnative
    if plain or isinstance(leaf, Symbolic):
        return leaf
    numbers = np.ndarray | np.generic | bool | int | float | complex
    fact = f"it is of type {type(leaf).__name__}"
    if isinstance(leaf, numbers) or hasattr(leaf, "__array__"):
        array = converted(name(place), leaf)
        if array.dtype.kind == "f":
            return array
        fact = f"it is of dtype {array.dtype}"
    raise DataError(
        f"one cannot differentiate by {name(place)}: {fact}",
        facts=["a variable is a real number or array, or tuples, lists and dicts of these"],
        hint="choose another argument with argnums",
    )


# ---------------------------------------------------------------- the trace


def trace(function: Callable[..., Any], call: Call, mode: Mode) -> Traced:
    """Call the function with symbols for the arrays that `mode` leaves open."""
    dims: dict[int, Dim] = {}
    variables: dict[str, Variable] = {}
    inputs: list[tuple[int, Variable]] = []
    leaves = list(call.leaves)
    for place, is_traced in enumerate(call.tensor_leaves(mode)):
        if is_traced:
            name = fresh_name(call.name(place), variables)
            shape: list[Dim] = []
            for size in np.shape(leaves[place]):
                is_open = mode.is_general and size > 1
                shape.append(dims.setdefault(size, f"n{len(dims) + 1}") if is_open else size)
            variables[name] = Variable(name, tuple(shape))
            inputs.append((place, variables[name]))
        elif isinstance(leaves[place], np.ndarray):  # the function cannot write into it
            leaves[place] = leaves[place].view()
            leaves[place].flags.writeable = False
    context = Context(variables, declared=frozenset(d for d in dims.values() if isinstance(d, str)))
    for place, x in inputs:
        leaves[place] = symbol(x, context)
    constants = Constants(dims, context)
    token = tracing.set(constants)
    try:
        outputs, structure = outputs_of(call.apply(function, leaves), context)
    except Exception as error:
        refusal = refusal_of(error, error.__traceback__)
        if refusal is error:
            raise
        raise refusal from error
    finally:
        tracing.reset(token)
    wanted = [x for place, x in inputs if call.wanted[place]]
    return Traced(outputs, structure, inputs, wanted, constants.variables, constants.arrays)


def outputs_of(result: Any, context: Context) -> tuple[list[Expression], Structure]:
    """What a function returned, as expressions, and how it was nested."""
    owner = symbol(Variable("_", ()), context)
    found, structure = leaves_of(result)
    outputs = []
    for leaf in found:
        leaf = expression_of(leaf)
        known = isinstance(leaf, Expression)
        outputs.append(leaf if known else symbol_of(owner, operand(leaf, context)[0]))
    return outputs, structure


def refusal_of(error: Exception, traceback: TracebackType | None) -> Exception:
    """What a function raised, as a refusal with its line if symbols are the reason."""
    if isinstance(error, EinderivError):
        return locate(error, traceback)
    text, found = str(error), None
    named = any(f"'{kind}'" in text for kind in ("Expression", "Size", "Indexed"))
    about = isinstance(error, AttributeError) and isinstance(error.obj, Symbolic | Size)
    if "read-only" in text and isinstance(error, ValueError):
        found = NotationError(
            "an argument of a function to differentiate is written into",
            facts=["derivatives belong to functions that leave their arguments as they are"],
            hint="write a copy: x = x.copy()",
        )
    elif about or (named and isinstance(error, TypeError)) or is_ours(traceback):
        text = text.replace("'Expression'", "symbol").replace("'Size'", "extent")
        found = NotationError(
            "symbols do not take part in this",
            facts=[f"{type(error).__name__}: {text}"],
            hint="use arithmetic, NumPy's functions and np.where, or compute it beforehand",
        )
    return error if found is None else locate(found, traceback)
