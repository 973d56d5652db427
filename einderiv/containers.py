"""Nested tuples, lists and dicts of arrays, as functions take and return them.

In: a nested value. Out: its leaves and its structure; a value of that structure from other leaves.
Invariant: dicts by sorted keys and None without leaves, as JAX's pytrees; anything that is no tuple, list,
dict or None is a leaf.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

Structure = Hashable  # () for a leaf, else the kind, its keys and the structures inside
_NOTHING = (("none", 0), ())


def flattened(value: Any) -> tuple[list[Any], Structure]:
    """The leaves of a nested value, and its structure.

    >>> flattened({"w": [1, 2], "b": 3})[0]
    [3, 1, 2]
    """
    if value is None:
        return [], _NOTHING
    if isinstance(value, dict):
        keys = _ordered(value)
        kind: Hashable = ("dict", tuple(keys))
        inside = [value[key] for key in keys]
    elif isinstance(value, tuple | list):
        fields = getattr(value, "_fields", None)
        kind = ("named", type(value)) if fields else (type(value).__name__, len(value))
        inside = list(value)
    else:
        return [value], ()
    leaves: list[Any] = []
    structures: list[Structure] = []
    for item in inside:
        own, structure = flattened(item)
        leaves += own
        structures.append(structure)
    return leaves, (kind, tuple(structures))


def _ordered(value: dict[Any, Any]) -> list[Any]:
    """The keys, sorted where they can be."""
    try:
        return sorted(value)
    except TypeError:
        return list(value)


def rebuilt(structure: Structure, leaves: Iterable[Any]) -> Any:
    """A value of a structure.

    >>> rebuilt(flattened((1, [2]))[1], "ab")
    ('a', ['b'])
    """
    return _built(structure, iter(leaves))


def _built(structure: Any, leaves: Iterator[Any]) -> Any:
    if structure == ():
        return next(leaves)
    (name, detail), inside = structure
    if name == "none":
        return None
    values = [_built(part, leaves) for part in inside]
    if name == "dict":
        return dict(zip(detail, values, strict=True))
    if name == "named":
        return detail(*values)
    return tuple(values) if name == "tuple" else values
