"""A claim read as its author meant it, set beside the derivative that it is about.

In: an expression, what to differentiate by, the claim as a text or an Expression. Out: a `Question`: both
as terms over the same tensors, the claim with its axes in each order that fits the derivative's.
Invariant: nothing is guessed silently. A name that the expression does not have is an error; an extent of
the claim equals one of the derivative only if nothing else tells it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from itertools import combinations, count, permutations

from ..calculus import with_assumptions
from ..errors import DimensionError, EinderivError, NotationError
from ..expressions import Expression, parse
from ..terms import (
    Dim,
    Expr,
    Shape,
    Variable,
    free_name,
    is_zero,
    rename_dims,
    transpose,
    unite,
    with_symbolic_extents,
    zero,
)

_NOTATIONS = ("index", "matrix", "latex")  # tried in this order
_LETTERS = 8  # indices of a claim; beyond, none is kept but what the claim itself keeps
_ORDERED = 5  # axes; beyond, only the reversed order is tried


@dataclass(frozen=True)
class Question:
    """A derivative and a claim about it, over the same tensors."""

    expression: Expression
    wrt: Sequence[str]
    derivative: Expression
    text: str  # the claim as it was given
    notation: str | None
    note: str  # how it was read, if that is not what the text alone says
    truth: Expr
    variables: Mapping[str, Variable]
    given: Expression | None = None  # the claim as it was read
    claimed: Expr | None = None
    refusal: DimensionError | None = None  # why the claim's axes do not fit together
    readings: tuple[Expr, ...] = ()  # the claim with its axes in the orders that fit ...
    stated: bool = False  # ... of which the first is the one that it states
    merged: tuple[tuple[Dim, Dim], ...] = ()  # extents that only the claim has equal
    numbers: Mapping[str, Dim] = field(default_factory=dict)  # large extents that symbols replace

    def as_expression(self, term: Expr, generic: bool = False) -> Expression:
        """A term of the derivative's shape, with its names; with large extents as symbols if `generic`."""
        e = self.derivative
        variables = dict(self.variables)
        if not generic and self.numbers:
            term, *tensors = rename_dims([term, *variables.values()], self.numbers)
            variables = {x.name: x for x in tensors if isinstance(x, Variable)}
        context = replace(e._context, variables=variables, name=None)
        if term.rank != e._term.rank:
            return Expression(term, tuple(f"i{k}" for k in range(term.rank)), context)
        return Expression(term, e.indices, context, e._layout)

    def as_part(self, term: Expr) -> Expression:
        """A part of a term, with letters of its own."""
        context = self.as_expression(self.truth)._context
        return Expression(term, tuple("ijklmnpq"[: term.rank]), context)


def question_about(
    expression: Expression,
    wrt: Sequence[str],
    claimed: str | Expression,
    notation: str | None,
    order: int,
    layout: str | None,
) -> Question:
    """The question whether `claimed` is the derivative of `expression` by `wrt`."""
    derivative = expression.diff(*wrt, order=order, layout=layout or "numerator")
    given, notation, note = _Reader(expression, derivative, wrt).read(claimed, notation)
    question = partial(Question, expression, wrt, derivative, str(claimed), notation, note)
    if isinstance(given, DimensionError):
        return question(derivative._term, {}, refusal=given)
    programs = [(e._term, e._context.variables) for e in (derivative, given)]
    (truth, own), together = unite(programs)
    assumed = derivative._context.assumptions
    if own.rank == 0 and is_zero(own):
        own = zero(truth.shape)  # 0 is the zero of every shape
    (truth, own, *tensors), numbers = with_symbolic_extents([truth, own, *together.values()])
    variables = {
        name: Variable(name, x.shape, assumed.get(name, frozenset()))
        for name, x in zip(together, tensors, strict=True)
    }
    known = {dim for x in tensors for dim in x.shape}
    stated = tuple(range(own.rank))
    if given._term.rank:
        stated = _stated_order(derivative, wrt, given, notation, layout)
    orders: list[tuple[int, ...]] = []
    names: dict[str, Dim] = {}
    if own.rank == truth.rank:
        others = permutations(range(own.rank)) if own.rank < _ORDERED else [stated[::-1]]
        for axes in dict.fromkeys([stated, *others]):
            found = _new_names([own.shape[axis] for axis in axes], truth.shape, known)
            if found is not None:
                orders.append(axes)
                names = names or found
    (own,) = rename_dims([own], names)
    truth, own = (with_assumptions(term, assumed) for term in (truth, own))
    fitting = [(axes, transpose(own, axes)) for axes in orders]
    # what one order has named, the others obey
    fitting = [pair for pair in fitting if pair[1].shape == truth.shape]
    return question(
        truth,
        variables,
        given=given,
        claimed=own,
        readings=tuple(term for _, term in fitting),
        stated=bool(fitting) and fitting[0][0] == stated,
        merged=_forced_equalities(derivative._context.variables, together),
        numbers=numbers,
    )


def _forced_equalities(
    before: Mapping[str, Variable], after: Mapping[str, Variable]
) -> tuple[tuple[Dim, Dim], ...]:
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
    return tuple(dict.fromkeys(pairs))


def _new_names(shape: Sequence[Dim], wanted: Shape, known: set[Dim]) -> dict[str, Dim] | None:
    """New names of the claim's extents with which `shape` is `wanted`, None if no names do that.

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


def _stated_order(
    derivative: Expression,
    wrt: Sequence[str],
    claim: Expression,
    notation: str | None,
    layout: str | None,
) -> tuple[int, ...]:
    """The claim's axes in the order of the derivative's, as the claim itself states it.

    Matrix notation: by position, in the layout that was asked for. Indices: by position, too, but a claim
    without a left-hand side, whose indices come in the order of the text, by name if it has all names that
    were given to the derivative.
    """
    in_place = tuple(range(claim._term.rank))
    rank = derivative._term.rank
    if len(in_place) != rank:
        return in_place
    if notation == "matrix":
        turned = rank == 2 and layout is not None and derivative._layout.is_transposed(layout)
        return in_place[::-1] if turned else in_place
    given = _given_names(derivative, wrt)
    named = notation is not None and claim._context.name is None
    if not named or not given or not set(given) <= set(claim.indices):
        return in_place
    rest = iter([k for k in in_place if claim.indices[k] not in given])
    return tuple(
        claim.indices.index(name) if name in given else next(rest) for name in derivative.indices
    )


def _given_names(derivative: Expression, wrt: Sequence[str]) -> list[str]:
    """Names of the derivative's axes that its author has chosen: the expression's, and those in x[i,j]."""
    names, rank = derivative.indices, derivative._layout.ranks[0]
    bracketed = [text.partition("[")[2].strip(" ]").split(",") for text in wrt]
    own = names[len(names) - rank :] if derivative._layout.denominator else names[:rank]
    chosen = {*own, *(part.strip() for parts in bracketed for part in parts)}
    return [name for name in names if name in chosen]


def read_expression(
    text: str,
    shapes: Mapping[str, Sequence[Dim]] | None = None,
    assume: Mapping[str, Iterable[str]] | None = None,
) -> Expression:
    """A text in the first of the notations that reads it.

    Raises NotationError if index and matrix notation both do and mean something else by it, as in A*x.
    """
    found: dict[str, Expression] = {}
    errors: dict[str, EinderivError] = {}
    for notation in _NOTATIONS:
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


@dataclass(frozen=True)
class _Reader:
    """Reads claims about one derivative."""

    expression: Expression
    derivative: Expression
    wrt: Sequence[str]

    def read(
        self, claimed: str | Expression, notation: str | None
    ) -> tuple[Expression | DimensionError, str | None, str]:
        """The claim or why its axes do not fit together, its notation, and a note."""
        if isinstance(claimed, Expression):
            self._check_names(claimed, str(claimed))
            return claimed, None, ""
        if not isinstance(claimed, str):
            raise NotationError(
                "the claim is no expression",
                facts=[f"it is of type {type(claimed).__name__}"],
                hint="pass a text or an Expression: ed.check(e, 'x', '2*x[i]')",
            )
        errors: dict[str, EinderivError] = {}
        for one in _NOTATIONS if notation is None else (notation,):
            try:
                found, note = self._read_in(claimed, one)
                return found, one, note
            except EinderivError as error:
                errors[one] = error
        likely = notation or _likely_notation(claimed)
        refused = errors[likely]
        if isinstance(refused, DimensionError):
            return refused, likely, ""
        if notation is None:
            refused.facts = (
                *(f for f in refused.facts if not f.startswith("it reads as")),
                f"the claim was read in {likely} notation, and in the others without success",
            )
        raise refused

    def _read_in(self, text: str, notation: str) -> tuple[Expression, str]:
        """The claim in one notation, and a note; definitions of the expression's program may be used."""
        context, variables = self.expression._context, self.expression.variables
        words = set(re.findall(r"[^\W\d_][^\W_]*|[^\W\d]\w*", text))
        definitions = {
            name: term
            for term, name in context.definitions.items()
            if name in words and name not in variables and name not in _defined_names(text)
        }
        declared = re.findall(r"(?:^|[;\n])\s*([^\W\d]\w*)\s*:\s*\(", text)
        alone = declared and notation != "matrix"  # it says what it needs, in extents of its own
        shapes = {
            **{n: shape for n, shape in variables.items() if not alone and n not in declared},
            **{name: term.shape for name, term in definitions.items()},
        }
        note = ""
        if notation in ("index", "latex"):
            found, note = self._read_indices(text, notation, shapes)
        else:
            found = self._read_plainly(text, notation, shapes)
        places = {
            name: Expression(
                term, tuple(f"i{k}" for k in range(term.rank)), replace(context, name=None)
            )
            for name, term in definitions.items()
            if name in found.variables
        }
        if places:
            found = found.substitute(places)
        self._check_names(found, text)
        return found, note

    def _read_plainly(self, text: str, notation: str, shapes: Mapping[str, Shape]) -> Expression:
        try:
            return parse(text, notation, shapes=shapes)
        except NotationError as error:
            if notation != "matrix" or "nothing tells the size" not in error.message:
                raise
        # a claim such as eye, whose size is the derivative's: read as (claim) - G, then G = 0
        derivative, name = self.derivative, _fresh_name(shapes, text)
        body = re.split(r"[;\n]", text.strip())
        lines = [*body[:-1], f"({body[-1].rpartition('=')[2]}) - {name}"]
        both = parse("\n".join(lines), "matrix", shapes={**shapes, name: derivative.shape})
        nothing = Expression(zero(derivative.shape), derivative.indices, derivative._context)
        return both.substitute({name: nothing})

    def _read_indices(
        self, text: str, notation: str, shapes: Mapping[str, Shape]
    ) -> tuple[Expression, str]:
        """A claim in indices. Without a left-hand side it may mean an entry: cos(x[i])*y[i] about x[i].

        If all axes of the derivative have names from its author, these are kept. Else the claim is read as
        the text says; and if that has no meaning or too few axes, with the indices kept that make it fit, if
        there is one such choice.
        """
        names, rank = self.derivative.indices, self.derivative._term.rank
        if rank and set(_given_names(self.derivative, self.wrt)) == set(names):
            entry = _entry(names, text, notation, shapes)
            if entry is not None:
                return entry, ""
        plain: Expression | None = None
        refusal: EinderivError | None = None
        try:
            plain = parse(text, notation, shapes=shapes)
        except EinderivError as error:
            refusal = error
        if plain is None or plain._term.rank < rank:
            letters = _index_letters(text, notation)
            readings = {}
            for kept in combinations(letters, rank) if len(letters) <= _LETTERS else ():
                entry = _entry(kept, text, notation, shapes)
                if entry is not None and entry.shape == self.derivative.shape:
                    readings[kept] = entry
            if len(readings) == 1:
                ((kept, entry),) = readings.items()
                return entry, f"read as the entry at {', '.join(kept)}: no sum over what is kept"
        if plain is None:
            assert refusal is not None
            raise refusal
        return plain, ""

    def _check_names(self, claim: Expression, text: str) -> None:
        """Every tensor of the claim is one of the expression's."""
        variables = self.expression.variables
        unknown = [name for name in claim.variables if name not in variables]
        if not unknown:
            return
        near = get_close_matches(unknown[0], variables, n=1, cutoff=0.4)
        hint = (
            f"did you mean {near[0]}?" if near else "correct the name, or give it to the expression"
        )
        if not claim.variables[unknown[0]] and not near and any(variables.values()):
            hint += f"; an extent is written size[i], or declared: x : ({unknown[0]})"
        at = re.search(rf"(?<![^\W_]){re.escape(unknown[0])}(?![^\W_])", text)
        raise NotationError(
            f"the claim names {', '.join(unknown)}, which the expression does not have",
            source=text,
            spans=[at.span()] if at else (),
            facts=[f"the expression has {', '.join(variables) or 'no tensors'}"],
            hint=hint,
        )


def _defined_names(text: str) -> set[str]:
    """Names that the claim defines itself, as a printed derivative does: Y[i,p] = ..."""
    lefts = [part.partition("=")[0] for part in re.split(r"[;\n]", text) if "=" in part]
    words = [re.search(r"[^\W\d_][^\W_]*", left) for left in lefts]
    plain = [re.match(r"\s*([^\W\d]\w*)", left) for left in lefts]
    return {m[0] for m in words if m} | {m[1] for m in plain if m}


def _fresh_name(taken: Mapping[str, Shape], text: str) -> str:
    return free_name(("G" * k for k in count(1)), " ".join([text, *taken]))


def _entry(
    kept: Sequence[str], text: str, notation: str, shapes: Mapping[str, Shape]
) -> Expression | None:
    """The text with a left-hand side that names its axes, None if that has no meaning."""
    *body, last = re.split(r"[;\n]", text.strip().rstrip(";"))
    if "=" in last:
        return None
    name, axes = _fresh_name(shapes, text), ",".join(kept)
    left = f"{name}[{axes}]" if notation == "index" else f"{name}_{{{axes}}}"
    try:
        return parse("\n".join([*body, f"{left} = {last}"]), notation, shapes=shapes)
    except EinderivError:
        return None


def _index_letters(text: str, notation: str) -> list[str]:
    """Indices of the last statement, in the order in which they come."""
    last = re.split(r"[;\n]", text.strip().rstrip(";"))[-1]
    if notation == "index":
        groups = re.findall(r"\[([^\[\]]*)\]", last)
        found = [part.partition(":")[0].strip() for group in groups for part in group.split(",")]
        return list(dict.fromkeys(name for name in found if name.isidentifier()))
    pairs = re.findall(r"_\s*(?:\{([^{}]*)\}|(\w))", last)
    return list(dict.fromkeys(c for pair in pairs for c in "".join(pair) if c.isalpha()))
