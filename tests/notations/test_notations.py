"""Every notation that can say an expression means the same expression."""

from __future__ import annotations

import pytest

import einderiv as ed
from einderiv.terms.functions import WHOLE, Whole, core_ranks
from tests.notation_table import ROWS, Row

each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.index)


def same(first: ed.Expression, second: ed.Expression) -> bool:
    return first == second or bool(ed.equal(first, second))


@pytest.fixture
def index(row: Row) -> ed.Expression:
    """The expression in index notation."""
    return ed.parse(row.index, shapes=row.shapes)


def test_at_least_sixty_expressions_in_four_notations_on_average() -> None:
    assert len(ROWS) >= 60
    written = sum(1 + sum(map(bool, (r.matrix, r.latex, r.einsum, r.python))) for r in ROWS)
    assert written / len(ROWS) >= 3.5


@each_row
def test_matrix_notation_means_the_same(row: Row, index: ed.Expression) -> None:
    if not row.matrix:
        pytest.skip("tensors with three axes have no matrix notation")
    assert same(ed.parse(row.matrix, notation="matrix", shapes=row.shapes), index)


@each_row
def test_latex_means_the_same(row: Row, index: ed.Expression) -> None:
    if not row.latex:
        pytest.skip("no LaTeX for it")
    assert same(ed.parse(row.latex, notation="latex", shapes=row.shapes), index)


@each_row
def test_an_einsum_string_means_the_same(row: Row, index: ed.Expression) -> None:
    if row.einsum is None:
        pytest.skip("no single product")
    subscripts, operands = row.einsum
    e = ed.parse(subscripts, notation="einsum", operands=operands.split(), shapes=row.shapes)
    assert same(e, index)


@each_row
def test_python_means_the_same(row: Row, index: ed.Expression) -> None:
    if row.python is None:
        pytest.skip("no NumPy function for it")
    tensors = ed.tensors(row.tensors)
    assert same(row.python(*tensors), index)


@each_row
def test_matrix_form_and_text_of_each_read_back(row: Row, index: ed.Expression) -> None:
    assert same(ed.parse(str(index), shapes=index.variables), index)
    if row.matrix:
        assert same(ed.parse(index.matrix(), notation="matrix", shapes=index.variables), index)


@pytest.mark.parametrize("row", WHOLE.values(), ids=lambda row: row.name)
def test_a_function_of_whole_axes_reads_as_its_row_says(row: Whole) -> None:
    (core,), result = core_ranks(row.signature)
    behind = f"[{','.join('pqrstu'[:result])}]" if row.matrix and result else ""
    kept = "ij"[:core]
    indexed = ed.parse(f"{row.name}[{','.join(kept)}](A[{','.join(kept)}]){behind}")
    assert len(indexed.indices) == result
    latex = rf"\operatorname{{{row.name}}}_{{{kept}}}(A_{{{kept}}})"
    latex += f"_{{{'pqrstu'[:result]}}}" if behind else ""
    assert same(ed.parse(latex, notation="latex"), indexed)
    if row.matrix:
        assert same(ed.parse(f"A : (n,n)\n{row.name}(A){behind}"), indexed)
    if result <= 2:
        shapes = {"A": ("n",) * core}
        assert same(ed.parse(f"{row.name}(A)", notation="matrix", shapes=shapes), indexed)
    else:
        with pytest.raises(ed.NotationError, match="matrix notation has rows and columns"):
            ed.parse(f"{row.name}(A)", notation="matrix")
