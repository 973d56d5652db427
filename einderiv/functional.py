"""Programs and derivatives as functions over arrays.

In: expressions or texts. Out: callables that take arrays by name.
Invariant: all results of one call are one program; what they share is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .errors import DimensionError, NotationError
from .executable import Executable, Keys, check_backend, parsed_limit
from .expr import Variable
from .expression import Expression, parse
from .uniting import united

Compilable = Expression | Sequence[Expression] | Mapping[str, Expression]


def compile(
    expressions: Compilable,
    backend: str = "numpy",
    dtype: Any = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    memory_limit: str | int | None = None,
) -> Executable:
    """One expression, a list or a dict of them as one program; what they share is computed once.

    `shapes` gives the shapes to plan for; `memory_limit` ("1GiB", or bytes) refuses what would need more;
    `dtype` converts all arrays. Tensors of the same name in several expressions are one tensor.

    >>> J = parse("(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])")
    >>> p = compile({"value": J, "grad": J.grad("th")})
    >>> result = p(X=[[1.0, 2.0]], th=[1.0, 1.0], Y=[1.0])
    >>> float(result["value"]), result["grad"].tolist()
    (4.0, [4.0, 8.0])
    """
    check_backend(backend)
    keys: Keys
    if isinstance(expressions, Expression):
        chosen, keys = [expressions], None
    elif isinstance(expressions, Mapping):
        chosen, keys = list(expressions.values()), tuple(expressions)
    elif isinstance(expressions, Sequence):
        chosen, keys = list(expressions), len(expressions)
    else:
        chosen, keys = [], None
    if not chosen or not all(isinstance(e, Expression) for e in chosen):
        raise NotationError(
            "nothing to compile", hint="pass an Expression, a list or a dict of them"
        )
    programs = [(e.term, e._context.variables) for e in chosen]
    terms, variables = united(programs)
    sizes = _sizes(shapes or {}, variables)

    def title() -> str:
        text = "; ".join(str(e).replace("\n", "; ") for e in chosen)
        return text if len(text) < 400 else ""

    return Executable(terms, keys, variables, dtype, sizes, parsed_limit(memory_limit), title)


def _sizes(
    shapes: Mapping[str, Sequence[int]], variables: Mapping[str, Variable]
) -> dict[str, int]:
    """Extents from the shapes of arrays."""
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        whole = isinstance(shape, Sequence) and all(
            isinstance(size, int) and size >= 0 for size in shape
        )
        if name not in variables or not whole or len(shape) != variables[name].rank:
            axes = ", ".join(map(str, variables[name].shape)) if name in variables else ""
            raise DimensionError(
                f"the shape {shape!r} does not fit {name}",
                facts=[f"{name} has axes ({axes})" if name in variables else "no such tensor"],
                hint="give whole numbers, one an axis",
            )
        for dim, size in zip(variables[name].shape, shape, strict=True):
            if sizes.setdefault(str(dim), int(size)) != size or (
                isinstance(dim, int) and dim != size
            ):
                raise DimensionError(
                    f"extent {dim} has two values, {sizes[str(dim)]} and {size}",
                    hint="give shapes that agree",
                )
    return {dim: size for dim, size in sizes.items() if not dim.isdigit()}


def _expression(f: str | Expression | Callable[..., Any]) -> Expression:
    if isinstance(f, Expression):
        return f
    if isinstance(f, str):
        return parse(f)
    raise NotationError(
        f"an object of type {type(f).__name__} cannot be differentiated",
        hint="pass a text or an Expression",
    )


def grad(f: str | Expression, wrt: str | Sequence[str] = ()) -> Executable:
    """The gradient of a scalar as a function of arrays by name; a dict for several variables or none (all).

    >>> grad("x[i]*x[i]", "x")(x=[1.0, 2.0]).tolist()
    [2.0, 4.0]
    """
    names = (wrt,) if isinstance(wrt, str) else tuple(wrt)
    return compile(_expression(f).grad(*names))


def value_and_grad(f: str | Expression, wrt: str) -> Callable[..., tuple[Any, Any]]:
    """The value and the gradient from one program.

    >>> value, gradient = value_and_grad("x[i]*x[i]", "x")(x=[1.0, 2.0])
    >>> float(value), gradient.tolist()
    (5.0, [2.0, 4.0])
    """
    expression = _expression(f)
    program = compile([expression, expression.grad(wrt)])

    def both(arrays: Mapping[str, Any] | None = None, /, **more: Any) -> tuple[Any, Any]:
        value, gradient = program(arrays, **more)
        return value, gradient

    return both


def jacobian(f: str | Expression, wrt: str) -> Executable:
    """The derivative as a function of arrays by name: the expression's axes, then the variable's.

    >>> jacobian("y[i] = A[i,j]*x[j]", "x")(A=[[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """
    return compile(_expression(f).jacobian(wrt))


def hessian(f: str | Expression, wrt: str) -> Executable:
    """The Hessian of a scalar as a function of arrays by name.

    >>> hessian("x[i]*x[i]", "x")(x=[1.0, 2.0]).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    return compile(_expression(f).hessian(wrt))
