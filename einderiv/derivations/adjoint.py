"""The adjoint listing: forward values, then adjoints in reverse order, as back-propagation computes them.

In: a question. Out: its derivation, a table: v1, v2, ... and the adjoint of each, ending in the derivative.
Invariant: the adjoints are the engine's reverse sweep, one row at a time; what a row hands down is compared
with its pushforward (the adjoint times a direction is the same in both), the last line with the engine's
result. The table grows linearly with the nodes of the expression.
An adjoint is its value's name with a bar: inside terms a marked name, in text letters with a macron, in
LaTeX a bar over the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from ..calculus import identity, pushforward, simplify, sweep, with_assumptions
from ..equality import check_equal
from ..printers import Letters, Names, entry, name_latex, unparse
from ..terms import (
    Apply,
    Contraction,
    Expr,
    Map,
    Sum,
    Variable,
    add,
    contract,
    dependents,
    is_view,
    is_zero,
    literal,
    permutation_of,
    postorder,
    split_scale,
    substitute_terms,
    transpose,
    uses,
    with_children,
    zero,
)
from . import laws
from .derivation import MACRON, Derivation, Question
from .laws import Rule
from .parts import free_name, reserved_names
from .records import (
    Line,
    Step,
    fold_steps,
    index_line,
    partial_line,
    program_line,
    step_by,
)

_MARK = "adjointof"


def adjoint_name(name: str) -> str:
    """What an adjoint is called inside terms."""
    return _MARK + name


def with_macrons(text: str) -> str:
    """Marked names as letters with a macron.

    >>> with_macrons("2*adjointofv3*x") == "2*v\u03043*x"
    True
    """
    return re.sub(
        rf"{_MARK}(\w+)", lambda found: re.sub(r"([^\W\d_])", rf"\1{MACRON}", found[1]), text
    )


def with_bars(latex: str, names: Iterable[str]) -> str:
    """The marked ones of these names in a LaTeX text with a bar over them."""
    for name in names:
        if name.startswith(_MARK):
            bar = rf"\bar{{{name_latex(name.removeprefix(_MARK))}}}"
            latex = latex.replace(name_latex(name), bar)
    return latex


# What one row gives to the adjoint of a row below it, by which rule, and how that was checked.
Part = tuple[Expr, Rule, str]


def derive(question: Question) -> Derivation:
    """The adjoint listing of a derivative.

    An expression with axes is listed with one adjoint for each of its entries: its indices come first.
    """
    return _Listing(question).derivation()


class _Listing:
    """Names and letters of one table."""

    def __init__(self, question: Question) -> None:
        self.question = question
        context = question.context
        self.hints = replace(context, definitions={})
        (self.root,) = simplify([question.term])
        self.x, self.rank = question.variable, self.root.rank
        taken = reserved_names(context)
        self.name = free_name((context.name, "f", "F", "y", "Y"), taken)
        # rows: the nodes that depend on x, but those only scaled or transposed in passing
        known = zip(simplify(list(context.definitions)), context.definitions.values(), strict=True)
        users = dict(known)
        moving, counts = dependents([self.root], [self.x]), uses([self.root])
        numbers = (f"v{k}" for k in count(1))
        self.values: dict[Expr, Variable] = {}
        for node in postorder([self.root]):
            if node not in moving or node is self.root or not node.children:
                continue
            if counts[node] > 1 or node in users or not _is_plain(node):
                name = free_name((users.get(node),), taken, numbers)
                self.values[node] = Variable(name, node.shape)
        self.rows: dict[Expr, Expr] = {v: node for node, v in self.values.items()}
        self.adjoints: set[Expr] = set()

    def _letters(self, node: Expr, used: Names) -> Names:
        return Letters(self.hints).letters(node.shape, used)

    def _line(self, term: Expr, names: Names) -> Line:
        """A term in index notation; parts that it has twice behind it."""
        line = program_line(unparse(term, names, self.hints), term)
        text = line.text
        if term is not self.question.answer.term:  # extents are those of the left-hand side
            first, *others = text.split("\n")
            text = "\n".join([re.sub(r"(\w+):\w+(?=[,\]])", r"\1", first), *others])
        present = (
            v.name for v in postorder([term]) if isinstance(v, Variable) and v in self.adjoints
        )
        return Line(with_macrons(text), with_bars(line.latex, present), term)

    def _entry(self, name: str, names: Names) -> Line:
        line = index_line(entry(name, names))
        return Line(with_macrons(line.text), with_bars(line.latex, [name]))

    def _partial(self, name: str, names: Names) -> Line:
        return partial_line(self.name, self.question.indices, name, names)

    def derivation(self) -> Derivation:
        """Forward values in order, adjoints in reverse."""
        question = self.question
        given: list[tuple[Line, Line]] = []
        own: dict[Expr, Expr] = {}
        rows = [(node, v.name, self._letters(node, ())) for node, v in self.values.items()]
        for node, name, names in (*rows, (self.root, self.name, question.indices)):
            own[node] = self._over_rows_below(node)
            given.append((self._entry(name, names), self._line(own[node], names)))
        steps = self._backwards(own)
        bar, where = with_macrons(adjoint_name("v")), ""
        if self.rank:
            where = f", with the index of {self.name} in front"
        indices = f"[{','.join(question.indices)}]" if self.rank else ""
        return Derivation(
            "adjoint",
            question,
            self._partial(self.x.name, question.names),
            tuple(given),
            fold_steps([[step] for step in steps[:-1]], steps[-1:]),
            f"{bar} is the adjoint of v: ∂{self.name}{indices}/∂v{where}",
            ("forward values", "adjoints"),
        )

    def _over_rows_below(self, node: Expr) -> Expr:
        """A node over the variables for the rows below it."""
        built: dict[Expr, Expr] = {}
        for inner in [*postorder(node.children, self.values), node]:
            children = tuple(self.values.get(child) or built[child] for child in inner.children)
            built[inner] = inner if children == inner.children else with_children(inner, children)
        return built[node]

    def _backwards(self, own: Mapping[Expr, Expr]) -> list[Step]:
        """A step for each adjoint, the root's first; the last one leads to the engine's derivative."""
        pending: dict[Variable, list[Part]] = {}
        places: dict[Expr, Expr] = dict(self.rows)  # values and adjoints written out
        seed = identity(self.root.shape) if self.rank else literal(1)
        parts = [(seed, laws.A_SEED, "identity")]
        steps = [self._step(self.name, self.root, seed, parts)]
        self._hand_down(self.root, own[self.root], seed, pending)
        for node, v in reversed(self.values.items()):
            parts = pending.pop(v, [])
            total = self._total(v, parts)
            g = Variable(adjoint_name(v.name), total.shape)
            self.adjoints.add(g)
            (places[g],) = substitute_terms([total], places)
            steps.append(self._step(v.name, node, total, parts))
            if not is_zero(total):
                self._hand_down(node, own[node], g, pending)
        parts = pending.pop(self.x, [])
        total = self._total(self.x, parts)
        row = self._step(self.x.name, self.x, total, parts)
        return [*steps, *self._result(row, substitute_terms([total], places)[0])]

    def _hand_down(
        self, node: Expr, local: Expr, g: Expr, pending: dict[Variable, list[Part]]
    ) -> None:
        """What the adjoint of one row gives to the rows below it: the engine's sweep, checked."""
        leaves = [v for v in postorder([local]) if isinstance(v, Variable)]
        below = [v for v in leaves if v is self.x or v in self.rows]
        found = sweep(local, below, g, self.rank)
        how = _compare_with_pushforward(local, found, g, self.rank)
        if node in self.values and local.children:  # exp(x) is there already: it is v1
            terms = substitute_terms(list(found.values()), {local: self.values[node]})
            found = dict(zip(found, terms, strict=True))
        for v in below:
            if not is_zero(found[v]):
                pending.setdefault(v, []).append((found[v], _rule(node, local, v), how))

    def _total(self, v: Variable, parts: Sequence[Part]) -> Expr:
        shape = (*self.root.shape, *v.shape)
        if not parts:
            return zero(shape)
        return simplify([add(((1, term) for term, _, _ in parts), shape)])[0]

    def _step(self, name: str, node: Expr, total: Expr, parts: Sequence[Part]) -> Step:
        """`v̄2[a] = ∂J/∂v2[a] = ...`."""
        indices = self.question.indices
        names = self.question.names if node is self.x else self._letters(node, indices)
        rules = list(dict.fromkeys(rule for _, rule, _ in parts))
        law = next((rule for rule in rules if not rule.trivial), rules[0] if rules else laws.A_SEED)
        rule = ", ".join(dict.fromkeys(rule.name for rule in rules)) or "constant"
        return step_by(
            replace(law, name=rule),
            replace(self._partial(name, names), term=total),
            self._line(total, (*indices, *names)),
            ", ".join(dict.fromkeys(how for _, _, how in parts)) or "identity",
            self._entry(adjoint_name(name), (*indices, *names)),
        )

    def _result(self, row: Step, full: Expr) -> list[Step]:
        """The adjoint of the variable is the derivative; then the engine's form of it."""
        question, answer = self.question, self.question.answer
        names = (*question.indices, *question.names)
        full = transpose(full, tuple(names.index(name) for name in answer.indices))
        assumed = with_assumptions(full, question.context.assumptions)
        how = check_equal([(assumed, answer.term)])
        result = self._line(answer.term, answer.indices)
        left = self._partial(self.x.name, question.names)
        if result.text == row.after.text:
            assert row.left is not None
            return [replace(row, left=left, before=replace(row.left, term=full), after=result)]
        before = replace(row.after, term=full)
        return [row, step_by(Rule("values written out"), before, result, how, left)]


def _is_plain(node: Expr) -> bool:
    """A scaled, transposed or repeated node needs no row of its own; nor do powers of numbers."""
    return (isinstance(node, Sum) and len(node.children) == 1) or is_view(node)


def _rule(node: Expr, local: Expr, v: Variable) -> Rule:
    """The law by which a row hands its adjoint down."""
    inside, _ = permutation_of(split_scale(node)[1])
    match inside:
        case Map():
            children = permutation_of(split_scale(local)[1])[0].children
            position = next(k for k, child in enumerate(children) if v in set(postorder([child])))
            return Rule(inside.function, *laws.slope_law(inside.function, position))
        case Apply():
            return Rule(inside.function, *laws.differential_law(inside.function))
        case Contraction():
            return laws.A_ENTRIES if len(inside.children) == 1 else laws.A_PRODUCT
    return laws.A_SUM


def _compare_with_pushforward(
    local: Expr, found: Mapping[Variable, Expr], g: Expr, rank: int
) -> str:
    """By what <adjoints, directions> and <g, pushforward> were found equal."""
    root = tuple(range(rank))

    def inner_product(adjoint: Expr, direction: Expr) -> Expr:
        axes = tuple(range(rank, rank + direction.rank))
        return contract([adjoint, direction], [(*root, *axes), axes], root)

    directions = {v: Variable(f"_along_{v.name}", v.shape) for v in found}
    terms = [(1, inner_product(adjoint, directions[v])) for v, adjoint in found.items()]
    (moved,) = pushforward([local], directions)
    return check_equal([(add(terms, g.shape[:rank]), inner_product(g, moved))])
