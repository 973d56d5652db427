"""Terms in canonical form: contract, add, scale, elementwise, whole.

In: operands and labels, possibly with deltas, ones, nested views and numbers.
Out: an interned term in which equal (up to renaming of labels and order of operands) means identical.
Invariant: a Contraction holds no Delta or Ones with a summed label, no view and no number; a Sum of two or
more terms has coprime coefficients, the first one positive. Checked by `why_not_canonical`.
Order of operands and labels: `labelling.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from .expr import (
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
)
from .functions import COMPARISONS, WHOLE, core_ranks
from .labelling import canonical_order, is_swappable
from .structure import (
    HALF,
    ONE,
    ZERO,
    Factor,
    axis_signatures,
    base_and_exponent,
    broadcast_axes,
    common_content,
    compose,
    inverse_of,
    is_plain_power,
    is_small_power,
    is_symmetric_view,
    is_view,
    is_zero,
    merged_by_deltas,
    orientations,
    permutation_of,
    split_scale,
    sum_order,
    sums_a_label,
)

COMPARISON_NAMES = frozenset(COMPARISONS.values())


_COPIES = 8  # x^2 .. x^8 are products of equal operands, higher powers a Map


# ---------------------------------------------------------------- numbers


def literal(value: Fraction | int) -> Literal:
    """A number as a term."""
    return Literal(Fraction(value))


def zero(shape: Shape) -> Expr:
    """The zero of a shape."""
    return Sum((), (), shape) if shape else literal(0)


def extent(dim: Dim) -> Expr:
    """The extent of an axis, a number where it is known."""
    return Extent(dim) if isinstance(dim, str) else literal(dim)


def scale(factor: Fraction | int, expr: Expr) -> Expr:
    """`factor * expr`, the factor kept outermost."""
    inner, term = split_scale(expr)
    factor = inner * factor
    if not factor or is_zero(term):
        return zero(expr.shape)
    if isinstance(term, Literal):
        return literal(factor)
    return term if factor == 1 else Sum((term,), (factor,), term.shape)


# ---------------------------------------------------------------- contraction


def contract(operands: Sequence[Expr], inputs: Sequence[Subscript], output: Subscript) -> Expr:
    """The sum over all labels not in `output` of the product of `operands`.

    Laws: d_ij x_j -> x_i where j is summed; d_ii -> n; ones vanish where their label occurs elsewhere;
    numbers come out; views are inlined; x^a x^b -> x^(a+b).
    """
    dims: dict[Label, Dim] = {}
    for operand, labels in zip(operands, inputs, strict=True):
        dims.update(zip(labels, operand.shape, strict=True))
    factor, factors = _inline(operands, inputs)
    if not factor:
        return zero(tuple(dims[label] for label in output))
    factors = compose(factors, dims)
    moved = _transposed_sum(factors, output)
    if moved is not None:
        return scale(factor, moved)
    same = merged_by_deltas(factors, output)
    kept = [
        (operand, tuple(same.get(label, label) for label in labels))
        for operand, labels in factors
        if not isinstance(operand, Delta | Ones)
    ]
    wanted = set(output)
    roots = dict.fromkeys(same.get(label, label) for label in dims)
    present = {label for _, labels in kept for label in labels}
    bare = [label for label in roots if label not in present and label not in wanted]
    kept += [(extent(dims[label]), ()) for label in bare]
    kept, closed = _closed_parts_apart(kept, output, dims)
    kept = _collect_powers(kept)
    covered = closed.union(bare, *(labels for _, labels in kept))
    for label in output:  # both ends free: the delta stays
        root = same.get(label, label)
        if root != label:
            dim = dims[label]
            kept.append((Delta(dim), (root, label)))
            covered.update((root, label))
    for label in roots:
        if label not in covered:
            if label in wanted:
                kept.append((Ones(dims[label]), (label,)))
            else:
                kept.append((extent(dims[label]), ()))
    return scale(factor, _contraction(kept, output))


def _contraction(factors: list[Factor], output: Subscript) -> Expr:
    """The canonical node of factors that need no more rewriting, but for numbers (known extents)."""
    factor = ONE
    rest = []
    for operand, labels in factors:
        if isinstance(operand, Literal):
            factor *= operand.value
        else:
            rest.append((operand, labels))
    if not rest:
        return literal(factor)
    if len(rest) == 1 and (rest[0][1] == output or is_symmetric_view(*rest[0], output)):
        return scale(factor, rest[0][0])
    operands, inputs, fresh = canonical_order(rest, output)
    node = Contraction(operands, inputs, fresh)
    if not node.symmetric and is_swappable(node):
        node.symmetric = True
    return scale(factor, node)


def _transposed_sum(factors: list[Factor], output: Subscript) -> Expr | None:
    """A transposed sum is the sum of its transposed terms, in the form that `add` chooses."""
    if len(factors) != 1 or not isinstance(factors[0][0], Sum):
        return None
    ((total, labels),) = factors
    if len(set(labels)) < len(labels) or set(labels) != set(output) or labels == output:
        return None
    assert isinstance(total, Sum)
    axes = tuple(labels.index(label) for label in output)
    shape = tuple(total.shape[axis] for axis in axes)
    terms = [transpose(term, axes) for term in total.children]
    return add(zip(total.coefficients, terms, strict=True), shape)


def _inline(operands: Sequence[Expr], inputs: Sequence[Subscript]) -> tuple[Fraction, list[Factor]]:
    """Numbers multiplied up; views replaced by what they look at."""
    factor = ONE
    factors: list[Factor] = []
    for operand, labels in zip(operands, inputs, strict=True):
        if is_zero(operand):
            return ZERO, []
        inner, term = split_scale(operand)
        factor *= inner
        if isinstance(term, Literal):
            continue
        if isinstance(term, Contraction) and (is_view(term) or is_plain_power(term)):
            outside = dict(zip(term.output, labels, strict=True))
            for child, child_labels in zip(term.children, term.inputs, strict=True):
                factors.append((child, tuple(outside[label] for label in child_labels)))
        else:
            factors.append((term, tuple(labels)))
    return factor, factors


def _closed_parts_apart(
    factors: list[Factor], output: Subscript, dims: Mapping[Label, Dim]
) -> tuple[list[Factor], set[Label]]:
    """Scalar parts that share no label with the rest become factors: x_i x_i y_j -> s y_j, s = x_i x_i.

    Also the labels that these parts have summed.
    """
    if all(label in output for _, labels in factors for label in labels):
        return factors, set()
    part: dict[Label, int] = {}  # label -> number of its part, parts merged as they meet
    members: dict[int, set[Label]] = {}
    for number, (_, labels) in enumerate(factors):
        joined = {part[label] for label in labels if label in part}
        together = set(labels).union(*(members.pop(old) for old in joined))
        if together:
            members[number] = together
            part.update(dict.fromkeys(together, number))
    closed = {number for number, labels in members.items() if labels.isdisjoint(output)}
    if not closed or (not output and len(members) == 1 and all(labels for _, labels in factors)):
        return factors, set()
    result = [(op, labels) for op, labels in factors if not labels or part[labels[0]] not in closed]
    own: dict[int, list[Factor]] = {number: [] for number in sorted(closed)}
    for op, labels in factors:
        if labels and part[labels[0]] in closed:
            own[part[labels[0]]].append((op, labels))
    for inside in own.values():
        part_term = contract([op for op, _ in inside], [labels for _, labels in inside], ())
        result.append((part_term, ()))
    return result, set().union(*(members[number] for number in closed))


def _collect_powers(factors: list[Factor]) -> list[Factor]:
    """x^a x^b -> x^(a+b), for powers of one base at the same labels."""
    found: dict[tuple[Expr, Subscript], list[Fraction]] = {}
    for operand, labels in factors:
        base, exponent = base_and_exponent(operand)
        found.setdefault((base, labels), []).append(exponent)
    if len(found) == len(factors):
        return factors
    collected: list[Factor] = []
    for (base, labels), exponents in found.items():
        total = sum(exponents, ZERO)
        if total.denominator == 1 and 0 < total <= _COPIES:
            collected += [(base, labels)] * int(total)
        elif len(exponents) == 1 or total:
            collected.append((_power_node(base, total), labels))
        # else x^a x^-a -> 1: its labels are covered by ones or extents
    return collected


# ---------------------------------------------------------------- powers


def power(base: Expr, exponent: Fraction) -> Expr:
    """`base^exponent` entry by entry, for a number as exponent."""
    if not exponent:
        return broadcast(literal(1), base.shape)
    if exponent == 1:
        return base
    whole = exponent.denominator == 1
    factor, term = split_scale(base)
    if whole and is_small_power(factor, exponent) and (factor != 1 or isinstance(term, Literal)):
        result = factor ** int(exponent)
        return (
            literal(result) if isinstance(term, Literal) else scale(result, power(term, exponent))
        )
    if whole and not is_zero(base):
        inner, inside = base_and_exponent(base)
        if inside != 1:
            return power(inner, inside * exponent)
        axes = tuple(range(base.rank))
        if exponent < 0 and isinstance(base, Contraction) and not sums_a_label(base):
            # 1/(x y) -> 1/x 1/y, so that factors can cancel
            return contract(
                [power(operand, exponent) for operand in base.children], base.inputs, base.output
            )
        if isinstance(base, Delta | Ones) and exponent > 0:
            return base
        if 0 < exponent <= _COPIES:
            copies = int(exponent)
            return contract([base] * copies, [axes] * copies, axes)
    return _power_node(base, exponent)


def _power_node(base: Expr, exponent: Fraction) -> Expr:
    if isinstance(base, Literal) and exponent.denominator == 1:
        if is_small_power(base.value, exponent):
            return literal(base.value ** int(exponent))
    if exponent == HALF:
        return _elementwise("sqrt", (base,))
    return _elementwise("pow", (base, literal(exponent)))


# ---------------------------------------------------------------- sums


def add(terms: Iterable[tuple[Fraction | int, Expr]], shape: Shape) -> Expr:
    """The sum of c*t over `terms`: like terms collected, the common content taken out.

    2a + 4b -> 2(a + 2b); terms that cancel go; the first term in canonical order is positive.
    """
    collected: dict[Expr, Fraction] = {}
    for coefficient, term in terms:
        assert term.shape == shape, (term.shape, shape)
        inner, inside = split_scale(term)
        if not is_zero(inside):
            collected[inside] = collected.get(inside, ZERO) + inner * coefficient
    left = [(term, coefficient) for term, coefficient in collected.items() if coefficient]
    if not left:
        return zero(shape)
    if len(left) == 1:
        return scale(left[0][1], left[0][0])
    axes = _preferred_axes(left, len(shape))
    if axes is not None:
        inverse = inverse_of(axes)
        left = [(transpose(term, inverse), coefficient) for term, coefficient in left]
        return _view(_sum_node(left), axes)
    return _sum_node(left)


def _view(expr: Expr, axes: tuple[int, ...]) -> Expr:
    """The node that shows `expr` with its axes in another order."""
    factor, inside = split_scale(expr)
    return scale(factor, Contraction((inside,), (inverse_of(axes),), tuple(range(len(axes)))))


def _sum_node(left: list[tuple[Expr, Fraction]]) -> Expr:
    left.sort(key=sum_order)
    content = common_content([coefficient for _, coefficient in left])
    if left[0][1] < 0:
        content = -content
    terms = tuple(term for term, _ in left)
    node = Sum(terms, tuple(coefficient / content for _, coefficient in left), terms[0].shape)
    if not node.symmetric and node.rank == 2:
        node.symmetric = _is_closed_under_transposition(node)
    return scale(content, node)


def transpose(expr: Expr, axes: Sequence[int]) -> Expr:
    """`expr` with its axes in the order `axes`, as `numpy.transpose`."""
    return contract([expr], [tuple(range(expr.rank))], tuple(axes))


def _preferred_axes(left: list[tuple[Expr, Fraction]], rank: int) -> tuple[int, ...] | None:
    """The transposition to write outside a sum, None if there is none: X' - Y' -> (X - Y)'.

    The first plain term stands as it is; the axes of products alone are ordered by what stands at them.
    """
    if rank < 2:
        return None
    bases = [(*permutation_of(term), coefficient) for term, coefficient in left]
    plain = [e for e in bases if not isinstance(e[0], Contraction) and not e[0].symmetric]
    identity = tuple(range(rank))
    if plain:
        first = min(sum_order((base, coefficient))[:3] for base, _, coefficient in plain)
        candidates = {axes for base, axes, c in plain if sum_order((base, c))[:3] == first}
    else:
        found = [(abs(c), axis_signatures(term)) for term, c in left]
        signatures = [
            tuple(sorted((sorted(axes), size, axes[k]) for size, axes in found))
            for k in range(rank)
        ]
        candidates = {inverse_of(order) for order in orientations(signatures)}
    if candidates == {identity}:
        return None

    def form(axes: tuple[int, ...]) -> list[tuple[object, ...]]:
        inverse = inverse_of(axes)
        entries = sorted((sum_order((transpose(term, inverse), c)), c) for term, c in left)
        sign = 1 if entries[0][1] > 0 else -1  # the sign comes out afterwards
        return [(key, sign * c) for key, c in entries]

    best = min(sorted(candidates), key=form) if len(candidates) > 1 else next(iter(candidates))
    if best == identity or (identity in candidates and form(best) == form(identity)):
        return None
    return best


def _is_closed_under_transposition(node: Sum) -> bool:
    """Is it, like Q + Q', the same with its two axes exchanged?"""
    if node.shape != node.shape[::-1]:
        return False
    terms = dict(zip(node.children, node.coefficients, strict=True))
    return all(terms.get(transpose(term, (1, 0))) == c for term, c in terms.items())


def orientation(expr: Expr) -> tuple[int, ...]:
    """The axes of the transposition that a function of `expr` is written under.

    A view's own; for a product the one that orders its axes by what stands at them.
    """
    base, axes = permutation_of(expr)
    if base is not expr:
        return axes
    _, inside = split_scale(expr)
    if not isinstance(inside, Contraction) or expr.rank < 2 or expr.symmetric:
        return tuple(range(expr.rank))
    orders = orientations(axis_signatures(inside))
    best = min(orders, key=lambda order: transpose(inside, order).digest)
    return inverse_of(best)


# ---------------------------------------------------------------- functions


def broadcast(expr: Expr, shape: Shape) -> Expr:
    """A scalar repeated over `shape`."""
    if not shape or expr.shape == shape:
        return expr
    axes = tuple(range(len(shape)))
    return contract([expr, *map(Ones, shape)], [(), *((axis,) for axis in axes)], axes)


def elementwise(function: str, arguments: Sequence[Expr]) -> Expr:
    """f(arguments) entry by entry; transposes and broadcast axes that all arguments share come out."""
    if function == "pow" and isinstance(arguments[1], Literal):
        return power(arguments[0], arguments[1].value)
    condition = arguments[0] if arguments else None
    if isinstance(condition, Map) and condition.function in COMPARISON_NAMES:
        rest = tuple(arguments[1:])  # where(a < b, 1, 0) is a < b itself
        if (function, rest) in (("where", (literal(1), literal(0))), ("ne", (literal(0),))):
            return condition
    return _elementwise(function, tuple(arguments))


def _elementwise(function: str, arguments: tuple[Expr, ...]) -> Expr:
    full = [argument for argument in arguments if argument.shape]
    if not full:
        return Map(function, arguments)
    common = set.intersection(*(broadcast_axes(argument) for argument in full))
    if common:  # f(x_i 1_j) -> f(x)_i 1_j
        rest = tuple(axis for axis in range(full[0].rank) if axis not in common)
        inner = _elementwise(
            function, tuple(without_ones(a, rest) if a.shape else a for a in arguments)
        )
        shape = full[0].shape
        return contract(
            [inner, *(Ones(shape[axis]) for axis in sorted(common))],
            [rest if inner.shape else (), *((axis,) for axis in sorted(common))],
            tuple(range(len(shape))),
        )
    axes = orientation(full[0])
    if axes != tuple(range(len(axes))):  # f(x') -> f(x)'
        inverse = inverse_of(axes)
        moved = tuple(transpose(a, inverse) if a.shape else a for a in arguments)
        return transpose(Map(function, _scalars_narrowed(moved)), axes)
    return Map(function, _scalars_narrowed(arguments))


def _scalars_narrowed(arguments: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """Arguments that are one scalar everywhere become that scalar."""
    return tuple(
        without_ones(a, ()) if a.shape and len(broadcast_axes(a)) == a.rank else a
        for a in arguments
    )


def without_ones(expr: Expr, rest: tuple[int, ...]) -> Expr:
    """`expr` without the broadcast axes that are not in `rest`."""
    factor, term = split_scale(expr)
    if isinstance(term, Ones):
        return literal(factor)
    assert isinstance(term, Contraction)
    keep = {term.output[axis] for axis in rest}
    factors = [
        (operand, labels)
        for operand, labels in zip(term.children, term.inputs, strict=True)
        if not (isinstance(operand, Ones) and labels[0] not in keep)
    ]
    output = tuple(term.output[axis] for axis in rest)
    return scale(
        factor, contract([op for op, _ in factors], [labels for _, labels in factors], output)
    )


def whole(function: str, argument: Expr, width: int = 1) -> Expr:
    """A function of the last axes; transposed and merely repeated leading axes come out.

    f(A 1_b) -> f(A) 1_b, inv(A') -> inv(A)', det(A') -> det(A).
    """
    row = WHOLE[function]
    (core,), result = core_ranks(row.signature)
    batch = argument.rank - core * width
    repeated = sorted(axis for axis in broadcast_axes(argument) if axis < batch)
    after = batch + result * width
    if repeated:
        rest = tuple(axis for axis in range(argument.rank) if axis not in repeated)
        inner = whole(function, without_ones(argument, rest), width)
        return contract(
            [inner, *(Ones(argument.shape[axis]) for axis in repeated)],
            [
                tuple(axis for axis in range(after) if axis not in repeated),
                *((axis,) for axis in repeated),
            ],
            tuple(range(after)),
        )
    axes = orientation(argument)
    core_axes = range(batch, argument.rank)
    order = (
        *sorted(range(batch), key=axes.__getitem__),
        *(sorted(core_axes, key=axes.__getitem__) if row.transposable else core_axes),
    )
    node = Apply(function, (transpose(argument, order),), width)
    kept = order if result == core else (*order[:batch], *range(batch, after))
    return transpose(node, inverse_of(kept))


# Nodes over other children, in canonical form.
#
# In: a node and children of the same shapes. Out: the canonical term of its kind.
# Invariant: a canonical node over its own children is itself; `why_not_canonical` tells where not.


def with_children(node: Expr, children: Sequence[Expr]) -> Expr:
    """The canonical term of `node`'s kind over other children of the same shapes."""
    if isinstance(node, Contraction):
        return contract(children, node.inputs, node.output)
    if isinstance(node, Sum):
        return add(zip(node.coefficients, children, strict=True), node.shape)
    if isinstance(node, Map):
        return elementwise(node.function, children)
    if isinstance(node, Apply) and children:
        return whole(node.function, children[0], node.width)
    return node


def why_not_canonical(node: Expr) -> str | None:
    """The reason why rebuilding `node` changes it, None if it does not."""
    again = with_children(node, node.children)
    return None if again is node else f"{node!r} rebuilds as {again!r}"
