"""Engine terms as trees with named indices.

In: a canonical term, names for its axes. Out: a raw tree whose summed indices have the user's letters.
Invariant: the factors of one product sum under different letters, so that what one factor sums is never
free in another; a node with a name of its own (`lets`) stays a leaf.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from ..canonical import literal
from ..expr import Apply, Contraction, Expr, Map, Ones, Sum, Variable
from ..functions import NORMALISATIONS, WHOLE
from ..printers.arrange import (
    Factor,
    arranged_factors,
    arranged_terms,
    closed_parts_inlined,
    flipped,
)
from ..printers.letters import Letters
from ..printers.sharing import hazards
from ..printers.unparse import distinct_labels
from ..structure import base_and_exponent
from ..walk import trampoline
from .raw_terms import Applied, Leaf, Mapped, Names, Power, Product, Raw, Total, all_names, scaled

ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Place:
    """A term to unfold, the names of its axes, and the names it must not sum under."""

    node: Expr
    names: Names
    used: frozenset[str]


Visit = Generator[Place, Raw, Raw]


class Unfolder:
    """Unfolds terms of one derivation: all share its letters and definitions."""

    def __init__(
        self, letters: Letters, lets: Mapping[Expr, Variable], reserved: frozenset[str]
    ) -> None:
        self.letters, self.lets, self.reserved = letters, dict(lets), reserved
        self.names_of = {node: u.name for node, u in lets.items()}

    def recognise(self, body: Expr, u: Variable) -> None:
        """Show `body`, a definition over those before it, by its name from now on."""
        self.lets[body] = u
        self.names_of[body] = u.name

    def raw(self, term: Expr, names: Names, used: frozenset[str] = frozenset()) -> Raw:
        """The tree of a term with its axes called `names`; a named node is opened at the root only."""
        hazard = hazards(term, {n: name for n, name in self.names_of.items() if n is not term})

        def visit(place: Place) -> Visit:
            return _visit(self, place, hazard, root=term)

        return trampoline(Place(term, names, used | self.reserved), visit)


def _visit(of: Unfolder, place: Place, hazard: Mapping[Expr, frozenset[int]], root: Expr) -> Visit:
    node = place.node
    if node in of.lets and node is not root:
        return Leaf(of.lets[node], place.names)
    match node:
        case Sum():
            return (yield from _sum(of, place, node, hazard))
        case Contraction():
            return (yield from _product(of, place, node, ONE, hazard))
        case Map() if node.children:
            return (yield from _map(place, node))
        case Apply() if node.children:
            return (yield from _apply(of, place, node))
        case Ones():  # a tree that lacks an index is repeated along it
            return Leaf(literal(1), ())
    return Leaf(node, place.names)


def _sum(of: Unfolder, place: Place, node: Sum, hazard: Mapping[Expr, frozenset[int]]) -> Visit:
    coefficients: list[Fraction] = []
    terms: list[Raw] = []
    for coefficient, term in arranged_terms(node):
        if isinstance(term, Contraction) and term not in of.lets:
            product = yield from _product(of, place, term, coefficient, hazard)
            coefficients.append(product.coefficient)
            terms.append(replace(product, coefficient=ONE))
            continue
        other = flipped(term) if isinstance(term, Sum) and term not in of.lets else None
        if coefficient < 0 and other is not None:
            coefficient, term = -coefficient, other
        coefficients.append(coefficient)
        terms.append((yield Place(term, place.names, place.used)))
    if len(terms) == 1:
        return scaled(coefficients[0], terms[0])
    return Total(tuple(coefficients), tuple(terms))


def _product(
    of: Unfolder,
    place: Place,
    node: Contraction,
    coefficient: Fraction,
    hazard: Mapping[Expr, frozenset[int]],
) -> Generator[Place, Raw, Product]:
    inlined, dims = closed_parts_inlined(node, of.names_of, hazard)
    factors = distinct_labels(arranged_factors(inlined, node.output), dims, of.names_of)
    names = dict(zip(node.output, place.names, strict=True))
    used = place.used.union(place.names)
    for factor in factors:
        for label in factor.labels:
            if label not in names:
                names[label] = of.letters.letter(dims[label], used)
                used |= {names[label]}
    summed = tuple(name for label, name in names.items() if label not in node.output)
    shown: list[Raw] = []
    for factor in factors:
        if isinstance(factor.operand, Ones):
            continue
        operand, sign = _turned(of, factor) if coefficient < 0 else (factor.operand, 1)
        coefficient *= sign
        base, exponent = base_and_exponent(operand)
        if operand in of.lets:
            base, exponent = operand, ONE
        raw = yield Place(base, tuple(names[label] for label in factor.labels), used)
        used |= all_names([raw])
        exponent *= factor.count
        shown.append(raw if exponent == 1 else Power(raw, exponent))
    return Product(coefficient, tuple(shown), summed)


def _turned(of: Unfolder, factor: Factor) -> tuple[Expr, int]:
    """A bracket with its signs changed, where that takes a minus away."""
    operand = factor.operand
    if factor.count == 1 and isinstance(operand, Sum) and operand not in of.lets:
        other = flipped(operand)
        if other is not None:
            return other, -1
    return operand, 1


def _map(place: Place, node: Map) -> Visit:
    base, exponent = base_and_exponent(node)
    if exponent != 1:
        return Power((yield Place(base, place.names, place.used)), exponent)
    arguments = []
    for child in node.children:
        names = place.names if child.rank else ()
        arguments.append((yield Place(child, names, place.used)))
    return Mapped(node.function, tuple(arguments))


def _apply(of: Unfolder, place: Place, node: Apply) -> Visit:
    (child,) = node.children
    width = 2 if WHOLE[node.function].matrix else node.width
    batch = place.names[: child.rank - width]
    outer = place.names[child.rank - width :]
    if node.function in NORMALISATIONS:
        inner = yield Place(child, place.names, place.used)
        return Applied(node.function, inner, (), outer, node.width)
    used = place.used.union(place.names)
    bound: Names = ()
    for dim in child.shape[child.rank - width :]:
        bound = (*bound, of.letters.letter(dim, used.union(bound)))
    inner = yield Place(child, (*batch, *bound), used.union(bound))
    return Applied(node.function, inner, bound, outer, node.width)
