"""The nearest matrix form of a term with three or four axes: a matrix between stacked columns.

In: a term, how many of its axes are rows. Out: a text with `kron` and `vec`, "" where there is none.
Invariant: the entry at rows (i,j) and columns (k,l) stands in row i + m*j and column k + p*l, since vec
stacks columns. kron(B, A)*vec(X) is vec(A*X*B'); K(p,q)*vec(X) is vec(X') for X with p rows, q columns.
Source: Magnus and Neudecker, "Matrix Differential Calculus" (2019), chapters 2 and 3.
"""

from __future__ import annotations

from fractions import Fraction

from ..canonical import contract
from ..errors import NotMatrixFormError
from ..expr import Contraction, Delta, Expr, Sum
from ..notation import syntax
from ..notation.syntax import Call, Node
from ..structure import split_scale
from .chains import Atom, Chain, Form, chain_tree, dim_tree, form_tree, transposed
from .letters import Hints
from .matrix import MatrixPrinter
from .matrix_text import tree_text
from .network import Network
from .trees import NOWHERE, call_tree

_TERMS = 24  # longer sums are not read by anyone


def nearest_form(root: Expr, rows: int, hints: Hints) -> str:
    """A text such as `kron(B', A)`: the matrix of vec(result) by vec(variable); "" where there is none."""
    tree = nearest_tree(root, rows, hints)
    return "" if tree is None else tree_text(tree)


def nearest_tree(root: Expr, rows: int, hints: Hints) -> Node | None:
    """The surface tree of `nearest_form`; the first `rows` axes are those of the result."""
    if root.rank not in (3, 4) or not 0 < rows < root.rank or max(rows, root.rank - rows) > 2:
        return None
    printer = MatrixPrinter(hints, {}, root)
    waiting: list[tuple[Fraction, Expr]] = [(Fraction(1), root)]
    terms: list[tuple[bool, Node]] = []
    while waiting:
        coefficient, term = waiting.pop(0)
        factor, inside = split_scale(term)
        coefficient *= factor
        if isinstance(inside, Sum):
            pairs = zip(inside.coefficients, inside.children, strict=True)
            waiting[:0] = [(coefficient * c, child) for c, child in pairs]
            if len(waiting) + len(terms) > _TERMS:
                return None
            continue
        if not isinstance(inside, Contraction):
            return None
        try:
            found = printer.network(inside, coefficient)
        except NotMatrixFormError:
            return None
        if isinstance(found, list):
            waiting[:0] = found
            if len(waiting) + len(terms) > _TERMS:
                return None
            continue
        net, scalars = found
        chain = _paired(net, inside, rows)
        if chain is None:
            return None
        form = net.with_scalars(chain).times(scalars)
        size = Form(abs(form.coefficient), form.above, form.below, form.chain)
        terms.append((form.coefficient < 0, form_tree(size)))
    if not terms:
        return None
    if len(terms) == 1 and not terms[0][0]:
        return terms[0][1]
    return syntax.Sum(tuple(terms), NOWHERE)


def _paired(net: Network, node: Contraction, rows: int) -> Chain | None:
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
    a, b = _pair(net, i, k), _pair(net, j, l)
    if a is not None and b is not None and _apart(net, (i, k), (j, l)):
        return _kron(b, a)
    a, b = _pair(net, i, l), _pair(net, j, k)
    if a is not None and b is not None and _apart(net, (i, l), (j, k)):
        turn = call_tree("K", dim_tree(net.dims[k]), dim_tree(net.dims[l]))
        return (*_kron(b, a), Atom(turn))
    a, b = _pair(net, i, j), _pair(net, k, l)
    if a is not None and b is not None and _apart(net, (i, j), (k, l)):
        return (*_vec(a), *transposed(_vec(b)))
    return None


def _three(net: Network, first: tuple[int, ...], second: tuple[int, ...]) -> Chain | None:
    """One side is a vector i, the other a matrix (k,l) whose columns are stacked."""
    stacked_rows = len(first) == 2
    (i,), (k, l) = (second, first) if stacked_rows else (first, second)

    def turned(chain: Chain) -> Chain:
        return transposed(chain) if stacked_rows else chain

    matrix = _pair(net, i, k)
    if matrix is not None and not net.edges[l]:
        return _kron(turned(transposed(net.column(l))), turned(matrix))
    matrix = _pair(net, i, l)
    if matrix is not None and not net.edges[k]:
        return _kron(turned(matrix), turned(transposed(net.column(k))))
    matrix = _pair(net, k, l)
    if matrix is not None and not net.edges[i]:
        return turned((*net.column(i), *transposed(_vec(matrix))))
    return None


def _diagonal(
    net: Network, node: Contraction, first: tuple[int, ...], second: tuple[int, ...]
) -> Chain | None:
    """f'(X)_ij d_ik d_jl: a diagonal matrix."""
    deltas = {
        labels
        for operand, labels in zip(node.children, node.inputs, strict=True)
        if isinstance(operand, Delta)
    }
    pairs = set(zip(first, second, strict=True))
    if {tuple(sorted(d)) for d in deltas} != {tuple(sorted(p)) for p in pairs}:
        return None
    kept = [
        (operand, labels)
        for operand, labels in zip(node.children, node.inputs, strict=True)
        if not isinstance(operand, Delta)
    ]
    if not any(set(labels) == set(first) for _, labels in kept):
        return None
    inner = contract([op for op, _ in kept], [labels for _, labels in kept], first)
    hints = Hints()
    form = MatrixPrinter(hints, {}, inner).form(inner)
    net.scalars.append(form.scalars())
    return (Atom(call_tree("diag", chain_tree(_vec(form.chain))), symmetric=True),)


def _pair(net: Network, a: int, b: int) -> Chain | None:
    return net.matrix(a, b)


def _apart(net: Network, one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Do no edges lead from one pair to the other?"""
    return all(edge.other(a) not in other for a in one for edge in net.edges[a])


def _kron(a: Chain, b: Chain) -> Chain:
    return (Atom(Call("kron", None, (chain_tree(a), chain_tree(b)), None, NOWHERE, NOWHERE)),)


def _vec(a: Chain) -> Chain:
    return (Atom(call_tree("vec", chain_tree(a))),)
