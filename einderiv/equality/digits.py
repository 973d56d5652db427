"""Elementary and special functions to as many digits as the decimal context asks for.

In: Decimals. Out: Decimals, NaN outside the real domain; errors are a few units of the last places.
Invariant: no floating point anywhere. Where sums cancel, the working precision grows by what cancels.
Sources: DLMF 4.2 (logarithms), 4.24 (arctangents), 5.11 (Stirling's series), 7.6 (error function).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Context, Decimal, getcontext, localcontext
from fractions import Fraction
from functools import cache
from math import comb, factorial

NAN = Decimal("NaN")
_GUARD = 10
_LARGEST_ANGLE = 200  # decimal places before the point: larger angles are not reduced
_LARGEST_ERF = 40  # erfc(40) is 1e-697


def context(precision: int) -> Context:
    """Arithmetic in which nothing raises: poles are Infinity or NaN."""
    return Context(prec=precision, Emin=-999_999_999, Emax=999_999_999, traps=[])


@contextmanager
def _more(digits: int) -> Iterator[None]:
    with localcontext(context(getcontext().prec + digits)):
        yield


def from_fraction(value: Fraction) -> Decimal:
    """The number nearest to a fraction."""
    return Decimal(value.numerator) / Decimal(value.denominator)


def to_fraction(value: Decimal, largest: int = 10**6) -> Fraction:
    """The fraction of small denominator nearest to a number."""
    return Fraction(value).limit_denominator(largest)


def _sum(first: Decimal, ratio: Callable[[int], Decimal]) -> Decimal:
    """first*(1 + r_1 + r_1 r_2 + ...), for falling terms."""
    term = total = first
    for k in range(1, 100 * getcontext().prec):
        term = term * ratio(k)
        after = total + term
        if after == total:
            break
        total = after
    return total


@cache
def _pi(precision: int) -> Decimal:
    with localcontext(context(precision + _GUARD)):  # Machin 1706
        result = 4 * (4 * _atan_series(Decimal(1) / 5) - _atan_series(Decimal(1) / 239))
    with localcontext(context(precision)):
        return +result


def pi() -> Decimal:
    return _pi(getcontext().prec)


def _atan_series(x: Decimal) -> Decimal:
    square = x * x
    return _sum(x, lambda k: -square * (2 * k - 1) / (2 * k + 1)) if x else x


def atan(x: Decimal) -> Decimal:
    if not x.is_finite():
        return NAN
    with _more(_GUARD):
        for _ in range(4):  # atan(x) = 2 atan(x/(1 + sqrt(1 + x^2)))
            x = x / (1 + (1 + x * x).sqrt())
        result = 16 * _atan_series(x)
    return +result


def asin(x: Decimal) -> Decimal:
    if not abs(x) < 1:
        return NAN
    return atan(x / (1 - x * x).sqrt())


def acos(x: Decimal) -> Decimal:
    return pi() / 2 - asin(x)


def atan2(y: Decimal, x: Decimal) -> Decimal:
    if x > 0:
        return atan(y / x)
    if x < 0:
        return atan(y / x) + (pi() if y >= 0 else -pi())
    return pi() / 2 * sign(y)


def _sine_and_cosine(x: Decimal) -> tuple[Decimal, Decimal]:
    if not x.is_finite() or x.adjusted() > _LARGEST_ANGLE:
        return NAN, NAN
    with _more(_GUARD + max(0, x.adjusted())):
        turns = (x / (pi() / 2)).to_integral_value()
        r = x - turns * (pi() / 2)
        square = r * r
        s = _sum(r, lambda k: -square / (2 * k * (2 * k + 1))) if r else r
        c = _sum(Decimal(1), lambda k: -square / (2 * k * (2 * k - 1)))
        quarter = int(turns) % 4
    return ((s, c), (c, -s), (-s, -c), (-c, s))[quarter]


def sin(x: Decimal) -> Decimal:
    return +_sine_and_cosine(x)[0]


def cos(x: Decimal) -> Decimal:
    return +_sine_and_cosine(x)[1]


def tan(x: Decimal) -> Decimal:
    s, c = _sine_and_cosine(x)
    return s / c


def _small(x: Decimal) -> int:
    """Digits that cancel in exp(x) - 1."""
    return _GUARD + min(max(0, -x.adjusted()), 10_000) if x.is_finite() else 0


def expm1(x: Decimal) -> Decimal:
    with _more(_small(x)):
        result = x.exp() - 1
    return +result


def log1p(x: Decimal) -> Decimal:
    with _more(_small(x)):
        result = (1 + x).ln()
    return +result


def sinh(x: Decimal) -> Decimal:
    with _more(_small(x)):
        result = (x.exp() - (-x).exp()) / 2
    return +result


def cosh(x: Decimal) -> Decimal:
    return (x.exp() + (-x).exp()) / 2


def tanh(x: Decimal) -> Decimal:
    with _more(_small(x)):
        small = (-2 * abs(x)).exp()
        result = (1 - small) / (1 + small) * sign(x)
    return +result


def sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


def softplus(x: Decimal) -> Decimal:
    return log1p((-abs(x)).exp()) + relu(x)


def sign(x: Decimal) -> Decimal:
    return NAN if x.is_nan() else Decimal((x > 0) - (x < 0))


def step(x: Decimal) -> Decimal:
    return NAN if x.is_nan() else Decimal(int(x > 0))


def relu(x: Decimal) -> Decimal:
    return x * step(x)


def erf(x: Decimal) -> Decimal:
    return _error_functions(x)[0]


def erfc(x: Decimal) -> Decimal:
    return _error_functions(x)[1]


def _error_functions(x: Decimal) -> tuple[Decimal, Decimal]:
    if not abs(x) < _LARGEST_ERF:
        return NAN, NAN
    # the terms are as large as exp(x^2), erfc as small as exp(-x^2)
    with _more(_GUARD + int(x * x)):
        square = x * x
        series = _sum(x, lambda k: -square * (2 * k - 1) / (k * (2 * k + 1))) if x else x
        value = 2 / pi().sqrt() * series
        rest = 1 - value
    return +value, +rest


@cache
def _bernoulli(count: int) -> tuple[Fraction, ...]:
    """B_0 ... B_count."""
    numbers: list[Fraction] = []
    for m in range(count + 1):
        total = sum((comb(m + 1, k) * b for k, b in enumerate(numbers)), Fraction(0))
        numbers.append(Fraction(1) if m == 0 else -total / (m + 1))
    return tuple(numbers)


def lgamma(x: Decimal) -> Decimal:
    if not (x > 0 and x.is_finite()):
        return NAN
    with _more(_GUARD):
        product, large = Decimal(1), getcontext().prec
        while x < large:
            product, x = product * x, x + 1
        result = (x - Decimal("0.5")) * x.ln() - x + (2 * pi()).ln() / 2 - product.ln()
        for k, b in _even_bernoulli():
            result += from_fraction(b / (2 * k * (2 * k - 1))) / x ** (2 * k - 1)
    return +result


def digamma(x: Decimal) -> Decimal:
    return polygamma(Decimal(0), x)


def polygamma(count: Decimal, x: Decimal) -> Decimal:
    n = int(count)
    if n != count or n < 0 or not (x > 0 and x.is_finite()):
        return NAN
    with _more(_GUARD):
        shifts, large = Decimal(0), getcontext().prec + n
        while x < large:
            shifts, x = shifts + 1 / x ** (n + 1), x + 1
        head = -x.ln() if n == 0 else factorial(n - 1) / x**n
        result = head + factorial(n) * (shifts + 1 / (2 * x ** (n + 1)))
        for k, b in _even_bernoulli():
            rising = Fraction(factorial(2 * k + n - 1), factorial(2 * k))
            result += from_fraction(b * rising) / x ** (2 * k + n)
    return +result if n % 2 else -result


def _even_bernoulli() -> Iterator[tuple[int, Fraction]]:
    count = getcontext().prec // 2 + 2  # x > precision: each term is 20 times smaller or more
    numbers = _bernoulli(2 * count)
    return ((k, numbers[2 * k]) for k in range(1, count + 1))


def power(x: Decimal, p: Decimal) -> Decimal:
    if p.is_finite() and p == p.to_integral_value() and abs(p) < 10**6:
        return Decimal(1) if not p else x ** int(p)
    if p == Decimal("0.5"):
        return x.sqrt()
    return (p * x.ln()).exp() if x > 0 else NAN


def _truth(holds: bool) -> Decimal:
    return Decimal(int(holds))


def where(c: Decimal, a: Decimal, b: Decimal) -> Decimal:
    return NAN if c.is_nan() else a if c else b


FUNCTIONS: dict[str, Callable[..., Decimal]] = {
    "pi": pi,
    "exp": lambda x: x.exp(),
    "expm1": expm1,
    "log": lambda x: x.ln() if x > 0 else NAN,
    "log1p": log1p,
    "sqrt": lambda x: x.sqrt(),
    "pow": power,
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "asin": asin,
    "acos": acos,
    "atan": atan,
    "atan2": atan2,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "relu": relu,
    "erf": erf,
    "erfc": erfc,
    "lgamma": lgamma,
    "digamma": digamma,
    "polygamma": polygamma,
    "abs": abs,
    "sign": sign,
    "step": step,
    "max": lambda a, b: NAN if (a - b).is_nan() else max(a, b),
    "min": lambda a, b: NAN if (a - b).is_nan() else min(a, b),
    "where": where,
    "lt": lambda a, b: _truth(a < b),
    "le": lambda a, b: _truth(a <= b),
    "gt": lambda a, b: _truth(a > b),
    "ge": lambda a, b: _truth(a >= b),
    "eq": lambda a, b: _truth(a == b),
    "ne": lambda a, b: _truth(a != b),
}
