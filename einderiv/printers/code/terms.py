"""Terms as trees of array code, in the words of a target.

In: terms, the parameters' names, a target. Out: trees of the terms' values.
Invariant: axes along which a term only repeats itself are left to broadcasting until something needs them;
what a target wants as an array is one, and has the dtype of the arguments if that is kept. Products
become matrix products, sums and outer products, the cheapest pair first, einsum if none of these fits;
what is divided by stays below a fraction bar until a sum needs it as a factor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, permutations
from math import prod

from ...errors import BackendError
from ...terms import (
    COMPARISON_NAMES,
    COMPARISONS,
    HALF,
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
    Variable,
    base_and_exponent,
    broadcast_axes,
    functions,
    postorder,
    transpose,
    uses,
    with_decimals_inside,
)
from ..named import Factor, arranged_factors
from .targets import MATH, Target, has_spelling, pattern, spelling
from .text import LETTERS, NUMBER, TRUTH, WORD, Builder, Code, all_numbers, below, highest

_SYMBOL = {name: symbol for symbol, name in COMPARISONS.items()}
_TRIED = 5  # axes of a product whose 120 transposes are looked up
_NAMED = 100.0  # what an extent without a number counts, when orders are compared
_SYSTEMS = 1  # a matrix with more systems than this is inverted once instead


@dataclass(frozen=True, slots=True)
class Values:
    """An array's code and the axes of the term that it has, in order; along the others it repeats."""

    code: Code
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """An array at its labels; `below`: divided by; `inverse_of`: the matrix whose inverse it is."""

    code: Code
    labels: Subscript
    below: bool = False
    inverse_of: Expr | None = None


def trees_of(
    roots: Sequence[Expr], target: Target, names: Mapping[str, str], like: Variable | None
) -> tuple[list[Code], dict[Expr, Values]]:
    """Trees of the roots, and values of all terms; `like`: the parameter that constants are typed like.

    Matrices that are inverted anyway, or solved with often, are inverted once.
    """
    explicit: set[Expr] = set()
    while True:
        translator = Translator(target, names, like, explicit)
        results = translator.translate(roots)
        used, more = set(below(results)), set()
        for matrix, solutions in translator.solved.items():
            count = len(solutions & used)
            if count and (count > _SYSTEMS or translator.inverted.get(matrix) in used):
                more.add(matrix)
        if more <= explicit:
            return results, translator.values
        explicit |= more


class Translator:
    """The trees of terms; `explicit` are matrices that are inverted, not solved with."""

    def __init__(
        self,
        target: Target,
        names: Mapping[str, str],
        like: Variable | None,
        explicit: Collection[Expr],
    ) -> None:
        self.target, self.names, self.explicit = target, names, explicit
        self.make = Builder()
        self.like = (
            None if like is None else self.make.node("name", (), (names[like.name],), like.rank)
        )
        self.values: dict[Expr, Values] = {}
        self.solved: dict[Expr, set[Code]] = {}  # matrix -> the systems solved with it
        self.inverted: dict[Expr, Code] = {}
        self._products: dict[tuple[object, ...], list[Contraction]] = {}

    def translate(self, roots: Sequence[Expr]) -> list[Code]:
        """The trees of the roots, as arrays of exactly their shapes."""
        counts = uses(roots)
        for node in postorder(roots):
            self.values[node] = self._node(node)
            if counts[node] > 1:
                self.make.keep(self.values[node].code)
        return [self._full(self.values[root], root.shape, result=True) for root in roots]

    def _node(self, node: Expr) -> Values:
        every = tuple(range(node.rank))
        match node:
            case Variable():
                return Values(
                    self.make.node("name", (), (self.names[node.name],), node.rank), every
                )
            case Literal():
                return Values(self.make.value(node.value), ())
            case Extent():
                return Values(self.make.extent(node.dim), ())
            case Ones():
                return Values(self.make.value(1), ())
            case Delta():
                return Values(self.eye(node.shape[0]), every)
            case Sum():
                return self._sum(node)
            case Contraction():
                return self._product(node)
            case Map():
                return self._map(node)
            case Apply(function="eps"):
                zeros = self.like or self.constant("zeros", [self.make.value(1)], 1)
                like = [zeros] if self.target.like else []
                size = self.make.value(node.width)
                return Values(self.call("eps[]", [size, *like], node.rank), every)
            case Apply():
                return self._apply(node)
        raise AssertionError(node)

    def _product(self, node: Contraction) -> Values:
        """The product; the transpose of one that is there, since both have the same entries to the last bit.

        A tie of max needs that: the derivative asks where the entries equal the largest one.
        """
        key: tuple[object, ...] = (node,)
        if 1 < node.rank <= _TRIED:
            key = (*sorted(x.digest for x in node.children), *sorted(map(str, node.shape)))
        alike = self._products.setdefault(key, [])
        for other in alike:
            for axes in permutations(range(node.rank)):
                if transpose(other, axes) is node:
                    known = self.values[other]
                    self.make.keep(known.code)
                    here = tuple(axis for axis in range(node.rank) if axes[axis] in known.axes)
                    order = [known.axes.index(axes[axis]) for axis in here]
                    return Values(self.with_axes(known.code, order), here)
        alike.append(node)
        return _Product(self, node).value()

    def _broadcastable(self, values: Sequence[Values]) -> tuple[list[Code], tuple[int, ...]]:
        """Codes that broadcast against each other, and the axes that they have together."""
        axes = tuple(sorted({axis for value in values for axis in value.axes}))
        return [self.make.spread(v.code, [axis in v.axes for axis in axes]) for v in values], axes

    def _sum(self, node: Sum) -> Values:
        if not node.children:
            return Values(self.make.value(0), ())
        node = with_decimals_inside(node)
        entries = sorted(
            zip(node.coefficients, node.children, strict=True),
            key=lambda e: (e[0] < 0, bool(e[1].rank and broadcast_axes(e[1]))),
        )
        codes, axes = self._broadcastable([self.values[term] for _, term in entries])
        total = self.make.add((c, code) for (c, _), code in zip(entries, codes, strict=True))
        return Values(total, axes)

    def _map(self, node: Map) -> Values:
        base, exponent = base_and_exponent(node)
        if exponent != 1:
            value = self.values[base]
            code, under = self.power_of(value.code, exponent)
            if under:
                code = self.make.multiply([(self.make.value(1), False), (code, True)])
            return Values(code, value.axes)
        first, *rest = node.children or (None,)
        compared = (
            isinstance(first, Map) and node.function == "where" and _SYMBOL.get(first.function)
        )
        children = [*first.children, *rest] if first and compared else node.children
        codes, axes = self._broadcastable([self.values[child] for child in children])
        if compared:
            codes = [self.make.compare(compared, *codes[:2]), *codes[2:]]
        return Values(self._function(node.function, codes), axes)

    def _apply(self, node: Apply) -> Values:
        (child,) = node.children
        row = functions.WHOLE[node.function]
        count = 2 if row.matrix else node.width
        value = self.values[child]
        core = tuple(range(child.rank - count, child.rank))
        batch = tuple(axis for axis in value.axes if axis < child.rank - count)
        code = value.code
        if value.axes != (*batch, *core):
            dims = tuple(child.shape[axis] for axis in (*batch, *core))
            here = tuple(k for k, axis in enumerate((*batch, *core)) if axis in value.axes)
            code = self._full(Values(code, here), dims)
        first = child.rank - count
        axes = (*batch, *range(first, node.rank))
        if row.matrix:
            return Values(self._matrix_function(node.function, child, code), axes)
        return Values(self._along(node.function, code, count, len(axes)), axes)

    def _matrix_function(self, name: str, matrix: Expr, code: Code) -> Code:
        """inv, det, logdet, cholesky, tril of the last two axes."""
        rank = code.rank - 2 + functions.core_ranks(functions.WHOLE[name].signature)[1]
        if name == "cholesky" and not matrix.symmetric:
            other = self.with_axes(code, (*range(code.rank - 2), code.rank - 1, code.rank - 2))
            code = self.make.add(
                [(HALF, self.make.add([(Fraction(1), code), (Fraction(1), other)]))]
            )
        result = self.call(f"{name}[]", [code], rank)
        if name == "inv":
            self.inverted[matrix] = result
        return self.make.form("{0}[1]", result, rank=rank) if name == "logdet" else result

    def _along(self, name: str, code: Code, count: int, rank: int) -> Code:
        """A function of the last `count` axes."""
        start, target = code.rank - count, self.target
        if name == "prodexcept" or functions.WHOLE[name].code:  # a helper, of the last so many axes
            return self.call(f"{name}[]", [code, self.make.value(count)], code.rank)
        if count > 1 and name in target.one_axis:
            flat = self.make.call(target.flat, [code, self.make.value(start)], start + 1)
            keeps = rank == code.rank
            args = [flat, self.axis([start])]
            result = self.call(f"{name}[]", args, start + 1 if keeps else rank)
            if keeps:
                result = self.make.form("{0}.reshape({1}.shape)", result, code, rank=rank)
            return result
        needless = start == 0 and name in target.over_all
        options = [] if needless else [self.axis(range(start, code.rank))]
        return self.call(f"{name}[]", [code, *options], rank)

    def call(self, name: str, args: Sequence[Code], rank: int) -> Code:
        """A call of a function of the target's table."""
        return self.make.call(spelling(name, self.target), args, rank)

    def axis(self, axes: Sequence[int]) -> Code:
        shown = str(axes[0]) if len(axes) == 1 else f"({', '.join(map(str, axes))})"
        return self.make.form(f"{self.target.axis}={shown}", kind=WORD)

    def constant(self, name: str, args: Sequence[Code], rank: int) -> Code:
        """An array that is made here: of the dtype of an argument if the target asks for one."""
        named = self._likeness(self.target.like)
        if self.like is None and self.target.unlike:
            named = [self.make.form(self.target.unlike, kind=WORD)]
        return self.call(name, [*args, *named], rank)

    def _likeness(self, words: Sequence[str]) -> list[Code]:
        """The keywords that give an array properties of an argument, if there is one."""
        like = [] if self.like is None else [self.like]
        return [
            self.make.form(f"{word}={{0}}.{word}", x, kind=WORD) for x in like for word in words
        ]

    def eye(self, dim: Dim) -> Code:
        return self.constant("eye", [self.make.extent(dim)], 2)

    def _full(self, values: Values, shape: Shape, result: bool = False) -> Code:
        """An array of exactly this shape; one of its own memory if it is a `result`."""
        code = values.code
        if code.kind == NUMBER:
            return self._constant_array(code, shape, result)
        if len(values.axes) == len(shape):
            return code
        spread = self.make.spread(code, [axis in values.axes for axis in range(len(shape))])
        code = self.call("broadcast", [spread, self.make.shape(shape)], len(shape))
        own = self.target.own if result else ""
        return self.make.form(own, code, rank=len(shape)) if own else code

    def _constant_array(self, number: Code, shape: Shape, result: bool) -> Code:
        """An array that has one number everywhere."""
        if not shape:
            if not result:
                return number
            if self.target.like:
                return self.constant("array", [self._decimal(number)], 0)
            return number if number.op == "value" else self.make.call("float", [number], 0)
        if number.op == "value" and number.data[0] in (0, 1):
            name = "ones" if number.data[0] else "zeros"
            return self.constant(name, [self.make.shape(shape)], len(shape))
        return self.constant("full", [self.make.shape(shape), self._decimal(number)], len(shape))

    def _decimal(self, number: Code) -> Code:
        """A number that the target does not take for an integer: 2.0 rather than 2."""
        if number.op == "value":
            return self.make.node("decimal", (), number.data, 0, NUMBER)
        if any(code.op in ("form", "decimal", "call") for code in below([number])):
            return number
        return self.make.call("float", [number], 0, NUMBER)

    def _argument(self, code: Code, alone: bool = True) -> Code:
        """A number as the target's functions want it; `alone`: with nothing but numbers."""
        if code.kind == NUMBER and self.target.numbers == "tensor":
            return self.constant("array", [self._decimal(code)], 0)
        return self._decimal(code) if alone and self.target.numbers == "decimal" else code

    def _truth_as_number(self, truth: Code) -> Code:
        """1 if a comparison holds, else 0."""
        one, zero = self._decimal(self.make.value(1)), self._decimal(self.make.value(0))
        if all_numbers(truth.children):
            return self.make.call("float", [truth], 0, NUMBER)
        if self.target.cast:
            like = "float" if self.like is None else f"{self.like.data[0]}.dtype"
            return self.make.form(
                self.target.cast, truth, self.make.form(like, kind=WORD), rank=truth.rank
            )
        return self.call("where", [truth, one, zero], truth.rank)

    def with_axes(self, code: Code, axes: Sequence[int]) -> Code:
        """The axes in another order, as numpy.transpose."""
        if tuple(axes) == tuple(range(len(axes))):
            return code
        if len(axes) == 2:
            return self.make.transpose(code)
        turned = self.make.in_other_order(code, tuple(axes), spelling("einsum", self.target))
        if turned is not None:
            return turned
        return self.call("transpose", [code, self.make.shape(axes)], len(axes))

    def _function(self, name: str, args: Sequence[Code]) -> Code:
        """An elementwise function of the table, of arguments that are aligned."""
        if name == "where":
            return self._choice(*args)
        if name in COMPARISON_NAMES:
            return self._truth_as_number(self.make.compare(_SYMBOL[name], *args))
        if name == "pow":
            return self.make.power(*args)
        if args and args[0].op == "value" and has_spelling(f"{name} n"):
            name = f"{name} n"
        path = spelling(name, self.target)
        if not args:
            return self.make.form(path, kind=NUMBER)
        numbers = all_numbers(args)
        if numbers and self.target.numbers == "tensor" and name in MATH:
            return self.make.call(MATH[name], args, 0, NUMBER)
        given = iter(args)
        full = []
        for word in pattern(name, self.target) or "_" * len(args):
            if word.isdigit():
                full.append(self.make.value(int(word)))
            else:
                arg = next(given)
                full.append(arg if word == "n" else self._argument(arg, numbers))
        if path in COMPARISONS:
            return self._truth_as_number(self.make.compare(path, *full))
        return self.make.call(path, full, highest(args))

    def _choice(self, condition: Code, one: Code, other: Code) -> Code:
        """`one` if the condition holds, else `other`."""
        if condition.kind != TRUTH:
            condition = self.make.compare("!=", condition, self.make.value(0))
        rank = highest((condition, one, other))
        if all_numbers(condition.children):
            if not rank:
                template = "{1} if {0} else {2}"
                return self.make.node("choose", (condition, one, other), (template,), rank)
            if self.target.numbers == "tensor":
                named = self._likeness([word for word in self.target.like if word != "dtype"])
                path = spelling("array", self.target)
                condition = self.make.call(path, [condition, *named], 0, TRUTH)
        if all_numbers((one, other)):
            one = self._argument(one, alone=False)
        return self.call("where", [condition, one, other], rank)

    def power_of(self, base: Code, exponent: Fraction) -> tuple[Code, bool]:
        """`base ** exponent` as (code, whether it is below a fraction bar)."""
        size = abs(exponent)
        if size == HALF:
            return self._function("sqrt", [base]), exponent < 0
        return self.make.power(base, self.make.value(size)), exponent < 0


# ---------------------------------------------------------------- products


class _Product:
    """A contraction on its way to one array: operands that are left, scalars and deltas beside them."""

    def __init__(self, words: Translator, node: Contraction) -> None:
        self.words, self.make, self.node = words, words.make, node
        self.factors = list(zip(node.children, node.inputs, strict=True))
        shapes = [(labels, child.shape) for child, labels in self.factors]
        self.dims = {x: dim for pair in shapes for x, dim in zip(*pair, strict=True)}
        self.scalars: list[tuple[Code, bool]] = []
        self.deltas = [labels for child, labels in self.factors if isinstance(child, Delta)]
        self.operands: list[Operand] = []
        copied = {labels[1] for labels in self.deltas}
        self.output = tuple(label for label in node.output if label not in copied)

    def value(self) -> Values:
        self._collect()
        self._diagonals()
        self._reduce()
        if self.deltas and len(self.operands) > 1 and len(self.node.output) > 2:
            core = self._with_deltas([self._above(operand) for operand in self.operands])
        else:
            core = self._elementwise(self.operands)
            core = self._with_deltas([core]) if self.deltas else core
        order = {label: place for place, label in enumerate(self.node.output)}
        ranked = tuple(sorted(core.labels, key=order.__getitem__))
        code = self._with_axes(core, ranked)
        if self.scalars:
            code = self.make.multiply([*self.scalars, (code, False)])
        return Values(code, tuple(order[label] for label in ranked))

    def _collect(self) -> None:
        """Operands in the order in which one reads them, equal ones as powers."""
        counts = Counter(pair for pair in self.factors if not isinstance(pair[0], Delta | Ones))
        dots = _is_dot(counts, self.output)
        covered: set[Label] = set()
        for factor in arranged_factors([Factor(*f, n) for f, n in counts.items()], self.output):
            base, exponent = base_and_exponent(factor.operand)
            values = self.words.values[base]
            labels = tuple(factor.labels[axis] for axis in values.axes)
            covered.update(labels)
            copies = factor.count if dots else 1
            exponent *= Fraction(factor.count, copies)
            code, below = self.words.power_of(values.code, exponent)
            inverse = None
            if isinstance(base, Apply) and base.function == "inv" and base.rank == 2:
                inverse = base.children[0] if exponent == 1 else None
            if labels:
                self.operands += [Operand(code, labels, below, inverse) for _ in range(copies)]
            else:
                self.scalars += [(code, below)] * copies
        for label in set(self.dims) - covered - set(self.node.output):
            # a sum of what only repeats itself
            self.scalars.append((self.make.extent(self.dims[label]), False))

    def _diagonals(self) -> None:
        """An operand with a label twice: its diagonal, or its trace."""
        for operand in [x for x in self.operands if len(set(x.labels)) < len(x.labels)]:
            labels = tuple(dict.fromkeys(operand.labels))
            above = self._above(operand)
            if len(operand.labels) > 2:
                new = self._einsum([above], labels)
            elif self._elsewhere([operand]) & set(labels):
                new = Operand(self.words.call("diag", [above.code], 1), labels)
            else:
                new = Operand(self.words.call("trace", [above.code], 0), ())
            self._put([operand], new)

    def _elsewhere(self, some: Sequence[Operand]) -> set[Label]:
        """Labels that something else needs: other operands or the result."""
        rest = list(self.operands)
        for operand in some:
            rest.remove(operand)
        return {label for operand in rest for label in operand.labels} | set(self.output)

    def _above(self, operand: Operand) -> Operand:
        code = operand.code
        if operand.below:
            code = self.make.multiply([(self.make.value(1), False), (code, True)])
        return replace(operand, code=code, below=False)

    def _reduce(self) -> None:
        """Sum over every label that is not output, two operands at a time."""
        for operand in list(self.operands):  # labels that one operand has alone
            kept = self._elsewhere([operand])
            alone = [axis for axis, label in enumerate(operand.labels) if label not in kept]
            if alone:
                self._put([operand], self._sum_over(self._above(operand), alone))
        while summed := {x for o in self.operands for x in o.labels} - set(self.output):
            pairs = [
                (first, second)
                for first, second in combinations(self.operands, 2)
                if summed & set(first.labels) & set(second.labels)
            ]
            self._contract(*min(pairs, key=self._price))

    def _price(self, pair: tuple[Operand, Operand]) -> tuple[float, float, int]:
        """Multiplications, growth of what is stored, transposes written.

        Not the compiler's price: between equal ones the fewest transposes read best.
        """
        first, second = (operand.labels for operand in pair)
        one, other = (set(labels) for labels in (first, second))
        left = self._size((one | other) & self._elsewhere(pair))
        freed = left - self._size(one) - self._size(other)
        turned = 0
        if len(one & other) == 1 and max(len(first), len(second)) <= 2:
            (label,) = one & other
            turned = min(
                self._cost_of_reading(first, label, second),
                self._cost_of_reading(second, label, first),
            )[1]
        return self._size(one | other), freed, turned

    def _size(self, labels: set[Label]) -> float:
        dims = (self.dims[label] for label in labels)
        return prod(dim if isinstance(dim, int) else _NAMED for dim in dims)

    def _sum_over(self, operand: Operand, axes: Sequence[int]) -> Operand:
        labels = tuple(x for axis, x in enumerate(operand.labels) if axis not in axes)
        options = [self.words.axis(axes)] if labels else []
        return Operand(self.words.call("sum", [operand.code, *options], len(labels)), labels)

    def _put(self, old: Sequence[Operand], new: Operand) -> None:
        place = self.operands.index(old[0])
        for operand in old:
            self.operands.remove(operand)
        if new.labels:
            self.operands.insert(place, new)
        else:
            self.scalars.append((new.code, new.below))

    def _contract(self, first: Operand, second: Operand) -> None:
        """The product of two operands, summed over what nothing else needs; put in their place."""
        kept = self._elsewhere([first, second])
        shared = [label for label in first.labels if label in second.labels]
        summed = [label for label in shared if label not in kept]
        same = set(first.labels) == set(second.labels)
        widest = max(len(first.labels), len(second.labels))
        result = None
        if not summed:
            if len({*first.labels, *second.labels}) <= max(widest, 2):
                result = self._elementwise([first, second])
        elif same and (len(first.labels) > 1 or first.below or second.below):
            product = self._elementwise([first, second])
            axes = [axis for axis, label in enumerate(product.labels) if label in summed]
            result = self._sum_over(self._above(product), axes)
        elif len(summed) == 1:
            one, other = self._above(first), self._above(second)
            if len(shared) == 1:
                result = self._matrix_product(one, other, summed[0])
            else:
                result = self._stack_product(one, other, summed[0])
                result = result or self._stack_product(other, one, summed[0])
        if result is not None:
            return self._put([first, second], result)
        factors = [self._above(operand) for operand in self.operands]  # all that is left, at once
        labels = {label for operand in factors for label in operand.labels}
        output = tuple(label for label in self.output if label in labels)
        return self._put(self.operands[:], self._einsum(factors, output))

    def _matrix_product(self, first: Operand, second: Operand, label: Label) -> Operand | None:
        if len(first.labels) > 2 or len(second.labels) > 2:
            for tensor, vector in ((first, second), (second, first)):
                if tensor.labels[-1] == label and vector.labels == (label,):
                    code = self.make.matmul(tensor.code, vector.code)
                    return Operand(code, tensor.labels[:-1])
            return None
        if self._cost_of_reading(second.labels, label, first.labels) < self._cost_of_reading(
            first.labels, label, second.labels
        ):
            first, second = second, first
        if len(first.labels) == len(second.labels) == 1 and first.code.op == "matmul":
            first, second = second, first  # x @ A @ x, though A @ x comes first
        solved = self._solution(first, second, label) or self._solution(second, first, label)
        if solved is not None:
            return solved
        labels = tuple(x for x in (*first.labels, *second.labels) if x != label)
        a = first.code if first.labels[-1] == label else self.make.transpose(first.code)
        b = second.code if second.labels[0] == label else self.make.transpose(second.code)
        return Operand(self.make.matmul(a, b), labels)

    def _cost_of_reading(
        self, left: Subscript, label: Label, right: Subscript
    ) -> tuple[bool, int, bool]:
        """How much speaks against this order: a vector before a matrix, transposes, the result's order."""
        transposes = (left[-1] != label) + (right[0] != label)
        labels = [x for x in (*left, *right) if x != label]
        places = [self.output.index(x) for x in labels if x in self.output]
        wrong = len(places) == 2 and places[0] > places[1]
        return len(left) < len(right), transposes + wrong, wrong

    def _solution(self, one: Operand, other: Operand, label: Label) -> Operand | None:
        """inv(A) b as the solution of A x = b."""
        matrix = one.inverse_of
        if matrix is None or matrix in self.words.explicit:
            return None
        code = self.words.values[matrix].code
        if one.labels[1] != label and not matrix.symmetric:
            code = self.make.transpose(code)
        b = other.code if other.labels[0] == label else self.make.transpose(other.code)
        solution = self.words.call("solve[]", [code, b], b.rank)
        self.words.solved.setdefault(matrix, set()).add(solution)
        labels = (x for x in (*one.labels, *other.labels) if x != label)
        return Operand(solution, tuple(labels))

    def _stack_product(self, first: Operand, second: Operand, label: Label) -> Operand | None:
        """Products of stacks of matrices, if the axes are as `@` wants them."""
        rank = len(first.labels)
        fits = rank > 2 and rank == len(second.labels) and first.labels[-1] == label
        fits = fits and second.labels[:-1] == (*first.labels[:-2], label)
        if not fits or second.labels[-1] in first.labels:
            return None
        labels = (*first.labels[:-1], second.labels[-1])
        return Operand(self.make.matmul(first.code, second.code), labels)

    def _einsum(self, factors: Sequence[Operand], output: Subscript) -> Operand:
        every = dict.fromkeys((*output, *(x for operand in factors for x in operand.labels)))
        if len(every) > len(LETTERS):
            raise BackendError(
                f"a product has {len(every)} indices",
                facts=[f"einsum has letters for {len(LETTERS)}"],
                hint="give a part of it a name of its own, with substitute",
            )
        names = dict(zip(every, LETTERS, strict=False))
        inputs = ",".join("".join(names[x] for x in operand.labels) for operand in factors)
        text = f"{inputs}->{''.join(names[x] for x in output)}"
        args = [self.make.form(f'"{text}"', kind=WORD), *(operand.code for operand in factors)]
        if len(factors) > 2 and len(every) > len(output) and self.words.target.several:
            args.append(self.make.form(self.words.target.several, kind=WORD))
        return Operand(self.words.call("einsum", args, len(output)), output)

    def _elementwise(self, operands: Sequence[Operand]) -> Operand:
        """Operands multiplied entry by entry, those without common labels too."""
        if not operands:
            return Operand(self.make.value(1), ())
        if len(operands) == 1:
            return self._above(operands[0])
        operands = self._groups(operands)
        labels = self._common_order(operands)
        if len(operands) == 2 and len(labels) == 2 and not any(o.below for o in operands):
            first, second = sorted(operands, key=lambda o: labels.index(o.labels[0]))
            if first.labels == labels[:1] and second.labels == labels[1:]:
                outer = self.words.call("outer", [first.code, second.code], 2)
                return Operand(outer, labels)
        if len(labels) > 2 and not any(len(o.labels) == len(labels) for o in operands):
            wanted = tuple(x for x in self.output if x in labels)
            above = [self._above(operand) for operand in operands]
            return self._einsum(above, wanted if len(wanted) == len(labels) else labels)
        factors = []
        for operand in operands:
            own = tuple(x for x in labels if x in operand.labels)
            code = self._with_axes(operand, own)
            factors.append((self.make.spread(code, [x in own for x in labels]), operand.below))
        return Operand(self.make.multiply(factors), labels)

    def _groups(self, operands: Sequence[Operand]) -> list[Operand]:
        """Operands at the same labels as one, if there are others: A * (u * v)[:, None]."""
        grouped = []
        for labels in dict.fromkeys(operand.labels for operand in operands):
            some = [operand for operand in operands if operand.labels == labels]
            if len(some) == len(operands):
                return some
            code = self.make.multiply([(operand.code, operand.below) for operand in some])
            grouped.append(some[0] if len(some) == 1 else Operand(code, labels))
        return grouped

    def _common_order(self, operands: Sequence[Operand]) -> Subscript:
        """The order of axes of a product: that of an operand which has them all, else the result's."""
        every = list(dict.fromkeys(x for operand in operands for x in operand.labels))
        full = [operand.labels for operand in operands if len(operand.labels) == len(every)]
        inside = [x for x in self.output if x in every]
        wanted = (*inside, *(x for x in every if x not in inside))
        return wanted if wanted in full or not full else full[0]

    def _with_axes(self, operand: Operand, labels: Subscript) -> Code:
        return self.words.with_axes(operand.code, [operand.labels.index(x) for x in labels])

    def _with_deltas(self, cores: Sequence[Operand]) -> Operand:
        """The product spread over its deltas, each a second label for one of the cores'."""
        kept = {x for labels in (*self.deltas, *(o.labels for o in cores)) for x in labels}
        output = tuple(x for x in self.node.output if x in kept)
        if len(self.deltas) == 1 and len(output) == 2:
            (pair,) = self.deltas
            core = self._elementwise(cores)
            if core.labels:
                return Operand(self.words.call("diag", [core.code], 2), output)
            eye = self.words.eye(self.dims[pair[0]])
            return Operand(self.make.multiply([(core.code, False), (eye, False)]), pair)
        factors = [Operand(self.words.eye(self.dims[pair[0]]), pair) for pair in self.deltas]
        factors += [operand for operand in cores if operand.labels]
        self.scalars += [(operand.code, False) for operand in cores if not operand.labels]
        return self._einsum(factors, output)


def _is_dot(counts: Mapping[tuple[Expr, Subscript], int], output: Subscript) -> bool:
    """One vector twice and nothing else: x @ x rather than sum(x**2)."""
    match [(*factor, n) for factor, n in counts.items() if factor[1]]:
        case [(operand, (label,), 2)]:
            return label not in output and base_and_exponent(operand)[1] == 1
    return False
