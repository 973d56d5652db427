"""Which axes and indices share an extent, with the reason for each.

In: slots (an axis of a tensor, an index of a statement, a declared name or number) and facts that join two.
Out: one extent per slot: a number, a declared name, or the index that stood there first.
Invariant: a class of slots holds at most one number and one declared name; a clash shows both places.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice

from ..errors import DimensionError, Span
from ..terms import Classes, Dim, free_name, numbered

Slot = tuple[str, str, int]  # kind ("axis", "index", "extent"), name, axis or statement number


@dataclass(frozen=True, slots=True)
class Fixed:
    """A declared extent, what fixes it, and where the class met it in the text."""

    dim: Dim
    fact: str
    span: Span | None


class Dimensions:
    """Classes of slots. `source` is the text that errors show."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._same: Classes[Slot] = Classes()
        self._fixed: dict[Slot, tuple[Fixed, ...]] = {}
        self._letters: dict[Slot, list[str]] = {}  # root -> its indices in the order of the text
        self._first: dict[Slot, int] = {}
        self.declared: set[str] = set()
        self._names: dict[Slot, Dim] = {}

    def find(self, slot: Slot) -> Slot:
        """The slot that stands for the class of `slot`."""
        if slot not in self._first:
            self._first[slot] = len(self._first)
            if slot[0] == "index":
                self._letters[slot] = [slot[1]]
        return self._same.find(slot)

    def known(self, slot: Slot) -> tuple[Fixed, ...]:
        """What fixes the extent of a slot so far."""
        return self._fixed.get(self.find(slot), ())

    def fix(self, slot: Slot, dim: Dim, fact: str, span: Span | None, subject: str) -> None:
        """The extent of `slot` is `dim`, for the reason `fact`."""
        if isinstance(dim, str):
            self.declared.add(dim)
        root = self.find(slot)
        self._fixed[root] = self._agree(
            self._fixed.get(root, ()), (Fixed(dim, fact, span),), subject, span
        )

    def join(self, first: Slot, second: Slot, span: Span | None, subject: str) -> None:
        """`first` and `second` share their extent, since of what stands at `span`."""
        a, b = self.find(first), self.find(second)
        if a == b:
            return
        if self._first[b] < self._first[a]:
            a, b = b, a
        fixed = self._agree(self._fixed.get(a, ()), self._fixed.get(b, ()), subject, span)
        self._same.join(a, b)
        if fixed:
            self._fixed[a] = fixed
        letters = [letter for root in (a, b) for letter in self._letters.get(root, ())]
        if letters:
            self._letters[a] = list(dict.fromkeys(letters))

    def _agree(
        self,
        first: tuple[Fixed, ...],
        second: tuple[Fixed, ...],
        subject: str,
        span: Span | None,
    ) -> tuple[Fixed, ...]:
        met = tuple(Fixed(entry.dim, entry.fact, entry.span or span) for entry in (*first, *second))
        first_of = {entry.dim: entry for entry in reversed(met)}
        for kind in (int, str):
            found = [entry for dim, entry in first_of.items() if isinstance(dim, kind)][::-1]
            if len(found) > 1:
                raise DimensionError(
                    f"{subject} has two extents",
                    source=self.source,
                    spans=sorted({at for at in (*(entry.span for entry in found), span) if at}),
                    facts=[", ".join(entry.fact for entry in found)],
                    hint="rename one of the indices, or declare both axes with the same extent",
                )
        return tuple(first_of.values())

    def settle(self, taken: Iterable[str]) -> None:
        """Give every class its name; extents that nobody named avoid the names `taken`."""
        used = {*self.declared, *taken}
        roots = [slot for slot in self._first if self.find(slot) == slot]
        letters = {letter for root in roots for letter in self._letters.get(root, ())}
        candidates = chain("nmpqrst", islice(numbered("n"), 1, None))
        unnamed = (name for name in candidates if name not in used and name not in letters)
        for root in roots:
            dims = [entry.dim for entry in self._fixed.get(root, ())]
            if dims:  # a number first
                self._names[root] = min(dims, key=lambda dim: isinstance(dim, str))
                continue
            own = self._letters.get(root)
            name = free_name(numbered(own[0] if own else next(unnamed)), used)
            used.add(name)
            self._names[root] = name

    def extent(self, slot: Slot) -> Dim:
        """The extent of a slot, after `settle`."""
        return self._names[self.find(slot)]

    def letters(self) -> dict[Dim, tuple[str, ...]]:
        """The indices that stood at each extent, in the order of the text."""
        return {
            dim: tuple(self._letters[root])
            for root, dim in self._names.items()
            if root in self._letters
        }

    def number_behind(self, name: str) -> Dim:
        """A declared name's extent: the number it was joined with, else the name."""
        slot = ("extent", name, 0)
        return self.extent(slot) if slot in self._first else name
