"""The table's rows as terms, and a row's term applied to real arguments.

In: a row of `functions.py`, text in our own notation.
Out: `derivative_of` (elementwise rows) and `pullback_of` (whole rows) over placeholder variables, made once;
`instantiate` puts terms in the place of the placeholders, with batch axes in front and wide axes behind.
Invariant: a row's text goes through the same parser, elaborator and canonical form as a user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ..errors import DerivativeError
from ..notations import elaborate
from ..terms import (
    ELEMENTWISE,
    WHOLE,
    Apply,
    Contraction,
    Delta,
    Dim,
    Expr,
    Extent,
    Label,
    Literal,
    Map,
    Ones,
    Shape,
    Subscript,
    Sum,
    Variable,
    add,
    contract,
    elementwise,
    postorder,
    whole,
)


@dataclass(frozen=True, slots=True)
class Placed:
    """A term with the batch labels of its leading axes; its other axes are the row's."""

    term: Expr
    batch: Subscript


@cache
def derivative_of(function: str, position: int) -> Expr | None:
    """The derivative of an elementwise function by its argument `position`, over scalars; None if none."""
    row = ELEMENTWISE[function]
    text = row.derivatives[position]
    if text is None:
        return None
    return _read(text, {name: () for name in row.arguments})


@cache
def differential_of(function: str) -> tuple[Expr, Variable, Variable]:
    """The differential of a whole row, its argument A and dA as variables."""
    row = WHOLE[function]
    if not row.differential:
        raise DerivativeError(
            f"{function} has no derivative here",
            facts=[f"the table of functions has no differential for {function}"],
            hint="keep the variable out of its argument, or ask for a derivative of lower order",
        )
    name = row.arguments[0]
    axes = ("n",) * (2 if row.matrix else 1)
    term = _read(row.differential, {name: axes, f"d{name}": axes})
    return term, Variable(name, axes), Variable(f"d{name}", axes)


@cache
def adjoint_of(function: str, cotangent: Variable) -> Expr:
    """What a whole row's differential gives back to its argument for a cotangent of its result."""
    row = WHOLE[function]
    axes = ("n",) * (2 if row.matrix else 1)
    return _read(row.adjoint, {row.arguments[0]: axes, cotangent.name: cotangent.shape})


def _read(text: str, shapes: Mapping[str, Shape]) -> Expr:
    from ..notations import parse_index

    return elaborate(parse_index(text), shapes).term


def instantiate(
    row: Expr,
    arguments: Mapping[Variable, Placed],
    batch_dims: Mapping[Label, Dim],
    wide: tuple[Dim, ...] = (),
) -> Placed:
    """The row's term with `arguments` for its placeholders.

    Every axis of extent `n` in the row becomes the axes `wide`; batch labels run through as they must.
    """
    placed: dict[Expr, Placed] = {}
    for node in postorder([row]):
        children = [placed[child] for child in node.children]
        placed[node] = _instantiate_node(node, children, arguments, batch_dims, wide)
    return placed[row]


def _instantiate_node(
    node: Expr,
    children: list[Placed],
    arguments: Mapping[Variable, Placed],
    batch_dims: Mapping[Label, Dim],
    wide: tuple[Dim, ...],
) -> Placed:
    match node:
        case Variable():
            return arguments[node]
        case Literal():
            return Placed(node, ())
        case Extent():
            return Placed(
                contract([Ones(dim) for dim in wide], [(k,) for k in range(len(wide))], ()), ()
            )
        case Delta():
            count = len(wide)
            pairs = [(k, count + k) for k in range(count)]
            return Placed(
                contract([Delta(dim) for dim in wide], pairs, tuple(range(2 * count))), ()
            )
        case Ones():
            singles = [(k,) for k in range(len(wide))]
            return Placed(
                contract([Ones(dim) for dim in wide], singles, tuple(range(len(wide)))), ()
            )
    batch = _union(children)
    match node:
        case Contraction():
            return _instantiate_contraction(node, children, batch, len(wide))
        case Sum():
            terms = [_spread(child, batch, batch_dims) for child in children]
            core = children[0].term.shape[len(children[0].batch) :]
            shape = (*(batch_dims[label] for label in batch), *core)
            return Placed(add(zip(node.coefficients, terms, strict=True), shape), batch)
        case Map():
            full = [
                _spread(child, batch, batch_dims) if child.term.shape else child.term
                for child in children
            ]
            full = _fill(full)
            return Placed(elementwise(node.function, full), batch)
        case Apply():
            (child,) = children
            width = len(wide) if not WHOLE[node.function].matrix else 1
            return Placed(whole(node.function, child.term, width), batch)
    raise AssertionError(node)


def _union(children: list[Placed]) -> Subscript:
    return tuple(sorted({label for child in children for label in child.batch}))


def _fill(arguments: list[Expr]) -> list[Expr]:
    """Arguments with fewer core axes are scalars in the row; repeat them where batch axes remain."""
    most = max((argument.rank for argument in arguments), default=0)
    shape = next((a.shape for a in arguments if a.rank == most), ())
    return [
        argument
        if argument.rank in (0, most)
        else contract(
            [argument, *map(Ones, shape[argument.rank :])],
            [tuple(range(argument.rank)), *((k,) for k in range(argument.rank, most))],
            tuple(range(most)),
        )
        for argument in arguments
    ]


def _instantiate_contraction(
    node: Contraction, children: list[Placed], batch: Subscript, width: int
) -> Placed:
    """Row labels become `width` labels each, numbered after the batch labels."""
    start = max(batch, default=-1) + 1

    def widen(labels: Subscript) -> Subscript:
        return tuple(start + label * width + k for label in labels for k in range(width))

    inputs = [
        (*child.batch, *widen(labels)) for child, labels in zip(children, node.inputs, strict=True)
    ]
    return Placed(
        contract([child.term for child in children], inputs, (*batch, *widen(node.output))), batch
    )


def _spread(placed: Placed, batch: Subscript, batch_dims: Mapping[Label, Dim]) -> Expr:
    """The term with all of `batch` in front."""
    if placed.batch == batch:
        return placed.term
    start = max(batch, default=-1) + 1
    core = tuple(range(start, start + placed.term.rank - len(placed.batch)))
    lacking = [label for label in batch if label not in placed.batch]
    return contract(
        [placed.term, *(Ones(batch_dims[label]) for label in lacking)],
        [(*placed.batch, *core), *((label,) for label in lacking)],
        (*batch, *core),
    )


def scalar_rule(row: Expr, names: tuple[str, ...], arguments: tuple[Expr, ...]) -> Expr:
    """An elementwise row's derivative at `arguments`, with their common shape or a scalar."""
    shape = next((argument.shape for argument in arguments if argument.shape), ())
    labels = tuple(range(len(shape)))
    places = {
        Variable(name): Placed(argument, labels if argument.shape else ())
        for name, argument in zip(names, arguments, strict=True)
    }
    return instantiate(row, places, dict(zip(labels, shape, strict=True))).term
