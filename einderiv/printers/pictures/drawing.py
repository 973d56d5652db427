"""Graphs and patterns drawn: SVG and PNG.

In: a `Graph`, or a `Grid` of cells. Out: bytes of a file. The only file that imports matplotlib.
Invariant: no state of matplotlib is used or changed: neither pyplot nor the user's settings; the same input
gives the same bytes. Texts are drawn as outlines, so that no text is markup.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from typing import Any

import numpy as np

from ...errors import BackendError, ResourceLimitError
from ...programs import Array
from ..text import broken
from .graph import GREY, INK, STYLES, Graph, Node
from .layout import Places, Point, Size, layered, spread

MOST_NODES = 200  # in a drawn picture; more are not legible

_TEXT, _NOTE, _MARK = 10.5, 8.5, 7.0  # font sizes in points
_MARGIN = 12.0
_LINE = "#8b949e"
_CAPTION = 92  # characters of a line under the picture
_lock = threading.Lock()  # matplotlib's settings are global while it draws


@dataclass(frozen=True, slots=True)
class Layer:
    """A colour, what it stands for, and the entries that have it (booleans, rows by columns)."""

    colour: str
    text: str
    mask: Array


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a matrix picture: its axes, the lines between blocks, a text for each block."""

    text: str
    lines: tuple[int, ...]
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A matrix picture: layers of entries, what stands at its left and at its top, lines under it."""

    shape: tuple[int, int]
    layers: tuple[Layer, ...]
    left: Side
    top: Side
    facts: tuple[str, ...]


class Canvas:
    """A figure whose unit is a point, x to the right and y downwards."""

    def __init__(self, size: Size) -> None:
        from matplotlib.figure import Figure

        width, height = max(size[0], 1) + 2 * _MARGIN, max(size[1], 1) + 2 * _MARGIN
        self.figure = Figure(figsize=(width / 72, height / 72), facecolor="white")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_xlim(-_MARGIN, width - _MARGIN)
        self.axes.set_ylim(height - _MARGIN, -_MARGIN)
        self.axes.set_axis_off()

    def text(self, at: Point, text: str, size: float, colour: str = INK, **more: Any) -> None:
        placed = {"ha": "center", "va": "center", **more}
        self.axes.text(*at, text, fontsize=size, color=colour, parse_math=False, zorder=5, **placed)

    def box(self, at: Point, size: Size, fill: str, line: str, corner: float) -> None:
        from matplotlib.patches import FancyBboxPatch

        (x, y), (width, height) = at, size
        self.axes.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2),
                width,
                height,
                boxstyle=f"round,pad=0,rounding_size={corner}",
                facecolor=fill,
                edgecolor=line,
                linewidth=0.9,
                zorder=3,
            )
        )

    def disc(self, at: Point, radius: float, fill: str, line: str) -> None:
        from matplotlib.patches import Circle

        patch = Circle(at, radius, facecolor=fill, edgecolor=line, linewidth=0.9, zorder=3)
        self.axes.add_patch(patch)

    def curve(self, points: Sequence[Point], codes: Sequence[int], arrow: bool) -> None:
        from matplotlib.patches import FancyArrowPatch, PathPatch
        from matplotlib.path import Path

        path = Path(list(points), list(codes))
        if arrow:
            patch: Any = FancyArrowPatch(
                path=path, arrowstyle="-|>,head_length=3.2,head_width=1.7", shrinkA=0, shrinkB=0
            )
            patch.set(facecolor=_LINE, edgecolor=_LINE, linewidth=0.9, zorder=1)
        else:
            patch = PathPatch(path, facecolor="none", edgecolor=_LINE, linewidth=1.1, zorder=1)
        self.axes.add_patch(patch)

    def line(self, start: Point, end: Point, colour: str, width: float) -> None:
        """A straight line over a matrix."""
        if width:
            (ax, ay), (bx, by) = start, end
            self.axes.plot([ax, bx], [ay, by], color=colour, linewidth=width, zorder=3)

    def image(self, colours: Array, start: Point, end: Point) -> None:
        """Cells of one colour each."""
        extent = (start[0], end[0], end[1], start[1])
        box = self.axes.get_xlim(), self.axes.get_ylim()
        self.axes.imshow(colours, extent=extent, interpolation="nearest", aspect="auto", zorder=2)
        self.axes.set(xlim=box[0], ylim=box[1])

    def bytes(self, kind: str, dpi: int) -> bytes:
        buffer = io.BytesIO()
        empty = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        self.figure.savefig(buffer, format=kind, dpi=dpi, metadata=empty, facecolor="white")
        return buffer.getvalue()


def drawn(draw: Callable[[], Canvas], kind: str, dpi: int) -> bytes:
    """What `draw` draws as the bytes of a file; BackendError where matplotlib is missing."""
    try:
        import matplotlib.style
    except ImportError:
        raise BackendError(
            f"a picture as {kind} needs matplotlib, which is not installed",
            facts=["texts need no library: .dot of a graph, str() of a pattern of zeros"],
            hint='pip install "einderiv[plot]"',
        ) from None
    settings = {"svg.hashsalt": "einderiv", "svg.fonttype": "path", "font.family": "DejaVu Sans"}
    with _lock, warnings.catch_warnings(), matplotlib.style.context(["default", settings]):
        warnings.simplefilter("ignore")  # a letter that the font lacks is drawn as a box
        return draw().bytes(kind, dpi)


def text_size(text: str, size: float) -> Size:
    """Width and height of a line of text."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(family="DejaVu Sans", size=size)
    width, _, _ = TextToPath().get_text_width_height_descent(text, font, False)
    return float(width), size * 1.25


# ---------------------------------------------------------------- graphs


def check_drawable(graph: Graph) -> None:
    """Refuse what nobody could read."""
    if len(graph.nodes) > MOST_NODES:
        raise ResourceLimitError(
            f"a {graph.kind} of {len(graph.nodes)} nodes is too large for a legible picture",
            facts=[f"pictures have up to {MOST_NODES} nodes; the Graphviz text has no limit"],
            hint="take .dot, or save it as a .dot file; or draw a part of the expression",
        )


def graph_canvas(graph: Graph) -> Canvas:
    """The graph, placed and drawn."""
    sizes = [_node_size(node) for node in graph.nodes]
    ends = [(edge.source, edge.target) for edge in graph.edges]
    labels = [edge.label and _padded(text_size(edge.label, _NOTE), 3) for edge in graph.edges]
    texts = [label or None for label in labels]
    if graph.is_directed:
        places = layered(sizes, ends, texts)
    else:
        places = spread(sizes, ends, texts, [node.group for node in graph.nodes])
    caption = _wrapped(graph.caption)
    lines = [text_size(line, _NOTE) for line in caption]
    width = max(places.size[0], *(w for w, _ in lines), 0) if lines else places.size[0]
    below = sum(h for _, h in lines) + (10 if lines else 0)
    canvas = Canvas((width, places.size[1] + below))
    shift = (width - places.size[0]) / 2
    places = _shifted(places, shift)
    for number, edge in enumerate(graph.edges):
        route = places.routes[number]
        if graph.is_directed:
            canvas.curve(*_flowing(route), arrow=True)
        else:
            canvas.curve(*_bent(route), arrow=False)
        at, size = places.texts[number], texts[number]
        if at is not None and size is not None:
            canvas.box(at, size, "white", "white", 2)
            canvas.text(at, edge.label, _NOTE, INK)
    for node, at, size in zip(graph.nodes, places.centres, sizes, strict=True):
        _draw_node(canvas, node, at, size)
    if not graph.is_directed:
        _axis_numbers(canvas, graph, places, sizes, texts)
    y = places.size[1] + 10
    for line, (_, height) in zip(caption, lines, strict=True):
        canvas.text((width / 2, y + height / 2), line, _NOTE, GREY)
        y += height
    return canvas


def _padded(size: Size, by: float) -> Size:
    return size[0] + 2 * by, size[1]


def _node_size(node: Node) -> Size:
    style = STYLES[node.kind]
    if style.outline in ("dot", "cap"):
        return 7.0, 7.0
    parts = [text_size(node.label, _TEXT)]
    parts += [text_size(line, _NOTE) for line in node.note.split("\n") if line]
    width, height = max(w for w, _ in parts), sum(h for _, h in parts)
    if style.outline == "none":
        return width + 4, height + 2
    if style.outline == "circle":
        return max(width + 14, 26.0), 26.0
    return max(width + 14, 26.0), height + 8


def _draw_node(canvas: Canvas, node: Node, at: Point, size: Size) -> None:
    style = STYLES[node.kind]
    x, y = at
    if style.outline in ("dot", "cap"):
        canvas.disc(at, 2.6 if style.outline == "dot" else 3.2, style.fill, style.line)
        if node.label:
            canvas.text((x, y - 9), node.label, _NOTE)
        return
    if node.kind == "open":  # the line ends where its index stands
        canvas.box(at, (size[0], size[1] - 1), "white", "white", 1)
    if style.outline != "none":
        corner = {"circle": 13.0, "round": 6.0}.get(style.outline, 1.5)
        canvas.box(at, size, style.fill, style.line, min(corner, size[1] / 2 - 0.1))
    notes = [line for line in node.note.split("\n") if line]
    heights = [_TEXT * 1.25, *(_NOTE * 1.25 for _ in notes)]
    top = y - sum(heights) / 2
    for k, (line, height) in enumerate(zip([node.label, *notes], heights, strict=True)):
        place = (x, top + height / 2)
        canvas.text(place, line, _NOTE if k else _TEXT, GREY if k else INK)
        top += height


def _wrapped(text: str) -> list[str]:
    """Up to three lines for the caption."""
    lines: list[str] = []
    for line in text.split("\n"):
        for part in broken(
            line, _CAPTION
        ):  # before operators, and within words only where it must be
            lines += [part[k : k + _CAPTION] for k in range(0, len(part), _CAPTION)]
    if len(lines) > 3:
        lines = [*lines[:2], f"{lines[2][: _CAPTION - 1]}…"]
    return lines


def _shifted(places: Places, by: float) -> Places:
    def moved(point: Point) -> Point:
        return point[0] + by, point[1]

    return Places(
        [moved(p) for p in places.centres],
        [[moved(p) for p in route] for route in places.routes],
        [None if p is None else moved(p) for p in places.texts],
        places.size,
    )


_MOVE, _CUBIC, _SQUARE = 1, 4, 3  # codes of matplotlib.path.Path


def _flowing(route: Sequence[Point]) -> tuple[list[Point], list[int]]:
    """A curve through the points of a route that leaves and arrives vertically."""
    points, codes = [route[0]], [_MOVE]
    for (ax, ay), (bx, by) in pairwise(route):
        if (ax, ay) == (bx, by):
            continue
        middle = (ay + by) / 2
        points += [(ax, middle), (bx, middle), (bx, by)]
        codes += [_CUBIC] * 3
    return points, codes


def _bent(route: Sequence[Point]) -> tuple[list[Point], list[int]]:
    """A curve from the first to the last point through the middle one; a loop where these are one."""
    (ax, ay), (mx, my), (bx, by) = route
    if (ax, ay) == (bx, by):
        dx, dy = mx - ax, my - ay
        side = (-dy * 1.1, dx * 1.1)
        first = (ax + dx * 1.33 + side[0], ay + dy * 1.33 + side[1])
        second = (ax + dx * 1.33 - side[0], ay + dy * 1.33 - side[1])
        return [(ax, ay), first, second, (bx, by)], [_MOVE, _CUBIC, _CUBIC, _CUBIC]
    control = (2 * mx - (ax + bx) / 2, 2 * my - (ay + by) / 2)
    return [(ax, ay), control, (bx, by)], [_MOVE, _SQUARE, _SQUARE]


def _axis_numbers(
    canvas: Canvas,
    graph: Graph,
    places: Places,
    sizes: Sequence[Size],
    texts: Sequence[Size | None],
) -> None:
    """The numbers of tensors' axes beside the lines, where these leave the tensors."""
    taken = list(zip(places.centres, sizes, strict=True))
    taken += [(at, size) for at, size in zip(places.texts, texts, strict=True) if at and size]
    for edge, route in zip(graph.edges, places.routes, strict=True):
        points, _ = _bent(route)
        for mark, start, towards, node in (
            (edge.ends[0], points[0], points[1], edge.source),
            (edge.ends[1], points[-1], points[-2], edge.target),
        ):
            if not mark:
                continue
            box = text_size(mark, _MARK)[0] + 1, _MARK + 1
            options = _beside(start, towards, sizes[node])
            free = (at for at in options if not any(_meet(at, box, *other) for other in taken))
            at = next(free, options[0])
            taken.append((at, box))
            canvas.text(at, mark, _MARK, GREY)


def _beside(start: Point, towards: Point, size: Size) -> list[Point]:
    """Places for a mark beside a line that leaves a box, the best first."""
    dx, dy = towards[0] - start[0], towards[1] - start[1]
    length = hypot(dx, dy) or 1.0
    dx, dy = dx / length, dy / length
    sides = [half / abs(d) for half, d in ((size[0] / 2, dx), (size[1] / 2, dy)) if d]
    border = min(*sides, hypot(*size) / 2) if sides else 0.0
    return [
        (start[0] + dx * out + dy * aside, start[1] + dy * out - dx * aside)
        for out in (border + 4, border + 8, border + 12, border + 1)
        for aside in (5, -5)
    ]


def _meet(at: Point, size: Size, other: Point, other_size: Size) -> bool:
    """Do two boxes overlap?"""
    return (
        abs(at[0] - other[0]) < (size[0] + other_size[0]) / 2
        and abs(at[1] - other[1]) < (size[1] + other_size[1]) / 2
    )


# ---------------------------------------------------------------- matrices

_ZERO, _SEVERAL = "#f3f4f6", "#2f343b"
_LARGEST_CELL, _SIDE = 14.0, 330.0  # points
_LEGEND = 13.0


def grid_canvas(grid: Grid) -> Canvas:
    """The matrix with its entries coloured, the legend under it."""
    height, width = grid.shape
    cell = min(_LARGEST_CELL, _SIDE / max(height, width, 1))
    legend = [(layer.colour, layer.text) for layer in grid.layers]
    count = sum((layer.mask.astype(int) for layer in grid.layers), np.zeros(grid.shape, int))
    if (count > 1).any():
        legend.append((_SEVERAL, "several of these"))
    size = cell * width, cell * height
    left = _LEGEND * (1 + bool(grid.left.blocks)) + 4
    top = _LEGEND * (1 + bool(grid.top.blocks)) + 4
    lines = [line for fact in grid.facts for line in _wrapped(fact)]
    texts = [text for _, text in legend]
    wide = [18 + text_size(text, _NOTE)[0] for text in texts]
    wide += [text_size(line, _NOTE)[0] for line in lines]
    sides = [text_size(side.text, _NOTE)[0] for side in (grid.left, grid.top)]
    room = max(size[0], sides[1]), max(size[1], sides[0])
    canvas = Canvas(
        (left + max(room[0], *wide), top + room[1] + 10 + _LEGEND * (len(legend) + len(lines)))
    )
    _draw_cells(canvas, grid, (left, top), cell, count)
    _draw_sides(canvas, grid, (left, top), cell)
    y = top + room[1] + 10 + _LEGEND / 2
    for colour, text in legend:
        canvas.box((left + 5, y), (9, 9), colour, colour, 1)
        canvas.text((left + 16, y), text, _NOTE, ha="left")
        y += _LEGEND
    for line in lines:
        canvas.text((left, y), line, _NOTE, GREY, ha="left")
        y += _LEGEND
    return canvas


def _draw_cells(canvas: Canvas, grid: Grid, at: Point, cell: float, count: Array) -> None:
    height, width = grid.shape
    colours = np.empty((height, width, 3))
    colours[:] = _rgb(_ZERO)
    for layer in grid.layers:
        colours[layer.mask] = _rgb(layer.colour)
    colours[count > 1] = _rgb(_SEVERAL)
    if not colours.size:
        return
    x, y = at
    right, bottom = x + cell * width, y + cell * height
    canvas.image(colours, (x, y), (right, bottom))
    thin = 0.8 if cell >= 4 else 0.0
    for k in range(width + 1):
        canvas.line((x + k * cell, y), (x + k * cell, bottom), "white", thin)
    for k in range(height + 1):
        canvas.line((x, y + k * cell), (right, y + k * cell), "white", thin)
    for k in grid.top.lines:
        canvas.line((x + k * cell, y), (x + k * cell, bottom), _LINE, 0.9)
    for k in grid.left.lines:
        canvas.line((x, y + k * cell), (right, y + k * cell), _LINE, 0.9)


def _draw_sides(canvas: Canvas, grid: Grid, at: Point, cell: float) -> None:
    """The axes beside the matrix, and the number of each block where there is room."""
    x, y = at
    height, width = grid.shape
    middle = y + cell * height / 2
    canvas.text((_LEGEND / 2, middle), grid.left.text, _NOTE, rotation=90)
    canvas.text((x + cell * width / 2, _LEGEND / 2), grid.top.text, _NOTE)
    for side, extent, across in ((grid.left, height, True), (grid.top, width, False)):
        step = cell * extent / max(len(side.blocks), 1)
        for k, text in enumerate(side.blocks):
            if text_size(text, _MARK)[0] > step:
                break
            along = (k + 0.5) * step
            if across:
                canvas.text((x - 8, y + along), text, _MARK, GREY, rotation=90)
            else:
                canvas.text((x + along, y - 8), text, _MARK, GREY)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return red, green, blue
