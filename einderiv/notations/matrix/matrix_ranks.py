"""The tensors of a program in matrix notation: which names are matrices, columns, scalars and extents.

In: a surface tree, extents and assumptions given beside it.
Out: `MatrixProgram`: the ranks at once, the variables after `settle`, once all extents are joined.
Invariant: a declaration decides; without one an upper-case ASCII name is a matrix, any other a column.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...terms import Dim, Variable
from .. import syntax
from ..extents import Fixed, Slot
from ..ranks import Program
from ..syntax import Call, Definition, Group, Name, Node, Number
from . import words as matrix_words

SIZED = ("eye", "ones", "zeros")  # their arguments are extents
BARE = "eye"  # stands without brackets too


def ungrouped(node: Node) -> Node:
    """A node without the brackets around it."""
    return node.inner if isinstance(node, Group) else node


class MatrixProgram(Program):
    """What the statements of a text have in common."""

    # ------------------------------------------------------------ ranks

    def define(self, statement: Definition, rank: int) -> None:
        """A definition's rank, found from its expression."""
        assert statement.name is not None
        self._refuse_reserved(statement.name, statement.name_span, rank > 0)
        self.ranks[statement.name] = rank

    def _read_annotations(self) -> None:
        """Names of extents: `n` in ones(n)."""
        for nodes in self.nodes:
            for node in nodes:
                if isinstance(node, Call) and node.function in SIZED:
                    for size in map(ungrouped, node.arguments):
                        if isinstance(size, Name):
                            shown = self.text(node.span)
                            fact = f"{size.name} is an extent (in {shown})"
                            self._name_extent(size.name, size.span, fact)
                            slot: Slot = ("extent", size.name, 0)
                            subject = f"extent {size.name}"
                            self.dimensions.fix(slot, size.name, fact, size.span, subject)

    def _read_whole_uses(self) -> None:
        """Undeclared names are matrices or columns, by their first letter."""
        for nodes in self.nodes:
            for node in nodes:
                if isinstance(node, Name) and not self.is_known(node.name):
                    self._guess(node)

    def is_known(self, name: str) -> bool:
        """Has the name a meaning by now: a tensor, an extent, pi, eye?"""
        return name in self.ranks or name in self.extents or name in ("pi", BARE)

    def _guess(self, node: Name) -> None:
        if node.name in ("ones", "zeros"):
            number = int(node.name == "ones")
            self.fail(
                f"{node.name} stands without its extents",
                [node.span],
                facts=["it could be a column or a matrix"],
                hint=f"write {node.name}(n) or {node.name}(m,n); sized by the context "
                f"vector({number}) or matrix({number})",
            )
        if matrix_words.is_own(node.name):
            self.fail(
                f"{node.name} is a function and stands without an argument",
                [node.span],
                facts=["brackets hold the argument of a function"],
                hint=f"write {node.name}(...), or give the tensor another name, as {node.name}_",
            )
        self._refuse_reserved(node.name, node.span, True)
        is_matrix = "A" <= node.name[0] <= "Z"
        how = "undeclared: upper-case" if is_matrix else "undeclared"
        self._set_rank(node.name, 2 if is_matrix else 1, node.span, how)

    def is_guessed(self, name: str) -> bool:
        """Does only its letter tell that the name is a column or a matrix?"""
        return name in self._shown and self._shown[name].startswith("undeclared")

    def _join(self, text: syntax.Text) -> None:
        """Extents are joined statement by statement, by what the operators say."""

    # ------------------------------------------------------------ extents

    def known(self, slot: Slot) -> tuple[Fixed, ...]:
        """What fixes the extent of a slot, so far."""
        dimensions = self.dimensions
        return dimensions.known(slot)

    def clash(self, first: Slot, second: Slot) -> bool:
        """Are two slots known to have different extents?"""
        if self.dimensions.find(first) == self.dimensions.find(second):
            return False
        entries = [*self.known(first), *self.known(second)]
        return any(
            len({entry.dim for entry in entries if isinstance(entry.dim, kind)}) > 1
            for kind in (int, str)
        )

    def size(self, node: Number | Name) -> Slot:
        """The slot of an extent as written in ones(n), eye(3)."""
        if isinstance(node, Name):
            return ("extent", node.name, 0)
        number = int(node.value)
        slot: Slot = ("size", str(number), node.span[0])
        self.dimensions.fix(slot, number, f"{number} is written", node.span, f"extent {number}")
        return slot

    def is_told(self, slot: Slot) -> bool:
        """Does a tensor, a declaration or a number tell the extent of a slot?"""
        if not self._anchors:
            find = self.dimensions.find
            for name, rank in self.ranks.items():
                if name not in self._defined:
                    self._anchors |= {find(("axis", name, axis)) for axis in range(rank)}
            self._anchors |= {find(("extent", name, 0)) for name in self.extents}
        return self.dimensions.find(slot) in self._anchors or bool(self.known(slot))

    # ------------------------------------------------------------ variables

    def _make_variables(self) -> dict[str, Variable]:
        self._anchors: set[Slot] = set()
        return {}  # by `settle`, once the statements have joined their extents

    def settle(self) -> None:
        """Give every extent its name, and make the variables."""
        names = [n for n in dict.fromkeys([*self._first_uses(), *self.ranks]) if n in self.ranks]
        own = [name for name in names if name not in self._defined]
        for name in own:
            for axis in range(self.ranks[name]):
                self.dimensions.find(("axis", name, axis))
        for name in self.extents:
            self.dimensions.find(("extent", name, 0))
        self.dimensions.settle({*names, *self.extents})
        self.variables = {
            name: Variable(name, tuple(self._extents(name, self.ranks[name]))) for name in own
        }

    def _extents(self, name: str, rank: int) -> Iterator[Dim]:
        for axis in range(rank):
            yield self.dimensions.extent(("axis", name, axis))

    def letters(self) -> dict[Dim, tuple[str, ...]]:
        """A letter for the index that runs over each extent, for printers."""
        taken = {*self.ranks, *self.extents, *map(str, self._dims())}
        free = (letter for letter in "ijklmpqrstuvwabcdefgh" if letter not in taken)
        return {dim: (letter,) for dim, letter in zip(self._dims(), free, strict=False)}

    def _dims(self) -> list[Dim]:
        return list(dict.fromkeys(dim for x in self.variables.values() for dim in x.shape))
