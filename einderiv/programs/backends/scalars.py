"""Tiny programs as straight-line arithmetic on Python floats: no array call between inputs and results.

In: a `Program` whose extents are known. Out: a function of float64 arrays, or None if arrays do better.
Invariant: if the function raises nothing, its results are NumPy's up to rounding, infinities and NaN
included. Python raises if NumPy has an infinity or NaN from finite numbers (1/0, log(0), exp(1000)):
whoever calls it catches ArithmeticError and ValueError and runs the program on arrays.

Names in the code are minted here (a0_1, t7, r0, ...); a user's name never becomes code text.
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import numpy as np

from ...terms import ELEMENTWISE, Dim, Subscript
from ..program import (
    Combine,
    Constant,
    Contract,
    Elementwise,
    Factor,
    Input,
    Instruction,
    Program,
    Register,
    Scatter,
    Size,
    Solve,
    Whole,
)
from . import python_code as py

MOST_OPERATIONS = 400  # scalar operations and entries of inputs and results
_REPEATED = 8  # the largest power by multiplications, as in backends/numpy.py

Value = int  # number of a scalar

# How a scalar is computed from others, written _0, _1, _2; names of `math` come without prefix. Each raises,
# or has NumPy's value: comparisons with NaN are false, so every choice ends in a branch that lets NaN pass.
# sqrt(-1.0) raises: np.power(-inf, 1/2) is NaN, math.pow gives inf, as IEEE 754 asks of pow.
# Not here, hence on arrays: lgamma, digamma, polygamma (SciPy's values are not those of `math`).
FORMULAS = {name: row.scalar for name, row in ELEMENTWISE.items() if row.scalar}
_ARITHMETIC = {
    "+": "_0 + _1",
    "-": "_0 - _1",
    "*": "_0 * _1",
    "/": "_0 / _1",
    "neg": "-_0",
    "finite": "_0 if _0 - _0 == 0.0 else 0.0",
}
OPERATIONS = {**FORMULAS, **_ARITHMETIC}


class UnsuitableError(Exception):
    """The program is not one for scalars."""


class Scalars:
    """Scalar operations by number, each once; a pair of equal operations is one value.

    `guards`: what was multiplied by a structural zero. 0*x is 0 unless x is infinite or NaN: the code checks.
    """

    def __init__(self) -> None:
        self.keys: list[tuple[Any, ...]] = []
        self.numbers: dict[tuple[Any, ...], Value] = {}
        self.guards: dict[Value, None] = {}
        self.operations = 0

    def value(self, *key: Any) -> Value:
        """The number of an operation on values, of an entry ("entry", register, place) or a constant."""
        known = self.numbers.get(key)
        if known is not None:
            return known
        if key[0] in OPERATIONS:
            self.operations += 1
            if self.operations > MOST_OPERATIONS:
                raise UnsuitableError("too many operations")
        self.numbers[key] = len(self.keys)
        self.keys.append(key)
        return len(self.keys) - 1

    def constant(self, number: float) -> Value:
        """A finite number."""
        if not math.isfinite(number):
            raise UnsuitableError("a constant beyond the range")
        return self.value("constant", number + 0.0)

    def number(self, value: Value) -> float | None:
        """The number that a value is, None if it depends on the inputs."""
        key = self.keys[value]
        return key[1] if key[0] == "constant" else None

    def fold(self, function: Callable[..., float], *values: Value) -> Value | None:
        """The result on constants; None if a value is none, or the result no finite number."""
        numbers = [self.number(value) for value in values]
        if any(number is None for number in numbers):
            return None
        try:
            return self.constant(function(*numbers))
        except (ArithmeticError, UnsuitableError):
            return None

    def add(self, a: Value, b: Value) -> Value:
        """a + b."""
        folded = self.fold(lambda x, y: x + y, a, b)
        if folded is not None:
            return folded
        if self.number(a) == 0:
            return b
        if self.number(b) == 0:
            return a
        if self.keys[b][0] == "neg":
            return self.value("-", a, self.keys[b][1])
        if self.keys[a][0] == "neg":
            return self.value("-", b, self.keys[a][1])
        return self.value("+", *sorted((a, b)))

    def negative(self, a: Value) -> Value:
        """-a."""
        folded = self.fold(lambda x: -x, a)
        if folded is not None:
            return folded
        return self.keys[a][1] if self.keys[a][0] == "neg" else self.value("neg", a)

    def multiply(self, a: Value, b: Value) -> Value:
        """a*b; a zero times a value that the inputs decide is zero, on condition."""
        folded = self.fold(lambda x, y: x * y, a, b)
        if folded is not None:
            return folded
        for one, other in ((a, b), (b, a)):
            number = self.number(one)
            if number == 1:
                return other
            if number == -1:
                return self.negative(other)
            if number == 0:
                self.guards[other] = None
                return one
        return self.value("*", *sorted((a, b)))

    def divide(self, a: Value, b: Value) -> Value:
        """a/b."""
        folded = self.fold(lambda x, y: x / y, a, b)
        if folded is not None:
            return folded
        return a if self.number(b) == 1 else self.value("/", a, b)

    def scale(self, c: Fraction, a: Value) -> Value:
        """c*a, by a division if c is 1/n."""
        if c == -1:
            return self.negative(a)
        if abs(c.numerator) == 1 and c.denominator > 1:
            return self.divide(a, self.constant(py.to_float(1 / c)))
        return self.multiply(self.constant(py.to_float(c)), a)

    def call(self, function: str, *operands: Value) -> Value:
        """A function of the table."""
        if function not in FORMULAS:
            raise UnsuitableError(function)
        return self.value(function, *operands)

    def subtract(self, a: Value, b: Value) -> Value:
        """a - b."""
        return self.add(a, self.negative(b))

    def chain(self, join: Callable[[Value, Value], Value], values: Sequence[Value]) -> Value:
        """join(join(v0, v1), v2), ..."""
        result = values[0]
        for value in values[1:]:
            result = join(result, value)
        return result

    def power(self, base: Value, exponent: Fraction) -> Value:
        """base ** exponent by the same steps as on arrays."""
        size = abs(exponent)
        if size == Fraction(1, 2):
            value = self.call("sqrt", base)
        elif size.denominator == 1 and 1 <= size <= _REPEATED:
            value = self.whole_power(base, int(size))
        else:
            return self.call("pow", base, self.constant(py.to_float(exponent)))
        return self.divide(self.constant(1.0), value) if exponent < 0 else value

    def whole_power(self, base: Value, n: int) -> Value:
        """base multiplied by itself, n >= 1 times."""
        power = None
        while n > 1:
            if n % 2:
                power = base if power is None else self.multiply(power, base)
            base = self.multiply(base, base)
            n //= 2
        return base if power is None else self.multiply(power, base)


# ---------------------------------------------------------------- functions of several entries


def _prodexcept(s: Scalars, x: Sequence[Value]) -> list[Value]:
    """Products of the entries before, times those of the entries after."""
    one = s.constant(1.0)
    before, after = [one], [one]
    for k in range(len(x) - 1):
        before.append(s.multiply(before[-1], x[k]))
        after.append(s.multiply(after[-1], x[-1 - k]))
    return [s.multiply(a, b) for a, b in zip(before, reversed(after), strict=True)]


def _extreme(s: Scalars, x: Sequence[Value], name: str = "max") -> Value:
    return s.chain(lambda a, b: s.call(name, a, b), x)


def _exponentials(s: Scalars, shifted: Sequence[Value]) -> tuple[list[Value], Value]:
    """exp of each, and their sum."""
    powers = [s.call("exp", v) for v in shifted]
    return powers, s.chain(s.add, powers)


def _logsumexp(s: Scalars, x: Sequence[Value]) -> Value:
    """log(sum(exp(x))), shifted by the largest entry if that is finite."""
    top = s.value("finite", _extreme(s, x))
    _, total = _exponentials(s, [s.subtract(v, top) for v in x])
    return s.add(s.call("log", total), top)


def _softmax(s: Scalars, x: Sequence[Value]) -> list[Value]:
    """exp(x)/sum(exp(x)), shifted by the largest entry."""
    top = _extreme(s, x)
    powers, total = _exponentials(s, [s.subtract(v, top) for v in x])
    return [s.divide(power, total) for power in powers]


def _logsoftmax(s: Scalars, x: Sequence[Value]) -> list[Value]:
    """x - logsumexp(x), shifted by the largest entry."""
    top = _extreme(s, x)
    shifted = [s.subtract(v, top) for v in x]
    total = s.call("log", _exponentials(s, shifted)[1])
    return [s.subtract(v, total) for v in shifted]


# Not here, hence on arrays: inv, det, logdet, cholesky (pivoting decides their rounding).
WHOLE_FORMULAS: dict[str, Callable[[Scalars, Sequence[Value]], Value | list[Value]]] = {
    "prod":       lambda s, x: s.chain(s.multiply, x),
    "prodexcept": _prodexcept,
    "max":        _extreme,
    "min":        lambda s, x: _extreme(s, x, "min"),
    "logsumexp":  _logsumexp,
    "softmax":    _softmax,
    "logsoftmax": _logsoftmax,
}  # fmt: skip

LARGEST_EXTENT = 4
# An array call takes about 0.6 us, an operation on floats 0.015 us, an entry in or out 0.03 us.
PER_CALL = 40  # operations that cost as much as an array call
PER_ENTRY = 2  # and as much as an entry of an input or result
_DEEPEST = 40  # nesting of one expression
_SPACE: dict[str, Any] = {k: value for k, value in vars(math).items() if not k.startswith("_")}
_SPACE |= {"empty": np.empty, "float64": np.float64, "ValueError": ValueError}

Place = tuple[int, ...]
Entries = dict[Place, Value]
Runner = Callable[..., Any]


class Unroller:
    """The entries of every register as scalars."""

    def __init__(self, program: Program, sizes: Mapping[str, int]) -> None:
        self.program = program
        self.sizes = sizes
        self.scalars = Scalars()
        self.registers: dict[Register, Entries] = {}
        self.trees: dict[Value, ast.expr] = {}
        for step in program.instructions:
            self.registers[step.target] = self.entries(step)

    def size(self, dim: Dim) -> int:
        """An extent, from 1 to LARGEST_EXTENT."""
        size = dim if isinstance(dim, int) else self.sizes.get(dim, 0)
        if not 1 <= size <= LARGEST_EXTENT:
            raise UnsuitableError(f"extent {size}")
        return size

    def places(self, shape: Sequence[Dim]) -> list[Place]:
        """The places of an array's entries, the last axis first."""
        sizes = [self.size(dim) for dim in shape]
        if math.prod(sizes) > MOST_OPERATIONS:
            raise UnsuitableError("too many entries")
        return list(product(*map(range, sizes)))

    def entries(self, step: Instruction) -> Entries:
        """The entries that an instruction makes."""
        scalars = self.scalars
        match step:
            case Input():
                places = self.places(step.shape)
                return {place: scalars.value("entry", step.target, place) for place in places}
            case Constant():
                pi = isinstance(step.value, str)
                return {(): scalars.constant(math.pi if pi else py.to_float(Fraction(step.value)))}
            case Size():
                size = step.dim if isinstance(step.dim, int) else self.sizes.get(step.dim)
                if size is None:
                    raise UnsuitableError(f"unknown extent {step.dim}")
                return {(): scalars.constant(float(size))}
            case Contract():
                return self.contract(step)
            case Combine():
                return {place: self.sum_entry(step, place) for place in self.places(step.shape)}
            case Scatter():
                return self.scatter(step)
            case Elementwise():
                return {place: self.elementwise(step, place) for place in self.places(step.shape)}
            case Whole():
                return self.whole(step)
            case Solve() | Factor():
                raise UnsuitableError("solve")

    def contract(self, step: Contract) -> Entries:
        """Sums of products, the summed labels in the order of their first appearance."""
        scalars = self.scalars
        extents = {label: self.size(dim) for label, dim in step.extents}
        labels = dict.fromkeys(label for subscript in step.inputs for label in subscript)
        summed = [label for label in labels if label not in step.output]
        ranges = [range(extents[label]) for label in summed]
        if math.prod(map(len, ranges)) * math.prod(map(self.size, step.shape)) > MOST_OPERATIONS:
            raise UnsuitableError("too many products")
        made: Entries = {}
        for place in self.places(step.shape):
            at = dict(zip(step.output, place, strict=True))
            products = []
            for inner in product(*ranges):
                at |= dict(zip(summed, inner, strict=True))
                factors = [
                    self.registers[register][tuple(at[label] for label in subscript)]
                    for register, subscript in zip(step.operands, step.inputs, strict=True)
                ]
                products.append(scalars.chain(scalars.multiply, factors))
            made[place] = scalars.chain(scalars.add, products)
        return made

    def at(self, register: Register, axes: Subscript, place: Place) -> Value:
        """The entry of a register at a place of the result."""
        return self.registers[register][tuple(place[axis] for axis in axes)]

    def sum_entry(self, step: Combine, place: Place) -> Value:
        """One entry of a sum."""
        scalars = self.scalars
        terms = [scalars.scale(c, self.at(r, axes, place)) for c, r, axes in step.terms]
        return scalars.chain(scalars.add, terms)

    def scatter(self, step: Scatter) -> Entries:
        """The terms on their diagonals; all other entries are zero."""
        scalars = self.scalars
        made = dict.fromkeys(self.places(step.shape), scalars.constant(0.0))
        for c, register, axes, labels in step.terms:
            for place in made:
                at = dict(zip(labels, place, strict=True))
                if any(at[label] != k for label, k in zip(labels, place, strict=True)):
                    continue
                if register is None:
                    value = scalars.constant(py.to_float(c))
                else:
                    entry = self.registers[register][tuple(at[label] for label in axes)]
                    value = scalars.scale(c, entry)
                made[place] = scalars.add(made[place], value)
        return made

    def elementwise(self, step: Elementwise, place: Place) -> Value:
        """One entry of a function."""
        operands = [
            self.at(register, axes, place)
            for register, axes in zip(step.operands, step.axes, strict=True)
        ]
        if step.exponent is not None:
            return self.scalars.power(operands[0], step.exponent)
        return self.scalars.call(step.function, *operands)

    def whole(self, step: Whole) -> Entries:
        """A function of the entries along the last axes, for each place of the others."""
        if step.function == "eps":
            return self.levi_civita(step)
        if step.function == "tril":
            zero, given = self.scalars.constant(0.0), self.registers[step.operands[0]]
            return {place: v if place[-2] >= place[-1] else zero for place, v in given.items()}
        if step.function not in WHOLE_FORMULAS:
            raise UnsuitableError(step.function)
        rows: dict[Place, list[Place]] = {}
        given = self.registers[step.operands[0]]
        for place in given:
            rows.setdefault(place[: len(place) - step.width], []).append(place)
        made: Entries = {}
        for batch, places in rows.items():
            found = WHOLE_FORMULAS[step.function](self.scalars, [given[place] for place in places])
            if isinstance(found, list):
                made.update(zip(places, found, strict=True))
            else:
                made[batch] = found
        return made

    def levi_civita(self, step: Whole) -> Entries:
        """The sign of each permutation, zero elsewhere."""
        zero = self.scalars.constant(0.0)
        made = dict.fromkeys(self.places(step.shape), zero)
        for order in permutations(range(step.width)):
            swaps = sum(a > b for k, a in enumerate(order) for b in order[k + 1 :])
            made[order] = self.scalars.constant(-1.0 if swaps % 2 else 1.0)
        return made

    # ------------------------------------------------------------ code

    def read_counts(self) -> Counter[Value]:
        """How often each value that the results and guards need is read."""
        results = [v for r in self.program.outputs for v in self.registers[r].values()]
        reads = Counter([*results, *self.scalars.guards])
        for value in range(len(self.scalars.keys) - 1, -1, -1):
            kind, *operands = self.scalars.keys[value]
            if reads[value] and kind in OPERATIONS:
                for position, operand in enumerate(operands):
                    reads[operand] += OPERATIONS[kind].count(f"_{position}")
        return reads

    def body(self, reads: Mapping[Value, int]) -> list[ast.stmt]:
        """All statements but the last: what is read again or nested too deep is one of its own."""
        statements = [self.unpack(step) for step in self.program.inputs]
        depth: Counter[Value] = Counter()
        for value, (kind, *operands) in enumerate(self.scalars.keys):
            if not reads[value]:
                continue
            if kind == "constant":
                self.trees[value] = py.tree(operands[0])
            elif kind == "entry":
                self.trees[value] = py.tree(_entry_name(*operands))
            else:
                tree = py.code(OPERATIONS[kind], *(self.trees[operand] for operand in operands))
                depth[value] = 1 + max(depth[operand] for operand in operands)
                if reads[value] > 1 or depth[value] >= _DEEPEST:
                    statements.append(py.assign(f"t{value}", tree))
                    tree, depth[value] = py.tree(f"t{value}"), 0
                self.trees[value] = tree
        # ValueError if a value that met a structural zero is infinite or NaN
        for number, value in enumerate(self.scalars.guards):
            template = "g = g + _0" if number else "g = _0"
            statements += py.statements(template, self.trees[value])
        check = py.statements("if g - g != 0.0: raise ValueError()") if self.scalars.guards else []
        return [*statements, *check]

    def unpack(self, step: Input) -> ast.stmt:
        """The entries of an input as floats."""
        targets: list[py.Part] = [
            _entry_name(step.target, place) for place in self.places(step.shape)
        ]
        if not step.shape:
            return py.assign(targets[0], py.method(f"v{step.target}", "item"))
        for dim in reversed(step.shape):
            size = self.size(dim)
            targets = [tuple(targets[k : k + size]) for k in range(0, len(targets), size)]
        return py.assign(targets[0], py.method(f"v{step.target}", "tolist"))

    def results(self) -> tuple[list[ast.stmt], list[ast.expr]]:
        """Results in fresh memory, and how they are called: entry by entry beats np.array up to 16."""
        statements: list[ast.stmt] = []
        results: list[ast.expr] = []
        for number, register in enumerate(self.program.outputs):
            entries = self.registers[register]
            if () in entries:
                results.append(py.call("float64", self.trees[entries[()]]))
                continue
            shape = [1 + k for k in max(entries)]
            statements.append(py.assign(f"r{number}", py.call("empty", shape)))
            for place, value in entries.items():
                statements.append(py.assign(py.index(f"r{number}", *place), self.trees[value]))
            results.append(py.tree(f"r{number}"))
        return statements, results


def _entry_name(register: Register, place: Place) -> str:
    return "_".join(["a" + str(register), *map(str, place)])


def _calls(step: Instruction) -> int:
    """Array calls that an instruction would take."""
    match step:
        case Input() | Constant() | Size():
            return 0
        case Combine() | Scatter():
            return len(step.operands) + isinstance(step, Scatter)
        case Whole():
            return 3
    return 2 if isinstance(step, Contract) else 1


def scalar_function(
    program: Program, sizes: Mapping[str, int], keys: Sequence[str] | int | None = None
) -> Runner | None:
    """A function of the input arrays (float64, in order) and the dtype; None if arrays do better.

    Results: `keys` as in `numpy.runner_of`; arrays in fresh memory, np.float64 for those without axes.
    Raises ArithmeticError or ValueError if NumPy may have an infinity or NaN: run it on arrays then.
    """
    try:
        unrolled = Unroller(program, sizes)
    except UnsuitableError:
        return None
    reads = unrolled.read_counts()
    kinds = enumerate(unrolled.scalars.keys)
    operations = sum(reads[value] > 0 and key[0] in OPERATIONS for value, key in kinds)
    registers = [step.target for step in program.inputs] + list(program.outputs)
    entries = sum(len(unrolled.registers[register]) for register in registers)
    calls = sum(_calls(step) for step in program.instructions)
    work = operations + entries * PER_ENTRY
    if operations + entries > MOST_OPERATIONS or work > calls * PER_CALL:
        return None
    body = unrolled.body(reads)
    statements, results = unrolled.results()
    names = [*(f"v{step.target}" for step in program.inputs), "dtype"]
    return py.function("scalars", names, [*body, *statements], results, keys, _SPACE)
