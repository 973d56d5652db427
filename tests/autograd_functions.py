"""Functions as users of HIPS/autograd write them, each with the arrays it is differentiated at.

In: nothing. Out: FUNCTIONS, scalars `function(np, *arguments)` that take the module (numpy, jax.numpy) first.
Invariant: equal extents are meant to be equal, samples lie away from kinks. Data in capitals is no argument.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.random import Generator

Sample = Callable[[Generator], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class AutogradFunction:
    """A scalar of NumPy arrays, or of lists, tuples and dicts of them, and what to differentiate it by."""

    name: str
    function: Callable[..., Any]
    sample: Sample
    argnums: int | tuple[int, ...]
    hessian: bool


FUNCTIONS: list[AutogradFunction] = []


def at(
    sample: Sample, argnums: int | tuple[int, ...] = 0, hessian: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function into the table, with its sample."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS.append(AutogradFunction(function.__name__, function, sample, argnums, hessian))
        return function

    return enter


def normal(r: Generator, *shape: int) -> Any:
    return r.standard_normal(shape)


def pairs(r: Generator, count: int, *shapes: tuple[int, ...]) -> Any:
    """A list of tuples of arrays: the weights of `count` gates."""
    return [tuple(r.standard_normal(shape) for shape in shapes) for _ in range(count)]


def positive(r: Generator, *shape: int) -> Any:
    return r.uniform(0.5, 1.5, shape)


def definite(r: Generator, n: int) -> Any:
    """A symmetric positive definite matrix, eigenvalues at least 1."""
    root = r.standard_normal((n, n))
    return root @ root.T / n + numpy.eye(n)


def one_hot(r: Generator, n: int, classes: int) -> Any:
    return numpy.eye(classes)[r.integers(0, classes, n)]


def signs(r: Generator, *shape: int) -> Any:
    return r.choice([-1.0, 1.0], shape)


_data = numpy.random.default_rng(2024)
INPUTS, TARGETS, SEQUENCE = normal(_data, 5, 3), normal(_data, 5), normal(_data, 4, 3)
OBSERVED, RATINGS, SEEN = one_hot(_data, 6, 3), normal(_data, 4, 5), _data.random((4, 5)) < 0.6
ADJACENCY = numpy.array([[1.0, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]])


# ---------------------------------------------------------------- regression and generalised linear models


@at(lambda r: (normal(r, 3), 0.5, normal(r, 5, 3), normal(r, 5)), argnums=(0, 1))
def linear_regression(np, w, b, X, y):
    return np.mean((np.dot(X, w) + b - y) ** 2)


@at(lambda r: (normal(r, 3), normal(r, 5, 3), normal(r, 5)))
def ridge_with_default_strength(np, w, X, y, lam=0.1):
    residual = X @ w - y
    return 0.5 * residual.T @ residual + lam * np.sum(w**2)


@at(lambda r: (normal(r, 3), normal(r, 5, 3), signs(r, 5)))
def logistic_regression_of_signs(np, w, X, y):
    return -np.sum(np.log(1 / (1 + np.exp(-y * np.dot(X, w)))))


@at(lambda r: (normal(r, 3), normal(r, 5, 3), one_hot(r, 5, 2)[:, 0]), argnums=(0, 1))
def logistic_cross_entropy(np, w, X, y):
    p = 0.5 * (np.tanh(np.dot(X, w) / 2.0) + 1)
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


@at(lambda r: (normal(r, 3), normal(r, 5, 3), signs(r, 5)))
def logistic_by_logaddexp(np, w, X, y):
    return np.sum(np.logaddexp(0.0, -y * (X @ w)))


@at(lambda r: (normal(r, 3), normal(r, 5, 3), r.integers(0, 4, 5)))
def poisson_regression_with_counts(np, w, X, counts):
    eta = X @ w
    return np.sum(np.exp(eta) - counts * eta)


@at(lambda r: (normal(r, 3), normal(r, 5, 3), positive(r, 5)))
def gamma_regression_with_log_link(np, w, X, y):
    mu = np.exp(np.dot(X, w))
    return np.sum(y / mu + np.log(mu))


@at(lambda r: (normal(r, 3, 4), normal(r, 4), normal(r, 5, 3), one_hot(r, 5, 4)), argnums=(0, 1))
def softmax_regression(np, W, b, X, Y):
    logits = np.dot(X, W) + b
    log_p = logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))
    return -np.sum(log_p * Y) / 5


@at(lambda r: (normal(r, 3), normal(r, 5, 3), normal(r, 5)))
def huber_regression(np, w, X, y):
    r = y - X @ w
    return np.sum(np.where(np.abs(r) < 1.0, 0.5 * r**2, np.abs(r) - 0.5))


@at(lambda r: (normal(r, 3), normal(r, 5, 3), signs(r, 5)))
def squared_hinge(np, w, X, y):
    return np.mean(np.maximum(0, 1 - y * np.dot(X, w)) ** 2) + 0.01 * np.dot(w, w)


@at(lambda r: (normal(r, 3), normal(r, 5, 3), normal(r, 5)))
def elastic_net_smoothed(np, w, X, y, l1=0.3, l2=0.7):
    fit = np.sum(np.square(X @ w - y)) / 10
    return fit + l1 * np.sum(np.sqrt(w**2 + 1e-2)) + 0.5 * l2 * np.sum(np.square(w))


@at(lambda r: (normal(r, 3), normal(r, 5, 3), normal(r, 5)))
def least_absolute_deviations(np, w, X, y):
    return np.sum(abs(y - X @ w))


@at(lambda r: (normal(r, 3), normal(r, 5, 3), normal(r, 5)), argnums=(0, 1))
def student_t_regression(np, w, X, y):
    return 2.5 * np.log1p((y - X @ w) ** 2 / 4).sum()


@at(lambda r: (normal(r, 3), normal(r, 3, 2), 0.1, normal(r, 5, 3), normal(r, 5)), (0, 1, 2))
def factorization_machine(np, w, V, b, X, y):
    pairs = 0.5 * np.sum((X @ V) ** 2 - X**2 @ V**2, axis=1)
    return np.mean((b + X @ w + pairs - y) ** 2)


# ---------------------------------------------------------------- likelihoods


@at(lambda r: ((normal(r, 2), normal(r, 2, 3), 0.3 * normal(r, 2, 3)), normal(r, 5, 3)))
def gaussian_mixture_log_likelihood(np, params, X):
    logits, means, log_scales = params
    log_weights = logits - np.log(np.sum(np.exp(logits)))
    z = (X[:, None, :] - means[None, :, :]) / np.exp(log_scales)
    log_p = log_weights + np.sum(-0.5 * z**2 - log_scales - 0.5 * np.log(2 * np.pi), axis=-1)
    top = np.max(log_p, axis=1)
    return np.sum(top + np.log(np.sum(np.exp(log_p - top[:, None]), axis=1)))


@at(lambda r: (normal(r, 3), definite(r, 3), normal(r, 5, 3)), argnums=(0, 1))
def gaussian_log_likelihood_by_inverse(np, mu, S, X):
    centred = X - mu
    quadratic = np.sum(np.dot(centred, np.linalg.inv(S)) * centred)
    return -0.5 * quadratic - 2.5 * np.log(np.linalg.det(S)) - 7.5 * np.log(2 * np.pi)


@at(lambda r: (definite(r, 3), definite(r, 3)))
def precision_log_determinant(np, P, S):
    _, logdet = np.linalg.slogdet(P)
    return 0.5 * logdet - 0.5 * np.trace(P @ S)


@at(lambda r: (normal(r, 3), definite(r, 3), normal(r, 3), definite(r, 3)), argnums=(0, 1))
def divergence_of_two_gaussians(np, m0, S0, m1, S1):
    d = m1 - m0
    spread = np.trace(np.linalg.solve(S1, S0)) + d @ np.linalg.solve(S1, d) - 3
    return 0.5 * (spread + np.linalg.slogdet(S1)[1] - np.linalg.slogdet(S0)[1])


@at(lambda r: (0.1, -0.2, -1.0, normal(r, 5, 3), normal(r, 5)), argnums=(0, 1, 2))
def gaussian_process_marginal_likelihood(np, log_amplitude, log_length, log_noise, X, y):
    scaled = X / np.exp(log_length)
    squares = np.sum((scaled[:, None, :] - scaled[None, :, :]) ** 2, axis=2)
    K = np.exp(2 * log_amplitude - 0.5 * squares) + np.exp(2 * log_noise) * np.eye(5)
    return -0.5 * np.dot(y, np.linalg.solve(K, y)) - 0.5 * np.linalg.slogdet(K)[1]


@at(lambda r: ((normal(r, 3), definite(r, 3)), normal(r, 2), normal(r, 2, 3)), (0, 2), False)
def kalman_step_log_likelihood(np, state, z, H):
    mean, P = state
    F, Q, R = np.eye(3) * 0.9, np.eye(3) * 0.2, np.eye(2) * 0.5
    mean, P = F @ mean, F @ P @ F.T + Q
    S = H @ P @ H.T + R
    gain = P @ H.T @ np.linalg.inv(S)
    innovation = z - H @ mean
    mean, P = mean + gain @ innovation, (np.eye(3) - gain @ H) @ P
    log_p = -0.5 * (innovation @ np.linalg.solve(S, innovation) + np.linalg.slogdet(S)[1])
    return log_p + np.sum(mean**2) + np.trace(P)


@at(lambda r: (0.3, 0.4, r.uniform(0.2, 0.8, 5)), argnums=(0, 1, 2))
def beta_log_density_up_to_a_constant(np, log_a, log_b, p):
    return np.sum((np.exp(log_a) - 1) * np.log(p) + (np.exp(log_b) - 1) * np.log(1 - p))


@at(lambda r: ({"rate": positive(r, 3), "shape": positive(r, 3)}, positive(r, 5, 3)))
def gamma_log_density_up_to_a_constant(np, params, x):
    rate, shape = params["rate"], params["shape"]
    return np.sum(shape * np.log(rate) + (shape - 1) * np.log(x) - rate * x)


@at(lambda r: (normal(r, 3), normal(r, 3, 3), normal(r, 3, 3)), argnums=(0, 1, 2), hessian=False)
def hidden_markov_model_forward_pass(np, start, transition, emission):
    a = np.exp(transition)
    a = a / np.sum(a, axis=1, keepdims=True)
    b = np.exp(emission)
    b = b / b.sum(axis=1, keepdims=True)
    alpha = np.exp(start) / np.sum(np.exp(start)) * (b @ OBSERVED[0])
    for seen in OBSERVED[1:]:
        alpha = (alpha @ a) * (b @ seen)
    return np.log(np.sum(alpha))


@at(lambda r: (normal(r, 5, 2), 0.2 * normal(r, 5, 2), normal(r, 5, 2)), argnums=(0, 1))
def variational_bound_with_reparameterisation(np, mu, log_std, noise):
    z = mu + np.exp(log_std) * noise
    divergence = 0.5 * np.sum(np.exp(2 * log_std) + mu**2 - 1 - 2 * log_std, axis=1)
    return np.mean(-np.sum(np.cos(z) ** 2, axis=1) - divergence)


# ---------------------------------------------------------------- networks


@at(lambda r: (normal(r, 4, 3), normal(r, 5, 3), normal(r, 5, 2)), argnums=(0, 1, 2))
def attention(np, Q, K, V):
    scores = np.exp(Q @ K.T / np.sqrt(3.0))
    weights = scores / np.sum(scores, axis=-1, keepdims=True)
    return np.sum(np.square(weights @ V))


@at(lambda r: ((normal(r, 3, 2), normal(r, 3, 2), normal(r, 3, 4)), normal(r, 2, 5, 3)), 0, False)
def self_attention_over_a_batch(np, params, X):
    Wq, Wk, Wv = params
    scores = np.einsum("bik,bjk->bij", X @ Wq, X @ Wk) / np.sqrt(2.0)
    scores = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    weights = scores / scores.sum(-1, keepdims=True)
    return np.mean(np.matmul(weights, X @ Wv) ** 3)


@at(lambda r: ((normal(r, 2, 3), normal(r, 2, 2), normal(r, 2)), normal(r, 2)), hessian=False)
def recurrent_network_over_a_loop(np, params, h):
    W, U, b = params
    loss = 0.0
    for x in SEQUENCE:
        h = np.tanh(np.dot(W, x) + np.dot(U, h) + b)
        loss = loss + np.sum(h**2)
    return loss / len(SEQUENCE)


@at(lambda r: (pairs(r, 4, (3, 2), (2, 2)), normal(r, 4, 2)), hessian=False)
def lstm_cell_from_an_empty_memory(np, gates, h):
    def sigmoid(x):
        return 0.5 * (np.tanh(x / 2) + 1)

    c = np.zeros((4, 2))
    for x in (SEQUENCE, np.cos(SEQUENCE)):
        forget, enter, leave, change = [x @ W + h @ U for W, U in gates]
        c = sigmoid(forget) * c + sigmoid(enter) * np.tanh(change)
        h = sigmoid(leave) * np.tanh(c)
    return np.sum(h) + np.sum(c**2)


@at(lambda r: (pairs(r, 3, (3, 2), (2, 2)), normal(r, 4, 3), normal(r, 4, 2)))
def gru_cell(np, params, x, h):
    (Wz, Uz), (Wr, Ur), (Wh, Uh) = params
    update = 1 / (1 + np.exp(-(x @ Wz + h @ Uz)))
    reset = 1 / (1 + np.exp(-(x @ Wr + h @ Ur)))
    candidate = np.tanh(x @ Wh + (reset * h) @ Uh)
    return np.sum(((1 - update) * h + update * candidate) ** 2)


@at(lambda r: (pairs(r, 1, (3, 4), (4,)) + pairs(r, 1, (4, 2), (2,)), one_hot(r, 5, 2)))
def perceptron_with_a_list_of_layers(np, params, labels):
    outputs = inputs = INPUTS
    for W, b in params:
        outputs = np.dot(inputs, W) + b
        inputs = np.tanh(outputs)
    log_p = outputs - np.log(np.sum(np.exp(outputs), axis=1, keepdims=True))
    weight_decay = sum(np.sum(W * W) for W, _ in params)
    return 0.05 * weight_decay - np.mean(np.sum(log_p * labels, axis=1))


@at(lambda r: ({"hidden": {"W": normal(r, 3, 4), "b": normal(r, 4)}, "out": normal(r, 4)}, INPUTS))
def perceptron_with_a_dict_of_parameters(np, params, X):
    hidden = np.maximum(X @ params["hidden"]["W"] + params["hidden"]["b"], 0.0)
    return np.mean((hidden @ params["out"] - np.sin(TARGETS)) ** 2)


@at(lambda r: (normal(r, 4, 5), positive(r, 5), normal(r, 5)), argnums=(0, 1, 2))
def layer_norm(np, x, gain, shift):
    centred = x - np.mean(x, axis=-1, keepdims=True)
    variance = np.sum(centred**2, axis=-1, keepdims=True) / 5
    return np.sum(np.sin(gain * centred / np.sqrt(variance + 1e-5) + shift))


@at(lambda r: (normal(r, 5, 3), positive(r, 3), normal(r, 3)), argnums=(0, 1, 2))
def batch_norm(np, x, gain, shift):
    scaled = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-3)
    return ((gain * scaled + shift) ** 3).sum()


@at(lambda r: (normal(r, 3, 2), normal(r, 2, 5), normal(r, 4, 3)), argnums=(0, 1))
def graph_convolution(np, W1, W2, X):
    scale = 1 / np.sqrt(ADJACENCY.sum(axis=1))
    A = scale[:, None] * ADJACENCY * scale[None, :]
    hidden = A @ X @ W1
    hidden = hidden / (1 + np.exp(-hidden))
    return np.sum(np.square(A @ hidden @ W2))


@at(lambda r: (normal(r, 4, 3), normal(r, 4, 3)), argnums=(0, 1))
def contrastive_loss_over_a_batch(np, A, B):
    A = A / np.linalg.norm(A, axis=1, keepdims=True)
    B = B / np.sqrt(np.sum(B**2, axis=1, keepdims=True))
    similarities = A @ B.T / 0.5
    normaliser = np.log(np.sum(np.exp(similarities), axis=1))
    return np.mean(normaliser - np.diagonal(similarities))


# ---------------------------------------------------------------- factorisations, kernels, embeddings


@at(lambda r: (normal(r, 3, 2), normal(r, 5, 3)), argnums=(0, 1))
def principal_component_reconstruction(np, W, X):
    return np.sum((X - X @ W @ W.T) ** 2)


@at(lambda r: (normal(r, 3, 2), normal(r, 5, 3)))
def projection_onto_a_subspace(np, W, X):
    projector = W @ np.linalg.inv(W.T @ W) @ W.T
    return np.trace(X @ projector @ X.T)


@at(lambda r: (normal(r, 4, 2), normal(r, 5, 2)), argnums=(0, 1))
def matrix_factorisation_of_seen_ratings(np, U, V):
    error = np.where(SEEN, RATINGS - np.dot(U, V.T), 0.0)
    return np.sum(error**2) + 0.1 * (np.sum(U**2) + np.sum(V**2))


@at(lambda r: (positive(r, 4, 2), positive(r, 2, 5), positive(r, 4, 5)), argnums=(0, 1))
def nonnegative_factorisation_divergence(np, W, H, X):
    WH = np.dot(W, H)
    return np.sum(X * np.log(X / WH) - X + WH)


@at(lambda r: (0.3, normal(r, 5, 3), normal(r, 5), normal(r, 4, 3)), argnums=(0, 2, 3))
def kernel_ridge_prediction(np, gamma, X, y, Z):
    def kernel(A, B):
        squares = np.sum(A**2, axis=1)[:, None] + np.sum(B**2, axis=1) - 2 * np.dot(A, B.T)
        return np.exp(-gamma * squares)

    alpha = np.linalg.solve(kernel(X, X) + 0.1 * np.eye(5), y)
    return np.sum(np.dot(kernel(Z, X), alpha) ** 2)


@at(lambda r: (normal(r, 5, 3), positive(r, 3)), argnums=(0, 1))
def radial_kernel_sum_over_pairs(np, X, lengths):
    differences = (X[:, None, :] - X[None, :, :]) / lengths
    return np.sum(np.exp(-0.5 * np.sum(differences**2, axis=-1)))


@at(lambda r: (normal(r, 4, 2), positive(r, 4, 4)))
def neighbour_embedding_divergence(np, Y, P):
    squares = np.sum(np.square(Y[:, np.newaxis] - Y[np.newaxis]), axis=2)
    affinity = (1 - np.eye(4)) / (1.0 + squares)
    Q = affinity / np.sum(affinity) + np.eye(4)
    return np.sum(P * np.log(P / Q))


@at(lambda r: (normal(r, 4, 5), positive(r, 4), positive(r, 5)), argnums=(0, 1), hessian=False)
def transport_cost_after_sinkhorn_steps(np, cost, a, b):
    K = np.exp(-cost)
    v = np.ones(5)
    for _ in range(3):
        u = a / (K @ v)
        v = b / (K.T @ u)
    return np.sum(u[:, None] * K * cost * v)


# ---------------------------------------------------------------- linear algebra and array functions


@at(lambda r: (normal(r, 3), normal(r, 3, 3)), argnums=(0, 1))
def quadratic_form(np, x, A):
    return x.T @ A @ x


@at(lambda r: (normal(r, 3, 1), normal(r, 3, 3)), argnums=(0, 1))
def quadratic_form_of_a_column(np, x, A):
    return np.sum(np.dot(np.dot(x.T, A), x)) / 2


@at(lambda r: (normal(r, 3), normal(r, 3), definite(r, 3)), argnums=(0, 1, 2))
def mahalanobis_distance(np, x, mu, S):
    return np.sqrt(np.dot(x - mu, np.dot(np.linalg.inv(S), x - mu)))


@at(lambda r: (normal(r, 3), normal(r, 3, 4), normal(r, 4)), argnums=(0, 1, 2))
def bilinear_form_by_einsum(np, x, A, y):
    return np.einsum("i,ij,j", x, A, y) ** 2


@at(lambda r: (normal(r, 2, 3, 4), normal(r, 3, 4, 5)), argnums=(0, 1))
def tensordot_over_two_axes(np, A, B):
    return np.sum(np.tensordot(A, B, axes=((1, 2), (0, 1))) ** 2)


@at(lambda r: (normal(r, 3), normal(r, 4), normal(r, 3, 4)), argnums=(0, 1))
def rank_one_fit_by_outer(np, u, v, M):
    return np.linalg.norm(M - np.outer(u, v)) ** 2


@at(lambda r: (normal(r, 3, 4), normal(r, 4, 3)), argnums=(0, 1))
def trace_of_products(np, A, B):
    return np.trace(A @ B @ A @ B) + np.trace(np.transpose(B) @ B)


@at(lambda r: (definite(r, 3), normal(r, 3, 2)), argnums=(0, 1))
def sum_of_an_inverse_and_a_solve(np, A, B):
    return np.sum(np.linalg.inv(A)) + np.sum(np.linalg.solve(A, B) ** 2)


@at(lambda r: (normal(r, 5, 3), numpy.array([0.2, 0.5, 0.3])), argnums=(0, 1))
def return_over_risk(np, returns, weights):
    portfolio = np.dot(returns, weights)
    return (np.mean(portfolio) - 0.01) / np.std(portfolio) + np.var(returns, axis=0).sum()


@at(lambda r: (normal(r, 3), normal(r, 3)), argnums=(0, 1))
def cosine_similarity(np, a, b):
    return np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))


@at(lambda r: (10 * normal(r, 5),))
def log_sum_exp_with_the_maximum_subtracted(np, x):
    top = np.max(x)
    return top + np.log(np.sum(np.exp(x - top)))


@at(lambda r: (normal(r, 4), normal(r, 4)), argnums=(0, 1))
def rosenbrock_over_pairs(np, x, y):
    return np.sum(100.0 * (y - x * x) ** 2) + np.dot(1 - x, 1 - x)


@at(lambda r: (positive(r, 4), positive(r, 4)), argnums=(0, 1))
def angles_and_radii(np, x, y):
    return np.sum(np.arctan2(y, x) ** 2 * np.sqrt(np.square(x) + y**2)) + np.reciprocal(x).sum()


@at(lambda r: (positive(r, 4), 3, 1.5), argnums=0)
def powers_with_python_numbers(np, x, n, a):
    return np.sum(a * x**n - 2**x + x**-a / 3) + np.power(x, 0.5).mean() - n / a


@at(lambda r: (normal(r, 3), normal(r, 3, 3)), argnums=(0, 1))
def diagonals_in_and_out(np, d, A):
    return np.sum(np.diag(d) @ A @ np.diag(d)) + np.sum(np.diag(A) ** 3) - np.diagonal(A) @ d


@at(lambda r: (normal(r, 2, 3, 4), normal(r, 4, 2)), argnums=(0, 1))
def axes_moved_about(np, T, A):
    moved = np.transpose(T, (2, 0, 1)) * A[:, :, None]
    return np.sum(np.swapaxes(moved, 0, 2).sum(axis=(0, 1)) ** 2) + T.transpose(1, 0, 2).sum()


@at(lambda r: (positive(r, 3), r.uniform(0.1, 0.5, (3, 3))), argnums=(0, 1), hessian=False)
def predator_prey_by_euler_steps(np, x, rates, dt=0.05):
    for _ in range(5):
        x = x + dt * x * (1.0 - rates @ x)
    return np.sum(np.log(x))


@at(lambda r: (normal(r, 5), normal(r, 5)), argnums=(0, 1))
def minimum_and_signs(np, x, y):
    return (
        np.sum(np.minimum(x, y) ** 2 + np.sign(x) * y * np.abs(y)) + np.where(x > y, x, 2 * y).sum()
    )
