"""Tiny programs as scalar arithmetic against the same programs on arrays.

Oracle: the program run by backends/numpy.py, and NumPy's functions; a seed names a random program.
"""

from __future__ import annotations

import ast
from fractions import Fraction
from itertools import product
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import einderiv as ed
from einderiv.programs.backends import python_code, scalars
from einderiv.programs.backends.numpy import function_of
from einderiv.programs.backends.scalars import (
    FORMULAS,
    WHOLE_FORMULAS,
    scalar_function,
)
from einderiv.programs.program import (
    Constant,
    Contract,
    Elementwise,
    Input,
    Program,
    Scatter,
    Whole,
)
from einderiv.terms.functions import ELEMENTWISE, WHOLE
from tests.program_cases import arrays_for, varied
from tests.random_programs import random_program
from tests.test_cases import INDEX, arrays_of, derivative_of

Array = Any
FLOAT = np.dtype(float)
# Both sides add and multiply the same numbers in another order.
TOLERANCE = 1e-12
EDGES = [
    np.nan,
    np.inf,
    -np.inf,
    0.0,
    0.5,
    -0.5,
    1.0,
    -1.0,
    2.0,
    -2.5,
    800.0,
    -800.0,
    1e-300,
    1e300,
]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scalars also where arrays are expected to be faster."""
    monkeypatch.setattr(scalars, "PER_CALL", 10**6)


def extents_of(program: Program, arrays: dict[str, Array]) -> dict[str, int]:
    return {
        dim: size
        for step in program.inputs
        for dim, size in zip(step.shape, np.shape(arrays[step.name]), strict=True)
        if isinstance(dim, str)
    }


def on_arrays(program: Program, arrays: dict[str, Array]) -> list[Array]:
    run, dims = function_of(program)
    extents = extents_of(program, arrays)
    with np.errstate(all="ignore"):
        return list(run(*given(program, arrays), FLOAT, *(extents[dim] for dim in dims)))


def given(program: Program, arrays: dict[str, Array]) -> list[Array]:
    return [np.asarray(arrays[step.name], dtype=float) for step in program.inputs]


def agree(ours: list[Array], theirs: list[Array]) -> bool:
    """Equal up to rounding of the largest entry."""
    for a, b in zip(ours, theirs, strict=True):
        scale = 1 + np.max(np.abs(b), initial=0)
        if np.shape(a) != np.shape(b) or not np.all(np.abs(a - b) <= TOLERANCE * scale):
            return False
    return True


def both(program: Program, arrays: dict[str, Array]) -> bool | None:
    """Do scalars and arrays agree? None where the program is none for scalars."""
    run = scalar_function(program, extents_of(program, arrays))
    if run is None:
        return None
    return agree(list(run(*given(program, arrays), FLOAT)), on_arrays(program, arrays))


def lowered(*expressions: ed.Expression) -> Program:
    return ed.compile(list(expressions)).program


def of_function(step: Elementwise | Whole, *shapes: tuple[int, ...]) -> Program:
    inputs = tuple(Input(k, f"x{k}", shape) for k, shape in enumerate(shapes))
    return Program((*inputs, step), (step.target,))


def outcome(program: Program, arrays: dict[str, Array]) -> list[Array] | None:
    """The results on scalars, None where Python raises what the caller catches."""
    run = scalar_function(program, extents_of(program, arrays))
    assert run is not None
    try:
        return list(run(*given(program, arrays), FLOAT))
    except (ArithmeticError, ValueError):
        return None


# ---------------------------------------------------------------- whole programs


@varied
@pytest.mark.parametrize("extent", [1, 2, 3, 4])
@pytest.mark.usefixtures("always")
def test_varied_programs_and_their_derivatives_agree(text: str, formula: Any, extent: int) -> None:
    if "eps" in text and extent != 3:
        return
    e = ed.parse(text)
    names = list(e.variables)
    dims = {dim for shape in e.variables.values() for dim in shape if isinstance(dim, str)}
    arrays = arrays_for(e, 1, **dict.fromkeys(dims, extent))
    for program in (lowered(e), lowered(e, e.diff(names[0]))):
        assert both(program, arrays) in (True, None)


@pytest.mark.parametrize("case", INDEX, ids=lambda case: case["id"])
@pytest.mark.usefixtures("always")
def test_published_derivatives_agree(case: dict[str, Any]) -> None:
    program = lowered(derivative_of(case))
    arrays = {
        name: array[tuple(slice(0, 3) for _ in array.shape)]
        for name, array in arrays_of(case).items()
    }
    assert both(program, arrays) in (True, None)


@pytest.mark.usefixtures("always")
def test_most_published_derivatives_without_matrix_functions_are_programs_for_scalars() -> None:
    runs = []
    for case in INDEX:
        program = lowered(derivative_of(case))
        if not any(
            isinstance(s, Whole) and s.function not in WHOLE_FORMULAS for s in program.instructions
        ):
            runs.append(scalar_function(program, dict.fromkeys(case_extents(program), 2)))
    assert sum(run is not None for run in runs) > len(runs) / 2


def case_extents(program: Program) -> set[str]:
    return {dim for step in program.inputs for dim in step.shape if isinstance(dim, str)}


@pytest.mark.usefixtures("always")
def test_random_programs_and_a_derivative_agree() -> None:
    agreeing = 0
    for seed in range(5000, 5060):
        found = random_program(seed)
        e = ed.parse(found.text, shapes=found.shapes, assume=found.assume)
        for wanted in ([e], [e, *(e.diff(name) for name in list(e.variables)[:1])]):
            answer = both(lowered(*wanted), {name: found.arrays[name] for name in e.variables})
            assert answer is not False, f"seed {seed}: {found.text}"
            agreeing += answer is True
    assert agreeing >= 50  # the others have matrix functions, larger extents or too many operations


# ---------------------------------------------------------------- infinities and NaN


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.usefixtures("always")
def test_function_has_numpys_value_or_raises_at_the_edges(name: str) -> None:
    count = len(ELEMENTWISE[name].arguments)
    step = Elementwise(9, name, tuple(range(count)), ((),) * count, None, ())
    program = of_function(step, *[()] * count)
    for values in product(EDGES, repeat=count):
        arrays = {f"x{k}": np.float64(value) for k, value in enumerate(values)}
        ours = outcome(program, arrays)
        if ours is not None:
            np.testing.assert_allclose(ours, on_arrays(program, arrays), rtol=1e-12, err_msg=values)


@pytest.mark.parametrize(
    "exponent", ["-2", "-1", "-1/2", "1/2", "2", "3", "1/3", "-3/2", "7", "11"]
)
@pytest.mark.usefixtures("always")
def test_power_has_numpys_value_or_raises_at_the_edges(exponent: str) -> None:
    step = Elementwise(9, "pow", (0,), ((),), Fraction(exponent), ())
    program = of_function(step, ())
    for value in EDGES:
        ours = outcome(program, {"x0": np.float64(value)})
        if ours is not None:
            theirs = on_arrays(program, {"x0": np.float64(value)})
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, err_msg=str(value))


@pytest.mark.parametrize("name", WHOLE_FORMULAS)
@pytest.mark.usefixtures("always")
def test_function_of_an_axis_has_numpys_value_or_raises_at_the_edges(name: str) -> None:
    is_reduction = WHOLE[name].signature.endswith("()")
    program = of_function(Whole(9, name, (0,), 1, () if is_reduction else (3,)), (3,))
    raised = 0
    for values in product([np.nan, np.inf, -np.inf, 0.0, -2.5, 800.0, 1e300], repeat=3):
        ours = outcome(program, {"x0": np.array(values)})
        raised += ours is None
        if ours is not None:
            theirs = on_arrays(program, {"x0": np.array(values)})
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, err_msg=str(values))
    assert raised < 7**3 / 2


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_infinite_entry_times_a_structural_zero_is_left_to_arrays(bad: float) -> None:
    program = lowered(ed.parse("y[i] = eps[i,j,k]*u[j]*v[k]"))
    arrays = {"u": np.array([1.0, bad, 2.0]), "v": np.array([3.0, 4.0, 5.0])}
    ours = outcome(program, arrays)
    if ours is not None:
        np.testing.assert_array_equal(ours, on_arrays(program, arrays))
    fine = {"u": np.array([1.0, 2.0, 3.0]), "v": np.array([3.0, 5.0, 4.0])}
    assert outcome(program, fine) is not None


@pytest.mark.usefixtures("always")
def test_zero_of_a_scattered_diagonal_meets_infinity_as_on_arrays() -> None:
    """diag(d) w with w infinite: 0 times infinity is NaN on arrays, so scalars must not drop it."""
    program = Program(
        (
            Input(0, "d", (2,)),
            Input(1, "w", (2,)),
            Scatter(2, (Fraction(1),), (0,), ((0,),), ((0, 0),), (2, 2)),
            Contract(3, (2, 1), ((0, 1), (1,)), (0,), ((0, 2), (1, 2)), (2,)),
        ),
        (3,),
    )
    run = scalar_function(program, {})
    assert run is not None
    d, w = np.array([2.0, 3.0]), np.array([1.0, 4.0])
    assert run(d, w, FLOAT)[0].tolist() == [2.0, 12.0]
    with pytest.raises(ValueError):
        run(d, np.array([1.0, np.inf]), FLOAT)


# ---------------------------------------------------------------- what is for scalars


def test_functions_of_scipy_and_of_matrices_stay_on_arrays() -> None:
    assert not {"lgamma", "digamma", "polygamma"} & set(FORMULAS)
    assert set(FORMULAS) < set(ELEMENTWISE)
    assert set(WHOLE_FORMULAS) < set(WHOLE)
    assert not any(WHOLE[name].matrix for name in WHOLE_FORMULAS)  # pivoting decides their rounding


@pytest.mark.parametrize(
    ("text", "extent"),
    [
        ("y[i] = A[i,j]*x[j]", 5),
        ("y[i] = A[i,j]*x[j]", 0),
        ("y[i] = inv(A)[i,j]*x[j]", 2),
        ("y[i] = lgamma(x[i])", 2),
        ("Y[i,j,k,l] = A[i,j]*B[k,l]", 4),
    ],
)
@pytest.mark.usefixtures("always")
def test_programs_too_large_or_with_other_functions_are_for_arrays(text: str, extent: int) -> None:
    program = lowered(ed.parse(text))
    assert scalar_function(program, dict.fromkeys(case_extents(program), extent)) is None


def test_one_small_matrix_product_is_for_arrays_and_a_gradient_of_six_terms_is_not() -> None:
    product_of = lowered(ed.parse("Y[i,k] = A[i,j]*B[j,k]"))
    assert scalar_function(product_of, dict.fromkeys(case_extents(product_of), 4)) is None
    f = ed.parse("A[i,j]*x[i]*x[j] + b[i]*x[i] + sin(b[i]*x[i]) + exp(x[i]*A[i,j]*x[j])")
    gradient = lowered(f.grad("x"))
    assert scalar_function(gradient, dict.fromkeys(case_extents(gradient), 3)) is not None


# ---------------------------------------------------------------- code and results


def scalar_source(program: Program, sizes: dict[str, int]) -> str | None:
    """The code that is compiled, None where arrays do better."""
    sources = []

    def note(module: ast.Module, *rest: Any) -> Any:
        sources.append(ast.unparse(module))
        return compile(module, *rest)

    with patch.object(python_code, "compile", note, create=True):
        scalar_function(program, sizes)
    return sources[0] if sources else None


def test_source_is_plain_arithmetic() -> None:
    program = Program(
        (
            Input(0, "A", (2, 2)),
            Input(1, "x", (2,)),
            Contract(2, (0, 1), ((0, 1), (1,)), (0,), ((0, 2), (1, 2)), (2,)),
            Elementwise(3, "tanh", (2,), ((0,),), None, (2,)),
        ),
        (3,),
    )
    assert scalar_source(program, {}) == "\n".join(
        [
            "def run(v0, v1, dtype):",
            "    (a0_0_0, a0_0_1), (a0_1_0, a0_1_1) = v0.tolist()",
            "    a1_0, a1_1 = v1.tolist()",
            "    r0 = empty((2,))",
            "    r0[0] = tanh(a0_0_0 * a1_0 + a0_0_1 * a1_1)",
            "    r0[1] = tanh(a0_1_0 * a1_0 + a0_1_1 * a1_1)",
            "    return (r0,)",
        ]
    )


@pytest.mark.usefixtures("always")
def test_equal_scalars_are_computed_once() -> None:
    """The square of a symmetric outer product: six products of two entries, not nine."""
    program = lowered(ed.parse("Y[i,j] = exp(x[i]*x[j])"))
    source = scalar_source(program, dict.fromkeys(case_extents(program), 3))
    assert source is not None
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    assert sum(isinstance(n.func, ast.Name) and n.func.id == "exp" for n in calls) == 6


def test_results_are_fresh_arrays_and_float64_scalars() -> None:
    f = ed.parse("sin(b[i]*x[i])*exp(x[i]*x[i])")
    program = lowered(f, f.grad("x"))
    run = scalar_function(program, dict.fromkeys(case_extents(program), 3), ["f", "g"])
    assert run is not None
    arrays = given(program, {"b": np.array([1.0, 2.0, 3.0]), "x": np.array([0.1, 0.2, 0.3])})
    first, second = run(*arrays, FLOAT), run(*arrays, FLOAT)
    assert list(first) == ["f", "g"]
    assert type(first["f"]) is np.float64
    assert first["g"].flags.owndata and not np.shares_memory(first["g"], second["g"])
    several = scalar_function(program, dict.fromkeys(case_extents(program), 3), 2)
    assert several is not None and isinstance(several(*arrays, FLOAT), list)


@pytest.mark.usefixtures("always")
def test_inputs_of_any_strides_are_read_by_their_axes() -> None:
    program = lowered(ed.parse("y[i] = A[i,j]*x[j]"))
    run = scalar_function(program, dict.fromkeys(case_extents(program), 2))
    assert run is not None
    A = np.arange(16.0).reshape(4, 4)[::2, ::-2].T
    x = np.arange(4.0)[::-2]
    assert run(*given(program, {"A": A, "x": x}), FLOAT)[0].tolist() == (A @ x).tolist()


def test_constant_is_left_to_arrays_since_nothing_is_gained() -> None:
    program = Program((Constant(0, "pi"),), (0,))
    assert scalar_source(program, {}) is None
