"""Compiled programs against a slow interpreter of terms, in every way that a program can be called.

Oracle: `slow_value` runs the unoptimised term with np.einsum, node by node; it shares nothing with simplifier,
compiler and backend. Programs: those of random_programs.py, and larger ones of this file, with extents by name.
The planner's thresholds are lowered for most of them, so that small arrays too run in loops and buffers.
A failure names its seed: `python benchmarks/programs.py --programs 1 --seed SEED` finds a smaller text.
"""

from __future__ import annotations

import inspect
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from scipy import special

import einderiv as ed
from einderiv import executable, expr, running
from einderiv.backends import scalars, storage
from einderiv.compiler import blocks, distribution, mirroring
from einderiv.walk import postorder
from tests.random_programs import Tensor, random_program

SEEDS = 240
# both sides round in float64, in another order; errors are measured in the largest term on the way
TOLERANCE = 1e-9
SINGLE = 2e-2  # the same in float32, whose rounding is 5e8 times larger; losses of four digits are common
ENTRIES = 3000  # of a derivative: larger ones only cost time

Array = Any
Arrays = dict[str, Array]

# ---------------------------------------------------------------- the slow interpreter

_ELEMENTWISE: dict[str, Callable[..., Array]] = {
    **{name: getattr(np, name) for name in "exp expm1 log log1p sqrt sin cos tan".split()},
    **{name: getattr(np, name) for name in "sinh cosh tanh abs sign".split()},
    **{"asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2},
    **{"erf": special.erf, "erfc": special.erfc, "lgamma": special.gammaln},
    **{"digamma": special.digamma, "polygamma": special.polygamma, "sigmoid": special.expit},
    **{"max": np.maximum, "min": np.minimum, "pow": np.power},
    "pi": lambda: np.pi,
    "softplus": lambda x: np.logaddexp(x, 0),
    "relu": lambda x: np.where(x > 0, x, 0),
    "step": lambda x: np.where(x > 0, 1.0, 0.0),
    "where": lambda c, a, b: np.where(c != 0, a, b),
    "lt": lambda a, b: 1.0 * (a < b),
    "le": lambda a, b: 1.0 * (a <= b),
    "gt": lambda a, b: 1.0 * (a > b),
    "ge": lambda a, b: 1.0 * (a >= b),
    "eq": lambda a, b: 1.0 * (a == b),
    "ne": lambda a, b: 1.0 * (a != b),
}
_ROWS: dict[str, Callable[..., Array]] = {  # of x with one last axis for all that are meant
    "prod": lambda x: np.prod(x, -1),
    "prodexcept": lambda x: np.stack(
        [np.prod(np.delete(x, k, -1), -1) for k in range(x.shape[-1])] or [x[..., 0:0]], -1
    ).reshape(x.shape),
    "max": lambda x: np.max(x, -1),
    "min": lambda x: np.min(x, -1),
    "logsumexp": lambda x: special.logsumexp(x, axis=-1),
    "softmax": lambda x: special.softmax(x, axis=-1),
    "logsoftmax": lambda x: special.log_softmax(x, axis=-1),
}
_MATRIX: dict[str, Callable[..., Array]] = {
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "logdet": lambda a: np.linalg.slogdet(a)[1],
    "cholesky": lambda a: np.linalg.cholesky((a + np.swapaxes(a, -1, -2)) / 2),
    "tril": np.tril,
}


def slow_value(term: expr.Expr, arrays: Arrays, sizes: Mapping[str, int]) -> tuple[Array, float]:
    """The value of a term, and the largest sum of absolute terms met on the way."""
    interpreter = _Interpreter(arrays, sizes)
    known: dict[expr.Expr, Array] = {}
    with np.errstate(all="ignore"):
        for node in postorder([term]):
            value = interpreter.node(node, [known[child] for child in node.children])
            known[node] = np.asarray(value, dtype=float)
    return known[term], interpreter.scale


@dataclass
class _Interpreter:
    arrays: Arrays
    sizes: Mapping[str, int]
    scale: float = 1.0

    def size(self, dim: expr.Dim) -> int:
        return dim if isinstance(dim, int) else self.sizes[dim]

    def node(self, node: expr.Expr, children: list[Array]) -> Array:
        match node:
            case expr.Variable():
                return np.asarray(self.arrays[node.name], dtype=float)
            case expr.Literal():
                return float(node.value)
            case expr.Extent():
                return self.size(node.dim)
            case expr.Ones():
                return np.ones(self.size(node.shape[0]))
            case expr.Delta():
                return np.eye(self.size(node.shape[0]))
            case expr.Contraction():
                self.note(self.product(node, [np.abs(child) for child in children]))
                return self.product(node, children)
            case expr.Sum():
                return self.total(node, children)
            case expr.Map():
                return _ELEMENTWISE[node.function](*children)
            case expr.Apply():
                return self.apply(node, children)
        raise AssertionError(node)

    def note(self, value: Array) -> Array:
        largest = np.max(np.abs(value), initial=0.0)
        if np.isfinite(largest):
            self.scale = max(self.scale, float(largest))
        return value

    def product(self, node: expr.Contraction, children: list[Array]) -> Array:
        if not children:
            return 1.0
        labels = {label: k for k, label in enumerate(dict.fromkeys(sum(node.inputs, ())))}
        sizes = dict(zip(sum(node.inputs, ()), sum((c.shape for c in children), ()), strict=True))
        given: list[Any] = []
        for child, own in zip(children, node.inputs, strict=True):
            given += [child, [labels[label] for label in own]]
        is_large = bool(np.prod([float(size) for size in sizes.values()]) > 1e5)
        return np.einsum(*given, [labels[x] for x in node.output], optimize=is_large)

    def total(self, node: expr.Sum, children: list[Array]) -> Array:
        result = np.zeros([self.size(dim) for dim in node.shape])
        for coefficient, child in zip(node.coefficients, children, strict=True):
            result = result + self.note(float(coefficient) * child)
        return result

    def apply(self, node: expr.Apply, children: list[Array]) -> Array:
        if node.function == "eps":
            made = np.zeros((node.width,) * node.width)
            for order in permutations(range(node.width)):
                made[order] = np.linalg.det(np.eye(node.width)[list(order)])
            return made
        (x,) = children
        if node.function in _MATRIX:
            return self.note(_MATRIX[node.function](x))
        rest = x.shape[: x.ndim - node.width]
        count = int(np.prod(x.shape[x.ndim - node.width :]))
        shape = tuple(self.size(dim) for dim in node.shape)
        return self.note(_ROWS[node.function](x.reshape((*rest, count))).reshape(shape))


# ---------------------------------------------------------------- programs


@dataclass(frozen=True)
class Case:
    """A text, its tensors with their extents, arrays for them."""

    seed: int
    text: str
    shapes: Mapping[str, Sequence[int | str]] | None
    assume: Mapping[str, str] | None
    kinds: dict[str, str]
    arrays: Arrays
    wrt: tuple[str, ...] = ()

    def parsed(self) -> ed.Expression:
        return ed.parse(self.text, shapes=self.shapes, assume=self.assume)

    def others(self, seed: int, arrays: Arrays | None = None) -> Arrays:
        """Other arrays of the same shapes."""
        rng = np.random.default_rng([self.seed, seed])
        given = self.arrays if arrays is None else arrays
        return {n: np.asarray(Tensor(x.shape, self.kinds[n]).sample(rng)) for n, x in given.items()}


def case_of(seed: int) -> Case:
    """Two in three of this file, the others of random_programs.py."""
    return chained(seed) if seed % 3 else sampled(seed)


def sampled(seed: int) -> Case:
    """A program of random_programs.py."""
    program = random_program(seed)
    kinds = {name: tensor.kind for name, tensor in program.tensors.items()}
    wrt = tuple(name for name in program.tensors if name != "Zd")
    return Case(seed, program.text, program.shapes, program.assume, kinds, program.arrays, wrt)


DIMS = {"i": "n", "p": "n", "j": "d", "q": "d", "k": "k", "r": "k"}
FUNCTIONS = "tanh sin sigmoid softplus abs relu exp expm1 erf atan cos step".split()
FAMILIES = (  # with a in n, b in d, c in k
    "{s}(X[i,j]*th[j] - y[i])*(X[i,q]*th[q] - y[i])/size[i]",
    "w[i]*(X[i,j]*th[j] - y[i])^2 + 1/3*th[q]*th[q]",
    "(T[i,j] - U[i,k]*V[j,k])*(T[i,j] - U[i,r]*V[j,r]) + 2*U[i,k]*U[i,k]",
    "M[i,j]*(T[i,j] - U[i,k]*V[j,k])^2",
    "sum[i](softplus(-y[i]*(X[i,j]*th[j])))",
    "sum[i](logsumexp[k](X[i,j]*V[j,k] + c[k])) - H[i,k]*(X[i,j]*V[j,k])",
    "H[i,k] = {f}(X[i,j]*V[j,k] + c[k])\nL = sum[i]((H[i,k]*a[k] - y[i])^2)/2",
    "H[i,k] = {f}(X[i,j]*V[j,k])\nG[i,j] = {g}(H[i,k]*V[j,k])\nL = sum[i,j]((G[i,j] - X[i,j])^2)",
    "Z[i,j] = softmax[j](X[i,q]*S[q,j])*X[i,j]",
    "y[i]*th[j]*S[j,q]*th[q]*y[i]",
    "Z[i,j] = y[i]*th[j] + X[i,j]*w[i] - delta[i,p]*X[p,j]",
    "Z[i,p] = delta[i,p]*w[i] + X[i,j]*S[j,q]*X[p,q]",
    "Z[j,q] = X[i,j]*w[i]^2*X[i,q] + delta[j,q]/2",
    "B[i,j,k]*th[j]*c[k]*y[i] + B[i,j,k]*B[i,j,k]",
    "Z[i,k] = B[i,j,k]*B[i,j,r]*c[r]",
    "Z[i,j,q] = B[i,j,k]*B[i,q,k] - delta[j,q]*y[i]",
    "th[j]*inv(R)[j,q]*th[q] + logdet(R)",
    "logdet[j,q](X[i,j]*w[i]^2*X[i,q] + 4*delta[j,q])",
    "Z[i] = {f}(w[i])*{g}(w[i])*prod[k](1 + H[i,k]/4) + max[k](H[i,k])",
    "Z[i,j] = (X[i,q] - y[i]*th[q])*(S[q,j] - th[q]*th[j])",
    "sum[i]({f}(X[i,j]*th[j])*{g}(y[i])) + S[j,j]",
    "tr(S)*X[i,j]*S[j,q]*X[i,q] - Q[i,p]*y[p]*w[i]",
    "Z[i,j] = Q[i,i]*X[i,j] + Q[p,i]*X[p,j]",
)
FAMILY_SHAPES = {
    **{"X": "nd", "th": "d", "y": "n", "w": "n", "T": "nd", "U": "nk", "V": "dk", "M": "nd"},
    **{"H": "nk", "c": "k", "a": "k", "S": "dd", "B": "ndk", "R": "dd", "Q": "nn"},
}


def chained(seed: int) -> Case:
    """A larger program with extents by name: a family of the field, or random products of sums and functions."""
    rng = random.Random(seed)
    sizes = {
        "n": rng.choice([1, 3, 7, 20, 61]),
        "d": rng.choice([1, 2, 3, 5]),
        "k": rng.choice([1, 2, 4]),
    }
    if rng.random() < 0.5:
        text = rng.choice(FAMILIES).format(
            s="" if rng.random() < 0.5 else "2*", f=rng.choice(FUNCTIONS), g=rng.choice(FUNCTIONS)
        )
        defined = set(re.findall(r"^(\w+)\[[\w,]*\] =", text, re.M))
        names = {n for n in re.findall(r"\b(\w+)[\[)]", text) if n in FAMILY_SHAPES} - defined
        dims = {name: tuple(FAMILY_SHAPES[name]) for name in sorted(names)}
    else:
        chain = _Chain(rng)
        text, dims = chain.program(), chain.dims
    shapes = {name: tuple(sizes[dim] for dim in own) for name, own in dims.items()}
    kinds = {name: "spd" if name == "R" else "real" for name in dims}
    blank = {name: np.empty(shape) for name, shape in shapes.items()}
    case = Case(seed, text, dims, None, kinds, blank, tuple(rng.sample(sorted(dims), len(dims))))
    return replace(case, arrays=case.others(0))


@dataclass
class _Chain:
    """Sums over named indices of products, so that any set of letters makes a right text."""

    random: random.Random
    dims: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def program(self) -> str:
        count = self.random.choice([0, 0, 1, 2])
        left = self.random.sample(sorted(DIMS), count)
        terms = [self.term(left, 2) for _ in range(self.random.choice([1, 1, 2]))]
        right = " + ".join(terms)
        if self.random.random() < 0.3:
            right = f"{self.random.choice(FUNCTIONS)}({right})"
        if self.random.random() < 0.3:
            right = f"({right})^2"
        return f"Z[{','.join(left)}] = {right}" if left else f"Z = {right}"

    def term(self, free: Sequence[str], depth: int) -> str:
        rest = [letter for letter in DIMS if letter not in free]
        summed = self.random.sample(rest, self.random.choice([0, 1, 2, 2, 3]) if depth > 1 else 1)
        letters = [*free, *summed]
        factors = []
        uncovered = set(letters)
        while uncovered or not factors:
            own = self.random.sample(letters, min(len(letters), self.random.choice([1, 1, 2, 2])))
            if uncovered and not uncovered.intersection(own):
                own[0:1] = [sorted(uncovered)[0]]
            uncovered -= set(own)
            factors.append(self.factor(own, depth))
        body = "*".join(factors)
        number = self.random.choice(["", "", "2*", "-1/2*", "3*"])
        return f"{number}sum[{','.join(summed)}]({body})" if summed else f"{number}{body}"

    def factor(self, letters: Sequence[str], depth: int) -> str:
        one = self.access(letters)
        kind = self.random.choice(
            ["plain", "plain", "plain", "function", "difference", "below", "power", "delta"]
        )
        if kind == "function":
            return f"{self.random.choice(FUNCTIONS)}({one})"
        if kind == "difference":
            return f"({one} - {self.access(letters)})"
        if kind == "power":
            return f"{one}^{self.random.choice([2, 3, 4])}"
        if kind == "below" and depth > 1:
            other = self.term(letters, depth - 1)
            return f"({one} + {other})" if self.random.random() < 0.6 else f"({other})"
        if kind == "delta" and len(letters) == 2 and len({DIMS[x] for x in letters}) == 1:
            return f"delta[{','.join(letters)}]"
        return one

    def access(self, letters: Sequence[str]) -> str:
        own = self.random.sample(letters, len(letters))
        if len(own) < 3 and self.random.random() < 0.1:
            own.append(own[0])
        dims = tuple(DIMS[x] for x in own)
        name = f"{''.join(dims).upper() or 'C'}{self.random.choice('xyz')}"
        self.dims[name] = dims
        return f"{name}[{','.join(own)}]" if own else name


# ---------------------------------------------------------------- ways to plan


@contextmanager
def planned_as(seed: int) -> Iterator[str]:
    """The planner's thresholds as the seed says: as they are, or so low that tiny arrays pass them."""
    rng = random.Random(f"plan {seed}")
    ways = [way for way in ("arrays", "loops", "buffers", "rewriting") if rng.random() < 0.6]
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
    with ExitStack() as stack:
        for module, name, value in patches:
            stack.enter_context(patch.object(module, name, value))
        yield " ".join(ways)


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


def extents_of(e: ed.Expression, arrays: Arrays) -> dict[str, int]:
    return {
        dim: size
        for name, shape in e.variables.items()
        if name in arrays
        for dim, size in zip(shape, np.shape(arrays[name]), strict=True)
        if isinstance(dim, str)
    }


@dataclass
class Check:
    """One program, what it should give, and every way to ask for it."""

    case: Case
    terms: dict[str, ed.Expression]
    p: Any
    found: list[str] = field(default_factory=list)

    def expected(self, arrays: Arrays) -> list[tuple[Array, float]]:
        return [slow_value(e._term, arrays, extents_of(e, arrays)) for e in self.terms.values()]

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
        if given:
            self.same("by position", self.p(*given), bits)
            self.same("unchecked", self.p.unchecked(*given), bits)
        del first, second, third
        for _ in range(2):
            for own, wanted in ((arrays, bits), (other, bits_of_second)):
                held = self.p(**own)
                self.same("called many times", held, wanted)
        self.in_threads([(arrays, bits), (other, bits_of_second)])

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
            if self.p(**arrays, out=given) is not given:
                self.complain(way, "the result is another object")
            self.compare(way, given, arrays, SINGLE if made[0].dtype == np.float32 else TOLERANCE)
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
            single = {given[name].dtype.char for name in self.p.arguments} == {"f"}
            for way in ("strides", "strides again"):
                self.compare(way, self.p(**given), given, SINGLE if single else TOLERANCE)
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
        inputs = [arrays[step.name] for step in self.p.program.inputs]
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
    "Fortran": lambda x: np.asfortranarray(x),
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
        arrays = case.others(rng.randrange(10**6), blank)
        try:
            check.expected(arrays)
        except (ValueError, np.linalg.LinAlgError):  # a maximum of nothing
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
