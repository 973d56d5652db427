"""The methods of deriving, by name.

In: a question and the name of a method. Out: its derivation.
Invariant: every method ends with the engine's own result.
"""

from __future__ import annotations

from importlib import import_module
from itertools import chain, count

from ..errors import DerivativeError
from ..notations import Context, variable_name
from .derivation import Derivation, Question

METHODS = ("index", "differential", "adjoint")  # each is a module, imported when it is first asked


def derive(question: Question, method: str) -> Derivation:
    """The derivation by a method; DerivativeError if there is no such method."""
    if not isinstance(method, str) or method not in METHODS:
        raise DerivativeError(
            f"unknown method {method!r}",
            facts=[f"known are {', '.join(map(repr, METHODS))}"],
            hint="leave it out for 'index'",
        )
    derivation: Derivation = import_module(f".{method}", __package__).derive(question)
    return derivation


def with_unused_letters(text: str, context: Context, indices: tuple[str, ...]) -> str:
    """The variable with letters for its axes that the user has not used; as given if it names them.

    So the user's own dummy indices stay what they are.
    """
    name = variable_name(text)
    x = context.variable(name)
    if "[" in text or not x.rank:
        return text
    taken = {letter for letters in context.letters.values() for letter in letters}
    taken.update(indices, context.variables, context.declared, context.definitions.values())
    numbered = (f"{letter}{k}" for k in count(1) for letter in "kl")
    fresh = (c for c in chain("klmnpqrstuvwijabcdefgh", numbered) if c not in taken)
    return f"{name}[{','.join(next(fresh) for _ in x.shape)}]"
