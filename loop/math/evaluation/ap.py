"""COCO-style average precision, cheap over any weighting of the images once these are matched.

Matching and the 101-point interpolation follow the COCO evaluation (Lin et al., 2014) without
crowds or area ranges. A slice is a 0/1 weighting of images, a bootstrap draw one by multiplicities,
a survey estimate by 1 / inclusion probability: `average_precisions` takes many at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from connectors.ports import Detections
from loop.base.arrays import Bools, Ints, Reals
from loop.math.boxes.matching import COCO_IOUS, ImageMatch, Truth, match

_RECALLS: Reals = np.linspace(0.0, 1.0, 101, dtype=np.float64)
ROUNDING = 1e-9
"""By which a whole recall can miss 1, as weights are summed in another order."""
_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class Matches:
    """One model's detections over N images, by class and falling confidence.

    image, class_id, confidence: (D,).
    hit: (T, D) bool.
    truths: (N, C) counts.
    ious: (T,).
    """

    image: Ints
    class_id: Ints
    confidence: Reals
    hit: Bools
    truths: Ints
    ious: Reals

    @property
    def images(self) -> int:
        return int(self.truths.shape[0])

    @property
    def classes(self) -> int:
        return int(self.truths.shape[1])

    def span(self, class_id: int) -> slice:
        """Where the detections of one class lie."""
        low, high = np.searchsorted(self.class_id, [class_id, class_id + 1])
        return slice(int(low), int(high))


@dataclass(frozen=True, slots=True)
class Scores:
    """Average precision of one weighting.

    table: (T, C), NaN for a class without objects.
    ious: (T,).
    """

    table: Reals
    ious: Reals

    @property
    def ap50(self) -> float:
        return nan_mean(self.at(0.5))

    @property
    def ap75(self) -> float:
        return nan_mean(self.at(0.75))

    @property
    def ap(self) -> float:
        """mAP50-95."""
        return nan_mean(self.per_class)

    @property
    def per_class(self) -> Reals:
        """(C,) mean over the IoU thresholds."""
        return np.asarray(self.table.mean(axis=0))

    def at(self, iou: float) -> Reals:
        """(C,) average precision at one IoU threshold. Raises ValueError when it was not matched."""
        return np.asarray(self.table[iou_row(self.ious, iou)])


@dataclass(frozen=True, slots=True)
class Counts:
    """(N, C) each: true positives, false positives, false negatives per image and class."""

    tp: Ints
    fp: Ints
    fn: Ints


def collect(matches: Sequence[ImageMatch], classes: int, ious: ArrayLike = COCO_IOUS) -> Matches:
    """The matches of many images in one table. Raises ValueError on a class id outside
    0..classes-1.
    """
    thresholds = np.asarray(ious, dtype=np.float64)
    image = np.repeat(np.arange(len(matches)), [len(m.confidence) for m in matches])
    class_id = np.concatenate([m.class_id for m in matches] or [np.zeros(0, np.int64)])
    confidence = np.concatenate([m.confidence for m in matches] or [np.zeros(0)])
    hit = np.concatenate([m.hit for m in matches] or [np.zeros((len(thresholds), 0), bool)], axis=1)
    order = np.lexsort((-confidence, class_id))
    truths = np.zeros((len(matches), classes), dtype=np.int64)
    for row, one in enumerate(matches):
        _check_classes(np.concatenate([one.truth_class, one.class_id]), classes)
        np.add.at(truths[row], one.truth_class, 1)
    return Matches(image[order], class_id[order], confidence[order], hit[:, order], truths, thresholds)


def match_all(truths: Sequence[Truth], detections: Sequence[Detections], classes: int) -> Matches:
    """`match` over all images and `collect`. Raises ValueError when the two lists differ in length."""
    if len(truths) != len(detections):
        raise ValueError(
            f"expected one Detections per image, got {len(detections)} for {len(truths)} images; "
            "detect on every image"
        )
    return collect([match(t, d) for t, d in zip(truths, detections, strict=True)], classes)


def average_precision(matches: Matches, weights: ArrayLike | None = None) -> Scores:
    """AP per IoU threshold and class over the weighted images (all of them when weights is None)."""
    rows = np.ones((1, matches.images)) if weights is None else np.asarray(weights, np.float64)[None]
    return Scores(average_precisions(matches, rows)[0], matches.ious)


def average_precisions(
    matches: Matches,
    weights: ArrayLike,
    ious: Sequence[float] | None = None,
    classes: Sequence[int] | None = None,
) -> Reals:
    """AP of many weightings at once.

    weights: (R, N), not negative.
    ious, classes: those wanted, all when None.
    Returns (R, T, C), NaN where the weighted images hold no object of the class, or it was not
    wanted.
    Raises ValueError on a wrong shape or a negative weight.
    """
    table = np.asarray(weights, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != matches.images or (table < 0).any():
        raise ValueError(
            f"expected weights (R, {matches.images}), none negative, got shape {table.shape}; "
            "give one weight per image"
        )
    levels = range(len(matches.ious)) if ious is None else [iou_row(matches.ious, i) for i in ious]
    positives = table @ matches.truths
    out = np.full((len(table), len(levels), matches.classes), np.nan)
    wanted = np.arange(matches.classes) if classes is None else np.asarray(classes, dtype=np.int64)
    shown = np.asarray(matches.truths.any(axis=0))
    for class_id in wanted[shown[wanted]]:
        span = matches.span(int(class_id))
        for rows in _chunks(len(table), span.stop - span.start):
            part = table[rows][:, matches.image[span]]
            for column, level in enumerate(levels):
                hit = matches.hit[level, span]
                out[rows, column, class_id] = _curve_area(part, hit, positives[rows, class_id])
    return out


def counts(matches: Matches, confidence: float, iou: float = 0.5) -> Counts:
    """What each image counts when detections below `confidence` are not shown."""
    shown = matches.confidence >= confidence
    hit = matches.hit[iou_row(matches.ious, iou)]
    tp = _tally(matches, shown & hit)
    return Counts(tp, _tally(matches, shown & ~hit), matches.truths - tp)


def iou_row(ious: Reals, iou: float) -> int:
    near = np.flatnonzero(np.isclose(ious, iou))
    if not len(near):
        known = ious.round(2).tolist()
        raise ValueError(f"expected an IoU threshold of {known}, got {iou}; match at {iou} first")
    return int(near[0])


def nan_mean(values: Reals) -> float:
    """Mean of the values that are there; NaN when there is none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def _curve_area(weights: Reals, hit: Bools, positives: Reals) -> Reals:
    """(R,) 101-point area; precision can only peak, and recall only rise, at a hit."""
    shown = weights.cumsum(axis=1)[:, hit]
    found = weights[:, hit].cumsum(axis=1)
    precision = np.divide(found, shown, out=np.zeros_like(found), where=shown > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    there = positives > 0
    recall = found[there] / positives[there, None]
    recall[recall > 1 - ROUNDING] = 1.0
    reached = np.searchsorted(_RECALLS, recall, side="right")
    area = np.full(len(weights), np.nan)
    area[there] = (envelope[there] * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(_RECALLS)
    return area


def _tally(matches: Matches, chosen: Bools) -> Ints:
    table = np.zeros_like(matches.truths)
    np.add.at(table, (matches.image[chosen], matches.class_id[chosen]), 1)
    return table


def _chunks(rows: int, width: int) -> list[slice]:
    step = max(1, _CELLS // max(1, width))
    return [slice(start, min(rows, start + step)) for start in range(0, rows, step)]


def _check_classes(class_id: Ints, classes: int) -> None:
    if len(class_id) and (class_id.min() < 0 or class_id.max() >= classes):
        raise ValueError(
            f"expected class ids 0..{classes - 1}, got {class_id.min()}..{class_id.max()}; "
            "compare models of one class list"
        )
