"""To be said: what this room offers."""
