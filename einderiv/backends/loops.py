"""Instructions that run block by block, written out as a Python loop.

In: a `Loop` and a writer of single instructions. Out: statements.
Invariant: after the loop each register has its name and its full shape again.

    f0 = v0                          the full arrays step aside
    f5 = np.empty(...), f9 = zeros   what comes out of the loop: arrays and sums
    for s in range(0, m, rows):
        v0 = f0[s : s + rows]        blocks under the names of the registers
        ...
        f5[s : s + rows] = v5
        f9 += v9
    v0, v5, v9 = f0, f5, f9
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace

from ..expr import Dim, Shape
from ..program import (
    Contract,
    Instruction,
    Loop,
    Program,
    Register,
    operands_of,
)
from . import python_code as py

BLOCK = "\0block"  # the extent of a block: no user's name


def loop_statements(
    program: Program,
    loop: Loop,
    write: Callable[[Instruction], list[ast.stmt]],
    shape_of: Callable[[Shape], ast.expr],
) -> list[ast.stmt]:
    """The statements of one loop."""
    steps = program.instructions[loop.start : loop.stop]
    made = {step.target for step in steps}
    shapes = {step.target: step.shape for step in program.instructions}
    needed = set(program.outputs).union(
        *(operands_of(step) for step in (*program.instructions[loop.stop :],))
    )
    sliced = list(
        dict.fromkeys(
            register
            for step in steps
            for register in operands_of(step)
            if register in loop.axes and register not in made
        )
    )
    stacked = [s.target for s in steps if s.target in loop.axes and s.target in needed]
    summed = [s.target for s in steps if s.target not in loop.axes]
    before: list[ast.stmt] = [py.assign(f"f{r}", py.name(f"v{r}")) for r in sliced]
    for register in stacked:
        made_empty = py.call(py.path("np.empty"), shape_of(shapes[register]), py.name("dtype"))
        before.append(py.assign(f"f{register}", made_empty))
    for register in summed:
        zero = py.call(py.path("np.zeros"), shape_of(shapes[register]), py.name("dtype"))
        before.append(py.assign(f"f{register}", zero if shapes[register] else _scalar_zero()))
    inside: list[ast.stmt] = []
    for register in sliced:
        inside.append(py.assign(f"v{register}", _block(register, loop)))
    leaving = {*stacked, *summed}
    last = {r: k for k, step in enumerate(steps) for r in (step.target, *operands_of(step))}
    for k, step in enumerate(steps):
        inside += write(_of_blocks(step, loop))
        dead = [r for r in made if last[r] == k and r not in leaving]
        if dead:  # or two blocks of it are held at once
            inside.append(py.delete([f"v{register}" for register in sorted(dead)]))
    for register in stacked:
        place = _block(register, loop)
        assert isinstance(place, ast.Subscript)
        place.ctx = ast.Store()
        inside.append(ast.Assign([place], py.name(f"v{register}")))
    for register in summed:
        inside.append(
            ast.AugAssign(ast.Name(f"f{register}", ast.Store()), ast.Add(), py.name(f"v{register}"))
        )
    if leaving:
        inside.append(py.delete([f"v{register}" for register in sorted(leaving)]))
    first = sliced[0]
    length = ast.Subscript(
        ast.Attribute(py.name(f"f{first}"), "shape", ast.Load()),
        py.constant(loop.axes[first]),
        ast.Load(),
    )
    span = py.call(py.name("range"), py.constant(0), length, py.constant(loop.rows))
    block = ast.Subscript(
        ast.Attribute(py.name(f"v{first}"), "shape", ast.Load()),
        py.constant(loop.axes[first]),
        ast.Load(),
    )
    inside.insert(len(sliced), py.assign("m", block))
    after = [
        py.assign(f"v{register}", py.name(f"f{register}"))
        for register in (*sliced, *stacked, *summed)
    ]
    return [*before, ast.For(ast.Name("s", ast.Store()), span, inside, []), *after]


def _scalar_zero() -> ast.expr:
    return py.call(py.path("dtype.type"), py.constant(0.0))


def _block(register: Register, loop: Loop) -> ast.expr:
    """f0[:, s : s + rows]"""
    start = py.name("s")
    stop = py.binary(py.name("s"), ast.Add(), py.constant(loop.rows))
    own = ast.Slice(start, stop)
    axis = loop.axes[register]
    places: list[ast.expr] = [*(ast.Slice() for _ in range(axis)), own]
    index = py.tuple(places) if axis else own
    return ast.Subscript(py.name(f"f{register}"), index, ast.Load())


def _of_blocks(step: Instruction, loop: Loop) -> Instruction:
    """The instruction with the extent of a block in the place of the whole."""
    axis = loop.axes.get(step.target)
    shape: tuple[Dim, ...] = step.shape
    if axis is not None:
        shape = (*shape[:axis], BLOCK, *shape[axis + 1 :])
    if isinstance(step, Contract):
        labels = {
            own[loop.axes[register]]
            for register, own in zip(step.operands, step.inputs, strict=True)
            if register in loop.axes
        }
        extents = tuple((x, BLOCK if x in labels else dim) for x, dim in step.extents)
        return replace(step, extents=extents, shape=shape)
    return replace(step, shape=shape)
