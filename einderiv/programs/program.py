"""Straight-line programs: what a compiler hands to a backend.

In: nothing; these are records. Every instruction assigns one register once.
Out: `Program`, run by `backends`, priced by `compiler/cost.py`, shown as a table.
Invariant: operands are registers assigned before; labels are integers local to an instruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ..terms import Dim, Label, Shape, Subscript

Register = int
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Input:
    """The array of a variable."""

    target: Register
    name: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, or pi."""

    target: Register
    value: Fraction | str
    shape: Shape = ()


@dataclass(frozen=True, slots=True)
class Size:
    """An extent as a number."""

    target: Register
    dim: str
    shape: Shape = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """The contraction of one or two registers; no delta, no ones.

    `kernel`: what it runs on, by its name in the table of `compiler/kernels.py`. Every kernel that serves
    the labels gives the same result for all extents; "loop" serves everything.
    """

    target: Register
    operands: tuple[Register, ...]
    inputs: tuple[Subscript, ...]
    output: Subscript
    extents: tuple[tuple[Label, Dim], ...]
    shape: Shape
    kernel: str = "loop"

    @property
    def subscripts(self) -> str:
        """The contraction in einsum's words, as `ab,b->a`."""
        labels = dict.fromkeys(label for own in (*self.inputs, self.output) for label in own)
        letters = {x: LETTERS[k] if k < 52 else chr(140 + k) for k, x in enumerate(labels)}
        *inputs, output = ("".join(letters[x] for x in own) for own in (*self.inputs, self.output))
        return f"{','.join(inputs)}->{output}"

    def exchange(self) -> Contract:
        """The same, the second operand first."""
        return replace(self, operands=self.operands[::-1], inputs=self.inputs[::-1])


@dataclass(frozen=True, slots=True)
class Combine:
    """sum of coefficient * register, each placed at its axes of the result; others are broadcast."""

    target: Register
    coefficients: tuple[Fraction, ...]
    operands: tuple[Register, ...]
    axes: tuple[Subscript, ...]
    shape: Shape

    @property
    def terms(self) -> list[tuple[Fraction, Register, Subscript]]:
        """The terms: coefficients, registers, axes."""
        return list(zip(self.coefficients, self.operands, self.axes, strict=True))


@dataclass(frozen=True, slots=True)
class Scatter:
    """Zeros, with each register added on the diagonals its labels name.

    `places[k]` labels the axes of the result (equal labels: a diagonal), `axes[k]` those of operand k.
    """

    target: Register
    coefficients: tuple[Fraction, ...]
    operands: tuple[Register | None, ...]
    axes: tuple[Subscript, ...]
    places: tuple[Subscript, ...]
    shape: Shape

    @property
    def terms(self) -> list[tuple[Fraction, Register | None, Subscript, Subscript]]:
        """The terms: coefficients, registers, axes, places."""
        return list(zip(self.coefficients, self.operands, self.axes, self.places, strict=True))


@dataclass(frozen=True, slots=True)
class Elementwise:
    """A function entry by entry; operands are placed at their axes as in Combine."""

    target: Register
    function: str
    operands: tuple[Register, ...]
    axes: tuple[Subscript, ...]
    exponent: Fraction | None  # of a power with a number as exponent
    shape: Shape


@dataclass(frozen=True, slots=True)
class Whole:
    """A function of the last axes."""

    target: Register
    function: str
    operands: tuple[Register, ...]
    width: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Solve:
    """inv(A) x (or inv(A)' x) along the axis `axis` of x, without the inverse."""

    target: Register
    operands: tuple[Register, ...]
    axis: int
    transposed: bool
    shape: Shape
    is_factored: bool = False  # is the matrix given by a Factor?


@dataclass(frozen=True, slots=True)
class Factor:
    """The factorization of a matrix, for solutions to come."""

    target: Register
    operands: tuple[Register, ...]
    shape: Shape


@dataclass(frozen=True, slots=True)
class Loop:
    """Instructions from `start` to before `stop` that run block by block along one axis of their arrays.

    `axes`: the axis of each register that has it; `rows`: how many of its entries a block holds. A result
    without the axis is a sum over it: the blocks are added up.
    """

    start: int
    stop: int
    axes: Mapping[Register, int]
    rows: int


Instruction = (
    Input | Constant | Size | Contract | Combine | Scatter | Elementwise | Whole | Solve | Factor
)


@dataclass(frozen=True, slots=True)
class Program:
    """Instructions in order and the registers that are the results.

    `loops` are advice: without them, or with others, a program computes the same.
    `positive`: matrices that are declared symmetric and positive definite. `symmetric`: products of two
    matrices that are.
    """

    instructions: tuple[Instruction, ...]
    outputs: tuple[Register, ...]
    loops: tuple[Loop, ...] = ()
    positive: frozenset[Register] = frozenset()
    symmetric: frozenset[Register] = frozenset()

    @property
    def shapes(self) -> dict[Register, Shape]:
        """The shape of each register."""
        return {step.target: step.shape for step in self.instructions}

    @property
    def last_uses(self) -> dict[Register, int]:
        """The last position at which each register is made or read; results live beyond the end."""
        last = {
            r: k
            for k, step in enumerate(self.instructions)
            for r in (step.target, *operands_of(step))
        }
        return last | dict.fromkeys(self.outputs, len(self.instructions))

    def leaving(self, loop: Loop) -> set[Register]:
        """The registers made in a loop that are results, or read outside."""
        made = {step.target for step in self.instructions[loop.start : loop.stop]}
        outside = (*self.instructions[: loop.start], *self.instructions[loop.stop :])
        return made & set(self.outputs).union(*map(operands_of, outside))

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The instructions that read an array."""
        return tuple(step for step in self.instructions if isinstance(step, Input))


def operands_of(step: Instruction) -> tuple[Register, ...]:
    """The registers that an instruction reads."""
    if isinstance(step, Input | Constant | Size):
        return ()
    return tuple(register for register in step.operands if register is not None)


def is_turned(first: Subscript, second: Subscript, output: Subscript) -> bool:
    """Do columns come before the rows in the result, so that the operands had better be exchanged?"""
    for label in output:
        if (label in first) != (label in second):
            return label in second
    return False


def needed_for(
    instructions: Sequence[Instruction], outputs: Sequence[Register]
) -> tuple[Instruction, ...]:
    """The instructions that some registers depend on, in order."""
    needed = set(outputs)
    kept = []
    for step in reversed(instructions):
        if step.target in needed:
            needed.update(operands_of(step))
            kept.append(step)
    return tuple(reversed(kept))


def why_not_valid(program: Program) -> str | None:
    """The reason why a program is not straight-line and single assignment, None if it is."""
    known: set[Register] = set()
    for step in program.instructions:
        for register in operands_of(step):
            if register not in known:
                return f"{step} reads v{register} before it is assigned"
        if step.target in known:
            return f"{step} assigns v{step.target} again"
        known.add(step.target)
    missing = [register for register in program.outputs if register not in known]
    return f"result v{missing[0]} is never assigned" if missing else None
