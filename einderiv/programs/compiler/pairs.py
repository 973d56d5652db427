"""What each kernel costs, in seconds.

In: a contraction, its labels by what they do. Out: estimates for one core, float64, arrays in C's order.

The numbers were fitted to medians of each kernel from 2x2 to 2000x2000 (NumPy 2.4 with OpenBLAS 0.3.31,
AVX-512); `benchmarks/kernels.py` times all kernels again and tells where another than the chosen one is
faster. Ratios matter, absolute numbers hardly: a machine twice as fast chooses the same kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from ...terms import Label, Subscript
from ..program import is_turned

# Contractions of one or two arrays, their labels by what they do.
#
# In: labels of the operands and of the result, extents. Out: `Single` and `Pair`, what `kernels.py` looks at.


@dataclass(frozen=True, slots=True)
class Pair:
    """A contraction of two arrays, its labels by what they do.

    `batch`: in both and the result; `rows`: in the first and the result; `columns`: in the second and the
    result; `summed`: in both; `alone`: in one only, not in the result. The operands stand such that the rows
    come first in the result, where they can.
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


def pair_of(
    first: Subscript,
    second: Subscript,
    output: Subscript,
    extents: Mapping[Label, int],
) -> Pair:
    """The labels of a contraction of two arrays by what they do.

    >>> pair = pair_of((0, 1), (1, 2), (0, 2), {0: 5, 1: 6, 2: 7})
    >>> pair.rows, pair.summed, pair.columns
    ((0,), (1,), (2,))
    """
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


def oriented(
    first: Subscript, second: Subscript, output: Subscript, extents: Mapping[Label, int]
) -> Pair:
    """The same, the operands exchanged where the columns would stand before the rows.

    >>> oriented((0, 1), (1, 2), (2, 0), {0: 5, 1: 6, 2: 7}).rows
    (2,)
    """
    if is_turned(first, second, output):
        first, second = second, first
    return pair_of(first, second, output, extents)


def exchanged(pair: Pair) -> Pair:
    """The second operand times the first."""
    return replace(
        pair,
        first=pair.second,
        second=pair.first,
        rows=pair.columns,
        columns=pair.rows,
        summed=tuple([x for x in pair.second if x in pair.summed]),
    )


@dataclass(frozen=True, slots=True)
class Single:
    """A contraction of one array: a view, a diagonal, sums."""

    labels: Subscript
    output: Subscript
    extents: Mapping[Label, int]

    @property
    def is_distinct(self) -> bool:
        """Is no label repeated?"""
        return len(set(self.labels)) == len(self.labels)

    @property
    def summed(self) -> tuple[int, ...]:
        """The axes that are summed over."""
        return tuple(k for k, label in enumerate(self.labels) if label not in self.output)

    @property
    def entries(self) -> int:
        """The number of entries of the array."""
        return prod([self.extents[label] for label in self.labels])


def ends(axes: Sequence[int], rank: int) -> str | None:
    """Are these axes the first of so many, or the last?

    >>> ends((0, 1), 3), ends((2,), 3), ends((1,), 3)
    ('first', 'last', None)
    """
    if list(axes) == list(range(len(axes))):
        return "first"
    return "last" if list(axes) == list(range(rank - len(axes), rank)) else None


# ----------------------------------------------------------------------

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
_STRIDE = 0.23e-9  # more of it where an operand does not lie along the sum
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

    `is_turned`: is the first operand stored as its transpose? BLAS minds where it does not pack.
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
    m, n, k = (pair.entries(x) for x in (pair.rows, pair.columns, pair.summed))
    return _gemm(m, n, k, bool(pair.rows) and pair.first[-1] in pair.rows)


def _traffic(entries: int, seconds: float) -> float:
    """Entries that are moved at so many seconds each, less where the cache holds them."""
    return entries * seconds * (1.0 if entries > _CACHE else _CACHED)


def moved(pair: Pair) -> float:
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


def multiply(pair: Pair) -> float:
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


def dot(pair: Pair) -> float:
    """a.dot(b): an inner product, a matrix times a vector or a matrix."""
    if not pair.rows and not pair.columns:
        return CALL + pair.entries(pair.summed) * _DOT_POINT
    m, n, k = (pair.entries(x) for x in (pair.rows, pair.columns, pair.summed))
    if m == 1 or n == 1:
        return CALL + max(m, n) * k * 0.08e-9
    return CALL + _product(pair) + m * n * _ZERO


def turned_dot(pair: Pair) -> float:
    """b.T.dot(a.T).T: faster where b has few columns."""
    return (dot(exchanged(pair)) + 3 * _VIEW) * _TURNED


def vecdot(pair: Pair) -> float:
    """An inner product for each row."""
    strided = sum(own[-1] not in pair.summed for own in (pair.first, pair.second))
    point = _DOT_POINT + strided * _STRIDE
    return _MATMUL + pair.entries(pair.batch) * (_ROW + pair.entries(pair.summed) * point)


def matmul(pair: Pair) -> float:
    """A batch of products of matrices, or of matrices and vectors; or one product."""
    m, n, k = (pair.entries(x) for x in (pair.rows, pair.columns, pair.summed))
    blocks = pair.entries(pair.batch)
    if not pair.rows or not pair.columns:
        return _MATMUL + _VIEW + blocks * (_BLOCK + max(m, n) * k * 0.1e-9)
    views = int(pair.first != (*pair.batch, *pair.rows, *pair.summed))
    views += pair.second != (*pair.batch, *pair.summed, *pair.columns)
    return _MATMUL + _VIEW * views + blocks * (_BLOCK + _product(pair))


def _joins(own: Subscript, *groups: Sequence[Label]) -> bool:
    """Does each group stand together in an operand, in its order, so that a view joins its axes?"""
    for group in groups:
        if len(group) > 1:
            start = own.index(group[0])
            if own[start : start + len(group)] != tuple(group):
                return False
    return True


def _exchanged_axes(pair: Pair, made: Subscript) -> float:
    """What a result of three axes and more costs those who read it, if its axes come out in another order."""
    return 0.0 if made == pair.output or len(made) < 3 else pair.entries(made) * _EXCHANGED


def _joined(pair: Pair) -> float:
    """The copies and views before and after a matrix product of joined axes."""
    total = 2 * _VIEW
    if not _joins(pair.first, pair.rows, pair.summed):
        total += pair.entries(pair.first) * _COPY
    if not _joins(pair.second, pair.summed, pair.columns):
        total += pair.entries(pair.second) * _COPY
    return total


def joined(pair: Pair) -> float:
    """Axes joined to those of matrices, multiplied, split again."""
    made = (*pair.batch, *pair.rows, *pair.columns)
    work = pair.entries(pair.batch) * (_BLOCK + _product(pair))
    return _MATMUL + _joined(pair) + work + _exchanged_axes(pair, made)


def turned_joined(pair: Pair) -> float:
    """The same with the operands exchanged: faster where the second has few columns."""
    return (joined(exchanged(pair)) + _VIEW) * _TURNED


def inner(pair: Pair) -> float:
    """An inner product of two arrays; entry by entry where they lie in memory in different orders."""
    strided = pair.first != pair.second
    return 3 * CALL + pair.entries(pair.summed) * (_DOT_POINT + 2 * strided * _STRIDE)


def stacked(pair: Pair) -> tuple[Subscript, Subscript] | None:
    """The matrix and the larger array, where one of the last two axes of the array is summed."""
    if pair.batch or len(pair.summed) != 1 or not pair.is_plain:
        return None
    for own, labels in ((pair.first, pair.second), (pair.second, pair.first)):
        if len(own) == 2 and len(labels) > 2 and pair.summed[0] in labels[-2:]:
            return own, labels
    return None


def blocks(pair: Pair) -> float:
    """A matrix times each matrix of a larger array, no axes joined and nothing copied."""
    found = stacked(pair)
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


def blocks_of_rows(pair: Pair) -> float:
    """A product with a thin operand, cut into blocks that BLAS does not pack."""
    m, n, k = (pair.entries(x) for x in (pair.rows, pair.columns, pair.summed))
    n, m = sorted((m, n))
    return 8 * CALL + m * k * n * 2 * _FLOP * (1 + 6 / n) * 1.1 + m / 50 * _BLOCK


def blocks_of_sum(pair: Pair) -> float:
    """The same along a long sum; the parts are added up."""
    m, n, k = (pair.entries(x) for x in (pair.rows, pair.columns, pair.summed))
    return 12 * CALL + 2 * m * n * k * _FLOP * (1 + 6 / n) * (1 + 2 / m) * 1.1


def half(pair: Pair) -> float:
    """A symmetric product by strips, each from its diagonal on, and mirrored."""
    n, k = pair.entries(pair.rows), pair.entries(pair.summed)
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


def sums(one: Single) -> float:
    """np.add.reduce."""
    rows = one.entries / max(one.extents[one.labels[-1]], 1) if one.output else 1
    inner = len(one.labels) - 1 in one.summed
    return CALL + rows * 10e-9 + one.entries * (0.14e-9 if inner else 0.1e-9)


def ones(one: Single) -> float:
    """Sums as a product with a vector of ones; all entries by rows, then the rows."""
    rows = one.entries / max(one.extents[one.labels[-1]], 1)
    along = len(one.labels) - 1 in one.summed
    total = 2.5 * CALL + one.entries * 0.085e-9 + along * rows * 0.8e-9
    return total if one.output else total + CALL + rows * 0.15e-9


def view(one: Single) -> float:
    """No entry is touched."""
    return 0.0


def diagonal(one: Single) -> float:
    """A view as well, but by a call."""
    return CALL


def single_loop(one: Single) -> float:
    """C einsum of one array: fastest along a last axis that is summed over."""
    if not one.labels:
        return _LOOP
    along = len(one.labels) - 1 in one.summed
    rows = one.entries / max(one.extents[one.labels[-1]], 1)
    return _LOOP + rows * _ROUND + one.entries * (0.07e-9 if along else 0.15e-9)
