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
    parameters, untold = _parameters(roots, hints)
    names = Names(set(_RESERVED))
    shown = {x.name: _identifier(x.name, names) for x in parameters}
    sizes = {dim: _identifier(dim, names) for dim in untold}
    like = next((x for x in sorted(parameters, key=lambda x: not x.rank)), None)
    results, values = trees_of(roots, words, shown, like)
    used = below(results)
    extents: dict[object, str] = {}
    extents.update(sizes)
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
        pairs = zip(results, locals_.values(), strict=True)
        texts = [writer.name(code, local) for code, local in pairs]
    returned = ", ".join(texts)
    if len(parts) > 1 and not isinstance(with_grad, str):
        entries = zip(list(parts)[1:], texts[1:], strict=True)
        inside = ", ".join(f"{_string_constant(key)}: {text}" for key, text in entries)
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
    first, *rest = map(_in_docstring, document)
    paths = {str(code.data[0]) for code in used if code.op == "call"}
    helpers = [helper(path, words).rstrip().splitlines() for path in sorted(paths & HELPERS)]
    text = [
        *_imports([*body, *(line for lines in helpers for line in lines)], words),
        *(line for lines in helpers for line in ("", "", *lines)),
        "",
        "",
        *_wrapped_call(f"def {name}(", [*shown.values(), *sizes.values()], "):"),
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
        found: dict[str, Coded] = expression.grad()
        return found
    names = [with_grad] if isinstance(with_grad, str) else with_grad
    if not isinstance(names, Sequence) or not all(isinstance(n, str) for n in names) or not names:
        raise DerivativeError(
            f"with_grad={with_grad!r} names no tensors",
            facts=["it is True for all of them, a name, or a list of names"],
            hint="write for example with_grad='th'",
        )
    if len(names) == 1:
        return {names[0].partition("[")[0].strip(): expression.grad(names[0])}
    several: dict[str, Coded] = expression.grad(*names)
    return several


# ---------------------------------------------------------------- names


def _identifier(name: str, names: Names) -> str:
    """A user's name as an identifier of its own: as it is if Python takes it, else near it."""
    plain = unicodedata.normalize("NFKC", name).replace("'", "_prime")
    plain = re.sub(r"\W", "_", plain)
    if not plain.isidentifier():
        plain = f"x_{plain}"
    if not plain.isidentifier():
        plain = "x"
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
    told = {dim for x in found.values() for dim in x.shape}
    for name, x in hints.assumed.items():  # a tensor may be there for an extent alone
        if name not in found and any(dim in needed and dim not in told for dim in x.shape):
            found[name] = x
            told.update(x.shape)
    order = [*hints.assumed, *found]
    parameters = sorted(found.values(), key=lambda x: order.index(x.name))
    return parameters, [dim for dim in needed if dim not in told]


# ---------------------------------------------------------------- the body


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


def _string_constant(text: str) -> str:
    """A text as a string constant."""
    inside = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_printable(inside)}"'


def _in_docstring(line: str) -> str:
    text = line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return _printable(text).rstrip()


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def _statement(start: str, text: str) -> list[str]:
    """One statement on lines that are not too long."""
    if len(start) + len(text) + 4 <= _WIDTH:
        return [start + text]
    return [f"{start}(", *(f"    {line}" for line in _lines(text, _WIDTH - 8)), ")"]


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


def _wrapped_call(start: str, words: Sequence[str], end: str) -> list[str]:
    line = f"{start}{', '.join(words)}{end}"
    if len(line) <= _WIDTH:
        return [line]
    return [start, *(f"    {line}" for line in _lines(", ".join(words) + ",", _WIDTH - 4)), end]


def _imports(lines: Sequence[str], target: Target) -> list[str]:
    """The imports of what the code names; the standard library first."""
    heads = {head for line in lines for head in re.findall(r"\b([a-z]+)\.", line)}
    standard = [text for head, text in STANDARD.items() if head in heads]
    others = [text for head, text in target.imports.items() if head in heads]
    return [*standard, *([""] if standard and others else []), *others]


def _shape_words(shape: Shape, target: Target) -> str:
    if not shape:
        return target.scalar
    return f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(map(str, shape))})"


# ---------------------------------------------------------------- docstring


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
    if not _is_small(expression.term):
        return []
    lines = [f"By {key}:"] if key else []
    indent = "    " if key else ""
    own = [line for line in str(expression).splitlines() if not _is_declaration(line)]
    folded = [part for line in own for part in _docstring_lines(line)]
    if len(folded) == 1:
        lines.append(f"{indent}Index form:   {folded[0]}")
    elif len(folded) <= _LINES:
        lines += [f"{indent}Index form:", *(f"{indent}    {part}" for part in folded)]
    try:
        matrix = expression.matrix()
    except NotMatrixFormError:
        matrix = ""
    own = [line for line in matrix.splitlines() if not _is_declaration(line)]
    if len(own) == 1 and len(own[0]) <= _FORMULA and "ones(" not in own[0]:
        lines.append(f"{indent}Matrix form:  {own[0]}")
    return lines


def _is_small(term: Expr) -> bool:
    """Has it few enough nodes to be read? Looks at no more than these."""
    seen, waiting = {term}, [term]
    while waiting and len(seen) <= _NODES:
        new = [child for child in waiting.pop().children if child not in seen]
        seen.update(new)
        waiting += dict.fromkeys(new)
    return len(seen) <= _NODES


def _is_declaration(line: str) -> bool:
    head, colon, _ = line.partition(" : ")
    return bool(colon) and head.isidentifier()


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
