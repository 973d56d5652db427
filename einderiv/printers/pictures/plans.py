"""The plan of a program as a graph, from its arrays to its results, and as a table for notebooks.

In: a `Program`, sizes of its extents, names of its results. Out: a directed `Graph`; HTML.
Invariant: the registers, operations and prices are those of the table that `print(program)` shows; all
texts of the HTML are escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from ...programs import (
    ASSUMED_EXTENT,
    BOUND,
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
    entries,
    flops_of,
    operands_of,
)
from ...terms import Label
from .graph import Graph, Node, Sketch, short_line
from .networks import factor_text, fraction_text, shape_text

_LABEL = 40  # characters of a node's text
_ROWS = 400  # of the table in a notebook
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def plan(program: Program, sizes: Mapping[str, int], results: Sequence[str] = ()) -> Graph:
    """The graph of a program; extents without a size are taken as large as its plan assumes."""
    known = assumed_sizes(program, sizes)
    named: dict[int, list[str]] = {}
    for number, register in enumerate(program.outputs):
        name = results[number] if number < len(results) else ""
        named.setdefault(register, []).append(name)
    looped = {k: loop for loop in program.loops for k in range(loop.start, loop.stop)}
    sketch = Sketch()
    constants = {s.target: s for s in program.instructions if isinstance(s, Constant | Size)}
    for position, step in enumerate(program.instructions):
        if step.target in constants and step.target not in named:
            continue  # it is drawn at each place that reads it
        flops = flops_of(step, program, known)
        facts = ["" if isinstance(step, Input) else f"v{step.target}", shape_text(step.shape)]
        facts += [_kernel(step), f"{flops:,} flops" if flops else ""]
        if position in looped:
            facts.append(f"{looped[position].rows:,} rows at a time")
        names = ", ".join(name for name in named.get(step.target, ()) if name)
        label = f"{names} = {operation_text(step)}" if names else operation_text(step)
        kind = "result" if step.target in named else "operation"
        kind = "input" if isinstance(step, Input) else kind
        note = " · ".join(fact for fact in facts if fact)
        reads = []
        for read in operands_of(step):
            is_constant = read in constants and read not in named
            text = operation_text(constants[read]) if is_constant else ""
            reads.append((read, Node("constant", text, f"v{read}") if is_constant else None))
        node = Node(kind, short_line(label, _LABEL), note)
        sketch.operation(step.target, node, reads, _operand_texts(step))
    return sketch.graph("plan", sizes_text(known))


def assumed_sizes(program: Program, sizes: Mapping[str, int]) -> dict[str, int]:
    """A size for every extent of a program."""
    dims = {dim for step in program.instructions for dim in step.shape if isinstance(dim, str)}
    dims |= {step.dim for step in program.instructions if isinstance(step, Size)}
    for step in program.instructions:
        if isinstance(step, Contract):
            dims.update(dim for _, dim in step.extents if isinstance(dim, str))
    return dict.fromkeys(sorted(dims), ASSUMED_EXTENT) | dict(sizes)


def sizes_text(sizes: Mapping[str, int]) -> str:
    """The sizes that prices are for."""
    told = ", ".join(f"{dim} = {size}" for dim, size in sorted(sizes.items()))
    return f"for {told}" if told else ""


def operation_text(step: Instruction) -> str:
    """What a step does: the subscripts of a product, a function, a sum."""
    match step:
        case Input():
            return step.name.replace(BOUND, "bound ")
        case Constant():
            return step.value if isinstance(step.value, str) else fraction_text(step.value)
        case Size():
            return f"extent {step.dim}"
        case Contract():
            if len(step.inputs) == 2 and not all(step.inputs):
                return "×"  # by a scalar
            numbers: dict[Label, int] = {}
            inputs = ",".join(_subscript(numbers, own) for own in step.inputs)
            return f"{inputs}→{_subscript(numbers, step.output)}"
        case Combine():
            if len(step.operands) == 1:
                return f"× {fraction_text(step.coefficients[0])}"
            return "+"
        case Scatter():
            return "onto diagonals"
        case Elementwise():
            power = "" if step.exponent is None else f" {fraction_text(step.exponent)}"
            return f"{step.function}{power}"
        case Whole():
            return step.function
        case Factor():
            return "factorize"
        case Solve():
            return "solve transposed" if step.transposed else "solve"


def _kernel(step: Instruction) -> str:
    """What a contraction runs on; a product by a scalar says it already."""
    return step.kernel if isinstance(step, Contract) and operation_text(step) != "×" else ""


def _subscript(numbers: dict[Label, int], labels: Iterable[Label]) -> str:
    """The letters of labels, numbered beyond z."""
    names = []
    for label in labels:
        turn, place = divmod(numbers.setdefault(label, len(numbers)), len(_LETTERS))
        names.append(_LETTERS[place] + (str(turn) if turn else ""))
    return "".join(names)


def _operand_texts(step: Instruction) -> list[str]:
    """For each operand what tells it from the others: its place or its factor."""
    count = len(operands_of(step))
    match step:
        case Combine() if count > 1:
            return [factor_text(coefficient) for coefficient in step.coefficients]
        case Solve():
            return ["matrix", "right side"]
        case Contract() if count == 2 and _is_ambiguous(step):
            return ["1", "2"]
        case Elementwise() if count > 1:
            return [str(number) for number in range(1, count + 1)]
    return [""] * count


def _is_ambiguous(step: Contract) -> bool:
    """Would the operands the other way round be another product of the same kind?"""
    first, second = step.inputs
    swapped = dict(zip(first, second, strict=False)) | dict(zip(second, first, strict=False))
    same = [swapped.get(label, label) for label in step.output] == list(step.output)
    return len(first) == len(second) and step.operands[0] != step.operands[1] and not same


# ---------------------------------------------------------------- table

_CELL = "text-align:{};padding:2px 10px"


def plan_html(program: Program, sizes: Mapping[str, int], results: Sequence[str] = ()) -> str:
    """The plan as an HTML table: step, operation, operands, kernel, shape, operations, entries."""
    known = assumed_sizes(program, sizes)
    heads = ("step", "operation", "of", "kernel", "shape", "flops", "entries")
    lines = [_row(heads, "th")]
    total = 0
    for number, step in enumerate(program.instructions):
        flops = flops_of(step, program, known)
        total += flops
        if number >= _ROWS:
            continue
        what = f"input {operation_text(step)}" if isinstance(step, Input) else operation_text(step)
        read = ", ".join(
            f"{f'{text} ' if text and not text.isdigit() else ''}v{register}"
            for register, text in zip(operands_of(step), _operand_texts(step), strict=True)
        )
        size = f"{entries(step.shape, known):,}"
        shape = shape_text(step.shape)
        cells = (f"v{step.target}", what, read, _kernel(step), shape, f"{flops:,}", size)
        lines.append(_row(cells, "td"))
    more = len(program.instructions) - _ROWS
    told = [f"{more:,} more steps"] if more > 0 else []
    names = results or ("result",) * len(program.outputs)
    told += [f"v{register}: {name}" for register, name in zip(program.outputs, names, strict=True)]
    told.append(f"{total:,} flops")
    told += [sizes_text(known)] if known else []
    caption = escape("; ".join(told))
    body = "\n".join(lines)
    style = "border-collapse:collapse;font-size:90%"
    return f'<table style="{style}">\n{body}\n</table>\n<div style="color:#656d76">{caption}</div>'


def _row(cells: Sequence[str], tag: str) -> str:
    sides = ("left", "left", "left", "left", "left", "right", "right")
    shown = "".join(
        f'<{tag} style="{_CELL.format(side)}">{escape(cell)}</{tag}>'
        for cell, side in zip(cells, sides, strict=True)
    )
    return f"<tr>{shown}</tr>"
