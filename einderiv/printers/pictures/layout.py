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
from itertools import combinations, pairwise
from math import atan2, cos, hypot, sin
from typing import Any

from ...errors import BackendError

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


# Places for the nodes of a network: distances in the picture as on the edges, parts side by side.
#
# In: sizes of nodes, edges with the sizes of their texts, the group of every node. Out: `Places`.
# Invariant: no two nodes overlap; a text on an edge has a place of its own; the same network gives the same
# places. The only file that imports networkx. After Kamada, Kawai, "An algorithm for drawing general
# undirected graphs" (1989).

_LINE = 17.0  # points of an edge between a node and the text on it
_APART_springs = 22.0  # between parts
_LEG = 10.0  # of half an edge without a text
_BESIDE = 19.0  # between edges that join the same nodes
_ROOM = 3.0  # between boxes
_STARTS = 8  # places to start from ...
_SMALL = 60  # ... for a part of up to so many vertices
_GROWTHS = 30
_GROWTH = 1.12  # of a part in which something overlaps


def spread(
    sizes: Sequence[Size],
    edges: Sequence[tuple[int, int]],
    text_sizes: Sequence[Size | None],
    groups: Sequence[int],
) -> Places:
    """Places for nodes of these sizes; parts that no edge joins stand side by side, group by group.

    Raises BackendError where networkx is missing.
    """
    try:
        import networkx
    except ImportError:
        raise BackendError(
            "the picture of a network needs networkx, which is not installed",
            facts=["its Graphviz text needs no library: .dot"],
            hint='pip install "einderiv[plot]"',
        ) from None
    boxes, bundles = [*sizes], _bundles(edges)
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(sizes)))
    middles: list[int | None] = []  # of each bundle: the vertex that stands in its middle
    for (a, b), members in bundles:
        texts = [size for number in members if (size := text_sizes[number]) is not None]
        if len(members) == 1 and not texts and a != b:
            middles.append(None)
            graph.add_edge(a, b, weight=2 * _LEG + _reach(boxes[a]) + _reach(boxes[b]))
            continue
        side = max([_BESIDE * (len(members) - 1), *(max(size) for size in texts)])
        middles.append(len(boxes))
        boxes.append((side, side))
        for end in (a, b):
            weight = _LINE + _reach(boxes[end]) + _reach(boxes[-1])
            graph.add_edge(end, middles[-1], weight=weight)
    points, size = _side_by_side(graph, boxes, groups, networkx)
    routes: list[list[Point]] = [[] for _ in edges]
    for ((a, b), members), middle in zip(bundles, middles, strict=True):
        (ax, ay), (bx, by) = points[a], points[b]
        x, y = ((ax + bx) / 2, (ay + by) / 2) if middle is None else points[middle]
        length = hypot(bx - ax, by - ay) or 1.0
        for k, number in enumerate(members):
            shift = _BESIDE * (k - (len(members) - 1) / 2) / length
            through = (x - (by - ay) * shift, y + (bx - ax) * shift)
            route = [points[a], through, points[b]]
            routes[number] = route if edges[number] == (a, b) else route[::-1]
    shown = [
        None if size is None else route[1] for size, route in zip(text_sizes, routes, strict=True)
    ]
    return Places(points[: len(sizes)], routes, shown, size)


def _bundles(edges: Sequence[tuple[int, int]]) -> list[tuple[tuple[int, int], list[int]]]:
    """Edges between the same two nodes together; each edge from a node to itself alone."""
    found: dict[tuple[int, int, int], list[int]] = {}
    for number, (a, b) in enumerate(edges):
        key = (a, b, number) if a == b else (min(a, b), max(a, b), -1)
        found.setdefault(key, []).append(number)
    return [((a, b), members) for (a, b, _), members in found.items()]


def _side_by_side(
    graph: Any, boxes: Sequence[Size], groups: Sequence[int], networkx: Any
) -> tuple[list[Point], Size]:
    """Places for all vertices, part after part from left to right, and the size of all."""
    found = [sorted(part) for part in networkx.connected_components(graph)]
    points: dict[int, Point] = {}
    left = top = bottom = 0.0
    for part in sorted(found, key=lambda part: (groups[part[0]], part[0])):
        inner = _turned(_scaled(graph.subgraph(part), boxes, networkx), part)
        for _ in range(_GROWTHS):
            if not _overlaps(inner, boxes):
                break
            inner = {v: (x * _GROWTH, y * _GROWTH) for v, (x, y) in inner.items()}
        edge = min(x - boxes[v][0] / 2 for v, (x, _) in inner.items())
        points |= {v: (x - edge + left, y) for v, (x, y) in inner.items()}
        left = max(points[v][0] + boxes[v][0] / 2 for v in part) + _APART_springs
        top = min(top, *(points[v][1] - boxes[v][1] / 2 for v in part))
        bottom = max(bottom, *(points[v][1] + boxes[v][1] / 2 for v in part))
    placed = [(points[v][0], points[v][1] - top) for v in range(len(boxes))]
    return placed, (max(left - _APART_springs, 0.0), bottom - top)


def _reach(box: Size) -> float:
    """How far a box reaches from its centre."""
    return max(box) / 2


def _scaled(part: Any, boxes: Sequence[Size], networkx: Any) -> dict[int, Point]:
    """Places whose distances along edges are about as wanted: of several starts the clearest."""
    if len(part) == 1:
        return {v: (0.0, 0.0) for v in part}
    order = sorted(part)
    if len(order) <= _SMALL:
        starts = [networkx.circular_layout(order)]
        starts += [networkx.random_layout(order, seed=seed) for seed in range(1, _STARTS)]
    else:
        starts = [networkx.spectral_layout(part, weight=None)]  # nearer: a chain unrolls at once
    lines = list(part.edges)
    best, fewest = {}, -1
    for start in starts:
        found = networkx.kamada_kawai_layout(part, pos=start)
        points = {v: (float(x), float(y)) for v, (x, y) in found.items()}
        wanted = length = 0.0
        for a, b, weight in part.edges(data="weight"):
            distance = hypot(points[a][0] - points[b][0], points[a][1] - points[b][1])
            wanted, length = wanted + weight * distance, length + distance * distance
        factor = wanted / length if length else 1.0
        points = {v: (x * factor, y * factor) for v, (x, y) in points.items()}
        faults = _faults(points, lines, boxes)
        if fewest < 0 or faults < fewest:
            best, fewest = points, faults
        if not fewest:
            break
    return best


def _faults(
    points: dict[int, Point], lines: Sequence[tuple[int, int]], boxes: Sequence[Size]
) -> int:
    """How many lines cross each other or a box."""

    def side(a: int, b: int, c: int) -> bool:
        (ax, ay), (bx, by), (cx, cy) = points[a], points[b], points[c]
        return (bx - ax) * (cy - ay) > (by - ay) * (cx - ax)

    crossings = sum(
        side(a, b, c) != side(a, b, d) and side(c, d, a) != side(c, d, b)
        for (a, b), (c, d) in combinations(lines, 2)
        if len({a, b, c, d}) == 4
    )
    through = 0
    for a, b in lines:
        (ax, ay), (bx, by) = points[a], points[b]
        square = (bx - ax) ** 2 + (by - ay) ** 2 or 1.0
        for v, (x, y) in points.items():
            if v not in (a, b):
                t = min(max(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / square, 0.0), 1.0)
                near = hypot(ax + t * (bx - ax) - x, ay + t * (by - ay) - y)
                through += near < min(boxes[v]) / 2 + _ROOM
    return crossings + 2 * through


def _turned(points: dict[int, Point], part: Sequence[int]) -> dict[int, Point]:
    """The longest direction to the right, the first node to the left and not below."""
    count = len(points)
    middle = sum(x for x, _ in points.values()) / count, sum(y for _, y in points.values()) / count
    moved = {v: (x - middle[0], y - middle[1]) for v, (x, y) in points.items()}
    xx, yy = sum(x * x for x, _ in moved.values()), sum(y * y for _, y in moved.values())
    angle = atan2(2 * sum(x * y for x, y in moved.values()), xx - yy) / 2
    c, s = cos(angle), sin(angle)
    turned = {v: (x * c + y * s, y * c - x * s) for v, (x, y) in moved.items()}
    right = -1 if turned[part[0]][0] > 1 else 1
    down = -1 if next((y for v in part for _, y in [turned[v]] if abs(y) > 1), -1) > 0 else 1
    return {v: (x * right, y * down) for v, (x, y) in turned.items()}


def _overlaps(points: dict[int, Point], boxes: Sequence[Size]) -> bool:
    """Do two boxes come closer than they should?"""
    return any(
        abs(points[a][0] - points[b][0]) < (boxes[a][0] + boxes[b][0]) / 2 + _ROOM
        and abs(points[a][1] - points[b][1]) < (boxes[a][1] + boxes[b][1]) / 2 + _ROOM
        for a, b in combinations(points, 2)
        if min(boxes[a]) and min(boxes[b])
    )
