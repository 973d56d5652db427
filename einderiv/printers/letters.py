"""Letters for labels, within one statement.

In: extents, preferred letters. Out: letters, indices, accesses; extents written where nothing tells them.
Invariant: a letter stands for one extent in a statement; a letter in scope is never chosen again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from ..expr import Dim, Expr, Variable
from ..notation.syntax import Access, Call, Index, Name, Node
from ..notation.trees import parts
from .trees import NOWHERE

_LETTERS = "ijklmpqrstuvwabcdefgho"


@dataclass(frozen=True)
class Hints:
    """What a program knows that its terms do not: preferred letters, definitions, declared extents."""

    letters: Mapping[Dim, Sequence[str]] = field(default_factory=dict)
    definitions: Mapping[Expr, str] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()
    variables: Mapping[str, Variable] = field(default_factory=dict)
    name: str | None = None

    @cached_property
    def all_letters(self) -> frozenset[str]:
        """Every letter that stood at some extent."""
        return frozenset(letter for letters in self.letters.values() for letter in letters)


class Letters:
    """The letters of one statement, and what it still has to say about their extents."""

    def __init__(self, hints: Hints, root: Expr, extents: set[str]) -> None:
        self.hints, self.root = hints, root
        self.extents = extents  # declared extents that were printed by name
        self.dims: dict[str, Dim] = {}  # letter -> its extent in this statement
        self.told: set[str] = set()  # letters that stand at an axis of a tensor
        self.untold: list[Index] = []
        self.pairs: list[tuple[str, str]] = []  # letters joined by a delta
        self.sizes: list[tuple[Index, Dim]] = []

    def in_order(self, body: Node, names: tuple[str, ...]) -> bool:
        """Do the free indices appear first in the order of `names`?"""
        if len(names) < 2:
            return True
        seen: list[str] = []
        stack: list[Node] = [body]
        wanted = set(names)
        while stack and len(seen) < len(names):
            node = stack.pop()
            indices: Sequence[Index] = ()
            if isinstance(node, Access):
                indices = node.indices
            elif isinstance(node, Call):
                indices = node.subscript or ()
            if isinstance(node, Call) and node.arguments and node.subscript is not None:
                inner = Call(node.function, None, (), node.subscript, NOWHERE, NOWHERE)
                stack += [inner, *reversed(node.arguments)]
                continue
            seen += [i.name for i in indices if i.name in wanted and i.name not in seen]
            stack.extend(reversed(parts(node)))
        return tuple(seen) == names

    def axis_letters(self, node: Expr) -> tuple[str, ...]:
        """Letters for the axes of a definition."""
        letters: list[str] = []
        for dim in node.shape:
            letters.append(self.letter(dim, frozenset(letters)))
        return tuple(letters)

    def letter(self, dim: Dim, used: frozenset[str]) -> str:
        """A letter for a summed label: one of the extent's own letters if it is free here."""
        hints = self.hints
        own = list(hints.letters.get(dim, ()))
        seen = [letter for letter, known in self.dims.items() if known == dim]
        for letter in chain(own, seen, _letters()):
            foreign = letter not in own and letter in hints.all_letters
            if letter in used or self.dims.get(letter, dim) != dim or letter in hints.declared:
                continue
            if foreign and letter not in seen and len(letter) == 1:
                continue  # leave the user's letters to the extents they stood for
            self.dims[letter] = dim
            return letter
        raise AssertionError

    def index(self, name: str, told: bool) -> Index:
        """An index as written; `told` where a tensor's axis tells its extent."""
        index = Index(name, None, NOWHERE)
        if told:
            self.told.add(name)
        else:
            self.untold.append(index)
        return index

    def access(self, name: str, names: Sequence[str], told: bool = True) -> Node:
        if not names:
            return Name(name, NOWHERE)
        return Access(name, tuple(self.index(n, told) for n in names), NOWHERE, NOWHERE)

    def annotate(self) -> None:
        """`i:n` at the first place of a letter whose extent no tensor tells."""
        told = self.told
        while True:
            new = {b for a, b in self.pairs if a in told} | {a for a, b in self.pairs if b in told}
            if not new - told:
                missing = next((i for i in self.untold if i.name not in told), None)
                if missing is None:
                    break
                missing.extent = self.dims[missing.name]
                new = {missing.name}
            told |= new
        for index, dim in self.sizes:
            options = sorted(n for n in told if self.dims.get(n) == dim)
            if options:
                index.name = options[0]
            else:  # only other statements have the extent: a declaration ties it to theirs
                index.name, index.extent = self.letter(dim, frozenset(told)), dim
                self.extents.update([dim] if isinstance(dim, str) else [])

    def extent(self, dim: str) -> Node:
        """An extent by its declared name, or as the size of a letter."""
        if dim in self.hints.declared and any(
            dim in variable.shape for variable in self.hints.variables.values()
        ):
            self.extents.add(dim)
            return Name(dim, NOWHERE)
        index = Index("", None, NOWHERE)
        self.sizes.append((index, dim))
        return Access("size", (index,), NOWHERE, NOWHERE)


def _letters() -> Iterable[str]:
    yield from _LETTERS
    count = 1
    while True:
        for letter in _LETTERS:
            yield f"{letter}{count}"
        count += 1
