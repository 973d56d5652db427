"""Lark's LALR parser behind one class; the only file that imports lark.

In: a grammar of the folder `grammar/`, a transformer that builds surface trees, a text.
Out: what the transformer builds from the text.
Invariant: the tree is built while parsing, so nothing recurses; only NotationError leaves.
Transformers: `index_tree.py` and its like; messages for texts that do not parse: `complaints.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput
from lark.lark import PostLex

from ..errors import NotationError
from .grammar import grammar_text, resolve_import

__all__ = ["Parser", "PostLex", "Token", "Transformer"]

Explain = Callable[[str, Any], NotationError]  # text and lark's complaint -> the error for a user


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
    """One grammar with its transformer; lark's tables are built at the first text (25 ms).

    `explained` turns lark's complaint about a text into the error that a user sees.
    """

    def __init__(
        self,
        grammar: str,
        transformer: Callable[[], Transformer[Token, Any]],
        explained: Explain,
        postlex: Callable[[], PostLex] | None = _BracketedLines,
    ) -> None:
        self._grammar, self._transformer = grammar, transformer
        self._explained, self._postlex = explained, postlex
        self._building = Lock()
        self._lark: Lark | None = None

    def _tables(self) -> Lark:
        with self._building:
            if self._lark is None:
                self._lark = Lark(
                    grammar_text(self._grammar),
                    parser="lalr",
                    lexer="basic",  # as fast as "contextual" here, with one scanner for all states
                    postlex=self._postlex() if self._postlex else None,
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
            return self._explained(source, mistake)
        except NotationError as mistake:
            mistake.source = source
            return mistake.with_traceback(None)
