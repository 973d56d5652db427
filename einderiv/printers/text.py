"""Index notation as text: what `notation/parser.py` reads.

In: a surface tree. Out: a string, statements separated by newlines.
Invariant: brackets stand where the grammar's precedence needs them and nowhere else; nothing recurses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from ..notation import syntax
from ..notation.syntax import (
    Access,
    Call,
    Comparison,
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

_SUM, _TERM, _FACTOR, _BASE = range(4)  # how tightly a place binds


def to_text(text: syntax.Text) -> str:
    """The statements of a surface tree, one a line."""
    return "\n".join(_statement(statement) for statement in text.statements)


def _statement(statement: syntax.Declaration | Definition) -> str:
    if isinstance(statement, syntax.Declaration):
        sizes = ", ".join(map(str, statement.axes)) + ("," if len(statement.axes) == 1 else "")
        return " ".join([f"{statement.name} : ({sizes})", *statement.assumptions])
    body = _expression(statement.expression)
    if statement.name is None:
        return body
    return f"{statement.name}{_indices(statement.indices)} = {body}"


def _indices(indices: Sequence[Index] | None) -> str:
    if not indices:
        return ""
    shown = (i.name if i.extent is None else f"{i.name}:{i.extent}" for i in indices)
    return f"[{','.join(shown)}]"


def number_text(value: Fraction) -> str:
    """An exact number: `2`, `0.001`; the tree writes other fractions as quotients.

    >>> number_text(Fraction(1, 1000))
    '0.001'
    """
    if value.denominator == 1:
        shown = str(value.numerator)
        zeros = len(shown) - len(shown.rstrip("0"))
        return shown if zeros < 7 else f"{shown[: len(shown) - zeros]}e{zeros}"
    places, scaled = 0, value
    while scaled.denominator != 1:
        scaled *= 10
        places += 1
    digits = str(scaled.numerator)
    if places > len(digits) + 5:
        return f"{digits}e-{places}"
    digits = digits.rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}"


Task = str | tuple[Node, int]


def _expression(root: Node) -> str:
    pieces: list[str] = []
    stack: list[Task] = [(root, _SUM)]
    while stack:
        task = stack.pop()
        if isinstance(task, str):
            pieces.append(task)
        else:
            stack.extend(reversed(list(_expanded(*task))))
    return "".join(pieces)


def _expanded(node: Node, place: int) -> Iterable[Task]:
    """A node as strings and nodes still to expand, in brackets if `place` binds tighter than it."""
    own = _binds(node)
    inside = list(_pieces(node))
    return ["(", *inside, ")"] if own < place else inside


def _binds(node: Node) -> int:
    match node:
        case Sum() | Comparison():
            return _SUM
        case Negative():
            return _SUM
        case Product():
            return _TERM
        case Power():
            return _FACTOR
    return _BASE


def _pieces(node: Node) -> Iterable[Task]:
    match node:
        case Number():
            yield number_text(node.value)
        case Name():
            yield node.name
        case Access():
            yield node.name + _indices(node.indices)
        case Group():
            yield from ("(", (node.inner, _SUM), ")")
        case Negative():
            yield from ("-", (node.operand, _TERM))
        case Power():
            yield from ((node.base, _BASE), "^", (node.exponent, _BASE))
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
            yield f"{node.function}{_indices(node.kept)}("
            for position, argument in enumerate(node.arguments):
                if position:
                    yield ", "
                yield argument, _SUM
            yield ")" + _indices(node.subscript)
