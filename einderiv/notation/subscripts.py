"""Einsum strings: from text to labels.

In: a string such as `"ij,jk->ik"`, in NumPy's rules. Out: `Subscripts`.
Invariant: what is read is what numpy.einsum reads; a mistake shows its place.
What labels do: `equations.py`; what such a string means as a term: `einsum.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ..errors import NotationError, Span
from .equations import ELLIPSIS, Labels, Subscripts
from .parser import Parser, Token, Transformer

__all__ = ["Placed", "Subscripts", "placed", "read_subscripts"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A string as read, with the places of the operands and of their labels."""

    source: str
    subscripts: Subscripts
    labels: tuple[tuple[Span, ...], ...]  # of every operand
    terms: tuple[Span, ...]


def read_subscripts(text: str) -> Subscripts:
    """The labels of an einsum string, in NumPy's rules.

    Without `->` the output is the ellipsis, then in alphabetical order (upper case first) the letters that
    occur once. Raises NotationError with the place of the first mistake.

    >>> read_subscripts("ba").output
    ('a', 'b')
    """
    return placed(text).subscripts


def placed(text: str) -> Placed:
    """`read_subscripts` with places."""
    if not isinstance(text, str):
        raise NotationError(
            "the subscripts are no text",
            facts=[f"they are of type {type(text).__name__}"],
            hint="pass a string, for example 'ij,jk->ik'",
        )
    terms, written = _PARSER.parsed(text)
    for term in terms if written is None else (*terms, written):
        _check_one_ellipsis(text, term)
    inputs = tuple(tuple(str(token) for token in term) for term in terms)
    if written is None:
        output = _implicit_output(inputs)
    else:
        _check_output(text, terms, written)
        output = tuple(str(token) for token in written)
    return Placed(
        text,
        Subscripts(inputs, output, written is not None),
        tuple(tuple(_span(token) for token in term) for term in terms),
        tuple(_term_spans(text)),
    )


def _term_spans(text: str) -> Iterator[Span]:
    """Where each operand stands, without the blanks around it."""
    start = 0
    for piece in text.partition("->")[0].split(","):
        left = start + len(piece) - len(piece.lstrip(" "))
        yield left, max(left, start + len(piece.rstrip(" ")))
        start += len(piece) + 1


def _implicit_output(inputs: Sequence[Labels]) -> Labels:
    count = Counter(chain(*inputs))
    dots = (ELLIPSIS,) if count.pop(ELLIPSIS, 0) else ()
    return (*dots, *sorted(label for label, n in count.items() if n == 1))


Tokens = tuple[Token, ...]


class _Reader(Transformer[Token, Any]):
    """One method for each rule of `grammar/einsum.lark`."""

    def implicit(self, c: list[Any]) -> tuple[tuple[Tokens, ...], Tokens | None]:
        return tuple(map(tuple, c[0])), None

    def explicit(self, c: list[Any]) -> tuple[tuple[Tokens, ...], Tokens | None]:
        return tuple(map(tuple, c[0])), tuple(c[2])

    def first_term(self, c: list[Any]) -> list[list[Token]]:
        return [c[0]]

    def more_terms(self, c: list[Any]) -> list[list[Token]]:
        terms: list[list[Token]] = c[0]
        terms.append(c[2])
        return terms

    def scalar(self, c: list[Any]) -> list[Token]:
        return []

    def longer(self, c: list[Any]) -> list[Token]:
        term: list[Token] = c[0]
        term.append(c[1])
        return term


def _span(token: Token) -> Span:
    return token.start_pos or 0, token.end_pos or 0


def _check_one_ellipsis(text: str, term: Tokens) -> None:
    dots = [token for token in term if token == ELLIPSIS]
    if len(dots) > 1:
        raise NotationError(
            "a term has two ellipses",
            source=text,
            spans=[_span(token) for token in dots],
            facts=["an ellipsis stands for all axes of the operand that have no letter"],
            hint="leave one of them",
        )


def _check_output(text: str, terms: Sequence[Tokens], output: Tokens) -> None:
    known = set(chain(*terms))
    for place, token in enumerate(output):
        if token in output[:place]:
            raise NotationError(
                f"label {token} stands twice in the output",
                source=text,
                spans=[_span(other) for other in output if other == token],
                facts=["each axis of the output has a label of its own"],
                hint="give one of them a new letter; a diagonal matrix is a product with an identity: "
                "'i,ij->ij'",
            )
        if token not in known and token != ELLIPSIS:
            others = "".join(dict.fromkeys(x for x in chain(*terms) if x != ELLIPSIS))
            raise NotationError(
                f"label {token} of the output is in no operand",
                source=text,
                spans=[_span(token)],
                facts=[f"the operands have the labels {others}" if others else "they have none"],
                hint="drop it, or multiply by an array of ones that has it",
            )


# ---------------------------------------------------------------- mistakes


def _explained(source: str, mistake: Any) -> NotationError:
    """The error for the place where the parser stopped."""
    token = getattr(mistake, "token", None)
    if token is None:
        place = mistake.pos_in_stream
        span = (place, place + 1)
        found = next(answer for matches, answer in _STRANGERS if matches(source, place))
    else:  # after the arrow only letters and dots may stand
        span = _span(token)
        found = _SECOND_ARROW if token.type == "ARROW" else _SECOND_OUTPUT
    message, fact, hint = found
    shown = source[span[0] : span[1]]
    return NotationError(
        message.format(shown if shown.isprintable() else repr(shown)),
        source=source,
        spans=[span],
        facts=[fact],
        hint=hint,
    )


Answer = tuple[str, str, str]  # what is wrong, what would be right, the way out

_SECOND_ARROW = (
    "a second arrow",
    "the arrow stands once, before the output",
    "write operands->output",
)
_SECOND_OUTPUT = ("a comma stands in the output", "there is one output", "drop the comma")

_STRANGERS: tuple[tuple[Callable[[str, int], bool], Answer], ...] = (
    (
        lambda source, place: source[place] == ".",
        (
            "dots that are no ellipsis",
            "an ellipsis is three dots, with no blank between them",
            "write ...",
        ),
    ),
    (
        lambda source, place: source[place] in "-−>→=",
        ("an arrow is not complete", "the output stands behind ->", "write ->"),
    ),
    (
        lambda source, place: source[place].isspace(),
        (
            "white space {} between the labels",
            "numpy.einsum takes blanks only",
            "remove it, or write a blank",
        ),
    ),
    (
        lambda source, place: source[place] in "0123456789_",
        (
            "{} is no label",
            "a label is one letter, a to z or A to Z",
            "choose letters, or pass labels as numbers: ed.einsum(A, [0, 1], B, [1, 2], [0, 2])",
        ),
    ),
    (
        lambda source, place: source[place] in "[](){}*/+",
        (
            "{} stands in an einsum string",
            "it holds the labels only: 'ij,j->i'",
            'read A[i,j]*x[j] with notation="index"',
        ),
    ),
    (
        lambda source, place: True,
        (
            "{} is no label",
            "a label is one letter, a to z or A to Z",
            "an einsum string is letters, commas, ... and ->",
        ),
    ),
)

_PARSER = Parser("einsum.lark", _Reader, _explained, postlex=None)
