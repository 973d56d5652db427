"""Messages for texts that are not in matrix notation.

In: the text and where the parser stopped.
Out: a NotationError with the place, what stands there, what could stand there, and a way out.
Invariant: `explained` has an answer for every place; NumPy and MATLAB spellings get their translation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from ..errors import NotationError, Span
from .complaints import Stop, stop_at

_OPERATORS = frozenset(
    {"PLUS", "MINUS", "TIMES", "DIVIDE", "POWER", "DOT_TIMES", "DOT_DIVIDE", "DOT_POWER"}
)
_INDEX = 'read the text with notation="index"'

Explanation = tuple[str, str, str]  # what is wrong, what is so, the way out

_FOREIGN: dict[str, Explanation] = {
    "@": (
        "a matrix product @ stands in matrix notation",
        "it is written *, and .* is the product entry by entry",
        "write A*B",
    ),
    "[": (
        "a bracket [ stands in matrix notation",
        "no entry, slice or list is written here: x[i] and A[i,j] are index notation",
        _INDEX,
    ),
    "{": (
        "a brace stands in matrix notation",
        "arguments and groups stand in round brackets",
        'write (...), or read the text with notation="latex"',
    ),
    "\\": (
        "a backslash stands in matrix notation",
        r"MATLAB's A\b is the x with A*x = b",
        'write solve(A, b); LaTeX is read with notation="latex"',
    ),
    "|": (
        "a bar stands in matrix notation",
        "norms and absolute values are functions",
        "write norm2(x), abs(x) or det(A)",
    ),
    "‖": ("a double bar stands in matrix notation", "norms are functions", "write norm2(x)"),
    "!": (
        "an exclamation mark stands alone",
        "unequal is written !=, and there is no factorial",
        "write exp(lgamma(x + 1)) for x!",
    ),
    "~": ("a tilde stands in matrix notation", "unequal is written !=", "write != for MATLAB's ~="),
    "%": ("a percent sign stands in matrix notation", "a comment starts with #", "write # instead"),
    "&": (
        "an ampersand stands in matrix notation",
        "conditions are not joined",
        "write where(a < b, where(c < d, x, y), y)",
    ),
    "√": ("a root sign stands in matrix notation", "functions have names", "write sqrt(x)"),
    "∑": (
        "a summation sign stands in matrix notation",
        "the sum of all entries is a function",
        "write sum(A)",
    ),
    "⊙": (
        "a sign ⊙ stands in matrix notation",
        "the product entry by entry is written .*",
        "write A.*B",
    ),
    "∘": (
        "a sign ∘ stands in matrix notation",
        "the product entry by entry is written .*",
        "write A.*B",
    ),
    "⊗": (
        "a sign ⊗ stands in matrix notation",
        "the Kronecker product is a function",
        "write kron(A, B)",
    ),
    "⊤": ("a sign ⊤ stands in matrix notation", "a transpose is written '", "write A'"),
    '"': (
        'a quotation mark " stands in matrix notation',
        "a transpose is written ', twice ''",
        "write A'",
    ),
    "`": ("a sign ` stands in matrix notation", "a transpose is written '", "write A'"),
    "≤": ("a sign ≤ stands in matrix notation", "comparisons are < <= > >= == !=", "write <="),
    "≥": ("a sign ≥ stands in matrix notation", "comparisons are < <= > >= == !=", "write >="),
    "≠": ("a sign ≠ stands in matrix notation", "comparisons are < <= > >= == !=", "write !="),
}
_FOREIGN["}"] = _FOREIGN["{"]
_FOREIGN["]"] = _FOREIGN["["]
_SUPERSCRIPTS = {ord(high): low for high, low in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-", strict=True)}
_TURNED = "ᵀᵗ"  # letters in Unicode: they would end a name

# what follows a dot in NumPy -> how it is written; {0} is what stands before the dot
_METHODS = {
    "T": "{0}'",
    "H": "{0}'",
    "transpose": "{0}'",
    "dot": "{0}*B",
    "sum": "sum({0})",
    "mean": "mean({0})",
    "prod": "prod({0})",
    "max": "max({0})",
    "min": "min({0})",
    "trace": "tr({0})",
    "diagonal": "diag({0})",
    "I": "inv({0})",
    "shape": "size({0}, 1)",
    "size": "numel({0})",
}
_MODULES = frozenset({"np", "numpy", "jnp", "jax", "torch", "tf", "scipy", "sp", "math", "linalg"})
_FUNCTIONS = {
    "linalg.norm": "norm2",
    "norm": "norm2",
    "trace": "tr",
    "slogdet": "logdet",
    "abs": "abs",
    "dot": "A*B",
    "matmul": "A*B",
    "outer": "x*y'",
    "eye": "eye",
    "identity": "eye",
}


def check_name(name: str, span: Span) -> None:
    """A transpose sign that is a letter in Unicode ends no name: xᵀ."""
    if name[-1] in _TURNED:
        raise NotationError(
            f"a raised {name[-1]} ends the name {name}",
            spans=[span],
            facts=["it is a letter in Unicode, and a transpose is written '"],
            hint=f"write {name.rstrip(_TURNED) or 'A'}'",
        )


def explained(source: str, mistake: Any) -> NotationError:
    """The error for the place where the parser stopped."""
    token = getattr(mistake, "token", None)
    if token is None:  # no token starts here
        place = mistake.pos_in_stream
        span = (place, place + 1)
        message, fact, hint = _foreign_character(source, place)
    else:
        stop = stop_at(source, mistake)
        span = stop.span
        message, fact, hint = _twice(source, stop) or _explain(stop)
    return NotationError(message, source=source, spans=[span], facts=[fact], hint=hint)


def _foreign_character(source: str, place: int) -> Explanation:
    char = source[place]
    if char == ".":
        return _dot(source, place)
    if char in _FOREIGN:
        return _FOREIGN[char]
    if ord(char) in _SUPERSCRIPTS:
        raised = re.match(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", source[place : place + 40])
        assert raised is not None
        number = raised.group().translate(_SUPERSCRIPTS)
        return (
            f"a superscript {raised.group()} stands in matrix notation",
            "a power is written with ^, entry by entry with .^",
            f"write ^{number} or .^{number}",
        )
    name = unicodedata.name(char, "")
    shown = f"the character {char}" if char.isprintable() else "a character that does not print"
    return (
        f"{shown} has no meaning here",
        f"it is U+{ord(char):04X} {name}".rstrip(),
        "names are letters, digits and _; operators are + - * / ^ ' .* ./ .^",
    )


def _dot(source: str, place: int) -> Explanation:
    """`np.exp`, `A.T`, `x.sum()`."""
    before = re.search(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*|\))$", source[max(0, place - 80) : place])
    after = re.match(r"\.([^\W\d]\w*(?:\.[^\W\d]\w*)*)", source[place : place + 80])
    owner = before.group(1) if before else ""
    word = after.group(1) if after else ""
    if owner.partition(".")[0] in _MODULES:
        last = word.rpartition(".")[2]
        plain = _FUNCTIONS.get(last, last)
        return (
            f"{owner}.{word} is NumPy's spelling",
            "functions stand without a module",
            f"write {plain}" if "*" in plain else f"write {plain}(...)",
        )
    first = word.partition(".")[0]
    if first in _METHODS:
        shown = "(...)" if owner == ")" else owner or "A"
        return (
            f".{first} is NumPy's spelling",
            "a transpose is written ', and functions stand before their argument",
            f"write {_METHODS[first].format(shown).replace('((...))', '(...)')}",
        )
    return (
        "a dot stands outside a number and an operator",
        "operators with a dot work entry by entry: .* ./ .^",
        "write A.*B, or remove the dot",
    )


def _twice(source: str, stop: Stop) -> Explanation | None:
    """`**`, `.**`, `//` and `&&`: two operators where others write one."""
    before = source[: stop.span[0]]
    if stop.kind == "TIMES" and before.endswith(".*"):
        return (
            "a power .** stands in matrix notation",
            "a power entry by entry is written .^",
            "write A.^2",
        )
    if stop.kind == "TIMES" and before.endswith("*"):
        return (
            "a power ** stands in matrix notation",
            "in NumPy it works entry by entry; a power of a matrix is written ^",
            "write x.^2 entry by entry, c^2 and A^2 for powers of scalars and matrices",
        )
    if stop.kind == "DIVIDE" and before.endswith("/"):
        return "a whole quotient // stands in matrix notation", "it has no derivative", "write /"
    return None


def _explain(stop: Stop) -> Explanation:
    if stop.inside == "extents":
        return _among_extents(stop)
    if stop.expected == {"LPAR"}:
        return (
            f"an opening bracket is missing before {stop.shown}",
            "a declaration lists its extents in round brackets",
            "write X : (n, d) for a matrix, x : (n) for a column, c : () for a scalar",
        )
    if {"LPAR", "NUMBER"} <= stop.expected:
        return _missing_operand(stop)
    if "NAME" in stop.expected:
        return (
            f"{stop.shown} stands behind a declaration",
            "assumptions may follow: symmetric, spd, positive, nonnegative",
            "start a new line, or write ; before it",
        )
    return _AFTER_OPERAND.get(stop.kind, _side_by_side)(stop)


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
        "write X : (n, 3) for a matrix, x : (n) for a column, c : () for a scalar",
    )


def _missing_operand(stop: Stop) -> Explanation:
    expected = "expected a number, a name or an opening bracket"
    if stop.kind == "$END":
        return "the text ends where an operand is missing", expected, "complete the expression"
    if stop.kind == "SEPARATOR" and stop.inside == "statement" and stop.shown != ";":
        return (
            "the line ends where an operand is missing",
            expected,
            "complete it, or put brackets around what goes on over several lines",
        )
    if stop.kind == "RPAR" and stop.behind == "LPAR":
        what = "argument" if stop.inside == "arguments" else "expression"
        return f"the brackets () hold no {what}", expected, f"write the {what}, or remove them"
    if stop.kind == "EQUALS":
        return "a name is missing before =", expected, "write y = ...; equality is =="
    if stop.kind == "TRANSPOSE":
        return (
            f"nothing stands before the transpose {stop.shown}",
            "a transpose stands behind what it turns",
            "write A', (A*B)'",
        )
    return (
        f"an operand is missing before {stop.shown}",
        expected,
        "write it, or remove the operator" if stop.kind in _OPERATORS else "write it",
    )


def _side_by_side(stop: Stop) -> Explanation:
    return (
        f"an operator is missing before {stop.shown}",
        "a product is written with *, one entry by entry with .*",
        "write 2*x, A*x, (a + b)*(c + d)",
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
    return (
        "a comma stands outside an argument list",
        "commas separate arguments and extents",
        "write a function's name before its arguments, with one pair of brackets: max(a, b)"
        if stop.inside == "group"
        else "start a new line, or write ; for another statement",
    )


def _stray_colon(stop: Stop) -> Explanation:
    return (
        "a colon stands behind something that is not a name",
        "a declaration is a name, a colon and the extents; no range or slice is written here",
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
    "SEPARATOR": _statement_end_in_brackets,
}
