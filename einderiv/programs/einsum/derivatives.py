"""Derivatives of einsum strings, as einsum strings.

In: a string in NumPy's rules, the number of an operand. Out: `EinsumRule`: text, index notation, a function.
Invariant: the text and the function are one form: inputs with labels, and a result whose axes may share a
label. In the text a shared label is a delta; the function writes on the diagonal instead.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from ...errors import DataError, DimensionError, NotationError, ResourceLimitError
from ...notations import ELLIPSIS, Labels, Subscripts, fresh_letters, operand_name
from ..arrays import Array, checked_sizes, converted
from .call import Extents, Sizes, einsum

# ---------------------------------------------------------------- labels

COTANGENT = "g"
_NEW = "pqrstuvwxyz"  # letters for the new axes of a Jacobian, where they are free


@dataclass(frozen=True, slots=True)
class Repeated:
    """Axes of extent 1 that an equation repeats: those of the operand, and labels that all others have so."""

    own: frozenset[int] = frozenset()
    thin: frozenset[str] = frozenset()


NOTHING = Repeated()


@dataclass(frozen=True, slots=True)
class Form:
    """A product of inputs, and for every axis of the result the label it runs along.

    `result` may repeat a label: the axes are tied, entries off their diagonal are 0. `letters` names the axes
    apart. `single` holds labels of extent 1 that stand for a repeated axis, `thin` those that the inputs have
    with extent 1 only, while the result has more.
    """

    inputs: tuple[tuple[str | int, Labels], ...]  # "g" or the number of an operand
    result: Labels
    letters: Labels
    single: frozenset[str] = frozenset()
    thin: frozenset[str] = frozenset()
    old: Mapping[str, str] = field(default_factory=dict)  # new letter -> the label it replaces

    @property
    def present(self) -> frozenset[str]:
        """The labels that some input has."""
        return frozenset(chain(*(labels for _, labels in self.inputs)))

    @property
    def deltas(self) -> list[tuple[str, str]]:
        """The pairs of axes that are tied."""
        return [(a, b) for a, b in zip(self.result, self.letters, strict=True) if a != b]

    @property
    def ones(self) -> list[str]:
        """The labels that nothing else has, in full."""
        covered = (self.present - self.thin).union(*self.deltas)
        return [x for x in dict.fromkeys(self.result) if x not in covered]


def form_of(kind: str, equation: Subscripts, operand: int, axes: Repeated = NOTHING) -> Form:
    """Laws: dA_k = sum of g times all other operands, at the labels of operand k ("vjp");
    dC_o/dA_n = d_{l n} for labels l kept in the output; a summed label becomes the new axis ("jacobian").
    """
    own, output, single = equation.inputs[operand], equation.output, axes.own
    is_vjp = kind == "vjp"
    repeats = {axis for axis, x in enumerate(own) if x in own[:axis]}
    needed = sorted(single | repeats) if is_vjp else range(len(own))
    fresh = fresh_letters(len(needed), equation.letters, _after(own) if is_vjp else _NEW)
    new = dict(zip(needed, fresh, strict=True))  # axis -> letter
    others = [(k, term) for k, term in enumerate(equation.inputs) if k != operand]
    renamed: dict[str, str] = {}
    for axis, x in enumerate(own):
        if not is_vjp and x not in output and axis not in single:
            renamed.setdefault(x, new[axis])
    inputs: list[tuple[str | int, Labels]] = [(COTANGENT, output)] if is_vjp else []
    inputs += [(k, tuple(renamed.get(x, x) for x in term)) for k, term in others]
    ends = tuple(new[axis] if axis in single else renamed.get(x, x) for axis, x in enumerate(own))
    letters = tuple(new.get(axis, x) for axis, x in enumerate(own))
    front = () if is_vjp else output
    return Form(
        tuple(inputs),
        front + ends,
        front + letters,
        frozenset(new[axis] for axis in single),
        axes.thin - set(output) if is_vjp else frozenset(renamed.get(x, x) for x in axes.thin),
        {new[axis]: own[axis] for axis in needed},
    )


def _after(labels: Labels) -> str:
    """The letters that follow the last label in the alphabet: i -> jkl..."""
    named = [x for x in labels if x != ELLIPSIS]
    last = max(named, key=lambda x: (x.lower(), x), default="h").lower()
    return "".join(map(chr, range(ord(last) + 1, ord("z") + 1)))


def without_idle_ellipses(equation: Subscripts) -> Subscripts:
    """The equation without ellipses that have no axes: those on one side of the arrow only."""
    if ELLIPSIS in equation.output and any(ELLIPSIS in term for term in equation.inputs):
        return Subscripts(equation.inputs, equation.output)
    terms = [
        tuple(x for x in term if x != ELLIPSIS) for term in (*equation.inputs, equation.output)
    ]
    return Subscripts(tuple(terms[:-1]), terms[-1])


# ---------------------------------------------------------------- texts


def index_text(
    name: str,
    letters: Labels,
    factors: Sequence[tuple[str, Labels]],
    single: frozenset[str] = frozenset(),
) -> str:
    """A definition in index notation; a label that occurs once and is not kept gets its sum written."""

    def access(tensor: str, labels: Labels) -> str:
        told = (f"{x}:1" if tensor == "ones" and x in single else x for x in labels)
        return f"{tensor}[{','.join(told)}]" if labels else tensor

    count = Counter(chain(*(labels for _, labels in factors)))
    lonely = [x for x, n in count.items() if n == 1 and x not in letters]
    body = "*".join(access(tensor, labels) for tensor, labels in factors) or "1"
    if lonely:
        body = f"sum[{','.join(lonely)}]({body})"
    return f"{access(name, letters)} = {body}"


# ---------------------------------------------------------------- plans


def repeated_axes(
    equation: Subscripts, operand: int, shapes: Sequence[Sequence[int | str]]
) -> Repeated:
    """What the equation repeats, for operands of these shapes; DimensionError where they clash."""
    extents, others = Extents(equation), Extents(equation)
    for k, (term, shape) in enumerate(zip(equation.inputs, shapes, strict=True)):
        extents.read(f"operand {k}", term, shape)
        if k != operand:
            others.read(f"operand {k}", term, shape)
    labels = equation.inputs[operand]
    thin = frozenset(x for x in labels if others.get(x) == 1 != extents.get(x))
    return Repeated(extents.thin_axes(labels, shapes[operand]), thin)


@dataclass(frozen=True, slots=True)
class Plan:
    """One einsum and where its result is written."""

    core: str  # einsum string over the inputs
    shape: Sizes
    view: str  # einsum string from the result to its diagonal; empty if nothing is tied
    lead: tuple[slice | None, ...]  # places the core's axes among the diagonal's

    def run(self, arrays: Sequence[Array]) -> Any:
        """The result, in memory of its own."""
        core = np.asarray(einsum(self.core, *arrays) if arrays else 1.0)
        if not self.view and core.shape == self.shape:
            shared = any(np.may_share_memory(core, array) for array in arrays)
            result = core.copy() if shared else core
        else:
            if prod(self.shape) * core.itemsize > sys.maxsize:
                raise MemoryError(f"an array of shape {self.shape} is out of reach")
            result = np.zeros(self.shape, core.dtype)
            target = np.einsum(self.view, result) if self.view else result
            target[...] = core[self.lead]
        return result if result.ndim else result[()]


@lru_cache(maxsize=512)
def plan_of(
    kind: str,
    equation: Subscripts,
    operand: int,
    shapes: tuple[Sizes, ...],
    own: Sizes | None,
    sizes: tuple[tuple[str, int], ...],
) -> Plan:
    """The plan for arrays of these shapes: the cotangent's first for a vjp, then the other operands'."""
    cotangent = shapes[0] if kind == "vjp" else None
    others = list(shapes[1:] if kind == "vjp" else shapes)
    equation = _spell_out(equation, operand, others, own, cotangent)
    extents = Extents(equation)
    for label, size in sizes:
        extents.put(label, size, f"{label} is {size} (given in sizes=)")
    terms = [(k, term) for k, term in enumerate(equation.inputs) if k != operand]
    for (k, term), shape in zip(terms, others, strict=True):
        extents.read(f"operand {k}", term, shape)
    labels = equation.inputs[operand]
    if own is not None:
        extents.read(f"operand {operand} (given in shape=)", labels, own)
    if cotangent is not None:
        extents.read("the cotangent g", equation.output, cotangent)
        for axis, (label, dim) in enumerate(zip(equation.output, cotangent, strict=True)):
            extents.exactly(label, dim, f"axis {axis + 1} of the cotangent g is {dim}")
    for label, size in sizes:
        extents.exactly(label, size, f"{label} is {size} (given in sizes=)")
    thin_axes = Repeated() if own is None else Repeated(extents.thin_axes(labels, own))
    form = form_of(kind, equation, operand, thin_axes)
    shape = tuple(
        1 if x in form.single else _extent(extents, form.old.get(x, x)) for x in form.result
    )
    distinct = tuple(dict.fromkeys(form.result))
    core = tuple(x for x in distinct if x in form.present)
    return Plan(
        str(Subscripts(tuple(term for _, term in form.inputs), core)),
        shape,
        str(Subscripts((form.result,), distinct)) if len(distinct) < len(form.result) else "",
        tuple(slice(None) if x in form.present else None for x in distinct),
    )


def _spell_out(
    equation: Subscripts,
    operand: int,
    others: Sequence[Sizes],
    own: Sizes | None,
    cotangent: Sizes | None,
) -> Subscripts:
    """The equation without ellipses, for arrays of these shapes; their ranks checked."""
    labels = equation.inputs[operand]
    ranks = [len(shape) for shape in others]
    if own is not None:
        rank = len(own)
    elif ELLIPSIS not in labels:
        rank = len(labels)
    else:  # as many axes as the output has without letters
        assert cotangent is not None
        rank = max(len(labels) - 1, len(cotangent) - len(equation.output) + len(labels))
    ranks.insert(operand, rank)
    spelled = equation.spell_out(ranks)
    if cotangent is not None and len(cotangent) != len(spelled.output):
        raise DimensionError(
            f"the cotangent g has shape {cotangent}, the output {len(spelled.output)} axes",
            source=str(equation),
            spans=[(str(equation).index("->") + 2, len(str(equation)))],
            facts=["the cotangent has the shape of the output"],
            hint="pass an array like the result of the einsum",
        )
    return spelled


def _extent(extents: Extents, label: str) -> int:
    size = extents.get(label)
    if size is None:
        raise DimensionError(
            f"no given array tells the extent of {label}",
            source=extents.source,
            spans=extents.places(label),
            facts=["only the operand differentiated by has it"],
            hint=f"pass its shape: shape=A.shape, or sizes={{{label!r}: ...}}",
        )
    return size


# ---------------------------------------------------------------- strings

Shapes = Sequence[Sequence[int | str]]


def einsum_vjp(subscripts: str, operand: int, shapes: Shapes | None = None) -> EinsumRule:
    """The rule that takes a cotangent of the output to a cotangent of one operand.

    The rule's operands are the cotangent `g`, then the other operands in order; its result has the operand's
    axes. `shapes`, one per operand, spells an ellipsis out with letters and shows where axes of extent 1 are
    repeated. Complex arrays: the plain transpose, nothing is conjugated (as `jax.vjp`).
    Raises NotationError (string, operand), DimensionError (shapes).

    >>> print(einsum_vjp("ij,jk->ik", 0))
    ik,jk->ij
    >>> rule = einsum_vjp("ij->i", 0)
    >>> print(rule)
    i,j->ij with ones[j]
    >>> rule([1.0, 2.0], shape=(2, 3)).tolist()
    [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
    """
    return _rule("vjp", subscripts, operand, shapes)


def einsum_jacobian(subscripts: str, operand: int, shapes: Shapes | None = None) -> EinsumRule:
    """The rule for the derivative by one operand: the output's axes, then the operand's.

    The rule's operands are Kronecker deltas and ones, then the other operands in order; the function
    takes the latter only. An operand with an ellipsis needs `shapes`, one per operand.
    Raises NotationError (string, operand), DimensionError (shapes).

    >>> rule = einsum_jacobian("ij,jk->ik", 0)
    >>> print(rule)
    ip,qk->ikpq with δ[i,p]
    >>> rule.index
    'J_A[i,k,p,q] = delta[i,p]*B[q,k]'
    >>> rule([[1.0], [2.0]], shape=(1, 2)).tolist()
    [[[[1.0, 2.0]]]]
    """
    return _rule("jacobian", subscripts, operand, shapes)


def einsum_report(subscripts: str, operand: int, shapes: Shapes | None = None) -> str:
    """The contraction and its derivatives by one operand, in index notation and as lines for NumPy.

    >>> print(einsum_report("ij,jk->ik", 0))
    value     ij,jk->ik
              out[i,k] = A[i,j]*B[j,k]
    vjp       ik,jk->ij
              dA[i,j] = g[i,k]*B[j,k]
    jacobian  ip,qk->ikpq with δ[i,p]
              J_A[i,k,p,q] = delta[i,p]*B[q,k]
    NumPy     dA = np.einsum("ik,jk->ij", g, B)
              J_A = np.einsum("ip,qk->ikpq", np.eye(A.shape[0]), B)
    """
    rules = [einsum_vjp(subscripts, operand, shapes)]
    equation = rules[0].equation
    if ELLIPSIS not in equation.inputs[rules[0].operand]:
        rules.append(einsum_jacobian(subscripts, operand, shapes))
    factors = [(operand_name(k), term) for k, term in enumerate(equation.inputs)]
    told = [("value", str(Subscripts(equation.inputs, equation.output)))]
    if not equation.has_ellipsis:
        told.append(("", index_text("out", equation.output, factors)))
    for rule in rules:
        told.append((rule.kind, str(rule)))
        if not equation.has_ellipsis:
            told.append(("", rule.index))
    if len(rules) == 1:
        told.append(("jacobian", "needs the shapes of the operands, for the axes of its ellipsis"))
    python = [rule.numpy for rule in rules if not rule.sums_an_ellipsis]
    told += [("" if place else "NumPy", line) for place, line in enumerate(python)]
    return "\n".join(f"{head:10}{line}" for head, line in told)


# ---------------------------------------------------------------- the rule


@dataclass(frozen=True, slots=True, repr=False)
class EinsumRule:
    """A derivative of an einsum string that is one again; call it with arrays.

    `subscripts`: the string; `operands`: what goes in, in its order: "g" (the cotangent), numbers of operands
    of the equation, "δ[i,p]" (an identity) and "ones[j]"; `needs`: labels whose extent no array tells;
    `index`: index notation; `numpy`: a line of Python. `str()` is the string, and what is not an array of the
    caller's behind `with`.

    >>> einsum_vjp("ii->", 0)
    EinsumRule(',ij->ij', operands=('g', 'δ[i,j]'))
    """

    kind: str
    equation: Subscripts
    operand: int
    shape: Sizes | None  # the operand's, where it was given
    _form: Form = field(compare=False)

    @property
    def has_ellipsis(self) -> bool:
        """Does the string leave axes without letters?"""
        return self.equation.has_ellipsis

    @property
    def sums_an_ellipsis(self) -> bool:
        """Are axes without letters summed? NumPy has no string for that; with `shapes=` they have letters."""
        return ELLIPSIS in self.equation.output and ELLIPSIS not in self._form.letters

    @property
    def _parts(self) -> list[tuple[str | int, Labels]]:
        form = self._form
        made: list[tuple[str | int, Labels]] = [(f"δ[{a},{b}]", (a, b)) for a, b in form.deltas]
        made += [(f"ones[{x}{':1' if x in form.single else ''}]", (x,)) for x in form.ones]
        return [*form.inputs, *made] if self.kind == "vjp" else [*made, *form.inputs]

    @property
    def subscripts(self) -> str:
        """The einsum string.

        >>> einsum_vjp("i,ij,j->", 1).subscripts
        ',i,j->ij'
        """
        return str(Subscripts(tuple(labels for _, labels in self._parts), self._form.letters))

    @property
    def operands(self) -> tuple[str | int, ...]:
        """What goes in.

        >>> einsum_vjp("i,ij,j->", 1).operands
        ('g', 0, 2)
        """
        return tuple(what for what, _ in self._parts)

    @property
    def needs(self) -> Labels:
        """Labels of the equation whose extent none of the arrays of a call tells: pass `shape=` or `sizes=`.

        >>> einsum_vjp("ij->i", 0).needs
        ('j',)
        """
        form, known = self._form, self._form.present
        missing = [x for x in dict.fromkeys(form.result) if x not in known | form.single]
        return () if self.shape is not None else tuple(form.old.get(x, x) for x in missing)

    def __str__(self) -> str:
        made = [str(what) for what, _ in self._parts if _is_made(what)]
        if self.sums_an_ellipsis:
            made.append("... summed")
        return f"{self.subscripts} with {', '.join(made)}" if made else self.subscripts

    def __repr__(self) -> str:
        return f"EinsumRule({self.subscripts!r}, operands={self.operands!r})"

    @property
    def name(self) -> str:
        """The result's name in `index` and `numpy`, with operands called A, B, C, ..."""
        return f"{'d' if self.kind == 'vjp' else 'J_'}{operand_name(self.operand)}"

    @property
    def index(self) -> str:
        """Index notation, operands called A, B, C, ...; NotationError if there is an ellipsis.

        >>> einsum_vjp("ij->i", 0).index
        'dA[i,j] = g[i]*ones[j]'
        """
        if self.has_ellipsis:
            raise NotationError(
                "index notation names every axis",
                facts=[f"{self.subscripts!r} has an ellipsis"],
                hint="give the shapes of the operands: shapes=[(2, 3), (3, 4)]",
            )
        factors = []
        for what, labels in self._parts:
            name = what if isinstance(what, str) else operand_name(what)
            factors.append((name.partition("[")[0].replace("δ", "delta"), labels))
        return index_text(self.name, self._form.letters, factors, self._form.single)

    @property
    def numpy(self) -> str:
        """A line of Python that computes the result, operands called A, B, C, ...

        Raises NotationError where NumPy has no such string: `sums_an_ellipsis`.

        >>> einsum_vjp("ij->i", 0).numpy
        'dA = np.einsum("i,j->ij", g, np.ones(A.shape[1]))'
        """
        if self.sums_an_ellipsis:
            raise NotationError(
                "NumPy sums no ellipsis",
                facts=[f"in {self.subscripts!r} the axes of ... are summed"],
                hint="give the shapes of the operands: shapes=[(2, 3), (3, 4)]",
            )
        arguments = [self._argument(what, labels) for what, labels in self._parts]
        if not arguments:  # the derivative of a scalar by itself
            return f"{self.name} = 1.0"
        string = f'"{self.subscripts}"'
        return f"{self.name} = np.einsum({', '.join([string, *arguments])})"

    def _argument(self, what: str | int, labels: Labels) -> str:
        if isinstance(what, int):
            return operand_name(what)
        if what == COTANGENT:
            return what
        maker = "eye" if what.startswith("δ") else "ones"
        if labels[0] in self._form.single:
            return "np.ones(1)"
        own = self.equation.inputs[self.operand]
        axis = own.index(self._form.old.get(labels[0], labels[0]))
        if ELLIPSIS in own[:axis]:
            axis -= len(own)
        return f"np.{maker}({operand_name(self.operand)}.shape[{axis}])"

    # ------------------------------------------------------------ calling

    def __call__(
        self,
        *arrays: Any,
        shape: Sequence[int] | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> Any:
        """The result for arrays: the cotangent (of a vjp), then the other operands in order.

        `shape` is that of the operand differentiated by; it is needed where `needs` names a label, and where
        the operand has axes of extent 1, or fewer axes under its ellipsis, that are repeated. `sizes` gives
        single extents by label. Integers stay integers; float16 is computed in float32.
        Errors: DataError (number or kind of arrays), DimensionError (ranks, extents), ResourceLimitError.
        """
        others = (what for what, _ in self._form.inputs)
        names = ["the cotangent g" if x == COTANGENT else f"operand {x}" for x in others]
        if len(arrays) != len(names):
            raise DataError(
                f"the rule takes {len(names)} {'array' if len(names) == 1 else 'arrays'}, "
                f"{len(arrays)} given",
                facts=[f"wanted: {', '.join(names) or 'none'}"],
                hint="pass every operand but the one differentiated by, in the order of the string",
            )
        given = [_numbers(name, value) for name, value in zip(names, arrays, strict=True)]
        known = self.shape if shape is None else _check_shape(shape)
        named = () if sizes is None else tuple(sorted(self._check_sizes(sizes).items()))
        plan = plan_of(
            self.kind, self.equation, self.operand, tuple(x.shape for x in given), known, named
        )
        try:
            return plan.run(given)
        except MemoryError as error:
            raise ResourceLimitError(
                f"not enough memory: {error}",
                facts=[f"the result has {prod(plan.shape):,} entries"],
                hint="a vjp has the operand's size" if self.kind == "jacobian" else None,
            ) from None

    def _check_sizes(self, sizes: Mapping[str, int]) -> dict[str, int]:
        if not isinstance(sizes, Mapping):
            raise DataError(
                f"sizes= of type {type(sizes).__name__} gives no extents",
                facts=["extents are given by label"],
                hint="pass sizes={'j': 4}",
            )
        found = checked_sizes(sizes)
        for label in found:
            if label not in (*self.equation.letters, *self._form.old):
                raise DataError(
                    f"{label}: no such label",
                    facts=[f"the labels are {', '.join(self.equation.letters) or 'none'}"],
                    hint="drop it, or correct the label",
                )
        return {self._form.old.get(label, label): size for label, size in found.items()}


def _rule(kind: str, subscripts: str, operand: int, shapes: Shapes | None) -> EinsumRule:
    from ...notations import read_subscripts

    equation = without_idle_ellipses(read_subscripts(subscripts))
    number = _check_operand(subscripts, equation, operand)
    shape: Sizes | None = None
    thin_axes = NOTHING
    if shapes is not None:
        given = _check_shapes(equation, shapes)
        equation = equation.spell_out([len(own) for own in given])
        thin_axes = repeated_axes(equation, number, given)
        numbers = [dim for dim in given[number] if isinstance(dim, int)]
        shape = tuple(numbers) if len(numbers) == len(given[number]) else None
    if kind == "jacobian" and ELLIPSIS in equation.inputs[number]:
        raise NotationError(
            f"the ellipsis of operand {number} stands for an unknown number of axes",
            source=str(equation),
            spans=[equation.place(number, ELLIPSIS)],
            facts=["each of them is a new axis of the Jacobian and needs a letter"],
            hint="give the shapes of the operands: shapes=[(2, 3), (3, 4)]",
        )
    return EinsumRule(kind, equation, number, shape, form_of(kind, equation, number, thin_axes))


def _check_operand(text: str, equation: Subscripts, operand: int) -> int:
    count = len(equation.inputs)
    whole = isinstance(operand, int | np.integer) and not isinstance(operand, bool | np.bool_)
    if not whole or not 0 <= operand < count:
        raise NotationError(
            f"no operand {operand!r} in {text!r}",
            facts=[
                f"there {'is 1 operand: 0' if count == 1 else f'are {count}: 0 to {count - 1}'}"
            ],
            hint="operands are counted from 0, in the order of the string",
        )
    return int(operand)


def _check_shapes(equation: Subscripts, shapes: Shapes) -> list[tuple[int | str, ...]]:
    if not _is_sequence(shapes) or not all(map(_is_sequence, shapes)):
        raise DimensionError(
            f"shapes={shapes!r} gives no shapes",
            facts=["it is a list with one shape for each operand"],
            hint="write for example shapes=[(2, 3), (3, 4)]",
        )
    equation.check_count(len(shapes))
    for dim in chain(*shapes):
        if not isinstance(dim, str) and not _is_extent(dim):
            raise DimensionError(
                f"{dim!r} is no extent",
                facts=["an extent is a number, 0 or more, or a name"],
                hint="write for example shapes=[(2, 3), (3, 4)]",
            )
    return [tuple(d if isinstance(d, str) else int(d) for d in shape) for shape in shapes]


def _check_shape(shape: Sequence[int]) -> Sizes:
    if not _is_sequence(shape) or not all(map(_is_extent, shape)):
        raise DimensionError(
            f"shape={shape!r} is no shape",
            facts=["a shape is a tuple of numbers, 0 or more, one for each axis"],
            hint="pass the shape of the operand differentiated by: shape=A.shape",
        )
    return tuple(int(n) for n in shape)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_extent(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 0)


def _numbers(name: str, value: Any) -> Array:
    """The array; integers stay what they are."""
    if isinstance(value, np.ndarray) and type(value) is np.ndarray and value.dtype.kind in "iu":
        return value
    array = converted(name, value)
    original = np.asarray(value)
    return original if original.dtype.kind in "iu" else array


def _is_made(what: str | int) -> bool:
    return isinstance(what, str) and what != COTANGENT
