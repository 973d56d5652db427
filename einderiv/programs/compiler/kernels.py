"""The kernels that a contraction of one or two arrays can run on, what each serves, and what it costs.

In: labels of the operands and of the result, extents. Out: the name of the cheapest kernel, and seconds.
Invariant: `loop` serves every pair; every other kernel computes the same. The order of a product, programs
and `ed.einsum` all ask this table; `backends/contractions.py` writes the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Generic, TypeVar

from ...terms import Dim, Label, Subscript
from ..program import Contract, Instruction, Loop, Program
from . import pairs as prices
from .pairs import MIRRORED, PACKED, THIN, Pair, Single, ends, oriented, stacked

ASSUMED_EXTENT = 64  # where no extent is known
Product = TypeVar("Product", Pair, Single)


@dataclass(frozen=True, slots=True)
class Kernel(Generic[Product]):
    """A way to compute a contraction: a name, an example, when it serves, what it costs."""

    name: str
    example: str
    serves: Callable[[Product], bool]
    seconds: Callable[[Product], float]


# ---------------------------------------------------------------- what they serve


def _is_broadcast(pair: Pair) -> bool:
    return pair.is_plain and not pair.summed


def _is_dot(pair: Pair) -> bool:
    return pair.is_matrix_product and pair.is_single and not pair.batch


def _has_rows_and_columns(pair: Pair) -> bool:
    return pair.is_matrix_product and bool(pair.rows and pair.columns)


def _is_matrix_times_matrix(pair: Pair) -> bool:
    return _is_dot(pair) and _has_rows_and_columns(pair)


def _is_packed(pair: Pair) -> bool:
    """Two different matrices that BLAS packs; of a product of one with itself it computes half."""
    large = prod(pair.extents.values()) > PACKED
    return large and not pair.is_one and _is_matrix_times_matrix(pair)


def _has_few_columns(pair: Pair) -> bool:
    few = (
        pair.entries(pair.columns) <= THIN < min(pair.entries(pair.rows), pair.entries(pair.summed))
    )
    return (
        few and _is_packed(pair) and pair.first[-1] in pair.summed
    )  # or a block is no matrix in memory


def _has_few_rows(pair: Pair) -> bool:
    few = (
        pair.entries(pair.rows) <= THIN < min(pair.entries(pair.columns), pair.entries(pair.summed))
    )
    return few and _is_packed(pair) and pair.second[-1] in pair.summed


def _has_long_sum(pair: Pair) -> bool:
    if not _is_packed(pair):
        return False
    return max(pair.entries(pair.rows), pair.entries(pair.columns)) <= 2 * THIN


def _is_symmetric(pair: Pair) -> bool:
    return pair.is_symmetric and pair.entries(pair.rows) >= MIRRORED


def _is_rowwise(pair: Pair) -> bool:
    """Inner products, one for each entry of the result: no matrix in them."""
    return bool(pair.batch and not pair.rows and not pair.columns)


def _is_vecdot(pair: Pair) -> bool:
    return _is_rowwise(pair) and pair.is_matrix_product and len(pair.summed) == 1


def _is_of_matrices(pair: Pair) -> bool:
    """A batch of products with a matrix in them, or one product of two matrices."""
    if pair.batch:
        return pair.is_matrix_product and pair.is_single and bool(pair.rows or pair.columns)
    return _is_matrix_times_matrix(pair)


def _is_stacked(pair: Pair) -> bool:
    return stacked(pair) is not None


def _is_inner(pair: Pair) -> bool:
    """A number from all entries of two arrays with several axes."""
    number = not pair.batch and not pair.rows and not pair.columns
    return number and pair.is_matrix_product and len(pair.summed) > 1


def _is_joined(pair: Pair) -> bool:
    return pair.is_matrix_product and not _is_rowwise(pair) and not (pair.is_single and pair.batch)


def _is_turned_joined(pair: Pair) -> bool:
    return _is_joined(pair) and _has_rows_and_columns(pair)


def _is_anything(pair: Pair) -> bool:
    return True


def _is_view(one: Single) -> bool:
    return one.is_distinct and not one.summed


def _is_diagonal(one: Single) -> bool:
    """One label twice and nothing summed."""
    return len(set(one.labels)) == len(one.labels) - 1 and not one.summed


def _has_diagonals(one: Single) -> bool:
    """Sums of plain arrays are not left to the loop, which adds one entry after the other."""
    return not one.is_distinct


def _is_sum(one: Single) -> bool:
    return one.is_distinct and bool(one.summed)


def _is_product_with_ones(one: Single) -> bool:
    """Sums over the first axes, the last, or the last but one: as a matrix product they copy nothing.

    The sum of all entries goes by rows, and then over the rows pairwise.
    """
    axes, rank = one.summed, len(one.labels)
    if not one.is_distinct or not axes or rank < 2:
        return False
    return ends(axes, rank) is not None or axes == (rank - 2,)


# ---------------------------------------------------------------- the table

#      name                 example              serves                   seconds
KERNELS: tuple[Kernel[Pair], ...] = (
    Kernel("multiply",          "bi,bj->bij",      _is_broadcast,           prices.multiply),
    Kernel("dot",               "ij,jk->ik",       _is_dot,                 prices.dot),
    Kernel("turned dot",        "ij,jk->ik",       _is_matrix_times_matrix, prices.turned_dot),
    Kernel("blocks of rows",    "ij,jk->ik",       _has_few_columns,        prices.blocks_of_rows),
    Kernel("blocks of columns", "ij,kj->ik",       _has_few_rows,           prices.blocks_of_rows),
    Kernel("blocks of the sum", "ji,jk->ik",       _has_long_sum,           prices.blocks_of_sum),
    Kernel("half",              "ki,kj->ij",       _is_symmetric,           prices.half),
    Kernel("vecdot",            "bi,bi->b",        _is_vecdot,              prices.vecdot),
    Kernel("matmul",            "bij,bjk->bik",    _is_of_matrices,           prices.matmul),
    Kernel("blocks",            "ijk,jl->ilk",     _is_stacked,             prices.blocks),
    Kernel("inner",             "ij,ij->",         _is_inner,               prices.inner),
    Kernel("joined",            "ijk,jkl->il",     _is_joined,              prices.joined),
    Kernel("turned joined",     "ijk,il->jkl",     _is_turned_joined,       prices.turned_joined),
    Kernel("loop",              "ij,ij->j",        _is_anything,            prices.loop),
)  # fmt: skip

SINGLE_KERNELS: tuple[Kernel[Single], ...] = (
    Kernel("view",              "ij->ji",          _is_view,                prices.view),
    Kernel("diagonal",          "bii->bi",         _is_diagonal,            prices.diagonal),
    Kernel("sum",               "ij->j",           _is_sum,                 prices.sums),
    Kernel("ones",              "ij->j",           _is_product_with_ones,   prices.ones),
    Kernel("loop",              "ii->",            _has_diagonals,          prices.single_loop),
)  # fmt: skip


def cheapest(pair: Pair) -> tuple[Kernel[Pair], float]:
    """The kernel of least cost, and its seconds without the memory traffic that all have in common.

    >>> cheapest(oriented((0, 1), (1, 2), (0, 2), {0: 30, 1: 30, 2: 30}))[0].name
    'dot'
    >>> cheapest(oriented((0, 1), (0, 1), (1,), {0: 500, 1: 500}))[0].name
    'loop'
    """
    return _least(KERNELS, pair)


def cheapest_single(
    labels: Subscript, output: Subscript, extents: Mapping[Label, int]
) -> tuple[Kernel[Single], float]:
    """The same for a contraction of one array.

    >>> cheapest_single((0, 1), (1,), {0: 500, 1: 500})[0].name
    'ones'
    """
    return _least(SINGLE_KERNELS, Single(labels, output, extents))


def loop_price(
    first: Subscript, second: Subscript, output: Subscript, extents: Mapping[Label, int]
) -> float:
    """Seconds of one loop over all labels."""
    return prices.loop(oriented(first, second, output, extents))


def single_loop_price(labels: Subscript, output: Subscript, extents: Mapping[Label, int]) -> float:
    """The same of one array."""
    return prices.single_loop(Single(labels, output, extents))


def _least(kernels: Sequence[Kernel[Product]], product: Product) -> tuple[Kernel[Product], float]:
    best: tuple[Kernel[Product], float] | None = None
    for kernel in kernels:
        if kernel.serves(product):
            seconds = kernel.seconds(product)
            if best is None or seconds < best[1]:
                best = kernel, seconds
    assert best is not None  # the loop serves everything
    return best


def pair_price(
    first: Sequence[Label],
    second: Sequence[Label],
    output: Sequence[Label],
    extents: Mapping[Label, int],
) -> float:
    """Estimated seconds of one product of two arrays, by its cheapest kernel.

    >>> extents = {0: 1000, 1: 1000, 2: 1000}
    >>> pair_price([0, 1], [1, 2], [0, 2], extents) > 10 * pair_price([0, 1], [1], [0], extents)
    True
    """
    labels = {label: extents[label] for label in (*first, *second)}
    numbers = {label: number for number, label in enumerate(labels)}
    return _priced(
        tuple([numbers[x] for x in first]),
        tuple([numbers[x] for x in second]),
        tuple([numbers[x] for x in output if x in numbers]),
        tuple(labels.values()),
    )


@lru_cache(maxsize=8192)
def _priced(
    first: Subscript, second: Subscript, output: Subscript, extents: tuple[int, ...]
) -> float:
    pair = oriented(first, second, output, dict(enumerate(extents)))
    return cheapest(pair)[1] + prices.moved(pair)


# ---------------------------------------------------------------- programs


def with_kernels(program: Program, sizes: Mapping[str, int]) -> Program:
    """The program with a kernel for each contraction, chosen for these extents, in loops for a block."""
    blocks = {k: loop for loop in program.loops for k in range(loop.start, loop.stop)}
    steps: list[Instruction] = []
    for position, step in enumerate(program.instructions):
        if isinstance(step, Contract) and len(step.operands) < 3:
            is_symmetric = step.target in program.symmetric
            extents = _extents(step, sizes, blocks.get(position))
            kernel = chosen(step.inputs, step.output, extents, is_symmetric, _is_square(step))
            steps.append(replace(step, kernel=kernel))
        else:
            steps.append(step)
    return replace(program, instructions=tuple(steps))


def _is_square(step: Contract) -> bool:
    return len(set(step.operands)) < len(step.operands)


def _extents(step: Contract, sizes: Mapping[str, int], loop: Loop | None) -> dict[Label, int]:
    def extent(dim: Dim) -> int:
        return dim if isinstance(dim, int) else sizes.get(dim, ASSUMED_EXTENT)

    extents = {label: extent(dim) for label, dim in step.extents}
    if loop is not None:
        for register, own in zip(step.operands, step.inputs, strict=True):
            if register in loop.axes:
                extents[own[loop.axes[register]]] = loop.rows
    return extents


def chosen(
    inputs: Sequence[Subscript],
    output: Subscript,
    extents: Mapping[Label, int],
    is_symmetric: bool = False,
    is_one: bool = False,
) -> str:
    """The name of the kernel for a contraction of one or two arrays.

    `is_symmetric`: is the result known to be; `is_one`: is it a product of an array with itself?

    >>> chosen([(0, 1)], (1,), {0: 500, 1: 500}), chosen([(0, 1)], (1,), {0: 5, 1: 5})
    ('ones', 'sum')
    """
    if len(inputs) == 1:
        return cheapest_single(inputs[0], output, extents)[0].name
    first, second = inputs
    pair = oriented(first, second, output, extents)
    if is_symmetric or is_one:
        pair = replace(pair, is_symmetric=is_symmetric, is_one=is_one)
    return cheapest(pair)[0].name


def serving(
    inputs: Sequence[Subscript], output: Subscript, extents: Mapping[Label, int]
) -> list[str]:
    """The names of all kernels that serve a contraction, the cheapest first.

    >>> serving([(0, 1), (1,)], (0,), {0: 9, 1: 9})
    ['dot', 'loop', 'joined']
    """
    if len(inputs) == 1:
        one = Single(inputs[0], output, extents)
        priced = [(k.seconds(one), k.name) for k in SINGLE_KERNELS if k.serves(one)]
    else:
        first, second = inputs
        pair = oriented(first, second, output, extents)
        priced = [(k.seconds(pair), k.name) for k in KERNELS if k.serves(pair)]
    return [name for _, name in sorted(priced)]
