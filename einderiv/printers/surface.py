"""From terms back to the surface tree: labels get names, and every choice of presentation is made here.

In: a term, the names of its axes, hints for letters and for definitions.
Out: a `syntax.Text` that the elaborator reads back to the same term; text and LaTeX render it.
Invariant: a summed label's letter differs from all letters in scope around it, one letter stands for one
extent within a statement, and `sum[i](...)` is written where the convention alone would sum elsewhere.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from itertools import count as itertools_count

from ..notations import Call, Context, Definition, Group, Index, Name, Node, syntax
from ..terms import (
    COMPARISON_NAMES,
    Apply,
    Contraction,
    Delta,
    Expr,
    Extent,
    Label,
    Literal,
    Map,
    Ones,
    Sum,
    Variable,
    base_and_exponent,
    functions,
    postorder,
    split_scale,
    trampoline,
    with_decimals_inside,
    without_ones,
)
from .named import (
    Factor,
    Letters,
    arranged_factors,
    arranged_terms,
    closed_parts_inlined,
    distinct_labels,
    flipped,
    hazards,
    shared_nodes,
)
from .trees import (
    NOWHERE,
    as_base,
    call_tree,
    fraction_tree,
    number_tree,
    powered,
    with_coefficient,
)

_SYMBOL = {name: symbol for symbol, name in functions.COMPARISONS.items()}


@dataclass(frozen=True, slots=True)
class Scope:
    """The letters around a place, and those that an explicit sum or a left-hand side keeps."""

    used: frozenset[str]
    kept: frozenset[str]

    def within(self, names: Iterable[str], kept: Iterable[str] = ()) -> Scope:
        """The scope further in."""
        return Scope(self.used.union(names), self.kept.union(kept))


@dataclass(frozen=True, slots=True)
class Place:
    """A term to print with the names of its axes."""

    node: Expr
    names: tuple[str, ...]
    scope: Scope


Visit = Generator[Place, Node, Node]


def unparse(root: Expr, names: tuple[str, ...], hints: Context) -> syntax.Text:
    """The surface tree of a term: declarations and definitions where they are needed, then the result."""
    taken = {*hints.variables, *hints.declared, *functions.SPECIAL_TENSORS}
    taken.update(str(dim) for node in postorder([root]) for dim in node.shape)
    lets: dict[Expr, str] = {}
    hazard = hazards(root, lets)
    numbers = (f"t{count}" for count in itertools_count(1) if f"t{count}" not in taken)
    for node in shared_nodes(root):
        known = hints.definitions.get(node)
        lets[node] = next(numbers) if known is None else _fresh_name(known, taken)
        taken.add(lets[node])
    if lets:
        hazard = hazards(root, lets)
    statements: list[syntax.Declaration | Definition] = []
    extents: set[str] = set()
    for node, name in lets.items():
        printer = _Statement(hints, lets, hazard, node, extents)
        axes = printer.axis_letters(node)
        body = printer.body(axes, keeps=True)
        statements.append(_definition(name, axes, body))
    printer = _Statement(hints, lets, hazard, root, extents)
    needs_left = bool(hazard[root]) or _needs_left(root)
    body = printer.body(names, keeps=needs_left)
    if needs_left or not printer.in_order(body, names):
        if not needs_left:
            body = _Statement(hints, lets, hazard, root, extents).body(names, keeps=True)
        left = hints.name if hints.name and hints.name not in taken else _fresh_name("Y", taken)
        statements.append(_definition(left, names, body))
    else:
        statements.append(Definition(None, None, body, NOWHERE, NOWHERE))
    present = [node for node in postorder([root]) if isinstance(node, Variable)]
    return syntax.Text("", (*_declarations(extents, present, hints), *statements))


def _definition(name: str, axes: tuple[str, ...], body: Node) -> Definition:
    left = tuple(Index(axis, None, NOWHERE) for axis in axes)
    return Definition(name, left or None, body, NOWHERE, NOWHERE)


def _fresh_name(wanted: str, taken: set[str]) -> str:
    names = chain([wanted], (f"{wanted}{count}" for count in itertools_count(1)))
    return next(name for name in names if name not in taken)


def _needs_left(root: Expr) -> bool:
    """Sums that broadcast partly read back only where a left-hand side names all indices."""
    _, term = split_scale(root)
    return isinstance(term, Sum) and any(
        0 < len(_without_ones_names(child, tuple(map(str, range(child.rank))))) < child.rank
        for child in term.children
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
        for name, x in hints.assumed.items()
        if name in needed
    ]


def _without_ones_names(term: Expr, names: tuple[str, ...]) -> tuple[str, ...]:
    """The axis names of a term along which it does not just repeat itself."""
    _, inside = split_scale(term)
    if isinstance(inside, Ones):
        return ()
    if not isinstance(inside, Contraction):
        return names if inside.rank else ()
    repeated = {
        labels[0]
        for operand, labels in zip(inside.children, inside.inputs, strict=True)
        if isinstance(operand, Ones)
    }
    return tuple(n for n, label in zip(names, inside.output, strict=True) if label not in repeated)


class _Statement(Letters):
    """Prints one statement: letters are its own."""

    def __init__(
        self,
        hints: Context,
        lets: Mapping[Expr, str],
        hazard: Mapping[Expr, frozenset[int]],
        root: Expr,
        extents: set[str],
    ) -> None:
        super().__init__(hints, root, extents)
        self.lets, self.hazard = lets, hazard

    def body(self, names: tuple[str, ...], keeps: bool) -> Node:
        """The right-hand side, with the axes called `names`."""
        self.dims.update(zip(names, self.root.shape, strict=True))
        scope = Scope(frozenset(names), frozenset(names if keeps else ()))
        node = trampoline(Place(self.root, names, scope), self.visit)
        self.annotate()
        return node

    # ------------------------------------------------------------ letters

    # ------------------------------------------------------------ nodes

    def visit(self, place: Place) -> Visit:
        """The surface tree of a term."""
        node, names = place.node, place.names
        if node in self.lets and node is not self.root:
            return self.access(self.lets[node], names)
        match node:
            case Variable():
                return self.access(node.name, names)
            case Literal():
                return number_tree(node.value)
            case Extent():
                return self.extent(node.dim)
            case Ones():
                return self.access("ones", names, told=False)
            case Delta():
                self.pairs.append((names[0], names[1]))
                return self.access("delta", names, told=False)
            case Sum():
                return (yield from self.sum(place, node))
            case Contraction():
                return (yield from self.product(place, node, Fraction(1)))
            case Map():
                return (yield from self.map(place, node))
            case Apply():
                return (yield from self.apply(place, node))
        raise AssertionError(node)

    def sum(self, place: Place, node: Sum) -> Visit:
        if not node.children:
            return self.access("zeros", place.names, told=False)
        if node.children[0] not in self.lets:
            node = with_decimals_inside(node)
        if len(node.children) == 1:
            return (yield from self.scaled(place, node.coefficients[0], node.children[0]))
        terms = []
        entries = arranged_terms(node)
        dropped = self.droppable([term for _, term in entries], place)
        for coefficient, term in entries:
            inner = self.narrowed(term, place, dropped)
            minus = coefficient < 0
            tree = yield from self.scaled(inner, abs(coefficient), inner.node)
            terms.append((minus, tree))
        return syntax.Sum(tuple(terms), NOWHERE)

    def scaled(self, place: Place, coefficient: Fraction, term: Expr) -> Visit:
        """coefficient * term, signs moved into a bracket where that reads better."""
        if isinstance(term, Literal):
            return number_tree(coefficient * term.value)
        if isinstance(term, Sum) and coefficient < 0 and flipped(term) is not None:
            coefficient, other = -coefficient, flipped(term)
            assert other is not None
            term = other
        place = Place(term, place.names, place.scope)
        if isinstance(term, Contraction) and term not in self.lets:
            return (yield from self.product(place, term, coefficient))
        tree = yield place
        return with_coefficient(coefficient, tree)

    def droppable(self, terms: Sequence[Expr], place: Place) -> bool:
        """May terms drop their `ones`: is every index named around them and by some term?"""
        names = set(place.names)
        shown = {name for term in terms for name in _without_ones_names(term, place.names)}
        return shown == names and place.scope.kept.issuperset(names)

    def narrowed(self, term: Expr, place: Place, dropped: bool) -> Place:
        """A term without the `ones` that its neighbours make superfluous."""
        names = _without_ones_names(term, place.names)
        bare = names if (dropped or not names) else place.names
        if bare == place.names or (not names and not dropped and not self.neighbours(place)):
            return Place(term, place.names, place.scope)
        return Place(_bare(term, place.names, bare), bare, place.scope)

    def neighbours(self, place: Place) -> bool:
        """Does another term of the same sum show all indices, so that a scalar term broadcasts?"""
        node = place.node
        arguments = node.children if isinstance(node, Sum | Map) else ()
        return any(_without_ones_names(t, place.names) == place.names for t in arguments if t.rank)

    # ------------------------------------------------------------ products

    def product(self, place: Place, node: Contraction, coefficient: Fraction) -> Visit:
        factors, dims = closed_parts_inlined(node, self.lets, self.hazard)
        names: dict[Label, str] = dict(zip(node.output, place.names, strict=True))
        used = place.scope.used.union(place.names)
        factors = arranged_factors(factors, node.output)
        factors = distinct_labels(factors, dims, self.lets)
        for factor in factors:
            for label in factor.labels:
                if label not in names:
                    names[label] = self.letter(dims[label], used)
                    used |= {names[label]}
        explicit = self.explicit_sums(factors, set(node.output))
        kept = place.scope.kept.union(names[label] for label in explicit)
        scope = Scope(used, kept)
        repeated = [f for f in factors if isinstance(f.operand, Ones)]
        factors = [f for f in factors if not isinstance(f.operand, Ones)]
        above: list[Node] = []
        below: list[Node] = []
        turned = coefficient < 0
        for factor in factors:
            operand = factor.operand
            if (
                turned
                and factor.count == 1
                and isinstance(operand, Sum)
                and operand not in self.lets
            ):
                other = flipped(operand)
                if other is not None:
                    operand, coefficient, turned = other, -coefficient, False
            base, exponent = base_and_exponent(operand)
            if operand in self.lets:
                base, exponent = operand, Fraction(1)
            inner = yield Place(base, tuple(names[label] for label in factor.labels), scope)
            if isinstance(base, Contraction) and base not in self.lets and not _is_summed(inner):
                inner = Group(inner, NOWHERE)  # its sums end there
            exponent *= factor.count
            (below if exponent < 0 else above).append(powered(inner, abs(exponent)))
        if repeated:
            axes = [names[label] for factor in repeated for label in factor.labels]
            above.append(self.access("ones", axes, told=False))
        tree = fraction_tree(above, below, Fraction(1) if explicit else coefficient)
        if explicit:
            over = tuple(Index(names[label], None, NOWHERE) for label in sorted(explicit))
            summed = Call("sum", over, (tree,), None, NOWHERE, NOWHERE)
            return with_coefficient(coefficient, summed)
        return tree

    def explicit_sums(self, factors: Sequence[Factor], output: set[Label]) -> set[Label]:
        """Summed labels that the convention alone would not sum over this product."""
        places: dict[Label, int] = {}
        needed: set[Label] = set()
        for factor in factors:
            for label in set(factor.labels):
                places[label] = places.get(label, 0) + 1
                if factor.labels.count(label) > 1:
                    if factor.is_access(self.lets):
                        places[label] += 1
                    else:
                        needed.add(label)
            needed.update(factor.labels[axis] for axis in self.hazard.get(factor.operand, ()))
        needed.update(label for label, count in places.items() if count < 2)
        return needed - output

    # ------------------------------------------------------------ functions

    def map(self, place: Place, node: Map) -> Visit:
        if not node.children:
            return Name(node.function, NOWHERE)
        if node.function in COMPARISON_NAMES:
            condition = yield from self.comparison(place, node)
            return call_tree("where", condition, number_tree(Fraction(1)), number_tree(Fraction(0)))
        base, exponent = base_and_exponent(node)
        if exponent != 1 and node.function == "pow":
            inner = yield Place(base, place.names, place.scope)
            if isinstance(base, Contraction) and base not in self.lets and not _is_summed(inner):
                inner = Group(inner, NOWHERE)
            if exponent < 0:
                return fraction_tree([], [powered(inner, -exponent)], Fraction(1))
            return powered(inner, exponent)
        arguments = yield from self.arguments(place, node)
        if node.function == "pow":
            return syntax.Power(as_base(arguments[0]), as_base(arguments[1]), NOWHERE)
        return call_tree(node.function, *arguments)

    def arguments(self, place: Place, node: Map) -> Generator[Place, Node, list[Node]]:
        full = [child for child in node.children if child.rank]
        dropped = self.droppable(full, place)
        trees = []
        for position, child in enumerate(node.children):
            if child.rank:
                inner = self.narrowed(child, place, dropped)
            else:
                inner = Place(child, (), place.scope)
            if node.function == "where" and position == 0 and isinstance(inner.node, Map):
                if inner.node.function in COMPARISON_NAMES and inner.node not in self.lets:
                    trees.append((yield from self.comparison(inner, inner.node)))
                    continue
            trees.append((yield inner))
        return trees

    def comparison(self, place: Place, node: Map) -> Visit:
        left, right = yield from self.arguments(place, node)
        return syntax.Comparison(_SYMBOL[node.function], left, right, NOWHERE)

    def apply(self, place: Place, node: Apply) -> Visit:
        names = place.names
        if node.function == "eps":
            return self.access("eps", names, told=False)
        if functions.WHOLE[node.function].matrix:
            return (yield from self.matrix_function(place, node))
        (child,) = node.children
        batch = child.rank - node.width
        if node.rank == child.rank:  # softmax keeps its index
            core = names[batch:]
        else:
            core = ()
            for dim in child.shape[batch:]:
                core = (*core, self.letter(dim, place.scope.used.union(names, core)))
        scope = place.scope.within((*names, *core), core)
        inner = yield Place(child, (*names[:batch], *core), scope)
        over = tuple(Index(name, None, NOWHERE) for name in core)
        return Call(node.function, over, (inner,), None, NOWHERE, NOWHERE)

    def matrix_function(self, place: Place, node: Apply) -> Visit:
        (child,) = node.children
        names = place.names
        whole = self.whole_name(child)
        if whole is not None:
            behind = tuple(self.index(name, True) for name in names) or None
            return Call(node.function, None, (whole,), behind, NOWHERE, NOWHERE)
        batch = child.rank - 2
        used = place.scope.used.union(names)
        row = self.letter(child.shape[-1], used)
        column = self.letter(child.shape[-1], used | {row})
        scope = place.scope.within((*names, row, column), (row, column))
        inner = yield Place(child, (*names[:batch], row, column), scope)
        over = tuple(Index(name, None, NOWHERE) for name in (row, column))
        behind = tuple(self.index(name, True) for name in names[batch:]) or None
        return Call(node.function, over, (inner,), behind, NOWHERE, NOWHERE)

    def whole_name(self, child: Expr) -> Node | None:
        """`A` where the argument of a matrix function is a named tensor, `inv(A)` where it is one of such."""
        chain: list[str] = []
        while (
            child not in self.lets
            and isinstance(child, Apply)
            and child.function
            in (
                "inv",
                "cholesky",
                "tril",
            )
        ):
            chain.append(child.function)
            (child,) = child.children
        if child in self.lets:
            tree: Node = Name(self.lets[child], NOWHERE)
        elif isinstance(child, Variable):
            tree = Name(child.name, NOWHERE)
        else:
            return None
        for name in reversed(chain):
            tree = Call(name, None, (tree,), None, NOWHERE, NOWHERE)
        return tree


def _is_summed(tree: Node) -> bool:
    return isinstance(tree, Call) and tree.function == "sum"


def _bare(term: Expr, names: tuple[str, ...], bare: tuple[str, ...]) -> Expr:
    """`term` without its broadcast axes."""
    _, inside = split_scale(term)
    rest = tuple(place for place, name in enumerate(names) if name in bare)
    return without_ones(term, rest) if inside.rank else term
