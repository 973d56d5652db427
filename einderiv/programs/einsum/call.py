"""`einsum`: numpy.einsum, computed by our own programs.

In: the arguments of numpy.einsum. Out: what numpy.einsum returns, faster where that is possible.
Invariant: whatever has no kernel here (a mistake, an array of another library, a rare dtype) is handed to
numpy.einsum with the very arguments, so that its answer, or its error, is NumPy's. A kernel is found once for
shapes and dtypes and is then a look-up.

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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from math import prod
from operator import index
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ...errors import DimensionError, EinderivError, Span
from ...notations import LETTERS, Labels, Subscripts
from ...terms import Subscript
from ..arrays import Array
from ..backends.numpy import Runner, function_of
from ..backends.numpy import c_einsum as loop
from ..compiler import kernels
from ..compiler.lower import Lowering
from ..compiler.order import contraction_order
from ..program import Input, Program

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
        """Refuse a 1 that was repeated, where nothing may be."""
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


@lru_cache(maxsize=1024)
def _read(text: str) -> Subscripts:
    from ...notations import read_subscripts

    return read_subscripts(text)


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

    Where our own order needs an array that is larger than the operands and the result, and large, it is
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
    except (ValueError, TypeError, KeyError) as error:  # what is no order raises all of these
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


@dataclass(frozen=True, slots=True)
class Zeros:
    """A product with an extent of 0: nothing to multiply.

    numpy.einsum 2.4 reads and writes beyond such arrays: "ab,cde->abcde" with (5, 3) and (2, 12, 0).
    """

    shape: Sizes
    dtype: np.dtype[Any]

    def __call__(self, *arrays: Array) -> Any:
        """Zeros of the result's shape."""
        return np.zeros(self.shape, self.dtype)[() if self.shape == () else ...]


@lru_cache(maxsize=2048)
def kernel_of(text: str, order: Order, dtype: np.dtype[Any] | None, *operands: Any) -> Kernel:
    """The kernel for operands, given as shape, dtype, shape, dtype, ...

    `dtype`: what all are converted to, None for what NumPy promotes them to. Raises RefusalError where NumPy
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
        return Zeros(tuple(product.extents[label] for label in product.output), common)
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
    one = kernels.loop(kernels.oriented(a, b, output, sizes))
    product = kernels.oriented(first, second, output, {x: sizes[x] for x in (*first, *second)})
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
    booleans; where an infinity meets a zero, another order may give inf for nan, as in NumPy.

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
            text, arrays = _string_and_operands(operands)
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


def _string_and_operands(operands: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Both forms of the call as the first.

    >>> _string_and_operands((1, [0, ...], 2, [], [0]))
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
    if not isinstance(labels, _LISTS) or any(isinstance(x, bool) for x in labels):
        raise RefusalError
    try:
        return "".join([_LABELS[x if x is Ellipsis else index(x)] for x in labels])
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
    """The result in the memory layout asked for; K leaves it as it came, A asks for F where all operands are.

    A diagonal is neither C nor F.
    """
    if order == "K" or not np.ndim(result):
        return result
    if order == "A":
        terms = ["".join(filter(str.isalpha, term)) for term in text.partition("->")[0].split(",")]
        plain = all(len(set(term)) == len(term) for term in terms)
        order = "F" if plain and all(array.flags.f_contiguous for array in arrays) else "C"
    return np.asfortranarray(result) if order == "F" else np.ascontiguousarray(result)
