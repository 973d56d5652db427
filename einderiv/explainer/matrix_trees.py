"""Surface trees of matrix notation, rebuilt: names and calls replaced, numbers recognised.

In: surface trees. Out: surface trees.
Invariant: brackets are left to the printers, which put them where they are needed. Trees are a line long,
so recursion over them is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction

from ..notation.syntax import (
    Call,
    Comparison,
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
from ..printers.trees import NOWHERE

_OF_TRANSPOSES = ("sum", "tr", "norm2")
_SIZED = ("eye", "ones", "zeros")  # their arguments are extents


def mapped(tree: Node, change: Callable[[Node], Node | None]) -> Node:
    """A tree with `change(node)` for every outermost node for which it gives one."""
    new = change(tree)
    if new is not None:
        return new
    match tree:
        case Group():
            return Group(mapped(tree.inner, change), NOWHERE)
        case Negative():
            return Negative(mapped(tree.operand, change), NOWHERE)
        case Transpose():
            return Transpose(mapped(tree.operand, change), NOWHERE)
        case Power():
            base, exponent = mapped(tree.base, change), mapped(tree.exponent, change)
            return Power(base, exponent, NOWHERE)
        case Product():
            factors = tuple((divides, mapped(f, change)) for divides, f in tree.factors)
            return Product(factors, NOWHERE)
        case Sum():
            return Sum(tuple((minus, mapped(t, change)) for minus, t in tree.terms), NOWHERE)
        case Pointwise() | Comparison():
            left, right = mapped(tree.left, change), mapped(tree.right, change)
            return replace(tree, left=left, right=right)
        case Call() if tree.function not in _SIZED:
            arguments = (bare(mapped(argument, change)) for argument in tree.arguments)
            return replace(tree, arguments=tuple(arguments))
    return tree


def put_in(tree: Node, places: Mapping[str, Node]) -> Node:
    """A tree with trees for names."""

    def change(node: Node) -> Node | None:
        if isinstance(node, Name) and node.name in places:
            return bare(places[node.name])
        return None

    return mapped(tree, change)


def tidied(tree: Node) -> Node:
    """Transposes dropped where the value is the same without: sum(U'), tr(U'), norm2(U')."""

    def change(node: Node) -> Node | None:
        if isinstance(node, Call) and node.function in _OF_TRANSPOSES:
            (argument,) = node.arguments
            new = _turned(argument)
            return None if new is None else replace(node, arguments=(mapped(new, change),))
        return None

    return mapped(tree, change)


def _turned(tree: Node) -> Node | None:
    """The transpose of a tree that is one, or a product of many."""
    if isinstance(tree, Transpose):
        return bare(tree.operand)
    if isinstance(tree, Product) and not any(divides for divides, _ in tree.factors):
        flipped = [isinstance(factor, Transpose) for _, factor in tree.factors]
        if 2 * sum(flipped) > len(flipped):
            turned = [
                factor.operand if isinstance(factor, Transpose) else Transpose(factor, NOWHERE)
                for _, factor in reversed(tree.factors)
            ]
            return Product(tuple((False, factor) for factor in turned), NOWHERE)
    return None


def bare(tree: Node) -> Node:
    """A tree without brackets around it."""
    return tree.inner if isinstance(tree, Group) else tree


def number_in(tree: Node) -> Fraction | None:
    """The number that an exponent is, if it is one."""
    match tree:
        case Number():
            return tree.value
        case Group():
            return number_in(tree.inner)
        case Negative():
            inner = number_in(tree.operand)
            return None if inner is None else -inner
        case Product():
            result = Fraction(1)
            for divides, factor in tree.factors:
                value = number_in(factor)
                if value is None:
                    return None
                result = result / value if divides else result * value
            return result
    return None
