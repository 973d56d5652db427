"""The differential method: dF by perturbation, trace form, rotation, the gradient read off.

In: a question about a scalar function of a number, a column or a matrix. Out: its derivation.
Invariant: every line is read back from what it shows and compared with the line before; the last line is the
engine's derivative. The rules for sums and products are the engine's formulas on trees of matrix notation; a
function's differential comes from its row in the table of functions, printed as matrix notation.
Source: the Washington notes, "dF = tr(G'*dX)", perturbing each instance of the variable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from ..calculus import simplify, with_assumptions
from ..equality import how_equal
from ..errors import (
    DerivativeError,
    DimensionError,
    EinderivError,
    NotationError,
    NotMatrixFormError,
    axes_in_words,
)
from ..notations import Hints, Node, syntax
from ..printers import (
    NOWHERE,
    Form,
    MatrixPrinter,
    as_base,
    as_factor,
    call_tree,
    form_tree,
    matrix_latex,
    matrix_text,
    matrix_text_of,
    name_latex,
    number_tree,
    to_text,
    unparse,
)
from ..terms import (
    ELEMENTWISE,
    WHOLE,
    Apply,
    Delta,
    Expr,
    Map,
    Sum,
    Variable,
    dependents,
    is_zero,
    literal,
    postorder,
)
from . import laws
from .derivation import Derivation, Question
from .laws import Rule, combine
from .parts import free_name, named_matrices
from .pieces import (
    ONE,
    PENDING,
    TURNS,
    Matrices,
    Piece,
    bare,
    factor_form,
    inside_trace,
    like_pieces_added,
    one_factor,
    put_in,
    replaced,
    scalars_collected,
    without_needless_transposes,
)
from .records import Line, Step, checked_step, fold_steps, partial_line, program_line

_MOVED = "~"  # the differential of a row's argument: sorts behind all names, so it ends traces
_COPIES = 6  # a matrix power that is perturbed factor by factor
_LONG = 2_000  # characters of a line; nobody reads on, and nested definitions double it each time
_WAY_OUT = 'method="index" derives it entry by entry'


def derive(question: Question) -> Derivation:
    """The derivation of a gradient by the differential method.

    Raises DerivativeError if the expression is no scalar or the variable has more than two axes,
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
        f"no matrix form for the differential of {matrix_text(tree)}",
        facts=["matrix notation multiplies matrices, columns and numbers, two axes at a time"],
        hint=_WAY_OUT,
    )


# ---------------------------------------------------------------- one derivation


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
        known = {
            with_assumptions(node, self.assumptions): name
            for node, name in context.definitions.items()
        }
        self.lets = named_matrices(self.root, known, self.moving, self.taken)
        hints = replace(context.hints(), definitions={})
        self.printer = MatrixPrinter(hints, self.lets, self.root)
        self.blocks: dict[str, _Block] = {}  # name of a differential -> how it came about
        self.given: list[tuple[Line, Line]] = []
        self.title = partial_line(self.name, (), x.name, ())

    def _differential_name(self, name: str) -> str:
        return free_name((f"d{name}", f"Δ{name}", f"d_{name}"), self.taken)

    def derivation(self) -> Derivation:
        """Definitions with their differentials, dF, the gradient."""
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
        """Laws of the trace until each differential stands last."""
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
        turned = self.matrices.line(form_tree(form.transposed()))
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
        """What the last step to the engine's result does."""
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

        def assumed(*sides: Expr) -> Iterator[tuple[Expr, Expr]]:
            one, other = (with_assumptions(side, words) for side in sides)
            yield one, other

        main.steps.append(checked_step(rule, before, after, self.title, assumed))

    def _result_line(self) -> Line:
        """The engine's gradient in matrix notation, or in indices if it has no such form."""
        answer, hints = self.question.answer, self.question.context.hints()
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
        """The rules since the last time, in order."""
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
                square = syntax.Pointwise(
                    ".^", as_base(tree.right), number_tree(Fraction(2)), NOWHERE
                )
                shown = syntax.Pointwise(
                    "./", syntax.Pointwise(".*", tree.left, moved, NOWHERE), square, NOWHERE
                )
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
            slope = syntax.Pointwise(".^", as_base(tree.left), number_tree(exponent - 1), NOWHERE)
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
            lower = syntax.Power(tree.base, number_tree(exponent - 1), NOWHERE)
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

    # ------------------------------------------------------------ rows of the function table

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
        return MatrixPrinter(Hints(), {}, term).form(term)
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
    text = f"d {matrix_text(call)} = {matrix_text(right)}"
    latex = rf"\mathrm{{d}}\,{matrix_latex(call)} = {matrix_latex(right)}"
    for letter, _ in terms:
        latex = latex.replace(rf"\mathrm{{d{letter}}}", rf"\mathrm{{d}}{letter}")
    words = {"inv": "inverse", "det": "determinant", "logdet": "log-determinant"}
    return Rule(words.get(name, name), text, latex)


def _with_conditions(tree: Node, places: Mapping[str, Node]) -> Node:
    """where(c, ...) for where(c != 0, ...), for a c that is a comparison already."""

    def change(node: Node) -> Node | None:
        left = node.left if isinstance(node, syntax.Comparison) else None
        is_condition = isinstance(left, syntax.Name) and isinstance(
            places.get(left.name), syntax.Comparison
        )
        return left if is_condition else None

    return replaced(tree, change)
