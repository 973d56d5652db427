"""Reads index, einsum, matrix and LaTeX text.

In: a text and the name of its notation. Out: a surface tree (`syntax`), then a term with the names of its
axes.
Offers `meaning_of` (text to term), the surface tree that printers write back, and `Context`, the names that a
reader chose.
"""

from . import complaints, syntax
from .context import Context, variable_name
from .einsum import (
    ELLIPSIS,
    LETTERS,
    Labels,
    Subscripts,
    fresh_letters,
    operand_name,
    read_subscripts,
)
from .index import elaborate, parse_index
from .matrix import elaborate_matrix
from .reading import meaning_of
from .syntax import (
    Access,
    Call,
    Definition,
    Group,
    Index,
    Name,
    Node,
    Number,
    Text,
    indices_of,
    parts,
    tree_nodes,
)

__all__ = [
    "ELLIPSIS",
    "LETTERS",
    "Access",
    "Call",
    "Context",
    "Definition",
    "Group",
    "Index",
    "Labels",
    "Name",
    "Node",
    "Number",
    "Subscripts",
    "Text",
    "complaints",
    "elaborate",
    "elaborate_matrix",
    "fresh_letters",
    "indices_of",
    "meaning_of",
    "operand_name",
    "parse_index",
    "parts",
    "read_subscripts",
    "syntax",
    "tree_nodes",
    "variable_name",
]
