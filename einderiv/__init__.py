"""Index-notation (Einstein summation) differentiation: read, derive, show and run tensor expressions.

>>> import einderiv as ed
>>> J = ed.parse("(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/n")
>>> print(J.grad("th[d]"))
2*X[a,d]*(X[a,b]*th[b] - Y[a])/n
"""

from .checker import check
from .difference_quotients import check_derivative
from .einsum_rules import EinsumRule, einsum_jacobian, einsum_vjp
from .equality import equal
from .errors import (
    BackendError,
    DataError,
    DerivativeError,
    DimensionError,
    EinderivError,
    NotationError,
    NotMatrixFormError,
    ResourceLimitError,
)
from .expression import Expression, parse
from .functional import compile, grad, hessian, jacobian, value_and_grad
from .numpy_einsum import einsum
from .structured import StructuredTensor
from .tensors import tensor, tensors
from .verdicts import Verdict

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "DataError",
    "DerivativeError",
    "DimensionError",
    "EinderivError",
    "EinsumRule",
    "Expression",
    "NotMatrixFormError",
    "NotationError",
    "ResourceLimitError",
    "StructuredTensor",
    "Verdict",
    "check",
    "check_derivative",
    "compile",
    "einsum",
    "einsum_jacobian",
    "einsum_vjp",
    "equal",
    "grad",
    "hessian",
    "jacobian",
    "parse",
    "tensor",
    "tensors",
    "value_and_grad",
]
