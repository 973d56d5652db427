"""Places for the nodes of a network: distances in the picture as on the edges, parts side by side.

In: sizes of nodes, edges with the sizes of their texts, the group of every node. Out: `Places`.
Invariant: no two nodes overlap; a text on an edge has a place of its own; the same network gives the same
places. The only file that imports networkx. After Kamada, Kawai, "An algorithm for drawing general
undirected graphs" (1989).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import atan2, cos, hypot, sin
from typing import Any

from ..errors import BackendError
from .layered import Places, Point, Size

_LINE = 17.0  # points of an edge between a node and the text on it
_APART = 22.0  # between parts
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
        left = max(points[v][0] + boxes[v][0] / 2 for v in part) + _APART
        top = min(top, *(points[v][1] - boxes[v][1] / 2 for v in part))
        bottom = max(bottom, *(points[v][1] + boxes[v][1] / 2 for v in part))
    placed = [(points[v][0], points[v][1] - top) for v in range(len(boxes))]
    return placed, (max(left - _APART, 0.0), bottom - top)


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
