"""Plain functions are traced once per signature: what counts as one, what is noticed, what is refused.

The derivatives themselves: tests/expressions/test_transforms.py. Oracles here: closed forms, counted
calls, JAX.
"""

import doctest
import functools
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import einderiv as ed

SEED = 5
x3 = np.array([0.5, -1.0, 2.0])


def rng():
    print("seed", SEED)
    return np.random.default_rng(SEED)


class Count:
    """A number of calls, which is no part of what a function reads."""

    __slots__ = ("number",)


def counted(function):
    """The function, and the number of its calls."""
    calls = Count()
    calls.number = 0

    @functools.wraps(function)
    def wrapped(*arguments, **keywords):
        calls.number += 1
        return function(*arguments, **keywords)

    return wrapped, calls


# ---------------------------------------------------------------- signatures


def squared_error(w, X, y):
    return np.sum((X @ w - y) ** 2)


def squared_error_gradient(w, X, y):
    return 2 * X.T @ (X @ w - y)


def test_function_is_called_once_for_all_arrays_of_the_same_ranks():
    f, calls = counted(squared_error)
    gradient, r = ed.grad(f), rng()
    for n, d in ((5, 3), (7, 2), (40, 30)):
        given = r.standard_normal(d), r.standard_normal((n, d)), r.standard_normal(n)
        np.testing.assert_allclose(
            gradient(*given), squared_error_gradient(*given), rtol=1e-12, atol=1e-12
        )
    assert calls.number == 1


def test_extents_that_are_equal_or_1_make_another_signature():
    f, calls = counted(lambda X, Y: np.sum((X + Y) ** 2))
    gradient, r = ed.grad(f, (0, 1)), rng()
    shapes = [(4, 3), (4, 3)], [(4, 1), (1, 3)], [(3,), (4, 3)], [(4, 3), ()], [(1,), (1,)]
    for a, b in [*shapes, ((3, 3), (3,)), ((5, 2), (5, 2)), ((6, 1), (1, 2))]:
        X, Y = r.standard_normal(a), r.standard_normal(b)
        total = 2 * (X + Y)
        for found, x in zip(gradient(X, Y), (X, Y), strict=True):
            extra = tuple(range(total.ndim - x.ndim))
            wanted = total.sum(axis=extra)
            ones = tuple(k for k, d in enumerate(x.shape) if d == 1 != wanted.shape[k])
            wanted = wanted.sum(axis=ones, keepdims=True)
            assert np.shape(found) == x.shape
            np.testing.assert_allclose(found, wanted, rtol=1e-13)
    assert calls.number == 6  # (5, 2) and (6, 1), (1, 2) are as the first two


def test_arrays_of_extent_0_have_gradients():
    empty = ed.grad(squared_error)(np.ones(3), np.ones((0, 3)), np.ones(0))
    assert empty.tolist() == [0.0, 0.0, 0.0]
    assert ed.grad(lambda x: np.sum(x**2))(np.ones((0, 2))).shape == (0, 2)


def test_texts_and_whole_numbers_count_by_value_and_floats_do_not():
    def penalty(w, kind, power, strength):
        if kind == "smooth":
            return strength * sum(np.sum(w**k) for k in range(1, power + 1))
        return strength * np.sum(np.abs(w))

    f, calls = counted(penalty)
    gradient = ed.grad(f)
    for strength in (0.5, 2.0, 3.0):
        np.testing.assert_allclose(gradient(x3, "smooth", 2, strength), strength * (1 + 2 * x3))
    assert gradient(x3, "rough", 2, 2.0).tolist() == [2.0, -2.0, 2.0]
    assert gradient(x3, "smooth", 1, 2.0).tolist() == [2.0, 2.0, 2.0]
    assert calls.number == 3


def test_a_function_that_keeps_a_record_of_its_calls_is_not_called_again_for_that():
    record = []
    gradient = ed.grad(lambda x: (record.append(x.shape), np.sum(x**2))[1])
    for _ in range(3):
        assert gradient(x3).tolist() == (2 * x3).tolist()
    assert len(record) == 1


def test_a_float_that_decides_a_branch_counts_by_value():
    gradient = ed.grad(lambda w, s: np.sum(w**2) if s > 0.5 else np.sum(w))
    assert gradient(x3, 0.7).tolist() == (2 * x3).tolist()
    assert gradient(x3, 0.2).tolist() == [1.0, 1.0, 1.0]


# ---------------------------------------------------------------- shapes and data used as they are

SHAPE_AS_DATA = [
    lambda x: sum(np.sum(x**k) for k in range(x.shape[0])),
    lambda x: np.sum(x ** len(x)),
    lambda x: x @ np.eye(x.shape[0]) @ x,
    lambda x: np.sum(x * np.arange(x.size)),
    lambda x: np.sum(x * np.ones(x.shape)) / float(x.shape[0]),
    lambda x: np.sum(x**2) if x.shape == (3,) else np.sum(x),
    lambda x: np.sum(x) * (x.shape[0] // 2) * (x.shape[0] % 2),
    lambda x: np.sum(x * np.array([2.0] * x.shape[0])),
    lambda x: np.sum(x.reshape(x.shape[0], 1) * x),
]


@pytest.mark.parametrize("function", SHAPE_AS_DATA, ids=range(len(SHAPE_AS_DATA)))
@pytest.mark.parametrize("n", [3, 4])
def test_shapes_used_as_data_fix_them_for_the_trace(function, n):
    x = rng().standard_normal(n)
    h = 1e-6 * np.eye(n)
    wanted = [(function(x + e) - function(x - e)) / 2e-6 for e in h]  # differences: 1e-9
    np.testing.assert_allclose(ed.grad(function)(x), wanted, rtol=1e-7, atol=1e-7)


def test_labels_used_as_indices_are_read_anew_in_each_call():
    def loss(W, X, labels):
        log_p = X @ W - np.log(np.sum(np.exp(X @ W), axis=1, keepdims=True))
        return -np.sum(np.eye(3)[labels] * log_p)

    gradient, r = ed.grad(loss), rng()
    W, X = r.standard_normal((2, 3)), r.standard_normal((4, 2))
    for labels in (np.array([0, 1, 2, 1]), np.array([2, 2, 0, 0])):
        p = np.exp(X @ W) / np.exp(X @ W).sum(axis=1, keepdims=True)
        wanted = X.T @ (p - np.eye(3)[labels])
        np.testing.assert_allclose(gradient(W, X, labels), wanted, rtol=1e-12)


def test_loop_over_the_rows_of_data_is_unrolled():
    X = rng().standard_normal((4, 3))
    gradient = ed.grad(lambda w, X: sum(np.exp(row @ w) for row in X))
    np.testing.assert_allclose(gradient(x3, X), X.T @ np.exp(X @ x3), rtol=1e-12)


def test_branch_on_data_goes_the_way_of_the_data_in_each_call():
    gradient = ed.grad(lambda w, X: np.sum(X @ w) if X.sum() > 0 else 2 * np.sum(w))
    assert gradient(x3, np.eye(3)).tolist() == [1.0, 1.0, 1.0]
    assert gradient(x3, -np.eye(3)).tolist() == [2.0, 2.0, 2.0]


def test_masks_and_infinities_take_part():
    mask = np.array([[True, False, True], [True, True, False]])
    S = rng().standard_normal((2, 3))
    gradient = ed.grad(lambda S, m: np.sum(np.log(np.sum(np.exp(np.where(m, S, -np.inf)), axis=1))))
    e = np.where(mask, np.exp(S), 0)
    np.testing.assert_allclose(gradient(S, mask), e / e.sum(axis=1, keepdims=True), rtol=1e-13)


# ---------------------------------------------------------------- what is read besides the arguments

factor = 2.0


def scaled(x):
    return x * factor


class Model:
    """A loss with a setting."""

    def __init__(self, strength):
        self.strength = strength
        self.settings = {"shift": np.zeros(3)}

    def loss(self, x):
        return self.strength * np.sum(x + self.settings["shift"] * x)

    def __call__(self, x):
        return self.loss(x)


def test_change_of_a_global_of_a_helper_is_noticed(monkeypatch):
    gradient = ed.grad(lambda x: np.sum(scaled(x)))
    assert gradient(x3).tolist() == [2.0, 2.0, 2.0]
    monkeypatch.setitem(globals(), "factor", 5.0)
    assert gradient(x3).tolist() == [5.0, 5.0, 5.0]


def test_change_of_a_closure_a_list_a_dict_and_an_array_is_noticed():
    number, several, table, array = 1.0, [1.0], {"k": 1.0}, np.ones(3)
    gradient = ed.grad(lambda x: np.sum(x * number * several[0] * table["k"] * np.exp(array)))
    for _ in range(2):
        wanted = number * several[0] * table["k"] * np.exp(array)
        np.testing.assert_allclose(gradient(x3), wanted, rtol=1e-14)
        number, several[0], table["k"] = number + 1, several[0] + 2, table["k"] + 3
        array += 1
    large = np.ones((100, 100))
    gradient = ed.grad(lambda x: np.sum(large * x))
    assert gradient(1.0) == 1e4
    large[:] = 2
    assert gradient(1.0) == 2e4


@pytest.mark.parametrize("take", [lambda m: m.loss, lambda m: m, lambda m: lambda x: m.loss(x)])
def test_change_of_an_attribute_is_noticed(take):
    model = Model(3.0)
    gradient = ed.grad(take(model))
    assert gradient(x3).tolist() == [3.0, 3.0, 3.0]
    model.strength = 4.0
    assert gradient(x3).tolist() == [4.0, 4.0, 4.0]
    model.settings["shift"] = np.array([1.0, 0.0, 0.0])
    assert gradient(x3).tolist() == [8.0, 4.0, 4.0]


def test_array_rewritten_between_two_uses_has_the_entries_of_each_time():
    def weighted_squares(x):
        unit, total = np.zeros(3), 0.0
        for k in range(3):
            unit[:] = 0
            unit[k] = 1
            total = total + (k + 1) * (x @ unit) ** 2
        return total

    np.testing.assert_allclose(ed.grad(weighted_squares)(x3), 2 * x3 * [1, 2, 3], rtol=1e-14)


# ---------------------------------------------------------------- conventions, as JAX's

Layer = namedtuple("Layer", "W b")


def deep(np, params, scale, *, X):
    hidden = np.tanh(X @ params["in"].W + params["in"].b)
    return scale * np.sum((hidden @ params["out"][0] + params["out"][1]) ** 2)


def tree(r):
    layer = Layer(r.standard_normal((3, 4)), r.standard_normal(4))
    return {"out": [r.standard_normal(4), 0.5], "in": layer, "unused": None}


def leaves_agree(found, wanted):
    """Trees of one form and type, with equal arrays."""
    if isinstance(wanted, dict):
        assert type(found) is dict and sorted(found) == sorted(wanted)
        return all(leaves_agree(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        assert type(found) is type(wanted) and len(found) == len(wanted)
        return all(leaves_agree(f, w) for f, w in zip(found, wanted, strict=True))
    if wanted is None:
        return found is None
    assert np.shape(found) == np.shape(wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    return True


@pytest.fixture
def jax():
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


@pytest.mark.jax
@pytest.mark.parametrize("argnums", [0, 1, -1, (0,), (1, 0), (-2, -1)], ids=str)
@pytest.mark.parametrize("name", ["grad", "value_and_grad", "jacobian", "hessian"])
def test_results_are_arranged_as_jax_arranges_them(name, argnums, jax):
    params, X = tree(rng()), rng().standard_normal((5, 3))
    theirs = getattr(jax, name)(functools.partial(deep, jax.numpy), argnums)
    wanted = theirs(params, 0.7, X=X)
    found = getattr(ed, name)(functools.partial(deep, np), argnums=argnums)(params, 0.7, X=X)
    assert leaves_agree(found, jax.tree.map(np.asarray, wanted))


@pytest.mark.jax
@pytest.mark.parametrize("name", ["jacobian", "hessian"])
def test_jacobian_and_hessian_of_several_values_are_arranged_as_jax_arranges_them(name, jax):
    def f(np, x, y):
        return {"outer": np.outer(x, y) * np.sin(x)[:, None], "both": (x @ x, [y**3])}

    y = np.array([0.3, -0.4])
    wanted = getattr(jax, name)(functools.partial(f, jax.numpy), (0, 1))(x3, y)
    found = getattr(ed, name)(functools.partial(f, np), (0, 1))(x3, y)
    assert leaves_agree(found, jax.tree.map(np.asarray, wanted))


def test_gradient_has_the_dtype_of_its_argument():
    f = ed.grad(lambda x, y: np.sum(x * y * np.ones(3)), (0, 1))
    g, h = f(x3.astype("f4"), x3)
    assert g.dtype == np.float32 and h.dtype == np.float64
    value, g = ed.value_and_grad(lambda x: np.sum(x**2))(x3.astype("f4"))
    assert value.dtype == g.dtype == np.float32
    assert ed.grad(lambda x: x**2)(3) == 6.0 and isinstance(ed.grad(lambda x: x**2)(3), np.float64)


def test_keyword_and_default_arguments_are_passed_on():
    def f(x, power=2, *, scale=1.0):
        return scale * np.sum(x**power)

    assert ed.grad(f)(x3).tolist() == (2 * x3).tolist()
    np.testing.assert_allclose(ed.grad(f)(x3, power=3, scale=0.5), 1.5 * x3**2, rtol=1e-14)
    np.testing.assert_allclose(ed.grad(f)(x3, scale=np.float64(3)), 6 * x3, rtol=1e-14)


def test_unused_argument_and_constant_function_have_gradient_0():
    assert ed.grad(lambda x, y: np.sum(x), 1)(x3, x3).tolist() == [0.0, 0.0, 0.0]
    assert ed.grad(lambda x: 3.0)(x3).tolist() == [0.0, 0.0, 0.0]
    assert ed.hessian(lambda x: np.sum(x))(x3).tolist() == np.zeros((3, 3)).tolist()


def test_transformed_function_keeps_name_and_docstring():
    gradient = ed.grad(squared_error, argnums=(0,))
    assert gradient.__name__ == "squared_error" and gradient.__wrapped__ is squared_error
    assert repr(gradient) == "<gradient of squared_error, argnums=(0,)>"


def test_threads_may_share_one_transformed_function():
    gradient, r, failures = ed.grad(squared_error), rng(), []
    cases = [(n, r.standard_normal(n), r.standard_normal((9, n))) for n in range(1, 9)]

    def work():
        for n, w, X in cases * 5:
            found = gradient(w, X, np.zeros(9))
            if not np.allclose(found, 2 * X.T @ (X @ w), rtol=1e-12):
                failures.append(n)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# ---------------------------------------------------------------- derivatives of derivatives


def test_gradient_of_a_gradient():
    assert ed.grad(ed.grad(lambda x: x**4))(2.0) == 48.0
    assert ed.grad(ed.grad(ed.grad(lambda x: x**4)))(2.0) == 48.0
    value, slope = ed.value_and_grad(ed.grad(np.sin))(0.5)
    np.testing.assert_allclose([value, slope], [np.cos(0.5), -np.sin(0.5)], rtol=1e-15)


def test_hessian_is_the_jacobian_of_the_gradient():
    def f(x):
        return np.sum(np.outer(x, x**2) * np.sin(x))

    wanted = ed.hessian(f)(x3)
    np.testing.assert_allclose(ed.jacobian(ed.grad(f))(x3), wanted, rtol=1e-13)
    product = ed.grad(lambda x, v: ed.grad(f)(x) @ v)(x3, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(product, wanted @ [1.0, 2.0, 3.0], rtol=1e-13)


def test_inner_gradient_sees_the_variables_of_the_outer_function():
    # d/dx of x * d/dy (x*y) at y = 1 is 2x, not 1: the two variables are not confused
    assert ed.grad(lambda x: x * ed.grad(lambda y: x * y)(1.0))(3.0) == 6.0
    assert ed.grad(lambda x: x * ed.grad(lambda y: x + y)(x))(3.0) == 1.0
    steps = ed.grad(lambda w: np.sum((w - 0.1 * ed.grad(lambda v: np.sum(v**3))(w)) ** 2))(x3)
    np.testing.assert_allclose(steps, 2 * (x3 - 0.3 * x3**2) * (1 - 0.6 * x3), rtol=1e-13)


def test_derivative_called_with_symbols_is_an_expression():
    x, A = ed.tensors("x[n] A[n,n]")
    gradient = ed.grad(lambda z: z @ A @ z)(x)
    assert gradient.simplify() == (A @ x + A.T @ x).simplify()
    value, (gx, gy) = ed.value_and_grad(lambda x, y: x @ y, (0, 1))(x, 2 * x)
    assert value == 2 * x @ x and gx == 2 * x and gy == x
    assert ed.grad(lambda z: np.sum(z**2))(A @ x) == 2 * A @ x


def test_examples_in_the_documentation_run():
    path = Path(__file__).resolve().parents[2] / "docs" / "python.md"
    failed, tried = doctest.testfile(str(path), module_relative=False)
    assert tried > 10 and failed == 0
