"""Every row of the function table: its value, and its derivatives to order two or three.

Oracles: mpmath at 50 digits (value, and `mpmath.diff` of the value) for elementwise rows and for independent
formulas of whole rows, whose derivatives are differences with 60 digits; exact numbers at kinks and ties.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import einderiv as ed
from einderiv.terms.functions import ELEMENTWISE, WHOLE

DIGITS = 50
# NumPy and SciPy are right to a few units in the last place; a derivative is a short formula of them, which
# can lose three or four digits where its terms cancel (1 - tanh(x)^2 at x = 6). 1e-10 is relative to the
# true value where that is above one, and absolute (scaled by the entries) below.
TOLERANCE = 1e-10

Array = Any


def close(ours: Array, theirs: Array, tolerance: float = TOLERANCE) -> bool:
    """Same shape, no NaN, and entries that agree to a part of the largest true one (or of one)."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if ours.shape != theirs.shape:
        return False
    return bool(np.all(np.abs(ours - theirs) <= tolerance * np.maximum(1, np.abs(theirs))))


# ---------------------------------------------------------------- elementwise rows


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def sign(x: Any) -> Any:
    return mp.mpf((x > 0) - (x < 0))


def spherical_jn(n: Any, x: Any) -> Any:
    """By its series, DLMF 10.53.1: exact at x = 0 too."""
    n = int(n)
    return x**n / mp.fac2(2 * n + 1) * mp.hyp0f1(n + mp.mpf(3) / 2, -x * x / 4)


REAL = [-20.3, -6.1, -1.7, -0.4, -1e-7, 0.0, 1e-6, 0.3, 1.1, 5.9, 20.7]
MODEST = [
    -3.1,
    -1.2,
    -0.4,
    -1e-7,
    0.0,
    1e-6,
    0.3,
    1.1,
    2.9,
]  # fast growth: absolute and relative meet
POSITIVE = [1e-3, 0.04, 0.7, 1.0, 1.4616321449683622, 3.2, 17.0, 250.0, 1e6]
NONZERO = [-1e6, -3.0, -1e-9, 1e-9, 0.7, 2.0, 1e8]
UNIT = [-0.999, -0.7, -0.2, -1e-8, 0.0, 0.3, 0.8, 0.9999]

# name -> (mpmath's value, points for each argument, highest order)
ORACLES: dict[str, tuple[Callable[..., Any], Sequence[tuple[float, ...]], int]] = {
    "pi": (lambda: mp.pi, [()], 0),
    "exp": (mp.exp, [(x,) for x in REAL], 3),
    "expm1": (mp.expm1, [(x,) for x in REAL], 3),
    "log": (mp.log, [(x,) for x in POSITIVE], 3),
    "log1p": (mp.log1p, [(x,) for x in (-0.999, -0.5, -1e-9, 0.0, 1e-9, 2.0, 1e6)], 3),
    "log2": (lambda x: mp.log(x, 2), [(x,) for x in POSITIVE], 3),
    "log10": (mp.log10, [(x,) for x in POSITIVE], 3),
    "sqrt": (mp.sqrt, [(x,) for x in POSITIVE], 3),
    "cbrt": (lambda x: sign(x) * mp.cbrt(abs(x)), [(x,) for x in (-40.0, -1.2, 0.3, 8.0, 1e6)], 3),
    "pow": (
        mp.power,
        list(itertools.product((0.04, 0.7, 1.0, 3.2, 40.0), (-2.5, -1.0, 0.0, 0.5, 3.0)))
        + list(itertools.product((-1.7, -0.3, 2.2), (2.0, 3.0, -1.0))),
        2,
    ),
    "sin": (mp.sin, [(x,) for x in REAL], 3),
    "cos": (mp.cos, [(x,) for x in REAL], 3),
    "tan": (mp.tan, [(x,) for x in (-4.5, -1.2, -1e-8, 0.0, 0.6, 1.5, 3.0)], 3),
    "asin": (mp.asin, [(x,) for x in UNIT], 3),
    "acos": (mp.acos, [(x,) for x in UNIT], 3),
    "atan": (mp.atan, [(x,) for x in [*REAL, -1e5, 1e5]], 3),
    "atan2": (
        mp.atan2,
        list(itertools.product((-3.0, -0.2, 0.5, 40.0), (-2.0, -1e-3, 0.3, 7.0))),
        2,
    ),
    "sinc": (mp.sinc, [(x,) for x in [*REAL, -1e-3, 1e-9]], 3),
    "spherical_jn": (
        spherical_jn,
        list(itertools.product((0.0, 1.0, 2.0, 5.0), (-6.1, -0.4, 0.0, 1e-6, 0.3, 20.7))),
        3,
    ),
    "sinh": (mp.sinh, [(x,) for x in REAL], 3),
    "cosh": (mp.cosh, [(x,) for x in REAL], 3),
    "tanh": (mp.tanh, [(x,) for x in REAL], 3),
    "asinh": (mp.asinh, [(x,) for x in REAL], 3),
    "acosh": (mp.acosh, [(x,) for x in (1.001, 1.3, 2.0, 17.0, 1e6)], 3),
    "atanh": (mp.atanh, [(x,) for x in UNIT], 3),
    "sigmoid": (sigmoid, [(x,) for x in [*REAL, -300.0, 300.0]], 3),
    "softplus": (lambda x: mp.log(1 + mp.exp(x)), [(x,) for x in [*REAL, -60.0, 60.0]], 3),
    "relu": (lambda x: max(x, mp.mpf(0)), [(x,) for x in NONZERO], 2),
    "erf": (mp.erf, [(x,) for x in MODEST], 3),
    "erfc": (mp.erfc, [(x,) for x in [*MODEST, 5.0]], 3),
    "lgamma": (mp.loggamma, [(x,) for x in POSITIVE], 3),
    "digamma": (mp.digamma, [(x,) for x in POSITIVE], 3),
    "polygamma": (
        lambda n, x: mp.polygamma(int(n), x),
        list(itertools.product((0.0, 1.0, 2.0, 3.0), POSITIVE[1:])),
        2,
    ),
    "abs": (abs, [(x,) for x in NONZERO], 2),
    "sign": (sign, [(x,) for x in NONZERO], 2),
    "step": (lambda x: mp.mpf(x > 0), [(x,) for x in NONZERO], 2),
    "max": (max, list(itertools.product((-2.0, 0.5), (-1.0, 3.0))), 2),
    "min": (min, list(itertools.product((-2.0, 0.5), (-1.0, 3.0))), 2),
    "where": (
        lambda c, a, b: a if c else b,
        list(itertools.product((0.0, 1.0), (-2.0, 0.5), (3.0,))),
        2,
    ),
    "lt": (lambda a, b: mp.mpf(a < b), [(1.0, 2.0), (2.0, 1.0), (2.0, 2.0)], 0),
    "le": (lambda a, b: mp.mpf(a <= b), [(1.0, 2.0), (2.0, 1.0), (2.0, 2.0)], 0),
    "gt": (lambda a, b: mp.mpf(a > b), [(1.0, 2.0), (2.0, 1.0), (2.0, 2.0)], 0),
    "ge": (lambda a, b: mp.mpf(a >= b), [(1.0, 2.0), (2.0, 1.0), (2.0, 2.0)], 0),
    "eq": (lambda a, b: mp.mpf(a == b), [(1.0, 2.0), (2.0, 2.0)], 0),
    "ne": (lambda a, b: mp.mpf(a != b), [(1.0, 2.0), (2.0, 2.0)], 0),
}
INFIX = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


def written(name: str, arguments: Sequence[str]) -> str:
    """A row applied to scalars, in index notation."""
    if name == "pow":
        return "({})^({})".format(*arguments)
    if name in INFIX:
        return f"where({arguments[0]} {INFIX[name]} {arguments[1]}, 1, 0)"
    return f"{name}({', '.join(arguments)})" if arguments else name


def true_derivative(f: Callable[..., Any], point: Sequence[float], orders: Sequence[int]) -> float:
    """The mixed partial derivative of the orders given, by mpmath's differences at twice the digits."""
    with mp.workdps(2 * DIGITS):
        return float(
            mp.diff(f, tuple(map(mp.mpf, point)), tuple(orders))
            if any(orders)
            else f(*map(mp.mpf, point))
        )


def test_every_elementwise_row_has_an_oracle_here():
    assert set(ORACLES) == set(ELEMENTWISE)


@pytest.mark.parametrize("name", ORACLES)
def test_row_and_its_derivatives_agree_with_fifty_digits(name):
    f, points, highest = ORACLES[name]
    names = list(ELEMENTWISE[name].arguments)
    e = ed.parse(written(name, names))
    row = ELEMENTWISE[name]
    fixed = [n for n, d in zip(row.arguments, row.derivatives, strict=True) if d is None]
    fixed += ["c"] * (name == "where")
    for order in range(highest + 1):
        for by in itertools.combinations_with_replacement(
            [n for n in names if n not in fixed], order
        ):
            d = e.diff(*by) if by else e
            for point in points:
                if name == "pow" and "p" in by and point[0] <= 0:
                    continue  # the derivative by the exponent needs a positive base
                ours = float(d(dict(zip(names, map(np.float64, point), strict=True))))
                if name in INFIX or name == "where":
                    theirs = (
                        float(f(*point))
                        if not by
                        else float(
                            name == "where"
                            and len(by) == 1
                            and (by[0] == ("a" if point[0] else "b"))
                        )
                    )
                else:
                    theirs = true_derivative(f, point, [by.count(n) for n in names])
                assert close(ours, theirs), (
                    f"{name}{point} by {by}: {ours!r}, right {theirs!r}: {d}"
                )


@pytest.mark.parametrize("name", [n for n, row in ELEMENTWISE.items() if len(row.arguments) == 1])
def test_row_acts_entry_by_entry_and_its_jacobian_is_diagonal(name):
    points = np.array([p[0] for p in ORACLES[name][1]][:4])
    e, one = ed.parse(f"y[i] = {name}(x[i])"), ed.parse(f"{name}(x)")
    assert np.array_equal(e(x=points), [one(x=p) for p in points])
    assert np.array_equal(e.diff("x")(x=points), np.diag([one.diff("x")(x=p) for p in points]))


@pytest.mark.parametrize(
    "name", [n for n, row in ELEMENTWISE.items() if row.holomorphic and len(row.arguments) == 1]
)
def test_holomorphic_row_takes_complex_steps(name):
    """Im f(x + ih)/h is f'(x) to rounding, without any difference, since h^2 = 1e-40 vanishes."""
    h = 1e-20
    e = ed.parse(f"{name}(x)")
    if name == "pi":
        return
    for (x,) in ORACLES[name][1]:
        if (name in ("lgamma", "digamma") and x > 300) or (name.startswith("erf") and abs(x) > 3):
            continue  # SciPy's complex versions lose the imaginary part there
        slope = e(x=np.complex128(complex(x, h))).imag / h
        assert close(slope, e.diff("x")(x=np.float64(x)), 1e-9), (name, x)


# ---------------------------------------------------------------- tails keep their relative digits


@pytest.mark.parametrize(
    ("text", "f", "points"),
    [
        ("sigmoid(x)", sigmoid, (-700.0, -40.0, 40.0, 700.0)),
        ("1/(1 + exp(-x))", sigmoid, (-700.0, -40.0, 40.0)),
        ("1 - sigmoid(x)", lambda x: 1 - sigmoid(x), (-40.0, 40.0, 700.0)),
        ("softplus(x)", lambda x: mp.log(1 + mp.exp(x)), (-700.0, -40.0, 40.0, 1e5)),
        ("expm1(x)", mp.expm1, (-1e-12, 1e-12)),
        ("log1p(x)", mp.log1p, (-1e-12, 1e-12)),
        ("erfc(x)", mp.erfc, (5.0, 20.0)),
        ("log(sigmoid(x))", lambda x: mp.log(sigmoid(x)), (-700.0, -40.0, 40.0)),
    ],
)
def test_tail_has_ten_relative_digits_to_order_two_after_simplification(text, f, points):
    e = ed.parse(text).simplify()
    for order in (0, 1, 2):
        d = e.diff("x", order=order) if order else e
        for x in points:
            with mp.workdps(700):  # 1 + exp(-700) needs 300 digits, its differences more
                theirs = mp.diff(f, mp.mpf(x), order) if order else f(mp.mpf(x))
            ours = float(d(x=np.float64(x)))
            assert abs(ours - theirs) <= 1e-10 * abs(theirs), (
                text,
                order,
                x,
                ours,
                mp.nstr(theirs, 15),
                str(d),
            )


@pytest.mark.parametrize(
    "text",
    ["log(1 + exp(x))", "1/(1 + exp(-x))", "exp(x)/(1 + exp(x))", "log(sigmoid(x))", "tanh(x)"],
)
@pytest.mark.parametrize("x", [-1000.0, 1000.0])
def test_textbook_form_is_finite_after_simplification_to_order_two(text, x):
    e = ed.parse(text).simplify()
    limits = {
        "log(1 + exp(x))": (max(x, 0), float(x > 0), 0),
        "log(sigmoid(x))": (min(x, 0), float(x < 0), 0),
        "tanh(x)": (np.sign(x), 0, 0),
    }.get(text, (float(x > 0), 0, 0))
    with np.errstate(all="raise", under="ignore"):
        for order, limit in enumerate(limits):
            d = e.diff("x", order=order) if order else e
            assert d(x=np.float64(x)) == limit, (text, order, str(d))


def test_derivatives_of_the_textbook_softplus_are_finite_without_asking_for_simplification():
    e = ed.parse("log(1 + exp(x))")
    for x, slope in ((1000.0, 1.0), (-1000.0, 0.0)):
        assert e(x=np.float64(x)) == max(x, 0)
        assert e.diff("x")(x=np.float64(x)) == slope
        assert e.diff("x", order=2)(x=np.float64(x)) == 0


@pytest.mark.parametrize("text", ["logsumexp[i](x[i])", "log(sum[i](exp(x[i])))"])
def test_logsumexp_of_huge_entries_is_finite_to_order_two(text):
    x = np.array([1000.0, 1000.0, -1000.0])
    e = ed.parse(text).simplify()
    assert close(e(x=x), 1000 + np.log(2), 1e-15)
    assert np.array_equal(e.grad("x")(x=x), [0.5, 0.5, 0])
    assert np.array_equal(e.hessian("x")(x=x), [[0.25, -0.25, 0], [-0.25, 0.25, 0], [0, 0, 0]])


@pytest.mark.parametrize("text", ["y[i] = softmax[i](x[i])", "y[i] = exp(x[i])/sum[j](exp(x[j]))"])
def test_softmax_of_huge_entries_is_finite_to_order_two(text):
    x = np.array([1000.0, 1000.0, -1000.0])
    e = ed.parse(text).simplify()
    assert np.array_equal(e(x=x), [0.5, 0.5, 0])
    assert np.array_equal(e.diff("x")(x=x), [[0.25, -0.25, 0], [-0.25, 0.25, 0], [0, 0, 0]])
    assert np.array_equal(
        e.diff("x", order=2)(x=x), np.zeros((3, 3, 3))
    )  # s'' = s'(1 - 2s) = 0 at a half


# ---------------------------------------------------------------- kinks and guards


@pytest.mark.parametrize(
    ("text", "value", "slope"),
    [
        ("abs(x)", 0, 0),
        ("sign(x)", 0, 0),
        ("relu(x)", 0, 0),
        ("step(x)", 0, 0),
        ("max(x, 0)", 0, 0.5),
        ("min(x, 0)", 0, 0.5),
        ("max(x, x)", 0, 1),
        ("min(x, 2*x)", 0, 1.5),
    ],
)
def test_value_and_derivative_at_the_kink(text, value, slope):
    e = ed.parse(text)
    assert e(x=0.0) == value
    assert e.diff("x")(x=0.0) == slope
    assert e.diff("x", order=2)(x=0.0) == 0


@pytest.mark.parametrize("name", ["max", "min"])
def test_equal_arguments_share_the_derivative(name):
    e = ed.parse(f"{name}(a, b)")
    for argument in "ab":
        assert e.diff(argument)(a=3.0, b=3.0) == 0.5


@pytest.mark.parametrize(("name", "sign"), [("max", 1), ("min", -1)])
def test_tied_entries_of_a_reduction_share_the_derivative(name, sign):
    e = ed.parse(f"{name}[i](x[i])")
    x = sign * np.array([1.0, 5.0, 5.0, -2.0, 5.0])
    assert e(x=x) == sign * 5
    assert np.array_equal(e.grad("x")(x=x), np.array([0, 1, 1, 0, 1]) / 3)
    assert np.array_equal(e.hessian("x")(x=x), np.zeros((5, 5)))


@pytest.mark.parametrize(("name", "sign"), [("max", 1), ("min", -1)])
def test_tied_entries_of_a_reduction_over_two_axes_share_the_derivative(name, sign):
    e = ed.parse(f"y[b] = {name}[i,j](A[b,i,j])")
    A = sign * np.array([[[4.0, 1.0, 4.0], [0.0, 4.0, 4.0]], [[0.0, 1.0, 2.0], [3.0, 9.0, 4.0]]])
    assert np.array_equal(e(A=A), sign * np.array([4, 9]))
    right = np.zeros((2, 2, 2, 3))
    right[0, 0] = np.array([[1, 0, 1], [0, 1, 1]]) / 4
    right[1, 1, 1, 1] = 1
    assert np.array_equal(e.diff("A")(A=A), right)


@pytest.mark.parametrize(
    "text",
    [
        "where(x > 0, log(x), 0)",
        "where(x > 0, sqrt(x), 0)",
        "where(x > 0, x*log(x), 0)",
        "where(x > 0, exp(-1/x), 0)",
        "where(x > 0, exp(1/x), 0)",
        "where(x > 0, sin(log(x)), 0)",
        "where(x > 0, x^(1/2)*log(x), 0)",
        "where(x <= 0, 0, log(x)^2)",
        "where(x > 0, lgamma(x), 0)",
    ],
)
@pytest.mark.parametrize("x", [0.0, -1.0])
def test_guarded_branch_outside_its_domain_is_zero_to_order_two(text, x):
    for order in (0, 1, 2):
        e = ed.parse(text)
        d = e.diff("x", order=order) if order else e
        with np.errstate(all="ignore"):
            assert d(x=np.float64(x)) == 0, (text, order, str(d))


def test_guarded_branch_of_a_vector_is_right_inside_and_zero_outside():
    e = ed.parse("sum[i](where(x[i] > 0, log(x[i]), 0))")
    x = np.array([-1.0, 0.0, 2.0])
    with np.errstate(all="ignore"):
        assert e(x=x) == np.log(2)
        assert np.array_equal(e.grad("x")(x=x), [0, 0, 0.5])
        assert np.array_equal(e.hessian("x")(x=x), np.diag([0, 0, -0.25]))


# ---------------------------------------------------------------- whole rows


def determinant(matrix: list[list[Any]]) -> Any:
    """Laplace's expansion."""
    if not matrix:
        return mp.mpf(1)
    return sum(
        (-1) ** k * top * determinant([row[:k] + row[k + 1 :] for row in matrix[1:]])
        for k, top in enumerate(matrix[0])
    )


def inverse(matrix: list[list[Any]]) -> list[list[Any]]:
    """The adjugate over the determinant."""
    size = range(len(matrix))
    whole = determinant(matrix)
    minor = lambda i, j: determinant([r[:j] + r[j + 1 :] for k, r in enumerate(matrix) if k != i])  # noqa: E731
    return [[(-1) ** (i + j) * minor(j, i) / whole for j in size] for i in size]


def cholesky(matrix: list[list[Any]]) -> list[list[Any]]:
    """The factor of the symmetric part, column after column."""
    size = range(len(matrix))
    low = [[mp.mpf(0)] * len(matrix) for _ in size]
    for j in size:
        for i in size[j:]:
            rest = (matrix[i][j] + matrix[j][i]) / 2 - sum(low[i][k] * low[j][k] for k in range(j))
            low[i][j] = mp.sqrt(rest) if i == j else rest / low[j][j]
    return low


def softmax(row: list[Any]) -> list[Any]:
    e = [mp.exp(x) for x in row]
    return [x / sum(e) for x in e]


def directional(matrix: list[list[Any]], order: int) -> list[Any]:
    """Derivatives of the power series of expm, by differences with 60 digits."""
    x = objects(matrix, (len(matrix),) * 2)
    f = lambda a: objects(mp.expm(mp.matrix(a.tolist()), method="taylor").tolist(), a.shape)  # noqa: E731
    return differences(f, x, order).tolist()


# name -> function of a flat list of entries or of a matrix (list of rows), with mpmath numbers
WHOLE_ORACLES: dict[str, Callable[[Any], Any]] = {
    "prod": lambda r: mp.fprod(r),
    "prodexcept": lambda r: [mp.fprod(r[:k] + r[k + 1 :]) for k in range(len(r))],
    "max": max,
    "min": min,
    "logsumexp": lambda r: mp.log(sum(mp.exp(x) for x in r)),
    "softmax": softmax,
    "logsoftmax": lambda r: [mp.log(x) for x in softmax(r)],
    "inv": inverse,
    "det": determinant,
    "logdet": lambda m: mp.log(abs(determinant(m))),
    "cholesky": cholesky,
    "cumsum": lambda r: [mp.fsum(r[: k + 1]) for k in range(len(r))],
    "revcumsum": lambda r: [mp.fsum(r[k:]) for k in range(len(r))],
    "cumprod": lambda r: [mp.fprod(r[: k + 1]) for k in range(len(r))],
    "expm": lambda m: mp.expm(mp.matrix(m)).tolist(),
    "dexpm": lambda m: directional(m, 1),
    "d2expm": lambda m: directional(m, 2),
    "tril": lambda m: [
        [x if j <= i else mp.mpf(0) for j, x in enumerate(row)] for i, row in enumerate(m)
    ],
}


def objects(value: Any, shape: tuple[int, ...]) -> Array:
    result = np.empty(shape, dtype=object)
    for place in np.ndindex(*shape):
        entry = value
        for k in place:
            entry = entry[k]
        result[place] = entry
    return result


def whole_value(name: str, x: Array, width: int) -> Array:
    """The row over the last `width` axes, the others batch axes, in mpmath numbers."""
    row = WHOLE[name]
    count = row.signature.partition("->")[2].count("n")
    batch = x.shape[: x.ndim - width]
    core = x.shape[x.ndim - width :]
    shape = core[:1] * count if row.matrix else core * count
    result = np.empty((*batch, *shape), dtype=object)
    for place in np.ndindex(*batch):
        entries = x[place].tolist() if row.matrix else x[place].ravel().tolist()
        value = WHOLE_ORACLES[name](entries)
        if count:
            result[place] = objects(value, shape if row.matrix else (x[place].size,)).reshape(shape)
        else:
            result[place] = value
    return result


def differences(f: Callable[[Array], Array], x: Array, order: int) -> Array:
    """Derivatives by central differences with 60 digits and steps of 1e-15: errors below 1e-25."""
    if not order:
        return f(x)
    h = mp.mpf(10) ** -15
    columns = []
    for place in np.ndindex(*x.shape):
        above, below = x.copy(), x.copy()
        above[place] += h
        below[place] -= h
        columns.append(
            (differences(f, above, order - 1) - differences(f, below, order - 1)) / (2 * h)
        )
    stacked = np.array(columns, dtype=object)
    return np.moveaxis(stacked, 0, -1).reshape((*stacked.shape[1:], *x.shape))


def cases(name: str) -> list[tuple[str, str, tuple[int, ...], int]]:
    """(text, row, shape, how many axes at once): plain, with a batch axis, over two axes at once."""
    row = WHOLE[name]
    result = row.signature.partition("->")[2].count("n")
    if row.matrix:
        behind = f"[{','.join('pqrstu'[:result])}]" if result else ""
        free = ",".join("pqrstu"[:result])
        side = 3 if result <= 2 else 2
        return [
            (f"y[{free}] = {name}(x){behind}" if free else f"y = {name}(x)", name, (side, side), 2),
            (
                f"y[{','.join(['b', *free.split(',')]) if free else 'b'}] = {name}[i,j](x[b,i,j]){behind}",
                name,
                (2, 2, 2),
                2,
            ),
        ]
    plain, both = ("i", "i,j") if result else ("", "")
    return [
        (f"y[{plain}] = {name}[i](x[i])" if result else f"y = {name}[i](x[i])", name, (4,), 1),
        (f"y[{'b,' * bool(plain) + plain or 'b'}] = {name}[i](x[b,i])", name, (2, 3), 1),
        (
            f"y[{both}] = {name}[i,j](x[i,j])" if result else f"y = {name}[i,j](x[i,j])",
            name,
            (2, 2),
            2,
        ),
        (f"y[{'b,' * bool(both) + both or 'b'}] = {name}[i,j](x[b,i,j])", name, (2, 2, 2), 2),
    ]


WHOLE_CASES = [case for name in WHOLE for case in cases(name)]


def test_every_whole_row_has_an_oracle_and_a_case_with_a_batch_axis():
    assert set(WHOLE_ORACLES) == set(WHOLE) == {name for _, name, _, _ in WHOLE_CASES}
    assert {name for _, name, shape, width in WHOLE_CASES if len(shape) > width} == set(WHOLE)


def highest_order(name: str) -> int:
    """Two, or how often a row has a differential: that of dexpm is d2expm, which has none."""
    return {"dexpm": 1, "d2expm": 0}.get(name, 2)


def test_a_row_without_a_differential_is_refused_by_name():
    e = ed.parse("x : (n, n)\ny[i,j,k,l,p,q] = d2expm(x)[i,j,k,l,p,q]")
    with pytest.raises(ed.DerivativeError, match="d2expm has no derivative"):
        e.diff("x")


@pytest.mark.parametrize(
    ("text", "name", "shape", "width"), WHOLE_CASES, ids=[c[0] for c in WHOLE_CASES]
)
def test_whole_row_and_its_derivatives_agree_with_sixty_digits(text, name, shape, width):
    rng = np.random.default_rng(2026)  # distinct entries: no ties
    x = rng.uniform(-1.5, 1.5, shape)
    if WHOLE[name].matrix:
        x = x / 2 + 3 * np.eye(shape[-1])
    e = ed.parse(text)
    with mp.workdps(60):
        exact = np.vectorize(mp.mpf, otypes=[object])(x)
        for order in range(highest_order(name) + 1):
            theirs = differences(lambda a: whole_value(name, a, width), exact, order)
            ours = e.diff("x", order=order)(x=x) if order else e(x=x)
            assert close(ours, theirs), f"order {order}, seed 2026: {e.diff('x', order=order)}"


@pytest.mark.parametrize("name", ["det", "logdet"])
def test_determinant_of_a_matrix_with_negative_determinant(name):
    x = np.array([[0.3, 2.0], [1.5, -0.4]])
    e = ed.parse(f"{name}(x)")
    with mp.workdps(60):
        exact = np.vectorize(mp.mpf, otypes=[object])(x)
        for order in (0, 1, 2):
            theirs = differences(lambda a: whole_value(name, a, 2), exact, order)
            assert close(e.diff("x", order=order)(x=x) if order else e(x=x), theirs)


def test_cholesky_reads_the_symmetric_part_of_its_argument():
    x = np.array([[4.0, 1.0], [3.0, 5.0]])
    e = ed.parse("y[i,j] = cholesky(x)[i,j]")
    assert close(e(x=x), np.linalg.cholesky([[4, 2], [2, 5]]), 1e-15)
    d = e.diff("x")(x=x)
    assert close(d, d.transpose(0, 1, 3, 2), 1e-15)


@pytest.mark.parametrize(
    "zeros", [(), (1,), (0, 2), (0, 1, 3), (0, 1, 2, 3)], ids=lambda z: f"{len(z)} zeros"
)
def test_product_with_zeros_is_right_to_order_two(zeros):
    x = np.array([2.0, -3.0, 5.0, 7.0])
    x[list(zeros)] = 0
    e = ed.parse("prod[i](x[i])")
    without = lambda *k: np.prod([v for place, v in enumerate(x) if place not in k])  # noqa: E731
    assert e(x=x) == np.prod(x)
    assert np.array_equal(e.grad("x")(x=x), [without(i) for i in range(4)])
    right = [[0 if i == j else without(i, j) for j in range(4)] for i in range(4)]
    assert np.array_equal(e.hessian("x")(x=x), right)


def test_product_over_two_axes_with_zeros_is_right_to_order_two():
    x = np.array([[2.0, 0.0], [0.0, 7.0]])
    e = ed.parse("prod[i,j](x[i,j])")
    assert np.array_equal(e.grad("x")(x=x), np.zeros((2, 2)))
    right = np.zeros((2, 2, 2, 2))
    right[0, 1, 1, 0] = right[1, 0, 0, 1] = 14
    assert np.array_equal(e.hessian("x")(x=x), right)


@pytest.mark.parametrize("extent", [1, 2, 5])
def test_products_of_any_extent_have_their_first_derivative(extent):
    x = np.arange(2.0, 2 + extent)
    right = [np.prod(np.delete(x, k)) for k in range(extent)]
    assert np.array_equal(ed.parse("prod[i](x[i])").grad("x")(x=x), right)


@pytest.mark.parametrize("name", ["n", "c"])
def test_argument_without_derivative_is_refused_by_name(name):
    with pytest.raises(ed.DerivativeError, match="polygamma"):
        ed.parse(f"polygamma({name}, x)").diff(name)
