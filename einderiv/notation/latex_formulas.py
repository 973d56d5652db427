"""Small facts about formulas, and small surface trees.

In: formulas as `latex_tree.py` makes them. Out: facts; trees with brackets where they are needed.
Invariant: nothing recurses.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from .. import functions
from ..errors import Span
from . import syntax
from .latex_tree import (
    Applied,
    Enclosed,
    Equation,
    Formula,
    Fraction_,
    Listed,
    Root,
    Row,
    Scripted,
    Terms,
)
from .syntax import Group, Index, Negative, Node


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An entry of an expression without indices: of a matrix, or of a vector where column is None."""

    formula: Formula
    row: Index
    column: Index | None
    turns: tuple[Formula, ...] = ()


Scripts = Sequence[tuple[str, Formula]]
Visit = Generator[Any, Any, Any]


def is_function(name: str) -> bool:
    known = (
        *functions.ELEMENTWISE, *functions.WHOLE, *functions.REDUCTIONS, *functions.NORMALISATIONS,
        *functions.MATRIX_FUNCTIONS, *functions.ALIASES, "diag", "vec", "norm1", "norm2",
    )  # fmt: skip
    return name in known and name != "pi"


def is_norm(node: Formula) -> bool:
    return isinstance(node, Enclosed) and node.kind == "||"


def unbraced(node: Formula) -> Formula:
    """A formula without braces around it, which only group."""
    while isinstance(node, Enclosed) and node.kind == "{" and len(node.inside) == 1:
        (node,) = node.inside
    return node


def unscripted(node: Formula) -> Formula:
    return node.base if isinstance(node, Scripted) else node


def side_by_side(node: Formula) -> Sequence[Formula]:
    if isinstance(node, Row) and all(sign == "" for sign, _ in node.parts):
        return [unbraced(part) for _, part in node.parts]
    return [node]


def grouped(tree: Node) -> Node:
    """A tree that may stand as a factor or a base."""
    if isinstance(tree, syntax.Sum | syntax.Product | Negative | syntax.Pointwise):
        return Group(tree, tree.span)
    return tree


def bare_inside(tree: Node) -> Node:
    return tree.inner if isinstance(tree, Group) else tree


def product_of(factors: Sequence[tuple[bool, Node]], span: Span | None = None) -> Node:
    if len(factors) == 1 and not factors[0][0]:
        return factors[0][1]
    whole = span or (factors[0][1].span[0], factors[-1][1].span[1])
    return syntax.Product(tuple(factors), whole)


def nodes_of(equation: Equation) -> list[Formula]:
    """Every node of an equation, in the order of the text."""
    found: list[Formula] = []
    stack: list[Formula] = [side for side in (equation.right, equation.left) if side is not None]
    while stack:
        node = stack.pop()
        found.append(node)
        stack += reversed(_parts(node))
    return found


def _parts(node: Formula) -> list[Formula]:
    match node:
        case Row() | Terms():
            return [part for _, part in node.parts]
        case Fraction_():
            return [node.above, node.below]
        case Enclosed():
            return list(node.inside)
        case Scripted():
            return [node.base, *(script for _, script in node.scripts)]
        case Applied():
            return [*(script for _, script in node.scripts), node.argument]
        case Root():
            return [*([node.degree] if node.degree else []), node.inside]
        case Listed():
            return list(node.parts)
    return []
