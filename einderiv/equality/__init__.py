"""Decides whether two terms are equal, and says how surely.

In: terms. Out: a decision: by canonical form, by exact arithmetic at random points, in many digits, or in
floating point.
"""

from .deciding import (
    DIGITS,
    Decision,
    Samples,
    check_equal,
    decide,
    expanded_terms,
    how_equal,
    same_values,
)
from .digits import context
from .points import floats, symmetric_names

__all__ = [
    "DIGITS",
    "Decision",
    "Samples",
    "check_equal",
    "context",
    "decide",
    "expanded_terms",
    "floats",
    "how_equal",
    "same_values",
    "symmetric_names",
]
