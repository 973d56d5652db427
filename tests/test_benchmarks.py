"""The benchmark's problems: every way to one derivative gives the same numbers; the harness counts right."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import derivatives
import harness
import memory
import systems
from problems import PROBLEMS, Problem, Target

SMALL = 6
EXACT_ENOUGH = 1e-9  # sums of a few hundred products, in another order
NAMES = [problem.name for problem in PROBLEMS]


def size_of(problem: Problem) -> int:
    return 3 if problem.group == "P10" else SMALL


@pytest.mark.parametrize("system", ["ours", "expert", "naive", "einsum", "oe", "jax"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=NAMES)
def test_all_ways_agree_with_the_hand_written_form(problem: Problem, system: str) -> None:
    if system == "jax":
        pytest.importorskip("jax")
    size = size_of(problem)
    arrays = problem.data(size)
    if system == "expert" and problem.structured:
        pytest.skip("the expert computes the core alone")
    for variant, call in systems.callables(system, problem, arrays, size).items():
        assert systems.difference(call(), problem.truth(arrays)) < EXACT_ENOUGH, variant


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if p.kind == "grad"], ids=lambda p: p.name)
def test_hand_written_gradients_agree_with_central_differences(problem: Problem) -> None:
    size = size_of(problem)
    arrays = problem.data(size)
    rng = np.random.default_rng(7)
    directions = {name: rng.normal(size=arrays[name].shape) for name in problem.wrt}
    ed = systems.ed
    value = ed.compile(ed.parse(problem.text(size)))
    step = 1e-6

    def at(t: float) -> float:
        return float(
            value(**{n: a + t * directions[n] if n in directions else a for n, a in arrays.items()})
        )

    slope = (at(step) - at(-step)) / (2 * step)
    found = problem.truth(arrays)
    gradients = found if isinstance(found, list) else [found]
    expected = sum(
        float(np.sum(g * directions[n])) for g, n in zip(gradients, problem.wrt, strict=True)
    )
    assert slope == pytest.approx(expected, rel=1e-5, abs=1e-5)  # the step's own rounding


def test_arrays_are_the_same_in_every_process() -> None:
    for problem in PROBLEMS:
        first, second = problem.data(size_of(problem)), problem.data(size_of(problem))
        assert all(np.array_equal(first[name], second[name]) for name in first)


def test_blocked_forms_agree_where_blocks_apply() -> None:
    for name, size in (("P1 grad", 100), ("P3 grad", 100), ("P7 grad", 50)):
        problem = next(p for p in PROBLEMS if p.name == name)
        arrays = problem.data(size)
        for form in problem.experts:
            assert systems.difference(form(arrays), problem.truth(arrays)) < EXACT_ENOUGH


def test_difference_is_relative_and_infinite_for_another_shape() -> None:
    truth = np.array([100.0, 0.0])
    assert systems.difference(np.array([101.0, 0.0]), truth) == pytest.approx(0.01)
    assert systems.difference([truth, truth + 50], [truth, truth]) == pytest.approx(0.5)
    assert systems.difference(np.ones((2, 1)), truth) == np.inf


def test_a_sample_is_filled_and_bounded() -> None:
    assert harness.fill(harness.SAMPLE_SECONDS / 4) == 4
    assert harness.fill(10.0) == 1
    assert harness.fill(0.0) == 10_000


def test_ratios_are_times_of_the_other_over_ours() -> None:
    row = harness.Row("P", 1, {"ours": 2.0, "jax": 7.0})
    assert row.ratio("jax") == 3.5
    assert row.ratio("torch") is None


def test_the_verdict_holds_the_plain_form_where_the_bar_is_for_it() -> None:
    base = PROBLEMS[0]
    row = harness.Row(base.name, 100, {"ours": 0.7, "expert": 0.5, "jax": 1.0}, plain=1.0)
    assert base.target == Target(0.8, 1.3, plain=True)
    assert derivatives.verdict(base, row) == (
        "0.70x plain (at most 0.8): met; 1.43x JAX (at least 1.3): met"
    )
    row.seconds["jax"] = 0.7
    assert derivatives.verdict(base, row).endswith("1.00x JAX (at least 1.3): MISSED")


def test_durations_are_in_the_unit_a_reader_takes() -> None:
    assert [derivatives.duration(s) for s in (2.5, 0.0123, 4e-6, 5e-8)] == [
        "2.5 s",
        "12.3 ms",
        "4 us",
        "50 ns",
    ]


def test_a_worker_answers_with_agreement_and_seconds() -> None:
    row = harness.measure("P10 quad", 3, ("ours", "expert", "naive"), repeats=3, seconds=1.0)
    assert row.words == {"naive": "no such form"}
    assert set(row.seconds) == {"ours", "expert"} and min(row.seconds.values()) > 0
    assert max(row.errors.values()) < harness.TOLERANCE
    assert row.plain is not None


def test_peak_counts_the_largest_array_alive() -> None:
    found = memory.peak(lambda: np.ones(100_000).sum())
    assert 800_000 <= found < 810_000
