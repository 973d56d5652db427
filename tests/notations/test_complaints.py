"""Every text that does not parse gets a message with its place, both facts and a way out."""

from __future__ import annotations

import pytest

from einderiv.errors import NotationError
from einderiv.notations.index import parse_index

# One message a paragraph; the text that provokes it is its second line.
MESSAGES = r"""
the bracket ( is never closed
    (a + b
    ^
  a line end inside brackets does not end a statement
  close it with )

the bracket ) closes nothing
    a)
     ^
  no ( is open here
  remove it, or open it with (

the bracket ( is closed by ]
    (a]
    ^ ^
  ) closes (, and ] closes [
  make the two alike

the bracket [ is closed by )
    f(x[i)
       ^ ^
  ] closes [, and ) closes (
  make the two alike

an operand is missing before *
    a + * b
        ^
  expected a number, a name or an opening bracket
  write it, or remove the operator

the text ends where an operand is missing
    a +
       ^
  expected a number, a name or an opening bracket
  complete the expression

an operand is missing before ;
    a = ;
        ^
  expected a number, a name or an opening bracket
  write it

an operator is missing before x
    2x
     ^
  a product is written with *
  write 2*x, A[i,j]*x[j], (a + b)*(c + d)

an operator is missing before x
    A[i,j] x[j]
           ^
  a product is written with *
  write 2*x, A[i,j]*x[j], (a + b)*(c + d)

an operator is missing before (
    (a)(b)
       ^
  a product is written with *
  write 2*x, A[i,j]*x[j], (a + b)*(c + d)

an operator is missing before (
    2(a)
     ^
  a product is written with *
  write 2*x, A[i,j]*x[j], (a + b)*(c + d)

an operator is missing before b
    f(a b)
        ^
  a product is written with *
  write 2*x, A[i,j]*x[j], (a + b)*(c + d)

brackets [ stand behind something that is not a name
    A[i][j]
        ^
  a name, or a call, has one pair of brackets for all its indices
  write A[i,j], or define r[i] = ... first and write r[i]

brackets [ stand behind something that is not a name
    (a + b)[i]
           ^
  a name, or a call, has one pair of brackets for all its indices
  write A[i,j], or define r[i] = ... first and write r[i]

brackets stand behind no name
    [i]
    ^
  expected a number, a name or an opening bracket
  write A[i,j], and (...) to group

the brackets () hold no expression
    ()
     ^
  expected a number, a name or an opening bracket
  write the expression, or remove them

the brackets () hold no argument
    f()
      ^
  expected a number, a name or an opening bracket
  write the argument, or remove them

an operand is missing before )
    f(a,)
        ^
  expected a number, a name or an opening bracket
  write it

an operand is missing before ,
    f(,a)
      ^
  expected a number, a name or an opening bracket
  write it

; stands inside brackets
    f(a;b)
       ^
  a statement ends outside brackets only
  close the bracket first; arguments are separated by commas

a comma stands outside an argument list
    max((a,b))
          ^
  commas separate indices, arguments and extents
  write a function's name before its arguments, with one pair of brackets: max(a, b)

a comma stands outside an argument list
    a, b
     ^
  commas separate indices, arguments and extents
  start a new line, or write ; for another statement

a name is missing before =
    = 3
    ^
  expected a number, a name or an opening bracket
  write y[i] = ...; equality is ==

= stands inside an expression
    a = b = c
          ^
  a statement has at most one =, behind the name that it defines
  start a new line for another definition; equality is ==

= stands inside an expression
    f(a = b)
        ^
  a statement has at most one =, behind the name that it defines
  start a new line for another definition; equality is ==

a comparison < stands outside an argument
    a < b
      ^
  a comparison is an argument of a function, without brackets of its own
  write where(a < b, x, y)

a comparison < stands outside an argument
    where((a<b), 1, 2)
            ^
  a comparison is an argument of a function, without brackets of its own
  write where(a < b, x, y)

a second comparison < stands in one argument
    where(a<b<c, 1, 2)
             ^
  a comparison has two sides
  write where(a < b, where(b < c, x, y), y)

j follows an index without a comma
    A[i j]
        ^
  each axis has one index
  separate indices by commas, as in A[i,j]

an index is missing before ]
    A[i,]
        ^
  each axis has one index
  write a name for it, as in A[i,j]

: stands where no slice can be
    A[:,j]
      ^
  an index runs over the whole axis; i:n says that it has extent n
  write A[i,j], and cut the array beforehand

] stands where no slice can be
    A[i:]
        ^
  an index runs over the whole axis; i:n says that it has extent n
  write A[i,j], and cut the array beforehand

+ stands among indices
    A[i+1]
       ^
  an index is a name, nothing is computed with it
  write A[i,j]; a function's arguments stand in round brackets

- stands among indices
    A[-1]
      ^
  an index is a name, nothing is computed with it
  write A[i,j]; a function's arguments stand in round brackets

- stands among extents
    X : (-1)
         ^
  an extent is a name or a positive whole number
  write X : (n, 3) for a matrix, c : () for a scalar

* stands among extents
    X : (n*d)
          ^
  an extent is a name or a positive whole number
  write X : (n, 3) for a matrix, c : () for a scalar

d follows an extent without a comma
    X : (n d)
           ^
  an extent is a name or a positive whole number
  write X : (n, 3) for a matrix, c : () for a scalar

an extent is missing before ,
    X : (,)
         ^
  an extent is a name or a positive whole number
  write X : (n, 3) for a matrix, c : () for a scalar

an opening bracket is missing before n
    X : n
        ^
  a declaration lists its extents in round brackets
  write X : (n, d) for a matrix, c : () for a scalar

an opening bracket is missing before the end
    X :
       ^
  a declaration lists its extents in round brackets
  write X : (n, d) for a matrix, c : () for a scalar

a colon stands behind something that is not a name
    X[i] : (n)
         ^
  a declaration is a name, a colon and the extents
  write X : (n, d) on a line of its own

unknown assumption symetric
    X : (n) symetric
            ^^^^^^^^
  known are symmetric, spd, positive, nonnegative
  did you mean symmetric?

unknown assumption regular
    X : (n) regular
            ^^^^^^^
  known are symmetric, spd, positive, nonnegative
  remove it

= stands behind a declaration
    X : (n) = 3
            ^
  assumptions may follow: symmetric, spd, positive, nonnegative
  start a new line, or write ; before it

a transpose ' stands in index notation
    A'*b
     ^
  a transpose swaps the indices: A[j,i]
  write A[j,i], or read the text with notation="matrix"

a matrix product @ stands in index notation
    A @ b
      ^
  a product sums over the index that its factors share
  write A @ b as A[i,j]*b[j]

a dot stands outside a number
    x .* y
      ^
  x .* y is x[i]*y[i] with i on the left, A.T is A[j,i], A.sum() is sum[i](A[i])
  write the indices instead

a dot stands outside a number
    A.T
     ^
  x .* y is x[i]*y[i] with i on the left, A.T is A[j,i], A.sum() is sum[i](A[i])
  write the indices instead

a backslash stands in index notation
    \theta
    ^
  names are letters, Greek ones included, digits and _
  write theta or θ, or read the text with notation="latex"

a brace stands in index notation
    {a}
    ^
  indices stand in square brackets, arguments in round ones
  write A[i,j], or read the text with notation="latex"

a bar stands in index notation
    |x|
    ^
  no operator is written so
  write abs(x)

an exclamation mark stands alone
    n!
     ^
  unequal is written !=, and there is no factorial
  write exp(lgamma(x + 1)) for x!

a superscript ² stands in index notation
    x²
     ^
  a power is written with ^
  write ^2

a summation sign stands in index notation
    ∑ a
    ^
  an index that two factors share is summed; any other is named
  write sum[i](...)

a root sign stands in index notation
    √x
    ^
  functions have names
  write sqrt(x)

a sign ≤ stands in index notation
    a ≤ b
      ^
  comparisons are < <= > >= == !=
  write <=

the character $ has no meaning here
    a $ b
      ^
  it is U+0024 DOLLAR SIGN
  names are letters, digits and _; operators are + - * / ^

the character ½ has no meaning here
    a ½
      ^
  it is U+00BD VULGAR FRACTION ONE HALF
  names are letters, digits and _; operators are + - * / ^
"""


def complaint(text: str) -> str:
    with pytest.raises(NotationError) as caught:
        parse_index(text)
    assert caught.value.source == text
    return str(caught.value)


@pytest.mark.parametrize(
    "message",
    MESSAGES.strip("\n").split("\n\n"),
    ids=lambda message: message.split("\n")[1].strip(),
)
def test_message_shows_place_facts_and_way_out(message: str) -> None:
    assert complaint(message.split("\n")[1].strip()) == message


def test_a_line_end_says_how_to_go_on() -> None:
    assert complaint("y = a +  # and\nb") == (
        "the line ends where an operand is missing\n"
        "    1: y = a +  # and\n"
        "                     ^\n"
        "  expected a number, a name or an opening bracket\n"
        "  complete it, or put brackets around what goes on over several lines"
    )


def test_an_open_bracket_is_shown_on_its_own_line() -> None:
    assert complaint("y = (a\nz = b") == (
        "the bracket ( is never closed\n"
        "    1: y = (a\n"
        "           ^\n"
        "  a line end inside brackets does not end a statement\n"
        "  close it with )"
    )


def test_mismatched_brackets_are_shown_on_both_lines() -> None:
    assert complaint("(a\n]") == (
        "the bracket ( is closed by ]\n"
        "    1: (a\n"
        "       ^\n"
        "    2: ]\n"
        "       ^\n"
        "  ) closes (, and ] closes [\n"
        "  make the two alike"
    )


@pytest.mark.parametrize("text", ["", "  \n", "# a comment", ";;"])
def test_an_empty_text_has_no_expression(text: str) -> None:
    assert complaint(text) == (
        "there is no expression\n  the text is empty\n  write one, for example x[i]*Q[i,j]*x[j]"
    )


def test_declarations_alone_are_no_expression() -> None:
    assert complaint("X : (n)\nY : (n) positive\n") == (
        "there is no expression\n"
        "    2: Y : (n) positive\n"
        "       ^^^^^^^^^^^^^^^^\n"
        "  the text only declares tensors\n"
        "  write one, for example x[i]*Q[i,j]*x[j]"
    )


@pytest.mark.parametrize("after", ["b", "y = b", "X : (n)"])
def test_a_bare_expression_stands_last(after: str) -> None:
    assert complaint(f"a*c\n{after}") == (
        "an expression without a name stands before other statements\n"
        "    1: a*c\n"
        "       ^^^\n"
        "  its value would be lost: only the last statement may have no name\n"
        "  name it, as in r[a] = ..., or move it to the end"
    )


def test_a_character_that_does_not_print_is_named_by_its_code_point() -> None:
    assert complaint("a\u200b").splitlines()[0::3] == [
        "a character that does not print has no meaning here",
        "  it is U+200B ZERO WIDTH SPACE",
    ]


def test_a_long_word_is_shortened_in_the_message() -> None:
    assert complaint("a " + "b" * 1000).splitlines()[0] == (
        "an operator is missing before bbbbbbbbbbbbbbbbbbbb...bbbbbbbbbb"
    )
