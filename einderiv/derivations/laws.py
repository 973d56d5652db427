"""The rules that steps name, with their laws as a reader knows them.

In: names of functions. Out: rules; each has a name, its law as text and as LaTeX.
Invariant: what a function's law says is its row in the table of functions, by which the
engine differentiates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from ..calculus import Placed, derivative_of, differential_of, instantiate, scalar_rule
from ..notations import Definition, Node, parse_index
from ..printers import tree_latex
from ..terms import ELEMENTWISE, WHOLE, Expr

_WIDTH = 90  # characters of laws that are shown with one step


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by name, its law as text and as LaTeX, and whether a reader takes it for granted."""

    name: str
    law: str = ""
    latex: str = ""
    trivial: bool = False


def combine(names: Iterable[Rule], laws: Iterable[Rule]) -> Rule:
    """One rule with the names of some, and with the first laws, as many as fit beside a line."""
    laws = tuple(laws)
    return Rule(
        ", ".join(dict.fromkeys(rule.name for rule in names)),
        _first([rule.law for rule in laws], "; "),
        _first([rule.latex for rule in laws], r",\; "),
    )


def _first(laws: Sequence[str], between: str) -> str:
    known = [law for law in laws if law]
    return between.join(known[: 2 if sum(map(len, known[:2])) <= _WIDTH else 1])


def _rule(name: str, law: str, latex: str = "", trivial: bool = False) -> Rule:
    r"""A rule whose LaTeX is its law's, or given in short: dU for \mathrm{d}U, U' for U^{\mathsf{T}},
    @tr for \operatorname{tr}. Products of matrices alone are written `U·V`."""
    if not latex:
        latex = re.sub(r"(?:(?<=d) )?\b(tr|sum|diag|vector|matrix)\b", r"@\1", law)
        latex = re.sub(r"\^\((.*?)\)", r"^{\1}", re.sub(r"\.\^(\w)", r"^{\\circ \1}", latex))
        latex = re.sub(r"∂(?=\w)", r"\\partial ", latex).replace("∂", r"\partial")
        for sign, shown in ((".*", r" \odot "), ("./", r" \oslash "), ("*", r"\,"), ("·", " ")):
            latex = latex.replace(sign, shown)
    latex = re.sub(r"(?<![\\A-Za-z])d(?=[A-Za-z]\b|[(\\@])", r"\\mathrm{d}", latex)
    latex = re.sub(r"@(\w+)", r"\\operatorname{\1}", latex).replace("'", r"^{\mathsf{T}}")
    return Rule(name, law.replace("·", "*"), latex, trivial)


# Derivatives entry by entry.
P_SUM = _rule("sum rule", "∂(u + v) = ∂u + ∂v", trivial=True)
P_ENTRIES = _rule("sum rule", "∂sum(u) = sum(∂u)", r"\partial \sum u = \sum \partial u", True)
P_FACTOR = _rule("constant factor", "∂(c*u) = c*∂u", trivial=True)
P_PRODUCT = _rule("product rule", "∂(u*v) = ∂u*v + u*∂v")
P_POWER = _rule("power rule", "∂u^p = p*u^(p - 1)*∂u")
P_POWERS = {  # the same for exponents that have a form of their own
    Fraction(2): _rule("power rule", "∂u^2 = 2*u*∂u"),
    Fraction(-1): _rule(
        "power rule", "∂(1/u) = -∂u/u^2", r"\partial\frac{1}{u} = -\frac{\partial u}{u^2}"
    ),
    Fraction(1, 2): _rule(
        "power rule",
        "∂sqrt(u) = ∂u/(2*sqrt(u))",
        r"\partial\sqrt{u} = \frac{\partial u}{2\sqrt{u}}",
    ),
}
FACTOR_ORDER = _rule("factors in one order", "u*v = v*u")
DUMMIES = _rule("dummy indices renamed", "u[a]*v[a] = u[b]*v[b]", r"u_{a} v_{a} = u_{b} v_{b}")
LIKE_TERMS = _rule("like terms collected", "u + u = 2*u")
BRACKETS = _rule("simplified", "u*v + u*w = u*(v + w)")

# Adjoints.
A_SEED = Rule("seed", trivial=True)
A_SUM = _rule("sum", "y = c*u: ū = c*ȳ", r"y = c\,u:\; \bar{u} = c\,\bar{y}", True)
A_ENTRIES = _rule("sum of entries", "y = sum(u): ū = ȳ", r"y = \sum u:\; \bar{u} = \bar{y}", True)
A_PRODUCT = _rule("product", "y = u*w: ū = ȳ*w", r"y = u\,w:\; \bar{u} = \bar{y}\,w")

# Differentials.
D_SUM = _rule("sum rule", "d(U + V) = dU + dV", trivial=True)
D_CONSTANTS = _rule("constants come out", "d(A*U*B) = A*dU*B", trivial=True)
D_TRANSPOSE = _rule("transpose", "d(U') = (dU)'", trivial=True)
D_LINEAR = {
    name: _rule(f"{name} is linear", f"d {name}(U) = {name}(dU)", trivial=True)
    for name in ("tr", "sum", "diag", "vector", "matrix")
}
D_PRODUCT = _rule("product rule", "d(U*V) = dU*V + U*dV")
D_ENTRYWISE = _rule("product rule", "d(U.*V) = dU.*V + U.*dV")
D_QUOTIENT = _rule(
    "quotient rule",
    "d(u/v) = du/v - u*dv/v^2",
    r"d\frac{u}{v} = \frac{du}{v} - \frac{u\,dv}{v^2}",
)
D_ENTRYWISE_QUOTIENT = _rule("quotient rule", "d(U./V) = dU./V - U.*dV./V.^2")
D_POWER = _rule("power rule", "d(u^p) = p*u^(p - 1)*du", r"du^p = p\,u^{p - 1}\,du")
D_SQUARE = _rule("power rule", "d(u^2) = 2*u*du", r"du^2 = 2\,u\,du")
D_ENTRYWISE_POWER = _rule(
    "power rule",
    "d(U.^p) = p*(U.^(p - 1).*dU)",
    r"dU^{\circ p} = p\,(U^{\circ (p - 1)} \odot dU)",
)
D_ENTRYWISE_SQUARE = _rule("power rule", "d(U.^2) = 2*(U.*dU)", r"dU^{\circ 2} = 2\,(U \odot dU)")
D_NORM = _rule(
    "norm",
    "d norm2(U) = tr(U'*dU)/norm2(U)",
    r"d\lVert U\rVert_2 = @tr(U'\,dU)/\lVert U\rVert_2",
)
D_SQUARED_NORM = _rule(
    "squared norm", "d(norm2(U)^2) = 2*tr(U'*dU)", r"d\lVert U\rVert_2^2 = 2@tr(U'\,dU)"
)
D_COLUMN_NORM = _rule(
    "norm", "d norm2(u) = u'*du/norm2(u)", r"d\lVert u\rVert_2 = u'\,du/\lVert u\rVert_2"
)
D_SQUARED_COLUMN_NORM = _rule(
    "squared norm", "d(norm2(u)^2) = 2*u'*du", r"d\lVert u\rVert_2^2 = 2\,u'\,du"
)

# Traces, until the differential comes last.
TRACE = _rule("a number is its own trace", "u'·V·w = tr(u'·V·w)")
SUM_TRACE = _rule("sum as a trace", "sum(U.*V) = tr(U'·V)")
SUM_DOT = _rule("sum as a product", "sum(u.*v) = u'·v")
SUM_ONES = _rule(
    "sum as a product with ones",
    "sum(u) = ones'*u, sum(U) = ones'*U*ones",
    r"@sum(U) = \mathbf{1}' U \mathbf{1}",
)
TRANSPOSED = _rule("transposition", "tr(U) = tr(U')")
TRANSPOSED_NUMBER = _rule("a number is its own transpose", "u'·V·w = w'·V'·u")
CYCLE = _rule("cyclic rotation", "tr(U·V·W) = tr(W·U·V)")
ENTRYWISE = _rule("entry-by-entry product moved", "tr(P*(U.*V)) = tr((P.*U')*V)")
ENTRYWISE_TRACE = _rule("entry-by-entry product moved", "tr(U.*V) = tr(diag(diag(U))*V)")
ENTRYWISE_COLUMN = _rule("entry-by-entry product moved", "p'·(u.*v) = (p.*u)'·v")
DIAGONAL = _rule("diagonal matrix", "tr(P·diag(v)) = diag(P)'·v")
DIAGONAL_OF = _rule("diagonal of a matrix", "p'·diag(V) = tr(diag(p)*V)")

# One factor for each differential, by the axes of the variable; then the gradient is read off.
FACTORED = (
    _rule("collected", "u*dx + v*dx = (u + v)*dx"),
    _rule("collected", "u'*dx + v'*dx = (u' + v')*dx"),
    _rule("collected", "tr(U*dX) + tr(V*dX) = tr((U + V)*dX)"),
)
READ_OFF = (
    _rule("gradient read off", "dF = g*dx"),
    _rule("gradient read off", "dF = g'*dx"),
    _rule("gradient read off", "dF = tr(G'*dX)"),
)


def slope_at(function: str, position: int, arguments: tuple[Expr, ...]) -> Expr | None:
    """The derivative of an elementwise function by one argument; None if it has none."""
    rule = derivative_of(function, position)
    return rule and scalar_rule(rule, ELEMENTWISE[function].arguments, arguments)


def differential_at(function: str, argument: Expr, moved: Expr, batch: int = 0) -> Expr:
    """A function's differential at `argument` and its differential; both have `batch` axes in front."""
    rule, place, tangent = differential_of(function)
    labels = tuple(range(batch))
    wide = argument.shape[-1:] if WHOLE[function].matrix else argument.shape[batch:]
    places = {place: Placed(argument, labels), tangent: Placed(moved, labels)}
    found = instantiate(rule, places, dict(zip(labels, argument.shape, strict=False)), wide)
    assert found.batch == labels
    return found.term


@cache
def slope_law(function: str, position: int) -> tuple[str, str]:
    """`∂tanh(x)/∂x = 1 - tanh(x)^2`, as the row has it: text and LaTeX."""
    row = ELEMENTWISE[function]
    call = "x^p" if function == "pow" else f"{function}({', '.join(row.arguments)})"
    slope = row.derivatives[position] or "0"
    by = row.arguments[position]
    left, right = (tree_latex(_parse(text)) for text in (call, slope))
    return f"∂{call}/∂{by} = {slope}", f"\\frac{{\\partial}}{{\\partial {by}}} {left} = {right}"


@cache
def differential_law(function: str) -> tuple[str, str]:
    """`d inv(A)[i,j] = -inv(A)[i,k]*dA[k,l]*inv(A)[l,j]`, as the row has it: text and LaTeX."""
    row = WHOLE[function]
    name = row.arguments[0]
    left, right = row.differential.split(" = ", 1)
    behind = left.removeprefix("dY")
    if row.matrix:
        call = f"{function}({name})"
        shown, behind = tree_latex(_parse(call + behind)), behind
    else:
        own = behind or "[k]"
        call, behind = f"{function}{own}({name}{own})", ""
        shown = tree_latex(_parse(call))
    formula = tree_latex(_parse(right)).replace(f"\\mathrm{{d{name}}}", f"\\mathrm{{d}}{name}")
    return f"d {call}{behind} = {right}", f"\\mathrm{{d}}\\,{shown} = {formula}"


def _parse(text: str) -> Node:
    (statement,) = parse_index(text).statements
    assert isinstance(statement, Definition)
    return statement.expression
