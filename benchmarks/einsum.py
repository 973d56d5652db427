"""ed.einsum beside numpy.einsum, numpy.einsum(optimize=True) and opt_einsum.contract.

    python benchmarks/einsum.py [--seconds 0.2] [--json]

Out: one row an equation; ours in microseconds, the others as multiples of ours: above 1 is slower than ours.
Calls are interleaved in blocks and medians taken, so that a busy machine slows all alike.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import opt_einsum

from einderiv.programs.einsums import einsum

#  equation                       extents of its labels                         dtype
CASES = (
    ("ij,jk->ik",                 {"i": 3, "j": 3, "k": 3},                     "f8"),
    ("i,i->",                     {"i": 3},                                     "f8"),
    ("ij,j->i",                   {"i": 3, "j": 3},                             "f8"),
    ("i,j->ij",                   {"i": 3, "j": 3},                             "f8"),
    ("ii->i",                     {"i": 3},                                     "f8"),
    ("ij->",                      {"i": 3, "j": 3},                             "f8"),
    ("ij,jk,kl->il",              {"i": 3, "j": 3, "k": 3, "l": 3},             "f8"),
    ("ij,jk->ik",                 {"i": 3, "j": 3, "k": 3},                     "i8"),
    ("ij,jk->ik",                 {"i": 16, "j": 16, "k": 16},                  "f8"),
    ("ij,jk->ik",                 {"i": 32, "j": 32, "k": 32},                  "f4"),
    ("ij,jk->ik",                 {"i": 100, "j": 100, "k": 100},               "f8"),
    ("ij,jk->ki",                 {"i": 100, "j": 100, "k": 100},               "f8"),
    ("ji,jk->ik",                 {"i": 100, "j": 100, "k": 100},               "c16"),
    ("ij,jk->ik",                 {"i": 100, "j": 100, "k": 100},               "i8"),
    ("ij,jk->ik",                 {"i": 100, "j": 100, "k": 100},               "?"),
    ("ij,jk->ik",                 {"i": 300, "j": 300, "k": 300},               "f8"),
    ("ij,j->i",                   {"i": 300, "j": 300},                         "f8"),
    ("i,i->",                     {"i": 10_000},                                "f8"),
    ("ij,ij->",                   {"i": 300, "j": 300},                         "f8"),
    ("ij,ij->i",                  {"i": 300, "j": 300},                         "f8"),
    ("ij,ij->ij",                 {"i": 300, "j": 300},                         "f8"),
    ("i,ij->ij",                  {"i": 300, "j": 300},                         "f8"),
    ("i,j->ij",                   {"i": 300, "j": 300},                         "f8"),
    ("ij->j",                     {"i": 300, "j": 300},                         "f8"),
    ("bij,bjk->bik",              {"b": 100, "i": 10, "j": 10, "k": 10},        "f8"),
    ("bij,bj->bi",                {"b": 1000, "i": 3, "j": 3},                  "f8"),
    ("bij,bj->bi",                {"b": 100, "i": 30, "j": 30},                 "f8"),
    ("bhqd,bhkd->bhqk",           {"b": 4, "h": 4, "q": 32, "k": 32, "d": 16},  "f4"),
    ("bijk,bjkl->bil",            {"b": 8, "i": 16, "j": 8, "k": 8, "l": 16},   "f8"),
    ("ijk,jkl->il",               {"i": 20, "j": 20, "k": 20, "l": 20},         "f8"),
    ("ijk,kl->ijl",               {"i": 20, "j": 20, "k": 20, "l": 20},         "f8"),
    ("ijk,ilm->jklm",             {"i": 20, "j": 8, "k": 8, "l": 8, "m": 8},    "f8"),
    ("ij,kj,lk->il",              {"i": 40, "j": 40, "k": 40, "l": 40},         "f8"),
    ("ij,jk,k->i",                {"i": 100, "j": 100, "k": 100},               "f8"),
    ("i,ij,j->",                  {"i": 100, "j": 100},                         "f8"),
    ("ij,ik,jl,kl->",             {"i": 20, "j": 20, "k": 20, "l": 20},         "f8"),
    ("ai,bj,ck,ijk->abc",         {x: 12 for x in "abcijk"},                    "f8"),
    ("ij,jk,kl,lm,mn->in",        {x: 20 for x in "ijklmn"},                    "f8"),
    ("ij,jk,kl->il",              {x: 30 for x in "ijkl"},                      "i8"),
)  # fmt: skip


def rivals(text: str, arrays: list[np.ndarray]) -> dict[str, Callable[[], object]]:
    """The same call, four ways."""
    return {
        "ours": lambda: einsum(text, *arrays),
        "numpy": lambda: np.einsum(text, *arrays),
        "numpy optimize": lambda: np.einsum(text, *arrays, optimize=True),
        "opt_einsum": lambda: opt_einsum.contract(text, *arrays),
    }


def measured(calls: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Median microseconds a call, from interleaved blocks of about a millisecond."""
    repeats = {}
    for name, call in calls.items():
        call()
        start = perf_counter()
        call()
        repeats[name] = max(1, round(1e-3 / (perf_counter() - start + 1e-9)))
    found: dict[str, list[float]] = {name: [] for name in calls}
    end = perf_counter() + seconds
    while perf_counter() < end or len(found["ours"]) < 5:
        for name, call in calls.items():
            start = perf_counter()
            for _ in range(repeats[name]):
                call()
            found[name].append((perf_counter() - start) / repeats[name])
    return {name: 1e6 * median(times) for name, times in found.items()}


def main() -> None:
    """Print the table, or the rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.2, help="for one equation")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = []
    for text, extents, dtype in CASES:
        terms = text.partition("->")[0].split(",")
        arrays = [
            (2 * rng.standard_normal([extents[x] for x in term])).astype(dtype) for term in terms
        ]
        times = measured(rivals(text, arrays), options.seconds)
        rows.append({"equation": text, "extents": extents, "dtype": dtype, **times})
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(
        f"{'equation':22}{'dtype':6}{'ours us':>10}{'numpy':>9}{'optimize':>10}{'opt_einsum':>12}  extents"
    )
    for row in rows:
        ours = row["ours"]
        sizes = " ".join(map(str, row["extents"].values()))
        print(
            f"{row['equation']:22}{row['dtype']:6}{ours:10.2f}{row['numpy'] / ours:9.2f}"
            f"{row['numpy optimize'] / ours:10.2f}{row['opt_einsum'] / ours:12.2f}  {sizes}"
        )


if __name__ == "__main__":
    main()
