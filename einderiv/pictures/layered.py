"""Places for the nodes of a directed graph: layers from operands to results, few crossings, no overlaps.

In: sizes of nodes, edges between them with the sizes of their texts. Out: `Places`.
Invariant: every edge leads downwards, a text on an edge has a place of its own; the same graph gives the
same places. After Sugiyama, Tagawa, Toda, "Methods for visual understanding of hierarchical system
structures" (1981): layers, dummy vertices on long edges, sweeps by barycentres.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Point = tuple[float, float]
Size = tuple[float, float]
Band = tuple[float, float]

_SWEEPS = (
    12  # of the order within layers; more gave no fewer crossings on graphs of up to 200 nodes
)
_ROUNDS = 60  # of the places within layers, half of them towards both neighbours
_APART = 14.0  # points between neighbours, and between layers
_BETWEEN = 17.0
_THIN = 7.0  # between a long edge and what stands beside it


@dataclass(frozen=True, slots=True)
class Places:
    """Centres of nodes, the points each edge goes through, centres of the texts on edges; the size of all.

    In points, x to the right and y downwards.
    """

    centres: list[Point]
    routes: list[list[Point]]
    texts: list[Point | None]
    size: Size


@dataclass(slots=True)
class _Layers:
    """Vertices are nodes, then texts of edges, then dummies."""

    widths: list[float]
    heights: list[float]
    layer: list[int]
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    first_dummy: int = 0


def layered(
    sizes: Sequence[Size],
    edges: Sequence[tuple[int, int]],
    text_sizes: Sequence[Size | None],
) -> Places:
    """Places for nodes of these sizes; every edge leads from a node to a later one.

    >>> layered([(10, 10), (10, 10)], [(0, 1)], [None]).centres
    [(5.0, 5.0), (5.0, 32.0)]
    """
    graph, chains, vertex = _with_layers(sizes, edges, text_sizes)
    _order(graph)
    xs = _horizontal(graph)
    ys, bands = _vertical(graph)
    left = min((x - w / 2 for x, w in zip(xs, graph.widths, strict=True)), default=0.0)
    right = max((x + w / 2 for x, w in zip(xs, graph.widths, strict=True)), default=0.0)
    points = [(x - left, y) for x, y in zip(xs, ys, strict=True)]
    bottom = max((y + h / 2 for (_, y), h in zip(points, graph.heights, strict=True)), default=0)
    texts = [None if v is None else points[v] for v in vertex]
    routes = _routes(graph, chains, points, bands)
    return Places(points[: len(sizes)], routes, texts, (right - left, bottom))


def _with_layers(
    sizes: Sequence[Size], edges: Sequence[tuple[int, int]], text_sizes: Sequence[Size | None]
) -> tuple[_Layers, list[list[int]], list[int | None]]:
    """Layers for all vertices, each edge as a chain of vertices in successive layers."""
    widths, heights = [w for w, _ in sizes], [h for _, h in sizes]
    layer = [0] * len(sizes)
    into: list[list[tuple[int, int]]] = [[] for _ in sizes]
    out: list[list[tuple[int, int]]] = [[] for _ in sizes]
    for (a, b), size in zip(edges, text_sizes, strict=True):
        step = 1 if size is None else 2
        into[b].append((a, step))
        out[a].append((b, step))
    for v in range(len(sizes)):
        layer[v] = max((layer[a] + step for a, step in into[v]), default=0)
    for v in reversed(range(len(sizes))):
        if out[v] and not into[v]:  # what nothing leads to stands just above its first use
            layer[v] = min(layer[b] - step for b, step in out[v])
    lowest = min(layer, default=0)
    layer = [number - lowest for number in layer]
    vertex: list[int | None] = []
    for (_, b), size in zip(edges, text_sizes, strict=True):
        if size is None:
            vertex.append(None)
            continue
        vertex.append(len(layer))
        layer.append(layer[b] - 1)
        widths.append(size[0])
        heights.append(size[1])
    graph = _Layers(widths, heights, layer, first_dummy=len(layer))
    chains = []
    for (a, b), text in zip(edges, vertex, strict=True):
        chain = [a]
        for target in (b,) if text is None else (text, b):
            for number in range(layer[chain[-1]] + 1, layer[target]):
                chain.append(len(layer))
                layer.append(number)
                widths.append(0.0)
                heights.append(0.0)
            chain.append(target)
        chains.append(chain)
    graph.above = [[] for _ in layer]
    graph.below = [[] for _ in layer]
    for chain in chains:
        for a, b in pairwise(chain):
            graph.below[a].append(b)
            graph.above[b].append(a)
    graph.rows = [[] for _ in range(max(layer, default=-1) + 1)]
    return graph, chains, vertex


# ---------------------------------------------------------------- order within layers


def _order(graph: _Layers) -> None:
    """Rows ordered by a walk from the results, then by sweeps; the order with the fewest crossings stays."""
    seen: set[int] = set()
    for root in reversed(range(len(graph.layer))):
        stack = [] if graph.below[root] else [root]
        while stack:
            v = stack.pop()
            if v in seen:
                continue
            seen.add(v)
            graph.rows[graph.layer[v]].append(v)
            stack += reversed(graph.above[v])
    best, fewest = [list(row) for row in graph.rows], _crossings(graph)
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        near = graph.above if downwards else graph.below
        rows = graph.rows if downwards else graph.rows[::-1]
        place = {v: float(k) for row in graph.rows for k, v in enumerate(row)}
        for row in rows[1:]:
            wanted = {
                v: sum(place[u] for u in near[v]) / len(near[v]) if near[v] else place[v]
                for v in row
            }
            row.sort(key=wanted.__getitem__)
            place.update((v, float(k)) for k, v in enumerate(row))
        count = _crossings(graph)
        if count < fewest:
            best, fewest = [list(row) for row in graph.rows], count
    graph.rows = best


def _crossings(graph: _Layers) -> int:
    """How many pairs of edges cross."""
    place = {v: k for row in graph.rows for k, v in enumerate(row)}
    total = 0
    for row in graph.rows:
        passed: list[int] = []
        for v in row:
            ends = sorted(place[u] for u in graph.below[v])
            total += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return total


# ---------------------------------------------------------------- places


def _horizontal(graph: _Layers) -> list[float]:
    """Each vertex near the mean of its neighbours, long edges straight, nothing overlapping."""
    xs = [0.0] * len(graph.layer)
    for row in graph.rows:
        _apart(graph, row, [0.0] * len(row), xs)
    for number in range(_ROUNDS):
        both = 2 * number >= _ROUNDS
        rows = graph.rows if number % 2 == 0 else graph.rows[::-1]
        for row in rows:
            wanted = []
            for v in row:
                near = graph.above[v] if number % 2 == 0 else graph.below[v]
                if both or not near:
                    near = [*graph.above[v], *graph.below[v]]
                wanted.append(sum(xs[u] for u in near) / len(near) if near else xs[v])
            _apart(graph, row, wanted, xs)
    return xs


def _apart(graph: _Layers, row: Sequence[int], wanted: Sequence[float], xs: list[float]) -> None:
    """The places nearest to the wanted ones (least squares) in this order, with room between them.

    Pool adjacent violators: with the room taken out, places that must not fall.
    """
    offsets = [0.0]
    for a, b in pairwise(row):
        gap = _APART if max(a, b) < graph.first_dummy else _THIN
        offsets.append(offsets[-1] + (graph.widths[a] + graph.widths[b]) / 2 + gap)
    pools: list[tuple[float, float, int]] = []  # mean, weight, number of vertices
    for v, want, offset in zip(row, wanted, offsets, strict=True):
        weight = 8.0 if v >= graph.first_dummy else 1.0
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, own, more = pools.pop()
            mean = (mean * weight + other * own) / (weight + own)
            weight, count = weight + own, count + more
        pools.append((mean, weight, count))
    position = 0
    for mean, _, count in pools:
        for _ in range(count):
            xs[row[position]] = mean + offsets[position]
            position += 1


def _vertical(graph: _Layers) -> tuple[list[float], list[Band]]:
    """One height for each layer, and the upper and the lower end of every layer."""
    ys = [0.0] * len(graph.layer)
    bands = []
    top = 0.0
    for row in graph.rows:
        height = max((graph.heights[v] for v in row), default=0.0)
        for v in row:
            ys[v] = top + height / 2
        bands.append((top, top + height))
        top += height + _BETWEEN
    return ys, bands


def _routes(
    graph: _Layers,
    chains: Sequence[Sequence[int]],
    points: Sequence[Point],
    bands: Sequence[Band],
) -> list[list[Point]]:
    """The points of each edge, from the lower side of its source to the upper side of its target.

    Edges cross each layer vertically, so that they pass beside its nodes.
    """
    leaving: dict[int, list[tuple[float, int]]] = {}
    entering: dict[int, list[tuple[float, int]]] = {}
    for number, chain in enumerate(chains):
        leaving.setdefault(chain[0], []).append((points[chain[1]][0], number))
        entering.setdefault(chain[-1], []).append((points[chain[-2]][0], number))
    starts, ends = _ports(graph, leaving, points), _ports(graph, entering, points)
    routes = []
    for number, chain in enumerate(chains):
        first, last = chain[0], chain[-1]
        below = points[first][1] + graph.heights[first] / 2
        route = [(starts[number], below), (starts[number], bands[graph.layer[first]][1])]
        for v in chain[1:-1]:
            route += [(points[v][0], y) for y in bands[graph.layer[v]]]
        above = points[last][1] - graph.heights[last] / 2
        route += [(ends[number], bands[graph.layer[last]][0]), (ends[number], above)]
        routes.append(route)
    return routes


def _ports(
    graph: _Layers, edges: dict[int, list[tuple[float, int]]], points: Sequence[Point]
) -> dict[int, float]:
    """Where along its side a node is left or reached: edges in the order of where they come from."""
    found = {}
    for v, ports in edges.items():
        width = 0.6 * graph.widths[v]
        for k, (_, number) in enumerate(sorted(ports)):
            found[number] = points[v][0] + width * ((k + 0.5) / len(ports) - 0.5)
    return found
