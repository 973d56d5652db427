"""Tiny programs as straight-line arithmetic on Python floats: no array call between inputs and results.

In: a `Program` whose extents are known. Out: a function of float64 arrays, or None where arrays do better.
Invariant: where the function raises nothing, its results are NumPy's up to rounding, infinities and NaN
included. Python raises where NumPy has an infinity or NaN from finite numbers (1/0, log(0), exp(1000)):
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

from ...terms import Dim, Subscript
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

# Scalar operations by number, each once, and the functions of the function table on scalars.
#
# In: numbers of values, constants. Out: numbers of values; `Scalars.keys` tells how each is made.
# Invariant: what an operation gives without raising is NumPy's value up to rounding, infinities and NaN too,
# unless a value of `guards` is infinite or NaN.

MOST_OPERATIONS = 400  # scalar operations and entries of inputs and results
_REPEATED = 8  # the largest power by multiplications, as in backends/numpy.py

Value = int  # number of a scalar

# How a scalar is computed from others, written {0}, {1}, {2}; names of `math` stand bare. Each raises, or has
# NumPy's value: comparisons with NaN are false, so every choice ends in a branch that lets NaN through.
# sqrt(-1.0) raises: np.power(-inf, 1/2) is NaN, math.pow gives inf, as IEEE 754 asks of pow.
# Not here, hence on arrays: lgamma, digamma, polygamma (SciPy's values are not those of `math`).
FORMULAS = {
    "exp":      "exp({0})",
    "expm1":    "expm1({0})",
    "log":      "log({0})",
    "log1p":    "log1p({0})",
    "sqrt":     "sqrt({0})",
    "pow":      "pow({0}, {1}) if {0} - {0} == 0.0 else sqrt(-1.0)",
    "sin":      "sin({0})",
    "cos":      "cos({0})",
    "tan":      "tan({0})",
    "asin":     "asin({0})",
    "acos":     "acos({0})",
    "atan":     "atan({0})",
    "atan2":    "atan2({0}, {1})",
    "sinh":     "sinh({0})",
    "cosh":     "cosh({0})",
    "tanh":     "tanh({0})",
    "sigmoid":  "1.0 / (1.0 + exp(-{0}))",
    "softplus": "({0} if {0} > 0.0 else 0.0) + log1p(exp(-fabs({0})))",
    "relu":     "0.0 if {0} <= 0.0 else {0}",
    "erf":      "erf({0})",
    "erfc":     "erfc({0})",
    "abs":      "fabs({0})",
    "sign":     "1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else {0}",
    "step":     "1.0 if {0} > 0.0 else 0.0 if {0} <= 0.0 else {0}",
    "max":      "{0} if {0} >= {1} else {1} if {1} > {0} else {0} + {1}",
    "min":      "{0} if {0} <= {1} else {1} if {1} < {0} else {0} + {1}",
    "where":    "{1} if {0} != 0.0 else {2}",
    "lt":       "1.0 if {0} < {1} else 0.0",
    "le":       "1.0 if {0} <= {1} else 0.0",
    "gt":       "1.0 if {0} > {1} else 0.0",
    "ge":       "1.0 if {0} >= {1} else 0.0",
    "eq":       "1.0 if {0} == {1} else 0.0",
    "ne":       "1.0 if {0} != {1} else 0.0",
}  # fmt: skip
_ARITHMETIC = {
    "+": "{0} + {1}",
    "-": "{0} - {1}",
    "*": "{0} * {1}",
    "/": "{0} / {1}",
    "neg": "-{0}",
    "finite": "{0} if {0} - {0} == 0.0 else 0.0",
}
OPERATIONS = {**FORMULAS, **_ARITHMETIC}


class UnsuitableError(Exception):
    """Not a program for scalars."""


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

    def known(self, function: Callable[..., float], *values: Value) -> Value | None:
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
        folded = self.known(lambda x, y: x + y, a, b)
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
        folded = self.known(lambda x: -x, a)
        if folded is not None:
            return folded
        return self.keys[a][1] if self.keys[a][0] == "neg" else self.value("neg", a)

    def multiply(self, a: Value, b: Value) -> Value:
        """a*b; a zero times a value that the inputs decide is zero, on condition."""
        folded = self.known(lambda x, y: x * y, a, b)
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
        folded = self.known(lambda x, y: x / y, a, b)
        if folded is not None:
            return folded
        return a if self.number(b) == 1 else self.value("/", a, b)

    def scale(self, c: Fraction, a: Value) -> Value:
        """c*a, by a division where c is 1/n."""
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

    def total(self, values: Sequence[Value]) -> Value:
        """The sum, from the first to the last."""
        return self.chain(self.add, values)

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


def _prod(s: Scalars, x: Sequence[Value]) -> Value:
    return s.chain(s.multiply, x)


def _prodexcept(s: Scalars, x: Sequence[Value]) -> list[Value]:
    """Products of the entries before, times those of the entries after."""
    one = s.constant(1.0)
    before, after = [one], [one]
    for k in range(len(x) - 1):
        before.append(s.multiply(before[-1], x[k]))
        after.append(s.multiply(after[-1], x[-1 - k]))
    return [s.multiply(a, b) for a, b in zip(before, reversed(after), strict=True)]


def _largest(s: Scalars, x: Sequence[Value]) -> Value:
    return s.chain(lambda a, b: s.call("max", a, b), x)


def _smallest(s: Scalars, x: Sequence[Value]) -> Value:
    return s.chain(lambda a, b: s.call("min", a, b), x)


def _logsumexp(s: Scalars, x: Sequence[Value]) -> Value:
    """log(sum(exp(x))), shifted by the largest entry if that is finite."""
    top = s.value("finite", _largest(s, x))
    return s.add(s.call("log", s.total([s.call("exp", _minus(s, v, top)) for v in x])), top)


def _softmax(s: Scalars, x: Sequence[Value]) -> list[Value]:
    """exp(x)/sum(exp(x)), shifted by the largest entry."""
    top = _largest(s, x)
    powers = [s.call("exp", _minus(s, v, top)) for v in x]
    total = s.total(powers)
    return [s.divide(power, total) for power in powers]


def _logsoftmax(s: Scalars, x: Sequence[Value]) -> list[Value]:
    """x - logsumexp(x), shifted by the largest entry."""
    top = _largest(s, x)
    shifted = [_minus(s, v, top) for v in x]
    total = s.call("log", s.total([s.call("exp", v) for v in shifted]))
    return [_minus(s, v, total) for v in shifted]


def _minus(s: Scalars, a: Value, b: Value) -> Value:
    return s.add(a, s.negative(b))


# Not here, hence on arrays: inv, det, logdet, cholesky (pivoting decides their rounding).
WHOLE_FORMULAS: dict[str, Callable[[Scalars, Sequence[Value]], Value | list[Value]]] = {
    "prod": _prod,
    "prodexcept": _prodexcept,
    "max": _largest,
    "min": _smallest,
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "logsoftmax": _logsoftmax,
}


# ----------------------------------------------------------------------

LARGEST_EXTENT = 4
# An array call takes about 0.6 us, an operation on floats 0.015 us, an entry in or out 0.03 us.
PER_CALL = 40  # operations that cost as much as an array call
PER_ENTRY = 2  # and as much as an entry of an input or result
_DEEPEST = 40  # nesting of one expression
_OPERATORS: dict[str, type[ast.operator]] = {
    "+": ast.Add,
    "-": ast.Sub,
    "*": ast.Mult,
    "/": ast.Div,
}
_SPACE = {name: value for name, value in vars(math).items() if not name.startswith("_")}

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
                return {place: self.combined(step, place) for place in self.places(step.shape)}
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
            made[place] = scalars.total(products)
        return made

    def at(self, register: Register, axes: Subscript, place: Place) -> Value:
        """The entry of a register that stands at a place of the result."""
        return self.registers[register][tuple(place[axis] for axis in axes)]

    def combined(self, step: Combine, place: Place) -> Value:
        """One entry of a sum."""
        terms = zip(step.coefficients, step.operands, step.axes, strict=True)
        scale = self.scalars.scale
        return self.scalars.total([scale(c, self.at(r, axes, place)) for c, r, axes in terms])

    def scatter(self, step: Scatter) -> Entries:
        """The terms on their diagonals; all other entries are zero."""
        scalars = self.scalars
        made = dict.fromkeys(self.places(step.shape), scalars.constant(0.0))
        terms = zip(step.coefficients, step.operands, step.axes, step.places, strict=True)
        for c, register, axes, labels in terms:
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


# ---------------------------------------------------------------- code


class Writer:
    """The statements for the values that the results and guards need; what is read once stands inline."""

    def __init__(self, unrolled: Unroller) -> None:
        self.unrolled = unrolled
        self.keys = unrolled.scalars.keys
        program = unrolled.program
        results = [v for r in program.outputs for v in unrolled.registers[r].values()]
        self.reads = Counter([*results, *unrolled.scalars.guards])
        for value in range(len(self.keys) - 1, -1, -1):
            if self.reads[value] and self.keys[value][0] in OPERATIONS:
                for position, operand in enumerate(self.keys[value][1:]):
                    self.reads[operand] += OPERATIONS[self.keys[value][0]].count(f"{{{position}}}")
        self.operations = sum(
            self.reads[value] > 0 and key[0] in OPERATIONS for value, key in enumerate(self.keys)
        )
        self.trees: dict[Value, ast.expr] = {}
        self.depth: Counter[Value] = Counter()

    def body(self) -> list[ast.stmt]:
        """All statements but the last."""
        statements = [self.unpacked(step) for step in self.unrolled.program.inputs]
        for value, key in enumerate(self.keys):
            if not self.reads[value]:
                continue
            if key[0] == "constant":
                self.trees[value] = py.constant(key[1])
            elif key[0] == "entry":
                self.trees[value] = py.name(_entry_name(key[1], key[2]))
            else:
                statements += self.computed(value, key)
        return statements + self.checked()

    def computed(self, value: Value, key: tuple[Any, ...]) -> list[ast.stmt]:
        """An operation: a statement where its value is read again or nested too deep."""
        operands = [self.trees[operand] for operand in key[1:]]
        operator = _OPERATORS.get(key[0])
        if operator is None:
            tree = _filled(OPERATIONS[key[0]], operands)
        else:
            tree = py.binary(operands[0], operator(), operands[1])
        depth = 1 + max(self.depth[operand] for operand in key[1:])
        if self.reads[value] == 1 and depth < _DEEPEST:
            self.trees[value], self.depth[value] = tree, depth
            return []
        self.trees[value] = py.name(f"t{value}")
        return [py.assign(f"t{value}", tree)]

    def unpacked(self, step: Input) -> ast.stmt:
        """The entries of an input as floats."""
        array = py.name(f"v{step.target}")
        if not step.shape:
            return py.assign(_entry_name(step.target, ()), py.method(array, "item"))
        sizes = [self.unrolled.size(dim) for dim in step.shape]
        targets: list[ast.expr] = [
            ast.Name(_entry_name(step.target, place), ast.Store())
            for place in self.unrolled.places(step.shape)
        ]
        for size in reversed(sizes):
            rows = [targets[k : k + size] for k in range(0, len(targets), size)]
            targets = [ast.Tuple(row, ast.Store()) for row in rows]
        return ast.Assign(targets, py.method(array, "tolist"))

    def checked(self) -> list[ast.stmt]:
        """ValueError if a value that met a structural zero is infinite or NaN."""
        guards = [self.trees[value] for value in self.unrolled.scalars.guards]
        if not guards:
            return []
        g = py.name("g")
        statements = [py.assign("g", guards[0])]
        statements += [py.assign("g", py.binary(g, ast.Add(), guard)) for guard in guards[1:]]
        test = ast.Compare(py.binary(g, ast.Sub(), g), [ast.NotEq()], [py.constant(0.0)])
        raised = ast.Raise(py.call(py.name("ValueError")), None)
        return [*statements, ast.If(test, [raised], [])]

    def packed(self) -> tuple[list[ast.stmt], list[ast.expr]]:
        """Results in fresh memory, and how they are called: entry by entry beats np.array up to 16."""
        statements: list[ast.stmt] = []
        results: list[ast.expr] = []
        for number, register in enumerate(self.unrolled.program.outputs):
            entries = self.unrolled.registers[register]
            if () in entries:
                results.append(py.call(py.name("float64"), self.trees[entries[()]]))
                continue
            shape = [1 + k for k in max(entries)]
            target = f"r{number}"
            statements.append(py.assign(target, py.call(py.name("empty"), py.numbers(shape))))
            for place, value in entries.items():
                index = py.constant(place[0]) if len(place) == 1 else py.numbers(place)
                cell = ast.Subscript(py.name(target), index, ast.Store())
                statements.append(ast.Assign([cell], self.trees[value]))
            results.append(py.name(target))
        return statements, results


def _entry_name(register: Register, place: Place) -> str:
    return "_".join(["a" + str(register), *map(str, place)])


class _Filling(ast.NodeTransformer):
    """Names x0, x1, x2 replaced by trees."""

    def __init__(self, trees: Sequence[ast.expr]) -> None:
        self.trees = {f"x{number}": tree for number, tree in enumerate(trees)}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.trees.get(node.id, node)


def _filled(template: str, trees: Sequence[ast.expr]) -> ast.expr:
    """A formula of the tables above with trees for its arguments."""
    parsed = ast.parse(template.format("x0", "x1", "x2"), mode="eval").body
    filled: ast.expr = _Filling(trees).visit(parsed)
    return filled


# ---------------------------------------------------------------- functions


def _module(
    program: Program, sizes: Mapping[str, int], keys: Sequence[str] | int | None
) -> ast.Module | None:
    """`def run(v0, v1, ..., dtype)`, None where arrays are needed or faster."""
    try:
        unrolled = Unroller(program, sizes)
    except UnsuitableError:
        return None
    writer = Writer(unrolled)
    registers = [step.target for step in program.inputs] + list(program.outputs)
    entries = sum(len(unrolled.registers[register]) for register in registers)
    calls = sum(_calls(step) for step in program.instructions)
    work = writer.operations + entries * PER_ENTRY
    if writer.operations + entries > MOST_OPERATIONS or work > calls * PER_CALL:
        return None
    body = writer.body()
    statements, results = writer.packed()
    result: ast.expr
    if keys is None:
        result = py.tuple(results)
    elif keys == 0:
        result = results[0]
    elif isinstance(keys, int):
        result = ast.List(results, ast.Load())
    else:
        result = ast.Dict([py.name(f"k{number}") for number in range(len(keys))], results)
    names = [*(f"v{step.target}" for step in program.inputs), "dtype"]
    module = ast.Module([py.definition("run", names, [*body, *statements, ast.Return(result)])], [])
    return ast.fix_missing_locations(module)


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
    """A function of the input arrays (float64, in order) and the dtype; None where arrays do better.

    Results: `keys` as in `numpy.runner_of`; arrays in fresh memory, np.float64 for those without axes.
    Raises ArithmeticError or ValueError where NumPy may have an infinity or NaN: run it on arrays then.
    """
    module = _module(program, sizes, keys)
    if module is None:
        return None
    space: dict[str, Any] = {**_SPACE, "empty": np.empty, "float64": np.float64}
    space["__builtins__"] = {"ValueError": ValueError}
    if keys is not None and not isinstance(keys, int):
        space.update({f"k{number}": key for number, key in enumerate(keys)})
    exec(compile(module, "<einderiv scalars>", "exec"), space)
    runner: Runner = space["run"]
    return runner


def scalar_source(program: Program, sizes: Mapping[str, int]) -> str | None:
    """The code of `scalar_function` for a tuple of results."""
    module = _module(program, sizes, None)
    return None if module is None else ast.unparse(module)
