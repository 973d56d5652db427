"""Terms with named indices and nothing contracted: what a derivation shows between its steps.

In: engine terms at index names. Out: trees in which a Kronecker delta stands until a step contracts it.
Invariant: a name stands for one extent in a derivation, and a summed name is not summed again further in.
`to_term` gives the engine's canonical term of a tree; `unfolding.py` makes trees, `raw_trees.py` shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar

from ..canonical import add, contract, elementwise, literal, power, whole, zero
from ..differentiator import gradient
from ..expr import Dim, Expr, Ones, Variable
from ..walk import postorder as walk_postorder

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


def parts(raw: Raw) -> tuple[Raw, ...]:
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


def postorder(root: Raw) -> list[Raw]:
    """Every part, those below first; a part that stands twice comes twice."""
    found = []
    stack = [root]
    while stack:
        raw = stack.pop()
        found.append(raw)
        stack += parts(raw)
    return found[::-1]


def fold(root: Raw, value: Callable[[Raw, list[T]], T]) -> T:
    """`value(part, values of its parts)`, from the leaves up."""
    done: list[T] = []
    for raw in postorder(root):
        count = len(parts(raw))
        inside = done[len(done) - count :]
        del done[len(done) - count :]
        done.append(value(raw, inside))
    return done[0]


def free_names(root: Raw) -> Names:
    """The indices of a tree, in order of appearance."""
    found: dict[str, None] = fold(root, _free)
    return tuple(found)


def _free(raw: Raw, inside: list[dict[str, None]]) -> dict[str, None]:
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
        for raw in postorder(root):
            match raw:
                case Leaf() | Pending():
                    found.update(raw.names)
                case Product():
                    found.update(raw.summed)
                case Applied():
                    found.update(raw.bound, raw.outer)
    return found


def renamed(root: Raw, names: Mapping[str, str]) -> Raw:
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

    return fold(root, value)


def scaled(coefficient: Fraction, raw: Raw) -> Raw:
    """`coefficient` times a tree, as one product."""
    if coefficient == 1:
        return raw
    if isinstance(raw, Product):
        return Product(coefficient * raw.coefficient, raw.factors, raw.summed)
    return Product(coefficient, (raw,), ())


def to_term(root: Raw, dims: Mapping[str, Dim], names: Names) -> Expr:
    """The canonical term of a tree, its axes in the order of `names`."""
    term, own = fold(root, lambda raw, inside: _term(raw, inside, dims))
    return spread(term, own, names, dims)


Placed = tuple[Expr, Names]


def spread(term: Expr, own: Names, names: Names, dims: Mapping[str, Dim]) -> Expr:
    """A term with axes `own` (one name may stand twice) at `names`, repeated where it lacks one."""
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
    names = tuple(_free(raw, [dict.fromkeys(own) for _, own in inside]))
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
    present = set(walk_postorder([term]))
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
