"""From LaTeX to a tree of what is written: letters with scripts, products by juxtaposition, fractions.

In: a LaTeX formula. Out: `Formula` nodes, before any index or matrix is seen in them (`latex.py`).
Invariant: one method per rule of `grammar/latex.lark`; nothing recurses; every node keeps its place.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ...errors import NotationError, Span
from ...terms import functions
from .. import complaints, syntax
from ..parser import Parser, PostLex, Token, Transformer, over, span_of
from ..syntax import Group, Index, Negative, Node


@dataclass(frozen=True, slots=True, eq=False)
class Letter:
    """A name: a letter, a Greek one, a word, with its accent."""

    name: str
    span: Span
    is_word: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A number."""

    value: Fraction
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Factors side by side; each with the sign before it: "" where none stands, * / .* ./"""

    parts: tuple[tuple[str, Formula], ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """Terms, each with True where it is subtracted."""

    parts: tuple[tuple[bool, Formula], ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Fraction_:  # noqa: N801 - the name Fraction is taken
    """A fraction."""

    above: Formula
    below: Formula
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Enclosed:
    """What brackets hold: kind ( { | or ||, one expression or several with commas."""

    kind: str
    inside: tuple[Formula, ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Scripted:
    """A base with its scripts: _ for below, ^ for above."""

    base: Formula
    scripts: tuple[tuple[str, Formula], ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """A function or a big operator, its scripts, and what it is applied to."""

    function: str
    scripts: tuple[tuple[str, Formula], ...]
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
class Listed:
    """Subscripts with commas or a range: `i, j`, `i=1`."""

    parts: tuple[Formula, ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Equation:
    """left = right; left None for a bare expression. In a chain of equal sides the first and the last."""

    left: Formula | None
    right: Formula
    span: Span
    continues: bool = False  # the line before, which has the left side


Formula = Letter | Figure | Row | Terms | Fraction_ | Enclosed | Scripted | Applied | Root | Listed

TURNED = "⊤"  # the name of a transposition mark
_VARIANTS = {"varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi", "varrho": "rho",
             "varsigma": "sigma", "varpi": "pi", "bm": "", "ell": "ell"}  # fmt: skip
_MARKS = {"widetilde": "tilde", "widehat": "hat", "overline": "bar"}


def _command(token: str) -> str:
    return token.lstrip("\\").strip()


class _Chain:
    """A row or a sum under construction."""

    __slots__ = ("kind", "parts", "span")

    def __init__(self, kind: type[Row] | type[Terms], parts: list[tuple[Any, Any]], span: Span):
        self.kind, self.parts, self.span = kind, parts, span


def _done(tree: Any) -> Any:
    return tree.kind(tuple(tree.parts), tree.span) if isinstance(tree, _Chain) else tree


class _LatexTree(Transformer[Token, Any]):
    """One method per rule of latex.lark."""

    def start(self, c: list[Any]) -> list[Any]:
        return [line for line in c[0] if line is not None]

    def first_line(self, c: list[Any]) -> list[Any]:
        return [c[0]]

    def more_lines(self, c: list[Any]) -> list[Any]:
        c[0].append(c[2])
        return c[0]  # type: ignore[no-any-return]

    def empty(self, c: list[Any]) -> None:
        return None

    def bare(self, c: list[Any]) -> Equation:
        tree = _done(c[0])
        return Equation(None, tree, tree.span)

    def equation(self, c: list[Any]) -> Equation:
        return c[0]  # type: ignore[no-any-return]

    def two_sides(self, c: list[Any]) -> Equation:
        left, right = _done(c[0]), _done(c[2])
        return Equation(left, right, over(left.span, right.span))

    def more_sides(self, c: list[Any]) -> Equation:
        right = _done(c[2])
        return Equation(c[0].left, right, over(c[0].span, right.span))

    def continued(self, c: list[Any]) -> Equation:
        inside = c[1]
        right = inside.right if isinstance(inside, Equation) else _done(inside)
        return Equation(None, right, over(span_of(c[0]), right.span), continues=True)

    # sums and products

    def expression(self, c: list[Any]) -> Any:
        return c[0]

    signed = term = factors = factor = power = expression

    def reach(self, c: list[Any]) -> Any:
        return c[0]

    def negative(self, c: list[Any]) -> Any:
        inside = _done(c[1])
        return _Chain(Terms, [(True, inside)], over(span_of(c[0]), inside.span))

    def positive(self, c: list[Any]) -> Any:
        return c[1]

    def plus(self, c: list[Any]) -> Any:
        return self._term(c[0], False, c[2])

    def minus(self, c: list[Any]) -> Any:
        return self._term(c[0], True, c[2])

    def _term(self, left: Any, minus: bool, right: Any) -> Any:
        right = _done(right)
        if not (isinstance(left, _Chain) and left.kind is Terms):
            left = _done(left)
            left = _Chain(Terms, [(False, left)], left.span)
        left.parts.append((minus, right))
        left.span = over(left.span, right.span)
        return left

    def beside(self, c: list[Any]) -> Any:
        return self._factor(c[0], "", c[1])

    def times(self, c: list[Any]) -> Any:
        return self._factor(c[0], "*", c[2])

    def divide(self, c: list[Any]) -> Any:
        return self._factor(c[0], "/", c[2])

    def pointwise(self, c: list[Any]) -> Any:
        return self._factor(c[0], "./" if "slash" in c[1] else ".*", c[2])

    def _factor(self, left: Any, sign: str, right: Any) -> Any:
        right = _done(right)
        if not (isinstance(left, _Chain) and left.kind is Row):
            left = _done(left)
            left = _Chain(Row, [("", left)], left.span)
        left.parts.append((sign, right))
        left.span = over(left.span, right.span)
        return left

    def operator(self, c: list[Any]) -> Applied:
        return self.applied(c)

    def applied(self, c: list[Any]) -> Applied:
        argument = _done(c[2])
        name = _command(c[0])
        return Applied(
            name, tuple(c[1]), argument, over(span_of(c[0]), argument.span), span_of(c[0])
        )

    # scripts

    def scripted(self, c: list[Any]) -> Any:
        base, scripts = _done(c[0]), c[1]
        if not scripts:
            return base
        return Scripted(base, tuple(scripts), over(base.span, scripts[-1][1].span))

    def no_items(self, c: list[Any]) -> list[Any]:
        return []

    def subscript(self, c: list[Any]) -> list[Any]:
        c[0].append(("_", _done(c[2])))
        return c[0]  # type: ignore[no-any-return]

    def superscript(self, c: list[Any]) -> list[Any]:
        c[0].append(("^", _done(c[2])))
        return c[0]  # type: ignore[no-any-return]

    def prime(self, c: list[Any]) -> list[Any]:
        c[0].append(("^", Letter(TURNED, span_of(c[1]))))
        return c[0]  # type: ignore[no-any-return]

    def inner(self, c: list[Any]) -> Any:
        return c[0]

    def sign_alone(self, c: list[Any]) -> Any:
        raise NotationError(
            "a minus sign stands alone in a script",
            spans=[span_of(c[0])],
            facts=["it has nothing to subtract"],
            hint="write the exponent, as in X^{-1}",
        )

    def listed(self, c: list[Any]) -> Listed:
        first, more = _done(c[0]), _done(c[2])
        parts = first.parts if isinstance(first, Listed) else (first,)
        return Listed((*parts, more), over(first.span, more.span))

    def ranged(self, c: list[Any]) -> Listed:
        first = _done(c[0])
        return Listed((first,), over(first.span, _done(c[2]).span))

    # atoms

    def number(self, c: list[Any]) -> Figure:
        return Figure(Fraction(str(c[0])), span_of(c[0]))

    def letter(self, c: list[Any]) -> Letter:
        return Letter(str(c[0]), span_of(c[0]))

    def greek(self, c: list[Any]) -> Letter:
        name = _command(c[0])
        return Letter(_VARIANTS.get(name, name), span_of(c[0]))

    def turned(self, c: list[Any]) -> Letter:
        return Letter(TURNED, span_of(c[0]))

    def word(self, c: list[Any]) -> Letter:
        word = re.sub(r"[\\\s]", "", c[0][c[0].index("{") + 1 : -1])
        if not word.isidentifier():
            raise NotationError(
                f"{word or 'an empty word'} is no name",
                spans=[span_of(c[0])],
                facts=["a name is a letter or _, then letters, digits and _"],
                hint=r"write for example \operatorname{tr}(X) or \mathrm{loss}",
            )
        return Letter(word, span_of(c[0]), is_word=True)

    def accent(self, c: list[Any]) -> Letter:
        mark = _command(c[0])
        return self._marked(c, "_" + _MARKS.get(mark, mark))

    def trace(self, c: list[Any]) -> Letter:
        return Letter("tr", span_of(c[0]), is_word=True)

    def change(self, c: list[Any]) -> Letter:
        box = self._marked(c, "")
        return Letter(f"{box.name}_Delta", box.span)

    def font(self, c: list[Any]) -> Any:
        box = _inside_of(c[1])
        if isinstance(box, Figure) and box.value in (0, 1):
            name = "𝟏" if box.value else "𝟎"
            return Letter(name, over(span_of(c[0]), box.span))
        return self._marked(c, "")

    def _marked(self, c: list[Any], mark: str) -> Letter:
        box = _inside_of(c[1])
        letters = [part for _, part in box.parts] if isinstance(box, Row) else [box]
        names = [part.name for part in letters if isinstance(part, Letter)]
        if len(names) < len(letters):
            raise NotationError(
                f"{_command(c[0])} stands over something that is no name",
                spans=[over(span_of(c[0]), box.span)],
                facts=["accents and fonts belong to names here"],
                hint=r"write \tilde{X}, and powers and subscripts behind it",
            )
        name = "".join(names)
        if mark:
            accent = mark.strip("_")
            spellings = (
                f"{name}_{accent}",
                f"{name}{accent}",
                f"{accent}_{name}",
                f"{accent}{name}",
            )
            name = next((s for s in spellings if s in _declared.get()), spellings[0])
        return Letter(name, over(span_of(c[0]), _done(c[1]).span))

    def fraction(self, c: list[Any]) -> Fraction_:
        above, below = _done(c[1]), _done(c[2])
        return Fraction_(above, below, over(span_of(c[0]), below.span))

    def root(self, c: list[Any]) -> Root:
        inside = _done(c[1])
        return Root(None, inside, over(span_of(c[0]), inside.span))

    def nth_root(self, c: list[Any]) -> Root:
        inside = _done(c[4])
        return Root(_done(c[2]), inside, over(span_of(c[0]), inside.span))

    def group(self, c: list[Any]) -> Enclosed:
        return Enclosed("(", (_done(c[1]),), over(span_of(c[0]), span_of(c[2])))

    def pair(self, c: list[Any]) -> Enclosed:
        inside = (_done(c[1]), _done(c[3]))
        return Enclosed("(", inside, over(span_of(c[0]), span_of(c[4])))

    def braces(self, c: list[Any]) -> Enclosed:
        return Enclosed("{", (_done(c[1]),), over(span_of(c[0]), span_of(c[2])))

    def norm(self, c: list[Any]) -> Enclosed:
        return Enclosed("||", (_done(c[1]),), over(span_of(c[0]), span_of(c[2])))

    def bars(self, c: list[Any]) -> Enclosed:
        return Enclosed("|", (_done(c[1]),), over(span_of(c[0]), span_of(c[2])))


def _inside_of(tree: Any) -> Any:
    tree = _done(tree)
    while isinstance(tree, Enclosed) and tree.kind == "{":
        (tree,) = tree.inside
    return tree


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


def _chained(lines: list[Equation]) -> list[Equation]:
    """Lines that continue the one before, `&= ...`, are its last side."""
    equations: list[Equation] = []
    for line in lines:
        if line.continues and equations:
            first = equations.pop()
            span = (first.span[0], line.span[1])
            equations.append(Equation(first.left, line.right, span))
        else:
            equations.append(line)
    return equations


_declared: ContextVar[frozenset[str]] = ContextVar("declared", default=frozenset())
_PARSER = Parser("latex", _LatexTree, _Pairs)


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
        lines: list[Equation] = _PARSER.parse(_without_punctuation(source))
    except NotationError as mistake:
        mistake.source = source
        raise
    finally:
        _declared.reset(token)
    equations = _chained(lines)
    if not equations:
        raise NotationError(
            "there is no formula",
            source=source,
            facts=["the text is empty"],
            hint=r"write one, for example x_i Q_{ij} x_j or x^\top Q x",
        )
    return equations


# Small facts about formulas, and small surface trees.
#
# In: formulas as `latex_tree.py` makes them. Out: facts; trees with brackets where they are needed.
# Invariant: nothing recurses.


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An entry of an expression without indices: of a matrix, or of a vector where column is None."""

    formula: Formula
    row: Index
    column: Index | None
    turns: tuple[Formula, ...] = ()


Scripts = Sequence[tuple[str, Formula]]
Visit = Generator[Any, Any, Any]


def is_function(name: str) -> bool:
    known = (
        *functions.ELEMENTWISE, *functions.WHOLE, *functions.REDUCTIONS, *functions.NORMALISATIONS,
        *functions.MATRIX_FUNCTIONS, *functions.ALIASES, "diag", "vec", "norm1", "norm2",
    )  # fmt: skip
    return name in known and name != "pi"


def is_norm(node: Formula) -> bool:
    return isinstance(node, Enclosed) and node.kind == "||"


def unbraced(node: Formula) -> Formula:
    """A formula without braces around it, which only group."""
    while isinstance(node, Enclosed) and node.kind == "{" and len(node.inside) == 1:
        (node,) = node.inside
    return node


def unscripted(node: Formula) -> Formula:
    return node.base if isinstance(node, Scripted) else node


def side_by_side(node: Formula) -> Sequence[Formula]:
    if isinstance(node, Row) and all(sign == "" for sign, _ in node.parts):
        return [unbraced(part) for _, part in node.parts]
    return [node]


def grouped(tree: Node) -> Node:
    """A tree that may stand as a factor or a base."""
    if isinstance(tree, syntax.Sum | syntax.Product | Negative | syntax.Pointwise):
        return Group(tree, tree.span)
    return tree


def bare_inside(tree: Node) -> Node:
    return tree.inner if isinstance(tree, Group) else tree


def product_of(factors: Sequence[tuple[bool, Node]], span: Span | None = None) -> Node:
    if len(factors) == 1 and not factors[0][0]:
        return factors[0][1]
    whole = span or (factors[0][1].span[0], factors[-1][1].span[1])
    return syntax.Product(tuple(factors), whole)


def nodes_of(equation: Equation) -> list[Formula]:
    """Every node of an equation, in the order of the text."""
    found: list[Formula] = []
    stack: list[Formula] = [side for side in (equation.right, equation.left) if side is not None]
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
            return list(node.inside)
        case Scripted():
            return [node.base, *(script for _, script in node.scripts)]
        case Applied():
            return [*(script for _, script in node.scripts), node.argument]
        case Root():
            return [*([node.degree] if node.degree else []), node.inside]
        case Listed():
            return list(node.parts)
    return []
