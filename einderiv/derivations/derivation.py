r"""A derivation: the question, the steps, the engine's answer; it shows itself as text, LaTeX and HTML.

In: the steps of a method. Out: a ladder of text, a table of adjoints, one `aligned` block, or a fragment of
HTML that needs nothing else.
Invariant: the last step's `after` is the engine's derivative, the term of `result`. LaTeX and HTML have every
text of a user's escaped; LaTeX is what KaTeX and MathJax accept, without dollar signs. In HTML each formula
occurs twice, as index notation and as LaTeX between `\(` and `\)`: if MathJax or KaTeX typesets the LaTeX
(notebooks do), the style sheet shows the formula, else the index notation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from ..notations import Context
from ..printers import break_line, name_latex
from ..terms import Expr, Variable
from .records import Line, Step, all_steps

_WIDTH = 100  # columns
_GAP = 3
_RULES = 48  # columns at most before the rules of a table
MACRON = "\u0304"

Row = tuple[Sequence[str], str]  # lines that belong together, the reason beside or above them


class Shown(Protocol):
    """What a derivation needs of the user's Expression."""

    @property
    def term(self) -> Expr: ...

    @property
    def indices(self) -> tuple[str, ...]: ...

    def latex(self) -> str: ...


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A term at index names, and the variable to differentiate it by at its own names.

    `term` has no assumptions applied (the engine differentiates before it assumes);
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


@dataclass(frozen=True, slots=True, eq=False)
class Derivation:
    """The steps from an expression to its derivative.

    `method` is "index", "differential" or "adjoint"; `title` what is derived (`∂J/∂th[d]`); `note` names
    the layout of the result. In a notebook it shows itself; `print` shows a ladder.
    """

    method: str
    question: Question
    title: Line
    given: tuple[tuple[Line, Line], ...]  # left and right sides: the expression, definitions
    steps: tuple[Step, ...]
    note: str
    headings: tuple[str, str] | None = None  # of what is given and of the steps, in a table

    @property
    def expression(self) -> Shown:
        return self.question.expression

    @property
    def variable(self) -> str:
        """As it is written: `th[d]`."""
        names = self.question.names
        return self.question.variable.name + (f"[{','.join(names)}]" if names else "")

    @property
    def result(self) -> Shown:
        return self.question.answer

    def __str__(self) -> str:
        return to_table(self) if self.headings else to_ladder(self)

    def __repr__(self) -> str:
        return f"<Derivation of {self.title} by the {self.method} method, {len(self.steps)} steps>"

    def latex(self) -> str:
        """One `aligned` block that KaTeX and MathJax accept, without dollar signs."""
        return to_aligned(self)

    def html(self) -> str:
        """A fragment that needs nothing else: no scripts, folded steps in `<details>`."""
        return to_html(self)

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


def _equations(steps: Sequence[Step], title: Line) -> Iterator[tuple[Line, Line, Step | None]]:
    """Left-hand and right-hand sides: a new left-hand side without a step, then what a step makes of it."""
    shown: str | None = None
    for step in steps:
        left = step.left or title
        if left.text != shown:
            yield left, step.before, None
            shown = left.text
        yield left, step.after, step


def _is_fold(step: Step) -> bool:
    """Does a step hold a chain of steps, rather than have parts?"""
    return bool(step.folded) and not step.law


def _reason(step: Step) -> str:
    shown = f"{step.rule}: {step.law}" if step.law else step.rule
    return shown + (f" [{len(step.folded)} steps folded]" if _is_fold(step) else "")


# ------------------------------------------------------------ text


def to_ladder(d: Derivation) -> str:
    """The given equations, then each left-hand side with its right-hand sides one below the other."""
    rows = [(_lines(f"{left} = ", right.text), "") for left, right in d.given]
    for left, right, step in _equations(d.steps, d.title):
        if step is None:
            rows += [([""], ""), (_lines(f"{left} = ", right.text), "")]
        else:
            rows.append((_lines(" " * (len(left.text) + 1) + "= ", right.text), _reason(step)))
    if d.note:
        rows += [([""], ""), *(([f"[{line}]"], "") for line in d.note.split("\n"))]
    return "\n".join(_with_reasons(rows))


def _lines(head: str, body: str) -> list[str]:
    """A statement, the lines of its right-hand side below each other."""
    width = _columns(head)
    lines = [part for line in body.split("\n") for part in break_line(line, _WIDTH - width)]
    return [head + lines[0], *(" " * width + line for line in lines[1:])]


def _with_reasons(rows: Sequence[Row]) -> Iterator[str]:
    """Reasons in one column if they fit, else on a line above."""
    single = [(len(lines[0]), why) for lines, why in rows if why and len(lines) == 1]
    column = max((n for n, why in single if n + len(why) < _WIDTH), default=0) + _GAP
    for lines, why in rows:
        first = lines[0]
        beside = len(lines) == 1 and len(first) + _GAP <= column
        if why and beside and column + len(why) <= _WIDTH + 8:
            yield f"{first:<{column}}{why}"
            continue
        if why:
            yield f"{' ' * (len(first) - len(first.lstrip()))}  ({why})"
        yield from (line.rstrip() for line in lines)


def to_table(d: Derivation) -> str:
    """Forward values downwards, adjoints downwards, each with its rule beside it."""
    assert d.headings is not None
    given = [(f"  {left}", right.text, "") for left, right in d.given]
    steps = [
        (f"  {step.left}", step.after.text, _reason(step))
        for step in all_steps(d.steps)
        if not step.folded
    ]
    left = min(max(_columns(head) for head, *_ in given + steps), _RULES // 2)
    lengths = [left + _columns(body) for _, body, _ in given + steps]
    column = max((n for n in lengths if n <= _RULES), default=left) + 2 * _GAP
    shown: list[str] = []
    for heading, rows in zip(d.headings, (given, steps), strict=True):
        shown.append(heading)
        for head, body, why in rows:
            first, *more = _lines(f"{head}{' ' * (left - _columns(head))} = ", body)
            beside = f"{first}{' ' * max(column - _columns(first), _GAP)}{why}"
            if why and (more or _columns(beside) > _WIDTH + 8):
                shown.append(f"{' ' * (left + 3)}({why})")
                beside = first
            shown += [line.rstrip() for line in (beside, *more)]
    return "\n".join([*shown, "", f"[{d.note}]"])


def _columns(text: str) -> int:
    """The width of a text in a terminal: a macron takes no column."""
    return len(text) - text.count(MACRON)


# ------------------------------------------------------------ LaTeX

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\char94 ",
    "~": r"\char126 ",
    "'": "'",
    "∂": r"$\partial$",
}


def to_aligned(d: Derivation) -> str:
    """The given equations, then each left-hand side with its right-hand sides and rules."""
    rows = [f"{formula(left)} &= {formula(right)}" for left, right in d.given]
    if d.headings is not None:
        rows = [f"&{words(d.headings[0])}", *rows, f"&{words(d.headings[1])}"]
    for left, right, step in _equations(d.steps, d.title):
        why = f" && {_reason_latex(step)}" if step else ""
        rows.append(f"{'' if step else formula(left) + ' '}&= {formula(right)}{why}")
    for line in d.note.split("\n") if d.note else ():
        rows.append(f"&\\phantom{{=}}\\; {words(line)}")
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def formula(line: Line) -> str:
    return line.latex or words(line.text)


def _reason_latex(step: Step) -> str:
    """The rule in words, its law in symbols."""
    if _is_fold(step):
        return words(f"{step.rule} ({len(step.folded)} steps)")
    if step.law_latex:
        return words(f"{step.rule}: ") + step.law_latex
    return words(_reason(step))


def words(text: str) -> str:
    r"""A text in \text{...}, all that TeX would read as a command escaped.

    >>> print(words("50% of a_b"))
    \text{50\% of a\_b}
    """
    return "\\text{" + "".join(_ESCAPED.get(char) or _greek(char) for char in text) + "}"


def _greek(char: str) -> str:
    """A Greek letter by its command; any other character as it is."""
    shown = char if char.isascii() else name_latex(char)
    return f"${shown}$" if shown.startswith("\\") else char


# ------------------------------------------------------------ HTML

_SET = ":has(.katex, mjx-container, .MathJax, .MathJax_CHTML, .mjx-chtml, math)"  # it is typeset
_STYLE = f"""
.einderiv {{ overflow-x: auto; line-height: 1.5; }}
.einderiv table {{ border-collapse: collapse; border: 0; margin: 0.3em 0; }}
.einderiv table tr, .einderiv table td {{ border: 0; background: none !important; }}
.einderiv table td {{ padding: 0.25em 0.4em; text-align: left !important; white-space: nowrap; }}
.einderiv table td.left {{ text-align: right !important; }}
.einderiv table td.why {{ padding-left: 2em; white-space: normal; }}
.einderiv td.why, .einderiv summary, .einderiv p {{ opacity: 0.75; font-size: 90%; }}
.einderiv code {{ white-space: pre; background: none; }}
.einderiv summary {{ cursor: pointer; }}
.einderiv details, .einderiv p {{ margin: 0.1em 0; }}
.einderiv .tex:not({_SET}) {{
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }}
.einderiv .both{_SET} > code {{ display: none; }}
"""


def to_html(d: Derivation) -> str:
    """The given equations, then each left-hand side with its right-hand sides and rules."""
    before, after = (
        ([f"<p>{escape(heading)}</p>"] for heading in d.headings) if d.headings else ([], [])
    )
    given = [_row_html(_both(left), _both(right), "") for left, right in d.given]
    parts = ['<div class="einderiv">', f"<style>{_STYLE}</style>", *before]
    parts += [
        "<table>",
        *given,
        "</table>",
        *after,
        "<table>",
        *_rows_html(d.steps, d.title),
        "</table>",
    ]
    parts += [f"<p>{escape(line)}</p>" for line in d.note.split("\n") if line]
    return "\n".join([*parts, "</div>"])


def _rows_html(steps: Sequence[Step], title: Line) -> Iterator[str]:
    """Rows of steps; the single steps of a grouped one lie folded below it."""
    for left, right, step in _equations(steps, title):
        if step is None:
            yield _row_html(_both(left), _both(right), "")
            continue
        yield _row_html("", _both(right), _reason_html(step))
        if step.folded:
            count = len(step.folded)
            yield (
                '<tr><td></td><td></td><td colspan="2"><details>'
                f"<summary>{count} {'step' if count == 1 else 'steps'}</summary><table>"
            )
            yield from _rows_html(step.folded, left)
            yield "</table></details></td></tr>"


def _row_html(left: str, right: str, why: str) -> str:
    return (
        f'<tr><td class="left">{left}</td><td>=</td><td>{right}</td><td class="why">{why}</td></tr>'
    )


def _both(line: Line) -> str:
    """A formula as index notation and as LaTeX; the style sheet shows one of them."""
    return _twice(line.text, r"\displaystyle " + formula(line))


def _twice(text: str, latex: str) -> str:
    return (
        f'<span class="both"><code>{escape(text)}</code>'
        f'<span class="tex">\\({escape(latex)}\\)</span></span>'
    )


def _reason_html(step: Step) -> str:
    rule = f"<b>{escape(step.rule)}</b>"
    if _is_fold(step) or not step.law:
        return rule
    law = _twice(step.law, step.law_latex) if step.law_latex else f"<code>{escape(step.law)}</code>"
    return f"{rule}: {law}"
