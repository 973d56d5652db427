"""The ten problems: in index notation, by hand in NumPy, as einsums, and as a function to differentiate.

In: a size. Out: arrays from a seed, our expression, and the same derivative by every other way.
Invariant: all ways of one problem give the same numbers; `tests/test_benchmarks.py` holds them to it.
The hand-written forms are in `experts.py`; the sizes and bars are those of the performance report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import experts
import numpy as np

Arrays = dict[str, Any]
Contract = Callable[..., Any]

LAYERS = 10
SEED = 20240607


@dataclass(frozen=True)
class Target:
    """The bar: at most `expert` times the hand-written time, at least `jax` times faster than JAX."""

    expert: float | None = None
    jax: float | None = None
    plain: bool = False  # against the plain hand-written form, not the best one
    least: int = 0  # the smallest size the bar is for


@dataclass(frozen=True)
class Problem:
    """One derivative: `kind` of the function `model` by `wrt`, at several sizes."""

    name: str
    kind: str  # grad | value and grad | hessian | jacobian
    wrt: tuple[str, ...]
    sizes: tuple[int, ...]
    arrays: Callable[[int, np.random.Generator], Arrays]
    text: Callable[[int], str]
    experts: tuple[Callable[[Arrays], Any], ...]  # the plain form first
    model: Callable[[Any, Arrays], Any]
    naive: Callable[[Arrays], Any] | None = None
    einsums: Callable[[Contract, Arrays], Any] | None = None
    structured: bool = False  # ours gives factors; experts compute the core, `dense` all of it
    dense: Callable[[Arrays], Any] | None = None
    target: Target = Target()
    limits: Mapping[str, int] = field(
        default_factory=dict
    )  # the largest size a system is asked for

    @property
    def group(self) -> str:
        """`P3` of `P3 hessian`."""
        return self.name.split()[0]

    def data(self, size: int) -> Arrays:
        """The arrays, the same in every process."""
        return self.arrays(size, np.random.default_rng(SEED + size))

    def truth(self, arrays: Arrays) -> Any:
        """The dense result by the hand-written form."""
        return (self.dense or self.experts[0])(arrays)

    def bounded(self, system: str, size: int) -> bool:
        """Whether `system` is asked for this size."""
        return size <= self.limits.get(system, size)


def _least_squares(n: int, rng: np.random.Generator) -> Arrays:
    rows = 10_000_000 // n if n >= 100 else 10 * n  # X holds 1e7 numbers at the report's sizes
    return {
        "X": rng.normal(size=(rows, n)),
        "th": rng.normal(size=n),
        "Y": rng.normal(size=rows),
    }


def _logistic(n: int, rng: np.random.Generator) -> Arrays:
    signs = np.where(rng.random(2 * n) < 0.5, -1.0, 1.0)
    return {"X": rng.normal(size=(2 * n, n)) / np.sqrt(n), "w": rng.normal(size=n), "y": signs}


def _factorization(n: int, rng: np.random.Generator) -> Arrays:
    return {
        "T": rng.normal(size=(n, n)),
        "U": rng.normal(size=(n, 5)),
        "V": rng.normal(size=(n, 5)),
    }


def _network(samples: int | None) -> Callable[[int, np.random.Generator], Arrays]:
    def arrays(n: int, rng: np.random.Generator) -> Arrays:
        shape = (n,) if samples is None else (samples, n)
        weights = {f"W{k}": rng.normal(size=(n, n)) / np.sqrt(n) for k in range(LAYERS)}
        return {**weights, "x": rng.normal(size=shape), "y": rng.normal(size=shape)}

    return arrays


def _network_text(batch: bool) -> str:
    s = "s," if batch else ""
    lines = [f"W{k}:(n,n)" for k in range(LAYERS)] + ["x:(m,n)" if batch else "x:(n)"]
    before = "x"
    for k in range(LAYERS):
        lines.append(f"h{k}[{s}i] = tanh(W{k}[i,j]*{before}[{s}j])")
        before = f"h{k}"
    return "\n".join([*lines, f"f = ({before}[{s}i]-y[{s}i])*({before}[{s}i]-y[{s}i])"])


def _network_model(xp: Any, a: Arrays) -> Any:
    h = a["x"]
    for k in range(LAYERS):
        h = xp.tanh(h @ a[f"W{k}"].T)
    return xp.sum((h - a["y"]) ** 2)


def _square(*vectors: str, matrices: str = "AB", shift: bool = False) -> Callable[..., Arrays]:
    def arrays(n: int, rng: np.random.Generator) -> Arrays:
        made = {name: rng.normal(size=(n, n)) for name in matrices}
        if shift:
            made["A"] += n * np.eye(n)
        return {**made, **{name: rng.normal(size=n) for name in vectors}}

    return arrays


def _decomposition(n: int, rng: np.random.Generator) -> Arrays:
    rank = 20 if n >= 200 else 10
    factors = {name: rng.normal(size=(n, rank)) for name in "ABC"}
    return {"T": rng.normal(size=(n, n, n)), **factors}


def _attention(n: int, rng: np.random.Generator) -> Arrays:
    batch, heads, width = (8, 8, 64) if n >= 128 else (2, 3, 4)
    return {name: rng.normal(size=(batch, heads, n, width)) for name in "QKVG"}


def _layer(n: int, rng: np.random.Generator) -> Arrays:
    return {"W": rng.normal(size=(n, n)) / np.sqrt(n), "x": rng.normal(size=n)}


def _attention_model(xp: Any, a: Arrays) -> Any:
    scores = xp.einsum("bhik,bhjk->bhij", a["Q"], a["K"]) / 8
    return xp.sum(xp.einsum("bhij,bhjk->bhik", xp.softmax(scores), a["V"]) * a["G"])


def _quadratic_model(xp: Any, a: Arrays) -> Any:
    u = a["B"] @ a["x"]
    return u @ (a["A"] @ u)


def _six_terms_model(xp: Any, a: Arrays) -> Any:
    x, c = a["x"], a["a"] @ a["x"]
    return x @ (a["A"] @ x) + a["b"] @ x + c**2 + x @ x + c * (a["b"] @ x) + x @ (a["B"] @ a["a"])


def _residual(a: Arrays) -> Any:
    return a["T"] - a["U"] @ a["V"].T


def _cp(xp: Any, a: Arrays) -> Any:
    return a["T"] - xp.einsum("ir,jr,kr->ijk", a["A"], a["B"], a["C"])


def _fixed(text: str) -> Callable[[int], str]:
    return lambda size: text


LEAST_SQUARES = _fixed("X:(m,d)\nf = (X[a,b]*th[b]-Y[a])*(X[a,c]*th[c]-Y[a])/m")
LOGISTIC = _fixed("f = sum[i](softplus(-y[i]*(X[i,j]*w[j])))")
FACTORIZATION = _fixed("f = (T[i,j]-U[i,k]*V[j,k])*(T[i,j]-U[i,l]*V[j,l])")
QUADRATIC = _fixed("f = x[i]*B[j,i]*A[j,k]*B[k,l]*x[l]")
DECOMPOSITION = _fixed("f = (T[i,j,k]-A[i,r]*B[j,r]*C[k,r])*(T[i,j,k]-A[i,s]*B[j,s]*C[k,s])")
ATTENTION = _fixed(
    "S[b,h,i,j] = Q[b,h,i,k]*K[b,h,j,k]/8\n"
    "O[b,h,i,k] = softmax[j](S[b,h,i,j])*V[b,h,j,k]\nf = O[b,h,i,k]*G[b,h,i,k]"
)
SIX_TERMS = _fixed(
    "f = x[i]*A[i,j]*x[j] + b[i]*x[i] + (a[j]*x[j])^2"
    " + x[k]*x[k] + (a[i]*x[i])*(b[j]*x[j]) + x[i]*B[i,j]*a[j]"
)
ALL_WEIGHTS = tuple(f"W{k}" for k in range(LAYERS))
AUTODIFF = ("jax", "torch", "autograd")


def _limit(jax: int, torch: int, autograd: int) -> dict[str, int]:
    return dict(zip(AUTODIFF, (jax, torch, autograd), strict=True))


def _model_least_squares(xp: Any, a: Arrays) -> Any:
    return xp.sum((a["X"] @ a["th"] - a["Y"]) ** 2) / len(a["Y"])


def _model_logistic(xp: Any, a: Arrays) -> Any:
    return xp.sum(xp.softplus(-a["y"] * (a["X"] @ a["w"])))


def _model_inverse(xp: Any, a: Arrays) -> Any:
    return xp.sum(xp.inv(a["A"]) * a["B"].T)


def _model_logdet(xp: Any, a: Arrays) -> Any:
    return xp.logdet(a["A"]) + a["a"] @ xp.solve(a["A"], a["b"])


def _model_layer(xp: Any, a: Arrays) -> Any:
    return xp.tanh(a["W"] @ a["x"])


def _model_factorization(xp: Any, a: Arrays) -> Any:
    return xp.sum(_residual(a) ** 2)


def _model_decomposition(xp: Any, a: Arrays) -> Any:
    return xp.sum(_cp(xp, a) ** 2)


def _model_small_quadratic(xp: Any, a: Arrays) -> Any:
    return a["x"] @ (a["A"] @ a["x"])


x_ = experts
# fmt: off
PROBLEMS: tuple[Problem, ...] = (
    Problem("P1 grad", "grad", ("th",), (100, 1000), _least_squares, LEAST_SQUARES,
            (x_.p1_grad, x_.p1_grad_blocked), _model_least_squares, x_.p1_naive, x_.p1_einsums,
            target=Target(0.8, 1.3, plain=True)),
    Problem("P1 vag", "value and grad", ("th",), (100, 1000), _least_squares, LEAST_SQUARES,
            (x_.p1_vag,), _model_least_squares, target=Target(0.8, 1.3, plain=True)),
    Problem("P2 grad", "grad", ("w",), (10, 100, 1000, 2000), _logistic, LOGISTIC,
            (x_.p2_grad, x_.p2_grad_small), _model_logistic, x_.p2_naive, x_.p2_einsums),
    Problem("P2 hessian", "hessian", ("w",), (10, 100, 1000, 2000), _logistic, LOGISTIC,
            (x_.p2_hessian, x_.p2_hessian_gemm), _model_logistic, x_.p2_hessian_naive,
            x_.p2_hessian_einsums,
            target=Target(1.05, 3.5, least=500), limits=_limit(2000, 1000, 100)),
    Problem("P3 grad", "grad", ("U",), (20, 100, 1000, 4000), _factorization, FACTORIZATION,
            (x_.p3_grad, x_.p3_grad_transposed, x_.p3_grad_blocked), _model_factorization,
            x_.p3_naive, x_.p3_einsums, target=Target(0.8, 2.5, plain=True, least=1000)),
    Problem("P3 hessian", "hessian", ("U",), (20, 100, 300, 1000), _factorization, FACTORIZATION,
            (x_.p3_hessian,), _model_factorization, None, x_.p3_hessian_einsums,
            target=Target(1.05, 500, least=100), limits=_limit(300, 100, 20)),
    Problem("P3 structured", "hessian", ("U",), (20, 100, 300, 1000), _factorization, FACTORIZATION,
            (x_.p3_core,), _model_factorization, structured=True, dense=x_.p3_hessian,
            target=Target(1.1, 1e4, least=300), limits=_limit(300, 20, 20)),
    Problem("P4 grad", "grad", ALL_WEIGHTS, (50, 500), _network(64),
            lambda size: _network_text(True), (x_.p4_grad,), _network_model,
            target=Target(1.05, 1.05, least=500)),
    Problem("P4 hessian", "hessian", ("W0",), (10, 20, 40, 100), _network(None),
            lambda size: _network_text(False), (x_.p4_hessian, x_.p4_hessian_rows), _network_model,
            target=Target(1.1, 1.7, least=20), limits=_limit(40, 40, 10)),
    Problem("P4 structured", "hessian", ("W0",), (10, 20, 40, 100), _network(None),
            lambda size: _network_text(False), (x_.p4_core,), _network_model, structured=True,
            dense=x_.p4_hessian, target=Target(1.1, 50, least=40), limits=_limit(40, 20, 10)),
    Problem("P5 grad", "grad", ("x",), (100, 1000), _square("x"), QUADRATIC,
            (x_.p5_grad,), _quadratic_model, x_.p5_naive, x_.p5_einsums),
    Problem("P5 hessian", "hessian", ("x",), (100, 500, 1000), _square("x"), QUADRATIC,
            (x_.p5_hessian, x_.p5_hessian_sum), _quadratic_model, None, x_.p5_hessian_einsums,
            target=Target(1.05, 1.8, least=500), limits=_limit(1000, 1000, 100)),
    Problem("P6 grad", "grad", ("A",), (50, 200, 500), _square(shift=True),
            _fixed("f = inv(A)[i,j]*B[j,i]"), (x_.p6_grad, x_.p6_grad_inverse), _model_inverse,
            x_.p6_naive, x_.p6_einsums, target=Target(1.05, 1.1)),
    Problem("P6 logdet", "grad", ("A",), (50, 200, 500), _square("a", "b", matrices="A", shift=True),
            _fixed("f = logdet(A) + a[i]*inv(A)[i,j]*b[j]"), (x_.p6_logdet,), _model_logdet,
            target=Target(1.05, 1.1)),
    Problem("P7 grad", "grad", ("A",), (50, 100, 200), _decomposition, DECOMPOSITION,
            (x_.p7_grad, x_.p7_grad_transposed, x_.p7_grad_blocked), _model_decomposition, None,
            x_.p7_einsums, target=Target(0.8, 2.5, plain=True)),
    Problem("P7 all", "grad", ("A", "B", "C"), (50, 100, 200), _decomposition, DECOMPOSITION,
            (x_.p7_all,), _model_decomposition, target=Target(0.8, 2.5, plain=True)),
    Problem("P8 grad", "grad", ("Q", "K", "V"), (128,), _attention, ATTENTION,
            (x_.p8_grad, x_.p8_grad_tiled), _attention_model, target=Target(1.05, 1.5)),
    Problem("P9 dx", "jacobian", ("x",), (100, 1000), _layer, _fixed("y[i] = tanh(W[i,j]*x[j])"),
            (x_.p9_dx, x_.p9_dx_einsum), _model_layer, limits=_limit(1000, 1000, 100)),
    Problem("P9 dW", "jacobian", ("W",), (100, 300), _layer, _fixed("y[i] = tanh(W[i,j]*x[j])"),
            (x_.p9_dW,), _model_layer, target=Target(1.05, 4, least=300), limits=_limit(300, 300, 100)),
    Problem("P9 structured", "jacobian", ("W",), (100, 300), _layer,
            _fixed("y[i] = tanh(W[i,j]*x[j])"), (x_.p9_core,), _model_layer, structured=True,
            dense=x_.p9_dW, target=Target(1.1, 1e4, least=300), limits=_limit(300, 100, 100)),
    Problem("P10 quad", "grad", ("x",), (3,), _square("x", matrices="A"),
            _fixed("f = x[i]*A[i,j]*x[j]"), (x_.p10_quad, x_.p10_quad_dot), _model_small_quadratic,
            target=Target(None, 5)),
    Problem("P10 six", "grad", ("x",), (3,), _square("x", "a", "b"), SIX_TERMS,
            (x_.p10_six, x_.p10_six_dot), _six_terms_model, target=Target(0.5, 5)),
)
# fmt: on
