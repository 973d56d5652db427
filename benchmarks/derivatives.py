"""The derivatives of P1 to P10 against everything else, as one table.

    python benchmarks/derivatives.py [--quick] [--only P3] [--systems ours,expert,jax] [--json FILE]

Out: seconds of ours, and for every other system how many times longer it takes; whether the bar is met.
A ratio above 1 says that ours is faster. `--quick` takes one size and few samples: about a minute.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from harness import HERE, Row, measure, saved
from problems import PROBLEMS, Problem
from systems import SYSTEMS

QUICK_SYSTEMS = ("ours", "expert", "jax")


def verdict(problem: Problem, row: Row) -> str:
    """Whether the bars are met, with the numbers; empty if there are none at this size."""
    target, words = problem.target, []
    if "ours" not in row.seconds or row.size < target.least:
        return ""
    expert = row.plain if target.plain else row.seconds.get("expert")
    if target.expert is not None and expert:
        reached = row.seconds["ours"] / expert
        name = "plain" if target.plain else "expert"
        met = "met" if reached <= target.expert else "MISSED"
        words.append(f"{reached:.2f}x {name} (at most {target.expert}): {met}")
    faster = row.ratio("jax")
    if target.jax is not None and faster is not None:
        met = "met" if faster >= target.jax else "MISSED"
        words.append(f"{_short(faster)}x JAX (at least {target.jax:g}): {met}")
    return "; ".join(words)


def _short(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"


def duration(seconds: float) -> str:
    """`12.3 us`, `4.56 ms`, `1.23 s`."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e9:.3g} ns"


def line(problem: Problem, row: Row, systems: tuple[str, ...]) -> str:
    """One row of the table."""
    ours = duration(row.seconds["ours"]) if "ours" in row.seconds else "-"
    ratios = "".join(f"{_short(row.ratio(s)):>10}" for s in systems if s != "ours")
    wrong = [f"{s}: {w}" for s, w in row.words.items() if "WRONG" in w or ":" in w or s == "ours"]
    return f"{row.problem:15}{row.size:>6}{ours:>10}{ratios}  {'; '.join([verdict(problem, row), *wrong])}"


def quick_size(problem: Problem) -> int:
    """The size in the middle, or the smallest that has a bar."""
    barred = [size for size in problem.sizes if size >= max(problem.target.least, 1)]
    return barred[0] if problem.target.least else problem.sizes[(len(problem.sizes) - 1) // 2]


def run(only: str | None, systems: tuple[str, ...], quick: bool, budget: float) -> list[Row]:
    """All rows, printed as they come; a row gets its share of what is left of the budget."""
    chosen = [p for p in PROBLEMS if not only or p.name.startswith(only)]
    tasks = [(p, s) for p in chosen for s in ((quick_size(p),) if quick else p.sizes)]
    if "OPENBLAS_CORETYPE" in os.environ:
        print(
            f"note: OPENBLAS_CORETYPE={os.environ['OPENBLAS_CORETYPE']}: not the kernels of this CPU"
        )
    print(f"{'problem':15}{'size':>6}{'ours':>10}", end="")
    print("".join(f"{s:>10}" for s in systems if s != "ours") + "  bars (times are ratios to ours)")
    rows, end = [], time.perf_counter() + budget
    for k, (problem, size) in enumerate(tasks):
        share = (end - time.perf_counter()) / (len(tasks) - k)
        row = measure(problem.name, size, systems, 7 if quick else 15, max(0.2, share * 0.4))
        rows.append(row)
        print(line(problem, row, systems), flush=True)
    return rows


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Derivatives of P1 to P10, side by side.")
    parser.add_argument("--quick", action="store_true", help="one size each, fewer samples")
    parser.add_argument("--only", help="P3, or 'P3 hessian'")
    parser.add_argument("--systems", help="comma separated, of " + ", ".join(SYSTEMS))
    parser.add_argument("--json", type=Path, default=HERE / "results" / "derivatives.json")
    return parser.parse_args(arguments)


def main() -> None:
    """Table to the screen, rows to the file."""
    given = parsed()
    systems = tuple(given.systems.split(",")) if given.systems else SYSTEMS
    if given.quick and not given.systems:
        systems = QUICK_SYSTEMS
    rows = run(given.only, systems, given.quick, 60 if given.quick else 480)
    saved(rows, given.json)
    print(f"rows in {given.json}")


if __name__ == "__main__":
    main()
