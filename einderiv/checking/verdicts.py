"""What a check found, in numbers and in words.

In: facts. Out: `Verdict`, whose text is what a teaching assistant would write under the claim.
Invariant: a verdict is immutable; only `kind == "correct"` is correct.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from ..equality import symmetric_names
from ..errors import EinderivError, NotMatrixFormError
from ..expressions import Expression
from ..terms import Variable, postorder, symbolic_extents

Array = Any

_SHOWN = 16  # entries of an array that are written out
_WIDE = 240  # characters of a formula that are written out
_BESIDE = 90  # formulas up to here are followed by their other form on the same line


@dataclass(frozen=True)
class Counterexample:
    """Arrays for which the claim and the derivative differ, and both values."""

    arrays: Mapping[str, Array]
    claimed: Array
    truth: Array
    sizes: Mapping[str, int] = field(default_factory=dict)
    note: str = ""

    def __str__(self) -> str:
        given = [f"{name} = {_array_text(value)}" for name, value in self.arrays.items()]
        given += [f"{n} = {size}" for n, size in self.sizes.items() if n not in self.arrays]
        place: Any = ...
        at = ""
        if self.truth.size > _SHOWN:
            place = np.unravel_index(np.argmax(np.abs(self.claimed - self.truth)), self.truth.shape)
            at = f"at [{', '.join(str(int(k)) for k in place)}] "
        ours, theirs = (_array_text(value[place]) for value in (self.claimed, self.truth))
        values = f"{at}the claim gives {ours}, the derivative is {theirs}"
        return f"{self.note}for {', '.join(given)}: {values}" if given else values


def _array_text(value: Array) -> str:
    array = np.asarray(value)
    if array.size > _SHOWN:
        return f"an array of shape {array.shape}"
    text = np.array2string(
        np.asarray(array, dtype=float),
        separator=", ",
        max_line_width=10_000,
        formatter={"float_kind": lambda x: f"{x:.5g}"},
    )
    return " ".join(text.split())


@dataclass(frozen=True)
class Verdict:
    """Is a claimed derivative the derivative, and if not, what is the matter with it?

    `kind`: "correct"; "transposed" (right but for the order of its axes); "sign"; "factor"; "shape";
    "missing term" (or one too many); "wrong". `factor`: claimed = factor * truth, a Fraction or an
    Expression. `difference`: truth - claimed. `method` and `certainty`: how it was decided, and what that
    is worth. `mistakes`: what probably went wrong, a sentence each.
    """

    kind: str
    truth: Expression
    claim: Expression | None
    text: str  # the claim as it was given
    notation: str | None
    method: str
    certainty: str
    factor: Fraction | Expression | None = None
    difference: Expression | None = None
    mistakes: tuple[str, ...] = ()
    counterexample: Counterexample | None = None
    headline: str = ""

    @property
    def correct(self) -> bool:
        return self.kind == "correct"

    def __bool__(self) -> bool:
        return self.correct

    def __str__(self) -> str:
        lines = [self.headline or self.kind]
        if not self.correct:
            lines.append(f"  claimed:    {_shorten(' '.join(self.text.split()))}")
            lines.append(f"  derivative: {both_forms(self.truth, self.notation)}")
            lines += [
                f"  {sentence}" for mistake in self.mistakes for sentence in mistake.split("\n")
            ]
        else:
            lines += [f"  {sentence}" for sentence in self.mistakes]
        if self.certainty:
            lines.append(f"  decided: {self.certainty}")
        if self.counterexample is not None:
            lines.append(f"  {self.counterexample}")
        return "\n".join(lines)

    def facts(self) -> dict[str, object]:
        """The verdict as data for JSON."""
        example = self.counterexample
        return {
            "correct": self.correct,
            "kind": self.kind,
            "factor": None if self.factor is None else str(self.factor),
            "difference": None if self.difference is None else str(self.difference),
            "truth": str(self.truth),
            "truth_matrix": matrix_or_none(self.truth),
            "claim": self.text,
            "notation": self.notation,
            "mistakes": list(self.mistakes),
            "method": self.method,
            "certainty": self.certainty,
            "counterexample": None
            if example is None
            else {
                "arrays": {name: np.asarray(x).tolist() for name, x in example.arrays.items()},
                "sizes": dict(example.sizes),
                "claimed": np.asarray(example.claimed).tolist(),
                "truth": np.asarray(example.truth).tolist(),
            },
            "text": str(self),
        }


def matrix_or_none(e: Expression) -> str | None:
    """The matrix form, None if it does not exist."""
    try:
        return " ; ".join(e.matrix().splitlines())
    except NotMatrixFormError:
        return None


def both_forms(e: Expression, notation: str | None = None) -> str:
    """The form in the notation of the claim, then the other one."""
    index = formula(e)
    matrix = matrix_or_none(e)
    if matrix is None:
        return _shorten(index)
    matrix = matrix.rpartition(" ; ")[2]
    first, second = (matrix, index) if notation == "matrix" else (index, matrix)
    if first == second:
        return _shorten(first)
    other = "in indices" if notation == "matrix" else "as matrices"
    gap = ",  " if len(first) + len(second) <= _BESIDE else ",\n              "
    return f"{_shorten(first)}{gap}{other} {_shorten(second)}"


def formula(e: Expression) -> str:
    """Index notation with its definitions, without the declarations that only say shapes."""
    lines = str(e).splitlines()
    return "; ".join([*(line for line in lines[:-1] if "=" in line), lines[-1]])


def _shorten(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 4]} ..."


# Small arrays on which a claim and the derivative differ in the first digits, as a user would compute them.

_ATTEMPTS = 24
_VISIBLE = 1e-3  # relative difference
_READABLE = 1e4  # larger values are used only if there are no others
_LARGEST = 10_000  # entries of an array


def counterexample(
    truth: Expression, claimed: Expression, variables: Mapping[str, Variable], note: str
) -> Counterexample | None:
    """Small whole numbers first, then others; the smallest extents first."""
    rng = np.random.default_rng(5)
    terms = [truth.term, claimed.term]
    symmetric = symmetric_names(terms)
    used = [variables[name] for name in dict.fromkeys((*truth.variables, *claimed.variables))]
    met = {node.name for node in postorder(terms) if isinstance(node, Variable)}
    covered = {dim for x in used for dim in x.shape}
    found = None
    for attempt in range(_ATTEMPTS):
        # 2 for all extents first, 2 and 3 by turns then, 2 to 6 in the end
        cycle = 1 if attempt < 4 else 2 if attempt < 16 else 5
        dims = enumerate(symbolic_extents([*terms, *used]))
        sizes = {dim: 2 + (k + attempt) % cycle for k, dim in dims}
        shapes = [tuple(sizes[d] if isinstance(d, str) else d for d in x.shape) for x in used]
        if any(prod(shape) > _LARGEST for shape in shapes):
            return None
        arrays = {
            x.name: _small_array(x, shape, rng, attempt, x.name in symmetric)
            for x, shape in zip(used, shapes, strict=True)
        }
        more = {dim: size for dim, size in sizes.items() if dim not in covered}
        try:
            ours, theirs = (
                np.asarray(e(arrays, sizes=more), dtype=float) + 0.0 for e in (claimed, truth)
            )
        except (EinderivError, TypeError, ValueError):
            continue
        if ours.shape != theirs.shape or not np.isfinite([ours, theirs]).all():
            continue
        if np.any(np.abs(ours - theirs) > _VISIBLE * (np.abs(theirs) + np.abs(ours))):
            shown = {n: a for n, a in arrays.items() if n in met}
            found = Counterexample(shown, ours, theirs, more, note)
            if np.abs([ours, theirs]).max() < _READABLE:
                break
    return found


def _small_array(
    x: Variable,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    attempt: int,
    symmetric: bool,
) -> Array:
    value = rng.integers(1, 4, size=shape).astype(float)
    if attempt % 2 == 0 and not x.assumptions & {"positive", "nonnegative"}:
        value = value * rng.choice([-1.0, 1.0], size=shape)
    if attempt % 6 >= 4:
        value = value / 4
    if len(shape) > 1 and shape[-1] == shape[-2]:
        if symmetric:
            value = np.tril(value) + np.swapaxes(np.tril(value, -1), -1, -2)
        if attempt % 4 >= 2 or symmetric:
            value = value + 3 * shape[-1] * np.eye(shape[-1])
    return value
