"""Do two terms agree for all arrays? The surest way that applies, and how sure it is.

In: two terms of one shape and the tensors of their program, with assumptions. Out: a `Decision`.
Invariant: never "equal" on less than it says. Ways, in this order: canonical identity; evaluation modulo a
prime, functions taken as unknowns (Schwartz 1980, Zippel 1979); 50 and 100 digits; floating point, for
arrays of fixed extents too large for the others.
`Samples` holds points in many digits, to try out ideas on; what they suggest is then decided.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product
from math import log10

import numpy as np

from ..calculus import expand, simplify
from ..terms import (
    Apply,
    Contraction,
    Expr,
    Literal,
    Map,
    Sum,
    Variable,
    add,
    dependents,
    fold,
    postorder,
    substituted,
    symbolic_extents,
)
from .digits import context
from .equality import Coverage, agree_in_floats
from .evaluating import Evaluator, Modular, Precise, TooLargeError
from .points import (
    PRIME,
    Array,
    Sizes,
    crossings,
    decimals,
    integers,
    leaves,
    other_sides,
    symmetric_names,
)
from .reference import PoleError, is_rational

Values = dict[Variable, Array]

DIGITS = 50
# of one point each: no number in a claim is divisible by all by accident
PRIMES = ((PRIME, "2^61 - 1"), (2**89 - 1, "2^89 - 1"), (2**127 - 1, "2^127 - 1"))
_DECIMAL_POINTS = 6
_ATTEMPTS = 60
_EXPANDED = 500  # terms; longer expansions are not written out
_SCALES = (Decimal(1), Decimal("0.3"), Decimal(3), Decimal(10), Decimal("0.01"))
_STABLE = Decimal("1e-5")  # a difference that both precisions give to five digits is one
_ROUNDED = Decimal("1e-20")  # of the values: a difference so small, and not stable, is rounding
_FACTS = Decimal("1e-25")  # agreement at a sample, of the largest entry
_EXTREME = Decimal("1e-60")  # constants this close to a whole number are told from it
# no whole numbers but at simple arguments, where they are simplified
_NEVER_WHOLE = frozenset("exp expm1 tanh erf erfc sigmoid softplus sinh cosh".split())
_WILD = Decimal("1e12")  # larger samples stand next to a pole


@dataclass(frozen=True)
class Decision:
    """The answer, the way it was found, and what that is worth."""

    equal: bool
    method: str  # canonical, exact, exact with unknown functions, high precision, floating point
    certainty: str


def decide(a: Expr, b: Expr, variables: Mapping[str, Variable]) -> Decision:
    """Is a = b for all arrays of the tensors? Raises DataError where no point has finite values."""
    assert a.shape == b.shape, (a.shape, b.shape)
    if a is b or _normal(a) is _normal(b):
        return Decision(True, "canonical", "both have one canonical form")
    difference = _normal(add([(1, a), (-1, b)], a.shape))
    if isinstance(difference, Literal) and difference.value:
        return Decision(False, "canonical", "the difference is a number other than zero")
    try:
        found = _modular(a, b)
        if found is None:
            found = _precise(a, b)
            found = _told_from_constants(a, b, found, variables)
        elif found.equal and _differ_at_a_point(a, b):
            found = Decision(False, "high precision", f"a difference in {DIGITS} digits")
        return found
    except TooLargeError:
        equal = agree_in_floats(a, b, dict(variables))
    words = "agreement to 8 digits" if equal else "a difference in the first 8 digits"
    return Decision(equal, "floating point", f"{words} at random points in floating point")


def _differ_at_a_point(a: Expr, b: Expr) -> bool:
    """Do digits show a difference that the primes divide?"""
    rng = random.Random(23)
    sizes = Sizes([a, b], rng).next(0)
    values = {x: decimals(x, sizes, rng, Decimal(1), False, True, False) for x in leaves([a, b])}
    try:
        pairs, _ = _at_two_precisions(a, b, values, sizes)
    except TooLargeError:
        return False
    return pairs is not None and any(_compared(*entry) == "differ" for entry in pairs)


def _told_from_constants(
    a: Expr, b: Expr, found: Decision, variables: Mapping[str, Variable]
) -> Decision:
    """exp(-1000000) is not 0: what is closer to a whole number than digits show stands as an unknown."""
    nodes = list(postorder([a, b]))
    moving = dependents([a, b], [node for node in nodes if isinstance(node, Variable)])
    unknown: dict[Expr, Expr] = {}
    for node in nodes:
        if node in moving or node.rank or symbolic_extents([node]):
            continue
        if isinstance(node, Map) and node.function in _NEVER_WHOLE:
            with localcontext(context(2 * DIGITS)):
                value = Precise({}, {}).value(node)[()]
                near = value.to_integral_value() if value.is_finite() else value
                if value.is_finite() and abs(value - near) < _EXTREME:
                    unknown[node] = Variable(f"?{len(unknown)}", ())
    if not found.equal or not unknown:
        return found
    first, second = substituted([a, b], unknown)
    others = {**variables, **{x.name: x for x in unknown.values() if isinstance(x, Variable)}}
    if decide(first, second, others).equal:
        return found
    return Decision(
        False, "high precision", "a difference smaller than digits show: exp(-10^6) is not 0"
    )


def _normal(term: Expr) -> Expr:
    (short,) = simplify([term])
    if expanded_terms(short) > _EXPANDED:
        return short
    return simplify(expand([short]))[0]


def expanded_terms(term: Expr) -> int:
    """At most how many terms the term has when its products are multiplied out."""

    def count(node: Expr, children: list[int]) -> int:
        if isinstance(node, Sum):
            return sum(children)
        if isinstance(node, Contraction):
            found = 1
            for terms in children:
                found = min(found * max(terms, 1), 10**9)
            return found
        return 1

    return fold([term], count)[term]


# ------------------------------------------------------------ modulo a prime


def _modular(a: Expr, b: Expr) -> Decision | None:
    """The decision modulo a prime; None where functions that are not rational stand in the way."""
    rng = random.Random(20)
    rational = is_rational(a) and is_rational(b)
    points, chance, largest = 0, 0.0, 0
    plan = Sizes([a, b], rng)
    for _ in range(_ATTEMPTS):
        sizes = plan.next(points)
        prime, name = PRIMES[points]
        values = {x: integers(x, sizes, rng) for x in leaves([a, b])}
        at = Modular(values, sizes, prime, rng.randrange(prime))
        try:
            same = bool(np.all(at.value(a) == at.value(b)))
        except PoleError:
            continue
        except TooLargeError:
            plan.shrink()
            continue
        if not same and rational:
            return Decision(False, "exact", f"a difference at a random point modulo {name}")
        if not same:
            return None
        points += 1
        largest = max([largest, *sizes.values()])
        chance += log10(_degree([a, b], at) / PRIME)
        if points == len(PRIMES):
            break
    if points < len(PRIMES):
        return None
    method = "exact" if rational else "exact with unknown functions"
    extents = f", extents up to {largest}" if largest else ""
    return Decision(
        True,
        method,
        f"equal at random points modulo {', '.join(name for _, name in PRIMES)}{extents}; "
        f"by chance with a probability below 1e{int(chance)}",
    )


def _degree(terms: Sequence[Expr], at: Evaluator) -> int:
    """A bound of the degree of the numerator of the difference, unknown functions counted in.

    Two arguments of a function that differ fall together with a probability of degree/p for each pair.
    """
    unknown = 0

    def degrees(node: Expr, below: list[tuple[int, int]]) -> tuple[int, int]:
        nonlocal unknown
        top = max((n for n, _ in below), default=0)
        bottom = max((d for _, d in below), default=0)
        match node:
            case Variable():
                return 1, 0
            case Sum():
                rest = sum(d for _, d in below)
                return max((n + rest - d for n, d in below), default=0), rest
            case Contraction():
                sizes = {
                    label: size
                    for child, labels in zip(node.children, node.inputs, strict=True)
                    for label, size in zip(labels, at.known[child].shape, strict=True)
                }
                count = 1
                for label, size in sizes.items():
                    count *= 1 if label in node.output else size
                n, d = sum(n for n, _ in below), sum(d for _, d in below)
                return n + (count - 1) * d, count * d
            case Map() if node.function == "pow" and isinstance(node.children[1], Literal):
                k = abs(int(node.children[1].value)) + 1
                return k * max(below[0]), k * max(below[0])
            case Map():
                unknown += at.known[node].size
                return 4 + top + bottom, 4 + top + bottom
            case Apply() if node.children:
                size = at.known[node.children[0]].size
                if node.function not in ("inv", "det", "prod", "prodexcept", "tril"):
                    unknown += size
                return size * (top + bottom + 4), size * (top + bottom + 4)
        return 0, 0

    found = fold(terms, degrees)
    return sum(sum(pair) for pair in found.values()) * (1 + unknown * unknown) + 1


# ------------------------------------------------------------ many digits


def _precise(a: Expr, b: Expr) -> Decision:
    """The decision in 50 and 100 digits. Raises DataError where no point has values."""
    sides: dict[Expr, set[int]] = {}
    coverage = Coverage()
    last: tuple[Values, Mapping[str, int]] | None = None
    plans = list(_plans([a, b]))
    wanted = _DECIMAL_POINTS
    rng = random.Random(21)
    sizing = Sizes([a, b], rng)
    symmetric = symmetric_names(a, b)
    for number in range(10 * max(_DECIMAL_POINTS, len(plans))):
        sizes = sizing.next(number)
        scale, mixed = plans[number % len(plans)]
        try:
            values = {
                x: decimals(x, sizes, rng, scale, mixed, number % 4 != 2, x.name in symmetric)
                for x in leaves([a, b])
            }
            pairs, kinks = _at_two_precisions(a, b, values, sizes)
        except TooLargeError:
            sizing.shrink()
            continue
        if pairs is None:
            continue
        found = [_compared(*entry) for entry in pairs]
        if "differ" in found:
            return Decision(False, "high precision", f"a difference in {DIGITS} digits")
        if "unclear" in found:
            continue
        last = values, sizes
        coverage.add(
            np.array([x.is_finite() for x, *_ in pairs], dtype=bool),
            np.array([x.is_finite() for _, x, *_ in pairs], dtype=bool),
            np.array([bool(x) or bool(y) for x, y, *_ in pairs], dtype=bool),
        )
        for node, met in kinks.items():
            sides.setdefault(node, set()).update(met)
        if sides:  # all magnitudes with all signs, so that both sides of a kink are met
            wanted = max(_DECIMAL_POINTS, len(plans))
        if coverage.full == wanted:
            break
    if not coverage.says_equal():
        return Decision(
            False, "high precision", "one of the two has values where the other has none"
        )
    points = coverage.full or coverage.partial
    if sides:
        count = 0
        scales = sorted({scale for scale, _ in plans} | {Decimal("0.1"), Decimal(1)})
        for sizes, values in crossings([a, b], rng, scales):
            pairs, _ = _at_two_precisions(a, b, values, sizes)
            if pairs is not None and any(_compared(*entry) == "differ" for entry in pairs):
                return Decision(False, "high precision", "a difference beside a kink")
            count += pairs is not None
        points += count
        hidden = {node: met for node, met in sides.items() if len(met - {0}) < 2}
        for sizes, values in other_sides([a, b], hidden, rng):
            pairs, kinks = _at_two_precisions(a, b, values, sizes)
            if pairs is not None and any(_compared(*entry) == "differ" for entry in pairs):
                return Decision(False, "high precision", "a difference on the other side of a kink")
            points += pairs is not None
            for node, met in kinks.items():
                sides[node] |= met
    one_sided = sum(len(met - {0}) < 2 for met in sides.values())
    note = f"; of {len(sides)} kinks {one_sided} seen from one side only" if one_sided else ""
    if last is not None:
        pairs, _ = _at_two_precisions(a, b, *last, 4 * DIGITS)
        if pairs is not None and any(_compared(*entry) == "differ" for entry in pairs):
            return Decision(False, "high precision", f"a difference in {8 * DIGITS} digits")
    return Decision(
        True,
        "high precision",
        f"{DIGITS} digits and {2 * DIGITS} digits agree at {points} random points{note}",
    )


def _at_two_precisions(
    a: Expr, b: Expr, values: Values, sizes: Mapping[str, int], digits: int = DIGITS
) -> tuple[list[tuple[Decimal, ...]] | None, dict[Expr, set[int]]]:
    """Entries of a and b, and of a - b, in so many digits and in twice as many."""
    columns: list[list[Decimal]] = []
    kinks: dict[Expr, set[int]] = {}
    for precision in (digits, 2 * digits):
        with localcontext(context(precision)):
            at = Precise(values, sizes)
            try:
                left, right = at.value(a), at.value(b)
            except PoleError:
                return None, {}
            columns += [list(np.ravel(x)) for x in (left, right, left - right)]
            kinks = {node: set(signs) for node, signs in at.sides.items()}
    return list(zip(*columns, strict=True)), kinks


def _compared(
    a: Decimal, b: Decimal, low: Decimal, left: Decimal, right: Decimal, high: Decimal
) -> str:
    """What the entries at two precisions say: agree, differ, without value, or nothing."""
    if not all(x.is_finite() for x in (a, b, left, right)):
        return "without value"
    if not high:
        return "agree"
    with localcontext(context(2 * DIGITS)):
        if abs(high - low) < _STABLE * abs(high):
            return "differ"
        size = max(abs(left), abs(right))
        if abs(high) <= _ROUNDED * size or abs(high) <= _ROUNDED * abs(low):
            return "agree"
    return "unclear"


def _plans(terms: Sequence[Expr]) -> Iterator[tuple[Decimal, bool]]:
    """Magnitudes and whether signs are mixed; numbers in the terms show where their kinks may be."""
    found: dict[Decimal, None] = dict.fromkeys(_SCALES)
    for node in postorder(terms):
        numbers = (
            [node.value] if isinstance(node, Literal) else list(getattr(node, "coefficients", ()))
        )
        for number in numbers:
            if abs(number) > 3 and len(found) < len(_SCALES) + 4:
                found.setdefault(Decimal(round(float(min(abs(number), Fraction(10**9))))))
    return product(found, (False, True))


class Samples:
    """A few points where given terms have values, in 50 digits."""

    def __init__(self, terms: Sequence[Expr], variables: Mapping[str, Variable]) -> None:
        self._at: list[Precise] = []
        self._failed: set[Expr] = set()
        rng = random.Random(22)
        every = [*terms, *variables.values()]
        dims = symbolic_extents(every)
        symmetric = symmetric_names(*terms)
        for attempt in range(24):
            mixed = attempt % 2 == 1
            small = (
                attempt >= 6
            )  # by turns of sizes first, at random then: inverses ask for some orders
            sizes = {
                dim: rng.randrange(2, 5) if small else 2 + (k + attempt) % 4
                for k, dim in enumerate(dims)
            }
            values = {
                x: decimals(x, sizes, rng, Decimal(1), mixed, True, x.name in symmetric)
                for x in leaves(every)
            }
            at = Precise(values, sizes)
            with localcontext(context(DIGITS)):
                try:
                    found = [at.value(term) for term in terms]
                except PoleError:
                    continue
            if all(_is_tame(array) for array in found):
                self._at.append(at)
            if len(self._at) == 4:
                break

    def __len__(self) -> int:
        return len(self._at)

    def values(self, term: Expr) -> list[Array] | None:
        """The term's value at every point, None where one has none."""
        if term in self._failed:
            return None
        with localcontext(context(DIGITS)):
            try:
                found = [at.value(term) for at in self._at]
            except (PoleError, TooLargeError):
                found = []
        if not found or not all(_is_tame(array) for array in found):
            self._failed.add(term)
            return None
        return found


def _is_tame(array: Array) -> bool:
    return all(x.is_finite() and x.copy_abs() < _WILD for x in array.reshape(-1))


def same_values(first: Sequence[Array], second: Sequence[Array]) -> bool:
    """Do values at the points of `Samples` agree to 25 digits?"""
    with localcontext(context(DIGITS)):
        for a, b in zip(first, second, strict=True):
            largest = max((abs(x) for x in (*a.reshape(-1), *b.reshape(-1))), default=Decimal(0))
            if any(abs(x) > _FACTS * largest for x in np.ravel(a - b)):
                return False
    return True
