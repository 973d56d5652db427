"""Refusals of what symbols cannot do, with the line of the user's code that asked for it.

In: what was asked, why it cannot be, a way out. Out: NotationError with file, line and carets.
Invariant: the line shown is the innermost one outside this package, NumPy and SciPy.
"""

from __future__ import annotations

import linecache
import os
import sys
from itertools import islice
from types import CodeType, FrameType, TracebackType
from typing import Any, NoReturn

import numpy as np

from ..errors import EinderivError, NotationError, Span

_NUMPY = os.path.dirname(os.path.abspath(np.__file__))
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_OURS = (
    _PACKAGE,
    _NUMPY + os.sep,
    os.path.join(os.path.dirname(_NUMPY), "scipy") + os.sep,
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
    line, span, where = _place(frame.f_code, frame.f_globals, frame.f_lineno, frame.f_lasti)
    raise kind(message, source=line, spans=[span], facts=[where, fact], hint=hint)


def located(error: EinderivError, traceback: TracebackType | None) -> EinderivError:
    """The error with the line of the user's code that it came through."""
    users = None
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_OURS):
            users = traceback
        traceback = traceback.tb_next
    if users is not None and error.source is None:
        frame = users.tb_frame
        error.source, span, where = _place(
            frame.f_code, frame.f_globals, users.tb_lineno, users.tb_lasti
        )
        error.spans, error.facts = (span,), (where, *error.facts)
    return error


def is_ours(traceback: TracebackType | None) -> bool:
    """Whether a line of this package, called by the user's, raised an exception."""
    users, ours = False, False
    while traceback is not None:
        ours = traceback.tb_frame.f_code.co_filename.startswith(_PACKAGE)
        users = users or not ours
        traceback = traceback.tb_next
    return users and ours


def _place(
    code: CodeType, scope: dict[str, Any], number: int, instruction: int
) -> tuple[str, Span, str]:
    """The source line that a frame stands at, the columns of what it does there, and where it is."""
    where = f"{code.co_filename}, line {number}, in {code.co_name}"
    line = linecache.getline(code.co_filename, number, scope).rstrip("\n")
    shown = line.strip()
    if not shown:
        return "(no source)", (0, 11), where
    indent = len(line) - len(line.lstrip())
    positions = islice(code.co_positions(), instruction // 2, None)
    first, last, start, end = next(positions, (None, None, None, None))
    if first == last == number and start is not None and end is not None:
        return shown, (max(start - indent, 0), max(end - indent, 1)), where
    return shown, (0, len(shown)), where
