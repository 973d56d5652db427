"""Pieces in trace form collected: equal ones added up, one factor for each differential.

In: pieces tr(M*dX), m'*dx or m*dc. Out: fewer such pieces.
Invariant: each function is one law; what all pieces share stays outside the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from ..notation.syntax import Call, Name, Node, Number, Power
from ..printers.chains import Atom, Chain, Form, chain_tree, identity, sum_tree
from ..printers.matrix_text import tree_text
from ..printers.trees import powered
from .laws import Rule
from .linear_pieces import ONE, PENDING, SCALAR, Matrices, Piece, Wrap
from .matrix_trees import bare

COLLECTED = Rule("like terms collected", "u + u = 2*u", r"u + u = 2\,u")
FACTORED = Rule(
    "collected",
    "tr(U*dX) + tr(V*dX) = tr((U + V)*dX)",
    r"\operatorname{tr}(U\,\mathrm{d}X) + \operatorname{tr}(V\,\mathrm{d}X)"
    r" = \operatorname{tr}((U + V)\,\mathrm{d}X)",
)
FACTORED_COLUMN = Rule(
    "collected",
    "u'*dx + v'*dx = (u' + v')*dx",
    r"u^{\mathsf{T}}\,\mathrm{d}x + v^{\mathsf{T}}\,\mathrm{d}x"
    r" = (u^{\mathsf{T}} + v^{\mathsf{T}})\,\mathrm{d}x",
)
FACTORED_NUMBER = Rule(
    "collected",
    "u*dx + v*dx = (u + v)*dx",
    r"u\,\mathrm{d}x + v\,\mathrm{d}x = (u + v)\,\mathrm{d}x",
)


def inner_of(piece: Piece) -> Piece:
    """What stands inside the trace of a piece in trace form."""
    core = piece.core
    return core.inner if isinstance(core, Wrap) and core.function == "tr" else piece


def is_pending(piece: Piece) -> bool:
    """Is its differential not carried out yet?"""
    core = piece.innermost()
    return isinstance(core, Call) and core.function == PENDING


def core_name(piece: Piece) -> str:
    """The name of its differential."""
    core = piece.innermost()
    return core.name if isinstance(core, Name) else ""


def reduced(matrices: Matrices, piece: Piece) -> Piece:
    """Numbers in front of a chain closed, equal factors as powers, what stands above and below cancelled."""
    found, rest = _closed_front(matrices, piece.left)
    core = piece.core
    if isinstance(core, Wrap) and core.function == "tr":
        inner = reduced(matrices, core.inner)
        above, below = (*piece.above, *inner.above), (*piece.below, *inner.below)
        size = piece.coefficient * inner.coefficient
        core = replace(core, inner=inner.bare())
        piece = replace(piece, core=core, above=above, below=below, coefficient=size)
    powers: dict[str, tuple[Node, Fraction]] = {}
    for trees, sign in (((*piece.above, *found), 1), (piece.below, -1)):
        for tree in trees:
            base, exponent = _base_and_exponent(tree)
            text = tree_text(base)
            known = powers.get(text, (base, Fraction(0)))[1]
            powers[text] = base, known + sign * exponent
    return replace(
        piece,
        above=tuple(_raised(base, p) for base, p in powers.values() if p > 0),
        below=tuple(_raised(base, -p) for base, p in powers.values() if p < 0),
        left=rest,
    )


def _closed_front(matrices: Matrices, chain: Chain) -> tuple[list[Node], Chain]:
    """The numbers that a chain begins with, y'*y in y'*y*x', and what is left."""
    found: list[Node] = []
    start = 0
    for end in range(2, len(chain)):
        front = chain_tree(chain[start:end])
        if end - start > 1 and matrices.kind(front).is_scalar:
            found.append(front)
            start = end
    return found, chain[start:]


def _base_and_exponent(tree: Node) -> tuple[Node, Fraction]:
    if isinstance(tree, Power) and isinstance(tree.exponent, Number):
        return bare(tree.base), tree.exponent.value
    return bare(tree), ONE


def _raised(base: Node, exponent: Fraction) -> Node:
    return base if exponent == 1 else powered(base, exponent)


def merged(matrices: Matrices, pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces that read the same added up; those that cancel are gone."""
    found: dict[str, list[Piece]] = {}
    for piece in pieces:
        key = tree_text(matrices.tree([replace(piece, coefficient=ONE)]))
        found.setdefault(key, []).append(piece)
    totals = [
        replace(same[0], coefficient=sum((p.coefficient for p in same), Fraction(0)))
        for same in found.values()
    ]
    return [piece for piece in totals if piece.coefficient]


def factoring_rule(piece: Piece) -> Rule:
    """The law by which pieces like this one are collected."""
    kind = inner_of(piece).kind
    if kind.is_scalar:
        return FACTORED_NUMBER
    return FACTORED if kind.is_matrix else FACTORED_COLUMN


def gathered(group: Sequence[Piece]) -> Piece:
    """tr(U*dX) + tr(V*dX) as tr((U + V)*dX)."""
    if len(group) == 1:
        return group[0]
    inner = inner_of(group[0])
    forms = [factor_form(piece) for piece in group]
    outside, forms = _common_scalars(forms)
    terms = [(f.coefficient < 0, replace(f, coefficient=abs(f.coefficient))) for f in forms]
    plain = replace(inner.bare(), left=(), right=())
    tree = sum_tree(terms)
    if inner.kind.is_scalar:
        plain = plain.times(Fraction(1), (tree,))
    else:
        plain = replace(plain, left=(Atom(tree, terms=tuple(terms)),))
    if inner.kind.is_matrix:
        plain = Piece(Wrap("tr", plain), SCALAR)
    return plain.times(outside.coefficient, outside.above, outside.below)


def factor_form(piece: Piece) -> Form:
    """M of tr(M*dX), with the scalars of the piece."""
    inner = inner_of(piece)
    chain = inner.left
    if inner.kind.is_matrix and not chain:
        assert inner.kind.rows is not None
        chain = identity(inner.kind.rows)
    return Form(piece.coefficient, piece.above, piece.below, chain)


def _common_scalars(forms: Sequence[Form]) -> tuple[Form, list[Form]]:
    """The scalars that all forms share, and the forms without them."""
    first = forms[0]
    sizes = {abs(form.coefficient) for form in forms}
    size = sizes.pop() if len(sizes) == 1 else Fraction(1)
    if all(form.coefficient < 0 for form in forms):
        size = -size
    above = _common([form.above for form in forms])
    below = _common([form.below for form in forms])
    rest = [
        Form(f.coefficient / size, _without(f.above, above), _without(f.below, below), f.chain)
        for f in forms
    ]
    outside = Form(
        size,
        tuple(tree for tree in first.above if tree_text(tree) in above),
        tuple(tree for tree in first.below if tree_text(tree) in below),
    )
    return outside, rest


def _common(groups: Sequence[Sequence[Node]]) -> set[str]:
    """The texts of trees that stand once in every group."""
    texts = [[tree_text(tree) for tree in group] for group in groups]
    return {t for t in texts[0] if all(own.count(t) == 1 for own in texts)}


def _without(trees: Sequence[Node], gone: set[str]) -> tuple[Node, ...]:
    return tuple(tree for tree in trees if tree_text(tree) not in gone)
