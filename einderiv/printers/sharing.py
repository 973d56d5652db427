"""Which nodes of a term become definitions of their own, and where a summed index would be misread.

In: a term. Out: nodes to define (children first); for each node the axes that some product inside it
would sum by the convention.
Invariant: printing takes space linear in the number of nodes, however often they are shared.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..expr import Apply, Contraction, Delta, Expr, Extent, Label, Literal, Map, Ones, Sum, Variable
from ..functions import WHOLE
from ..walk import fold, postorder, uses

_NAME = 6  # characters of a reference such as t1[i,j]
_LINE = 14  # characters that a definition adds: its left-hand side and the line end


def shared_nodes(root: Expr) -> list[Expr]:
    """Nodes worth a definition: those that several places refer to and that are long enough."""
    counts = uses([root])
    length: dict[Expr, int] = {}
    chosen: list[Expr] = []
    for node in postorder([root]):
        size = _own_length(node) + sum(length[child] for child in node.children)
        times = counts[node]
        if (
            node is not root
            and times > 1
            and node.children
            and not _is_plain(node)
            and size * times > size + _LINE + times * (_NAME + 2 * node.rank) + 24
        ):
            chosen.append(node)
            size = _NAME + 2 * node.rank
        length[node] = size
    return chosen


def _own_length(node: Expr) -> int:
    if isinstance(node, Variable):
        return len(node.name) + 2 * node.rank
    return 3 + (len(node.children) if isinstance(node, Sum | Contraction) else 4)


def _is_plain(node: Expr) -> bool:
    """Transposes, diagonals, scaled terms and inverses of names are as short as a reference."""
    if isinstance(node, Contraction):
        return sum(not isinstance(child, Delta | Ones) for child in node.children) <= 1
    if isinstance(node, Apply) and WHOLE.get(node.function) and WHOLE[node.function].matrix:
        return not node.children[0].children
    return isinstance(node, Sum) and len(node.children) < 2


def hazards(root: Expr, lets: Mapping[Expr, str]) -> dict[Expr, frozenset[int]]:
    """For each node the axes whose index would be summed inside it if nothing around kept it.

    x_i y_i (elementwise) has the hazard 0: written alone it reads as the dot product.
    """

    def value(node: Expr, children: list[frozenset[int]]) -> frozenset[int]:
        known = [
            frozenset() if child in lets else hazard
            for child, hazard in zip(node.children, children, strict=True)
        ]
        match node:
            case Contraction():
                return _of_product(node, known)
            case Apply():
                return _of_function(node, known)
            case Sum() | Map():
                full = [h for child, h in zip(node.children, known, strict=True) if child.rank]
                return frozenset().union(*full)
        return frozenset()

    return fold([root], value)


def _of_product(node: Contraction, known: list[frozenset[int]]) -> frozenset[int]:
    places: dict[Label, set[tuple[Expr, tuple[int, ...]]]] = {}
    found: set[Label] = set()
    for operand, labels, hazard in zip(node.children, node.inputs, known, strict=True):
        if isinstance(operand, Ones | Literal | Extent):
            continue
        for label in labels:
            places.setdefault(label, set()).add((operand, labels))
            if labels.count(label) > 1:
                found.add(label)
        found.update(labels[axis] for axis in hazard)
    found.update(label for label, where in places.items() if len(where) > 1)
    return frozenset(axis for axis, label in enumerate(node.output) if label in found)


def _of_function(node: Apply, known: list[frozenset[int]]) -> frozenset[int]:
    if not node.children:
        return frozenset()
    (child,), (hazard,) = node.children, known
    core = 2 if WHOLE[node.function].matrix else node.width
    return frozenset(axis for axis in hazard if axis < child.rank - core)
