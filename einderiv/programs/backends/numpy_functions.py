"""Functions that NumPy has not, or not in a form that stays accurate; each works alone.

In: arrays of floating or complex dtype. Out: arrays of the same dtype.
Invariant: every function needs nothing but `np` (and `scipy.special` if it says so), so that a standalone
source can carry its text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...terms import IMPLEMENTATIONS

Array = Any


def working_dtype(*arrays: Array) -> Array:
    """The dtype to compute in: that of the arrays together; whole numbers count as float64."""
    dtypes = [np.asarray(x).dtype for x in arrays]
    return np.result_type(np.float32, *(d if d.kind in "fc" else np.float64 for d in dtypes))


def empty_in(buffer: Array | None, shape: tuple[int, ...], dtype: Array) -> Array:
    """The buffer, or fresh memory where there is none."""
    return np.empty(shape, dtype) if buffer is None else buffer


def zeros_in(buffer: Array | None, shape: tuple[int, ...], dtype: Array) -> Array:
    """Zeros in the buffer, or in fresh memory where there is none."""
    if buffer is None:
        return np.zeros(shape, dtype)
    buffer.fill(0)
    return buffer


def whole_power(x: Array, n: int) -> Array:
    """x multiplied by itself, n >= 1 times: np.power takes up to 100 times as long."""
    power = None
    while n > 1:
        if n % 2:
            power = x if power is None else power * x
        x = np.square(x)
        n //= 2
    return x if power is None else power * x


def levi_civita(rank: int) -> Array:
    """The Levi-Civita symbol: the sign of the permutation of its indices, 0 where two agree."""
    index = np.indices((rank,) * rank)
    sign = np.ones((rank,) * rank)
    for i in range(rank):
        for j in range(i + 1, rank):
            sign *= np.sign(index[j] - index[i])
    return sign


def solve(a: Array, b: Array, axis: int, transposed: bool) -> Array:
    """The x with a x = b (or a' x = b) along one axis of b, a vector or a matrix."""
    matrix = a.T if transposed else a
    if axis == 0:
        return np.linalg.solve(matrix, b)
    return np.linalg.solve(matrix, b.T).T


def blocks_win() -> Any:
    """Are small blocks faster here than one product? Measured once, in a few milliseconds."""
    known = blocks_win.__dict__
    if "answer" not in known:
        from time import perf_counter

        a, b = np.ones((1000, 400)), np.ones((400, 5))
        times = []
        for _ in range(7):
            start = perf_counter()
            a.dot(b)
            middle = perf_counter()
            np.matmul(a.reshape(20, 50, 400), b)
            times.append((middle - start, perf_counter() - middle))
        plain, blocks = np.min(times, axis=0)
        known["answer"] = plain > 1.4 * blocks
    return known["answer"]


def sums(x: Array, axes: tuple[int, ...]) -> Array:
    """Sums over axes, as products with ones where memory allows; of all entries by rows, then of the rows."""
    rank = x.ndim
    kept = [axis for axis in range(rank) if axis not in axes]
    if not x.flags.c_contiguous and x.size:
        order = sorted(range(rank), key=lambda axis: -x.strides[axis])
        turned = x.transpose(order)
        if not turned.flags.c_contiguous:
            return np.add.reduce(x, axis=axes)
        rest = [axis for axis in order if axis in kept]
        total = sums(turned, tuple(k for k, axis in enumerate(order) if axis in axes))
        return total.transpose([rest.index(axis) for axis in kept]) if kept else total
    if not x.size or axes not in (tuple(range(len(axes))), tuple(range(len(kept), rank))):
        if axes == (rank - 2,) and x.size:
            return np.ones(x.shape[-2], x.dtype) @ x
        return np.add.reduce(x, axis=axes)
    shape = tuple(x.shape[axis] for axis in kept)
    if not kept:
        return np.add.reduce(x.reshape((-1, x.shape[-1])).dot(np.ones(x.shape[-1], x.dtype)))
    if kept[0] == 0:
        rows = x.reshape((-1, x.size // int(np.prod(shape))))
        return rows.dot(np.ones(rows.shape[1], x.dtype)).reshape(shape)
    columns = x.reshape((-1, int(np.prod(shape))))
    return np.ones(len(columns), x.dtype).dot(columns).reshape(shape)


def inner(a: Array, b: Array) -> Array:
    """The sum of all products of entries of two arrays, in the order in which the first lies in memory."""
    if not a.flags.c_contiguous:
        order = sorted(range(a.ndim), key=lambda axis: -a.strides[axis])
        a, b = a.transpose(order), b.transpose(order)
    if a.flags.c_contiguous and b.flags.c_contiguous:
        return a.reshape(-1).dot(b.reshape(-1))
    axes = list(range(a.ndim))
    return np.einsum(a, axes, b, axes, [])


def thin_product(a: Array, b: Array) -> Array:
    """a @ b for b with few columns, by blocks of rows where that is faster."""
    n, m = a.shape
    rows = 900_000 // (m * b.shape[1] + 1)
    rows = rows if rows < 50 else 50
    if rows < 8 or n < 4 * rows or a.strides[1] != a.itemsize or not blocks_win():
        return a.dot(b)
    whole = n - n % rows
    c = np.empty((n, b.shape[1]), np.result_type(a, b))
    np.matmul(a[:whole].reshape(-1, rows, m), b, out=c[:whole].reshape(-1, rows, b.shape[1]))
    if whole < n:
        np.matmul(a[whole:], b, out=c[whole:])
    return c


def long_product(a: Array, b: Array) -> Array:
    """a @ b for few rows and columns and a long sum, by blocks of the sum where that is faster."""
    rows, columns, n = a.shape[0], b.shape[1], b.shape[0]
    length = 900_000 // (rows * columns + 1)
    plain = a.strides[0] != a.itemsize or b.strides[1] != b.itemsize
    if plain or n < 4 * length or length < 8 or not blocks_win():
        return a.dot(b)
    whole = n - n % length
    parts = np.matmul(
        a[:, :whole].T.reshape(-1, length, rows).transpose(0, 2, 1),
        b[:whole].reshape(-1, length, columns),
    )
    c = np.add.reduce(parts, axis=0)
    if whole < n:
        c += a[:, whole:].dot(b[whole:])
    return c


def symmetric_product(a: Array, b: Array, out: Array | None = None) -> Array:
    """a @ b where that is symmetric: by strips of rows, each from its diagonal on, and mirrored."""
    n = len(a)
    if n < 384:
        return np.matmul(a, b, out)
    c = np.empty((n, n), np.result_type(a, b)) if out is None else out
    strips = 4 if n < 1024 else 8
    for k in range(strips):
        start, stop = n * k // strips, n * (k + 1) // strips
        np.matmul(a[start:stop], b[:, start:], out=c[start:stop, start:])
        c[stop:, start:stop] = c[start:stop, stop:].T
    return c


class Factored:
    """A matrix with one factorization for all that is asked of it: solutions, inverse, determinant.

    By LAPACK through SciPy where BLAS runs on one thread: SciPy brings a BLAS of its own, whose threads and
    NumPy's get into each other's way. Elsewhere each question is NumPy's to answer.
    """

    def __init__(self, a: Array, positive: bool = False) -> None:
        self.a = a
        self.factor = None
        import os

        counts = [os.environ.get(f"{name}_NUM_THREADS") for name in ("OPENBLAS", "OMP", "MKL")]
        alone = getattr(os, "sched_getaffinity", None) and len(os.sched_getaffinity(0)) == 1
        if not a.size or not ("1" in counts or alone):
            return
        try:
            from scipy.linalg import get_lapack_funcs
        except ImportError:
            return
        self.flipped = a.flags.c_contiguous  # LAPACK's order is the other: it gets the transpose
        given = a.T if self.flipped else a
        self.positive = False
        if positive:
            potrf, self.potrs, self.potri = get_lapack_funcs(("potrf", "potrs", "potri"), (a,))
            factor, info = potrf(given, lower=True, clean=False)
            if info == 0:
                self.factor, self.positive = factor, True
                return
        getrf, self.getrs = get_lapack_funcs(("getrf", "getrs"), (a,))
        self.factor, self.pivots, info = getrf(given)
        if info > 0:
            raise np.linalg.LinAlgError("Singular matrix")

    def solve(self, b: Array, axis: int, transposed: bool) -> Array:
        """The x with a x = b (or a' x = b) along one axis of b."""
        columns = b if axis == 0 else b.T
        if self.factor is None:
            x = np.linalg.solve(self.a.T if transposed else self.a, columns)
        elif self.positive:
            x, _ = self.potrs(self.factor, columns, lower=True)
        else:
            x, _ = self.getrs(
                self.factor, self.pivots, columns, trans=int(transposed != self.flipped)
            )
        return x if axis == 0 else x.T

    def inv(self) -> Array:
        """The inverse."""
        if self.factor is None:
            return np.linalg.inv(self.a)
        if self.positive:
            lower, _ = self.potri(self.factor, lower=True)
            lower = np.tril(lower)
            return lower + np.tril(lower, -1).T
        identity = np.eye(len(self.a), dtype=self.factor.dtype, order="F")
        inverse, _ = self.getrs(self.factor, self.pivots, identity, overwrite_b=True)
        return inverse.T if self.flipped else inverse

    def _sign(self) -> float:
        moved = np.count_nonzero(self.pivots != np.arange(len(self.pivots)))
        return -1.0 if moved % 2 else 1.0

    def det(self) -> Array:
        """The determinant."""
        if self.factor is None:
            return np.linalg.det(self.a)
        diagonal = np.diagonal(self.factor)
        if self.positive:
            return np.prod(np.square(diagonal))
        return np.prod(diagonal) * diagonal.dtype.type(self._sign())

    def logdet(self) -> Array:
        """log|det|; for complex matrices the logarithm of det itself."""
        if self.factor is None or np.iscomplexobj(self.a):
            sign, logarithm = np.linalg.slogdet(self.a)
            return logarithm + np.log(sign) if np.iscomplexobj(self.a) else logarithm
        total = np.sum(np.log(np.abs(np.diagonal(self.factor))))
        return 2 * total if self.positive else total


# Every function that a program may call by its bare name.
FUNCTIONS = IMPLEMENTATIONS | {
    name: value
    for name, value in list(globals().items())
    if getattr(value, "__module__", "") == __name__
}
