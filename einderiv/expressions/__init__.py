"""What users hold: `Expression`, symbols for Python code, functions over arrays.

In: texts, arrays, Python functions. Out: expressions, programs and derivatives as callables.
"""

from .expression import Expression, parse, tensor, tensors
from .functional import compile, grad, hessian, jacobian, value_and_grad

__all__ = [
    "Expression",
    "compile",
    "grad",
    "hessian",
    "jacobian",
    "parse",
    "tensor",
    "tensors",
    "value_and_grad",
]
