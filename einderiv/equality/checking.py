"""Is a step of a derivation an equality? Every one is asked.

In: two terms of one shape. Out: by what they were found equal, or an error.
Invariant: "identity" and "expansion" are proofs; "modular" fails with a probability below 1e-15 (three points
modulo 2^61 - 1; functions that are not rational stand as unknowns of their own, so equal there is equal
everywhere); "floating point" is agreement to 1e-8 at random points.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from math import prod

import numpy as np

from ..calculus import expand, simplify
from ..errors import DataError, EinderivError
from ..programs import Executable
from ..terms import (
    Apply,
    Contraction,
    Expr,
    Literal,
    Map,
    Sum,
    Variable,
    fold,
    postorder,
    symbolic_extents,
    with_children,
)
from .reference import PoleError, modular_value

_PRIME = 2**61 - 1
_POINTS = 3
_PRODUCTS = 500  # terms with more products when multiplied out are not
_ENTRIES = 20_000  # products to add up in one contraction; beyond, floating point decides
_WILD = 1e8  # larger values are those of inverses of nearly singular matrices
_RATIONAL = ("inv", "det", "prod", "prodexcept", "tril", "eps")


def how_equal(before: Expr, after: Expr) -> str:
    """By what two terms are equal; nothing where they are not."""
    return _exactly(before, after) or _floating(*simplify([before, after]))


def _exactly(before: Expr, after: Expr) -> str:
    """By what two terms are proved equal; nothing where this does not succeed."""
    if before is after:
        return "identity"
    first, second = simplify([before, after])
    if first is second:
        return "identity"
    if _products(first) + _products(second) <= _PRODUCTS:
        long, other = simplify(expand([first, second]))
        if long is other:
            return "expansion"
    if not (_is_small(first) and _is_small(second)):
        return ""
    return _modular(*_abstracted(first, second))


def _products(term: Expr) -> int:
    """How many products a term has when it is multiplied out, up to a cap."""

    def value(node: Expr, children: list[int]) -> int:
        count = sum(children) if isinstance(node, Sum) else prod(children)
        return min(max(count, 1), _PRODUCTS + 1)

    return fold([term], value)[term]


def _is_small(term: Expr) -> bool:
    """Are all contractions short enough to be added up term by term, at extents of four?"""
    return all(
        4 ** len({label for labels in node.inputs for label in labels}) <= _ENTRIES
        for node in postorder([term])
        if isinstance(node, Contraction)
    )


def check_equal(sides: Iterable[tuple[Expr, Expr]]) -> str:
    """By what the first pair that is equal was found so; the pairs say the same, each more explicitly.

    Raises EinderivError where none is equal: that is an error of ours.
    """
    tried = []
    for before, after in sides:
        how = _exactly(before, after)
        if how:
            return how
        tried.append((before, after))
    for before, after in tried:
        how = _floating(*simplify([before, after]))
        if how:
            return how
    raise EinderivError(
        "a step of this derivation is not an equality: this is a fault of einderiv",
        hint="please report the expression; e.diff(...) does not depend on the derivation",
    )


def _abstracted(first: Expr, second: Expr) -> tuple[Expr, Expr]:
    """Both terms with unknowns for what is not rational, one for each such node."""
    unknowns: dict[Expr, Expr] = {}
    new: dict[Expr, Expr] = {}
    for node in postorder([first, second]):
        children = tuple(new[child] for child in node.children)
        result = node if children == node.children else with_children(node, children)
        if isinstance(node, Map | Apply) and not _is_rational(node):
            assumed = frozenset({"symmetric"}) if result.symmetric else frozenset()
            unknowns.setdefault(result, Variable(f"?{len(unknowns)}", result.shape, assumed))
            result = unknowns[result]
        new[node] = result
    return new[first], new[second]


def _is_rational(node: Expr) -> bool:
    """Is a function's value rational in its arguments?"""
    if isinstance(node, Map):
        exponent = node.children[1] if node.function == "pow" else None
        return isinstance(exponent, Literal) and exponent.value.denominator == 1
    return isinstance(node, Apply) and node.function in _RATIONAL


def _variables(*terms: Expr) -> list[Variable]:
    return [node for node in postorder(terms) if isinstance(node, Variable)]


def _sizes(terms: tuple[Expr, ...], rng: random.Random) -> dict[str, int]:
    """Small extents, other ones at every point: the inverse of X'X needs more rows than columns."""
    return {dim: rng.randrange(2, 5) for dim in symbolic_extents(terms)}


def _shape(x: Variable, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes[dim] if isinstance(dim, str) else dim for dim in x.shape)


def _modular(first: Expr, second: Expr) -> str:
    """Equal at random points modulo a prime: "modular"; else, or where no point is defined: nothing."""
    rng = random.Random(5)
    points = 0
    for _ in range(10 * _POINTS):
        sizes = _sizes((first, second), rng)
        values = {}
        for x in _variables(first, second):
            shape = _shape(x, sizes)
            value = np.empty(shape, dtype=object)
            for place in np.ndindex(*shape):
                value[place] = rng.randrange(1, _PRIME)
            values[x] = value + np.swapaxes(value, -1, -2) if x.symmetric else value
        try:
            left, right = (modular_value(t, values, sizes, _PRIME) for t in (first, second))
        except PoleError:
            continue
        if not np.array_equal(left, right):
            return ""
        points += 1
        if points == _POINTS:
            return "modular"
    return ""


def _floating(first: Expr, second: Expr) -> str:
    """Equal to 1e-8 at random points of the domain: "floating point"; else nothing."""
    rng = np.random.default_rng(5)
    draw = random.Random(5)
    variables = {x.name: x for x in _variables(first, second)}
    program = Executable([first, second], 2, variables)
    compared = points = 0
    for attempt in range(8 * _POINTS):
        sizes = _sizes((first, second), draw)
        arrays = {}
        for name, x in variables.items():
            shape = _shape(x, sizes)
            value = rng.uniform(0.1, 0.9, size=shape) * (1.0, 0.3, 2.0)[attempt % 3]
            if len(shape) > 1 and shape[-1] == shape[-2]:
                value = value + 2 * shape[-1] * np.eye(shape[-1])
                value = (value + np.swapaxes(value, -1, -2)) / 2  # inside cholesky it must be
            arrays[name] = value
        try:
            left, right = map(np.atleast_1d, program(arrays, sizes=sizes))
        except DataError:
            continue
        finite = np.isfinite(left) & np.isfinite(right)
        scale = 1 + np.abs(left[finite])
        if np.any(scale > _WILD):
            continue  # near a pole, where rounding decides
        if np.any(np.abs(left[finite] - right[finite]) > 1e-8 * scale):
            return ""
        compared += int(np.sum(finite))
        points += bool(np.any(finite))
        if points == 2 * _POINTS:
            break
    return "floating point" if compared else ""
