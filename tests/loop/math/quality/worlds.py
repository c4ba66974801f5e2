"""Simulated frames whose labels are right, and what a model of some quality sees in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loop.base.arrays import Reals
from loop.math.quality.label_errors import JudgedFrame

CLASSES = 4


def world(frames: int, seed: int, recall: float = 0.9, noise: float = 0.04) -> list[JudgedFrame]:
    """noise: standard deviation of a box's sides, as a share of the object's size."""
    dice = np.random.default_rng(seed)
    return [_frame(number, dice, recall, noise) for number in range(frames)]


def one(
    labels: Sequence[tuple[float, ...]],
    boxes: Sequence[tuple[float, ...]],
    scores: Sequence[tuple[float, ...]] | None = None,
) -> JudgedFrame:
    """labels: (class, x1, y1, x2, y2). boxes: (confidence, class, x1, y1, x2, y2)."""
    truth = np.array(labels, np.float64).reshape(-1, 5)
    seen = np.array(boxes, np.float64).reshape(-1, 6)
    return JudgedFrame(
        truth[:, 1:],
        truth[:, 0].astype(np.int64),
        seen[:, 2:],
        seen[:, 0],
        seen[:, 1].astype(np.int64),
        None if scores is None else np.array(scores, np.float64),
        "gate|2026-03-02",
    )


def _frame(number: int, dice: np.random.Generator, recall: float, noise: float) -> JudgedFrame:
    labels, size = _boxes(int(dice.integers(1, 7)), dice)
    ids = dice.integers(0, CLASSES, len(labels))
    seen = dice.random(len(labels)) < recall
    told = np.where(dice.random(seen.sum()) < 0.93, ids[seen], dice.integers(0, CLASSES, seen.sum()))
    found = labels[seen] + dice.normal(0, noise, (seen.sum(), 4)) * np.tile(size[seen], 2)
    ghosts, _ = _boxes(int(dice.poisson(2)), dice)
    xyxy = np.concatenate([found, ghosts])
    confidence = np.concatenate([dice.beta(6, 2, len(found)), dice.beta(1.2, 6, len(ghosts))])
    class_id = np.concatenate([told, dice.integers(0, CLASSES, len(ghosts))])
    scores = dice.random((len(xyxy), CLASSES)) * 0.1 * confidence[:, None]
    scores[np.arange(len(xyxy)), class_id] = confidence
    return JudgedFrame(labels, ids, xyxy, confidence, class_id, scores, f"gate|{number // 20}")


def _boxes(count: int, dice: np.random.Generator) -> tuple[Reals, Reals]:
    size = dice.random((count, 2)) * 60 + 30
    corner = dice.random((count, 2)) * 500
    return np.concatenate([corner, corner + size], axis=1), size
