"""From index notation to the surface tree.

In: a text in index notation. Out: `syntax.Text`.
Invariant: one method per rule of `grammar/index.lark`; those that grammars share are in `tree_builder.py`.
"""

from __future__ import annotations

from typing import Any

from ..errors import NotationError
from . import complaints, syntax
from .parser import Parser, Token
from .syntax import Access, Call, Index
from .tree_builder import Indices, TreeBuilder, over, short, span_of


class _IndexTree(TreeBuilder):
    """The rules that only index notation has: subscripts."""

    # atoms

    def access(self, c: list[Any]) -> Access:
        name: Token = c[0]
        indices, span = c[1]
        return Access(str(name), indices, over(span_of(name), span), span_of(name))

    def call_kept(self, c: list[Any]) -> Call:
        return self._call(c[0], c[1], c[3], c[4], None)

    def call_behind(self, c: list[Any]) -> Call:
        return self._call(c[0], None, c[2], c[3], c[4])

    def call_both(self, c: list[Any]) -> Call:
        return self._call(c[0], c[1], c[3], c[4], c[5])

    # indices

    def subscript(self, c: list[Any]) -> Indices:
        return tuple(c[1]), over(span_of(c[0]), span_of(c[2]))

    def no_subscript(self, c: list[Any]) -> Indices:
        return (), over(span_of(c[0]), span_of(c[1]))

    def index(self, c: list[Any]) -> Index:
        return Index(str(c[0]), None, span_of(c[0]))

    def sized_index(self, c: list[Any]) -> Index:
        extent, span = c[2]
        return Index(str(c[0]), extent, over(span_of(c[0]), span))

    def number_index(self, c: list[Any]) -> Index:
        raise NotationError(
            f"the number {short(c[0])} stands as an index",
            spans=[span_of(c[0])],
            facts=["an index is a name that runs over a whole axis"],
            hint="cut the array beforehand, or multiply by a vector that picks the entry",
        )


_PARSER = Parser("index.lark", _IndexTree, complaints.explained)


def parse_index(source: str) -> syntax.Text:
    """The surface tree of a text in index notation.

    Raises NotationError with the place of the first mistake.

    >>> parse_index("y[i] = A[i,j]*x[j]").statements[0].name
    'y'
    """
    complaints.check_brackets(source)
    statements = _PARSER.parsed(source)
    complaints.check_statements(source, statements)
    return syntax.Text(source, tuple(statements))
