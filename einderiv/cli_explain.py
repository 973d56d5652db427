"""The command `einderiv explain`: the steps from an expression to its derivative.

In: the options of an expression. Out: a derivation as a ladder of text, LaTeX or HTML, printed.
Invariant: one variable, one derivative; bad input is refused as by the other commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from .explainer.derivation import Derivation
from .explainer.methods import METHODS
from .expression import Expression

Command = Callable[..., None]
Read = Callable[..., tuple[Expression, Expression]]

_FORMS: dict[str, Callable[[Derivation], str]] = {
    "text": str,
    "latex": Derivation.latex,
    "html": Derivation.html,
}


def add_explain(
    commands: click.Group, expression_options: Callable[[Command], Command], read: Read
) -> None:
    """Registers `explain` beside the other commands, with their options."""

    @commands.command("explain")
    @expression_options
    @click.option(
        "--method",
        type=click.Choice(list(METHODS)),
        default="index",
        help="index (default): product and chain rule with Kronecker deltas.",
    )
    @click.option(
        "--to", type=click.Choice(list(_FORMS)), default="text", help="What to print (text)."
    )
    @click.pass_context
    def explain_command(
        context: click.Context,
        /,
        text: str,
        method: str,
        to: str,
        wrt: Sequence[str],
        order: int | None,
        layout: str | None,
        **options: Any,
    ) -> None:
        """Print why the derivative of EXPR is what it is, step by step.

        \b
        einderiv explain "J = (X[a,b]*th[b]-Y[a])*(X[a,c]*th[c]-Y[a])/n" --wrt "th[d]"
        einderiv explain "logdet(A)" --wrt A --to latex
        """
        if len(wrt) != 1:
            raise click.UsageError("explain needs --wrt once", context)
        if order is not None:
            raise click.UsageError("explain takes no --order: explain a first derivative", context)
        expression, _ = read(text, wrt=(), order=None, layout=None, **options)
        derivation = expression.explain(wrt[0], method=method, layout=layout or "numerator")
        print(_FORMS[to](derivation))
