"""Programs whose results stay in pieces: factors, and the Kronecker deltas and outer products between them.

In: terms and extents. Out: a program for the factors, and for each result how it is made of them.
Invariant: a delta is never made dense; a product is kept apart where its factors are smaller than it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...terms import (
    Contraction,
    Dim,
    Expr,
    Label,
    Shape,
    Subscript,
    Sum,
    permutation_of,
    split_scale,
)
from ..program import Program, Register
from .lower import Core, Lowering
from .products import Operand


@dataclass(frozen=True, slots=True)
class Piece:
    """One term: a number, the factors as places among the program's results with labels, its places."""

    coefficient: float
    factors: tuple[tuple[int, Subscript], ...]
    places: Subscript


@dataclass(frozen=True, slots=True)
class Form:
    """A result as a sum of pieces, or as one dense array (`dense`, its place among the results)."""

    shape: Shape
    pieces: tuple[Piece, ...] = ()
    dense: int | None = None


Term = tuple[Fraction, list[Operand], Subscript]


class _Pieces(Lowering):
    """A lowering that leaves its roots in pieces."""

    def pieces_of(self, root: Expr) -> list[Term] | None:
        """The terms of a result, None where it has no structure."""
        terms = []
        is_structured = False
        for coefficient, axes, child in _terms_of(root):
            operands, places = self.piece_of(child)
            moved = tuple(places[axis] for axis in axes)
            covered = {label for _, labels in operands for label in labels}
            size = sum(self.entries_of(register) for register, _ in operands)
            is_structured |= len(set(moved)) < len(moved) or not set(moved) <= covered
            is_structured |= 2 * size < self.shape_entries(root.shape)
            terms.append((coefficient, operands, moved))
        return terms if is_structured else None

    def piece_of(self, node: Expr) -> tuple[list[Operand], Subscript]:
        """One term as factors and places."""
        if not isinstance(node, Contraction) or isinstance(permutation_of(node)[0], Sum):
            if node in self.terms:
                assert isinstance(node, Contraction)
                core, left = self.contraction(node)
                assert left == 1
            else:
                core = self.place(node)
            return self._operand_of(core), core.places
        operands, output, places, dims = self.factors_of(node)
        scalars = [register for register, labels in operands if not labels]
        groups = _groups([operand for operand in operands if operand[1]], output)
        kept: list[Operand] = []
        for group in groups:
            kept += self._contracted(group, output, dims)
        kept = self._alike_together(kept, dims)
        for scalar in scalars:
            if not kept:
                kept = [(scalar, ())]
                continue
            k = min(range(len(kept)), key=lambda k: self.entries_of(kept[k][0]))
            register, labels = kept[k]
            kept[k] = self.pair([(scalar, ()), (register, labels)], labels, dims), labels
        return kept, places

    def _operand_of(self, core: Core) -> list[Operand]:
        return [] if core.register is None else [(core.register, core.labels)]

    def entries_of(self, register: Register) -> int:
        """The number of entries of a register."""
        return self.shape_entries(self.shapes[register])

    def shape_entries(self, shape: Shape) -> int:
        """The number of entries of a shape."""
        count = 1
        for dim in shape:
            count *= self.extent(dim)
        return count

    def _contracted(
        self, group: list[Operand], output: Subscript, dims: Mapping[Label, Dim]
    ) -> list[Operand]:
        """Operands that share summed labels as one, unless that is larger than they are."""
        present = {label for _, labels in group for label in labels}
        own = tuple(label for label in output if label in present)
        size = sum(self.entries(labels, dims) for _, labels in group)
        if len(group) == 1 and set(group[0][1]) == set(own):
            return [self.diagonal(group[0], dims)]
        if self.entries(own, dims) <= size:
            result, _ = self.product(group, own, dims)
            return [] if result is None else [result]
        return [self.diagonal(operand, dims) for operand in group]

    def _alike_together(self, operands: list[Operand], dims: Mapping[Label, Dim]) -> list[Operand]:
        """Factors with the same labels multiplied: f_i g_i is one vector."""
        alike: dict[frozenset[Label], list[Operand]] = {}
        for operand in operands:
            alike.setdefault(frozenset(operand[1]), []).append(operand)
        made = []
        for group in alike.values():
            result, _ = self.product(group, group[0][1], dims)
            made += [] if result is None else [result]
        return made


def _terms_of(root: Expr) -> list[tuple[Fraction, Subscript, Expr]]:
    """The terms of a sum, of sums within it, scaled or transposed: coefficient, axes of the root, term."""
    found = []
    stack = [(Fraction(1), tuple(range(root.rank)), root)]
    while stack:
        coefficient, axes, node = stack.pop()
        own, inner = split_scale(node) if isinstance(node, Sum) else (Fraction(1), node)
        total, order = permutation_of(inner)
        if not isinstance(total, Sum):
            found.append((coefficient * own, axes, inner))
            continue
        placed = tuple(order[axis] for axis in axes)
        pairs = list(zip(total.coefficients, total.children, strict=True))
        stack += [(coefficient * own * c, placed, child) for c, child in reversed(pairs)]
    return found


def _groups(operands: Sequence[Operand], output: Subscript) -> list[list[Operand]]:
    """Operands that hang together by summed labels."""
    groups: list[tuple[set[Label], list[Operand]]] = []
    for operand in operands:
        summed = set(operand[1]) - set(output)
        near = [group for group in groups if group[0] & summed]
        members = [other for group in near for other in group[1]]
        groups = [group for group in groups if group not in near]
        groups.append((summed.union(*(group[0] for group in near)), [*members, operand]))
    return [members for _, members in groups]


def lower_in_pieces(
    roots: Sequence[Expr], sizes: Mapping[str, int], fixed: frozenset[str] = frozenset()
) -> tuple[Program, tuple[Form, ...]]:
    """The program that computes the factors of `roots`, and what each root is made of."""
    lowering = _Pieces(roots, sizes, fixed)
    results: dict[Register, int] = {}
    forms = []
    for root in roots:
        terms = lowering.pieces_of(root)
        if terms is None:
            register = lowering.whole(root)
            forms.append(Form(root.shape, dense=results.setdefault(register, len(results))))
            continue
        pieces = []
        for coefficient, operands, places in terms:
            factors = tuple(
                (results.setdefault(register, len(results)), labels)
                for register, labels in operands
            )
            pieces.append(Piece(float(coefficient), factors, places))
        forms.append(Form(root.shape, tuple(pieces)))
    return lowering.finished(tuple(results)), tuple(forms)
