"""JSON as annotation tools write it."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from connectors.documents import parse_json
from loop.datasets.imported import DatasetError


def load_json(path: Path, what: str) -> Any:
    """The content of a JSON file. what: it should be. Raises DatasetError."""
    try:
        return parse_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: expected {what}, got {error}; export it again") from None


def positive(values: Mapping[str, Any], *keys: str) -> tuple[int, int] | None:
    """Width and height under two keys, None where one is missing or not above 0."""
    numbers = [number(values.get(key)) for key in keys]
    if not all(value and value > 0 for value in numbers):
        return None
    width, height = (int(value or 0) for value in numbers)
    return width, height


def number(value: object) -> float | None:
    """A finite number, also one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if isfinite(read) else None
