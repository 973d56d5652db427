r"""From LaTeX to what it means: index notation where subscripts stand, matrix notation where none do.

In: a LaTeX formula, extents and assumptions given beside it. Out: `Meaning`.
Invariant: the summation convention, and the meaning of matrix products, are those of the other notations:
the formula is written as their surface tree and read by their elaborators. Two readings are an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from ...errors import Span
from ...terms import Dim, trampoline
from .. import complaints, syntax
from ..context import Meaning
from ..index import elaborate
from ..matrix.reading import elaborate_matrix
from ..syntax import Index, Negative, Node, Number
from .formulas import (
    Applied,
    Enclosed,
    Entry,
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
    Visit,
    grouped,
    is_norm,
    nodes_of,
    parse_latex,
    product_of,
    unbraced,
    unscripted,
)
from .latex_scripts import ScriptReader

_FUNCTION_LETTERS = frozenset({"f", "g", "h", "F", "G", "H", "phi", "psi"})


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
    statements = [s for s in statements[:-1] if s.name is not None] + statements[-1:]
    complaints.check_statements(source, statements, r"x_i Q_{ij} x_j", r"r_a = \dots")
    text = syntax.Text(source, tuple(statements))
    if reader.indexed:
        return elaborate(text, shapes, assume)
    given = {**{name: () for name in reader.divisors}, **(shapes or {})}
    return elaborate_matrix(text, given, assume)


class _Reader(ScriptReader):
    """Writes formulas as surface trees."""

    def statement(self, equation: Equation) -> syntax.Definition:
        body: Node = trampoline(equation.right, self.visit)
        if equation.left is None:
            return syntax.Definition(None, None, body, body.span, body.span)
        name, indices = self._left(equation.left)
        if name in ("derivative", "value"):
            names = (name if k == 1 else f"{name}{k}" for k in count(1))
            name = next(n for n in names if n not in self.defined)
        if name is not None:
            self.defined.add(name)
        span = equation.left.span
        return syntax.Definition(name, indices or None, body, equation.span, span)

    def _left(self, left: Formula) -> tuple[str | None, tuple[Index, ...]]:
        """J, y_i, J(theta), and derivatives by something: their indices, in order."""
        plain = unbraced(left)
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
        inside = nodes_of(Equation(None, left, left.span))
        if any(
            isinstance(node, Letter) and node.name in ("partial", "d", "nabla") for node in inside
        ):
            found: dict[str, Index] = {}
            for node in inside:
                under = unbraced(node.base) if isinstance(node, Scripted) else None
                if isinstance(under, Letter) and under.name in ("partial", "nabla"):
                    continue  # the variable, not an index
                if isinstance(node, Scripted):
                    for kind, script in node.scripts:
                        if kind == "_":
                            for index in self._index_names(script, node) or ():
                                found.setdefault(index.name, index)
            return "derivative", tuple(found.values())
        if isinstance(plain, Scripted):
            subs = [script for kind, script in plain.scripts if kind == "_"]
            indices = self._index_names(subs[0], plain) if len(subs) == 1 else None
            return "value", indices or ()  # (W x)_i = ...
        return None, ()  # an identity: the other side says the same

    def _name_and_indices(
        self, base: Letter, script: Formula, node: Scripted
    ) -> tuple[str, tuple[Index, ...]]:
        indices = self._index_names(script, node)
        if indices is None:
            return base.name + self._figures(script), ()
        return base.name, indices

    def visit(self, node: Formula | Entry) -> Visit:
        """The surface tree of a formula, or of an entry of one."""
        match node:
            case Entry(column=None):
                return (yield from self._entry_of_vector(node.formula, node.row))
            case Entry():
                assert node.column is not None
                return (yield from self._entry(node.formula, node.row, node.column, node.turns))
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
                # the line is a division sign: its numerator belongs to the product around it
                plain = isinstance(above, syntax.Product)
                factors = above.factors if plain else ((False, grouped(above)),)
                return syntax.Product((*factors, (True, grouped(below))), node.span)
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
        for node in nodes_of(Equation(None, term, term.span)):
            if isinstance(node, Scripted) and not is_norm(node.base):
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

    def _row(self, node: Row) -> Visit:
        factors: list[tuple[str, Node]] = []
        parts = list(node.parts)
        place = 0
        after_division: Formula | None = None
        while place < len(parts):
            sign, part = parts[place]
            taken = self._with_brackets(part, parts[place + 1 : place + 2])
            if taken is not None:  # \log \sigma(x) is the logarithm of \sigma(x)
                del parts[place + 1]
                parts[place] = (sign, taken)
                part = taken
            if sign == "" and place and after_division is not None:
                before, after = self._text(after_division.span), self._text(part.span)
                self.fail(
                    f"{self._text(node.span)} has two readings",
                    part.span,
                    f"(... / {before}) {after}, or ... / ({before} {after})",
                    r"write \frac{}{} or brackets",
                )
            head = self._function_word(part)
            if head is not None and head[0] == "sigmoid" and not self._is_called(parts, place):
                head = None  # a number called sigma
            if head is not None and place + 1 < len(parts) and parts[place + 1][0] == "":
                name, scripts, name_span = head
                argument = parts[place + 1][1]
                tree = yield from self._called(name, scripts, argument, name_span)
                place += 1
                part = argument if unbraced(argument) is not argument else part
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
                left = product_of(chain)
                result = syntax.Pointwise(sign, left, grouped(tree), (left.span[0], tree.span[1]))
                if self.indexed:
                    self.fail(
                        "an entry-by-entry sign beside indices",
                        span,
                        "with indices every product is one of entries",
                        "drop it, and name the indices that stay on the left side",
                    )
                chain = [(False, result)]
            else:
                chain.append((sign == "/", grouped(tree)))
        return product_of(chain, span)

    def _with_brackets(
        self, part: Formula, following: Sequence[tuple[str, Formula]]
    ) -> Formula | None:
        """A function of a function's name, with the brackets behind that name."""
        around: list[Applied] = []
        inner = part
        while isinstance(inner, Applied):
            around.append(inner)
            inner = inner.argument
        if not around or not following or self._function_word(inner) is None:
            return None
        sign, bracket = following[0]
        base = unscripted(bracket)
        if sign or not (isinstance(base, Enclosed) and base.kind == "("):
            return None
        span = (inner.span[0], bracket.span[1])
        tree: Formula = Enclosed("(", (Row((("", inner), ("", bracket)), span),), span)
        for outer in reversed(around):
            whole = (outer.span[0], span[1])
            tree = Applied(outer.function, outer.scripts, tree, whole, outer.name_span)
        return tree

    def _is_called(self, parts: Sequence[tuple[str, Formula]], place: int) -> bool:
        """Do brackets follow?"""
        following = parts[place + 1][1] if place + 1 < len(parts) else None
        bracket = None if following is None else unscripted(following)
        return isinstance(bracket, Enclosed) and bracket.kind == "("

    def _check_call_or_product(
        self, part: Formula, following: Sequence[tuple[str, Formula]]
    ) -> None:
        if not (isinstance(part, Letter) and following and following[0][0] == ""):
            return
        bracket = unscripted(following[0][1])
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
        bracket = unscripted(part.argument)
        closed = isinstance(bracket, Enclosed) and bracket.kind in "(|"
        return (
            part.function not in ("sum", "prod")
            and not closed
            and not isinstance(part.argument, Applied)
        )
