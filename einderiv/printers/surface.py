"""Terms as surface trees, which the printers of text and LaTeX show.

In: a term with the names of its axes, or a tree of named terms from a derivation.
Out: a surface tree; `unparse` adds the declarations and definitions that the term needs.
Invariant: what is written reads back as the same term: `sum[i](...)` and `ones[i]` are there if the
summation convention alone would read another sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import chain, count
from typing import NamedTuple

from ..notations import Call, Context, Definition, Group, Index, Name, Node, syntax
from ..terms import (
    COMPARISON_NAMES,
    INDICES_BUT_N,
    ONE,
    SPECIAL_TENSORS,
    WHOLE,
    Apply,
    Delta,
    Expr,
    Extent,
    Literal,
    Map,
    Ones,
    Sum,
    Variable,
    broadcast_axes,
    free_name,
    numbered_names,
    postorder,
    split_scale,
    trampoline,
)
from .named import (
    Applied,
    Leaf,
    Letters,
    Mapped,
    Names,
    Pending,
    Power,
    Product,
    Raw,
    Total,
    Unfolder,
    are_in_order,
    free_at,
    raw_fold,
    shared_nodes,
)
from .text import to_text
from .trees import (
    NOWHERE,
    as_base,
    call_tree,
    comparison_tree,
    entry,
    fraction_tree,
    number_tree,
    partial,
    power_tree,
    step_tree,
)


class Place(NamedTuple):
    """A tree to write: the indices that something around it keeps, those it has to show, its coefficient."""

    raw: Raw
    kept: frozenset[str]
    wanted: Names = ()
    coefficient: Fraction = ONE


Visit = Generator[Place, Node, Node]
Noted = tuple[dict[str, None], set[str]]


class TreeWriter:
    """Writes named terms as surface trees.

    `extent` writes an extent. A derivation has `slopes`, the leaves that are the derivative of a definition
    by a variable (the names of both, the definition's rank), and writes the sum of a trace: sum[i](A[i,i]).
    """

    def __init__(
        self,
        extent: Callable[[str], Node],
        slopes: Mapping[Expr, tuple[str, str, int]] | None = None,
    ) -> None:
        self.extent, self.slopes = extent, slopes
        self.free: dict[Raw, dict[str, None]] = {}
        # free names that would be summed if nothing kept them
        self.misread: dict[Raw, set[str]] = {}

    def tree(self, root: Raw, names: Names, kept: Names | None = None) -> Node:
        """The tree of a right-hand side with the indices `names`; its left-hand side has them, or `kept`."""
        if root not in self.free:
            raw_fold(root, self._note)
        kept = names if kept is None else kept
        return trampoline(Place(root, frozenset(kept), names), self._visit)

    def _note(self, raw: Raw, inside: list[Noted]) -> Noted:
        free = free_at(raw, [names for names, _ in inside])
        misread: set[str] = set()
        for _, found in inside:
            misread |= found
        match raw:
            case Leaf():
                if len(free) < len(raw.names):
                    misread = {name for name in raw.names if raw.names.count(name) > 1}
            case Product():
                seen: set[str] = set()
                for names, _ in inside:
                    misread |= seen.intersection(names)
                    seen.update(names)
                misread.difference_update(raw.summed)
            case Applied():
                misread -= set(raw.bound or raw.outer)
                misread |= {name for name in raw.outer if raw.outer.count(name) > 1}
        self.free[raw], self.misread[raw] = free, misread
        return free, misread

    def _visit(self, place: Place) -> Visit:
        raw = place.raw
        lacking = [name for name in place.wanted if name not in self.free[raw]]
        if isinstance(raw, Total) and not raw.terms:
            return entry("zeros", lacking) if lacking else number_tree(Fraction(0))
        if isinstance(raw, Product):
            coefficient = place.coefficient * raw.coefficient
            return (yield from self._product(place, coefficient, raw.factors, raw.summed, lacking))
        if lacking or place.coefficient != 1:
            return (yield from self._product(place, place.coefficient, (raw,), (), lacking))
        match raw:
            case Leaf():
                return self._leaf(raw)
            case Total():
                return (yield from self._total(place, raw))
            case Power():
                inner = _with_brackets(raw.base, (yield Place(raw.base, place.kept)))
                below = raw.exponent < 0
                raised = power_tree(inner, abs(raw.exponent))
                return fraction_tree([], [raised], ONE) if below else raised
            case Mapped():
                return (yield from self._function(place, raw))
            case Applied():
                return (yield from self._whole_function(place, raw))
            case Pending():
                inner = yield Place(raw.inner, place.kept)
                return partial(inner, entry(raw.variable.name, raw.names))
        raise AssertionError(raw)

    def _leaf(self, raw: Leaf) -> Node:
        term = raw.term
        if self.slopes and term in self.slopes:  # the derivative of a definition
            name, variable, rank = self.slopes[term]
            return partial(entry(name, raw.names[:rank]), entry(variable, raw.names[rank:]))
        match term:
            case Variable():
                return entry(term.name, raw.names)
            case Literal():
                return number_tree(term.value)
            case Extent():
                return self.extent(term.dim)
            case Delta():
                return entry("delta", raw.names)
            case Ones():
                return entry("ones", raw.names)
            case Sum():  # of nothing
                return entry("zeros", raw.names) if raw.names else number_tree(Fraction(0))
            case Map():
                return Name(term.function, NOWHERE)
            case Apply():
                return entry("eps", raw.names)
        raise AssertionError(term)

    def _product(
        self,
        place: Place,
        coefficient: Fraction,
        factors: Sequence[Raw],
        summed: Names,
        lacking: Sequence[str],
    ) -> Visit:
        explicit = self._explicit_sums(factors, summed)
        kept = place.kept.union(explicit)
        above: list[Node] = []
        below: list[Node] = []
        for factor in factors:
            base, exponent = _base_and_exponent(factor)
            if isinstance(base, Leaf) and isinstance(base.term, Literal) and exponent == 1:
                coefficient *= base.term.value
                continue
            inner = _with_brackets(base, (yield Place(base, kept)))
            (below if exponent < 0 else above).append(power_tree(inner, abs(exponent)))
        if lacking:
            above.append(entry("ones", lacking))
        if not explicit:
            return fraction_tree(above, below, coefficient)
        summed_tree = _over("sum", explicit, fraction_tree(above, below, ONE))
        return fraction_tree([summed_tree], [], coefficient)

    def _explicit_sums(self, factors: Sequence[Raw], summed: Names) -> Names:
        """Summed names that the convention alone would not sum over this product."""
        if not summed:
            return ()
        places: Counter[str] = Counter()
        hidden: set[str] = set()
        for factor in factors:
            base, _ = _base_and_exponent(factor)
            own = base.names if isinstance(base, Leaf) else ()
            own = base.outer if isinstance(base, Applied) else own
            places.update({name: own.count(name) or 1 for name in self.free[base]})
            hidden |= self.misread[base].difference(() if self.slopes is not None else own)
        return tuple(name for name in summed if name in hidden or places[name] < 2)

    def _total(self, place: Place, raw: Total) -> Visit:
        wanted = self._shown_by_all(raw.terms, place.kept)
        terms = []
        for coefficient, term in zip(raw.coefficients, raw.terms, strict=True):
            minus = coefficient < 0
            own = wanted if self.free[term] else ()
            inner = yield Place(term, place.kept, own, abs(coefficient))
            if isinstance(inner, syntax.Negative):
                minus, inner = not minus, inner.operand
            terms.append((minus, inner))
        return syntax.Sum(tuple(terms), NOWHERE)

    def _function(self, place: Place, raw: Mapped, is_condition: bool = False) -> Visit:
        wanted = self._shown_by_all(raw.arguments, place.kept)
        arguments: list[Node] = []
        for argument in raw.arguments:
            inner = Place(argument, place.kept, wanted if self.free[argument] else ())
            is_first = raw.function == "where" and not arguments
            if is_first and isinstance(argument, Mapped) and argument.function in COMPARISON_NAMES:
                arguments.append((yield from self._function(inner, argument, is_condition=True)))
            else:
                arguments.append((yield inner))
        if raw.function in COMPARISON_NAMES:
            condition = comparison_tree(raw.function, *arguments)
            return condition if is_condition else step_tree(condition)
        if raw.function == "pow":
            return syntax.Power(as_base(arguments[0]), as_base(arguments[1]), NOWHERE)
        return call_tree(raw.function, *arguments)

    def _whole_function(self, place: Place, raw: Applied) -> Visit:
        behind = None
        if WHOLE[raw.function].matrix:
            whole = _whole_name(raw)
            if whole is not None:
                return whole
            behind = _indices(raw.outer) or None
        names = raw.bound or raw.outer
        wanted = tuple(dict.fromkeys([*self.free[raw.argument], *names]))
        inner = yield Place(raw.argument, place.kept.union(names), wanted)
        return _over(raw.function, names, inner, behind)

    def _shown_by_all(self, raws: Sequence[Raw], kept: frozenset[str]) -> Names:
        """The indices that each of these must show: none if the surroundings name them all."""
        shown = {name: None for raw in raws for name in self.free[raw]}
        return () if kept.issuperset(shown) else tuple(shown)


def _with_brackets(raw: Raw, tree: Node) -> Node:
    """A product inside a product keeps its sums to itself."""
    inside = isinstance(raw, Product) and not isinstance(tree, Group | Call)
    return Group(tree, NOWHERE) if inside else tree


def _base_and_exponent(raw: Raw) -> tuple[Raw, Fraction]:
    return (raw.base, raw.exponent) if isinstance(raw, Power) else (raw, ONE)


def _indices(names: Sequence[str]) -> tuple[Index, ...]:
    return tuple(Index(name, None, NOWHERE) for name in names)


def _over(
    function: str, names: Names, inner: Node, behind: tuple[Index, ...] | None = None
) -> Node:
    return Call(function, _indices(names), (inner,), behind, NOWHERE, NOWHERE)


def _whole_name(raw: Applied) -> Node | None:
    """`det(A)` if the argument of a matrix function is a named tensor, `det(inv(A))` if it is one of such."""
    around = []
    inner: Raw = raw
    bound = raw.outer
    while isinstance(inner, Applied) and WHOLE[inner.function].matrix and inner.outer == bound:
        around.append(inner.function)
        bound = inner.bound
        inner = inner.argument
    if not isinstance(inner, Leaf) or not isinstance(inner.term, Variable):
        return None
    if inner.names[-len(bound) :] != bound:
        return None
    tree: Node = Name(inner.term.name, NOWHERE)
    for name in reversed(around[1:]):
        tree = call_tree(name, tree)
    behind = _indices((*inner.names[: -len(bound)], *raw.outer)) or None
    return Call(raw.function, None, (tree,), behind, NOWHERE, NOWHERE)


# ---------------------------------------------------------------- programs


def unparse(root: Expr, names: tuple[str, ...], hints: Context) -> syntax.Text:
    """The surface tree of a term: declarations and definitions if they are needed, then the result."""
    names_of, taken = with_names(root, shared_nodes(root), hints, SPECIAL_TENSORS)
    lets = {node: Variable(name, node.shape) for node, name in names_of.items()}
    statements: list[syntax.Declaration | Definition] = []
    extents: set[str] = set()

    def state(node: Expr, name: str, axes: Names | None, keeps: bool) -> None:
        letters = Letters(hints)
        axes = letters.letters(node.shape, ()) if axes is None else axes
        letters.dims.update(zip(axes, node.shape, strict=True))
        unfolder = Unfolder(letters, lets, apart=False)
        raw = unfolder.raw(node, axes)
        keeps = keeps or bool(unfolder.hazard[node]) or _needs_left(node)
        writer = TreeWriter(letters.extent)
        body = writer.tree(raw, axes, axes if keeps else ())
        if not keeps and not are_in_order(body, axes):
            keeps, body = True, writer.tree(raw, axes)
        letters.annotate(body)
        extents.update(letters.extents)
        left, indices = (name, _indices(axes) or None) if keeps else (None, None)
        statements.append(Definition(left, indices, body, NOWHERE, NOWHERE))

    for node, u in lets.items():
        state(node, u.name, None, keeps=True)
    left = free_name(chain([hints.name or "Y"], numbered_names("Y", 1)), taken)
    state(root, left, names, keeps=False)
    present = [node for node in postorder([root]) if isinstance(node, Variable)]
    return syntax.Text("", (*_declarations(extents, present, hints), *statements))


def with_names(
    root: Expr, parts: Iterable[Expr], hints: Context, special: Iterable[str] = ()
) -> tuple[dict[Expr, str], set[str]]:
    """Names for parts of a term, the user's or t1, t2, ...; and all names in use, `special` ones too."""
    taken = {*hints.variables, *hints.declared, *special}
    taken.update(str(dim) for node in postorder([root]) for dim in node.shape)
    found: dict[Expr, str] = {}
    for node in parts:
        known = hints.definitions.get(node)
        wanted = (f"t{k}" for k in count(1)) if known is None else numbered_names(known, 1)
        found[node] = free_name(wanted, taken)
        taken.add(found[node])
    return found, taken


def on_one_line(term: Expr, hints: Context, names: Names = ()) -> str:
    """A term in index notation as an error shows it, its first axes called `names`."""
    letters = [c for c in INDICES_BUT_N if c not in hints.declared]
    chosen = list(names)
    for dim in term.shape[len(chosen) :]:
        own = [*hints.letters.get(dim, ()), *letters]
        chosen.append(next((c for c in own if c not in chosen), f"i{len(chosen)}"))
    text = to_text(unparse(term, tuple(chosen), hints)).split("\n")[-1]
    return text if len(text) <= 200 else f"{text[:200]}..."


def _needs_left(root: Expr) -> bool:
    """Sums that broadcast partly read back only if a left-hand side names all indices."""
    _, term = split_scale(root)
    return isinstance(term, Sum) and any(
        0 < len(broadcast_axes(child)) < child.rank for child in term.children
    )


def _declarations(
    extents: set[str], present: Sequence[Variable], hints: Context
) -> list[syntax.Declaration]:
    """A declaration for every extent that is printed by its name, and for what is assumed."""
    needed = {x.name for x in present if x.assumptions}
    left = set(extents)
    for name in dict.fromkeys([*(x.name for x in present), *hints.variables]):
        shape = hints.variables[name].shape if name in hints.variables else ()
        if left.intersection(shape):  # tensors of the term come first
            needed.add(name)
            left.difference_update(map(str, shape))
    return [
        syntax.Declaration(name, x.shape, tuple(sorted(x.assumptions)), NOWHERE, NOWHERE)
        for name, x in hints.assumed_variables.items()
        if name in needed
    ]
