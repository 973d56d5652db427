"""The canonical order of a contraction's operands and the canonical numbers of its labels.

In: operands with any integer labels, and the output.
Out: the same, ordered and renumbered so that equal products (up to renaming) come out equal.
Method: output labels are coloured by position, summed labels refined by where they stand; ties are
broken by trying each and keeping the least result, up to a cap.
"""

from __future__ import annotations

from collections.abc import Sequence

from .expr import Contraction, Expr, Label, Subscript

Factor = tuple[Expr, Subscript]
Colours = dict[Label, int]
Encoding = tuple[tuple[int, Subscript], ...]

_TRIES = 720  # all orders of six equal operands; beyond, a merge may be missed, never made wrongly


def canonical_order(
    factors: Sequence[Factor], output: Subscript
) -> tuple[tuple[Expr, ...], tuple[Subscript, ...], Subscript]:
    """Operands, inputs and output in canonical form: outputs 0..r-1, then summed labels as they come."""
    if len(factors) == 1:
        order: tuple[int, ...] = (0,)
        colours = {label: place for place, label in enumerate(output)}
        for label in factors[0][1]:
            colours.setdefault(label, len(colours))
    else:
        order, colours = _search(factors, output)
    numbers = {label: place for place, label in enumerate(output)}
    inputs = []
    for place in order:
        operand, labels = factors[place]
        if operand.symmetric:
            labels = tuple(sorted(labels, key=lambda label: _by_number(label, numbers, colours)))
        for label in labels:
            numbers.setdefault(label, len(numbers))
        inputs.append(tuple(numbers[label] for label in labels))
    operands = tuple(factors[place][0] for place in order)
    return operands, tuple(inputs), tuple(range(len(output)))


def _by_number(label: Label, numbers: dict[Label, int], colours: Colours) -> tuple[int, int]:
    return (0, numbers[label]) if label in numbers else (1, colours[label])


def _search(factors: Sequence[Factor], output: Subscript) -> tuple[tuple[int, ...], Colours]:
    """The least encoding over all ways to break ties."""
    ranks = {key: place for place, key in enumerate(sorted({op.order for op, _ in factors}))}
    classes = [ranks[operand.order] for operand, _ in factors]
    if len(ranks) == len(factors) and not any(operand.symmetric for operand, _ in factors):
        return tuple(sorted(range(len(factors)), key=classes.__getitem__)), {}  # nothing is tied
    start = {label: place for place, label in enumerate(output)}
    summed = list(dict.fromkeys(x for _, labels in factors for x in labels if x not in start))
    start.update(dict.fromkeys(summed, len(output)))
    best: tuple[Encoding, tuple[int, ...], Colours] | None = None
    stack, tries = [_refine(factors, classes, start, summed)], 0
    while stack and tries < _TRIES:
        colours = stack.pop()
        tied = _first_tie(colours, summed)
        if tied:
            for label in reversed(tied):
                # one below its class, above every smaller colour: 2*c leaves room
                split = {name: 2 * colour for name, colour in colours.items()}
                split[label] -= 1
                stack.append(_refine(factors, classes, split, summed))
            continue
        tries += 1
        order = sorted(
            range(len(factors)),
            key=lambda k: (classes[k], _colours_of(factors[k], colours), _extents(factors[k][0])),
        )
        found = _encode(factors, classes, order, colours)
        if best is None or found < best[0]:
            best = (found, tuple(order), colours)
    assert best is not None
    return best[1], best[2]


def _extents(operand: Expr) -> tuple[str, ...]:
    """What tells apart operands that differ in their extents only: deltas, ones, sizes."""
    return (*map(str, operand.shape), str(getattr(operand, "dim", "")))


def _encode(
    factors: Sequence[Factor], classes: list[int], order: list[int], colours: Colours
) -> Encoding:
    return tuple((classes[k], _colours_of(factors[k], colours)) for k in order)


def _colours_of(factor: Factor, colours: Colours) -> Subscript:
    operand, labels = factor
    if operand.symmetric:
        return tuple(sorted([colours[label] for label in labels]))
    return tuple([colours[label] for label in labels])


def _first_tie(colours: Colours, summed: list[Label]) -> list[Label]:
    """The summed labels of the smallest colour that several share."""
    groups: dict[int, list[Label]] = {}
    for label in summed:
        groups.setdefault(colours[label], []).append(label)
    tied = [colour for colour, labels in groups.items() if len(labels) > 1]
    return groups[min(tied)] if tied else []


def _refine(
    factors: Sequence[Factor], classes: list[int], colours: Colours, summed: list[Label]
) -> Colours:
    """Colours split by where labels stand, until nothing splits any more; densely numbered."""
    count = len(set(colours.values()))
    while True:
        stands: dict[Label, list[tuple[int, Subscript, int]]] = {label: [] for label in colours}
        for k, (operand, labels) in enumerate(factors):
            seen = _colours_of((operand, labels), colours)
            for slot, label in enumerate(labels):
                stands[label].append((classes[k], seen, 0 if operand.symmetric else slot))
        keys = {label: (colours[label], sorted(stands[label])) for label in summed}
        fixed: dict[Label, tuple[int, list[tuple[int, Subscript, int]]]] = {
            label: (colour, []) for label, colour in colours.items() if label not in keys
        }
        ordered: list[tuple[int, list[tuple[int, Subscript, int]]]] = []
        for key in sorted([*keys.values(), *fixed.values()]):
            if not ordered or ordered[-1] != key:
                ordered.append(key)
        places = {_frozen(key): place for place, key in enumerate(ordered)}
        colours = {label: places[_frozen(key)] for label, key in {**fixed, **keys}.items()}
        if len(places) == count or not summed:
            return colours
        count = len(places)


def _frozen(
    key: tuple[int, list[tuple[int, Subscript, int]]],
) -> tuple[int, tuple[tuple[int, Subscript, int], ...]]:
    return key[0], tuple(key[1])


def is_swappable(node: Contraction) -> bool:
    """Does exchanging the two axes of a square matrix give the same product (as for X'X)?"""
    if node.rank != 2 or node.shape[0] != node.shape[1]:
        return False
    factors = list(zip(node.children, node.inputs, strict=True))
    first, second = node.output
    swapped = canonical_order(factors, (second, first))
    return swapped[:2] == (node.children, node.inputs)
