"""How a detector errs on one image: what it misses, what is not there, and what it takes for
something else.

Greedy matching by falling confidence at one IoU, first within classes, then of what is left over
between them: a box in the right place of the wrong class is one error and not two (the kinds of
TIDE, Bolya et al. 2020, without its errors of location).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Bools, Ints, Reals
from loop.math.boxes.matching import Truth, iou_matrix

IOU = 0.5


@dataclass(frozen=True, eq=False)
class BoxErrors:
    """missed: (G,) bool, objects that nothing found. other_class: (G,) class that was seen in an
    object's place, -1 for none.
    found: (K,) bool, boxes that are right. false: (K,) bool, boxes where nothing is.
    """

    missed: Bools
    other_class: Ints
    found: Bools
    false: Bools

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many are missed, false, and of another class."""
        return int(self.missed.sum()), int(self.false.sum()), int((self.other_class >= 0).sum())


def box_errors(truth: Truth, xyxy: Reals, class_id: Ints, confidence: Reals, iou: float = IOU) -> BoxErrors:
    """Of the boxes (K, 4) px with their classes (K,) and confidence (K,) on one image."""
    overlap = iou_matrix(xyxy, truth.xyxy)
    order = np.argsort(-confidence, kind="stable")
    same = class_id[:, None] == truth.class_id[None, :]
    right = _matched(np.where(same, overlap, -1.0), order, iou)
    left = overlap.copy()
    left[right >= 0, :] = -1.0
    left[:, right[right >= 0]] = -1.0
    confused = _matched(np.where(same, -1.0, left), order, iou)
    other = np.full(len(truth.class_id), -1, np.int64)
    other[confused[confused >= 0]] = class_id[confused >= 0]
    seen = np.zeros(len(truth.class_id), np.bool_)
    seen[right[right >= 0]] = True
    return BoxErrors(~seen & (other < 0), other, right >= 0, (right < 0) & (confused < 0))


def _matched(overlap: Reals, order: Ints, iou: float) -> Ints:
    """(K,) the object that each box finds, -1 for none; an object is found once."""
    found = np.full(len(overlap), -1, np.int64)
    if not overlap.size:
        return found
    free = np.ones(overlap.shape[1], np.bool_)
    for k in order[overlap[order].max(axis=1) >= iou].tolist():
        open_overlap = np.where(free, overlap[k], -1.0)
        best = int(open_overlap.argmax())
        if open_overlap[best] >= iou:
            found[k] = best
            free[best] = False
    return found
