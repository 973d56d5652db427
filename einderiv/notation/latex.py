r"""From LaTeX to what it means: index notation where subscripts stand, matrix notation where none do.

In: a LaTeX formula, extents and assumptions given beside it. Out: `Meaning`.
Invariant: the summation convention, and the meaning of matrix products, are those of the other notations:
the formula is written as their surface tree and read by their elaborators. Two readings are an error.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import count
from typing import Any, NoReturn

from .. import functions
from ..errors import NotationError, Span
from ..expr import Dim
from ..walk import trampoline
from . import complaints, syntax
from .elaborator import Meaning, elaborate
from .latex_tree import (
    TURNED,
    Applied,
    Enclosed,
    Equation,
    Figure,
    Formula,
    Fraction_,
    Letter,
    Listed,
    Root,
    Row,
    Scripted,
    Terms,
    parse_latex,
)
from .matrix import elaborate_matrix
from .syntax import Access, Call, Group, Index, Name, Negative, Node, Number, Power

Scripts = Sequence[tuple[str, Formula]]
Visit = Generator[Any, Any, Any]

_FUNCTION_LETTERS = frozenset({"f", "g", "h", "F", "G", "H", "phi", "psi"})
_WORDS = {"Tr": "tr", "trace": "tr", "sgn": "sign", "erf": "erf", "ReLU": "relu", "Diag": "diag",
          "logit": "logit", "argmax": "argmax"}  # fmt: skip
_ONES, _ZEROS = "𝟏", "𝟎"
_NOWHERE_ELSE = "the readings differ, so one has to be chosen"


def read_latex(
    source: str,
    shapes: Mapping[str, Sequence[Dim]] | None = None,
    assume: Mapping[str, Iterable[str]] | None = None,
) -> Meaning:
    r"""The meaning of a LaTeX formula; the last one where `\\` separates several.

    >>> read_latex(r"X_{ab}\theta_b").indices
    ('a',)
    """
    equations = parse_latex(source, tuple(shapes or ()))
    reader = _Reader(source, equations, shapes or {})
    statements = [reader.statement(e) for e in equations]
    complaints.check_statements(source, statements, r"x_i Q_{ij} x_j", r"r_a = \dots")
    text = syntax.Text(source, tuple(statements))
    if reader.indexed:
        return elaborate(text, shapes, assume)
    given = {**{name: () for name in reader.divisors}, **(shapes or {})}
    return elaborate_matrix(text, given, assume)


class _Reader:
    """Writes formulas as surface trees."""

    def __init__(
        self, source: str, equations: Sequence[Equation], shapes: Mapping[str, Sequence[Dim]]
    ) -> None:
        self.source, self.shapes = source, shapes
        self.extents = {str(dim) for axes in shapes.values() for dim in axes}
        self.indices: set[str] = set()
        every = [node for e in equations for node in _nodes(e)]
        self.letters = {node.name for node in every if isinstance(node, Letter)}
        for node in every:
            if isinstance(node, Scripted | Applied):
                self._collect(node)
        self.indexed = bool(self.indices)
        self.divisors: set[str] = set()
        self._fresh = (f"{c}{n}" for n in count(1) for c in "rcpq")

    def _collect(self, node: Scripted | Applied) -> None:
        for kind, script in node.scripts:
            if kind == "_" and not (isinstance(node, Scripted) and _is_norm(node.base)):
                found = self._index_names(script, node)
                self.indices.update(index.name for index in found or ())

    def fail(self, message: str, span: Span, fact: str, hint: str) -> NoReturn:
        """Refuse the formula."""
        raise NotationError(message, source=self.source, spans=[span], facts=[fact], hint=hint)

    # ------------------------------------------------------------ statements

    def statement(self, equation: Equation) -> syntax.Definition:
        body: Node = trampoline(equation.right, self.visit)
        if equation.left is None:
            return syntax.Definition(None, None, body, body.span, body.span)
        name, indices = self._left(equation.left)
        span = equation.left.span
        return syntax.Definition(name, indices or None, body, equation.span, span)

    def _left(self, left: Formula) -> tuple[str, tuple[Index, ...]]:
        """J, y_i, J(theta), and derivatives by something: their indices, in order."""
        plain = _plain(left)
        if isinstance(plain, Row) and isinstance(plain.parts[0][1], Letter | Scripted):
            if all(isinstance(part, Enclosed) for _, part in plain.parts[1:]):
                plain = plain.parts[0][1]  # J(theta)
        if isinstance(plain, Letter):
            return plain.name, ()
        if isinstance(plain, Scripted) and self._numbered(plain.base) is not None:
            base = self._numbered(plain.base)
            assert base is not None
            subs = [script for kind, script in plain.scripts if kind == "_"]
            if len(subs) == len(plain.scripts) == 1:
                return self._name_and_indices(base, subs[0], plain)
        inside = _nodes(Equation(None, left, left.span))
        if any(
            isinstance(node, Letter) and node.name in ("partial", "d", "nabla") for node in inside
        ):
            found: dict[str, Index] = {}
            for node in inside:
                if isinstance(node, Scripted):
                    for kind, script in node.scripts:
                        if kind == "_":
                            for index in self._index_names(script, node) or ():
                                found.setdefault(index.name, index)
            return "derivative", tuple(found.values())
        self.fail(
            "the left side of = names no tensor",
            left.span,
            "a left side is a name with its indices",
            "write y_i = ..., J = ..., or the right side alone",
        )

    def _numbered(self, node: Formula) -> Letter | None:
        """A letter, or one with a number in braces: {t_1}."""
        plain = _plain(node)
        if isinstance(plain, Letter):
            return plain
        if isinstance(plain, Scripted) and plain is not node and len(plain.scripts) == 1:
            ((kind, script),), letter = plain.scripts, _plain(plain.base)
            if kind == "_" and isinstance(letter, Letter) and isinstance(_plain(script), Figure):
                return Letter(letter.name + self._figures(script), plain.span)
        return None

    def _name_and_indices(
        self, base: Letter, script: Formula, node: Scripted
    ) -> tuple[str, tuple[Index, ...]]:
        indices = self._index_names(script, node)
        if indices is None:
            return base.name + self._figures(script), ()
        return base.name, indices

    # ------------------------------------------------------------ scripts

    def _index_names(self, script: Formula, node: Scripted | Applied) -> tuple[Index, ...] | None:
        """The indices of a subscript; None for a number, which is part of the name."""
        script = _plain(script)
        parts: Sequence[Formula] = [script]
        if isinstance(script, Listed):
            parts = [p for part in script.parts for p in _side_by_side(_plain(part))]
        else:
            parts = _side_by_side(script)
        if len(parts) == 1 and isinstance(parts[0], Figure):
            if not self._is_single_figure(parts[0]):
                shown = self._text(node.span)
                self.fail(
                    f"the subscript of {shown} has two readings",
                    parts[0].span,
                    f"a name that ends in {parts[0].value}, or one entry of a tensor",
                    "write a letter for the name, or indices that run over whole axes",
                )
            return None
        found = []
        for part in parts:
            primes = ""
            if isinstance(part, Scripted) and all(
                kind == "^" and isinstance(s, Letter) and s.name == TURNED
                for kind, s in part.scripts
            ):
                part, primes = part.base, "_prime" * len(part.scripts)
            if not isinstance(part, Letter):
                self.fail(
                    f"{self._text(part.span)} stands as an index",
                    part.span,
                    "an index is a letter that runs over a whole axis",
                    "write the letter alone, as in X_{ij}, and cut arrays beforehand",
                )
            found.append(Index(part.name + primes, None, part.span))
        return tuple(found)

    def _is_single_figure(self, figure: Figure) -> bool:
        return figure.value.denominator == 1 and 0 <= figure.value <= 9

    def _figures(self, script: Formula) -> str:
        plain = _plain(script)
        assert isinstance(plain, Figure)
        return str(plain.value)

    def _text(self, span: Span) -> str:
        return " ".join(self.source[span[0] : span[1]].split())[:60]

    # ------------------------------------------------------------ nodes

    def visit(self, node: Formula) -> Visit:
        match node:
            case Figure():
                return Number(node.value, node.span)
            case Letter():
                return self._bare(node)
            case Terms():
                terms = []
                self._check_reach(node)
                for minus, term in node.parts:
                    terms.append((minus, (yield term)))
                if len(terms) == 1:
                    ((minus, tree),) = terms
                    return Negative(tree, node.span) if minus else tree
                return syntax.Sum(tuple(terms), node.span)
            case Row():
                return (yield from self._row(node))
            case Fraction_():
                above, below = (yield node.above), (yield node.below)
                self._note_divisor(node.below)
                return syntax.Product(
                    ((False, _grouped(above)), (True, _grouped(below))), node.span
                )
            case Root():
                return (yield from self._root(node))
            case Enclosed():
                return (yield from self._enclosed(node))
            case Applied():
                return (yield from self._applied(node))
            case Scripted():
                return (yield from self._scripted(node))
            case Listed():
                self.fail(
                    "a list stands in the formula",
                    node.span,
                    "commas separate indices, and the arguments of \\max and \\min",
                    "paste one formula alone",
                )
        raise AssertionError(node)

    def _check_reach(self, node: Terms) -> None:
        """\\sum_i a_i + b_i: does the sum end before the plus sign?"""
        reaching: dict[str, Formula] = {}
        for _, term in node.parts:
            if reaching:
                for name, operator in reaching.items():
                    if name in self._open_indices(term):
                        whole = self._text((operator.span[0], term.span[1]))
                        self.fail(
                            f"{whole} has two readings",
                            term.span,
                            f"the sum over {name} ends before the sign, or takes in {self._text(term.span)}",
                            "put brackets around the sum, or around what it sums",
                        )
            last = term.parts[-1][1] if isinstance(term, Row) else term
            if isinstance(last, Applied) and last.function in ("sum", "prod"):
                for kind, script in last.scripts:
                    if kind == "_":
                        kept = self._kept(script, last.function, last.name_span)
                        reaching.update({index.name: last for index in kept})

    def _open_indices(self, term: Formula) -> set[str]:
        """Indices that stand once in a term and that no operator in it binds."""
        found: dict[str, int] = {}
        bound: set[str] = set()
        for node in _nodes(Equation(None, term, term.span)):
            if isinstance(node, Scripted) and not _is_norm(node.base):
                for kind, script in node.scripts:
                    if kind == "_":
                        for index in self._index_names(script, node) or ():
                            found[index.name] = found.get(index.name, 0) + 1
            elif isinstance(node, Applied):
                for kind, script in node.scripts:
                    if kind == "_":
                        bound.update(
                            i.name for i in self._kept(script, node.function, node.name_span)
                        )
        return {name for name, times in found.items() if times == 1} - bound

    def _bare(self, node: Letter) -> Node:
        name = node.name
        if name == _ONES or name == _ZEROS:
            if self.indexed:
                self.fail(
                    "ones without indices beside indices",
                    node.span,
                    "in index notation every axis has its index",
                    r"write \mathbf{1}_i",
                )
            value = Number(Fraction(int(name == _ONES)), node.span)
            return Call("vector", None, (value,), None, node.span, node.span)
        if name == TURNED:
            self.fail(
                "a transpose stands alone", node.span, "it stands behind a matrix", r"write X^\top"
            )
        if (
            self.indexed
            and name in self.indices
            and name not in self.shapes
            and name not in self.extents
        ):
            self.fail(
                f"{name} stands beside indices, and is an index elsewhere",
                node.span,
                f"a subscript is one letter unless braces hold several: x_i{name} is x_i times {name}",
                f"write x_{{i{name}}} for two indices, another letter for a number",
            )
        if not self.indexed and name == "I" and "I" not in self.shapes:
            return Name("eye", node.span)
        return Name(name, node.span)

    def _note_divisor(self, below: Formula) -> None:
        plain = _plain(below)
        known = {*self.shapes, *self.extents}
        if isinstance(plain, Letter) and plain.name not in known:
            self.divisors.add(plain.name)

    # ------------------------------------------------------------ products

    def _row(self, node: Row) -> Visit:
        factors: list[tuple[str, Node]] = []
        parts = list(node.parts)
        place = 0
        after_division: Formula | None = None
        while place < len(parts):
            sign, part = parts[place]
            if sign == "" and place and after_division is not None:
                before, after = self._text(after_division.span), self._text(part.span)
                self.fail(
                    f"{self._text(node.span)} has two readings",
                    part.span,
                    f"(... / {before}) {after}, or ... / ({before} {after})",
                    r"write \frac{}{} or brackets",
                )
            head = self._function_word(part)
            if head is not None and place + 1 < len(parts) and parts[place + 1][0] == "":
                name, scripts, name_span = head
                argument = parts[place + 1][1]
                tree = yield from self._called(name, scripts, argument, name_span)
                place += 1
                part = argument if _plain(argument) is not argument else part
            else:
                self._check_call_or_product(part, parts[place + 1 : place + 2])
                tree = yield part
                if isinstance(part, Applied) and self._is_open(part) and place + 1 < len(parts):
                    following = parts[place + 1]
                    if following[0] == "" and not isinstance(following[1], Applied):
                        both = self._text((part.argument.span[0], following[1].span[1]))
                        f = part.function
                        self.fail(
                            f"{self._text((part.span[0], following[1].span[1]))} has two readings",
                            following[1].span,
                            f"\\{f}({self._text(part.argument.span)}) times what follows, or \\{f}({both})",
                            "put the argument into brackets",
                        )
            after_division = part if sign == "/" else None
            if sign == "/":
                self._note_divisor(part)
            factors.append((sign, tree))
            place += 1
        return self._product(factors, node.span)

    def _product(self, factors: Sequence[tuple[str, Node]], span: Span) -> Node:
        result: Node | None = None
        chain: list[tuple[bool, Node]] = []
        for sign, tree in factors:
            if sign in (".*", "./"):
                left = _chain(chain)
                result = syntax.Pointwise(sign, left, _grouped(tree), (left.span[0], tree.span[1]))
                if self.indexed:
                    self.fail(
                        "an entry-by-entry sign beside indices",
                        span,
                        "with indices every product is one of entries",
                        "drop it, and name the indices that stay on the left side",
                    )
                chain = [(False, result)]
            else:
                chain.append((sign == "/", _grouped(tree)))
        return _chain(chain, span)

    def _function_word(self, part: Formula) -> tuple[str, Scripts, Span] | None:
        """`\\operatorname{tr}`, `\\operatorname{softmax}_j`, `\\sigma` before brackets."""
        base, scripts = (part.base, part.scripts) if isinstance(part, Scripted) else (part, ())
        if not isinstance(base, Letter):
            return None
        name = _WORDS.get(base.name, base.name)
        if base.is_word and base.name not in self.shapes and _is_function(name):
            return name, scripts, base.span
        if base.name == "sigma" and base.name not in self.shapes and not scripts:
            return "sigmoid", (), base.span
        return None

    def _check_call_or_product(
        self, part: Formula, following: Sequence[tuple[str, Formula]]
    ) -> None:
        if not (isinstance(part, Letter) and following and following[0][0] == ""):
            return
        bracket = _unscripted(following[0][1])
        known = part.name in self.shapes or part.name in self.extents
        if isinstance(bracket, Enclosed) and bracket.kind == "(" and not known:
            if part.is_word or part.name in _FUNCTION_LETTERS:
                inside = self._text(bracket.span)
                self.fail(
                    f"{self._text(part.span)}{inside} has two readings",
                    (part.span[0], bracket.span[1]),
                    f"a product of {part.name} and {inside}, or a function {part.name}",
                    f"write {part.name} \\cdot {inside} for the product; functions are called by their names",
                )

    def _is_open(self, part: Applied) -> bool:
        """Is its argument written without brackets?"""
        bracket = _unscripted(part.argument)
        closed = isinstance(bracket, Enclosed) and bracket.kind in "(|"
        return (
            part.function not in ("sum", "prod")
            and not closed
            and not isinstance(part.argument, Applied)
        )

    # ------------------------------------------------------------ functions

    def _applied(self, node: Applied) -> Visit:
        name = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}.get(
            node.function, node.function
        )
        return (yield from self._called(name, node.scripts, node.argument, node.name_span))

    def _called(self, name: str, scripts: Scripts, argument: Formula, name_span: Span) -> Visit:
        """f_{ij}^p (argument)_{kl}^q: kept indices, powers of the value, what is read behind it."""
        span = (name_span[0], argument.span[1])
        behind: list[tuple[str, Formula]] = []
        inside: Formula = argument
        if isinstance(argument, Scripted) and isinstance(_plain_brackets(argument.base), Enclosed):
            inside, behind = argument.base, list(argument.scripts)
        kept: tuple[Index, ...] | None = None
        powers: list[Formula] = []
        for kind, script in scripts:
            if kind == "_":
                kept = self._kept(script, name, name_span)
            elif name not in ("sum", "prod"):
                powers.append(script)
            elif kept and len(kept) == 1:
                self._size(kept[0], script)
        subscript: tuple[Index, ...] | None = None
        for kind, script in behind:
            if kind == "_":
                subscript = self._kept(script, name, name_span)
            else:
                powers.append(script)
        arguments = (
            inside.inside if isinstance(inside, Enclosed) and inside.kind == "(" else (inside,)
        )
        tree: Node
        logdet = name == "log" and isinstance(inside, Applied) and inside.function == "det"
        if logdet and not inside.scripts:  # type: ignore[union-attr]
            tree = yield from self._matrix_call(
                "logdet", None, inside.argument, None, span, name_span
            )  # type: ignore[union-attr]
        elif logdet:
            tree = yield from self._called("logdet", inside.scripts, inside.argument, name_span)  # type: ignore[union-attr]
        elif name in functions.MATRIX_FUNCTIONS and len(arguments) == 1:
            tree = yield from self._matrix_call(
                name, kept, arguments[0], subscript, span, name_span
            )
        else:
            trees = []
            for part in arguments:
                trees.append((yield part))
            if name in ("sum", "prod") and kept is None:
                self.fail(
                    f"\\{name} without an index",
                    name_span,
                    "it runs over the indices below it",
                    f"write \\{name}_{{i}}",
                )
            tree = Call(name, kept, tuple(map(_bare_inside, trees)), subscript, span, name_span)
        for power in powers:
            exponent = yield power
            tree = Power(tree, exponent, span)
        return tree

    def _kept(self, script: Formula, name: str, name_span: Span) -> tuple[Index, ...]:
        plain = _plain(script)
        if isinstance(plain, Listed):
            plain_parts = [p for part in plain.parts for p in _side_by_side(_plain(part))]
        else:
            plain_parts = list(_side_by_side(plain))
        if not all(isinstance(part, Letter) for part in plain_parts):
            self.fail(
                f"the subscript of {name} is no index",
                script.span,
                "below it stand the indices that it runs over",
                f"write {name} with an index, as in \\sum_i or \\sum_{{i=1}}^n",
            )
        return tuple(Index(part.name, None, part.span) for part in plain_parts)  # type: ignore[union-attr]

    def _size(self, index: Index, upper: Formula) -> None:
        """\\sum_{i=1}^n says that i runs to n, unless shapes say it already."""
        plain = _plain(upper)
        if self.shapes:
            return
        if isinstance(plain, Letter) and plain.name.isidentifier():
            index.extent = plain.name
        elif isinstance(plain, Figure) and plain.value.denominator == 1 and plain.value > 0:
            index.extent = int(plain.value)

    def _matrix_call(
        self,
        name: str,
        kept: tuple[Index, ...] | None,
        argument: Formula,
        subscript: tuple[Index, ...] | None,
        span: Span,
        name_span: Span,
    ) -> Visit:
        inside = _plain_brackets(argument)
        inside = inside.inside[0] if isinstance(inside, Enclosed) else inside
        if kept is not None or not self.indexed:
            tree = yield inside
            return Call(name, kept, (_bare_inside(tree),), subscript, span, name_span)
        whole = self._whole(inside)
        if whole is not None:
            return Call(name, None, (whole,), subscript, span, name_span)
        row, column = self._fresh_index(span), self._fresh_index(span)
        tree = yield from self._entry(inside, row, column)
        return Call(name, (row, column), (tree,), subscript, span, name_span)

    def _whole(self, node: Formula) -> Node | None:
        """A named matrix, or functions of one, for a function of whole matrices."""
        functions_around: list[tuple[str, Span]] = []
        while True:
            plain = _plain(node)
            if isinstance(plain, Enclosed) and plain.kind == "(" and len(plain.inside) == 1:
                (node,) = plain.inside
            elif isinstance(plain, Scripted) and [
                self._turn(script) if kind == "^" else None for kind, script in plain.scripts
            ] == ["inv"]:
                functions_around.append(("inv", plain.span))
                node = plain.base
            elif isinstance(plain, Row) and len(plain.parts) == 2:
                head = self._function_word(plain.parts[0][1])
                if head is None or head[0] not in ("inv", "cholesky", "tril") or head[1]:
                    return None
                functions_around.append((head[0], plain.span))
                node = plain.parts[1][1]
            elif isinstance(plain, Letter):
                break
            else:
                return None
        tree: Node = Name(plain.name, plain.span)
        for name, span in reversed(functions_around):
            tree = Call(name, None, (tree,), None, span, span)
        return tree

    def _fresh_index(self, span: Span) -> Index:
        return Index(next(n for n in self._fresh if n not in self.letters), None, span)

    def _root(self, node: Root) -> Visit:
        inside = yield node.inside
        if node.degree is None:
            return Call("sqrt", None, (_bare_inside(inside),), None, node.span, node.span)
        degree = yield node.degree
        one = Number(Fraction(1), node.span)
        exponent = syntax.Product(((False, one), (True, _grouped(degree))), node.span)
        return Power(_grouped(inside), Group(exponent, node.span), node.span)

    def _enclosed(self, node: Enclosed) -> Visit:
        if len(node.inside) > 1:
            self.fail(
                "two expressions in brackets",
                node.span,
                "only \\max and \\min take two",
                "drop one",
            )
        (inner,) = node.inside
        tree = yield inner
        if node.kind == "{":
            return tree
        if node.kind == "(":
            return Group(_bare_inside(tree), node.span)
        if node.kind == "||":
            return self._norm(tree, "norm2", node.span)
        plain = _plain(inner)
        if not self.indexed and isinstance(plain, Letter) and plain.name[0].isupper():
            self.fail(
                f"{self._text(node.span)} has two readings",
                node.span,
                "the absolute values of the entries, or the determinant",
                rf"write \operatorname{{abs}}({plain.name}) or \det {plain.name}",
            )
        return Call("abs", None, (_bare_inside(tree),), None, node.span, node.span)

    def _norm(self, tree: Node, name: str, span: Span) -> Node:
        if self.indexed:
            self.fail(
                "a norm stands beside indices",
                span,
                "it needs the whole tensor, and here every axis has its index",
                r"write the sum of squares, r_i r_i, or the whole formula without indices",
            )
        return Call(name, None, (_bare_inside(tree),), None, span, span)

    # ------------------------------------------------------------ scripts

    def _scripted(self, node: Scripted) -> Visit:
        head = self._function_word(node)
        base = node.base
        if _is_norm(base):
            return (yield from self._scripted_norm(node))
        if head is not None and head[0] not in ("sigmoid",):
            self.fail(
                f"{head[0]} stands without an argument",
                node.span,
                "it is a function",
                f"write {head[0]}(...)",
            )
        subs = [script for kind, script in node.scripts if kind == "_"]
        sups = [script for kind, script in node.scripts if kind == "^"]
        if len(subs) > 1:
            self.fail("two subscripts", node.span, "a letter has one", "join them: x_{ij}")
        braced = isinstance(base, Enclosed) and base.kind == "{"
        plain = _plain(base)
        indices = None
        name = plain.name if isinstance(plain, Letter) else None
        if subs:
            indices = self._index_names(subs[0], node)
            if indices is None:
                if name is None:
                    self.fail(
                        "a number below brackets", node.span, "a number ends a name", "name it"
                    )
                name += self._figures(subs[0])
        if name is not None and isinstance(plain, Letter):
            tree: Any = None
            if indices is None:
                tree = self._bare(plain) if not subs else Name(name, node.span)
                if name == "e" and sups and "e" not in self.shapes and not subs:
                    return (yield from self._exponential(sups, node.span))
            return (yield from self._raised(name, indices, tree, sups, node))
        if indices is not None and isinstance(base, Enclosed) and not braced:
            if len(indices) == 2:
                tree = yield from self._entry(base, *indices, sups=self._turns(sups))
                sups = [s for s in sups if s not in self._turns(sups)]
            elif len(indices) == 1:
                tree = yield from self._entry_of_vector(base, indices[0])
            else:
                self.fail(
                    "more than two indices behind brackets",
                    node.span,
                    "a matrix has two",
                    "drop some",
                )
            return (yield from self._powers(tree, sups, node.span))
        if indices is not None:
            numbered = self._numbered(base)
            if numbered is not None:
                return (yield from self._raised(numbered.name, indices, None, sups, node))
            self.fail(
                "a subscript stands behind something that has none",
                node.span,
                "indices belong to names, and to matrices in brackets",
                "write X_{ij} or (A B)_{ij}",
            )
        tree = yield base
        return (yield from self._powers(tree, sups, node.span))

    def _exponential(self, sups: Sequence[Formula], span: Span) -> Visit:
        exponent = yield sups[0]
        tree: Node = Call("exp", None, (_bare_inside(exponent),), None, span, span)
        return (yield from self._powers(tree, sups[1:], span))

    def _raised(
        self,
        name: str,
        indices: tuple[Index, ...] | None,
        tree: Any,
        sups: Sequence[Formula],
        node: Scripted,
    ) -> Visit:
        """A name with its indices, transposed, inverted or raised to a power."""
        if indices is None:
            return (yield from self._powers(tree, sups, node.span))
        turns = self._turns(sups)
        inverse = False
        for turn in turns:
            what = self._turn(turn)
            if what != "inv" and len(indices) == 2:
                indices = indices[::-1]
            inverse = inverse or what != "T"
        if turns and len(indices) != 2:
            if inverse:
                turns = []
            else:
                self.fail(
                    f"a transpose of {name} with {len(indices)} indices",
                    node.span,
                    "a transpose exchanges two indices",
                    "drop it",
                )
        span = node.span
        special = {"delta": "delta", "epsilon": "eps", _ONES: "ones", _ZEROS: "zeros"}
        if name in ("delta", _ONES, _ZEROS) or (name == "epsilon" and len(indices) > 1):
            if name not in self.shapes and (name != "delta" or len(indices) == 2):
                name = special[name]
        if inverse and turns:
            tree = Call("inv", None, (Name(name, span),), indices, span, span)
        else:
            tree = Access(name, indices, span, node.base.span)
        return (yield from self._powers(tree, [s for s in sups if s not in turns], span))

    def _turns(self, sups: Sequence[Formula]) -> list[Formula]:
        return [s for s in sups if self._turn(s) is not None]

    def _turn(self, script: Formula) -> str | None:
        """What a superscript does to a matrix: "T", "inv", "invT"; None for a power."""
        plain = _plain(script)
        if isinstance(plain, Letter) and plain.name in (TURNED, "T"):
            return "T" if plain.name not in self.shapes else None
        if isinstance(plain, Terms) and len(plain.parts) == 1 and plain.parts[0][0]:
            inner = _plain(plain.parts[0][1])
            if isinstance(inner, Figure) and inner.value == 1:
                return "inv"
            if isinstance(inner, Letter) and inner.name in (TURNED, "T"):
                return "invT"
        return None

    def _powers(self, tree: Node, sups: Sequence[Formula], span: Span) -> Visit:
        for script in sups:
            what = self._turn(script)
            if what in ("T", "invT") and self.indexed:
                self.fail(
                    "a transpose stands without indices beside indices",
                    script.span,
                    "with indices a transpose exchanges them",
                    r"write X_{ji}, or (X^\top)_{ij}",
                )
            if what == "T":
                tree = syntax.Transpose(_grouped(tree), span)
                continue
            plain = _plain(script)
            if isinstance(plain, Row) and self._are_letters(plain):
                shown = self._text(script.span)
                self.fail(
                    f"the superscript {shown} has two readings",
                    script.span,
                    "upper indices, or a power with their product as its exponent",
                    "write indices below, as in A_{ij}",
                )
            if what == "invT":
                one = Number(Fraction(1), span)
                turned = syntax.Transpose(_grouped(tree), span)
                tree = Power(Group(turned, span), Negative(one, span), span)
                continue
            exponent = yield script
            tree = Power(_grouped(tree), exponent, span)
        return tree

    def _are_letters(self, row: Row) -> bool:
        """Letters side by side, some of them indices elsewhere."""
        letters = [p for s, p in row.parts if s == "" and isinstance(p, Letter)]
        return len(letters) == len(row.parts) and any(p.name in self.indices for p in letters)

    def _scripted_norm(self, node: Scripted) -> Visit:
        assert isinstance(node.base, Enclosed)
        name = "norm2"
        powers = []
        for kind, script in node.scripts:
            plain = _plain(script)
            if kind == "^":
                powers.append(script)
            elif isinstance(plain, Figure) and plain.value == 1:
                name = "norm1"
            elif not (
                (isinstance(plain, Figure) and plain.value == 2)
                or (isinstance(plain, Letter) and plain.name == "F")
            ):
                self.fail(
                    f"the norm {self._text(node.span)}",
                    script.span,
                    "read are the Euclidean norm, the Frobenius norm and the sum of absolute values",
                    r"write \|x\|, \|x\|_1 or \|X\|_F",
                )
        inner = yield node.base.inside[0]
        tree = self._norm(inner, name, node.base.span)
        return (yield from self._powers(tree, powers, node.span))

    # ------------------------------------------------------------ entries of matrices in brackets

    def _entry(
        self, node: Formula, row: Index, column: Index, sups: Sequence[Formula] = ()
    ) -> Visit:
        """The entry of a matrix expression without indices of its own: (A B)_{ij} is A_{ik} B_{kj}."""
        for script in sups:
            what = self._turn(script)
            if what in ("inv", "invT"):
                inner = yield from self._inverse_entry(node, row, column, what)
                return inner
            row, column = column, row
        plain = _plain_brackets(node)
        while isinstance(plain, Enclosed) and len(plain.inside) == 1 and plain.kind in "({":
            plain = _plain_brackets(plain.inside[0])
        span = node.span
        match plain:
            case Letter(name="I") if "I" not in self.shapes:
                return Access("delta", (row, column), span, span)
            case Letter():
                return Access(plain.name, (row, column), span, span)
            case Scripted():
                if all(kind == "^" for kind, _ in plain.scripts):
                    sups_ = [s for _, s in plain.scripts]
                    if len(self._turns(sups_)) == len(sups_):
                        return (yield from self._entry(plain.base, row, column, sups_))
            case Terms():
                terms = []
                for minus, term in plain.parts:
                    terms.append((minus, (yield from self._entry(term, row, column))))
                return Group(syntax.Sum(tuple(terms), span), span)
            case Row():
                if all(sign in ("", "*") for sign, _ in plain.parts):
                    return (yield from self._product_entry(plain, row, column))
        tree = yield plain
        return tree

    def _product_entry(self, node: Row, row: Index, column: Index) -> Visit:
        matrices = [p for _, p in node.parts if not self._is_scalar(p)]
        factors: list[tuple[bool, Node]] = []
        for _, part in node.parts:
            if self._is_scalar(part):
                factors.append((False, _grouped((yield part))))
        links = [row, *(self._fresh_index(node.span) for _ in matrices[1:]), column]
        for k, part in enumerate(matrices):
            factors.append((False, (yield from self._entry(part, links[k], links[k + 1]))))
        return syntax.Product(tuple(factors), node.span)

    def _is_scalar(self, node: Formula) -> bool:
        plain = _plain(node)
        if isinstance(plain, Letter):
            if plain.name in self.shapes:
                return not self.shapes[plain.name]
            return not plain.name[0].isupper()
        return isinstance(plain, Figure | Fraction_)

    def _inverse_entry(self, node: Formula, row: Index, column: Index, what: str) -> Visit:
        if what == "invT":
            row, column = column, row
        plain = _plain_brackets(node)
        while isinstance(plain, Enclosed) and len(plain.inside) == 1:
            plain = _plain_brackets(plain.inside[0])
        if isinstance(plain, Letter):
            name = Name(plain.name, plain.span)
            return Call("inv", None, (name,), (row, column), node.span, node.span)
        r, c = self._fresh_index(node.span), self._fresh_index(node.span)
        inner = yield from self._entry(plain, r, c)
        return Call("inv", (r, c), (inner,), (row, column), node.span, node.span)

    def _entry_of_vector(self, node: Formula, index: Index) -> Visit:
        """(A x)_i is A_{ij} x_j; (x + y)_i is x_i + y_i."""
        plain = _plain_brackets(node)
        while isinstance(plain, Enclosed) and len(plain.inside) == 1:
            plain = _plain_brackets(plain.inside[0])
        match plain:
            case Letter():
                return Access(plain.name, (index,), node.span, node.span)
            case Terms():
                terms = []
                for minus, term in plain.parts:
                    terms.append((minus, (yield from self._entry_of_vector(term, index))))
                return Group(syntax.Sum(tuple(terms), node.span), node.span)
            case Row() if all(sign in ("", "*") for sign, _ in plain.parts):
                *before, (_, last) = plain.parts
                chain = [p for _, p in before]
                links = [index]
                factors: list[tuple[bool, Node]] = []
                for part in chain:
                    is_number = isinstance(_plain(part), Figure | Fraction_) or (
                        isinstance(_plain(part), Letter) and not _plain(part).name[0].isupper()  # type: ignore[union-attr]
                    )
                    if is_number:
                        factors.append((False, _grouped((yield part))))
                    else:
                        links.append(self._fresh_index(node.span))
                        factors.append(
                            (False, (yield from self._entry(part, links[-2], links[-1])))
                        )
                factors.append((False, (yield from self._entry_of_vector(last, links[-1]))))
                return syntax.Product(tuple(factors), node.span)
        return (yield plain)


# ---------------------------------------------------------------- small facts about formulas


def _is_function(name: str) -> bool:
    known = (
        *functions.ELEMENTWISE, *functions.WHOLE, *functions.REDUCTIONS, *functions.NORMALISATIONS,
        *functions.MATRIX_FUNCTIONS, *functions.ALIASES, "diag", "vec", "norm1", "norm2",
    )  # fmt: skip
    return name in known and name != "pi"


def _is_norm(node: Formula) -> bool:
    return isinstance(node, Enclosed) and node.kind == "||"


def _plain(node: Formula) -> Formula:
    """A formula without braces around it, which only group."""
    while isinstance(node, Enclosed) and node.kind == "{" and len(node.inside) == 1:
        (node,) = node.inside
    return node


def _plain_brackets(node: Formula) -> Formula:
    return _plain(node)


def _unscripted(node: Formula) -> Formula:
    return node.base if isinstance(node, Scripted) else node


def _side_by_side(node: Formula) -> Sequence[Formula]:
    if isinstance(node, Row) and all(sign == "" for sign, _ in node.parts):
        return [_plain(part) for _, part in node.parts]
    return [node]


def _grouped(tree: Node) -> Node:
    """A tree that may stand as a factor or a base."""
    if isinstance(tree, syntax.Sum | syntax.Product | Negative | syntax.Pointwise):
        return Group(tree, tree.span)
    return tree


def _bare_inside(tree: Node) -> Node:
    return tree.inner if isinstance(tree, Group) else tree


def _chain(factors: Sequence[tuple[bool, Node]], span: Span | None = None) -> Node:
    if len(factors) == 1 and not factors[0][0]:
        return factors[0][1]
    whole = span or (factors[0][1].span[0], factors[-1][1].span[1])
    return syntax.Product(tuple(factors), whole)


def _nodes(equation: Equation) -> list[Formula]:
    """Every node of an equation."""
    found: list[Formula] = []
    stack: list[Any] = [side for side in (equation.right, equation.left) if side is not None]
    while stack:
        node = stack.pop()
        found.append(node)
        match node:
            case Row() | Terms():
                stack += [part for _, part in node.parts]
            case Fraction_():
                stack += [node.above, node.below]
            case Enclosed():
                stack += node.inside
            case Scripted():
                stack += [node.base, *(script for _, script in node.scripts)]
            case Applied():
                stack += [node.argument, *(script for _, script in node.scripts)]
            case Root():
                stack += [node.inside, *([node.degree] if node.degree else [])]
            case Listed():
                stack += node.parts
    return found
