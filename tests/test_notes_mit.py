"""MIT 6.390, appendix A, "Matrix derivative common cases": every identity A.1-A.22 by its number.

The notes use the denominator layout: the variable's axes first. Unknown functions u(x), v(x), g(u) are
tables of concrete ones; each row carries its derivative by hand and the same function in NumPy.
Oracles: right sides as text, NumPy closed forms, complex steps. Extents differ: n = 4, m = 3, d = 5.
Slips of the print are named in the docstring of the test that asserts the truth.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

import einderiv as ed

RNG = np.random.default_rng(6390)
N, M, D = 4, 3, 5
TIGHT = {"rtol": 1e-11, "atol": 1e-12}  # complex steps have no truncation error: rounding only

DATA = {
    "x": RNG.normal(size=N),
    "t": np.array(0.7),
    "A": RNG.normal(size=(M, N)),
    "B": RNG.normal(size=(M, N)),
    "P": RNG.normal(size=(D, N)),
    "C": RNG.normal(size=(M, D)),
    "E": RNG.normal(size=(2, M)),
    "a": RNG.normal(size=M),
    "b": RNG.normal(size=N),
    "alpha": np.array(-1.7),
}


EXTENTS = {
    "x": ("n",), "A": ("m", "n"), "B": ("m", "n"), "P": ("d", "n"), "C": ("m", "d"), "E": ("r", "m"),
}  # fmt: skip


def complex_step(f: Any, x: np.ndarray) -> np.ndarray:
    """Im f(x + ih e)/h for every entry e of x; x's axes first, as in the notes."""
    h = 1e-30
    columns = []
    for k in range(x.size):
        moved = x.astype(complex).reshape(-1)
        moved[k] += 1j * h
        columns.append(np.asarray(f(moved.reshape(x.shape))).imag / h)
    return np.stack(columns).reshape(x.shape + columns[0].shape)


def jacobian(f: Any) -> np.ndarray:
    return complex_step(f, DATA["x"])


def value(e: ed.Expression) -> np.ndarray:
    """On the data; u, v ... that a function was put in for have none."""
    return np.asarray(e({name: DATA[name] for name in e.variables if name in DATA}))


def by(e: ed.Expression, name: str) -> ed.Expression:
    """The derivative as the notes lay it out: the variable's axes first."""
    return e.diff(name, layout="denominator")


class Vector(NamedTuple):
    """u[j] of x[k] through the matrix {A}; its derivative du_j/dx_i by hand; the same in NumPy."""

    name: str
    text: str
    derivative: str
    numpy: Any

    def read(self, matrix: str) -> tuple[ed.Expression, ed.Expression]:
        shapes = {"x": ("n",), matrix: EXTENTS[matrix]}
        u, du = (text.replace("{A}", matrix) for text in (self.text, self.derivative))
        du = du if "D[i,j]" in du else f"D[i,j] = {du}"
        return ed.parse(f"u[j] = {u}", shapes=shapes), ed.parse(du, shapes=shapes)


# fmt: off
VECTORS = (
    Vector("linear", "{A}[j,k]*x[k]", "{A}[j,i]", lambda A, x: A @ x),
    Vector("squares", "{A}[j,k]*x[k]*x[k]", "2*{A}[j,i]*x[i]", lambda A, x: A @ x**2),
    Vector("sin", "sin({A}[j,k]*x[k])", "cos({A}[j,k]*x[k])*{A}[j,i]", lambda A, x: np.sin(A @ x)),
    Vector("exp", "exp({A}[j,k]*x[k])", "exp({A}[j,k]*x[k])*{A}[j,i]", lambda A, x: np.exp(A @ x)),
    Vector("tanh", "tanh({A}[j,k]*x[k])", "(1 - tanh({A}[j,k]*x[k])^2)*{A}[j,i]",
           lambda A, x: np.tanh(A @ x)),
    Vector("softmax", "softmax[j]({A}[j,k]*x[k])",
           "s[j] = softmax[j]({A}[j,k]*x[k]); D[i,j] = s[j]*{A}[j,i] - s[j]*(s[l]*{A}[l,i])",
           lambda A, x: softmax(A @ x)),
)
SCALARS = (
    Vector("linear", "b[k]*x[k]", "b[i]", lambda b, x: b @ x),
    Vector("square", "x[k]*x[k]", "2*x[i]", lambda b, x: x @ x),
    Vector("exp", "exp(b[k]*x[k])", "b[i]*exp(b[k]*x[k])", lambda b, x: np.exp(b @ x)),
    Vector("logsumexp", "logsumexp[k](x[k])", "softmax[i](x[i])", lambda b, x: logsumexp(x)),
    Vector("log", "log(1 + x[k]*x[k])", "2*x[i]/(1 + x[k]*x[k])", lambda b, x: np.log(1 + x @ x)),
)
# fmt: on
each_u = pytest.mark.parametrize("u", VECTORS, ids=lambda row: row.name)
each_w = pytest.mark.parametrize("w", VECTORS, ids=lambda row: row.name)
each_v = pytest.mark.parametrize("v", SCALARS, ids=lambda row: row.name)


def scalar(row: Vector) -> tuple[ed.Expression, ed.Expression]:
    shapes = {"x": ("n",), "b": ("n",)}
    return tuple(ed.parse(text, shapes=shapes) for text in (row.text, row.derivative))


def composed(text: str, **parts: ed.Expression) -> ed.Expression:
    """A formula in u, v and their derivatives, with concrete functions put in."""
    shapes = {name: part.shape for name, part in parts.items()}
    return ed.parse(text, shapes=shapes).substitute(parts)


def agree(left: ed.Expression, right: ed.Expression, oracle: np.ndarray) -> None:
    """Both sides are one expression, and both give the oracle's array."""
    assert ed.equal(left, right)
    assert value(left).shape == oracle.shape
    np.testing.assert_allclose(value(left), oracle, **TIGHT)
    np.testing.assert_allclose(value(right), oracle, **TIGHT)


# ---------------------------------------------------------------- A.1 the shapes of things


# fmt: off
SHAPES = [
    pytest.param("sin(t)", "t", (), id="scalar by scalar"),
    pytest.param("x[i]*x[i]", "x", (N,), id="scalar by vector"),
    pytest.param("y[j] = a[j]*sin(t)", "t", (M,), id="vector by scalar"),
    pytest.param("y[j] = sin(A[j,k]*x[k])", "x", (N, M), id="vector by vector"),
    pytest.param("a[i]*A[i,j]*x[j]", "A", (M, N), id="scalar by matrix"),
    # "beyond the scope of this course": the variable's axes first, again
    pytest.param("Y[i,j] = A[i,j]*t^2", "t", (M, N), id="matrix by scalar"),
    pytest.param("y[i] = A[i,j]*x[j]", "A", (M, N, M), id="vector by matrix"),
    pytest.param("Y[i,j] = a[i]*x[j]", "x", (N, M, N), id="matrix by vector"),
    pytest.param("Y[i,k] = E[i,j]*A[j,k]", "A", (M, N, 2, N), id="matrix by matrix"),
]
# fmt: on


@pytest.mark.parametrize(("text", "variable", "shape"), SHAPES)
def test_a1_shape_is_the_variables_then_the_functions(
    text: str, variable: str, shape: tuple[int, ...]
) -> None:
    """The introduction prints "the shape of the gradient is the same as the shape of the shape of the
    respective derivative"; meant is the shape of the variable."""
    assert value(by(ed.parse(text), variable)).shape == shape


def test_a1_scalar_by_scalar_is_the_partial_derivative() -> None:
    agree(by(ed.parse("sin(t)"), "t"), ed.parse("cos(t)"), np.cos(DATA["t"]))


def test_a1_scalar_by_vector_has_entry_dy_by_dx_i() -> None:
    oracle = jacobian(lambda x: np.exp(x @ x))
    agree(by(ed.parse("exp(x[k]*x[k])"), "x"), ed.parse("2*x[i]*exp(x[k]*x[k])"), oracle)


def test_a1_vector_by_scalar_has_entry_dy_j_by_dx() -> None:
    """A row in the notes; an array with one axis here."""
    left, right = by(ed.parse("y[j] = sin(a[j]*t)"), "t"), ed.parse("D[j] = a[j]*cos(a[j]*t)")
    agree(left, right, DATA["a"] * np.cos(DATA["a"] * DATA["t"]))


def test_a1_vector_by_vector_has_entry_ij_equal_to_dy_j_by_dx_i() -> None:
    """The print says "the (i, j) entry dy_i/dx_i"; its own matrix has dy_j/dx_i there."""
    left = by(ed.parse("y[j] = sin(A[j,k]*x[k])"), "x[i]")
    right = ed.parse("D[i,j] = cos(A[j,k]*x[k])*A[j,i]")
    oracle = jacobian(lambda x: np.sin(DATA["A"] @ x))
    assert oracle.shape == (N, M)
    agree(left, right, oracle)


def test_a1_scalar_by_matrix_has_entry_dy_by_dX_ij() -> None:
    left = by(ed.parse("exp(a[i]*A[i,j]*x[j])"), "A")
    right = ed.parse("a[k]*x[l]*exp(a[i]*A[i,j]*x[j])")
    agree(left, right, complex_step(lambda A: np.exp(DATA["a"] @ A @ DATA["x"]), DATA["A"]))


# ---------------------------------------------------------------- A.2 vector by vector


@pytest.mark.parametrize("how", ["in the text", "shapes="])
def test_a_1_a_constant_vector_has_the_derivative_zero_n_by_m(how: str) -> None:
    text, shapes = ("x : (n)\na[j]", None) if how == "in the text" else ("a[j]", {"x": ("n",)})
    derivative = by(ed.parse(text, shapes=shapes), "x")
    assert derivative.shape[0] == "n"
    assert ed.equal(derivative, ed.parse("zeros[i:n, j:m]"))
    assert np.array_equal(value(derivative), np.zeros((N, M)))


def test_a_2_a_vector_by_itself_is_the_identity() -> None:
    """The transcript has dx/dy = I and "dx_j/x_i"; meant are dx/dx and dx_j/dx_i."""
    derivative = by(ed.parse("x[j]"), "x[i]")
    assert derivative == ed.parse("delta[i:n, j]")
    assert np.array_equal(value(derivative), np.eye(N))


def test_a_3_a_4_Ax_has_the_derivative_A_transposed() -> None:
    left = by(ed.parse("A[j,k]*x[k]"), "x[i]")
    assert left == ed.parse("D[i,j] = A[j,i]")
    assert left != ed.parse("D[i,j] = A[i,j]")
    assert np.array_equal(value(left), DATA["A"].T)
    assert np.array_equal(value(left), [DATA["A"] @ e_i for e_i in np.eye(N)])  # Ax is linear


def test_a_5_x_transposed_A_has_the_derivative_A() -> None:
    """The print wants "x, A of the same shape"; it needs only that A has as many rows as x."""
    A = np.arange(N * D).reshape(N, D)
    left = by(ed.parse("x[k]*A[k,j]"), "x[i]")
    assert left == ed.parse("A[i,j]")
    assert np.array_equal(left(A=A, x=np.ones(N)), A)
    assert by(ed.parse("x[k]*b[k]"), "x[i]") == ed.parse("b[i]")  # as printed: a column A


@each_u
@each_v
def test_derivatives_by_hand_agree_with_complex_steps(u: Vector, v: Vector) -> None:
    left, right = u.read("A")
    agree(by(left, "x"), right, jacobian(lambda x: u.numpy(DATA["A"], x)))
    left, right = scalar(v)
    agree(left.grad("x"), right, jacobian(lambda x: v.numpy(DATA["b"], x)))


@each_u
@each_w
def test_a_6_the_derivative_of_a_sum_is_the_sum_of_derivatives(u: Vector, w: Vector) -> None:
    (U, dU), (V, dV) = u.read("A"), w.read("B")
    left = by(composed("u[j] + v[j]", u=U, v=V), "x")
    right = composed("Du[i,j] + Dv[i,j]", Du=dU, Dv=dV)
    agree(left, right, jacobian(lambda x: u.numpy(DATA["A"], x) + w.numpy(DATA["B"], x)))


@each_u
def test_a_7_a_scalar_constant_stands_outside(u: Vector) -> None:
    U, dU = u.read("A")
    left, right = by(composed("alpha*u[j]", u=U), "x"), composed("alpha*Du[i,j]", Du=dU)
    agree(left, right, DATA["alpha"] * jacobian(lambda x: u.numpy(DATA["A"], x)))


@each_v
def test_a_8_va_has_the_derivative_dv_times_a_transposed(v: Vector) -> None:
    V, dV = scalar(v)
    left = by(composed("v*a[j]", v=V), "x")
    right = composed("dv[i]*a[j]", dv=dV)
    agree(left, right, np.outer(jacobian(lambda x: v.numpy(DATA["b"], x)), DATA["a"]))


@each_u
def test_a_9_Au_has_the_derivative_du_times_A_transposed(u: Vector) -> None:
    U, dU = u.read("P")  # u has d entries, the constant matrix C is m x d
    left = by(composed("C[j,l]*u[l]", u=U), "x")
    right = composed("D[i,j] = Du[i,l]*C[j,l]", Du=dU)
    agree(left, right, jacobian(lambda x: u.numpy(DATA["P"], x)) @ DATA["C"].T)


@each_v
@each_u
def test_a_10_product_rule_vu(u: Vector, v: Vector) -> None:
    (U, dU), (V, dV) = u.read("A"), scalar(v)
    left = by(composed("v*u[j]", u=U, v=V), "x")
    right = composed("D[i,j] = v*Du[i,j] + dv[i]*u[j]", u=U, Du=dU, v=V, dv=dV)
    agree(left, right, jacobian(lambda x: v.numpy(DATA["b"], x) * u.numpy(DATA["A"], x)))


# ---------------------------------------------------------------- A.2.5 the chain rule


def outer_function(row: Vector, matrix: str, argument: str) -> ed.Expression:
    """The row as a function of another variable, u instead of x."""
    text = f"y[j] = {row.text}".replace("{A}", matrix).replace("x[k]", f"{argument}[k]")
    return ed.parse(text, shapes={matrix: EXTENTS[matrix]})


@each_u
@each_w
def test_a_11_chain_rule_is_du_by_dx_times_dg_by_du(u: Vector, w: Vector) -> None:
    U, dU = u.read("P")
    g = outer_function(w, "C", "u")
    left = by(g.substitute(u=U), "x")
    right = composed("du[i,l]*dg[l,j]", du=dU, dg=by(g, "u").substitute(u=U))
    agree(left, right, jacobian(lambda x: w.numpy(DATA["C"], u.numpy(DATA["P"], x))))


@pytest.mark.parametrize("names", ["sin tanh softmax", "softmax squares exp", "linear exp sin"])
def test_a_12_chain_rule_of_three_functions_keeps_the_order_of_the_factors(names: str) -> None:
    rows = {row.name: row for row in VECTORS}
    u, w, z = (rows[name] for name in names.split())
    U, dU = u.read("P")
    g, f = outer_function(w, "C", "u"), outer_function(z, "E", "g")
    left = by(f.substitute(g=g.substitute(u=U)), "x")
    dg, df = by(g, "u").substitute(u=U), by(f, "g").substitute(g=g.substitute(u=U))
    right = composed("du[i,l]*dg[l,k]*df[k,j]", du=dU, dg=dg, df=df)

    P, C, E = (DATA[name] for name in "PCE")  # d x n, m x d, 2 x m
    agree(left, right, jacobian(lambda x: z.numpy(E, w.numpy(C, u.numpy(P, x)))))


def test_a_11_chain_rule_with_functions_put_in_whose_extents_have_other_names() -> None:
    """x stands outside, over i, and in the function that is put in, over k: one and the same x."""
    left = ed.parse("x[i]*x[i]*v").substitute(v=ed.parse("x[k]*x[k]"))
    assert ed.equal(left.grad("x"), ed.parse("4*x[i]*(x[k]*x[k])"))


# ---------------------------------------------------------------- A.3 some other identities


@each_u
@each_w
def test_a_13_inner_product_of_two_functions(u: Vector, w: Vector) -> None:
    (U, dU), (V, dV) = u.read("A"), w.read("B")
    left = by(composed("u[j]*v[j]", u=U, v=V), "x")
    right = composed("Du[i,j]*v[j] + Dv[i,j]*u[j]", u=U, v=V, Du=dU, Dv=dV)
    agree(left, right, jacobian(lambda x: u.numpy(DATA["A"], x) @ w.numpy(DATA["B"], x)))


def test_a_14_a_row_by_a_scalar_is_the_transposed_derivative_of_the_column() -> None:
    """A row and a column are one array here; a column kept as an m x 1 matrix shows the transpose."""
    column, row = ed.parse("U[j,o] = sin(a[j]*t)*ones[o]"), ed.parse("R[o,j] = sin(a[j]*t)*ones[o]")
    dcolumn, drow = by(column, "t"), by(row, "t")
    expected = DATA["a"] * np.cos(DATA["a"] * DATA["t"])
    assert ed.equal(drow, composed("T[o,j] = D[j,o]", D=dcolumn))
    np.testing.assert_allclose(
        dcolumn(a=DATA["a"], t=DATA["t"], sizes={"o": 1}), expected[:, None], **TIGHT
    )
    np.testing.assert_allclose(
        drow(a=DATA["a"], t=DATA["t"], sizes={"o": 1}), expected[None, :], **TIGHT
    )


# ---------------------------------------------------------------- A.4, A.5 linear regression

A_17 = "1/n*(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])"
A_18 = """1/n*(X[a,b]*delta[b,d]*(X[a,c]*th[c] - Y[a])
              + (X[a,b]*th[b] - Y[a])*X[a,c]*delta[c,d])"""
A_19 = "1/n*(X[a,d]*(X[a,c]*th[c] - Y[a]) + (X[a,b]*th[b] - Y[a])*X[a,d])"
A_20 = "2/n*X[a,d]*(X[a,b]*th[b] - Y[a])"
A_21 = "T[d,a] = X[a,d]; r[a] = X[a,b]*th[b] - Y[a]; 2/n*T[d,a]*r[a]"
DECLARED = "X : (n, k)\n"  # n is X's number of rows
X, TH, Y = RNG.integers(-9, 10, (7, D)), RNG.integers(-9, 10, D), RNG.integers(-9, 10, 7)
REGRESSION = {"X": X, "th": TH, "Y": Y}


@pytest.mark.parametrize("text", [A_17, A_17.replace("1/n*", "") + "/n"], ids=["1/n *", "/ n"])
def test_a_15_a_17_the_objective_in_index_form_has_the_value_of_the_matrix_form(text: str) -> None:
    residual = X @ TH - Y
    assert ed.parse(DECLARED + text)(REGRESSION) * 7 == pytest.approx(
        residual @ residual, rel=1e-15
    )


@pytest.mark.parametrize("text", [A_18, A_19, A_20, A_21], ids=["A.18", "A.19", "A.20", "A.21"])
def test_a_18_to_a_21_each_line_is_the_gradient(text: str) -> None:
    """A.18 is called the chain rule for scalar multiplication; it is the product rule."""
    gradient = ed.parse(DECLARED + A_17).grad("th[d]")
    line = ed.parse(DECLARED + text)
    assert line.simplify() == gradient
    assert ed.equal(line, gradient)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("2/n", "1/n"), ("2/n", "-2/n"), ("2/n", "2"), ("- Y", "+ Y"), ("a,d", "d,a")],
)
def test_a_20_with_a_slip_in_it_is_not_the_gradient(right: str, wrong: str) -> None:
    square = "X : (n, n)\n"
    slip = ed.parse(square + A_20.replace(right, wrong))
    assert not ed.equal(slip, ed.parse(square + A_17).grad("th[d]"))


def test_a_18_with_the_deltas_written_out_is_a_19_once_parsed() -> None:
    assert ed.parse(A_18) == ed.parse(A_19)


def test_a_20_prints_one_term_with_the_coefficient_two() -> None:
    assert str(ed.parse(A_17).grad("th[d]")) == "2*X[a,d]*(X[a,b]*th[b] - Y[a])/n"


def test_a_21_the_index_that_is_adjacent_makes_the_matrix_product() -> None:
    """The print: "the a, b element of the product of A and B is (AB)_ac"; it is the a, c element."""
    assert ed.parse("A[a,b]*B[b,c]").indices == ("a", "c")
    assert np.array_equal(ed.parse("X[a,d]*X[a,b]")(X=X), X.T @ X)


def test_a_16_a_22_the_gradient_is_two_over_n_X_transposed_residual() -> None:
    gradient = ed.parse(DECLARED + A_17).grad("th")
    np.testing.assert_allclose(gradient(REGRESSION), 2 / 7 * X.T @ (X @ TH - Y), rtol=1e-14)


def test_section_a4_each_step_of_the_derivation_holds() -> None:
    """Section A.4 says that it applies A.5; it applies A.7 (the 1/n), A.13, A.6, A.4 and A.1."""
    r = ed.parse("X[a,b]*th[b] - Y[a]")
    dr = by(r, "th[d]")  # d(X th)/dth - dY/dth = X' - 0
    assert dr == ed.parse("D[d,a] = X[a,d]")
    assert by(ed.parse("th : (k)\nY[a]"), "th") == ed.parse("zeros[d:k, a:n]")
    assert ed.equal(composed("2/n*D[d,a]*r[a]", D=dr, r=r), ed.parse(A_17).grad("th[d]"))
