"""Named terms: trees in which every index has its letter, the one step between a term and its surface tree.

In: canonical terms with the names of their axes. Out: named trees (`Leaf`, `Product`, `Total`, ...) with
factors and terms in the order of a reader; a derivation changes them step by step and contracts nothing
before a step says so. `surface.py` writes them; `to_term` gives the canonical term of a tree.
Invariant: a letter has one extent in a statement, and no letter in scope is chosen again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from itertools import count as numbers
from typing import NamedTuple, TypeVar

from ..calculus import gradient
from ..notations import Access, Call, Context, Index, Name, Node, parts
from ..terms import (
    INDICES_BUT_N,
    NORMALISATIONS,
    ONE,
    SPECIAL_TENSORS,
    WHOLE,
    Apply,
    Contraction,
    Delta,
    Dim,
    Expr,
    Extent,
    Label,
    Literal,
    Map,
    Ones,
    Subscript,
    Sum,
    Variable,
    add,
    base_and_exponent,
    contract,
    core_ranks,
    elementwise,
    literal,
    postorder,
    power,
    split_scale,
    trampoline,
    uses,
    whole,
    with_decimals_inside,
    zero,
)
from .trees import NOWHERE

Names = tuple[str, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """An entry: of a tensor, a definition, a delta; or a number."""

    term: Expr
    names: Names


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """`coefficient` times the factors, summed over `summed`."""

    coefficient: Fraction
    factors: tuple[Raw, ...]
    summed: Names


@dataclass(frozen=True, slots=True, eq=False)
class Total:
    """A linear combination; a term that lacks an index is repeated along it."""

    coefficients: tuple[Fraction, ...]
    terms: tuple[Raw, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Power:
    """`base^exponent`, entry by entry."""

    base: Raw
    exponent: Fraction


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """An elementwise function."""

    function: str
    arguments: tuple[Raw, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """A function of whole axes: `bound` names them in the argument, `outer` in the result.

    softmax and its kin keep their index, so it is not bound: the argument has it under its outer name.
    """

    function: str
    argument: Raw
    bound: Names
    outer: Names
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A derivative that is not carried out."""

    inner: Raw
    variable: Variable
    names: Names
    moving: tuple[
        tuple[Variable, Variable], ...
    ] = ()  # definitions that depend on it, their derivatives


Raw = Leaf | Product | Total | Power | Mapped | Applied | Pending


def raw_parts(raw: Raw) -> tuple[Raw, ...]:
    """The trees directly below."""
    match raw:
        case Product():
            return raw.factors
        case Total():
            return raw.terms
        case Power():
            return (raw.base,)
        case Mapped():
            return raw.arguments
        case Applied():
            return (raw.argument,)
        case Pending():
            return (raw.inner,)
    return ()


def with_parts(raw: Raw, inner: Sequence[Raw]) -> Raw:
    """The same tree over other parts."""
    match raw:
        case Product():
            return replace(raw, factors=tuple(inner))
        case Total():
            return replace(raw, terms=tuple(inner))
        case Power():
            return replace(raw, base=inner[0])
        case Mapped():
            return replace(raw, arguments=tuple(inner))
        case Applied():
            return replace(raw, argument=inner[0])
        case Pending():
            return replace(raw, inner=inner[0])
    return raw


def raw_postorder(root: Raw) -> list[Raw]:
    """Every part, those below first; a part in two places comes twice."""
    found = []
    stack = [root]
    while stack:
        raw = stack.pop()
        found.append(raw)
        stack += raw_parts(raw)
    return found[::-1]


def raw_fold(root: Raw, value: Callable[[Raw, list[T]], T]) -> T:
    """`value(part, values of its parts)`, from the leaves up."""
    order: list[tuple[Raw, int]] = []
    stack = [root]
    while stack:
        raw = stack.pop()
        parts = raw_parts(raw)
        order.append((raw, len(parts)))
        stack += parts
    done: list[T] = []
    for raw, count in reversed(order):
        first = len(done) - count
        inside = done[first:]
        del done[first:]
        done.append(value(raw, inside))
    return done[0]


def free_names(root: Raw) -> Names:
    """The indices of a tree, in order of appearance."""
    found: dict[str, None] = raw_fold(root, free_at)
    return tuple(found)


def free_at(raw: Raw, inside: list[dict[str, None]]) -> dict[str, None]:
    found = {name: None for names in inside for name in names}
    match raw:
        case Leaf():
            return dict.fromkeys(raw.names)
        case Product():
            return {name: None for name in found if name not in raw.summed}
        case Applied():
            kept = [name for name in found if name not in raw.bound]
            return dict.fromkeys([*kept, *raw.outer])
        case Pending():
            return dict.fromkeys([*found, *raw.names])
    return found


def all_names(roots: Iterable[Raw]) -> set[str]:
    """Every name in the trees, summed ones included."""
    found: set[str] = set()
    for root in roots:
        for raw in raw_postorder(root):
            match raw:
                case Leaf() | Pending():
                    found.update(raw.names)
                case Product():
                    found.update(raw.summed)
                case Applied():
                    found.update(raw.bound, raw.outer)
    return found


def rename(root: Raw, names: Mapping[str, str]) -> Raw:
    """The tree with other names, free and summed ones alike."""
    if not names:
        return root

    def new(old: Names) -> Names:
        return tuple(names.get(name, name) for name in old)

    def value(raw: Raw, inside: list[Raw]) -> Raw:
        raw = with_parts(raw, inside)
        match raw:
            case Leaf():
                return replace(raw, names=new(raw.names))
            case Product():
                return replace(raw, summed=new(raw.summed))
            case Applied():
                return replace(raw, bound=new(raw.bound), outer=new(raw.outer))
            case Pending():
                return replace(raw, names=new(raw.names))
        return raw

    return raw_fold(root, value)


def multiple(coefficient: Fraction, raw: Raw) -> Raw:
    """`coefficient` times a tree, as one product."""
    if coefficient == 1:
        return raw
    if isinstance(raw, Leaf) and isinstance(raw.term, Literal):
        return Leaf(literal(coefficient * raw.term.value), ())
    if isinstance(raw, Product):
        return Product(coefficient * raw.coefficient, raw.factors, raw.summed)
    return Product(coefficient, (raw,), ())


def to_term(root: Raw, dims: Mapping[str, Dim], names: Names) -> Expr:
    """The canonical term of a tree, its axes in the order of `names`."""
    term, own = raw_fold(root, lambda raw, inside: _term(raw, inside, dims))
    return spread(term, own, names, dims)


Placed = tuple[Expr, Names]


def spread(term: Expr, own: Names, names: Names, dims: Mapping[str, Dim]) -> Expr:
    """A term with axes `own` (a name may come twice) at `names`, repeated if it lacks one."""
    if own == names:
        return term
    label = {name: place for place, name in enumerate(names)}
    lacking = [name for name in names if name not in own]
    return contract(
        [term, *(Ones(dims[name]) for name in lacking)],
        [tuple(label[name] for name in own), *((label[name],) for name in lacking)],
        tuple(range(len(names))),
    )


def _term(raw: Raw, inside: list[Placed], dims: Mapping[str, Dim]) -> Placed:
    names = tuple(free_at(raw, [dict.fromkeys(own) for _, own in inside]))
    match raw:
        case Leaf():
            return spread(raw.term, raw.names, names, dims), names
        case Product():
            label = {name: place for place, name in enumerate((*names, *raw.summed))}
            inputs = [tuple(label[name] for name in own) for _, own in inside]
            operands = [literal(raw.coefficient), *(term for term, _ in inside)]
            return contract(operands, [(), *inputs], tuple(range(len(names)))), names
        case Total():
            shape = tuple(dims[name] for name in names)
            pairs = zip(raw.coefficients, inside, strict=True)
            terms = [(c, spread(term, own, names, dims)) for c, (term, own) in pairs]
            return (add(terms, shape) if terms else zero(shape)), names
        case Power():
            return power(inside[0][0], raw.exponent), names
        case Mapped():
            full = [spread(t, own, names, dims) if own else t for t, own in inside]
            return elementwise(raw.function, full), names
        case Applied():
            ((term, own),) = inside
            core = raw.bound or raw.outer
            batch = tuple(name for name in own if name not in core)
            term = whole(raw.function, spread(term, own, (*batch, *core), dims), raw.width)
            return spread(term, (*batch, *raw.outer), names, dims), names
        case Pending():
            ((term, own),) = inside
            return spread(_derivative(term, raw), (*own, *raw.names), names, dims), names
    raise AssertionError(raw)


def _derivative(term: Expr, by: Pending) -> Expr:
    """The total derivative: definitions that depend on the variable bring in their own derivatives."""
    present = set(postorder([term]))
    through = [(u, du) for u, du in by.moving if u in present]
    found = gradient(term, [by.variable, *(u for u, _ in through)])
    shape = term.shape + by.variable.shape
    rank, rest = term.rank, by.variable.rank
    terms = [found[by.variable]]
    for u, du in through:
        middle = tuple(range(rank + rest, rank + rest + u.rank))
        left = (*range(rank), *middle)
        right = (*middle, *range(rank, rank + rest))
        terms.append(contract([found[u], du], [left, right], tuple(range(rank + rest))))
    return add([(1, t) for t in terms], shape)


# ---------------------------------------------------------------- the order of factors and terms

# functions with a subscript of their own
_ENTRYWISE = {n for n, row in WHOLE.items() if row.matrix and core_ranks(row.signature)[1]}
_LONG = 60  # characters; a longer bracket is squared rather than written twice


@dataclass(frozen=True, slots=True)
class Factor:
    """An operand at its labels, `count` times."""

    operand: Expr
    labels: Subscript
    count: int

    def is_access(self, lets: Container[Expr]) -> bool:
        """Is it printed with its labels as one subscript?"""
        base, _ = base_and_exponent(self.operand)
        return (
            isinstance(base, Variable | Delta | Ones)
            or base in lets
            or (isinstance(base, Apply) and (base.function in _ENTRYWISE or base.function == "eps"))
        )


def closed_parts_inlined(
    node: Contraction, lets: Container[Expr], hazard: Mapping[Expr, frozenset[int]]
) -> tuple[list[Factor], dict[Label, Dim]]:
    """The factors of a product, with scalar products among them written out, and the labels' extents.

    (x_i x_i) y_j is shown as x_i x_i y_j: canonical form finds the closed part again.
    """
    dims: dict[Label, Dim] = {}
    flat: list[tuple[Expr, Subscript]] = []
    stack = list(zip(node.children, node.inputs, strict=True))[::-1]
    fresh = 1 + max((label for labels in node.inputs for label in labels), default=-1)
    times = Counter(node.children)
    while stack:
        operand, labels = stack.pop()
        if (
            isinstance(operand, Contraction)
            and not operand.shape
            and any(operand.inputs)
            and operand not in lets
            and times[operand] <= 1
            and _reads_back_inline(operand, hazard)
        ):
            pairs = list(zip(operand.children, operand.inputs, strict=True))[::-1]
            stack += [(inner, tuple(label + fresh for label in own)) for inner, own in pairs]
            fresh += 1 + max((label for own in operand.inputs for label in own), default=-1)
            continue
        dims.update(zip(labels, operand.shape, strict=True))
        flat.append((operand, labels))
    return _with_counts(flat, node.output), dims


def _reads_back_inline(node: Contraction, hazard: Mapping[Expr, frozenset[int]]) -> bool:
    """Does the convention alone sum all labels of a closed product?"""
    places: Counter[Label] = Counter()
    for operand, labels in zip(node.children, node.inputs, strict=True):
        repeats = len(set(labels)) < len(labels)
        if hazard.get(operand) or (repeats and not Factor(operand, labels, 1).is_access(())):
            return False
        places.update(labels)
    return all(count > 1 for count in places.values())


def _with_counts(flat: list[tuple[Expr, Subscript]], output: Subscript) -> list[Factor]:
    """Equal factors as a power, but for dot products: r_a r_a rather than sum[a](r_a^2)."""
    counts = Counter(flat)
    places = Counter(label for _, labels in counts for label in set(labels))
    factors: list[Factor] = []
    for (operand, labels), count in counts.items():
        dotted = labels and all(label not in output and places[label] == 1 for label in labels)
        if count == 2 and dotted and _length(operand) <= _LONG:
            factors += [Factor(operand, labels, 1)] * 2
        else:
            factors.append(Factor(operand, labels, count))
    return factors


def _length(expr: Expr) -> int:
    """About how many characters a term takes, looking three levels down."""
    level, total = [expr], 0
    for _ in range(3):
        for node in level:
            total += 1 + (2 * node.rank if isinstance(node, Variable | Delta | Ones) else 1)
        level = [child for node in level for child in node.children]
    return total + 4 * len(level)


_KIND = {Literal: 0, Extent: 0, Variable: 1, Sum: 3}  # the order of scalars; others are 2


def arranged_factors(factors: list[Factor], output: Subscript) -> list[Factor]:
    """Scalars, then a chain: what holds the first free index, then what shares a summed label with it."""
    scalars = [f for f in factors if not f.labels]
    scalars.sort(key=lambda f: (_KIND.get(type(f.operand), 2), f.operand.order))
    rest = [f for f in factors if f.labels]
    position = {label: place for place, label in enumerate(output)}
    chain: list[Factor] = []
    last: Subscript = ()
    while rest:
        best = min(rest, key=lambda factor: _chain_key(factor, last, position))
        rest.remove(best)
        chain.append(best)
        last = tuple(label for label in best.labels if label not in position) or last
    return [*scalars, *chain]


def _chain_key(
    factor: Factor, last: Subscript, position: Mapping[Label, int]
) -> tuple[bool, bool, int, int, tuple[int, str, bytes], Subscript]:
    special = isinstance(factor.operand, Delta | Ones)
    linked = any(label in last for label in factor.labels)
    free = min((position[x] for x in factor.labels if x in position), default=len(position))
    first = factor.labels[0]
    toward = 0 if first in position or first in last else 1
    return special, not linked, free, toward, factor.operand.order, factor.labels


def arranged_terms(node: Sum) -> list[tuple[Fraction, Expr]]:
    """Terms in canonical order, the positive ones first; constants last among equals."""
    entries = list(zip(node.coefficients, node.children, strict=True))
    return sorted(entries, key=lambda entry: entry[0] < 0)


def opposite(node: Sum) -> Sum | None:
    """The sum with all signs changed, if that leaves no more minus signs than before."""
    _, inner = split_scale(node)
    if not isinstance(inner, Sum) or len(inner.children) < 2:
        return None
    negative = sum(c < 0 for c in inner.coefficients)
    if 2 * negative < len(inner.coefficients):
        return None
    return Sum(inner.children, tuple(-c for c in inner.coefficients), inner.shape)


# ---------------------------------------------------------------- letters

_LETTERS = INDICES_BUT_N + "o"


class Letters:
    """The letters of one statement, and what it still has to say about their extents."""

    def __init__(self, hints: Context) -> None:
        self.hints = hints
        self.extents: set[str] = set()  # declared extents that were printed by name
        self.dims: dict[str, Dim] = {}  # letter -> its extent in this statement

    def letters(self, dims: Iterable[Dim], used: Iterable[str]) -> Names:
        """A letter for each of several labels."""
        used = frozenset(used)
        found: Names = ()
        for dim in dims:
            found = (*found, self.letter(dim, used.union(found)))
        return found

    def letter(self, dim: Dim, used: frozenset[str]) -> str:
        """A letter for a summed label: one of the extent's own letters if it is free here."""
        hints = self.hints
        own = list(hints.letters.get(dim, ()))
        seen = [letter for letter, known in self.dims.items() if known == dim]
        more = (f"{letter}{k or ''}" for k in numbers() for letter in _LETTERS)
        for letter in chain(own, seen, more):
            foreign = letter not in own and letter in hints.all_letters
            if letter in used or self.dims.get(letter, dim) != dim or letter in hints.declared:
                continue
            if foreign and letter not in seen and len(letter) == 1:
                continue  # leave the user's letters to the extents they stood for
            self.dims[letter] = dim
            return letter
        raise AssertionError

    def extent(self, dim: str) -> Node:
        """An extent by its declared name, or as the size of a letter that `annotate` chooses."""
        if dim in self.hints.declared and any(
            dim in x.shape for x in self.hints.variables.values()
        ):
            self.extents.add(dim)
            return Name(dim, NOWHERE)
        return Access("size", (Index("", dim, NOWHERE),), NOWHERE, NOWHERE)

    def annotate(self, tree: Node) -> None:
        """Write `i:n` where a letter comes first if no tensor tells its extent; choose letters in sizes."""
        known: set[str] = set()  # letters at an axis of a tensor
        others: list[Index] = []
        pairs: list[set[str]] = []  # letters joined by a delta
        sizes: list[Index] = []
        for name, indices in _subscripts(tree):
            if name == "size":
                sizes += indices
            elif name in SPECIAL_TENSORS:
                others += indices
                pairs += [{i.name for i in indices}] if name == "delta" else []
            else:
                known.update(i.name for i in indices)
        while True:
            new = {name for pair in pairs if pair & known for name in pair - known}
            if not new:
                missing = next((i for i in others if i.name not in known), None)
                if missing is None:
                    break
                missing.extent = self.dims[missing.name]
                new = {missing.name}
            known |= new
        for index in sizes:
            dim = index.extent
            assert dim is not None
            options = sorted(n for n in known if self.dims.get(n) == dim)
            if options:
                index.name, index.extent = options[0], None
            else:  # only other statements have the extent: a declaration ties it to theirs
                index.name = self.letter(dim, frozenset(known))
                self.extents.update([dim] if isinstance(dim, str) else [])


def are_in_order(tree: Node, names: Names) -> bool:
    """Do the free indices appear first in the order of `names`?"""
    seen = dict.fromkeys(i.name for _, indices in _subscripts(tree) for i in indices)
    return len(names) < 2 or tuple(name for name in seen if name in names) == names


def _subscripts(tree: Node) -> Iterator[tuple[str, Sequence[Index]]]:
    """Tensors and matrix functions with their indices, in the order of the text."""
    stack: list[Node | tuple[str, Sequence[Index]]] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            yield node
        elif isinstance(node, Access):
            yield node.name, node.indices
        else:
            if isinstance(node, Call) and node.subscript:
                stack.append((node.function, node.subscript))
            stack.extend(reversed(parts(node)))


# ---------------------------------------------------------------- definitions and sums

_NAME = 6  # characters of a reference such as t1[i,j]
_LINE = 14  # characters that a definition adds: its left-hand side and the line end


def shared_nodes(root: Expr) -> list[Expr]:
    """Nodes worth a definition: those that several places refer to and that are long enough."""
    counts = uses([root])
    length: dict[Expr, int] = {}
    chosen: list[Expr] = []
    for node in postorder([root]):
        size = _own_length(node) + sum(length[child] for child in node.children)
        times = counts[node]
        if (
            node is not root
            and times > 1
            and node.children
            and not _is_plain(node)
            and size * times > size + _LINE + times * (_NAME + 2 * node.rank) + 24
        ):
            chosen.append(node)
            size = _NAME + 2 * node.rank
        length[node] = size
    return chosen


def _own_length(node: Expr) -> int:
    if isinstance(node, Variable):
        return len(node.name) + 2 * node.rank
    return 3 + (len(node.children) if isinstance(node, Sum | Contraction) else 4)


def _is_plain(node: Expr) -> bool:
    """Transposes, diagonals, scaled terms and inverses of names are as short as a reference."""
    if isinstance(node, Contraction):
        return sum(not isinstance(child, Delta | Ones) for child in node.children) <= 1
    if isinstance(node, Apply) and WHOLE.get(node.function) and WHOLE[node.function].matrix:
        return not node.children[0].children
    return isinstance(node, Sum) and len(node.children) < 2


def hazards(root: Expr, lets: Container[Expr]) -> dict[Expr, frozenset[int]]:
    """For each node the axes whose index would be summed inside it if nothing around kept it.

    x_i y_i (elementwise) has the hazard 0: written alone it reads as the dot product.
    """
    found: dict[Expr, frozenset[int]] = {}
    for node in (*postorder(root.children, lets), root):
        known = [found.get(child, frozenset()) for child in node.children]
        found[node] = frozenset()
        match node:
            case Contraction():
                found[node] = _of_product(node, known)
            case Apply() if node.children:
                (child,) = node.children
                core = 2 if WHOLE[node.function].matrix else node.width
                found[node] = frozenset(axis for axis in known[0] if axis < child.rank - core)
            case Sum() | Map():
                full = [h for child, h in zip(node.children, known, strict=True) if child.rank]
                found[node] = frozenset().union(*full)
    return found


def _of_product(node: Contraction, known: list[frozenset[int]]) -> frozenset[int]:
    operands = list(zip(node.children, node.inputs, strict=True))
    distinct = {pair for pair in operands if not isinstance(pair[0], Ones | Literal | Extent)}
    places = Counter(label for _, labels in distinct for label in labels)
    inside = {
        labels[axis] for (_, labels), found in zip(operands, known, strict=True) for axis in found
    }
    return frozenset(
        axis for axis, label in enumerate(node.output) if places[label] > 1 or label in inside
    )


# ---------------------------------------------------------------- from terms to named trees

_WHOLE = ("", " ")  # the indices of a matrix that is shown by its name alone


class Place(NamedTuple):
    """A term to unfold, the names of its axes, and the names it must not sum under."""

    node: Expr
    names: Names
    used: frozenset[str]


Visit = Generator[Place, Raw, Raw]


class Unfolder:
    """Unfolds terms that share letters and definitions.

    If `apart`, the factors of one product sum under different letters, so that what one factor sums is
    never free in another: a derivation multiplies them out.
    """

    def __init__(
        self,
        letters: Letters,
        lets: Mapping[Expr, Variable],
        reserved: frozenset[str] = frozenset(),
        apart: bool = True,
    ) -> None:
        self.letters, self.lets, self.reserved, self.apart = letters, dict(lets), reserved, apart

    def raw(self, term: Expr, names: Names, used: frozenset[str] = frozenset()) -> Raw:
        """The tree of a term with its axes called `names`; a named node is opened at the root only."""
        self.root, self.hazard = term, hazards(term, self.lets)
        return trampoline(Place(term, names, used.union(self.reserved, names)), self._visit)

    def _visit(self, place: Place) -> Visit:
        node = place.node
        if node in self.lets and node is not self.root:
            return Leaf(self.lets[node], place.names)
        match node:
            case Sum() if node.children or self.apart:
                return (yield from self._sum(place, node))
            case Contraction():
                return (yield from self._product(place, node, ONE))
            case Map() if node.children:
                return (yield from self._map(place, node))
            case Apply() if node.children:
                return (yield from self._apply(place, node))
            case Ones():  # a tree that lacks an index is repeated along it
                return Leaf(literal(1), ())
        return Leaf(node, place.names)

    def _sum(self, place: Place, node: Sum) -> Visit:
        coefficients: list[Fraction] = []
        terms: list[Raw] = []
        if node.children and node.children[0] not in self.lets:
            node = with_decimals_inside(node)
        for coefficient, term in arranged_terms(node):
            minus = 1
            if len(node.children) > 1 and coefficient < 0:
                coefficient, minus = -coefficient, -1
            if isinstance(term, Contraction) and term not in self.lets:
                product = yield from self._product(place, term, coefficient)
                coefficient = product.coefficient
                raw: Raw = replace(product, coefficient=ONE)
            else:
                other = opposite(term) if isinstance(term, Sum) and coefficient < 0 else None
                if other is not None:
                    coefficient, term = -coefficient, other
                raw = yield Place(term, place.names, place.used)
                if (
                    isinstance(raw, Power)
                    and raw.exponent < 0
                    and abs(coefficient) != 1
                    and not self.apart
                ):
                    raw = Product(ONE, (Product(ONE, (raw,), ()),), ())  # 3*(1/x[i])
            coefficients.append(minus * coefficient)
            terms.append(raw)
        if len(terms) == 1:
            return multiple(coefficients[0], terms[0])
        return Total(tuple(coefficients), tuple(terms))

    def _product(
        self, place: Place, node: Contraction, coefficient: Fraction
    ) -> Generator[Place, Raw, Product]:
        inlined, dims = closed_parts_inlined(node, self.lets, self.hazard)
        factors = distinct_labels(arranged_factors(inlined, node.output), dims, self.lets)
        names = dict(zip(node.output, place.names, strict=True))
        used = place.used.union(place.names)
        for factor in factors:
            for label in factor.labels:
                if label not in names:
                    names[label] = self.letters.letter(dims[label], used)
                    used |= {names[label]}
        summed = tuple(names[label] for label in sorted(names) if label not in node.output)
        shown: list[Raw] = []
        for factor in factors:
            if isinstance(factor.operand, Ones):
                continue
            operand = factor.operand
            turns = coefficient < 0 and factor.count == 1 and operand not in self.lets
            other = opposite(operand) if turns and isinstance(operand, Sum) else None
            if other is not None:  # a bracket with its signs changed takes the minus away
                operand, coefficient = other, -coefficient
            base, exponent = base_and_exponent(operand)
            if operand in self.lets:
                base, exponent = operand, ONE
            raw = yield Place(base, tuple(names[label] for label in factor.labels), used)
            if self.apart:
                used |= all_names([raw])
            if factor.count > 1:
                exponent *= factor.count
            shown.append(raw if exponent == 1 else Power(raw, exponent))
        return Product(coefficient, tuple(shown), summed)

    def _map(self, place: Place, node: Map) -> Visit:
        base, exponent = base_and_exponent(node)
        if exponent != 1:
            return Power((yield Place(base, place.names, place.used)), exponent)
        arguments = []
        for child in node.children:
            names = place.names if child.rank else ()
            arguments.append((yield Place(child, names, place.used)))
        return Mapped(node.function, tuple(arguments))

    def _apply(self, place: Place, node: Apply) -> Visit:
        (child,) = node.children
        width = 2 if WHOLE[node.function].matrix else node.width
        batch = place.names[: child.rank - width]
        outer = place.names[child.rank - width :]
        used = place.used.union(place.names)
        if node.function in NORMALISATIONS:
            inner = yield Place(child, place.names, used)
            return Applied(node.function, inner, (), outer, node.width)
        if not self.apart and WHOLE[node.function].matrix and self._has_name(child):
            bound: Names = _WHOLE
        else:
            bound = self.letters.letters(child.shape[child.rank - width :], used)
        inner = yield Place(child, (*batch, *bound), used.union(bound))
        return Applied(node.function, inner, bound, outer, node.width)

    def _has_name(self, node: Expr) -> bool:
        """Is it shown by its name alone, perhaps in `inv(A)`?"""
        while node not in self.lets and isinstance(node, Apply) and node.children:
            if node.function not in _ENTRYWISE:
                return False
            (node,) = node.children
        return node in self.lets or isinstance(node, Variable)


def distinct_labels(
    factors: list[Factor], dims: dict[Label, Dim], lets: Container[Expr]
) -> list[Factor]:
    """f(x)_ii as f(x[i,j])*delta[i,j], if the operand has no subscript of its own to repeat i in."""
    result: list[Factor] = []
    extra: list[Factor] = []
    for factor in factors:
        operand, labels = factor.operand, factor.labels
        if len(set(labels)) < len(labels) and not factor.is_access(lets):
            fresh: list[Label] = []
            for label in labels:
                if label in fresh:
                    new = max(dims) + 1
                    dims[new] = dims[label]
                    extra.append(Factor(Delta(dims[label]), (label, new), 1))
                    label = new
                fresh.append(label)
            factor = Factor(operand, tuple(fresh), factor.count)
        result.append(factor)
    return [*result, *extra]
