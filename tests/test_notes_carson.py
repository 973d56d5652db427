"""J. D. Carson, "Matrix Calculus": sections 0.1, 0.2, 0.2.1, example 0.2.1 and the table of identities.

J_ijkl = dA_ij/dB_kl: the function's axes first. Unknown losses and f(X) are tables of concrete ones.
Oracles: right sides as text, NumPy closed forms on small integers (exact), complex steps.
Extents differ: m = 3, n = 4, p = 5. Slips of the print are named in the docstring of the test.
"""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logsumexp

import einderiv as ed

RNG = np.random.default_rng(2025)
TIGHT = {"rtol": 1e-10, "atol": 1e-11}  # complex steps have no truncation error: rounding only


def whole(*shape: int) -> np.ndarray:
    """Small whole numbers: results are exact."""
    return RNG.integers(-5, 6, shape).astype(float)


def complex_step(f: Any, x: np.ndarray) -> np.ndarray:
    """Im f(x + ih e)/h for every entry e of x; f's axes first."""
    columns = []
    for k in range(x.size):
        moved = x.astype(complex).reshape(-1)
        moved[k] += 1e-30j
        columns.append(np.asarray(f(moved.reshape(x.shape))).imag / 1e-30)
    return np.stack(columns, axis=-1).reshape(columns[0].shape + x.shape)


# ---------------------------------------------------------------- 0.1 matrix by matrix


def test_0_1_a_matrix_by_itself_is_two_deltas() -> None:
    assert ed.parse("B[i,r]").diff("B[k,l]") == ed.parse("D[i,r,k,l] = delta[i:m,k]*delta[r:n,l]")


def test_0_1_the_product_BC_has_the_derivative_delta_ik_C_lj() -> None:
    B, C = whole(3, 4), whole(4, 5)
    left = ed.parse("A[i,j] = B[i,r]*C[r,j]").diff("B[k,l]")
    assert left == ed.parse("J[i,j,k,l] = delta[i:m,k]*C[l,j]")
    assert left.indices == ("i", "j", "k", "l")
    assert np.array_equal(left(B=B, C=C), np.einsum("ik,lj->ijkl", np.eye(3), C))
    assert np.array_equal(left(B=B, C=C), complex_step(lambda B: B @ C, B))


def test_0_1_each_line_of_the_derivation_is_the_same_expression() -> None:
    lines = (
        "J[i,j,k,l] = sum[r](delta[i:m,k]*delta[r,l]*C[r,j])",
        "J[i,j,k,l] = delta[i:m,k]*delta[r,l]*C[r,j]",
        "J[i,j,k,l] = delta[i:m,k]*C[l,j]",
    )
    first, *others = (ed.parse(line) for line in lines)
    assert all(other == first for other in others)


def test_0_1_the_other_factor_has_the_derivative_B_ik_delta_jl() -> None:
    """Not in the print: C's derivative from the same rule."""
    B, C = whole(3, 4), whole(4, 5)
    left = ed.parse("A[i,j] = B[i,r]*C[r,j]").diff("C[k,l]")
    assert left == ed.parse("J[i,j,k,l] = B[i,k]*delta[j:p,l]")
    assert np.array_equal(left(B=B, C=C), np.einsum("ik,jl->ijkl", B, np.eye(5)))


# ---------------------------------------------------------------- 0.2 vector by matrix


def test_0_2_Ax_has_the_derivative_delta_ik_x_l() -> None:
    A, x = whole(3, 4), whole(4)
    left = ed.parse("y[i] = A[i,j]*x[j]").diff("A[k,l]")
    assert left == ed.parse("J[i,k,l] = delta[i:m,k]*x[l]")
    assert left == ed.parse("J[i,k,l] = delta[i:m,k]*delta[j,l]*x[j]")
    assert np.array_equal(left(A=A, x=x), np.einsum("ik,l->ikl", np.eye(3), x))
    assert np.array_equal(left(A=A, x=x), complex_step(lambda A: A @ x, A))


# L(y), dL/dy by hand, NumPy
T = RNG.normal(size=3)
LOSSES = {
    "half squares": ("(y[i] - t[i])*(y[i] - t[i])/2", "y[i] - t[i]", lambda y: (y - T) @ (y - T) / 2),
    "cross entropy": ("logsumexp[i](y[i]) - t[i]*y[i]", "softmax[i](y[i]) - t[i]",
                      lambda y: logsumexp(y) - T @ y),
    "logistic": ("sum[i](softplus(-t[i]*y[i]))", "D[i] = -t[i]*sigmoid(-t[i]*y[i])",
                 lambda y: np.sum(np.log1p(np.exp(-T * y)))),
    "log cosh": ("sum[i](log(cosh(y[i] - t[i])))", "tanh(y[i] - t[i])",
                 lambda y: np.sum(np.log(np.cosh(y - T)))),
    "exp": ("exp(t[i]*y[i])", "t[i]*exp(t[j]*y[j])", lambda y: np.exp(T @ y)),
}  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
def test_0_2_1_any_loss_of_Ax_has_the_derivative_dL_by_dy_k_times_x_l(loss: str) -> None:
    text, by_hand, function = LOSSES[loss]
    declared = {"y": ("m",), "t": ("m",)}
    y = ed.parse("A[i,j]*x[j]", shapes={"A": ("m", "n"), "x": ("n",)})
    slope = ed.parse(by_hand, shapes=declared)
    assert ed.equal(ed.parse(text, shapes=declared).grad("y"), slope)
    left = ed.parse(text, shapes=declared).substitute(y=y).grad("A[k,l]")
    right = ed.parse("g[k]*x[l]", shapes={"g": ("m",), "x": ("n",)}).substitute(
        g=slope.substitute(y=y)
    )
    long = ed.parse("g[i]*delta[i,k]*x[l]", shapes={"g": ("m",), "x": ("n",)})
    assert ed.equal(left, right)
    assert ed.equal(left, long.substitute(g=slope.substitute(y=y)))
    A, x = RNG.normal(size=(3, 4)), RNG.normal(size=4)
    given = {"A": A, "x": x, "t": T}
    oracle = complex_step(lambda A: function(A @ x), A)
    np.testing.assert_allclose(left(given), oracle, **TIGHT)
    np.testing.assert_allclose(right(given), oracle, **TIGHT)


# ---------------------------------------------------------------- example 0.2.1

LAYER = "L = (W[i,k]*x[k] - t[i])*(W[i,j]*x[j] - t[i])/2"


def test_example_0_2_1_the_loss_is_half_the_squared_length() -> None:
    W, x, t = whole(3, 4), whole(4), whole(3)
    assert ed.parse(LAYER)(W=W, x=x, t=t) == 0.5 * np.sum((W @ x - t) ** 2)


def test_example_0_2_1_gradient_is_the_residual_times_x_transposed() -> None:
    W, x, t = whole(3, 4), whole(4), whole(3)
    gradient = ed.parse(LAYER).grad("W[i,j]")
    assert gradient == ed.parse("r[i] = W[i,k]*x[k] - t[i]; r[i]*x[j]").simplify()
    assert str(gradient) == "(W[i,k]*x[k] - t[i])*x[j]"
    assert np.array_equal(gradient(W=W, x=x, t=t), np.outer(W @ x - t, x))


def test_example_0_2_1_one_row_alone_already_gives_the_entry() -> None:
    """The print's chain rule starts from 1/2(W_ik x_k - t_i)^2, without the sum over i of the norm; the
    other rows do not depend on W_ij, so the entry is right all the same."""
    rows = ed.parse("l[i] = (W[i,k]*x[k] - t[i])^2/2").diff("W[p,q]")
    assert ed.equal(rows, ed.parse("D[i,p,q] = (W[i,k]*x[k] - t[i])*delta[i,p]*x[q]"))
    own_row = ed.parse("D[i,q] = R[i,i,q]", shapes={"R": ("m", "m", "n")}).substitute(R=rows)
    assert ed.equal(own_row, ed.parse(LAYER).grad("W"))


# ---------------------------------------------------------------- identities, in full and along a scalar

# f(X) for square X, its derivative df_ij/dX_kl by hand, NumPy
FUNCTIONS = {
    "X": ("X[i,j]", "J[i,j,k,l] = delta[i:n,k]*delta[j:n,l]", lambda X: X),
    "AX": ("A[i,p]*X[p,j]", "J[i,j,k,l] = A[i,k]*delta[j:n,l]", lambda X: A @ X),
    "X'": ("F[i,j] = X[j,i]", "J[i,j,k,l] = delta[j:n,k]*delta[i:n,l]", lambda X: X.T),
    "XX": ("X[i,p]*X[p,j]", "J[i,j,k,l] = delta[i:n,k]*X[l,j] + X[i,k]*delta[j:n,l]", lambda X: X @ X),
    "XX'": ("F[i,j] = X[i,p]*X[j,p]", "J[i,j,k,l] = delta[i:n,k]*X[j,l] + X[i,l]*delta[j:n,k]",
            lambda X: X @ X.T),
    "A + X'AX": ("F[i,j] = A[i,j] + X[p,i]*A[p,q]*X[q,j]",
                 "J[i,j,k,l] = delta[i:n,l]*A[k,q]*X[q,j] + X[p,i]*A[p,k]*delta[j:n,l]",
                 lambda X: A + X.T @ A @ X),
    "exp": ("exp(X[i,j])", "J[i,j,k,l] = exp(X[i,j])*delta[i,k]*delta[j,l]", np.exp),
}  # fmt: skip
A, X0, X1 = (np.eye(4) * s + RNG.normal(size=(4, 4)) / 3 for s in (2, 1.5, 0))
GIVEN = {"A": A, "X": X0, "X0": X0, "Z": X1, "s": 0.0}
SQUARE = {"A": ("n", "n"), "X": ("n", "n")}
each_f = pytest.mark.parametrize("name", FUNCTIONS)
# the function of F, its derivative in F, the inverse V and D = dF/dX, NumPy
OPERATIONS = {
    "transpose": ("G[i,j] = F[j,i]", "J[i,j,k,l] = D[j,i,k,l]", np.transpose),
    "trace": ("tr[i,j](F[i,j])", "D[i,i,k,l]", np.trace),
    "determinant": ("det[i,j](F[i,j])", "det[i,j](F[i,j])*(V[j,i]*D[i,j,k,l])", np.linalg.det),
    "inverse": ("inv[i,j](F[i,j])[i,j]", "J[i,j,k,l] = -V[i,p]*D[p,q,k,l]*V[q,j]", np.linalg.inv),
}


def value(e: ed.Expression) -> np.ndarray:
    return np.asarray(e({name: GIVEN[name] for name in e.variables if name in GIVEN}))


def read(text: str, **parts: ed.Expression) -> ed.Expression:
    shapes = SQUARE | {name: part.shape for name, part in parts.items()}
    return ed.parse(text, shapes=shapes).substitute({n: e for n, e in parts.items() if n in text})


@each_f
def test_f_of_X_has_the_derivative_by_hand(name: str) -> None:
    text, by_hand, function = FUNCTIONS[name]
    left = read(text).diff("X[k,l]")
    assert ed.equal(left, read(by_hand))
    np.testing.assert_allclose(value(left), complex_step(function, X0), **TIGHT)


@each_f
@pytest.mark.parametrize("operation", OPERATIONS)
def test_identity_by_every_entry_of_X(operation: str, name: str) -> None:
    """Transpose: the print has (df/dX ') for (df/dX)', a parenthesis astray; what is transposed are f's
    axes i and j. The trace, too, and the matrix products run over f's axes; X's stay last."""
    text, derivative, function = OPERATIONS[operation]
    inner, by_hand, f = FUNCTIONS[name]
    F, D = read(inner), read(by_hand)
    V = read("inv[i,j](F[i,j])[i,j]", F=F)
    left = read(text, F=F).diff("X")
    right = read(derivative, F=F, D=D, V=V)
    oracle = complex_step(lambda X: function(f(X)), X0)
    np.testing.assert_allclose(value(left), oracle, **TIGHT)
    np.testing.assert_allclose(value(right), oracle, **TIGHT)
    assert ed.equal(left, right)


@each_f
@pytest.mark.parametrize("operation", OPERATIONS)
def test_identity_along_a_direction_where_it_is_literal(operation: str, name: str) -> None:
    """X = X0 + s Z with a scalar s: df/ds is a matrix and the print's right sides are matrix products."""
    text, inner, f = OPERATIONS[operation][0], FUNCTIONS[name][0], FUNCTIONS[name][2]
    F = read(inner).substitute(X=ed.parse("X0[i,j] + s*Z[i,j]"))
    left = read(text, F=F).diff("s")
    dF = complex_step(lambda s: f(X0 + s * X1), np.array(0.0))
    V = np.linalg.inv(f(X0))
    expected = {
        "transpose": dF.T,
        "trace": np.trace(dF),
        "determinant": np.linalg.det(f(X0)) * np.trace(V @ dF),
        "inverse": -V @ dF @ V,
    }[operation]
    np.testing.assert_allclose(value(left), expected, **TIGHT)


def test_identity_inverse_and_determinant_of_X_itself() -> None:
    assert ed.parse("inv(X)[i,j]").diff("X[k,l]") == ed.parse(
        "J[i,j,k,l] = -inv(X)[i,k]*inv(X)[l,j]"
    )
    assert ed.parse("det(X)").grad("X[k,l]") == ed.parse("D[k,l] = det(X)*inv(X)[l,k]")


@pytest.mark.parametrize("text", ["x[i]*a[i]", "a[i]*x[i]"])
def test_identity_x_transposed_a_has_the_derivative_a(text: str) -> None:
    """The print differentiates by a matrix X that does not occur; meant is the vector x. The answer a' is
    a row, the layout of the numerator; an array with one axis here."""
    assert ed.parse(text).diff("x") == ed.parse("a[i]")
    zero = ed.parse(f"X : (3, 4)\n{text}").diff("X")
    assert np.array_equal(zero(a=[1.0, 2.0], x=[3.0, 4.0], X=np.ones((3, 4))), np.zeros((3, 4)))


def test_identity_a_X_b_has_the_derivative_a_b_transposed() -> None:
    """ab' has X's shape: denominator layout, in a list whose other rows (a', x'(A + A')) are numerator
    layout. In the strict numerator layout it would be ba'."""
    a, b = whole(3), whole(4)
    gradient = ed.parse("a[i]*X[i,j]*b[j]").grad("X[k,l]")
    assert gradient == ed.parse("a[k]*b[l]")
    assert np.array_equal(gradient(a=a, b=b), np.outer(a, b))


def test_identity_x_A_x_has_the_derivative_x_times_A_plus_A_transposed() -> None:
    """The transcript has "x'A A + A')", a parenthesis lost, and d/dX for d/dx."""
    M, x = whole(4, 4), whole(4)
    gradient = ed.parse("x[i]*A[i,j]*x[j]").diff("x[k]")
    assert ed.equal(gradient, ed.parse("D[k] = x[i]*(A[i,k] + A[k,i])"))
    assert np.array_equal(gradient(A=M, x=x), x @ (M + M.T))
    literal = x @ M @ M + M.T  # what the transcript says
    assert literal.shape != gradient(A=M, x=x).shape


def test_the_sigmoid_layer_of_the_loss_chain_agrees_with_scipy() -> None:
    """One layer with an activation, as the notes' "very useful result" is used."""
    W, x, t = RNG.normal(size=(3, 4)), RNG.normal(size=4), RNG.normal(size=3)
    y = expit(W @ x)
    gradient = ed.parse("r[i] = sigmoid(W[i,k]*x[k]) - t[i]; r[i]*r[i]/2").grad("W")
    np.testing.assert_allclose(gradient(W=W, x=x, t=t), np.outer((y - t) * y * (1 - y), x), **TIGHT)
