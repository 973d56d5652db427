"""Rewriting for speed: another form of the same term, if the extents say that it costs less.

In: simplified terms, the extents that planning assumes, the tensors whose arrays stay fixed.
Out: equal terms. Invariant: a rewriting is taken only if its estimated price is clearly less; a sum that is
squared keeps its form (a residual's square would lose its digits).

    distribute   (T - U V')V -> T V - U (V'V)        no n x n residual
                 B'(A + A')B x -> B'(A(B x) + A'(B x))
    mirror       X' D X -> Z'Z, Z = sqrt(D) X, if D >= 0: one symmetric product, half the arithmetic
    signs        -(x (a - b)) -> x (b - a)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import prod
from typing import Any

from ...calculus import is_nonnegative
from ...terms import (
    HALF,
    Contraction,
    Delta,
    Dim,
    Expr,
    Factor,
    Interval,
    Label,
    Ones,
    Subscript,
    Sum,
    Variable,
    add,
    contract,
    factors_at,
    postorder,
    power,
    rebuild,
    scale,
    split_scale,
    uses,
    with_children,
)
from .kernels import ASSUMED_EXTENT, pair_price
from .order import best_tree, contraction_order

_PASS = 1.2e-9  # seconds an entry of one more pass over an array
_GAIN = 0.8  # a rewriting must cost at most this part of what was
_WORTH = 0.2  # a sum that takes less of what its products take stays as it is
_MANY = 12  # operands; products of more are left as they are
_SYMMETRIC_FROM = 48  # rows from which a symmetric product takes less time than a general one
_SYMMETRIC = 0.6  # of the time


@dataclass(frozen=True, slots=True)
class Sizes:
    """What planning assumes: extents, and the tensors that stay fixed."""

    extents: Mapping[str, int]
    fixed: frozenset[str] = frozenset()

    def of(self, dim: Dim) -> int:
        """An extent as a number."""
        return dim if isinstance(dim, int) else self.extents.get(dim, ASSUMED_EXTENT)

    def entries(self, expr: Expr) -> int:
        """The number of entries of a term."""
        return prod(self.of(dim) for dim in expr.shape)


def rewrite(
    roots: Sequence[Expr], extents: Mapping[str, int], fixed: frozenset[str] = frozenset()
) -> list[Expr]:
    """Equal terms in the form that costs least."""
    sizes = Sizes(extents, fixed)
    roots = Mirror(Distribution(roots, sizes).result(), sizes).result()
    return Signs(roots, sizes).result()


def product_price(
    inputs: Sequence[Subscript],
    output: Subscript,
    extents: Mapping[Label, int],
    fixed: Sequence[bool],
) -> float:
    """Estimated seconds of a product; what depends on nothing but `fixed` operands is computed already."""
    if len(inputs) < 2:
        return 0.0

    def is_known(part: int, other: int) -> bool:
        return all(fixed[k] for k in range(len(inputs)) if (part | other) >> k & 1)

    if len(inputs) <= 6:
        return best_tree(inputs, output, extents, is_known)[0]
    left = [(labels, is_fixed) for labels, is_fixed in zip(inputs, fixed, strict=True)]
    total = 0.0
    for step in contraction_order(inputs, output, extents):
        chosen = [left[k] for k in step]
        left = [entry for k, entry in enumerate(left) if k not in step]
        wanted = set(output).union(*(labels for labels, _ in left))
        own = dict.fromkeys(x for part, _ in chosen for x in part)
        labels = tuple(x for x in own if x in wanted)
        is_fixed = all(flag for _, flag in chosen)
        if not is_fixed:
            total += pair_price(chosen[0][0], chosen[-1][0], labels, extents)
        left.append((labels, is_fixed))
    return total


def dims_of(node: Contraction) -> dict[Label, Dim]:
    return {
        label: dim
        for child, labels in zip(node.children, node.inputs, strict=True)
        for label, dim in zip(labels, child.shape, strict=True)
    }


Plan = Callable[[Any, tuple[Expr, ...]], Expr | None]


class Rewriting:
    """Plans for single nodes, then one pass that carries them out."""

    def __init__(self, roots: Sequence[Expr], sizes: Sizes) -> None:
        self.roots, self.sizes = list(roots), sizes
        self.nodes = list(postorder(roots))
        self.counts = uses(roots)
        self.plans: dict[Expr, Plan] = {}
        self.fixed: set[Expr] = set()  # terms that depend on nothing but tensors that stay fixed
        if sizes.fixed:
            for node in self.nodes:
                leaf = isinstance(node, Variable) and node.name in sizes.fixed
                if leaf or (node.children and self.fixed.issuperset(node.children)):
                    self.fixed.add(node)

    def extents(self, dims: Mapping[Label, Dim]) -> dict[Label, int]:
        """The extents of labels as numbers."""
        return {label: self.sizes.of(dim) for label, dim in dims.items()}

    def price(self, node: Expr) -> float:
        """Estimated seconds to compute a product or a sum from its children."""
        if isinstance(node, Sum):
            return self.sizes.entries(node) * _PASS * len(node.children)
        if not isinstance(node, Contraction):
            return 0.0
        arrays = [(x, own) for x, own in _factors(node) if own and not isinstance(x, Delta | Ones)]
        return self.product_price(arrays, node.output, self.extents(dims_of(node)))

    def product_price(
        self, factors: Sequence[Factor], output: Subscript, extents: Mapping[Label, int]
    ) -> float:
        """Estimated seconds of a product."""
        fixed = [term in self.fixed for term, _ in factors]
        return product_price([own for _, own in factors], output, extents, fixed)

    def result(self) -> list[Expr]:
        """The roots with all plans carried out."""
        if not self.plans:
            return self.roots
        values = rebuild(self.roots, self._rebuild)
        return [values[root] for root in self.roots]

    def _rebuild(self, node: Expr, children: tuple[Expr, ...]) -> Expr:
        made = self.plans[node](node, children) if node in self.plans else None
        if made is not None:
            return made
        return node if children == node.children else with_children(node, children)


def _factors(node: Contraction, places: Iterable[int] | None = None) -> list[Factor]:
    """Some operands of a product with their labels."""
    chosen = range(len(node.children)) if places is None else places
    return [(node.children[k], node.inputs[k]) for k in chosen]


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
        if total in self.fixed or any(_is_thin(term) for term in terms):
            return
        products = [node for node in consumers if node is not None]
        if not any(map(self._expands, terms)) and not any(
            4 * self.sizes.entries(node) <= self.sizes.entries(total) for node in products
        ):  # no term is larger than what it is made of, no product much smaller than the sum
            return
        keep = self.price(total)
        keep += sum(self.price(term) for term in terms if self.counts[term] == 1)
        prices = {node: self.price(node) for node in products}
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

    def _partners(self, node: Contraction, place: int) -> list[frozenset[int]]:
        """Sets of operands to multiply each term with: those that the sum meets first, and so on."""
        arrays = [k for k in range(len(node.children)) if node.inputs[k]]
        if place not in arrays or len(arrays) < 2:
            return []
        if len(arrays) > 6:
            return [frozenset(arrays) - {place}]
        inputs = [node.inputs[k] for k in arrays]
        _, splits = best_tree(inputs, node.output, self.extents(dims_of(node)))
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
        beside = _factors(node, sorted(partners))
        price = 0.0
        for term in terms:
            fresh = max(dims, default=0) + 1
            factors = _inside(term, node.inputs[place], fresh, self.counts)
            own = dict(dims)
            for child, labels in factors:
                own.update(zip(labels, child.shape, strict=True))
            arrays = [factor for factor in (*factors, *beside) if factor[1]]
            price += self.product_price(arrays, inner, self.extents(own))
        extents = self.extents(dims)
        price += prod(extents[x] for x in inner) * _PASS * len(terms)
        rest = [factor for factor in _factors(node, outer) if factor[1]]
        inputs, fixed = [own for _, own in rest], [term in self.fixed for term, _ in rest]
        return price + product_price([inner, *inputs], node.output, extents, [False, *fixed])


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


def _inside(
    term: Expr, labels: Subscript, fresh: Label, counts: Mapping[Expr, int]
) -> list[Factor]:
    """A term at given labels, as the factors it is a product of if nothing else needs it."""
    if (
        not isinstance(term, Contraction)
        or counts.get(term, 1) > 1
        or len(set(term.output)) < term.rank
    ):
        return [(term, labels)]
    return factors_at(term, labels, count(fresh))


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
        if len(partners) > 1:
            partners = _together(partners, {*labels, *inner})
        terms = []
        for c, child in zip(total.coefficients, total.children, strict=True):
            scale_of, term = split_scale(child)
            product = _product([*_inside(term, labels, fresh, {}), *partners], inner)
            terms.append((c * scale_of * factor, product))
        made = add(terms, tuple(dims[label] for label in inner))
        return contract(
            [made, *(children[k] for k in outer)],
            [inner, *(node.inputs[k] for k in outer)],
            node.output,
        )


def _product(factors: Sequence[Factor], output: Subscript) -> Expr:
    return contract([term for term, _ in factors], [own for _, own in factors], output)


def _together(factors: list[Factor], wanted: set[Label]) -> list[Factor]:
    """Several operands as one term that all products share, if it has no more axes than they have."""
    labels = tuple(x for x in dict.fromkeys(x for _, own in factors for x in own) if x in wanted)
    if len(labels) > max(len(own) for _, own in factors):
        return factors
    return [(_product(factors, labels), labels)]


class Mirror(Rewriting):
    """Products of a term with its mirror image, weighted by what is not negative."""

    def __init__(self, roots: Sequence[Expr], sizes: Sizes) -> None:
        super().__init__(roots, sizes)
        self.intervals: dict[Expr, Interval] = {}
        for node in self.nodes:
            if isinstance(node, Contraction) and len(node.output) == 2:
                found = self._plan(node)
                if found is not None:
                    self.plans[node] = found

    def _plan(self, node: Contraction) -> _Mirrored | None:
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
            weight, _ = _weight(_factors(node, weights))
            if not is_nonnegative(weight, self.intervals):
                return None
        elif len(left) == 1:
            return None  # Z'Z already
        extents = self.extents(dims)
        own = (*sorted(central), i)
        half = self.product_price(_factors(node, (*left, *weights)), own, extents)
        mirrored = tuple(image.get(x, x) for x in own)
        half += _SYMMETRIC * pair_price(own, mirrored, (i, j), extents)
        return _Mirrored(left, weights, own, image) if half < self.price(node) else None


def mirror_of(
    node: Contraction,
) -> tuple[tuple[int, ...], tuple[int, ...], dict[Label, Label]] | None:
    """The operands on one side, those in the middle, and the mirror image of each label that has another.

    The two labels of the output change places; an operand that has a label with another image is on one
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
    """The same operand at the mirror images of its labels, if these are known."""
    own = node.inputs[k]
    for other, labels in enumerate(node.inputs):
        if other == k or other in taken or node.children[other] is not node.children[k]:
            continue
        pairs = list(zip(own, labels, strict=True))
        if all(image.get(x, y) == y and image.get(y, x) == x for x, y in pairs):
            return other
    return None


def _weight(factors: Sequence[Factor]) -> Factor:
    """The operands in the middle as one term."""
    labels = tuple(dict.fromkeys(x for _, own in factors for x in own))
    return _product(factors, labels), labels


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
            weight, labels = _weight([(children[k], node.inputs[k]) for k in self.weights])
            factor, term = split_scale(weight)
            if factor < 0:
                return None
            factors.append((power(scale(factor, term), HALF), labels))
        half = _product(factors, self.own)
        mirrored = tuple(self.image.get(x, x) for x in self.own)
        return contract([half, half], [self.own, mirrored], node.output)


class Signs(Rewriting):
    """Differences turned round if all their products are negative: a minus less each time."""

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
        for total, users in consumers.items():
            mixed = isinstance(total, Sum) and len(total.children) > 1
            if not mixed or total in self.roots or not any(c < 0 for c in total.coefficients):  # type: ignore[attr-defined]
                continue
            products = all(isinstance(user, Contraction) and user in negative for user in users)
            if products and len(set(users)) == len(users):
                self.plans[total] = _turned_sum


def _turned_sum(total: Expr, children: tuple[Expr, ...]) -> Expr:
    """A sum as a number times the turned sum, which keeps the sign of its terms."""
    total = total if children == total.children else with_children(total, children)
    factor, inside = split_scale(total)
    if not isinstance(inside, Sum) or len(inside.children) < 2:
        return total
    turned = Sum(inside.children, tuple(-c for c in inside.coefficients), inside.shape)
    return scale(-factor, turned)
