"""Not more steps than a reader follows: the rest is folded.

In: the steps of each definition and of the result. Out: at most twenty steps, with all others inside them.
Invariant: no step is lost; a fold is itself an equality, since its steps are a chain of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .records import Step

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
