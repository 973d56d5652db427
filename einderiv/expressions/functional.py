"""Programs and derivatives as functions over arrays, of expressions and of plain Python functions for NumPy.

In: expressions or texts; a function over arrays and the positions of the arguments to differentiate by.
Out: callables that take arrays by name; a function with the same arguments, results and conventions as JAX's.
Invariant: all results of one call are one program; what they share is computed once. A function is traced
once per signature (`tracing.py`); after that its program runs. Called with symbols, also inside another
function that is traced, its derivative is an expression in them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..calculus import simplify
from ..errors import DerivativeError, DimensionError, NotationError, axes_in_words
from ..printers import Picture, plan, plan_html
from ..programs import Executable, Keys, check_backend, parsed_limit
from ..terms import Expr, Variable, postorder, substituted, united
from .expression import Expression, derivatives, parse, symbol
from .symbols.operands import Symbolic, symbol_of, together, tracing
from .tracing import MODES, Call, Traced, call_of, fingerprint, nest, outputs_of, trace

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
        x = variables.get(name)
        whole = isinstance(shape, Sequence) and all(isinstance(n, int) and n >= 0 for n in shape)
        if x is None or not whole or len(shape) != x.rank:
            axes = "" if x is None else ", ".join(map(str, x.shape))
            raise DimensionError(
                f"the shape {shape!r} does not fit {name}",
                facts=["no such tensor" if x is None else f"{name} has axes ({axes})"],
                hint="give whole numbers, one an axis",
            )
        for dim, size in zip(x.shape, shape, strict=True):
            known = dim if isinstance(dim, int) else sizes.setdefault(dim, int(size))
            if known != size:
                raise DimensionError(
                    f"extent {dim} has two values, {known} and {size}",
                    hint="give shapes that agree",
                )
    return sizes


# ---------------------------------------------------------------- derivatives of Python functions

Argnums = int | Sequence[int]

_MOST_TRACES = 256  # signatures of one function that are kept
_MOST_BYTES = 1 << 28  # of the arrays that these hold

_depth: ContextVar[int] = ContextVar("depth", default=0)  # of derivatives inside derivatives


class Kind(NamedTuple):
    """A kind of derivative: its terms from those of the results, and what their values are packed into."""

    name: str
    of_number: bool  # is the function to have one number as its value?
    terms: Callable[[Sequence[Expr], Sequence[Variable]], list[Expr]]
    packed: Callable[[Transformed, Traced, Call, list[Any]], Any]


@functools.lru_cache(maxsize=512)
def _program(
    kind: Kind,
    results: tuple[Expr, ...],
    wanted: tuple[Variable, ...],
    variables: tuple[Variable, ...],
) -> Executable:
    """The program of a derivative; equal traces, of whatever functions, share one."""
    roots = kind.terms(results, wanted)
    return Executable(roots, len(roots), {x.name: x for x in variables})


@dataclass
class _Plan:
    traced: Traced
    program: Executable
    held: list[Any]  # kept alive, since their identity is in the key

    def run(self, call: Call) -> list[Any]:
        """The results for the arrays of a call."""
        arrays = {x.name: call.leaves[place] for place, x in self.traced.inputs}
        return list(self.program({**arrays, **self.traced.constants}))

    @property
    def nbytes(self) -> int:
        """Memory held by the arrays that the function brought along."""
        return sum(array.nbytes for array in self.traced.constants.values())


class Transformed:
    """A derivative of a function: called as the function is."""

    def __init__(self, function: Callable[..., Any], argnums: Argnums, kind: Kind) -> None:
        functools.update_wrapper(self, function)
        self.function, self.argnums, self.kind = function, argnums, kind
        self._plans: dict[Hashable, _Plan] = {}
        self._starts: dict[Hashable, int] = {}  # the first mode that can succeed
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        call = call_of(self.function, self.places(len(arguments)), arguments, keywords)
        if tracing.get() is not None or call.is_symbolic:
            traced, values = self._in_symbols(call)
        else:
            plan = self._plan(call)
            traced, values = plan.traced, plan.run(call)
        return self.kind.packed(self, traced, call, values)

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", "function")
        return f"<{self.kind.name} of {name}, argnums={self.argnums}>"

    def places(self, count: int) -> tuple[int, ...]:
        """The positions to differentiate by, among `count` arguments."""
        given = (self.argnums,) if isinstance(self.argnums, int) else tuple(self.argnums)
        for k in given:
            if isinstance(k, bool) or not isinstance(k, int) or not -count <= k < count:
                raise DerivativeError(
                    f"argnums={self.argnums!r} of a call with {count} positional arguments",
                    facts=["argnums counts the positional arguments from 0"],
                    hint="pass what is differentiated by position, or change argnums",
                )
        return tuple(k % count for k in given)

    # ------------------------------------------------------------ arrays

    def _plan(self, call: Call) -> _Plan:
        """The trace and the program for a call, kept from an earlier one of its signature."""
        identity, _ = fingerprint(self.function)
        general = call.key(MODES[0])
        start = 0
        if general is not None:
            known = self._plans.get((identity, general))
            if known is not None:
                return known
            sized = (identity, general, call.sizes())
            known = self._plans.get(sized) or self._plans.get((identity, call.key(MODES[1])))
            if known is not None:
                return known
            start = self._starts.get(sized, 0)
        last: Exception | None = None
        for number in range(start, len(MODES)):
            try:
                traced = trace(self.function, call, MODES[number])
            except Exception as error:  # the next mode leaves less open
                last = error
                continue
            wanted, variables = tuple(traced.wanted), tuple(traced.variables.values())
            program = _program(self.kind, self._results(traced), wanted, variables)
            # anew: the function may have kept a record of its call
            identity, held = fingerprint(self.function)
            plan = _Plan(traced, program, held)
            if general is None:
                return plan
            sized = (identity, general, call.sizes())
            with self._lock:
                self._starts[sized] = number
                if number == 0 and traced.constants:
                    # an array from outside fits these sizes; others need a trace of their own
                    self._keep(sized, plan)
                elif MODES[number].traces_others:
                    self._keep((identity, call.key(MODES[number])), plan)
            return plan
        assert last is not None
        raise last

    def _results(self, traced: Traced) -> tuple[Expr, ...]:
        """The terms to differentiate; one number if the derivative is that of a number."""
        found = tuple(output._term for output in traced.outputs)
        if not self.kind.of_number:
            return found
        if traced.structure != ():
            count = f"{len(found)} values" if found else "nothing"
            what, way = f"that returns {count}", "return one number"
        elif found[0].rank:
            what, way = f"whose value has {axes_in_words(found[0].rank)}", "sum the result"
        else:
            return found
        raise DerivativeError(
            f"the gradient of a function {what}",
            facts=["it belongs to a function with one number as its value"],
            hint=f"{way}, or use ed.jacobian",
        )

    def _keep(self, key: Hashable, plan: _Plan) -> None:
        self._plans[key] = plan
        room = _MOST_BYTES
        for old, other in reversed(list(self._plans.items())):
            room -= other.nbytes
            if old != key and (room < 0 or len(self._plans) > _MOST_TRACES):
                del self._plans[old]
        while len(self._starts) > 4 * _MOST_TRACES:
            self._starts.pop(next(iter(self._starts)))

    # ------------------------------------------------------------ symbols

    def _in_symbols(self, call: Call) -> tuple[Traced, list[Any]]:
        """The derivative as expressions: by new tensors, which the arguments then replace."""
        running = tracing.get()
        symbols = [leaf for leaf in call.leaves if isinstance(leaf, Symbolic)]
        owner = symbol(Variable("_"), running.context) if running is not None else symbols[0]
        wanted = [k for k, is_wanted in enumerate(call.wanted) if is_wanted]
        (_, *arguments), owner, context = together([owner, *(call.leaves[k] for k in wanted)])
        level = _depth.get()
        inner = [
            Variable(f"{call.name(k)}.{level}.{k}", term.shape)  # no name of a user's has a point
            for k, term in zip(wanted, arguments, strict=True)
        ]
        leaves = list(call.leaves)
        for k, x in zip(wanted, inner, strict=True):
            leaves[k] = symbol(x, context)
        token = _depth.set(level + 1)
        try:
            outputs, structure = outputs_of(call.apply(self.function, leaves), context)
        finally:
            _depth.reset(token)
        terms, owner, context = together([*outputs, owner])
        _check_kept(terms, inner)
        outputs = [symbol_of(owner, term, context) for term in terms[:-1]]
        traced = Traced(outputs, structure, [], inner, {}, {})
        roots = self.kind.terms(self._results(traced), inner)
        found = substituted(roots, dict(zip(inner, arguments, strict=True)))
        return traced, [symbol_of(owner, term, context) for term in simplify(found)]


def _check_kept(terms: Sequence[Expr], variables: Sequence[Variable]) -> None:
    """Extents that a function joins to others are no longer those of its arguments."""
    own = {x.name: x for x in variables}
    for node in postorder(terms):
        if isinstance(node, Variable) and own.get(node.name, node) is not node:
            raise NotationError(
                f"the function joins extents of {node.name.partition('.')[0]} to others",
                facts=[f"({', '.join(map(str, own[node.name].shape))}) became {node.shape}"],
                hint="declare the extents, as in ed.tensors('X[n,d]')",
            )


# ---------------------------------------------------------------- the kinds


def _by_argument(transformed: Transformed, call: Call, values: Sequence[Any]) -> Any:
    """Values for the leaves one differentiates by, in the structure of the arguments."""
    count, structures, _ = call.structure
    places = transformed.places(count)
    rest = iter(values)
    built = {k: nest(structures[k], rest) for k in sorted(set(places))}
    if isinstance(transformed.argnums, int):
        return built[places[0]]
    return tuple(built[k] for k in places)


def _gradient(transformed: Transformed, traced: Traced, call: Call, values: Sequence[Any]) -> Any:
    """The same, each entry in the dtype of its argument."""
    wanted = (leaf for leaf, by in zip(call.leaves, call.wanted, strict=True) if by)
    own = [
        value.astype(leaf.dtype, copy=False)
        if isinstance(value, np.ndarray | np.generic)
        else value
        for value, leaf in zip(values, wanted, strict=True)
    ]
    return _by_argument(transformed, call, own)


def _jacobian(transformed: Transformed, traced: Traced, call: Call, values: Sequence[Any]) -> Any:
    """The structure of the results, in each place that of the arguments."""
    n = len(traced.wanted)
    groups = [values[n * k : n * (k + 1)] for k in range(len(traced.outputs))]
    return nest(traced.structure, [_by_argument(transformed, call, own) for own in groups])


def _hessian(transformed: Transformed, traced: Traced, call: Call, values: Sequence[Any]) -> Any:
    """The same with that of the arguments twice."""
    n = len(traced.wanted)
    groups = [values[n * k : n * (k + 1)] for k in range(n * len(traced.outputs))]
    rows = [_by_argument(transformed, call, own) for own in groups]
    return _jacobian(transformed, traced, call, rows)


def _first(terms: Sequence[Expr], variables: Sequence[Variable]) -> list[Expr]:
    return [g for term in terms for g in derivatives(term, variables)]


GRADIENT = Kind("gradient", True, _first, _gradient)
VALUE_AND_GRADIENT = Kind(
    "value and gradient",
    True,
    lambda terms, variables: [*simplify(terms), *_first(terms, variables)],
    lambda transformed, traced, call, values: (
        values[0],
        _gradient(transformed, traced, call, values[1:]),
    ),
)
JACOBIAN = Kind("Jacobian", False, _first, _jacobian)
HESSIAN = Kind(
    "Hessian", False, lambda terms, variables: _first(_first(terms, variables), variables), _hessian
)


# ---------------------------------------------------------------- derivatives of either

Wrt = str | int | Sequence[str] | Sequence[int] | None


def _transform_of(f: Any, kind: Kind, wrt: Wrt, argnums: Argnums | None) -> Transformed | None:
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
    transformed = _transform_of(f, GRADIENT, wrt, argnums)
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
    transformed = _transform_of(f, VALUE_AND_GRADIENT, wrt, argnums)
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
    return _transform_of(f, JACOBIAN, wrt, argnums) or compile(
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
    return _transform_of(f, HESSIAN, wrt, argnums) or compile(
        _expression(f).hessian(_name(wrt, "hessian"))
    )
