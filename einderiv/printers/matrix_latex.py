r"""Matrix notation as LaTeX: what `matrix_text.py` writes as text.

In: a surface tree of matrix notation. Out: LaTeX that KaTeX and MathJax accept, without dollar signs.
Invariant: products entry by entry show as \odot, so they are never read as matrix products.
"""

from __future__ import annotations

from collections.abc import Iterable

from .. import functions
from ..notation.syntax import Call, Node, Number, Pointwise, Power, Product, Transpose
from . import latex
from .text import ATOM, BASE, BRACKETS_LATEX, FACTOR, SUM, TERM, Task, arithmetic_binds, rendered

_SIGN = {".*": r" \odot ", "./": r" \oslash "}
_VERT = {"norm1": r"_{1}", "norm2": r"_{2}"}
_SYMBOL = {
    "eye": "I",
    "ones": r"\mathbf{1}",
    "vector": r"\mathbf{1}",
    "matrix": r"\mathbf{1}",
    "det": r"\det",
    "logdet": r"\log\det",
}
_SIZED = ("eye", "ones")  # their arguments are extents


def matrix_latex(root: Node) -> str:
    r"""One expression.

    >>> from einderiv.notation.syntax import Name
    >>> x = Name("x", (0, 0))
    >>> print(matrix_latex(Product(((False, Transpose(x, (0, 0))), (False, x)), (0, 0))))
    {x}^{\mathsf{T}} x
    """
    return rendered(root, _pieces, _binds, BRACKETS_LATEX)


def _binds(node: Node) -> int:
    match node:
        case Pointwise():
            return FACTOR if node.operator == ".^" else TERM
        case Transpose():
            return BASE
        case Call() if node.function == "inv":
            return BASE
    return arithmetic_binds(node)


def _pieces(node: Node) -> Iterable[Task]:
    match node:
        case Transpose():
            yield from ("{", (node.operand, ATOM), r"}^{\mathsf{T}}")
        case Pointwise(operator=".^"):
            yield from ("{", (node.left, ATOM), r"}^{\circ ", (node.right, SUM), "}")
        case Pointwise():
            chained = isinstance(node.left, Pointwise)
            yield from ((node.left, TERM if chained else FACTOR), _SIGN[node.operator])
            yield node.right, FACTOR
        case Power():
            yield from ("{", (node.base, ATOM), "}^{", (node.exponent, SUM), "}")
        case Product():
            yield from _product(node)
        case Call():
            yield from _call(node)
        case _:
            for piece in latex.pieces(node):
                yield piece if isinstance(piece, str) else (piece[0], _PLACE[piece[1]])


_PLACE = {SUM: SUM, TERM: TERM, FACTOR: FACTOR, BASE: ATOM}  # a transpose binds tighter


def _product(node: Product) -> Iterable[Task]:
    """Numbers and scalars that lead and divide make a fraction; matrices stay in their order."""
    below = [factor for divides, factor in node.factors if divides]
    above = [factor for divides, factor in node.factors if not divides]
    lead = []
    while below and above and isinstance(above[0], Number):
        lead.append(above.pop(0))
    if below:
        yield r"\frac{"
        yield from _chain(lead) if lead else ["1"]
        yield "}{"
        yield from _chain(below)
        yield "} "
    yield from _chain(above)


def _chain(factors: list[Node]) -> Iterable[Task]:
    for position, factor in enumerate(factors):
        if position:
            yield r" \cdot " if isinstance(factor, Number) else " "
        yield factor, FACTOR if len(factors) > 1 else SUM


def _call(node: Call) -> Iterable[Task]:
    name, arguments = node.function, node.arguments
    if name == "inv":
        yield from ("{", (arguments[0], ATOM), "}^{-1}")
    elif name in _VERT:
        yield from (r"\left\lVert ", (arguments[0], SUM), r" \right\rVert", _VERT[name])
    elif name in _SIZED:
        yield _SYMBOL[name]
        if arguments:
            yield "_{"
            yield from _listed(arguments, r" \times ")
            yield "}"
    elif name in ("vector", "matrix"):
        if not (isinstance(arguments[0], Number) and arguments[0].value == 1):
            yield from ((arguments[0], FACTOR), " ")
        yield _SYMBOL[name]
    elif name in functions.ELEMENTWISE and len(arguments) == len(
        functions.ELEMENTWISE[name].arguments
    ):
        yield from latex.filled(functions.ELEMENTWISE[name].latex, arguments)
    else:
        yield _SYMBOL.get(name, f"\\operatorname{{{name}}}")
        yield r"\left("
        yield from _listed(arguments, ", ")
        yield r"\right)"


def _listed(arguments: tuple[Node, ...], between: str) -> Iterable[Task]:
    for position, argument in enumerate(arguments):
        if position:
            yield between
        yield argument, SUM
