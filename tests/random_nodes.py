"""Random expressions by node: a text in index notation and an independent value, side by side.

The programs made of them: random_programs.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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
