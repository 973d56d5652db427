"""Quotients whose denominators share an index, as LaTeX: read back they are what they were."""

from __future__ import annotations

import pytest

import einderiv as ed

QUOTIENTS = [
    ("q[i] = (a + b)/x[i]/y[i]", None),
    ("sum[i]((u[i] - v[i])/(s[i]*t[i]))", "s"),
    ("sum[i](exp(-(a + b)/(x[i]*y[i])))", "a"),
    ("q[i] = 1/(s[i]*t[i])", None),
    ("q[i] = c*(a - b)/(s[i]*t[i])", None),
]


@pytest.mark.parametrize(("text", "wrt"), QUOTIENTS)
def test_a_sum_above_several_denominators_keeps_its_brackets(text: str, wrt: str | None) -> None:
    e = ed.parse(text) if wrt is None else ed.parse(text).grad(wrt)
    again = ed.parse(e.latex(), notation="latex", shapes=e.variables)
    assert ed.equal(again, e), e.latex()
    assert r"1 \frac" not in e.latex()


def test_entries_that_cancel_in_a_sum_leave_its_extent() -> None:
    e = ed.parse("sum[i]((x[i]/r)/x[i])")
    assert e.matrix() == "sum(ones(i))/r"
    assert ed.equal(ed.parse(e.matrix(), notation="matrix", shapes=e.variables), e)


def test_a_matrix_sum_behind_a_fraction_keeps_its_brackets() -> None:
    shown = (
        ed.parse("x'*(A + A')*x/4", notation="matrix").explain("x", method="differential").latex()
    )
    assert r"\frac{1}{2} \left(A + {A}^{\mathsf{T}}\right) x" in shown
    shown = (
        ed.parse("(x'*A*x - b'*x)/2", notation="matrix").explain("x", method="differential").latex()
    )
    assert r"\frac{1}{2} \left({x}^{\mathsf{T}} A x - {b}^{\mathsf{T}} x\right)" in shown
