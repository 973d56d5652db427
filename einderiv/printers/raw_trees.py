"""Raw trees as surface trees, which text and LaTeX printers show.

In: a raw tree, the indices of its left-hand side. Out: a surface tree.
Invariant: what has no derivative in it reads back, after a left-hand side, as the same term: `sum[i](...)`
and `ones[i]` stand where the convention alone would read another sum.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..notations import Call, Group, Index, Name, Node, syntax
from ..terms import (
    COMPARISON_NAMES,
    COMPARISONS,
    WHOLE,
    Apply,
    Delta,
    Expr,
    Extent,
    Literal,
    Map,
    Ones,
    Variable,
    trampoline,
)
from .named import (
    Applied,
    Leaf,
    Mapped,
    Names,
    Pending,
    Power,
    Product,
    Raw,
    Total,
    free_names,
    raw_fold,
    scaled,
)
from .trees import (
    NOWHERE,
    Partial,
    as_base,
    as_node,
    call_tree,
    entry,
    fraction_tree,
    number_tree,
    powered,
    with_coefficient,
)

_SYMBOL = {name: symbol for symbol, name in COMPARISONS.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A tree to show, the indices that something around it keeps, and those it has to show."""

    raw: Raw
    kept: frozenset[str]
    wanted: Names = ()


Visit = Generator[Place, Node, Node]


class TreeWriter:
    """Shows the raw trees of one derivation.

    `slopes` tells of which definition, and by which variable, a leaf is the derivative.
    """

    def __init__(
        self, slopes: Mapping[Expr, tuple[str, str, int]], dims: Mapping[str, object]
    ) -> None:
        self.slopes, self.dims = slopes, dims

    def tree(self, raw: Raw, names: Names) -> Node:
        """The surface tree of a right-hand side whose left-hand side has the indices `names`."""
        return trampoline(Place(raw, frozenset(names), names), self._visit)

    def _visit(self, place: Place) -> Visit:
        raw = place.raw
        own = free_names(raw)
        lacking = [name for name in place.wanted if name not in own]
        if lacking and isinstance(raw, Total) and not raw.terms:
            return entry("zeros", place.wanted)
        if lacking:
            ones = entry("ones", lacking)
            if isinstance(raw, Leaf) and isinstance(raw.term, Literal):
                return with_coefficient(raw.term.value, ones)
            if isinstance(raw, Product) and not raw.summed:
                return (yield from self._product(place, raw, [ones]))
            tree = yield Place(raw, place.kept)
            return fraction_tree([tree, ones], [], Fraction(1))
        match raw:
            case Leaf():
                return self._leaf(raw)
            case Product():
                return (yield from self._product(place, raw, []))
            case Total():
                return (yield from self._total(place, raw))
            case Power():
                return (yield from self._power(place, raw))
            case Mapped():
                return (yield from self._mapped(place, raw))
            case Applied():
                return (yield from self._applied(place, raw))
            case Pending():
                inner = yield Place(raw.inner, place.kept)
                return as_node(Partial(inner, entry(raw.variable.name, raw.names)))
        raise AssertionError(raw)

    def _leaf(self, raw: Leaf) -> Node:
        term = raw.term
        if term in self.slopes:  # the derivative of a definition
            name, variable, rank = self.slopes[term]
            inner = entry(name, raw.names[:rank])
            return as_node(Partial(inner, entry(variable, raw.names[rank:])))
        match term:
            case Variable():
                return entry(term.name, raw.names)
            case Literal():
                return number_tree(term.value)
            case Extent():
                letter = next((n for n, dim in self.dims.items() if dim == term.dim), term.dim)
                return entry("size", [letter])
            case Delta():
                return entry("delta", raw.names)
            case Ones():
                return entry("ones", raw.names)
            case Map():
                return Name(term.function, NOWHERE)
            case Apply():
                return entry("eps", raw.names)
        raise AssertionError(term)

    def _power(self, place: Place, raw: Power) -> Visit:
        inner = yield Place(raw.base, place.kept)
        inner = _bracketed(raw.base, inner)
        if raw.exponent < 0:
            return fraction_tree([], [powered(inner, -raw.exponent)], Fraction(1))
        return powered(inner, raw.exponent)

    def _product(self, place: Place, raw: Product, extra: list[Node]) -> Visit:
        explicit = _explicit_sums(raw)
        kept = place.kept.union(explicit)
        above: list[Node] = []
        below: list[Node] = []
        for factor in raw.factors:
            base, exponent = (
                (factor.base, factor.exponent)
                if isinstance(factor, Power)
                else (factor, Fraction(1))
            )
            inner = _bracketed(base, (yield Place(base, kept)))
            (below if exponent < 0 else above).append(powered(inner, abs(exponent)))
        above += extra
        if not explicit:
            return fraction_tree(above, below, raw.coefficient)
        over = tuple(Index(name, None, NOWHERE) for name in explicit)
        inside = fraction_tree(above, below, Fraction(1))
        summed = Call("sum", over, (inside,), None, NOWHERE, NOWHERE)
        return with_coefficient(raw.coefficient, summed)

    def _total(self, place: Place, raw: Total) -> Visit:
        if not raw.terms:
            return number_tree(Fraction(0))
        wanted = _shown_by_all(raw.terms, place.kept)
        terms = []
        for coefficient, term in zip(raw.coefficients, raw.terms, strict=True):
            minus = coefficient < 0
            own = wanted if free_names(term) else ()
            inner = yield Place(scaled(abs(coefficient), term), place.kept, own)
            if isinstance(inner, syntax.Negative):
                minus, inner = not minus, inner.operand
            if isinstance(inner, syntax.Sum):
                inner = Group(inner, NOWHERE)
            terms.append((minus, inner))
        return syntax.Sum(tuple(terms), NOWHERE)

    def _mapped(self, place: Place, raw: Mapped) -> Visit:
        if raw.function in COMPARISON_NAMES:
            condition = yield from self._comparison(place, raw)
            return call_tree("where", condition, number_tree(Fraction(1)), number_tree(Fraction(0)))
        wanted = _shown_by_all(raw.arguments, place.kept)
        arguments = []
        for position, argument in enumerate(raw.arguments):
            inner = Place(argument, place.kept, wanted if free_names(argument) else ())
            if raw.function == "where" and position == 0 and isinstance(argument, Mapped):
                if argument.function in COMPARISON_NAMES:
                    arguments.append((yield from self._comparison(inner, argument)))
                    continue
            arguments.append((yield inner))
        if raw.function == "pow":
            return syntax.Power(as_base(arguments[0]), as_base(arguments[1]), NOWHERE)
        return call_tree(raw.function, *arguments)

    def _comparison(self, place: Place, raw: Mapped) -> Visit:
        wanted = _shown_by_all(raw.arguments, place.kept)
        left, right = raw.arguments
        one = yield Place(left, place.kept, wanted if free_names(left) else ())
        other = yield Place(right, place.kept, wanted if free_names(right) else ())
        return syntax.Comparison(_SYMBOL[raw.function], one, other, NOWHERE)

    def _applied(self, place: Place, raw: Applied) -> Visit:
        matrix = WHOLE[raw.function].matrix
        behind = self._subscript(raw.outer) if matrix else None
        whole = self._whole_name(raw.argument, raw.bound) if matrix else None
        if whole is not None:
            return Call(raw.function, None, (whole,), behind, NOWHERE, NOWHERE)
        names = raw.bound or raw.outer
        own = free_names(raw.argument)
        wanted = tuple(dict.fromkeys([*own, *names]))
        inner = yield Place(raw.argument, place.kept.union(names), wanted)
        over = tuple(Index(name, None, NOWHERE) for name in names)
        return Call(raw.function, over, (inner,), behind, NOWHERE, NOWHERE)

    def _subscript(self, names: Names) -> tuple[Index, ...] | None:
        return tuple(Index(name, None, NOWHERE) for name in names) or None

    def _whole_name(self, raw: Raw, bound: Names) -> Node | None:
        """`A` where the argument of a matrix function is a named tensor, `inv(A)` where it is one of such."""
        around = []
        inner: Raw = raw
        while isinstance(inner, Applied) and WHOLE[inner.function].matrix and inner.outer == bound:
            around.append(inner.function)
            bound = inner.bound
            inner = inner.argument
        if not isinstance(inner, Leaf) or inner.names != bound:
            return None
        if not isinstance(inner.term, Variable):
            return None
        tree: Node = Name(inner.term.name, NOWHERE)
        for name in reversed(around):
            tree = Call(name, None, (tree,), None, NOWHERE, NOWHERE)
        return tree


def _bracketed(raw: Raw, tree: Node) -> Node:
    """A product inside a product keeps its sums to itself."""
    if isinstance(raw, Product) and not isinstance(tree, Group | Call):
        return Group(tree, NOWHERE)
    return tree


def _shown_by_all(raws: Sequence[Raw], kept: frozenset[str]) -> Names:
    """The indices that each of these must show: none where the surroundings name them all."""
    shown = {name: None for raw in raws for name in free_names(raw)}
    return () if kept.issuperset(shown) else tuple(shown)


def _explicit_sums(raw: Product) -> list[str]:
    """Summed names that the convention alone would not sum over this product."""
    needed = []
    for name in raw.summed:
        places = 0
        for factor in raw.factors:
            base = factor.base if isinstance(factor, Power) else factor
            if name in _hazards(base):
                places = 0
                break
            if isinstance(base, Leaf | Applied) and name in free_names(base):
                subscript = base.names if isinstance(base, Leaf) else (base.outer or (name,))
                places += max(1, subscript.count(name))
            else:
                places += name in free_names(base)
        if places < 2:
            needed.append(name)
    return needed


def _hazards(root: Raw) -> set[str]:
    """Free names that would be summed inside if nothing around kept them."""

    def value(raw: Raw, inside: list[set[str]]) -> set[str]:
        found = set().union(*inside)
        match raw:
            case Leaf():
                return {n for n in raw.names if raw.names.count(n) > 1}
            case Product():
                places: dict[str, int] = {}
                for factor in raw.factors:
                    for name in free_names(factor):
                        places[name] = places.get(name, 0) + 1
                found |= {name for name, count in places.items() if count > 1}
                return found.difference(raw.summed)
            case Applied():
                own = {n for n in raw.outer if raw.outer.count(n) > 1}
                return (found - set(raw.bound or raw.outer)) | own
        return found

    return raw_fold(root, value)
