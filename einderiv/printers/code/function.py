"""Terms as a standalone function in NumPy, PyTorch or JAX, to paste where it is needed.

In: terms, what a program knows of them, a target. Out: the text of a module with one function, its
docstring and the helpers that it calls.
Invariant: the text needs nothing but the target's library (and SciPy for NumPy's special functions); names
of a user's stand in it as identifiers or as text in a docstring, never as code. It is not executed here.
Terms: `code_terms.py`; statements: `code_text.py`.
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
from ...terms import Delta, Dim, Expr, Extent, Ones, Shape, Variable, postorder
from .products import crowded
from .targets import HELPERS, STANDARD, TARGETS, Target, helper
from .terms import Translator
from .text import Code, Names, Writer, below

_WIDTH = 100  # columns
_RESERVED = frozenset(
    {"np", "special", "torch", "jax", "jnp", "math", "itertools", "dtype", "device"}
    | set(dir(builtins))
    | HELPERS
)


@dataclass(frozen=True, slots=True)
class Part:
    """One result: its term, its key where results are returned as a dict, the name of its local."""

    term: Expr
    key: str | None
    local: str


def code_of(
    parts: Sequence[Part],
    hints: Context,
    words: Target,
    name: str,
    about: Sequence[str] = (),
    mapped: bool = False,
) -> str:
    """The text of a function of the program's arrays that returns the parts.

    `about`: paragraphs of its docstring. `mapped`: return the parts after the first as a dict.
    """
    roots = [part.term for part in parts]
    parameters, untold = _parameters(roots, hints)
    names = Names(set(_RESERVED))
    shown = {x.name: _identifier(x.name, names) for x in parameters}
    sizes = {dim: _identifier(dim, names) for dim in untold}
    like = next((x for x in sorted(parameters, key=lambda x: not x.rank)), None)
    results, translator = _translated(roots, words, shown, like)
    used = below(results)
    extents: dict[object, str] = {}
    extents.update(sizes)
    for code in used:
        dim = code.data[0] if code.op == "extent" else None
        if isinstance(dim, str) and dim not in extents:
            extents[dim] = _identifier(dim, names)
    suggested = {
        translator.values[node].code: _identifier(word, Names(set()))
        for node, word in hints.definitions.items()
        if node in translator.values and translator.values[node].code.op not in ("name", "value")
    }
    writer = Writer(names, extents, suggested)
    texts = writer.write(results)
    if len(parts) > 1:
        texts = [writer.name(code, part.local) for code, part in zip(results, parts, strict=True)]
    body = _extent_lines(extents, sizes, parameters, shown)
    body += [line for local, text in writer.statements for line in _statement(f"{local} = ", text)]
    body += _statement("return ", _returned(texts, parts, mapped))
    document = _docstring(about, parameters, shown, sizes, parts, words)
    signature = _wrapped_call(f"def {name}(", [*shown.values(), *sizes.values()], "):")
    helpers = _helpers(used, words)
    lines = [*body, *(line for h in helpers for line in h.splitlines())]
    text = [
        *_imports(lines, words),
        *(line for h in helpers for line in ("", "", *h.rstrip().splitlines())),
        "",
        "",
        *signature,
        *(f"    {line}".rstrip() for line in document),
        *(f"    {line}" for line in body),
    ]
    return "\n".join(text).lstrip("\n") + "\n"


def check_request(target: object, name: object) -> tuple[Target, str]:
    """The target and the function's name; BackendError or NotationError where there is none such."""
    if not isinstance(target, str) or target not in TARGETS:
        raise BackendError(
            f"no code for {target!r}",
            facts=[f"there is code for {', '.join(TARGETS)}"],
            hint="choose one of these: e.code('numpy')",
        )
    plain = isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
    if not isinstance(name, str) or not plain or name in _RESERVED:
        raise NotationError(
            f"{name!r} is no name for the function",
            facts=["it is a Python identifier that the code does not use itself"],
            hint="write for example name='gradient'",
        )
    return TARGETS[target], name


# ---------------------------------------------------------------- names


def _identifier(name: str, names: Names) -> str:
    """A user's name as an identifier of its own: as it is where Python takes it, else near it."""
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
        dims: Sequence[Dim] = (node.dim,) if isinstance(node, Extent) else ()
        if isinstance(node, Ones | Delta) or not node.children or node in roots:
            dims = (*dims, *node.shape)
        needed.update((dim, None) for dim in dims if isinstance(dim, str))
    told = {dim for x in found.values() for dim in x.shape}
    for name, x in hints.assumed.items():  # a tensor may be there for an extent alone
        if name not in found and any(dim in needed and dim not in told for dim in x.shape):
            found[name] = x
            told.update(x.shape)
    order = [*hints.variables, *found]
    parameters = sorted(found.values(), key=lambda x: order.index(x.name))
    return parameters, [dim for dim in needed if dim not in told]


# ---------------------------------------------------------------- the body


def _translated(
    roots: Sequence[Expr], target: Target, shown: Mapping[str, str], like: Variable | None
) -> tuple[list[Code], Translator]:
    """The roots' trees; matrices that are inverted anyway, or solved with often, are inverted once."""
    explicit: set[Expr] = set()
    while True:
        translator = Translator(target, shown, like, explicit)
        results = translator.translate(roots)
        more = crowded(translator, results) - explicit
        if not more:
            return results, translator
        explicit |= more


def _extent_lines(
    extents: Mapping[object, str],
    sizes: Mapping[str, str],
    parameters: Sequence[Variable],
    shown: Mapping[str, str],
) -> list[str]:
    """`n, d = X.shape` where all of its extents are used, else `n = X.shape[0]`."""
    waiting = [dim for dim in extents if dim not in sizes]
    lines = []
    for x in sorted(parameters, key=lambda x: -sum(dim in waiting for dim in x.shape)):
        here = [dim for dim in dict.fromkeys(x.shape) if dim in waiting]
        if len(here) == len(x.shape) > 1:
            lines.append(f"{', '.join(extents[dim] for dim in x.shape)} = {shown[x.name]}.shape")
        else:
            lines += [
                f"{extents[dim]} = {shown[x.name]}.shape[{x.shape.index(dim)}]" for dim in here
            ]
        waiting = [dim for dim in waiting if dim not in here]
    return lines


def _returned(texts: Sequence[str], parts: Sequence[Part], mapped: bool) -> str:
    if not mapped:
        return ", ".join(texts)
    entries = [
        f"{_quoted(part.key or '')}: {text}" for text, part in zip(texts, parts, strict=True)
    ]
    return f"{texts[0]}, {{{', '.join(entries[1:])}}}"


def _quoted(text: str) -> str:
    """A text as a string constant."""
    inside = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in inside) + '"'


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


# ---------------------------------------------------------------- around the function


def _helpers(used: Sequence[Code], target: Target) -> list[str]:
    paths = {str(code.data[0]) for code in used if code.op == "call"}
    return [helper(name, target) for name in sorted(paths & HELPERS)]


def _imports(lines: Sequence[str], target: Target) -> list[str]:
    """The imports of what the code names; the standard library first."""
    heads = {head for line in lines for head in re.findall(r"\b([a-z]+)\.", line)}
    standard = [text for head, text in STANDARD.items() if head in heads]
    others = [text for head, text in target.imports.items() if head in heads]
    return [*standard, *([""] if standard and others else []), *others]


def _docstring(
    about: Sequence[str],
    parameters: Sequence[Variable],
    shown: Mapping[str, str],
    sizes: Mapping[str, str],
    parts: Sequence[Part],
    target: Target,
) -> list[str]:
    rows = [
        (
            shown[x.name],
            _shape_words(x.shape, target)
            + (f", {x.name} in the formula" if shown[x.name] != x.name else ""),
        )
        for x in parameters
    ]
    rows += [(size, "int, an extent that no array tells") for size in sizes.values()]
    results = [_shape_words(part.term.shape, target) for part in parts]
    if len(parts) == 1:
        rows.append(("returns", results[0]))
    else:
        rows += [(f"returns {part.local}", text) for part, text in zip(parts, results, strict=True)]
    width = max(len(left) for left, _ in rows) + 1
    table = [f"    {left + ':':<{width}} {right}" for left, right in rows]
    paragraphs = [*(line for text in about for line in ("", *text.splitlines()))][1:]
    lines = [line for line in [*paragraphs, "", "Shapes:", *table]]
    quoted = [_in_docstring(line) for line in lines]
    return [f'"""{quoted[0]}', *quoted[1:], '"""']


def _in_docstring(line: str) -> str:
    text = line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text).rstrip()


def _shape_words(shape: Shape, target: Target) -> str:
    if not shape:
        return "scalar" if target.name != "torch" else "scalar (a tensor without axes)"
    inside = ", ".join(map(str, shape))
    return f"({inside},)" if len(shape) == 1 else f"({inside})"


# What `Expression.code` prints: the parts of a function, and what its docstring says of them.
#
# In: an expression, whether its gradient is wanted too. Out: the text of a function.
# Invariant: value and gradient are one function, so that what they share is computed once.

_NODES = 250  # of a term whose formula is shown in a docstring
_MANY = 6  # tensors named in the first line
_LINES = 12  # of such a formula
_FORMULA = 78  # columns of one line of it


class Coded(Protocol):
    """What is asked of an expression."""

    @property
    def term(self) -> Expr: ...
    @property
    def indices(self) -> tuple[str, ...]: ...
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
    """The text of a function of the expression, and of its gradient where that is wanted.

    `with_grad`: False; True for the gradient by every tensor; a name for one; a list of names for some.
    """
    words, called = check_request(target, name)
    value = expression.simplify()
    if with_grad is False:
        part = Part(value.term, None, "value")
        return code_of([part], hints, words, called, _about([(value, "")], hints, origin))
    gradients = _gradients(expression, with_grad)
    parts = [Part(value.term, None, "value")]
    parts += [Part(g.term, key, f"grad_{key}") for key, g in gradients.items()]
    mapped = not isinstance(with_grad, str)
    shown = [(value, ""), *((g, key) for key, g in gradients.items())]
    about = _about(shown, hints, origin, gradient=True)
    return code_of(parts, hints, words, called, about, mapped)


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


# ---------------------------------------------------------------- docstring


def _about(
    shown: Sequence[tuple[Coded, str]], hints: Context, origin: Origin, gradient: bool = False
) -> list[str]:
    """The paragraphs of the docstring: what it is, its formulas, where they come from."""
    subject = hints.name or "the expression"
    formulas = [text for e, key in shown for text in _formulas(e, key, hints)]
    layout = "denominator" if origin.denominator else "numerator"
    derived = f"derived symbolically by einderiv in {layout} layout"
    if gradient:
        keys = [key for _, key in shown if key]
        by = ", ".join(keys) if len(keys) <= _MANY else f"its {len(keys)} tensors"
        first = f"{_capital(subject)} and its gradient with respect to {by}."
        source = "Gradient derived symbolically by einderiv; its shape is that of the variable."
    elif origin.order:
        kind = {1: "Derivative", 2: "Second derivative"}.get(
            origin.order, f"Derivative of order {origin.order}"
        )
        of = f" of {origin.of}" if origin.of else f" of {subject}" if hints.name else ""
        names = origin.by[:1] if len(set(origin.by)) == 1 else origin.by
        by = f" with respect to {', then '.join(names)}" if names else ""
        first = f"{kind}{of}{by}."
        source = f"Derived{derived.removeprefix('derived')}."
    else:
        first = f"Value of {subject}." if hints.name else "Value of a tensor expression."
        source = "Generated by einderiv."
    return [first, "\n".join([*formulas, source])]


def _capital(text: str) -> str:
    return text if len(text) < 3 or text.isupper() else text[0].upper() + text[1:]


def _formulas(expression: Coded, key: str, hints: Context) -> list[str]:
    """The formula in index form and, where there is one, in matrix form."""
    if not _is_small(expression.term):
        return []
    lines = [f"By {key}:"] if key else []
    indent = "    " if key else ""
    own = [line for line in str(expression).splitlines() if not _is_declaration(line)]
    folded = [part for line in own for part in _folded(line)]
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


def _folded(line: str) -> list[str]:
    """A formula on lines of the docstring's width, broken before its signs where there are any."""
    lines, rest = [], line
    while len(rest) > _FORMULA:
        signs = [k for k in range(20, _FORMULA) if rest[k : k + 3] in (" + ", " - ")]
        others = [k for k in range(20, _FORMULA) if rest[k] in "*/+-, "]
        place = (signs or others or [_FORMULA])[-1]
        lines.append(rest[:place].rstrip())
        rest = "    " + rest[place:].lstrip()
    return [*lines, rest]
