"""Einsum strings of terms that are one contraction.

In: a term, the names of its axes, hints for letters. Out: `EinsumText`.
Invariant: the string, read with the operands' names, is the term without its factor; products inside
products are one contraction; no string is longer than NumPy takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ..errors import NotationError
from ..notations import LETTERS, Hints, Subscripts
from ..terms import (
    Apply,
    Contraction,
    Delta,
    Dim,
    Expr,
    Extent,
    Literal,
    Map,
    Ones,
    Subscript,
    Variable,
    split_scale,
)
from .surface import on_one_line

_MOST = 63  # operands of one numpy.einsum

Factors = list[tuple[str, Subscript]]


@dataclass(frozen=True, slots=True)
class EinsumText:
    """`factor` times an einsum of the named operands; `delta` is an identity, `ones` a vector of ones.

    >>> print(EinsumText("ij,j->i", ("A", "x"), Fraction(2)))
    2*einsum("ij,j->i", A, x)
    """

    subscripts: str
    operands: tuple[str, ...]
    factor: Fraction = Fraction(1)

    def __str__(self) -> str:
        sign = {"1": "", "-1": "-"}.get(str(self.factor), f"{self.factor}*")
        return f'{sign}einsum("{self.subscripts}", {", ".join(self.operands)})'


def to_einsum(term: Expr, names: tuple[str, ...], hints: Hints | None = None) -> EinsumText:
    """The einsum string of a term whose axes are called `names`.

    Axes and labels keep their letters where these are single ASCII letters; a declared extent may be a
    factor, under its name. Raises NotationError naming the part that is no tensor, and where letters run out.
    """
    hints = hints or Hints()
    product = _Product(term, hints)
    product.flatten(names)
    letters = product.letters(names)
    subscripts = Subscripts(
        tuple(tuple(letters[label] for label in labels) for _, labels in product.factors),
        tuple(letters[label] for label in range(term.rank)),
    )
    return EinsumText(str(subscripts), tuple(name for name, _ in product.factors), product.factor)


class _Product:
    """A term as one product of named tensors; labels are integers, 0, 1, ... for its axes."""

    def __init__(self, term: Expr, hints: Hints) -> None:
        self.term, self.hints = term, hints
        self.factor = Fraction(1)
        self.factors: Factors = []
        self.dims: list[Dim] = list(term.shape)

    def _label(self, dim: Dim) -> int:
        self.dims.append(dim)
        return len(self.dims) - 1

    def flatten(self, names: tuple[str, ...]) -> None:
        """Take products inside products apart, until named tensors are left."""
        stack: list[tuple[Expr, Subscript]] = [(self.term, tuple(range(self.term.rank)))]
        while stack:
            scaled, labels = stack.pop()
            factor, node = split_scale(scaled)
            self.factor *= factor
            if isinstance(node, Contraction):
                own = dict(zip(node.output, labels, strict=True))
                for child, inside in zip(node.children, node.inputs, strict=True):
                    for label, dim in zip(inside, child.shape, strict=True):
                        if label not in own:
                            own[label] = self._label(dim)
                pairs = zip(node.children, node.inputs, strict=True)
                stack += reversed([(c, tuple(own[x] for x in inside)) for c, inside in pairs])
            elif not isinstance(node, Literal):
                self.factors.append((self._name(node, names), labels))
            elif node is self.term or scaled is self.term:
                self._refuse(node, names)
            if max(len(self.dims), len(stack) + len(self.factors)) > _MOST:
                break
        if len(self.dims) > len(LETTERS) or len(self.factors) + len(stack) > _MOST:
            raise NotationError(
                "the product is too long for an einsum string",
                facts=[f"a string has {len(LETTERS)} letters and {_MOST} operands at most"],
                hint="print it in index notation: str(e)",
            )

    def _name(self, node: Expr, names: tuple[str, ...]) -> str:
        if isinstance(node, Variable):
            return node.name
        if isinstance(node, Extent) and node.dim in self.hints.declared:
            return node.dim
        if isinstance(node, Delta):
            return "delta"
        if isinstance(node, Ones):
            return "ones"
        if isinstance(node, Apply) and node.function == "eps":
            return "eps"
        if isinstance(node, Map) and node.function == "pi":
            return "pi"
        self._refuse(node, names)
        raise AssertionError(node)

    def _refuse(self, part: Expr, names: tuple[str, ...]) -> None:
        whole = part is split_scale(self.term)[1]
        facts = ["an einsum string is one product of tensors, summed over labels"]
        if not whole:
            facts.append(f"it stands in {on_one_line(self.term, self.hints, names)}")
        raise NotationError(
            f"{on_one_line(self.term if whole else part, self.hints, names if whole else ())} "
            "is no product of tensors",
            facts=facts,
            hint="print it in index notation, or give that part a name of its own with substitute",
        )

    def letters(self, names: tuple[str, ...]) -> list[str]:
        """A letter for every label; those of the axes first."""
        chosen: list[str] = []
        fixed = {name for name in names if name in LETTERS and len(name) == 1}
        for label, dim in enumerate(self.dims):
            own = [names[label]] if label < len(names) else list(self.hints.letters.get(dim, ()))
            free = (x for x in (*own, *_preferred()) if len(x) == 1 and x in LETTERS)
            allowed = own[:1] if label < len(names) else []
            chosen.append(next(x for x in free if x not in chosen and x not in fixed - {*allowed}))
        return chosen


def _preferred() -> Iterator[str]:
    """i, j, k, ... first, as people write them."""
    yield from "ijklmnpq"
    yield from LETTERS
