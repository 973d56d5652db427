"""`einsum` and the derivatives of einsum strings: numpy.einsum computed by our own programs.

In: the arguments of numpy.einsum; a string and the number of an operand.
Out: what numpy.einsum returns, faster if that is possible; `EinsumRule`: text, index notation, a function.
Invariant: whatever has no kernel here (a mistake, an array of another library, a rare dtype) is handed to
numpy.einsum with the very arguments, so that its answer, or its error, is NumPy's. A kernel is found once for
shapes and dtypes and is then a look-up. The text and the function of a rule are one form: inputs with labels,
and a result whose axes may share a label: in the text a delta; the function writes on the diagonal instead.
Long because both share the reading of labels and extents.

Kernels, by the dtype the operands are promoted to:

    dtype                        two or more operands             why
    float32, float64, complex    programs (BLAS), ordered pairs
    bool                         programs, ordered pairs          "and" and "or" are exact in any order
    integers, longdouble         programs of NumPy's loops        BLAS has none of them; wraps around exactly
    float16, object, others      one NumPy loop                   rounding, and objects need not associate

One operand, and anything with few multiplications, is one NumPy loop: views, and no overhead. Sums of
nothing are zeros without any loop.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain
from math import prod
from operator import index
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..errors import (
    DataError,
    DimensionError,
    EinderivError,
    NotationError,
    ResourceLimitError,
    Span,
)
from ..notations import (
    ELLIPSIS,
    LETTERS,
    Labels,
    Subscripts,
    fresh_letters,
    operand_name,
    read_subscripts,
)
from ..terms import Subscript
from .arrays import Array, array_of, checked_sizes
from .backends.numpy import Runner, function_of
from .backends.numpy import c_einsum as loop
from .compiler import kernels
from .compiler.lower import Lowering
from .compiler.order import contraction_order
from .program import Input, Program

Kernel = Callable[..., Any]
Sizes = tuple[int, ...]
Path = Sequence[tuple[int, ...]]
# True, False, "greedy", ("greedy", limit) or ("einsum_path", (0, 1), ...): what `optimize` may be
Order = bool | str | tuple[Any, ...]


_MOST_OPERANDS = 60  # of one NumPy loop; its limit is 64 arrays, the result among them

_PROGRAM = 0.8e-6  # seconds that calling a program takes beside its kernels
_COMPLEX = 3.0  # complex arithmetic by that of real numbers
# multiplications in one loop, of many operands
_FEW = {"f": 2_000, "d": 2_000, "F": 600, "D": 600, "?": 600}
_PAIRED = "bhilqBHILQgG"  # dtypes computed with NumPy's loops
_NUMBERS = "biufcO"  # kinds of dtype that einsum multiplies
_FEW_PAIRED = 8_000  # multiplications below which they are one loop
_ROOM = 1 << 24  # entries (128 MiB) that our own order may use, however small the operands


class RefusalError(Exception):
    """NumPy's to answer: a mistake, or something that only its own loop does."""


# ---------------------------------------------------------------- the labels


class Extents:
    """The extent of every label; 1 gives way to another, as NumPy broadcasts."""

    def __init__(self, equation: Subscripts) -> None:
        self.source = str(equation)
        self.found: dict[str, tuple[int | str, str]] = {}

    def read(self, name: str, labels: Labels, shape: Sequence[int | str]) -> None:
        """The axes of one array."""
        own: dict[str, tuple[int | str, str]] = {}
        for axis, (label, dim) in enumerate(zip(labels, shape, strict=True)):
            fact = f"axis {axis + 1} of {name} is {dim}"
            same = own.setdefault(label, (dim, fact))
            if same[0] != dim and isinstance(same[0], int) and isinstance(dim, int):
                self._clash(label, same[1], fact)  # a diagonal repeats nothing
            self.put(label, dim, fact)

    def put(self, label: str, dim: int | str, fact: str) -> None:
        """One extent with its reason."""
        known = self.found.get(label)
        if known is None or known[0] == 1:
            self.found[label] = dim, fact
        elif dim in (1, known[0]):
            return
        elif isinstance(dim, str) is isinstance(known[0], str):
            self._clash(label, known[1], fact)
        elif isinstance(dim, int):  # a number tells more than a name
            self.found[label] = dim, fact

    def exactly(self, label: str, dim: int, fact: str) -> None:
        """Refuse a 1 that was repeated, if nothing may be."""
        known = self.found[label]
        if known[0] != dim:
            self._clash(label, known[1], fact)

    def _clash(self, label: str, first: str, second: str) -> NoReturn:
        raise DimensionError(
            f"label {label} has two extents",
            source=self.source,
            spans=self.places(label),
            facts=[f"{first}, {second}"],
            hint="axes with one label have one extent, or 1 where the array is repeated",
        )

    def places(self, label: str) -> list[Span]:
        """The places of the label in the equation."""
        return [(k, k + 1) for k, x in enumerate(self.source) if x == label]

    def get(self, label: str) -> int | None:
        """The extent, None if nothing tells it."""
        dim = self.found.get(label, (None, ""))[0]
        return dim if isinstance(dim, int) else None

    def thin_axes(self, labels: Labels, shape: Sequence[int | str]) -> frozenset[int]:
        """The axes of extent 1 whose label has another extent."""
        return frozenset(
            axis
            for axis, (label, dim) in enumerate(zip(labels, shape, strict=True))
            if dim == 1 != self.get(label)
        )


@dataclass(frozen=True, slots=True)
class Product:
    """A product of arrays as integer labels, no extent repeated: a 1 that NumPy repeats is an axis less."""

    inputs: tuple[Subscript, ...]
    output: Subscript
    extents: tuple[int, ...]  # of label 0, 1, ...
    views: tuple[tuple[int | slice, ...] | None, ...]  # what takes the axes away, per operand


_read = lru_cache(maxsize=1024)(read_subscripts)


def product_of(text: str, shapes: Sequence[Sizes]) -> Product:
    """What a string means for arrays of these shapes.

    >>> product_of("ij,jk", [(2, 1), (3, 4)]).inputs
    ((0,), (1, 2))
    """
    try:
        equation = _read(text).spell_out([len(shape) for shape in shapes])
        extents = Extents(equation)
        for place, (labels, shape) in enumerate(zip(equation.inputs, shapes, strict=True)):
            extents.read(f"operand {place}", labels, shape)
    except EinderivError as error:
        raise RefusalError from error
    number = {label: place for place, label in enumerate(extents.found)}
    inputs: list[Subscript] = []
    views: list[tuple[int | slice, ...] | None] = []
    for labels, shape in zip(equation.inputs, shapes, strict=True):
        thin = extents.thin_axes(labels, shape)
        inputs.append(tuple(number[x] for axis, x in enumerate(labels) if axis not in thin))
        view = tuple(0 if axis in thin else slice(None) for axis in range(len(labels)))
        views.append(view if thin else None)
    sizes = tuple(extents.get(label) or 0 for label in number)
    return Product(tuple(inputs), tuple(number[x] for x in equation.output), sizes, tuple(views))


# ---------------------------------------------------------------- the order


class Step(NamedTuple):
    """Operands by their places among those that are left, and the labels of their product."""

    places: tuple[int, ...]
    inputs: tuple[Subscript, ...]
    output: Subscript


def steps_along(inputs: Sequence[Subscript], output: Subscript, path: Path) -> tuple[Step, ...]:
    """The products of a path; each result goes to the end of those that are left.

    >>> [step.output for step in steps_along([(0, 1), (1, 2), (2, 3)], (0, 3), ((1, 2), (0, 1)))]
    [(1, 3), (0, 3)]
    """
    left = list(inputs)
    steps = []
    for places in path:
        if len(set(places)) < len(places) or not all(0 <= k < len(left) for k in places):
            raise RefusalError
        chosen = tuple(left[k] for k in places)
        left = [labels for k, labels in enumerate(left) if k not in places]
        wanted = set(output).union(*left)
        result = tuple(x for x in dict.fromkeys(chain(*chosen)) if x in wanted)
        steps.append(Step(places, chosen, result if left else output))
        left.append(steps[-1].output)
    if len(left) != 1 or not steps:
        raise RefusalError
    return tuple(steps)


@lru_cache(maxsize=1024)
def _steps(
    inputs: tuple[Subscript, ...], output: Subscript, extents: Sizes, order: Order
) -> tuple[Step, ...]:
    """The products in the order asked for, planned for these extents.

    If our own order needs an array that is larger than the operands and the result, and large, it is
    NumPy's, which avoids that.
    """
    if order is True:
        path = contraction_order(inputs, output, dict(enumerate(extents)))
        steps = steps_along(inputs, output, path)
        sizes = [prod(extents[x] for x in set(labels)) for labels in (*inputs, output)]
        if all(prod(extents[x] for x in step.output) <= max(_ROOM, *sizes) for step in steps):
            return steps
        order = "greedy"
    if isinstance(order, tuple) and order[:1] == ("einsum_path",):
        return steps_along(inputs, output, order[1:])
    arrays = [np.broadcast_to(0.0, [extents[x] for x in labels]) for labels in inputs]
    terms = ",".join("".join(LETTERS[x] for x in labels) for labels in inputs)
    text = f"{terms}->{''.join(LETTERS[x] for x in output)}"
    try:
        found, _ = np.einsum_path(text, *arrays, optimize=order)
    except (ValueError, TypeError, KeyError) as error:  # an invalid order raises any of these
        raise RefusalError from error
    return steps_along(inputs, output, found[1:])


def typical(extent: int) -> int:
    """One extent for a range of them, so that a plan serves many: 8..15 -> 12."""
    return extent if extent < 4 else 3 << (extent.bit_length() - 2)


# ---------------------------------------------------------------- the kernels


class Runnable(NamedTuple):
    """A function of arrays, a dtype and extents: the labels whose extents it wants, those of its results."""

    run: Runner
    wanted: Subscript
    results: tuple[Subscript, ...]


@lru_cache(maxsize=512)
def compile_steps(
    inputs: tuple[Subscript, ...],
    output: Subscript,
    steps: tuple[Step, ...],
    extents: Sizes,
    early: bool = True,
    loops: bool = False,
) -> Runnable:
    """The program that runs the steps, planned for extents; its results are the operands that are left.

    `early`: sum each operand over the labels that only it has, first; `loops`: with NumPy's loops alone.
    """
    dims = {label: f"n{label}" for label in sorted(set(chain(*inputs)))}
    lowering = Lowering((), {})
    left = []
    for place, own in enumerate(inputs):
        shape = tuple(dims[x] for x in own)
        register = lowering.emit(Input, f"x{place}", shape=shape)
        if early:  # A[i,j] x[i] -> (sum_j A[i,j]) x[i]
            needed = _needed_labels(inputs, output, place)
            if needed != own:
                register, own = lowering.pair([(register, own)], needed, dims), needed
        left.append((register, own))
    for step in steps:
        chosen = [left[k] for k in step.places]
        left = [entry for k, entry in enumerate(left) if k not in step.places]
        left.append((lowering.pair(chosen, step.output, dims), step.output))
    program = Program(tuple(lowering.steps), tuple(register for register, _ in left))
    if not loops:
        program = kernels.with_kernels(program, {dims[label]: extents[label] for label in dims})
    run, wanted = function_of(program)
    return Runnable(run, tuple(int(dim[1:]) for dim in wanted), tuple(own for _, own in left))


@dataclass(frozen=True, slots=True)
class Compiled:
    """Two or more operands by a program of ours."""

    run: Runner
    dtype: np.dtype[Any]
    extents: Sizes
    views: tuple[tuple[int | slice, ...] | None, ...]
    is_plain: bool  # no view to take, nothing to convert
    is_scalar: bool

    def __call__(self, *arrays: Array) -> Any:
        """The product, in memory of its own; silent about overflow and NaN, as numpy.einsum is."""
        if not self.is_plain:
            arrays = tuple(
                np.asarray(array if view is None else array[view]).astype(self.dtype, copy=False)
                for array, view in zip(arrays, self.views, strict=True)
            )
        with np.errstate(all="ignore"):
            (result,) = self.run(*arrays, self.dtype, *self.extents)
        return result[()] if self.is_scalar else result


@lru_cache(maxsize=2048)
def kernel_of(text: str, order: Order, dtype: np.dtype[Any] | None, *operands: Any) -> Kernel:
    """The kernel for operands, given as shape, dtype, shape, dtype, ...

    `dtype`: what all are converted to, None for what NumPy promotes them to. Raises RefusalError if NumPy
    itself has to answer.
    """
    shapes, dtypes = operands[::2], operands[1::2]
    product = product_of(text, shapes)
    whole: Kernel = partial(loop, text)
    try:
        common = np.result_type(*dtypes).newbyteorder("=") if dtype is None else dtype
    except TypeError as error:
        raise RefusalError from error
    if len(shapes) == 1 and not _is_faster_alone(product, common):
        return whole  # perhaps a view
    if len(shapes) > 1 and isinstance(order, bool) and _is_for_one_loop(product, common, order):
        return whole
    plan = tuple(map(typical, product.extents))
    extents = plan if isinstance(order, bool) else product.extents
    steps = _steps(product.inputs, product.output, extents, order or True)
    if 0 in product.extents and common.kind in _NUMBERS:
        # nothing to multiply: numpy.einsum 2.4 reads and writes beyond such arrays,
        # "ab,cde->abcde" with (5, 3) and (2, 12, 0)
        zeros = tuple(product.extents[label] for label in product.output)
        return Compiled(
            lambda *_: [np.zeros(zeros, common)], common, (), product.views, True, not zeros
        )
    loops = common.char in _PAIRED
    if common.char not in _FEW and not loops:
        raise RefusalError
    early = order is not False and common.kind != "b" and not loops
    run, wanted, _ = compile_steps(product.inputs, product.output, steps, plan, early, loops)
    return Compiled(
        run,
        common,
        tuple(product.extents[label] for label in wanted),
        product.views,
        not any(product.views) and all(own == common for own in dtypes),
        not product.output,
    )


def _is_faster_alone(product: Product, dtype: np.dtype[Any]) -> bool:
    """Is there a kernel for sums of one array that is faster than NumPy's loop?"""
    if dtype.kind != "f" or dtype.char not in _FEW or 0 in product.extents:
        return False
    sizes = dict(enumerate(product.extents))
    ((labels,), output) = product.inputs, product.output
    kernel, seconds = kernels.cheapest_single(labels, output, sizes)
    loop_seconds = kernels.single_loop(kernels.Single(labels, output, sizes))
    return kernel.name == "ones" and seconds + _PROGRAM < loop_seconds


def _is_for_one_loop(product: Product, dtype: np.dtype[Any], ordered: bool) -> bool:
    """Is NumPy's loop over all labels what is asked for, or at least as fast as anything else?"""
    count = len(product.inputs)
    multiplications = prod(product.extents) * (count - 1)  # of one loop over all labels
    if 0 in product.extents and count <= _MOST_OPERANDS and dtype.kind in _NUMBERS:
        return False
    if count > 2 and not ordered:
        return True
    if count > _MOST_OPERANDS:
        return False
    if dtype.char not in _FEW:
        few = dtype.char not in _PAIRED or multiplications <= _FEW_PAIRED
        return few or count == 2
    if count > 2 or dtype.kind == "b":
        return multiplications <= _FEW[dtype.char]
    one, several = _prices(product.inputs, product.output, tuple(map(typical, product.extents)))
    scale = _COMPLEX if dtype.kind == "c" else 1.0
    return scale * (one - several) <= _PROGRAM


@lru_cache(maxsize=4096)
def _prices(
    inputs: tuple[Subscript, ...], output: Subscript, extents: Sizes
) -> tuple[float, float]:
    """Seconds of one loop over two operands, and of kernels: sums of each operand, then their product."""
    sizes = dict(enumerate(extents))
    several = 0.0
    needed = []
    for place, own in enumerate(inputs):
        kept = _needed_labels(inputs, output, place)
        if kept != own:
            several += kernels.cheapest_single(own, kept, sizes)[1]
        needed.append(kept)
    (a, b), (first, second) = inputs, needed
    one = kernels.loop(kernels.oriented_pair(a, b, output, sizes))
    product = kernels.oriented_pair(first, second, output, {x: sizes[x] for x in (*first, *second)})
    return one, several + kernels.cheapest(product)[1]


def _needed_labels(inputs: Sequence[Subscript], output: Subscript, place: int) -> Subscript:
    """The labels of an operand that the result or another operand has: it can be summed over the others."""
    others = set(output).union(*inputs[:place], *inputs[place + 1 :])
    return tuple(dict.fromkeys(x for x in inputs[place] if x in others))


# ---------------------------------------------------------------- the call

# The letter of numpy.einsum for a label of a list; the order matters if no output is given.
_LABELS: dict[Any, str] = {
    **dict(enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")),
    Ellipsis: "...",
}

_KEEP, _SAFE = "K", "safe"
_ORDERS = ("K", "C", "F", "A", "k", "c", "f", "a")
_CASTINGS = ("no", "equiv", "safe", "same_kind", "unsafe")
_LISTS = (list, tuple)
_PLAIN = (np.ndarray, np.generic, int, float, complex, list, tuple)  # bool is an int


def einsum(
    *operands: Any,
    out: Any = None,
    optimize: Any = None,
    dtype: Any = None,
    order: Any = _KEEP,
    casting: Any = _SAFE,
) -> Any:
    """The sum of products that an einsum string names: a drop-in for `numpy.einsum`.

    `einsum("ij,jk->ik", A, B)` or `einsum(A, [0, 1], B, [1, 2], [0, 2])`: the string, broadcasting, views,
    `out`, `dtype`, `order`, `casting` and errors are NumPy's. `optimize`: None (the default) or True orders
    the pairs of three or more operands by cost, and sums early what only one operand has; False does
    neither, as `numpy.einsum` by default; "greedy", "optimal", (name, memory limit) and a path of
    `numpy.einsum_path` mean what they mean there. Results agree up to rounding, exactly for integers and
    booleans; if an infinity meets a zero, another order may give inf for nan, as in NumPy.

    >>> A, x = np.arange(6.0).reshape(2, 3), np.ones(3)
    >>> einsum("ij,j->i", A, x)
    array([ 3., 12.])
    >>> einsum(A, [0, 1], x, [1], [0])
    array([ 3., 12.])
    """
    try:
        if operands and type(operands[0]) is str:
            text, arrays = operands[0], operands[1:]
        else:
            text, arrays = string_and_operands(operands)
        signature: list[Any] = []
        for array in arrays:  # no helper: half a microsecond is a third of a small call
            if type(array) is not np.ndarray:
                arrays = tuple(map(_array, arrays))
                signature = [x for array in arrays for x in (array.shape, array.dtype)]
                break
            signature += array.shape, array.dtype
        how = True if optimize is None else _order(optimize, len(arrays))
        if not (out is dtype is None and order is _KEEP and casting is _SAFE):
            return _with_settings(text, how, arrays, signature, out, dtype, order, casting)
        kernel = kernel_of(text, how, None, *signature)
    except RefusalError:
        pass
    else:
        return kernel(*arrays)
    asked = None if optimize is True else optimize  # True: the order is ours to choose
    given = {"out": out, "optimize": asked, "dtype": dtype}
    settings = {key: value for key, value in given.items() if value is not None}
    return np.einsum(*operands, order=order, casting=casting, **settings)


def _with_settings(
    text: str,
    how: Order,
    arrays: Sequence[Array],
    signature: Sequence[Any],
    out: Any,
    dtype: Any,
    order: Any,
    casting: Any,
) -> Any:
    """The call with an array for the result, a dtype, a layout or a rule of conversion."""
    if (
        len(arrays) < 2
        or type(order) is not str
        or type(casting) is not str
        or order not in _ORDERS
    ):
        raise RefusalError  # one operand: perhaps a view
    own = signature[1::2]
    if out is not None:
        if type(out) is not np.ndarray or not out.flags.writeable:
            raise RefusalError
        own = [*own, out.dtype]
    try:
        wanted = None if dtype is None else np.dtype(dtype)
    except TypeError as error:
        raise RefusalError from error
    target = _target(wanted, casting, out is not None, *own)
    kernel = kernel_of(text, how, target, *signature)
    if isinstance(kernel, partial):  # NumPy's loop knows the settings itself
        given = {"out": out, "dtype": None if wanted is None else target}
        given = {key: value for key, value in given.items() if value is not None}
        return kernel(*arrays, order=order, casting=casting, **given)
    result = kernel(*arrays)
    if out is None:
        return _laid_out(result, order.upper(), text, arrays)
    if out.shape != np.shape(result):
        raise RefusalError  # an error, or an axis of 1 repeated
    np.copyto(out, result)  # `_target` has looked at the casting
    return out


@lru_cache(maxsize=512)
def _target(
    wanted: np.dtype[Any] | None, casting: str, has_out: bool, *own: np.dtype[Any]
) -> np.dtype[Any]:
    """What the operands and, behind them, `out` are converted to: NumPy's choice, or the one wanted.

    RefusalError if the casting forbids a conversion, or one may change a value.
    """
    if casting not in _CASTINGS:
        raise RefusalError
    try:
        target = (np.result_type(*own) if wanted is None else wanted).newbyteorder("=")
    except TypeError as error:
        raise RefusalError from error
    pairs = [(dtype, target) for dtype in own]
    pairs += [(target, own[-1])] if has_out else []
    rules: Any = (casting, "safe")
    if not all(np.can_cast(a, b, rule) for rule in rules for a, b in pairs):
        raise RefusalError
    return target


def string_and_operands(operands: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Both forms of the call as the first.

    >>> string_and_operands((1, [0, ...], 2, [], [0]))
    ('A...,->A', (1, 2))
    """
    if operands and isinstance(operands[0], str):
        return str(operands[0]), operands[1:]
    if len(operands) < 2:
        raise RefusalError
    terms = ",".join(map(_letters, operands[1::2]))
    if len(operands) % 2 == 0:
        return terms, operands[::2]
    return f"{terms}->{_letters(operands[-1])}", operands[:-1:2]


def _letters(labels: Any) -> str:
    """A list of numbers and Ellipsis as part of an einsum string."""
    if not isinstance(labels, _LISTS) or bool in map(type, labels):
        raise RefusalError
    try:
        return "".join(
            [_LABELS[x if type(x) is int or x is Ellipsis else index(x)] for x in labels]
        )
    except (TypeError, KeyError) as error:
        raise RefusalError from error


def _array(operand: Any) -> Array:
    """An operand as a plain array, as NumPy's loop takes it; another library's array is not ours."""
    if type(operand) is np.ndarray:
        return operand
    own = getattr(type(operand), "__array_function__", np.ndarray.__array_function__)
    if not isinstance(operand, _PLAIN) or own is not np.ndarray.__array_function__:
        raise RefusalError
    try:
        return np.asarray(operand)
    except ValueError as error:  # rows of several lengths
        raise RefusalError from error


def _order(optimize: Any, count: int) -> Order:
    """What `optimize` asks for with so many operands, as `kernel_of` takes it."""
    if type(optimize) is bool or isinstance(optimize, str):
        return optimize
    if not isinstance(optimize, _LISTS) or not optimize or count < 2:
        raise RefusalError
    first, *rest = optimize
    if not isinstance(first, str):
        raise RefusalError
    if first != "einsum_path":
        if len(rest) != 1 or not isinstance(rest[0], int | float):
            raise RefusalError
        return (first, rest[0])
    try:
        return (first, *(tuple(map(index, step)) for step in rest))
    except TypeError as error:
        raise RefusalError from error


def _laid_out(result: Any, order: str, text: str, arrays: Sequence[Array]) -> Any:
    """The result in the memory layout asked for; K leaves it as it came, A asks for F if all operands are.

    A diagonal is neither C nor F.
    """
    if order == "K" or not np.ndim(result):
        return result
    if order == "A":
        terms = ["".join(filter(str.isalpha, term)) for term in text.partition("->")[0].split(",")]
        plain = all(len(set(term)) == len(term) for term in terms)
        order = "F" if plain and all(array.flags.f_contiguous for array in arrays) else "C"
    return np.asfortranarray(result) if order == "F" else np.ascontiguousarray(result)


# ---------------------------------------------------------------- labels

COTANGENT = "g"
_NEW = "pqrstuvwxyz"  # letters for the new axes of a Jacobian, if they are free


@dataclass(frozen=True, slots=True)
class Form:
    """A product of inputs, and for every axis of the result the label it runs along.

    `result` may repeat a label: the axes are tied, entries off their diagonal are 0. `letters` names the axes
    apart. `single` holds labels of extent 1 that replace a repeated axis, `thin` those that the inputs have
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


# Axes of the operand of extent 1 that an equation repeats, and labels that all other operands have so.
Repeated = tuple[frozenset[int], frozenset[str]]
NOTHING: Repeated = (frozenset(), frozenset())


def form_of(kind: str, equation: Subscripts, operand: int, repeated: Repeated = NOTHING) -> Form:
    """Laws: dA_k = sum of g times all other operands, at the labels of operand k ("vjp");
    dC_o/dA_n = d_{l n} for labels l kept in the output; a summed label becomes the new axis ("jacobian").
    """
    own, output = equation.inputs[operand], equation.output
    single, thin = repeated
    is_vjp = kind == "vjp"
    repeats = {axis for axis, x in enumerate(own) if x in own[:axis]}
    needed = sorted(single | repeats) if is_vjp else range(len(own))
    letters = _NEW
    if is_vjp:  # those that follow the last label in the alphabet: i -> jkl...
        named = [x for x in own if x != ELLIPSIS]
        last = max(named, key=lambda x: (x.lower(), x), default="h").lower()
        letters = "".join(map(chr, range(ord(last) + 1, ord("z") + 1)))
    fresh = fresh_letters(len(needed), equation.letters, letters)
    new = dict(zip(needed, fresh, strict=True))  # axis -> letter
    others = [(k, term) for k, term in enumerate(equation.inputs) if k != operand]
    renamed: dict[str, str] = {}
    for axis, x in enumerate(own):
        if not is_vjp and x not in output and axis not in single:
            renamed.setdefault(x, new[axis])
    inputs: list[tuple[str | int, Labels]] = [(COTANGENT, output)] if is_vjp else []
    inputs += [(k, tuple(renamed.get(x, x) for x in term)) for k, term in others]
    ends = tuple(new[axis] if axis in single else renamed.get(x, x) for axis, x in enumerate(own))
    apart = tuple(new.get(axis, x) for axis, x in enumerate(own))
    front = () if is_vjp else output
    return Form(
        tuple(inputs),
        front + ends,
        front + apart,
        frozenset(new[axis] for axis in single),
        thin - set(output) if is_vjp else frozenset(renamed.get(x, x) for x in thin),
        {new[axis]: own[axis] for axis in needed},
    )


# ---------------------------------------------------------------- texts


def index_text(
    name: str,
    letters: Labels,
    factors: Sequence[tuple[str, Labels]],
    single: frozenset[str] = frozenset(),
) -> str:
    """A definition in index notation; a label that occurs once and is not kept gets its sum written."""

    def access(tensor: str, labels: Labels) -> str:
        shown = (f"{x}:1" if tensor == "ones" and x in single else x for x in labels)
        return f"{tensor}[{','.join(shown)}]" if labels else tensor

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
    """What the equation repeats, for operands of these shapes; DimensionError if they clash."""
    extents, others = Extents(equation), Extents(equation)
    for k, (term, shape) in enumerate(zip(equation.inputs, shapes, strict=True)):
        extents.read(f"operand {k}", term, shape)
        if k != operand:
            others.read(f"operand {k}", term, shape)
    labels = equation.inputs[operand]
    thin = frozenset(x for x in labels if others.get(x) == 1 != extents.get(x))
    return extents.thin_axes(labels, shapes[operand]), thin


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
    thin_axes = frozenset() if own is None else extents.thin_axes(labels, own)
    form = form_of(kind, equation, operand, (thin_axes, frozenset()))
    known = {x: 1 if x in form.single else extents.get(form.old.get(x, x)) for x in form.result}
    unknown = next((form.old.get(x, x) for x, size in known.items() if size is None), None)
    if unknown is not None:
        raise DimensionError(
            f"no given array tells the extent of {unknown}",
            source=extents.source,
            spans=extents.places(unknown),
            facts=["only the operand differentiated by has it"],
            hint=f"pass its shape: shape=A.shape, or sizes={{{unknown!r}: ...}}",
        )
    shape = tuple(known[x] or 0 for x in form.result)
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
    rows = [("value", str(Subscripts(equation.inputs, equation.output)))]
    if not equation.has_ellipsis:
        rows.append(("", index_text("out", equation.output, factors)))
    for rule in rules:
        rows.append((rule.kind, str(rule)))
        if not equation.has_ellipsis:
            rows.append(("", rule.index))
    if len(rules) == 1:
        rows.append(("jacobian", "needs the shapes of the operands, for the axes of its ellipsis"))
    python = [rule.numpy for rule in rules if not rule.sums_an_ellipsis]
    rows += [("" if place else "NumPy", line) for place, line in enumerate(python)]
    return "\n".join(f"{head:10}{line}" for head, line in rows)


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
    shape: Sizes | None  # the operand's, if it was given
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
        """The operands that the string takes: "g" or numbers of the original ones.

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
        made = [str(what) for what, _ in self._parts if isinstance(what, str) and what != COTANGENT]
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

        Raises NotationError if NumPy has no such string: `sums_an_ellipsis`.

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

        `shape` is that of the operand differentiated by; it is needed if `needs` names a label, and if
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
        known = self.shape
        if shape is not None:
            if not _is_sequence(shape) or not all(map(_is_extent, shape)):
                raise DimensionError(
                    f"shape={shape!r} is no shape",
                    facts=["a shape is a tuple of numbers, 0 or more, one for each axis"],
                    hint="pass the shape of the operand differentiated by: shape=A.shape",
                )
            known = tuple(int(n) for n in shape)
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
    equation = read_subscripts(subscripts)
    terms = [*equation.inputs, equation.output]
    if ELLIPSIS not in equation.output or not any(ELLIPSIS in term for term in equation.inputs):
        # on one side of the arrow an ellipsis has no axes
        terms = [tuple(x for x in term if x != ELLIPSIS) for term in terms]
    equation = Subscripts(tuple(terms[:-1]), terms[-1])
    count = len(equation.inputs)
    whole = isinstance(operand, int | np.integer) and not isinstance(operand, bool | np.bool_)
    if not whole or not 0 <= operand < count:
        raise NotationError(
            f"no operand {operand!r} in {subscripts!r}",
            facts=[
                f"there {'is 1 operand: 0' if count == 1 else f'are {count}: 0 to {count - 1}'}"
            ],
            hint="operands are counted from 0, in the order of the string",
        )
    number = int(operand)
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


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_extent(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 0)


def _numbers(name: str, value: Any) -> Array:
    """The array; integers stay what they are."""
    if isinstance(value, np.ndarray) and type(value) is np.ndarray and value.dtype.kind in "iu":
        return value
    array = array_of(name, value)
    original = np.asarray(value)
    return original if original.dtype.kind in "iu" else array
