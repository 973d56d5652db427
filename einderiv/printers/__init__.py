"""Writes terms for a reader.

In: terms with the names of a `Context`. Out: index text, matrix form, LaTeX, einsum strings, code, pictures.
A term gets its letters (a named term), becomes a surface tree, and each printer writes that in its notation.
"""

from .chains import (
    Atom,
    Chain,
    Form,
    chain_tree,
    flips,
    form_tree,
    identity,
    multiply_chains,
    ones,
    sum_tree,
    transpose_chain,
)
from .code.function import Origin, function_code
from .code.targets import TARGETS
from .einsum import EinsumText, to_einsum
from .latex import matrix_latex, name_latex, to_latex, tree_latex
from .matrix import MatrixPrinter, matrix_text_of, nearest_form, not_matrix_form
from .named import (
    Applied,
    Leaf,
    Letters,
    Mapped,
    Names,
    Pending,
    Power,
    Product,
    Raw,
    Total,
    Unfolder,
    all_names,
    free_names,
    raw_postorder,
    rename,
    shared_nodes,
    to_term,
)
from .pictures.drawing import Drawn, Picture, expression_html, picture_of
from .pictures.graph import plan, plan_html
from .pictures.spy import Spy, row_axes
from .surface import TreeWriter, unparse
from .text import break_line, to_text, tree_text
from .trees import (
    NOWHERE,
    as_base,
    as_factor,
    call_tree,
    entry,
    fraction_tree,
    number_tree,
    partial,
    power_tree,
)

__all__ = [
    "NOWHERE",
    "TARGETS",
    "Applied",
    "Atom",
    "Chain",
    "Drawn",
    "EinsumText",
    "Form",
    "Leaf",
    "Letters",
    "Mapped",
    "MatrixPrinter",
    "Names",
    "Origin",
    "Pending",
    "Picture",
    "Power",
    "Product",
    "Raw",
    "Spy",
    "Total",
    "TreeWriter",
    "Unfolder",
    "all_names",
    "as_base",
    "as_factor",
    "break_line",
    "call_tree",
    "chain_tree",
    "entry",
    "expression_html",
    "flips",
    "form_tree",
    "fraction_tree",
    "free_names",
    "function_code",
    "identity",
    "matrix_latex",
    "matrix_text_of",
    "multiply_chains",
    "name_latex",
    "nearest_form",
    "not_matrix_form",
    "number_tree",
    "ones",
    "partial",
    "picture_of",
    "plan",
    "plan_html",
    "power_tree",
    "raw_postorder",
    "rename",
    "row_axes",
    "shared_nodes",
    "sum_tree",
    "to_einsum",
    "to_latex",
    "to_term",
    "to_text",
    "transpose_chain",
    "tree_latex",
    "tree_text",
    "unparse",
]
