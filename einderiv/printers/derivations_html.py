r"""Derivations as HTML that stands alone: a table of steps, folded ones in `<details>`.

In: the lines and steps of a derivation. Out: a fragment without scripts.
Invariant: every text is escaped. Each formula stands there twice, as index notation and as LaTeX between
`\(` and `\)`: where MathJax or KaTeX typesets the LaTeX (notebooks do), the style sheet shows the formula,
elsewhere the index notation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from ..explainer.records import Line, Step
from .derivations import is_fold
from .derivations_latex import formula

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


def to_html(
    title: Line,
    given: Sequence[tuple[Line, Line]],
    steps: Sequence[Step],
    note: str,
    headings: tuple[str, str] | None = None,
) -> str:
    """The given equations, then each left-hand side with its right-hand sides and rules."""
    parts = ['<div class="einderiv">', f"<style>{_STYLE}</style>"]
    parts += [f"<p>{escape(headings[0])}</p>"] if headings else []
    parts.append("<table>")
    parts += [_row(_both(left), _both(right), "") for left, right in given]
    parts.append("</table>")
    parts += [f"<p>{escape(headings[1])}</p>"] if headings else []
    parts += _table(steps, title)
    parts += [f"<p>{escape(line)}</p>" for line in note.split("\n") if line]
    parts.append("</div>")
    return "\n".join(parts)


def _table(steps: Sequence[Step], title: Line | None) -> Iterator[str]:
    """Rows of steps; the single steps of a grouped one lie folded below it."""
    yield "<table>"
    shown: str | None = None
    stack: list[tuple[Step | None, Line | None]] = [(step, title) for step in reversed(steps)]
    while stack:
        step, outer = stack.pop()
        if step is None:  # the end of a fold: its step's left-hand side goes on
            yield "</table></details></td></tr>"
            shown = outer.text if outer else None
            continue
        left = step.left or outer
        if left is not None and left.text != shown:
            yield _row(_both(left), _both(step.before), "")
            shown = left.text
        yield _row("", _both(step.after), _why(step))
        if step.folded:
            count = len(step.folded)
            yield (
                '<tr><td></td><td></td><td colspan="2"><details>'
                f"<summary>{count} {'step' if count == 1 else 'steps'}</summary><table>"
            )
            stack.append((None, left))
            stack += [(inner, left) for inner in reversed(step.folded)]
            shown = None
    yield "</table>"


def _row(left: str, right: str, why: str) -> str:
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


def _why(step: Step) -> str:
    rule = f"<b>{escape(step.rule)}</b>"
    if is_fold(step) or not step.law:
        return rule
    law = _twice(step.law, step.law_latex) if step.law_latex else f"<code>{escape(step.law)}</code>"
    return f"{rule}: {law}"
