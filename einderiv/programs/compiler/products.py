"""Products of registers: the order of the pairs, where factors go, what exists already.

In: registers whose axes carry labels. Out: instructions, and a register whose axes carry labels in the
order in which the product comes out of a matrix product: nothing is transposed on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from ...terms import Dim, Label, Shape, Subscript
from ..program import Combine, Contract, Input, Instruction, Register, Solve, operands_of
from .kernels import ASSUMED_EXTENT
from .order import contraction_order

Operand = tuple[Register, Subscript]


class Products:
    """Emits instructions; an instruction that exists already is not made twice."""

    def __init__(self, sizes: Mapping[str, int], fixed: frozenset[str] = frozenset()) -> None:
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

    def extent(self, dim: Dim) -> int:
        """The extent that planning assumes."""
        return dim if isinstance(dim, int) else self.sizes.get(dim, ASSUMED_EXTENT)

    def emit(self, make: type, *fields: object, shape: Shape) -> Register:
        """Append an instruction, unless an equal one stands already; its register."""
        key = (make, fields, shape)
        if key not in self.made:
            self.made[key] = len(self.shapes)
            self.shapes.append(shape)
            step = make(self.made[key], *fields, shape)
            self.steps.append(step)
            if len(shape) > 1:
                self.lying.setdefault(frozenset(shape), shape)
            if self.fixed_names and self._is_fixed(step):
                self.fixed.add(step.target)
        return self.made[key]

    def _is_fixed(self, step: Instruction) -> bool:
        if isinstance(step, Input):
            return step.name in self.fixed_names
        return all(register in self.fixed for register in operands_of(step))

    def entries(self, labels: Sequence[Label], dims: Mapping[Label, Dim]) -> int:
        """The number of entries of an array with these labels."""
        count = 1
        for label in set(labels):
            count *= self.extent(dims[label])
        return count

    # ------------------------------------------------------------ many operands

    def product(
        self,
        operands: Sequence[Operand],
        output: Subscript,
        dims: Mapping[Label, Dim],
        coefficient: Fraction = Fraction(1),
    ) -> tuple[Operand | None, Fraction]:
        """The contraction of registers; scalars and the coefficient join the smallest array.

        The coefficient comes back where nothing on the way is smaller than the result.
        """
        if not operands:
            return None, coefficient
        factor: Register | None = None
        for register, labels in operands:
            if not labels:
                factor = (
                    register
                    if factor is None
                    else self.pair([(factor, ()), (register, ())], (), {})
                )
        arrays = [operand for operand in operands if operand[1]]
        if not arrays:
            assert factor is not None
            return (factor, ()), coefficient
        smallest = min(range(len(arrays)), key=lambda k: self.entries(arrays[k][1], dims))
        if self.entries(arrays[smallest][1], dims) < self.entries(output, dims):
            if coefficient != 1 and factor is not None:
                factor = self.scaled(factor, coefficient)
                coefficient = Fraction(1)
            register, labels = self.diagonal(arrays[smallest], dims)
            if factor is not None:
                register = self.pair([(factor, ()), (register, labels)], labels, dims)
                factor = None
            elif coefficient != 1:
                register, coefficient = self.scaled(register, coefficient), Fraction(1)
            arrays[smallest] = register, labels
        result = self.arrays_product(arrays, output, dims)
        if factor is not None:
            if coefficient != 1:
                factor, coefficient = self.scaled(factor, coefficient), Fraction(1)
            register, labels = result
            result = self.pair([(factor, ()), (register, labels)], labels, dims), labels
        return result, coefficient

    def scaled(self, register: Register, coefficient: Fraction) -> Register:
        """A register times a number."""
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
        known = _Known(self, arrays, output, dims)
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
        solved = self.solved(chosen, output, dims)
        if solved is not None:
            return solved
        natural = natural_order([labels for _, labels in chosen], output)
        if natural is None:
            full = [labels for _, labels in chosen if set(labels) == set(output)]
            natural = full[0] if full and len(full[0]) == len(output) else output
        else:
            natural = self.as_others_lie(chosen, natural, dims)
            if any(label in chosen[1][1] for label in natural[_batch(chosen, natural) :][:1]):
                chosen = chosen[::-1]  # whose rows come first stands first: nothing is transposed
        for labels in dict.fromkeys((natural, output, *_other_orders(chosen, natural))):
            for operands in (chosen, chosen[::-1]):
                known = self.made.get(self.pair_key(operands, labels, dims))
                if known is not None:
                    return known, labels
        return self.pair(chosen, natural, dims), natural

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
        """What `made` has for a contraction."""
        number: dict[Label, Label] = {}
        for _, labels in chosen:
            for label in labels:
                number.setdefault(label, len(number))
        fields = (
            tuple(register for register, _ in chosen),
            tuple(tuple(number[label] for label in labels) for _, labels in chosen),
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
        solved = self.solved(chosen, output, dims)
        if solved is not None:
            return self.pair([solved], output, dims)
        _, fields, shape = self.pair_key(chosen, output, dims)
        assert isinstance(fields, tuple) and isinstance(shape, tuple)
        return self.emit(Contract, *fields, shape=shape)

    def solved(
        self, chosen: Sequence[Operand], output: Subscript, dims: Mapping[Label, Dim]
    ) -> Operand | None:
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
                    return target, result
        return None


def natural_order(inputs: Sequence[Subscript], output: Subscript) -> Subscript | None:
    """Batch, rows, columns, as a matrix product gives them; None where nothing is summed.

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


class _Known:
    """Which products of a set of operands exist already: bit masks of the operands."""

    def __init__(
        self,
        products: Products,
        arrays: Sequence[Operand],
        output: Subscript,
        dims: Mapping[Label, Dim],
    ) -> None:
        self.products, self.arrays, self.output, self.dims = products, arrays, output, dims
        self.operands: dict[int, Operand | None] = {1 << k: x for k, x in enumerate(arrays)}

    def __call__(self, part: int, other: int) -> bool:
        mask = part | other
        fixed = self.products.fixed
        if fixed and all(r in fixed for k, (r, _) in enumerate(self.arrays) if mask >> k & 1):
            return True
        if self.operands.get(mask) is not None:
            return True
        first, second = self.operands.get(part), self.operands.get(other)
        if first is None or second is None:
            return False
        outside = [own for k, (_, own) in enumerate(self.arrays) if not mask >> k & 1]
        wanted = set(self.output).union(*outside)
        present = dict.fromkeys(x for x in (*first[1], *second[1]) if x in wanted)
        labels = tuple(present)
        products = self.products
        natural = natural_order([first[1], second[1]], labels) or labels
        for order in dict.fromkeys((natural, *_other_orders([first, second], natural))):
            for operands in ([first, second], [second, first]):
                register = products.made.get(products.pair_key(operands, order, self.dims))
                if register is not None:
                    self.operands[mask] = register, order
                    return True
        return False
