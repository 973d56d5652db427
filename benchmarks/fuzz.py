"""Random programs by the thousand against JAX, orders 1 and 2, and every disagreement made small.

    python benchmarks/fuzz.py --programs 2000 --seed 0

Out: counts, and for each disagreement its seed, the smallest text found, the arrays' shapes, what is wrong.
Exit status 1 where there is any. What is printed is read back and evaluated too; `--texts terms` wants the
same term.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.random_programs import Program, random_program
from tests.test_random_programs import (
    by_differences,
    by_jax,
    complaints,
    other_terms,
    questions,
    wrong_readings,
)


def kind(found: list[str]) -> str:
    """What a list of complaints is about: an error's type, or the quantity and what is wrong with it."""
    first = found[0].split(": ")
    return (
        first[0]
        if "Error" in first[0]
        else ("value: " if first[0] == "value" else "derivative: ")
        + (" ".join(first[1].split()[:4]) if "off by" not in first[1] else "off")
    )


def smallest(program: Program, check, budget: float = 20.0) -> tuple[Program, list[str]]:
    """The shortest program reached by leaving out pieces while the complaint stays of its kind."""
    found = check(program)
    wanted, end = kind(found), time.monotonic() + budget
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for smaller in sorted(program.smaller(), key=lambda p: len(p.text)):
            if time.monotonic() > end:
                break
            if len(smaller.text) >= len(program.text) and smaller.mode == program.mode:
                continue
            sampled = smaller.sampled()
            if sampled is None:
                continue
            again = check(sampled)
            if again and kind(again) == wanted:
                program, found, progress = sampled, again, True
                break
    return program, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--order", type=int, default=2, choices=(1, 2))
    parser.add_argument("--oracle", choices=("jax", "differences", "none"), default="jax")
    parser.add_argument(
        "--texts",
        choices=("none", "values", "terms"),
        default="values",
        help="what reading back the printed text must give: the same values, or the same term",
    )
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="to spend on making one failure small"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    oracle = {"jax": by_jax, "differences": by_differences, "none": None}[options.oracle]
    order = min(options.order, 1) if options.oracle == "differences" else options.order
    tolerance = 1e-5 if options.oracle == "differences" else 1e-8
    texts = {"none": None, "values": wrong_readings, "terms": other_terms}[options.texts]
    check = partial(complaints, oracle=oracle, order=order, tolerance=tolerance, texts=texts)
    start, compared, kinds = time.monotonic(), Counter(), Counter()
    for seed in range(options.seed, options.seed + options.programs):
        program = random_program(seed)
        compared.update(len(wrt) for wrt in questions(program, order))
        found = check(program)
        if found:
            kinds[kind(found)] += 1
            small, why = smallest(program, check, options.seconds)
            print(f"--- seed {seed}, extents given as {small.mode}, assume {small.assume}")
            print(small.text)
            print("    shapes", {name: x.shape for name, x in small.arrays.items()})
            for line in why:
                print("    ", line[:1000].replace("\n", "\n      "), flush=True)
    seconds = time.monotonic() - start
    print(
        f"{options.programs} programs from seed {options.seed}: {compared[0]} values, "
        f"{compared[1]} first and {compared[2]} second derivatives in {seconds:.0f} s"
    )
    print(f"disagreements: {sum(kinds.values())} {dict(kinds)}")
    return int(bool(kinds))


if __name__ == "__main__":
    sys.exit(main())
