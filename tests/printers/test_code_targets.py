"""`e.code()` in PyTorch and JAX, and every row of the function table in all three targets.

Oracles: closed forms of tests/cases; mpmath's values (tests/terms/test_functions.py) and NumPy formulas
for rows;
the target's own automatic differentiation. Skipped where a library is not installed.
"""

from __future__ import annotations

import inspect
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import einderiv as ed
from einderiv.terms.functions import ELEMENTWISE
from tests.code_running import (
    called,
    function_of,
    library,
    sizes_of,
    why_not_well_formed,
    wrong_in_a_bare_process,
)
from tests.random_programs import random_program
from tests.terms.test_functions import (
    ORACLES,
    WHOLE_CASES,
    highest_order,
    whole_value,
    written,
)
from tests.test_cases import EXTENTS, INDEX, arrays_of, derivative_of, error, expected

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

Array = Any

# The libraries' own special functions and factorisations lose a few more digits than NumPy's.
TOLERANCE = 1e-9

OTHERS = [pytest.param("torch"), pytest.param("jax", marks=pytest.mark.jax)]
in_the_others = pytest.mark.parametrize("target", OTHERS)
in_every_target = pytest.mark.parametrize("target", [pytest.param("numpy"), *OTHERS])


# ---------------------------------------------------------------- the cases


@in_the_others
def test_every_case_and_its_derivative_run_where_only_the_target_is_installed(target):
    library(target)
    jobs = []
    for case in INDEX:
        arrays, d = arrays_of(case), derivative_of(case)
        e = ed.parse(case["index"], shapes=case["shapes"])
        for what, right in ((e, e(arrays)), (d, expected(case, arrays))):
            text = what.code(target)
            assert not why_not_well_formed(text, target)
            names = inspect.signature(function_of(text)).parameters
            given = [arrays[n] if n in arrays else EXTENTS[n] for n in names]
            jobs.append((case["id"], text, given, right))
    assert wrong_in_a_bare_process(target, jobs) == []


@in_the_others
@pytest.mark.parametrize("seed", range(2000, 2015))
def test_code_of_random_program_and_gradients_agrees_with_the_program(target, seed):
    make = library(target)
    program = random_program(seed)
    e = ed.parse(program.text, shapes=program.shapes, assume=program.assume)
    arrays, sizes = program.arrays, sizes_of(e, program.arrays)
    assert error(called(e.code(target), arrays, sizes, make), program.numpy()) <= 1e-8
    for name in e.variables:
        try:
            d = e.diff(name)
        except ed.DerivativeError:  # polygamma by its order
            continue
        value = called(d.code(target), arrays, sizes, make)
        assert error(value, d(arrays)) <= 1e-8, (name, program.text)


# ---------------------------------------------------------------- the function table


@in_every_target
@pytest.mark.parametrize("name", ORACLES)
def test_elementwise_row_has_the_value_of_fifty_digits_and_the_program_s_derivatives(target, name):
    make = library(target)
    f, points, _ = ORACLES[name]
    names = [f"x{k}" for k in range(len(points[0]))]
    counts = ELEMENTWISE[name].domain.startswith("count")  # its first argument is one number
    accessed = [f"{x}[i]" for x in names]
    if counts:
        accessed[0] = names[0]
    text = f"y[i] = {written(name, accessed)} + 0*z[i]" if names else "y[i] = pi + 0*z[i]"
    e = ed.parse(text)
    groups = sorted({p[0] for p in points}) if counts else [None]
    for first in groups:
        some = [p for p in points if first is None or p[0] == first]
        arrays = {x: np.array([float(p[k]) for p in some]) for k, x in enumerate(names)}
        if counts:
            arrays["x0"] = np.float64(first)
        arrays["z"] = np.ones(len(some))
        value = called(e.code(target), arrays, {}, make)
        with np.errstate(all="ignore"):
            theirs = np.array([float(f(*p)) for p in some])
            assert np.allclose(value, theirs, rtol=1e-9, atol=1e-12), (name, value, theirs)
            for x in names[counts:]:
                if name == "pow" and x == "x1":
                    continue  # by the exponent only for a positive base
                d = ed.parse(text.replace("y[i] =", "").strip().join(["sum[i](", ")"])).diff(x)
                ours = called(d.code(target), arrays, {}, make)
                right = np.asarray(d(arrays))
                assert np.allclose(ours, right, rtol=1e-8, atol=1e-12), (name, x, ours, right)


WHOLE_ROWS = [
    ("prod", "prod[i](x[i])", lambda x, A, T: np.prod(x)),
    ("prod", "y[b] = prod[i,j](T[b,i,j])", lambda x, A, T: np.prod(T, axis=(1, 2))),
    ("prodexcept", "y[i] = prodexcept[i](x[i])", lambda x, A, T: np.prod(x) / x),
    (
        "prodexcept",
        "Y[b,i,j] = prodexcept[i,j](T[b,i,j])",
        lambda x, A, T: np.prod(T, axis=(1, 2), keepdims=True) / T,
    ),
    ("max", "max[i](x[i])", lambda x, A, T: np.max(x)),
    ("max", "y[b] = max[i,j](T[b,i,j])", lambda x, A, T: np.max(T, axis=(1, 2))),
    ("min", "y[b] = min[j](A[b,j])", lambda x, A, T: np.min(A, axis=1)),
    ("logsumexp", "logsumexp[i](x[i])", lambda x, A, T: np.log(np.sum(np.exp(x)))),
    (
        "logsumexp",
        "y[b] = logsumexp[i,j](T[b,i,j])",
        lambda x, A, T: np.log(np.sum(np.exp(T), axis=(1, 2))),
    ),
    ("softmax", "y[i] = softmax[i](x[i])", lambda x, A, T: np.exp(x) / np.sum(np.exp(x))),
    (
        "softmax",
        "Y[b,i,j] = softmax[i,j](T[b,i,j])",
        lambda x, A, T: np.exp(T) / np.sum(np.exp(T), axis=(1, 2), keepdims=True),
    ),
    (
        "logsoftmax",
        "Y[b,i,j] = logsoftmax[i,j](T[b,i,j])",
        lambda x, A, T: T - np.log(np.sum(np.exp(T), axis=(1, 2), keepdims=True)),
    ),
    (
        "logsoftmax",
        "Y[i,j] = logsoftmax[i](A[i,j])",
        lambda x, A, T: A - np.log(np.sum(np.exp(A), axis=0)),
    ),
    ("inv", "Y[i,j] = inv(A)[i,j]", lambda x, A, T: np.linalg.inv(A)),
    ("det", "y = det(A)", lambda x, A, T: np.linalg.det(A)),
    ("logdet", "y = logdet(A)", lambda x, A, T: np.linalg.slogdet(A)[1]),
    ("logdet", "y = logdet[i,j](-A[i,j])", lambda x, A, T: np.linalg.slogdet(A)[1]),
    ("cholesky", "Y[i,j] = cholesky(A)[i,j]", lambda x, A, T: np.linalg.cholesky((A + A.T) / 2)),
    ("tril", "Y[i,j] = tril(A)[i,j]", lambda x, A, T: np.tril(A)),
    ("eps", "y[i] = eps[i,j,k]*x[j]*A[k,k]", lambda x, A, T: np.cross(x, np.diag(A))),
]


@in_every_target
@pytest.mark.parametrize(("name", "text", "formula"), WHOLE_ROWS)
def test_whole_row_has_the_value_of_its_formula_and_the_program_s_derivatives(
    target, name, text, formula
):
    make = library(target)
    rng = np.random.default_rng(5)
    arrays = {
        "x": rng.uniform(0.3, 2, 3),
        "A": np.eye(3) * 2 + rng.uniform(0, 0.4, (3, 3)),
        "T": rng.uniform(0.4, 1.5, (2, 3, 4)),
    }
    e = ed.parse(text)
    value = called(e.code(target), arrays, {}, make)
    assert error(value, formula(**arrays)) <= 1e-12
    arrays = {name: arrays[name] for name in e.variables}
    for by in e.variables:
        for d in (e.diff(by), e.diff(by, by)):
            ours = called(d.code(target), arrays, sizes_of(d, arrays), make)
            assert error(ours, d(arrays)) <= TOLERANCE, d.code(target)


@in_every_target
@pytest.mark.parametrize(
    ("text", "name", "shape", "width"),
    [case for case in WHOLE_CASES if case[1] not in {name for name, _, _ in WHOLE_ROWS}],
)
def test_whole_row_has_the_oracle_s_value_and_the_program_s_derivative(
    target, text, name, shape, width
):
    make = library(target)
    x = np.random.default_rng(5).uniform(0.2, 1, shape)
    e = ed.parse(text)
    with mp.workdps(60):
        right = whole_value(name, np.vectorize(mp.mpf, otypes=[object])(x), width)
    value = called(e.code(target), {"x": x}, {}, make)
    assert error(value, right.astype(float)) <= 1e-12
    if highest_order(name):
        d = e.diff("x")
        ours = called(d.code(target), {"x": x}, sizes_of(d, {"x": x}), make)
        assert error(ours, d(x=x)) <= TOLERANCE, d.code(target)


# ---------------------------------------------------------------- how each library works

SCALARS = {  # functions of all kinds, with their arguments
    "X : (n, d); (X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/n": {"X": (5, 3), "th": (3,), "Y": (5,)},
    "sum[i](softplus(-y[i]*X[i,j]*w[j])) + lam*w[j]*w[j]": {"y": (5,), "X": (5, 3), "w": (3,), "lam": ()},
    "-sum[i,k](T[i,k]*logsoftmax[k](X[i,j]*W[j,k] + b[k]))": {
        "T": (5, 4), "X": (5, 3), "W": (3, 4), "b": (4,),
    },
    "y[i]*inv(K)[i,j]*y[j]/2 + logdet(K)/2 + size[i]*log(2*pi)/2": {"y": (4,), "K": (4, 4)},
    "sum[i,j](where(A[i,j] > 1/2, A[i,j]^3, 1)*delta[i,j]) + max(x[k]*x[k], 1)": {"A": (3, 3), "x": (3,)},
    "x[i]*x[i] + relu(c)*tanh(x[k]*v[k])^2 + abs(c)*sqrt(2)*erf(c)": {"x": (3,), "v": (3,), "c": ()},
}  # fmt: skip
every_scalar = pytest.mark.parametrize("text", SCALARS)


def drawn(text: str, dtype: Any = np.float64) -> dict[str, Array]:
    rng = np.random.default_rng(11)
    arrays = {}
    for name, shape in SCALARS[text].items():
        x = rng.uniform(0.3, 1.4, shape)
        arrays[name] = (x @ x.T + np.eye(len(x)) if name == "K" else x).astype(dtype)
    return arrays


@in_the_others
@every_scalar
def test_single_precision_stays_single_precision(target, text):
    make, e = library(target), ed.parse(text)
    arrays = drawn(text, np.float32)
    name = next(iter(SCALARS[text]))
    for d in (e, e.diff(name), e.diff(name, name), e.diff(name).diff(name, name)):
        value = called(d.code(target), arrays, sizes_of(e, arrays), make)
        assert str(value.dtype).endswith("float32"), d.code(target)


@every_scalar
def test_torch_differentiates_the_code_to_the_code_of_the_gradient(text):
    torch, make = pytest.importorskip("torch"), library("torch")
    e, arrays = ed.parse(text), drawn(text)
    names = list(inspect.signature(function_of(e.code("torch"))).parameters)
    tensors = {name: make(x).requires_grad_(True) for name, x in arrays.items()}
    function_of(e.code("torch"))(*(tensors[n] for n in names)).backward()
    value, gradients = called(e.code("torch", with_grad=True), arrays, {}, make)
    assert error(value, e(arrays)) <= TOLERANCE
    for name, gradient in gradients.items():
        theirs = tensors[name].grad
        theirs = torch.zeros_like(tensors[name]) if theirs is None else theirs
        assert error(gradient, theirs) <= TOLERANCE, name


@every_scalar
def test_torch_differentiates_the_gradient_to_the_hessian(text):
    torch, make = pytest.importorskip("torch"), library("torch")
    e, arrays = ed.parse(text), drawn(text)
    name = next(iter(SCALARS[text]))
    gradient = function_of(e.grad(name).code("torch"))
    names = list(inspect.signature(gradient).parameters)
    given = [make(arrays[n]) for n in names]
    if name not in names:
        pytest.skip("the gradient does not depend on it")
    place = names.index(name)
    theirs = torch.autograd.functional.jacobian(
        lambda x: gradient(*given[:place], x, *given[place + 1 :]), given[place]
    )
    assert error(theirs, e.diff(name, name)(arrays)) <= TOLERANCE


@pytest.mark.jax
@every_scalar
def test_jax_compiles_the_code_and_differentiates_it_to_the_code_of_the_gradient(text):
    make = library("jax")
    jax = pytest.importorskip("jax")
    e, arrays = ed.parse(text), drawn(text)
    f = function_of(e.code("jax"))
    names = list(inspect.signature(f).parameters)
    given = [make(arrays[n]) for n in names]
    both = jax.jit(function_of(e.code("jax", with_grad=names)))
    value, gradients = both(*given)
    theirs, slopes = jax.jit(jax.value_and_grad(f, argnums=tuple(range(len(names)))))(*given)
    assert error(value, theirs) <= TOLERANCE
    assert error(value, e(arrays)) <= TOLERANCE
    for name, slope in zip(names, slopes, strict=True):
        assert error(gradients[name], slope) <= TOLERANCE, name


@in_the_others
def test_constants_have_the_type_of_an_argument_or_double_precision(target):
    make = library(target)
    hessian = ed.parse("x[i]*x[i]").hessian("x").code(target)
    for dtype in (np.float32, np.float64):
        value = function_of(hessian)(make(np.zeros(3, dtype)))
        assert str(value.dtype).endswith(np.dtype(dtype).name)
    number = ed.parse("2*pi/3").code(target)
    assert error(function_of(number)(), 2 * np.pi / 3) <= 1e-15


EDGES = [
    "x*10^30/3 + x/10^40",
    "where(2 > 1, x, 3) + where(x > 1, 2, 3) + where(x > 1, 1, 0) + where(2 < 1, 1, 0)",
    "Y[i,j] = where(3/2 <= pi, x, A[i,j]) + where(3/2 > pi, v[j], A[i,j])*where(1 < 2, 1, 0)",
    "max(x, 0) + min(2, x) + max(3, 2) + atan2(x, 1) + atan2(1, x)",
    "polygamma(2, 3)*x + sigmoid(2) + digamma(3) + softplus(1) + relu(2) + step(3) + sign(2) + abs(2)",
    "x^(2/3) + 2^x + x^x + x^(-5/2) + x^0.1 + pi^2*exp(1)*erf(1/2)*sqrt(2)",
    "2*size[i]*ones[i]*v[i] + log(size[j])*ones[j]*v[j]",
    "logsumexp[i](2*ones[i] + 0*v[i]) + prod[i](3*ones[i] + 0*v[i]) + det[i,j](2*delta[i,j] + 0*A[i,j])",
    "Y[i,j] = c*delta[i:3,j] + tril(A)[i,j] + tril[k,l](ones[k,l])[i,j]",
    "Y[i,j,k] = delta[i,j]*delta[j,k]*v[k] + ones[i,j,k]/2 + v[i]",
    "Y[i,j] = (v[i] + v[j])/(v[i]*v[j]) - v[i]/v[j]",
    "Y[b,i,k] = T[b,i,j]*T[b,j,k] + T[b,k,j]*T[b,j,i] + T[b,i,i]*ones[k]",
    "sum[i,j](A[i,j]) + sum[i](A[i,i]*v[i]) + sum[i](1/v[i]) + sum[i,j](v[i]/A[i,j]) + 1/A[i,i]",
    "A[i,j]*A[j,k]*A[k,i] + A[i,j]*A[j,i] + A[i,j]*A[i,j] + v[i]*v[i]*v[i] + A[i,j]*v[i]*v[i]*v[j]",
    "y[i] = inv(A)[j,i]*v[j] + inv(A)[i,j]*inv(A)[j,k]*v[k]",
    "Y[i,j] = inv[k,l](T[b,k,l])[i,j]*w[b]",
    "0*x",
    "y[i] = 0*v[i] + 2",
    "3",
]  # fmt: skip


@in_every_target
@pytest.mark.parametrize("text", EDGES)
def test_edge_of_the_language_has_the_program_s_value(target, text):
    make, e = library(target), ed.parse(text)
    rng = np.random.default_rng(2)
    shapes = {"x": (), "c": (), "v": (3,), "w": (2,), "A": (3, 3), "T": (2, 3, 3)}
    arrays = {n: rng.uniform(0.5, 1.5, shapes[n]) + 2 * (n == "x") for n in e.variables}
    arrays = {n: x + 2 * np.eye(3) if n in "AT" else x for n, x in arrays.items()}
    value = called(e.code(target), arrays, sizes_of(e, arrays), make)
    assert error(value, e(arrays)) <= 1e-12, e.code(target)
    assert target == "numpy" or str(value.dtype).endswith("float64")


@in_the_others
def test_network_of_1000_layers_runs(target):
    make = library(target)
    lines = [f"h{k + 1}[i] = tanh(W{k % 7}[i,j]*h{k}[j])" for k in range(1000)]
    e = ed.parse("\n".join(["h0[i] = x[i]", *lines, "h1000[i]*h1000[i]"]))
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(3,) * len(shape)) for name, shape in e.variables.items()}
    value, gradient = called(e.code(target, with_grad="x"), arrays, {}, make)
    assert error(value, e(arrays)) <= TOLERANCE
    assert error(gradient, e.grad("x")(arrays)) <= TOLERANCE
