"""Where the arrays of a program live: which step writes over an operand, which into a buffer kept for it.

In: a program, the extents it is planned for, and which steps can write to memory that they are given.
Out: a `Layout`. Invariant: an input is never written; a result shares no memory with an input, with another
result or with a buffer that is used again.

A storage is one piece of memory and all the registers that are views of it or that were written over each
other in it. It is a buffer of its own if it is large: memory fresh from the system costs a page fault
every 4 KiB, which is several times the time of the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod

from ...terms import Shape
from ..program import (
    Combine,
    Contract,
    Elementwise,
    Input,
    Instruction,
    Program,
    Register,
    Whole,
    operands_of,
)

LARGE = 1 << 14  # entries from which memory is worth planning
_UNKNOWN = 1 << 10  # the extent assumed if a program is not planned for any


@dataclass(slots=True)
class Layout:
    """What the writer of code needs to know of memory.

    `over[r]`: the operand that r is written over; `slot[r]`: the buffer of the workspace that r starts;
    `result[r]`: the number of the result whose own memory r starts; `dead[k]`: the registers that end with
    instruction k; `copied`: numbers of results that share memory and are to be copied.
    """

    over: dict[Register, Register] = field(default_factory=dict)
    slot: dict[Register, int] = field(default_factory=dict)
    result: dict[Register, int] = field(default_factory=dict)
    dead: dict[int, list[Register]] = field(default_factory=dict)
    copied: set[int] = field(default_factory=set)
    slots: list[Shape] = field(default_factory=list)


@dataclass(slots=True)
class _Storage:
    registers: list[Register]
    is_given: bool = False  # an input's memory
    starts: Register | None = None  # the register that may be written to memory given


def is_view(step: Instruction) -> bool:
    """May the step return a view of its operand?"""
    if isinstance(step, Contract):
        return len(step.operands) == 1 and all(x in step.output for x in step.inputs[0])
    return isinstance(step, Combine) and len(step.operands) == 1 and step.coefficients[0] == 1


def layout(
    program: Program,
    sizes: Mapping[str, int] | None,
    writes_out: Callable[[Instruction], bool],
) -> Layout:
    """The memory plan; `sizes` None takes every extent for large."""
    known = sizes or {}

    def entries(shape: Shape) -> int:
        return prod(d if isinstance(d, int) else known.get(d, _UNKNOWN) for d in shape)

    made = Layout()
    steps, shapes, last = program.instructions, program.shapes, program.last_uses
    home: dict[Register, _Storage] = {}
    diagonals: set[Register] = set()  # NumPy does not let them be written
    looped = {k for loop in program.loops for k in range(loop.start, loop.stop)}
    # registers that a loop must hand on whole
    apart = (operands_of(step) for k, step in enumerate(steps) if k not in looped)
    leaving = set(program.outputs).union(*apart, *map(program.leaving, program.loops))
    for position, step in enumerate(steps):
        operands = operands_of(step)
        if is_view(step):
            if isinstance(step, Contract) and step.kernel == "diagonal":
                diagonals.add(step.target)
            home[step.target] = home[operands[0]]
            home[step.target].registers.append(step.target)
            continue
        over = None
        if writes_out(step):
            large = entries(step.shape) >= LARGE
            if position in looped:
                large = large and not leaving.intersection(operands_of(step))
            over = _overwritten(step, position, last, home, shapes) if large else None
            over = None if over in diagonals else over
        if over is not None:
            made.over[step.target] = over
            home[step.target] = home[over]
            home[over].registers.append(step.target)
            continue
        given_place = position not in looped and writes_out(step) and entries(step.shape) >= LARGE
        starts = step.target if given_place else None
        home[step.target] = _Storage([step.target], isinstance(step, Input), starts)
    taken: list[_Storage] = []
    for number, register in enumerate(program.outputs):
        storage = home[register]
        if storage.is_given or any(storage is other for other in taken):
            if shapes[register]:
                made.copied.add(number)
            continue
        taken.append(storage)
        if storage.starts is not None and shapes[storage.starts] == shapes[register]:
            made.result[storage.starts] = number
    # buffers for the large storages that are not results; one serves those that do not overlap
    results = {id(home[register]) for register in program.outputs}
    busy: list[int] = []  # the last position at which each slot is needed
    for position, step in enumerate(steps):
        storage = home[step.target]
        if storage.starts != step.target or id(storage) in results:
            continue
        for number, shape in enumerate(made.slots):
            if shape == step.shape and busy[number] < position:
                break
        else:
            number = len(made.slots)
            made.slots.append(step.shape)
            busy.append(0)
        busy[number] = max(last[register] for register in storage.registers)
        made.slot[step.target] = number
    for register, position in last.items():
        is_done = position < len(steps) and position not in looped  # else the next block needs it
        if is_done and entries(shapes[register]) >= LARGE and not home[register].is_given:
            made.dead.setdefault(position, []).append(register)
    return made


def _overwritten(
    step: Instruction,
    position: int,
    last: Mapping[Register, int],
    home: Mapping[Register, _Storage],
    shapes: Mapping[Register, Shape],
) -> Register | None:
    """An operand of the result's shape that nothing needs any more."""
    if not isinstance(step, Combine | Elementwise | Whole) or not step.shape:
        return None
    plain = tuple(range(len(step.shape)))
    storages = [home[register] for register in step.operands]
    places = [plain] * len(step.operands) if isinstance(step, Whole) else step.axes
    for register, axes in zip(step.operands, places, strict=True):
        storage = home[register]
        if axes != plain or shapes[register] != step.shape or storage.is_given:
            continue
        if sum(other is storage for other in storages) > 1:
            continue
        if all(last[own] <= position for own in storage.registers):
            return register
    return None
