"""Symbols for Python code: `ed.tensors("X[n,d] th[d]")`.

In: names with extents. Out: expressions, one a tensor.
Invariant: extents named alike are one extent, in every expression that the symbols meet in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..errors import NotationError
from ..notations import Context, complaints
from ..terms import Dim, Variable
from .expression import Expression, symbol

_TENSOR = re.compile(r"\s*([^\W\d]\w*)\s*(?:\[([^\[\]]*)\])?\s*[,;]?")


def tensors(
    names: str, *, assume: Mapping[str, Iterable[str]] | None = None
) -> tuple[Expression, ...]:
    """Symbols for tensors, each with the extents of its axes: names or numbers; a name alone is a scalar.

    They work as NumPy arrays do in expressions and in NumPy's functions, and nothing is evaluated:
    the result is an expression. `assume` gives assumptions by name (`{"Q": "symmetric"}`).
    Raises NotationError where the names cannot be read.

    >>> X, th, Y = tensors("X[n,d] th[d] Y[n]")
    >>> r = X @ th - Y
    >>> J = (r*r).sum()/r.shape[0]
    >>> J.grad("th").matrix()
    "2/n*X'*(X*th - Y)"
    """
    if not isinstance(names, str):
        raise NotationError(
            f"{names!r} names no tensors",
            facts=["the tensors are given in a text"],
            hint="write ed.tensors('X[n,d] th[d] c')",
        )
    given = _read(names)
    complaints.check_names(assume or {}, "assume={'Q': 'symmetric'}")
    unknown = [name for name in assume or {} if name not in given]
    if unknown:
        raise NotationError(
            f"{unknown[0]} has assumptions and is no tensor here",
            facts=[f"the tensors are {', '.join(given)}"],
            hint="name it among the tensors, or drop the assumption",
        )
    return tuple(_symbol(name, axes, (assume or {}).get(name, ())) for name, axes in given.items())


def tensor(name: str, *, assume: str | Iterable[str] = ()) -> Expression:
    """A symbol for one tensor.

    >>> tensor("Y[n]").shape
    ('n',)
    """
    found = tensors(name)
    if len(found) != 1:
        raise NotationError(
            f"{name!r} names {len(found)} tensors",
            facts=["one is wanted"],
            hint="use ed.tensors for several",
        )
    (only,) = found[0].variables
    return _symbol(only, found[0]._term.shape, (assume,) if isinstance(assume, str) else assume)


def _symbol(name: str, axes: tuple[Dim, ...], words: Iterable[str]) -> Expression:
    assumptions = frozenset(complaints.assumptions(words))
    declared = frozenset(dim for dim in axes if isinstance(dim, str))
    x = Variable(name, axes)
    given = {name: assumptions} if assumptions else {}
    found: Expression = symbol(x, Context({name: x}, given, declared=declared))
    return found


def _read(text: str) -> dict[str, tuple[Dim, ...]]:
    found: dict[str, tuple[Dim, ...]] = {}
    at = 0
    while text[at:].strip():
        match = _TENSOR.match(text, at)
        if match is None:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            raise NotationError(
                "no tensor can be read here",
                source=text,
                spans=[(place, place + 1)],
                facts=["a tensor is a name, then the extents of its axes in brackets"],
                hint="write for example 'X[n,d] th[d] c'",
            )
        name, inside = match[1], match[2]
        words = [word.strip() for word in inside.split(",")] if (inside or "").strip() else []
        for word in words:
            if not word.isidentifier() and not word.isdecimal():
                raise NotationError(
                    f"{word!r} is no extent of {name}",
                    source=text,
                    spans=[match.span(2)],
                    facts=["an extent is a name or a whole number"],
                    hint=f"write for example {name}[n,3]",
                )
        axes = tuple(int(word) if word.isdecimal() else word for word in words)
        if found.setdefault(name, axes) != axes:
            raise NotationError(
                f"{name} has two shapes",
                source=text,
                spans=[match.span(1)],
                facts=[f"({', '.join(map(str, found[name]))}) and ({', '.join(map(str, axes))})"],
                hint="give one of them another name",
            )
        at = match.end()
    if not found:
        raise NotationError("no tensor is named", hint="write for example 'X[n,d] th[d] c'")
    return found
