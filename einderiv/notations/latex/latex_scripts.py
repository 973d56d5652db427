"""What stands below and above: indices, transposes, inverses, powers.

In: formulas with scripts. Out: surface trees.
Invariant: X_{ij}^{-1} is the entry of the inverse, {X_{ij}}^{-1} the inverse of the entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ...errors import Span
from .. import syntax
from ..syntax import Access, Call, Group, Index, Name, Negative, Node, Number, Power
from .formulas import (
    Enclosed,
    Entry,
    Figure,
    Formula,
    Letter,
    Row,
    Scripted,
    Visit,
    bare_inside,
    grouped,
    is_norm,
    unbraced,
)
from .latex_matrices import Matrices
from .latex_names import ONES, ZEROS


class ScriptReader(Matrices):
    """Bases with scripts."""

    def _scripted(self, node: Scripted) -> Visit:
        head = self._function_word(node)
        base = node.base
        if is_norm(base):
            return (yield from self._scripted_norm(node))
        if head is not None and head[0] not in ("sigmoid",):
            self.fail(
                f"{head[0]} stands without an argument",
                node.span,
                "it is a function",
                f"write {head[0]}(...)",
            )
        subs = [script for kind, script in node.scripts if kind == "_"]
        sups = [script for kind, script in node.scripts if kind == "^"]
        if len(subs) > 1:
            self.fail("two subscripts", node.span, "a letter has one", "join them: x_{ij}")
        braced = isinstance(base, Enclosed) and base.kind == "{"
        plain = unbraced(base)
        indices = None
        name = plain.name if isinstance(plain, Letter) else None
        if subs:
            indices = self._index_names(subs[0], node)
            if indices is None:
                if name is None:
                    self.fail(
                        "a number below brackets", node.span, "a number ends a name", "name it"
                    )
                name += self._figures(subs[0])
        if name is not None and isinstance(plain, Letter):
            tree: Any = None
            if indices is None:
                tree = self._bare(plain) if not subs else Name(name, node.span)
                if name == "e" and sups and "e" not in self.shapes and not subs:
                    return (yield from self._exponential(sups, node.span))
            return (yield from self._raised(name, indices, tree, sups, node))
        if indices is not None and isinstance(base, Enclosed) and not braced:
            if len(indices) == 2:
                tree = yield Entry(base, *indices, tuple(self._turns(sups)))
                sups = [s for s in sups if s not in self._turns(sups)]
            elif len(indices) == 1:
                tree = yield Entry(base, indices[0], None)
            elif isinstance(whole := self._whole(base), Call):
                span = node.span  # leading axes count the matrices
                tree = Call(whole.function, None, whole.arguments, indices, span, span)
            else:
                self.fail(
                    "more than two indices behind brackets",
                    node.span,
                    "a matrix has two",
                    "drop some",
                )
            return (yield from self.raised(tree, sups, node.span))
        if indices is not None:
            numbered = self._numbered(base)
            if numbered is not None:
                return (yield from self._raised(numbered.name, indices, None, sups, node))
            self.fail(
                "a subscript stands behind something that has none",
                node.span,
                "indices belong to names, and to matrices in brackets",
                "write X_{ij} or (A B)_{ij}",
            )
        tree = yield base
        return (yield from self.raised(tree, sups, node.span))

    def _exponential(self, sups: Sequence[Formula], span: Span) -> Visit:
        exponent = yield sups[0]
        tree: Node = Call("exp", None, (bare_inside(exponent),), None, span, span)
        return (yield from self.raised(tree, sups[1:], span))

    def _raised(
        self,
        name: str,
        indices: tuple[Index, ...] | None,
        tree: Any,
        sups: Sequence[Formula],
        node: Scripted,
    ) -> Visit:
        """A name with its indices, transposed, inverted or raised to a power."""
        if indices is None:
            return (yield from self.raised(tree, sups, node.span))
        turns = self._turns(sups)
        inverse = False
        for turn in turns:
            what = self._turn(turn)
            if what != "inv" and len(indices) == 2:
                indices = indices[::-1]
            inverse = inverse or what != "T"
        if turns and len(indices) != 2:
            if inverse:
                turns = []
            else:
                self.fail(
                    f"a transpose of {name} with {len(indices)} indices",
                    node.span,
                    "a transpose exchanges two indices",
                    "drop it",
                )
        span = node.span
        special = {"delta": "delta", "epsilon": "eps", ONES: "ones", ZEROS: "zeros"}
        if name in ("delta", ONES, ZEROS) or (name == "epsilon" and len(indices) > 1):
            if name not in self.shapes and (name != "delta" or len(indices) == 2):
                name = special[name]
        if inverse and turns:
            tree = Call("inv", None, (Name(name, span),), indices, span, span)
        else:
            tree = Access(name, indices, span, node.base.span)
        return (yield from self.raised(tree, [s for s in sups if s not in turns], span))

    def raised(self, tree: Node, sups: Sequence[Formula], span: Span) -> Visit:
        for script in sups:
            what = self._turn(script)
            if what in ("T", "invT") and self.indexed:
                self.fail(
                    "a transpose stands without indices beside indices",
                    script.span,
                    "with indices a transpose exchanges them",
                    r"write X_{ji}, or (X^\top)_{ij}",
                )
            if what == "T":
                tree = syntax.Transpose(grouped(tree), span)
                continue
            plain = unbraced(script)
            if isinstance(plain, Row) and self._are_letters(plain):
                shown = self._text(script.span)
                self.fail(
                    f"the superscript {shown} has two readings",
                    script.span,
                    "upper indices, or a power with their product as its exponent",
                    "write indices below, as in A_{ij}",
                )
            if what == "invT":
                one = Number(Fraction(1), span)
                turned = syntax.Transpose(grouped(tree), span)
                tree = Power(Group(turned, span), Negative(one, span), span)
                continue
            exponent = yield script
            tree = Power(grouped(tree), exponent, span)
        return tree

    def _scripted_norm(self, node: Scripted) -> Visit:
        assert isinstance(node.base, Enclosed)
        name = "norm2"
        powers = []
        for kind, script in node.scripts:
            plain = unbraced(script)
            if kind == "^":
                powers.append(script)
            elif isinstance(plain, Figure) and plain.value == 1:
                name = "norm1"
            elif not (
                (isinstance(plain, Figure) and plain.value == 2)
                or (isinstance(plain, Letter) and plain.name == "F")
            ):
                self.fail(
                    f"the norm {self._text(node.span)}",
                    script.span,
                    "read are the Euclidean norm, the Frobenius norm and the sum of absolute values",
                    r"write \|x\|, \|x\|_1 or \|X\|_F",
                )
        inner = yield node.base.inside[0]
        tree = self._norm(inner, name, node.base.span)
        return (yield from self.raised(tree, powers, node.span))
