"""Peak memory: ours as measured, as `cost` says beforehand, and of the naive form.

    python benchmarks/memory.py [--only P3] [--json FILE]

Out: megabytes that one call allocates at its peak beyond the arrays given (tracemalloc counts NumPy's), kept
buffers included; what `cost` predicts less the arrays given; the same for the hand-written and naive forms.
cost/ours is of the whole, arrays given included (the bar: 0.8 to 1.0).
"""

from __future__ import annotations

import argparse
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from problems import PROBLEMS, Arrays, Problem
from systems import asked

import einderiv as ed

LEAST_BYTES = 100_000  # below, Python's own objects are part of what is measured
MOST_SIZE = {"P4 hessian": 40}  # of others 1000: a dense result stays below 300 MB


def peak(call: Callable[[], Any]) -> int:
    """Bytes allocated at the peak of a call, result included, beyond those held before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = call()
        most = tracemalloc.get_traced_memory()[1] - before
        del result
    finally:
        tracemalloc.stop()
    return most


def extents(expressions: Any, arrays: Arrays) -> dict[str, int]:
    """The sizes of all symbolic extents, read off the arrays."""
    sizes: dict[str, int] = {}
    for e in expressions if isinstance(expressions, list) else [expressions]:
        for name, shape in e.variables.items():
            sizes.update(
                (n, s) for n, s in zip(shape, arrays[name].shape, strict=True) if isinstance(n, str)
            )
    return sizes


def row(problem: Problem, size: int) -> dict[str, Any]:
    """Measured, predicted and peers' bytes of one problem."""
    arrays, expressions = problem.data(size), asked(problem, size)
    p = ed.compile(expressions, structured=problem.structured)
    p(**arrays)  # planned
    inputs = sum(arrays[name].nbytes for name in p.arguments)
    p.release()  # its buffers are allocated anew, so they are counted
    measured = peak(lambda: p(**arrays))
    try:
        cost = p.cost(**extents(ed.parse(problem.text(size)), arrays)).peak_memory
        predicted: int | None = cost - inputs
    except ed.EinderivError:
        predicted = None
    naive = problem.naive
    return {
        "problem": problem.name,
        "size": size,
        "inputs": inputs,
        "ours": measured,
        "predicted": predicted,
        "expert": peak(lambda: problem.experts[0](arrays)),
        "naive": peak(lambda: naive(arrays)) if naive else None,
    }


def main() -> None:
    """Table to the screen, rows to the file."""
    parser = argparse.ArgumentParser(description="Peak memory of one call.")
    parser.add_argument("--only", default="")
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results" / "memory.json"
    )
    given = parser.parse_args()
    print(
        f"{'MB':15}{'size':>6}{'ours':>10}{'cost':>10}{'cost/ours':>11}{'expert':>10}{'naive':>10}"
    )
    rows = []
    for problem in (p for p in PROBLEMS if p.name.startswith(given.only)):
        size = max(s for s in problem.sizes if s <= MOST_SIZE.get(problem.name, 1000))
        found = row(problem, size)
        rows.append(found)
        print(shown(found), flush=True)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(rows, indent=1) + "\n")


def shown(found: dict[str, Any]) -> str:
    """One line of the table."""
    cells = [found[k] for k in ("ours", "predicted", "expert", "naive")]
    ours, predicted, expert, naive = (f"{c / 1e6:.3f}" if c is not None else "-" for c in cells)
    share, given = "-", found["inputs"]
    if found["predicted"] is not None and found["ours"] + given >= LEAST_BYTES:
        share = f"{(found['predicted'] + given) / (found['ours'] + given):.2f}"
    numbers = f"{ours:>10}{predicted:>10}{share:>11}{expert:>10}{naive:>10}"
    return f"{found['problem']:15}{found['size']:>6}{numbers}"


if __name__ == "__main__":
    main()
