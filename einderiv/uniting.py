"""Terms of several programs brought together: tensors of one name are one tensor.

In: terms, each with the tensors of its program, and pairs of extents that are the same.
Out: the terms with the extents called alike, and all tensors.
Invariant: a tensor of a name has one rank and one shape in what comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .errors import DimensionError, axes_in_words
from .expr import Dim, Expr, Variable
from .substitution import renamed_dims
from .walk import postorder

Program = tuple[Expr, Mapping[str, Variable]]
Slot = tuple[int, Dim]  # the number of a program and one of its extents


def united(
    programs: Sequence[Program], same: Iterable[tuple[Slot, Slot]] = ()
) -> tuple[list[Expr], dict[str, Variable]]:
    """The terms over common tensors; `same` joins extents of different programs."""
    classes = _Classes()
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
                classes.join((other, a), (number, b), name)
    for left, right in same:
        classes.join(left, right, "the result")
    names = _Names()
    terms: list[Expr] = []
    together: dict[str, Variable] = {}
    for number, (term, variables) in enumerate(programs):
        own = list(variables.values())
        dims = {
            dim: names.of(classes.find((number, dim))) for dim in symbolic_extents([term, *own])
        }
        changed = {old: new for old, new in dims.items() if old != new}
        renamed, *tensors = renamed_dims([term, *own], changed)
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


class _Classes:
    """Extents that are the same; a number stands for its class, else the first that came."""

    def __init__(self) -> None:
        self.parent: dict[Slot, Slot] = {}

    def find(self, slot: Slot) -> Slot:
        while self.parent.setdefault(slot, slot) != slot:
            slot = self.parent[slot]
        return slot

    def join(self, first: Slot, second: Slot, name: str) -> None:
        a, b = self.find(first), self.find(second)
        if a == b:
            return
        if isinstance(a[1], int) and isinstance(b[1], int) and a[1] != b[1]:
            raise DimensionError(
                f"an axis of {name} has two extents, {a[1]} and {b[1]}",
                hint="rename one of the tensors",
            )
        if isinstance(b[1], int):
            a, b = b, a
        self.parent[b] = a


class _Names:
    """One name per class, no name twice."""

    def __init__(self) -> None:
        self.names: dict[Slot, Dim] = {}
        self.used: set[Dim] = set()

    def of(self, root: Slot) -> Dim:
        if root not in self.names:
            wanted, count = root[1], 2
            while wanted in self.used and isinstance(wanted, str):
                wanted, count = f"{root[1]}{count}", count + 1
            self.names[root] = wanted
            self.used.add(wanted)
        return self.names[root]
