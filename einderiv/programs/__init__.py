"""Makes fast array programs of terms.

In: terms, extents, arrays. Out: `Executable`, which runs on arrays, its source and its plan;
`StructuredTensor`; einsum calls and their derivatives.
"""

from .arrays import Array, array_of, checked_sizes
from .backends.numpy_functions import levi_civita
from .compiler.cost import entries, flops_of
from .compiler.kernels import ASSUMED_EXTENT
from .einsums import (
    EinsumRule,
    einsum,
    einsum_jacobian,
    einsum_report,
    einsum_vjp,
    string_and_operands,
)
from .executable import Executable, Keys, check_backend, parsed_limit
from .planning import BOUND
from .program import (
    Combine,
    Constant,
    Contract,
    Elementwise,
    Factor,
    Input,
    Instruction,
    Program,
    Scatter,
    Size,
    Solve,
    Whole,
    operands_of,
)
from .structured import StructuredTensor

__all__ = [
    "ASSUMED_EXTENT",
    "BOUND",
    "Array",
    "Combine",
    "Constant",
    "Contract",
    "EinsumRule",
    "Elementwise",
    "Executable",
    "Factor",
    "Input",
    "Instruction",
    "Keys",
    "Program",
    "Scatter",
    "Size",
    "Solve",
    "StructuredTensor",
    "Whole",
    "array_of",
    "check_backend",
    "checked_sizes",
    "einsum",
    "einsum_jacobian",
    "einsum_report",
    "einsum_vjp",
    "entries",
    "flops_of",
    "levi_civita",
    "operands_of",
    "parsed_limit",
    "string_and_operands",
]
