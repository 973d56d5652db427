"""From terms to a straight-line program.

In: canonical terms and typical extents. Out: a `Program`, in which shared nodes are computed once; for
results in pieces also how each is made of the factors that the program computes.
Invariant: a Kronecker delta is made dense only in a result, or if a function of entries needs it; ones
are never made at all but by broadcasting. In pieces no delta is made dense, and a product is kept apart if
its factors are smaller than it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, NamedTuple

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
    Instruction,
    Program,
    Register,
    Scatter,
    Size,
    Solve,
    Whole,
    needed_for,
    operands_of,
)
from .kernels import ASSUMED_EXTENT
from .order import Known, contraction_order

Operand = tuple[Register, Subscript]  # a register whose axes carry labels


@dataclass(frozen=True, slots=True)
class Core:
    """A term's data without its deltas and ones: a register whose axes carry labels.

    `labels` name the axes of the register (None: the number 1), `places` all axes of the term: a label
    that occurs twice in `places` is a diagonal, one that is not in `labels` is a repetition.
    """

    register: Register | None
    labels: Subscript
    places: Subscript

    @property
    def axes(self) -> Subscript:
        """The axes of the term that are those of the register."""
        return tuple(self.places.index(label) for label in self.labels)

    @property
    def is_structured(self) -> bool:
        """Has the term a delta in it?"""
        return len(set(self.places)) < len(self.places)


class Term(NamedTuple):
    """coefficient * product of factors; `places[k]` labels axis k of the tensor.

    Equal labels in `places` are a Kronecker delta, a label there in no factor repeats along its axis,
    labels of factors that are not there are summed. A factor is an array, or its place among the program's
    results, with its labels.
    """

    coefficient: float | complex
    factors: tuple[tuple[Any, Subscript], ...]
    places: Subscript


@dataclass(frozen=True, slots=True)
class Form:
    """A result as a sum of terms, or as one dense array (`dense`, its place among the results)."""

    shape: Shape
    terms: tuple[Term, ...] = ()
    dense: int | None = None


class Lowering:
    """Builds the instructions of a program; one that exists already is not made twice."""

    def __init__(
        self, roots: Sequence[Expr], sizes: Mapping[str, int], fixed: frozenset[str] = frozenset()
    ) -> None:
        self.sizes = sizes
        self.fixed_names = fixed
        self.fixed: set[Register] = set()  # what depends on fixed arrays alone
        self.steps: list[Instruction] = []
        self.shapes: list[Shape] = []
        self.made: dict[tuple[object, ...], Register] = {}
        self.lying: dict[
            frozenset[Dim], Shape
        ] = {}  # how an array with these extents lies in memory
        self.inverted: dict[Register, Register] = {}  # register of inv(A) -> register of A
        self.cores: dict[Expr, Core] = {}
        self.positive: set[Register] = set()
        self.symmetric: set[Register] = set()
        self.dense: dict[Expr, Register] = {}
        nodes, counts = postorder(roots), uses(roots)
        self.terms = {  # products whose coefficient in their only sum may go into them
            child
            for node in nodes
            if isinstance(node, Sum)
            for child in node.children
            if isinstance(child, Contraction) and counts[child] == 1
        }
        for node in nodes:
            if not isinstance(node, Delta | Ones) and node not in self.terms:
                self.cores[node] = self.core(node)

    def extent(self, dim: Dim) -> int:
        """The extent that planning assumes."""
        return dim if isinstance(dim, int) else self.sizes.get(dim, ASSUMED_EXTENT)

    def emit(self, make: type, *fields: object, shape: Shape) -> Register:
        """Append an instruction, unless there is an equal one; its register."""
        key = (make, fields, shape)
        if key not in self.made:
            self.made[key] = len(self.shapes)
            self.shapes.append(shape)
            step = make(self.made[key], *fields, shape)
            self.steps.append(step)
            if len(shape) > 1:
                self.lying.setdefault(frozenset(shape), shape)
            own = isinstance(step, Input) and step.name in self.fixed_names
            read = operands_of(step)
            if own or (not isinstance(step, Input) and self.fixed.issuperset(read)):
                self.fixed.add(step.target)
        return self.made[key]

    def entries(self, labels: Sequence[Label], dims: Mapping[Label, Dim]) -> int:
        """The number of entries of an array with these labels."""
        return prod(self.extent(dims[label]) for label in set(labels))

    def program_for(self, outputs: tuple[Register, ...]) -> Program:
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
        parent: dict[Label, Label] = {}  # of labels that deltas identify

        def find(label: Label) -> Label:
            while label in parent:
                label = parent[label]
            return label

        operands: list[Operand] = []
        dims: dict[Label, Dim] = {}
        fresh = 1 + max((label for labels in node.inputs for label in labels), default=-1)
        for child, labels in zip(node.children, node.inputs, strict=True):
            core = self.place(child)
            dims.update(zip(labels, child.shape, strict=True))
            names: dict[Label, Label] = {}
            for own, label in zip(core.places, labels, strict=True):
                a, b = sorted((find(names.setdefault(own, label)), find(label)))
                if a != b:
                    parent[b] = a
            shape = () if core.register is None else self.shapes[core.register]
            for own, dim in zip(core.labels, shape, strict=True):
                if own not in names:
                    names[own] = fresh
                    dims[fresh] = dim
                    fresh += 1
            if core.register is not None:
                operands.append((core.register, tuple(names[own] for own in core.labels)))
        places = tuple(find(label) for label in node.output)
        inputs = [(reg, tuple(find(label) for label in labels)) for reg, labels in operands]
        dims = {find(label): dim for label, dim in dims.items()}
        present = {label for _, labels in inputs for label in labels}
        output = tuple(label for label in dict.fromkeys(places) if label in present)
        return inputs, output, places, dims

    # ------------------------------------------------------------ sums

    def sum(self, node: Sum) -> Core:
        """A scaled core keeps its structure; a sum is dense unless all its terms are structured alike."""
        if len(node.children) == 1:
            ((coefficient, core),) = self.terms_of(node)
            if core.register is None:
                register = self.emit(Constant, coefficient, shape=())
            else:
                register = self.scale(core.register, coefficient)
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
            register = self.one() if core.register is None else core.register
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
        covered = {axis for _, core in terms for axis in core.axes}
        if not terms or any(core.is_structured for _, core in terms) or covered != set(plain):
            return Core(self.scatter(terms, node.shape), plain, plain)
        entries = []
        for coefficient, core in terms:
            register = self.one() if core.register is None else core.register
            entries.append((coefficient, register, core.axes))
        order = self.order_of([axes for _, _, axes in entries], node.rank)
        shape = tuple(node.shape[axis] for axis in order)
        return Core(
            self.combine([(c, r, _axes_in_order(a, order)) for c, r, a in entries], shape),
            order,
            plain,
        )

    def order_of(self, axes: Sequence[Subscript], rank: int) -> Subscript:
        """The order of the axes in which a result is stored: that of an operand which has them all."""
        plain = tuple(range(rank))
        full = [own for own in axes if len(own) == rank]
        return plain if plain in full or not full else full[0]

    def one(self) -> Register:
        """The number 1."""
        return self.emit(Constant, Fraction(1), shape=())

    def combine(
        self, entries: list[tuple[Fraction, Register, Subscript]], shape: Shape
    ) -> Register:
        return self.emit(Combine, *zip(*entries, strict=True), shape=shape)

    def scatter(self, terms: Sequence[tuple[Fraction, Core]], shape: Shape) -> Register:
        columns = [(c, core.register, core.labels, core.places) for c, core in terms]
        return self.emit(
            Scatter, *(zip(*columns, strict=True) if terms else ((),) * 4), shape=shape
        )

    # ------------------------------------------------------------ functions

    def broadcast(self, node: Expr) -> tuple[Register, Subscript]:
        """A register that broadcasts to the node's shape, and the axes it has."""
        core = self.place(node)
        if core.is_structured or core.register is None:
            return self.whole(node), tuple(range(node.rank))
        return core.register, core.axes

    def map(self, node: Map) -> Core:
        """A function of the entries, its axes in the order of its largest operand."""
        if not node.children:
            return Core(self.emit(Constant, node.function, shape=()), (), ())
        children, given = node.children, None
        base, exponent = base_and_exponent(node)
        if node.function == "pow" and exponent != 1:
            children, given = (base,), exponent
        pairs = [self.broadcast(child) for child in children]
        order = self.order_of([axes for _, axes in pairs], node.rank)
        register = self.emit(
            Elementwise,
            node.function,
            tuple(r for r, _ in pairs),
            tuple(_axes_in_order(a, order) for _, a in pairs),
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
                and not core.is_structured
            ):
                dims = dict(zip(core.places, node.shape, strict=True))
                known = self.pair([(core.register, core.labels)], core.places, dims)
            elif node.rank == 0:
                known = self.one()
            else:
                known = self.scatter([(Fraction(1), core)], node.shape)
            self.dense[node] = known
        return known

    # ------------------------------------------------------------ many operands

    def product(
        self,
        operands: Sequence[Operand],
        output: Subscript,
        dims: Mapping[Label, Dim],
        coefficient: Fraction = Fraction(1),
    ) -> tuple[Operand | None, Fraction]:
        """The contraction of registers; scalars and the coefficient join the smallest array.

        The coefficient comes back if nothing on the way is smaller than the result.
        """
        if not operands:
            return None, coefficient
        factor: Register | None = None
        for register, labels in operands:
            if not labels:
                factor = register if factor is None else self.times(factor, (register, ()), {})[0]
        arrays = [operand for operand in operands if operand[1]]
        if not arrays:
            assert factor is not None
            return (factor, ()), coefficient
        smallest = min(range(len(arrays)), key=lambda k: self.entries(arrays[k][1], dims))
        if self.entries(arrays[smallest][1], dims) < self.entries(output, dims):
            if factor is not None:
                factor = self.scale(factor, coefficient)
            operand = self.diagonal(arrays[smallest], dims)
            if factor is None:
                operand = self.scale(operand[0], coefficient), operand[1]
            else:
                operand, factor = self.times(factor, operand, dims), None
            arrays[smallest], coefficient = operand, Fraction(1)
        result = self.arrays_product(arrays, output, dims)
        if factor is not None:
            factor, coefficient = self.scale(factor, coefficient), Fraction(1)
            result = self.times(factor, result, dims)
        return result, coefficient

    def times(self, factor: Register, operand: Operand, dims: Mapping[Label, Dim]) -> Operand:
        """A number times an array."""
        return self.pair([(factor, ()), operand], operand[1], dims), operand[1]

    def scale(self, register: Register, coefficient: Fraction) -> Register:
        """A register times a number."""
        if coefficient == 1:
            return register
        shape = self.shapes[register]
        axes = tuple(range(len(shape)))
        return self.emit(Combine, (coefficient,), (register,), (axes,), shape=shape)

    def diagonal(self, operand: Operand, dims: Mapping[Label, Dim]) -> Operand:
        """The operand with each label once."""
        register, labels = operand
        if len(set(labels)) == len(labels):
            return operand
        distinct = tuple(dict.fromkeys(labels))
        return self.pair([(register, labels)], distinct, dims), distinct

    def arrays_product(
        self, arrays: Sequence[Operand], output: Subscript, dims: Mapping[Label, Dim]
    ) -> Operand:
        """The contraction of arrays, pair by pair; an array alone with a summed label is summed at once."""
        arrays = [
            self.summed_early(k, arrays, output, dims) if len(arrays) > 1 else arrays[k]
            for k in range(len(arrays))
        ]
        extents = {label: self.extent(dim) for label, dim in dims.items()}
        known = self.known_products(arrays, output, dims)
        path = contraction_order([labels for _, labels in arrays], output, extents, known)
        left = list(arrays)
        for step in path:
            chosen = [left[position] for position in step]
            left = [entry for position, entry in enumerate(left) if position not in step]
            while len(chosen) > 2:  # a planner may contract several at once
                inner = tuple(dict.fromkeys(x for _, own in chosen[:2] for x in own))
                chosen = [self.natural_pair(chosen[:2], inner, dims), *chosen[2:]]
            wanted = set(output).union(*(labels for _, labels in left))
            present = dict.fromkeys(x for _, own in chosen for x in own if x in wanted)
            labels = (
                *(x for x in output if x in present),
                *(x for x in present if x not in output),
            )
            left.append(self.natural_pair(chosen, labels, dims))
        (result,) = left
        return result

    def summed_early(
        self,
        place: int,
        arrays: Sequence[Operand],
        output: Subscript,
        dims: Mapping[Label, Dim],
    ) -> Operand:
        """A[i,j] x[i] -> (sum_j A[i,j]) x[i]"""
        register, labels = arrays[place]
        others = set(output).union(*(own for k, (_, own) in enumerate(arrays) if k != place))
        if others.issuperset(labels):
            return arrays[place]
        needed = tuple(dict.fromkeys(x for x in labels if x in others))
        return self.pair([(register, labels)], needed, dims), needed

    # ------------------------------------------------------------ one or two

    def natural_pair(
        self, chosen: Sequence[Operand], output: Subscript, dims: Mapping[Label, Dim]
    ) -> Operand:
        """One contraction of one or two registers, its axes in the order in which they come out.

        A matrix product gives batch, rows and columns; `output` tells which operand has the rows. A product
        that exists in another order of its axes is taken.
        """
        if len(chosen) == 1:
            labels = tuple(x for x in dict.fromkeys(chosen[0][1]) if x in output)
            return self.pair(chosen, labels, dims), labels
        solved = self.solution(chosen, output, dims)
        if solved is not None:
            return solved
        natural = natural_order([labels for _, labels in chosen], output)
        if natural is None:
            full = [labels for _, labels in chosen if set(labels) == set(output)]
            natural = full[0] if full and len(full[0]) == len(output) else output
        else:
            natural = self.as_others_lie(chosen, natural, dims)
            if any(label in chosen[1][1] for label in natural[_batch(chosen, natural) :][:1]):
                chosen = chosen[::-1]  # whose rows come first comes first: nothing is transposed
        orders = natural, output, *_other_orders(chosen, natural)
        return self.existing(chosen, orders, dims) or (self.pair(chosen, natural, dims), natural)

    def existing(
        self, chosen: Sequence[Operand], orders: Sequence[Subscript], dims: Mapping[Label, Dim]
    ) -> Operand | None:
        """A product that exists already, in one of several orders of its axes."""
        for labels in dict.fromkeys(orders):
            for operands in (chosen, chosen[::-1]):
                known = self.made.get(self.pair_key(operands, labels, dims))
                if known is not None:
                    return known, labels
        return None

    def known_products(
        self, arrays: Sequence[Operand], output: Subscript, dims: Mapping[Label, Dim]
    ) -> Known:
        """Tells whether the product of two sets of the arrays (bit masks) exists already."""
        operands = {1 << k: operand for k, operand in enumerate(arrays)}

        def is_known(part: int, other: int) -> bool:
            mask = part | other
            own = [operand for k, operand in enumerate(arrays) if mask >> k & 1]
            if self.fixed and all(register in self.fixed for register, _ in own):
                return True
            if mask in operands:
                return True
            if part not in operands or other not in operands:
                return False
            pair = [operands[part], operands[other]]
            outside = [labels for k, (_, labels) in enumerate(arrays) if not mask >> k & 1]
            wanted = set(output).union(*outside)
            labels = tuple(dict.fromkeys(x for _, own in pair for x in own if x in wanted))
            natural = natural_order([own for _, own in pair], labels) or labels
            found = self.existing(pair, (natural, *_other_orders(pair, natural)), dims)
            if found is not None:
                operands[mask] = found
            return found is not None

        return is_known

    def as_others_lie(
        self, chosen: Sequence[Operand], natural: Subscript, dims: Mapping[Label, Dim]
    ) -> Subscript:
        """Rows and columns in the order in which another array has the same extents, if one does."""
        shape = tuple(dims[label] for label in natural)
        lying = self.lying.get(frozenset(shape))
        if lying is None or len(set(shape)) < len(shape):
            return natural
        order = tuple(sorted(natural, key=lambda label: lying.index(dims[label])))
        return order if order in _other_orders(chosen, natural) else natural

    def pair_key(
        self, chosen: Sequence[Operand], output: Subscript, dims: Mapping[Label, Dim]
    ) -> tuple[object, ...]:
        """The key of a contraction in `made`: the instruction, its fields, its shape."""
        labels = dict.fromkeys(label for _, own in chosen for label in own)
        number = {label: k for k, label in enumerate(labels)}
        fields = (
            tuple(register for register, _ in chosen),
            tuple(tuple(number[label] for label in own) for _, own in chosen),
            tuple(number[label] for label in output),
            tuple((new, dims[old]) for old, new in number.items()),
        )
        return Contract, fields, tuple(dims[label] for label in output)

    def pair(
        self, chosen: Sequence[Operand], output: Subscript, dims: Mapping[Label, Dim]
    ) -> Register:
        """One contraction of one or two registers, its axes as `output` says."""
        if len(chosen) == 1 and chosen[0][1] == output:
            return chosen[0][0]
        solved = self.solution(chosen, output, dims)
        if solved is not None:
            return self.pair([solved], output, dims)
        _, fields, shape = self.pair_key(chosen, output, dims)
        assert isinstance(fields, tuple) and isinstance(shape, tuple)
        return self.emit(Contract, *fields, shape=shape)

    def solution(
        self, chosen: Sequence[Operand], output: Subscript, dims: Mapping[Label, Dim]
    ) -> Operand | None:
        """inv(A) times an array along one axis, if the inverse itself is not needed."""
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
                    return target, result
        return None

    # ------------------------------------------------------------ results in pieces

    def pieces_of(self, root: Expr) -> list[tuple[Fraction, list[Operand], Subscript]] | None:
        """The terms of a result, None if it has no structure."""
        terms = []
        is_structured = False
        for coefficient, axes, child in _terms_of(root):
            operands, places = self.piece_of(child)
            moved = tuple(places[axis] for axis in axes)
            covered = {label for _, labels in operands for label in labels}
            size = sum(self.entries_of(register) for register, _ in operands)
            is_structured |= len(set(moved)) < len(moved) or not set(moved) <= covered
            is_structured |= 2 * size < prod(map(self.extent, root.shape))
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
            operand = [] if core.register is None else [(core.register, core.labels)]
            return operand, core.places
        operands, output, places, dims = self.factors_of(node)
        scalars = [register for register, labels in operands if not labels]
        groups = _groups([operand for operand in operands if operand[1]], output)
        kept: list[Operand] = []
        for group in groups:
            kept += self._contract(group, output, dims)
        kept = self._alike_together(kept, dims)
        for scalar in scalars:
            if not kept:
                kept = [(scalar, ())]
                continue
            k = min(range(len(kept)), key=lambda k: self.entries_of(kept[k][0]))
            kept[k] = self.times(scalar, kept[k], dims)
        return kept, places

    def entries_of(self, register: Register) -> int:
        """The number of entries of a register."""
        return prod(map(self.extent, self.shapes[register]))

    def _contract(
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
        products = [self.product(group, group[0][1], dims)[0] for group in alike.values()]
        return [result for result in products if result is not None]


def _is_matrix_product(step: Contract) -> bool:
    """Rows times columns, of two arrays that are not one: BLAS sees Z'Z by itself."""
    if len(step.operands) != 2 or step.operands[0] == step.operands[1]:
        return False
    (a, b), output = map(set, step.inputs), set(step.output)
    return all(len(x) == 2 for x in step.inputs) and len(a & b) == 1 and a ^ b == output


def _axes_in_order(axes: Subscript, order: Subscript) -> Subscript:
    """Axes of a term as axes of a result stored in another order."""
    return tuple(order.index(axis) for axis in axes)


def natural_order(inputs: Sequence[Subscript], output: Subscript) -> Subscript | None:
    """Batch, rows, columns, as a matrix product gives them; None if nothing is summed.

    >>> natural_order([(0, 1, 2), (0, 3, 2)], (0, 3, 1))
    (0, 3, 1)
    >>> natural_order([(1, 2), (2, 0, 3)], (0, 1, 3))
    (0, 3, 1)
    """
    first, second = map(set, inputs)
    if (first | second) <= set(output):
        return None
    batch = tuple(x for x in output if x in first and x in second)
    alone = [x for x in output if (x in first) != (x in second)]
    if not alone:
        return batch
    leader, other = inputs if alone[0] in first else (inputs[1], inputs[0])
    rows = (x for x in dict.fromkeys(leader) if x in alone)  # as they lie in memory
    return (*batch, *rows, *(x for x in dict.fromkeys(other) if x in alone))


def _batch(chosen: Sequence[Operand], natural: Subscript) -> int:
    """How many labels both operands have, among those of the result."""
    return sum(all(label in labels for _, labels in chosen) for label in natural)


def _other_orders(chosen: Sequence[Operand], natural: Subscript) -> list[Subscript]:
    """The same product with rows and columns exchanged."""
    first = set(chosen[0][1]) - set(chosen[1][1])
    second = set(chosen[1][1]) - set(chosen[0][1])
    batch = tuple(x for x in natural if x not in first and x not in second)
    rows = tuple(x for x in natural if x in first)
    columns = tuple(x for x in natural if x in second)
    return [(*batch, *rows, *columns), (*batch, *columns, *rows)]


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
        moved = tuple(order[axis] for axis in axes)
        pairs = list(zip(total.coefficients, total.children, strict=True))
        stack += [(coefficient * own * c, moved, child) for c, child in reversed(pairs)]
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


def lower(
    roots: Sequence[Expr], sizes: Mapping[str, int], fixed: frozenset[str] = frozenset()
) -> Program:
    """The program that computes `roots`; `sizes` are the extents that planning assumes.

    What depends on the arrays `fixed` alone counts as computed already.
    """
    lowering = Lowering(roots, sizes, fixed)
    return lowering.program_for(tuple(lowering.whole(root) for root in roots))


def lower_in_pieces(
    roots: Sequence[Expr], sizes: Mapping[str, int], fixed: frozenset[str] = frozenset()
) -> tuple[Program, tuple[Form, ...]]:
    """The program that computes the factors of `roots`, and what each root is made of."""
    lowering = Lowering(roots, sizes, fixed)
    results: dict[Register, int] = {}
    forms = []
    for root in roots:
        terms = lowering.pieces_of(root)
        if terms is None:
            register = lowering.whole(root)
            forms.append(Form(root.shape, dense=results.setdefault(register, len(results))))
            continue
        made = []
        for coefficient, operands, places in terms:
            factors = tuple(
                (results.setdefault(register, len(results)), labels)
                for register, labels in operands
            )
            made.append(Term(float(coefficient), factors, places))
        forms.append(Form(root.shape, tuple(made)))
    return lowering.program_for(tuple(results)), tuple(forms)
