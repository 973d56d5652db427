"""Judges a derivative that someone claims, and compares expressions.

In: an expression, a variable, a claim. Out: `Verdict`: right or wrong, the likely mistake, a counterexample.
"""

from .checker import check, equal
from .claims import read_expression
from .quotients import check_derivative
from .verdicts import Verdict

__all__ = [
    "Verdict",
    "check",
    "check_derivative",
    "equal",
    "read_expression",
]
