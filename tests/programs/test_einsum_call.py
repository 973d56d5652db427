"""`einsum` against `numpy.einsum`: values, views, memory, dtypes, layouts, errors, caches, threads.

The oracle is `numpy.einsum` of the same call in one loop (`optimize=False`), or a formula written out.
"""

import functools
import random
import threading
import tracemalloc

import numpy as np
import opt_einsum
import pytest

from einderiv.programs import einsums as einsum_programs
from einderiv.programs.einsums import Compiled, einsum, kernel_of

SEED = 20260


def kernel(text, *arrays, order=True):
    """The kernel that a call runs."""
    return kernel_of(text, order, None, *(x for a in arrays for x in (a.shape, a.dtype)))


def normal(*shape, dtype=float, seed=SEED):
    rng = np.random.default_rng(seed + sum(shape))
    real = rng.standard_normal(shape)
    imaginary = 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else 0
    return np.asarray(real + imaginary).astype(dtype)


# ---------------------------------------------------------------- views

VIEWS = ("ij", "ij->ij", "ji", "ij->ji", "ii->i", "...", "...i->i...", "i...->...i", "j...->...j")


@pytest.mark.parametrize("text", VIEWS)
def test_one_operand_without_a_sum_is_a_writable_view(text):
    a = np.arange(9.0).reshape(3, 3)
    view = einsum(text, a)
    assert np.shares_memory(view, a) and view.flags.writeable
    view[...] = -1
    assert np.array_equal(view, np.einsum(text, a))
    assert (a == -1).sum() == view.size


@pytest.mark.parametrize("text", VIEWS)
def test_a_view_of_a_read_only_array_is_read_only(text):
    a = np.arange(9.0).reshape(3, 3)
    a.flags.writeable = False
    assert not einsum(text, a).flags.writeable


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("ij->i", [(3, 1)]),
        ("ij->j", [(1, 3)]),
        ("i,i->i", [(40, ), (40, )]),
        ("ij,->ij", [(200, 200), ()]),
        (",ij->ji", [(), (200, 200)]),
        ("ij,j->ij", [(200, 200), (1, )]),
        ("ij,ij->ij", [(200, 200), (1, 1)]),
        ("ij,k->ij", [(200, 200), (1, )]),
        ("ij,k,->ij", [(200, 200), (1, ), ()]),
    ],
)  # fmt: skip
def test_what_is_summed_or_multiplied_is_a_new_array(text, shapes):
    arrays = [np.ones(shape) for shape in shapes]
    result = einsum(text, *arrays)
    assert not any(np.shares_memory(result, array) for array in arrays)
    result[...] = 7
    assert all((array == 1).all() for array in arrays)


@pytest.mark.parametrize("dtype", ["?", "i8", "f2", "f4", "f8", "g", "c8", "c16", "O"])
@pytest.mark.parametrize("shapes", [[()], [(3,)], [(), ()], [(3,), (3,)], [(9000,), (9000,)]])
def test_a_result_without_axes_is_a_scalar_where_numpys_is(dtype, shapes):
    terms = ["i" * len(shape) for shape in shapes]
    text = f"{','.join(terms)}->"
    arrays = [np.ones(shape, dtype) for shape in shapes]
    assert type(einsum(text, *arrays)) is type(np.einsum(text, *arrays))


# ---------------------------------------------------------------- broadcasting

BROADCAST = [
    ("ij,jk->ik", [(40, 1), (30, 50)]),
    ("ij,jk->ik", [(1, 30), (30, 500)]),
    ("ij,ij->ij", [(40, 1), (1, 50)]),
    ("ij,ij->", [(140, 1), (1, 150)]),
    ("ij,ij->i", [(140, 1), (140, 150)]),
    ("ij,i->j", [(1, 1), (150,)]),
    ("ii,i->i", [(1, 1), (9000,)]),
    ("bij,bjk->bik", [(1, 30, 20), (6, 20, 30)]),
    ("bij,bjk->bik", [(6, 1, 20), (1, 20, 30)]),
    ("...ij,...jk->...ik", [(5, 1, 20, 20), (4, 20, 20)]),
    ("...ij,...jk->...ik", [(20, 20), (4, 20, 20)]),
    ("...ij,jk...->ik...", [(1, 3, 20, 20), (20, 20, 4, 1)]),
    ("ij,jk,kl->il", [(20, 1), (20, 20), (1, 20)]),
    ("ij,jk,kl->il", [(1, 1), (20, 1), (20, 20)]),
    ("i...,j...,k...->...", [(20, 1, 3), (20, 2, 1), (20, 2, 3)]),
]


@pytest.mark.parametrize(("text", "shapes"), BROADCAST)
def test_an_extent_of_one_is_repeated_in_named_and_unnamed_axes(text, shapes):
    arrays = [normal(*shape) for shape in shapes]
    want = np.einsum(text, *arrays)
    np.testing.assert_allclose(einsum(text, *arrays), want, rtol=0, atol=1e-12 * abs(want).max())


def test_the_calls_above_run_on_programs():
    kernels = [kernel(text, *map(np.ones, shapes)) for text, shapes in BROADCAST]
    assert sum(isinstance(run, Compiled) for run in kernels) >= len(kernels) - 4  # outer products


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("ij,jk->ik", [(2, 0), (0, 3)]),
        ("ij,jk->ik", [(0, 2), (2, 3)]),
        ("ij,jk->ik", [(2, 0), (1, 3)]),
        ("i,i->", [(0,), (1,)]),
        ("ij,jk,kl->il", [(2, 3), (3, 0), (0, 4)]),
        ("bij,bjk->bik", [(0, 2, 3), (0, 3, 4)]),
        (",".join(["ab"] * 61) + "->a", [(3, 0)] * 61),
    ],
)
def test_an_extent_of_zero_gives_zeros(text, shapes):
    for dtype in ("f8", "i2", "G", "O", "?"):
        arrays = [np.ones(shape, dtype) for shape in shapes]
        result = einsum(text, *arrays)
        assert isinstance(kernel(text, *arrays), Compiled)  # NumPy's loop writes beyond some
        assert np.ndim(result) == len(text.partition("->")[2])
        assert getattr(result, "dtype", "O") == dtype and not np.any(result)
        if len(arrays) < 60:
            want = np.einsum(text, *arrays)
            assert type(result) is type(want) and np.shape(result) == np.shape(want)


# ---------------------------------------------------------------- the interleaved form

LISTS = [
    (lambda a, b: (a, [0, 1], b, [1, 2], [0, 2]), "ij,jk->ik"),
    (lambda a, b: (a, [0, 1], b, [1, 2]), "ij,jk"),
    (lambda a, b: (a, (0, 1), b, (1, 2), ()), "ij,jk->"),
    (lambda a, b: (a, [2, 1], b, [1, 0]), "cb,ba"),
    (lambda a, b: (a, [26, 1], b, [1, 2]), "aB,BC"),
    (lambda a, b: (a, [51, 25], b, [25, 0]), "zZ,ZA"),
    (lambda a, b: (a, [..., 1], b, [1, ...], [...]), "...j,j...->..."),
    (lambda a, b: (a, [..., 1], b, [1, 2], [..., 2]), "...j,jk->...k"),
    (lambda a, b: (a, [np.int64(0), 1], b, [np.int8(1), 2], [0, 2]), "ij,jk->ik"),
    (lambda a, b: (a.tolist(), [0, 1], b.tolist(), [1, 2], [0, 2]), "ij,jk->ik"),
]


@pytest.mark.parametrize("extent", [3, 30])
@pytest.mark.parametrize(
    ("call", "text"), LISTS, ids=[f"{k}-{row[1]}" for k, row in enumerate(LISTS)]
)
def test_lists_of_labels_mean_what_letters_mean(call, text, extent):
    a, b = normal(extent, extent), normal(extent, extent, seed=1)
    want = np.einsum(*call(a, b))
    for result in (einsum(*call(a, b)), einsum(text, a, b)):
        np.testing.assert_allclose(result, want, rtol=0, atol=1e-12)


# ---------------------------------------------------------------- dtypes


@pytest.mark.parametrize("code", "?bBhHiIlLqQefdgFDGO")
@pytest.mark.parametrize("extents", [(2, 3, 4), (30, 40, 30)], ids=["few", "many"])
@pytest.mark.parametrize(
    "text", ["ij,jk->ik", "ij,jk,kl->il", "ij,jk,ik->", "ii,ij->j", "ij,kl->k"]
)
def test_every_dtype_gives_what_one_loop_gives(code, extents, text):
    i, j, k = extents
    size = {"i": i, "j": j, "k": k, "l": 5}
    rng = np.random.default_rng(SEED)
    arrays = []
    for term in text.partition("->")[0].split(","):
        shape = [size[x] for x in term]
        arrays.append(rng.integers(0, 2 if code in "?e" else 100, shape).astype(code))
    want, got = np.einsum(text, *arrays), einsum(text, *arrays)
    assert np.asarray(got).dtype == np.asarray(want).dtype
    # whole numbers are exact up to 2**24 in single precision and rounded beyond
    if code in "fF":
        np.testing.assert_allclose(got, want, rtol=1e-5)
    else:
        assert np.array_equal(got, want)


@pytest.mark.parametrize("code", "bBhHiIlLqQ")
def test_integers_wrap_around_in_any_order(code):
    limits = np.iinfo(code)
    rng = np.random.default_rng(SEED)
    arrays = [rng.integers(limits.min, limits.max, (30, 30), code, endpoint=True) for _ in range(4)]
    assert isinstance(kernel("ij,jk,kl,lm->im", *arrays), Compiled)
    exact = arrays[0].astype(object)
    for array in arrays[1:]:
        exact = exact @ array.astype(object)
    wrapped = (exact % 2 ** (8 * np.dtype(code).itemsize)).astype(f"u{np.dtype(code).itemsize}")
    assert np.array_equal(einsum("ij,jk,kl,lm->im", *arrays), wrapped.view(code))


def test_integers_beyond_2_to_the_53_are_exact():
    a = np.full((50, 50), 2**31 + 1, np.int64)
    assert einsum("ij,jk->ik", a, np.eye(50, dtype=np.int64))[3, 3] == 2**31 + 1
    assert einsum("ij,jk->", a, a) == int(np.einsum("ij,jk->", a, a))


def test_small_integers_are_widened_before_they_are_multiplied():
    a, b, c = np.full((30, 30), 100, np.int8), np.full((30, 30), 100, np.int8), np.ones(30, int)
    assert (einsum("ij,jk,k->i", a, b, c) == 100 * 100 * 30 * 30).all()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("f4", "f8"),
        ("i8", "f4"),
        ("?", "f8"),
        ("f4", "c8"),
        ("f8", "c8"),
        (">f8", "<f8"),
        ("u8", "i8"),
    ],
)
@pytest.mark.parametrize("extent", [3, 40])
def test_two_dtypes_are_promoted_as_numpy_promotes(first, second, extent):
    a, b = normal(extent, extent) * 9, normal(extent, extent, seed=3) * 9
    a, b = abs(a).astype(first), abs(b).astype(second)
    want, got = np.einsum("ij,jk->ik", a, b), einsum("ij,jk->ik", a, b)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=1e-6 if got.dtype.char in "fF" else 1e-13)


@pytest.mark.parametrize("dtype", [float, "f4", complex, "i8", np.float64, ">f8"])
@pytest.mark.parametrize("casting", ["no", "equiv", "safe", "same_kind", "unsafe"])
@pytest.mark.parametrize("source", ["f4", "f8", "i4"])
@pytest.mark.filterwarnings("error")
def test_dtype_and_casting_allow_what_numpy_allows(dtype, casting, source):
    a, b = np.arange(900).reshape(30, 30).astype(source), np.ones((30, 30), source)
    call = ("ij,jk->ik", a, b)
    try:
        want = np.einsum(*call, dtype=np.dtype(dtype).newbyteorder("="), casting=casting)
    except TypeError:
        with pytest.raises(TypeError):
            einsum(*call, dtype=dtype, casting=casting)
    else:
        got = einsum(*call, dtype=dtype, casting=casting)
        assert got.dtype == want.dtype and np.array_equal(got, want)


def test_inf_and_nan_go_through_as_in_one_loop():
    rng = np.random.default_rng(SEED)
    a, b = rng.choice(
        [0.0, 1.0, np.inf, -np.inf, np.nan], (2, 40, 40), p=[0.5, 0.47, 0.01, 0.01, 0.01]
    )
    for text in ("ij,jk->ik", "ij,jk->ki", "ij,ij->i", "ij,ij->", "ij,ij->ji"):
        with np.errstate(all="raise"):  # einsum is silent about what is no number
            np.testing.assert_array_equal(einsum(text, a, b), np.einsum(text, a, b))
            assert np.isnan(einsum("ij,jk,kl->il", a, b, a)).any()
    both = np.ones(9000), np.r_[np.inf, -np.inf, np.zeros(8998)]
    assert np.isnan(einsum("i,i->", *both))


# ---------------------------------------------------------------- memory

TEXTS = ("ij,jk->ik", "ij,jk->ki", "ij,ij->ij", "ij,jk,kl->il", "ji,jk->ik")


@pytest.mark.parametrize("extent", [3, 40])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("order", list("CFAKcfak"))
def test_order_lays_the_result_out(text, order, extent):
    for prepare in (np.ascontiguousarray, np.asfortranarray):
        arrays = [prepare(normal(extent, extent, seed=k)) for k in range(text.count(",") + 1)]
        want, got = np.einsum(text, *arrays, order=order), einsum(text, *arrays, order=order)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-11)
        if order not in "Kk":
            assert got.flags.c_contiguous == want.flags.c_contiguous
            assert got.flags.f_contiguous == want.flags.f_contiguous


@pytest.mark.parametrize("extent", [3, 40])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("which", [0, 1, -1])
def test_out_may_be_an_operand(text, which, extent):
    arrays = [normal(extent, extent, seed=k) for k in range(text.count(",") + 1)]
    want = np.einsum(text, *arrays)
    result = einsum(text, *arrays, out=arrays[which])
    assert result is arrays[which]
    np.testing.assert_allclose(result, want, rtol=0, atol=1e-11)


def test_out_may_overlap_an_operand():
    memory = normal(3000)
    a, out = memory[:1600].reshape(40, 40), memory[1000:2600].reshape(40, 40)[::-1]
    want = a @ a
    einsum("ij,jk->ik", a, a, out=out)
    np.testing.assert_allclose(out, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("extent", [3, 40])
@pytest.mark.parametrize("source", ["f4", "f8", "i4", "c8", "O", "?"])
@pytest.mark.parametrize("target", ["f4", "f8", "i4", "i8", "c16", "O", ">f8"])
def test_out_of_another_dtype_is_filled_or_refused_as_by_numpy(source, target, extent):
    a, b = np.ones((extent, extent), source), np.ones((extent, extent), source)
    want, got = np.zeros((extent, extent), target), np.zeros((extent, extent), target)
    try:
        np.einsum("ij,jk->ik", a, b, out=want)
    except TypeError:
        with pytest.raises(TypeError):
            einsum("ij,jk->ik", a, b, out=got)
    else:
        assert einsum("ij,jk->ik", a, b, out=got) is got
        assert np.array_equal(got, want)


def test_out_without_axes_and_out_of_a_repeated_shape_are_filled():
    x = normal(9000)
    out = np.zeros(())
    assert einsum("i,i->", x, x, out=out) is out
    assert out == pytest.approx(np.dot(x, x), rel=1e-12)
    wide = np.zeros((3, 40))
    np.einsum("ij,ij->ij", np.ones((1, 40)), np.ones((1, 40)), out=wide)
    assert np.array_equal(
        einsum("ij,ij->ij", np.ones((1, 40)), np.ones((1, 40)), out=0 * wide), wide
    )


def test_operands_are_never_written():
    rng = random.Random(SEED)
    for text, shapes in random_calls(rng, 60):
        arrays = [normal(*shape) for shape in shapes]
        copies = [array.copy() for array in arrays]
        for array in arrays:
            array.flags.writeable = False
        einsum(text, *arrays)
        assert all(np.array_equal(a, b) for a, b in zip(arrays, copies, strict=True))


# ---------------------------------------------------------------- what is passed


class Tagged(np.ndarray):
    """A subclass without an einsum of its own."""


class Foreign:
    """An array of another library, with an einsum of its own."""

    def __array_function__(self, function, types, arguments, settings):
        return function, settings


@pytest.mark.parametrize("extent", [3, 40])
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_array_likes_are_what_they_are_to_numpy(extent):
    a = np.arange(float(extent**2)).reshape(extent, extent)
    likes = [
        a.tolist(), tuple(map(tuple, a)), a.view(Tagged), np.asmatrix(a), np.ma.masked_array(a, a > 2),
        np.memmap.__new__(np.memmap, "/dev/zero", "f8", "r", shape=a.shape), list(a), memoryview(a),
    ]  # fmt: skip
    for like in likes:
        for text in ("ij->ji", "ij,jk->ik", "ij,jk->"):
            args = [text, *[like] * (text.count(",") + 1)]
            want, got = np.einsum(*args), einsum(*args)
            assert type(got) is type(want)
            np.testing.assert_allclose(got, want, rtol=1e-12)


def test_another_librarys_array_computes_itself():
    assert einsum("i,i", Foreign(), np.ones(3)) == (np.einsum, {"order": "K", "casting": "safe"})
    function, settings = einsum("i,i", np.ones(3), Foreign(), optimize="greedy", out=None)
    assert (function, settings["optimize"]) == (np.einsum, "greedy")


@pytest.mark.parametrize("text", ["->", "", ",", "i,->i", ",,->"])
def test_numbers_are_operands(text):
    args = [np.arange(3.0) if term else 2 for term in text.partition("->")[0].split(",")]
    want, got = np.einsum(text, *args), einsum(text, *args)
    assert type(got) is type(want) and np.array_equal(got, want)


# ---------------------------------------------------------------- kernels

KERNELS = {
    Compiled: "fdFD?bBhHiIlLqQgG",
    functools.partial: "eO",  # one loop
}


@pytest.mark.parametrize(("kind", "codes"), KERNELS.items(), ids=lambda value: str(value))
def test_each_dtype_has_its_kernel(kind, codes):
    for code in codes:
        a = np.ones((30, 30), code)
        assert type(kernel("ij,jk,kl->il", a, a, a)) is kind
        small = np.ones((2, 2), code)
        assert type(kernel("ij,jk,kl->il", small, small, small)) is functools.partial


def test_a_product_by_blas_takes_no_integer_through_floats():
    a = np.full((20, 20), 2**62 + 1, np.uint64)
    assert (einsum("ij,jk->ik", a, np.eye(20, dtype=np.uint64)) == 2**62 + 1).all()
    assert (einsum("ij,jk,kl->il", a, a, a)[0, 0]) == (2**62 + 1) ** 3 * 400 % 2**64


# ---------------------------------------------------------------- the order

CHAIN = "ij,jk,kl,lm->im"
PATHS = [
    (False, 4),
    (None, 2), (True, 2), ("greedy", 2), ("optimal", 2),
    (("greedy", 10**6), 2), (["optimal", 1e6], 2),
    (["einsum_path", (0, 1), (0, 1), (0, 1)], 2),
    (["einsum_path", (2, 3), (1, 2), (0, 1)], 2),
    (("einsum_path", [3, 2], [0, 1], [1, 0]), 2),
    (["einsum_path", (0, 1, 2), (0, 1)], 3),
    (["einsum_path", (0, 1, 2, 3)], 4),
    (["einsum_path", (0,), (0, 1), (0, 1), (0, 1)], 2),
]  # fmt: skip


@pytest.mark.parametrize(("optimize", "_most"), PATHS)
@pytest.mark.parametrize("dtype", ["f8", "c16", "i8", "g", "O", "f2"])
def test_every_order_gives_the_same_numbers(optimize, _most, dtype):
    rng = np.random.default_rng(SEED)
    arrays = [rng.integers(-2, 3, (8, 8)).astype(dtype) for _ in range(4)]
    assert np.array_equal(einsum(CHAIN, *arrays, optimize=optimize), np.einsum(CHAIN, *arrays))


@pytest.mark.parametrize(("optimize", "most"), PATHS[3:])
@pytest.mark.parametrize("dtype", ["f8", "i8"])
def test_a_given_path_is_the_path_taken(optimize, most, dtype, monkeypatch):
    """Seen in the labels of each step."""
    arrays = [np.ones((8, 8), dtype) for _ in range(4)]
    seen = []
    along = einsum_programs.steps_along

    def watched(inputs, output, path):
        seen.append(path)
        return along(inputs, output, path)

    monkeypatch.setattr(einsum_programs, "steps_along", watched)
    einsum_programs._steps.cache_clear()
    kernel_of.cache_clear()
    einsum(CHAIN, *arrays, optimize=optimize)
    told = optimize if isinstance(optimize, str) else list(optimize)
    told = np.einsum_path(CHAIN, *arrays, optimize=told)[0][1:]
    assert [tuple(map(tuple, path)) for path in seen] == [tuple(map(tuple, told))]
    assert max(map(len, told)) == most


def test_a_chain_is_multiplied_from_its_short_end():
    """A B x is A (B x): 2 n^2 multiplications instead of n^3."""
    a, b, x = normal(500, 500), normal(500, 500, seed=1), normal(500)
    run = kernel("ij,jk,k->i", a, b, x)
    assert isinstance(run, Compiled)
    tracemalloc.start()
    einsum("ij,jk,k->i", a, b, x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < a.nbytes / 10  # no matrix in between
    np.testing.assert_allclose(einsum("ij,jk,k->i", a, b, x), a @ (b @ x), rtol=0, atol=1e-10)


def test_optimize_false_needs_no_array_in_between():
    a = normal(250, 250)
    tracemalloc.start()
    einsum("ij,jk,ki->", a, a[:, :9], a[:9], optimize=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < a.nbytes


def test_more_operands_than_one_loop_takes():
    a = normal(4, 4) / 2
    text = ",".join(f"{x}{y}" for x, y in zip("ab" * 40, "ba" * 40, strict=True)) + "->"
    assert text.count(",") == 79
    with pytest.raises(ValueError):
        np.einsum(text, *[a] * 80)
    want = sum((a[i, j] * a[j, i]) ** 40 for i in range(4) for j in range(4))
    assert einsum(text, *[a] * 80) == pytest.approx(want, rel=1e-12)
    assert einsum(text, *[np.eye(4, dtype=int)] * 80) == 4
    with pytest.raises(ValueError):
        einsum(text, *[a] * 80, optimize=False)


# ---------------------------------------------------------------- random calls


def random_calls(rng, count):
    """Equations of one to five operands with extents 1..6 (some repeated), all of which NumPy reads."""
    for _ in range(count):
        letters = "abcdeXY"[: rng.randint(2, 7)]
        size = {x: rng.choice([1, 2, 3, 4, 6]) for x in letters}
        unnamed = [rng.choice([1, 2, 3]) for _ in range(rng.randint(0, 2))]
        has_dots = rng.random() < 0.3
        terms, shapes = [], []
        for _ in range(rng.choice([1, 2, 2, 2, 3, 3, 4, 5])):
            labels = [rng.choice(letters) for _ in range(rng.randint(0, 4))]
            own = {x: 1 if rng.random() < 0.1 else size[x] for x in labels}
            shape = [own[x] for x in labels]
            if has_dots:
                place, first = rng.randint(0, len(labels)), rng.randint(0, len(unnamed))
                labels.insert(place, "...")
                shape[place:place] = [1 if rng.random() < 0.2 else n for n in unnamed[first:]]
            terms.append("".join(labels))
            shapes.append(tuple(shape))
        text = ",".join(terms)
        if rng.random() < 0.8:
            used = sorted(set(text) & set(letters))
            output = rng.sample(used, rng.randint(0, len(used)))
            if has_dots:
                output.insert(rng.randint(0, len(output)), "...")
            text += "->" + "".join(output)
        yield text, shapes


@pytest.fixture
def no_shortcut(monkeypatch):
    """Small calls too run on programs and by pairs, not in NumPy's one loop."""
    monkeypatch.setattr(einsum_programs, "_FEW", dict.fromkeys(einsum_programs._FEW, 0))
    monkeypatch.setattr(einsum_programs, "_FEW_PAIRED", 0)
    monkeypatch.setattr(einsum_programs, "_PROGRAM", -np.inf)
    kernel_of.cache_clear()
    yield
    kernel_of.cache_clear()


@pytest.mark.usefixtures("no_shortcut")
@pytest.mark.parametrize("dtype", ["i8", "u1", "?", "f8", "c16"])
@pytest.mark.parametrize("optimize", [None, False, "greedy"])
def test_random_calls_agree_with_numpy(dtype, optimize):
    """500 equations; integers and booleans exactly, numbers to 1e-12 of the largest."""
    print("seed", SEED)
    rng = random.Random(SEED)
    ours = 0
    for k, (text, shapes) in enumerate(random_calls(rng, 500)):
        if np.dtype(dtype).kind in "fc":
            arrays = [normal(*shape, dtype=dtype, seed=k) for shape in shapes]
        else:
            draw = np.random.default_rng(k)
            high = 2 if dtype == "?" else 100
            arrays = [draw.integers(0, high, shape).astype(dtype) for shape in shapes]
        want, got = np.einsum(text, *arrays), einsum(text, *arrays, optimize=optimize)
        assert type(got) is type(want), (text, shapes)
        assert got.shape == want.shape and got.dtype == want.dtype, (text, shapes)
        if np.dtype(dtype).kind in "fc":
            scale = np.einsum(text, *map(abs, arrays)).max(initial=1)
            assert abs(got - want).max(initial=0) <= 1e-12 * scale, (text, shapes)
        else:
            assert np.array_equal(got, want), (text, shapes)
        run = kernel(text, *arrays, order={None: True}.get(optimize, optimize))
        ours += isinstance(run, Compiled)
    assert ours > 100 or (optimize is False and dtype in ("i8", "u1"))


# ---------------------------------------------------------------- mistakes

A2, A3, ONE = np.ones((2, 3)), np.ones((2, 3, 4)), np.ones(2)
WRONG = [
    ((), {}), (("",), {}), (("i",), {}), (("ij,jk", A2), {}), (("ij", A2, A2), {}), (("", 0, 0), {}),
    (("i", A2), {}), (("ijk", A2), {}), (("i", 0), {}), (("...i", 0), {}), (("i...j", [0, 0]), {}),
    (("ij,jk->ik", A2, A2), {}), (("ij,ij->", A2, A2.T), {}), (("ii", A2), {}), (("ii->i", A2), {}),
    (("ii,i->i", np.ones((1, 3)), np.ones(3)), {}), (("ij,jk,kl->il", A2, A2.T, np.ones((3, 3))), {}),
    (("ij->ijk", A2), {}), (("ij->ii", A2), {}), (("ij,j->k", A2, np.ones(3)), {}), (("ij->jij", A2), {}),
    (("i..", A2), {}), ((".i...", A2), {}), (("ij->..ij", A2), {}), (("....ij", A2), {}),
    (("......", A2), {}), (("...i...", A2), {}), (("...ij->ij", A3), {}),
    (("i.j", A2), {}), ((". ..", A2), {}),
    (("i%", A2), {}), (("ij$", A2), {}), (("ij->&", A2), {}), (("i1", A2), {}), (("i\tj", A2), {}),
    (("ij\n", A2), {}), (("iα", A2), {}), (("ij->->ij", A2), {}), (("ij-ij", A2), {}), (("ij>ij", A2), {}),
    (("ij- >ij", A2), {}), (("ij->i,j", A2), {}), (("->", A2), {}), (("->ij", A2), {}), ((",", A2), {}),
    (("i" * 65, np.ones(())), {}), ((0, 0), {}), ((None,) * 63, {}), ((A2, [0]), {}), ((A2, [0, 52]), {}),
    ((A2, [0, -1]), {}), ((A2, [0, True]), {}), ((A2, [0, 1.5]), {}), ((A2, [0, "j"]), {}), ((A2, 7), {}),
    ((A2, [0, 1], A2), {}), ((A2, [0, 1], A2, [1, 2]), {}), ((A2, [0, 1], [0, 2]), {}),
    ((A2, [0, 1], [0, 0]), {}),
    (("ij,j", A2, np.ones(3)), {"out": "test"}), (("ij,j", A2, np.ones(3)), {"out": [0, 0]}),
    (("ij,j", A2, np.ones(3)), {"out": np.zeros(3)}), (("ij,j", A2, np.ones(3)), {"out": np.zeros((1, 2))}),
    (("ij,j", A2, np.ones(3)), {"out": np.zeros(())}), (("ij,j", A2, np.ones(3)), {"out": np.zeros(2, int)}),
    (("ij,j", A2, np.ones(3)), {"out": np.broadcast_to(0.0, 2)}),
    (("ij,j", A2, np.ones(3)), {"out": np.zeros(2, "f4")}),
    (("ij,j", A2, 1j * np.ones(3)), {"out": np.zeros(2)}),
    (("ij,j", A2, np.ones(3)), {"order": "W"}), (("ij,j", A2, np.ones(3)), {"order": ""}),
    (("ij,j", A2, np.ones(3)), {"order": 1}), (("ij,j", A2, np.ones(3)), {"order": ["C"]}),
    (("ij,j", A2, np.ones(3)), {"order": np.ones(2)}), (("ij,j", A2, np.ones(3)), {"casting": "blah"}),
    (("ij,j", A2, np.ones(3)), {"casting": 1}), (("ij,j", A2, np.ones(3)), {"casting": np.ones(2)}),
    (("ij,j", A2, np.ones(3)), {"dtype": "nothing"}), (("ij,j", A2, np.ones(3)), {"dtype": "f4"}),
    (("ij,j", A2, np.ones(3)), {"dtype": int, "casting": "same_kind"}),
    (("ij,j", A2, 1j * np.ones(3)), {"dtype": float}), (("ij,j", A2, np.ones(3)), {"bad": 1}),
    (("ij,j", A2, [[1, 2], [3]]), {}), (("ij,j", A2, ["a", "b", "c"]), {}), (("ij,j", A2, None), {}),
    (("i,i", np.ones(2, "M8[s]"), ONE), {}), (("i,i", np.zeros(2, "i4,i4"), ONE), {}),
    (("i,i,i", ONE, ONE, ONE), {"optimize": "best"}), (("i,i,i", ONE, ONE, ONE), {"optimize": 1}),
    (("i,i,i", ONE, ONE, ONE), {"optimize": []}), (("i,i,i", ONE, ONE, ONE), {"optimize": ("greedy",)}),
    (("i,i,i", ONE, ONE, ONE), {"optimize": [1, 2]}), (("i,i,i", ONE, ONE, ONE), {"optimize": 2.5}),
    (("i,i,i", ONE, ONE, ONE), {"optimize": ["einsum_path"]}),
    (("i,i,i", ONE, ONE, ONE), {"optimize": ["einsum_path", (0, 1)]}),
    (("i,i,i", ONE, ONE, ONE), {"optimize": ["einsum_path", (0, 5), (0, 1)]}),
    (("i,i,i", ONE, ONE, ONE), {"optimize": ["einsum_path", 3]}),
    (("i,i,i", ONE, ONE, ONE), {"optimize": ["einsum_path", (0, "a")]}),
    (("i,i,i", ONE, ONE, ONE), {"optimize": ["einsum_path", (0, 1), (0, 1), (0, 1)]}),
]  # fmt: skip


def raised(function, arguments, settings):
    with pytest.raises(Exception) as caught:
        function(*arguments, **settings)
    return caught.type


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_mistake_raises_what_numpy_raises(number):
    arguments, settings = WRONG[number]
    assert raised(einsum, arguments, settings) is raised(np.einsum, arguments, settings)


@pytest.mark.parametrize("size", [1, 10])
def test_a_mistake_is_one_for_large_arrays_too(size):
    """A kernel of ours must not answer where NumPy would not."""
    a = np.ones((20 * size, 30 * size))
    for text in ("ij,jk->ik", "ij,ij->i", "ij,j->i", "ij,jk,kl->il", "ij,kl->jm"):
        arguments = (text, a, a.T if text == "ij,ij->i" else a, a)[: text.count(",") + 2]
        assert raised(einsum, arguments, {}) is raised(np.einsum, arguments, {})


def test_an_error_of_an_object_goes_through():
    class Refusing:
        def __mul__(self, other):
            raise KeyError("no product")

    a = np.array([Refusing()] * 3, object)
    for optimize in (None, False, "greedy"):
        with pytest.raises(KeyError, match="no product"):
            einsum("i,i", a, a, optimize=optimize)


# ---------------------------------------------------------------- caches and threads


def test_caches_have_a_limit():
    x = np.ones(3)
    caches = [
        kernel_of,
        einsum_programs._read,
        einsum_programs._steps,
        einsum_programs.compile_steps,
    ]
    limits = [cache.cache_info().maxsize for cache in caches]
    assert None not in limits
    for n in range(1, limits[0] + 200):
        einsum("i,j->ij", x, np.ones(n % 3000 + 1))
    assert all(c.cache_info().currsize <= c.cache_info().maxsize for c in caches)
    assert kernel_of.cache_info().currsize == limits[0]


def test_the_second_call_only_looks_up():
    a = normal(40, 40)
    einsum("ij,jk->ik", a, a)
    before = kernel_of.cache_info()
    einsum("ij,jk->ik", a, a.T)
    after = kernel_of.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 0)


def test_new_extents_need_no_new_program():
    cache = einsum_programs.compile_steps
    kernel_of.cache_clear()
    cache.cache_clear()
    for n in range(40, 90):
        einsum("ij,jk->ik", *np.ones((2, n, n)))
    assert (cache.cache_info().misses, cache.cache_info().hits) == (2, 48)  # 40 to 63, 64 to 89


def test_eight_threads_get_what_one_gets():
    rng = random.Random(SEED + 1)
    calls = [(text, [normal(*shape) for shape in shapes]) for text, shapes in random_calls(rng, 80)]
    want = [np.einsum(text, *arrays) for text, arrays in calls]
    kernel_of.cache_clear()
    wrong: list[object] = []
    start = threading.Barrier(8)

    def work(number):
        order = list(range(len(calls)))
        random.Random(number).shuffle(order)
        start.wait()
        for k in order:
            text, arrays = calls[k]
            try:
                np.testing.assert_allclose(einsum(text, *arrays), want[k], rtol=1e-9, atol=1e-9)
            except Exception as error:
                wrong.append((text, error))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---------------------------------------------------------------- against opt_einsum


def test_a_tensor_network_agrees_with_opt_einsum():
    """Ten operands, too many for one loop over all labels."""
    text, shapes = "ab,bcd,de,cfg,eh,fi,gj,hk,ij,k->a", []
    shapes = [tuple(6 for _ in term) for term in text.partition("->")[0].split(",")]
    arrays = [normal(*shape, seed=k) for k, shape in enumerate(shapes)]
    want = opt_einsum.contract(text, *arrays)
    np.testing.assert_allclose(einsum(text, *arrays), want, rtol=1e-10)
