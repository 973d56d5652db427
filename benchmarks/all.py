"""Every benchmark, one after the other: tables to the screen, JSON and a picture in `benchmarks/results/`.

    python benchmarks/all.py [--quick]

Out: derivatives (a), contraction patterns (b), time to the first gradient (c), growth (d), memory (e).
A part that is not there, or fails, is named at the end; the others run all the same.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import HERE, ONE_THREAD

RESULTS = HERE / "results"
PARTS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    # title, file, arguments, arguments when quick
    ("a  derivatives", "derivatives.py", (), ("--quick",)),
    ("b  contraction patterns", "patterns.py", (), ("--quick",)),
    ("c  time to the first gradient", "first_gradient.py", (), ("--repeats", "1", "--only", "P1")),
    ("d  growth", "growth.py", (), ()),
    ("e  memory", "memory.py", (), ("--only", "P3")),
)
COLOURS = {"expert": "#1b6ca8", "jax": "#d1495b"}


def picture(rows: list[dict[str, Any]], path: Path) -> str:
    """Times of the expert and of JAX over ours, one bar each, as PNG; a word where it cannot be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        return "no picture: matplotlib is not installed"
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [r for r in rows if "ours" in r["seconds"]]
    figure, axes = pyplot.subplots(figsize=(9, 1.6 + 0.28 * len(shown)))
    for place, row in enumerate(shown):
        for shift, (system, colour) in zip((-0.19, 0.19), COLOURS.items(), strict=True):
            if system not in row["seconds"]:
                continue
            ratio = row["seconds"][system] / row["seconds"]["ours"]
            label = system if system == "expert" else "JAX jit"
            new = label not in axes.get_legend_handles_labels()[1]
            axes.barh(
                place + shift, ratio - 1, 0.36, left=1, color=colour, label=label if new else None
            )
            text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"
            axes.annotate(
                text,
                (ratio, place + shift),
                (4 if ratio >= 1 else -4, 0),
                textcoords="offset points",
                ha="left" if ratio >= 1 else "right",
                va="center",
                fontsize=7,
                color="#444444",
            )
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(shown)), [f"{r['problem']}, {r['size']}" for r in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("time over the time of einderiv (right of the line: einderiv is faster)")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    axes.legend(frameon=False, loc="lower right")
    axes.set_title("Derivatives P1 to P10, one thread", loc="left", fontweight="bold")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    return f"picture in {path}"


def main() -> None:
    """Run the parts, then draw."""
    parser = argparse.ArgumentParser(description="All benchmarks, one after the other.")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    failed = []
    for title, file, arguments, quick in PARTS:
        print(f"\n{title}\n{'-' * len(title)}", flush=True)
        if not (HERE / file).exists():
            failed.append(f"{title}: {file} is not there")
            continue
        command = [sys.executable, str(HERE / file), *(quick if given.quick else arguments)]
        if subprocess.run(command, env={**os.environ, **ONE_THREAD}, check=False).returncode:
            failed.append(f"{title}: failed")
    rows = RESULTS / "derivatives.json"
    if rows.exists():
        print("\n" + picture(json.loads(rows.read_text()), RESULTS / "derivatives.png"))
    for line in failed:
        print(line)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
