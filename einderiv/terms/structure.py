"""What a term looks like: predicates and decompositions that build nothing but views of it.

In: a term. Out: facts about it, or its parts.
Invariant: nothing here calls the constructors of canonical form, which stand on these facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import count, groupby, permutations, product
from math import factorial, gcd, lcm, prod

from .expr import Contraction, Delta, Dim, Expr, Label, Literal, Map, Ones, Subscript, Sum
from .names import Classes

ZERO, ONE, HALF = Fraction(0), Fraction(1), Fraction(1, 2)

Factor = tuple[Expr, Subscript]  # an operand at its labels

_ORDERS = 24  # orders of equal axes that are tried; beyond, equal terms may stay apart
_EXACT_BITS = 2048  # powers of numbers beyond this size stay unevaluated
_SUM_RANK = {7: 0, 5: 1, 6: 2, 4: 3, 8: 4, 9: 5, 3: 6, 1: 7, 2: 8, 0: 9}  # kind -> place in a sum


def is_zero(expr: Expr) -> bool:
    """Is this the zero of its shape?"""
    return (isinstance(expr, Sum) and not expr.children) or (
        isinstance(expr, Literal) and not expr.value
    )


def split_scale(expr: Expr) -> tuple[Fraction, Expr]:
    """`c*t` as (c, t); a number as (number, 1)."""
    if isinstance(expr, Literal):
        return expr.value, Literal(1)
    if isinstance(expr, Sum) and len(expr.children) == 1:
        return expr.coefficients[0], expr.children[0]
    return ONE, expr


def with_decimals_inside(node: Sum) -> Sum:
    """0.001*(1000*x + 1) as x + 0.001, for a reader; other sums as they are.

    >>> from .canonical import add, literal
    >>> from .expr import Variable
    >>> total = add([(1, Variable("x", ())), (Fraction(1, 1000), literal(1))], ())
    >>> with_decimals_inside(total).coefficients == (1, Fraction(1, 1000))
    True
    """
    if len(node.children) != 1 or not isinstance(node.children[0], Sum):
        return node
    content, total = node.coefficients[0], node.children[0]
    power = content.denominator
    while power % 10 == 0:
        power //= 10
    coefficients = tuple(content * c for c in total.coefficients)
    is_small = power == 1 < content.denominator and len(total.children) > 1
    if not is_small or all(c.denominator > 1 for c in coefficients):
        return node
    return Sum(total.children, coefficients, total.shape)


def is_view(expr: Expr) -> bool:
    """Is this a transpose, diagonal or broadcast: no summed label, at most one operand with data?"""
    return (
        isinstance(expr, Contraction)
        and sum(not isinstance(operand, Delta | Ones) for operand in expr.children) <= 1
        and all(label in expr.output for labels in expr.inputs for label in labels)
    )


def is_plain_power(node: Contraction) -> bool:
    """x_i x_i, entry by entry: its factors are collected with others of the same base."""
    first = node.inputs[0]
    return (
        all(child is node.children[0] for child in node.children)
        and all(labels == first for labels in node.inputs)
        and set(first) == set(node.output)
    )


def merged_by_deltas(factors: list[Factor], output: Subscript) -> dict[Label, Label]:
    """Label -> the label that stands for it once every delta has identified its two."""
    same: Classes[Label] = Classes()
    position = {label: place for place, label in enumerate(output)}
    for operand, labels in factors:
        if isinstance(operand, Delta):
            # an output label stands for its class, the first one if there are several
            a, b = (same.find(label) for label in labels)
            if position.get(b, len(position)) < position.get(a, len(position)):
                a, b = b, a
            same.join(a, b)
    return {label: same.find(label) for label in same.parent}


def base_and_exponent(expr: Expr) -> tuple[Expr, Fraction]:
    """`x^p` with a number p as (x, p); the square root as a half."""
    if isinstance(expr, Map):
        if expr.function == "sqrt":
            return expr.children[0], HALF
        if expr.function == "pow" and isinstance(expr.children[1], Literal):
            return expr.children[0], expr.children[1].value
    return expr, ONE


def sums_a_label(node: Contraction) -> bool:
    return any(label not in node.output for labels in node.inputs for label in labels)


def is_small_power(factor: Fraction, exponent: Fraction) -> bool:
    if not factor:
        return exponent > 0
    bits = max(factor.numerator.bit_length(), factor.denominator.bit_length())
    return abs(exponent) * bits <= _EXACT_BITS


def sum_order(entry: tuple[Expr, Fraction]) -> tuple[int, str, bytes, tuple[int, ...]]:
    """Contractions first, then functions, variables, sums and constants; X before its transpose."""
    base, axes = permutation_of(entry[0])
    rank, name, digest = base.order
    return _SUM_RANK[rank], name, digest, axes


def common_content(coefficients: list[Fraction]) -> Fraction:
    """The largest positive number whose multiples these are."""
    numerator = gcd(*(c.numerator for c in coefficients))
    return Fraction(numerator, lcm(*(c.denominator for c in coefficients)))


def permutation_of(expr: Expr) -> tuple[Expr, tuple[int, ...]]:
    """A transposed view as (what it looks at, axes), in `numpy.transpose`'s sense; else (expr, identity)."""
    if isinstance(expr, Contraction) and len(expr.children) == 1:
        (labels,) = expr.inputs
        if len(set(labels)) == len(labels) == len(expr.output):
            # labels are numbered by the output, so the view is transpose(child, inverse order)
            return expr.children[0], tuple(labels.index(label) for label in expr.output)
    return expr, tuple(range(expr.rank))


def is_product(term: Expr) -> bool:
    """A contraction of several operands, or one that sums: not a view of something plain."""
    return isinstance(term, Contraction) and isinstance(permutation_of(term)[0], Contraction)


def broadcast_axes(expr: Expr) -> set[int]:
    """The axes along which a term only repeats itself."""
    _, term = split_scale(expr)
    if isinstance(term, Ones):
        return {0}
    if not isinstance(term, Contraction):
        return set()
    return {
        term.output.index(labels[0])
        for operand, labels in zip(term.children, term.inputs, strict=True)
        if isinstance(operand, Ones)
    }


def factors_at(term: Contraction, labels: Subscript, fresh: Iterator[Label]) -> list[Factor]:
    """The factors of a product whose axes get these labels; what it sums gets `fresh` ones."""
    names = dict(zip(term.output, labels, strict=True))
    for own in term.inputs:
        for label in own:
            if label not in names:
                names[label] = next(fresh)
    pairs = zip(term.children, term.inputs, strict=True)
    return [(child, tuple([names[label] for label in own])) for child, own in pairs]


def compose(factors: list[Factor], dims: dict[Label, Dim]) -> list[Factor]:
    """A product that is only transposed, repeated or summed further is one product: (A B)' -> B_kj A_ik."""
    real = [(op, labels) for op, labels in factors if not isinstance(op, Delta | Ones)]
    if len(real) != 1 or not isinstance(real[0][0], Contraction):
        return factors
    ((inner, outside),) = real
    assert isinstance(inner, Contraction)
    if not inner.shape and any(inner.inputs):
        return factors  # a closed part stays apart
    own = factors_at(inner, outside, count(1 + max(dims, default=-1)))
    for op, labels in own:
        dims.update(zip(labels, op.shape, strict=True))
    return own + [(op, labels) for op, labels in factors if isinstance(op, Delta | Ones)]


def is_symmetric_view(operand: Expr, labels: Subscript, output: Subscript) -> bool:
    """Is it a symmetric operand, only transposed?"""
    return operand.symmetric and len(set(labels)) == len(labels) and set(labels) == set(output)


def axis_signatures(term: Expr) -> list[tuple[object, ...]]:
    """For each axis of a term what stands at it, whatever the order of the axes.

    Axes that a delta joins share what stands at any of them, since each may carry it.
    """
    base, axes = permutation_of(term)
    if not isinstance(base, Contraction):
        return [((base.order, 0 if base.symmetric else axis),) for axis in axes]
    factors = list(zip(base.children, base.inputs, strict=True))
    same = merged_by_deltas(factors, base.output)
    found: dict[Label, list[tuple[object, ...]]] = {}
    for operand, labels in factors:
        for slot, label in enumerate(labels):
            place = 0 if operand.symmetric else slot
            found.setdefault(same.get(label, label), []).append((operand.order, place))
    return [tuple(sorted(found[same.get(base.output[axis], base.output[axis])])) for axis in axes]


def orientations(signatures: Sequence[tuple[object, ...]]) -> list[tuple[int, ...]]:
    """The orders of axes in which the signatures rise; several where some are equal, but not too many."""
    order = sorted(range(len(signatures)), key=signatures.__getitem__)
    groups = [list(group) for _, group in groupby(order, key=signatures.__getitem__)]
    if prod(factorial(len(group)) for group in groups) > _ORDERS:
        return [tuple(order)]
    choices = product(*(permutations(group) for group in groups))
    return [tuple(axis for group in choice for axis in group) for choice in choices]


def inverse_of(axes: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `axes`.

    >>> inverse_of((1, 2, 0))
    (2, 0, 1)
    """
    return tuple(axes.index(place) for place in range(len(axes)))
