"""A matrix form reads back to an equal expression, in every notation that says the expression."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import einderiv as ed
from tests.random_programs import random_program

CASES = json.loads(
    (Path(__file__).parents[1] / "cases" / "matrix_calculus.json").read_text(encoding="utf-8")
)


def derivative(case: dict[str, Any], notation: str = "index") -> ed.Expression:
    shapes = {name: tuple(axes) for name, axes in case["shapes"].items()}
    e = ed.parse(case[notation], notation=notation, shapes=shapes)
    if "wrt2" in case:
        return e.diff(case["wrt"], case["wrt2"])
    return e.diff(case["wrt"], order=case["order"])


def forms(e: ed.Expression) -> list[ed.Expression]:
    """The matrix form read back, with the shapes beside it and with declarations in it."""
    beside = ed.parse(e.matrix(), notation="matrix", shapes=e.variables)
    return [beside, ed.parse(e.matrix(declarations=True), notation="matrix")]


@pytest.mark.parametrize("case", [c for c in CASES if c["matrix"]], ids=lambda case: case["id"])
def test_matrix_and_index_form_of_a_case_have_the_same_derivative(case: dict[str, Any]) -> None:
    index, matrix = derivative(case), derivative(case, "matrix")
    assert matrix == index or ed.equal(matrix, index)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_matrix_form_of_a_derivative_reads_back(case: dict[str, Any]) -> None:
    d = derivative(case)
    if len(d.shape) > 2 or not case["matrix"]:
        pytest.skip("no matrix form")
    for back in forms(d):
        assert back == d or ed.equal(back, d)


@pytest.mark.parametrize("seed", range(150))
def test_matrix_form_of_a_random_expression_reads_back(seed: int) -> None:
    program = random_program(seed)
    e = ed.parse(program.text, shapes=program.shapes, assume=program.assume)
    for d in [e, *([e.diff(name) for name in e.variables] if not e.shape else [])]:
        try:
            texts = forms(d)
        except ed.NotMatrixFormError:
            continue
        for back in texts:
            assert back == d or ed.equal(back, d), f"seed {seed}: {d}\n{d.matrix()}"
