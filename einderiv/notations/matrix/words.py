"""Function names that people bring along from MATLAB, NumPy and papers.

In: a name that is no function of matrix notation, and the texts of its arguments.
Out: the function it stands for (`ALIASES`), else what is wrong, what is so, what to write.
Invariant: every answer has a way out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from ...terms import functions

# Besides those of all notations. Words for operators (dot, outer, ...) are read in `reading.py`.
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
expm the matrix exponential is not among the functions
    exp(A) is the exponential of every entry
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
cumsum partial sums are products with a triangle of ones
    write tril(ones(n,n))*x
sort an order has no derivative
    max(x) and min(x) are the extreme entries
var a variance is written out
    write norm2(x - vector(mean(x)))^2/n
std a standard deviation is written out
    write norm2(x - vector(mean(x)))/sqrt(n)
log2 log is the natural logarithm
    write log({0})/log(2)
log10 log is the natural logarithm
    write log({0})/log(10)
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

_OWN = (
    "eye", "ones", "zeros", "vector", "matrix", "diag", "kron", "norm1", "norm2", "length", "numel",
    "size", "transpose",
    *functions.REDUCTIONS, *functions.NORMALISATIONS, *functions.MATRIX_FUNCTIONS,
)  # fmt: skip
_UNSPOKEN = frozenset({"pi", "pow", "prodexcept", *functions.COMPARISONS.values()})


def is_own(name: str) -> bool:
    """Does the name call a function?"""
    name = functions.ALIASES.get(name, name)
    return name in _OWN or name in functions.ELEMENTWISE


def unknown(name: str, arguments: Sequence[str]) -> tuple[str, str, str]:
    """What is wrong, what is so, and a way out, for a name that is no function.

    >>> unknown("log2", ["x"])
    ('log2 is no function of matrix notation', 'log is the natural logarithm', 'write log(x)/log(2)')
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
    known = sorted({*_OWN, *functions.ELEMENTWISE} - _UNSPOKEN)
    near = get_close_matches(name[:40], [*known, *functions.ALIASES], n=3, cutoff=0.6)
    if near:
        return f"unknown function {name}", "", f"did you mean {' or '.join(near)}?"
    return (
        f"unknown function {name}",
        f"known are {', '.join(known)}",
        f"a product is written with *: {name}*({arguments[0]})",
    )
