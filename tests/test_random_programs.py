"""Random programs against JAX, and without it against NumPy and difference quotients.

Oracle: the meaning that `random_programs` builds from the same random choices, never from our parser; its
derivatives are JAX's (float64, eager), else sixth-order central differences of the NumPy value.
A failure names its seed: `python benchmarks/fuzz.py --programs 1 --seed SEED` finds a smaller text.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import einderiv as ed
from tests.random_programs import Program, random_program

SEEDS = 150
# Both sides round in float64 and lose a few digits to sums, inverses and second derivatives of values
# below 300 (`random_programs.LARGEST`): 1e-8 leaves them seven digits of headroom, and any error of a
# sign, a factor or an index is far larger.
TOLERANCE = 1e-8
# Sixth-order differences with step 4e-3: truncation about h^6 = 4e-15 times a seventh derivative, which
# reaches 1e7 for nested functions; rounding 1e-16/h.
DIFFERENCES = 1e-5
STEP = 4e-3
ENTRIES = 1500  # of a derivative: larger ones only cost time

Array = Any
Oracle = Callable[[Program, tuple[str, ...]], Array]


def parsed(program: Program) -> ed.Expression:
    return ed.parse(program.text, shapes=program.shapes, assume=program.assume)


# ---------------------------------------------------------------- oracles


def by_differences(program: Program, wrt: tuple[str, ...]) -> Array:
    """The first derivative by `wrt[0]` from values at six points a step apart; the value for no name."""
    if not wrt:
        return program.numpy()
    (name,) = wrt
    x = program.arrays[name]
    columns = []
    for place in np.ndindex(*x.shape):
        unit = np.zeros(x.shape)
        unit[place] = STEP
        column = 0.0
        for k, weight in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60)):
            above, below = (program.numpy(**{name: x + sign * k * unit}) for sign in (1, -1))
            column = column + weight * (above - below) / STEP
        columns.append(column)
    return np.moveaxis(np.array(columns), 0, -1).reshape((*program.shape, *x.shape))


@cache
def _jax() -> tuple[Any, Any, Any]:
    import jax
    from jax.scipy import special

    jax.config.update("jax_enable_x64", True)
    return jax, jax.numpy, special


def by_jax(program: Program, wrt: tuple[str, ...]) -> Array:
    """The value, or its derivative by each name of `wrt` in turn, in JAX's float64."""
    jax, jnp, special = _jax()
    names = tuple(dict.fromkeys(wrt))
    rest = {name: jnp.asarray(x) for name, x in program.arrays.items() if name not in names}

    def f(*arrays: Array) -> Array:
        return program.value(jnp, special, {**rest, **dict(zip(names, arrays, strict=True))})

    for k, name in enumerate(
        wrt
    ):  # the first from behind where the result is a scalar, then forward
        mode = jax.jacrev if k == 0 and not program.shape else jax.jacfwd
        f = mode(f, argnums=names.index(name))
    return np.asarray(f(*(jnp.asarray(program.arrays[name]) for name in names)))


# ---------------------------------------------------------------- the comparisons


def derivatives_worth(program: Program, order: int) -> list[tuple[str, ...]]:
    """Names to differentiate by: the value, each variable, pairs of variables, while small enough."""
    names = [name for name in program.tensors if name != "Zd"]
    wanted: list[tuple[str, ...]] = [(), *((name,) for name in names)]
    if order > 1 and int(np.prod(program.shape)) <= 4:
        pairs = [(a, b) for k, a in enumerate(names) for b in names[k:]]
        wanted += pairs[:: max(1, len(pairs) // 4)]  # about four of them
    size = {name: program.arrays[name].size for name in names}
    return [
        w for w in wanted if int(np.prod(program.shape)) * np.prod([size[n] for n in w]) <= ENTRIES
    ]


def distance(ours: Array, theirs: Array) -> float:
    """The largest difference, as a part of the largest entry if that is above one; inf for shapes or NaN."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return np.inf
    if not theirs.size:
        return 0.0
    error = np.max(np.abs(ours - theirs)) / max(1.0, np.max(np.abs(theirs)))
    return float(np.inf if np.isnan(error) else error)


def is_brace_balanced(latex: str) -> bool:
    depth = 0
    for sign in re.sub(r"\\[{}\\]", "", latex):
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            return False
    return depth == 0 and latex.count(r"\left") - latex.count(r"\leftarrow") == latex.count(
        r"\right"
    )


def complaints(
    program: Program,
    oracle: Oracle | None,
    order: int = 2,
    tolerance: float = TOLERANCE,
    printed: bool = True,
) -> list[str]:
    """Everything that is wrong with a program and its derivatives, in words; nothing for a right one."""
    found: list[str] = []
    try:
        e = parsed(program)
        if e.indices != program.names:
            found.append(f"axes: {e.indices}, right: {program.names}")
        for wrt in derivatives_worth(program, order):
            what = f"d/d{' '.join(wrt)}" if wrt else "value"
            d = e.diff(*wrt) if wrt else e
            ours = d(**program.arrays)
            if oracle is not None:
                theirs = oracle(program, wrt)
                error = distance(ours, theirs)
                if not error <= tolerance:
                    found.append(f"{what}: off by {error:.1e}: {d}")
            if printed:
                found += [f"{what}: {c}" for c in printing_complaints(program, d, ours)]
    except Exception as error:
        found.append(f"{type(error).__name__}: {error}")
    return found


def printing_complaints(program: Program, d: ed.Expression, value: Array) -> list[str]:
    """What is wrong with the texts of one expression."""
    found = []
    text = str(d)
    again = ed.parse(text, shapes=d.variables, assume=program.assume)
    if again != d:
        found.append(f"str is read back as another expression: {text!r} -> {str(again)!r}")
    if again.indices != d.indices:
        found.append(f"str is read back with axes {again.indices}, right {d.indices}: {text!r}")
    error = distance(again(**program.arrays), value)
    if not error <= TOLERANCE:
        found.append(f"str is read back to a value off by {error:.1e}: {text!r}")
    alone = ed.parse(text)
    if tells_the_same_extents(alone, d) and alone != d:
        found.append(f"str alone is read back as another expression: {text!r} -> {str(alone)!r}")
    latex = d.latex()
    if not latex.strip() or not is_brace_balanced(latex):
        found.append(f"LaTeX is empty or unbalanced: {latex!r}")
    return found


def tells_the_same_extents(alone: ed.Expression, d: ed.Expression) -> bool:
    """Do the tensors of a text, read without `shapes=`, share extents as those of `d` do?

    `sum[i,j](A[i,j])` cannot tell that A is square, nor that it has 3 rows.
    """
    pairs = {
        pair
        for name, shape in {**alone.variables, "": alone.shape}.items()
        for pair in zip(shape, {**d.variables, "": d.shape}[name], strict=True)
    }
    firsts, seconds = {a for a, _ in pairs}, {b for _, b in pairs}
    numbers_agree = all(a == b for a, b in pairs if isinstance(a, int) or isinstance(b, int))
    return numbers_agree and len(pairs) == len(firsts) == len(seconds)


@pytest.mark.jax
@pytest.mark.parametrize("seed", range(SEEDS))
def test_value_and_derivatives_to_order_two_agree_with_jax(seed):
    pytest.importorskip("jax")
    program = random_program(seed)
    found = complaints(program, by_jax, printed=False)
    assert not found, f"seed {seed}\n{program.text}\n" + "\n".join(found)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_value_and_gradient_agree_with_difference_quotients(seed):
    program = random_program(seed)
    found = complaints(program, by_differences, order=1, tolerance=DIFFERENCES, printed=False)
    assert not found, f"seed {seed}\n{program.text}\n" + "\n".join(found)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_second_derivative_is_the_difference_quotient_of_the_first(seed):
    program = random_program(seed)
    for wrt in derivatives_worth(program, 2):
        if len(wrt) < 2:
            continue
        first, second = parsed(program).diff(wrt[0]), parsed(program).diff(*wrt)
        x = program.arrays[wrt[1]]
        direction = np.cos(1.0 + np.arange(x.size)).reshape(x.shape)
        slope = sum(
            weight
            * sign
            * first(**{**program.arrays, wrt[1]: x + sign * k * STEP * direction})
            / STEP
            for k, weight in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
            for sign in (1, -1)
        )
        ours = np.tensordot(second(**program.arrays), direction, axes=x.ndim)
        assert distance(ours, slope) <= DIFFERENCES, f"seed {seed}, {wrt}\n{program.text}\n{second}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_text_of_a_program_and_its_derivatives_is_read_back_to_the_same(seed):
    program = random_program(seed)
    found = complaints(program, None)
    assert not found, f"seed {seed}\n{program.text}\n" + "\n".join(found)


def test_a_seed_gives_the_same_program_every_time():
    first, second = random_program(7), random_program(7)
    assert first.text == second.text
    assert all(np.array_equal(first.arrays[name], second.arrays[name]) for name in first.arrays)


def test_the_programs_show_everything_that_the_notation_has():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        texts = "\n".join(random_program(seed).text for seed in range(400))
    wanted = (
        *("sum mean prod max min logsumexp softmax logsoftmax".split()),
        *("inv det logdet solve tr cholesky tril delta eps ones zeros size".split()),
    )
    assert [w for w in wanted if w + "[" not in texts] == []
    functions = "exp expm1 log log1p sqrt sin cos tan asin acos atan sinh cosh tanh sigmoid softplus relu step "
    functions += "sign abs erf erfc lgamma digamma atan2 max min where inv cholesky"
    assert [w for w in functions.split() if w + "(" not in texts] == []
    for piece in ("^2", "^-1", "**", "/", "1/2", "r0[", " == ", " <= ", " : ("):
        assert piece in texts
