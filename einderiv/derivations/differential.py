"""The differential method: dF by perturbation, trace form, rotation, the gradient read off.

In: a question about a scalar function of a number, a column or a matrix. Out: its derivation.
Invariant: a line's term is what the notation's own elaborator makes of the tree that the reader sees; it is
compared with the line before; the last line is the engine's derivative. The rules for sums and products are
the engine's formulas on trees of matrix notation; a function's differential is its row's, printed.
A line is a sum of pieces: scalars * left * core * right, where the core is one differential, perhaps inside
linear functions. Sums, numbers and scalars come out of products, traces and entry-by-entry products. Then
pieces are turned until the differential comes last, tr(M*dX), m'*dx or m*dc, and like ones are collected.
Trees are a line long, so recursion over them is bounded.
Long because the algebra of pieces has this one user.
Source: the Washington notes, "dF = tr(G'*dX)", equation (14), perturbing each instance of the variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from ..calculus import pushforward, simplify, with_assumptions
from ..equality import how_equal
from ..errors import (
    DerivativeError,
    DimensionError,
    EinderivError,
    NotationError,
    NotMatrixFormError,
    axes_in_words,
)
from ..notations import Context, Node, elaborate_matrix, parts, syntax, tree_nodes
from ..printers import (
    NOWHERE,
    Atom,
    Chain,
    Form,
    MatrixPrinter,
    as_base,
    as_factor,
    call_tree,
    chain_tree,
    flips,
    form_tree,
    identity,
    matrix_latex,
    matrix_text_of,
    multiply_chains,
    name_latex,
    number_tree,
    ones,
    power_tree,
    sum_tree,
    to_text,
    transpose_chain,
    tree_text,
    unparse,
)
from ..terms import (
    ELEMENTWISE,
    WHOLE,
    Apply,
    Delta,
    Dim,
    Expr,
    Map,
    Sum,
    Variable,
    core_ranks,
    dependents,
    is_zero,
    literal,
    postorder,
    substitute_terms,
)
from . import laws
from .derivation import Derivation, Question
from .laws import Rule, combine
from .parts import free_name, named_matrices
from .records import Line, Step, checked_step, fold_steps, partial_line, program_line

ONE = Fraction(1)
_UNIT = Form()
PENDING = "d"  # d(...), not carried out yet
_CONTEXT = "?"  # an extent that the context says
_NUMBERS = {"tr", "sum", "mean", "norm1", "norm2"}.union(
    row.name for row in WHOLE.values() if not core_ranks(row.signature)[1]
) - {"max", "min"}
_SIZED = ("eye", "ones", "zeros")  # their arguments are extents
_OF_TRANSPOSES = ("sum", "tr", "norm2")  # they are the same of U and U'
_MOVED = "~"  # the differential of a row's argument: sorts behind all names, so it ends traces
_COPIES = 6  # a matrix power that is perturbed factor by factor
_LONG = 2_000  # characters of a line; nobody reads on, and nested definitions double it each time
_WAY_OUT = 'method="index" derives it entry by entry'


def derive(question: Question) -> Derivation:
    """The derivation of a gradient by the differential method.

    Raises DerivativeError if the expression is not a scalar or the variable has more than two axes,
    NotMatrixFormError if a part has no matrix form.
    """
    x, rank = question.variable, question.term.rank
    if rank:
        raise DerivativeError(
            f"the differential method derives scalars, the expression has {axes_in_words(rank)}",
            facts=[f"its axes are {', '.join(question.indices)}", "it reads off dF = tr(G'*dX)"],
            hint=_WAY_OUT,
        )
    if x.rank > 2:
        raise DerivativeError(
            f"the differential method derives by numbers, columns and matrices, "
            f"{x.name} has {axes_in_words(x.rank)}",
            facts=["a trace tr(G'*dX) sums over rows and columns"],
            hint=_WAY_OUT,
        )
    try:
        try:
            return _Differential(question, question.term).derivation()
        except _NotReadBackError:  # it is written in another way: exp of a product of numbers
            return _Differential(question, simplify([question.term])[0]).derivation()
    except (NotationError, DimensionError) as problem:
        # a line that matrix notation cannot say, though each part of it has a matrix form
        raise NotMatrixFormError(
            "a line of the derivation has no matrix form",
            facts=[" ".join(problem.message.split()) or "its sizes cannot be told"],
            hint=_WAY_OUT,
        ) from problem
    except NotMatrixFormError as problem:
        raise NotMatrixFormError(
            f"the differential method needs matrix notation: {problem.message}",
            facts=problem.facts,
            hint=_WAY_OUT,
        ) from None


class _NotReadBackError(EinderivError):
    """The matrix notation of a term was not recognised as that term."""


def _refusal(tree: Node) -> EinderivError:
    return NotMatrixFormError(
        f"no matrix form for the differential of {tree_text(tree)}",
        facts=["matrix notation multiplies matrices, columns and numbers, two axes at a time"],
        hint=_WAY_OUT,
    )


@dataclass(slots=True)
class _Block:
    """One left-hand side: dF or the differential of a definition."""

    left: Line
    shown: Line
    steps: list[Step] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)


class _Differential:
    """The names, definitions and lines of one derivation."""

    def __init__(self, question: Question, term: Expr) -> None:
        self.question = question
        context, x = question.context, question.variable
        self.assumptions = {n: w for n, w in context.assumptions.items() if n != x.name}
        self.root = with_assumptions(term, self.assumptions)
        self.taken = {*context.variables, *context.declared}
        self.taken |= {str(dim) for v in context.variables.values() for dim in v.shape}
        self.name = free_name((context.name, "F", "f", "J"), self.taken)
        self.dx = self._differential_name(x.name)
        variables = {n: with_assumptions(v, self.assumptions) for n, v in context.variables.items()}
        dx = Variable(self.dx, x.shape)
        self.matrices = Matrices(variables, self.assumptions, x, dx)  # type: ignore[arg-type]
        self.perturbation = _Perturbation(self.matrices)
        self.moving = dependents([self.root], [x])
        definitions = context.definitions.items()
        known = {with_assumptions(node, self.assumptions): name for node, name in definitions}
        self.lets = named_matrices(self.root, known, self.moving, self.taken)
        hints = replace(context, definitions={})
        self.printer = MatrixPrinter(hints, self.lets, self.root)
        self.blocks: dict[str, _Block] = {}  # name of a differential -> how it came about
        self.given: list[tuple[Line, Line]] = []
        self.title = partial_line(self.name, (), x.name, ())

    def _differential_name(self, name: str) -> str:
        return free_name((f"d{name}", f"Δ{name}", f"d_{name}"), self.taken)

    def derivation(self) -> Derivation:
        for node, name in self.lets.items():
            tree = self._give(name, node)
            differential = None
            if node in self.moving:
                differential = self._differential_name(name)
                self.blocks[differential] = self._block(tree, name, differential)
            self.matrices.define(name, node, differential)
        main = self._block(self._give(self.name, self.root), self.name, f"d{self.name}")
        if main.pieces:
            self._put_definitions_in(main)
            self._turn(main)
            self._collect(main)
        self._read_off(main)
        x = self.question.variable
        note = "the gradient by a number is a number"
        if x.rank:
            shape = "a column, as" if x.rank == 1 else "a matrix of the shape of"
            note = (
                f"the gradient is {shape} {x.name} (denominator layout); "
                "numerator layout writes its transpose"
            )
        steps = fold_steps([block.steps for block in self.blocks.values()], main.steps)
        given = tuple(self.given)
        return Derivation("differential", self.question, self.title, given, steps, note)

    def _give(self, name: str, node: Expr) -> Node:
        """A term as a tree, put among what is given."""
        tree = without_needless_transposes(form_tree(self.printer.form(node, top=True)))
        line = self.matrices.line(tree)
        assert line.term is not None
        if not how_equal(line.term, node):
            raise _NotReadBackError(
                f"the matrix notation of {name} is not what the expression says: "
                "this is a fault of einderiv",
                hint=_WAY_OUT,
            )
        self.given.append((Line(name, name_latex(name)), line))
        return tree

    def _block(self, tree: Node, name: str, differential: str) -> _Block:
        """d(tree), rule by rule from the outside in."""
        left = Line(differential, rf"\mathrm{{d}}{name_latex(name)}")
        block = _Block(left, self.matrices.line(call_tree(PENDING, tree)))
        if not self.matrices.depends(tree):
            self._step(block, [], [Rule("constant", f"it has no {self.question.variable.name}")])
            return block
        moved, used = self.perturbation.differential(tree), self.perturbation.rules_used()
        self._step(block, self.matrices.pieces(moved), used)
        while any(piece.pending() for piece in block.pieces):
            pieces: list[Piece] = []
            for piece in block.pieces:
                inner = piece.pending()
                new = inner and self.perturbation.apply(inner)
                pieces += self.matrices.with_core(piece, new) if new else [piece]
            self._step(block, pieces, self.perturbation.rules_used())
        return block

    def _step(self, block: _Block, pieces: Iterable[Piece], rules: Iterable[Rule]) -> None:
        """The next line of a block unless nothing is seen to change; checked here."""
        block.pieces = [scalars_collected(self.matrices, piece) for piece in pieces]
        before, after = block.shown, self.matrices.line(self.matrices.tree(block.pieces))
        if after.text == before.text:
            return
        if len(after.text) > _LONG:
            raise DerivativeError(
                "this derivation is too long for the differential method",
                facts=[f"a line of it has {len(after.text)} characters"],
                hint='method="adjoint" lists it in rows of a line each',
            )
        rules = list(rules)
        rules = [rule for rule in rules if not rule.trivial] or rules
        block.steps.append(checked_step(combine(rules, rules), before, after, block.left))
        block.shown = after

    # ------------------------------------------------------------ from dF to tr(G'*dX)

    def _put_definitions_in(self, block: _Block) -> None:
        """The differentials of definitions, the last one first."""
        for name, inner in reversed(self.blocks.items()):
            count = sum(piece.core_name() == name for piece in block.pieces)
            if not count:
                continue
            if count > 1:
                self._turn(block)
                self._collect(block)
            tree = self.matrices.tree(inner.pieces)
            rule = Rule(
                "definition's differential put in",
                f"{inner.left.text} = {inner.shown.text}",
                f"{inner.left.latex} = {inner.shown.latex}",
            )
            pieces: list[Piece] = []
            for piece in block.pieces:
                is_own = piece.core_name() == name
                pieces += self.matrices.with_core(piece, tree) if is_own else [piece]
            self._step(block, pieces, [rule])

    def _turn(self, block: _Block) -> None:
        """Laws of the trace until each differential comes last."""
        changed = True
        while changed:
            changed = False
            for turn in TURNS:
                turned = [turn(self.matrices, piece) for piece in block.pieces]
                rules = dict.fromkeys(rule for _, rule in turned if rule is not None)
                pieces = [piece for piece, _ in turned]
                if pieces != block.pieces:
                    changed = True
                    self._step(block, pieces, rules)

    def _collect(self, block: _Block) -> None:
        """Equal pieces first, then one factor for each differential."""
        added = like_pieces_added(self.matrices, block.pieces)
        self._step(block, added, [laws.LIKE_TERMS])
        groups: dict[str, list[Piece]] = {}
        for piece in block.pieces:
            groups.setdefault(piece.core_name(), []).append(piece)
        kinds = [inside_trace(group[0]).kind for group in groups.values() if len(group) > 1]
        rules = [laws.FACTORED[0 if k.is_scalar else 1 + k.is_matrix] for k in kinds]
        self._step(block, map(one_factor, groups.values()), rules)

    # ------------------------------------------------------------ the gradient

    def _read_off(self, main: _Block) -> None:
        """From dF = tr(G'*dX) to G, then to the engine's form of it."""
        result = self._result_line()
        x = self.question.variable
        if not main.pieces:
            zero = Line(main.shown.text, main.shown.latex, result.term)
            self._last_step(main, Rule("gradient read off", "dF = 0"), zero, result)
            return
        (piece,) = main.pieces
        rule, form = laws.READ_OFF[x.rank], factor_form(piece)
        turned = self.matrices.line(form_tree(form.transpose()))
        if x.rank:
            shown = self.matrices.line(
                syntax.Transpose(syntax.Group(form_tree(form), NOWHERE), NOWHERE)
            )
        else:
            latex = rf"\frac{{{main.left.latex}}}{{\mathrm{{d}}{name_latex(x.name)}}}"
            shown = Line(f"{main.left.text}/{self.dx}", latex, turned.term)
        if turned.text != result.text:
            self._last_step(main, rule, shown, turned)
            self._last_step(main, self._last_rule(turned), turned, result)
        else:
            self._last_step(main, rule, shown, result)

    def _last_rule(self, before: Line) -> Rule:
        assert before.term is not None
        x, words = self.question.variable.name, self.question.context.assumptions
        used = [name for name in self.lets.values() if re.search(rf"\b{name}\b", before.text)]
        if used:
            return Rule("definitions written out", f"{', '.join(used)} from above")
        assumed, answer = with_assumptions(before.term, words), self.question.answer.term
        if words.get(x) and assumed is not with_assumptions(before.term, self.assumptions):
            return Rule("simplified", f"{x} is {' and '.join(sorted(words[x]))}")
        if assumed is answer:
            return Rule("rearranged")
        is_sum = any(isinstance(n, Sum) and len(n.children) > 1 for n in postorder([assumed]))
        is_regrouped = is_sum and _functions(assumed) == _functions(answer)
        return Rule("simplified", "U*V + U*W = U*(V + W)" if is_regrouped else "")

    def _last_step(self, main: _Block, rule: Rule, before: Line, after: Line) -> None:
        words = self.question.context.assumptions

        def assume(*sides: Expr) -> Iterator[tuple[Expr, Expr]]:
            one, other = (with_assumptions(side, words) for side in sides)
            yield one, other

        main.steps.append(checked_step(rule, before, after, self.title, assume))

    def _result_line(self) -> Line:
        """The engine's gradient in matrix notation, or in indices if it has no such form."""
        answer, hints = self.question.answer, self.question.context
        try:
            return program_line(matrix_text_of(answer.term, hints), answer.term, matrix=True)
        except NotMatrixFormError:
            shown = to_text(unparse(answer.term, answer.indices, hints))
            return Line(shown, answer.latex(), answer.term)


def _functions(term: Expr) -> set[str]:
    """The functions in a term; a delta counts as one, since a diagonal shows as diag."""
    nodes = postorder([term])
    return {n.function for n in nodes if isinstance(n, Map | Apply)} | {
        "delta" for n in nodes if isinstance(n, Delta)
    }


# ---------------------------------------------------------------- d(u), one level down


class _Perturbation:
    """Differentials of trees, over the names of one derivation; it notes the rules that it uses."""

    def __init__(self, matrices: Matrices) -> None:
        self.matrices, self.depends = matrices, matrices.depends
        self.used: dict[Rule, None] = {}

    def rules_used(self) -> list[Rule]:
        used, self.used = list(self.used), {}
        return used

    def differential(self, tree: Node) -> Node:
        """d(tree) for a tree that depends on the variable: linear parts carried out, the rest pending."""
        match tree:
            case syntax.Name():
                return syntax.Name(self.matrices.moving[tree.name], NOWHERE)
            case syntax.Group():
                inner = self.differential(tree.inner)
                return (
                    syntax.Group(inner, NOWHERE)
                    if isinstance(inner, syntax.Sum | syntax.Negative)
                    else inner
                )
            case syntax.Negative():
                return syntax.Negative(self.differential(tree.operand), NOWHERE)
            case syntax.Transpose():
                self.used[laws.D_TRANSPOSE] = None
                return syntax.Transpose(self.differential(tree.operand), NOWHERE)
            case syntax.Sum():
                if len(tree.terms) > 1:
                    self.used[laws.D_SUM] = None
                terms = [(m, self.differential(t)) for m, t in tree.terms if self.depends(t)]
                return syntax.Sum(tuple(terms), NOWHERE)
            case syntax.Product():
                places = [k for k, (_, f) in enumerate(tree.factors) if self.depends(f)]
                if len(places) == 1 and not tree.factors[places[0]][0]:
                    self.used[laws.D_CONSTANTS] = None
                    return self._with_factor(tree, places[0])
            case syntax.Pointwise(operator=".*" | "./") if not self.depends(tree.right):
                return replace(tree, left=self.differential(tree.left))
            case syntax.Pointwise(operator=".*") if not self.depends(tree.left):
                return replace(tree, right=self.differential(tree.right))
            case syntax.Call(arguments=(argument,)) if tree.function in laws.D_LINEAR:
                self.used[laws.D_LINEAR[tree.function]] = None
                return call_tree(tree.function, self.differential(argument))
        return call_tree(PENDING, bare(tree))

    def _with_factor(self, tree: syntax.Product, place: int) -> Node:
        factors = list(tree.factors)
        factors[place] = factors[place][0], self.differential(factors[place][1])
        return syntax.Product(tuple(factors), NOWHERE)

    def apply(self, tree: Node) -> Node:
        """d(tree) by the rule for its outermost operation."""
        match tree:
            case syntax.Product():
                return self._product(tree)
            case syntax.Pointwise(operator=".^"):
                return self._entrywise_power(tree)
            case syntax.Pointwise():
                return self._entrywise(tree)
            case syntax.Power():
                return self._power(tree)
            case syntax.Call(function="norm2"):
                return self._norm(tree.arguments[0], ONE)
            case syntax.Call():
                name = tree.function
                if name in ELEMENTWISE and len(tree.arguments) == len(ELEMENTWISE[name].arguments):
                    return self._elementwise(name, tree.arguments)
                if name in WHOLE and len(tree.arguments) == 1:
                    return self._whole(name, tree.arguments[0])
                raise _refusal(tree)
        return self.differential(tree)

    def _product(self, tree: syntax.Product) -> Node:
        terms: list[tuple[bool, Node]] = []
        for place, (divides, factor) in enumerate(tree.factors):
            if not self.depends(factor):
                continue
            self.used[laws.D_QUOTIENT if divides else laws.D_PRODUCT] = None
            if not divides:
                terms.append((False, self._with_factor(tree, place)))
                continue
            p, base = ONE, factor
            if isinstance(factor, syntax.Power) and isinstance(factor.exponent, syntax.Number):
                p, base = factor.exponent.value, factor.base  # d(1/u^p) = -p*du/u^(p+1)
            raised = syntax.Power(as_base(base), syntax.Number(p + 1, NOWHERE), NOWHERE)
            front = [(False, syntax.Number(p, NOWHERE))] if p != 1 else []
            rest = (*tree.factors[:place], *tree.factors[place + 1 :])
            moved = as_factor(self.differential(base))
            full = (*front, *rest, (True, raised), (False, moved))
            terms.append((True, syntax.Product(full, NOWHERE)))
        if laws.D_QUOTIENT in self.used:  # it says more
            self.used.pop(laws.D_PRODUCT, None)
        return syntax.Sum(tuple(terms), NOWHERE)

    def _entrywise(self, tree: syntax.Pointwise) -> Node:
        terms: list[tuple[bool, Node]] = []
        if self.depends(tree.left):
            terms.append((False, replace(tree, left=self.differential(tree.left))))
        if self.depends(tree.right):
            moved = self.differential(tree.right)
            if tree.operator == ".*":
                self.used[laws.D_ENTRYWISE] = None
                terms.append((False, replace(tree, right=moved)))
            else:
                self.used[laws.D_ENTRYWISE_QUOTIENT] = None
                square = syntax.Pointwise(".^", as_base(tree.right), number_tree(2 * ONE), NOWHERE)
                above = replace(tree, operator=".*", right=moved)
                shown = syntax.Pointwise("./", above, square, NOWHERE)
                terms.append((True, shown))
        return syntax.Sum(tuple(terms), NOWHERE)

    def _entrywise_power(self, tree: syntax.Pointwise) -> Node:
        exponent = self.matrices.number(tree.right)
        if exponent is None:
            return self._elementwise("pow", (tree.left, tree.right))
        self.used[laws.D_ENTRYWISE_SQUARE if exponent == 2 else laws.D_ENTRYWISE_POWER] = None
        moved = self.differential(tree.left)
        slope: Node = tree.left
        if exponent != 2:
            slope = replace(tree, left=as_base(tree.left), right=number_tree(exponent - 1))
        shown = syntax.Group(syntax.Pointwise(".*", slope, moved, NOWHERE), NOWHERE)
        return _product(number_tree(exponent), shown)

    def _power(self, tree: syntax.Power) -> Node:
        exponent, base = self.matrices.number(tree.exponent), bare(tree.base)
        if not self.matrices.kind(base).is_scalar:
            return self._matrix_power(tree, exponent)
        if isinstance(base, syntax.Call) and base.function == "norm2" and exponent is not None:
            return self._norm(base.arguments[0], exponent)
        if exponent is None:
            return self._elementwise("pow", (base, tree.exponent))
        self.used[laws.D_SQUARE if exponent == 2 else laws.D_POWER] = None
        lower: Node = tree.base
        if exponent != 2:
            lower = replace(tree, exponent=number_tree(exponent - 1))
        moved = as_factor(self.differential(base))
        return _product(number_tree(exponent), as_factor(lower), moved)

    def _matrix_power(self, tree: syntax.Power, exponent: Fraction | None) -> Node:
        if exponent is None or not 2 <= exponent <= _COPIES:
            raise _refusal(tree)
        self.used[laws.D_PRODUCT] = None
        base, moved = as_factor(tree.base), as_factor(self.differential(tree.base))
        places = range(int(exponent))
        terms = (_product(*(moved if k == place else base for k in places)) for place in places)
        return syntax.Sum(tuple((False, term) for term in terms), NOWHERE)

    def _norm(self, argument: Node, exponent: Fraction) -> Node:
        """d norm2(U)^p = p*norm2(U)^(p - 2)*tr(U'*dU)."""
        is_column = not self.matrices.kind(argument).is_matrix
        if exponent == 2:
            rule = laws.D_SQUARED_COLUMN_NORM if is_column else laws.D_SQUARED_NORM
        else:
            if exponent != 1:
                self.used[laws.D_POWER] = None
            rule = laws.D_COLUMN_NORM if is_column else laws.D_NORM
        self.used[rule] = None
        u: Node = as_base(argument)
        if isinstance(argument, syntax.Transpose):  # the norm of U' is that of U
            u = argument.operand
        inner = _product(syntax.Transpose(u, NOWHERE), as_factor(self.differential(u)))
        middle = as_factor(inner) if is_column else call_tree("tr", inner)
        norm, rest = call_tree("norm2", argument), exponent - 2
        raised = norm if abs(rest) == 1 else syntax.Power(norm, number_tree(abs(rest)), NOWHERE)
        above = (raised, middle) if rest > 0 else (middle,)
        return form_tree(Form(exponent, above, (raised,) if rest < 0 else ()))

    def _whole(self, name: str, argument: Node) -> Node:
        shape = self.matrices.term(argument).shape
        letter = "U" if len(shape) == 2 else "u"
        term = laws.differential_at(name, Variable(letter, shape), Variable(_MOVED, shape))
        shown = form_tree(_printed_form(term, call_tree(name, argument)))
        self.used[_law(name, (syntax.Name(letter, NOWHERE),), ((letter, shown),))] = None
        return put_in(shown, {letter: argument, _MOVED: self.differential(argument)})

    def _elementwise(self, name: str, arguments: tuple[Node, ...]) -> Node:
        row = ELEMENTWISE[name]
        shapes = [self.matrices.term(argument).shape for argument in arguments]
        is_matrix = max(map(len, shapes)) == 2
        names = ("u",) if len(arguments) == 1 else row.arguments  # d exp(U), d max(A, B)
        letters = tuple(letter.upper() if is_matrix else letter for letter in names)
        variables = tuple(
            literal(a.value) if isinstance(a, syntax.Number) else Variable(x, s)
            for a, x, s in zip(arguments, letters, shapes, strict=True)
        )
        places = dict(zip(letters, arguments, strict=True))
        call = call_tree(name, *arguments)
        terms: list[tuple[str, Node]] = []
        for k, argument in enumerate(arguments):
            if not self.depends(argument):
                continue
            slope = laws.slope_at(name, k, variables)
            if slope is None:
                raise _refusal(call)
            if is_zero(slope):
                continue
            form, moved = _printed_form(slope, call), syntax.Name(_MOVED, NOWHERE)
            if not slope.shape and not shapes[k]:
                whole = form_tree(replace(form, above=(*form.above, moved)))
            else:
                whole = _with_conditions(form_tree(form), places)
                if slope.shape and shapes[k]:
                    is_open = isinstance(whole, syntax.Sum | syntax.Product | syntax.Negative)
                    whole = syntax.Group(whole, NOWHERE) if is_open else whole
                    whole = syntax.Pointwise(".*", whole, moved, NOWHERE)
                else:
                    whole = _product(as_factor(whole), moved)
            terms.append((letters[k], whole))
        known = tuple(
            a if isinstance(a, syntax.Number) else syntax.Name(x, NOWHERE)
            for a, x in zip(arguments, letters, strict=True)
        )
        moved_terms = tuple(
            (False, put_in(tree, {**places, _MOVED: self.differential(places[letter])}))
            for letter, tree in terms
        )
        self.used[_law(name, known, terms)] = None
        return syntax.Sum(moved_terms, NOWHERE) if terms else number_tree(Fraction(0))


def _product(*factors: Node) -> Node:
    return syntax.Product(tuple((False, factor) for factor in factors), NOWHERE)


def _printed_form(term: Expr, call: Node) -> Form:
    try:
        return MatrixPrinter(Context(), {}, term).form(term)
    except NotMatrixFormError:
        raise _refusal(call) from None


def _law(name: str, arguments: tuple[Node, ...], terms: Iterable[tuple[str, Node]]) -> Rule:
    """`d tanh(u) = (vector(1) - tanh(u).^2).*du`, as the row has it."""
    call: Node = call_tree(name, *arguments)
    if name == "pow":
        base, exponent = arguments
        is_number = isinstance(base, syntax.Name) and base.name.islower()
        call = syntax.Power(base, exponent, NOWHERE)
        if not is_number:
            call = syntax.Pointwise(".^", base, exponent, NOWHERE)
    shown = [put_in(tree, {_MOVED: syntax.Name(f"d{letter}", NOWHERE)}) for letter, tree in terms]
    right: Node = syntax.Sum(tuple((False, tree) for tree in shown), NOWHERE)
    if len(shown) < 2:
        right = shown[0] if shown else number_tree(Fraction(0))
    text = f"d {tree_text(call)} = {tree_text(right)}"
    latex = rf"\mathrm{{d}}\,{matrix_latex(call)} = {matrix_latex(right)}"
    for letter, _ in terms:
        latex = latex.replace(rf"\mathrm{{d{letter}}}", rf"\mathrm{{d}}{letter}")
    words = {"inv": "inverse", "det": "determinant", "logdet": "log-determinant"}
    return Rule(words.get(name, name), text, latex)


def _with_conditions(tree: Node, places: Mapping[str, Node]) -> Node:
    """where(c, ...) for where(c != 0, ...), for a c that is a comparison already."""

    def change(node: Node) -> Node | None:
        if isinstance(node, syntax.Comparison) and isinstance(node.left, syntax.Name):
            is_condition = isinstance(places.get(node.left.name), syntax.Comparison)
            return node.left if is_condition else None
        return None

    return rebuild(tree, change)


# ---------------------------------------------------------------- pieces

# entry by entry: the operators and what follows them, applied to a linear part
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

    def transpose(self) -> Kind:
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
    """scalars * left * core * right; `flipped`: the core is transposed.

    The core is a differential, or another piece in a linear `function`: "tr", "sum", "diag", ".*" (with
    `factors`), or "" for brackets.
    """

    core: Node | Piece
    kind: Kind  # of the core as it is, transposed if it is flipped
    function: str = ""
    factors: Factors = ()
    flipped: bool = False
    scalars: Form = _UNIT
    left: Chain = ()
    right: Chain = ()

    def times(self, scalars: Form) -> Piece:
        return replace(self, scalars=self.scalars.times(scalars))

    def transpose(self) -> Piece:
        """Its transpose; a scalar core stays."""
        flipped = self.flipped if self.kind.is_scalar else not self.flipped
        left, right = transpose_chain(self.right), transpose_chain(self.left)
        return replace(self, flipped=flipped, kind=self.kind.transpose(), left=left, right=right)

    def bare(self) -> Piece:
        return replace(self, scalars=_UNIT)

    def inside(self) -> Piece:
        assert isinstance(self.core, Piece)
        return self.core

    def innermost(self) -> Node:
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

    def line(self, tree: Node) -> Line:
        """A tree as text, as LaTeX with upright d's, and the term it means."""
        latex = matrix_latex(tree)
        for name, differential in self.moving.items():
            latex = latex.replace(name_latex(differential), rf"\mathrm{{d}}{name_latex(name)}")
        latex = latex.replace(rf"\operatorname{{{PENDING}}}\left(", r"\mathrm{d}\left(")
        return Line(tree_text(tree), latex, self.term(tree))

    def term(self, tree: Node) -> Expr:
        """What a tree means, definitions and pending differentials written out."""
        text = tree_text(tree)
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
            plain = syntax.Name(name, NOWHERE)
            return syntax.Transpose(plain, NOWHERE) if is_row else plain

        statement = syntax.Definition(None, None, rebuild(tree, change), NOWHERE, NOWHERE)
        meaning = elaborate_matrix(syntax.Text("", (statement,)), shapes)
        (term,) = substitute_terms([meaning.term], places)
        return with_assumptions(term, self.assumptions)

    def kind(self, tree: Node) -> Kind:
        inside = map(self.kind, parts(tree))
        match tree:
            case syntax.Name():
                x = self.variables.get(tree.name)
                return Kind(*x.shape) if x else SCALAR
            case syntax.Group() | syntax.Negative() | syntax.Power():
                return next(inside)
            case syntax.Transpose():
                return next(inside).transpose()
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
        left, right = ([self.kind(a.factor()) for a in c] for c in (piece.left, piece.right))
        return _product_kind([*left, piece.kind, *right])

    # ------------------------------------------------------------ trees as chains

    def depends(self, tree: Node) -> bool:
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
                return self.form(tree.operand).transpose()
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
                return [piece.transpose() for piece in self.pieces(tree.operand)]
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
            inside = [p.transpose() for p in inside]
        return [self.between(p, piece.left, piece.right).times(piece.scalars) for p in inside]

    def between(self, piece: Piece, left: Chain, right: Chain) -> Piece:
        """left * piece * right."""
        if not left and not right:
            return piece
        if piece.kind.is_scalar:
            chain = multiply_chains(left, piece.left, piece.right, right)
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
            if around and not _is_ones(chain_tree(around)):
                full = ((".*", chain_tree(around)), *full)
            return replace(result, left=(self.atom(_entrywise_tree(full)),), right=())
        inner = result.bare()
        if inner.is_entrywise():  # U.*(V.*dX)
            inner, full = inner.inside(), (*full, *inner.factors)
        return Piece(inner, kind, ".*", full).times(result.scalars)

    def apply(self, function: str, piece: Piece) -> Piece:
        """A linear function of a piece, scalars outside."""
        if function in ("vector", "matrix"):
            return self.between(piece, (self.atom(call_tree(function, number_tree(ONE))),), ())
        if piece.kind.is_scalar:  # f(A*s) = f(A)*s for a scalar s
            tree = call_tree(function, chain_tree(multiply_chains(piece.left, piece.right)))
            if self.kind(tree).is_scalar:
                return _with_scalar_around(piece, tree)
            return replace(piece, left=(self.atom(tree),), right=())
        kind = _diagonal_kind(self.value_kind(piece)) if function == "diag" else SCALAR
        return Piece(piece.bare(), kind, function).times(piece.scalars)

    def tree(self, pieces: Sequence[Piece]) -> Node:
        forms = [self._piece_form(piece) for piece in pieces]
        if not forms:
            return syntax.Number(Fraction(0), NOWHERE)
        return form_tree(forms[0]) if len(forms) == 1 else sum_tree(_signed_terms(forms))

    def _piece_form(self, piece: Piece) -> Form:
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
        return _entrywise_tree([*piece.factors, (".*", inner)])


def _inverse(form: Form) -> Form:
    return Form(1 / form.coefficient if form.coefficient else ONE, form.below, form.above)


def _signed_terms(forms: Iterable[Form]) -> list[tuple[bool, Form]]:
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
    if not isinstance(tree, syntax.Call) or tree.function not in ("vector", "matrix", "ones"):
        return False
    first = tree.arguments[0]
    return tree.function == "ones" or (isinstance(first, syntax.Number) and first.value == 1)


def _entrywise_tree(factors: Iterable[tuple[str, Node]]) -> Node:
    """U .* V ./ W."""
    whole = sorted(factors, key=lambda entry: entry[0] == "./")
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


def rebuild(tree: Node, change: Callable[[Node], Node | None]) -> Node:
    """A tree with `change(node)` for every outermost node for which it gives one."""
    new = change(tree)
    if new is not None:
        return new
    match tree:
        case syntax.Product():
            return syntax.Product(tuple((d, rebuild(f, change)) for d, f in tree.factors), NOWHERE)
        case syntax.Sum():
            return syntax.Sum(tuple((m, rebuild(t, change)) for m, t in tree.terms), NOWHERE)
        case syntax.Call() if tree.function not in _SIZED:
            arguments = tuple(bare(rebuild(argument, change)) for argument in tree.arguments)
            return replace(tree, arguments=arguments)
    node: Any = tree
    inside = {p: rebuild(getattr(node, p), change) for p in _PARTS.get(type(node), ())}
    return replace(node, **inside) if inside else tree


def put_in(tree: Node, places: Mapping[str, Node]) -> Node:
    """A tree with trees for names."""

    def change(node: Node) -> Node | None:
        new = places.get(node.name) if isinstance(node, syntax.Name) else None
        return new and bare(new)

    return rebuild(tree, change)


def without_needless_transposes(tree: Node) -> Node:
    """Transposes dropped if the value is the same without: sum(U'), tr(U'), norm2(U')."""

    def change(node: Node) -> Node | None:
        if isinstance(node, syntax.Call) and node.function in _OF_TRANSPOSES:
            new = _transpose_of(node.arguments[0])
            return None if new is None else replace(node, arguments=(rebuild(new, change),))
        return None

    return rebuild(tree, change)


def _transpose_of(tree: Node) -> Node | None:
    """The transpose of a tree that is one, or a product of many."""
    if isinstance(tree, syntax.Transpose):
        return bare(tree.operand)
    if isinstance(tree, syntax.Product) and not any(divides for divides, _ in tree.factors):
        factors = [factor for _, factor in reversed(tree.factors)]
        if 2 * sum(isinstance(factor, syntax.Transpose) for factor in factors) > len(factors):
            return _product(
                *(
                    f.operand if isinstance(f, syntax.Transpose) else syntax.Transpose(f, NOWHERE)
                    for f in factors
                )
            )
    return None


def bare(tree: Node) -> Node:
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
        inner = inner.transpose()
    kind = matrices.value_kind(inner)
    if inner.is_entrywise():
        chain = () if kind.is_matrix else (Atom(_ones(_CONTEXT), flipped=True),)
        moved = _other_factor(matrices, inner.factors, chain)
        product = matrices.between(inner.inside(), (moved,), ()).times(piece.scalars)
        return (_trace(product), laws.SUM_TRACE) if kind.is_matrix else (product, laws.SUM_DOT)
    whole = tuple(matrices.atom(_ones(dim)) for dim in (kind.rows, kind.columns) if dim)
    product = matrices.between(inner, transpose_chain(whole[:1]), whole[1:])
    return product.times(piece.scalars), laws.SUM_ONES


def upright(_: Matrices, piece: Piece) -> tuple[Piece, Rule | None]:
    """dX' becomes dX by transposing the whole."""
    if piece.function == "tr" and piece.inside().flipped:
        return replace(piece, core=piece.inside().transpose()), laws.TRANSPOSED
    if piece.flipped and not piece.kind.is_matrix:
        return piece.transpose(), laws.TRANSPOSED_NUMBER
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
    """What is between the trace and the differential, moved to the other factor."""
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
        diagonal = call_tree("diag", chain_tree(transpose_chain(left)))
        product = matrices.between(inner, (matrices.atom(diagonal),), ())
        return _trace(product).times(piece.scalars), laws.DIAGONAL_OF
    if in_trace and not left:  # tr(U.*V)
        diagonal = call_tree("diag", call_tree("diag", _entrywise_tree(around.factors)))
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
    turned = [transpose_chain(own) for own in plain]

    def product(first: Chain, rest: Sequence[Chain]) -> Atom:
        trees = [(".*", chain_tree(first))] if first else []
        trees += [(op, chain_tree(own)) for (op, _), own in zip(factors, rest, strict=True)]
        return matrices.atom(_entrywise_tree(trees))

    if all(_is_ones(atom.tree) for atom in chain):
        return replace(product((), plain), flipped=True)
    direct = flips(chain) + sum(map(flips, turned))
    other = flips(transpose_chain(chain)) + sum(map(flips, plain)) + 1
    if matrices.kind(chain_tree(chain)).rows is None or other < direct:
        return replace(product(transpose_chain(chain), plain), flipped=True)
    return product(chain, turned)


def _ones(dim: Dim) -> Node:
    return call_tree("vector", number_tree(ONE)) if dim == _CONTEXT else chain_tree(ones(dim))


# ---------------------------------------------------------------- like pieces collected


def scalars_collected(matrices: Matrices, piece: Piece) -> Piece:
    """Numbers in front of a chain closed, equal factors as powers, what is above and below cancelled."""
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
            known = powers.get(tree_text(base), (base, Fraction(0)))[1]
            powers[tree_text(base)] = base, known + sign * exponent
    above = tuple(power_tree(base, p) for base, p in powers.values() if p > 0)
    below = tuple(power_tree(base, -p) for base, p in powers.values() if p < 0)
    return replace(piece, scalars=Form(scalars.coefficient, above, below))


def like_pieces_added(matrices: Matrices, pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces that read the same added up; those that cancel are gone."""
    totals: dict[str, tuple[Piece, Fraction]] = {}
    for piece in pieces:
        unit = replace(piece, scalars=replace(piece.scalars, coefficient=ONE))
        text = tree_text(matrices.tree([unit]))
        first, total = totals.get(text, (unit, Fraction(0)))
        totals[text] = first, total + piece.scalars.coefficient
    return [unit.times(Form(total)) for unit, total in totals.values() if total]


def inside_trace(piece: Piece) -> Piece:
    """What is inside the trace of a piece in trace form."""
    return piece.inside() if piece.function == "tr" else piece


def one_factor(group: Sequence[Piece]) -> Piece:
    """tr(U*dX) + tr(V*dX) as tr((U + V)*dX)."""
    if len(group) == 1:
        return group[0]
    inner = inside_trace(group[0]).bare()
    outside, forms = _common_scalars([factor_form(piece) for piece in group])
    terms = _signed_terms(forms)
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
    above, below = (_common([getattr(form, side) for form in forms]) for side in ("above", "below"))

    def part(form: Form, size: Fraction, shared: bool) -> Form:
        over, under = (
            tuple(tree for tree in trees if (tree_text(tree) in common) == shared)
            for trees, common in ((form.above, above), (form.below, below))
        )
        return Form(size, over, under)

    rest = [replace(part(f, f.coefficient / size, False), chain=f.chain) for f in forms]
    return part(forms[0], size, True), rest


def _common(groups: Iterable[Sequence[Node]]) -> set[str]:
    """The texts of trees that occur once in every group."""
    texts = [[tree_text(tree) for tree in group] for group in groups]
    return {text for text in texts[0] if all(own.count(text) == 1 for own in texts)}
