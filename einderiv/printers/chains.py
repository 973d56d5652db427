"""Products of matrices and columns, before they become a surface tree.

In: trees with their transposes. Out: chains, scalars times a chain (`Form`), and trees of them.
Invariant: a chain of atoms multiplies from left to right; transposing reverses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ..expr import Dim
from ..notation import syntax
from ..notation.syntax import Group, Name, Node, Number, Pointwise, Power, Transpose
from .matrix_text import tree_text
from .trees import NOWHERE, call_tree, is_decimal, number_tree

ONE = Fraction(1)
_POWER = 3  # X^3 for X*X*X


@dataclass(frozen=True, slots=True)
class Atom:
    """A matrix or a column, perhaps transposed.

    `ones`: the extent of a column of ones; `within`: the matrix whose diagonal this column is.
    """

    tree: Node
    flipped: bool = False
    symmetric: bool = False
    ones: Dim | None = None
    within: tuple[Atom, ...] = ()

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


def flips(chain: Chain) -> int:
    """How many transposes are written."""
    return sum(atom.flipped for atom in chain)


def dim_tree(dim: Dim) -> Node:
    """An extent as it is written in `ones(n)`."""
    return Number(Fraction(dim), NOWHERE) if isinstance(dim, int) else Name(dim, NOWHERE)


def ones(dim: Dim) -> Chain:
    """A column of ones."""
    return (Atom(call_tree("ones", dim_tree(dim)), ones=dim),)


def identity(dim: Dim) -> Chain:
    """The identity matrix."""
    return (Atom(call_tree("eye", dim_tree(dim)), symmetric=True),)


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
        atom, after = chain[k], chain[k + 1] if k + 1 < len(chain) else None
        if atom.ones is not None and not atom.flipped and after and after.ones is not None:
            if after.flipped:
                factors.append(call_tree("ones", dim_tree(atom.ones), dim_tree(after.ones)))
                k += 2
                continue
        times = next((n for n, other in enumerate(chain[k:]) if other != atom), len(chain) - k)
        if times >= _POWER:
            raised = Power(atom.tree, Number(Fraction(times), NOWHERE), NOWHERE)
            factors.append(Transpose(raised, NOWHERE) if atom.flipped else raised)
            k += times
            continue
        factors.append(atom.shown())
        k += 1
    return factors


def pointwise(parts: Sequence[Part]) -> Chain:
    """The entry-by-entry product of chains with exponents: a .* b ./ c."""
    if len(parts) == 1 and parts[0][1] == 1:
        return parts[0][0]
    counts: dict[str, tuple[Chain, Fraction]] = {}
    for chain, exponent in parts:
        key = tree_text(chain_tree(chain))
        known = counts.get(key, (chain, Fraction(0)))[1]
        counts[key] = (chain, known + exponent)
    above = [_raised(c, e) for c, e in counts.values() if e > 0]
    below = [_raised(c, -e) for c, e in counts.values() if e < 0]
    symmetric = all(len(c) == 1 and c[0].symmetric for c, _ in counts.values())
    tree = above[0] if above else Number(ONE, NOWHERE)
    for factor in above[1:]:
        tree = Pointwise(".*", tree, factor, NOWHERE)
    for factor in below:
        tree = Pointwise("./", tree, factor, NOWHERE)
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

    def is_plain(self) -> bool:
        """Is it its chain alone?"""
        return self.coefficient == 1 and not self.above and not self.below


def form_tree(form: Form) -> Node:
    """The product as a tree: 2/n*X'*r, signs in front."""
    size = abs(form.coefficient)
    above: list[Node] = []
    below: list[Node] = []
    if is_decimal(size):
        above.append(Number(size, NOWHERE))
    else:
        if size.numerator != 1:
            above.append(Number(Fraction(size.numerator), NOWHERE))
        if size.denominator != 1:
            below.append(Number(Fraction(size.denominator), NOWHERE))
    scalars = [*above, *form.above]
    below += form.below
    factors: list[tuple[bool, Node]] = []
    if below and not scalars:
        scalars = [Number(ONE, NOWHERE)]
    if len(scalars) == 1 and not form.chain and isinstance(scalars[0], syntax.Product):
        factors += scalars[0].factors  # x'*A*x/2
    else:
        factors += [(False, _apart(tree)) for tree in scalars]
    factors += [(True, _apart(tree)) for tree in below]
    factors += [(False, tree) for tree in chain_factors(form.chain)]
    if not factors:
        factors = [(False, Number(ONE, NOWHERE))]
    product: Node = factors[0][1]
    if len(factors) > 1:
        product = syntax.Product(tuple(factors), NOWHERE)
    if form.coefficient < 0:
        return syntax.Negative(product, NOWHERE)
    return product


def _apart(tree: Node) -> Node:
    """A scalar product beside other factors: (x'*x)*a."""
    return Group(tree, NOWHERE) if isinstance(tree, syntax.Product) else tree
