"""One program for arrays of one shape and dtype each, ready to be called again without checks.

In: a runner of a backend and the buffers it wants. Out: results that are the caller's own.
Invariant: two threads never share a buffer; a result's memory is used again only when nobody refers to it.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from ..errors import DataError, ResourceLimitError
from ..terms import COMPARISONS, ELEMENTWISE, WHOLE
from .arrays import Array
from .backends.numpy import Memory, Runner, acceptor_of
from .program import Elementwise, Program, Whole

_KEPT_FROM = 1 << 20  # bytes of a result from which its memory is worth keeping
_ZEROED_FROM = 1 << 26  # bytes from which zeroing kept memory is faster than fresh zeros
_KEPT_TO = 1 << 31  # bytes beyond which nothing is kept between calls


def _references(arrays: Sequence[Array]) -> int:
    """The largest number of references to one of the arrays."""
    return max(sys.getrefcount(array) for array in arrays)


_UNSHARED = _references([np.empty(0)])  # what it says of arrays that only a list refers to


@dataclass(slots=True)
class Ready:
    """A runner and all that it takes but the arrays.

    `names`, `signature`: the arrays that calls must hand over, in order, with shapes and dtypes; `inputs`:
    those that the runner takes, in its order; `tail`: dtype and extents, which it takes behind them;
    `lead`: results of the part that fixed arrays decide, which it takes first.
    """

    names: tuple[str, ...]
    signature: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]
    inputs: Sequence[str]
    run: Runner
    tail: tuple[Any, ...]
    workspace: tuple[tuple[int, ...], ...]
    memory: Memory
    dtype: np.dtype[Any]
    extents: Mapping[str, int]
    finish: Callable[[Any], Any] | None = None
    lead: tuple[Any, ...] = ()
    scalar: Runner | None = None  # the program unrolled to numbers, if it is tiny
    picks: tuple[int, ...] | None = (
        None  # places of the inputs among the names, None for all in order
    )
    pool: deque[list[Array]] = field(default_factory=deque, repr=False)
    kept: deque[list[Array]] = field(default_factory=lambda: deque(maxlen=1), repr=False)
    direct: Runner | None = field(init=False, default=None)  # `scalar`, for arrays in order
    accepts: Callable[..., bool] = field(init=False)  # have arrays the very shapes and dtypes?
    is_plain: bool = field(init=False)  # does the runner take no buffers?
    keeps: bool = field(init=False)  # is the workspace small enough to be kept?

    def __post_init__(self) -> None:
        # as a decorator errstate takes half the time; overflow and NaN are results here, no warnings
        self.run = np.errstate(all="ignore")(self.run)
        picks = tuple(self.names.index(name) for name in self.inputs)
        self.picks = None if picks == tuple(range(len(self.names))) else picks
        if self.scalar is not None:
            self.scalar.__defaults__ = (self.dtype,)
            self.direct = self.scalar if self.picks is None else None
        self.accepts = acceptor_of(self.signature)
        self.is_plain = not (self.workspace or self.memory.results)
        self.keeps = sum(8 * prod(shape) for shape in self.workspace) <= _KEPT_TO

    def __call__(self, arrays: Sequence[Array]) -> Any:
        """The results, packed as the program was compiled."""
        if self.picks is not None:
            arrays = [arrays[place] for place in self.picks]
        try:
            return self.on(arrays)
        except Exception as error:
            raise program_error(error, self.extents, self.dtype) from None

    def on(self, arrays: Sequence[Array]) -> Any:
        """The same for arrays in the order of the program's inputs; errors are NumPy's."""
        if self.scalar is not None:
            try:
                return self.scalar(*arrays)
            except (ArithmeticError, ValueError):
                pass  # Python raises if NumPy gives inf or nan: the arrays tell which
        if self.is_plain:
            packed = self.run(*self.lead, *arrays, *self.tail)
            return packed if self.finish is None else self.finish(packed)
        return self.with_buffers(arrays, self.spare_arrays())

    def with_buffers(self, arrays: Sequence[Array], results: Sequence[Array | None]) -> Any:
        """The results, written to `results` if they are given and the program can."""
        try:
            workspace = self.pool.pop()
        except IndexError:
            workspace = [np.empty(shape, self.dtype) for shape in self.workspace]
        try:
            packed = self.run(*self.lead, *arrays, *self.tail, *workspace, *results)
        finally:
            if self.keeps:
                self.pool.append(workspace)
        if self.memory.results:
            self.keep(packed)
        return packed if self.finish is None else self.finish(packed)

    def keep(self, packed: Any) -> None:
        """Remember the results whose memory is worth using again."""
        made = result_list(packed)
        own = [made[number] for number in self.memory.results]
        size = sum(array.nbytes for array in own)
        plain = all(array.base is None and array.flags.c_contiguous for array in own)
        if self.memory.sparse and size < _ZEROED_FROM:
            return
        if plain and _KEPT_FROM <= size <= _KEPT_TO:
            self.kept.append(own)

    def spare_arrays(self) -> Sequence[Array | None]:
        """Results of an earlier call that nobody refers to any more, else fresh memory."""
        own = self.kept.pop() if self.kept else None
        if own is not None and _references(own) <= _UNSHARED:
            return own
        return (None,) * len(self.memory.results)

    def release(self) -> None:
        """Give all memory back."""
        self.pool.clear()
        self.kept.clear()


def program_error(error: Exception, extents: Mapping[str, int], dtype: Any) -> Exception:
    """What NumPy raises while a program runs, in the words of the program."""
    match error:
        case np.linalg.LinAlgError() if "positive definite" in str(error):
            return DataError(
                "a matrix given to cholesky is not positive definite",
                facts=["cholesky(A) exists where A is symmetric with positive eigenvalues"],
                hint="check the matrix, or add a multiple of the identity",
            )
        case np.linalg.LinAlgError():
            return DataError(
                "a matrix to be inverted is singular",
                facts=["inv, solve and the derivatives of det and logdet need a regular matrix"],
                hint="check the matrix, or add a multiple of the identity",
            )
        case MemoryError():
            return ResourceLimitError(
                f"not enough memory: {error}",
                hint="use smaller arrays, or hvp instead of a Hessian",
            )
        case TypeError():
            return DataError(
                f"dtype {dtype} is not supported by a function of the program",
                facts=[str(error)],
                hint="pass float64 arrays",
            )
        case ValueError():
            empty = ", ".join(f"{dim} is 0" for dim, size in extents.items() if size == 0)
            return DataError(
                "the arrays have no value under the program",
                facts=[empty or str(error)],
                hint="a maximum, minimum or softmax over an axis of extent 0 has no value",
            )
    return error


def own_array(result: Any, dtype: Any, others: Sequence[Array]) -> Array:
    """An array that shares no memory with `others`, or a scalar for a result without axes."""
    array = np.asarray(result, dtype=dtype)
    if array.ndim == 0:
        return array[()]
    repeats = 0 in array.strides and array.size > 1
    if repeats or not array.flags.writeable or any(np.may_share_memory(array, x) for x in others):
        return array.copy()
    return array


def refuse_complex(program: Program, arrays: Sequence[str]) -> None:
    """Complex arrays go only through functions that are complex differentiable."""
    for step in program.instructions:
        if not isinstance(step, Elementwise | Whole) or step.function == "eps":
            continue
        row = (ELEMENTWISE if isinstance(step, Elementwise) else WHOLE)[step.function]
        if not row.holomorphic:
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


def result_list(packed: Any) -> list[Any]:
    """The results of a call as a list."""
    if isinstance(packed, Mapping):
        return list(packed.values())
    return list(packed) if isinstance(packed, list | tuple) else [packed]


def write_to(out: Any, results: Sequence[Array]) -> Any:
    """`out`, with the results in it."""
    for array, result in zip(result_list(out), results, strict=True):
        if array is not result:
            with np.errstate(all="ignore"):  # a float32 array may not hold the number
                np.copyto(array, result, casting="same_kind")
    return out
