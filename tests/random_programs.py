"""Random index-notation programs, each with its meaning in NumPy or JAX, made from the same choices.

In: a seed. Out: a `Program`: text, shapes, assumptions, arrays away from kinks, and a function over arrays.
Invariant: nothing here imports einderiv, so the function is an oracle for parser, derivatives and programs.
The generator decides which letters are summed and writes text in which the convention sums just these.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import special

Array = Any
Names = tuple[str, ...]

EXTENT = {
    letter: size
    for size, letters in {2: "abcde", 3: "ijklm", 4: "pqrst"}.items()
    for letter in letters
}
MOST_AXES = 4
LARGEST = (
    300.0  # intermediate values; larger ones would cost digits that are no fault of the engine
)
MARGIN = 2e-2  # least distance of a sample from kinks, ties and poles


class WildSampleError(Exception):
    """The sample has an intermediate value that is too large or too near a kink."""


@dataclass
class Env:
    """What an evaluation needs: the array module, its special functions, the tensors; with checks or not."""

    xp: Any
    special: Any
    tensors: dict[str, Array]
    checked: bool = False
    branches: list[bytes] = field(
        default_factory=list
    )  # on which side of every kink the sample lies

    def away(self, distance: Array, branch: Array | None = None) -> None:
        """Refuse the sample where `distance` from a kink is small; note on which side it is."""
        if self.checked:
            self.branches.append(
                np.asarray(np.sign(distance) if branch is None else branch).tobytes()
            )
            if np.size(distance) and np.min(np.abs(distance)) < MARGIN:
                raise WildSampleError


@dataclass(frozen=True, eq=False)
class Node:
    """A piece of text, its free indices in order of first appearance, and its value with these axes.

    `kept`: the indices that are not summed where it stands. `make` builds it again over other children.
    """

    level: str  # atom, power, product or sum: what needs brackets where
    names: Names
    kept: frozenset[str]
    text: str
    compute: Callable[[Env], Array]
    children: tuple[Node, ...] = ()
    make: Callable[[Sequence[Node]], Node] | None = None

    def value(self, env: Env) -> Array:
        array = self.compute(env)
        if env.checked and not np.all(np.abs(array) < LARGEST):
            raise WildSampleError
        return array


def first_appearance(nodes: Sequence[Node]) -> Names:
    return tuple(dict.fromkeys(name for node in nodes for name in node.names))


def aligned(env: Env, node: Node, names: Names) -> Array:
    """The node's value with the axes `names`, repeated along those it lacks."""
    array = node.value(env)
    order = sorted(range(len(node.names)), key=lambda axis: names.index(node.names[axis]))
    array = env.xp.transpose(array, order) if order else array
    full = tuple(EXTENT[name] if name in node.names else 1 for name in names)
    return env.xp.broadcast_to(env.xp.reshape(array, full), tuple(EXTENT[name] for name in names))


def bracketed(node: Node, *levels: str) -> str:
    return node.text if node.level in levels else f"({node.text})"


# ---------------------------------------------------------------- leaves


def number(text: str, value: float, kept: frozenset[str]) -> Node:
    return Node("atom", (), kept, text, lambda env: env.xp.asarray(value))


def access(name: str, subscript: Sequence[str], kept: frozenset[str], function: str = "") -> Node:
    """`A[i,j]`, `A[i,i]` (its diagonal, whoever sums it), or `inv(A)[i,j]` of a named tensor."""
    names = tuple(dict.fromkeys(subscript))
    inside = ",".join(subscript)
    head = f"{function}({name})" if function else name
    text = f"{head}[{inside}]" if subscript else head

    def compute(env: Env) -> Array:
        array = env.tensors[name]
        if function:
            array = MATRIX[function](env, array)
        return (
            env.xp.einsum(f"{''.join(subscript)}->{''.join(names)}", array) if subscript else array
        )

    return Node("atom", names, kept, text, compute)


def constant(kind: str, subscript: Names, sized: bool, kept: frozenset[str]) -> Node:
    """delta, eps, ones, zeros, size; `sized` writes the extents into the text."""
    inside = ",".join(f"{n}:{EXTENT[n]}" if sized else n for n in subscript)
    if kind == "size":
        return number(f"size[{inside}]", float(EXTENT[subscript[0]]), kept)
    shape = tuple(EXTENT[name] for name in subscript)
    if kind == "delta":
        array = np.eye(shape[0])
    elif kind == "eps":
        array = np.zeros(shape)
        for place in np.ndindex(*shape):
            if len(set(place)) == len(place):
                array[place] = np.linalg.det(np.eye(len(place))[list(place)])
    else:
        array = np.full(shape, float(kind == "ones"))
    return Node("atom", subscript, kept, f"{kind}[{inside}]", lambda env: env.xp.asarray(array))


# ---------------------------------------------------------------- products and sums


def product(
    factors: Sequence[Node], below: Sequence[bool], summed: frozenset[str], kept: frozenset[str]
) -> Node:
    """A chain of * and /, with the letters `summed` summed over it."""
    text = "1" if below[0] else ""
    for factor, under in zip(factors, below, strict=True):
        sign = "/" if under else "*" if text else ""
        text += sign + bracketed(factor, "atom", "power")
    names = tuple(name for name in first_appearance(factors) if name not in summed)

    def compute(env: Env) -> Array:
        arrays = []
        for factor, under in zip(factors, below, strict=True):
            array = factor.value(env)
            if under:
                env.away(array)
            arrays.append(1 / array if under else array)
        inputs = ",".join("".join(factor.names) for factor in factors)
        return env.xp.einsum(f"{inputs}->{''.join(names)}", *arrays)

    return Node(
        "product",
        names,
        kept,
        text,
        compute,
        tuple(factors),
        lambda new: product(new, below, summed, kept),
    )


def total(terms: Sequence[Node], signs: Sequence[int], kept: frozenset[str]) -> Node:
    """A sum; terms are repeated along the axes that they lack."""
    text = ""
    for term, sign in zip(terms, signs, strict=True):
        text += (" - " if sign < 0 else " + ") if text else "-" if sign < 0 else ""
        text += bracketed(term, "atom", "power", "product")
    names = first_appearance(terms)

    def compute(env: Env) -> Array:
        return sum(
            sign * aligned(env, term, names) for term, sign in zip(terms, signs, strict=True)
        )

    return Node(
        "sum", names, kept, text, compute, tuple(terms), lambda new: total(new, signs, kept)
    )


# ---------------------------------------------------------------- functions


def _margin_to_zero(env: Env, x: Array) -> Array:
    env.away(x)
    return x


def _tan(env: Env, x: Array) -> Array:
    env.away(env.xp.cos(x) / 4)
    return env.xp.tan(x)


def _maximum(env: Env, a: Array, b: Array, name: str) -> Array:
    env.away(a - b)
    return getattr(env.xp, name)(a, b)


def _atan2(env: Env, y: Array, x: Array) -> Array:
    return env.xp.arctan2(y, x)


# name -> (domain of each argument, value)
ELEMENTWISE: dict[str, tuple[tuple[str, ...], Callable[..., Array]]] = {
    "exp": (("small",), lambda env, x: env.xp.exp(x)),
    "expm1": (("small",), lambda env, x: env.xp.expm1(x)),
    "log": (("positive",), lambda env, x: env.xp.log(x)),
    "log1p": (("positive",), lambda env, x: env.xp.log1p(x)),
    "sqrt": (("positive",), lambda env, x: env.xp.sqrt(x)),
    "sin": (("real",), lambda env, x: env.xp.sin(x)),
    "cos": (("real",), lambda env, x: env.xp.cos(x)),
    "tan": (("small",), _tan),
    "asin": (("unit",), lambda env, x: env.xp.arcsin(x)),
    "acos": (("unit",), lambda env, x: env.xp.arccos(x)),
    "atan": (("real",), lambda env, x: env.xp.arctan(x)),
    "sinh": (("small",), lambda env, x: env.xp.sinh(x)),
    "cosh": (("small",), lambda env, x: env.xp.cosh(x)),
    "tanh": (("real",), lambda env, x: env.xp.tanh(x)),
    "sigmoid": (("real",), lambda env, x: 1 / (1 + env.xp.exp(-x))),
    "softplus": (("real",), lambda env, x: env.xp.log(1 + env.xp.exp(x))),
    "relu": (("real",), lambda env, x: env.xp.maximum(_margin_to_zero(env, x), 0)),
    "step": (("real",), lambda env, x: env.xp.where(_margin_to_zero(env, x) > 0, 1.0, 0.0)),
    "sign": (("real",), lambda env, x: env.xp.sign(_margin_to_zero(env, x))),
    "abs": (("real",), lambda env, x: env.xp.abs(_margin_to_zero(env, x))),
    "erf": (("real",), lambda env, x: env.special.erf(x)),
    "erfc": (("real",), lambda env, x: env.special.erfc(x)),
    "lgamma": (("positive",), lambda env, x: env.special.gammaln(x)),
    "digamma": (("positive",), lambda env, x: env.special.digamma(x)),
    "atan2": (("real", "positive"), _atan2),
    "max": (("real", "real"), lambda env, a, b: _maximum(env, a, b, "maximum")),
    "min": (("real", "real"), lambda env, a, b: _maximum(env, a, b, "minimum")),
}


def call(function: str, arguments: Sequence[Node], kept: frozenset[str]) -> Node:
    names = first_appearance(arguments)

    def compute(env: Env) -> Array:
        return ELEMENTWISE[function][1](env, *(aligned(env, a, names) for a in arguments))

    text = f"{function}({', '.join(a.text for a in arguments)})"
    return Node(
        "atom", names, kept, text, compute, tuple(arguments), lambda new: call(function, new, kept)
    )


def power(base: Node, exponent: Node, kept: frozenset[str], sign: str = "^") -> Node:
    names = first_appearance([base, exponent])

    def compute(env: Env) -> Array:
        p = aligned(env, exponent, names)
        x = aligned(env, base, names)
        if not exponent.children and not exponent.names and exponent.text.lstrip("-").isdigit():
            count = int(exponent.text)
            env.away(x) if count < 0 else None
            result = x
            for _ in range(abs(count) - 1):
                result = result * x
            return 1 / result if count < 0 else result
        return x**p

    text = f"{bracketed(base, 'atom')}{sign}{bracketed(exponent, 'atom')}"
    return Node(
        "power",
        names,
        kept,
        text,
        compute,
        (base, exponent),
        lambda new: power(new[0], new[1], kept, sign),
    )


COMPARISONS: dict[str, Callable[[Array, Array], Array]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def where(sign: str, nodes: Sequence[Node], kept: frozenset[str]) -> Node:
    """`where(left sign right, a, b)`."""
    left, right, a, b = nodes
    names = first_appearance(nodes)

    def compute(env: Env) -> Array:
        x, y, yes, no = (aligned(env, node, names) for node in nodes)
        env.away(x - y)
        return env.xp.where(COMPARISONS[sign](x, y), yes, no)

    text = f"where({left.text} {sign} {right.text}, {a.text}, {b.text})"
    return Node(
        "atom", names, kept, text, compute, tuple(nodes), lambda new: where(sign, new, kept)
    )


def _extreme(env: Env, x: Array, axes: tuple[int, ...], name: str) -> Array:
    if env.checked:
        count = int(np.prod([x.shape[axis] for axis in axes]))
        flat = np.moveaxis(x, axes, range(-len(axes), 0)).reshape(-1, count)
        env.away(np.diff(np.sort(flat, axis=1), axis=1), np.argsort(flat, axis=1))
    return getattr(env.xp, name)(x, axis=axes)


def _softmax(env: Env, x: Array, axes: tuple[int, ...]) -> Array:
    e = env.xp.exp(x)
    return e / env.xp.sum(e, axis=axes, keepdims=True)


REDUCTIONS: dict[str, Callable[[Env, Array, tuple[int, ...]], Array]] = {
    "sum": lambda env, x, axes: env.xp.sum(x, axis=axes),
    "mean": lambda env, x, axes: env.xp.mean(x, axis=axes),
    "prod": lambda env, x, axes: env.xp.prod(x, axis=axes),
    "max": lambda env, x, axes: _extreme(env, x, axes, "max"),
    "min": lambda env, x, axes: _extreme(env, x, axes, "min"),
    "logsumexp": lambda env, x, axes: env.xp.log(env.xp.sum(env.xp.exp(x), axis=axes)),
}
NORMALISATIONS: dict[str, Callable[[Env, Array, tuple[int, ...]], Array]] = {
    "softmax": _softmax,
    "logsoftmax": lambda env, x, axes: env.xp.log(_softmax(env, x, axes)),
}


def reduction(name: str, over: Names, inner: Node, kept: frozenset[str]) -> Node:
    """`sum[i,j](e)` and the like; the normalisations keep the axes."""
    table = REDUCTIONS | NORMALISATIONS
    keeps = name in NORMALISATIONS
    names = inner.names if keeps else tuple(n for n in inner.names if n not in over)
    axes = tuple(inner.names.index(n) for n in over)
    return Node(
        "atom",
        names,
        kept,
        f"{name}[{','.join(over)}]({inner.text})",
        lambda env: table[name](env, inner.value(env), axes),
        (inner,),
        lambda new: reduction(name, over, new[0], kept),
    )


def _cholesky(env: Env, x: Array) -> Array:
    return env.xp.linalg.cholesky((x + env.xp.swapaxes(x, -1, -2)) / 2)


MATRIX: dict[str, Callable[[Env, Array], Array]] = {
    "inv": lambda env, x: env.xp.linalg.inv(x),
    "cholesky": _cholesky,
    "tril": lambda env, x: env.xp.tril(x),
    "det": lambda env, x: env.xp.linalg.det(x),
    "logdet": lambda env, x: env.xp.linalg.slogdet(x)[1],
    "tr": lambda env, x: env.xp.einsum("...ii->...", x),
}


def matrix_function(
    name: str, rows: Names, inner: Node, behind: Names, kept: frozenset[str]
) -> Node:
    """`inv[i,j](e)[p,q]` with the free indices of e that are neither i nor j in front."""
    batch = tuple(n for n in inner.names if n not in rows)
    names = tuple(dict.fromkeys((*batch, *behind)))

    def compute(env: Env) -> Array:
        array = MATRIX[name](env, aligned(env, inner, (*batch, *rows)))
        return env.xp.einsum(f"{''.join((*batch, *behind))}->{''.join(names)}", array)

    text = f"{name}[{','.join(rows)}]({inner.text})" + (f"[{','.join(behind)}]" if behind else "")
    return Node(
        "atom",
        names,
        kept,
        text,
        compute,
        (inner,),
        lambda new: matrix_function(name, rows, new[0], behind, kept),
    )


def solve(rows: Names, matrix: Node, right: Node, behind: str, kept: frozenset[str]) -> Node:
    """`solve[i,j](A, b)[p]`."""
    i, j = rows
    batch = tuple(n for n in matrix.names if n not in rows)
    rest = tuple(n for n in right.names if n != i and n not in batch)
    names = (*batch, *rest, behind)

    def compute(env: Env) -> Array:
        inverse = env.xp.linalg.inv(aligned(env, matrix, (*batch, *rows)))  # its axes: batch, j, i
        out = f"{''.join((*batch, *rest))}{j}"
        return env.xp.einsum(
            f"{''.join(batch)}{j}{i},{''.join(right.names)}->{out}", inverse, right.value(env)
        )

    text = f"solve[{i},{j}]({matrix.text}, {right.text})[{behind}]"
    return Node(
        "atom",
        names,
        kept,
        text,
        compute,
        (matrix, right),
        lambda new: solve(rows, new[0], new[1], behind, kept),
    )


# ---------------------------------------------------------------- programs


@dataclass(frozen=True)
class Tensor:
    """A variable: its extents and how to sample it."""

    shape: tuple[int, ...]
    kind: str  # real, positive, symmetric, regular, spd

    def sample(self, rng: np.random.Generator) -> Array:
        x = rng.uniform(-1.5, 1.5, self.shape)
        if self.kind == "positive":
            return np.abs(x) + 0.4
        if self.kind in ("regular", "spd"):
            x = x / 3 + 3 * np.eye(self.shape[-1])
        if self.kind in ("symmetric", "spd"):
            x = (x + np.swapaxes(x, -1, -2)) / 2
        return x


@dataclass(frozen=True)
class Statement:
    name: str | None
    left: Names | None
    node: Node

    @property
    def names(self) -> Names:
        return self.node.names if self.left is None else self.left

    @property
    def text(self) -> str:
        if self.name is None:
            return self.node.text
        left = f"[{','.join(self.left)}]" if self.left else ""
        return f"{self.name}{left} = {self.node.text}"


@dataclass(frozen=True)
class Program:
    """A program, its tensors, and what it means."""

    seed: int
    statements: tuple[Statement, ...]
    tensors: dict[str, Tensor]
    mode: str  # how extents are given: numbers, names, text, not at all
    assumed: bool
    arrays: dict[str, Array] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "\n".join([*self._declarations(), *(s.text for s in self.statements)])

    def _declarations(self) -> list[str]:
        if self.mode != "text":
            return []
        return [
            f"{name} : ({', '.join(map(str, t.shape))})"
            for name, t in self.tensors.items()
            if t.shape
        ]

    @property
    def shapes(self) -> dict[str, tuple[int | str, ...]] | None:
        """What to pass as `shapes=`."""
        if self.mode == "numbers":
            return {name: t.shape for name, t in self.tensors.items()}
        if self.mode == "names":
            return {name: tuple(f"n{d}" for d in t.shape) for name, t in self.tensors.items()}
        return None

    @property
    def assume(self) -> dict[str, str] | None:
        """What to pass as `assume=`."""
        if not self.assumed:
            return None
        words = {"positive": "positive", "symmetric": "symmetric", "spd": "spd"}
        return {n: words[t.kind] for n, t in self.tensors.items() if t.kind in words}

    @property
    def names(self) -> Names:
        """The result's axes."""
        return self.statements[-1].names

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(EXTENT[name] for name in self.names)

    def value(
        self, xp: Any, functions: Any, arrays: dict[str, Array], checked: bool = False
    ) -> Array:
        """The result, computed with `xp` (numpy or jax.numpy) and its special functions."""
        return self._run(Env(xp, functions, dict(arrays), checked))

    def branches(self, **arrays: Array) -> list[bytes] | None:
        """On which sides of all kinks these arrays lie; None if they are too near one."""
        env = Env(np, special, {**self.arrays, **arrays}, checked=True)
        try:
            self._run(env)
        except WildSampleError:
            return None
        return env.branches

    def _run(self, env: Env) -> Array:
        for statement in self.statements:
            result = aligned(env, statement.node, statement.names)
            if statement.name is not None:
                env.tensors[statement.name] = result
        return result

    def numpy(self, **arrays: Array) -> Array:
        """The result in NumPy; tensors that are not given are those of the sample."""
        return self.value(np, special, {**self.arrays, **arrays})

    def sampled(self) -> Program | None:
        """The program with arrays away from kinks, None if 20 draws found none."""
        rng = np.random.default_rng(self.seed)
        for _ in range(20):
            arrays = {name: t.sample(rng) for name, t in self.tensors.items()}
            try:
                with np.errstate(all="ignore"):
                    value = self.value(np, special, arrays, checked=True)
            except (WildSampleError, np.linalg.LinAlgError):
                continue
            if np.all(np.isfinite(value)):
                return replace(self, arrays=arrays)
        return None

    # ------------------------------------------------------------ smaller programs

    def smaller(self) -> Iterator[Program]:
        """Programs with one piece left out or replaced by a plain tensor, those most reduced first."""
        for place in range(len(self.statements) - 1):
            name = self.statements[place].name
            if not any(f"{name}" in s.node.text for s in self.statements[place + 1 :]):
                yield replace(
                    self, statements=self.statements[:place] + self.statements[place + 1 :]
                )
        for number, statement in enumerate(self.statements):
            for node in _smaller_nodes(statement.node, self._fresh()):
                if set(node.names) != set(statement.node.names):
                    continue
                new = replace(statement, node=node)
                statements = (*self.statements[:number], new, *self.statements[number + 1 :])
                yield replace(self, statements=statements).without_unused()
        if self.mode != "none":
            yield replace(self, mode="none")
        if self.assumed:
            yield replace(self, assumed=False)

    def _fresh(self) -> str:
        return next(f"z{k}" for k in range(100) if f"z{k}" not in self.tensors)

    def without_unused(self) -> Program:
        """The program with the tensors its text mentions, plain ones declared as they are used."""
        text = "\n".join(s.text for s in self.statements)
        words = set(re.findall(r"\w+", text))
        tensors = {n: t for n, t in self.tensors.items() if n in words or n == "Zd"}
        name = self._fresh()
        if name in text:
            subscript = (
                text.split(name + "[", 1)[1].split("]", 1)[0].split(",")
                if name + "[" in text
                else []
            )
            tensors[name] = Tensor(tuple(EXTENT[letter] for letter in subscript), "real")
        return replace(self, tensors=tensors, arrays={})


def _smaller_nodes(node: Node, fresh: str) -> Iterator[Node]:
    names = set(node.names)
    if node.text != fresh and node.children:
        yield access(fresh, node.names, node.kept)
    stack = list(node.children)
    while stack:  # a descendant in the node's place
        below = stack.pop()
        if set(below.names) == names and below.kept == node.kept:
            yield below
        stack += below.children
    if node.level == "sum" and node.make is not None and len(node.children) > 1:
        for place in range(len(node.children)):
            rest = node.children[:place] + node.children[place + 1 :]
            if set(first_appearance(rest)) == names:
                yield total(rest, [1] * len(rest), node.kept)
    if node.level == "product" and node.make is not None and len(node.children) > 1:
        for place, factor in enumerate(node.children):
            if not factor.names:
                rest = [c for k, c in enumerate(node.children) if k != place]
                summed = frozenset(first_appearance(rest)) - names
                yield product(rest, [False] * len(rest), summed, node.kept)
    for place, child in enumerate(node.children):
        for new in _smaller_nodes(child, fresh):
            if set(new.names) == set(child.names) and node.make is not None:
                yield node.make([*node.children[:place], new, *node.children[place + 1 :]])


# ---------------------------------------------------------------- the generator


class Generator:
    """One program from one random stream."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.mode = self.random.choice(["numbers", "names", "text", "none"])
        self.tensors: dict[str, Tensor] = {}
        self.defined: dict[str, tuple[int, ...]] = {}
        if self.mode == "names":
            self.tensors["Zd"] = Tensor((2, 3, 4), "real")  # tells every named extent

    # ------------------------------------------------------------ choices

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def letters(self, count: int, avoid: frozenset[str], like: str | None = None) -> Names:
        """Distinct letters not in `avoid`, with the extent of `like` if given."""
        pool = [c for c in EXTENT if c not in avoid and (like is None or EXTENT[c] == EXTENT[like])]
        return tuple(self.random.sample(pool, min(count, len(pool))))

    def tensor(self, shape: tuple[int, ...], kind: str = "real") -> str:
        """A variable of this shape, most often one that stands there already."""
        known = [n for n, t in self.tensors.items() if (t.shape, t.kind) == (shape, kind)]
        if known and self.chance(0.7):
            return self.random.choice(known)
        letter = {
            "real": "x" if len(shape) < 2 else "A",
            "positive": "P",
            "symmetric": "Q",
            "regular": "R",
            "spd": "S",
        }[kind]
        name = next(f"{letter}{k}" for k in range(100) if f"{letter}{k}" not in self.tensors)
        self.tensors[name] = Tensor(shape, kind)
        return name

    # ------------------------------------------------------------ programs

    def program(self, depth: int) -> Program:
        statements = []
        for k in range(self.random.choice([0, 0, 0, 1, 1, 2])):
            left = self.letters(self.random.choice([0, 1, 1, 2]), frozenset())
            node = self.expression(left, frozenset(left), frozenset(left), depth - 1)
            name = f"r{k}"
            statements.append(Statement(name, left, node))
            self.defined[name] = tuple(EXTENT[n] for n in left)
        wanted = self.letters(self.random.choice([0, 0, 0, 0, 1, 1, 2]), frozenset())
        has_left = self.chance(0.5)
        kept = frozenset(wanted) if has_left else frozenset()
        node = self.expression(wanted, kept, frozenset(wanted), depth)
        statements.append(Statement("y" if has_left else None, wanted if has_left else None, node))
        return Program(self.seed, tuple(statements), self.tensors, self.mode, self.chance(0.3))

    def expression(
        self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int
    ) -> Node:
        """A sum of terms whose free indices together are `free`."""
        count = self.random.choice([1, 1, 2, 2, 3]) if depth > 0 else 1
        if count == 1:
            return self.term(free, kept, avoid, depth)
        terms = []
        for k in range(count):
            own = free
            if k and self.chance(0.25):
                if set(free) <= kept:  # a term may lack what a left-hand side or reduction names
                    own = tuple(n for n in free if self.chance(0.5))
                else:
                    own = ()
            terms.append(self.term(own, kept, avoid, depth - 1))
        order = self.random.sample(range(count), count)
        terms = [terms[k] for k in order]
        return total(terms, [self.random.choice([1, 1, -1]) for _ in terms], kept)

    def term(self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int) -> Node:
        if depth <= 0 or self.chance(0.25):
            return self.factor(free, kept, avoid, depth)
        return self.product(free, kept, avoid, depth)

    def product(self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int) -> Node:
        count = self.random.choice([1, 2, 2, 3])
        summed = self.letters(self.random.choice([0, 1, 1, 2]), avoid)
        places: list[list[str]] = [[] for _ in range(count)]
        twice: list[set[str]] = [set() for _ in range(count)]
        for n in free:
            many = self.random.randint(1, count) if n in kept else 1
            for k in self.random.sample(range(count), many):
                places[k].append(n)
        for n in summed:
            if count == 1 or self.chance(0.2):
                k = self.random.randrange(count)
                places[k].append(n)
                twice[k].add(n)
                others = [o for o in range(count) if o != k]
                if others and self.chance(0.3):
                    places[self.random.choice(others)].append(n)
            else:
                for k in self.random.sample(range(count), self.random.randint(2, count)):
                    places[k].append(n)
        trio = self.letters(3, avoid | set(summed), "i") if self.chance(0.03) else ()
        trio = trio if len(trio) == 3 else ()
        summed = (*summed, *trio)
        inside = avoid | set(summed)
        factors, below = [], []
        for own, doubled in zip(places, twice, strict=True):
            self.random.shuffle(own)
            if doubled or len(own) > 3:
                factors.append(self.plain_access(own, kept, doubled))
                below.append(False)
            elif self.chance(0.15):
                factors.append(self.positive(tuple(own), kept, inside, depth - 1))
                below.append(True)
            else:
                factors.append(self.factor(tuple(own), kept, inside, depth - 1))
                below.append(False)
        if trio:  # a determinant of sorts: eps[i,j,k]*A[k,i,j]
            factors += [
                constant("eps", trio, True, kept),
                self.plain_access(self.random.sample(trio, 3), kept, set()),
            ]
            below += [False, False]
            count += 2
        if self.chance(0.3):
            coefficient = self.random.choice(["2", "3", "1/2", "3/4", "0.25", "-2"])
            place = 0 if "/" in coefficient or "-" in coefficient else self.random.randint(0, count)
            over, _, under = coefficient.partition("/")
            new = [number(over, float(over), kept)]
            if under:
                new.append(number(under, float(under), kept))
            factors[place:place] = new
            below[place:place] = [False, True][: len(new)]
        return product(factors, below, frozenset(summed), kept)

    # ------------------------------------------------------------ factors

    def factor(self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int) -> Node:
        if depth <= 0 or self.chance(0.3):
            return self.leaf(free, kept)
        square = len({EXTENT[n] for n in free}) < len(free) <= 3  # fits rows and columns
        if square and self.chance(0.3):
            return self.matrix(free, kept, avoid, depth)
        makers = [
            self.group,
            self.elementwise,
            self.elementwise,
            self.reduced,
            self.raised,
            self.chosen,
            self.normalised,
            self.matrix,
            self.shadowed,
        ]
        return self.random.choice(makers)(free, kept, avoid, depth)

    def leaf(self, free: Names, kept: frozenset[str]) -> Node:
        if not free and self.chance(0.4):
            text = self.random.choice(["2", "3", "1.5", "pi", "1"])
            return number(text, np.pi if text == "pi" else float(text), kept)
        if free and self.chance(0.12):
            kind = self.random.choice(["ones", "ones", "delta", "eps", "size", "zeros"])
            same = len({EXTENT[n] for n in free}) == 1
            sized = True  # nothing else may tell the extent
            if kind == "size":
                inner = self.plain_access(list(free), kept, set())
                return product(
                    [constant("size", free[:1], sized, kept), inner], [False] * 2, frozenset(), kept
                )
            if (
                kind == "ones"
                or (kind == "zeros" and self.chance(0.3))
                or (kind == "delta" and len(free) == 2 and same)
                or (kind == "eps" and len(free) == EXTENT[free[0]] in (2, 3) and same)
            ):
                return constant(kind, free, sized, kept)
        doubled = {n for n in free if n in kept and len(free) < 3 and self.chance(0.15)}
        return self.plain_access(list(free), kept, doubled)

    def plain_access(self, free: list[str], kept: frozenset[str], doubled: set[str]) -> Node:
        subscript = [*free, *(n for n in free if n in doubled)]
        self.random.shuffle(subscript)
        shape = tuple(EXTENT[n] for n in subscript)
        fitting = [name for name, other in self.defined.items() if other == shape]
        if fitting and self.chance(0.6):
            return access(self.random.choice(fitting), subscript, kept)
        square = len(shape) in (2, 3) and shape[-1] == shape[-2]
        if square and self.chance(0.35):
            kind = (
                "regular"
                if len(shape) == 3
                else self.random.choice(["regular", "spd", "symmetric"])
            )
            name = self.tensor(shape, kind)
            functions = {
                "regular": ["", "inv", "tril"],
                "spd": ["", "inv", "cholesky"],
                "symmetric": [""],
            }
            return access(name, subscript, kept, self.random.choice(functions[kind]))
        kind = "positive" if self.chance(0.15) else "real"
        return access(self.tensor(shape, kind), subscript, kept)

    def group(self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int) -> Node:
        return self.expression(free, kept, avoid, depth - 1)

    def positive(
        self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int
    ) -> Node:
        """Something between about 0.3 and LARGEST."""
        if depth <= 0 or self.chance(0.3):
            return access(self.tensor(tuple(EXTENT[n] for n in free), "positive"), free, kept)
        inner = self.expression(free, kept, avoid, depth - 1)
        kind = self.random.choice(["square", "exp", "cosh", "softmax"])
        if kind == "square":
            shift = self.random.choice(["1", "1/2", "2"])
            two = number("2", 2.0, kept)
            c = number(shift, eval(shift), kept)
            return total([power(inner, two, kept), c], [1, 1], kept)
        return call("cosh" if kind == "softmax" else kind, [self.small(inner, kept)], kept)

    def small(self, inner: Node, kept: frozenset[str]) -> Node:
        """A bounded version, so that exponentials stay small."""
        if not inner.children or self.chance(0.2):
            return inner
        bounded = call(self.random.choice(["tanh", "sin", "atan"]), [inner], kept)
        return bounded

    def argument(
        self, domain: str, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int
    ) -> Node:
        if domain == "positive":
            return self.positive(free, kept, avoid, depth)
        inner = self.expression(free, kept, avoid, depth)
        if domain == "small":
            return self.small(inner, kept)
        if domain == "unit":
            bounded = call(self.random.choice(["sin", "tanh"]), [inner], kept)
            return product([bounded, number("2", 2.0, kept)], [False, True], frozenset(), kept)
        return inner

    def elementwise(
        self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int
    ) -> Node:
        function = self.random.choice(list(ELEMENTWISE))
        domains = ELEMENTWISE[function][0]
        owns: list[Names] = [free] * len(domains)
        if len(domains) > 1 and self.chance(0.3):
            owns[self.random.randrange(len(domains))] = ()
        arguments = [
            self.argument(domain, own, kept, avoid, depth - 1)
            for domain, own in zip(domains, owns, strict=True)
        ]
        return call(function, arguments, kept)

    def raised(self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int) -> Node:
        kind = self.random.choice(["square", "cube", "fraction", "negative", "variable", "general"])
        if kind in ("square", "cube"):
            base = self.factor(free, kept, avoid, depth - 1)
            return power(
                base,
                number("2" if kind == "square" else "3", 0.0, kept),
                kept,
                self.random.choice(["^", "**"]),
            )
        base = self.positive(free, kept, avoid, depth - 1)
        if kind == "negative":
            return power(base, number(self.random.choice(["-1", "-2"]), 0.0, kept), kept)
        if kind == "fraction":
            text = self.random.choice(["1/2", "3/2", "-1/2", "1/3", "0.3"])
            return power(base, number(f"({text})", eval(text), kept), kept)
        own = () if kind == "variable" else free
        return power(base, self.small(self.factor(own, kept, avoid, depth - 2), kept), kept)

    def chosen(self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int) -> Node:
        owns = [free if self.chance(0.7) else () for _ in range(4)]
        owns[self.random.randrange(4)] = free
        nodes = [self.expression(own, kept, avoid, depth - 2) for own in owns]
        return where(self.random.choice(list(COMPARISONS)), nodes, kept)

    def reduced(self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int) -> Node:
        over = self.letters(self.random.choice([1, 1, 2]), avoid)
        if len(free) + len(over) > MOST_AXES:
            return self.leaf(free, kept)
        name = self.random.choice(list(REDUCTIONS))
        both = self.random.sample([*free, *over], len(free) + len(over))
        inner = self.expression(tuple(both), kept | set(over), avoid | set(over), depth - 1)
        if name == "logsumexp":
            inner = self.small(inner, inner.kept)
        return reduction(name, over, inner, kept)

    def normalised(
        self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int
    ) -> Node:
        if not free:
            return self.reduced(free, kept, avoid, depth)
        over = tuple(self.random.sample(free, min(len(free), self.random.choice([1, 1, 2]))))
        inner = self.expression(free, kept | set(over), avoid, depth - 1)
        return reduction(
            self.random.choice(list(NORMALISATIONS)), over, self.small(inner, inner.kept), kept
        )

    def shadowed(
        self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int
    ) -> Node:
        """`sum[i](e)` where i is a free index outside as well."""
        outside = [n for n in avoid if n not in free]
        if not outside or len(free) >= MOST_AXES:
            return self.reduced(free, kept, avoid, depth)
        over = (self.random.choice(sorted(outside)),)
        inner = self.expression((*free, *over), kept | set(over), avoid, depth - 1)
        return reduction(self.random.choice(["sum", "mean", "prod"]), over, inner, kept)

    def matrix(self, free: Names, kept: frozenset[str], avoid: frozenset[str], depth: int) -> Node:
        """A matrix function of 4 delta + something small, with at most one batch axis."""
        free = tuple(self.random.sample(free, len(free)))
        pairs = [(p, q) for p in free for q in free if p != q and EXTENT[p] == EXTENT[q]]
        if pairs and len(free) <= 3 and self.chance(0.7):
            behind: Names = self.random.choice(pairs)
            name = self.random.choice(["inv", "inv", "cholesky", "tril", "tril"])
        elif free and len(free) <= 2 and free[0] in kept and self.chance(0.5):
            behind, name = (free[0], free[0]), self.random.choice(["inv", "cholesky"])
        elif free and len(free) <= 2 and self.chance(0.6):
            behind, name = (free[0],), "solve"
        elif len(free) <= 1:
            behind, name = (), self.random.choice(["det", "logdet", "tr"])
        else:
            return self.leaf(free, kept)
        batch = tuple(n for n in free if n not in behind)
        if behind and self.chance(0.15) and len(set(behind)) == 2:
            rows: Names = behind[::-1]  # inv[i,j](...)[j,i]
        else:
            rows = self.letters(2, avoid, behind[0] if behind else None)
            if not behind:
                rows = self.letters(2, avoid, rows[0])
        if len(rows) < 2 or len({EXTENT[n] for n in rows}) > 1:
            return self.leaf(free, kept)
        inside = kept | set(rows)
        around = avoid | set(rows)
        square = self.well_conditioned(rows, batch, inside, around, depth)
        if name == "solve":
            extra = tuple(n for n in batch if self.chance(0.5))
            right = self.expression((rows[0], *extra), inside, around, depth - 2)
            return solve(rows, square, right, behind[0], kept)
        return matrix_function(name, rows, square, behind, kept)

    def well_conditioned(
        self, rows: Names, batch: Names, kept: frozenset[str], avoid: frozenset[str], depth: int
    ) -> Node:
        names = tuple(self.random.sample((*rows, *batch), len(rows) + len(batch)))
        wild = self.expression(names, kept, avoid, depth - 2)
        small = product(
            [call(self.random.choice(["tanh", "sin"]), [wild], kept), number("2", 2.0, kept)],
            [False, True],
            frozenset(),
            kept,
        )
        factors = [number("4", 4.0, kept), constant("delta", rows, False, kept)]
        if batch and not set(batch) <= kept:
            factors.append(constant("ones", batch, False, kept))
        big = product(factors, [False] * len(factors), frozenset(), kept)
        terms = [small, big] if self.chance(0.5) else [big, small]
        return total(terms, [1, 1], kept)


def random_program(seed: int, depth: int | None = None) -> Program:
    """The program of a seed, with arrays; depth 1 to 5 unless given."""
    attempt = 0
    while True:
        own = seed * 1000 + attempt
        generator = Generator(own)
        levels = depth if depth is not None else generator.random.choice([1, 2, 3, 3, 4, 5])
        found = generator.program(levels).sampled()
        if found is not None and len(found.text) < 600:
            return found
        attempt += 1
