"""The engine's derivative against numerical ones, as a number.

In: an expression, what to differentiate by, arrays. Out: the largest relative error.
Invariant: the numerical derivative uses values of the expression alone: complex steps, which lose no digits
(Squire and Trapp 1998), central differences where a function has no complex form.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..equality import symmetric_names
from ..errors import DataError, DerivativeError
from ..expressions import Expression
from ..notations import variable_name
from ..terms import Variable, symbolic_extents
from .claims import read_expression

Array = Any
Function = Callable[[Array], Array]

_STEP = 1e-30  # imaginary: nothing cancels
_STEPS = (1e-2, 5e-3, 2.5e-3, 1.25e-3)  # real, of the magnitude of the entry; extrapolated
_ATTEMPTS = 30
_POINTS = 4
_WILD = 1e8


def check_derivative(
    expression: Expression | str,
    wrt: str | Sequence[str],
    arrays: Mapping[str, Any] | None = None,
    /,
    *,
    sizes: Mapping[str, int] | None = None,
    **more: Any,
) -> float:
    """The largest error of the derivative by `wrt`, relative to its largest entry.

    The reference is a complex step through `expression` (or, for several names, through the derivative by
    all but the last), good to about 1e-15; central differences, good to about 1e-9, where it is not
    holomorphic. Arrays not given are random, of extents 2 to 4 unless `sizes` or other arrays tell; of four
    such points the one that is least ill-conditioned counts.
    Raises DataError where no random arrays lie in the domain, DerivativeError as `diff` does.

    >>> check_derivative("x[i]*Q[i,j]*x[j]", "x") < 1e-12
    True
    """
    e = expression if isinstance(expression, Expression) else read_expression(expression)
    names = [wrt] if isinstance(wrt, str) else list(wrt)
    if not names:
        raise DerivativeError("no variable to differentiate by", hint="name one: 'x'")
    before = e.diff(*names[:-1]) if len(names) > 1 else e
    after = before.diff(names[-1])
    name = variable_name(names[-1])
    given = {key: np.asarray(value) for key, value in {**(arrays or {}), **more}.items()}
    complex_ones = [key for key, value in given.items() if np.iscomplexobj(value)]
    if complex_ones:
        raise DataError(
            f"{', '.join(complex_ones)}: complex arrays",
            facts=["the steps of the reference are taken along real entries"],
            hint="pass real arrays; derivatives here are those of real functions",
        )
    errors = []
    for at in _points(e, given, dict(sizes or {})):
        extents = {k: v for k, v in (sizes or {}).items()}
        extents.update(at.sizes)

        def function(x: Array, at: _Point = at, told: Mapping[str, int] = extents) -> Array:
            return np.asarray(before({**at.arrays, name: x}, sizes=_untold(before, told)))

        try:
            derivative = np.asarray(after(at.arrays, sizes=_untold(after, extents)))
        except DataError:
            if len(given) == len(e.variables):
                raise
            continue  # a matrix that happens to be singular
        if not (np.isfinite(derivative).all() and np.abs(derivative).max(initial=0.0) < _WILD):
            continue
        numerical = numerical_derivative(function, at.arrays[name])
        if numerical is not None:
            scale = max(np.abs(numerical).max(initial=0.0), np.abs(derivative).max(initial=0.0))
            error = np.abs(derivative - numerical).max(initial=0.0)
            errors.append(float(error / scale) if scale else 0.0)
        if len(errors) == _POINTS:
            break
    if errors:
        return min(
            errors
        )  # some extents make a matrix singular; a wrong derivative is wrong at each point
    raise DataError(
        "the derivative could not be compared: no point gave finite values",
        hint="pass arrays of the expression's domain",
    )


def numerical_derivative(function: Function, x: Array) -> Array | None:
    """The derivative of `function` at `x`, axes of the value first; None where it is not finite."""
    x = np.asarray(x, dtype=float)
    try:
        columns = [_complex_step(function, x, place) for place in np.ndindex(*x.shape)]
    except DataError:
        columns = [_central(function, x, place) for place in np.ndindex(*x.shape)]
    if not columns:
        return None
    result = np.stack(columns, axis=-1)
    result = result.reshape((*columns[0].shape, *x.shape))
    return result if np.isfinite(result).all() else None


def _complex_step(function: Function, x: Array, place: tuple[int, ...]) -> Array:
    moved = x.astype(complex)
    moved[place] += 1j * _STEP
    return np.asarray(function(moved)).imag / _STEP


def _central(function: Function, x: Array, place: tuple[int, ...]) -> Array:
    """Central differences at four steps, extrapolated to step 0 (Richardson)."""
    size = 1 + abs(float(x[place]))
    rows = []
    for step in _STEPS:
        ahead, back = x.copy(), x.copy()
        ahead[place] += step * size
        back[place] -= step * size
        rows.append((function(ahead) - function(back)) / (2 * step * size))
    for order in range(1, len(rows)):
        rows = [fine + (fine - coarse) / (4**order - 1) for coarse, fine in pairwise(rows)]
    return np.asarray(rows[0])


class _Point:
    """Arrays, and the extents that these do not tell."""

    def __init__(self, arrays: dict[str, Array], sizes: dict[str, int]) -> None:
        self.arrays, self.sizes = arrays, sizes


def _points(e: Expression, given: Mapping[str, Array], sizes: Mapping[str, int]) -> list[_Point]:
    """Arrays to try: those given, the others drawn at random."""
    variables: Sequence[Variable] = list(e._context.variables.values())
    assumed = e._context.assumptions
    unknown = [name for name in given if name not in e.variables]
    if unknown:
        raise DataError(
            f"{', '.join(unknown)}: no such tensor",
            facts=[f"the expression has {', '.join(e.variables) or 'no tensors'}"],
            hint="drop it, or correct the name",
        )
    dims = symbolic_extents([e.term, *variables])
    told = dict(sizes)
    for x in variables:
        if x.name in given:
            shape = given[x.name].shape
            told.update({d: n for d, n in zip(x.shape, shape, strict=False) if isinstance(d, str)})
    cholesky = symmetric_names(e.term)
    rng, draw = np.random.default_rng(7), random.Random(7)
    points = []
    for attempt in range(1 if len(given) == len(variables) else _ATTEMPTS):
        extents = {dim: told.get(dim, draw.randrange(2, 5)) for dim in dims}
        arrays = {
            x.name: given[x.name]
            if x.name in given
            else _drawn(
                x, extents, rng, attempt, assumed.get(x.name, frozenset()), x.name in cholesky
            )
            for x in variables
        }
        points.append(_Point(arrays, extents))
    return points


def _drawn(
    x: Variable,
    extents: Mapping[str, int],
    rng: np.random.Generator,
    attempt: int,
    words: frozenset[str],
    cholesky: bool,
) -> Array:
    shape = tuple(extents[d] if isinstance(d, str) else d for d in x.shape)
    value = rng.uniform(0.1, 0.9, size=shape)
    if attempt % 3 == 2 and not words & {"positive", "nonnegative"}:
        value = value * rng.choice([-1.0, 1.0], size=shape)
    if len(shape) > 1 and shape[-1] == shape[-2]:
        value = value + shape[-1] * np.eye(shape[-1])
        if cholesky or words & {"symmetric", "spd"}:
            value = (value + np.swapaxes(value, -1, -2)) / 2
    return value


def _untold(e: Expression, extents: Mapping[str, int]) -> dict[str, int]:
    """The extents that no tensor of an expression has."""
    dims = {d for shape in e.variables.values() for d in shape}
    wanted = symbolic_extents([e.term])
    return {dim: size for dim, size in extents.items() if dim in wanted and dim not in dims}
