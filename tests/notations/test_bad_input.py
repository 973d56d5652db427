"""Bad input: every mistake with its error class and the full text of its message.

A case in bad_input.txt is a line `>>> expression` and what it prints; the names it uses are in NAMES. The
text holds the
place, what is so, and a way out. Then what must not fail, and random mutations of valid programs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import einderiv as ed
from einderiv import errors
from einderiv.notations.syntax import KNOWN
from tests.random_programs import random_program

BUILTINS: dict[str, type[Exception]] = {
    "NotationError": ValueError,
    "DimensionError": ValueError,
    "DerivativeError": ValueError,
    "DataError": TypeError,
    "ResourceLimitError": MemoryError,
    "BackendError": Exception,
}

NAMES = {
    "np": np,
    "ed": ed,
    "scipy": scipy,
    "parse": ed.parse,
    "x": np.arange(3.0),
    "A": np.eye(3),
    "Ax": ed.parse("y[i] = A[i,j]*x[j]"),
    "xAx": ed.parse("x[i]*A[i,j]*x[j]"),
    "xx": ed.parse("x[i]*x[i]"),
    "outer": ed.parse("C[i,j] = x[i]*x[j]"),
    "squares": ed.parse("(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])"),
}

CASES = (Path(__file__).parent / "bad_input.txt").read_text(encoding="utf-8")


def cases() -> list[tuple[str, str, str]]:
    """Each case: the expression, the class of its error, the text of its error."""
    blocks = [block for block in re.split(r"\n\n(?=>>> |# )", CASES.strip()) if block[0] == ">"]
    found = []
    for block in blocks:
        call, _, printed = block.removeprefix(">>> ").partition("\n")
        kind, _, text = printed.partition(": ")
        found.append((call, kind, text))
    return found


@pytest.mark.parametrize(("call", "kind", "text"), cases(), ids=lambda text: text[:60])
def test_mistake_is_told_with_its_place_the_facts_and_a_way_out(
    call: str, kind: str, text: str
) -> None:
    with pytest.raises(ed.EinderivError) as caught:
        eval(call, dict(NAMES))
    error = caught.value
    assert str(error) == text.replace("{known}", ", ".join(KNOWN))
    assert type(error) is getattr(errors, kind)
    assert isinstance(error, BUILTINS[kind])
    assert error.hint


def test_every_case_stands_once() -> None:
    calls = [call for call, _, _ in cases()]
    assert len(calls) == CASES.count(">>> ") == len(set(calls))


def test_memory_limit_is_checked_before_anything_is_allocated() -> None:
    """The result would have 8 * 10^16 bytes: allocating it would raise another message."""
    program = ed.compile(ed.parse("C[i,j] = x[i]*x[j]"), memory_limit="1GiB")
    x = np.broadcast_to(np.float64(1), (10**8,))
    needed = program.cost(i=10**8).peak_memory
    assert needed >= 8 * 10**16
    with pytest.raises(MemoryError) as caught:
        program(x=x)
    assert isinstance(caught.value, ed.EinderivError)
    assert str(caught.value) == (
        f"the program needs {needed:,} bytes, the limit is 1,073,741,824\n"
        "  its arguments and results are counted\n"
        "  raise memory_limit, or ask for a product with a vector (hvp) instead of a Hessian"
    )


# ---------------------------------------------------------------- what must not fail

SQUARES = ed.parse("(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])")


def test_arrays_that_a_derivative_no_longer_contains_are_accepted() -> None:
    hessian = SQUARES.hessian("th")
    X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    for more in ({}, {"Y": np.ones(3)}, {"Y": np.ones(3), "th": np.ones(2)}):
        assert np.array_equal(hessian(X=X, **more), 2 * X.T @ X)


def test_arrays_that_a_derivative_no_longer_contains_supply_extents() -> None:
    identity = ed.parse("x[i]*x[i]").hessian("x")
    assert np.array_equal(identity(x=np.zeros(3)), 2 * np.eye(3))
    assert np.array_equal(identity(sizes={"i": 3}), 2 * np.eye(3))


def test_declared_tensor_that_does_not_occur_has_the_derivative_zero() -> None:
    assert np.array_equal(ed.parse("z : (3); x[i]*x[i]").grad("z")(x=[1.0]), np.zeros(3))


def test_special_tensor_is_a_scalar_where_it_stands_without_indices() -> None:
    e = ed.parse("y[i] = ones*ones[i] + x[i]")
    assert list(e.variables) == ["ones", "x"]
    assert np.array_equal(e(ones=2.0, x=[1.0, 3.0]), [3.0, 5.0])


# ---------------------------------------------------------------- mutations

TEXTS = [
    "X : (n, d)\nQ : (d, d) symmetric\nr[a] = X[a,b]*th[b] - Y[a]\nJ = r[a]*r[a]/n + th[b]*Q[b,c]*th[c]",
    "(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/size[a]",
    "y[i] = exp(A[i,j]*x[j])^2 - 1/2",
    "L = -sum[i](t[i]*logsoftmax[i](z[i]))",
    "inv[i,j](A[i,j] + delta[i,j])[p,q]*B[q,p]",
    "logdet(S) + tr(S)*det(S)",
    "solve(A,b)[i]*c[i]",
    "cholesky(S)[i,j]*inv(A)[j,i]",
    "where(a < b, x[i], max(y[i], 0))*mean[j](u[j])",
    "H[n,k] = tanh(X[n,j]*W[j,k] + b[k])",
    "eps[i,j,k]*u[j:3]*v[k]",
    "D[i:n,j] = delta[i,j]*x[i] + ones[i]*zeros[j:3]",
    "prod[i](x[i])*max[i](x[i]) + logsumexp[i,j](M[i,j])",
    "S : (3, 3) spd\nx[i]*S[i,j]*x[j] + atan2(p, q)^2",
    "f[i] = A[i,i]*x[i] # diagonal\nsqrt(f[i]*f[i]); ",
    "w : (m) positive\nerf(w[i])*lgamma(w[i]) + relu(x[i])*step(x[i])",
    "tril(A)[i,j]*abs(sign(x[i]) - softplus(y[j]))",
    "min[k](a[k] + 3*b[k]) / (c**2 + pi)",
    "solve[i,j](A[i,j], b[i])[p]*x[p]",
    *(random_program(seed).text for seed in range(300, 310)),
]
TOKEN = re.compile(r"[^\W\d]\w*|\d+(?:\.\d*)?(?:e-?\d+)?|\*\*|<=|>=|==|!=|\s|.", re.S)
WORDS = [
    *"i j k a b x y A S n c + - * / ^ ** ( ) [ ] , : ; = < <= == > 1 2 3 0 0.5 1e-3 # @ ' { _ θ".split(),
    *"exp log abs sign sum max mean min prod det inv solve tr cholesky tril logdet where delta".split(),
    *"eps ones zeros size softmax logsumexp pi symmetric spd positive polygamma digamma step pow".split(),
    *"[i] [i,j] (x) (A) A[i,j] x[i] () i:n i:2 erf atan2 eq prodexcept".split(),
    "\n",
    " ",
]


def mutated(rng: random.Random) -> str:
    """A valid text with one to four tokens inserted, deleted, exchanged, replaced or copied."""
    tokens = TOKEN.findall(rng.choice(TEXTS))
    for _ in range(rng.choice([1, 1, 2, 4])):
        i, j = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        kind = rng.choice(
            ["insert", "delete", "swap", "replace", "copy", "rename", "rename", "rename"]
        )
        if kind == "insert":
            tokens.insert(i, rng.choice(WORDS))
        elif kind == "delete" and len(tokens) > 1:
            del tokens[i]
        elif kind == "swap":
            tokens[i], tokens[j] = tokens[j], tokens[i]
        elif kind == "replace":
            tokens[i] = rng.choice(WORDS)
        elif kind == "copy":
            tokens[i:i] = tokens[j : j + rng.randrange(1, 6)]
        elif kind == "rename":  # mostly still a program: a name becomes another name of the text
            names = [place for place, token in enumerate(tokens) if token[0].isalpha()]
            if names:
                tokens[rng.choice(names)] = tokens[rng.choice(names)]
    return "".join(tokens)


def attempt(action: Callable[[], Any], seen: list[str]) -> Any:
    """What an action gives; None where it is refused with a message."""
    try:
        return action()
    except ed.EinderivError as error:
        assert error.hint, str(error)
        seen.append(type(error).__name__)
        return None


def exercise(text: str, rng: random.Random) -> list[str]:
    """Parse, print, derive and evaluate a text; the names of the errors met."""
    seen: list[str] = []
    e = attempt(lambda: ed.parse(text), seen)
    if e is None:
        return seen
    seen.append("parsed")
    str(e), e.latex()
    numbers, extents = np.random.default_rng(rng.randrange(2**32)), {}
    arrays = {}
    for name, shape in e.variables.items():
        sizes = [
            dim if isinstance(dim, int) else extents.setdefault(dim, rng.choice([0, 1, 2, 3, 3]))
            for dim in shape
        ]
        if max(sizes, default=0) > 10 or len(sizes) > 5:
            return seen
        arrays[name] = numbers.normal(size=sizes)
    attempt(lambda: e(arrays), seen)
    attempt(lambda: e(arrays, sizes={dim: 2 for dim in e.shape if isinstance(dim, str)}), seen)
    if arrays:
        x = rng.choice(list(arrays))
        derivative = attempt(lambda: e.diff(x), seen)
        if derivative is not None:
            str(derivative)
            attempt(lambda: derivative(arrays), seen)
        attempt(lambda: e.grad(x), seen)
    return seen


@pytest.mark.parametrize("block", range(15))
def test_mutated_programs_raise_nothing_but_our_errors(block: int) -> None:
    """Fifteen times a hundred mutations; the text is printed where another exception leaves."""
    seen = []
    for seed in range(100 * block, 100 * block + 100):
        rng = random.Random(seed)
        text = mutated(rng)
        try:
            seen += exercise(text, rng)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r} left\n{text}") from error
    assert {"NotationError", "parsed"} <= set(seen)
