"""Derivatives of plain NumPy functions: JAX's, and those that central differences give.

The functions and the arrays they are differentiated at are in tests/autograd_functions.py.
"""

from functools import cache

import numpy as np
import pytest

import einderiv as ed
from tests.autograd_functions import FUNCTIONS, INPUTS, TARGETS

SEED = 1
STEP = 1e-3  # of differences of fourth order: errors of about 1e-12 times the fifth derivative

rows = pytest.mark.parametrize("row", FUNCTIONS, ids=lambda row: row.name)
curved = pytest.mark.parametrize(
    "row", [row for row in FUNCTIONS if row.hessian], ids=lambda row: row.name
)


def arguments(row):
    print("seed", SEED)
    return row.sample(np.random.default_rng(SEED))


def with_numpy(row):
    return lambda *arrays: row.function(np, *arrays)


@cache
def gradient_of(row):
    """Once for all tests: a row is traced for its gradient one time."""
    return ed.grad(with_numpy(row), row.argnums)


@cache
def hessian_of(row):
    return ed.hessian(with_numpy(row), row.argnums)


# ---------------------------------------------------------------- nested arguments


def mapped(f, tree, *others):
    """`f` on each array of a tree of lists, tuples and dicts; all trees have the form of the first."""
    for other in others:
        assert type(other) is type(tree) or not isinstance(tree, dict | list | tuple)
    if isinstance(tree, dict):
        assert all(other.keys() == tree.keys() for other in others)
        return {key: mapped(f, tree[key], *(o[key] for o in others)) for key in sorted(tree)}
    if isinstance(tree, list | tuple):
        return type(tree)(mapped(f, *parts) for parts in zip(tree, *others, strict=True))
    return f(tree, *others)


def leaves(tree):
    """The arrays of a tree, from left to right; those of a dict by key, as in JAX."""
    found = []
    mapped(found.append, tree)
    return [np.asarray(leaf, dtype=float) for leaf in found]


def chosen(row, arrays):
    """The part of the arguments that `argnums` differentiates by, as JAX arranges it."""
    if isinstance(row.argnums, int):
        return arrays[row.argnums]
    return tuple(arrays[k] for k in row.argnums)


def moved(row, arrays, direction, h):
    """The arguments, the chosen ones moved by h along the direction."""
    numbers = (row.argnums,) if isinstance(row.argnums, int) else row.argnums
    directions = (direction,) if isinstance(row.argnums, int) else direction
    place = list(arrays)
    for k, v in zip(numbers, directions, strict=True):
        place[k] = mapped(lambda x, dx: x + h * dx, arrays[k], v)
    return place


def difference(f, row, arrays, direction):
    """The derivative of `f` along the direction, by central differences of fourth order."""

    def central(h):
        ahead, behind = f(*moved(row, arrays, direction, h)), f(*moved(row, arrays, direction, -h))
        return mapped(lambda a, b: (np.asarray(a) - np.asarray(b)) / (2 * h), ahead, behind)

    return mapped(lambda one, two: (4 * one - two) / 3, central(STEP), central(2 * STEP))


def direction_for(row, arrays):
    rng = np.random.default_rng(SEED + 1)
    return mapped(lambda x: rng.standard_normal(np.shape(x)), chosen(row, arrays))


def assert_close(found, wanted, rtol):
    """Arrays agree to `rtol` of each entry, or of the largest one where entries cancel."""
    largest = max((abs(leaf).max() for leaf in leaves(wanted)), default=0.0)

    def agree(f, w):
        assert np.shape(f) == np.shape(w)
        np.testing.assert_allclose(f, w, rtol=rtol, atol=0.01 * rtol * max(largest, 1e-3))

    mapped(agree, found, wanted)


# ---------------------------------------------------------------- differences


@rows
def test_gradient_agrees_with_central_differences_of_the_function(row):
    arrays = arguments(row)
    direction = direction_for(row, arrays)
    gradient = gradient_of(row)(*arrays)
    mapped(lambda g, x: np.testing.assert_equal(np.shape(g), np.shape(x)), gradient, direction)
    parts = [np.sum(g * v) for g, v in zip(leaves(gradient), leaves(direction), strict=True)]
    wanted = difference(with_numpy(row), row, arrays, direction)
    # 1e-6 of the sum, or of its largest part where the parts cancel: truncation and rounding
    np.testing.assert_allclose(sum(parts), wanted, rtol=1e-6, atol=1e-6 * np.max(np.abs(parts)))


@rows
def test_value_beside_the_gradient_is_that_of_the_function(row):
    arrays = arguments(row)
    value, gradient = ed.value_and_grad(with_numpy(row), row.argnums)(*arrays)
    np.testing.assert_allclose(
        value, row.function(np, *arrays), rtol=1e-11
    )  # sums in another order
    assert_close(gradient, gradient_of(row)(*arrays), 1e-11)


@curved
def test_hessian_times_a_direction_agrees_with_central_differences_of_the_gradient(row):
    arrays = arguments(row)
    direction = direction_for(row, arrays)
    along = leaves(direction)
    blocks = leaves(
        hessian_of(row)(*arrays)
    )  # one for each pair of arrays, the first one's axes first
    wanted = leaves(difference(gradient_of(row), row, arrays, direction))
    assert len(blocks) == len(along) ** 2
    largest = max(abs(w).max() for w in wanted)
    for k, w in enumerate(wanted):
        line = blocks[k * len(along) : (k + 1) * len(along)]
        found = sum(np.tensordot(b, v, v.ndim) for b, v in zip(line, along, strict=True))
        # truncation and rounding; zeros are zeros of a function that has a size
        np.testing.assert_allclose(found, w, rtol=1e-6, atol=1e-6 * max(largest, 1e-3))


# ---------------------------------------------------------------- JAX


@pytest.fixture(scope="module")
def jax():
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


def assert_same_tree(found, wanted, jax):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    largest = max(abs(leaf).max() for leaf in jax.tree.leaves(wanted))
    for f, w in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert np.shape(f) == w.shape
        np.testing.assert_allclose(f, w, rtol=1e-9, atol=1e-11 * max(float(largest), 1e-3))


@pytest.mark.jax
@rows
def test_value_and_gradient_are_those_of_jax(row, jax):
    arrays = arguments(row)
    wanted = jax.value_and_grad(lambda *a: row.function(jax.numpy, *a), row.argnums)
    value, gradient = jax.jit(wanted)(*arrays)  # one compilation: a third of the time without
    assert_same_tree(ed.value_and_grad(with_numpy(row), row.argnums)(*arrays)[0], value, jax)
    assert_same_tree(gradient_of(row)(*arrays), gradient, jax)


@pytest.mark.jax
@curved
def test_hessian_is_that_of_jax(row, jax):
    arrays = arguments(row)
    wanted = jax.hessian(lambda *a: row.function(jax.numpy, *a), row.argnums)
    assert_same_tree(hessian_of(row)(*arrays), jax.jit(wanted)(*arrays), jax)


# Functions whose values are arrays, for Jacobians: axes of the value, then those of the argument.
ARRAYS = {
    "softmax of rows": (lambda np, W, X: _softmax(np, X @ W), ((3, 2), (5, 3)), (0, 1)),
    "network layer": (lambda np, W, b, x: np.tanh(W @ x + b), ((4, 3), (4,), (3,)), (0, 1, 2)),
    "inverse": (lambda np, A: np.linalg.inv(A + 4 * np.eye(3)), ((3, 3),), 0),
    "outer product": (lambda np, u, v: np.outer(u, np.exp(v)), ((3,), (4,)), (1, 0)),
    "affine map of data": (lambda np, w: INPUTS @ w - TARGETS, ((3,),), 0),
    "transpose": (lambda np, X: X.T, ((3, 4),), 0),
    "gram matrix": (lambda np, X: X.T @ X, ((3, 4),), 0),
    "sums and means": (lambda np, X: X.sum(axis=0) * X.mean(0, keepdims=True), ((3, 4),), 0),
}


def _softmax(np, x):
    e = np.exp(x)
    return e / np.sum(e, axis=1, keepdims=True)


@pytest.mark.jax
@pytest.mark.parametrize("name", ARRAYS)
def test_jacobian_is_that_of_jax(name, jax):
    function, shapes, argnums = ARRAYS[name]
    rng = np.random.default_rng(SEED)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    found = ed.jacobian(lambda *a: function(np, *a), argnums)(*arrays)
    wanted = jax.jacobian(lambda *a: function(jax.numpy, *a), argnums)(*arrays)
    assert_same_tree(found, wanted, jax)


# ---------------------------------------------------------------- conventions


def ridge(w, X, y, lam=0.1):
    return np.sum((X @ w - y) ** 2) / 2 + lam * np.sum(w**2)


def ridge_gradient(w, X, y, lam=0.1):
    return X.T @ (X @ w - y) + 2 * lam * w


def draw(n, d):
    rng = np.random.default_rng(SEED)
    return rng.standard_normal(d), rng.standard_normal((n, d)), rng.standard_normal(n)


def test_gradient_by_one_argument_is_an_array_and_by_several_a_tuple():
    w, X, y = draw(5, 3)
    assert isinstance(ed.grad(ridge)(w, X, y), np.ndarray)
    both = ed.grad(ridge, argnums=(0, 2))(w, X, y)
    assert isinstance(both, tuple)
    np.testing.assert_allclose(both[0], ridge_gradient(w, X, y), rtol=1e-12)
    np.testing.assert_allclose(both[1], y - X @ w, rtol=1e-12)


def test_gradient_of_one_function_serves_every_extent():
    gradient = ed.grad(ridge)
    for n, d in ((5, 3), (2, 4), (1, 1), (3, 3)):
        w, X, y = draw(n, d)
        np.testing.assert_allclose(gradient(w, X, y), ridge_gradient(w, X, y), rtol=1e-12)


def test_keyword_arguments_reach_the_function():
    w, X, y = draw(5, 3)
    found = ed.grad(ridge)(w, X, y, lam=2.0)
    np.testing.assert_allclose(found, ridge_gradient(w, X, y, lam=2.0), rtol=1e-12)


def test_negative_argnums_count_from_the_end():
    w, X, y = draw(5, 3)
    found = ed.grad(ridge, argnums=-1)(w, X, y)
    np.testing.assert_allclose(found, y - X @ w, rtol=1e-12)


def test_closed_over_data_is_read_at_each_call():
    scale = np.ones(3)
    gradient = ed.grad(lambda w: np.sum(scale * w**2))
    w = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(gradient(w), 2 * w)
    scale *= 3  # JAX without jit reads it again
    np.testing.assert_array_equal(gradient(w), 6 * w)


def test_python_numbers_are_read_at_each_call():
    gradient = ed.grad(lambda x, n: np.sum(x**n))
    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(gradient(x, 3), 3 * x**2, rtol=1e-15)
    np.testing.assert_allclose(gradient(x, 2), 2 * x, rtol=1e-15)


def test_tangled_parameters_come_back_in_their_own_form():
    params = {"b": [np.ones(2), (np.ones(3), 2.0)], "a": np.ones((2, 3))}

    def f(params):
        u, (v, c) = params["b"]
        return u @ params["a"] @ v * c

    found = ed.grad(f)(params)
    assert type(found) is dict and type(found["b"]) is list and type(found["b"][1]) is tuple
    wanted = {"b": [np.full(2, 6.0), (np.full(3, 4.0), 6.0)], "a": np.full((2, 3), 2.0)}
    mapped(np.testing.assert_array_equal, wanted, found)


def test_arrays_are_left_as_they_were():
    w, X, y = draw(5, 3)
    before = [w.copy(), X.copy(), y.copy()]
    ed.hessian(ridge)(w, X, y)
    for now, then in zip((w, X, y), before, strict=True):
        np.testing.assert_array_equal(now, then)
