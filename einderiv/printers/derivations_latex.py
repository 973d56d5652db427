r"""Derivations as one `aligned` block.

In: the lines and steps of a derivation. Out: LaTeX that KaTeX and MathJax accept, without dollar signs.
Invariant: words stand in \text{...} with every special character escaped; nothing of a user's is a command.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..explainer.records import Line, Step
from .derivations import is_fold
from .latex import name_latex

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
        rows.append(f"&= {formula(step.after)} && {reason(step)}")
    for line in note.split("\n") if note else ():
        rows.append(f"&\\phantom{{=}}\\; {words(line)}")
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def formula(line: Line) -> str:
    """The LaTeX of a line; its text where it has none."""
    return line.latex or words(line.text)


def reason(step: Step) -> str:
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
