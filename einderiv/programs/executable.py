"""`compile`: one or several terms as one program over arrays.

In: terms, the tensors of their program. Out: `Executable`, called with arrays by name.
Invariant: arrays are checked before anything runs; inputs are never written, results never alias them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..calculus import simplify
from ..errors import BackendError, DataError, DimensionError, ResourceLimitError
from ..terms import Expr, Variable, postorder, symbolic_extents
from .arrays import (
    Array,
    by_name,
    checked_arrays,
    checked_dtype,
    checked_outputs,
    checked_sizes,
    common_dtype,
    resolved_extents,
)
from .backends.scalars import LARGEST_EXTENT, scalar_function
from .backends.source import source_of
from .compiler.cost import Cost, cost_of, table_of
from .compiler.kernels import ASSUMED_EXTENT
from .compiler.lower import Form, Term
from .planning import Plan, magnitude, plan_of, shape_of
from .program import Program
from .running import Ready, own_array, program_error, refuse_complex, result_list, write_to

_MOST_PLANS = 16  # kept of each program

# names of a dict's results, the length of a list, or one result
Keys = tuple[str, ...] | int | None


class Executable:
    """A compiled program: call it with arrays by name, or in the order of `arguments`.

    `source`: the Python source that does the same without einderiv; `cost(n=..., d=...)`: its price;
    `str()`: the plan as a table, `draw()`: as a picture; `unchecked`: a call without checks; `release()`:
    gives back the memory kept between calls. Thread-safe; plans are for the sizes of the first arrays.
    """

    def __init__(
        self,
        terms: Sequence[Expr],
        keys: Keys,
        variables: Mapping[str, Variable],
        dtype: Any = None,
        sizes: Mapping[str, int] | None = None,
        memory_limit: int | None = None,
        title: Callable[[], str] = str,
        structured: bool = False,
        row_axes: Sequence[int] = (),
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        self._terms = tuple(terms)
        self._keys = keys
        self._variables = dict(variables)
        self._dtype = None if dtype is None else checked_dtype(dtype)
        self._sizes = dict(sizes or {})
        self._memory_limit = memory_limit
        self._title = title
        self._structured = structured
        self._row_axes = tuple(row_axes)
        self._fixed = dict(fixed or {})
        self._lock = threading.Lock()
        self._plans: dict[tuple[int, ...], Plan] = {}
        self._readies: dict[Hashable, Ready] = {}
        self._latest: Ready | None = None

    # ------------------------------------------------------------ planning

    @cached_property
    def _final(self) -> tuple[list[Expr], list[str], list[str]]:
        """The simplified terms, the arrays that are in them, their extents."""
        terms = simplify(self._terms)
        leaves = {node.name for node in postorder(terms) if isinstance(node, Variable)}
        return terms, [name for name in self._variables if name in leaves], symbolic_extents(terms)

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """The names of the arrays that the program needs, in the order of positional calls.

        An array that only tells an extent is one of them.
        """
        _, arrays, extents = self._final
        needed = set(arrays)
        known = set(self._sizes).union(*(self._variables[x].shape for x in {*needed, *self._fixed}))
        for name, variable in self._variables.items():
            if set(variable.shape) & (set(extents) - known):
                needed.add(name)
                known.update(variable.shape)
        return tuple(x for x in self._variables if x in needed and x not in self._fixed)

    def _plan(self, sizes: Mapping[str, int]) -> Plan:
        """The program for extents of about these sizes; planned again if they differ much."""
        terms, _, dims = self._final
        key = tuple(magnitude(sizes.get(dim, ASSUMED_EXTENT)) for dim in dims)
        with self._lock:
            if key not in self._plans:
                keys, fixed = self._packing, frozenset(self._fixed)
                plan = plan_of(terms, sizes, keys, self._structured, fixed, self._memory_limit)
                _keep(self._plans, key, plan)
            return self._plans[key]

    @property
    def _packing(self) -> tuple[str, ...] | int:
        """How a runner packs its results: 0 is for one."""
        return 0 if self._keys is None else self._keys

    @property
    def program(self) -> Program:
        """The straight-line program as planned for typical extents."""
        return self._plan(self._sizes).program

    @property
    def source(self) -> str:
        """A Python module that computes the same with NumPy alone."""
        title = self._title() or "A program derived by einderiv."
        order = {name: self._variables[name].shape for name in self.arguments}
        return source_of(self.program, self._keys is not None, title, order)

    def cost(self, **sizes: int) -> Cost:
        """Operations, bytes and peak memory for given extents, before anything is allocated.

        Raises DimensionError if an extent of the program is not given.
        """
        known = checked_sizes({**self._sizes, **sizes})
        dims = {dim for variable in self._variables.values() for dim in variable.shape}
        unknown = [dim for dim in sizes if dim not in dims.union(self._final[2])]
        if unknown:
            raise DimensionError(
                f"{', '.join(unknown)}: no such extent",
                facts=[f"the program has {', '.join(sorted(map(str, dims))) or 'no extents'}"],
                hint="correct the name",
            )
        program = self._plan(known).program
        missing = sorted(_symbolic_extents(program) - set(known))
        if missing:
            raise DimensionError(
                f"no value for the extent {', '.join(missing)}",
                facts=[f"given: {', '.join(known) or 'none'}"],
                hint=f"pass cost({', '.join(f'{dim}=...' for dim in missing)})",
            )
        itemsize = np.dtype(self._dtype or np.float64).itemsize
        return cost_of(program, known, itemsize)

    def __str__(self) -> str:
        program = self.program
        assumed = dict.fromkeys(_symbolic_extents(program), ASSUMED_EXTENT) | self._sizes
        extents = ", ".join(f"{dim} = {size}" for dim, size in sorted(assumed.items()))
        table = table_of(program, assumed)
        return f"{table}\nfor {extents}" if extents else table

    def __repr__(self) -> str:
        names = ", ".join(self._variables)
        return f"<program of {names or 'no tensors'}: {len(self._terms)} results>"

    # ------------------------------------------------------------ running

    def __call__(
        self,
        *arrays: Any,
        sizes: Mapping[str, int] | None = None,
        out: Any = None,
        **named: Any,
    ) -> Any:
        """The results for arrays by name, or in the order of `arguments`; packed as compiled.

        Shapes: as the variables' axes say; `sizes` gives extents that no array tells; `out`: an array, or a
        list or dict of arrays as the results come, that they are written to.
        Errors: DataError (kind, dtype, missing or unknown name), DimensionError (rank, extent),
        ResourceLimitError (memory).
        """
        ready = self._latest
        if out is sizes is None is not ready:
            count = len(ready.names)
            if not named:
                if len(arrays) == count and ready.accepts(*arrays):
                    return ready(arrays)
            elif len(named) == count and not arrays:
                given = [named.get(name) for name in ready.names]
                if ready.accepts(*given):
                    return ready(given)
        if out is not None and "out" in self._variables:
            named, out = {**named, "out": out}, None
        return self._check_and_run(self._by_name(arrays, named), sizes, out)

    def unchecked(self, *arrays: Any, **named: Any) -> Any:
        """The results, as the last checked call computed them: shapes and dtypes must be the very same.

        Nothing is checked: other arrays give errors of NumPy's, or wrong results. The first call is checked.

        >>> from einderiv import compile, parse
        >>> import numpy as np
        >>> p = compile(parse("y[i] = A[i,j]*x[j]"))
        >>> A, x = np.eye(2), np.ones(2)
        >>> p(A=A, x=x), p.unchecked(A, x + 1)
        (array([1., 1.]), array([2., 2.]))
        """
        ready = self._latest
        if ready is None:
            return self(*arrays, **named)
        if ready.direct is not None and not named:
            try:
                return ready.direct(*arrays)
            except (ArithmeticError, ValueError):
                pass  # Python raises if NumPy gives inf or nan
        if named or len(arrays) != len(ready.names):
            given = named or dict(zip(self.arguments, arrays, strict=True))
            return ready([given.get(name) for name in ready.names])
        return ready(arrays)

    def bind(self, arrays: Mapping[str, Any] | None = None, /, **named: Any) -> Executable:
        """A program for the other arrays: what depends on these alone is computed once.

        The arrays are taken as they are: a change made in them later is not noticed everywhere.

        >>> from einderiv import compile, parse
        >>> import numpy as np
        >>> J = parse("(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])")
        >>> p = compile(J.grad("th")).bind(X=np.eye(2), Y=np.ones(2))
        >>> p(th=np.zeros(2))
        array([-2., -2.])
        """
        given = {**self._fixed, **by_name(arrays, "arrays", "X=..."), **named}
        values = checked_arrays(given, self._variables, ())
        known = {name: x for name, x in self._variables.items() if name in values}
        resolved_extents(values, known, self._sizes, ())
        return type(self)(
            self._terms,
            self._keys,
            self._variables,
            self._dtype,
            self._sizes,
            self._memory_limit,
            self._title,
            self._structured,
            self._row_axes,
            values,
        )

    def release(self) -> None:
        """Give back the memory that is kept for the next calls."""
        with self._lock:
            for ready in self._readies.values():
                ready.release()

    def _by_name(self, arrays: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        if len(arrays) == 1 and (isinstance(arrays[0], Mapping) or arrays[0] is None):
            return {**(arrays[0] or {}), **named}
        if not arrays:
            return named
        names = self.arguments
        if len(arrays) != len(names) or named:
            raise DataError(
                f"{len(arrays)} {'array' if len(arrays) == 1 else 'arrays'} by position"
                f"{' and some by name' if named else ''}",
                facts=[f"the program takes {len(names)}: {', '.join(names) or 'none'}"],
                hint=f"pass {', '.join(f'{name}=...' for name in names)}",
            )
        return dict(zip(names, arrays, strict=True))

    def _check_and_run(
        self, given: dict[str, Any], sizes: Mapping[str, int] | None, out: Any
    ) -> Any:
        again = [name for name in given if name in self._fixed]
        if again:
            raise DataError(
                f"{', '.join(again)}: bound already",
                facts=[f"the program takes {', '.join(self.arguments) or 'no arrays'}"],
                hint="drop it, or call the program that was bound",
            )
        _, needed, dims = self._final
        values = checked_arrays({**self._fixed, **given}, self._variables, needed)
        known = {**self._sizes, **by_name(sizes, "sizes=", "sizes={'n': 5}")}
        extents = resolved_extents(values, self._variables, known, dims)
        plan = self._plan(extents)
        dtype = common_dtype([values[name] for name in needed] or values.values(), self._dtype)
        inputs = [values[name].astype(dtype, copy=False) for name in plan.inputs]
        self._check_memory(plan.program, extents, dtype)
        if dtype.kind == "c":
            complexes = [name for name, array in values.items() if array.dtype.kind == "c"]
            refuse_complex(plan.program, complexes)
        ready = self._ready(plan, tuple(given), values, extents, dtype)
        # what calls without checks run on from now, if it takes the arrays as they were given
        as_given = all(values[name] is array for name, array in given.items())
        same = all(a is values[name] for a, name in zip(inputs, plan.inputs, strict=True))
        latest = ready if as_given and same and sizes is None else self._latest
        if plan.forms is not None:
            if out is not None:
                raise DataError(
                    "results in pieces cannot be written to an array",
                    facts=["the program was compiled with structured=True"],
                    hint="leave out= away, and call .dense() on the results",
                )
            self._latest = latest
            return ready([values[name] for name in ready.names])
        targets = self._targets(out, plan, extents, dtype, inputs)
        try:
            packed = ready.on(inputs) if targets is None else ready.with_buffers(inputs, targets)
        except Exception as error:
            raise program_error(error, extents, dtype) from None
        results = result_list(packed)
        own: list[Array] = []
        for result in results:
            own.append(own_array(result, dtype, [*inputs, *own]))
        if out is not None:
            return write_to(out, own)
        if all(a is b or a.ndim == 0 for a, b in zip(results, own, strict=True)):
            self._latest = latest
        return self._pack(own)

    def _assembler(
        self, forms: Sequence[Form], extents: Mapping[str, int], dtype: np.dtype[Any]
    ) -> Callable[[Any], Any]:
        """Makes the results from the factors that a program computes."""
        from .structured import StructuredTensor

        def one(factors: Sequence[Array], number: int = 0) -> Any:
            form = forms[number]
            if form.dense is not None:
                return factors[form.dense]
            terms = [
                Term(p.coefficient, tuple([(factors[k], own) for k, own in p.factors]), p.places)
                for p in form.terms
            ]
            return StructuredTensor(shapes[number], terms, dtype, rows[number])

        shapes = [shape_of(form.shape, extents) for form in forms]
        # the axes of a result that are the rows of the matrix it is seen as
        rows = self._row_axes or [len(shape) // 2 for shape in shapes]
        if self._keys is None:
            return one
        return lambda factors: self._pack([one(factors, k) for k in range(len(forms))])

    def _ready(
        self,
        plan: Plan,
        names: tuple[str, ...],
        values: Mapping[str, Array],
        extents: Mapping[str, int],
        dtype: np.dtype[Any],
    ) -> Ready:
        """The runner for just these shapes and dtypes."""
        names = names if set(names) != set(self.arguments) else self.arguments
        signature = tuple((values[name].shape, values[name].dtype) for name in names)
        key = (names, signature, dtype, tuple(extents.items()))
        with self._lock:
            if key in self._readies:
                return self._readies[key]
            lead: tuple[Any, ...] = ()
            if plan.early is not None:
                arrays = [values[name].astype(dtype, copy=False) for name in plan.early.inputs]
                with np.errstate(all="ignore"):
                    lead = plan.early.run(*arrays, dtype, *(extents[d] for d in plan.early.dims))
            finish = scalar = None
            if plan.forms is not None:
                finish = self._assembler(plan.forms, extents, dtype)
            elif dtype == np.float64 and plan.early is None:
                if all(size <= LARGEST_EXTENT for size in extents.values()):
                    scalar = scalar_function(plan.program, extents, self._packing)
            ready = Ready(
                names,
                signature,
                plan.inputs,
                plan.run,
                (dtype, *(extents[dim] for dim in plan.dims)),
                tuple(shape_of(shape, extents) for shape in plan.memory.workspace),
                plan.memory,
                dtype,
                extents,
                finish,
                lead,
                scalar,
            )
            _keep(self._readies, key, ready)
            return ready

    def _targets(
        self,
        out: Any,
        plan: Plan,
        extents: Mapping[str, int],
        dtype: np.dtype[Any],
        inputs: Sequence[Array],
    ) -> list[Array | None] | None:
        """The arrays of `out` that the program may write to; all of `out` checked."""
        if out is None:
            return None
        shapes = plan.program.shapes
        wanted = [shape_of(shapes[register], extents) for register in plan.program.outputs]
        arrays = checked_outputs(out, self._keys, wanted, dtype)
        return [
            array
            if (array := arrays[number]).dtype == dtype
            and array.flags.c_contiguous
            and not any(np.may_share_memory(array, other) for other in inputs)
            else None
            for number in plan.memory.results
        ]

    def _check_memory(self, program: Program, extents: Mapping[str, int], dtype: Any) -> None:
        if self._memory_limit is None:
            return
        cost = cost_of(program, extents, dtype.itemsize)
        if cost.peak_memory > self._memory_limit:
            raise ResourceLimitError(
                f"the program needs {cost.peak_memory:,} bytes, the limit is {self._memory_limit:,}",
                facts=["its arguments and results are counted"],
                hint="raise memory_limit, or ask for a product with a vector (hvp) instead of a Hessian",
            )

    def _pack(self, results: list[Array]) -> Any:
        if isinstance(self._keys, tuple):
            return dict(zip(self._keys, results, strict=True))
        return results[0] if self._keys is None else results


def _symbolic_extents(program: Program) -> set[str]:
    shapes = {dim for step in program.instructions for dim in step.shape if isinstance(dim, str)}
    return shapes | {step.dim for step in program.instructions if hasattr(step, "dim")}


def _keep(known: dict[Any, Any], key: Hashable, value: object) -> None:
    """Remember a value, and the latest few of its kind."""
    if len(known) >= _MOST_PLANS:
        known.pop(next(iter(known)))
    known[key] = value


# longest first, since each ends in B
_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9, "B": 1}


def parsed_limit(limit: str | int | None) -> int | None:
    """Bytes from a number or a text such as `1GiB`.

    >>> parsed_limit("2KiB")
    2048
    """
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0):
        return limit
    text = limit.strip() if isinstance(limit, str) else ""
    for unit, scale in _UNITS.items():
        if text.endswith(unit):
            try:
                size = int(float(text[: -len(unit)]) * scale)
            except (ValueError, OverflowError):
                break
            if size >= 0:
                return size
    raise ResourceLimitError(
        f"{limit!r} is no amount of memory",
        facts=[
            f"it is a whole number of bytes, or a number and one of B, {', '.join([*_UNITS][:-1])}"
        ],
        hint="write for example memory_limit='1GiB'",
    )


def check_backend(backend: str) -> None:
    """Refuse a backend that does not exist."""
    if backend != "numpy":
        raise BackendError(
            f"no backend {backend!r}", facts=["available: numpy"], hint="use backend='numpy'"
        )
