"""The engine's derivative against numerical ones, as a number.

In: an expression, what to differentiate by, arrays. Out: the largest relative error.
Invariant: the numerical derivative uses values of the expression alone: it takes complex steps, which lose no
digits (Squire and Trapp 1998), or central differences if a function has no complex form.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..equality import floats, symmetric_names
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
    all but the last), good to about 1e-15; central differences, good to about 1e-9, if it is not
    holomorphic. Arrays not given are random, of extents 2 to 4 unless `sizes` or other arrays tell; of four
    such points the one that is least ill-conditioned counts.
    Raises DataError if no random arrays lie in the domain, DerivativeError as `diff` does.

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
    for tensors, extents in _points(e, given, dict(sizes or {})):

        def value(
            x: Array,
            of: Expression = before,
            tensors: Mapping[str, Array] = tensors,
            extents: Mapping[str, int] = extents,
        ) -> Array:
            dims = {d for shape in of.variables.values() for d in shape}  # these the arrays tell
            untold = [dim for dim in symbolic_extents([of.term]) if dim not in dims]
            return np.asarray(of({**tensors, name: x}, sizes={dim: extents[dim] for dim in untold}))

        try:
            derivative = value(tensors[name], after)
        except DataError:
            if len(given) == len(e.variables):
                raise
            continue  # a matrix that happens to be singular
        if not (np.isfinite(derivative).all() and np.abs(derivative).max(initial=0.0) < _WILD):
            continue
        numerical = numerical_derivative(value, tensors[name])
        if numerical is not None:
            scale = max(np.abs(x).max(initial=0.0) for x in (numerical, derivative))
            error = np.abs(derivative - numerical).max(initial=0.0)
            errors.append(float(error / scale) if scale else 0.0)
        if len(errors) == _POINTS:
            break
    if errors:  # some extents make a matrix singular; a wrong derivative is wrong at each point
        return min(errors)
    raise DataError(
        "the derivative could not be compared: no point gave finite values",
        hint="pass arrays of the expression's domain",
    )


def numerical_derivative(function: Function, x: Array) -> Array | None:
    """The derivative of `function` at `x`, axes of the value first; None if it is not finite."""
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


def _points(
    e: Expression, given: Mapping[str, Array], sizes: dict[str, int]
) -> Iterator[tuple[dict[str, Array], dict[str, int]]]:
    """Arrays to try, and extents: those given, the others drawn at random."""
    unknown = [name for name in given if name not in e.variables]
    if unknown:
        raise DataError(
            f"{', '.join(unknown)}: no such tensor",
            facts=[f"the expression has {', '.join(e.variables) or 'no tensors'}"],
            hint="drop it, or correct the name",
        )
    assumed = e._context.assumptions
    variables = [
        Variable(n, shape, assumed.get(n, frozenset())) for n, shape in e.variables.items()
    ]
    for name, value in given.items():
        pairs = zip(e.variables[name], value.shape, strict=False)
        sizes.update({dim: size for dim, size in pairs if isinstance(dim, str)})
    symmetric = symmetric_names([e.term, *variables])
    rng, draw = np.random.default_rng(7), random.Random(7)
    for attempt in range(1 if len(given) == len(variables) else _ATTEMPTS):
        dims = symbolic_extents([e.term, *variables])
        extents = {dim: sizes.get(dim, draw.randrange(2, 5)) for dim in dims}
        arrays = {
            x.name: given[x.name]
            if x.name in given
            else floats(x, extents, rng, attempt % 3 == 2, x.name in symmetric)
            for x in variables
        }
        yield arrays, extents
