"""What probably went wrong in a claim that is not the derivative.

In: a `Case`: the derivative, the claim, and points on which ideas are tried out. Out: factors, terms, and
sentences about them.
Invariant: a sentence says only what `decide` has confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import chain, combinations, islice, permutations, product
from typing import Any

import numpy as np

from ..calculus import expand, simplify, with_assumptions
from ..equality import DIGITS, Samples, context, decide, expanded_terms, same_values
from ..notations import variable_name
from ..terms import (
    Apply,
    Contraction,
    Delta,
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
    substitute_terms,
    symbolic_extents,
    transpose,
)
from .claims import Question
from .verdicts import both_forms, formula

Array = Any
Terms = list[tuple[Fraction, Expr]]

_CLOSE = Decimal("1e-20")
_TERMS = 10  # of a sum, whose subsets are tried
_TOGETHER = 3  # terms missing at once
_BASES = 16  # scalars tried as a factor
_WORK = 3_000  # nodes rebuilt while rewritings of a claim are tried ...
_VARIANTS = 400  # ... which are at most so many
_EXPANDED = 200  # terms
_EXPONENTS = (Fraction(1), Fraction(-1), Fraction(2), Fraction(-2), Fraction(1, 2), Fraction(-1, 2))
INVERSE = "d inv(A) = -inv(A)*dA*inv(A)"


@dataclass(frozen=True)
class Case:
    """A derivative and a claim of its shape, with points to try ideas on."""

    question: Question
    truth: Expr
    claimed: Expr
    samples: Samples

    def is_truth(self, term: Expr) -> bool:
        """Is the term the derivative? Points are tried first, then it is decided."""
        return self.samples.agree(self.truth, term) is True and decide(self.truth, term).equal

    def agrees_if_symmetric(self, truth: Expr, names: Sequence[str]) -> bool:
        """Is the claim `truth` once these tensors are symmetric?"""
        variables = self.question.variables
        words = {name: variables[name].assumptions | {"symmetric"} for name in names}
        return decide(with_assumptions(truth, words), with_assumptions(self.claimed, words)).equal

    def text(self, term: Expr) -> str:
        """A term of the derivative's shape."""
        return both_forms(self.question.as_expression(term), self.question.notation)

    def part_text(self, term: Expr) -> str:
        return formula(self.question.as_part(term))


def probable_mistakes(case: Case) -> list[str]:
    """Sentences about a claim that is neither a multiple nor a part of the derivative."""
    return next(filter(None, (explain(case) for explain in _EXPLANATIONS)), [])


def has_function(term: Expr, name: str) -> bool:
    return any(isinstance(n, Apply) and n.function == name for n in postorder([term]))


# ------------------------------------------------------------ factors


def factor_between(case: Case, scalars: Sequence[Expr]) -> Expr | None:
    """The scalar c with claimed = c * truth: a number, or a power of `scalars` times one."""
    values = _ratios(case)
    factor = None if values is None else _scalar_of(values, case, scalars)
    if factor is None or is_zero(factor):
        return None
    axes = tuple(range(case.truth.rank))
    (multiple,) = simplify([contract([factor, case.truth], [(), axes], axes)])
    return factor if decide(multiple, case.claimed).equal else None


def _ratios(case: Case) -> list[Decimal] | None:
    """claimed/truth at every point, None if it is not one number there."""
    truths, claims = (case.samples.values(t) for t in (case.truth, case.claimed))
    if truths is None or claims is None:
        return None
    found = []
    with localcontext(context(DIGITS)):
        for t, c in zip(truths, claims, strict=True):
            flat = list(np.ravel(t))
            place = max(range(len(flat)), key=lambda k: abs(flat[k]), default=None)
            if place is None or not flat[place]:
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
            (power(s, e), [x[()] ** Decimal(float(e)) for x in v])
            for e in _EXPONENTS
            for s, v in bases
        ]
        products = (
            (contract([s, t], [(), ()], ()), [x * y for x, y in zip(a, b, strict=True)])
            for (s, a), (t, b) in combinations(powers[: 4 * len(bases)], 2)
        )
        for term, at in chain(powers, products):
            number = _constant(
                [r / x if x else Decimal(0) for r, x in zip(values, at, strict=True)]
            )
            if number:
                return scale(number, term)
    return None


def _constant(values: Sequence[Decimal]) -> Fraction | None:
    """The fraction that all values are, if it is one of small numbers."""
    if len(values) < 2 or not all(x.is_finite() for x in values):
        return None
    with localcontext(context(DIGITS)):
        found = Fraction(values[0]).limit_denominator(10**6)
        number = Decimal(found.numerator) / found.denominator
        near = all(abs(x - values[0]) <= _CLOSE * abs(values[0]) for x in (*values, number))
    return found if near else None


def scalars_of(case: Case) -> list[Expr]:
    """Scalars a factor may be made of: extents, scalar tensors, and scalar parts if there are axes.

    Without the tensors differentiated by, if all is scalar.
    """
    every, variables = [case.truth, case.claimed], case.question.variables.values()
    apart = {variable_name(text) for text in case.question.wrt}
    found = [extent(dim) for dim in symbolic_extents([*every, *variables])]
    found += [x for x in variables if not x.shape and x.name not in apart]
    if case.truth.rank:
        scalars = [node for node in postorder(every) if not node.rank]
        found += [split_scale(node)[1] for node in scalars if not isinstance(node, Literal)]
    return list(dict.fromkeys(found))


# ------------------------------------------------------------ terms


def _sums(term: Expr) -> list[Terms]:
    """The term as sums of terms: as it is, and multiplied out; coarse ones first."""
    forms = simplify([term])
    if expanded_terms(forms[0]) <= _EXPANDED:
        forms = [*forms, *expand(simplify(forms))]
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
        for terms in _sums(whole):
            for count in range(1, min(len(terms) - 1, _TOGETHER) + 1):
                for chosen in combinations(terms, count):
                    part = add(chosen, whole.shape)
                    sign = -1 if is_extra else 1
                    if case.is_truth(add([(1, case.claimed), (sign, part)], whole.shape)):
                        return part, is_extra
    return None


def _other_coefficient(case: Case) -> list[str]:
    """A term of the derivative is multiplied by a number in the claim."""
    difference = add([(1, case.truth), (-1, case.claimed)], case.truth.shape)
    for terms in _sums(case.truth):
        for c, term in terms:
            part = scale(c, term)
            rest = factor_between(replace(case, truth=part, claimed=difference), ())
            if not isinstance(rest, Literal) or rest.value == 1:
                continue
            number, text = 1 - rest.value, case.text(part)
            if number == -1:
                minus = [INVERSE] if has_function(part, "inv") else []
                return [f"one term has the wrong sign; it should be {text}", *minus]
            return [f"one term is off by the factor {number}; it should be {text}"]
    return []


# ------------------------------------------------------------ assumptions


def symmetry_needed(case: Case) -> str:
    """The fewest square matrices that, were they symmetric, would make the claim right, in words."""
    nodes = postorder([case.truth, case.claimed])
    variables = [node for node in nodes if isinstance(node, Variable)]
    square = [x.name for x in variables if _is_square(x) and not x.symmetric][:6]
    for count in dict.fromkeys((1, len(square))):
        for names in combinations(square, count) if square else ():
            if case.agrees_if_symmetric(case.truth, names):
                return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} symmetric"
    return ""


def _dependent_entries(case: Case) -> list[str]:
    """G + G' - diag(G): the derivative by a symmetric matrix whose entries are tied."""
    shape, x = case.truth.shape, case.question.variables[variable_name(case.question.wrt[-1])]
    if not _is_square(x) or x.shape != shape:
        return []
    turned = transpose(case.truth, (1, 0))
    diagonal = contract([case.truth, Delta(shape[0])], [(0, 1), (0, 1)], (0, 1))
    tied = add([(1, case.truth), (1, turned), (-1, diagonal)], shape)
    if not case.agrees_if_symmetric(tied, [x.name]):
        return []
    return [
        f"this is G + G' - diag(G), the derivative G by a symmetric {x.name} whose entries above "
        "and below the diagonal are one; here all entries count as independent"
    ]


# ------------------------------------------------------------ rewritings of the claim


def _rewriting(case: Case) -> list[str]:
    """One transposition, or another order of the factors of one product, makes the claim right."""
    nodes = len(postorder([case.truth, case.claimed]))
    for sentence, term in islice(_rewritings(case), min(_VARIANTS, _WORK // nodes)):
        if term.shape == case.truth.shape and case.is_truth(term):
            return [sentence]
    return []


def _rewritings(case: Case) -> Iterator[tuple[str, Expr]]:
    roots = [case.claimed]
    if expanded_terms(case.claimed) <= _EXPANDED:
        roots = list(dict.fromkeys([*roots, *expand(roots)]))
    rotated = "; a trace may be rotated, but its factors not exchanged"
    rotated = rotated * (not case.question.expression._term.rank)
    for root in roots:
        for node in postorder([root]):
            for sentence, other in _changes(node, rotated):
                if other is not node and other.shape == node.shape:
                    yield sentence, substitute_terms([root], {node: other})[0]


def _is_square(term: Expr) -> bool:
    return term.rank == 2 and term.shape[0] == term.shape[1]


def _changes(node: Expr, rotated: str) -> Iterator[tuple[str, Expr]]:
    if not isinstance(node, Contraction | Sum):
        return
    for k, child in enumerate(node.children):
        if _is_square(child):
            children = (*node.children[:k], transpose(child, (1, 0)), *node.children[k + 1 :])
            name = _name(child)
            yield (
                f"a transpose is forgotten or too many: turn {name} round",
                add(zip(node.coefficients, children, strict=True), node.shape)
                if isinstance(node, Sum)
                else contract(children, node.inputs, node.output),
            )
    if isinstance(node, Sum):
        return
    labels = node.inputs
    same: dict[object, list[int]] = {}
    for k, child in enumerate(node.children):
        if child.rank == 2:
            same.setdefault(frozenset(child.shape), []).append(k)
    for group in same.values():
        if not 2 <= len(group) <= 4:
            continue
        names = ", ".join(dict.fromkeys(_name(node.children[k]) for k in group))
        sentence = f"the factors {names} stand in the wrong order or are transposed wrongly"
        for order in permutations(group):
            for flips in product((False, True), repeat=len(group)):
                moved: list[Subscript] = list(labels)
                for k, other, flip in zip(group, order, flips, strict=True):
                    moved[k] = labels[other][::-1] if flip else labels[other]
                if _fit(node.children, moved):
                    yield sentence + rotated, contract(node.children, moved, node.output)


def _fit(operands: Sequence[Expr], inputs: Sequence[Subscript]) -> bool:
    """Has every label one extent?"""
    dims: dict[int, object] = {}
    return all(
        dims.setdefault(label, dim) == dim
        for operand, labels in zip(operands, inputs, strict=True)
        for label, dim in zip(labels, operand.shape, strict=True)
    )


def _name(term: Expr) -> str:
    """What to call a factor in a sentence."""
    if isinstance(term, Variable):
        return term.name
    if isinstance(term, Apply) and term.children:
        return f"{term.function}({_name(term.children[0])})"
    return "the product" if isinstance(term, Contraction) else "the bracket"


# ------------------------------------------------------------ chain rule


def _forgotten_factor(case: Case) -> list[str]:
    """A part u of the derivative with truth = u .* claimed, or claimed = u .* truth."""
    shape = case.truth.shape
    axes = tuple(range(len(shape)))
    for node in postorder([case.truth, case.claimed]) if shape else ():
        if node is case.truth or node is case.claimed or not node.rank:
            continue
        for own in permutations(axes, min(node.rank, len(axes))):
            if tuple(shape[axis] for axis in own) != node.shape:
                continue
            for whole, other in ((case.truth, case.claimed), (case.claimed, case.truth)):
                if is_zero(other):
                    continue
                times = contract([other, node], [axes, own], axes)
                number = factor_between(replace(case, truth=times, claimed=whole), ())
                if isinstance(number, Literal):
                    factor = f"the factor {case.part_text(scale(number.value, node))} is"
                    if whole is case.claimed:
                        return [f"{factor} too many"]
                    return [f"{factor} missing: the inner derivative of the chain rule?"]
    return []


# the first one that finds an explanation gives the sentences
_EXPLANATIONS: tuple[Callable[[Case], list[str]], ...] = (
    _other_coefficient,
    _rewriting,
    _forgotten_factor,
    _dependent_entries,
)
