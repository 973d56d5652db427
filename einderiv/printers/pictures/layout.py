"""Places for the nodes of a graph: in layers from operands to results, or as a network.

In: sizes of nodes, edges with the sizes of their texts. Out: `Places`.
Invariant: nothing overlaps, and a text on an edge has a place of its own; in layers every edge leads
downwards; the same graph gives the same places. The only file that imports networkx.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...errors import BackendError
from ...programs import Array

Point = tuple[float, float]
Size = tuple[float, float]

_SWEEPS = 24  # over the layers, in turn down and up
_APART, _BETWEEN = 14.0, 17.0  # points between neighbours, and between layers
_THIN = 7.0  # between a long edge and what is beside it
_LINE = 17.0  # of an edge of a network between a node and the text on it
_LEG = 20.0  # of an edge without a text
_PARTS = 22.0  # between the parts of a network
_ROOM = 3.0  # between its boxes
_GROWTH, _GROWTHS = 1.12, 30  # of a part in which something overlaps


@dataclass(frozen=True, slots=True)
class Places:
    """Centres of nodes, the points each edge goes through, centres of the texts on edges; the size of all.

    In points, x to the right and y downwards.
    """

    centres: list[Point]
    routes: list[list[Point]]
    texts: list[Point | None]
    size: Size


def _networkx() -> Any:
    """The library; BackendError if it is missing."""
    try:
        import networkx
    except ImportError:
        raise BackendError(
            "the picture of a graph needs networkx, which is not installed",
            facts=["its Graphviz text needs no library: .dot"],
            hint='pip install "einderiv[plot]"',
        ) from None
    return networkx


def layer_places(
    sizes: Sequence[Size], edges: Sequence[tuple[int, int]], text_sizes: Sequence[Size | None]
) -> Places:
    """Places for nodes of these sizes in layers; every edge leads from a node to a later one.

    After Sugiyama, Tagawa, Toda, "Methods for visual understanding of hierarchical system structures"
    (1981): each layer just above its first use, dummy vertices on long edges, sweeps by barycentres.
    """
    networkx = _networkx()
    boxes = [*sizes]  # of nodes, then of texts, then of dummies
    chains = [list(edge) for edge in edges]
    for chain, size in zip(chains, text_sizes, strict=True):
        if size is not None:
            chain.insert(1, len(boxes))
            boxes.append(size)

    def graph_of_chains() -> Any:
        graph = networkx.DiGraph()
        graph.add_nodes_from(range(len(boxes)))
        for chain in chains:
            networkx.add_path(graph, chain[::-1])
        return graph

    generations = list(networkx.topological_generations(graph_of_chains()))[::-1]
    layer = {v: number for number, row in enumerate(generations) for v in row}
    first_dummy = len(boxes)
    for chain in chains:
        for u, v in list(pairwise(chain)):
            for number in range(layer[u] + 1, layer[v]):
                layer[len(boxes)] = number
                chain.insert(chain.index(v), len(boxes))
                boxes.append((0.0, 0.0))
    graph = graph_of_chains()
    graph.add_edges_from([(-1, v) for v in reversed(range(len(sizes))) if not graph.pred[v]])
    rows: list[list[int]] = [[] for _ in generations]
    for v in networkx.dfs_preorder_nodes(graph, -1) if boxes else ():  # operands in their order
        if v >= 0:
            rows[layer[v]].append(v)
    graph.remove_nodes_from([-1])
    xs = _horizontal(graph.succ, graph.pred, rows, [w for w, _ in boxes], first_dummy)
    ys, bands, top = [0.0] * len(boxes), [], 0.0
    for row in rows:
        bottom = top + max(boxes[v][1] for v in row)
        bands.append((top, bottom))
        for v in row:
            ys[v] = (top + bottom) / 2
        top = bottom + _BETWEEN
    left = min((x - w / 2 for x, (w, _) in zip(xs, boxes, strict=True)), default=0.0)
    xs = [x - left for x in xs]
    starts = _ports([(chain[0], xs[chain[1]]) for chain in chains], xs, boxes)
    ends = _ports([(chain[-1], xs[chain[-2]]) for chain in chains], xs, boxes)
    routes = []
    for chain, start, end in zip(chains, starts, ends, strict=True):
        first, *through, last = chain
        route = [(start, ys[first] + boxes[first][1] / 2), (start, bands[layer[first]][1])]
        route += [(xs[v], y) for v in through for y in bands[layer[v]]]
        route += [(end, bands[layer[last]][0]), (end, ys[last] - boxes[last][1] / 2)]
        routes.append(route)
    points = list(zip(xs, ys, strict=True))
    texts = iter(points[len(sizes) :])
    shown = [None if size is None else next(texts) for size in text_sizes]
    right = max((x + w / 2 for x, (w, _) in zip(xs, boxes, strict=True)), default=0.0)
    return Places(points[: len(sizes)], routes, shown, (right, max(top - _BETWEEN, 0.0)))


def _horizontal(
    above: Any, below: Any, rows: list[list[int]], widths: Sequence[float], first_dummy: int
) -> list[float]:
    """Each vertex near the mean of its neighbours, long edges straight, nothing overlapping."""
    from scipy.optimize import isotonic_regression

    xs = [0.0] * len(widths)

    def place(row: list[int], wanted: Sequence[float]) -> None:
        gaps = [
            (widths[a] + widths[b]) / 2 + (_APART if max(a, b) < first_dummy else _THIN)
            for a, b in pairwise(row)
        ]
        offsets = np.cumsum([0.0, *gaps])
        weights = [8.0 if v >= first_dummy else 1.0 for v in row]
        found = isotonic_regression(np.asarray(wanted) - offsets, weights=weights).x + offsets
        for v, x in zip(row, found.tolist(), strict=True):
            xs[v] = x

    for row in rows:
        place(row, [0.0] * len(row))
    for sweep in range(2 * _SWEEPS):
        down, settled = sweep % 2 == 0, sweep >= _SWEEPS
        for row in rows if down else rows[::-1]:
            wanted = {}
            for v in row:
                near = [*above[v], *below[v]] if settled else [*(above[v] if down else below[v])]
                wanted[v] = sum(xs[u] for u in near) / len(near) if near else xs[v]
            if not settled:
                row.sort(key=wanted.__getitem__)
            place(row, [wanted[v] for v in row])
    return xs


def _ports(
    ends: Sequence[tuple[int, float]], xs: Sequence[float], boxes: Sequence[Size]
) -> list[float]:
    """Where along a node's side each edge leaves or reaches it, in the order of where the edges lead."""
    found = [0.0] * len(ends)
    for node in {v for v, _ in ends}:
        ports = sorted((x, number) for number, (v, x) in enumerate(ends) if v == node)
        for k, (_, number) in enumerate(ports):
            found[number] = xs[node] + 0.6 * boxes[node][0] * ((k + 0.5) / len(ports) - 0.5)
    return found


def network_places(
    sizes: Sequence[Size],
    edges: Sequence[tuple[int, int]],
    text_sizes: Sequence[Size | None],
    groups: Sequence[int],
) -> Places:
    """Places for the nodes of a network: distances as on the edges, parts side by side, group by group.

    After Kamada, Kawai, "An algorithm for drawing general undirected graphs" (1989).
    """
    networkx = _networkx()
    boxes = [*sizes]
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(sizes)))
    alike = Counter(frozenset(edge) for edge in edges)
    middles: list[int | None] = []
    for (a, b), size in zip(edges, text_sizes, strict=True):
        if size is None and a != b and alike[frozenset((a, b))] == 1:
            middles.append(None)
            graph.add_edge(a, b, length=_LEG + (max(boxes[a]) + max(boxes[b])) / 2)
            continue
        middles.append(len(boxes))
        boxes.append(size or (_LEG / 2, _LEG / 2))
        for end in (a, b):
            length = _LINE + (max(boxes[end]) + max(boxes[-1])) / 2
            graph.add_edge(end, middles[-1], length=length)
    half = np.array(boxes, float).reshape(-1, 2) / 2
    points = np.zeros_like(half)
    left = 0.0
    parts = [sorted(part) for part in networkx.connected_components(graph)]
    for part in sorted(parts, key=lambda part: (groups[part[0]], part[0])):
        own = _part(graph.subgraph(part), part, half[part], len(sizes), networkx)
        own[:, 0] += left - (own - half[part])[:, 0].min()
        left = (own + half[part])[:, 0].max() + _PARTS
        points[part] = own
    if len(points):
        points[:, 1] -= (points - half)[:, 1].min()
    height = (points + half)[:, 1].max(initial=0.0)
    at = [(x, y) for x, y in points.tolist()]
    routes = []
    for (a, b), middle in zip(edges, middles, strict=True):
        between = ((at[a][0] + at[b][0]) / 2, (at[a][1] + at[b][1]) / 2)
        routes.append([at[a], between if middle is None else at[middle], at[b]])
    shown = [
        None if size is None else route[1] for size, route in zip(text_sizes, routes, strict=True)
    ]
    return Places(at[: len(sizes)], routes, shown, (max(left - _PARTS, 0.0), float(height)))


def _part(graph: Any, order: list[int], half: Array, nodes: int, networkx: Any) -> Array:
    """Places whose distances along edges are about as wanted, the longest direction to the right."""
    if len(order) == 1:
        return np.zeros((1, 2))
    planar, _ = networkx.check_planarity(graph)
    start = networkx.planar_layout(graph) if planar else networkx.circular_layout(order)
    found = networkx.kamada_kawai_layout(graph, pos=start, weight="length")
    points = np.array([found[v] for v in order])
    points = points - points.mean(axis=0)
    count = sum(v < nodes for v in order)  # the others are in the middle of edges
    points = points @ np.linalg.svd(points[:count] if count > 1 else points)[2].T
    points *= np.where(points[0] > 1e-6, -1, 1)  # the first node to the left and not below
    place = {v: k for k, v in enumerate(order)}
    lines = [(place[a], place[b], length) for a, b, length in graph.edges(data="length")]
    distances = [float(np.linalg.norm(points[a] - points[b])) for a, b, _ in lines]
    wanted = sum(length * d for (_, _, length), d in zip(lines, distances, strict=True))
    points *= wanted / sum(d * d for d in distances)
    room = half[:, None] + half[None] + _ROOM
    for _ in range(_GROWTHS):
        close = (np.abs(points[:, None] - points[None]) < room).all(axis=-1)
        if close.sum() == len(order):  # each is close to itself
            break
        points *= _GROWTH
    return points
