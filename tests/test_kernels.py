"""Every kernel a contraction of two arrays can run on: right for all extents, dtypes and layouts.

Oracle: numpy.einsum in one loop over whole numbers, which is exact.
"""

from __future__ import annotations

import ast
import random
from typing import Any

import numpy as np
import pytest

from einderiv.backends.contractions import Contractions
from einderiv.backends.numpy import function_of, runner_of
from einderiv.compiler.lower import Lowering
from einderiv.program import Contract, Input, Program

#  equation            the function or operator its kernel ends in
KERNELS = {
    "i,j->ij": "Mult",
    "ij,i->ij": "Mult",
    "ij,ji->ij": "Mult",
    ",ij->ij": "Mult",
    "i,i->": "dot",
    "ij,j->i": "dot",
    "ij,i->j": "dot",
    "ij,jk->ik": "dot",
    "ji,jk->ik": "dot",
    "ij,ij->i": "IfExp",
    "kij,ikj->ik": "IfExp",
    "bij,bjk->bik": "MatMult",
    "bij,jk->ibk": "IfExp",
    "ijk,jl->ikl": "IfExp",
    "ijk,jl->ilk": "IfExp",
    "jl,aijk->ikal": "IfExp",
    "ijk,jkl->il": "reshape",
    "ij,ij->": "reshape",
    "bij,bij->b": "einsum",
    "ij,ij->j": "einsum",
    "ii,ij->ij": "einsum",
    "ii,i->i": "einsum",
}


def program_of(text: str) -> Program:
    """One contraction, of arrays called x0 and x1."""
    left, _, output = text.partition("->")
    labels = [tuple(map(ord, term)) for term in left.split(",")]
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
        tuple(map(ord, output)),
        tuple(dims.items()),
        shape=tuple(output),
    )
    return Program(tuple(lowering.steps), (made,))


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


def kernel_name(text: str) -> str:
    program = program_of(text)
    (step,) = (s for s in program.instructions if isinstance(s, Contract))
    value = Contractions(program).contract(step)
    if isinstance(value, ast.BinOp):
        return type(value.op).__name__
    if isinstance(value, ast.IfExp):
        return "IfExp"
    assert isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute)
    return value.func.attr


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("layout", ["c", "fortran", "strided"])
@pytest.mark.parametrize("text", KERNELS)
def test_a_kernel_agrees_with_the_exact_loop_for_every_extent(
    text: str, layout: str, dtype: Any
) -> None:
    run, wanted = function_of(program_of(text))
    chosen = random.Random(f"{text}{layout}")
    names = sorted({x for x in text if x.isalpha()})
    for seed in range(12):
        extents = {x: chosen.choice([0, 1, 2, 3, 5, 17, 40]) for x in names}
        arrays = arrays_for(text, extents, dtype, layout, seed)
        exact = np.einsum(text, *(array.astype(complex) for array in arrays), optimize=False)
        if 0 in extents.values():
            exact = np.zeros([extents[x] for x in text.partition("->")[2]])
        (result,) = run(*arrays, np.dtype(dtype), *(extents[x] for x in wanted))
        assert np.shape(result) == exact.shape, (text, extents, seed)
        assert np.array_equal(result, exact), (text, extents, seed)


@pytest.mark.parametrize("text", KERNELS)
def test_a_result_lands_in_the_memory_it_is_given(text: str) -> None:
    extents = {x: 3 + ord(x) % 4 for x in text if x.isalpha()}
    output = text.partition("->")[2]
    run, wanted, memory = runner_of(program_of(text), 0, extents)
    arrays = arrays_for(text, extents, np.float64, "c", 0)
    buffers = [np.full([extents[x] for x in output], np.nan) for _ in memory.results]
    work = [np.empty([extents[str(d)] for d in shape]) for shape in memory.workspace]
    result = run(*arrays, np.dtype(float), *(extents[x] for x in wanted), *work, *buffers)
    exact = np.einsum(text, *arrays, optimize=False)
    assert np.array_equal(result, exact)
    if buffers and kernel_name(text) in ("Mult", "dot", "MatMult", "einsum") and output:
        assert np.shares_memory(result, buffers[0]), text


@pytest.mark.parametrize(("text", "name"), KERNELS.items())
def test_a_pattern_runs_on_the_kernel_that_serves_it(text: str, name: str) -> None:
    assert kernel_name(text) == name
