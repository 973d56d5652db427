"""Programs and derivatives as functions over arrays, of expressions and of plain Python functions for NumPy.

In: expressions or texts; a function over arrays and the positions of the arguments to differentiate by.
Out: callables that take arrays by name; a function with the arguments, results and conventions of JAX's.
Invariant: all results of one call are one program; what they share is computed once. A function is traced
(called with symbols) once per signature: ranks, which extents are equal, which are 1, the values of arguments
that are not arrays of numbers. Arrays that it uses besides travel with the trace; what else it reads is in
its fingerprint. Called with symbols, also while another is traced, its derivative is an expression in them.
"""

from __future__ import annotations

import functools
import inspect
import os
import sysconfig
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType, TracebackType
from typing import Any, NamedTuple

import numpy as np

from ..calculus import simplify
from ..errors import (
    DataError,
    DerivativeError,
    DimensionError,
    EinderivError,
    NotationError,
    axes_in_words,
)
from ..notations import Context
from ..printers import Picture, plan, plan_html
from ..programs import Executable, Keys, array_of, check_backend, parsed_limit
from ..terms import Dim, Expr, Variable, postorder, substitute_terms, unite
from .expression import Expression, derivatives, parse, symbol
from .symbols import (
    Array,
    Constants,
    Size,
    Symbolic,
    expression_of,
    fresh_name,
    is_ours,
    locate,
    operand,
    symbol_of,
    together,
    tracing,
)

# ---------------------------------------------------------------- nested arguments and results

# As JAX's pytrees: dicts by sorted keys, None without leaves; all but tuples, lists and dicts are leaves.
Structure = Hashable  # () for a leaf, else a type, or the keys of a dict, and the structures inside


def leaves_of(value: Any) -> tuple[list[Any], Structure]:
    """The leaves of a nested value, and its structure.

    >>> leaves_of({"w": [1, 2], "b": 3})[0]
    [3, 1, 2]
    """
    kind: Hashable
    inside: Sequence[Any]
    if isinstance(value, dict):
        keys = list(value)
        with suppress(TypeError):
            keys = sorted(value)
        kind, inside = tuple(keys), [value[key] for key in keys]
    elif isinstance(value, tuple | list):
        kind = list if isinstance(value, list) else tuple
        kind, inside = type(value) if hasattr(value, "_fields") else kind, value
    elif value is None:
        kind, inside = None, ()
    else:
        return [value], ()
    parts = list(map(leaves_of, inside))
    return [leaf for own, _ in parts for leaf in own], (kind, tuple([own for _, own in parts]))


def nest(structure: Any, leaves: Iterable[Any]) -> Any:
    """A value of a structure.

    >>> nest(leaves_of((1, [2]))[1], "ab")
    ('a', ['b'])
    """
    leaves = iter(leaves)
    if structure == ():
        return next(leaves)
    kind, inside = structure
    values = [nest(part, leaves) for part in inside]
    if isinstance(kind, tuple):
        return dict(zip(kind, values, strict=True))
    if kind is not None:
        return kind(*values) if hasattr(kind, "_fields") else kind(values)
    return None


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
    own = getattr(value, "__dict__", {})
    wrapped = own.get("__wrapped__")
    if isinstance(value, FunctionType):
        yield from _references(value)
    elif isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif wrapped is None and not type(value).__module__.startswith(("numpy", "scipy", "einderiv")):
        call = inspect.getattr_static(type(value), "__call__", None)
        if isinstance(call, FunctionType):
            yield call
        yield from list(own.values())[:_MOST]
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
    yield from (function.__defaults__, function.__kwdefaults__)
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


# How much a trace leaves open, from the most general one to the most permissive: extents and numbers (a shape
# used as data needs known extents), arrays one does not differentiate by (a label used as an index needs its
# array), nothing. The last one holds for one call only.
OPEN, SIZED, FIXED = MODES = range(3)


class Call:
    """The arguments of a call, leaf by leaf; those of `argnums` as arrays of floats."""

    def __init__(
        self,
        function: Callable[..., Any],
        argnums: Sequence[int],
        arguments: Sequence[Any],
        keywords: Mapping[str, Any],
    ) -> None:
        self.function, self.count, self.keywords = function, len(arguments), tuple(keywords)
        leaves: list[Any] = []
        places: list[tuple[int, int]] = []  # its argument, its number there; -1 if it is alone
        wanted: list[bool] = []  # one differentiates by this leaf
        structures: list[Structure] = []  # of the arguments
        for place, value in enumerate((*arguments, *keywords.values())):
            own, structure = leaves_of(value)
            by = place < self.count and place in argnums
            convert = self._differentiable if by else self._plain
            leaves += [convert(leaf, place) for leaf in own]
            places += [(place, k if len(own) > 1 else -1) for k in range(len(own))]
            wanted += [by] * len(own)
            structures.append(structure)
        self.leaves, self.places, self.wanted, self.structures = leaves, places, wanted, structures

    def _parameter(self, place: int) -> str:
        """The name of an argument."""
        names = [f"x{k}" for k in range(self.count)]
        with suppress(TypeError, ValueError):  # a function without a signature
            parameters = inspect.signature(self.function).parameters.values()
            plain = [
                p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
            ]
            names = [*plain, *names[len(plain) :]]
        return [*names[: self.count], *self.keywords][place]

    def name(self, place: int) -> str:
        """A name for a leaf."""
        argument, number = self.places[place]
        return self._parameter(argument) + (f"_{number}" if number >= 0 else "")

    def _plain(self, leaf: Any, place: int) -> Any:
        """An argument as it is; arrays of other libraries as NumPy arrays."""
        if isinstance(leaf, np.ma.MaskedArray | np.matrix):
            array_of(self._parameter(place), leaf)  # raises
        if isinstance(leaf, np.ndarray | np.generic | Symbolic) or not hasattr(leaf, "__array__"):
            return leaf
        return np.asarray(leaf)

    def _differentiable(self, leaf: Any, place: int) -> Any:
        """An argument that one differentiates by, as an array of floats; symbols as they are."""
        plain = type(leaf) is np.ndarray and leaf.dtype == float and leaf.dtype.isnative
        if plain or isinstance(leaf, Symbolic):
            return leaf
        numbers = np.ndarray | np.generic | bool | int | float | complex
        fact = f"it is of type {type(leaf).__name__}"
        if isinstance(leaf, numbers) or hasattr(leaf, "__array__"):
            array = array_of(self._parameter(place), leaf)
            if array.dtype.kind == "f":
                return array
            fact = f"it is of dtype {array.dtype}"
        raise DataError(
            f"one cannot differentiate by {self._parameter(place)}: {fact}",
            facts=["a variable is a real number or array, or tuples, lists and dicts of these"],
            hint="choose another argument with argnums",
        )

    def tensor_leaves(self, mode: int) -> list[bool]:
        """Which leaves become tensors."""
        return [
            wanted
            or (mode < FIXED and isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biuf")
            or (mode == OPEN and isinstance(leaf, float | np.floating))
            for leaf, wanted in zip(self.leaves, self.wanted, strict=True)
        ]

    def key(self, mode: int) -> Hashable | None:
        """The signature under which a trace can be used again; None if there is none."""
        if mode == FIXED:
            return None
        parts: list[Hashable] = []
        order: dict[int, int] = {}
        for leaf, traced in zip(self.leaves, self.tensor_leaves(mode), strict=True):
            if traced:
                shape = np.shape(leaf)
                if mode == OPEN:  # -1 the first extent beyond 1, -2 the second ...
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
        structure = self.count, tuple(self.structures), self.keywords
        return mode, structure, tuple(self.wanted), tuple(parts)

    def sizes(self) -> tuple[int, ...]:
        """All extents of the arrays, in order."""
        arrays = (leaf for leaf in self.leaves if isinstance(leaf, np.ndarray))
        return tuple(size for array in arrays for size in array.shape)

    def apply(self, leaves: Sequence[Any]) -> Any:
        """The function's result for arguments with other leaves."""
        rest = iter(leaves)
        values = [nest(structure, rest) for structure in self.structures]
        keywords = dict(zip(self.keywords, values[self.count :], strict=True))
        return self.function(*values[: self.count], **keywords)


@dataclass
class Traced:
    """What a function computes: its results as terms, its tensors, the arrays it brought along."""

    outputs: list[Expression]
    structure: Structure
    inputs: list[tuple[int, Variable]]  # place among the leaves
    wanted: list[Variable]
    variables: dict[str, Variable]
    constants: dict[str, Array]
    program: Executable | None = None  # of the derivative
    held: Sequence[Any] = ()  # kept alive, since their identity is in the key


def trace(call: Call, mode: int) -> Traced:
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
                is_open = mode == OPEN and size > 1
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
        outputs, structure = outputs_of(call.apply(leaves), context)
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


Compilable = Expression | Sequence[Expression] | Mapping[str, Expression]


class PlannedProgram(Executable):
    """A compiled program that can show its plan as a picture, and as a table in a notebook."""

    def draw(self) -> Picture:
        """The plan as a picture: arrays, steps with their kernels, shapes and operations, results.

        >>> import einderiv as ed
        >>> picture = ed.compile(ed.parse("x[i]*Q[i,j]*x[j]")).draw()
        >>> picture
        <Picture plan: 4 nodes, 4 edges; .dot .svg() .png() .save(path)>
        """
        return Picture(plan(self.program, self._sizes, self._result_names()))

    def _result_names(self) -> tuple[str, ...]:
        return tuple(map(str, self._keys)) if isinstance(self._keys, tuple) else ()

    def _repr_html_(self) -> str:
        """The plan as a table."""
        return plan_html(self.program, self._sizes, self._result_names())


def compile(
    expressions: Compilable,
    backend: str = "numpy",
    dtype: Any = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    memory_limit: str | int | None = None,
    structured: bool = False,
) -> PlannedProgram:
    """One expression, a list or a dict of them as one program; what they share is computed once.

    `shapes` gives the shapes to plan for; with `memory_limit` ("1GiB", or bytes) it runs in blocks if it
    would need more, or refuses; `dtype` converts all arrays; with `structured` a result with Kronecker
    deltas or outer products in it comes as a `StructuredTensor`, its factors, wherever they are smaller than
    the array. Tensors of the same name in several expressions are one tensor.

    >>> J = parse("(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])")
    >>> p = compile({"value": J, "grad": J.grad("th")})
    >>> result = p(X=[[1.0, 2.0]], th=[1.0, 1.0], Y=[1.0])
    >>> float(result["value"]), result["grad"].tolist()
    (4.0, [4.0, 8.0])
    """
    check_backend(backend)
    keys: Keys
    if isinstance(expressions, Expression):
        chosen, keys = [expressions], None
    elif isinstance(expressions, Mapping):
        chosen, keys = list(expressions.values()), tuple(expressions)
    elif isinstance(expressions, Sequence):
        chosen, keys = list(expressions), len(expressions)
    else:
        chosen, keys = [], None
    if not chosen or not all(isinstance(e, Expression) for e in chosen):
        raise NotationError(
            "nothing to compile", hint="pass an Expression, a list or a dict of them"
        )
    programs = [(e.term, e._context.variables) for e in chosen]
    terms, variables = unite(programs)
    sizes = _sizes(shapes or {}, variables)

    def title() -> str:
        text = "; ".join(str(e).replace("\n", "; ") for e in chosen)
        return text if len(text) < 400 else ""

    rows = [e._layout.ranks[0] if len(e._layout.ranks) == 2 else e.term.rank // 2 for e in chosen]
    limit = parsed_limit(memory_limit)
    return PlannedProgram(terms, keys, variables, dtype, sizes, limit, title, structured, rows)


def _sizes(
    shapes: Mapping[str, Sequence[int]], variables: Mapping[str, Variable]
) -> dict[str, int]:
    """Extents from the shapes of arrays."""
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        x = variables.get(name)
        whole = isinstance(shape, Sequence) and all(isinstance(n, int) and n >= 0 for n in shape)
        if x is None or not whole or len(shape) != x.rank:
            axes = "" if x is None else ", ".join(map(str, x.shape))
            raise DimensionError(
                f"the shape {shape!r} does not fit {name}",
                facts=["no such tensor" if x is None else f"{name} has axes ({axes})"],
                hint="give whole numbers, one an axis",
            )
        for dim, size in zip(x.shape, shape, strict=True):
            known = dim if isinstance(dim, int) else sizes.setdefault(dim, int(size))
            if known != size:
                raise DimensionError(
                    f"extent {dim} has two values, {known} and {size}",
                    hint="give shapes that agree",
                )
    return sizes


# ---------------------------------------------------------------- derivatives of Python functions

Argnums = int | Sequence[int]

_MOST_TRACES = 256  # signatures of one function that are kept
_MOST_BYTES = 1 << 28  # of the arrays that these hold

_depth: ContextVar[int] = ContextVar("depth", default=0)  # of derivatives inside derivatives


class Kind(NamedTuple):
    """A kind of derivative."""

    name: str
    of_number: bool  # is the function to have one number as its value?
    order: int = 1
    has_value: bool = False  # does the function's value come with it?

    def terms(self, terms: Sequence[Expr], variables: Sequence[Variable]) -> list[Expr]:
        """The results from those of the function."""
        found = list(terms)
        for _ in range(self.order):
            found = [g for term in found for g in derivatives(term, variables)]
        return [*simplify(terms), *found] if self.has_value else found


@functools.lru_cache(maxsize=512)
def _program(
    kind: Kind,
    results: tuple[Expr, ...],
    wanted: tuple[Variable, ...],
    variables: tuple[Variable, ...],
) -> Executable:
    """The program of a derivative; equal traces, of whatever functions, share one."""
    roots = kind.terms(results, wanted)
    return Executable(roots, len(roots), {x.name: x for x in variables})


class Transformed:
    """A derivative of a function: called as the function is."""

    def __init__(self, function: Callable[..., Any], argnums: Argnums, kind: Kind) -> None:
        functools.update_wrapper(self, function)
        self.function, self.argnums, self.kind = function, argnums, kind
        self._plans: dict[Hashable, Traced] = {}
        self._starts: dict[Hashable, int] = {}  # the first mode that can succeed
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        call = Call(self.function, self.places(len(arguments)), arguments, keywords)
        if tracing.get() is not None or any(isinstance(leaf, Symbolic) for leaf in call.leaves):
            traced, values = self._in_symbols(call)
        else:
            traced = self._plan(call)
            assert traced.program is not None
            arrays = {x.name: call.leaves[place] for place, x in traced.inputs}
            values = list(traced.program({**arrays, **traced.constants}))
        return self._pack(traced, call, values)

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", "function")
        return f"<{self.kind.name} of {name}, argnums={self.argnums}>"

    def places(self, count: int) -> tuple[int, ...]:
        """The positions to differentiate by, among `count` arguments."""
        given = (self.argnums,) if isinstance(self.argnums, int) else tuple(self.argnums)
        for k in given:
            if isinstance(k, bool) or not isinstance(k, int) or not -count <= k < count:
                raise DerivativeError(
                    f"argnums={self.argnums!r} of a call with {count} positional arguments",
                    facts=["argnums counts the positional arguments from 0"],
                    hint="pass what is differentiated by position, or change argnums",
                )
        return tuple(k % count for k in given)

    def _pack(self, traced: Traced, call: Call, values: list[Any]) -> Any:
        """The structure of the results, in each place that of the arguments, once for each order."""
        first = [values.pop(0)] if self.kind.has_value else []
        if self.kind.of_number and self.kind.order == 1:  # each entry in the dtype of its argument
            leaves = [leaf for leaf, wanted in zip(call.leaves, call.wanted, strict=True) if wanted]
            for k, (value, leaf) in enumerate(zip(values, leaves, strict=True)):
                if isinstance(value, np.ndarray | np.generic):
                    values[k] = value.astype(leaf.dtype, copy=False)
        n, places = len(traced.wanted), self.places(call.count)
        for order in reversed(range(self.kind.order)):
            rows = []
            for k in range(n**order * len(traced.outputs)):
                rest = iter(values[n * k : n * (k + 1)])
                built = {place: nest(call.structures[place], rest) for place in sorted(set(places))}
                own = tuple(built[place] for place in places)
                rows.append(own[0] if isinstance(self.argnums, int) else own)
            values = rows
        result = nest(traced.structure, values)
        return (*first, result) if first else result

    # ------------------------------------------------------------ arrays

    def _plan(self, call: Call) -> Traced:
        """The trace and the program for a call, kept from an earlier one of its signature."""
        identity, _ = fingerprint(self.function)
        general = call.key(OPEN)
        start = 0
        if general is not None:
            known = self._plans.get((identity, general))
            if known is not None:
                return known
            sized = (identity, general, call.sizes())
            known = self._plans.get(sized) or self._plans.get((identity, call.key(SIZED)))
            if known is not None:
                return known
            start = self._starts.get(sized, 0)
        last: Exception | None = None
        for mode in MODES[start:]:
            try:
                traced = trace(call, mode)
            except Exception as error:  # the next mode leaves less open
                last = error
                continue
            wanted, variables = tuple(traced.wanted), tuple(traced.variables.values())
            traced.program = _program(self.kind, self._results(traced), wanted, variables)
            # anew: the function may have kept a record of its call
            identity, traced.held = fingerprint(self.function)
            if general is None:
                return traced
            sized = (identity, general, call.sizes())
            with self._lock:
                self._starts[sized] = mode
                if mode == OPEN and traced.constants:
                    # an array from outside fits these sizes; others need a trace of their own
                    self._keep(sized, traced)
                elif mode != FIXED:
                    self._keep((identity, call.key(mode)), traced)
            return traced
        assert last is not None
        raise last

    def _results(self, traced: Traced) -> tuple[Expr, ...]:
        """The terms to differentiate; one number if the derivative is that of a number."""
        found = tuple(output._term for output in traced.outputs)
        if not self.kind.of_number:
            return found
        if traced.structure != ():
            count = f"{len(found)} values" if found else "nothing"
            what, way = f"that returns {count}", "return one number"
        elif found[0].rank:
            what, way = f"whose value has {axes_in_words(found[0].rank)}", "sum the result"
        else:
            return found
        raise DerivativeError(
            f"the gradient of a function {what}",
            facts=["it belongs to a function with one number as its value"],
            hint=f"{way}, or use ed.jacobian",
        )

    def _keep(self, key: Hashable, traced: Traced) -> None:
        self._plans[key] = traced
        room = _MOST_BYTES
        for old, other in reversed(list(self._plans.items())):
            room -= sum(array.nbytes for array in other.constants.values())
            if old != key and (room < 0 or len(self._plans) > _MOST_TRACES):
                del self._plans[old]
        while len(self._starts) > 4 * _MOST_TRACES:
            self._starts.pop(next(iter(self._starts)))

    # ------------------------------------------------------------ symbols

    def _in_symbols(self, call: Call) -> tuple[Traced, list[Any]]:
        """The derivative as expressions: by new tensors, which the arguments then replace."""
        running = tracing.get()
        symbols = [leaf for leaf in call.leaves if isinstance(leaf, Symbolic)]
        owner = symbol(Variable("_"), running.context) if running is not None else symbols[0]
        wanted = [k for k, is_wanted in enumerate(call.wanted) if is_wanted]
        (_, *arguments), owner, context = together([owner, *(call.leaves[k] for k in wanted)])
        level = _depth.get()
        inner = [
            Variable(f"{call.name(k)}.{level}.{k}", term.shape)  # no name of a user's has a point
            for k, term in zip(wanted, arguments, strict=True)
        ]
        leaves = list(call.leaves)
        for k, x in zip(wanted, inner, strict=True):
            leaves[k] = symbol(x, context)
        token = _depth.set(level + 1)
        try:
            outputs, structure = outputs_of(call.apply(leaves), context)
        finally:
            _depth.reset(token)
        terms, owner, context = together([*outputs, owner])
        own = {x.name: x for x in inner}
        for node in postorder(terms):
            if isinstance(node, Variable) and own.get(node.name, node) is not node:
                raise NotationError(
                    f"the function joins extents of {node.name.partition('.')[0]} to others",
                    facts=[f"({', '.join(map(str, own[node.name].shape))}) became {node.shape}"],
                    hint="declare the extents, as in ed.tensors('X[n,d]')",
                )
        outputs = [symbol_of(owner, term, context) for term in terms[:-1]]
        traced = Traced(outputs, structure, [], inner, {}, {})
        roots = self.kind.terms(self._results(traced), inner)
        found = substitute_terms(roots, dict(zip(inner, arguments, strict=True)))
        return traced, [symbol_of(owner, term, context) for term in simplify(found)]


GRADIENT = Kind("gradient", True)
VALUE_AND_GRADIENT = Kind("value and gradient", True, has_value=True)
JACOBIAN = Kind("Jacobian", False)
HESSIAN = Kind("Hessian", False, order=2)


# ---------------------------------------------------------------- derivatives of either

Wrt = str | int | Sequence[str] | Sequence[int] | None


def _transform_of(f: Any, kind: Kind, wrt: Wrt, argnums: Argnums | None) -> Transformed | None:
    """The derivative of a Python function; positions of arguments as argnums= or in second place, else 0."""
    if not callable(f) or isinstance(f, Expression):
        return None
    chosen: Any = wrt if argnums is None else argnums
    given = chosen if isinstance(chosen, Sequence) else [chosen]
    if chosen is not None and (
        isinstance(chosen, str) or not all(isinstance(k, int) for k in given)
    ):
        raise DerivativeError(
            f"{chosen!r} names no argument of a function",
            facts=["arguments of functions are named by position"],
            hint="write ed.grad(f, argnums=0); names belong to texts and Expressions",
        )
    return Transformed(f, 0 if chosen is None else chosen, kind)


def _expression(f: str | Expression) -> Expression:
    if not isinstance(f, str | Expression):
        raise NotationError(
            f"an object of type {type(f).__name__} cannot be differentiated",
            hint="pass a text, an Expression or a function",
        )
    return parse(f) if isinstance(f, str) else f


def _name(wrt: Wrt, what: str) -> str:
    if not isinstance(wrt, str):
        raise DerivativeError(
            f"{what} by {wrt!r}",
            facts=["a tensor of a text or an Expression is given by its name"],
            hint=f"write ed.{what}(f, 'x')",
        )
    return wrt


def grad(f: Any, wrt: Wrt = None, *, argnums: Argnums | None = None) -> Any:
    """The gradient of a scalar as a function of arrays.

    Of a text or an Expression: by the tensor `wrt`; a dict for several or none (all); arrays by name.
    Of a Python function written for NumPy: by the arguments at `argnums` (0); called as the function is.

    >>> grad("x[i]*x[i]", "x")(x=[1.0, 2.0]).tolist()
    [2.0, 4.0]
    >>> import numpy as np
    >>> grad(lambda x: np.sum(np.exp(x)))(np.zeros(2)).tolist()
    [1.0, 1.0]
    """
    transformed = _transform_of(f, GRADIENT, wrt, argnums)
    if transformed is not None:
        return transformed
    names = (wrt,) if isinstance(wrt, str) else tuple(map(str, wrt or ()))  # type: ignore[arg-type]
    return compile(_expression(f).grad(*names))


def value_and_grad(f: Any, wrt: Wrt = None, *, argnums: Argnums | None = None) -> Any:
    """The value and the gradient from one program; arguments as those of `grad`.

    >>> value, gradient = value_and_grad("x[i]*x[i]", "x")(x=[1.0, 2.0])
    >>> float(value), gradient.tolist()
    (5.0, [2.0, 4.0])
    """
    transformed = _transform_of(f, VALUE_AND_GRADIENT, wrt, argnums)
    if transformed is not None:
        return transformed
    expression = _expression(f)
    program = compile([expression, expression.grad(_name(wrt, "value_and_grad"))])
    return lambda arrays=None, /, **more: tuple(program(arrays, **more))


def jacobian(f: Any, wrt: Wrt = None, *, argnums: Argnums | None = None) -> Any:
    """The derivative as a function of arrays: the value's axes, then the variable's.

    Of a Python function: tuples, lists and dicts of arrays in the structure of its value, as JAX's.

    >>> jacobian("y[i] = A[i,j]*x[j]", "x")(A=[[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """
    return _transform_of(f, JACOBIAN, wrt, argnums) or compile(
        _expression(f).jacobian(_name(wrt, "jacobian"))
    )


def hessian(f: Any, wrt: Wrt = None, *, argnums: Argnums | None = None) -> Any:
    """The Hessian of a scalar as a function of arrays.

    Of a Python function, for several arguments, or for tuples, lists and dicts of arrays: the structure
    twice, as JAX's.

    >>> hessian("x[i]*x[i]", "x")(x=[1.0, 2.0]).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    >>> import numpy as np
    >>> hessian(lambda x: np.sum(x**3))(np.array([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return _transform_of(f, HESSIAN, wrt, argnums) or compile(
        _expression(f).hessian(_name(wrt, "hessian"))
    )
