"""What an expression shows of itself: a picture of the kind that fits, a pattern of zeros, HTML.

In: a term, the names of its axes, hints for letters, its texts. Out: `Picture`, HTML.
Invariant: all texts in the HTML are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..errors import NotationError
from ..expr import Expr
from ..printers.graphs import shortened
from ..printers.letters import Hints
from .networks import is_network, network
from .operations import operations
from .picture import Picture

KINDS = ("network", "graph")
_CAPTION = 270  # characters under a picture
_FORMULA, _TEXT = (
    6000,
    4000,
)  # characters in a notebook; a longer formula is left out, a longer text cut


def picture_of(
    term: Expr, names: Sequence[str], hints: Hints, caption: str, kind: str | None = None
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
    return Picture(drawing(term, names, hints, shortened(caption, _CAPTION)))


def expression_html(latex: str, text: str) -> str:
    """A formula, typeset by the notebook, and the index notation under it.

    >>> print(expression_html("a < b", "a < b"))
    <div>$\\displaystyle a &lt; b$</div>
    <pre style="margin:0;color:#656d76">a &lt; b</pre>
    """
    shown = text if len(text) <= _TEXT else f"{text[:_TEXT]}… ({len(text):,} characters)"
    formula = f"<div>$\\displaystyle {escape(latex)}$</div>\n" if len(latex) <= _FORMULA else ""
    return f'{formula}<pre style="margin:0;color:#656d76">{escape(shown)}</pre>'
