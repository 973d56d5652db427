"""What a program costs for given extents, before anything is allocated.

In: a program and extents. Out: floating-point operations, bytes moved, peak memory, steps.
Conventions: a multiplication and an addition count one each; a function of an entry counts as one; arrays
are `itemsize` bytes an entry; the peak counts inputs, live intermediates and results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from ..expr import Dim, Shape
from ..program import (
    Combine,
    Constant,
    Contract,
    Elementwise,
    Input,
    Instruction,
    Program,
    Scatter,
    Size,
    Solve,
    Whole,
    operands_of,
)


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
        case Solve() | Whole():
            shapes = {s.target: s.shape for s in program.instructions}
            first = shapes[step.operands[0]] if step.operands else ()
            matrix = isinstance(step, Solve) or (len(first) > 1 and step.function in _CUBIC)
            size = entries(first, sizes)
            if not matrix:
                return 3 * size
            rows = _size(first[-1], sizes)
            factor = size * rows * (2 if step_is_inverse(step) else 1)
            return factor + (2 * count * rows if isinstance(step, Solve) else 0)


_CUBIC = frozenset({"inv", "det", "logdet", "cholesky"})


def step_is_inverse(step: Instruction) -> bool:
    """Is it an inverse, which costs about three factorizations?"""
    return isinstance(step, Whole) and step.function == "inv"


def cost_of(program: Program, sizes: Mapping[str, int], itemsize: int = 8) -> Cost:
    """The cost of a program for `sizes`, every symbolic extent of it given."""
    shapes = {step.target: step.shape for step in program.instructions}
    last: dict[int, int] = {}
    for position, step in enumerate(program.instructions):
        for register in operands_of(step):
            last[register] = position
    for register in program.outputs:
        last[register] = len(program.instructions)
    live = peak = moved = flops = 0
    alive: dict[int, int] = {}
    for position, step in enumerate(program.instructions):
        size = entries(step.shape, sizes) * itemsize
        alive[step.target] = size
        live += size
        peak = max(peak, live)
        flops += flops_of(step, program, sizes)
        if not isinstance(step, Input):
            read = sum(entries(shapes[r], sizes) * itemsize for r in operands_of(step))
            moved += read + size
        for register in set(operands_of(step)):
            if last[register] == position and not _is_input(program, register):
                live -= alive.pop(register, 0)
    return Cost(flops, moved, peak, len(program.instructions))


def _is_input(program: Program, register: int) -> bool:
    return any(step.target == register for step in program.inputs)


def table_of(program: Program, sizes: Mapping[str, int]) -> str:
    """The plan, one line an instruction: what it does, its shape, operations and size."""
    rows = [("step", "operation", "shape", "flops", "entries")]
    for step in program.instructions:
        shape = "(" + ", ".join(map(str, step.shape)) + ")"
        size = entries(step.shape, sizes)
        rows.append(
            (
                f"v{step.target}",
                _shown(step),
                shape,
                f"{flops_of(step, program, sizes):,}",
                f"{size:,}",
            )
        )
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    lines = []
    for row in rows:
        left = "  ".join(text.ljust(width) for text, width in zip(row[:3], widths, strict=False))
        right = "  ".join(
            text.rjust(width) for text, width in zip(row[3:], widths[3:], strict=True)
        )
        lines.append(f"{left}  {right}".rstrip())
    outputs = ", ".join(f"v{register}" for register in program.outputs)
    return "\n".join([*lines, f"result: {outputs}"])


def _shown(step: Instruction) -> str:
    match step:
        case Input():
            return f"input {step.name}"
        case Constant():
            return f"constant {step.value}"
        case Size():
            return f"extent {step.dim}"
        case Contract():
            letters = "abcdefghijklmnopqrstuvwxyz"
            names: dict[int, str] = {}
            for labels in (*step.inputs, step.output):
                for label in labels:
                    names.setdefault(label, letters[len(names) % 26])
            inputs = ",".join("".join(names[x] for x in labels) for labels in step.inputs)
            output = "".join(names[x] for x in step.output)
            operands = " ".join(f"v{register}" for register in step.operands)
            return f"contract {inputs}->{output}  {operands}"
        case Combine():
            terms = (
                f"{'' if c == 1 else f'{c}*'}v{r}"
                for c, r in zip(step.coefficients, step.operands, strict=True)
            )
            return "sum " + " + ".join(terms)
        case Scatter():
            cores = [f"v{r}" if r is not None else "1" for r in step.operands]
            return "scatter " + " + ".join(cores)
        case Elementwise():
            operands = ", ".join(f"v{register}" for register in step.operands)
            power = "" if step.exponent is None else f", {step.exponent}"
            return f"{step.function}({operands}{power})"
        case Whole():
            return f"{step.function}({', '.join(f'v{register}' for register in step.operands)})"
        case Solve():
            matrix, right = step.operands
            mark = "'" if step.transposed else ""
            return f"solve(v{matrix}{mark}, v{right})"
