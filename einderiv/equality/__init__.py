"""Decides whether two terms are equal, and says how surely.

In: terms. Out: a verdict: by canonical form, by exact arithmetic at random points, or in floating point.
"""

from .checking import check_equal, how_equal
from .deciding import DIGITS, Decision, Samples, decide, expanded_terms, same_values
from .digits import context, to_fraction
from .equality import _modular, agree_in_floats
from .evaluating import TooLargeError
from .points import symmetric_names
from .reference import is_rational

__all__ = [
    "DIGITS",
    "Decision",
    "Samples",
    "TooLargeError",
    "_modular",
    "agree_in_floats",
    "check_equal",
    "context",
    "decide",
    "expanded_terms",
    "how_equal",
    "is_rational",
    "same_values",
    "symmetric_names",
    "to_fraction",
]
