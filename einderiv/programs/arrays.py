"""What users hand in as arrays, checked and converted before anything is computed.

In: arrays by name, the variables whose values they are, extents given beside them.
Out: native floating or complex arrays, one dtype to compute in, every extent.
Invariant: nothing is written to the caller's arrays; every refusal names the array and both facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import combinations
from typing import Any

import numpy as np

from ..errors import DataError, DimensionError, axes_in_words
from ..terms import Dim, Variable

Array = Any


def checked_arrays(
    given: Mapping[str, Any], variables: Mapping[str, Variable], needed: Iterable[str]
) -> dict[str, Array]:
    """The arrays of known names, converted; all of `needed` are there."""
    unknown = [str(name) for name in given if name not in variables]
    if unknown:
        near = [n for name in unknown for n in get_close_matches(name, variables, n=1)]
        raise DataError(
            f"{', '.join(unknown)}: no such tensor",
            facts=[f"the expression has {', '.join(variables) or 'no tensors'}"],
            hint=f"did you mean {' and '.join(near)}?" if near else "drop it, or correct the name",
        )
    missing = [name for name in needed if name not in given]
    if missing:
        raise DataError(
            f"no array for {', '.join(missing)}",
            facts=[
                f"{name} has axes ({', '.join(map(str, variables[name].shape))})"
                for name in missing
            ],
            hint=f"pass {', '.join(f'{name}=...' for name in missing)}",
        )
    return {name: array_of(name, value) for name, value in given.items()}


def array_of(name: str, value: Any) -> Array:
    """A floating or complex array in native byte order.

    Integers and booleans become float64, float16 becomes float32, float32 and complex stay.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise DataError(
            f"{name} is a masked array",
            facts=["entries under a mask have no value to compute with"],
            hint=f"fill it first: {name}.filled(0)",
        )
    if isinstance(value, np.matrix):
        raise DataError(
            f"{name} is a numpy.matrix",
            facts=["its * and shapes differ from those of arrays"],
            hint=f"pass numpy.asarray({name})",
        )
    if type(value).__module__.startswith("scipy.sparse"):
        raise DataError(
            f"{name} is a sparse matrix",
            facts=["only dense arrays can be computed with"],
            hint=f"pass the dense array: {name}.toarray()",
        )
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever an object's own conversion to an array may raise
        ragged = isinstance(error, ValueError) and isinstance(value, list | tuple)
        raise DataError(
            f"{name} is no array",
            facts=["its rows differ in length or in depth" if ragged else _first_line(error)],
            hint="pass a rectangular array of numbers",
        ) from None
    kind = array.dtype.kind
    if kind in "OSU" and not isinstance(value, np.ndarray | list | tuple):
        raise DataError(
            f"{name} is no array",
            facts=[f"it is of type {type(value).__name__}"],
            hint="pass an array or a list of numbers",
        )
    if kind in "biu":
        return array.astype(np.float64)
    if kind not in "fc":
        raise DataError(
            f"{name} has dtype {array.dtype}",
            facts=["floating, complex, integer and boolean dtypes can be computed with"],
            hint=f"convert it: numpy.asarray({name}, dtype=float)",
        )
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def resolved_extents(
    arrays: Mapping[str, Array],
    variables: Mapping[str, Variable],
    sizes: Mapping[str, int],
    needed: Iterable[str],
) -> dict[str, int]:
    """Every extent from the arrays and `sizes`; two that disagree are an error that names both."""
    found = {
        dim: (size, f"{dim} is {size} (given in sizes=)")
        for dim, size in checked_sizes(sizes).items()
    }
    for name, array in arrays.items():
        variable = variables[name]
        if array.ndim != variable.rank:
            raise DimensionError(
                f"{name} has {axes_in_words(variable.rank)}, the array has {array.ndim}",
                facts=[
                    f"axes of {name}: ({', '.join(map(str, variable.shape))}), "
                    f"shape of the array: {array.shape}"
                ],
                hint=f"reshape the array, or index {name} with {axes_in_words(array.ndim)}",
            )
        for axis, (wanted, size) in enumerate(zip(variable.shape, array.shape, strict=True)):
            _agree(found, wanted, size, f"axis {axis + 1} of {name} is {size} (given array)", name)
    missing = [dim for dim in needed if dim not in found]
    if missing:
        raise DimensionError(
            f"no given array tells the extent {', '.join(missing)}",
            hint=f"pass sizes={{{', '.join(f'{dim!r}: ...' for dim in missing)}}}, "
            "or the array of a tensor that has this axis",
        )
    return {dim: size for dim, (size, _) in found.items()}


def checked_sizes(sizes: Mapping[str, int]) -> dict[str, int]:
    """Extents given by name, as whole numbers of 0 or more."""
    for dim, size in sizes.items():
        whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if not isinstance(dim, str) or not whole or size < 0:
            raise DimensionError(
                f"the extent {dim} is given as {size!r}",
                facts=["extents are whole numbers, 0 or more, given by name"],
                hint=f"pass for example {{{str(dim)!r}: 5}}",
            )
    return {dim: int(size) for dim, size in sizes.items()}


def _agree(found: dict[str, tuple[int, str]], dim: Dim, size: int, fact: str, name: str) -> None:
    axis = fact.partition(" is ")[0]
    known = (dim, f"{axis} is {dim} (declared)") if isinstance(dim, int) else found.get(dim)
    if known is None:
        assert isinstance(dim, str)
        found[dim] = size, fact
    elif known[0] != size:
        declared = isinstance(dim, int)
        raise DimensionError(
            f"{axis if declared else f'extent {dim}'} has two values, {known[0]} and {size}",
            facts=[f"{known[1]}, {fact}"],
            hint=f"pass an array of the declared shape, or declare {name} otherwise"
            if declared
            else "pass arrays whose shapes agree, or give the axes different indices",
        )


def by_name(given: Any, what: str, example: str) -> Mapping[str, Any]:
    """Arrays or extents by name; DataError for anything else."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise DataError(
            f"{what} of type {type(given).__name__} cannot be assigned to names",
            facts=["they are given by name"],
            hint=f"pass e({example}), or a dict",
        )
    return given


def checked_outputs(
    out: Any, keys: tuple[str, ...] | int | None, shapes: Sequence[tuple[int, ...]], dtype: Any
) -> list[Array]:
    """The arrays that results are written to, in order: one, or a list or dict as the results come."""
    if keys is None:
        arrays, names = [out], ["out"]
    elif isinstance(keys, int):
        arrays = list(out) if isinstance(out, list | tuple) else []
        names = [f"out[{number}]" for number in range(keys)]
    else:
        arrays = [out.get(key) for key in keys] if isinstance(out, Mapping) else []
        names = [f"out[{key!r}]" for key in keys]
    if len(arrays) != len(shapes):
        raise DataError(
            f"out holds {len(arrays)} arrays, the results are {len(shapes)}",
            facts=["out comes as the results do: one array, a list or a dict of arrays"],
            hint="pass an array for each result, or leave out= away",
        )
    for name, array, shape in zip(names, arrays, shapes, strict=True):
        if not isinstance(array, np.ndarray) or not array.flags.writeable:
            raise DataError(
                f"{name} is no array that can be written to",
                facts=[f"it is of type {type(array).__name__}"],
                hint=f"pass numpy.empty({shape}, dtype={str(dtype)!r})",
            )
        if array.shape != shape:
            raise DimensionError(
                f"{name} has shape {array.shape}, the result has {shape}",
                hint=f"pass numpy.empty({shape}, dtype={str(dtype)!r})",
            )
        if not np.can_cast(dtype, array.dtype, "same_kind"):
            raise DataError(
                f"{name} has dtype {array.dtype}, the result has {dtype}",
                hint=f"pass numpy.empty({shape}, dtype={str(dtype)!r})",
            )
    for (name, array), (other, second) in combinations(zip(names, arrays, strict=True), 2):
        if np.may_share_memory(array, second):
            raise DataError(
                f"{name} and {other} share memory",
                facts=["one result would overwrite the other"],
                hint="pass an array of its own for each result",
            )
    return arrays


def common_dtype(arrays: Iterable[Array], wanted: Any) -> Any:
    """The dtype to compute in: that of the arrays together, float64 without arrays."""
    dtypes = [array.dtype for array in arrays]
    dtype = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
    if wanted is None:
        return dtype
    chosen = checked_dtype(wanted)
    if dtype.kind == "c" and chosen.kind == "f":
        raise DataError(
            f"complex arrays cannot be computed in {chosen}",
            facts=[
                f"the arrays together have dtype {dtype}, the program was compiled for {chosen}"
            ],
            hint="choose complex64 or complex128",
        )
    return chosen


def checked_dtype(wanted: Any) -> np.dtype[Any]:
    """A floating or complex dtype."""
    chosen: np.dtype[Any] | None
    try:
        chosen = np.dtype(wanted)
    except TypeError:
        chosen = None
    if chosen is None or chosen.kind not in "fc":
        raise DataError(
            f"dtype {wanted} cannot be computed in",
            facts=["floating and complex dtypes can"],
            hint="choose float32, float64 or complex128",
        )
    return chosen


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
