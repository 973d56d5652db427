"""Which parts of an expression a derivation names and derives once.

In: a term, the user's own definitions, the nodes that depend on the variable (`moving`).
Out: nodes with names, those below first.
Invariant: what is left of each definition and of the result fits a line or two, however large the term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from itertools import chain, count

from ..notations import Context
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
_MATRIX_LINE = 60  # the same in matrix notation, about
_ARGUMENT = 18  # characters of an argument that a function's derivative would write twice
_MATRIX_ARGUMENT = (
    8  # the same for inverses and determinants, whose derivatives have the inverse in them
)
_NAME = 4


def reserved_names(context: Context) -> set[str]:
    """Names that a definition must not take."""
    return {*context.variables, *context.declared, *SPECIAL_TENSORS}


def free_name(wanted: Iterable[str | None], taken: set[str], more: Iterable[str] = ()) -> str:
    """The first name that is not taken; it is taken from now on."""
    fallback = (f"F{k}" for k in count(1))
    name = next(name for name in chain(wanted, more, fallback) if name and name not in taken)
    taken.add(name)
    return name


def named_parts(
    root: Expr, known: Mapping[Expr, str], moving: Set[Expr], taken: set[str]
) -> dict[Expr, str]:
    """Parts below `root` that get a name in index notation: the user's, those that occur twice, long ones."""
    most = {  # arguments whose function repeats them in its derivative
        node.children[0]: _MATRIX_ARGUMENT if WHOLE[node.function].matrix else _ARGUMENT
        for node in postorder([root])
        if isinstance(node, Apply) and node.children and node.children[0] in moving
    }

    def own_length(node: Expr) -> int:
        if isinstance(node, Variable):
            return len(node.name) + 2 * node.rank + 1
        return 2 + (len(node.children) if isinstance(node, Sum | Contraction) else 4)

    def is_named(node: Expr, size: int, is_known: bool) -> bool:
        return not _is_plain(node) and (is_known or size > min(_LINE, most.get(node, size)))

    return _names(
        root, known, moving, taken, own_length, is_named, lambda node, _: _NAME + 2 * node.rank
    )


def named_matrices(
    root: Expr, known: Mapping[Expr, str], moving: Set[Expr], taken: set[str]
) -> dict[Expr, str]:
    """The same in matrix notation, in which a part has two axes at most."""

    def own_length(node: Expr) -> int:
        if isinstance(node, Variable):
            return len(node.name)
        if isinstance(node, Sum | Contraction):
            return 2 * len(node.children)
        return 2 if isinstance(node, Literal) else 5

    def is_named(node: Expr, size: int, is_known: bool) -> bool:
        return node.rank <= 2 and (is_known or (size > _MATRIX_LINE and not is_view(node)))

    return _names(root, known, moving, taken, own_length, is_named, lambda _, name: len(name))


def _names(
    root: Expr,
    known: Mapping[Expr, str],
    moving: Set[Expr],
    taken: set[str],
    own_length: Callable[[Expr], int],
    is_named: Callable[[Expr, int, bool], bool],
    name_length: Callable[[Expr, str], int],
) -> dict[Expr, str]:
    """`is_named(node, its length, is it the user's or shared?)` chooses; then it is as long as its name."""
    shared = set(shared_nodes(root))
    _, whole = split_scale(root)
    names: dict[Expr, str] = {}
    length: dict[Expr, int] = {}
    numbers = (f"u{k}" for k in count(1))
    for node in postorder([root]):
        size = own_length(node) + sum(length[child] for child in node.children)
        is_known = node in shared or (node in known and node in moving)
        if node.children and node not in (root, whole) and is_named(node, size, is_known):
            names[node] = free_name((known.get(node),), taken, numbers)
            size = name_length(node, names[node])
        length[node] = size
    return names


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
