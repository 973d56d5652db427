"""Rewriting rules of single nodes: identities, and forms that stay finite where the textbook's overflow.

In: a canonical node. Out: an equal canonical term, or None where the rule does not apply.
Invariant: each rule states its law and holds wherever its left side is defined over the reals.
Source of the stable forms: Maechler, Accurately computing log(1 - exp(-|a|)) (2012); Blanchard, Higham,
Higham, Accurately computing the log-sum-exp and softmax functions (2021).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ..terms import (
    COMPARISON_NAMES,
    ELEMENTWISE,
    Apply,
    Contraction,
    Expr,
    Literal,
    Map,
    Ones,
    Subscript,
    Sum,
    add,
    base_and_exponent,
    broadcast,
    contract,
    elementwise,
    is_zero,
    literal,
    scale,
    split_scale,
    transpose,
    whole,
)

Rule = Callable[[Expr], Expr | None]

_COMPARE: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "lt": Fraction.__lt__,
    "le": Fraction.__le__,
    "gt": Fraction.__gt__,
    "ge": Fraction.__ge__,
    "eq": Fraction.__eq__,
    "ne": lambda a, b: a != b,
}


def known_value(node: Expr) -> Expr | None:
    """exp(0) -> 1, log(1) -> 0, 2 < 3 -> 1, and their kin."""
    if not isinstance(node, Map) or not node.children:
        return None
    at_zero = ELEMENTWISE[node.function].at_zero
    if at_zero is not None and is_zero(node.children[0]):
        return broadcast(literal(at_zero), node.shape)
    if node.function == "log" and node.children[0] is literal(1):
        return literal(0)
    if node.function in _COMPARE:
        a, b = node.children
        if isinstance(a, Literal) and isinstance(b, Literal):
            return literal(int(_COMPARE[node.function](a.value, b.value)))
    return None


def inverse_functions(node: Expr) -> Expr | None:
    """log(exp(x)) -> x, exp(log(x)) -> x, inv(inv(A)) -> A."""
    if isinstance(node, Map | Apply) and len(node.children) == 1:
        (inner,) = node.children
        if isinstance(inner, Map | Apply) and len(inner.children) == 1:
            if (node.function, inner.function) in (("log", "exp"), ("exp", "log"), ("inv", "inv")):
                return inner.children[0]
    return None


def inverse_of_multiple(node: Expr) -> Expr | None:
    """inv(c A) -> inv(A)/c."""
    if isinstance(node, Apply) and node.function == "inv":
        factor, term = split_scale(node.children[0])
        if factor != 1:
            return scale(1 / factor, whole("inv", term))
    return None


def diagonal_inside(node: Expr) -> Expr | None:
    """f(x)_ii -> f(x_ii), (x + y)_ii -> x_ii + y_ii."""
    if not isinstance(node, Contraction):
        return None
    for place, (operand, labels) in enumerate(zip(node.children, node.inputs, strict=True)):
        distinct = tuple(dict.fromkeys(labels))
        if len(distinct) < len(labels) and isinstance(operand, Map | Sum):
            inside = [
                contract([child], [labels], distinct) if child.shape else child
                for child in operand.children
            ]
            shape = next(child.shape for child in inside if child.shape)
            diagonal = (
                add(zip(operand.coefficients, inside, strict=True), shape)
                if isinstance(operand, Sum)
                else elementwise(operand.function, inside)
            )
            operands, inputs = list(node.children), list(node.inputs)
            operands[place], inputs[place] = diagonal, distinct
            return contract(operands, inputs, node.output)
    return None


def trace_of_dexpm(node: Expr) -> Expr | None:
    """dexpm(A)_iikl, summed over i, -> exp(A)_lk: all factors of the product rule commute under the trace."""
    if not isinstance(node, Contraction):
        return None
    for place, (operand, labels) in enumerate(zip(node.children, node.inputs, strict=True)):
        if isinstance(operand, Apply) and operand.function == "dexpm":
            *batch, i, j, k, l = labels
            elsewhere = [x for own in (*node.inputs, node.output) for x in own].count(i) > 2
            if i == j and not elsewhere:
                operands, inputs = list(node.children), list(node.inputs)
                operands[place] = whole("expm", operand.children[0])
                inputs[place] = (*batch, l, k)
                return contract(operands, inputs, node.output)
    return None


def choice(node: Expr) -> Expr | None:
    """where(c, a, a) -> a, where(1, a, b) -> a, where(0, a, b) -> b."""
    if not isinstance(node, Map) or node.function != "where":
        return None
    condition, a, b = node.children
    if a is b:
        return broadcast(a, node.shape)
    if isinstance(condition, Literal):
        return broadcast(a if condition.value else b, node.shape)
    return None


def guarded_product(node: Expr) -> Expr | None:
    """where(c, f, 0) g(x) -> where(c, f g(x), 0): no 0 times infinity where g has no value."""
    if not isinstance(node, Contraction):
        return None
    factors = list(zip(node.children, node.inputs, strict=True))
    for place, (guard, labels) in enumerate(factors):
        if len(set(labels)) < len(labels):
            continue
        branches = _branches(guard)
        if branches is None and not _is_sum_of_guards(guard):
            continue
        inside = [
            k
            for k, (op, own) in enumerate(factors)
            if k != place and set(own) <= set(labels) and _may_lack_a_value(op)
        ]
        if inside and branches is not None:
            return _with_inside(node, factors, place, inside, branches)
        if inside:
            return _distribute(node, factors, place, inside)
    return None


def _is_sum_of_guards(expr: Expr) -> bool:
    return isinstance(expr, Sum) and all(_branches(term) is not None for term in expr.children)


def _distribute(
    node: Contraction, factors: list[tuple[Expr, Subscript]], place: int, inside: list[int]
) -> Expr:
    """The product with the factors `inside` multiplied into each guard of a sum."""
    total, labels = factors[place]
    assert isinstance(total, Sum)
    moved = [factors[k] for k in inside]
    terms = []
    for guard in total.children:
        term = contract(
            [guard, *(op for op, _ in moved)], [labels, *(own for _, own in moved)], labels
        )
        terms.append(guarded_product(term) or term)
    product = add(zip(total.coefficients, terms, strict=True), total.shape)
    rest = [factor for k, factor in enumerate(factors) if k != place and k not in inside]
    return contract(
        [product, *(op for op, _ in rest)], [labels, *(own for _, own in rest)], node.output
    )


def _with_inside(
    node: Contraction,
    factors: list[tuple[Expr, Subscript]],
    place: int,
    inside: list[int],
    branches: tuple[Expr, Expr, Expr],
) -> Expr:
    """The product with the factors `inside` moved into the branches of the guard at `place`."""
    guard, labels = factors[place]
    moved = [factors[k] for k in inside]
    ones = [(Ones(dim), (label,)) for label, dim in zip(labels, guard.shape, strict=True)]

    def times(branch: Expr) -> Expr:
        if is_zero(branch):
            return literal(0)
        own = (branch, labels if branch.shape else ())
        parts = [own, *moved, *ones]
        return contract([op for op, _ in parts], [own for _, own in parts], labels)

    condition, a, b = branches
    chosen = elementwise("where", [condition, times(a), times(b)])
    rest = [factor for k, factor in enumerate(factors) if k != place and k not in inside]
    return contract(
        [chosen, *(op for op, _ in rest)],
        [labels if chosen.shape else (), *(own for _, own in rest)],
        node.output,
    )


def _branches(guard: Expr) -> tuple[Expr, Expr, Expr] | None:
    """Condition and branches of a choice with a zero branch; a comparison chooses between 1 and 0."""
    if not isinstance(guard, Map):
        return None
    if guard.function in COMPARISON_NAMES:
        return guard, literal(1), literal(0)
    if guard.function == "where" and any(is_zero(branch) for branch in guard.children[1:]):
        condition, a, b = guard.children
        return condition, a, b
    return None


def _may_lack_a_value(expr: Expr) -> bool:
    """Anything computed may be infinite or NaN where the guard's condition fails."""
    return bool(expr.children) and _branches(expr) is None


ALGEBRA: tuple[Rule, ...] = (
    known_value,
    inverse_functions,
    inverse_of_multiple,
    diagonal_inside,
    trace_of_dexpm,
    choice,
    guarded_product,
)


# ---------------------------------------------------------------- stable forms


def softplus(node: Expr) -> Expr | None:
    """log(1 + exp(x)) -> softplus(x)."""
    if isinstance(node, Map) and node.function == "log":
        x = _one_plus_exp(node.children[0])
        if x is not None:
            return elementwise("softplus", [x])
    return None


def sigmoid(node: Expr) -> Expr | None:
    """1/(1 + exp(x)) -> sigmoid(-x)."""
    base, exponent = base_and_exponent(node)
    if exponent.denominator == 1 and exponent < 0:
        x = _one_plus_exp(base)
        if x is not None:
            return _power_of(elementwise("sigmoid", [scale(-1, x)]), int(-exponent))
    return None


def _power_of(expr: Expr, count: int) -> Expr:
    axes = tuple(range(expr.rank))
    return contract([expr] * count, [axes] * count, axes)


def _one_plus_exp(expr: Expr) -> Expr | None:
    """x where `expr` is 1 + exp(x)."""
    if not isinstance(expr, Sum) or len(expr.children) != 2 or set(expr.coefficients) != {1}:
        return None
    for one, other in (expr.children, expr.children[::-1]):
        if _is_one(one) and isinstance(other, Map) and other.function == "exp":
            return other.children[0]
    return None


def _is_one(expr: Expr) -> bool:
    if isinstance(expr, Contraction):
        return all(isinstance(op, Ones) for op in expr.children)
    return isinstance(expr, Ones) or expr is literal(1)


def sigmoid_of_ratio(node: Expr) -> Expr | None:
    """exp(x) sigmoid(-x) -> sigmoid(x); the same with x and -x exchanged."""
    if not isinstance(node, Contraction):
        return None
    factors = list(zip(node.children, node.inputs, strict=True))
    sigmoids = {
        (op.children[0], labels): k
        for k, (op, labels) in enumerate(factors)
        if isinstance(op, Map) and op.function == "sigmoid"
    }
    for k, (op, labels) in enumerate(factors):
        if isinstance(op, Map) and op.function == "exp":
            other = sigmoids.get((scale(-1, op.children[0]), labels))
            if other is not None:
                return _replace(
                    factors, {k, other}, elementwise("sigmoid", [op.children[0]]), labels, node
                )
    return None


def logistic_tail(node: Expr) -> Expr | None:
    """1 - sigmoid(x) -> sigmoid(-x)."""
    if not isinstance(node, Sum) or len(node.children) != 2:
        return None
    for (one, a), (other, b) in _ordered_pairs(node):
        if _is_one(one) and a == -b and isinstance(other, Map) and other.function == "sigmoid":
            return scale(a, elementwise("sigmoid", [scale(-1, other.children[0])]))
    return None


def _ordered_pairs(node: Sum) -> tuple[tuple[tuple[Expr, Fraction], tuple[Expr, Fraction]], ...]:
    first, second = zip(node.children, node.coefficients, strict=True)
    return (first, second), (second, first)


def log_of_special(node: Expr) -> Expr | None:
    """log(sigmoid(x)) -> -softplus(-x), log(det(A)) -> logdet(A), log(softmax(x)) -> logsoftmax(x)."""
    if not isinstance(node, Map) or node.function != "log":
        return None
    (inner,) = node.children
    if isinstance(inner, Map) and inner.function == "sigmoid":
        return scale(-1, elementwise("softplus", [scale(-1, inner.children[0])]))
    if isinstance(inner, Apply) and inner.function == "det":
        return whole("logdet", inner.children[0])
    if isinstance(inner, Apply) and inner.function == "softmax":
        return whole("logsoftmax", inner.children[0], inner.width)
    return None


def logsumexp(node: Expr) -> Expr | None:
    """log(sum_j exp(x_j)) -> logsumexp_j(x_j)."""
    if not isinstance(node, Map) or node.function != "log":
        return None
    found = _sum_of_exp(node.children[0])
    if found is None:
        return None
    x, labels, output = found
    summed = tuple(label for label in labels if label not in output)
    order = tuple(labels.index(label) for label in (*output, *summed))
    return whole("logsumexp", transpose(x, order), len(summed))


def _sum_of_exp(expr: Expr) -> tuple[Expr, Subscript, Subscript] | None:
    """x, its labels and the labels left, where `expr` sums exp(x) over the others."""
    if isinstance(expr, Contraction) and len(expr.children) == 1:
        (inner,), (labels,) = expr.children, expr.inputs
        if isinstance(inner, Map) and inner.function == "exp":
            if len(set(labels)) == len(labels) > len(expr.output):
                return inner.children[0], labels, expr.output
    return None


def softmax(node: Expr) -> Expr | None:
    """exp(x_j) / sum_k exp(x_k) -> softmax_j(x_j)."""
    if not isinstance(node, Contraction):
        return None
    factors = list(zip(node.children, node.inputs, strict=True))
    for k, (below, outer) in enumerate(factors):
        base, exponent = base_and_exponent(below)
        found = _sum_of_exp(base) if exponent == -1 else None
        if found is None:
            continue
        x, labels, output = found
        names = dict(zip(output, outer, strict=True))
        for other, (above, own) in enumerate(factors):
            if isinstance(above, Map) and above.function == "exp" and above.children[0] is x:
                matched = all(
                    names.get(label, own[axis]) == own[axis] for axis, label in enumerate(labels)
                )
                if matched and len(set(own)) == len(own):
                    summed = tuple(label for label in labels if label not in output)
                    order = tuple(labels.index(label) for label in (*output, *summed))
                    result = whole("softmax", transpose(x, order), len(summed))
                    back = tuple(order.index(axis) for axis in range(len(order)))
                    return _replace(factors, {k, other}, transpose(result, back), own, node)
    return None


def _replace(
    factors: list[tuple[Expr, Subscript]],
    gone: set[int],
    new: Expr,
    labels: Subscript,
    node: Contraction,
) -> Expr:
    """The product with the factors `gone` replaced by `new`."""
    rest = [factor for k, factor in enumerate(factors) if k not in gone]
    return contract(
        [new, *(op for op, _ in rest)], [labels, *(own for _, own in rest)], node.output
    )


STABLE: tuple[Rule, ...] = (
    softplus,
    sigmoid,
    sigmoid_of_ratio,
    logistic_tail,
    log_of_special,
    logsumexp,
    softmax,
)
