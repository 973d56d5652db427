"""Lines of a derivation in matrix notation, each with the term that its text means.

In: surface trees of matrix notation over the tensors of a program, its definitions and their differentials.
Out: `Line`s; their terms are what the notation's own elaborator makes of the tree that is shown.
Invariant: a line's term is read from what the reader sees, never from how it came about.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..assumptions import with_assumptions
from ..differentiator import pushforward
from ..expr import Expr, Variable
from ..notation.matrix import elaborate_matrix
from ..notation.syntax import Call, Definition, Name, Node, Text, Transpose
from ..printers.latex import name_latex
from ..printers.matrix_latex import matrix_latex
from ..printers.matrix_text import tree_text
from ..printers.trees import NOWHERE
from ..substitution import substituted
from .linear_pieces import PENDING, Matrices
from .matrix_trees import mapped
from .records import Line


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
