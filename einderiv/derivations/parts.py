"""Which parts of an expression a derivation names and derives once.

In: a term, the user's own definitions, the variable. Out: nodes with names, those below first.
Invariant: what is left of each definition and of the result fits a line or two, however large the term.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import chain, count

from ..printers import shared_nodes
from ..terms import (
    SPECIAL_TENSORS,
    WHOLE,
    Apply,
    Contraction,
    Delta,
    Expr,
    Literal,
    Map,
    Ones,
    Sum,
    Variable,
    base_and_exponent,
    is_view,
    postorder,
    split_scale,
)

_LINE = 64  # characters: a longer part becomes a definition; (X[a,b]*th[b] - Y[a]) has 20
_ARGUMENT = 18  # characters of an argument that a function's derivative would write twice
_MATRIX = 8  # the same for inverses and determinants, whose derivatives have the inverse in them
_NAME = 4


def named_parts(
    root: Expr, known: Mapping[Expr, str], moving: Set[Expr], taken: Iterable[str]
) -> dict[Expr, str]:
    """Parts below `root` that get a name: the user's, those that stand twice, and long ones.

    `moving` holds the nodes that depend on the variable: only they are derived, so only they count as long
    arguments.
    """
    shared = set(shared_nodes(root))
    _, whole = split_scale(root)
    users = {node for node in known if node.children}
    chosen: dict[Expr, None] = {}
    length: dict[Expr, int] = {}
    arguments = dict(_arguments(root, moving))
    for node in postorder([root]):
        size = _own_length(node) + sum(length[child] for child in node.children)
        if (
            node is not root
            and node is not whole
            and not _is_plain(node)
            and (
                node in shared
                or (node in users and node in moving)
                or size > _LINE
                or size > arguments.get(node, size)
            )
        ):
            chosen[node] = None
            size = _NAME + 2 * node.rank
        length[node] = size
    return _with_names(chosen, known, set(taken))


def _with_names(
    chosen: Iterable[Expr], known: Mapping[Expr, str], taken: set[str]
) -> dict[Expr, str]:
    result = {}
    numbers = (f"u{k}" for k in count(1))
    for node in chosen:
        name = known.get(node)
        if name is None or name in taken:
            name = next(fresh for fresh in numbers if fresh not in taken)
        taken.add(name)
        result[node] = name
    return result


def _arguments(root: Expr, moving: Set[Expr]) -> Iterator[tuple[Expr, int]]:
    """Arguments whose function repeats them in its derivative, and how long they may be."""
    for node in postorder([root]):
        child = node.children[0] if node.children else node
        if isinstance(node, Apply) and child in moving and child.children:
            yield child, _MATRIX if WHOLE[node.function].matrix else _ARGUMENT


def _own_length(node: Expr) -> int:
    if isinstance(node, Variable):
        return len(node.name) + 2 * node.rank + 1
    return 2 + (len(node.children) if isinstance(node, Sum | Contraction) else 4)


def _is_plain(node: Expr) -> bool:
    """Leaves, transposes, diagonals, powers and scaled terms of leaves need no name."""
    if not node.children:
        return True
    if isinstance(node, Contraction):
        rest = [child for child in node.children if not isinstance(child, Delta | Ones)]
        return len(rest) <= 1 and all(_is_plain(child) for child in rest)
    if isinstance(node, Map):
        base, exponent = base_and_exponent(node)
        return exponent != 1 and not base.children
    return isinstance(node, Sum) and len(node.children) < 2 and all(map(_is_plain, node.children))


def reserved_names(variables: Iterable[str], definitions: Iterable[str]) -> set[str]:
    """Names that a definition must not take."""
    return {*variables, *definitions, *SPECIAL_TENSORS}


# Which parts of an expression get a name in matrix notation.
#
# In: a term, the user's definitions, the variable's dependents. Out: nodes with names, those below first.
# Invariant: what is left of each definition and of the result fits a line, however large the term.

_LINE_matrix_parts = 60  # characters, about


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
        size = _own_length_matrix_parts(node) + sum(length[child] for child in node.children)
        is_users = node in known and node in moving
        named = node in shared or is_users or (size > _LINE_matrix_parts and not _is_view(node))
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


def _own_length_matrix_parts(node: Expr) -> int:
    if isinstance(node, Variable):
        return len(node.name)
    if isinstance(node, Sum | Contraction):
        return 2 * len(node.children)
    return 2 if isinstance(node, Literal) else 5


def _is_view(node: Expr) -> bool:
    return isinstance(node, Contraction) and is_view(node)
