"""Expressions and programs as pictures.

In: a term or a program. Out: `drawing.Picture` of a graph, `spy.Spy` of a pattern of zeros.
A picture is a `graph.Graph`, or a matrix; `layout` finds places for it, `drawing` draws it.
"""
