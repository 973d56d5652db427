"""Derivations as a ladder of text, for terminals.

In: the lines and steps of a derivation. Out: a string; each step on a line of its own, its rule beside it.
Invariant: no line is wider than it must be: a rule stands to the right where there is room, else above.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from ..printers import break_line, name_latex
from .records import Line, Step

_WIDTH = 100  # columns
_GAP = 3


@dataclass(frozen=True, slots=True)
class Row:
    """Lines that belong together, and the reason beside or above them."""

    lines: tuple[str, ...]
    reason: str = ""


_EMPTY = Row(("",))


def to_ladder(
    title: Line, given: Sequence[tuple[Line, Line]], steps: Sequence[Step], note: str
) -> str:
    """The given equations, then each left-hand side with its right-hand sides one below the other."""
    rows = [_row(f"{left} = ", right.text) for left, right in given]
    shown: str | None = None
    for step in steps:
        left = title.text if step.left is None else step.left.text
        if left != shown:
            rows += [_EMPTY, _row(f"{left} = ", step.before.text)]
            shown = left
        rows.append(_row(" " * (len(left) + 1) + "= ", step.after.text, reason(step)))
    if note:
        rows += [_EMPTY, *(Row((f"[{line}]",)) for line in note.split("\n"))]
    return "\n".join(_laid_out(rows))


def reason(step: Step) -> str:
    """The rule and its law, and how many steps are folded."""
    shown = f"{step.rule}: {step.law}" if step.law else step.rule
    return shown + (f" [{len(step.folded)} steps folded]" if is_fold(step) else "")


def is_fold(step: Step) -> bool:
    """Does a step stand for a chain of steps, rather than for one with parts?"""
    return bool(step.folded) and not step.law


def _row(head: str, body: str, why: str = "") -> Row:
    """A statement, the lines of its right-hand side below each other."""
    lines = [part for line in body.split("\n") for part in break_line(line, _WIDTH - len(head))]
    pad = " " * len(head)
    return Row(tuple((pad if k else head) + line for k, line in enumerate(lines)), why)


def _laid_out(rows: Sequence[Row]) -> Iterator[str]:
    """Reasons in one column where they fit, else on a line above."""
    single = [row for row in rows if row.reason and len(row.lines) == 1]
    lengths = [len(row.lines[0]) for row in single]
    fitting = [n for n, row in zip(lengths, single, strict=True) if n + len(row.reason) < _WIDTH]
    column = max(fitting, default=0) + _GAP
    for row in rows:
        first = row.lines[0]
        beside = len(row.lines) == 1 and len(first) + _GAP <= column
        if row.reason and beside and column + len(row.reason) <= _WIDTH + 8:
            yield f"{first:<{column}}{row.reason}"
            continue
        if row.reason:
            yield f"{' ' * (len(first) - len(first.lstrip()))}  ({row.reason})"
        yield from (line.rstrip() for line in row.lines)


# Derivations as one `aligned` block.
#
# In: the lines and steps of a derivation. Out: LaTeX that KaTeX and MathJax accept, without dollar signs.
# Invariant: words stand in \text{...} with every special character escaped; nothing of a user's is a command.

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


def to_aligned(
    title: Line,
    given: Sequence[tuple[Line, Line]],
    steps: Sequence[Step],
    note: str,
    headings: tuple[str, str] | None = None,
) -> str:
    """The given equations, then each left-hand side with its right-hand sides and rules."""
    rows = [f"{formula(left)} &= {formula(right)}" for left, right in given]
    if headings is not None:
        rows = [f"&{words(headings[0])}", *rows, f"&{words(headings[1])}"]
    shown: str | None = None
    for step in steps:
        left = title if step.left is None else step.left
        if left.text != shown:
            rows.append(f"{formula(left)} &= {formula(step.before)}")
            shown = left.text
        rows.append(f"&= {formula(step.after)} && {reason_derivations_latex(step)}")
    for line in note.split("\n") if note else ():
        rows.append(f"&\\phantom{{=}}\\; {words(line)}")
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def formula(line: Line) -> str:
    """The LaTeX of a line; its text where it has none."""
    return line.latex or words(line.text)


def reason_derivations_latex(step: Step) -> str:
    """The rule in words, its law in symbols."""
    if is_fold(step):
        return words(f"{step.rule} ({len(step.folded)} steps)")
    if step.law_latex:
        return words(f"{step.rule}: ") + step.law_latex
    return words(f"{step.rule}: {step.law}" if step.law else step.rule)


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


# Derivations as HTML that stands alone: a table of steps, folded ones in `<details>`.
#
# In: the lines and steps of a derivation. Out: a fragment without scripts.
# Invariant: every text is escaped. Each formula stands there twice, as index notation and as LaTeX between
# `\(` and `\)`: where MathJax or KaTeX typesets the LaTeX (notebooks do), the style sheet shows the formula,
# elsewhere the index notation.

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
    parts += [_row_derivations_html(_both(left), _both(right), "") for left, right in given]
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
            yield _row_derivations_html(_both(left), _both(step.before), "")
            shown = left.text
        yield _row_derivations_html("", _both(step.after), _why(step))
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


def _row_derivations_html(left: str, right: str, why: str) -> str:
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
