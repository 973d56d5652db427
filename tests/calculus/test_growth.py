"""How expressions grow: counted in distinct nodes and characters, never in seconds.

The oracle is a line: what n layers add must be the same for every n.
EINDERIV_LONG=1 adds sines nested 100,000 deep (half a minute) and the text of 1,000 layers.
"""

from __future__ import annotations

import os
import pickle
import sys
from functools import cache

import numpy as np
import pytest

import einderiv as ed
from einderiv.terms.walk import postorder

LONG = os.environ.get("EINDERIV_LONG") == "1"


def tanh_network(layers: int) -> str:
    """h_k = tanh(W_k h_{k-1}), and the squared norm of the last layer."""
    lines = ["h0[i] = x[i]"]
    lines += [f"h{k}[i] = tanh(W{k}[i,j]*h{k - 1}[j])" for k in range(1, layers + 1)]
    return "\n".join([*lines, f"h{layers}[i]*h{layers}[i]"])


def residual_network(layers: int) -> str:
    lines = ["h0[i] = x[i]"]
    lines += [f"h{k}[i] = h{k - 1}[i] + tanh(W{k}[i,j]*h{k - 1}[j])" for k in range(1, layers + 1)]
    return "\n".join([*lines, f"h{layers}[i]*h{layers}[i]"])


def squaring(times: int) -> str:
    lines = ["e0 = x", *(f"e{k} = e{k - 1}*e{k - 1} + sin(e{k - 1})" for k in range(1, times + 1))]
    return "\n".join(lines)


def nested(function: str, depth: int) -> str:
    return f"{function}(" * depth + "x" + ")" * depth


@cache
def gradients(layers: int) -> dict[str, ed.Expression]:
    e = ed.parse(tanh_network(layers))
    found: dict[str, ed.Expression] = e.grad(*(f"W{k}" for k in range(1, layers + 1)))
    return found


def nodes(*expressions: ed.Expression) -> int:
    """Distinct nodes: a term that occurs twice is one object."""
    return len(postorder([e.term for e in expressions]))


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize("layers", [10, 100, 1000])
def test_all_gradients_of_a_network_have_at_most_ten_nodes_a_layer(layers: int) -> None:
    assert nodes(*gradients(layers).values()) <= 10 * layers


def test_nodes_of_all_gradients_grow_no_faster_than_the_layers() -> None:
    ten, hundred, thousand = (nodes(*gradients(n).values()) for n in (10, 100, 1000))
    assert thousand - hundred <= (hundred - ten) * 10


def test_expression_itself_has_a_fixed_number_of_nodes_a_layer() -> None:
    ten, hundred, thousand = (nodes(ed.parse(tanh_network(n))) for n in (10, 100, 1000))
    assert (hundred - ten) * 10 == thousand - hundred


def test_gradients_of_a_residual_network_share_their_sums() -> None:
    """2^20 paths from the loss to the first layer; each node of the sweep stands once."""
    e = ed.parse(residual_network(20))
    assert nodes(*e.grad(*(f"W{k}" for k in range(1, 21))).values()) < 400


def test_gradients_of_a_residual_network_are_affine_in_the_layers() -> None:
    counts = []
    for layers in (10, 20, 30):
        found = ed.parse(residual_network(layers)).grad(*(f"W{k}" for k in range(1, layers + 1)))
        counts.append(nodes(*found.values()))
    assert counts[2] - counts[1] == counts[1] - counts[0]


def test_steps_of_a_compiled_gradient_are_affine_in_the_layers() -> None:
    counts = []
    for layers in (10, 20, 30):
        found = ed.parse(tanh_network(layers)).grad(*(f"W{k}" for k in range(1, layers + 1)))
        counts.append(len(ed.compile(found).program.instructions))
    assert counts[2] - counts[1] == counts[1] - counts[0]


def test_deep_gradients_are_right() -> None:
    """Against the backward pass written by hand."""
    layers, n = 40, 3
    rng = np.random.default_rng(5)
    w = {f"W{k}": rng.normal(size=(n, n)) / 2 for k in range(1, layers + 1)}
    x = rng.normal(size=n)
    outputs = [x]
    for k in range(1, layers + 1):
        outputs.append(np.tanh(w[f"W{k}"] @ outputs[-1]))
    adjoint, wanted = 2 * outputs[-1], {}
    for k in range(layers, 0, -1):
        inner = adjoint * (1 - outputs[k] ** 2)
        wanted[f"W{k}"] = np.outer(inner, outputs[k - 1])
        adjoint = w[f"W{k}"].T @ inner
    results = ed.compile(gradients(layers))(x=x, **w)
    for name, result in results.items():
        scale = np.max(np.abs(wanted[name]))
        assert np.max(np.abs(result - wanted[name])) <= 1e-11 * scale, (
            name
        )  # 40 layers of roundings


def test_text_of_a_gradient_is_linear_in_the_layers() -> None:
    """Definitions are used: written out, the first layer's gradient has 2^n copies of the last."""
    layers = (10, 100, 1000) if LONG else (10, 40, 160)
    small, middle, large = (len(str(gradients(n)["W1"])) / n for n in layers)
    assert middle <= 1.2 * small  # a layer's number has more digits
    assert large <= 1.2 * middle
    assert large <= 100  # measured: 66 characters a layer at 100 layers


def test_text_of_a_deep_gradient_reads_back() -> None:
    d = gradients(40)["W1"]
    assert ed.parse(str(d), shapes=d.variables) == d


# ---------------------------------------------------------------- shared terms


def test_derivative_of_repeated_squaring_stays_small() -> None:
    """Written out, e_14 has more than 2^14 leaves."""
    assert nodes(ed.parse(squaring(14)).diff("x")) < 300


def test_text_of_repeated_squaring_stays_short() -> None:
    assert len(str(ed.parse(squaring(14)).diff("x"))) < 10_000


def test_repeated_squaring_has_the_derivative_of_its_recursion() -> None:
    value, slope = 0.1, 1.0
    for _ in range(14):
        value, slope = value * value + np.sin(value), (2 * value + np.cos(value)) * slope
    d = ed.parse(squaring(14)).diff("x")
    assert abs(d(x=0.1) - slope) <= 1e-12 * abs(slope)


@pytest.mark.parametrize("length", [8, 16, 32, 64, 128])
def test_gradients_of_a_chain_of_matrices_share_prefixes_and_suffixes(length: int) -> None:
    """y' A_n ... A_1 x: a variable, an outer product, a prefix and a suffix for each factor."""
    lines = ["h0[i] = x[i]"]
    lines += [f"h{k}[i] = A{k}[i,j]*h{k - 1}[j]" for k in range(1, length + 1)]
    e = ed.parse("\n".join([*lines, f"y[i]*h{length}[i]"]))
    assert nodes(*e.grad(*(f"A{k}" for k in range(1, length + 1))).values()) <= 4 * length


# ---------------------------------------------------------------- depth


@pytest.mark.parametrize("depth", [6_000, *([100_000] if LONG else [])])
def test_deeply_nested_functions_need_no_recursion(depth: int) -> None:
    limit = sys.getrecursionlimit()
    e = ed.parse(nested("sin", depth))
    d = e.diff("x")
    value, slope = 0.5, 1.0
    for _ in range(depth):
        slope *= np.cos(value)
        value = np.sin(value)
    assert abs(e(x=0.5) - value) <= 1e-12
    assert abs(d(x=0.5) - slope) <= 1e-9 * abs(slope)  # 6,000 roundings of a product
    assert pickle.loads(pickle.dumps(e)) == e
    assert str(e).count("sin(") == depth
    assert str(d)
    assert sys.getrecursionlimit() == limit


def test_deeply_nested_parentheses_parse() -> None:
    limit = sys.getrecursionlimit()
    assert ed.parse(nested("", 100_000)) == ed.parse("x")
    assert sys.getrecursionlimit() == limit


def test_long_sums_and_products_parse() -> None:
    total = ed.parse(" + ".join(["x"] * 20_000))
    assert str(total) == "20000*x"
    product = ed.parse("*".join(["x"] * 20_000))
    assert str(product) == "x^20000"


def test_long_sums_of_different_terms_have_a_node_a_term() -> None:
    small, middle, large = (
        nodes(ed.parse(" + ".join(f"a{k}[i]*b{k}[i]" for k in range(n)))) for n in (100, 200, 300)
    )
    assert large - middle == middle - small
