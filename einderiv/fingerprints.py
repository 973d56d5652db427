"""What a function reads besides its arguments, as a key that changes when it does.

In: a function. Out: a hashable fingerprint, and the objects whose identity it uses (to keep them alive).
Invariant: numbers, texts and small arrays count by value; lists, tuples, dicts, attributes of objects and
helper functions by what is in them, to a depth; everything else by identity. Of a large array a sample
counts: 256 entries spread over it.
"""

from __future__ import annotations

import functools
import inspect
import os
import sysconfig
from collections.abc import Callable, Hashable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

_DEPTH = 4  # helper of a helper, entry of a dict of an object ...
_MOST = 64  # entries of a container that are looked at
_SMALL = 4096  # bytes of an array that are compared in full
_SAMPLE = 256  # entries of a larger one

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
_LIBRARIES = tuple(
    os.path.join(path, "")
    for path in {
        os.path.dirname(os.path.abspath(__file__)),
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
        return _of_array(value, held)
    held.append(value)
    if not depth or isinstance(value, ModuleType | type | BuiltinFunctionType):
        return id(value)
    if isinstance(value, list | tuple | dict | set | frozenset):
        return _of_container(value, depth, held)
    return id(value), tuple(_of(part, depth - 1, held) for part in _parts(value))


def _of_array(array: np.ndarray[Any, Any], held: list[Any]) -> Hashable:
    if array.dtype.hasobject:
        held.append(array)
        return id(array)
    if array.nbytes > _SMALL:
        held.append(array)
        flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
        return id(array), flat[:: array.size // _SAMPLE].tobytes()
    return array.shape, array.dtype.str, array.tobytes()


def _of_container(value: Any, depth: int, held: list[Any]) -> Hashable:
    if len(value) > _MOST:
        return id(value)
    if isinstance(value, dict):
        keys = tuple(_of(key, depth - 1, held) for key in value)
        return dict, keys, tuple(_of(part, depth - 1, held) for part in value.values())
    if isinstance(value, set | frozenset):
        return set, id(value), len(value)
    return type(value), tuple(_of(part, depth - 1, held) for part in value)


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
