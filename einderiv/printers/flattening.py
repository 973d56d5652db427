"""A product's operands on one level, for matrix forms.

In: a contraction. Out: its scalars and its operands at their labels; the terms of a sum where it is one.
Invariant: operands of three and more axes are opened as far as they are products or sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..canonical import contract
from ..expr import Contraction, Dim, Expr, Label, Subscript, Sum
from ..structure import split_scale
from .arrange import flipped


@dataclass(frozen=True, slots=True)
class Flat:
    """A product's operands: scalars with their multiplicities, the others at their labels."""

    coefficient: Fraction
    scalars: list[tuple[Expr, int]]
    factors: list[tuple[Expr, Subscript]]
    dims: dict[Label, Dim]


def flattened(
    node: Contraction, coefficient: Fraction, lets: Mapping[Expr, str]
) -> Flat | list[tuple[Fraction, Expr]]:
    """The operands of a product; nested products of three and more axes are opened, sums multiplied out."""
    dims: dict[Label, Dim] = {}
    scalars: dict[Expr, int] = {}
    factors: list[tuple[Expr, Subscript]] = []
    stack = list(zip(node.children, node.inputs, strict=True))[::-1]
    fresh = 1 + max((label for labels in node.inputs for label in labels), default=-1)
    while stack:
        operand, labels = stack.pop()
        factor, inside = split_scale(operand)
        if len(labels) > 2 and isinstance(inside, Contraction):
            names = dict(zip(inside.output, labels, strict=True))
            for child, own in zip(inside.children, inside.inputs, strict=True):
                for label in own:
                    if label not in names:
                        names[label] = fresh
                        fresh += 1
                stack.append((child, tuple(names[label] for label in own)))
            coefficient *= factor
            continue
        if len(labels) > 2 and isinstance(inside, Sum):
            plain = [(op, ()) for op, times in scalars.items() for _ in range(times)]
            others = [*plain, *factors, *stack]
            return _multiplied_out(coefficient * factor, inside, labels, others, node.output)
        dims.update(zip(labels, operand.shape, strict=True))
        if labels:
            factors.append((operand, labels))
        else:
            scalars[operand] = scalars.get(operand, 0) + 1
    if coefficient < 0:
        for place, (operand, labels) in enumerate(factors):
            other = flipped(operand) if isinstance(operand, Sum) and operand not in lets else None
            if other is not None and factors.count((operand, labels)) == 1:
                factors[place] = (other, labels)
                coefficient = -coefficient
                break
    return Flat(coefficient, list(scalars.items()), factors, dims)


def _multiplied_out(
    coefficient: Fraction,
    total: Sum,
    labels: Subscript,
    others: Sequence[tuple[Expr, Subscript]],
    output: Subscript,
) -> list[tuple[Fraction, Expr]]:
    """a*(b + c) as a*b and a*c, for a sum among the operands."""
    terms = []
    for c, term in zip(total.coefficients, total.children, strict=True):
        operands = [term, *(op for op, _ in others)]
        inputs = [labels, *(own for _, own in others)]
        terms.append((c * coefficient, contract(operands, inputs, output)))
    return terms
