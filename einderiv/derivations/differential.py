"""The differential method: dF by perturbation, trace form, rotation, the gradient read off.

In: a question about a scalar function of a number, a column or a matrix. Out: its derivation.
Invariant: every line is read back from what it shows (`matrix_lines.py`) and compared with the line before;
the rules are those of `perturbation.py` and `trace_form.py`, the last line is the engine's derivative.
Source: the Washington notes, "dF = tr(G'*dX)".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..calculus import pushforward, simplify, with_assumptions
from ..equality import check_equal, how_equal
from ..errors import (
    DerivativeError,
    DimensionError,
    EinderivError,
    NotationError,
    NotMatrixFormError,
    axes_in_words,
)
from ..notations import Call, Definition, Group, Name, Node, Text, Transpose, elaborate_matrix
from ..printers import (
    NOWHERE,
    MatrixPrinter,
    call_tree,
    form_tree,
    matrix_latex,
    matrix_text_of,
    name_latex,
    to_text,
    tree_text,
    unparse,
)
from ..terms import (
    Apply,
    Delta,
    Dim,
    Expr,
    Map,
    Shape,
    Sum,
    Variable,
    dependents,
    postorder,
    substituted,
)
from .derivation import Derivation, Question
from .index_rules import Rule
from .parts import free_name, named_matrices
from .perturbation import Perturbation, Rules
from .pieces import (
    COLLECTED,
    PENDING,
    Matrices,
    Piece,
    Wrap,
    core_name,
    factor_form,
    factoring_rule,
    gathered,
    is_pending,
    mapped,
    merged,
    reduced,
    tidied,
)
from .records import Line, Step, capped
from .trace_form import TraceForm

# Lines of a derivation in matrix notation, each with the term that its text means.
#
# In: surface trees of matrix notation over the tensors of a program, its definitions and their differentials.
# Out: `Line`s; their terms are what the notation's own elaborator makes of the tree that is shown.
# Invariant: a line's term is read from what the reader sees, never from how it came about.


class MatrixLines:
    """Trees as lines, over the tensors of a program, the variable x and its differential dx.

    `matrices` tells what the names are; definitions are added as they come.
    """

    def __init__(
        self,
        variables: Mapping[str, Variable],
        assumptions: Mapping[str, frozenset[str]],
        x: Variable,
        dx: Variable,
    ) -> None:
        self.variables, self.assumptions = dict(variables), assumptions
        self.x, self.dx = x, dx
        self.places: dict[Expr, Expr] = {}  # definitions and their differentials, in tensors alone
        self.differentials = {dx.name: x.name}
        self.variables[dx.name] = dx
        symmetric = {n for n, x in self.variables.items() if x.symmetric}
        shapes = {n: x.shape for n, x in self.variables.items()}
        self.matrices = Matrices(
            shapes, symmetric, {dx.name}, lambda tree: self.term(tree).symmetric
        )
        self._terms: dict[str, Expr] = {}

    def define(self, name: str, term: Expr, differential: str | None) -> None:
        """A definition, and the name of its differential where it has one."""
        own = Variable(name, term.shape)
        self.variables[name] = own
        self.matrices.shapes[name] = term.shape
        if term.symmetric:
            self.matrices.symmetric.add(name)
        self.places[own] = term
        if differential is not None:
            moved = Variable(differential, term.shape)
            self.variables[differential] = moved
            self.matrices.shapes[differential] = term.shape
            self.matrices.differentials.add(differential)
            self.differentials[differential] = name
            self.places[moved] = pushforward([term], {self.x: self.dx})[0]

    def line(self, tree: Node) -> Line:
        """A tree as text, LaTeX and the term it means."""
        return Line(tree_text(tree), self.latex(tree), self.term(tree))

    def latex(self, tree: Node) -> str:
        """LaTeX with upright d's."""
        shown = matrix_latex(tree)
        for differential, name in self.differentials.items():
            shown = shown.replace(name_latex(differential), rf"\mathrm{{d}}{name_latex(name)}")
        return shown.replace(rf"\operatorname{{{PENDING}}}\left(", r"\mathrm{d}\left(")

    def term(self, tree: Node) -> Expr:
        """What a tree means, definitions and pending differentials written out."""
        text = tree_text(tree)
        if text not in self._terms:
            self._terms[text] = self._read(tree)
        return self._terms[text]

    def _read(self, tree: Node) -> Expr:
        pending: dict[str, Node] = {}

        def change(node: Node) -> Node | None:
            if not isinstance(node, Call) or node.function != PENDING:
                return None
            (inner,) = node.arguments
            name = Name(f"_d_{len(pending)}", NOWHERE)
            pending[name.name] = inner
            row = self.matrices.kind(inner).rows is None and not self.matrices.kind(inner).is_scalar
            return Transpose(name, NOWHERE) if row else name

        plain = mapped(tree, change)
        places = dict(self.places)
        shapes = {name: x.shape for name, x in self.variables.items()}
        for name, inner in pending.items():
            term = self.term(inner)
            places[Variable(name, term.shape)] = pushforward([term], {self.x: self.dx})[0]
            shapes[name] = term.shape
        statement = Definition(None, None, plain, NOWHERE, NOWHERE)
        meaning = elaborate_matrix(Text("", (statement,)), shapes)
        (term,) = substituted([meaning.term], places)
        return with_assumptions(term, self.assumptions)


# ----------------------------------------------------------------------

_LONG = (
    2_000  # characters of a line; nobody reads on, and nested definitions would double it each time
)
_LAWS = 90  # characters of laws that are shown with one step
_WAY_OUT = 'method="index" derives it entry by entry'


def derive(question: Question) -> Derivation:
    """The derivation of a gradient by the differential method.

    Raises DerivativeError where the expression is no scalar or the variable has more than two axes,
    NotMatrixFormError where a part has no matrix form.
    """
    _check(question)
    try:
        try:
            return _Differential(question, question.term).derivation()
        except (
            _NotReadBackError
        ):  # the notation writes it in another way: exp of a product of numbers
            return _Differential(question, simplify([question.term])[0]).derivation()
    except (NotationError, DimensionError) as problem:
        raise _refusal_of(problem) from problem
    except NotMatrixFormError as problem:
        raise NotMatrixFormError(
            f"the differential method needs matrix notation: {problem.message}",
            facts=problem.facts,
            hint=_WAY_OUT,
        ) from None


class _NotReadBackError(EinderivError):
    """The matrix notation of a term was not recognised as that term."""


def _check(question: Question) -> None:
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


@dataclass(slots=True)
class _Block:
    """One left-hand side: dF or the differential of a definition."""

    left: Line
    steps: list[Step]
    shown: Line
    pieces: list[Piece]


class _Differential:
    """The names, definitions and lines of one derivation."""

    def __init__(self, question: Question, term: Expr) -> None:
        self.question = question
        context, x = question.context, question.variable
        self.assumptions = {n: w for n, w in context.assumptions.items() if n != x.name}
        self.root = with_assumptions(term, self.assumptions)
        self.hints = replace(context, definitions={})
        taken = {
            *context.variables,
            *context.declared,
            *map(str, _dims(context.variables.values())),
        }
        self.name = free_name((context.name, "F", "f", "J"), taken)
        taken.add(self.name)
        self.dx = self._differential_name(x.name, taken)
        dx = Variable(self.dx, x.shape)
        variables = {n: with_assumptions(v, self.assumptions) for n, v in context.variables.items()}
        self.lines = MatrixLines(variables, self.assumptions, x, dx)  # type: ignore[arg-type]
        self.matrices: Matrices = self.lines.matrices
        self.moving_nodes = dependents([self.root], [x])
        known = {
            with_assumptions(node, self.assumptions): name
            for node, name in context.definitions.items()
        }
        self.lets = named_matrices(self.root, known, self.moving_nodes, taken)
        self.moving = {x.name: self.dx}
        self.perturbation = Perturbation(self.matrices, self.moving, self.shape_of, _refusal)
        self.trace = TraceForm(self.matrices)
        self.taken = taken
        self.blocks: dict[str, _Block] = {}  # name of a differential -> how it came about
        self.given: list[tuple[Line, Line]] = []

    def _differential_name(self, name: str, taken: set[str]) -> str:
        found = free_name((f"d{name}", f"Δ{name}", f"d_{name}"), taken)
        taken.add(found)
        return found

    def shape_of(self, tree: Node) -> Shape:
        """The axes of a tree's value as an array."""
        return self.lines.term(tree).shape

    # ------------------------------------------------------------ the derivation

    def derivation(self) -> Derivation:
        """Definitions with their differentials, dF, the gradient."""
        printer = MatrixPrinter(self.hints, self.lets, self.root)
        for node, name in self.lets.items():
            self._definition(printer, node, name)
        tree = tidied(form_tree(printer.form(self.root, top=True)))
        self._give(self.name, tree, self.root)
        left = Line(f"d{self.name}", rf"\mathrm{{d}}{name_latex(self.name)}")
        main = self._block(tree, left)
        if main.pieces:
            self._put_definitions_in(main)
            self._turn(main)
            self._collect(main)
        self._read_off(main)
        question = self.question
        return Derivation(
            "differential",
            question.expression,
            question.wanted,
            capped([block.steps for block in self.blocks.values()], main.steps),
            question.answer,
            self._note(),
            self._gradient_line(),
            tuple(self.given),
        )

    def _definition(self, printer: MatrixPrinter, node: Expr, name: str) -> None:
        tree = tidied(form_tree(printer.form(node, top=True)))
        self._give(name, tree, node)
        if node not in self.moving_nodes:
            self.lines.define(name, node, None)
            return
        differential = self._differential_name(name, self.taken)
        left = Line(differential, rf"\mathrm{{d}}{name_latex(name)}")
        self.blocks[differential] = self._block(tree, left)
        self.lines.define(name, node, differential)
        self.moving[name] = differential

    def _give(self, name: str, tree: Node, node: Expr) -> None:
        line = self.lines.line(tree)
        assert line.term is not None
        if not how_equal(line.term, node):
            raise _NotReadBackError(
                f"the matrix notation of {name} is not what the expression says: "
                "this is a fault of einderiv",
                hint=_WAY_OUT,
            )
        self.given.append((Line(name, name_latex(name)), line))

    def _block(self, tree: Node, left: Line) -> _Block:
        """d(tree), rule by rule from the outside in."""
        block = _Block(left, [], self.lines.line(call_tree(PENDING, tree)), [])
        if not self.perturbation.depends(tree):
            law = f"it has no {self.question.variable.name}"
            self._step(block, [], [Rule("constant", law, "")])
            return block
        rules: Rules = {}
        moved = self.perturbation.moved(tree, rules)
        self._step(block, self.matrices.pieces(moved), rules)
        while any(is_pending(piece) for piece in block.pieces):
            rules = {}
            pieces: list[Piece] = []
            for piece in block.pieces:
                if is_pending(piece):
                    pending = piece.innermost()
                    assert isinstance(pending, Call)
                    new = self.perturbation.applied(pending.arguments[0], rules)
                    pieces += self._with_core(piece, new)
                else:
                    pieces.append(piece)
            self._step(block, pieces, rules)
        return block

    def _with_core(self, piece: Piece, new: Node) -> list[Piece]:
        """A piece with a tree for its innermost core."""
        if isinstance(piece.core, Wrap):
            wrap = piece.core
            inside = self._with_core(wrap.inner, new)
            if wrap.function == ".*":
                inside = [self.matrices.pointwise(p, wrap.factors) for p in inside]
            elif wrap.function:
                inside = [self.matrices.wrapped(wrap.function, p) for p in inside]
        else:
            inside = self.matrices.pieces(new) if self.matrices.is_linear(new) else []
        if piece.flipped:
            inside = [p.transposed() for p in inside]
        return [
            self.matrices.placed(p, piece.left, piece.right).times(
                piece.coefficient, piece.above, piece.below
            )
            for p in inside
        ]

    # ------------------------------------------------------------ from dF to tr(G'*dX)

    def _put_definitions_in(self, block: _Block) -> None:
        """The differentials of definitions, the last one first."""
        for name in reversed(self.blocks):
            found = [piece for piece in block.pieces if core_name(piece) == name]
            if not found:
                continue
            if len(found) > 1:
                self._turn(block)
                self._collect(block)
            inner = self.blocks[name]
            tree = self.matrices.tree(inner.pieces)
            law = Rule(
                "definition's differential put in",
                f"{inner.left.text} = {inner.shown.text}",
                f"{inner.left.latex} = {inner.shown.latex}",
            )
            pieces: list[Piece] = []
            for piece in block.pieces:
                if core_name(piece) == name:
                    pieces += self._with_core(piece, tree)
                else:
                    pieces.append(piece)
            self._step(block, pieces, [law])

    def _turn(self, block: _Block) -> None:
        """Laws of the trace until each differential stands last."""
        changed = True
        while changed:
            changed = False
            for law in self.trace.laws():
                turned = [law(piece) for piece in block.pieces]
                rules = dict.fromkeys(rule for _, rule in turned if rule is not None)
                pieces = [piece for piece, _ in turned]
                if pieces != block.pieces:
                    changed = True
                    self._step(block, pieces, rules)

    def _collect(self, block: _Block) -> None:
        """Equal pieces first, then one factor for each differential."""
        self._step(block, merged(self.matrices, block.pieces), [COLLECTED])
        groups: dict[str, list[Piece]] = {}
        for piece in block.pieces:
            groups.setdefault(core_name(piece), []).append(piece)
        rules = [factoring_rule(group[0]) for group in groups.values() if len(group) > 1]
        self._step(block, [gathered(group) for group in groups.values()], dict.fromkeys(rules))

    # ------------------------------------------------------------ the gradient

    def _read_off(self, main: _Block) -> None:
        """From dF = tr(G'*dX) to G, then to the engine's form of it."""
        left, result = self._gradient_line(), self._result_line()
        x, rank = self.question.variable, self.question.variable.rank
        if not main.pieces:
            zero = Line(main.shown.text, main.shown.latex, result.term)
            self._last_step(main, "gradient read off", "dF = 0", zero, result, left)
            return
        (piece,) = main.pieces
        law, latex = _READING[rank]
        form = factor_form(piece)
        turned = self.lines.line(form_tree(form.transpose()))
        if rank:
            shown = self.lines.line(Transpose(Group(form_tree(form), NOWHERE), NOWHERE))
        else:
            latex_left = rf"\frac{{{main.left.latex}}}{{\mathrm{{d}}{name_latex(x.name)}}}"
            shown = Line(f"{main.left.text}/{self.dx}", latex_left, turned.term)
        if turned.text != result.text:
            self._last_step(main, "gradient read off", law, shown, turned, left, latex)
            self._last_step(main, *self._last_rule(turned), turned, result, left)
        else:
            self._last_step(main, "gradient read off", law, shown, result, left, latex)

    def _last_rule(self, before: Line) -> tuple[str, str]:
        """What the last step to the engine's result does, in words and symbols."""
        assert before.term is not None
        x, words = self.question.variable.name, self.question.context.assumptions
        used = [name for name in self.lets.values() if re.search(rf"\b{name}\b", before.text)]
        if used:
            return "definitions written out", f"{', '.join(used)} from above"
        assumed, answer = with_assumptions(before.term, words), self.question.answer.term
        if words.get(x) and assumed is not with_assumptions(before.term, self.assumptions):
            return "simplified", f"{x} is {' and '.join(sorted(words[x]))}"
        if assumed is answer:
            return "rearranged", ""
        is_sum = any(
            isinstance(node, Sum) and len(node.children) > 1 for node in postorder([assumed])
        )
        if is_sum and _functions(assumed) == _functions(answer):
            return "simplified", "U*V + U*W = U*(V + W)"
        return "simplified", ""

    def _last_step(
        self,
        main: _Block,
        rule: str,
        law: str,
        before: Line,
        after: Line,
        left: Line,
        latex: str = "",
    ) -> None:
        assert before.term is not None and after.term is not None
        everything = self.question.context.assumptions
        one, other = (with_assumptions(term, everything) for term in (before.term, after.term))
        how = check_equal([(one, other)])
        main.steps.append(Step(rule, law, before, after, None, how, left, latex))

    def _gradient_line(self) -> Line:
        x = self.question.variable.name
        latex = rf"\frac{{\partial {name_latex(self.name)}}}{{\partial {name_latex(x)}}}"
        return Line(f"∂{self.name}/∂{x}", latex)

    def _result_line(self) -> Line:
        """The engine's gradient in matrix notation, or in indices where it has no such form."""
        answer = self.question.answer
        hints = self.question.context
        try:
            *others, last = (
                s
                for s in matrix_text_of(answer.term, hints).statements
                if isinstance(s, Definition)
            )
        except NotMatrixFormError:
            shown = to_text(unparse(answer.term, answer.indices, hints))
            return Line(shown, answer.latex(), answer.term)
        text, latex = tree_text(last.expression), matrix_latex(last.expression)
        for other in others:
            text += f"\nwhere {other.name} = {tree_text(other.expression)}"
            latex += rf",\quad {name_latex(other.name or '')} = {matrix_latex(other.expression)}"
        return Line(text, latex, answer.term)

    def _note(self) -> str:
        x = self.question.variable
        if not x.rank:
            return "the gradient by a number is a number"
        shape = "a column, as" if x.rank == 1 else "a matrix of the shape of"
        return (
            f"the gradient is {shape} {x.name} (denominator layout); "
            f"numerator layout writes its transpose"
        )

    # ------------------------------------------------------------ steps

    def _step(self, block: _Block, pieces: list[Piece], rules: Iterable[Rule]) -> None:
        """The next line of a block unless nothing is seen to change; checked here."""
        pieces = [reduced(self.matrices, piece) for piece in pieces]
        block.pieces = pieces
        shown = self.lines.line(self.matrices.tree(pieces))
        if shown.text == block.shown.text:
            return
        if len(shown.text) > _LONG:
            raise DerivativeError(
                "this derivation is too long for the differential method",
                facts=[f"a line of it has {len(shown.text)} characters"],
                hint='method="adjoint" lists it in rows of a line each',
            )
        before, after = block.shown, shown
        assert before.term is not None and after.term is not None
        how = check_equal([(before.term, after.term)])
        own = list(rules)
        own = [rule for rule in own if not rule.trivial] or own
        names = ", ".join(dict.fromkeys(rule.name for rule in own))
        law = _listed([rule.law for rule in own], "; ")
        latex = _listed([rule.latex for rule in own], r",\; ")
        block.steps.append(Step(names, law, before, after, None, how, block.left, latex))
        block.shown = shown


_READING = {
    0: ("dF = g*dx", r"\mathrm{d}F = g\,\mathrm{d}x"),
    1: ("dF = g'*dx", r"\mathrm{d}F = g^{\mathsf{T}}\,\mathrm{d}x"),
    2: ("dF = tr(G'*dX)", r"\mathrm{d}F = \operatorname{tr}(G^{\mathsf{T}}\,\mathrm{d}X)"),
}


def _functions(term: Expr) -> set[str]:
    """The functions in a term; a delta counts as one, since a diagonal shows as diag."""
    nodes = postorder([term])
    return {n.function for n in nodes if isinstance(n, Map | Apply)} | {
        "delta" for n in nodes if isinstance(n, Delta)
    }


def _dims(variables: Iterable[Variable]) -> Iterable[Dim]:
    return (dim for x in variables for dim in x.shape)


def _refusal_of(problem: EinderivError) -> EinderivError:
    """A line that matrix notation cannot say, though each part of it has a matrix form."""
    return NotMatrixFormError(
        "a line of the derivation has no matrix form",
        facts=[" ".join(problem.message.split()) or "its sizes cannot be told"],
        hint=_WAY_OUT,
    )


def _refusal(tree: Node) -> EinderivError:
    return NotMatrixFormError(
        f"no matrix form for the differential of {tree_text(tree)}",
        facts=["matrix notation multiplies matrices, columns and numbers, two axes at a time"],
        hint=_WAY_OUT,
    )


def _listed(laws: Sequence[str], between: str) -> str:
    """The first laws, as many as fit beside a line."""
    known = [law for law in laws if law]
    count = 2 if sum(map(len, known[:2])) <= _LAWS else 1
    return between.join(known[:count])
