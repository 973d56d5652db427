"""Products as array code: matrix products, sums, outer products; einsum where none of these fits.

In: a contraction, the values of its operands. Out: its value.
Invariant: pairs of operands are worked off cheapest first, every extent that is a name counted alike; what is
divided by stays below a fraction bar until a sum needs it as a factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations

from ...errors import BackendError
from ...terms import Apply, Contraction, Delta, Dim, Expr, Label, Ones, Subscript, base_and_exponent
from ..named import Factor, arranged_factors
from .text import LETTERS, Code, below
from .words import Values, Words

_NAMED = 100.0  # what an extent without a number counts, when orders are compared
_SYSTEMS = 1  # a matrix with more systems than this is inverted once instead


@dataclass(frozen=True, slots=True)
class Operand:
    """An array at its labels; `below`: divided by; `inverse_of`: the matrix whose inverse it is."""

    code: Code
    labels: Subscript
    below: bool = False
    inverse_of: Expr | None = None


def product_of(words: Words, node: Contraction) -> Values:
    """The value of a contraction."""
    return _Product(words, node).value()


class _Product:
    def __init__(self, words: Words, node: Contraction) -> None:
        self.words, self.make, self.node = words, words.make, node
        self.dims: dict[Label, Dim] = {}
        self.scalars: list[tuple[Code, bool]] = []
        self.deltas: list[Subscript] = []
        self.operands: list[Operand] = []
        for child, labels in zip(node.children, node.inputs, strict=True):
            self.dims.update(zip(labels, child.shape, strict=True))
        copied = {labels[1] for child, labels in self._factors() if isinstance(child, Delta)}
        self.output = tuple(label for label in node.output if label not in copied)

    def _factors(self) -> list[tuple[Expr, Subscript]]:
        return list(zip(self.node.children, self.node.inputs, strict=True))

    def value(self) -> Values:
        self._collect()
        self._diagonals()
        self._reduce()
        if self.deltas and len(self.operands) > 1 and len(self.node.output) > 2:
            core = self._with_deltas([self._above(operand) for operand in self.operands])
        else:
            core = self._elementwise(self.operands, self.output)
            core = self._with_deltas([core]) if self.deltas else core
        order = {label: place for place, label in enumerate(self.node.output)}
        ranked = tuple(sorted(core.labels, key=order.__getitem__))
        code = self._permuted(core, ranked)
        if self.scalars:
            code = self.make.multiply([*self.scalars, (code, False)])
        return Values(code, tuple(order[label] for label in ranked))

    # ------------------------------------------------------------ operands

    def _collect(self) -> None:
        """Operands in the order in which one reads them, equal ones as powers."""
        counts: dict[tuple[Expr, Subscript], int] = {}
        for child, labels in self._factors():
            if isinstance(child, Delta):
                self.deltas.append(labels)
            elif not isinstance(child, Ones):
                counts[child, labels] = counts.get((child, labels), 0) + 1
        dots = _is_dot(counts, self.output)
        told: set[Label] = set()
        for factor in arranged_factors([Factor(*f, n) for f, n in counts.items()], self.output):
            base, exponent = base_and_exponent(factor.operand)
            values = self.words.values[base]
            labels = tuple(factor.labels[axis] for axis in values.axes)
            told.update(labels)
            copies = factor.count if dots else 1
            exponent *= Fraction(factor.count, copies)
            code, below = self.words.raised(values.code, exponent)
            inverse = base.children[0] if _is_inverse(base) and exponent == 1 else None
            for _ in range(copies):
                if labels:
                    self.operands.append(Operand(code, labels, below, inverse))
                else:
                    self.scalars.append((code, below))
        everywhere = {label for child, own in self._factors() for label in own}
        for label in everywhere - told - set(self.node.output):  # a sum of what only repeats itself
            self.scalars.append((self.make.extent(self.dims[label]), False))

    def _diagonals(self) -> None:
        """An operand with a label twice: its diagonal, or its trace."""
        for place, operand in enumerate(self.operands):
            if len(set(operand.labels)) == len(operand.labels):
                continue
            labels = tuple(dict.fromkeys(operand.labels))
            alone = not self._elsewhere([operand]) & set(labels)
            operand = self._above(operand)
            if len(operand.labels) == 2 and alone:
                self.scalars.append((self.words.call("trace", [operand.code], 0), False))
                labels = ()
            elif len(operand.labels) == 2:
                operand = Operand(self.words.call("diag", [operand.code], 1), labels)
            else:
                operand = self._einsum([operand], labels)
            self.operands[place] = operand if labels else Operand(operand.code, ())
        self.operands = [operand for operand in self.operands if operand.labels]

    def _elsewhere(self, some: Sequence[Operand]) -> set[Label]:
        """Labels that something else needs: other operands or the result."""
        rest = list(self.operands)
        for operand in some:
            rest.remove(operand)
        return {label for operand in rest for label in operand.labels} | set(self.output)

    def _above(self, operand: Operand) -> Operand:
        """The operand as a factor."""
        code = operand.code
        if operand.below:
            code = self.make.multiply([(self.make.value(1), False), (code, True)])
        return replace(operand, code=code, below=False)

    # ------------------------------------------------------------ sums

    def _reduce(self) -> None:
        """Sum over every label that is not output, two operands at a time."""
        while True:
            self._sum_alone()
            summed = {x for operand in self.operands for x in operand.labels} - set(self.output)
            if not summed:
                return
            pairs = [
                pair
                for pair in combinations(self.operands, 2)
                if summed & set(pair[0].labels) & set(pair[1].labels)
            ]
            first, second = min(pairs, key=self._price)
            self._contract(first, second)

    def _price(self, pair: tuple[Operand, Operand]) -> tuple[float, float, int]:
        """Multiplications, growth of what is stored, transposes written."""
        first, second = (set(operand.labels) for operand in pair)
        kept = (first | second) & self._elsewhere(pair)
        freed = self._size(kept) - self._size(first) - self._size(second)
        return self._size(first | second), freed, self._transposes(*pair)

    def _transposes(self, first: Operand, second: Operand) -> int:
        shared = set(first.labels) & set(second.labels)
        if len(shared) != 1 or max(len(first.labels), len(second.labels)) > 2:
            return 0
        (label,) = shared
        return min(self._turned(first, label, second), self._turned(second, label, first))[1]

    def _size(self, labels: set[Label]) -> float:
        size = 1.0
        for label in labels:
            dim = self.dims[label]
            size *= dim if isinstance(dim, int) else _NAMED
        return size

    def _sum_alone(self) -> None:
        """Sums over labels that one operand has alone."""
        for operand in list(self.operands):
            kept = self._elsewhere([operand])
            alone = [axis for axis, label in enumerate(operand.labels) if label not in kept]
            if alone:
                summed = self._summed(self._above(operand), alone)
                self._put([operand], summed)

    def _summed(self, operand: Operand, axes: Sequence[int]) -> Operand:
        labels = tuple(x for axis, x in enumerate(operand.labels) if axis not in axes)
        options = self.words.axis(axes) if labels else ()
        return Operand(self.words.call("sum", [operand.code], len(labels), options), labels)

    def _put(self, old: Sequence[Operand], new: Operand) -> None:
        place = self.operands.index(old[0])
        for operand in old:
            self.operands.remove(operand)
        if new.labels:
            self.operands.insert(place, new)
        else:
            self.scalars.append((new.code, new.below))

    def _contract(self, first: Operand, second: Operand) -> None:
        kept = self._elsewhere([first, second])
        shared = [label for label in first.labels if label in second.labels]
        summed = [label for label in shared if label not in kept]
        stays = [label for label in shared if label in kept]
        same = set(first.labels) == set(second.labels)
        widest = max(len(first.labels), len(second.labels))
        if not summed and len({*first.labels, *second.labels}) > max(widest, 2):
            self._einsum_of_all()
        elif not summed:
            self._put([first, second], self._elementwise([first, second], self.output))
        elif same and (len(first.labels) > 1 or first.below or second.below):
            product = self._elementwise([first, second], self.output)
            axes = [axis for axis, label in enumerate(product.labels) if label in summed]
            self._put([first, second], self._summed(self._above(product), axes))
        else:
            one, other = self._above(first), self._above(second)
            result = None
            if len(summed) == 1 and not stays:
                result = self._matrix_product(one, other, summed[0])
            elif len(summed) == 1:
                result = self._stacked(one, other, summed[0]) or self._stacked(
                    other, one, summed[0]
                )
            if result is not None:
                self._put([first, second], result)
            else:
                self._einsum_of_all()

    def _matrix_product(self, first: Operand, second: Operand, label: Label) -> Operand | None:
        if len(first.labels) > 2 or len(second.labels) > 2:
            for tensor, vector in ((first, second), (second, first)):
                if tensor.labels[-1] == label and vector.labels == (label,):
                    code = self.make.matmul(tensor.code, vector.code)
                    return Operand(code, tensor.labels[:-1])
            return None
        if self._turned(second, label, first) < self._turned(first, label, second):
            first, second = second, first
        if len(first.labels) == len(second.labels) == 1 and first.code.op == "matmul":
            first, second = second, first  # x @ A @ x, where A @ x stands first
        left = next((x for x in first.labels if x != label), None)
        right = next((x for x in second.labels if x != label), None)
        labels = tuple(x for x in (left, right) if x is not None)
        if first.inverse_of is not None or second.inverse_of is not None:
            solved = self._solved(first, second, label)
            if solved is not None:
                return solved
        a = first.code if first.labels[-1] == label else self.make.transpose(first.code)
        b = second.code if second.labels[0] == label else self.make.transpose(second.code)
        return Operand(self.make.matmul(a, b), labels)

    def _turned(self, left: Operand, label: Label, right: Operand) -> tuple[bool, int, bool]:
        """How much speaks against this order: a vector before a matrix, transposes, the result's order."""
        vector_first = len(left.labels) < len(right.labels)
        transposes = (left.labels[-1] != label) + (right.labels[0] != label)
        labels = [x for operand in (left, right) for x in operand.labels if x != label]
        places = [self.output.index(x) for x in labels if x in self.output]
        wrong = len(places) == 2 and places[0] > places[1]
        return vector_first, transposes + wrong, wrong

    def _solved(self, first: Operand, second: Operand, label: Label) -> Operand | None:
        """inv(A) b as the solution of A x = b."""
        for one, other in ((first, second), (second, first)):
            matrix = one.inverse_of
            if matrix is None or matrix in self.words.explicit:
                continue
            code = self.words.values[matrix].code
            if one.labels[1] != label and not matrix.symmetric:
                code = self.make.transpose(code)
            b = other.code
            if other.labels[0] != label:
                b = self.make.transpose(b)
            solution = self.words.call("solve[]", [code, b], b.rank)
            self.words.solved.setdefault(matrix, set()).add(solution)
            free = next(x for x in one.labels if x != label)
            return Operand(solution, (free, *(x for x in other.labels if x != label)))
        return None

    def _stacked(self, first: Operand, second: Operand, label: Label) -> Operand | None:
        """Products of stacks of matrices, where the axes stand as `@` wants them."""
        rank = len(first.labels)
        fits = rank > 2 and rank == len(second.labels) and first.labels[-1] == label
        if not fits or second.labels[:-1] != (*first.labels[:-2], label):
            return None
        if second.labels[-1] in first.labels:
            return None
        labels = (*first.labels[:-1], second.labels[-1])
        return Operand(self.make.matmul(first.code, second.code), labels)

    # ------------------------------------------------------------ einsum

    def _einsum_of_all(self) -> None:
        """What is left as one einsum."""
        factors = [self._above(operand) for operand in self.operands]
        labels = {label for operand in factors for label in operand.labels}
        output = tuple(label for label in self.output if label in labels)
        self._put(self.operands[:], self._einsum(factors, output))

    def _einsum(self, factors: Sequence[Operand], output: Subscript) -> Operand:
        every = dict.fromkeys((*output, *(x for operand in factors for x in operand.labels)))
        if len(every) > len(LETTERS):
            raise BackendError(
                f"a product has {len(every)} indices",
                facts=[f"einsum has letters for {len(LETTERS)}"],
                hint="give a part of it a name of its own, with substitute",
            )
        names = dict(zip(every, LETTERS, strict=False))
        inputs = ",".join("".join(names[x] for x in operand.labels) for operand in factors)
        equation = f"{inputs}->{''.join(names[x] for x in output)}"
        text = self.make.node("text", (), (equation,))
        codes = [operand.code for operand in factors]
        several = len(factors) > 2 and len(every) > len(output)
        several = several and self.words.target.name == "numpy"
        options = (("optimize", "True"),) if several else ()
        code = self.words.call("einsum", [text, *codes], len(output), options)
        return Operand(code, output)

    # ------------------------------------------------------------ products without sums

    def _elementwise(self, operands: Sequence[Operand], output: Subscript) -> Operand:
        """Operands multiplied entry by entry, those without common labels too."""
        if not operands:
            return Operand(self.make.value(1), ())
        if len(operands) == 1:
            return self._above(operands[0])
        operands = self._grouped(operands)
        labels = self._common_order(operands, output)
        if len(operands) == 2 and len(labels) == 2 and not any(o.below for o in operands):
            first, second = sorted(operands, key=lambda o: labels.index(o.labels[0]))
            if first.labels == labels[:1] and second.labels == labels[1:]:
                outer = self.words.call("outer", [first.code, second.code], 2)
                return Operand(outer, labels)
        if len(labels) > 2 and not any(len(o.labels) == len(labels) for o in operands):
            every = set(labels)
            wanted = tuple(x for x in output if x in every)
            above = [self._above(operand) for operand in operands]
            return self._einsum(above, wanted if len(wanted) == len(labels) else labels)
        factors = []
        for operand in operands:
            own = tuple(x for x in labels if x in operand.labels)
            code = self._permuted(operand, own)
            factors.append((self.make.spread(code, [x in own for x in labels]), operand.below))
        return Operand(self.make.multiply(factors), labels)

    def _grouped(self, operands: Sequence[Operand]) -> list[Operand]:
        """Operands at the same labels as one, where there are others: A * (u * v)[:, None]."""
        groups: dict[Subscript, list[Operand]] = {}
        for operand in operands:
            groups.setdefault(operand.labels, []).append(operand)
        if len(groups) == 1:
            return list(operands)
        grouped = []
        for labels, some in groups.items():
            code = self.make.multiply([(operand.code, operand.below) for operand in some])
            grouped.append(some[0] if len(some) == 1 else Operand(code, labels))
        return grouped

    def _common_order(self, operands: Sequence[Operand], output: Subscript) -> Subscript:
        """The order of axes of a product: that of an operand which has them all, else the result's."""
        every = list(dict.fromkeys(x for operand in operands for x in operand.labels))
        full = [operand.labels for operand in operands if len(operand.labels) == len(every)]
        places = {label: place for place, label in enumerate(output)}
        wanted = tuple(sorted(every, key=lambda x: places.get(x, len(places) + every.index(x))))
        if wanted in full or not full:
            return wanted
        return full[0]

    def _permuted(self, operand: Operand, labels: Subscript) -> Code:
        return self.words.transposed(operand.code, [operand.labels.index(x) for x in labels])

    # ------------------------------------------------------------ deltas

    def _with_deltas(self, cores: Sequence[Operand]) -> Operand:
        """The product spread over its deltas, each a second label for one of the cores'."""
        kept = {
            x
            for operand in (*cores, *(Operand(cores[0].code, p) for p in self.deltas))
            for x in operand.labels
        }
        output = tuple(x for x in self.node.output if x in kept)
        if len(self.deltas) == 1 and len(output) == 2:
            (pair,) = self.deltas
            core = self._elementwise(cores, self.output)
            if core.labels:
                return Operand(self.words.call("diag", [core.code], 2), output)
            eye = self.words.eye(self.dims[pair[0]])
            return Operand(self.make.multiply([(core.code, False), (eye, False)]), pair)
        factors = [Operand(self.words.eye(self.dims[pair[0]]), pair) for pair in self.deltas]
        factors += [operand for operand in cores if operand.labels]
        self.scalars += [(operand.code, False) for operand in cores if not operand.labels]
        return self._einsum(factors, output)


def _is_inverse(term: Expr) -> bool:
    return isinstance(term, Apply) and term.function == "inv" and term.rank == 2


def _is_dot(counts: dict[tuple[Expr, Subscript], int], output: Subscript) -> bool:
    """One vector twice and nothing else: x @ x rather than sum(x**2)."""
    real = [(f, n) for f, n in counts.items() if f[1]]
    if len(real) != 1:
        return False
    ((operand, labels), count) = real[0]
    _, exponent = base_and_exponent(operand)
    return len(labels) == 1 and count == 2 and exponent == 1 and labels[0] not in output


def crowded(words: Words, results: Sequence[Code]) -> set[Expr]:
    """Matrices whose inverse is used as it is beside systems with them, or that have many systems."""
    used = set(below(results))
    found = set()
    for matrix, solutions in words.solved.items():
        count = len(solutions & used)
        if count and (count > _SYSTEMS or words.inverted.get(matrix) in used):
            found.add(matrix)
    return found
