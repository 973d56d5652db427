"""Are two expressions equal? Decided by identity, then exactly where the terms are rational, else in floats.

In: two expressions. Out: True or False, and how it was found.
Invariant: "equal" by random evaluation is wrong with a probability below 1e-9: a rational difference of
degree d vanishes at a random point modulo p with probability at most d/p (Schwartz 1980, Zippel 1979).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from .errors import DataError, DimensionError, NotationError
from .executable import Executable
from .expr import Expr, Variable
from .expression import Expression
from .reference import PoleError, is_rational, modular_value
from .simplifier import expand, simplify
from .substitution import renamed_dims
from .uniting import symbolic_extents, united
from .walk import postorder

_PRIME = 2**61 - 1
_POINTS = 3
_WILD = 1e8  # larger values are those of inverses of nearly singular matrices


def equal(first: Expression, second: Expression, how: bool = False) -> bool | tuple[bool, str]:
    """Do two expressions agree for all arrays? Axes are compared in order, index names do not matter.

    With `how=True`: the answer and how it was found: "identity", "expansion", "modular" (exact evaluation
    modulo a prime at random points) or "floating point" (agreement to 1e-8 at random points).
    Raises DimensionError where a tensor has different ranks in the two.

    >>> from einderiv import parse
    >>> equal(parse("(a + b)^2"), parse("a^2 + 2*a*b + b^2"), how=True)
    (True, 'expansion')
    """
    for one in (first, second):
        if not isinstance(one, Expression):
            raise NotationError(
                f"an object of type {type(one).__name__} is compared",
                hint="pass Expressions: ed.parse(...)",
            )
    answer = _decided(first, second)
    return answer if how else answer[0]


def _decided(first: Expression, second: Expression) -> tuple[bool, str]:
    if len(first.shape) != len(second.shape):
        return False, "identity"
    if first == second:
        return True, "identity"
    (a, b), variables = united([(e.term, e._context.variables) for e in (first, second)])
    a, b = _same_axes(a, b)
    if simplify(expand([a]))[0] is simplify(expand([b]))[0]:
        return True, "expansion"
    if is_rational(a) and is_rational(b):
        return _modular(a, b, variables)
    return _floating(a, b, variables), "floating point"


def _same_axes(a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """Axes of the results that have other extents by name are taken for the same."""
    dims = {
        old: new
        for old, new in zip(b.shape, a.shape, strict=True)
        if isinstance(old, str) and old != new
    }
    (renamed,) = renamed_dims([b], dims)
    if renamed.shape != a.shape:
        raise DimensionError(
            "the expressions have other extents",
            facts=[f"({', '.join(map(str, a.shape))}) and ({', '.join(map(str, b.shape))})"],
            hint="compare expressions with the same axes",
        )
    return a, renamed


def _sizes(
    terms: Sequence[Expr], variables: dict[str, Variable], rng: random.Random
) -> dict[str, int]:
    """Small extents, other ones at every point: the inverse of X'X needs more rows than columns."""
    return {dim: rng.randrange(2, 5) for dim in symbolic_extents([*terms, *variables.values()])}


def _modular(a: Expr, b: Expr, variables: dict[str, Variable]) -> tuple[bool, str]:
    rng = random.Random(20)
    points = 0
    for _ in range(20 * _POINTS):
        sizes = _sizes([a, b], variables, rng)
        values = {
            x: _random_array(x, sizes, lambda: rng.randrange(1, _PRIME)) for x in _leaves(a, b)
        }
        try:
            left, right = (modular_value(t, values, sizes, _PRIME) for t in (a, b))
        except PoleError:
            continue
        if not np.array_equal(left, right):
            return False, "modular"
        points += 1
        if points == _POINTS:
            return True, "modular"
    return _floating(a, b, variables), "floating point"


def _leaves(*terms: Expr) -> list[Variable]:
    return [node for node in postorder(terms) if isinstance(node, Variable)]


def _random_array(x: Variable, sizes: dict[str, int], draw):  # type: ignore[no-untyped-def]
    shape = tuple(sizes[d] if isinstance(d, str) else d for d in x.shape)
    flat = np.empty(int(np.prod(shape, dtype=int)), dtype=object)
    flat[:] = [draw() for _ in flat]
    return flat.reshape(shape)


def _floating(a: Expr, b: Expr, variables: dict[str, Variable]) -> bool:
    rng = np.random.default_rng(20)
    draw = random.Random(20)
    program = Executable([a, b], 2, variables)
    compared = points = 0
    for attempt in range(8 * _POINTS):
        sizes = _sizes([a, b], variables, draw)
        scale = (1.0, 0.3, 2.0)[attempt % 3]
        arrays = {}
        for name, x in variables.items():
            shape = tuple(sizes[d] if isinstance(d, str) else d for d in x.shape)
            value = rng.uniform(0.1, 0.9, size=shape) * scale
            if len(shape) > 1 and shape[-1] == shape[-2]:
                value = value + np.swapaxes(value, -1, -2) + 2 * shape[-1] * np.eye(shape[-1])
            arrays[name] = value
        try:
            left, right = program(arrays, sizes=sizes)
        except DataError:
            continue
        finite = np.isfinite(left) & np.isfinite(right)
        if np.any(np.abs(left[finite]) > _WILD) or np.any(np.abs(right[finite]) > _WILD):
            continue  # near a pole, where rounding decides
        compared += int(np.sum(finite))
        points += bool(np.any(finite))
        difference = np.abs(left - right)[finite]
        if np.any(difference > 1e-8 * (1 + np.abs(left)[finite])):
            return False
        if points == _POINTS:
            break
    if not compared:
        raise DataError(
            "the expressions could not be compared: no random point gave finite values",
            hint="evaluate both on arrays of their domain",
        )
    return True
