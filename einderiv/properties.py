"""Signs of terms: what is known of all their entries, whatever real arrays are given.

In: terms. Out: an interval that holds every entry, and whether none is negative.
Invariant: what is claimed holds for all finite real entries that the assumptions allow; where nothing can be
proved the interval is the whole line.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import inf

from .expr import Apply, Contraction, Delta, Expr, Extent, Literal, Map, Ones, Sum, Variable
from .structure import base_and_exponent, split_scale, sums_a_label
from .walk import fold

Interval = tuple[float, float]

ANY: Interval = (-inf, inf)
NONNEGATIVE: Interval = (0.0, inf)
UNIT: Interval = (0.0, 1.0)
SIGNED_UNIT: Interval = (-1.0, 1.0)

# What a function of real entries lies in, whatever its arguments.
RANGES: dict[str, Interval] = {
    "exp": NONNEGATIVE,
    "expm1": (-1.0, inf),
    "sqrt": NONNEGATIVE,
    "sin": SIGNED_UNIT,
    "cos": SIGNED_UNIT,
    "asin": (-1.6, 1.6),
    "acos": (0.0, 3.2),
    "atan": (-1.6, 1.6),
    "atan2": (-3.2, 3.2),
    "cosh": (1.0, inf),
    "tanh": SIGNED_UNIT,
    "sigmoid": UNIT,
    "softplus": NONNEGATIVE,
    "relu": NONNEGATIVE,
    "erf": SIGNED_UNIT,
    "erfc": (0.0, 2.0),
    "abs": NONNEGATIVE,
    "sign": SIGNED_UNIT,
    "step": UNIT,
    "lt": UNIT,
    "le": UNIT,
    "gt": UNIT,
    "ge": UNIT,
    "eq": UNIT,
    "ne": UNIT,
    "pi": (3.0, 4.0),
    "softmax": UNIT,
    "logsoftmax": (-inf, 0.0),
}
# Functions that keep the order of their argument and the sign of it.
ODD_AND_RISING = frozenset({"expm1", "log1p", "sinh", "tanh", "asin", "atan", "erf", "sign", "tan"})
# Functions of several entries that lie between the least and the largest of them.
BETWEEN = frozenset({"max", "min"})
# Functions of the last axes that are not negative where the entries are not.
KEEP_SIGN = frozenset({"prod", "prodexcept", "tril"})


def interval(expr: Expr) -> Interval:
    """The least interval that is known to hold every entry.

    >>> from einderiv import parse
    >>> interval(parse("1 - tanh(x)^2").term)
    (0.0, 1.0)
    """
    return fold([expr], _interval)[expr]


def is_nonnegative(expr: Expr) -> bool:
    """Is every entry proved to be 0 or more?

    >>> from einderiv import parse
    >>> is_nonnegative(parse("sigmoid(x)*(1 - sigmoid(x))").term)
    True
    >>> is_nonnegative(parse("x*y").term)
    False
    """
    return interval(expr)[0] >= 0


def _interval(node: Expr, children: list[Interval]) -> Interval:
    match node:
        case Literal():
            value = float(node.value)
            return value, value
        case Variable():
            if node.assumptions & {"positive", "nonnegative"}:
                return NONNEGATIVE
            return ANY
        case Extent():
            return NONNEGATIVE
        case Delta():
            return UNIT
        case Ones():
            return 1.0, 1.0
        case Contraction():
            return _of_product(node, children)
        case Sum():
            return _meet(_of_sum(node, children), _of_polynomial(node))
        case Map():
            return _of_map(node, children)
        case Apply():
            return _of_apply(node, children)
    return ANY


def _of_product(node: Contraction, children: list[Interval]) -> Interval:
    counts: Counter[tuple[Expr, tuple[int, ...]]] = Counter()
    known: dict[Expr, Interval] = {}
    for child, labels, own in zip(node.children, node.inputs, children, strict=True):
        counts[child, labels] += 1
        known[child] = own
    result: Interval = (1.0, 1.0)
    for (child, _), count in counts.items():
        result = _times(result, _power(known[child], Fraction(count)))
    if not sums_a_label(node):
        return result
    low, high = result  # a sum of any number of entries
    return (0.0 if low >= 0 else -inf), (0.0 if high <= 0 else inf)


def _of_sum(node: Sum, children: list[Interval]) -> Interval:
    low = high = 0.0
    for coefficient, own in zip(node.coefficients, children, strict=True):
        c = float(coefficient)
        a, b = _times((c, c), own)
        low, high = low + a, high + b
    return low, high


def _of_polynomial(node: Sum) -> Interval:
    """c0 + c1 u + c2 u^2 in one term u of known range: its ends and its vertex."""
    parts: dict[Expr, dict[int, float]] = {}
    constant = 0.0
    for coefficient, child in zip(node.coefficients, node.children, strict=True):
        atom, exponent = _as_power(child)
        if atom is None:
            constant += float(coefficient)
        elif exponent in (1, 2):
            parts.setdefault(atom, {})[exponent] = float(coefficient)
        else:
            return ANY
    if len(parts) != 1:
        return ANY
    ((atom, powers),) = parts.items()
    c1, c2 = powers.get(1, 0.0), powers.get(2, 0.0)
    low, high = interval(atom) if atom.children else _interval(atom, [])
    if not c2 or inf in (-low, high):
        return ANY
    points = [low, high]
    vertex = -c1 / (2 * c2)
    if low < vertex < high:
        points.append(vertex)
    values = [constant + c1 * u + c2 * u * u for u in points]
    return min(values), max(values)


def _as_power(term: Expr) -> tuple[Expr | None, int]:
    """A term as the square of another, as itself, or as ones or a number."""
    factor, inside = split_scale(term)
    if factor == 1 and isinstance(inside, Literal | Ones):
        return None, 0
    base, exponent = base_and_exponent(inside)
    if exponent == 2:
        return base, 2
    if isinstance(inside, Contraction) and not sums_a_label(inside):
        if all(isinstance(child, Ones) for child in inside.children):
            return None, 0
        data = [child for child in inside.children if not isinstance(child, Ones)]
        labels = {
            own for child, own in zip(inside.children, inside.inputs, strict=True) if child in data
        }
        if len(data) == 2 and data[0] is data[1] and len(labels) == 1:
            return data[0], 2
        if len(data) == 1:
            return _as_power(data[0]) if data[0] is not inside else (inside, 1)
    return inside, 1


def _of_map(node: Map, children: list[Interval]) -> Interval:
    base, exponent = base_and_exponent(node)
    if node.function == "pow":
        own = children[0]
        if base is not node and isinstance(node.children[1], Literal):
            return _power(own, exponent)
        return NONNEGATIVE if own[0] >= 0 else ANY
    known = RANGES.get(node.function, ANY)
    if node.function in ODD_AND_RISING:
        low, high = children[0]
        return _meet(known, (0.0 if low >= 0 else -inf, 0.0 if high <= 0 else inf))
    if node.function == "relu":
        low, high = children[0]
        return max(low, 0.0), max(high, 0.0)
    if node.function == "max":
        return max(a for a, _ in children), max(b for _, b in children)
    if node.function == "min":
        return min(a for a, _ in children), min(b for _, b in children)
    if node.function == "where":
        return min(a for a, _ in children[1:]), max(b for _, b in children[1:])
    return known


def _of_apply(node: Apply, children: list[Interval]) -> Interval:
    if node.function in RANGES:
        return RANGES[node.function]
    if node.function in BETWEEN:
        return children[0]
    if node.function in KEEP_SIGN and children and children[0][0] >= 0:
        return NONNEGATIVE
    return ANY


def _meet(first: Interval, second: Interval) -> Interval:
    return max(first[0], second[0]), min(first[1], second[1])


def _times(first: Interval, second: Interval) -> Interval:
    products = [0.0 if 0 in (a, b) else a * b for a in first for b in second]
    return min(products), max(products)


def _power(base: Interval, exponent: Fraction) -> Interval:
    low, high = base
    if exponent == 1:
        return base
    if exponent < 0:
        if low >= 0:
            return NONNEGATIVE
        is_even = exponent.denominator == 1 and exponent.numerator % 2 == 0
        return NONNEGATIVE if is_even else ANY
    if exponent.denominator > 1:
        return NONNEGATIVE
    power = int(exponent)
    if max(abs(low), abs(high)) not in (inf,) and power <= 8:
        ends = [low**power, high**power]
        if power % 2 == 0 and low < 0 < high:
            ends.append(0.0)
        return min(ends), max(ends)
    if power % 2 == 0 or low >= 0:
        return NONNEGATIVE
    return (-inf, 0.0) if high <= 0 else ANY
