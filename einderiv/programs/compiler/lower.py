"""From terms to a straight-line program.

In: canonical terms and typical extents. Out: a `Program`; shared nodes are computed once.
Invariant: a Kronecker delta is made dense only in a result, or where a function of entries needs it; ones
are never made at all but by broadcasting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...terms import (
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
    Shape,
    Subscript,
    Sum,
    Variable,
    base_and_exponent,
    permutation_of,
    postorder,
    split_scale,
    uses,
)
from ..program import (
    Combine,
    Constant,
    Contract,
    Elementwise,
    Input,
    Program,
    Register,
    Scatter,
    Size,
    Whole,
    needed_for,
)
from .products import Operand, Products


@dataclass(frozen=True, slots=True)
class Core:
    """A term's data without its deltas and ones: a register whose axes carry labels.

    `labels` name the axes of the register (None: the number 1), `places` all axes of the term: a label
    that stands twice in `places` is a diagonal, one that is not in `labels` a repetition.
    """

    register: Register | None
    labels: Subscript
    places: Subscript

    @property
    def is_structured(self) -> bool:
        """Has the term a delta in it?"""
        return len(set(self.places)) < len(self.places)


class Lowering(Products):
    """Builds the instructions of a program; one method per node kind."""

    def __init__(
        self, roots: Sequence[Expr], sizes: Mapping[str, int], fixed: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(sizes, fixed)
        self.counts = uses(roots)
        self.cores: dict[Expr, Core] = {}
        self.positive: set[Register] = set()
        self.symmetric: set[Register] = set()
        self.dense: dict[Expr, Register] = {}
        nodes = postorder(roots)
        self.terms = {
            child
            for node in nodes
            if isinstance(node, Sum)
            for child in node.children
            if isinstance(child, Contraction) and self.counts[child] == 1
        }
        for node in nodes:
            if not isinstance(node, Delta | Ones) and node not in self.terms:
                self.cores[node] = self.core(node)

    def program(self, roots: Sequence[Expr]) -> Program:
        """The program for `roots`; instructions that no result needs are dropped."""
        return self.finished(tuple(self.whole(root) for root in roots))

    def finished(self, outputs: tuple[Register, ...]) -> Program:
        """The program for some registers."""
        kept = needed_for(self.steps, outputs)
        halves = {s.target for s in kept if isinstance(s, Contract) and _is_matrix_product(s)}
        return Program(
            kept,
            outputs,
            positive=frozenset(self.positive),
            symmetric=frozenset(self.symmetric & halves),
        )

    # ------------------------------------------------------------ cores

    def core(self, node: Expr) -> Core:
        """The core of a node whose children have theirs."""
        plain = tuple(range(node.rank))
        match node:
            case Variable():
                register = self.emit(Input, node.name, shape=node.shape)
                if "spd" in node.assumptions:
                    self.positive.add(register)
                return Core(register, plain, plain)
            case Literal():
                return Core(self.emit(Constant, node.value, shape=()), (), ())
            case Extent():
                return Core(self.emit(Size, node.dim, shape=()), (), ())
            case Contraction():
                core, _ = self.contraction(node)
                return core
            case Sum():
                return self.sum(node)
            case Map():
                return self.map(node)
            case Apply():
                return Core(self.apply(node), plain, plain)
        raise AssertionError(node)

    def place(self, node: Expr) -> Core:
        """The core of a node, deltas and ones included."""
        if isinstance(node, Delta):
            return Core(None, (), (0, 0))
        if isinstance(node, Ones):
            return Core(None, (), (0,))
        return self.cores[node]

    def contraction(
        self, node: Contraction, coefficient: Fraction = Fraction(1)
    ) -> tuple[Core, Fraction]:
        """All operands as cores at the product's labels; deltas merge labels, ones vanish.

        The coefficient goes where it costs least; what is left of it comes back.
        """
        total, axes = permutation_of(node)
        if isinstance(total, Sum):
            terms = self.terms_of(total)
            if any(core.is_structured for _, core in terms):  # scattered where it is wanted
                moved = [
                    (c, Core(core.register, core.labels, tuple(core.places[axis] for axis in axes)))
                    for c, core in terms
                ]
                plain = tuple(range(node.rank))
                return Core(self.scatter(moved, node.shape), plain, plain), coefficient
        inputs, output, places, dims = self.factors_of(node)
        result, coefficient = self.product(inputs, output, dims, coefficient)
        if result is None:
            return Core(None, (), places), coefficient
        if node.symmetric and len(result[1]) == node.rank == 2:
            self.symmetric.add(result[0])
        return Core(*result, places), coefficient

    def factors_of(
        self, node: Contraction
    ) -> tuple[list[Operand], Subscript, Subscript, dict[Label, Dim]]:
        """The registers of a product at its labels, the labels of the result, its places, all extents."""
        merged = _Merged()
        operands: list[Operand] = []
        dims: dict[Label, Dim] = {}
        fresh = 1 + max((label for labels in node.inputs for label in labels), default=-1)
        for child, labels in zip(node.children, node.inputs, strict=True):
            core = self.place(child)
            dims.update(zip(labels, child.shape, strict=True))
            names: dict[Label, Label] = {}
            for own, label in zip(core.places, labels, strict=True):
                merged.join(names.setdefault(own, label), label)
            for own, dim in zip(core.labels, self._shape(core), strict=True):
                if own not in names:
                    names[own] = fresh
                    dims[fresh] = dim
                    fresh += 1
            if core.register is not None:
                operands.append((core.register, tuple(names[own] for own in core.labels)))
        places = tuple(merged.find(label) for label in node.output)
        inputs = [(reg, tuple(merged.find(label) for label in labels)) for reg, labels in operands]
        dims = {merged.find(label): dim for label, dim in dims.items()}
        present = {label for _, labels in inputs for label in labels}
        output = tuple(label for label in dict.fromkeys(places) if label in present)
        return inputs, output, places, dims

    def _shape(self, core: Core) -> Shape:
        return self.shapes[core.register] if core.register is not None else ()

    # ------------------------------------------------------------ sums

    def sum(self, node: Sum) -> Core:
        """A scaled core keeps its structure; a sum is dense unless all its terms are structured alike."""
        if len(node.children) == 1:
            ((coefficient, core),) = self.terms_of(node)
            if core.register is None:
                register = self.emit(Constant, coefficient, shape=())
            else:
                register = core.register
                register = register if coefficient == 1 else self.scaled(register, coefficient)
            return Core(register, core.labels, core.places)
        return self.sum_of_alike(node) or self.dense_sum(node)

    def sum_of_alike(self, node: Sum) -> Core | None:
        """Terms on the same diagonals are added there: d_ij x_i + d_ij y_i -> d_ij (x + y)_i."""
        terms = self.terms_of(node)
        patterns = {tuple(core.places.index(label) for label in core.places) for _, core in terms}
        if len(patterns) != 1:
            return None
        (places,) = patterns
        distinct = tuple(dict.fromkeys(places))
        if len(distinct) == len(places):
            return None
        entries = []
        for coefficient, core in terms:
            register = core.register
            if register is None:
                register = self.emit(Constant, Fraction(1), shape=())
            axes = tuple(distinct.index(core.places.index(label)) for label in core.labels)
            entries.append((coefficient, register, axes))
        if {axis for _, _, axes in entries for axis in axes} != set(range(len(distinct))):
            return None
        shape = tuple(node.shape[axis] for axis in distinct)
        return Core(self.combine(entries, shape), distinct, places)

    def terms_of(self, node: Sum) -> list[tuple[Fraction, Core]]:
        """The terms of a sum as coefficients and cores."""
        terms = []
        for coefficient, child in zip(node.coefficients, node.children, strict=True):
            if child in self.terms:
                assert isinstance(child, Contraction)
                core, left = self.contraction(child, coefficient)
                terms.append((left, core))
                continue
            factor, inside = split_scale(child)
            terms.append((coefficient * factor, self.place(inside)))
        return terms

    def dense_sum(self, node: Sum) -> Core:
        """A sum of arrays, its axes in the order of its largest term."""
        terms = self.terms_of(node)
        plain = tuple(range(node.rank))
        if any(core.is_structured for _, core in terms) or not terms:
            return Core(self.scatter(terms, node.shape), plain, plain)
        covered = {core.places.index(label) for _, core in terms for label in core.labels}
        if covered != set(plain):
            return Core(self.scatter(terms, node.shape), plain, plain)
        entries = []
        for coefficient, core in terms:
            register = core.register
            if register is None:
                register = self.emit(Constant, Fraction(1), shape=())
            entries.append((coefficient, register, axes_of(core)))
        order = self.order_of([axes for _, _, axes in entries], node.rank)
        shape = tuple(node.shape[axis] for axis in order)
        return Core(
            self.combine([(c, r, _moved(a, order)) for c, r, a in entries], shape), order, plain
        )

    def order_of(self, axes: Sequence[Subscript], rank: int) -> Subscript:
        """The order of the axes in which a result is stored: that of an operand which has them all."""
        plain = tuple(range(rank))
        full = [own for own in axes if len(own) == rank]
        return plain if plain in full or not full else full[0]

    def combine(
        self, entries: list[tuple[Fraction, Register, Subscript]], shape: Shape
    ) -> Register:
        return self.emit(
            Combine,
            tuple(c for c, _, _ in entries),
            tuple(register for _, register, _ in entries),
            tuple(axes for _, _, axes in entries),
            shape=shape,
        )

    def scatter(self, terms: Sequence[tuple[Fraction, Core]], shape: Shape) -> Register:
        return self.emit(
            Scatter,
            tuple(c for c, _ in terms),
            tuple(core.register for _, core in terms),
            tuple(core.labels for _, core in terms),
            tuple(core.places for _, core in terms),
            shape=shape,
        )

    # ------------------------------------------------------------ functions

    def placed(self, node: Expr) -> tuple[Register, Subscript]:
        """A register that broadcasts to the node's shape, and the axes it has."""
        core = self.place(node)
        if core.is_structured or core.register is None:
            return self.whole(node), tuple(range(node.rank))
        return core.register, axes_of(core)

    def map(self, node: Map) -> Core:
        """A function of the entries, its axes in the order of its largest operand."""
        given: Fraction | None
        if not node.children:
            return Core(self.emit(Constant, node.function, shape=()), (), ())
        base, exponent = base_and_exponent(node)
        if node.function == "pow" and exponent != 1:
            pairs, given = [self.placed(base)], exponent
        else:
            pairs, given = [self.placed(child) for child in node.children], None
        order = self.order_of([axes for _, axes in pairs], node.rank)
        register = self.emit(
            Elementwise,
            node.function,
            tuple(r for r, _ in pairs),
            tuple(_moved(a, order) for _, a in pairs),
            given,
            shape=tuple(node.shape[axis] for axis in order),
        )
        return Core(register, order, tuple(range(node.rank)))

    def apply(self, node: Apply) -> Register:
        operands = tuple(self.whole(child) for child in node.children)
        target = self.emit(Whole, node.function, operands, node.width, shape=node.shape)
        if node.function == "inv" and node.rank == 2:
            self.inverted[target] = operands[0]
        return target

    def whole(self, node: Expr) -> Register:
        """A register with all of the node's axes, dense."""
        known = self.dense.get(node)
        if known is None:
            core = self.place(node)
            plain = tuple(range(node.rank))
            if core.register is not None and core.labels == core.places == plain:
                known = core.register
            elif (
                core.register is not None
                and set(core.labels) == set(core.places)
                and not (core.is_structured)
            ):
                dims = dict(zip(core.places, node.shape, strict=True))
                known = self.pair([(core.register, core.labels)], core.places, dims)
            elif node.rank == 0:
                known = self.emit(Constant, Fraction(1), shape=())
            else:
                known = self.scatter([(Fraction(1), core)], node.shape)
            self.dense[node] = known
        return known


class _Merged:
    """Labels that deltas identify."""

    def __init__(self) -> None:
        self.parent: dict[Label, Label] = {}

    def find(self, label: Label) -> Label:
        while label in self.parent:
            label = self.parent[label]
        return label

    def join(self, first: Label, second: Label) -> None:
        a, b = self.find(first), self.find(second)
        if a != b:
            self.parent[max(a, b)] = min(a, b)


def _is_matrix_product(step: Contract) -> bool:
    """Rows times columns, of two arrays that are not one: BLAS sees Z'Z by itself."""
    if len(step.operands) != 2 or step.operands[0] == step.operands[1]:
        return False
    (a, b), output = map(set, step.inputs), set(step.output)
    return all(len(x) == 2 for x in step.inputs) and len(a & b) == 1 and a ^ b == output


def axes_of(core: Core) -> Subscript:
    """The axes of the term that the axes of the register stand for."""
    return tuple(core.places.index(label) for label in core.labels)


def _moved(axes: Subscript, order: Subscript) -> Subscript:
    """Axes of a term as axes of a result stored in another order."""
    return tuple(order.index(axis) for axis in axes)


def lower(
    roots: Sequence[Expr], sizes: Mapping[str, int], fixed: frozenset[str] = frozenset()
) -> Program:
    """The program that computes `roots`; `sizes` are the extents that planning assumes.

    What depends on the arrays `fixed` alone counts as computed already.
    """
    return Lowering(roots, sizes, fixed).program(roots)
