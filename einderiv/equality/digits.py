"""Functions of real numbers to as many digits as the decimal context asks for.

In: Decimals. Out: Decimals, NaN outside the real domain; errors are a few units of the last places.
Invariant: no floating point anywhere. Arithmetic, exp, log and roots are those of `decimal`, which are fast;
the other functions are mpmath's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Context, Decimal, getcontext, localcontext
from functools import partial
from typing import Any

import numpy as np

from ..terms import ELEMENTWISE

NAN = Decimal("NaN")
_GUARD = 10
_LARGEST = 200  # decimal places before the point: mpmath needs as many more for an angle ...
_SMALLEST = -100_000  # ... and after it: more would only take long
_LARGEST_ERFC = 1000  # erfc(1000) is 1e-434298


class PoleError(ArithmeticError):
    """A division by zero at this point: choose another one."""


def context(precision: int) -> Context:
    """Arithmetic in which nothing raises: poles are Infinity or NaN."""
    return Context(prec=precision, Emin=-999_999_999, Emax=999_999_999, traps=[])


def _mpmath(function: str | Callable[..., Any], *arguments: Decimal) -> Decimal:
    """A function of mpmath by its name, or one of the module and the arguments."""
    import mpmath

    for x in arguments:
        if not x.is_finite() or (x and not _SMALLEST < x.adjusted() <= _LARGEST):
            return NAN
    digits = getcontext().prec + _GUARD
    with mpmath.workdps(digits):
        try:
            apply = (
                getattr(mpmath, function)
                if isinstance(function, str)
                else partial(function, mpmath)
            )
            result: Any = apply(*(mpmath.mpf(str(x)) for x in arguments))
        except (ValueError, ZeroDivisionError):  # at a pole
            return NAN
        return NAN if isinstance(result, mpmath.mpc) else +Decimal(mpmath.nstr(result, digits))


def of_array(function: Callable[..., Any] | None, argument: Any) -> list[Decimal]:
    """The entries of a function of mpmath of a matrix, or of a list of entries, in order."""
    import mpmath

    assert function is not None, "a row has neither exact nor digits"
    if any(not x.is_finite() for x in argument.flat):
        raise PoleError
    digits = getcontext().prec + _GUARD
    with mpmath.workdps(digits):
        entries = [mpmath.mpf(str(x)) for x in argument.flat]
        given: Any = mpmath.matrix(*argument.shape) if argument.ndim == 2 else entries
        if argument.ndim == 2:
            for place, entry in zip(np.ndindex(*argument.shape), entries, strict=True):
                given[place] = entry
        found = function(mpmath, given)
        listed = found if isinstance(found, Iterable) else [found]
        return [+Decimal(mpmath.nstr(x, digits)) for x in listed]


def _near_one(function: Callable[[Decimal], Decimal], x: Decimal) -> Decimal:
    """The function's value, with as many digits on the way as cancel in exp(x) - 1 in addition."""
    digits = _GUARD + min(max(0, -x.adjusted()), 10_000) if x.is_finite() else 0
    with localcontext(context(getcontext().prec + digits)):
        result = function(x)
    return +result


def _expm1(x: Decimal) -> Decimal:
    return _near_one(lambda x: x.exp() - 1, x)


def _log1p(x: Decimal) -> Decimal:
    return _near_one(lambda x: (1 + x).ln(), x)


def _tanh(x: Decimal) -> Decimal:
    small = _expm1(-2 * abs(x))
    return -small / (2 + small) * sign(x)


def sign(x: Decimal) -> Decimal:
    return NAN if x.is_nan() else Decimal((x > 0) - (x < 0))


def _step(x: Decimal) -> Decimal:
    return NAN if x.is_nan() else Decimal(int(x > 0))


def _polygamma(count: Decimal, x: Decimal) -> Decimal:
    whole = count == count.to_integral_value() and count >= 0
    return _mpmath("polygamma", count, x) if whole and x > 0 else NAN


def _power(x: Decimal, p: Decimal) -> Decimal:
    if p.is_finite() and p == p.to_integral_value() and abs(p) < 10**6:
        return Decimal(1) if not p else x ** int(p)
    if p == Decimal("0.5"):
        return x.sqrt()
    return (p * x.ln()).exp() if x > 0 else NAN


FUNCTIONS: dict[str, Callable[..., Decimal]] = {
    **{name: partial(_mpmath, row.digits) for name, row in ELEMENTWISE.items() if row.digits},
    "exp": lambda x: x.exp(),
    "expm1": _expm1,
    "log": lambda x: x.ln() if x > 0 else NAN,
    "log1p": _log1p,
    "sqrt": lambda x: x.sqrt(),
    "pow": _power,
    "sinh": lambda x: (_expm1(x) - _expm1(-x)) / 2,
    "cosh": lambda x: (x.exp() + (-x).exp()) / 2,
    "tanh": _tanh,
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "softplus": lambda x: _log1p((-abs(x)).exp()) + x * _step(x),
    "relu": lambda x: x * _step(x),
    "erfc": lambda x: _mpmath("erfc", x) if x < _LARGEST_ERFC else NAN,
    "lgamma": lambda x: _mpmath("loggamma", x) if x > 0 else NAN,
    "digamma": lambda x: _mpmath("digamma", x) if x > 0 else NAN,
    "polygamma": _polygamma,
    "abs": abs,
    "sign": sign,
    "step": _step,
    "max": lambda a, b: NAN if (a - b).is_nan() else max(a, b),
    "min": lambda a, b: NAN if (a - b).is_nan() else min(a, b),
    "where": lambda c, a, b: NAN if c.is_nan() else a if c else b,
    "lt": lambda a, b: Decimal(a < b),
    "le": lambda a, b: Decimal(a <= b),
    "gt": lambda a, b: Decimal(a > b),
    "ge": lambda a, b: Decimal(a >= b),
    "eq": lambda a, b: Decimal(a == b),
    "ne": lambda a, b: Decimal(a != b),
}
assert set(FUNCTIONS) == set(ELEMENTWISE), set(FUNCTIONS) ^ set(ELEMENTWISE)
