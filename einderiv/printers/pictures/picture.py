"""What can be drawn: a graph that shows itself as Graphviz text, SVG or PNG; HTML for notebooks.

In: a `Graph`, or a term with its names. Out: texts, bytes, files; what a notebook asks for.
Invariant: immutable; the Graphviz text needs no library, SVG and PNG need matplotlib and networkx; all
texts in the HTML are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ...errors import BackendError, DataError, NotationError, ResourceLimitError
from ...notations import Context
from ...terms import Expr
from .drawing import Canvas, graph_canvas, render
from .graph import Graph, short_line, to_dot
from .networks import is_network, network, operations

KINDS = ("network", "graph")
_DPI = 144
_MOST_NODES = 200  # in a drawn picture; more are not legible
_CAPTION = 270  # characters under a picture
_FORMULA = 6000  # characters of a formula in a notebook; a longer one is left out ...
_TEXT = 4000  # ... and of a text; a longer one is cut


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
        self._check()
        return render(self._canvas, "svg", 72).decode()

    def png(self, dpi: int = _DPI) -> bytes:
        """The picture as PNG, with so many pixels an inch; errors as of `svg`."""
        if isinstance(dpi, bool) or not isinstance(dpi, int) or not 10 <= dpi <= 1200:
            raise DataError(
                f"dpi={dpi!r} is no resolution",
                facts=["it is a whole number of pixels an inch, from 10 to 1200"],
                hint="write for example dpi=144",
            )
        self._check()
        return render(self._canvas, "png", dpi)

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
        try:
            return self.svg()
        except (BackendError, ResourceLimitError):
            return None  # the notebook shows the text

    def _repr_png_(self) -> bytes | None:
        try:
            return self.png()
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
    if kind not in KINDS:
        raise NotationError(
            f"no picture of the kind {kind!r}",
            facts=[f"an expression is drawn as {' or '.join(KINDS)}"],
            hint="leave it out for the kind that fits; e.spy() shows where a derivative is zero",
        )
    drawing = network if kind == "network" else operations
    return Picture(drawing(term, names, hints, short_line(caption, _CAPTION)))


def expression_html(latex: str, text: str) -> str:
    """A formula, typeset by the notebook, and the index notation under it.

    >>> print(expression_html("a < b", "a < b"))
    <div>$\\displaystyle a &lt; b$</div>
    <pre style="margin:0;color:#656d76">a &lt; b</pre>
    """
    shown = text if len(text) <= _TEXT else f"{text[:_TEXT]}… ({len(text):,} characters)"
    formula = f"<div>$\\displaystyle {escape(latex)}$</div>\n" if len(latex) <= _FORMULA else ""
    return f'{formula}<pre style="margin:0;color:#656d76">{escape(shown)}</pre>'
