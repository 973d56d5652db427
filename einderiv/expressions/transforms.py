"""Gradient, value with gradient, Jacobian and Hessian of plain Python functions written for NumPy.

In: a function over arrays, the positions of the arguments to differentiate by, the kind of derivative.
Out: a function with the same arguments; results and conventions as JAX's.
Invariant: the function is traced once per signature (`tracing.py`); after that its program runs. Called with
symbols, also inside another function that is traced, a derivative is an expression in them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..calculus import simplify
from ..errors import DerivativeError, NotationError, axes_in_words
from ..programs import Executable
from ..terms import Expr, Variable, postorder, substituted
from .expression import derivatives, symbol
from .symbols.operands import Symbolic, made, together, tracing
from .tracing import MODES, Call, Traced, call_of, fingerprint, outputs_of, rebuilt, trace

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
            outputs, structure = outputs_of(call.called(self.function, leaves), context)
        finally:
            _depth.reset(token)
        terms, owner, context = together([*outputs, owner])
        _check_kept(terms, inner)
        outputs = [made(owner, term, context) for term in terms[:-1]]
        traced = Traced(outputs, structure, [], inner, {}, {})
        roots = self.kind.terms(self._results(traced), inner)
        found = substituted(roots, dict(zip(inner, arguments, strict=True)))
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


# ---------------------------------------------------------------- the kinds


def _by_argument(transformed: Transformed, call: Call, values: Sequence[Any]) -> Any:
    """Values for the leaves one differentiates by, in the structure of the arguments."""
    count, structures, _ = call.structure
    places = transformed.places(count)
    rest = iter(values)
    built = {k: rebuilt(structures[k], rest) for k in sorted(set(places))}
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
    return rebuilt(traced.structure, [_by_argument(transformed, call, own) for own in groups])


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
