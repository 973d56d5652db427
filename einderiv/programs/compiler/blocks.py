"""Instructions that run block by block along one axis, so that what they share stays in the cache.

In: a program and the extents it is planned for. Out: the same program, its instructions in an order in which
those of a loop are together, and its loops. Invariant: the loops are advice; the program computes the same.

X'(X th - Y) reads X twice. By blocks of rows each block is read once from memory and once from the cache, and
the residual never leaves it. The same holds for chains of functions of large arrays, and for batches.

An axis of one register is the same axis as one of another if an instruction carries it over. For each such
class of axes the instructions that have it run together as long as none needs a sum over the axis that
another of them makes: those come a loop later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil, prod

from ...terms import WHOLE, Dim, Shape
from ..program import (
    Combine,
    Contract,
    Elementwise,
    Input,
    Instruction,
    Loop,
    Program,
    Register,
    Whole,
    operands_of,
)

_CACHE = 1 << 20  # bytes of a block and all that is computed from it
_ITEM = 8
_SMALL = 24 << 20  # bytes of an array below which the cache holds it anyhow
_READ = 1 / 20e9  # seconds a byte
_WRITE = 1 / 12e9  # the same, for what is written
_CALL = 1.2e-6  # seconds an instruction takes beside its work
_GAIN = 1.5  # what is saved must be so many times what the loop costs
_LEAST = 1e-4  # seconds saved

Slot = tuple[Register, int]
APART = "apart"  # the kernel of a view whose axes are none of those of its array, until kernels are chosen


def with_loops(program: Program, sizes: Mapping[str, int]) -> Program:
    """The program with the loop that saves most, if one does."""
    search = _Search(program, sizes)
    best: tuple[float, list[int], list[Loop]] | None = None
    for slots in search.classes():
        found = search.loops_of(slots)
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    if best is None:
        return program
    return _reorder(program, *best[1:])


def _reorder(program: Program, order: Sequence[int], loops: Sequence[Loop]) -> Program:
    instructions = tuple(program.instructions[position] for position in order)
    return replace(program, instructions=instructions, loops=tuple(loops))


def within_limit(
    program: Program, sizes: Mapping[str, int], limit: int, peak: Callable[[Program], int]
) -> Program:
    """The program in blocks so small that its peak is at most `limit` bytes; as it is if none helps.

    All axes are tried, and blocks from the largest on; `peak` computes what a program holds at once.
    """
    if peak(program) <= limit:
        return program
    plain, program = program, _with_views(program)
    block, best = limit, plain
    last = _ITEM
    while block >= last:
        search = _Search(program, sizes, block)
        found = [search.loops_of(slots) for slots in search.classes()]
        for _, order, loops in filter(None, found):
            sliced = _reorder(program, order, loops)
            if peak(sliced) <= limit:
                if best is plain:
                    last = block // 4  # smaller still, as NumPy's own temporaries are not counted
                best = sliced
                break
        if found and all(loop.rows == 1 for one in found if one for loop in one[2]):
            break
        block //= 2
    return best


def _with_views(program: Program) -> Program:
    """The program with another register for an array that occurs twice in a step, as in X[i,d]*X[j,d].

    The second is a view of the first, and its axes are axes of their own: they are not cut together.
    """
    fresh = 1 + max(step.target for step in program.instructions)
    shapes = program.shapes
    steps: list[Instruction] = []
    views: dict[Register, Register] = {}
    for step in program.instructions:
        if isinstance(step, Contract | Combine) and len(set(step.operands)) < len(step.operands):
            own = step.inputs if isinstance(step, Contract) else step.axes
            operands = list(step.operands)
            for k, register in enumerate(operands):
                first = operands.index(register)
                if first < k and own[first] != own[k]:
                    if register not in views:
                        views[register] = fresh
                        labels = tuple(range(len(shapes[register])))
                        extents = tuple(zip(labels, shapes[register], strict=True))
                        view = (fresh, (register,), (labels,), labels, extents, shapes[register])
                        steps.append(Contract(*view, kernel=APART))
                        fresh += 1
                    operands[k] = views[register]
            step = replace(step, operands=tuple(operands))
        steps.append(step)
    return replace(program, instructions=tuple(steps))


class _Search:
    """Classes of axes of a program and what loops along them save.

    `block`: the bytes of a block, if loops are to save memory, whatever time they take.
    """

    def __init__(
        self, program: Program, sizes: Mapping[str, int], block: int | None = None
    ) -> None:
        self.block = block
        self.steps = program.instructions
        self.program = program
        self.sizes = sizes
        self.shapes = program.shapes
        self.users: dict[Register, list[int]] = {}
        for position, step in enumerate(self.steps):
            for register in dict.fromkeys(operands_of(step)):
                self.users.setdefault(register, []).append(position)

    def extent(self, dim: Dim) -> int:
        """The extent that planning assumes."""
        return dim if isinstance(dim, int) else self.sizes.get(dim, 1)

    def bytes_of(self, register: Register) -> int:
        """The size of a register."""
        return _ITEM * prod(self.extent(dim) for dim in self.shapes[register])

    # ------------------------------------------------------------ axes

    def classes(self) -> list[set[Slot]]:
        """The classes of axes in which some array is large."""
        parent: dict[Slot, Slot] = {}

        def find(slot: Slot) -> Slot:
            while parent.setdefault(slot, slot) != slot:
                slot = parent[slot]
            return slot

        for step in self.steps:
            for slots in _shared_axes(step, self.shapes):
                if isinstance(step, Contract) and step.kernel == APART:
                    continue
                first, *rest = slots
                for slot in rest:
                    parent[find(slot)] = find(first)
        found: dict[Slot, set[Slot]] = {}
        for slot in list(parent):
            found.setdefault(find(slot), set()).add(slot)
        return [
            slots
            for slots in found.values()
            if self.block or any(self.bytes_of(register) >= _SMALL for register, _ in slots)
        ]

    def loops_of(self, slots: set[Slot]) -> tuple[float, list[int], list[Loop]] | None:
        """The seconds saved, the order of the instructions, the loops."""
        axes: dict[Register, int] = {}
        for register, axis in slots:
            if register in axes:
                return None  # two axes of one array: no block of it is enough
            axes[register] = axis
        members = {
            position
            for position, step in enumerate(self.steps)
            if _is_blockable(step, axes, self.shapes)
        }
        stages = self._stages(members, axes)
        order = sorted(range(len(self.steps)), key=lambda position: (stages[position], position))
        groups: dict[int, list[int]] = {}
        for position in sorted(members):
            groups.setdefault(stages[position], []).append(position)
        loops = []
        total = 0.0
        for stage, group in groups.items():
            saved, rows = self._worth(set(group), axes)
            if rows is None:
                continue
            start = next(k for k, position in enumerate(order) if stages[position] == stage)
            steps = [self.steps[position] for position in group]
            met = dict.fromkeys(r for step in steps for r in (*operands_of(step), step.target))
            own = {register: axes[register] for register in met if register in axes}
            loops.append(Loop(start, start + len(group), own, rows))
            total += saved
        return (total, order, loops) if loops else None

    def _stages(self, members: set[int], axes: Mapping[Register, int]) -> list[int]:
        """Even for members, odd for the others; an instruction comes after what it needs."""
        maker = {step.target: position for position, step in enumerate(self.steps)}
        stages: list[int] = []
        for position, step in enumerate(self.steps):
            is_member = position in members
            stage = 0 if is_member else -1
            for register in operands_of(step):
                source = maker[register]
                at = stages[source]
                if source in members:
                    in_block = register in axes
                    at += 0 if is_member and in_block else 2 if is_member else 1
                elif is_member:
                    at += 1
                stage = max(stage, at)
            stages.append(stage)
        return stages

    # ------------------------------------------------------------ what it saves

    def _worth(self, members: set[int], axes: Mapping[Register, int]) -> tuple[float, int | None]:
        """The seconds that a loop saves, and the rows of a block: None if it is not worth it."""
        made = {self.steps[position].target for position in members}
        reads: dict[Register, int] = {}
        for position in members:
            for register in dict.fromkeys(operands_of(self.steps[position])):
                if register in axes:
                    reads[register] = reads.get(register, 0) + 1
        per_row = saved = 0.0
        sums = 0.0
        extent = 1
        for register in {*reads, *made}:
            size = self.bytes_of(register)
            if register not in axes:
                sums += size
                continue
            extent = self.extent(self.shapes[register][axes[register]])
            per_row += size / max(extent, 1)
            if size < _SMALL:
                continue
            if register in made:
                saved += size * _READ * reads.get(register, 0)
                if not self._is_needed_outside(register, members):
                    saved += size * _WRITE
            else:
                saved += size * _READ * (reads[register] - 1)
        rows = max(1, int((self.block or _CACHE) / max(per_row, 1.0)))
        blocks = ceil(extent / rows)
        if self.block is not None:
            return 0.0, rows if blocks > 1 else None
        if blocks < 3:
            return 0.0, None
        cost = blocks * ((len(members) + len(reads)) * _CALL + 3 * sums * _READ)
        is_worth = saved > _GAIN * cost and saved - cost > _LEAST
        return saved - cost, rows if is_worth else None

    def _is_needed_outside(self, register: Register, members: set[int]) -> bool:
        if register in self.program.outputs:
            return True
        return any(position not in members for position in self.users.get(register, ()))


def _shared_axes(step: Instruction, shapes: Mapping[Register, Shape]) -> list[list[Slot]]:
    """The axes of the operands and of the result that are the same axis."""
    found: dict[object, list[Slot]] = {}
    if isinstance(step, Contract):
        for register, labels in zip(step.operands, step.inputs, strict=True):
            for axis, label in enumerate(labels):
                found.setdefault(label, []).append((register, axis))
        for axis, label in enumerate(step.output):
            found[label].append((step.target, axis))
    elif isinstance(step, Combine | Elementwise):
        for register, axes in zip(step.operands, step.axes, strict=True):
            for axis, place in enumerate(axes):
                found.setdefault(place, [(step.target, place)]).append((register, axis))
    elif isinstance(step, Whole) and step.operands:
        count = 2 if step.function == "eps" or WHOLE[step.function].matrix else step.width
        (register,) = step.operands[:1]
        for axis in range(len(shapes[register]) - count):
            found[axis] = [(register, axis), (step.target, axis)]
    return list(found.values())


def _is_blockable(
    step: Instruction, axes: Mapping[Register, int], shapes: Mapping[Register, Shape]
) -> bool:
    """Can the step run on blocks of those of its operands that have the axis?"""
    if isinstance(step, Contract) and step.kernel == APART:
        return False
    if isinstance(step, Input) or not any(register in axes for register in operands_of(step)):
        return False
    carried = _shared_axes(step, shapes)
    touched = [slots for slots in carried if any(axes.get(r) == axis for r, axis in slots)]
    return len(touched) == 1 and all(axes.get(r) == axis for r, axis in touched[0])
