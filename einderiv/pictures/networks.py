"""Products as tensor networks: tensors are nodes, indices that are summed are edges, free ones open legs.

In: a term, the names of its axes, hints for letters. Out: a `Graph` without directions.
Invariant: indices that a Kronecker delta ties, and those that stand at three or more places, meet in one
dot; what stands at an edge's end is the number of the tensor's axis. Linear in the size of the term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from ..expr import (
    Apply,
    Contraction,
    Delta,
    Derivative,
    Dim,
    Expr,
    Extent,
    Label,
    Literal,
    Map,
    Ones,
    Sum,
    Variable,
)
from ..notation.syntax import Definition, Text
from ..printers.arrange import Factor, arranged_factors, arranged_terms
from ..printers.graphs import Edge, Graph, Node, shortened
from ..printers.letters import Hints, Letters
from ..printers.text import number_text, to_text
from ..printers.trees import NOWHERE, fraction_tree
from ..printers.unparse import unparse
from ..structure import ONE, merged_by_deltas, split_scale
from ..structure import Factor as Placed
from ..walk import uses

_LABEL = 26  # characters of a node that is no tensor; longer ones are named by their kind
_TREE = 40  # nodes of a term that is written out in such a label
_MOST_TERMS = 4  # of a sum that is drawn as networks unless a graph is asked for
_MOST_FACTORS = 24


@dataclass(slots=True)
class _Sketch:
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    group: int = 0

    def node(self, kind: str, label: str) -> int:
        self.nodes.append(Node(kind, label, group=self.group))
        return len(self.nodes) - 1


def network(root: Expr, names: Sequence[str], hints: Hints, caption: str = "") -> Graph:
    """The tensor network of a product, or those of a sum's products with their signs between them."""
    sketch = _Sketch()
    counts = uses([root])
    for number, (coefficient, term) in enumerate(_terms(root)):
        if number or coefficient < 0:
            sketch.group = 2 * number
            sketch.node("sign", "−" if coefficient < 0 else "+")
        sketch.group = 2 * number + 1
        _product(sketch, term, abs(coefficient), names, hints, counts)
    return Graph("network", tuple(sketch.nodes), tuple(sketch.edges), caption)


def is_network(root: Expr) -> bool:
    """Is the term a product of tensors, or a short sum of such, so that a network shows all of it?"""
    terms = _terms(root)
    if len(terms) > _MOST_TERMS or any(isinstance(t, Map | Apply | Derivative) for _, t in terms):
        return False
    counts = uses([root])
    for _, term in terms:
        factors, _ = _factors(term, counts)
        if len(factors) > _MOST_FACTORS or not all(_is_short(f.operand) for f in factors):
            return False
    return any(term.rank or isinstance(term, Contraction) for _, term in terms)


def _terms(root: Expr) -> list[tuple[Fraction, Expr]]:
    if not isinstance(root, Sum):
        return [(ONE, root)]
    pairs = [(coefficient, split_scale(term)) for coefficient, term in arranged_terms(root)]
    return [(coefficient * inner, term) for coefficient, (inner, term) in pairs]


def _factors(term: Expr, counts: dict[Expr, int]) -> tuple[list[Factor], dict[Label, Dim]]:
    """The operands of a product, products in it that stand nowhere else taken apart as well."""
    labels = tuple(range(term.rank))
    fresh = term.rank
    dims: dict[Label, Dim] = dict(zip(labels, term.shape, strict=True))
    found: list[Factor] = []
    stack: list[Placed] = [(term, labels)]
    while stack:
        operand, outside = stack.pop()
        if not isinstance(operand, Contraction) or (counts.get(operand, 1) > 1 and found):
            found.append(Factor(operand, outside, 1))
            continue
        inner = dict(zip(operand.output, outside, strict=True))
        placed: list[Placed] = []
        for child, own in zip(operand.children, operand.inputs, strict=True):
            for label, dim in zip(own, child.shape, strict=True):
                if label not in inner:
                    inner[label] = fresh
                    dims[fresh] = dim
                    fresh += 1
            placed.append((child, tuple(inner[label] for label in own)))
        stack += reversed(placed)
    return found, dims


def _product(
    sketch: _Sketch,
    term: Expr,
    coefficient: Fraction,
    names: Sequence[str],
    hints: Hints,
    counts: dict[Expr, int],
) -> None:
    factors, dims = _factors(term, counts)
    output = tuple(range(term.rank))
    factors = arranged_factors(factors, output)
    letters = Letters(hints, term, set())
    letters.dims.update(zip(names, term.shape, strict=True))
    named: dict[Label, str] = dict(zip(output, names, strict=True))
    used = frozenset(names)
    for factor in factors:
        for label in factor.labels:
            if label not in named:
                named[label] = letters.letter(dims[label], used)
                used |= {named[label]}
    if coefficient != 1 or not factors:
        sketch.node("scalar", fraction_text(coefficient))
    same = merged_by_deltas([(f.operand, f.labels) for f in factors], output)
    ends: dict[Label, list[tuple[int, str]]] = {}  # of each class of labels: nodes and axes
    tied = set(same.values())
    for factor in factors:
        operand = factor.operand
        if isinstance(operand, Literal) and operand.value == 1:
            continue
        if isinstance(operand, Delta):
            for label in factor.labels:
                ends.setdefault(same.get(label, label), [])
            continue
        text = operand_text(operand, [named[label] for label in factor.labels], hints)
        number = sketch.node("tensor" if factor.labels else "scalar", text)
        marked = operand.rank > 1 and not operand.symmetric
        for axis, label in enumerate(factor.labels, 1):
            places = ends.setdefault(same.get(label, label), [])
            places.append((number, str(axis) if marked else ""))
    for label, places in ends.items():
        free = [x for x in output if same.get(x, x) == label]
        shown = [index_text(named[x], dims[x]) for x in free]
        _join(sketch, places, shown, index_text(named[label], dims[label]), label in tied)


def _join(
    sketch: _Sketch, places: list[tuple[int, str]], free: list[str], summed: str, tied: bool
) -> None:
    """The lines of one class of indices: an edge, a leg, or a dot where they are more than two."""
    if len(places) == 2 and not free and not tied:
        (a, start), (b, end) = places
        sketch.edges.append(Edge(a, b, summed, (start, end)))
    elif len(places) == len(free) == 1:
        ((a, start),) = places
        sketch.edges.append(Edge(a, sketch.node("open", free[0]), "", (start, "")))
    elif len(places) == 1 and not free:
        ((a, start),) = places
        sketch.edges.append(Edge(a, sketch.node("cap", ""), summed, (start, "")))
    else:
        dot = sketch.node("dot", "" if free else summed)
        sketch.edges += [Edge(a, dot, "", (start, "")) for a, start in places]
        for text in free:
            sketch.edges.append(Edge(dot, sketch.node("open", text)))


# ---------------------------------------------------------------- texts


def index_text(name: str, dim: Dim) -> str:
    """An index with its extent, where the extent has a name of its own.

    >>> index_text("a", "n"), index_text("j", "j")
    ('a: n', 'j')
    """
    return name if name == dim else f"{name}: {dim}"


def fraction_text(value: Fraction) -> str:
    """A number as the notation writes it.

    >>> fraction_text(Fraction(-1, 2))
    '-1/2'
    """
    if value.denominator == 1:
        return number_text(value) if value >= 0 else f"-{number_text(-value)}"
    return _tree_text(fraction_tree([], [], value))


def _tree_text(tree: object) -> str:
    return to_text(Text("", (Definition(None, None, tree, NOWHERE, NOWHERE),)))  # type: ignore[arg-type]


def operand_text(operand: Expr, names: Sequence[str], hints: Hints) -> str:
    """A node's text: a tensor's name, a short formula, or what kind of term it is."""
    match operand:
        case Variable():
            return shortened(operand.name, _LABEL)
        case Ones():
            return "1"
        case Extent():
            return str(operand.dim)
    known = hints.definitions.get(operand)
    if known is not None:
        return shortened(known, _LABEL)
    if len(set(names)) == len(names) and _is_small(operand):
        *others, last = unparse(operand, tuple(names), hints).statements
        if isinstance(last, Definition) and not any(isinstance(x, Definition) for x in others):
            text = _tree_text(last.expression)
            if isinstance(operand, Apply):
                text = text.removesuffix(f"[{','.join(names)}]")
            if len(text) <= _LABEL:
                return text
    return kind_text(operand)


def kind_text(operand: Expr) -> str:
    """What a term is, in a word or two."""
    match operand:
        case Sum():
            return f"sum of {len(operand.children)}"
        case Contraction():
            return "product"
    name = operand.order[1] or type(operand).__name__.lower()
    return f"{name}(…)"


def _is_small(operand: Expr) -> bool:
    """Does the term, written out as a tree, have few nodes?"""
    stack, count = [operand], 0
    while stack and count <= _TREE:
        stack += stack.pop().children
        count += 1
    return count <= _TREE


def _is_short(operand: Expr) -> bool:
    """Does a network's node show all of the operand?"""
    return not operand.children or operand_text(operand, _NAMES[: operand.rank], Hints()) != (
        kind_text(operand)
    )


_NAMES = tuple("ijklmnpqrstuvw")
