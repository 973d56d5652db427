"""Nodes over other children, in canonical form.

In: a node and children of the same shapes. Out: the canonical term of its kind.
Invariant: a canonical node over its own children is itself; `why_not_canonical` tells where not.
"""

from __future__ import annotations

from collections.abc import Sequence

from .canonical import add, contract, elementwise, whole
from .expr import Apply, Contraction, Expr, Map, Sum


def with_children(node: Expr, children: Sequence[Expr]) -> Expr:
    """The canonical term of `node`'s kind over other children of the same shapes."""
    if isinstance(node, Contraction):
        return contract(children, node.inputs, node.output)
    if isinstance(node, Sum):
        return add(zip(node.coefficients, children, strict=True), node.shape)
    if isinstance(node, Map):
        return elementwise(node.function, children)
    if isinstance(node, Apply) and children:
        return whole(node.function, children[0], node.width)
    return node


def why_not_canonical(node: Expr) -> str | None:
    """The reason why rebuilding `node` changes it, None if it does not."""
    again = with_children(node, node.children)
    return None if again is node else f"{node!r} rebuilds as {again!r}"
