"""The errors that leave the public surface, and how they show a place in a text.

In: a message, the source text with spans, the facts, a way out.
Out: exceptions whose text is message, carets under the place, facts, way out.
Invariant: every error is an EinderivError and also the builtin that people catch.
"""

from __future__ import annotations

from collections.abc import Sequence

Span = tuple[int, int]  # start and end offset in the source text

_WIDTH = 88  # columns of source shown around a caret


class EinderivError(Exception):
    """Root of all errors of this package; str() shows place, facts and a way out.

    >>> print(EinderivError("no such thing", source="a + b", spans=[(4, 5)], hint="drop b"))
    no such thing
        a + b
            ^
      drop b
    """

    def __init__(
        self,
        message: str,
        *,
        source: str | None = None,
        spans: Sequence[Span] = (),
        facts: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        self.message = message
        self.source = source
        self.spans = tuple(spans)
        self.facts = tuple(facts)
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        lines = [self.message]
        if self.source is not None and self.spans:
            lines += carets(self.source, self.spans)
        lines += [f"  {fact}" for fact in self.facts]
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)


class NotationError(EinderivError, ValueError):
    """A text that the grammar or the summation convention does not allow."""


class DimensionError(EinderivError, ValueError):
    """An axis with two extents, or a tensor with two ranks."""


class DerivativeError(EinderivError, ValueError):
    """A derivative that does not exist or was asked for in a way that has no meaning."""


class NotMatrixFormError(EinderivError):
    """A term that matrix notation cannot express."""


class DataError(EinderivError, TypeError):
    """An array of a kind or dtype that cannot be computed with."""


class ResourceLimitError(EinderivError, MemoryError):
    """A computation that would exceed the memory allowed for it."""


class BackendError(EinderivError):
    """A backend that is missing or failed."""


def carets(source: str, spans: Sequence[Span]) -> list[str]:
    """The lines of `source` that hold `spans`, each with carets under them."""
    shown: list[str] = []
    start = 0
    many = "\n" in source
    for number, line in enumerate(source.split("\n"), 1):
        end = start + len(line)
        here = sorted(
            (max(a, start) - start, min(max(b, a + 1), end) - start)
            for a, b in spans
            if start <= a <= end
        )
        if here:
            shown += _one_line(line, here, f"{number}: " if many else "")
        start = end + 1
    return shown


def _one_line(line: str, spans: Sequence[Span], prefix: str) -> list[str]:
    left = 0
    if len(line) > _WIDTH:  # a window around the first place; later places may fall outside
        left = max(0, spans[0][0] - _WIDTH // 2)
    window = line[left : left + _WIDTH].replace("\t", " ").rstrip()
    head = "..." if left else ""
    tail = "..." if left + _WIDTH < len(line) else ""
    marks = [" "] * (len(window) + 1)
    for a, b in spans:
        if left <= a <= left + len(window):
            for column in range(a - left, max(min(b - left, len(window)), a - left + 1)):
                marks[column] = "^"
    pad = " " * (len(prefix) + len(head))
    return [f"    {prefix}{head}{window}{tail}", f"    {pad}{''.join(marks).rstrip()}"]


def axes_in_words(count: int) -> str:
    """A number of axes for a message.

    >>> axes_in_words(1), axes_in_words(2)
    ('1 axis', '2 axes')
    """
    return {0: "no axis", 1: "1 axis"}.get(count, f"{count} axes")


def indices_in_words(count: int) -> str:
    """A number of indices and its verb, for a message.

    >>> indices_in_words(1), indices_in_words(2)
    ('1 index is', '2 indices are')
    """
    return {0: "no index is", 1: "1 index is"}.get(count, f"{count} indices are")
