"""The Longley data, proven right by NIST's certified values.

Oracle: the normal equations solved in Fractions, without rounding; square roots to 50 digits.
"""

import csv
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from importlib import resources

import pytest

DIGITS = 15  # all that NIST gives
DATA = resources.files("einderiv.cli") / "data"


def rows(name: str) -> list[dict[str, str]]:
    """A csv file's rows as dictionaries; the comment line names the source."""
    comment, *lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    assert comment.startswith("# NIST Statistical Reference Datasets")
    return list(csv.DictReader(lines))


def solve(matrix: list[list[Fraction]], right: list[list[Fraction]]) -> list[list[Fraction]]:
    """matrix^-1 right by Gauss-Jordan elimination, exactly; a pivot that is zero is an error here."""
    system = [[*row, *more] for row, more in zip(matrix, right, strict=True)]
    for k, pivot in enumerate(system):
        system[k] = pivot = [entry / pivot[k] for entry in pivot]
        for i, row in enumerate(system):
            if i != k:
                system[i] = [a - row[k] * b for a, b in zip(row, pivot, strict=True)]
    return [row[len(matrix) :] for row in system]


def least_squares() -> dict[str, Fraction]:
    """Coefficients B0 ... B6, and the squares of everything that is certified as a root."""
    table = [[Fraction(entry) for entry in row.values()] for row in rows("longley.csv")]
    y = [row[0] for row in table]
    X = [[Fraction(1), *row[1:]] for row in table]
    columns = list(zip(*X, strict=True))
    gram = [[sum(a * b for a, b in zip(u, v, strict=True)) for v in columns] for u in columns]
    moment = [[sum(a * b for a, b in zip(u, y, strict=True))] for u in columns]
    identity = [[Fraction(i == j) for j in range(len(gram))] for i in range(len(gram))]
    beta = [row[0] for row in solve(gram, moment)]
    inverse = solve(gram, identity)
    fitted = [sum(a * b for a, b in zip(row, beta, strict=True)) for row in X]
    residual = sum((a - b) ** 2 for a, b in zip(y, fitted, strict=True))
    variance = residual / (len(X) - len(beta))
    exact = {"residual_standard_deviation squared": variance}
    for k, value in enumerate(beta):
        exact[f"B{k}"] = value
        exact[f"B{k} standard error squared"] = variance * inverse[k][k]
    return exact


@pytest.fixture(scope="module")
def exact() -> dict[str, Fraction]:
    return least_squares()


def rounded(value: Decimal) -> Decimal:
    return Context(prec=DIGITS).plus(value)


def decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


CERTIFIED = {row["name"]: row for row in rows("longley_certified.csv")}
COEFFICIENTS = [f"B{k}" for k in range(7)]


def test_there_are_sixteen_years_and_seven_columns():
    table = rows("longley.csv")
    assert [row["YEAR"] for row in table] == [str(year) for year in range(1947, 1963)]
    assert list(table[0]) == ["TOTEMP", "GNPDEFL", "GNP", "UNEMP", "ARMED", "POP", "YEAR"]
    assert list(CERTIFIED) == [*COEFFICIENTS, "residual_standard_deviation"]


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_coefficient_is_the_certified_one(name, exact):
    with localcontext(Context(prec=50)):
        assert rounded(decimal(exact[name])) == rounded(Decimal(CERTIFIED[name]["value"]))


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_standard_error_is_the_certified_one(name, exact):
    with localcontext(Context(prec=50)):
        root = decimal(exact[f"{name} standard error squared"]).sqrt()
        assert rounded(root) == rounded(Decimal(CERTIFIED[name]["standard_error"]))


def test_residual_standard_deviation_is_the_certified_one(exact):
    name = "residual_standard_deviation"
    with localcontext(Context(prec=50)):
        root = decimal(exact[f"{name} squared"]).sqrt()
        assert rounded(root) == rounded(Decimal(CERTIFIED[name]["value"]))
