"""Terms as flat lists of plain data, for pickling.

In: roots. Out: one row a node: kind, data, positions of the children; and back.
Invariant: nothing recurses, and what is read back is interned: the same objects in the same process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .expr import (
    Apply,
    Contraction,
    Delta,
    Derivative,
    Expr,
    Extent,
    Literal,
    Map,
    Ones,
    Sum,
    Variable,
)
from .walk import postorder

Row = tuple[str, tuple[Any, ...], tuple[int, ...]]

_VERSION = 1


def dump(roots: Sequence[Expr]) -> tuple[int, list[Row], list[int]]:
    """The rows of all nodes below `roots`, children first, and the positions of the roots."""
    position: dict[Expr, int] = {}
    rows: list[Row] = []
    for node in postorder(roots):
        position[node] = len(rows)
        children = tuple(position[child] for child in node.children)
        rows.append((type(node).__name__, _data(node), children))
    return _VERSION, rows, [position[root] for root in roots]


def _data(node: Expr) -> tuple[Any, ...]:
    match node:
        case Variable():
            return node.name, node.shape, tuple(sorted(node.assumptions))
        case Literal():
            return (node.value,)
        case Extent():
            return (node.dim,)
        case Ones() | Delta():
            return (node.shape[0],)
        case Contraction():
            return node.inputs, node.output
        case Sum():
            return node.coefficients, node.shape
        case Map():
            return (node.function,)
        case Apply():
            return node.function, node.width
    return ()


def load(data: tuple[int, list[Row], list[int]]) -> list[Expr]:
    """The roots that `dump` was given."""
    version, rows, roots = data
    if version != _VERSION:
        raise ValueError(f"terms of format {version} cannot be read, this is format {_VERSION}")
    nodes: list[Expr] = []
    for kind, facts, positions in rows:
        nodes.append(_node(kind, facts, tuple(nodes[place] for place in positions)))
    return [nodes[place] for place in roots]


def _node(kind: str, facts: tuple[Any, ...], children: tuple[Expr, ...]) -> Expr:
    match kind:
        case "Variable":
            return Variable(facts[0], facts[1], frozenset(facts[2]))
        case "Literal":
            return Literal(facts[0])
        case "Extent":
            return Extent(facts[0])
        case "Ones":
            return Ones(facts[0])
        case "Delta":
            return Delta(facts[0])
        case "Contraction":
            return Contraction(children, facts[0], facts[1])
        case "Sum":
            return Sum(children, facts[0], facts[1])
        case "Map":
            return Map(facts[0], children)
        case "Apply":
            return Apply(facts[0], children, facts[1])
        case "Derivative":
            expression, variable = children
            assert isinstance(variable, Variable)
            return Derivative(expression, variable)
    raise ValueError(f"unknown kind of node {kind!r}")
