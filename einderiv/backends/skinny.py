"""Products with a thin operand, in blocks that BLAS multiplies without packing them.

In: contractions and the extents a program is planned for. Out: code; all else is left to `Contractions`.
Invariant: the helpers are right for every extent; whether blocks are faster is measured once.

OpenBLAS has kernels for small matrices on some processors: below M N K = 1e6 they skip packing. Cut into such
blocks and handed over as one batch, a product with a thin operand takes a third of the time of one call.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from math import prod

from ..expr import Label
from ..program import Contract, Program
from . import python_code as py
from .contractions import Contractions

_PACKED = 1_000_000  # M N K from which BLAS packs its operands
_THIN = 32  # columns up to which a thin operand is worth it


class Skinny(Contractions):
    """Writes contractions, those with a thin operand in blocks."""

    def __init__(self, program: Program, sizes: Mapping[str, int] | None) -> None:
        super().__init__(program)
        self.sizes = sizes

    def contract_into(self, step: Contract, out: str | None) -> tuple[ast.expr, bool]:
        """The contraction, written to `out` where it can be; was it used?"""
        value = self.blocks(step)
        return (value, False) if value is not None else super().contract_into(step, out)

    def blocks(self, step: Contract) -> ast.expr | None:
        """A product of two matrices with few columns, or with few rows and columns and a long sum."""
        if self.sizes is None or len(step.operands) != 2 or any(len(x) != 2 for x in step.inputs):
            return None
        (a, b), output = step.inputs, step.output
        extents: dict[Label, int] = {}
        for label, dim in step.extents:
            extent = dim if isinstance(dim, int) else self.sizes.get(dim)
            if extent is None:
                return None
            extents[label] = extent
        summed = [label for label in a if label in b and label not in output]
        if len(summed) != 1 or len(extents) != 3 or len(set(output)) != 2:
            return None
        if prod(extents.values()) <= _PACKED:
            return None
        first, second = step.operands
        rows, columns = output
        if rows in b:
            first, second, a, b = second, first, b, a
        if first == second:
            return None  # BLAS sees Z'Z by itself
        left = self.matrix(f"v{first}", a, [rows, *summed])
        right = self.matrix(f"v{second}", b, [*summed, columns])
        if extents[columns] <= _THIN < extents[summed[0]] and extents[rows] > _THIN:
            return self._call("thin_product", left, right)
        if extents[rows] <= _THIN < extents[summed[0]] and extents[columns] > _THIN:
            turned = self.matrix(f"v{second}", b, [columns, *summed])
            other = self.matrix(f"v{first}", a, [*summed, rows])
            return ast.Attribute(self._call("thin_product", turned, other), "T", ast.Load())
        if max(extents[rows], extents[columns]) <= 2 * _THIN:
            return self._call("long_product", left, right)
        return None

    def _call(self, name: str, left: ast.expr, right: ast.expr) -> ast.expr:
        self.helper("blocks_win")
        return py.call(self.helper(name), left, right)
