"""The function table: one row per function, every fact about it in one place.

In: nothing. Out: ELEMENTWISE (one entry of the result per entry of the arguments) and WHOLE (whole axes at once),
the names that notations reserve, and the functions on arrays that NumPy lacks.
Invariant: a row's derivative is text in the project's own notation and never calls another row; `calculus` turns
it into terms, `programs` and `printers` call what the row names, `equality` computes with its laws and digits.

Kinks: sign(0) = 0, abs'(0) = 0, relu'(0) = 0, step(0) = 0; equal arguments of max and min share the derivative.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np

Array = Any
Interval = tuple[float, float]

ANY: Interval = (-inf, inf)
NONNEGATIVE: Interval = (0.0, inf)
UNIT: Interval = (0.0, 1.0)
SIGNED_UNIT: Interval = (-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Elementwise:
    """f(x, ...) entry by entry.

    `derivatives[k]`: the derivative by the k-th argument, None if there is none.
    `numpy`: a path; `np.` is NumPy, `special.` scipy.special, a name without a dot a function below.
    `latex`: a template, `{0}` is an argument.
    `domain`: where every argument may lie: real, positive, nonzero, open_unit, above_one, above_minus_one,
    count_positive (a count, then a positive number), count_real, condition.
    `range`: an interval that holds every value at real arguments. `at_zero`: f(0), if it is a number known
    exactly. `rising`: f grows and has the sign of its argument. `kink`: f has one at 0, or where its two
    arguments are equal.
    `law`: the value modulo a prime, from exp, log and their kin; without it f is an unknown function there.
    `digits`: the function in mpmath, by name or as `f(mpmath, x, ...)`; equality/digits.py has the others.
    `scalar`: the value on Python floats, in names of `math`; without it f runs on arrays.
    `code`: path or definition for a code target that lacks NumPy's function of this name.
    """

    name: str
    arguments: tuple[str, ...]
    derivatives: tuple[str | None, ...]
    numpy: str
    latex: str
    domain: str
    holomorphic: bool = True
    range: Interval = ANY
    at_zero: Fraction | None = None
    rising: bool = False
    law: Callable[..., Any] | None = None
    digits: str | Callable[..., Any] = ""
    scalar: str = ""
    kink: bool = False
    code: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Whole:
    """A function of whole axes; axes before those of the signature are batch axes.

    `differential` defines dY by the differentials of the arguments (`dA` for A) and is linear in these; "" if
    there is none. `adjoint`, of a linear function: what a cotangent g of Y gives back to A; without it that
    is derived from `differential`. `source`: where a differential is from that is not in every textbook.
    `matrix`: it names rows and columns (`inv[i,j](...)[p,q]`), others name axes (`softmax[i](...)`).
    `latex`: what LaTeX writes before the brackets, "" for the name.
    `transposable`: f(A') = f(A)'. `between`: values lie between the least and the largest entry.
    `keeps_sign`: no value is negative if no entry is. `rational`: so are the values at rational entries.
    `exact(f, x)`: the value in the arithmetic of f, an evaluator of `equality`; `digits(mpmath, A)`: the entries
    of the value in mpmath, if arithmetic does not reach it. One of the two is there.
    `flops`: operations for a matrix of n rows, if there are more than a few an entry.
    """

    name: str
    signature: str
    arguments: tuple[str, ...]
    differential: str
    numpy: str
    domain: str
    holomorphic: bool
    matrix: bool
    source: str = ""
    latex: str = ""
    adjoint: str = ""
    range: Interval = ANY
    transposable: bool = False
    between: bool = False
    keeps_sign: bool = False
    exact: Callable[..., Any] | None = None
    digits: Callable[..., Any] | None = None
    rational: bool = False
    code: Mapping[str, str] = field(default_factory=dict)
    flops: Callable[[int], int] | None = None


def _f(
    name: str, derivative: str, numpy: str, latex: str, domain: str = "real", **facts: Any
) -> Elementwise:
    return Elementwise(name, ("x",), (derivative,), numpy, latex, domain, **facts)


def _compare(name: str, numpy: str, latex: str, **facts: Any) -> Elementwise:
    shown = f"{{0}} {latex} {{1}}"
    return Elementwise(name, ("a", "b"), ("0", "0"), numpy, shown, "real", False, UNIT, **facts)


_CALL = r"\left({0}\right)"


def _bessel_law(f: Any, n: int, x: int) -> int:
    """By the recurrence from sin(x)/x and (sin(x)/x - cos(x))/x."""
    if not x or n > 100:
        return int(not n) if not x else f.unknown("spherical_jn", n, x)
    sin, cos = f.half_angle(x)
    last, value = f.quotient(cos, x), f.quotient(sin, x)
    for k in range(n):
        last, value = value, f.quotient((2 * k + 1) * value, x) - last
    return int(value)


def _bessel_digits(mp: Any, n: Any, x: Any) -> Any:
    if n < 0:
        return mp.nan
    return x**n / mp.fac2(2 * n + 1) * mp.hyp0f1(n + mp.mpf(3) / 2, -x * x / 4)  # DLMF 10.53.1


def _softmax(f: Any, row: Array) -> list[Any]:
    shift = f.shift(row.flat)
    powers = [f.function("exp", [x - shift]) for x in row.flat]
    total = f.reduce(sum(powers, f.zero))[()]
    return [f.quotient(x, total) for x in powers]


def _logsumexp(f: Any, row: Array) -> Any:
    shift = f.shift(row.flat)
    total = sum((f.function("exp", [x - shift]) for x in row.flat), f.zero)
    return shift + f.function("log", [f.reduce(total)[()]])


def _expm_derivatives(mp: Any, x: Any, order: int) -> list[Any]:
    """Entries of dexpm or d2expm, in order: from expm of block matrices, as their values on arrays."""
    n = x.rows
    places = list(itertools.product(range(n), repeat=2))

    def along(*directions: tuple[int, ...]) -> Any:
        blocks = mp.zeros(n * (order + 1))
        for k in range(order + 1):
            for i, j in places:
                blocks[k * n + i, k * n + j] = x[i, j]
        for k, (i, j) in enumerate(directions):
            blocks[k * n + i, (k + 1) * n + j] = 1
        whole = mp.expm(blocks)
        return {(i, j): whole[i, order * n + j] for i, j in places}

    found = {by: along(*by) for by in itertools.product(places, repeat=order)}
    return [
        sum(found[again][place] for again in set(itertools.permutations(by)))
        * (1 + (len(set(by)) < order))
        for place in places
        for by in itertools.product(places, repeat=order)
    ]


# What code for PyTorch and JAX (and NumPy, if it has no such function) carries along; {xp} is the library.
_SINC = '''\
def sinc(x):
    """sin(x) / x, 1 at x = 0."""
    return {xp}.sinc(x / math.pi)
'''
_CBRT = '''\
def cbrt(x):
    """The real cube root."""
    return torch.sign(x) * torch.abs(x) ** (1 / 3)
'''
_SPHERICAL_JN = '''\
def spherical_jn(n, x):
    """The spherical Bessel function of whole order n: by recurrence, for small x by its series (DLMF 10.53.1)."""
    if n < 0 or n != int(n):
        return x * math.nan
    n = int(n)
    small = {xp}.abs(x) < n + 2
    y = {xp}.where(small, 1.0, x)
    last, value, term = {xp}.cos(y) / y, {xp}.sin(y) / y, 0 * x + 1.0
    for k in range(n):
        last, value = value, (2 * k + 1) / y * value - last
        term = term * x / (2 * k + 3)
    total = term
    for k in range(1, 30 + 2 * n):
        term = -term * x * x / (2 * k * (2 * n + 2 * k + 1))
        total = total + term
    return {xp}.where(small, total, value)
'''
_ACCUMULATED = '''\
def {name}(x, count):
    """{words} along the last `count` axes."""
    flat = x.reshape(x.shape[: x.ndim - count] + (math.prod(x.shape[x.ndim - count :]),))
    return {xp}.{name}(flat, {axis}=-1).reshape(x.shape)
'''
_REVCUMSUM = '''\
def revcumsum(x, count):
    """Sums of the entries from each on, along the last `count` axes."""
    flat = x.reshape(x.shape[: x.ndim - count] + (math.prod(x.shape[x.ndim - count :]),))
    sums = {xp}.cumsum({xp}.flip(flat, {last_axis}), {axis}=-1)
    return {xp}.flip(sums, {last_axis}).reshape(x.shape)
'''
_DEXPM = '''\
def dexpm(x):
    """The derivative of entry i, j of expm(x) by entry k, l of x, as [..., i, j, k, l]."""
    like, n = x, x.shape[-1]
    x = x[..., None, None, :, :]
    unit = {xp}.eye(n * n{dtypes}).reshape(n, n, n, n) + 0 * x
    x = x + 0 * unit
    rows = [[x, unit], [0 * x, x]]
    blocks = {xp}.concatenate([{xp}.concatenate(row, {axis}=-1) for row in rows], {axis}=-2)
    return {xp}.moveaxis({expm}(blocks)[..., :n, n:], (-4, -3), (-2, -1))
'''
_D2EXPM = '''\
def d2expm(x):
    """The derivative of dexpm(x) by entry p, q of x, as [..., i, j, k, l, p, q]."""
    like, n = x, x.shape[-1]
    x = x[..., None, None, None, None, :, :]
    unit = {xp}.eye(n * n{dtypes}).reshape(n, n, n, n)
    first, second = unit[:, :, None, None] + 0 * x, unit + 0 * x
    x = x + 0 * first + 0 * second
    first, second, zero = first + 0 * x, second + 0 * x, 0 * x
    rows = [[x, first, zero], [zero, x, second], [zero, zero, x]]
    blocks = {xp}.concatenate([{xp}.concatenate(row, {axis}=-1) for row in rows], {axis}=-2)
    along = {xp}.moveaxis({expm}(blocks)[..., :n, 2 * n :], (-2, -1), (-6, -5))
    return along + {xp}.moveaxis(along, (-4, -3), (-2, -1))
'''


def _everywhere(text: str) -> Mapping[str, str]:
    return dict.fromkeys(("numpy", "torch", "jax"), text)


def _accumulation(name: str, words: str) -> Mapping[str, str]:
    return _everywhere(_ACCUMULATED.replace("{name}", name).replace("{words}", words))


# fmt: off
_KINKED: Any = {"domain": "nonzero", "holomorphic": False}
_ZERO, _ONE = Fraction(0), Fraction(1)

_ELEMENTWISE = (
    # constants
    Elementwise("pi", (), (), "np.pi", r"\pi", "real", range=(3.0, 4.0),
                digits="pi"),
    # exponentials and logarithms
    _f("exp",      "exp(x)",                "np.exp",     rf"\exp{_CALL}", range=NONNEGATIVE, at_zero=_ONE,
       law=lambda f, x: f.exp(x), scalar="exp(_0)"),
    _f("expm1",    "exp(x)",                "np.expm1",   rf"\operatorname{{expm1}}{_CALL}", range=(-1.0, inf), at_zero=_ZERO, rising=True,
       law=lambda f, x: f.exp(x) - 1, scalar="expm1(_0)"),
    _f("log",      "1/x",                   "np.log",     rf"\log{_CALL}", "positive",
       law=lambda f, x: f.log(x), scalar="log(_0)"),
    _f("log2",     "1/(log(2)*x)",          "np.log2",    rf"\log_{{{{2}}}}{_CALL}", "positive",
       law=lambda f, x: f.quotient(f.log(x), f.log(2)), digits=lambda mp, x: mp.log(x, 2), scalar="log2(_0)"),
    _f("log10",    "1/(log(10)*x)",         "np.log10",   rf"\log_{{{{10}}}}{_CALL}", "positive",
       law=lambda f, x: f.quotient(f.log(x), f.log(10)), digits="log10", scalar="log10(_0)"),
    _f("log1p",    "1/(1 + x)",             "np.log1p",   rf"\operatorname{{log1p}}{_CALL}", "above_minus_one", at_zero=_ZERO, rising=True,
       law=lambda f, x: f.log(1 + x), scalar="log1p(_0)"),
    # powers
    _f("sqrt",     "1/(2*sqrt(x))",         "np.sqrt",    r"\sqrt{{{0}}}", "positive", range=NONNEGATIVE, at_zero=_ZERO,
       scalar="sqrt(_0)"),
    _f("cbrt",     "1/(3*cbrt(x)^2)",       "np.cbrt",    rf"\operatorname{{{{cbrt}}}}{_CALL}", "nonzero", holomorphic=False, at_zero=_ZERO, rising=True,
       law=lambda f, x: f.odd("cbrt", x), digits=lambda mp, x: mp.sign(x) * mp.cbrt(abs(x)), scalar="cbrt(_0)",
       code={"torch": _CBRT}),
    Elementwise("pow", ("x", "p"), ("p*x^(p - 1)", "log(x)*x^p"), "np.power", "{{{0}}}^{{{1}}}", "positive",
                law=lambda f, x, p: f.power(x, p), scalar="pow(_0, _1) if _0 - _0 == 0.0 else sqrt(-1.0)"),
    # trigonometry
    _f("sin",      "cos(x)",                "np.sin",     rf"\sin{_CALL}", range=SIGNED_UNIT, at_zero=_ZERO,
       law=lambda f, x: f.half_angle(x)[0], digits="sin", scalar="sin(_0)"),
    _f("cos",      "-sin(x)",               "np.cos",     rf"\cos{_CALL}", range=SIGNED_UNIT, at_zero=_ONE,
       law=lambda f, x: f.half_angle(x)[1], digits="cos", scalar="cos(_0)"),
    _f("tan",      "1 + tan(x)^2",          "np.tan",     rf"\tan{_CALL}", at_zero=_ZERO, rising=True,
       law=lambda f, x: f.quotient(*f.half_angle(x)), digits="tan", scalar="tan(_0)"),
    _f("asin",     "1/sqrt(1 - x^2)",       "np.arcsin",  rf"\arcsin{_CALL}", "open_unit", range=(-1.6, 1.6), at_zero=_ZERO, rising=True,
       law=lambda f, x: f.odd("asin", x), digits="asin", scalar="asin(_0)"),
    _f("acos",     "-1/sqrt(1 - x^2)",      "np.arccos",  rf"\arccos{_CALL}", "open_unit", range=(0.0, 3.2),
       law=lambda f, x: f.quotient(f.unknown("pi"), 2) - f.odd("asin", x), digits="acos", scalar="acos(_0)"),
    _f("atan",     "1/(1 + x^2)",           "np.arctan",  rf"\arctan{_CALL}", range=(-1.6, 1.6), at_zero=_ZERO, rising=True,
       law=lambda f, x: f.odd("atan", x), digits="atan", scalar="atan(_0)"),
    Elementwise("atan2", ("y", "x"), ("x/(x^2 + y^2)", "-y/(x^2 + y^2)"), "np.arctan2", r"\operatorname{{atan2}}\left({0}, {1}\right)", range=(-3.2, 3.2), **_KINKED,
                digits="atan2", scalar="atan2(_0, _1)"),
    # sin(x)/x and the spherical Bessel functions, whose recurrence does not divide by x: DLMF 10.51.2
    _f("sinc",     "-spherical_jn(1, x)",   "sinc",       rf"\operatorname{{sinc}}{_CALL}", range=SIGNED_UNIT, at_zero=_ONE,
       law=lambda f, x: f.quotient(f.half_angle(x)[0], x) if x else 1, digits="sinc",
       code=_everywhere(_SINC)),
    Elementwise("spherical_jn", ("n", "x"), (None, "(where(n > 0, n*spherical_jn(n - 1, x), 0) - (n + 1)*spherical_jn(n + 1, x))/(2*n + 1)"), "spherical_jn", r"\operatorname{{spherical\_jn}}\left({0}, {1}\right)", "count_real", range=SIGNED_UNIT,
                law=_bessel_law, digits=_bessel_digits,
                code=_everywhere(_SPHERICAL_JN)),
    # hyperbolic functions
    _f("sinh",     "cosh(x)",               "np.sinh",    rf"\sinh{_CALL}", at_zero=_ZERO, rising=True,
       law=lambda f, x: f.quotient(f.exp(x) - f.exp(-x), 2), scalar="sinh(_0)"),
    _f("cosh",     "sinh(x)",               "np.cosh",    rf"\cosh{_CALL}", range=(1.0, inf), at_zero=_ONE,
       law=lambda f, x: f.quotient(f.exp(x) + f.exp(-x), 2), scalar="cosh(_0)"),
    _f("tanh",     "1 - tanh(x)^2",         "np.tanh",    rf"\tanh{_CALL}", range=SIGNED_UNIT, at_zero=_ZERO, rising=True,
       law=lambda f, x: f.quotient(f.exp(x) - f.exp(-x), f.exp(x) + f.exp(-x)), scalar="tanh(_0)"),
    _f("asinh",    "1/sqrt(1 + x^2)",       "np.arcsinh", rf"\operatorname{{arsinh}}{_CALL}", at_zero=_ZERO, rising=True,
       law=lambda f, x: f.odd("asinh", x), digits="asinh", scalar="asinh(_0)"),
    _f("acosh",    "1/(sqrt(x - 1)*sqrt(x + 1))", "np.arccosh", rf"\operatorname{{arcosh}}{_CALL}", "above_one", range=NONNEGATIVE,
       digits="acosh", scalar="acosh(_0)"),
    _f("atanh",    "1/(1 - x^2)",           "np.arctanh", rf"\operatorname{{artanh}}{_CALL}", "open_unit", at_zero=_ZERO, rising=True,
       law=lambda f, x: f.odd("atanh", x), digits="atanh", scalar="atanh(_0)"),
    # activations
    _f("sigmoid",  "sigmoid(x)*sigmoid(-x)", "sigmoid",   rf"\sigma{_CALL}", range=UNIT, at_zero=Fraction(1, 2),
       law=lambda f, x: f.quotient(1, 1 + f.exp(-x)), scalar="1.0 / (1.0 + exp(-_0))"),
    _f("softplus", "sigmoid(x)",            "softplus",   rf"\operatorname{{softplus}}{_CALL}", range=NONNEGATIVE,
       law=lambda f, x: f.log(1 + f.exp(x)), scalar="(_0 if _0 > 0.0 else 0.0) + log1p(exp(-fabs(_0)))"),
    _f("relu",     "step(x)",               "relu",       rf"\operatorname{{relu}}{_CALL}", range=NONNEGATIVE, at_zero=_ZERO, **_KINKED,
       law=lambda f, x: x * f.unknown("step", x), scalar="0.0 if _0 <= 0.0 else _0", kink=True),
    # error function and gamma functions: DLMF 7.2, 5.2, 5.15
    _f("erf",      "2/sqrt(pi)*exp(-x^2)",  "special.erf",  rf"\operatorname{{erf}}{_CALL}", range=SIGNED_UNIT, at_zero=_ZERO, rising=True,
       law=lambda f, x: f.odd("erf", x), digits="erf", scalar="erf(_0)"),
    _f("erfc",     "-2/sqrt(pi)*exp(-x^2)", "special.erfc", rf"\operatorname{{erfc}}{_CALL}", range=(0.0, 2.0), at_zero=_ONE,
       law=lambda f, x: 1 - f.odd("erf", x), scalar="erfc(_0)"),
    _f("lgamma",   "digamma(x)",            "lgamma",     rf"\log\Gamma{_CALL}", "positive"),
    _f("digamma",  "polygamma(1, x)",       "special.digamma", rf"\psi{_CALL}", "positive",
       law=lambda f, x: f.unknown("polygamma", 0, x)),
    Elementwise("polygamma", ("n", "x"), (None, "polygamma(n + 1, x)"), "polygamma", r"\psi^{{\left({0}\right)}}\left({1}\right)", "count_positive", False),
    # piecewise constant or linear
    _f("abs",      "sign(x)",               "np.abs",     r"\left|{0}\right|", range=NONNEGATIVE, at_zero=_ZERO, **_KINKED,
       law=lambda f, x: x * f.odd("sign", x), scalar="fabs(_0)", kink=True),
    _f("sign",     "0",                     "np.sign",    rf"\operatorname{{sign}}{_CALL}", range=SIGNED_UNIT, at_zero=_ZERO, rising=True, **_KINKED,
       law=lambda f, x: f.odd("sign", x), scalar="1.0 if _0 > 0.0 else -1.0 if _0 < 0.0 else _0", kink=True),
    _f("step",     "0",                     "step",       rf"\operatorname{{step}}{_CALL}", range=UNIT, at_zero=_ZERO, **_KINKED,
       scalar="1.0 if _0 > 0.0 else 0.0 if _0 <= 0.0 else _0", kink=True),
    Elementwise("max", ("a", "b"), ("(1 + sign(a - b))/2", "(1 + sign(b - a))/2"), "np.maximum", r"\max\left({0}, {1}\right)", "real", False,
                law=lambda f, a, b: f.unknown("max", *sorted((a, b))),
                scalar="_0 if _0 >= _1 else _1 if _1 > _0 else _0 + _1", kink=True),
    Elementwise("min", ("a", "b"), ("(1 + sign(b - a))/2", "(1 + sign(a - b))/2"), "np.minimum", r"\min\left({0}, {1}\right)", "real", False,
                law=lambda f, a, b: a + b - f.unknown("max", *sorted((a, b))),
                scalar="_0 if _0 <= _1 else _1 if _1 < _0 else _0 + _1", kink=True),
    # choice; comparisons are 1 where they hold, else 0
    Elementwise("where", ("c", "a", "b"), ("0", "where(c, 1, 0)", "where(c, 0, 1)"), "where", r"\begin{{cases}}{1} & {0} \\ {2} & \text{{otherwise}}\end{{cases}}", "condition", False,
                law=lambda f, c, a, b: c * a + (1 - c) * b, scalar="_1 if _0 != 0.0 else _2"),
    _compare("lt", "less",          "<",
             law=lambda f, a, b: f.unknown("lt", a, b), scalar="1.0 if _0 < _1 else 0.0", kink=True),
    _compare("le", "less_equal",    r"\le",
             law=lambda f, a, b: 1 - f.unknown("lt", b, a), scalar="1.0 if _0 <= _1 else 0.0", kink=True),
    _compare("gt", "greater",       ">",
             law=lambda f, a, b: f.unknown("lt", b, a), scalar="1.0 if _0 > _1 else 0.0", kink=True),
    _compare("ge", "greater_equal", r"\ge",
             law=lambda f, a, b: 1 - f.unknown("lt", a, b), scalar="1.0 if _0 >= _1 else 0.0", kink=True),
    _compare("eq", "equal",         "=",
             law=lambda f, a, b: f.unknown("eq", *sorted((a, b))), scalar="1.0 if _0 == _1 else 0.0"),
    _compare("ne", "not_equal",     r"\ne",
             law=lambda f, a, b: 1 - f.unknown("eq", *sorted((a, b))), scalar="1.0 if _0 != _1 else 0.0"),
)

_GILES = "Giles, Collected matrix derivative results for forward and reverse mode AD (2008)"
_TIES = "where(x[i] == {0}[j](x[j]), 1, 0)/sum[k](where(x[k] == {0}[j](x[j]), 1, 0))*dx[i]"


def _reduction(name: str, differential: str, holomorphic: bool = True, **facts: Any) -> Whole:
    return Whole(name, "(n)->()", ("x",), differential, name, "real", holomorphic, False, transposable=True, **facts)


def _along(name: str, differential: str, **facts: Any) -> Whole:
    return Whole(name, "(n)->(n)", ("x",), differential, name, "real", True, False, **facts)


def _matrix(name: str, signature: str, differential: str, domain: str, holomorphic: bool = True, **facts: Any) -> Whole:
    return Whole(name, signature, ("A",), differential, name, domain, holomorphic, True, **facts)


_WHOLE = (
    # reductions
    _reduction("prod", "dY = prodexcept[i](x[i])*dx[i]", keeps_sign=True,
               exact=lambda f, x: f.product(list(x.flat)), rational=True),
    _reduction("max", "dY = " + _TIES.format("max"), False, between=True,
               exact=lambda f, x: f.extreme("max", list(x.flat))),
    _reduction("min", "dY = " + _TIES.format("min"), False, between=True,
               exact=lambda f, x: f.extreme("min", list(x.flat))),
    _reduction("logsumexp", "dY = softmax[i](x[i])*dx[i]",
               exact=_logsumexp),
    # along axes, which stay
    _along("softmax", "dY[i] = softmax[i](x[i])*(dx[i] - softmax[j](x[j])*dx[j])", range=UNIT,
           exact=_softmax),
    _along("logsoftmax", "dY[i] = dx[i] - softmax[j](x[j])*dx[j]", range=(-inf, 0.0),
           exact=lambda f, x: x - _logsumexp(f, x)),
    _along("prodexcept", "dY[i] = (1 - delta[i,j])*prodexcept[j](x[j] + delta[i,j]*(1 - x[j]))*dx[j]",
           source="the product rule twice, without division", keeps_sign=True,
           exact=lambda f, x: [f.product([*x.flat[:k], *x.flat[k + 1 :]]) for k in range(x.size)], rational=True),
    _along("cumsum", "dY[i] = cumsum[i](delta[i,j])*dx[j]", adjoint="dx[i] = revcumsum[i](g[i])", keeps_sign=True,
           exact=lambda f, x: np.cumsum(x.flat), rational=True,
           code=_accumulation("cumsum", "Sums of the entries up to each,")),
    _along("revcumsum", "dY[i] = revcumsum[i](delta[i,j])*dx[j]", adjoint="dx[i] = cumsum[i](g[i])", keeps_sign=True,
           exact=lambda f, x: np.cumsum(x.flat[::-1])[::-1], rational=True,
           code=_everywhere(_REVCUMSUM)),
    _along("cumprod", "dY[i] = cumsum[i](delta[i,j])*cumprod[i](x[i]*ones[j] + delta[i,j]*(1 - x[i]))*dx[j]",
           source="the product rule, without division", keeps_sign=True,
           exact=lambda f, x: [f.product(list(x.flat[: k + 1])) for k in range(x.size)], rational=True,
           code=_accumulation("cumprod", "Products of the entries up to each,")),
    # matrix functions
    _matrix("inv", "(n,n)->(n,n)", "dY[i,j] = -inv(A)[i,k]*dA[k,l]*inv(A)[l,j]", "regular", source=_GILES, transposable=True,
            exact=lambda f, x: f.eliminate(x)[0], rational=True, flops=lambda n: 2 * n**3),
    _matrix("det", "(n,n)->()", "dY = det(A)*inv(A)[j,i]*dA[i,j]", "regular", latex=r"\det", source=_GILES, transposable=True,
            exact=lambda f, x: f.eliminate(x)[1], rational=True, flops=lambda n: n**3),
    _matrix("logdet", "(n,n)->()", "dY = inv(A)[j,i]*dA[i,j]", "regular", latex=r"\log\det", source=_GILES, transposable=True,
            exact=lambda f, x: f.function("log", [f.function("abs", [f.eliminate(x)[1]])]), flops=lambda n: n**3),
    _matrix("cholesky", "(n,n)->(n,n)",
            "dY[i,j] = cholesky(A)[i,p]*(tril[r,s](ones[r,s])[p,j] - delta[p,j]/2)*inv[r,s](cholesky(A)[r,s])[p,k]"
            "*(dA[k,l] + dA[l,k])/2*inv[r,s](cholesky(A)[r,s])[j,l]",
            "spd", False, source="Murray, Differentiation of the Cholesky decomposition (2016)",
            exact=lambda f, x: f.factor(f.reduce(f.number(Fraction(1, 2)) * (x + x.T))), flops=lambda n: n**3),
    _matrix("tril", "(n,n)->(n,n)", "dY[i,j] = tril[r,s](ones[r,s])[i,j]*dA[i,j]", "real", keeps_sign=True,
            exact=lambda f, x: np.where(np.tri(len(x), dtype=bool), x, f.zero), rational=True),
    _matrix("expm", "(n,n)->(n,n)", "dY[i,j] = dexpm(A)[i,j,k,l]*dA[k,l]", "real", transposable=True,
            digits=lambda mp, x: mp.expm(x),
            code={"numpy": "scipy.linalg.expm", "torch": "torch.linalg.matrix_exp", "jax": "jax.scipy.linalg.expm"}, flops=lambda n: 30 * n**3),
    # derivatives of expm: dexpm(A)[i,j,k,l] of entry i,j by A[k,l], d2expm(A)[i,j,k,l,p,q] of that by A[p,q]
    _matrix("dexpm", "(n,n)->(n,n,n,n)", "dY[i,j,k,l] = d2expm(A)[i,j,k,l,p,q]*dA[p,q]", "real",
            source="Higham, Functions of Matrices (2008), 10.2",
            digits=lambda mp, x: _expm_derivatives(mp, x, 1),
            code=_everywhere(_DEXPM), flops=lambda n: 240 * n**5),
    _matrix("d2expm", "(n,n)->(n,n,n,n,n,n)", "", "real",
            digits=lambda mp, x: _expm_derivatives(mp, x, 2),
            code=_everywhere(_D2EXPM), flops=lambda n: 810 * n**7),
)
# fmt: on

ELEMENTWISE = {row.name: row for row in _ELEMENTWISE}
WHOLE = {row.name: row for row in _WHOLE}

ALIASES = {
    "ln": "log",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "arsinh": "asinh",
    "arcosh": "acosh",
    "artanh": "atanh",
    "absolute": "abs",
    "logistic": "sigmoid",
    "expit": "sigmoid",
    "heaviside": "step",
    "gammaln": "lgamma",
    "psi": "digamma",
    "maximum": "max",
    "minimum": "min",
    "trace": "tr",
    "δ": "delta",
    "ε": "eps",
    "ϵ": "eps",
}

COMPARISONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}

# Names that the elaborator gives a meaning of their own where they are called or indexed.
REDUCTIONS = ("sum", "mean", *(row.name for row in _WHOLE if row.signature == "(n)->()"))
NORMALISATIONS = tuple(row.name for row in _WHOLE if row.signature == "(n)->(n)")
MATRIX_FUNCTIONS = ("tr", "solve", *(row.name for row in _WHOLE if row.matrix))
SPECIAL_TENSORS = ("delta", "eps", "ones", "zeros", "size")


def core_ranks(signature: str) -> tuple[tuple[int, ...], int]:
    """Core axes of the arguments and of the result.

    >>> core_ranks("(n,n)->()")
    ((2,), 0)
    """
    left, right = signature.split("->")
    arguments = tuple(_core(part) for part in left.replace("),(", ")|(").split("|") if part)
    return arguments, _core(right)


def _core(part: str) -> int:
    inside = part.strip("() ")
    return len(inside.split(",")) if inside else 0


# Functions on arrays that NumPy and SciPy lack, or lack in a form that stays accurate. Each needs nothing but `np`
# (and SciPy, if it says so), so that a standalone source can carry its text.


def sigmoid(x: Array, out: Array | None = None) -> Array:
    """1/(1 + exp(-x)): where exp(-x) overflows it is 0, as it should be."""
    e = np.asarray(np.multiply(x, -1, out))
    np.exp(e, e)
    np.add(e, 1, e)
    np.divide(1, e, e)
    return e if e.ndim else e[()]


def softplus(x: Array, out: Array | None = None) -> Array:
    """log(1 + exp(x)), without overflow and without loss for very negative x."""
    if np.iscomplexobj(x):
        return np.where(x.real > 0, x, 0) + np.log1p(np.exp(np.where(x.real > 0, -x, x)))
    positive = np.maximum(x, 0)
    e = np.asarray(np.abs(x, out))
    np.multiply(e, -1, e)
    np.exp(e, e)
    np.log1p(e, e)
    np.add(e, positive, e)
    return e if e.ndim else e[()]


def relu(x: Array, out: Array | None = None) -> Array:
    """max(x, 0)."""
    return np.maximum(x, 0, out=out)


def step(x: Array) -> Array:
    """1 where x > 0, else 0; NaN stays NaN."""
    return np.heaviside(x, np.zeros_like(x))


def where(c: Array, a: Array, b: Array) -> Array:
    """a where c is not zero, else b."""
    return np.where(np.asarray(c) != 0, a, b)


def less(a: Array, b: Array) -> Array:
    """1 where a < b, else 0."""
    return np.less(a, b).astype(np.result_type(a, b))


def less_equal(a: Array, b: Array) -> Array:
    """1 where a <= b, else 0."""
    return np.less_equal(a, b).astype(np.result_type(a, b))


def greater(a: Array, b: Array) -> Array:
    """1 where a > b, else 0."""
    return np.greater(a, b).astype(np.result_type(a, b))


def greater_equal(a: Array, b: Array) -> Array:
    """1 where a >= b, else 0."""
    return np.greater_equal(a, b).astype(np.result_type(a, b))


def equal(a: Array, b: Array) -> Array:
    """1 where a == b, else 0."""
    return np.equal(a, b).astype(np.result_type(a, b))


def not_equal(a: Array, b: Array) -> Array:
    """1 where a != b, else 0."""
    return np.not_equal(a, b).astype(np.result_type(a, b))


def lgamma(x: Array) -> Array:
    """The logarithm of the gamma function (scipy.special)."""
    from scipy import special

    return special.loggamma(x) if np.iscomplexobj(x) else special.gammaln(x)


def polygamma(n: Array, x: Array) -> Array:
    """The n-th derivative of the digamma function (scipy.special), DLMF 5.15."""
    from scipy import special

    return special.polygamma(np.asarray(n), x).astype(np.result_type(x))


def prod(x: Array, axes: tuple[int, ...]) -> Array:
    """The product over the last axes."""
    return np.prod(x, axis=axes)


def prodexcept(x: Array, axes: tuple[int, ...]) -> Array:
    """Each entry: the product of all others along the last axes, by prefix and suffix products."""
    rest, own = x.shape[: x.ndim - len(axes)], x.shape[x.ndim - len(axes) :]
    flat = x.reshape((*rest, int(np.prod(own))))
    before = np.ones_like(flat)
    after = np.ones_like(flat)
    before[..., 1:] = np.cumprod(flat[..., :-1], axis=-1)
    after[..., :-1] = np.cumprod(flat[..., :0:-1], axis=-1)[..., ::-1]
    return (before * after).reshape(x.shape)


def max(x: Array, axes: tuple[int, ...]) -> Array:
    """The largest entry along the last axes."""
    return np.max(x, axis=axes)


def min(x: Array, axes: tuple[int, ...]) -> Array:
    """The smallest entry along the last axes."""
    return np.min(x, axis=axes)


def logsumexp(x: Array, axes: tuple[int, ...]) -> Array:
    """log(sum(exp(x))) along the last axes, shifted by the largest entry."""
    top = np.max(x.real, axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    return np.log(np.sum(np.exp(x - top), axis=axes)) + np.squeeze(top, axis=axes)


def softmax(x: Array, axes: tuple[int, ...], out: Array | None = None) -> Array:
    """exp(x)/sum(exp(x)) along the last axes, shifted by the largest entry."""
    e = np.subtract(x, np.max(x.real, axis=axes, keepdims=True), out)
    np.exp(e, e)
    return np.divide(e, np.sum(e, axis=axes, keepdims=True), e)


def logsoftmax(x: Array, axes: tuple[int, ...], out: Array | None = None) -> Array:
    """x - logsumexp(x) along the last axes."""
    shifted = np.subtract(x, np.max(x.real, axis=axes, keepdims=True), out)
    return np.subtract(shifted, np.log(np.sum(np.exp(shifted), axis=axes, keepdims=True)), shifted)


def inv(x: Array, axes: tuple[int, ...]) -> Array:
    """The inverse of the matrices in the last two axes."""
    return np.linalg.inv(x)


def det(x: Array, axes: tuple[int, ...]) -> Array:
    """The determinant of the matrices in the last two axes."""
    return np.linalg.det(x)


def logdet(x: Array, axes: tuple[int, ...]) -> Array:
    """log|det| of the matrices in the last two axes; for complex ones the logarithm of det itself."""
    sign, logarithm = np.linalg.slogdet(x)
    return logarithm + np.log(sign) if np.iscomplexobj(x) else logarithm


def cholesky(x: Array, axes: tuple[int, ...]) -> Array:
    """The lower factor L with L L' = (x + x')/2."""
    return np.linalg.cholesky((x + np.swapaxes(x, -1, -2)) / 2)


def tril(x: Array, axes: tuple[int, ...]) -> Array:
    """The lower triangle of the matrices in the last two axes, the diagonal included."""
    return np.tril(x)


def sinc(x: Array) -> Array:
    """sin(x)/x, 1 at x = 0."""
    return np.sinc(x / np.pi)


def spherical_jn(n: Array, x: Array) -> Array:
    """The spherical Bessel function of whole order n >= 0 (scipy.special), DLMF 10.47; NaN for other orders."""
    from scipy import special

    order = np.real(n)
    whole = (order >= 0) & (order == np.floor(order))
    value = special.spherical_jn(np.where(whole, order, 0).astype(int), x)
    return np.where(whole, value, np.nan).astype(np.result_type(x))


def cumsum(x: Array, axes: tuple[int, ...]) -> Array:
    """Sums of the entries up to each, along the last axes."""
    rest, own = x.shape[: x.ndim - len(axes)], x.shape[x.ndim - len(axes) :]
    flat = x.reshape((*rest, int(np.prod(own))))
    return np.cumsum(flat, axis=-1).reshape(x.shape)


def revcumsum(x: Array, axes: tuple[int, ...]) -> Array:
    """Sums of the entries from each on, along the last axes."""
    rest, own = x.shape[: x.ndim - len(axes)], x.shape[x.ndim - len(axes) :]
    flat = x.reshape((*rest, int(np.prod(own))))
    return np.cumsum(flat[..., ::-1], axis=-1)[..., ::-1].reshape(x.shape)


def cumprod(x: Array, axes: tuple[int, ...]) -> Array:
    """Products of the entries up to each, along the last axes."""
    rest, own = x.shape[: x.ndim - len(axes)], x.shape[x.ndim - len(axes) :]
    flat = x.reshape((*rest, int(np.prod(own))))
    return np.cumprod(flat, axis=-1).reshape(x.shape)


def expm(x: Array, axes: tuple[int, ...]) -> Array:
    """The exponential of the matrices in the last two axes (SciPy)."""
    from scipy import linalg

    return linalg.expm(x)


def dexpm(x: Array, axes: tuple[int, ...]) -> Array:
    """The derivative of entry i, j of expm(x) by entry k, l of x, as [..., i, j, k, l].

    By expm([[x, E], [0, x]]), whose upper right block is the derivative along E.
    """
    from scipy import linalg

    n = x.shape[-1]
    blocks = np.zeros((*x.shape[:-2], n, n, 2 * n, 2 * n), x.dtype)
    blocks[..., :n, :n] = blocks[..., n:, n:] = x[..., None, None, :, :]
    blocks[..., :n, n:] = np.eye(n * n).reshape(n, n, n, n)
    along = linalg.expm(blocks)[..., :n, n:]
    return np.moveaxis(along, (-4, -3), (-2, -1))


def d2expm(x: Array, axes: tuple[int, ...]) -> Array:
    """The derivative of dexpm(x) by entry p, q of x, as [..., i, j, k, l, p, q].

    By the upper right block of expm([[x, E, 0], [0, x, F], [0, 0, x]]), added to that with E and F exchanged.
    """
    from scipy import linalg

    n = x.shape[-1]
    unit = np.eye(n * n).reshape(n, n, n, n)
    blocks = np.zeros((*x.shape[:-2], n, n, n, n, 3 * n, 3 * n), x.dtype)
    for k in range(3):
        blocks[..., k * n : (k + 1) * n, k * n : (k + 1) * n] = x[..., None, None, None, None, :, :]
    blocks[..., :n, n : 2 * n] = unit[:, :, None, None]
    blocks[..., n : 2 * n, 2 * n :] = unit
    along = np.moveaxis(linalg.expm(blocks)[..., :n, 2 * n :], (-2, -1), (-6, -5))
    return along + np.moveaxis(along, (-4, -3), (-2, -1))


IMPLEMENTATIONS: dict[str, Callable[..., Any]] = {
    row.numpy: globals()[row.numpy] for row in (*_ELEMENTWISE, *_WHOLE) if "." not in row.numpy
}
