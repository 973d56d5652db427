"""Function names that people bring along from MATLAB, NumPy and papers, with what to write instead.

In: a name that is no function of matrix notation, and the texts of its arguments.
Out: what is wrong, what is so, what to write.
Invariant: every answer has a way out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from ...terms import functions

_INDICES = 'name the index: notation="index"'

# name -> the reason, the way out; {0} and {1} are the arguments
_FOREIGN = {
    # norms and products
    "norm": (
        "a norm is the sum of absolute values or the root of the sum of squares",
        "write norm2({0}) or norm1({0})",
    ),
    "normfro": ("the Frobenius norm is norm2", "write norm2({0})"),
    "dot": ("a product is written with an operator", "write {0}'*{1}"),
    "inner": ("a product is written with an operator", "write {0}'*{1}"),
    "outer": ("a product is written with an operator", "write {0}*{1}'"),
    "matmul": ("a product is written with an operator", "write {0}*{1}"),
    "mtimes": ("a product is written with an operator", "write {0}*{1}"),
    "multiply": ("a product entry by entry is written .*", "write {0}.*{1}"),
    "times": ("a product entry by entry is written .*", "write {0}.*{1}"),
    "hadamard": ("a product entry by entry is written .*", "write {0}.*{1}"),
    "power": ("a power is written with ^, entry by entry with .^", "write {0}.^{1}"),
    "square": ("a power entry by entry is written .^", "write {0}.^2"),
    "einsum": (
        "einsum strings have a notation of their own",
        'read "ij,j->i" with notation="einsum"',
    ),
    "cross": (
        "a cross product needs the Levi-Civita symbol",
        'write eps[i,j,k]*a[j]*b[k] with notation="index"',
    ),
    # shapes
    "vec": (
        "a matrix stacked into one column has no axes of its own here",
        "work with the matrix itself: vec({0})'*vec(B) is sum({0}.*B)",
    ),
    "reshape": (
        "rows and columns keep their places",
        "declare the tensor with the axes that it is used with",
    ),
    "repmat": ("repetition is a product with ones", "write x*ones(n)' for n equal columns"),
    "triu": ("the upper triangle is the lower one of the transpose", "write tril({0}')'"),
    "ctranspose": ("a transpose is written with '", "write {0}'"),
    "identity": ("the identity matrix is eye", "write eye(n), or eye where the size is told"),
    "full": ("a constant matrix is c*ones(m,n)", "write c*ones(m,n), or matrix(c)"),
    "rows": ("the number of rows is size(A,1)", "write size({0}, 1)"),
    "columns": ("the number of columns is size(A,2)", "write size({0}, 2)"),
    "len": ("the number of entries is numel", "write length({0})"),
    "cat": ("matrices are not put together here", "write the parts as tensors of their own"),
    # functions of matrices
    "expm": (
        "the matrix exponential is not among the functions",
        "exp(A) is the exponential of every entry",
    ),
    "logm": (
        "the matrix logarithm is not among the functions",
        "log(A) is the logarithm of every entry",
    ),
    "sqrtm": (
        "the matrix square root is not among the functions",
        "cholesky(A) is a factor L with L*L' = A",
    ),
    "chol": (
        "it is upper triangular in MATLAB, lower in NumPy",
        "cholesky(A) is the lower factor L with L*L' = A",
    ),
    "pinv": (
        "the pseudo-inverse is not among the functions",
        "write inv(A'*A)*A' for a matrix of full column rank",
    ),
    "eig": ("eigenvalues are not among the functions", "tr and det are their sum and product"),
    "svd": (
        "singular values are not among the functions",
        "norm2 is the root of the sum of their squares",
    ),
    "rank": ("a rank has no derivative", "drop it"),
    "logabsdet": ("it is called logdet", "write logdet({0})"),
    "slogdet": ("it is called logdet", "write logdet({0})"),
    # entries
    "argmax": ("a position has no derivative", "max(x) is the largest entry"),
    "argmin": ("a position has no derivative", "min(x) is the smallest entry"),
    "cumsum": ("partial sums are products with a triangle of ones", "write tril(ones(n,n))*x"),
    "sort": ("an order has no derivative", "max(x) and min(x) are the extreme entries"),
    "var": ("a variance is written out", "write norm2(x - vector(mean(x)))^2/n"),
    "std": ("a standard deviation is written out", "write norm2(x - vector(mean(x)))/sqrt(n)"),
    "log2": ("log is the natural logarithm", "write log({0})/log(2)"),
    "log10": ("log is the natural logarithm", "write log({0})/log(10)"),
    "cot": ("a quotient says it", "write 1./tan({0})"),
    "sec": ("a quotient says it", "write 1./cos({0})"),
    "csc": ("a quotient says it", "write 1./sin({0})"),
    "gamma": ("its logarithm is among the functions", "write exp(lgamma({0}))"),
    "factorial": ("the gamma function extends it", "write exp(lgamma({0} + 1))"),
    "if": ("a choice is a function", "write where(a < b, x, y)"),
    "ifelse": ("a choice is a function", "write where(a < b, x, y)"),
}

_OWN = (
    "eye",
    "ones",
    "zeros",
    "vector",
    "matrix",
    "diag",
    "kron",
    "norm1",
    "norm2",
    "length",
    "numel",
    "size",
    "transpose",
    *functions.REDUCTIONS,
    *functions.NORMALISATIONS,
    *functions.MATRIX_FUNCTIONS,
)
_UNSPOKEN = frozenset({"pi", "pow", "prodexcept", *functions.COMPARISONS.values()})


def is_own(name: str) -> bool:
    """Does the name call a function?"""
    name = functions.ALIASES.get(name, name)
    return name in _OWN or name in functions.ELEMENTWISE


def unknown(name: str, arguments: Sequence[str]) -> tuple[str, str, str]:
    """What is wrong, what is so, and a way out, for a name that is no function.

    >>> unknown("dot", ["x", "y"])
    ('dot is no function of matrix notation', 'a product is written with an operator', "write x'*y")
    """
    message = f"{name} is no function of matrix notation"
    row = _FOREIGN.get(name) or _FOREIGN.get(name.lower())
    if row is not None:
        fact, hint = row
        shown = [
            a if re.fullmatch(r"\w+'*|\w+\([^()]*\)", a) else f"({a})" for a in (*arguments, "y")
        ]
        return message, fact, hint.format(*shown)
    if len(name) == 1 or name[0].isupper():
        return (
            f"{name} is no function",
            "brackets behind a name hold arguments; entries and slices have no form in matrix notation",
            (f"write {name}*({arguments[0]}) for a product; " if len(arguments) == 1 else "")
            + 'entries are named with indices: notation="index"',
        )
    known = sorted({*_OWN, *functions.ELEMENTWISE} - _UNSPOKEN)
    near = get_close_matches(name[:40], [*known, *functions.ALIASES], n=3, cutoff=0.6)
    if near:
        return f"unknown function {name}", "", f"did you mean {' or '.join(near)}?"
    return (
        f"unknown function {name}",
        f"known are {', '.join(known)}",
        f"a product is written with *: {name}*({arguments[0]})",
    )
