"""Messages for texts that are not in index notation.

In: the text and where the parser stopped.
Out: a NotationError with the place, what stands there, what could stand there, and a way out.
Invariant: `explained` has an answer for every place; the parser's own words never reach a user.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..errors import DimensionError, NotationError, Span
from ..terms import Dim
from . import syntax

ASSUMPTIONS = ("symmetric", "spd", "positive", "nonnegative")

_OPENING = {")": "(", "]": "["}
_OPERATORS = frozenset({"PLUS", "MINUS", "TIMES", "DIVIDE", "POWER"})
_OPERAND_WORDS = "a number, a name or an opening bracket"
_CLOSING = {"(": ")", "[": "]"}
_FOREIGN = {  # what other notations write: what to say, what is so, what to do
    "'": (
        "a transpose ' stands in index notation",
        "a transpose swaps the indices: A[j,i]",
        'write A[j,i], or read the text with notation="matrix"',
    ),
    "@": (
        "a matrix product @ stands in index notation",
        "a product sums over the index that its factors share",
        "write A @ b as A[i,j]*b[j]",
    ),
    ".": (
        "a dot stands outside a number",
        "x .* y is x[i]*y[i] with i on the left, A.T is A[j,i], A.sum() is sum[i](A[i])",
        "write the indices instead",
    ),
    "{": (
        "a brace stands in index notation",
        "indices stand in square brackets, arguments in round ones",
        'write A[i,j], or read the text with notation="latex"',
    ),
    "\\": (
        "a backslash stands in index notation",
        "names are letters, Greek ones included, digits and _",
        'write theta or θ, or read the text with notation="latex"',
    ),
    "|": ("a bar stands in index notation", "no operator is written so", "write abs(x)"),
    "!": (
        "an exclamation mark stands alone",
        "unequal is written !=, and there is no factorial",
        "write exp(lgamma(x + 1)) for x!",
    ),
    "%": ("a percent sign stands in index notation", "a comment starts with #", "write # instead"),
    "√": ("a root sign stands in index notation", "functions have names", "write sqrt(x)"),
    "∑": (
        "a summation sign stands in index notation",
        "an index that two factors share is summed; any other is named",
        "write sum[i](...)",
    ),
    "≤": ("a sign ≤ stands in index notation", "comparisons are < <= > >= == !=", "write <="),
    "≥": ("a sign ≥ stands in index notation", "comparisons are < <= > >= == !=", "write >="),
    "≠": ("a sign ≠ stands in index notation", "comparisons are < <= > >= == !=", "write !="),
}
_FOREIGN["}"] = _FOREIGN["{"]
_FOREIGN["’"] = _FOREIGN["′"] = _FOREIGN["'"]
_SUPERSCRIPTS = {ord(high): low for high, low in zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True)}


def check_brackets(source: str) -> None:
    """Every bracket has its partner; else the place of the one that has none."""
    opened: list[tuple[str, int]] = []
    for place, char in _brackets(source):
        if char in _CLOSING:
            opened.append((char, place))
        elif not opened:
            raise NotationError(
                f"the bracket {char} closes nothing",
                source=source,
                spans=[(place, place + 1)],
                facts=[f"no {_OPENING[char]} is open here"],
                hint=f"remove it, or open it with {_OPENING[char]}",
            )
        else:
            opener, start = opened.pop()
            if char != _CLOSING[opener]:
                raise NotationError(
                    f"the bracket {opener} is closed by {char}",
                    source=source,
                    spans=[(start, start + 1), (place, place + 1)],
                    facts=[
                        f"{_CLOSING[opener]} closes {opener}, and {char} closes {_OPENING[char]}"
                    ],
                    hint="make the two alike",
                )
    if opened:
        opener, place = opened[-1]
        raise NotationError(
            f"the bracket {opener} is never closed",
            source=source,
            spans=[(place, place + 1)],
            facts=["a line end inside brackets does not end a statement"],
            hint=f"close it with {_CLOSING[opener]}",
        )


def _brackets(source: str) -> Iterator[tuple[int, str]]:
    """The brackets outside comments, with their places."""
    for match in re.finditer(r"[()\[\]]|#[^\n]*", source):
        if match.group()[0] != "#":
            yield match.start(), match.group()


def assumption(word: str, span: Span | None = None) -> str:
    """A known assumption, or an error with the nearest ones."""
    if word in ASSUMPTIONS:
        return word
    near = get_close_matches(word[:40], ASSUMPTIONS, n=2)
    raise NotationError(
        f"unknown assumption {_short(word)}",
        spans=[span] if span else [],
        facts=[f"known are {', '.join(ASSUMPTIONS)}"],
        hint=f"did you mean {' or '.join(near)}?" if near else "remove it",
    )


def assumptions(words: object) -> set[str]:
    """Known assumptions given in Python: words in a list, or one word alone."""
    return {assumption(str(word)) for word in (words if isinstance(words, Iterable) else [words])}


def check_names(given: object, example: str) -> None:
    """A dict whose keys are names, given as the argument that `example` shows."""
    word = example.partition("=")[0]
    if not isinstance(given, Mapping):
        wrong = f"{given!r} is no dict"
    else:
        names = [n for n in given if not (isinstance(n, str) and n.isidentifier())]
        wrong = ", ".join(f"{name!r} is no name" for name in names)
    if wrong:
        raise NotationError(
            f"{word}= cannot be read: {wrong}",
            facts=["it is a dict whose keys are names of tensors"],
            hint=f"write {example}",
        )


def shape(name: str, axes: object) -> tuple[Dim, ...]:
    """The extents given in Python for a tensor."""
    if isinstance(axes, str) or not isinstance(axes, Iterable):
        raise DimensionError(
            f"{axes!r} is no shape of {name}",
            facts=["a shape is a tuple of extents, one for each axis"],
            hint=f"write shapes={{{name!r}: ({axes!r},)}}",
        )
    extents: tuple[Dim, ...] = tuple(_named(dim) for dim in axes)
    for dim in extents:
        number = isinstance(dim, int) and not isinstance(dim, bool) and dim >= 0
        if not number and not (isinstance(dim, str) and dim.isidentifier()):
            raise DimensionError(
                f"{dim!r} is no extent of {name}",
                facts=["an extent is a name or a number, 0 or more"],
                hint=f"write shapes={{{name!r}: ('n', 3)}}",
            )
    return extents


def _named(dim: Any) -> Any:
    """An extent as `x.shape` gives it by its name."""
    return getattr(dim, "name", dim)


def check_statements(
    source: str,
    statements: Sequence[syntax.Declaration | syntax.Definition],
    expression: str = "x[i]*Q[i,j]*x[j]",
    definition: str = "r[a] = ...",
) -> None:
    """There is an expression, and a bare one stands last; an example of each for the messages."""
    definitions = [s for s in statements if isinstance(s, syntax.Definition)]
    if not definitions:
        raise NotationError(
            "there is no expression",
            source=source,
            spans=[statements[-1].span] if statements else [],
            facts=["the text only declares tensors" if statements else "the text is empty"],
            hint=f"write one, for example {expression}",
        )
    for statement in definitions:
        if statement.name is None and statement is not statements[-1]:
            raise NotationError(
                "an expression without a name stands before other statements",
                source=source,
                spans=[statement.span],
                facts=["its value would be lost: only the last statement may have no name"],
                hint=f"name it, as in {definition}, or move it to the end",
            )


def explained(source: str, mistake: Any) -> NotationError:
    """The error for the place where the parser stopped."""
    token = getattr(mistake, "token", None)
    if token is None:  # no token starts here
        return _foreign_character(source, mistake.pos_in_stream)
    stop = stop_at(source, mistake)
    message, fact, hint = _explain(stop)
    return NotationError(message, source=source, spans=[stop.span], facts=[fact], hint=hint)


def _foreign_character(source: str, place: int) -> NotationError:
    char = source[place]
    if char in _FOREIGN:
        message, fact, hint = _FOREIGN[char]
    elif ord(char) in _SUPERSCRIPTS:
        message = f"a superscript {char} stands in index notation"
        fact = "a power is written with ^"
        hint = f"write ^{char.translate(_SUPERSCRIPTS)}"
    else:
        name = unicodedata.name(char, "")
        shown = f"the character {char}" if char.isprintable() else "a character that does not print"
        message = f"{shown} has no meaning here"
        fact = f"it is U+{ord(char):04X} {name}".rstrip()
        hint = "names are letters, digits and _; operators are + - * / ^"
    return NotationError(
        message, source=source, spans=[(place, place + 1)], facts=[fact], hint=hint
    )


@dataclass(frozen=True, slots=True)
class Stop:
    """Where the parser stopped: the token it did not take, and what it would have taken."""

    kind: str
    shown: str
    span: Span
    expected: frozenset[str]
    inside: str  # of what brackets: "statement" where none are open
    behind: str  # the kind of the token before, "" where it is a finished part


# "": a finished part, which can only be the kept indices of a call
_BEFORE_PARENTHESIS = dict.fromkeys(("NAME", "RSQB", ""), "arguments") | {"COLON": "extents"}
Explanation = tuple[str, str, str]  # what is wrong, what would be right, the way out


def stop_at(source: str, mistake: Any) -> Stop:
    token = mistake.token
    stack: Sequence[Any] = mistake.interactive_parser.parser_state.value_stack
    span = (token.start_pos or 0, token.end_pos or 0)
    if token.type == "$END":  # a borrowed place: that of the last token
        span = (span[1], span[1] + 1)
    shown = {"$END": "the end", "SEPARATOR": "the end of the line"}.get(token.type)
    if shown is None or token == ";":
        shown = _short(str(token))
    return Stop(
        token.type,
        shown,
        span,
        frozenset(mistake.expected),
        _innermost(stack),
        getattr(stack[-1], "type", "") if stack else "SEPARATOR",
    )


def _innermost(stack: Sequence[Any]) -> str:
    """What the innermost open bracket on the parser's stack holds."""
    kinds = [getattr(part, "type", "") for part in stack]
    closed = 0
    for place in range(len(kinds) - 1, -1, -1):
        if kinds[place] in {"RPAR", "RSQB"}:
            closed += 1
        elif kinds[place] in {"LPAR", "LSQB"} and closed:
            closed -= 1
        elif kinds[place] == "LSQB":
            return "indices"
        elif kinds[place] == "LPAR":
            return _BEFORE_PARENTHESIS.get(kinds[place - 1] if place else "SEPARATOR", "group")
    return "statement"


def _explain(stop: Stop) -> Explanation:
    if stop.inside == "indices":
        return _among_indices(stop)
    if stop.inside == "extents":
        return _among_extents(stop)
    if stop.expected == {"LPAR"}:
        return (
            f"an opening bracket is missing before {stop.shown}",
            "a declaration lists its extents in round brackets",
            "write X : (n, d) for a matrix, c : () for a scalar",
        )
    if {"LPAR", "NUMBER"} <= stop.expected:
        return _missing_operand(stop)
    if "NAME" in stop.expected:
        return (
            f"{stop.shown} stands behind a declaration",
            f"assumptions may follow: {', '.join(ASSUMPTIONS)}",
            "start a new line, or write ; before it",
        )
    return _AFTER_OPERAND.get(stop.kind, _side_by_side)(stop)


def _among_indices(stop: Stop) -> Explanation:
    if stop.kind in {"NAME", "NUMBER"}:
        return (
            f"{stop.shown} follows an index without a comma",
            "each axis has one index",
            "separate indices by commas, as in A[i,j]",
        )
    if stop.kind == "COLON" or stop.behind == "COLON":
        return (
            f"{stop.shown} stands where no slice can be",
            "an index runs over the whole axis; i:n says that it has extent n",
            "write A[i,j], and cut the array beforehand",
        )
    if stop.kind in {"COMMA", "RSQB"}:
        return (
            f"an index is missing before {stop.shown}",
            "each axis has one index",
            "write a name for it, as in A[i,j]",
        )
    return (
        f"{stop.shown} stands among indices",
        "an index is a name, nothing is computed with it",
        "write A[i,j]; a function's arguments stand in round brackets",
    )


def _among_extents(stop: Stop) -> Explanation:
    if stop.kind in {"NAME", "NUMBER"}:
        message = f"{stop.shown} follows an extent without a comma"
    elif stop.kind in {"COMMA", "RPAR"}:
        message = f"an extent is missing before {stop.shown}"
    else:
        message = f"{stop.shown} stands among extents"
    return (
        message,
        "an extent is a name or a positive whole number",
        "write X : (n, 3) for a matrix, c : () for a scalar",
    )


def _missing_operand(stop: Stop) -> Explanation:
    expected = f"expected {_OPERAND_WORDS}"
    if stop.kind == "$END":
        return "the text ends where an operand is missing", expected, "complete the expression"
    if stop.kind == "SEPARATOR" and stop.inside == "statement" and stop.shown != ";":
        return (
            "the line ends where an operand is missing",
            expected,
            "complete it, or put brackets around what goes on over several lines",
        )
    if stop.kind == "LSQB":
        return "brackets stand behind no name", expected, "write A[i,j], and (...) to group"
    if stop.kind == "RPAR" and stop.behind == "LPAR":
        what = "argument" if stop.inside == "arguments" else "expression"
        return f"the brackets () hold no {what}", expected, f"write the {what}, or remove them"
    if stop.kind == "EQUALS":
        return "a name is missing before =", expected, "write y[i] = ...; equality is =="
    return (
        f"an operand is missing before {stop.shown}",
        expected,
        "write it, or remove the operator" if stop.kind in _OPERATORS else "write it",
    )


def _side_by_side(stop: Stop) -> Explanation:
    return (
        f"an operator is missing before {stop.shown}",
        "a product is written with *",
        "write 2*x, A[i,j]*x[j], (a + b)*(c + d)",
    )


def _second_brackets(stop: Stop) -> Explanation:
    return (
        "brackets [ stand behind something that is not a name",
        "a name, or a call, has one pair of brackets for all its indices",
        "write A[i,j], or define r[i] = ... first and write r[i]",
    )


def _comparison(stop: Stop) -> Explanation:
    if stop.inside == "arguments":
        return (
            f"a second comparison {stop.shown} stands in one argument",
            "a comparison has two sides",
            "write where(a < b, where(b < c, x, y), y)",
        )
    return (
        f"a comparison {stop.shown} stands outside an argument",
        "a comparison is an argument of a function, without brackets of its own",
        f"write where(a {stop.shown} b, x, y)",
    )


def _second_equals(stop: Stop) -> Explanation:
    return (
        "= stands inside an expression",
        "a statement has at most one =, behind the name that it defines",
        "start a new line for another definition; equality is ==",
    )


def _stray_comma(stop: Stop) -> Explanation:
    in_group = stop.inside == "group"
    return (
        "a comma stands outside an argument list",
        "commas separate indices, arguments and extents",
        "write a function's name before its arguments, with one pair of brackets: max(a, b)"
        if in_group
        else "start a new line, or write ; for another statement",
    )


def _stray_colon(stop: Stop) -> Explanation:
    return (
        "a colon stands behind something that is not a name",
        "a declaration is a name, a colon and the extents",
        "write X : (n, d) on a line of its own",
    )


def _statement_end_in_brackets(stop: Stop) -> Explanation:
    return (
        f"{stop.shown} stands inside brackets",
        "a statement ends outside brackets only",
        "close the bracket first; arguments are separated by commas",
    )


_AFTER_OPERAND: dict[str, Callable[[Stop], Explanation]] = {
    "COLON": _stray_colon,
    "COMMA": _stray_comma,
    "COMPARISON": _comparison,
    "EQUALS": _second_equals,
    "LSQB": _second_brackets,
    "SEPARATOR": _statement_end_in_brackets,
}


def _short(token: str) -> str:
    return token if len(token) <= 40 else f"{token[:20]}...{token[-10:]}"
