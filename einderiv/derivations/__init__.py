"""Shows why: a derivation step by step.

In: an expression and a variable. Out: `Derivation`: lines, each with its rule and its law, each an equality
that was checked. Methods: by indices, by differentials, as a list of adjoints.
"""

from .derivation import Derivation, Question
from .methods import METHODS, derive, with_unused_letters

__all__ = ["METHODS", "Derivation", "Question", "derive", "with_unused_letters"]
