"""`StructuredTensor`: a tensor as factors and Kronecker deltas, dense only on request.

In: a shape, terms (`Term`: labels are integers local to it), a dtype.
Out: an operator: `@`, `.solve`, `.diagonal()`, `.to_scipy()`.
Invariant: nothing is computed at construction, and arrays are neither copied nor written to. No temporary is
larger than the operands and the result together, nor a delta an array. A sparse array for SciPy holds an
entry for every one that the deltas allow, and no other.
Source of the low-rank way to solve: Woodbury, "Inverting Modified Matrices" (1950), and a step of refinement.
Long because products, solving and the tensor that users hold share one record, `Matrix`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from math import inf, prod
from numbers import Number
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, DimensionError, ResourceLimitError, axes_in_words
from ..terms import Label, Subscript
from .arrays import Array, array_of
from .backends.numpy import c_einsum as loop
from .compiler.lower import Term
from .compiler.order import contraction_order
from .einsums import Runnable, compile_steps, steps_along, typical

Factor = tuple[Array, Subscript]  # an array at its labels
Extents = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]  # a row axis and a column axis with one label, in every term


def distinct(labels: Iterable[Label]) -> Subscript:
    """Each label once, where it comes first."""
    return tuple(dict.fromkeys(labels))


def labels_of(factors: Iterable[Factor]) -> set[Label]:
    """All labels that the factors have."""
    return {label for _, labels in factors for label in labels}


def extents_of(term: Term, shape: Extents) -> dict[Label, int]:
    """The extent of every label."""
    sizes = dict(zip(term.places, shape, strict=True))
    for array, labels in term.factors:
        sizes.update(zip(labels, array.shape, strict=True))
    return sizes


def has_delta(term: Term) -> bool:
    """Is the term zero off some diagonal?"""
    return len(set(term.places)) < len(term.places)


def common_pairs(terms: Sequence[Term], rows: int) -> Pairs:
    """Row axes and column axes that carry one label in every term."""
    found: dict[int, int] = {}
    for row, column in itertools.product(
        range(rows), range(rows, len(terms[0].places) if terms else 0)
    ):
        taken = row in found or column in found.values()
        if not taken and all(term.places[row] == term.places[column] for term in terms):
            found[row] = column
    return tuple(found.items())


# ---------------------------------------------------------------- products of factors


@lru_cache(maxsize=4096)
def _program(
    inputs: tuple[Subscript, ...], output: Subscript, extents: Extents, apart: bool
) -> Runnable:
    """The program of a product; `apart`: without its last step, if that sums nothing."""
    path = contraction_order(inputs, output, dict(enumerate(extents)))
    steps = steps_along(inputs, output, path)
    last = steps[-1].inputs
    if apart and len(last) == 2 and set(last[0]).intersection(last[1]).issubset(output):
        steps = steps[:-1]
    return compile_steps(inputs, output, steps, extents)


def _multiply(
    factors: Sequence[Factor], output: Subscript, sizes: Mapping[Label, int], apart: bool
) -> list[Factor]:
    """The factors as one, or as two to be multiplied entry by entry if `apart`; the rest is summed."""
    number = {label: k for k, label in enumerate(sizes)}
    names = tuple(sizes)
    inputs = tuple([tuple([number[x] for x in labels]) for _, labels in factors])
    known = labels_of(factors)
    wanted = tuple([number[x] for x in output if x in known])
    extents = tuple(sizes.values())
    run, dims, results = _program(inputs, wanted, tuple(map(typical, extents)), apart)
    arrays = run(*[array for array, _ in factors], None, *[extents[k] for k in dims])
    return [(a, tuple([names[k] for k in own])) for a, own in zip(arrays, results, strict=True)]


def _broadcast(factor: Factor, target: Subscript) -> Array:
    """A view that broadcasts to the axes of `target`."""
    array, labels = factor
    order = [labels.index(x) for x in target if x in labels]
    index = tuple(slice(None) if x in labels else None for x in target)
    return array.transpose(order)[index]


def allocate(shape: Extents, dtype: np.dtype[np.generic], filled: bool) -> Array:
    """A new array, of zeros unless it will be filled; ResourceLimitError if memory is lacking."""
    try:
        return np.empty(shape, dtype) if filled else np.zeros(shape, dtype)
    except (MemoryError, ValueError):  # ValueError: more bytes than an address has
        raise ResourceLimitError(
            f"a dense array of shape {shape} needs {prod(shape) * dtype.itemsize:,} bytes",
            facts=["there is not as much memory"],
            hint="keep the tensor structured: @ v, .diagonal(), .solve(b) and .to_scipy() never write it out",
        ) from None


def _sum_of_products(
    shape: Extents,
    dtype: np.dtype[np.generic],
    products: Iterable[tuple[Term, Mapping[Label, int]]],
) -> Array:
    """The sum of products with the extents of their labels, each on the diagonals that its places name."""
    total: Array = None
    for term, sizes in products:
        once, first = distinct(term.places), total is None
        factors = list(term.factors) or [(np.ones((), dtype), ())]
        if term.coefficient != 1:
            least = min(range(len(factors)), key=lambda k: int(factors[k][0].size))
            array, labels = factors[least]
            factors[least] = array * term.coefficient, labels
        left = _multiply(factors, once, sizes, apart=first)
        if first:
            array = left[0][0]  # the whole result already, and nobody else's?
            fits = isinstance(array, np.ndarray) and (array.shape, array.dtype) == (shape, dtype)
            own = fits and array.flags.c_contiguous and array.flags.writeable
            if own and len(left) == 1:
                if not any(np.may_share_memory(array, factor) for factor, _ in factors):
                    total = array
                    continue
            total = allocate(shape, dtype, len(once) == len(term.places))
        view = total  # with an axis for each label: equal labels are one diagonal
        if once != term.places:
            view = loop(total, [once.index(x) for x in term.places], list(range(len(once))))
        if len(left) == 2:
            a, b = (_broadcast(factor, once) for factor in left)
            np.multiply(a, b, out=view, casting="unsafe")
        elif first:
            view[...] = _broadcast(left[0], once)
        else:
            np.add(view, _broadcast(left[0], once), out=view, casting="unsafe")
    return allocate(shape, dtype, False) if total is None else total


def identify_labels(term: Term, equal: Iterable[tuple[Label, Label]]) -> Term:
    """The term with labels set equal: x_ij with i = j is x_ii."""
    now: dict[Label, Label] = {}

    def final(label: Label) -> Label:
        while label in now:
            label = now[label]
        return label

    for a, b in equal:
        a, b = final(a), final(b)
        if a != b:
            now[b] = a
    factors = tuple((array, tuple(map(final, labels))) for array, labels in term.factors)
    return Term(term.coefficient, factors, tuple(map(final, term.places)))


class Matrix(NamedTuple):
    """A tensor as a sum of terms, its first `rows` axes as rows, the others as columns."""

    shape: Extents
    rows: int
    terms: Sequence[Term]
    dtype: np.dtype[np.generic]

    @property
    def halves(self) -> tuple[Extents, Extents]:
        """The extents of the row axes, and those of the column axes."""
        return self.shape[: self.rows], self.shape[self.rows :]

    def at(self, axes: Sequence[int], rows: int = 0) -> Matrix:
        """The same terms with some of the axes only, in another order."""
        shape = tuple(self.shape[axis] for axis in axes)
        terms = [term._replace(places=tuple(term.places[a] for a in axes)) for term in self.terms]
        return Matrix(shape, rows, terms, self.dtype)

    def transpose(self) -> Matrix:
        """The transposed matrix."""
        axes = (*range(self.rows, len(self.shape)), *range(self.rows))
        return self.at(axes, len(self.shape) - self.rows)

    def dense(self) -> Array:
        """All entries, written out: zeros once, each term on its diagonals."""
        filling = sorted(self.terms, key=has_delta)  # one that fills the tensor spares the zeros
        products = ((term, extents_of(term, self.shape)) for term in filling)
        return _sum_of_products(self.shape, self.dtype, products)

    def times(self, v: Array) -> Array:
        """The product with `v`, summed over the columns, which are the first axes of `v`."""
        count = len(self.shape) - self.rows
        products = []
        for term in self.terms:
            sizes = extents_of(term, self.shape)
            fresh = max(sizes, default=-1) + 1
            more = tuple(range(fresh, fresh + v.ndim - count))
            sizes.update(zip(more, v.shape[count:], strict=True))
            factors = (*term.factors, (v, term.places[self.rows :] + more))
            places = term.places[: self.rows] + more
            products.append((Term(term.coefficient, factors, places), sizes))
        shape = (*self.halves[0], *v.shape[count:])
        return _sum_of_products(shape, np.result_type(self.dtype, v), products)

    def diagonal(self) -> Array:
        """The entries whose row is their column."""
        joined = []
        for term in self.terms:
            pairs = zip(term.places[: self.rows], term.places[self.rows :], strict=True)
            joined.append(identify_labels(term, pairs))
        return Matrix(self.shape, self.rows, joined, self.dtype).at(range(self.rows)).dense()

    def compose(self, other: Matrix) -> Matrix:
        """The matrix product: the columns summed with the rows of `other`."""
        terms = []
        start, end = len(self.shape), len(self.shape) + other.rows
        for a, b in itertools.product(self.terms, other.terms):
            shift = max(extents_of(a, self.shape), default=-1) + 1
            moved = tuple((array, tuple(x + shift for x in labels)) for array, labels in b.factors)
            places = (*a.places, *(x + shift for x in b.places))
            both = Term(a.coefficient * b.coefficient, a.factors + moved, places)
            summed = zip(places[self.rows : start], places[start:end], strict=True)
            joined = identify_labels(both, summed)
            kept = joined.places[: self.rows] + joined.places[end:]
            known = labels_of(joined.factors).union(kept)
            sizes = dict(zip(joined.places, self.shape + other.shape, strict=True))
            free = prod(size for label, size in sizes.items() if label not in known)
            terms.append(Term(joined.coefficient * free, joined.factors, kept))
        dtype = np.result_type(self.dtype, other.dtype)
        return Matrix(self.halves[0] + other.halves[1], self.rows, terms, dtype)


# ---------------------------------------------------------------- linear systems

DENSE_BYTES = 2**30  # a matrix or its blocks beyond this size are not written out
_FACTORS = 6  # all 64 ways of cutting between so many factors are compared
_POOR = 1e-6  # residual over right side of the low-rank way, beyond which the dense way is asked

Cut = tuple[Matrix, Matrix, int]  # a term as left @ right, and the number of entries in between


class _Way(NamedTuple):
    """Terms with blocks on the diagonal of `pairs`, and the others as products of low rank."""

    pairs: Pairs
    apart: Pairs  # those along which the blocks differ; along the others they repeat
    blocks: list[Term]
    cuts: list[Cut]
    operations: float  # about; infinite if its blocks are too large to be written out


def _cut(term: Term, system: Matrix) -> Cut:
    """The term as a product of two, through as few entries as the factors allow.

    x_i y_j: 1 entry. V_il V_kj with the rows i, j: V_il d_jm times d_ln V_km, through l and m.
    """
    sizes, factors = extents_of(term, system.shape), term.factors
    rows, columns = term.places[: system.rows], term.places[system.rows :]
    few = len(factors) <= _FACTORS  # beyond, those that touch no column are left, the others right
    sides = itertools.product((True, False), repeat=len(factors)) if few else ()
    found: list[tuple[int, Subscript, list[Factor], list[Factor]]] = []
    for side in sides or [tuple(not set(columns).intersection(ls) for _, ls in factors)]:
        left = [f for f, is_left in zip(factors, side, strict=True) if is_left]
        right = [f for f, is_left in zip(factors, side, strict=True) if not is_left]
        inner = tuple(sorted(labels_of(left).union(rows) & labels_of(right).union(columns)))
        found.append((prod(sizes[label] for label in inner), inner, left, right))
    count, inner, left, right = min(found, key=lambda entry: entry[0])
    between = tuple(sizes[label] for label in inner)
    (high, wide), dtype = system.halves, system.dtype
    before = Term(term.coefficient, tuple(left), rows + inner)
    after = Term(1.0, tuple(right), inner + columns)
    return (
        Matrix(high + between, system.rows, [before], dtype),
        Matrix(between + wide, len(inner), [after], dtype),
        count,
    )


def _ways(system: Matrix) -> list[_Way]:
    """Ways to solve, the cheapest first; the first of those without cuts always works."""
    candidates = dict.fromkeys([common_pairs(system.terms, system.rows)])
    candidates |= dict.fromkeys(common_pairs([term], system.rows) for term in system.terms)
    cut_of = cache(lambda number: _cut(system.terms[number], system))
    found, size = [], prod(system.halves[0])
    for pairs in candidates:
        is_block = [all(t.places[a] == t.places[b] for a, b in pairs) for t in system.terms]
        blocks = [term for term, own in zip(system.terms, is_block, strict=True) if own]
        cuts = [cut_of(number) for number, own in enumerate(is_block) if not own]
        apart = tuple(
            (row, column)
            for row, column in pairs
            if any(
                t.places[row] in labels_of(t.factors) or t.places.count(t.places[row]) > 2
                for t in blocks
            )
        )
        block = size // prod(system.shape[row] for row, _ in pairs)
        count = prod(system.shape[row] for row, _ in apart)
        inner = sum(between for *_, between in cuts)
        is_large = max(count * block**2, inner**2) * system.dtype.itemsize > DENSE_BYTES
        operations = count * block**3 + inner**3 + inner * size * (block + 1)
        found.append(_Way(pairs, apart, blocks, cuts, inf if is_large else operations))
    return sorted(found, key=lambda way: way.operations)


class _Blocks:
    """Blocks (batch, rows, columns) written out, and the axes of the tensor that they have."""

    def __init__(self, system: Matrix, way: _Way) -> None:
        self.system, shape = system, system.shape
        self.batch = way.apart
        self.repeated = tuple(pair for pair in way.pairs if pair not in self.batch)
        taken = {axis for pair in way.pairs for axis in pair}
        self.rows = tuple(k for k in range(system.rows) if k not in taken)
        self.columns = tuple(k for k in range(system.rows, len(shape)) if k not in taken)
        lead = tuple(row for row, _ in self.batch)
        block = prod(shape[row] for row in self.rows)
        axes = (*lead, *self.rows, *self.columns)
        size = prod(shape[axis] for axis in axes) * system.dtype.itemsize
        if size > DENSE_BYTES:
            count = prod(system.halves[0])
            raise ResourceLimitError(
                f"solving with a {count:,} x {count:,} matrix of this structure needs "
                f"blocks of {size:,} bytes",
                facts=[f"the limit is {DENSE_BYTES:,} bytes"],
                hint="solve iteratively: scipy.sparse.linalg.cg or gmres with .to_scipy()",
            )
        self.array = system._replace(terms=way.blocks).at(axes).dense()
        self.are_numbers = not (self.rows or self.columns)
        if not self.are_numbers:
            self.array = self.array.reshape(*(shape[row] for row in lead), block, block)
        elif not np.all(self.array):
            place = ", ".join(map(str, np.argwhere(np.asarray(self.array) == 0)[0])) or "0"
            raise _singular(f"entry {place} of its diagonal is 0")

    def solve(self, b: Array) -> Array:
        """inv(blocks) b, for the row axes and one more: the column axes and it."""
        shape, start = self.system.shape, self.system.rows
        batch, repeated = self.batch, self.repeated
        lead, depth = len(batch), len(self.rows)
        order = [*(a for a, _ in batch), *self.rows, *(a for a, _ in repeated), start]
        moved = b.transpose(order)
        if self.are_numbers:
            solution = moved / self.array.reshape(self.array.shape + (1,) * (moved.ndim - lead))
        else:
            head, rest = moved.shape[:lead], moved.shape[lead + depth :]
            flat = moved.reshape(*head, self.array.shape[-1], prod(rest))
            solution = _regular(np.linalg.solve, "a block of it", self.array, flat)
            solution = solution.reshape(*head, *(shape[axis] for axis in self.columns), *rest)
        made = [*(c for _, c in batch), *self.columns, *(c for _, c in repeated)]
        return solution.transpose(*(made.index(axis) for axis in range(start, len(shape))), -1)

    def inverse(self) -> Matrix:
        """The inverse of the blocks: its rows are the columns of the system."""
        system = self.system
        row_of = {column: row for row, column in (*self.batch, *self.repeated)}
        if self.are_numbers:
            array = 1 / self.array
        else:
            array = _regular(np.linalg.inv, "a block of it", self.array)
        axes = (*(row for row, _ in self.batch), *self.columns, *self.rows)
        array = array.reshape([system.shape[axis] for axis in axes])
        columns = range(system.rows, len(system.shape))
        places = (*(row_of.get(axis, axis) for axis in columns), *range(system.rows))
        high, wide = system.halves
        return Matrix(wide + high, len(wide), [Term(1.0, ((array, axes),), places)], system.dtype)


def _low_rank(system: Matrix, way: _Way) -> Callable[[Array], Array]:
    """inv(B + sum of U V) by the inverse of B and one small matrix, I + V inv(B) U.

    Of the small matrix, V and U are terms, only their product is written out, block by block.
    """
    inverse = _Blocks(system, way).inverse()
    sizes = [between for *_, between in way.cuts]
    ends = np.cumsum(sizes)
    small = np.eye(sum(sizes), dtype=system.dtype)
    for (_, above, _), end, high in zip(way.cuts, ends, sizes, strict=True):
        half = above.compose(inverse)
        for (aside, *_), right, wide in zip(way.cuts, ends, sizes, strict=True):
            block = half.compose(aside).dense().reshape(high, wide)
            small[end - high : end, right - wide : right] += block

    def solve(b: Array) -> Array:
        """The solution for a right side with the row axes and one more."""
        start = inverse.times(b)
        seen = [right.times(start).reshape(-1, b.shape[-1]) for _, right, _ in way.cuts]
        what = "the small matrix of its low-rank part"
        weights = _regular(np.linalg.solve, what, small, np.concatenate(seen))
        back = np.zeros(b.shape, start.dtype)
        for (left, right, _), part in zip(way.cuts, np.split(weights, ends[:-1]), strict=True):
            back += left.times(part.reshape(*right.halves[0], b.shape[-1]))
        return start - inverse.times(back)

    return solve


def _parts(term: Term, rows: int) -> list[tuple[tuple[Factor, ...], Subscript, Subscript]]:
    """The term as a Kronecker product: A_ik B_jl is A for the axes of i, k times B for those of j, l."""
    together = identify_labels(term, ((ls[0], x) for _, ls in term.factors for x in ls[1:]))
    linked = together.places
    parts = []
    for label in distinct(linked):
        own = tuple(
            f
            for f, (_, ls) in zip(term.factors, together.factors, strict=True)
            if label in ls or (label == linked[0] and not set(ls).intersection(linked))
        )
        axes = [axis for axis, place in enumerate(linked) if place == label]
        before = tuple(axis for axis in axes if axis < rows)
        parts.append((own, before, tuple(axes[len(before) :])))
    return parts


def solution(system: Matrix, b: Array) -> Array:
    """x with A x = b: `b` has the row axes and one more, x the column axes and it.

    Raises DataError if A is singular, ResourceLimitError if A has no structure to solve with
    and its dense form is beyond DENSE_BYTES.
    """
    if not prod(system.halves[0]):
        return np.zeros(system.halves[1] + b.shape[-1:], np.result_type(system.dtype, b))
    if not system.terms:
        raise _singular("it is zero")
    with np.errstate(all="ignore"):
        parts = _parts(system.terms[0], system.rows) if len(system.terms) == 1 else []
        if len(parts) < 2:
            return _solution(system, b)
        (term,), names = system.terms, [*range(system.rows), -1]
        coefficient = term.coefficient
        for factors, rows, columns in parts:  # inv(A x B x ...) b, one after the other
            whole = system._replace(terms=[Term(coefficient, factors, term.places)])
            one = whole.at((*rows, *columns), len(rows))
            high, wide = one.halves
            if prod(high) != prod(wide):
                raise _singular("it is a Kronecker product of matrices that are not square")
            rest = [name for name in names if name not in rows]
            moved = b.transpose([names.index(name) for name in (*rows, *rest)])
            outside = moved.shape[len(rows) :]
            found = _solution(one, moved.reshape((*high, prod(outside))))
            b, names, coefficient = found.reshape(wide + outside), [*columns, *rest], 1.0
        end = (*range(system.rows, len(system.shape)), -1)
        return b.transpose([names.index(name) for name in end])


def _solution(system: Matrix, b: Array) -> Array:
    """The cheapest way; the plain one after it, if the low-rank way is inaccurate or impossible."""
    ways = _ways(system)
    best: Array = None
    if ways[0].cuts:
        try:
            solve = _low_rank(system, ways[0])
            best = solve(b)
            best = best + solve(b - system.times(best))  # one step of refinement
            residual = np.linalg.norm(b - system.times(best))
            if residual <= _POOR * np.linalg.norm(b):
                return best
        except DataError:
            best = None  # B may be singular if A is not
    plain = next(way for way in ways if not way.cuts)
    try:
        return _Blocks(system, plain).solve(b)
    except ResourceLimitError:
        if best is None:
            raise
        return best


def _regular(function: Callable[..., Array], what: str, *arrays: Array) -> Array:
    try:
        return function(*arrays)
    except np.linalg.LinAlgError:
        raise _singular(f"{what} has no inverse") from None


def _singular(fact: str) -> DataError:
    return DataError(
        "a matrix to be solved with is singular",
        facts=[fact],
        hint="check the tensor, or add a multiple of the identity",
    )


# ---------------------------------------------------------------- the tensor

_SHOWN = 4  # terms in a pattern; of a longer sum, the number of the rest
_AXES = "ijklmnopqrstuvwxyz"
_SUMMED = "abcdefgh"
_ARRAYS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


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
        return self._matrix.dtype

    @property
    def matrix_split(self) -> int:
        """The number of axes that are rows."""
        return len(self.shape) // 2 if self._rows is None else self._rows

    @property
    def _matrix(self) -> Matrix:
        return Matrix(self.shape, self.matrix_split, self.terms, np.dtype(self._dtype))

    @property
    def nbytes(self) -> int:
        """Bytes of the factors, each array counted once."""
        found = {
            (array.__array_interface__["data"][0], array.nbytes)
            for term in self.terms
            for array, _ in term.factors
        }
        return sum(size for _, size in found)

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
        """The matrix of shape (rows, columns) for SciPy: sparse if deltas make it so, else an operator.

        Every term with a delta: `dia_array` (a diagonal), `bsr_array` (blocks on the diagonal) or
        `csr_array`. Else a `scipy.sparse.linalg.LinearOperator`, which multiplies by `@`.
        """
        if not all(map(has_delta, self.terms)):
            return self._operator()
        from scipy.sparse import bsr_array, coo_array, dia_array

        matrix, shape, rows = self._matrix, self.shape, self.matrix_split
        pairs = common_pairs(matrix.terms, rows)
        ahead = 0
        while (ahead, ahead + rows) in pairs:
            ahead += 1
        whole = prod(shape[:rows]), prod(shape[rows:])
        if ahead and 2 * ahead == len(shape) and ahead == rows:
            return dia_array((matrix.diagonal().reshape(1, -1), [0]), shape=whole)
        if ahead and prod(shape):  # the first row axes are the first column axes: blocks in order
            sides = shape[:ahead], shape[ahead:rows], shape[rows + ahead :]
            count, height, width = map(prod, sides)
            blocks = matrix.at((*range(rows), *range(rows + ahead, len(shape)))).dense()
            places = np.arange(count), np.arange(count + 1)
            return bsr_array((blocks.reshape(count, height, width), *places), shape=whole)
        values, none = [np.zeros(0, self.dtype)], np.zeros(0, int)
        at_rows, at_columns = [none], [none]
        for term in matrix.terms:
            once = distinct(term.places)
            sizes = extents_of(term, shape)
            inner = tuple(sizes[label] for label in once)
            values.append(
                Matrix(inner, 0, [term._replace(places=once)], self.dtype).dense().ravel()
            )
            index = dict(zip(once, np.indices(inner, sparse=True), strict=True))
            for found, own in ((at_rows, slice(rows)), (at_columns, slice(rows, None))):
                number = np.arange(prod(shape[own])).reshape(shape[own])  # of a row, or a column
                number = number[tuple(index[label] for label in term.places[own])]
                found.append(np.broadcast_to(number, inner).ravel())
        places = np.concatenate(at_rows), np.concatenate(at_columns)
        return coo_array((np.concatenate(values), places), shape=whole).tocsr()

    def _operator(self) -> Any:
        from scipy.sparse.linalg import LinearOperator

        def product(matrix: Matrix, v: Array) -> Array:
            rows, columns = matrix.halves
            return matrix.times(v.reshape(columns + v.shape[1:])).reshape(prod(rows), *v.shape[1:])

        def forward(v: Array) -> Array:
            return product(self._matrix, np.asarray(v))

        def adjoint(v: Array) -> Array:
            return np.conj(product(self.T._matrix, np.conj(v)))

        shape = tuple(map(prod, self._matrix.halves))
        back = {"rmatvec": adjoint, "rmatmat": adjoint}
        return LinearOperator(shape, matvec=forward, matmat=forward, dtype=self.dtype, **back)

    # ------------------------------------------------------------ products

    def __matmul__(self, other: Any) -> Any:
        """The tensor as a matrix times `other`, summed over the column axes.

        `other` has the column axes first and any axes after them; the result has the row axes and
        then those. If that does not fit, it may be flat: (columns,) or (columns, k). Another
        StructuredTensor gives a StructuredTensor.
        """
        rows, columns = self._matrix.halves
        if isinstance(other, StructuredTensor):
            inner = other._matrix.halves[0]
            if columns != inner:
                raise _mismatch("@", inner, "the rows of the right one", columns, "columns")
            return _tensor(self._matrix.compose(other._matrix))
        v, flat = _match(array_of("the right operand of @", other), columns, "columns", "@")
        result = self._matrix.times(v)
        return result.reshape(prod(rows), *v.shape[len(columns) :]) if flat else _plain(result)

    def __rmatmul__(self, other: Any) -> Any:
        """`other` times the tensor, summed over the row axes, which are the last ones of `other`."""
        rows, columns = self._matrix.halves
        v = array_of("the left operand of @", other)
        v, flat = _match(v, rows, "rows", "@", last=True)
        more = v.ndim - len(rows)
        moved = v.transpose(*range(more, v.ndim), *range(more))
        result = self._matrix.transpose().times(moved)
        result = result.transpose(*range(len(columns), result.ndim), *range(len(columns)))
        return result.reshape(*v.shape[:more], prod(columns)) if flat else _plain(result)

    @property
    def T(self) -> StructuredTensor:
        """The transposed matrix: the column axes first."""
        return _tensor(self._matrix.transpose())

    def solve(self, b: Any) -> Array:
        """x with self @ x = b, for a `b` like the results of `@`: row axes and any more, or flat.

        Blocks on a diagonal are solved one by one, a diagonal (or blocks) plus terms of low rank by
        Woodbury's identity and a small matrix; neither is written out. A tensor without such a
        structure is solved as the dense matrix, up to 1 GiB (ResourceLimitError beyond).
        DataError if the matrix is singular.
        """
        rows, columns = self._matrix.halves
        if prod(rows) != prod(columns):
            raise DimensionError(
                f"a {prod(rows)} x {prod(columns)} matrix has no inverse",
                facts=[f"rows of shape {rows}, columns of shape {columns}"],
                hint="least squares: scipy.sparse.linalg.lsqr with .to_scipy()",
            )
        v, flat = _match(array_of("the right side", b), rows, "rows", "solve")
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
        array = array_of("the other operand of +", other)
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
        dtype = np.result_type(self.dtype, other)
        return _tensor(self._matrix._replace(terms=terms, dtype=dtype))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, StructuredTensor):
            return self + -other
        number = _number(other)
        return self + (-array_of("the other operand of -", other) if number is None else -number)

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


def _tensor(matrix: Matrix) -> StructuredTensor:
    return StructuredTensor(matrix.shape, matrix.terms, matrix.dtype, matrix.rows)


def _plain(array: Array) -> Array:
    """The array, or the number that an array without axes holds."""
    return array if array.ndim else array[()]


def _number(value: Any) -> float | complex | None:
    """A Python number, None for anything else."""
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
        array = array_of(f"factor {k} of term {number}", given)
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
