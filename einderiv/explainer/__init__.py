"""Derivations: why a derivative is what it is, in steps that are checked. See `records.py`."""
