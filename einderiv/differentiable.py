"""Expressions that can be differentiated: gradient, Jacobian, Hessian and beyond.

In: names of variables. Out: expressions of the same class, their axes laid out as asked.
Invariant: immutable; how the axes of a derivative came about is kept, so that a matrix form can lay them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from .canonical import add, contract, transpose
from .context import Context, named
from .differentiator import gradient, pushforward, sweep
from .errors import DerivativeError, axes_in_words
from .expr import Expr, Shape, Variable
from .notation.python_operands import Symbolic
from .simplifier import simplify
from .substitution import substituted


@dataclass(frozen=True, slots=True)
class Layout:
    """The axes of a derivative: those of the expression, then those of each variable; or the reverse.

    `by`: the variables, in order.
    """

    ranks: tuple[int, ...]
    denominator: bool = False
    by: tuple[str, ...] = ()

    def is_transposed(self, layout: str | None) -> bool:
        """Does the matrix form in `layout` show the two axes in the other order than the array?

        A scalar's derivative by a matrix has the matrix's shape in denominator layout.
        """
        parts = [rank for rank in self.ranks if rank]
        if layout is None or len(self.ranks) < 2:
            return False
        if parts == [2]:
            of_variable = self.ranks[0] == 0
            return of_variable == (layout == "numerator")
        return (layout == "denominator") != self.denominator

    def is_row(self, layout: str | None) -> bool:
        """Does the matrix form in `layout` show the one axis as a row?

        A gradient is a row in numerator layout, a column in denominator layout.
        """
        if layout is None or len(self.ranks) < 2:
            return False
        of_variable = self.ranks[0] == 0
        return of_variable == (layout == "numerator")


class Differentiable(Symbolic):
    """A term with names for its axes, and its derivatives."""

    __slots__ = ("_layout",)

    _layout: Layout

    def _with(
        self,
        term: Expr,
        indices: tuple[str, ...] | None = None,
        context: Context | None = None,
        layout: Layout | None = None,
    ) -> Self:
        raise NotImplementedError

    @property
    def variables(self) -> dict[str, Shape]:
        """The tensors of the program, with the extents of their axes.

        >>> import einderiv as ed
        >>> ed.parse("A[i,j]*x[j]").variables
        {'A': ('i', 'j'), 'x': ('j',)}
        """
        return {name: x.shape for name, x in self._context.variables.items()}

    # ------------------------------------------------------------ derivatives

    def diff(self, *variables: str, order: int = 1, layout: str = "numerator") -> Self:
        """The derivative by one variable, or by several one after the other; `order` repeats it.

        Axes: the expression's, then those of each variable in turn (layout="denominator": the last variable's
        first, the expression's last). `"th[d]"` names the new axes. Entries of a variable are independent,
        also those of a symmetric one.
        Raises DerivativeError: no such variable, index in use, a function without derivative.

        >>> import einderiv as ed
        >>> print(ed.parse("a[i]*X[i,j]*b[j]").diff("X[k,l]"))
        a[k]*b[l]
        """
        check_layout(layout)
        if not variables:
            raise DerivativeError(
                "no variable to differentiate by",
                facts=[f"the expression has {', '.join(self.variables) or 'no tensors'}"],
                hint="name one: e.diff('x')",
            )
        _check_order(order)
        result, groups = self, [self._indices]
        for text in variables:
            for repetition in range(order):  # the first one has the names that the text gives
                wanted = text if repetition == 0 else text.partition("[")[0]
                x, names = self._context.target(wanted, result._indices)
                result = result._differentiated(x, names)
                groups.append(names)
        if layout == "denominator":
            result = result._layout_reversed(groups)
        return result

    def _layout_reversed(self, groups: Sequence[tuple[str, ...]]) -> Self:
        names = tuple(name for group in reversed(groups) for name in group)
        axes = tuple(self._indices.index(name) for name in names)
        layout = Layout(self._layout.ranks, denominator=True, by=self._layout.by)
        return self._with(transpose(self._term, axes), names, layout=layout)

    def _differentiated(self, x: Variable, names: tuple[str, ...]) -> Self:
        (term,) = simplify([self._term])
        (result,) = simplify([gradient(term, [x])[x]])
        before = (term.rank,) if self._layout.denominator else self._layout.ranks
        layout = Layout((*before, x.rank), by=(*self._layout.by, x.name))
        return self._with(result, (*self._indices, *names), layout=layout)

    def grad(self, *variables: str) -> Any:
        """The gradient of a scalar: one Expression for one variable, a dict for several or none (all).

        Raises DerivativeError where the expression has axes.

        >>> import einderiv as ed
        >>> print(ed.parse("x[i]*x[i]").grad("x"))
        2*x[i]
        """
        self._check_scalar("gradient", f"e.jacobian({', '.join(map(repr, variables)) or '...'})")
        texts = variables or tuple(self._context.variables)
        wanted = [self._context.target(text, ()) for text in texts]
        (term,) = simplify([self._term])
        found = gradient(term, [x for x, _ in wanted])
        terms = simplify([found[x] for x, _ in wanted])
        results = [
            self._with(t, names, layout=Layout((0, t.rank), by=(x.name,)))
            for t, (x, names) in zip(terms, wanted, strict=True)
        ]
        if len(variables) == 1:
            return results[0]
        return dict(zip((x.name for x, _ in wanted), results, strict=True))

    def jacobian(self, variable: str, layout: str = "numerator") -> Self:
        """The derivative by one variable: the expression's axes, then the variable's."""
        return self.diff(variable, layout=layout)

    def hessian(self, variable: str, other: str | None = None) -> Self:
        """The second derivative of a scalar, by one variable twice or by two.

        >>> import einderiv as ed
        >>> print(ed.parse("x[i]*Q[i,j]*x[j]").hessian("x"))
        Q[i,j] + Q[j,i]
        """
        name = named(variable)
        self._check_scalar("Hessian", f"e.diff({name!r}, {(name if other is None else other)!r})")
        return self.diff(variable, name if other is None else other)

    def _check_scalar(self, what: str, instead: str) -> None:
        if self._term.shape:
            axes = ", ".join(self._indices)
            raise DerivativeError(
                f"the {what} of an expression with {axes_in_words(len(self._term.shape))}",
                facts=[f"a {what} belongs to a scalar, the axes here are {axes}"],
                hint=f"use {instead}, or sum the expression: sum[{axes.replace(' ', '')}](...)",
            )

    def jvp(self, tangents: Mapping[str, str]) -> Self:
        """The directional derivative; `{"X": "V"}` moves X along a new tensor V of its shape.

        >>> import einderiv as ed
        >>> print(ed.parse("x[i]*x[i]").jvp({"x": "v"}))
        2*v[i]*x[i]
        """
        if not isinstance(tangents, Mapping):
            raise DerivativeError(
                f"{tangents!r} gives no directions",
                facts=["each variable that moves is given with the name of its direction"],
                hint="pass a dict: e.jvp({'x': 'v'})",
            )
        moving, context = {}, self._context
        for name, direction in tangents.items():
            x = self._context.variable(named(name))
            moving[x], context = context.with_tensor(direction, x.shape)
        (term,) = simplify([self._term])
        (result,) = simplify(pushforward([term], moving))
        return self._with(result, self._indices, context)

    def vjp(self, variable: str, cotangent: str) -> Self:
        """The derivative contracted with a new tensor of this expression's shape.

        >>> import einderiv as ed
        >>> print(ed.parse("y[i] = A[i,j]*x[j]").vjp("x", cotangent="g"))
        A[i,j]*g[i]
        """
        x, names = self._context.target(variable, ())
        g, context = self._context.with_tensor(cotangent, self._term.shape)
        (term,) = simplify([self._term])
        (result,) = simplify([sweep(term, [x], g, 0)[x]])
        return self._with(result, names, context, Layout((0, x.rank)))

    def hvp(self, variable: str, vector: str) -> Self:
        """The Hessian of a scalar times a new tensor of the variable's shape, without the Hessian."""
        name = named(variable)
        result: Self = self.grad(variable).jvp({name: vector})
        return result

    def laplacian(self, variable: str) -> Self:
        """The sum of the second derivatives by each entry of a variable.

        >>> import einderiv as ed
        >>> print(ed.parse("x : (n); c*x[i]*x[i]").laplacian("x"))
        x : (n,)
        2*n*c
        """
        x, _ = self._context.target(variable, ())
        second = self.diff(x.name, order=2)
        labels = tuple(range(self._term.rank))
        own = tuple(range(self._term.rank, self._term.rank + x.rank))
        (result,) = simplify([contract([second._term], [(*labels, *own, *own)], labels)])
        return self._with(result)

    def taylor(self, variable: str, at: str, order: int = 2) -> Self:
        """The Taylor polynomial in `variable` around the new tensor `at`.

        >>> import einderiv as ed
        >>> print(ed.parse("exp(x)").taylor("x", at="x0", order=1))
        exp(x0)*(x - x0) + exp(x0)
        """
        _check_order(order)
        x, _ = self._context.target(variable, ())
        point, context = self._context.with_tensor(at, x.shape)
        step = add([(1, x), (-1, point)], x.shape)
        labels = tuple(range(self._term.rank))
        terms: list[tuple[Fraction, Expr]] = []
        current, factorial = self, 1
        for k in range(order + 1):
            if k:
                current, factorial = current.diff(x.name), factorial * k
            start = len(labels)
            slots = [tuple(range(start + j * x.rank, start + (j + 1) * x.rank)) for j in range(k)]
            inner = substituted([current._term], {x: point})[0]
            axes = (*labels, *(label for slot in slots for label in slot))
            product = contract([inner, *[step] * k], [axes, *slots], labels)
            terms.append((Fraction(1, factorial), simplify([product])[0]))
        result = add(terms, self._term.shape)  # constant, linear, quadratic terms stay apart
        return self._with(result, self._indices, context)

    def differential(self, variable: str) -> Self:
        """The differential: the derivative contracted with `d<variable>`.

        >>> import einderiv as ed
        >>> print(ed.parse("a[i]*X[i,j]*b[j]").differential("X"))
        a[i]*dX[i,j]*b[j]
        """
        name = named(variable)
        return self.jvp({name: f"d{name}"})


def check_layout(layout: str) -> None:
    if layout not in ("numerator", "denominator"):
        raise DerivativeError(
            f"unknown layout {layout!r}",
            facts=["known are 'numerator' (the expression's axes first) and 'denominator' (last)"],
            hint="leave it out for 'numerator'",
        )


def _check_order(order: int) -> None:
    if isinstance(order, bool) or not isinstance(order, int) or order < 0:
        raise DerivativeError(
            f"the order {order!r} is no whole number of 0 or more",
            facts=["the order says how often the derivative is taken"],
            hint="write for example order=2",
        )
