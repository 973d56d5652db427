"""Do two terms agree for all arrays? The surest way that applies, and how sure it is.

In: two terms of one shape, whose tensors bear their assumptions. Out: a `Decision`.
Invariant: it never says "equal" on less than it names. It tries, in this order: one canonical form;
values modulo primes, functions taken as unknowns (a difference of degree d vanishes at a random point with
a probability of at most d/p: Schwartz 1980, Zippel 1979); 50 and 100 digits, beside kinks too; floating
point.
`Samples` holds points in many digits, to try out ideas on; what they suggest is then decided.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product, tee
from math import log10, prod
from typing import Literal as OneOf

import numpy as np

from ..calculus import expand, simplify
from ..errors import DataError, EinderivError
from ..programs import Executable
from ..terms import (
    WHOLE,
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
    substitute_terms,
    symbolic_extents,
)
from .digits import PoleError, context
from .evaluating import Evaluator, Modular, Precise, TooLargeError
from .points import (
    Array,
    Sizes,
    Values,
    crossings,
    decimals,
    floats,
    integers,
    leaves,
    other_sides,
    symmetric_names,
)

DIGITS = 50
# each is used at one point: no number in a claim is divisible by all of them by accident
PRIMES = ((2**61 - 1, "2^61 - 1"), (2**89 - 1, "2^89 - 1"), (2**127 - 1, "2^127 - 1"))
_POINTS = 6
_ATTEMPTS = 60
_EXPANDED = 500  # terms; longer expansions are not written out
_SCALES = (Decimal(1), Decimal("0.3"), Decimal(3), Decimal(10), Decimal("0.01"))
_STABLE = Decimal("1e-5")  # a difference that both precisions give to five digits is one
_ROUNDED = Decimal("1e-20")  # of the values: a difference so small, and not stable, is rounding
_FACTS = Decimal("1e-25")  # agreement at a sample, of the largest entry
_EXTREME = Decimal("1e-60")  # constants this close to a whole number are distinguished from it
# their values are whole numbers at simple arguments only, and are simplified there
_NEVER_WHOLE = frozenset("exp expm1 tanh erf erfc sigmoid softplus sinh cosh".split())
_WILD = 1e8  # larger floats come from inverses of nearly singular matrices, where rounding decides
_WILD_SAMPLE = Decimal("1e12")

Effort = OneOf["proofs", "quick", "thorough"]
Sides = tuple[Expr, Expr]


@dataclass(frozen=True)
class Decision:
    """The answer, the way it was found, and what that is worth.

    `method`: canonical, exact, exact with unknown functions, high precision, floating point. `how` is the
    word for it in derivations: identity, expansion, modular, high precision, floating point.
    """

    equal: bool
    method: str
    certainty: str
    how: str = "high precision"


def decide(a: Expr, b: Expr, effort: Effort = "thorough") -> Decision:
    """Is a = b for all arrays of the tensors? Raises DataError if no point has finite values.

    `effort`: "proofs" says "not equal" if canonical form and exact arithmetic prove nothing; "quick" asks
    floating point then. In both of these functions are unknowns without laws. "thorough" uses laws and many
    digits, floating point only for arrays of fixed extents that are too large for these.
    """
    assert a.shape == b.shape, (a.shape, b.shape)
    if a is b or _short(a) is _short(b):
        how = "identity"
    else:
        how = "expansion" if _long(a) is _long(b) else ""
    if how:
        return Decision(True, "canonical", "both have one canonical form", how)
    thorough = effort == "thorough"
    difference = _long(add([(1, a), (-1, b)], a.shape)) if thorough else None
    if isinstance(difference, Literal) and difference.value:
        return Decision(False, "canonical", "the difference is a number other than zero")
    try:
        found = _modulo_primes(a, b, thorough)
        if thorough and found is None:
            found = _in_digits_and_constants(a, b)
        elif thorough and found and found.equal and _differ_at_a_point(a, b):
            found = _different(f"a difference in {DIGITS} digits")
        if found is not None:
            return found
    except TooLargeError:
        pass
    if effort == "proofs":
        return Decision(False, "canonical", "", "")
    equal = _in_floats(a, b)
    words = "agreement to 8 digits" if equal else "a difference in the first 8 digits"
    certainty = f"{words} at random points in floating point"
    return Decision(equal, "floating point", certainty, "floating point")


def how_equal(before: Expr, after: Expr, effort: Effort = "quick") -> str:
    """By what two terms were found equal, in a word; nothing if they were not."""
    try:
        decision = decide(before, after, effort)
    except DataError:
        return ""
    return decision.how if decision.equal else ""


def check_equal(sides: Iterable[Sides]) -> str:
    """By what the first pair that is equal was found so; the pairs say the same, each more explicitly.

    Raises EinderivError if none is equal: that is an error of ours.
    """
    first, again = tee(sides)
    efforts: tuple[tuple[Effort, Iterator[Sides]], ...] = (("proofs", first), ("quick", again))
    for effort, pairs in efforts:
        for before, after in pairs:
            how = how_equal(before, after, effort)
            if how:
                return how
    raise EinderivError(
        "a step of this derivation is not an equality: this is a fault of einderiv",
        hint="please report the expression; e.diff(...) does not depend on the derivation",
    )


# ------------------------------------------------------------ canonical form


def _short(term: Expr) -> Expr:
    return simplify([term])[0]


def _long(term: Expr) -> Expr:
    """Multiplied out, unless that is too long."""
    short = _short(term)
    return short if expanded_terms(short) > _EXPANDED else _short(expand([short])[0])


def expanded_terms(term: Expr) -> int:
    """At most how many terms the term has when its products are multiplied out."""

    def count(node: Expr, children: list[int]) -> int:
        if isinstance(node, Sum):
            return sum(children)
        if isinstance(node, Contraction):
            return min(prod(max(terms, 1) for terms in children), 10**9)
        return 1

    return fold([term], count)[term]


# ------------------------------------------------------------ modulo primes


def _modulo_primes(a: Expr, b: Expr, thorough: bool) -> Decision | None:
    """The decision modulo primes; None if functions that are not rational prevent it."""
    rng = random.Random(20)
    points, chance, largest = 0, 0.0, 0
    rational = True
    sizing = Sizes([a, b], rng)
    for _ in range(_ATTEMPTS):
        sizes = sizing.next(points)
        prime, name = PRIMES[points]
        try:
            values = {x: integers(x, sizes, rng) for x in leaves([a, b])}
            at = Modular(values, sizes, prime, rng.randrange(prime), thorough)
            same = bool(np.all(at.value(a) == at.value(b)))
        except PoleError:
            continue
        except TooLargeError:
            sizing.shrink()
            continue
        rational = rational and at.is_rational
        if not same:
            words = f"a difference at a random point modulo {name}"
            return Decision(False, "exact", words, "modular") if rational else None
        points += 1
        largest = max([largest, *sizes.values()])
        chance += log10(_degree([a, b], at) / PRIMES[0][0])
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
        "modular",
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
                count = prod(n for label, n in sizes.items() if label not in node.output)
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
                if not WHOLE[node.function].rational:
                    unknown += size
                return size * (top + bottom + 4), size * (top + bottom + 4)
        return 0, 0

    found = fold(terms, degrees)
    return sum(sum(pair) for pair in found.values()) * (1 + unknown * unknown) + 1


# ------------------------------------------------------------ many digits


def _coverage(first: Array, second: Array, nonzero: Array) -> str:
    """What a point shows of terms that agree: where they are finite, and where one of them is not 0.

    A term that lacks values where the other one has them may not be called equal for its zeros.
    """
    if np.any(first != second):
        return "one-sided"
    if np.all(first):
        return "full"
    return "partial" if np.any(first & nonzero) else "nothing"


def _says_equal(covered: Counter[str]) -> bool:
    """DataError if nothing could be compared."""
    if covered.keys() <= {"nothing"}:
        raise DataError(
            "the expressions could not be compared: no random point gave finite values",
            hint="evaluate both on arrays of their domain",
        )
    return bool(covered["full"] or (covered["partial"] and not covered["one-sided"]))


def _in_digits(a: Expr, b: Expr) -> Decision:
    """The decision in 50 and 100 digits. Raises DataError if no point has values."""
    sides: dict[Expr, set[int]] = {}
    covered: Counter[str] = Counter()
    last: tuple[Values, Mapping[str, int]] | None = None
    sizes: Mapping[str, int]
    plans = list(_plans([a, b]))
    wanted = _POINTS
    rng = random.Random(21)
    sizing = Sizes([a, b], rng)
    for number in range(10 * max(_POINTS, len(plans))):
        sizes = sizing.next(number)
        scale, mixed = plans[number % len(plans)]
        try:
            values = decimals([a, b], sizes, rng, (scale,), mixed, number % 4 != 2)
            outcome, entries, kinks = _compare(a, b, values, sizes)
        except TooLargeError:
            sizing.shrink()
            continue
        if outcome == "differ":
            return _different(f"a difference in {DIGITS} digits")
        if outcome != "agree":
            continue
        last = values, sizes
        first, second = ([x.is_finite() for x in column] for column in entries[:2])
        nonzero = [bool(x) or bool(y) for x, y in zip(*entries[:2], strict=True)]
        covered[_coverage(*(np.array(row, dtype=bool) for row in (first, second, nonzero)))] += 1
        for node, met in kinks.items():
            sides.setdefault(node, set()).update(met)
        if sides:  # all magnitudes with all signs, so that both sides of a kink are met
            wanted = max(_POINTS, len(plans))
        if covered["full"] == wanted:
            break
    if not _says_equal(covered):
        return _different("one of the two has values where the other has none")
    points = covered["full"] or covered["partial"]
    note = ""
    if sides:
        scales = sorted({scale for scale, _ in plans} | {Decimal("0.1"), Decimal(1)})
        hidden = {node: met for node, met in sides.items() if len(met - {0}) < 2}
        beside, beyond = crossings([a, b], rng, scales), other_sides([a, b], hidden, rng)
        for where, found in (("beside", beside), ("on the other side of", beyond)):
            for sizes, values in found:
                outcome, _, kinks = _compare(a, b, values, sizes)
                if outcome == "differ":
                    return _different(f"a difference {where} a kink")
                points += outcome != "pole"
                for node, met in kinks.items() if found is beyond else ():
                    sides[node] |= met
        one_sided = sum(len(met - {0}) < 2 for met in sides.values())
        if one_sided:
            note = f"; of {len(sides)} kinks {one_sided} seen from one side only"
    if last is not None and _compare(a, b, *last, 4 * DIGITS)[0] == "differ":
        return _different(f"a difference in {8 * DIGITS} digits")
    certainty = f"{DIGITS} digits and {2 * DIGITS} digits agree at {points} random points{note}"
    return Decision(True, "high precision", certainty)


def _different(certainty: str) -> Decision:
    return Decision(False, "high precision", certainty)


def _in_digits_and_constants(a: Expr, b: Expr) -> Decision:
    """exp(-1000000) is not 0: constants closer to a whole number than digits show become unknowns."""
    found = _in_digits(a, b)
    nodes = list(postorder([a, b])) if found.equal else []
    moving = dependents([a, b], leaves([a, b]))
    unknown: dict[Expr, Expr] = {}
    for node in nodes:
        if node in moving or node.rank or symbolic_extents([node]):
            continue
        if isinstance(node, Map) and node.function in _NEVER_WHOLE:
            value = Precise({}, {}, 2 * DIGITS).value(node)[()]
            with localcontext(context(2 * DIGITS)):
                if value.is_finite() and abs(value - value.to_integral_value()) < _EXTREME:
                    unknown[node] = Variable(f"?{len(unknown)}", ())
    first, second = substitute_terms([a, b], unknown)
    if not unknown or decide(first, second).equal:
        return found
    return _different("a difference smaller than digits show: exp(-10^6) is not 0")


def _differ_at_a_point(a: Expr, b: Expr) -> bool:
    """Do digits show a difference that the primes divide?"""
    rng = random.Random(23)
    sizes = Sizes([a, b], rng).next(0)
    try:
        return _compare(a, b, decimals([a, b], sizes, rng), sizes)[0] == "differ"
    except TooLargeError:
        return False


def _compare(
    a: Expr, b: Expr, values: Values, sizes: Mapping[str, int], digits: int = DIGITS
) -> tuple[str, list[list[Decimal]], dict[Expr, set[int]]]:
    """What a point says in so many digits and in twice as many: agree, differ, unclear, or pole.

    With it columns of the entries of a, b and a - b at the one, then at the other, and the sides of kinks.
    """
    columns: list[list[Decimal]] = []
    for precision in (digits, 2 * digits):
        at = Precise(values, sizes, precision)
        try:
            left, right = at.value(a), at.value(b)
        except PoleError:
            return "pole", [], {}
        with localcontext(context(precision)):
            columns += [list(np.ravel(x)) for x in (left, right, left - right)]
    said = {_entry_says(*entry) for entry in zip(*columns, strict=True)}
    outcome = next((word for word in ("differ", "unclear") if word in said), "agree")
    return outcome, columns, {node: set(signs) for node, signs in at.sides.items()}


def _entry_says(
    a: Decimal, b: Decimal, low: Decimal, left: Decimal, right: Decimal, high: Decimal
) -> str:
    if not high or not all(x.is_finite() for x in (a, b, left, right)):
        return "agree"  # or without value
    with localcontext(context(2 * DIGITS)):
        if abs(high - low) < _STABLE * abs(high):
            return "differ"
        size = max(abs(left), abs(right))
        small = abs(high) <= _ROUNDED * size or abs(high) <= _ROUNDED * abs(low)
    return "agree" if small else "unclear"


def _plans(terms: Sequence[Expr]) -> Iterator[tuple[Decimal, bool]]:
    """Magnitudes and whether signs are mixed; numbers in the terms show where their kinks may be."""
    found: dict[Decimal, None] = dict.fromkeys(_SCALES)
    for node in postorder(terms):
        for number in (
            (node.value,) if isinstance(node, Literal) else getattr(node, "coefficients", ())
        ):
            if abs(number) > 3 and len(found) < len(_SCALES) + 4:
                found.setdefault(Decimal(round(float(min(abs(number), Fraction(10**9))))))
    return product(found, (False, True))


class Samples:
    """A few points where given terms have values, in 50 digits; none if these are hard to find."""

    def __init__(self, terms: Sequence[Expr], variables: Mapping[str, Variable]) -> None:
        self._at: list[Precise] = []
        self._failed: set[Expr] = set()
        rng = random.Random(22)
        every = [*terms, *variables.values()]
        sizing = Sizes(every, rng)
        for attempt in range(24):
            # by turns first: inverses ask for some orders
            sizes = {dim: 2 + (k + attempt) % 4 for k, dim in enumerate(sizing.dims)}
            sizes = sizes if attempt < 6 else sizing.next(0)
            try:
                at = Precise(decimals(every, sizes, rng, mixed=attempt % 2 == 1), sizes, DIGITS)
                tame = all(_is_tame(at.value(term)) for term in terms)
            except PoleError:
                continue
            except TooLargeError:
                self._at.clear()
                break
            if tame:
                self._at.append(at)
            if len(self._at) == 4:
                break
        if len(self._at) == 1:
            self._at.clear()

    def __bool__(self) -> bool:
        return bool(self._at)

    def values(self, term: Expr) -> list[Array] | None:
        """The term's value at every point, None if one has none."""
        if term in self._failed:
            return None
        try:
            found = [at.value(term) for at in self._at]
        except (PoleError, TooLargeError):
            found = []
        if not found or not all(map(_is_tame, found)):
            self._failed.add(term)
            return None
        return found

    def agree(self, first: Expr, second: Expr) -> bool | None:
        """Do two terms have the same values? None if one has none."""
        ours, theirs = self.values(first), self.values(second)
        return None if ours is None or theirs is None else same_values(ours, theirs)


def _is_tame(array: Array) -> bool:
    return all(x.is_finite() and x.copy_abs() < _WILD_SAMPLE for x in array.reshape(-1))


def same_values(first: Sequence[Array], second: Sequence[Array]) -> bool:
    """Do values at the points of `Samples` agree to 25 digits?"""
    with localcontext(context(DIGITS)):
        for a, b in zip(first, second, strict=True):
            largest = max((abs(x) for x in (*a.reshape(-1), *b.reshape(-1))), default=Decimal(0))
            if any(abs(x) > _FACTS * largest for x in np.ravel(a - b)):
                return False
    return True


# ------------------------------------------------------------ floating point


def _in_floats(a: Expr, b: Expr) -> bool:
    """Do two terms agree to 1e-8 at random points? DataError if no point gives finite values."""
    rng, draw = np.random.default_rng(20), random.Random(20)
    variables = {x.name: x for x in leaves([a, b])}
    program = Executable([a, b], 2, variables)
    symmetric = symmetric_names([a, b])
    sizing = Sizes([a, b], draw)
    covered: Counter[str] = Counter()
    for attempt in range(4 * _POINTS):
        sizes = sizing.next(attempt)
        scale = (1.0, 0.3, 2.0)[attempt % 3]
        arrays = {
            name: scale * floats(x, sizes, rng, attempt % 2 == 1, name in symmetric)
            for name, x in variables.items()
        }
        try:
            left, right = map(np.atleast_1d, program(arrays, sizes=sizes))
        except DataError:
            continue
        finite = np.isfinite(left) & np.isfinite(right)
        if np.any(np.abs(left[finite]) > _WILD) or np.any(np.abs(right[finite]) > _WILD):
            continue  # near a pole, where rounding decides
        if np.any(np.abs(left - right)[finite] > 1e-8 * (1 + np.abs(left)[finite])):
            return False
        covered[_coverage(np.isfinite(left), np.isfinite(right), (left != 0) | (right != 0))] += 1
        if covered["full"] == _POINTS:
            break
    return _says_equal(covered)
