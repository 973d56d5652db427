"""University of Washington, "Vector & Matrix Derivatives": equations (1)-(14) and the examples between.

The notes use the numerator layout, rows for gradients; an array of a row has one axis here.
Oracles: right sides as text, NumPy closed forms on small integers (exact), complex steps.
Extents differ: m = 3, n = 4, p = 5, q = 2. Slips of the print are named in the docstring of the test.
"""

from itertools import permutations
from typing import Any

import numpy as np
import pytest

import einderiv as ed

RNG = np.random.default_rng(1861)
TIGHT = {"rtol": 1e-11, "atol": 1e-12}  # complex steps have no truncation error: rounding only
QUADRATIC = "x[i]*Q[i,j]*x[j] + b[i]*x[i]"


def whole(*shape: int) -> np.ndarray:
    """Small whole numbers: results are exact."""
    return RNG.integers(-5, 6, shape).astype(float)


def complex_step(f: Any, x: np.ndarray) -> np.ndarray:
    """Im f(x + ih e)/h for every entry e of x; f's axes first, as in numerator layout."""
    columns = []
    for k in range(x.size):
        moved = x.astype(complex).reshape(-1)
        moved[k] += 1e-30j
        columns.append(np.asarray(f(moved.reshape(x.shape))).imag / 1e-30)
    return np.stack(columns, axis=-1).reshape(columns[0].shape + x.shape)


Q, B, X, DX = whole(4, 4), whole(4), whole(4), whole(4)
POINT = {"Q": Q, "b": B, "x": X}

# ---------------------------------------------------------------- vector derivatives, (1)-(11)


def test_eq_1_the_perturbation_of_a_scalar_is_the_row_times_dx() -> None:
    f = ed.parse("sin(b[i]*x[i])")
    moved = f.jvp({"x": "d"})
    assert ed.equal(moved, ed.parse("cos(b[j]*x[j])*b[i]*d[i]"))
    assert moved(b=B, x=X, d=DX) == pytest.approx(f.diff("x")(b=B, x=X) @ DX, rel=1e-14)


def test_after_eq_1_a_linear_function_has_the_row_b() -> None:
    assert ed.parse("b[i]*x[i]").diff("x") == ed.parse("b[i]")


def test_eq_2_to_4_the_perturbation_of_the_quadratic_by_the_product_rule() -> None:
    moved = ed.parse(QUADRATIC).jvp({"x": "d"})
    lines = (
        "d[i]*Q[i,j]*x[j] + x[i]*Q[i,j]*d[j] + b[i]*d[i]",
        "x[j]*Q[i,j]*d[i] + x[i]*Q[i,j]*d[j] + b[i]*d[i]",
        "r[j] = x[i]*(Q[i,j] + Q[j,i]) + b[j]; r[j]*d[j]",
    )
    assert all(ed.equal(moved, ed.parse(line)) for line in lines)
    assert moved(POINT, d=DX) == DX @ Q @ X + X @ Q @ DX + B @ DX


def test_eq_5_gradient_of_the_quadratic() -> None:
    gradient = ed.parse(QUADRATIC).diff("x")
    assert ed.equal(gradient, ed.parse("D[j] = x[i]*(Q[i,j] + Q[j,i]) + b[j]"))
    assert np.array_equal(gradient(POINT), X @ (Q + Q.T) + B)
    np.testing.assert_allclose(
        gradient(POINT), complex_step(lambda x: x @ Q @ x + B @ x, X), **TIGHT
    )


def test_eq_6_and_7_a_jacobian_is_m_by_n_and_maps_dx_to_df() -> None:
    """The print says f: R^n -> R^n above (6); its matrix is that of f: R^n -> R^m."""
    A = whole(3, 4) / 5
    f = ed.parse("f[i] = sin(A[i,j]*x[j])")
    jacobian = f.diff("x")(A=A, x=X)
    assert jacobian.shape == (3, 4)
    np.testing.assert_allclose(jacobian, complex_step(lambda x: np.sin(A @ x), X), **TIGHT)
    np.testing.assert_allclose(f.jvp({"x": "d"})(A=A, x=X, d=DX), jacobian @ DX, rtol=1e-13)


@pytest.mark.parametrize(
    "text", ["exp(b[i]*x[i])*(x[j]*x[j])", "logsumexp[i](b[i]*x[i])", "x[i]*x[i]*x[i]", QUADRATIC]
)
def test_eq_8_and_9_the_hessian_is_symmetric_and_the_derivative_of_the_gradient(text: str) -> None:
    f = ed.parse(text)
    hessian = f.hessian("x")
    given = {name: {"Q": Q, "b": B / 5, "x": X / 5}[name] for name in f.variables}
    value = hessian(given)
    np.testing.assert_allclose(value, value.T, rtol=1e-13)
    assert ed.equal(hessian, f.grad("x").diff("x"))
    oracle = complex_step(lambda x: f.grad("x")(given | {"x": x}), given["x"])
    np.testing.assert_allclose(value, oracle, **TIGHT)


def test_eq_10_the_perturbation_of_the_gradient_is_dx_times_the_hessian() -> None:
    f = ed.parse("exp(b[i]*x[i])*(x[j]*x[j])")
    given = {"b": B / 5, "x": X / 5}
    moved = f.grad("x").jvp({"x": "d"})
    assert ed.equal(moved, f.hvp("x", "d"))
    np.testing.assert_allclose(moved(given, d=DX), DX @ f.hessian("x")(given), rtol=1e-13)


def test_eq_11_hessian_of_the_quadratic_is_Q_plus_Q_transposed() -> None:
    hessian = ed.parse(QUADRATIC).hessian("x")
    assert hessian == ed.parse("Q[i,j] + Q[j,i]")
    assert np.array_equal(hessian(Q=Q), Q + Q.T)


@pytest.mark.parametrize("how", ["declared", "assume="])
def test_after_eq_11_a_symmetric_Q_gives_2Q(how: str) -> None:
    head, assume = (
        ("Q : (n, n) symmetric\n", None) if how == "declared" else ("", {"Q": "symmetric"})
    )
    hessian = ed.parse(head + QUADRATIC, assume=assume).hessian("x")
    assert hessian == ed.parse(head + "2*Q[i,j]", assume=assume)
    assert np.array_equal(hessian(Q=Q + Q.T), 2 * (Q + Q.T))


def test_after_eq_11_only_the_symmetric_part_of_Q_counts() -> None:
    """The transcript closes with "-0"; meant is = 0."""
    form = ed.parse("x[i]*Q[i,j]*x[j]")
    assert ed.equal(form, ed.parse("x[i]*(Q[i,j] + Q[j,i])*x[j]/2"))
    assert ed.equal(ed.parse("x[i]*(Q[i,j] - Q[j,i])*x[j]/2"), ed.parse("0"))
    skew = ed.parse("K[i,j] = Q[i,j] - Q[j,i]; x[i]*K[i,j]*x[j]")
    assert skew(Q=Q, x=X) == 0
    assert ed.equal(skew.grad("x"), ed.parse("zeros[i:n]"))
    assert ed.equal(skew.hessian("x"), ed.parse("zeros[i:n,j:n]"))


def test_after_eq_11_the_skew_part_cancels_when_multiplied_out() -> None:
    assert ed.parse("x[i]*(Q[i,j] - Q[j,i])*x[j]").expand() == ed.parse("0")


def test_after_eq_11_opposite_terms_of_the_skew_hessian_cancel() -> None:
    skew = ed.parse("K[i,j] = Q[i,j] - Q[j,i]; x[i]*K[i,j]*x[j]")
    assert skew.hessian("x") == ed.parse("zeros[i:n, j:n]")


def test_taylor_to_second_order_has_a_half() -> None:
    """The print lacks the 1/2 of the quadratic term; without it a quadratic is not its own polynomial."""
    f = ed.parse(QUADRATIC)
    taylor = f.taylor("x", at="x0", order=2)
    d = {"d": ed.parse("x[i] - x0[i]")}
    zeroth, first = "x0[i]*Q[i,j]*x0[j] + b[i]*x0[i]", "(Q[i,j] + Q[j,i])*x0[j]*d[i] + b[i]*d[i]"
    true = ed.parse(f"{zeroth} + {first} + 1/2*d[i]*(Q[i,j] + Q[j,i])*d[j]").substitute(d)
    printed = ed.parse(f"{zeroth} + {first} + d[i]*(Q[i,j] + Q[j,i])*d[j]").substitute(d)
    assert ed.equal(taylor, true)
    assert ed.equal(taylor, f)
    assert taylor(POINT, x0=DX) == X @ Q @ X + B @ X
    assert printed(POINT, x0=DX) != X @ Q @ X + B @ X


def test_taylor_of_a_function_that_is_no_polynomial_errs_in_the_third_order() -> None:
    f = ed.parse("exp(b[i]*x[i])")
    b, x0, d = B / 5, X / 5, DX / 5
    taylor = f.taylor("x", at="x0", order=2)
    errors = [
        abs(taylor(b=b, x=x0 + h * d, x0=x0) - np.exp(b @ (x0 + h * d))) for h in (1e-2, 5e-3)
    ]
    assert errors[0] / errors[1] == pytest.approx(
        8, rel=0.02
    )  # h^3: halved h, an eighth of the error


# ---------------------------------------------------------------- the chain rule


def test_chain_rule_multiplies_the_jacobians_from_the_left() -> None:
    """The print writes q(y) for g(y), and takes dh/dz at g(h(x)) where it is at g(f(x))."""
    f = ed.parse("f[i] = sin(A[i,j]*x[j])", shapes={"A": ("p", "n"), "x": ("n",)})
    g = ed.parse("g[i] = tanh(E[i,j]*y[j])", shapes={"E": ("q", "p"), "y": ("p",)})
    h = ed.parse("h[i] = exp(C[i,j]*z[j])", shapes={"C": ("m", "q"), "z": ("q",)})
    inner = g.substitute(y=f)
    u = h.substitute(z=inner)
    A, E, C = whole(5, 4) / 9, whole(2, 5) / 9, whole(3, 2) / 9
    given = {"A": A, "E": E, "C": C, "x": X / 5}
    factors = (h.diff("z").substitute(z=inner), g.diff("y").substitute(y=f), f.diff("x"))
    names = [("m", "q"), ("q", "p"), ("p", "n")]
    assert [factor.shape for factor in factors] == names
    product = ed.parse("H[i,k]*G[k,l]*F[l,j]", shapes=dict(zip("HGF", names, strict=True)))
    product = product.substitute(dict(zip("HGF", factors, strict=True)))
    assert ed.equal(u.diff("x"), product)
    oracle = complex_step(lambda x: np.exp(C @ np.tanh(E @ np.sin(A @ x))), X / 5)
    np.testing.assert_allclose(u.diff("x")(given), oracle, **TIGHT)
    np.testing.assert_allclose(product(given), oracle, **TIGHT)


GAUSS = "y[i] = H[i,j]*x[j]; exp(-1/2*y[i]*Q[i,j]*y[j])"


def test_gaussian_slice_has_minus_exp_times_x_H_Q_H() -> None:
    """The print gains a second 1/2 from its first to its second line and keeps it: for symmetric Q it ends
    with -1/2 e^z x'H'QH, the truth is -e^z x'H'QH."""
    head = "Q : (p, p) symmetric\n"
    left = ed.parse(head + GAUSS).diff("x[k]")
    right = "y[i] = H[i,j]*x[j]; {}*exp(-1/2*y[i]*Q[i,j]*y[j])*y[p]*Q[p,q]*H[q,k]"
    assert ed.equal(left, ed.parse(head + right.format("-1")))
    assert not ed.equal(left, ed.parse(head + right.format("-1/2")))
    H, S, x = whole(5, 4) / 9, whole(5, 5) / 9, X / 5
    S = S + S.T
    expected = -np.exp(-x @ H.T @ S @ H @ x / 2) * (x @ H.T @ S @ H)
    np.testing.assert_allclose(left(H=H, Q=S, x=x), expected, rtol=1e-13)


def test_gaussian_slice_of_any_Q_has_the_symmetric_part_once() -> None:
    left = ed.parse(GAUSS).diff("x[k]")
    right = ed.parse(
        "y[i] = H[i,j]*x[j]; -1/2*exp(-1/2*y[i]*Q[i,j]*y[j])*y[p]*(Q[p,q] + Q[q,p])*H[q,k]"
    )
    assert ed.equal(left, right)
    H, R, x = whole(5, 4) / 9, whole(5, 5) / 9, X / 5
    oracle = complex_step(lambda x: np.exp(-x @ H.T @ R @ H @ x / 2), x)
    np.testing.assert_allclose(left(H=H, Q=R, x=x), oracle, **TIGHT)


# ---------------------------------------------------------------- matrix derivatives, (12)-(14)


def test_eq_12_a_matrix_by_a_scalar_keeps_the_matrix_shape() -> None:
    A, C = whole(3, 4) / 5, whole(3, 4)
    F = ed.parse("F[i,j] = C[i,j]*sin(A[i,j]*t)")
    for layout in ("numerator", "denominator"):
        derivative = F.diff("t", layout=layout)
        assert ed.equal(derivative, ed.parse("D[i,j] = C[i,j]*A[i,j]*cos(t*A[i,j])"))
        np.testing.assert_allclose(derivative(A=A, C=C, t=0.7), C * A * np.cos(A * 0.7), rtol=1e-13)


def test_eq_13_a_scalar_by_a_matrix_keeps_the_matrix_shape() -> None:
    """The print's first row ends with dF/dX_ij; it is dF/dX_1n."""
    C, Y = whole(3, 4), whole(3, 4) / 5
    gradient = ed.parse("C[i,j]*sin(X[i,j])").grad("X")
    assert ed.equal(gradient, ed.parse("D[i,j] = C[i,j]*cos(X[i,j])"))
    np.testing.assert_allclose(gradient(C=C, X=Y), C * np.cos(Y), rtol=1e-13)


def test_before_eq_14_the_inner_product_is_the_trace_of_Y_transposed_X() -> None:
    assert ed.parse("Y[i,j]*X[i,j]") == ed.parse("tr[j,k](Y[i,j]*X[i,k])")
    Y, Z = whole(3, 4), whole(3, 4)
    assert ed.parse("Y[i,j]*X[i,j]")(Y=Y, X=Z) == np.trace(Y.T @ Z)


@pytest.mark.parametrize(
    "text", ["C[i,j]*X[i,j]*X[i,j]*X[i,j]", "exp(a[i]*X[i,j]*b[j])", "a[i]*sin(X[i,j])*b[j]"]
)
def test_eq_14_the_perturbation_is_the_inner_product_with_the_gradient(text: str) -> None:
    f = ed.parse(text)
    gradient = f.grad("X")
    moved = ed.parse("G[i,j]*D[i,j]", shapes={"G": gradient.shape}).substitute(G=gradient)
    assert ed.equal(f.jvp({"X": "D"}), moved)
    data = {"X": whole(3, 4) / 5, "C": whole(3, 4), "a": whole(3) / 5, "b": whole(4) / 5}
    given = {name: data[name] for name in f.variables}
    D = whole(3, 4)
    value = f.jvp({"X": "D"})(given, D=D)
    assert value == pytest.approx(np.trace(gradient(given).T @ D), rel=1e-13)


@pytest.mark.parametrize("text", ["C[i,j]*X[i,j]", "tr[j,k](C[i,j]*X[i,k])"])
def test_trace_of_C_transposed_X_has_the_derivative_C(text: str) -> None:
    assert ed.parse(text).grad("X") == ed.parse("C[i,j]")


def test_cyclic_trace_all_four_rotations_are_one_expression() -> None:
    """The print asks that ABC be square; it is ABCD that has to be."""
    factors = ["A", "B", "C", "D"]
    words = ["".join(factors[k:] + factors[:k]) for k in range(4)]
    assert words[1:] == ["BCDA", "CDAB", "DABC"]
    rotations = [
        ed.parse("tr[i,m]({}[i,j]*{}[j,k]*{}[k,l]*{}[l,m])".format(*word)) for word in words
    ]
    assert all(rotation == rotations[0] for rotation in rotations)
    assert rotations[0] == ed.parse("A[i,j]*B[j,k]*C[k,l]*D[l,i]")
    A, B, C, D = whole(3, 4), whole(4, 5), whole(5, 2), whole(2, 3)
    assert rotations[3](A=A, B=B, C=C, D=D) == np.trace(A @ B @ C @ D)


def test_cyclic_trace_other_orders_are_other_expressions() -> None:
    words = {"A" + "".join(rest) for rest in permutations("BCD")}
    traces = {ed.parse("{}[i,j]*{}[j,k]*{}[k,l]*{}[l,i]".format(*word)) for word in words}
    assert len(traces) == 6


@pytest.mark.parametrize("text", ["a[i]*X[i,j]*b[j]", "tr[k,j](b[k]*a[i]*X[i,j])"])
def test_a_X_b_has_the_derivative_a_b_transposed(text: str) -> None:
    gradient = ed.parse(text).grad("X")
    assert gradient == ed.parse("a[i]*b[j]")
    a, b = whole(3), whole(4)
    assert np.array_equal(gradient(a=a, b=b), np.outer(a, b))


@pytest.mark.parametrize("text", ["tr[i,l](A[i,j]*X[j,k]*B[k,l])", "tr[l,k](B[l,i]*A[i,j]*X[j,k])"])
def test_trace_of_AXB_has_the_derivative_A_transposed_B_transposed(text: str) -> None:
    gradient = ed.parse(text).grad("X")
    assert gradient == ed.parse("D[j,k] = A[i,j]*B[k,i]")
    A, B = whole(5, 3), whole(4, 5)
    assert np.array_equal(gradient(A=A, B=B), A.T @ B.T)


# ---------------------------------------------------------------- f(X) = a'X'(A + XB)^-1 Xb
# The print has a in R^m; a'X' needs as many entries as X has columns, a in R^n.

HEAD = "X : (m, n); B : (n, m); a : (n); M[i,j] = inv[i,j](A[i,j] + X[i,k]*B[k,j])[i,j]; "
LAST = HEAD + "a[l]*X[i,l]*M[i,j]*X[j,k]*b[k]"
DATA = {
    "X": whole(3, 4) / 9, "B": whole(4, 3) / 9, "A": 3 * np.eye(3) + whole(3, 3) / 9,
    "a": whole(4), "b": whole(4),
}  # fmt: skip


def resolvent(X: np.ndarray) -> np.ndarray:
    return np.linalg.inv(DATA["A"] + X @ DATA["B"])


def test_last_example_needs_a_in_R_n() -> None:
    with pytest.raises(ed.DimensionError, match="a"):
        ed.parse(LAST.replace("a : (n)", "a : (m)"))
    value = DATA["a"] @ DATA["X"].T @ resolvent(DATA["X"]) @ DATA["X"] @ DATA["b"]
    assert ed.parse(LAST)(DATA) == pytest.approx(value, rel=1e-13)


def test_last_example_first_order_terms_of_the_perturbation() -> None:
    moved = ed.parse(LAST).jvp({"X": "V"})
    terms = ed.parse(
        HEAD + "V : (m, n); a[l]*V[i,l]*M[i,j]*X[j,k]*b[k] + a[l]*X[i,l]*M[i,j]*V[j,k]*b[k]"
        " - a[l]*X[i,l]*M[i,j]*V[j,k]*B[k,p]*M[p,q]*X[q,r]*b[r]"
    )
    assert ed.equal(moved, terms)
    V, M = whole(3, 4), resolvent(DATA["X"])
    a, b, X, B = (DATA[name] for name in "abXB")
    expected = a @ V.T @ M @ X @ b + a @ X.T @ M @ V @ b - a @ X.T @ M @ V @ B @ M @ X @ b
    assert moved(DATA, V=V) == pytest.approx(expected, rel=1e-12)


def test_last_example_has_the_printed_gradient() -> None:
    gradient = ed.parse(LAST).grad("X[r,s]")
    right = ed.parse(
        HEAD + "D[r,s] = a[s]*(M[r,j]*X[j,k]*b[k]) + b[s]*(a[l]*X[i,l]*M[i,r])"
        " - (B[s,p]*M[p,q]*X[q,k]*b[k])*(a[l]*X[i,l]*M[i,r])"
    )
    assert ed.equal(gradient, right)
    a, b, X, B = (DATA[name] for name in "abXB")
    M = resolvent(X)
    printed = (
        np.outer(a, b) @ X.T @ M.T + np.outer(b, a) @ X.T @ M - B @ M @ X @ np.outer(b, a) @ X.T @ M
    )
    np.testing.assert_allclose(gradient(DATA), printed.T, rtol=1e-11)
    oracle = complex_step(lambda X: a @ X.T @ resolvent(X) @ X @ b, X)
    np.testing.assert_allclose(gradient(DATA), oracle, rtol=1e-10)


def test_last_example_has_four_second_order_terms() -> None:
    """The print lists three: with (I + B M dX)^-1 -> I it loses a'X'M dX B M dX B M X b."""
    terms = [
        "-a[l]*V[i,l]*M[i,j]*V[j,k]*B[k,p]*M[p,q]*X[q,r]*b[r]",
        "+ a[l]*V[i,l]*M[i,j]*V[j,k]*b[k]",
        "- a[l]*X[i,l]*M[i,j]*V[j,k]*B[k,p]*M[p,q]*V[q,r]*b[r]",
        "+ a[l]*X[i,l]*M[i,j]*V[j,k]*B[k,p]*M[p,q]*V[q,r]*B[r,s]*M[s,t]*X[t,u]*b[u]",
    ]
    second = ed.parse(LAST).jvp({"X": "V"}).jvp({"X": "V"})
    head = HEAD + "V : (m, n); "
    assert ed.equal(second, ed.parse(f"{head}2*({' '.join(terms)})"))
    assert not ed.equal(second, ed.parse(f"{head}2*({' '.join(terms[:3])})"))
