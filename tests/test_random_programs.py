"""Random programs against JAX, and without it against NumPy and difference quotients.

Oracle: the meaning that `random_programs` builds from the same random choices, never from our parser; its
derivatives are JAX's in float64, else sixth-order central differences of the NumPy value.
A failure names its seed: `python benchmarks/fuzz.py --programs 1 --seed SEED` finds a smaller text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import einderiv as ed
from tests.random_programs import Program, random_program

SEEDS = 150
# XLA compiles each for a third of a second; benchmarks/fuzz.py runs thousands
JAX_SEEDS = range(1000, 1040)
# Both sides round in float64 and lose a few digits to sums, inverses and second derivatives of values
# below 300 (`random_programs.LARGEST`): 1e-8 leaves them seven digits of headroom, and any error of a
# sign, a factor or an index is far larger.
TOLERANCE = 1e-8
# Sixth-order differences with step 4e-3: truncation about h^6 = 4e-15 times a seventh derivative, which
# reaches 1e7 for nested functions; rounding 1e-16/h.
DIFFERENCES = 1e-5
STEP = 4e-3
SIXTH_ORDER = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))  # weights of f(x + kh) - f(x - kh)
ENTRIES = 3000  # of a derivative: larger ones only cost time

Array = Any
Wrt = tuple[str, ...]  # what is differentiated by: nothing (the value), one tensor, or two


def parsed(program: Program) -> ed.Expression:
    return ed.parse(program.text, shapes=program.shapes, assume=program.assume)


# ---------------------------------------------------------------- what is compared


def weights(shape: tuple[int, ...], phase: float) -> Array:
    """Numbers without pattern: what vanishes against them vanishes."""
    return np.cos(phase + 1.7 * np.arange(int(np.prod(shape))) ** 1.3).reshape(shape)


def names_of(program: Program) -> list[str]:
    return [name for name in program.tensors if name != "Zd"]


def questions(program: Program, order: int) -> list[Wrt]:
    """The value, every first derivative, and the second ones by one tensor and each, while small enough."""
    names = names_of(program)
    wanted: list[Wrt] = [(), *((name,) for name in names)]
    if order > 1 and names:
        second = names[program.seed % len(names)]
        wanted += [(name, second) for name in names]
    entries = int(np.prod(program.shape))
    return [w for w in wanted if entries * np.prod([program.arrays[n].size for n in w]) <= ENTRIES]


def projected(program: Program, wrt: Wrt, derivative: Array) -> Array:
    """A first derivative weighted over the result's axes; a second one also over the second tensor's."""
    if not wrt:
        return derivative
    derivative = np.tensordot(weights(program.shape, 0.3), derivative, axes=len(program.shape))
    for name in wrt[1:]:
        x = program.arrays[name]
        derivative = np.tensordot(derivative, weights(x.shape, 1.1), axes=x.ndim)
    return derivative


# ---------------------------------------------------------------- oracles


def difference_quotient(
    program: Program, f: Callable[..., Array], name: str, direction: Array
) -> Array:
    """The slope of `f` as one tensor moves along `direction`, in steps that cross no kink."""
    x, step = program.arrays[name], STEP
    here = program.branches()
    while (
        here
        and step > 1e-5
        and any(program.branches(**{name: x + k * step * direction}) != here for k in (-3, 3))
    ):
        step /= 2
    difference = sum(
        weight * sign * f(**{**program.arrays, name: x + sign * k * step * direction})
        for k, weight in SIXTH_ORDER
        for sign in (1, -1)
    )
    return difference / step


def by_differences(program: Program, order: int) -> dict[Wrt, Array]:
    """The value, and derivatives from its values at six points a step apart."""
    c = weights(program.shape, 0.3)
    results = {(): program.numpy()}
    for name in names_of(program):
        x = program.arrays[name]
        slopes = np.empty(x.shape)
        for place in np.ndindex(*x.shape):
            unit = np.zeros(x.shape)
            unit[place] = 1
            slope = difference_quotient(program, program.numpy, name, unit)
            slopes[place] = np.sum(c * slope)
        results[(name,)] = slopes
    return results


def by_jax(program: Program, order: int) -> dict[Wrt, Array]:
    """The value, its gradients, and the gradients' derivative along one direction: one program in XLA.

    Weighted sums (`projected`) instead of whole Jacobians and Hessians, which XLA takes long to compile.
    """
    jax, jnp, special = jax_modules()
    names = names_of(program)
    c = weights(program.shape, 0.3)
    second = names[program.seed % len(names)] if names else ""

    def value(arrays: dict[str, Array]) -> Array:
        return program.value(jnp, special, arrays)

    def gradient(arrays: dict[str, Array]) -> dict[str, Array]:
        return jax.grad(lambda arrays: jnp.sum(c * value(arrays)))(arrays)

    def everything(arrays: dict[str, Array]) -> tuple[Any, ...]:
        if order < 2 or not names:
            return value(arrays), gradient(arrays), {}
        v = {
            n: weights(x.shape, 1.1) if n == second else jnp.zeros_like(x)
            for n, x in arrays.items()
        }
        return value(arrays), *jax.jvp(gradient, (arrays,), (v,))

    arrays = {name: jnp.asarray(x) for name, x in program.arrays.items()}
    fast = {"xla_backend_optimization_level": 0}  # compiling costs, running does not
    first, gradients, along = jax.jit(everything, compiler_options=fast)(arrays)
    results: dict[Wrt, Array] = {(): np.asarray(first)}
    results |= {(n,): np.asarray(g) for n, g in gradients.items()}
    return results | {(n, second): np.asarray(h) for n, h in along.items()}


@cache
def jax_modules() -> tuple[Any, Any, Any]:
    import jax
    from jax.scipy import special

    jax.config.update("jax_enable_x64", True)
    return jax, jax.numpy, special


# ---------------------------------------------------------------- the comparisons


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
    oracle: Callable[[Program, int], dict[Wrt, Array]] | None,
    order: int = 2,
    tolerance: float = TOLERANCE,
    texts: Callable[[Program, ed.Expression, Array], list[str]] | None = None,
) -> list[str]:
    """Everything that is wrong with a program and its derivatives, in words; nothing for a right one."""
    found: list[str] = []
    right = oracle(program, order) if oracle is not None else {}
    what = "value"
    try:
        e = parsed(program)
        if e.indices != program.names:
            found.append(f"axes: {e.indices}, right: {program.names}")
        for wrt in questions(program, order):
            what = f"d/d{' '.join(wrt)}" if wrt else "value"
            d = e.diff(*wrt) if wrt else e
            ours = np.asarray(d(**program.arrays))
            if oracle is not None:
                error = distance(projected(program, wrt, ours), right[wrt])
                if not error <= tolerance:
                    found.append(f"{what}: off by {error:.1e}: {d}")
            if texts is not None:
                found += [f"{what}: {c}" for c in texts(program, d, ours)]
    except Exception as error:
        found.append(f"{type(error).__name__}: {what}: {error}")
    return found


def wrong_readings(program: Program, d: ed.Expression, value: Array) -> list[str]:
    """What is wrong with the meaning of an expression's text, and with its LaTeX."""
    found = []
    text = str(d)
    again = ed.parse(text, shapes=d.variables, assume=program.assume)
    if again.indices != d.indices:
        found.append(f"str is read back with axes {again.indices}, right {d.indices}: {text!r}")
    error = distance(again(**program.arrays), value)
    if not error <= TOLERANCE:
        found.append(f"str is read back to a value off by {error:.1e}: {text!r}")
    latex = d.latex()
    if not latex.strip() or not is_brace_balanced(latex):
        found.append(f"LaTeX is empty or unbalanced: {latex!r}")
    return found


def other_terms(program: Program, d: ed.Expression, value: Array) -> list[str]:
    """Whether an expression's text is read back to another term."""
    found = []
    text = str(d)
    again = ed.parse(text, shapes=d.variables, assume=program.assume)
    if again != d:
        found.append(f"str is read back as another expression: {text!r} -> {str(again)!r}")
    alone = ed.parse(text)
    if tells_the_same_extents(alone, d) and alone != d:
        found.append(f"str alone is read back as another expression: {text!r} -> {str(alone)!r}")
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
@pytest.mark.parametrize("seed", JAX_SEEDS)
def test_value_and_derivatives_to_order_two_agree_with_jax(seed):
    pytest.importorskip("jax")
    program = random_program(seed)
    found = complaints(program, by_jax)
    assert not found, f"seed {seed}\n{program.text}\n" + "\n".join(found)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_value_is_that_of_numpy_and_the_derivative_its_difference_quotient(seed):
    program = random_program(seed)
    e = parsed(program)
    assert e.indices == program.names, f"seed {seed}\n{program.text}"
    assert distance(e(**program.arrays), program.numpy()) <= TOLERANCE, (
        f"seed {seed}\n{program.text}"
    )
    for (name,) in (wrt for wrt in questions(program, 1) if wrt):
        d = e.diff(name)
        direction = weights(program.arrays[name].shape, 2.3)
        ours = np.tensordot(d(**program.arrays), direction, axes=direction.ndim)
        slope = difference_quotient(program, program.numpy, name, direction)
        assert distance(ours, slope) <= DIFFERENCES, f"seed {seed}, {name}\n{program.text}\n{d}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_second_derivative_is_the_difference_quotient_of_the_first(seed):
    program = random_program(seed)
    for wrt in questions(program, 2):
        if len(wrt) < 2:
            continue
        first, second = parsed(program).diff(wrt[0]), parsed(program).diff(*wrt)
        direction = weights(program.arrays[wrt[1]].shape, 1.1)
        slope = difference_quotient(program, first, wrt[1], direction)
        ours = projected(program, wrt, second(**program.arrays))
        theirs = projected(program, wrt[:1], slope)
        assert distance(ours, theirs) <= DIFFERENCES, (
            f"seed {seed}, {wrt}\n{program.text}\n{second}"
        )


@pytest.mark.parametrize("seed", range(SEEDS))
def test_text_of_a_program_and_its_derivatives_is_read_back_to_the_same_values(seed):
    program = random_program(seed)
    found = complaints(program, None, texts=wrong_readings)
    assert not found, f"seed {seed}\n{program.text}\n" + "\n".join(found)


def test_text_is_read_back_to_the_same_term_in_nine_of_ten_programs():
    # the others: second derivatives with sums of rank four and more, whose partial symmetries
    # canonical form does not search; they are read back to equal values (the test above)
    apart = [
        seed for seed in range(SEEDS) if complaints(random_program(seed), None, texts=other_terms)
    ]
    assert len(apart) <= 0.1 * SEEDS, f"seeds {apart}"


def test_a_seed_gives_the_same_program_every_time():
    first, second = random_program(7), random_program(7)
    assert first.text == second.text
    assert all(np.array_equal(first.arrays[name], second.arrays[name]) for name in first.arrays)


def test_the_programs_show_everything_that_the_notation_has():
    texts = "\n".join(random_program(seed).text for seed in range(400))
    wanted = (
        *("sum mean prod max min logsumexp softmax logsoftmax".split()),
        *("inv det logdet solve tr cholesky tril delta eps ones zeros size".split()),
    )
    assert [w for w in wanted if w + "[" not in texts] == []
    functions = (
        "exp expm1 log log1p sqrt sin cos tan asin acos atan sinh cosh tanh sigmoid softplus "
    )
    functions += "relu step sign abs erf erfc lgamma digamma atan2 max min where inv cholesky"
    assert [w for w in functions.split() if w + "(" not in texts] == []
    for piece in ("^2", "^-1", "**", "/", "1/2", "r0[", " == ", " <= ", " : ("):
        assert piece in texts
