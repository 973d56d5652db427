"""The adjoint listing: forward values, then adjoints in reverse order, as back-propagation computes them.

In: a question. Out: its derivation, a table: v1, v2, ... and the adjoint of each, ending in the derivative.
Invariant: the adjoints are the engine's reverse sweep, one row at a time; what a row hands down is compared
with its pushforward (the adjoint times a direction is the same in both), the last line with the engine's
result. The table grows linearly with the nodes of the expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from ..calculus import identity, pushforward, simplify, sweep, with_assumptions
from ..equality import check_equal
from ..notations import Definition
from ..printers import (
    Letters,
    Names,
    break_line,
    entry,
    name_latex,
    partial,
    tree_latex,
    tree_text,
    unparse,
)
from ..terms import (
    Apply,
    Contraction,
    Expr,
    Map,
    Subscript,
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
    substituted,
    transpose,
    uses,
    with_children,
    zero,
)
from .derivation import Derivation, Question
from .index_rules import Rule, differential_law, slope_law
from .parts import free_name, reserved_names
from .records import Line, Step, all_steps, capped
from .showing import reason

# Back-propagation tables as text, and how adjoints are written.
#
# In: forward values, steps with the adjoints, a note. Out: a string.
# Invariant: an adjoint is its value's name with a bar: inside terms a marked name, in text letters with a
# macron, in LaTeX a bar over the name.

_MARK = "adjointof"
_MACRON = "\u0304"
_WIDTH = 100  # columns
_RULES = 48  # columns at most before the rules


def marked(name: str) -> str:
    """What an adjoint is called inside terms."""
    return _MARK + name


def barred(text: str) -> str:
    """Marked names as letters with a macron.

    >>> barred("2*adjointofv3*x") == "2*v\u03043*x"
    True
    """
    return re.sub(rf"{_MARK}(\w+)", lambda found: _with_macrons(found[1]), text)


def _with_macrons(name: str) -> str:
    return re.sub(r"[^\W\d_]", lambda letter: letter[0] + _MACRON, name)


def barred_latex(text: str, names: Iterable[str]) -> str:
    """The marked names in a LaTeX text with a bar over them."""
    for name in names:
        if not name.startswith(_MARK):
            continue  # a value, not an adjoint
        bare = name.removeprefix(_MARK)
        text = text.replace(name_latex(name), rf"\bar{{{name_latex(bare)}}}")
    return text


def to_table(given: Sequence[tuple[Line, Line]], steps: Sequence[Step], note: str) -> str:
    """Forward values downwards, adjoints downwards, each with its rule beside it."""
    rows: list[tuple[str, str, str]] = [("forward values", "", "")]
    rows += [(f"  {left}", right.text, "") for left, right in given]
    rows.append(("adjoints", "", ""))
    for step in all_steps(tuple(steps)):
        if not step.folded:
            rows.append((f"  {step.left}", step.after.text, reason(step)))
    return "\n".join([*_laid_out(rows), "", f"[{note}]"])


def _laid_out(rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Left-hand sides, right-hand sides and rules in three columns."""
    left = min(max(_columns(head) for head, body, _ in rows if body), _RULES // 2)
    fitting = [_columns(body) for _, body, _ in rows if left + _columns(body) <= _RULES]
    middle = max(fitting, default=0)
    for head, body, why in rows:
        if not body:
            yield head
            continue
        start = f"{head}{' ' * (left - _columns(head))} = "
        lines = [part for line in body.split("\n") for part in break_line(line, _WIDTH - left - 3)]
        gap = " " * max(middle - _columns(lines[0]), 0)
        first = f"{start}{lines[0]}{gap}   {why}" if why else start + lines[0]
        if len(lines) > 1 or _columns(first) > _WIDTH + 8:
            if why:
                yield f"{' ' * (left + 3)}({why})"
            first = start + lines[0]
        yield first.rstrip()
        yield from (" " * (left + 3) + line for line in lines[1:])


def _columns(text: str) -> int:
    """The width of a text in a terminal: a macron takes no column."""
    return len(text) - text.count(_MACRON)


# ----------------------------------------------------------------------

_SEED = Rule("seed", "", "", True)
_SUM = Rule("sum", "y = c*u: ū = c*ȳ", r"y = c\,u:\; \bar{u} = c\,\bar{y}", True)
_ENTRIES = Rule("sum of entries", "y = sum(u): ū = ȳ", r"y = \sum u:\; \bar{u} = \bar{y}", True)
_PRODUCT = Rule("product", "y = u*w: ū = ȳ*w", r"y = u\,w:\; \bar{u} = \bar{y}\,w")


class AdjointListing(Derivation):
    """A derivation as a back-propagation table; `print` shows its two halves."""

    __slots__ = ()

    def __str__(self) -> str:
        return to_table(self.given, self.steps, self.note)


@dataclass(frozen=True, slots=True)
class Part:
    """What one row gives to the adjoint of a row below it, by which rule, and how that was checked."""

    term: Expr
    rule: Rule
    how: str


def derive(question: Question) -> Derivation:
    """The adjoint listing of a derivative.

    An expression with axes is listed with one adjoint for each of its entries: its indices stand first.
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
        self.moving = dependents([self.root], [self.x])
        taken = reserved_names(context.variables, context.declared)
        self.name = free_name((context.name, "f", "F", "y", "Y"), taken)
        taken.add(self.name)
        known = dict(
            zip(simplify(list(context.definitions)), context.definitions.values(), strict=True)
        )
        self.values = self._named_nodes(known, taken)
        self.rows = {v: node for node, v in self.values.items()}
        self.adjoints: set[Expr] = set()

    def _named_nodes(self, known: Mapping[Expr, str], taken: set[str]) -> dict[Expr, Variable]:
        """The nodes that depend on the variable, but those only scaled or transposed in passing."""
        counts = uses([self.root])
        names = (f"v{k}" for k in count(1))
        found: dict[Expr, Variable] = {}
        for node in postorder([self.root]):
            if node not in self.moving or node is self.root or not node.children:
                continue
            if counts[node] == 1 and node not in known and _is_plain(node):
                continue
            name = free_name((known.get(node),), taken, names)
            taken.add(name)
            found[node] = Variable(name, node.shape)
        return found

    def _letters(self, node: Expr, used: Names) -> Names:
        """Letters for the axes of a row."""
        return Letters(self.hints).letters(node.shape, used)

    # ------------------------------------------------------------ lines

    def _line(self, term: Expr, names: Names) -> Line:
        """A term in index notation; parts that stand in it twice behind it."""
        shown = unparse(term, names, self.hints)
        *others, last = [s for s in shown.statements if isinstance(s, Definition)]
        text, latex = tree_text(last.expression), tree_latex(last.expression)
        if term is not self.question.answer.term:
            text = re.sub(r"(\w+):\w+(?=[,\]])", r"\1", text)  # the left-hand side tells extents
        for other in others:
            left = entry(other.name or "", [index.name for index in other.indices or ()])
            text += f"\nwhere {tree_text(left)} = {tree_text(other.expression)}"
            latex += rf",\quad {tree_latex(left)} = {tree_latex(other.expression)}"
        adjoints = [
            v.name for v in postorder([term]) if isinstance(v, Variable) and v in self.adjoints
        ]
        return Line(barred(text), barred_latex(latex, adjoints), term)

    def _entry(self, name: str, names: Names) -> Line:
        tree = entry(name, names)
        return Line(barred(tree_text(tree)), barred_latex(tree_latex(tree), [name]))

    def _partial(self, name: str, names: Names) -> Line:
        """`∂J/∂v2[a]`."""
        root = entry(self.name, self.question.indices)
        tree = partial(root, entry(name, names))
        return Line(tree_text(tree), tree_latex(tree))

    # ------------------------------------------------------------ the table

    def derivation(self) -> Derivation:
        """Forward values in order, adjoints in reverse."""
        given: list[tuple[Line, Line]] = []
        own: dict[Expr, Expr] = {}
        for node in (*self.values, self.root):
            own[node] = self._local(node)
            root = node is self.root
            name = self.name if root else self.values[node].name
            names = self.question.indices if root else self._letters(node, ())
            given.append((self._entry(name, names), self._line(own[node], names)))
        steps = self._backwards(own)
        question = self.question
        return AdjointListing(
            "adjoint",
            question.expression,
            question.wanted,
            capped([[step] for step in steps[:-1]], steps[-1:]),
            question.answer,
            self._note(),
            self._partial(self.x.name, question.names),
            tuple(given),
            ("forward values", "adjoints"),
        )

    def _local(self, node: Expr) -> Expr:
        """A node over the variables that stand for the rows below it."""
        built: dict[Expr, Expr] = {}
        for inner in [*postorder(node.children, self.values), node]:
            children = tuple(self.values.get(child) or built[child] for child in inner.children)
            built[inner] = inner if children == inner.children else with_children(inner, children)
        return built[node]

    def _backwards(self, own: Mapping[Expr, Expr]) -> list[Step]:
        """A step for each adjoint, the root's first; the last one leads to the engine's derivative."""
        pending: dict[Variable, list[Part]] = {}
        places: dict[Expr, Expr] = {}  # values and adjoints written out
        for v, node in self.rows.items():
            places[v] = node
        seed = identity(self.root.shape) if self.rank else literal(1)
        steps = [self._step(self.name, self.root, seed, [Part(seed, _SEED, "identity")])]
        self._hand_down(self.root, own[self.root], seed, pending)
        for node, v in reversed(self.values.items()):
            parts = pending.pop(v, [])
            total = self._total(v, parts)
            g = Variable(marked(v.name), total.shape)
            self.adjoints.add(g)
            (places[g],) = substituted([total], places)
            steps.append(self._step(v.name, node, total, parts))
            if not is_zero(total):
                self._hand_down(node, own[node], g, pending)
        parts = pending.pop(self.x, [])
        total = self._total(self.x, parts)
        row = self._step(self.x.name, self.x, total, parts)
        return [*steps, *self._result(row, substituted([total], places)[0])]

    def _hand_down(
        self, node: Expr, local: Expr, g: Expr, pending: dict[Variable, list[Part]]
    ) -> None:
        """What the adjoint of one row gives to the rows below it: the engine's sweep, checked."""
        leaves = [v for v in postorder([local]) if isinstance(v, Variable)]
        below = [v for v in leaves if v is self.x or v in self.rows]
        found = sweep(local, below, g, self.rank)
        how = _compared_with_pushforward(local, found, g, self.rank)
        if node in self.values and local.children:  # exp(x) is there already: it is v1
            terms = substituted(list(found.values()), {local: self.values[node]})
            found = dict(zip(found, terms, strict=True))
        for v in below:
            if not is_zero(found[v]):
                pending.setdefault(v, []).append(Part(found[v], _rule(node, local, v), how))

    def _total(self, v: Variable, parts: Sequence[Part]) -> Expr:
        """The sum of what a row gets."""
        shape = (*self.root.shape, *v.shape)
        if not parts:
            return zero(shape)
        return simplify([add(((1, part.term) for part in parts), shape)])[0]

    def _step(self, name: str, node: Expr, total: Expr, parts: Sequence[Part]) -> Step:
        """`v̄2[a] = ∂J/∂v2[a] = ...`."""
        indices = self.question.indices
        names = self.question.names if node is self.x else self._letters(node, indices)
        rules = list(dict.fromkeys(part.rule for part in parts))
        law = next((rule for rule in rules if not rule.trivial), rules[0] if rules else _SEED)
        how = ", ".join(dict.fromkeys(part.how for part in parts)) or "identity"
        return Step(
            ", ".join(dict.fromkeys(rule.name for rule in rules)) or "constant",
            law.law,
            replace(self._partial(name, names), term=total),
            self._line(total, (*indices, *names)),
            None,
            how,
            self._entry(marked(name), (*indices, *names)),
            law.latex,
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
        return [row, Step("values written out", "", before, result, None, how, left)]

    def _note(self) -> str:
        bar = barred(marked("v"))
        if not self.rank:
            return f"{bar} is the adjoint of v: ∂{self.name}/∂v"
        indices = ", ".join(self.question.indices)
        return (
            f"{bar} is the adjoint of v: ∂{self.name}[{indices.replace(' ', '')}]/∂v, "
            f"with the index of {self.name} in front"
        )


def _is_plain(node: Expr) -> bool:
    """A scaled, transposed or repeated node needs no row of its own; nor do powers of numbers."""
    return (isinstance(node, Sum) and len(node.children) == 1) or (
        isinstance(node, Contraction) and is_view(node)
    )


def _rule(node: Expr, local: Expr, v: Variable) -> Rule:
    """The law by which a row hands its adjoint down."""
    _, inside = split_scale(node)
    inside, _ = permutation_of(inside)
    match inside:
        case Map():
            _, mine = split_scale(local)
            children = permutation_of(mine)[0].children
            position = next(k for k, child in enumerate(children) if v in set(postorder([child])))
            return Rule(f"{inside.function}", *slope_law(inside.function, position))
        case Apply():
            return Rule(f"{inside.function}", *differential_law(inside.function))
        case Contraction() if len(inside.children) == 1:
            return _ENTRIES
        case Contraction():
            return _PRODUCT
    return _SUM


def _compared_with_pushforward(
    local: Expr, found: Mapping[Variable, Expr], g: Expr, rank: int
) -> str:
    """By what <adjoints, directions> and <g, pushforward> were found equal."""
    directions = {v: Variable(f"_along_{v.name}", v.shape) for v in found}
    root: Subscript = tuple(range(rank))
    terms = []
    for v, adjoint in found.items():
        axes = tuple(range(rank, rank + v.rank))
        terms.append((1, contract([adjoint, directions[v]], [(*root, *axes), axes], root)))
    (moved,) = pushforward([local], directions)
    axes = tuple(range(rank, rank + local.rank))
    other = contract([g, moved], [(*root, *axes), axes], root)
    return check_equal([(add(terms, g.shape[:rank]), other)])
