"""Statistics that more than one part of the mathematics needs."""
