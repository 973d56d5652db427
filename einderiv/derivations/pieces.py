"""Linear expressions of matrix notation, taken apart into pieces: coefficient * left * core * right.

In: surface trees of matrix notation that are linear in differentials. Out: lines that say what their text
means; pieces, and trees of them; then scalar pieces turned until the differential stands last: tr(M*dX),
m'*dx, m*dc, and like ones collected.
Invariant: a piece holds one differential (its core); sums, numbers and scalars come out of products, traces
and entry-by-entry products, so that a list of pieces reads as a sum. A line's term is what the notation's
own elaborator makes of the tree that the reader sees. Trees are a line long, so
recursion over them is bounded.
Source of the trace form: the Washington notes, equation (14): dF = tr(G'*dX).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ..calculus import pushforward, with_assumptions
from ..notations import Node, elaborate_matrix, parts, syntax, tree_nodes
from ..printers import (
    NOWHERE,
    Atom,
    Chain,
    Form,
    call_tree,
    chain_tree,
    flips,
    form_tree,
    identity,
    matrix_latex,
    matrix_text,
    multiplied,
    name_latex,
    number_tree,
    ones,
    powered,
    sum_tree,
    transposed,
)
from ..terms import Dim, Expr, Variable, substituted
from . import laws
from .laws import Rule
from .records import Line

ONE = Fraction(1)
_UNIT = Form()
PENDING = "d"  # d(...), not carried out yet
_CONTEXT = "?"  # an extent that the context says
_NUMBERS = ("tr", "sum", "det", "logdet", "norm2", "norm1", "logsumexp", "prod", "mean")
_SIZED = ("eye", "ones", "zeros")  # their arguments are extents
_OF_TRANSPOSES = ("sum", "tr", "norm2")  # they are the same of U and U'

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


def _product_kind(kinds: Iterable[Kind]) -> Kind:
    total = SCALAR
    for own in kinds:
        if not own.is_scalar:
            total = own if total.is_scalar else Kind(total.rows, own.columns)
    return total


def _common_kind(kinds: Iterable[Kind]) -> Kind:
    """The kind that operands of one shape share; scalars are repeated."""
    full = [kind for kind in kinds if not kind.is_scalar]
    known = [kind for kind in full if _CONTEXT not in (kind.rows, kind.columns)]
    return (known or full or [SCALAR])[0]


def _diagonal_kind(kind: Kind) -> Kind:
    return Kind(kind.rows) if kind.is_matrix else Kind(kind.rows, kind.rows)


@dataclass(frozen=True, slots=True)
class Piece:
    """scalars * left * core * right; `flipped`: the core's transpose stands there.

    The core is a differential, or another piece in a linear `function`: "tr", "sum", "diag", ".*" (with
    `factors`), or "" for brackets.
    """

    core: Node | Piece
    kind: Kind  # of the core as it stands, transposed where it is flipped
    function: str = ""
    factors: Factors = ()
    flipped: bool = False
    scalars: Form = _UNIT
    left: Chain = ()
    right: Chain = ()

    def times(self, scalars: Form) -> Piece:
        return replace(self, scalars=self.scalars.times(scalars))

    def transposed(self) -> Piece:
        """Its transpose; a scalar core stays."""
        flipped = self.flipped if self.kind.is_scalar else not self.flipped
        left, right = transposed(self.right), transposed(self.left)
        return replace(self, flipped=flipped, kind=self.kind.transposed(), left=left, right=right)

    def bare(self) -> Piece:
        """The piece without its scalars."""
        return replace(self, scalars=_UNIT)

    def inside(self) -> Piece:
        """The piece inside its function."""
        assert isinstance(self.core, Piece)
        return self.core

    def innermost(self) -> Node:
        """The differential inside all functions."""
        core = self.core
        while isinstance(core, Piece):
            core = core.core
        return core

    def pending(self) -> Node | None:
        """What its differential is of, if it is not carried out yet."""
        core = self.innermost()
        if isinstance(core, syntax.Call) and core.function == PENDING:
            return core.arguments[0]
        return None

    def core_name(self) -> str:
        """The name of its differential."""
        core = self.innermost()
        return core.name if isinstance(core, syntax.Name) else ""

    def is_entrywise(self) -> bool:
        """Is it U.*dX, alone?"""
        return self.function == ".*" and not self.left and not self.right and not self.flipped


class Matrices:
    """The names of one derivation: what trees over them mean, their kinds, trees as pieces.

    x is the variable, dx its differential; definitions are added as they come.
    """

    def __init__(
        self,
        variables: Mapping[str, Variable],
        assumptions: Mapping[str, frozenset[str]],
        x: Variable,
        dx: Variable,
    ) -> None:
        self.variables, self.assumptions = {**variables, dx.name: dx}, assumptions
        self.along: dict[Variable, Expr] = {x: dx}
        self.moving = {x.name: dx.name}  # what depends on x -> the name of its differential
        self.places: dict[Expr, Expr] = {}  # definitions and their differentials, in tensors alone
        self._terms: dict[str, Expr] = {}

    def define(self, name: str, term: Expr, differential: str | None) -> None:
        """A definition, and the name of its differential if it has one."""
        assumed = frozenset({"symmetric"}) if term.symmetric else frozenset()
        self.variables[name] = Variable(name, term.shape, assumed)
        self.places[Variable(name, term.shape)] = term
        if differential is not None:
            moved = Variable(differential, term.shape)
            self.variables[differential] = moved
            self.moving[name] = differential
            self.places[moved] = pushforward([term], self.along)[0]

    # ------------------------------------------------------------ lines

    def line(self, tree: Node) -> Line:
        """A tree as text, as LaTeX with upright d's, and the term it means."""
        latex = matrix_latex(tree)
        for name, differential in self.moving.items():
            latex = latex.replace(name_latex(differential), rf"\mathrm{{d}}{name_latex(name)}")
        latex = latex.replace(rf"\operatorname{{{PENDING}}}\left(", r"\mathrm{d}\left(")
        return Line(matrix_text(tree), latex, self.term(tree))

    def term(self, tree: Node) -> Expr:
        """What a tree means, definitions and pending differentials written out."""
        text = matrix_text(tree)
        if text not in self._terms:
            self._terms[text] = self._read(tree)
        return self._terms[text]

    def _read(self, tree: Node) -> Expr:
        places = dict(self.places)
        shapes = {name: x.shape for name, x in self.variables.items()}

        def change(node: Node) -> Node | None:
            if not isinstance(node, syntax.Call) or node.function != PENDING:
                return None
            (inner,) = node.arguments
            name = f"_d_{len(places)}"
            term, kind = self.term(inner), self.kind(inner)
            places[Variable(name, term.shape)] = pushforward([term], self.along)[0]
            shapes[name] = term.shape
            is_row = kind.rows is None and not kind.is_scalar
            return (
                syntax.Transpose(syntax.Name(name, NOWHERE), NOWHERE)
                if is_row
                else syntax.Name(name, NOWHERE)
            )

        statement = syntax.Definition(None, None, replaced(tree, change), NOWHERE, NOWHERE)
        meaning = elaborate_matrix(syntax.Text("", (statement,)), shapes)
        (term,) = substituted([meaning.term], places)
        return with_assumptions(term, self.assumptions)

    # ------------------------------------------------------------ kinds

    def kind(self, tree: Node) -> Kind:
        """Rows and columns of a tree's value."""
        inside = map(self.kind, parts(tree))
        match tree:
            case syntax.Name():
                x = self.variables.get(tree.name)
                return Kind(*x.shape) if x else SCALAR
            case syntax.Group() | syntax.Negative() | syntax.Power():
                return next(inside)
            case syntax.Transpose():
                return next(inside).transposed()
            case syntax.Product():
                return _product_kind(inside)
            case syntax.Sum() | syntax.Pointwise() | syntax.Comparison():
                return _common_kind(inside)
            case syntax.Call():
                return self._kind_of_call(tree, inside)
        return SCALAR

    def _kind_of_call(self, tree: syntax.Call, inside: Iterator[Kind]) -> Kind:
        name = tree.function
        if name in _NUMBERS or (name in ("max", "min") and len(tree.arguments) == 1):
            return SCALAR
        if name in _SIZED:
            sizes = [_dim(argument) for argument in tree.arguments]
            return Kind(*(sizes * 2 if name == "eye" else sizes))
        if name in ("vector", "matrix"):
            return Kind(_CONTEXT, _CONTEXT if name == "matrix" else None)
        return _diagonal_kind(next(inside)) if name == "diag" else _common_kind(inside)

    def value_kind(self, piece: Piece) -> Kind:
        """Rows and columns of a whole piece."""
        left, right = ([self.kind(a.shown()) for a in c] for c in (piece.left, piece.right))
        return _product_kind([*left, piece.kind, *right])

    # ------------------------------------------------------------ trees as chains

    def depends(self, tree: Node) -> bool:
        """Does a tree depend on the variable?"""
        return any(isinstance(n, syntax.Name) and n.name in self.moving for n in tree_nodes(tree))

    def is_linear(self, tree: Node) -> bool:
        """Does a tree hold a differential, carried out or not?"""
        names = self.moving.values()
        return any(
            (isinstance(n, syntax.Name) and n.name in names)
            or (isinstance(n, syntax.Call) and n.function == PENDING)
            for n in tree_nodes(tree)
        )

    def atom(self, tree: Node) -> Atom:
        """A factor of a chain, with what is known of it."""
        flipped = False
        while isinstance(tree, syntax.Transpose | syntax.Group):
            if isinstance(tree, syntax.Transpose):
                flipped, tree = not flipped, tree.operand
            else:
                tree = tree.inner
        symmetric = self.is_symmetric(tree)
        name = tree.function if isinstance(tree, syntax.Call) else ""
        sizes = tree.arguments if isinstance(tree, syntax.Call) else ()
        count = _dim(sizes[0]) if name == "ones" and len(sizes) == 1 else None
        return Atom(tree, flipped and not symmetric, symmetric, count, unit=name == "eye")

    def is_symmetric(self, tree: Node) -> bool:
        """Is a matrix known to be its own transpose?"""
        match tree:
            case syntax.Name():
                return tree.name in self.variables and self.variables[tree.name].symmetric
            case syntax.Call(function="eye" | "matrix"):
                return True
            case syntax.Call(function="diag"):
                return not self.kind(tree.arguments[0]).is_matrix
        kind = self.kind(tree)
        square = kind.is_matrix and kind.rows == kind.columns
        return square and not self.is_linear(tree) and self.term(tree).symmetric

    def form(self, tree: Node) -> Form:
        """A tree without differentials as scalars times a chain; products inside products opened."""
        match tree:
            case syntax.Group():
                return self.form(tree.inner)
            case syntax.Number():
                return Form(tree.value)
            case syntax.Negative():
                inner = self.form(tree.operand)
                return replace(inner, coefficient=-inner.coefficient)
            case syntax.Transpose():
                return self.form(tree.operand).transposed()
            case syntax.Product():
                full = [f for _, f in tree.factors if not self.kind(f).is_scalar]
                if not full or not self.kind(tree).is_scalar:  # x'*x stays whole
                    result = Form()
                    for divides, factor in tree.factors:
                        own = self.form(factor)
                        result = result.times(_inverse(own) if divides else own)
                        result = replace(result, chain=(*result.chain, *own.chain))
                    return result
        if self.kind(tree).is_scalar:
            return Form(above=(tree,))
        return Form(chain=(self.atom(tree),))

    def number(self, tree: Node) -> Fraction | None:
        """The number that an exponent is, if it is one."""
        form = self.form(tree)
        return None if form.above or form.below or form.chain else form.coefficient

    # ------------------------------------------------------------ trees as pieces

    def pieces(self, tree: Node) -> list[Piece]:
        """A tree linear in differentials, taken apart."""
        match tree:
            case syntax.Name():
                return [Piece(tree, self.kind(tree))]
            case syntax.Group():
                return self.pieces(tree.inner)
            case syntax.Negative():
                return [piece.times(Form(-ONE)) for piece in self.pieces(tree.operand)]
            case syntax.Sum():
                return [
                    piece.times(Form(-ONE if minus else ONE))
                    for minus, term in tree.terms
                    if self.is_linear(term)
                    for piece in self.pieces(term)
                ]
            case syntax.Transpose():
                return [piece.transposed() for piece in self.pieces(tree.operand)]
            case syntax.Product():
                k = next(k for k, (_, f) in enumerate(tree.factors) if self.is_linear(f))
                before, after = tree.factors[:k], tree.factors[k + 1 :]
                left, right = (self.form(syntax.Product(fs, NOWHERE)) for fs in (before, after))
                return [
                    self.between(piece, left.chain, right.chain).times(left.times(right))
                    for piece in self.pieces(tree.factors[k][1])
                ]
            case syntax.Pointwise():
                factors: list[tuple[str, Node]] = []
                node: Node = tree
                while isinstance(node, syntax.Pointwise) and node.operator != ".^":
                    factors = [(node.operator, node.right), *factors]
                    node = node.left
                factors = [(".*", node), *factors]
                k = next(k for k, (_, f) in enumerate(factors) if self.is_linear(f))
                rest = (*factors[:k], *factors[k + 1 :])
                return [self.entrywise(piece, rest) for piece in self.pieces(factors[k][1])]
            case syntax.Call() if tree.function == PENDING:
                return [Piece(tree, self.kind(tree.arguments[0]))]
            case syntax.Call(arguments=(argument,)):
                return [self.apply(tree.function, piece) for piece in self.pieces(argument)]
        raise AssertionError(tree)

    def with_core(self, piece: Piece, tree: Node) -> list[Piece]:
        """A piece with a tree for its innermost core."""
        if isinstance(piece.core, Piece):
            inside = self.with_core(piece.core, tree)
            if piece.function == ".*":
                inside = [self.entrywise(p, piece.factors) for p in inside]
            elif piece.function:
                inside = [self.apply(piece.function, p) for p in inside]
        else:
            inside = self.pieces(tree) if self.is_linear(tree) else []
        if piece.flipped:
            inside = [p.transposed() for p in inside]
        return [self.between(p, piece.left, piece.right).times(piece.scalars) for p in inside]

    def between(self, piece: Piece, left: Chain, right: Chain) -> Piece:
        """left * piece * right."""
        if not left and not right:
            return piece
        if piece.kind.is_scalar:
            chain = multiplied(left, piece.left, piece.right, right)
            around = self._scalar(chain)
            if around is None:
                return replace(piece, left=chain, right=())
            return _with_scalar_around(piece, around)
        if self.value_kind(piece).is_scalar:
            around = self._scalar(left + right)
            if around is not None:
                return piece.times(Form(above=(around,)))
            return Piece(piece.bare(), SCALAR, left=(*left, *right)).times(piece.scalars)
        left, right = (*left, *piece.left), (*piece.right, *right)
        left, right = (tuple(atom for atom in c if not atom.unit) for c in (left, right))
        return replace(piece, left=left, right=right)

    def _scalar(self, chain: Chain) -> Node | None:
        """A chain that is a scalar, as one."""
        tree = chain_tree(chain)
        return tree if self.kind(tree).is_scalar else None

    def entrywise(self, piece: Piece, factors: Factors) -> Piece:
        """A piece times, and divided by, tensors entry by entry."""
        full: Factors = ()
        result = piece
        for op, tree in factors:
            if self.kind(tree).is_scalar:
                own = self.form(tree)
                result = result.times(_inverse(own) if op == "./" else own)
            else:
                full = (*full, (op, tree))
        if not full:
            return result
        kind = self.value_kind(piece)
        if kind.is_scalar or piece.kind.is_scalar:
            around = piece.left + piece.right
            first = [chain_tree(around)] if around else []
            first = [tree for tree in first if not _is_ones(tree)]
            return replace(result, left=(self.atom(_entrywise_tree(first, full)),), right=())
        inner = result.bare()
        if inner.is_entrywise():  # U.*(V.*dX)
            inner, full = inner.inside(), (*full, *inner.factors)
        return Piece(inner, kind, ".*", full).times(result.scalars)

    def apply(self, function: str, piece: Piece) -> Piece:
        """A linear function of a piece, scalars outside."""
        if function in ("vector", "matrix"):
            return self.between(piece, (self.atom(call_tree(function, number_tree(ONE))),), ())
        if piece.kind.is_scalar:  # f(A*s) = f(A)*s for a scalar s
            tree = call_tree(function, chain_tree(multiplied(piece.left, piece.right)))
            if self.kind(tree).is_scalar:
                return _with_scalar_around(piece, tree)
            return replace(piece, left=(self.atom(tree),), right=())
        kind = _diagonal_kind(self.value_kind(piece)) if function == "diag" else SCALAR
        return Piece(piece.bare(), kind, function).times(piece.scalars)

    # ------------------------------------------------------------ pieces as trees

    def tree(self, pieces: Sequence[Piece]) -> Node:
        """The sum of pieces."""
        forms = [self._piece_form(piece) for piece in pieces]
        if not forms:
            return syntax.Number(Fraction(0), NOWHERE)
        return form_tree(forms[0]) if len(forms) == 1 else sum_tree(_signed(forms))

    def _piece_form(self, piece: Piece) -> Form:
        """A piece as scalars times a chain."""
        core = self._core_tree(piece)
        if piece.kind.is_scalar:
            form = piece.scalars.times(Form(above=(core,)))
            return replace(form, chain=(*piece.left, *piece.right))
        chain = (*piece.left, Atom(core, flipped=piece.flipped), *piece.right)
        return replace(piece.scalars, chain=chain)

    def _core_tree(self, piece: Piece) -> Node:
        """The core of a piece as a tree, without its transpose."""
        if not isinstance(piece.core, Piece):
            return piece.core
        inner = self.tree([piece.core])
        if piece.function != ".*":
            return (
                call_tree(piece.function, inner) if piece.function else syntax.Group(inner, NOWHERE)
            )
        before = [tree for op, tree in piece.factors if op == ".*"]
        tree, *rest = [*before, inner]
        for factor in rest:
            tree = syntax.Pointwise(".*", tree, factor, NOWHERE)
        for op, factor in piece.factors:
            if op == "./":
                tree = syntax.Pointwise("./", tree, factor, NOWHERE)
        return tree


def _inverse(form: Form) -> Form:
    return Form(1 / form.coefficient if form.coefficient else ONE, form.below, form.above)


def _signed(forms: Iterable[Form]) -> list[tuple[bool, Form]]:
    """The terms of a sum, each with True if it is subtracted."""
    return [(f.coefficient < 0, replace(f, coefficient=abs(f.coefficient))) for f in forms]


def _with_scalar_around(piece: Piece, around: Node) -> Piece:
    """A piece with a scalar core, a scalar for what was around it; brackets nothing needs now are gone."""
    scalars = Form(above=(around,))
    if isinstance(piece.core, Piece) and not piece.function:
        return piece.core.times(piece.scalars).times(scalars)
    return replace(piece, left=(), right=()).times(scalars)


def _dim(tree: Node) -> Dim:
    if isinstance(tree, syntax.Number):
        return int(tree.value)
    assert isinstance(tree, syntax.Name)
    return tree.name


def _is_ones(tree: Node) -> bool:
    """A column of ones, or a matrix of them."""
    if not isinstance(tree, syntax.Call) or tree.function not in ("vector", "matrix", "ones"):
        return False
    first = tree.arguments[0]
    return tree.function == "ones" or (isinstance(first, syntax.Number) and first.value == 1)


def _entrywise_tree(first: Sequence[Node], factors: Iterable[tuple[str, Node]]) -> Node:
    """first .* U .* V ./ W; first may be left out."""
    whole = [(".*", tree) for tree in first]
    whole += sorted(factors, key=lambda entry: entry[0] == "./")
    tree = whole.pop(0)[1] if whole[0][0] == ".*" else number_tree(ONE)
    for operator, factor in whole:
        tree = syntax.Pointwise(operator, tree, factor, NOWHERE)
    return tree


# ---------------------------------------------------------------- surface trees, rebuilt

_PARTS = {
    syntax.Group: ("inner",),
    syntax.Negative: ("operand",),
    syntax.Transpose: ("operand",),
    syntax.Power: ("base", "exponent"),
    syntax.Pointwise: ("left", "right"),
    syntax.Comparison: ("left", "right"),
}


def replaced(tree: Node, change: Callable[[Node], Node | None]) -> Node:
    """A tree with `change(node)` for every outermost node for which it gives one."""
    new = change(tree)
    if new is not None:
        return new
    match tree:
        case syntax.Product():
            return syntax.Product(tuple((d, replaced(f, change)) for d, f in tree.factors), NOWHERE)
        case syntax.Sum():
            return syntax.Sum(tuple((m, replaced(t, change)) for m, t in tree.terms), NOWHERE)
        case syntax.Call() if tree.function not in _SIZED:
            arguments = tuple(bare(replaced(argument, change)) for argument in tree.arguments)
            return replace(tree, arguments=arguments)
    node: Any = tree
    inside = {p: replaced(getattr(node, p), change) for p in _PARTS.get(type(node), ())}
    return replace(node, **inside) if inside else tree


def put_in(tree: Node, places: Mapping[str, Node]) -> Node:
    """A tree with trees for names."""

    def change(node: Node) -> Node | None:
        if isinstance(node, syntax.Name) and node.name in places:
            return bare(places[node.name])
        return None

    return replaced(tree, change)


def without_needless_transposes(tree: Node) -> Node:
    """Transposes dropped where the value is the same without: sum(U'), tr(U'), norm2(U')."""

    def change(node: Node) -> Node | None:
        if isinstance(node, syntax.Call) and node.function in _OF_TRANSPOSES:
            new = _transpose_of(node.arguments[0])
            return None if new is None else replace(node, arguments=(replaced(new, change),))
        return None

    return replaced(tree, change)


def _transpose_of(tree: Node) -> Node | None:
    """The transpose of a tree that is one, or a product of many."""
    if isinstance(tree, syntax.Transpose):
        return bare(tree.operand)
    if isinstance(tree, syntax.Product) and not any(divides for divides, _ in tree.factors):
        factors = [factor for _, factor in reversed(tree.factors)]
        if 2 * sum(isinstance(factor, syntax.Transpose) for factor in factors) > len(factors):
            turned = (
                f.operand if isinstance(f, syntax.Transpose) else syntax.Transpose(f, NOWHERE)
                for f in factors
            )
            return syntax.Product(tuple((False, factor) for factor in turned), NOWHERE)
    return None


def bare(tree: Node) -> Node:
    """A tree without brackets around it."""
    return tree.inner if isinstance(tree, syntax.Group) else tree


# ---------------------------------------------------------------- the differential last

Turn = Callable[[Matrices, Piece], tuple[Piece, Rule | None]]


def with_trace(matrices: Matrices, piece: Piece) -> tuple[Piece, Rule | None]:
    """A scalar product or a sum as a trace; columns need none."""
    if piece.function != "sum":
        needs_trace = piece.function != "tr" and piece.kind.is_matrix
        return (_trace(piece), laws.TRACE) if needs_trace else (piece, None)
    inner = piece.inside()
    if matrices.value_kind(inner).rows is None:  # a row sums as the column does
        inner = inner.transposed()
    kind = matrices.value_kind(inner)
    if inner.is_entrywise():
        chain = () if kind.is_matrix else (Atom(_ones(_CONTEXT), flipped=True),)
        moved = _other_factor(matrices, inner.factors, chain)
        product = matrices.between(inner.inside(), (moved,), ()).times(piece.scalars)
        return (_trace(product), laws.SUM_TRACE) if kind.is_matrix else (product, laws.SUM_DOT)
    whole = tuple(matrices.atom(_ones(dim)) for dim in (kind.rows, kind.columns) if dim)
    product = matrices.between(inner, transposed(whole[:1]), whole[1:])
    return product.times(piece.scalars), laws.SUM_ONES


def upright(_: Matrices, piece: Piece) -> tuple[Piece, Rule | None]:
    """dX' becomes dX by transposing the whole."""
    if piece.function == "tr" and piece.inside().flipped:
        return replace(piece, core=piece.inside().transposed()), laws.TRANSPOSED
    if piece.flipped and not piece.kind.is_matrix:
        return piece.transposed(), laws.TRANSPOSED_NUMBER
    return piece, None


def rotate(_: Matrices, piece: Piece) -> tuple[Piece, Rule | None]:
    """tr(L*dX*R) = tr(R*L*dX); a column leaves the trace."""
    inner = piece.inside() if piece.function == "tr" else piece
    last = replace(inner, left=(*inner.right, *inner.left), right=())
    if piece.function == "tr":
        if not inner.kind.is_matrix:
            return last.times(piece.scalars), laws.CYCLE
        if inner.right:
            return replace(piece, core=last), laws.CYCLE
    elif piece.right and not piece.kind.is_matrix:
        return last, laws.CYCLE
    return piece, None


def without_function(matrices: Matrices, piece: Piece) -> tuple[Piece, Rule | None]:
    """What stands between the trace and the differential, moved to the other factor."""
    in_trace = piece.function == "tr"
    around = piece.inside() if in_trace else piece
    waits = not in_trace and piece.kind.is_matrix  # for its trace
    if waits or around.function not in (".*", "diag"):
        return piece, None
    left, inner = around.left, around.inside()
    if around.function == "diag" and in_trace:  # tr(P*diag(v))
        rows = matrices.value_kind(inner).rows
        diagonal = call_tree("diag", chain_tree(left)) if left else _ones(rows or _CONTEXT)
        product = matrices.between(inner, (Atom(diagonal, flipped=True),), ())
        return product.times(piece.scalars), laws.DIAGONAL
    if around.function == "diag":  # p'*diag(V)
        diagonal = call_tree("diag", chain_tree(transposed(left)))
        product = matrices.between(inner, (matrices.atom(diagonal),), ())
        return _trace(product).times(piece.scalars), laws.DIAGONAL_OF
    if in_trace and not left:  # tr(U.*V)
        whole = _entrywise_tree([], around.factors)
        diagonal = call_tree("diag", call_tree("diag", whole))
        moved, rule = matrices.atom(diagonal), laws.ENTRYWISE_TRACE
    else:
        moved = _other_factor(matrices, around.factors, left)
        rule = laws.ENTRYWISE if in_trace else laws.ENTRYWISE_COLUMN
    product = matrices.between(inner, (moved,), ())
    return (replace(piece, core=product) if in_trace else product.times(piece.scalars)), rule


# One step of the story each, in order; to be repeated until nothing changes.
TURNS: tuple[Turn, ...] = (with_trace, upright, rotate, without_function)


def _trace(piece: Piece) -> Piece:
    return Piece(piece.bare(), SCALAR, "tr").times(piece.scalars)


def _other_factor(matrices: Matrices, factors: Factors, chain: Chain) -> Atom:
    """(P .* U') for tr(P*(U.*V)), (p .* u)' for p'*(u.*v): the one or the other transpose."""
    plain = [(matrices.atom(tree),) for _, tree in factors]
    turned = [transposed(own) for own in plain]

    def product(*first: Node, rest: Sequence[Chain]) -> Atom:
        trees = [(op, chain_tree(own)) for (op, _), own in zip(factors, rest, strict=True)]
        return matrices.atom(_entrywise_tree([*first], trees))

    if all(_is_ones(atom.tree) for atom in chain):
        return replace(product(rest=plain), flipped=True)
    direct = flips(chain) + sum(map(flips, turned))
    other = flips(transposed(chain)) + sum(map(flips, plain)) + 1
    if matrices.kind(chain_tree(chain)).rows is None or other < direct:
        return replace(product(chain_tree(transposed(chain)), rest=plain), flipped=True)
    return product(chain_tree(chain), rest=turned)


def _ones(dim: Dim) -> Node:
    return call_tree("vector", number_tree(ONE)) if dim == _CONTEXT else chain_tree(ones(dim))


# ---------------------------------------------------------------- like pieces collected


def scalars_collected(matrices: Matrices, piece: Piece) -> Piece:
    """Numbers in front of a chain closed, equal factors as powers, what stands above and below cancelled."""
    found: list[Node] = []
    start = 0
    for end in range(2, len(piece.left)):  # y'*y in y'*y*x'
        front = chain_tree(piece.left[start:end])
        if end - start > 1 and matrices.kind(front).is_scalar:
            found.append(front)
            start = end
    piece = replace(piece, left=piece.left[start:])
    if piece.function == "tr":
        inner = scalars_collected(matrices, piece.inside())
        piece = replace(piece, core=inner.bare()).times(inner.scalars)
    scalars = piece.scalars
    powers: dict[str, tuple[Node, Fraction]] = {}
    for trees, sign in (((*scalars.above, *found), 1), (scalars.below, -1)):
        for tree in trees:
            base, exponent = bare(tree), ONE
            if isinstance(tree, syntax.Power) and isinstance(tree.exponent, syntax.Number):
                base, exponent = bare(tree.base), tree.exponent.value
            known = powers.get(matrix_text(base), (base, Fraction(0)))[1]
            powers[matrix_text(base)] = base, known + sign * exponent
    above = tuple(powered(base, p) for base, p in powers.values() if p > 0)
    below = tuple(powered(base, -p) for base, p in powers.values() if p < 0)
    return replace(piece, scalars=Form(scalars.coefficient, above, below))


def like_pieces_added(matrices: Matrices, pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces that read the same added up; those that cancel are gone."""
    totals: dict[str, tuple[Piece, Fraction]] = {}
    for piece in pieces:
        unit = replace(piece, scalars=replace(piece.scalars, coefficient=ONE))
        text = matrix_text(matrices.tree([unit]))
        first, total = totals.get(text, (unit, Fraction(0)))
        totals[text] = first, total + piece.scalars.coefficient
    return [unit.times(Form(total)) for unit, total in totals.values() if total]


def inside_trace(piece: Piece) -> Piece:
    """What stands inside the trace of a piece in trace form."""
    return piece.inside() if piece.function == "tr" else piece


def one_factor(group: Sequence[Piece]) -> Piece:
    """tr(U*dX) + tr(V*dX) as tr((U + V)*dX)."""
    if len(group) == 1:
        return group[0]
    inner = inside_trace(group[0]).bare()
    outside, forms = _common_scalars([factor_form(piece) for piece in group])
    terms = _signed(forms)
    tree = sum_tree(terms)
    if inner.kind.is_scalar:
        return replace(inner, left=(), right=()).times(Form(above=(tree,))).times(outside)
    whole = replace(inner, left=(Atom(tree, terms=tuple(terms)),), right=())
    return (_trace(whole) if inner.kind.is_matrix else whole).times(outside)


def factor_form(piece: Piece) -> Form:
    """M of tr(M*dX), with the scalars of the piece."""
    inner = inside_trace(piece)
    chain = inner.left
    if inner.kind.is_matrix and not chain:
        assert inner.kind.rows is not None
        chain = identity(inner.kind.rows)
    return replace(piece.scalars, chain=chain)


def _common_scalars(forms: Sequence[Form]) -> tuple[Form, list[Form]]:
    """The scalars that all forms share, and the forms without them."""
    sizes = {abs(form.coefficient) for form in forms}
    size = sizes.pop() if len(sizes) == 1 else ONE
    if all(form.coefficient < 0 for form in forms):
        size = -size
    above, rest_above = _common([form.above for form in forms])
    below, rest_below = _common([form.below for form in forms])
    rest = [
        Form(form.coefficient / size, a, b, form.chain)
        for form, a, b in zip(forms, rest_above, rest_below, strict=True)
    ]
    return Form(size, above, below), rest


Trees = tuple[Node, ...]


def _common(groups: Sequence[Trees]) -> tuple[Trees, list[Trees]]:
    """The trees that occur once in every group, and the groups without them."""
    texts = [[matrix_text(tree) for tree in group] for group in groups]
    common = {t for t in texts[0] if all(own.count(t) == 1 for own in texts)}
    shared = tuple(tree for tree in groups[0] if matrix_text(tree) in common)
    return shared, [tuple(t for t in group if matrix_text(t) not in common) for group in groups]
