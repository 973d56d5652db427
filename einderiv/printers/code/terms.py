"""Terms as array code: each term a tree of `code_tree`, in the words of a target.

In: terms, the parameters' names, a target. Out: trees of the terms' values.
Invariant: axes along which a term only repeats itself are left to broadcasting until something needs them.
Products: `code_products.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from itertools import permutations

from ...terms import (
    COMPARISON_NAMES,
    HALF,
    Apply,
    Contraction,
    Delta,
    Expr,
    Extent,
    Literal,
    Map,
    Ones,
    Sum,
    Variable,
    base_and_exponent,
    broadcast_axes,
    functions,
    postorder,
    transpose,
    uses,
    with_decimals_inside,
)
from .products import product_of
from .targets import Target
from .text import Code
from .words import SYMBOL, Values, Words

_TRIED = 5  # axes of a product whose 120 transposes are looked up


class Translator(Words):
    """The trees of terms; `names` are the parameters', `like` the one that constants are typed like."""

    def __init__(
        self,
        target: Target,
        names: Mapping[str, str],
        like: Variable | None,
        explicit: Collection[Expr] = (),
    ) -> None:
        super().__init__(target, explicit)
        self.names = names
        self._products: dict[tuple[object, ...], list[Contraction]] = {}
        self.like = None if like is None else self.make.name(names[like.name], like.rank)

    def translate(self, roots: Sequence[Expr]) -> list[Code]:
        """The trees of the roots, as arrays of exactly their shapes."""
        ordered = postorder(roots)
        counts = uses(roots)
        for node in ordered:
            self.values[node] = self._node(node)
            if counts[node] > 1:
                self.make.keep(self.values[node].code)
        return [self.full(self.values[root], root.shape, result=True) for root in roots]

    def _node(self, node: Expr) -> Values:
        every = tuple(range(node.rank))
        match node:
            case Variable():
                return Values(self.make.name(self.names[node.name], node.rank), every)
            case Literal():
                return Values(self.make.value(node.value), ())
            case Extent():
                return Values(self.make.extent(node.dim), ())
            case Ones():
                return Values(self.make.value(1), ())
            case Delta():
                return Values(self.eye(node.shape[0]), every)
            case Sum():
                return self._sum(node)
            case Contraction():
                return self._transposed_product(node) or self._product(node)
            case Map():
                return self._map(node)
            case Apply():
                return Values(*self._apply(node))
        raise AssertionError(node)

    def _product(self, node: Contraction) -> Values:
        self._products.setdefault(_ingredients(node), []).append(node)
        return product_of(self, node)

    def _transposed_product(self, node: Contraction) -> Values | None:
        """The transpose of a product that is there already: both have the same entries to the last bit.

        A tie of max needs that: the derivative asks where the entries equal the largest one.
        """
        for other in self._products.get(_ingredients(node), ()):
            for axes in permutations(range(node.rank)):
                if transpose(other, axes) is node:
                    known = self.values[other]
                    self.make.keep(known.code)
                    here = tuple(axis for axis in range(node.rank) if axes[axis] in known.axes)
                    order = [known.axes.index(axes[axis]) for axis in here]
                    return Values(self.transposed(known.code, order), here)
        return None

    def aligned(self, values: Sequence[Values]) -> tuple[list[Code], tuple[int, ...]]:
        """Codes that broadcast against each other, and the axes that they have together."""
        axes = tuple(sorted({axis for value in values for axis in value.axes}))
        codes = [
            self.make.spread(value.code, [axis in value.axes for axis in axes])
            if value.axes
            else value.code
            for value in values
        ]
        return codes, axes

    def _sum(self, node: Sum) -> Values:
        if not node.children:
            return Values(self.make.value(0), ())
        node = with_decimals_inside(node)
        entries = sorted(
            zip(node.coefficients, node.children, strict=True),
            key=lambda e: (e[0] < 0, bool(e[1].rank and broadcast_axes(e[1]))),
        )
        codes, axes = self.aligned([self.values[term] for _, term in entries])
        total = self.make.add((c, code) for (c, _), code in zip(entries, codes, strict=True))
        return Values(total, axes)

    def _map(self, node: Map) -> Values:
        base, exponent = base_and_exponent(node)
        if exponent != 1:
            value = self.values[base]
            code, under = self.raised(value.code, exponent)
            if under:
                code = self.make.multiply([(self.make.value(1), False), (code, True)])
            return Values(code, value.axes)
        codes, axes = self.aligned([self.values[child] for child in node.children])
        if node.function == "where" and _is_comparison(node.children[0]):
            symbol = SYMBOL[node.children[0].function]  # type: ignore[attr-defined]
            children = [*node.children[0].children, *node.children[1:]]
            codes, axes = self.aligned([self.values[child] for child in children])
            codes = [self.make.compare(symbol, *codes[:2]), *codes[2:]]
        return Values(self.function(node.function, codes), axes)

    # ------------------------------------------------------------ functions of whole axes

    def _apply(self, node: Apply) -> tuple[Code, tuple[int, ...]]:
        if node.function == "eps":
            size = [self.make.value(node.width)]
            like = [self.like] if self.target.typed and self.like is not None else []
            if self.target.typed and not like:
                like = [self.constant("zeros", [self.make.value(1)], 1)]
            return self.call("eps[]", [*size, *like], node.rank), tuple(range(node.rank))
        (child,) = node.children
        row = functions.WHOLE[node.function]
        count = 2 if row.matrix else node.width
        value = self.values[child]
        core = tuple(range(child.rank - count, child.rank))
        batch = tuple(axis for axis in value.axes if axis < child.rank - count)
        if value.axes != (*batch, *core):
            dims = [child.shape[axis] for axis in (*batch, *core)]
            here = tuple(k for k, axis in enumerate((*batch, *core)) if axis in value.axes)
            value = Values(self.full(Values(value.code, here), tuple(dims)), (*batch, *core))
        axes = (*batch, *core) if node.rank == child.rank else batch
        if row.matrix:
            return self.matrix_function(node.function, child, value.code), axes
        return self._along(node.function, value.code, count, len(axes)), axes

    def matrix_function(self, name: str, matrix: Expr, code: Code) -> Code:
        """inv, det, logdet, cholesky, tril of the last two axes."""
        rank = code.rank - 2 if name in ("det", "logdet") else code.rank
        if name == "cholesky" and not matrix.symmetric:
            other = self.transposed(code, (*range(code.rank - 2), code.rank - 1, code.rank - 2))
            code = self.make.add(
                [(HALF, self.make.add([(Fraction(1), code), (Fraction(1), other)]))]
            )
        result = self.call(f"{name}[]", [code], rank)
        if name == "inv":
            self.inverted[matrix] = result
        return self.make.node("item", (result,), (1,), rank) if name == "logdet" else result

    def _along(self, name: str, code: Code, count: int, rank: int) -> Code:
        start = code.rank - count
        if name == "prodexcept":
            return self.call("prodexcept[]", [code, self.make.value(count)], code.rank)
        torch = self.target.name == "torch"
        if torch and count > 1 and name in ("prod", "softmax", "logsoftmax"):
            flat = self.make.call("torch.flatten", [code, self.make.value(start)], start + 1)
            result = self.call(
                f"{name}[]", [flat], rank if name == "prod" else start + 1, self.axis([start])
            )
            return (
                result
                if name == "prod"
                else self.make.node("reshape", (result, code), (), code.rank)
            )
        options = self.axis(range(start, code.rank))
        needless = name in ("prod", "max", "min") or (
            name == "logsumexp" and self.target.name == "jax"
        )
        if start == 0 and needless:
            options = ()
        return self.call(f"{name}[]", [code], rank, options)


def _ingredients(node: Contraction) -> tuple[object, ...]:
    """What products have in common that may be transposes of each other."""
    if not 1 < node.rank <= _TRIED:
        return (node,)
    return tuple(sorted(child.digest for child in node.children)), tuple(
        sorted(map(str, node.shape))
    )


def _is_comparison(node: Expr) -> bool:
    return isinstance(node, Map) and node.function in COMPARISON_NAMES
