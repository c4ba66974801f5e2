"""Detections against the truth of one image: IoU, and greedy matching as the COCO evaluation does
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from connectors.ports import Box, Detections
from loop.base.arrays import Bools, Ints, Reals

COCO_IOUS: Reals = np.linspace(0.5, 0.95, 10, dtype=np.float64)
MAX_DETECTIONS = 100


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really in one image.

    xyxy: (G, 4) px.
    class_id: (G,) int.
    """

    xyxy: Reals
    class_id: Ints


@dataclass(frozen=True, slots=True)
class ImageMatch:
    """One image's detections against its truth, best first.

    class_id, confidence: (K,).
    hit: (T, K) bool, true where the detection found an object at that threshold.
    truth_class: (G,) int.
    """

    class_id: Ints
    confidence: Reals
    hit: Bools
    truth_class: Ints


def truth_of(boxes: Iterable[tuple[int, float, float, float, float]]) -> Truth:
    """What is really in an image. boxes: class id and corners (x1, y1, x2, y2) in px."""
    table = np.array(list(boxes), dtype=np.float64).reshape(-1, 5)
    return Truth(table[:, 1:], table[:, 0].astype(np.int64))


def with_class_ids(
    boxes: Iterable[Box], classes: Sequence[str]
) -> tuple[tuple[int, float, float, float, float], ...]:
    """Class id and corners in px of each box; boxes of other classes are left out."""
    index = {name: i for i, name in enumerate(classes)}
    return tuple((index[box.class_name], *box.xyxy) for box in boxes if box.class_name in index)


def match(truth: Truth, detections: Detections, ious: ArrayLike = COCO_IOUS) -> ImageMatch:
    """Greedy matching by falling confidence within each class; at most 100 detections per class
    count.

    Raises ValueError when the shapes do not fit.
    """
    thresholds = np.asarray(ious, dtype=np.float64)
    truth_xyxy = _boxes(truth.xyxy, len(truth.class_id), "truth")
    xyxy = _boxes(detections.xyxy, len(detections), "detections")
    order = _best_first(np.asarray(detections.confidence), np.asarray(detections.class_id))
    class_id = np.asarray(detections.class_id, dtype=np.int64)[order]
    truth_class = np.asarray(truth.class_id, dtype=np.int64)
    overlap = iou_matrix(xyxy[order], truth_xyxy)
    overlap[class_id[:, None] != truth_class[None, :]] = -1.0
    return ImageMatch(
        class_id,
        np.asarray(detections.confidence, dtype=np.float64)[order],
        _greedy(overlap, np.minimum(thresholds, 1 - 1e-10)),
        truth_class,
    )


def iou_matrix(a: ArrayLike, b: ArrayLike) -> Reals:
    """(A, B) intersection over union of boxes (A, 4) and (B, 4), xyxy; 0 where both are empty."""
    left, right = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None]
    size = np.minimum(left[..., 2:], right[..., 2:]) - np.maximum(left[..., :2], right[..., :2])
    inter: Reals = size.clip(min=0).prod(axis=-1)
    union = _area(left) + _area(right) - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def _greedy(overlap: Reals, ious: Reals) -> Bools:
    hit = np.zeros((len(ious), len(overlap)), dtype=np.bool_)
    free = np.ones((len(ious), overlap.shape[1]), dtype=np.bool_)
    if not overlap.size:
        return hit
    for k in np.flatnonzero(overlap.max(axis=1) >= ious.min()):
        open_overlap = np.where(free & (overlap[k] >= ious[:, None]), overlap[k], -1.0)
        # COCO takes the last of equally good objects
        best = overlap.shape[1] - 1 - open_overlap[:, ::-1].argmax(axis=1)
        found = np.flatnonzero(open_overlap[np.arange(len(ious)), best] >= 0)
        hit[found, k] = True
        free[found, best[found]] = False
    return hit


def _best_first(confidence: NDArray[np.float32], class_id: Ints) -> Ints:
    order = np.argsort(-confidence, kind="stable")
    if len(order) <= MAX_DETECTIONS:
        return order
    rank = np.zeros(len(order), dtype=np.int64)
    for one in np.unique(class_id):
        rank[class_id[order] == one] = np.arange((class_id == one).sum())
    return order[rank < MAX_DETECTIONS]


def _boxes(xyxy: ArrayLike, count: int, what: str) -> Reals:
    boxes = np.asarray(xyxy, dtype=np.float64)
    if boxes.size == 0 and count == 0:
        return np.zeros((0, 4))
    if boxes.shape != (count, 4):
        raise ValueError(
            f"expected {what} boxes ({count}, 4), got shape {boxes.shape}; give one xyxy row per class id"
        )
    return boxes


def _area(xyxy: Reals) -> Reals:
    return np.asarray((xyxy[..., 2] - xyxy[..., 0]) * (xyxy[..., 3] - xyxy[..., 1]))
