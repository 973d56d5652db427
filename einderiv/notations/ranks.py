"""The tensors of a program: their ranks, and which of their axes share an extent.

In: a surface tree, extents and assumptions given beside it.
Out: `Program`: every tensor as a variable, the extents' names, the union of all axes and indices.
Invariant: a name has one rank in a program; all that share an index in a statement share an extent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..errors import DimensionError, NotationError, Span, axes_in_words
from ..terms import INDICES, Dim, Variable, functions
from . import complaints, syntax
from .extents import Dimensions, Slot
from .syntax import (
    Access,
    Call,
    Definition,
    Index,
    Name,
    Node,
    indices_of,
    is_matrix_function,
    tree_nodes,
    whole_chain,
)

_CHAINED = ("inv", "cholesky", "tril")  # matrix in, matrix out
_RESERVED = frozenset(functions.SPECIAL_TENSORS)


class Program:
    """What the statements of a text have in common."""

    def __init__(
        self,
        text: syntax.Text,
        shapes: Mapping[str, Sequence[Dim]],
        assume: Mapping[str, Iterable[str]],
    ) -> None:
        self.source = text.source
        self.dimensions = Dimensions(text.source)
        self.nodes = [
            tree_nodes(s.expression) if isinstance(s, Definition) else [] for s in text.statements
        ]
        self.ranks: dict[str, int] = {}  # tensors with axes and definitions, not undeclared scalars
        self.extents: set[str] = set()
        self.assumptions: dict[str, frozenset[str]] = {}
        self._mentions: dict[str, tuple[int, Span]] = {}
        self._places: dict[str, Span] = {}  # where a name got its rank
        self._shown: dict[str, str] = {}  # how it got it
        self._extent_places: dict[str, tuple[Span | None, str]] = {}  # where, and as what
        self._defined: dict[str, int] = {}  # definition -> its statement
        self._declared: dict[str, tuple[Dim, ...]] = {}
        self._read_shapes(shapes)
        self._read_statements(text)
        self._read_annotations()
        self._read_whole_uses()
        self._check_extent_names()
        self._join(text)
        self._assume(assume)
        self.variables = self._make_variables()

    # ------------------------------------------------------------ ranks

    def fail(
        self,
        message: str,
        spans: Sequence[Span],
        facts: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        """Refuse the text, with the place."""
        raise NotationError(message, source=self.source, spans=spans, facts=facts, hint=hint)

    def _read_shapes(self, shapes: Mapping[str, Sequence[Dim]]) -> None:
        complaints.check_names(shapes, "shapes={'X': ('n', 3)}")
        for name, given in shapes.items():
            axes = complaints.shape(name, given)
            self._refuse_reserved(name, None, bool(axes))
            self._declare(name, axes, None, "given in shapes=")

    def _declare(self, name: str, axes: tuple[Dim, ...], span: Span | None, how: str) -> None:
        self._set_rank(name, len(axes), span, how)
        for axis, dim in enumerate(axes):
            fact = f"axis {axis + 1} of {name} is {dim} ({how})"
            slot: Slot = ("axis", name, axis)
            self.dimensions.fix(slot, dim, fact, span, f"axis {axis + 1} of {name}")
            if isinstance(dim, str):
                self._name_extent(dim, span, fact)
                self.dimensions.join(slot, ("extent", dim, 0), span, f"extent {dim}")
        self._declared[name] = axes

    def _set_rank(self, name: str, rank: int, span: Span | None, how: str) -> None:
        known = self.ranks.setdefault(name, rank)
        if known != rank:
            spans = [place for place in (self._places.get(name), span) if place]
            raise DimensionError(
                f"{name} has two ranks",
                source=self.source,
                spans=spans,
                facts=[
                    f"{axes_in_words(known)} ({self._shown[name]}), {axes_in_words(rank)} ({how})"
                ],
                hint="give one of them another name, or the same number of indices",
            )
        self._shown.setdefault(name, how)
        if span:
            self._places.setdefault(name, span)

    def rank_told(self, name: str) -> tuple[list[Span], str]:
        """Where a tensor got its rank, and how: `declared`, `A[i,j]`, ..."""
        return [self._places[name]] if name in self._places else [], self._shown[name]

    def _name_extent(self, name: str, span: Span | None, fact: str) -> None:
        self.extents.add(name)
        self._extent_places.setdefault(name, (span, fact))

    def _read_statements(self, text: syntax.Text) -> None:
        for number, statement in enumerate(text.statements):
            if isinstance(statement, syntax.Declaration):
                self._refuse_reserved(statement.name, statement.name_span, bool(statement.axes))
                if statement.name in self._declared:
                    known = self._declared[statement.name]
                    if known != statement.axes and statement.name in self._places:
                        self.fail(
                            f"{statement.name} is declared twice",
                            [self._places[statement.name], statement.name_span],
                            facts=[f"{_listed(known)} there, {_listed(statement.axes)} here"],
                            hint="keep one of the declarations",
                        )
                self._declare(statement.name, statement.axes, statement.name_span, "declared")
                self.assumptions[statement.name] = frozenset(statement.assumptions)
            else:
                self._define(statement, number)
        for number, _ in enumerate(text.statements):
            for node in self.nodes[number]:
                if isinstance(node, Access):
                    self._read_access(node, number)

    def _define(self, statement: Definition, number: int) -> None:
        name = statement.name
        if name is None:
            return
        rank = len(statement.indices or ())
        self._refuse_reserved(name, statement.name_span, rank > 0)
        if name in self._defined or name in self._declared:
            spans, how = self.rank_told(name)
            self.fail(
                f"{name} is defined twice"
                if name in self._defined
                else f"{name} is both declared and defined",
                [*spans, statement.name_span],
                facts=[f"{how} there, defined here; a name stands for one tensor"],
                hint="give one of them another name",
            )
        first = self._first_places().get(name)
        if first is not None and first[0] <= number:
            own = first[0] == number
            self.fail(
                f"{name} is used in its own definition"
                if own
                else f"{name} is used before it is defined",
                [first[1], statement.name_span],
                facts=["a definition is known to the statements after it"],
                hint=f"{'' if own else 'move its definition up, or '}give one of them another name",
            )
        self._defined[name] = number
        self._set_rank(name, rank, statement.name_span, "defined")

    def _first_places(self) -> dict[str, tuple[int, Span]]:
        """For each name the first statement that mentions it, and where."""
        if not self._mentions:
            for number, nodes in enumerate(self.nodes):
                for node in nodes:
                    if isinstance(node, Access | Name):
                        self._mentions.setdefault(node.name, (number, node.span))
        return self._mentions

    def _refuse_reserved(self, given: str, span: Span | None, indexed: bool) -> None:
        name = functions.ALIASES.get(given, given)
        known = {*functions.ELEMENTWISE, *functions.WHOLE, *functions.REDUCTIONS}
        known |= {*functions.MATRIX_FUNCTIONS, *functions.NORMALISATIONS, *_RESERVED}
        if indexed and name in known:
            what = "a special tensor" if name in _RESERVED else "a function"
            self.fail(
                f"{given} is the name of {what}",
                [span] if span else [],
                facts=["a tensor with axes cannot have that name, a scalar can"],
                hint=f"choose another name, for example {given}_",
            )

    def _read_access(self, node: Access, number: int) -> None:
        count = len(node.indices)
        name = functions.ALIASES.get(node.name, node.name)
        if name in _RESERVED:  # indexed it is never a tensor; alone it is a scalar
            wanted = {"delta": (2, 2), "size": (1, 1), "eps": (2, 8)}.get(name, (1, 64))
            if not wanted[0] <= count <= wanted[1]:
                self.fail(
                    f"{name} takes {wanted[0]} {'index' if wanted[0] == 1 else 'indices'}"
                    + (f" to {wanted[1]}" if name == "eps" else "")
                    + f", {count} given",
                    [node.span],
                    hint=f"write {name}[{','.join(INDICES[: wanted[0]])}]",
                )
            return
        if node.name not in self.ranks and (
            name in functions.ELEMENTWISE
            or name in functions.WHOLE
            or name in (*functions.REDUCTIONS, *functions.MATRIX_FUNCTIONS)
        ):
            example = f"{name}[i](...)" if name in functions.REDUCTIONS else f"{name}(...)"
            self.fail(
                f"{node.name} is a function and stands without an argument",
                [node.span],
                hint=f"write {example}, or give the tensor another name",
            )
        self._set_rank(node.name, count, node.span, f"{self._cut(node.span)}")

    def _cut(self, span: Span) -> str:
        return " ".join(self.source[span[0] : span[1]].split())

    def _read_whole_uses(self) -> None:
        """Ranks of tensors that stand whole in matrix functions; every other bare name is a scalar."""
        whole: set[int] = set()
        for nodes in self.nodes:
            for node in nodes:
                if isinstance(node, Call) and is_matrix_function(node):
                    self._check_matrix_call(node)
                    if node.kept is None:
                        whole |= self._whole_ranks(node)
        for nodes in self.nodes:
            for node in nodes:
                if isinstance(node, Name) and id(node) not in whole:
                    if node.name in self.extents or node.name == "pi":
                        continue
                    if node.name not in self.ranks:
                        self._set_rank(node.name, 0, node.span, f"{node.name} without indices")

    def _check_matrix_call(self, node: Call) -> None:
        name = functions.ALIASES.get(node.function, node.function)
        wanted = 2 if name == "solve" else 1
        form = f"{name}(A, b)" if wanted == 2 else f"{name}(A)"
        if len(node.arguments) != wanted:
            self.fail(
                f"{name} takes {wanted} argument{'s' * (wanted > 1)}, {len(node.arguments)} given",
                [node.span],
                hint=f"write {form}",
            )
        if node.kept is not None:
            names = [index.name for index in node.kept]
            if len(names) != 2 or names[0] == names[1]:
                self.fail(
                    f"{name} takes two indices, the rows' and the columns'",
                    [index.span for index in node.kept],
                    facts=[f"given: {', '.join(names)}"],
                    hint=f"write {name}[i,j](...) with i the rows and j the columns of the argument",
                )

    def _whole_ranks(self, node: Call) -> set[int]:
        """Gives the tensors of `inv(A)[i,j]` or `solve(A,b)[i]` their ranks where nothing else does."""
        name = functions.ALIASES.get(node.function, node.function)
        behind = len(node.subscript or ())
        leaves = [self._leaf(node, argument) for argument in node.arguments]
        matrix = leaves[0]
        if matrix.name not in self.ranks:
            guess = {"inv": behind, "cholesky": behind, "tril": behind, "solve": 2}.get(
                name, behind + 2
            )
            self._set_rank(matrix.name, max(guess, 2), matrix.span, self._cut(node.span))
        rank = self.ranks[matrix.name]
        if rank < 2:
            raise DimensionError(
                f"{name} takes a matrix, {matrix.name} has {axes_in_words(rank)}",
                source=self.source,
                spans=[matrix.span, *self.rank_told(matrix.name)[0]],
                facts=[f"{axes_in_words(rank)} ({self._shown[matrix.name]}), 2 or more needed"],
                hint=f"declare it: {matrix.name} : (n, n)",
            )
        if len(leaves) == 2:
            self._right_rank(leaves[1], rank, behind)
        return {id(leaf) for leaf in leaves}

    def _right_rank(self, right: Name, rank: int, behind: int) -> None:
        """The right-hand side of solve: a vector, or columns; with the matrix's batch axes or none."""
        if right.name not in self.ranks:
            self._set_rank(right.name, max(behind, 1), right.span, "the right-hand side of solve")
        known = self.ranks[right.name]
        if known not in ((1, 2) if rank == 2 else (1, rank - 1, rank)):
            raise DimensionError(
                f"solve takes a vector or columns, {right.name} has {axes_in_words(known)}",
                source=self.source,
                spans=[right.span],
                facts=[f"the matrix has {axes_in_words(rank)}"],
                hint="name the indices: solve[i,j](A[i,j], b[i,k])[p]",
            )

    def _leaf(self, call: Call, argument: Node) -> Name:
        node = argument
        while isinstance(node, Call) and is_matrix_function(node):
            name = functions.ALIASES.get(node.function, node.function)
            if name not in _CHAINED or node.kept is not None or node.subscript is not None:
                break
            node = node.arguments[0]
        if not isinstance(node, Name):
            name = functions.ALIASES.get(call.function, call.function)
            inside = self._cut(argument.span)
            self.fail(
                f"{name} takes a named tensor, not an expression",
                [argument.span],
                facts=["whose rows and columns an expression has, only its indices can tell"],
                hint=f"name its rows and columns: {name}[i,j]({inside})"
                + {"inv": "[p,q]", "cholesky": "[p,q]", "tril": "[p,q]", "solve": "[p]"}.get(
                    name, ""
                ),
            )
            raise AssertionError
        if node.name in self.extents:
            self.fail(
                f"{node.name} is an extent, not a tensor",
                [node.span],
                facts=[self._extent_places[node.name][1]],
                hint="rename one of them",
            )
        return node

    def _read_annotations(self) -> None:
        for nodes in self.nodes:
            for node in nodes:
                for index in indices_of(node):
                    if isinstance(index.extent, str):
                        fact = f"index {index.name} has extent {index.extent} (written there)"
                        self._name_extent(index.extent, index.span, fact)

    def _check_extent_names(self) -> None:
        for name in sorted(self.extents & set(self.ranks)):
            spans, how = self.rank_told(name)
            place, fact = self._extent_places[name]
            self.fail(
                f"{name} is both a tensor and an extent",
                [*spans, *([place] if place else [])],
                facts=[f"{name} is a tensor ({how}), {fact}"],
                hint="rename one of them",
            )

    # ------------------------------------------------------------ extents

    def _join(self, text: syntax.Text) -> None:
        for number, statement in enumerate(text.statements):
            if isinstance(statement, Definition):
                assert statement.name is not None or not statement.indices
                for axis, index in enumerate(statement.indices or ()):
                    self._join_axis(str(statement.name), axis, index, number)
                for node in self.nodes[number]:
                    self._join_node(node, number)

    def _join_axis(self, tensor: str, axis: int, index: Index, number: int) -> None:
        letter: Slot = ("index", index.name, number)
        self._annotated(index, number)
        self.dimensions.join(letter, ("axis", tensor, axis), index.span, f"index {index.name}")

    def _annotated(self, index: Index, number: int) -> None:
        if index.extent is not None:
            letter: Slot = ("index", index.name, number)
            fact = f"{index.name} has extent {index.extent} (written there)"
            self.dimensions.fix(letter, index.extent, fact, index.span, f"index {index.name}")
            if isinstance(index.extent, str):
                self.dimensions.join(
                    letter, ("extent", index.extent, 0), index.span, f"index {index.name}"
                )

    def _join_letters(self, first: Index, second: Index, number: int) -> None:
        subject = (
            f"index {second.name}"
            if first.name == second.name
            else (f"index {first.name} or {second.name}")
        )
        self.dimensions.join(
            ("index", first.name, number), ("index", second.name, number), second.span, subject
        )

    def _join_node(self, node: Node, number: int) -> None:
        for index in indices_of(node):
            self._annotated(index, number)
            self.dimensions.find(("index", index.name, number))
        if isinstance(node, Access):
            name = functions.ALIASES.get(node.name, node.name)
            if name not in _RESERVED:
                for axis, index in enumerate(node.indices):
                    self._join_axis(node.name, axis, index, number)
            elif name == "delta":
                self._join_letters(node.indices[0], node.indices[1], number)
            elif name == "eps":
                count = len(node.indices)
                for index in node.indices:
                    fact = f"eps with {count} indices has extents {count}"
                    letter: Slot = ("index", index.name, number)
                    self.dimensions.fix(letter, count, fact, index.span, f"index {index.name}")
        elif isinstance(node, Call) and is_matrix_function(node):
            if node.kept is not None:
                for index in (*node.kept[1:], *(node.subscript or ())):
                    self._join_letters(node.kept[0], index, number)
            else:
                self._join_whole(node, number)

    def _join_whole(self, node: Call, number: int) -> None:
        name = functions.ALIASES.get(node.function, node.function)
        leaves = [whole_chain(argument)[1] for argument in node.arguments]
        rank = self.ranks[leaves[0]]
        slots: list[Slot] = [("axis", leaves[0], axis) for axis in range(rank)]
        span = node.arguments[0].span
        self.dimensions.join(slots[-2], slots[-1], span, f"the matrix {leaves[0]} of {name}")
        result = slots if name in _CHAINED else slots[:-2]
        if name == "solve":
            result = self._join_solve(leaves[1], slots, node.arguments[1].span)
        for index, slot in zip(node.subscript or (), result, strict=False):
            self.dimensions.join(
                ("index", index.name, number), slot, index.span, f"index {index.name}"
            )

    def _join_solve(self, right: str, slots: list[Slot], span: Span) -> list[Slot]:
        rank, batch = self.ranks[right], len(slots) - 2
        shared = batch if rank > 1 and batch else 0
        for axis in range(shared):
            self.dimensions.join(
                slots[axis], ("axis", right, axis), span, f"axis {axis + 1} of {right}"
            )
        self.dimensions.join(
            slots[-2], ("axis", right, shared), span, f"axis {shared + 1} of {right} in solve"
        )
        more: list[Slot] = [("axis", right, axis) for axis in range(shared + 1, rank)]
        return [*slots[:-1], *more]

    # ------------------------------------------------------------ variables

    def _assume(self, assume: Mapping[str, Iterable[str]]) -> None:
        complaints.check_names(assume, "assume={'Q': 'symmetric'}")
        for name, given in assume.items():
            words = given.split() if isinstance(given, str) else given
            known = self.assumptions.get(name, frozenset())
            self.assumptions[name] = known | complaints.assumptions(words)
        for name, words in self.assumptions.items():
            if name not in self.ranks or name in self._defined:
                raise NotationError(
                    f"{name} is assumed to be {', '.join(sorted(words))}, but it is no tensor given here",
                    facts=[
                        f"{name} is defined by the program"
                        if name in self._defined
                        else f"the program has {', '.join(self.ranks) or 'no tensors'}"
                    ],
                    hint="assume it of a tensor that is given"
                    if name in self._defined
                    else "declare it, or correct the name",
                )
            if words & {"symmetric", "spd"}:
                self._join_symmetric(name, "spd" in words)

    def _join_symmetric(self, name: str, definite: bool) -> None:
        rank = self.ranks[name]
        word = "spd" if definite else "symmetric"
        if rank < 2 or (definite and rank > 2):
            raise DimensionError(
                f"{name} is assumed {word} and has {axes_in_words(rank)}",
                source=self.source,
                spans=self.rank_told(name)[0],
                facts=["symmetric needs two axes or more, spd exactly two"],
                hint=f"drop the assumption, or declare {name} : (n, n)",
            )
        for axis in range(1, rank):
            self.dimensions.join(
                ("axis", name, 0), ("axis", name, axis), self._places.get(name), f"{name}, {word},"
            )

    def _make_variables(self) -> dict[str, Variable]:
        slots: dict[str, list[Slot]] = {
            name: [("axis", name, axis) for axis in range(self.ranks[name])]
            for name in dict.fromkeys([*self._first_uses(), *self.ranks])
            if name in self.ranks and name not in self._defined
        }
        for axes in slots.values():
            for slot in axes:
                self.dimensions.find(slot)
        self.dimensions.settle(self.ranks)
        return {
            name: Variable(name, tuple(map(self.dimensions.extent, axes)))
            for name, axes in slots.items()
        }

    def _first_uses(self) -> list[str]:
        found = [node for nodes in self.nodes for node in nodes if isinstance(node, Access | Name)]
        return [node.name for node in sorted(found, key=lambda node: node.span)]


def _listed(axes: Sequence[Dim]) -> str:
    return f"({', '.join(map(str, axes))})"
