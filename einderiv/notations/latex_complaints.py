"""Messages for texts that are not in the LaTeX this package reads.

In: the text and where the parser stopped. Out: a NotationError with the place and a way out.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from ..errors import NotationError, Span

_COMMANDS = (
    "frac sqrt sum prod max min exp log ln sin cos tan sinh cosh tanh arcsin arccos arctan det cdot times "
    "top intercal tilde hat bar mathbf boldsymbol mathrm operatorname text left right lVert rVert alpha beta "
    "gamma delta epsilon theta lambda mu nu pi rho sigma tau phi psi omega Theta Lambda Sigma Phi Psi Omega"
).split()
_INSTEAD = {
    "int": ("an integral has no term", "write a sum: \\sum_i"),
    "le": ("a comparison stands in a formula", "use where(a <= b, x, y) in index notation"),
    "ge": ("a comparison stands in a formula", "use where(a >= b, x, y) in index notation"),
    "otimes": ("a Kronecker product needs four indices", "write A_{ij} B_{kl}"),
    "binom": ("a binomial coefficient has no term", "write it with the gamma function"),
    "langle": ("an inner product", "write x^\\top y or x_i y_i"),
    "in": ("a membership is no formula", 'declare with shapes={"X": ("n", "d")}'),
    "ldots": ("dots stand for what is left out", "write the sum: \\sum_i"),
    "cdots": ("dots stand for what is left out", "write the sum: \\sum_i"),
    "dots": ("dots stand for what is left out", "write the sum: \\sum_i"),
    "begin": ("an environment without a formula of its own", "paste the formula alone"),
}
_EXPECTED = "expected a letter, a number, a command or an opening bracket"


def explained(source: str, mistake: Any) -> NotationError:
    """The error for the place where the parser stopped."""
    token = getattr(mistake, "token", None)
    if token is None:
        place = mistake.pos_in_stream
        char = source[place]
        return _error(
            source,
            (place, place + 1),
            f"the character {char if char.isprintable() else hex(ord(char))} has no meaning in LaTeX here",
            "formulas are letters, numbers, commands, brackets and + - * / ^ _ =",
            "remove it, or write the command for it",
        )
    span = (token.start_pos or 0, token.end_pos or 0)
    if token.type == "$END":
        return _error(
            source,
            (span[1], span[1] + 1),
            "the formula ends where an operand is missing",
            _EXPECTED,
            "complete the formula",
        )
    if token.type == "UNKNOWN":
        return _unknown(source, str(token), span)
    return _error(source, span, *_by_kind(token))


def _unknown(source: str, token: str, span: Span) -> NotationError:
    word = token.lstrip("\\")
    if word in _INSTEAD:
        fact, hint = _INSTEAD[word]
        return _error(source, span, f"the command \\{word} cannot be read", fact, hint)
    near = get_close_matches(word, _COMMANDS, n=2, cutoff=0.7)
    return _error(
        source,
        span,
        f"the command \\{word[:40]} is not known",
        "read are letters, accents, fractions, roots, sums, norms and functions",
        "did you mean " + " or ".join(f"\\{n}" for n in near) + "?"
        if near
        else "write \\operatorname{name}(...) for a function, \\mathrm{name} for a tensor",
    )


def _by_kind(token: Any) -> tuple[str, str, str]:
    shown = re.sub(r"\s+", " ", str(token))[:40]
    if token.type in ("UNDER", "HAT"):
        script = "subscript" if token.type == "UNDER" else "superscript"
        return (
            f"a {script} stands behind nothing",
            "scripts belong to what stands before them",
            "write a letter before it, as in x_i or x^2",
        )
    if token.type == "EQUALS":
        return (
            "a second = stands in the formula",
            "an equation has a left and a right side",
            "choose one of the two sides, or end the first equation with \\\\",
        )
    if token.type == "COMMA":
        return (
            "a comma stands outside of scripts",
            "commas separate indices, and the two arguments of \\max and \\min",
            "paste one formula alone",
        )
    return (
        f"{shown} stands where nothing like it can be",
        _EXPECTED,
        "complete what stands before it, or remove it",
    )


def _error(source: str, span: Span, message: str, fact: str, hint: str) -> NotationError:
    return NotationError(message, source=source, spans=[span], facts=[fact], hint=hint)
