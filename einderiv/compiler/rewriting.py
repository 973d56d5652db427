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

from ..canonical import scale
from ..expr import Contraction, Expr, Sum
from ..rebuilding import with_children
from ..structure import split_scale
from ..walk import rebuild
from .distribution import Distribution
from .mirroring import Mirror
from .prices import Rewriting, Sizes


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
