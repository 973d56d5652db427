"""The user's Expression: a term with the names of its axes and the tensors of its program.

In: texts, names, arrays. Out: Expressions, texts, pictures and arrays.
Invariant: it is immutable, hashable, picklable; methods call the rooms below and add only names and checks.
How the axes of a derivative came about is kept, so that a matrix form can lay them out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

from ..calculus import (
    declared_everywhere,
    expand,
    gradient,
    pushforward,
    same_up_to_extents,
    simplify,
    sweep,
    with_assumptions,
)
from ..derivations import Derivation, Question
from ..errors import DerivativeError, DimensionError, NotationError, axes_in_words
from ..notations import Context, Text, complaints, meaning_of, variable_name
from ..printers import (
    EinsumText,
    Origin,
    Picture,
    Spy,
    expression_html,
    function_code,
    matrix_text_of,
    nearest_form,
    not_matrix_form,
    picture_of,
    row_axes,
    to_einsum,
    to_latex,
    to_text,
    unparse,
)
from ..programs import Executable
from ..terms import (
    Dim,
    Expr,
    Shape,
    Variable,
    add,
    contract,
    dump,
    load,
    substitute_terms,
    transpose,
    unite,
)
from .symbols import PythonOperators, symbol_of


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
        if [rank for rank in self.ranks if rank] == [2]:
            return self.is_row(layout)
        one_way = layout is None or len(self.ranks) < 2
        return not one_way and (layout == "denominator") != self.denominator

    def is_row(self, layout: str | None) -> bool:
        """Does the matrix form in `layout` show the one axis as a row?

        A gradient is a row in numerator layout, a column in denominator layout.
        """
        of_variable = self.ranks[0] == 0
        return layout is not None and len(self.ranks) > 1 and of_variable == (layout == "numerator")


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


def derivatives(term: Expr, variables: Sequence[Variable]) -> list[Expr]:
    """The derivatives of a term by each variable, simplified."""
    (simple,) = simplify([term])
    found = gradient(simple, variables)
    return simplify([found[x] for x in variables])


def parse(
    text: str,
    notation: str = "index",
    *,
    operands: Sequence[str] | None = None,
    shapes: Mapping[str, Sequence[Dim]] | None = None,
    assume: Mapping[str, Iterable[str]] | None = None,
) -> Expression:
    """The expression that a text means.

    `shapes` declares tensors (`{"X": ("n", "d"), "th": ("d",)}`, names or numbers), `assume` assumptions
    (`{"Q": "symmetric"}`; symmetric, spd, positive, nonnegative). Both belong to the program whether the
    text mentions them or not. Raises NotationError or DimensionError with the place.

    >>> print(parse("x[i]*Q[i,j]*x[j]").grad("x[d]"))
    (Q[d,i] + Q[i,d])*x[i]
    """
    return Expression(*meaning_of(text, notation, operands, shapes, assume))


class Expression(PythonOperators):
    """A tensor expression: immutable, callable on arrays, differentiable.

    `indices` names the axes, `shape` gives their extents, `variables` those of every tensor.
    """

    __slots__ = ("_executable", "_layout", "_shown", "_tree")

    def __init__(
        self,
        term: Expr,
        indices: tuple[str, ...],
        context: Context,
        layout: Layout | None = None,
    ) -> None:
        self._term = term
        self._indices = indices
        self._context = context
        self._layout = layout or Layout((term.rank,))
        self._shown: Expr | None = None
        self._executable: Executable | None = None
        self._tree: Text | None = None

    # ------------------------------------------------------------ facts

    @property
    def indices(self) -> tuple[str, ...]:
        """Names of the axes.

        >>> parse("y[i] = A[i,j]*x[j]").indices
        ('i',)
        """
        return self._indices

    @property
    def variables(self) -> dict[str, Shape]:
        """The tensors of the program, with the extents of their axes.

        >>> import einderiv as ed
        >>> ed.parse("A[i,j]*x[j]").variables
        {'A': ('i', 'j'), 'x': ('j',)}
        """
        return {name: x.shape for name, x in self._context.variables.items()}

    @property
    def term(self) -> Expr:
        """The term, with the assumptions applied."""
        if self._shown is None:
            self._shown = with_assumptions(self._term, self._context.assumptions)
        return self._shown

    def __eq__(self, other: object) -> bool:
        """The same term, up to the names of indices and of extents."""
        compared = self._compare(other, "equal")
        if compared is not None:
            return compared  # type: ignore[no-any-return]
        if not isinstance(other, Expression):
            return NotImplemented
        return same_up_to_extents(self.term, other.term)

    def __ne__(self, other: object) -> bool:
        """The opposite; for the arrays of a traced function entry by entry."""
        compared = self._compare(other, "not_equal")
        return not self == other if compared is None else compared

    def __hash__(self) -> int:
        return hash(declared_everywhere(self.term).digest)

    def __getstate__(self) -> tuple[Any, ...]:
        context = self._context
        data = dump([self._term, *context.variables.values(), *context.definitions])
        names = tuple(context.variables), tuple(context.definitions.values())
        rest = replace(context, variables={}, definitions={})
        return data, names, self._indices, rest, self._layout

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        data, names, indices, rest, layout = state
        term, *others = load(data)
        variables: dict[str, Any] = dict(zip(names[0], others, strict=False))
        definitions = dict(zip(others[len(variables) :], names[1], strict=True))
        context = replace(rest, variables=variables, definitions=definitions)
        Expression.__init__(self, term, indices, context, layout)

    # ------------------------------------------------------------ printing

    def __str__(self) -> str:
        """Index notation that `parse` reads back to an equal expression."""
        return to_text(self._surface_tree())

    def _surface_tree(self) -> Text:
        """Index notation as a tree, made once for all that print it."""
        if self._tree is None:
            self._tree = unparse(self.term, self._indices, self._context)
        return self._tree

    def __repr__(self) -> str:
        axes = ", ".join(f"{i}: {dim}" for i, dim in zip(self._indices, self.shape, strict=True))
        return f"<Expression [{axes}] {self}>"

    def latex(self) -> str:
        """LaTeX in the subset that KaTeX and MathJax share, without dollar signs.

        >>> print(parse("A[i,j]*x[j]").latex())
        A_{ij} x_{j}
        """
        return to_latex(self._surface_tree())

    def matrix(self, layout: str | None = None, *, declarations: bool = False) -> str:
        """Matrix notation that `parse(..., notation="matrix", shapes=e.variables)` reads back.

        A vector is a column, a matrix has its first axis as rows. `layout` lays a derivative out as the field
        does: a gradient is a row in "numerator" layout and a column in "denominator" layout, and a scalar's
        derivative by a matrix has the matrix's shape in the latter. `declarations=True` puts a declaration
        of every tensor in front, so that the text can be read alone.
        Raises NotMatrixFormError naming the part that has no such form, with the nearest one.

        >>> g = parse("x[i]*Q[i,j]*x[j]").grad("x")
        >>> g.matrix(), g.matrix(layout="numerator")
        ("(Q + Q')*x", "x'*(Q + Q')")
        """
        if layout is not None:
            check_layout(layout)
        hints = self._context
        if self.term.rank > 2:
            rows = next((rank for rank in self._layout.ranks if rank), 2)
            form = nearest_form(self.term, rows, hints)
            nearest = (
                f"nearest, with the columns of matrices stacked by vec: {form}" if form else ""
            )
            if "K(" in form:
                nearest += ", where K(p, q)*vec(X) = vec(X') for p rows and q columns"
            raise not_matrix_form(self.term, hints, self.term, self._indices, nearest)
        text = matrix_text_of(
            self.term,
            hints,
            row=self._layout.is_row(layout),
            transposed=self._layout.is_transposed(layout),
            declared=declarations,
        )
        return to_text(text)

    def einsum(self) -> EinsumText:
        """The einsum string of an expression that is one contraction: `.subscripts`, `.operands`, `.factor`.

        Raises NotationError naming the part that is not a tensor.

        >>> print(parse("2*A[i,j]*x[j]").einsum())
        2*einsum("ij,j->i", A, x)
        """
        return to_einsum(self.term, self._indices, self._context)

    def code(
        self, target: str = "numpy", name: str = "f", with_grad: bool | str | Sequence[str] = False
    ) -> str:
        """A standalone function in NumPy, PyTorch or JAX ("numpy", "torch", "jax") as text.

        It needs nothing but the target's library. `with_grad`: return the value and the gradient by a tensor;
        by a list of them, or all (True), as a dict.

        >>> print(parse("x[i]*Q[i,j]*x[j]").grad("x").code().splitlines()[-1].strip())
        return (Q + Q.T) @ x
        """
        layout = self._layout
        origin = Origin(len(layout.ranks) - 1, layout.by, denominator=layout.denominator)
        hints = self._context
        return function_code(self, hints, target, name, with_grad, origin)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _repr_html_(self) -> str:
        return expression_html(self.latex(), str(self))

    def draw(self, kind: str | None = None) -> Picture:
        """A picture: `kind` "network" (tensors, joined by summed indices) or "graph" (operations).

        By default a product of tensors is a network. `.dot` is Graphviz text; `.svg()`, `.png()` and a
        notebook's display need `pip install "einderiv[plot]"`.

        >>> parse("A[i,j]*x[j]").draw()
        <Picture network: 3 nodes, 2 edges; .dot .svg() .png() .save(path)>
        """
        return picture_of(self.term, self._indices, self._context, str(self), kind)

    def spy(self, sizes: Mapping[str, int] | None = None, rows: int | None = None) -> Spy:
        """Where a derivative can be other than zero, as a matrix; known from its deltas, not evaluated.

        Rows are the expression's axes, columns the variable's (`rows`: how many axes are rows); drawn for
        `sizes`, else for small ones. `print` shows it in a terminal.

        >>> parse("Y[i,p] = X[i,j]*B[j,p]").diff("X").spy().description
        '4 blocks of 3 x 5 on the diagonal (i = k), all equal'
        """
        layout, rank = self._layout, self.term.rank
        rows = row_axes(layout.ranks, rank, rows, layout.denominator)
        return Spy(self.term, self._indices, self._context, rows, sizes)

    # ------------------------------------------------------------ evaluating

    def __call__(
        self,
        arrays: Mapping[str, Any] | None = None,
        /,
        *,
        sizes: Mapping[str, int] | None = None,
        **more: Any,
    ) -> Any:
        """The value for arrays by name; `sizes` gives extents that no array tells.

        Arrays of the whole program are accepted, whether this expression still depends on them or not.
        Errors: DataError (kind, dtype, missing or unknown name), DimensionError (rank, extent).

        >>> float(parse("x[i]*x[i]")(x=[1, 2, 3]))
        14.0
        """
        if self._executable is None:
            self._executable = Executable([self.term], None, self._context.variables)
        return self._executable(*(() if arrays is None else (arrays,)), sizes=sizes, **more)

    def _with(
        self,
        term: Expr,
        indices: tuple[str, ...] | None = None,
        context: Context | None = None,
        layout: Layout | None = None,
    ) -> Self:
        if indices is None:
            indices, layout = self._indices, layout or self._layout
        return type(self)(term, indices, self._context if context is None else context, layout)

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
                (term,) = derivatives(result._term, [x])
                before = result._layout
                ranks = (result._term.rank,) if before.denominator else before.ranks
                axes = Layout((*ranks, x.rank), by=(*before.by, x.name))
                result = result._with(term, (*result._indices, *names), layout=axes)
                groups.append(names)
        if layout == "numerator":
            return result
        names = tuple(name for group in reversed(groups) for name in group)
        term = transpose(result._term, tuple(map(result._indices.index, names)))
        return result._with(term, names, layout=replace(result._layout, denominator=True))

    def grad(self, *variables: str) -> Any:
        """The gradient of a scalar: one Expression for one variable, a dict for several or none (all).

        Raises DerivativeError if the expression has axes.

        >>> import einderiv as ed
        >>> print(ed.parse("x[i]*x[i]").grad("x"))
        2*x[i]
        """
        self._check_scalar("gradient", f"e.jacobian({', '.join(map(repr, variables)) or '...'})")
        texts = variables or tuple(self._context.variables)
        wanted = [self._context.target(text, ()) for text in texts]
        terms = derivatives(self._term, [x for x, _ in wanted])
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
        name = variable_name(variable)
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
            x = self._context.variable(variable_name(name))
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
        name = variable_name(variable)
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
            inner = substitute_terms([current._term], {x: point})[0]
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
        name = variable_name(variable)
        return self.jvp({name: f"d{name}"})

    # ------------------------------------------------------------ algebra

    def simplify(self) -> Expression:
        """Products and sums flattened, like terms and common factors collected, stable forms chosen.

        >>> print(parse("log(1 + exp(x))").simplify())
        softplus(x)
        """
        return self._with(simplify([self._term])[0])

    def expand(self) -> Expression:
        """Products multiplied out.

        >>> print(parse("(a + b)*(a - b)").expand())
        a^2 - b^2
        """
        return self._with(expand([self._term])[0])

    def explain(self, wrt: str, *, method: str = "index", layout: str = "numerator") -> Derivation:
        """Why the derivative by `wrt` is what it is: steps, each with its rule and checked to be an equality.

        Methods: "index" (product and chain rule with Kronecker deltas), "differential" (dF as a trace),
        "adjoint" (forward values, then adjoints backwards). `print` shows a ladder, a notebook formulas.

        >>> d = parse("y[i] = A[i,j]*x[j]").explain("x[k]")
        >>> [step.rule for step in d.steps[-2:]]
        ['deltas contracted', 'matrix form']
        """
        from ..derivations import derive, with_unused_letters

        wrt = with_unused_letters(wrt, self._context, self._indices)
        answer = self.diff(wrt, layout=layout)
        x, names = self._context.target(wrt, self._indices)
        given = (self._term, self._indices, x, names, self._context)
        return derive(Question(self, *given, answer, layout), method)

    def substitute(
        self, expressions: Mapping[str, str | Expression] | None = None, /, **more: str | Expression
    ) -> Expression:
        """Tensors replaced by expressions; texts read the other tensors with the ranks they have here.

        A replacement's indices are the tensor's axes in order. All are replaced at once; tensors of
        one name are one, inside and outside.

        >>> print(parse("X[a,b]*th[b]").substitute(th="A[b,k]*u[k]"))
        X[a,b]*(A[b,k]*u[k])
        """
        context = self._context
        programs = [(self._term, context.variables)]
        same, targets = [], []
        for name, replacement in {**(expressions or {}), **more}.items():
            x = context.variable(variable_name(name))
            if not isinstance(replacement, str | Expression):
                raise NotationError(
                    f"the replacement of {name} is no expression",
                    facts=[f"it is of type {type(replacement).__name__}"],
                    hint="pass a text or an Expression",
                )
            if isinstance(replacement, str):
                words = set(re.findall(r"[^\W\d]\w*", replacement))
                shapes = {n: v.shape for n, v in context.variables.items() if n in words}
                replacement = parse(replacement, shapes=shapes)
            if replacement._term.rank != x.rank:
                raise DimensionError(
                    f"{name} has {axes_in_words(x.rank)}, "
                    f"its replacement has {axes_in_words(replacement._term.rank)}",
                    hint=f"write {name} with {axes_in_words(x.rank)} free",
                )
            number = len(programs)
            programs.append((replacement._term, replacement._context.variables))
            same += [((0, a), (number, b)) for a, b in zip(x.shape, replacement.shape, strict=True)]
            inner = replacement._context
            targets.append(name)
            context = replace(
                context,
                assumptions={**inner.assumptions, **context.assumptions},
                letters={**inner.letters, **context.letters},
                declared=context.declared | inner.declared,
            )
        (term, *replacements), variables = unite(programs, same)
        places: dict[Expr, Expr] = {
            variables[name]: new for name, new in zip(targets, replacements, strict=True)
        }
        (result,) = substitute_terms([term], places)
        mentioned = {n for _, own in programs[1:] for n in own}
        left = {n: x for n, x in variables.items() if n not in targets or n in mentioned}
        return self._with(result, context=replace(context, variables=left))


def symbol(x: Variable, context: Context) -> Any:
    """A tensor as a symbol."""
    return symbol_of(Expression(x, ("",) * x.rank, context), x)


# ---------------------------------------------------------------- symbols by name

_TENSOR = re.compile(r"\s*([^\W\d]\w*)\s*(?:\[([^\[\]]*)\])?\s*[,;]?")


def tensors(
    names: str, *, assume: Mapping[str, Iterable[str]] | None = None
) -> tuple[Expression, ...]:
    """Symbols for tensors, each with the extents of its axes: names or numbers; a name alone is a scalar.

    They work as NumPy arrays do in expressions and in NumPy's functions, and nothing is evaluated:
    the result is an expression. `assume` gives assumptions by name (`{"Q": "symmetric"}`).
    Raises NotationError if the names cannot be read.

    >>> X, th, Y = tensors("X[n,d] th[d] Y[n]")
    >>> r = X @ th - Y
    >>> J = (r*r).sum()/r.shape[0]
    >>> J.grad("th").matrix()
    "2/n*X'*(X*th - Y)"
    """
    given = _read(names)
    complaints.check_names(assume or {}, "assume={'Q': 'symmetric'}")
    unknown = [name for name in assume or {} if name not in given]
    if unknown:
        raise NotationError(
            f"{unknown[0]} has assumptions and is no tensor here",
            facts=[f"the tensors are {', '.join(given)}"],
            hint="name it among the tensors, or drop the assumption",
        )
    found = []
    for name, axes in given.items():
        x, words = Variable(name, axes), complaints.assumptions((assume or {}).get(name, ()))
        facts = {name: frozenset(words)} if words else {}
        declared = frozenset(dim for dim in axes if isinstance(dim, str))
        found.append(symbol(x, Context({name: x}, facts, declared=declared)))
    return tuple(found)


def tensor(name: str, *, assume: str | Iterable[str] = ()) -> Expression:
    """A symbol for one tensor.

    >>> tensor("Y[n]").shape
    ('n',)
    """
    given = _read(name)
    if len(given) != 1:
        raise NotationError(
            f"{name!r} names {len(given)} tensors",
            facts=["one is wanted"],
            hint="use ed.tensors for several",
        )
    (only,), words = given, (assume,) if isinstance(assume, str) else assume
    return tensors(name, assume={only: words})[0]


def _read(text: str) -> dict[str, tuple[Dim, ...]]:
    if not isinstance(text, str):
        raise NotationError(
            f"{text!r} names no tensors",
            facts=["the tensors are given in a text"],
            hint="write ed.tensors('X[n,d] th[d] c')",
        )
    found: dict[str, tuple[Dim, ...]] = {}
    at = 0
    while text[at:].strip():
        match = _TENSOR.match(text, at)
        if match is None:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            raise NotationError(
                "no tensor can be read here",
                source=text,
                spans=[(place, place + 1)],
                facts=["a tensor is a name, then the extents of its axes in brackets"],
                hint="write for example 'X[n,d] th[d] c'",
            )
        name, inside = match[1], match[2]
        words = [word.strip() for word in inside.split(",")] if (inside or "").strip() else []
        for word in words:
            if not word.isidentifier() and not word.isdecimal():
                raise NotationError(
                    f"{word!r} is no extent of {name}",
                    source=text,
                    spans=[match.span(2)],
                    facts=["an extent is a name or a whole number"],
                    hint=f"write for example {name}[n,3]",
                )
        axes = tuple(int(word) if word.isdecimal() else word for word in words)
        if found.setdefault(name, axes) != axes:
            raise NotationError(
                f"{name} has two shapes",
                source=text,
                spans=[match.span(1)],
                facts=[f"({', '.join(map(str, found[name]))}) and ({', '.join(map(str, axes))})"],
                hint="give one of them another name",
            )
        at = match.end()
    if not found:
        raise NotationError("no tensor is named", hint="write for example 'X[n,d] th[d] c'")
    return found
