"""The operations of array code in the words of a target.

In: trees of `code_tree`, a target. Out: trees of calls, constants and functions.
Invariant: what a target wants as an array is one, and has the dtype of the arguments where that is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...terms import COMPARISON_NAMES, HALF, Dim, Expr, Shape, functions
from .targets import AFTER, BEFORE, MATH, Target, spelling
from .text import NUMBER, TRUTH, Builder, Code, Options, all_numbers, below, highest

SYMBOL = {name: symbol for symbol, name in functions.COMPARISONS.items()}


@dataclass(frozen=True, slots=True)
class Values:
    """An array's code and the axes of the term that it has, in order; along the others it repeats."""

    code: Code
    axes: tuple[int, ...]


class Words:
    """Trees in the words of one target; `explicit` are matrices that are inverted, not solved with."""

    def __init__(self, target: Target, explicit: Collection[Expr] = ()) -> None:
        self.target, self.explicit = target, explicit
        self.make = Builder()
        self.like: Code | None = None  # the argument that constants take their dtype from
        self.values: dict[Expr, Values] = {}
        self.solved: dict[Expr, set[Code]] = {}  # matrix -> the systems solved with it
        self.inverted: dict[Expr, Code] = {}

    def call(self, name: str, args: Sequence[Code], rank: int, options: Options = ()) -> Code:
        """A call of a function of the target's table."""
        return self.make.call(spelling(name, self.target), args, rank, options)

    def axis(self, axes: Sequence[int]) -> Options:
        """The keyword that names axes."""
        shown = str(axes[0]) if len(axes) == 1 else f"({', '.join(map(str, axes))})"
        return ((self.target.axis, shown),)

    def constant(self, name: str, args: Sequence[Code], rank: int) -> Code:
        """An array that is made here: of the dtype of an argument where the target asks for one."""
        path = spelling(name, self.target)
        if self.like is None and self.target.name == "torch":  # whose default is float32
            return self.make.call(path, args, rank, (("dtype", "torch.float64"),))
        if not self.target.typed or self.like is None:
            return self.make.call(path, args, rank)
        devices = ("device",) if self.target.name == "torch" else ()
        named = [
            self.make.node("keyword", (self._of_like(word),), (word,))
            for word in ("dtype", *devices)
        ]
        return self.make.call(path, (*args, *named), rank)

    def _of_like(self, word: str) -> Code:
        assert self.like is not None
        return self.make.node("attribute", (self.like,), (word,))

    def eye(self, dim: Dim) -> Code:
        """The identity matrix."""
        return self.constant("eye", [self.make.extent(dim)], 2)

    def full(self, values: Values, shape: Shape, result: bool = False) -> Code:
        """An array of exactly this shape; one of its own memory where it is a `result`."""
        code = values.code
        if code.kind == NUMBER:
            return self.filled(code, shape, result)
        if len(values.axes) == len(shape):
            return code
        spread = self.make.spread(code, [axis in values.axes for axis in range(len(shape))])
        code = self.call("broadcast", [spread, self.make.shape(shape)], len(shape))
        own = {"numpy": "copy", "torch": "clone"}.get(self.target.name)
        if result and own:
            return self.make.node("method", (code,), (own,), len(shape))
        return code

    def filled(self, number: Code, shape: Shape, result: bool = False) -> Code:
        """An array that has one number everywhere."""
        if not shape:
            if not result:
                return number
            if self.target.typed:
                return self.constant("array", [self.decimal(number)], 0)
            return number if number.op == "value" else self.make.call("float", [number], 0)
        size = self.make.shape(shape)
        if number.op == "value" and number.data[0] in (0, 1):
            return self.constant("ones" if number.data[0] else "zeros", [size], len(shape))
        return self.constant("full", [size, self.decimal(number)], len(shape))

    def decimal(self, number: Code) -> Code:
        """A number that is no integer for the target: 2.0 rather than 2."""
        if number.op == "value":
            return self.make.node("decimal", (), number.data, 0, NUMBER)
        if any(code.op in ("constant", "decimal", "call") for code in below([number])):
            return number
        return self.make.call("float", [number], 0, kind=NUMBER)

    def tensor(self, code: Code) -> Code:
        """A number as an array without axes, where the target's functions want arrays."""
        if code.kind != NUMBER or self.target.name != "torch":
            return code
        return self.constant("array", [self.decimal(code)], 0)

    def truth_as_number(self, truth: Code) -> Code:
        """1 where a comparison holds, else 0."""
        one, zero = self.decimal(self.make.value(1)), self.decimal(self.make.value(0))
        if all_numbers(truth.args):
            return self.make.call("float", [truth], 0, kind=NUMBER)
        if self.target.name == "torch":
            dtype = self._of_like("dtype") if self.like is not None else self.make.name("float", 0)
            return self.make.node("method", (truth, dtype), ("to",), truth.rank)
        if self.target.name == "jax" and self.like is not None:
            return self.make.node(
                "method", (truth, self._of_like("dtype")), ("astype",), truth.rank
            )
        return self.call("where", [truth, one, zero], truth.rank)

    def transposed(self, code: Code, axes: Sequence[int]) -> Code:
        """The axes in another order, as numpy.transpose."""
        if tuple(axes) == tuple(range(len(axes))):
            return code
        if len(axes) == 2:
            return self.make.transpose(code)
        reordered = self.make.reordered(code, tuple(axes), spelling("einsum", self.target))
        if reordered is not None:
            return reordered
        order = self.make.node("tuple", [self.make.value(axis) for axis in axes], (), 0, NUMBER)
        return self.call("transpose", [code, order], len(axes))

    # ------------------------------------------------------------ functions

    def function(self, name: str, args: Sequence[Code]) -> Code:
        """An elementwise function of the table, of arguments that are aligned."""
        where = (name, self.target.name)
        if name == "where":
            return self.choice(*args)
        if name in COMPARISON_NAMES:
            return self.truth_as_number(self.make.compare(SYMBOL[name], *args))
        if name == "step" and self.target.name == "torch":
            return self.truth_as_number(self.make.compare(">", args[0], self.make.value(0)))
        if name == "pow":
            return self.make.power(*args)
        rank = highest(args)
        path = spelling(name, self.target)
        if not args:
            return self.make.node("constant", (), (path,), 0, NUMBER)
        if name == "polygamma" and self.target.typed and args[0].op == "value":
            library = "torch" if self.target.name == "torch" else "jax.scipy"
            path = f"{library}.special.polygamma"
            return self.make.call(path, [args[0], self.tensor(args[1])], rank)
        if self.target.name == "torch":
            if all_numbers(args) and name in MATH:
                return self.make.call(MATH[name], args, 0, kind=NUMBER)
            args = [self.tensor(arg) for arg in args]
        elif self.target.name == "jax" and all_numbers(args):  # whose functions want floats
            args = [self.decimal(arg) for arg in args]
        before = [self.make.value(BEFORE[where])] if where in BEFORE else []
        after = [self.make.value(AFTER[where])] if where in AFTER else []
        return self.make.call(path, [*before, *args, *after], rank)

    def choice(self, condition: Code, one: Code, other: Code) -> Code:
        """`one` where the condition holds, else `other`."""
        if condition.kind != TRUTH:
            condition = self.make.compare("!=", condition, self.make.value(0))
        rank = highest((condition, one, other))
        if all_numbers(condition.args) and not rank:
            return self.make.node("choose", (condition, one, other), (), rank)
        if all_numbers(condition.args) and self.target.name == "torch":
            like = () if self.like is None else (self._of_like("device"),)
            named = [self.make.node("keyword", (code,), ("device",)) for code in like]
            condition = self.make.call("torch.tensor", [condition, *named], 0, kind=TRUTH)
        if all_numbers((one, other)):
            one = self.tensor(one)
        return self.call("where", [condition, one, other], rank)

    def raised(self, base: Code, exponent: Fraction) -> tuple[Code, bool]:
        """`base ** exponent` as (code, whether it stands below a fraction bar)."""
        size = abs(exponent)
        if size == HALF:
            return self.function("sqrt", [base]), exponent < 0
        return self.make.power(base, self.make.value(size)), exponent < 0
