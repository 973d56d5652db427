"""Which parts of an expression get a name in matrix notation.

In: a term, the user's definitions, the variable's dependents. Out: nodes with names, those below first.
Invariant: what is left of each definition and of the result fits a line, however large the term.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from itertools import chain, count

from ..expr import Contraction, Expr, Literal, Sum, Variable
from ..printers.sharing import shared_nodes
from ..structure import is_view, split_scale
from ..walk import postorder

_LINE = 60  # characters, about


def named_matrices(
    root: Expr, known: Mapping[Expr, str], moving: Set[Expr], taken: set[str]
) -> dict[Expr, str]:
    """Parts below `root` that get a name: the user's that move, those that stand twice, and long ones."""
    shared = set(shared_nodes(root))
    _, whole = split_scale(root)
    chosen: dict[Expr, str] = {}
    length: dict[Expr, int] = {}
    numbers = (f"u{k}" for k in count(1))
    for node in postorder([root]):
        size = _own_length(node) + sum(length[child] for child in node.children)
        is_users = node in known and node in moving
        named = node in shared or is_users or (size > _LINE and not _is_view(node))
        if named and node.children and node is not root and node is not whole and node.rank <= 2:
            chosen[node] = free_name((known.get(node),), taken, numbers)
            taken.add(chosen[node])
            size = len(chosen[node])
        length[node] = size
    return chosen


def free_name(wanted: Iterable[str | None], taken: Iterable[str], more: Iterable[str] = ()) -> str:
    """The first name that is not taken."""
    used = set(taken)
    fallback = (f"F{k}" for k in count(1))
    return next(name for name in chain(wanted, more, fallback) if name and name not in used)


def _own_length(node: Expr) -> int:
    if isinstance(node, Variable):
        return len(node.name)
    if isinstance(node, Sum | Contraction):
        return 2 * len(node.children)
    return 2 if isinstance(node, Literal) else 5


def _is_view(node: Expr) -> bool:
    return isinstance(node, Contraction) and is_view(node)
