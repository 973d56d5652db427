"""`compile`: one or several terms as one program over arrays.

In: terms, the tensors of their program. Out: `Executable`, called with arrays by name.
Invariant: arrays are checked before anything runs; inputs are never written, results never alias them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .arrays import (
    Array,
    checked_arrays,
    checked_dtype,
    checked_sizes,
    common_dtype,
    resolved_extents,
)
from .backends.numpy import Runner, function_of
from .backends.source import source_of
from .compiler.cost import Cost, cost_of, table_of
from .compiler.lower import ASSUMED_EXTENT, lower
from .errors import BackendError, DataError, DimensionError, ResourceLimitError
from .expr import Expr, Variable
from .functions import COMPARISONS, ELEMENTWISE, WHOLE
from .program import Elementwise, Program, Whole
from .simplifier import simplify
from .uniting import symbolic_extents
from .walk import postorder

Keys = (
    tuple[str, ...] | int | None
)  # names of a dict's results, the length of a list, or one result


@dataclass(frozen=True, slots=True)
class _Plan:
    program: Program
    run: Runner
    dims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Final:
    terms: list[Expr]
    arrays: list[str]
    extents: list[str]


class Executable:
    """A compiled program: call it with arrays by name.

    `source`: the Python source that does the same without einderiv; `cost(n=..., d=...)`: its price;
    `str()`: the plan as a table. Thread-safe; plans are made for the sizes of the first arrays.
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
    ) -> None:
        self._terms = tuple(terms)
        self._keys = keys
        self._variables = dict(variables)
        self._dtype = None if dtype is None else checked_dtype(dtype)
        self._sizes = dict(sizes or {})
        self._memory_limit = memory_limit
        self._title = title
        self._lock = threading.Lock()
        self._plans: dict[tuple[int, ...], _Plan] = {}

    # ------------------------------------------------------------ planning

    @cached_property
    def _final(self) -> _Final:
        """The simplified terms, the arrays and the extents they need."""
        terms = simplify(self._terms)
        leaves = [node.name for node in postorder(terms) if isinstance(node, Variable)]
        return _Final(terms, leaves, symbolic_extents(terms))

    def _plan(self, sizes: Mapping[str, int]) -> _Plan:
        """The program for extents of about these sizes; planned again where they differ much."""
        final = self._final
        key = tuple(_magnitude(sizes.get(dim, ASSUMED_EXTENT)) for dim in final.extents)
        with self._lock:
            plan = self._plans.get(key)
            if plan is None:
                program = lower(final.terms, sizes)
                run, dims = function_of(program)
                plan = _Plan(program, run, dims)
                if len(self._plans) >= 16:
                    self._plans.pop(next(iter(self._plans)))
                self._plans[key] = plan
            return plan

    @property
    def program(self) -> Program:
        """The straight-line program as planned for typical extents."""
        return self._plan(self._sizes).program

    @property
    def source(self) -> str:
        """A Python module that computes the same with NumPy alone."""
        keys = self._keys if isinstance(self._keys, tuple) else None
        several = keys if keys is not None else (() if isinstance(self._keys, int) else None)
        return source_of(
            self.program, several, {"title": self._title() or "A program derived by einderiv."}
        )

    def cost(self, **sizes: int) -> Cost:
        """Operations, bytes and peak memory for given extents, before anything is allocated.

        Raises DimensionError where an extent of the program is not given.
        """
        known = checked_sizes({**self._sizes, **sizes})
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
        told = ", ".join(f"{dim} = {size}" for dim, size in sorted(assumed.items()))
        table = table_of(program, assumed)
        return f"{table}\nfor {told}" if told else table

    def __repr__(self) -> str:
        names = ", ".join(self._variables)
        return f"<program of {names or 'no tensors'}: {len(self._terms)} results>"

    # ------------------------------------------------------------ running

    def __call__(
        self,
        arrays: Mapping[str, Any] | None = None,
        /,
        *,
        sizes: Mapping[str, int] | None = None,
        **more: Any,
    ) -> Any:
        """The results for arrays by name: one array, or a list or dict as compiled.

        Shapes: as the variables' axes say; `sizes` gives extents that no array tells.
        Errors: DataError (kind, dtype, missing or unknown name), DimensionError (rank, extent),
        ResourceLimitError (memory).
        """
        given = {**_by_name(arrays, "arrays", "x=[1.0, 2.0]"), **more}
        values = checked_arrays(given, self._variables, self._final.arrays)
        extents = resolved_extents(
            values,
            self._variables,
            {**self._sizes, **_by_name(sizes, "sizes=", "sizes={'n': 5}")},
            self._final.extents,
        )
        plan = self._plan(extents)
        inputs = [values[step.name] for step in plan.program.inputs]
        dtype = common_dtype(inputs or values.values(), self._dtype)
        inputs = [array.astype(dtype, copy=False) for array in inputs]
        self._check_memory(plan.program, extents, dtype)
        if dtype.kind == "c":
            _refuse_complex(
                plan.program, [n for n, array in values.items() if array.dtype.kind == "c"]
            )
        with np.errstate(all="ignore"):
            try:
                results = plan.run(*inputs, dtype, *(extents[dim] for dim in plan.dims))
            except np.linalg.LinAlgError as error:
                raise _matrix_failure(error) from None
            except MemoryError as error:
                raise ResourceLimitError(
                    f"not enough memory: {error}",
                    hint="use smaller arrays, or hvp instead of a Hessian",
                ) from None
            except TypeError as error:
                raise DataError(
                    f"dtype {dtype} is not supported by a function of the program",
                    facts=[str(error)],
                    hint="pass float64 arrays",
                ) from None
            except ValueError as error:
                empty = ", ".join(f"{dim} is 0" for dim, size in extents.items() if size == 0)
                raise DataError(
                    "the arrays have no value under the program",
                    facts=[empty or str(error)],
                    hint="a maximum, minimum or softmax over an axis of extent 0 has no value",
                ) from None
        owned: list[Array] = []
        for result in results:
            owned.append(_owned(result, dtype, [*inputs, *owned]))
        return self._packed(owned)

    def _check_memory(self, program: Program, extents: Mapping[str, int], dtype: Any) -> None:
        if self._memory_limit is None:
            return
        cost = cost_of(program, extents, dtype.itemsize)
        if cost.peak_memory > self._memory_limit:
            raise ResourceLimitError(
                f"the program needs {cost.peak_memory:,} bytes, the limit is {self._memory_limit:,}",
                hint="raise memory_limit, or ask for a product with a vector (hvp) instead of a Hessian",
            )

    def _packed(self, results: list[Array]) -> Any:
        if isinstance(self._keys, tuple):
            return dict(zip(self._keys, results, strict=True))
        return results[0] if self._keys is None else results


def _magnitude(size: int) -> int:
    """Sizes within a factor of about four share a plan."""
    return (size.bit_length() + 1) // 2


def _symbolic_extents(program: Program) -> set[str]:
    shapes = {dim for step in program.instructions for dim in step.shape if isinstance(dim, str)}
    return shapes | {step.dim for step in program.instructions if hasattr(step, "dim")}


def _owned(result: Any, dtype: Any, others: Sequence[Array]) -> Array:
    """An array that shares no memory with `others`, or a scalar for a result without axes."""
    array = np.asarray(result, dtype=dtype)
    if array.ndim == 0:
        return array[()]
    repeats = 0 in array.strides and array.size > 1
    if repeats or not array.flags.writeable or any(np.may_share_memory(array, x) for x in others):
        return array.copy()
    return array


def _by_name(given: Any, what: str, example: str) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise DataError(
            f"{what} of type {type(given).__name__} cannot be assigned to names",
            facts=["they are given by name"],
            hint=f"pass e({example}), or a dict",
        )
    return given


def _matrix_failure(error: np.linalg.LinAlgError) -> DataError:
    if "positive definite" in str(error):
        return DataError(
            "a matrix given to cholesky is not positive definite",
            facts=["cholesky(A) exists where A is symmetric with positive eigenvalues"],
            hint="check the matrix, or add a multiple of the identity",
        )
    return DataError(
        "a matrix to be inverted is singular",
        facts=["inv, solve and the derivatives of det and logdet need a regular matrix"],
        hint="check the matrix, or add a multiple of the identity",
    )


def _refuse_complex(program: Program, arrays: Sequence[str]) -> None:
    """Complex arrays go only through functions that are complex differentiable."""
    for step in program.instructions:
        row = (
            ELEMENTWISE[step.function]
            if isinstance(step, Elementwise)
            else WHOLE.get(step.function)
            if isinstance(step, Whole)
            else None
        )
        if row is not None and not row.holomorphic:
            signs = {name: f"the comparison {sign}" for sign, name in COMPARISONS.items()}
            raise DataError(
                f"{signs.get(row.name, row.name)} is not holomorphic and takes no complex arrays",
                facts=[
                    f"{', '.join(arrays)} {'is' if len(arrays) == 1 else 'are'} complex"
                    if arrays
                    else "the program was compiled for a complex dtype"
                ],
                hint="pass real arrays, or write real and imaginary parts as two tensors",
            )


def parsed_limit(limit: str | int | None) -> int | None:
    """Bytes from a number or a text such as `1GiB`.

    >>> parsed_limit("2KiB")
    2048
    """
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0):
        return limit
    units = {
        "B": 1,
        "KiB": 2**10,
        "MiB": 2**20,
        "GiB": 2**30,
        "kB": 10**3,
        "MB": 10**6,
        "GB": 10**9,
    }
    text = limit.strip() if isinstance(limit, str) else ""
    for unit in sorted(units, key=len, reverse=True):
        if text.endswith(unit):
            try:
                size = int(float(text[: -len(unit)]) * units[unit])
            except (ValueError, OverflowError):
                break
            if size >= 0:
                return size
    raise ResourceLimitError(
        f"{limit!r} is no amount of memory",
        facts=[f"it is a whole number of bytes, or a number and one of {', '.join(units)}"],
        hint="write for example memory_limit='1GiB'",
    )


def check_backend(backend: str) -> None:
    """Refuse a backend that does not exist."""
    if backend != "numpy":
        raise BackendError(
            f"no backend {backend!r}", facts=["available: numpy"], hint="use backend='numpy'"
        )
