"""What a picture of a graph shows, before anything is placed or drawn.

In: nothing; these are records. Out: `Graph`, written by `printers/dot.py`, drawn by `pictures`.
Invariant: edges name nodes by their place in `nodes`; texts are plain and not escaped yet.
"""

from __future__ import annotations

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


def shortened(text: str, most: int) -> str:
    """A text on one line, of at most that many characters.

    >>> shortened("abcdefgh", 6)
    'abcde…'
    """
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
