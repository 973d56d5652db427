"""Structured tensors to test with, random and by name, and `written_out`: their dense arrays by einsum."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest

from einderiv.programs.structured import StructuredTensor, Term

SEEDS = range(250)
CORE = np.array([[2.0, 1.0], [1.0, 3.0]])


def written_out(tensor: StructuredTensor) -> np.ndarray:
    """The dense array: axis k carries a new label tied to places[k] by an identity matrix."""
    total = np.zeros(tensor.shape, tensor.dtype)
    for term in tensor.terms:
        labels = [*term.places, *(label for _, ls in term.factors for label in ls)]
        new = max(labels, default=-1) + 1
        operands: list[Any] = [np.ones(()), []]
        for k, (label, size) in enumerate(zip(term.places, tensor.shape, strict=True)):
            operands += [np.eye(size), [label, new + k]]
        for array, ls in term.factors:
            operands += [array, list(ls)]
        total += term.coefficient * np.einsum(*operands, [new + k for k in range(tensor.ndim)])
    return total


def matrix(tensor: StructuredTensor) -> np.ndarray:
    split = tensor.matrix_split
    return written_out(tensor).reshape(prod(tensor.shape[:split]), prod(tensor.shape[split:]))


def random_tensor(seed: int, shape: tuple[int, ...] | None = None) -> StructuredTensor:
    """Up to three terms of up to three factors; deltas, repeated and summed labels as they come."""
    rng = np.random.default_rng(seed)
    if shape is None:
        rank, one, other = (int(rng.integers(low, high)) for low, high in ((0, 5), (1, 4), (1, 4)))
        shape = tuple((one, other)[k % 2] for k in range(rank))
    terms = []
    for _ in range(int(rng.integers(0, 4))):
        places: list[int] = []
        sizes: dict[int, int] = {}
        for size in shape:
            same = [label for label, known in sizes.items() if known == size]
            label = int(rng.choice(same)) if same and rng.random() < 0.5 else len(sizes)
            places.append(label)
            sizes[label] = size
        for _ in range(int(rng.integers(0, 3))):
            sizes[len(sizes)] = int(rng.integers(1, 4))
        factors = []
        for _ in range(int(rng.integers(0, 4)) if sizes else 0):
            labels = tuple(int(x) for x in rng.choice(list(sizes), size=int(rng.integers(0, 4))))
            factors.append((rng.standard_normal([sizes[x] for x in labels]), labels))
        terms.append(Term(float(rng.choice([1.0, 2.0, -0.5])), tuple(factors), tuple(places)))
    rows = None if rng.random() < 0.7 else int(rng.integers(0, len(shape) + 1))
    return StructuredTensor(shape, terms, np.float64, rows)


def near(found: Any, wanted: Any) -> None:
    """Equal up to rounding of sums of a few products (entries are of order 1 to 100)."""
    assert np.shape(found) == np.shape(wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-10)


def each_random(check: Callable[[StructuredTensor, np.ndarray, Any], None]) -> None:
    for seed in SEEDS:
        tensor = random_tensor(seed)
        try:
            check(tensor, matrix(tensor), np.random.default_rng(seed))
        except Exception as error:
            error.add_note(f"seed {seed}: {tensor!r}")
            raise


def same_core(n: int = 300) -> StructuredTensor:
    """delta_ik C_jl: the Hessian of a sum of n quadratic forms."""
    return StructuredTensor((n, 2, n, 2), [Term(1.0, ((CORE, (1, 2)),), (0, 1, 0, 2))], np.float64)


def outer(n: int) -> tuple[StructuredTensor, np.ndarray, np.ndarray]:
    """M_ik x_j x_l: the Hessian of a layer."""
    rng = np.random.default_rng(n)
    M, x = rng.standard_normal((n, n)), rng.standard_normal(n)
    term = Term(1.0, ((M, (0, 2)), (x, (1,)), (x, (3,))), (0, 1, 2, 3))
    return StructuredTensor((n, n, n, n), [term], np.float64), M, x


def ridge(m: int, n: int) -> tuple[StructuredTensor, np.ndarray, np.ndarray]:
    """X[a,i] D[a] X[a,j] + delta[i,j]/2: the Hessian of a regularised loss of m samples."""
    rng = np.random.default_rng(m * n)
    X, D = rng.standard_normal((m, n)), rng.random(m)
    terms = [
        Term(1.0, ((X, (2, 0)), (D, (2,)), (X, (2, 1))), (0, 1)),
        Term(0.5, (), (0, 0)),
    ]
    return StructuredTensor((n, n), terms, np.float64), X, D


def peak(run: Callable[[], Any]) -> int:
    """The most bytes that arrays took while it ran, the result included."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refusal(run: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        run()
    return str(caught.value)
