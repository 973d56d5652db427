"""From terms to a runner: rewriting, lowering, binding, loops, code.

In: simplified terms, extents, which arrays stay fixed. Out: a `Plan`, for extents of about that size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..terms import Expr, Shape
from .backends.numpy import Memory, Runner, function_of, runner_of
from .compiler.blocks import with_loops, within_limit
from .compiler.cost import peak_memory
from .compiler.kernels import with_kernels
from .compiler.lower import Form, lower, lower_in_pieces
from .compiler.rewriting import rewritten
from .program import (
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

# Programs in two parts: what depends on fixed arrays alone, computed once, and the rest.
#
# In: a program and the names of the arrays that stay fixed. Out: the first part, whose results the second
# takes as inputs. Invariant: both together compute what the program does.

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


# ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """A program, its runner, and what the runner takes: extents, buffers, results of the early part."""

    program: Program
    run: Runner
    dims: tuple[str, ...]
    memory: Memory
    forms: tuple[Form, ...] | None = None
    early: Early | None = None

    @property
    def inputs(self) -> list[str]:
        """The arrays that each call hands over."""
        return [s.name for s in self.program.inputs if not s.name.startswith(BOUND)]


@dataclass(frozen=True, slots=True)
class Early:
    """The part of a program that depends on fixed arrays alone."""

    run: Runner
    dims: tuple[str, ...]
    inputs: tuple[str, ...]


def planned(
    terms: Sequence[Expr],
    sizes: Mapping[str, int],
    keys: Sequence[str] | int,
    structured: bool,
    fixed: frozenset[str],
    memory_limit: int | None = None,
) -> Plan:
    """The program for `sizes`; `keys` as `runner_of` takes them, for results in pieces a list.

    With a limit of memory it runs in blocks where it would need more.
    """
    terms = rewritten(terms, sizes, fixed)
    forms = early = None
    packed: Sequence[str] | int | None = keys
    if structured:
        program, forms = lower_in_pieces(terms, sizes, fixed)
        packed = len(program.outputs) or None  # 0 is for one result that is no list
    else:
        program = lower(terms, sizes, fixed)
    if fixed:
        first, program = split(program, fixed)
        first = with_kernels(first, sizes)
        run, dims = function_of(first)
        early = Early(run, dims, tuple(step.name for step in first.inputs))
    looped = with_kernels(with_loops(program, sizes), sizes)
    if memory_limit is not None and peak_memory(looped, sizes) > memory_limit:
        looped = within_limit(
            program, sizes, memory_limit, lambda p: peak_memory(with_kernels(p, sizes), sizes)
        )
    program = with_kernels(looped, sizes)
    return Plan(program, *runner_of(program, packed, sizes), forms, early)


def magnitude(size: int) -> int:
    """Sizes within about a fifth of each other share a plan; up to four they have each their own."""
    if size <= 4:
        return size
    shift = size.bit_length() - 3
    return 4 * shift + (size >> shift)


def shape_of(shape: Shape, extents: Mapping[str, int]) -> tuple[int, ...]:
    """A shape as numbers."""
    return tuple(dim if isinstance(dim, int) else extents[dim] for dim in shape)
