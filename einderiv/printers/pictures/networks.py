"""Products as tensor networks: tensors are nodes, indices that are summed are edges, free ones open legs.

In: a term, the names of its axes, hints for letters. Out: a `Graph` without directions.
Invariant: indices that a Kronecker delta ties, and those that stand at three or more places, meet in one
dot; what stands at an edge's end is the number of the tensor's axis. Linear in the size of the term.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from ...notations import Definition, Hints, Text
from ...terms import (
    COMPARISONS,
    ONE,
    Apply,
    Contraction,
    Delta,
    Dim,
    Expr,
    Extent,
    Label,
    Literal,
    Map,
    Ones,
    Shape,
    Sum,
    Variable,
    base_and_exponent,
    merged_by_deltas,
    postorder,
    split_scale,
    uses,
)
from ...terms import Factor as Placed
from ..named import Factor, Letters, arranged_factors, arranged_terms
from ..surface import unparse
from ..text import number_text, to_text
from ..trees import NOWHERE, fraction_tree
from .graph import Edge, Graph, Node, shortened

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
    if len(terms) > _MOST_TERMS or any(isinstance(t, Map | Apply) for _, t in terms):
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
    letters = Letters(hints)
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


# Terms as graphs of operations: operands above, results below, shared parts once.
#
# In: a term, the names of its axes, hints for letters. Out: a directed `Graph`.
# Invariant: one node an operation, in the order of evaluation; constants stand at each place that uses
# them. Linear in the size of the term.

_LABEL_operations = 32  # characters of a node's text
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
        nodes.append(Node(kind, shortened(label, _LABEL_operations), shape_text(term.shape)))
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
        scope = Letters(hints)
        own = axes.get(term)
        if own is None:
            own = scope.letters(term.shape, ())
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
