"""How long until the first gradient, in a fresh process: ours against JAX.

    python benchmarks/first_gradient.py [--repeats 3] [--only P3] [--json FILE]

Out: milliseconds of import, parse, derive, compile (plan and emit) and first call; of JAX: import, and
trace, compile and run together. Every number is the median of fresh processes. The bar is on derive plus
compile: 10 ms for gradients, 30 ms for Hessians and Jacobians.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from harness import HERE, ONE_THREAD

BARS = {"grad": 10, "value and grad": 10, "hessian": 30, "jacobian": 30}
STEPS = ("import", "parse", "derive", "compile", "first call")


def ours(name: str) -> dict[str, float]:
    """Milliseconds by step, measured in this process, which must be fresh."""
    clock, found = time.perf_counter, {}
    import numpy  # noqa: F401  the floor of every program: not counted as ours

    start = clock()
    import einderiv as ed

    found["import"] = clock() - start
    from problems import PROBLEMS

    problem = next(p for p in PROBLEMS if p.name == name)
    size = problem.sizes[0]
    text, arrays = problem.text(size), problem.data(size)
    start = clock()
    e = ed.parse(text)
    found["parse"] = clock() - start
    start = clock()
    if problem.kind == "hessian":
        asked = [e.hessian(problem.wrt[0])]
    elif problem.kind == "jacobian":
        asked = [e.jacobian(problem.wrt[0])]
    else:
        gradients = e.grad(*problem.wrt)
        asked = list(gradients.values()) if isinstance(gradients, dict) else [gradients]
        asked = [e, *asked] if problem.kind == "value and grad" else asked
    found["derive"] = clock() - start
    start = clock()
    p = ed.compile(
        asked, structured=problem.structured, shapes={n: a.shape for n, a in arrays.items()}
    )
    _ = p.source  # planning and emitting happen on demand
    found["compile"] = clock() - start
    start = clock()
    p(**arrays)
    found["first call"] = clock() - start
    return {step: 1e3 * seconds for step, seconds in found.items()}


def jax(name: str) -> dict[str, float]:
    """The same for JAX: its import, then trace, compile and first run."""
    from problems import PROBLEMS

    problem = next(p for p in PROBLEMS if p.name == name)
    arrays = problem.data(problem.sizes[0])
    clock = time.perf_counter
    start = clock()
    import jax as _  # noqa: F401

    found = {"import": clock() - start}
    from systems import callables

    start = clock()
    next(iter(callables("jax", problem, arrays, problem.sizes[0]).values()))()
    found["first call"] = clock() - start
    return {step: 1e3 * seconds for step, seconds in found.items()}


def fresh(system: str, name: str) -> dict[str, float] | None:
    """One measurement in a process of its own; None where it cannot run."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", system, "--only", name],
        capture_output=True,
        text=True,
        env={**os.environ, **ONE_THREAD},
        check=False,
    )
    found: dict[str, float] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return found


def medians(found: list[dict[str, float]]) -> dict[str, float]:
    """Step by step."""
    return {step: median(f[step] for f in found) for step in found[0]} if found else {}


def main() -> None:
    """Table to the screen, rows to the file."""
    parser = argparse.ArgumentParser(description="Time to the first gradient, fresh processes.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--measure", choices=("ours", "jax"), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, default=HERE / "results" / "first_gradient.json")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps({"ours": ours, "jax": jax}[given.measure](given.only)))
        return
    from problems import PROBLEMS

    print(
        f"{'ms':15}"
        + "".join(f"{s:>11}" for s in STEPS)
        + f"{'JAX import':>12}{'JAX first':>11}  bar"
    )
    rows = []
    for problem in (p for p in PROBLEMS if p.name.startswith(given.only)):
        found: dict[str, list[dict[str, float]]] = {"ours": [], "jax": []}
        for _ in range(given.repeats):
            for system, kept in found.items():
                one = fresh(system, problem.name)
                if one is not None:
                    kept.append(one)
        mine, theirs = medians(found["ours"]), medians(found["jax"])
        rows.append({"problem": problem.name, "ours": mine, "jax": theirs})
        if not mine:
            print(f"{problem.name:15}  did not run")
            continue
        spent, bar = mine["derive"] + mine["compile"], BARS[problem.kind]
        times = "".join(f"{mine[step]:>11.1f}" for step in STEPS)
        peers = (
            f"{theirs['import']:>12.0f}{theirs['first call']:>11.0f}"
            if theirs
            else f"{'-':>12}{'-':>11}"
        )
        verdict = "met" if spent <= bar else "MISSED"
        print(f"{problem.name:15}{times}{peers}  {spent:.1f} of {bar}: {verdict}", flush=True)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
