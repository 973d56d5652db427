"""Products of a term with its mirror image: X' D X -> Z'Z with Z = sqrt(D) X, where D is proved >= 0.

In: terms and extents. Out: equal terms; BLAS computes Z'Z in half the arithmetic of a general product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from ..canonical import contract, power, scale
from ..expr import Contraction, Expr, Label, Subscript
from ..properties import Interval, is_nonnegative
from ..structure import HALF, Factor, split_scale
from .kernels import pair_price
from .prices import Rewriting, Sizes, dims_of, product_price

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
