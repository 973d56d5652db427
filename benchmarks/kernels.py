"""All kernels of the table, timed for each pattern: which is the fastest, which is chosen, what that costs.

    python benchmarks/kernels.py [--pattern "ij,jk->ik"] [--json FILE]

One thread, kernels of a pattern interleaved, the least of five medians, arrays in C's order. A row is marked
where the chosen kernel takes more than 1.15 times the time of the fastest and more than 0.3 us longer. The
constants of `einderiv/programs/compiler/kernels.py` are fitted to this table.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.test_kernels import PATTERNS, labels_of, program_of

from benchmarks.patterns import timed
from einderiv.programs.backends.numpy import function_of
from einderiv.programs.compiler.kernels import best_kernel, serving

SHAPES = (3, 17, 60, 300, 1000)  # the extent of each label
THIN = 5  # the extent of one label, the others being large
MOST_POINTS = 3e8
MOST_ENTRIES = 2e7


def extents_of(text: str) -> list[dict[str, int]]:
    """Equal extents of several sizes, and one label thin at a time."""
    names = sorted({x for x in text if x.isalpha()})
    found = [dict.fromkeys(names, size) for size in SHAPES]
    for size in (60, 300, 1000):
        found += [{x: THIN if x == thin else size for x in names} for thin in names]
    kept = []
    for extents in found:
        terms = text.replace("->", ",").split(",")
        entries = max(np.prod([float(extents[x]) for x in term]) for term in terms)
        if entries <= MOST_ENTRIES and np.prod([float(n) for n in extents.values()]) <= MOST_POINTS:
            kept.append(extents)
    return kept


def row(text: str, extents: dict[str, int]) -> dict[str, Any] | None:
    """Seconds of each kernel that serves the pattern, and the name of the chosen one."""
    labels, output = labels_of(text)
    known = {ord(x): size for x, size in extents.items()}
    names = serving(labels, output, known)
    if len(names) < 2:
        return None
    rng = np.random.default_rng(0)
    terms = text.partition("->")[0].split(",")
    arrays = [np.asarray(rng.normal(size=[extents[x] for x in term])) for term in terms]
    runs: list[Callable[[], Any]] = []
    for name in names:
        run, wanted = function_of(program_of(text, name))
        sizes = [extents[x] for x in wanted]
        runs.append(lambda run=run, sizes=sizes: run(*arrays, np.dtype(float), *sizes))
    seconds = dict(zip(names, timed(runs, 0.02 * len(runs)), strict=True))
    return {
        "pattern": text,
        "extents": extents,
        "chosen": best_kernel(labels, output, known),
        "seconds": seconds,
    }


def main() -> None:
    """Time all patterns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pattern", action="append")
    parser.add_argument("--json")
    options = parser.parse_args()
    rows = []
    late = 0
    for text in options.pattern or PATTERNS:
        for extents in extents_of(text):
            found = row(text, extents)
            if found is None:
                continue
            rows.append(found)
            seconds = found["seconds"]
            best = min(seconds, key=lambda name: seconds[name])
            own = seconds[found["chosen"]]
            is_late = own > 1.15 * seconds[best] and own - seconds[best] > 3e-7
            late += is_late
            sizes = " ".join(f"{x}={n}" for x, n in extents.items())
            told = "  ".join(
                f"{name} {t * 1e6:.1f}" for name, t in sorted(seconds.items(), key=lambda x: x[1])
            )
            mark = f"CHOSEN {found['chosen']} {own / seconds[best]:.2f}x" if is_late else ""
            print(f"{text:14} {sizes:28} {told} us  {mark}", flush=True)
    print(f"{len(rows)} rows: {late} where another kernel than the chosen one is faster")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
