"""Surface trees that may hold derivatives not yet carried out, as text and as LaTeX.

In: a surface tree, with `Partial` nodes. Out: strings.
Invariant: a derivative stands in brackets or under its own fraction line, so its reach is never in doubt.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..notations import Group, Node
from . import latex, text
from .trees import Partial


def tree_text(node: Node) -> str:
    """Index notation: `X[a,b]*∂th[b]/∂th[d]`."""
    return text.rendered(node, _text_pieces, _text_binds)


def _text_pieces(node: Node) -> Iterable[text.Task]:
    if not isinstance(node, Partial):
        yield from text.pieces(node)
        return
    yield "∂"
    if node.is_short:
        yield node.inner, text.ATOM
    else:
        yield from ("(", (node.inner, text.SUM), ")")
    yield "/∂"
    yield node.variable, text.ATOM


def _text_binds(node: Node) -> int:
    return text.TERM if isinstance(node, Partial) else text.arithmetic_binds(node)


def tree_latex(node: Node) -> str:
    """LaTeX without dollar signs; a derivative that stands alone has its operator in front."""
    pieces: list[str] = []
    stack: list[text.Task] = [(node, text.SUM)]
    if isinstance(node, Partial) and not node.is_short:
        stack = [r"\right)", (node.inner, text.SUM), r"} \left("]
        stack += [(node.variable, text.BASE), r"\frac{\partial}{\partial "]
    while stack:
        task = stack.pop()
        if isinstance(task, str):
            pieces.append(task)
            continue
        inner, place = task
        if isinstance(inner, Group) and isinstance(inner.inner, Partial):
            inner = inner.inner  # its fraction line brackets it
        if isinstance(inner, Partial):
            stack.extend(reversed(list(_latex_pieces(inner))))
            continue
        shown = list(latex.pieces(inner))
        if latex.binds(inner) < place:
            shown = [text.BRACKETS_LATEX[0], *shown, text.BRACKETS_LATEX[1]]
        stack.extend(reversed(shown))
    return "".join(pieces)


def _latex_pieces(node: Partial) -> Iterable[text.Task]:
    yield r"\frac{\partial "
    if node.is_short:
        yield node.inner, text.BASE
    else:
        yield from (r"\left(", (node.inner, text.SUM), r"\right)")
    yield r"}{\partial "
    yield node.variable, text.BASE
    yield "}"
