"""Reads matrix notation.

In: a text without indices. Out: its surface tree (`parse_matrix`), then its meaning (`elaborate_matrix`).
"""
