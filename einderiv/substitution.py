"""Terms rebuilt with other leaves: variables replaced, extents renamed.

In: roots and a mapping of leaves. Out: canonical roots.
Invariant: labels are local to their contraction, so nothing can be captured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .canonical import (
    add,
    extent,
    zero,
)
from .expr import Delta, Dim, Expr, Extent, Ones, Shape, Sum, Variable
from .rebuilding import (
    with_children,
)
from .walk import rebuild


def substituted(roots: Sequence[Expr], places: Mapping[Expr, Expr]) -> list[Expr]:
    """The roots with every key of `places` replaced by its value, of the same shape."""

    def build(node: Expr, children: tuple[Expr, ...]) -> Expr:
        if node in places:
            return places[node]
        return node if children == node.children else with_children(node, children)

    new = rebuild(roots, build)
    return [new[root] for root in roots]


def renamed_dims(roots: Sequence[Expr], dims: Mapping[str, Dim]) -> list[Expr]:
    """The roots with symbolic extents renamed, or given as numbers."""
    if not dims:
        return list(roots)

    def renamed(shape: Shape) -> Shape:
        return tuple(dims.get(dim, dim) if isinstance(dim, str) else dim for dim in shape)

    def build(node: Expr, children: tuple[Expr, ...]) -> Expr:
        match node:
            case Variable():
                return Variable(node.name, renamed(node.shape), node.assumptions)
            case Extent():
                return extent(dims.get(node.dim, node.dim))
            case Ones():
                return Ones(renamed(node.shape)[0])
            case Delta():
                return Delta(renamed(node.shape)[0])
            case Sum() if not children:
                return zero(renamed(node.shape))
            case Sum():
                return with_children_of_shape(node, children)
        return with_children(node, children)

    new = rebuild(roots, build)
    return [new[root] for root in roots]


def with_children_of_shape(node: Sum, children: Sequence[Expr]) -> Expr:
    """A sum of the same coefficients over terms of another shape."""
    return add(zip(node.coefficients, children, strict=True), children[0].shape)
