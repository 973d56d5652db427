"""Every kernel of the table: right for all extents, dtypes and layouts of what it serves, and chosen.

Oracle: numpy.einsum in one loop over whole numbers, which is exact.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from einderiv.programs.backends.contractions import SINGLE_WRITERS, WRITERS
from einderiv.programs.backends.numpy import function_of, runner_of
from einderiv.programs.compiler.kernels import (
    KERNELS,
    SINGLE_KERNELS,
    best_kernel,
    pair_price,
    serving,
    with_kernels,
)
from einderiv.programs.compiler.lower import Lowering
from einderiv.programs.program import Contract, Input, Program

PATTERNS = [
    "i,j->ij", "ij,i->ij", "ij,ji->ij", ",ij->ij", "ij,kl->ikjl", "bi,bj->bij", "i,i->i", "i,i->",
    "ij,j->i", "ij,i->j", "ij,jk->ik", "ji,jk->ik", "ij,jk->ki", "ij,kj->ik", "ij,ij->i", "bi,bi->b",
    "kij,ikj->ik", "bij,bjk->bik", "bij,bj->bi", "bi,bij->bj", "bij,bkj->bki", "bij,jk->ibk",
    "ijk,jl->ikl", "ijk,jl->ilk", "ijk,kl->lij", "jl,aijk->ikal", "ijk,il->jkl", "ijk,jkl->il", "ikj,jkl->il",
    "bijk,bjkl->bil", "ij,ij->", "bij,bij->b", "ij,ij->j", "ii,ij->ij", "ii,i->i", "ij,jk->i", "ij->ji",
    "ijk->kij", "ij->j", "ij->i", "ijk->ik", "ijk->ki", "ijk->k", "ijk->i", "ij->", "ijkl->jl", "aijk->aik",
    "ii->i", "bii->bi", "ibji->jib", "ii->", "iij->j", "iijj->ij",
]  # fmt: skip

#  equation          extents                                 kernel
CHOSEN = [
    ("i,j->ij",      dict(i=700, j=700),                     "loop"),
    ("ij,ij->ij",    dict(i=700, j=700),                     "multiply"),
    ("j,ij->ij",     dict(i=700, j=700),                     "multiply"),
    ("ij,j->i",      dict(i=1000, j=1000),                   "dot"),
    ("ij,jk->ik",    dict(i=30, j=30, k=30),                 "dot"),
    ("ij,jk->ik",    dict(i=500, j=500, k=500),              "matmul"),
    ("ij,jk->ik",    dict(i=4000, j=4000, k=5),              "blocks of rows"),
    ("ij,kj->ik",    dict(i=5, j=4000, k=4000),              "blocks of columns"),
    ("ji,jk->ik",    dict(i=20, j=200000, k=20),             "blocks of the sum"),
    ("ij,ij->i",     dict(i=700, j=700),                     "vecdot"),
    ("ij,ij->i",     dict(i=10000, j=6),                     "loop"),
    ("ij,ij->j",     dict(i=700, j=700),                     "loop"),
    ("bij,bjk->bik", dict(b=30, i=60, j=60, k=60),           "matmul"),
    ("ijk,jl->ilk",  dict(i=60, j=60, k=60, l=20),           "blocks"),
    ("ijk,kl->ijl",  dict(i=60, j=60, k=60, l=20),           "blocks"),
    ("ijk,jkl->il",  dict(i=60, j=60, k=60, l=60),           "joined"),
    ("ijk,il->jkl",  dict(i=60, j=300, k=300, l=4),          "turned joined"),
    ("ij,ij->",      dict(i=700, j=700),                     "inner"),
    ("ij->j",        dict(i=700, j=700),                     "ones"),
    ("ij->j",        dict(i=4, j=4),                         "sum"),
    ("ij->",         dict(i=700, j=700),                     "ones"),
    ("ij->",         dict(i=50000, j=5),                     "sum"),
    ("i->",          dict(i=500000),                         "sum"),
    ("bii->bi",      dict(b=50, i=60),                       "diagonal"),
    ("ii->",         dict(i=500),                            "loop"),
    ("ij->ji",       dict(i=500, j=5),                       "view"),
]  # fmt: skip


def labels_of(text: str) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    left, _, output = text.partition("->")
    return [tuple(map(ord, term)) for term in left.split(",")], tuple(map(ord, output))


def kernels_for(text: str) -> list[str]:
    """The names of the kernels that serve an equation, whatever the extents."""
    labels, output = labels_of(text)
    found: list[str] = []
    for extents in (
        [3, 4, 5],
        [40, 41, 2000],
        [40, 2000, 41],
        [4, 2000, 2001],
        [2000, 3, 2001],
        [2000, 2001, 3],
        [2000, 40, 41],
    ):
        known = {x: extents[k % 3] for k, x in enumerate(dict.fromkeys(sum(labels, ())))}
        found += serving(labels, output, known)
    return list(dict.fromkeys(found))


def program_of(text: str, kernel: str = "loop") -> Program:
    """One contraction, of arrays called x0 and x1."""
    labels, output = labels_of(text)
    dims = {label: chr(label) for term in labels for label in term}
    lowering = Lowering((), {})
    registers = [
        lowering.emit(Input, f"x{place}", shape=tuple(dims[x] for x in term))
        for place, term in enumerate(labels)
    ]
    made = lowering.emit(
        Contract,
        tuple(registers),
        tuple(labels),
        output,
        tuple(dims.items()),
        shape=tuple(map(chr, output)),
    )
    *inputs, step = lowering.steps
    assert isinstance(step, Contract)
    return Program((*inputs, replace(step, kernel=kernel)), (made,))


def arrays_for(text: str, extents: dict[str, int], dtype: Any, layout: str, seed: int) -> list[Any]:
    """Small whole numbers; complex ones have both parts."""
    rng = np.random.default_rng(seed)
    arrays = []
    for term in text.partition("->")[0].split(","):
        shape = tuple(extents[x] for x in term)
        array = rng.integers(-4, 5, shape).astype(dtype)
        if array.dtype.kind == "c":
            array = array + np.asarray(1j * rng.integers(-4, 5, shape), dtype)
        array = np.asarray(array)
        if layout == "fortran" and array.ndim:
            array = np.asfortranarray(array)
        elif layout == "strided" and array.ndim:
            wide = np.zeros((*shape[:-1], 2 * shape[-1]), dtype)
            wide[..., ::2] = array
            array = wide[..., ::2]
        arrays.append(array)
    return arrays


SERVED = [(text, kernel) for text in PATTERNS for kernel in kernels_for(text)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("layout", ["c", "fortran", "strided"])
@pytest.mark.parametrize(("text", "kernel"), SERVED)
def test_a_kernel_agrees_with_the_exact_loop_for_every_extent(
    text: str, kernel: str, layout: str, dtype: Any
) -> None:
    run, wanted = function_of(program_of(text, kernel))
    random_extent = random.Random(f"{text}{layout}")
    names = sorted({x for x in text if x.isalpha()})
    for seed in range(6):
        extents = {x: random_extent.choice([0, 1, 2, 3, 5, 17, 40]) for x in names}
        arrays = arrays_for(text, extents, dtype, layout, seed)
        exact = np.einsum(text, *(array.astype(complex) for array in arrays), optimize=False)
        if 0 in extents.values():
            exact = np.zeros([extents[x] for x in text.partition("->")[2]])
        (result,) = run(*arrays, np.dtype(dtype), *(extents[x] for x in wanted))
        assert np.shape(result) == exact.shape, (text, extents, seed)
        assert np.array_equal(result, exact), (text, extents, seed)


@pytest.mark.parametrize(("text", "kernel"), SERVED)
def test_a_result_lands_in_the_memory_it_is_given(text: str, kernel: str) -> None:
    extents = {x: 3 + ord(x) % 4 for x in text if x.isalpha()}
    output = text.partition("->")[2]
    run, wanted, memory = runner_of(program_of(text, kernel), 0, extents)
    arrays = arrays_for(text, extents, np.float64, "c", 0)
    buffers = [np.full([extents[x] for x in output], np.nan) for _ in memory.results]
    work = [np.empty([extents[str(d)] for d in shape]) for shape in memory.workspace]
    result = run(*arrays, np.dtype(float), *(extents[x] for x in wanted), *work, *buffers)
    exact = np.einsum(text, *arrays, optimize=False)
    assert np.array_equal(result, exact)
    if buffers and "," in text and output and kernel in ("multiply", "loop", "vecdot"):
        assert np.shares_memory(result, buffers[0]), text


def test_every_kernel_of_the_table_is_written_served_and_tested() -> None:
    symmetric = {
        "half"
    }  # serves products that are known to be symmetric: tests/programs/test_compiler.py
    assert {kernel.name for kernel in KERNELS} == set(WRITERS)
    assert {kernel.name for kernel in SINGLE_KERNELS} == set(SINGLE_WRITERS)
    assert {kernel for _, kernel in SERVED} == {*WRITERS, *SINGLE_WRITERS} - symmetric
    for kernel in (*KERNELS, *SINGLE_KERNELS):
        assert kernel.name in symmetric or kernel.name in kernels_for(kernel.example), kernel


@pytest.mark.parametrize(("text", "extents", "name"), CHOSEN)
def test_a_pattern_runs_on_the_kernel_that_is_fastest(
    text: str, extents: dict[str, int], name: str
) -> None:
    labels, output = labels_of(text)
    assert best_kernel(labels, output, {ord(x): size for x, size in extents.items()}) == name


def test_every_kernel_is_chosen_for_some_extents() -> None:
    assert {name for *_, name in CHOSEN} | {"half", "turned dot"} == {
        kernel.name for kernel in (*KERNELS, *SINGLE_KERNELS)
    }
    labels, output = labels_of("ij,jk->ik")
    extents = dict(zip(map(ord, "ijk"), (200, 20, 200), strict=True))
    assert best_kernel(labels, output, extents) in ("dot", "matmul")
    extents[ord("i")], extents[ord("k")] = 3600, 20
    assert best_kernel(labels, output, extents) in ("turned dot", "turned joined", "blocks of rows")
    square = dict.fromkeys(map(ord, "ijk"), 600)
    assert best_kernel(labels, output, square, is_symmetric=True) == "half"


def test_a_kernel_within_a_loop_is_chosen_for_a_block() -> None:
    from einderiv.programs.program import Loop

    program = program_of("ij,jk->ik")
    whole = with_kernels(program, {"i": 100_000, "j": 400, "k": 5})
    loop = Loop(2, 3, {0: 0, 2: 0}, 100)
    blocked = with_kernels(replace(program, loops=(loop,)), {"i": 100_000, "j": 400, "k": 5})
    kernels = [p.instructions[-1].kernel for p in (whole, blocked)]  # type: ignore[union-attr]
    assert kernels[0] == "blocks of rows" != kernels[1]


def test_the_price_grows_with_the_work() -> None:
    small = pair_price((0, 1), (1, 2), (0, 2), {0: 100, 1: 100, 2: 100})
    large = pair_price((0, 1), (1, 2), (0, 2), {0: 1000, 1: 1000, 2: 1000})
    assert 100 < large / small < 2000
