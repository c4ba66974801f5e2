"""Orchestration: the only package that imports the others."""
