"""Reads matrix notation: rows and columns become axes.

In: a text without indices, extents and assumptions given beside it.
Out: `parse_matrix`: its surface tree. `elaborate_matrix`: `Meaning`, the same as that of the text written
with indices.
Invariant: ranks first (`values.py`), then rows and columns, which join extents, then terms. A product chain
is read from the left and is one contraction. Errors of rows and columns: `refusals.py`.
Long because one class has a method for each construct.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial, reduce
from itertools import count
from typing import Any, NoReturn

from ...errors import DimensionError, Span, axes_in_words
from ...terms import (
    Contraction,
    Delta,
    Dim,
    Expr,
    Label,
    Map,
    Subscript,
    add,
    broadcast,
    contract,
    elementwise,
    extent,
    functions,
    literal,
    power,
    scale,
    split_scale,
    sums_a_label,
    trampoline,
    transpose,
    whole,
)
from .. import complaints, syntax
from ..context import Meaning
from ..extents import Slot
from ..parser import Built, Parser, TreeBuilder, node_of, over, span_of
from ..syntax import (
    Call,
    Group,
    Name,
    Node,
    Number,
    Pointwise,
    Power,
    Product,
    Sum,
)
from . import refusals
from .values import BARE, SCALAR, SIZED, Layout, MatrixProgram, Value, in_number, without_group
from .words import ALIASES, REASONS, refusal, unknown

# ---------------------------------------------------------------- the surface tree


class _MatrixTree(TreeBuilder):
    """The rules that only matrix notation has: the transpose, and what works entry by entry."""

    primary = atom = TreeBuilder.expression

    def transpose(self, c: list[Any]) -> syntax.Transpose:
        operand = node_of(c[0])
        return syntax.Transpose(operand, over(operand.span, span_of(c[1])))

    def pointwise(self, c: list[Any]) -> Pointwise:
        left, right = node_of(c[0]), node_of(c[2])
        sign = ".*" if c[1] in ("⊙", "∘") else str(c[1])
        return Pointwise(sign, left, right, over(left.span, right.span))

    def pointwise_power(self, c: list[Any]) -> Pointwise:
        _check_exponent(".^", node_of(c[2]))
        return self.pointwise(c)

    def raised(self, c: list[Any]) -> Built:
        _check_exponent("^", node_of(c[2]))
        return super().raised(c)

    def definition(self, c: list[Any]) -> syntax.Definition:
        left = node_of(c[0])
        if not isinstance(left, Name):
            raise refusal(REASONS["left side"], None, [left.span])
        return super().definition(c)

    def name(self, c: list[Any]) -> Name:
        complaints.check_name(str(c[0]), span_of(c[0]))
        return super().name(c)


def _check_exponent(sign: str, exponent: Node) -> None:
    """A^2' is (A^2)' in MATLAB, where the transpose and the power bind alike; here it would be A^(2')."""
    if isinstance(exponent, syntax.Transpose):
        span = (exponent.operand.span[1], exponent.span[1])
        raise refusal(REASONS["transposed exponent"], None, [span], sign=sign)


_PARSER = Parser("matrix", _MatrixTree)


def parse_matrix(source: str) -> syntax.Text:
    """The surface tree of a text in matrix notation.

    Raises NotationError with the place of the first mistake.

    >>> parse_matrix("y = A*x").statements[0].name
    'y'
    """
    complaints.check_brackets(source)
    statements = _PARSER.parse(source)
    complaints.check_statements(source, statements, "x'*Q*x", "r = X*w - y")
    return syntax.Text(source, tuple(statements))


# ---------------------------------------------------------------- its meaning


def elaborate_matrix(
    text: syntax.Text,
    shapes: Mapping[str, Sequence[Dim]] | None = None,
    assume: Mapping[str, Iterable[str]] | None = None,
) -> Meaning:
    """The meaning of `text`; `shapes` and `assume` declare more tensors and assumptions.

    Raises NotationError or DimensionError with the place.
    """
    reader = _Reader(text, shapes or {}, assume or {})
    last, last_name = reader.read(text)
    reader.settle()
    reader.check_sizes()
    for value in reader.values:
        value.made = value.build()
    names = {
        value.term: name
        for name, value in reader.defined.items()
        if not value.factors and value.term.children and value.term.rank
    }
    context = reader.context(names, last_name)
    return Meaning(last.term, _indices(last, reader, context.letters), context)


def _indices(
    value: Value, program: MatrixProgram, letters: Mapping[Dim, tuple[str, ...]]
) -> tuple[str, ...]:
    """Names for the result's axes."""
    taken = {*program.ranks, *program.extents, *(c for own in letters.values() for c in own)}
    free = [*(c for c in "ijklmpqrstuvw" if c not in taken), "i1", "i2", "i3"]
    chosen: list[str] = []
    for dim in program.shape(value.layout):
        chosen.append(next(c for c in (*letters.get(dim, ()), *free) if c not in chosen))
    return tuple(chosen)


Visit = Generator[Node, Value, Value]
Part = tuple[bool, Value]  # of a product: True if it divides

_FORMS = {  # function -> its arguments, for messages and their number
    "inv": "A", "det": "A", "logdet": "A", "tr": "A", "cholesky": "A", "tril": "A", "triu": "A",
    "solve": "A, b", "diag": "x", "kron": "A, B", "transpose": "A",
    "sum": "A", "mean": "A", "prod": "A", "logsumexp": "A", "norm1": "x", "norm2": "A",
    "softmax": "x", "logsoftmax": "x", "prodexcept": "x", "vector": "c", "matrix": "c",
    "length": "x", "numel": "A",
}  # fmt: skip
_ON_FACTORS = ("inv", "tr", "sum", "mean", "norm1", "norm2", "diag", "transpose")
_WORDS = {  # words for operators
    "dot": "*", "inner": "*", "outer": "*", "matmul": "*", "mtimes": "*",
    "multiply": ".*", "times": ".*", "hadamard": ".*", "power": ".^", "square": ".^",
}  # fmt: skip
_LOOSE = (
    syntax.Negative, Product, Sum, Pointwise, syntax.Comparison, Power,
)  # need brackets as operands  # fmt: skip
_CHAIN = 8  # A^8 is one contraction of eight; higher powers are made by squaring


class _Reader(MatrixProgram):
    """The values of all constructs. `visit` and what it yields from are generators, run by `trampoline`."""

    def read(self, text: syntax.Text) -> tuple[Value, str | None]:
        """The value of the last statement, and its name."""
        for statement in (s for s in text.statements if isinstance(s, syntax.Definition)):
            if statement.indices:
                spans = [index.span for index in statement.indices]
                self.refuse("indices", spans, name=statement.name)
            value: Value = trampoline(statement.expression, self.visit)
            if value.refusal is not None:
                value.refusal()
            if statement.name is not None:
                self.defined[statement.name] = value
                self.define(statement, 2 if value.factors else len(value.layout.slots))
        return self.plain(value), statement.name  # the parser refuses a text without an expression

    def check_sizes(self) -> None:
        """A tensor, a declaration or a number tells every size that the context should tell."""
        slots: list[Slot] = [("extent", name, 0) for name in self.extents]
        slots += [
            ("axis", name, axis) for name, x in self.variables.items() for axis in range(x.rank)
        ]
        anchors = set(map(self.dimensions.find, slots))
        for slot, value in self.sized_by_context:
            if self.dimensions.find(slot) not in anchors and not self.dimensions.known(slot):
                shown = self.short(value.span)
                sizes = {"matrix": "m,n", "column": "n"}[value.kind]
                word = "eye(n)" if shown == BARE else f"c*ones({sizes})"
                self.refuse("size untold", [value.span], shown=shown, word=word)

    def visit(self, node: Node) -> Visit:
        """The value of a node."""
        span = node.span
        match node:
            case Number():
                value = self.number(node.value, span)
            case Name():
                value = self.tensor(node)
            case Group():
                value = yield node.inner
                value.span, value.brackets = span, type(node.inner)
            case syntax.Negative():
                part = yield node.operand
                if part.factors:
                    value = self.kron([self.number(-1, span), part], span)
                else:
                    value = self.value(
                        part.layout, span, lambda: scale(-1, part.term), part.refusal
                    )
            case syntax.Transpose():
                value = self.transpose((yield node.operand), span)
            case Product():
                parts = []
                for divides, factor in node.factors:
                    parts.append((divides, (yield factor)))
                value = self.product(parts, span)
            case Sum():
                values = []
                for _, term in node.terms:
                    part = yield term
                    values.append(self.plain(part) if part.factors else part)
                value = self.sum(node, values)
            case Pointwise():
                value = yield from self.pointwise(node)
            case syntax.Comparison():
                sides = [(yield node.left), (yield node.right)]
                value = self.entrywise(
                    functions.COMPARISONS[node.operator], sides, span, node.operator
                )
            case Power():
                base, exponent = (yield node.base), (yield node.exponent)
                value = self.power(node, base, exponent)
            case Call():
                value = yield from self.call(node)
            case syntax.Access():
                self.refuse("indices", [span], name=node.name)
        value.is_tight = not isinstance(node, _LOOSE)
        return value

    def number(self, value: Fraction | int, span: Span) -> Value:
        return self.value(SCALAR, span, lambda: literal(value))

    def tensor(self, node: Name) -> Value:
        """A name: a definition, an extent, pi, eye, or a tensor."""
        name = node.name
        if name in self.defined:
            known = self.defined[name]
            if known.factors:
                return replace(known, span=node.span)
            return self.value(known.layout, node.span, lambda: known.term, None, name)
        if name in self.extents:
            return self.value(
                SCALAR, node.span, lambda: extent(self.dimensions.number_behind(name))
            )
        if name not in self.ranks:
            if name == BARE:
                return self.eye(node)
            return self.value(SCALAR, node.span, lambda: Map(name, ()))  # pi
        rank = self.ranks[name]
        if rank > 2:
            places, how = self.rank_told(name)
            self.fail(
                f"{name} has {axes_in_words(rank)}",
                [*places, node.span],
                [f"{axes_in_words(rank)} ({how}); matrix notation has rows and columns"],
                'name its indices: notation="index"',
                DimensionError,
            )
        slots: list[Slot] = [("axis", name, axis) for axis in range(rank)]
        return self.value(Layout(*slots), node.span, lambda: self.variables[name], None, name)

    # ------------------------------------------------------------ products

    def transpose(self, value: Value, span: Span) -> Value:
        """Rows and columns exchanged."""
        if value.factors:
            return self.kron([self.transpose(f, f.span) for f in value.factors], span)
        is_matrix = value.kind == "matrix"

        def build() -> Expr:
            return transpose(value.term, (1, 0)) if is_matrix else value.term

        return self.value(value.layout.transposed, span, build, value.refusal)

    def product(self, parts: Sequence[Part], span: Span) -> Value:
        """The matrix product, read from the left; scalars may stand anywhere in it."""
        if any(value.factors for _, value in parts):
            return self.kron_product(parts, span)
        full = [value for _, value in parts if not value.is_scalar]
        if len(full) > 1:
            for value in full:
                self.plain(value)
        layout, inputs, fresh = SCALAR, list[Subscript](), count()
        ends: list[Label | None] = [None, None]  # labels of the chain's rows and columns
        for place, (divides, value) in enumerate(parts):
            if divides and not value.is_scalar:
                left = _left(parts[:place], layout) if place else None
                refusals.refuse_divisor(self, left, value)
            if value.is_scalar:
                inputs.append(())
                continue
            own = value.layout
            if layout == SCALAR:
                ends[0] = next(fresh) if own.rows else None
                own_rows, layout = ends[0], own
            elif not self.fit(layout.columns, own.rows):
                refusals.refuse_product(self, _left(parts[:place], layout), value)
            else:
                self.join(layout.columns, own.rows, value.span)
                own_rows, layout = ends[1], Layout(layout.rows, own.columns)
            ends[1] = next(fresh) if own.columns else None
            inputs.append(tuple(e for e in (own_rows, ends[1]) if e is not None))
        output = tuple(end for end in ends if end is not None)
        refusal = full[0].refusal if len(full) == 1 else None

        build = partial(_contraction, parts, inputs, output, opens=(None, Pointwise))
        return self.value(layout, span, build, refusal)

    # ------------------------------------------------------------ sums, entry by entry

    def sum(self, node: Sum, values: Sequence[Value]) -> Value:
        layout, refusal = self.common(values, partial(refusals.refuse_sum, self, node, values))
        full = next((value for value in values if not value.is_scalar), None)
        scalar = next((value for value in values if value.is_scalar), None)
        if full and scalar and refusal is None:
            refusal = refusals.refusal_of_scalar(self, node, values, full, scalar)
        signs = [-1 if minus else 1 for minus, _ in node.terms]

        def build() -> Expr:
            shape = self.shape(layout)
            terms = [broadcast(value.term, shape) for value in values]
            return add(zip(signs, terms, strict=True), shape)

        return self.value(layout, node.span, build, refusal)

    def common(
        self, values: Sequence[Value], refuse: Callable[[Value, Value], NoReturn]
    ) -> tuple[Layout, Callable[[], NoReturn] | None]:
        """The layout that all values but scalars share, and what refuses a scalar added in one."""
        full = [value for value in values if not value.is_scalar]
        for value in full[1:]:
            if not self.fits(full[0].layout, value.layout):
                refuse(full[0], value)
            for pair in zip(full[0].layout, value.layout, strict=True):
                self.join(*pair, value.span)
        layout = full[0].layout if full else SCALAR
        return layout, next((value.refusal for value in full if value.refusal), None)

    def pointwise(self, node: Pointwise) -> Visit:
        if node.operator == ".^":
            left, right = (yield node.left), (yield node.right)
            if left.factors:  # (a b)^2 = a^2 b^2, whatever the signs
                number = self._whole_number(left, node.right)
                exponent = self.number(number, node.right.span)
                raised = [self.entrywise("pow", [f, exponent], f.span, ".^") for f in left.factors]
                return self.kron(raised, node.span)
            return self.entrywise("pow", [left, right], node.span, ".^")
        nodes: list[tuple[bool, Node]] = []
        inner: Node = node
        while isinstance(inner, Pointwise) and inner.operator != ".^":
            nodes.append((inner.operator == "./", inner.right))
            inner = inner.left
        parts = []
        for divides, part in [(False, inner), *reversed(nodes)]:
            parts.append((divides, (yield part)))
        if any(value.factors for _, value in parts):
            return self.kron_entries(parts, node.span)
        return self.entries(parts, node.span, node.operator)

    def entries(self, parts: Sequence[Part], span: Span, shown: str) -> Value:
        """The product entry by entry."""
        values = [value for _, value in parts]
        layout, refusal = self.common(values, partial(self.refuse_pointwise, shown))
        axes = tuple(range(len(layout.slots)))
        inputs = [() if value.is_scalar else axes for value in values]
        build = partial(_contraction, parts, inputs, axes, opens=(None,))
        return self.value(layout, span, build, refusal)

    def refuse_pointwise(self, shown: str, first: Value, second: Value) -> NoReturn:
        refusals.refuse_pointwise(self, first, second, shown)

    def entrywise(self, name: str, values: Sequence[Value], span: Span, shown: str) -> Value:
        """An elementwise function: its arguments have one layout, or are scalars."""
        for value in values:
            if value.factors:
                self.refuse_kron(value)
        layout, refusal = self.common(values, partial(self.refuse_pointwise, shown))

        def build() -> Expr:
            return elementwise(name, [value.term for value in values])

        return self.value(layout, span, build, refusal if shown == ".^" else None)

    # ------------------------------------------------------------ powers

    def power(self, node: Power, base: Value, exponent: Value) -> Value:
        if base.factors:
            number = self._whole_number(base, node.exponent)
            powers = [self.matrix_power(f, number, f.span) for f in base.factors]
            return self.kron(powers, node.span)
        self.plain(base)
        if not exponent.is_scalar:
            refusals.refuse_exponent(self, node, base, exponent)
        if base.is_scalar:
            raised = partial(elementwise, "pow")
            return self.value(SCALAR, node.span, lambda: raised([base.term, exponent.term]))
        constant = _constant(node.exponent)
        if base.kind != "matrix" or constant is None or constant.denominator != 1:
            refusals.refuse_power(self, base, self.short(node.exponent.span), node.span)
        return self.matrix_power(base, int(constant), node.span)

    def _whole_number(self, base: Value, exponent: Node) -> int:
        """The exponent of a Kronecker product."""
        number = _constant(exponent)
        if number is None or number.denominator != 1:
            self.refuse_kron(base)
        return int(number)

    def matrix_power(self, base: Value, number: int, span: Span) -> Value:
        """A^3, A^-1, A^0 of a square matrix."""
        if base.kind != "matrix" or not self.fit(*base.layout):
            refusals.refuse_power(self, base, str(number), span)
        self.join(*base.layout, base.span)
        return self.value(base.layout, span, lambda: _power_of(base.term, number))

    # ------------------------------------------------------------ Kronecker products
    # Kept as their factors, since no index runs over pairs; a factor is no Kronecker product itself.
    # (A x B)(C x D) = AC x BD, f(A x B) = f(A) x f(B) for transposes, inverses, traces, sums, norms,
    # det(A x B) = det(A)^n det(B)^m for A of m rows and B of n.

    def kron(self, factors: Sequence[Value], span: Span) -> Value:
        """The Kronecker product of values; a column and a row make a matrix, scalars only scale."""
        scalars = [(False, value) for value in factors if value.is_scalar]
        rest = [inner for v in factors if not v.is_scalar for inner in v.factors or (v,)]
        for value in rest:
            self.plain(value)
        if sorted(value.kind for value in rest) == ["column", "row"]:
            rest.sort(key=lambda value: value.kind)
            rest = [self.product([(False, value) for value in rest], span)]
        if scalars or not rest:
            rest[:1] = [self.product([*scalars, *((False, value) for value in rest[:1])], span)]
        if len(rest) == 1:
            return self.value(rest[0].layout, span, lambda: rest[0].term)
        return Value(SCALAR, span, _no_term, factors=tuple(rest))

    def kron_product(self, parts: Sequence[Part], span: Span) -> Value:
        """A product chain with a Kronecker product in it, from the left."""
        result: Value | None = None
        for divides, value in parts:
            if divides:
                if not value.is_scalar:
                    self.refuse_kron(value if value.factors else result or value)
                value = self.product([(True, value)], value.span)
            whole_span = (span[0], value.span[1])
            if result is None:
                result = value
            elif result.is_scalar or value.is_scalar:
                result = self.kron([result, value], whole_span)
            elif not result.factors and not value.factors:
                result = self.product([(False, result), (False, value)], whole_span)
            elif len(result.factors) != len(value.factors):
                self.refuse_kron(result if result.factors else value)
            else:
                pairs = zip(result.factors, value.factors, strict=True)
                products = [self.product([(False, a), (False, b)], a.span) for a, b in pairs]
                result = self.kron(products, whole_span)
        assert result is not None
        return result

    def kron_entries(self, parts: Sequence[Part], span: Span) -> Value:
        """.* and ./ of Kronecker products whose factors have the same rows and columns."""
        first = next(value for _, value in parts if value.factors)
        scalars, columns = [], list[list[Part]]([] for _ in first.factors)
        for divides, value in parts:
            if value.is_scalar:
                scalars.append(self.product([(divides, value)], value.span))
            elif len(value.factors) != len(first.factors):
                self.refuse_kron(first)
            for column, factor in zip(columns, value.factors, strict=False):
                column.append((divides, factor))
        products = [self.entries(column, column[0][1].span, ".*") for column in columns]
        return self.kron([*scalars, *products], span)

    def kron_determinant(self, name: str, value: Value, span: Span) -> Value:
        is_sum = name == "logdet"
        for factor in value.factors:
            self.square(name, factor)

        def build() -> Expr:
            terms = []
            for factor in value.factors:
                slots = [other.layout.rows for other in value.factors if other is not factor]
                copies, one = _times(*map(self._extent, slots)), whole(name, factor.term)
                terms.append(_times(copies, one) if is_sum else elementwise("pow", [one, copies]))
            return add([(1, t) for t in terms], ()) if is_sum else reduce(_times, terms)

        return self.value(SCALAR, span, build)

    # ------------------------------------------------------------ calls

    def call(self, node: Call) -> Visit:
        for brackets in (node.kept, node.subscript):
            if brackets is not None:
                spans = [index.span for index in brackets] or [node.span]
                self.refuse("indices", spans, name=node.function)
        is_tensor = node.function in self.ranks
        aliases = functions.ALIASES if is_tensor else ALIASES
        name = aliases.get(node.function, node.function)
        if name in SIZED:
            return self.sized_constant(name, node)
        if name == "size":
            return (yield from self.size(node))
        if name in _WORDS and not is_tensor:
            return (yield from self.word(name, node))
        if name == "norm" and not is_tensor:
            return (yield from self.norm(node))
        is_elementwise = name in functions.ELEMENTWISE and name != "pi"
        if name not in _FORMS and not is_elementwise:
            self.refuse_function(node)
        values = []
        for argument in node.arguments:
            values.append((yield argument))
        if name not in _FORMS and not (name in ("max", "min") and len(values) == 1):
            return self.elementwise(name, node, values)
        if name in functions.REDUCTIONS:
            refusals.refuse_axis(self, node, name)
        refusals.check_count(self, node, name, _FORMS.get(name, "A"))
        return self.function(name, values, node.span)

    def refuse_function(self, node: Call) -> NoReturn:
        """A name that is called and is no function here."""
        name = node.function
        arguments = [self.short(argument.span) for argument in node.arguments]
        if name in self.ranks:
            spans, how = self.rank_told(name)
            spans = [*spans, node.name_span]
            self.refuse("tensor", spans, name=name, how=how, argument=arguments[0])
        message, fact, hint = unknown(name, arguments)
        self.fail(message, [node.name_span], facts=[fact] if fact else [], hint=hint)

    def word(self, name: str, node: Call) -> Visit:
        """dot, outer, hadamard and other words for operators."""
        refusals.check_count(self, node, name, "x" if name == "square" else "A, B")
        first, second = (*node.arguments, Number(Fraction(2), node.span))[:2]
        if _WORDS[name] != "*":
            return (yield Pointwise(_WORDS[name], first, second, node.span))
        a, b = (yield first), (yield second)
        left, right = a, b
        if name == "outer":
            if "matrix" in (a.kind, b.kind):
                what = ", ".join(f"{self.short(v.span)} is a {v.kind}" for v in (a, b))
                self.mismatch(f"outer takes columns, {what}", [a, b], "outer(x, y) is x*y'")
            left = self.transpose(a, a.span) if a.kind == "row" else a
            right = self.transpose(b, b.span) if b.kind == "column" else b
        elif name != "mtimes" and a.kind == "column":  # NumPy has no columns: x @ A is x'*A
            left = self.transpose(a, a.span)
        if name == "inner":
            refusals.refuse_matrix(self, name, a)
            refusals.refuse_matrix(self, name, b)
        if not (a.is_scalar or b.is_scalar or a.factors or b.factors):
            self._check_fit(name, a, b, left.layout.columns, right.layout.rows)
        return self.product([(False, left), (False, right)], node.span)

    def _check_fit(
        self, name: str, a: Value, b: Value, own: Slot | None, other: Slot | None, hint: str = ""
    ) -> None:
        """Two arguments of a function share an extent: one of the first, the rows of the second."""
        if not self.fit(own, other):
            size, rows = self.sizes(own, other)
            what = "column" if own == a.layout.columns and own != a.layout.rows else "row"
            x, y = self.short(a.span), self.short(b.span)
            self.mismatch(
                f"{name}({x}, {y}): {x} has {in_number(size, what)}, {y} has {in_number(rows, 'row')}",
                [a, b],
                hint or refusals.products_that_fit(self, a, b),
            )
        self.join(own, other, b.span)

    def norm(self, node: Call) -> Visit:
        """norm(x), norm(x, 1), norm(x, 2) of a column."""
        order = node.arguments[1] if len(node.arguments) == 2 else None
        number = order.value if isinstance(order, Number) else None
        if number not in (1, 2):
            refusals.check_count(self, node, "norm", "x")
        value = yield node.arguments[0]
        refusals.refuse_matrix(self, "norm", value)
        return self.function("norm1" if number == 1 else "norm2", [value], node.span)

    def elementwise(self, name: str, node: Call, values: list[Value]) -> Value:
        """A function of each entry; scalars are repeated, more than two of max and min chained."""
        arguments = functions.ELEMENTWISE[name].arguments
        wanted = len(arguments)
        if not (name in ("max", "min") and len(values) > 2):
            refusals.check_count(self, node, name, ", ".join(arguments))
        if name in ("abs", "sign") and values[0].factors:
            factors = [self.entrywise(name, [f], f.span, name) for f in values[0].factors]
            return self.kron(factors, node.span)
        if name == "where" and not isinstance(node.arguments[0], syntax.Comparison):
            none = self.number(0, node.span)
            values[0] = self.entrywise("ne", [values[0], none], values[0].span, "!=")
        value = self.entrywise(name, values[:wanted], node.span, name)
        for more in values[wanted:]:
            value = self.entrywise(name, [value, more], node.span, name)
        return value

    # ------------------------------------------------------------ functions of whole values

    def function(self, name: str, values: Sequence[Value], span: Span) -> Value:
        """The value of a function that is not elementwise."""
        value = values[0]
        if name == "kron":
            return self.kron(values, span)
        if value.factors and name in _ON_FACTORS:
            return self.kron([self.function(name, [f], f.span) for f in value.factors], span)
        if value.factors and name in ("det", "logdet"):
            return self.kron_determinant(name, value, span)
        for given in values:
            self.plain(given)
        match name:
            case "transpose":
                return self.transpose(value, span)
            case "solve":
                return self.solve(value, values[1], span)
            case "triu":  # the lower triangle of the transpose
                self.square(name, value)
                lower = self.function("tril", [self.transpose(value, span)], span)
                return self.transpose(lower, span)
            case "inv" | "det" | "logdet" | "tr" | "cholesky" | "tril" | "diag":
                return self.of_square(name, value, span)
            case "vector" | "matrix":
                return self.constant(name, value, span)
            case "softmax" | "logsoftmax" | "prodexcept":
                if value.is_scalar:
                    what = f"{name} takes a column, {self.short(value.span)} is a scalar"
                    self.mismatch(what, [value], "declare it")
                refusals.refuse_matrix(self, name, value)
                return self.value(value.layout, span, lambda: whole(name, value.term))
        if name in ("norm1", "length"):
            refusals.refuse_matrix(self, name, value)
        return self.value(SCALAR, span, lambda: self._over_all(name, value))

    def _over_all(self, name: str, value: Value) -> Expr:
        """Sums, means, products, extreme entries, norms and numbers of all entries."""
        term, axes = value.term, tuple(range(value.term.rank))
        extents = [extent(dim) for dim in term.shape]
        match name:
            case "length" | "numel":
                return _times(*extents)
            case "norm1":
                return contract([elementwise("abs", [term])], [axes], ())
            case "norm2":  # of a matrix the Frobenius norm
                if not axes:
                    return elementwise("abs", [term])
                return elementwise("sqrt", [contract([term, term], [axes, axes], ())])
            case "sum":
                return contract([term], [axes], ())
            case "mean":
                total = contract([term], [axes], ())
                for one in extents:
                    total = _times(power(one, Fraction(-1)), total)
                return total
        return whole(name, term, term.rank) if term.rank else term

    def of_square(self, name: str, value: Value, span: Span) -> Value:
        """A function of a square matrix; diag(x) is a matrix. A number is a matrix of one entry."""
        layout = value.layout
        if value.is_scalar and name not in ("cholesky", "tril"):
            return self.value(SCALAR, span, lambda: _of_number(name, value.term))
        if name == "diag" and value.kind != "matrix":
            (slot,) = layout.slots
            return self.value(
                Layout(slot, slot),
                span,
                lambda: contract([value.term, Delta(self.dim(slot))], [(0,), (0, 1)], (0, 1)),
            )
        self.square(name, value)
        if name in ("tr", "diag"):
            kept = () if name == "tr" else (0,)
            result = SCALAR if name == "tr" else Layout(layout.rows)
            return self.value(result, span, lambda: contract([value.term], [(0, 0)], kept))
        layout = SCALAR if name in ("det", "logdet") else layout
        return self.value(layout, span, lambda: whole(name, value.term))

    def solve(self, matrix: Value, right: Value, span: Span) -> Value:
        """The X with A*X = B."""
        if matrix.is_scalar:
            return self.product([(True, matrix), (False, right)], span)
        self.square("solve", matrix)
        own, turned = matrix.layout.rows, ""
        if not right.is_scalar and self.fit(own, right.layout.columns):
            turned = f"write solve({self.short(matrix.span)}, {self.transpose_text(right)})"
        hint = turned or "solve(A, b) is the x with A*x = b"
        self._check_fit("solve", matrix, right, own, right.layout.rows, hint)
        after = tuple(range(2, 1 + len(right.layout.slots)))

        def build() -> Expr:
            inverse = whole("inv", matrix.term)
            return contract([inverse, right.term], [(0, 1), (1, *after)], (0, *after))

        return self.value(right.layout, span, build)

    # ------------------------------------------------------------ sizes

    def constant(self, name: str, value: Value, span: Span) -> Value:
        """All entries c, as many as the context needs."""
        if not value.is_scalar:
            shown = self.short(value.span)
            what = f"{name} takes the scalar that all entries are, {shown} is a {value.kind}"
            self.mismatch(what, [value], f"write {shown} itself, or {name}(c) with a scalar c")
        axes = 1 if name == "vector" else 2
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

    def sized_constant(self, name: str, node: Call) -> Value:
        """eye(n), ones(n), ones(m,n), zeros likewise; ones(n,1) is a column as in MATLAB."""
        spans = [argument.span for argument in node.arguments]
        if len(spans) > 2:
            self.refuse("extents", spans[2:], name=name, count=len(spans))
        layout = Layout(*(self._size(name, argument) for argument in node.arguments))
        if name != "eye":
            number = literal(int(name == "ones"))
            return self.value(layout, node.span, lambda: broadcast(number, self.shape(layout)))
        if len(spans) == 1:
            layout = Layout(layout.rows, layout.rows)
        if not self.fit(*layout):
            self.refuse("not square", spans, shown=self.short(node.span))
        self.join(*layout, node.span)
        slot = layout.rows
        if slot is None:
            return self.number(1, node.span)
        return self.value(Layout(slot, slot), node.span, lambda: Delta(self.dim(slot)))

    def _size(self, name: str, node: Node) -> Slot | None:
        """The slot of an extent; None for 1, which is no axis."""
        size = without_group(node)
        if isinstance(size, Name):
            return ("extent", size.name, 0)
        number = size.value if isinstance(size, Number) else Fraction(0)
        if number.denominator != 1 or not 0 < number < 2**63:
            self.refuse("no extent", [node.span], name=name, shown=self.short(node.span))
        if number == 1:
            return None
        slot: Slot = ("size", str(number), size.span[0])
        self.dimensions.fix(
            slot, int(number), f"{number} is written", size.span, f"extent {number}"
        )
        return slot

    def size(self, node: Call) -> Visit:
        """size(A,1), size(A,2): the numbers of rows and columns."""
        value = self.plain((yield node.arguments[0]))
        axis = without_group(node.arguments[1]) if len(node.arguments) == 2 else None
        if not isinstance(axis, Number) or axis.value not in (1, 2):
            self.refuse("size", [node.span], a=self.short(node.arguments[0].span))
        slot = value.layout[int(axis.value) - 1]
        return self.value(SCALAR, node.span, lambda: self._extent(slot))

    def _extent(self, slot: Slot | None) -> Expr:
        return literal(1) if slot is None else extent(self.dim(slot))


# ---------------------------------------------------------------- terms


def _left(parts: Sequence[Part], layout: Layout) -> Value:
    """A product so far, for a message."""
    if len(parts) == 1:
        return parts[0][1]
    return Value(layout, (parts[0][1].span[0], parts[-1][1].span[1]), _no_term, is_tight=False)


def _no_term() -> Expr:
    raise AssertionError("a Kronecker product has no term of its own")


def _constant(node: Node) -> Fraction | None:
    """The number that an exponent is, if it is one."""
    sign = 1
    while isinstance(node, Group | syntax.Negative):
        if isinstance(node, syntax.Negative):
            sign, node = -sign, node.operand
        else:
            node = node.inner
    return sign * node.value if isinstance(node, Number) else None


def _contraction(
    parts: Sequence[Part],
    inputs: Sequence[Subscript],
    output: Subscript,
    opens: tuple[type[Node] | None, ...],
) -> Expr:
    """The product of the parts, one contraction; products entry by entry in it are opened.

    (a.*b)'*c is one sum of a b c; `opens` are the kinds of brackets for which this holds.
    """
    operands: list[tuple[Expr, Subscript]] = []
    for (divides, value), labels in zip(parts, inputs, strict=True):
        term = power(value.term, Fraction(-1)) if divides else value.term
        factor, inside = split_scale(term)
        if divides or not labels or value.brackets not in opens:
            operands.append((term, labels))
        elif isinstance(inside, Contraction) and not sums_a_label(inside):
            names = dict(zip(inside.output, labels, strict=True))
            operands.append((literal(factor), ()))
            for child, own in zip(inside.children, inside.inputs, strict=True):
                operands.append((child, tuple(names[label] for label in own)))
        else:
            operands.append((term, labels))
    return contract([term for term, _ in operands], [own for _, own in operands], output)


def _times(*scalars: Expr) -> Expr:
    return contract(scalars, [()] * len(scalars), ())


def _power_of(matrix: Expr, number: int) -> Expr:
    """The product of `number` copies of a square matrix, of its inverse for a negative number."""
    if number == 0:
        return Delta(matrix.shape[0])
    base = whole("inv", matrix) if number < 0 else matrix
    number = abs(number)
    if number <= _CHAIN:
        labels = [(k, k + 1) for k in range(number)]
        return contract([base] * number, labels, (0, number))
    result: Expr | None = None
    for digit in reversed(f"{number:b}"):
        if digit == "1":
            result = base if result is None else contract([result, base], [(0, 1), (1, 2)], (0, 2))
        base = contract([base, base], [(0, 1), (1, 2)], (0, 2))
    assert result is not None
    return result


def _of_number(name: str, term: Expr) -> Expr:
    """A function of a matrix of one entry."""
    if name == "inv":
        return power(term, Fraction(-1))
    return elementwise("log", [elementwise("abs", [term])]) if name == "logdet" else term
