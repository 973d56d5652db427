"""What the blocks of one derivation share: letters, definitions, and how a step is shown and checked.

In: a question. Out: lines and checked steps.
Invariant: each step's two sides are compared before it is shown (`checking.py`); definitions stand as tensors
of their own there, so that the work grows with the length of what is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..expr import Dim, Expr, Variable
from ..printers.letters import Letters
from ..printers.partials import Partial, as_node, entry, tree_latex, tree_text
from ..substitution import substituted
from ..walk import dependents
from .checking import check_equal
from .definitions import named_parts, reserved_names
from .derivation import Question
from .index_rules import Rules
from .raw_terms import Names, Product, Raw, Total, free_names, to_term
from .raw_trees import TreeWriter
from .records import Line, Step
from .unfolding import ONE, Unfolder


@dataclass(frozen=True, slots=True)
class State:
    """A right-hand side: constant factors in front, then a sum of products."""

    front: Product
    terms: tuple[Product, ...]

    def raw(self) -> Raw:
        """The whole as one tree."""
        if not self.terms:
            return Total((), ())
        if len(self.terms) == 1:
            (term,) = self.terms
            c = self.front.coefficient * term.coefficient
            return Product(c, (*self.front.factors, *term.factors), term.summed)
        inner = Total(
            tuple(term.coefficient for term in self.terms),
            tuple(replace(term, coefficient=ONE) for term in self.terms),
        )
        if not self.front.factors and self.front.coefficient == 1:
            return inner
        return Product(self.front.coefficient, (inner, *self.front.factors), ())


@dataclass(slots=True)
class Block:
    """The derivation of one left-hand side: the result's or a definition's."""

    name: str
    term: Expr
    indices: Names
    steps: list[Step] = field(default_factory=list)
    state: State = State(Product(ONE, (), ()), ())


class Frame:
    """What all blocks of a derivation share."""

    def __init__(self, question: Question) -> None:
        self.question = question
        context, x = question.context, question.variable
        self.names = question.names
        hints = context.hints()
        letters = Letters(hints, question.term, set())
        self.dims: dict[str, Dim] = letters.dims
        for names, shape in ((question.indices, question.term.shape), (self.names, x.shape)):
            self.dims.update(zip(names, shape, strict=True))
        moving = dependents([question.term], [x])
        taken = reserved_names(context.variables, context.declared)
        self.name = (
            context.name if context.name and context.name not in taken else _free_name(taken)
        )
        taken.add(self.name)
        parts = named_parts(question.term, context.definitions, moving, taken)
        self.lets = {node: Variable(name, node.shape) for node, name in parts.items()}
        self.slope: dict[Variable, Variable] = {
            u: Variable(f"∂{u.name}", u.shape + x.shape)
            for node, u in self.lets.items()
            if node in moving
        }
        self.unfolder = Unfolder(letters, self.lets, frozenset((*question.indices, *self.names)))
        self.slopes = set(self.slope.values())
        self.rules = Rules(self.unfolder, self.dims, x, self.names, tuple(self.slope.items()))
        self.writer = TreeWriter(
            {du: (u.name, x.name, u.rank) for u, du in self.slope.items()}, self.dims
        )
        self.blocks: dict[Variable, Block] = {}
        # definitions, each in terms of those before
        self.bodies: dict[Expr, Expr] = {}
        self.full: dict[
            Expr, Expr
        ] = {}  # the same and their derivatives, in terms of the user's tensors
        self.given: list[tuple[Line, Line]] = []

    def line(self, raw: Raw, names: Names) -> Line:
        """A right-hand side whose left-hand side has the indices `names`."""
        tree = self.writer.tree(raw, names)
        return Line(tree_text(tree), tree_latex(tree), to_term(raw, self.dims, names))

    def left(self, block: Block) -> Line:
        """`∂J/∂th[d]`."""
        x = entry(self.question.variable.name, self.names)
        tree = as_node(Partial(entry(block.name, block.indices), x))
        return Line(tree_text(tree), tree_latex(tree))

    def give(self, name: str, indices: Names, raw: Raw) -> None:
        """Put an equation among what is given."""
        tree = entry(name, indices)
        self.given.append((Line(tree_text(tree), tree_latex(tree)), self.line(raw, indices)))

    def step(
        self,
        block: Block,
        rule: str,
        law: str,
        before: State,
        after: State,
        latex: str = "",
        part: tuple[Raw, Raw] | None = None,
        folded: Sequence[Step] = (),
        known: Mapping[Expr, Expr] | None = None,
    ) -> None:
        """Add a step to a block unless nothing is seen to change; checked here."""
        names = (*block.indices, *self.names)
        block.state = after
        left, right = self.line(before.raw(), names), self.line(after.raw(), names)
        if left.text == right.text:
            return
        block.steps.append(
            self.checked(rule, law, left, right, latex, part, self.left(block), folded, known)
        )

    def checked(
        self,
        rule: str,
        law: str,
        before: Line,
        after: Line,
        latex: str,
        part: tuple[Raw, Raw] | None,
        left: Line | None,
        folded: Sequence[Step] = (),
        known: Mapping[Expr, Expr] | None = None,
    ) -> Step:
        """A step whose two sides are compared, where need be with what is `known` put in."""
        assert before.term is not None and after.term is not None
        how = check_equal(self.more_and_more_explicit(before.term, after.term, known or {}))
        shown = None
        if part is not None:
            names = tuple(dict.fromkeys(name for raw in part for name in free_names(raw)))
            shown = (self.line(part[0], names), self.line(part[1], names))
        return Step(rule, law, before, after, shown, how, left, latex, tuple(folded))

    def more_and_more_explicit(
        self, before: Expr, after: Expr, known: Mapping[Expr, Expr]
    ) -> Iterator[tuple[Expr, Expr]]:
        """Two sides with what is known put in; with definitions called by name; with all in full."""
        a, b = substituted([before, after], known)
        yield a, b
        named: dict[Expr, Expr] = {body: u for u, body in self.bodies.items()}
        c, d = substituted([a, b], named)
        if (c, d) != (a, b):
            yield c, d
        if self.full:
            yield self.in_full(a), self.in_full(b)

    def in_full(self, term: Expr) -> Expr:
        """A term with the definitions and their derivatives written out."""
        return substituted([term], self.full)[0]

    def write_out(self, node: Expr, u: Variable) -> None:
        """Note what a definition and its derivative are in full."""
        self.full[u] = node
        if u in self.blocks:
            block = self.blocks[u]
            own = to_term(block.state.raw(), self.dims, (*block.indices, *self.names))
            self.full[self.slope[u]] = self.in_full(own)

    def axis_letters(self, node: Expr) -> Names:
        """Letters for the axes of a definition."""
        names: Names = ()
        for dim in node.shape:
            used = self.unfolder.reserved.union(names)
            names = (*names, self.unfolder.letters.letter(dim, used))
        return names


def _free_name(taken: set[str]) -> str:
    return next(
        name for name in ("f", "F", "y", "Y", *(f"f{k}" for k in range(1, 99))) if name not in taken
    )
