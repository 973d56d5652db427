"""Reshaped, reordered and joined arrays in traced functions: values as NumPy's, gradients by differences."""

import numpy as np
import pytest

import einderiv as ed

SEED = 13

FUNCTIONS = [
    lambda x, y: x.reshape(3, 8),
    lambda x, y: np.reshape(x, (-1, 2), order="F") @ y[0, :2],
    lambda x, y: np.ravel(x) + x.flatten() + x.ravel(),
    lambda x, y: x.reshape(x.shape[0] * 2, -1)[1:],
    lambda x, y: np.concatenate([x, x[:, :1]], axis=1),
    lambda x, y: np.concatenate([y, np.ones((1, 3)), 2 * y]),
    lambda x, y: np.concatenate((x, y), axis=None),
    lambda x, y: np.concatenate([y]),
    lambda x, y: np.stack([y, y**2]),
    lambda x, y: np.stack([y, np.zeros((2, 3))], axis=-1),
    lambda x, y: np.stack([y[0, 0], x[0, 0, 0], 3.0]),
    lambda x, y: np.vstack([y[0], y]),
    lambda x, y: np.hstack([y, y[:, :1]]) @ np.hstack([y[0], y[1, 2]]),
    lambda x, y: np.column_stack([y[0], y[1], y.T]),
    lambda x, y: np.append(y, 5.0) ** 2,
    lambda x, y: np.append(y, y[:1], axis=0),
    lambda x, y: np.cumsum(y),
    lambda x, y: np.cumprod(y) * np.cumprod(x, axis=0)[1, 2, 0],
    lambda x, y: np.cumsum(x, axis=1) * np.cumsum(x, -1),
    lambda x, y: np.diff(y),
    lambda x, y: np.diff(x, 2, axis=0),
    lambda x, y: np.flip(x) + np.flip(x, 1),
    lambda x, y: np.roll(y, 2) + np.roll(y, -1, axis=1),
    lambda x, y: np.repeat(y, 2, axis=0),
    lambda x, y: np.repeat(y, [1, 0, 2], axis=1),
    lambda x, y: np.tile(y, (2, 1)),
    lambda x, y: np.take(y, [2, 0], axis=1) + np.take(y, 1),
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_value_is_numpys_and_gradient_that_of_differences(function):
    print("seed", SEED)
    r = np.random.default_rng(SEED)
    x, y = r.standard_normal((4, 3, 2)), r.standard_normal((2, 3))
    weights = r.standard_normal(np.shape(function(x, y)))

    def f(x, y):
        return np.sum(weights * np.sin(function(x, y)))

    value, gradient = ed.value_and_grad(f, (0, 1))(x, y)
    np.testing.assert_allclose(value, f(x, y), rtol=1e-12, atol=1e-13)
    dx, dy = r.standard_normal(x.shape), r.standard_normal(y.shape)
    h = 1e-5  # central differences: about 1e-10
    slope = (f(x + h * dx, y + h * dy) - f(x - h * dx, y - h * dy)) / (2 * h)
    found = np.sum(gradient[0] * dx) + np.sum(gradient[1] * dy)
    np.testing.assert_allclose(found, slope, rtol=1e-7, atol=1e-8)


def test_flat_parameter_vector_as_optimisers_take_it():
    X = np.random.default_rng(SEED).standard_normal((5, 3))

    def loss(p):
        W, b = p[:6].reshape(3, 2), p[6:]
        return np.sum((X @ W + b) ** 2)

    p = np.arange(8.0)
    residual = X @ p[:6].reshape(3, 2) + p[6:]
    wanted = np.concatenate([(2 * X.T @ residual).ravel(), 2 * residual.sum(axis=0)])
    np.testing.assert_allclose(ed.grad(loss)(p), wanted, rtol=1e-12)
