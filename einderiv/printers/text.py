"""Index notation and matrix notation as text, which the readers of `notations` read back.

In: a surface tree. Out: a string, statements separated by newlines.
Invariant: brackets are written only if the grammar's precedence needs them; nothing recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from ..notations import Node, syntax
from .trees import Partial

SUM, TERM, FACTOR, BASE, ATOM = range(5)  # how tightly a place binds


def to_text(text: syntax.Text) -> str:
    """The statements of a surface tree, one a line."""
    return "\n".join(_statement(statement) for statement in text.statements)


def _statement(statement: syntax.Declaration | syntax.Definition) -> str:
    if isinstance(statement, syntax.Declaration):  # X : (n, d) symmetric
        sizes = ", ".join(map(str, statement.axes)) + ("," if len(statement.axes) == 1 else "")
        return " ".join([f"{statement.name} : ({sizes})", *statement.assumptions])
    body = tree_text(statement.expression)
    if statement.name is None:
        return body
    return f"{statement.name}{_indices(statement.indices)} = {body}"


def tree_text(root: Node) -> str:
    """One expression, `X[a,b]*∂th[b]/∂th[d]` in index notation, `x'*x` in matrix notation.

    >>> x = syntax.Name("x", (0, 0))
    >>> tree_text(syntax.Product(((False, syntax.Transpose(x, (0, 0))), (False, x)), (0, 0)))
    "x'*x"
    """
    return render(root, _pieces, binds)


def _indices(indices: Sequence[syntax.Index] | None) -> str:
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


def render(
    root: Node,
    pieces: Pieces,
    binds: Callable[[Node], int],
    brackets: tuple[str, str] = ("(", ")"),
) -> str:
    """A tree as text: `pieces` writes a node, `binds` says how tightly its own sign binds.

    A node gets brackets if its place binds tighter than it.
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


def binds(node: Node | Partial) -> int:
    """How tightly the sign of a node binds."""
    match node:
        case syntax.Sum() | syntax.Comparison() | syntax.Negative():
            return SUM
        case syntax.Product() | Partial() | syntax.Pointwise(operator=".*" | "./"):
            return TERM
        case syntax.Power() | syntax.Pointwise():
            return FACTOR
        case syntax.Transpose():
            return BASE
    return ATOM


def _pieces(node: Node | Partial) -> Iterable[Task]:
    match node:
        case syntax.Number():
            yield number_text(node.value)
        case syntax.Name():
            yield node.name
        case syntax.Access():
            yield node.name + _indices(node.indices)
        case syntax.Call():
            yield f"{node.function}{_indices(node.kept)}("
            yield from separate(node.arguments, ", ")
            yield ")" + _indices(node.subscript)
        case syntax.Group():
            yield from ("(", (node.inner, SUM), ")")
        case syntax.Negative():
            yield from ("-", (node.operand, TERM))
        case syntax.Transpose():
            yield from ((node.operand, BASE), "'")
        case syntax.Power():
            yield from ((node.base, BASE), "^", (node.exponent, ATOM))
        case syntax.Pointwise(operator=".^"):
            yield from ((node.left, BASE), ".^", (node.right, ATOM))
        case syntax.Pointwise():
            yield from pointwise_pieces(node, node.operator)
        case syntax.Product():
            for position, (divides, factor) in enumerate(node.factors):
                if divides:
                    yield "1/" if position == 0 else "/"
                elif position:
                    yield "*"
                yield factor, FACTOR
        case syntax.Sum():
            yield from sum_pieces(node)
        case syntax.Comparison():
            yield from ((node.left, SUM), f" {node.operator} ", (node.right, SUM))
        case Partial():
            inner = [(node.inner, ATOM)] if node.is_short else ["(", (node.inner, SUM), ")"]
            yield from ("∂", *inner, "/∂", (node.variable, ATOM))


def sum_pieces(node: syntax.Sum) -> Iterable[Task]:
    """`a + b - c`."""
    for position, (minus, term) in enumerate(node.terms):
        if position or minus:
            yield (" - " if minus else " + ") if position else "-"
        yield term, TERM


def pointwise_pieces(node: syntax.Pointwise, sign: str) -> Iterable[Task]:
    """The left one may be such a chain itself, but never a matrix product without brackets."""
    chained = isinstance(node.left, syntax.Pointwise)
    yield from ((node.left, TERM if chained else FACTOR), sign, (node.right, FACTOR))


def separate(trees: Iterable[Node], between: str) -> Iterable[Task]:
    """Trees with a sign or a comma between them."""
    for position, tree in enumerate(trees):
        if position:
            yield between
        yield tree, SUM


def break_line(line: str, width: int) -> list[str]:
    """A long right-hand side in several lines, each but the first beginning with an operator.

    >>> break_line("aaaa + bbbb*(c - d) - eeee", 14)
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
