"""Entries and parts of what a traced function differentiates by: NumPy's, and their gradients."""

import numpy as np
import pytest

import einderiv as ed

SEED = 11
rows = np.array([[0, 2], [3, 3]])
KEYS = [
    (0,),
    (-1, 2),
    (slice(1, None),),
    (slice(None, None, -1), slice(0, 0)),
    (slice(None), slice(None, None, 2), 1),
    (Ellipsis, 0),
    (0, Ellipsis, slice(1, None)),
    (None, slice(1, 3), None, 0),
    (np.array([3, 0, 0]),),
    ([0, -1],),
    (rows,),
    (slice(None), np.array([2, 2])),
    (rows, slice(None), np.array([1, 0])),  # apart: gathered axes in front
    (slice(None), rows % 3, np.array([1, 0])),  # together: where they stood
    (0, slice(None), np.array([1, 0, 1])),
    (rows, 1),
    (np.array([True, False, True, True]),),
    (np.arange(12).reshape(4, 3) % 2 == 0,),
    (slice(None), np.array([True, False, True]), 0),
    (np.array([], dtype=int),),
    ([],),
    (np.int64(2), np.uint8(1)),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_part_has_numpys_entries_and_its_gradient_adds_up_what_was_picked(key):
    print("seed", SEED)
    r = np.random.default_rng(SEED)
    x = r.standard_normal((4, 3, 2))
    weights = r.standard_normal(x[key].shape)
    value, gradient = ed.value_and_grad(lambda x: np.sum(weights * x[key]))(x)
    np.testing.assert_allclose(value, np.sum(weights * x[key]), rtol=1e-13, atol=1e-15)
    wanted = np.zeros_like(x)
    np.add.at(wanted, key, weights)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-13, atol=1e-15)


def test_rosenbrock_function_with_slices_has_its_hessian():
    def rosenbrock(x):
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    x = np.array([-1.2, 1.0, 0.5, 2.0])
    wanted = np.zeros((4, 4))
    for k in range(3):  # of 100 (b - a^2)^2 + (1 - a)^2 by a and b
        a, b = x[k], x[k + 1]
        block = [[1200 * a**2 - 400 * b + 2, -400 * a], [-400 * a, 200]]
        wanted[k : k + 2, k : k + 2] += block
    np.testing.assert_allclose(ed.hessian(rosenbrock)(x), wanted, rtol=1e-13, atol=1e-11)


def test_parameters_can_be_unpacked_and_looped_over():
    def f(p):
        a, b, c = p
        return a * b**2 + sum(np.sin(q) for q in p) + len(p) * c

    p = np.array([0.3, -0.7, 1.1])
    wanted = np.array([0.49, 2 * 0.3 * -0.7, 3.0]) + np.cos(p)
    np.testing.assert_allclose(ed.grad(f)(p), wanted, rtol=1e-14)


def test_embedding_rows_get_the_gradient_of_their_uses():
    table = np.arange(12.0).reshape(6, 2)
    words = np.array([5, 0, 5])
    gradient = ed.grad(lambda T, words: np.sum(T[words] ** 2))
    for words in (np.array([5, 0, 5]), np.array([1])):
        wanted = np.zeros_like(table)
        np.add.at(wanted, words, 2 * table[words])
        np.testing.assert_allclose(gradient(table, words), wanted, rtol=1e-14)


def test_part_that_needs_too_many_zeros_is_refused():
    with pytest.raises(ed.NotationError, match="more than 10000000 zeros and ones"):
        ed.grad(lambda x: np.sum(x[1:]))(np.zeros(5000))
