"""`e.explain(wrt, method="adjoint")`: forward values, adjoints in reverse order, the derivative.

Oracles: the table is run as a program, line by line, and each adjoint compared with complex steps of the
result as a function of that value alone; the gradient of a network from JAX.
"""

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import einderiv as ed
from einderiv.derivations import adjoint as adjoint_method
from einderiv.derivations.adjoint import adjoint_name, with_bars, with_macrons
from einderiv.derivations.derivation import Derivation
from einderiv.derivations.records import all_steps
from einderiv.errors import EinderivError

RNG = np.random.default_rng(1986)
CASES = json.loads(
    (Path(__file__).parents[1] / "cases")
    .joinpath("matrix_calculus.json")
    .read_text(encoding="utf-8")
)
SIZES = {"m": 3, "n": 4, "p": 2}
MACRON = "\u0304"


def table(text: str, wrt: str, notation: str = "index", **more: Any) -> Derivation:
    return ed.parse(text, notation, **more).explain(wrt, method="adjoint")


def rows(d: Derivation) -> list[tuple[str, str]]:
    """Left and right sides of the adjoints, with names that a program can have."""
    steps = [step for step in all_steps(d.steps) if not step.folded]
    return [(plain(str(step.left)), plain(step.after.text)) for step in steps]


def plain(text: str) -> str:
    """v with a bar as bar_v."""
    return re.sub(rf"\w(?:{MACRON}\w*)+", lambda f: "bar_" + f[0].replace(MACRON, ""), text)


# ---------------------------------------------------------------- the table as text


def test_least_squares_as_a_table() -> None:
    text = "r[a] = X[a,b]*th[b] - Y[a]; J = r[a]*r[a]/n"
    d = table(text, "th[d]", shapes={"X": ("n", "d")})
    bar = {
        name: with_macrons(adjoint_name(name))
        for name in ("J", "v1", "v2", "r", "th", "v", "u", "y")
    }
    assert str(d).replace("ū", "u" + MACRON).replace("ȳ", "y" + MACRON) == (
        f"""\
forward values
  v1[a]     = X[a,b]*th[b]
  r[a]      = v1[a] - Y[a]
  v2        = r[a]*r[a]
  J         = v2/n
adjoints
  {bar["J"]}         = 1                                  seed
  {bar["v2"]}        = 1/n                                product: y = u*w: {bar["u"]} = {bar["y"]}*w
  {bar["r"]}[a]      = 2*{bar["v2"]}*r[a]                          product: y = u*w: {bar["u"]} = {bar["y"]}*w
  {bar["v1"]}[a]     = {bar["r"]}[a]                               sum: y = c*u: {bar["u"]} = c*{bar["y"]}
  {bar["th"]}[d]     = X[a,d]*{bar["v1"]}[a]                       product: y = u*w: {bar["u"]} = {bar["y"]}*w
  ∂J/∂th[d] = 2*X[a,d]*(X[a,b]*th[b] - Y[a])/n   values written out

[{bar["v"]} is the adjoint of v: ∂J/∂v]"""
    )


def test_a_function_of_the_value_itself_uses_the_value() -> None:
    d = table("h[i] = tanh(W[i,j]*x[j]); J = u[i]*exp(h[i])", "x")
    assert ("bar_v1[i]", "bar_h[i]*(1 - h[i]^2)") in rows(d)
    assert ("bar_h[i]", "bar_v2[i]*v2[i]") in rows(d)


def test_a_value_used_twice_adds_up_what_it_gets() -> None:
    d = table("v = sin(x); J = v*y + exp(v)", "x")
    assert dict(rows(d))["bar_v1"] == "bar_v2*y + bar_v3*v3"


def test_an_expression_with_axes_is_seeded_with_deltas() -> None:
    d = table("y[i] = A[i,j]*sin(x[j])", "x[k]")
    assert rows(d)[0] == ("bar_y[i,k]", "delta[i,k]")
    assert rows(d)[1] == ("bar_v1[i,j]", "A[i,j]")
    assert rows(d)[-1] == ("∂y[i]/∂x[k]", "A[i,k]*cos(x[k])")
    assert "with the index of y in front" in d.note


def test_latex_writes_bars_over_names() -> None:
    shown = table("th[a]*sin(x[a])", "x").latex()
    assert r"\bar{{v_{1}}}_{a} &= \frac{\partial f}{\partial {v_{1}}_{a}}" in shown
    assert adjoint_name("") not in shown
    assert with_bars(r"\mathrm{adjointofr}_{a}", [adjoint_name("r")]) == r"\bar{r}_{a}"


def test_a_tensor_that_is_not_used_has_adjoint_zero() -> None:
    d = table("J = x[i]*x[i]", "z", shapes={"z": (3,)})
    assert d.steps[-1].after.text == "zeros[k:3]"


# ---------------------------------------------------------------- the table as a program


PROGRAMS = [
    ("r[a] = M[a,b]*x[b] - y[a]; J = r[a]*r[a]/2", "x", {}),
    ("h[i] = tanh(M[i,j]*x[j]); J = log(sum[i](exp(h[i])))", "M", {}),
    ("h[i] = sigmoid(M[i,j]*x[j]); g[i] = h[i]*y[i] + h[i]^2; J = g[i]*h[i]", "x", {}),
    ("J = x[i]*inv(A)[i,j]*x[j] + logdet(A)", "A", {}),
    ("K[i,j] = A[i,k]*A[k,j] + x[i]*x[j]; J = det(K)*tr(K)", "A", {}),
    ("s[i] = softmax[i](x[i]); J = s[i]*log(s[i])", "x", {}),
    ("q = x[i]*A[i,j]*x[j]; J = exp(-q/2)/q", "x", {}),
    ("J = sin(c*x[i])*x[i] + c^3", "c", {}),
    ("Z[a,b] = sin(M[a,i]*P[i,b]); J = Z[a,b]*Z[a,b]", "P", {}),
]
SHAPES: dict[str, tuple[str, ...]] = {
    "M": ("m", "n"), "A": ("n", "n"), "P": ("n", "p"), "x": ("n",), "y": ("m",), "c": (),
}  # fmt: skip
POINT: dict[str, np.ndarray] = {
    name: RNG.uniform(0.2, 0.9, [SIZES[dim] for dim in dims]) for name, dims in SHAPES.items()
}
POINT["A"] = POINT["A"] + 2 * np.eye(4)


def run(lines: list[str], known: Mapping[str, np.ndarray]) -> np.ndarray:
    """The last of the lines; `known` gives the arrays of all tensors in them."""
    dims = {name: np.shape(array) for name, array in known.items()}
    text = "\n".join(lines)
    mentioned = {n: s for n, s in dims.items() if re.search(rf"\b{n}\b", text)}
    e = ed.parse(text, shapes=mentioned)
    return np.asarray(e({n: known[n] for n in mentioned}))


@pytest.mark.parametrize(
    ("text", "wrt", "more"), PROGRAMS, ids=[f"{t} by {w}" for t, w, _ in PROGRAMS]
)
def test_every_adjoint_is_the_derivative_by_its_value(
    text: str, wrt: str, more: dict[str, Any]
) -> None:
    shapes = {n: s for n, s in SHAPES.items() if re.search(rf"\b{n}\b", text)}
    d = table(text, wrt, shapes=shapes, **more)
    known = {name: POINT[name] for name in shapes}
    forward = [(str(left), plain(right.text)) for left, right in d.given]
    assert "where" not in "".join(right for _, right in forward)
    values: dict[str, np.ndarray] = dict(known)
    for left, right in forward:  # downwards
        values[left.partition("[")[0]] = run([f"{left} = {right}"], values)
    for left, right in rows(d)[:-1]:  # downwards again
        name = left.partition("[")[0]
        letters = left.partition("[")[2].rstrip("]").split(",")
        sizes = dict(zip(letters, np.shape(values[name.removeprefix("bar_")]), strict=False))
        right = with_extents(right, sizes)
        values[name] = run([f"{left} = {right}"], values)
    checked = 0
    for place, (left, _) in enumerate(forward[:-1]):
        name = left.partition("[")[0]
        if f"bar_{name}" not in values:
            continue
        after = [f"{one} = {other}" for one, other in forward[place + 1 :]]

        earlier = {one.partition("[")[0] for one, _ in forward[:place]}
        mine = {n: a for n, a in values.items() if n in known or n in earlier}
        expected = complex_steps(partial(moved_result, after, mine, name), values[name])
        np.testing.assert_allclose(values[f"bar_{name}"], expected, rtol=1e-10, atol=1e-12)
        checked += 1
    assert checked == len(forward) - 1


def with_extents(text: str, sizes: Mapping[str, int]) -> str:
    """delta[i:4,j] for delta[i,j], which alone does not say how large it is."""
    return re.sub(r"(delta|ones)\[(\w+)", lambda f: f"{f[1]}[{f[2]}:{sizes[f[2]]}", text)


def moved_result(
    after: list[str], known: Mapping[str, np.ndarray], name: str, moved: np.ndarray
) -> np.ndarray:
    """The result where one value is given and what comes after it is computed."""
    return run(after, {**known, name: moved})


def complex_steps(f: Any, x: np.ndarray) -> np.ndarray:
    columns = []
    for k in range(x.size):
        moved = x.astype(complex)
        moved.reshape(-1)[k] += 1e-30j
        columns.append(np.imag(f(moved)) / 1e-30)
    return np.reshape(columns, x.shape)


def test_a_network_has_the_gradient_of_jax() -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    text = """
        h[i] = tanh(W[i,j]*x[j] + b[i])
        z[k] = V[k,i]*h[i]
        J = logsumexp[k](z[k]) - t[k]*z[k]
    """
    shapes = {"W": (5, 3), "V": (4, 5), "b": (5,), "x": (3,), "t": (4,)}
    arrays = {name: RNG.normal(size=shape) for name, shape in shapes.items()}

    def loss(W: Any) -> Any:
        z = arrays["V"] @ jnp.tanh(W @ arrays["x"] + arrays["b"])
        return jax.scipy.special.logsumexp(z) - arrays["t"] @ z

    d = table(text, "W[i,j]", shapes=shapes)
    result = run([f"G[i,j] = {d.steps[-1].after.text}"], arrays)
    np.testing.assert_allclose(result, jax.grad(loss)(arrays["W"]), rtol=1e-12)


# ---------------------------------------------------------------- what holds for all


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_public_cases_end_with_the_engines_derivative(case: dict[str, Any]) -> None:
    e = ed.parse(case["index"], shapes=case["shapes"])
    d = e.explain(case["wrt"], method="adjoint")
    assert d.steps[-1].after.term is e.diff(case["wrt"]).term
    assert all(step.how for step in d.steps)
    assert str(d).startswith("forward values") and d.latex() and d.html()


def test_denominator_layout_ends_with_its_axes_first() -> None:
    e = ed.parse("y[i] = A[i,j]*sin(x[j])")
    d = e.explain("x[k]", method="adjoint", layout="denominator")
    assert d.steps[-1].after.term is e.diff("x[k]", layout="denominator").term


def deep(layers: int) -> Derivation:
    lines = ["h0[i] = tanh(W0[i,j]*x[j])"]
    lines += [f"h{k}[i] = h{k - 1}[i] + tanh(W{k}[i,j]*h{k - 1}[j])" for k in range(1, layers)]
    shapes = {f"W{k}": ("n", "n") for k in range(layers)}
    return table("\n".join([*lines, f"J = h{layers - 1}[i]*h{layers - 1}[i]"]), "x", shapes=shapes)


def test_a_deep_residual_network_has_a_table_of_linear_length() -> None:
    lengths = []
    for layers in (20, 40, 60):
        d = deep(layers)
        assert len(d.steps) <= 20  # the others are folded, the table shows them
        lengths.append(sum(len(left) + len(right) for left, right in rows(d)[:-1]))
        assert len(rows(d)) == 3 * layers + 2
    assert lengths[2] - lengths[1] == pytest.approx(lengths[1] - lengths[0], rel=0.1)


def test_a_chain_of_thousands_is_no_recursion() -> None:
    text = "v0 = sin(x)\n" + "\n".join(f"v{k} = sin(v{k - 1})" for k in range(1, 1_000))
    d = table(text, "x")
    assert len(rows(d)) == 1_002


def test_a_wrong_adjoint_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    right = adjoint_method.sweep

    def wrong(*arguments: Any) -> Any:
        return {
            v: adjoint_method.add([(2, term)], term.shape) for v, term in right(*arguments).items()
        }

    monkeypatch.setattr(adjoint_method, "sweep", wrong)
    with pytest.raises(EinderivError, match="not an equality"):
        table("J = x[i]*exp(x[i])", "x")


def test_only_adjoints_have_a_bar_in_latex() -> None:
    d = ed.parse("x'*A*x", notation="matrix").explain("x", method="adjoint")
    forward, _, adjoints = d.latex().partition(r"\text{adjoints}")
    assert r"\bar" not in forward and r"f &= A_{ij}" in forward and r"\bar{f}" in adjoints
    assert "<p>forward values</p>" in d.html()
