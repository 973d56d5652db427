"""Derivatives of einsum strings: right for every awkward string and every operand, as text and as function.

Oracles: unit vectors through numpy.einsum (exact, in integers), and JAX.
"""

import pickle
import re
import tracemalloc
from itertools import chain

import numpy as np
import pytest

import einderiv as ed
from einderiv.errors import NotationError
from einderiv.notations.einsum import read_subscripts
from einderiv.programs.einsums import (
    EinsumRule,
    einsum_jacobian,
    einsum_report,
    einsum_vjp,
)
from tests.awkward_subscripts import AWKWARD

SMALL = 16  # entries of a Jacobian that JAX is asked for as well

awkward = pytest.mark.parametrize(("text", "shapes"), AWKWARD, ids=lambda x: repr(x))


def integers(text, shapes):
    """Operands and a cotangent of small integers, and all Jacobians, each from unit vectors."""
    rng = np.random.default_rng(11)
    arrays = [rng.integers(-4, 5, shape) for shape in shapes]
    out = np.einsum(text, *arrays)
    cotangent = np.asarray(rng.integers(-4, 5, out.shape))
    jacobians = []
    for k, array in enumerate(arrays):
        jacobian = np.zeros(out.shape + array.shape, int)
        for at in np.ndindex(array.shape):
            unit = np.zeros(array.shape, int)
            unit[at] = 1
            jacobian[(..., *at)] = np.einsum(text, *arrays[:k], unit, *arrays[k + 1 :])
        jacobians.append(jacobian)
    return arrays, cotangent, jacobians


def without(arrays, k):
    return [*arrays[:k], *arrays[k + 1 :]]


def same(found, wanted):
    return np.shape(found) == wanted.shape and np.array_equal(found, wanted)


def test_the_list_has_300_different_strings():
    assert len({text for text, _ in AWKWARD}) >= 300


# ---------------------------------------------------------------- values


@awkward
def test_a_vjp_is_the_transposed_jacobian(text, shapes):
    arrays, g, jacobians = integers(text, shapes)
    for k, jacobian in enumerate(jacobians):
        others, wanted = without(arrays, k), np.tensordot(g, jacobian, g.ndim)
        assert same(einsum_vjp(text, k)(g, *others, shape=shapes[k]), wanted), k
        assert same(einsum_vjp(text, k, shapes)(g, *others), wanted), k


@awkward
def test_a_jacobian_is_the_derivative_by_every_entry(text, shapes):
    arrays, _, jacobians = integers(text, shapes)
    for k, jacobian in enumerate(jacobians):
        others = without(arrays, k)
        rule = einsum_jacobian(text, k, shapes)
        assert same(rule(*others), jacobian), k
        try:
            rule = einsum_jacobian(text, k)
        except NotationError as error:
            assert "..." in text and "ellipsis" in error.message
        else:
            assert same(rule(*others, shape=shapes[k]), jacobian), k


def numpy_operands(rule, given):
    """The arrays of a rule's string: those of the caller, identities and ones of the extents around."""
    terms = rule.subscripts.partition("->")[0].split(",")
    extents = {}
    for what, term in zip(rule.operands, terms, strict=True):
        if what in given:
            for label, size in zip(term, given[what].shape, strict=True):
                extents[label] = max(extents.get(label, 1), size) if size else 0
    own = rule.equation.inputs[rule.operand]
    for letter, size in zip(reversed(rule.subscripts), reversed(rule.shape), strict=False):
        extents[letter] = size
    assert len(own) == len(rule.shape)
    found = []
    for what, term in zip(rule.operands, terms, strict=True):
        if what in given:
            found.append(given[what])
        elif what.startswith("δ"):
            found.append(np.eye(extents[term[1]], dtype=int))
        else:
            found.append(np.ones(1 if what.endswith(":1]") else extents[term], int))
    return found


@awkward
def test_the_string_says_what_the_function_does(text, shapes):
    """numpy.einsum of the printed string, with identities for δ and ones for ones, is the derivative."""
    arrays, g, jacobians = integers(text, shapes)
    for k, jacobian in enumerate(jacobians):
        given = {"g": g, **{m: array for m, array in enumerate(arrays) if m != k}}
        vjp = einsum_vjp(text, k, shapes)
        wanted = np.tensordot(g, jacobian, g.ndim)
        assert same(np.einsum(vjp.subscripts, *numpy_operands(vjp, given)), wanted), vjp
        rule = einsum_jacobian(text, k, shapes)
        if rule.operands:
            found = np.einsum(rule.subscripts, *numpy_operands(rule, given))
            assert same(found, jacobian), rule


def repeats(text, shapes):
    """Does some label, or an axis under an ellipsis, have two extents?"""
    found = {}
    inputs, _ = read_subscripts(text).resolve([len(shape) for shape in shapes])
    for label, size in zip(chain(*inputs), chain(*shapes), strict=True):
        found.setdefault(label, set()).add(size)
    return any(len(sizes) > 1 for sizes in found.values())


@pytest.mark.parametrize(
    ("text", "shapes"), [row for row in AWKWARD if not repeats(*row)], ids=lambda x: repr(x)
)
def test_index_notation_says_the_same(text, shapes):
    """`ed.parse` of a rule's index notation gives the derivative; there nothing is repeated silently."""
    arrays, g, jacobians = integers(text, shapes)
    for k, jacobian in enumerate(jacobians):
        wanted = np.tensordot(g, jacobian, g.ndim)
        for rule, value in ((einsum_vjp, wanted), (einsum_jacobian, jacobian)):
            derived = rule(text, k, shapes)
            names = {"ABCDEFGH"[m]: array for m, array in enumerate(arrays) if m != k} | {"g": g}
            e = ed.parse(derived.index)
            sizes = {}
            for extent, size in zip(e.shape, value.shape, strict=True):
                if isinstance(extent, str):
                    sizes[extent] = size
            found = e({n: names[n] for n in e.variables}, sizes=sizes)
            assert same(found, value), derived.index


# ---------------------------------------------------------------- JAX


@pytest.fixture(scope="module")
def jax():
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


@pytest.mark.jax
@awkward
def test_vjp_and_small_jacobians_agree_with_jax(text, shapes, jax):
    rng = np.random.default_rng(12)
    arrays = [rng.standard_normal(shape) for shape in shapes]

    def f(*operands):
        return jax.numpy.einsum(text, *operands)

    out, pull = jax.vjp(f, *arrays)
    g = rng.standard_normal(out.shape)
    wanted = pull(jax.numpy.asarray(g))
    for k, shape in enumerate(shapes):
        others = without(arrays, k)
        found = einsum_vjp(text, k)(g, *others, shape=shape)
        np.testing.assert_allclose(found, wanted[k], rtol=1e-12, atol=1e-12)  # few rounded sums
        if 1 < out.size * arrays[k].size <= SMALL:
            jacobian = jax.jacrev(f, argnums=k)(*arrays)
            found = einsum_jacobian(text, k, shapes)(*others)
            np.testing.assert_allclose(found, jacobian, rtol=1e-12, atol=1e-12)


@pytest.mark.jax
@pytest.mark.parametrize(
    ("text", "shapes"), [("ij,jk->ik", ((2, 3), (3, 4))), ("iij,j->i", ((2, 2, 3), (3,)))]
)
def test_complex_vjps_agree_with_jax_and_conjugate_nothing(text, shapes, jax):
    rng = np.random.default_rng(13)
    arrays = [rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in shapes]
    out, pull = jax.vjp(lambda *operands: jax.numpy.einsum(text, *operands), *arrays)
    g = rng.standard_normal(out.shape) + 1j * rng.standard_normal(out.shape)
    for k, wanted in enumerate(pull(jax.numpy.asarray(g))):
        found = einsum_vjp(text, k)(g, *without(arrays, k))
        assert found.dtype == np.complex128
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- texts

VJPS = [  # string, operand, rule, operands
    ("ij,jk->ik", 0, "ik,jk->ij", ("g", 1)),
    ("ij,jk->ik", 1, "ik,ij->jk", ("g", 0)),
    ("ij,j->i", 1, "i,ij->j", ("g", 0)),
    ("i,ij,j->", 1, ",i,j->ij", ("g", 0, 2)),
    ("ij->ji", 0, "ji->ij", ("g",)),
    ("ij->i", 0, "i,j->ij with ones[j]", ("g", "ones[j]")),
    ("ij->", 0, ",i,j->ij with ones[i], ones[j]", ("g", "ones[i]", "ones[j]")),
    ("ii->", 0, ",ij->ij with δ[i,j]", ("g", "δ[i,j]")),
    ("ii->i", 0, "i,ij->ij with δ[i,j]", ("g", "δ[i,j]")),
    ("iij,j->i", 0, "i,j,ik->ikj with δ[i,k]", ("g", 1, "δ[i,k]")),
    ("iii->i", 0, "i,ij,ik->ijk with δ[i,j], δ[i,k]", ("g", "δ[i,j]", "δ[i,k]")),
    ("ij,k->k", 0, "k,k,i,j->ij with ones[i], ones[j]", ("g", 1, "ones[i]", "ones[j]")),
    (",ij->ij", 0, "ij,ij->", ("g", 1)),
    ("ij,jk", 0, "ik,jk->ij", ("g", 1)),
    ("...ij,...jk->...ik", 0, "...ik,...jk->...ij", ("g", 1)),
    ("...ij,jk->...ik", 1, "...ik,...ij->jk with ... summed", ("g", 0)),
]


@pytest.mark.parametrize(("text", "k", "rule", "operands"), VJPS)
def test_a_vjp_reads_as_it_is_written_by_hand(text, k, rule, operands):
    found = einsum_vjp(text, k)
    assert str(found) == rule
    assert found.subscripts == rule.partition(" with ")[0]
    assert found.operands == operands


JACOBIANS = [  # string, operand, rule, index notation, what it needs
    ("ij,jk->ik", 0, "ip,qk->ikpq with δ[i,p]", "J_A[i,k,p,q] = delta[i,p]*B[q,k]", "i"),
    ("ij,jk->ik", 1, "kq,ip->ikpq with δ[k,q]", "J_B[i,k,p,q] = delta[k,q]*A[i,p]", "k"),
    ("ij,j->i", 1, "ip->ip", "J_B[i,p] = A[i,p]", ""),
    ("ij,j->i", 0, "ip,q->ipq with δ[i,p]", "J_A[i,p,q] = delta[i,p]*B[q]", "i"),
    ("i->i", 0, "ip->ip with δ[i,p]", "J_A[i,p] = delta[i,p]", "i"),
    ("ij->i", 0, "ip,q->ipq with δ[i,p], ones[q]", "J_A[i,p,q] = delta[i,p]*ones[q]", "ij"),
    ("ii->", 0, "pq->pq with δ[p,q]", "J_A[p,q] = delta[p,q]", "i"),
    ("ii->i", 0, "ip,iq->ipq with δ[i,p], δ[i,q]", "J_A[i,p,q] = delta[i,p]*delta[i,q]", "i"),
    ("i,i->i", 0, "ip,i->ip with δ[i,p]", "J_A[i,p] = delta[i,p]*B[i]", ""),
    ("i,i->", 0, "p->p", "J_A[p] = B[p]", ""),
    ("pq,q->p", 0, "pr,s->prs with δ[p,r]", "J_A[p,r,s] = delta[p,r]*B[s]", "p"),
    ("ij,kl->ij", 1, "p,q,ij->ijpq with ones[p], ones[q]", None, "kl"),
    ("i,k->i", 0, "ip,k->ip with δ[i,p]", "J_A[i,p] = sum[k](delta[i,p]*B[k])", "i"),
    ("->", 0, "->", "J_A = 1", ""),
]


@pytest.mark.parametrize(("text", "k", "rule", "index", "needs"), JACOBIANS)
def test_a_jacobian_reads_as_it_is_written_by_hand(text, k, rule, index, needs):
    found = einsum_jacobian(text, k)
    if rule != "->":
        assert str(found) == rule
    assert index is None or found.index == index
    assert found.needs == tuple(needs)


def test_shapes_spell_an_ellipsis_out():
    rule = einsum_vjp("...ij,jk->...ik", 1, shapes=[(5, 2, 3), (3, 4)])
    assert str(rule) == "aik,aij->jk"
    rule = einsum_jacobian("...i->...", 0, shapes=[("n", "d")])
    assert str(rule) == "ap,q->apq with δ[a,p], ones[q]"


def test_shapes_show_what_is_repeated():
    rule = einsum_vjp("ij,ij->ij", 0, shapes=[(1, 3), (2, 3)])
    assert str(rule) == "ij,ij,k->kj with ones[k:1]"
    assert rule.index == "dA[k,j] = g[i,j]*B[i,j]*ones[k:1]"
    rule = einsum_vjp("ij,jk->ik", 0, shapes=[(2, 3), (1, 4)])
    assert str(rule) == "ik,jk,j->ij with ones[j]"


def test_a_line_for_numpy_runs_as_it_stands():
    A, B = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    g = np.ones((2, 4))
    assert einsum_vjp("ij,jk->ik", 0).numpy == 'dA = np.einsum("ik,jk->ij", g, B)'
    assert np.array_equal(np.einsum("ik,jk->ij", g, B), einsum_vjp("ij,jk->ik", 0)(g, B))
    line = einsum_vjp("iij->i", 0).numpy
    assert line == ('dA = np.einsum("i,ik,j->ikj", g, np.eye(A.shape[0]), np.ones(A.shape[2]))')
    line = einsum_jacobian("ij,jk->ik", 0).numpy
    assert line == 'J_A = np.einsum("ip,qk->ikpq", np.eye(A.shape[0]), B)'
    J_A = np.einsum("ip,qk->ikpq", np.eye(A.shape[0]), B)
    assert np.array_equal(J_A, einsum_jacobian("ij,jk->ik", 0)(B, shape=A.shape))
    line = einsum_vjp("i...,...->...", 0).numpy
    assert line == 'dA = np.einsum("...,...,i->i...", g, B, np.ones(A.shape[0]))'
    assert einsum_vjp("...i->...", 0).numpy.endswith("np.ones(A.shape[-1]))")


def test_repr_shows_string_and_operands():
    rule = einsum_vjp("ij,jk->ik", 0)
    assert repr(rule) == "EinsumRule('ik,jk->ij', operands=('g', 1))"
    assert isinstance(rule, EinsumRule)


def test_rules_are_values():
    rule = einsum_jacobian("iij,j->i", 0)
    assert rule == einsum_jacobian("iij,j->i", 0) != einsum_vjp("iij,j->i", 0)
    assert len({rule, einsum_jacobian(" iij,j->i", 0)}) == 1
    assert pickle.loads(pickle.dumps(rule)) == rule


REPORT = """\
value     iij,j->i
          out[i] = A[i,i,j]*B[j]
vjp       i,j,ik->ikj with δ[i,k]
          dA[i,k,j] = g[i]*B[j]*delta[i,k]
jacobian  ip,iq,r->ipqr with δ[i,p], δ[i,q]
          J_A[i,p,q,r] = delta[i,p]*delta[i,q]*B[r]
NumPy     dA = np.einsum("i,j,ik->ikj", g, B, np.eye(A.shape[0]))
          J_A = np.einsum("ip,iq,r->ipqr", np.eye(A.shape[0]), np.eye(A.shape[0]), B)"""


def test_the_report_has_the_value_and_both_rules():
    assert einsum_report("iij,j->i", 0) == REPORT


def test_the_report_of_an_ellipsis_says_what_it_needs():
    assert einsum_report("...ij,...jk->...ik", 0).splitlines() == [
        "value     ...ij,...jk->...ik",
        "vjp       ...ik,...jk->...ij",
        "jacobian  needs the shapes of the operands, for the axes of its ellipsis",
        'NumPy     dA = np.einsum("...ik,...jk->...ij", g, B)',
    ]
    told = einsum_report("...ij,jk->...ik", 0, shapes=[(2, 3, 4), (4, 5)])
    assert "jacobian  ap,iq,rk->aikpqr with δ[a,p], δ[i,q]" in told.splitlines()


@awkward
def test_every_string_has_a_report(text, shapes):
    for k in range(len(shapes)):
        told = einsum_report(text, k)
        assert re.match(r"value +\S", told)
        assert told == "\n".join(line.rstrip() for line in told.splitlines())


# ---------------------------------------------------------------- arrays


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float32, np.float64, np.complex64])
def test_results_have_the_dtype_of_the_arrays(dtype):
    B, g = np.ones((3, 4), dtype), np.ones((2, 4), dtype)
    assert einsum_vjp("ij,jk->ik", 0)(g, B).dtype == dtype
    assert einsum_jacobian("ij,jk->ik", 0)(B, shape=(2, 3)).dtype == dtype


def test_integers_are_exact():
    big = 2**53 + 1
    found = einsum_vjp("i,i->i", 0)(np.array([1, 1]), np.array([big, 3]))
    assert found.tolist() == [big, 3]


def test_half_precision_is_computed_in_single():
    half = np.ones(3, np.float16)
    assert einsum_vjp("i,i->i", 0)(half, half).dtype == np.float32


def test_results_share_no_memory_with_the_arrays():
    g = np.ones((3, 2))
    found = einsum_vjp("ij->ji", 0)(g)
    found[:] = 7
    assert np.array_equal(g, np.ones((3, 2)))
    B = np.ones((2, 3))
    found = einsum_jacobian("ij,j->i", 1)(B)
    found[:] = 7
    assert np.array_equal(B, np.ones((2, 3)))


def test_large_products_are_right_too():
    """From some size on NumPy's pairwise order computes them; integers are exact on either way."""
    rng = np.random.default_rng(14)
    A, B, C = (rng.integers(-9, 10, (30, 30)) for _ in range(3))
    g = rng.integers(-9, 10, (30, 30))
    found = einsum_vjp("ij,jk,kl->il", 1)(g, A, C)
    assert found.dtype == int and np.array_equal(found, A.T @ g @ C.T)
    found = einsum_vjp("ij,jk,ki->", 0)(2, B, C)
    assert np.array_equal(found, 2 * (B @ C).T)
    found = einsum_jacobian("ij,jk->ik", 1)(A, shape=(30, 20))
    assert np.array_equal(found, np.einsum("ij,kl->ikjl", A, np.eye(20, dtype=int)))


def test_a_diagonal_is_written_in_place_and_no_identity_is_made():
    """The peak is the result's own size: an identity for δ, 90 by 90, would show beside it."""
    rule, g = einsum_vjp("iii->", 0), np.array(2.0)
    rule(g, shape=(2, 2, 2))
    tracemalloc.start()
    found = rule(g, shape=(90, 90, 90))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.sum() == 2 * 90
    assert found.nbytes <= peak < found.nbytes + 90 * 90 * 8


def test_a_scalar_result_is_a_scalar():
    found = einsum_vjp(",i->i", 0)([1.0, 2.0], [3.0, 4.0])
    assert found == 11 and np.ndim(found) == 0
    assert einsum_jacobian("->", 0)() == 1


def test_an_extent_may_be_given_by_its_label():
    wanted = einsum_vjp("ij->i", 0)([1.0, 2.0], shape=(2, 3))
    assert np.array_equal(einsum_vjp("ij->i", 0)([1.0, 2.0], sizes={"j": 3}), wanted)
    rule = einsum_jacobian("ij->i", 0)
    wanted = rule(shape=(2, 3))
    assert np.array_equal(rule(sizes={"i": 2, "j": 3}), wanted)
    assert np.array_equal(rule(sizes={"p": 2, "q": 3}), wanted)
