"""Where a tensor can be other than zero: axes that Kronecker deltas tie.

In: a term. Out: patterns; a pattern gives every axis a number, and entries are zero unless axes of one
number have one index. Invariant: exact on deltas, sums, products and functions with f(0) = 0, for other
functions an upper bound: an entry outside all patterns is zero. No array is computed. Linear in the term.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from ..expr import Apply, Contraction, Delta, Expr, Label, Map, Sum
from ..structure import base_and_exponent
from ..walk import fold

Pattern = tuple[int, ...]
Patterns = frozenset[Pattern]

MOST = 48  # patterns of a term; beyond, it counts as dense

# Elementwise functions of one argument whose value at 0 is 0.
ZERO_AT_ZERO = frozenset("abs asin atan erf expm1 log1p relu sign sin sinh sqrt tan tanh".split())


def patterns_of(root: Expr) -> Patterns:
    """The patterns of a term: none for zero, one without ties for a dense tensor.

    >>> from einderiv.canonical import contract
    >>> from einderiv.expr import Delta, Variable
    >>> block = contract([Delta("n"), Variable("C", ("d", "d"))], [(0, 2), (1, 3)], (0, 1, 2, 3))
    >>> sorted(patterns_of(block))
    [(0, 1, 0, 2)]
    """
    return fold([root], _value)[root]


def _value(node: Expr, children: list[Patterns]) -> Patterns:
    match node:
        case Delta():
            return frozenset([(0, 0)])
        case Sum():
            return widest(pattern for patterns in children for pattern in patterns)
        case Contraction():
            return _of_product(node, children)
        case Map() if len(node.children) == 1 and node.function in ZERO_AT_ZERO:
            return children[0]
        case Map() if base_and_exponent(node)[1] > 0 and node.function == "pow":
            return children[0]
        case Apply() if node.function == "tril":
            return children[0]
    return frozenset([tuple(range(node.rank))])


def _of_product(node: Contraction, children: list[Patterns]) -> Patterns:
    """A product is zero where a factor is: each choice of a pattern for every factor is one."""
    count = 1
    for patterns in children:
        count *= len(patterns)
    if count > MOST:
        children = [
            patterns if isinstance(child, Delta) else frozenset([tuple(range(child.rank))])
            for child, patterns in zip(node.children, children, strict=True)
        ]
    found = []
    for choice in product(*(sorted(patterns) for patterns in children)):
        parent: dict[Label, Label] = {}
        for labels, pattern in zip(node.inputs, choice, strict=True):
            first: dict[int, Label] = {}
            for label, number in zip(labels, pattern, strict=True):
                a, b = _root(parent, first.setdefault(number, label)), _root(parent, label)
                if a != b:
                    parent[b] = a
        found.append(numbered(_root(parent, label) for label in node.output))
    return widest(found)


def _root(parent: dict[Label, Label], label: Label) -> Label:
    while label in parent:
        label = parent[label]
    return label


def numbered(classes: Iterable[int]) -> Pattern:
    """Numbers in the order of first appearance.

    >>> numbered([5, 2, 5, 7])
    (0, 1, 0, 2)
    """
    seen: dict[int, int] = {}
    return tuple(seen.setdefault(c, len(seen)) for c in classes)


def widest(patterns: Iterable[Pattern]) -> Patterns:
    """The patterns that lie in no other one.

    >>> sorted(widest([(0, 0, 0), (0, 1, 0)]))
    [(0, 1, 0)]
    """
    found = sorted(set(patterns), key=lambda pattern: -len(set(pattern)))
    if len(found) > MOST:
        return frozenset([tuple(range(len(found[0])))])
    kept: list[Pattern] = []
    for pattern in found:
        if not any(lies_in(pattern, other) for other in kept):
            kept.append(pattern)
    return frozenset(kept)


def lies_in(inner: Pattern, outer: Pattern) -> bool:
    """Has every entry that `inner` allows a place in `outer`: are all ties of `outer` ties of `inner`?"""
    seen: dict[int, int] = {}
    return all(seen.setdefault(mine, own) == own for mine, own in zip(outer, inner, strict=True))
