"""Shipped configuration: defaults, conditions, the small CLIP."""

from pathlib import Path

FOLDER = Path(__file__).parent
