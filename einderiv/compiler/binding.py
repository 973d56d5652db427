"""Programs in two parts: what depends on fixed arrays alone, computed once, and the rest.

In: a program and the names of the arrays that stay fixed. Out: the first part, whose results the second
takes as inputs. Invariant: both together compute what the program does.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..program import (
    Constant,
    Factor,
    Input,
    Instruction,
    Program,
    Register,
    Size,
    Solve,
    needed_for,
    operands_of,
)

BOUND = "\0bound "  # what names an input of the second part that the first computes: no user's name


def split(program: Program, fixed: Collection[str]) -> tuple[Program, Program]:
    """The part for the fixed arrays, and the rest; its first inputs are the results of that part."""
    early: set[Register] = set()
    trivial: set[Register] = set()
    for step in program.instructions:
        if isinstance(step, Constant | Size):
            trivial.add(step.target)
        elif isinstance(step, Input):
            if step.name in fixed:
                early.add(step.target)
        elif all(r in early or r in trivial for r in operands_of(step)):
            early.add(step.target)
    late = [step for step in program.instructions if step.target not in early]
    late, factors = _with_factors(program, late, early)
    program = replace(program, instructions=(*program.instructions, *factors))
    early.update(step.target for step in factors)
    used = set(program.outputs).union(*(operands_of(step) for step in late))
    handed = [step for step in program.instructions if step.target in early and step.target in used]
    inputs: list[Instruction] = [
        Input(step.target, f"{BOUND}{number}", step.shape) for number, step in enumerate(handed)
    ]
    results = tuple(step.target for step in handed)
    early_steps = needed_for(program.instructions, results)
    first = replace(program, instructions=early_steps, outputs=results)
    return first, replace(program, instructions=(*inputs, *late))


def _with_factors(
    program: Program, late: list[Instruction], early: set[Register]
) -> tuple[list[Instruction], list[Factor]]:
    """Solutions with fixed matrices by factorizations, which are fixed as well."""
    shapes = {step.target: step.shape for step in program.instructions}
    made: dict[Register, Factor] = {}
    steps: list[Instruction] = []
    for step in late:
        if isinstance(step, Solve) and step.operands[0] in early:
            matrix, right = step.operands
            fresh = max(shapes) + 1 + len(made)
            factor = made.setdefault(matrix, Factor(fresh, (matrix,), shapes[matrix]))
            step = replace(step, operands=(factor.target, right), is_factored=True)
        steps.append(step)
    return steps, list(made.values())
