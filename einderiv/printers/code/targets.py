"""How NumPy, PyTorch and JAX spell the functions of the function table.

In: nothing; the rows are text. Out: paths, imports, and the text of small functions that a target lacks.
Invariant: every row of `functions.py` has an entry for each target; a path without a dot is a function of
HELPERS, whose text goes into the code that calls it; helpers are pure, so that JAX can compile them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A library: its alias, its word for an axis, its imports by the first part of a path."""

    name: str
    alias: str
    axis: str
    typed: bool  # do constants take the dtype of an argument, so that results keep it?
    column: int
    imports: Mapping[str, str]
    arrays: str  # what its arrays are called in a docstring


STANDARD = {"itertools": "import itertools", "math": "import math"}
TARGETS = {
    "numpy": Target(
        "numpy",
        "np",
        "axis",
        False,
        0,
        {"np": "import numpy as np", "special": "from scipy import special"},
        "array",
    ),
    "torch": Target("torch", "torch", "dim", True, 1, {"torch": "import torch"}, "tensor"),
    "jax": Target(
        "jax",
        "jnp",
        "axis",
        True,
        2,
        {"jax": "import jax", "jnp": "import jax.numpy as jnp"},
        "array",
    ),
}

# fmt: off
_ROWS: dict[str, tuple[str, str, str]] = {
    # name            NumPy                    PyTorch                     JAX
    "pi":            ("np.pi",                 "math.pi",                  "jnp.pi"),
    "exp":           ("np.exp",                "torch.exp",                "jnp.exp"),
    "expm1":         ("np.expm1",              "torch.expm1",              "jnp.expm1"),
    "log":           ("np.log",                "torch.log",                "jnp.log"),
    "log1p":         ("np.log1p",              "torch.log1p",              "jnp.log1p"),
    "sqrt":          ("np.sqrt",               "torch.sqrt",               "jnp.sqrt"),
    "sin":           ("np.sin",                "torch.sin",                "jnp.sin"),
    "cos":           ("np.cos",                "torch.cos",                "jnp.cos"),
    "tan":           ("np.tan",                "torch.tan",                "jnp.tan"),
    "asin":          ("np.arcsin",             "torch.asin",               "jnp.arcsin"),
    "acos":          ("np.arccos",             "torch.acos",               "jnp.arccos"),
    "atan":          ("np.arctan",             "torch.atan",               "jnp.arctan"),
    "atan2":         ("np.arctan2",            "torch.atan2",              "jnp.arctan2"),
    "sinh":          ("np.sinh",               "torch.sinh",               "jnp.sinh"),
    "cosh":          ("np.cosh",               "torch.cosh",               "jnp.cosh"),
    "tanh":          ("np.tanh",               "torch.tanh",               "jnp.tanh"),
    "sigmoid":       ("sigmoid",               "torch.sigmoid",            "jax.nn.sigmoid"),
    "softplus":      ("np.logaddexp",          "softplus",                 "jax.nn.softplus"),
    "relu":          ("np.maximum",            "torch.relu",               "jax.nn.relu"),
    "erf":           ("special.erf",           "torch.special.erf",        "jax.scipy.special.erf"),
    "erfc":          ("special.erfc",          "torch.special.erfc",       "jax.scipy.special.erfc"),
    "lgamma":        ("special.gammaln",       "torch.special.gammaln",    "jax.scipy.special.gammaln"),
    "digamma":       ("special.digamma",       "torch.special.digamma",    "jax.scipy.special.digamma"),
    "polygamma":     ("special.polygamma",     "polygamma",                "polygamma"),
    "abs":           ("np.abs",                "torch.abs",                "jnp.abs"),
    "sign":          ("np.sign",               "torch.sign",               "jnp.sign"),
    "step":          ("np.heaviside",          "",                         "jnp.heaviside"),
    "max":           ("np.maximum",            "torch.maximum",            "jnp.maximum"),
    "min":           ("np.minimum",            "torch.minimum",            "jnp.minimum"),
    "where":         ("np.where",              "torch.where",              "jnp.where"),
    # whole axes
    "prod[]":        ("np.prod",               "torch.prod",               "jnp.prod"),
    "prodexcept[]":  ("prod_except",           "prod_except",              "prod_except"),
    "max[]":         ("np.max",                "torch.amax",               "jnp.max"),
    "min[]":         ("np.min",                "torch.amin",               "jnp.min"),
    "logsumexp[]":   ("logsumexp",             "torch.logsumexp",          "jax.scipy.special.logsumexp"),
    "softmax[]":     ("softmax",               "torch.softmax",            "jax.nn.softmax"),
    "logsoftmax[]":  ("log_softmax",           "torch.log_softmax",        "jax.nn.log_softmax"),
    # matrices
    "inv[]":         ("np.linalg.inv",         "torch.linalg.inv",         "jnp.linalg.inv"),
    "det[]":         ("np.linalg.det",         "torch.linalg.det",         "jnp.linalg.det"),
    "logdet[]":      ("np.linalg.slogdet",     "torch.linalg.slogdet",     "jnp.linalg.slogdet"),
    "cholesky[]":    ("np.linalg.cholesky",    "torch.linalg.cholesky",    "jnp.linalg.cholesky"),
    "tril[]":        ("np.tril",               "torch.tril",               "jnp.tril"),
    "solve[]":       ("np.linalg.solve",       "torch.linalg.solve",       "jnp.linalg.solve"),
    "eps[]":         ("levi_civita",           "levi_civita",              "levi_civita"),
    # arrays
    "sum":           ("np.sum",                "torch.sum",                "jnp.sum"),
    "trace":         ("np.trace",              "torch.trace",              "jnp.trace"),
    "diag":          ("np.diag",               "torch.diag",               "jnp.diag"),
    "outer":         ("np.outer",              "torch.outer",              "jnp.outer"),
    "einsum":        ("np.einsum",             "torch.einsum",             "jnp.einsum"),
    "transpose":     ("np.transpose",          "torch.permute",            "jnp.transpose"),
    "eye":           ("np.eye",                "torch.eye",                "jnp.eye"),
    "full":          ("np.full",               "torch.full",               "jnp.full"),
    "zeros":         ("np.zeros",              "torch.zeros",              "jnp.zeros"),
    "ones":          ("np.ones",               "torch.ones",               "jnp.ones"),
    "broadcast":     ("np.broadcast_to",       "torch.broadcast_to",       "jnp.broadcast_to"),
    "array":         ("np.array",              "torch.tensor",             "jnp.array"),
    "clip_below":    ("np.maximum",            "torch.clamp",              "jnp.maximum"),
}
# fmt: on

# What stands in a call beside the argument: softplus is logaddexp(0, x). PyTorch's step is a comparison.
BEFORE = {("softplus", "numpy"): 0}
AFTER = {("relu", "numpy"): 0, ("step", "numpy"): 0, ("step", "jax"): 0}

# Where PyTorch wants a tensor, a Python number is worked out by the standard library.
MATH = {
    name: f"math.{word}"
    for name, word in {
        **{
            name: name
            for name in "exp expm1 log log1p sqrt sin cos tan asin acos atan atan2".split()
        },
        **{name: name for name in "sinh cosh tanh erf erfc lgamma".split()},
        "abs": "fabs",
    }.items()
}


def spelling(name: str, target: Target) -> str:
    """The path of a function of the table (`name[]` for one of whole axes) or of an array operation."""
    return _ROWS[name][target.column]


# The text of each helper, {xp} for the library.
_SIGMOID = '''\
def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0, -x))
'''
_SOFTPLUS_TORCH = '''\
def softplus(x):
    """log(1 + exp(x)), without overflow and exact for large x."""
    return -torch.nn.functional.logsigmoid(-x)
'''
_POLYGAMMA_TORCH = '''\
def polygamma(n, x):
    """The n-th derivative of the digamma function, by the Hurwitz zeta function (DLMF 25.11.12)."""
    n = torch.as_tensor(n, dtype=x.dtype, device=x.device)
    sign = 2 * torch.remainder(n, 2) - 1
    zeta = torch.special.zeta(torch.clamp(n, min=1) + 1, x)
    return torch.where(n == 0, torch.special.digamma(x), sign * torch.exp(torch.lgamma(n + 1)) * zeta)
'''
_POLYGAMMA_JAX = '''\
def polygamma(n, x):
    """The n-th derivative of the digamma function, for whole numbers n."""
    return jax.scipy.special.polygamma(jnp.round(n).astype(int), x)
'''
_LOGSUMEXP = '''\
def logsumexp(x, axis):
    """log(sum(exp(x))) along the axis, shifted by the largest entry."""
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    return np.log(np.sum(np.exp(x - top), axis=axis)) + np.squeeze(top, axis=axis)
'''
_SOFTMAX = '''\
def softmax(x, axis):
    """exp(x) / sum(exp(x)) along the axis, shifted by the largest entry."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)
'''
_LOG_SOFTMAX = '''\
def log_softmax(x, axis):
    """log(softmax(x)) along the axis, shifted by the largest entry."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
'''
_PROD_EXCEPT = '''\
def prod_except(x, count):
    """Each entry: the product of all others along the last `count` axes."""
    flat = x.reshape(x.shape[: x.ndim - count] + (math.prod(x.shape[x.ndim - count :]),))
    one = {xp}.ones_like(flat[..., :1])
    before = {xp}.cumprod({xp}.concatenate([one, flat[..., :-1]], {axis}=-1), {axis}=-1)
    back = {xp}.flip(flat, {axes})[..., :-1]
    after = {xp}.cumprod({xp}.concatenate([one, back], {axis}=-1), {axis}=-1)
    return (before * {xp}.flip(after, {axes})).reshape(x.shape)
'''
_LEVI_CIVITA = '''\
def levi_civita(n{dtype}):
    """The sign of each permutation of n indices, 0 where two of them agree."""
    def sign(p):
        return math.prod((q > p[i]) - (q < p[i]) for i in range(n) for q in p[i + 1 :])

    signs = [float(sign(p)) for p in itertools.product(range(n), repeat=n)]
    return {xp}.{array}(signs{dtypes}).reshape((n,) * n)
'''


def helper(name: str, target: Target) -> str:
    """The text of a function that the target's code needs beside itself."""
    text = _HELPERS[name]
    if name == "polygamma" and target.name == "jax":
        text = _POLYGAMMA_JAX
    typed = target.name == "torch"
    slots = {
        "xp": target.alias,
        "axis": target.axis,
        "axes": "(-1,)" if typed else "axis=-1",
        "array": "tensor" if typed else "array",
        "dtype": ", like" if target.typed else "",
        "dtypes": {
            "torch": ", dtype=like.dtype, device=like.device",
            "jax": ", dtype=like.dtype",
        }.get(target.name, ""),
    }
    for slot, word in slots.items():
        text = text.replace("{" + slot + "}", word)
    return text


_HELPERS: dict[str, str] = {
    "sigmoid": _SIGMOID,
    "softplus": _SOFTPLUS_TORCH,
    "polygamma": _POLYGAMMA_TORCH,
    "logsumexp": _LOGSUMEXP,
    "softmax": _SOFTMAX,
    "log_softmax": _LOG_SOFTMAX,
    "prod_except": _PROD_EXCEPT,
    "levi_civita": _LEVI_CIVITA,
}
HELPERS = frozenset(_HELPERS)
