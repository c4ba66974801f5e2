"""How a model does on the demo's held-out scenes, per condition and per class; opened by the final
report alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pil

from connectors.images import decode, inspect
from connectors.ports import Detections, Detector, Image, Progress
from loop.base.files import chunked
from loop.math.boxes.matching import Truth
from loop.math.evaluation.ap import average_precision, match_all

CHUNK = 16


@dataclass(frozen=True)
class HeldOutSet:
    """All test scenes of one condition."""

    name: str
    images: list[Path]
    truths: list[Truth]


@dataclass(frozen=True)
class Score:
    """One model on one condition. per_class: AP50 by class name, None where no such object is
    shown.
    """

    condition: str
    ap50: float
    ap: float
    per_class: dict[str, float | None]


def load_tests(folder: Path) -> list[HeldOutSet]:
    """The held-out sets in truth/test, one folder of YOLO images and labels per condition."""
    found = []
    for condition in sorted(path for path in folder.iterdir() if path.is_dir()):
        images = sorted((condition / "images").glob("*.jpg"))
        found.append(HeldOutSet(condition.name, images, [_truth(path) for path in images]))
    return found


def score(detector: Detector, sets: Sequence[HeldOutSet], progress: Progress) -> dict[str, Score]:
    """Scores by condition."""
    result = {}
    total, done = sum(len(each.images) for each in sets), 0
    for each in sets:
        found: list[Detections] = []
        for chunk in chunked(each.images, CHUNK):
            found += detector.detect([_read(path) for path in chunk])
            done += len(chunk)
            progress(done, total, f"held-out scenes: {each.name}")
        scores = average_precision(match_all(each.truths, found, len(detector.classes)))
        values = scores.at(0.5)
        per_class = {
            name: None if np.isnan(values[i]) else float(values[i]) for i, name in enumerate(detector.classes)
        }
        result[each.name] = Score(each.name, scores.ap50, scores.ap, per_class)
    return result


def _read(path: Path) -> Image:
    data = path.read_bytes()
    return decode(data, inspect(data))


def _truth(image: Path) -> Truth:
    with Pil.open(image) as opened:
        width, height = opened.size
    lines = (image.parents[1] / "labels" / f"{image.stem}.txt").read_text(encoding="utf-8").split("\n")
    rows = np.array([line.split() for line in lines if line], dtype=np.float64).reshape(-1, 5)
    center, half = rows[:, 1:3], rows[:, 3:5] / 2
    xyxy = np.concatenate([center - half, center + half], axis=1) * [width, height, width, height]
    return Truth(xyxy, rows[:, 0].astype(np.int64))
