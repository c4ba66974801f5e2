"""Distances between rows, and what makes them cheap."""
