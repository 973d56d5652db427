"""What is assumed of tensors, applied to terms; and equality up to what nobody named.

In: terms, words such as symmetric for their tensors. Out: simplified terms.
Invariant: derivatives are taken before assumptions are applied, so that the entries of a symmetric matrix
count as independent; the assumption only shortens what is shown and computed.
"""

from __future__ import annotations

from collections.abc import Mapping

from .expr import Expr, Variable
from .simplifier import simplify
from .substitution import renamed_dims, substituted
from .walk import postorder


def with_assumptions(term: Expr, assumptions: Mapping[str, frozenset[str]]) -> Expr:
    """The term, simplified by what is assumed: Q + Q' is 2 Q for a symmetric Q."""
    if not assumptions:
        return term
    places: dict[Expr, Expr] = {
        node: Variable(node.name, node.shape, assumptions[node.name])
        for node in postorder([term])
        if isinstance(node, Variable) and node.name in assumptions
    }
    if not places:
        return term
    return simplify(substituted([term], places))[0]


def declared_everywhere(term: Expr) -> Expr:
    """The term without assumptions, its symbolic extents numbered as they are met."""
    plain: dict[Expr, Expr] = {}
    dims: dict[str, str] = {}
    for node in postorder([term]):
        if isinstance(node, Variable) and node.assumptions:
            plain[node] = Variable(node.name, node.shape)
        for dim in node.shape:
            if isinstance(dim, str):
                dims.setdefault(dim, f"#{len(dims)}")
    (bare,) = substituted([term], plain)
    return renamed_dims([bare], dims)[0]


def same_up_to_extents(first: Expr, second: Expr) -> bool:
    """Are two terms one, whatever their symbolic extents are called?"""
    return first is second or (
        first.rank == second.rank and declared_everywhere(first) is declared_everywhere(second)
    )
