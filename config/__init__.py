"""Shipped configuration: defaults, conditions, guidelines, the small CLIP."""

from pathlib import Path

FOLDER = Path(__file__).parent
