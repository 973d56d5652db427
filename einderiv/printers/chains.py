"""Products of matrices and columns, before they become a surface tree.

In: trees with their transposes. Out: chains, scalars times a chain (`Form`), and trees of them.
Invariant: a chain of atoms multiplies from left to right; transposing reverses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ..notations import Group, Name, Node, Pointwise, Power, Transpose, syntax
from ..terms import ONE, Dim
from .text import tree_text
from .trees import NOWHERE, call_tree, coefficient_trees, number_tree

_POWER = 3  # X^3 for X*X*X


@dataclass(frozen=True, slots=True)
class Atom:
    """A matrix or a column, perhaps transposed.

    `ones`: the extent of a column of ones; `within`: the matrix whose diagonal this column is;
    `terms`: those of a sum, each with True where it is subtracted; `unit`: is it the identity?
    """

    tree: Node
    flipped: bool = False
    symmetric: bool = False
    ones: Dim | None = None
    within: tuple[Atom, ...] = ()
    terms: tuple[tuple[bool, Form], ...] = ()
    unit: bool = False

    def shown(self) -> Node:
        """Its tree, with the transpose."""
        return Transpose(self.tree, NOWHERE) if self.flipped else self.tree


Chain = tuple[Atom, ...]
Part = tuple[Chain, Fraction]  # a factor of a pointwise product, with its exponent


def transposed(chain: Chain) -> Chain:
    """(A B)' = B' A'."""
    return tuple(
        atom if atom.symmetric else replace(atom, flipped=not atom.flipped)
        for atom in reversed(chain)
    )


def multiplied(*chains: Chain) -> Chain:
    """The product of chains, without identities where anything else is in it."""
    whole = tuple(atom for chain in chains for atom in chain)
    return tuple(atom for atom in whole if not atom.unit) or whole[:1]


def flips(chain: Chain) -> int:
    """How many transposes are written."""
    return sum(atom.flipped for atom in chain)


def dim_tree(dim: Dim) -> Node:
    """An extent as it is written in `ones(n)`."""
    return number_tree(Fraction(dim)) if isinstance(dim, int) else Name(dim, NOWHERE)


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
            tree, used = Power(tree, number_tree(Fraction(times)), NOWHERE), times
        factors.append(Transpose(tree, NOWHERE) if atom.flipped else tree)
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
        turned = [(transposed(chain), exponent) for chain, exponent in parts]
        if sum(flips(chain) for chain, _ in turned) < sum(flips(chain) for chain, _ in parts):
            return transposed(pointwise(turned))
    counts: dict[str, Part] = {}
    for chain, exponent in parts:
        text = chain_text(chain)
        first, known = counts.get(text, (chain, Fraction(0)))
        counts[text] = (first, known + exponent)
    above = [_raised(c, e) for c, e in counts.values() if e > 0]
    below = [_raised(c, -e) for c, e in counts.values() if e < 0]
    symmetric = all(len(c) == 1 and c[0].symmetric for c, _ in counts.values())
    tree = above[0] if above else number_tree(ONE)
    for sign, factors in ((".*", above[1:]), ("./", below)):
        for factor in factors:
            tree = Pointwise(sign, tree, factor, NOWHERE)
    return (Atom(tree, symmetric=symmetric),)


def _raised(chain: Chain, exponent: Fraction) -> Node:
    tree = chain_tree(chain)
    if exponent == 1:
        return tree
    if exponent == Fraction(1, 2):
        return call_tree("sqrt", tree)
    return Pointwise(".^", tree, number_tree(exponent), NOWHERE)


@dataclass(frozen=True, slots=True)
class Form:
    """coefficient * above / below * chain; a scalar where the chain is empty."""

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

    def transposed(self) -> Form:
        """The transpose."""
        return replace(self, chain=transposed(self.chain))

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
        chain = [sum_tree([(minus, term.transposed()) for minus, term in form.chain[0].terms])]
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
    """A sum of forms, each with True where it is subtracted."""
    return syntax.Sum(tuple((minus, form_tree(form)) for minus, form in terms), NOWHERE)


def oriented_sum(terms: Sequence[tuple[bool, Form]], symmetric: bool) -> Atom:
    """A sum of matrices as one atom, written with as few transposes as possible."""
    turned = [(minus, form.transposed()) for minus, form in terms]
    if sum(flips(form.chain) for _, form in turned) < sum(flips(form.chain) for _, form in terms):
        return Atom(
            sum_tree(turned), flipped=not symmetric, symmetric=symmetric, terms=tuple(turned)
        )
    return Atom(sum_tree(terms), symmetric=symmetric, terms=tuple(terms))


def _apart(tree: Node) -> Node:
    """A scalar product beside other factors: (x'*x)*a."""
    return Group(tree, NOWHERE) if isinstance(tree, syntax.Product) else tree
