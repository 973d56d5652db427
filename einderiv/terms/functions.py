"""The function table: one row per function, every fact about it in one place.

In: nothing; the rows are text, in the project's own notation and in the names of NumPy and SciPy.
Out: ELEMENTWISE (one entry of the result per entry of the arguments) and WHOLE (whole axes at once).
Invariant: a row never calls another row; `rules.py` turns rows into terms, `backends` into calls.

Kinks: sign(0) = 0, abs'(0) = 0, relu'(0) = 0, step(0) = 0; equal arguments of max and min share the derivative.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Elementwise:
    """f(x, ...) entry by entry; `derivatives[k]` is the one by the k-th argument, None if there is none.

    `numpy` is a path: `np.` NumPy, `special.` scipy.special, no dot: ours in backends/numpy_functions.py.
    `domain` tells where every argument may lie: real, positive, nonzero, open_unit, above_minus_one,
    count_positive (a count, then a positive number), condition. `{0}` in `latex` is an argument.
    """

    name: str
    arguments: tuple[str, ...]
    derivatives: tuple[str | None, ...]
    numpy: str
    latex: str
    domain: str
    holomorphic: bool


@dataclass(frozen=True, slots=True)
class Whole:
    """A function of whole axes; axes before those of the signature are batch axes.

    `differential` defines dY from the arguments and their differentials (`dA` for A), linear in these.
    `matrix` rows name rows and columns (`inv[i,j](...)[p,q]`), the others an axis (`softmax[i](...)`).
    `source` names where a differential that is not in every textbook is derived.
    """

    name: str
    signature: str
    arguments: tuple[str, ...]
    differential: str
    numpy: str
    latex: str
    domain: str
    holomorphic: bool
    matrix: bool
    source: str = ""


def _f(
    name: str, derivative: str, numpy: str, latex: str, domain: str, holomorphic: bool = True
) -> Elementwise:
    return Elementwise(name, ("x",), (derivative,), numpy, latex, domain, holomorphic)


def _compare(name: str, numpy: str, latex: str) -> Elementwise:
    return Elementwise(name, ("a", "b"), ("0", "0"), numpy, f"{{0}} {latex} {{1}}", "real", False)


_CALL = r"\left({0}\right)"

# fmt: off
_ELEMENTWISE = (
    # constants
    Elementwise("pi", (), (), "np.pi", r"\pi", "real", True),
    # exponentials and logarithms
    _f("exp",      "exp(x)",                      "np.exp",     rf"\exp{_CALL}",        "real"),
    _f("expm1",    "exp(x)",                      "np.expm1",   rf"\operatorname{{expm1}}{_CALL}", "real"),
    _f("log",      "1/x",                         "np.log",     rf"\log{_CALL}",        "positive"),
    _f("log1p",    "1/(1 + x)",                   "np.log1p",   rf"\operatorname{{log1p}}{_CALL}", "above_minus_one"),
    # powers
    _f("sqrt",     "1/(2*sqrt(x))",               "np.sqrt",    r"\sqrt{{{0}}}",        "positive"),
    Elementwise("pow", ("x", "p"), ("p*x^(p - 1)", "log(x)*x^p"), "np.power", "{{{0}}}^{{{1}}}", "positive", True),
    # trigonometry
    _f("sin",      "cos(x)",                      "np.sin",     rf"\sin{_CALL}",        "real"),
    _f("cos",      "-sin(x)",                     "np.cos",     rf"\cos{_CALL}",        "real"),
    _f("tan",      "1 + tan(x)^2",                "np.tan",     rf"\tan{_CALL}",        "real"),
    _f("asin",     "1/sqrt(1 - x^2)",             "np.arcsin",  rf"\arcsin{_CALL}",     "open_unit"),
    _f("acos",     "-1/sqrt(1 - x^2)",            "np.arccos",  rf"\arccos{_CALL}",     "open_unit"),
    _f("atan",     "1/(1 + x^2)",                 "np.arctan",  rf"\arctan{_CALL}",     "real"),
    Elementwise("atan2", ("y", "x"), ("x/(x^2 + y^2)", "-y/(x^2 + y^2)"), "np.arctan2", r"\operatorname{{atan2}}\left({0}, {1}\right)", "nonzero", False),
    # hyperbolic functions
    _f("sinh",     "cosh(x)",                     "np.sinh",    rf"\sinh{_CALL}",       "real"),
    _f("cosh",     "sinh(x)",                     "np.cosh",    rf"\cosh{_CALL}",       "real"),
    _f("tanh",     "1 - tanh(x)^2",               "np.tanh",    rf"\tanh{_CALL}",       "real"),
    # activations
    _f("sigmoid",  "sigmoid(x)*sigmoid(-x)",      "sigmoid",    rf"\sigma{_CALL}",      "real"),
    _f("softplus", "sigmoid(x)",                  "softplus",   rf"\operatorname{{softplus}}{_CALL}", "real"),
    _f("relu",     "step(x)",                     "relu",       rf"\operatorname{{relu}}{_CALL}", "nonzero", False),
    # error function and gamma functions: DLMF 7.2, 5.2, 5.15
    _f("erf",      "2/sqrt(pi)*exp(-x^2)",        "special.erf",  rf"\operatorname{{erf}}{_CALL}",  "real"),
    _f("erfc",     "-2/sqrt(pi)*exp(-x^2)",       "special.erfc", rf"\operatorname{{erfc}}{_CALL}", "real"),
    _f("lgamma",   "digamma(x)",                  "lgamma",     rf"\log\Gamma{_CALL}",  "positive"),
    _f("digamma",  "polygamma(1, x)",             "special.digamma", rf"\psi{_CALL}",   "positive"),
    Elementwise("polygamma", ("n", "x"), (None, "polygamma(n + 1, x)"), "polygamma", r"\psi^{{\left({0}\right)}}\left({1}\right)", "count_positive", False),
    # piecewise constant or linear
    _f("abs",      "sign(x)",                     "np.abs",     r"\left|{0}\right|",    "nonzero", False),
    _f("sign",     "0",                           "np.sign",    rf"\operatorname{{sign}}{_CALL}", "nonzero", False),
    _f("step",     "0",                           "step",       rf"\operatorname{{step}}{_CALL}", "nonzero", False),
    Elementwise("max", ("a", "b"), ("(1 + sign(a - b))/2", "(1 + sign(b - a))/2"), "np.maximum", r"\max\left({0}, {1}\right)", "real", False),
    Elementwise("min", ("a", "b"), ("(1 + sign(b - a))/2", "(1 + sign(a - b))/2"), "np.minimum", r"\min\left({0}, {1}\right)", "real", False),
    # choice; comparisons are 1 where they hold, else 0
    Elementwise("where", ("c", "a", "b"), ("0", "where(c, 1, 0)", "where(c, 0, 1)"), "where", r"\begin{{cases}}{1} & {0} \\ {2} & \text{{otherwise}}\end{{cases}}", "condition", False),
    _compare("lt", "less",          "<"),
    _compare("le", "less_equal",    r"\le"),
    _compare("gt", "greater",       ">"),
    _compare("ge", "greater_equal", r"\ge"),
    _compare("eq", "equal",         "="),
    _compare("ne", "not_equal",     r"\ne"),
)

_GILES = "Giles, Collected matrix derivative results for forward and reverse mode AD (2008)"
_TIES = "where(x[i] == {0}[j](x[j]), 1, 0)/sum[k](where(x[k] == {0}[j](x[j]), 1, 0))*dx[i]"

_WHOLE = (
    # reductions
    Whole("prod", "(n)->()", ("x",), "dY = prodexcept[i](x[i])*dx[i]", "prod", r"\prod_{{{i}}} {0}", "real", True, False),
    Whole("prodexcept", "(n)->(n)", ("x",), "dY[i] = (1 - delta[i,j])*prodexcept[j](x[j] + delta[i,j]*(1 - x[j]))*dx[j]",
          "prodexcept", r"\prod_{{{i}' \ne {i}}} {0}", "real", True, False, "the product rule twice, without division"),
    Whole("max", "(n)->()", ("x",), "dY = " + _TIES.format("max"), "max", r"\max_{{{i}}} {0}", "real", False, False),
    Whole("min", "(n)->()", ("x",), "dY = " + _TIES.format("min"), "min", r"\min_{{{i}}} {0}", "real", False, False),
    Whole("logsumexp", "(n)->()", ("x",), "dY = softmax[i](x[i])*dx[i]", "logsumexp", r"\operatorname{{logsumexp}}_{{{i}}}\left({0}\right)", "real", True, False),
    # normalisations
    Whole("softmax", "(n)->(n)", ("x",), "dY[i] = softmax[i](x[i])*(dx[i] - softmax[j](x[j])*dx[j])", "softmax", r"\operatorname{{softmax}}_{{{i}}}\left({0}\right)", "real", True, False),
    Whole("logsoftmax", "(n)->(n)", ("x",), "dY[i] = dx[i] - softmax[j](x[j])*dx[j]", "logsoftmax", r"\operatorname{{logsoftmax}}_{{{i}}}\left({0}\right)", "real", True, False),
    # matrix functions
    Whole("inv", "(n,n)->(n,n)", ("A",), "dY[i,j] = -inv(A)[i,k]*dA[k,l]*inv(A)[l,j]", "inv", r"{{{0}}}^{{-1}}", "regular", True, True, _GILES),
    Whole("det", "(n,n)->()", ("A",), "dY = det(A)*inv(A)[j,i]*dA[i,j]", "det", r"\det\left({0}\right)", "regular", True, True, _GILES),
    Whole("logdet", "(n,n)->()", ("A",), "dY = inv(A)[j,i]*dA[i,j]", "logdet", r"\log\det\left({0}\right)", "regular", True, True, _GILES),
    Whole("cholesky", "(n,n)->(n,n)", ("A",),
          "dY[i,j] = cholesky(A)[i,p]*(tril[r,s](ones[r,s])[p,j] - delta[p,j]/2)*inv[r,s](cholesky(A)[r,s])[p,k]"
          "*(dA[k,l] + dA[l,k])/2*inv[r,s](cholesky(A)[r,s])[j,l]",
          "cholesky", r"\operatorname{{chol}}\left({0}\right)", "spd", False, True, "Murray, Differentiation of the Cholesky decomposition (2016)"),
    Whole("tril", "(n,n)->(n,n)", ("A",), "dY[i,j] = tril[r,s](ones[r,s])[i,j]*dA[i,j]", "tril", r"\operatorname{{tril}}\left({0}\right)", "real", True, True),
)
# fmt: on

ELEMENTWISE = {row.name: row for row in _ELEMENTWISE}
WHOLE = {row.name: row for row in _WHOLE}

ALIASES = {
    "ln": "log",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "absolute": "abs",
    "logistic": "sigmoid",
    "expit": "sigmoid",
    "heaviside": "step",
    "gammaln": "lgamma",
    "psi": "digamma",
    "maximum": "max",
    "minimum": "min",
    "trace": "tr",
    "δ": "delta",
    "ε": "eps",
    "ϵ": "eps",
}

COMPARISONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}

# Names that the elaborator gives a meaning of their own where they are called or indexed.
REDUCTIONS = ("sum", "prod", "mean", "max", "min", "logsumexp")
NORMALISATIONS = ("softmax", "logsoftmax", "prodexcept")
MATRIX_FUNCTIONS = ("inv", "det", "logdet", "tr", "solve", "cholesky", "tril")
SPECIAL_TENSORS = ("delta", "eps", "ones", "zeros", "size")


def core_ranks(signature: str) -> tuple[tuple[int, ...], int]:
    """Core axes of the arguments and of the result.

    >>> core_ranks("(n,n)->()")
    ((2,), 0)
    """
    left, right = signature.split("->")
    arguments = tuple(_core(part) for part in left.replace("),(", ")|(").split("|") if part)
    return arguments, _core(right)


def _core(part: str) -> int:
    inside = part.strip("() ")
    return len(inside.split(",")) if inside else 0
