"""Lark's LALR parser behind one class; the only file that imports lark.

In: a grammar of the folder `grammar/`, a transformer that builds surface trees, a text.
Out: what the transformer builds from the text.
Invariant: the tree is built while parsing, so nothing recurses; only NotationError leaves.
Transformers: `index_tree.py` and its like; messages for texts that do not parse: `complaints.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from . import complaints
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

# Finds the grammar files: inside the installed package, or beside it in a checkout.
#
# In: a file name. Out: its text, and the resolver that lark's `%import` uses.
# Invariant: all grammars come from one folder, so an import finds the file that belongs to it.


@cache
def grammar_text(name: str) -> str:
    """The text of `grammar/<name>`.

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


# ----------------------------------------------------------------------

__all__ = ["Parser", "PostLex", "Token", "Transformer"]


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

    def parsed(self, source: str) -> Any:
        """What the transformer makes of `source`; NotationError with the place of the first mistake."""
        result = self._attempt(source)
        if isinstance(result, NotationError):  # raised here, free of the parser's stack
            raise result
        return result

    def _attempt(self, source: str) -> Any:
        try:
            return self._tables().parse(source)
        except UnexpectedInput as mistake:
            return complaints.explained(self._notation, source, mistake)
        except NotationError as mistake:
            mistake.source = source
            return mistake.with_traceback(None)


# What the surface trees of all notations share: lines, declarations, numbers, sums, products, calls.
#
# In: tokens and trees from lark, bottom-up. Out: nodes of `syntax`.
# Invariant: the tree is built while parsing, so nothing recurses; long chains stay linear.
# A notation's own rules: `index_tree.py`, `matrix_tree.py`, `latex_tree.py`.

_LARGEST_EXPONENT = 400  # of ten; floats end at 308
_LONGEST_SIZE = 18  # digits; what an array's axis can count to
_LONGEST_NUMBER = 4000  # characters; Python refuses integers of more than 4,300 digits

Indices = tuple[tuple[Index, ...], Span]  # what stands between [ and ], with its place


class Chain:
    """A sum or product under construction: parts are appended, so long chains stay linear."""

    __slots__ = ("kind", "parts", "span")

    def __init__(self, kind: type[Sum] | type[Product], parts: list[tuple[bool, Node]]) -> None:
        self.kind = kind
        self.parts = parts
        self.span: Span = (parts[0][1].span[0], parts[-1][1].span[1])

    def extended(self, inverse: bool, part: Node) -> Chain:
        self.parts.append((inverse, part))
        self.span = (self.span[0], part.span[1])
        return self


Built = Node | Chain


def finished(tree: Built) -> Node:
    """The node, once nothing can be appended to it; `A[]` is refused, since no `=` follows."""
    if isinstance(tree, Chain):
        return tree.kind(tuple(tree.parts), tree.span)
    if isinstance(tree, Access) and not tree.indices:
        raise NotationError(
            f"the brackets of {tree.name}[] are empty",
            spans=[(tree.name_span[1], tree.span[1])],
            facts=["brackets hold one index for each axis, and a scalar has no axes"],
            hint=f"write {tree.name} for a scalar, {tree.name}[i] for a vector",
        )
    return tree


def span_of(token: Token) -> Span:
    assert token.start_pos is not None and token.end_pos is not None
    return token.start_pos, token.end_pos


def over(first: Span, last: Span) -> Span:
    return first[0], last[1]


class TreeBuilder(Transformer[Token, Any]):
    """One method per rule that grammars share; errors get their source in `parser.py`."""

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
        tree = finished(c[0])
        return Definition(None, None, tree, tree.span, tree.span)

    def definition(self, c: list[Any]) -> Definition:
        left, right = c[0], finished(c[2])
        span = over(left.span, right.span)
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
            tuple(complaints.assumption(str(word), span_of(word)) for word in words),
            over(span_of(name), span_of(words[-1] if words else closing)),
            span_of(name),
        )

    def size(self, c: list[Any]) -> tuple[str | int, Span]:
        token = c[0]
        if token.type == "NAME":
            return str(token), span_of(token)
        if not token.isdigit() or not token.strip("0") or len(token) > _LONGEST_SIZE:
            raise NotationError(
                f"{complaints.short(token)} is not an extent",
                spans=[span_of(token)],
                facts=["an axis has a whole number of entries, one at least"],
                hint="an extent is a name or a positive whole number, as in X : (n, 3)",
            )
        return int(token), span_of(token)

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
        tree = finished(c[1])
        return Negative(tree, over(span_of(c[0]), tree.span))

    def positive(self, c: list[Any]) -> Built:
        return c[1]  # type: ignore[no-any-return]

    def plus(self, c: list[Any]) -> Built:
        return self._sum(c[0], False, c[2])

    def minus(self, c: list[Any]) -> Built:
        return self._sum(c[0], True, c[2])

    def _sum(self, left: Built, minus: bool, right: Built) -> Built:
        term = finished(right)
        if isinstance(left, Chain) and left.kind is Sum:
            return left.extended(minus, term)
        first = finished(left)
        if isinstance(first, Negative):
            head = (True, first.operand)
            chain = Chain(Sum, [head, (minus, term)])
            chain.span = over(first.span, term.span)
            return chain
        return Chain(Sum, [(False, first), (minus, term)])

    def times(self, c: list[Any]) -> Built:
        return self._product(c[0], False, c[2])

    def divide(self, c: list[Any]) -> Built:
        return self._product(c[0], True, c[2])

    def _product(self, left: Built, divides: bool, right: Built) -> Built:
        factor = finished(right)
        if isinstance(left, Chain) and left.kind is Product:
            return left.extended(divides, factor)
        return Chain(Product, [(False, finished(left)), (divides, factor)])

    def raised(self, c: list[Any]) -> Built:
        base, exponent = finished(c[0]), finished(c[2])
        return Power(base, exponent, over(base.span, exponent.span))

    # atoms

    def number(self, c: list[Any]) -> Number:
        token = c[0]
        exponent = token.lower().partition("e")[2].lstrip("+-0")
        if len(token) > _LONGEST_NUMBER:
            limit = f"a number has at most {_LONGEST_NUMBER} characters, this one {len(token)}"
        elif len(exponent) > 3 or int(exponent or 0) > _LARGEST_EXPONENT:
            limit = f"powers of ten go from -{_LARGEST_EXPONENT} to {_LARGEST_EXPONENT}"
        else:
            return Number(Fraction(str(token)), span_of(token))
        raise NotationError(
            f"the number {complaints.short(token)} is out of range",
            spans=[span_of(token)],
            facts=[limit],
            hint="write a name for it, and give its value as an array",
        )

    def name(self, c: list[Any]) -> Name:
        return Name(str(c[0]), span_of(c[0]))

    def call(self, c: list[Any]) -> Call:
        return self._call(c[0], None, c[2], c[3], None)

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
                    f"empty brackets stand at the function {complaints.short(name)}",
                    spans=[brackets[1]],
                    facts=["brackets at a function name at least one index"],
                    hint="name the indices, as in sum[i](x[i]), or remove the brackets",
                )
        return Call(
            str(name),
            kept[0] if kept else None,
            tuple(arguments),
            behind[0] if behind else None,
            over(span_of(name), behind[1] if behind else span_of(closing)),
            span_of(name),
        )

    def argument(self, c: list[Any]) -> Node:
        return finished(c[0])

    def comparison(self, c: list[Any]) -> Comparison:
        left, right = finished(c[0]), finished(c[2])
        return Comparison(str(c[1]), left, right, over(left.span, right.span))

    def group(self, c: list[Any]) -> Group:
        span = over(span_of(c[0]), span_of(c[2]))
        inner = finished(c[1])
        return Group(inner.inner if isinstance(inner, Group) else inner, span)
