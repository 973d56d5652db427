"""Simplification of whole graphs: flatten, collect, factor, and rewrite into stable forms.

In: roots. Out: equal roots, shorter.
Invariant: simplifying twice changes nothing more; products are never distributed over sums (see `expand`).
A node with several consumers is a boundary: it stays one node, one array and one line of print.
Rules of single nodes stand in `algebra.py`, common factors in `factoring.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from itertools import count

from ..terms import (
    Contraction,
    Expr,
    Subscript,
    Sum,
    Variable,
    add,
    contract,
    factors_at,
    fold,
    postorder,
    rebuild,
    rename_dims,
    split_scale,
    substitute_terms,
    uses,
    with_children,
)
from .algebra import ALGEBRA, STABLE
from .factoring import factor_out

_PASSES = 12  # in practice two or three suffice
_REMEMBERED = (
    20_000  # nodes that need not be simplified again; a network of ten layers has some hundred
)
_OPERANDS = 24  # a flattened product holds no more, so chains of any length stay linear

_met: dict[tuple[Expr, tuple[Expr, ...], tuple[bool, ...]], Expr] = {}


def simplify(roots: Sequence[Expr]) -> list[Expr]:
    """Equal terms, shorter: products and sums flattened, common factors out, stable forms chosen."""
    roots = list(roots)
    for _ in range(_PASSES):
        before = roots
        counts = uses(roots)
        done: dict[Expr, None] = {}
        new = rebuild(roots, partial(_settle, counts=counts, done=done))
        roots = [new[root] for root in roots]
        if all(a is b for a, b in zip(before, roots, strict=True)):
            break
    return roots


def _settle(
    node: Expr, children: tuple[Expr, ...], counts: Mapping[Expr, int], done: dict[Expr, None]
) -> Expr:
    """One node over settled children, simplified until nothing changes, with the nodes that come up.

    Without this each pass would move a change up by one level only.
    """
    result = _simplify_node(node, children, counts)
    for _ in range(_PASSES):
        before = result
        if result in done:
            break
        values: dict[Expr, Expr] = {}
        for fresh in postorder([result], done):
            inside = tuple(values.get(child, child) for child in fresh.children)
            values[fresh] = _simplify_node(fresh, inside, counts)
            if values[fresh] is fresh:
                done[fresh] = None
        result = values[result]
        if result is before:
            break
    return result


def _simplify_node(node: Expr, children: tuple[Expr, ...], counts: Mapping[Expr, int]) -> Expr:
    """One node over simplified children; a node that was met before with these is looked up."""
    key = node, children, tuple(counts.get(child, 1) == 1 for child in node.children)
    result = _met.get(key)
    if result is None:
        if len(_met) >= _REMEMBERED:
            _met.clear()
        result = _met[key] = _simplify_once(node, children, counts)
    return result


def _simplify_once(node: Expr, children: tuple[Expr, ...], counts: Mapping[Expr, int]) -> Expr:
    match node:
        case Contraction():
            result = _flattened_product(node, children, counts)
        case Sum():
            result = _flattened_sum(node, children, counts)
            if isinstance(result, Sum) and len(result.children) > 1:
                result = factor_out(result)
        case _:
            result = node if children == node.children else with_children(node, children)
    for rule in (*ALGEBRA, *STABLE):
        changed = rule(result)
        if changed is not None:
            result = changed
    return result


def _flattened_product(
    node: Contraction, children: tuple[Expr, ...], counts: Mapping[Expr, int]
) -> Expr:
    """Operands that are products with no other consumer become part of this one."""
    total = len(children)
    changed = children != node.children
    operands: list[Expr] = []
    inputs: list[Subscript] = []
    fresh = count(1 + max((label for labels in node.inputs for label in labels), default=-1))
    coefficient = Fraction(1)
    for old, child, labels in zip(node.children, children, node.inputs, strict=True):
        factor, term = split_scale(child)
        if (
            counts.get(old, 1) == 1
            and _is_open_product(term)
            and total + len(term.children) <= _OPERANDS
        ):
            assert isinstance(term, Contraction)
            total += len(term.children) - 1
            changed = True
            coefficient *= factor
            inside = factors_at(term, labels, fresh)
            operands += [operand for operand, _ in inside]
            inputs += [own for _, own in inside]
        else:
            operands.append(child)
            inputs.append(labels)
    if not changed:
        return node
    product = contract(operands, inputs, node.output)
    return add([(coefficient, product)], product.shape)


def _is_open_product(term: Expr) -> bool:
    """A product that flattens: not a closed scalar part, which canonical form keeps apart."""
    return isinstance(term, Contraction) and (term.rank > 0 or not any(term.inputs))


def _flattened_sum(node: Sum, children: tuple[Expr, ...], counts: Mapping[Expr, int]) -> Expr:
    """Terms that are sums with no other consumer become part of this one."""
    terms: list[tuple[Fraction, Expr]] = []
    changed = children != node.children
    for old, child, coefficient in zip(node.children, children, node.coefficients, strict=True):
        factor, term = split_scale(child)
        if counts.get(old, 1) == 1 and len(children) > 1 and isinstance(term, Sum):
            changed = True
            terms += [
                (coefficient * factor * c, t)
                for c, t in zip(term.coefficients, term.children, strict=True)
            ]
        else:
            terms.append((coefficient, child))
    return add(terms, node.shape) if changed else node


def expand(roots: Sequence[Expr]) -> list[Expr]:
    """Products distributed over sums, powers of sums multiplied out."""
    values = fold(roots, _expand_node)
    return [values[root] for root in roots]


def _expand_node(node: Expr, children: list[Expr]) -> Expr:
    if not isinstance(node, Contraction):
        result = with_children(node, children)
        return _merge_names(result) if isinstance(result, Sum) else result
    products: list[tuple[Fraction, list[Expr]]] = [(Fraction(1), [])]
    for child in children:
        factor, term = split_scale(child)
        choices = (
            list(zip(term.coefficients, term.children, strict=True))
            if isinstance(term, Sum)
            else [(Fraction(1), term)]
        )
        products = [(c * factor * k, [*chosen, t]) for c, chosen in products for k, t in choices]
    return _merge_names(
        add(((c, contract(ops, node.inputs, node.output)) for c, ops in products), node.shape)
    )


def _merge_names(expr: Expr) -> Expr:
    """Sums inside a sum become part of it."""
    factor, term = split_scale(expr)
    if not isinstance(term, Sum):
        return expr
    terms: list[tuple[Fraction, Expr]] = []
    for coefficient, child in zip(term.coefficients, term.children, strict=True):
        inner, inside = split_scale(child)
        if isinstance(inside, Sum):
            terms += [
                (factor * coefficient * inner * c, t)
                for c, t in zip(inside.coefficients, inside.children, strict=True)
            ]
        else:
            terms.append((factor * coefficient, child))
    return add(terms, expr.shape)


# What is assumed of tensors, applied to terms; and equality up to what nobody named.
#
# In: terms, words such as symmetric for their tensors. Out: simplified terms.
# Invariant: derivatives are taken before assumptions are applied, so that the entries of a symmetric matrix
# count as independent; the assumption only shortens what is shown and computed.


def with_assumptions(term: Expr, assumptions: Mapping[str, frozenset[str]]) -> Expr:
    """The term, simplified by what is assumed: Q + Q' is 2 Q for a symmetric Q."""
    if not assumptions:
        return term
    places: dict[Expr, Expr] = {
        node: Variable(node.name, node.shape, assumptions[node.name])
        for node in postorder([term])
        if isinstance(node, Variable) and node.name in assumptions
    }
    if not places:
        return term
    return simplify(substitute_terms([term], places))[0]


def declared_everywhere(term: Expr) -> Expr:
    """The term without assumptions, its symbolic extents numbered as they are met."""
    plain: dict[Expr, Expr] = {}
    dims: dict[str, str] = {}
    for node in postorder([term]):
        if isinstance(node, Variable) and node.assumptions:
            plain[node] = Variable(node.name, node.shape)
        for dim in node.shape:
            if isinstance(dim, str):
                dims.setdefault(dim, f"#{len(dims)}")
    (bare,) = substitute_terms([term], plain)
    return rename_dims([bare], dims)[0]


def same_up_to_extents(first: Expr, second: Expr) -> bool:
    """Are two terms one, whatever their symbolic extents are called?"""
    return first is second or (
        first.rank == second.rank and declared_everywhere(first) is declared_everywhere(second)
    )
