"""Turns terms into the `Program` that is estimated to cost least.

In: terms, typical extents. Out: a `Program`: `rewriting`, then `lower` with the `order` of each product, the
`kernels` of its contractions, and `blocks` for the cache; `cost` says what it needs.
"""
