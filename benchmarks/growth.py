"""How derivatives grow: nodes and seconds against layers, depth and length.

    python benchmarks/growth.py [--json]

Out: a table; nodes do not depend on the machine, seconds do. Peak memory is the process's own.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable

import einderiv as ed
from einderiv.terms.walk import postorder


def network(layers: int, residual: bool = False) -> str:
    """The squared output of a tanh network with one weight matrix a layer."""
    lines = ["h0[i] = x[i]"]
    for k in range(1, layers + 1):
        skip = f"h{k - 1}[i] + " if residual else ""
        lines.append(f"h{k}[i] = {skip}tanh(W{k}[i,j]*h{k - 1}[j])")
    return "\n".join([*lines, f"h{layers}[i]*h{layers}[i]"])


def all_weights(layers: int, residual: bool = False) -> Callable[[], int]:
    """Nodes of the gradients by all weights."""

    def measure() -> int:
        e = ed.parse(network(layers, residual))
        gradients = e.grad(*(f"W{k}" for k in range(1, layers + 1)), "x")
        return len(postorder([g.term for g in gradients.values()]))

    return measure


def repeated_squares(times: int) -> Callable[[], int]:
    """e <- e*e + sin(e): a tree of 2^times leaves, a graph of a few nodes."""

    def measure() -> int:
        lines = [
            "e0 = x",
            *(f"e{k} = e{k - 1}*e{k - 1} + sin(e{k - 1})" for k in range(1, times + 1)),
        ]
        return len(postorder([ed.parse("\n".join(lines)).diff("x").term]))

    return measure


def nested_sines(depth: int) -> Callable[[], int]:
    """sin(sin(... x ...))."""

    def measure() -> int:
        e = ed.parse("sin(" * depth + "x" + ")" * depth)
        return len(postorder([e.diff("x").term]))

    return measure


def parsed(text: str) -> Callable[[], int]:
    """Reading alone."""
    return lambda: len(postorder([ed.parse(text).term]))


QUESTIONS: dict[str, Callable[[], int]] = {
    "tanh network, 10 layers": all_weights(10),
    "tanh network, 100 layers": all_weights(100),
    "tanh network, 1,000 layers": all_weights(1000),
    "residual network, 20 layers": all_weights(20, residual=True),
    "e*e + sin(e), 14 times": repeated_squares(14),
    "10,000 nested sines": nested_sines(10_000),
    "100,000 nested sines": nested_sines(100_000),
    "parse 100,000 nested parentheses": parsed("(" * 100_000 + "x" + ")" * 100_000),
    "parse 1 MB of products": parsed("*".join(f"a{k % 500}" for k in range(200_000))),
    "parse 1 MB of terms": parsed(
        " + ".join(f"A{k % 50}[i,j]*x{k % 37}[j]" for k in range(60_000))
    ),
}


def main() -> None:
    """Run every question once and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    ed.parse("x").diff("x")  # the grammar's tables and the rules are made once
    rows = []
    for name, measure in QUESTIONS.items():
        start = time.perf_counter()
        nodes = measure()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        rows.append(
            {"question": name, "nodes": nodes, "seconds": round(seconds, 3), "peak_mib": peak}
        )
    if chosen.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(
            f"{row['question']:36}{row['nodes']:>9,} nodes{row['seconds']:>9.3f} s{row['peak_mib']:>7} MiB"
        )


if __name__ == "__main__":
    main()
