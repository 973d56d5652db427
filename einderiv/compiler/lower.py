"""From terms to a straight-line program.

In: canonical terms and typical extents. Out: a `Program`; shared nodes are computed once.
Invariant: a Kronecker delta is made dense only in a result, or where a function of entries needs it; ones
are never made at all but by broadcasting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..expr import (
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
)
from ..program import (
    Combine,
    Constant,
    Contract,
    Elementwise,
    Input,
    Instruction,
    Program,
    Register,
    Scatter,
    Size,
    Solve,
    Whole,
    operands_of,
)
from ..structure import base_and_exponent, permutation_of, split_scale
from ..walk import postorder, uses
from .order import contraction_order

ASSUMED_EXTENT = 64  # for planning where no extent is known


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


Operand = tuple[Register, Subscript]


class Lowering:
    """Builds the instructions of a program; one method per node kind."""

    def __init__(self, roots: Sequence[Expr], sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.counts = uses(roots)
        self.steps: list[Instruction] = []
        self.cores: dict[Expr, Core] = {}
        self.dense: dict[Expr, Register] = {}
        self.shapes: list[Shape] = []
        self.made: dict[tuple[object, ...], Register] = {}
        self.inverted: dict[Register, Register] = {}  # register of inv(A) -> register of A
        for node in postorder(roots):
            if not self._is_folded(node):
                self.cores[node] = self.core(node)

    def _is_folded(self, node: Expr) -> bool:
        """Deltas and ones have no core of their own: products take them up."""
        return isinstance(node, Delta | Ones)

    def extent(self, dim: Dim) -> int:
        """The extent that planning assumes."""
        return dim if isinstance(dim, int) else self.sizes.get(dim, ASSUMED_EXTENT)

    def emit(self, make: type, *fields: object, shape: Shape) -> Register:
        """Append an instruction, unless an equal one stands already; its register."""
        key = (make, fields, shape)
        if key not in self.made:
            self.made[key] = len(self.shapes)
            self.shapes.append(shape)
            self.steps.append(make(self.made[key], *fields, shape))
        return self.made[key]

    def program(self, roots: Sequence[Expr]) -> Program:
        """The program for `roots`; instructions that no result needs are dropped."""
        outputs = tuple(self.whole(root) for root in roots)
        needed = set(outputs)
        kept = []
        for step in reversed(self.steps):
            if step.target in needed:
                needed.update(operands_of(step))
                kept.append(step)
        return Program(tuple(reversed(kept)), outputs)

    # ------------------------------------------------------------ cores

    def core(self, node: Expr) -> Core:
        """The core of a node whose children have theirs."""
        plain = tuple(range(node.rank))
        match node:
            case Variable():
                return Core(self.emit(Input, node.name, shape=node.shape), plain, plain)
            case Literal():
                return Core(self.emit(Constant, node.value, shape=()), (), ())
            case Extent():
                return Core(self.emit(Size, node.dim, shape=()), (), ())
            case Contraction():
                return self.contraction(node)
            case Sum():
                return self.sum(node)
            case Map():
                return Core(self.map(node), plain, plain)
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

    def contraction(self, node: Contraction) -> Core:
        """All operands as cores at the product's labels; deltas merge labels, ones vanish."""
        total, axes = permutation_of(node)
        if isinstance(total, Sum):
            terms = self.terms_of(total)
            if any(core.is_structured for _, core in terms):  # scattered where it is wanted
                moved = [
                    (c, Core(core.register, core.labels, tuple(core.places[axis] for axis in axes)))
                    for c, core in terms
                ]
                plain = tuple(range(node.rank))
                return Core(self.scatter(moved, node.shape), plain, plain)
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
        return Core(self.product(inputs, output, dims), output, places)

    def _shape(self, core: Core) -> Shape:
        return self.shapes[core.register] if core.register is not None else ()

    def product(
        self, operands: list[Operand], output: Subscript, dims: Mapping[Label, Dim]
    ) -> Register | None:
        """The contraction of registers, pair by pair; scalars join the smallest partner."""
        if not operands:
            return None
        scalars = [reg for reg, labels in operands if not labels]
        arrays = [(reg, labels) for reg, labels in operands if labels]
        factor: Register | None = None
        for scalar in scalars:
            factor = scalar if factor is None else self.pair([(factor, ()), (scalar, ())], (), {})
        if not arrays:
            return factor
        if factor is not None:
            size = {k: self._entries(labels, dims) for k, (_, labels) in enumerate(arrays)}
            smallest = min(size, key=size.__getitem__)
            if size[smallest] < self._entries(output, dims):
                register, labels = arrays[smallest]
                if len(set(labels)) < len(labels):
                    distinct = tuple(dict.fromkeys(labels))
                    register, labels = self.pair([(register, labels)], distinct, dims), distinct
                arrays[smallest] = (
                    self.pair([(factor, ()), (register, labels)], labels, dims),
                    labels,
                )
                factor = None
        result = self.arrays_product(arrays, output, dims)
        if factor is not None:
            result = self.pair([(factor, ()), (result, output)], output, dims)
        return result

    def _entries(self, labels: Subscript, dims: Mapping[Label, Dim]) -> int:
        count = 1
        for label in set(labels):
            count *= self.extent(dims[label])
        return count

    def arrays_product(
        self, arrays: list[Operand], output: Subscript, dims: Mapping[Label, Dim]
    ) -> Register:
        extents = {label: self.extent(dim) for label, dim in dims.items()}
        path = contraction_order([labels for _, labels in arrays], output, extents)
        left = list(arrays)
        for step in path:
            chosen = [left[position] for position in step]
            left = [entry for position, entry in enumerate(left) if position not in step]
            wanted = set(output).union(*(labels for _, labels in left))
            labels = tuple(dict.fromkeys(x for _, own in chosen for x in own if x in wanted))
            if not left:
                labels = output
            while len(chosen) > 2:  # a planner may contract several at once
                inner = tuple(dict.fromkeys(x for _, own in chosen[:2] for x in own))
                chosen = [(self.pair(chosen[:2], inner, dims), inner), *chosen[2:]]
            left.append((self.pair(chosen, labels, dims), labels))
        ((register, _),) = left
        return register

    def pair(self, chosen: list[Operand], output: Subscript, dims: Mapping[Label, Dim]) -> Register:
        """One contraction of one or two registers; inv(A) b becomes a solve."""
        if len(chosen) == 1 and chosen[0][1] == output:
            return chosen[0][0]
        solved = self.solve(chosen, output, dims)
        if solved is not None:
            return solved
        number: dict[Label, Label] = {}
        for _, labels in chosen:
            for label in labels:
                number.setdefault(label, len(number))
        return self.emit(
            Contract,
            tuple(register for register, _ in chosen),
            tuple(tuple(number[label] for label in labels) for _, labels in chosen),
            tuple(number[label] for label in output),
            tuple((new, dims[old]) for old, new in number.items()),
            shape=tuple(dims[label] for label in output),
        )

    def solve(
        self, chosen: list[Operand], output: Subscript, dims: Mapping[Label, Dim]
    ) -> Register | None:
        """inv(A) times an array along one axis, where the inverse itself is not needed."""
        if len(chosen) != 2:
            return None
        for (first, labels), (second, own) in (chosen, chosen[::-1]):
            if first not in self.inverted or len(labels) != 2 or labels[0] == labels[1]:
                continue
            for axis, transposed in ((1, False), (0, True)):
                summed, kept = labels[axis], labels[1 - axis]
                if own.count(summed) == 1 and kept not in own and len(set(own)) == len(own):
                    result = tuple(kept if label == summed else label for label in own)
                    if set(result) != set(output) or len(own) > 2:
                        continue
                    if second in self.inverted and len(own) == 2:
                        continue  # a product of inverses: their matrices are needed elsewhere as well
                    target = self.emit(
                        Solve,
                        (self.inverted[first], second),
                        own.index(summed),
                        transposed,
                        shape=tuple(dims[label] for label in result),
                    )
                    return self.pair([(target, result)], output, dims)
        return None

    # ------------------------------------------------------------ sums

    def sum(self, node: Sum) -> Core:
        """A scaled core keeps its structure; a sum is dense unless all its terms are structured alike."""
        if len(node.children) == 1:
            core = self.place(node.children[0])
            if core.register is None:
                register = self.emit(Constant, node.coefficients[0], shape=())
            else:
                shape = self.shapes[core.register]
                register = self.combine(
                    [(node.coefficients[0], core.register, _axes(shape))], shape
                )
            return Core(register, core.labels, core.places)
        alike = self.sum_of_alike(node)
        plain = tuple(range(node.rank))
        return alike or Core(self.dense_sum(node), plain, plain)

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
            factor, inside = split_scale(child)
            terms.append((coefficient * factor, self.place(inside)))
        return terms

    def dense_sum(self, node: Sum) -> Register:
        terms = self.terms_of(node)
        if any(core.is_structured for _, core in terms) or not terms:
            return self.scatter(terms, node.shape)
        covered = {core.places.index(label) for _, core in terms for label in core.labels}
        if covered != set(range(node.rank)):
            return self.scatter(terms, node.shape)
        entries = []
        for coefficient, core in terms:
            axes = tuple(core.places.index(label) for label in core.labels)
            register = core.register
            if register is None:
                register = self.emit(Constant, Fraction(1), shape=())
            entries.append((coefficient, register, axes))
        return self.combine(entries, node.shape)

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
        return core.register, tuple(core.places.index(label) for label in core.labels)

    def map(self, node: Map) -> Register:
        given: Fraction | None
        if not node.children:
            return self.emit(Constant, node.function, shape=())
        base, exponent = base_and_exponent(node)
        if node.function == "pow" and exponent != 1:
            register, axes = self.placed(base)
            pairs, given = [(register, axes)], exponent
        else:
            pairs, given = [self.placed(child) for child in node.children], None
        return self.emit(
            Elementwise,
            node.function,
            tuple(r for r, _ in pairs),
            tuple(a for _, a in pairs),
            given,
            shape=node.shape,
        )

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


def _axes(shape: Shape) -> Subscript:
    return tuple(range(len(shape)))


def lower(roots: Sequence[Expr], sizes: Mapping[str, int]) -> Program:
    """The program that computes `roots`; `sizes` are the extents that planning assumes."""
    return Lowering(roots, sizes).program(roots)
