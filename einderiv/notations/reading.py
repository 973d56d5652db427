"""One door for all notations: a text and the name of its notation become a meaning.

In: a text, its notation, extents and assumptions given beside it. Out: `Meaning`.
Invariant: a text is read in the notation that was named and in no other; where that fails and another
notation reads it, the error says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..errors import EinderivError, NotationError
from ..terms import Dim
from .context import Meaning
from .index import elaborate

Shapes = Mapping[str, Sequence[Dim]] | None
Assumptions = Mapping[str, Iterable[str]] | None
Operands = Sequence[str] | None

_TRIED = 2000  # characters; a longer text that fails is not read once more in other notations
# What a text in these shows: without it, letters side by side would pass for an einsum string or a product.
_LOOKS = {"index": re.compile(r"\["), "einsum": re.compile("->"), "latex": re.compile(r"[\\{_]")}


def meaning_of(
    text: str, notation: str, operands: Operands, shapes: Shapes, assume: Assumptions
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
    for other in _notations_that_read(text, notation, shapes, assume):
        error.facts = (*error.facts, f'it reads as {other} notation: notation="{other}"')
    raise error


def _notations_that_read(
    text: str, notation: str, shapes: Shapes, assume: Assumptions
) -> list[str]:
    """The other notations in which a text has a meaning."""
    found: list[str] = []
    if len(text) > _TRIED:
        return found
    for other, reader in READERS.items():
        if other != notation and (other not in _LOOKS or _LOOKS[other].search(text)):
            try:
                reader(text, None, shapes, assume)
            except EinderivError:
                continue
            found.append(other)
    return found


# The imports stand inside: neither lark nor a notation is loaded before a text in it is read.


def _read_index(text: str, operands: Operands, shapes: Shapes, assume: Assumptions) -> Meaning:
    from .index import parse_index

    return elaborate(parse_index(text), shapes, assume)


def _read_einsum(text: str, operands: Operands, shapes: Shapes, assume: Assumptions) -> Meaning:
    from .einsum import read_einsum

    return read_einsum(text, operands, shapes, assume)


def _read_matrix(text: str, operands: Operands, shapes: Shapes, assume: Assumptions) -> Meaning:
    from .matrix.reading import elaborate_matrix, parse_matrix

    return elaborate_matrix(parse_matrix(text), shapes, assume)


def _read_latex(text: str, operands: Operands, shapes: Shapes, assume: Assumptions) -> Meaning:
    from .latex import read_latex

    return read_latex(text, shapes, assume)


READERS: dict[str, Callable[[str, Operands, Shapes, Assumptions], Meaning]] = {
    "index": _read_index,
    "einsum": _read_einsum,
    "matrix": _read_matrix,
    "latex": _read_latex,
}
