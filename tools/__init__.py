"""Makers of the documentation: the drawing of the house, the reference, the site."""
