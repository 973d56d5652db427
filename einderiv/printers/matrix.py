"""From terms back to matrix notation: products in a natural order, transposes, traces, diagonals.

In: a term with at most two axes, hints for definitions.
Out: a `syntax.Text` of matrix notation that reads back to an equal term.
Invariant: vectors are columns; NotMatrixFormError names the part that has no such form.
How a contraction becomes a product: `chains.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Generator, Mapping
from dataclasses import replace
from fractions import Fraction

from ..errors import NotMatrixFormError, axes_in_words
from ..notations import Context, Definition, Name, Node, syntax
from ..terms import (
    COMPARISON_NAMES,
    HALF,
    ONE,
    Apply,
    Contraction,
    Delta,
    Expr,
    Extent,
    Literal,
    Map,
    Ones,
    Subscript,
    Sum,
    Variable,
    add,
    base_and_exponent,
    broadcast_axes,
    contract,
    functions,
    split_scale,
    trampoline,
    with_decimals_inside,
)
from .chains import (
    Atom,
    Chain,
    Form,
    Network,
    chain_tree,
    dim_tree,
    flips,
    form_tree,
    identity,
    ones,
    oriented_sum,
    pointwise,
    sum_tree,
    transpose_chain,
)
from .named import arranged_terms, opposite, shared_nodes
from .surface import on_one_line, with_names
from .text import tree_text
from .trees import NOWHERE, call_tree, comparison_tree, power_tree, step_tree

Operands = list[tuple[Expr, Subscript]]


def flatten(
    node: Contraction, coefficient: Fraction, lets: Container[Expr]
) -> tuple[Fraction, Operands] | list[tuple[Fraction, Expr]]:
    """The coefficient and the operands of a product; terms if a sum among them is multiplied out.

    Operands of three and more axes are opened if they are products or sums.
    """
    operands: Operands = []
    stack = list(zip(node.children, node.inputs, strict=True))[::-1]
    fresh = 1 + max((label for labels in node.inputs for label in labels), default=-1)
    while stack:
        operand, labels = stack.pop()
        factor, inside = split_scale(operand)
        if len(labels) > 2 and isinstance(inside, Contraction):
            names = dict(zip(inside.output, labels, strict=True))
            for child, own in zip(inside.children, inside.inputs, strict=True):
                for label in own:
                    if label not in names:
                        names[label] = fresh
                        fresh += 1
                stack.append((child, tuple(names[label] for label in own)))
            coefficient *= factor
        elif len(labels) > 2 and isinstance(inside, Sum):
            others = [*operands, *stack]
            rest, inputs = [op for op, _ in others], [labels, *(own for _, own in others)]
            terms = (contract([term, *rest], inputs, node.output) for term in inside.children)
            return [
                (coefficient * factor * c, t)
                for c, t in zip(inside.coefficients, terms, strict=True)
            ]
        else:
            operands.append((operand, labels))
    for place, (operand, labels) in enumerate(operands if coefficient < 0 else ()):
        if labels and isinstance(operand, Sum) and operand not in lets:
            other = opposite(operand)
            if other is not None and operands.count((operand, labels)) == 1:
                operands[place] = (other, labels)
                return -coefficient, operands
    return coefficient, operands


Visit = Generator[Expr, Form, Form]


def matrix_text_of(
    root: Expr,
    hints: Context,
    *,
    row: bool = False,
    transposed: bool = False,
    declared: bool = False,
) -> syntax.Text:
    """The statements that say a term in matrix notation, the result last.

    `row` shows a result with one axis as a row, `transposed` one with two axes transposed; `declared` puts a
    declaration of every tensor in front.
    Raises NotMatrixFormError if a part has no such form.
    """
    if root.rank > 2:
        raise not_matrix_form(root, hints, whole=root)
    parts = (node for node in shared_nodes(root) if node.rank <= 2)
    lets, _ = with_names(root, parts, hints)
    printer = MatrixPrinter(hints, lets, root)
    statements: list[syntax.Declaration | Definition] = []
    if declared:
        statements += [
            syntax.Declaration(name, x.shape, tuple(sorted(x.assumptions)), NOWHERE, NOWHERE)
            for name, x in hints.assumed_variables.items()
        ]
    for node, name in lets.items():
        tree = form_tree(printer.form(node, top=True))
        statements.append(Definition(name, None, tree, NOWHERE, NOWHERE))
    form = printer.form(root, top=True)
    if (row and root.rank == 1) or (transposed and root.rank == 2):
        form = form.transpose()
    statements.append(Definition(None, None, form_tree(form), NOWHERE, NOWHERE))
    return syntax.Text("", tuple(statements))


def not_matrix_form(
    part: Expr, hints: Context, whole: Expr, names: tuple[str, ...] = (), nearest: str = ""
) -> NotMatrixFormError:
    """The error for a part that matrix notation has no word for, with the nearest form if there is one."""
    shown = on_one_line(part, hints, names if part is whole else ())
    facts = [f"matrix notation has numbers, columns and matrices: {axes_in_words(2)} at most"]
    if part.rank <= 2:
        facts = ["matrix notation multiplies matrices, columns and numbers, two axes at a time"]
    if part is not whole:
        facts.append(f"it stands in {on_one_line(whole, hints, names)}")
    return NotMatrixFormError(
        f"no matrix form for {shown}, which has {axes_in_words(part.rank)}",
        facts=facts,
        hint=nearest or "index notation shows it: print the expression, or ask for its LaTeX",
    )


class MatrixPrinter:
    """Forms of the nodes of one expression; definitions are referred to by name."""

    def __init__(self, hints: Context, lets: Mapping[Expr, str], root: Expr) -> None:
        self.hints, self.lets, self.root = hints, lets, root
        self._known: dict[Expr, Form] = {}

    def form(self, node: Expr, top: bool = False) -> Form:
        """The form of a node; `top` if its own definition is printed."""
        if top:
            self._known.pop(node, None)
        return trampoline(node, lambda n: self._visit(n, top and n is node))

    def _visit(self, node: Expr, top: bool) -> Generator[Expr, Form, Form]:
        if node in self.lets and not top:
            return _whole(Name(self.lets[node], NOWHERE), node)
        if node not in self._known:
            self._known[node] = yield from self._form(node)
        return self._known[node]

    def _form(self, node: Expr) -> Visit:
        if node.rank > 2:
            raise not_matrix_form(node, self.hints, self.root)
        match node:
            case Variable():
                return _whole(Name(node.name, NOWHERE), node)
            case Literal():
                return Form(node.value)
            case Extent():
                return Form(above=(Name(node.dim, NOWHERE),))
            case Ones():
                return Form(chain=ones(node.shape[0]))
            case Delta():
                return Form(chain=identity(node.shape[0]))
            case Sum():
                return (yield from self._sum(node))
            case Contraction():
                return (yield from self._product(node, ONE))
            case Map():
                return (yield from self._map(node))
            case Apply():
                return (yield from self._apply(node))
        raise AssertionError(node)

    # ------------------------------------------------------------ sums

    def _sum(self, node: Sum) -> Visit:
        if not node.children:
            sizes = [dim_tree(dim) for dim in node.shape]
            return _whole(call_tree("zeros", *sizes), node)
        node = with_decimals_inside(node)
        if len(node.children) == 1:
            return (yield from self._multiple(node.coefficients[0], node.children[0]))
        entries = sorted(arranged_terms(node), key=_repeats_itself)
        is_sized = any(len(broadcast_axes(term)) < node.rank for _, term in entries)
        terms = []
        for coefficient, term in entries:
            form = yield from self._multiple(abs(coefficient), term)
            minus, form = _sign_and_size(form)
            terms.append(
                ((coefficient < 0) != minus, _sized_by_context(form) if is_sized else form)
            )
        if not node.rank:
            return Form(above=(sum_tree(terms),))
        if node.rank == 1:
            return Form(chain=(Atom(sum_tree(terms)),))
        return Form(chain=(oriented_sum(terms, node.symmetric),))

    def _multiple(self, coefficient: Fraction, term: Expr) -> Visit:
        """coefficient * term, signs moved into a bracket if that reads better."""
        if isinstance(term, Sum) and coefficient < 0:
            other = opposite(term)
            if other is not None:
                coefficient, term = -coefficient, other
        if isinstance(term, Contraction) and term not in self.lets:
            return (yield from self._product(term, coefficient))
        form = yield term
        return form.times(Form(coefficient))

    # ------------------------------------------------------------ products

    def _product(self, node: Contraction, coefficient: Fraction) -> Visit:
        flat = flatten(node, coefficient, self.lets)
        if isinstance(flat, list):
            return (yield add(flat, node.shape))
        net = yield from self._network(node.output, *flat)
        result = net.form() if net.reduce() else None
        if result is None:
            raise not_matrix_form(node, self.hints, self.root)
        return result

    def network(
        self, node: Contraction, coefficient: Fraction
    ) -> Network | list[tuple[Fraction, Expr]]:
        """The reduced graph of a product with any number of axes; terms if it is a sum."""
        flat = flatten(node, coefficient, self.lets)
        if isinstance(flat, list):
            return flat

        def visit(place: Expr) -> Generator[Expr, Form, Form | Network]:
            if place is node:
                return (yield from self._network(node.output, *flat))
            return (yield from self._visit(place, top=False))

        net = trampoline(node, visit)
        assert isinstance(net, Network)
        net.reduce()
        return net

    def _network(
        self, output: Subscript, coefficient: Fraction, operands: Operands
    ) -> Generator[Expr, Form, Network]:
        """The graph of a product's operands."""
        pairs = (pair for op, labels in operands for pair in zip(labels, op.shape, strict=True))
        net = Network(output, dict(pairs))
        net.outer = Form(coefficient)
        for operand, times in Counter(op for op, labels in operands if not labels).items():
            base, exponent = base_and_exponent(operand)
            form = yield base
            net.outer = net.outer.times(_scalar_power(form, exponent * times))
        for operand, labels in operands:
            if not labels:
                continue
            base, exponent = base_and_exponent(operand)
            if exponent > 0:  # only what one divides by keeps its exponent
                base, exponent = operand, ONE
            form = yield base
            if isinstance(base, Ones):
                continue
            chain = form.chain if exponent == 1 else _as_chain(form)
            if exponent == 1:
                net.outer = net.outer.times(form)
            if len(labels) == 1:
                net.columns[labels[0]].append((chain, exponent))
            else:
                net.join(labels[0], labels[1], chain, exponent, isinstance(base, Delta))
        return net

    # ------------------------------------------------------------ functions

    def _map(self, node: Map) -> Visit:
        if not node.children:
            return _whole(Name(node.function, NOWHERE), node)
        base, exponent = base_and_exponent(node)
        if exponent != 1 and node.function == "pow":
            form = yield base
            if not node.rank:
                return _scalar_power(form, exponent)
            return Form(chain=pointwise([(_as_chain(form), exponent)], matrices=node.rank == 2))
        turned = yield from self._reads_better_transposed(node)
        tree = yield from self._call(node, turned)
        if _is_comparison(node):
            tree = step_tree(tree)
        return Form(chain=(Atom(tree, flipped=True),)) if turned else _whole(tree, node)

    def _reads_better_transposed(self, node: Map) -> Generator[Expr, Form, bool]:
        """tanh(X*W)' rather than tanh(W'*X')."""
        if node.rank != 2 or node.symmetric:
            return False
        as_it_is = turned = 0
        for child in node.children:
            for inner in child.children if self._is_condition(child) else (child,):
                if inner.rank:
                    form = yield inner
                    as_it_is += flips(form.chain)
                    turned += flips(form.transpose().chain)
        return turned < as_it_is

    def _is_condition(self, node: Expr) -> bool:
        return _is_comparison(node) and node not in self.lets

    def _call(self, node: Map, turned: bool) -> Generator[Expr, Form, Node]:
        arguments: list[Node] = []
        for child in node.children:
            if node.function == "where" and not arguments and self._is_condition(child):
                assert isinstance(child, Map)
                arguments.append((yield from self._call(child, turned)))
            else:
                arguments.append((yield from self._argument(child, node, turned)))
        if _is_comparison(node):
            return comparison_tree(node.function, *arguments)
        if node.function == "pow":
            raised, by = arguments
            if node.rank:
                return syntax.Pointwise(".^", raised, by, NOWHERE)
            return syntax.Power(raised, by, NOWHERE)
        if node.function == "sqrt" and not node.rank:
            return _root(arguments[0])
        return call_tree(node.function, *arguments)

    def _argument(self, child: Expr, node: Map, turned: bool) -> Generator[Expr, Form, Node]:
        """An argument; one that only repeats a number is sized by its neighbours."""
        form = yield child
        neighbours = [c for c in node.children if c.rank and len(broadcast_axes(c)) < c.rank]
        if child.rank and neighbours:
            form = _sized_by_context(form)
        return form_tree(form.transpose() if turned and child.rank else form)

    def _apply(self, node: Apply) -> Visit:
        child = node.children[0] if node.children else node
        row = functions.WHOLE.get(node.function) if node.children else None
        core = 2 if row is None or row.matrix else node.width
        if row is not None and core <= child.rank <= 2:
            form = yield child
            if child.rank == 1 or (core == 2 and (row.matrix or not node.rank)):
                return _whole(call_tree(node.function, form_tree(form)), node)
            written = _written_out(node.function, form, child, by_rows=core == 1)
            if written is not None:
                return written
        raise not_matrix_form(node, self.hints, self.root)


def _written_out(function: str, form: Form, child: Expr, by_rows: bool) -> Form | None:
    """Normalisations of a matrix, which has no word for them: exp(Z)./(exp(Z)*ones(k)*ones(k)') by rows."""
    exps = (Atom(call_tree("exp", form_tree(form))),)
    sums = (*exps, *ones(child.shape[1]))
    logs: Chain = (Atom(call_tree("log", chain_tree(sums))),)
    if by_rows and function == "logsumexp":
        return Form(chain=logs)
    every_row = transpose_chain(ones(child.shape[1]))
    if by_rows and function == "softmax":
        return Form(chain=pointwise([(exps, ONE), ((*sums, *every_row), -ONE)]))
    if function not in ("softmax", "logsoftmax"):
        return None
    total = (Atom(call_tree("matrix", call_tree("logsumexp", form_tree(form)))),)
    subtracted = (*logs, *every_row) if by_rows else total
    tree = sum_tree([(False, form), (True, Form(chain=subtracted))])
    return Form(chain=(Atom(call_tree("exp", tree) if function == "softmax" else tree),))


def _repeats_itself(entry: tuple[Fraction, Expr]) -> tuple[bool, bool]:
    """Positive terms come first, and among them those that are not broadcast numbers or columns."""
    coefficient, term = entry
    return coefficient < 0, bool(term.rank and broadcast_axes(term))


def _whole(tree: Node, node: Expr) -> Form:
    """A tree that is all of a node."""
    if not node.rank:
        return Form(above=(tree,))
    return Form(chain=(Atom(tree, symmetric=node.symmetric),))


def _root(tree: Node) -> Node:
    """The square root of a tree: a norm if it is of a sum of squares."""
    inside = tree.inner if isinstance(tree, syntax.Group) else tree
    match inside:
        case syntax.Power(
            base=syntax.Call(function="norm2") as norm, exponent=syntax.Number(value=v)
        ):
            if v == 2:
                return norm
        case syntax.Product(
            factors=((_, syntax.Transpose(operand=Name(name=x))), (_, Name(name=y)))
        ):
            if x == y:
                return call_tree("norm2", Name(x, NOWHERE))
        case syntax.Call(function="tr", arguments=(syntax.Product() as product,)):
            root = _root(product)
            if isinstance(root, syntax.Call) and root.function == "norm2":
                return root
    return call_tree("sqrt", inside)


def _is_comparison(node: Expr) -> bool:
    return isinstance(node, Map) and node.function in COMPARISON_NAMES


def _sign_and_size(form: Form) -> tuple[bool, Form]:
    """Is it subtracted, and what."""
    return form.coefficient < 0, replace(form, coefficient=abs(form.coefficient))


def _as_chain(form: Form) -> Chain:
    """A form as one factor of a product entry by entry."""
    plain = form.coefficient == 1 and not form.above and not form.below
    return form.chain if plain else (Atom(form_tree(form)),)


def _sized_by_context(form: Form) -> Form:
    """c*ones(n) as vector(c), c*ones(m,n) as matrix(c), if a neighbour tells the size."""
    if not form.chain or any(atom.ones is None for atom in form.chain):
        return form
    scalar = form_tree(form.scalars())
    word = "vector" if len(form.chain) == 1 else "matrix"
    return Form(chain=(Atom(call_tree(word, scalar), symmetric=word == "matrix"),))


def _scalar_power(form: Form, exponent: Fraction) -> Form:
    """A scalar's power; a divisor for a negative one."""
    if exponent == 1:
        return form
    if exponent == -1 and form.coefficient:
        return Form(1 / form.coefficient, form.below, form.above)
    tree, root = form_tree(form), _root(form_tree(form))
    is_norm = isinstance(root, syntax.Call) and root.function == "norm2"
    if is_norm and (exponent.denominator == 2 or isinstance(tree, syntax.Power)):
        tree = power_tree(root, 2 * abs(exponent))  # (x'*x)^(3/2) is norm2(x)^3
    else:
        tree = root if abs(exponent) == HALF else power_tree(tree, abs(exponent))
    return Form(above=(tree,)) if exponent > 0 else Form(below=(tree,))


# ---------------------------------------------------------------- the nearest form of larger terms

# The entry at rows (i,j) and columns (k,l) is in row i + m*j and column k + p*l, since vec stacks columns:
# kron(B, A)*vec(X) is vec(A*X*B'), and K(p,q)*vec(X) is vec(X') for X with p rows, q columns.
# Source: Magnus and Neudecker, "Matrix Differential Calculus" (2019), chapters 2 and 3.
_TERMS = 24  # longer sums are not read by anyone


def nearest_form(root: Expr, rows: int, hints: Context) -> str:
    """A text such as `kron(B', A)`: the matrix of vec(result) by vec(variable); "" if there is none."""
    tree = nearest_tree(root, rows, hints)
    return "" if tree is None else tree_text(tree)


def nearest_tree(root: Expr, rows: int, hints: Context) -> Node | None:
    """The surface tree of `nearest_form`; the first `rows` axes are those of the result."""
    if root.rank not in (3, 4) or not 0 < rows < root.rank or max(rows, root.rank - rows) > 2:
        return None
    printer = MatrixPrinter(hints, {}, root)
    waiting: list[tuple[Fraction, Expr]] = [(Fraction(1), root)]
    terms: list[tuple[bool, Node]] = []
    while waiting:
        if len(waiting) + len(terms) > _TERMS:
            return None
        coefficient, term = waiting.pop(0)
        factor, inside = split_scale(term)
        coefficient *= factor
        if isinstance(inside, Sum):
            pairs = zip(inside.coefficients, inside.children, strict=True)
            waiting[:0] = [(coefficient * c, child) for c, child in pairs]
            continue
        if not isinstance(inside, Contraction):
            return None
        try:
            found = printer.network(inside, coefficient)
        except NotMatrixFormError:
            return None
        if isinstance(found, list):
            waiting[:0] = found
            continue
        chain = _pair_axes(found, inside, rows)
        if chain is None:
            return None
        minus, form = _sign_and_size(found.with_scalars(chain))
        terms.append((minus, form_tree(form)))
    if len(terms) == 1 and not terms[0][0]:
        return terms[0][1]
    return syntax.Sum(tuple(terms), NOWHERE) if terms else None


def _pair_axes(net: Network, node: Contraction, rows: int) -> Chain | None:
    """The chain of one term, by the way its axes pair up."""
    axes = node.output
    if any(label not in axes for label in net.columns):
        return None  # some vertex resisted
    first, second = axes[:rows], axes[rows:]
    if len(axes) == 3:
        return _three(net, first, second)
    return _diagonal(net, node, first, second) or _four(net, first, second)


def _four(net: Network, first: tuple[int, ...], second: tuple[int, ...]) -> Chain | None:
    (i, j), (k, l) = first, second
    for one, other in (((i, k), (j, l)), ((i, l), (j, k)), ((i, j), (k, l))):
        a, b = net.matrix(*one), net.matrix(*other)
        apart = all(edge.other(v) not in other for v in one for edge in net.edges[v])
        if a is None or b is None or not apart:
            continue
        if one == (i, j):
            return (*_vec(a), *transpose_chain(_vec(b)))
        turn = call_tree("K", dim_tree(net.dims[k]), dim_tree(net.dims[l]))
        return (*_kron(b, a), Atom(turn)) if one == (i, l) else _kron(b, a)
    return None


def _three(net: Network, first: tuple[int, ...], second: tuple[int, ...]) -> Chain | None:
    """One side is a vector i, the other a matrix (k,l) whose columns are stacked."""
    stacked_rows = len(first) == 2
    (i,), (k, l) = (second, first) if stacked_rows else (first, second)

    def turn(chain: Chain) -> Chain:
        return transpose_chain(chain) if stacked_rows else chain

    matrix = net.matrix(i, k)
    if matrix is not None and not net.edges[l]:
        return _kron(turn(transpose_chain(net.column(l))), turn(matrix))
    matrix = net.matrix(i, l)
    if matrix is not None and not net.edges[k]:
        return _kron(turn(matrix), turn(transpose_chain(net.column(k))))
    matrix = net.matrix(k, l)
    if matrix is not None and not net.edges[i]:
        return turn((*net.column(i), *transpose_chain(_vec(matrix))))
    return None


def _diagonal(
    net: Network, node: Contraction, first: tuple[int, ...], second: tuple[int, ...]
) -> Chain | None:
    """f'(X)_ij d_ik d_jl: a diagonal matrix."""
    operands = list(zip(node.children, node.inputs, strict=True))
    deltas = {frozenset(labels) for operand, labels in operands if isinstance(operand, Delta)}
    if deltas != {frozenset(pair) for pair in zip(first, second, strict=True)}:
        return None
    kept = [(op, labels) for op, labels in operands if not isinstance(op, Delta)]
    if not any(set(labels) == set(first) for _, labels in kept):
        return None
    inner = contract([op for op, _ in kept], [labels for _, labels in kept], first)
    form = MatrixPrinter(Context(), {}, inner).form(inner)
    net.scalars = net.scalars.times(form)
    return (Atom(call_tree("diag", chain_tree(_vec(form.chain))), symmetric=True),)


def _kron(a: Chain, b: Chain) -> Chain:
    return (Atom(call_tree("kron", chain_tree(a), chain_tree(b))),)


def _vec(a: Chain) -> Chain:
    return (Atom(call_tree("vec", chain_tree(a))),)
