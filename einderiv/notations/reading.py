"""One door for all notations: a text and the name of its notation become a meaning.

In: a text, its notation, extents and assumptions given beside it. Out: `Meaning`.
Invariant: a text is read in the notation that was named and in no other; if that fails and another
notation reads it, the error says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ..errors import EinderivError, NotationError
from .context import Assumptions, Meaning, Shapes
from .einsum import read_einsum
from .index import elaborate, parse_index
from .matrix import elaborate_matrix, parse_matrix

Operands = Sequence[str] | None

_TRIED = 2000  # characters; a longer text that fails is not read once more in other notations
# What a text in these shows: without it, letters side by side would pass for an einsum string or a product.
_LOOKS = {"index": re.compile(r"\["), "einsum": re.compile("->"), "latex": re.compile(r"[\\{_]")}


def meaning_of(
    text: str, notation: str, operands: Operands, shapes: Shapes | None, assume: Assumptions | None
) -> Meaning:
    """The meaning of `text` in the notation `notation`; NotationError or DimensionError with the place."""
    if not isinstance(text, str):
        raise NotationError(
            "the expression is no text",
            facts=[f"it is of type {type(text).__name__}"],
            hint="pass a string, for example 'A[i,j]*x[j]'",
        )
    if notation not in READERS:
        raise NotationError(
            f"unknown notation {notation!r}",
            facts=[f"known are {', '.join(READERS)}"],
            hint="leave it out for index notation",
        )
    if operands is not None and notation != "einsum":
        raise NotationError(
            "operands= belongs to einsum strings",
            facts=[f"{notation} notation names its tensors"],
            hint="drop it",
        )
    try:
        return READERS[notation](text, operands, shapes, assume)
    except EinderivError as mistake:
        error: EinderivError = mistake
    for other, reader in READERS.items() if len(text) <= _TRIED else ():
        if other != notation and (other not in _LOOKS or _LOOKS[other].search(text)):
            with suppress(EinderivError):
                reader(text, None, shapes, assume)
                error.facts = (*error.facts, f'it reads as {other} notation: notation="{other}"')
    raise error


def _read_latex(text: str, _: Operands, *given: Any) -> Meaning:
    from .latex import read_latex  # not loaded before a text in it is read

    return read_latex(text, *given)


READERS: dict[str, Callable[..., Meaning]] = {
    "index": lambda text, _, shapes, assume: elaborate(parse_index(text), shapes, assume),
    "einsum": read_einsum,
    "matrix": lambda text, _, shapes, assume: elaborate_matrix(parse_matrix(text), shapes, assume),
    "latex": _read_latex,
}
