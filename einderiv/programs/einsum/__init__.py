"""numpy.einsum computed by our programs, and the derivatives of einsum strings as einsum strings."""
