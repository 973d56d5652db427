"""The order in which a product of many operands is contracted, pair by pair.

In: label sets of the operands, the output, extents, and which partial products exist already.
Out: pairs of positions, as opt_einsum gives them; results go to the end of the list.
Invariant: planning is bounded: every order is tried up to a few operands, opt_einsum plans beyond.

The price of a pair is that of the cheapest kernel in `kernels.py`: arithmetic, memory traffic, and what a
call costs. It says when one more pass over a large array is cheaper than more arithmetic, and when a call
more costs more than either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import prod

from ...terms import Label, Subscript
from .kernels import pair_price

_EXHAUSTIVE = 6  # operands; all orders of six are priced in about a millisecond
_TRANSPOSED = (
    0.5e-9  # seconds an entry of a result whose axes are exchanged costs those who read it
)
_DYNAMIC = 14  # operands that opt_einsum's dynamic programming plans within 50 ms

Known = Callable[[int, int], bool]  # does the product of these two sets of operands exist already?


def contraction_order(
    inputs: Sequence[Subscript],
    output: Subscript,
    extents: Mapping[Label, int],
    known: Known | None = None,
) -> list[tuple[int, ...]]:
    """Positions contracted at each step; results go to the end of the list.

    >>> contraction_order([(0, 1), (1, 2), (2,)], (0,), {0: 5, 1: 6, 2: 7})
    [(1, 2), (0, 1)]
    """
    if len(inputs) <= 2:
        return [tuple(range(len(inputs)))]
    if len(inputs) <= _EXHAUSTIVE:
        return _positions(best_tree(inputs, output, extents, known)[1], len(inputs))
    from opt_einsum import paths  # deferred: importing it costs more than planning one product

    sets = [frozenset(map(str, labels)) for labels in inputs]
    sizes = {str(label): max(extent, 1) for label, extent in extents.items()}
    wanted = frozenset(map(str, output))
    if len(inputs) <= _DYNAMIC:
        path = paths.DynamicProgramming(minimize="combo-64")(sets, wanted, sizes)
    else:
        path = paths.greedy(sets, wanted, sizes)
    return [tuple(sorted(step)) for step in path]


def best_tree(
    inputs: Sequence[Subscript],
    output: Subscript,
    extents: Mapping[Label, int],
    known: Known | None = None,
) -> tuple[float, dict[int, tuple[int, int]]]:
    """The least price of a product, and how each set of operands on the way (a bit mask) is split in two."""
    count = len(inputs)
    whole = (1 << count) - 1
    rest = [
        set(output).union(*(inputs[k] for k in range(count) if not mask >> k & 1))
        for mask in range(whole + 1)
    ]
    labels: list[list[Label]] = [[]]
    for mask in range(1, whole + 1):
        own = dict.fromkeys(x for k in range(count) if mask >> k & 1 for x in inputs[k])
        labels.append([x for x in own if x in rest[mask]] if mask & (mask - 1) else list(own))
    labels[whole] = list(output)
    prices = {1 << k: 0.0 for k in range(count)}
    splits: dict[int, tuple[int, int]] = {}
    for mask in range(1, whole + 1):
        if mask in prices:
            continue
        lowest = mask & -mask
        best = None
        part = (mask - 1) & mask
        while part:
            if part & lowest:
                other = mask ^ part
                price = prices[part] + prices[other]
                if best is None or price < best[0]:
                    if known is None or not known(part, other):
                        price += pair_price(labels[part], labels[other], labels[mask], extents)
                        if mask == whole and _is_interleaved(labels[part], labels[other], output):
                            price += _TRANSPOSED * prod([extents[x] for x in output])
                    if best is None or price < best[0]:
                        best = price, part, other
            part = (part - 1) & mask
        assert best is not None
        prices[mask], splits[mask] = best[0], best[1:]
    tree: dict[int, tuple[int, int]] = {}
    stack = [whole]
    while stack:
        mask = stack.pop()
        if mask in splits:
            tree[mask] = splits[mask]
            stack += splits[mask]
    return prices[whole], tree


def _is_interleaved(
    first: Sequence[Label], second: Sequence[Label], output: Sequence[Label]
) -> bool:
    """Do rows and columns alternate in the result, so that a product comes out with its axes exchanged?"""
    if all(label in output for label in (*first, *second)):
        return False  # entry by entry, any order can be made
    alone = [label in first for label in output if (label in first) != (label in second)]
    return sum(a != b for a, b in pairwise(alone)) > 1


def _positions(splits: dict[int, tuple[int, int]], count: int) -> list[tuple[int, ...]]:
    """The steps of a tree as positions in a list whose results go to the end."""
    left = [1 << k for k in range(count)]
    path = []
    for mask in reversed(splits):
        step = tuple(sorted(left.index(part) for part in splits[mask]))
        left = [part for k, part in enumerate(left) if k not in step]
        left.append(mask)
        path.append(step)
    return path
