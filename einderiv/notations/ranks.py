"""The tensors of a program: their ranks, and which of their axes share an extent.

In: a surface tree, extents and assumptions given beside it.
Out: `Program`: every tensor as a variable, the extents' names, the union of all axes and indices.
Invariant: a name has one rank in a program; all that share an index in a statement share an extent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple, NoReturn

from ..errors import DimensionError, NotationError, Span, axes_in_words
from ..terms import INDICES, Classes, Dim, Expr, Variable, free_name, functions, numbered_names
from . import complaints, syntax
from .context import Assumptions, Context, Shapes
from .syntax import Node

Slot = tuple[str, str, int]  # kind ("axis", "index", "extent"), name, axis or statement number
_RESERVED = frozenset(functions.SPECIAL_TENSORS)
_ENTRIES = {"delta": (2, 2), "size": (1, 1), "eps": (2, 8)}  # indices, at least and at most


class Fixed(NamedTuple):
    """A declared extent, what fixes it, and where the class met it in the text."""

    dim: Dim
    fact: str
    span: Span | None


class Dimensions:
    """Classes of slots. `source` is the text that errors show."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.declared: set[str] = set()
        self._same: Classes[Slot] = Classes()
        self._order: dict[Slot, int] = {}  # the first slot of a class speaks for it
        self._fixed: dict[Slot, tuple[Fixed, ...]] = {}
        self._letters: dict[Slot, list[str]] = {}  # of each class, in the order of the text
        self._names: dict[Slot, Dim] = {}

    def find(self, slot: Slot) -> Slot:
        """The slot that speaks for the class of `slot`."""
        if slot not in self._order:
            self._order[slot] = len(self._order)
            self._letters[slot] = [slot[1]] if slot[0] == "index" else []
        return self._same.find(slot)

    def facts(self, slot: Slot) -> tuple[Fixed, ...]:
        """What fixes the extent of a slot so far."""
        return self._fixed.get(self.find(slot), ())

    def fix(self, slot: Slot, dim: Dim, fact: str, span: Span | None, subject: str) -> None:
        """The extent of `slot` is `dim`, for the reason `fact`."""
        if isinstance(dim, str):
            self.declared.add(dim)
        met = (*self.facts(slot), Fixed(dim, fact, span))
        self._fixed[self.find(slot)] = self._agree(met, subject, span)

    def join(self, first: Slot, second: Slot, span: Span | None, subject: str) -> None:
        """`first` and `second` share their extent, because of the text at `span`."""
        a, b = sorted((self.find(first), self.find(second)), key=self._order.__getitem__)
        if a != b:
            met = (*self.facts(a), *self.facts(b))
            self._fixed[a] = self._agree(met, subject, span)
            self._same.join(a, b)
            self._letters[a] = list(dict.fromkeys(self._letters[a] + self._letters.pop(b)))

    def _agree(self, met: tuple[Fixed, ...], subject: str, span: Span | None) -> tuple[Fixed, ...]:
        met = tuple(entry._replace(span=entry.span or span) for entry in met)
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
        letters = {*chain(*self._letters.values())}
        candidates = chain("nmpqrst", islice(numbered_names("n"), 1, None))
        unnamed = (name for name in candidates if name not in used and name not in letters)
        for root, own in self._letters.items():
            dims = [entry.dim for entry in self._fixed.get(root, ())]
            if dims:  # a number first
                self._names[root] = min(dims, key=lambda dim: isinstance(dim, str))
                continue
            name = free_name(numbered_names(own[0] if own else next(unnamed)), used)
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
            if self._letters[root]
        }

    def number_behind(self, name: str) -> Dim:
        """A declared name's extent: the number it was joined with, else the name."""
        slot = ("extent", name, 0)
        return self.extent(slot) if slot in self._order else name


class Program:
    """What the statements of a text have in common."""

    def __init__(self, text: syntax.Text, shapes: Shapes, assume: Assumptions) -> None:
        self.source = text.source
        self.dimensions = Dimensions(text.source)
        self.nodes = [
            syntax.tree_nodes(s.expression) if isinstance(s, syntax.Definition) else []
            for s in text.statements
        ]
        self.ranks: dict[str, int] = {}  # tensors with axes and definitions, not undeclared scalars
        self.extents: set[str] = set()
        self.assumptions: dict[str, frozenset[str]] = {}
        self._places: dict[str, Span] = {}  # where a name got its rank
        self._shown: dict[str, str] = {}  # how it got it
        self._extent_places: dict[str, tuple[Span | None, str]] = {}  # where, and as what
        self._defined: dict[str, int] = {}  # definition -> its statement
        self._declared: dict[str, tuple[Dim, ...]] = {}
        self._mentions: dict[str, tuple[int, Span]] = {}  # name -> its first statement, and where
        for number, node in self._walk():
            if isinstance(node, syntax.Access | syntax.Name):
                self._mentions.setdefault(node.name, (number, node.span))
        complaints.check_names(shapes, "shapes={'X': ('n', 3)}")
        for name, given in shapes.items():
            axes = complaints.shape(name, given)
            self._refuse_reserved(name, None, bool(axes))
            self._declare(name, axes, None, "given in shapes=")
        self._read_statements(text)
        self._read_annotations()
        self._read_whole_uses()
        self._check_extent_names()
        self._join(text)
        self._assume(assume)
        self.variables = self._make_variables()

    def _walk(self) -> Iterator[tuple[int, Node]]:
        """Every node, with the number of its statement."""
        return ((number, node) for number, nodes in enumerate(self.nodes) for node in nodes)

    def fail(
        self,
        message: str,
        spans: Sequence[Span],
        facts: Sequence[str] = (),
        hint: str | None = None,
        kind: type[NotationError] | type[DimensionError] = NotationError,
    ) -> NoReturn:
        """Refuse the text, with the place."""
        raise kind(message, source=self.source, spans=spans, facts=facts, hint=hint)

    def text(self, span: Span) -> str:
        """What the source says at `span`, on one line."""
        return " ".join(self.source[span[0] : span[1]].split())

    def context(self, definitions: Mapping[Expr, str], name: str | None) -> Context:
        """What is known of the program; `name` is that of its result."""
        return Context(
            self.variables,
            self.assumptions,
            self.letters(),
            definitions,
            frozenset(self.dimensions.declared),
            name,
        )

    def letters(self) -> dict[Dim, tuple[str, ...]]:
        """The indices that stood at each extent."""
        return self.dimensions.letters()

    def _declare(self, name: str, axes: tuple[Dim, ...], span: Span | None, how: str) -> None:
        self._set_rank(name, len(axes), span, how)
        for axis, dim in enumerate(axes):
            subject = f"axis {axis + 1} of {name}"
            fact = f"{subject} is {dim} ({how})"
            slot: Slot = ("axis", name, axis)
            self.dimensions.fix(slot, dim, fact, span, subject)
            if isinstance(dim, str):
                self._name_extent(dim, span, fact)
                self.dimensions.join(slot, ("extent", dim, 0), span, f"extent {dim}")
        self._declared[name] = axes

    def _set_rank(self, name: str, rank: int, span: Span | None, how: str) -> None:
        known = self.ranks.setdefault(name, rank)
        if known != rank:
            self.fail(
                f"{name} has two ranks",
                [place for place in (self._places.get(name), span) if place],
                [f"{axes_in_words(known)} ({self._shown[name]}), {axes_in_words(rank)} ({how})"],
                "give one of them another name, or the same number of indices",
                DimensionError,
            )
        self._shown.setdefault(name, how)
        if span:
            self._places.setdefault(name, span)

    def rank_origin(self, name: str) -> tuple[list[Span], str]:
        """Where a tensor got its rank, and how: `declared`, `A[i,j]`, ..."""
        return [self._places[name]] if name in self._places else [], self._shown[name]

    def _axes(self, name: str) -> list[Slot]:
        return [("axis", name, axis) for axis in range(self.ranks[name])]

    def _name_extent(self, name: str, span: Span | None, fact: str) -> None:
        self.extents.add(name)
        self._extent_places.setdefault(name, (span, fact))

    def _read_statements(self, text: syntax.Text) -> None:
        for number, statement in enumerate(text.statements):
            name, place = statement.name, statement.name_span
            if isinstance(statement, syntax.Declaration):
                axes = statement.axes
                self._refuse_reserved(statement.name, place, bool(axes))
                known = self._declared.get(statement.name, axes)
                if known != axes and name in self._places:
                    self.fail(
                        f"{name} is declared twice",
                        [self._places[statement.name], place],
                        [f"{_axes_text(known)} there, {_axes_text(axes)} here"],
                        "keep one of the declarations",
                    )
                self._declare(statement.name, axes, place, "declared")
                self.assumptions[statement.name] = frozenset(statement.assumptions)
            elif name is not None:
                self._define(name, len(statement.indices or ()), number, place)
        for _, node in self._walk():
            if isinstance(node, syntax.Access):
                self._read_access(node)

    def _define(self, name: str, rank: int, number: int, place: Span) -> None:
        self._refuse_reserved(name, place, rank > 0)
        if name in self._defined or name in self._declared:
            spans, how = self.rank_origin(name)
            what = "defined twice" if name in self._defined else "both declared and defined"
            self.fail(
                f"{name} is {what}",
                [*spans, place],
                [f"{how} there, defined here; a name stands for one tensor"],
                "give one of them another name",
            )
        used, span = self._mentions.get(name, (number + 1, place))
        if used <= number:
            own = used == number
            self.fail(
                f"{name} is used {'in its own definition' if own else 'before it is defined'}",
                [span, place],
                ["a definition is known to the statements after it"],
                f"{'' if own else 'move its definition up, or '}give one of them another name",
            )
        self._defined[name] = number
        self._set_rank(name, rank, place, "defined")

    def _refuse_reserved(self, given: str, span: Span | None, indexed: bool) -> None:
        name = syntax.full_name(given)
        if indexed and (name in syntax.NAMES or name in _RESERVED):
            self.fail(
                f"{given} is the name of {'a special tensor' if name in _RESERVED else 'a function'}",
                [span] if span else [],
                ["a tensor with axes cannot have that name, a scalar can"],
                f"choose another name, for example {given}_",
            )

    def _read_access(self, node: syntax.Access) -> None:
        count, name = len(node.indices), syntax.full_name(node.name)
        if name in _RESERVED:  # indexed it is never a tensor; alone it is a scalar
            least, most = _ENTRIES.get(name, (1, 64))
            if not least <= count <= most:
                words = f"{least} {'index' if least == 1 else 'indices'}"
                self.fail(
                    f"{name} takes {words}{' to 8' if name == 'eps' else ''}, {count} given",
                    [node.span],
                    hint=f"write {name}{syntax.brackets(INDICES[:least])}",
                )
            return
        if node.name not in self.ranks and name in syntax.NAMES:
            example = f"{name}[i](...)" if name in functions.REDUCTIONS else f"{name}(...)"
            self.fail(
                f"{node.name} is a function and stands without an argument",
                [node.span],
                hint=f"write {example}, or give the tensor another name",
            )
        self._set_rank(node.name, count, node.span, self.text(node.span))

    def refuse_count(self, node: syntax.Call, wanted: int, hint: str) -> NoReturn:
        """A function has another number of arguments."""
        self.fail(
            f"{syntax.full_name(node.function)} takes {wanted} argument{'s' * (wanted > 1)}, "
            f"{len(node.arguments)} given",
            [node.span],
            hint=hint,
        )

    def _read_whole_uses(self) -> None:
        """Ranks of tensors that are whole arguments of matrix functions; other bare names are scalars."""
        whole: set[int] = set()
        for _, node in self._walk():
            if isinstance(node, syntax.Call) and syntax.is_matrix_function(node):
                self._check_matrix_call(node)
                if node.kept is None:
                    whole |= self._whole_ranks(node)
        for _, node in self._walk():
            if isinstance(node, syntax.Name) and id(node) not in whole:
                name = node.name
                if name not in self.extents and name not in self.ranks and name != "pi":
                    self._set_rank(name, 0, node.span, f"{name} without indices")

    def _check_matrix_call(self, node: syntax.Call) -> None:
        name = syntax.full_name(node.function)
        wanted, form = (2, "solve(A, b)") if name == "solve" else (1, f"{name}(A)")
        if len(node.arguments) != wanted:
            self.refuse_count(node, wanted, f"write {form}")
        names = [index.name for index in node.kept or ()]
        if node.kept is not None and (len(names) != 2 or names[0] == names[1]):
            self.fail(
                f"{name} takes two indices, the rows' and the columns'",
                [index.span for index in node.kept],
                [f"given: {', '.join(names)}"],
                f"write {name}[i,j](...) with i the rows and j the columns of the argument",
            )

    def _whole_ranks(self, node: syntax.Call) -> set[int]:
        """Gives the tensors of `inv(A)[i,j]` or `solve(A,b)[i]` their ranks if nothing else does."""
        name = syntax.full_name(node.function)
        behind = len(node.subscript or ())
        matrix, *others = leaves = [self._leaf(name, argument) for argument in node.arguments]
        if matrix.name not in self.ranks:
            guess = 2 if name == "solve" else behind + 2 - syntax.result_rank(name)
            self._set_rank(matrix.name, max(guess, 2), matrix.span, self.text(node.span))
        rank = self.ranks[matrix.name]
        if rank < 2:
            spans, how = self.rank_origin(matrix.name)
            self.fail(
                f"{name} takes a matrix, {matrix.name} has {axes_in_words(rank)}",
                [matrix.span, *spans],
                [f"{axes_in_words(rank)} ({how}), 2 or more needed"],
                f"declare it: {matrix.name} : (n, n)",
                DimensionError,
            )
        for right in others:  # a vector, or columns; with the matrix's batch axes or none
            if right.name not in self.ranks:
                how = "the right-hand side of solve"
                self._set_rank(right.name, max(behind, 1), right.span, how)
            known = self.ranks[right.name]
            if known not in ((1, 2) if rank == 2 else (1, rank - 1, rank)):
                self.fail(
                    f"solve takes a vector or columns, {right.name} has {axes_in_words(known)}",
                    [right.span],
                    [f"the matrix has {axes_in_words(rank)}"],
                    "name the indices: solve[i,j](A[i,j], b[i,k])[p]",
                    DimensionError,
                )
        return {id(leaf) for leaf in leaves}

    def _leaf(self, name: str, argument: Node) -> syntax.Name:
        """The tensor in `A`, `inv(A)`, `inv(cholesky(A))`."""
        node = argument
        while (
            isinstance(node, syntax.Call)
            and syntax.is_chained(syntax.full_name(node.function))
            and node.kept is None
            and node.subscript is None
        ):
            node = node.arguments[0]
        if not isinstance(node, syntax.Name):
            behind = syntax.brackets("pqrstu"[: syntax.result_rank(name)])
            self.fail(
                f"{name} takes a named tensor, not an expression",
                [argument.span],
                ["whose rows and columns an expression has, only its indices can tell"],
                f"name its rows and columns: {name}[i,j]({self.text(argument.span)}){behind}",
            )
        if node.name in self.extents:
            self.fail(
                f"{node.name} is an extent, not a tensor",
                [node.span],
                [self._extent_places[node.name][1]],
                "rename one of them",
            )
        return node

    def _read_annotations(self) -> None:
        for _, node in self._walk():
            for index in syntax.indices_of(node):
                if isinstance(index.extent, str):
                    fact = f"index {index.name} has extent {index.extent} (written there)"
                    self._name_extent(index.extent, index.span, fact)

    def _check_extent_names(self) -> None:
        for name in sorted(self.extents & set(self.ranks)):
            spans, how = self.rank_origin(name)
            place, fact = self._extent_places[name]
            self.fail(
                f"{name} is both a tensor and an extent",
                [*spans, *([place] if place else [])],
                [f"{name} is a tensor ({how}), {fact}"],
                "rename one of them",
            )

    def _join(self, text: syntax.Text) -> None:
        for number, statement in enumerate(text.statements):
            if isinstance(statement, syntax.Definition):
                left = statement.indices or ()
                self._join_axes(str(statement.name), left, number)
                for node in self.nodes[number]:
                    self._join_node(node, number)

    def _join_axes(self, tensor: str, indices: Sequence[syntax.Index], number: int) -> None:
        """A tensor's axes have the extents of the indices at them."""
        for axis, index in enumerate(indices):
            self._annotate(index, number)
            self._join_index(index, number, ("axis", tensor, axis))

    def _join_index(self, index: syntax.Index, number: int, slot: Slot, subject: str = "") -> None:
        """An index has the extent of `slot`."""
        letter: Slot = ("index", index.name, number)
        self.dimensions.join(letter, slot, index.span, subject or f"index {index.name}")

    def _annotate(self, index: syntax.Index, number: int) -> None:
        if index.extent is not None:
            fact = f"{index.name} has extent {index.extent} (written there)"
            self._fix_index(index, number, index.extent, fact)
            if isinstance(index.extent, str):
                self._join_index(index, number, ("extent", index.extent, 0))

    def _fix_index(self, index: syntax.Index, number: int, dim: Dim, fact: str) -> None:
        letter: Slot = ("index", index.name, number)
        self.dimensions.fix(letter, dim, fact, index.span, f"index {index.name}")

    def _join_letters(self, first: syntax.Index, second: syntax.Index, number: int) -> None:
        both = dict.fromkeys((first.name, second.name))
        slot: Slot = ("index", first.name, number)
        self._join_index(second, number, slot, f"index {' or '.join(both)}")

    def _join_node(self, node: Node, number: int) -> None:
        for index in syntax.indices_of(node):
            self._annotate(index, number)
            self.dimensions.find(("index", index.name, number))
        if isinstance(node, syntax.Access):
            name, count = syntax.full_name(node.name), len(node.indices)
            if name not in _RESERVED:
                self._join_axes(node.name, node.indices, number)
            elif name == "delta":
                self._join_letters(node.indices[0], node.indices[1], number)
            elif name == "eps":
                for index in node.indices:
                    fact = f"eps with {count} indices has extents {count}"
                    self._fix_index(index, number, count, fact)
        elif isinstance(node, syntax.Call) and syntax.is_matrix_function(node):
            if node.kept is not None:
                for index in (*node.kept[1:], *(node.subscript or ())):
                    self._join_letters(node.kept[0], index, number)
            else:
                self._join_whole(node, number)

    def _join_whole(self, node: syntax.Call, number: int) -> None:
        """The extents of `inv(A)[i,j]` and `solve(A,b)[i]`."""
        name = syntax.full_name(node.function)
        tensors = [syntax.whole_chain(argument)[1] for argument in node.arguments]
        slots = self._axes(tensors[0])
        span = node.arguments[0].span
        self.dimensions.join(slots[-2], slots[-1], span, f"the matrix {tensors[0]} of {name}")
        result = [*slots[:-2], *slots[-1:] * syntax.result_rank(name)]
        if name == "solve":
            right, span = tensors[1], node.arguments[1].span
            own = self._axes(right)
            batch = slots[:-2] if len(own) > 1 else []
            for axis, slot in enumerate([*batch, slots[-2]]):
                subject = f"axis {axis + 1} of {right}{' in solve' * (axis == len(batch))}"
                self.dimensions.join(slot, own[axis], span, subject)
            result = [*slots[:-1], *own[len(batch) + 1 :]]
        for index, slot in zip(node.subscript or (), result, strict=False):
            self._join_index(index, number, slot)

    def _assume(self, assume: Assumptions) -> None:
        complaints.check_names(assume, "assume={'Q': 'symmetric'}")
        for name, given in assume.items():
            words = given.split() if isinstance(given, str) else given
            known = self.assumptions.get(name, frozenset())
            self.assumptions[name] = known | complaints.assumptions(words)
        for name, words in self.assumptions.items():
            if name not in self.ranks or name in self._defined:
                known_names = f"the program has {', '.join(self.ranks) or 'no tensors'}"
                fact, hint = known_names, "declare it, or correct the name"
                if name in self._defined:
                    fact = f"{name} is defined by the program"
                    hint = "assume it of a tensor that is given"
                listed = ", ".join(sorted(words))
                raise NotationError(
                    f"{name} is assumed to be {listed}, but it is no tensor given here",
                    facts=[fact],
                    hint=hint,
                )
            if words & {"symmetric", "spd"}:
                word, rank = "spd" if "spd" in words else "symmetric", self.ranks[name]
                if rank < 2 or (word == "spd" and rank > 2):
                    self.fail(
                        f"{name} is assumed {word} and has {axes_in_words(rank)}",
                        self.rank_origin(name)[0],
                        ["symmetric needs two axes or more, spd exactly two"],
                        f"drop the assumption, or declare {name} : (n, n)",
                        DimensionError,
                    )
                first, *others = self._axes(name)
                for other in others:
                    place = self._places.get(name)
                    self.dimensions.join(first, other, place, f"{name}, {word},")
        self.assumptions = {name: words for name, words in self.assumptions.items() if words}

    def _make_variables(self) -> dict[str, Variable]:
        found = [node for _, node in self._walk() if isinstance(node, syntax.Access | syntax.Name)]
        uses = [node.name for node in sorted(found, key=lambda node: node.span)]
        slots = {
            name: self._axes(name)
            for name in dict.fromkeys([*uses, *self.ranks])
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


def _axes_text(axes: Sequence[Dim]) -> str:
    return f"({', '.join(map(str, axes))})"
