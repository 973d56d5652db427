"""Rewriting for speed: where the extents say that another form of the same term costs less.

In: simplified terms, the extents that planning assumes, the tensors whose arrays stay fixed.
Out: equal terms. Invariant: a rewriting is taken only where its estimated price is clearly less; a sum that
is squared keeps its form (a residual's square would lose its digits).

    distribute   (T - U V')V -> T V - U (V'V)        no n x n residual
                 B'(A + A')B x -> B'(A(B x) + A'(B x))
    signs        -(x (a - b)) -> x (b - a)
    mirror       X' D X -> Z'Z, Z = sqrt(D) X, where D >= 0: one symmetric product, half the arithmetic
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from ...calculus import Interval, is_nonnegative
from ...terms import (
    HALF,
    Contraction,
    Delta,
    Expr,
    Factor,
    Label,
    Ones,
    Subscript,
    Sum,
    add,
    contract,
    power,
    rebuild,
    scale,
    split_scale,
    with_children,
)
from .kernels import pair_price
from .order import best_tree
from .prices import PASS, Rewriting, Sizes, dims_of, product_price

# Sums multiplied out where that saves the array they make: (T - U V')V -> T V - U (V'V).
#
# In: terms and extents. Out: equal terms. Invariant: a sum is multiplied out in all its products or in none,
# and never where it is squared: a residual's square would lose its digits.

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


# Products of a term with its mirror image: X' D X -> Z'Z with Z = sqrt(D) X, where D is proved >= 0.
#
# In: terms and extents. Out: equal terms; BLAS computes Z'Z in half the arithmetic of a general product.

_SYMMETRIC_FROM = 48  # rows from which a symmetric product takes less time than a general one
_SYMMETRIC = 0.6  # of the time


class Mirror(Rewriting):
    """Products of a term with its mirror image, weighted by what is not negative."""

    def __init__(self, roots: Sequence[Expr], sizes: Sizes) -> None:
        super().__init__(roots, sizes)
        self.intervals: dict[Expr, Interval] = {}
        for node in self.nodes:
            if isinstance(node, Contraction) and len(node.output) == 2:
                found = self._mirrored(node)
                if found is not None:
                    self.plans[node] = found

    def _mirrored(self, node: Contraction) -> _Mirrored | None:
        i, j = node.output
        dims = dims_of(node)
        if i == j or dims[i] != dims[j] or self.sizes.of(dims[i]) < _SYMMETRIC_FROM:
            return None
        found = mirror_of(node)
        if found is None:
            return None
        left, weights, image = found
        central = {x for k in left for x in node.inputs[k] if image.get(x, x) == x}
        if not central or not all(set(node.inputs[k]) <= central for k in weights):
            return None
        if prod(self.sizes.of(dims[x]) for x in central) < 2:
            return None
        if weights:
            weight, _ = _weight(node, weights, node.children)
            if not is_nonnegative(weight, self.intervals):
                return None
        elif len(left) == 1:
            return None  # Z'Z already
        extents = {label: self.sizes.of(dim) for label, dim in dims.items()}
        own = (*sorted(central), i)
        inputs = [node.inputs[k] for k in (*left, *weights)]
        half = product_price(
            inputs, own, extents, [self.is_fixed(node.children[k]) for k in (*left, *weights)]
        )
        mirrored = tuple(image.get(x, x) for x in own)
        half += _SYMMETRIC * pair_price(own, mirrored, (i, j), extents)
        return _Mirrored(left, weights, own, image) if half < self.price(node) else None


def mirror_of(
    node: Contraction,
) -> tuple[tuple[int, ...], tuple[int, ...], dict[Label, Label]] | None:
    """The operands on one side, those in the middle, and the mirror image of each label that has another.

    The two labels of the output change places; an operand that has a label with another image stands on one
    side, and the same operand at the images of its labels on the other.
    """
    i, j = node.output
    image: dict[Label, Label] = {i: j, j: i}
    left: list[int] = []
    right: list[int] = []
    queue = [i]
    seen = set()
    while queue:
        label = queue.pop()
        if label in seen:
            continue
        seen.add(label)
        for k, own in enumerate(node.inputs):
            if label not in own or k in left:
                continue
            if k in right:
                return None
            partner = _partner(node, k, {*left, *right}, image)
            if partner is None:
                return None
            left.append(k)
            right.append(partner)
            for x, y in zip(own, node.inputs[partner], strict=True):
                if image.setdefault(x, y) != y or image.setdefault(y, x) != x:
                    return None
                if x != y:
                    queue.append(x)
    middle = tuple(k for k in range(len(node.children)) if k not in left and k not in right)
    changed = {x for x, y in image.items() if x != y}
    if not left or any(changed & set(node.inputs[k]) for k in middle):
        return None
    sides = {x for k in left for x in node.inputs[k] if x in changed}
    if sides & {image[x] for x in sides}:
        return None
    return tuple(left), middle, {x: y for x, y in image.items() if x != y}


def _partner(
    node: Contraction, k: int, taken: set[int], image: Mapping[Label, Label]
) -> int | None:
    """The same operand at the mirror images of its labels, where these are known."""
    own = node.inputs[k]
    for other, labels in enumerate(node.inputs):
        if other == k or other in taken or node.children[other] is not node.children[k]:
            continue
        pairs = list(zip(own, labels, strict=True))
        if all(image.get(x, y) == y and image.get(y, x) == x for x, y in pairs):
            return other
    return None


def _weight(node: Contraction, weights: Sequence[int], children: Sequence[Expr]) -> Factor:
    """The operands in the middle as one term."""
    labels = tuple(dict.fromkeys(x for k in weights for x in node.inputs[k]))
    return contract(
        [children[k] for k in weights], [node.inputs[k] for k in weights], labels
    ), labels


@dataclass(frozen=True, slots=True)
class _Mirrored:
    """Z'Z with Z the operands of one side times the root of those in the middle."""

    left: tuple[int, ...]
    weights: tuple[int, ...]
    own: Subscript
    image: Mapping[Label, Label]

    def __call__(self, node: Contraction, children: tuple[Expr, ...]) -> Expr | None:
        factors = [(children[k], node.inputs[k]) for k in self.left]
        if self.weights:
            weight, labels = _weight(node, self.weights, children)
            factor, term = split_scale(weight)
            if factor < 0:
                return None
            factors.append((power(scale(factor, term), HALF), labels))
        half = contract([e for e, _ in factors], [x for _, x in factors], self.own)
        mirrored = tuple(self.image.get(x, x) for x in self.own)
        return contract([half, half], [self.own, mirrored], node.output)


# ----------------------------------------------------------------------


def rewritten(
    roots: Sequence[Expr], extents: Mapping[str, int], fixed: frozenset[str] = frozenset()
) -> list[Expr]:
    """Equal terms in the form that costs least."""
    sizes = Sizes(extents, fixed)
    roots = Mirror(Distribution(roots, sizes).result(), sizes).result()
    return Signs(roots, sizes).result()


class Signs(Rewriting):
    """Differences turned round where all their products are negative: a minus less each time."""

    def __init__(self, roots: Sequence[Expr], sizes: Sizes) -> None:
        super().__init__(roots, sizes)
        negative: set[Expr] = set()
        for node in self.nodes:
            if isinstance(node, Sum):
                pairs = zip(node.coefficients, node.children, strict=True)
                negative.update(x for c, x in pairs if c < 0 and self.counts[x] == 1)
        consumers: dict[Expr, list[Expr]] = {root: [root] for root in self.roots}
        for node in self.nodes:
            for child in node.children:
                consumers.setdefault(child, []).append(node)
        self.turned: set[Expr] = set()
        for total, users in consumers.items():
            mixed = isinstance(total, Sum) and len(total.children) > 1
            if not mixed or total in self.roots or not any(c < 0 for c in total.coefficients):  # type: ignore[attr-defined]
                continue
            products = all(isinstance(user, Contraction) and user in negative for user in users)
            if products and len(set(users)) == len(users):
                self.turned.add(total)

    def result(self) -> list[Expr]:
        """The roots with all plans carried out."""
        if not self.turned:
            return self.roots
        values = rebuild(self.roots, self._rebuilt)
        return [values[root] for root in self.roots]

    def _rebuilt(self, node: Expr, children: tuple[Expr, ...]) -> Expr:
        node_new = node if children == node.children else with_children(node, children)
        return opaque_negative(node_new) if node in self.turned else node_new


def opaque_negative(total: Expr) -> Expr:
    """-1 times a sum, as a number times the turned sum, which keeps the sign of its terms."""
    factor, inside = split_scale(total)
    if not isinstance(inside, Sum) or len(inside.children) < 2:
        return total
    turned = Sum(inside.children, tuple(-c for c in inside.coefficients), inside.shape)
    return scale(-factor, turned)
