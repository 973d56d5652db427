"""A slow interpreter of terms, and random programs for it: families of the field and products of sums.

In: a term, arrays by name, extents; or a seed. Out: the value; or a `Case`.
Invariant: `slow_value` runs the unoptimised term node by node with np.einsum, and shares nothing with
simplifier, compiler and backend.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

import numpy as np
from scipy import special

import einderiv as ed
from einderiv.terms import expr
from einderiv.terms.walk import postorder
from tests.random_programs import Tensor, random_program

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
                # in one order: x == max(x) is wrong where x is summed in two
                return np.array(self.arrays[node.name], dtype=float, order="C")
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
                value = _ELEMENTWISE[node.function](*children)
                largest = max((np.max(np.abs(c), initial=1.0) for c in children), default=1.0)
                self.note(largest * value)  # an error of the argument, times the function
                return value
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
        if not count and "prod" not in node.function:
            raise ValueError(f"{node.function} of nothing")
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
FAMILIES = (
    "sum[i,j,k](X[i,j]*V[j,k])*sum[j](V[j,k])*c[k]",
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
    """A larger program with extents by name: one of the field, or sums of random products."""
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
                own = [min(uncovered), *own[1:]]
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
            return (
                f"delta[{','.join(letters)}]*{self.access(letters[:1])}"  # which tells the extent
            )
        return one

    def access(self, letters: Sequence[str]) -> str:
        own = self.random.sample(letters, len(letters))
        if 0 < len(own) < 3 and self.random.random() < 0.1:
            own.append(own[0])
        dims = tuple(DIMS[x] for x in own)
        name = f"{''.join(dims).upper() or 'C'}{self.random.choice('xyz')}"
        self.dims[name] = dims
        return f"{name}[{','.join(own)}]" if own else name


def extents_of(e: ed.Expression, arrays: Arrays) -> dict[str, int]:
    return {
        dim: size
        for name, shape in e.variables.items()
        if name in arrays
        for dim, size in zip(shape, np.shape(arrays[name]), strict=True)
        if isinstance(dim, str)
    }
