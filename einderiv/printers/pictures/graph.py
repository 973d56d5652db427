"""What a picture of a graph shows, before anything is placed or drawn, and its Graphviz text.

In: nodes and edges. Out: `Graph`, drawn by `drawing`; a text in the language of `dot`, without a library.
Invariant: edges name nodes by their place in `nodes`; the texts of a graph are plain, those of its Graphviz
text in quotes, with quotes and backslashes escaped.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Style:
    """How a kind of node looks: an outline, a fill, a line colour."""

    outline: str  # box, round, circle, dot, cap, none
    fill: str
    line: str


INK, GREY = "#1f2328", "#656d76"
STYLES = {
    "tensor":    Style("circle", "#e6edf7", "#44618f"),
    "input":     Style("round",  "#e6edf7", "#44618f"),
    "constant":  Style("round",  "#f3f4f6", "#9aa1a9"),
    "operation": Style("box",    "#ffffff", "#656d76"),
    "result":    Style("box",    "#fbf1dc", "#97762e"),
    "scalar":    Style("none",   "#ffffff", "#ffffff"),
    "sign":      Style("none",   "#ffffff", "#ffffff"),
    "open":      Style("none",   "#ffffff", "#ffffff"),
    "dot":       Style("dot",    INK,       INK),
    "cap":       Style("cap",    "#ffffff", INK),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its kind (a key of STYLES), a text, a second line in grey, the part it belongs to."""

    kind: str
    label: str
    note: str = ""
    group: int = 0


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from one node to another, with a text in the middle and one at either end."""

    source: int
    target: int
    label: str = ""
    ends: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and edges; `kind` is network, graph or plan. Only a network has edges without direction.

    In a graph or a plan every edge leads from a node to a later one.
    """

    kind: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    caption: str = ""

    @property
    def is_directed(self) -> bool:
        """Do its edges have a direction?"""
        return self.kind != "network"


class Sketch:
    """The nodes and edges of a graph so far, and the part that new nodes belong to."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.group = 0
        self._places: dict[Hashable, int] = {}  # of what was drawn as an operation

    def node(self, kind: str, label: str) -> int:
        """One more node; its place."""
        self.nodes.append(Node(kind, label, group=self.group))
        return len(self.nodes) - 1

    def join(self, a: int, b: int, label: str = "", ends: tuple[str, str] = ("", "")) -> None:
        """One more edge."""
        self.edges.append(Edge(a, b, label, ends))

    def operation(
        self,
        key: Hashable,
        node: Node,
        reads: Iterable[tuple[Hashable, Node | None]],
        texts: Iterable[str],
    ) -> None:
        """A node after those that it reads, with a text for each; constants are drawn anew for it."""
        sources = []
        for read, constant in reads:
            sources.append(self._places[read] if constant is None else len(self.nodes))
            self.nodes += [] if constant is None else [constant]
        place = self._places[key] = len(self.nodes)
        self.nodes.append(node)
        for source, text in zip(sources, texts, strict=True):
            self.join(source, place, text)

    def graph(self, kind: str, caption: str) -> Graph:
        """The graph of these."""
        return Graph(kind, tuple(self.nodes), tuple(self.edges), caption)


def short_line(text: str, most: int) -> str:
    """A text on one line, of at most that many characters.

    >>> short_line("abcdefgh", 6)
    'abcde…'
    """
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


# ---------------------------------------------------------------- Graphviz text

_SHAPES: Mapping[str, Mapping[str, str]] = {
    "box": {"shape": "box", "style": "filled"},
    "round": {"shape": "box", "style": "filled,rounded"},
    "circle": {"shape": "box", "style": "filled,rounded"},
    "dot": {"shape": "point", "width": "0.09"},
    "cap": {"shape": "circle", "width": "0.1", "fixedsize": "true", "style": "filled"},
    "none": {"shape": "plaintext", "margin": "0.04", "width": "0.1", "height": "0.1"},
}
_NODE = {"width": "0.3", "height": "0.3", "margin": "0.12,0.05"}
_FONT = {"fontname": "Helvetica,Arial,sans-serif", "fontsize": "11", "fontcolor": INK}


def to_dot(graph: Graph) -> str:
    """The graph in Graphviz's language: one statement a line, nodes in order, then edges.

    >>> from .graph import Edge
    >>> nodes = (Node("input", "x"), Node("result", 'say "hi"'))
    >>> print("\\n".join(to_dot(Graph("graph", nodes, (Edge(0, 1),))).splitlines()[-3:]))
      n1 [label="say \\"hi\\"" shape="box" style="filled" fillcolor="#fbf1dc" color="#97762e"];
      n0 -> n1;
    }
    """
    word, arrow = ("digraph", "->") if graph.is_directed else ("graph", "--")
    general = {"bgcolor": "white", "nodesep": "0.25", "ranksep": "0.35"}
    if not graph.is_directed:
        general = {"bgcolor": "white", "layout": "neato", "overlap": "scale", "splines": "true"}
        general |= {"pack": "16", "packmode": f"array_u{len(graph.nodes)}"}  # parts in one row
    if graph.caption:
        general |= {"label": graph.caption, "labelloc": "b", **_FONT, "fontcolor": GREY}
    lines = [
        f"{word} {quote(graph.kind)} {{",
        f"  graph [{attributes(general)}];",
        f"  node [{attributes({**_FONT, **_NODE})}];",
        f"  edge [{attributes({**_FONT, 'fontsize': '10', 'color': GREY, 'arrowsize': '0.6'})}];",
    ]
    for number, node in enumerate(graph.nodes):
        place = {} if graph.is_directed else {"sortv": str(node.group * len(graph.nodes) + number)}
        lines.append(f"  n{number} [{attributes(_node_attributes(node) | place)}];")
    for edge in graph.edges:
        texts = {"label": edge.label, "taillabel": edge.ends[0], "headlabel": edge.ends[1]}
        told = {name: text for name, text in texts.items() if text}
        if edge.ends != ("", ""):
            told |= {"labelfontsize": "8", "labeldistance": "1.3"}
        if not graph.is_directed:
            told["len"] = _length(graph.nodes[edge.source], graph.nodes[edge.target])
        shown = f" [{attributes(told)}]" if told else ""
        lines.append(f"  n{edge.source} {arrow} n{edge.target}{shown};")
    return "\n".join([*lines, "}", ""])


def _length(*ends: Node) -> str:
    """The wanted length of a line in inches: a leg is short, long texts need room."""
    line = 0.7 if any(node.kind == "open" for node in ends) else 1.2
    return f"{line + sum(len(node.label) for node in ends) * 0.06:.2f}"


def _node_attributes(node: Node) -> dict[str, str]:
    style = STYLES[node.kind]
    label = f"{node.label}\n{node.note}" if node.note else node.label
    told = {"label": label, **_SHAPES[style.outline]}
    if style.outline == "dot" and label:
        told |= {"label": "", "xlabel": label}
    if style.outline != "none":
        told |= {"fillcolor": style.fill, "color": style.line}
    return told


def attributes(texts: Mapping[str, str]) -> str:
    """Attributes as `dot` reads them."""
    return " ".join(f"{name}={quote(text)}" for name, text in texts.items())


def quote(text: str) -> str:
    """A text in quotes, for Graphviz to show as it is.

    >>> print(quote('a"b'))
    "a\\"b"
    """
    plain = "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    inner = plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inner}"'
