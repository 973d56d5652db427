"""Sums multiplied out where that saves the array they make: (T - U V')V -> T V - U (V'V).

In: terms and extents. Out: equal terms. Invariant: a sum is multiplied out in all its products or in none,
and never where it is squared: a residual's square would lose its digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from ..canonical import add, contract
from ..expr import Contraction, Delta, Expr, Label, Ones, Subscript, Sum
from ..structure import Factor, split_scale
from .order import best_tree
from .prices import PASS, Rewriting, Sizes, dims_of, product_price

_GAIN = 0.8  # a rewriting must cost at most this part of what was
_WORTH = 0.2  # a sum that takes less of what its products take stays as it is
_MANY = 12  # operands; products of more are left as they are


class Distribution(Rewriting):
    """Products with a sum that nothing else needs, multiplied out with some of their operands."""

    def __init__(self, roots: Sequence[Expr], sizes: Sizes) -> None:
        super().__init__(roots, sizes)
        consumers: dict[Expr, list[Contraction | None]] = {}
        for node in self.nodes:
            for child in node.children:
                _, inside = split_scale(child)
                if isinstance(inside, Sum) and len(inside.children) > 1:
                    is_product = isinstance(node, Contraction) and len(node.children) <= _MANY
                    consumers.setdefault(child, []).append(node if is_product else None)  # type: ignore[arg-type]
        for root in self.roots:
            consumers.setdefault(root, []).append(None)
        for node in reversed(self.nodes):
            self._consider(node, consumers.get(node, []))

    def _consider(self, total: Expr, consumers: Sequence[Contraction | None]) -> None:
        """Multiply a sum out in all its products, or in none."""
        if not consumers or None in consumers or len(set(consumers)) < len(consumers):
            return  # needed as it is, or squared
        if not isinstance(total, Sum) or any(node in self.plans for node in consumers):
            return
        terms = [split_scale(child)[1] for child in total.children]
        if any(_is_thin(term) for term in terms):
            return
        if self.is_fixed(total):
            return
        if not any(self._expands(term) for term in terms) and not any(
            self._reduces(node, total) for node in consumers if node is not None
        ):
            return
        keep = self.price(total)
        keep += sum(self.price(term) for term in terms if self.counts[term] == 1)
        prices = {node: self.price(node) for node in consumers if node is not None}
        if keep < _WORTH * sum(prices.values()):
            return
        change = 0.0
        chosen: dict[Contraction, frozenset[int]] = {}
        for node, own in prices.items():
            keep += own
            place = node.children.index(total)
            options = [
                (self._distributed_price(node, place, partners, terms), partners)
                for partners in self._partners(node, place)
            ]
            if not options:
                return
            price, partners = min(options, key=lambda option: option[0])
            change += price
            chosen[node] = partners
        if change < _GAIN * keep:
            for node, partners in chosen.items():
                place = node.children.index(total)
                self.plans[node] = _Distributed(place, partners)

    def _expands(self, term: Expr) -> bool:
        """Is the term larger than all that it is made of?"""
        return isinstance(term, Contraction) and self.sizes.entries(term) > 2 * max(
            self.sizes.entries(child) for child in term.children
        )

    def _reduces(self, node: Contraction, total: Expr) -> bool:
        """Is the product much smaller than the sum, as a matrix times a vector is?"""
        return 4 * self.sizes.entries(node) <= self.sizes.entries(total)

    def _partners(self, node: Contraction, place: int) -> list[frozenset[int]]:
        """Sets of operands to multiply each term with: those that the sum meets first, and so on."""
        arrays = [k for k in range(len(node.children)) if node.inputs[k]]
        if place not in arrays or len(arrays) < 2:
            return []
        if len(arrays) > 6:
            return [frozenset(arrays) - {place}]
        dims = dims_of(node)
        extents = {label: self.sizes.of(dim) for label, dim in dims.items()}
        inputs = [node.inputs[k] for k in arrays]
        _, splits = best_tree(inputs, node.output, extents)
        mask = 1 << arrays.index(place)
        sets: list[frozenset[int]] = []
        whole = (1 << len(arrays)) - 1
        parents = {part: top for top, pair in splits.items() for part in pair}
        while mask != whole:
            mask = parents[mask]
            members = {arrays[k] for k in range(len(arrays)) if mask >> k & 1}
            sets.append(frozenset(members - {place}))
        return sets

    def _distributed_price(
        self, node: Contraction, place: int, partners: frozenset[int], terms: Sequence[Expr]
    ) -> float:
        """The price of the products of each term, their sum, and what is left."""
        dims = dims_of(node)
        inner, outer = _split(node, place, partners)
        price = 0.0
        for term in terms:
            factors = _inlined(term, node.inputs[place], max(dims, default=0) + 1, self.counts)
            own = dict(dims)
            for child, labels in factors:
                own.update(zip(labels, child.shape, strict=True))
            inputs = [labels for _, labels in factors] + [node.inputs[k] for k in sorted(partners)]
            fixed = [self.is_fixed(child) for child, _ in factors]
            fixed += [self.is_fixed(node.children[k]) for k in sorted(partners)]
            kept = [(labels, flag) for labels, flag in zip(inputs, fixed, strict=True) if labels]
            extents = {label: self.sizes.of(dim) for label, dim in own.items()}
            price += product_price([x for x, _ in kept], inner, extents, [f for _, f in kept])
        extents = {label: self.sizes.of(dim) for label, dim in dims.items()}
        price += prod(extents[x] for x in inner) * PASS * len(terms)
        rest = [node.inputs[k] for k in outer if node.inputs[k]]
        flags = [self.is_fixed(node.children[k]) for k in outer if node.inputs[k]]
        return price + product_price([inner, *rest], node.output, extents, [False, *flags])


def _split(node: Contraction, place: int, partners: frozenset[int]) -> tuple[Subscript, list[int]]:
    """The axes of the sum times its partners, and the operands that are left."""
    outer = [k for k in range(len(node.children)) if k != place and k not in partners]
    wanted = set(node.output).union(*(node.inputs[k] for k in outer))
    inner = dict.fromkeys(
        x for k in (place, *sorted(partners)) for x in node.inputs[k] if x in wanted
    )
    return tuple(inner), outer


def _is_thin(term: Expr) -> bool:
    """Does a term hold deltas or ones, or nothing but a number?"""
    parts = term.children if isinstance(term, Contraction) else (term,)
    return not term.rank or any(isinstance(part, Delta | Ones) for part in parts)


def _inlined(
    term: Expr, labels: Subscript, fresh: Label, counts: Mapping[Expr, int]
) -> list[Factor]:
    """A term at given labels, as the factors it is a product of where nothing else needs it."""
    if not isinstance(term, Contraction) or counts.get(term, 1) > 1:
        return [(term, labels)]
    if len(set(term.output)) < len(term.output):
        return [(term, labels)]
    names = dict(zip(term.output, labels, strict=True))
    factors = []
    for child, own in zip(term.children, term.inputs, strict=True):
        for label in own:
            if label not in names:
                names[label] = fresh
                fresh += 1
        factors.append((child, tuple(names[label] for label in own)))
    return factors


@dataclass(frozen=True, slots=True)
class _Distributed:
    """Multiplies the sum at `place` out with the operands `partners`."""

    place: int
    partners: frozenset[int]

    def __call__(self, node: Contraction, children: tuple[Expr, ...]) -> Expr | None:
        factor, total = split_scale(children[self.place])
        if not isinstance(total, Sum):
            return None
        inner, outer = _split(node, self.place, self.partners)
        labels = node.inputs[self.place]
        fresh = max((x for own in node.inputs for x in own), default=-1) + 1
        partners = [(children[k], node.inputs[k]) for k in sorted(self.partners)]
        dims = dims_of(node)
        shape = tuple(dims[label] for label in inner)
        if len(partners) > 1:
            partners = _together(partners, {*labels, *inner})
        terms = []
        for c, child in zip(total.coefficients, total.children, strict=True):
            scale_of, term = split_scale(child)
            factors = [*_inlined(term, labels, fresh, {}), *partners]
            product = contract([e for e, _ in factors], [x for _, x in factors], inner)
            terms.append((c * scale_of * factor, product))
        made = add(terms, shape)
        return contract(
            [made, *(children[k] for k in outer)],
            [inner, *(node.inputs[k] for k in outer)],
            node.output,
        )


def _together(factors: list[Factor], wanted: set[Label]) -> list[Factor]:
    """Several operands as one term that all products share, where it has no more axes than they have."""
    labels = tuple(x for x in dict.fromkeys(x for _, own in factors for x in own) if x in wanted)
    if len(labels) > max(len(own) for _, own in factors):
        return factors
    return [(contract([e for e, _ in factors], [own for _, own in factors], labels), labels)]
