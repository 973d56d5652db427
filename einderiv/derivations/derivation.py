"""A derivation: the question, the steps, the engine's answer.

In: a question (`Expression.explain` makes it), steps of a method. Out: text, LaTeX, HTML.
Invariant: the last step's `after` is the engine's derivative, the term of `result`.
How it looks is in `printers/derivations.py` (a ladder), `derivations_latex.py`, `derivations_html.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..notations import Context
from ..terms import Expr, Variable
from .records import Line, Step


class Shown(Protocol):
    """What a derivation needs of the user's Expression."""

    @property
    def term(self) -> Expr: ...

    @property
    def indices(self) -> tuple[str, ...]: ...

    def latex(self) -> str: ...

    def matrix(self, layout: str | None = None) -> str: ...


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A term at index names, and the variable to differentiate it by at its own names.

    `term` has no assumptions applied (the engine differentiates before it assumes, see assumptions.py);
    `answer` is `expression.diff(...)`, whose axes are in the order that `layout` asks for.
    """

    expression: Shown
    term: Expr
    indices: tuple[str, ...]
    variable: Variable
    names: tuple[str, ...]
    context: Context
    answer: Shown
    layout: str

    @property
    def wanted(self) -> str:
        """The variable as it would be written: `th[d]`."""
        return self.variable.name + (f"[{','.join(self.names)}]" if self.names else "")


@dataclass(frozen=True, slots=True, eq=False)
class Derivation:
    """The steps from an expression to its derivative.

    `method` is "index", "differential" or "adjoint"; `title` what is derived (`∂J/∂th[d]`); `note` names
    the layout of the result. In a notebook it shows itself; `print` shows a ladder.
    """

    method: str
    expression: Shown
    variable: str
    steps: tuple[Step, ...]
    result: Shown
    note: str = ""
    title: Line = field(default_factory=lambda: Line(""))
    given: tuple[tuple[Line, Line], ...] = ()  # left and right sides: the expression, definitions
    headings: tuple[str, str] | None = None  # of what is given and of the steps

    def __str__(self) -> str:
        from .showing import to_ladder

        return to_ladder(self.title, self.given, self.steps, self.note)

    def __repr__(self) -> str:
        return f"<Derivation of {self.title} by the {self.method} method, {len(self.steps)} steps>"

    def latex(self) -> str:
        """One `aligned` block that KaTeX and MathJax accept, without dollar signs."""
        from .showing import to_aligned

        return to_aligned(self.title, self.given, self.steps, self.note, self.headings)

    def html(self) -> str:
        """A fragment that stands alone: no scripts, folded steps in `<details>`."""
        from .showing import to_html

        return to_html(self.title, self.given, self.steps, self.note, self.headings)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {
            "text/plain": str(self),
            "text/latex": self._repr_latex_(),
            "text/html": self.html(),
        }


Method = Callable[[Question], Derivation]
