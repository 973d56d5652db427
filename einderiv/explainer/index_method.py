"""The index method: product and chain rule entry by entry, with Kronecker deltas.

In: a question. Out: its derivation: the expression in indices, rules applied from the outside in, deltas
contracted, dummy indices renamed, like terms collected, the engine's result, its matrix form.
Invariant: definitions are derived before what uses them; the last step is the engine's own result.
Source: the MIT notes' A.15 to A.22, "matrix derivatives using Einstein summation".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..assumptions import with_assumptions
from ..canonical import transpose
from ..errors import NotMatrixFormError
from ..expr import Contraction, Expr, Variable
from ..notation.syntax import Definition
from ..printers.latex import name_latex
from ..printers.matrix import matrix_text_of
from ..printers.matrix_latex import matrix_latex
from ..printers.matrix_text import tree_text as tree_text_of_matrix
from ..printers.partials import entry, tree_latex, tree_text
from ..printers.unparse import unparse
from ..walk import postorder
from .checking import check_equal
from .derivation import Derivation, Question
from .folding import capped
from .frame import Block
from .index_blocks import BlockRules
from .raw_terms import to_term
from .records import Line, Step


def derive(question: Question) -> Derivation:
    """The derivation of a derivative by the index method."""
    return _Derivation(question).derivation()


class _Derivation(BlockRules):
    """All blocks, then the engine's result."""

    def derivation(self) -> Derivation:
        """All blocks, then the engine's result."""
        question = self.question
        for node, u in self.lets.items():
            indices = self.axis_letters(node)
            raw = self.unfolder.raw(node, indices)
            self.give(u.name, indices, raw)
            self.bodies[u] = to_term(raw, self.dims, indices)
            self.unfolder.recognise(self.bodies[u], u)
            if u in self.slope:
                block = Block(u.name, node, indices)
                self.blocks[u] = block
                self.derive_block(block, raw)
            self.write_out(node, u)
        main = Block(self.name, question.term, question.indices)
        raw = self.unfolder.raw(question.term, question.indices)
        self.give(self.name, question.indices, raw)
        self.derive_block(main, raw)
        self.finish(main)
        note = [self.layout_note(), self.matrix_form(main)]
        return Derivation(
            "index",
            question.expression,
            question.wanted,
            capped([block.steps for block in self.blocks.values()], main.steps),
            question.answer,
            "\n".join(line for line in note if line),
            self.left(main),
            tuple(self.given),
        )

    def finish(self, main: Block) -> None:
        """From the last line to the engine's result, then its matrix form."""
        question = self.question
        names = (*main.indices, *self.names)
        answer = question.answer
        now = self.line(main.state.raw(), names)
        assert now.term is not None
        result = self.result_line()
        axes = tuple(names.index(name) for name in answer.indices)
        full = transpose(self.in_full(now.term), axes)
        term = with_assumptions(full, question.context.assumptions)
        how = check_equal([(term, answer.term)])
        uses = [u for u in postorder([now.term]) if u in self.bodies or u in self.slopes]
        if main.steps and not uses and (full is answer.term or now.text == result.text):
            main.steps[-1] = replace(main.steps[-1], after=result)
            return
        rule, law, latex = self.last_rule(uses, len(main.state.terms))
        main.steps.append(Step(rule, law, now, result, None, how, self.left(main), latex))

    def result_line(self) -> Line:
        """The engine's result, with definitions of its own behind it."""
        answer = self.question.answer
        shown = unparse(answer.term, answer.indices, self.question.context.hints())
        *others, last = [s for s in shown.statements if isinstance(s, Definition)]
        text, latex = tree_text(last.expression), tree_latex(last.expression)
        for other in others:
            assert other.name is not None
            left = entry(other.name, [index.name for index in other.indices or ()])
            text += f"\nwhere {tree_text(left)} = {tree_text(other.expression)}"
            latex += rf",\quad {tree_latex(left)} = {tree_latex(other.expression)}"
        return Line(text, latex, answer.term)

    def last_rule(self, uses: Sequence[Expr], terms: int) -> tuple[str, str, str]:
        """What the last step to the engine's result does, in words and symbols."""
        names = [x.name for x in uses if isinstance(x, Variable)]
        assumed = self.question.context.assumptions
        words = "; ".join(f"{n} is {' and '.join(sorted(w))}" for n, w in assumed.items() if w)
        if names:
            more = " and others" if len(names) > 4 else ""
            return "definitions written out", f"{', '.join(names[:4])}{more} from above", ""
        if words:
            return "simplified", words, ""
        if terms < 2:
            return "simplified", "the engine's shorter form", ""
        return "simplified", "u*v + u*w = u*(v + w)", r"u\,v + u\,w = u\,(v + w)"

    def matrix_form(self, main: Block) -> str:
        """A step to the matrix form, or why there is none."""
        answer = self.question.answer
        try:
            shown = matrix_text_of(answer.term, self.question.context.hints())
        except NotMatrixFormError as problem:
            rank = answer.term.rank
            return f"no matrix form: the result has {rank} axes" if rank > 2 else problem.message
        result = self.result_line()
        *others, last = [s for s in shown.statements if isinstance(s, Definition)]
        text, latex = tree_text_of_matrix(last.expression), matrix_latex(last.expression)
        for other in others:
            text += f"\nwhere {other.name} = {tree_text_of_matrix(other.expression)}"
            latex += rf",\quad {name_latex(other.name or '')} = {matrix_latex(other.expression)}"
        if text == result.text:
            return ""
        after = Line(text, latex, result.term)
        law, formula = _matrix_laws(text, result.term)
        main.steps.append(
            Step("matrix form", law, result, after, None, "identity", self.left(main), formula)
        )
        return ""

    def layout_note(self) -> str:
        """The axes of the result in order, and whose they are."""
        question = self.question
        own = [f"{', '.join(question.indices)} of {self.name}"] if question.indices else []
        new = [f"{', '.join(question.names)} of {question.variable.name}"] if self.names else []
        if not own and not new:
            return "a number by a number: no axes"
        parts = new + own if question.layout == "denominator" else own + new
        return f"{question.layout} layout: axes {', then '.join(parts)}"


def _matrix_laws(text: str, term: Expr | None) -> tuple[str, str]:
    """What reading entries as a matrix uses: text and LaTeX."""
    laws = []
    nodes = postorder([term]) if term is not None else ()
    products = [node for node in nodes if isinstance(node, Contraction) and len(node.children) > 1]
    if "*" in text and any({x for own in p.inputs for x in own} - set(p.output) for p in products):
        laws.append(("(A*B)[i,j] = A[i,k]*B[k,j]", r"(A B)_{ij} = A_{ik} B_{kj}"))
    if "'" in text:
        laws.append(("A'[i,j] = A[j,i]", r"{A}^{\mathsf{T}}_{ij} = A_{ji}"))
    laws = laws or [("A is the array of A[i,j]", r"A = (A_{ij})")]
    return ", ".join(law for law, _ in laws), r",\; ".join(formula for _, formula in laws)
