"""Python syntax trees in a few words each: what backends write their code with.

In: names minted by a backend, numbers. Out: `ast` nodes.
Invariant: no text becomes code here but names and dotted paths that the caller minted.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from fractions import Fraction


def name(text: str) -> ast.expr:
    """A variable of a name."""
    return ast.Name(text, ast.Load())


def path(text: str) -> ast.expr:
    """A dotted path such as np.linalg.solve."""
    first, *rest = text.split(".")
    tree = name(first)
    for part in rest:
        tree = ast.Attribute(tree, part, ast.Load())
    return tree


def constant(value: int | float | str | bool | None) -> ast.expr:
    """A number, text, flag or None; infinities by their NumPy name."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        tree = path("np.inf")
        return tree if value > 0 else ast.UnaryOp(ast.USub(), tree)
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def tuple(items: Sequence[ast.expr]) -> ast.expr:
    """A tuple."""
    return ast.Tuple(list(items), ast.Load())


def numbers(items: Sequence[int]) -> ast.expr:
    """A tuple of whole numbers."""
    return tuple([constant(item) for item in items])


def call(function: ast.expr, *arguments: ast.expr, **named: ast.expr) -> ast.expr:
    """A call with positional and keyword arguments."""
    return ast.Call(function, list(arguments), [ast.keyword(k, v) for k, v in named.items()])


def method(value: ast.expr, name: str, *arguments: ast.expr, **named: ast.expr) -> ast.expr:
    """A call of a method of a value."""
    return call(ast.Attribute(value, name, ast.Load()), *arguments, **named)


def binary(left: ast.expr, operator: ast.operator, right: ast.expr) -> ast.expr:
    """`left operator right`."""
    return ast.BinOp(left, operator, right)


def compare(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> ast.expr:
    """`left operator right`, for a comparison."""
    return ast.Compare(left, [operator], [right])


def assign(target: str, value: ast.expr) -> ast.stmt:
    """`target = value`."""
    return ast.Assign([ast.Name(target, ast.Store())], value)


def to_float(value: Fraction) -> float:
    """The nearest float, infinite beyond the range."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def number(value: Fraction) -> ast.expr:
    """A rational number as the nearest float."""
    return constant(to_float(value))


def scaled(c: Fraction, value: ast.expr) -> ast.expr:
    """c * value as an expression."""
    if c == 1:
        return value
    if c.numerator == 1:
        return binary(value, ast.Div(), number(1 / c))
    return binary(number(c), ast.Mult(), value)


def scaling(c: Fraction, value: ast.expr, place: ast.expr | None) -> ast.expr:
    """c * value as a call that writes to `place`."""
    out = [] if place is None else [place]
    if c == -1 and not out:  # np.negative in place is wrong for some strides in NumPy 2.4
        return call(path("np.negative"), value)
    if abs(c.numerator) == 1:
        return call(path("np.divide"), value, number(1 / c), *out)
    return call(path("np.multiply"), value, number(c), *out)


def delete(names: Sequence[str]) -> ast.stmt:
    """`del a, b`."""
    return ast.Delete([ast.Name(text, ast.Del()) for text in names])


def definition(name: str, parameters: Sequence[str], body: list[ast.stmt]) -> ast.stmt:
    """A function with positional parameters."""
    arguments = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(parameter) for parameter in parameters],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )
    return ast.FunctionDef(name, arguments, body, decorator_list=[], returns=None)


def commented(statement: ast.stmt, comment: str) -> ast.stmt:
    """A statement with a remark for readers; `text_of` writes it behind."""
    statement.type_comment = comment  # type: ignore[attr-defined]
    return statement


def text_of(statements: Sequence[ast.stmt], indent: str = "") -> list[str]:
    """The lines of statements, with their remarks."""
    lines = []
    for statement in statements:
        if isinstance(statement, ast.For):
            target, span = ast.unparse(statement.target), ast.unparse(statement.iter)
            lines.append(f"{indent}for {target} in {span}:")
            lines += text_of(statement.body, indent + "    ")
            continue
        comment = getattr(statement, "type_comment", None)
        if comment is not None:
            statement.type_comment = None  # type: ignore[attr-defined]
        text = ast.unparse(ast.fix_missing_locations(statement)).replace("\n", f"\n{indent}")
        lines.append(f"{indent}{text}{'' if comment is None else f'  # {comment}'}")
    return lines
