"""Index-notation (Einstein summation) differentiation: read, derive, show and run tensor expressions.

>>> import einderiv as ed
>>> J = ed.parse("(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/n")
>>> print(J.grad("th[d]"))
2*X[a,d]*(X[a,b]*th[b] - Y[a])/n

The rooms behind these names: docs/architecture.md. A room is loaded when one of its names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from .checking import Verdict, check, check_derivative, equal
    from .expressions import (
        Expression,
        compile,
        grad,
        hessian,
        jacobian,
        parse,
        tensor,
        tensors,
        value_and_grad,
    )
    from .programs import EinsumRule, StructuredTensor, einsum, einsum_jacobian, einsum_vjp

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

_CHECKING = ("Verdict", "check", "check_derivative", "equal")
_PROGRAMS = ("EinsumRule", "StructuredTensor", "einsum", "einsum_jacobian", "einsum_vjp")


def __getattr__(name: str) -> Any:
    """A public name, from its room, which is loaded now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = "checking" if name in _CHECKING else "programs" if name in _PROGRAMS else "expressions"
    value = globals()[name] = getattr(import_module(f".{room}", __name__), name)
    return value


def __dir__() -> list[str]:
    return __all__
