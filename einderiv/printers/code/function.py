"""Expressions as a standalone function in NumPy, PyTorch or JAX, to paste where it is needed.

In: an expression, whether its gradient is wanted too, a target. Out: the text of a module with one
function, its docstring and the helpers that it calls.
Invariant: the text needs nothing but the target's library (and SciPy for NumPy's special functions). Names
of a user's are identifiers in it or text in a docstring, never code; it is not executed here. Value and
gradient are one function, so that what they share is computed once.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...errors import BackendError, DerivativeError, NotationError, NotMatrixFormError
from ...notations import Context
from ...terms import Expr, Extent, Shape, Variable, postorder
from .targets import HELPERS, STANDARD, TARGETS, Target, helper
from .terms import trees_of
from .text import Names, Writer, below

_WIDTH = 100  # columns
_NODES = 250  # of a term whose formula is shown in a docstring
_MANY = 6  # tensors named in the first line
_LINES = 12  # of such a formula
_FORMULA = 78  # columns of one line of it
_RESERVED = frozenset(
    {"np", "special", "torch", "jax", "jnp", "math", "itertools", "dtype", "device"}
    | set(dir(builtins))
    | HELPERS
)


class Coded(Protocol):
    """What is asked of an expression."""

    @property
    def term(self) -> Expr: ...
    def matrix(self, layout: str | None = None) -> str: ...
    def simplify(self) -> Coded: ...
    def grad(self, *variables: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an expression comes from: how often it was differentiated, by what (if known), its layout."""

    order: int = 0
    by: tuple[str, ...] = ()
    of: str = ""
    denominator: bool = False


def function_code(
    expression: Coded,
    hints: Context,
    target: object,
    name: object,
    with_grad: object,
    origin: Origin,
) -> str:
    """The text of a function of the expression, and of its gradient if that is wanted.

    `with_grad`: False; True for the gradient by every tensor; a name for one; a list of names for some.
    """
    words = _checked_target(target, name)
    parts = {"": expression.simplify()}  # by what each is the derivative
    if with_grad is not False:
        parts |= _gradients(expression, with_grad)
    roots = [part.term for part in parts.values()]
    parameters, uncovered = _parameters(roots, hints)
    names = Names(set(_RESERVED))
    shown = {x.name: _identifier(x.name, names) for x in parameters}
    sizes: dict[object, str] = {dim: _identifier(dim, names) for dim in uncovered}
    like = next((x for x in sorted(parameters, key=lambda x: not x.rank)), None)
    results, values = trees_of(roots, words, shown, like)
    used = below(results)
    extents = dict(sizes)
    for code in used:
        if code.op == "extent" and code.data[0] not in extents:
            extents[code.data[0]] = _identifier(str(code.data[0]), names)
    suggested = {
        values[node].code: _identifier(word, Names(set()))
        for node, word in hints.definitions.items()
        if node in values and values[node].code.op not in ("name", "value")
    }
    writer = Writer(names, extents, suggested)
    texts = writer.write(results)
    locals_ = {key: f"grad_{key}" if key else "value" for key in parts}
    if len(parts) > 1:
        texts = list(map(writer.name, results, locals_.values()))
    returned = ", ".join(texts)
    if len(parts) > 1 and not isinstance(with_grad, str):
        keys = [key.replace("\\", "\\\\").replace('"', '\\"') for key in list(parts)[1:]]
        pairs = zip(keys, texts[1:], strict=True)
        inside = ", ".join(f'"{_printable(key)}": {text}' for key, text in pairs)
        returned = f"{texts[0]}, {{{inside}}}"
    body = _extent_lines({d: n for d, n in extents.items() if d not in sizes}, parameters, shown)
    body += [line for local, text in writer.statements for line in _statement(f"{local} = ", text)]
    body += _statement("return ", returned)
    rows = []
    for x in parameters:
        formula = f", {x.name} in the formula" if shown[x.name] != x.name else ""
        rows.append((shown[x.name], _shape_words(x.shape, words) + formula))
    rows += [(size, "int, an extent that no array tells") for size in sizes.values()]
    for key, part in parts.items():
        left = f"returns {locals_[key]}" if len(parts) > 1 else "returns"
        rows.append((left, _shape_words(part.term.shape, words)))
    width = max(len(left) for left, _ in rows) + 1
    table = [f"    {left + ':':<{width}} {right}" for left, right in rows]
    document = [*_about(parts, hints, origin), "", "Shapes:", *table]
    document = [line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') for line in document]
    first, *rest = (_printable(line).rstrip() for line in document)
    paths = {str(code.data[0]) for code in used if code.op == "call"}
    helpers = [helper(path, words).rstrip().splitlines() for path in sorted(paths & HELPERS)]
    arguments = ", ".join([*shown.values(), *sizes.values()])
    whole = f"def {name}({arguments}):"
    text = [
        *_imports([*body, *(line for lines in helpers for line in lines)], words),
        *(line for lines in helpers for line in ("", "", *lines)),
        "",
        "",
        *_wrap(whole, f"def {name}(", f"{arguments},", "):", _WIDTH),
        *(f"    {line}".rstrip() for line in (f'"""{first}', *rest, '"""')),
        *(f"    {line}" for line in body),
    ]
    return "\n".join(text).lstrip("\n") + "\n"


def _checked_target(target: object, name: object) -> Target:
    """The target; BackendError or NotationError if there is none, or the function's name is none."""
    if not isinstance(target, str) or target not in TARGETS:
        raise BackendError(
            f"no code for {target!r}",
            facts=[f"there is code for {', '.join(TARGETS)}"],
            hint="choose one of these: e.code('numpy')",
        )
    plain = isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
    if not plain or name in _RESERVED:
        raise NotationError(
            f"{name!r} is no name for the function",
            facts=["it is a Python identifier that the code does not use itself"],
            hint="write for example name='gradient'",
        )
    return TARGETS[target]


def _gradients(expression: Coded, with_grad: object) -> dict[str, Coded]:
    if with_grad is True:
        return dict(expression.grad())
    names = [with_grad] if isinstance(with_grad, str) else with_grad
    if not isinstance(names, Sequence) or not all(isinstance(n, str) for n in names) or not names:
        raise DerivativeError(
            f"with_grad={with_grad!r} names no tensors",
            facts=["it is True for all of them, a name, or a list of names"],
            hint="write for example with_grad='th'",
        )
    if len(names) == 1:
        return {names[0].partition("[")[0].strip(): expression.grad(names[0])}
    return dict(expression.grad(*names))


def _identifier(name: str, names: Names) -> str:
    """A user's name as an identifier of its own: as it is if Python takes it, else near it."""
    plain = unicodedata.normalize("NFKC", name).replace("'", "_prime")
    plain = re.sub(r"\W", "_", plain)
    plain = next(word for word in (plain, f"x_{plain}", "x") if word.isidentifier())
    if keyword.iskeyword(plain) or plain in names.taken:
        plain += "_"
    return names.own(plain)


def _parameters(roots: Sequence[Expr], hints: Context) -> tuple[list[Variable], list[str]]:
    """The tensors that the function takes, and the extents that none of them tells."""
    ordered = postorder(roots)
    found = {node.name: node for node in ordered if isinstance(node, Variable)}
    needed: dict[str, None] = {}
    for node in ordered:
        own = (node.dim,) if isinstance(node, Extent) else ()
        if not node.children or node in roots:
            own = (*own, *node.shape)
        needed.update((dim, None) for dim in own if isinstance(dim, str))
    covered = {dim for x in found.values() for dim in x.shape}
    for name, x in hints.assumed_variables.items():  # a tensor may be there for an extent alone
        if name not in found and any(dim in needed and dim not in covered for dim in x.shape):
            found[name] = x
            covered.update(x.shape)
    order = [*hints.assumed_variables, *found]
    parameters = sorted(found.values(), key=lambda x: order.index(x.name))
    return parameters, [dim for dim in needed if dim not in covered]


def _extent_lines(
    extents: Mapping[object, str], parameters: Sequence[Variable], shown: Mapping[str, str]
) -> list[str]:
    """`n, d = X.shape` if all of its extents are used, else `n = X.shape[0]`."""
    waiting = list(extents)
    lines = []
    for x in sorted(parameters, key=lambda x: -sum(dim in waiting for dim in x.shape)):
        here = [dim for dim in dict.fromkeys(x.shape) if dim in waiting]
        shape = f"{shown[x.name]}.shape"
        if len(here) == len(x.shape) > 1:
            lines.append(f"{', '.join(extents[dim] for dim in x.shape)} = {shape}")
        else:
            lines += [f"{extents[dim]} = {shape}[{x.shape.index(dim)}]" for dim in here]
        waiting = [dim for dim in waiting if dim not in here]
    return lines


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def _statement(start: str, text: str) -> list[str]:
    """One statement on lines that are not too long."""
    return _wrap(start + text, f"{start}(", text, ")", _WIDTH - 4)


def _wrap(line: str, first: str, inside: str, last: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    return [first, *(f"    {part}" for part in _lines(inside, width - 4)), last]


def _lines(text: str, width: int) -> list[str]:
    """A text broken at its outermost operators and commas that fit."""
    lines = []
    while len(text) > width:
        places = [(depth, -place) for depth, place in _breaks(text) if 0 < place <= width]
        if not places:
            break
        place = -min(places)[1]
        lines.append(text[:place].rstrip())
        text = text[place:].lstrip()
    return [*lines, text]


def _breaks(text: str) -> list[tuple[int, int]]:
    """(depth, place) where a line may end: before an operator, after a comma."""
    found = []
    depth, quoted = 0, False
    for place, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        if quoted:
            continue
        depth += (character in "([{") - (character in ")]}")
        if character == " " and place:
            after = re.match(r"(\+|-|\*|/|@|if|else) ", text[place + 1 :])
            if after or text[place - 1] == ",":
                weight = 0 if (after and after[1] in "+-") or text[place - 1] == "," else 1
                found.append((2 * depth + weight, place))
    return found


def _imports(lines: Sequence[str], target: Target) -> list[str]:
    """The imports of what the code names; the standard library first."""
    heads = {head for line in lines for head in re.findall(r"\b([a-z]+)\.", line)}
    standard = [text for head, text in STANDARD.items() if head in heads]
    others = [text for head, text in target.imports.items() if head in heads]
    return [*standard, *([""] if standard and others else []), *others]


def _shape_words(shape: Shape, target: Target) -> str:
    inside = ", ".join(map(str, shape))
    return (f"({inside},)" if len(shape) == 1 else f"({inside})") if shape else target.scalar


def _about(parts: Mapping[str, Coded], hints: Context, origin: Origin) -> list[str]:
    """The first lines of the docstring: what it is, its formulas, where they come from."""
    subject = hints.name or "the expression"
    keys = list(parts)[1:]
    layout = "denominator" if origin.denominator else "numerator"
    if keys:
        by = ", ".join(keys) if len(keys) <= _MANY else f"its {len(keys)} tensors"
        capital = len(subject) > 2 and not subject.isupper()
        called = subject[0].upper() + subject[1:] if capital else subject
        first = f"{called} and its gradient with respect to {by}."
        source = "Gradient derived symbolically by einderiv; its shape is that of the variable."
    elif origin.order:
        kind = {1: "Derivative", 2: "Second derivative"}.get(
            origin.order, f"Derivative of order {origin.order}"
        )
        of = origin.of or hints.name
        names = origin.by[:1] if len(set(origin.by)) == 1 else origin.by
        by = f" with respect to {', then '.join(names)}" if names else ""
        first = f"{kind}{f' of {of}' if of else ''}{by}."
        source = f"Derived symbolically by einderiv in {layout} layout."
    else:
        first = f"Value of {subject}." if hints.name else "Value of a tensor expression."
        source = "Generated by einderiv."
    formulas = [line for key, part in parts.items() for line in _formulas(part, key)]
    return [first, "", *formulas, source]


def _formulas(expression: Coded, key: str) -> list[str]:
    """The formula in index form and, if there is one, in matrix form."""
    if len(postorder([expression.term])) > _NODES:
        return []
    lines = [f"By {key}:"] if key else []
    indent = "    " if key else ""
    own = _statements(str(expression))
    folded = [part for line in own for part in _docstring_lines(line)]
    if len(folded) == 1:
        lines.append(f"{indent}Index form:   {folded[0]}")
    elif len(folded) <= _LINES:
        lines += [f"{indent}Index form:", *(f"{indent}    {part}" for part in folded)]
    try:
        own = _statements(expression.matrix())
    except NotMatrixFormError:
        return lines
    if len(own) == 1 and len(own[0]) <= _FORMULA and "ones(" not in own[0]:
        lines.append(f"{indent}Matrix form:  {own[0]}")
    return lines


def _statements(text: str) -> list[str]:
    """The lines of a text that are not declarations."""
    heads = [(line, line.partition(" : ")) for line in text.splitlines()]
    return [line for line, (head, colon, _) in heads if not colon or not head.isidentifier()]


def _docstring_lines(line: str) -> list[str]:
    """A formula on lines of the docstring's width, broken before its signs if there are any."""
    lines, rest = [], line
    while len(rest) > _FORMULA:
        signs = [k for k in range(20, _FORMULA) if rest[k : k + 3] in (" + ", " - ")]
        others = [k for k in range(20, _FORMULA) if rest[k] in "*/+-, "]
        place = (signs or others or [_FORMULA])[-1]
        lines.append(rest[:place].rstrip())
        rest = "    " + rest[place:].lstrip()
    return [*lines, rest]
