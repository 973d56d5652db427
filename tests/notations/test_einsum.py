"""An einsum string means the contraction that index notation writes, and terms print as such strings."""

from fractions import Fraction
from itertools import chain

import numpy as np
import pytest

import einderiv as ed
from einderiv.errors import DimensionError, EinderivError, NotationError
from einderiv.notations.einsum import operand_name, read_einsum, read_subscripts
from einderiv.printers.einsum import to_einsum
from tests.awkward_subscripts import AWKWARD


def einsum(text, operands=None, **options):
    return ed.parse(text, "einsum", operands=operands, **options)


# ---------------------------------------------------------------- the same term as index notation

PAIRS = [  # string, operands, index notation
    ("ij,j->i", "A x", "Y[i] = A[i,j]*x[j]"),
    ("ij,j->i", "A x", "A[i,j]*x[j]"),
    ("ij,jk->ik", "A B", "A[i,j]*B[j,k]"),
    ("ij,jk->ki", "A B", "Y[k,i] = A[i,j]*B[j,k]"),
    ("ij,jk", "A B", "A[i,j]*B[j,k]"),
    ("ba", "A", "Y[a,b] = A[b,a]"),
    ("ij,jk->ik", "X X", "X[i,j]*X[j,k]"),
    ("ij,ik->jk", "X X", "X[i,j]*X[i,k]"),
    ("ij,jk,ki->", "X X X", "X[i,j]*X[j,k]*X[k,i]"),
    ("ij,ij->", "X X", "X[i,j]*X[i,j]"),
    ("ij,ij,ij->ij", "X X X", "Y[i,j] = X[i,j]*X[i,j]*X[i,j]"),
    ("ii->", "A", "A[i,i]"),
    ("ii->i", "A", "Y[i] = A[i,i]"),
    ("iij,j->i", "A x", "Y[i] = A[i,i,j]*x[j]"),
    ("ii,jj->", "A B", "A[i,i]*B[j,j]"),
    ("ij->", "A", "sum[i,j](A[i,j])"),
    ("ij->j", "A", "sum[i](A[i,j])"),
    ("ij,k->i", "A x", "sum[j,k](A[i,j]*x[k])"),
    ("i,i->i", "x y", "Y[i] = x[i]*y[i]"),
    ("i,i", "x y", "x[i]*y[i]"),
    ("i,j->ij", "x y", "x[i]*y[j]"),
    ("i,j->ji", "x y", "Y[j,i] = x[i]*y[j]"),
    ("ij,i->ij", "A x", "Y[i,j] = A[i,j]*x[i]"),
    ("ij,kj,kl->il", "A B C", "A[i,j]*B[k,j]*C[k,l]"),
    ("i,ij,j->", "x Q x", "x[i]*Q[i,j]*x[j]"),
    (",ij->ij", "c A", "c*A[i,j]"),
    (",->", "a b", "a*b"),
    ("->", "a", "a"),
    ("ir,jr,kr->ijk", "A B C", "A[i,r]*B[j,r]*C[k,r]"),
    ("ijk,ia,jb,kc->abc", "G A B C", "G[i,j,k]*A[i,a]*B[j,b]*C[k,c]"),
    ("bij,bjk->bik", "A B", "Y[b,i,k] = A[b,i,j]*B[b,j,k]"),
    (" i j , j -> i ", "A x", "A[i,j]*x[j]"),
    ("ij,jk->ik", "delta A", "delta[i,j]*A[j,k]"),
    ("ij,j->i", "A ones", "A[i,j]*ones[j]"),
    ("i,j->ij", "x ones", "x[i]*ones[j]"),
    ("ijk,k->ij", "eps x", "eps[i,j,k]*x[k]"),
    (",i->i", "pi x", "pi*x[i]"),
]


@pytest.mark.parametrize(("text", "operands", "index"), PAIRS)
def test_a_string_is_the_same_term_as_its_index_notation(text, operands, index):
    found, wanted = einsum(text, operands.split()), ed.parse(index)
    assert found.term is wanted.term
    assert found.indices == wanted.indices
    assert found.variables == wanted.variables
    assert str(found) == str(wanted)


def test_operands_are_called_a_b_c_where_nobody_names_them():
    assert str(einsum("ij,jk,k->i")) == "A[i,j]*B[j,k]*C[k]"
    assert [operand_name(k) for k in range(24, 28)] == ["Y", "Z", "A1", "B1"]


def test_shapes_name_the_extents():
    e = einsum("ij,j->i", ("X", "th"), shapes={"X": ("n", "d")})
    assert e.shape == ("n",)
    assert e.variables == {"X": ("n", "d"), "th": ("d",)}


def test_an_extent_may_be_a_factor():
    e = einsum(",i->i", ("n", "x"), shapes={"x": ("n",)})
    assert e.term is ed.parse("x : (n,)\nn*x[i]").term


def test_assumptions_hold():
    e = einsum("i,ij,j->", ("x", "Q", "x"), assume={"Q": "symmetric"})
    assert str(e.grad("x")) == "Q : (i, i) symmetric\n2*Q[i,j]*x[j]"


def test_a_letter_may_be_called_like_an_operand():
    e = einsum("AB,B->A", ("A", "B"))
    assert e == ed.parse("M[i,j]*x[j]").substitute(M="A[i,j]", x="B[j]")
    assert ed.parse(str(e)) == e


def test_the_derivative_of_a_string_is_that_of_its_index_notation():
    gradient = einsum("i,ij,j->", ("x", "Q", "x")).grad("x")
    assert str(gradient) == "(Q[i,j] + Q[j,i])*x[j]"


def test_the_ellipsis_takes_its_axes_from_the_shape():
    e = einsum("...i,i->...", shapes={"A": ("n", "m", "d")})
    assert str(e) == "A[a,b,i]*B[i]"
    assert e.shape == ("n", "m")


def test_an_axis_of_one_under_an_ellipsis_is_repeated():
    e = einsum("...i,...i->...", shapes={"A": ("n", 1, "d"), "B": ("m", "d")})
    assert e.shape == ("n", "m")
    A, B = np.arange(8.0).reshape(2, 1, 4), np.arange(12.0).reshape(3, 4)
    assert np.array_equal(e(A=A, B=B), np.einsum("...i,...i->...", A, B))


def test_a_tensor_that_stands_twice_tells_its_rank_once():
    e = einsum("ij,...->ij...", ("X", "X"))
    assert str(e) == "X[i,j]*X[a,b]"


# ---------------------------------------------------------------- values


def named_labels_clash(text, shapes):
    """Does a letter have two extents, which NumPy allows where one is 1?"""
    read = read_subscripts(text).spell_out([len(shape) for shape in shapes])
    ellipsis = {*read.letters} - {*read_subscripts(text).letters}
    found = {}
    for label, size in zip(chain(*read.inputs), chain(*shapes), strict=True):
        if label not in ellipsis:
            found.setdefault(label, set()).add(size)
    return any(len(sizes) > 1 for sizes in found.values())


@pytest.mark.parametrize(("text", "shapes"), AWKWARD, ids=lambda x: repr(x))
def test_awkward_strings_have_numpys_values(text, shapes):
    rng = np.random.default_rng(5)
    arrays = [rng.integers(-4, 5, shape).astype(float) for shape in shapes]
    names = tuple(map(operand_name, range(len(arrays))))
    declared = dict(zip(names, shapes, strict=True))
    if named_labels_clash(text, shapes):
        with pytest.raises(DimensionError, match="has two extents"):
            einsum(text, shapes=declared)
        return
    found = einsum(text, shapes=declared)(dict(zip(names, arrays, strict=True)))
    wanted = np.einsum(text, *arrays)  # small integers: exact
    assert np.shape(found) == wanted.shape
    assert np.array_equal(found, wanted)


# ---------------------------------------------------------------- mistakes

REFUSED = {
    "an extent that clashes": (
        lambda: einsum("ij,jk", ("X", "w"), shapes={"X": ("n", 3), "w": (4, "k")}),
        DimensionError,
        "index j has two extents\n    ij,jk\n     ^ ^\n"
        "  axis 2 of X is 3 (given in shapes=), axis 1 of w is 4 (given in shapes=)\n"
        "  rename one of the indices, or declare both axes with the same extent",
    ),
    "a tensor of two ranks": (
        lambda: einsum("ij,j->i", ("A", "A")),
        DimensionError,
        "A has two ranks\n    ij,j->i\n    ^^ ^\n  2 axes (ij), 1 axis (j)\n"
        "  give one of them another name, or the same number of indices",
    ),
    "a declared rank": (
        lambda: einsum("ij->i", ("A",), shapes={"A": ("n",)}),
        DimensionError,
        "A has two ranks\n    ij->i\n    ^^\n  1 axis (given in shapes=), 2 axes (ij)\n"
        "  give one of them another name, or the same number of indices",
    ),
    "a tensor without labels": (
        lambda: einsum(",i->i", ("A", "x"), shapes={"A": ("n", "d")}),
        DimensionError,
        "A has 2 axes and stands without labels\n    ,i->i\n    ^\n"
        "  2 axes (given in shapes=), no label here\n"
        "  write 'ij' in its place, or declare it a scalar",
    ),
    "an ellipsis of unknown rank": (
        lambda: einsum("...i,i->...", ("A", "x")),
        NotationError,
        "the ellipsis of A stands for an unknown number of axes\n    ...i,i->...\n    ^^^\n"
        "  only the shape of A tells it\n"
        "  give it, for example shapes={'A': ('n', 'm', 'p')}",
    ),
    "an ellipsis and too few axes": (
        lambda: einsum("...ij->...", ("A",), shapes={"A": ("n",)}),
        DimensionError,
        "operand 0 has 1 axis, its subscripts '...ij' name 2\n    ...ij->...\n    ^^^^^\n"
        "  each letter names one axis\n  drop a letter, or give the array more axes",
    ),
    "ellipses of different extents": (
        lambda: einsum("...i,...i->...", ("A", "B"), shapes={"A": ("n", "d"), "B": ("m", "d")}),
        DimensionError,
        "two axes that the ellipses align have different extents\n    ...i,...i->...\n"
        "    ^^^  ^^^\n  axis 1 of A is n, axis 1 of B is m\n"
        "  ellipses are aligned on the right; declare these axes alike, or one of them as 1",
    ),
    "ellipses of different numbers": (
        lambda: einsum("...,...->...", ("A", "B"), shapes={"A": (2, 3), "B": (4,)}),
        DimensionError,
        "two axes that the ellipses align have different extents\n    ...,...->...\n"
        "    ^^^ ^^^\n  axis 2 of A is 3, axis 1 of B is 4\n"
        "  ellipses are aligned on the right; declare these axes alike, or one of them as 1",
    ),
    "too few names": (
        lambda: einsum("ij,jk->ik", ("A",)),
        NotationError,
        "2 operands in the string, 1 name in operands=\n    ij,jk->ik\n    ^^ ^^\n  named are A\n"
        "  name each operand; one tensor that stands twice is named twice",
    ),
    "too many names": (
        lambda: einsum("i->", ("A", "B")),
        NotationError,
        "1 operand in the string, 2 names in operands=\n    i->\n    ^\n  named are A, B\n"
        "  name each operand; one tensor that stands twice is named twice",
    ),
    "names in one text": (
        lambda: einsum("ij,j->i", "A x"),
        NotationError,
        "operands='A x' names no operands\n  it is a tuple of names, one for each operand\n"
        "  write operands=('A', 'B')",
    ),
    "an array as operand": (
        lambda: einsum("i->", ([1.0, 2.0],)),
        NotationError,
        "[1.0, 2.0] is no name of an operand\n  a name is a letter or _, then letters, digits and _\n"
        "  write operands=('A',)",
    ),
    "a function's name": (
        lambda: einsum("i,i->i", ("exp", "x")),
        NotationError,
        "exp is a function and stands without an argument\n    i,i->i\n    ^\n"
        "  write exp(...), or give the tensor another name",
    ),
    "size": (
        lambda: einsum("i,i->i", ("size", "x")),
        NotationError,
        "size is no tensor\n    i,i->i\n    ^\n"
        "  in index notation size[i] is the extent of i, a number\n  give the operand another name",
    ),
    "delta with three labels": (
        lambda: einsum("ijk->i", ("delta",)),
        NotationError,
        "delta takes 2 indices, 3 given\n    ijk->i\n    ^^^\n  write delta[i,j]",
    ),
    "shapes= that is no dict": (
        lambda: einsum("i->", shapes=[(2,)]),
        NotationError,
        "shapes= cannot be read: [(2,)] is no dict\n  it is a dict whose keys are names of tensors\n"
        "  write shapes={'A': ('n', 3)}",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_facts_and_a_way_out(case):
    call, error, text = REFUSED[case]
    with pytest.raises(error) as caught:
        call()
    assert isinstance(caught.value, EinderivError)
    assert str(caught.value) == text


def test_a_meaning_is_bare():
    context = read_einsum("ij,j->i", ("A", "x")).context
    assert context.name is None and not context.definitions


# ---------------------------------------------------------------- terms as strings

PRINTED = [  # index notation, einsum
    ("A[i,j]*x[j]", 'einsum("ij,j->i", A, x)'),
    ("2*A[i,j]*x[j]", '2*einsum("ij,j->i", A, x)'),
    ("-x[i]*x[i]/3", '-1/3*einsum("i,i->", x, x)'),
    ("-A[i,j]", '-einsum("ij->ij", A)'),
    ("x[i]", 'einsum("i->i", x)'),
    ("C[j,i] = A[i,j]", 'einsum("ij->ji", A)'),
    ("sum[i,j](A[i,j])", 'einsum("ij->", A)'),
    ("A[i,i]", 'einsum("ii->", A)'),
    ("z[i] = x[i]^3", 'einsum("i,i,i->i", x, x, x)'),
    ("a*b", 'einsum(",->", a, b)'),
    ("X[a,b]*(A[b,k]*u[k])", 'einsum("ab,bk,k->a", X, A, u)'),
    ("delta[i,k]*(x[j]*x[j])", 'einsum("ik,j,j->ik", delta, x, x)'),
    ("x[i]*ones[j]", 'einsum("j,i->ij", ones, x)'),
    ("x : (n,)\nn*x[i]", 'einsum(",i->i", n, x)'),
    ("x[i]*pi", 'einsum("i,->i", x, pi)'),
    ("B[b1,b2]*y[b2]", 'einsum("ij,j->i", B, y)'),
    ("C[α,β] = X[α,γ]*Y[γ,β]", 'einsum("ik,kj->ij", X, Y)'),
]


@pytest.mark.parametrize(("index", "text"), PRINTED)
def test_a_product_prints_as_an_einsum(index, text):
    e = ed.parse(index)
    assert str(to_einsum(e.term, e.indices, e._context)) == text


@pytest.mark.parametrize("index", [index for index, _ in PRINTED])
def test_a_printed_einsum_reads_back(index):
    e = ed.parse(index)
    found = to_einsum(e.term, e.indices, e._context)
    back = einsum(found.subscripts, found.operands, shapes=e.variables)
    letters = f"[{','.join(back.indices)}]" if back.indices else ""
    scaled = ed.parse(f"({found.factor})*back{letters}").substitute(back=back)
    assert ed.equal(scaled, e)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [row for row in AWKWARD if not named_labels_clash(*row)],
    ids=lambda x: repr(x),
)
def test_an_awkward_string_printed_again_has_the_same_values(text, shapes):
    rng = np.random.default_rng(6)
    arrays = [rng.integers(-4, 5, shape).astype(float) for shape in shapes]
    names = tuple(map(operand_name, range(len(arrays))))
    e = einsum(text, shapes=dict(zip(names, shapes, strict=True)))
    printed = to_einsum(e.term, e.indices, e._context)
    assert printed.factor == 1
    known = dict(zip(names, arrays, strict=True))
    terms = printed.subscripts.partition("->")[0].split(",")
    extents = {
        label: size
        for term, name in zip(terms, printed.operands, strict=True)
        if name in known
        for label, size in zip(term, known[name].shape, strict=True)
    }
    given = [
        known[name] if name in known else np.ones([extents[label] for label in term])
        for term, name in zip(terms, printed.operands, strict=True)
    ]
    assert np.array_equal(np.einsum(printed.subscripts, *given), np.einsum(text, *arrays))


NO_PRODUCT = {
    "sin(x[i])": "sin(x[i]) is no product of tensors",
    "x[i] + y[i]": "x[i] + y[i] is no product of tensors",
    "A[i,j]*sin(x[j])": "sin(x[j]) is no product of tensors",
    "2": "2 is no product of tensors",
    "inv(A)[i,j]*x[j]": "inv(A)[i,j] is no product of tensors",
    "2*(x[i] + y[i])*z[i]": "x[i] + y[i] is no product of tensors",
    "x[i]/n": "1/n is no product of tensors",
}


@pytest.mark.parametrize("index", NO_PRODUCT)
def test_a_term_that_is_no_product_names_the_part_that_is_none(index):
    e = ed.parse(index)
    with pytest.raises(NotationError) as caught:
        to_einsum(e.term, e.indices, e._context)
    assert caught.value.message == NO_PRODUCT[index]
    assert caught.value.facts and caught.value.hint


def test_the_whole_is_shown_around_the_part():
    e = ed.parse("A[i,j]*sin(x[j])")
    with pytest.raises(NotationError, match=r"it stands in A\[i,j\]\*sin\(x\[j\]\)"):
        to_einsum(e.term, e.indices, e._context)


def test_a_product_with_more_labels_than_letters_is_refused():
    text = "*".join(f"A[i{k},i{k + 1}]" for k in range(60))
    e = ed.parse(text)
    with pytest.raises(NotationError, match="too long for an einsum string"):
        to_einsum(e.term, e.indices, e._context)


def test_a_shared_product_does_not_grow_beyond_bounds():
    """T is squared 40 times: flat it would be 2^40 factors."""
    text = "\n".join(["T0 = x[i]*y[i]", *(f"T{k + 1} = T{k}*T{k}*a" for k in range(40))])
    e = ed.parse(text)
    with pytest.raises(NotationError):
        to_einsum(e.term, e.indices, e._context)


def test_the_factor_is_exact():
    e = ed.parse("0.1*x[i]*y[i]")
    assert to_einsum(e.term, e.indices).factor == Fraction(1, 10)
