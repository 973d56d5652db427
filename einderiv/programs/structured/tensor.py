"""`StructuredTensor`: a tensor as factors and Kronecker deltas, dense only on request.

In: a shape, terms (`Term`), a dtype. Out: an operator: `@`, `.solve`, `.diagonal()`, `.to_scipy()`.
Invariant: nothing is computed at construction, and arrays are neither copied nor written to.
Read on in `structured_terms` (products), `structured_solve` (linear systems).
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
    Term,
    applied,
    common_pairs,
    composed,
    dense,
    diagonal,
    distinct,
    extents_of,
    has_delta,
    labels_of,
    turned,
)

# A structured tensor as a SciPy matrix or operator, and its pattern in words.
#
# In: terms, their shape, how many of its axes are rows. Out: sparse arrays, a LinearOperator, a text.
# Invariant: a sparse array holds an entry for every one that the deltas allow, and no other.

_SHOWN = 4  # terms in a pattern; of a longer sum, the number of the rest
_AXES = "ijklmnopqrstuvwxyz"
_SUMMED = "abcdefgh"
_ARRAYS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def scipy_form(
    shape: Extents, rows: int, terms: Sequence[Term], dtype: np.dtype[np.generic]
) -> Any:
    """Sparse where every term has a delta, by its shape: a diagonal, blocks, or entries. Else an operator."""
    if not all(map(has_delta, terms)):
        return _operator(shape, rows, terms, dtype)
    pairs = common_pairs(terms, rows)
    ahead = 0
    while (ahead, ahead + rows) in pairs:
        ahead += 1
    if ahead and 2 * ahead == len(shape) and ahead == rows:
        return _diagonal(shape, rows, terms, dtype)
    if ahead and prod(shape):
        return _blocks(shape, rows, terms, dtype, ahead)
    return _entries(shape, rows, terms, dtype)


def _diagonal(shape: Extents, rows: int, terms: Sequence[Term], dtype: np.dtype[np.generic]) -> Any:
    from scipy.sparse import dia_array

    size = prod(shape[:rows])
    entries = dense(shape[:rows], diagonal(shape, rows, terms), dtype)
    return dia_array((entries.reshape(1, size), [0]), shape=(size, size))


def _blocks(
    shape: Extents, rows: int, terms: Sequence[Term], dtype: np.dtype[np.generic], ahead: int
) -> Any:
    """The first `ahead` row axes are the first column axes: the blocks stand in order."""
    from scipy.sparse import bsr_array

    axes = (*range(rows), *range(rows + ahead, len(shape)))
    inside = [term._replace(places=tuple(term.places[axis] for axis in axes)) for term in terms]
    count = prod(shape[:ahead])
    height, width = prod(shape[ahead:rows]), prod(shape[rows + ahead :])
    blocks = dense(tuple(shape[axis] for axis in axes), inside, dtype)
    places = np.arange(count), np.arange(count + 1)
    whole = count * height, count * width
    return bsr_array((blocks.reshape(count, height, width), *places), shape=whole)


def _entries(shape: Extents, rows: int, terms: Sequence[Term], dtype: np.dtype[np.generic]) -> Any:
    from scipy.sparse import coo_array

    values, at_rows, at_columns = [np.zeros(0, dtype)], [np.zeros(0, int)], [np.zeros(0, int)]
    for term in terms:
        once = distinct(term.places)
        sizes = extents_of(term, shape)
        inner = tuple(sizes[label] for label in once)
        values.append(dense(inner, [term._replace(places=once)], dtype).reshape(-1))
        at_rows.append(_numbers(term.places[:rows], once, inner))
        at_columns.append(_numbers(term.places[rows:], once, inner))
    places = np.concatenate(at_rows), np.concatenate(at_columns)
    whole = prod(shape[:rows]), prod(shape[rows:])
    return coo_array((np.concatenate(values), places), shape=whole).tocsr()


def _numbers(places: Subscript, once: Subscript, inner: Extents) -> Array:
    """The row (or column) number of every entry: sum of index times stride."""
    total = np.zeros((1,) * len(once), int)
    stride = 1
    for label in reversed(places):
        axis = once.index(label)
        index = np.arange(inner[axis]) * stride
        total = total + index.reshape([-1 if k == axis else 1 for k in range(len(once))])
        stride *= inner[axis]
    return np.broadcast_to(total, inner).reshape(-1)


def _operator(shape: Extents, rows: int, terms: Sequence[Term], dtype: np.dtype[np.generic]) -> Any:
    from scipy.sparse.linalg import LinearOperator

    columns = shape[rows:]
    back = [turned(term, rows) for term in terms]

    def times(
        shape: Extents, rows: int, terms: Sequence[Term], conjugate: bool
    ) -> Callable[[Array], Array]:
        def product(v: Array) -> Array:
            v = np.conj(v) if conjugate else np.asarray(v)
            made = applied(shape, rows, terms, v.reshape(shape[rows:] + v.shape[1:]), dtype)
            made = made.reshape(prod(shape[:rows]), *v.shape[1:])
            return np.conj(made) if conjugate else made

        return product

    forward = times(shape, rows, terms, False)
    adjoint = times(columns + shape[:rows], len(columns), back, True)
    return LinearOperator(
        (prod(shape[:rows]), prod(columns)),
        matvec=forward,
        rmatvec=adjoint,
        matmat=forward,
        rmatmat=adjoint,
        dtype=dtype,
    )


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
    text = ""
    for number, term in enumerate(terms[:_SHOWN]):
        word, negative = _word(term, names)
        sign = ("-" if negative else "") if not number else (" - " if negative else " + ")
        text += f"{sign}{word}"
    more = len(terms) - _SHOWN
    return (text or "0") + (f" + {more} more" if more > 0 else "")


def _word(term: Term, names: dict[int, str]) -> tuple[str, bool]:
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
    number = term.coefficient
    negative = isinstance(number, int | float) and number < 0
    size = -number if negative else number
    if size != 1 or not words:
        words.insert(0, f"{size:g}" if isinstance(size, int | float) else str(size))
    return "*".join(words), negative


def _letter(alphabet: str, number: int) -> str:
    """The letter of that number, numbered beyond the alphabet."""
    turn, place = divmod(number, len(alphabet))
    return alphabet[place] + (str(turn) if turn else "")


# ----------------------------------------------------------------------

__all__ = ["StructuredTensor", "Term"]


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
    def _halves(self) -> tuple[Extents, Extents]:
        split = self.matrix_split
        return self.shape[:split], self.shape[split:]

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
        return dense(self.shape, self.terms, self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("a StructuredTensor becomes an array only by writing it out: a copy")
        return self.dense() if dtype is None else self.dense().astype(dtype, copy=False)

    def diagonal(self) -> Array:
        """The entries whose row is their column: shape h for a tensor of shape (*h, *h)."""
        rows, columns = self._halves
        if rows != columns:
            raise DimensionError(
                f"a tensor of shape {self.shape} has no diagonal",
                facts=[f"its rows have shape {rows}, its columns {columns}"],
                hint="a diagonal needs equal shapes; rows= of the constructor says where they split",
            )
        return dense(rows, diagonal(self.shape, len(rows), self.terms), self.dtype)

    def to_scipy(self) -> Any:
        """The matrix of shape (rows, columns) for SciPy: sparse where deltas make it so, else an operator.

        Every term with a delta: `dia_array` (a diagonal), `bsr_array` (blocks on the diagonal) or
        `csr_array`. Else a `scipy.sparse.linalg.LinearOperator`, which multiplies by `@`.
        """
        return scipy_form(self.shape, self.matrix_split, self.terms, self.dtype)

    # ------------------------------------------------------------ products

    def __matmul__(self, other: Any) -> Any:
        """The tensor as a matrix times `other`, summed over the column axes.

        `other` has the column axes first and any axes after them; the result has the row axes and
        then those. Where that does not fit, it may be flat: (columns,) or (columns, k). Another
        StructuredTensor gives a StructuredTensor.
        """
        if isinstance(other, StructuredTensor):
            return self._composed(other)
        rows, columns = self._halves
        v, flat = _matched(converted("the right operand of @", other), columns, "columns", "@")
        result = applied(self.shape, len(rows), self.terms, v, self.dtype)
        return result.reshape(prod(rows), *v.shape[len(columns) :]) if flat else _plain(result)

    def __rmatmul__(self, other: Any) -> Any:
        """`other` times the tensor, summed over the row axes, which are the last ones of `other`."""
        rows, columns = self._halves
        v = converted("the left operand of @", other)
        v, flat = _matched(v, rows, "rows", "@", last=True)
        more = v.ndim - len(rows)
        moved = v.transpose(*range(more, v.ndim), *range(more))
        result = applied(columns + rows, len(columns), self.T.terms, moved, self.dtype)
        result = result.transpose(*range(len(columns), result.ndim), *range(len(columns)))
        return result.reshape(*v.shape[:more], prod(columns)) if flat else _plain(result)

    def _composed(self, other: StructuredTensor) -> StructuredTensor:
        columns, inner = self._halves[1], other._halves[0]
        if columns != inner:
            raise _mismatch("@", inner, "the rows of the right one", columns, "columns")
        split, next_split = self.matrix_split, other.matrix_split
        terms = [
            composed(a, self.shape, split, b, other.shape, next_split)
            for a in self.terms
            for b in other.terms
        ]
        shape = self.shape[:split] + other.shape[next_split:]
        return StructuredTensor(shape, terms, np.result_type(self.dtype, other.dtype), split)

    @property
    def T(self) -> StructuredTensor:
        """The transposed matrix: the column axes first."""
        split = self.matrix_split
        rows, columns = self._halves
        terms = [turned(term, split) for term in self.terms]
        return StructuredTensor(columns + rows, terms, self._dtype, len(columns))

    def solve(self, b: Any) -> Array:
        """x with self @ x = b, for a `b` like the results of `@`: row axes and any more, or flat.

        Blocks on a diagonal are solved one by one, a diagonal (or blocks) plus terms of low rank by
        Woodbury's identity and a small matrix; neither is written out. A tensor without such a
        structure is solved as the dense matrix, up to 1 GiB (ResourceLimitError beyond).
        DataError where the matrix is singular.
        """
        rows, columns = self._halves
        if prod(rows) != prod(columns):
            raise DimensionError(
                f"a {prod(rows)} x {prod(columns)} matrix has no inverse",
                facts=[f"rows of shape {rows}, columns of shape {columns}"],
                hint="least squares: scipy.sparse.linalg.lsqr with .to_scipy()",
            )
        v, flat = _matched(converted("the right side", b), rows, "rows", "solve")
        more = v.shape[len(rows) :]
        column_of = v.reshape(*rows, prod(more))
        x = solution(self.shape, len(rows), self.terms, self.dtype, column_of)
        return _plain(
            np.ascontiguousarray(x).reshape((prod(columns), *more) if flat else (*columns, *more))
        )

    # ------------------------------------------------------------ sums and multiples

    def __add__(self, other: Any) -> Any:
        """The sum: structured with a StructuredTensor or a number, dense with an array."""
        if isinstance(other, StructuredTensor):
            if self.shape != other.shape or self.matrix_split != other.matrix_split:
                raise _mismatch(
                    "+", other._halves, "the right one", self._halves, "rows and columns"
                )
            dtype = np.result_type(self.dtype, other.dtype)
            terms = [*self.terms, *other.terms]
            return StructuredTensor(self.shape, terms, dtype, self._rows)
        number = _number(other)
        if number is None:
            return self._dense_sum(converted("the other operand of +", other))
        terms = list(self.terms)
        if number:
            terms.append(Term(number, (), tuple(range(self.ndim))))
        return StructuredTensor(self.shape, terms, np.result_type(self.dtype, number), self._rows)

    def _dense_sum(self, other: Array) -> Array:
        try:
            return np.add(self.dense(), other)
        except ValueError:
            raise DimensionError(
                "shapes do not fit in +",
                facts=[f"shape of the tensor: {self.shape}, the array: {other.shape}"],
                hint=f"pass an array that broadcasts to {self.shape}",
            ) from None

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
        number = _number(other)
        if number is None:
            raise DataError(
                f"a StructuredTensor is multiplied by numbers, not by {type(other).__name__}",
                hint="use @ for the matrix product, .dense() * x entry by entry",
            )
        terms = [term._replace(coefficient=term.coefficient * number) for term in self.terms]
        return StructuredTensor(self.shape, terms, np.result_type(self.dtype, number), self._rows)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> StructuredTensor:
        """The tensor over a number."""
        number = _number(other)
        if number is None:
            raise DataError(
                f"a StructuredTensor is divided by numbers, not by {type(other).__name__}",
                hint="use .solve(b) for a linear system, .dense() / x entry by entry",
            )
        with np.errstate(all="ignore"):  # by 0 as NumPy does
            terms = [
                term._replace(coefficient=(np.asarray(term.coefficient) / number).item())
                for term in self.terms
            ]
        return StructuredTensor(self.shape, terms, np.result_type(self.dtype, number), self._rows)


# ---------------------------------------------------------------- what users hand in


def _plain(array: Array) -> Array:
    """The array, or the number that an array without axes holds."""
    return array if array.ndim else array[()]


def _number(value: Any) -> float | complex | None:
    """A Python number, None for what is no number."""
    if (
        isinstance(value, np.ndarray | np.generic)
        and not value.ndim
        and value.dtype.kind in "biufc"
    ):
        value = value.item()
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


def _matched(
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
    return DimensionError(
        f"shapes do not fit in {where}",
        facts=[f"{half} of the tensor: {wanted}, {holder}: {found}"],
        hint=_way_out(where, wanted),
    )


def _way_out(where: str, wanted: tuple[Any, ...]) -> str:
    if where == "+":
        return (
            "add tensors of one shape, split into rows and columns alike (rows= of the constructor)"
        )
    flat = f", or a flat one of {prod(wanted)} entries" if len(wanted) > 1 else ""
    return f"pass an array with the axes {wanted}{flat}; .T swaps rows and columns"


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
    named = [
        (f"axis {a} of the tensor", x, size)
        for a, (x, size) in enumerate(zip(places, shape, strict=True))
    ]
    for k, (array, labels) in enumerate(factors):
        named += [
            (f"axis {a} of factor {k}", x, size)
            for a, (x, size) in enumerate(zip(labels, array.shape, strict=True))
        ]
    known: dict[int, tuple[int, str]] = {}
    for name, label, size in named:
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
