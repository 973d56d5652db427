"""The rules of a derivation by name, with their laws as a reader knows them.

In: names of functions. Out: rules, laws as text and as LaTeX.
Invariant: what a function's law says is the row of `functions.py` that the engine differentiates by.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from ..functions import ELEMENTWISE, WHOLE
from ..notation.syntax import Definition, Node
from ..printers.partials import tree_latex


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
    from ..notation.index_tree import parse_index  # deferred: importing einderiv does not need lark

    (statement,) = parse_index(text).statements
    assert isinstance(statement, Definition)
    return statement.expression
