"""Every text that does not parse in matrix notation gets its place, both facts and a way out."""

from __future__ import annotations

import pytest

from einderiv.errors import EinderivError, NotationError
from einderiv.notations.matrix import parse_matrix

# One message a paragraph; the text that provokes it is its second line.
MESSAGES = r"""
a matrix product @ stands in matrix notation
    A@B
     ^
  it is written *, and .* is the product entry by entry
  write A*B

.T is NumPy's spelling
    A.T
     ^
  a transpose is written ', and functions stand before their argument
  write A'

.dot is NumPy's spelling
    X.dot(y)
     ^
  a transpose is written ', and functions stand before their argument
  write X*B

np.exp is NumPy's spelling
    np.exp(x)
      ^
  functions stand without a module
  write exp(...)

np.linalg.inv is NumPy's spelling
    np.linalg.inv(A)
      ^
  functions stand without a module
  write inv(...)

a power ** stands in matrix notation
    A**2
      ^
  in NumPy it works entry by entry; a power of a matrix is written ^
  write x.^2 entry by entry, c^2 and A^2 for powers of scalars and matrices

a power .** stands in matrix notation
    A.**2
       ^
  a power entry by entry is written .^
  write A.^2

a bracket [ stands in matrix notation
    x[0]
     ^
  no entry, slice or list is written here: x[i] and A[i,j] are index notation
  read the text with notation="index"

a bracket [ stands in matrix notation
    A[i,j]*x[j]
     ^
  no entry, slice or list is written here: x[i] and A[i,j] are index notation
  read the text with notation="index"

a backslash stands in matrix notation
    A\b
     ^
  MATLAB's A\b is the x with A*x = b
  write solve(A, b); LaTeX is read with notation="latex"

a bar stands in matrix notation
    |x|
    ^
  norms and absolute values are functions
  write norm2(x), abs(x) or det(A)

a superscript ² stands in matrix notation
    x²
     ^
  a power is written with ^, entry by entry with .^
  write ^2 or .^2

a superscript ⁻¹ stands in matrix notation
    A⁻¹*x
     ^
  a power is written with ^, entry by entry with .^
  write ^-1 or .^-1

a raised ᵀ ends the name xᵀ
    xᵀ*x
    ^^
  it is a letter in Unicode, and a transpose is written '
  write x'

a sign ⊤ stands in matrix notation
    A⊤*x
     ^
  a transpose is written '
  write A'

a sign ⊗ stands in matrix notation
    a ⊗ b
      ^
  the Kronecker product is a function
  write kron(A, B)

a root sign stands in matrix notation
    √x
    ^
  functions have names
  write sqrt(x)

a backslash stands in matrix notation
    \frac{a}{b}
    ^
  MATLAB's A\b is the x with A*x = b
  write solve(A, b); LaTeX is read with notation="latex"

a tilde stands in matrix notation
    x ~= y
      ^
  unequal is written !=
  write != for MATLAB's ~=

a comparison != stands outside an argument
    x != y
      ^^
  a comparison is an argument of a function, without brackets of its own
  write where(a != b, x, y)

a second comparison < stands in one argument
    where(0 < x < 1, x, 0)
                ^
  a comparison has two sides
  write where(a < b, where(b < c, x, y), y)

an operator is missing before x
    2x
     ^
  a product is written with *, one entry by entry with .*
  write 2*x, A*x, (a + b)*(c + d)

an operator is missing before x
    A x
      ^
  a product is written with *, one entry by entry with .*
  write 2*x, A*x, (a + b)*(c + d)

an operand is missing before *
    A + * B
        ^
  expected a number, a name or an opening bracket
  write it, or remove the operator

nothing stands before the transpose '
    'A
    ^
  a transpose stands behind what it turns
  write A', (A*B)'

the brackets () hold no argument
    f()
      ^
  expected a number, a name or an opening bracket
  write the argument, or remove them

the brackets () hold no expression
    ()
     ^
  expected a number, a name or an opening bracket
  write the expression, or remove them

the bracket ( is never closed
    (A
    ^
  a line end inside brackets does not end a statement
  close it with )

the bracket ( is closed by ]
    (A]
    ^ ^
  ) closes (, and ] closes [
  make the two alike

= stands inside an expression
    a = b = c
          ^
  a statement has at most one =, behind the name that it defines
  start a new line for another definition; equality is ==

a name is missing before =
    = x
    ^
  expected a number, a name or an opening bracket
  write y = ...; equality is ==

a comma stands outside an argument list
    x, y
     ^
  commas separate arguments and extents
  start a new line, or write ; for another statement

a comma stands outside an argument list
    (x, y)
      ^
  commas separate arguments and extents
  write a function's name before its arguments, with one pair of brackets: max(a, b)

d follows an extent without a comma
    X : (n d)
           ^
  an extent is a name or a positive whole number
  write X : (n, 3) for a matrix, x : (n) for a column, c : () for a scalar

0 is not an extent
    X : (0, d)
         ^
  an axis has a whole number of entries, one at least
  an extent is a name or a positive whole number, as in X : (n, 3)

unknown assumption foo
    X : (n, d) foo
               ^^^
  known are symmetric, spd, positive, nonnegative
  remove it

a colon stands behind something that is not a name
    X' : (n, d)
       ^
  a declaration is a name, a colon and the extents; no range or slice is written here
  write X : (n, d) on a line of its own

; stands inside brackets
    sin(x;y)
         ^
  a statement ends outside brackets only
  close the bracket first; arguments are separated by commas

a dot stands outside a number and an operator
    x.y
     ^
  operators with a dot work entry by entry: .* ./ .^
  write A.*B, or remove the dot

a dot stands outside a number and an operator
    1..x
      ^
  operators with a dot work entry by entry: .* ./ .^
  write A.*B, or remove the dot
"""
PARAGRAPHS = MESSAGES.strip().split("\n\n")


def text_of(paragraph: str) -> str:
    """The text that a message shows."""
    return paragraph.split("\n")[1][4:]


def complaint(text: str) -> EinderivError:
    """The error that a text gives."""
    with pytest.raises(NotationError) as caught:
        parse_matrix(text)
    return caught.value


@pytest.mark.parametrize("paragraph", PARAGRAPHS, ids=text_of)
def test_message_shows_the_place_the_facts_and_a_way_out(paragraph: str) -> None:
    assert str(complaint(text_of(paragraph))) == paragraph


@pytest.mark.parametrize("text", ["", "  \n", "# a comment", ";;"])
def test_an_empty_text_has_no_expression(text: str) -> None:
    assert str(complaint(text)) == (
        "there is no expression\n  the text is empty\n  write one, for example x'*Q*x"
    )


@pytest.mark.parametrize("after", ["b", "y = b", "X : (n)"])
def test_a_bare_expression_stands_last(after: str) -> None:
    assert complaint(f"a'*c\n{after}").message == (
        "an expression without a name stands before other statements"
    )


@pytest.mark.parametrize(
    "text, written",
    [
        ("x.sum()", "sum(x)"), ("A.mean()", "mean(A)"), ("A.I", "inv(A)"), ("A.H", "A'"),
        ("X.shape[0]", "size(X, 1)"), ("(A*B).T", "(...)'"), ("(A*B).sum()", "sum(...)"),
        ("jnp.tanh(x)", "tanh(...)"), ("torch.linalg.norm(x)", "norm2(...)"), ("np.matmul(A, B)", "A*B"),
        ("numpy.trace(A)", "tr(...)"),
    ],
)  # fmt: skip
def test_numpy_spelling_is_translated(text: str, written: str) -> None:
    assert complaint(text).hint == f"write {written}"


def test_a_long_word_is_shortened_in_the_message() -> None:
    assert complaint("a " + "b" * 1000).message == (
        "an operator is missing before bbbbbbbbbbbbbbbbbbbb...bbbbbbbbbb"
    )
