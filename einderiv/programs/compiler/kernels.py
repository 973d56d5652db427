"""The kernels that a contraction of one or two arrays can run on, what each serves, and what it costs.

In: labels of the operands and of the result, extents. Out: the name of the cheapest kernel, and seconds.
Invariant: `loop` serves every pair; every other kernel computes the same. The order of a product, programs
and `ed.einsum` all ask this table; `backends/contractions.py` writes the calls.

Seconds are estimates for one core, float64, arrays in C's order: fitted to medians of each kernel from 2x2 to
2000x2000 (NumPy 2.4 with OpenBLAS 0.3.31, AVX-512). `benchmarks/kernels.py` times all kernels again and tells
if another than the chosen one is faster. Ratios matter, absolute numbers hardly: a machine twice as fast
chooses the same kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Generic, TypeVar

from ...terms import Label, Subscript
from ..program import Contract, Instruction, Program, is_turned

ASSUMED_EXTENT = 64  # if no extent is known


@dataclass(frozen=True, slots=True)
class Pair:
    """A contraction of two arrays, its labels by what they do.

    `batch`: in both and the result; `rows`: in the first and the result; `columns`: in the second and the
    result; `summed`: in both; `alone`: in one only, not in the result. The operands are ordered
    such that the rows come first in the result, if they can.
    """

    first: Subscript
    second: Subscript
    output: Subscript
    extents: Mapping[Label, int]
    batch: tuple[Label, ...]
    rows: tuple[Label, ...]
    columns: tuple[Label, ...]
    summed: tuple[Label, ...]
    is_plain: bool  # no label twice in one operand, none alone
    is_symmetric: bool = False
    is_one: bool = False  # are both operands the same array?

    def entries(self, labels: Sequence[Label]) -> int:
        """The number of entries of an array with these labels."""
        return prod([self.extents[label] for label in labels])

    @property
    def is_matrix_product(self) -> bool:
        """Are there sums, and no label alone?"""
        return self.is_plain and bool(self.summed)

    @property
    def is_single(self) -> bool:
        """At most one axis each of rows and columns, one sum."""
        return len(self.rows) <= 1 and len(self.columns) <= 1 and len(self.summed) == 1

    @property
    def is_dot(self) -> bool:
        """One product of matrices or vectors?"""
        return self.is_matrix_product and self.is_single and not self.batch

    @property
    def has_rows_and_columns(self) -> bool:
        """Is something left of each operand?"""
        return bool(self.rows and self.columns)

    @property
    def is_rowwise(self) -> bool:
        """Inner products, one for each entry of the result: no matrix in them."""
        return bool(self.batch and not self.rows and not self.columns)

    @property
    def is_packed(self) -> bool:
        """Two different matrices that BLAS packs; of a product of one with itself it computes half."""
        large = prod(self.extents.values()) > PACKED
        return large and not self.is_one and self.is_dot and self.has_rows_and_columns

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The entries of rows, columns and sums."""
        return self.entries(self.rows), self.entries(self.columns), self.entries(self.summed)

    def exchange(self) -> Pair:
        """The second operand times the first."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            rows=self.columns,
            columns=self.rows,
            summed=tuple([x for x in self.second if x in self.summed]),
        )


def oriented_pair(
    first: Subscript, second: Subscript, output: Subscript, extents: Mapping[Label, int]
) -> Pair:
    """A pair, its operands exchanged if the columns would come before the rows.

    >>> pair = oriented_pair((0, 1), (1, 2), (0, 2), {0: 5, 1: 6, 2: 7})
    >>> pair.rows, pair.summed, pair.columns
    ((0,), (1,), (2,))
    >>> oriented_pair((0, 1), (1, 2), (2, 0), {0: 5, 1: 6, 2: 7}).rows
    (2,)
    """
    if is_turned(first, second, output):
        first, second = second, first
    a, b, out = set(first), set(second), set(output)
    extents = {label: max(extent, 1) for label, extent in extents.items()}
    plain = len(a) == len(first) and len(b) == len(second)
    return Pair(
        first,
        second,
        output,
        extents,
        tuple([x for x in output if x in a and x in b]),
        tuple([x for x in first if x in out and x not in b]),
        tuple([x for x in second if x in out and x not in a]),
        tuple([x for x in first if x in b and x not in out]),
        plain and (a ^ b) <= out,
    )


@dataclass(frozen=True, slots=True)
class Single:
    """A contraction of one array: a view, a diagonal, sums."""

    labels: Subscript
    output: Subscript
    extents: Mapping[Label, int]

    @property
    def is_distinct(self) -> bool:
        """Are all labels distinct?"""
        return len(set(self.labels)) == len(self.labels)

    @property
    def summed_axes(self) -> tuple[int, ...]:
        """The axes that are summed over."""
        return tuple(k for k, label in enumerate(self.labels) if label not in self.output)

    @property
    def entries(self) -> int:
        """The number of entries of the array."""
        return prod([self.extents[label] for label in self.labels])


Product = TypeVar("Product", Pair, Single)

# ---------------------------------------------------------------- what they cost

#                       seconds
CALL = 0.4e-6  # a call of a ufunc or of a method of an array, with what the program does around it
_MATMUL = 0.8e-6  # np.matmul and np.vecdot find their loops first
_LOOP = 0.85e-6  # C einsum reads its string first
_VIEW = 0.25e-6  # a transposed, reshaped or widened view
_ROUND = 3e-9  # each innermost loop of C einsum
_DEEP_ROUND = 14e-9  # the same with four labels or more
_RUN = 7e-9  # the same of a ufunc
_ROW = 4e-9  # each inner product of np.vecdot
_BLOCK = 18e-9  # each matrix product of a batch
_FLOP = 1 / 100e9  # arithmetic of a large matrix product
_SMALL_FLOP = 1 / 115e9  # the same of one that BLAS does not pack
_ZERO = 0.06e-9  # an entry of the result of a.dot(b), which NumPy sets to zero first
_POINT = 0.21e-9  # a multiplication and addition of C einsum
_DOT_POINT = 0.13e-9  # the same of BLAS's inner product
_STRIDE = 0.23e-9  # more of it if an operand does not lie along the sum
_COPY = 1.5e-9  # an entry copied since no view joins its axes
_READ = 8 / 25e9  # an entry read from memory
_WRITE = 8 / 8e9  # an entry written to fresh memory
_CACHED = 0.12  # what of these is left for arrays that the cache holds
_CACHE = 1 << 17  # entries
_EXCHANGED = 1.0e-9  # an entry of an array whose axes do not lie in memory in their order
_TURNED = 1.05  # a result that lies transposed costs those who read it
PACKED = 1_000_000  # M N K from which BLAS packs its operands
THIN = 32  # columns up to which a thin operand is worth blocks
MIRRORED = 384  # rows from which half of a symmetric product is worth mirroring


def _gemm(m: int, n: int, k: int, is_turned: bool = False) -> float:
    """A matrix product, m x k times k x n; thin operands keep the arithmetic units waiting.

    `is_turned`: is the first operand stored as its transpose? BLAS is slower with it if it does not pack.
    """
    if m == n == 1:
        return k * _DOT_POINT
    if m == 1 or n == 1:
        return m * n * k * 0.1e-9
    if m * n * k > PACKED:
        return 2.0 * m * n * k * _FLOP * (1 + 16 / n) * (1 + 8 / m)
    if is_turned:
        m, n = n, m
    return 2.0 * m * n * k * _SMALL_FLOP * (1 + 6 / n) * (1 + 2 / m) * (1.2 if is_turned else 1.0)


def _product(pair: Pair) -> float:
    """The matrix product of the joined rows, sums and columns of a pair."""
    m, n, k = pair.sizes
    return _gemm(m, n, k, bool(pair.rows) and pair.first[-1] in pair.rows)


def _traffic(entries: int, seconds: float) -> float:
    """Entries that are moved at so many seconds each, less if the cache holds them."""
    return entries * seconds * (1.0 if entries > _CACHE else _CACHED)


def _operand_traffic(pair: Pair) -> float:
    """Reading the operands and writing the result."""
    read = _traffic(pair.entries(pair.first), _READ) + _traffic(pair.entries(pair.second), _READ)
    return read + _traffic(pair.entries(pair.output), _WRITE)


def _views(pair: Pair) -> int:
    """Operands that need another order of their axes, or axes of extent one."""
    return sum(
        tuple(x for x in pair.output if x in own) != own or pair.output[-len(own) :] != own
        for own in (pair.first, pair.second)
        if own
    )


def _multiply(pair: Pair) -> float:
    """np.multiply of views that broadcast."""
    run, kind = 1, None
    for label in reversed(pair.output):  # the axes that one innermost loop runs along
        membership = (label in pair.first, label in pair.second)
        if kind not in (None, membership):
            break
        kind, run = membership, run * pair.extents[label]
    count = pair.entries(pair.output)
    rate = 0.0
    if not pair.first or not pair.second:
        rate = -0.1e-9
    elif kind != (True, True):  # a number times a row: C einsum is faster until memory is the limit
        is_full = max(pair.entries(pair.first), pair.entries(pair.second)) == count
        rate = 0.13e-9 if not is_full else 0.07e-9 if count < 16 * _CACHE else -0.12e-9
    each = _RUN if len(pair.output) > 2 else 3e-9
    return CALL + _VIEW * _views(pair) + count / max(run, 1) * each + count * rate


def _dot(pair: Pair) -> float:
    """a.dot(b): an inner product, a matrix times a vector or a matrix."""
    if not pair.rows and not pair.columns:
        return CALL + pair.entries(pair.summed) * _DOT_POINT
    m, n, k = pair.sizes
    if m == 1 or n == 1:
        return CALL + max(m, n) * k * 0.08e-9
    return CALL + _product(pair) + m * n * _ZERO


def _vecdot(pair: Pair) -> float:
    """An inner product for each row."""
    strided = sum(own[-1] not in pair.summed for own in (pair.first, pair.second))
    point = _DOT_POINT + strided * _STRIDE
    return _MATMUL + pair.entries(pair.batch) * (_ROW + pair.entries(pair.summed) * point)


def _matmul(pair: Pair) -> float:
    """A batch of products of matrices, or of matrices and vectors; or one product."""
    m, n, k = pair.sizes
    blocks = pair.entries(pair.batch)
    if not pair.rows or not pair.columns:
        return _MATMUL + _VIEW + blocks * (_BLOCK + max(m, n) * k * 0.1e-9)
    views = int(pair.first != (*pair.batch, *pair.rows, *pair.summed))
    views += pair.second != (*pair.batch, *pair.summed, *pair.columns)
    return _MATMUL + _VIEW * views + blocks * (_BLOCK + _product(pair))


def _joins(own: Subscript, *groups: Sequence[Label]) -> bool:
    """Are the labels of each group together in an operand, in order, so that a view joins its axes?"""
    for group in groups:
        if len(group) > 1:
            start = own.index(group[0])
            if own[start : start + len(group)] != tuple(group):
                return False
    return True


def _exchanged_axes(pair: Pair, made: Subscript) -> float:
    """What a result of three axes and more costs those who read it, if its axes come out in another order."""
    return 0.0 if made == pair.output or len(made) < 3 else pair.entries(made) * _EXCHANGED


def _joining(pair: Pair) -> float:
    """The copies and views before and after a matrix product of joined axes."""
    total = 2 * _VIEW
    if not _joins(pair.first, pair.rows, pair.summed):
        total += pair.entries(pair.first) * _COPY
    if not _joins(pair.second, pair.summed, pair.columns):
        total += pair.entries(pair.second) * _COPY
    return total


def _joined_product(pair: Pair) -> float:
    """Axes joined to those of matrices, multiplied, split again."""
    made = (*pair.batch, *pair.rows, *pair.columns)
    work = pair.entries(pair.batch) * (_BLOCK + _product(pair))
    return _MATMUL + _joining(pair) + work + _exchanged_axes(pair, made)


def _inner(pair: Pair) -> float:
    """An inner product of two arrays; entry by entry if they lie in memory in different orders."""
    strided = pair.first != pair.second
    return 3 * CALL + pair.entries(pair.summed) * (_DOT_POINT + 2 * strided * _STRIDE)


def _matrix_and_stack(pair: Pair) -> tuple[Subscript, Subscript] | None:
    """The matrix and the larger array, if one of the last two axes of the array is summed."""
    if pair.batch or len(pair.summed) != 1 or not pair.is_plain:
        return None
    for own, labels in ((pair.first, pair.second), (pair.second, pair.first)):
        if len(own) == 2 and len(labels) > 2 and pair.summed[0] in labels[-2:]:
            return own, labels
    return None


def _blocks(pair: Pair) -> float:
    """A matrix times each matrix of a larger array, no axes joined and nothing copied."""
    found = _matrix_and_stack(pair)
    assert found is not None
    own, labels = found
    (other,) = (x for x in own if x != pair.summed[0])
    extents = pair.extents
    count = prod([extents[x] for x in labels[:-2]])
    k, wide = extents[pair.summed[0]], extents[other]
    if labels[-2] == pair.summed[0]:
        block, made = _gemm(wide, extents[labels[-1]], k), (*labels[:-2], other, labels[-1])
    else:
        block, made = _gemm(extents[labels[-2]], wide, k), (*labels[:-1], other)
    return _MATMUL + _VIEW + count * (_BLOCK + block) + _exchanged_axes(pair, made)


def _blocks_of_rows(pair: Pair) -> float:
    """A product with a thin operand, cut into blocks that BLAS does not pack."""
    m, n, k = pair.sizes
    n, m = sorted((m, n))
    return 8 * CALL + m * k * n * 2 * _FLOP * (1 + 6 / n) * 1.1 + m / 50 * _BLOCK


def _blocks_of_sum(pair: Pair) -> float:
    """The same along a long sum; the parts are added up."""
    m, n, k = pair.sizes
    return 12 * CALL + 2 * m * n * k * _FLOP * (1 + 6 / n) * (1 + 2 / m) * 1.1


def _half(pair: Pair) -> float:
    """A symmetric product by strips, each from its diagonal on, and mirrored."""
    n, _, k = pair.sizes
    return 20 * CALL + 0.62 * _gemm(n, n, k) + n * n * 0.5 * _COPY


def loop(pair: Pair) -> float:
    """One pass over all labels; the innermost loop runs along the axis that is last in most arrays."""
    arrays = [own for own in (pair.output, pair.first, pair.second) if own]
    if not arrays:
        return _LOOP
    last = [own[-1] for own in arrays]
    inner = max(last, key=last.count)
    strided = sum(inner in own and own[-1] != inner for own in (pair.first, pair.second))
    points = prod(pair.extents.values())
    if len(pair.extents) > len(pair.output):
        rate = _POINT * (1 + strided) * (1.3 if pair.rows and pair.columns else 1.0)
    else:
        shared = inner in pair.first and inner in pair.second
        rate = 0.1e-9 * strided + 0.08e-9 * shared + 0.1e-9 * (len(pair.output) > 3)
    each = _ROUND if len(pair.extents) < 4 else _DEEP_ROUND
    if len(pair.extents) == len(pair.output) == 2:
        each = 7e-9
    return _LOOP + points / max(pair.extents[inner], 1) * each + points * rate


def _sums(one: Single) -> float:
    """np.add.reduce."""
    rows = one.entries / max(one.extents[one.labels[-1]], 1) if one.output else 1
    inner = len(one.labels) - 1 in one.summed_axes
    return CALL + rows * 10e-9 + one.entries * (0.14e-9 if inner else 0.1e-9)


def _ones(one: Single) -> float:
    """Sums as a product with a vector of ones; all entries by rows, then the rows."""
    rows = one.entries / max(one.extents[one.labels[-1]], 1)
    along = len(one.labels) - 1 in one.summed_axes
    total = 2.5 * CALL + one.entries * 0.085e-9 + along * rows * 0.8e-9
    return total if one.output else total + CALL + rows * 0.15e-9


def single_loop(one: Single) -> float:
    """C einsum of one array: fastest along a last axis that is summed over."""
    if not one.labels:
        return _LOOP
    along = len(one.labels) - 1 in one.summed_axes
    rows = one.entries / max(one.extents[one.labels[-1]], 1)
    return _LOOP + rows * _ROUND + one.entries * (0.07e-9 if along else 0.15e-9)


# ---------------------------------------------------------------- what they serve


def _has_few_columns(pair: Pair) -> bool:
    """A thin second matrix, and blocks of the first that are matrices in memory."""
    rows, columns, summed = pair.sizes
    return columns <= THIN < min(rows, summed) and pair.is_packed and pair.first[-1] in pair.summed


def _has_long_sum(pair: Pair) -> bool:
    return pair.is_packed and max(pair.sizes[:2]) <= 2 * THIN


def _is_symmetric(pair: Pair) -> bool:
    return pair.is_symmetric and pair.entries(pair.rows) >= MIRRORED


def _is_vecdot(pair: Pair) -> bool:
    return pair.is_rowwise and pair.is_matrix_product and len(pair.summed) == 1


def _is_of_matrices(pair: Pair) -> bool:
    """A batch of products with a matrix in them, or one product of two matrices."""
    if pair.batch:
        return pair.is_matrix_product and pair.is_single and bool(pair.rows or pair.columns)
    return pair.is_dot and pair.has_rows_and_columns


def _is_inner(pair: Pair) -> bool:
    """A number from all entries of two arrays with several axes."""
    number = not pair.batch and not pair.rows and not pair.columns
    return number and pair.is_matrix_product and len(pair.summed) > 1


def _is_joined(pair: Pair) -> bool:
    return pair.is_matrix_product and not pair.is_rowwise and not (pair.is_single and pair.batch)


def _is_diagonal(one: Single) -> bool:
    """One label twice and nothing summed."""
    return len(set(one.labels)) == len(one.labels) - 1 and not one.summed_axes


def _is_product_with_ones(one: Single) -> bool:
    """Sums over the first axes, the last, or the last but one: as a matrix product they copy nothing.

    The sum of all entries goes by rows, and then over the rows pairwise.
    """
    axes, rank = one.summed_axes, len(one.labels)
    if not one.is_distinct or not axes or rank < 2:
        return False
    count = len(axes)
    return axes in (tuple(range(count)), tuple(range(rank - count, rank)), (rank - 2,))


# ---------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True)
class Kernel(Generic[Product]):
    """A way to compute a contraction: a name, an example, when it serves, what it costs."""

    name: str
    example: str
    serves: Callable[[Product], bool]
    seconds: Callable[[Product], float]


# The turned ones exchange the operands: faster if the second has few columns. Sums of plain arrays are not
# left to the loop, which adds one entry after the other.
#      name                 example              serves, seconds
KERNELS: tuple[Kernel[Pair], ...] = (
    Kernel("multiply",          "bi,bj->bij",   lambda p: p.is_plain and not p.summed, _multiply),
    Kernel("dot",               "ij,jk->ik",    lambda p: p.is_dot, _dot),
    Kernel("turned dot",        "ij,jk->ik",    lambda p: p.is_dot and p.has_rows_and_columns,
           lambda p: (_dot(p.exchange()) + 3 * _VIEW) * _TURNED),
    Kernel("blocks of rows",    "ij,jk->ik",    _has_few_columns, _blocks_of_rows),
    Kernel("blocks of columns", "ij,kj->ik",    lambda p: _has_few_columns(p.exchange()),
           _blocks_of_rows),
    Kernel("blocks of the sum", "ji,jk->ik",    _has_long_sum, _blocks_of_sum),
    Kernel("half",              "ki,kj->ij",    _is_symmetric, _half),
    Kernel("vecdot",            "bi,bi->b",     _is_vecdot, _vecdot),
    Kernel("matmul",            "bij,bjk->bik", _is_of_matrices, _matmul),
    Kernel("blocks",            "ijk,jl->ilk",  lambda p: _matrix_and_stack(p) is not None, _blocks),
    Kernel("inner",             "ij,ij->",      _is_inner, _inner),
    Kernel("joined",            "ijk,jkl->il",  _is_joined, _joined_product),
    Kernel("turned joined",     "ijk,il->jkl",  lambda p: _is_joined(p) and p.has_rows_and_columns,
           lambda p: (_joined_product(p.exchange()) + _VIEW) * _TURNED),
    Kernel("loop",              "ij,ij->j",     lambda p: True, loop),
)  # fmt: skip

SINGLE_KERNELS: tuple[Kernel[Single], ...] = (
    Kernel("view",              "ij->ji",       lambda p: p.is_distinct and not p.summed_axes, lambda p: 0.0),
    Kernel("diagonal",          "bii->bi",      _is_diagonal, lambda p: CALL),
    Kernel("sum",               "ij->j",        lambda p: p.is_distinct and bool(p.summed_axes), _sums),
    Kernel("ones",              "ij->j",        _is_product_with_ones, _ones),
    Kernel("loop",              "ii->",         lambda p: not p.is_distinct, single_loop),
)  # fmt: skip


def cheapest(pair: Pair) -> tuple[Kernel[Pair], float]:
    """The kernel of least cost, and its seconds without the memory traffic that all have in common.

    >>> cheapest(oriented_pair((0, 1), (1, 2), (0, 2), {0: 30, 1: 30, 2: 30}))[0].name
    'dot'
    >>> cheapest(oriented_pair((0, 1), (0, 1), (1,), {0: 500, 1: 500}))[0].name
    'loop'
    """
    return _prices(KERNELS, pair)[0]


def cheapest_single(
    labels: Subscript, output: Subscript, extents: Mapping[Label, int]
) -> tuple[Kernel[Single], float]:
    """The same for a contraction of one array.

    >>> cheapest_single((0, 1), (1,), {0: 500, 1: 500})[0].name
    'ones'
    """
    return _prices(SINGLE_KERNELS, Single(labels, output, extents))[0]


def _prices(
    kernels: Sequence[Kernel[Product]], product: Product
) -> list[tuple[Kernel[Product], float]]:
    """The kernels that serve, with their seconds, the cheapest first; the loop serves everything."""
    found = [(kernel, kernel.seconds(product)) for kernel in kernels if kernel.serves(product)]
    return sorted(found, key=lambda entry: entry[1])


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
    return _pair_price(
        tuple([numbers[x] for x in first]),
        tuple([numbers[x] for x in second]),
        tuple([numbers[x] for x in output if x in numbers]),
        tuple(labels.values()),
    )


@lru_cache(maxsize=8192)
def _pair_price(
    first: Subscript, second: Subscript, output: Subscript, extents: tuple[int, ...]
) -> float:
    pair = oriented_pair(first, second, output, dict(enumerate(extents)))
    return cheapest(pair)[1] + _operand_traffic(pair)


# ---------------------------------------------------------------- programs


def with_kernels(program: Program, sizes: Mapping[str, int]) -> Program:
    """The program with a kernel for each contraction, chosen for these extents, in loops for a block."""
    blocks = {k: loop for loop in program.loops for k in range(loop.start, loop.stop)}
    steps: list[Instruction] = []
    for position, step in enumerate(program.instructions):
        if isinstance(step, Contract) and len(step.operands) < 3:
            is_symmetric = step.target in program.symmetric
            is_one = len(set(step.operands)) < len(step.operands)
            extents = {
                label: dim if isinstance(dim, int) else sizes.get(dim, ASSUMED_EXTENT)
                for label, dim in step.extents
            }
            if loop := blocks.get(position):
                for register, own in zip(step.operands, step.inputs, strict=True):
                    if register in loop.axes:
                        extents[own[loop.axes[register]]] = loop.rows
            kernel = best_kernel(step.inputs, step.output, extents, is_symmetric, is_one)
            step = replace(step, kernel=kernel)
        steps.append(step)
    return replace(program, instructions=tuple(steps))


def serving(
    inputs: Sequence[Subscript],
    output: Subscript,
    extents: Mapping[Label, int],
    is_symmetric: bool = False,
    is_one: bool = False,
) -> list[str]:
    """The names of all kernels that serve a contraction, the cheapest first.

    `is_symmetric`: is the result known to be; `is_one`: is it a product of an array with itself?

    >>> serving([(0, 1), (1,)], (0,), {0: 9, 1: 9})
    ['dot', 'loop', 'joined']
    """
    if len(inputs) == 1:
        one = Single(inputs[0], output, extents)
        return [kernel.name for kernel, _ in _prices(SINGLE_KERNELS, one)]
    pair = oriented_pair(inputs[0], inputs[1], output, extents)
    pair = replace(pair, is_symmetric=is_symmetric, is_one=is_one)
    return [kernel.name for kernel, _ in _prices(KERNELS, pair)]


def best_kernel(
    inputs: Sequence[Subscript],
    output: Subscript,
    extents: Mapping[Label, int],
    is_symmetric: bool = False,
    is_one: bool = False,
) -> str:
    """The name of the cheapest of them.

    >>> best_kernel([(0, 1)], (1,), {0: 500, 1: 500}), best_kernel([(0, 1)], (1,), {0: 5, 1: 5})
    ('ones', 'sum')
    """
    return serving(inputs, output, extents, is_symmetric, is_one)[0]
