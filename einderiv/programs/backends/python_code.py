"""Python syntax trees in a few words each: what backends write their code with.

In: templates of our own, names minted by a backend, numbers. Out: `ast` nodes, functions compiled from them.
Invariant: no text becomes code here but templates, names and dotted paths of our own.

A part of a tree is given as a tree, a name or dotted path, a number, None for itself, or a tuple of parts.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

Part = Any


def tree(part: Part) -> ast.expr:
    """The tree of a part; infinities by their NumPy name."""
    match part:
        case ast.expr():
            return part
        case str():
            first, *rest = part.split(".")
            made: ast.expr = ast.Name(first, ast.Load())
            for name in rest:
                made = ast.Attribute(made, name, ast.Load())
            return made
        case tuple() | list() | range():
            return ast.Tuple([tree(item) for item in part], ast.Load())
        case Fraction():
            return tree(to_float(part))
        case float() if part in (float("inf"), float("-inf")):
            return tree("np.inf") if part > 0 else ast.UnaryOp(ast.USub(), tree("np.inf"))
        case int() | float() if part < 0:
            return ast.UnaryOp(ast.USub(), ast.Constant(-part))
    return ast.Constant(part)


def code(template: str, *parts: Part) -> ast.expr:
    """An expression whose holes _0, _1, ... are filled with parts.

    >>> ast.unparse(code("_0[_1:]", "v3", 2))
    'v3[2:]'
    """
    (statement,) = _statements(template)
    assert isinstance(statement, ast.Expr)
    made: ast.expr = _fill(statement.value, parts)
    return made


def statements(template: str, *parts: Part) -> list[ast.stmt]:
    """The same of one statement or several, one a line."""
    return [_fill(statement, parts) for statement in _statements(template)]


@lru_cache(maxsize=256)
def _statements(template: str) -> list[ast.stmt]:
    return ast.parse(template).body


def _fill(node: Any, parts: Sequence[Part]) -> Any:
    if isinstance(node, list):
        return [_fill(item, parts) for item in node]
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.Name) and node.id[0] == "_":
        return _in_context(tree(parts[int(node.id[1:])]), node.ctx)
    return type(node)(**{name: _fill(value, parts) for name, value in ast.iter_fields(node)})


def _in_context(made: Any, context: ast.expr_context) -> Any:
    """A tree to be read, or its copy to be assigned to."""
    if isinstance(context, ast.Load):
        return made
    if isinstance(made, ast.Tuple):
        return ast.Tuple([_in_context(item, context) for item in made.elts], context)
    return type(made)(**{**dict(ast.iter_fields(made)), "ctx": context})


def call(function: Part, *arguments: Part, **named: Part) -> ast.expr:
    """A call with positional and keyword arguments."""
    keywords = [ast.keyword(name, tree(part)) for name, part in named.items()]
    return ast.Call(tree(function), [tree(part) for part in arguments], keywords)


def method(value: Part, name: str, *arguments: Part) -> ast.expr:
    """A call of a method of a value."""
    return call(ast.Attribute(tree(value), name, ast.Load()), *arguments)


def binary(left: Part, operator: ast.operator, right: Part) -> ast.expr:
    """`left operator right`."""
    return ast.BinOp(tree(left), operator, tree(right))


def index(value: Part, *places: Part) -> ast.expr:
    """`value[place, ...]`."""
    return ast.Subscript(
        tree(value), tree(places) if len(places) > 1 else tree(places[0]), ast.Load()
    )


def assign(target: Part, value: Part) -> ast.stmt:
    """`target = value`."""
    return statements("_0 = _1", target, value)[0]


def to_float(value: Fraction) -> float:
    """The nearest float, infinite beyond the range."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def multiple(c: Fraction, value: ast.expr) -> ast.expr:
    """c * value as an expression."""
    if c == 1:
        return value
    if c.numerator == 1:
        return binary(value, ast.Div(), 1 / c)
    return binary(c, ast.Mult(), value)


def scaling(c: Fraction, value: ast.expr, *place: Part) -> ast.expr:
    """c * value as a call that writes to `place`, if that is given."""
    if c == -1 and not place:  # np.negative in place is wrong for some strides in NumPy 2.4
        return call("np.negative", value)
    if abs(c.numerator) == 1:
        return call("np.divide", value, 1 / c, *place)
    return call("np.multiply", value, c, *place)


def delete(names: Sequence[str]) -> ast.stmt:
    """`del a, b`."""
    return ast.Delete([ast.Name(text, ast.Del()) for text in names])


def function(
    title: str,
    parameters: Sequence[str],
    body: Sequence[ast.stmt],
    results: Sequence[ast.expr],
    keys: Sequence[str] | int | None,
    space: Mapping[str, Any],
) -> Callable[..., Any]:
    """A function of statements and results, compiled; it sees nothing but `space`.

    The results come as a tuple (`keys` None), a list (their number) or a dict; 0 is for one result.
    """
    kept = {}
    if keys is None:
        packed = tree(results)
    elif keys == 0:
        packed = results[0]
    elif isinstance(keys, int):
        packed = ast.List(list(results), ast.Load())
    else:
        kept = {f"k{number}": key for number, key in enumerate(keys)}
        packed = ast.Dict([tree(name) for name in kept], list(results))
    module = ast.parse(f"def run({', '.join(parameters)}): pass")
    module.body[0].body = [*body, ast.Return(packed)]  # type: ignore[attr-defined]
    code = compile(ast.fix_missing_locations(module), f"<einderiv {title}>", "exec")
    names = {"__builtins__": {}, **space, **kept}
    exec(code, names)
    made: Callable[..., Any] = names["run"]
    return made


def with_comment(statement: ast.stmt, comment: str) -> ast.stmt:
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
