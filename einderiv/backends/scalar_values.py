"""Scalar operations by number, each once, and the functions of the function table on scalars.

In: numbers of values, constants. Out: numbers of values; `Scalars.keys` tells how each is made.
Invariant: what an operation gives without raising is NumPy's value up to rounding, infinities and NaN too,
unless a value of `guards` is infinite or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from . import python_code as py

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
