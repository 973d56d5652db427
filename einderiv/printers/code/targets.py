"""How NumPy, PyTorch and JAX spell the functions of the function table: all that is known of a target.

In: nothing; the rows are text. Out: targets, paths, and the text of small functions that a target lacks.
Invariant: a new target is one more entry of TARGETS and one more column of the table. A path without a dot
is a function of HELPERS, whose text goes into the code that calls it; helpers are pure, so that JAX can
compile them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import BackendError
from ...terms import ELEMENTWISE, WHOLE


@dataclass(frozen=True, slots=True)
class Target:
    """A library: how its functions want their arguments, and its words for common things."""

    name: str
    alias: str
    column: int  # of the table below
    imports: Mapping[str, str]  # by the first part of a path
    axis: str = "axis"
    last_axis: str = "axis=-1"  # as `flip` takes it
    scalar: str = "scalar"  # what it calls one, in a docstring
    like: tuple[str, ...] = ()  # what a constant takes from an argument, so that results keep it
    unlike: str = ""  # what it takes if there is no argument
    own: str = ""  # an array of its own memory
    cast: str = ""  # truth values as numbers of a type; without it a choice between 1.0 and 0.0
    numbers: str = ""  # functions take Python numbers as "decimal", or not at all: "tensor"
    several: str = ""  # an option of einsum for more than two operands
    flat: str = ""  # what joins axes for functions that take only one ...
    one_axis: frozenset[str] = frozenset()  # ... namely these
    over_all: frozenset[str] = frozenset(("prod", "max", "min"))  # go over all axes unless told
    helpers: Mapping[str, str] = field(default_factory=dict)  # texts that differ from HELPERS


STANDARD = {"itertools": "import itertools", "math": "import math"}

_POLYGAMMA_JAX = '''\
def polygamma(n, x):
    """The n-th derivative of the digamma function, for whole numbers n."""
    return jax.scipy.special.polygamma(jnp.round(n).astype(int), x)
'''

TARGETS = {
    "numpy": Target(
        "numpy",
        "np",
        0,
        {
            "np": "import numpy as np",
            "special": "from scipy import special",
            "scipy": "import scipy.linalg",
        },
        own="{0}.copy()",
        several="optimize=True",
    ),
    "torch": Target(
        "torch",
        "torch",
        1,
        {"torch": "import torch"},
        axis="dim",
        last_axis="(-1,)",
        scalar="scalar (a tensor without axes)",
        like=("dtype", "device"),
        unlike="dtype=torch.float64",  # the library's default is float32
        own="{0}.clone()",
        cast="{0}.to({1})",
        numbers="tensor",
        flat="torch.flatten",
        one_axis=frozenset(("prod", "softmax", "logsoftmax")),
    ),
    "jax": Target(
        "jax",
        "jnp",
        2,
        {"jax": "import jax", "jnp": "import jax.numpy as jnp"},
        like=("dtype",),
        cast="{0}.astype({1})",
        numbers="decimal",
        over_all=frozenset(("prod", "max", "min", "logsumexp")),
        helpers={"polygamma": _POLYGAMMA_JAX},
    ),
}

# Functions that every target has under the name of the table.
_ALIKE = """
    exp expm1 log log1p sqrt sin cos tan sinh cosh tanh abs sign where sum trace diag outer
    einsum eye full zeros ones
""".split()

# fmt: off
# The path of a function, `xp` for the target's alias; one text if all targets agree. After it, if there is
# more than the arguments in order: `_` an argument, `n` one that stays a Python number, a number.
# The row `polygamma n` is for an order that is known.
_ROWS: dict[str, str | tuple[str, str, str]] = {
    **{name: f"xp.{name}" for name in _ALIKE},
    # name            NumPy                    PyTorch                     JAX
    "pi":            ("np.pi",                 "math.pi",                  "jnp.pi"),
    "asin":          ("np.arcsin",             "torch.asin",               "jnp.arcsin"),
    "acos":          ("np.arccos",             "torch.acos",               "jnp.arccos"),
    "atan":          ("np.arctan",             "torch.atan",               "jnp.arctan"),
    "atan2":         ("np.arctan2",            "torch.atan2",              "jnp.arctan2"),
    "sigmoid":       ("sigmoid",               "torch.sigmoid",            "jax.nn.sigmoid"),
    "softplus":      ("np.logaddexp 0 _",      "softplus",                 "jax.nn.softplus"),
    "relu":          ("np.maximum _ 0",        "torch.relu",               "jax.nn.relu"),
    "erf":           ("special.erf",           "torch.special.erf",        "jax.scipy.special.erf"),
    "erfc":          ("special.erfc",          "torch.special.erfc",       "jax.scipy.special.erfc"),
    "lgamma":        ("special.gammaln",       "torch.special.gammaln",    "jax.scipy.special.gammaln"),
    "digamma":       ("special.digamma",       "torch.special.digamma",    "jax.scipy.special.digamma"),
    "polygamma":     ("special.polygamma",     "polygamma",                "polygamma"),
    "polygamma n":   (
        "special.polygamma n _", "torch.special.polygamma n _", "jax.scipy.special.polygamma n _",
    ),
    "step":          ("np.heaviside _ 0",      "> _ 0",                    "jnp.heaviside _ 0"),
    "max":           "xp.maximum",
    "min":           "xp.minimum",
    # whole axes
    "prod[]":        "xp.prod",
    "prodexcept[]":  "prod_except",
    "max[]":         ("np.max",                "torch.amax",               "jnp.max"),
    "min[]":         ("np.min",                "torch.amin",               "jnp.min"),
    "logsumexp[]":   ("logsumexp",             "torch.logsumexp",          "jax.scipy.special.logsumexp"),
    "softmax[]":     ("softmax",               "torch.softmax",            "jax.nn.softmax"),
    "logsoftmax[]":  ("log_softmax",           "torch.log_softmax",        "jax.nn.log_softmax"),
    # matrices
    "inv[]":         "xp.linalg.inv",
    "det[]":         "xp.linalg.det",
    "logdet[]":      "xp.linalg.slogdet",
    "cholesky[]":    "xp.linalg.cholesky",
    "tril[]":        "xp.tril",
    "solve[]":       "xp.linalg.solve",
    "eps[]":         "levi_civita",
    # arrays
    "transpose":     ("np.transpose",          "torch.permute",            "jnp.transpose"),
    "broadcast":     "xp.broadcast_to",
    "array":         ("np.array",              "torch.tensor",             "jnp.array"),
}
# fmt: on

# Where a target's functions take no Python numbers, the standard library works them out.
MATH = {"abs": "math.fabs"} | {
    name: f"math.{name}"
    for name in "exp expm1 log log1p sqrt sin cos tan asin acos atan atan2 sinh cosh tanh erf erfc "
    "lgamma".split()
}


def _entry(name: str, target: Target) -> list[str]:
    """By the table, else by the function's own row, else NumPy's name in the target's module."""
    if name in _ROWS:
        entry = _ROWS[name]
        text = entry if isinstance(entry, str) else entry[target.column]
    else:
        row = WHOLE[name[:-2]] if name.endswith("[]") else ELEMENTWISE[name]
        if target.name not in row.code and "." not in row.numpy:
            raise BackendError(
                f"{target.name} has no {row.name}",
                facts=[f"its row in the table of functions gives no code for {target.name}"],
                hint="give its row a `code`, or print code for another target",
            )
        text = row.code.get(target.name) or row.numpy.replace("np.", "xp.", 1)
    if text.startswith("def "):
        return [_defined_name(text)]
    path, *pattern = text.split()
    library, dot, rest = path.partition(".")
    return [f"{target.alias}{dot}{rest}" if library == "xp" else path, *pattern]


def _defined_name(text: str) -> str:
    """The name that a definition gives."""
    return text.removeprefix("def ").partition("(")[0]


def spelling(name: str, target: Target) -> str:
    """The path of a function of the table (`name[]` for one of whole axes) or of an array operation."""
    return _entry(name, target)[0]


def has_spelling(name: str) -> bool:
    """Is there a row of this name?"""
    return name in _ROWS


def pattern(name: str, target: Target) -> list[str]:
    """What the arguments of a function are between, as the table says it; empty for these alone."""
    return _entry(name, target)[1:]


# The text of each helper; {xp} is the library.
_HELPERS = {
    "sigmoid": '''\
def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0, -x))
''',
    "softplus": '''\
def softplus(x):
    """log(1 + exp(x)), without overflow and exact for large x."""
    return -torch.nn.functional.logsigmoid(-x)
''',
    "polygamma": '''\
def polygamma(n, x):
    """The n-th derivative of the digamma function, by the Hurwitz zeta function (DLMF 25.11.12)."""
    n = torch.as_tensor(n, dtype=x.dtype, device=x.device)
    sign = 2 * torch.remainder(n, 2) - 1
    zeta = torch.special.zeta(torch.clamp(n, min=1) + 1, x)
    return torch.where(n == 0, torch.special.digamma(x), sign * torch.exp(torch.lgamma(n + 1)) * zeta)
''',
    "logsumexp": '''\
def logsumexp(x, axis):
    """log(sum(exp(x))) along the axis, shifted by the largest entry."""
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    return np.log(np.sum(np.exp(x - top), axis=axis)) + np.squeeze(top, axis=axis)
''',
    "softmax": '''\
def softmax(x, axis):
    """exp(x) / sum(exp(x)) along the axis, shifted by the largest entry."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)
''',
    "log_softmax": '''\
def log_softmax(x, axis):
    """log(softmax(x)) along the axis, shifted by the largest entry."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
''',
    "prod_except": '''\
def prod_except(x, count):
    """Each entry: the product of all others along the last `count` axes."""
    flat = x.reshape(x.shape[: x.ndim - count] + (math.prod(x.shape[x.ndim - count :]),))
    one = {xp}.ones_like(flat[..., :1])
    before = {xp}.cumprod({xp}.concatenate([one, flat[..., :-1]], {axis}=-1), {axis}=-1)
    back = {xp}.flip(flat, {last_axis})[..., :-1]
    after = {xp}.cumprod({xp}.concatenate([one, back], {axis}=-1), {axis}=-1)
    return (before * {xp}.flip(after, {last_axis})).reshape(x.shape)
''',
    "levi_civita": '''\
def levi_civita(n{dtype}):
    """The sign of each permutation of n indices, 0 where two of them agree."""
    def sign(p):
        return math.prod((q > p[i]) - (q < p[i]) for i in range(n) for q in p[i + 1 :])

    signs = [float(sign(p)) for p in itertools.product(range(n), repeat=n)]
    return {array}(signs{dtypes}).reshape((n,) * n)
''',
}
_OWN = {  # those that rows of the function table bring along
    _defined_name(text): code
    for code in [
        *(row.code for row in ELEMENTWISE.values()),
        *(row.code for row in WHOLE.values()),
    ]
    for text in code.values()
    if text.startswith("def ")
}
HELPERS = frozenset((*_HELPERS, *_OWN))


def helpers_of(target: Target) -> set[str]:
    """The names of the functions that the target's code can bring along."""
    return {
        *_HELPERS,
        *(name for name, code in _OWN.items() if name == _defined_name(code.get(target.name, ""))),
    }


def helper(name: str, target: Target) -> str:
    """The text of a function that the target's code needs beside itself."""
    text = target.helpers.get(name) or _HELPERS.get(name) or _OWN[name][target.name]
    slots = {
        "xp": target.alias,
        "axis": target.axis,
        "last_axis": target.last_axis,
        "array": spelling("array", target),
        "expm": spelling("expm[]", target),
        "dtype": ", like" if target.like else "",
        "dtypes": "".join(f", {word}=like.{word}" for word in target.like),
    }
    for slot, word in slots.items():
        text = text.replace("{" + slot + "}", word)
    return text
