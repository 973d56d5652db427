"""What can be drawn: a graph that shows itself as Graphviz text, SVG or PNG; HTML for notebooks.

In: a `Graph`, a matrix of cells, or a term with its names. Out: texts, bytes, files; what a notebook asks
for. The only file that imports matplotlib; the Graphviz text needs no library.
Invariant: no state of matplotlib is used or changed: neither pyplot nor the user's settings; the same input
gives the same bytes. Texts are drawn as outlines, so that no text is markup.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise
from math import hypot
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ...errors import BackendError, DataError, NotationError, ResourceLimitError
from ...notations import Context
from ...programs import Array
from ...terms import Expr
from ..text import break_line
from .graph import (
    GREY,
    INK,
    STYLES,
    Graph,
    Node,
    is_network,
    network,
    operations,
    short_line,
    to_dot,
)
from .layout import Places, Point, Size, layer_places, network_places

_TEXT, _NOTE, _MARK = 10.5, 8.5, 7.0  # font sizes in points
_MARGIN = 12.0
_LINE = "#8b949e"
_COLUMNS = 92  # characters of a line under the picture
_CAPTION = 270  # characters under a picture
_MOST_NODES = 200  # in a drawn picture; more are not legible
_FORMULA = 6000  # characters of a formula in a notebook; a longer one is left out ...
_SHOWN = 4000  # ... and of a text; a longer one is cut
T = TypeVar("T")
_lock = threading.Lock()  # matplotlib's settings are global while it draws

# A colour, what it means, and the entries that have it (booleans, rows by columns).
Layer = tuple[str, str, Array]
# One side of a matrix picture: its axes, the lines between blocks, a text for each block.
Side = tuple[str, tuple[int, ...], tuple[str, ...]]


class Canvas:
    """A figure whose unit is a point, x to the right from `left` and y downwards."""

    def __init__(self, size: Size, left: float = 0.0) -> None:
        from matplotlib.figure import Figure

        width, height = max(size[0], 1) + 2 * _MARGIN, max(size[1], 1) + 2 * _MARGIN
        self.figure = Figure(figsize=(width / 72, height / 72), facecolor="white")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_xlim(left - _MARGIN, left + width - _MARGIN)
        self.axes.set_ylim(height - _MARGIN, -_MARGIN)
        self.axes.set_axis_off()

    def text(self, at: Point, text: str, size: float, colour: str = INK, **more: Any) -> None:
        options = {"ha": "center", "va": "center", "zorder": 5, "parse_math": False, **more}
        self.axes.text(*at, text, fontsize=size, color=colour, **options)

    def box(self, at: Point, size: Size, fill: str, line: str, corner: float) -> None:
        from matplotlib.patches import FancyBboxPatch

        start = (at[0] - size[0] / 2, at[1] - size[1] / 2)
        style = f"round,pad=0,rounding_size={corner}"
        colours = {"facecolor": fill, "edgecolor": line, "linewidth": 0.9, "zorder": 3}
        self.axes.add_patch(FancyBboxPatch(start, *size, boxstyle=style, **colours))

    def curve(self, points: Sequence[Point], arrow: bool) -> None:
        """A quadratic curve through three points, else cubic ones."""
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        style = "-|>,head_length=3.2,head_width=1.7" if arrow else "-"
        looks = {"color": _LINE, "linewidth": 0.9 if arrow else 1.1, "zorder": 1}
        code = Path.CURVE3 if len(points) == 3 else Path.CURVE4
        path = Path(points, [Path.MOVETO, *[code] * (len(points) - 1)])
        patch = FancyArrowPatch(path=path, arrowstyle=style, shrinkA=0, shrinkB=0, **looks)
        self.axes.add_patch(patch)


def text_size(text: str, size: float, beside: float = 0.0) -> Size:
    """Width and height of a line of text, with room at its sides."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(family="DejaVu Sans", size=size)
    width, _, _ = TextToPath().get_text_width_height_descent(text, font, False)
    return float(width) + 2 * beside, size * 1.25


def graph_canvas(graph: Graph) -> Canvas:
    """The graph, placed and drawn."""
    sizes = [_node_size(node) for node in graph.nodes]
    ends = [(edge.source, edge.target) for edge in graph.edges]
    texts = [text_size(edge.label, _NOTE, 3) if edge.label else None for edge in graph.edges]
    if graph.is_directed:
        places = layer_places(sizes, ends, texts)
    else:
        places = network_places(sizes, ends, texts, [node.group for node in graph.nodes])
    caption = _caption_lines(graph.caption)
    lines = [text_size(line, _NOTE) for line in caption]
    width = max([places.size[0], *(w for w, _ in lines)])
    below = sum(h for _, h in lines) + (10 if lines else 0)
    canvas = Canvas((width, places.size[1] + below), (places.size[0] - width) / 2)
    for number, edge in enumerate(graph.edges):
        curve = _flow if graph.is_directed else _bend
        canvas.curve(curve(places.routes[number]), arrow=graph.is_directed)
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
        canvas.text((places.size[0] / 2, y + height / 2), line, _NOTE, GREY)
        y += height
    return canvas


def _lines_of(node: Node) -> list[tuple[str, float]]:
    """The texts of a node with their sizes."""
    return [(node.label, _TEXT), *([(node.note, _NOTE)] if node.note else [])]


def _node_size(node: Node) -> Size:
    outline = STYLES[node.kind].outline
    if outline in ("dot", "cap"):
        return 7.0, 7.0
    parts = [text_size(*line) for line in _lines_of(node)]
    width, height = max(w for w, _ in parts), sum(h for _, h in parts)
    if outline == "none":
        return width + 4, height + 2
    return max(width + 14, 26.0), 26.0 if outline == "circle" else height + 8


def _draw_node(canvas: Canvas, node: Node, at: Point, size: Size) -> None:
    style = STYLES[node.kind]
    x, y = at
    if style.outline in ("dot", "cap"):
        radius = 2.6 if style.outline == "dot" else 3.2
        canvas.box(at, (2 * radius, 2 * radius), style.fill, style.line, radius)
        if node.label:
            canvas.text((x, y - 9), node.label, _NOTE)
        return
    if node.kind == "open":  # the line ends where its index is
        canvas.box(at, (size[0], size[1] - 1), "white", "white", 1)
    if style.outline != "none":
        corner = {"circle": 13.0, "round": 6.0}.get(style.outline, 1.5)
        canvas.box(at, size, style.fill, style.line, min(corner, size[1] / 2 - 0.1))
    y -= sum(height for _, height in _lines_of(node)) * 1.25 / 2
    for text, height in _lines_of(node):
        canvas.text((x, y + height * 1.25 / 2), text, height, INK if height == _TEXT else GREY)
        y += height * 1.25


def _caption_lines(text: str) -> list[str]:
    """Up to three lines for the caption."""
    lines: list[str] = []
    for line in text.split("\n"):
        for part in break_line(line, _COLUMNS):  # within words only if it must be
            lines += [part[k : k + _COLUMNS] for k in range(0, len(part), _COLUMNS)]
    if len(lines) > 3:
        lines = [*lines[:2], f"{lines[2][: _COLUMNS - 1]}…"]
    return lines


def _flow(route: Sequence[Point]) -> list[Point]:
    """A curve through the points of a route that leaves and arrives vertically."""
    points = [route[0]]
    for (ax, ay), (bx, by) in pairwise(route):
        if (ax, ay) != (bx, by):
            middle = (ay + by) / 2
            points += [(ax, middle), (bx, middle), (bx, by)]
    return points


def _bend(route: Sequence[Point]) -> list[Point]:
    """A curve from the first to the last point through the middle one; a loop if these are one."""
    (ax, ay), (mx, my), (bx, by) = route
    if (ax, ay) == (bx, by):
        dx, dy = mx - ax, my - ay
        x, y, aside, up = ax + dx * 1.33, ay + dy * 1.33, -dy * 1.1, dx * 1.1
        return [(ax, ay), (x + aside, y + up), (x - aside, y - up), (bx, by)]
    return [(ax, ay), (2 * mx - (ax + bx) / 2, 2 * my - (ay + by) / 2), (bx, by)]


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
        points = _bend(route)
        for mark, start, towards, node in (
            (edge.ends[0], points[0], points[1], edge.source),
            (edge.ends[1], points[-1], points[-2], edge.target),
        ):
            if mark:
                box = text_size(mark, _MARK)[0] + 1, _MARK + 1
                options = _beside(start, towards, sizes[node])
                at = next((at for at in options if _is_free(at, box, taken)), options[0])
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


def _is_free(at: Point, size: Size, taken: Sequence[tuple[Point, Size]]) -> bool:
    """Does the box overlap none of the others?"""
    return not any(
        abs(at[0] - x) < (size[0] + width) / 2 and abs(at[1] - y) < (size[1] + height) / 2
        for (x, y), (width, height) in taken
    )


_ZERO, _SEVERAL = "#f3f4f6", "#2f343b"
_LARGEST_CELL, _SIDE = 14.0, 330.0  # points
_LEGEND = 13.0


def grid_canvas(
    shape: tuple[int, int], layers: Sequence[Layer], left: Side, top: Side, facts: Sequence[str]
) -> Canvas:
    """A matrix with its entries coloured, what its sides are, the legend and the facts under it."""
    height, width = shape
    cell = min(_LARGEST_CELL, _SIDE / max(height, width, 1))
    count = sum((mask.astype(int) for _, _, mask in layers), np.zeros(shape, int))
    legend = [(colour, text) for colour, text, _ in layers]
    if (count > 1).any():
        legend.append((_SEVERAL, "several of these"))
    lines = [line for fact in facts for line in _caption_lines(fact)]
    wide = [text_size(text, _NOTE, 9)[0] for _, text in legend]
    wide += [text_size(text, _NOTE)[0] for text in (*lines, top[0])]
    x, y = (_LEGEND * (1 + bool(blocks)) + 4 for _, _, blocks in (left, top))
    right, bottom = x + cell * width, y + cell * height
    under = max(bottom, y + text_size(left[0], _NOTE)[0]) + 10
    size = max(right, *(x + w for w in wide)), under + _LEGEND * (len(legend) + len(lines))
    canvas = Canvas(size)
    if height and width:
        from matplotlib.colors import to_rgb

        colours = np.empty((height, width, 3))
        colours[:] = to_rgb(_ZERO)
        for colour, _, mask in layers:
            colours[mask] = to_rgb(colour)
        colours[count > 1] = to_rgb(_SEVERAL)
        box = canvas.axes.get_xlim(), canvas.axes.get_ylim()
        ends = (x, right, bottom, y)
        canvas.axes.imshow(colours, extent=ends, interpolation="nearest", aspect="auto", zorder=2)
        canvas.axes.set(xlim=box[0], ylim=box[1])
        thin = 0.8 if cell >= 4 else 0.0
        for breaks, cells, is_row in ((left[1], height, True), (top[1], width, False)):
            lines_at = [(k, "white", thin) for k in range(cells + 1) if thin]
            for k, colour, broad in [*lines_at, *((k, _LINE, 0.9) for k in breaks)]:
                xs, ys = [x + k * cell] * 2, [y, bottom]
                if is_row:
                    xs, ys = [x, right], [y + k * cell] * 2
                canvas.axes.plot(xs, ys, color=colour, linewidth=broad, zorder=3)
    canvas.text((_LEGEND / 2, (y + bottom) / 2), left[0], _NOTE, rotation=90)
    canvas.text(((x + right) / 2, _LEGEND / 2), top[0], _NOTE)
    for blocks, extent, is_left in ((left[2], height, True), (top[2], width, False)):
        step = cell * extent / max(len(blocks), 1)
        for k, text in enumerate(blocks):
            if text_size(text, _MARK)[0] > step:
                break
            along = (k + 0.5) * step
            at = (x - 8, y + along) if is_left else (x + along, y - 8)
            canvas.text(at, text, _MARK, GREY, rotation=90 * is_left)
    under += _LEGEND / 2
    for colour, text in legend:
        canvas.box((x + 5, under), (9, 9), colour, colour, 1)
        canvas.text((x + 16, under), text, _NOTE, ha="left")
        under += _LEGEND
    for line in lines:
        canvas.text((x, under), line, _NOTE, GREY, ha="left")
        under += _LEGEND
    return canvas


class Drawn:
    """What can be drawn: as SVG and PNG, in a file, in a notebook."""

    __slots__ = ()
    text_kind = "txt"  # how a file's name ends that holds the text

    def _canvas(self) -> Canvas:
        raise NotImplementedError

    def _check(self) -> None:
        """Refuse what is too large to be drawn."""

    def svg(self) -> str:
        """The picture as SVG. Raises BackendError without matplotlib, ResourceLimitError beyond 200 nodes."""
        return self._file("svg", 72).decode()

    def png(self, dpi: int = 144) -> bytes:
        """The picture as PNG, with so many pixels an inch; errors as of `svg`."""
        if isinstance(dpi, bool) or not isinstance(dpi, int) or not 10 <= dpi <= 1200:
            raise DataError(
                f"dpi={dpi!r} is no resolution",
                facts=["it is a whole number of pixels an inch, from 10 to 1200"],
                hint="write for example dpi=144",
            )
        return self._file("png", dpi)

    def _file(self, kind: str, dpi: int) -> bytes:
        self._check()
        try:
            import matplotlib.style
        except ImportError:
            raise BackendError(
                f"a picture as {kind} needs matplotlib, which is not installed",
                facts=["texts need no library: .dot of a graph, str() of a pattern of zeros"],
                hint='pip install "einderiv[plot]"',
            ) from None
        settings = {"svg.hashsalt": "einderiv", "svg.fonttype": "path"}
        settings |= {"font.family": "DejaVu Sans", "text.hinting": "none"}
        empty = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        file = io.BytesIO()
        with _lock, warnings.catch_warnings(), matplotlib.style.context(["default", settings]):
            warnings.simplefilter("ignore")  # a letter that the font lacks is drawn as a box
            figure = self._canvas().figure
            figure.savefig(file, format=kind, dpi=dpi, metadata=empty, facecolor="white")
        return file.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the picture to a file of the kind that its name ends in.

        Raises DataError if the kind is unknown or the file cannot be written.
        """
        self.write(path, self.as_bytes(Path(path).suffix.removeprefix(".").lower(), str(path)))

    def write(self, path: str | Path, data: bytes) -> None:
        """Write bytes to a file; DataError if that fails."""
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise DataError(
                f"cannot write {path}: {error.strerror or error}", hint="name another file"
            ) from None

    def as_bytes(self, kind: str, name: str = "") -> bytes:
        """What a file of a kind (`png`, `svg`, or one for the text) holds."""
        if kind == "png":
            return self.png()
        if kind == "svg":
            return self.svg().encode()
        if kind != self.text_kind:
            raise DataError(
                f"{name or kind!r} is no kind of file for this picture",
                facts=[f"it is written as {self.text_kind}, svg or png"],
                hint=f"choose one of these: picture.{self.text_kind}, picture.svg, picture.png",
            )
        return f"{str(self).rstrip()}\n".encode()

    def _repr_svg_(self) -> str | None:
        return self._or_text(self.svg)

    def _repr_png_(self) -> bytes | None:
        return self._or_text(self.png)

    def _or_text(self, picture: Callable[[], T]) -> T | None:
        """The picture for a notebook; if there is none, it shows the text."""
        try:
            return picture()
        except (BackendError, ResourceLimitError):
            return None


class Picture(Drawn):
    """A tensor network, a graph of operations or the plan of a program; `str()` is its Graphviz text.

    >>> import einderiv as ed
    >>> picture = ed.parse("A[i,j]*x[j]").draw()
    >>> picture
    <Picture network: 3 nodes, 2 edges; .dot .svg() .png() .save(path)>
    """

    __slots__ = ("graph",)
    text_kind = "dot"

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @property
    def dot(self) -> str:
        """The Graphviz text: for `dot -Tsvg`, or any viewer."""
        return to_dot(self.graph)

    def _canvas(self) -> Canvas:
        return graph_canvas(self.graph)

    def _check(self) -> None:
        count = len(self.graph.nodes)
        if count > _MOST_NODES:
            raise ResourceLimitError(
                f"a {self.graph.kind} of {count} nodes is too large for a legible picture",
                facts=[f"pictures have up to {_MOST_NODES} nodes; the Graphviz text has no limit"],
                hint="take .dot, or save it as a .dot file; or draw a part of the expression",
            )

    def __str__(self) -> str:
        return self.dot

    def __repr__(self) -> str:
        nodes, edges = len(self.graph.nodes), len(self.graph.edges)
        return f"<Picture {self.graph.kind}: {nodes} nodes, {edges} edges; .dot .svg() .png() .save(path)>"


def picture_of(
    term: Expr, names: Sequence[str], hints: Context, caption: str, kind: str | None = None
) -> Picture:
    """The tensor network of a product, the graph of operations of a larger expression; or as asked."""
    if kind is None:
        kind = "network" if is_network(term) else "graph"
    kinds = {"network": network, "graph": operations}
    if kind not in kinds:
        raise NotationError(
            f"no picture of the kind {kind!r}",
            facts=[f"an expression is drawn as {' or '.join(kinds)}"],
            hint="leave it out for the kind that fits; e.spy() shows where a derivative is zero",
        )
    return Picture(kinds[kind](term, names, hints, short_line(caption, _CAPTION)))


def expression_html(latex: str, text: str) -> str:
    """A formula, typeset by the notebook, and the index notation under it.

    >>> print(expression_html("a < b", "a < b"))
    <div>$\\displaystyle a &lt; b$</div>
    <pre style="margin:0;color:#656d76">a &lt; b</pre>
    """
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"
    formula = f"<div>$\\displaystyle {escape(latex)}$</div>\n" if len(latex) <= _FORMULA else ""
    return f'{formula}<pre style="margin:0;color:#656d76">{escape(shown)}</pre>'
