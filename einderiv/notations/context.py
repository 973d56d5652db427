"""What the expressions of one program share, and the names that derivatives need.

In: what the elaborator found. Out: variables, new tensors, letters for new axes.
Invariant: a context is immutable; a tensor has one shape in a program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from itertools import chain, count
from typing import NamedTuple

from ..errors import DerivativeError, DimensionError, NotationError, axes_in_words
from ..terms import INDICES, Dim, Expr, Shape, Variable, free_name

Shapes = Mapping[str, Sequence[Dim]]  # the extents of tensors, given beside a text
Assumptions = Mapping[str, Iterable[str]]


@dataclass(frozen=True, eq=False)
class Context:
    """Tensors, assumptions, letters and names of a program."""

    variables: Mapping[str, Variable] = field(default_factory=dict)
    assumptions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    letters: Mapping[Dim, tuple[str, ...]] = field(default_factory=dict)
    definitions: Mapping[Expr, str] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()
    name: str | None = None

    @cached_property
    def assumed_variables(self) -> dict[str, Variable]:
        """The tensors with what is assumed of them."""
        return {
            name: Variable(name, x.shape, self.assumptions.get(name, frozenset()))
            for name, x in self.variables.items()
        }

    @cached_property
    def all_letters(self) -> frozenset[str]:
        """Every letter that stood at some extent."""
        return frozenset(chain(*self.letters.values()))

    def variable(self, name: str) -> Variable:
        """The tensor of a name; DerivativeError if the program has none."""
        if name in self.variables:
            return self.variables[name]
        known = f"it has {', '.join(self.variables) or 'no tensors'}"
        if name in self.definitions.values():
            raise DerivativeError(
                f"{name} is a definition of the program, not a tensor given to it",
                facts=[known],
                hint="differentiate by one of these, or leave the definition out",
            )
        near = [other for other in self.variables if other.casefold() == name.casefold()]
        near = near or get_close_matches(name, self.variables, n=2, cutoff=0.4)
        raise DerivativeError(
            f"{name} does not occur in the expression",
            facts=[known],
            hint=f"did you mean {' or '.join(near)}?"
            if near
            else "correct the name; a tensor that is only declared has the derivative 0",
        )

    def target(self, text: str, used: Sequence[str]) -> tuple[Variable, tuple[str, ...]]:
        """The variable that `x` or `x[i,j]` names, and names for its axes beside the indices `used`."""
        name = variable_name(text)
        _, bracket, rest = text.partition("[")
        x = self.variable(name)
        if not bracket:
            return x, self.free_letters(x, used)
        names = tuple(part.strip() for part in rest.rstrip().removesuffix("]").split(","))
        example = f"{name}[{','.join(self.free_letters(x, used))}]" if x.rank else name
        twice = [part for part in names if names.count(part) > 1]
        taken = [part for part in names if part in used]
        kind: type[DerivativeError] | type[DimensionError] = DerivativeError
        facts, hint = list[str](), f"write {example}"
        if not rest.rstrip().endswith("]") or not all(part.isidentifier() for part in names):
            message = f"{text!r} does not name indices"
            facts = ["one name for each axis is wanted, in brackets and separated by commas"]
        elif len(names) != x.rank:
            kind = DimensionError
            indices = "index" if len(names) == 1 else "indices"
            message = f"{name} has {axes_in_words(x.rank)}, {text} names {len(names)} {indices}"
        elif twice:
            message = f"index {twice[0]} stands twice in {text}"
            facts = ["each new axis of the derivative has a name of its own"]
        elif taken:
            message = f"index {taken[0]} of {text} is already in use"
            indices = "indices" if len(used) > 1 else "index"
            facts = [f"the expression has the {indices} {', '.join(used)}"]
            hint = f"choose another letter, for example {example}"
        else:
            return x, names
        raise kind(message, facts=facts, hint=hint)

    def free_letters(self, x: Variable, used: Sequence[str]) -> tuple[str, ...]:
        """Letters for new axes: those that stood at the extent, else fresh ones."""
        chosen: list[str] = []
        for dim in x.shape:
            own = self.letters.get(dim, ())
            fresh = (letter for letter in INDICES if letter not in self.all_letters)
            more = (f"{c}{k}" for k in count(1) for c in "ijkl")
            chosen.append(free_name(chain(own, fresh, more), {*used, *chosen}))
        return tuple(chosen)

    def with_tensor(self, name: str, shape: Shape) -> tuple[Variable, Context]:
        """A tensor of the given shape under a name that is new, or that has this shape already."""
        if not isinstance(name, str) or not name.isidentifier():
            raise NotationError(
                f"{name!r} is no name",
                facts=["a name is a letter or _, then letters, digits and _"],
                hint="pass a name for the new tensor, for example 'v'",
            )
        known = self.variables.get(name)
        if known is not None and known.shape != shape:
            raise DimensionError(
                f"{name} has axes ({', '.join(map(str, known.shape))}) already",
                facts=[f"axes ({', '.join(map(str, shape))}) are needed"],
                hint="choose a name that the expression does not use",
            )
        x = Variable(name, shape)
        return x, replace(self, variables={**self.variables, name: x})


def variable_name(text: object) -> str:
    """The variable's name in `x` or `x[i,j]`; DerivativeError if there is none."""
    name = text.partition("[")[0].strip() if isinstance(text, str) else ""
    if not name:
        raise DerivativeError(
            f"{text!r} names no variable",
            facts=["a variable is given by its name, a text"],
            hint="pass it as in e.diff('x') or e.diff('x[i]')",
        )
    return name


class Meaning(NamedTuple):
    """What a program says: the term of its result, the names of its axes, and all that is known beside it."""

    term: Expr
    indices: tuple[str, ...]
    context: Context
