r"""From LaTeX to a tree of what is written: letters with scripts, products by juxtaposition, fractions.

In: a LaTeX formula. Out: `Formula` nodes, before any index or matrix is seen in them (`reading.py`).
Invariant: one row of `_RULES` per rule of `grammar/latex.lark`; nothing recurses; every node keeps its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ...errors import NotationError, Span
from .. import complaints
from ..latex_complaints import explained
from ..matrix.words import reasons, refusal
from ..parser import Parser, PostLex, Token, TreeBuilder, over, span_of
from ..syntax import Index, Number


@dataclass(frozen=True, slots=True, eq=False)
class Letter:
    """A name: a letter, a Greek one, a word, with its accent."""

    name: str
    span: Span
    is_word: bool = False


@dataclass(slots=True, eq=False)
class Row:
    """Factors side by side; each with the sign before it: "" if there is none, * / .* ./"""

    parts: list[tuple[str, Formula]]
    span: Span


@dataclass(slots=True, eq=False)
class Terms:
    """Terms, each with True if it is subtracted."""

    parts: list[tuple[bool, Formula]]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Fraction_:  # noqa: N801 - the name Fraction is taken
    """A fraction."""

    above: Formula
    below: Formula
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Enclosed:
    """What brackets hold: kind ( { | or ||, one expression or several with commas; "," for i,j and i=1."""

    kind: str
    inside: tuple[Formula, ...]
    span: Span


Scripts = Sequence[tuple[str, "Formula"]]  # _ for below, ^ for above


@dataclass(frozen=True, slots=True, eq=False)
class Scripted:
    """A base with its scripts."""

    base: Formula
    scripts: Scripts
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """A function or a big operator, its scripts, and what it is applied to."""

    function: str
    scripts: Scripts
    argument: Formula
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Root:
    """A square root, or an n-th one."""

    degree: Formula | None
    inside: Formula
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Equation:
    """left = right; left None for a bare expression. In a chain of equal sides the first and the last."""

    left: Formula | None
    right: Formula
    span: Span
    continues: bool = False  # the line before, which has the left side


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An entry of a matrix or of a vector without indices of its own; `turns` stand above its brackets."""

    formula: Formula
    indices: tuple[Index, ...]
    turns: tuple[Formula, ...] = ()


Formula = Letter | Number | Row | Terms | Fraction_ | Enclosed | Scripted | Applied | Root

TURNED = "⊤"  # the name of a transposition mark
ONES, ZEROS = "𝟏", "𝟎"  # the names of bold 1 and 0
_VARIANTS = {"varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi", "varrho": "rho",
             "varsigma": "sigma", "varpi": "pi", "bm": "", "ell": "ell"}  # fmt: skip
_MARKS = {"widetilde": "tilde", "widehat": "hat", "overline": "bar"}


_REASONS = reasons(r"""
sign: a minus sign stands alone in a script
    it has nothing to subtract
    write the exponent, as in X^{-1}
word: $name is no name
    a name is a letter or _, then letters, digits and _
    write for example \operatorname{tr}(X) or \mathrm{loss}
accent: $mark stands over something that is no name
    accents and fonts belong to names here
    write \tilde{X}, and powers and subscripts behind it
empty: there is no formula
    the text is empty
    write one, for example x_i Q_{ij} x_j or x^\top Q x
""")


def _command(token: str) -> str:
    return token.lstrip("\\").strip()


def _span(c: Sequence[Any]) -> Span:
    """From the first to the last part of a rule."""
    first, last = (part.span if hasattr(part, "span") else span_of(part) for part in (c[0], c[-1]))
    return over(first, last)


def _sum(left: Any, sign: str, right: Any) -> Terms:
    """A term more in the sum `left`, which its rule has just made, or is the first term."""
    terms = left if isinstance(left, Terms) else Terms([(False, left)], left.span)
    terms.parts.append((sign == "-", right))
    terms.span = over(terms.span, right.span)
    return terms


def _row(left: Any, sign: str, right: Any) -> Row:
    row = left if isinstance(left, Row) else Row([("", left)], left.span)
    row.parts.append((sign, right))
    row.span = over(row.span, right.span)
    return row


def _appended(items: list[Any], item: Any) -> list[Any]:
    items.append(item)
    return items


def _applied(c: list[Any]) -> Applied:
    return Applied(_command(c[0]), c[1], c[2], _span(c), span_of(c[0]))


def _scripted(c: list[Any]) -> Any:
    base, scripts = c
    return Scripted(base, scripts, over(base.span, scripts[-1][1].span)) if scripts else base


def _continued(c: list[Any]) -> Equation:
    right = c[1].right if isinstance(c[1], Equation) else c[1]
    return Equation(None, right, over(span_of(c[0]), right.span), continues=True)


def _listed(c: list[Any]) -> Enclosed:
    is_list = isinstance(c[0], Enclosed) and c[0].kind == ","
    return Enclosed(",", (*(c[0].inside if is_list else (c[0],)), c[2]), _span(c))


def _sign_alone(c: list[Any]) -> Any:
    raise refusal(_REASONS["sign"], None, [_span(c)])


def _word(c: list[Any]) -> Letter:
    word = re.sub(r"[\\\s]", "", c[0][c[0].index("{") + 1 : -1])
    if not word.isidentifier():
        raise refusal(_REASONS["word"], None, [_span(c)], name=word or "an empty word")
    return Letter(word, span_of(c[0]), is_word=True)


def _marked(c: list[Any], accent: str) -> Letter:
    """A name under an accent or in a font."""
    box = unbraced(c[1])
    letters = [part for _, part in box.parts] if isinstance(box, Row) else [box]
    names = [part.name for part in letters if isinstance(part, Letter)]
    if len(names) < len(letters):
        span = over(span_of(c[0]), box.span)
        raise refusal(_REASONS["accent"], None, [span], mark=_command(c[0]))
    name = "".join(names)
    if accent:
        ways = (f"{name}_{accent}", f"{name}{accent}", f"{accent}_{name}", f"{accent}{name}")
        name = next((way for way in ways if way in _declared.get()), ways[0])
    return Letter(name, _span(c))


def _font(c: list[Any]) -> Letter:
    box = unbraced(c[1])
    if isinstance(box, Number) and box.value in (0, 1):
        return Letter(ONES if box.value else ZEROS, over(span_of(c[0]), box.span))
    return _marked(c, "")


_RULES: dict[
    str, Callable[[list[Any]], Any]
] = {  # rule of latex.lark -> what it makes of its parts
    "bare": lambda c: Equation(None, c[0], c[0].span),
    "two_sides": lambda c: Equation(c[0], c[2], _span(c)),
    "more_sides": lambda c: Equation(c[0].left, c[2], _span(c)),
    "continued": _continued,
    "negative": lambda c: Terms([(True, c[1])], _span(c)),
    "plus": lambda c: _sum(c[0], "+", c[2]),
    "minus": lambda c: _sum(c[0], "-", c[2]),
    "beside": lambda c: _row(c[0], "", c[1]),
    "times": lambda c: _row(c[0], "*", c[2]),
    "divide": lambda c: _row(c[0], "/", c[2]),
    "pointwise": lambda c: _row(c[0], "./" if "slash" in c[1] else ".*", c[2]),
    "operator": _applied,
    "applied": _applied,
    "scripted": _scripted,
    "subscript": lambda c: _appended(c[0], ("_", c[2])),
    "superscript": lambda c: _appended(c[0], ("^", c[2])),
    "prime": lambda c: _appended(c[0], ("^", Letter(TURNED, span_of(c[1])))),
    "sign_alone": _sign_alone,
    "listed": _listed,
    "ranged": lambda c: Enclosed(",", (c[0],), _span(c)),
    "letter": lambda c: Letter(str(c[0]), span_of(c[0])),
    "greek": lambda c: Letter(_VARIANTS.get(_command(c[0]), _command(c[0])), span_of(c[0])),
    "turned": lambda c: Letter(TURNED, span_of(c[0])),
    "trace": lambda c: Letter("tr", span_of(c[0]), is_word=True),
    "word": _word,
    "accent": lambda c: _marked(c, _MARKS.get(_command(c[0]), _command(c[0]))),
    "change": lambda c: Letter(f"{_marked(c, '').name}_Delta", _span(c)),
    "font": _font,
    "fraction": lambda c: Fraction_(c[1], c[2], _span(c)),
    "root": lambda c: Root(None, c[1], _span(c)),
    "nth_root": lambda c: Root(c[2], c[4], _span(c)),
    "pair": lambda c: Enclosed("(", (c[1], c[3]), _span(c)),
    "group": lambda c: Enclosed("(", (c[1],), _span(c)),
    "braces": lambda c: Enclosed("{", (c[1],), _span(c)),
    "norm": lambda c: Enclosed("||", (c[1],), _span(c)),
    "bars": lambda c: Enclosed("|", (c[1],), _span(c)),
    **dict.fromkeys(("equation", "factors", "reach", "inner"), lambda c: c[0]),
}
_LatexTree = type("_LatexTree", (TreeBuilder,), {k: staticmethod(f) for k, f in _RULES.items()})


_OPERAND_ENDS = frozenset({"NUMBER", "LETTER", "GREEK", "RBRACE", "RPAR", "RSQB", "WORD", "PRIME",
                           "RNORM", "RBAR", "TURNED"})  # fmt: skip


class _Pairs(PostLex):
    """Tells opening bars from closing ones, and digits behind \\frac apart."""

    always_accept = ("BAR", "NORM", "UNKNOWN")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        open_bars: list[str] = []
        before = ""
        figures = 0  # arguments of \frac that may still be single digits
        for token in stream:
            kind = token.type
            if kind in ("BAR", "NORM"):
                closes = kind in open_bars and before in _OPERAND_ENDS
                if closes:
                    while open_bars.pop() != kind:
                        pass
                else:
                    open_bars.append(kind)
                token = token.update(type=("R" if closes else "L") + kind)
            elif kind == "NUMBER" and figures and len(token) > 1 and token.isdigit():
                start = token.start_pos or 0
                for place, digit in enumerate(token):
                    yield Token("NUMBER", digit, start_pos=start + place, end_pos=start + place + 1)
                before, figures = "NUMBER", 0
                continue
            figures = 2 if kind == "FRAC" else figures - 1 if kind == "NUMBER" and figures else 0
            before = token.type
            yield token


# What a sentence leaves at the end of a displayed formula: a full stop, and its number.
_PUNCTUATION = re.compile(
    r"[.,;:?!]?(?:\s|~|\\[,;!]|\\q?quad(?![A-Za-z]))*"
    r"(?:\\tag\s*\{[^{}]*\}|\([A-Z]?\.?\d+(?:\.\d+)*[a-z]?\))?\s*"
    r"(?=$|\\\\|\\end\b|\$\$)"
)


def _without_punctuation(source: str) -> str:
    """The source with full stops, commas and numbers at the ends of formulas blanked out."""

    def blank(match: re.Match[str]) -> str:
        text = match.group()
        numbered = re.search(r"quad|~|\\tag", text) or text[:1] in ".,;:?!"
        return re.sub(r"\S", " ", text) if numbered else text

    return _PUNCTUATION.sub(blank, source)


_declared: ContextVar[frozenset[str]] = ContextVar("declared", default=frozenset())
_PARSER = Parser("latex.lark", _LatexTree, explained, _Pairs)


def parse_latex(source: str, names: Sequence[str] = ()) -> list[Equation]:
    r"""The equations of a text, one for each line.

    `names` are declared: \tilde{X} is X_tilde, or Xtilde, tilde_X, tildeX if one of these is among them.
    Raises NotationError with the place of the first mistake.

    >>> parse_latex(r"\frac{1}{n} x_i x_i")[0].left is None
    True
    """
    complaints.check_brackets(re.sub(r"#", " ", source))
    token = _declared.set(frozenset(names))
    try:
        lines: list[Equation] = _PARSER.parsed(_without_punctuation(source))
    except NotationError as mistake:
        mistake.source = source
        raise
    finally:
        _declared.reset(token)
    equations: list[Equation] = []
    for line in lines:
        if line.continues and equations:  # `&= ...` is the last side of the line before
            first = equations.pop()
            line = Equation(first.left, line.right, (first.span[0], line.span[1]))
        equations.append(line)
    if not equations:
        raise refusal(_REASONS["empty"], source, [])
    return equations


# ---------------------------------------------------------------- facts about formulas


def is_norm(node: Formula) -> bool:
    return isinstance(node, Enclosed) and node.kind == "||"


def is_round(node: Formula) -> bool:
    return isinstance(node, Enclosed) and node.kind == "("


def unbraced(node: Formula) -> Formula:
    """A formula without braces around it, which only group."""
    while isinstance(node, Enclosed) and node.kind == "{" and len(node.inside) == 1:
        (node,) = node.inside
    return node


def unbracketed(node: Formula) -> Formula:
    """A formula without braces and round brackets around it."""
    while isinstance(node, Enclosed) and node.kind in "({" and len(node.inside) == 1:
        (node,) = node.inside
    return node


def unscripted(node: Formula) -> Formula:
    return node.base if isinstance(node, Scripted) else node


def below(node: Scripted | Applied) -> list[Formula]:
    """The subscripts of a node."""
    return [script for kind, script in node.scripts if kind == "_"]


def above(node: Scripted | Applied) -> list[Formula]:
    """The superscripts of a node."""
    return [script for kind, script in node.scripts if kind == "^"]


def listed(script: Formula) -> list[Formula]:
    """What a subscript lists, with commas or side by side."""
    plain = unbraced(script)
    is_list = isinstance(plain, Enclosed) and plain.kind == ","
    found: list[Formula] = []
    for part in map(unbraced, _parts(plain) if is_list else (plain,)):
        if isinstance(part, Row) and all(sign == "" for sign, _ in part.parts):
            found += [unbraced(letter) for _, letter in part.parts]
        else:
            found.append(part)
    return found


def nodes_of(*formulas: Formula | None) -> list[Formula]:
    """Every node of formulas; those of the last formula come first."""
    found: list[Formula] = []
    stack = [formula for formula in formulas if formula is not None]
    while stack:
        node = stack.pop()
        found.append(node)
        stack += reversed(_parts(node))
    return found


def _parts(node: Formula) -> list[Formula]:
    match node:
        case Row() | Terms():
            return [part for _, part in node.parts]
        case Fraction_():
            return [node.above, node.below]
        case Enclosed():
            return [*node.inside]
        case Scripted():
            return [node.base, *(script for _, script in node.scripts)]
        case Applied():
            return [*(script for _, script in node.scripts), node.argument]
        case Root():
            return [*([node.degree] if node.degree else []), node.inside]
    return []
