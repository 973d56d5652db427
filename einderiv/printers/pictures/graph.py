"""What a picture of a graph shows before it is placed and drawn, its Graphviz text, plans as tables.

In: a term with the names of its axes and hints for letters, or a `Program` with sizes. Out: a `Graph`,
drawn by `drawing`; a text in the language of `dot`, without a library; HTML with all texts escaped.
In a network tensors are nodes, summed indices edges, free ones open legs; indices that a Kronecker delta
ties, and those at three or more places, meet in one dot; at an edge's end is the number of the tensor's
axis. In the other graphs each operation is one node, operands above it; constants are repeated wherever
they are used. Invariant: edges name nodes by their place in `nodes`. Linear in the size of the term.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from html import escape
from typing import NamedTuple

from ...notations import Context, Definition, Text
from ...programs import (
    ASSUMED_EXTENT,
    BOUND,
    Combine,
    Constant,
    Contract,
    Elementwise,
    Input,
    Instruction,
    Program,
    Scatter,
    Size,
    Solve,
    Whole,
    entries,
    flops_of,
    operands_of,
)
from ...programs import Factor as Factorize
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
from ..text import to_text
from ..trees import NOWHERE, fraction_tree

_LABEL = 26  # characters of a node that is not a tensor; longer ones are named by their kind
_TREE = 40  # nodes of a term that is written out in such a label
_MOST_TERMS = 4  # of a sum that is drawn as networks unless a graph is asked for
_MOST_FACTORS = 24
_OPERATION = 32  # characters of an operation's text
_STEP = 40  # characters of the text of a program's step
_ROWS = 400  # of the table in a notebook
_SYMBOL = {name: symbol for symbol, name in COMPARISONS.items()}
_CONSTANTS = Literal | Extent | Ones | Delta


class Style(NamedTuple):
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


class Node(NamedTuple):
    """A node: its kind (a key of STYLES), a text, a second line in grey, the part it belongs to."""

    kind: str
    label: str
    note: str = ""
    group: int = 0


class Edge(NamedTuple):
    """A line from one node to another, with a text in the middle and one at either end."""

    source: int
    target: int
    label: str = ""
    ends: tuple[str, str] = ("", "")


class Graph(NamedTuple):
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


# An operation: what others read it by, its node, and what it reads: a constant drawn anew, and a text.
_Step = tuple[object, Node, Sequence[tuple[object, Node | None, str]]]


def _graph_of_steps(kind: str, steps: Iterable[_Step], caption: str) -> Graph:
    """Each operation after those that it reads."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    places: dict[object, int] = {}
    for key, node, reads in steps:
        sources = []
        for read, constant, text in reads:
            sources.append((places[read] if constant is None else len(nodes), text))
            nodes += [] if constant is None else [constant]
        edges += [Edge(source, len(nodes), text) for source, text in sources]
        places[key] = len(nodes)
        nodes.append(node)
    return Graph(kind, tuple(nodes), tuple(edges), caption)


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
    edges = {**_FONT, "fontsize": "10", "color": GREY, "arrowsize": "0.6"}
    statements = [("graph", general), ("node", {**_FONT, **_NODE}), ("edge", edges)]
    for number, node in enumerate(graph.nodes):
        style = STYLES[node.kind]
        label = f"{node.label}\n{node.note}" if node.note else node.label
        texts = {"label": label, **_SHAPES[style.outline]}
        if style.outline == "dot" and label:
            texts |= {"label": "", "xlabel": label}
        if style.outline != "none":
            texts |= {"fillcolor": style.fill, "color": style.line}
        if not graph.is_directed:
            texts["sortv"] = str(node.group * len(graph.nodes) + number)
        statements.append((f"n{number}", texts))
    for edge in graph.edges:
        texts = {"label": edge.label, "taillabel": edge.ends[0], "headlabel": edge.ends[1]}
        texts = {name: text for name, text in texts.items() if text}
        if any(edge.ends):
            texts |= {"labelfontsize": "8", "labeldistance": "1.3"}
        if not graph.is_directed:  # inches: a leg is short, long texts need room
            ends = [graph.nodes[edge.source], graph.nodes[edge.target]]
            least = 0.7 if any(node.kind == "open" for node in ends) else 1.2
            texts["len"] = f"{least + sum(len(node.label) for node in ends) * 0.06:.2f}"
        statements.append((f"n{edge.source} {arrow} n{edge.target}", texts))
    lines = [f"{word} {quote(graph.kind)} {{"]
    for subject, texts in statements:
        inside = " ".join(f"{name}={quote(text)}" for name, text in texts.items())
        lines.append(f"  {subject}{f' [{inside}]' if inside else ''};")
    return "\n".join([*lines, "}", ""])


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


# ---------------------------------------------------------------- networks


def network(root: Expr, names: Sequence[str], hints: Context, caption: str = "") -> Graph:
    """The tensor network of a product, or those of a sum's products with their signs between them."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    counts = uses([root])
    for number, (coefficient, term) in enumerate(_terms(root)):
        if number or coefficient < 0:
            sign = "−" if coefficient < 0 else "+"
            nodes.append(Node("sign", sign, group=2 * number))
        start = len(nodes)
        _add_product(nodes, edges, term, abs(coefficient), names, hints, counts)
        nodes[start:] = [node._replace(group=2 * number + 1) for node in nodes[start:]]
    return Graph("network", tuple(nodes), tuple(edges), caption)


def is_network(root: Expr) -> bool:
    """Is the term a product of tensors, or a short sum of such, so that a network shows all of it?"""
    parts = [term for _, term in _terms(root)]
    if len(parts) > _MOST_TERMS or any(isinstance(term, Map | Apply) for term in parts):
        return False
    counts = uses([root])
    for term in parts:
        factors, _ = _factors(term, counts)
        if len(factors) > _MOST_FACTORS:
            return False
        for x in (factor.operand for factor in factors):
            text = operand_text(x, tuple("ijklmnpqrstuvw")[: x.rank], Context())
            if x.children and text == _kind_text(x):
                return False
    return any(term.rank or isinstance(term, Contraction) for term in parts)


def _terms(root: Expr) -> list[tuple[Fraction, Expr]]:
    if not isinstance(root, Sum):
        return [(ONE, root)]
    pairs = [(coefficient, split_scale(term)) for coefficient, term in arranged_terms(root)]
    return [(coefficient * inner, term) for coefficient, (inner, term) in pairs]


def _factors(term: Expr, counts: dict[Expr, int]) -> tuple[list[Factor], dict[Label, Dim]]:
    """The operands of a product, products in it that occur nowhere else taken apart as well."""
    labels = tuple(range(term.rank))
    dims: dict[Label, Dim] = dict(zip(labels, term.shape, strict=True))
    found: list[Factor] = []
    stack: list[Placed] = [(term, labels)]
    while stack:
        operand, outside = stack.pop()
        if not isinstance(operand, Contraction) or (counts.get(operand, 1) > 1 and found):
            found.append(Factor(operand, outside, 1))
            continue
        inner = dict(zip(operand.output, outside, strict=True))
        factors: list[Placed] = []
        for child, own in zip(operand.children, operand.inputs, strict=True):
            for label, dim in zip(own, child.shape, strict=True):
                if label not in inner:
                    inner[label] = len(dims)
                    dims[len(dims)] = dim
            factors.append((child, tuple(inner[label] for label in own)))
        stack += reversed(factors)
    return found, dims


def _add_product(
    nodes: list[Node],
    edges: list[Edge],
    term: Expr,
    coefficient: Fraction,
    names: Sequence[str],
    hints: Context,
    counts: dict[Expr, int],
) -> None:
    def add(kind: str, label: str) -> int:
        nodes.append(Node(kind, label))
        return len(nodes) - 1

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
        add("scalar", _fraction_text(coefficient))
    same = merged_by_deltas([(f.operand, f.labels) for f in factors], output)
    ends: dict[Label, list[tuple[int, str]]] = {}  # of each class of labels: nodes and axes
    for factor in factors:
        operand, labels = factor.operand, factor.labels
        if isinstance(operand, Literal) and operand.value == 1:
            continue
        classes = [ends.setdefault(same.get(label, label), []) for label in labels]
        if isinstance(operand, Delta):
            continue
        text = operand_text(operand, [named[label] for label in labels], hints)
        number = add("tensor" if labels else "scalar", text)
        is_marked = operand.rank > 1 and not operand.symmetric
        for axis, members in enumerate(classes, 1):
            members.append((number, str(axis) if is_marked else ""))
    for label, members in ends.items():  # the lines of a class: an edge, a leg, or a dot for more
        free = [index_text(named[x], dims[x]) for x in output if same.get(x, x) == label]
        summed = "" if free else index_text(named[label], dims[label])
        if len(members) == 2 and not free and label not in same.values():
            (a, start), (b, end) = members
            edges.append(Edge(a, b, summed, (start, end)))
        elif len(members) == 1 and len(free) < 2:
            ((a, start),) = members
            target = add("open", free[0]) if free else add("cap", "")
            edges.append(Edge(a, target, summed, (start, "")))
        else:
            dot = add("dot", summed)
            edges += [Edge(a, dot, "", (start, "")) for a, start in members]
            edges += [Edge(dot, add("open", text)) for text in free]


def index_text(name: str, dim: Dim) -> str:
    """An index with its extent, if the extent has a name of its own.

    >>> index_text("a", "n"), index_text("j", "j")
    ('a: n', 'j')
    """
    return name if name == dim else f"{name}: {dim}"


def _fraction_text(value: Fraction) -> str:
    return _tree_text(fraction_tree([], [], value))


def _tree_text(tree: object) -> str:
    return to_text(Text("", (Definition(None, None, tree, NOWHERE, NOWHERE),)))  # type: ignore[arg-type]


def _factor_texts(coefficients: Iterable[Fraction]) -> list[str]:
    """What the terms of a sum are multiplied by: nothing for 1, a sign for -1."""
    signs = {1: "", -1: "−"}
    return [signs[int(c)] if c in signs else f"× {_fraction_text(c)}" for c in coefficients]


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
    stack, count = [operand], 0
    while stack and count <= _TREE:
        stack += stack.pop().children
        count += 1
    if len(set(names)) == len(names) and count <= _TREE:
        *others, last = unparse(operand, tuple(names), hints).statements
        if isinstance(last, Definition) and not any(isinstance(x, Definition) for x in others):
            text = _tree_text(last.expression)
            if isinstance(operand, Apply):
                text = text.removesuffix(f"[{','.join(names)}]")
            if len(text) <= _LABEL:
                return text
    return _kind_text(operand)


def _kind_text(operand: Expr) -> str:
    match operand:
        case Sum():
            return f"sum of {len(operand.children)}"
        case Contraction():
            return "product"
    return f"{operand.order[1] or type(operand).__name__.lower()}(…)"


# ---------------------------------------------------------------- operations of a term


def operations(root: Expr, names: Sequence[str], hints: Context, caption: str = "") -> Graph:
    """The graph of a term: each operation once, whatever the number of places that use it."""
    ordered = postorder([root])
    letters = _letters(ordered, tuple(names), hints)
    steps: list[_Step] = []
    for term in ordered:
        if isinstance(term, _CONSTANTS) and term is not root:
            continue
        label = _node_text(term, letters[term])
        known = hints.definitions.get(term)
        label = f"{known} = {label}" if known and term.children else label
        kind = "operation" if term.children else "constant"
        if isinstance(term, Variable):
            kind = "input"
        elif term is root and term.children:
            kind = "result"
        reads = []
        for child, text in _operands(term, letters[term]):
            constant = isinstance(child, _CONSTANTS)
            node = Node("constant", _node_text(child, {})) if constant else None
            reads.append((child, node, text))
        node = Node(kind, short_line(label, _OPERATION), _shape_text(term.shape))
        steps.append((term, node, reads))
    return _graph_of_steps("graph", steps, caption)


def _shape_text(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})" if shape else ""


def _operands(term: Expr, letters: dict[Label, str]) -> list[tuple[Expr, str]]:
    """What a node reads, and of each what the operation reads of it: indices, or a factor.

    A power with a number as exponent reads its base only.
    """
    texts = [""] * len(term.children)
    match term:
        case Contraction():
            inputs = [_indices(labels, letters) for labels in term.inputs]
            texts = [f"[{inside}]" if inside else "" for inside in inputs]
        case Sum() if len(term.children) > 1:
            texts = _factor_texts(term.coefficients)
        case Map() if base_and_exponent(term)[1] != 1:
            return [(base_and_exponent(term)[0], "")]
        case Map() if len(term.children) > 1:
            texts = [str(number) for number in range(1, 1 + len(term.children))]
    return list(zip(term.children, texts, strict=True))


def _letters(
    ordered: Sequence[Expr], names: tuple[str, ...], hints: Context
) -> dict[Expr, dict[Label, str]]:
    """Letters for the labels of every product: if possible, those of the first place that reads it."""
    axes: dict[Expr, tuple[str, ...]] = {ordered[-1]: names}
    found: dict[Expr, dict[Label, str]] = {}
    for term in reversed(ordered):
        scope = Letters(hints)
        own = axes.get(term) or scope.letters(term.shape, ())
        letters = found[term] = {}
        if isinstance(term, Sum | Map):
            for child in term.children:
                axes.setdefault(child, own[: child.rank])
        if not isinstance(term, Contraction):
            continue
        scope.dims.update(zip(own, term.shape, strict=True))
        letters.update(zip(term.output, own, strict=True))
        for operand, labels in zip(term.children, term.inputs, strict=True):
            for label, dim in zip(labels, operand.shape, strict=True):
                if label not in letters:
                    letters[label] = scope.letter(dim, frozenset(letters.values()))
            if len(set(labels)) == len(labels):
                axes.setdefault(operand, tuple(letters[label] for label in labels))
    return found


def _indices(labels: Iterable[Label], letters: dict[Label, str]) -> str:
    return ",".join(letters[label] for label in labels)


def _node_text(term: Expr, letters: dict[Label, str]) -> str:
    """What a node does: a name, a number, a function, a sum over indices."""
    match term:
        case Variable():
            return term.name
        case Literal():
            return _fraction_text(term.value)
        case Extent():
            return f"extent {term.dim}"
        case Ones() | Delta():
            return type(term).__name__.lower()
        case Sum():
            if len(term.children) == 1:
                return f"× {_fraction_text(term.coefficients[0])}"
            return "+" if term.children else "zeros"
        case Map():
            _, exponent = base_and_exponent(term)
            if exponent != 1 and term.function == "pow":
                return f"power {_fraction_text(exponent)}"
            return _SYMBOL.get(term.function, term.function)
        case Contraction():
            summed = [x for x in letters if x not in term.output]
            what = f"Σ {_indices(summed, letters)}" if summed else "product"
            if not summed and len(term.children) == 1:
                what = "transpose" if len(term.inputs[0]) == len(term.output) else "diagonal"
            return f"{what} → [{_indices(term.output, letters)}]" if term.output else what
    return term.order[1]


# ---------------------------------------------------------------- steps of a program


def plan(program: Program, sizes: Mapping[str, int], results: Sequence[str] = ()) -> Graph:
    """The graph of a program; extents without a size are taken as large as its plan assumes."""
    known = _assumed_sizes(program, sizes)
    named: dict[int, list[str]] = {}
    for number, register in enumerate(program.outputs):
        name = results[number] if number < len(results) else ""
        named.setdefault(register, []).append(name)
    looped = {k: loop for loop in program.loops for k in range(loop.start, loop.stop)}
    kinds = Constant | Size  # drawn at each place that reads them
    constants = {
        step.target: step
        for step in program.instructions
        if isinstance(step, kinds) and step.target not in named
    }
    steps: list[_Step] = []
    for position, step in enumerate(program.instructions):
        if step.target in constants:
            continue
        is_input = isinstance(step, Input)
        flops = flops_of(step, program, known)
        facts = ["" if is_input else f"v{step.target}", _shape_text(step.shape)]
        facts += [_kernel(step), f"{flops:,} flops" if flops else ""]
        if position in looped:
            facts.append(f"{looped[position].rows:,} rows at a time")
        names = ", ".join(name for name in named.get(step.target, ()) if name)
        label = f"{names} = {_step_text(step)}" if names else _step_text(step)
        kind = "input" if is_input else "result" if step.target in named else "operation"
        reads = []
        for read, text in _registers(step):
            constant = constants.get(read)
            drawn = Node("constant", _step_text(constant), f"v{read}") if constant else None
            reads.append((read, drawn, text))
        node = Node(kind, short_line(label, _STEP), " · ".join(fact for fact in facts if fact))
        steps.append((step.target, node, reads))
    return _graph_of_steps("plan", steps, _sizes_text(known))


def _assumed_sizes(program: Program, sizes: Mapping[str, int]) -> dict[str, int]:
    """A size for every extent of a program."""
    dims: set[Dim] = set()
    for step in program.instructions:
        dims.update(step.shape)
        if isinstance(step, Size):
            dims.add(step.dim)
        elif isinstance(step, Contract):
            dims.update(dim for _, dim in step.extents)
    names = sorted(dim for dim in dims if isinstance(dim, str))
    return dict.fromkeys(names, ASSUMED_EXTENT) | dict(sizes)


def _sizes_text(sizes: Mapping[str, int]) -> str:
    texts = ", ".join(f"{dim} = {size}" for dim, size in sorted(sizes.items()))
    return f"for {texts}" if texts else ""


def _step_text(step: Instruction) -> str:
    """What a step does: the subscripts of a product, a function, a sum."""
    match step:
        case Input():
            return step.name.replace(BOUND, "bound ")
        case Constant():
            return step.value if isinstance(step.value, str) else _fraction_text(step.value)
        case Size():
            return f"extent {step.dim}"
        case Contract():
            if len(step.inputs) == 2 and not all(step.inputs):
                return "×"  # by a scalar
            numbers: dict[Label, int] = {}
            inputs = ",".join(_subscript(numbers, own) for own in step.inputs)
            return f"{inputs}→{_subscript(numbers, step.output)}"
        case Combine():
            several = len(step.operands) > 1
            return "+" if several else f"× {_fraction_text(step.coefficients[0])}"
        case Scatter():
            return "onto diagonals"
        case Elementwise():
            power = "" if step.exponent is None else f" {_fraction_text(step.exponent)}"
            return f"{step.function}{power}"
        case Whole():
            return step.function
        case Factorize():
            return "factorize"
        case Solve():
            return "solve transposed" if step.transposed else "solve"


def _kernel(step: Instruction) -> str:
    """What a contraction runs on; a product by a scalar says it already."""
    return step.kernel if isinstance(step, Contract) and _step_text(step) != "×" else ""


def _subscript(numbers: dict[Label, int], labels: Iterable[Label]) -> str:
    """The letters of labels, numbered beyond z."""
    turns = [divmod(numbers.setdefault(label, len(numbers)), 26) for label in labels]
    return "".join(f"{chr(ord('a') + place)}{turn or ''}" for turn, place in turns)


def _registers(step: Instruction) -> list[tuple[int, str]]:
    """What a step reads, each with what tells it from the others: its place or its factor."""
    operands = operands_of(step)
    texts = [""] * len(operands)
    match step:
        case Combine() if len(operands) > 1:
            texts = _factor_texts(step.coefficients)
        case Solve():
            texts = ["matrix", "right side"]
        case Contract(inputs=(first, second)) if len(first) == len(second):
            # unless the operands the other way round make the same product
            swapped = dict(zip(first + second, second + first, strict=True))
            if operands[0] != operands[1] and any(swapped.get(x, x) != x for x in step.output):
                texts = ["1", "2"]
        case Elementwise() if len(operands) > 1:
            texts = [str(number) for number in range(1, len(operands) + 1)]
    return list(zip(operands, texts, strict=True))


def plan_html(program: Program, sizes: Mapping[str, int], results: Sequence[str] = ()) -> str:
    """The plan as an HTML table: step, operation, operands, kernel, shape, operations, entries."""
    known = _assumed_sizes(program, sizes)
    rows = [("step", "operation", "of", "kernel", "shape", "flops", "entries")]
    flops = [flops_of(step, program, known) for step in program.instructions]
    for step, count in zip(program.instructions[:_ROWS], flops, strict=False):
        read = ", ".join(
            f"{f'{text} ' if text and not text.isdigit() else ''}v{register}"
            for register, text in _registers(step)
        )
        what = ("input " if isinstance(step, Input) else "") + _step_text(step)
        size = f"{entries(step.shape, known):,}"
        shape = _shape_text(step.shape)
        rows.append((f"v{step.target}", what, read, _kernel(step), shape, f"{count:,}", size))
    more = len(program.instructions) - _ROWS
    notes = [f"{more:,} more steps"] if more > 0 else []
    names = results or ("result",) * len(program.outputs)
    notes += [f"v{register}: {name}" for register, name in zip(program.outputs, names, strict=True)]
    notes += [f"{sum(flops):,} flops", *([_sizes_text(known)] if known else [])]
    lines = ['<table style="border-collapse:collapse;font-size:90%">']
    for number, row in enumerate(rows):
        tag = "td" if number else "th"
        cells = "".join(
            f'<{tag} style="text-align:{side};padding:2px 10px">{escape(cell)}</{tag}>'
            for cell, side in zip(row, ["left"] * 5 + ["right"] * 2, strict=True)
        )
        lines.append(f"<tr>{cells}</tr>")
    caption = f'<div style="color:#656d76">{escape("; ".join(notes))}</div>'
    return "\n".join([*lines, "</table>", caption])
