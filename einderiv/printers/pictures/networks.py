"""Terms as pictures: a product as a tensor network, any term as the graph of its operations.

In: a term, the names of its axes, hints for letters. Out: a `Graph`.
In a network tensors are nodes, summed indices edges, free ones open legs; indices that a Kronecker delta
ties, and those at three or more places, meet in one dot; at an edge's end is the number of the tensor's
axis. In the other graph each operation is one node, operands above it; constants are repeated wherever
they are used. Linear in the size of the term.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from ...notations import Context, Definition, Text
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
from .graph import Graph, Node, Sketch, short_line

_LABEL = 26  # characters of a node that is no tensor; longer ones are named by their kind
_TREE = 40  # nodes of a term that is written out in such a label
_MOST_TERMS = 4  # of a sum that is drawn as networks unless a graph is asked for
_MOST_FACTORS = 24


def network(root: Expr, names: Sequence[str], hints: Context, caption: str = "") -> Graph:
    """The tensor network of a product, or those of a sum's products with their signs between them."""
    sketch = Sketch()
    counts = uses([root])
    for number, (coefficient, term) in enumerate(_terms(root)):
        if number or coefficient < 0:
            sketch.group = 2 * number
            sketch.node("sign", "−" if coefficient < 0 else "+")
        sketch.group = 2 * number + 1
        _product(sketch, term, abs(coefficient), names, hints, counts)
    return sketch.graph("network", caption)


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
    """The operands of a product, products in it that occur nowhere else taken apart as well."""
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
    sketch: Sketch,
    term: Expr,
    coefficient: Fraction,
    names: Sequence[str],
    hints: Context,
    counts: dict[Expr, int],
) -> None:
    factors, dims = _factors(term, counts)
    output = tuple(range(term.rank))
    factors = arranged_factors(factors, output)
    letters = Letters(hints)
    letters.dims.update(zip(names, term.shape, strict=True))
    named: dict[Label, str] = dict(zip(output, names, strict=True))
    for label in (x for factor in factors for x in factor.labels):
        if label not in named:
            named[label] = letters.letter(dims[label], frozenset(named.values()))
    if coefficient != 1 or not factors:
        sketch.node("scalar", fraction_text(coefficient))
    same = merged_by_deltas([(f.operand, f.labels) for f in factors], output)
    ends: dict[Label, list[tuple[int, str]]] = {}  # of each class of labels: nodes and axes
    tied = set(same.values())
    for factor in factors:
        operand = factor.operand
        if isinstance(operand, Literal) and operand.value == 1:
            continue
        places = [ends.setdefault(same.get(label, label), []) for label in factor.labels]
        if isinstance(operand, Delta):
            continue
        text = operand_text(operand, [named[label] for label in factor.labels], hints)
        number = sketch.node("tensor" if factor.labels else "scalar", text)
        marked = operand.rank > 1 and not operand.symmetric
        for axis, place in enumerate(places, 1):
            place.append((number, str(axis) if marked else ""))
    for label, places_of in ends.items():
        free = [x for x in output if same.get(x, x) == label]
        shown = [index_text(named[x], dims[x]) for x in free]
        _join(sketch, places_of, shown, index_text(named[label], dims[label]), label in tied)


def _join(
    sketch: Sketch, places: list[tuple[int, str]], free: list[str], summed: str, tied: bool
) -> None:
    """The lines of one class of indices: an edge, a leg, or a dot if they are more than two."""
    if len(places) == 2 and not free and not tied:
        (a, start), (b, end) = places
        sketch.join(a, b, summed, (start, end))
    elif len(places) == 1 and len(free) < 2:
        ((a, start),) = places
        end_node = sketch.node("open", free[0]) if free else sketch.node("cap", "")
        sketch.join(a, end_node, "" if free else summed, (start, ""))
    else:
        dot = sketch.node("dot", "" if free else summed)
        for a, start in places:
            sketch.join(a, dot, "", (start, ""))
        for text in free:
            sketch.join(dot, sketch.node("open", text))


# ---------------------------------------------------------------- texts


def index_text(name: str, dim: Dim) -> str:
    """An index with its extent, if the extent has a name of its own.

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


def factor_text(coefficient: Fraction) -> str:
    """What a term of a sum is multiplied by: nothing for 1, a sign for -1."""
    if abs(coefficient) == 1:
        return "" if coefficient == 1 else "−"
    return f"× {fraction_text(coefficient)}"


def _tree_text(tree: object) -> str:
    return to_text(Text("", (Definition(None, None, tree, NOWHERE, NOWHERE),)))  # type: ignore[arg-type]


def operand_text(operand: Expr, names: Sequence[str], hints: Context) -> str:
    """A node's text: a tensor's name, a short formula, or what kind of term it is."""
    match operand:
        case Variable():
            return short_line(operand.name, _LABEL)
        case Ones():
            return "1"
        case Extent():
            return str(operand.dim)
    known = hints.definitions.get(operand)
    if known is not None:
        return short_line(known, _LABEL)
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
    return not operand.children or operand_text(operand, _NAMES[: operand.rank], Context()) != (
        kind_text(operand)
    )


_NAMES = tuple("ijklmnpqrstuvw")


# ---------------------------------------------------------------- graphs of operations

_OPERATION = 32  # characters of an operation's text
_SYMBOL = {name: symbol for symbol, name in COMPARISONS.items()}


def operations(root: Expr, names: Sequence[str], hints: Context, caption: str = "") -> Graph:
    """The graph of a term: each operation once, whatever the number of places that use it."""
    sketch = Sketch()
    ordered = postorder([root])
    letters = _letters(ordered, tuple(names), hints)
    for term in ordered:
        if _is_constant(term) and term is not root:
            continue
        label = node_text(term, letters[term])
        known = hints.definitions.get(term)
        label = f"{known} = {label}" if known and term.children else label
        kind = "operation" if term.children else "constant"
        if isinstance(term, Variable):
            kind = "input"
        elif term is root and term.children:
            kind = "result"
        reads = [
            (child, Node("constant", node_text(child, {})) if _is_constant(child) else None)
            for child in _operands(term)
        ]
        node = Node(kind, short_line(label, _OPERATION), shape_text(term.shape))
        sketch.operation(term, node, reads, _edge_texts(term, letters[term]))
    return sketch.graph("graph", caption)


def _is_constant(term: Expr) -> bool:
    """Is it a number, an extent, a vector of ones or a delta?"""
    return isinstance(term, Literal | Extent | Ones | Delta)


def shape_text(shape: Shape) -> str:
    """A shape as Python writes it; nothing for a scalar.

    >>> shape_text(("n", 3))
    '(n, 3)'
    """
    return f"({', '.join(map(str, shape))})" if shape else ""


def _operands(term: Expr) -> tuple[Expr, ...]:
    """What a node reads: the base of a power with a number as exponent, else its children."""
    if isinstance(term, Map) and base_and_exponent(term)[1] != 1:
        return (base_and_exponent(term)[0],)
    return term.children


def _letters(
    ordered: Sequence[Expr], names: tuple[str, ...], hints: Context
) -> dict[Expr, dict[int, str]]:
    """Letters for the labels of every product: if possible, those of the first place that reads it."""
    axes: dict[Expr, tuple[str, ...]] = {ordered[-1]: names}
    found: dict[Expr, dict[int, str]] = {}
    for term in reversed(ordered):
        scope = Letters(hints)
        own = axes.get(term) or scope.letters(term.shape, ())
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
            return [factor_text(coefficient) for coefficient in term.coefficients]
        case Map() if len(_operands(term)) > 1:
            return [str(number) for number in range(1, 1 + len(term.children))]
    return [""] * len(_operands(term))
