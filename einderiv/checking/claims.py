"""A claim read as its author meant it, set beside the derivative that it is about.

In: an expression, what to differentiate by, the claim as a text or an Expression. Out: a `Question`: both
as terms over the same tensors, and the orders of the claim's axes that fit the derivative's.
Invariant: nothing is guessed silently. A name that the expression does not have is an error; an extent of
the claim equals one of the derivative only where nothing else tells it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import combinations, permutations

from ..calculus import with_assumptions
from ..errors import DimensionError, EinderivError, NotationError
from ..expressions import Expression, parse
from ..terms import (
    Dim,
    Expr,
    Shape,
    Variable,
    generalised,
    is_zero,
    renamed_dims,
    transpose,
    united,
    zero,
)

NOTATIONS = ("index", "matrix", "latex")  # tried in this order
_LETTERS = 8  # indices of a claim; beyond, none is kept but what the claim itself keeps
_ORDERED = 5  # axes; beyond, only the reversed order is tried


@dataclass(frozen=True)
class Claim:
    """What was read, or why its axes do not fit together."""

    text: str
    notation: str | None
    expression: Expression | None
    refusal: DimensionError | None = None
    note: str = ""  # how it was read, where that is not what the text alone says


@dataclass(frozen=True)
class Question:
    """A derivative and a claim about it, over the same tensors."""

    expression: Expression
    derivative: Expression
    claim: Claim
    truth: Expr
    claimed: Expr | None  # None where the axes do not fit together
    variables: Mapping[str, Variable]
    orders: tuple[
        tuple[int, ...], ...
    ]  # orders of the claim's axes that fit; the first is the stated one
    stated: bool  # does the stated order fit?
    merged: tuple[tuple[Dim, Dim], ...] = ()  # extents that only the claim has equal
    numbers: Mapping[str, Dim] = field(
        default_factory=dict
    )  # for which large extents symbols stand

    def as_expression(self, term: Expr, generic: bool = False) -> Expression:
        """A term of the derivative's shape, with its names; with large extents as symbols if `generic`."""
        e = self.derivative
        variables = dict(self.variables)
        if not generic and self.numbers:
            term, *tensors = renamed_dims([term, *variables.values()], self.numbers)
            variables = {x.name: x for x in tensors if isinstance(x, Variable)}
        context = replace(e._context, variables=variables, name=None)
        if term.rank != e._term.rank:
            letters = tuple(f"i{k}" for k in range(term.rank))
            return Expression(term, letters, context)
        return Expression(term, e.indices, context, e._layout)


def posed(
    expression: Expression,
    wrt: Sequence[str],
    claimed: str | Expression,
    notation: str | None,
    order: int,
    layout: str | None,
) -> Question:
    """The question whether `claimed` is the derivative of `expression` by `wrt`."""
    derivative = expression.diff(*wrt, order=order, layout=layout or "numerator")
    claim = _read(expression, derivative, wrt, claimed, notation)
    if claim.expression is None:
        truth = derivative.term
        variables = dict(derivative._context.variables)
        return Question(expression, derivative, claim, truth, None, variables, (), False)
    given = claim.expression
    programs = [
        (derivative._term, derivative._context.variables),
        (given._term, given._context.variables),
    ]
    (truth, own), together = united(programs)
    merged = _merged(derivative._context.variables, together)
    assumed = derivative._context.assumptions
    if own.rank == 0 and is_zero(own):
        own = zero(truth.shape)  # 0 is the zero of every shape
    names = list(together)
    (truth, own, *tensors), numbers = generalised([truth, own, *together.values()])
    together = {n: x for n, x in zip(names, tensors, strict=True) if isinstance(x, Variable)}
    variables = {n: Variable(n, x.shape, assumed.get(n, frozenset())) for n, x in together.items()}
    known = {dim for x in variables.values() for dim in x.shape}
    stated = tuple(range(own.rank))
    if given._term.rank:
        stated = _stated_order(derivative, wrt, claim, layout)
    orders: list[tuple[int, ...]] = []
    dims: dict[str, Dim] = {}
    for axes in _candidates(stated, truth.rank if truth.rank == own.rank else -1):
        fitted = _fitted([own.shape[axis] for axis in axes], truth.shape, known)
        if fitted is not None:
            orders.append(axes)
            dims = dims or fitted
    (own,) = renamed_dims([own], dims)
    orders = [
        axes for axes in orders if tuple(own.shape[axis] for axis in axes) == truth.shape
    ]  # what one order has named, the others obey
    truth, own = (with_assumptions(term, assumed) for term in (truth, own))
    fits = bool(orders) and orders[0] == stated
    question = Question(
        expression,
        derivative,
        claim,
        truth,
        own,
        variables,
        tuple(orders),
        fits,
        tuple(merged),
        numbers,
    )
    return question


def in_order(term: Expr, axes: tuple[int, ...]) -> Expr:
    """The term with its axes in another order."""
    return term if axes == tuple(range(term.rank)) else transpose(term, axes)


def _merged(before: Mapping[str, Variable], after: Mapping[str, Variable]) -> list[tuple[Dim, Dim]]:
    """Pairs of extents of the expression that the claim needs to be one."""
    met: dict[Dim, Dim] = {}
    pairs = []
    for name, x in before.items():
        for old, new in zip(x.shape, after[name].shape, strict=True):
            first = met.setdefault(new, old)
            if first != old:
                pairs.append((first, old))
            elif isinstance(new, int) and isinstance(old, str):
                pairs.append((old, new))
    return list(dict.fromkeys(pairs))


def _candidates(stated: tuple[int, ...], rank: int) -> list[tuple[int, ...]]:
    """The stated order of axes, then the others."""
    if rank < 0:
        return []
    others = list(permutations(range(rank))) if rank < _ORDERED else [stated[::-1]]
    return list(dict.fromkeys([stated, *others]))


def _fitted(shape: Sequence[Dim], wanted: Shape, known: set[Dim]) -> dict[str, Dim] | None:
    """New names of the claim's extents with which `shape` is `wanted`, None if there are none.

    Only an extent that no tensor of the program has may be called otherwise.
    """
    names: dict[str, Dim] = {}
    for dim, other in zip(shape, wanted, strict=True):
        if isinstance(dim, str) and dim not in known:
            if names.setdefault(dim, other) != other:
                return None
        elif dim != other:
            return None
    return names


# ------------------------------------------------------------ axes


def _stated_order(
    derivative: Expression, wrt: Sequence[str], claim: Claim, layout: str | None
) -> tuple[int, ...]:
    """The claim's axes in the order of the derivative's, as the claim itself states it.

    Matrix notation: by position, in the layout that was asked for. Indices: by position, too, but a claim
    without a left-hand side, whose indices stand in the order in which they come, by name where it has all
    names that were given to the derivative.
    """
    e = claim.expression
    assert e is not None
    in_place = tuple(range(e._term.rank))
    rank = derivative._term.rank
    if len(in_place) != rank:
        return in_place
    if claim.notation == "matrix":
        turned = rank == 2 and layout is not None and derivative._layout.is_transposed(layout)
        return in_place[::-1] if turned else in_place
    if claim.notation is None or e._context.name is not None:
        return in_place
    given = _given_names(derivative, wrt)
    if not given or not set(given) <= set(e.indices):
        return in_place
    rest = iter([k for k in in_place if e.indices[k] not in given])
    return tuple(
        e.indices.index(name) if name in given else next(rest) for name in derivative.indices
    )


def _given_names(derivative: Expression, wrt: Sequence[str]) -> list[str]:
    """Names of the derivative's axes that its author has chosen: the expression's, and those in x[i,j]."""
    ranks = derivative._layout.ranks
    groups = derivative.indices
    named = [part.strip() for text in wrt for part in text.partition("[")[2].strip(" ]").split(",")]
    if derivative._layout.denominator:
        first = set(groups[len(groups) - ranks[0] :])
    else:
        first = set(groups[: ranks[0]])
    return [name for name in groups if name in first or name in named]


# ------------------------------------------------------------ reading


def _read(
    expression: Expression,
    derivative: Expression,
    wrt: Sequence[str],
    claimed: str | Expression,
    notation: str | None,
) -> Claim:
    if isinstance(claimed, Expression):
        _check_names(claimed, expression, str(claimed))
        return Claim(str(claimed), None, claimed)
    if not isinstance(claimed, str):
        raise NotationError(
            "the claim is no expression",
            facts=[f"it is of type {type(claimed).__name__}"],
            hint="pass a text or an Expression: ed.check(e, 'x', '2*x[i]')",
        )
    errors: dict[str, EinderivError] = {}
    for one in NOTATIONS if notation is None else (notation,):
        try:
            found, note = _read_in(expression, derivative, wrt, claimed, one)
        except EinderivError as error:
            errors[one] = error
            continue
        return Claim(claimed, one, found, None, note)
    likely = notation or _likely_notation(claimed)
    refused = errors[likely]
    if isinstance(refused, DimensionError):
        return Claim(claimed, likely, None, refused)
    if notation is None:
        refused.facts = (
            *(f for f in refused.facts if not f.startswith("it reads as")),
            f"the claim was read in {likely} notation, and in the others without success",
        )
    raise refused


def read_expression(
    text: str,
    shapes: Mapping[str, Sequence[Dim]] | None = None,
    assume: Mapping[str, Iterable[str]] | None = None,
) -> Expression:
    """A text in the first of the notations that reads it.

    Raises NotationError where index and matrix notation both do and mean something else by it, as in A*x.
    """
    found: dict[str, Expression] = {}
    errors: dict[str, EinderivError] = {}
    for notation in NOTATIONS:
        if notation == "latex" and found:
            break
        try:
            found[notation] = parse(text, notation, shapes=shapes, assume=assume)
        except EinderivError as error:
            errors[notation] = error
    if not found:
        raise errors[_likely_notation(text)]
    ranks = {
        tuple((name, len(shape)) for name, shape in sorted(e.variables.items()))
        for e in found.values()
    }
    if len(ranks) > 1:
        raise NotationError(
            "the expression can be read in two notations",
            facts=[
                "in index notation its names are scalars, in matrix notation vectors and matrices"
            ],
            hint=f'say which: ed.parse({text!r}, notation="matrix"), or --notation matrix',
        )
    return next(iter(found.values()))


def _likely_notation(text: str) -> str:
    if re.search(r"\w\s*\[", text):
        return "index"
    return "latex" if re.search(r"[\\{_]", text) else "matrix"


def _read_in(
    expression: Expression,
    derivative: Expression,
    wrt: Sequence[str],
    text: str,
    notation: str,
) -> tuple[Expression, str]:
    """The claim in one notation, and a note; the definitions of the expression's program may be used."""
    words = set(re.findall(r"[^\W\d_][^\W_]*|[^\W\d]\w*", text))
    definitions = {
        name: term
        for term, name in expression._context.definitions.items()
        if name in words and name not in expression.variables and name not in _defined(text)
    }
    declared = re.findall(r"(?:^|[;\n])\s*([^\W\d]\w*)\s*:\s*\(", text)
    alone = declared and notation != "matrix"  # it says what it needs, in extents of its own
    given = {} if alone else expression.variables
    shapes = {
        **{name: shape for name, shape in given.items() if name not in declared},
        **{name: term.shape for name, term in definitions.items()},
    }
    if notation in ("index", "latex"):
        found, note = _read_indices(derivative, wrt, text, notation, shapes)
    else:
        found, note = _read_other(derivative, text, notation, shapes), ""
    used = {name: definitions[name] for name in definitions if name in found.variables}
    if used:
        context = replace(expression._context, name=None)
        places = {
            name: Expression(term, tuple(f"i{k}" for k in range(term.rank)), context)
            for name, term in used.items()
        }
        found = found.substitute(places)
    _check_names(found, expression, text)
    return found, note


def _defined(text: str) -> set[str]:
    """Names that the claim defines itself, as a printed derivative does: Y[i,p] = ..."""
    lefts = [part.partition("=")[0] for part in re.split(r"[;\n]", text) if "=" in part]
    words = [re.search(r"[^\W\d_][^\W_]*", left) for left in lefts]
    plain = [re.match(r"\s*([^\W\d]\w*)", left) for left in lefts]
    return {m[0] for m in words if m} | {m[1] for m in plain if m}


def _read_other(
    derivative: Expression, text: str, notation: str, shapes: Mapping[str, Shape]
) -> Expression:
    try:
        return parse(text, notation, shapes=shapes)
    except NotationError as error:
        if notation != "matrix" or "nothing tells the size" not in error.message:
            raise
        return _read_beside(text, derivative, shapes)


def _read_indices(
    derivative: Expression,
    wrt: Sequence[str],
    text: str,
    notation: str,
    shapes: Mapping[str, Shape],
) -> tuple[Expression, str]:
    """A claim in indices. Without a left-hand side it may mean an entry: cos(x[i])*y[i] about x[i].

    Where all axes of the derivative have names from its author, these are kept. Else the claim is read as it
    stands; and if that has no meaning or too few axes, with the indices kept that make it fit, if there is
    one such choice.
    """
    names, rank = derivative.indices, derivative._term.rank
    if rank and set(_given_names(derivative, wrt)) == set(names):
        entry = _entry(names, text, notation, shapes)
        if entry is not None:
            return entry, ""
    plain: Expression | None = None
    refusal: EinderivError | None = None
    try:
        plain = parse(text, notation, shapes=shapes)
    except EinderivError as error:
        refusal = error
    if refusal is not None or (plain is not None and plain._term.rank < rank):
        letters = _letters(text, notation)
        readings = {}
        for kept in combinations(letters, rank) if len(letters) <= _LETTERS else ():
            entry = _entry(kept, text, notation, shapes)
            if entry is not None and entry.shape == derivative.shape:
                readings[kept] = entry
        if len(readings) == 1:
            ((kept, entry),) = readings.items()
            return entry, f"read as the entry at {', '.join(kept)}: no sum over what is kept"
    if plain is None:
        assert refusal is not None
        raise refusal
    return plain, ""


def _entry(
    kept: Sequence[str], text: str, notation: str, shapes: Mapping[str, Shape]
) -> Expression | None:
    """The text with a left-hand side that names its axes, None where that has no meaning."""
    *body, last = re.split(r"[;\n]", text.strip().rstrip(";"))
    if "=" in last:
        return None
    name = "G"
    while name in shapes or name in text:
        name += "G"
    left = f"{name}[{','.join(kept)}]" if notation == "index" else f"{name}_{{{','.join(kept)}}}"
    try:
        return parse("\n".join([*body, f"{left} = {last}"]), notation, shapes=shapes)
    except EinderivError:
        return None


def _letters(text: str, notation: str) -> list[str]:
    """Indices of the last statement, in the order in which they come."""
    last = re.split(r"[;\n]", text.strip().rstrip(";"))[-1]
    if notation == "index":
        groups = re.findall(r"\[([^\[\]]*)\]", last)
        found = [part.partition(":")[0].strip() for group in groups for part in group.split(",")]
        return list(dict.fromkeys(name for name in found if name.isidentifier()))
    groups = re.findall(r"_\s*(?:\{([^{}]*)\}|(\w))", last)
    return list(dict.fromkeys(c for pair in groups for c in "".join(pair) if c.isalpha()))


def _read_beside(text: str, derivative: Expression, shapes: Mapping[str, Shape]) -> Expression:
    """A claim such as eye, whose size is the derivative's: read as `(claim) - G`, then G = 0."""
    name = "G"
    while name in shapes or name in text:
        name += "G"
    body = re.split(r"[;\n]", text.strip())
    last = body[-1].rpartition("=")[2]
    lines = [*body[:-1], f"({last}) - {name}"]
    both = parse("\n".join(lines), "matrix", shapes={**shapes, name: derivative.shape})
    nothing = Expression(zero(derivative.shape), derivative.indices, derivative._context)
    return both.substitute({name: nothing})


def _check_names(claim: Expression, expression: Expression, text: str) -> None:
    """Every tensor of the claim is one of the expression's."""
    unknown = [name for name in claim.variables if name not in expression.variables]
    if not unknown:
        return
    known = ", ".join(expression.variables) or "no tensors"
    near = get_close_matches(unknown[0], expression.variables, n=1, cutoff=0.4)
    dims = [d for shape in expression.variables.values() for d in shape]
    hint = f"did you mean {near[0]}?" if near else "correct the name, or give it to the expression"
    if not claim.variables[unknown[0]] and not near and dims:
        hint += f"; an extent is written size[i], or declared: x : ({unknown[0]})"
    at = re.search(rf"(?<![^\W_]){re.escape(unknown[0])}(?![^\W_])", text)
    raise NotationError(
        f"the claim names {', '.join(unknown)}, which the expression does not have",
        source=text,
        spans=[at.span()] if at else (),
        facts=[f"the expression has {known}"],
        hint=hint,
    )
