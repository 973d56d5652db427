"""Back-propagation tables as text, and how adjoints are written.

In: forward values, steps with the adjoints, a note. Out: a string.
Invariant: an adjoint is its value's name with a bar: inside terms a marked name, in text letters with a
macron, in LaTeX a bar over the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ..explainer.records import Line, Step, all_steps
from .derivations import broken, reason
from .latex import name_latex

_MARK = "adjointof"
_MACRON = "\u0304"
_WIDTH = 100  # columns
_RULES = 48  # columns at most before the rules


def marked(name: str) -> str:
    """What an adjoint is called inside terms."""
    return _MARK + name


def barred(text: str) -> str:
    """Marked names as letters with a macron.

    >>> barred("2*adjointofv3*x") == "2*v\u03043*x"
    True
    """
    return re.sub(rf"{_MARK}(\w+)", lambda found: _with_macrons(found[1]), text)


def _with_macrons(name: str) -> str:
    return re.sub(r"[^\W\d_]", lambda letter: letter[0] + _MACRON, name)


def barred_latex(text: str, names: Iterable[str]) -> str:
    """The marked names in a LaTeX text with a bar over them."""
    for name in names:
        if not name.startswith(_MARK):
            continue  # a value, not an adjoint
        bare = name.removeprefix(_MARK)
        text = text.replace(name_latex(name), rf"\bar{{{name_latex(bare)}}}")
    return text


def to_table(given: Sequence[tuple[Line, Line]], steps: Sequence[Step], note: str) -> str:
    """Forward values downwards, adjoints downwards, each with its rule beside it."""
    rows: list[tuple[str, str, str]] = [("forward values", "", "")]
    rows += [(f"  {left}", right.text, "") for left, right in given]
    rows.append(("adjoints", "", ""))
    for step in all_steps(tuple(steps)):
        if not step.folded:
            rows.append((f"  {step.left}", step.after.text, reason(step)))
    return "\n".join([*_laid_out(rows), "", f"[{note}]"])


def _laid_out(rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Left-hand sides, right-hand sides and rules in three columns."""
    left = min(max(_columns(head) for head, body, _ in rows if body), _RULES // 2)
    fitting = [_columns(body) for _, body, _ in rows if left + _columns(body) <= _RULES]
    middle = max(fitting, default=0)
    for head, body, why in rows:
        if not body:
            yield head
            continue
        start = f"{head}{' ' * (left - _columns(head))} = "
        lines = [part for line in body.split("\n") for part in broken(line, _WIDTH - left - 3)]
        gap = " " * max(middle - _columns(lines[0]), 0)
        first = f"{start}{lines[0]}{gap}   {why}" if why else start + lines[0]
        if len(lines) > 1 or _columns(first) > _WIDTH + 8:
            if why:
                yield f"{' ' * (left + 3)}({why})"
            first = start + lines[0]
        yield first.rstrip()
        yield from (" " * (left + 3) + line for line in lines[1:])


def _columns(text: str) -> int:
    """The width of a text in a terminal: a macron takes no column."""
    return len(text) - text.count(_MACRON)
