"""The command `einderiv`: derive, explain, check, draw and run expressions from a shell.

In: arguments, standard input, files. Out: text on standard output, an exit code.
Invariant: the code is 0 if all is well, 1 if a claim is not correct, 2 for bad input, with one message on
standard error. No traceback is shown, and nothing binary reaches a terminal.
"""

from __future__ import annotations

import functools
import io
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from .. import __version__
from ..checking import check, read_expression
from ..derivations import METHODS
from ..errors import DataError, EinderivError, NotationError, NotMatrixFormError
from ..expressions import Expression, compile, parse
from ..notations import read_subscripts
from ..printers import TARGETS, Drawn, Origin, function_code
from ..programs import einsum_report
from .datafiles import Array, format_of, read_arrays, write_array
from .demo import demo_text

_LONG = 70  # characters of an expression that is named by its text
INTERRUPTED = 130  # as a shell reports a process ended by SIGINT ...
BROKEN_PIPE = 141  # ... and by SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (that of the process by default); its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # θ on an ASCII terminal is \u03b8, not a crash
            stream.reconfigure(errors="backslashreplace")
    try:
        code = 0
        try:
            words = list(sys.argv[1:] if arguments is None else arguments)
            with commands.make_context("einderiv", words) as context:
                commands.invoke(context)
        except click.exceptions.Exit as done:
            code = done.exit_code
        if sys.stdout is not None:  # it is None if the shell closed it
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "einderiv"
        dash = "; an EXPR that begins with - stands after --"
        advice = f"see {command} --help{dash if isinstance(error, click.NoSuchOption) else ''}"
        message = f"UsageError: {error.format_message()}\n  {advice}"
    except EinderivError as error:
        message = f"{type(error).__name__}: {error}"
    except MemoryError as error:
        message = f"ResourceLimitError: not enough memory: {error}"
    except OSError as error:
        _discard_output()
        message = f"DataError: cannot write the output: {error.strerror or error}"
    except Exception as error:
        *_, place = traceback.extract_tb(error.__traceback__)
        kind, where = type(error).__name__, f"{place.filename}:{place.lineno}"
        advice = "this is a bug in einderiv, please report it with the expression"
        message = f"InternalError: {kind}: {error} at {where}\n  {advice}"
    if sys.stderr is not None:
        print(message, file=sys.stderr)
    return 2


def _discard_output() -> None:
    """What is still buffered goes nowhere, else Python complains when it closes the stream."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # not a file of the system: nothing to close
        pass


class _Commands(click.Group):
    """Subcommands; a command line that names none of them is one of `diff`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:
            args = ["--help"]
        elif args[0] not in {*self.commands, "-h", "--help", "--version"}:
            args = ["diff", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@dataclass(frozen=True, slots=True)
class Question:
    """EXPR, and what says how to read and to differentiate it."""

    text: str
    wrt: tuple[str, ...]
    order: int | None
    layout: str | None
    shapes: str | None
    assume: tuple[str, ...]
    notation: str
    operands: str | None

    def expression(self) -> Expression:
        """The expression itself."""
        names = [name.strip() for name in (self.operands or "").split(",")]
        return parse(
            _program_text(self.text),
            self.notation,
            operands=None if self.operands is None else names,
            shapes=_declarations(self.shapes or ""),
            assume=_assumptions(self.assume),
        )

    def answer(self) -> tuple[Expression, Expression]:
        """The expression and its derivative; without --wrt the expression, simplified."""
        if not self.wrt and (self.order is not None or self.layout is not None):
            option = "--order" if self.order is not None else "--layout"
            raise click.UsageError(f"{option} needs --wrt", click.get_current_context())
        expression = self.expression()
        if not self.wrt:
            return expression, expression.simplify()
        layout = self.layout or "numerator"
        return expression, expression.diff(*self.wrt, order=self.times, layout=layout)

    @property
    def times(self) -> int:
        """How often to differentiate by each --wrt."""
        return 1 if self.order is None else self.order


def _asks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a `Question`, which is its first argument."""

    @functools.wraps(command)
    def ask(**options: Any) -> None:
        question = Question(*map(options.pop, Question.__match_args__))
        command(question, **options)

    options = (
        click.argument("text", metavar="EXPR"),
        click.option(
            "--wrt",
            multiple=True,
            metavar="X",
            help="Differentiate by this tensor; 'X[i,j]' names the new indices. "
            "Repeat it for a mixed derivative.",
        ),
        click.option("--order", type=int, metavar="N", help="Differentiate N times by each --wrt."),
        click.option(
            "--layout",
            type=click.Choice(["numerator", "denominator"]),
            help="numerator (default): EXPR's axes, then those of X; denominator: X's first.",
        ),
        click.option("--shapes", metavar="TEXT", help="Declare tensors: 'X:(n,d) th:(d)'."),
        click.option(
            "--assume",
            multiple=True,
            metavar="TEXT",
            help="'Q symmetric' (or spd, positive, nonnegative).",
        ),
        click.option(
            "--notation",
            default="index",
            metavar="NAME",
            help="The notation of EXPR: index (default), matrix, einsum or latex.",
        ),
        click.option(
            "--operands", metavar="NAMES", help="Operands of an einsum string: 'A,x' (A,B,C,...)."
        ),
    )
    for option in reversed(options):
        ask = option(ask)
    return ask


def _program_text(text: str) -> str:
    """EXPR itself, standard input for `-`, a file's text for `@file`."""
    if text != "-" and not text.startswith("@"):
        return text
    place = "standard input" if text == "-" else text[1:]
    try:
        if text != "-":
            return Path(place).read_text(encoding="utf-8-sig")
        binary = getattr(sys.stdin, "buffer", None)
        return binary.read().decode("utf-8-sig") if binary else sys.stdin.read()
    except OSError as error:
        raise DataError(
            f"cannot read the expression from {place}: {error.strerror or error}",
            hint="name a text file after @, or write the expression itself",
        ) from None
    except ValueError as error:  # UnicodeDecodeError is one
        raise DataError(
            f"{place} is no text in UTF-8", facts=[str(error)], hint="save it as UTF-8"
        ) from None


_DECLARATION = re.compile(r"\s*([^\W\d]\w*)\s*:\s*\(([\w\s,]*)\)\s*[;,]?\s*")


def _declarations(text: str) -> dict[str, tuple[str | int, ...]]:
    """Shapes by name.

    >>> _declarations("X:(n, 3) th:(3) c:()")
    {'X': ('n', 3), 'th': (3,), 'c': ()}
    """
    shapes: dict[str, tuple[str | int, ...]] = {}
    start = 0
    while text[start:].strip():
        found = _DECLARATION.match(text, start)
        if found is None or found[1] in shapes:
            at = len(text) - len(text[start:].lstrip())
            raise NotationError(
                f"{found[1]} is declared twice" if found else "--shapes cannot be read here",
                source=text,
                spans=[(at, at + 1)],
                hint="write for example --shapes 'X:(n,d) th:(d)'",
            )
        words = [part.strip() for part in found[2].split(",") if part.strip()]
        shapes[found[1]] = tuple(int(word) if word.isdecimal() else word for word in words)
        start = found.end()
    return shapes


def _assumptions(texts: Sequence[str]) -> dict[str, list[str]]:
    """Assumptions by name.

    >>> _assumptions(["Q symmetric, x positive"])
    {'Q': ['symmetric'], 'x': ['positive']}
    """
    assumptions: dict[str, list[str]] = {}
    for part in re.split("[,;]", ",".join(texts)) if texts else ():
        name, *words = part.split() or [""]
        if not words:
            raise NotationError(
                f"--assume {part.strip()!r} lacks a tensor or a property",
                hint="write for example --assume 'Q symmetric'",
            )
        assumptions.setdefault(name, []).extend(words)
    return assumptions


def _sizes(items: Sequence[str]) -> dict[str, int]:
    sizes = {}
    for item in items:
        name, _, size = item.partition("=")
        if not size.strip().isdecimal():
            raise DataError(f"--size {item!r} gives no extent", hint="write for example --size n=5")
        sizes[name.strip()] = int(size)
    return sizes


# ------------------------------------------------------------ commands


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    options_metavar="",
    subcommand_metavar="EXPR [--wrt X] ... | COMMAND ...",
    epilog="EXPR may be - (standard input) or @file; one that begins with - stands after --. "
    "Exit codes: 0 fine, 1 a claim is not correct, 2 bad input.",
)
@click.version_option(__version__, message="einderiv %(version)s")
def commands() -> None:
    """Derivatives of tensor expressions, in index, matrix and einsum notation and LaTeX.

    \b
    einderiv "x[i]*Q[i,j]*x[j]" --wrt x
    einderiv "J = (X[a,b]*th[b]-Y[a])*(X[a,c]*th[c]-Y[a])/n" --wrt "th[d]"
    einderiv "norm2(X*w - y)^2" --notation matrix --wrt w

    A command line that names no command is one of diff.
    """


@commands.command("diff")
@_asks
@click.option(
    "--to",
    type=click.Choice(["index", "matrix", "latex", "einsum", *TARGETS, "dot", "png", "json"]),
    help="What to print; without it the index form, with the matrix form as a comment (for EXPR in "
    "matrix notation the other way round).",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --to json.")
def diff_command(question: Question, to: str | None, as_json: bool) -> None:
    """Print the derivative of EXPR; without --wrt EXPR itself, simplified.

    \b
    einderiv diff "x[i]*Q[i,j]*x[j]" --wrt x --order 2 --assume "Q symmetric"
    einderiv diff "A[i,j]*x[j]" --wrt x --layout denominator --to latex
    """
    expression, result = question.answer()
    if as_json or to == "json":
        print(json.dumps(_facts(question, expression, result), ensure_ascii=False))
    elif to in ("dot", "png"):
        _write_picture(result.draw(), to)
    elif to in TARGETS:
        print(_code_text(question, expression, result, to))
    elif to is None:
        print(_both_forms(question, result))
    elif to == "matrix":
        print(result.matrix(question.layout))
    else:  # index, latex, einsum
        print(str(result) if to == "index" else getattr(result, to)())


def _code_text(question: Question, expression: Expression, result: Expression, target: str) -> str:
    """The derivative as a function whose docstring names what was differentiated by what."""
    hints = result._context
    form = _matrix_or_none(expression, None) if question.notation == "matrix" else None
    text = (form or str(expression)).splitlines()[-1]
    times = question.order or 1
    names = tuple(x.partition("[")[0].strip() for x in question.wrt for _ in range(times))
    of = hints.name or (text if len(text) <= _LONG else "the expression")
    origin = Origin(len(names), names, of, question.layout == "denominator")
    return function_code(result, hints, target, "f", False, origin).rstrip("\n")


def _matrix_or_none(result: Expression, layout: str | None) -> str | None:
    try:
        return result.matrix(layout)
    except NotMatrixFormError:
        return None


def _both_forms(question: Question, result: Expression) -> str:
    """The form in the notation of the question, the other one as a comment under it."""
    index = str(result)
    try:
        matrix = result.matrix(question.layout)
    except NotMatrixFormError as error:
        near = error.hint or ""
        return f"{index}\n# {near}" if near.startswith("nearest") else index
    if question.notation == "matrix":
        return f"{matrix}\n# index: {'; '.join(index.splitlines())}"
    return f"{index}\n# matrix: {'; '.join(matrix.splitlines())}"


def _facts(question: Question, expression: Expression, result: Expression) -> dict[str, object]:
    return {
        "expression": str(expression),
        "wrt": list(question.wrt),
        "order": question.times if question.wrt else 0,
        "layout": question.layout or "numerator",
        "index": str(result),
        "latex": result.latex(),
        "matrix": _matrix_or_none(result, question.layout),
        "indices": list(result.indices),
        "shape": list(result.shape),
        "variables": {name: list(shape) for name, shape in result.variables.items()},
    }


@commands.command("run")
@_asks
@click.option(
    "--data",
    multiple=True,
    metavar="FILE",
    help="Arrays: file.npz (by name), file.csv (columns by name), X=file.npy, X=file.csv (a matrix, or a "
    "vector if it has one column), n=16. May be repeated.",
)
@click.option("--size", multiple=True, metavar="n=5", help="An extent that no array tells.")
@click.option("--out", metavar="FILE", help="Write the result to .npz (as 'value'), .npy or .csv.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object: shape, dtype, value (complex as [re, im]).",
)
def run_command(
    question: Question, data: Sequence[str], size: Sequence[str], out: str | None, as_json: bool
) -> None:
    """Evaluate EXPR, or its derivative, on arrays.

    \b
    einderiv run "x[i]*Q[i,j]*x[j]" --wrt x --data arrays.npz --out grad.npy
    einderiv run "J = (X[a,b]*th[b]-Y[a])*(X[a,c]*th[c]-Y[a])/n" --wrt th \\
        --data X=X.csv --data Y=Y.npy --data th=th.npy --data n=16
    """
    if out is not None:
        format_of(out, "write")  # before anything is computed
    _, result = question.answer()
    arrays = read_arrays(data, result.variables)
    value = np.asarray(result(arrays, sizes=_sizes(size)))
    if out is not None:
        write_array(out, value, str(result))
    if as_json:
        facts = {"shape": value.shape, "dtype": str(value.dtype), "value": _plain(value)}
        print(json.dumps(facts, allow_nan=False))
    elif out is None:
        print(repr(value) if value.ndim else str(value[()]))


def _plain(value: Array) -> Any:
    """Nested lists of numbers; JSON has no nan and no infinity, so these are the texts nan, inf, -inf."""
    if value.dtype.kind == "c":
        value = np.stack([value.real, value.imag], axis=-1)
    if np.isfinite(value).all():
        return value.tolist()
    flat = value.astype(object)
    flat[~np.isfinite(value)] = [str(x) for x in value[~np.isfinite(value)].tolist()]
    return flat.tolist()


@commands.command("einsum")
@click.argument("subscripts", metavar="SUBSCRIPTS")
@click.option(
    "--wrt",
    multiple=True,
    type=int,
    metavar="K",
    help="The operand to differentiate by, counted from 0; without it all of them.",
)
@click.option(
    "--shapes", metavar="TEXT", help="Shapes of the operands, for an ellipsis: '(2,3,4) (4,5)'."
)
def einsum_command(subscripts: str, wrt: Sequence[int], shapes: str | None) -> None:
    """Print the derivatives of an einsum string as einsum strings.

    \b
    einderiv einsum "ij,jk->ik" --wrt 0
    einderiv einsum "...ij,...jk->...ik" --wrt 1 --shapes "(5,2,3) (5,3,4)"
    """
    equation = read_subscripts(subscripts)
    given = None if shapes is None else _shapes_in_order(shapes)
    operands = wrt or range(len(equation.inputs))
    reports = (einsum_report(subscripts, operand, given) for operand in operands)
    print("\n\n".join(reports))


def _shapes_in_order(text: str) -> list[tuple[int, ...]]:
    """Shapes one after the other.

    >>> _shapes_in_order("(2, 3) (3,) ()")
    [(2, 3), (3,), ()]
    """
    if re.sub(r"\([\d\s,]*\)", "", text).strip(" ;,"):
        raise NotationError(
            f"--shapes {text!r} cannot be read",
            facts=["a shape is a list of whole numbers in brackets"],
            hint="write one for each operand, for example --shapes '(2,3) (3,4)'",
        )
    groups = re.findall(r"\(([\d\s,]*)\)", text)
    return [tuple(int(word) for word in group.replace(",", " ").split()) for group in groups]


@commands.command("demo")
def demo_command() -> None:
    """A derivation, and Newton steps on NIST's Longley data.

    \b
    einderiv demo
    """
    for part in demo_text():
        print(part)


@commands.command("check")
@_asks
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
@click.option("--to", type=click.Choice(["text", "json"]), default="text", help="What to print.")
def check_command(question: Question, claim: str, claim_notation: str | None, to: str) -> None:
    """Say whether a claimed derivative of EXPR is right, and what is the matter with it if not.

    \b
    einderiv check "J = (X[a,b]*th[b]-Y[a])*(X[a,c]*th[c]-Y[a])/n" --wrt th \\
        --claim "2*X'*(X*th-Y)/n"
    einderiv check "x'*A*x" --wrt x --claim "2*A*x" --assume "A symmetric"

    Without --notation the notations are tried for EXPR, too. Exit codes: 0 the claim is correct as it
    stands, 1 it is not (also if it is correct up to layout, that is, transposed), 2 bad input.
    """
    context = click.get_current_context()
    if not question.wrt:
        raise click.UsageError("check needs --wrt", context)
    source = context.get_parameter_source("notation")
    if source == click.core.ParameterSource.DEFAULT and question.operands is None:
        expression = read_expression(
            _program_text(question.text),
            _declarations(question.shapes or ""),
            _assumptions(question.assume),
        )
    else:
        expression = question.expression()
    options: dict[str, Any] = {"order": question.times, "layout": question.layout}
    verdict = check(expression, question.wrt, _program_text(claim), claim_notation, **options)
    print(json.dumps(verdict.facts(), ensure_ascii=False) if to == "json" else verdict)
    context.exit(0 if verdict.correct else 1)


@commands.command("draw")
@_asks
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
    question: Question, what: str | None, to: str | None, size: Sequence[str], out: str | None
) -> None:
    """Draw EXPR, or its derivative.

    \b
    einderiv draw "A[i,j]*B[j,k]*x[k]" | dot -Tsvg > network.svg
    einderiv draw "(X[a,b]*th[b] - Y[a])^2" --wrt th --what graph --out graph.png
    einderiv draw "Y[i,p] = X[i,j]*B[j,p]" --wrt X --what spy
    """
    if size and what != "spy":
        raise click.UsageError("--size needs --what spy", click.get_current_context())
    expression, result = question.answer()
    chosen = result if question.wrt else expression
    picture: Drawn
    if what == "spy":
        picture = chosen.spy(_sizes(size))
    else:
        picture = compile(chosen).draw() if what == "plan" else chosen.draw(what)
    _write_picture(picture, to, out)


def _write_picture(picture: Drawn, to: str | None = None, out: str | None = None) -> None:
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


@commands.command("explain")
@_asks
@click.option(
    "--method",
    type=click.Choice(list(METHODS)),
    default="index",
    help="index (default): product and chain rule with Kronecker deltas.",
)
@click.option(
    "--to",
    type=click.Choice(["text", "latex", "html"]),
    default="text",
    help="What to print (text).",
)
def explain_command(question: Question, method: str, to: str) -> None:
    """Print why the derivative of EXPR is what it is, step by step.

    \b
    einderiv explain "J = (X[a,b]*th[b]-Y[a])*(X[a,c]*th[c]-Y[a])/n" --wrt "th[d]"
    einderiv explain "logdet(A)" --wrt A --to latex
    """
    context = click.get_current_context()
    if len(question.wrt) != 1:
        raise click.UsageError("explain needs --wrt once", context)
    if question.order is not None:
        raise click.UsageError("explain takes no --order: explain a first derivative", context)
    layout = question.layout or "numerator"
    derivation = question.expression().explain(question.wrt[0], method=method, layout=layout)
    print(derivation if to == "text" else getattr(derivation, to)())
