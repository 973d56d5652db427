"""The derivative of an einsum equation by one operand, as labels.

In: an equation, the number of an operand, which of its axes are repeated. Out: `Form`.
Invariant: nothing is known of extents here but which axes are 1; arrays come in `einsum_plans.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from .notation.equations import ELLIPSIS, Labels, Subscripts, fresh_letters

COTANGENT = "g"
_NEW = "pqrstuvwxyz"  # letters for the new axes of a Jacobian, where they are free

Inputs = tuple[tuple[str | int, Labels], ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """Axes of extent 1 that an equation repeats: those of the operand, and labels that all others have so."""

    own: frozenset[int] = frozenset()
    thin: frozenset[str] = frozenset()


NOTHING = Repeated()


@dataclass(frozen=True, slots=True)
class Form:
    """A product of inputs, and for every axis of the result the label it runs along.

    `result` may repeat a label: the axes are tied, entries off their diagonal are 0. `letters` names the axes
    apart. `single` holds labels of extent 1 that stand for a repeated axis, `thin` those that the inputs have
    with extent 1 only, while the result has more.
    """

    inputs: Inputs  # "g" or the number of an operand
    result: Labels
    letters: Labels
    single: frozenset[str] = frozenset()
    thin: frozenset[str] = frozenset()
    old: Mapping[str, str] = field(default_factory=dict)  # new letter -> the label it replaces

    @property
    def present(self) -> frozenset[str]:
        """The labels that some input has."""
        return frozenset(chain(*(labels for _, labels in self.inputs)))

    @property
    def deltas(self) -> list[tuple[str, str]]:
        """The pairs of axes that are tied."""
        return [(a, b) for a, b in zip(self.result, self.letters, strict=True) if a != b]

    @property
    def ones(self) -> list[str]:
        """The labels that nothing else has, in full."""
        covered = (self.present - self.thin).union(*self.deltas)
        return [x for x in dict.fromkeys(self.result) if x not in covered]


def _vjp_form(equation: Subscripts, operand: int, axes: Repeated = NOTHING) -> Form:
    """Law: dA_k = sum of g times all other operands, at the labels of operand k."""
    own, single = equation.inputs[operand], axes.own
    repeats = [axis for axis, x in enumerate(own) if x in own[:axis]]
    needed = sorted({*single, *repeats})
    fresh = dict(
        zip(needed, fresh_letters(len(needed), equation.letters, _after(own)), strict=True)
    )
    letters = tuple(fresh.get(axis, x) for axis, x in enumerate(own))
    result = tuple(fresh[axis] if axis in single else x for axis, x in enumerate(own))
    others = ((k, term) for k, term in enumerate(equation.inputs) if k != operand)
    inputs: Inputs = ((COTANGENT, equation.output), *others)
    old = {fresh[axis]: own[axis] for axis in needed}
    return Form(
        inputs,
        result,
        letters,
        frozenset(fresh[axis] for axis in single),
        axes.thin - set(equation.output),
        old,
    )


def _after(labels: Labels) -> str:
    """The letters that follow the last label in the alphabet: i -> jkl..."""
    named = [x for x in labels if x != ELLIPSIS]
    last = max(named, key=lambda x: (x.lower(), x), default="h").lower()
    return "".join(map(chr, range(ord(last) + 1, ord("z") + 1)))


def _jacobian_form(equation: Subscripts, operand: int, axes: Repeated = NOTHING) -> Form:
    """Law: dC_o/dA_n = d_{l n} for labels l kept in the output; a summed label becomes the new axis."""
    own, single = equation.inputs[operand], axes.own
    new = fresh_letters(len(own), equation.letters, _NEW)
    renamed: dict[str, str] = {}
    for axis, x in enumerate(own):
        if x not in equation.output and axis not in single:
            renamed.setdefault(x, new[axis])
    ends = tuple(new[axis] if axis in single else renamed.get(x, x) for axis, x in enumerate(own))
    inputs: Inputs = tuple(
        (k, tuple(renamed.get(x, x) for x in term))
        for k, term in enumerate(equation.inputs)
        if k != operand
    )
    return Form(
        inputs,
        equation.output + ends,
        equation.output + tuple(new),
        frozenset(new[axis] for axis in single),
        frozenset(renamed.get(x, x) for x in axes.thin),
        dict(zip(new, own, strict=True)),
    )


FORMS: Mapping[str, Callable[[Subscripts, int, Repeated], Form]] = {
    "vjp": _vjp_form,
    "jacobian": _jacobian_form,
}


def without_idle_ellipses(equation: Subscripts) -> Subscripts:
    """An ellipsis on one side of the arrow only stands for no axis."""
    if ELLIPSIS in equation.output and any(ELLIPSIS in term for term in equation.inputs):
        return Subscripts(equation.inputs, equation.output)
    terms = [
        tuple(x for x in term if x != ELLIPSIS) for term in (*equation.inputs, equation.output)
    ]
    return Subscripts(tuple(terms[:-1]), terms[-1])


# ---------------------------------------------------------------- texts


def operand_name(operand: int) -> str:
    """A, B, ..., Z, A1, B1, ..."""
    letter, number = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[operand % 26], operand // 26
    return f"{letter}{number or ''}"


def index_text(
    name: str,
    letters: Labels,
    factors: Sequence[tuple[str, Labels]],
    single: frozenset[str] = frozenset(),
) -> str:
    """A definition in index notation; a label that stands once and is not kept gets its sum written."""

    def access(tensor: str, labels: Labels) -> str:
        told = (f"{x}:1" if tensor == "ones" and x in single else x for x in labels)
        return f"{tensor}[{','.join(told)}]" if labels else tensor

    count = Counter(chain(*(labels for _, labels in factors)))
    lonely = [x for x, n in count.items() if n == 1 and x not in letters]
    body = "*".join(access(tensor, labels) for tensor, labels in factors) or "1"
    if lonely:
        body = f"sum[{','.join(lonely)}]({body})"
    return f"{access(name, letters)} = {body}"
