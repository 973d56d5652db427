"""`einderiv diff ... --to numpy|torch|jax`: a derivative as a standalone function.

In: an expression and its derivative, what the command line asked for. Out: the function's text.
Invariant: the docstring names what was differentiated by what.
"""

from __future__ import annotations

from collections.abc import Sequence

from .errors import NotMatrixFormError
from .expression import Expression
from .printers.code_function import Origin, function_code
from .printers.code_targets import TARGETS

CODE = tuple(TARGETS)
_LONG = 70  # characters of an expression that is named by its text


def code_text(
    expression: Expression,
    result: Expression,
    target: str,
    *,
    wrt: Sequence[str],
    order: int | None,
    layout: str | None,
    notation: str,
    **_: object,
) -> str:
    """The derivative's code; without `wrt` that of the expression."""
    hints = result._context.hints()
    text = _formula(expression, notation).splitlines()[-1]
    names = [name.partition("[")[0].strip() for name in wrt for _ in range(order or 1)]
    origin = Origin(
        len(names),
        tuple(names),
        hints.name or (text if len(text) <= _LONG else "the expression"),
        layout == "denominator",
    )
    return function_code(result, hints, target, "f", False, origin).rstrip("\n")


def _formula(expression: Expression, notation: str) -> str:
    if notation == "matrix":
        try:
            return expression.matrix()
        except NotMatrixFormError:
            pass
    return str(expression)
