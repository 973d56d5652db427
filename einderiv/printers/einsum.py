"""Einsum strings of terms that are one contraction.

In: a term, the names of its axes, hints for letters. Out: `EinsumText`.
Invariant: the string, read with the operands' names, is the term without its factor; products inside
products are one contraction; no string is longer than NumPy takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..errors import NotationError
from ..notations import LETTERS, Context, Subscripts
from ..terms import (
    ONE,
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


def to_einsum(term: Expr, names: tuple[str, ...], hints: Context | None = None) -> EinsumText:
    """The einsum string of a term whose axes are called `names`.

    Axes and labels keep their letters if these are single ASCII letters; a declared extent may be a
    factor, under its name. Raises NotationError naming the part that is not a tensor, or if letters run out.
    """
    hints = hints or Context()
    factor, dims = ONE, list(term.shape)
    operands: list[str] = []
    inputs: list[Subscript] = []
    stack: list[tuple[Expr, Subscript]] = [(term, tuple(range(term.rank)))]
    while stack and max(len(dims), len(stack) + len(operands)) <= _MOST:
        scaled, labels = stack.pop()
        content, node = split_scale(scaled)
        factor *= content
        if isinstance(node, Contraction):  # a product inside a product is part of it
            own = dict(zip(node.output, labels, strict=True))
            pairs = list(zip(node.children, node.inputs, strict=True))
            for child, inside in pairs:
                for label, dim in zip(inside, child.shape, strict=True):
                    if label not in own:
                        own[label] = len(dims)
                        dims.append(dim)
            stack += [(child, tuple(own[x] for x in inside)) for child, inside in reversed(pairs)]
        elif scaled is term or not isinstance(node, Literal):
            operands.append(_operand_name(node, term, names, hints))
            inputs.append(labels)
    if len(dims) > len(LETTERS) or len(operands) + len(stack) > _MOST:
        raise NotationError(
            "the product is too long for an einsum string",
            facts=[f"a string has {len(LETTERS)} letters and {_MOST} operands at most"],
            hint="print it in index notation: str(e)",
        )
    letters = _letters(dims, names, hints)
    subscripts = Subscripts(
        tuple(tuple(letters[label] for label in labels) for labels in inputs),
        tuple(letters[: term.rank]),
    )
    return EinsumText(str(subscripts), tuple(operands), factor)


def _operand_name(node: Expr, term: Expr, names: tuple[str, ...], hints: Context) -> str:
    match node:
        case Variable():
            return node.name
        case Extent() if node.dim in hints.declared:
            return node.dim
        case Delta():
            return "delta"
        case Ones():
            return "ones"
        case Apply(function="eps") | Map(function="pi"):
            return node.function
    whole = node is split_scale(term)[1]
    facts = ["an einsum string is one product of tensors, summed over labels"]
    if not whole:
        facts.append(f"it stands in {on_one_line(term, hints, names)}")
    shown = on_one_line(term, hints, names) if whole else on_one_line(node, hints)
    raise NotationError(
        f"{shown} is no product of tensors",
        facts=facts,
        hint="print it in index notation, or give that part a name of its own with substitute",
    )


def _letters(dims: list[Dim], names: tuple[str, ...], hints: Context) -> list[str]:
    """A letter for every label, first the axes' `names`; i, j, k, ... before others, as people write them."""
    chosen: list[str] = []
    fixed = {name for name in names if name in LETTERS and len(name) == 1}
    for label, dim in enumerate(dims):
        own = [names[label]] if label < len(names) else list(hints.letters.get(dim, ()))
        free = (x for x in (*own, *"ijklmnpq", *LETTERS) if len(x) == 1 and x in LETTERS)
        allowed = own[:1] if label < len(names) else []
        chosen.append(next(x for x in free if x not in chosen and x not in fixed - {*allowed}))
    return chosen
