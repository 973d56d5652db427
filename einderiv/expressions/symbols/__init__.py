"""Symbols in Python code: they take part in it as NumPy's arrays do, and what comes out are terms."""
