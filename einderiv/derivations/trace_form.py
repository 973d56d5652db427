"""Scalars linear in a differential, turned until the differential stands last: tr(M*dX), m'*dx, m*dc.

In: pieces that are scalars. Out: pieces M*core, one law after the other.
Invariant: each function here is one law of traces applied to one piece; the value stays the same.
Source: the Washington notes, equation (14): dF = tr(G'*dX).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..notations import Call, Node, Number, Pointwise
from ..printers import NOWHERE, Atom, Chain, call_tree, chain_tree, flips, ones, transpose_chain
from ..terms import Dim
from .index_rules import Rule
from .pieces import ONE, SCALAR, UNTOLD, Factors, Matrices, Piece, Wrap

TRACE = Rule(
    "a number is its own trace",
    "u'*V*w = tr(u'*V*w)",
    r"u^{\mathsf{T}} V w = \operatorname{tr}(u^{\mathsf{T}} V w)",
)
SUM_TRACE = Rule(
    "sum as a trace",
    "sum(U.*V) = tr(U'*V)",
    r"\operatorname{sum}(U \odot V) = \operatorname{tr}(U^{\mathsf{T}} V)",
)
SUM_DOT = Rule(
    "sum as a product", "sum(u.*v) = u'*v", r"\operatorname{sum}(u \odot v) = u^{\mathsf{T}} v"
)
SUM_ONES = Rule(
    "sum as a product with ones",
    "sum(u) = ones'*u, sum(U) = ones'*U*ones",
    r"\operatorname{sum}(U) = \mathbf{1}^{\mathsf{T}} U \mathbf{1}",
)
TRANSPOSED = Rule(
    "transposition",
    "tr(U) = tr(U')",
    r"\operatorname{tr}(U) = \operatorname{tr}(U^{\mathsf{T}})",
)
TRANSPOSED_NUMBER = Rule(
    "a number is its own transpose",
    "u'*V*w = w'*V'*u",
    r"u^{\mathsf{T}} V w = w^{\mathsf{T}} V^{\mathsf{T}} u",
)
CYCLE = Rule(
    "cyclic rotation",
    "tr(U*V*W) = tr(W*U*V)",
    r"\operatorname{tr}(U V W) = \operatorname{tr}(W U V)",
)
ENTRYWISE = Rule(
    "entry-by-entry product moved",
    "tr(P*(U.*V)) = tr((P.*U')*V)",
    r"\operatorname{tr}(P\,(U \odot V)) = \operatorname{tr}((P \odot U^{\mathsf{T}})\,V)",
)
ENTRYWISE_TRACE = Rule(
    "entry-by-entry product moved",
    "tr(U.*V) = tr(diag(diag(U))*V)",
    r"\operatorname{tr}(U \odot V) = \operatorname{tr}(\operatorname{diag}(\operatorname{diag}(U))\,V)",
)
ENTRYWISE_COLUMN = Rule(
    "entry-by-entry product moved",
    "p'*(u.*v) = (p.*u)'*v",
    r"p^{\mathsf{T}} (u \odot v) = (p \odot u)^{\mathsf{T}} v",
)
DIAGONAL = Rule(
    "diagonal matrix",
    "tr(P*diag(v)) = diag(P)'*v",
    r"\operatorname{tr}(P \operatorname{diag}(v)) = \operatorname{diag}(P)^{\mathsf{T}} v",
)
DIAGONAL_OF = Rule(
    "diagonal of a matrix",
    "p'*diag(V) = tr(diag(p)*V)",
    r"p^{\mathsf{T}} \operatorname{diag}(V) = \operatorname{tr}(\operatorname{diag}(p)\,V)",
)


class TraceForm:
    """The laws, over the names of one derivation. Each returns the piece, changed where its law applies."""

    def __init__(self, matrices: Matrices) -> None:
        self.matrices = matrices

    def laws(self) -> list[Callable[[Piece], tuple[Piece, Rule | None]]]:
        """One step of the story each, in order; to be repeated until nothing changes."""
        return [self.traced, self.upright, self.rotated, self.pushed]

    # ------------------------------------------------------------ tr(...)

    def traced(self, piece: Piece) -> tuple[Piece, Rule | None]:
        """A scalar product or a sum as a trace; columns need none."""
        core = piece.core
        if isinstance(core, Wrap) and core.function == "sum":
            return self._sum(piece, core.inner)
        if not isinstance(core, Wrap) or core.function != "tr":
            if piece.kind.is_matrix:
                return self._in_trace(piece), TRACE
            return piece, None
        return piece, None

    def _in_trace(self, piece: Piece) -> Piece:
        return Piece(Wrap("tr", piece.bare()), SCALAR).times(
            piece.coefficient, piece.above, piece.below
        )

    def _around(self, piece: Piece, inner: Piece) -> Piece:
        """The scalars of `piece` around another scalar piece."""
        return inner.times(piece.coefficient, piece.above, piece.below)

    def _sum(self, piece: Piece, inner: Piece) -> tuple[Piece, Rule]:
        if self.matrices.value_kind(inner).rows is None:  # a row sums as the column does
            inner = inner.transposed()
        kind = self.matrices.value_kind(inner)
        core = inner.core
        alone = not inner.left and not inner.right and not inner.flipped
        if kind.is_matrix and alone and isinstance(core, Wrap) and core.function == ".*":
            turned = _turned(self.matrices, core.factors, ())
            product = self.matrices.placed(core.inner, (turned,), ())
            return self._in_trace(self._around(piece, product)), SUM_TRACE
        if alone and isinstance(core, Wrap) and core.function == ".*":
            ones_row = Atom(_ones(UNTOLD), flipped=True)
            turned = _turned(self.matrices, core.factors, (ones_row,))
            product = self.matrices.placed(core.inner, (turned,), ())
            return self._around(piece, product), SUM_DOT
        whole: Chain = tuple(
            self.matrices.atom(_ones(dim)) for dim in (kind.rows, kind.columns) if dim
        )
        left = transpose_chain(whole[:1])
        product = self.matrices.placed(inner, left, whole[1:])
        return self._around(piece, product), SUM_ONES

    # ------------------------------------------------------------ the differential upright

    def upright(self, piece: Piece) -> tuple[Piece, Rule | None]:
        """dX' becomes dX by transposing the whole."""
        core = piece.core
        if isinstance(core, Wrap) and core.function == "tr" and core.inner.flipped:
            return replace(piece, core=replace(core, inner=core.inner.transposed())), TRANSPOSED
        if piece.flipped and not piece.kind.is_matrix:
            turned = piece.transposed()
            return turned, TRANSPOSED_NUMBER
        return piece, None

    # ------------------------------------------------------------ the differential last

    def rotated(self, piece: Piece) -> tuple[Piece, Rule | None]:
        """tr(L*dX*R) = tr(R*L*dX); a column leaves the trace."""
        core = piece.core
        if isinstance(core, Wrap) and core.function == "tr":
            inner = core.inner
            last = replace(inner, left=(*inner.right, *inner.left), right=())
            if not inner.kind.is_matrix:
                return self._around(piece, last), CYCLE
            if inner.right:
                return replace(piece, core=Wrap("tr", last)), CYCLE
        elif piece.right and not piece.kind.is_matrix:
            return replace(piece, left=(*piece.right, *piece.left), right=()), CYCLE
        return piece, None

    # ------------------------------------------------------------ functions of the differential

    def pushed(self, piece: Piece) -> tuple[Piece, Rule | None]:
        """What stands between the trace and the differential, moved to the other factor."""
        core = piece.core
        inside = core.inner if isinstance(core, Wrap) and core.function == "tr" else None
        around = piece if inside is None else inside
        function = around.core
        waiting = inside is None and piece.kind.is_matrix  # for its trace
        if waiting or not isinstance(function, Wrap) or function.function in ("tr", "sum", ""):
            return piece, None
        left, inner = around.left, function.inner
        if function.function == ".*" and inside is not None and not left:
            product = self.matrices.placed(inner, _diagonal_part(self.matrices, function), ())
            rule = ENTRYWISE_TRACE
        elif function.function == ".*":
            moved = _turned(self.matrices, function.factors, left)
            product = self.matrices.placed(inner, (moved,), ())
            rule = ENTRYWISE if inside is not None else ENTRYWISE_COLUMN
        elif inside is not None:  # tr(P*diag(v))
            diagonal = call_tree("diag", chain_tree(left)) if left else self._no_factor(inner)
            product = self.matrices.placed(inner, (Atom(diagonal, flipped=True),), ())
            return self._around(piece, product), DIAGONAL
        else:  # p'*diag(V)
            diagonal = call_tree("diag", chain_tree(transpose_chain(left)))
            moved = self.matrices.atom(diagonal)
            product = self.matrices.placed(inner, (moved,), ())
            return self._in_trace(self._around(piece.bare(), product)).times(
                piece.coefficient, piece.above, piece.below
            ), DIAGONAL_OF
        if inside is None:
            return self._around(piece, product), rule
        return replace(piece, core=Wrap("tr", product)), rule

    def _no_factor(self, inner: Piece) -> Node:
        """diag(I): a column of ones."""
        rows = self.matrices.value_kind(inner).rows
        return _ones(UNTOLD if rows is None else rows)


def _turned(matrices: Matrices, factors: Factors, chain: Chain) -> Atom:
    """(P .* U') for tr(P*(U.*V)), (p .* u)' for p'*(u.*v): the one or the other transpose."""
    turned = [(op, transpose_chain((matrices.atom(tree),))) for op, tree in factors]
    plain = [(op, (matrices.atom(tree),)) for op, tree in factors]
    if all(_is_ones(atom) for atom in chain):
        return replace(matrices.atom(_entrywise(None, plain)), flipped=True)
    is_row = matrices.kind(chain_tree(chain)).rows is None
    direct = flips(chain) + sum(flips(c) for _, c in turned)
    other = flips(transpose_chain(chain)) + sum(flips(c) for _, c in plain) + 1
    if is_row or other < direct:
        return replace(matrices.atom(_entrywise(transpose_chain(chain), plain)), flipped=True)
    return matrices.atom(_entrywise(chain, turned))


def _diagonal_part(matrices: Matrices, function: Wrap) -> Chain:
    """diag(diag(U)) for what multiplies entry by entry inside a trace."""
    plain = [(op, (matrices.atom(tree),)) for op, tree in function.factors]
    diagonal = call_tree("diag", call_tree("diag", _entrywise(None, plain)))
    return (matrices.atom(diagonal),)


def _entrywise(first: Chain | None, factors: Sequence[tuple[str, Chain]]) -> Node:
    tree = None if first is None else chain_tree(first)
    for operator, chain in sorted(factors, key=lambda entry: entry[0] == "./"):
        if tree is None and operator == ".*":
            tree = chain_tree(chain)
        else:
            left = Number(ONE, NOWHERE) if tree is None else tree
            tree = Pointwise(operator, left, chain_tree(chain), NOWHERE)
    assert tree is not None
    return tree


def _is_ones(atom: Atom) -> bool:
    """A column of ones, or a matrix of them."""
    tree = atom.tree
    if atom.ones is not None:
        return True
    return (
        isinstance(tree, Call)
        and tree.function in ("vector", "matrix")
        and isinstance(tree.arguments[0], Number)
        and tree.arguments[0].value == 1
    )


def _ones(dim: Dim) -> Node:
    return call_tree("vector", Number(ONE, NOWHERE)) if dim == UNTOLD else chain_tree(ones(dim))
