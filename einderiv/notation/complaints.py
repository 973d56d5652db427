"""Messages for texts that are not in index notation.

In: the text and where the parser stopped. Out: a NotationError with the place, both facts and a way out.
Invariant: every text that does not parse gets exactly one of the messages here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from ..errors import NotationError, Span
from . import syntax

ASSUMPTIONS = ("symmetric", "spd", "positive", "nonnegative")

_CLOSES = {")": "(", "]": "["}
_OPERAND = frozenset({"NAME", "NUMBER", "LPAR"})
_FOREIGN = {  # what other notations write: what to say, what to do
    "'": ("a transpose ' belongs to matrix notation", "swap the indices instead: A[j,i]"),
    "@": ("the matrix product @ belongs to Python", "write the sum with indices: A[i,j]*x[j]"),
    ".": ("a dot stands outside a number", "elementwise products are x[i]*y[i], a transpose is A[j,i]"),
    "{": ("braces have no meaning in index notation", "indices stand in square brackets: A[i,j]"),
    "}": ("braces have no meaning in index notation", "indices stand in square brackets: A[i,j]"),
    "\\": ("a backslash belongs to LaTeX", "write theta or θ for \\theta"),
    '"': ("a quotation mark has no meaning here", "names stand without quotation marks"),
    "!": ("! stands alone", "a factorial is exp(lgamma(x + 1)); unequal is written !="),
    "|": ("| has no meaning in index notation", "an absolute value is abs(x), a norm sqrt(x[i]*x[i])"),
    "%": ("% has no meaning in index notation", "a comment starts with #"),
    "&": ("& has no meaning in index notation", "products of conditions are products of where(...)"),
    "√": ("√ has no meaning in index notation", "write sqrt(x)"),
    "∑": ("∑ has no meaning in index notation", "write sum[i](...), or repeat the index in a product"),
    "Σ": ("Σ has no meaning in index notation", "write sum[i](...)"),
}


def check_brackets(source: str) -> None:
    """Every bracket has its partner; else the place of the one that has none."""
    opened: list[tuple[str, int]] = []
    for place, char in _code(source):
        if char in "([":
            opened.append((char, place))
        elif char in ")]":
            if not opened:
                raise NotationError(
                    f"the bracket {char} closes nothing",
                    source=source,
                    spans=[(place, place + 1)],
                    hint=f"remove it, or open it with {_CLOSES[char]}",
                )
            other, start = opened.pop()
            if other != _CLOSES[char]:
                raise NotationError(
                    f"the bracket {other} is closed by {char}",
                    source=source,
                    spans=[(start, start + 1), (place, place + 1)],
                    hint=f"close it with {')' if other == '(' else ']'}",
                )
    if opened:
        char, place = opened[-1]
        raise NotationError(
            f"the bracket {char} is never closed",
            source=source,
            spans=[(place, place + 1)],
            hint=f"close it with {')' if char == '(' else ']'}",
        )


def _code(source: str) -> list[tuple[int, str]]:
    """The brackets outside comments."""
    comments = [match.span() for match in re.finditer(r"#[^\n]*", source)]
    found = []
    current = 0
    for match in re.finditer(r"[()\[\]]", source):
        place = match.start()
        while current < len(comments) and comments[current][1] <= place:
            current += 1
        if current == len(comments) or place < comments[current][0]:
            found.append((place, match.group()))
    return found


def assumption(word: str, span: Span) -> str:
    """A known assumption, or an error with the nearest ones."""
    if word in ASSUMPTIONS:
        return word
    near = get_close_matches(word, ASSUMPTIONS, n=2, cutoff=0.4)
    raise NotationError(
        f"unknown assumption {word}",
        spans=[span],
        hint=f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(ASSUMPTIONS)}",
    )


def check_statements(
    source: str, statements: Sequence[syntax.Declaration | syntax.Definition]
) -> None:
    """There is an expression, and a bare one stands last."""
    definitions = [s for s in statements if isinstance(s, syntax.Definition)]
    if not definitions:
        raise NotationError(
            "there is no expression",
            source=source,
            spans=[statements[-1].span] if statements else [],
            facts=["the text only declares tensors"] if statements else ["the text is empty"],
            hint="write one, for example x[i]*Q[i,j]*x[j]",
        )
    for statement in definitions:
        if statement.name is None and statement is not statements[-1]:
            raise NotationError(
                "a bare expression stands before other statements",
                source=source,
                spans=[statement.span],
                facts=["only the last statement may be without a name"],
                hint="give it a name, as in r[a] = ..., or move it to the end",
            )
        for index in statement.indices or ():
            if not index.name:
                raise AssertionError


def explained(source: str, mistake: Any) -> NotationError:
    """The error for the place where the parser stopped."""
    place = getattr(mistake, "pos_in_stream", None)
    token = getattr(mistake, "token", None)
    if token is None:  # no token starts here
        return _foreign_character(source, int(place or 0))
    if token.type == "$END":
        return _ended(source, set(mistake.accepts or mistake.expected))
    start, end = int(token.start_pos), int(token.end_pos)
    return _unexpected(source, token.type, str(token), (start, end), set(mistake.expected))


def _foreign_character(source: str, place: int) -> NotationError:
    char = source[place]
    what, instead = _FOREIGN.get(
        char,
        (
            f"the character {char!r} (U+{ord(char):04X} {unicodedata.name(char, 'unnamed')}) "
            "has no meaning here",
            "names are letters, digits and _; operators are + - * / ^",
        ),
    )
    return NotationError(what, source=source, spans=[(place, place + 1)], hint=instead)


def _ended(source: str, expected: set[str]) -> NotationError:
    stripped = len(source.rstrip())
    return NotationError(
        "the text ends too early",
        source=source,
        spans=[(stripped, stripped + 1)],
        facts=[f"expected {_in_words(expected)}"],
        hint="complete the expression",
    )


def _unexpected(
    source: str, kind: str, token: str, span: Span, expected: set[str]
) -> NotationError:
    shown = "the end of the line" if kind == "SEPARATOR" and token == "\n" else token
    if kind in _OPERAND | {"LSQB"} and expected & {"TIMES", "PLUS"}:
        return _two_operands(source, kind, token, span)
    if kind == "COMPARISON":
        return NotationError(
            f"the comparison {token} stands outside a function's argument",
            source=source,
            spans=[span],
            hint=f"a choice is written where(a {token} b, x, y)",
        )
    if kind == "EQUALS":
        return NotationError(
            "= stands in the middle of an expression",
            source=source,
            spans=[span],
            facts=["a statement has at most one =, behind the name it defines"],
            hint="start a new line for another definition; equality in where(...) is ==",
        )
    if kind == "RSQB" and "NAME" in expected and source[: span[0]].rstrip().endswith("["):
        return NotationError(
            "the brackets [] are empty",
            source=source,
            spans=[span],
            hint="a scalar is written without brackets, an axis needs an index: x[i]",
        )
    return NotationError(
        f"unexpected {shown}",
        source=source,
        spans=[span],
        facts=[f"expected {_in_words(expected)}"],
        hint=_way_out(kind),
    )


def _two_operands(source: str, kind: str, token: str, span: Span) -> NotationError:
    before = source[: span[0]].rstrip()
    if before.endswith(".") or token.startswith("."):
        what, instead = _FOREIGN["."]
        return NotationError(what, source=source, spans=[span], hint=instead)
    if kind == "LSQB":
        return NotationError(
            "indices stand behind something that is not a name",
            source=source,
            spans=[span],
            hint="name the value first: r[i] = ...; then r[i] is its entry",
        )
    return NotationError(
        f"{token} follows an operand without an operator",
        source=source,
        spans=[span],
        facts=["index notation does not multiply by writing side by side"],
        hint="write a product with *, as in 2*x[i]",
    )


def _in_words(expected: set[str]) -> str:
    """What may stand at a place, for a reader."""
    words = []
    if "LPAR" in expected and "NUMBER" in expected:
        words.append("a number, a name or an opening bracket")
    elif "NAME" in expected and "NUMBER" in expected:
        words.append("a name or a number")
    elif "NAME" in expected:
        words.append("a name")
    if "TIMES" in expected or "PLUS" in expected:
        words.append("an operator")
    for kind, word in (("COMMA", "a comma"), ("RPAR", ")"), ("RSQB", "]"), ("COLON", ":")):
        if kind in expected:
            words.append(word)
    if not words and expected & {"SEPARATOR", "$END"}:
        words.append("the end of the statement")
    return ", ".join(words) or "something else"


def _way_out(kind: str) -> str:
    if kind in {"TIMES", "DIVIDE", "POWER", "PLUS", "MINUS"}:
        return "remove the operator, or write what it works on"
    if kind in {"RPAR", "RSQB", "COMMA"}:
        return "write what is missing before it"
    if kind == "COLON":
        return "a declaration is written X : (n, d) on a line of its own"
    return "complete what stands before it"
