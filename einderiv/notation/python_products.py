"""Products of symbols that sum: matmul, dot, tensordot, einsum.

In: symbols, numbers and arrays as NumPy's functions take them. Out: symbols.
Invariant: one contraction each; the extents that are summed together are one extent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..canonical import contract
from ..expr import Dim
from .equations import ELLIPSIS
from .python_axes import axes_of, ones, rank_of, reduced
from .python_operands import aligned, joined_shapes, made, product, stretched, together
from .python_refusals import refuse


def matmul(a: Any, b: Any) -> Any:
    """a @ b: 1-d, 2-d and stacks of matrices."""
    (x, y), owner, context = together([a, b])
    if not x.rank or not y.rank:
        refuse("a matrix product @ with a number", "both sides need an axis", "write *")
    inner = (x.shape[-1], y.shape[-2 if y.rank > 1 else 0])
    if inner[0] != inner[1]:
        (x, y), context = joined_shapes([x, y], context, [inner], "@")
    left, right = x.shape[:-2], y.shape[:-2]
    if left and right:
        batch = aligned([made(owner, ones(left), context), made(owner, ones(right), context)], "@")[
            1
        ]
    else:
        batch = left or right
    x = stretched(x, (*batch, *x.shape[-2:])) if left and left != batch else x
    y = stretched(y, (*batch, *y.shape[-2:])) if right and right != batch else y
    count = len(batch)
    row, column, summed = count, count + 1, count + 2
    labels_x = (*range(count), row, summed)[-x.rank :] if x.rank > 1 else (summed,)
    labels_y = (*range(count), summed, column)[-y.rank :] if y.rank > 1 else (summed,)
    output = (*range(count), *([row] if x.rank > 1 else []), *([column] if y.rank > 1 else []))
    return made(owner, contract([x, y], [labels_x, labels_y], output), context)


def pairs_product(a: Any, b: Any, over: Sequence[tuple[int, int]], what: str) -> Any:
    """A product summed over pairs of axes; the other axes of a, then those of b."""
    (x, y), owner, context = together([a, b])
    clashes = [(x.shape[i], y.shape[j]) for i, j in over if x.shape[i] != y.shape[j]]
    if clashes:
        (x, y), context = joined_shapes([x, y], context, clashes, what)
    labels_x = tuple(range(x.rank))
    names = {j: labels_x[i] for i, j in over}
    labels_y = tuple(names.get(j, x.rank + j) for j in range(y.rank))
    summed = set(names.values())
    output = tuple(k for k in (*labels_x, *labels_y) if k not in summed)
    return made(owner, contract([x, y], [labels_x, labels_y], output), context)


def dot(a: Any, b: Any) -> Any:
    """np.dot."""
    if not rank_of(a) or not rank_of(b):
        return product([a, b])
    return pairs_product(a, b, [(rank_of(a) - 1, max(rank_of(b) - 2, 0))], "dot")


def inner(a: Any, b: Any) -> Any:
    if not rank_of(a) or not rank_of(b):
        return product([a, b])
    return pairs_product(a, b, [(rank_of(a) - 1, rank_of(b) - 1)], "inner")


def vdot(a: Any, b: Any) -> Any:
    if rank_of(a) != rank_of(b):
        refuse("vdot of different ranks", "both are flattened", "sum a product instead")
    return reduced("sum", product([a, b]))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if isinstance(axes, int):
        count = rank_of(a)
        return pairs_product(a, b, [(count - axes + k, k) for k in range(axes)], "tensordot")
    left, right = ((k,) if isinstance(k, int) else tuple(k) for k in axes)
    pairs = zip(axes_of(left, rank_of(a)), axes_of(right, rank_of(b)), strict=True)
    return pairs_product(a, b, list(pairs), "tensordot")


def outer(a: Any, b: Any) -> Any:
    if rank_of(a) != 1 or rank_of(b) != 1:
        refuse("outer of something that is no vector", "it flattens what it gets", "use einsum")
    return pairs_product(a, b, [], "outer")


def einsum(subscripts: Any, *operands: Any, **_: Any) -> Any:
    """np.einsum, with a string or with lists of labels; every label has one extent."""
    if isinstance(subscripts, str):
        from .subscripts import read_subscripts  # deferred: it loads the parser

        equation = read_subscripts(subscripts)
        terms, owner, context = together(operands)
        inputs, output = equation.resolved([term.rank for term in terms])
    else:
        given = (subscripts, *operands)
        arrays, lists = given[0::2][: len(given) // 2], given[1::2]
        terms, owner, context = together(arrays)
        places = {
            label: k for k, label in enumerate(dict.fromkeys(x for own in lists for x in own))
        }
        if ELLIPSIS in places or Ellipsis in places:
            refuse("einsum with lists and an ellipsis", "its axes have no labels", "use a string")
        inputs = tuple(tuple(places[x] for x in own) for own in lists)
        counts = [x for own in inputs for x in own]
        output = tuple(
            [places[x] for x in given[-1]]
            if len(given) % 2
            else sorted(x for x in set(counts) if counts.count(x) == 1)
        )
    dims: dict[int, Dim] = {}
    clashes: list[tuple[Dim, Dim]] = []
    for term, labels in zip(terms, inputs, strict=True):
        for label, dim in zip(labels, term.shape, strict=True):
            known = dims.setdefault(label, dim)
            if known == 1:
                dims[label] = dim
            elif dim not in (1, known):
                clashes.append((known, dim))
    if clashes:
        terms, context = joined_shapes(terms, context, clashes, "einsum")
        for term, labels in zip(terms, inputs, strict=True):
            dims.update((k, d) for k, d in zip(labels, term.shape, strict=True) if d != 1)
    fresh = 1 + max(dims, default=0)
    new_inputs = []
    for term, labels in zip(terms, inputs, strict=True):
        own = []
        for label, dim in zip(labels, term.shape, strict=True):
            repeated = dim == 1 and dims[label] != 1
            own.append(fresh if repeated else label)
            fresh += repeated
        new_inputs.append(tuple(own))
    return made(owner, contract(terms, new_inputs, output), context)
