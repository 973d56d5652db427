"""What terms cost, and the passes that replace terms by cheaper ones.

In: terms, the extents that planning assumes, the tensors whose arrays stay fixed. Out: seconds, estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from ...terms import (
    Contraction,
    Delta,
    Dim,
    Expr,
    Label,
    Ones,
    Subscript,
    Sum,
    Variable,
    postorder,
    rebuild,
    uses,
    with_children,
)
from .kernels import ASSUMED_EXTENT, pair_price
from .order import best_tree, contraction_order

PASS = 1.2e-9  # seconds an entry of one more pass over an array


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


def price_of(node: Expr, sizes: Sizes, is_fixed: Callable[[Expr], bool]) -> float:
    """Estimated seconds to compute a product or a sum from its children."""
    if isinstance(node, Sum):
        return sizes.entries(node) * PASS * len(node.children)
    if not isinstance(node, Contraction):
        return 0.0
    operands = [
        (child, labels)
        for child, labels in zip(node.children, node.inputs, strict=True)
        if not isinstance(child, Delta | Ones) and labels
    ]
    dims = dims_of(node)
    inputs = [labels for _, labels in operands]
    extents = {label: sizes.of(dim) for label, dim in dims.items()}
    fixed = [is_fixed(child) for child, _ in operands]
    return product_price(inputs, node.output, extents, fixed)


def product_price(
    inputs: Sequence[Subscript],
    output: Subscript,
    extents: Mapping[Label, int],
    fixed: Sequence[bool],
) -> float:
    if len(inputs) < 2:
        return 0.0

    def known(part: int, other: int) -> bool:
        return all(fixed[k] for k in range(len(inputs)) if (part | other) >> k & 1)

    if len(inputs) <= 6:
        return best_tree(inputs, output, extents, known)[0]
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


class Rewriting:
    """Plans for single nodes, then one pass that carries them out."""

    def __init__(self, roots: Sequence[Expr], sizes: Sizes) -> None:
        self.roots, self.sizes = list(roots), sizes
        self.nodes = list(postorder(roots))
        self.counts = uses(roots)
        self.plans: dict[Expr, Callable[[Contraction, tuple[Expr, ...]], Expr | None]] = {}
        self.fixed: set[Expr] = set()
        if sizes.fixed:
            for node in self.nodes:
                leaf = isinstance(node, Variable) and node.name in sizes.fixed
                if leaf or (node.children and all(child in self.fixed for child in node.children)):
                    self.fixed.add(node)

    def is_fixed(self, node: Expr) -> bool:
        """Does the term depend on nothing but tensors that stay fixed?"""
        return node in self.fixed

    def price(self, node: Expr) -> float:
        """Estimated seconds to compute a node from its children."""
        return price_of(node, self.sizes, self.is_fixed)

    def result(self) -> list[Expr]:
        """The roots with all plans carried out."""
        if not self.plans:
            return self.roots
        values = rebuild(self.roots, self._rebuilt)
        return [values[root] for root in self.roots]

    def _rebuilt(self, node: Expr, children: tuple[Expr, ...]) -> Expr:
        if node in self.plans:
            assert isinstance(node, Contraction)
            made = self.plans[node](node, children)
            if made is not None:
                return made
        return node if children == node.children else with_children(node, children)
