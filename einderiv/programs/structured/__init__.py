"""Tensors as factors and Kronecker deltas, dense only on request."""
