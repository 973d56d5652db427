"""Small arrays on which a claim and the derivative differ.

In: two expressions of one program. Out: `Counterexample`, or None where none is found.
Invariant: both values are computed by the program that a user would run, and differ in the first digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .equality import symmetric_names
from .errors import EinderivError
from .expr import Variable
from .expression import Expression
from .uniting import symbolic_extents
from .verdicts import Counterexample
from .walk import postorder

Array = Any

_ATTEMPTS = 24
_VISIBLE = 1e-3  # relative difference
_READABLE = 1e4  # larger values only where there are no others
_LARGEST = 10_000  # entries of an array


def counterexample(
    truth: Expression, claimed: Expression, variables: Mapping[str, Variable]
) -> Counterexample | None:
    """Small whole numbers first, then others; the smallest extents first."""
    rng = np.random.default_rng(5)
    terms = [truth.term, claimed.term]
    symmetric = symmetric_names(*terms)
    named = dict.fromkeys((*truth.variables, *claimed.variables))
    used = [variables[name] for name in named]
    needed = symbolic_extents([*terms, *used])
    found = None
    for attempt in range(_ATTEMPTS):
        sizes = {dim: _size(attempt, k) for k, dim in enumerate(needed)}
        arrays = {x.name: _small(x, sizes, rng, attempt, x.name in symmetric) for x in used}
        if any(array is None for array in arrays.values()):
            return None
        told = {dim for x in used for dim in x.shape}
        more = {dim: size for dim, size in sizes.items() if dim not in told}
        try:
            values = [
                np.asarray(e(arrays, sizes=more), dtype=float) + 0.0 for e in (claimed, truth)
            ]
        except (EinderivError, TypeError, ValueError):
            continue
        ours, theirs = values
        if ours.shape != theirs.shape or not (
            np.isfinite(ours).all() and np.isfinite(theirs).all()
        ):
            continue
        if np.any(np.abs(ours - theirs) > _VISIBLE * (np.abs(theirs) + np.abs(ours))):
            met = {v.name for v in _variables(terms)}
            shown = {n: a for n, a in arrays.items() if n in met}
            found = Counterexample(shown, ours, theirs, more)
            if max(np.abs(ours).max(), np.abs(theirs).max()) < _READABLE:
                break
    return found


def _size(attempt: int, number: int) -> int:
    """2 for all extents first, 2 and 3 by turns then, 2 to 6 in the end."""
    if attempt < 4:
        return 2
    return 2 + (number + attempt) % (2 if attempt < 16 else 5)


def _variables(terms: list[Any]) -> list[Variable]:
    return [node for node in postorder(terms) if isinstance(node, Variable)]


def _small(
    x: Variable, sizes: Mapping[str, int], rng: np.random.Generator, attempt: int, symmetric: bool
) -> Array | None:
    shape = tuple(sizes[d] if isinstance(d, str) else d for d in x.shape)
    if int(np.prod(shape, dtype=int)) > _LARGEST:
        return None
    value = rng.integers(1, 4, size=shape).astype(float)
    if attempt % 2 == 0 and not x.assumptions & {"positive", "nonnegative"}:
        value = value * rng.choice([-1.0, 1.0], size=shape)
    if attempt % 6 >= 4:
        value = value / 4
    if len(shape) > 1 and shape[-1] == shape[-2]:
        if x.symmetric or symmetric:
            value = np.tril(value) + np.swapaxes(np.tril(value, -1), -1, -2)
        if attempt % 4 >= 2 or "spd" in x.assumptions or symmetric:
            value = value + 3 * shape[-1] * np.eye(shape[-1])
    return value
