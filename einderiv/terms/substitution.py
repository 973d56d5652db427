"""Terms rebuilt with other leaves: variables replaced, extents renamed.

In: roots and a mapping of leaves. Out: canonical roots.
Invariant: labels are local to their contraction, so nothing can be captured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from ..errors import DimensionError, axes_in_words
from .canonical import add, extent, with_children
from .expr import Apply, Delta, Dim, Expr, Extent, Ones, Shape, Sum, Variable
from .names import Classes, free_name, numbered_names
from .walk import postorder, rebuild


def substitute_terms(roots: Sequence[Expr], places: Mapping[Expr, Expr]) -> list[Expr]:
    """The roots with every key of `places` replaced by its value, of the same shape."""

    def build(node: Expr, children: tuple[Expr, ...]) -> Expr:
        if node in places:
            return places[node]
        return node if children == node.children else with_children(node, children)

    new = rebuild(roots, build)
    return [new[root] for root in roots]


def rename_dims(roots: Sequence[Expr], dims: Mapping[Any, Dim]) -> list[Expr]:
    """The roots with extents renamed, or given as numbers; also numbers given names."""
    if not dims:
        return list(roots)

    def rename(shape: Shape) -> Shape:
        return tuple(dims.get(dim, dim) for dim in shape)

    def build(node: Expr, children: tuple[Expr, ...]) -> Expr:
        match node:
            case Variable():
                return Variable(node.name, rename(node.shape), node.assumptions)
            case Extent():
                return extent(dims.get(node.dim, node.dim))
            case Ones():
                return Ones(rename(node.shape)[0])
            case Delta():
                return Delta(rename(node.shape)[0])
            case Sum():
                shape = rename(node.shape)
                return add(zip(node.coefficients, children, strict=True), shape)
        return with_children(node, children)

    new = rebuild(roots, build)
    return [new[root] for root in roots]


# Large extents given as numbers, replaced by symbols, so that terms can be tried at small sizes.
#
# In: terms. Out: the terms over symbolic extents, and what each symbol stood for.
# Invariant: equal numbers become one symbol. Terms that agree for every value of the symbols agree for the
# numbers; numbers that a term computes with, such as the 1/1000 of a mean, stay as they are.

_LARGE = 7  # smaller extents are tried as they are


def with_symbolic_extents(terms: Sequence[Expr]) -> tuple[list[Expr], dict[str, Dim]]:
    """The terms with symbols for large extents, and the number of each symbol."""
    nodes = postorder(terms)
    dims = {dim for node in nodes for dim in node.shape}
    used = {dim for dim in dims if isinstance(dim, str)}
    used |= {node.dim for node in nodes if isinstance(node, Extent)}
    used |= {node.name for node in nodes if isinstance(node, Variable)}
    names: dict[Dim, Dim] = {}
    fixed = {node.width for node in nodes if isinstance(node, Apply) and node.function == "eps"}
    for number in sorted(dim for dim in dims if isinstance(dim, int)):
        if number >= _LARGE and number not in fixed:
            names[number] = free_name((f"n{number}{'_' * k}" for k in count()), used)
    if not names:
        return list(terms), {}

    return rename_dims(terms, names), {str(name): number for number, name in names.items()}


# Terms of several programs brought together: tensors of one name are one tensor.
#
# In: terms, each with the tensors of its program, and pairs of extents that are the same.
# Out: the terms with the extents called alike, and all tensors.
# Invariant: a tensor of a name has one rank and one shape in what comes out.

Program = tuple[Expr, Mapping[str, Variable]]
Slot = tuple[int, Dim]  # the number of a program and one of its extents


def unite(
    programs: Sequence[Program], same: Iterable[tuple[Slot, Slot]] = ()
) -> tuple[list[Expr], dict[str, Variable]]:
    """The terms over common tensors; `same` joins extents of different programs."""
    classes: Classes[Slot] = Classes()
    first: dict[str, tuple[int, Variable]] = {}
    for number, (_, variables) in enumerate(programs):
        for name, x in variables.items():
            other, y = first.setdefault(name, (number, x))
            if y.rank != x.rank:
                raise DimensionError(
                    f"{name} has two ranks",
                    facts=[
                        f"{axes_in_words(y.rank)} in one expression, "
                        f"{axes_in_words(x.rank)} in another"
                    ],
                    hint="rename one of the tensors",
                )
            for a, b in zip(y.shape, x.shape, strict=True):
                _join(classes, (other, a), (number, b), name)
    for left, right in same:
        _join(classes, left, right, "the result")
    names: dict[Slot, Dim] = {}  # of the classes, no name twice
    used: set[str] = set()
    terms: list[Expr] = []
    together: dict[str, Variable] = {}
    for number, (term, variables) in enumerate(programs):
        own = list(variables.values())
        dims: dict[str, Dim] = {}
        for dim in symbolic_extents([term, *own]):
            root = classes.find((number, dim))
            if root not in names:
                wanted = root[1]
                names[root] = (
                    wanted if isinstance(wanted, int) else free_name(numbered_names(wanted), used)
                )
                used.add(str(names[root]))
            dims[dim] = names[root]
        changed = {old: new for old, new in dims.items() if old != new}
        renamed, *tensors = rename_dims([term, *own], changed)
        terms.append(renamed)
        together.update({x.name: x for x in tensors if isinstance(x, Variable)})
    return terms, together


def symbolic_extents(terms: Iterable[Expr]) -> list[str]:
    """The symbolic extents of terms, in the order they are met."""
    found: dict[str, None] = {}
    for node in postorder(terms):
        for dim in (*node.shape, getattr(node, "dim", 0)):
            if isinstance(dim, str):
                found.setdefault(dim)
    return list(found)


def _join(classes: Classes[Slot], first: Slot, second: Slot, name: str) -> None:
    """Two extents are the same; a number speaks for its class, else the first that came."""
    a, b = classes.find(first), classes.find(second)
    if isinstance(a[1], int) and isinstance(b[1], int) and a[1] != b[1]:
        raise DimensionError(
            f"an axis of {name} has two extents, {a[1]} and {b[1]}",
            hint="rename one of the tensors",
        )
    if isinstance(b[1], int):
        a, b = b, a
    classes.join(a, b)
