"""Matrix notation as text: what `notation/matrix_tree.py` reads.

In: a surface tree of matrix notation. Out: a string, statements separated by newlines.
Invariant: as `text.py`, which writes what the notations share.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..notation import syntax
from ..notation.syntax import Call, Definition, Node, Pointwise, Transpose
from .text import (
    ATOM,
    BASE,
    FACTOR,
    TERM,
    Task,
    argument_pieces,
    arithmetic_binds,
    arithmetic_pieces,
    declaration_text,
    rendered,
)


def to_matrix_text(text: syntax.Text) -> str:
    """The statements of a surface tree, one a line."""
    return "\n".join(_statement(statement) for statement in text.statements)


def _statement(statement: syntax.Declaration | Definition) -> str:
    if isinstance(statement, syntax.Declaration):
        return declaration_text(statement)
    body = tree_text(statement.expression)
    return body if statement.name is None else f"{statement.name} = {body}"


def tree_text(root: Node) -> str:
    """One expression.

    >>> x = syntax.Name("x", (0, 0))
    >>> tree_text(syntax.Product(((False, Transpose(x, (0, 0))), (False, x)), (0, 0)))
    "x'*x"
    """
    return rendered(root, _pieces, _binds)


def _binds(node: Node) -> int:
    match node:
        case Pointwise():
            return FACTOR if node.operator == ".^" else TERM
        case Transpose():
            return BASE
    return arithmetic_binds(node)


def _pieces(node: Node) -> Iterable[Task]:
    match node:
        case Transpose():
            yield from ((node.operand, BASE), "'")
        case Pointwise(operator=".^"):
            yield from ((node.left, BASE), ".^", (node.right, ATOM))
        case Pointwise():
            # the left one may be such a chain itself, but never a matrix product without brackets
            chained = isinstance(node.left, Pointwise)
            yield from ((node.left, TERM if chained else FACTOR), node.operator)
            yield node.right, FACTOR
        case Call():
            yield f"{node.function}("
            yield from argument_pieces(node)
            yield ")"
        case _:
            yield from arithmetic_pieces(node)
