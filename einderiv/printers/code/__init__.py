"""Expressions as functions in NumPy, PyTorch or JAX.

In: an expression, a target. Out: `function.function_code`, the text of a module; `targets.TARGETS`.
Terms become trees of operations (`terms`), and these statements (`text`).
"""
