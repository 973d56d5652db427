"""To be said."""

from __future__ import annotations

from ..calculus import with_assumptions
from ..equality import decide
from ..errors import NotationError
from ..expressions import Expression
from ..terms import united


def equal(first: Expression, second: Expression, how: bool = False) -> bool | tuple[bool, str]:
    """Do two expressions agree for all arrays? Axes are compared in order, index names do not matter.

    With `how=True`: the answer and how it was found: "identity", "expansion", "modular" (exact evaluation
    modulo a prime at random points) or "floating point" (agreement to 1e-8 at random points).
    Raises DimensionError where a tensor has different ranks in the two.

    >>> from einderiv import parse
    >>> equal(parse("(a + b)^2"), parse("a^2 + 2*a*b + b^2"), how=True)
    (True, 'expansion')
    """
    for one in (first, second):
        if not isinstance(one, Expression):
            raise NotationError(
                f"an object of type {type(one).__name__} is compared",
                hint="pass Expressions: ed.parse(...)",
            )
    answer = _decided(first, second)
    return answer if how else answer[0]


def _decided(first: Expression, second: Expression) -> tuple[bool, str]:
    if len(first.shape) != len(second.shape):
        return False, "identity"
    if first == second:
        return True, "identity"
    same = [((0, a), (1, b)) for a, b in zip(first.shape, second.shape, strict=True)]
    (a, b), _ = united([(e._term, e._context.variables) for e in (first, second)], same)
    assumed = {**first._context.assumptions}
    for name, words in second._context.assumptions.items():
        assumed[name] = assumed.get(name, frozenset()) | words  # tensors of one name are one
    a, b = (with_assumptions(term, assumed) for term in (a, b))
    decision = decide(a, b, "quick")
    return decision.equal, "expansion" if decision.how == "identity" else decision.how
