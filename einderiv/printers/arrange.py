"""The order in which a product's factors and a sum's terms are shown.

In: canonical contractions and sums. Out: factors with multiplicities, terms with coefficients, for a reader.
Invariant: only the order and the signs change; reading the result back gives the same canonical term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from ..expr import (
    Apply,
    Contraction,
    Delta,
    Dim,
    Expr,
    Extent,
    Label,
    Literal,
    Map,
    Ones,
    Subscript,
    Sum,
    Variable,
)
from ..structure import (
    base_and_exponent,
    split_scale,
)

_LONG = 60  # characters; a longer bracket is squared rather than written twice


@dataclass(frozen=True, slots=True)
class Factor:
    """An operand at its labels, `count` times."""

    operand: Expr
    labels: Subscript
    count: int

    def is_access(self, lets: Mapping[Expr, str]) -> bool:
        """Is it printed with its labels as one subscript?"""
        base, _ = base_and_exponent(self.operand)
        return (
            isinstance(base, Variable | Delta | Ones)
            or base in lets
            or (isinstance(base, Apply) and base.function in ("inv", "cholesky", "tril", "eps"))
        )


def closed_parts_inlined(
    node: Contraction, lets: Mapping[Expr, str], hazard: Mapping[Expr, frozenset[int]]
) -> tuple[list[Factor], dict[Label, Dim]]:
    """The factors of a product, with scalar products among them written out, and the labels' extents.

    (x_i x_i) y_j is shown as x_i x_i y_j: canonical form finds the closed part again.
    """
    dims: dict[Label, Dim] = {}
    flat: list[tuple[Expr, Subscript]] = []
    stack = [(op, labels) for op, labels in zip(node.children, node.inputs, strict=True)][::-1]
    fresh = 1 + max((label for labels in node.inputs for label in labels), default=-1)
    times = {child: node.children.count(child) for child in node.children}
    while stack:
        operand, labels = stack.pop()
        if (
            isinstance(operand, Contraction)
            and not operand.shape
            and any(operand.inputs)
            and operand not in lets
            and times.get(operand, 1) == 1
            and _reads_back_inline(operand, hazard)
        ):
            for inner, own in reversed(list(zip(operand.children, operand.inputs, strict=True))):
                stack.append((inner, tuple(label + fresh for label in own)))
            fresh += 1 + max((label for own in operand.inputs for label in own), default=-1)
            continue
        dims.update(zip(labels, operand.shape, strict=True))
        flat.append((operand, labels))
    return _with_counts(flat, set(node.output)), dims


def _reads_back_inline(node: Contraction, hazard: Mapping[Expr, frozenset[int]]) -> bool:
    """Does the convention alone sum all labels of a closed product?"""
    places: dict[Label, int] = {}
    for operand, labels in zip(node.children, node.inputs, strict=True):
        if any(axis in hazard.get(operand, ()) for axis in range(len(labels))):
            return False
        for label in set(labels):
            if labels.count(label) > 1 and not Factor(operand, labels, 1).is_access({}):
                return False
            places[label] = places.get(label, 0) + labels.count(label)
    return all(count > 1 for count in places.values())


def _with_counts(flat: list[tuple[Expr, Subscript]], output: set[Label]) -> list[Factor]:
    """Equal factors as a power, but for dot products: r_a r_a rather than sum[a](r_a^2)."""
    counts: dict[tuple[Expr, Subscript], int] = {}
    for factor in flat:
        counts[factor] = counts.get(factor, 0) + 1
    factors: list[Factor] = []
    places: dict[Label, int] = {}  # label -> how many distinct factors have it
    for _, labels in counts:
        for label in set(labels):
            places[label] = places.get(label, 0) + 1
    for (operand, labels), count in counts.items():
        dotted = labels and all(label not in output and places[label] == 1 for label in labels)
        if count == 2 and dotted and shown_length(operand) <= _LONG:
            factors += [Factor(operand, labels, 1)] * 2
        else:
            factors.append(Factor(operand, labels, count))
    return factors


def shown_length(expr: Expr) -> int:
    """About how many characters a term takes, looking three levels down."""
    level, total = [expr], 0
    for _ in range(3):
        for node in level:
            total += 1 + (2 * node.rank if isinstance(node, Variable | Delta | Ones) else 1)
        level = [child for node in level for child in node.children]
    return total + 4 * len(level)


_KIND = {
    Literal: 0,
    Extent: 0,
    Variable: 2,
    Map: 3,
    Apply: 3,
    Contraction: 3,
    Sum: 4,
    Delta: 5,
    Ones: 6,
}


def arranged_factors(factors: list[Factor], output: Subscript) -> list[Factor]:
    """Scalars, then a chain: what holds the first free index, then what shares a summed label with it."""
    scalars = sorted((f for f in factors if not f.labels), key=_scalar_key)
    rest = [f for f in factors if f.labels]
    position = {label: place for place, label in enumerate(output)}
    chain: list[Factor] = []
    last: Subscript = ()
    while rest:
        best = min(rest, key=lambda factor: _chain_key(factor, last, position))
        rest.remove(best)
        chain.append(best)
        last = tuple(label for label in best.labels if label not in position) or last
    return [*scalars, *chain]


def _scalar_key(factor: Factor) -> tuple[int, tuple[int, str, bytes]]:
    return _KIND.get(type(factor.operand), 3), factor.operand.order


def _chain_key(
    factor: Factor, last: Subscript, position: Mapping[Label, int]
) -> tuple[bool, bool, int, int, tuple[int, str, bytes], Subscript]:
    special = isinstance(factor.operand, Delta | Ones)
    linked = any(label in last for label in factor.labels)
    free = min((position[x] for x in factor.labels if x in position), default=len(position))
    first = factor.labels[0]
    toward = 0 if first in position or first in last else 1
    return special, not linked, free, toward, factor.operand.order, factor.labels


def arranged_terms(node: Sum) -> list[tuple[Fraction, Expr]]:
    """Terms in canonical order, the positive ones first; constants last among equals."""
    entries = list(zip(node.coefficients, node.children, strict=True))
    return sorted(entries, key=lambda entry: entry[0] < 0)


def flipped(node: Sum) -> Sum | None:
    """The sum with all signs changed, where that leaves no more minus signs than before."""
    _, inner = split_scale(node)
    if not isinstance(inner, Sum) or len(inner.children) < 2:
        return None
    negative = sum(c < 0 for c in inner.coefficients)
    if 2 * negative < len(inner.coefficients):
        return None
    return Sum(inner.children, tuple(-c for c in inner.coefficients), inner.shape)
