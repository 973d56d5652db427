"""Printers: terms back to notations. `unparse` gives names to labels, the others render its tree."""
