"""Terms that several operators of matrix notation build.

In: terms. Out: terms in canonical form.
Invariant: a power or a product written in one way only gives one term.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...terms import (
    Contraction,
    Delta,
    Expr,
    Subscript,
    contract,
    literal,
    split_scale,
    sums_a_label,
    whole,
)

_CHAIN = 8  # A^8 is one contraction of eight; higher powers are made by squaring


def power_of(matrix: Expr, number: int) -> Expr:
    """The product of `number` copies of a square matrix, of its inverse for a negative number."""
    if number == 0:
        return Delta(matrix.shape[0])
    base = whole("inv", matrix) if number < 0 else matrix
    number = abs(number)
    if number <= _CHAIN:
        labels = [(k, k + 1) for k in range(number)]
        return contract([base] * number, labels, (0, number))
    result: Expr | None = None
    for digit in reversed(f"{number:b}"):
        if digit == "1":
            result = base if result is None else _times(result, base)
        base = _times(base, base)
    assert result is not None
    return result


def _times(left: Expr, right: Expr) -> Expr:
    return contract([left, right], [(0, 1), (1, 2)], (0, 2))


def opened(term: Expr, labels: Subscript) -> Iterator[tuple[Expr, Subscript]]:
    """The factors of an entry-by-entry product inside another product: (a.*b)'*c is one sum of a b c."""
    factor, inside = split_scale(term)
    if not labels or not isinstance(inside, Contraction) or sums_a_label(inside):
        yield term, labels
        return
    names = dict(zip(inside.output, labels, strict=True))
    yield literal(factor), ()
    for child, own in zip(inside.children, inside.inputs, strict=True):
        yield child, tuple(names[label] for label in own)
