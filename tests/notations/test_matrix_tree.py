"""Texts in matrix notation become the surface tree that they say."""

from __future__ import annotations

import pytest

from einderiv.notations.matrix import parse_matrix
from einderiv.notations.syntax import (
    Call,
    Comparison,
    Declaration,
    Definition,
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


def shown(tree: Node) -> str:
    """The tree with every bracket that it has as a structure: `(+ a (* b c))`."""
    match tree:
        case Number():
            return str(tree.value)
        case Name():
            return tree.name
        case Call():
            return f"{tree.function}({', '.join(map(shown, tree.arguments))})"
        case Comparison():
            return f"({tree.operator} {shown(tree.left)} {shown(tree.right)})"
        case Negative():
            return f"(- {shown(tree.operand)})"
        case Power():
            return f"(^ {shown(tree.base)} {shown(tree.exponent)})"
        case Pointwise():
            return f"({tree.operator} {shown(tree.left)} {shown(tree.right)})"
        case Transpose():
            return f"(' {shown(tree.operand)})"
        case Group():
            return f"[{shown(tree.inner)}]"
        case Product():
            parts = [("/" if divides else "*") + shown(f) for divides, f in tree.factors]
            return f"({' '.join(parts)})"
        case Sum():
            parts = [("-" if minus else "+") + shown(t) for minus, t in tree.terms]
            return f"({' '.join(parts)})"
    raise AssertionError(tree)


TREES = {
    "A*B'": "(*A *(' B))",
    "(A*B)'": "(' [(*A *B)])",
    "A''": "(' (' A))",
    "A.'": "(' A)",
    "A’": "(' A)",
    "A'^2": "(^ (' A) 2)",
    "-A'": "(- (' A))",
    "-x.^2": "(- (.^ x 2))",
    "2^-1": "(^ 2 (- 1))",
    "2^3^2": "(^ 2 (^ 3 2))",
    "x.^2.^y": "(.^ x (.^ 2 y))",
    "a.*b./c": "(./ (.* a b) c)",
    "A.*B*C": "(*(.* A B) *C)",
    "A*B.*C": "(.* (*A *B) C)",
    "A/c*B": "(*A /c *B)",
    "1./x": "(./ 1 x)",
    "1.*x": "(.* 1 x)",
    "2.^x": "(.^ 2 x)",
    "1.5.*x": "(.* 3/2 x)",
    "1.e2*x": "(*100 *x)",
    "1.'": "(' 1)",
    "a*-b": "(*a *(- b))",
    "a.*-b": "(.* a (- b))",
    "a - b + c": "(+a -b +c)",
    "-a + b": "(-a +b)",
    "max(a, b')": "max(a, (' b))",
    "where(a <= b, 1, 0)": "where((<= a b), 1, 0)",
    "((A))": "[A]",
    "A*(\nB)": "(*A *[B])",
}


@pytest.mark.parametrize("text", TREES)
def test_operators_bind_as_in_matlab(text: str) -> None:
    (statement,) = parse_matrix(text).statements
    assert isinstance(statement, Definition)
    assert shown(statement.expression) == TREES[text]


def test_declarations_and_definitions_are_those_of_index_notation() -> None:
    text = "X : (n, 3) positive  # data\nS : (n, n) symmetric; c : ()\nr = X*w\nr'*r"
    x, s, c, r, last = parse_matrix(text).statements
    assert isinstance(x, Declaration) and (x.axes, x.assumptions) == (("n", 3), ("positive",))
    assert isinstance(s, Declaration) and (s.axes, s.assumptions) == (("n", "n"), ("symmetric",))
    assert isinstance(c, Declaration) and c.axes == ()
    assert isinstance(r, Definition) and r.name == "r"
    assert isinstance(last, Definition) and last.name is None


@pytest.mark.parametrize("text", ["A*B'", "(A*B)'.*C", "x.^2 - 1./y", "f = inv(A)*-x"])
def test_a_span_covers_the_spans_of_the_parts(text: str) -> None:
    (statement,) = parse_matrix(text).statements
    assert isinstance(statement, Definition)
    assert statement.span == (0, len(text))
    assert text[slice(*statement.expression.span)] == text.partition("= ")[2] or text
