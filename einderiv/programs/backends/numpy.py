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

from ...terms import ELEMENTWISE, WHOLE, Dim, Label, Shape, Subscript
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
from . import numpy_functions
from . import python_code as py
from .contractions import LETTERS, Contractions
from .storage import Layout, is_view, layout

# Instructions that run block by block, written out as a Python loop.
#
# In: a `Loop` and a writer of single instructions. Out: statements.
# Invariant: after the loop each register has its name and its full shape again.
#
#     f0 = v0                          the full arrays step aside
#     f5 = np.empty(...), f9 = zeros   what comes out of the loop: arrays and sums
#     for s in range(0, m, rows):
#         v0 = f0[s : s + rows]        blocks under the names of the registers
#         ...
#         f5[s : s + rows] = v5
#         f9 += v9
#     v0, v5, v9 = f0, f5, f9

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


# ----------------------------------------------------------------------

_TERMS = 100  # of a sum in one expression; a nesting of 1000 is beyond what Python's compiler takes
_REPEATED = 8  # the largest power that is computed by multiplications
Runner = Callable[..., Any]


def _loop() -> Runner:
    """numpy.einsum in one loop, without its search for an order and other libraries: 0.5 us of 1.4 us."""
    try:
        from numpy._core.multiarray import c_einsum
    except ImportError:  # it is no public name
        return np.einsum
    loop: Runner = c_einsum
    return loop


c_einsum = _loop()


@dataclass(frozen=True, slots=True)
class Memory:
    """Buffers that a runner takes after the extents: shapes of the workspace, and which results.

    A buffer of the workspace is an array; one for a result an array, or None for fresh memory.
    """

    workspace: tuple[Shape, ...] = ()
    results: tuple[int, ...] = ()
    sparse: tuple[int, ...] = ()  # results that are zeros but for some diagonals


def _subscripts(step: Contract) -> str:
    """ab,b->a"""
    letters: dict[Label, str] = {}
    for labels in (*step.inputs, step.output):
        for label in labels:
            letters.setdefault(label, LETTERS[len(letters) % len(LETTERS)])
    inputs = ",".join("".join(letters[x] for x in labels) for labels in step.inputs)
    return f"{inputs}->{''.join(letters[x] for x in step.output)}"


def _matrix_of(step: Instruction) -> tuple[Register, ...]:
    """The matrix that a step needs a factorization of, if it does and is one matrix."""
    if isinstance(step, Solve) and not step.is_factored:
        return (step.operands[0],)
    if isinstance(step, Whole) and step.function in ("inv", "det", "logdet"):
        return step.operands if len(step.shape) == (2 if step.function == "inv" else 0) else ()
    return ()


def takes_out(program: Program) -> Callable[[Instruction], bool]:
    """Tells of a step whether it can write its result where it is told."""
    probe = Contractions(program)

    def answer(step: Instruction) -> bool:
        match step:
            case Combine() | Scatter():
                return not is_view(step)
            case Contract():
                return len(step.operands) == 2 and probe.contract_into(step, "out")[1]
            case Elementwise():
                if step.exponent is not None:
                    size = abs(step.exponent)
                    return size <= 2 or size > _REPEATED or size.denominator > 1
                return _takes_out(ELEMENTWISE[step.function].numpy)
            case Whole():
                return step.function != "eps" and _takes_out(WHOLE[step.function].numpy)
        return False

    return answer


def _takes_out(function: str) -> bool:
    if "." in function:
        return True  # a ufunc of NumPy or SciPy
    return "out" in getattr(numpy_functions, function).__code__.co_varnames


class Writer(Contractions):
    """The statements of a program."""

    def __init__(
        self,
        program: Program,
        memory: Layout | None = None,
    ) -> None:
        super().__init__(program)
        self.memory = memory or Layout()
        self.factored: set[Register] = set()  # matrices whose factorization stands in a name
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

    def loop(self, loop: Loop) -> list[ast.stmt]:
        """Instructions that run block by block."""
        self.dims[BLOCK] = "m"

        def shape_of(shape: Shape) -> ast.expr:
            return py.tuple([self.dim(dim) for dim in shape])

        return loop_statements(self.program, loop, self.step, shape_of)

    @property
    def extents(self) -> dict[str, str]:
        """The extents that the code wants to be told, and their names in it."""
        return {dim: name for dim, name in self.dims.items() if dim != BLOCK}

    def results(self) -> list[ast.expr]:
        """The results, none of which shares memory with an input or another result."""
        values = []
        for number, register in enumerate(self.program.outputs):
            value = py.name(f"v{register}")
            values.append(py.method(value, "copy") if number in self.memory.copied else value)
        return values

    def out(self, target: Register) -> str | None:
        """The name of the memory that a register is written to, if it is told."""
        memory = self.memory
        if target in memory.over:
            return f"v{memory.over[target]}"
        if target in memory.slot:
            return f"w{memory.slot[target]}"
        return f"s{memory.result[target]}" if target in memory.result else None

    def step(self, step: Instruction) -> list[ast.stmt]:
        """The statements of one instruction."""
        target = f"v{step.target}"
        out = self.out(step.target)
        for matrix in _matrix_of(step):
            if matrix in self.shared:
                return self.by_factors(step, matrix)
        match step:
            case Input():
                return []
            case Constant():
                value = py.path("np.pi") if isinstance(step.value, str) else py.number(step.value)
                return [py.assign(target, py.call(py.path("dtype.type"), value))]
            case Size():
                return [py.assign(target, py.call(py.path("dtype.type"), self.dim(step.dim)))]
            case Contract():
                value, _ = self.contract_into(step, out)
                return [py.commented(py.assign(target, value), _subscripts(step))]
            case Combine():
                return self.combine(step, target) if out is None else self.combine_in(step, out)
            case Scatter():
                return self.scatter(step, target, out)
            case Elementwise():
                return self.elementwise(step, target, out)
            case Whole():
                return [py.assign(target, self.whole(step, out))]
            case Factor():
                return [py.assign(target, self.factors(step.operands[0]))]
            case Solve() if step.is_factored:
                return [py.assign(target, self.solution(f"v{step.operands[0]}", step))]
            case Solve():
                operands = [py.name(f"v{register}") for register in step.operands]
                axis, flag = py.constant(step.axis), py.constant(step.transposed)
                return [py.assign(target, py.call(self.helper("solve"), *operands, axis, flag))]

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
            value = py.method(py.name(name), step.function)
        return [*statements, py.assign(f"v{step.target}", value)]

    def factors(self, matrix: Register) -> ast.expr:
        """The factorization of a matrix."""
        positive = [py.constant(True)] if matrix in self.program.positive else []
        return py.call(self.helper("Factored"), py.name(f"v{matrix}"), *positive)

    def solution(self, factors: str, step: Solve) -> ast.expr:
        """A solution from a factorization."""
        right, axis = py.name(f"v{step.operands[1]}"), py.constant(step.axis)
        return py.method(py.name(factors), "solve", right, axis, py.constant(step.transposed))

    # ------------------------------------------------------------ sums

    def combine(self, step: Combine, target: str) -> list[ast.stmt]:
        """A sum as one expression."""
        output = tuple(range(len(step.shape)))
        total: ast.expr | None = None
        statements: list[ast.stmt] = []
        terms = zip(step.coefficients, step.operands, step.axes, strict=True)
        for number, (c, register, axes) in enumerate(terms, 1):
            value = py.scaled(abs(c), self.placed(f"v{register}", axes, output))
            if total is None:
                total = ast.UnaryOp(ast.USub(), value) if c < 0 else value
            else:
                total = py.binary(total, ast.Sub() if c < 0 else ast.Add(), value)
            if number % _TERMS == 0:
                statements.append(py.assign(target, total))
                total = py.name(target)
        assert total is not None
        return [*statements, py.assign(target, total)]

    def combine_in(self, step: Combine, out: str) -> list[ast.stmt]:
        """A sum written to `out`, which may be the memory of one term: that term comes first."""
        terms = list(zip(step.coefficients, step.operands, step.axes, strict=True))
        rank = len(step.shape)
        terms.sort(key=lambda term: (f"v{term[1]}" != out, len(term[2]) < rank))
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
        value = self.placed(f"v{register}", axes, output)
        is_full, is_negative = len(axes) == rank, c < 0
        statements: list[ast.stmt] = []
        if abs(c) != 1 or not rest:
            scaled = py.scaling(c, value, py.name(out) if is_full else None)
            statements.append(py.assign(target, scaled))
            value, is_negative = py.name(target), False
        is_own = bool(statements) and is_full
        covered = set(axes)
        for c, register, axes in rest:
            other = self.placed(f"v{register}", axes, output)
            if abs(c) != 1:
                other = py.scaled(abs(c), other)
            covered |= set(axes)
            left, right, function = value, other, "np.subtract" if c < 0 else "np.add"
            if is_negative and c > 0:
                left, right, function = other, value, "np.subtract"
            both = is_negative and c < 0
            place = [py.name(target if is_own else out)] if len(covered) == rank else []
            made = py.call(py.path("np.add" if both else function), left, right, *place)
            statements.append(py.assign(target, made))
            value, is_own, is_negative = py.name(target), bool(place), both
        if is_negative:
            turned = py.scaling(Fraction(-1), value, py.name(target))
            statements.append(py.assign(target, turned))
        return statements

    def scatter(self, step: Scatter, target: str, out: str | None) -> list[ast.stmt]:
        """What fills the result, or zeros; then each term added through a view of its diagonal."""
        shape = py.tuple([self.dim(dim) for dim in step.shape])
        dtype = py.name("dtype")
        given = list(zip(step.coefficients, step.operands, step.axes, step.places, strict=True))
        full = [
            (c, register, tuple(places.index(label) for label in axes))
            for c, register, axes, places in given
            if register is not None and len(set(axes)) == len(axes) == len(places)
        ]
        thin = [term for term in given if len(set(term[2])) < len(term[3]) or term[1] is None]
        if full:
            if out is None:
                made = py.call(py.path("np.empty"), shape, dtype)
            else:
                made = py.call(self.helper("empty_in"), py.name(out), shape, dtype)
            statements = [py.assign(target, made)]
            statements += self.sum_in(full, len(step.shape), target, target)
        else:
            if out is None:
                made = py.call(py.path("np.zeros"), shape, dtype)
            else:
                made = py.call(self.helper("zeros_in"), py.name(out), shape, dtype)
            statements = [py.assign(target, made)]
        for number, (c, register, axes, places) in enumerate(thin):
            distinct = tuple(dict.fromkeys(places))
            view = self.diagonal(target, places, distinct)
            if register is None:
                value = py.number(c)
            else:
                value = self.placed(f"v{register}", axes, distinct)
                if c != 1 and number == 0 and not full:
                    scaled = py.scaling(c, value, view)
                    statements.append(ast.Expr(scaled))
                    continue
                value = py.scaled(c, value)
            place = ast.Subscript(view, ast.Constant(...), ast.Store())
            if number == 0 and not full:
                statements.append(ast.Assign([place], value))
            else:
                statements.append(ast.AugAssign(place, ast.Add(), value))
        return statements

    # ------------------------------------------------------------ functions

    def elementwise(self, step: Elementwise, target: str, out: str | None) -> list[ast.stmt]:
        """A function of the entries; powers with a number as exponent by multiplications."""
        output = tuple(range(len(step.shape)))
        operands = [
            self.placed(f"v{register}", axes, output)
            for register, axes in zip(step.operands, step.axes, strict=True)
        ]
        place = {} if out is None else {"out": py.name(out)}
        if step.exponent is not None:
            return self.power(operands[0], step.exponent, target, place)
        function = self.function(ELEMENTWISE[step.function].numpy)
        return [py.assign(target, py.call(function, *operands, **place))]

    def power(
        self, base: ast.expr, exponent: Fraction, target: str, place: Mapping[str, ast.expr]
    ) -> list[ast.stmt]:
        """base ** exponent: squares, roots and products where that is exact, np.power elsewhere."""
        size = abs(exponent)
        if size == 1:
            value = base
        elif size == 2:
            value = py.call(py.path("np.square"), base, **place)
        elif size == Fraction(1, 2):
            value = py.call(py.path("np.sqrt"), base, **place)
        elif size.denominator == 1 and size <= _REPEATED:
            value = py.call(self.helper("whole_power"), base, py.constant(int(size)))
        else:
            return [
                py.assign(target, py.call(py.path("np.power"), base, py.number(exponent), **place))
            ]
        if exponent < 0:
            value = (
                py.call(py.path("np.divide"), py.constant(1.0), value, **place)
                if place
                else (py.binary(py.constant(1.0), ast.Div(), value))
            )
        return [py.assign(target, value)]

    def whole(self, step: Whole, out: str | None) -> ast.expr:
        """A function of the last axes."""
        if step.function == "eps":
            made = py.call(self.helper("levi_civita"), py.constant(step.width))
            return py.method(made, "astype", py.name("dtype"))
        row = WHOLE[step.function]
        count = 2 if row.matrix else step.width
        axes = py.numbers(range(-count, 0))
        operands = [py.name(f"v{register}") for register in step.operands]
        place = {} if out is None else {"out": py.name(out)}
        return py.call(self.helper(row.numpy), *operands, axes, **place)


# ---------------------------------------------------------------- functions


def function_of(program: Program) -> tuple[Runner, tuple[str, ...]]:
    """A function of the input arrays, the dtype and the extents, and the extents it wants in order."""
    runner, dims, _ = runner_of(program, None, None, workspace=False)
    return runner, dims


def runner_of(
    program: Program,
    keys: Sequence[str] | int | None,
    sizes: Mapping[str, int] | None,
    workspace: bool = True,
) -> tuple[Runner, tuple[str, ...], Memory]:
    """A function of arrays, dtype, extents and buffers; the extents it wants; the buffers.

    `keys`: names of a dict's results or the length of a list; 0 is for one result, None for a tuple.
    """
    memory = layout(program, sizes, takes_out(program), workspace) if keys is not None else Layout()
    writer = Writer(program, memory)
    writer.loop_name = "einsum"
    body = writer.body()
    space: dict[str, Any] = {"__builtins__": {}, "np": np, "range": range, "einsum": c_einsum}
    values = writer.results()
    result: ast.expr
    if keys is None:
        result = py.tuple(values)
    elif keys == 0:
        result = values[0]
    elif isinstance(keys, int):
        result = ast.List(values, ast.Load())
    else:
        space.update({f"k{number}": key for number, key in enumerate(keys)})
        names: list[ast.expr | None] = [py.name(f"k{number}") for number in range(len(keys))]
        result = ast.Dict(names, values)
    arrays = [f"v{step.target}" for step in program.inputs]
    results = tuple(sorted(memory.result.values()))
    thin = {step.target for step in program.instructions if isinstance(step, Scatter)}
    sparse = tuple(sorted(number for start, number in memory.result.items() if start in thin))
    buffers = [f"w{number}" for number in range(len(memory.slots))]
    buffers += [f"s{number}" for number in results]
    names_of = [*arrays, "dtype", *writer.extents.values(), *buffers]
    module = ast.Module([py.definition("run", names_of, [*body, ast.Return(result)])], [])
    ast.fix_missing_locations(module)
    space.update({name: getattr(numpy_functions, name) for name in writer.helpers})
    if needs_scipy(program):
        from scipy import special

        space["special"] = special
    exec(compile(module, "<einderiv program>", "exec"), space)
    return space["run"], tuple(writer.extents), Memory(tuple(memory.slots), results, sparse)


def acceptor_of(signature: Sequence[tuple[tuple[int, ...], np.dtype[Any]]]) -> Callable[..., bool]:
    """A function that tells whether arrays have just these shapes and dtypes: 0.1 us an array."""
    names = [f"v{number}" for number in range(len(signature))]
    tests: list[ast.expr] = []
    space: dict[str, Any] = {"__builtins__": {}, "type": type, "ndarray": np.ndarray}
    for number, (shape, dtype) in enumerate(signature):
        array = py.name(names[number])
        space[f"d{number}"] = dtype
        tests += [
            py.compare(py.call(py.name("type"), array), ast.Is(), py.name("ndarray")),
            py.compare(ast.Attribute(array, "shape", ast.Load()), ast.Eq(), py.numbers(shape)),
            py.compare(ast.Attribute(array, "dtype", ast.Load()), ast.Is(), py.name(f"d{number}")),
        ]
    result = ast.BoolOp(ast.And(), tests) if tests else py.constant(True)
    module = ast.Module([py.definition("accepts", names, [ast.Return(result)])], [])
    exec(compile(ast.fix_missing_locations(module), "<einderiv shapes>", "exec"), space)
    accepts: Callable[..., bool] = space["accepts"]
    return accepts


def needs_scipy(program: Program) -> bool:
    """Does a step call a function of scipy.special by its name?"""
    return any(
        isinstance(step, Elementwise) and ELEMENTWISE[step.function].numpy.startswith("special.")
        for step in program.instructions
    )
