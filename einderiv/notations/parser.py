"""From text to surface trees, by lark's LALR parser; the only file that imports lark.

In: a grammar of the folder `grammar/`, a transformer that builds surface trees, a text.
Out: what the transformer builds from the text; `TreeBuilder` has the rules that notations share.
Invariant: the tree is built while parsing, so nothing recurses and long chains stay linear; only
NotationError leaves, with the messages of `complaints.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from pathlib import Path
from threading import Lock
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput
from lark.lark import PostLex

from ..errors import EinderivError, NotationError, Span
from . import complaints, syntax
from .syntax import Index, Node

__all__ = ["Parser", "PostLex", "Token", "Transformer"]


@cache
def grammar_text(name: str) -> str:
    """The text of `grammar/<name>`: inside the installed package, or beside it in a checkout.

    >>> "LALR" in grammar_text("index.lark")
    True
    """
    inside = resources.files("einderiv") / "grammar" / name
    if inside.is_file():
        return inside.read_text(encoding="utf-8")
    beside = Path(__file__).resolve().parents[2] / "grammar" / name
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    raise EinderivError(
        f"the grammar file {name} is missing from the installation",
        facts=[f"looked for {inside} and {beside}"],
        hint="reinstall einderiv",
    )


def resolve_import(base_path: object, grammar_path: str) -> tuple[str, str]:
    """Where lark finds `%import .common`: in the same folder, by the same rule."""
    return grammar_path, grammar_text(Path(grammar_path).name)


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


class Parser:
    """A notation's grammar with its transformer; lark's tables are built at the first text (25 ms)."""

    def __init__(
        self,
        notation: str,
        transformer: Callable[[], Transformer[Token, Any]],
        postlex: Callable[[], PostLex] = _BracketedLines,
    ) -> None:
        self._notation, self._transformer, self._postlex = notation, transformer, postlex
        self._building = Lock()
        self._lark: Lark | None = None

    def _tables(self) -> Lark:
        with self._building:
            if self._lark is None:
                self._lark = Lark(
                    grammar_text(f"{self._notation}.lark"),
                    parser="lalr",
                    lexer="basic",  # as fast as "contextual" here, with one scanner for all states
                    postlex=self._postlex(),
                    transformer=self._transformer(),
                    import_paths=[resolve_import],
                    keep_all_tokens=True,
                    maybe_placeholders=False,
                )
            return self._lark

    def text(self, source: str, expression: str, definition: str) -> syntax.Text:
        """The surface tree of a text; messages show an expression and a definition as examples."""
        complaints.check_brackets(source)
        statements = self.parse(source)
        complaints.check_statements(source, statements, expression, definition)
        return syntax.Text(source, tuple(statements))

    def parse(self, source: str) -> Any:
        """What the transformer makes of `source`; NotationError with the place of the first mistake."""
        result = self._attempt(source)
        if isinstance(result, NotationError):  # raised here, free of the parser's stack
            raise result
        return result

    def _attempt(self, source: str) -> Any:
        try:
            return self._tables().parse(source)
        except UnexpectedInput as mistake:
            return complaints.stop_error(self._notation, source, mistake)
        except NotationError as mistake:
            mistake.source = source
            return mistake.with_traceback(None)


_LARGEST_EXPONENT = 400  # of ten; floats end at 308
_LONGEST_SIZE = 18  # digits; what an array's axis can count to
_LONGEST_NUMBER = 4000  # characters; Python refuses integers of more than 4,300 digits

Indices = tuple[tuple[Index, ...], Span]  # the indices between [ and ], with their place


@dataclass(slots=True)
class Chain:
    """A sum or product under construction: parts are appended, so long chains stay linear."""

    kind: type[syntax.Sum] | type[syntax.Product]
    parts: list[tuple[bool, Node]]
    span: Span


Built = Node | Chain


def node_of(tree: Built) -> Node:
    """The node, once nothing can be appended to it; `A[]` is refused, since no `=` follows."""
    if isinstance(tree, Chain):
        return tree.kind(tuple(tree.parts), tree.span)
    if isinstance(tree, syntax.Access) and not tree.indices:
        raise error_at("empty brackets", (tree.name_span[1], tree.span[1]), name=tree.name)
    return tree


def error_at(reason: str, span: Span, **words: str) -> NotationError:
    """The error at a place in a text, for a reason of `complaints.py`."""
    return complaints.refusal(complaints.REASONS[reason], None, [span], **words)


def span_of(token: Token) -> Span:
    assert token.start_pos is not None and token.end_pos is not None
    return token.start_pos, token.end_pos


def over(first: Span, last: Span) -> Span:
    return first[0], last[1]


class TreeBuilder(Transformer[Token, Any]):
    """One method per rule that grammars share; `Parser` gives errors their source."""

    def first_item(self, c: list[Any]) -> list[Any]:
        return [c[0]]

    def more_items(self, c: list[Any]) -> list[Any]:
        c[0].append(c[-1])
        return c[0]  # type: ignore[no-any-return]

    def no_items(self, c: list[Any]) -> list[Any]:
        return []

    first_line = first_item
    more_lines = next_word = more_items

    def start(self, c: list[Any]) -> list[Any]:
        return [line for line in c[0] if line is not None]

    def same(self, c: list[Any]) -> Any:
        return c[0]

    line = expression = signed = term = factor = power = exponent = same

    def empty(self, c: list[Any]) -> None:
        return None

    def bare(self, c: list[Any]) -> syntax.Definition:
        tree = node_of(c[0])
        return syntax.Definition(None, None, tree, tree.span, tree.span)

    def definition(self, c: list[Any]) -> syntax.Definition:
        left, right = c[0], node_of(c[2])
        span = over(left.span, right.span)
        if isinstance(left, syntax.Name):
            return syntax.Definition(left.name, None, right, span, left.span)
        if isinstance(left, syntax.Access):
            return syntax.Definition(left.name, left.indices or None, right, span, left.span)
        raise error_at("left side", left.span)

    def declaration(self, c: list[Any]) -> syntax.Declaration:
        name, words = c[0], c[-1]
        sizes = c[3] if isinstance(c[3], list) else []
        closing = c[-2]
        return syntax.Declaration(
            str(name),
            tuple(size for size, _ in sizes),
            tuple(complaints.assumption(str(word), span_of(word)) for word in words),
            over(span_of(name), span_of(words[-1] if words else closing)),
            span_of(name),
        )

    def size(self, c: list[Any]) -> tuple[str | int, Span]:
        token = c[0]
        if token.type == "NAME":
            return str(token), span_of(token)
        if not token.isdigit() or not token.strip("0") or len(token) > _LONGEST_SIZE:
            raise error_at("extent", span_of(token), shown=complaints.short(token))
        return int(token), span_of(token)

    def negative(self, c: list[Any]) -> syntax.Negative:
        tree = node_of(c[1])
        return syntax.Negative(tree, over(span_of(c[0]), tree.span))

    def positive(self, c: list[Any]) -> Built:
        return c[1]  # type: ignore[no-any-return]

    def plus(self, c: list[Any]) -> Built:
        return self._chain(syntax.Sum, c[0], c[1].type == "MINUS", c[2])

    def times(self, c: list[Any]) -> Built:
        return self._chain(syntax.Product, c[0], c[1].type == "DIVIDE", c[2])

    minus, divide = plus, times

    def _chain(
        self,
        kind: type[syntax.Sum] | type[syntax.Product],
        left: Built,
        inverse: bool,
        right: Built,
    ) -> Chain:
        part = node_of(right)
        if not (isinstance(left, Chain) and left.kind is kind):
            first = node_of(left)
            if kind is syntax.Sum and isinstance(first, syntax.Negative):
                left = Chain(kind, [(True, first.operand)], first.span)
            else:
                left = Chain(kind, [(False, first)], first.span)
        left.parts.append((inverse, part))
        left.span = over(left.span, part.span)
        return left

    def raised(self, c: list[Any]) -> Built:
        base, exponent = node_of(c[0]), node_of(c[2])
        return syntax.Power(base, exponent, over(base.span, exponent.span))

    def number(self, c: list[Any]) -> syntax.Number:
        token = c[0]
        exponent = token.lower().partition("e")[2].lstrip("+-0")
        if len(token) > _LONGEST_NUMBER:
            limit = f"a number has at most {_LONGEST_NUMBER} characters, this one {len(token)}"
        elif len(exponent) > 3 or int(exponent or 0) > _LARGEST_EXPONENT:
            limit = f"powers of ten go from -{_LARGEST_EXPONENT} to {_LARGEST_EXPONENT}"
        else:
            return syntax.Number(Fraction(str(token)), span_of(token))
        raise error_at("number", span_of(token), shown=complaints.short(token), limit=limit)

    def name(self, c: list[Any]) -> syntax.Name:
        return syntax.Name(str(c[0]), span_of(c[0]))

    def call(self, c: list[Any]) -> syntax.Call:
        """`f(a)`, `sum[i](a)`, `inv(A)[p,q]`, `inv[i,j](a)[p,q]`."""
        name, kept, behind = c[0], c[1], c[-1]
        for subscript in (kept, behind):
            if isinstance(subscript, tuple) and not subscript[0]:
                raise error_at("empty at a function", subscript[1], name=complaints.short(name))
        kept, arguments = (kept[0], c[3]) if isinstance(kept, tuple) else (None, c[2])
        behind, end = behind if isinstance(behind, tuple) else (None, span_of(behind))
        start = span_of(name)
        return syntax.Call(str(name), kept, tuple(arguments), behind, over(start, end), start)

    def argument(self, c: list[Any]) -> Node:
        return node_of(c[0])

    def comparison(self, c: list[Any]) -> syntax.Comparison:
        left, right = node_of(c[0]), node_of(c[2])
        return syntax.Comparison(str(c[1]), left, right, over(left.span, right.span))

    def group(self, c: list[Any]) -> syntax.Group:
        span = over(span_of(c[0]), span_of(c[2]))
        inner = node_of(c[1])
        return syntax.Group(inner.inner if isinstance(inner, syntax.Group) else inner, span)
