"""From text to the surface tree, by Lark's LALR parser; the only file that imports lark.

In: a text in index notation. Out: `syntax.Text`.
Invariant: the tree is built while parsing, so nothing recurses; only NotationError leaves.
Messages for texts that do not parse: `complaints.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from threading import Lock
from typing import Any, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput
from lark.lark import PostLex

from ..errors import NotationError, Span
from . import complaints, syntax
from .grammar import grammar_text, resolve_import
from .syntax import (
    Access,
    Call,
    Comparison,
    Declaration,
    Definition,
    Group,
    Index,
    Name,
    Negative,
    Node,
    Number,
    Power,
    Product,
    Sum,
)

_LARGEST_EXPONENT = 400  # of ten; floats end at 308
_LONGEST_SIZE = 18  # digits; what an array's axis can count to
_LONGEST_NUMBER = 4000  # characters; Python refuses integers of more than 4,300 digits

Indices = tuple[tuple[Index, ...], Span]  # what stands between [ and ], with its place


class _Chain:
    """A sum or product under construction: parts are appended, so long chains stay linear."""

    __slots__ = ("kind", "parts", "span")

    def __init__(self, kind: type[Sum] | type[Product], parts: list[tuple[bool, Node]]) -> None:
        self.kind = kind
        self.parts = parts
        self.span: Span = (parts[0][1].span[0], parts[-1][1].span[1])

    def extended(self, inverse: bool, part: Node) -> _Chain:
        self.parts.append((inverse, part))
        self.span = (self.span[0], part.span[1])
        return self


Built = Node | _Chain


def _finished(tree: Built) -> Node:
    """The node, once nothing can be appended to it; `A[]` is refused, since no `=` follows."""
    if isinstance(tree, _Chain):
        return tree.kind(tuple(tree.parts), tree.span)
    if isinstance(tree, Access) and not tree.indices:
        raise NotationError(
            f"the brackets of {tree.name}[] are empty",
            spans=[(tree.name_span[1], tree.span[1])],
            facts=["brackets hold one index for each axis, and a scalar has no axes"],
            hint=f"write {tree.name} for a scalar, {tree.name}[i] for a vector",
        )
    return tree


def _span(token: Token) -> Span:
    assert token.start_pos is not None and token.end_pos is not None
    return token.start_pos, token.end_pos


def _short(token: str) -> str:
    return token if len(token) <= 40 else f"{token[:20]}...{token[-10:]}"


def _over(first: Span, last: Span) -> Span:
    return first[0], last[1]


class _IndexTree(Transformer[Token, Any]):
    """One method per rule of index.lark; errors get their source in `parse_index`."""

    # lines

    def start(self, c: list[Any]) -> list[Any]:
        return [line for line in c[0] if line is not None]

    def first_line(self, c: list[Any]) -> list[Any]:
        return [c[0]]

    def more_lines(self, c: list[Any]) -> list[Any]:
        c[0].append(c[2])
        return c[0]  # type: ignore[no-any-return]

    def line(self, c: list[Any]) -> Any:
        return c[0]

    def empty(self, c: list[Any]) -> None:
        return None

    def bare(self, c: list[Any]) -> Definition:
        tree = _finished(c[0])
        return Definition(None, None, tree, tree.span, tree.span)

    def definition(self, c: list[Any]) -> Definition:
        left, right = c[0], _finished(c[2])
        span = _over(left.span, right.span)
        if isinstance(left, Name):
            return Definition(left.name, None, right, span, left.span)
        if isinstance(left, Access):
            return Definition(left.name, left.indices or None, right, span, left.span)
        raise NotationError(
            "the left side of = is not a name",
            spans=[left.span],
            facts=["a definition names a tensor and its indices"],
            hint="write y[i] = ... for a tensor, c = ... for a scalar",
        )

    def declaration(self, c: list[Any]) -> Declaration:
        name, words = c[0], c[-1]
        sizes = c[3] if isinstance(c[3], list) else []
        closing = c[-2]
        return Declaration(
            str(name),
            tuple(size for size, _ in sizes),
            tuple(complaints.assumption(str(word), _span(word)) for word in words),
            _over(_span(name), _span(words[-1] if words else closing)),
            _span(name),
        )

    def size(self, c: list[Any]) -> tuple[str | int, Span]:
        token = c[0]
        if token.type == "NAME":
            return str(token), _span(token)
        if not token.isdigit() or not token.strip("0") or len(token) > _LONGEST_SIZE:
            raise NotationError(
                f"{_short(token)} is not an extent",
                spans=[_span(token)],
                facts=["an axis has a whole number of entries, one at least"],
                hint="an extent is a name or a positive whole number, as in X : (n, 3)",
            )
        return int(token), _span(token)

    def first_item(self, c: list[Any]) -> list[Any]:
        return [c[0]]

    def more_items(self, c: list[Any]) -> list[Any]:
        c[0].append(c[2])
        return c[0]  # type: ignore[no-any-return]

    def no_items(self, c: list[Any]) -> list[Any]:
        return []

    def next_word(self, c: list[Any]) -> list[Any]:
        c[0].append(c[-1])
        return c[0]  # type: ignore[no-any-return]

    # sums and products

    def expression(self, c: list[Any]) -> Built:
        return c[0]  # type: ignore[no-any-return]

    signed = term = factor = power = exponent = expression

    def negative(self, c: list[Any]) -> Negative:
        tree = _finished(c[1])
        return Negative(tree, _over(_span(c[0]), tree.span))

    def positive(self, c: list[Any]) -> Built:
        return c[1]  # type: ignore[no-any-return]

    def plus(self, c: list[Any]) -> Built:
        return self._sum(c[0], False, c[2])

    def minus(self, c: list[Any]) -> Built:
        return self._sum(c[0], True, c[2])

    def _sum(self, left: Built, minus: bool, right: Built) -> Built:
        term = _finished(right)
        if isinstance(left, _Chain) and left.kind is Sum:
            return left.extended(minus, term)
        first = _finished(left)
        if isinstance(first, Negative):
            head = (True, first.operand)
            chain = _Chain(Sum, [head, (minus, term)])
            chain.span = _over(first.span, term.span)
            return chain
        return _Chain(Sum, [(False, first), (minus, term)])

    def times(self, c: list[Any]) -> Built:
        return self._product(c[0], False, c[2])

    def divide(self, c: list[Any]) -> Built:
        return self._product(c[0], True, c[2])

    def _product(self, left: Built, divides: bool, right: Built) -> Built:
        factor = _finished(right)
        if isinstance(left, _Chain) and left.kind is Product:
            return left.extended(divides, factor)
        return _Chain(Product, [(False, _finished(left)), (divides, factor)])

    def raised(self, c: list[Any]) -> Built:
        base, exponent = _finished(c[0]), _finished(c[2])
        return Power(base, exponent, _over(base.span, exponent.span))

    # atoms

    def number(self, c: list[Any]) -> Number:
        token = c[0]
        exponent = token.lower().partition("e")[2].lstrip("+-0")
        if len(token) > _LONGEST_NUMBER:
            limit = f"a number has at most {_LONGEST_NUMBER} characters, this one {len(token)}"
        elif len(exponent) > 3 or int(exponent or 0) > _LARGEST_EXPONENT:
            limit = f"powers of ten go from -{_LARGEST_EXPONENT} to {_LARGEST_EXPONENT}"
        else:
            return Number(Fraction(str(token)), _span(token))
        raise NotationError(
            f"the number {_short(token)} is out of range",
            spans=[_span(token)],
            facts=[limit],
            hint="write a name for it, and give its value as an array",
        )

    def name(self, c: list[Any]) -> Name:
        return Name(str(c[0]), _span(c[0]))

    def access(self, c: list[Any]) -> Access:
        name: Token = c[0]
        indices, span = c[1]
        return Access(str(name), indices, _over(_span(name), span), _span(name))

    def call(self, c: list[Any]) -> Call:
        return self._call(c[0], None, c[2], c[3], None)

    def call_kept(self, c: list[Any]) -> Call:
        return self._call(c[0], c[1], c[3], c[4], None)

    def call_behind(self, c: list[Any]) -> Call:
        return self._call(c[0], None, c[2], c[3], c[4])

    def call_both(self, c: list[Any]) -> Call:
        return self._call(c[0], c[1], c[3], c[4], c[5])

    def _call(
        self,
        name: Token,
        kept: Indices | None,
        arguments: list[Node],
        closing: Token,
        behind: Indices | None,
    ) -> Call:
        for brackets in (kept, behind):
            if brackets and not brackets[0]:
                raise NotationError(
                    f"empty brackets stand at the function {_short(name)}",
                    spans=[brackets[1]],
                    facts=["brackets at a function name at least one index"],
                    hint="name the indices, as in sum[i](x[i]), or remove the brackets",
                )
        return Call(
            str(name),
            kept[0] if kept else None,
            tuple(arguments),
            behind[0] if behind else None,
            _over(_span(name), behind[1] if behind else _span(closing)),
            _span(name),
        )

    def argument(self, c: list[Any]) -> Node:
        return _finished(c[0])

    def comparison(self, c: list[Any]) -> Comparison:
        left, right = _finished(c[0]), _finished(c[2])
        return Comparison(str(c[1]), left, right, _over(left.span, right.span))

    def group(self, c: list[Any]) -> Group:
        span = _over(_span(c[0]), _span(c[2]))
        inner = _finished(c[1])
        return Group(inner.inner if isinstance(inner, Group) else inner, span)

    # indices

    def subscript(self, c: list[Any]) -> Indices:
        return tuple(c[1]), _over(_span(c[0]), _span(c[2]))

    def no_subscript(self, c: list[Any]) -> Indices:
        return (), _over(_span(c[0]), _span(c[1]))

    def index(self, c: list[Any]) -> Index:
        return Index(str(c[0]), None, _span(c[0]))

    def sized_index(self, c: list[Any]) -> Index:
        extent, span = c[2]
        return Index(str(c[0]), extent, _over(_span(c[0]), span))

    def number_index(self, c: list[Any]) -> Index:
        raise NotationError(
            f"the number {_short(c[0])} stands as an index",
            spans=[_span(c[0])],
            facts=["an index is a name that runs over a whole axis"],
            hint="cut the array beforehand, or multiply by a vector that picks the entry",
        )


class _BracketedLines(PostLex):
    """Drops line ends inside brackets, so that they do not end a statement there."""

    always_accept = ("SEPARATOR",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        for token in stream:
            if token.type in ("LPAR", "LSQB"):
                depth += 1
            elif token.type in ("RPAR", "RSQB"):
                depth = max(depth - 1, 0)
            if token.type != "SEPARATOR" or depth == 0 or token == ";":
                yield token


_building = Lock()
_built: list[Lark] = []


def _tables() -> Lark:
    """The parser, built at the first call: 25 ms."""
    with _building:
        if not _built:
            _built.append(
                Lark(
                    grammar_text("index.lark"),
                    parser="lalr",
                    lexer="basic",  # as fast as "contextual" here, with one scanner for all states
                    postlex=_BracketedLines(),
                    transformer=_IndexTree(),
                    import_paths=[resolve_import],
                    keep_all_tokens=True,
                    maybe_placeholders=False,
                )
            )
        return _built[0]


def parse_index(source: str) -> syntax.Text:
    """The surface tree of a text in index notation.

    Raises NotationError with the place of the first mistake.

    >>> parse_index("y[i] = A[i,j]*x[j]").statements[0].name
    'y'
    """
    complaints.check_brackets(source)
    statements = _statements(source)
    if isinstance(statements, NotationError):  # raised here, free of the parser's stack
        raise statements
    complaints.check_statements(source, statements)
    return syntax.Text(source, tuple(statements))


def _statements(source: str) -> list[Declaration | Definition] | NotationError:
    statements: list[Declaration | Definition]
    try:
        statements = cast(Any, _tables().parse(source))
    except UnexpectedInput as mistake:
        return complaints.explained(source, mistake)
    except NotationError as mistake:
        mistake.source = source
        return mistake.with_traceback(None)
    return statements
