r"""Reads LaTeX: index notation if there are subscripts, matrix notation if there are none.

In: a LaTeX formula, extents and assumptions given beside it. Out: `Meaning`.
`parse_latex` first makes a tree of what is written: letters with scripts, products by juxtaposition,
fractions, without asking what is an index or a matrix. This becomes a surface tree of another notation, whose
elaborator reads it.
Invariant: two readings are an error; a letter that is an index somewhere is nowhere a scalar, unless it was
declared; nothing recurses. Long because both steps are about the same formulas.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import Any, NamedTuple, NoReturn

from ..errors import NotationError, Span
from ..terms import functions, trampoline
from . import complaints, syntax
from .complaints import refusal
from .context import Assumptions, Meaning, Shapes
from .index import elaborate
from .matrix import elaborate_matrix
from .parser import Parser, PostLex, Token, TreeBuilder, over, span_of
from .syntax import Access, Call, Group, Index, Name, Negative, Node, Number, Power

Visit = Generator[Any, Any, Any]

_FUNCTION_LETTERS = frozenset({"f", "g", "h", "F", "G", "H", "phi", "psi"})
_WORDS = {"Tr": "tr", "trace": "tr", "sgn": "sign", "ReLU": "relu", "Diag": "diag"}
_KNOWN = {*syntax.NAMES, *functions.ALIASES, "diag", "vec", "norm1", "norm2"} - {"pi"}

_REASONS = dict(
    complaints.rows(r"""
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
no index: $shown stands as an index
    an index is a letter that runs over a whole axis
    write the letter alone, as in X_{ij}, and cut arrays beforehand
kept: the subscript of $name is no index
    below it stand the indices that it runs over
    write $name with an index, as in \sum_i or \sum_{i=1}^n
number below: the subscript of $whole has two readings
    a name that ends in $shown, or one entry of a tensor
    write a letter for the name, or indices that run over whole axes
number below brackets: a number below brackets
    a number ends a name
    name it
two subscripts: two subscripts
    a letter has one
    join them: x_{ij}
three indices: more than two indices behind brackets
    a matrix has two
    drop some
no base: a subscript stands behind something that has none
    indices belong to names, and to matrices in brackets
    write X_{ij} or (A B)_{ij}
index alone: $shown stands beside indices, and is an index elsewhere
    a subscript is one letter unless braces hold several: x_i$name is x_i times $name
    write x_{i$name} for two indices, another letter for a number
superscript: the superscript $shown has two readings
    upper indices, or a power with their product as its exponent
    write indices below, as in A_{ij}
transpose: a transpose stands alone
    it stands behind a matrix
    write X^\top
transpose of more: a transpose of $name with $count indices
    a transpose exchanges two indices
    drop it
transpose beside indices: a transpose stands without indices beside indices
    with indices a transpose exchanges them
    write X_{ji}, or (X^\top)_{ij}
ones: ones without indices beside indices
    in index notation every axis has its index
    write \mathbf{1}_i
entry by entry: an entry-by-entry sign beside indices
    with indices every product is one of entries
    drop it, and name the indices that stay on the left side
derivative: a derivative stands in the formula
    a formula is read as it stands, and differentiated afterwards
    write what is differentiated, and ask for its derivative: e.diff('x')
reach: $whole has two readings
    the sum over $name ends before the sign, or takes in $shown
    put brackets around the sum, or around what it sums
quotient: $whole has two readings
    (... / $before) $shown, or ... / ($before $shown)
    write \frac{}{} or brackets
call: $part$inside has two readings
    a product of $name and $inside, or a function $name
    write $name \cdot $inside for the product; functions are called by their names
argument: $whole has two readings
    \$f($own) times what follows, or \$f($both)
    put the argument into brackets
inverse function: \$name^{-1} has two readings
    the inverse function arc$name, or 1/$name
    write \arc$name x or \frac{1}{\$name x}
operator: \$name without an index
    it runs over the indices below it
    write \${name}_{i}
no argument: $name stands without an argument
    it is a function
    write $name(...)
list: a list stands in the formula
    commas separate indices, and the arguments of \max and \min
    paste one formula alone
two in brackets: two expressions in brackets
    only \max and \min take two
    drop one
determinant: $shown has two readings
    the absolute values of the entries, or the determinant
    write \operatorname{abs}($name) or \det $name
norm: the norm $whole
    read are the Euclidean norm, the Frobenius norm and the sum of absolute values
    write \|x\|, \|x\|_1 or \|X\|_F
norm beside indices: a norm stands beside indices
    it needs the whole tensor, and here every axis has its index
    write the sum of squares, r_i r_i, or the whole formula without indices
""")
)


def read_latex(
    source: str, shapes: Shapes | None = None, assume: Assumptions | None = None
) -> Meaning:
    r"""The meaning of a LaTeX formula; the last one if `\\` separates several.

    >>> read_latex(r"X_{ab}\theta_b").indices
    ('a',)
    """
    equations = parse_latex(source, tuple(shapes or ()))
    reader = _Reader(source, equations, shapes or {})
    statements = [reader.statement(e) for e in equations]
    statements = [s for s in statements[:-1] if s.name is not None] + statements[-1:]
    complaints.check_statements(source, statements, r"x_i Q_{ij} x_j", r"r_a = \dots")
    text = syntax.Text(source, tuple(statements))
    if reader.indexed:
        return elaborate(text, shapes, assume)
    given = {**{name: () for name in reader.divisors}, **(shapes or {})}
    return elaborate_matrix(text, given, assume)


_HAVE_INVERSES = ("sin", "cos", "tan", "sinh", "cosh", "tanh")  # with names of their own


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


class Scripts(NamedTuple):
    """The scripts below and above, each in the order of the text."""

    below: list[Formula]
    above: list[Formula]


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
    """An entry of a matrix or of a vector without indices of its own; `turns` are above its brackets."""

    formula: Formula
    indices: tuple[Index, ...]
    turns: tuple[Formula, ...] = ()


Formula = Letter | Number | Row | Terms | Fraction_ | Enclosed | Scripted | Applied | Root

TURNED = "⊤"  # the name of a transposition mark
ONES, ZEROS = "𝟏", "𝟎"  # the names of bold 1 and 0
_VARIANTS = {"varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi", "varrho": "rho",
             "varsigma": "sigma", "varpi": "pi", "bm": "", "ell": "ell"}  # fmt: skip
_MARKS = {"widetilde": "tilde", "widehat": "hat", "overline": "bar"}


def _command(token: str) -> str:
    return token.lstrip("\\").strip()


def _span(c: Sequence[Any]) -> Span:
    """The span from the first to the last part of a rule."""
    first, last = (part.span if hasattr(part, "span") else span_of(part) for part in (c[0], c[-1]))
    return over(first, last)


def _longer(kind: type[Terms] | type[Row], left: Any, sign: Any, right: Any) -> Terms | Row:
    """A part more in the chain `left`, which its rule has just made, or is the first part."""
    chain: Any = left
    if not isinstance(left, kind):
        chain = Terms([(False, left)], left.span) if kind is Terms else Row([("", left)], left.span)
    chain.parts.append((sign, right))
    chain.span = over(chain.span, right.span)
    return chain  # type: ignore[no-any-return]


def _script(c: list[Any], place: int, script: Formula) -> Scripts:
    c[0][place].append(script)
    return c[0]  # type: ignore[no-any-return]


def _application(c: list[Any]) -> Applied:
    return Applied(_command(c[0]), c[1], c[2], _span(c), span_of(c[0]))


def _with_scripts(c: list[Any]) -> Any:
    base, scripts = c
    if not any(scripts):
        return base
    end = max(script.span[1] for part in scripts for script in part)
    return Scripted(base, scripts, (base.span[0], end))


def _continuation(c: list[Any]) -> Equation:
    right = c[1].right if isinstance(c[1], Equation) else c[1]
    return Equation(None, right, over(span_of(c[0]), right.span), continues=True)


def _list(c: list[Any]) -> Enclosed:
    is_list = isinstance(c[0], Enclosed) and c[0].kind == ","
    return Enclosed(",", (*(c[0].inside if is_list else (c[0],)), c[2]), _span(c))


def _sign_alone(c: list[Any]) -> Any:
    raise refusal(_REASONS["sign"], None, [_span(c)])


def _word(c: list[Any]) -> Letter:
    word = re.sub(r"[\\\s]", "", c[0][c[0].index("{") + 1 : -1])
    if not word.isidentifier():
        raise refusal(_REASONS["word"], None, [_span(c)], name=word or "an empty word")
    return Letter(word, span_of(c[0]), is_word=True)


def _marked_letter(c: list[Any], accent: str) -> Letter:
    """A name under an accent or in a font."""
    box = without_braces(c[1])
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
    box = without_braces(c[1])
    if isinstance(box, Number) and box.value in (0, 1):
        return Letter(ONES if box.value else ZEROS, over(span_of(c[0]), box.span))
    return _marked_letter(c, "")


# Rule of latex.lark -> what it makes of its parts.
_RULES: dict[str, Callable[[list[Any]], Any]] = {
    "bare": lambda c: Equation(None, c[0], c[0].span),
    "two_sides": lambda c: Equation(c[0], c[2], _span(c)),
    "more_sides": lambda c: Equation(c[0].left, c[2], _span(c)),
    "continued": _continuation,
    "negative": lambda c: Terms([(True, c[1])], _span(c)),
    "plus": lambda c: _longer(Terms, c[0], False, c[2]),
    "minus": lambda c: _longer(Terms, c[0], True, c[2]),
    "beside": lambda c: _longer(Row, c[0], "", c[1]),
    "times": lambda c: _longer(Row, c[0], "*", c[2]),
    "divide": lambda c: _longer(Row, c[0], "/", c[2]),
    "pointwise": lambda c: _longer(Row, c[0], "./" if "slash" in c[1] else ".*", c[2]),
    "operator": _application,
    "applied": _application,
    "scripted": _with_scripts,
    "no_items": lambda c: Scripts([], []),
    "subscript": lambda c: _script(c, 0, c[2]),
    "superscript": lambda c: _script(c, 1, c[2]),
    "prime": lambda c: _script(c, 1, Letter(TURNED, span_of(c[1]))),
    "sign_alone": _sign_alone,
    "listed": _list,
    "ranged": lambda c: Enclosed(",", (c[0],), _span(c)),
    "letter": lambda c: Letter(str(c[0]), span_of(c[0])),
    "greek": lambda c: Letter(_VARIANTS.get(_command(c[0]), _command(c[0])), span_of(c[0])),
    "turned": lambda c: Letter(TURNED, span_of(c[0])),
    "trace": lambda c: Letter("tr", span_of(c[0]), is_word=True),
    "word": _word,
    "accent": lambda c: _marked_letter(c, _MARKS.get(_command(c[0]), _command(c[0]))),
    "change": lambda c: Letter(f"{_marked_letter(c, '').name}_Delta", _span(c)),
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
    equations: list[Equation] = []
    for line in lines:
        if line.continues and equations:  # `&= ...` is the last side of the line before
            first = equations.pop()
            line = Equation(first.left, line.right, (first.span[0], line.span[1]))
        equations.append(line)
    if not equations:
        raise refusal(_REASONS["empty"], source, [])
    return equations


def kind_of(node: Formula) -> str:
    """The kind of brackets that a formula is; "" for none."""
    return node.kind if isinstance(node, Enclosed) else ""


def without_braces(node: Formula, kinds: str = "{") -> Formula:
    """A formula without braces around it, which only group, or without brackets of these kinds."""
    while isinstance(node, Enclosed) and node.kind in kinds and len(node.inside) == 1:
        (node,) = node.inside
    return node


def without_scripts(node: Formula) -> Formula:
    return node.base if isinstance(node, Scripted) else node


def script_parts(script: Formula) -> list[Formula]:
    """What a subscript lists, with commas or side by side."""
    plain = without_braces(script)
    is_list = isinstance(plain, Enclosed) and plain.kind == ","
    found: list[Formula] = []
    for part in map(without_braces, _parts(plain) if is_list else (plain,)):
        if isinstance(part, Row) and all(sign == "" for sign, _ in part.parts):
            found += [without_braces(letter) for _, letter in part.parts]
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
            return [node.base, *node.scripts.below, *node.scripts.above]
        case Applied():
            return [*node.scripts.below, *node.scripts.above, node.argument]
        case Root():
            return [*([node.degree] if node.degree else []), node.inside]
    return []


class _Reader:
    """Writes formulas as surface trees; `visit` and what it yields from are run by `trampoline`."""

    def __init__(self, source: str, equations: Sequence[Equation], shapes: Shapes) -> None:
        self.source, self.shapes = source, shapes
        self.extents = {str(dim) for axes in shapes.values() for dim in axes}
        every = [node for e in equations for node in nodes_of(e.right, e.left)]
        self.letters = {node.name for node in every if isinstance(node, Letter)}
        self.indices: set[str] = set()
        for node in every:
            if isinstance(node, Scripted | Applied):
                base = without_braces(node.base) if isinstance(node, Scripted) else None
                if not _is_derivative(base) and not (base and kind_of(base) == "||"):
                    self.indices.update(index.name for index in self._indices(node))
        self.indexed = bool(self.indices)
        self.divisors: set[str] = set()
        self.defined: set[str] = set()
        self._fresh = (f"{c}{n}" for n in count(1) for c in "rcpq")

    def fail(self, key: str, span: Span, **words: object) -> NoReturn:
        """Refuse the formula for a reason of `_REASONS`; `shown` is the text at the place."""
        raise refusal(_REASONS[key], self.source, [span], **{"shown": self.text(span), **words})

    def text(self, span: Span) -> str:
        return " ".join(self.source[span[0] : span[1]].split())[:60]

    def statement(self, equation: Equation) -> syntax.Definition:
        body: Node = trampoline(equation.right, self.visit)
        if equation.left is None:
            return syntax.Definition(None, None, body, body.span, body.span)
        name, indices = self._left_side(equation.left)
        if name in ("derivative", "value"):
            names = (name if k == 1 else f"{name}{k}" for k in count(1))
            name = next(n for n in names if n not in self.defined)
        if name is not None:
            self.defined.add(name)
        span = equation.left.span
        return syntax.Definition(name, indices or None, body, equation.span, span)

    def _left_side(self, left: Formula) -> tuple[str | None, tuple[Index, ...]]:
        """J, y_i, J(theta), and derivatives by something: their indices, in order."""
        plain = without_braces(left)
        if isinstance(plain, Row) and isinstance(plain.parts[0][1], Letter | Scripted):
            if all(isinstance(part, Enclosed) for _, part in plain.parts[1:]):
                plain = plain.parts[0][1]  # J(theta)
        if isinstance(plain, Letter):
            return plain.name, ()
        subs, sups = plain.scripts if isinstance(plain, Scripted) else Scripts([], [])
        if isinstance(plain, Scripted) and len(subs) == 1 and not sups:
            base = self._numbered_letter(plain.base)
            if base is not None:
                indices = self._index_names(subs[0], plain)
                return base.name + (_figures(subs[0]) if indices is None else ""), indices or ()
        inside = nodes_of(left)
        if any(
            isinstance(node, Letter) and node.name in ("partial", "d", "nabla") for node in inside
        ):
            found: dict[str, Index] = {}
            for node in inside:
                if isinstance(node, Scripted) and not _is_derivative(without_braces(node.base)):
                    for index in self._indices(node):
                        found.setdefault(index.name, index)
            return "derivative", tuple(found.values())
        if isinstance(plain, Scripted):  # (W x)_i = ...
            return "value", (self._index_names(subs[0], plain) if len(subs) == 1 else None) or ()
        return None, ()  # an identity: the other side says the same

    def _numbered_letter(self, node: Formula) -> Letter | None:
        """A letter, or one with a number in braces: {t_1}."""
        plain = without_braces(node)
        if isinstance(plain, Letter):
            return plain
        if isinstance(plain, Scripted) and plain is not node and not plain.scripts.above:
            letter, (script, *more) = without_braces(plain.base), plain.scripts.below
            if (
                isinstance(letter, Letter)
                and isinstance(without_braces(script), Number)
                and not more
            ):
                return Letter(letter.name + _figures(script), plain.span)
        return None

    def _index_names(self, script: Formula, node: Scripted | Applied) -> tuple[Index, ...] | None:
        """The indices of a subscript; None for a number, which is part of the name."""
        parts = script_parts(script)
        if len(parts) == 1 and isinstance(parts[0], Number):
            if parts[0].value not in range(10):
                whole = self.text(node.span)
                self.fail("number below", parts[0].span, whole=whole, shown=parts[0].value)
            return None
        found = []
        for part in parts:
            letter, primes = part, ""
            if isinstance(part, Scripted) and not part.scripts.below:
                primes = "_prime" * len(part.scripts.above)
                if all(isinstance(s, Letter) and s.name == TURNED for s in part.scripts.above):
                    letter = part.base
            if not isinstance(letter, Letter):
                self.fail("no index", part.span)
            found.append(Index(letter.name + primes, None, part.span))
        return tuple(found)

    def _indices(self, node: Scripted | Applied) -> list[Index]:
        return [i for script in node.scripts.below for i in self._index_names(script, node) or ()]

    def _kept_indices(self, script: Formula, name: str) -> tuple[Index, ...]:
        """The indices that a function runs over or keeps."""
        letters = script_parts(script)
        found = tuple(Index(p.name, None, p.span) for p in letters if isinstance(p, Letter))
        if len(found) < len(letters):
            self.fail("kept", script.span, name=name)
        return found

    def _size(self, index: Index, upper: Formula) -> None:
        """\\sum_{i=1}^n says that i runs to n, unless shapes say it already."""
        plain = without_braces(upper)
        if self.shapes:
            return
        if isinstance(plain, Letter) and plain.name.isidentifier():
            index.extent = plain.name
        elif isinstance(plain, Number) and plain.value.denominator == 1 and plain.value > 0:
            index.extent = int(plain.value)

    def _fresh_index(self, span: Span) -> Index:
        return Index(next(n for n in self._fresh if n not in self.letters), None, span)

    def _turn(self, script: Formula) -> str | None:
        """What a superscript does to a matrix: "T", "inv", "invT"; None for a power."""
        plain = without_braces(script)
        if isinstance(plain, Letter) and plain.name in (TURNED, "T"):
            return "T" if plain.name not in self.shapes else None
        if isinstance(plain, Terms) and len(plain.parts) == 1 and plain.parts[0][0]:
            inner = without_braces(plain.parts[0][1])
            if isinstance(inner, Number) and inner.value == 1:
                return "inv"
            if isinstance(inner, Letter) and inner.name in (TURNED, "T"):
                return "invT"
        return None

    def _is_scalar(self, node: Formula) -> bool:
        plain = without_braces(node)
        if isinstance(plain, Letter):
            if plain.name in self.shapes:
                return not self.shapes[plain.name]
            return not plain.name[0].isupper()
        return isinstance(plain, Number | Fraction_)

    def _bare(self, node: Letter) -> Node:
        """A letter without indices."""
        name, span = node.name, node.span
        if name in (ONES, ZEROS):
            if self.indexed:
                self.fail("ones", span)
            return _call("vector", Number(Fraction(int(name == ONES)), span), span)
        if name in self.shapes:
            return Name(name, span)
        if _is_derivative(node):
            self.fail("derivative", span)
        if name == TURNED:
            self.fail("transpose", span)
        if name in self.indices and name not in self.extents:
            self.fail("index alone", span, shown=name, name=name)
        return Name("eye" if name == "I" and not self.indexed else name, span)

    def _function_word(self, part: Formula) -> tuple[str, Scripts, Span] | None:
        """`\\operatorname{tr}`, `\\operatorname{softmax}_j`, `\\sigma` before brackets."""
        base = without_scripts(part)
        scripts = part.scripts if isinstance(part, Scripted) else Scripts([], [])
        if not isinstance(base, Letter) or base.name in self.shapes:
            return None
        name = _WORDS.get(base.name, base.name)
        if base.is_word and name in _KNOWN:
            return name, scripts, base.span
        return None if base.name != "sigma" or any(scripts) else ("sigmoid", scripts, base.span)

    def _note_divisor(self, divisor: Formula) -> None:
        plain = without_braces(divisor)
        if isinstance(plain, Letter) and plain.name not in {*self.shapes, *self.extents}:
            self.divisors.add(plain.name)

    def visit(self, node: Formula | Entry) -> Visit:
        """The surface tree of a formula, or of an entry of one."""
        match node:
            case Entry():
                return (yield from self._entry(node))
            case Number():
                return node
            case Letter():
                return self._bare(node)
            case Terms():
                self._check_reach(node)
                terms = []
                for minus, term in node.parts:
                    terms.append((minus, (yield term)))
                if len(terms) == 1:
                    ((minus, tree),) = terms
                    return Negative(tree, node.span) if minus else tree
                return syntax.Sum(tuple(terms), node.span)
            case Row():
                return (yield from self._row(node))
            case Fraction_():
                over, under = (yield node.above), (yield node.below)
                self._note_divisor(node.below)
                # the line is a division sign: its numerator belongs to the product around it
                factors = (
                    over.factors if isinstance(over, syntax.Product) else ((False, _operand(over)),)
                )
                return syntax.Product((*factors, (True, _operand(under))), node.span)
            case Root():
                inside = yield node.inside
                if node.degree is None:
                    return _call("sqrt", inside, node.span)
                degree = yield node.degree
                one = Number(Fraction(1), node.span)
                exponent = syntax.Product(((False, one), (True, _operand(degree))), node.span)
                return Power(_operand(inside), Group(exponent, node.span), node.span)
            case Enclosed():
                return (yield from self._brackets(node))
            case Applied():
                return (yield from self._application(node))
            case Scripted():
                return (yield from self._with_scripts(node))
        raise AssertionError(node)

    def _check_reach(self, node: Terms) -> None:
        """\\sum_i a_i + b_i: does the sum end before the plus sign?"""
        reaching: dict[str, Formula] = {}
        for _, term in node.parts:
            unbound = self._open_indices(term) if reaching else set()
            for name in (name for name in reaching if name in unbound):
                whole = self.text((reaching[name].span[0], term.span[1]))
                self.fail("reach", term.span, whole=whole, name=name)
            last = term.parts[-1][1] if isinstance(term, Row) else term
            if isinstance(last, Applied) and last.function in ("sum", "prod"):
                for script in last.scripts.below:
                    reaching |= {
                        index.name: last for index in self._kept_indices(script, last.function)
                    }

    def _open_indices(self, term: Formula) -> set[str]:
        """Indices that occur once in a term and that no operator in it binds."""
        found: Counter[str] = Counter()
        bound: set[str] = set()
        for node in nodes_of(term):
            if isinstance(node, Scripted) and kind_of(node.base) != "||":
                found.update(index.name for index in self._indices(node))
            elif isinstance(node, Applied):
                for script in node.scripts.below:
                    bound.update(index.name for index in self._kept_indices(script, node.function))
        return {name for name, times in found.items() if times == 1} - bound

    def _row(self, node: Row) -> Visit:
        factors: list[tuple[str, Node]] = []
        parts = list(node.parts)
        place = 0
        divisor: Formula | None = None

        def beside() -> Formula | None:
            sign, part = parts[place + 1] if place + 1 < len(parts) else ("*", None)
            return part if sign == "" else None

        while place < len(parts):
            sign, part = parts[place]
            after = beside()
            taken = self._with_brackets(part, after)
            if taken is not None:  # \log \sigma(x) is the logarithm of \sigma(x)
                del parts[place + 1]
                part, after = taken, beside()
            if sign == "" and divisor is not None:
                whole, before = self.text(node.span), self.text(divisor.span)
                self.fail("quotient", part.span, whole=whole, before=before)
            head = self._function_word(part)
            if after is None:
                tree = yield part
            elif head and not (head[0] == "sigmoid" and kind_of(without_scripts(after)) != "("):
                name, scripts, name_span = head
                tree = yield from self._function_call(name, scripts, after, name_span)
                place += 1
                part = after if without_braces(after) is not after else part
            else:  # no function, or a number called sigma
                self._check_call(part, after)
                tree = yield part
                self._check_argument(part, after)
            divisor = part if sign == "/" else None
            if divisor is not None:
                self._note_divisor(divisor)
            factors.append((sign, tree))
            place += 1
        return self._product(factors, node.span)

    def _product(self, factors: Sequence[tuple[str, Node]], span: Span) -> Node:
        chain: list[tuple[bool, Node]] = []
        for sign, tree in factors:
            if sign in (".*", "./"):
                if self.indexed:
                    self.fail("entry by entry", span)
                left = _product_of(chain)
                whole = (left.span[0], tree.span[1])
                chain = [(False, syntax.Pointwise(sign, left, _operand(tree), whole))]
            else:
                chain.append((sign == "/", _operand(tree)))
        return _product_of(chain, span)

    def _with_brackets(self, part: Formula, after: Formula | None) -> Formula | None:
        """A function of a function's name, with the brackets behind that name."""
        around: list[Applied] = []
        inner = part
        while isinstance(inner, Applied):
            around.append(inner)
            inner = inner.argument
        if not around or after is None or self._function_word(inner) is None:
            return None
        if kind_of(without_scripts(after)) != "(":
            return None
        span = (inner.span[0], after.span[1])
        tree: Formula = Enclosed("(", (Row([("", inner), ("", after)], span),), span)
        for outer in reversed(around):
            whole = (outer.span[0], span[1])
            tree = Applied(outer.function, outer.scripts, tree, whole, outer.name_span)
        return tree

    def _check_call(self, part: Formula, after: Formula) -> None:
        """f(x): a product, or an unknown function?"""
        bracket = without_scripts(after)
        if isinstance(part, Letter) and kind_of(bracket) == "(":
            known = part.name in self.shapes or part.name in self.extents
            if not known and (part.is_word or part.name in _FUNCTION_LETTERS):
                words = {"part": self.text(part.span), "inside": self.text(bracket.span)}
                self.fail("call", (part.span[0], bracket.span[1]), name=part.name, **words)

    def _check_argument(self, part: Formula, after: Formula) -> None:
        """\\sin x y: which of the two does the function take?"""
        if isinstance(part, Applied) and part.function not in ("sum", "prod"):
            f, bracket = part.function, without_scripts(part.argument)
            if not (
                kind_of(bracket) in ("(", "|")
                or isinstance(part.argument, Applied)
                or isinstance(after, Applied)
            ):
                both = self.text((part.argument.span[0], after.span[1]))
                whole, own = self.text((part.span[0], after.span[1])), self.text(part.argument.span)
                self.fail("argument", after.span, whole=whole, f=f, own=own, both=both)

    def _application(self, node: Applied) -> Visit:
        name = syntax.full_name(node.function)
        argument = node.argument
        if name in ("max", "min") and isinstance(argument, Row):
            (_, first), *rest = argument.parts
            if isinstance(
                without_braces(without_scripts(first)), Enclosed
            ):  # \max_i(x_i) y is y times the maximum
                head = Applied(name, node.scripts, first, node.span, node.name_span)
                return (yield Row([("", head), *rest], node.span))
        if name in ("max", "min") and isinstance(argument, Scripted):
            base = argument.base
            if isinstance(base, Enclosed) and len(base.inside) == 2:
                tree = yield Applied(name, node.scripts, base, node.span, node.name_span)
                powers = [*argument.scripts.below, *argument.scripts.above]
                return (yield from self._with_powers(tree, powers, node.span))
        return (yield from self._function_call(name, node.scripts, argument, node.name_span))

    def _function_call(
        self, name: str, scripts: Scripts, argument: Formula, name_span: Span
    ) -> Visit:
        """f_{ij}^p (argument)_{kl}^q: kept indices, powers of the value, what is read behind it."""
        span = (name_span[0], argument.span[1])
        kept = subscript = None
        for script in scripts.below:
            kept = self._kept_indices(script, name)
        runs = name in ("sum", "prod")
        powers = [] if runs else scripts.above
        if runs and kept and len(kept) == 1:
            for script in scripts.above:
                self._size(kept[0], script)
        inside: Formula = argument
        reaches = runs or name in ("max", "min")  # these take all that follows, with powers
        if (
            not reaches
            and isinstance(argument, Scripted)
            and isinstance(without_braces(argument.base), Enclosed)
        ):
            inside = argument.base
            powers = [*powers, *argument.scripts.above]
            for script in argument.scripts.below:
                subscript = self._kept_indices(script, name)
        arguments = (
            inside.inside if isinstance(inside, Enclosed) and inside.kind == "(" else (inside,)
        )
        matrix = arguments[0] if name in functions.MATRIX_FUNCTIONS and not arguments[1:] else None
        if name == "log" and isinstance(inside, Applied) and inside.function == "det":
            if any(inside.scripts):
                tree = yield from self._function_call(
                    "logdet", inside.scripts, inside.argument, name_span
                )
                return (yield from self._with_powers(tree, powers, span))
            name, kept, matrix = "logdet", None, inside.argument
        trees: list[Node] = []
        if matrix is not None:
            kept, tree = yield from self._matrix(matrix, kept, span)
            trees.append(tree)
        for part in () if matrix is not None else arguments:
            trees.append(_without_group((yield part)))
        if runs and kept is None:
            self.fail("operator", name_span, name=name)
        tree = Call(name, kept, tuple(trees), subscript, span, name_span)
        if powers and name in _HAVE_INVERSES and self._turn(powers[0]) == "inv":
            self.fail("inverse function", name_span, name=name)
        return (yield from self._with_powers(tree, powers, span))

    def _brackets(self, node: Enclosed) -> Visit:
        if node.kind == ",":
            self.fail("list", node.span)
        if len(node.inside) > 1:
            self.fail("two in brackets", node.span)
        (inner,) = node.inside
        if node.kind == "||":
            return (yield from self._norm(node, Scripts([], []), node.span))
        tree = yield inner
        if node.kind == "{":
            return tree
        if node.kind == "(":
            return Group(_without_group(tree), node.span)
        plain = without_braces(inner)
        if not self.indexed and isinstance(plain, Letter) and plain.name[0].isupper():
            self.fail("determinant", node.span, name=plain.name)
        return _call("abs", tree, node.span)

    def _matrix(self, argument: Formula, kept: tuple[Index, ...] | None, span: Span) -> Visit:
        """The argument of a function of matrices, and the indices that are its rows and columns."""
        inside = without_braces(argument)
        inside = inside.inside[0] if isinstance(inside, Enclosed) else inside
        if kept is not None or not self.indexed:
            return kept, _without_group((yield inside))
        whole = self._whole(argument)
        if whole is not None:
            return None, whole
        kept = self._fresh_index(span), self._fresh_index(span)
        return kept, (yield Entry(inside, kept))

    def _whole(self, node: Formula) -> Node | None:
        """A named matrix, or functions of one, for a function of whole matrices."""
        around: list[tuple[str, Span]] = []
        while True:
            plain = self._numbered_letter(node) or without_braces(node)
            if isinstance(plain, Enclosed) and plain.kind == "(" and len(plain.inside) == 1:
                (node,) = plain.inside
            elif (
                isinstance(plain, Scripted)
                and plain.scripts.below == []
                and ([self._turn(script) for script in plain.scripts.above] == ["inv"])
            ):
                around.append(("inv", plain.span))
                node = plain.base
            elif isinstance(plain, Row) and len(plain.parts) == 2:
                head = self._function_word(plain.parts[0][1])
                if head is None or not syntax.is_chained(head[0]) or any(head[1]):
                    return None
                around.append((head[0], plain.span))
                node = plain.parts[1][1]
            elif isinstance(plain, Letter):
                break
            else:
                return None
        tree: Node = Name(plain.name, plain.span)
        for name, span in reversed(around):
            tree = _call(name, tree, span)
        return tree

    def _entry(self, node: Entry) -> Visit:
        """(A B)_{ij} is A_{ik} B_{kj}, (A x)_i is A_{ij} x_j, (x + y)_i is x_i + y_i."""
        indices, span = node.indices, node.formula.span
        plain = without_braces(node.formula, "({")
        for script in node.turns:
            what = self._turn(script)
            if what != "T":
                indices = indices[::-1] if what == "invT" else indices
                if isinstance(plain, Letter):
                    name = Name(plain.name, plain.span)
                    return Call("inv", None, (name,), indices, span, span)
                kept = self._fresh_index(span), self._fresh_index(span)
                inner = yield Entry(plain, kept)
                return Call("inv", kept, (inner,), indices, span, span)
            indices = indices[::-1]
        is_matrix = len(indices) == 2
        match plain:
            case Letter():
                is_eye = is_matrix and plain.name == "I" and "I" not in self.shapes
                return Access("delta" if is_eye else plain.name, indices, span, span)
            case Scripted(scripts=([], turns)) if is_matrix and all(map(self._turn, turns)):
                return (yield Entry(plain.base, indices, tuple(turns)))
            case Terms():
                terms = []
                for minus, term in plain.parts:
                    terms.append((minus, (yield Entry(term, indices))))
                return Group(syntax.Sum(tuple(terms), span), span)
            case Row() if all(sign in ("", "*") for sign, _ in plain.parts):
                parts = [part for _, part in plain.parts]
                scalars = [self._is_scalar(part) for part in parts]
                scalars[-1] = scalars[-1] and is_matrix
                links = [self._fresh_index(span) for _ in range(scalars.count(False) - 1)]
                ends = iter((indices[0], *links, *indices[1:]))
                factors: list[tuple[bool, Node]] = []
                left = next(ends)
                for part, is_scalar in zip(parts, scalars, strict=True):
                    if is_scalar:
                        factors.append((False, _operand((yield part))))
                        continue
                    right = next(ends, None)
                    own = (left,) if right is None else (left, right)
                    factors.append((False, (yield Entry(part, own))))
                    left = right or left
                return syntax.Product(tuple(factors), span)
        return (yield plain)

    def _with_scripts(self, node: Scripted) -> Visit:
        """X_{ij}^{-1} is the entry of the inverse, {X_{ij}}^{-1} the inverse of the entry."""
        base, span = node.base, node.span
        if isinstance(base, Enclosed) and base.kind == "||":
            return (yield from self._norm(base, node.scripts, span))
        head = self._function_word(node)
        if head is not None and head[0] != "sigmoid":
            self.fail("no argument", span, name=head[0])
        subs, sups = node.scripts
        if len(subs) > 1:
            self.fail("two subscripts", span)
        plain = without_braces(base)
        indices = self._index_names(subs[0], node) if subs else None
        tree: Any
        if indices is None and isinstance(plain, Letter):
            tree = Name(plain.name + _figures(subs[0]), span) if subs else self._bare(plain)
            if plain.name == "e" and sups and "e" not in self.shapes and not subs:
                tree, sups = _call("exp", (yield sups[0]), span), sups[1:]
        elif indices is None:
            if subs:
                self.fail("number below brackets", span)
            tree = yield base
        elif isinstance(base, Enclosed) and base.kind != "{":
            if len(indices) == 2:
                turns = [script for script in sups if self._turn(script)]
                tree = yield Entry(base, indices, tuple(turns))
                sups = [script for script in sups if script not in turns]
            elif len(indices) == 1:
                tree = yield Entry(base, indices)
            elif isinstance(whole := self._whole(base), Call):  # leading axes count the matrices
                tree = Call(whole.function, None, whole.arguments, indices, span, span)
            else:
                self.fail("three indices", span)
        else:
            letter = self._numbered_letter(base)
            if letter is None:
                self.fail("no base", span)
            tree, sups = self._letter_entry(letter.name, indices, sups, node)
        return (yield from self._with_powers(tree, sups, span))

    def _letter_entry(
        self, name: str, indices: tuple[Index, ...], sups: list[Formula], node: Scripted
    ) -> tuple[Node, list[Formula]]:
        """A name with its indices, transposed or inverted, and the powers that are left."""
        span = node.span
        turns = [script for script in sups if self._turn(script)]
        inverse = any(self._turn(turn) != "T" for turn in turns)
        if turns and len(indices) != 2:
            if not inverse:
                self.fail("transpose of more", span, name=name, count=len(indices))
            turns = []
        for turn in turns:
            indices = indices[::-1] if self._turn(turn) != "inv" else indices
        sups = [script for script in sups if script not in turns]
        if inverse and turns:
            return Call("inv", None, (Name(name, span),), indices, span, span), sups
        if name == "epsilon" and len(indices) > 1 and name not in self.shapes:
            name = "eps"
        name = {ONES: "ones", ZEROS: "zeros"}.get(name, name)
        return Access(name, indices, span, node.base.span), sups

    def _with_powers(self, tree: Node, sups: Sequence[Formula], span: Span) -> Visit:
        """A tree with the script above it."""
        for script in sups:
            what = self._turn(script)
            if what in ("T", "invT") and self.indexed:
                self.fail("transpose beside indices", script.span)
            if what in ("T", "invT"):
                tree = syntax.Transpose(_operand(tree), span)
            if what == "invT":
                one = Number(Fraction(1), span)
                tree = Power(Group(tree, span), Negative(one, span), span)
            if what not in ("T", "invT"):
                self._check_power(script)
                exponent = yield script
                tree = Power(_operand(tree), exponent, span)
        return tree

    def _check_power(self, script: Formula) -> None:
        """A^{ij}: letters side by side, some of them indices elsewhere."""
        plain = without_braces(script)
        if isinstance(plain, Row):
            letters = [p for s, p in plain.parts if s == "" and isinstance(p, Letter)]
            if len(letters) == len(plain.parts) and any(p.name in self.indices for p in letters):
                self.fail("superscript", script.span)

    def _norm(self, node: Enclosed, scripts: Scripts, span: Span) -> Visit:
        name = "norm2"
        for script in scripts.below:
            plain = without_braces(script)
            if isinstance(plain, Number) and plain.value == 1:
                name = "norm1"
            elif not (isinstance(plain, Number) and plain.value == 2) and not (
                isinstance(plain, Letter) and plain.name == "F"
            ):
                self.fail("norm", script.span, whole=self.text(span))
        tree = yield node.inside[0]
        if self.indexed:
            self.fail("norm beside indices", node.span)
        tree = _call(name, tree, node.span)
        return (yield from self._with_powers(tree, scripts.above, span))


def _figures(script: Formula) -> str:
    plain = without_braces(script)
    assert isinstance(plain, Number)
    return str(plain.value)


def _is_derivative(node: Formula | None) -> bool:
    return isinstance(node, Letter) and node.name in ("partial", "nabla")


def _without_group(tree: Node) -> Node:
    return tree.inner if isinstance(tree, Group) else tree


def _operand(tree: Node) -> Node:
    """A tree that may be a factor or a base."""
    if isinstance(tree, syntax.Sum | syntax.Product | Negative | syntax.Pointwise):
        return Group(tree, tree.span)
    return tree


def _call(name: str, argument: Node, span: Span) -> Call:
    return Call(name, None, (_without_group(argument),), None, span, span)


def _product_of(factors: Sequence[tuple[bool, Node]], span: Span | None = None) -> Node:
    if len(factors) == 1 and not factors[0][0]:
        return factors[0][1]
    whole = span or (factors[0][1].span[0], factors[-1][1].span[1])
    return syntax.Product(tuple(factors), whole)
