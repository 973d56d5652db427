"""Walks over the surface tree.

In: a surface tree. Out: its nodes, their indices, the functions around a whole tensor.
Invariant: nothing recurses.
"""

from __future__ import annotations

from .. import functions
from . import syntax
from .syntax import Access, Call, Index, Name, Node


def tree_nodes(root: Node) -> list[Node]:
    """Every node of a surface tree, in the order of the text."""
    found: list[Node] = []
    stack = [root]
    while stack:
        node = stack.pop()
        found.append(node)
        stack.extend(reversed(parts(node)))
    return found


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes directly inside a node, in the order of the text."""
    match node:
        case syntax.Call():
            return node.arguments
        case syntax.Comparison():
            return node.left, node.right
        case syntax.Negative():
            return (node.operand,)
        case syntax.Power():
            return node.base, node.exponent
        case syntax.Product():
            return tuple(factor for _, factor in node.factors)
        case syntax.Sum():
            return tuple(term for _, term in node.terms)
        case syntax.Group():
            return (node.inner,)
        case syntax.Transpose():
            return (node.operand,)
        case syntax.Pointwise():
            return node.left, node.right
    return ()


def indices_of(node: Node) -> tuple[Index, ...]:
    """The indices that stand at a node itself."""
    if isinstance(node, Access):
        return node.indices
    if isinstance(node, Call):
        return (*(node.kept or ()), *(node.subscript or ()))
    return ()


def is_matrix_function(node: Call) -> bool:
    """Does the call name a function of matrices?"""
    return functions.ALIASES.get(node.function, node.function) in functions.MATRIX_FUNCTIONS


def whole_chain(node: Node) -> tuple[list[str], str]:
    """`inv(cholesky(A))` as the functions, outermost first, and the tensor's name."""
    chain = []
    while isinstance(node, Call):
        chain.append(functions.ALIASES.get(node.function, node.function))
        node = node.arguments[0]
    assert isinstance(node, Name)
    return chain, node.name
