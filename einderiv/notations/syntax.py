"""The surface tree: what a notation's text says, before any meaning is given to it.

In: nothing; these are records that every parser fills. Names and spans are the user's.
Out: `Text`, read by the elaborator.
Invariant: a node's span covers the spans of its parts; nothing here knows about terms; no walk recurses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from ..errors import Span
from ..terms import functions


@dataclass(slots=True, eq=False)
class Index:
    """An index as written: `i`, or `i:n` with its extent (a name or a number)."""

    name: str
    extent: str | int | None
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """A number, exact: `0.5` is one half."""

    value: Fraction
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """A name without brackets: a scalar, an extent, or a whole tensor inside `det(...)`."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """`A[i,j]`, and the special tensors `delta[i,j]`, `ones[i]`, `size[i]`, ..."""

    name: str
    indices: tuple[Index, ...]
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """`f(a, b)`, `sum[i](a)`, `inv[i,j](a)[p,q]`, `inv(A)[p,q]`; None without brackets."""

    function: str
    kept: tuple[Index, ...] | None
    arguments: tuple[Node, ...]
    subscript: tuple[Index, ...] | None
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """`a < b` and its kin, allowed as an argument only."""

    operator: str  # one of < <= > >= == !=
    left: Node
    right: Node
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Negative:
    """`-a`."""

    operand: Node
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Power:
    """`a^b`."""

    base: Node
    exponent: Node
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A chain of `*` and `/`: factors, each with True if it divides."""

    factors: tuple[tuple[bool, Node], ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Sum:
    """A chain of `+` and `-`: terms, each with True if it is subtracted."""

    terms: tuple[tuple[bool, Node], ...]
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Parentheses: a scope of the summation convention. Nested ones are one Group."""

    inner: Node
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Transpose:
    """`A'`, in matrix notation."""

    operand: Node
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Pointwise:
    """`A .* B` and its kin, in matrix notation: entry by entry."""

    operator: str  # one of .* ./ .^
    left: Node
    right: Node
    span: Span


Leaf = Number | Name | Access
Node = Leaf | Call | Comparison | Negative | Power | Product | Sum | Group | Transpose | Pointwise


@dataclass(frozen=True, slots=True, eq=False)
class Declaration:
    """`X : (n, d) symmetric`."""

    name: str
    axes: tuple[str | int, ...]
    assumptions: tuple[str, ...]
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """`r[a] = ...`, `J = ...` or a bare expression (name None); indices None without brackets."""

    name: str | None
    indices: tuple[Index, ...] | None
    expression: Node
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """A whole program as written, with its source for error messages."""

    source: str
    statements: tuple[Declaration | Definition, ...]


def tree_nodes(root: Node) -> list[Node]:
    """Every node of a surface tree, in the order of the text."""
    found: list[Node] = []
    stack = [root]
    while stack:
        node = stack.pop()
        found.append(node)
        stack.extend(reversed(parts(node)))
    return found


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes directly inside a node, in the order of the text."""
    match node:
        case Call():
            return node.arguments
        case Comparison() | Pointwise():
            return node.left, node.right
        case Negative() | Transpose():
            return (node.operand,)
        case Power():
            return node.base, node.exponent
        case Product():
            return tuple(factor for _, factor in node.factors)
        case Sum():
            return tuple(term for _, term in node.terms)
        case Group():
            return (node.inner,)
    return ()


def indices_of(node: Node) -> tuple[Index, ...]:
    """The indices at a node itself."""
    if isinstance(node, Access):
        return node.indices
    if isinstance(node, Call):
        return (*(node.kept or ()), *(node.subscript or ()))
    return ()


def full_name(given: str) -> str:
    """The name in the table of functions: `ln` is log."""
    return functions.ALIASES.get(given, given)


def is_matrix_function(node: Call) -> bool:
    """Does the call name a function of matrices?"""
    return full_name(node.function) in functions.MATRIX_FUNCTIONS


# In a text these are written with signs or not at all; no message offers them.
_UNSPOKEN = {"pi", "pow", "prodexcept", *functions.COMPARISONS.values()}
NAMES = {"sum", "mean", "tr", "solve", *functions.ELEMENTWISE, *functions.WHOLE}
KNOWN = sorted(NAMES - _UNSPOKEN)


def result_rank(name: str) -> int:
    """The axes of a matrix function's result beside batch axes; for solve those of a vector."""
    if name in ("tr", "solve"):
        return int(name == "solve")
    return functions.core_ranks(functions.WHOLE[name].signature)[1]


def is_chained(name: str) -> bool:
    """Does a function make a matrix of a matrix?"""
    return name in functions.MATRIX_FUNCTIONS and result_rank(name) == 2


def brackets(letters: Iterable[str]) -> str:
    """`[i,j]`, and nothing without letters."""
    inside = ",".join(letters)
    return f"[{inside}]" if inside else ""


def whole_chain(node: Node) -> tuple[list[str], str]:
    """`inv(cholesky(A))` as the functions, outermost first, and the tensor's name."""
    chain = []
    while isinstance(node, Call):
        chain.append(full_name(node.function))
        node = node.arguments[0]
    assert isinstance(node, Name)
    return chain, node.name
