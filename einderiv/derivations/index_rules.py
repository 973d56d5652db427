"""The rules of the index method: one derivative pushed one level down.

In: a derivative that is not carried out. Out: the products that stand for it, and the rule.
Invariant: these are the four formulas of `differentiator.py` (Sum, Contraction, Map, Apply) on named indices;
slopes and differentials come from the same rows of `functions.py` through `rules.py`.
Every product that leaves here holds one derivative at most, as a factor of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from ..calculus import Placed, derivative_of, differential_of, instantiate, scalar_rule
from ..notations import Call, Comparison, Definition, Index, Node
from ..printers import (
    NOWHERE,
    Applied,
    Leaf,
    Mapped,
    Names,
    Pending,
    Power,
    Product,
    Raw,
    Total,
    Unfolder,
    all_names,
    entry,
    fraction_tree,
    free_names,
    number_tree,
    partial,
    raw_postorder,
    rename,
    to_term,
    tree_latex,
    tree_text,
)
from ..terms import (
    ELEMENTWISE,
    ONE,
    WHOLE,
    Delta,
    Dim,
    Expr,
    Label,
    Literal,
    Ones,
    Shape,
    Variable,
    extent,
    is_zero,
)

# The rules of a derivation by name, with their laws as a reader knows them.
#
# In: names of functions. Out: rules, laws as text and as LaTeX.
# Invariant: what a function's law says is the row of `functions.py` that the engine differentiates by.


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by name, its law as text and as LaTeX, and whether a reader takes it for granted."""

    name: str
    law: str
    latex: str
    trivial: bool = False


SUM_RULE = Rule(
    "sum rule", "∂(u + v) = ∂u + ∂v", r"\partial(u + v) = \partial u + \partial v", True
)
SUM_OF_ENTRIES = Rule("sum rule", "∂sum(u) = sum(∂u)", r"\partial \sum u = \sum \partial u", True)
CONSTANT_FACTOR = Rule("constant factor", "∂(c*u) = c*∂u", r"\partial(c\,u) = c\,\partial u", True)
PRODUCT_RULE = Rule(
    "product rule", "∂(u*v) = ∂u*v + u*∂v", r"\partial(u\,v) = \partial u\,v + u\,\partial v"
)
POWER_RULE = Rule("power rule", "∂u^p = p*u^(p - 1)*∂u", r"\partial u^p = p\,u^{p - 1}\,\partial u")
POWER_RULES = {  # the same for exponents that have a form of their own
    Fraction(2): Rule("power rule", "∂u^2 = 2*u*∂u", r"\partial u^2 = 2\,u\,\partial u"),
    Fraction(-1): Rule(
        "power rule", "∂(1/u) = -∂u/u^2", r"\partial\frac{1}{u} = -\frac{\partial u}{u^2}"
    ),
    Fraction(1, 2): Rule(
        "power rule",
        "∂sqrt(u) = ∂u/(2*sqrt(u))",
        r"\partial\sqrt{u} = \frac{\partial u}{2\sqrt{u}}",
    ),
}


@cache
def slope_law(function: str, position: int) -> tuple[str, str]:
    """`∂tanh(x)/∂x = 1 - tanh(x)^2`, as the row has it: text and LaTeX."""
    row = ELEMENTWISE[function]
    call = "x^p" if function == "pow" else f"{function}({', '.join(row.arguments)})"
    slope = row.derivatives[position] or "0"
    by = row.arguments[position]
    left, right = (tree_latex(_parsed(text)) for text in (call, slope))
    return f"∂{call}/∂{by} = {slope}", f"\\frac{{\\partial}}{{\\partial {by}}} {left} = {right}"


@cache
def differential_law(function: str) -> tuple[str, str]:
    """`d inv(A)[i,j] = -inv(A)[i,k]*dA[k,l]*inv(A)[l,j]`, as the row has it: text and LaTeX."""
    row = WHOLE[function]
    name = row.arguments[0]
    left, right = row.differential.split(" = ", 1)
    own = tuple(left.removeprefix("dY").strip("[]").split(",")) if "[" in left else ()
    call = f"{function}({name})" if row.matrix else f"{function}[k]({name}[k])"
    if not row.matrix and own:
        call = f"{function}[{','.join(own)}]({name}[{','.join(own)}])"
    shown = tree_latex(_parsed(f"{call}[{','.join(own)}]" if row.matrix and own else call))
    moved = f"\\mathrm{{d{name}}}"
    formula = tree_latex(_parsed(right)).replace(moved, f"\\mathrm{{d}}{name}")
    behind = left.removeprefix("dY") if row.matrix else ""
    return f"d {call}{behind} = {right}", f"\\mathrm{{d}}\\,{shown} = {formula}"


def _parsed(text: str) -> Node:
    from ..notations import parse_index

    (statement,) = parse_index(text).statements
    assert isinstance(statement, Definition)
    return statement.expression


# ----------------------------------------------------------------------


class Rules:
    """The rules for derivatives by one variable, over the letters and definitions of one derivation."""

    def __init__(
        self,
        unfolder: Unfolder,
        dims: Mapping[str, Dim],
        variable: Variable,
        names: Names,
        moving: tuple[tuple[Variable, Variable], ...],
    ) -> None:
        self.unfolder, self.dims = unfolder, dims
        self.variable, self.names, self.moving = variable, names, moving
        self.slopes = dict(moving)

    def pending(self, raw: Raw) -> Pending:
        """The derivative of a tree."""
        return Pending(raw, self.variable, self.names, self.moving)

    def depends(self, root: Raw) -> bool:
        """Does a tree depend on the variable?"""
        leaves = (raw.term for raw in raw_postorder(root) if isinstance(raw, Leaf))
        return any(term is self.variable or term in self.slopes for term in leaves)

    def applied(self, pending: Pending, around: Iterable[str]) -> tuple[Rule, list[Product]]:
        """The rule for a derivative, and the products it becomes; `around` are the names in use."""
        inner = pending.inner
        match inner:
            case Leaf():
                return self._entry(inner)
            case Total():
                pairs = zip(inner.coefficients, inner.terms, strict=True)
                terms = [Product(c, (self.pending(t),), ()) for c, t in pairs if self.depends(t)]
                return SUM_RULE, terms
            case Product():
                return self._product(inner)
            case Power():
                return self._power(inner)
            case Mapped():
                return self._mapped(inner, around)
            case Applied():
                return self._whole(inner, around)
        raise AssertionError(inner)

    def _entry(self, leaf: Leaf) -> tuple[Rule, list[Product]]:
        if leaf.term in self.slopes:
            assert isinstance(leaf.term, Variable)
            slope = Leaf(self.slopes[leaf.term], (*leaf.names, *self.names))
            rule = Rule("definition", f"∂{leaf.term.name} stands above", "", True)
            return rule, [Product(ONE, (slope,), ())]
        pairs = list(zip(leaf.names, self.names, strict=True))
        deltas = tuple(Leaf(Delta(self.dims[b]), (a, b)) for a, b in pairs)
        x, by = (entry(self.variable.name, names) for names in (leaf.names, self.names))
        shown = fraction_tree([entry("delta", pair) for pair in pairs], [], ONE)
        left = partial(x, by)
        law = f"{tree_text(left)} = {tree_text(shown)}"
        latex = f"{tree_latex(left)} = {tree_latex(shown)}"
        rule = Rule("derivative of an entry", law, latex, True)
        return rule, [Product(ONE, deltas, ())]

    def _product(self, inner: Product) -> tuple[Rule, list[Product]]:
        places = [k for k, factor in enumerate(inner.factors) if self.depends(factor)]
        terms = []
        for k in places:
            factors = list(inner.factors)
            factors[k] = self.pending(factors[k])
            terms.append(replace(inner, factors=tuple(factors)))
        if len(places) > 1:
            return PRODUCT_RULE, terms
        return (SUM_OF_ENTRIES if len(inner.factors) == 1 else CONSTANT_FACTOR), terms

    def _power(self, inner: Power) -> tuple[Rule, list[Product]]:
        p = inner.exponent
        base = inner.base if p == 2 else Power(inner.base, p - 1)
        term = Product(p, (base, self.pending(inner.base)), ())
        return POWER_RULES.get(p, POWER_RULE), [term]

    def _mapped(self, inner: Mapped, around: Iterable[str]) -> tuple[Rule, list[Product]]:
        row = ELEMENTWISE[inner.function]
        names = free_names(inner)
        own = all_names([inner])
        used = frozenset(set(around) - own | set(names))
        arguments = tuple(
            to_term(a, self.dims, names if free_names(a) else ()) for a in inner.arguments
        )
        terms, laws, latex = [], [], []
        for k, argument in enumerate(inner.arguments):
            if not self.depends(argument):
                continue
            rule = derivative_of(inner.function, k)
            assert rule is not None  # the engine has differentiated it
            slope = scalar_rule(rule, row.arguments, arguments)
            law, formula = slope_law(inner.function, k)
            laws.append(law)
            latex.append(formula)
            if not is_zero(slope):
                shown = self.unfolder.raw(slope, names if slope.rank else (), used)
                terms.append(_flat(ONE, [shown, self.pending(argument)]))
        return Rule("chain rule", "; ".join(laws), r",\; ".join(latex)), terms

    def _whole(self, inner: Applied, around: Iterable[str]) -> tuple[Rule, list[Product]]:
        """The row's differential with the argument's derivative for dA."""
        row = WHOLE[inner.function]
        core = inner.bound or inner.outer
        batch = tuple(name for name in free_names(inner.argument) if name not in core)
        argument = to_term(inner.argument, self.dims, (*batch, *core))
        moved = Variable("∂", argument.shape)
        used = frozenset(around)
        outer: Names = ()  # one name may stand twice: inv(A)[i,i]
        for name in inner.outer:
            taken = name in outer or name in batch
            letter = self.unfolder.letters.letter
            fresh = letter(self.dims[name], used.union(outer, self.unfolder.reserved, batch))
            outer = (*outer, fresh if taken else name)
        result = _differential(inner.function, argument, moved, len(batch), len(core))
        shown = self.unfolder.raw(result, (*batch, *outer), used)
        shown = rename(shown, dict(zip(outer, inner.outer, strict=True)))
        terms = [
            self._with_argument(term, moved, inner.argument, (*batch, *core))
            for term in _linear_terms(shown, moved, self.dims)
        ]
        return Rule(f"differential of {row.name}", *differential_law(inner.function)), terms

    def _with_argument(self, term: Product, moved: Expr, argument: Raw, axes: Names) -> Product:
        """The product with the derivative of the argument where `moved` stands."""
        factors = []
        for factor in term.factors:
            if isinstance(factor, Leaf) and factor.term is moved:
                inner = rename(argument, dict(zip(axes, factor.names, strict=True)))
                factor = self.pending(inner)
            factors.append(factor)
        return replace(term, factors=tuple(factors))


def _differential(function: str, argument: Expr, moved: Expr, batch: int, core: int) -> Expr:
    """The row's differential at `argument` and `moved`; both have `batch` axes in front."""
    rule, place, tangent = differential_of(function)
    wide: Shape = argument.shape[-1:] if WHOLE[function].matrix else argument.shape[batch:]
    labels = tuple(range(batch))
    dims: dict[Label, Dim] = dict(zip(labels, argument.shape, strict=False))
    places = {place: Placed(argument, labels), tangent: Placed(moved, labels)}
    found = instantiate(rule, places, dims, wide)
    assert found.batch == labels
    return found.term


def _linear_terms(root: Raw, moved: Expr, dims: Mapping[str, Dim]) -> list[Product]:
    """A tree linear in the leaf `moved`, as products that hold it as a factor of their own."""
    waiting: list[Product] = [root if isinstance(root, Product) else Product(ONE, (root,), ())]
    found = []
    while waiting:
        term = waiting.pop()
        place = next(k for k, factor in enumerate(term.factors) if _holds(factor, moved))
        factor = term.factors[place]
        if isinstance(factor, Leaf):
            found.append(term)
        elif isinstance(factor, Product):
            waiting.append(_spliced(term, place, factor, dims))
        else:
            assert isinstance(factor, Total)
            for coefficient, inner in reversed(
                list(zip(factor.coefficients, factor.terms, strict=True))
            ):
                if _holds(inner, moved):
                    whole = inner if isinstance(inner, Product) else Product(ONE, (inner,), ())
                    whole = replace(whole, coefficient=coefficient * whole.coefficient)
                    waiting.append(_spliced(term, place, whole, dims))
    return found


def _holds(root: Raw, leaf: Expr) -> bool:
    return any(isinstance(raw, Leaf) and raw.term is leaf for raw in raw_postorder(root))


def _spliced(term: Product, place: int, inner: Product, dims: Mapping[str, Dim]) -> Product:
    """A product with its factor `place`, itself a product, written out.

    A term of a sum may lack an index that the product sums: it counts as often as the index has values.
    """
    factors = (*term.factors[:place], *inner.factors, *term.factors[place + 1 :])
    summed = (*term.summed, *inner.summed)
    present = {name for factor in factors for name in free_names(factor)}
    lacking = tuple(Leaf(Ones(dims[name]), (name,)) for name in summed if name not in present)
    return Product(term.coefficient * inner.coefficient, (*factors, *lacking), summed)


def _flat(coefficient: Fraction, factors: Sequence[Raw]) -> Product:
    """A product, the numbers and unsummed products among its factors written out."""
    flat: list[Raw] = []
    for factor in factors:
        if isinstance(factor, Product) and not factor.summed:
            coefficient *= factor.coefficient
            flat += factor.factors
        elif isinstance(factor, Leaf) and isinstance(factor.term, Literal):
            coefficient *= factor.term.value
        else:
            flat.append(factor)
    return Product(coefficient, tuple(flat), ())


def spliced(term: Product, place: int, inner: Product, rules: Rules) -> Product:
    """A product with `inner` for its factor `place`, names apart.

    What `inner` sums must not stand in the other factors, and what they keep must not be summed further in.
    """
    others = (*term.factors[:place], *term.factors[place + 1 :])
    elsewhere = all_names(others).union(term.summed)
    open_names = set(term.summed).union(*(free_names(factor) for factor in others))
    clashes = {name: None for name in inner.summed if name in elsewhere}
    own = all_names(inner.factors) - set(free_names(inner)) - set(inner.summed)
    clashes.update({name: None for name in sorted(own & open_names)})
    used = frozenset(all_names([*term.factors, inner])) | rules.unfolder.reserved
    fresh: dict[str, str] = {}
    for name in clashes:
        fresh[name] = rules.unfolder.letters.letter(rules.dims[name], used)
        used |= {fresh[name]}
    moved = rename(inner, fresh)
    assert isinstance(moved, Product)
    return _spliced(term, place, moved, rules.dims)


# ---------------------------------------------------------------- deltas


def without_deltas(term: Product, dims: Mapping[str, Dim]) -> tuple[Product, list[Node]]:
    """Every delta with a summed index contracted: delta[b,d]*u[b] is u[d]. The laws, one for each."""
    laws: list[Node] = []
    while True:
        found = next((k for k in range(len(term.factors)) if _is_contractible(term, k)), None)
        if found is None:
            return _with_extents(term, dims, laws), laws
        delta = term.factors[found]
        assert isinstance(delta, Leaf)
        a, b = delta.names
        kept, gone = (b, a) if a in term.summed else (a, b)
        rest = (*term.factors[:found], *term.factors[found + 1 :])
        summed = tuple(name for name in term.summed if name != gone)
        laws.append(_delta_law(a, b, gone, kept, any(gone in free_names(f) for f in rest)))
        term = Product(
            term.coefficient, tuple(rename(factor, {gone: kept}) for factor in rest), summed
        )


def _delta_law(a: str, b: str, gone: str, kept: str, used: bool) -> Node:
    """delta[b,d]*u[b] == u[d], or sum[b](delta[b,d]) == 1 where nothing else has b."""
    delta = entry("delta", (a, b))
    if used:
        left = fraction_tree([delta, entry("u", (gone,))], [], ONE)
        return Comparison("==", left, entry("u", (kept,)), NOWHERE)
    summed = Call("sum", (Index(gone, None, NOWHERE),), (delta,), None, NOWHERE, NOWHERE)
    return Comparison("==", summed, number_tree(ONE), NOWHERE)


def _with_extents(term: Product, dims: Mapping[str, Dim], laws: list[Node]) -> Product:
    """A sum over an index that nothing has but ones counts its values."""
    kept = tuple(f for f in term.factors if not (isinstance(f, Leaf) and isinstance(f.term, Ones)))
    left = {name for factor in kept for name in free_names(factor)}
    bare = [name for name in term.summed if name not in left]
    if not bare:
        return term
    counts = tuple(Leaf(extent(dims[name]), ()) for name in bare)
    for name in bare:
        over = (Index(name, None, NOWHERE),)
        ones = Call("sum", over, (entry("ones", (name,)),), None, NOWHERE, NOWHERE)
        laws.append(Comparison("==", ones, entry("size", (name,)), NOWHERE))
    summed = tuple(name for name in term.summed if name in left)
    return Product(term.coefficient, (*counts, *kept), summed)


def _is_contractible(term: Product, place: int) -> bool:
    delta = term.factors[place]
    if not isinstance(delta, Leaf) or not isinstance(delta.term, Delta):
        return False
    a, b = delta.names
    if a == b or not (a in term.summed or b in term.summed):
        return False
    others = (*term.factors[:place], *term.factors[place + 1 :])
    kept = {factor for factor in others if _keeps_both(factor, a, b)}
    return not kept


def _keeps_both(root: Raw, a: str, b: str) -> bool:
    """Would one index stand for two in a softmax, which has them apart?"""
    for raw in raw_postorder(root):
        if isinstance(raw, Applied) and not raw.bound:
            names = free_names(raw)
            if a in names and b in names:
                return True
    return False
