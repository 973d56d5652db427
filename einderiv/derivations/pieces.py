"""Linear expressions of matrix notation, taken apart into pieces: coefficient * left * core * right.

In: surface trees of matrix notation that are linear in differentials. Out: pieces, and trees of them.
Invariant: a piece holds one differential (its core); sums, numbers and scalars come out of products, traces
and entry-by-entry products, so that a list of pieces reads as a sum. Trees are a line long, so recursion
over them is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ..notations import (
    Call,
    Comparison,
    Group,
    Name,
    Negative,
    Node,
    Number,
    Pointwise,
    Power,
    Product,
    Sum,
    Transpose,
    parts,
)
from ..printers import (
    NOWHERE,
    Atom,
    Chain,
    Form,
    call_tree,
    chain_tree,
    form_tree,
    identity,
    multiply_chains,
    number_tree,
    power_tree,
    sum_tree,
    transpose_chain,
    tree_text,
)
from ..terms import Dim, Shape
from .index_rules import Rule

ONE = Fraction(1)
PENDING = "d"  # d(...), not carried out yet

# entry by entry: the operators and what stands behind them, applied to a linear part
Factors = tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """Has a value rows, has it columns? A column has rows only, a scalar neither."""

    rows: Dim | None = None
    columns: Dim | None = None

    @property
    def is_scalar(self) -> bool:
        return self.rows is None and self.columns is None

    @property
    def is_matrix(self) -> bool:
        return self.rows is not None and self.columns is not None

    def transposed(self) -> Kind:
        return Kind(self.columns, self.rows)


SCALAR = Kind()
UNTOLD = "?"  # an extent that the context tells


@dataclass(frozen=True, slots=True)
class Wrap:
    """A linear function of a piece: "tr", "sum", "diag", ".*" (with `factors`), or "" for brackets."""

    function: str
    inner: Piece
    factors: Factors = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """coefficient * above / below * left * core * right; `flipped`: the core's transpose stands there."""

    core: Node | Wrap
    kind: Kind  # of the core as it stands, transposed where it is flipped
    flipped: bool = False
    coefficient: Fraction = ONE
    above: tuple[Node, ...] = ()
    below: tuple[Node, ...] = ()
    left: Chain = ()
    right: Chain = ()

    def times(self, c: Fraction, above: Iterable[Node] = (), below: Iterable[Node] = ()) -> Piece:
        """The piece times scalars."""
        return replace(
            self,
            coefficient=self.coefficient * c,
            above=(*self.above, *above),
            below=(*self.below, *below),
        )

    def transposed(self) -> Piece:
        """Its transpose; a scalar core stays."""
        flipped = self.flipped if self.kind.is_scalar else not self.flipped
        left, right = transpose_chain(self.right), transpose_chain(self.left)
        return replace(self, flipped=flipped, kind=self.kind.transposed(), left=left, right=right)

    def bare(self) -> Piece:
        """The piece without its scalars."""
        return replace(self, coefficient=ONE, above=(), below=())

    def innermost(self) -> Node:
        """The differential inside all functions."""
        piece = self
        while isinstance(piece.core, Wrap):
            piece = piece.core.inner
        return piece.core


class Matrices:
    """What the names of a derivation are: kinds of trees, and trees as pieces."""

    def __init__(
        self,
        shapes: Mapping[str, Shape],
        symmetric: Iterable[str],
        differentials: Iterable[str],
        is_symmetric_term: Callable[[Node], bool],
    ) -> None:
        self.shapes = dict(shapes)
        self.symmetric = set(symmetric)
        self.differentials = set(differentials)  # the names of cores
        self.is_symmetric_term = is_symmetric_term

    # ------------------------------------------------------------ kinds

    def kind(self, tree: Node) -> Kind:
        """Rows and columns of a tree's value."""
        match tree:
            case Name():
                return self._kind_of_shape(self.shapes.get(tree.name, ()))
            case Group() | Negative():
                return self.kind(tree.inner if isinstance(tree, Group) else tree.operand)
            case Transpose():
                return self.kind(tree.operand).transposed()
            case Product():
                return self.chain_kind([factor for _, factor in tree.factors])
            case Sum():
                kinds = [self.kind(term) for _, term in tree.terms]
                return _told(kinds)
            case Pointwise() | Comparison():
                return _told([self.kind(tree.left), self.kind(tree.right)])
            case Power():
                return self.kind(tree.base)
            case Call():
                return self._kind_of_call(tree)
        return SCALAR

    def _kind_of_shape(self, shape: Sequence[Dim]) -> Kind:
        return Kind(*shape)

    def chain_kind(self, factors: Iterable[Node]) -> Kind:
        """Rows and columns of a product."""
        total = SCALAR
        for factor in factors:
            own = self.kind(factor)
            if not own.is_scalar:
                total = own if total.is_scalar else Kind(total.rows, own.columns)
        return total

    def _kind_of_call(self, tree: Call) -> Kind:
        name = tree.function
        if name in ("tr", "sum", "det", "logdet", "norm2", "norm1", "logsumexp", "prod", "mean"):
            return SCALAR
        if name in ("max", "min") and len(tree.arguments) == 1:
            return SCALAR
        if name in ("eye", "ones", "zeros"):
            sizes = [_dim(a) for a in tree.arguments]
            return Kind(*(sizes * 2 if name == "eye" else sizes))
        if name == "vector":
            return Kind(UNTOLD)
        if name == "matrix":
            return Kind(UNTOLD, UNTOLD)
        kinds = [self.kind(a) for a in tree.arguments]
        if name == "diag":
            (inner,) = kinds
            return Kind(inner.rows) if inner.is_matrix else Kind(inner.rows, inner.rows)
        return _told(kinds)

    # ------------------------------------------------------------ trees as chains

    def depends(self, tree: Node, names: set[str]) -> bool:
        """Does a tree hold one of the names?"""
        stack: list[Node] = [tree]
        while stack:
            node = stack.pop()
            if isinstance(node, Name) and node.name in names:
                return True
            stack.extend(parts(node))
        return False

    def is_linear(self, tree: Node) -> bool:
        """Does a tree hold a differential, carried out or not?"""
        stack: list[Node] = [tree]
        while stack:
            node = stack.pop()
            if isinstance(node, Name) and node.name in self.differentials:
                return True
            if isinstance(node, Call) and node.function == PENDING:
                return True
            stack.extend(parts(node))
        return False

    def atom(self, tree: Node) -> Atom:
        """A factor of a chain, with what is known of it."""
        flipped = False
        while isinstance(tree, Transpose | Group):
            if isinstance(tree, Transpose):
                flipped, tree = not flipped, tree.operand
            else:
                tree = tree.inner
        symmetric = self.is_symmetric(tree)
        count: Dim | None = None
        if isinstance(tree, Call) and tree.function == "ones" and len(tree.arguments) == 1:
            count = _dim(tree.arguments[0])
        unit = isinstance(tree, Call) and tree.function == "eye"
        return Atom(tree, flipped and not symmetric, symmetric, count, unit=unit)

    def is_symmetric(self, tree: Node) -> bool:
        """Is a matrix known to be its own transpose?"""
        match tree:
            case Name():
                return tree.name in self.symmetric
            case Call(function="eye" | "matrix"):
                return True
            case Call(function="diag"):
                return not self.kind(tree.arguments[0]).is_matrix
            case Group():
                return self.is_symmetric(tree.inner)
        kind = self.kind(tree)
        square = kind.is_matrix and kind.rows == kind.columns
        return square and not self.is_linear(tree) and self.is_symmetric_term(tree)

    def form(self, tree: Node) -> Form:
        """A tree without differentials as scalars times a chain; products inside products opened."""
        match tree:
            case Group():
                return self.form(tree.inner)
            case Number():
                return Form(tree.value)
            case Negative():
                inner = self.form(tree.operand)
                return replace(inner, coefficient=-inner.coefficient)
            case Transpose():
                return self.form(tree.operand).transpose()
            case Product() if not self._closes_early(tree):
                return self._product_form(tree)
        if self.kind(tree).is_scalar:
            return Form(above=(tree,))
        return Form(chain=(self.atom(tree),))

    def _closes_early(self, tree: Product) -> bool:
        """Is a product of tensors a scalar?"""
        full = [f for _, f in tree.factors if not self.kind(f).is_scalar]
        return bool(full) and self.chain_kind(full).is_scalar

    def _product_form(self, tree: Product) -> Form:
        result = Form()
        for divides, factor in tree.factors:
            own = self.form(factor)
            if divides:
                own = Form(1 / own.coefficient if own.coefficient else ONE, own.below, own.above)
            result = replace(result.times(own), chain=(*result.chain, *own.chain))
        return result

    # ------------------------------------------------------------ trees as pieces

    def pieces(self, tree: Node) -> list[Piece]:
        """A tree linear in differentials, taken apart."""
        match tree:
            case Name():
                return [Piece(tree, self.kind(tree))]
            case Group():
                return self.pieces(tree.inner)
            case Negative():
                return [piece.times(-ONE) for piece in self.pieces(tree.operand)]
            case Sum():
                signed = [(-ONE if minus else ONE, term) for minus, term in tree.terms]
                return [
                    piece.times(sign)
                    for sign, term in signed
                    if self.is_linear(term)
                    for piece in self.pieces(term)
                ]
            case Transpose():
                return [piece.transposed() for piece in self.pieces(tree.operand)]
            case Product():
                return self._pieces_of_product(tree)
            case Pointwise():
                return self._pieces_of_pointwise(tree)
            case Call() if tree.function == PENDING:
                return [Piece(tree, self.kind(tree.arguments[0]))]
            case Call(arguments=(argument,)):
                return [self.wrapped(tree.function, p) for p in self.pieces(argument)]
        raise AssertionError(tree)

    def _pieces_of_product(self, tree: Product) -> list[Piece]:
        place = next(k for k, (_, f) in enumerate(tree.factors) if self.is_linear(f))
        before, after = tree.factors[:place], tree.factors[place + 1 :]
        left = self.form(Product(before, NOWHERE)) if before else Form()
        right = self.form(Product(after, NOWHERE)) if after else Form()
        scalars = left.times(right)
        return [
            self.placed(piece, left.chain, right.chain).times(
                scalars.coefficient, scalars.above, scalars.below
            )
            for piece in self.pieces(tree.factors[place][1])
        ]

    def placed(self, piece: Piece, left: Chain, right: Chain) -> Piece:
        """left * piece * right."""
        if not left and not right:
            return piece
        if piece.kind.is_scalar:
            chain = multiply_chains(left, piece.left, piece.right, right)
            around = self._around(chain)
            if around is None:
                return replace(piece, left=chain, right=())
            return _alone(piece, around)
        if self.value_kind(piece).is_scalar:
            around = self._around(left + right)
            if around is not None:
                return piece.times(ONE, (around,))
            outside = Piece(Wrap("", piece.bare()), SCALAR, left=(*left, *right))
            return outside.times(piece.coefficient, piece.above, piece.below)
        left, right = (*left, *piece.left), (*piece.right, *right)
        return replace(piece, left=_without_units(left), right=_without_units(right))

    def _around(self, chain: Chain) -> Node | None:
        """A chain that is a scalar, as one."""
        tree = chain_tree(chain)
        return tree if self.kind(tree).is_scalar else None

    def _pieces_of_pointwise(self, tree: Pointwise) -> list[Piece]:
        factors: list[tuple[str, Node]] = []
        node: Node = tree
        while isinstance(node, Pointwise) and node.operator != ".^":
            factors.append((node.operator, node.right))
            node = node.left
        everything = [(".*", node), *reversed(factors)]
        place = next(k for k, (_, f) in enumerate(everything) if self.is_linear(f))
        rest = [entry for k, entry in enumerate(everything) if k != place]
        return [self.pointwise(p, rest) for p in self.pieces(everything[place][1])]

    def pointwise(self, piece: Piece, factors: Sequence[tuple[str, Node]]) -> Piece:
        """A piece times, and divided by, tensors entry by entry."""
        full = [(op, tree) for op, tree in factors if not self.kind(tree).is_scalar]
        scalars = [(op, tree) for op, tree in factors if self.kind(tree).is_scalar]
        result = piece
        for op, tree in scalars:
            own = self.form(tree)
            if op == "./":
                own = Form(1 / own.coefficient, own.below, own.above)
            result = result.times(own.coefficient, own.above, own.below)
        if not full:
            return result
        if self.value_kind(piece).is_scalar or piece.kind.is_scalar:
            chain = chain_tree(piece.left + piece.right) if piece.left + piece.right else None
            if chain is None or _is_ones(chain):
                tree = full[0][1] if full[0][0] == ".*" else _inverted(full[0][1])
                rest = full[1:]
            else:
                tree, rest = chain, full
            for op, factor in rest:
                tree = Pointwise(op, tree, factor, NOWHERE)
            return replace(result, left=(self.atom(tree),), right=())
        inner = result.bare()
        core = inner.core
        alone = not inner.left and not inner.right and not inner.flipped
        if alone and isinstance(core, Wrap) and core.function == ".*":  # U.*(V.*dX)
            wrap = Wrap(".*", core.inner, (*full, *core.factors))
        else:
            wrap = Wrap(".*", inner, tuple(full))
        kind = self.value_kind(inner)
        return Piece(wrap, kind).times(result.coefficient, result.above, result.below)

    def wrapped(self, function: str, piece: Piece) -> Piece:
        """A linear function of a piece, scalars outside."""
        inner = piece.bare()
        kind = self.value_kind(inner)
        if function in ("vector", "matrix"):
            chain = (self.atom(call_tree(function, Number(ONE, NOWHERE))),)
            return self.placed(piece, chain, ())
        if inner.kind.is_scalar:  # f(A*s) = f(A)*s for a scalar s
            tree = call_tree(function, chain_tree(multiply_chains(inner.left, inner.right)))
            if self.kind(tree).is_scalar:
                return _alone(piece, tree)
            return replace(piece, left=(self.atom(tree),), right=())
        if function == "diag":
            result = Kind(kind.rows) if kind.is_matrix else Kind(kind.rows, kind.rows)
        else:
            result = SCALAR
        wrap = Wrap(function, inner)
        return Piece(wrap, result).times(piece.coefficient, piece.above, piece.below)

    def value_kind(self, piece: Piece) -> Kind:
        """Rows and columns of a whole piece."""
        kinds = [self.kind(atom.factor()) for atom in piece.left]
        kinds += [piece.kind, *(self.kind(atom.factor()) for atom in piece.right)]
        total = SCALAR
        for own in kinds:
            if not own.is_scalar:
                total = own if total.is_scalar else Kind(total.rows, own.columns)
        return total

    # ------------------------------------------------------------ pieces as trees

    def tree(self, pieces: Sequence[Piece]) -> Node:
        """The sum of pieces."""
        if not pieces:
            return Number(Fraction(0), NOWHERE)
        forms = [self.piece_form(piece) for piece in pieces]
        if len(forms) == 1:
            return form_tree(forms[0])
        return sum_tree(
            [(f.coefficient < 0, replace(f, coefficient=abs(f.coefficient))) for f in forms]
        )

    def piece_form(self, piece: Piece) -> Form:
        """A piece as scalars times a chain."""
        core = core_tree(self, piece)
        form = Form(piece.coefficient, piece.above, piece.below)
        if piece.kind.is_scalar:
            return replace(form, above=(*form.above, core), chain=(*piece.left, *piece.right))
        chain = (*piece.left, Atom(core, flipped=piece.flipped), *piece.right)
        return replace(form, chain=chain)


def core_tree(matrices: Matrices, piece: Piece) -> Node:
    """The core of a piece as a tree, without its transpose."""
    core = piece.core
    if not isinstance(core, Wrap):
        return core
    inner = matrices.tree([core.inner])
    if core.function == ".*":
        before = [tree for op, tree in core.factors if op == ".*"]
        after = [tree for op, tree in core.factors if op == "./"]
        tree: Node = before[0] if before else inner
        for factor in [*before[1:], *([inner] if before else [])]:
            tree = Pointwise(".*", tree, factor, NOWHERE)
        for factor in after:
            tree = Pointwise("./", tree, factor, NOWHERE)
        return tree
    return call_tree(core.function, inner) if core.function else Group(inner, NOWHERE)


def _alone(piece: Piece, around: Node) -> Piece:
    """A piece with a scalar core, a scalar for what was around it; brackets nothing needs now are gone."""
    core = piece.core
    if isinstance(core, Wrap) and not core.function:
        return core.inner.times(piece.coefficient, (*piece.above, around), piece.below)
    return replace(piece, left=(), right=()).times(ONE, (around,))


def _without_units(chain: Chain) -> Chain:
    """A chain beside a core, without identities."""
    return tuple(atom for atom in chain if not atom.unit)


def _told(kinds: Sequence[Kind]) -> Kind:
    """The kind that operands of one shape share; scalars are repeated."""
    full = [kind for kind in kinds if not kind.is_scalar]
    told = [k for k in full if UNTOLD not in (k.rows, k.columns)]
    return (told or full or [SCALAR])[0]


def _dim(tree: Node) -> Dim:
    if isinstance(tree, Number):
        return int(tree.value)
    assert isinstance(tree, Name)
    return tree.name


def _is_ones(tree: Node) -> bool:
    return isinstance(tree, Call) and tree.function in ("vector", "matrix", "ones")


def _inverted(tree: Node) -> Node:
    return Pointwise("./", number_tree(ONE), tree, NOWHERE)


# Surface trees of matrix notation, rebuilt: names and calls replaced, numbers recognised.
#
# In: surface trees. Out: surface trees.
# Invariant: brackets are left to the printers, which put them where they are needed. Trees are a line long,
# so recursion over them is bounded.

_OF_TRANSPOSES = ("sum", "tr", "norm2")
_SIZED = ("eye", "ones", "zeros")  # their arguments are extents


def mapped(tree: Node, change: Callable[[Node], Node | None]) -> Node:
    """A tree with `change(node)` for every outermost node for which it gives one."""
    new = change(tree)
    if new is not None:
        return new
    match tree:
        case Group():
            return Group(mapped(tree.inner, change), NOWHERE)
        case Negative():
            return Negative(mapped(tree.operand, change), NOWHERE)
        case Transpose():
            return Transpose(mapped(tree.operand, change), NOWHERE)
        case Power():
            base, exponent = mapped(tree.base, change), mapped(tree.exponent, change)
            return Power(base, exponent, NOWHERE)
        case Product():
            factors = tuple((divides, mapped(f, change)) for divides, f in tree.factors)
            return Product(factors, NOWHERE)
        case Sum():
            return Sum(tuple((minus, mapped(t, change)) for minus, t in tree.terms), NOWHERE)
        case Pointwise() | Comparison():
            left, right = mapped(tree.left, change), mapped(tree.right, change)
            return replace(tree, left=left, right=right)
        case Call() if tree.function not in _SIZED:
            arguments = (bare(mapped(argument, change)) for argument in tree.arguments)
            return replace(tree, arguments=tuple(arguments))
    return tree


def put_in(tree: Node, places: Mapping[str, Node]) -> Node:
    """A tree with trees for names."""

    def change(node: Node) -> Node | None:
        if isinstance(node, Name) and node.name in places:
            return bare(places[node.name])
        return None

    return mapped(tree, change)


def tidied(tree: Node) -> Node:
    """Transposes dropped where the value is the same without: sum(U'), tr(U'), norm2(U')."""

    def change(node: Node) -> Node | None:
        if isinstance(node, Call) and node.function in _OF_TRANSPOSES:
            (argument,) = node.arguments
            new = _turned(argument)
            return None if new is None else replace(node, arguments=(mapped(new, change),))
        return None

    return mapped(tree, change)


def _turned(tree: Node) -> Node | None:
    """The transpose of a tree that is one, or a product of many."""
    if isinstance(tree, Transpose):
        return bare(tree.operand)
    if isinstance(tree, Product) and not any(divides for divides, _ in tree.factors):
        flipped = [isinstance(factor, Transpose) for _, factor in tree.factors]
        if 2 * sum(flipped) > len(flipped):
            turned = [
                factor.operand if isinstance(factor, Transpose) else Transpose(factor, NOWHERE)
                for _, factor in reversed(tree.factors)
            ]
            return Product(tuple((False, factor) for factor in turned), NOWHERE)
    return None


def bare(tree: Node) -> Node:
    """A tree without brackets around it."""
    return tree.inner if isinstance(tree, Group) else tree


def number_in(tree: Node) -> Fraction | None:
    """The number that an exponent is, if it is one."""
    match tree:
        case Number():
            return tree.value
        case Group():
            return number_in(tree.inner)
        case Negative():
            inner = number_in(tree.operand)
            return None if inner is None else -inner
        case Product():
            result = Fraction(1)
            for divides, factor in tree.factors:
                value = number_in(factor)
                if value is None:
                    return None
                result = result / value if divides else result * value
            return result
    return None


# Pieces in trace form collected: equal ones added up, one factor for each differential.
#
# In: pieces tr(M*dX), m'*dx or m*dc. Out: fewer such pieces.
# Invariant: each function is one law; what all pieces share stays outside the sum.

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
    return base if exponent == 1 else power_tree(base, exponent)


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
