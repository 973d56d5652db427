"""Each system in its own process, one thread, samples interleaved in random order.

In: systems, problems, a bound on the seconds. Out: one `Row` per problem and size, medians in seconds.
Invariant: a result further than 1e-8 from the hand-written one is reported as wrong, never as a time.
Run with a system's name this file is a worker: a line of JSON in, a line of JSON out.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-8
ONE_THREAD = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}
SAMPLE_SECONDS = 0.002  # a sample is as many calls as fill this: the clock costs 0.1 us


@dataclass
class Row:
    """One problem at one size: seconds by system, or a word why there are none."""

    problem: str
    size: int
    seconds: dict[str, float] = field(default_factory=dict)
    plain: float | None = None
    variants: dict[str, str] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)

    def ratio(self, system: str, by: str = "ours") -> float | None:
        """Times of `system` per time of `by`."""
        if system not in self.seconds or by not in self.seconds:
            return None
        return self.seconds[system] / self.seconds[by]


class Worker:
    """A system's process; `ask` sends one request and waits for its answer."""

    def __init__(self, system: str) -> None:
        self.system = system
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "harness.py"), system],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """The worker's answer; an `error` where it has died."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process died"}
        return answer

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=20)


def sample(call: Callable[[], Any], times: int) -> float:
    """Seconds of one call, over `times` calls; each result is dropped before the next."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def fill(seconds: float) -> int:
    """How many calls of this duration make one sample."""
    return max(1, min(10_000, int(SAMPLE_SECONDS / max(seconds, 1e-9))))


def measure(
    name: str, size: int, systems: Sequence[str], repeats: int, seconds: float, seed: int = 0
) -> Row:
    """One row: prepare in every process, then draw samples in random order until the time is up."""
    row, ready = Row(name, size), []
    workers = {system: Worker(system) for system in systems}
    try:
        for system, worker in workers.items():
            answer = worker.ask(prepare=name, size=size)
            if "error" in answer:
                row.words[system] = answer["error"]
            elif answer["difference"] > TOLERANCE:
                row.words[system] = f"WRONG by {answer['difference']:.1e}"
            else:
                row.errors[system], row.variants[system] = answer["difference"], answer["variant"]
                ready.append(system)
        order = random.Random(seed)
        taken: dict[str, list[float]] = {system: [] for system in ready}
        plain: list[float] = []
        end = time.perf_counter() + seconds
        for turn in range(repeats):
            for system in order.sample(ready, len(ready)):
                if turn >= 2 and time.perf_counter() > end:
                    continue
                answer = workers[system].ask(sample=True)
                if "error" in answer:
                    row.words[system] = answer["error"]
                    continue
                taken[system].append(answer["seconds"])
                if "plain" in answer:
                    plain.append(answer["plain"])
        row.seconds = {system: median(found) for system, found in taken.items() if found}
        row.plain = median(plain) if plain else None
        for system in ready:
            row.peak_mb[system] = workers[system].ask(peak=True).get("peak_mb", 0.0)
    finally:
        for worker in workers.values():
            worker.close()
    return row


def saved(rows: Iterable[Row], path: Path) -> None:
    """The rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def main(system: str) -> None:
    """The worker's loop."""
    if hasattr(
        os, "sched_setaffinity"
    ):  # JAX's flags alone leave it two threads (1.6-1.9x on gemms)
        os.sched_setaffinity(
            0, {max(os.sched_getaffinity(0))}
        )  # all on one core: one works at a time
    import problems
    import systems

    named = {problem.name: problem for problem in problems.PROBLEMS}
    call: Callable[[], Any] = lambda: None  # noqa: E731
    plain: Callable[[], Any] | None = None
    times = 1
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if "prepare" in request:
                word = systems.why_not(system)
                problem, size = named[request["prepare"]], request["size"]
                if word is None and not problem.bounded(system, size):
                    word = "not asked at this size"
                calls: systems.Calls = {}
                if word is None:
                    arrays = problem.data(size)
                    calls = systems.callables(system, problem, arrays, size)
                    word = None if calls else "no such form"
                if word is not None:
                    answer = {"error": word}
                else:
                    timed, worst, truth = {}, 0.0, problem.truth(arrays)
                    core = problem.structured and system == "expert"
                    for name, f in calls.items():
                        if not core:
                            worst = max(worst, systems.difference(f(), truth))
                        times = fill(sample(f, 1))
                        timed[name] = min(sample(f, times) for _ in range(3))
                    del truth
                    best = min(timed, key=timed.__getitem__)
                    call, times = calls[best], fill(timed[best])
                    plain = next(iter(calls.values())) if system == "expert" else None
                    answer = {"difference": worst, "variant": best}
            elif "sample" in request:
                answer = {"seconds": sample(call, times)}
                if plain is not None:
                    answer["plain"] = sample(plain, times)
            else:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                answer = {"peak_mb": peak}
        except (
            Exception,
            MemoryError,
        ) as fault:  # a worker answers, whatever a peer's library raises
            answer = {"error": f"{type(fault).__name__}: {str(fault)[:100]}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
