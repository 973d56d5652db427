"""LaTeX in the subset that KaTeX and MathJax share, ASCII only.

In: a surface tree. Out: a string without dollar signs; definitions make an `aligned` block.
Invariant: names reach the output escaped; nothing recurses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from ..notations import Node, syntax
from ..terms import ONE, functions
from .text import (
    ATOM,
    BASE,
    FACTOR,
    SUM,
    TERM,
    Task,
    binds,
    number_text,
    pointwise_pieces,
    render,
    separate,
    sum_pieces,
)
from .trees import NOWHERE, Partial

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
).split()
_RELATION = {"<": "<", ">": ">", "<=": r"\le", ">=": r"\ge", "==": "=", "!=": r"\ne"}
_SPECIAL = {
    "delta": r"\delta",
    "eps": r"\varepsilon",
    "ones": r"\mathbf{1}",
    "zeros": r"\mathbf{0}",
}
_ABOVE = {"sum": r"\sum", "prod": r"\prod"}
_SIGN = {".*": r" \odot ", "./": r" \oslash "}
_VERT = {"norm1": r"_{1}", "norm2": r"_{2}"}
_SYMBOL = {
    "eye": "I",
    "ones": r"\mathbf{1}",
    "vector": r"\mathbf{1}",
    "matrix": r"\mathbf{1}",
} | {name: row.latex for name, row in functions.WHOLE.items() if row.latex}
_SIZED = ("eye", "ones")  # their arguments are extents
_ONE = syntax.Number(ONE, NOWHERE)
_BRACKETS = (r"\left(", r"\right)")


def to_latex(text: syntax.Text) -> str:
    """The statements of a surface tree."""
    definitions = [s for s in text.statements if isinstance(s, syntax.Definition)]
    lines = [
        (name_latex(s.name) + _subscript(s.indices) if s.name else "", tree_latex(s.expression))
        for s in definitions
    ]
    if len(lines) == 1:
        left, body = lines[0]
        return f"{left} = {body}" if left else body
    rows = [f"{left} &= {body}" if left else f"&\\phantom{{=}}\\; {body}" for left, body in lines]
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def tree_latex(root: Node) -> str:
    """One expression in index notation; a derivative of all of it has its operator in front."""
    if isinstance(root, Partial) and not root.is_short:
        operator = rf"\frac{{\partial}}{{\partial {tree_latex(root.variable)}}} \left("
        return operator + tree_latex(root.inner) + r"\right)"
    return render(root, _pieces, _binds, _BRACKETS)


def matrix_latex(root: Node) -> str:
    r"""One expression in matrix notation; products entry by entry show as \odot.

    >>> from einderiv.notations import syntax
    >>> x = syntax.Name("x", (0, 0))
    >>> print(matrix_latex(syntax.Product(((False, syntax.Transpose(x, (0, 0))), (False, x)), (0, 0))))
    {x}^{\mathsf{T}} x
    """
    return render(root, _matrix_pieces, _binds, _BRACKETS)


def name_latex(name: str) -> str:
    """A name: one letter, a Greek letter by its command, else upright.

    >>> name_latex("θ"), name_latex("w_out")
    ('\\\\theta', '\\\\mathrm{w\\\\_out}')
    """
    plain = "".join(_ascii(char) for char in name)
    if plain in _GREEK:
        return "\\" + plain
    if len(plain) == 1:
        return plain
    split = re.fullmatch(r"([A-Za-z])(\d+)", plain)
    if split:
        return f"{{{split[1]}_{{{split[2]}}}}}"
    return "\\mathrm{" + plain.replace("_", r"\_") + "}"


def _ascii(char: str) -> str:
    if char.isascii():
        return char
    words = unicodedata.name(char, "").split()
    if words[:2] in (["GREEK", "SMALL"], ["GREEK", "CAPITAL"]) and len(words) > 3:
        word = words[3].lower().replace("lamda", "lambda")
        return word.capitalize() if words[1] == "CAPITAL" else word
    return f"u{ord(char):x}"


def _subscript(indices: Sequence[syntax.Index] | None) -> str:
    if not indices:
        return ""
    names = [name_latex(index.name) for index in indices]
    joint = "" if all(len(index.name) == 1 and index.name.isascii() for index in indices) else ","
    return f"_{{{joint.join(names)}}}"


def _binds(node: Node) -> int:
    """How tightly a node's own sign binds; a transpose binds tighter than the powers below it."""
    match node:
        case syntax.Call() if node.function in functions.REDUCTIONS and node.kept:
            return TERM
        case syntax.Call() if node.function == "inv" and not node.kept and not node.subscript:
            return BASE
        case Partial():  # its fraction line brackets it
            return ATOM
    return binds(node)


def _pieces(node: Node | Partial) -> Iterable[Task]:
    """A node as texts, and children with their places."""
    match node:
        case syntax.Number():
            digits, e, exponent = number_text(node.value).partition("e")
            yield f"{digits} \\cdot 10^{{{exponent}}}" if e else digits
        case syntax.Name():
            yield name_latex(node.name)
        case syntax.Access(name="size"):
            yield f"n_{{{name_latex(node.indices[0].name)}}}"
        case syntax.Access():
            yield _SPECIAL.get(node.name, name_latex(node.name)) + _subscript(node.indices)
        case syntax.Group() if isinstance(node.inner, Partial):
            yield node.inner, SUM
        case syntax.Group():
            yield from (r"\left(", (node.inner, SUM), r"\right)")
        case syntax.Negative():
            yield from ("-", (node.operand, TERM))
        case syntax.Transpose():
            yield from ("{", (node.operand, ATOM), r"}^{\mathsf{T}}")
        case syntax.Power():
            yield from ("{", (node.base, ATOM), "}^{", (_inside(node.exponent), SUM), "}")
        case syntax.Pointwise(operator=".^"):
            yield from ("{", (node.left, ATOM), r"}^{\circ ", (node.right, SUM), "}")
        case syntax.Pointwise():
            yield from pointwise_pieces(node, _SIGN[node.operator])
        case syntax.Product():
            yield from _product(node)
        case syntax.Sum():
            yield from sum_pieces(node)
        case syntax.Comparison():
            yield from ((node.left, SUM), f" {_RELATION[node.operator]} ", (node.right, SUM))
        case syntax.Call():
            yield from _call(node)
        case Partial():
            inner = (node.inner, SUM)
            shown = [inner] if node.is_short else [r"\left(", inner, r"\right)"]
            yield from (r"\frac{\partial ", *shown, r"}{\partial ", (node.variable, ATOM), "}")


def _matrix_pieces(node: Node) -> Iterable[Task]:
    match node:
        case syntax.Product():
            yield from _matrix_product(node)
        case syntax.Call(function="inv"):
            yield from ("{", (node.arguments[0], ATOM), "}^{-1}")
        case _:
            yield from _pieces(node)


def _inside(node: Node) -> Node:
    return node.inner if isinstance(node, syntax.Group) else node


def _product(node: syntax.Product) -> Iterable[Task]:
    above, below = _sides(node)
    if below and _shares_an_index(below):  # \frac{1}{x_i y_i} would sum below the line
        above = [f for f in above if not (isinstance(f, syntax.Number) and f.value == 1)]
        yield from _juxtapose(above, FACTOR)  # with brackets: what follows is multiplied
        for factor in below:
            yield from (r" \frac{1}{", *_juxtapose([factor]), "}")
    elif below:
        yield from (r"\frac{", *_juxtapose(above or [_ONE]), "}{", *_juxtapose(below), "}")
    else:
        yield from _juxtapose(above)


def _matrix_product(node: syntax.Product) -> Iterable[Task]:
    """Numbers and scalars that lead and divide make a fraction; matrices stay in their order."""
    above, below = _sides(node)
    lead = []
    while below and above and isinstance(above[0], syntax.Number):
        lead.append(above.pop(0))
    if below:
        yield from (r"\frac{", *_juxtapose(lead or [_ONE]), "}{", *_juxtapose(below), "} ")
    yield from _juxtapose(above, TERM if below else SUM)


def _sides(node: syntax.Product) -> tuple[list[Node], list[Node]]:
    """The factors above and below the fraction line."""
    above = [factor for divides, factor in node.factors if not divides]
    return above, [factor for divides, factor in node.factors if divides]


def _juxtapose(factors: Sequence[Node], alone: int = SUM) -> Iterable[Task]:
    """Factors side by side; `alone` is the place of one that is alone."""
    for position, factor in enumerate(factors):
        if position:
            yield r" \cdot " if isinstance(factor, syntax.Number) else " "
        if len(factors) > 1:
            yield factor, FACTOR
        else:
            yield _inside(factor) if alone == SUM else factor, alone


def _shares_an_index(factors: Sequence[Node]) -> bool:
    """Do two of the factors have an index in common?"""
    seen: set[str] = set()
    for factor in factors:
        own = {
            index.name for node in syntax.tree_nodes(factor) for index in syntax.indices_of(node)
        }
        if own & seen:
            return True
        seen |= own
    return False


def _head(name: str) -> str:
    return _SYMBOL.get(name, f"\\operatorname{{{name}}}")


def _call(node: syntax.Call) -> Iterable[Task]:
    name, arguments, over = node.function, node.arguments, _subscript(node.kept)
    row = functions.ELEMENTWISE.get(name)
    if name in _ABOVE and node.kept:
        yield from (f"{_ABOVE[name]}{over} ", (arguments[0], TERM))
    elif node.kept is None and node.subscript:
        head, mark = ("", "^{-1}") if name == "inv" else (_head(name), "")
        behind = f"{mark}\\right){_subscript(node.subscript)}"
        yield from (head, r"\left(", (arguments[0], ATOM), behind)
    elif name in _VERT:
        yield from (r"\left\lVert ", (arguments[0], SUM), r" \right\rVert", _VERT[name])
    elif name in _SIZED:
        yield _SYMBOL[name]
        if arguments:
            yield from ("_{", *separate(arguments, r" \times "), "}")
    elif name in ("vector", "matrix"):
        if not (isinstance(arguments[0], syntax.Number) and arguments[0].value == 1):
            yield from ((arguments[0], FACTOR), " ")
        yield _SYMBOL[name]
    elif row is not None and node.kept is None and len(arguments) == len(row.arguments):
        yield from fill(row.latex, arguments)
    else:
        yield _head(name) + over
        yield from (r"\left(", *separate(arguments, ", "), r"\right)")
        yield _subscript(node.subscript)


def fill(template: str, arguments: Sequence[Node]) -> Iterable[Task]:
    """A row's template with trees in the place of `{0}`, `{1}`; doubled braces are braces."""
    for piece in re.split(r"(\{\d\}|\{\{|\}\})", template):
        if re.fullmatch(r"\{\d\}", piece):
            yield arguments[int(piece[1])], SUM
        elif piece:
            yield piece.replace("{{", "{").replace("}}", "}")
