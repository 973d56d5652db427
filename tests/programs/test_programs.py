"""Compiled programs: what they share, their order, price, source, dtypes and how they treat arrays.

Oracles: NumPy formulas, counts of instructions, operations counted by hand, the program in another dtype.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.special

import einderiv as ed
from einderiv.programs import program as steps
from einderiv.programs.program import why_not_valid
from tests.program_cases import FACTORISATION, arrays_for, close, count, run_alone, varied

# ---------------------------------------------------------------- forms and sharing


def test_one_expression_a_list_and_a_dict_give_results_of_the_same_form() -> None:
    e = ed.parse("x[i]*x[i]")
    one, several, named = (ed.compile(f) for f in (e, [e, e.grad("x")], {"f": e, "g": e.grad("x")}))
    x = np.array([1.0, 2.0])
    assert float(one(x=x)) == 5
    assert [np.asarray(r).tolist() for r in several(x=x)] == [5.0, [2.0, 4.0]]
    assert {k: np.asarray(r).tolist() for k, r in named({"x": x}).items()} == {
        "f": 5.0,
        "g": [2.0, 4.0],
    }


def test_value_gradient_and_hessian_of_the_logistic_loss_share_their_functions() -> None:
    f = ed.parse("sum[i](softplus(-y[i]*(X[i,d]*w[d])))")
    p = ed.compile([f, f.grad("w"), f.hessian("w")])
    functions = [s.function for s in p.program.instructions if isinstance(s, steps.Elementwise)]
    # sigmoid(t) and sigmoid(-t), and the root of their product for the symmetric Hessian
    assert sorted(functions) == ["sigmoid", "sigmoid", "softplus", "sqrt"]
    margins = [
        s
        for s in p.program.instructions
        if isinstance(s, steps.Contract)
        and len(s.operands) == 2
        and {p.program.instructions[r].__class__ for r in s.operands} == {steps.Input}
    ]
    assert len(margins) <= 2  # X w once; X and y may meet once for the gradient


def test_equal_terms_parsed_apart_with_other_letters_are_computed_once() -> None:
    e, other = ed.parse("y[i] = exp(A[i,j]*x[j])"), ed.parse("z[p] = 2*exp(A[p,q]*x[q])")
    p = ed.compile([e, other])
    assert count(p, steps.Elementwise) == count(p, steps.Contract) == 1
    assert list(p.arguments) == ["A", "x"]
    first, second = p(A=np.ones((2, 3)), x=np.ones(3))
    assert np.array_equal(second, 2 * first)


def test_every_register_is_needed_by_a_result() -> None:
    e = ed.parse(FACTORISATION)
    p = ed.compile([e, e.grad("A"), e.hessian("A", "B")]).program
    read = set(p.outputs).union(*(steps.operands_of(step) for step in p.instructions))
    assert {step.target for step in p.instructions} <= read


STRUCTURED = {
    "factorisation, A A": lambda: ed.parse(FACTORISATION).hessian("A"),
    "factorisation, A B": lambda: ed.parse(FACTORISATION).hessian("A", "B"),
    "elementwise": lambda: ed.parse("y[i] = sin(x[i])*x[i]").diff("x"),
    "elementwise, twice": lambda: ed.parse("Y[i,j] = exp(X[i,j])").diff("X", order=2),
    "sum of squares": lambda: ed.parse("x[i]*x[i]").hessian("x"),
    "matrix product": lambda: ed.parse("Y[i,k] = A[i,j]*B[j,k]").diff("A"),
    "layer": lambda: ed.parse("y[i] = tanh(W[i,j]*x[j])").diff("W"),
    "sum of layers": lambda: ed.parse("tanh(W[i,j]*x[j])*tanh(W[i,k]*x[k])").hessian("W"),
    "alike": lambda: ed.parse("Y[i,j,k] = (sin(a[i])*delta[i,j] + b[i]*delta[i,j])*x[k]"),
    "logistic": lambda: ed.parse("sum[i](softplus(y[i]*(X[i,d]*w[d])))").hessian("w"),
    "square": lambda: ed.parse("Y[i,k] = X[i,j]*X[j,k]").diff("X"),
    "inverse": lambda: ed.parse("Y[i,j] = inv(A)[i,j]").diff("A"),
}  # fmt: skip


def becoming_results(program: steps.Program) -> set[int]:
    """Registers that are results, or only axis order or a factor away from one."""
    found = set(program.outputs)
    for step in reversed(program.instructions):
        alone = isinstance(step, steps.Contract | steps.Combine) and len(step.operands) == 1
        if step.target in found and alone:
            found.update(steps.operands_of(step))
    return found


@pytest.mark.parametrize("name", STRUCTURED)
def test_deltas_are_dense_in_results_only(name: str) -> None:
    p = ed.compile(STRUCTURED[name]()).program
    allowed = becoming_results(p)
    assert not [
        s for s in p.instructions if isinstance(s, steps.Scatter) and s.target not in allowed
    ]


def test_sum_with_a_delta_inside_a_product_is_no_larger_than_the_result() -> None:
    """s[i]*(delta[i,j] - s[j]): the one place where a delta is dense before the result."""
    p = ed.compile(ed.parse("y[i] = softmax[i](x[i])").diff("x")).program
    assert max(len(step.shape) for step in p.instructions) == 2


def test_equal_instructions_stand_once() -> None:
    """Same operation on the same registers: t^2 of tanh and of its derivative is one product."""
    p = ed.compile(ed.parse("tanh(x[i])*tanh(x[i])").hessian("x")).program
    told = [repr(step).replace(f"target={step.target},", "", 1) for step in p.instructions]
    assert len(set(told)) == len(told)


def test_laplacian_needs_no_hessian() -> None:
    p = ed.compile(ed.parse("sin(x[i])*x[i]*a[i]").laplacian("x"))
    assert max(len(step.shape) for step in p.program.instructions) == 1


@pytest.mark.parametrize("text", ["y[i] = A[i,j]*B[j,k]*x[k]", "y[k] = A[i,j]*B[j,k]*x[i]"])
def test_chain_is_contracted_from_its_vector(text: str) -> None:
    p = ed.compile(ed.parse(text), shapes={"A": (40, 50), "B": (50, 60)})
    products = [s for s in p.program.instructions if isinstance(s, steps.Contract)]
    assert [len(s.shape) for s in products] == [1, 1]
    assert p.cost().flops == 2 * 40 * 50 + 2 * 50 * 60


# ---------------------------------------------------------------- price and table


def test_operations_are_those_counted_by_hand() -> None:
    n, d = 7, 5
    matvec = ed.compile(ed.parse("y[i] = A[i,j]*x[j]", shapes={"A": ("n", "d"), "x": ("d",)}))
    assert matvec.cost(n=n, d=d).flops == 2 * n * d
    product = ed.compile(
        ed.parse("Y[i,k] = A[i,j]*B[j,k]", shapes={"A": ("n", "d"), "B": ("d", "m")})
    )
    assert product.cost(n=n, d=d, m=3).flops == 2 * n * d * 3
    outer = ed.compile(ed.parse("Y[i,j] = x[i]*y[j]", shapes={"x": ("n",), "y": ("d",)}))
    assert outer.cost(n=n, d=d).flops == n * d
    dot = ed.compile(ed.parse("x[i]*y[i]", shapes={"x": ("n",), "y": ("n",)}))
    assert dot.cost(n=n).flops == 2 * n
    sine = ed.compile(ed.parse("y[i] = sin(x[i])", shapes={"x": ("n",)}))
    assert sine.cost(n=n).flops == n


def test_gradient_of_a_quadratic_form_costs_one_sum_and_one_product_or_two_products() -> None:
    n = 11
    g = ed.parse("x[i]*A[i,j]*x[j]", shapes={"A": ("n", "n"), "x": ("n",)}).grad("x")
    assert ed.compile(g).cost(n=n).flops in (n * n + 2 * n * n, 4 * n * n + n)


def test_cost_needs_every_extent() -> None:
    p = ed.compile(ed.parse("y[i] = A[i,j]*x[j]", shapes={"A": ("n", "d"), "x": ("d",)}))
    with pytest.raises(ed.DimensionError, match="extent d"):
        p.cost(n=3)


PEAKS = ["Y[i,k] = A[i,j]*B[j,k]", "Y[i,j] = exp(A[i,j])*B[i,j] + A[i,j]", "Y[i,j] = exp(sin(exp(A[i,j])))",
         "Y[i,j] = delta[i,j]*(A[i,k]*B[k,j]) + A[i,j]", "x[i]*(A[i,j]*B[j,k])*x[k]"]  # fmt: skip


@pytest.mark.parametrize("text", PEAKS)
def test_predicted_peak_is_the_measured_one(text: str) -> None:
    """Within a factor of 1/2 to 3/2 of what tracemalloc sees (inputs, which exist before, added)."""
    n = 300  # 720 kB an array: beside it the interpreter's own objects vanish
    e = ed.parse(text, shapes={"A": ("n", "n"), "B": ("n", "n"), "x": ("n",)})
    p, arrays = (
        ed.compile(e),
        {k: np.ones((n, n) if len(v) == 2 else n) for k, v in e.variables.items()},
    )
    p(arrays)  # planned and compiled
    tracemalloc.start()
    p(arrays)
    measured = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    measured += sum(arrays[step.name].nbytes for step in p.program.inputs)
    assert 0.5 <= p.cost(n=n).peak_memory / measured <= 1.5


def test_memory_limit_refuses_before_anything_is_allocated() -> None:
    p = ed.compile(ed.parse("Y[i,j] = x[i]*x[j]"), memory_limit="1MB")
    with pytest.raises(ed.ResourceLimitError):
        p(x=np.ones(100_000))


def test_the_source_takes_arrays_in_the_order_of_arguments() -> None:
    p = ed.compile(ed.parse("Y[i,l] = tanh(A[i,j]*B[j,k])*C[k,l]"))
    A, B, C = np.random.default_rng(3).random((3, 4, 4))
    assert p.arguments == ("A", "B", "C")
    assert np.allclose(run_alone(p.source, {"A": A, "B": B, "C": C}, ["A", "B", "C"]), p(A, B, C))


def test_results_may_not_share_memory_that_is_given() -> None:
    p = ed.compile([ed.parse("Y[i,j] = A[i,j]^2"), ed.parse("Z[i,j] = A[j,i] + 1")])
    out = np.empty((2, 4, 4))
    with pytest.raises(ed.DataError, match="share memory"):
        p(A=np.ones((4, 4)), out=[out[0], out[0]])
    first, second = p(A=np.ones((4, 4)), out=list(out))
    assert (first == 1).all() and (second == 2).all()


@pytest.mark.parametrize("limit", [500_000, 700_000, 1_000_000, 2_000_000, 3_000_000])
def test_a_tensor_with_itself_runs_in_blocks_at_every_limit(limit: int) -> None:
    e = ed.parse("sum[i,j](exp(X[i,d]*X[j,d]))")
    X = np.random.default_rng(4).normal(size=(600, 3))
    p = ed.compile(e, memory_limit=limit)
    assert np.isclose(p(X=X), np.exp(X @ X.T).sum(), rtol=1e-12)
    p.release()
    tracemalloc.start()
    p(X=X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak + X.nbytes <= limit


SLICED = {
    "a kernel sum": ("s[i] = sum[j](exp(-(x[i] - y[j])^2)*w[j])", None),
    "its gradient": ("s = sum[i,j](exp(-(x[i] - y[j])^2)*w[j])", "x"),
    "attention": ("J = softmax[j](Q[i,k]*K[j,k])*V[j,c]*G[i,c]", "Q"),
}


@pytest.mark.parametrize("name", SLICED)
def test_a_limit_of_memory_is_kept_by_blocks_of_an_index(name: str) -> None:
    text, wrt = SLICED[name]
    e = ed.parse(text) if wrt is None else ed.parse(text).grad(wrt)
    rng = np.random.default_rng(7)
    shapes = {x: tuple(1000 if d in "ij" else 5 for d in e.variables[x]) for x in e.variables}
    arrays = {x: rng.normal(size=shape) for x, shape in shapes.items()}
    whole, limit = ed.compile(e), 3_000_000
    want = whole(**arrays)
    p = ed.compile(e, memory_limit=limit)
    assert np.allclose(p(**arrays), want, rtol=1e-12, atol=1e-12)
    p.release()
    peaks = []
    for program in (whole, p):
        program.release()
        tracemalloc.start()
        program(**arrays)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    inputs = sum(array.nbytes for array in arrays.values())
    assert peaks[0] + inputs > 2 * limit and peaks[1] + inputs <= limit, peaks


@varied
def test_table_has_a_line_for_every_step_and_the_program_is_valid(text: str, formula: Any) -> None:
    p = ed.compile(ed.parse(text))
    lines = str(p).splitlines()
    for step in p.program.instructions:
        assert any(line.split()[0] == f"v{step.target}" for line in lines if line.strip())
    assert why_not_valid(p.program) is None
    assert p.cost(**{dim: 3 for e in [ed.parse(text)] for s in e.variables.values() for dim in s
                     if isinstance(dim, str)}).steps == len(p.program.instructions)  # fmt: skip


# ---------------------------------------------------------------- values and source


@varied
def test_value_is_that_of_the_formula(text: str, formula: Any) -> None:
    e = ed.parse(text)
    arrays = arrays_for(e)
    wanted = formula(**{k: arrays[k] for k in formula.__code__.co_varnames})
    assert close(e(arrays), wanted)


@varied
def test_source_runs_alone_and_gives_the_same(text: str, formula: Any) -> None:
    p = ed.compile(ed.parse(text))
    arrays = arrays_for(ed.parse(text))
    ours = run_alone(p.source, arrays, list(p.arguments))
    assert np.allclose(ours, p(arrays), rtol=1e-14, atol=1e-15)  # tiny ones run on numbers


HOSTILE = ["lambda", "np", "v0", "n0", "dtype", "special", "f", "run", "module", "class", "None", "θ", "Σ_1",
           "__import__", "print", "self", "sizes", "arrays", "x0_1"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_a_tensor_name(name: str) -> None:
    e = ed.parse(f"y[i] = erf({name}[i])*inv(A)[i,j]*{name}[j]")
    arrays = {name: np.array([0.1, 0.2]), "A": np.array([[2.0, 1.0], [0.5, 3.0]])}
    wanted = scipy.special.erf(arrays[name]) * np.linalg.solve(arrays["A"], arrays[name])
    assert close(e(arrays), wanted)
    assert close(e.diff(name)(arrays).shape, (2, 2))
    p = ed.compile(e)
    assert close(run_alone(p.source, arrays, list(p.arguments)), wanted)


def test_extents_that_no_array_tells_are_given_as_sizes() -> None:
    e = ed.parse("I : (n,n); Y[i:n,j] = delta[i:n,j]")
    assert np.array_equal(e(sizes={"n": 3}), np.eye(3))
    with pytest.raises(ed.DimensionError):
        e()


def test_inverse_times_vector_is_a_solve_with_a_small_residual() -> None:
    A, b = scipy.linalg.hilbert(10), np.arange(1.0, 11.0)  # condition 1.6e13
    for text in ("x[i] = inv(A)[i,j]*b[j]", "x[j] = b[i]*inv(A)[i,j]"):
        p = ed.compile(ed.parse(text))
        assert (count(p, steps.Solve), count(p, steps.Whole)) == (1, 0)
        x = p(A=A, b=b)
        assert np.linalg.norm(A @ x - b) <= 1e-14 * np.linalg.norm(A) * np.linalg.norm(x)
