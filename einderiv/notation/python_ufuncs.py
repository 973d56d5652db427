"""NumPy's universal functions on symbols: what works entry by entry, and their reductions.

In: a ufunc with its arguments, some of them symbols. Out: a symbol.
Invariant: UFUNCS has a row for each function, by the name that NumPy or SciPy gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np

from ..canonical import elementwise, literal, power
from .python_axes import rank_of, reduced, with_axes_behind
from .python_operands import Symbolic, made, mapped, number, operand, product, raised, total
from .python_products import matmul
from .python_refusals import refuse

HALF = Fraction(1, 2)


def quotient(a: Any, b: Any) -> Any:
    return product([a, raised(b, -1) if isinstance(b, Symbolic) else _inverse(b, a)], "/")


def _inverse(value: Any, owner: Any) -> Any:
    exact = number(value)
    if exact is not None:
        if not exact:
            refuse("a division by 0", "the divisor is the number 0", "divide by something else")
        return 1 / exact
    term, context = operand(value, owner._context)
    return made(owner, power(term, Fraction(-1)), context)


def _function(name: str) -> Callable[..., Any]:
    return lambda *arguments: mapped(name, arguments)


def _square_root(x: Any) -> Any:
    return raised(x, HALF)


def _squared_plus(x: Any, c: int) -> Any:
    return total([raised(x, 2), c], [1, 1])


def _logarithm(base: int) -> Callable[..., Any]:
    return lambda x: quotient(mapped("log", [x]), mapped("log", [made(x, literal(base))]))


def _turned(half_turn: int) -> Callable[..., Any]:
    """Angles whose half turn is 180, in radians; or those in radians, whose half turn is 1, in degrees."""

    def function(x: Any) -> Any:
        pi = made(x, elementwise("pi", []))
        if half_turn == 1:
            return quotient(product([x, 180]), pi)
        return product([x, pi, Fraction(1, half_turn)])

    return function


def _arcsinh(x: Any) -> Any:
    """+-log1p(y + y^2/(1 + sqrt(1 + y^2))) for y = |x|: no digits are lost on either side of 0."""
    below = mapped("lt", [x, 0])
    y = mapped("where", [below, product([x, -1]), x])
    slow = quotient(raised(y, 2), total([_square_root(_squared_plus(y, 1)), 1], [1, 1]))
    return product([mapped("where", [below, -1, 1]), mapped("log1p", [total([y, slow], [1, 1])])])


def _arccosh(x: Any) -> Any:
    """log1p(y + sqrt(y^2 + 2y)) for y = x - 1."""
    y = total([x, 1], [1, -1])
    root = _square_root(total([raised(y, 2), y, y], [1, 1, 1]))
    return mapped("log1p", [total([y, root], [1, 1])])


def _arctanh(x: Any) -> Any:
    minus = mapped("log1p", [product([x, -1])])
    return product([total([mapped("log1p", [x]), minus], [1, -1]), HALF])


def _holds(x: Any) -> Any:
    """1 where x is not 0: the truth of numbers."""
    return mapped("ne", [x, 0])


def _relative_entropy(x: Any, y: Any) -> Any:
    return product([x, total([mapped("log", [x]), mapped("log", [y])], [1, -1])])


def _log_beta(a: Any, b: Any) -> Any:
    gammas = [mapped("lgamma", [x]) for x in (a, b, total([a, b], [1, 1]))]
    return total(gammas, [1, 1, -1])


UFUNCS: dict[str, Callable[..., Any]] = {
    # arithmetic
    "add": lambda a, b: total([a, b], [1, 1]),
    "subtract": lambda a, b: total([a, b], [1, -1], "-"),
    "multiply": lambda a, b: product([a, b]),
    "divide": quotient,
    "negative": lambda a: product([a, -1]),
    "positive": lambda a: a,
    "conjugate": lambda a: a,  # terms are real
    "power": raised,
    "float_power": raised,
    "square": lambda a: raised(a, 2),
    "reciprocal": lambda a: raised(a, -1),
    "sqrt": _square_root,
    "cbrt": lambda a: product([mapped("sign", [a]), raised(mapped("abs", [a]), Fraction(1, 3))]),
    "hypot": lambda a, b: _square_root(total([raised(a, 2), raised(b, 2)], [1, 1])),
    # exponentials and logarithms
    "exp": _function("exp"),
    "exp2": lambda a: raised(2, a),
    "expm1": _function("expm1"),
    "log": _function("log"),
    "log2": _logarithm(2),
    "log10": _logarithm(10),
    "log1p": _function("log1p"),
    "logaddexp": lambda a, b: total([a, mapped("softplus", [total([b, a], [1, -1])])], [1, 1]),
    # trigonometric and hyperbolic functions
    "sin": _function("sin"),
    "cos": _function("cos"),
    "tan": _function("tan"),
    "arcsin": _function("asin"),
    "arccos": _function("acos"),
    "arctan": _function("atan"),
    "arctan2": _function("atan2"),
    "deg2rad": _turned(180),
    "radians": _turned(180),
    "rad2deg": _turned(1),
    "degrees": _turned(1),
    "sinh": _function("sinh"),
    "cosh": _function("cosh"),
    "tanh": _function("tanh"),
    "arcsinh": _arcsinh,
    "arccosh": _arccosh,
    "arctanh": _arctanh,
    # pieces and choices
    "absolute": _function("abs"),
    "fabs": _function("abs"),
    "sign": _function("sign"),
    "heaviside": lambda x, h: mapped(
        "where", [mapped("eq", [x, 0]), h, mapped("where", [mapped("gt", [x, 0]), 1, 0])]
    ),
    "maximum": _function("max"),
    "minimum": _function("min"),
    "fmax": _function("max"),
    "fmin": _function("min"),
    # conditions: 1 where they hold, else 0
    "less": _function("lt"),
    "less_equal": _function("le"),
    "greater": _function("gt"),
    "greater_equal": _function("ge"),
    "equal": _function("eq"),
    "not_equal": _function("ne"),
    "logical_not": lambda x: mapped("eq", [x, 0]),
    "logical_and": lambda a, b: product([_holds(a), _holds(b)]),
    "logical_or": lambda a, b: mapped("max", [_holds(a), _holds(b)]),
    "logical_xor": lambda a, b: mapped("ne", [_holds(a), _holds(b)]),
    # products of arrays
    "matmul": lambda a, b: matmul(a, b),
    "vecdot": lambda a, b: reduced("sum", product([a, b]), -1),
    # scipy.special
    "expit": _function("sigmoid"),
    "log_expit": lambda x: product([mapped("softplus", [product([x, -1])]), -1]),
    "logit": lambda x: total([mapped("log", [x]), mapped("log1p", [product([x, -1])])], [1, -1]),
    "erf": _function("erf"),
    "erfc": _function("erfc"),
    "ndtr": lambda x: product(
        [mapped("erfc", [product([x, -1, raised(made(x, literal(2)), -HALF)])]), HALF]
    ),
    "gammaln": _function("lgamma"),
    "loggamma": _function("lgamma"),
    "betaln": _log_beta,
    "psi": _function("digamma"),
    "digamma": _function("digamma"),
    "xlogy": lambda x, y: product([x, mapped("log", [y])]),
    "xlog1py": lambda x, y: product([x, mapped("log1p", [y])]),
    "entr": lambda x: product([x, mapped("log", [x]), -1]),
    "rel_entr": _relative_entropy,
    "kl_div": lambda x, y: total([_relative_entropy(x, y), x, y], [1, -1, 1]),
}

# ufuncs of bool arrays: the same rows
UFUNCS["bitwise_and"] = UFUNCS["logical_and"]
UFUNCS["bitwise_or"] = UFUNCS["logical_or"]
UFUNCS["bitwise_xor"] = UFUNCS["logical_xor"]
UFUNCS["invert"] = UFUNCS["logical_not"]

REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logaddexp": "logsumexp",
}
_WITHOUT_EFFECT = ("dtype", "casting", "order", "subok", "signature")


def ufunc(function: np.ufunc, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """What `__array_ufunc__` answers."""
    name = function.__name__
    given = {key: value for key, value in options.items() if key not in _WITHOUT_EFFECT}
    if given.get("out") is not None:
        refuse(
            f"np.{name} writes into an array (out=)",
            "a symbol has no memory to write into",
            f"use the result: y = np.{name}(x)",
        )
    given.pop("out", None)
    if given.get("where", True) is True:
        given.pop("where", None)
    if method == "reduce" and name in REDUCTIONS:
        axis, keepdims = given.pop("axis", 0), given.pop("keepdims", False)
        if not given:
            return reduced(REDUCTIONS[name], inputs[0], axis, keepdims)
    elif method == "outer" and name in UFUNCS and not given:
        a, b = inputs
        return UFUNCS[name](with_axes_behind(a, rank_of(b)), b)
    elif method == "__call__" and name in UFUNCS and not given:
        return UFUNCS[name](*inputs)
    no_meaning(f"np.{name}" + ("" if method == "__call__" else f".{method}"), given)


def no_meaning(call: str, options: Iterable[str] = ()) -> NoReturn:
    """Refuse a function, or what it is given."""
    refuse(
        f"{call} has no meaning for symbols" + (f" with {', '.join(options)}=" if options else ""),
        "supported are arithmetic, elementwise functions, sums, products of arrays, linear algebra",
        "rewrite it with these, or compute it beforehand and pass the result",
    )
