"""Finds the grammar files: inside the installed package, or beside it in a checkout.

In: a file name. Out: its text, and the resolver that lark's `%import` uses.
Invariant: all grammars come from one folder, so an import finds the file that belongs to it.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from ..errors import EinderivError


@cache
def grammar_text(name: str) -> str:
    """The text of `grammar/<name>`.

    >>> "LALR" in grammar_text("index.lark")
    True
    """
    inside = resources.files("einderiv") / "grammar" / name
    if inside.is_file():
        return inside.read_text(encoding="utf-8")
    beside = Path(__file__).resolve().parents[2] / "grammar" / name
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    raise EinderivError(
        f"the grammar file {name} is missing from the installation",
        facts=[f"looked for {inside} and {beside}"],
        hint="reinstall einderiv",
    )


def resolve_import(base_path: object, grammar_path: str) -> tuple[str, str]:
    """Where lark finds `%import .common`: in the same folder, by the same rule."""
    return grammar_path, grammar_text(Path(grammar_path).name)
