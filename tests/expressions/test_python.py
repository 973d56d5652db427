"""Symbols mean what arrays mean: one function, called with symbols and with arrays, gives one value."""

import inspect
import pickle
from fractions import Fraction

import numpy as np
import pytest
from scipy import special

import einderiv as ed
from einderiv.expressions.symbols import FUNCTIONS, UFUNCS
from tests.expressions import test_python_joined

SEED = 3
NAMES = "X[n,d] Y[n,d] Q[d,d] T[n,d,3] v[d] u[d] w[n] c P[n,1] K[1,d]"


def symbols():
    return {name: s for s in ed.tensors(NAMES) for name in s.variables}


def arrays():
    """Entries between 0.5 and 1.5: inside the domain of every function, away from kinks."""
    print("seed", SEED)
    r = np.random.default_rng(SEED)
    sizes = {"n": 4, "d": 2}
    return {
        name: r.uniform(0.5, 1.5, [sizes.get(str(dim), dim) for dim in s.shape])
        for name, s in symbols().items()
    }


def both(function):
    """What a function gives for arrays, and its expression for symbols evaluated at these."""
    wanted = inspect.signature(function).parameters
    own, given = symbols(), arrays()
    expression = function(**{name: own[name] for name in wanted})
    value = expression({name: given[name] for name in expression.variables})
    return value, function(**{name: given[name] for name in wanted}), expression


def assert_same(function):
    found, wanted, expression = both(function)
    assert np.shape(found) == np.shape(wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-13)  # sums in another order
    return expression


# ---------------------------------------------------------------- the meaning of NumPy's functions

MEANINGS = [
    # operators
    lambda X, Y: X + Y - 2 * X / Y,
    lambda X, v: X * v + v - X / v,
    lambda X, w: X.T * w - w,
    lambda X, P, K: (X - P) * K + P * K,
    lambda P, K: P + K,
    lambda P: P * P.T,
    lambda X, c: c * X + 1 - X / c + 3 / X,
    lambda X: -(X**2) + X**0.5 + 2**X + X**-1 + (+X),
    lambda X, v: X**v,
    lambda X: abs(0.7 - X),
    lambda X: 1.5 * X + np.float64(0.25) * X + np.array(2.0) * X + True * X,
    lambda X: (X > 0.8) * X + (X <= 1) * 2 + (X < 0.7) + (X >= 1.2),
    lambda X, Y: np.where((X > Y) & ~(X > 1.2) | (Y > 1.3), X, Y),
    lambda X, Y: np.where((X > 1) ^ (Y > 1), X, Y),
    # products of arrays
    lambda X, v: X @ v,
    lambda w, X: w @ X,
    lambda X, Q: X @ Q @ X.T,
    lambda v, u: v @ u,
    lambda T, Q: np.swapaxes(T, 1, 2) @ Q,
    lambda T, X: X.T @ T.transpose(2, 0, 1),
    lambda T: T @ T.mT,
    lambda T, v: v @ T,
    lambda X, v: X.dot(v),
    lambda X, Q: np.dot(X, Q),
    lambda T, Q: np.dot(np.moveaxis(T, 2, 0), Q),
    lambda X, c: np.dot(X, c) + np.dot(3, X),
    lambda X, Y: np.inner(X, Y),
    lambda X, Y: np.vdot(X, Y),
    lambda v, w: np.outer(v, w),
    lambda v, w: np.multiply.outer(v, w) + np.add.outer(v, w),
    lambda X, Q: np.tensordot(X, Q, 1),
    lambda X, Y: np.tensordot(X, Y) + np.tensordot(X, Y, axes=([1, 0], [1, 0])),
    lambda T, X: np.tensordot(T, X, axes=(1, 1)),
    lambda v, w: np.tensordot(v, w, 0),
    lambda X, Q, v: np.linalg.multi_dot([X, Q, v]),
    lambda X, v: np.einsum("ab,b->a", X, v),
    lambda X, Y: np.einsum("ij,ij", X, Y),
    lambda Q: np.einsum("ii->i", Q) + np.einsum("ii", Q),
    lambda T, v: np.einsum("...jk,j->k...", T, v),
    lambda X, v: np.einsum(X, [0, 1], v, [1], [0]),
    lambda X, v: np.einsum(X, [0, 1], v, [1]),
    lambda P, X: np.einsum("ij,ij->ij", P, X),
    lambda v, u: np.vecdot(v, u),
    # axes
    lambda T: T.T + np.transpose(T),
    lambda T: np.transpose(T, (1, -1, 0)),
    lambda T: T.transpose((2, 0, 1)) + T.transpose(2, 0, 1),
    lambda T: np.moveaxis(T, [0, 1], [-1, 0]),
    lambda T: T.swapaxes(0, -1),
    lambda X, w: X[:, None] * w[:, None, None] + X[..., None, :],
    lambda v: v[None] + v[:, None] + v[np.newaxis, :, None],
    lambda X: np.expand_dims(X, (0, -1)),
    lambda P: np.squeeze(P) + P.squeeze(1) + P.squeeze(axis=-1),
    lambda v: v.reshape(1, -1) + v.reshape((-1, 1)) + v.ravel() + v.flatten() + np.ravel(v),
    lambda P: np.reshape(P, -1),
    lambda v, X: np.broadcast_to(v, X.shape) * X,
    lambda Q: Q.diagonal() + np.diagonal(Q) + np.diag(Q),
    lambda v: np.diag(v),
    lambda Q, X: Q.trace() * np.trace(X[:, :] @ X.T) + np.trace(X.T @ X, 0, 1, 0),
    lambda Q: np.tril(Q) - np.triu(Q),
    lambda X: X.copy() + np.copy(X) + X.astype(float),
    lambda X: X[:] + X[...] + X[:, :],
    # reductions
    lambda T: T.sum() + np.sum(T, axis=0).sum(axis=-1),
    lambda T: np.sum(T, axis=(0, -1), keepdims=True),
    lambda T: T.sum(1) + np.sum(T, 1),
    lambda T: T.mean(axis=(0, 2)) + np.mean(T),
    lambda X: X - X.mean(axis=1, keepdims=True),
    lambda T: T.prod(axis=0) + np.prod(T),
    lambda T: T.max(axis=(1, 2)) + np.max(T) + np.amax(T) - np.amin(T, axis=0).min() - np.min(T),
    lambda X: X.min(axis=1, keepdims=True) + np.ptp(X, axis=0),
    lambda X: X.var() + np.var(X, axis=0) + np.var(X, axis=0, ddof=1),
    lambda X: X.std(axis=1, keepdims=True) + np.std(X),
    lambda X, w: np.average(X, axis=0) + np.average(w**2, weights=w),
    lambda X: np.add.reduce(X) + np.add.reduce(X, axis=None) + np.maximum.reduce(X, axis=0),
    lambda X: np.logaddexp.reduce(X, axis=1, keepdims=True),
    # linear algebra
    lambda Q: np.linalg.inv(Q) + np.linalg.det(Q),
    lambda Q: np.linalg.slogdet(Q)[1] * np.linalg.slogdet(Q).sign,
    lambda Q, v: np.linalg.solve(Q, v),
    lambda Q, X: np.linalg.solve(Q, X.T),
    lambda Q: np.linalg.cholesky(Q @ Q.T),
    lambda Q: np.linalg.matrix_power(Q, 3) + np.linalg.matrix_power(Q, 0),
    lambda Q: np.linalg.matrix_power(Q, -2),
    lambda X, v: np.linalg.norm(X) + np.linalg.norm(v, 1) + np.linalg.norm(v, np.inf),
    lambda X: np.linalg.norm(X, axis=1) + np.linalg.norm(X, "fro"),
    lambda X: np.linalg.norm(X, 2, axis=0, keepdims=True),
    lambda Q: np.linalg.trace(Q) + np.matrix_transpose(Q),
    # choices and filled arrays
    lambda X, Y: np.where(X > Y, X, 0) + np.where(X == Y, 1, Y),
    lambda X: np.where(X, 2, 3) + np.where(True, X, 0),
    lambda X: np.clip(X, 0.7, 1.2) + X.clip(0.9) + np.clip(X, None, 1.1),
    lambda X: np.zeros_like(X) + np.ones_like(X) + np.full_like(X, 2.5),
    # extents
    lambda X: X.sum() / X.shape[0] + np.sqrt(X.shape[1]) - X.shape[0] ** 2,
    lambda X: X / X.size + np.size(X) * np.size(X, 1),
    lambda X: (X.shape[0] - X.shape[1]) * X + (1 + X.shape[0]) / X.shape[1] - (2 - X.shape[0]),
    lambda X: np.shape(X.T) == (X.shape[1], X.shape[0]) and np.ndim(X) * X,
    lambda X: np.real(X) + np.conjugate(X) + np.conj(X),
]


@pytest.mark.parametrize("function", MEANINGS, ids=range(len(MEANINGS)))
def test_function_of_symbols_evaluates_to_the_function_of_arrays(function):
    assert_same(function)


def test_every_row_of_the_table_of_functions_is_tried_here():
    source = inspect.getsource(inspect.getmodule(assert_same))
    missing = [f.__name__ for f in FUNCTIONS if f"np.{f.__name__}(" not in source]
    missing = [name for name in missing if f"np.linalg.{name}(" not in source]
    elsewhere = inspect.getsource(test_python_joined)
    assert [name for name in missing if f"np.{name}(" not in elsewhere] == []


# ---------------------------------------------------------------- universal functions


def universal(name):
    """The function of a row, with as many arguments as it takes."""
    function = getattr(np, name, None) or getattr(special, name)
    shift = {"arccosh": 1.0}.get(name, 0.0)
    r = np.random.default_rng(SEED)
    return function, [shift + r.uniform(0.2, 0.8, (3,)) for _ in range(function.nin)]


BITWISE = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert"}
PRODUCTS = {"matmul", "vecdot"}


@pytest.mark.parametrize("name", sorted(set(UFUNCS) - BITWISE - PRODUCTS))
def test_universal_function_has_its_values_and_its_derivative(name):
    print("seed", SEED)
    function, given = universal(name)
    names = "ab"[: len(given)]
    expression = function(*ed.tensors("a[n] b[n]")[: len(given)])
    values = dict(zip(names, given, strict=True))
    np.testing.assert_allclose(expression(values), function(*given), rtol=1e-13, atol=1e-15)
    h = 1e-3
    for k, x in enumerate(names):  # central differences of fourth order

        def moved(step, k=k):
            changed = [g + step * (j == k) for j, g in enumerate(given)]
            return np.asarray(function(*changed), float)

        slope = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
        jacobian = expression.jacobian(x)(values)
        np.testing.assert_allclose(jacobian, np.diag(slope), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("x", [-1e8, -1e-9, 0.0, 1e-9, 1e8])
def test_inverse_hyperbolic_functions_lose_no_digits(x):
    s = ed.tensor("x")
    np.testing.assert_allclose(np.arcsinh(s)(x=x), np.arcsinh(x), rtol=1e-15)
    np.testing.assert_allclose(np.arcsinh(s).grad("x")(x=x), 1 / np.hypot(x, 1), rtol=1e-15)
    y = np.tanh(min(max(x, -3.0), 3.0))
    np.testing.assert_allclose(np.arctanh(s)(x=y), np.arctanh(y), rtol=1e-14)
    np.testing.assert_allclose(np.arccosh(s)(x=1 + abs(x)), np.arccosh(1 + abs(x)), rtol=1e-14)


def test_logaddexp_does_not_overflow():
    a, b = ed.tensors("a b")
    e = np.logaddexp(a, b)
    assert e(a=1000.0, b=0.0) == 1000.0 and e(a=-1000.0, b=-2000.0) == -1000.0
    assert e.grad("b")(a=0.0, b=1000.0) == 1.0


# ---------------------------------------------------------------- the same terms as a text's

SHAPES = {"X": ("n", "d"), "v": ("d",), "w": ("n",), "Q": ("d", "d")}
TEXTS = [
    (lambda X, v, w: ((X @ v - w) ** 2).sum() / X.shape[0], "sum[a]((X[a,b]*v[b] - w[a])^2)/n"),
    (lambda X, v, w: np.sum(np.log1p(np.exp(X @ v))), "sum[a](log1p(exp(X[a,b]*v[b])))"),
    (lambda X, Q: np.trace(X @ Q @ X.T), "X[a,b]*Q[b,c]*X[a,c]"),
    (lambda Q: np.linalg.slogdet(Q)[1], "logdet(Q)"),
    (lambda Q, v: np.linalg.solve(Q, v), "inv(Q)[i,j]*v[j]"),
    (lambda X: X["a", "b"] * X["a", "b"], "X[a,b]*X[a,b]"),
    (lambda X, v, w: X["a", "b"] * v["b"] - w["a"], "X[a,b]*v[b] - w[a]"),
    (lambda v: 2 * v["i"] * v["j"] / 3, "2/3*v[i]*v[j]"),
]


@pytest.mark.parametrize("function, text", TEXTS, ids=[text for _, text in TEXTS])
def test_python_and_text_give_one_program(function, text):
    own = symbols()
    found = function(**{name: own[name] for name in inspect.signature(function).parameters})
    parsed = ed.parse(text, shapes=SHAPES)
    assert found.simplify() == parsed.simplify()
    x = next(iter(inspect.signature(function).parameters))
    assert found.diff(x) == parsed.diff(x)


@pytest.mark.parametrize("function", MEANINGS, ids=range(len(MEANINGS)))
def test_printed_expression_reads_back(function):
    own = symbols()
    e = function(**{name: own[name] for name in inspect.signature(function).parameters})
    back = ed.parse(str(e))
    assert len(back.shape) == len(e.shape)
    given, sizes = arrays(), {} if back.variables else {"n": 4, "d": 2}
    values = [f({n: given[n] for n in f.variables}, sizes=sizes) for f in (back, e)]
    np.testing.assert_allclose(*values, rtol=1e-12)


# ---------------------------------------------------------------- symbols as expressions


def test_shape_names_the_extents():
    X = ed.tensor("X[n,3]")
    assert X.shape == ("n", 3) and X.ndim == 2 and X.shape[0] == "n" and f"{X.shape[0]}" == "n"
    assert X.T.shape == (3, "n") and X[:, None].shape == ("n", 1, 3)
    assert {X.shape[0]: 1} == {"n": 1}


def test_symbol_is_an_expression_in_every_way():
    X, v = ed.tensors("X[n,d] v[d]")
    J = ((X @ v) ** 2).sum()
    again = pickle.loads(pickle.dumps(J))
    assert again == J and hash(again) == hash(J) and again.shape == ()
    assert J.variables == {"X": ("n", "d"), "v": ("d",)}
    assert J.grad("v").matrix() == "2*X'*X*v"
    assert str(J.hessian("v")) == str(ed.parse("X : (n, d); v : (d); 2*X[k,i]*X[k,j]"))
    assert ed.equal(J.grad("v"), 2 * X.T @ X @ v)
    both = ed.compile({"J": J, "g": J.grad("v")})(X=np.eye(2), v=[1.0, 2.0])
    assert both["J"] == 5.0 and both["g"].tolist() == [2.0, 4.0]


def test_parsed_expressions_compute_too():
    e = ed.parse("x[i]*x[i]") + 1
    assert str(e) == "x[i]*x[i] + 1"
    f = ed.parse("x[i]*x[i]") * ed.parse("y[i]*y[i]")  # the two i are not one extent
    assert f(x=[1.0, 2.0], y=[1.0, 1.0, 1.0]) == 15.0
    g = ed.parse("y[i] = A[i,j]*x[j]") - ed.tensor("b[m]")  # these are: entries meet
    assert g(A=np.ones((2, 3)), x=np.ones(3), b=[1.0, 2.0]).tolist() == [2.0, 1.0]


def test_assumptions_count():
    Q, v = ed.tensors("Q[d,d] v[d]", assume={"Q": ["symmetric"]})
    assert (v @ Q @ v).grad("v") == 2 * Q @ v
    P = ed.tensor("P[d,d]", assume="symmetric")
    assert (v @ P @ v).grad("v") == 2 * P @ v


def test_numbers_stay_exact():
    x = ed.tensor("x")
    assert str(0.1 * x + Fraction(1, 3)) == "(3*x + 10)/30"
    assert ed.equal(0.1 * x * 10, x) and str(np.float32(0.1) * x) == "0.10000000149011612*x"


def test_symbols_compare_as_expressions_outside_of_traced_functions():
    X, Y = ed.tensors("X[n] Y[n]")
    assert X == X and X != Y and X != 1 and X + Y == Y + X and (X in [Y, X])


# ---------------------------------------------------------------- index notation on symbols


def test_indices_that_stand_twice_are_summed_over_the_product():
    X, v, w = ed.tensors("X[n,d] v[d] w[n]")
    r = X["a", "b"] * v["b"] - w["a"]
    given = arrays()
    some = {"X": given["X"], "v": given["v"], "w": given["w"]}
    wanted = some["X"] @ some["v"] - some["w"]
    np.testing.assert_allclose(r(some), wanted, rtol=1e-14)
    np.testing.assert_allclose((r * r / X.shape[0])(some), wanted @ wanted / 4, rtol=1e-14)
    np.testing.assert_allclose((r**2).sum()(some), wanted @ wanted, rtol=1e-14)
    assert r.indices == ("a",)


def test_named_result_keeps_its_indices():
    X = ed.tensor("X[n,d]")
    kept = (X["a", "b"] * X["a", "b"])["a"]
    assert kept.indices == ("a",)
    assert kept(X=[[1.0, 2.0], [3.0, 4.0]]).tolist() == [5.0, 25.0]
    assert X["a", "b"]["b", "a"] == X.T


def test_functions_take_indexed_symbols_as_they_are():
    X, v = ed.tensors("X[n,d] v[d]")
    e = np.exp(X["a", "b"] * v["b"]).sum()
    assert e == np.exp(X @ v).sum()
    assert np.float64(2) * v["i"] - v["i"] == v and np.where(v["i"] > 0, v, 0).indices == ("i",)
    assert np.sum(v["i"]) == v.sum()
    assert (3 / (1 + v["i"])).expression() == 3 / (1 + v)


# ---------------------------------------------------------------- refusals


def branch(X):
    if X.sum() > 0:
        return X


def written(X):
    X[0] = 1


def added_in_place(X):
    zeros = np.zeros(3)
    zeros += X


REFUSALS = [
    (branch, "NotationError", "a branch on the value", "np.where"),
    (written, "NotationError", "an entry of a symbol is written", "np.where"),
    (added_in_place, "NotationError", "np.add writes into an array", "use the result"),
    (lambda X: X[0], "NotationError", "an entry of a symbol, [0]", "cut the array beforehand"),
    (lambda X: X[1:], "NotationError", "a part of a symbol, [1:]", "cut the array beforehand"),
    (lambda X: X[:, ::2], "NotationError", "[::2]", "cut the array beforehand"),
    (lambda X: X[np.array([0])], "NotationError", "[ndarray]", "cut the array beforehand"),
    (lambda X: X[:, :, :], "NotationError", "3 indices for 2 axes", "drop some"),
    (lambda X: float(X), "NotationError", "float() needs the value", "leave the conversion out"),
    (lambda X: int(X.sum()), "NotationError", "int() needs", "leave the conversion out"),
    (lambda X: complex(X), "NotationError", "complex() needs", "leave the conversion out"),
    (lambda X: X.item(), "NotationError", "item() needs", "leave the conversion out"),
    (lambda X: [0, 1][X.sum()], "NotationError", "an index or a count needs", "leave"),
    (lambda X: np.asarray(X), "NotationError", "a NumPy array needs", "leave the conversion out"),
    (lambda X: np.array([X, X]), "NotationError", "a NumPy array needs", "leave the conversion"),
    (lambda X: list(X), "NotationError", "a loop over the entries", "use whole arrays"),
    (lambda X: len(X), "NotationError", "len() of a symbol", "x.shape[0]"),
    (lambda X: range(X.shape[0]), "NotationError", "the extent n is used as a number", "einsum"),
    (lambda X: np.zeros(X.shape), "NotationError", "the extent n is used", "einsum"),
    (lambda X: np.eye(X.shape[1]), "NotationError", "the extent d is used", "einsum"),
    (lambda X: float(X.shape[0]), "NotationError", "the extent n is used", "einsum"),
    (lambda X: X.shape[0] > 3, "NotationError", "the extent n is used", "einsum"),
    (lambda X: not X.shape[0], "NotationError", "the extent n is used", "einsum"),
    (lambda X: [0] * X.shape[0], "NotationError", "the extent n is used", "einsum"),
    (lambda X: X.reshape(-1), "NotationError", "a reshape of (n, d) to (-1)", "pass it in that"),
    (lambda X: X.ravel(), "NotationError", "a reshape of (n, d)", "pass it in that shape"),
    (lambda X: X.reshape(3, 2), "NotationError", "a reshape of (n, d) to (3, 2)", "pass it in"),
    (lambda X: np.squeeze(X, 0), "NotationError", "squeeze of axis 0", "sum over it"),
    (
        lambda X: np.concatenate([X, X]),
        "NotationError",
        "np.concatenate of symbols",
        "keep parts apart",
    ),
    (lambda X: np.stack([X, X]), "NotationError", "np.stack of symbols", "keep parts apart"),
    (lambda X: np.cumsum(X), "NotationError", "a reshape of (n, d) to (-1)", "pass it in that"),
    (lambda X: np.sort(X), "NotationError", "np.sort has no meaning", "rewrite"),
    (lambda X: np.kron(X, X), "NotationError", "np.kron has no meaning", "rewrite"),
    (lambda X: np.linalg.eigvalsh(X), "NotationError", "np.linalg.eigvalsh has no", "rewrite"),
    (lambda X: np.sum(X, where=X > 0), "NotationError", "np.sum has no meaning", "rewrite"),
    (lambda X: np.add.accumulate(X), "NotationError", "np.add.accumulate has no", "rewrite"),
    (lambda X: np.add.reduce(X, initial=1), "NotationError", "with initial=", "rewrite"),
    (lambda X: np.exp(X, out=np.ones(2)), "NotationError", "writes into an array", "y = np.exp"),
    (lambda X: np.sum(X, out=np.ones(2)), "NotationError", "writes into an array", "use the"),
    (lambda X: np.where(X > 0), "NotationError", "where without two choices", "np.where(cond"),
    (lambda X: np.diagonal(X, 1), "NotationError", "diagonal 1", "offset 0"),
    (lambda X: np.floor(X), "NotationError", "np.floor has no meaning", "rewrite"),
    (lambda X: X // 2, "NotationError", "a whole quotient", "use /"),
    (lambda X: 3 % X, "NotationError", "a remainder", "compute it beforehand"),
    (lambda X: X.astype(int), "NotationError", "a conversion to int64", "beforehand"),
    (lambda X: X + "a", "NotationError", "an object of type str", "convert it first"),
    (lambda X: X * None, "NotationError", "an object of type NoneType", "convert it first"),
    (lambda X: X * 1j, "NotationError", "a complex number", "two parts"),
    (lambda X: X * np.inf, "NotationError", "the number inf", "value of a tensor"),
    (lambda X: X / 0, "NotationError", "a division by 0", "something else"),
    (lambda X: X @ np.ones(3), "NotationError", "an array of numbers meets", "ed.tensor("),
    (lambda X: np.add([1.0, 2.0], X), "NotationError", "an array of numbers meets", "ed.tensor("),
    (lambda X: X @ 2, "NotationError", "a matrix product @ with a number", "write *"),
    (lambda X: X @ X, "DimensionError", "@: the extents d and n meet", "transpose one"),
    (lambda X: X + X.T, "DimensionError", "+: the extents", "declare both extents with one name"),
    (lambda X: np.linalg.inv(X), "DimensionError", "inv: the extents n and d", "transpose"),
    (lambda X: X.sum(axis=2), "NotationError", "axis 2 of something with 2 axes", "-2 to 1"),
    (lambda X: np.transpose(X, (0, 0)), "NotationError", "of a transposition", "each one once"),
    (lambda X: X["a"], "NotationError", "1 indices for 2 axes", "X['i', 'j']"),
    (lambda X: X["a", "a"], "DimensionError", "the extents n and d", "transpose"),
    (lambda X: (X["a", "b"] * 2)["a"], "NotationError", "whose free ones are a, b", "each free"),
    (lambda X: X["a", "b"] + X["a", "c"], "NotationError", "a sum of terms with", "sum the others"),
    (lambda X: X["a", "b"] * X["b", "b"], "DimensionError", "the extents n and d", "transpose"),
    (lambda X: X["a", "b"] + X, "NotationError", "stands without indices", "Y['a']"),
]


@pytest.mark.parametrize("function, kind, message, way_out", REFUSALS, ids=range(len(REFUSALS)))
def test_what_symbols_cannot_do_is_refused_with_the_line_that_asked(
    function, kind, message, way_out
):
    with pytest.raises(ed.EinderivError) as caught:
        function(ed.tensor("X[n,d]"))
    text = str(caught.value)
    assert isinstance(caught.value, getattr(ed, kind))
    assert message in text.splitlines()[0]
    assert way_out in text.splitlines()[-1]
    lines, first = inspect.getsourcelines(function)
    shown = text.splitlines()[1].strip()
    number = next(k for k, line in enumerate(lines) if shown.strip(".") in line)
    assert f"{__file__}, line {first + number}, in {function.__name__}" in text
    assert set(text.splitlines()[2].strip()) == {"^"}


TENSORS = [
    ("", "no tensor is named"),
    ("X[n", "no tensor can be read here"),
    ("X[n,d] 2", "no tensor can be read here"),
    ("X[n,-1]", "'-1' is no extent of X"),
    ("X[n+1]", "'n+1' is no extent of X"),
    ("X[n] X[m]", "X has two shapes"),
    (3, "3 names no tensors"),
]


@pytest.mark.parametrize("names, message", TENSORS, ids=[str(n) for n, _ in TENSORS])
def test_names_that_cannot_be_read_are_refused(names, message):
    with pytest.raises(ed.NotationError, match=message.replace("+", r"\+")):
        ed.tensors(names)


def test_names_with_all_kinds_of_separators_are_read():
    shapes = [s.shape for s in ed.tensors(" X[n, d],th[d] ;c c2[] θ[3]\n")]
    assert shapes == [("n", "d"), ("d",), (), (), (3,)]
    with pytest.raises(ed.NotationError, match="names 2 tensors"):
        ed.tensor("X[n] Y[n]")
    with pytest.raises(ed.NotationError, match="Z has assumptions and is no tensor"):
        ed.tensors("X[n]", assume={"Z": ["positive"]})
