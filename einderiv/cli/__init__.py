"""The command line: `einderiv EXPR --wrt x` and its subcommands.

In: arguments, standard input, data files. Out: text or files, an exit code.
Offers `main`.
"""

from .commands import main

__all__ = ["main"]
