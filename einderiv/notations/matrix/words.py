"""What is said of texts in matrix notation; function names brought along from MATLAB, NumPy and papers.

In: a reason with the words of the text; a name that is no function here.
Out: the error; the function that the name stands for (`ALIASES`), else why not, and what to write.
Invariant: every answer has a way out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from string import Template

from ...errors import NotationError, Span
from ...terms import functions


def reasons(table: str) -> dict[str, tuple[str, str, str]]:
    """A table of messages by their keys: what is wrong; below it what is so, and the way out."""
    rows = re.findall(r"([^:\n]+): (.+)\n +(.+)\n +(.+)", table)
    return {key: (message, fact, hint) for key, message, fact, hint in rows}


def refusal(
    reason: tuple[str, str, str], source: str | None, spans: Sequence[Span], **words: object
) -> NotationError:
    """The error for a reason; what has a $ in it comes from `words`."""
    message, fact, hint = (Template(part).substitute(words) for part in reason)
    return NotationError(message, source=source, spans=spans, facts=[fact], hint=hint)


REASONS = reasons(r"""
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
kron: $shown is a Kronecker product, whose rows and columns run over pairs
    it stands inside $functions, and in products and inverses of Kronecker products there
    write kron(A,B)*vec(X) as B*X*A', a matrix; or name four axes: notation="index", A[i,j]*B[k,l]
""")

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
