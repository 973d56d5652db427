"""The order in which a product of many operands is contracted, pair by pair.

In: label sets of the operands, the output, and extents. Out: pairs of positions, as opt_einsum gives them.
Invariant: planning is bounded: exhaustive up to a few operands, greedy beyond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..expr import Label, Subscript

_EXHAUSTIVE = 5  # operands; the optimal path of five takes about a millisecond, of ten a second


def contraction_order(
    inputs: Sequence[Subscript], output: Subscript, extents: Mapping[Label, int]
) -> list[tuple[int, ...]]:
    """Positions contracted at each step; results go to the end of the list.

    >>> contraction_order([(0, 1), (1, 2), (2,)], (0,), {0: 5, 1: 6, 2: 7})
    [(1, 2), (0, 1)]
    """
    if len(inputs) <= 2:
        return [tuple(range(len(inputs)))]
    from opt_einsum import paths  # deferred: importing it costs more than planning one product

    sets = [frozenset(map(str, labels)) for labels in inputs]
    sizes = {str(label): max(extent, 1) for label, extent in extents.items()}
    plan = paths.optimal if len(inputs) <= _EXHAUSTIVE else paths.greedy
    path: list[tuple[int, ...]] = plan(sets, frozenset(map(str, output)), sizes)
    return [tuple(sorted(step)) for step in path]
