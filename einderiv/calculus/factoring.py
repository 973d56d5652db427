"""Common factors of the terms of a sum: Q_dj x_j + Q_jd x_j -> (Q_dj + Q_jd) x_j.

In: a sum of two or more terms. Out: an equal term with fewer operands, or the sum itself.
Invariant: no remainder has a higher rank than one of the operands it is made of, so a factored form never
costs a larger array than the terms did.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ..terms import (
    Contraction,
    Delta,
    Dim,
    Expr,
    Factor,
    Label,
    Ones,
    Subscript,
    Sum,
    add,
    contract,
    split_scale,
)

_TERMS = 48  # longer sums are left alone: each round of the search is linear in their length

Factors = tuple[tuple[Expr, Subscript], ...]
Key = tuple[Expr, Subscript]  # an operand and its labels, summed ones numbered -1, -2, ...


def factor_out(node: Sum) -> Expr:
    """`node` with common factors taken out where that makes it shorter."""
    if len(node.children) > _TERMS:
        return node
    result: Expr = node
    while True:
        factor, inside = split_scale(result)
        if not isinstance(inside, Sum) or len(inside.children) < 2:
            return result
        better = _one_factor_out(inside)
        if better is None:
            return result
        result = add([(factor, better)], better.shape)


def _one_factor_out(node: Sum) -> Expr | None:
    """The sum with the most saving common factor out of the terms that have it; None if none saves."""
    terms = [_factors(term) for term in node.children]
    found: dict[Key, dict[int, int]] = {}  # key -> term -> position of the operand in it
    for number, factors in enumerate(terms):
        for position, (operand, labels) in enumerate(factors):
            if not isinstance(operand, Delta | Ones):
                found.setdefault(_key(operand, labels, node.rank), {}).setdefault(number, position)
    candidates = [(key, where) for key, where in found.items() if len(where) > 1]
    candidates.sort(key=lambda entry: (-len(entry[1]), entry[0][0].order, entry[0][1]))
    for (operand, _), where in candidates:
        better = _taken_out(node, terms, operand, where)
        if better is not None:
            return better
    return None


def _factors(term: Expr) -> Factors:
    """A term as a product over labels, its own axes first."""
    if isinstance(term, Contraction):
        return tuple(zip(term.children, term.inputs, strict=True))
    return ((term, tuple(range(term.rank))),)


def _key(operand: Expr, labels: Subscript, rank: int) -> Key:
    inner: dict[Label, int] = {}
    return operand, tuple(
        label if label < rank else inner.setdefault(label, -1 - len(inner)) for label in labels
    )


def _taken_out(
    node: Sum, terms: list[Factors], operand: Expr, where: dict[int, int]
) -> Expr | None:
    """operand * (sum of remainders) + the other terms, if that is shorter and no larger."""
    rank = node.rank
    remainders: list[tuple[Fraction, Factors]] = []
    outer: Subscript = ()
    for number, position in where.items():
        labels = terms[number][position][1]
        outer, rename = _align(labels, rank)
        rest = tuple(
            (op, tuple(rename(label) for label in inner))
            for place, (op, inner) in enumerate(terms[number])
            if place != position
        )
        remainders.append((node.coefficients[number], rest))
    if not _is_shorter(remainders) or not _axes_of_remainder(remainders, [outer], rank):
        return None
    dims: dict[Label, Dim] = dict(enumerate(node.shape))
    dims.update(zip(outer, operand.shape, strict=True))
    taken = [(operand, outer)]
    while len(remainders) > 1 and (more := _one_more(remainders, taken, rank)) is not None:
        remainders, taken = more
        dims.update(zip(taken[-1][1], taken[-1][0].shape, strict=True))
    (axes,) = _axes_of_remainder(remainders, [labels for _, labels in taken], rank)
    shape = tuple(dims[label] for label in axes)
    inner_sum = add(((c, _remainder(rest, axes, dims)) for c, rest in remainders), shape)
    product = contract(
        [*(op for op, _ in taken), inner_sum],
        [*(own for _, own in taken), axes],
        tuple(range(rank)),
    )
    others = [
        (c, term)
        for number, (c, term) in enumerate(zip(node.coefficients, node.children, strict=True))
        if number not in where
    ]
    return add([(1, product), *others], node.shape)


def _align(labels: Subscript, rank: int):  # type: ignore[no-untyped-def]
    """The operand's labels with summed ones numbered from `rank`, and the renaming of a term's labels."""
    names: dict[Label, Label] = {}
    for label in labels:
        if label >= rank:
            names.setdefault(label, rank + len(names))
    shared = len(names)

    def rename(label: Label) -> Label:
        if label < rank:
            return label
        return names.setdefault(label, rank + shared + len(names))

    return tuple(rename(label) for label in labels), rename


def _one_more(
    remainders: Sequence[tuple[Fraction, Factors]], taken: Sequence[Factor], rank: int
) -> tuple[list[tuple[Fraction, Factors]], list[Factor]] | None:
    """Another operand that all remainders have at the same labels, taken out of them as well."""
    shared = {label for _, labels in taken for label in labels}.union(range(rank))

    def key(operand: Expr, labels: Subscript) -> Key:
        inner: dict[Label, int] = {}
        return operand, tuple(
            x if x in shared else inner.setdefault(x, -1 - len(inner)) for x in labels
        )

    places = [{key(*factor): place for place, factor in enumerate(rest)} for _, rest in remainders]
    used = shared.union(*(own for _, rest in remainders for _, own in rest))
    fresh = 1 + max(used, default=-1)
    for candidate in places[0]:
        if isinstance(candidate[0], Delta | Ones) or not all(candidate in own for own in places):
            continue
        outer: Subscript = ()
        smaller = []
        for (c, rest), own in zip(remainders, places, strict=True):
            labels = rest[own[candidate]][1]
            names: dict[Label, Label] = {}
            for label in labels:
                if label not in shared:
                    names.setdefault(label, fresh + len(names))
            outer = tuple(names.get(label, label) for label in labels)
            smaller.append(
                (
                    c,
                    tuple(
                        (op, tuple(names.get(x, x) for x in inner))
                        for place, (op, inner) in enumerate(rest)
                        if place != own[candidate]
                    ),
                )
            )
        more = [*taken, (candidate[0], outer)]
        if _axes_of_remainder(smaller, [labels for _, labels in more], rank):
            return smaller, more
    return None


def _axes_of_remainder(
    remainders: Sequence[tuple[Fraction, Factors]], outer: Sequence[Subscript], rank: int
) -> tuple[Subscript, ...]:
    """Free labels that some remainder has, then summed labels of what was taken out that they share.

    Nothing where that makes a larger array than the operands of the remainders are.
    """
    present = {label for _, rest in remainders for _, labels in rest for label in labels}
    covered = {label for labels in outer for label in labels}
    free = [label for label in range(rank) if label in present or label not in covered]
    last = [x for labels in outer for x in labels if x >= rank]
    summed = [x for x in dict.fromkeys(last) if x in present or len(outer) == 1]
    largest = max((op.rank for _, rest in remainders for op, _ in rest), default=0)
    axes = (*free, *summed)
    return (axes,) if len(axes) <= largest else ()


def _remainder(rest: Factors, axes: Subscript, dims: dict[Label, Dim]) -> Expr:
    covered = {label for _, labels in rest for label in labels}
    lacking = [label for label in axes if label not in covered]
    return contract(
        [*(op for op, _ in rest), *(Ones(dims[label]) for label in lacking)],
        [*(labels for _, labels in rest), *((label,) for label in lacking)],
        axes,
    )


def _is_shorter(remainders: list[tuple[Fraction, Factors]]) -> bool:
    """Fewer operands than before? An empty remainder is a 1, which takes a place as well."""
    before = sum(len(rest) + 1 for _, rest in remainders)
    after = 1 + sum(max(len(rest), 1) for _, rest in remainders)
    return after < before
