"""Programs and derivatives as functions over arrays.

In: expressions or texts. Out: callables that take arrays by name.
Invariant: all results of one call are one program; what they share is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import DerivativeError, DimensionError, NotationError
from ..printers import Picture, plan, plan_html
from ..programs import Executable, Keys, check_backend, parsed_limit
from ..terms import Variable, united
from .expression import Expression, parse
from .transforms import (
    GRADIENT,
    HESSIAN,
    JACOBIAN,
    VALUE_AND_GRADIENT,
    Argnums,
    Kind,
    Transformed,
)

Compilable = Expression | Sequence[Expression] | Mapping[str, Expression]


class PlannedProgram(Executable):
    """A compiled program that can show its plan as a picture, and as a table in a notebook."""

    def draw(self) -> Picture:
        """The plan as a picture: arrays, steps with their kernels, shapes and operations, results.

        >>> import einderiv as ed
        >>> picture = ed.compile(ed.parse("x[i]*Q[i,j]*x[j]")).draw()
        >>> picture
        <Picture plan: 4 nodes, 4 edges; .dot .svg() .png() .save(path)>
        """
        return Picture(plan(self.program, self._sizes, self._result_names()))

    def _result_names(self) -> tuple[str, ...]:
        return tuple(map(str, self._keys)) if isinstance(self._keys, tuple) else ()

    def _repr_html_(self) -> str:
        """The plan as a table."""
        return plan_html(self.program, self._sizes, self._result_names())


def compile(
    expressions: Compilable,
    backend: str = "numpy",
    dtype: Any = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    memory_limit: str | int | None = None,
    structured: bool = False,
) -> PlannedProgram:
    """One expression, a list or a dict of them as one program; what they share is computed once.

    `shapes` gives the shapes to plan for; with `memory_limit` ("1GiB", or bytes) it runs in blocks where it
    would need more, or refuses; `dtype` converts all arrays; with `structured` a result with Kronecker
    deltas or outer products in it comes as a `StructuredTensor`, its factors, wherever they are smaller than
    the array. Tensors of the same name in several expressions are one tensor.

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

    rows = [e._layout.ranks[0] if len(e._layout.ranks) == 2 else e.term.rank // 2 for e in chosen]
    limit = parsed_limit(memory_limit)
    return PlannedProgram(terms, keys, variables, dtype, sizes, limit, title, structured, rows)


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


Wrt = str | int | Sequence[str] | Sequence[int] | None


def _transformed(f: Any, kind: Kind, wrt: Wrt, argnums: Argnums | None) -> Transformed | None:
    """The derivative of a Python function; positions of arguments as argnums= or in second place, else 0."""
    if not callable(f) or isinstance(f, Expression):
        return None
    chosen: Any = wrt if argnums is None else argnums
    given = chosen if isinstance(chosen, Sequence) else [chosen]
    if chosen is not None and (
        isinstance(chosen, str) or not all(isinstance(k, int) for k in given)
    ):
        raise DerivativeError(
            f"{chosen!r} names no argument of a function",
            facts=["arguments of functions are named by position"],
            hint="write ed.grad(f, argnums=0); names belong to texts and Expressions",
        )
    return Transformed(f, 0 if chosen is None else chosen, kind)


def _expression(f: str | Expression) -> Expression:
    if not isinstance(f, str | Expression):
        raise NotationError(
            f"an object of type {type(f).__name__} cannot be differentiated",
            hint="pass a text, an Expression or a function",
        )
    return parse(f) if isinstance(f, str) else f


def _name(wrt: Wrt, what: str) -> str:
    if not isinstance(wrt, str):
        raise DerivativeError(
            f"{what} by {wrt!r}",
            facts=["a tensor of a text or an Expression is given by its name"],
            hint=f"write ed.{what}(f, 'x')",
        )
    return wrt


def grad(f: Any, wrt: Wrt = None, *, argnums: Argnums | None = None) -> Any:
    """The gradient of a scalar as a function of arrays.

    Of a text or an Expression: by the tensor `wrt`; a dict for several or none (all); arrays by name.
    Of a Python function written for NumPy: by the arguments at `argnums` (0); called as the function is.

    >>> grad("x[i]*x[i]", "x")(x=[1.0, 2.0]).tolist()
    [2.0, 4.0]
    >>> import numpy as np
    >>> grad(lambda x: np.sum(np.exp(x)))(np.zeros(2)).tolist()
    [1.0, 1.0]
    """
    transformed = _transformed(f, GRADIENT, wrt, argnums)
    if transformed is not None:
        return transformed
    names = (wrt,) if isinstance(wrt, str) else tuple(map(str, wrt or ()))  # type: ignore[arg-type]
    return compile(_expression(f).grad(*names))


def value_and_grad(f: Any, wrt: Wrt = None, *, argnums: Argnums | None = None) -> Any:
    """The value and the gradient from one program; arguments as those of `grad`.

    >>> value, gradient = value_and_grad("x[i]*x[i]", "x")(x=[1.0, 2.0])
    >>> float(value), gradient.tolist()
    (5.0, [2.0, 4.0])
    """
    transformed = _transformed(f, VALUE_AND_GRADIENT, wrt, argnums)
    if transformed is not None:
        return transformed
    expression = _expression(f)
    program = compile([expression, expression.grad(_name(wrt, "value_and_grad"))])
    return lambda arrays=None, /, **more: tuple(program(arrays, **more))


def jacobian(f: Any, wrt: Wrt = None, *, argnums: Argnums | None = None) -> Any:
    """The derivative as a function of arrays: the value's axes, then the variable's.

    Of a Python function: tuples, lists and dicts of arrays in the structure of its value, as JAX's.

    >>> jacobian("y[i] = A[i,j]*x[j]", "x")(A=[[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """
    return _transformed(f, JACOBIAN, wrt, argnums) or compile(
        _expression(f).jacobian(_name(wrt, "jacobian"))
    )


def hessian(f: Any, wrt: Wrt = None, *, argnums: Argnums | None = None) -> Any:
    """The Hessian of a scalar as a function of arrays.

    Of a Python function, for several arguments, or for tuples, lists and dicts of arrays: the structure
    twice, as JAX's.

    >>> hessian("x[i]*x[i]", "x")(x=[1.0, 2.0]).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    >>> import numpy as np
    >>> hessian(lambda x: np.sum(x**3))(np.array([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return _transformed(f, HESSIAN, wrt, argnums) or compile(
        _expression(f).hessian(_name(wrt, "hessian"))
    )
