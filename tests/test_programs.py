"""Compiled programs: what they share, their order, price, source, dtypes and how they treat arrays.

Oracles: NumPy formulas, counts of instructions, operations counted by hand, the program in another dtype.
"""

from __future__ import annotations

import copy
import itertools
import pickle
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.special

import einderiv as ed
from einderiv import program as steps
from einderiv.program import why_not_valid

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
    assert sorted(functions) == ["sigmoid", "sigmoid", "softplus"]  # sigmoid(t) and sigmoid(-t)
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
    assert [step.name for step in p.program.inputs] == ["A", "x"]
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


def run_alone(source: str, arrays: dict[str, Array], inputs: list[str]) -> Any:
    """The source in a namespace of its own; parameters are in the order of the inputs."""
    assert "einderiv" not in source.replace("by einderiv", "")
    space: dict[str, Any] = {}
    exec(compile(source, "<shown source>", "exec"), space)
    return space["f"](*(arrays[name] for name in inputs))


@varied
def test_source_runs_alone_and_gives_the_same(text: str, formula: Any) -> None:
    p = ed.compile(ed.parse(text))
    arrays = arrays_for(ed.parse(text))
    ours = run_alone(p.source, arrays, [step.name for step in p.program.inputs])
    assert np.array_equal(ours, p(arrays))


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
    assert close(run_alone(p.source, arrays, [step.name for step in p.program.inputs]), wanted)


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


# ---------------------------------------------------------------- dtypes

KINDS = [("f8", "f8"), ("f4", "f4"), ("f2", "f4"), ("i8", "f8"), ("u1", "f8"), ("?", "f8"),
         (">f8", "f8"), (">i4", "f8"), (">f4", "f4")]  # fmt: skip
FLOATS = [
    ed.parse("x[i]*x[i]/3 + size[i]*pi"),
    ed.parse("x[i]*x[i]*x[i]/3").grad("x"),
    ed.parse("x[i]*x[i]*sum[j](exp(x[j]))/7").hessian("x"),
    ed.parse("y[i] = softmax[i](x[i])*2/3").diff("x"),
    ed.parse("y[i] = where(x[i] > 1/2, x[i]^(1/3), sigmoid(x[i]))").diff("x"),
    ed.parse("y[i,j] = (x[i]*x[j] + delta[i,j])/3"),
    ed.parse("y[i] = eps[i,j,k]*x[j]*x[k]*pi + lgamma(x[i] + 1)*size[i]"),
    ed.parse("y[i] = step(x[i]) + max(x[i], 1/3) + erf(x[i]) + polygamma(1, x[i] + 1)"),
]


@pytest.mark.parametrize(("given", "computed"), KINDS)
@pytest.mark.parametrize("e", FLOATS, ids=str)
def test_dtype_of_results_follows_the_arrays(e: ed.Expression, given: str, computed: str) -> None:
    x = np.array([1, 0, 1]).astype(given)
    result = e(x=x)
    assert result.dtype == np.dtype(computed) and result.dtype.isnative
    wanted = e(x=x.astype("f8"))
    finite = np.isfinite(wanted)  # a root's slope at 0 is infinite
    assert close(result[finite], wanted[finite], 1e-5 if computed == "f4" else 1e-13)


def test_arrays_that_a_derivative_no_longer_needs_still_tell_its_dtype() -> None:
    hessian = ed.parse("x[i]*x[i]").hessian("x")  # 2*delta
    assert hessian(x=np.ones(2, "f4")).dtype == np.float32


@pytest.mark.parametrize("kind", ["i1", "?", "f2", ">f8", "f4", "c8"])
@pytest.mark.parametrize("text", ["x[i]*x[i]", "y[i] = -x[i]", "y[i] = x[i]^(-3)/3 + pi"])
def test_source_computes_in_the_dtype_of_the_program(text: str, kind: str) -> None:
    p, x = ed.compile(ed.parse(text)), np.array([100, 1]).astype(kind)
    ours, theirs = run_alone(p.source, {"x": x}, ["x"]), p(x=x)
    assert np.asarray(ours).dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


HOLOMORPHIC = ["x[i]*x[i]*A[i,j]", "exp(A[i,j]*x[j])", "sin(x[i])/(2 + x[i])", "inv(A)[i,j]*x[j]",
               "logdet(A)*x[i]", "softmax[i](x[i])*x[i]",
               "tanh(x[i])^3 + sqrt(x[i])", "sigmoid(x[i]) + softplus(x[i])",
               "logsumexp[i](x[i])*log(A[i,j])", "prod[i](x[i]) + erf(x[j])"]  # fmt: skip


@pytest.mark.parametrize("text", HOLOMORPHIC)
@pytest.mark.parametrize(("kind", "tolerance"), [("c16", 1e-12), ("c8", 2e-5)])
def test_complex_arrays_give_the_real_function_at_real_points(
    text: str, kind: str, tolerance: float
) -> None:
    e = ed.parse(text)
    arrays = arrays_for(e)
    result = e({name: array.astype(kind) for name, array in arrays.items()})
    assert result.dtype == kind
    assert close(result, e(arrays), tolerance)


@pytest.mark.parametrize("text", HOLOMORPHIC)
def test_complex_step_gives_the_derivative(text: str) -> None:
    e = ed.parse(text)
    arrays, h = arrays_for(e), 1e-30
    direction = np.array([1.0, -2.0, 0.5])
    moved = e({**arrays, "x": arrays["x"] + 1j * h * direction}).imag / h
    assert close(e.diff("x")(arrays) @ direction, moved)


def test_functions_that_are_not_holomorphic_refuse_complex_arrays() -> None:
    with pytest.raises(ed.DataError, match="abs"):
        ed.parse("abs(x[i])")(x=np.ones(2, complex))


def test_asked_dtype_is_computed_in() -> None:
    p = ed.compile(ed.parse("x[i]*x[i]/3"), dtype="float32")
    assert p(x=[1.0, 2.0]).dtype == np.float32


# ---------------------------------------------------------------- arrays in memory


def spaced(a: Array) -> Array:
    wide = np.full(tuple(2 * n for n in a.shape), np.nan)
    wide[tuple(slice(None, None, 2) for _ in a.shape)] = a
    return wide[tuple(slice(None, None, 2) for _ in a.shape)]


def reversed_view(a: Array) -> Array:
    return np.ascontiguousarray(np.flip(a))[(slice(None, None, -1),) * a.ndim]


def unaligned(a: Array) -> Array:
    return np.frombuffer(b"0" + a.tobytes(), np.uint8)[1:].view("f8").reshape(a.shape)


LAYOUTS = {
    "fortran": np.asfortranarray,
    "spaced": spaced,
    "negative strides": reversed_view,
    "list": lambda a: a.tolist(),
    "big-endian": lambda a: a.astype(">f8"),
    "unaligned": unaligned,
}


@varied
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_of_the_arrays_does_not_matter_and_they_are_never_written(
    text: str, formula: Any, layout: str
) -> None:
    e = ed.parse(text)
    arrays = arrays_for(e)
    given = {name: LAYOUTS[layout](array) for name, array in arrays.items()}
    before = copy.deepcopy(given)
    for array in given.values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    assert close(e(given), e(arrays))
    assert all(np.asarray(given[k]).tobytes() == np.asarray(before[k]).tobytes() for k in given)


def test_repeated_entries_of_a_broadcast_array_are_read_right() -> None:
    x = np.broadcast_to(np.float64(2), (3,))
    A = np.broadcast_to(np.arange(3.0), (2, 3))
    assert ed.parse("y[i] = A[i,j]*x[j]")(A=A, x=x).tolist() == [6, 6]
    result = ed.parse("Y[i,j] = A[i,j]")(A=A)
    assert result.flags.writeable and 0 not in result.strides


ALIASES = [
    "x[i]",
    "A[i,j]",
    "Y[j,i] = A[i,j]",
    "y[i] = A[i,i]",
    "Y[i,j] = x[i]*ones[j:3]",
    "1*x[i] + 0*y[i]",
    "2*x[i]/2",
]


def test_results_share_no_memory_with_arrays_or_each_other() -> None:
    expressions = [ed.parse(text) for text in ALIASES]
    x, A = np.arange(3.0), np.arange(9.0).reshape(3, 3)
    for e in expressions:
        result = e({k: v for k, v in {"x": x, "A": A, "y": x}.items() if k in e.variables})
        assert not np.shares_memory(result, x) and not np.shares_memory(result, A)
        assert result.flags.writeable
    results = ed.compile([*expressions, *expressions])(x=x, A=A, y=x)
    for first, second in itertools.combinations([x, A, *results], 2):
        assert not np.shares_memory(first, second)


@pytest.mark.parametrize(
    "text",
    ["x[i]", "Y[j,i] = A[i,j]", "sin(x[i])", "y[i] = A[i,j]*x[j]", "Y[i,j] = x[i]*x[j] + A[i,j]"],
)
def test_equal_results_of_one_program_are_two_arrays(text: str) -> None:
    e = ed.parse(text)
    first, second = ed.compile([e, ed.parse(text)])(arrays_for(e))
    assert np.array_equal(first, second) and not np.shares_memory(first, second)
    transposed = ed.compile(
        [e, ed.parse("Z[j,i] = 1*Q[i,j]").substitute(Q=text)] if len(e.shape) == 2 else [e, e]
    )
    assert not np.shares_memory(*transposed(arrays_for(e)))


@pytest.mark.parametrize(("text", "wanted"), [
    ("x[i]*x[i]", 0.0), ("y[i] = A[i,j]*x[j]", [0.0, 0.0]), ("Y[i,j] = x[i]*x[j]", np.zeros((0, 0))),
    ("prod[i](x[i])", 1.0), ("logsumexp[i](x[i])", None), ("Y[i,j] = delta[i,j]*x[j]", np.zeros((0, 0))),
])  # fmt: skip
def test_empty_arrays_have_the_value_of_empty_sums(text: str, wanted: Any) -> None:
    e = ed.parse(text)
    arrays = {"x": np.zeros(0), "A": np.zeros((2, 0))}
    arrays = {name: arrays[name] for name in e.variables}
    if wanted is None:
        with pytest.raises(ed.DataError):
            e(arrays)
    else:
        assert np.array_equal(e(arrays), wanted)


@pytest.mark.parametrize(
    "text",
    [
        "x[i]*y[i]",
        "x[i] + y[i]",
        "max(x[i], y[i])",
        "y[i] = A[i,j]*x[j]",
        "where(x[i] > 0, y[i], 0)",
    ],
)
def test_axes_of_extent_one_are_never_stretched(text: str) -> None:
    e = ed.parse(text)
    arrays = {"x": np.ones(1), "y": np.ones(3), "A": np.ones((3, 3))}
    with pytest.raises(ed.DimensionError):
        e({name: arrays[name] for name in e.variables})


# ---------------------------------------------------------------- repetition, threads, copies


@varied
def test_results_are_the_same_from_call_to_call_and_in_threads(text: str, formula: Any) -> None:
    e = ed.parse(text)
    p, arrays = ed.compile([e]), arrays_for(e)
    barrier, results = threading.Barrier(8), [b""] * 8

    def work(k: int) -> None:
        barrier.wait()
        results[k] = p(arrays)[0].tobytes()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results) == {p(arrays)[0].tobytes()}


def test_one_program_serves_threads_with_arrays_of_different_sizes() -> None:
    p, wrong = ed.compile(ed.parse("y[i] = A[i,j]*B[j,k]*x[k]")), []

    def work(n: int) -> None:
        A, x = np.full((n, n), 2.0), np.ones(n)
        for _ in range(20):
            if not np.array_equal(p(A=A, B=A, x=x), np.full(n, 4.0 * n * n)):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(4**k,)) for k in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@varied
def test_copies_are_equal_and_compute_the_same(text: str, formula: Any) -> None:
    e = ed.parse(text)
    arrays = arrays_for(e)
    name = next(iter(e.variables))
    for original in (e, e.diff(name)):
        for again in (
            copy.copy(original),
            copy.deepcopy(original),
            pickle.loads(pickle.dumps(original)),
        ):
            assert (
                again == original and hash(again) == hash(original) and str(again) == str(original)
            )
            assert again.variables == original.variables and again.indices == original.indices
            assert np.array_equal(again(arrays), original(arrays))


def test_copies_keep_assumptions() -> None:
    e = ed.parse("x[i]*Q[i,j]*x[j]", assume={"Q": "symmetric"})
    again = pickle.loads(pickle.dumps(e))
    assert again.grad("x") == e.grad("x") != ed.parse("x[i]*Q[i,j]*x[j]").grad("x")
