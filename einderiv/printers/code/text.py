"""Array code: trees of operations, then statements that a reader can follow.

In: trees made by a `Builder`, names that are taken. Out: statements in order, and the text of the results.
Invariant: equal code is one tree, so what two places need is computed once, in a local of its own; a text
stays short, however deep the trees are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from string import ascii_uppercase
from typing import Any, NamedTuple, cast

from ...terms import Dim, postorder

# What a tree is when the code runs: an array, a Python number, truth values, or no value at all.
ARRAY, NUMBER, TRUTH, WORD = "array", "number", "truth", "word"

LETTERS = "ijklmnpqrstuvwabcdefgh" + "xyzo" + ascii_uppercase  # of einsum equations
_LINEAR = {"diag", "outer", "einsum", "sum", "trace"}  # functions of which -f(x) is f(-x)
_DEEP = 12  # how far a transpose is pushed into products and sums


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """One operation on others, whose value has `rank` axes.

    `op`: add, multiply, matmul, power, call; name, value, decimal, extent; one of those in `_TEMPLATES`.
    `data`: what else the operation needs, as `Builder` puts it there.
    """

    op: str
    children: tuple[Code, ...]
    data: tuple[object, ...]
    rank: int
    kind: str


class Builder:
    """Makes trees; equal ones are one object."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Code] = {}
        self._flips: dict[Code, tuple[int, int, int]] = {}
        self.shared: set[Code] = set()  # trees that stay as they are, since several places use them

    def node(
        self,
        op: str,
        args: Sequence[Code] = (),
        data: tuple[object, ...] = (),
        rank: int = 0,
        kind: str = ARRAY,
    ) -> Code:
        key = (op, tuple(args), data, rank, kind)
        if key not in self._known:
            self._known[key] = Code(op, tuple(args), data, rank, kind)
            if rank == 2:
                self._flip_counts(self._known[key])  # those of the arguments are known: no descent
        return self._known[key]

    def _with_args(self, code: Code, args: Sequence[Code]) -> Code:
        return self.node(code.op, args, code.data, code.rank, code.kind)

    def keep(self, code: Code) -> None:
        """Leave this tree as it is: several places use it."""
        if code.op in ("matmul", "add", "multiply", "call"):
            self.shared.add(code)
            if code.rank == 2:
                self._flips[code] = (0, 1, 0)

    def value(self, number: Fraction | int) -> Code:
        return self.node("value", (), (Fraction(number),), 0, NUMBER)

    def extent(self, dim: Dim) -> Code:
        return (
            self.value(dim) if isinstance(dim, int) else self.node("extent", (), (dim,), 0, NUMBER)
        )

    def form(self, template: str, *args: Code, rank: int = 0, kind: str = ARRAY) -> Code:
        """The arguments at the template's places: `{0}.T`."""
        return self.node("form", args, (template,), rank, kind)

    def call(self, path: str, args: Sequence[Code], rank: int, kind: str = ARRAY) -> Code:
        return self.node("call", args, (path,), rank, kind)

    def shape(self, numbers: Iterable[Dim]) -> Code:
        """`(n, d)`."""
        codes = [self.extent(number) for number in numbers]
        inside = ", ".join(f"{{{k}}}" for k in range(len(codes)))
        template = f"({inside},)" if len(codes) == 1 else f"({inside})"
        return self.node("tuple", codes, (template,), 0, NUMBER)

    def add(self, terms: Iterable[tuple[Fraction, Code]]) -> Code:
        multiples = list(terms)
        if len(multiples) == 1 and multiples[0][0] < 0:
            ((factor, term),) = multiples
            other = self._negative(term)
            multiples = multiples if other is None else [(-factor, other)]
        signs = tuple(c < 0 for c, _ in multiples)
        parts = [self.multiply([(self.value(abs(c)), False), (x, False)]) for c, x in multiples]
        return parts[0] if signs == (False,) else self._entrywise("add", parts, signs)

    def _negative(self, code: Code, deep: int = 3) -> Code | None:
        """-(a - b) as b - a, -diag(a - b) as diag(b - a), if that leaves no more minus signs."""
        if code in self.shared or not deep:
            return None
        if code.op == "add" and 2 * code.data.count(True) >= len(code.children):
            if len(code.children) == 1:
                return code.children[0]
            places = sorted(range(len(code.data)), key=lambda k: not code.data[k])
            turned = [code.children[k] for k in places]
            signs = tuple(not code.data[k] for k in places)
            return self.node("add", turned, signs, code.rank, code.kind)
        linear = code.op in ("multiply", "matmul", "transpose", "index")
        if code.op == "call":
            linear = str(code.data[0]).rpartition(".")[2] in _LINEAR
        for place, arg in enumerate(code.children if linear else ()):
            other = self._negative(arg, deep - 1)
            if other is not None:
                args = (*code.children[:place], other, *code.children[place + 1 :])
                return self._with_args(code, args)
        return None

    def multiply(self, factors: Sequence[tuple[Code, bool]]) -> Code:
        """The product entry by entry of factors; divided by those with True."""
        kept = [(code, below) for code, below in factors if not _is_one(code)]
        if not kept:
            return self.value(1)
        if len(kept) == 1 and not kept[0][1]:
            return kept[0][0]
        codes, divides = zip(*kept, strict=True)
        return self._entrywise("multiply", codes, divides)

    def power(self, base: Code, exponent: Code) -> Code:
        """`base ** exponent` entry by entry."""
        return base if _is_one(exponent) else self._entrywise("power", (base, exponent))

    def _entrywise(self, op: str, args: Sequence[Code], data: tuple[object, ...] = ()) -> Code:
        return self.node(op, args, data, highest(args), NUMBER if all_numbers(args) else ARRAY)

    def matmul(self, left: Code, right: Code) -> Code:
        """`left @ right`, of vectors and matrices, or of stacks of matrices."""
        ranks = left.rank, right.rank
        return self.node(
            "matmul", (left, right), (), max(ranks) if min(ranks) > 1 else sum(ranks) - 2
        )

    def transpose(self, code: Code) -> Code:
        """The transpose of a matrix; that of its parts if these take no more of them."""
        assert code.rank == 2, code
        if code.op == "transpose":
            return code.children[0]
        as_it_is, turned, _ = self._flip_counts(code)
        if code.op not in ("matmul", "add", "multiply") or turned > as_it_is:
            return self.node("transpose", (code,), ("{0}.T",), 2)
        parts = [self.transpose(arg) if arg.rank == 2 else arg for arg in code.children]
        if code.op == "matmul":
            return self.matmul(parts[1], parts[0])
        return self._with_args(code, parts)

    def _flip_counts(self, code: Code) -> tuple[int, int, int]:
        """How many transposes a matrix shows, how many its transpose would, how deep it was looked into."""
        if code in self._flips:
            return self._flips[code]
        counts = (0, 1, 0)
        if code.op == "transpose":
            counts = (1, 0, 0)
        elif code.op in ("add", "multiply", "matmul") and code not in self.shared:
            inner = [self._flip_counts(arg) for arg in code.children if arg.rank == 2]
            plain = all(arg.rank in (0, 2) and arg.op != "index" for arg in code.children)
            depth = 1 + max((d for _, _, d in inner), default=0)
            if plain and inner and depth < _DEEP:
                counts = (sum(a for a, _, _ in inner), sum(b for _, b, _ in inner), depth)
        self._flips[code] = counts
        return counts

    def in_other_order(
        self, code: Code, axes: tuple[int, ...], einsum: str, deep: int = 3
    ) -> Code | None:
        """A sum of einsums with the axes of each in another order; None if it is something else."""
        if code in self.shared:
            return None
        if code.op == "call" and code.data[0] == einsum:
            inputs, _, output = str(code.children[0].data[0]).strip('"').partition("->")
            text = in_order(f"{inputs}->{''.join(output[axis] for axis in axes)}")
            return self._with_args(code, (self.form(f'"{text}"', kind=WORD), *code.children[1:]))
        if code.op not in ("add", "multiply") or not deep:
            return None
        parts = []
        for arg in code.children:
            whole = arg.rank == code.rank
            part = self.in_other_order(arg, axes, einsum, deep - 1) if whole else arg
            if part is None or (arg.rank and not whole):
                return None
            parts.append(part)
        return self._with_args(code, parts)

    def spread(self, code: Code, pattern: Sequence[bool]) -> Code:
        """`code[:, None]`: an axis of its own for each True of the pattern, a new one for each False.

        Leading new axes are left out, since broadcasting adds them.
        """
        places = list(pattern)
        while places and not places[0]:
            del places[0]
        if all(places):
            return code
        inside = ", ".join(":" if own else "None" for own in places)
        return self.node("index", (code,), (f"{{0}}[{inside}]",), len(places))

    def compare(self, symbol: str, left: Code, right: Code) -> Code:
        template = f"{{0}} {symbol} {{1}}"
        return self.node("compare", (left, right), (template,), highest((left, right)), TRUTH)


def in_order(equation: str) -> str:
    """The equation with the letters of its output in order.

    >>> in_order("ab,bc->ca")
    'jk,ki->ij'
    """
    inputs, _, output = equation.partition("->")
    met = dict.fromkeys(output + inputs.replace(",", ""))
    return equation.translate(str.maketrans("".join(met), LETTERS[: len(met)]))


def highest(codes: Iterable[Code]) -> int:
    """The rank of what is broadcast together."""
    return max((code.rank for code in codes), default=0)


def all_numbers(codes: Iterable[Code]) -> bool:
    """Are these Python numbers at run time?"""
    return all(code.kind == NUMBER for code in codes)


def below(roots: Iterable[Code]) -> list[Code]:
    """Every tree under `roots` once, arguments first."""
    return cast(list[Code], postorder(cast(Any, roots)))


def _is_one(code: Code) -> bool:
    return code.op == "value" and code.data[0] == 1


# ---------------------------------------------------------------- statements

CHOICE, COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(7)
_LONG = 84  # characters of an expression; beyond, its longest part gets a name
_PART = 24  # characters of a part worth a name for its length alone
_SHORT = 6  # characters of a shared part that is written again rather than named
_TERMS = 12  # terms of one sum; longer ones are built up in steps
_EXACT = 2**53  # whole numbers up to this size are floats too

# Operations that put their arguments into a template: how strongly these must bind, and the whole.
_TEMPLATES = {
    "transpose": (ATOM, ATOM),
    "index": (ATOM, ATOM),
    "form": (ATOM, ATOM),
    "tuple": (CHOICE, ATOM),
    "compare": (SUM, COMPARISON),
    "choose": (COMPARISON, CHOICE),
}


class Piece(NamedTuple):
    """The text of a tree, how strongly it binds, and its rank; `product` if it is one."""

    text: str
    binds: int
    rank: int
    product: Product | None = None
    is_matmul: bool = False

    def at(self, level: int) -> str:
        """The text, in brackets if it binds less than `level`."""
        return self.text if self.binds >= level else f"({self.text})"


class Product(NamedTuple):
    """coefficient * above / below."""

    coefficient: Fraction
    above: tuple[Piece, ...] = ()
    below: tuple[Piece, ...] = ()


@dataclass
class Writer:
    """Writes trees as statements."""

    names: Names
    extents: Mapping[object, str]
    suggested: Mapping[Code, str]
    statements: list[tuple[str, str]] = field(default_factory=list)
    pieces: dict[Code, Piece] = field(default_factory=dict)

    def write(self, roots: Sequence[Code]) -> list[str]:
        """The texts of the roots; statements for what they share come first."""
        ordered = below(roots)
        uses = Counter([*roots, *(arg for parent in ordered for arg in parent.children)])
        shared = [code for code in ordered if uses[code] > 1]
        self.names.expected.update(name_for(code, "") for code in shared if _can_be_named(code))
        for code in ordered:
            self.pieces[code] = self._piece(code)
            if uses[code] > 1 and self._is_worth_a_name(code):
                self.name(code)
        return [self.pieces[root].text for root in roots]

    def name(self, code: Code, wanted: str = "") -> str:
        """The local that holds the tree's value: a statement for it, if there is none."""
        piece = self.pieces[code]
        if not piece.text.isidentifier():
            first = self.pieces[code.children[0]].text if code.children else ""
            name = self.names.fresh(wanted or self.suggested.get(code) or name_for(code, first))
            self.statements.append((name, piece.text))
            self.pieces[code] = piece = Piece(name, ATOM, code.rank)
        return piece.text

    def _is_worth_a_name(self, code: Code) -> bool:
        is_view = code.op in ("transpose", "index")
        if is_view and self.pieces[code.children[0]].text.isidentifier():
            return False
        text = self.pieces[code].text
        return _can_be_named(code) and ("(" in text or "@" in text or len(text) > _SHORT)

    def _piece(self, code: Code) -> Piece:
        """The tree's text, its longest parts named if it would be too long."""
        if code.op == "add" and len(code.children) > _TERMS:
            return self._long_sum(code)
        while True:
            piece = self._write_one(code, [self.pieces[arg] for arg in code.children])
            if len(piece.text) <= _LONG:
                return piece
            parts = [arg for arg in code.children if _can_be_named(arg)]
            longest = max(parts, key=lambda arg: len(self.pieces[arg].text), default=None)
            text = "" if longest is None else self.pieces[longest].text
            if longest is None or len(text) < _PART or text.isidentifier():
                return piece
            self.name(longest)

    def _write_one(self, code: Code, args: list[Piece]) -> Piece:
        """The tree's text with those of its arguments in it."""
        match code.op, code.data:
            case "name", (text,):
                return Piece(str(text), ATOM, code.rank)
            case "extent", (dim,):
                return Piece(self.extents[dim], ATOM, 0)
            case "value", (Fraction() as value,):
                return product_piece(Product(value), 0)
            case "decimal", (Fraction() as value,):
                return Piece(float_text(value), SIGN if value < 0 else ATOM, 0)
            case "add", signs if len(args) > 1:
                return Piece(_sum_text(list(zip(signs, args, strict=True))), SUM, code.rank)
            case "add", _:
                inner = _as_product(args[0])
                return product_piece(inner._replace(coefficient=-inner.coefficient), code.rank)
            case "multiply", _:
                return self._multiply(code, args)
            case "matmul", _:
                left, right = args
                one = left.text if left.is_matmul else left.at(POWER)
                # x @ (A @ y) is x @ A @ y, which costs no more
                free = right.is_matmul and left.rank == 1 and left.binds >= POWER
                other = right.text if free else right.at(POWER)
                return Piece(f"{one} @ {other}", PRODUCT, code.rank, None, True)
            case "power", _:
                base, exponent = args[0].at(ATOM), args[1].at(SIGN)
                plain = all(re.fullmatch(r"-?[\w.]+", text) for text in (base, exponent))
                sign = "**" if plain else " ** "
                return Piece(f"{base}{sign}{exponent}", POWER, code.rank)
            case "call", (path,):
                inside = ", ".join(piece.text for piece in args)
                return Piece(f"{path}({inside})", ATOM, code.rank)
        level, binds = _TEMPLATES[code.op]
        text = str(code.data[0]).format(*(piece.at(level) for piece in args))
        return Piece(text, binds, code.rank)

    def _multiply(self, code: Code, args: list[Piece]) -> Piece:
        """One fraction of all factors."""
        coefficient = Fraction(1)
        above: list[Piece] = []
        under: list[Piece] = []
        for piece, divides in zip(args, code.data, strict=True):
            inner = _as_product(piece)
            if divides and not inner.coefficient:
                under.append(piece)
                continue
            coefficient *= 1 / inner.coefficient if divides else inner.coefficient
            above += inner.below if divides else inner.above
            under += inner.above if divides else inner.below
        return product_piece(Product(coefficient, tuple(above), tuple(under)), code.rank)

    def _long_sum(self, code: Code) -> Piece:
        """A sum of many terms, added up in steps."""
        name = self.names.fresh("total")
        signed = list(zip(code.data, (self.pieces[arg] for arg in code.children), strict=True))
        total = Piece(name, ATOM, code.rank)
        for start in range(0, len(signed), _TERMS):
            some = signed[start : start + _TERMS]
            self.statements.append((name, _sum_text([(False, total), *some] if start else some)))
        return total


def _can_be_named(code: Code) -> bool:
    constant = code.kind == NUMBER and code.op == "form"
    return not constant and code.kind != WORD and code.op not in (
        "name", "value", "decimal", "extent", "tuple",
    )  # fmt: skip


def _as_product(piece: Piece) -> Product:
    return piece.product or Product(Fraction(1), (piece,))


def _sum_text(terms: Sequence[tuple[object, Piece]]) -> str:
    text = ""
    for place, (minus, term) in enumerate(terms):
        inner = term.product
        if inner is not None and inner.coefficient < 0 and (place or minus):
            minus = not minus
            term = product_piece(inner._replace(coefficient=-inner.coefficient), term.rank)
        if place:
            text += f" - {term.at(PRODUCT)}" if minus else f" + {term.at(SUM)}"
        else:
            text = f"-{term.at(POWER)}" if minus else term.at(SUM)
    return text


def product_piece(product: Product, rank: int) -> Piece:
    """A product as text: 2 / n * (X.T @ r), X.T @ r / n, -x / (2 * n)."""
    size = abs(product.coefficient)
    above, under = [], []
    if _is_shown_as_decimal(size):
        above.append(Piece(float_text(size), ATOM, 0))
    else:
        if size.numerator != 1:
            above.append(Piece(str(size.numerator), ATOM, 0))
        if size.denominator != 1:
            under.append(Piece(str(size.denominator), ATOM, 0))
    above += [piece for piece in product.above if not piece.rank]
    under += [piece for piece in product.below if not piece.rank]
    arrays = [piece for piece in product.above if piece.rank]
    if not any(piece.is_matmul for piece in arrays[:1]) or len(arrays) > 1:
        arrays.sort(key=lambda piece: not re.fullmatch(r"\w+(\.T)?", piece.text))
    divisors = [piece for piece in product.below if piece.rank]
    negative = product.coefficient < 0
    if len(above) + len(arrays) == 1 and not under and not divisors and not negative:
        only = (above + arrays)[0]
        return Piece(only.text, only.binds, rank, product, only.is_matmul)
    if above and arrays:
        text = _quotient(_times(above, negative, first=False), under)
        text = _quotient(f"{text} * {_times(arrays, False, first=False)}", divisors)
    else:
        front = above or arrays or [Piece("1", ATOM, 0)]
        text = _quotient(_times(front, negative), under + divisors)
    binds = SIGN if negative and " " not in text else PRODUCT
    return Piece(text, binds, rank, product)


def _times(factors: Sequence[Piece], negative: bool, first: bool = True) -> str:
    shown = [factor.at(SIGN) for factor in factors]
    if len(factors) == 1 and first and factors[0].is_matmul and not negative:
        shown[0] = factors[0].text
    if negative:
        shown[0] = f"-{factors[0].at(POWER)}"
    return " * ".join(shown)


def _quotient(text: str, divisors: Sequence[Piece]) -> str:
    if not divisors:
        return text
    if len(divisors) == 1:
        return f"{text} / {divisors[0].at(SIGN)}"
    return f"{text} / ({_times(divisors, False)})"


def _is_shown_as_decimal(size: Fraction) -> bool:
    """0.001 and 1.5, but 1/3 and 1/2 as quotients; what no float holds exactly as the nearest one."""
    if max(size.numerator, size.denominator) > _EXACT:
        return True
    finite = size.denominator > 1 and 10**53 % size.denominator == 0  # _EXACT is 2**53
    return finite and len(float_text(size)) <= 8 and (size.numerator > 1 or size.denominator > 99)


def float_text(value: Fraction) -> str:
    """The nearest float, as Python writes it; a call if it is infinite."""
    try:
        return repr(float(value))
    except OverflowError:
        return 'float("inf")' if value > 0 else '-float("inf")'


# ---------------------------------------------------------------- names

_WORDS = {
    "sigmoid": "p", "softmax": "p", "tanh": "h", "relu": "h", "softplus": "h",
    "exp": "e", "cholesky": "L", "eye": "I", "logsumexp": "lse",
}  # fmt: skip


def name_for(code: Code, first: str) -> str:
    """What a reader would call it: r for a difference, h for a layer, A_inv for an inverse, t else."""
    if code.op == "add" and True in code.data and len(code.children) > 1 and code.rank:
        return "r"
    if code.op == "compare":
        return "mask"
    if code.op == "matmul":
        return "z" if code.rank else "t"
    if code.op == "call":
        word = str(code.data[0]).rpartition(".")[2]
        if word == "inv":
            return f"{first}_inv" if first.isidentifier() else "inverse"
        if word == "solve":
            return "alpha" if code.rank == 1 else "solution"
        return _WORDS.get(word, "t")
    return "t"


class Names:
    """Names for locals that clash with nothing."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken
        self.expected: Counter[str] = Counter()  # one that is wanted more than once is numbered
        self._given: Counter[str] = Counter()

    def own(self, wanted: str) -> str:
        """The wanted name itself if it is free."""
        if wanted in self.taken:
            return self.fresh(wanted)
        self.taken.add(wanted)
        return wanted

    def fresh(self, wanted: str) -> str:
        """The wanted name for a local, with a number if it is taken."""
        numbered = wanted == "t" or self.expected[wanted] > 1
        while True:
            self._given[wanted] += 1
            count = self._given[wanted]
            name = f"{wanted}{count}" if numbered or count > 1 else wanted
            if name not in self.taken:
                self.taken.add(name)
                return name
