"""Random index-notation programs, each with its meaning in NumPy or JAX, made from the same choices.

In: a seed. Out: a `Program`: text, shapes, assumptions, arrays away from kinks, and a function over arrays.
Invariant: nothing here imports einderiv, so the function is an oracle for parser, derivatives and programs.
The generator decides which letters are summed and writes text in which the convention sums just these.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import special

from tests.random_nodes import (
    COMPARISONS,
    ELEMENTWISE,
    EXTENT,
    MOST_AXES,
    NORMALISATIONS,
    REDUCTIONS,
    Array,
    Env,
    Names,
    Node,
    WildSampleError,
    access,
    aligned,
    call,
    constant,
    first_appearance,
    matrix_function,
    number,
    power,
    product,
    reduction,
    solve,
    total,
    where,
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
        for place, statement in enumerate(self.statements):
            for node in _smaller_nodes(statement.node, self._fresh()):
                if set(node.names) != set(statement.node.names):
                    continue
                new = replace(statement, node=node)
                statements = (*self.statements[:place], new, *self.statements[place + 1 :])
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
