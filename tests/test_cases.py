"""Published matrix derivatives: every case of tests/cases/matrix_calculus.json, in index notation.

Oracles: the case's own NumPy formula, and JAX on its `jax` field where JAX is installed.
Fields of a case: `index` (the expression), `wrt`, `order`, `wrt2`, `shapes`, `numpy` (the derivative), `jax`
(the expression as a function of the variables), `sample` (how to draw them), `source` (where published).
"""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einderiv as ed

Array = Any
Case = dict[str, Any]

CASES: list[Case] = json.loads(
    (Path(__file__).parent / "cases" / "matrix_calculus.json").read_text(encoding="utf-8")
)
INDEX = [case for case in CASES if case["index"]]
EXTENTS = {"m": 3, "n": 4, "p": 5, "q": 2, "r": 6, "s": 7}  # different: a misplaced axis shows

# The formulas are a few products and sums of well-conditioned arrays; both sides lose a few digits at most.
TOLERANCE = 1e-10

every_case = pytest.mark.parametrize("case", INDEX, ids=lambda case: case["id"])


def sample(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """An array as a case's `sample` field asks for."""
    a = rng.normal(size=shape)
    match kind:
        case "normal":
            return a
        case "pos":
            return rng.uniform(0.5, 2.0, size=shape)
        case "unit":
            return rng.uniform(0.1, 0.9, size=shape)
        case "sign":
            return np.where(a < 0, -1.0, 1.0)
        case "prob":
            x = rng.uniform(0.5, 2.0, size=shape)
            return x / x.sum()
        case "sym":
            return a + a.T
        case "spd":
            return a @ a.T + shape[0] * np.eye(shape[0])
        case "inv":
            return a + 2 * shape[0] * np.eye(shape[0])
    raise ValueError(kind)


def arrays_of(case: Case) -> dict[str, Array]:
    rng = np.random.default_rng(zlib.crc32(case["id"].encode()))  # the same for every run of a case
    kinds = case.get("sample", {})
    return {
        name: sample(kinds.get(name, "normal"), tuple(EXTENTS[d] for d in axes), rng)
        for name, axes in case["shapes"].items()
    }


def expected(case: Case, arrays: dict[str, Array]) -> Array:
    return np.asarray(eval(case["numpy"], {"np": np, **EXTENTS, **arrays}), dtype=float)


@cache
def derivative(number: int) -> ed.Expression:
    case = INDEX[number]
    e = ed.parse(case["index"], shapes=case["shapes"])
    if "wrt2" in case:
        return e.diff(case["wrt"], case["wrt2"])
    return e.diff(case["wrt"], order=case["order"])


def derivative_of(case: Case) -> ed.Expression:
    return derivative(INDEX.index(case))


def error(ours: Array, theirs: Array) -> float:
    """The largest difference, relative to the largest entry; infinite where shapes differ or NaN appears."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if ours.shape != theirs.shape:
        return np.inf
    if not theirs.size:
        return 0.0
    scale = float(np.max(np.abs(theirs))) or 1.0
    difference = float(np.max(np.abs(ours - theirs))) / scale
    return difference if np.isfinite(difference) else np.inf


def test_cases_have_an_index_form_and_names_of_their_own() -> None:
    assert len(INDEX) == len(CASES) > 100
    assert len({case["id"] for case in CASES}) == len(CASES)


@every_case
def test_derivative_has_the_published_value(case: Case) -> None:
    arrays = arrays_of(case)
    assert error(derivative_of(case)(arrays), expected(case, arrays)) <= TOLERANCE


@every_case
def test_program_runs_on_the_arrays_of_the_whole_expression_or_of_the_derivative_alone(
    case: Case,
) -> None:
    """Arrays that the derivative no longer depends on change nothing."""
    arrays, program = arrays_of(case), ed.compile(derivative_of(case))
    used = {step.name for step in program.program.inputs}
    alone = program({name: arrays[name] for name in used}, sizes=extents_of(case))
    assert np.array_equal(alone, program(arrays))


def extents_of(case: Case) -> dict[str, int]:
    return {dim: EXTENTS[dim] for axes in case["shapes"].values() for dim in axes}


@every_case
def test_text_of_the_derivative_reads_back_as_an_equal_expression(case: Case) -> None:
    d = derivative_of(case)
    back = ed.parse(str(d), shapes=case["shapes"])
    assert back.variables == d.variables
    assert back.indices == d.indices
    assert back == d
    assert hash(back) == hash(d)


@every_case
def test_text_of_the_derivative_reads_back_as_the_same_values(case: Case) -> None:
    d, arrays = derivative_of(case), arrays_of(case)
    back = ed.parse(str(d), shapes=case["shapes"])
    assert error(back(arrays), d(arrays)) <= 1e-13  # terms may be summed in another order


@every_case
def test_derivative_has_a_latex_form(case: Case) -> None:
    latex = derivative_of(case).latex()
    assert latex.strip()
    assert latex.count("{") == latex.count("}")


@pytest.mark.jax
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every_case
def test_case_agrees_with_automatic_differentiation(case: Case) -> None:
    """The published answer, not ours: a wrong case would make the tests above worthless."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    arrays = arrays_of(case)
    names = list(case["shapes"])
    f = eval(case["jax"], {"jnp": jax.numpy, "jax": jax, "np": np, **EXTENTS})
    wanted = [case["wrt"], case["wrt2"]] if "wrt2" in case else [case["wrt"]] * case["order"]
    for name in wanted:
        f = jax.jacfwd(f, argnums=names.index(name))
    theirs = f(*(jax.numpy.asarray(arrays[name]) for name in names))
    assert error(expected(case, arrays), theirs) <= 1e-9  # JAX's own solves and determinants
