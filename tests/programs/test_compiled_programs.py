"""Compiled programs against a slow interpreter of terms, in every way that a program can be called.

Oracle: `slow_value` of slow_programs.py, which runs the unoptimised term node by node with np.einsum.
Programs: those of random_programs.py, and larger ones with extents by name.
The planner's thresholds are lowered for most of them, so that small arrays too run in loops and buffers.
A failure names its seed: `python benchmarks/programs.py --programs 1 --seed SEED` finds a smaller text.
"""

from __future__ import annotations

import inspect
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import einderiv as ed
from einderiv.programs import executable, planning, running
from einderiv.programs.backends import numpy_functions, scalars, storage
from einderiv.programs.compiler import (
    blocks,
    kernels,
)
from einderiv.programs.compiler import (
    rewriting as distribution,
)
from einderiv.programs.compiler import (
    rewriting as mirroring,
)
from einderiv.terms.canonical import scale as times
from tests.slow_programs import Array, Arrays, Case, case_of, extents_of, slow_value

SEEDS = 180
# both sides round in float64, in another order; errors are measured in the largest term on the way
TOLERANCE = 1e-9
SINGLE = 2e-2  # the same in float32, whose rounding is 5e8 times larger; losses of four digits are common
ENTRIES = 3000  # of a derivative: larger ones only cost time

# ---------------------------------------------------------------- ways to plan


@contextmanager
def planned_as(seed: int) -> Iterator[str]:
    """The planner's thresholds as the seed says: as they are, or so low that tiny arrays pass them."""
    rng = random.Random(f"plan {seed}")
    every = ("arrays", "loops", "buffers", "rewriting", "kernels")
    ways = [way for way in every if rng.random() < 0.6]
    rows = rng.choice([1, 64, 200])
    patches: list[tuple[Any, str, Any]] = []
    if "arrays" in ways:
        patches.append((executable, "LARGEST_EXTENT", -1))
    elif rng.random() < 0.5:
        ways.append("scalars")
        patches.append((scalars, "PER_CALL", 10**6))
    if "loops" in ways:
        patches += [(blocks, "_SMALL", 1), (blocks, "_CACHE", rows), (blocks, "_LEAST", -np.inf)]
        patches.append((blocks, "_GAIN", -np.inf))
    if "buffers" in ways:
        patches += [(storage, "LARGE", 2), (running, "_KEPT_FROM", 0)]
    if "rewriting" in ways:
        patches += [(distribution, "_GAIN", 1e6), (distribution, "_WORTH", 0.0)]
        patches += [(mirroring, "_SYMMETRIC_FROM", 1), (mirroring, "_SYMMETRIC", 0.0)]
    if "kernels" in ways:
        patches += [(kernels, "PACKED", 0), (kernels, "THIN", rng.choice([1, 2, 4]))]
        patches.append((kernels, "best_kernel", any_kernel(rng)))
    with ExitStack() as stack:
        answer = {"answer": rng.random() < 0.7}  # as if this had been measured
        stack.enter_context(patch.dict(numpy_functions.blocks_win.__dict__, answer))
        for module, name, value in patches:
            stack.enter_context(patch.object(module, name, value))
        yield " ".join(ways)


def any_kernel(rng: random.Random) -> Callable[..., str]:
    """Not the cheapest kernel, but any that serves."""

    def choose(
        inputs: Any, output: Any, extents: Any, is_symmetric: bool = False, is_one: bool = False
    ) -> str:
        names = kernels.serving(inputs, output, extents)
        return rng.choice([*names, "half"] if is_symmetric else names)

    return choose


# ---------------------------------------------------------------- what is checked


def questions(case: Case, e: ed.Expression) -> dict[str, ed.Expression]:
    """The value, first derivatives, one or two second ones, while they are small."""
    found = {"value": e}
    entries = {name: int(np.prod(x.shape)) for name, x in case.arrays.items()}
    sizes = extents_of(e, case.arrays)
    own = int(np.prod([sizes.get(d, 1) if isinstance(d, str) else d for d in e.shape]))
    names = [name for name in case.wrt if own * entries[name] <= ENTRIES][:3]
    for name in names:
        found[name] = e.diff(name)
    pairs = [(names[0], name) for name in names[:2]] if names else []
    for pair in pairs:
        if own * entries[pair[0]] * entries[pair[1]] <= ENTRIES:
            found[" ".join(pair)] = e.diff(*pair)
    return found


@dataclass
class Check:
    """One program, what it should give, and every way to ask for it."""

    case: Case
    terms: dict[str, ed.Expression]
    p: Any
    found: list[str] = field(default_factory=list)
    known: list[tuple[Arrays, list[tuple[Array, float]]]] = field(default_factory=list)

    def expected(self, arrays: Arrays) -> list[tuple[Array, float]]:
        """The right results, computed once for the same arrays."""
        for given, results in self.known:
            if given is arrays:
                return results
        terms = self.terms.values()
        results = [slow_value(e._term, arrays, extents_of(e, arrays)) for e in terms]
        self.known.append((arrays, results))
        return results

    def complain(self, way: str, what: object) -> None:
        self.found.append(f"{way}: {what}")

    def compare(
        self, way: str, results: Any, arrays: Arrays, tolerance: float = TOLERANCE
    ) -> list[Array]:
        """Note where results differ from those of the slow interpreter."""
        listed = listed_of(results)
        for name, ours, (right, scale) in zip(
            self.terms, listed, self.expected(arrays), strict=True
        ):
            error = distance(ours, right) / scale
            if not error <= tolerance:
                self.complain(way, f"{name} is off by {error:.1e} of {scale:.1e}")
        return listed

    def same(self, way: str, results: Any, wanted: list[bytes]) -> None:
        """Note where results are not bitwise those of before."""
        for name, ours, right in zip(self.terms, listed_of(results), wanted, strict=True):
            if np.asarray(ours).tobytes() != right:
                self.complain(way, f"{name} is not the same bit by bit")

    # ------------------------------------------------------------ the ways

    def run(self) -> list[str]:
        arrays = self.case.arrays
        before = {name: x.copy() for name, x in arrays.items()}
        for way in (self.calls, self.outs, self.layouts, self.bound, self.alone, self.pieces):
            try:
                way()
            except Exception as error:
                self.complain(way.__name__, f"{type(error).__name__}: {error}")
        if any(x.tobytes() != before[name].tobytes() for name, x in arrays.items()):
            self.complain("inputs", "an input was written")
        return self.found

    def calls(self) -> None:
        arrays, other = self.case.arrays, self.case.others(1)
        first = self.compare("call", self.p(**arrays), arrays)
        bits = bits_of(first)
        second = self.compare("other arrays", self.p(**other), other)
        bits_of_second = bits_of(second)
        self.same("again", self.p(**arrays), bits)  # dropped at once: its memory may be used again
        third = self.p(**other)
        self.same("again with other arrays", third, bits_of_second)
        self.same("a result after later calls", first, bits)
        owners = [*arrays.values(), *other.values()]
        for name, x in zip(self.terms, first, strict=True):
            if any(np.may_share_memory(x, y) for y in (*owners, *second, *listed_of(third))):
                self.complain("memory", f"{name} shares memory with an array or a later result")
        if any(np.may_share_memory(x, y) for k, x in enumerate(first) for y in first[:k]):
            self.complain("memory", "results share memory")
        given = [arrays[name] for name in self.p.arguments]
        if given and self.tells_all():
            self.same("by position", self.p(*given), bits)
            self.same("unchecked", self.p.unchecked(*given), bits)
        del first, second, third
        for _ in range(2):
            for own, wanted in ((arrays, bits), (other, bits_of_second)):
                held = self.p(**own)
                self.same("called many times", held, wanted)
        self.in_threads([(arrays, bits), (other, bits_of_second)])

    def tells_all(self) -> bool:
        """Do the arrays that are needed tell all extents?"""
        arguments = self.p.arguments
        told = {
            d for e in self.terms.values() for n in e.variables if n in arguments
            for d in e.variables[n]
        }  # fmt: skip
        known = {d for e in self.terms.values() for d in extents_of(e, self.case.arrays)}
        return known <= told

    def in_threads(self, calls: list[tuple[Arrays, list[bytes]]]) -> None:
        barrier = threading.Barrier(len(calls))
        errors: list[str] = []

        def work(arrays: Arrays, wanted: list[bytes]) -> None:
            barrier.wait()
            for _ in range(4):
                got = listed_of(self.p(**arrays))
                if bits_of(got) != wanted:
                    errors.append("a result is another one in a thread")

        threads = [threading.Thread(target=work, args=call) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for error in errors[:1]:
            self.complain("threads", error)

    def outs(self) -> None:
        arrays = self.case.arrays
        results = self.p(**arrays)
        shapes = [np.shape(x) for x in listed_of(results)]
        ways: dict[str, Callable[[tuple[int, ...]], Array]] = {
            "out": lambda s: np.full(s, 7.0),
            "out in Fortran order": lambda s: np.full(s, 7.0, order="F"),
            "out of float32": lambda s: np.full(s, 7.0, np.float32),
            "strided out": lambda s: np.full((*s, 2), 7.0)[..., 0],
        }
        for way, make in ways.items():
            made = [make(shape) for shape in shapes]
            given = packed_as(results, made)
            with np.errstate(over="ignore"):  # NumPy warns where float32 overflows
                if self.p(**arrays, out=given) is not given:
                    self.complain(way, "the result is another object")
            single = made[0].dtype == np.float32
            if not single or all(scale < 1e30 for _, scale in self.expected(arrays)):
                self.compare(way, given, arrays, SINGLE if single else TOLERANCE)
        for name, x in arrays.items():
            if x.shape not in shapes or not x.shape:
                continue
            copies = {n: a.copy() for n, a in arrays.items()}
            made = [np.full(shape, 7.0) for shape in shapes]
            made[shapes.index(x.shape)] = copies[name]
            given = packed_as(results, made)
            self.p(**copies, out=given)
            self.compare("out over an input", given, arrays)
            break

    def layouts(self) -> None:
        rng = random.Random(self.case.seed)
        for _ in range(2):
            given = {n: LAYOUTS[rng.choice(list(LAYOUTS))](x) for n, x in self.case.arrays.items()}
            halves = any(x.dtype == np.float32 for x in given.values())
            for way in ("strides", "strides again"):
                results = self.p(**given)
                single = halves and any(x.dtype == np.float32 for x in listed_of(results))
                self.compare(way, results, given, SINGLE if single else TOLERANCE)
        given = {name: x.astype(np.float32) for name, x in self.case.arrays.items()}
        results = self.p(**given)
        used = [given[name] for name in self.p.arguments]
        if used and any(x.dtype != np.float32 for x in listed_of(results)):
            self.complain("float32", "the result is of another dtype")
        wild = any(scale > 1e3 for _, scale in self.expected(given))
        if used and not wild:
            self.compare("float32", results, given, SINGLE)

    def bound(self) -> None:
        rng = random.Random(self.case.seed)
        arrays, other = self.case.arrays, self.case.others(2)
        names = [name for name in self.p.arguments if rng.random() < 0.5]
        p = self.p.bind({name: arrays[name] for name in names})
        for rest in (arrays, other, arrays):
            given = {name: rest[name] for name in rest if name not in names}
            self.compare(f"bound {names}", p(**given), {**arrays, **given})

    def alone(self) -> None:
        """The shown source, run without the package."""
        arrays = self.case.arrays
        space: dict[str, Any] = {}
        exec(compile(self.p.source, "<shown source>", "exec"), space)
        told = dict(re.findall(r"^ +(n\d+): the extent (\w+)$", self.p.source, re.M))
        sizes = {}
        for e in self.terms.values():
            sizes.update(extents_of(e, arrays))
        inputs = [arrays[name] for name in self.p.arguments]
        extra = list(inspect.signature(space["f"]).parameters)[len(inputs) :]
        with np.errstate(all="ignore"):
            results = space["f"](*inputs, *(sizes[told[name]] for name in extra))
        if isinstance(self.p._keys, tuple | int):
            results = list(results)
        self.compare("source", results, arrays)

    def pieces(self) -> None:
        p = ed.compile(dict(self.terms), structured=True)
        for arrays in (self.case.arrays, self.case.others(3), self.case.arrays):
            results = {
                name: x.dense() if hasattr(x, "dense") else x for name, x in p(**arrays).items()
            }
            self.compare("structured", results, arrays)


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "as is": lambda x: x,
    "Fortran": lambda x: np.array(x, order="F"),
    "transposed": lambda x: np.array(x.T, order="C").T,
    "strided": lambda x: np.stack([x, x + 1], -1)[..., 0],
    "backwards": lambda x: x[tuple(slice(None, None, -1) for _ in x.shape)].copy()[
        tuple(slice(None, None, -1) for _ in x.shape)
    ],
    "read only": lambda x: _read_only(x),
    "float32": lambda x: x.astype(np.float32),
}


def _read_only(x: Array) -> Array:
    copy = np.array(x)
    copy.flags.writeable = False
    return copy


def listed_of(results: Any) -> list[Array]:
    if isinstance(results, dict):
        return list(results.values())
    return list(results) if isinstance(results, list) else [results]


def packed_as(results: Any, made: list[Array]) -> Any:
    if isinstance(results, dict):
        return dict(zip(results, made, strict=True))
    return made if isinstance(results, list) else made[0]


def bits_of(results: list[Array]) -> list[bytes]:
    return [np.asarray(x).tobytes() for x in results]


def distance(ours: Array, theirs: Array) -> float:
    """The largest difference; inf for another shape, or another place of NaN or infinity."""
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return np.inf
    finite = np.isfinite(theirs)
    if not np.array_equal(finite, np.isfinite(ours)):
        return np.inf
    return float(np.max(np.abs(ours[finite] - theirs[finite]), initial=0.0))


def complaints(case: Case, observe: Callable[[Any, str], None] | None = None) -> list[str]:
    """Everything that is wrong with the compiled program of a case, in words."""
    with planned_as(case.seed) as ways:
        e = case.parsed()
        terms = questions(case, e)
        form = case.seed % 4
        if form == 0:
            last = list(terms)[-1]
            terms = {last: terms[last]}
        given: Any = next(iter(terms.values())) if form == 0 else dict(terms)
        p = ed.compile(list(terms.values()) if form == 1 else given)
        found = Check(case, terms, p).run()
        if not found:
            found = resized(case, terms, p)
        if observe is not None:
            observe(p, ways)
    return [f"{line} ({ways or 'as planned'})" for line in found]


def resized(case: Case, terms: dict[str, ed.Expression], p: Any) -> list[str]:
    """The same program for other extents, 0 and 1 among them."""
    rng = random.Random(f"sizes {case.seed}")
    e = next(iter(terms.values()))
    known = extents_of(e, case.arrays)
    shapes = {n: shape for n, shape in e.variables.items() if n in case.arrays}
    check = Check(case, terms, p)
    for _ in range(3):
        sizes = {dim: rng.choice([0, 1, size + 1, size + 2, 9]) for dim, size in known.items()}
        if not known or any(isinstance(d, int) and n == "R" for n in shapes for d in shapes[n]):
            break
        blank = {
            n: np.empty([sizes[d] if isinstance(d, str) else d for d in shape])
            for n, shape in shapes.items()
        }
        try:
            arrays = case.others(rng.randrange(10**6), blank)
            if any(arrays[name].shape != x.shape for name, x in blank.items()):
                continue  # a regular matrix must be square
            if not all(np.all(np.isfinite(x)) for x, _ in check.expected(arrays)):
                continue  # a logsumexp of nothing, a singular matrix
        except (
            ValueError,
            np.linalg.LinAlgError,
        ):  # a maximum of nothing, a matrix no longer square
            continue
        way = f"extents {sizes}"
        try:
            check.compare(way, p(**arrays), arrays)
            check.compare(f"{way} again", p(**arrays), arrays)
            check.compare(f"{way} before", p(**case.arrays), case.arrays)
        except Exception as error:
            check.complain(way, f"{type(error).__name__}: {error}")
    return check.found


# ---------------------------------------------------------------- the facts


@pytest.mark.parametrize("seed", range(SEEDS))
def test_compiled_program_agrees_with_the_slow_interpreter_in_every_way_of_calling(seed):
    case = case_of(seed)
    found = complaints(case)
    assert not found, f"seed {seed}\n{case.text}\n" + "\n".join(found)


def test_a_program_that_computes_twice_the_term_is_noticed(monkeypatch):
    right = planning.rewrite
    monkeypatch.setattr(planning, "rewrite", lambda *given: [times(2, t) for t in right(*given)])
    found = complaints(case_of(1))
    assert any(line.startswith("call: value is off") for line in found), found


def test_results_that_share_memory_are_noticed():
    arrays = {"x": np.arange(3.0)}
    case = Case(0, "z[i] = 2*x[i]", None, None, {"x": "real"}, arrays)
    check = Check(case, {"value": case.parsed()}, Held(ed.compile(case.parsed())))
    check.calls()
    assert any(line.startswith("memory") for line in check.found), check.found
    assert any(line.startswith("a result after later calls") for line in check.found), check.found


class Held:
    """A program that writes every result to the memory of the first."""

    def __init__(self, p: Any) -> None:
        self.p, self.arguments, self.result = p, p.arguments, None

    def __call__(self, *arrays: Array, **named: Array) -> Array:
        made = self.p(*arrays, **named)
        if self.result is None:
            self.result = made
        else:
            np.copyto(self.result, made)
        return self.result

    unchecked = __call__
