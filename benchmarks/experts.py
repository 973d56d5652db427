"""What an expert writes by hand for each derivative, the naive form, and the form in einsums.

In: a dict of arrays. Out: the derivative, dense, or its core where the name says `core`.
Invariant: no loop over entries; blocks are chosen once, by the sizes of the performance report.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Arrays = dict[str, Any]
Contract = Callable[..., Any]


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


# P1  2/m X'(X th - Y)
def p1_grad(a: Arrays) -> Any:
    X, Y = a["X"], a["Y"]
    return (2 / len(Y)) * (X.T @ (X @ a["th"] - Y))


def p1_grad_blocked(a: Arrays) -> Any:
    """Row blocks of 1 MiB: the second pass over X finds it in the cache."""
    X, Y, th = a["X"], a["Y"], a["th"]
    step, total = max(1, 131072 // X.shape[1]), np.zeros(X.shape[1])
    for start in range(0, len(Y), step):
        rows = X[start : start + step]
        total += rows.T @ (rows @ th - Y[start : start + step])
    total *= 2 / len(Y)
    return total


def p1_vag(a: Arrays) -> Any:
    X, Y = a["X"], a["Y"]
    r = X @ a["th"] - Y
    return [(r @ r) / len(Y), (2 / len(Y)) * (X.T @ r)]


def p1_naive(a: Arrays) -> Any:
    X, Y, th = a["X"], a["Y"], a["th"]
    return 2 / len(Y) * X.T @ (X @ th) - 2 / len(Y) * X.T @ Y


def p1_einsums(contract: Contract, a: Arrays) -> Any:
    r = contract("ab,b->a", a["X"], a["th"]) - a["Y"]
    return (2 / len(r)) * contract("ab,a->b", a["X"], r)


# P2  sum softplus(-y Xw)
def p2_grad(a: Arrays) -> Any:
    X, y = a["X"], a["y"]
    z = X @ a["w"]
    z *= y
    np.exp(z, out=z)
    z += 1
    np.divide(y, z, out=z)
    return -(z @ X)


def p2_grad_small(a: Arrays) -> Any:
    X, y = a["X"], a["y"]
    return X.T @ (-y / (1 + np.exp(y * (X @ a["w"]))))


def p2_naive(a: Arrays) -> Any:
    X, y = a["X"], a["y"]
    return np.sum((-y * _sigmoid(-y * (X @ a["w"])))[:, None] * X, axis=0)


def p2_einsums(contract: Contract, a: Arrays) -> Any:
    s = -a["y"] * _sigmoid(-a["y"] * contract("ij,j->i", a["X"], a["w"]))
    return contract("ij,i->j", a["X"], s)


def p2_hessian(a: Arrays) -> Any:
    s = _sigmoid(a["X"] @ a["w"] * a["y"])
    Z = (a["y"] * np.sqrt(s * (1 - s)))[:, None] * a["X"]
    return Z.T @ Z  # one buffer twice: numpy calls syrk


def p2_hessian_gemm(a: Arrays) -> Any:
    s = _sigmoid(a["X"] @ a["w"] * a["y"])
    return a["X"].T @ ((s * (1 - s) * a["y"] ** 2)[:, None] * a["X"])


def p2_hessian_naive(a: Arrays) -> Any:
    s = _sigmoid(a["X"] @ a["w"] * a["y"])
    return a["X"].T @ np.diag(s * (1 - s) * a["y"] ** 2) @ a["X"]


def p2_hessian_einsums(contract: Contract, a: Arrays) -> Any:
    s = _sigmoid(a["y"] * contract("ij,j->i", a["X"], a["w"]))
    return contract("ij,i,ik->jk", a["X"], s * (1 - s) * a["y"] ** 2, a["X"])


# P3  |T - UV'|^2
def p3_grad(a: Arrays) -> Any:
    return 2 * (a["U"] @ (a["V"].T @ a["V"]) - a["T"] @ a["V"])


def p3_grad_transposed(a: Arrays) -> Any:
    return 2 * (a["U"] @ (a["V"].T @ a["V"]) - (a["V"].T @ a["T"].T).T)


def p3_grad_blocked(a: Arrays) -> Any:
    """T V in row blocks small enough for the kernel of OpenBLAS that does not pack."""
    T, V = a["T"], a["V"]
    n, k = V.shape
    rows = next((b for b in (50, 40, 25, 20, 10) if n % b == 0 and b * n * k <= 1_000_000), 0)
    TV = np.matmul(T.reshape(n // rows, rows, n), V).reshape(n, k) if rows else T @ V
    return 2 * (a["U"] @ (V.T @ V) - TV)


def p3_naive(a: Arrays) -> Any:
    return -2 * (a["T"] - a["U"] @ a["V"].T) @ a["V"]


def p3_einsums(contract: Contract, a: Arrays) -> Any:
    U, V = a["U"], a["V"]
    return 2 * (contract("ik,jk,jl->il", U, V, V) - contract("ij,jl->il", a["T"], V))


def p3_core(a: Arrays) -> Any:
    return (2 * a["V"].T) @ a["V"]


def p3_hessian(a: Arrays) -> Any:
    n, k = a["U"].shape
    H = np.zeros((n, k, n, k))
    np.einsum("ikil->ikl", H)[...] = p3_core(a)
    return H


def p3_hessian_einsums(contract: Contract, a: Arrays) -> Any:
    return contract("ij,kl->ikjl", np.eye(len(a["U"])), 2 * contract("jk,jl->kl", a["V"], a["V"]))


# P4  |tanh(W9 ... tanh(W0 x)) - y|^2
def _forward(a: Arrays) -> tuple[list[Any], list[Any]]:
    W = [a[f"W{k}"] for k in range(sum(name.startswith("W") for name in a))]
    h = [a["x"]]
    for w in W:
        h.append(np.tanh(h[-1] @ w.T))
    return W, h


def p4_grad(a: Arrays) -> Any:
    W, h = _forward(a)
    g, found = 2 * (h[-1] - a["y"]), []
    for k in range(len(W) - 1, -1, -1):
        g *= 1 - h[k + 1] ** 2
        found.append(g.T @ h[k])
        if k:
            g = g @ W[k]
    return found[::-1]


def p4_core(a: Arrays) -> Any:
    """The second derivative by the first layer's input, n by n; the Hessian is core[i,k] x[j] x[l]."""
    W, h = _forward(a)
    g, bend = 2 * (h[-1] - a["y"]), []
    for k in range(len(W) - 1, -1, -1):
        d = 1 - h[k + 1] ** 2
        bend.append(-2 * g * h[k + 1] * d)
        g = W[k].T @ (g * d)
    bend.reverse()
    D = np.diag(1 - h[1] ** 2)
    M = np.diag(bend[0])
    for k in range(1, len(W)):
        P = W[k] @ D
        M += P.T @ (bend[k][:, None] * P)
        D = (1 - h[k + 1] ** 2)[:, None] * P
    M += 2 * (D.T @ D)
    return M


def p4_hessian(a: Arrays) -> Any:
    M, x = p4_core(a), a["x"]
    return M[:, None, :, None] * x[:, None, None] * x


def p4_hessian_rows(a: Arrays) -> Any:
    """Each row of blocks is one product, written once."""
    M, x = p4_core(a), a["x"]
    n = len(x)
    H = np.empty((n, n, n, n))
    outer = x[:, None, None] * x
    for i in range(n):
        np.multiply(outer, M[i][None, :, None], out=H[i])
    return H


# P5  x'B'ABx
def p5_grad(a: Arrays) -> Any:
    u = a["B"] @ a["x"]
    return (a["A"] @ u + u @ a["A"]) @ a["B"]


def p5_naive(a: Arrays) -> Any:
    A, B = a["A"], a["B"]
    return B.T @ A @ B @ a["x"] + B.T @ A.T @ B @ a["x"]


def p5_einsums(contract: Contract, a: Arrays) -> Any:
    A, B, x = a["A"], a["B"], a["x"]
    return contract("ji,jk,kl,l->i", B, A, B, x) + contract("ji,kj,kl,l->i", B, A, B, x)


def p5_hessian(a: Arrays) -> Any:
    K = a["B"].T @ (a["A"] @ a["B"])
    return K + K.T


def p5_hessian_sum(a: Arrays) -> Any:
    return a["B"].T @ ((a["A"] + a["A"].T) @ a["B"])


def p5_hessian_einsums(contract: Contract, a: Arrays) -> Any:
    A, B = a["A"], a["B"]
    return contract("ji,jk,kl->il", B, A, B) + contract("ji,kj,kl->il", B, A, B)


# P6  tr(inv(A) B), log det A + a' inv(A) b
def p6_grad(a: Arrays) -> Any:
    AT = a["A"].T
    return -np.linalg.solve(AT, np.linalg.solve(a["A"], a["B"]).T)


def p6_grad_inverse(a: Arrays) -> Any:
    N = np.linalg.inv(a["A"])
    return -(N @ a["B"] @ N).T


def p6_naive(a: Arrays) -> Any:
    inv = np.linalg.inv
    return -(inv(a["A"]).T @ a["B"].T @ inv(a["A"]).T)


def p6_einsums(contract: Contract, a: Arrays) -> Any:
    N = np.linalg.inv(a["A"])
    return -contract("ij,jk,kl->li", N, a["B"], N)


def p6_logdet(a: Arrays) -> Any:
    N = np.linalg.inv(a["A"])
    return N.T - np.outer(a["a"] @ N, N @ a["b"])


# P7  |T - [[A,B,C]]|^2
def _gram(a: Arrays, first: str, second: str) -> Any:
    return (a[first].T @ a[first]) * (a[second].T @ a[second])


def p7_grad(a: Arrays) -> Any:
    """The Khatri-Rao product, then one gemm over the unfolded T."""
    n, R = a["A"].shape
    KR = (a["B"][:, None, :] * a["C"]).reshape(n * n, R)
    return 2 * (a["A"] @ _gram(a, "B", "C") - a["T"].reshape(n, n * n) @ KR)


def p7_grad_transposed(a: Arrays) -> Any:
    n, R = a["A"].shape
    TC = (a["T"].reshape(n * n, n) @ a["C"]).reshape(n, n, R)
    return 2 * (a["A"] @ _gram(a, "B", "C") - np.einsum("ijr,jr->ir", TC, a["B"]))


def p7_grad_blocked(a: Arrays) -> Any:
    """The summed index in blocks of at most 250 to stay with the kernel that does not pack."""
    n, R = a["A"].shape
    step = next(b for b in range(250, 0, -1) if n * n % b == 0)
    KR = (a["B"][:, None, :] * a["C"]).reshape(-1, step, R)
    T = a["T"].reshape(n, -1, step).transpose(1, 0, 2)
    return 2 * (a["A"] @ _gram(a, "B", "C") - np.matmul(T, KR).sum(0))


def p7_all(a: Arrays) -> Any:
    T, A, B, C = (a[name] for name in "TABC")
    n, R = A.shape
    TC = (T.reshape(n * n, n) @ C).reshape(n, n, R)
    KR = (A[:, None, :] * B).reshape(n * n, R)
    return [
        2 * (A @ _gram(a, "B", "C") - np.einsum("ijr,jr->ir", TC, B)),
        2 * (B @ _gram(a, "A", "C") - np.einsum("ijr,ir->jr", TC, A)),
        2 * (C @ _gram(a, "A", "B") - T.reshape(n * n, n).T @ KR),
    ]


def p7_einsums(contract: Contract, a: Arrays) -> Any:
    A, B, C = a["A"], a["B"], a["C"]
    model = contract("ir,js,jr,ks,kr->is", A, B, B, C, C)
    return 2 * (model - contract("ijk,jr,kr->ir", a["T"], B, C))


# P8  sum G * softmax(QK'/8) V
def p8_grad(a: Arrays) -> Any:
    Q, K, V, G = (a[name] for name in "QKVG")
    S = Q @ K.swapaxes(-1, -2)
    S /= 8
    S -= S.max(-1, keepdims=True)
    np.exp(S, out=S)
    S /= S.sum(-1, keepdims=True)
    dV = S.swapaxes(-1, -2) @ G
    dP = G @ V.swapaxes(-1, -2)
    dP -= np.vecdot(dP, S)[..., None]
    dP *= S
    dP /= 8
    return [dP @ K, dP.swapaxes(-1, -2) @ Q, dV]


def p8_grad_tiled(a: Arrays) -> Any:
    """One head at a time: its scores stay in the cache."""
    found = [np.empty_like(a[name]) for name in "QKV"]
    for place in np.ndindex(a["Q"].shape[:2]):
        parts = p8_grad({name: a[name][place] for name in "QKVG"})
        for whole, part in zip(found, parts, strict=True):
            whole[place] = part
    return found


# P9  tanh(Wx)
def p9_dx(a: Arrays) -> Any:
    s = np.tanh(a["W"] @ a["x"])
    return (1 - s * s)[:, None] * a["W"]


def p9_dx_einsum(a: Arrays) -> Any:
    s = np.tanh(a["W"] @ a["x"])
    return np.einsum("i,ij->ij", 1 - s * s, a["W"])


def p9_core(a: Arrays) -> Any:
    s = np.tanh(a["W"] @ a["x"])
    return np.multiply.outer(1 - s * s, a["x"])


def p9_dW(a: Arrays) -> Any:
    n = len(a["x"])
    J = np.zeros((n, n, n))
    np.einsum("iij->ij", J)[...] = p9_core(a)
    return J


# P10  n = 3
def p10_quad(a: Arrays) -> Any:
    return (a["A"] + a["A"].T) @ a["x"]


def p10_quad_dot(a: Arrays) -> Any:
    return a["A"].dot(a["x"]) + a["x"].dot(a["A"])


def p10_six(a: Arrays) -> Any:
    A, B, x, u, b = a["A"], a["B"], a["x"], a["a"], a["b"]
    c = u @ x
    return A @ x + x @ A + b + 2 * c * u + 2 * x + c * b + (b @ x) * u + B @ u


def p10_six_dot(a: Arrays) -> Any:
    A, B, x, u, b = a["A"], a["B"], a["x"], a["a"], a["b"]
    c = u.dot(x)
    return A.dot(x) + x.dot(A) + (1 + c) * b + (2 * c + b.dot(x)) * u + 2 * x + B.dot(u)
