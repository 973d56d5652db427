"""Derivatives of terms: one reverse sweep for all variables, or one pushforward.

In: terms and the variables to differentiate by.
Out: canonical terms; a derivative's axes are the expression's, then the variable's.
Invariant: every node's adjoint is made once, so nodes grow linearly with those of the expression.
The four formulas (Sum, Contraction, Map, Apply) stand in `_contributions` and `_tangent`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from ..errors import DerivativeError
from ..terms import (
    ELEMENTWISE,
    WHOLE,
    Apply,
    Contraction,
    Delta,
    Expr,
    Label,
    Map,
    Ones,
    Shape,
    Subscript,
    Sum,
    Variable,
    add,
    broadcast,
    contract,
    dependents,
    is_zero,
    literal,
    postorder,
    scale,
    whole,
    zero,
)
from .rules import Placed, adjoint_of, derivative_of, differential_of, instantiate, scalar_rule


def gradient(expr: Expr, variables: Sequence[Variable]) -> dict[Variable, Expr]:
    """Derivatives of `expr` by each variable, from one reverse sweep.

    By a number, a tensor is pushed forward instead: its sweep would carry arrays of twice the rank.
    Shapes: the entry for x has expr's axes, then x's. Nodes: at most a constant times those of `expr`.
    Raises DerivativeError if a function on the way has no derivative (the message names it).
    Source: Laue, Mitterreiter, Giesen, "A Simple and Efficient Tensor Calculus" (AAAI 2020), reverse mode.
    """
    if not expr.rank:
        return sweep(expr, variables, literal(1), 0)
    numbers = [x for x in variables if not x.rank]
    found = {x: pushforward([expr], {x: literal(1)})[0] for x in numbers}
    others = [x for x in variables if x.rank]
    return {**found, **sweep(expr, others, identity(expr.shape), expr.rank)}


def identity(shape: Shape) -> Expr:
    """The derivative of a tensor by itself: a delta for each axis."""
    rank = len(shape)
    return contract(
        [Delta(dim) for dim in shape],
        [(axis, rank + axis) for axis in range(rank)],
        tuple(range(2 * rank)),
    )


def sweep(
    expr: Expr, variables: Sequence[Variable], seed: Expr, root_rank: int
) -> dict[Variable, Expr]:
    """The adjoints of `variables` when that of `expr` is `seed`.

    Shapes: `seed` has `root_rank` axes of its own, then expr's; an adjoint has these, then its variable's.
    """
    moving = dependents([expr], variables)
    own = seed.shape[:root_rank]
    pending: dict[Expr, list[Expr]] = {expr: [seed]} if expr in moving else {}
    found: dict[Variable, Expr] = {}
    for node in reversed(postorder([expr])):
        if node not in moving:
            continue
        shape = own + node.shape
        g = add(((1, term) for term in pending.pop(node, [])), shape)
        if isinstance(node, Variable):
            found[node] = g
        elif not is_zero(g):
            for child, contribution in _contributions(node, g, root_rank, moving):
                pending.setdefault(child, []).append(contribution)
    return {x: found.get(x, zero(own + x.shape)) for x in variables}


def _contributions(
    node: Expr, g: Expr, root_rank: int, moving: set[Expr]
) -> Iterator[tuple[Expr, Expr]]:
    """What the adjoint g of `node` gives to each of its children."""
    match node:
        case Sum():
            for child, coefficient in zip(node.children, node.coefficients, strict=True):
                if child in moving:
                    yield child, scale(coefficient, g)
        case Contraction():
            for position, child in enumerate(node.children):
                if child in moving:
                    yield child, _without_operand(node, position, g, root_rank)
        case Map():
            for position, child in enumerate(node.children):
                if child in moving:
                    slope = _slope(node, position)
                    if not is_zero(slope):
                        yield child, _times_slope(g, slope, node, child, root_rank)
        case Apply():
            yield node.children[0], _pullback(node, g, root_rank)


def _without_operand(node: Contraction, position: int, g: Expr, root_rank: int) -> Expr:
    """The product with operand `position` replaced by g; a repeated label costs a delta."""
    start = 1 + max((label for labels in node.inputs for label in labels), default=-1)
    root = tuple(range(start, start + root_rank))
    operands = [g]
    inputs = [(*root, *node.output)]
    for place, (operand, labels) in enumerate(zip(node.children, node.inputs, strict=True)):
        if place != position:
            operands.append(operand)
            inputs.append(labels)
    output: list[Label] = []
    fresh = start + root_rank
    child = node.children[position]
    for label, dim in zip(node.inputs[position], child.shape, strict=True):
        if label in output:  # x_ii: the derivative lives on the diagonal
            operands.append(Delta(dim))
            inputs.append((label, fresh))
            output.append(fresh)
            fresh += 1
        else:
            operands.append(Ones(dim))  # vanishes where the label stands elsewhere
            inputs.append((label,))
            output.append(label)
    return contract(operands, inputs, (*root, *output))


def _slope(node: Map, position: int) -> Expr:
    """The derivative of an elementwise function by one argument, entry by entry."""
    row = ELEMENTWISE[node.function]
    rule = derivative_of(node.function, position)
    if rule is None:
        raise DerivativeError(
            f"{node.function} has no derivative by its argument {row.arguments[position]}",
            facts=[
                f"{node.function}({', '.join(row.arguments)}) is differentiable by "
                + ", ".join(a for a, d in zip(row.arguments, row.derivatives, strict=True) if d)
            ],
            hint="keep the variable out of that argument",
        )
    return scalar_rule(rule, row.arguments, node.children)


def _times_slope(g: Expr, slope: Expr, node: Map, child: Expr, root_rank: int) -> Expr:
    """g times the slope, summed to the child's shape if that is a scalar."""
    root = tuple(range(root_rank))
    axes = tuple(range(root_rank, root_rank + node.rank))
    return contract(
        [g, slope],
        [(*root, *axes), axes if slope.shape else ()],
        (*root, *axes) if child.shape else root,
    )


@cache
def _transposed_differential(function: str) -> tuple[Expr, Variable, Variable]:
    """The linear map from the result's cotangent g to the argument's, as a term in A and g."""
    differential, argument, tangent = differential_of(function)
    g = Variable("g", differential.shape)
    if WHOLE[function].adjoint:
        return adjoint_of(function, g), argument, g
    # the differential is linear in dA, so its adjoint for the seed g no longer depends on dA
    return sweep(differential, [tangent], g, 0)[tangent], argument, g


def _pullback(node: Apply, g: Expr, root_rank: int) -> Expr:
    """The cotangent of the argument of a whole function."""
    rule, argument, cotangent = _transposed_differential(node.function)
    (child,) = node.children
    wide, batch_rank = _core(node)
    batch = tuple(range(root_rank, root_rank + batch_rank))
    root = tuple(range(root_rank))
    dims = dict(zip((*root, *batch), g.shape, strict=False))
    places = {argument: Placed(child, batch), cotangent: Placed(g, (*root, *batch))}
    placed = instantiate(rule, places, dims, wide)
    assert placed.batch == (*root, *batch), (placed.batch, root, batch)
    return placed.term


def _core(node: Apply) -> tuple[Shape, int]:
    """The axes that one axis of the row stands for, and how many batch axes there are."""
    (child,) = node.children
    if WHOLE[node.function].matrix:
        return child.shape[-1:], child.rank - 2
    return child.shape[child.rank - node.width :], child.rank - node.width


def pushforward(exprs: Sequence[Expr], tangents: Mapping[Variable, Expr]) -> list[Expr]:
    """The directional derivatives of `exprs` where the variables move along `tangents`.

    Shapes: each result has its expression's; a tangent has its variable's.
    """
    moving = dependents(exprs, tangents)
    moved: dict[Expr, Expr] = {x: tangent for x, tangent in tangents.items()}
    for node in postorder(exprs):
        if node in moving and node not in moved:
            moved[node] = _tangent(node, moved)
    return [moved.get(expr, zero(expr.shape)) for expr in exprs]


def _tangent(node: Expr, moved: Mapping[Expr, Expr]) -> Expr:
    """d(node) from the differentials of its children."""
    match node:
        case Sum():
            pairs = zip(node.coefficients, node.children, strict=True)
            return add(((c, moved[child]) for c, child in pairs if child in moved), node.shape)
        case Contraction():
            terms = []
            for position, child in enumerate(node.children):
                if child in moved:
                    operands = list(node.children)
                    operands[position] = moved[child]
                    terms.append((1, contract(operands, node.inputs, node.output)))
            return add(terms, node.shape)
        case Map():
            axes = tuple(range(node.rank))
            terms = []
            for position, child in enumerate(node.children):
                if child in moved:
                    factors = [_slope(node, position), broadcast(moved[child], node.shape)]
                    labels: list[Subscript] = [axes if f.shape else () for f in factors]
                    ones = [Ones(dim) for dim in node.shape]
                    term = contract([*factors, *ones], [*labels, *((k,) for k in axes)], axes)
                    terms.append((1, term))
            return add(terms, node.shape)
        case Apply():
            (child,) = node.children
            if WHOLE[node.function].adjoint:  # linear
                return whole(node.function, moved[child], node.width)
            rule, argument, tangent = differential_of(node.function)
            wide, batch_rank = _core(node)
            batch = tuple(range(batch_rank))
            places = {argument: Placed(child, batch), tangent: Placed(moved[child], batch)}
            dims = dict(zip(batch, child.shape, strict=False))
            return instantiate(rule, places, dims, wide).term
    raise DerivativeError(f"no differential of {node!r}")
