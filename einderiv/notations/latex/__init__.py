"""Reads LaTeX.

In: a formula as notes and papers have it. Out: a tree of what is written (`formulas`), then its meaning
(`reading.read_latex`).
"""
