"""The service: all of the loop by itself, on a schedule."""
