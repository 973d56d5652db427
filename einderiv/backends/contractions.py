"""Contractions as NumPy code: the kernel a step runs on, written out.

In: `Contract` steps. Out: syntax trees over the names v0, v1, ... and n0, n1, ....
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from ..expr import Dim, Label, Subscript
from ..program import Contract, Program
from . import python_code as py

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# entries of a block below which copying all of them for one product is faster than a product for each
_SMALL_BLOCK = 200
_LONG_ROW = 32  # entries of a row from which BLAS's inner product is faster than NumPy's loop


class Contractions:
    """Writes contractions, and keeps what the code around them needs: names of extents, helpers."""

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
        """A product, a matrix product or a sum, whichever the labels allow."""
        return self.contract_into(step, None)[0]

    def contract_into(self, step: Contract, out: str | None) -> tuple[ast.expr, bool]:
        """The same, written to `out` where the kernel writes its result in that order; was it used?"""
        value = self.kernel(step)
        if out is None or not step.output or len(step.operands) == 1:
            return value, False
        place = py.name(out)
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult | ast.MatMult):
            name = "np.multiply" if isinstance(value.op, ast.Mult) else "np.matmul"
            return py.call(py.path(name), value.left, value.right, place), True
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            if value.func.attr == "dot":
                return py.call(value.func, *value.args, place), True
            if value.func.attr in ("einsum", "vecdot"):
                return py.call(value.func, *value.args, out=place), True
        return value, False

    def kernel(self, step: Contract) -> ast.expr:
        """The contraction as one expression."""
        if len(step.operands) == 1:
            return self.unary(step)
        (first, second), (a, b) = step.operands, step.inputs
        distinct = len(set(a)) == len(a) and len(set(b)) == len(b)
        summed = [label for label in a if label in b and label not in step.output]
        alone = [x for x in (*a, *b) if x not in step.output and x not in summed]
        if distinct and not alone and not summed:
            return py.binary(
                self.placed(f"v{first}", a, step.output),
                ast.Mult(),
                self.placed(f"v{second}", b, step.output),
            )
        if distinct and not alone:
            product = self.matrix_product(step)
            if product is not None:
                return product
        return self.einsum(step)

    def einsum(self, step: Contract) -> ast.expr:
        letters: dict[Label, str] = {}
        for labels in (*step.inputs, step.output):
            for label in labels:
                letters.setdefault(label, LETTERS[len(letters)])
        inputs = ",".join("".join(letters[x] for x in labels) for labels in step.inputs)
        subscripts = f"{inputs}->{''.join(letters[x] for x in step.output)}"
        operands = [py.name(f"v{register}") for register in step.operands]
        return py.call(py.path("np.einsum"), py.constant(subscripts), *operands)

    def unary(self, step: Contract) -> ast.expr:
        (register,), (labels,) = step.operands, step.inputs
        value = py.name(f"v{register}")
        if len(set(labels)) < len(labels):
            return self.einsum(step)
        gone = [axis for axis, label in enumerate(labels) if label not in step.output]
        if gone:
            value = py.call(py.path("np.add.reduce"), value, axis=py.numbers(gone))
        rest = [label for label in labels if label in step.output]
        order = [rest.index(label) for label in step.output]
        return value if order == sorted(order) else self.transposed(value, order)

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

    def matrix_product(self, step: Contract) -> ast.expr | None:
        """`batch x rows x summed` times `batch x summed x columns`, views where possible."""
        (first, second), (a, b) = step.operands, step.inputs
        output = step.output
        summed = [label for label in a if label in b and label not in output]
        batch = [label for label in output if label in a and label in b]
        rows = [label for label in output if label in a and label not in b]
        columns = [label for label in output if label in b and label not in a]
        if batch and not rows and not columns:
            return self.row_products(step, batch, summed)
        if len(rows) > 1 or len(columns) > 1 or len(summed) > 1:
            rows = [label for label in a if label in rows]  # in the order of memory: no copy
            columns = [label for label in b if label in columns]
            joined = self.fused(step, batch, rows, columns, summed)
            return joined if batch or len(summed) > 1 else self.between(step, summed[0], joined)
        if not rows and columns:
            first, second, a, b, rows, columns = second, first, b, a, columns, rows
        left = self.matrix(f"v{first}", a, [*batch, *rows, *summed])
        right = self.matrix(f"v{second}", b, [*batch, *summed, *columns])
        if batch and not columns:
            last = py.tuple([ast.Constant(...), py.constant(None)])
            product = py.binary(left, ast.MatMult(), ast.Subscript(right, last, ast.Load()))
            zero = py.tuple([ast.Constant(...), py.constant(0)])
            product = ast.Subscript(product, zero, ast.Load())
        elif batch:
            product = py.binary(left, ast.MatMult(), right)
        else:
            product = py.method(left, "dot", right)  # the same as @, 0.5 us sooner
        made = [*batch, *rows, *columns]
        return self.transposed(product, [made.index(label) for label in output])

    def fused(
        self,
        step: Contract,
        batch: Sequence[Label],
        rows: Sequence[Label],
        columns: Sequence[Label],
        summed: Sequence[Label],
    ) -> ast.expr:
        """The same with any number of axes, or none, in the place of each: joined, multiplied, split."""
        dims = dict(step.extents)
        (first, second), (a, b) = step.operands, step.inputs

        def shaped(value: ast.expr, groups: Sequence[Sequence[Label]]) -> ast.expr:
            shape = [self.product([dims[x] for x in group]) for group in groups]
            return py.method(value, "reshape", py.tuple(shape))

        single = [[label] for label in batch]
        left = self.matrix(f"v{first}", a, [*batch, *rows, *summed])
        right = self.matrix(f"v{second}", b, [*batch, *summed, *columns])
        left = shaped(left, [*single, rows, summed])
        right = shaped(right, [*single, summed, columns])
        made = [*batch, *rows, *columns]
        split = shaped(py.binary(left, ast.MatMult(), right), [[label] for label in made])
        return self.transposed(split, [made.index(label) for label in step.output])

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

    def between(self, step: Contract, summed: Label, joined: ast.expr) -> ast.expr:
        """A matrix times one of the last two axes of a larger array: by blocks, unless they are small."""
        operands = list(zip(step.operands, step.inputs, strict=True))
        for (small, own), (large, labels) in (operands, operands[::-1]):
            if len(own) != 2 or len(labels) < 3 or summed not in labels[-2:]:
                continue
            (other,) = (label for label in own if label != summed)
            array = py.name(f"v{large}")
            if labels[-2] == summed:
                matrix = self.matrix(f"v{small}", own, [other, summed])
                product = py.binary(matrix, ast.MatMult(), array)
                made, least = [*labels[:-2], other, labels[-1]], _SMALL_BLOCK
            else:
                matrix = self.matrix(f"v{small}", own, [summed, other])
                product = py.binary(array, ast.MatMult(), matrix)
                made, least = [*labels[:-1], other], 10 * _SMALL_BLOCK
            value = self.transposed(product, [made.index(label) for label in step.output])
            dims = dict(step.extents)
            block = self.product([dims[labels[-2]], dims[labels[-1]]])
            is_large = py.compare(block, ast.GtE(), py.constant(least))
            return ast.IfExp(is_large, value, joined)
        return joined

    def row_products(
        self, step: Contract, batch: Sequence[Label], summed: Sequence[Label]
    ) -> ast.expr | None:
        """One inner product for each row; None where the rows are not the last axis of both."""
        (first, second), (a, b) = step.operands, step.inputs
        if len(summed) != 1 or a[-1] != summed[0] or b[-1] != summed[0]:
            return None
        left = self.matrix(f"v{first}", a, [*batch, *summed])
        right = self.matrix(f"v{second}", b, [*batch, *summed])
        # vecdot conjugates its first operand; a real array is its own conjugate, not a copy
        product = py.call(py.path("np.vecdot"), py.method(left, "conj"), right)
        is_long = ast.Compare(
            self.dim(dict(step.extents)[summed[0]]), [ast.GtE()], [py.constant(_LONG_ROW)]
        )
        return ast.IfExp(is_long, product, self.einsum(step))

    def diagonal(self, target: str, places: Subscript, distinct: Subscript) -> ast.expr:
        if len(distinct) == len(places):
            return py.name(target)
        letters = {label: LETTERS[k] for k, label in enumerate(distinct)}
        left = "".join(letters[label] for label in places)
        right = "".join(letters[label] for label in distinct)
        return py.call(py.path("np.einsum"), py.constant(f"{left}->{right}"), py.name(target))
