"""Differentiates and simplifies.

In: terms. Out: terms. Offers `gradient` (one reverse sweep), `pushforward`, the laws that simplify, signs.
"""

from .differentiator import gradient, identity, pushforward, sweep
from .rules import Placed, derivative_of, differential_of, instantiate, scalar_rule
from .signs import is_nonnegative
from .simplifier import declared_everywhere, expand, same_up_to_extents, simplify, with_assumptions

__all__ = [
    "Placed",
    "declared_everywhere",
    "derivative_of",
    "differential_of",
    "expand",
    "gradient",
    "identity",
    "instantiate",
    "is_nonnegative",
    "pushforward",
    "same_up_to_extents",
    "scalar_rule",
    "simplify",
    "sweep",
    "with_assumptions",
]
