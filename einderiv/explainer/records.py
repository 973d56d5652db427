"""What a derivation is made of: lines and steps.

In: texts and terms from the methods. Out: records that `derivation.py` collects and printers show.
Invariant: immutable; a line with a term can be checked, a line without one is a statement in words.
`before` and `after` of a step are two right-hand sides of one `left`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..expr import Expr


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
