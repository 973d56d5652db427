"""Products of matrices and columns: chains of them, and the graph that turns a contraction into one.

In: trees with their transposes, at the labels of a contraction. Out: scalars times a chain (`Form`), and
trees; None if no products, traces, diagonals and products entry by entry give the contraction.
Invariant: a chain multiplies from left to right. In the graph labels are vertices, matrices edges, and
columns are at vertices; each reduction is an equality: a summed vertex with one edge is a product of a
matrix and a column, with two edges one of matrices, with a cycle a trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ..notations import Node, syntax
from ..terms import ONE, Dim, Label
from .text import tree_text
from .trees import NOWHERE, call_tree, coefficient_trees, number_tree, power_tree

_POWER = 3  # X^3 for X*X*X
_SHORT = 3  # characters; a longer operand is written once, as norm2(...)^2


@dataclass(frozen=True, slots=True)
class Atom:
    """A matrix or a column, perhaps transposed.

    `ones`: the extent of a column of ones; `within`: the matrix whose diagonal this column is;
    `terms`: those of a sum, each with True if it is subtracted; `unit`: is it the identity?
    """

    tree: Node
    flipped: bool = False
    symmetric: bool = False
    ones: Dim | None = None
    within: tuple[Atom, ...] = ()
    terms: tuple[tuple[bool, Form], ...] = ()
    unit: bool = False

    def factor(self) -> Node:
        """Its tree, with the transpose."""
        return syntax.Transpose(self.tree, NOWHERE) if self.flipped else self.tree


Chain = tuple[Atom, ...]
Part = tuple[Chain, Fraction]  # a factor of a pointwise product, with its exponent


def transpose_chain(chain: Chain) -> Chain:
    """(A B)' = B' A'."""
    return tuple(
        atom if atom.symmetric else replace(atom, flipped=not atom.flipped)
        for atom in reversed(chain)
    )


def multiply_chains(*chains: Chain) -> Chain:
    """The product of chains, without identities unless nothing else is in it."""
    whole = tuple(atom for chain in chains for atom in chain)
    return tuple(atom for atom in whole if not atom.unit) or whole[:1]


def flips(chain: Chain) -> int:
    """How many transposes are written."""
    return sum(atom.flipped for atom in chain)


def dim_tree(dim: Dim) -> Node:
    """An extent as it is written in `ones(n)`."""
    return number_tree(Fraction(dim)) if isinstance(dim, int) else syntax.Name(dim, NOWHERE)


def ones(dim: Dim) -> Chain:
    """A column of ones."""
    return (Atom(call_tree("ones", dim_tree(dim)), ones=dim),)


def identity(dim: Dim) -> Chain:
    """The identity matrix."""
    return (Atom(call_tree("eye", dim_tree(dim)), symmetric=True, unit=True),)


def diagonal(chain: Chain) -> Chain:
    """The diagonal matrix of a column."""
    return (Atom(call_tree("diag", chain_tree(chain)), symmetric=True),)


def diagonal_of(chain: Chain) -> Chain:
    """The diagonal of a matrix, as a column."""
    return (Atom(call_tree("diag", chain_tree(chain)), within=chain),)


def chain_tree(chain: Chain) -> Node:
    """A chain as one product: ones(m)*ones(n)' is ones(m,n)."""
    factors = chain_factors(chain)
    if len(factors) == 1:
        return factors[0]
    return syntax.Product(tuple((False, factor) for factor in factors), NOWHERE)


def chain_factors(chain: Chain) -> list[Node]:
    """The factors of a chain, as trees."""
    factors: list[Node] = []
    k = 0
    while k < len(chain):
        atom, after = chain[k], chain[k + 1] if k + 1 < len(chain) else chain[k]
        times = next((n for n, other in enumerate(chain[k:]) if other != atom), len(chain) - k)
        tree, used = atom.tree, 1
        outer = not atom.flipped and after.flipped  # a column by a row
        if outer and atom.ones is not None and after.ones is not None:
            tree, used = call_tree("ones", dim_tree(atom.ones), dim_tree(after.ones)), 2
        elif times >= _POWER:
            tree, used = syntax.Power(tree, number_tree(Fraction(times)), NOWHERE), times
        factors.append(syntax.Transpose(tree, NOWHERE) if atom.flipped else tree)
        k += used
    return factors


def chain_text(chain: Chain) -> str:
    return tree_text(chain_tree(chain))


def pointwise(parts: Sequence[Part], matrices: bool = False) -> Chain:
    """The entry-by-entry product of chains with exponents, a .* b ./ c.

    Of `matrices` the product or its transpose, as it reads best.
    """
    if len(parts) == 1 and parts[0][1] == 1:
        return parts[0][0]
    if matrices:
        turned = [(transpose_chain(chain), exponent) for chain, exponent in parts]
        if sum(flips(chain) for chain, _ in turned) < sum(flips(chain) for chain, _ in parts):
            return transpose_chain(pointwise(turned))
    counts: dict[str, Part] = {}
    for chain, exponent in parts:
        text = chain_text(chain)
        first, known = counts.get(text, (chain, Fraction(0)))
        counts[text] = (first, known + exponent)
    above = [_entry_power(c, e) for c, e in counts.values() if e > 0]
    below = [_entry_power(c, -e) for c, e in counts.values() if e < 0]
    symmetric = all(len(c) == 1 and c[0].symmetric for c, _ in counts.values())
    tree = above[0] if above else number_tree(ONE)
    for sign, factors in ((".*", above[1:]), ("./", below)):
        for factor in factors:
            tree = syntax.Pointwise(sign, tree, factor, NOWHERE)
    return (Atom(tree, symmetric=symmetric),)


def _entry_power(chain: Chain, exponent: Fraction) -> Node:
    tree = chain_tree(chain)
    if exponent == 1:
        return tree
    if exponent == Fraction(1, 2):
        return call_tree("sqrt", tree)
    return syntax.Pointwise(".^", tree, number_tree(exponent), NOWHERE)


@dataclass(frozen=True, slots=True)
class Form:
    """coefficient * above / below * chain; a scalar if the chain is empty."""

    coefficient: Fraction = ONE
    above: tuple[Node, ...] = ()
    below: tuple[Node, ...] = ()
    chain: Chain = ()

    def times(self, other: Form) -> Form:
        """The product of the scalars of two forms, with the chain of this one."""
        return Form(
            self.coefficient * other.coefficient,
            self.above + other.above,
            self.below + other.below,
            self.chain,
        )

    def transpose(self) -> Form:
        """The transpose."""
        return replace(self, chain=transpose_chain(self.chain))

    def scalars(self) -> Form:
        """The form without its chain."""
        return replace(self, chain=())


def form_tree(form: Form) -> Node:
    """The product as a tree: 2/n*X'*r, signs in front."""
    above, below = coefficient_trees(abs(form.coefficient))
    scalars, below = [*above, *form.above], [*below, *form.below]
    chain = chain_factors(form.chain)
    if len(form.chain) == 1 and form.chain[0].flipped and form.chain[0].terms:
        # the transpose of a sum alone is the sum of the transposes
        chain = [sum_tree([(minus, term.transpose()) for minus, term in form.chain[0].terms])]
    behind = bool(form.below and chain and not scalars)  # x/norm2(x)
    if not scalars and not behind and (below or not chain):
        scalars = [number_tree(ONE)]
    factors = [(False, _apart(tree)) for tree in scalars]
    if len(scalars) == 1 and not chain and isinstance(scalars[0], syntax.Product):
        factors = list(scalars[0].factors)  # x'*A*x/2
    divisors = [(True, _apart(tree)) for tree in below]
    plain = [(False, tree) for tree in chain]
    factors += [*plain, *divisors] if behind else [*divisors, *plain]
    product = factors[0][1] if len(factors) == 1 else syntax.Product(tuple(factors), NOWHERE)
    return syntax.Negative(product, NOWHERE) if form.coefficient < 0 else product


def sum_tree(terms: Sequence[tuple[bool, Form]]) -> Node:
    """A sum of forms, each with True if it is subtracted."""
    return syntax.Sum(tuple((minus, form_tree(form)) for minus, form in terms), NOWHERE)


def oriented_sum(terms: Sequence[tuple[bool, Form]], symmetric: bool) -> Atom:
    """A sum of matrices as one atom, written with as few transposes as possible."""
    turned = [(minus, form.transpose()) for minus, form in terms]
    if sum(flips(form.chain) for _, form in turned) < sum(flips(form.chain) for _, form in terms):
        return Atom(
            sum_tree(turned), flipped=not symmetric, symmetric=symmetric, terms=tuple(turned)
        )
    return Atom(sum_tree(terms), symmetric=symmetric, terms=tuple(terms))


def _apart(tree: Node) -> Node:
    """A scalar product beside other factors: (x'*x)*a."""
    return syntax.Group(tree, NOWHERE) if isinstance(tree, syntax.Product) else tree


# ---------------------------------------------------------------- the graph of a contraction


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
        turned = [(transpose_chain(chain), exponent) for chain, exponent in self.parts]
        return pointwise(turned, matrices=True)

    def other(self, vertex: Label) -> Label:
        return self.b if vertex == self.a else self.a


class Network:
    """The graph of one contraction, reduced in place; `output` are the labels that stay."""

    def __init__(self, output: tuple[Label, ...], dims: dict[Label, Dim]) -> None:
        self.output, self.dims = output, dims
        self.columns: dict[Label, list[Part]] = {label: [] for label in (*output, *dims)}
        self.edges: dict[Label, list[Edge]] = {label: [] for label in self.columns}
        self.scalars = Form()  # found while reducing
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

    def _drop(self, *edges: Edge) -> None:
        for edge in edges:
            self.edges[edge.a].remove(edge)
            self.edges[edge.b].remove(edge)

    def column(self, label: Label) -> Chain:
        """All columns at a vertex as one."""
        return pointwise(self.columns[label]) if self.columns[label] else ones(self.dims[label])

    def _along(self, label: Label) -> Chain:
        """The columns at a vertex as a diagonal factor, empty if there is none."""
        return diagonal(self.column(label)) if self.columns[label] else ()

    # ------------------------------------------------------------ reducing

    def reduce(self) -> bool:
        """Sum over all vertices that are not output; False if some resist."""
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
        """Sum over a vertex with at most two edges, to different neighbours; returns those joined."""
        edges = list(self.edges[label])
        near_by = [edge.other(label) for edge in edges]
        if not edges:
            self.scalars = self.scalars.times(_total(self.columns[label], self.dims[label]))
        elif len(edges) == 1:
            (near,) = near_by
            chain = multiply_chains(edges[0].start_from(near), self.column(label))
            self.columns[near].append((chain, ONE))
            near_by = []
        elif len(edges) == 2 and near_by[0] != near_by[1]:
            ways = []
            for first, second in (edges, edges[::-1]):
                a, b = first.other(label), second.other(label)
                right = multiply_chains(self._along(label), second.start_from(label))
                ways.append((a, b, multiply_chains(first.start_from(a), right)))
            best = min(ways, key=lambda way: flips(way[2]))
            self.join(*best)
            near_by = [*best[:2]]
        else:
            return []
        self._drop(*edges)
        del self.columns[label], self.edges[label]
        return near_by

    def _close_cycle(self, u: Label) -> bool:
        """Two vertices joined by two paths: a trace, or a diagonal if one of them stays."""
        edges = self.edges.get(u, [])
        if len(edges) != 2:
            return False
        there, back = edges
        v = there.other(u)
        gone = [u]
        if v in self.output:
            if self.columns[u]:
                return False  # (A .* B)*x rather than diag(A*diag(x)*B')
            chain = multiply_chains(there.start_from(v), back.start_from(u))
            self.columns[v].append((diagonal_of(chain), ONE))
        elif len(self.edges[v]) == 2:
            if self.columns[u] and self.columns[v]:
                return False  # x'*(A .* B)*y
            first, second = there.start_from(u), back.start_from(u)
            bare = not self.columns[u] and not self.columns[v]
            if len(first) == len(second) == 1 and not bare:
                return False  # sum((A .* B)*x) rather than tr(A'*B*diag(x))
            cycle = (*self._along(u), *first, *self._along(v), *transpose_chain(second))
            is_norm = bare and _same(first, second)
            found = _norm_squared(first, column=False) if is_norm else _trace(cycle)
            self.scalars = self.scalars.times(found)
            gone.append(v)
        else:
            return False
        self._drop(there, back)
        for label in gone:
            del self.columns[label], self.edges[label]
        return True

    def _merge(self, label: Label) -> bool:
        """Make parallel edges at a vertex one that multiplies entry by entry; False if there are none."""
        seen: dict[Label, Edge] = {}
        for edge in self.edges.get(label, []):
            first = seen.setdefault(edge.other(label), edge)
            if first is not edge:
                same = first.a == edge.a
                first.parts += [(c if same else transpose_chain(c), e) for c, e in edge.parts]
                first.delta = first.delta or edge.delta
                self._drop(edge)
                return True
        return False

    # ------------------------------------------------------------ results

    def form(self) -> Form | None:
        """The scalar, column or matrix that is left after `reduce`."""
        match self.output:
            case ():
                return self.with_scalars(())
            case (label,) if not self.edges[label]:
                return self.with_scalars(self.column(label))
            case (row, column):
                chain = self.matrix(row, column)
                return None if chain is None else self.with_scalars(chain)
        return None

    def with_scalars(self, chain: Chain) -> Form:
        """A chain with all scalars."""
        return Form(chain=chain).times(self.scalars).times(self.outer)

    def matrix(self, row: Label, column: Label) -> Chain | None:
        """The chain of two vertices and of what joins them, if nothing leads elsewhere."""
        while self._merge(row):
            pass
        edges = self.edges[row]
        if edges != self.edges[column] or len(edges) > 1:
            return None
        if not edges:
            return self.column(row) + transpose_chain(self.column(column))
        if edges[0].delta and len(edges[0].parts) == 1:
            at = [*self.columns[row], *self.columns[column]]
            return diagonal(pointwise(at)) if at else identity(self.dims[row])
        return multiply_chains(self._along(row), edges[0].start_from(row), self._along(column))


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
        if one[-1].ones is not None:  # 1'*A*x, read as a sum
            return _total([(transpose_chain(one[:-1]) + other, ONE)], one[-1].ones)
    return _product_between(first, (), second)


def _product_between(left: Chain, middle: Chain, right: Chain) -> Form:
    """left' * middle * right, turned around if that needs fewer transposes."""
    one = transpose_chain(left) + middle + right
    other = transpose_chain(right) + middle + left
    return Form(above=(chain_tree(min(one, other, key=_looks)),))


def _looks(chain: Chain) -> tuple[int, str]:
    return flips(chain), chain_text(chain)


def _norm_squared(chain: Chain, column: bool) -> Form:
    tree = chain_tree(chain)
    if len(chain) == 1 and not chain[0].flipped and len(chain_text(chain)) <= _SHORT:
        product = chain_tree(transpose_chain(chain) + chain)
        return Form(above=(product if column else call_tree("tr", product),))
    if not column and len(chain) == 1 and chain[0].flipped:
        tree = chain[0].tree
    return Form(above=(power_tree(call_tree("norm2", tree), Fraction(2)),))


def _trace(cycle: Chain) -> Form:
    """A trace in the rotation or reflection that reads best."""

    def looks(chain: Chain) -> tuple[int, bool, str]:
        count, text = _looks(chain)
        return count, count > 0 and not chain[0].flipped, text

    ways = []
    for way in (cycle, transpose_chain(cycle)):
        ways += [way[k:] + way[:k] for k in range(min(len(way), 12))]
    return Form(above=(call_tree("tr", chain_tree(min(ways, key=looks))),))
