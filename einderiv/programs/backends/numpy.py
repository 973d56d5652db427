"""Programs as Python functions over NumPy arrays.

In: a `Program`. Out: a function of arrays and extents.
Invariant: code is built as syntax-tree nodes over names minted here (v0, v1, ..., n0, n1, ...); a user's
name or constant never becomes code text.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ...terms import ELEMENTWISE, WHOLE, Shape, Subscript
from ..program import (
    Combine,
    Constant,
    Contract,
    Elementwise,
    Factor,
    Input,
    Instruction,
    Loop,
    Program,
    Register,
    Scatter,
    Size,
    Solve,
    Whole,
    operands_of,
)
from . import python_code as py
from .contractions import Contractions
from .numpy_functions import FUNCTIONS
from .storage import Layout, is_view, layout

BLOCK = "\0block"  # the extent of a block: no user's name
_TERMS = 100  # of a sum in one expression; a nesting of 1000 is beyond what Python's compiler takes
_REPEATED = 8  # the largest power that is computed by multiplications
Runner = Callable[..., Any]

try:  # numpy.einsum in one loop, without its search for an order and other libraries: 0.5 us of 1.4 us
    from numpy._core import multiarray

    c_einsum: Runner = multiarray.c_einsum
except ImportError:  # the name is not public
    c_einsum = np.einsum


@dataclass(frozen=True, slots=True)
class Memory:
    """Buffers that a runner takes after the extents: shapes of the workspace, and which results.

    A buffer of the workspace is an array; one for a result an array, or None for fresh memory.
    """

    workspace: tuple[Shape, ...] = ()
    results: tuple[int, ...] = ()
    sparse: tuple[int, ...] = ()  # results that are zeros but for some diagonals


def _matrix_of(step: Instruction) -> tuple[Register, ...]:
    """The matrix that a step needs a factorization of, if it does and is one matrix."""
    if isinstance(step, Solve) and not step.is_factored:
        return (step.operands[0],)
    if isinstance(step, Whole) and step.function in ("inv", "det", "logdet"):
        return step.operands if len(step.shape) == (2 if step.function == "inv" else 0) else ()
    return ()


def _power(exponent: Fraction) -> tuple[str, tuple[py.Part, ...]]:
    """The function that makes |exponent| powers, and its other operands: products if that is exact."""
    size = abs(exponent)
    if size in (1, 2, Fraction(1, 2)):
        return {1: "", 2: "np.square"}.get(int(size), "np.sqrt"), ()
    if size.denominator == 1 and size <= _REPEATED:
        return "whole_power", (int(size),)
    return "np.power", (exponent,)


def takes_out(program: Program) -> Callable[[Instruction], bool]:
    """Tells of a step whether it can write its result to memory that it is given."""
    probe = Contractions(program)

    def answer(step: Instruction) -> bool:
        match step:
            case Combine() | Scatter():
                return not is_view(step)
            case Contract():
                return len(step.operands) == 2 and probe.contract(step, "out")[1]
            case Elementwise() if step.exponent is not None:
                return _power(step.exponent)[0] != "whole_power"
            case Elementwise():
                function = ELEMENTWISE[step.function].numpy
            case Whole() if step.function != "eps":
                function = WHOLE[step.function].numpy
            case _:
                return False
        # with a dot it is a ufunc of NumPy or SciPy
        return "." in function or "out" in FUNCTIONS[function].__code__.co_varnames

    return answer


class Writer(Contractions):
    """The statements of a program."""

    def __init__(self, program: Program, memory: Layout | None = None) -> None:
        super().__init__(program)
        self.memory = memory or Layout()
        self.factored: set[Register] = set()  # matrices whose factorization has a name
        questions = Counter(matrix for step in program.instructions for matrix in _matrix_of(step))
        self.shared = {matrix for matrix, count in questions.items() if count > 1}

    def body(self) -> list[ast.stmt]:
        """All statements but the last, which returns the results."""
        statements: list[ast.stmt] = []
        loops = {loop.start: loop for loop in self.program.loops}
        stop = 0
        for position, step in enumerate(self.program.instructions):
            if position in loops:
                stop = loops[position].stop
                statements += self.loop(loops[position])
            if position < stop:
                continue
            statements += self.step(step)
            dead = self.memory.dead.get(position, ())
            if dead:
                statements.append(py.delete([f"v{register}" for register in dead]))
        return statements

    def shape(self, shape: Shape) -> list[py.Part]:
        """A shape as numbers and names."""
        return [self.dim(dim) for dim in shape]

    def loop(self, loop: Loop) -> list[ast.stmt]:
        """Instructions that run block by block; after the loop each register has its full shape again.

        f0 = v0                          the full arrays step aside
        f5 = np.empty(...), f9 = zeros   what comes out of the loop: arrays and sums
        for s in range(0, m, rows):
            v0 = f0[s : s + rows]        blocks under the names of the registers
            ...
            f5[s : s + rows] = v5
            f9 += v9
        v0, v5, v9 = f0, f5, f9
        """
        self.dims[BLOCK] = "m"
        program, axes = self.program, loop.axes
        steps = program.instructions[loop.start : loop.stop]
        made = {step.target for step in steps}
        after = program.instructions[loop.stop :]
        needed = set(program.outputs).union(*(operands_of(step) for step in after))
        read = dict.fromkeys(r for step in steps for r in operands_of(step))
        sliced = [r for r in read if r in axes and r not in made]
        stacked = [s.target for s in steps if s.target in axes and s.target in needed]
        summed = [s.target for s in steps if s.target not in axes]
        leaving = {*stacked, *summed}
        statements = [py.assign(f"f{r}", f"v{r}") for r in sliced]
        for r in (*stacked, *summed):
            if shape := self.shape(self.shapes[r]):
                value = py.call("np.empty" if r in axes else "np.zeros", shape, "dtype")
            else:
                value = py.call("dtype.type", 0.0)
            statements.append(py.assign(f"f{r}", value))
        blocks = {
            r: py.index(
                f"f{r}",
                *[ast.Slice()] * axes[r],
                ast.Slice(py.tree("s"), py.binary("s", ast.Add(), loop.rows)),
            )
            for r in (*sliced, *stacked)
        }
        inside = [py.assign(f"v{r}", blocks[r]) for r in sliced]
        inside += py.statements("m = _0.shape[_1]", f"v{sliced[0]}", axes[sliced[0]])
        last = {r: k for k, step in enumerate(steps) for r in (step.target, *operands_of(step))}
        for k, step in enumerate(steps):
            inside += self.step(_of_blocks(step, loop))
            dead = [r for r in made if last[r] == k and r not in leaving]
            if dead:  # or two blocks of it are held at once
                inside.append(py.delete([f"v{r}" for r in sorted(dead)]))
        inside += [py.assign(blocks[r], f"v{r}") for r in stacked]
        for r in summed:
            inside += py.statements("_0 += _1", f"f{r}", f"v{r}")
        if leaving:
            inside.append(py.delete([f"v{r}" for r in sorted(leaving)]))
        template = "for s in range(0, _0.shape[_1], _2): pass"
        run = py.statements(template, f"f{sliced[0]}", axes[sliced[0]], loop.rows)
        run[0].body = inside  # type: ignore[attr-defined]
        return [
            *statements,
            *run,
            *(py.assign(f"v{r}", f"f{r}") for r in (*sliced, *stacked, *summed)),
        ]

    @property
    def extents(self) -> dict[str, str]:
        """The extents that the code takes, and their names in it."""
        return {dim: name for dim, name in self.dims.items() if dim != BLOCK}

    def results(self) -> list[ast.expr]:
        """The results, none of which shares memory with an input or another result."""
        copied = self.memory.copied
        return [
            py.method(f"v{register}", "copy") if number in copied else py.tree(f"v{register}")
            for number, register in enumerate(self.program.outputs)
        ]

    def out(self, target: Register) -> str | None:
        """The name of the memory that a register is written to, if it is given any."""
        memory = self.memory
        if target in memory.over:
            return f"v{memory.over[target]}"
        if target in memory.slot:
            return f"w{memory.slot[target]}"
        return f"s{memory.result[target]}" if target in memory.result else None

    def step(self, step: Instruction) -> list[ast.stmt]:
        """The statements of one instruction."""
        target, out = f"v{step.target}", self.out(step.target)
        for matrix in _matrix_of(step):
            if matrix in self.shared:
                return self.by_factors(step, matrix)
        value: py.Part
        match step:
            case Input():
                return []
            case Constant():
                pi = isinstance(step.value, str)
                value = py.call("dtype.type", "np.pi" if pi else step.value)
            case Size():
                value = py.call("dtype.type", self.dim(step.dim))
            case Contract():
                value = self.contract(step, out)[0]
                return [py.with_comment(py.assign(target, value), step.subscripts)]
            case Combine():
                return self.combine(step, target) if out is None else self.combine_in(step, out)
            case Scatter():
                return self.scatter(step, target, out)
            case Elementwise():
                value = self.elementwise(step, out)
            case Whole():
                value = self.whole(step, out)
            case Factor():
                value = self.factors(step.operands[0])
            case Solve(operands=(matrix, right)):
                if step.is_factored:
                    value = self.solution(f"v{matrix}", step)
                else:
                    more = step.axis, step.transposed
                    value = py.call(self.helper("solve"), f"v{matrix}", f"v{right}", *more)
        return [py.assign(target, value)]

    def by_factors(self, step: Instruction, matrix: Register) -> list[ast.stmt]:
        """What several steps ask of one matrix, from one factorization."""
        name = f"l{matrix}"
        statements: list[ast.stmt] = []
        if matrix not in self.factored:
            self.factored.add(matrix)
            statements.append(py.assign(name, self.factors(matrix)))
        if isinstance(step, Solve):
            value = self.solution(name, step)
        else:
            assert isinstance(step, Whole)
            value = py.method(name, step.function)
        return [*statements, py.assign(f"v{step.target}", value)]

    def factors(self, matrix: Register) -> ast.expr:
        """The factorization of a matrix."""
        positive = [True] if matrix in self.program.positive else []
        return py.call(self.helper("Factored"), f"v{matrix}", *positive)

    def solution(self, factors: str, step: Solve) -> ast.expr:
        """A solution from a factorization."""
        return py.method(factors, "solve", f"v{step.operands[1]}", step.axis, step.transposed)

    # ------------------------------------------------------------ sums

    def combine(self, step: Combine, target: str) -> list[ast.stmt]:
        """A sum as one expression."""
        output = tuple(range(len(step.shape)))
        total: ast.expr | None = None
        statements: list[ast.stmt] = []
        for number, (c, register, axes) in enumerate(step.terms, 1):
            value = py.multiple(abs(c), self.broadcast(register, axes, output))
            if total is None:
                total = ast.UnaryOp(ast.USub(), value) if c < 0 else value
            else:
                total = py.binary(total, ast.Sub() if c < 0 else ast.Add(), value)
            if number % _TERMS == 0:
                statements.append(py.assign(target, total))
                total = py.tree(target)
        assert total is not None
        return [*statements, py.assign(target, total)]

    def combine_in(self, step: Combine, out: str) -> list[ast.stmt]:
        """A sum written to `out`, which may be the memory of one term: that term comes first."""
        rank = len(step.shape)
        terms = sorted(step.terms, key=lambda term: (f"v{term[1]}" != out, len(term[2]) < rank))
        return self.sum_in(terms, rank, f"v{step.target}", out)

    def sum_in(
        self,
        terms: Sequence[tuple[Fraction, Register, Subscript]],
        rank: int,
        target: str,
        out: str,
    ) -> list[ast.stmt]:
        """Terms added one after the other in the memory `out` once they fill it."""
        output = tuple(range(rank))
        (c, register, axes), *rest = terms
        value: py.Part = self.broadcast(register, axes, output)
        is_full, is_negative = len(axes) == rank, c < 0
        statements: list[ast.stmt] = []
        if abs(c) != 1 or not rest:
            statements.append(py.assign(target, py.scaling(c, value, *[out] * is_full)))
            value, is_negative = target, False
        is_own = bool(statements) and is_full
        covered = set(axes)
        for c, register, axes in rest:
            other = py.multiple(abs(c), self.broadcast(register, axes, output))
            covered |= set(axes)
            pair, both = (value, other), is_negative and c < 0
            if is_negative and c > 0:
                pair = other, value
            function = "np.subtract" if is_negative != (c < 0) else "np.add"
            place = [target if is_own else out] if len(covered) == rank else []
            statements.append(py.assign(target, py.call(function, *pair, *place)))
            value, is_own, is_negative = target, bool(place), both
        if is_negative:
            statements.append(py.assign(target, py.scaling(Fraction(-1), py.tree(value), target)))
        return statements

    def scatter(self, step: Scatter, target: str, out: str | None) -> list[ast.stmt]:
        """What fills the result, or zeros; then each term added through a view of its diagonal."""
        shape = self.shape(step.shape)
        full = [
            (c, register, tuple(places.index(label) for label in axes))
            for c, register, axes, places in step.terms
            if register is not None and len(set(axes)) == len(axes) == len(places)
        ]
        thin = [term for term in step.terms if len(set(term[2])) < len(term[3]) or term[1] is None]
        kind = "empty" if full else "zeros"
        if out is None:
            made = py.call(f"np.{kind}", shape, "dtype")
        else:
            made = py.call(self.helper(f"{kind}_in"), out, shape, "dtype")
        statements = [py.assign(target, made)]
        if full:
            statements += self.sum_in(full, len(step.shape), target, target)
        for number, (c, register, axes, places) in enumerate(thin):
            is_first = number == 0 and not full
            distinct = tuple(dict.fromkeys(places))
            view = self.diagonal(target, places, distinct)
            value: py.Part = c
            if register is not None:
                value = self.broadcast(register, axes, distinct)
                if c != 1 and is_first:
                    statements.append(ast.Expr(py.scaling(c, value, view)))
                    continue
                value = py.multiple(c, value)
            template = "_0[...] = _1" if is_first else "_0[...] += _1"
            statements += py.statements(template, view, value)
        return statements

    # ------------------------------------------------------------ functions

    def elementwise(self, step: Elementwise, out: str | None) -> ast.expr:
        """A function of the entries; powers with a number as exponent by multiplications."""
        output = tuple(range(len(step.shape)))
        operands: list[py.Part] = [
            self.broadcast(register, axes, output)
            for register, axes in zip(step.operands, step.axes, strict=True)
        ]
        place = {} if out is None else {"out": out}
        if step.exponent is None:
            path = ELEMENTWISE[step.function].numpy
            return py.call(path if "." in path else self.helper(path), *operands, **place)
        function, more = _power(step.exponent)
        (value,) = operands
        if function == "whole_power":
            value = py.call(self.helper(function), value, *more)
        elif function:
            value = py.call(function, value, *more, **place)
        if step.exponent > 0 or function == "np.power":
            return py.tree(value)
        if place:
            return py.call("np.divide", 1.0, value, **place)
        return py.binary(1.0, ast.Div(), value)

    def whole(self, step: Whole, out: str | None) -> ast.expr:
        """A function of the last axes."""
        if step.function == "eps":
            made = py.call(self.helper("levi_civita"), step.width)
            return py.method(made, "astype", "dtype")
        row = WHOLE[step.function]
        axes = range(-2 if row.matrix else -step.width, 0)
        operands = [f"v{register}" for register in step.operands]
        place = {} if out is None else {"out": out}
        return py.call(self.helper(row.numpy), *operands, axes, **place)


def _of_blocks(step: Instruction, loop: Loop) -> Instruction:
    """The instruction with the extent of a block in the place of the whole."""
    axis = loop.axes.get(step.target)
    shape: Shape = step.shape
    if axis is not None:
        shape = (*shape[:axis], BLOCK, *shape[axis + 1 :])
    if not isinstance(step, Contract):
        return replace(step, shape=shape)
    pairs = zip(step.operands, step.inputs, strict=True)
    labels = {own[loop.axes[register]] for register, own in pairs if register in loop.axes}
    extents = tuple((x, BLOCK if x in labels else dim) for x, dim in step.extents)
    return replace(step, extents=extents, shape=shape)


# ---------------------------------------------------------------- functions


def function_of(program: Program) -> tuple[Runner, tuple[str, ...]]:
    """A function of the input arrays, the dtype and the extents, and the extents it wants in order."""
    return runner_of(program, None, None)[:2]


def runner_of(
    program: Program, keys: Sequence[str] | int | None, sizes: Mapping[str, int] | None
) -> tuple[Runner, tuple[str, ...], Memory]:
    """A function of arrays, dtype, extents and buffers; the extents it wants; the buffers.

    `keys`: names of a dict's results or the length of a list; 0 is for one result, None for a tuple.
    """
    memory = Layout() if keys is None else layout(program, sizes, takes_out(program))
    writer = Writer(program, memory)
    writer.loop_name = "einsum"
    body, values = writer.body(), writer.results()
    results = tuple(sorted(memory.result.values()))
    thin = {step.target for step in program.instructions if isinstance(step, Scatter)}
    sparse = tuple(sorted(number for start, number in memory.result.items() if start in thin))
    parameters = [
        *(f"v{step.target}" for step in program.inputs),
        "dtype",
        *writer.extents.values(),
        *(f"w{number}" for number in range(len(memory.slots))),
        *(f"s{number}" for number in results),
    ]
    space: dict[str, Any] = {"np": np, "range": range, "einsum": c_einsum}
    space |= {name: FUNCTIONS[name] for name in writer.helpers}
    if needs_scipy(program):
        from scipy import special

        space["special"] = special
    run = py.function("program", parameters, body, values, keys, space)
    return run, tuple(writer.extents), Memory(tuple(memory.slots), results, sparse)


def acceptor_of(signature: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> Callable[..., bool]:
    """A function that tells whether arrays have just these shapes and dtypes: 0.1 us an array."""
    tests: list[ast.expr] = []
    space: dict[str, Any] = {"type": type, "ndarray": np.ndarray}
    for number, (shape, dtype) in enumerate(signature):
        space[f"d{number}"] = dtype
        template = "type(_0) is ndarray and _0.shape == _1 and _0.dtype is _2"
        test = py.code(template, f"v{number}", shape, f"d{number}")
        assert isinstance(test, ast.BoolOp)
        tests += test.values
    result = ast.BoolOp(ast.And(), tests) if tests else py.tree(True)
    names = [f"v{number}" for number in range(len(signature))]
    return py.function("shapes", names, [], [result], 0, space)


def needs_scipy(program: Program) -> bool:
    """Does a step call a function of scipy.special by its name?"""
    functions = [s.function for s in program.instructions if isinstance(s, Elementwise)]
    return any(ELEMENTWISE[function].numpy.startswith("special.") for function in functions)
