"""Pictures: tensor networks, graphs of operations, plans of programs, patterns of zeros."""
