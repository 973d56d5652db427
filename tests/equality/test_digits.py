"""Functions on decimals have as many correct digits as the context asks for.

Oracles: those of the function table.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import mpmath
import pytest

from einderiv.equality import digits
from einderiv.terms.functions import ELEMENTWISE
from tests.terms.test_functions import ORACLES

PRECISION = 50
ONE_ARGUMENT = [row for row in ELEMENTWISE.values() if len(row.arguments) == 1]


def agree(ours: Decimal, theirs: Any) -> bool:
    theirs = mpmath.mpf(theirs)
    return bool(mpmath.fabs(mpmath.mpf(str(ours)) - theirs) <= mpmath.mpf(10) ** -45 * abs(theirs))


def test_every_elementwise_function_of_the_table_has_a_row() -> None:
    assert set(digits.FUNCTIONS) == set(ELEMENTWISE)


@pytest.mark.parametrize("row", ONE_ARGUMENT, ids=lambda row: row.name)
def test_function_of_one_argument_has_45_correct_digits(row: Any) -> None:
    oracle, points, _ = ORACLES[row.name]
    assert len(points) >= 3
    for (x,) in points:
        with localcontext(digits.context(PRECISION)), mpmath.workdps(80):
            ours = digits.FUNCTIONS[row.name](Decimal(repr(x)))
            assert agree(ours, oracle(mpmath.mpf(repr(x)))), (row.name, x)


@pytest.mark.parametrize(("n", "x"), [(1, "0.3"), (2, "2.5"), (3, "40"), (5, "0.01")])
def test_polygamma_has_45_correct_digits(n: int, x: str) -> None:
    with localcontext(digits.context(PRECISION)), mpmath.workdps(80):
        assert agree(
            digits.FUNCTIONS["polygamma"](Decimal(n), Decimal(x)),
            mpmath.polygamma(n, mpmath.mpf(x)),
        )


@pytest.mark.parametrize(("y", "x"), [("1", "2"), ("1", "-2"), ("-1", "-2"), ("-3", "0.5")])
def test_atan2_has_45_correct_digits(y: str, x: str) -> None:
    with localcontext(digits.context(PRECISION)), mpmath.workdps(80):
        ours = digits.FUNCTIONS["atan2"](Decimal(y), Decimal(x))
        assert agree(ours, mpmath.atan2(mpmath.mpf(y), mpmath.mpf(x)))


@pytest.mark.parametrize(("x", "p"), [("2.5", "-0.3"), ("-2", "3"), ("7", "0.5"), ("3", "-4")])
def test_power_has_45_correct_digits(x: str, p: str) -> None:
    with localcontext(digits.context(PRECISION)), mpmath.workdps(80):
        ours = digits.FUNCTIONS["pow"](Decimal(x), Decimal(p))
        assert agree(ours, mpmath.power(mpmath.mpf(x), mpmath.mpf(p)))


def test_large_angles_are_reduced_without_loss() -> None:
    with localcontext(digits.context(PRECISION)), mpmath.workdps(120):
        assert agree(digits.FUNCTIONS["sin"](Decimal("1e30")), mpmath.sin(mpmath.mpf("1e30")))


@pytest.mark.parametrize("name", ["log", "sqrt", "lgamma", "digamma", "asin"])
def test_outside_the_domain_the_value_is_not_a_number(name: str) -> None:
    with localcontext(digits.context(PRECISION)):
        assert digits.FUNCTIONS[name](Decimal(-2)).is_nan()
