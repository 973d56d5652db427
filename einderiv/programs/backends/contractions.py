"""Contractions as NumPy code: the kernel a step runs on, written out.

In: `Contract` steps. Out: syntax trees over the names v0, v1, ... and n0, n1, ....
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from ...terms import Dim, Label, Subscript
from ..program import LETTERS, Contract, Program, is_turned
from . import python_code as py


class Contractions:
    """Writes contractions, and keeps what the code around them needs: names of extents, helpers."""

    loop_name = "np.einsum"  # by which the code calls it

    def __init__(self, program: Program) -> None:
        self.program = program
        self.dims: dict[str, str] = {}  # extent -> its minted name
        self.helpers: list[str] = []
        self.shapes = program.shapes

    def dim(self, dim: Dim) -> int | str:
        """An extent: a number, or its name."""
        return dim if isinstance(dim, int) else self.dims.setdefault(dim, f"n{len(self.dims)}")

    def helper(self, name: str) -> str:
        """The name of a function of `numpy_functions`, noted as needed."""
        if name not in self.helpers:
            self.helpers.append(name)
        return name

    def contract(self, step: Contract, out: str | None) -> tuple[ast.expr, bool]:
        """The contraction, written to `out` if the kernel writes its result in that order; was it used?"""
        if len(step.operands) == 1:
            return SINGLE_WRITERS[step.kernel](self, step), False
        if len(step.operands) > 2:
            return self.einsum(step), False
        if is_turned(step.inputs[0], step.inputs[1], step.output):
            step = step.exchange()
        value = WRITERS[step.kernel](self, step)
        if out is None or not step.output:
            return value, False
        match step.kernel, value:
            case _, ast.BinOp(left, ast.Mult(), right):
                return py.call("np.multiply", left, right, out), True
            case _, ast.BinOp(left, ast.MatMult(), right):
                return py.call("np.matmul", left, right, out), True
            case ("half", ast.Call(function, operands)) | (
                "dot",
                ast.Call(ast.Attribute(attr="dot") as function, operands),
            ):
                return py.call(function, *operands, out), True
            case "loop", ast.Call(_, operands):
                # the public function takes None for memory of its own, which C einsum does not
                return py.call("np.einsum", *operands, out=out), True
            case "vecdot", ast.Call(function, operands):
                return py.call(function, *operands, out=out), True
        return value, False

    def einsum(self, step: Contract) -> ast.expr:
        """One loop over all labels."""
        operands = [f"v{register}" for register in step.operands]
        return py.call(self.loop_name, ast.Constant(step.subscripts), *operands)

    # ------------------------------------------------------------ one array

    def single(self, step: Contract, helper: str | None = None) -> ast.expr:
        """A view, after the sums if there are any; by a helper if they are products with ones."""
        value, (labels,) = py.tree(f"v{step.operands[0]}"), step.inputs
        gone = [axis for axis, label in enumerate(labels) if label not in step.output]
        if helper is not None:
            value = py.call(self.helper(helper), value, gone)
        elif gone:
            axes = gone[0] if len(gone) == 1 else gone
            value = py.call("np.add.reduce", value, axis=axes)
        return _in_order(value, [x for x in labels if x in step.output], step.output)

    def diagonal_view(self, step: Contract) -> ast.expr:
        """The entries with two equal indices; their axis comes last."""
        (labels,) = step.inputs
        (twice,) = (label for label in dict.fromkeys(labels) if labels.count(label) == 2)
        first = labels.index(twice)
        axes = 0, first, labels.index(twice, first + 1)
        value = py.method(f"v{step.operands[0]}", "diagonal", *axes)
        made = [*(label for label in labels if label != twice), twice]
        return _in_order(value, made, step.output)

    # ------------------------------------------------------------ two arrays

    def inner(self, step: Contract) -> ast.expr:
        """The sum of all products of two arrays, by a helper."""
        (first, second), (a, b) = step.operands, step.inputs
        return py.call(self.helper("inner"), f"v{first}", _in_order(f"v{second}", b, a))

    def multiply(self, step: Contract) -> ast.expr:
        """Entry by entry, axes of extent one if an operand has none."""
        left, right = (
            self.broadcast(register, labels, step.output)
            for register, labels in zip(step.operands, step.inputs, strict=True)
        )
        return py.binary(left, ast.Mult(), right)

    def broadcast(self, register: int, labels: Subscript, output: Subscript) -> ast.expr:
        """A view whose axes are where `output` has them, broadcasting over the others."""
        value = py.tree(f"v{register}")
        if not labels:
            return value
        value = _in_order(value, labels, [x for x in output if x in labels])
        first = min(output.index(label) for label in labels)
        places = [ast.Slice() if label in labels else None for label in output[first:]]
        return value if len(places) == len(labels) else py.index(value, *places)

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
        left = _in_order(f"v{first}", a, [*batch, *rows, *summed])
        right = _in_order(f"v{second}", b, [*batch, *summed, *columns])
        return left, right, [*batch, *rows, *columns]

    def product(self, step: Contract, *helpers: str) -> ast.expr:
        """Two matrices or vectors, by the last helper if there is one."""
        left, right, made = self.operands(step)
        names = [self.helper(name) for name in helpers]
        value = py.call(names[-1], left, right) if names else py.method(left, "dot", right)
        return _in_order(value, made, step.output)

    def matmul(self, step: Contract) -> ast.expr:
        """A product for each entry of the batch."""
        left, right, made = self.operands(step)
        _, rows, columns, _ = self.roles(step)
        template = "_0 @ _1"
        if not columns:
            template = "(_0 @ _1[..., None])[..., 0]"
        if not rows:
            template = template.replace("_0", "_0[..., None, :]")
            template = template if not columns else f"({template})[..., 0, :]"
        return _in_order(py.code(template, left, right), made, step.output)

    def joined_product(self, step: Contract) -> ast.expr:
        """Any number of axes, or none, in the place of each: joined, multiplied, split."""
        dims = dict(step.extents)

        def reshape(value: ast.expr, *groups: Sequence[Label]) -> ast.expr:
            return py.method(
                value, "reshape", [self.size([dims[x] for x in own]) for own in groups]
            )

        left, right, made = self.operands(step)
        batch, rows, columns, summed = self.roles(step)
        single = [[label] for label in batch]
        product = py.binary(
            reshape(left, *single, rows, summed),
            ast.MatMult(),
            reshape(right, *single, summed, columns),
        )
        return _in_order(reshape(product, *([label] for label in made)), made, step.output)

    def size(self, dims: Sequence[Dim]) -> py.Part:
        """The number of entries of some axes together."""
        total: py.Part = self.dim(dims[0]) if dims else 1
        for dim in dims[1:]:
            total = py.binary(total, ast.Mult(), self.dim(dim))
        return total

    def blocks(self, step: Contract) -> ast.expr:
        """A matrix times one of the last two axes of a larger array, block by block."""
        operands = list(zip(step.operands, step.inputs, strict=True))
        *_, (summed,) = self.roles(step)
        if len(operands[0][1]) != 2 or summed not in operands[1][1][-2:] or len(operands[1][1]) < 3:
            operands = operands[::-1]
        (small, own), (large, labels) = operands
        (other,) = (label for label in own if label != summed)
        if labels[-2] == summed:
            product = py.binary(
                _in_order(f"v{small}", own, [other, summed]), ast.MatMult(), f"v{large}"
            )
            return _in_order(product, [*labels[:-2], other, labels[-1]], step.output)
        product = py.binary(
            f"v{large}", ast.MatMult(), _in_order(f"v{small}", own, [summed, other])
        )
        return _in_order(product, [*labels[:-1], other], step.output)

    def vecdot(self, step: Contract) -> ast.expr:
        """One inner product for each row."""
        left, right, _ = self.operands(step)
        # vecdot conjugates its first operand; a real array is its own conjugate, not a copy
        return py.code("np.vecdot(_0.conj(), _1)", left, right)

    def diagonal(self, target: str, places: Subscript, distinct: Subscript) -> ast.expr:
        """A view of the diagonals of a result, an axis for each label."""
        if len(distinct) == len(places):
            return py.tree(target)
        letters = {label: LETTERS[k] for k, label in enumerate(distinct)}
        text = f"{''.join(letters[x] for x in places)}->{''.join(letters.values())}"
        return py.call(self.loop_name, ast.Constant(text), target)


def _in_order(value: py.Part, made: Sequence[Label], wanted: Sequence[Label]) -> ast.expr:
    """A value whose axes are labelled `made`, in the order `wanted`."""
    order = [list(made).index(label) for label in wanted]
    if order == list(range(len(order))):
        return py.tree(value)
    if order == [1, 0]:
        return ast.Attribute(py.tree(value), "T", ast.Load())
    return py.method(value, "transpose", *order)


Write = Callable[[Contractions, Contract], ast.expr]
# how each kernel of the compiler's table is written
WRITERS: dict[str, Write] = {
    "multiply":          Contractions.multiply,
    "dot":               Contractions.product,
    "turned dot":        lambda w, step: w.product(step.exchange()),
    "blocks of rows":    lambda w, step: w.product(step, "blocks_win", "thin_product"),
    "blocks of columns": lambda w, step: w.product(step.exchange(), "blocks_win", "thin_product"),
    "blocks of the sum": lambda w, step: w.product(step, "blocks_win", "long_product"),
    "half":              lambda w, step: w.product(step, "symmetric_product"),
    "vecdot":            Contractions.vecdot,
    "matmul":            Contractions.matmul,
    "blocks":            Contractions.blocks,
    "inner":             Contractions.inner,
    "joined":            Contractions.joined_product,
    "turned joined":     lambda w, step: w.joined_product(step.exchange()),
    "loop":              Contractions.einsum,
}  # fmt: skip
SINGLE_WRITERS: dict[str, Write] = {
    "view":              Contractions.single,
    "diagonal":          Contractions.diagonal_view,
    "sum":               Contractions.single,
    "ones":              lambda w, step: w.single(step, "sums"),
    "loop":              Contractions.einsum,
}  # fmt: skip
