"""Small surface trees: numbers, powers, quotients, with brackets if they are needed.

In: numbers and trees. Out: trees.
Invariant: what is built reads back with the same structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

from ..notations import Access, Call, Group, Index, Name, Node, Number, syntax
from ..terms import COMPARISONS, ONE

NOWHERE = (0, 0)
_SYMBOL = {name: symbol for symbol, name in COMPARISONS.items()}


def number_tree(value: Fraction) -> Node:
    """A number: `2`, `0.001`, `-1/3`."""
    return fraction_tree([], [], value)


def coefficient_trees(size: Fraction) -> tuple[list[Node], list[Node]]:
    """A positive coefficient as factors above and below a fraction line, none for ones."""
    if is_decimal(size):
        return [Number(size, NOWHERE)], []
    above: list[Node] = [Number(Fraction(size.numerator), NOWHERE)]
    below: list[Node] = [Number(Fraction(size.denominator), NOWHERE)]
    return above if size.numerator != 1 else [], below if size.denominator != 1 else []


def is_decimal(value: Fraction) -> bool:
    """Is a decimal shorter than the fraction: 0.001 rather than 1/1000, but 1/8 rather than 0.125?"""
    rest = value.denominator
    if rest <= 99:
        return False
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def call_tree(name: str, *arguments: Node) -> Node:
    return Call(name, None, tuple(arguments), None, NOWHERE, NOWHERE)


def comparison_tree(name: str, left: Node, right: Node) -> Node:
    """`a < b` for the function `less`."""
    return syntax.Comparison(_SYMBOL[name], left, right, NOWHERE)


def step_tree(condition: Node) -> Node:
    """A comparison as a number: 1 if it holds, else 0."""
    return call_tree("where", condition, number_tree(ONE), number_tree(Fraction(0)))


def as_base(tree: Node) -> Node:
    """A tree that may be in a power: brackets around anything but names, numbers and calls."""
    if isinstance(tree, Name | Number | Access | Call | Group):
        return tree
    return Group(tree, NOWHERE)


def as_factor(tree: Node) -> Node:
    """A tree that may be in a product."""
    return tree if isinstance(tree, syntax.Power) else as_base(tree)


def power_tree(tree: Node, exponent: Fraction) -> Node:
    if exponent == 1:
        return tree
    if exponent == Fraction(1, 2):
        return call_tree("sqrt", tree.inner if isinstance(tree, Group) else tree)
    shown = number_tree(exponent)
    return syntax.Power(as_base(tree), as_base(shown), NOWHERE)


def fraction_tree(above: list[Node], below: list[Node], coefficient: Fraction) -> Node:
    """above / below with a rational coefficient, signs in front."""
    lead, last = coefficient_trees(abs(coefficient))
    above, below = [*lead, *above] or [Number(ONE, NOWHERE)], [*below, *last]
    tree = above[0]
    if len(above) > 1 or below:
        factors = [(False, as_factor(f)) for f in above] + [(True, as_factor(f)) for f in below]
        tree = syntax.Product(tuple(factors), NOWHERE)
    if coefficient < 0:
        inner = Group(tree, NOWHERE) if isinstance(tree, syntax.Sum) else tree
        return syntax.Negative(inner, NOWHERE)
    return tree


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """The derivative of `inner` by `variable`."""

    inner: Node
    variable: Access | Name

    @property
    def is_short(self) -> bool:
        """Is it the derivative of something that has a name?"""
        return isinstance(self.inner, Access | Name)


def entry(name: str, names: Sequence[str]) -> Access | Name:
    """`X[i,j]`, or a name alone."""
    if not names:
        return Name(name, NOWHERE)
    return Access(name, tuple(Index(n, None, NOWHERE) for n in names), NOWHERE, NOWHERE)


def partial(inner: Node, variable: Access | Name) -> Node:
    """`∂inner/∂variable`: a derivative as a surface tree; only printers of this room know it."""
    return cast(Node, Partial(inner, variable))
