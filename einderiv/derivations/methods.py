"""The methods of deriving, by name.

In: a question and the name of a method. Out: its derivation.
Invariant: every method ends with the engine's own result.
"""

from __future__ import annotations

from itertools import chain, count

from ..errors import DerivativeError
from ..notations import Context, variable_name
from . import index as index_method
from .derivation import Derivation, Method, Question

_LETTERS = "klmnpqrstuvwijabcdefgh"


def _differential(question: Question) -> Derivation:
    from .differential import derive

    return derive(question)


def _adjoint(question: Question) -> Derivation:
    from .adjoint import derive

    return derive(question)


METHODS: dict[str, Method] = {
    "index": index_method.derive,
    "differential": _differential,
    "adjoint": _adjoint,
}


def explained(question: Question, method: str) -> Derivation:
    """The derivation by a method; DerivativeError where there is no such method."""
    if not isinstance(method, str) or method not in METHODS:
        known = ", ".join(map(repr, METHODS))
        raise DerivativeError(
            f"unknown method {method!r}",
            facts=[f"known are {known}"],
            hint="leave it out for 'index'",
        )
    return METHODS[method](question)


def named_apart(text: str, context: Context, indices: tuple[str, ...]) -> str:
    """The variable with letters for its axes that the user has not used; as given where it names them.

    So the user's own dummy indices stay what they are.
    """
    name = variable_name(text)
    x = context.variable(name)
    if "[" in text or not x.rank:
        return text
    taken = {letter for letters in context.letters.values() for letter in letters}
    taken.update(indices, context.variables, context.declared, context.definitions.values())
    numbered = (f"{letter}{k}" for k in count(1) for letter in "kl")
    fresh = (letter for letter in chain(_LETTERS, numbered) if letter not in taken)
    return f"{name}[{','.join(next(fresh) for _ in x.shape)}]"
