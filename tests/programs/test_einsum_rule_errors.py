"""Bad input to the derivatives of einsum strings: the whole message, and nothing but our errors."""

import random

import numpy as np
import pytest

import einderiv as ed
from einderiv.errors import DataError, DimensionError, EinderivError, NotationError
from einderiv.programs.einsums import einsum_jacobian, einsum_report, einsum_vjp
from tests.awkward_subscripts import AWKWARD

REFUSED = {
    "no such operand": (
        lambda: einsum_vjp("ij,jk->ik", 2),
        NotationError,
        "no operand 2 in 'ij,jk->ik'\n  there are 2: 0 to 1\n"
        "  operands are counted from 0, in the order of the string",
    ),
    "one operand": (
        lambda: einsum_vjp("ij", -1),
        NotationError,
        "no operand -1 in 'ij'\n  there is 1 operand: 0\n"
        "  operands are counted from 0, in the order of the string",
    ),
    "an operand's name": (
        lambda: einsum_jacobian("ij,jk->ik", "A"),
        NotationError,
        "no operand 'A' in 'ij,jk->ik'\n  there are 2: 0 to 1\n"
        "  operands are counted from 0, in the order of the string",
    ),
    "True": (
        lambda: einsum_jacobian("ij,jk->ik", True),
        NotationError,
        "no operand True in 'ij,jk->ik'\n  there are 2: 0 to 1\n"
        "  operands are counted from 0, in the order of the string",
    ),
    "a wrong string": (
        lambda: einsum_vjp("ij->k", 0),
        NotationError,
        "label k of the output is in no operand\n    ij->k\n        ^\n"
        "  the operands have the labels ij\n  drop it, or multiply by an array of ones that has it",
    ),
    "too few arrays": (
        lambda: einsum_vjp("ij,jk->ik", 0)(np.ones((2, 4))),
        DataError,
        "the rule takes 2 arrays, 1 given\n  wanted: the cotangent g, operand 1\n"
        "  pass every operand but the one differentiated by, in the order of the string",
    ),
    "too many arrays": (
        lambda: einsum_jacobian("i,i->i", 0)(np.ones(2), np.ones(2)),
        DataError,
        "the rule takes 1 array, 2 given\n  wanted: operand 1\n"
        "  pass every operand but the one differentiated by, in the order of the string",
    ),
    "an extent that clashes": (
        lambda: einsum_vjp("ij,jk->ik", 0)(np.ones((2, 4)), np.ones((3, 5))),
        DimensionError,
        "label k has two extents\n    ij,jk->ik\n        ^   ^\n"
        "  axis 2 of operand 1 is 5, axis 2 of the cotangent g is 4\n"
        "  axes with one label have one extent, or 1 where the array is repeated",
    ),
    "a cotangent is not repeated": (
        lambda: einsum_vjp("ij,jk->ik", 0)(np.ones((2, 1)), np.ones((3, 5))),
        DimensionError,
        "label k has two extents\n    ij,jk->ik\n        ^   ^\n"
        "  axis 2 of operand 1 is 5, axis 2 of the cotangent g is 1\n"
        "  axes with one label have one extent, or 1 where the array is repeated",
    ),
    "a diagonal repeats nothing": (
        lambda: einsum_vjp("i,ii->i", 0)(np.ones(3), np.ones((1, 3))),
        DimensionError,
        "label i has two extents\n    i,ii->i\n    ^ ^^  ^\n"
        "  axis 1 of operand 1 is 1, axis 2 of operand 1 is 3\n"
        "  axes with one label have one extent, or 1 where the array is repeated",
    ),
    "a cotangent of wrong rank": (
        lambda: einsum_vjp("ij,jk->ik", 0)(np.ones(2), np.ones((3, 4))),
        DimensionError,
        "the cotangent g has shape (2,), the output 2 axes\n    ij,jk->ik\n           ^^\n"
        "  the cotangent has the shape of the output\n"
        "  pass an array like the result of the einsum",
    ),
    "an operand of wrong rank": (
        lambda: einsum_vjp("ij,jk->ik", 0)(np.ones((2, 4)), np.ones(3)),
        DimensionError,
        "operand 1 has 1 axis, its subscripts 'jk' name 2\n    ij,jk->ik\n       ^^\n"
        "  each letter names one axis\n  drop a letter, or give the array more axes",
    ),
    "an unknown extent": (
        lambda: einsum_vjp("ij->i", 0)(np.ones(2)),
        DimensionError,
        "no given array tells the extent of j\n    ij->i\n     ^\n"
        "  only the operand differentiated by has it\n"
        "  pass its shape: shape=A.shape, or sizes={'j': ...}",
    ),
    "shape= that clashes": (
        lambda: einsum_vjp("ij->i", 0)(np.ones(2), shape=(3, 4)),
        DimensionError,
        "label i has two extents\n    ij->i\n    ^   ^\n"
        "  axis 1 of operand 0 (given in shape=) is 3, axis 1 of the cotangent g is 2\n"
        "  axes with one label have one extent, or 1 where the array is repeated",
    ),
    "sizes= that clash": (
        lambda: einsum_vjp("ij,j->i", 0)(np.ones(2), np.ones(3), sizes={"j": 1}),
        DimensionError,
        "label j has two extents\n    ij,j->i\n     ^ ^\n"
        "  axis 1 of operand 1 is 3, j is 1 (given in sizes=)\n"
        "  axes with one label have one extent, or 1 where the array is repeated",
    ),
    "shape= is no shape": (
        lambda: einsum_vjp("ij->i", 0)(np.ones(2), shape=3),
        DimensionError,
        "shape=3 is no shape\n  a shape is a tuple of numbers, 0 or more, one for each axis\n"
        "  pass the shape of the operand differentiated by: shape=A.shape",
    ),
    "sizes= of an unknown label": (
        lambda: einsum_vjp("ij->i", 0)(np.ones(2), sizes={"k": 3}),
        DataError,
        "k: no such label\n  the labels are i, j\n  drop it, or correct the label",
    ),
    "sizes= is no dict": (
        lambda: einsum_vjp("ij->i", 0)(np.ones(2), sizes=3),
        DataError,
        "sizes= of type int gives no extents\n  extents are given by label\n  pass sizes={'j': 4}",
    ),
    "shapes= is no list of shapes": (
        lambda: einsum_vjp("ij->i", 0, shapes=(2, 3)),
        DimensionError,
        "shapes=(2, 3) gives no shapes\n  it is a list with one shape for each operand\n"
        "  write for example shapes=[(2, 3), (3, 4)]",
    ),
    "shapes= that clash": (
        lambda: einsum_vjp("ij,jk->ik", 0, shapes=[(2, 3), (4, 5)]),
        DimensionError,
        "label j has two extents\n    ij,jk->ik\n     ^ ^\n"
        "  axis 2 of operand 0 is 3, axis 1 of operand 1 is 4\n"
        "  axes with one label have one extent, or 1 where the array is repeated",
    ),
    "shapes= of names that clash": (
        lambda: einsum_vjp("ij,jk->ik", 0, shapes=[("n", "d"), ("m", "k")]),
        DimensionError,
        "label j has two extents\n    ij,jk->ik\n     ^ ^\n"
        "  axis 2 of operand 0 is d, axis 1 of operand 1 is m\n"
        "  axes with one label have one extent, or 1 where the array is repeated",
    ),
    "a Jacobian by an unknown number of axes": (
        lambda: einsum_jacobian("...i->...", 0),
        NotationError,
        "the ellipsis of operand 0 stands for an unknown number of axes\n    ...i->...\n    ^^^\n"
        "  each of them is a new axis of the Jacobian and needs a letter\n"
        "  give the shapes of the operands: shapes=[(2, 3), (3, 4)]",
    ),
    "index notation of an ellipsis": (
        lambda: einsum_vjp("...i->...", 0).index,
        NotationError,
        "index notation names every axis\n  '...,i->...i' has an ellipsis\n"
        "  give the shapes of the operands: shapes=[(2, 3), (3, 4)]",
    ),
    "NumPy sums no ellipsis": (
        lambda: einsum_vjp("...i,i->...", 1).numpy,
        NotationError,
        "NumPy sums no ellipsis\n  in '...,...i->i' the axes of ... are summed\n"
        "  give the shapes of the operands: shapes=[(2, 3), (3, 4)]",
    ),
    "no letters are left": (
        lambda: einsum_jacobian("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ->", 0),
        NotationError,
        "no letters are left for 43 axes\n  an einsum string has 52 letters, 43 are in use\n"
        "  split the product, or write it in index notation, where names are longer",
    ),
    "texts as arrays": (
        lambda: einsum_vjp("i,i->i", 0)(np.ones(2), ["a", "b"]),
        DataError,
        "operand 1 has dtype <U1\n  floating, complex, integer and boolean dtypes can be computed "
        "with\n  convert it: numpy.asarray(operand 1, dtype=float)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_facts_and_a_way_out(case):
    call, error, text = REFUSED[case]
    with pytest.raises(error) as caught:
        call()
    assert isinstance(caught.value, EinderivError)
    assert str(caught.value) == text


def test_a_result_too_large_for_memory_is_refused():
    with pytest.raises(ed.ResourceLimitError, match="not enough memory"):
        einsum_jacobian("ij->ij", 0)(shape=(2**20, 2**20))


def test_whatever_comes_in_only_our_errors_leave():
    """Strings, operands and shapes that need not fit: an answer of the right shape, or our error."""
    seed = 30
    print(f"seed {seed}")
    rng = random.Random(seed)
    texts = [text for text, _ in AWKWARD]

    def shape(term):
        rank = sum(x.isalpha() for x in term) + 2 * ("..." in term)
        rank = max(0, rank + rng.choice([0] * 12 + [-1, 1]))
        return tuple(rng.choices([0, 1, 2, 3], [0.1, 1, 12, 0.3], k=rank))

    answers = refusals = 0
    for _ in range(3000):
        letters = list(rng.choice(texts))
        for _ in range(rng.choice([0, 0, 1, 2])):
            at = rng.randrange(len(letters) + 1)
            letters[at : at + rng.randint(0, 1)] = rng.choice(["i", "j", "...", ",", "->", "", " "])
        text, k = "".join(letters), rng.choice([0] * 8 + [-1, 1, 2])
        terms = text.partition("->")[0].split(",")
        shapes = [shape(term) for term in terms] if rng.random() < 0.2 else None
        kind = rng.choice([einsum_vjp, einsum_jacobian])
        try:
            einsum_report(text, k, shapes)
            rule = kind(text, k, shapes)
            made = zip(rule.operands, rule.subscripts.partition("->")[0].split(","), strict=False)
            arrays = [
                np.ones(shape(term)) for what, term in made if what == "g" or what in range(9)
            ]
            own = shape(terms[k]) if rng.random() < 0.8 else None
            found = rule(*arrays, shape=own)
        except EinderivError:
            refusals += 1
            continue
        answers += 1
        if kind is einsum_vjp and own is not None:
            assert np.shape(found) == own, (text, k)
    assert min(answers, refusals) > 200
