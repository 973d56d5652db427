"""Functions of matrix notation: of square matrices, over all entries, of columns, and sized constants.

In: a call and the values of its arguments. Out: its value.
Invariant: a function of all entries takes scalars, columns, rows and matrices alike; the trace, the mean,
norms and solve are contractions, so that they equal what a user would write with indices.
Names that are no functions here: `matrix_words.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NoReturn

from ...errors import Span
from ...terms import (
    Delta,
    Expr,
    broadcast,
    contract,
    elementwise,
    extent,
    functions,
    literal,
    power,
    whole,
    zero,
)
from ..extents import Slot
from ..syntax import Access, Call, Comparison, Name, Node, Number
from . import words as matrix_words
from .matrix_layouts import SCALAR, Layout, Value
from .matrix_operators import Operators
from .matrix_ranks import BARE, SIZED, ungrouped
from .values import Visit

_FORMS = {  # function -> its arguments, for messages and their number
    "inv": "A", "det": "A", "logdet": "A", "tr": "A", "cholesky": "A", "tril": "A", "solve": "A, b",
    "diag": "x", "kron": "A, B", "transpose": "A",
    "sum": "A", "mean": "A", "prod": "A", "logsumexp": "A", "norm1": "x", "norm2": "A",
    "softmax": "x", "logsoftmax": "x", "prodexcept": "x", "vector": "c", "matrix": "c",
    "length": "x", "numel": "A",
}  # fmt: skip
_ON_FACTORS = ("inv", "tr", "sum", "mean", "norm1", "norm2", "diag", "transpose")


class Calls(Operators):
    """The values of calls; `visit` of the whole program evaluates their arguments."""

    def call(self, node: Call) -> Visit:
        self._check_brackets(node)
        name = functions.ALIASES.get(node.function, node.function)
        if name in SIZED:
            return self.sized(name, node)
        if name == "size":
            return (yield from self.size_call(node))
        known = name in _FORMS or (name in functions.ELEMENTWISE and name != "pi")
        if not known:
            self.refuse_function(node)
        values = []
        for argument in node.arguments:
            values.append((yield argument))
        one = name in ("max", "min") and len(values) == 1
        if name not in _FORMS and not one:
            return self.elementwise_call(name, node, values)
        self._check_count(name, node)
        return self.apply(name, values, node.span)

    def _check_brackets(self, node: Call) -> None:
        for brackets in (node.kept, node.subscript):
            if brackets is not None:
                self.fail(
                    f"indices stand at {node.function}",
                    [index.span for index in brackets] or [node.span],
                    facts=["matrix notation has no indices"],
                    hint='read the text with notation="index"',
                )

    def refuse_access(self, node: Access) -> NoReturn:
        """`A[i,j]`."""
        self.fail(
            f"indices stand at {node.name}",
            [node.span],
            facts=["matrix notation has no indices"],
            hint='read the text with notation="index"',
        )

    def refuse_function(self, node: Call) -> NoReturn:
        """A name that is called and is no function here."""
        first = self.text(node.arguments[0].span)
        name = node.function
        if name in self.program.ranks:
            spans, how = self.program.rank_told(name)
            self.fail(
                f"{name} is a tensor, not a function",
                [*spans, node.name_span],
                facts=[f"{name} is {how}; entries and slices have no form in matrix notation"],
                hint=f"write {name}*({first}) for a product; "
                'entries are named with indices: notation="index"',
            )
        message, fact, hint = matrix_words.unknown(
            name, [self.text(a.span) for a in node.arguments]
        )
        self.fail(message, [node.name_span], facts=[fact] if fact else [], hint=hint)

    def _check_count(self, name: str, node: Call) -> None:
        wanted = _FORMS.get(name, "A").count(",") + 1
        given = len(node.arguments)
        if given == wanted:
            return
        if name in functions.REDUCTIONS and given == 2 and isinstance(node.arguments[1], Number):
            self._refuse_axis(name, node)
        self.fail(
            f"{name} takes {wanted} argument{'s' * (wanted > 1)}, {given} given",
            [node.span],
            facts=[f"{name} is written {name}({_FORMS.get(name, 'A')})"],
            hint="drop the others" if given > wanted else "write the missing one",
        )

    def _refuse_axis(self, name: str, node: Call) -> NoReturn:
        """`sum(A, 1)`: over which axis depends on whom one asks."""
        a = self.text(node.arguments[0].span)
        ways = {
            "sum": f"write {a}*vector(1) for the sums of the rows, vector(1)'*{a} of the columns",
            "mean": f"write {a}*vector(1)/size({a},2) for the means of the rows",
        }
        self.fail(
            f"{name} over one axis of a matrix",
            [node.arguments[1].span],
            facts=[
                f"axis 1 is the first one in MATLAB and the second one in NumPy; "
                f"{name}(A) takes all entries"
            ],
            hint=ways.get(name, f'name the index: notation="index", {name}[i](A[i,j])'),
        )

    # ------------------------------------------------------------ elementwise

    def elementwise_call(self, name: str, node: Call, values: list[Value]) -> Value:
        """A function of each entry; scalars are repeated, more than two of max and min chained."""
        row = functions.ELEMENTWISE[name]
        wanted, given = len(row.arguments), len(values)
        if given != wanted and not (name in ("max", "min") and given > 2):
            self.fail(
                f"{name} takes {wanted} argument{'s' * (wanted > 1)}, {given} given",
                [node.span],
                facts=[f"{name} is written {name}({', '.join(row.arguments)})"],
                hint="drop the others" if given > wanted else "write the missing one",
            )
        if name in ("abs", "sign") and values[0].factors:
            factors = [self.entrywise(name, [f], f.span, name) for f in values[0].factors]
            return self.kron(factors, node.span)
        if name == "where" and not isinstance(node.arguments[0], Comparison):
            none = self.value(SCALAR, node.span, lambda: literal(0))
            values[0] = self.entrywise("ne", [values[0], none], values[0].span, "!=")
        value = self.entrywise(name, values[:wanted], node.span, name)
        for more in values[wanted:]:
            value = self.entrywise(name, [value, more], node.span, name)
        return value

    def comparison(self, node: Comparison) -> Visit:
        left = yield node.left
        right = yield node.right
        name = functions.COMPARISONS[node.operator]
        value = self.entrywise(name, [left, right], node.span, node.operator)
        value.is_tight = False
        return value

    # ------------------------------------------------------------ functions of whole values

    def apply(self, name: str, values: Sequence[Value], span: Span) -> Value:
        """The value of a function that is not elementwise."""
        value = values[0]
        if name == "kron":
            return self.kron(values, span)
        if value.factors and name in _ON_FACTORS:
            return self.kron([self.apply(name, [f], f.span) for f in value.factors], span)
        if value.factors and name in ("det", "logdet"):
            return self.kron_determinant(name, value, span)
        for given in values:
            self.plain(given)
        if name in ("inv", "det", "logdet", "cholesky", "tril"):
            return self._of_square(name, value, span)
        if name in ("softmax", "logsoftmax", "prodexcept"):
            return self._along(name, value, span)
        methods: dict[str, Callable[[Value, Span], Value]] = {
            "tr": self._trace,
            "diag": self._diagonal,
            "norm1": self._norm1,
            "norm2": self._norm2,
            "transpose": self.transposed,
            "vector": self._vector,
            "matrix": self._matrix,
            "length": self._length,
            "numel": self._count,
        }
        if name in methods:
            return methods[name](value, span)
        if name == "solve":
            return self._solve(value, values[1], span)
        return self._over_all(name, value, span)

    def _of_square(self, name: str, value: Value, span: Span) -> Value:
        if value.is_scalar and name in ("inv", "det", "logdet"):
            return self.value(SCALAR, span, lambda: _of_number(name, value.term))
        self.square(name, value)
        layout = SCALAR if name in ("det", "logdet") else value.layout
        return self.value(layout, span, lambda: whole(name, value.term))

    def _trace(self, value: Value, span: Span) -> Value:
        if value.is_scalar:
            return self.value(SCALAR, span, lambda: value.term)
        self.square("tr", value)
        return self.value(SCALAR, span, lambda: contract([value.term], [(0, 0)], ()))

    def _diagonal(self, value: Value, span: Span) -> Value:
        """diag(x) is a matrix, diag(A) a column."""
        if value.is_scalar:
            return self.value(SCALAR, span, lambda: value.term)
        if value.kind == "matrix":
            self.square("diag", value)
            layout = Layout(value.layout.rows)
            return self.value(layout, span, lambda: contract([value.term], [(0, 0)], (0,)))
        (slot,) = value.layout.slots

        def build() -> Expr:
            return contract([value.term, Delta(self.dim(slot))], [(0,), (0, 1)], (0, 1))

        return self.value(Layout(slot, slot), span, build)

    def _solve(self, matrix: Value, right: Value, span: Span) -> Value:
        """The X with A*X = B."""
        if matrix.is_scalar:
            axes = tuple(range(len(right.layout.slots)))

            def quotient() -> Expr:
                return contract([power(matrix.term, Fraction(-1)), right.term], [(), axes], axes)

            return self.value(right.layout, span, quotient)
        self.square("solve", matrix)
        if right.is_scalar or not self.fit(matrix.layout.rows, right.layout.rows):
            a, b = self.text(matrix.span), self.text(right.span)
            rows, others = self.sizes(matrix.layout.rows, right.layout.rows)
            others += " row" if others == "1" else " rows"
            turned = self.fit(matrix.layout.rows, right.layout.columns)
            self.mismatch(
                f"solve({a}, {b}): {a} has {rows} rows, {b} has {others}",
                [matrix, right],
                f"write solve({a}, {self.turned(right)})"
                if turned and not right.is_scalar
                else "solve(A, b) is the x with A*x = b",
            )
        self.join(matrix.layout.rows, right.layout.rows, right.span)
        after = tuple(range(2, 1 + len(right.layout.slots)))

        def build() -> Expr:
            inverse = whole("inv", matrix.term)
            return contract([inverse, right.term], [(0, 1), (1, *after)], (0, *after))

        return self.value(right.layout, span, build)

    def _norm1(self, value: Value, span: Span) -> Value:
        if value.kind == "matrix":
            shown = self.text(value.span)
            self.fail(
                f"norm1 of a matrix, {shown}",
                [value.span],
                facts=[
                    "that is the largest column sum in MATLAB, the sum of all entries elsewhere"
                ],
                hint=f"write sum(abs({shown})) for the sum over all entries",
            )

        def build() -> Expr:
            return _total(elementwise("abs", [value.term]))

        return self.value(SCALAR, span, build)

    def _norm2(self, value: Value, span: Span) -> Value:
        """The Euclidean norm; of a matrix the Frobenius norm."""

        def build() -> Expr:
            axes = tuple(range(value.term.rank))
            if not axes:
                return elementwise("abs", [value.term])
            return elementwise("sqrt", [contract([value.term, value.term], [axes, axes], ())])

        return self.value(SCALAR, span, build)

    def _along(self, name: str, value: Value, span: Span) -> Value:
        """softmax and its like, of a column or a row."""
        shown = self.text(value.span)
        if value.is_scalar:
            self.mismatch(f"{name} takes a column, {shown} is a scalar", [value], "declare it")
        if value.kind == "matrix":
            self.fail(
                f"{name} of a matrix, {shown}",
                [value.span],
                facts=["its entries could be normalised along each row or along each column"],
                hint=f'name the index: notation="index", {name}[j](A[i,j]) along the rows',
            )
        return self.value(value.layout, span, lambda: whole(name, value.term))

    def _over_all(self, name: str, value: Value, span: Span) -> Value:
        """sum, mean, prod, max, min, logsumexp over all entries."""

        def build() -> Expr:
            term = value.term
            if name not in ("sum", "mean"):
                return whole(name, term, term.rank) if term.rank else term
            total = _total(term)
            for dim in term.shape if name == "mean" else ():
                total = contract([power(extent(dim), Fraction(-1)), total], [(), ()], ())
            return total

        return self.value(SCALAR, span, build)

    # ------------------------------------------------------------ sizes

    def _vector(self, value: Value, span: Span) -> Value:
        return self._filled("vector", value, span, 1)

    def _matrix(self, value: Value, span: Span) -> Value:
        return self._filled("matrix", value, span, 2)

    def _filled(self, name: str, value: Value, span: Span, axes: int) -> Value:
        """All entries c, as many as the context needs."""
        if not value.is_scalar:
            shown = self.text(value.span)
            what = f"{name} takes the scalar that all entries are, {shown} is a {value.kind}"
            self.mismatch(what, [value], f"write {shown} itself, or {name}(c) with a scalar c")
        slots: list[Slot] = [(name, str(axis), len(self.values)) for axis in range(axes)]
        layout = Layout(*slots)
        filled = self.value(layout, span, lambda: broadcast(value.term, self.shape(layout)))
        self.sized_by_context += [(slot, filled) for slot in slots]
        return filled

    def eye(self, node: Name) -> Value:
        """The identity matrix, as large as the context needs."""
        slot: Slot = (BARE, "", len(self.values))
        made = self.value(Layout(slot, slot), node.span, lambda: Delta(self.dim(slot)))
        self.sized_by_context.append((slot, made))
        return made

    def sized(self, name: str, node: Call) -> Value:
        """eye(n), ones(n), ones(m,n), zeros likewise; ones(n,1) is a column as in MATLAB."""
        most = 2
        if len(node.arguments) > most:
            self.fail(
                f"{name} with {len(node.arguments)} extents",
                [argument.span for argument in node.arguments[most:]],
                facts=["matrix notation has columns and matrices"],
                hint='read the text with notation="index" for more axes',
            )
        slots = [self._size(name, argument) for argument in node.arguments]
        if name == "eye":
            return self._sized_eye(node, [slot for slot in slots if slot is not None])
        layout = Layout(*slots)

        def build() -> Expr:
            shape = self.shape(layout)
            return broadcast(literal(1), shape) if name == "ones" else zero(shape)

        return self.value(layout, node.span, build)

    def _sized_eye(self, node: Call, slots: Sequence[Slot]) -> Value:
        if not slots:
            return self.value(SCALAR, node.span, lambda: literal(1))
        first, last = slots[0], slots[-1]
        if self.program.clash(first, last) or len(slots) < len(node.arguments):
            self.fail(
                f"{self.text(node.span)} is not square",
                [argument.span for argument in node.arguments],
                facts=["the identity has as many rows as columns"],
                hint="write eye(n)",
            )
        self.join(first, last, node.span)
        return self.value(Layout(first, first), node.span, lambda: Delta(self.dim(first)))

    def _size(self, name: str, node: Node) -> Slot | None:
        """The slot of an extent; None for 1, which is no axis."""
        size = ungrouped(node)
        if isinstance(size, Number) and size.value == 1:
            return None
        if isinstance(size, Name):
            return self.program.size(size)
        if isinstance(size, Number) and size.value.denominator == 1 and 0 < size.value < 2**63:
            return self.program.size(size)
        shown = self.text(node.span)
        self.fail(
            f"{shown} is no extent",
            [node.span],
            facts=[f"{name} takes names of extents, or whole numbers of 1 or more"],
            hint=f"write {name}(n); a column as long as its neighbours is vector(c), "
            "a matrix matrix(c)",
        )

    def size_call(self, node: Call) -> Visit:
        """size(A,1), size(A,2): the numbers of rows and columns."""
        value = self.plain((yield node.arguments[0]))
        axis = ungrouped(node.arguments[1]) if len(node.arguments) == 2 else None
        if not isinstance(axis, Number) or axis.value not in (1, 2):
            self.fail(
                "size takes a matrix and 1 for its rows or 2 for its columns",
                [node.span],
                facts=["matrix notation has rows and columns"],
                hint=f"write size({self.text(node.arguments[0].span)}, 1)",
            )
        slot = value.layout.rows if axis.value == 1 else value.layout.columns
        return self.value(SCALAR, node.span, lambda: self._extent(slot))

    def _extent(self, slot: Slot | None) -> Expr:
        return literal(1) if slot is None else extent(self.dim(slot))

    def _length(self, value: Value, span: Span) -> Value:
        """The number of entries of a column or a row."""
        if value.kind == "matrix":
            a = self.text(value.span)
            self.fail(
                f"length of a matrix, {a}",
                [value.span],
                facts=["that is the larger extent in MATLAB, the number of rows elsewhere"],
                hint=f"write size({a},1), size({a},2) or numel({a})",
            )
        return self._count(value, span)

    def _count(self, value: Value, span: Span) -> Value:
        """The number of entries."""
        slots = value.layout.slots

        def build() -> Expr:
            return contract([self._extent(slot) for slot in slots], [()] * len(slots), ())

        return self.value(SCALAR, span, build)


def _total(term: Expr) -> Expr:
    return contract([term], [tuple(range(term.rank))], ())


def _of_number(name: str, term: Expr) -> Expr:
    """inv, det and logdet of a matrix of one entry."""
    if name == "inv":
        return power(term, Fraction(-1))
    return elementwise("log", [elementwise("abs", [term])]) if name == "logdet" else term
