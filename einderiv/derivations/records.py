"""What a derivation is made of: lines and steps.

In: texts and terms from the methods. Out: records that `derivation.py` collects and printers show.
Invariant: immutable; a line with a term can be checked, a line without one is a statement in words.
`before` and `after` of a step are two right-hand sides of one `left`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..terms import Expr


@dataclass(frozen=True, slots=True)
class Line:
    """A statement ready to be shown, as text (index notation) and as LaTeX without dollar signs.

    `term` is what it says, axes in the order of the derivation's; None where it says no term.
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
    of `before` and what stands for it in `after`. `how` tells by what the equality was checked: "identity",
    "expansion", "modular", "floating point", or "" for a statement that equates nothing. `left` is what both
    sides equal; None where it is that of the step before. `folded` holds the single steps of a grouped one.
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


def all_steps(steps: tuple[Step, ...]) -> Iterator[Step]:
    """Every step, the folded ones before the step that holds them."""
    stack = [(step, False) for step in reversed(steps)]
    while stack:
        step, done = stack.pop()
        if done or not step.folded:
            yield step
        else:
            stack.append((step, True))
            stack += [(inner, False) for inner in reversed(step.folded)]


# Not more steps than a reader follows: the rest is folded.
#
# In: the steps of each definition and of the result. Out: at most twenty steps, with all others inside them.
# Invariant: no step is lost; a fold is itself an equality, since its steps are a chain of them.

CAP = 20


def capped(blocks: Sequence[Sequence[Step]], main: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of all blocks in order, folded where there are more than CAP."""
    blocks = [block for block in blocks if block]
    if sum(map(len, blocks)) + len(main) <= CAP:
        return (*(step for block in blocks for step in block), *main)
    if len(main) > CAP - min(len(blocks), 4):
        keep = CAP - min(len(blocks), 4)
        head, tail = keep // 2, keep - keep // 2 - 1
        middle = main[head : len(main) - tail]
        main = [
            *main[:head],
            chained(middle, f"{len(middle)} more steps"),
            *main[len(main) - tail :],
        ]
    left = CAP - len(main)
    shown = [block[0] if len(block) == 1 else chained(block, _names(block)) for block in blocks]
    if len(shown) > left:
        shown = [_gathered(group) for group in _groups(shown, left)]
    return (*shown, *main)


def chained(steps: Sequence[Step], rule: str) -> Step:
    """A chain of equalities as one: from the first left side to the last right side."""
    first, last = steps[0], steps[-1]
    hows = dict.fromkeys(step.how for step in steps if step.how)
    return Step(
        rule, "", first.before, last.after, None, ", ".join(hows), first.left, "", tuple(steps)
    )


def _names(steps: Sequence[Step]) -> str:
    return ", ".join(dict.fromkeys(step.rule for step in steps))


def _groups(steps: Sequence[Step], count: int) -> list[Sequence[Step]]:
    size = -(-len(steps) // max(count, 1))
    return [steps[k : k + size] for k in range(0, len(steps), size)]


def _gathered(group: Sequence[Step]) -> Step:
    """Several left-hand sides as one step: the last one's, the others folded."""
    if len(group) == 1:
        return group[0]
    last = group[-1]
    rule = f"{len(group)} definitions, one after the other"
    return replace(last, rule=rule, law="", law_latex="", part=None, folded=tuple(group))
