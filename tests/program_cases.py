"""Expressions with independent formulas, arrays for them, and ways to look at programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.special

import einderiv as ed

Array = Any

FACTORISATION = "(Y[i,j] - A[i,k]*B[j,k])*(Y[i,j] - A[i,l]*B[j,l])"

# text, and a NumPy formula of its value; arrays positive so that every function is defined
VARIED = [
    ("y[i] = A[i,j]*x[j]", lambda A, x: A @ x),
    ("Y[j,i] = A[i,j]", lambda A: A.T),
    ("A[i,j]*B[i,j]", lambda A, B: np.sum(A * B)),
    ("Y[i,j,k] = A[i,j]*u[k]", lambda A, u: A[:, :, None] * u),
    ("y[i] = A[i,i]", lambda A: np.diagonal(A)),
    ("Y[i,j] = delta[i,j]*x[j]", lambda x: np.diag(x)),
    ("y[i] = erf(x[i]) + lgamma(x[i])", lambda x: scipy.special.erf(x) + scipy.special.gammaln(x)),
    ("y[i] = digamma(x[i])*erfc(x[i])", lambda x: scipy.special.digamma(x) * scipy.special.erfc(x)),
    ("y[i] = polygamma(2, x[i])", lambda x: scipy.special.polygamma(2, x)),
    ("y[i] = where(x[i] > 1/2, x[i], 0)", lambda x: np.where(x > 0.5, x, 0)),
    ("L[i,j] = cholesky(A)[i,j]", lambda A: np.linalg.cholesky(A)),
    ("y[i] = softmax[i](x[i])", lambda x: scipy.special.softmax(x)),
    ("logsumexp[i](x[i]) + max[i](x[i])", lambda x: scipy.special.logsumexp(x) + x.max()),
    ("logdet(A) + det(A)", lambda A: np.linalg.slogdet(A)[1] + np.linalg.det(A)),
    ("y[i] = eps[i,j,k]*u[j]*v[k]", lambda u, v: np.cross(u, v)),
    ("y[i] = inv(A)[i,j]*x[j]", lambda A, x: np.linalg.solve(A, x)),
    ("y[i] = sigmoid(x[i])*softplus(x[i])", lambda x: np.log1p(np.exp(x)) / (1 + np.exp(-x))),
    ("y[i] = x[i]^(1/3) + pi*size[i]/7", lambda x: x ** (1 / 3) + np.pi * len(x) / 7),
    ("prod[i](x[i])/tr(A)", lambda A, x: np.prod(x) / np.trace(A)),
]  # fmt: skip
varied = pytest.mark.parametrize(("text", "formula"), VARIED, ids=[text for text, _ in VARIED])


def arrays_for(e: ed.Expression, seed: int = 0, **extents: int) -> dict[str, Array]:
    """Positive arrays, square ones positive definite; all extents 3 unless given."""
    rng, made = np.random.default_rng(seed), {}
    for name, shape in e.variables.items():
        sizes = tuple(dim if isinstance(dim, int) else extents.get(dim, 3) for dim in shape)
        made[name] = rng.uniform(0.2, 0.9, size=sizes)
        if len(sizes) == 2 and sizes[0] == sizes[1]:
            made[name] = made[name] @ made[name].T + np.eye(sizes[0])
    return made


def count(program: Any, kind: type, function: str | None = None) -> int:
    return sum(
        isinstance(step, kind) and function in (None, getattr(step, "function", None))
        for step in program.program.instructions
    )


def close(ours: Array, theirs: Array, tolerance: float = 1e-12) -> bool:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return False
    return bool(
        np.max(np.abs(ours - theirs), initial=0)
        <= tolerance * (1 + np.max(np.abs(theirs), initial=0))
    )


def run_alone(source: str, arrays: dict[str, Array], inputs: list[str]) -> Any:
    """The source in a namespace of its own; parameters are in the order of the inputs."""
    assert "einderiv" not in source.replace("by einderiv", "")
    space: dict[str, Any] = {}
    exec(compile(source, "<shown source>", "exec"), space)
    return space["f"](*(arrays[name] for name in inputs))
