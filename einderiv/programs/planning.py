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
from .compiler.rewriting import rewrite
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

BOUND = "\0bound "  # what names an input of the second part that the first computes: no user's name


def split(program: Program, fixed: Collection[str]) -> tuple[Program, Program]:
    """The part that depends on fixed arrays alone, and the rest, whose first inputs are its results.

    Solutions with fixed matrices use factorizations, which are fixed as well.
    """
    early: set[Register] = set()
    trivial = {s.target for s in program.instructions if isinstance(s, Constant | Size)}
    late: list[Instruction] = []
    shapes = program.shapes
    factors: dict[Register, Factor] = {}
    for step in program.instructions:
        if isinstance(step, Input):
            is_early = step.name in fixed
        else:
            is_early = step.target not in trivial and (early | trivial).issuperset(
                operands_of(step)
            )
        if is_early:
            early.add(step.target)
            continue
        if isinstance(step, Solve) and step.operands[0] in early:
            matrix, right = step.operands
            fresh = Factor(max(shapes) + 1 + len(factors), (matrix,), shapes[matrix])
            operands = factors.setdefault(matrix, fresh).target, right
            step = replace(step, operands=operands, is_factored=True)
        late.append(step)
    steps = (*program.instructions, *factors.values())
    early.update(step.target for step in factors.values())
    used = set(program.outputs).union(*map(operands_of, late))
    handed = [step for step in steps if step.target in early and step.target in used]
    inputs = [Input(s.target, f"{BOUND}{number}", s.shape) for number, s in enumerate(handed)]
    results = tuple(step.target for step in handed)
    first = replace(program, instructions=needed_for(steps, results), outputs=results)
    return first, replace(program, instructions=(*inputs, *late))


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


def plan_of(
    terms: Sequence[Expr],
    sizes: Mapping[str, int],
    keys: Sequence[str] | int,
    structured: bool,
    fixed: frozenset[str],
    memory_limit: int | None = None,
) -> Plan:
    """The program for `sizes`; `keys` as `runner_of` takes them, for results in pieces a list.

    With a limit of memory it runs in blocks if it would need more.
    """
    terms = rewrite(terms, sizes, fixed)
    forms = early = None
    if structured:
        program, forms = lower_in_pieces(terms, sizes, fixed)
    else:
        program = lower(terms, sizes, fixed)
    if fixed:
        first, program = split(program, fixed)
        run, dims = function_of(with_kernels(first, sizes))
        early = Early(run, dims, tuple(step.name for step in first.inputs))
    blocked = with_loops(program, sizes)

    def peak(program: Program) -> int:
        return peak_memory(with_kernels(program, sizes), sizes)

    if memory_limit is not None and peak(blocked) > memory_limit:
        blocked = within_limit(program, sizes, memory_limit, peak)
    program = with_kernels(blocked, sizes)
    packed = (len(program.outputs) or None) if structured else keys  # 0: one result, not a list
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
