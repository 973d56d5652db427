"""Matrix notation as text: what `notation/matrix_tree.py` reads.

In: a surface tree of matrix notation. Out: a string, statements separated by newlines.
Invariant: brackets stand where the grammar's precedence needs them and nowhere else; nothing recurses.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..notation import syntax
from ..notation.syntax import (
    Call,
    Comparison,
    Definition,
    Group,
    Name,
    Negative,
    Node,
    Number,
    Pointwise,
    Power,
    Product,
    Sum,
    Transpose,
)
from .text import number_text

_SUM, _TERM, _FACTOR, _BASE, _EXPONENT = range(5)  # how tightly a place binds


def to_matrix_text(text: syntax.Text) -> str:
    """The statements of a surface tree, one a line."""
    return "\n".join(_statement(statement) for statement in text.statements)


def _statement(statement: syntax.Declaration | Definition) -> str:
    if isinstance(statement, syntax.Declaration):
        sizes = ", ".join(map(str, statement.axes)) + ("," if len(statement.axes) == 1 else "")
        return " ".join([f"{statement.name} : ({sizes})", *statement.assumptions])
    body = tree_text(statement.expression)
    return body if statement.name is None else f"{statement.name} = {body}"


Task = str | tuple[Node, int]


def tree_text(root: Node) -> str:
    """One expression.

    >>> x = Name("x", (0, 0))
    >>> tree_text(Product(((False, Transpose(x, (0, 0))), (False, x)), (0, 0)))
    "x'*x"
    """
    pieces: list[str] = []
    stack: list[Task] = [(root, _SUM)]
    while stack:
        task = stack.pop()
        if isinstance(task, str):
            pieces.append(task)
            continue
        node, place = task
        inside = list(_pieces(node))
        if _binds(node) < place:
            inside = ["(", *inside, ")"]
        stack.extend(reversed(inside))
    return "".join(pieces)


def _binds(node: Node) -> int:
    match node:
        case Sum() | Comparison() | Negative():
            return _SUM
        case Product():
            return _TERM
        case Pointwise():
            return _FACTOR if node.operator == ".^" else _TERM
        case Power():
            return _FACTOR
        case Transpose():
            return _BASE
    return _EXPONENT


def _pieces(node: Node) -> Iterable[Task]:
    match node:
        case Number():
            yield number_text(node.value)
        case Name():
            yield node.name
        case Group():
            yield from ("(", (node.inner, _SUM), ")")
        case Negative():
            yield from ("-", (node.operand, _TERM))
        case Transpose():
            yield from ((node.operand, _BASE), "'")
        case Power():
            yield from ((node.base, _BASE), "^", (node.exponent, _EXPONENT))
        case Pointwise(operator=".^"):
            yield from ((node.left, _BASE), ".^", (node.right, _EXPONENT))
        case Pointwise():
            # the left one may be such a chain itself, but never a matrix product without brackets
            chained = isinstance(node.left, Pointwise)
            yield from ((node.left, _TERM if chained else _FACTOR), node.operator)
            yield node.right, _FACTOR
        case Product():
            for position, (divides, factor) in enumerate(node.factors):
                if divides:
                    yield "1/" if position == 0 else "/"
                elif position:
                    yield "*"
                yield factor, _FACTOR
        case Sum():
            for position, (minus, term) in enumerate(node.terms):
                if position or minus:
                    yield (" - " if minus else " + ") if position else "-"
                yield term, _TERM
        case Comparison():
            yield from ((node.left, _SUM), f" {node.operator} ", (node.right, _SUM))
        case Call():
            yield f"{node.function}("
            for position, argument in enumerate(node.arguments):
                if position:
                    yield ", "
                yield argument, _SUM
            yield ")"
