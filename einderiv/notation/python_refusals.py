"""Refusals of what symbols cannot do, with the line of the user's code that asked for it.

In: what was asked, why it cannot be, a way out. Out: NotationError with file, line and carets.
Invariant: the line shown is the innermost one outside this package and NumPy.
"""

from __future__ import annotations

import linecache
import os
import sys
from itertools import islice
from types import FrameType
from typing import NoReturn

import numpy as np

from ..errors import EinderivError, NotationError, Span

_OURS = (
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep,
    os.path.dirname(os.path.abspath(np.__file__)) + os.sep,
)


class ShapeAsDataError(NotationError):
    """A symbolic extent was needed as a number; concrete sizes would do."""


def refuse(
    message: str, fact: str, hint: str, kind: type[EinderivError] = NotationError
) -> NoReturn:
    """Raise the error for what a symbol was asked to do."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    if frame is None:
        raise kind(message, facts=[fact], hint=hint)
    line, span = _place(frame)
    where = f"{frame.f_code.co_filename}, line {frame.f_lineno}, in {frame.f_code.co_name}"
    raise kind(message, source=line, spans=[span], facts=[where, fact], hint=hint)


def _place(frame: FrameType) -> tuple[str, Span]:
    """The source line that a frame stands at, and the columns of what it does there."""
    code, number = frame.f_code, frame.f_lineno
    line = linecache.getline(code.co_filename, number, frame.f_globals).rstrip("\n")
    shown = line.strip()
    if not shown:
        return "(no source)", (0, 11)
    indent = len(line) - len(line.lstrip())
    positions = islice(code.co_positions(), frame.f_lasti // 2, None)
    first, last, start, end = next(positions, (None, None, None, None))
    if first == last == number and start is not None and end is not None:
        return shown, (max(start - indent, 0), max(end - indent, 1))
    return shown, (0, len(shown))
