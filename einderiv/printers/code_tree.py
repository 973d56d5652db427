"""Array code as interned trees: names, numbers, operators and calls, before they become text.

In: trees made by a `Builder`, names and paths minted by this package.
Out: trees in which equal code is one object, so that what is needed twice can be seen.
Invariant: `rank` is the number of axes of the value; a tree of kind `number` is a Python number at run time.
Next: `code_text.py` writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from string import ascii_uppercase

from ..expr import Dim

ARRAY, NUMBER, TRUTH = "array", "number", "truth"

LETTERS = "ijklmnpqrstuvwabcdefgh" + "xyzo" + ascii_uppercase  # of einsum equations
_LINEAR = {"diag", "outer", "einsum", "sum", "trace"}  # functions of which -f(x) is f(-x)
_DEEP = 12  # how far a transpose is pushed into products and sums

Options = tuple[tuple[str, str], ...]  # keyword arguments as text


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """One operation on others.

    `op`: name, value, extent, add, multiply, matmul, power, transpose, index, call, compare, choose, tuple.
    `data`: what else the operation needs, as `Builder` puts it there.
    """

    op: str
    args: tuple[Code, ...]
    data: tuple[object, ...]
    rank: int
    kind: str


class Builder:
    """Makes trees; equal ones are one object."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Code] = {}
        self._flips: dict[Code, tuple[int, int, int]] = {}
        self.shared: set[Code] = set()  # trees that stay as they are, since several places use them

    def node(
        self,
        op: str,
        args: Sequence[Code] = (),
        data: tuple[object, ...] = (),
        rank: int = 0,
        kind: str = ARRAY,
    ) -> Code:
        """The tree of this operation."""
        key = (op, tuple(args), data, rank, kind)
        if key not in self._known:
            self._known[key] = Code(op, tuple(args), data, rank, kind)
            if rank == 2:
                self._flip_counts(self._known[key])  # those of the arguments are known: no descent
        return self._known[key]

    def keep(self, code: Code) -> None:
        """Leave this tree as it is: several places use it."""
        if code.op in ("matmul", "add", "multiply", "call"):
            self.shared.add(code)
            if code.rank == 2:
                self._flips[code] = (0, 1, 0)

    def name(self, text: str, rank: int) -> Code:
        """A parameter of the function."""
        return self.node("name", (), (text,), rank)

    def value(self, number: Fraction | int) -> Code:
        """A rational number."""
        return self.node("value", (), (Fraction(number),), 0, NUMBER)

    def extent(self, dim: Dim) -> Code:
        """The extent of an axis."""
        if isinstance(dim, int):
            return self.value(dim)
        return self.node("extent", (), (dim,), 0, NUMBER)

    def call(
        self, path: str, args: Sequence[Code], rank: int, options: Options = (), kind: str = ARRAY
    ) -> Code:
        """`path(args, options)`."""
        return self.node("call", args, (path, options), rank, kind)

    def add(self, terms: Iterable[tuple[Fraction, Code]]) -> Code:
        """A sum of multiples."""
        multiples = list(terms)
        if len(multiples) == 1 and multiples[0][0] < 0:
            ((factor, term),) = multiples
            other = self._sign_changed(term)
            multiples = [(factor, term)] if other is None else [(-factor, other)]
        parts = [(c < 0, self.scaled(abs(c), term)) for c, term in multiples]
        if len(parts) == 1 and not parts[0][0]:
            return parts[0][1]
        args = tuple(part for _, part in parts)
        return self.node("add", args, tuple(m for m, _ in parts), highest(args), _kind(args))

    def _sign_changed(self, code: Code, deep: int = 3) -> Code | None:
        """-(a - b) as b - a, -diag(a - b) as diag(b - a): where that leaves no more minus signs."""
        if code in self.shared or not deep:
            return None
        if code.op == "add" and 2 * code.data.count(True) >= len(code.args):
            pairs = sorted(((not m, k) for k, m in enumerate(code.data)), key=lambda p: p[0])
            args = tuple(code.args[k] for _, k in pairs)
            if len(args) == 1:
                return args[0]
            return self.node("add", args, tuple(minus for minus, _ in pairs), code.rank, code.kind)
        linear = code.op in ("multiply", "matmul", "transpose", "index")
        if code.op == "call":
            linear = str(code.data[0]).rpartition(".")[2] in _LINEAR
        for place, arg in enumerate(code.args if linear else ()):
            other = self._sign_changed(arg, deep - 1)
            if other is not None:
                args = (*code.args[:place], other, *code.args[place + 1 :])
                return self.node(code.op, args, code.data, code.rank, code.kind)
        return None

    def scaled(self, factor: Fraction, code: Code) -> Code:
        """A multiple."""
        if factor == 1:
            return code
        return self.multiply([(self.value(factor), False), (code, False)])

    def multiply(self, factors: Sequence[tuple[Code, bool]]) -> Code:
        """The product entry by entry of factors; divided by those with True."""
        kept = [(code, below) for code, below in factors if not _is_one(code)]
        if not kept:
            return self.value(1)
        if len(kept) == 1 and not kept[0][1]:
            return kept[0][0]
        args = tuple(code for code, _ in kept)
        return self.node("multiply", args, tuple(b for _, b in kept), highest(args), _kind(args))

    def power(self, base: Code, exponent: Code) -> Code:
        """`base ** exponent` entry by entry."""
        if _is_one(exponent):
            return base
        args = (base, exponent)
        return self.node("power", args, (), highest(args), _kind(args))

    def matmul(self, left: Code, right: Code) -> Code:
        """`left @ right`, of vectors and matrices, or of stacks of matrices."""
        if left.rank < 2 or right.rank < 2:
            rank = left.rank + right.rank - 2
        else:
            rank = max(left.rank, right.rank)
        return self.node("matmul", (left, right), (), rank)

    def transpose(self, code: Code) -> Code:
        """The transpose of a matrix; that of its parts where it takes no more of them."""
        assert code.rank == 2, code
        if code.op == "transpose":
            return code.args[0]
        as_it_is, turned, _ = self._flip_counts(code)
        if code.op not in ("matmul", "add", "multiply") or turned > as_it_is:
            return self.node("transpose", (code,), (), 2)
        parts = [self.transpose(arg) if arg.rank == 2 else arg for arg in code.args]
        if code.op == "matmul":
            return self.matmul(parts[1], parts[0])
        return self.node(code.op, parts, code.data, 2, code.kind)

    def _flip_counts(self, code: Code) -> tuple[int, int, int]:
        """How many transposes a matrix shows, how many its transpose would, how deep it was looked into."""
        if code in self._flips:
            return self._flips[code]
        counts = (0, 1, 0)
        if code.op == "transpose":
            counts = (1, 0, 0)
        elif (
            code.op in ("add", "multiply", "matmul") and code.rank == 2 and code not in self.shared
        ):
            inner = [self._flip_counts(arg) for arg in code.args if arg.rank == 2]
            plain = all(arg.rank in (0, 2) and arg.op != "index" for arg in code.args)
            depth = 1 + max((d for _, _, d in inner), default=0)
            if plain and inner and depth < _DEEP:
                counts = (sum(a for a, _, _ in inner), sum(b for _, b, _ in inner), depth)
        self._flips[code] = counts
        return counts

    def reordered(
        self, code: Code, axes: tuple[int, ...], einsum: str, deep: int = 3
    ) -> Code | None:
        """A sum of einsums with the axes of each in another order; None where it is something else."""
        if code in self.shared:
            return None
        if code.op == "call" and code.data[0] == einsum:
            inputs, _, output = str(code.args[0].data[0]).partition("->")
            text = in_order(f"{inputs}->{''.join(output[axis] for axis in axes)}")
            args = (self.node("text", (), (text,)), *code.args[1:])
            return self.node("call", args, code.data, code.rank)
        if code.op not in ("add", "multiply") or not deep:
            return None
        parts = []
        for arg in code.args:
            whole = arg.rank == code.rank
            part = self.reordered(arg, axes, einsum, deep - 1) if whole else arg
            if part is None or (arg.rank and not whole):
                return None
            parts.append(part)
        return self.node(code.op, parts, code.data, code.rank, code.kind)

    def spread(self, code: Code, pattern: Sequence[bool]) -> Code:
        """`code[:, None]`: an axis of its own where the pattern has True, a new one where it has False.

        Leading new axes are left out, since broadcasting adds them.
        """
        places = list(pattern)
        while places and not places[0]:
            del places[0]
        if all(places):
            return code
        return self.node("index", (code,), tuple(places), len(places))

    def compare(self, symbol: str, left: Code, right: Code) -> Code:
        """`left < right`."""
        return self.node("compare", (left, right), (symbol,), highest((left, right)), TRUTH)

    def shape(self, dims: Sequence[Dim]) -> Code:
        """A tuple of extents."""
        return self.node("tuple", [self.extent(dim) for dim in dims], (), 0, NUMBER)


def in_order(equation: str) -> str:
    """The equation with the letters of its output in order.

    >>> in_order("ab,bc->ca")
    'jk,ki->ij'
    """
    inputs, _, output = equation.partition("->")
    met = dict.fromkeys(output + inputs.replace(",", ""))
    return equation.translate(str.maketrans("".join(met), LETTERS[: len(met)]))


def highest(codes: Iterable[Code]) -> int:
    """The rank of what is broadcast together."""
    return max((code.rank for code in codes), default=0)


def all_numbers(codes: Iterable[Code]) -> bool:
    """Are these Python numbers at run time?"""
    return all(code.kind == NUMBER for code in codes)


def below(roots: Iterable[Code]) -> list[Code]:
    """Every tree under `roots` once, arguments first."""
    seen: set[Code] = set()
    ordered: list[Code] = []
    for root in roots:
        stack = [(root, False)]
        while stack:
            code, done = stack.pop()
            if done:
                ordered.append(code)
            elif code not in seen:
                seen.add(code)
                stack.append((code, True))
                stack += [(arg, False) for arg in reversed(code.args) if arg not in seen]
    return ordered


def _kind(codes: Iterable[Code]) -> str:
    return NUMBER if all_numbers(codes) else ARRAY


def _is_one(code: Code) -> bool:
    return code.op == "value" and code.data[0] == 1
