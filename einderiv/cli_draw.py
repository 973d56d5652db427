"""The command `einderiv draw`, and pictures on standard output.

In: the options of an expression. Out: Graphviz text, SVG, PNG or a pattern of zeros, printed or in a file.
Invariant: nothing binary is written to a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from .errors import DataError
from .expression import Expression
from .functional import compile
from .pictures.picture import Drawn

Command = Callable[..., None]
Derived = Callable[..., tuple[Expression, Expression]]


def add_draw(
    commands: click.Group,
    expression_options: Callable[[Command], Command],
    derived: Derived,
    sizes_of: Callable[[Sequence[str]], Mapping[str, int]],
) -> None:
    """Register `draw` with a group; the options are those of the other commands."""

    @commands.command("draw")
    @expression_options
    @click.option(
        "--what",
        type=click.Choice(["network", "graph", "spy", "plan"]),
        help="network: tensors joined by summed indices; graph: operations; spy: where a derivative "
        "is zero; plan: the steps of the compiled program. By default network or graph, as fits.",
    )
    @click.option(
        "--to",
        type=click.Choice(["dot", "txt", "svg", "png"]),
        help="Graphviz text (by default), for spy text (by default); pictures: svg, png.",
    )
    @click.option("--size", multiple=True, metavar="n=5", help="An extent, for --what spy.")
    @click.option("--out", metavar="FILE", help="Write to .dot, .txt, .svg or .png.")
    def draw_command(
        text: str,
        what: str | None,
        to: str | None,
        size: Sequence[str],
        out: str | None,
        **options: Any,
    ) -> None:
        """Draw EXPR, or its derivative.

        \b
        einderiv draw "A[i,j]*B[j,k]*x[k]" | dot -Tsvg > network.svg
        einderiv draw "(X[a,b]*th[b] - Y[a])^2" --wrt th --what graph --out graph.png
        einderiv draw "Y[i,p] = X[i,j]*B[j,p]" --wrt X --what spy
        """
        if size and what != "spy":
            raise click.UsageError("--size needs --what spy", click.get_current_context())
        expression, result = derived(text, **options)
        chosen = result if options["wrt"] else expression
        picture: Drawn
        if what == "spy":
            picture = chosen.spy(sizes_of(size))
        else:
            picture = compile(chosen).draw() if what == "plan" else chosen.draw(what)
        write_picture(picture, to, out)


def write_picture(picture: Drawn, to: str | None = None, out: str | None = None) -> None:
    """Write to a file, of the kind that its name ends in; without one to standard output, as text first."""
    kind = to or (Path(out).suffix.removeprefix(".").lower() if out else picture.text_kind)
    data = picture.as_bytes(kind, out or "")
    if out is not None:
        picture.write(out, data)
        return
    if sys.stdout.isatty() and kind == "png":
        raise DataError(
            "a PNG is nothing that a terminal shows",
            hint="pass --out picture.png, or redirect the output to a file",
        )
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:
        sys.stdout.write(data.decode())
        return
    sys.stdout.flush()
    stream.write(data)
    stream.flush()
