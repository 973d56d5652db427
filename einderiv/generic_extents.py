"""Large extents given as numbers, replaced by symbols, so that terms can be tried at small sizes.

In: terms. Out: the terms over symbolic extents, and what each symbol stood for.
Invariant: equal numbers become one symbol. Terms that agree for every value of the symbols agree for the
numbers; numbers that a term computes with, such as the 1/1000 of a mean, stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from .canonical import zero
from .expr import Apply, Delta, Dim, Expr, Extent, Ones, Shape, Sum, Variable
from .rebuilding import with_children
from .substitution import with_children_of_shape
from .walk import postorder, rebuild

_LARGE = 7  # smaller extents are tried as they are


def generalised(terms: Sequence[Expr]) -> tuple[list[Expr], dict[str, Dim]]:
    """The terms with symbols for large extents, and the number of each symbol."""
    nodes = postorder(terms)
    dims = {dim for node in nodes for dim in node.shape}
    used = {dim for dim in dims if isinstance(dim, str)}
    used |= {node.dim for node in nodes if isinstance(node, Extent)}
    used |= {node.name for node in nodes if isinstance(node, Variable)}
    names: dict[Dim, str] = {}
    fixed = {node.width for node in nodes if isinstance(node, Apply) and node.function == "eps"}
    for number in sorted(dim for dim in dims if isinstance(dim, int)):
        if number >= _LARGE and number not in fixed:
            name = f"n{number}"
            while name in used:
                name += "_"
            names[number] = name
    if not names:
        return list(terms), {}

    def renamed(shape: Shape) -> Shape:
        return tuple(names.get(dim, dim) for dim in shape)

    def build(node: Expr, children: tuple[Expr, ...]) -> Expr:
        match node:
            case Variable():
                return Variable(node.name, renamed(node.shape), node.assumptions)
            case Ones():
                return Ones(renamed(node.shape)[0])
            case Delta():
                return Delta(renamed(node.shape)[0])
            case Sum() if not children:
                return zero(renamed(node.shape))
            case Sum():
                return with_children_of_shape(node, children)
        return with_children(node, children) if children else node

    new = rebuild(terms, build)
    return [new[term] for term in terms], {name: number for number, name in names.items()}
