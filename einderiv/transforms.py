"""Gradient, value with gradient, Jacobian and Hessian of plain Python functions written for NumPy.

In: a function over arrays, the positions of the arguments to differentiate by.
Out: a function with the same arguments; results and conventions as JAX's.
Invariant: the function is traced once per signature (`tracing.py`); after that its program runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from .containers import rebuilt
from .differentiator import gradient
from .errors import DerivativeError, EinderivError, axes_in_words
from .executable import Executable
from .expr import Expr, Variable
from .simplifier import simplify
from .tracing import MODES, Call, Traced, call_of, fingerprint, trace

Argnums = int | Sequence[int]

_MOST = 256  # signatures of one function that are kept


@dataclass
class _Plan:
    traced: Traced
    program: Executable

    def run(self, call: Call) -> list[Any]:
        """The results for the arrays of a call."""
        arrays = {x.name: call.leaves[place] for place, x in self.traced.inputs}
        return list(self.program({**arrays, **self.traced.constants}))


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

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        call = call_of(self.function, self.places(len(arguments)), arguments, keywords)
        plan = self._plan(call)
        return self._assembled(plan.traced, call, plan.run(call), self)

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

    def _plan(self, call: Call) -> _Plan:
        identity, held = fingerprint(self.function)
        last: Exception | None = None
        for mode in MODES:
            key = call.key(mode)
            if key is not None:
                known = self._plans.get((identity, key))
                if known is None:
                    known = self._plans.get((identity, key, call.sizes()))
                if known is not None:
                    return known
        for mode in MODES:
            try:
                traced = trace(self.function, call, mode)
                plan = _Plan(
                    traced, Executable(terms := self._terms(traced), len(terms), traced.variables)
                )
            except DerivativeError:
                raise
            except Exception as error:  # the next mode leaves less open
                last = error
                continue
            traced.held = held
            key = call.key(mode)
            if key is not None:
                # an array from outside fits these sizes; others need a trace of their own
                whole = (identity, key, call.sizes()) if traced.constants else (identity, key)
                if len(self._plans) >= _MOST:
                    self._plans.pop(next(iter(self._plans)))
                self._plans[whole] = plan
            return plan
        assert last is not None
        raise last.with_traceback(None) if isinstance(last, EinderivError) else last


# ---------------------------------------------------------------- terms


def _scalar(traced: Traced, what: str) -> Expr:
    if len(traced.outputs) != 1 or traced.structure != ():
        raise DerivativeError(
            f"{what} of a function that returns {len(traced.outputs)} values",
            facts=["it belongs to a function with one number as its value"],
            hint="return one of them, or use ed.jacobian",
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
    count, structures, _ = call.structure  # type: ignore[misc]
    places = transformed.places(count[1])
    wanted = sorted(set(places))
    rest = iter(values)
    built = {k: rebuilt(structures[k], rest) for k in wanted}
    if isinstance(transformed.argnums, int):
        return built[places[0]]
    return tuple(built[k] for k in places)


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
        lambda traced, call, values, self: _by_argument(self, call, values),
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
        lambda traced, call, values, self: (values[0], _by_argument(self, call, values[1:])),
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
        rows = [values[k : k + n] for k in range(0, len(values), n)] if n else []
        return rebuilt(traced.structure, [_by_argument(self, call, row) for row in rows])

    return Transformed(function, argnums, terms, assembled, "Jacobian")


def hessian(function: Callable[..., Any], argnums: Argnums = 0) -> Transformed:
    """The second derivatives of a function with one number as its value.

    For several arguments, or for tuples, lists and dicts of arrays: the structure twice, as JAX's.

    >>> import numpy as np
    >>> hessian(lambda x: np.sum(x**3))(np.array([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """

    def terms(traced: Traced) -> list[Expr]:
        first = _gradients(_scalar(traced, "the Hessian"), traced.wanted)
        return [second for g in first for second in _gradients(g, traced.wanted)]

    def assembled(traced: Traced, call: Call, values: list[Any], self: Transformed) -> Any:
        n = len(traced.wanted)
        rows = [_by_argument(self, call, values[k : k + n]) for k in range(0, len(values), n)]
        return _by_argument(self, call, rows)

    return Transformed(function, argnums, terms, assembled, "Hessian")
