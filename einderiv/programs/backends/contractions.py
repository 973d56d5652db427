"""Contractions as NumPy code: the kernel a step runs on, written out.

In: `Contract` steps. Out: syntax trees over the names v0, v1, ... and n0, n1, ....
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ...terms import Dim, Label, Subscript
from ..program import Contract, Program, is_turned
from . import python_code as py

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Contractions:
    """Writes contractions, and keeps what the code around them needs: names of extents, helpers."""

    loop_name = "np.einsum"  # by which the code calls it

    def __init__(self, program: Program) -> None:
        self.program = program
        self.dims: dict[str, str] = {}  # extent -> its minted name
        self.helpers: list[str] = []
        self.shapes = {step.target: step.shape for step in program.instructions}

    def dim(self, dim: Dim) -> ast.expr:
        if isinstance(dim, int):
            return py.constant(dim)
        return py.name(self.dims.setdefault(dim, f"n{len(self.dims)}"))

    def helper(self, name: str) -> ast.expr:
        if name not in self.helpers:
            self.helpers.append(name)
        return py.name(name)

    def function(self, path: str) -> ast.expr:
        return py.path(path) if "." in path else self.helper(path)

    def contract(self, step: Contract) -> ast.expr:
        """The contraction as one expression."""
        return self.contract_into(step, None)[0]

    def contract_into(self, step: Contract, out: str | None) -> tuple[ast.expr, bool]:
        """The same, written to `out` where the kernel writes its result in that order; was it used?"""
        if len(step.operands) == 1:
            return SINGLE_WRITERS[step.kernel](self, step), False
        if len(step.operands) > 2:
            return self.einsum(step), False
        first, second = step.inputs
        if is_turned(first, second, step.output):
            step = replace(step, operands=step.operands[::-1], inputs=step.inputs[::-1])
        value = WRITERS[step.kernel](self, step)
        if out is None or not step.output:
            return value, False
        place = py.name(out)
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult | ast.MatMult):
            name = "np.multiply" if isinstance(value.op, ast.Mult) else "np.matmul"
            return py.call(py.path(name), value.left, value.right, place), True
        if step.kernel == "half":
            assert isinstance(value, ast.Call)
            return py.call(value.func, *value.args, place), True
        if step.kernel == "dot" and isinstance(value, ast.Call):
            if isinstance(value.func, ast.Attribute) and value.func.attr == "dot":
                return py.call(value.func, *value.args, place), True
        if step.kernel in ("loop", "vecdot"):
            assert isinstance(value, ast.Call)
            # the public function takes None for memory of its own, which C einsum does not
            function = py.path("np.einsum") if step.kernel == "loop" else value.func
            return py.call(function, *value.args, out=place), True
        return value, False

    def einsum(self, step: Contract) -> ast.expr:
        letters: dict[Label, str] = {}
        for labels in (*step.inputs, step.output):
            for label in labels:
                letters.setdefault(label, LETTERS[len(letters)])
        inputs = ",".join("".join(letters[x] for x in labels) for labels in step.inputs)
        subscripts = f"{inputs}->{''.join(letters[x] for x in step.output)}"
        operands = [py.name(f"v{register}") for register in step.operands]
        return py.call(py.path(self.loop_name), py.constant(subscripts), *operands)

    # ------------------------------------------------------------ one array

    def sum(self, step: Contract) -> ast.expr:
        """A view, after the sums if there are any."""
        (register,), (labels,) = step.operands, step.inputs
        value = py.name(f"v{register}")
        gone = [axis for axis, label in enumerate(labels) if label not in step.output]
        if gone:
            axes = py.constant(gone[0]) if len(gone) == 1 else py.numbers(gone)
            value = py.call(py.path("np.add.reduce"), value, axis=axes)
        return self.matrix_of(value, [x for x in labels if x in step.output], step.output)

    def product_with_ones(self, step: Contract) -> ast.expr:
        """Sums over the first axes, the last axes, the last but one, or all: by a helper."""
        (register,), (labels,) = step.operands, step.inputs
        gone = [axis for axis, label in enumerate(labels) if label not in step.output]
        value = py.call(self.helper("sums"), py.name(f"v{register}"), py.numbers(gone))
        return self.matrix_of(value, [x for x in labels if x in step.output], step.output)

    def inner(self, step: Contract) -> ast.expr:
        """The sum of all products of two arrays, by a helper."""
        (first, second), (a, b) = step.operands, step.inputs
        left, right = py.name(f"v{first}"), self.matrix(f"v{second}", b, a)
        return py.call(self.helper("inner"), left, right)

    def diagonal_view(self, step: Contract) -> ast.expr:
        """The entries with two equal indices; their axis comes last."""
        (register,), (labels,) = step.operands, step.inputs
        (twice,) = (label for label in dict.fromkeys(labels) if labels.count(label) == 2)
        first = labels.index(twice)
        axes = [0, first, labels.index(twice, first + 1)]
        value = py.method(py.name(f"v{register}"), "diagonal", *map(py.constant, axes))
        made = [*(label for label in labels if label != twice), twice]
        return self.matrix_of(value, made, step.output)

    # ------------------------------------------------------------ two arrays

    def multiply(self, step: Contract) -> ast.expr:
        """Entry by entry, axes of extent one where an operand has none."""
        (first, second), (a, b) = step.operands, step.inputs
        return py.binary(
            self.placed(f"v{first}", a, step.output),
            ast.Mult(),
            self.placed(f"v{second}", b, step.output),
        )

    def transposed(self, value: ast.expr, order: Sequence[int]) -> ast.expr:
        if list(order) == list(range(len(order))):
            return value
        if list(order) == [1, 0]:
            return ast.Attribute(value, "T", ast.Load())
        return py.method(value, "transpose", *map(py.constant, order))

    def placed(self, name: str, labels: Subscript, output: Subscript) -> ast.expr:
        """A view whose axes stand where `output` has them, broadcasting over the others."""
        value = py.name(name)
        if not labels:
            return value
        order = sorted(range(len(labels)), key=lambda axis: output.index(labels[axis]))
        value = self.transposed(value, order)
        first = min(output.index(label) for label in labels)
        places: list[ast.expr] = []
        for label in output[first:]:
            places.append(ast.Slice() if label in labels else py.constant(None))
        if len(places) == len(labels):
            return value
        return ast.Subscript(value, py.tuple(places) if len(places) > 1 else places[0], ast.Load())

    def roles(self, step: Contract) -> tuple[list[Label], list[Label], list[Label], list[Label]]:
        """Batch, rows, columns, summed; those of one operand in its order of memory."""
        (a, b), output = step.inputs, step.output
        return (
            [x for x in output if x in a and x in b],
            [x for x in a if x in output and x not in b],
            [x for x in b if x in output and x not in a],
            [x for x in a if x in b and x not in output],
        )

    def operands(self, step: Contract) -> tuple[ast.expr, ast.expr, list[Label]]:
        """`batch x rows x summed`, `batch x summed x columns`, and the labels of their product."""
        (first, second), (a, b) = step.operands, step.inputs
        batch, rows, columns, summed = self.roles(step)
        left = self.matrix(f"v{first}", a, [*batch, *rows, *summed])
        right = self.matrix(f"v{second}", b, [*batch, *summed, *columns])
        return left, right, [*batch, *rows, *columns]

    def dot(self, step: Contract) -> ast.expr:
        """Two matrices, or vectors."""
        left, right, made = self.operands(step)
        return self.matrix_of(py.method(left, "dot", right), made, step.output)

    def turned_dot(self, step: Contract) -> ast.expr:
        """b'a', transposed."""
        return self.dot(replace(step, operands=step.operands[::-1], inputs=step.inputs[::-1]))

    def blocks_of_rows(self, step: Contract) -> ast.expr:
        """A product whose second matrix has few columns, by a helper."""
        left, right, made = self.operands(step)
        self.helper("blocks_win")
        value = py.call(self.helper("thin_product"), left, right)
        return self.matrix_of(value, made, step.output)

    def blocks_of_columns(self, step: Contract) -> ast.expr:
        """A product whose first matrix has few rows, likewise."""
        exchanged = replace(step, operands=step.operands[::-1], inputs=step.inputs[::-1])
        return self.blocks_of_rows(exchanged)

    def blocks_of_sum(self, step: Contract) -> ast.expr:
        """A product with a long sum, by a helper."""
        left, right, made = self.operands(step)
        self.helper("blocks_win")
        value = py.call(self.helper("long_product"), left, right)
        return self.matrix_of(value, made, step.output)

    def half(self, step: Contract) -> ast.expr:
        """Rows times columns where the result is symmetric: little more than half of it is computed."""
        left, right, made = self.operands(step)
        value = py.call(self.helper("symmetric_product"), left, right)
        return self.matrix_of(value, made, step.output)

    def matmul(self, step: Contract) -> ast.expr:
        """A product for each entry of the batch."""
        left, right, made = self.operands(step)
        _, rows, columns, _ = self.roles(step)
        dots = ast.Constant(...)
        if not columns:
            right = ast.Subscript(right, py.tuple([dots, py.constant(None)]), ast.Load())
        if not rows:
            last = py.tuple([dots, py.constant(None), ast.Slice()])
            left = ast.Subscript(left, last, ast.Load())
        product = py.binary(left, ast.MatMult(), right)
        if not columns:
            zero = py.tuple([dots, py.constant(0)])
            product = ast.Subscript(product, zero, ast.Load())
        elif not rows:
            zero = py.tuple([dots, py.constant(0), ast.Slice()])
            product = ast.Subscript(product, zero, ast.Load())
        return self.matrix_of(product, made, step.output)

    def shaped(
        self, value: ast.expr, dims: Mapping[Label, Dim], groups: Sequence[Sequence[Label]]
    ) -> ast.expr:
        """An array whose axes are the groups, each joined."""
        shape = [self.product([dims[x] for x in group]) for group in groups]
        return py.method(value, "reshape", py.tuple(shape))

    def joined(self, step: Contract) -> ast.expr:
        """Any number of axes, or none, in the place of each: joined, multiplied, split."""
        dims = dict(step.extents)
        left, right, made = self.operands(step)
        batch, rows, columns, summed = self.roles(step)
        single = [[label] for label in batch]
        left = self.shaped(left, dims, [*single, rows, summed])
        right = self.shaped(right, dims, [*single, summed, columns])
        product = py.binary(left, ast.MatMult(), right)
        split = self.shaped(product, dims, [[label] for label in made])
        return self.matrix_of(split, made, step.output)

    def turned_joined(self, step: Contract) -> ast.expr:
        """The same with the operands exchanged."""
        return self.joined(replace(step, operands=step.operands[::-1], inputs=step.inputs[::-1]))

    def product(self, dims: Sequence[Dim]) -> ast.expr:
        """The number of entries of some axes together."""
        if not dims:
            return py.constant(1)
        total = self.dim(dims[0])
        for dim in dims[1:]:
            total = py.binary(total, ast.Mult(), self.dim(dim))
        return total

    def matrix(self, name: str, labels: Subscript, wanted: Sequence[Label]) -> ast.expr:
        return self.transposed(py.name(name), [labels.index(label) for label in wanted])

    def matrix_of(
        self, value: ast.expr, made: Sequence[Label], wanted: Sequence[Label]
    ) -> ast.expr:
        """A value whose axes are labelled `made`, in the order `wanted`."""
        return self.transposed(value, [list(made).index(label) for label in wanted])

    def blocks(self, step: Contract) -> ast.expr:
        """A matrix times one of the last two axes of a larger array, block by block."""
        operands = list(zip(step.operands, step.inputs, strict=True))
        *_, (summed,) = self.roles(step)
        if len(operands[0][1]) != 2 or summed not in operands[1][1][-2:] or len(operands[1][1]) < 3:
            operands = operands[::-1]
        (small, own), (large, labels) = operands
        (other,) = (label for label in own if label != summed)
        array = py.name(f"v{large}")
        if labels[-2] == summed:
            matrix = self.matrix(f"v{small}", own, [other, summed])
            product = py.binary(matrix, ast.MatMult(), array)
            return self.matrix_of(product, [*labels[:-2], other, labels[-1]], step.output)
        matrix = self.matrix(f"v{small}", own, [summed, other])
        product = py.binary(array, ast.MatMult(), matrix)
        return self.matrix_of(product, [*labels[:-1], other], step.output)

    def vecdot(self, step: Contract) -> ast.expr:
        """One inner product for each row."""
        left, right, _ = self.operands(step)
        # vecdot conjugates its first operand; a real array is its own conjugate, not a copy
        return py.call(py.path("np.vecdot"), py.method(left, "conj"), right)

    def diagonal(self, target: str, places: Subscript, distinct: Subscript) -> ast.expr:
        if len(distinct) == len(places):
            return py.name(target)
        letters = {label: LETTERS[k] for k, label in enumerate(distinct)}
        left = "".join(letters[label] for label in places)
        right = "".join(letters[label] for label in distinct)
        return py.call(py.path(self.loop_name), py.constant(f"{left}->{right}"), py.name(target))


Write = Callable[[Contractions, Contract], ast.expr]
# how each kernel of the compiler's table is written
WRITERS: dict[str, Write] = {
    "multiply": Contractions.multiply,
    "dot": Contractions.dot,
    "turned dot": Contractions.turned_dot,
    "blocks of rows": Contractions.blocks_of_rows,
    "blocks of columns": Contractions.blocks_of_columns,
    "blocks of the sum": Contractions.blocks_of_sum,
    "half": Contractions.half,
    "vecdot": Contractions.vecdot,
    "matmul": Contractions.matmul,
    "blocks": Contractions.blocks,
    "inner": Contractions.inner,
    "joined": Contractions.joined,
    "turned joined": Contractions.turned_joined,
    "loop": Contractions.einsum,
}
SINGLE_WRITERS: dict[str, Write] = {
    "view": Contractions.sum,
    "diagonal": Contractions.diagonal_view,
    "sum": Contractions.sum,
    "ones": Contractions.product_with_ones,
    "loop": Contractions.einsum,
}
