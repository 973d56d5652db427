"""A contraction as a graph: labels are vertices, matrices are edges, columns stand at vertices.

In: columns and matrices at labels, the labels that are not summed.
Out: a scalar, a column or a matrix as a `Form`; None where no sequence of products, traces,
diagonals and pointwise products gives it.
Invariant: every reduction is an equality: a summed vertex with one edge is a matrix-vector product, with
two edges a matrix product, with a cycle a trace; parallel edges multiply entry by entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..terms import ONE, Dim, Label
from .chains import (
    Chain,
    Form,
    Part,
    chain_text,
    chain_tree,
    diagonal,
    diagonal_of,
    flips,
    identity,
    multiplied,
    ones,
    pointwise,
    transposed,
)
from .text import tree_text
from .trees import call_tree, powered

_TWO = Fraction(2)
_SHORT = 3  # characters; a longer operand is written once, as norm2(...)^2


@dataclass(slots=True, eq=False)
class Edge:
    """Matrices between two vertices, from the first to the second, that multiply entry by entry."""

    a: Label
    b: Label
    parts: list[Part]
    delta: bool = False

    def start_from(self, vertex: Label) -> Chain:
        """The matrix whose rows belong to `vertex`."""
        if vertex == self.a:
            return pointwise(self.parts, matrices=True)
        turned = [(transposed(chain), exponent) for chain, exponent in self.parts]
        return pointwise(turned, matrices=True)

    def other(self, vertex: Label) -> Label:
        return self.b if vertex == self.a else self.a


class Network:
    """The graph of one contraction, reduced in place; `output` are the labels that stay."""

    def __init__(self, output: tuple[Label, ...], dims: dict[Label, Dim]) -> None:
        self.output, self.dims = output, dims
        self.columns: dict[Label, list[Part]] = {label: [] for label in (*output, *dims)}
        self.edges: dict[Label, list[Edge]] = {label: [] for label in self.columns}
        self.scalars: list[Form] = []  # found while reducing
        self.outer = Form()  # those of the operands

    def join(
        self, a: Label, b: Label, chain: Chain, exponent: Fraction = ONE, delta: bool = False
    ) -> None:
        """A matrix with rows at `a` and columns at `b`; its diagonal if these are one."""
        if a == b:
            self.columns[a].append((diagonal_of(pointwise([(chain, exponent)])), ONE))
            return
        edge = Edge(a, b, [(chain, exponent)], delta)
        self.edges[a].append(edge)
        self.edges[b].append(edge)

    def _drop(self, edge: Edge) -> None:
        self.edges[edge.a].remove(edge)
        self.edges[edge.b].remove(edge)

    def column(self, label: Label) -> Chain:
        """All columns at a vertex as one."""
        return pointwise(self.columns[label]) if self.columns[label] else ones(self.dims[label])

    def _along(self, label: Label) -> Chain:
        """The columns at a vertex as a diagonal factor, empty where there is none."""
        return diagonal(self.column(label)) if self.columns[label] else ()

    # ------------------------------------------------------------ reducing

    def reduce(self) -> bool:
        """Sum over all vertices that are not output; False where some resist."""
        waiting = [label for label in self.columns if label not in self.output]
        while True:
            while waiting:
                label = waiting.pop()
                if label in self.columns:
                    waiting.extend(n for n in self._eliminate(label) if n not in self.output)
            left = [label for label in self.columns if label not in self.output]
            if not left:
                return True
            if not any(self._close_cycle(label) or self._merge(label) for label in left):
                return False
            waiting = [label for label in left if label in self.columns]

    def _eliminate(self, label: Label) -> list[Label]:
        """Sum over a vertex with at most two edges, to different neighbours; these are returned."""
        edges = self.edges[label]
        if not edges:
            self.scalars.append(_total(self.columns[label], self.dims[label]))
        elif len(edges) == 1:
            near = edges[0].other(label)
            chain = multiplied(edges[0].start_from(near), self.column(label))
            self._drop(edges[0])
            self.columns[near].append((chain, ONE))
        elif len(edges) == 2 and edges[0].other(label) != edges[1].other(label):
            first, second = edges
            if first.start_from(label) and self._prefers(second, first, label):
                first, second = second, first
            a, b = first.other(label), second.other(label)
            chain = multiplied(first.start_from(a), self._along(label), second.start_from(label))
            self._drop(first)
            self._drop(second)
            self.join(a, b, chain)
            edges = [first, second]
        else:
            return []
        near_by = [edge.other(label) for edge in edges]
        del self.columns[label], self.edges[label]
        return near_by

    def _prefers(self, one: Edge, other: Edge, label: Label) -> bool:
        """Is the path through `one` first the one with fewer transposes?"""
        forth = flips(one.start_from(one.other(label))) + flips(other.start_from(label))
        back = flips(other.start_from(other.other(label))) + flips(one.start_from(label))
        return forth < back

    def _close_cycle(self, u: Label) -> bool:
        """Two vertices joined by two paths: a trace, or a diagonal where one of them stays."""
        edges = self.edges.get(u, [])
        if len(edges) != 2:
            return False
        v = edges[0].other(u)
        there, back = edges
        if v in self.output:
            if self.columns[u]:
                return False  # (A .* B)*x rather than diag(A*diag(x)*B')
            chain = multiplied(there.start_from(v), back.start_from(u))
            self._drop(there)
            self._drop(back)
            self.columns[v].append((diagonal_of(chain), ONE))
        elif len(self.edges[v]) == 2:
            if self.columns[u] and self.columns[v]:
                return False  # x'*(A .* B)*y
            first, second = there.start_from(u), back.start_from(u)
            if len(first) == len(second) == 1 and (self.columns[u] or self.columns[v]):
                return False  # sum((A .* B)*x) rather than tr(A'*B*diag(x))
            bare = not self.columns[u] and not self.columns[v]
            if bare and _same(first, second):
                self.scalars.append(_norm_squared(first, column=False))
            else:
                cycle = (*self._along(u), *first, *self._along(v), *transposed(second))
                self.scalars.append(_trace(cycle))
            self._drop(there)
            self._drop(back)
            del self.columns[v], self.edges[v]
        else:
            return False
        del self.columns[u], self.edges[u]
        return True

    def _merge(self, label: Label) -> bool:
        """Make parallel edges at a vertex one that multiplies entry by entry; False if there are none."""
        seen: dict[Label, Edge] = {}
        for edge in self.edges.get(label, []):
            first = seen.setdefault(edge.other(label), edge)
            if first is not edge:
                same = first.a == edge.a
                first.parts += [(c if same else transposed(c), e) for c, e in edge.parts]
                first.delta = first.delta or edge.delta
                self._drop(edge)
                return True
        return False

    # ------------------------------------------------------------ results

    def form(self) -> Form | None:
        """The scalar, column or matrix that is left after `reduce`."""
        chain: Chain | None = ()
        if len(self.output) == 1:
            chain = self.column(self.output[0]) if not self.edges[self.output[0]] else None
        elif len(self.output) == 2:
            chain = self.matrix(*self.output)
        elif self.output:
            chain = None
        return None if chain is None else self.with_scalars(chain)

    def with_scalars(self, chain: Chain) -> Form:
        """A chain with all scalars."""
        form = Form(chain=chain)
        for scalar in (*self.scalars, self.outer):
            form = form.times(scalar)
        return form

    def matrix(self, row: Label, column: Label) -> Chain | None:
        """What stands between two vertices and at them, if nothing leads elsewhere."""
        while self._merge(row):
            pass
        edges = self.edges[row]
        if edges != self.edges[column] or len(edges) > 1:
            return None
        if not edges:
            return self.column(row) + transposed(self.column(column))
        if edges[0].delta and len(edges[0].parts) == 1:
            at = [*self.columns[row], *self.columns[column]]
            return diagonal(pointwise(at)) if at else identity(self.dims[row])
        return multiplied(self._along(row), edges[0].start_from(row), self._along(column))


def _same(first: Chain, second: Chain) -> bool:
    return chain_text(first) == chain_text(second)


def _total(parts: list[Part], dim: Dim) -> Form:
    """The sum over a vertex: a dot product of two columns, else the sum of their product."""
    if all(e.denominator == 1 and e > 0 for _, e in parts):
        whole = [chain for chain, exponent in parts for _ in range(int(exponent))]
        compound = [chain for chain in whole if len(chain) > 1]
        if len(whole) == 2:
            return _dot(*whole)
        if len(compound) == 2:
            rest = [(chain, ONE) for chain in whole if len(chain) == 1]
            left, right = compound
            return _product_between(left, diagonal(pointwise(rest)), right)
    chain = pointwise(parts) if parts else ones(dim)
    if chain_text(chain) == "1":
        chain = ones(dim)  # what was multiplied has cancelled, entry by entry
    while len(chain) > 1 and chain[-1].ones is not None:
        chain = chain[:-1]  # sum(A*ones) is sum(A)
    if len(chain) == 1 and chain[0].within:
        return _trace(chain[0].within)
    return Form(above=(call_tree("sum", chain_tree(chain)),))


def _dot(first: Chain, second: Chain) -> Form:
    if _same(first, second):
        return _norm_squared(first, column=True)
    for one, other in ((first, second), (second, first)):
        if one[-1].ones is not None and len(other) >= 1:
            inside = transposed(other) + one  # 1'*A*x, read as a sum
            return _total([(transposed(inside[:-1]), ONE)], one[-1].ones)
    return _product_between(first, (), second)


def _product_between(left: Chain, middle: Chain, right: Chain) -> Form:
    """left' * middle * right, turned around where that needs fewer transposes."""
    one = transposed(left) + middle + right
    other = transposed(right) + middle + left
    return Form(above=(chain_tree(min(one, other, key=_looks)),))


def _looks(chain: Chain) -> tuple[int, str]:
    return flips(chain), chain_text(chain)


def _norm_squared(chain: Chain, column: bool) -> Form:
    tree = chain_tree(chain)
    if len(chain) == 1 and not chain[0].flipped and len(tree_text(tree)) <= _SHORT:
        product = chain_tree(transposed(chain) + chain)
        return Form(above=(product if column else call_tree("tr", product),))
    if not column and len(chain) == 1 and chain[0].flipped:
        tree = chain[0].tree
    return Form(above=(powered(call_tree("norm2", tree), _TWO),))


def _trace(cycle: Chain) -> Form:
    """A trace in the rotation or reflection that reads best."""

    def looks(chain: Chain) -> tuple[int, bool, str]:
        count, text = _looks(chain)
        return count, count > 0 and not chain[0].flipped, text

    ways = []
    for way in (cycle, transposed(cycle)):
        ways += [way[k:] + way[:k] for k in range(min(len(way), 12))]
    return Form(above=(call_tree("tr", chain_tree(min(ways, key=looks))),))
