"""Index notation as text: what `notation/parser.py` reads.

In: a surface tree. Out: a string, statements separated by newlines.
Invariant: brackets stand where the grammar's precedence needs them and nowhere else; nothing recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from ..notations import (
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
    Pointwise,
    Power,
    Product,
    Sum,
    Transpose,
    syntax,
)

SUM, TERM, FACTOR, BASE, ATOM = range(5)  # how tightly a place binds


def to_text(text: syntax.Text) -> str:
    """The statements of a surface tree, one a line."""
    return "\n".join(_statement(statement) for statement in text.statements)


def _statement(statement: syntax.Declaration | Definition) -> str:
    if isinstance(statement, syntax.Declaration):
        return declaration_text(statement)
    body = rendered(statement.expression, pieces, arithmetic_binds)
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
Pieces = Callable[[Node], Iterable[Task]]


BRACKETS_LATEX = (r"\left(", r"\right)")


def rendered(
    root: Node,
    pieces: Pieces,
    binds: Callable[[Node], int],
    brackets: tuple[str, str] = ("(", ")"),
) -> str:
    """A tree as text: `pieces` writes a node, `binds` says how tightly its own sign binds.

    A node stands in brackets where its place binds tighter than it.
    """
    shown: list[str] = []
    stack: list[Task] = [(root, SUM)]
    while stack:
        task = stack.pop()
        if isinstance(task, str):
            shown.append(task)
            continue
        node, place = task
        inside = list(pieces(node))
        if binds(node) < place:
            inside = [brackets[0], *inside, brackets[1]]
        stack.extend(reversed(inside))
    return "".join(shown)


def arithmetic_pieces(node: Node) -> Iterable[Task]:
    """What all notations write alike: numbers, names, brackets, sums, products, powers, comparisons."""
    match node:
        case Number():
            yield number_text(node.value)
        case Name():
            yield node.name
        case Group():
            yield from ("(", (node.inner, SUM), ")")
        case Negative():
            yield from ("-", (node.operand, TERM))
        case Power():
            yield from ((node.base, BASE), "^", (node.exponent, ATOM))
        case Product():
            for position, (divides, factor) in enumerate(node.factors):
                if divides:
                    yield "1/" if position == 0 else "/"
                elif position:
                    yield "*"
                yield factor, FACTOR
        case Sum():
            for position, (minus, term) in enumerate(node.terms):
                if position or minus:
                    yield (" - " if minus else " + ") if position else "-"
                yield term, TERM
        case Comparison():
            yield from ((node.left, SUM), f" {node.operator} ", (node.right, SUM))
        case _:
            raise AssertionError(node)


def argument_pieces(node: Call) -> Iterable[Task]:
    """The arguments of a call, with commas."""
    for position, argument in enumerate(node.arguments):
        if position:
            yield ", "
        yield argument, SUM


def arithmetic_binds(node: Node) -> int:
    """How tightly the sign of a node binds."""
    match node:
        case Sum() | Comparison() | Negative():
            return SUM
        case Product():
            return TERM
        case Power():
            return FACTOR
    return ATOM


def declaration_text(statement: syntax.Declaration) -> str:
    """`X : (n, d) symmetric`."""
    sizes = ", ".join(map(str, statement.axes)) + ("," if len(statement.axes) == 1 else "")
    return " ".join([f"{statement.name} : ({sizes})", *statement.assumptions])


def pieces(node: Node) -> Iterable[Task]:
    match node:
        case Access():
            yield node.name + _indices(node.indices)
        case Call():
            yield f"{node.function}{_indices(node.kept)}("
            yield from argument_pieces(node)
            yield ")" + _indices(node.subscript)
        case _:
            yield from arithmetic_pieces(node)


# Matrix notation as text: what `notation/matrix_tree.py` reads.
#
# In: a surface tree of matrix notation. Out: a string, statements separated by newlines.
# Invariant: as `text.py`, which writes what the notations share.


def to_matrix_text(text: syntax.Text) -> str:
    """The statements of a surface tree, one a line."""
    return "\n".join(_statement_matrix_text(statement) for statement in text.statements)


def _statement_matrix_text(statement: syntax.Declaration | Definition) -> str:
    if isinstance(statement, syntax.Declaration):
        return declaration_text(statement)
    body = matrix_text(statement.expression)
    return body if statement.name is None else f"{statement.name} = {body}"


def matrix_text(root: Node) -> str:
    """One expression.

    >>> x = syntax.Name("x", (0, 0))
    >>> matrix_text(syntax.Product(((False, Transpose(x, (0, 0))), (False, x)), (0, 0)))
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


def broken(line: str, width: int) -> list[str]:
    """A long right-hand side in several lines, each but the first beginning with an operator.

    >>> broken("aaaa + bbbb*(c - d) - eeee", 14)
    ['aaaa', '+ bbbb*(c - d)', '- eeee']
    """
    pieces = [line]
    for depth in range(4):
        for signs in ((" + ", " - "), ("*",)):
            pieces = [
                part
                for piece in pieces
                for part in ([piece] if len(piece) <= width else _cut(piece, signs, depth, width))
            ]
    return pieces


def _cut(line: str, signs: tuple[str, ...], depth: int, width: int) -> list[str]:
    """A line cut before some of the `signs` at a depth of brackets, as few as will do."""
    inside = 0
    places = []
    for place, char in enumerate(line):
        inside += (char in "([") - (char in ")]")
        if inside == depth and place and line.startswith(signs, place):
            places.append(place)
    lines, start, last = [], 0, 0
    for place in [*places, len(line)]:
        if place - start > width and last > start:
            lines.append(line[start:last].strip())
            start = last
        last = place
    return [*lines, line[start:].strip()]
