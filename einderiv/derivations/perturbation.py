"""The rules of the differential method: d(u) pushed one level down, in matrix notation.

In: a surface tree of matrix notation. Out: a tree linear in the differentials of its parts, and the rules.
Invariant: sums and products are the engine's formulas (Sum, Contraction of `differentiator.py`) on trees;
what a function's differential is comes from its row of `functions.py`, printed as matrix notation.
Source: the Washington notes' perturbation of each instance of the variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction

from ..calculus import Placed, derivative_of, differential_of, instantiate, scalar_rule
from ..errors import NotMatrixFormError
from ..notations import (
    Call,
    Comparison,
    Context,
    Group,
    Name,
    Negative,
    Node,
    Number,
    Pointwise,
    Power,
    Product,
    Sum,
    Transpose,
)
from ..printers import (
    NOWHERE,
    Form,
    MatrixPrinter,
    as_base,
    as_factor,
    call_tree,
    form_tree,
    matrix_latex,
    number_tree,
    tree_text,
)
from ..terms import ELEMENTWISE, WHOLE, Expr, Shape, Variable, is_zero, literal
from .index_rules import Rule
from .pieces import PENDING, Matrices, bare, mapped, number_in, put_in

_MOVED = (
    "~"  # the differential of a row's argument: sorts behind all names, so it stands last in traces
)
_LINEAR = ("tr", "sum", "diag", "vector", "matrix", "tril")
_CONSTANT = ("eye", "ones", "zeros")
_COPIES = 6  # a matrix power that is perturbed factor by factor

PRODUCT_RULE = Rule(
    "product rule", "d(U*V) = dU*V + U*dV", r"\mathrm{d}(U\,V) = \mathrm{d}U\,V + U\,\mathrm{d}V"
)
ENTRYWISE_RULE = Rule(
    "product rule",
    "d(U.*V) = dU.*V + U.*dV",
    r"\mathrm{d}(U \odot V) = \mathrm{d}U \odot V + U \odot \mathrm{d}V",
)
QUOTIENT_RULE = Rule(
    "quotient rule",
    "d(u/v) = du/v - u*dv/v^2",
    r"\mathrm{d}\frac{u}{v} = \frac{\mathrm{d}u}{v} - \frac{u\,\mathrm{d}v}{v^2}",
)
POWER_RULE = Rule(
    "power rule", "d(u^p) = p*u^(p - 1)*du", r"\mathrm{d}u^p = p\,u^{p - 1}\,\mathrm{d}u"
)
SQUARE_LAW = Rule("power rule", "d(u^2) = 2*u*du", r"\mathrm{d}u^2 = 2\,u\,\mathrm{d}u")
NORM_RULE = Rule(
    "norm",
    "d norm2(U) = tr(U'*dU)/norm2(U)",
    r"\mathrm{d}\lVert U\rVert_2 = \operatorname{tr}(U^{\mathsf{T}}\,\mathrm{d}U)/\lVert U\rVert_2",
)
SQUARE_RULE = Rule(
    "squared norm",
    "d(norm2(U)^2) = 2*tr(U'*dU)",
    r"\mathrm{d}\lVert U\rVert_2^2 = 2\operatorname{tr}(U^{\mathsf{T}}\,\mathrm{d}U)",
)
COLUMN_NORM_RULE = Rule(
    "norm",
    "d norm2(u) = u'*du/norm2(u)",
    r"\mathrm{d}\lVert u\rVert_2 = u^{\mathsf{T}}\,\mathrm{d}u/\lVert u\rVert_2",
)
COLUMN_SQUARE_RULE = Rule(
    "squared norm",
    "d(norm2(u)^2) = 2*u'*du",
    r"\mathrm{d}\lVert u\rVert_2^2 = 2\,u^{\mathsf{T}}\,\mathrm{d}u",
)
SUM_LAW = Rule(
    "sum rule",
    "d(U + V) = dU + dV",
    r"\mathrm{d}(U + V) = \mathrm{d}U + \mathrm{d}V",
    trivial=True,
)
CONSTANT_LAW = Rule(
    "constants come out",
    "d(A*U*B) = A*dU*B",
    r"\mathrm{d}(A\,U\,B) = A\,\mathrm{d}U\,B",
    trivial=True,
)
_OUT = {
    name: Rule(
        f"{name} is linear",
        f"d {name}(U) = {name}(dU)",
        rf"\mathrm{{d}}\operatorname{{{name}}}(U) = \operatorname{{{name}}}(\mathrm{{d}}U)",
        trivial=True,
    )
    for name in _LINEAR
}
TRANSPOSE_LAW = Rule(
    "transpose",
    "d(U') = (dU)'",
    r"\mathrm{d}(U^{\mathsf{T}}) = (\mathrm{d}U)^{\mathsf{T}}",
    trivial=True,
)

Rules = dict[Rule, None]  # in the order they were used


class Perturbation:
    """Differentials of trees, over the names of one derivation."""

    def __init__(
        self,
        matrices: Matrices,
        moving: dict[str, str],
        shape_of: Callable[[Node], Shape],
        refuse: Callable[[Node], Exception],
    ) -> None:
        self.matrices, self.moving = matrices, moving  # name -> the name of its differential
        self.shape_of, self.refuse = shape_of, refuse

    def depends(self, tree: Node) -> bool:
        """Does a tree depend on the variable?"""
        return self.matrices.depends(tree, set(self.moving))

    # ------------------------------------------------------------ what is taken for granted

    def moved(self, tree: Node, rules: Rules) -> Node:
        """d(tree) for a tree that depends on the variable: linear parts carried out, the rest pending."""
        match tree:
            case Name():
                return Name(self.moving[tree.name], NOWHERE)
            case Group():
                inner = self.moved(tree.inner, rules)
                return Group(inner, NOWHERE) if isinstance(inner, Sum | Negative) else inner
            case Negative():
                return Negative(self.moved(tree.operand, rules), NOWHERE)
            case Transpose():
                rules.setdefault(TRANSPOSE_LAW)
                return Transpose(self.moved(tree.operand, rules), NOWHERE)
            case Sum():
                if len(tree.terms) > 1:
                    rules.setdefault(SUM_LAW)
                terms = [(m, self.moved(t, rules)) for m, t in tree.terms if self.depends(t)]
                return Sum(tuple(terms), NOWHERE)
            case Product():
                places = [k for k, (_, f) in enumerate(tree.factors) if self.depends(f)]
                if len(places) == 1 and not tree.factors[places[0]][0]:
                    rules.setdefault(CONSTANT_LAW)
                    return self._with_factor(tree, places[0], self.moved, rules)
            case Pointwise(operator=".*"):
                if not (self.depends(tree.left) and self.depends(tree.right)):
                    return self._entrywise_side(tree, rules)
            case Pointwise(operator="./"):
                if not self.depends(tree.right):
                    return replace(tree, left=self.moved(tree.left, rules))
            case Call(arguments=(argument,)) if tree.function in _LINEAR[:5]:
                rules.setdefault(_OUT[tree.function])
                return call_tree(tree.function, self.moved(argument, rules))
        return call_tree(PENDING, bare(tree))

    def _with_factor(
        self, tree: Product, place: int, change: Callable[[Node, Rules], Node], rules: Rules
    ) -> Node:
        factors = list(tree.factors)
        divides, factor = factors[place]
        factors[place] = divides, change(factor, rules)
        return Product(tuple(factors), NOWHERE)

    def _entrywise_side(self, tree: Pointwise, rules: Rules) -> Node:
        if self.depends(tree.left):
            return replace(tree, left=self.moved(tree.left, rules))
        return replace(tree, right=self.moved(tree.right, rules))

    # ------------------------------------------------------------ one rule

    def applied(self, tree: Node, rules: Rules) -> Node:
        """d(tree) by the rule for its outermost operation."""
        match tree:
            case Product():
                return self._product(tree, rules)
            case Pointwise(operator=".^"):
                return self._entrywise_power(tree, rules)
            case Pointwise():
                return self._entrywise(tree, rules)
            case Power():
                return self._power(tree, rules)
            case Call(function="norm2"):
                return self._norm(tree.arguments[0], Fraction(1), rules)
            case Call():
                return self._call(tree, rules)
        return self.moved(tree, rules)

    def _product(self, tree: Product, rules: Rules) -> Node:
        terms: list[tuple[bool, Node]] = []
        for place, (divides, factor) in enumerate(tree.factors):
            if not self.depends(factor):
                continue
            if not divides:
                rules.setdefault(PRODUCT_RULE)
                terms.append((False, self._with_factor(tree, place, self.moved, rules)))
                continue
            rules.setdefault(QUOTIENT_RULE)
            rest = [f for k, f in enumerate(tree.factors) if k != place]
            if isinstance(factor, Power) and isinstance(factor.exponent, Number):
                p, base = factor.exponent.value, factor.base  # d(1/u^p) = -p*du/u^(p+1)
            else:
                p, base = Fraction(1), factor
            raised = Power(as_base(base), Number(p + 1, NOWHERE), NOWHERE)
            full = [*rest, (True, raised)]
            if p != 1:
                full = [(False, Number(p, NOWHERE)), *full]
            moved = as_factor(self.moved(base, rules))
            terms.append((True, Product((*full, (False, moved)), NOWHERE)))
        if QUOTIENT_RULE in rules:
            rules.pop(PRODUCT_RULE, None)
        return Sum(tuple(terms), NOWHERE)

    def _entrywise(self, tree: Pointwise, rules: Rules) -> Node:
        terms: list[tuple[bool, Node]] = []
        if self.depends(tree.left):
            terms.append((False, replace(tree, left=self.moved(tree.left, rules))))
        if self.depends(tree.right):
            moved = self.moved(tree.right, rules)
            if tree.operator == ".*":
                rules.setdefault(ENTRYWISE_RULE)
                terms.append((False, replace(tree, right=moved)))
            else:
                rules.setdefault(_ENTRYWISE_QUOTIENT)
                square = Pointwise(".^", as_base(tree.right), number_tree(Fraction(2)), NOWHERE)
                shown = Pointwise("./", Pointwise(".*", tree.left, moved, NOWHERE), square, NOWHERE)
                terms.append((True, shown))
        return Sum(tuple(terms), NOWHERE)

    def _entrywise_power(self, tree: Pointwise, rules: Rules) -> Node:
        exponent = number_in(tree.right)
        if exponent is None:
            return self._elementwise("pow", (tree.left, tree.right), rules)
        rules.setdefault(_ENTRYWISE_SQUARE if exponent == 2 else _ENTRYWISE_POWER)
        moved = self.moved(tree.left, rules)
        slope: Node = tree.left
        if exponent != 2:
            slope = Pointwise(".^", as_base(tree.left), number_tree(exponent - 1), NOWHERE)
        shown = Pointwise(".*", slope, moved, NOWHERE)
        return Product(((False, number_tree(exponent)), (False, Group(shown, NOWHERE))), NOWHERE)

    def _power(self, tree: Power, rules: Rules) -> Node:
        exponent = number_in(tree.exponent)
        base = tree.base.inner if isinstance(tree.base, Group) else tree.base
        if not self.matrices.kind(base).is_scalar:
            return self._matrix_power(tree, exponent, rules)
        if isinstance(base, Call) and base.function == "norm2" and exponent is not None:
            return self._norm(base.arguments[0], exponent, rules)
        if exponent is None:
            return self._elementwise("pow", (base, tree.exponent), rules)
        rules.setdefault(SQUARE_LAW if exponent == 2 else POWER_RULE)
        lower: Node = tree.base
        if exponent != 2:
            lower = Power(tree.base, number_tree(exponent - 1), NOWHERE)
        moved = as_factor(self.moved(base, rules))
        factors = ((False, number_tree(exponent)), (False, as_factor(lower)), (False, moved))
        return Product(factors, NOWHERE)

    def _matrix_power(self, tree: Power, exponent: Fraction | None, rules: Rules) -> Node:
        if exponent is None or not 2 <= exponent <= _COPIES:
            raise self.refuse(tree)
        rules.setdefault(PRODUCT_RULE)
        base = as_factor(tree.base)
        moved = as_factor(self.moved(tree.base, rules))
        terms = []
        for place in range(int(exponent)):
            factors = [(False, moved if k == place else base) for k in range(int(exponent))]
            terms.append((False, Product(tuple(factors), NOWHERE)))
        return Sum(tuple(terms), NOWHERE)

    def _norm(self, argument: Node, exponent: Fraction, rules: Rules) -> Node:
        """d norm2(U)^p = p*norm2(U)^(p - 2)*tr(U'*dU)."""
        column = not self.matrices.kind(argument).is_matrix
        if exponent == 2:
            rules.setdefault(COLUMN_SQUARE_RULE if column else SQUARE_RULE)
        else:
            if exponent != 1:
                rules.setdefault(POWER_RULE)
            rules.setdefault(COLUMN_NORM_RULE if column else NORM_RULE)
        u: Node = as_base(argument)
        if isinstance(argument, Transpose):  # the norm of U' is that of U
            u = argument.operand
        moved = as_factor(self.moved(u, rules))
        inner: Node = Product(((False, Transpose(u, NOWHERE)), (False, moved)), NOWHERE)
        factors: list[tuple[bool, Node]] = []
        if exponent != 1:
            factors.append((False, number_tree(exponent)))
        norm = call_tree("norm2", argument)
        rest = exponent - 2
        if rest > 0:
            raised = norm if rest == 1 else Power(norm, number_tree(rest), NOWHERE)
            factors.append((False, raised))
        factors.append((False, as_factor(inner) if column else call_tree("tr", inner)))
        if rest < 0:
            raised = norm if rest == -1 else Power(norm, number_tree(-rest), NOWHERE)
            factors.append((True, raised))
        return Product(tuple(factors), NOWHERE) if len(factors) > 1 else factors[0][1]

    # ------------------------------------------------------------ rows of the function table

    def _call(self, tree: Call, rules: Rules) -> Node:
        name = tree.function
        if name in ELEMENTWISE and len(tree.arguments) == len(ELEMENTWISE[name].arguments):
            return self._elementwise(name, tree.arguments, rules)
        if name in WHOLE and len(tree.arguments) == 1:
            return self._whole(name, tree.arguments[0], rules)
        raise self.refuse(tree)

    def _whole(self, name: str, argument: Node, rules: Rules) -> Node:
        row = WHOLE[name]
        shape = self.shape_of(argument)
        letter = "U" if len(shape) == 2 else "u"
        a, moved = Variable(letter, shape), Variable(_MOVED, shape)
        wide = shape[-1:] if row.matrix else shape
        rule, place, tangent = differential_of(name)
        term = instantiate(rule, {place: Placed(a, ()), tangent: Placed(moved, ())}, {}, wide).term
        shown = self._printed(term, call_tree(name, argument))
        rules.setdefault(_law(name, (Name(letter, NOWHERE),), ((letter, shown),)))
        return put_in(shown, {letter: argument, _MOVED: self.moved(argument, rules)})

    def _elementwise(self, name: str, arguments: tuple[Node, ...], rules: Rules) -> Node:
        row = ELEMENTWISE[name]
        shapes = [self.shape_of(argument) for argument in arguments]
        wide = max(shapes, key=len)
        letters = _letters(row.arguments, len(wide) == 2)
        variables = tuple(
            literal(a.value) if isinstance(a, Number) else Variable(x, s)
            for a, x, s in zip(arguments, letters, shapes, strict=True)
        )
        places = dict(zip(letters, arguments, strict=True))
        shown_as = tuple(
            a if isinstance(a, Number) else Name(x, NOWHERE)
            for a, x in zip(arguments, letters, strict=True)
        )
        terms: list[tuple[bool, Node]] = []
        laws: list[tuple[str, Node]] = []
        for k, argument in enumerate(arguments):
            if not self.depends(argument):
                continue
            slope_rule = derivative_of(name, k)
            if slope_rule is None:
                raise self.refuse(call_tree(name, *arguments))
            slope = scalar_rule(slope_rule, row.arguments, variables)
            if is_zero(slope):
                continue
            if slope.shape or shapes[k]:
                shown = self._printed(slope, call_tree(name, *arguments))
                shown = _with_conditions(shown, places)
                whole = _times(shown, bool(slope.shape and shapes[k]))
            else:
                form = self._printed_form(slope, call_tree(name, *arguments))
                whole = form_tree(replace(form, above=(*form.above, Name(_MOVED, NOWHERE))))
            laws.append((letters[k], whole))
            terms.append((False, put_in(whole, {**places, _MOVED: self.moved(argument, rules)})))
        rules.setdefault(_law(name, shown_as, tuple(laws)))
        return Sum(tuple(terms), NOWHERE) if terms else number_tree(Fraction(0))

    def _printed(self, term: Expr, call: Node) -> Node:
        return form_tree(self._printed_form(term, call))

    def _printed_form(self, term: Expr, call: Node) -> Form:
        try:
            return MatrixPrinter(Context(), {}, term).form(term)
        except NotMatrixFormError:
            raise self.refuse(call) from None


_ENTRYWISE_QUOTIENT = Rule(
    "quotient rule",
    "d(U./V) = dU./V - U.*dV./V.^2",
    r"\mathrm{d}(U \oslash V) = \mathrm{d}U \oslash V - U \odot \mathrm{d}V \oslash V^{\circ 2}",
)
_ENTRYWISE_SQUARE = Rule(
    "power rule",
    "d(U.^2) = 2*(U.*dU)",
    r"\mathrm{d}U^{\circ 2} = 2\,(U \odot \mathrm{d}U)",
)
_ENTRYWISE_POWER = Rule(
    "power rule",
    "d(U.^p) = p*(U.^(p - 1).*dU)",
    r"\mathrm{d}U^{\circ p} = p\,(U^{\circ (p - 1)} \odot \mathrm{d}U)",
)


def _letters(arguments: tuple[str, ...], matrices: bool) -> tuple[str, ...]:
    """Letters for a law: d exp(U), d max(A, B)."""
    if len(arguments) == 1:
        return ("U",) if matrices else ("u",)
    return tuple(a.upper() if matrices else a for a in arguments)


def _law(name: str, arguments: tuple[Node, ...], terms: tuple[tuple[str, Node], ...]) -> Rule:
    """`d tanh(u) = (vector(1) - tanh(u).^2).*du`, as the row has it."""
    call: Node = call_tree(name, *arguments)
    if name == "pow":
        base, exponent = arguments
        is_number = isinstance(base, Name) and base.name.islower()
        call = Power(base, exponent, NOWHERE)
        if not is_number:
            call = Pointwise(".^", base, exponent, NOWHERE)
    shown = [put_in(tree, {_MOVED: Name(f"d{letter}", NOWHERE)}) for letter, tree in terms]
    right: Node = number_tree(Fraction(0))
    if shown:
        right = Sum(tuple((False, tree) for tree in shown), NOWHERE)
        right = shown[0] if len(shown) == 1 else right
    text = f"d {tree_text(call)} = {tree_text(right)}"
    latex = rf"\mathrm{{d}}\,{matrix_latex(call)} = {matrix_latex(right)}"
    for letter, _ in terms:
        latex = latex.replace(rf"\mathrm{{d{letter}}}", rf"\mathrm{{d}}{letter}")
    words = {"inv": "inverse", "det": "determinant", "logdet": "log-determinant"}
    return Rule(words.get(name, name), text, latex)


def _with_conditions(tree: Node, places: Mapping[str, Node]) -> Node:
    """where(c, ...) for where(c != 0, ...), for a c that is a comparison already."""

    def change(node: Node) -> Node | None:
        left = node.left if isinstance(node, Comparison) else None
        if isinstance(left, Name) and isinstance(places.get(left.name), Comparison):
            return left
        return None

    return mapped(tree, change)


def _times(slope: Node, entrywise: bool) -> Node:
    moved = Name(_MOVED, NOWHERE)
    if entrywise:
        inside = Group(slope, NOWHERE) if isinstance(slope, Sum | Product | Negative) else slope
        return Pointwise(".*", inside, moved, NOWHERE)
    return Product(((False, as_factor(slope)), (False, moved)), NOWHERE)
