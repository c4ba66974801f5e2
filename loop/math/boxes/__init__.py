"""Boxes: what was found against what is there, and what is worth drawing."""
