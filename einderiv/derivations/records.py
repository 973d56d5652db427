"""What a derivation is made of: lines and steps.

In: surface trees and terms from the methods. Out: records that `derivation.py` collects and shows.
Invariant: records are immutable; a line with a term can be checked, one without a term is words only.
`before` and `after` of a step are two right-hand sides of one `left`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..equality import check_equal
from ..notations import Definition, Node, Text
from ..printers import (
    Names,
    entry,
    matrix_latex,
    partial,
    tree_latex,
    tree_text,
)
from ..terms import Expr
from .laws import Rule

MOST = 20  # steps: a reader follows no more, the rest is folded


@dataclass(frozen=True, slots=True)
class Line:
    """A statement ready to be shown, as text (index notation) and as LaTeX without dollar signs.

    `term` is what it says, axes in the order of the derivation's; None if it says no term.
    """

    text: str
    latex: str = ""
    term: Expr | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Step:
    """One equality: `before` is `after`, by a rule.

    `rule` is its name, `law` the rule in symbols (`law_latex` the same). `part` is what changed: the piece
    of `before` and what it becomes in `after`. `how` says by what the equality was checked: "identity",
    "expansion", "modular", "floating point", or "" for a statement that equates nothing. `left` is what both
    sides equal; None if it is that of the step before. `folded` holds the single steps of a grouped one.
    """

    rule: str
    law: str
    before: Line
    after: Line
    part: tuple[Line, Line] | None = None
    how: str = ""
    left: Line | None = None
    law_latex: str = ""
    folded: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return f"{self.before} = {self.after}    ({self.rule}: {self.law})"


def checked_step(
    rule: Rule,
    before: Line,
    after: Line,
    left: Line,
    sides: Callable[[Expr, Expr], Iterable[tuple[Expr, Expr]]] = lambda a, b: [(a, b)],
) -> Step:
    """A step whose two sides were found equal; EinderivError if they are not."""
    assert before.term is not None and after.term is not None
    return step_by(rule, before, after, check_equal(sides(before.term, after.term)), left)


def step_by(rule: Rule, before: Line, after: Line, how: str, left: Line | None) -> Step:
    return Step(rule.name, rule.law, before, after, None, how, left, rule.latex)


def index_line(tree: Node, term: Expr | None = None) -> Line:
    return Line(tree_text(tree), tree_latex(tree), term)


def partial_line(name: str, indices: Names, variable: str, names: Names) -> Line:
    """`∂J/∂th[d]`."""
    return index_line(partial(entry(name, indices), entry(variable, names)))


def program_line(program: Text, term: Expr, matrix: bool = False) -> Line:
    """A program in one line: its result, then `where u[i] = ...` for each definition."""
    latex: Callable[[Node], str] = matrix_latex if matrix else tree_latex
    *others, last = [s for s in program.statements if isinstance(s, Definition)]
    shown, formula = tree_text(last.expression), latex(last.expression)
    for other in others:
        left = entry(other.name or "", [index.name for index in other.indices or ()])
        shown += f"\nwhere {tree_text(left)} = {tree_text(other.expression)}"
        formula += rf",\quad {latex(left)} = {latex(other.expression)}"
    return Line(shown, formula, term)


def all_steps(steps: Sequence[Step]) -> Iterator[Step]:
    """Every step, the folded ones before the step that holds them; folds nest a few levels deep."""
    for step in steps:
        yield from all_steps(step.folded)
        yield step


def fold_steps(blocks: Sequence[Sequence[Step]], main: Sequence[Step]) -> tuple[Step, ...]:
    """At most MOST steps that hold all others: those of the definitions in `blocks`, then the result's.

    A fold is itself an equality, since its steps are a chain of them.
    """
    blocks = [block for block in blocks if block]
    if sum(map(len, blocks)) + len(main) <= MOST:
        return (*(step for block in blocks for step in block), *main)
    keep = MOST - min(len(blocks), 4)
    if len(main) > keep:
        head, tail = keep // 2, len(main) - (keep - keep // 2 - 1)
        middle = _chain(main[head:tail], f"{tail - head} more steps")
        main = [*main[:head], middle, *main[tail:]]
    shown = [_chain(block, ", ".join(dict.fromkeys(s.rule for s in block))) for block in blocks]
    left = MOST - len(main)
    if len(shown) > left:
        size = -(-len(shown) // max(left, 1))
        shown = [_last_of(shown[k : k + size]) for k in range(0, len(shown), size)]
    return (*shown, *main)


def _chain(steps: Sequence[Step], rule: str) -> Step:
    """A chain of equalities as one: from the first left side to the last right side."""
    first, last = steps[0], steps[-1]
    if len(steps) == 1:
        return first
    how = ", ".join(dict.fromkeys(step.how for step in steps if step.how))
    return Step(rule, "", first.before, last.after, None, how, first.left, "", tuple(steps))


def _last_of(group: Sequence[Step]) -> Step:
    """Several left-hand sides as one step: the last one's, the others folded."""
    if len(group) == 1:
        return group[0]
    rule = f"{len(group)} definitions, one after the other"
    return replace(group[-1], rule=rule, law="", law_latex="", part=None, folded=tuple(group))
