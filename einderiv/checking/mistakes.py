"""What probably went wrong in a claim that is not the derivative.

In: the derivative, the claim, and points on which ideas are tried out. Out: factors, terms, sentences.
Invariant: a sentence is said only of what `decide` has confirmed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import combinations, islice, permutations, product
from typing import Any

import numpy as np

from ..calculus import expand, simplify, with_assumptions
from ..equality import DIGITS, Samples, context, decide, expanded_terms, same_values
from ..terms import (
    Apply,
    Contraction,
    Expr,
    Literal,
    Subscript,
    Sum,
    Variable,
    add,
    contract,
    extent,
    is_zero,
    postorder,
    power,
    scale,
    split_scale,
    substituted,
    symbolic_extents,
    transpose,
)

Array = Any
Variables = Mapping[str, Variable]

_CLOSE = Decimal("1e-20")
_TERMS = 10  # of a sum, whose subsets are tried
_TOGETHER = 3  # terms missing at once
_BASES = 16  # scalars tried as a factor
_WORK = 3_000  # nodes rebuilt while rewritings of a claim are tried ...
_VARIANTS = 400  # ... which are at most so many
_EXPANDED = 200  # terms
_EXPONENTS = (Fraction(1), Fraction(-1), Fraction(2), Fraction(-2), Fraction(1, 2), Fraction(-1, 2))


@dataclass(frozen=True)
class Case:
    """A derivative and a claim of its shape, with points to try ideas on."""

    truth: Expr
    claimed: Expr
    variables: Variables
    samples: Samples

    def agrees(self, term: Expr) -> bool:
        """Is the term the derivative? Tried first, then decided."""
        wanted, found = self.samples.values(self.truth), self.samples.values(term)
        if wanted is None or found is None or not same_values(wanted, found):
            return False
        return decide(self.truth, term).equal


# ------------------------------------------------------------ factors


def factor_between(case: Case, scalars: Sequence[Expr]) -> Expr | None:
    """The scalar c with claimed = c * truth: a number, or a power of `scalars` times one."""
    values = _ratios(case)
    if values is None:
        return None
    factor = _scalar_of(values, case, scalars)
    if factor is None or is_zero(factor):
        return None
    scaled = times(factor, case.truth)
    return factor if decide(scaled, case.claimed).equal else None


def times(factor: Expr, term: Expr) -> Expr:
    """A scalar times a term."""
    axes = tuple(range(term.rank))
    (result,) = simplify([contract([factor, term], [(), axes], axes)])
    return result


def _ratios(case: Case) -> list[Decimal] | None:
    """claimed/truth at every point, None where it is not one number there."""
    truths, claims = (case.samples.values(t) for t in (case.truth, case.claimed))
    if truths is None or claims is None:
        return None
    found = []
    with localcontext(context(DIGITS)):
        for t, c in zip(truths, claims, strict=True):
            flat = list(np.ravel(t))
            if not flat:
                return None
            place = max(range(len(flat)), key=lambda k: abs(flat[k]))
            if not flat[place]:
                return None
            ratio = np.ravel(c)[place] / flat[place]
            if not same_values([c], [np.asarray(t * ratio, dtype=object)]):
                return None
            found.append(ratio)
    return found


def _scalar_of(values: list[Decimal], case: Case, scalars: Sequence[Expr]) -> Expr | None:
    """The simplest scalar with these values at the points."""
    number = _constant(values)
    if number is not None:
        return Literal(number)
    bases = [(s, v) for s in scalars if (v := case.samples.values(s)) is not None][:_BASES]
    with localcontext(context(DIGITS)):
        powers = [
            (power(s, e), [_raised(x[()], e) for x in v])
            for e in _EXPONENTS
            for s, v in bases
            if not (e.denominator > 1 and any(x[()] <= 0 for x in v))
            and not (e < 0 and any(not x[()] for x in v))
        ]
        for term, at in powers:
            number = _constant(
                [r / x if x else Decimal(0) for r, x in zip(values, at, strict=True)]
            )
            if number:
                return scale(number, term)
        first = [p for p in powers if len(powers) <= 200][: 4 * len(bases)]
        for (s, a), (t, b) in combinations(first, 2):
            ratios = [
                r / (x * y) if x * y else Decimal(0) for r, x, y in zip(values, a, b, strict=True)
            ]
            number = _constant(ratios)
            if number:
                return scale(number, contract([s, t], [(), ()], ()))
    return None


def _raised(x: Decimal, e: Fraction) -> Decimal:
    return x.sqrt() ** int(2 * e) if e.denominator == 2 else x ** int(e)


def _constant(values: Sequence[Decimal]) -> Fraction | None:
    """The fraction that all values are, if it is one of small numbers."""
    if len(values) < 2 or not all(x.is_finite() for x in values):
        return None
    with localcontext(context(DIGITS)):
        if any(abs(x - values[0]) > _CLOSE * abs(values[0]) for x in values):
            return None
        found = Fraction(values[0]).limit_denominator(10**6)
        near = abs(Decimal(found.numerator) / found.denominator - values[0])
        return found if near <= _CLOSE * abs(values[0]) else None


def scalars_of(case: Case, apart: set[str]) -> list[Expr]:
    """Scalars a factor may be made of: extents, scalar tensors, and scalar parts where there are axes.

    `apart`: tensors of which it must not be made (those differentiated by, where all is scalar).
    """
    every = [case.truth, case.claimed]
    found: dict[Expr, None] = {}
    for dim in symbolic_extents([*every, *case.variables.values()]):
        found.setdefault(extent(dim))
    for x in case.variables.values():
        if not x.shape and x.name not in apart:
            found.setdefault(x)
    if case.truth.rank:
        for node in postorder(every):
            if not node.rank and not isinstance(node, Literal):
                found.setdefault(split_scale(node)[1])
    return list(found)


# ------------------------------------------------------------ terms


Terms = list[tuple[Fraction, Expr]]


def _terms(term: Expr) -> list[Terms]:
    """The term as sums of terms: as it stands, and multiplied out; coarse ones first."""
    (short,) = simplify([term])
    forms = [short]
    if expanded_terms(short) <= _EXPANDED:
        (long,) = simplify([short])
        (long,) = expand([long])
        forms.append(long)
    found: list[Terms] = []
    for form in forms:
        outer, inside = split_scale(form)
        terms = [(outer * c, t) for c, t in _summands(inside)]
        if 1 < len(terms) <= _TERMS and terms not in found:
            found.append(terms)
    return found


def _summands(term: Expr) -> Terms:
    """The terms of a sum, or of a view of one such as (X - Y)'."""
    if isinstance(term, Sum):
        return list(zip(term.coefficients, term.children, strict=True))
    if isinstance(term, Contraction) and len(term.children) == 1:
        (child,) = term.children
        if isinstance(child, Sum):
            return [
                (c, contract([t], term.inputs, term.output))
                for c, t in zip(child.coefficients, child.children, strict=True)
            ]
    return [(Fraction(1), term)]


def missing_terms(case: Case) -> tuple[Expr, bool] | None:
    """Whole terms that the claim lacks, or (True) has beyond the derivative's."""
    for whole, is_extra in ((case.truth, False), (case.claimed, True)):
        for terms in _terms(whole):
            for count in range(1, min(len(terms) - 1, _TOGETHER) + 1):
                for chosen in combinations(terms, count):
                    part = add(chosen, whole.shape)
                    sign = -1 if is_extra else 1
                    if case.agrees(add([(1, case.claimed), (sign, part)], whole.shape)):
                        return part, is_extra
    return None


def term_with_other_coefficient(case: Case) -> tuple[Expr, Fraction] | None:
    """A term of the derivative, and by what number it is multiplied in the claim."""
    difference = add([(1, case.truth), (-1, case.claimed)], case.truth.shape)
    for terms in _terms(case.truth):
        for c, term in terms:
            if is_zero(term):
                continue
            part = scale(c, term)
            number = factor_between(Case(part, difference, case.variables, case.samples), ())
            if isinstance(number, Literal) and number.value not in (0, 1):
                return part, 1 - number.value
    return None


# ------------------------------------------------------------ assumptions


def symmetry_needed(case: Case) -> tuple[str, ...] | None:
    """The fewest square matrices that, were they symmetric, would make the claim right."""
    square = [
        x.name
        for x in dict.fromkeys(
            node for node in postorder([case.truth, case.claimed]) if isinstance(node, Variable)
        )
        if x.rank == 2 and x.shape[0] == x.shape[1] and not x.symmetric
    ][:6]
    for count in dict.fromkeys((1, len(square))):
        for names in combinations(square, count) if square else ():
            if agree_if_symmetric(case.truth, case.claimed, case.variables, names):
                return names
    return None


def agree_if_symmetric(a: Expr, b: Expr, variables: Variables, names: Sequence[str]) -> bool:
    """Are two terms equal once these tensors are symmetric?"""
    words = {name: variables[name].assumptions | {"symmetric"} for name in names}
    left, right = (with_assumptions(term, words) for term in (a, b))
    return decide(left, right).equal


# ------------------------------------------------------------ rewritings of the claim


@dataclass(frozen=True)
class Rewriting:
    """A change of the claim that makes it right."""

    transposed: tuple[str, ...] = ()
    order: tuple[str, ...] = ()


def rewriting(case: Case) -> Rewriting | None:
    """One transposition, or another order of the factors of one product, after which the claim is right."""
    nodes = len(postorder([case.truth, case.claimed]))
    count = min(_VARIANTS, _WORK // nodes)
    for change, term in islice(_rewritings(case.claimed), count):
        if term.shape == case.truth.shape and case.agrees(term):
            return change
    return None


def _rewritings(claimed: Expr) -> Iterator[tuple[Rewriting, Expr]]:
    roots = [claimed]
    if expanded_terms(claimed) <= _EXPANDED:
        roots += [term for term in expand([claimed]) if term is not claimed]
    for root in roots:
        for node in postorder([root]):
            if isinstance(node, Contraction):
                changes = _of_product(node)
            elif isinstance(node, Sum):
                changes = _of_sum(node)
            else:
                continue
            for change, other in changes:
                if other is not node and other.shape == node.shape:
                    yield change, substituted([root], {node: other})[0]


def _is_square(term: Expr) -> bool:
    return term.rank == 2 and term.shape[0] == term.shape[1]


def _of_product(node: Contraction) -> Iterator[tuple[Rewriting, Expr]]:
    labels = node.inputs
    turned = [k for k, child in enumerate(node.children) if _is_square(child)]
    for k in turned:
        inputs = (*labels[:k], labels[k][::-1], *labels[k + 1 :])
        yield (
            Rewriting(transposed=(named(node.children[k]),)),
            contract(node.children, inputs, node.output),
        )
    same: dict[object, list[int]] = {}
    for k, child in enumerate(node.children):
        if child.rank == 2:
            same.setdefault(frozenset(child.shape), []).append(k)
    for group in same.values():
        if not 2 <= len(group) <= 4:
            continue
        names = tuple(dict.fromkeys(named(node.children[k]) for k in group))
        for order in permutations(group):
            for flips in product((False, True), repeat=len(group)):
                moved: list[Subscript] = list(labels)
                for k, other, flip in zip(group, order, flips, strict=True):
                    moved[k] = labels[other][::-1] if flip else labels[other]
                if _fits(node.children, moved):
                    yield Rewriting(order=names), contract(node.children, moved, node.output)


def _fits(operands: Sequence[Expr], inputs: Sequence[Subscript]) -> bool:
    """Has every label one extent?"""
    dims: dict[int, object] = {}
    return all(
        dims.setdefault(label, dim) == dim
        for operand, labels in zip(operands, inputs, strict=True)
        for label, dim in zip(labels, operand.shape, strict=True)
    )


def _of_sum(node: Sum) -> Iterator[tuple[Rewriting, Expr]]:
    for k, child in enumerate(node.children):
        if _is_square(child):
            children = (*node.children[:k], transpose(child, (1, 0)), *node.children[k + 1 :])
            yield (
                Rewriting(transposed=(named(child),)),
                add(zip(node.coefficients, children, strict=True), node.shape),
            )


def named(term: Expr) -> str:
    """What to call a factor in a sentence."""
    if isinstance(term, Variable):
        return term.name
    if isinstance(term, Apply) and term.children:
        return f"{term.function}({named(term.children[0])})"
    return "the product" if isinstance(term, Contraction) else "the bracket"


# ------------------------------------------------------------ chain rule


def forgotten_factor(case: Case) -> tuple[Expr, bool] | None:
    """A part u of the derivative with truth = u .* claimed, or (True) claimed = u .* truth."""
    shape = case.truth.shape
    if not shape:
        return None
    axes = tuple(range(len(shape)))
    for node in postorder([case.truth, case.claimed]):
        if node is case.truth or node is case.claimed or not node.rank:
            continue
        for own in permutations(axes, min(node.rank, len(axes))):
            if tuple(shape[axis] for axis in own) != node.shape:
                continue
            for whole, other, is_extra in (
                (case.truth, case.claimed, False),
                (case.claimed, case.truth, True),
            ):
                if is_zero(other):
                    continue
                product_term = contract([other, node], [axes, own], axes)
                inner = Case(product_term, whole, case.variables, case.samples)
                number = factor_between(inner, ())
                if isinstance(number, Literal):
                    return scale(number.value, node), is_extra
    return None
