# ruff: noqa: E501 - tables
"""Contraction patterns: ed.einsum against np.einsum and the best lowering written by hand.

    python benchmarks/patterns.py [--quick] [--json FILE]

Each row runs interleaved in one process on one thread; times are minima of medians. Ratios are ours to the
others: below 1 we are faster. Agreement is checked at 1e-8 before anything is timed.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import einderiv as ed

Lowering = Callable[..., Any]

# subscripts, shapes, the best lowering by hand (None: compared with np.einsum alone)
BY_HAND: list[tuple[str, list[tuple[int, ...]], Lowering | None]] = [
    ("ij,jk->ik", [(500, 500)] * 2, lambda a, b: a @ b),
    ("ij,kj->ik", [(500, 500)] * 2, lambda a, b: a @ b.T),
    ("ji,jk->ik", [(2000, 20), (2000, 20)], lambda a, b: a.T @ b),
    ("ij,kj->ki", [(500, 500)] * 2, lambda a, b: b @ a.T),
    ("ij,j->i", [(1000, 1000), (1000,)], lambda a, b: a @ b),
    ("ij,i->j", [(1000, 1000), (1000,)], lambda a, b: a.T @ b),
    ("i,ij,j->", [(1000,), (1000, 1000), (1000,)], lambda a, b, c: a @ b @ c),
    ("ij,ij->", [(700, 700)] * 2, lambda a, b: np.vdot(a, b)),
    ("ij,ji->", [(700, 700)] * 2, lambda a, b: np.einsum("ij,ji->", a, b)),
    ("i,j->ij", [(700,), (700,)], lambda a, b: np.einsum("i,j->ij", a, b)),
    ("ij,ij->ij", [(700, 700)] * 2, lambda a, b: a * b),
    ("ij,ji->ij", [(700, 700)] * 2, lambda a, b: a * b.T),
    ("i,ij->ij", [(700,), (700, 700)], lambda a, b: np.einsum("i,ij->ij", a, b)),
    ("j,ij->ij", [(700,), (700, 700)], lambda a, b: np.einsum("j,ij->ij", a, b)),
    ("ij,ij->i", [(700, 700)] * 2, lambda a, b: np.vecdot(a, b)),
    ("ij,ij->j", [(700, 700)] * 2, lambda a, b: np.einsum("ij,ij->j", a, b)),
    ("ij,ij,j->i", [(700, 700), (700, 700), (700,)], lambda a, b, c: np.vecdot(a * b, c)),
    ("ki,k,kj->ij", [(800, 300), (800,), (800, 300)], lambda a, b, c: (a.T * b) @ c),
    ("ij,ji->i", [(500, 500)] * 2, lambda a, b: np.einsum("ij,ji->i", a, b)),
    ("bij,bjk->bik", [(30, 60, 60)] * 2, lambda a, b: a @ b),
    ("ijb,jkb->ikb", [(60, 60, 30)] * 2, lambda a, b: (a.transpose(2, 0, 1) @ b.transpose(2, 0, 1)).transpose(1, 2, 0)),
    ("ibj,jbk->ibk", [(60, 30, 60)] * 2, lambda a, b: (a.transpose(1, 0, 2) @ b.transpose(1, 0, 2)).transpose(1, 0, 2)),
    ("bij,bj->bi", [(300, 60, 60), (300, 60)], lambda a, b: np.einsum("bij,bj->bi", a, b)),
    ("bij,jk->bik", [(30, 60, 60), (60, 60)], lambda a, b: a @ b),
    ("ij,bjk->bik", [(60, 60), (30, 60, 60)], lambda a, b: a @ b),
    ("bi,ijk,bk->bj", [(60, 40), (40, 40, 40), (60, 40)], None),
    ("bi,bj->bij", [(300, 50), (300, 50)], lambda a, b: np.einsum("bi,bj->bij", a, b)),
    ("bi,bi->b", [(3000, 50), (3000, 50)], lambda a, b: np.vecdot(a, b)),
    ("bi,bj->ij", [(3000, 50), (3000, 50)], lambda a, b: a.T @ b),
    ("bhik,bhjk->bhij", [(4, 8, 64, 32)] * 2, lambda a, b: a @ b.swapaxes(-1, -2)),
    ("bhij,bhjk->bhik", [(4, 8, 64, 64), (4, 8, 64, 32)], lambda a, b: a @ b),
    ("ii->i", [(500, 500)], lambda a: np.diagonal(a)),
    ("ii->", [(500, 500)], lambda a: np.trace(a)),
    ("bii->bi", [(50, 60, 60)], lambda a: np.diagonal(a, axis1=1, axis2=2)),
    ("ij->", [(700, 700)], lambda a: a.sum()),
    ("ij->j", [(700, 700)], lambda a: a.sum(0)),
    ("ij->i", [(700, 700)], lambda a: a.sum(1)),
    ("ij,k->i", [(300, 300), (300,)], lambda a, b: a.sum(1) * b.sum()),
    ("ij,jk->i", [(300, 300), (300, 300)], lambda a, b: a @ b.sum(1)),
    ("ijkl,klm->ijm", [(12, 12, 12, 12), (12, 12, 12)], lambda a, b: (a.reshape(144, 144) @ b.reshape(144, 12)).reshape(12, 12, 12)),
    ("ijk,jl->ilk", [(60, 60, 60), (60, 20)], lambda a, b: b.T @ a),
    ("ijk,il->ljk", [(60, 60, 60), (60, 20)], lambda a, b: (b.T @ a.reshape(60, 3600)).reshape(20, 60, 60)),
    ("ijk,kl->ijl", [(60, 60, 60), (60, 20)], lambda a, b: a @ b),
    ("ijk,jr,kr->ir", [(60, 60, 60), (60, 8), (60, 8)], lambda a, b, c: np.einsum("ijr,jr->ir", a @ c, b)),
    ("ir,jr,kr->ijk", [(50, 8)] * 3, lambda a, b, c: (a @ (b[:, None] * c).reshape(2500, 8).T).reshape(50, 50, 50)),
    ("ir,jr->ijr", [(100, 16)] * 2, lambda a, b: np.einsum("ir,jr->ijr", a, b)),
    ("abc,ai,bj,ck->ijk", [(12, 12, 12), (12, 40), (12, 40), (12, 40)], None),
    ("ij,jk,kl->il", [(200, 200)] * 3, lambda a, b, c: a @ b @ c),
    ("ij,jk,kl,l->i", [(300, 300)] * 3 + [(300,)], lambda a, b, c, d: a @ (b @ (c @ d))),
    ("ik,jk,ij->k", [(200, 100), (200, 100), (200, 200)], None),
]  # fmt: skip

# every pair of classes of labels, at tiny, odd and larger extents
PAIRS = [
    "i,i->", "i,i->i", "i,j->ij", "i,->i", "ij,j->i", "ij,i->j", "ij,i->ij", "ij,jk->ik", "ij,kj->ik",
    "ji,jk->ik", "ij,ij->", "ij,ij->i", "ij,ji->ij", "bij,bjk->bik", "bij,bkj->bik", "bij,bj->bi",
    "bi,bj->bij", "bi,bi->b", "ij,kl->ikjl", "ijk,kl->ijl", "ijk,jl->ilk", "ij,jk,kl->il", "ij,j,jk->ik",
    "i,ij,j->",
]  # fmt: skip
EXTENTS = (3, 17, 60)


def shapes_of(text: str, extent: int) -> list[tuple[int, ...]]:
    """Shapes with nearly the same extent for each label."""
    size = {label: extent + k % 2 for k, label in enumerate(sorted(set(text) - set(",->")))}
    return [tuple(size[x] for x in part) for part in text.partition("->")[0].split(",")]


def timed(functions: list[Callable[[], Any]], budget: float) -> list[float]:
    """Seconds of each, interleaved: the least of five medians."""
    for function in functions:
        function()
    start = time.perf_counter()
    functions[0]()
    count = max(
        3, min(2000, int(budget / 5 / len(functions) / (time.perf_counter() - start + 1e-7)))
    )
    best = [float("inf")] * len(functions)
    for _ in range(5):
        for k, function in enumerate(functions):
            start = time.perf_counter()
            for _ in range(count):
                function()
            best[k] = min(best[k], (time.perf_counter() - start) / count)
    return best


def row(
    text: str, shapes: list[tuple[int, ...]], hand: Lowering | None, budget: float
) -> dict[str, Any]:
    """One pattern: our time and the ratios."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in shapes]
    truth = np.einsum(text, *arrays, optimize=True)
    systems: dict[str, Callable[[], Any]] = {
        "ours": lambda: ed.einsum(text, *arrays),
        "optimized": lambda: np.einsum(text, *arrays, optimize=True),
    }
    if (
        np.prod(
            [
                float(n)
                for n in dict(
                    zip(
                        "".join(text.partition("->")[0].split(",")),
                        [n for s in shapes for n in s],
                        strict=True,
                    )
                ).values()
            ]
        )
        < 3e7
    ):
        systems["einsum"] = lambda: np.einsum(text, *arrays)
    if hand is not None:
        systems["hand"] = lambda: hand(*arrays)
    for name, run in systems.items():
        assert np.allclose(run(), truth, rtol=1e-8, atol=1e-8 * np.abs(truth).max()), (name, text)
    times = dict(zip(systems, timed(list(systems.values()), budget), strict=True))
    ratios = {f"to {name}": times["ours"] / t for name, t in times.items() if name != "ours"}
    return {"pattern": text, "shapes": shapes, "seconds": times["ours"], **ratios}


def main() -> None:
    """Run all patterns and print the table, misses marked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    budget = 0.1 if options.quick else 0.5
    cases = [*BY_HAND, *((text, shapes_of(text, n), None) for text in PAIRS for n in EXTENTS)]
    rows = []
    print(
        f"{'pattern':22}{'first shape':>18}{'ours':>10}{'/hand':>8}{'/optimized':>12}{'/einsum':>9}"
    )
    for text, shapes, hand in cases:
        found = row(text, shapes, hand, budget)
        rows.append(found)
        late = found.get("to hand", 0) > 1.1 or found["to optimized"] > 1.0
        cells = [
            f"{found[key]:.2f}" if key in found else "-"
            for key in ("to hand", "to optimized", "to einsum")
        ]
        first = "x".join(map(str, shapes[0]))
        print(
            f"{text:22}{first:>18}{found['seconds'] * 1e6:8.1f}us{cells[0]:>8}{cells[1]:>12}{cells[2]:>9}{'  MISSED' if late else ''}"
        )
    slower = sum(found["to optimized"] > 1.0 for found in rows)
    behind = sum(found.get("to hand", 0) > 1.1 for found in rows)
    print(
        f"{len(rows)} patterns: {slower} slower than np.einsum(optimize=True), {behind} over 1.1x of the hand lowering"
    )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
