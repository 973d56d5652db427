"""NUS IT5005, "Matrix Calculus (Denominator Layout)": every slide's identity, by the slide.

Oracles: right sides as text with derivatives by hand, SciPy closed forms, complex steps.
Extents differ: x has n = 4 entries, vectors of x have r = 3, a hidden vector has d = 5.
Slips of the print are named in the docstring of the test that asserts the truth.
"""

from typing import Any

import numpy as np
import pytest
from scipy import special

import einderiv as ed
from einderiv.terms.functions import ELEMENTWISE

RNG = np.random.default_rng(5005)
TIGHT = {"rtol": 1e-11, "atol": 1e-12}  # complex steps have no truncation error: rounding only
EXTENTS = {
    "x": ("n",), "b": ("n",), "a": ("r",), "alpha": (), "A": ("r", "n"), "Z": ("n", "r"),
    "B": ("d", "n"), "C": ("r", "d"), "E": ("q", "r"),
}  # fmt: skip
SIZES = {"n": 4, "r": 3, "d": 5, "q": 2}
DATA = {name: RNG.normal(size=[SIZES[e] for e in axes]) for name, axes in EXTENTS.items()}


def complex_step(f: Any, x: np.ndarray) -> np.ndarray:
    """Im f(x + ih e)/h for every entry e of x; x's axes first, as in denominator layout."""
    columns = []
    for k in range(x.size):
        moved = x.astype(complex).reshape(-1)
        moved[k] += 1e-30j
        columns.append(np.asarray(f(moved.reshape(x.shape))).imag / 1e-30)
    return np.stack(columns).reshape(x.shape + columns[0].shape)


def read(text: str, **parts: ed.Expression) -> ed.Expression:
    """The text, with the extents of this file; parts stand for the tensors of their names."""
    shapes = {name: axes for name, axes in EXTENTS.items() if name in text}
    shapes |= {name: part.shape for name, part in parts.items()}
    return ed.parse(text, shapes=shapes).substitute(parts)


def value(e: ed.Expression, **more: Any) -> np.ndarray:
    return np.asarray(e({name: DATA[name] for name in e.variables if name in DATA} | more))


# ---------------------------------------------------------------- the shapes slide


@pytest.mark.parametrize(
    ("text", "variable", "shape"),
    [
        ("exp(x[i]*b[i])", "x", (4,)),
        ("a[i]*A[i,j]*x[j]", "A", (3, 4)),
        ("y[k] = sin(A[k,j]*x[j])", "x", (4, 3)),
        ("y[k] = a[k]*b[i]*sin(Z[i,j]*a[j])", "Z", (4, 3, 3)),
        ("y[k] = C[k,l]*sin(B[l,j]*x[j])", "B", (5, 4, 3)),
    ],
    ids=["n x 1", "m x n", "n x r", "m x n x r, square", "m x n x r"],
)
def test_shapes_slide_the_variables_axes_come_first(
    text: str, variable: str, shape: tuple[int, ...]
) -> None:
    assert value(read(text).diff(variable, layout="denominator")).shape == shape


def test_shapes_slide_vector_by_matrix_is_a_stack_of_scalar_by_matrix() -> None:
    """dy/dX is m x n x r: its last axis counts y, one m x n matrix for each y_k."""
    stack = value(read("y[k] = C[k,l]*sin(B[l,j]*x[j])").diff("B", layout="denominator"))
    B, C, x = DATA["B"], DATA["C"], DATA["x"]
    np.testing.assert_allclose(stack, complex_step(lambda B: C @ np.sin(B @ x), B), **TIGHT)
    for k in range(3):
        one = ed.parse("c[l]*sin(B[l,j]*x[j])").grad("B")
        np.testing.assert_allclose(one(c=C[k], B=B, x=x), stack[:, :, k], **TIGHT)


# ---------------------------------------------------------------- the table of identities

# u, v and g by hand: a vector and a scalar of x, the derivative du_j/dx_i or dv/dx_i, NumPy.
CHOICES = {
    "trigonometric": {
        "u": read("u[j] = sin(A[j,k]*x[k])"),
        "Du": read("D[j,i] = cos(A[j,k]*x[k])*A[j,i]"),
        "v": read("exp(b[k]*x[k])"),
        "dv": read("b[i]*exp(b[k]*x[k])"),
        "w": read("w[j] = A[j,k]*x[k]*x[k]"),
        "Dw": read("D[j,i] = 2*A[j,i]*x[i]"),
        "numpy u": lambda x: np.sin(DATA["A"] @ x),
        "numpy v": lambda x: np.exp(DATA["b"] @ x),
        "numpy w": lambda x: DATA["A"] @ x**2,
    },
    "statistical": {
        "u": read("u[j] = softmax[j](A[j,k]*x[k])"),
        "Du": read("s[j] = softmax[j](A[j,k]*x[k]); D[j,i] = s[j]*A[j,i] - s[j]*(s[l]*A[l,i])"),
        "v": read("logsumexp[k](x[k])"),
        "dv": read("softmax[i](x[i])"),
        "w": read("w[j] = tanh(A[j,k]*x[k])"),
        "Dw": read("D[j,i] = (1 - tanh(A[j,k]*x[k])^2)*A[j,i]"),
        "numpy u": lambda x: special.softmax(DATA["A"] @ x),
        "numpy v": special.logsumexp,
        "numpy w": lambda x: np.tanh(DATA["A"] @ x),
    },
}
# the expression, its column "numerator layout", its column "denominator layout", NumPy
IDENTITIES = {
    "a": ("x : (n)\na[j]", "zeros[j:r, i:n]", "zeros[i:n, j:r]", lambda x, u, v, w: DATA["a"] + 0 * v),
    "x": ("x[j]", "delta[j:n, i]", "delta[i:n, j]", lambda x, u, v, w: x),
    "Ax": ("A[j,k]*x[k]", "A[j,i]", "D[i,j] = A[j,i]", lambda x, u, v, w: DATA["A"] @ x),
    "x'A": ("x[k]*Z[k,j]", "D[j,i] = Z[i,j]", "Z[i,j]", lambda x, u, v, w: x @ DATA["Z"]),
    "au": ("alpha*u[j]", "alpha*Du[j,i]", "D[i,j] = alpha*Du[j,i]",
           lambda x, u, v, w: DATA["alpha"] * u),
    "va": ("v*a[j]", "D[j,i] = a[j]*dv[i]", "D[i,j] = dv[i]*a[j]", lambda x, u, v, w: v * DATA["a"]),
    "vu": ("v*u[j]", "D[j,i] = v*Du[j,i] + u[j]*dv[i]", "D[i,j] = v*Du[j,i] + dv[i]*u[j]",
           lambda x, u, v, w: v * u),
    "Au": ("E[k,j]*u[j]", "E[k,j]*Du[j,i]", "D[i,k] = Du[j,i]*E[k,j]",
           lambda x, u, v, w: DATA["E"] @ u),
    "u + w": ("u[j] + w[j]", "D[j,i] = Du[j,i] + Dw[j,i]", "D[i,j] = Du[j,i] + Dw[j,i]",
              lambda x, u, v, w: u + w),
    "g(u)": ("g[j] = u[j]*exp(u[j])", "D[j,i] = (1 + u[j])*exp(u[j])*Du[j,i]",
             "D[i,j] = (1 + u[j])*exp(u[j])*Du[j,i]", lambda x, u, v, w: u * np.exp(u)),
    "f(g(u))": ("g[j] = u[j]^2; f[k] = sin(E[k,j]*g[j])",
                "F[k,j] = cos(E[k,l]*(u[l]^2))*E[k,j]; G[j,l] = 2*u[j]*delta[j,l]; F[k,j]*G[j,l]*Du[l,i]",
                "F[j,k] = cos(E[k,l]*(u[l]^2))*E[k,j]; G[l,j] = 2*u[j]*delta[j,l]; U[i,l] = Du[l,i]; "
                "U[i,l]*G[l,j]*F[j,k]",
                lambda x, u, v, w: np.sin(DATA["E"] @ u**2)),
}  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("layout", ["numerator", "denominator"])
@pytest.mark.parametrize("row", IDENTITIES)
def test_table_row(row: str, layout: str, choice: str) -> None:
    """Every row in both layouts. The table leaves the merged cells (0, I, a du/dx, du/dx + dv/dx) to the
    reader: the formula is the same, the 0 is r x n in numerator and n x r in denominator layout."""
    text, *columns, function = IDENTITIES[row]
    chosen = CHOICES[choice]

    def put_in(formula: str) -> ed.Expression:
        words = set(formula.replace("[", " ").replace("*", " ").replace("(", " ").split())
        return read(
            formula,
            **{name: chosen[name] for name in ("u", "Du", "v", "dv", "w", "Dw") if name in words},
        )

    left = put_in(text).diff("x", layout=layout)
    right = put_in(columns[layout == "denominator"])
    oracle = complex_step(
        lambda x: function(x, *(chosen[f"numpy {name}"](x) for name in "uvw")), DATA["x"]
    )
    oracle = oracle if layout == "denominator" else oracle.T
    assert ed.equal(left, right)
    assert value(left, x=DATA["x"]).shape == oracle.shape
    np.testing.assert_allclose(value(left, x=DATA["x"]), oracle, **TIGHT)


# ---------------------------------------------------------------- the chain rule


def test_chain_rule_slide_n_by_d_times_d_by_m() -> None:
    """The transcript repeats dg/df and shifts the braces; it is (n x d)(d x m), the product n x m."""
    f, g = (
        read("f[l] = tanh(B[l,k]*x[k])"),
        ed.parse("g[j] = sin(C[j,l]*f[l])", shapes={"C": ("r", "d")}),
    )
    df, dg = f.diff("x", layout="denominator"), g.diff("f", layout="denominator").substitute(f=f)
    assert value(df).shape == (4, 5)
    assert value(dg).shape == (5, 3)
    whole = g.substitute(f=f).diff("x", layout="denominator")
    assert ed.equal(whole, read("F[i,l]*G[l,j]", F=df, G=dg))
    oracle = complex_step(lambda x: np.sin(DATA["C"] @ np.tanh(DATA["B"] @ x)), DATA["x"])
    np.testing.assert_allclose(value(df) @ value(dg), oracle, **TIGHT)
    np.testing.assert_allclose(value(whole), oracle, **TIGHT)


# ---------------------------------------------------------------- z = Wx, z = x'W, z = g(x)


def test_slide_z_is_Wx_has_the_derivative_W_transposed() -> None:
    """The print sums over k and differentiates by x_k at once; the index by which is another one."""
    W = RNG.integers(-9, 10, (3, 4))
    left = ed.parse("z[i] = W[i,k]*x[k]").diff("x[j]", layout="denominator")
    assert left == ed.parse("D[j,i] = W[i,j]")
    assert np.array_equal(left(W=W), W.T)
    assert np.array_equal(ed.parse("z[i] = W[i,k]*x[k]").diff("x")(W=W), W)


def test_slide_z_is_x_transposed_W_has_the_derivative_W() -> None:
    W = RNG.integers(-9, 10, (4, 3))
    left = ed.parse("z[i] = x[k]*W[k,i]").diff("x[j]", layout="denominator")
    assert left == ed.parse("W[j,i]")
    assert np.array_equal(left(W=W), W)


REAL, POSITIVE, UNIT = (
    np.array([-1.3, -0.2, 0.4, 2.1]),
    np.array([0.3, 0.9, 1.7, 4.2]),
    np.array([-0.8, -0.1, 0.5]),
)
GAUSS = 2 / np.sqrt(np.pi)
# g(x), g'(x) as text, points, g'(x) in NumPy and SciPy
SMOOTH = {
    "exp": ("exp(x[i])", "exp(x[i])", REAL, np.exp),
    "expm1": ("expm1(x[i])", "exp(x[i])", REAL, np.exp),
    "log": ("log(x[i])", "1/x[i]", POSITIVE, np.reciprocal),
    "log1p": ("log1p(x[i])", "1/(1 + x[i])", UNIT, lambda x: 1 / (1 + x)),
    "sqrt": ("sqrt(x[i])", "x[i]^(-1/2)/2", POSITIVE, lambda x: 0.5 * x**-0.5),
    "pow": ("x[i]^p", "p*x[i]^(p - 1)", POSITIVE, lambda x: 2.3 * x**1.3),
    "sin": ("sin(x[i])", "cos(x[i])", REAL, np.cos),
    "cos": ("cos(x[i])", "-sin(x[i])", REAL, lambda x: -np.sin(x)),
    "tan": ("tan(x[i])", "1/cos(x[i])^2", REAL, lambda x: np.cos(x) ** -2),
    "asin": ("asin(x[i])", "1/sqrt(1 - x[i]^2)", UNIT, lambda x: (1 - x**2) ** -0.5),
    "acos": ("acos(x[i])", "-1/sqrt(1 - x[i]^2)", UNIT, lambda x: -((1 - x**2) ** -0.5)),
    "atan": ("atan(x[i])", "1/(1 + x[i]^2)", REAL, lambda x: 1 / (1 + x**2)),
    "sinh": ("sinh(x[i])", "cosh(x[i])", REAL, np.cosh),
    "cosh": ("cosh(x[i])", "sinh(x[i])", REAL, np.sinh),
    "tanh": ("tanh(x[i])", "1/cosh(x[i])^2", REAL, lambda x: np.cosh(x) ** -2),
    "sigmoid": ("sigmoid(x[i])", "sigmoid(x[i])*(1 - sigmoid(x[i]))", REAL,
                lambda x: special.expit(x) * special.expit(-x)),
    "softplus": ("softplus(x[i])", "1/(1 + exp(-x[i]))", REAL, special.expit),
    "erf": ("erf(x[i])", "2/sqrt(pi)*exp(-x[i]^2)", REAL, lambda x: GAUSS * np.exp(-(x**2))),
    "erfc": ("erfc(x[i])", "-2/sqrt(pi)*exp(-x[i]^2)", REAL, lambda x: -GAUSS * np.exp(-(x**2))),
    "lgamma": ("lgamma(x[i])", "digamma(x[i])", POSITIVE, special.digamma),
    "digamma": ("digamma(x[i])", None, POSITIVE, lambda x: special.polygamma(1, x)),
}  # fmt: skip


def test_slide_g_of_x_the_language_has_every_smooth_function_of_the_table() -> None:
    smooth = {name for name, row in ELEMENTWISE.items() if row.holomorphic and row.arguments}
    assert set(SMOOTH) <= smooth


@pytest.mark.parametrize("name", SMOOTH)
def test_slide_g_of_x_entry_by_entry_has_the_derivative_diag_of_g_prime(name: str) -> None:
    """The print's last row says dg(x_1)/dx_m, twice, where dg(x_m)/dx_m stands."""
    text, derivative, x, g_prime = SMOOTH[name]
    given = {"x": x} | ({"p": 2.3} if name == "pow" else {})
    left = ed.parse(f"z[i] = {text}").diff("x[j]", layout="denominator")
    np.testing.assert_allclose(left(given), np.diag(g_prime(x)), rtol=1e-13)
    if derivative is not None:  # the trigamma function has no name in the language
        assert ed.equal(left, ed.parse(f"D[j,i] = ({derivative})*delta[i,j]"))
        np.testing.assert_allclose(ed.parse(f"y[i] = {derivative}")(given), g_prime(x), rtol=1e-13)


@pytest.mark.parametrize(
    ("text", "slope"),
    [("relu(x[i])", [0, 0, 1, 1]), ("abs(x[i])", [-1, -1, 1, 1]), ("sign(x[i])", [0] * 4)],
)
def test_slide_g_of_x_holds_away_from_the_kink_of_the_others(text: str, slope: list[int]) -> None:
    assert np.array_equal(ed.parse(text).diff("x")(x=REAL), np.diag(slope))


# ---------------------------------------------------------------- f = W'a: dg/dW = a (dg/df)'

# g(f), its gradient by hand, NumPy
LOSSES = {
    "square": ("f[k]*f[k]", "2*f[k]", lambda f: f @ f),
    "linear": ("c[k]*f[k]", "c[k]", lambda f: LAYER["c"] @ f),
    "exp": ("exp(c[k]*f[k])", "c[k]*exp(c[l]*f[l])", lambda f: np.exp(LAYER["c"] @ f)),
    "logsumexp": ("logsumexp[k](f[k])", "softmax[k](f[k])", special.logsumexp),
    "sines": ("c[k]*sin(f[k])", "D[k] = c[k]*cos(f[k])", lambda f: LAYER["c"] @ np.sin(f)),
    "log": ("log(1 + f[k]*f[k])", "2*f[k]/(1 + f[l]*f[l])", lambda f: np.log(1 + f @ f)),
}
LAYER = {"W": RNG.normal(size=(4, 3)) / 2, "a": RNG.normal(size=4), "c": RNG.normal(size=3)}
F = ed.parse("f[k] = W[l,k]*a[l]", shapes={"W": ("m", "n"), "a": ("m",)})


def at_layer(e: ed.Expression, **more: Any) -> np.ndarray:
    return np.asarray(e({name: LAYER[name] for name in e.variables if name in LAYER} | more))


def test_proof_slide_2_df_k_by_dW_ij_is_a_i_delta_kj() -> None:
    """The print's condition is "l = i and k = j"; l is summed, so only k = j is left."""
    left = F.diff("W[i,j]", layout="denominator")
    assert left == ed.parse("D[i,j,k] = a[i]*delta[k:n,j]")
    assert left.shape == ("m", "n", "n")  # m x n x n, as the first slide says
    assert np.array_equal(at_layer(left), np.einsum("i,kj->ijk", LAYER["a"], np.eye(3)))


def test_proof_slide_2_row_ij_has_a_i_at_place_j_and_zeros_elsewhere() -> None:
    rows = at_layer(F.diff("W", layout="denominator"))
    for i in range(4):
        for j in range(3):
            expected = np.zeros(3)
            expected[j] = LAYER["a"][i]
            assert np.array_equal(rows[i, j], expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_proof_slide_3_dg_by_dW_ij_is_df_by_dW_ij_times_dg_by_df(loss: str) -> None:
    text, by_hand, _ = LOSSES[loss]
    g, delta = (ed.parse(t, shapes={"f": ("n",)}).substitute(f=F) for t in (text, by_hand))
    left = g.grad("W")
    product = at_layer(F.diff("W", layout="denominator")) @ at_layer(delta)
    np.testing.assert_allclose(at_layer(left), product, **TIGHT)


@pytest.mark.parametrize("loss", LOSSES)
def test_proof_last_slide_dg_by_dW_is_a_times_delta_transposed(loss: str) -> None:
    text, by_hand, function = LOSSES[loss]
    delta = ed.parse(by_hand, shapes={"f": ("n",)}).substitute(f=F)
    assert ed.equal(ed.parse(text).grad("f"), ed.parse(by_hand))
    left = ed.parse(text, shapes={"f": ("n",)}).substitute(f=F).diff("W", layout="denominator")
    right = ed.parse("a[i]*d[j]", shapes={"a": ("m",), "d": ("n",)}).substitute(d=delta)
    assert ed.equal(left, right)
    oracle = complex_step(lambda W: function(W.T @ LAYER["a"]), LAYER["W"])
    np.testing.assert_allclose(at_layer(left), oracle, **TIGHT)
    np.testing.assert_allclose(at_layer(right), oracle, **TIGHT)
