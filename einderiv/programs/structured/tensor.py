"""`StructuredTensor`: a tensor as factors and Kronecker deltas, dense only on request.

In: a shape, terms (`Term`), a dtype. Out: an operator: `@`, `.solve`, `.diagonal()`, `.to_scipy()`.
Invariant: nothing is computed at construction, and arrays are neither copied nor written to. A sparse array
for SciPy holds an entry for every one that the deltas allow, and no other.
Read on in `terms.py` (products), `solve.py` (linear systems).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from numbers import Number
from typing import Any

import numpy as np

from ...errors import DataError, DimensionError, axes_in_words
from ...terms import Label, Subscript
from ..arrays import Array, converted
from .solve import solution
from .terms import (
    Extents,
    Matrix,
    Term,
    common_pairs,
    distinct,
    extents_of,
    has_delta,
    labels_of,
)

__all__ = ["StructuredTensor", "Term"]

_SHOWN = 4  # terms in a pattern; of a longer sum, the number of the rest
_AXES = "ijklmnopqrstuvwxyz"
_SUMMED = "abcdefgh"
_ARRAYS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


# ---------------------------------------------------------------- SciPy's forms


def scipy_form(matrix: Matrix) -> Any:
    """Sparse if every term has a delta, by its shape: a diagonal, blocks, or entries. Else an operator."""
    shape, rows = matrix.shape, matrix.rows
    if not all(map(has_delta, matrix.terms)):
        return _operator(matrix)
    from scipy.sparse import bsr_array, coo_array, dia_array

    pairs = common_pairs(matrix.terms, rows)
    ahead = 0
    while (ahead, ahead + rows) in pairs:
        ahead += 1
    whole = prod(shape[:rows]), prod(shape[rows:])
    if ahead and 2 * ahead == len(shape) and ahead == rows:
        return dia_array((matrix.diagonal().reshape(1, -1), [0]), shape=whole)
    if ahead and prod(shape):  # the first row axes are the first column axes: blocks in order
        count, height, width = map(prod, (shape[:ahead], shape[ahead:rows], shape[rows + ahead :]))
        blocks = matrix.at((*range(rows), *range(rows + ahead, len(shape)))).dense()
        places = np.arange(count), np.arange(count + 1)
        return bsr_array((blocks.reshape(count, height, width), *places), shape=whole)
    values, at_rows, at_columns = (
        [np.zeros(0, matrix.dtype)],
        [np.zeros(0, int)],
        [np.zeros(0, int)],
    )
    for term in matrix.terms:
        once = distinct(term.places)
        sizes = extents_of(term, shape)
        inner = tuple(sizes[label] for label in once)
        entries = Matrix(inner, 0, [term._replace(places=once)], matrix.dtype).dense()
        values.append(entries.reshape(-1))
        at_rows.append(_numbers(term.places[:rows], once, inner))
        at_columns.append(_numbers(term.places[rows:], once, inner))
    found = np.concatenate(at_rows), np.concatenate(at_columns)
    return coo_array((np.concatenate(values), found), shape=whole).tocsr()


def _numbers(places: Subscript, once: Subscript, inner: Extents) -> Array:
    """The row (or column) number of every entry: sum of index times stride."""
    indices = dict(zip(once, np.indices(inner, sparse=True), strict=True))
    total, stride = np.zeros((1,) * len(once), int), 1
    for label in reversed(places):
        total = total + indices[label] * stride
        stride *= inner[once.index(label)]
    return np.broadcast_to(total, inner).reshape(-1)


def _operator(matrix: Matrix) -> Any:
    from scipy.sparse.linalg import LinearOperator

    def product(matrix: Matrix, v: Array) -> Array:
        rows, columns = matrix.halves
        made = matrix.times(v.reshape(columns + v.shape[1:]))
        return made.reshape(prod(rows), *v.shape[1:])

    turned = matrix.transpose()

    def forward(v: Array) -> Array:
        return product(matrix, np.asarray(v))

    def adjoint(v: Array) -> Array:
        return np.conj(product(turned, np.conj(v)))

    shape = prod(matrix.halves[0]), prod(matrix.halves[1])
    back = {"rmatvec": adjoint, "rmatmat": adjoint}
    return LinearOperator(shape, matvec=forward, matmat=forward, dtype=matrix.dtype, **back)


# ---------------------------------------------------------------- words


def pattern(terms: Sequence[Term]) -> str:
    """The terms as a formula: axes i, j, k, ..., summed indices a, b, ..., one array one name.

    >>> x = np.ones(3)
    >>> pattern([Term(2.0, ((x, (0,)),), (0, 0)), Term(-1.0, ((x, (0,)), (x, (1,))), (0, 1))])
    '2*delta[i,j]*core[i] - core[i]*core[j]'
    """
    arrays = list({id(array): array for term in terms for array, _ in term.factors})
    names = {key: _letter(_ARRAYS, k) for k, key in enumerate(arrays)}
    if len(names) == 1:
        names = dict.fromkeys(names, "core")
    words = [_word(term, names) for term in terms[:_SHOWN]]
    if len(terms) > _SHOWN:
        words.append(f"{len(terms) - _SHOWN} more")
    return " + ".join(words).replace(" + -", " - ") or "0"


def _word(term: Term, names: dict[int, str]) -> str:
    letters: dict[Label, str] = {}
    words = []
    known = labels_of(term.factors)
    for axis, label in enumerate(term.places):
        if label in letters:
            words.append(f"delta[{letters[label]},{_letter(_AXES, axis)}]")
        else:
            letters[label] = _letter(_AXES, axis)
    for label in distinct(term.places):
        if label not in known and term.places.count(label) == 1:
            words.append(f"ones[{letters[label]}]")
    for label in sorted(known.difference(term.places)):
        letters[label] = _letter(_SUMMED, len(letters) - len(set(term.places)))
    for array, labels in term.factors:
        index = ",".join(letters[label] for label in labels)
        words.append(f"{names[id(array)]}[{index}]" if index else names[id(array)])
    number, word = term.coefficient, "*".join(words)
    if word and number in (1, -1):
        return word if number == 1 else f"-{word}"
    shown = f"{number:g}" if isinstance(number, int | float) else str(number)
    return f"{shown}*{word}" if word else shown


def _letter(alphabet: str, number: int) -> str:
    """The letter of that number, numbered beyond the alphabet."""
    turn, place = divmod(number, len(alphabet))
    return alphabet[place] + (str(turn) if turn else "")


# ---------------------------------------------------------------- the tensor


class StructuredTensor:
    """A tensor as a sum of terms, each a number times factors times Kronecker deltas.

    As a matrix, its first `rows` axes are the rows and the others the columns (half each by default:
    a Hessian; the Jacobian of a vector by a matrix has shape (m, n, k) and splits 1 | 2).

    >>> core = np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> t = StructuredTensor((3, 2, 3, 2), [Term(1.0, ((core, (1, 2)),), (0, 1, 0, 2))], np.float64)
    >>> t
    <StructuredTensor (3, 2, 3, 2) float64: delta[i,k]*core[j,l], 32 bytes, dense 288>
    >>> (t @ np.ones((3, 2)))[0], t.solve(np.ones((3, 2)))[0]
    (array([3., 4.]), array([0.4, 0.2]))
    """

    __slots__ = ("_dtype", "_rows", "shape", "terms")
    __array_priority__ = 1000.0  # array @ tensor comes here

    def __init__(
        self, shape: Extents, terms: Sequence[Term], dtype: Any, rows: int | None = None
    ) -> None:
        self.shape = shape
        self.terms = terms
        self._dtype = dtype
        self._rows = rows

    # ------------------------------------------------------------ facts

    @classmethod
    def checked(
        cls, shape: Extents, terms: Sequence[Term], dtype: Any = None, rows: int | None = None
    ) -> StructuredTensor:
        """The same from parts of unknown origin: converted, with every extent compared.

        Raises DimensionError (a label with two extents, a number of labels), DataError (dtypes).
        """
        shape = tuple(map(int, shape))
        made = [_checked_term(shape, number, term) for number, term in enumerate(terms)]
        if rows is not None and not 0 <= rows <= len(shape):
            raise DimensionError(
                f"rows={rows}, the tensor has {axes_in_words(len(shape))}",
                hint=f"pass a number between 0 and {len(shape)}",
            )
        if dtype is None:
            parts = [array for term in made for array, _ in term.factors]
            parts += [np.asarray(term.coefficient) for term in made]
            dtype = np.result_type(np.float64, *parts) if not parts else np.result_type(*parts)
        return cls(shape, made, dtype, rows)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype of the dense array."""
        found: np.dtype[np.generic] = np.dtype(self._dtype)
        return found

    @property
    def matrix_split(self) -> int:
        """The number of axes that are rows."""
        return len(self.shape) // 2 if self._rows is None else self._rows

    @property
    def nbytes(self) -> int:
        """Bytes of the factors, each array counted once."""
        found = {
            (array.__array_interface__["data"][0], array.nbytes)
            for term in self.terms
            for array, _ in term.factors
        }
        return sum(size for _, size in found)

    @property
    def _matrix(self) -> Matrix:
        return Matrix(self.shape, self.matrix_split, self.terms, self.dtype)

    def _like(self, matrix: Matrix) -> StructuredTensor:
        return StructuredTensor(matrix.shape, matrix.terms, matrix.dtype, matrix.rows)

    def __repr__(self) -> str:
        size = prod(self.shape) * self.dtype.itemsize
        return (
            f"<StructuredTensor {self.shape} {self.dtype}: {pattern(self.terms)}, "
            f"{self.nbytes:,} bytes, dense {size:,}>"
        )

    def __getitem__(self, key: Any) -> Any:
        raise DataError("a StructuredTensor has no items", hint="index the dense array: .dense()")

    def __iter__(self) -> Iterator[Any]:
        raise DataError("a StructuredTensor has no items", hint="iterate over .dense()")

    # ------------------------------------------------------------ arrays

    def dense(self) -> Array:
        """The array of all entries: zeros once, then each term on its diagonals."""
        return self._matrix.dense()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("a StructuredTensor becomes an array only by writing it out: a copy")
        return self.dense() if dtype is None else self.dense().astype(dtype, copy=False)

    def diagonal(self) -> Array:
        """The entries whose row is their column: shape h for a tensor of shape (*h, *h)."""
        rows, columns = self._matrix.halves
        if rows != columns:
            raise DimensionError(
                f"a tensor of shape {self.shape} has no diagonal",
                facts=[f"its rows have shape {rows}, its columns {columns}"],
                hint="a diagonal needs equal shapes; rows= of the constructor says where they split",
            )
        return self._matrix.diagonal()

    def to_scipy(self) -> Any:
        """The matrix of shape (rows, columns) for SciPy: sparse where deltas make it so, else an operator.

        Every term with a delta: `dia_array` (a diagonal), `bsr_array` (blocks on the diagonal) or
        `csr_array`. Else a `scipy.sparse.linalg.LinearOperator`, which multiplies by `@`.
        """
        return scipy_form(self._matrix)

    # ------------------------------------------------------------ products

    def __matmul__(self, other: Any) -> Any:
        """The tensor as a matrix times `other`, summed over the column axes.

        `other` has the column axes first and any axes after them; the result has the row axes and
        then those. Where that does not fit, it may be flat: (columns,) or (columns, k). Another
        StructuredTensor gives a StructuredTensor.
        """
        rows, columns = self._matrix.halves
        if isinstance(other, StructuredTensor):
            inner = other._matrix.halves[0]
            if columns != inner:
                raise _mismatch("@", inner, "the rows of the right one", columns, "columns")
            return self._like(self._matrix.compose(other._matrix))
        v, flat = _match(converted("the right operand of @", other), columns, "columns", "@")
        result = self._matrix.times(v)
        return result.reshape(prod(rows), *v.shape[len(columns) :]) if flat else _plain(result)

    def __rmatmul__(self, other: Any) -> Any:
        """`other` times the tensor, summed over the row axes, which are the last ones of `other`."""
        rows, columns = self._matrix.halves
        v = converted("the left operand of @", other)
        v, flat = _match(v, rows, "rows", "@", last=True)
        more = v.ndim - len(rows)
        moved = v.transpose(*range(more, v.ndim), *range(more))
        result = self._matrix.transpose().times(moved)
        result = result.transpose(*range(len(columns), result.ndim), *range(len(columns)))
        return result.reshape(*v.shape[:more], prod(columns)) if flat else _plain(result)

    @property
    def T(self) -> StructuredTensor:
        """The transposed matrix: the column axes first."""
        return self._like(self._matrix.transpose())

    def solve(self, b: Any) -> Array:
        """x with self @ x = b, for a `b` like the results of `@`: row axes and any more, or flat.

        Blocks on a diagonal are solved one by one, a diagonal (or blocks) plus terms of low rank by
        Woodbury's identity and a small matrix; neither is written out. A tensor without such a
        structure is solved as the dense matrix, up to 1 GiB (ResourceLimitError beyond).
        DataError where the matrix is singular.
        """
        rows, columns = self._matrix.halves
        if prod(rows) != prod(columns):
            raise DimensionError(
                f"a {prod(rows)} x {prod(columns)} matrix has no inverse",
                facts=[f"rows of shape {rows}, columns of shape {columns}"],
                hint="least squares: scipy.sparse.linalg.lsqr with .to_scipy()",
            )
        v, flat = _match(converted("the right side", b), rows, "rows", "solve")
        more = v.shape[len(rows) :]
        x = solution(self._matrix, v.reshape(*rows, prod(more)))
        return _plain(
            np.ascontiguousarray(x).reshape((prod(columns), *more) if flat else (*columns, *more))
        )

    # ------------------------------------------------------------ sums and multiples

    def __add__(self, other: Any) -> Any:
        """The sum: structured with a StructuredTensor or a number, dense with an array."""
        if isinstance(other, StructuredTensor):
            if self.shape != other.shape or self.matrix_split != other.matrix_split:
                raise DimensionError(
                    "shapes do not fit in +",
                    facts=[
                        f"rows and columns of the tensor: {self._matrix.halves}, "
                        f"the right one: {other._matrix.halves}"
                    ],
                    hint="add tensors of one shape, split into rows and columns alike "
                    "(rows= of the constructor)",
                )
            return self._with([*self.terms, *other.terms], other.dtype)
        number = _number(other)
        if number is not None:
            more = [Term(number, (), tuple(range(self.ndim)))] if number else []
            return self._with([*self.terms, *more], number)
        array = converted("the other operand of +", other)
        try:
            return np.add(self.dense(), array)
        except ValueError:
            raise DimensionError(
                "shapes do not fit in +",
                facts=[f"shape of the tensor: {self.shape}, the array: {array.shape}"],
                hint=f"pass an array that broadcasts to {self.shape}",
            ) from None

    def _with(self, terms: Sequence[Term], other: Any) -> StructuredTensor:
        """A tensor of this shape, in a dtype that holds `other` too."""
        return StructuredTensor(self.shape, terms, np.result_type(self.dtype, other), self._rows)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, StructuredTensor):
            return self + -other
        number = _number(other)
        return self + (-converted("the other operand of -", other) if number is None else -number)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __neg__(self) -> StructuredTensor:
        return self * -1

    def __mul__(self, other: Any) -> StructuredTensor:
        """The tensor times a number."""
        hint = "use @ for the matrix product, .dense() * x entry by entry"
        return self._rescale(other, lambda c, number: c * number, "multiplied", hint)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> StructuredTensor:
        """The tensor over a number."""
        hint = "use .solve(b) for a linear system, .dense() / x entry by entry"
        return self._rescale(other, lambda c, number: c / np.asarray(number), "divided", hint)

    def _rescale(
        self, other: Any, change: Callable[[Any, Any], Any], what: str, hint: str
    ) -> StructuredTensor:
        number = _number(other)
        if number is None:
            raise DataError(
                f"a StructuredTensor is {what} by numbers, not by {type(other).__name__}", hint=hint
            )
        with np.errstate(all="ignore"):  # by 0 as NumPy does
            terms = [
                t._replace(coefficient=np.asarray(change(t.coefficient, number)).item())
                for t in self.terms
            ]
        return self._with(terms, number)


# ---------------------------------------------------------------- what users hand in


def _plain(array: Array) -> Array:
    """The array, or the number that an array without axes holds."""
    return array if array.ndim else array[()]


def _number(value: Any) -> float | complex | None:
    """A Python number, None for what is no number."""
    if isinstance(value, np.ndarray | np.generic) and not value.ndim:
        value = value.item() if value.dtype.kind in "biufc" else value
    if isinstance(value, complex):
        return value
    try:
        return float(value) if isinstance(value, Number) else None  # type: ignore[arg-type]
    except OverflowError:
        raise DataError(
            f"a number of {value.bit_length()} bits is too large for a float"
            if isinstance(value, int)
            else "a number is too large for a float",
            hint="scale the tensor in steps",
        ) from None


def _match(
    v: Array, wanted: Extents, half: str, where: str, last: bool = False
) -> tuple[Array, bool]:
    """`v` with the axes `wanted` first (or last), and whether it came flat."""
    width = len(wanted)
    if width <= v.ndim and v.shape[v.ndim - width if last else 0 :][:width] == wanted:
        return v, False
    if v.ndim in (1, 2) and v.shape[-1 if last else 0] == prod(wanted):
        shape = (*v.shape[:-1], *wanted) if last else (*wanted, *v.shape[1:])
        return v.reshape(shape), True
    raise _mismatch(where, v.shape, "the array", wanted, half)


def _mismatch(
    where: str, found: tuple[Any, ...], holder: str, wanted: tuple[Any, ...], half: str
) -> DimensionError:
    flat = f", or a flat one of {prod(wanted)} entries" if len(wanted) > 1 else ""
    return DimensionError(
        f"shapes do not fit in {where}",
        facts=[f"{half} of the tensor: {wanted}, {holder}: {found}"],
        hint=f"pass an array with the axes {wanted}{flat}; .T swaps rows and columns",
    )


def _checked_term(shape: Extents, number: int, term: Term) -> Term:
    coefficient = _number(term.coefficient)
    if coefficient is None:
        raise DataError(
            f"the coefficient of term {number} is no number",
            facts=[f"it is of type {type(term.coefficient).__name__}"],
            hint="pass an array as a factor",
        )
    places = _labels(term.places, len(shape), f"places of term {number}", "the tensor")
    factors = []
    for k, (given, labels) in enumerate(term.factors):
        array = converted(f"factor {k} of term {number}", given)
        labels = _labels(labels, array.ndim, f"labels of factor {k} of term {number}", "the array")
        factors.append((array, labels))
    owners = [("the tensor", places, shape)]
    owners += [(f"factor {k}", labels, array.shape) for k, (array, labels) in enumerate(factors)]
    known: dict[int, tuple[int, str]] = {}
    for owner, labels, extents in owners:
        for axis, (label, size) in enumerate(zip(labels, extents, strict=True)):
            name = f"axis {axis} of {owner}"
            first, other = known.setdefault(label, (size, name))
            if first != size:
                raise DimensionError(
                    f"label {label} of term {number} has two extents",
                    facts=[f"{other} is {first}, {name} is {size}"],
                    hint="give the axes different labels, or arrays of one extent",
                )
    return Term(coefficient, tuple(factors), places)


def _labels(given: Any, count: int, what: str, of: str) -> tuple[int, ...]:
    labels = tuple(given)
    if len(labels) != count or not all(isinstance(x, int) and x >= 0 for x in labels):
        raise DimensionError(
            f"{what}: {labels}",
            facts=[f"{of} has {axes_in_words(count)}"],
            hint="give one whole number of 0 or more for each axis",
        )
    return labels
