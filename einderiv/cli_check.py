"""The command `einderiv check`: a verdict on a claimed derivative.

In: the group of commands, and how it reads an expression. Out: one more command.
Invariant: exit code 0 for a correct claim only, 1 for every other verdict, 2 for bad input.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from .checker import check
from .claims import read_expression
from .expression import Expression

Read = Callable[..., tuple[Expression, Expression]]
Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def add_check(
    commands: click.Group,
    expression_options: Decorator,
    read: Read,
    text_of: Callable[[str], str],
    declared: Callable[[str], dict[str, tuple[str | int, ...]]],
    assumed: Callable[[Sequence[str]], dict[str, list[str]]],
) -> None:
    """Registers `check` beside the other commands, with their options."""

    @commands.command("check")
    @expression_options
    @click.option(
        "--claim",
        required=True,
        metavar="TEXT",
        help="The derivative that somebody claims; - and @file as for EXPR.",
    )
    @click.option(
        "--claim-notation",
        metavar="NAME",
        help="The notation of the claim; without it index, matrix and LaTeX are tried.",
    )
    @click.option(
        "--to", type=click.Choice(["text", "json"]), default="text", help="What to print."
    )
    @click.pass_context
    def check_command(
        context: click.Context,
        /,
        text: str,
        claim: str,
        claim_notation: str | None,
        to: str,
        wrt: Sequence[str],
        order: int | None,
        layout: str | None,
        **options: Any,
    ) -> None:
        """Say whether a claimed derivative of EXPR is right, and what is the matter with it if not.

        \b
        einderiv check "J = (X[a,b]*th[b]-Y[a])*(X[a,c]*th[c]-Y[a])/n" --wrt th \\
            --claim "2*X'*(X*th-Y)/n"
        einderiv check "x'*A*x" --wrt x --claim "2*A*x" --assume "A symmetric"

        Without --notation the notations are tried for EXPR, too. Exit codes: 0 the claim is correct as it
        stands, 1 it is not (also if it is correct up to layout, that is, transposed), 2 bad input.
        """
        if not wrt:
            raise click.UsageError("check needs --wrt", context)
        source = context.get_parameter_source("notation")
        if source == click.core.ParameterSource.DEFAULT and options["operands"] is None:
            expression = read_expression(
                text_of(text), declared(options["shapes"] or ""), assumed(options["assume"])
            )
        else:
            expression, _ = read(text, wrt=(), order=None, layout=None, **options)
        verdict = check(
            expression,
            wrt,
            text_of(claim),
            claim_notation,
            order=1 if order is None else order,
            layout=layout,
        )
        if to == "json":
            print(json.dumps(verdict.facts(), ensure_ascii=False))
        else:
            print(verdict)
        context.exit(0 if verdict.correct else 1)
