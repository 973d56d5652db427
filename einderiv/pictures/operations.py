"""Terms as graphs of operations: operands above, results below, shared parts once.

In: a term, the names of its axes, hints for letters. Out: a directed `Graph`.
Invariant: one node an operation, in the order of evaluation; constants stand at each place that uses
them. Linear in the size of the term.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from ..expr import (
    Contraction,
    Delta,
    Derivative,
    Expr,
    Extent,
    Literal,
    Map,
    Ones,
    Shape,
    Sum,
    Variable,
)
from ..functions import COMPARISONS
from ..printers.graphs import Edge, Graph, Node, shortened
from ..printers.letters import Hints, Letters
from ..structure import base_and_exponent
from ..walk import postorder
from .networks import fraction_text

_LABEL = 32  # characters of a node's text
_SYMBOL = {name: symbol for symbol, name in COMPARISONS.items()}


def operations(root: Expr, names: Sequence[str], hints: Hints, caption: str = "") -> Graph:
    """The graph of a term: each operation once, whatever the number of places that use it."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    places: dict[Expr, int] = {}
    ordered = postorder([root])
    letters = _letters(ordered, tuple(names), hints)
    for term in ordered:
        if is_constant(term) and term is not root:
            continue
        sources = []
        for child in _operands(term):
            if is_constant(child):
                nodes.append(Node("constant", node_text(child, {})))
                sources.append(len(nodes) - 1)
            else:
                sources.append(places[child])
        label = node_text(term, letters[term])
        known = hints.definitions.get(term)
        label = f"{known} = {label}" if known and term.children else label
        kind = _kind(term, is_root=term is root)
        nodes.append(Node(kind, shortened(label, _LABEL), shape_text(term.shape)))
        places[term] = len(nodes) - 1
        texts = _edge_texts(term, letters[term])
        edges += [Edge(a, places[term], text) for a, text in zip(sources, texts, strict=True)]
    return Graph("graph", tuple(nodes), tuple(edges), caption)


def is_constant(term: Expr) -> bool:
    """Is it a number, an extent, a vector of ones or a delta?"""
    return isinstance(term, Literal | Extent | Ones | Delta)


def shape_text(shape: Shape) -> str:
    """A shape as Python writes it; nothing for a scalar.

    >>> shape_text(("n", 3))
    '(n, 3)'
    """
    return f"({', '.join(map(str, shape))})" if shape else ""


def _kind(term: Expr, is_root: bool) -> str:
    if is_root and term.children:
        return "result"
    if isinstance(term, Variable):
        return "input"
    return "operation" if term.children else "constant"


def _operands(term: Expr) -> tuple[Expr, ...]:
    """What a node reads: the base of a power with a number as exponent, else its children."""
    if isinstance(term, Map) and base_and_exponent(term)[1] != 1:
        return (base_and_exponent(term)[0],)
    return term.children


def _letters(
    ordered: Sequence[Expr], names: tuple[str, ...], hints: Hints
) -> dict[Expr, dict[int, str]]:
    """Letters for the labels of every product: where it can be, those of the first place that reads it."""
    axes: dict[Expr, tuple[str, ...]] = {ordered[-1]: names}
    found: dict[Expr, dict[int, str]] = {}
    for term in reversed(ordered):
        scope = Letters(hints, term, set())
        own = axes.get(term)
        if own is None:
            own = scope.axis_letters(term)
        if not isinstance(term, Contraction):
            found[term] = {}
            if isinstance(term, Sum | Map):
                for child in term.children:
                    axes.setdefault(child, own[: child.rank])
            continue
        scope.dims.update(zip(own, term.shape, strict=True))
        letters = found[term] = dict(zip(term.output, own, strict=True))
        for operand, labels in zip(term.children, term.inputs, strict=True):
            for label, dim in zip(labels, operand.shape, strict=True):
                if label not in letters:
                    letters[label] = scope.letter(dim, frozenset(letters.values()))
            if len(set(labels)) == len(labels):
                axes.setdefault(operand, tuple(letters[label] for label in labels))
    return found


def _indices(labels: Iterable[int], letters: dict[int, str]) -> str:
    return ",".join(letters[label] for label in labels)


def node_text(term: Expr, letters: dict[int, str]) -> str:
    """What a node does: a name, a number, a function, a sum over indices."""
    match term:
        case Variable():
            return term.name
        case Literal():
            return fraction_text(term.value)
        case Extent():
            return f"extent {term.dim}"
        case Ones():
            return "ones"
        case Delta():
            return "delta"
        case Sum():
            if len(term.children) == 1:
                return f"× {fraction_text(term.coefficients[0])}"
            return "+" if term.children else "zeros"
        case Map():
            _, exponent = base_and_exponent(term)
            if exponent != 1 and term.function == "pow":
                return f"power {fraction_text(exponent)}"
            return _SYMBOL.get(term.function, term.function)
        case Contraction():
            summed = [x for x in letters if x not in term.output]
            output = f"[{_indices(term.output, letters)}]" if term.output else ""
            what = f"Σ {_indices(summed, letters)}" if summed else "product"
            if not summed and len(term.children) == 1:
                what = "transpose" if len(term.inputs[0]) == len(term.output) else "diagonal"
            return f"{what} → {output}" if output else what
        case Derivative():
            return f"d/d{term.children[1].order[1]}"
    return term.order[1]


def _edge_texts(term: Expr, letters: dict[int, str]) -> list[str]:
    """For each operand what the operation reads of it: indices, or a factor."""
    match term:
        case Contraction():
            return [f"[{_indices(labels, letters)}]" if labels else "" for labels in term.inputs]
        case Sum() if len(term.children) > 1:
            return [_factor_text(coefficient) for coefficient in term.coefficients]
        case Map() if len(_operands(term)) > 1:
            return [str(number) for number in range(1, 1 + len(term.children))]
    return [""] * len(_operands(term))


def _factor_text(coefficient: Fraction) -> str:
    if abs(coefficient) == 1:
        return "" if coefficient == 1 else "−"
    return f"× {fraction_text(coefficient)}"
