"""Reads matrix notation: rows and columns become axes.

In: a text without indices, extents and assumptions given beside it.
Out: `parse_matrix`: its surface tree. `elaborate_matrix`: `Meaning`, the same as that of the text written
with indices.
Invariant: ranks are found first, then rows and columns, which join extents; then each term is made, after
those in it.
A declaration decides; without one an upper-case ASCII name is a matrix, any other a column. A product chain
is read from the left and is one contraction. An error offers a way out only if its rows and columns fit.
Long because one class has a method for each construct; tables of messages and of words from MATLAB, NumPy
and papers come first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fractions import Fraction
from functools import partial, reduce
from itertools import count
from typing import Any, NamedTuple, NoReturn

from ..errors import DimensionError, Span, axes_in_words
from ..terms import (
    Contraction,
    Delta,
    Dim,
    Expr,
    Label,
    Map,
    Shape,
    Subscript,
    Variable,
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
from . import complaints, syntax
from .context import Assumptions, Meaning, Shapes
from .parser import Built, Parser, TreeBuilder, node_of, over, span_of
from .ranks import Program, Slot
from .syntax import Node

REASONS = dict(
    complaints.rows(r"""
left side: the left side of = is not a name
    a definition names what stands on its right
    write r = X*w - y; equality is ==
transposed exponent: a transpose stands behind the exponent of $sign
    it could belong to the exponent or to the power
    write (A${sign}k)' or A$sign(k')
indices: indices stand at $name
    matrix notation has no indices
    read the text with notation="index"
no extents: $name stands without its extents
    it could be a column or a matrix
    write $name(n) or $name(m,n); sized by the context vector($number) or matrix($number)
no argument: $name is a function and stands without an argument
    brackets hold the argument of a function
    write $name(...), or give the tensor another name, as ${name}_
tensor: $name is a tensor, not a function
    $name is $how; entries and slices have no form in matrix notation
    write $name*($argument) for a product; entries are named with indices: notation="index"
count: $name takes $wanted, $given given
    $name is written $name($form)
    $way
sum over an axis: $name over one axis of a matrix
    axis 1 is the first one in MATLAB and the second one in NumPy; $name(A) takes all entries
    write $a*vector(1) for the sums of the rows, vector(1)'*$a of the columns
mean over an axis: $name over one axis of a matrix
    axis 1 is the first one in MATLAB and the second one in NumPy; $name(A) takes all entries
    write $a*vector(1)/size($a,2) for the means of the rows
over an axis: $name over one axis of a matrix
    axis 1 is the first one in MATLAB and the second one in NumPy; $name(A) takes all entries
    name the index: notation="index", $name[i](A[i,j])
norm1 of a matrix: norm1 of a matrix, $a
    that is the largest column sum in MATLAB, the sum of all entries elsewhere
    write sum(abs($a)) for the sum over all entries
norm of a matrix: norm of a matrix, $a
    that is the largest singular value in MATLAB, the root of the sum of squares in NumPy
    write norm2($a) for the root of the sum of squares
inner of a matrix: inner of a matrix, $a
    that is $a*B' in NumPy, the sum of the entries of $a.*B elsewhere
    write $a*B' or sum($a.*B)
length of a matrix: length of a matrix, $a
    that is the larger extent in MATLAB, the number of rows elsewhere
    write size($a,1), size($a,2) or numel($a)
of a matrix: $name of a matrix, $a
    its entries could be normalised along each row or along each column
    name the index: notation="index", $name[j](A[i,j]) along the rows
exponent: $name stands as an exponent
    $name would be a tensor here; a transpose is written with '
    write $a'
no extent: $shown is no extent
    $name takes names of extents, or whole numbers of 1 or more
    write $name(n); a column as long as its neighbours is vector(c), a matrix matrix(c)
extents: $name with $count extents
    matrix notation has columns and matrices
    read the text with notation="index" for more axes
not square: $shown is not square
    the identity has as many rows as columns
    write eye(n)
size: size takes a matrix and 1 for its rows or 2 for its columns
    matrix notation has rows and columns
    write size($a, 1)
size untold: nothing tells the size of $shown
    it is as large as what it is added to, multiplied with or compared to
    name its extents: $word
axes: $name has $count axes
    matrix notation has rows and columns
    name its indices: notation="index", $name(A)[$letters]
kron: $shown is a Kronecker product, whose rows and columns run over pairs
    it stands inside $functions, and in products and inverses of Kronecker products there
    write kron(A,B)*vec(X) as B*X*A', a matrix; or name four axes: notation="index", A[i,j]*B[k,l]
""")
)

# Besides those of all notations. Words for operators (dot, outer, ...) are read in `matrix.py`.
ALIASES = {
    **functions.ALIASES,
    "identity": "eye", "normfro": "norm2", "ctranspose": "transpose", "logabsdet": "logdet",
    "len": "length",
}  # fmt: skip

# name, the reason, and below it the way out; {0} is the argument
_FOREIGN_WORDS = """
einsum einsum strings have a notation of their own
    read "ij,j->i" with notation="einsum"
cross a cross product needs the Levi-Civita symbol
    write eps[i,j,k]*a[j]*b[k] with notation="index"
vec a matrix stacked into one column has no axes of its own here
    work with the matrix itself: vec({0})'*vec(B) is sum({0}.*B)
reshape rows and columns keep their places
    declare the tensor with the axes that it is used with
repmat repetition is a product with ones
    write x*ones(n)' for n equal columns
full a constant matrix is c*ones(m,n)
    write c*ones(m,n), or matrix(c)
rows the number of rows is size(A,1)
    write size({0}, 1)
columns the number of columns is size(A,2)
    write size({0}, 2)
cat matrices are not put together here
    write the parts as tensors of their own
logm the matrix logarithm is not among the functions
    log(A) is the logarithm of every entry
sqrtm the matrix square root is not among the functions
    cholesky(A) is a factor L with L*L' = A
chol it is upper triangular in MATLAB, lower in NumPy
    cholesky(A) is the lower factor L with L*L' = A
pinv the pseudo-inverse is not among the functions
    write inv(A'*A)*A' for a matrix of full column rank
eig eigenvalues are not among the functions
    tr and det are their sum and product
svd singular values are not among the functions
    norm2 is the root of the sum of their squares
rank a rank has no derivative
    drop it
slogdet it is called logdet
    write logdet({0})
argmax a position has no derivative
    max(x) is the largest entry
argmin a position has no derivative
    min(x) is the smallest entry
sort an order has no derivative
    max(x) and min(x) are the extreme entries
var a variance is written out
    write norm2(x - vector(mean(x)))^2/n
std a standard deviation is written out
    write norm2(x - vector(mean(x)))/sqrt(n)
cot a quotient says it
    write 1./tan({0})
sec a quotient says it
    write 1./cos({0})
csc a quotient says it
    write 1./sin({0})
gamma its logarithm is among the functions
    write exp(lgamma({0}))
factorial the gamma function extends it
    write exp(lgamma({0} + 1))
if a choice is a function
    write where(a < b, x, y)
ifelse a choice is a function
    write where(a < b, x, y)
"""
_FOREIGN = {
    name: (fact, hint) for name, fact, hint in re.findall(r"(\w+) (.+)\n +(.+)", _FOREIGN_WORDS)
}

_OWN = frozenset(
    "eye ones zeros vector matrix diag kron norm1 norm2 length numel size transpose".split()
)


def is_own(name: str) -> bool:
    """Does the name call a function?"""
    return name in _OWN or syntax.full_name(name) in syntax.NAMES


def unknown(name: str, arguments: Sequence[str]) -> tuple[str, str, str]:
    """What is wrong, what is so, and a way out, for a name that is not a function.

    >>> unknown("cot", ["x"])
    ('cot is no function of matrix notation', 'a quotient says it', 'write 1./tan(x)')
    """
    row = _FOREIGN.get(name) or _FOREIGN.get(name.lower())
    if row is not None:
        fact, hint = row
        a = arguments[0]
        shown = a if re.fullmatch(r"\w+'*|\w+\([^()]*\)", a) else f"({a})"
        return f"{name} is no function of matrix notation", fact, hint.format(shown)
    if len(name) == 1 or name[0].isupper():
        return (
            f"{name} is no function",
            "brackets behind a name hold arguments; entries and slices have no form in matrix notation",
            (f"write {name}*({arguments[0]}) for a product; " if len(arguments) == 1 else "")
            + 'entries are named with indices: notation="index"',
        )
    known = sorted({*_OWN, *syntax.KNOWN})
    near = get_close_matches(name[:40], [*known, *functions.ALIASES], n=3, cutoff=0.6)
    if near:
        return f"unknown function {name}", "", f"did you mean {' or '.join(near)}?"
    return (
        f"unknown function {name}",
        f"known are {', '.join(known)}",
        f"a product is written with *: {name}*({arguments[0]})",
    )


SIZED = ("eye", "ones", "zeros")  # their arguments are extents
BARE = "eye"  # may come without brackets too


class Layout(NamedTuple):
    """The slots of rows and columns; None is one row or column without an axis: a scalar has no slots."""

    rows: Slot | None = None
    columns: Slot | None = None

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots of the axes, in order."""
        return tuple(slot for slot in self if slot is not None)

    @property
    def kind(self) -> str:
        """One of scalar, column, row, matrix.

        >>> Layout(("axis", "x", 0)).kind
        'column'
        """
        if self.rows is None:
            return "scalar" if self.columns is None else "row"
        return "column" if self.columns is None else "matrix"

    @property
    def transpose(self) -> Layout:
        """Rows and columns exchanged."""
        return Layout(self.columns, self.rows)


SCALAR = Layout()


@dataclass(slots=True, eq=False)
class Value:
    """A part of a text: its rows and columns, and how its term is built once the extents are known.

    `name` is that of a tensor alone; `is_tight` says that it needs no brackets as an operand;
    `brackets` is the kind of node in brackets that are the whole part.
    `refusal` raises the error of a scalar added to columns or matrices; an elementwise function allows it.
    `factors` are those of a Kronecker product, which has no term of its own.
    """

    layout: Layout
    span: Span
    build: Callable[[], Expr]
    refusal: Callable[[], NoReturn] | None = None
    name: str | None = None
    is_tight: bool = True
    factors: tuple[Value, ...] = ()
    brackets: type[Node] | None = None
    made: Expr | None = None

    @property
    def term(self) -> Expr:
        """The term, once it is built."""
        assert self.made is not None
        return self.made

    @property
    def kind(self) -> str:
        """One of scalar, column, row, matrix."""
        return self.layout.kind

    @property
    def is_scalar(self) -> bool:
        """Has it no axes?"""
        return not self.factors and self.layout == SCALAR


def without_group(node: Node) -> Node:
    """A node without the brackets around it."""
    return node.inner if isinstance(node, syntax.Group) else node


def in_number(size: str, what: str) -> str:
    """`1 row`, `n rows`."""
    return f"{size} {what}" if size == "1" else f"{size} {what}s"


_KINDS = {"scalar": "a number", "column": "a column", "row": "a row", "matrix": "a matrix"}
_CORRECT = "correct one of them, or declare the extents that are the same with one name"


class _MatrixTree(TreeBuilder):
    """The rules that only matrix notation has: the transpose, and what works entry by entry."""

    primary = atom = TreeBuilder.expression

    def transpose(self, c: list[Any]) -> syntax.Transpose:
        operand = node_of(c[0])
        return syntax.Transpose(operand, over(operand.span, span_of(c[1])))

    def pointwise(self, c: list[Any]) -> syntax.Pointwise:
        left, right = node_of(c[0]), node_of(c[2])
        sign = ".*" if c[1] in ("⊙", "∘") else str(c[1])
        return syntax.Pointwise(sign, left, right, over(left.span, right.span))

    def pointwise_power(self, c: list[Any]) -> syntax.Pointwise:
        _check_exponent(".^", node_of(c[2]))
        return self.pointwise(c)

    def raised(self, c: list[Any]) -> Built:
        _check_exponent("^", node_of(c[2]))
        return super().raised(c)

    def definition(self, c: list[Any]) -> syntax.Definition:
        left = node_of(c[0])
        if not isinstance(left, syntax.Name):
            raise complaints.refusal(REASONS["left side"], None, [left.span])
        return super().definition(c)

    def name(self, c: list[Any]) -> syntax.Name:
        complaints.check_name(str(c[0]), span_of(c[0]))
        return super().name(c)


def _check_exponent(sign: str, exponent: Node) -> None:
    """A^2' is (A^2)' in MATLAB, where the transpose and the power bind alike; here it would be A^(2')."""
    if isinstance(exponent, syntax.Transpose):
        span = (exponent.operand.span[1], exponent.span[1])
        raise complaints.refusal(REASONS["transposed exponent"], None, [span], sign=sign)


_PARSER = Parser("matrix", _MatrixTree)


def parse_matrix(source: str) -> syntax.Text:
    """The surface tree of a text in matrix notation.

    Raises NotationError with the place of the first mistake.

    >>> parse_matrix("y = A*x").statements[0].name
    'y'
    """
    return _PARSER.text(source, "x'*Q*x", "r = X*w - y")


def elaborate_matrix(
    text: syntax.Text, shapes: Shapes | None = None, assume: Assumptions | None = None
) -> Meaning:
    """The meaning of `text`; `shapes` and `assume` declare more tensors and assumptions.

    Raises NotationError or DimensionError with the place.
    """
    reader = MatrixProgram(text, shapes or {}, assume or {})
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
    **dict.fromkeys((*functions.MATRIX_FUNCTIONS, *functions.REDUCTIONS), "A"),
    **dict.fromkeys(functions.NORMALISATIONS, "x"),
    "triu": "A", "solve": "A, b", "diag": "x", "kron": "A, B", "transpose": "A", "norm1": "x",
    "norm2": "A", "vector": "c", "matrix": "c", "length": "x", "numel": "A",
}  # fmt: skip
_ON_FACTORS = ("inv", "tr", "sum", "mean", "norm1", "norm2", "diag", "transpose")
_WORDS = {  # words for operators
    "dot": "*", "inner": "*", "outer": "*", "matmul": "*", "mtimes": "*",
    "multiply": ".*", "times": ".*", "hadamard": ".*", "power": ".^", "square": ".^",
}  # fmt: skip
_LOOSE = (
    syntax.Negative, syntax.Product, syntax.Sum, syntax.Pointwise, syntax.Comparison, syntax.Power,
)  # need brackets as operands  # fmt: skip
_CHAIN = 8  # A^8 is one contraction of eight; higher powers are made by squaring


class MatrixProgram(Program):
    """The values of all constructs, and the errors that show them.

    `visit` and what it yields from are generators, run by `trampoline`.
    """

    def __init__(self, text: syntax.Text, shapes: Shapes, assume: Assumptions) -> None:
        super().__init__(text, shapes, assume)
        self.defined: dict[str, Value] = {}
        self.values: list[Value] = []  # in the order in which their terms are built
        self.sized_by_context: list[tuple[Slot, Value]] = []

    def _read_annotations(self) -> None:
        """Names of extents: `n` in ones(n)."""
        for _, node in self._walk():
            if isinstance(node, syntax.Call) and ALIASES.get(node.function, node.function) in SIZED:
                for size in map(without_group, node.arguments):
                    if isinstance(size, syntax.Name):
                        fact = f"{size.name} is an extent (in {self.text(node.span)})"
                        self._name_extent(size.name, size.span, fact)
                        slot: Slot = ("extent", size.name, 0)
                        self.dimensions.fix(slot, size.name, fact, size.span, f"extent {size.name}")

    def _read_whole_uses(self) -> None:
        """Undeclared names are matrices or columns, by their first letter."""
        for _, node in self._walk():
            if isinstance(node, syntax.Name) and not (
                node.name in self.ranks or node.name in self.extents or node.name in ("pi", BARE)
            ):
                self._guess(node)

    def _guess(self, node: syntax.Name) -> None:
        if node.name in ("ones", "zeros"):
            number = int(node.name == "ones")
            self.refuse("no extents", [node.span], name=node.name, number=number)
        if is_own(node.name):
            self.refuse("no argument", [node.span], name=node.name)
        self._refuse_reserved(node.name, node.span, True)
        is_matrix = "A" <= node.name[0] <= "Z"
        how = "undeclared: upper-case" if is_matrix else "undeclared"
        self._set_rank(node.name, 2 if is_matrix else 1, node.span, how)

    def is_guessed(self, name: str) -> bool:
        """Does only its letter tell that the name is a column or a matrix?"""
        return name in self._shown and self._shown[name].startswith("undeclared")

    def _join(self, text: syntax.Text) -> None:
        """Extents are joined statement by statement, by what the operators say."""

    def _make_variables(self) -> dict[str, Variable]:
        return {}  # by `settle`, once the statements have joined their extents

    def settle(self) -> None:
        """Give every extent its name, and make the variables."""
        self.variables = super()._make_variables()

    def letters(self) -> dict[Dim, tuple[str, ...]]:
        """A letter for the index that runs over each extent, for printers."""
        dims = dict.fromkeys(dim for x in self.variables.values() for dim in x.shape)
        taken = {*self.ranks, *self.extents, *map(str, dims)}
        free = (letter for letter in "ijklmpqrstuvwabcdefgh" if letter not in taken)
        return {dim: (letter,) for dim, letter in zip(dims, free, strict=False)}

    def value(
        self,
        layout: Layout,
        span: Span,
        build: Callable[[], Expr],
        refusal: Callable[[], NoReturn] | None = None,
        name: str | None = None,
    ) -> Value:
        """Note a value, whose term is built by `build` once the extents are known."""
        made = Value(layout, span, build, refusal, name)
        self.values.append(made)
        return made

    def dim(self, slot: Slot) -> Dim:
        """The extent of a slot, once they are settled."""
        return self.dimensions.extent(slot)

    def shape(self, layout: Layout) -> Shape:
        """The extents of a layout, once they are settled."""
        return tuple(map(self.dim, layout.slots))

    def plain(self, value: Value) -> Value:
        """The value, if it has rows and columns of its own and no scalar waits in it."""
        if value.factors:
            self.refuse_kron(value)
        if value.refusal is not None:
            value.refusal()
        return value

    def fit(self, first: Slot | None, second: Slot | None) -> bool:
        """Can two extents be the same?"""
        if first is None or second is None:
            return first is second
        dimensions = self.dimensions
        if dimensions.find(first) == dimensions.find(second):
            return True
        known = {entry.dim for slot in (first, second) for entry in dimensions.facts(slot)}
        return all(sum(isinstance(dim, kind) for dim in known) < 2 for kind in (int, str))

    def fits(self, first: Layout, second: Layout) -> bool:
        """Can two layouts be the same?"""
        return all(map(self.fit, first, second))

    def join(self, first: Slot | None, second: Slot | None, span: Span) -> None:
        """Two extents that fit are one."""
        if first is not None and second is not None:
            self.dimensions.join(first, second, span, "the product")

    def square(self, name: str, value: Value) -> None:
        """The argument of a function of square matrices has as many rows as columns."""
        self.plain(value)
        shown = self.short(value.span)
        if value.kind != "matrix":
            hint = f"diag({shown}) is the matrix with {shown} on its diagonal"
            if value.name and self.is_guessed(value.name):
                hint = f"if {value.name} is a matrix, declare it: {value.name} : (n, n); {hint}"
            self.mismatch(f"{name} takes a matrix, {shown} is a {value.kind}", [value], hint)
        if not self.fit(*value.layout):
            rows, columns = self.sizes(*value.layout)
            a = self.operand(value)
            ways = {
                "solve": f"the x with the least squares of {a}*x - b is solve({a}'*{a}, {a}'*b)",
                "diag": f"diag({a}'*{a}) and diag({a}*{a}') are sums of squares",
            }
            both = f"write {name}({a}'*{a}) or {name}({a}*{a}') if one of these is meant"
            self.mismatch(
                f"{name} takes a square matrix, {shown} has {rows} rows and {columns} columns",
                [value],
                ways.get(name, both)
                if value.is_tight
                else "a square matrix has one extent for its rows and columns",
            )
        self.join(*value.layout, value.span)

    def short(self, span: Span) -> str:
        """What the source says at `span`, shortened."""
        shown = self.text(span)
        return shown if len(shown) <= 60 else f"{shown[:30]}...{shown[-25:]}"

    def operand(self, value: Value) -> str:
        """The text of a value, in brackets if an operator beside it needs them."""
        shown = self.short(value.span)
        return shown if value.is_tight else f"({shown})"

    def transpose_text(self, value: Value) -> str:
        """The text of a value's transpose."""
        shown = self.short(value.span)
        return shown[:-1] if value.is_tight and shown.endswith("'") else f"{self.operand(value)}'"

    def sizes(self, *slots: Slot | None) -> list[str]:
        """The extents of slots in words; those that nothing tells get letters of their own."""
        free = (c for c in "nmpqrst" if c not in self.extents)
        chosen: dict[Slot, str] = {}
        words = []
        for slot in slots:
            if slot is None:
                words.append("1")
                continue
            dims = [entry.dim for entry in self.dimensions.facts(slot)]
            named = [dim for dim in dims if isinstance(dim, str)] or dims
            root = self.dimensions.find(slot)
            if not named and root not in chosen:
                chosen[root] = next(free, "n")
            words.append(str(named[0]) if named else chosen[root])
        return words

    def _what_each_is(self, values: Sequence[Value]) -> list[str]:
        """What each value is, and why: `w is a column of n rows (declared)`."""
        every = iter(self.sizes(*(slot for value in values for slot in value.layout)))
        facts: dict[str, None] = {}
        for value in values:
            rows, columns = in_number(next(every), "row"), in_number(next(every), "column")
            what = {
                "scalar": "a scalar",
                "column": f"a column of {rows}",
                "row": f"a row of {columns}",
                "matrix": f"a matrix of {rows} and {columns}",
            }[value.kind]
            how = f" ({self.rank_origin(value.name)[1]})" if value.name else ""
            facts[f"{self.short(value.span)} is {what}{how}"] = None
        return list(facts)

    def refuse(self, reason: str, spans: Sequence[Span], **words: object) -> NoReturn:
        """Refuse the text for a reason of `REASONS`, with the place."""
        raise complaints.refusal(REASONS[reason], self.source, spans, **words)

    def mismatch(
        self, message: str, values: Sequence[Value], hint: str, span: Span | None = None
    ) -> NoReturn:
        """Refuse the rows and columns of values, with what each of them is."""
        for value in values:
            guessed = value.name and value.kind == "column" and self.is_guessed(value.name)
            if guessed and "declare it" not in hint:
                hint += f"; if {value.name} is a scalar, declare it: {value.name} : ()"
        spans = [span] if span else sorted({value.span for value in values})
        self.fail(message, spans, self._what_each_is(values), hint, DimensionError)

    def refuse_kron(self, value: Value) -> NoReturn:
        """A Kronecker product is at a place that needs its rows and columns one by one."""
        functions = "tr, det, logdet, sum, mean, norm2"
        self.refuse("kron", [value.span], shown=self.short(value.span), functions=functions)

    def refuse_product(self, left: Value, right: Value) -> NoReturn:
        """A product whose inner extents differ: `X*w: X has d columns, w has n rows`."""
        _, columns, rows, _ = self.sizes(*left.layout, *right.layout)
        a, b = self.operand(left), self.operand(right)
        message = (
            f"{a}*{b}: {a} has {in_number(columns, 'column')}, {b} has {in_number(rows, 'row')}"
        )
        self.mismatch(message, [left, right], self.products_that_fit(left, right))

    def products_that_fit(self, left: Value, right: Value) -> str:
        """The products of two values that can be meant."""
        a, b, at, bt = (
            self.operand(left),
            self.operand(right),
            self.transpose_text(left),
            self.transpose_text(right),
        )
        one, two = left.layout, right.layout
        wanted = [
            (f"{at}*{b}", one.transpose, two),
            (f"{a}*{bt}", one, two.transpose),
            (f"{b}*{a}", two, one),
        ]
        found = [
            f"{text} for {_KINDS[Layout(x.rows, y.columns).kind]}"
            for text, x, y in wanted
            if self.fit(x.columns, y.rows)
        ]
        if self.fits(one, two):
            found.insert(1, f"{a}.*{b} entry by entry")
        return f"write {', '.join(found)}" if found else _CORRECT

    def refuse_divisor(self, left: Value | None, right: Value) -> NoReturn:
        """One divides by scalars only."""
        a, b = self.operand(left) if left else "1", self.operand(right)
        is_number = left is None or left.is_scalar
        one = left.layout if left else Layout()
        ways = []
        if is_number or self.fits(one, right.layout):
            ways.append(f"{a}./{b} divides entry by entry")
        if right.kind == "matrix" and self.fit(*right.layout):
            if is_number or self.fit(one.columns, right.layout.rows):
                ways.append(f"{a}*inv({self.short(right.span)}) multiplies by the inverse")
        self.mismatch(
            f"{a}/{b}: {b} is a {right.kind}, and one divides by scalars",
            [left, right] if left else [right],
            "; ".join(ways) or f"{b} has no inverse and other rows and columns than {a}",
        )

    def refuse_sum(
        self, node: syntax.Sum, values: Sequence[Value], first: Value, second: Value
    ) -> NoReturn:
        """Terms of different rows or columns."""
        sign = "-" if node.terms[values.index(second)][0] else "+"
        a, b = self.short(first.span), self.short(second.span)
        hint = _CORRECT
        if self.fits(first.layout, second.layout.transpose):
            hint = f"write {a} {sign} {self.transpose_text(second)}"
        elif "matrix" in (first.kind, second.kind) and first.kind != second.kind:
            small = first if second.kind == "matrix" else second
            word = self._repetition(small)
            one, other = (word, b) if small is first else (a, word)
            to = "columns" if small.kind == "column" else "rows"
            hint = f"write {one} {sign} {other} for a sum with each of the {to}"
        self.mismatch(f"{a} {sign} {b}: {self._difference(first, second)}", [first, second], hint)

    def _difference(self, first: Value, second: Value) -> str:
        a, b = self.short(first.span), self.short(second.span)
        if first.kind != second.kind:
            return f"{a} is a {first.kind}, {b} is a {second.kind}"
        axis = 1 if self.fit(first.layout.rows, second.layout.rows) else 0
        one, other = self.sizes(*first.layout, *second.layout)[axis::2]
        what = ("row", "column")[axis]
        return f"{a} has {in_number(one, what)}, {b} has {in_number(other, what)}"

    def _repetition(self, small: Value) -> str:
        shown = self.operand(small)
        return f"{shown}*vector(1)'" if small.kind == "column" else f"vector(1)*{shown}"

    def refusal_of_scalar(
        self, node: syntax.Sum, values: Sequence[Value], full: Value, scalar: Value
    ) -> Callable[[], NoReturn]:
        """A scalar beside columns or matrices: which entries it is added to must be written."""

        def refuse() -> NoReturn:
            places = values.index(full), values.index(scalar)
            sign = " - " if node.terms[max(places)][0] else " + "
            c, shown = self.short(scalar.span), self.short(full.span)

            def beside(word: str) -> str:
                return sign.join((shown, word) if places[0] < places[1] else (word, shown))

            word = {"matrix": f"matrix({c})", "column": f"vector({c})", "row": f"vector({c})'"}
            ways = [f"{beside(word[full.kind])} adds to every entry"]
            if full.kind == "matrix" and self.fit(*full.layout):
                eye = "eye" if c == "1" else f"{self.operand(scalar)}*eye"
                ways.append(f"{beside(eye)} to the diagonal")
            message = f"{beside(c)}: {shown} is a {full.kind}, {c} is a scalar"
            self.mismatch(message, [full, scalar], ", ".join(ways))

        return refuse

    def refuse_pointwise(self, shown: str, left: Value, right: Value) -> NoReturn:
        """An operator or a function that works entry by entry, on other rows and columns."""
        a, b = self.operand(left), self.operand(right)
        is_operator = not shown[0].isalpha()
        if is_operator and not shown.startswith("."):
            shown = f" {shown} "
        sides = f"{a}{shown}{b}" if is_operator else f"{shown} of {a} and {b}"
        hint = _CORRECT
        column, row = (a, b) if left.kind == "column" else (b, a)
        are_both = {left.kind, right.kind} == {"column", "row"} and shown == ".*"
        if self.fits(left.layout, right.layout.transpose):
            other = self.transpose_text(right)
            hint = f"write {a}{shown}{other}" if is_operator else f"write {other} for {b}"
            hint += f", or {column}*{row} for a matrix" if are_both else ""
        elif are_both:
            hint = f"write {column}*{row} for a matrix"
        elif "matrix" in (left.kind, right.kind) and left.kind != right.kind:
            matrix, small = (left, right) if left.kind == "matrix" else (right, left)
            m, s = self.operand(matrix), self.short(small.span)
            if shown != ".*":
                hint = f"write {self._repetition(small)} for {s} to repeat it"
            elif small.kind == "column":
                hint = f"write diag({s})*{m} to scale the rows"
            else:
                hint = f"write {m}*diag({self.transpose_text(small)}) to scale the columns"
        self.mismatch(f"{sides}: {self._difference(left, right)}", [left, right], hint)

    def refuse_exponent(self, node: syntax.Power, base: Value, exponent: Value) -> NoReturn:
        """An exponent with rows or columns."""
        a, b = self.operand(base), self.operand(exponent)
        self.plain(exponent)
        inside = without_group(node.exponent)
        if (
            isinstance(inside, syntax.Name)
            and inside.name in ("T", "t", "top")
            and not base.is_scalar
        ):
            self.refuse("exponent", [node.exponent.span], name=inside.name, a=a)
        hint = f"write {a}.^{b} for powers entry by entry"
        if not base.is_scalar and not self.fits(base.layout, exponent.layout):
            hint = "an exponent is a number; the exponential of every entry is exp(...)"
        self.mismatch(f"{a}^{b}: the exponent {b} is a {exponent.kind}", [base, exponent], hint)

    def refuse_power(self, base: Value, exponent: str, span: Span) -> NoReturn:
        """A power of a column or of a matrix that is not square, or one that is not a whole number."""
        a, at = self.operand(base), self.transpose_text(base)
        if "^" in exponent and not exponent.endswith(")"):
            exponent = f"({exponent})"
        hint = f"write {a}.^{exponent} for powers entry by entry"
        if base.kind != "matrix":
            what = f"{a} is a {base.kind}, and powers are taken of scalars and square matrices"
            product = f"{at}*{a}" if base.kind == "column" else f"{a}*{at}"
            hint += f", {product} for the sum of squares" if exponent == "2" else ""
        elif not self.fit(*base.layout):
            rows, columns = self.sizes(*base.layout)
            what = f"{a} has {rows} rows and {columns} columns, and is not square"
            hint += f", {at}*{a} or {a}*{at} for a product" if exponent == "2" else ""
        else:
            what = "a matrix has whole powers only"
            hint += f"; cholesky({self.short(base.span)}) is a factor L with L*L' = {a}"
        self.mismatch(f"{a}^{exponent}: {what}", [base], hint, span)

    def refuse_matrix(self, name: str, value: Value) -> None:
        """A matrix as the argument of a function that has one meaning for columns only."""
        if value.kind == "matrix":
            reason = f"{name} of a matrix"
            reason = reason if reason in REASONS else "of a matrix"
            self.refuse(reason, [value.span], name=name, a=self.short(value.span))

    def check_count(self, node: syntax.Call, name: str, form: str) -> None:
        """A function has the arguments that its form names."""
        count, given = form.count(",") + 1, len(node.arguments)
        if given != count:
            wanted = f"{count} argument{'s' * (count > 1)}"
            way = "drop the others" if given > count else "write the missing one"
            words = {"wanted": wanted, "given": given, "form": form, "way": way}
            self.refuse("count", [node.span], name=name, **words)

    def refuse_axis(self, node: syntax.Call, name: str) -> None:
        """`sum(A, 1)`: over which axis depends on whom one asks."""
        if len(node.arguments) == 2 and isinstance(node.arguments[1], syntax.Number):
            matrix, axis = (argument.span for argument in node.arguments)
            reason = f"{name} over an axis" if name in ("sum", "mean") else "over an axis"
            self.refuse(reason, [axis], name=name, a=self.short(matrix))

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
                rank = 2 if value.factors else len(value.layout.slots)
                self._refuse_reserved(statement.name, statement.name_span, rank > 0)
                self.ranks[statement.name] = rank
        return self.plain(value), statement.name  # the parser refuses a text without an expression

    def check_sizes(self) -> None:
        """A tensor, a declaration or a number tells every size that the context should tell."""
        slots: list[Slot] = [("extent", name, 0) for name in self.extents]
        slots += [
            ("axis", name, axis) for name, x in self.variables.items() for axis in range(x.rank)
        ]
        anchors = set(map(self.dimensions.find, slots))
        for slot, value in self.sized_by_context:
            if self.dimensions.find(slot) not in anchors and not self.dimensions.facts(slot):
                shown = self.short(value.span)
                sizes = {"matrix": "m,n", "column": "n"}[value.kind]
                word = "eye(n)" if shown == BARE else f"c*ones({sizes})"
                self.refuse("size untold", [value.span], shown=shown, word=word)

    def visit(self, node: Node) -> Visit:
        """The value of a node."""
        span = node.span
        match node:
            case syntax.Number():
                value = self.number(node.value, span)
            case syntax.Name():
                value = self.tensor(node)
            case syntax.Group():
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
            case syntax.Product():
                parts = []
                for divides, factor in node.factors:
                    parts.append((divides, (yield factor)))
                value = self.product(parts, span)
            case syntax.Sum():
                values = []
                for _, term in node.terms:
                    part = yield term
                    values.append(self.plain(part) if part.factors else part)
                value = self.sum(node, values)
            case syntax.Pointwise():
                value = yield from self.pointwise(node)
            case syntax.Comparison():
                sides = [(yield node.left), (yield node.right)]
                value = self.entrywise(
                    functions.COMPARISONS[node.operator], sides, span, node.operator
                )
            case syntax.Power():
                base, exponent = (yield node.base), (yield node.exponent)
                value = self.power(node, base, exponent)
            case syntax.Call():
                value = yield from self.call(node)
            case syntax.Access():
                self.refuse("indices", [span], name=node.name)
        value.is_tight = not isinstance(node, _LOOSE)
        return value

    def number(self, value: Fraction | int, span: Span) -> Value:
        return self.value(SCALAR, span, lambda: literal(value))

    def tensor(self, node: syntax.Name) -> Value:
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
            places, how = self.rank_origin(name)
            self.fail(
                f"{name} has {axes_in_words(rank)}",
                [*places, node.span],
                [f"{axes_in_words(rank)} ({how}); matrix notation has rows and columns"],
                'name its indices: notation="index"',
                DimensionError,
            )
        return self.value(
            Layout(*self._axes(name)), node.span, lambda: self.variables[name], None, name
        )

    def transpose(self, value: Value, span: Span) -> Value:
        """Rows and columns exchanged."""
        if value.factors:
            return self.kron([self.transpose(f, f.span) for f in value.factors], span)
        is_matrix = value.kind == "matrix"

        def build() -> Expr:
            return transpose(value.term, (1, 0)) if is_matrix else value.term

        return self.value(value.layout.transpose, span, build, value.refusal)

    def product(self, parts: Sequence[Part], span: Span) -> Value:
        """The matrix product, read from the left; scalars may be anywhere in it."""
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
                left = _product_so_far(parts[:place], layout) if place else None
                self.refuse_divisor(left, value)
            if value.is_scalar:
                inputs.append(())
                continue
            own = value.layout
            if layout == SCALAR:
                ends[0] = next(fresh) if own.rows else None
                own_rows, layout = ends[0], own
            elif not self.fit(layout.columns, own.rows):
                self.refuse_product(_product_so_far(parts[:place], layout), value)
            else:
                self.join(layout.columns, own.rows, value.span)
                own_rows, layout = ends[1], Layout(layout.rows, own.columns)
            ends[1] = next(fresh) if own.columns else None
            inputs.append(tuple(e for e in (own_rows, ends[1]) if e is not None))
        output = tuple(end for end in ends if end is not None)
        refusal = full[0].refusal if len(full) == 1 else None

        build = partial(_contraction, parts, inputs, output, opens=(None, syntax.Pointwise))
        return self.value(layout, span, build, refusal)

    def sum(self, node: syntax.Sum, values: Sequence[Value]) -> Value:
        layout, refusal = self.common(values, partial(self.refuse_sum, node, values))
        full = next((value for value in values if not value.is_scalar), None)
        scalar = next((value for value in values if value.is_scalar), None)
        if full and scalar and refusal is None:
            refusal = self.refusal_of_scalar(node, values, full, scalar)
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

    def pointwise(self, node: syntax.Pointwise) -> Visit:
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
        while isinstance(inner, syntax.Pointwise) and inner.operator != ".^":
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

    def entrywise(self, name: str, values: Sequence[Value], span: Span, shown: str) -> Value:
        """An elementwise function: its arguments have one layout, or are scalars."""
        for value in values:
            if value.factors:
                self.refuse_kron(value)
        layout, refusal = self.common(values, partial(self.refuse_pointwise, shown))

        def build() -> Expr:
            return elementwise(name, [value.term for value in values])

        return self.value(layout, span, build, refusal if shown == ".^" else None)

    def power(self, node: syntax.Power, base: Value, exponent: Value) -> Value:
        if base.factors:
            number = self._whole_number(base, node.exponent)
            powers = [self.matrix_power(f, number, f.span) for f in base.factors]
            return self.kron(powers, node.span)
        self.plain(base)
        if not exponent.is_scalar:
            self.refuse_exponent(node, base, exponent)
        if base.is_scalar:
            raised = partial(elementwise, "pow")
            return self.value(SCALAR, node.span, lambda: raised([base.term, exponent.term]))
        constant = _constant(node.exponent)
        if base.kind != "matrix" or constant is None or constant.denominator != 1:
            self.refuse_power(base, self.short(node.exponent.span), node.span)
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
            self.refuse_power(base, str(number), span)
        self.join(*base.layout, base.span)
        return self.value(base.layout, span, lambda: _power_of(base.term, number))

    # Kronecker products are
    # kept as their factors, since no index runs over pairs; a factor is not a Kronecker product itself.
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

    def call(self, node: syntax.Call) -> Visit:
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
        if is_elementwise and not (name in functions.REDUCTIONS and len(values) == 1):
            return self.elementwise(name, node, values)
        if name in functions.REDUCTIONS:
            self.refuse_axis(node, name)
        self.check_count(node, name, _FORMS[name])
        return self.function(name, values, node.span)

    def refuse_function(self, node: syntax.Call) -> NoReturn:
        """A name that is called and is not a function here."""
        name = node.function
        arguments = [self.short(argument.span) for argument in node.arguments]
        if name in self.ranks:
            spans, how = self.rank_origin(name)
            spans = [*spans, node.name_span]
            self.refuse("tensor", spans, name=name, how=how, argument=arguments[0])
        message, fact, hint = unknown(name, arguments)
        self.fail(message, [node.name_span], facts=[fact] if fact else [], hint=hint)

    def word(self, name: str, node: syntax.Call) -> Visit:
        """dot, outer, hadamard and other words for operators."""
        self.check_count(node, name, "x" if name == "square" else "A, B")
        first, second = (*node.arguments, syntax.Number(Fraction(2), node.span))[:2]
        if _WORDS[name] != "*":
            return (yield syntax.Pointwise(_WORDS[name], first, second, node.span))
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
            self.refuse_matrix(name, a)
            self.refuse_matrix(name, b)
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
                hint or self.products_that_fit(a, b),
            )
        self.join(own, other, b.span)

    def norm(self, node: syntax.Call) -> Visit:
        """norm(x), norm(x, 1), norm(x, 2) of a column."""
        order = node.arguments[1] if len(node.arguments) == 2 else None
        number = order.value if isinstance(order, syntax.Number) else None
        if number not in (1, 2):
            self.check_count(node, "norm", "x")
        value = yield node.arguments[0]
        self.refuse_matrix("norm", value)
        return self.function("norm1" if number == 1 else "norm2", [value], node.span)

    def elementwise(self, name: str, node: syntax.Call, values: list[Value]) -> Value:
        """A function of each entry; scalars are repeated, more than two of max and min chained."""
        arguments = functions.ELEMENTWISE[name].arguments
        wanted = len(arguments)
        if not (name in functions.REDUCTIONS and len(values) > 2):
            self.check_count(node, name, ", ".join(arguments))
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
            case "vector" | "matrix":
                return self.constant(name, value, span)
        if name == "diag" or name in functions.MATRIX_FUNCTIONS:
            return self.of_square(name, value, span)
        if name in functions.NORMALISATIONS:
            if value.is_scalar:
                what = f"{name} takes a column, {self.short(value.span)} is a scalar"
                self.mismatch(what, [value], "declare it")
            self.refuse_matrix(name, value)
            return self.value(value.layout, span, lambda: whole(name, value.term))
        if name in ("norm1", "length"):
            self.refuse_matrix(name, value)
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
        if value.is_scalar and name in _OF_NUMBER:
            return self.value(SCALAR, span, lambda: _OF_NUMBER[name](value.term))
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
        count = syntax.result_rank(name)
        if count > 2:
            self.refuse("axes", [span], name=name, count=count, letters=",".join("pqrstu"[:count]))
        layout = layout if count else SCALAR
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

    def eye(self, node: syntax.Name) -> Value:
        """The identity matrix, as large as the context needs."""
        slot: Slot = (BARE, "", len(self.values))
        made = self.value(Layout(slot, slot), node.span, lambda: Delta(self.dim(slot)))
        self.sized_by_context.append((slot, made))
        return made

    def sized_constant(self, name: str, node: syntax.Call) -> Value:
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
        """The slot of an extent; None for 1, which is not an axis."""
        size = without_group(node)
        if isinstance(size, syntax.Name):
            return ("extent", size.name, 0)
        number = size.value if isinstance(size, syntax.Number) else Fraction(0)
        if number.denominator != 1 or not 0 < number < 2**63:
            self.refuse("no extent", [node.span], name=name, shown=self.short(node.span))
        if number == 1:
            return None
        slot: Slot = ("size", str(number), size.span[0])
        self.dimensions.fix(
            slot, int(number), f"{number} is written", size.span, f"extent {number}"
        )
        return slot

    def size(self, node: syntax.Call) -> Visit:
        """size(A,1), size(A,2): the numbers of rows and columns."""
        value = self.plain((yield node.arguments[0]))
        axis = without_group(node.arguments[1]) if len(node.arguments) == 2 else None
        if not isinstance(axis, syntax.Number) or axis.value not in (1, 2):
            self.refuse("size", [node.span], a=self.short(node.arguments[0].span))
        slot = value.layout[int(axis.value) - 1]
        return self.value(SCALAR, node.span, lambda: self._extent(slot))

    def _extent(self, slot: Slot | None) -> Expr:
        return literal(1) if slot is None else extent(self.dim(slot))


def _product_so_far(parts: Sequence[Part], layout: Layout) -> Value:
    """A product so far, for a message."""
    if len(parts) == 1:
        return parts[0][1]
    return Value(layout, (parts[0][1].span[0], parts[-1][1].span[1]), _no_term, is_tight=False)


def _no_term() -> Expr:
    raise AssertionError("a Kronecker product has no term of its own")


def _constant(node: Node) -> Fraction | None:
    """The number that an exponent is, if it is one."""
    sign = 1
    while isinstance(node, syntax.Group | syntax.Negative):
        if isinstance(node, syntax.Negative):
            sign, node = -sign, node.operand
        else:
            node = node.inner
    return sign * node.value if isinstance(node, syntax.Number) else None


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


_OF_NUMBER: dict[str, Callable[[Expr], Expr]] = {  # functions of a matrix of one entry
    "inv": lambda term: power(term, Fraction(-1)),
    "logdet": lambda term: elementwise("log", [elementwise("abs", [term])]),
    **dict.fromkeys(("det", "tr", "diag"), lambda term: term),
}
