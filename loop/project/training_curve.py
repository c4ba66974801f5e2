"""What a training run said of itself after each epoch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "progress.jsonl"
MOST_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Curve:
    """One number over the epochs, such as train/box_loss. epochs: (N,) from 1; values: (N,)."""

    name: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]


def training_curves(run_dir: Path) -> list[Curve]:
    """Every number that the trainer told, by name; of an epoch that was done again the last time.

    Empty where nothing is known: the run has not begun, or its folder is gone.
    """
    try:
        with (run_dir / FILE).open("rb") as file:
            lines = file.read(MOST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    told: dict[int, dict[str, float]] = {}
    for line in _records(lines):
        metrics = line.get("metrics")
        if isinstance(metrics, dict) and isinstance(line.get("epoch"), int):
            told[line["epoch"]] = {
                name: float(value) for name, value in metrics.items() if isinstance(value, int | float)
            }
    names = dict.fromkeys(name for metrics in told.values() for name in metrics)
    return [_curve(name, told) for name in sorted(names)]


def _curve(name: str, told: dict[int, dict[str, float]]) -> Curve:
    epochs = tuple(epoch for epoch in sorted(told) if name in told[epoch])
    return Curve(name, epochs, tuple(told[epoch][name] for epoch in epochs))


def _records(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    """Whole records alone: the last line may be under way."""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record
