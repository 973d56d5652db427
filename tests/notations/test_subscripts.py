"""Einsum strings are read as numpy.einsum reads them, and refused with the place of the mistake."""

import random

import numpy as np
import pytest

from einderiv.errors import DimensionError, NotationError
from einderiv.notations.einsum import LETTERS, fresh_letters, read_subscripts
from tests.awkward_subscripts import AWKWARD

READ = [  # string, inputs, output
    ("ij,jk->ik", "ij jk", "ik"),
    ("ij,jk", "ij jk", "ik"),
    ("kj,ji", "kj ji", "ik"),
    ("ba", "ba", "ab"),
    ("bA", "bA", "Ab"),
    ("zZaA", "zZaA", "AZaz"),
    ("ii", "ii", ""),
    ("iij", "iij", "j"),
    ("i,i", "i i", ""),
    ("ii->i", "ii", "i"),
    ("ij->", "ij", ""),
    ("...ij", "...ij", "...ij"),
    ("j...i", "j...i", "...ij"),
    ("...i,...", "...i ...", "...i"),
    ("i...->...i", "i...", "...i"),
    (" i j , j k -> i k ", "ij jk", "ik"),
    ("i j", "ij", "ij"),
    ("i ... j->j ... i", "i...j", "j...i"),
]


@pytest.mark.parametrize(("text", "inputs", "output"), READ, ids=[row[0] for row in READ])
def test_a_string_is_read(text, inputs, output):
    def split(word):
        return tuple("..." if x == "." else x for x in word.replace("...", "."))

    read = read_subscripts(text)
    assert read.inputs == tuple(map(split, inputs.split()))
    assert read.output == split(output)
    assert read.explicit == ("->" in text)


@pytest.mark.parametrize(
    ("text", "count"), [("", 1), ("->", 1), (",", 2), (",,->", 3), ("i,->i", 2), (",i->i", 2)]
)
def test_an_operand_without_labels_is_a_scalar(text, count):
    read = read_subscripts(text)
    assert len(read.inputs) == count
    assert () in read.inputs


@pytest.mark.parametrize(("text", "shapes"), AWKWARD, ids=lambda x: repr(x))
def test_integer_labels_mean_what_numpy_makes_of_the_string(text, shapes):
    """NumPy takes labels as integers too: the same values from the string and from our integers."""
    rng = np.random.default_rng(7)
    arrays = [rng.integers(-9, 10, shape) for shape in shapes]
    want = np.einsum(text, *arrays)
    read = read_subscripts(text)
    ranks = [len(shape) for shape in shapes]
    inputs, output = read.resolve(ranks)
    interleaved = [x for pair in zip(arrays, map(list, inputs), strict=True) for x in pair]
    assert np.array_equal(np.einsum(*interleaved, list(output)), want)
    assert np.array_equal(np.einsum(str(read), *arrays), want)
    assert np.array_equal(np.einsum(str(read.spell_out(ranks)), *arrays), want)


def test_the_ellipsis_is_aligned_on_the_right():
    read = read_subscripts("...i,...i,i->...")
    assert read.resolve([3, 2, 1]) == (((0, 1, 2), (1, 2), (2,)), (0, 1))
    assert read.count_unnamed([3, 2, 1]) == (2, 1, 0)


def test_spelling_an_ellipsis_out_takes_letters_that_are_free():
    assert str(read_subscripts("...a,ab->...b").spell_out([3, 2])) == "cda,ab->cdb"


def test_letters_run_out_with_an_error():
    assert len(fresh_letters(52, "")) == len(set(LETTERS)) == 52
    with pytest.raises(NotationError, match="no letters are left for 1 axis"):
        fresh_letters(1, LETTERS)


# ---------------------------------------------------------------- mistakes

REFUSED = {
    "ij- >k": """\
an arrow is not complete
    ij- >k
      ^
  the output stands behind ->
  write ->""",
    "ij→i": """\
an arrow is not complete
    ij→i
      ^
  the output stands behind ->
  write ->""",
    "i..j": """\
dots that are no ellipsis
    i..j
     ^
  an ellipsis is three dots, with no blank between them
  write ...""",
    ".. .i": """\
dots that are no ellipsis
    .. .i
    ^
  an ellipsis is three dots, with no blank between them
  write ...""",
    "...i...->i": """\
a term has two ellipses
    ...i...->i
    ^^^ ^^^
  an ellipsis stands for all axes of the operand that have no letter
  leave one of them""",
    "ij->......": """\
a term has two ellipses
    ij->......
        ^^^^^^
  an ellipsis stands for all axes of the operand that have no letter
  leave one of them""",
    "ij,jk->il": """\
label l of the output is in no operand
    ij,jk->il
            ^
  the operands have the labels ijk
  drop it, or multiply by an array of ones that has it""",
    "->i": """\
label i of the output is in no operand
    ->i
      ^
  they have none
  drop it, or multiply by an array of ones that has it""",
    "i->ii": """\
label i stands twice in the output
    i->ii
       ^^
  each axis of the output has a label of its own
  give one of them a new letter; a diagonal matrix is a product with an identity: 'i,ij->ij'""",
    "i->i->i": """\
a second arrow
    i->i->i
        ^^
  the arrow stands once, before the output
  write operands->output""",
    "ij->i,j": """\
a comma stands in the output
    ij->i,j
         ^
  there is one output
  drop the comma""",
    "A[i,j]*x[j]": """\
[ stands in an einsum string
    A[i,j]*x[j]
     ^
  it holds the labels only: 'ij,j->i'
  read A[i,j]*x[j] with notation="index\"""",
    "a1,b1": """\
1 is no label
    a1,b1
     ^
  a label is one letter, a to z or A to Z
  choose letters, or pass labels as numbers: ed.einsum(A, [0, 1], B, [1, 2], [0, 2])""",
    "αβ->α": """\
α is no label
    αβ->α
    ^
  a label is one letter, a to z or A to Z
  an einsum string is letters, commas, ... and ->""",
    "i\tj": """\
white space '\\t' between the labels
    i j
     ^
  numpy.einsum takes blanks only
  remove it, or write a blank""",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_mistake_is_shown_with_its_place_and_a_way_out(text):
    with pytest.raises(NotationError) as caught:
        read_subscripts(text)
    assert str(caught.value) == REFUSED[text]


@pytest.mark.parametrize("text", REFUSED)
def test_numpy_refuses_the_same_strings(text):
    with pytest.raises(ValueError):
        np.einsum(text, *[np.ones((1,) * 2)] * (text.count(",") + 1))


@pytest.mark.parametrize("text", [None, 3, b"ij", ["ij"]])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(NotationError, match="the subscripts are no text"):
        read_subscripts(text)


WRONG_RANKS = [  # string, ranks, error, words of the message
    ("ij,jk", [2], NotationError, "2 operands are named, 1 given"),
    ("ij,jk->ik", [2, 3], DimensionError, "operand 1 has 3 axes, its subscripts 'jk' name 2"),
    ("ij", [1], DimensionError, "operand 0 has 1 axis, its subscripts 'ij' name 2"),
    ("...ij->...", [1], DimensionError, "operand 0 has 1 axis, its subscripts '...ij' name 2"),
    ("...ij->ij", [3], NotationError, "the output 'ij' has no ellipsis"),
]


@pytest.mark.parametrize(("text", "ranks", "error", "words"), WRONG_RANKS)
def test_ranks_that_do_not_fit_are_refused_by_us_and_by_numpy(text, ranks, error, words):
    with pytest.raises(error) as caught:
        read_subscripts(text).resolve(ranks)
    assert caught.value.message == words
    with pytest.raises(ValueError):
        np.einsum(text, *[np.ones((1,) * rank) for rank in ranks])


def test_a_wrong_rank_shows_the_operand():
    with pytest.raises(DimensionError) as caught:
        read_subscripts("ij,jk->ik").resolve([2, 3])
    assert str(caught.value).splitlines()[1:3] == ["    ij,jk->ik", "       ^^"]


def test_random_strings_are_accepted_exactly_where_numpy_accepts_them():
    seed = 20
    print(f"seed {seed}")
    rng = random.Random(seed)
    pieces = ["i", "j", "k", "A", "i", "j", ",", "->", "...", " ", "-", ".", "1", ">"]
    weights = [6, 6, 4, 2, 4, 4, 5, 4, 2, 3, 0.3, 0.3, 0.3, 0.3]
    accepted = 0
    for _ in range(4000):
        text = "".join(rng.choices(pieces, weights, k=rng.randint(0, 8)))
        terms = text.partition("->")[0].split(",")
        arrays = [np.ones((1,) * sum(x.isalpha() for x in term)) for term in terms]
        try:
            np.einsum(text, *arrays)
            fine = True
        except ValueError:
            fine = False
        try:
            read_subscripts(text).resolve([array.ndim for array in arrays])
            ours = True
        except (NotationError, DimensionError):
            ours = False
        assert ours == fine, text
        accepted += fine
    assert accepted > 1000


def test_a_long_string_is_read():
    """In a second; a reader that is quadratic in its length would need hours."""
    read = read_subscripts(",".join(["ij"] * 50_000))
    assert len(read.inputs) == 50_000
    with pytest.raises(NotationError):
        read_subscripts("i" * 100_000 + "?")
