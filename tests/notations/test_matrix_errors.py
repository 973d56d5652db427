"""What does not fit gets its place, the rows and columns of both sides, and a way out."""

from __future__ import annotations

import pytest

from einderiv.errors import DimensionError, EinderivError, NotationError
from einderiv.notations.matrix import elaborate_matrix, parse_matrix

# One message a paragraph; the text that provokes it is its second line.
MESSAGES = r"""
DimensionError: X*w: X has d columns, w has n rows
    X : (n, d); w : (n); X*w
                         ^ ^
  X is a matrix of n rows and d columns (declared)
  w is a column of n rows (declared)
  write X'*w for a column

DimensionError: X*X: X has d columns, X has n rows
    X : (n, d); X*X
                ^ ^
  X is a matrix of n rows and d columns (declared)
  write X'*X for a matrix, X.*X entry by entry, X*X' for a matrix

DimensionError: X + Y: X has n rows, Y has d rows
    X : (n, d); Y : (d, n); X + Y
                            ^   ^
  X is a matrix of n rows and d columns (declared)
  Y is a matrix of d rows and n columns (declared)
  write X + Y'

DimensionError: x + y: x has n rows, y has m rows
    x : (n); y : (m); x + y
                      ^   ^
  x is a column of n rows (declared)
  y is a column of m rows (declared)
  correct one of them, or declare the extents that are the same with one name

DimensionError: x'*y: x' has n columns, y has m rows
    x : (n); y : (m); x'*y
                      ^^ ^
  x' is a row of n columns
  y is a column of m rows (declared)
  write y*x' for a matrix

DimensionError: x.*y: x has n rows, y has m rows
    x : (n); y : (m); x.*y
                      ^  ^
  x is a column of n rows (declared)
  y is a column of m rows (declared)
  correct one of them, or declare the extents that are the same with one name

DimensionError: x*y: x has 1 column, y has m rows
    x*y
    ^ ^
  x is a column of n rows (undeclared)
  y is a column of m rows (undeclared)
  write x'*y for a number, x.*y entry by entry, x*y' for a matrix; if x is a scalar, declare it: x : ()

DimensionError: A*x': A has m columns, x' has 1 row
    A*x'
    ^ ^^
  A is a matrix of n rows and m columns (undeclared: upper-case)
  x' is a row of p columns
  write A*x for a column, x'*A for a row

DimensionError: x*A: x has 1 column, A has m rows
    x*A
    ^ ^
  x is a column of n rows (undeclared)
  A is a matrix of m rows and p columns (undeclared: upper-case)
  write x'*A for a row, A*x for a column; if x is a scalar, declare it: x : ()

DimensionError: x + y': x is a column, y' is a row
    x + y'
    ^   ^^
  x is a column of n rows (undeclared)
  y' is a row of m columns
  write x + y; if x is a scalar, declare it: x : ()

DimensionError: x + 1: x is a column, 1 is a scalar
    x + 1
    ^   ^
  x is a column of n rows (undeclared)
  1 is a scalar
  x + vector(1) adds to every entry; if x is a scalar, declare it: x : ()

DimensionError: x' + 1: x' is a row, 1 is a scalar
    x' + 1
    ^^   ^
  x' is a row of n columns
  1 is a scalar
  x' + vector(1)' adds to every entry

DimensionError: A + c: A is a matrix, c is a scalar
    c : (); A + c
            ^   ^
  A is a matrix of n rows and m columns (undeclared: upper-case)
  c is a scalar (declared)
  A + matrix(c) adds to every entry, A + c*eye to the diagonal

DimensionError: X + 1: X is a matrix, 1 is a scalar
    X : (n, d); X + 1
                ^   ^
  X is a matrix of n rows and d columns (declared)
  1 is a scalar
  X + matrix(1) adds to every entry

DimensionError: A + x: A is a matrix, x is a column
    A + x
    ^   ^
  A is a matrix of n rows and m columns (undeclared: upper-case)
  x is a column of p rows (undeclared)
  write A + x*vector(1)' for a sum with each of the columns; if x is a scalar, declare it: x : ()

DimensionError: A.*x: A is a matrix, x is a column
    A.*x
    ^  ^
  A is a matrix of n rows and m columns (undeclared: upper-case)
  x is a column of p rows (undeclared)
  write diag(x)*A to scale the rows; if x is a scalar, declare it: x : ()

DimensionError: A./x: A is a matrix, x is a column
    A./x
    ^  ^
  A is a matrix of n rows and m columns (undeclared: upper-case)
  x is a column of p rows (undeclared)
  write x*vector(1)' for x to repeat it; if x is a scalar, declare it: x : ()

DimensionError: A.*x': A is a matrix, x' is a row
    A.*x'
    ^  ^^
  A is a matrix of n rows and m columns (undeclared: upper-case)
  x' is a row of p columns
  write A*diag(x) to scale the columns

NotationError: a transpose stands behind the exponent of .^
    x.^y'
        ^
  it could belong to the exponent or to the power
  write (A.^k)' or A.^(k')

DimensionError: x > y': x is a column, y' is a row
    where(x > y', x, 0)
          ^   ^^
  x is a column of n rows (undeclared)
  y' is a row of m columns
  write x > y; if x is a scalar, declare it: x : ()

DimensionError: A/B: B is a matrix, and one divides by scalars
    A/B
    ^ ^
  A is a matrix of n rows and m columns (undeclared: upper-case)
  B is a matrix of p rows and q columns (undeclared: upper-case)
  A./B divides entry by entry; A*inv(B) multiplies by the inverse

DimensionError: A/X: X is a matrix, and one divides by scalars
    X : (n, d); A : (k, d); A/X
                            ^ ^
  A is a matrix of k rows and d columns (declared)
  X is a matrix of n rows and d columns (declared)
  X has no inverse and other rows and columns than A

DimensionError: 1/x: x is a column, and one divides by scalars
    1/x
    ^ ^
  1 is a scalar
  x is a column of n rows (undeclared)
  1./x divides entry by entry; if x is a scalar, declare it: x : ()

DimensionError: x^2: x is a column, and powers are taken of scalars and square matrices
    x^2
    ^^^
  x is a column of n rows (undeclared)
  write x.^2 for powers entry by entry, x'*x for the sum of squares; if x is a scalar, declare it: x : ()

DimensionError: x^c: the exponent c is a column
    x^c
    ^ ^
  x is a column of n rows (undeclared)
  c is a column of m rows (undeclared)
  write x.^c for powers entry by entry; if x is a scalar, declare it: x : ()

DimensionError: A^0.5: a matrix has whole powers only
    A^0.5
    ^^^^^
  A is a matrix of n rows and m columns (undeclared: upper-case)
  write A.^0.5 for powers entry by entry; cholesky(A) is a factor L with L*L' = A

DimensionError: A^c: a matrix has whole powers only
    c : (); A^c
            ^^^
  A is a matrix of n rows and m columns (undeclared: upper-case)
  write A.^c for powers entry by entry; cholesky(A) is a factor L with L*L' = A

NotationError: T stands as an exponent
    A^T
      ^
  T would be a tensor here; a transpose is written with '
  write A'

DimensionError: 2^A: the exponent A is a matrix
    2^A
    ^ ^
  2 is a scalar
  A is a matrix of n rows and m columns (undeclared: upper-case)
  write 2.^A for powers entry by entry

DimensionError: X^2: X has n rows and d columns, and is not square
    X : (n, d); X^2
                ^^^
  X is a matrix of n rows and d columns (declared)
  write X.^2 for powers entry by entry, X'*X or X*X' for a product

DimensionError: inv takes a square matrix, X has n rows and d columns
    X : (n, d); inv(X)
                    ^
  X is a matrix of n rows and d columns (declared)
  write inv(X'*X) or inv(X*X') if one of these is meant

DimensionError: tr takes a square matrix, X'*X*X' has d rows and n columns
    X : (n, d); tr(X'*X*X')
                   ^^^^^^^
  X'*X*X' is a matrix of d rows and n columns
  a square matrix has one extent for its rows and columns

DimensionError: diag takes a square matrix, A has n rows and d columns
    A : (n, d); diag(A)
                     ^
  A is a matrix of n rows and d columns (declared)
  diag(A'*A) and diag(A*A') are sums of squares

DimensionError: solve(A, x'): A has n rows, x' has 1 row
    solve(A, x')
          ^  ^^
  A is a matrix of n rows and n columns (undeclared: upper-case)
  x' is a row of m columns
  write solve(A, x)

DimensionError: solve(A, b): A has n rows, b has m rows
    A : (n, n); b : (m); solve(A, b)
                               ^  ^
  A is a matrix of n rows and n columns (declared)
  b is a column of m rows (declared)
  solve(A, b) is the x with A*x = b

NotationError: solve takes 2 arguments, 1 given
    solve(A)
    ^^^^^^^^
  solve is written solve(A, b)
  write the missing one

NotationError: sin takes 1 argument, 2 given
    sin(x, y)
    ^^^^^^^^^
  sin is written sin(x)
  drop the others

NotationError: atan2 takes 2 arguments, 1 given
    atan2(x)
    ^^^^^^^^
  atan2 is written atan2(y, x)
  write the missing one

NotationError: sum over one axis of a matrix
    sum(A, 1)
           ^
  axis 1 is the first one in MATLAB and the second one in NumPy; sum(A) takes all entries
  write A*vector(1) for the sums of the rows, vector(1)'*A of the columns

NotationError: length of a matrix, A
    length(A)
           ^
  that is the larger extent in MATLAB, the number of rows elsewhere
  write size(A,1), size(A,2) or numel(A)

NotationError: norm1 of a matrix, A
    norm1(A)
          ^
  that is the largest column sum in MATLAB, the sum of all entries elsewhere
  write sum(abs(A)) for the sum over all entries

NotationError: softmax of a matrix, A
    softmax(A)
            ^
  its entries could be normalised along each row or along each column
  name the index: notation="index", softmax[j](A[i,j]) along the rows

DimensionError: vector takes the scalar that all entries are, x is a column
    vector(x)
           ^
  x is a column of n rows (undeclared)
  write x itself, or vector(c) with a scalar c; if x is a scalar, declare it: x : ()

NotationError: 2.5 is no extent
    ones(2.5)
         ^^^
  ones takes names of extents, or whole numbers of 1 or more
  write ones(n); a column as long as its neighbours is vector(c), a matrix matrix(c)

NotationError: ones with 3 extents
    ones(n, m, k)
               ^
  matrix notation has columns and matrices
  read the text with notation="index" for more axes

NotationError: norm of a matrix, A
    norm(A)
         ^
  that is the largest singular value in MATLAB, the root of the sum of squares in NumPy
  write norm2(A) for the root of the sum of squares

NotationError: inner of a matrix, A
    inner(A, B)
          ^
  that is A*B' in NumPy, the sum of the entries of A.*B elsewhere
  write A*B' or sum(A.*B)

DimensionError: dot(x, y): x has n rows, y has m rows
    x : (n); y : (m); dot(x, y)
                          ^  ^
  x is a column of n rows (declared)
  y is a column of m rows (declared)
  write x*y' for a matrix

DimensionError: matmul(A, B): A has d columns, B has n rows
    A : (n, d); B : (n, d); matmul(A, B)
                                   ^  ^
  A is a matrix of n rows and d columns (declared)
  B is a matrix of n rows and d columns (declared)
  write A'*B for a matrix, A.*B entry by entry, A*B' for a matrix

DimensionError: outer takes columns, A is a matrix, x is a column
    outer(A, x)
          ^  ^
  A is a matrix of n rows and m columns (undeclared: upper-case)
  x is a column of p rows (undeclared)
  outer(x, y) is x*y'; if x is a scalar, declare it: x : ()

DimensionError: triu takes a square matrix, A has n rows and d columns
    A : (n, d); triu(A)
                     ^
  A is a matrix of n rows and d columns (declared)
  write triu(A'*A) or triu(A*A') if one of these is meant

NotationError: hadamard takes 2 arguments, 1 given
    hadamard(A)
    ^^^^^^^^^^^
  hadamard is written hadamard(A, B)
  write the missing one

NotationError: vec is no function of matrix notation
    vec(A)
    ^^^
  a matrix stacked into one column has no axes of its own here
  work with the matrix itself: vec(A)'*vec(B) is sum(A.*B)

NotationError: x is no function
    x(1)
    ^
  brackets behind a name hold arguments; entries and slices have no form in matrix notation
  write x*(1) for a product; entries are named with indices: notation="index"

NotationError: kron(A, B) is a Kronecker product, whose rows and columns run over pairs
    kron(A, B)
    ^^^^^^^^^^
  it stands inside tr, det, logdet, sum, mean, norm2, and in products and inverses of Kronecker products there
  write kron(A,B)*vec(X) as B*X*A', a matrix; or name four axes: notation="index", A[i,j]*B[k,l]

NotationError: kron(A, B) is a Kronecker product, whose rows and columns run over pairs
    kron(A, B)*kron(C, kron(D, F))
    ^^^^^^^^^^
  it stands inside tr, det, logdet, sum, mean, norm2, and in products and inverses of Kronecker products there
  write kron(A,B)*vec(X) as B*X*A', a matrix; or name four axes: notation="index", A[i,j]*B[k,l]

DimensionError: tr takes a square matrix, A has n rows and d columns
    A : (n, d); B : (k, l); tr(kron(A, B))
                                    ^
  A is a matrix of n rows and d columns (declared)
  write tr(A'*A) or tr(A*A') if one of these is meant

DimensionError: A*C: A has d columns, C has n rows
    A : (n, d); C : (n, d); sum(kron(A, B)*kron(C, D))
                                     ^          ^
  A is a matrix of n rows and d columns (declared)
  C is a matrix of n rows and d columns (declared)
  write A'*C for a matrix, A.*C entry by entry, A*C' for a matrix

NotationError: the left side of = is not a name
    kron(A, B) = C
    ^^^^^^^^^^
  a definition names what stands on its right
  write r = X*w - y; equality is ==

DimensionError: T has 3 axes
    T : (a, b, c); T*x
    ^              ^
  3 axes (declared); matrix notation has rows and columns
  name its indices: notation="index"

NotationError: n is both a tensor and an extent
    n : (); x : (n); n*x
    ^       ^
  n is a tensor (declared), axis 1 of x is n (declared)
  rename one of them

NotationError: y is defined twice
    y = x; y = 2*x
    ^      ^
  defined there, defined here; a name stands for one tensor
  give one of them another name

NotationError: y is used in its own definition
    y = y + x
    ^   ^
  a definition is known to the statements after it
  give one of them another name

NotationError: delta is the name of a special tensor
    delta*x
    ^^^^^
  a tensor with axes cannot have that name, a scalar can
  choose another name, for example delta_

NotationError: ones stands without its extents
    ones + x
    ^^^^
  it could be a column or a matrix
  write ones(n) or ones(m,n); sized by the context vector(1) or matrix(1)

NotationError: unknown assumption spdd
    x : (n, n) spdd; x
               ^^^^
  known are symmetric, spd, positive, nonnegative
  did you mean spd?

DimensionError: x is assumed symmetric and has 1 axis
    x : (n) symmetric; x'*x
    ^
  symmetric needs two axes or more, spd exactly two
  drop the assumption, or declare x : (n, n)
"""
PARAGRAPHS = MESSAGES.strip().split("\n\n")


def text_of(paragraph: str) -> str:
    """The text that a message shows."""
    return paragraph.split("\n")[1][4:]


def complaint(text: str) -> EinderivError:
    """The error that a text gives."""
    with pytest.raises(EinderivError) as caught:
        elaborate_matrix(parse_matrix(text))
    return caught.value


@pytest.mark.parametrize("paragraph", PARAGRAPHS, ids=text_of)
def test_message_shows_the_place_the_facts_and_a_way_out(paragraph: str) -> None:
    error = complaint(text_of(paragraph))
    assert f"{type(error).__name__}: {error}" == paragraph


@pytest.mark.parametrize("paragraph", PARAGRAPHS, ids=text_of)
def test_error_is_complete(paragraph: str) -> None:
    error = complaint(text_of(paragraph))
    assert isinstance(error, NotationError | DimensionError)
    assert error.spans and error.hint
    assert all(0 <= start <= end <= len(error.source or "") + 1 for start, end in error.spans)


def test_list_of_messages_is_long_enough_and_has_no_text_twice() -> None:
    texts = [text_of(paragraph) for paragraph in PARAGRAPHS]
    assert len(texts) >= 60
    assert len(set(texts)) == len(texts)


def test_place_is_shown_in_its_line() -> None:
    assert str(complaint("X : (n, d)\nw : (n)\nr = X*w\nr'*r")) == (
        "X*w: X has d columns, w has n rows\n"
        "    3: r = X*w\n"
        "           ^ ^\n"
        "  X is a matrix of n rows and d columns (declared)\n"
        "  w is a column of n rows (declared)\n"
        "  write X'*w for a column"
    )


def test_shapes_are_named_as_the_reason() -> None:
    with pytest.raises(DimensionError) as caught:
        elaborate_matrix(parse_matrix("X*w"), {"X": (3, 2), "w": (3,)})
    assert caught.value.facts == (
        "X is a matrix of 3 rows and 2 columns (given in shapes=)",
        "w is a column of 3 rows (given in shapes=)",
    )


def test_definition_is_named_as_the_reason() -> None:
    error = complaint("X : (n, d); r = X*w; r*r")
    assert error.message == "r*r: r has 1 column, r has n rows"
    assert error.facts == ("r is a column of n rows (defined)",)


def test_a_way_out_reads() -> None:
    """What the messages offer behind `write` parses, where it is a whole expression of their names."""
    offered = {
        "X : (n, d); w : (n); X*w": "X : (n, d); w : (n); X'*w",
        "x*y": "x'*y",
        "A + x": "A + x*vector(1)'",
        "A - x'": "A - vector(1)*x'",
        "A.*x": "diag(x)*A",
        "A.*x'": "A*diag(x)",
        "x + 1": "x + vector(1)",
        "x' + 1": "x' + vector(1)'",
        "c : (); A + c": "c : (); A + c*eye",
        "1/x": "1./x",
        "x^2": "x.^2",
        "A/B": "A*inv(B)",
    }
    for wrong, right in offered.items():
        hint = complaint(wrong).hint or ""
        assert right.rpartition("; ")[2] in hint
        assert elaborate_matrix(parse_matrix(right)).term is not None


def test_near_names_are_offered() -> None:
    assert complaint("sinn(x)").hint == "did you mean sin or sinh or sinc?"
    assert complaint("logdett(A)").hint == "did you mean logdet or log or det?"
    error = complaint("foo(x)")
    assert error.message == "unknown function foo"
    assert error.hint == "a product is written with *: foo*(x)"


def test_a_long_operand_is_shortened() -> None:
    long = "+".join(f"x{k}" for k in range(100))
    assert len(complaint(f"({long})*y").message) < 200
