"""Random compiled programs against a slow interpreter of terms, and what of the compiler they reached.

    python benchmarks/programs.py --programs 2000 --seed 0

Each program is called in every way there is (tests/programs/test_compiled_programs.py): by name, by position,
unchecked, into given arrays, with strided, read-only and float32 arrays, bound, in two threads, in pieces, as
source alone, for other extents. Out: counts of instructions, kernels, loops, writes in place; with `--lines`
the lines of compiler and backend that never ran; each disagreement with a smaller text. Exit status 1 where
there is any.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.test_compiled_programs import complaints

from einderiv.programs.backends import storage
from einderiv.programs.backends.numpy import takes_out
from einderiv.programs.compiler.kernels import KERNELS, SINGLE_KERNELS
from einderiv.programs.program import Contract
from tests.slow_programs import Case, case_of

ROOT = Path(__file__).resolve().parents[1]
WATCHED = ("compiler", "backends", "executable.py", "running.py", "planning.py")


class Coverage:
    """Counts over the plans of all programs."""

    def __init__(self) -> None:
        self.steps: Counter[str] = Counter()
        self.kernels: Counter[str] = Counter()
        self.memory: Counter[str] = Counter()
        self.ways: Counter[str] = Counter()

    def note(self, p: Any, ways: str) -> None:
        """The plans that one executable made while it was checked."""
        self.ways.update(ways.split() or ["as planned"])
        self.memory["unrolled to scalars"] += sum(r.scalar is not None for r in p._readies.values())
        self.memory["results used again"] += sum(bool(r.kept) for r in p._readies.values())
        sizes = dict(next((r.extents for r in p._readies.values()), {}))
        for plan in list(p._plans.values()):
            program = plan.program
            for step in program.instructions:
                name = getattr(step, "function", "")
                self.steps[f"{type(step).__name__} {name}".strip()] += 1
                if isinstance(step, Contract):
                    self.kernels[step.kernel] += 1
            layout = storage.layout(program, sizes, takes_out(program))
            self.memory["plans"] += 1
            self.memory["loops"] += len(program.loops)
            self.memory["written over an operand"] += len(layout.over)
            self.memory["buffers"] += len(plan.memory.workspace)
            self.memory["results told where"] += len(plan.memory.results)
            self.memory["results copied"] += len(layout.copied)

    def __str__(self) -> str:
        tables = (
            ("planned with", self.ways),
            ("instructions", self.steps),
            ("contractions on", self.kernels),
            ("memory", self.memory),
        )
        lines = [
            f"{title}: {', '.join(f'{name} {count}' for name, count in counts.most_common())}"
            for title, counts in tables
        ]
        missing = {k.name for k in (*KERNELS, *SINGLE_KERNELS)} - set(self.kernels)
        return "\n".join(
            [*lines, f"kernels that never ran: {', '.join(sorted(missing)) or 'none'}"]
        )


class Lines:
    """The lines of compiler and backend that ran."""

    def __init__(self) -> None:
        self.seen: dict[str, set[int]] = {str(path): set() for path in watched_files()}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note the lines that run meanwhile, in the files watched alone."""
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(None)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        seen = self.seen.get(frame.f_code.co_filename)
        if seen is None:
            return None

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            seen.add(frame.f_lineno)
            return line

        return line

    def __str__(self) -> str:
        rows = []
        for path in watched_files():
            wanted = lines_of(path)
            missing = sorted(wanted - self.seen.get(str(path), set()))
            share = 1 - len(missing) / max(1, len(wanted))
            told = " ".join(map(str, missing[:30]))
            rows.append(f"{path.relative_to(ROOT / 'einderiv')}: {share:.0%}; never ran: {told}")
        return "\n".join(rows)


def watched_files() -> list[Path]:
    package = ROOT / "einderiv"
    return [
        path
        for name in WATCHED
        for path in (
            [package / name] if name.endswith(".py") else sorted((package / name).glob("*.py"))
        )
    ]


def lines_of(path: Path) -> set[int]:
    """The lines inside functions that hold code."""
    found: set[int] = set()
    stack = [compile(path.read_text(), str(path), "exec")]
    while stack:
        code = stack.pop()
        stack += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        if code.co_flags & 0x2:  # a function, not a module or class body
            first = code.co_firstlineno
            found |= {line for _, _, line in code.co_lines() if line and line > first}
    return found


# ---------------------------------------------------------------- smaller programs


def smaller(case: Case) -> Iterator[Case]:
    """The case with one factor, term, function or statement left out, as far as its text still parses."""
    pieces = [
        r"\*\w+(\[[\w,]*\])?",  # a factor
        r" [+-] \w+(\[[\w,]*\])?",  # a term
        r"\^\d",
        r"-?\d(/\d)?\*",
        r"\b(tanh|sin|sigmoid|softplus|abs|relu|exp|expm1|erf|atan|cos|step)(?=\()",
        r"^[^\n]*\n",
    ]
    for pattern in pieces:
        for match in re.finditer(pattern, case.text, re.M):
            yield replace(case, text=case.text[: match.start()] + case.text[match.end() :])


def reduced(case: Case, seconds: float) -> tuple[Case, list[str]]:
    """The shortest text reached on which the same way of calling fails."""
    found = complaints(case)
    end = time.monotonic() + seconds
    progress = bool(found)
    while progress and time.monotonic() < end:
        progress = False
        for candidate in smaller(case):
            try:
                again = complaints(candidate)
            except Exception:
                continue  # no text of the language any more
            if again and again[0].split(":")[0] == found[0].split(":")[0]:
                case, found, progress = candidate, again, True
                break
    return case, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0, help="to spend on one failure")
    parser.add_argument("--lines", action="store_true", help="note lines too: twice as long")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    coverage, lines = Coverage(), Lines()
    start, failures = time.monotonic(), 0
    with lines.watched() if options.lines else nullcontext():
        for seed in range(options.seed, options.seed + options.programs):
            case = case_of(seed)
            if complaints(case, coverage.note):
                failures += 1
                small, found = reduced(case, options.seconds)
                print(f"--- seed {seed}\n{small.text}")
                print("    shapes", {name: x.shape for name, x in small.arrays.items()})
                for line in found[:5]:
                    print("    ", line[:600].replace("\n", "\n      "), flush=True)
    print(coverage)
    if options.lines:
        print(lines)
    seconds = time.monotonic() - start
    print(
        f"{options.programs} programs from seed {options.seed} in {seconds:.0f} s: {failures} wrong"
    )
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
