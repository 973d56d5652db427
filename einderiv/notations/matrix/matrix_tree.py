"""From matrix notation to the surface tree.

In: a text in matrix notation. Out: `syntax.Text`.
Invariant: one method per rule of `grammar/matrix.lark`; those that grammars share are in `tree_builder.py`.
What the tree means: `matrix.py`.
"""

from __future__ import annotations

from typing import Any

from ...errors import NotationError
from .. import complaints, syntax
from ..parser import Built, Parser, TreeBuilder, node_of, over, span_of
from ..syntax import Definition, Name, Node, Pointwise, Power, Transpose


class _MatrixTree(TreeBuilder):
    """The rules that only matrix notation has: the transpose, and what works entry by entry."""

    primary = atom = TreeBuilder.expression

    def transpose(self, c: list[Any]) -> Transpose:
        operand = node_of(c[0])
        return Transpose(operand, over(operand.span, span_of(c[1])))

    def pointwise(self, c: list[Any]) -> Built:
        left, right = node_of(c[0]), node_of(c[2])
        return Pointwise(str(c[1]), left, right, over(left.span, right.span))

    def pointwise_power(self, c: list[Any]) -> Built:
        tree = self.pointwise(c)
        assert isinstance(tree, Pointwise)
        _check_exponent(tree.left, ".^", tree.right)
        return tree

    def raised(self, c: list[Any]) -> Built:
        tree = super().raised(c)
        assert isinstance(tree, Power)
        _check_exponent(tree.base, "^", tree.exponent)
        return tree

    def definition(self, c: list[Any]) -> Definition:
        left = node_of(c[0])
        if not isinstance(left, Name):
            raise NotationError(
                "the left side of = is not a name",
                spans=[left.span],
                facts=["a definition names what stands on its right"],
                hint="write r = X*w - y; equality is ==",
            )
        return super().definition(c)

    def name(self, c: list[Any]) -> Name:
        complaints.check_name(str(c[0]), span_of(c[0]))
        return super().name(c)


def _check_exponent(base: Node, sign: str, exponent: Node) -> None:
    """A^2' is (A^2)' in MATLAB, where the transpose and the power bind alike; here it would be A^(2')."""
    if isinstance(exponent, Transpose):
        start = exponent.operand.span[1]
        raise NotationError(
            f"a transpose stands behind the exponent of {sign}",
            spans=[(start, exponent.span[1])],
            facts=["it could belong to the exponent or to the power"],
            hint=f"write (A{sign}k)' or A{sign}(k')",
        )


_PARSER = Parser("matrix", _MatrixTree)


def parse_matrix(source: str) -> syntax.Text:
    """The surface tree of a text in matrix notation.

    Raises NotationError with the place of the first mistake.

    >>> parse_matrix("y = A*x").statements[0].name
    'y'
    """
    complaints.check_brackets(source)
    statements = _PARSER.parse(source)
    complaints.check_statements(source, statements, "x'*Q*x", "r = X*w - y")
    return syntax.Text(source, tuple(statements))
