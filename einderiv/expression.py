"""The user's Expression: a term with the names of its axes and the tensors of its program.

In: texts, names, arrays. Out: Expressions and arrays.
Invariant: immutable, hashable, picklable; every method calls the layers below and adds only names and checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from .assumptions import declared_everywhere, same_up_to_extents, with_assumptions
from .context import Context, named
from .differentiable import Differentiable, Layout, check_layout
from .errors import DimensionError, NotationError, axes_in_words
from .executable import Executable
from .explainer.derivation import Derivation, Question
from .expr import Dim, Expr, Shape
from .flat import dump, load
from .notation.elaborator import Meaning
from .notation.python import PythonOperators
from .pictures.picture import Picture
from .pictures.spy import Spy, row_axes
from .pictures.views import expression_html, picture_of
from .printers.code_function import Origin, function_code
from .printers.einsum import EinsumText, to_einsum
from .printers.latex import to_latex
from .printers.matrix import matrix_text_of, not_matrix_form
from .printers.matrix_text import to_matrix_text
from .printers.text import to_text
from .printers.unparse import unparse
from .printers.vec import nearest_form
from .reading import meaning_of
from .simplifier import expand, simplify
from .substitution import substituted
from .uniting import united


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
    return _of_meaning(meaning_of(text, notation, operands, shapes, assume))


def _of_meaning(meaning: Meaning) -> Expression:
    context = Context(
        meaning.variables,
        {name: words for name, words in meaning.assumptions.items() if words},
        meaning.letters,
        meaning.definitions,
        meaning.declared,
        meaning.name,
    )
    return Expression(meaning.term, meaning.indices, context)


class Expression(PythonOperators, Differentiable):
    """A tensor expression: immutable, callable on arrays, differentiable.

    `indices` names the axes, `shape` gives their extents, `variables` those of every tensor.
    """

    __slots__ = ("_executable", "_shown")

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

    # ------------------------------------------------------------ facts

    @property
    def indices(self) -> tuple[str, ...]:
        """Names of the axes.

        >>> parse("y[i] = A[i,j]*x[j]").indices
        ('i',)
        """
        return self._indices

    @property
    def term(self) -> Expr:
        """The term, with the assumptions applied."""
        if self._shown is None:
            self._shown = with_assumptions(self._term, self._context.assumptions)
        return self._shown

    def __eq__(self, other: object) -> bool:
        """The same term, up to the names of indices and of extents."""
        compared = self._compared(other, "equal")
        if compared is not None:
            return compared  # type: ignore[no-any-return]
        if not isinstance(other, Expression):
            return NotImplemented
        return same_up_to_extents(self.term, other.term)

    def __ne__(self, other: object) -> bool:
        """The opposite; for the arrays of a traced function entry by entry."""
        compared = self._compared(other, "not_equal")
        return not self == other if compared is None else compared

    def __hash__(self) -> int:
        return hash(declared_everywhere(self.term).digest)

    def __reduce__(self) -> tuple[Any, ...]:
        extra = [*self._context.variables.values(), *self._context.definitions]
        data = dump([self._term, *extra])
        context = self._context
        rest = (
            tuple(context.variables),
            tuple(context.definitions.values()),
            dict(context.assumptions),
            dict(context.letters),
            context.declared,
            context.name,
        )
        return _restored, (data, self._indices, rest, self._layout)

    # ------------------------------------------------------------ printing

    def __str__(self) -> str:
        """Index notation that `parse` reads back to an equal expression."""
        return to_text(unparse(self.term, self._indices, self._context.hints()))

    def __repr__(self) -> str:
        axes = ", ".join(f"{i}: {dim}" for i, dim in zip(self._indices, self.shape, strict=True))
        return f"<Expression [{axes}] {self}>"

    def latex(self) -> str:
        """LaTeX in the subset that KaTeX and MathJax share, without dollar signs.

        >>> print(parse("A[i,j]*x[j]").latex())
        A_{ij} x_{j}
        """
        return to_latex(unparse(self.term, self._indices, self._context.hints()))

    def matrix(self, layout: str | None = None, *, declarations: bool = False) -> str:
        """Matrix notation that `parse(..., notation="matrix", shapes=e.variables)` reads back.

        A vector is a column, a matrix has its first axis as rows. `layout` lays a derivative out as the field
        does: a gradient is a row in "numerator" layout and a column in "denominator" layout, and a scalar's
        derivative by a matrix has the matrix's shape in the latter. `declarations=True` puts a declaration
        of every tensor in front, so that the text stands alone.
        Raises NotMatrixFormError naming the part that has no such form, with the nearest one.

        >>> g = parse("x[i]*Q[i,j]*x[j]").grad("x")
        >>> g.matrix(), g.matrix(layout="numerator")
        ("(Q + Q')*x", "x'*(Q + Q')")
        """
        if layout is not None:
            check_layout(layout)
        hints = self._context.hints()
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
        return to_matrix_text(text)

    def einsum(self) -> EinsumText:
        """The einsum string of an expression that is one contraction: `.subscripts`, `.operands`, `.factor`.

        Raises NotationError naming the part that is no tensor.

        >>> print(parse("2*A[i,j]*x[j]").einsum())
        2*einsum("ij,j->i", A, x)
        """
        return to_einsum(self.term, self._indices, self._context.hints())

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
        hints = self._context.hints()
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
        return picture_of(self.term, self._indices, self._context.hints(), str(self), kind)

    def spy(self, sizes: Mapping[str, int] | None = None, rows: int | None = None) -> Spy:
        """Where a derivative can be other than zero, as a matrix; known from its deltas, not evaluated.

        Rows are the expression's axes, columns the variable's (`rows`: how many axes are rows); drawn for
        `sizes`, else for small ones. `print` shows it in a terminal.

        >>> parse("Y[i,p] = X[i,j]*B[j,p]").diff("X").spy().description
        '4 blocks of 3 x 5 on the diagonal (i = k), all equal'
        """
        layout, rank = self._layout, self.term.rank
        rows = row_axes(layout.ranks, rank, rows, layout.denominator)
        return Spy(self.term, self._indices, self._context.hints(), rows, sizes)

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
        if arrays is None:
            return self._executable(sizes=sizes, **more)
        return self._executable(arrays, sizes=sizes, **more)

    # ------------------------------------------------------------ algebra

    def _with(
        self,
        term: Expr,
        indices: tuple[str, ...] | None = None,
        context: Context | None = None,
        layout: Layout | None = None,
    ) -> Self:
        if layout is None and indices is None:
            layout = self._layout
        indices = self._indices if indices is None else indices
        return type(self)(term, indices, self._context if context is None else context, layout)

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
        from .explainer.methods import explained, named_apart  # importing einderiv stays quick

        wrt = named_apart(wrt, self._context, self._indices)
        answer = self.diff(wrt, layout=layout)
        x, names = self._context.target(wrt, self._indices)
        given = (self._term, self._indices, x, names, self._context)
        return explained(Question(self, *given, answer, layout), method)

    def substitute(
        self, expressions: Mapping[str, str | Expression] | None = None, /, **more: str | Expression
    ) -> Expression:
        """Tensors replaced by expressions; texts read the other tensors with the ranks they have here.

        A replacement's indices stand for the tensor's axes in order.

        >>> print(parse("X[a,b]*th[b]").substitute(th="A[b,k]*u[k]"))
        X[a,b]*(A[b,k]*u[k])
        """
        given = {**(expressions or {}), **more}
        return _substituted(self, given)


def _substituted(expr: Expression, given: Mapping[str, str | Expression]) -> Expression:
    """Each named tensor replaced, all at once; tensors of one name are one, inside and outside."""
    context = expr._context
    programs = [(expr._term, context.variables)]
    same = []
    targets = []
    for name, text in given.items():
        x = context.variable(named(name))
        if not isinstance(text, str | Expression):
            raise NotationError(
                f"the replacement of {name} is no expression",
                facts=[f"it is of type {type(text).__name__}"],
                hint="pass a text or an Expression",
            )
        shapes = {n: v.shape for n, v in context.variables.items()}
        replacement = (
            parse(text, shapes=_mentioned(text, shapes)) if isinstance(text, str) else text
        )
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
    (term, *replacements), variables = united(programs, same)
    places: dict[Expr, Expr] = {
        variables[name]: new for name, new in zip(targets, replacements, strict=True)
    }
    (result,) = substituted([term], places)
    mentioned = {n for _, own in programs[1:] for n in own}
    left = {n: x for n, x in variables.items() if n not in targets or n in mentioned}
    return Expression(result, expr._indices, replace(context, variables=left), expr._layout)


def _mentioned(text: str, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The tensors of `shapes` that a text names."""
    words = set(re.findall(r"[^\W\d]\w*", text))
    return {name: shape for name, shape in shapes.items() if name in words}


def _restored(
    data: Any, indices: tuple[str, ...], rest: tuple[Any, ...], layout: Layout
) -> Expression:
    names, definition_names, assumptions, letters, declared, name = rest
    term, *others = load(data)
    variables = dict(zip(names, others, strict=False))
    definitions = dict(zip(others[len(names) :], definition_names, strict=True))
    context = Context(variables, assumptions, letters, definitions, declared, name)
    return Expression(term, indices, context, layout)
