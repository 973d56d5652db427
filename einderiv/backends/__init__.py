"""Backends: they see only a `Program`, never a term."""
