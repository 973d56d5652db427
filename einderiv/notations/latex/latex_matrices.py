"""Functions in a formula, and entries of matrix expressions: (A B)_{ij}, (X + Y)^{-1}_{ij}.

In: formulas. Out: surface trees.
Invariant: an entry of a product sums over fresh indices between its factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ...errors import Span
from ...terms import functions
from .. import syntax
from ..syntax import Access, Call, Group, Index, Name, Node, Number, Power
from .formulas import (
    Applied,
    Enclosed,
    Entry,
    Figure,
    Formula,
    Fraction_,
    Letter,
    Root,
    Row,
    Scripted,
    Scripts,
    Terms,
    Visit,
    bare_inside,
    grouped,
    unbraced,
    unscripted,
)
from .latex_names import Names


class Matrices(Names):
    """Calls and entries; `visit` of the whole formula writes their parts."""

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
        plain = unbraced(node)
        while isinstance(plain, Enclosed) and len(plain.inside) == 1 and plain.kind in "({":
            plain = unbraced(plain.inside[0])
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
                        return (yield Entry(plain.base, row, column, tuple(sups_)))
            case Terms():
                terms = []
                for minus, term in plain.parts:
                    terms.append((minus, (yield Entry(term, row, column))))
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
                factors.append((False, grouped((yield part))))
        links = [row, *(self._fresh_index(node.span) for _ in matrices[1:]), column]
        for k, part in enumerate(matrices):
            factors.append((False, (yield Entry(part, links[k], links[k + 1]))))
        return syntax.Product(tuple(factors), node.span)

    def _inverse_entry(self, node: Formula, row: Index, column: Index, what: str) -> Visit:
        if what == "invT":
            row, column = column, row
        plain = unbraced(node)
        while isinstance(plain, Enclosed) and len(plain.inside) == 1:
            plain = unbraced(plain.inside[0])
        if isinstance(plain, Letter):
            name = Name(plain.name, plain.span)
            return Call("inv", None, (name,), (row, column), node.span, node.span)
        r, c = self._fresh_index(node.span), self._fresh_index(node.span)
        inner = yield Entry(plain, r, c)
        return Call("inv", (r, c), (inner,), (row, column), node.span, node.span)

    def _entry_of_vector(self, node: Formula, index: Index) -> Visit:
        """(A x)_i is A_{ij} x_j; (x + y)_i is x_i + y_i."""
        plain = unbraced(node)
        while isinstance(plain, Enclosed) and len(plain.inside) == 1:
            plain = unbraced(plain.inside[0])
        match plain:
            case Letter():
                return Access(plain.name, (index,), node.span, node.span)
            case Terms():
                terms = []
                for minus, term in plain.parts:
                    terms.append((minus, (yield Entry(term, index, None))))
                return Group(syntax.Sum(tuple(terms), node.span), node.span)
            case Row() if all(sign in ("", "*") for sign, _ in plain.parts):
                *before, (_, last) = plain.parts
                chain = [p for _, p in before]
                links = [index]
                factors: list[tuple[bool, Node]] = []
                for part in chain:
                    is_number = isinstance(unbraced(part), Figure | Fraction_) or (
                        isinstance(unbraced(part), Letter) and not unbraced(part).name[0].isupper()  # type: ignore[union-attr]
                    )
                    if is_number:
                        factors.append((False, grouped((yield part))))
                    else:
                        links.append(self._fresh_index(node.span))
                        factors.append((False, (yield Entry(part, links[-2], links[-1]))))
                factors.append((False, (yield Entry(last, links[-1], None))))
                return syntax.Product(tuple(factors), node.span)
        return (yield plain)

    def _whole(self, node: Formula) -> Node | None:
        """A named matrix, or functions of one, for a function of whole matrices."""
        functions_around: list[tuple[str, Span]] = []
        while True:
            plain = self._numbered(node) or unbraced(node)
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

    def _matrix_call(
        self,
        name: str,
        kept: tuple[Index, ...] | None,
        argument: Formula,
        subscript: tuple[Index, ...] | None,
        span: Span,
        name_span: Span,
    ) -> Visit:
        inside = unbraced(argument)
        inside = inside.inside[0] if isinstance(inside, Enclosed) else inside
        if kept is not None or not self.indexed:
            tree = yield inside
            return Call(name, kept, (bare_inside(tree),), subscript, span, name_span)
        whole = self._whole(argument)
        if whole is not None:
            return Call(name, None, (whole,), subscript, span, name_span)
        row, column = self._fresh_index(span), self._fresh_index(span)
        tree = yield Entry(inside, row, column)
        return Call(name, (row, column), (tree,), subscript, span, name_span)

    def _called(self, name: str, scripts: Scripts, argument: Formula, name_span: Span) -> Visit:
        """f_{ij}^p (argument)_{kl}^q: kept indices, powers of the value, what is read behind it."""
        span = (name_span[0], argument.span[1])
        behind: list[tuple[str, Formula]] = []
        inside: Formula = argument
        reaches = name in (
            "sum",
            "prod",
            "max",
            "min",
        )  # these take all that follows, powers included
        if not reaches and isinstance(argument, Scripted) and _is_bracket(argument.base):
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
        if name == "log" and isinstance(inside, Applied) and inside.function == "det":
            if inside.scripts:
                tree = yield from self._called("logdet", inside.scripts, inside.argument, name_span)
            else:
                tree = yield from self._matrix_call(
                    "logdet", None, inside.argument, None, span, name_span
                )
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
            tree = Call(name, kept, tuple(map(bare_inside, trees)), subscript, span, name_span)
        if powers and name in ("sin", "cos", "tan") and self._turn(powers[0]) == "inv":
            self.fail(
                f"\\{name}^{{-1}} has two readings",
                name_span,
                f"the inverse function arc{name}, or 1/{name}",
                f"write \\arc{name} x or \\frac{{1}}{{\\{name} x}}",
            )
        return (yield from self.raised(tree, powers, span))

    def raised(self, tree: Node, sups: Sequence[Formula], span: Span) -> Visit:
        """A tree with what stands above it; `ScriptReader` knows how."""
        raise NotImplementedError

    def _applied(self, node: Applied) -> Visit:
        name = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}.get(
            node.function, node.function
        )
        argument = node.argument
        if name in ("max", "min") and isinstance(argument, Row):
            (_, first), *rest = argument.parts
            if _is_bracket(unscripted(first)):  # \max_i(x_i) y is y times the maximum
                head = Applied(name, node.scripts, first, node.span, node.name_span)
                return (yield Row((("", head), *rest), node.span))
        if name in ("max", "min") and isinstance(argument, Scripted):
            base = argument.base
            if isinstance(base, Enclosed) and len(base.inside) == 2:
                tree = yield Applied(name, node.scripts, base, node.span, node.name_span)
                return (yield from self.raised(tree, [s for _, s in argument.scripts], node.span))
        return (yield from self._called(name, node.scripts, argument, node.name_span))

    def _root(self, node: Root) -> Visit:
        inside = yield node.inside
        if node.degree is None:
            return Call("sqrt", None, (bare_inside(inside),), None, node.span, node.span)
        degree = yield node.degree
        one = Number(Fraction(1), node.span)
        exponent = syntax.Product(((False, one), (True, grouped(degree))), node.span)
        return Power(grouped(inside), Group(exponent, node.span), node.span)

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
            return Group(bare_inside(tree), node.span)
        if node.kind == "||":
            return self._norm(tree, "norm2", node.span)
        plain = unbraced(inner)
        if not self.indexed and isinstance(plain, Letter) and plain.name[0].isupper():
            self.fail(
                f"{self._text(node.span)} has two readings",
                node.span,
                "the absolute values of the entries, or the determinant",
                rf"write \operatorname{{abs}}({plain.name}) or \det {plain.name}",
            )
        return Call("abs", None, (bare_inside(tree),), None, node.span, node.span)

    def _norm(self, tree: Node, name: str, span: Span) -> Node:
        if self.indexed:
            self.fail(
                "a norm stands beside indices",
                span,
                "it needs the whole tensor, and here every axis has its index",
                r"write the sum of squares, r_i r_i, or the whole formula without indices",
            )
        return Call(name, None, (bare_inside(tree),), None, span, span)


def _is_bracket(node: Formula) -> bool:
    return isinstance(unbraced(node), Enclosed)
