"""Terms as flat lists of plain data, for pickling.

In: roots. Out: one row a node: kind, data, positions of the children; and back.
Invariant: nothing recurses, and what is read back is interned: the same objects in the same process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import expr as kinds
from .expr import Expr
from .walk import postorder

Row = tuple[str, tuple[Any, ...], tuple[int, ...]]
Builder = Callable[..., Expr]

_VERSION = 1
# What a node holds beside its children, and the node of that and its children.
_KINDS: dict[str, tuple[Callable[[Any], tuple[Any, ...]], Builder]] = {
    "Variable": (
        lambda node: (node.name, node.shape, tuple(sorted(node.assumptions))),
        lambda _, name, axes, words: kinds.Variable(name, axes, frozenset(words)),
    ),
    "Literal": (lambda node: (node.value,), lambda _, value: kinds.Literal(value)),
    "Extent": (lambda node: (node.dim,), lambda _, dim: kinds.Extent(dim)),
    "Ones": (lambda node: (node.shape[0],), lambda _, dim: kinds.Ones(dim)),
    "Delta": (lambda node: (node.shape[0],), lambda _, dim: kinds.Delta(dim)),
    "Contraction": (lambda node: (node.inputs, node.output), kinds.Contraction),
    "Sum": (lambda node: (node.coefficients, node.shape), kinds.Sum),
    "Map": (
        lambda node: (node.function,),
        lambda children, function: kinds.Map(function, children),
    ),
    "Apply": (
        lambda node: (node.function, node.width),
        lambda children, function, width: kinds.Apply(function, children, width),
    ),
}


def dump(roots: Sequence[Expr]) -> tuple[int, list[Row], list[int]]:
    """The rows of all nodes below `roots`, children first, and the positions of the roots."""
    position: dict[Expr, int] = {}
    rows: list[Row] = []
    for node in postorder(roots):
        position[node] = len(rows)
        kind = type(node).__name__
        rows.append((kind, _KINDS[kind][0](node), tuple(position[x] for x in node.children)))
    return _VERSION, rows, [position[root] for root in roots]


def load(data: tuple[int, list[Row], list[int]]) -> list[Expr]:
    """The roots that `dump` was given."""
    version, rows, roots = data
    if version != _VERSION:
        raise ValueError(f"terms of format {version} cannot be read, this is format {_VERSION}")
    nodes: list[Expr] = []
    for kind, facts, positions in rows:
        nodes.append(_KINDS[kind][1](tuple(nodes[place] for place in positions), *facts))
    return [nodes[place] for place in roots]
