"""Signs of terms: what is known of all their entries, whatever real arrays are given.

In: terms. Out: an interval that holds every entry, and whether none is negative.
Invariant: what is claimed holds for all finite real entries that the assumptions allow; where nothing can be
proved the interval is the whole line. Ends are rounded outwards, so rounding proves nothing that is false.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from math import inf, isinf, nextafter

from ..terms import (
    ANY,
    ELEMENTWISE,
    NONNEGATIVE,
    SIGNED_UNIT,
    UNIT,
    WHOLE,
    Apply,
    Contraction,
    Delta,
    Expr,
    Extent,
    Interval,
    Literal,
    Map,
    Ones,
    Subscript,
    Sum,
    Variable,
    base_and_exponent,
    postorder,
    sums_a_label,
)

Atom = tuple[Expr, Subscript]  # a term, and which axes of the sum it stands at

_SLACK = Fraction(1, 10**12)  # three terms that cancel, as 1 - 2u + u^2, may come out below 0
_POWERS = 8  # higher powers of a bounded term: only the sign is kept


def interval(expr: Expr, known: dict[Expr, Interval] | None = None) -> Interval:
    """The least interval that is known to hold every entry; `known` keeps those of the terms below.

    >>> from einderiv import parse
    >>> interval(parse("1 - tanh(x)^2").term)
    (0.0, 1.0)
    """
    values = {} if known is None else known
    for node in postorder([expr], values):
        values[node] = _interval(node, values)
    return values[expr]


def is_nonnegative(expr: Expr, known: dict[Expr, Interval] | None = None) -> bool:
    """Is every entry proved to be 0 or more, also as it is computed?

    >>> from einderiv import parse
    >>> is_nonnegative(parse("sigmoid(x)*(1 - sigmoid(x))").term)
    True
    >>> is_nonnegative(parse("x*y").term)
    False
    """
    return interval(expr, known)[0] >= 0


def _interval(node: Expr, values: Mapping[Expr, Interval]) -> Interval:
    children = [values[child] for child in node.children]
    match node:
        case Literal():
            return _outwards([node.value])
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
            return _meet(_of_sum(node, children), _of_polynomial(node, values))
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
        a, b = _times(_outwards([coefficient]), own)
        low, high = _plus(low, a, -inf), _plus(high, b, inf)
    return low, high


def _of_polynomial(node: Sum, values: Mapping[Expr, Interval]) -> Interval:
    """c0 + c1 u + c2 u^2 in one term u of bounded range: its ends and its vertex."""
    parts: dict[Atom, dict[int, Fraction]] = {}
    constant = Fraction(0)
    for coefficient, child in zip(node.coefficients, node.children, strict=True):
        atom, exponent = _as_power(child)
        if atom is None:
            constant += coefficient
        else:
            parts.setdefault(atom, {})[exponent] = coefficient
    if len(parts) != 1:
        return ANY
    (((base, _), powers),) = parts.items()
    c1, c2 = powers.get(1, Fraction(0)), powers.get(2, Fraction(0))
    if not c2 or any(map(isinf, values[base])):
        return ANY
    low, high = map(Fraction, values[base])
    points = [low, high]
    vertex = -c1 / (2 * c2)
    if low < vertex < high:
        points.append(vertex)
    found = [constant + c1 * u + c2 * u * u for u in points]
    if constant and c1:  # of two terms rounding keeps the order: u - u*u is never below 0
        most = max(-low, high)
        slack = _SLACK * (abs(constant) + abs(c1) * most + abs(c2) * most**2)
        return _outwards([min(found) - slack, max(found) + slack])
    return _outwards(found)


def _as_power(term: Expr) -> tuple[Atom | None, int]:
    """A term as the square of another at the same axes, as itself, or as ones or a number."""
    if isinstance(term, Literal):
        return None, 0
    factors: list[Atom] = [(term, tuple(range(term.rank)))]
    if isinstance(term, Contraction) and not sums_a_label(term):
        factors = list(zip(term.children, term.inputs, strict=True))
    data = [factor for factor in factors if not isinstance(factor[0], Ones)]
    if not data:
        return None, 0
    first, labels = data[0]
    if len(data) == 2 and data[0] == data[1]:
        return data[0], 2
    if len(data) == 1:
        base, exponent = base_and_exponent(first)
        return ((base, labels), 2) if exponent == 2 else (data[0], 1)
    return (term, tuple(range(term.rank))), 1


def _of_map(node: Map, children: list[Interval]) -> Interval:
    base, exponent = base_and_exponent(node)
    if node.function == "pow":
        own = children[0]
        if base is not node and isinstance(node.children[1], Literal):
            return _power(own, exponent)
        return NONNEGATIVE if own[0] >= 0 else ANY
    row = ELEMENTWISE[node.function]
    known = row.range
    if row.rising:
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
    if node.function == "eps":
        return SIGNED_UNIT
    row = WHOLE[node.function]
    if row.between:
        return children[0]
    return NONNEGATIVE if row.keeps_sign and children[0][0] >= 0 else row.range


def _meet(first: Interval, second: Interval) -> Interval:
    return max(first[0], second[0]), min(first[1], second[1])


def _times(first: Interval, second: Interval) -> Interval:
    ends: list[float] = []
    for a in first:
        for b in second:
            if isinf(a) or isinf(b):
                ends.append(0.0 if 0 in (a, b) else inf if (a > 0) == (b > 0) else -inf)
            else:
                ends += _outwards([Fraction(a) * Fraction(b)])
    return min(ends), max(ends)


def _plus(a: float, b: float, unbounded: float) -> float:
    """The sum of two ends, rounded towards `unbounded`."""
    if isinf(a) or isinf(b):
        return unbounded
    low, high = _outwards([Fraction(a) + Fraction(b)])
    return high if unbounded > 0 else low


def _outwards(values: list[Fraction]) -> Interval:
    """The least interval of floating-point numbers that holds these exact ones."""
    return _round_towards(min(values), -inf), _round_towards(max(values), inf)


def _round_towards(value: Fraction, towards: float) -> float:
    try:
        near = float(value)
    except OverflowError:
        near = inf if value > 0 else -inf
    if isinf(near):  # beyond the numbers: the largest is the end on the near side
        return near if (near > 0) == (towards > 0) else nextafter(near, 0.0)
    exact = Fraction(near)
    if exact == value or (exact < value) == (towards < 0):
        return near
    return nextafter(near, towards)


def _power(base: Interval, exponent: Fraction) -> Interval:
    low, high = base
    if exponent == 1:
        return base
    is_even = exponent.denominator == 1 and exponent.numerator % 2 == 0
    if exponent < 0 or exponent.denominator > 1:
        return NONNEGATIVE if low >= 0 or is_even or exponent.denominator > 1 else ANY
    power = int(exponent)
    if not isinf(low) and not isinf(high) and power <= _POWERS:
        ends = [Fraction(low) ** power, Fraction(high) ** power]
        if is_even and low < 0 < high:
            ends.append(Fraction(0))
        return _outwards(ends)
    if is_even or low >= 0:
        return NONNEGATIVE
    return (-inf, 0.0) if high <= 0 else ANY
