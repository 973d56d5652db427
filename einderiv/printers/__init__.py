"""Writes terms for a reader.

In: terms with the names of a `Context`. Out: index text, matrix form, LaTeX, einsum strings, code, pictures.
Terms become surface trees first; each printer writes the tree in its notation.
"""

from .chains import (
    Atom,
    Chain,
    Form,
    chain_tree,
    flips,
    form_tree,
    identity,
    multiplied,
    ones,
    sum_tree,
    transposed,
)
from .code.function import Origin, function_code
from .code.targets import TARGETS
from .einsum import EinsumText, to_einsum
from .latex import matrix_latex, name_latex, to_latex
from .matrix import MatrixPrinter, matrix_text_of, nearest_form, not_matrix_form
from .named import (
    ONE,
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
    renamed,
    shared_nodes,
    to_term,
)
from .partials import tree_latex, tree_text
from .pictures.picture import Drawn, Picture, expression_html, picture_of
from .pictures.plans import plan, plan_html
from .pictures.spy import Spy, row_axes
from .raw_trees import TreeWriter
from .surface import unparse
from .text import broken, matrix_text, to_matrix_text, to_text
from .trees import (
    NOWHERE,
    Partial,
    as_base,
    as_factor,
    as_node,
    call_tree,
    entry,
    fraction_tree,
    number_tree,
    powered,
)

__all__ = [
    "NOWHERE",
    "ONE",
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
    "Partial",
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
    "as_node",
    "broken",
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
    "matrix_text",
    "matrix_text_of",
    "multiplied",
    "name_latex",
    "nearest_form",
    "not_matrix_form",
    "number_tree",
    "ones",
    "picture_of",
    "plan",
    "plan_html",
    "powered",
    "raw_postorder",
    "renamed",
    "row_axes",
    "shared_nodes",
    "sum_tree",
    "to_einsum",
    "to_latex",
    "to_matrix_text",
    "to_term",
    "to_text",
    "transposed",
    "tree_latex",
    "tree_text",
    "unparse",
]
