"""Names, indices and scripts of a formula, and what tells indices from matrices.

In: equations, declared shapes. Out: `Names`, which the visits of `latex.py` stand on.
Invariant: a letter that is an index somewhere is nowhere a scalar, unless it was declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import count
from typing import NoReturn

from ...errors import NotationError, Span
from ...terms import Dim
from ..syntax import Call, Index, Name, Node, Number
from .formulas import (
    TURNED,
    Applied,
    Equation,
    Figure,
    Formula,
    Fraction_,
    Letter,
    Listed,
    Row,
    Scripted,
    Scripts,
    Terms,
    is_function,
    is_norm,
    nodes_of,
    side_by_side,
    unbraced,
)

_WORDS = {"Tr": "tr", "trace": "tr", "sgn": "sign", "erf": "erf", "ReLU": "relu", "Diag": "diag",
          "logit": "logit", "argmax": "argmax"}  # fmt: skip

ONES, ZEROS = "𝟏", "𝟎"  # the names of bold 1 and 0


class Names:
    """What the letters of a formula stand for."""

    def __init__(
        self, source: str, equations: Sequence[Equation], shapes: Mapping[str, Sequence[Dim]]
    ) -> None:
        self.source, self.shapes = source, shapes
        self.extents = {str(dim) for axes in shapes.values() for dim in axes}
        self.indices: set[str] = set()
        every = [node for e in equations for node in nodes_of(e)]
        self.letters = {node.name for node in every if isinstance(node, Letter)}
        for node in every:
            if isinstance(node, Scripted | Applied):
                self._collect(node)
        self.indexed = bool(self.indices)
        self.divisors: set[str] = set()
        self.defined: set[str] = set()
        self._fresh = (f"{c}{n}" for n in count(1) for c in "rcpq")

    def _collect(self, node: Scripted | Applied) -> None:
        base = unbraced(node.base) if isinstance(node, Scripted) else None
        if isinstance(base, Letter) and base.name in ("nabla", "partial"):
            return
        for kind, script in node.scripts:
            if kind == "_" and not (isinstance(node, Scripted) and is_norm(node.base)):
                found = self._index_names(script, node)
                self.indices.update(index.name for index in found or ())

    def fail(self, message: str, span: Span, fact: str, hint: str) -> NoReturn:
        """Refuse the formula."""
        raise NotationError(message, source=self.source, spans=[span], facts=[fact], hint=hint)

    def _numbered(self, node: Formula) -> Letter | None:
        """A letter, or one with a number in braces: {t_1}."""
        plain = unbraced(node)
        if isinstance(plain, Letter):
            return plain
        if isinstance(plain, Scripted) and plain is not node and len(plain.scripts) == 1:
            ((kind, script),), letter = plain.scripts, unbraced(plain.base)
            if kind == "_" and isinstance(letter, Letter) and isinstance(unbraced(script), Figure):
                return Letter(letter.name + self._figures(script), plain.span)
        return None

    def _index_names(self, script: Formula, node: Scripted | Applied) -> tuple[Index, ...] | None:
        """The indices of a subscript; None for a number, which is part of the name."""
        script = unbraced(script)
        parts: Sequence[Formula] = [script]
        if isinstance(script, Listed):
            parts = [p for part in script.parts for p in side_by_side(unbraced(part))]
        else:
            parts = side_by_side(script)
        if len(parts) == 1 and isinstance(parts[0], Figure):
            if not self._is_single_figure(parts[0]):
                shown = self._text(node.span)
                self.fail(
                    f"the subscript of {shown} has two readings",
                    parts[0].span,
                    f"a name that ends in {parts[0].value}, or one entry of a tensor",
                    "write a letter for the name, or indices that run over whole axes",
                )
            return None
        found = []
        for part in parts:
            primes = ""
            letter: Formula = part
            if isinstance(part, Scripted) and all(
                kind == "^" and isinstance(s, Letter) and s.name == TURNED
                for kind, s in part.scripts
            ):
                letter, primes = part.base, "_prime" * len(part.scripts)
            if not isinstance(letter, Letter):
                self.fail(
                    f"{self._text(part.span)} stands as an index",
                    part.span,
                    "an index is a letter that runs over a whole axis",
                    "write the letter alone, as in X_{ij}, and cut arrays beforehand",
                )
            found.append(Index(letter.name + primes, None, part.span))
        return tuple(found)

    def _is_single_figure(self, figure: Figure) -> bool:
        return figure.value.denominator == 1 and 0 <= figure.value <= 9

    def _figures(self, script: Formula) -> str:
        plain = unbraced(script)
        assert isinstance(plain, Figure)
        return str(plain.value)

    def _text(self, span: Span) -> str:
        return " ".join(self.source[span[0] : span[1]].split())[:60]

    def _kept(self, script: Formula, name: str, name_span: Span) -> tuple[Index, ...]:
        plain = unbraced(script)
        if isinstance(plain, Listed):
            plain_parts = [p for part in plain.parts for p in side_by_side(unbraced(part))]
        else:
            plain_parts = list(side_by_side(plain))
        if not all(isinstance(part, Letter) for part in plain_parts):
            self.fail(
                f"the subscript of {name} is no index",
                script.span,
                "below it stand the indices that it runs over",
                f"write {name} with an index, as in \\sum_i or \\sum_{{i=1}}^n",
            )
        return tuple(Index(part.name, None, part.span) for part in plain_parts)  # type: ignore[union-attr]

    def _size(self, index: Index, upper: Formula) -> None:
        """\\sum_{i=1}^n says that i runs to n, unless shapes say it already."""
        plain = unbraced(upper)
        if self.shapes:
            return
        if isinstance(plain, Letter) and plain.name.isidentifier():
            index.extent = plain.name
        elif isinstance(plain, Figure) and plain.value.denominator == 1 and plain.value > 0:
            index.extent = int(plain.value)

    def _fresh_index(self, span: Span) -> Index:
        return Index(next(n for n in self._fresh if n not in self.letters), None, span)

    def _turns(self, sups: Sequence[Formula]) -> list[Formula]:
        return [s for s in sups if self._turn(s) is not None]

    def _turn(self, script: Formula) -> str | None:
        """What a superscript does to a matrix: "T", "inv", "invT"; None for a power."""
        plain = unbraced(script)
        if isinstance(plain, Letter) and plain.name in (TURNED, "T"):
            return "T" if plain.name not in self.shapes else None
        if isinstance(plain, Terms) and len(plain.parts) == 1 and plain.parts[0][0]:
            inner = unbraced(plain.parts[0][1])
            if isinstance(inner, Figure) and inner.value == 1:
                return "inv"
            if isinstance(inner, Letter) and inner.name in (TURNED, "T"):
                return "invT"
        return None

    def _are_letters(self, row: Row) -> bool:
        """Letters side by side, some of them indices elsewhere."""
        letters = [p for s, p in row.parts if s == "" and isinstance(p, Letter)]
        return len(letters) == len(row.parts) and any(p.name in self.indices for p in letters)

    def _is_scalar(self, node: Formula) -> bool:
        plain = unbraced(node)
        if isinstance(plain, Letter):
            if plain.name in self.shapes:
                return not self.shapes[plain.name]
            return not plain.name[0].isupper()
        return isinstance(plain, Figure | Fraction_)

    def _bare(self, node: Letter) -> Node:
        name = node.name
        if name == ONES or name == ZEROS:
            if self.indexed:
                self.fail(
                    "ones without indices beside indices",
                    node.span,
                    "in index notation every axis has its index",
                    r"write \mathbf{1}_i",
                )
            value = Number(Fraction(int(name == ONES)), node.span)
            return Call("vector", None, (value,), None, node.span, node.span)
        if name in ("partial", "nabla") and name not in self.shapes:
            self.fail(
                "a derivative stands in the formula",
                node.span,
                "a formula is read as it stands, and differentiated afterwards",
                "write what is differentiated, and ask for its derivative: e.diff('x')",
            )
        if name == TURNED:
            self.fail(
                "a transpose stands alone", node.span, "it stands behind a matrix", r"write X^\top"
            )
        if (
            self.indexed
            and name in self.indices
            and name not in self.shapes
            and name not in self.extents
        ):
            self.fail(
                f"{name} stands beside indices, and is an index elsewhere",
                node.span,
                f"a subscript is one letter unless braces hold several: x_i{name} is x_i times {name}",
                f"write x_{{i{name}}} for two indices, another letter for a number",
            )
        if not self.indexed and name == "I" and "I" not in self.shapes:
            return Name("eye", node.span)
        return Name(name, node.span)

    def _function_word(self, part: Formula) -> tuple[str, Scripts, Span] | None:
        """`\\operatorname{tr}`, `\\operatorname{softmax}_j`, `\\sigma` before brackets."""
        base, scripts = (part.base, part.scripts) if isinstance(part, Scripted) else (part, ())
        if not isinstance(base, Letter):
            return None
        name = _WORDS.get(base.name, base.name)
        if base.is_word and base.name not in self.shapes and is_function(name):
            return name, scripts, base.span
        if base.name == "sigma" and base.name not in self.shapes and not scripts:
            return "sigmoid", (), base.span
        return None

    def _note_divisor(self, below: Formula) -> None:
        plain = unbraced(below)
        known = {*self.shapes, *self.extents}
        if isinstance(plain, Letter) and plain.name not in known:
            self.divisors.add(plain.name)
