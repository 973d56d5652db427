"""Gradient, value with gradient, Jacobian and Hessian of plain Python functions written for NumPy.

In: a function over arrays, the positions of the arguments to differentiate by.
Out: a function with the same arguments; results and conventions as JAX's.
Invariant: the function is traced once per signature (`tracing.py`); after that its program runs. Called with
symbols, also inside another function that is traced, a derivative is an expression in them.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..calculus import gradient, simplify
from ..errors import DerivativeError, NotationError, axes_in_words
from ..programs import Executable
from ..terms import Expr, Variable, postorder, substituted
from .symbols.operands import Symbolic, made, together, tracing
from .tracing import MODES, Call, Traced, call_of, fingerprint, outputs_of, rebuilt, symbol, trace

Argnums = int | Sequence[int]

_MOST_TRACES = 256  # signatures of one function that are kept
_MOST_BYTES = 1 << 28  # of the arrays that these hold
_MOST_PROGRAMS = 512  # of all functions

_programs: OrderedDict[Hashable, Executable] = OrderedDict()
_lock = threading.Lock()
_depth: ContextVar[int] = ContextVar("depth", default=0)  # of derivatives inside derivatives


def _program(what: str, traced: Traced, terms: Callable[[Traced], list[Expr]]) -> Executable:
    """The program of a derivative; equal traces, of whatever functions, share one."""
    key = (
        what,
        tuple(output._term for output in traced.outputs),
        tuple(traced.wanted),
        tuple(traced.variables.values()),
    )
    with _lock:
        known = _programs.pop(key, None)
    if known is None:
        roots = terms(traced)
        known = Executable(roots, len(roots), traced.variables)
    with _lock:
        _programs[key] = known
        while len(_programs) > _MOST_PROGRAMS:
            _programs.popitem(last=False)
    return known


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

    def __init__(
        self,
        function: Callable[..., Any],
        argnums: Argnums,
        terms: Callable[[Traced], list[Expr]],
        assembled: Callable[[Traced, Call, list[Any], Transformed], Any],
        what: str,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function, self.argnums = function, argnums
        self._terms, self._assembled, self._what = terms, assembled, what
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
        return self._assembled(traced, call, values, self)

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", "function")
        return f"<{self._what} of {name}, argnums={self.argnums}>"

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
        keys: list[Hashable] = []
        start = 0
        if general is not None:
            known = self._plans.get((identity, general))
            if known is not None:
                return known
            sized = (identity, general, call.sizes())
            start = self._starts.get(sized, 0)
            keys = [sized, *([(identity, call.key(MODES[1]))] if start else [])]
            for key in keys:
                known = self._plans.get(key)
                if known is not None:
                    return known
        last: Exception | None = None
        for number in range(start, len(MODES)):
            try:
                traced = trace(self.function, call, MODES[number])
            except Exception as error:  # the next mode leaves less open
                last = error
                continue
            program = _program(self._what, traced, self._terms)
            # anew: the function may have kept a record of its call
            identity, held = fingerprint(self.function)
            plan = _Plan(traced, program, held)
            key = call.key(MODES[number])
            if general is not None:
                sized = (identity, general, call.sizes())
                with self._lock:
                    self._starts[sized] = number
                    if key is not None:
                        # an array from outside fits these sizes; others need a trace of their own
                        exact = number == 0 and bool(traced.constants)
                        self._keep(sized if exact else (identity, key), plan)
            return plan
        assert last is not None
        raise last

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
            outputs, structure = outputs_of(call.called(self.function, leaves), context)
        finally:
            _depth.reset(token)
        terms, owner, context = together([*outputs, owner])
        _check_kept(terms, inner)
        outputs = [made(owner, term, context) for term in terms[:-1]]
        traced = Traced(outputs, structure, [], inner, {}, {})
        found = substituted(self._terms(traced), dict(zip(inner, arguments, strict=True)))
        return traced, [made(owner, term, context) for term in simplify(found)]


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


# ---------------------------------------------------------------- terms


def _scalar(traced: Traced, what: str) -> Expr:
    if len(traced.outputs) != 1 or traced.structure != ():
        count = len(traced.outputs)
        raise DerivativeError(
            f"{what} of a function that returns {f'{count} values' if count else 'nothing'}",
            facts=["it belongs to a function with one number as its value"],
            hint="return one number, or use ed.jacobian",
        )
    (output,) = traced.outputs
    if output._term.rank:
        raise DerivativeError(
            f"{what} of a function whose value has {axes_in_words(output._term.rank)}",
            facts=["it belongs to a function with one number as its value"],
            hint="sum the result, or use ed.jacobian",
        )
    return output._term


def _gradients(term: Expr, variables: Sequence[Variable]) -> list[Expr]:
    (simple,) = simplify([term])
    found = gradient(simple, variables)
    return simplify([found[x] for x in variables])


def _by_argument(transformed: Transformed, call: Call, values: Sequence[Any]) -> Any:
    """Values for the leaves one differentiates by, in the structure of the arguments."""
    count, structures, _ = call.structure
    places = transformed.places(count)
    rest = iter(values)
    built = {k: rebuilt(structures[k], rest) for k in sorted(set(places))}
    if isinstance(transformed.argnums, int):
        return built[places[0]]
    return tuple(built[k] for k in places)


def _gradient_by_argument(transformed: Transformed, call: Call, values: Sequence[Any]) -> Any:
    """The same, each entry in the dtype of its argument."""
    wanted = (leaf for leaf, by in zip(call.leaves, call.wanted, strict=True) if by)
    return _by_argument(
        transformed,
        call,
        [
            value.astype(leaf.dtype, copy=False)
            if isinstance(value, np.ndarray | np.generic)
            else value
            for value, leaf in zip(values, wanted, strict=True)
        ],
    )


# ---------------------------------------------------------------- the four transforms


def grad(function: Callable[..., Any], argnums: Argnums = 0) -> Transformed:
    """The gradient of a function with one number as its value.

    >>> import numpy as np
    >>> grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    return Transformed(
        function,
        argnums,
        lambda traced: _gradients(_scalar(traced, "the gradient"), traced.wanted),
        lambda traced, call, values, self: _gradient_by_argument(self, call, values),
        "gradient",
    )


def value_and_grad(function: Callable[..., Any], argnums: Argnums = 0) -> Transformed:
    """The value and the gradient from one program.

    >>> import numpy as np
    >>> value, gradient = value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    >>> float(value), gradient.tolist()
    (5.0, [2.0, 4.0])
    """

    def terms(traced: Traced) -> list[Expr]:
        value = _scalar(traced, "the gradient")
        return [*simplify([value]), *_gradients(value, traced.wanted)]

    return Transformed(
        function,
        argnums,
        terms,
        lambda traced, call, values, self: (
            values[0],
            _gradient_by_argument(self, call, values[1:]),
        ),
        "value and gradient",
    )


def jacobian(function: Callable[..., Any], argnums: Argnums = 0) -> Transformed:
    """The derivative of a function: the axes of its value, then those of the argument.

    >>> import numpy as np
    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    def terms(traced: Traced) -> list[Expr]:
        return [t for out in traced.outputs for t in _gradients(out._term, traced.wanted)]

    def assembled(traced: Traced, call: Call, values: list[Any], self: Transformed) -> Any:
        n = len(traced.wanted)
        rows = [values[n * k : n * (k + 1)] for k in range(len(traced.outputs))]
        return rebuilt(traced.structure, [_by_argument(self, call, row) for row in rows])

    return Transformed(function, argnums, terms, assembled, "Jacobian")


def hessian(function: Callable[..., Any], argnums: Argnums = 0) -> Transformed:
    """The second derivatives of a function: the axes of its value, then twice those of the arguments.

    For several arguments, or for tuples, lists and dicts of arrays: the structure twice, as JAX's.

    >>> import numpy as np
    >>> hessian(lambda x: np.sum(x**3))(np.array([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """

    def terms(traced: Traced) -> list[Expr]:
        first = [g for out in traced.outputs for g in _gradients(out._term, traced.wanted)]
        return [second for g in first for second in _gradients(g, traced.wanted)]

    def assembled(traced: Traced, call: Call, values: list[Any], self: Transformed) -> Any:
        n = len(traced.wanted)
        rows = [
            _by_argument(self, call, values[n * k : n * (k + 1)])
            for k in range(n * len(traced.outputs))
        ]
        blocks = [
            _by_argument(self, call, rows[n * k : n * (k + 1)]) for k in range(len(traced.outputs))
        ]
        return rebuilt(traced.structure, blocks)

    return Transformed(function, argnums, terms, assembled, "Hessian")
