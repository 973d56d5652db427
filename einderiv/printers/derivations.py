"""Derivations as a ladder of text, for terminals.

In: the lines and steps of a derivation. Out: a string; each step on a line of its own, its rule beside it.
Invariant: no line is wider than it must be: a rule stands to the right where there is room, else above.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..explainer.records import Line, Step

_WIDTH = 100  # columns
_GAP = 3


@dataclass(frozen=True, slots=True)
class Row:
    """Lines that belong together, and the reason beside or above them."""

    lines: tuple[str, ...]
    reason: str = ""


_EMPTY = Row(("",))


def to_ladder(
    title: Line, given: Sequence[tuple[Line, Line]], steps: Sequence[Step], note: str
) -> str:
    """The given equations, then each left-hand side with its right-hand sides one below the other."""
    rows = [_row(f"{left} = ", right.text) for left, right in given]
    shown: str | None = None
    for step in steps:
        left = title.text if step.left is None else step.left.text
        if left != shown:
            rows += [_EMPTY, _row(f"{left} = ", step.before.text)]
            shown = left
        rows.append(_row(" " * (len(left) + 1) + "= ", step.after.text, reason(step)))
    if note:
        rows += [_EMPTY, *(Row((f"[{line}]",)) for line in note.split("\n"))]
    return "\n".join(_laid_out(rows))


def reason(step: Step) -> str:
    """The rule and its law, and how many steps are folded."""
    shown = f"{step.rule}: {step.law}" if step.law else step.rule
    return shown + (f" [{len(step.folded)} steps folded]" if is_fold(step) else "")


def is_fold(step: Step) -> bool:
    """Does a step stand for a chain of steps, rather than for one with parts?"""
    return bool(step.folded) and not step.law


def _row(head: str, body: str, why: str = "") -> Row:
    """A statement, the lines of its right-hand side below each other."""
    lines = [part for line in body.split("\n") for part in broken(line, _WIDTH - len(head))]
    pad = " " * len(head)
    return Row(tuple((pad if k else head) + line for k, line in enumerate(lines)), why)


def _laid_out(rows: Sequence[Row]) -> Iterator[str]:
    """Reasons in one column where they fit, else on a line above."""
    single = [row for row in rows if row.reason and len(row.lines) == 1]
    lengths = [len(row.lines[0]) for row in single]
    fitting = [n for n, row in zip(lengths, single, strict=True) if n + len(row.reason) < _WIDTH]
    column = max(fitting, default=0) + _GAP
    for row in rows:
        first = row.lines[0]
        beside = len(row.lines) == 1 and len(first) + _GAP <= column
        if row.reason and beside and column + len(row.reason) <= _WIDTH + 8:
            yield f"{first:<{column}}{row.reason}"
            continue
        if row.reason:
            yield f"{' ' * (len(first) - len(first.lstrip()))}  ({row.reason})"
        yield from (line.rstrip() for line in row.lines)


def broken(line: str, width: int) -> list[str]:
    """A long right-hand side in several lines, each but the first beginning with an operator.

    >>> broken("aaaa + bbbb*(c - d) - eeee", 14)
    ['aaaa', '+ bbbb*(c - d)', '- eeee']
    """
    pieces = [line]
    for depth in range(4):
        for signs in ((" + ", " - "), ("*",)):
            pieces = [
                part
                for piece in pieces
                for part in ([piece] if len(piece) <= width else _cut(piece, signs, depth, width))
            ]
    return pieces


def _cut(line: str, signs: tuple[str, ...], depth: int, width: int) -> list[str]:
    """A line cut before some of the `signs` at a depth of brackets, as few as will do."""
    inside = 0
    places = []
    for place, char in enumerate(line):
        inside += (char in "([") - (char in ")]")
        if inside == depth and place and line.startswith(signs, place):
            places.append(place)
    lines, start, last = [], 0, 0
    for place in [*places, len(line)]:
        if place - start > width and last > start:
            lines.append(line[start:last].strip())
            start = last
        last = place
    return [*lines, line[start:].strip()]
