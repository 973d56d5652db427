"""What a program costs for given extents, before anything is allocated.

In: a program and extents. Out: floating-point operations, bytes moved, peak memory, steps.
Conventions: a multiplication and an addition count one each; a function of an entry counts as one; arrays
are `itemsize` bytes an entry; the peak counts inputs, live intermediates and results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from ...terms import WHOLE, Dim, Shape
from ..backends.numpy import takes_out
from ..backends.storage import is_view, layout
from ..program import (
    Combine,
    Constant,
    Contract,
    Elementwise,
    Factor,
    Input,
    Instruction,
    Program,
    Scatter,
    Size,
    Solve,
    Whole,
    operands_of,
)
from .kernels import ASSUMED_EXTENT


@dataclass(frozen=True, slots=True)
class Cost:
    """flops: operations; bytes: read and written; peak_memory: bytes alive at once; steps: instructions."""

    flops: int
    bytes: int
    peak_memory: int
    steps: int

    def __str__(self) -> str:
        return (
            f"{self.flops:,} flops, {self.bytes:,} bytes moved, "
            f"{self.peak_memory:,} bytes at the peak, {self.steps} steps"
        )


def entries(shape: Shape, sizes: Mapping[str, int]) -> int:
    """How many entries an array of a shape has."""
    return prod(_size(dim, sizes) for dim in shape)


def _size(dim: Dim, sizes: Mapping[str, int]) -> int:
    return dim if isinstance(dim, int) else sizes[dim]


def flops_of(step: Instruction, program: Program, sizes: Mapping[str, int]) -> int:
    """The operations of one instruction."""
    count = entries(step.shape, sizes)
    match step:
        case Input() | Constant() | Size():
            return 0
        case Contract():
            points = prod(_size(dim, sizes) for _, dim in step.extents)
            summed = any(label not in step.output for label, _ in step.extents)
            return points * (len(step.operands) - 1 + summed)
        case Combine() | Scatter():
            scaled = sum(abs(c) != 1 for c in step.coefficients)
            return count * (max(len(step.operands) - 1, 0) + scaled)
        case Elementwise():
            return count
        case Factor():
            return count * _size(step.shape[-1], sizes)
        case Solve() | Whole():
            first = program.shapes[step.operands[0]] if step.operands else ()
            size = entries(first, sizes)
            if not _factorizes(step) or len(first) < 2:
                return 3 * size
            rows = _size(first[-1], sizes)
            if isinstance(step, Solve):
                return size * rows + 2 * count * rows
            flops = WHOLE[step.function].flops
            assert flops is not None
            return size // max(rows * rows, 1) * flops(rows)


def cost_of(program: Program, sizes: Mapping[str, int], itemsize: int = 8) -> Cost:
    """The cost of a program for `sizes`, every symbolic extent of it given.

    The peak counts inputs, buffers, and what lives at once: a step that writes over an operand takes no
    memory, a loop holds one block of what does not leave it.
    """
    shapes = program.shapes
    flops = sum(flops_of(step, program, sizes) for step in program.instructions)
    moved = 0
    for step in program.instructions:
        if not isinstance(step, Input):
            registers = (*operands_of(step), step.target)
            moved += sum(entries(shapes[r], sizes) * itemsize for r in registers)
    peak = _peak(program, sizes) * itemsize
    return Cost(flops, moved, peak, len(program.instructions))


def peak_memory(program: Program, sizes: Mapping[str, int], itemsize: int = 8) -> int:
    """The most bytes that are held at once; extents that are not given count for the assumed one."""
    dims = {dim for step in program.instructions for dim in step.shape if isinstance(dim, str)}
    return _peak(program, {**dict.fromkeys(dims, ASSUMED_EXTENT), **sizes}) * itemsize


def _peak(program: Program, sizes: Mapping[str, int]) -> int:
    """The most entries that are held at once."""
    memory = layout(program, sizes, takes_out(program))
    home: dict[int, int] = {}  # register -> the register whose memory it is in
    size: dict[int, int] = {}
    last: dict[int, int] = {}
    shapes = program.shapes
    parts: dict[int, int] = {}  # entries of a block of each register that does not leave its loop
    for loop in program.loops:
        made = {step.target for step in program.instructions[loop.start : loop.stop]}
        for target in (loop.axes.keys() & made) - program.leaving(loop):
            extent = max(_size(shapes[target][loop.axes[target]], sizes), 1)
            parts[target] = entries(shapes[target], sizes) * min(loop.rows, extent) // extent
    given = sum(entries(shape, sizes) for shape in memory.slots)
    for position, step in enumerate(program.instructions):
        target = step.target
        if target in memory.over:
            home[target] = home[memory.over[target]]
        elif is_view(step):
            home[target] = home[operands_of(step)[0]]
        else:
            home[target] = target
            size[target] = parts.get(target, entries(step.shape, sizes))
            if isinstance(step, Input):
                given += size[target]
            if isinstance(step, Input) or target in memory.slot:
                size[target] = 0
        for register in (*operands_of(step), target):
            last[home[register]] = position
    for register in program.outputs:
        last[home[register]] = len(program.instructions)
    live = peak = 0
    ends: dict[int, list[int]] = {}
    for register, position in last.items():
        ends.setdefault(position, []).append(register)
    for position, step in enumerate(program.instructions):
        live += size.get(step.target, 0)
        work = entries(shapes[operands_of(step)[0]], sizes) if _factorizes(step) else 0
        if entries(step.shape, sizes) > work > 0:  # block matrices, one for each direction
            work = 8 * entries(step.shape, sizes)
        peak = max(peak, live + work)
        live -= sum(size[register] for register in ends.get(position, ()))
    copies = [program.outputs[number] for number in memory.copied]
    return given + max(peak, live + sum(entries(shapes[register], sizes) for register in copies))


def _factorizes(step: Instruction) -> bool:
    """Does the step copy its matrix, for its factors or to work on?"""
    if isinstance(step, Whole) and step.function != "eps":
        return WHOLE[step.function].flops is not None
    return isinstance(step, Solve)


def table_of(program: Program, sizes: Mapping[str, int]) -> str:
    """The plan, one line an instruction: what it does, its kernel, its shape, operations and size."""
    rows = [("step", "operation", "kernel", "shape", "flops", "entries")]
    looped = {k: loop for loop in program.loops for k in range(loop.start, loop.stop)}
    for position, step in enumerate(program.instructions):
        shape = "(" + ", ".join(map(str, step.shape)) + ")"
        size = entries(step.shape, sizes)
        rows.append(
            (
                f"v{step.target}{' |' if position in looped else ''}",
                _description(step),
                step.kernel if isinstance(step, Contract) else "",
                shape,
                f"{flops_of(step, program, sizes):,}",
                f"{size:,}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row[:4], widths[:4], strict=True)]
        cells += [text.rjust(width) for text, width in zip(row[4:], widths[4:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    outputs = ", ".join(f"v{register}" for register in program.outputs)
    notes = [f"|: together, {loop.rows:,} rows at a time" for loop in program.loops]
    return "\n".join([*lines, *notes, f"result: {outputs}"])


def _description(step: Instruction) -> str:
    registers = [f"v{register}" for register in operands_of(step)]
    match step:
        case Input():
            return f"input {step.name}"
        case Constant():
            return f"constant {step.value}"
        case Size():
            return f"extent {step.dim}"
        case Contract():
            return f"contract {step.subscripts}  {' '.join(registers)}"
        case Combine():
            terms = (f"{'' if c == 1 else f'{c}*'}v{r}" for c, r, _ in step.terms)
            return "sum " + " + ".join(terms)
        case Scatter():
            cores = [f"v{r}" if r is not None else "1" for r in step.operands]
            return "scatter " + " + ".join(cores)
        case Elementwise():
            power = "" if step.exponent is None else f", {step.exponent}"
            return f"{step.function}({', '.join(registers)}{power})"
        case Whole():
            return f"{step.function}({', '.join(registers)})"
        case Factor():
            return f"factors of v{step.operands[0]}"
        case Solve():
            matrix, right = step.operands
            mark = "'" if step.transposed else ""
            return f"solve(v{matrix}{mark}, v{right})"
