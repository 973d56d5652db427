"""The demo: a derivation, then Newton steps on real data compared with certified results.

In: the Longley data that come with the package. Out: text.
Invariant: gradient and Hessian are programs of this package; nothing is typed in by hand but the expression.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from textwrap import indent

import numpy as np

import einderiv as ed

from .datafiles import Array, Table, table_of

LEAST_SQUARES = "J = (X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/n"
STEPS = 3  # measured: the first leaves 7 digits, the second 11; the third shows that no more come

SNIPPET = f'''\
import einderiv as ed
import numpy as np
from einderiv.cli.demo import longley

X, Y = longley()                                # 16 x 7 and 16
scale = 2.0 ** np.ceil(np.log2(X.max(axis=0)))  # powers of two
X = X / scale
J = ed.parse("{LEAST_SQUARES}")
newton = ed.compile({{"grad": J.grad("th"), "hess": J.hessian("th")}})
th = np.zeros(7)
for step in range({STEPS}):
    now = newton(X=X, Y=Y, th=th, n=16)
    th = th - np.linalg.solve(now["hess"], now["grad"])
print(th / scale)
np.savez("longley.npz", X=X, Y=Y, th=th, n=16)
'''

COMMAND = f"""\
einderiv run "{LEAST_SQUARES}" --wrt th --data longley.npz
"""

INTRODUCTION = """\
The linear regression of 16 years of US employment on six predictors and an intercept
(Longley 1967; data and certified results: NIST Statistical Reference Datasets).
The columns are nearly dependent: the design has the condition number {raw:.1e}, its
Hessian the square of that. Each column is divided by a power of two near its largest
entry; this rounds nothing and leaves {scaled:.1e} for the design. Newton steps from th = 0
then solve H step = -g with the gradient and the Hessian above, n = 16. J is quadratic,
so one exact step would do; in float64 it leaves an error of the order of 1e-16 times
the condition of H. The next step takes the gradient from the residuals X th - Y at the
point reached, and so wins the lost digits back (how many, depends a little on the BLAS)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The coefficients of the unscaled columns after each Newton step, and what they are judged by."""

    coefficients: tuple[Array, ...]
    gradient_norms: tuple[float, ...]  # of the scaled problem: at th = 0, then after each step
    conditions: tuple[float, float]  # of the design as it came, and scaled

    def digits(self, step: int = -1) -> Array:
        """Agreeing digits of each coefficient: -log10 of the relative error, 15 at most."""
        certified = certified_coefficients()
        error = np.abs((self.coefficients[step] - certified) / certified)
        digits: Array = -np.log10(np.maximum(error, 1e-15))
        return digits


def longley() -> tuple[Array, Array]:
    """The design (16 years x intercept and six predictors) and the employment to explain.

    >>> X, Y = longley()
    >>> X.shape, Y.shape
    ((16, 7), (16,))
    """
    table = _table("longley.csv").array()
    return np.column_stack([np.ones(len(table)), table[:, 1:]]), table[:, 0].copy()


def certified_coefficients() -> Array:
    """NIST's coefficients B0 (intercept) to B6."""
    coefficients: Array = _table("longley_certified.csv")["value"][:7]
    return coefficients


def _table(name: str) -> Table:
    file = resources.files("einderiv.cli") / "data" / name
    return table_of(file.read_text(encoding="utf-8"), name)


def newton_fit(steps: int = STEPS) -> Fit:
    """Newton's method on the Longley data from th = 0, by our gradient and Hessian."""
    X, Y = longley()
    scale = 2.0 ** np.ceil(np.log2(X.max(axis=0)))
    Z = X / scale
    J = ed.parse(LEAST_SQUARES)
    newton = ed.compile({"grad": J.grad("th"), "hess": J.hessian("th")})
    th = np.zeros(7)
    now = newton(X=Z, Y=Y, th=th, n=16)
    points, norms = [], [float(np.linalg.norm(now["grad"]))]
    for _ in range(steps):
        th = th - np.linalg.solve(now["hess"], now["grad"])
        now = newton(X=Z, Y=Y, th=th, n=16)
        points.append(th / scale)
        norms.append(float(np.linalg.norm(now["grad"])))
    conditions = float(np.linalg.cond(X)), float(np.linalg.cond(Z))
    return Fit(tuple(points), tuple(norms), conditions)


def demo_text() -> Iterator[str]:
    """The demo, part by part."""
    J = ed.parse(LEAST_SQUARES)
    yield f"1. A derivation\n---------------\n{LEAST_SQUARES}"
    for title, e in (("gradient by th[d]", J.diff("th[d]")), ("Hessian", J.diff("th[d]", "th[e]"))):
        yield f"\n{title}, axes {', '.join(e.indices)}\n  index  {e}\n  LaTeX  {e.latex()}"
    fit = newton_fit()
    raw, scaled = fit.conditions
    yield f"\n2. Real data\n------------\n{INTRODUCTION.format(raw=raw, scaled=scaled)}\n"
    yield f"{'':4}{'einderiv':>22}{'certified by NIST':>24}{'agreeing digits':>18}"
    rows = zip(fit.coefficients[-1], certified_coefficients(), fit.digits(), strict=True)
    for k, (ours, theirs, digits) in enumerate(rows):
        yield f"B{k:<3}{ours:>22.14e}{theirs:>24.14e}{digits:>18.1f}"
    least = [f"{fit.digits(step).min():.1f}" for step in range(len(fit.coefficients))]
    yield f"\nfewest digits after each step:      {', '.join(least)}"
    norms = ", ".join(f"{norm:.1e}" for norm in fit.gradient_norms)
    yield f"norm of the gradient from th = 0 on: {norms}"
    yield f"\n3. The same by hand\n-------------------\nIn Python:\n\n{indent(SNIPPET, '    ')}"
    yield f"and the gradient at the result, from a shell:\n\n{indent(COMMAND, '    ').rstrip()}"
