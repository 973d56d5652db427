"""Turns a `Program` into Python code that runs on NumPy arrays or floats, and into a source to read.

In: a `Program`. Out: functions of arrays (`numpy`) and of floats (`scalars`), a module as text (`source`).
"""
