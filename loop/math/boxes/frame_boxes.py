"""What a detector found in many frames, without where it lies: what comparing and choosing look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectors.ports import Detections
from loop.base.arrays import Ints, Reals
from samplers.ragged import Ragged

LEAST = 0.1
"""A box below this confidence says nothing of how sure the detector is of a frame."""


@dataclass(frozen=True, eq=False)
class FrameBoxes:
    """The boxes of N frames.

    confidence: float32.
    class_id: int64.
    class_scores: (C,) float32 of each box, None where only confidences are known.
    """

    confidence: Ragged
    class_id: Ragged
    class_scores: Ragged | None = None

    @classmethod
    def of(cls, found: Sequence[Detections]) -> FrameBoxes:
        """From N detections; scores of classes are known where they are of every frame with a box."""
        scores = [each.class_scores for each in found if len(each)]
        known = [each for each in scores if each is not None]
        confidence = Ragged.of([each.confidence for each in found])
        wide = confidence.with_values(np.concatenate(known)) if known and len(known) == len(scores) else None
        return cls(confidence, Ragged.of([each.class_id for each in found]), wide)

    def __len__(self) -> int:
        return len(self.confidence)

    def take(self, rows: Ints) -> FrameBoxes:
        """Those of these frames, in their order."""
        wide = None if self.class_scores is None else self.class_scores.take(rows)
        return FrameBoxes(self.confidence.take(rows), self.class_id.take(rows), wide)

    @property
    def scores(self) -> Ragged:
        """Scores of classes, or confidences where only these are known."""
        return self.confidence if self.class_scores is None else self.class_scores

    def class_maxima(self, classes: int) -> Reals:
        """(N, C) the highest score of each class in each frame, before suppression where it is
        known.
        """
        if self.class_scores is not None:
            return self.class_scores.maxima().astype(np.float64)
        maxima = np.zeros((len(self), classes))
        boxes = self.confidence.row, self.class_id.values.astype(np.int64)
        np.maximum.at(maxima, boxes, self.confidence.values)
        return maxima

    def mean_confidence(self, least: float = LEAST) -> Reals:
        """(N,) mean confidence of a frame's boxes of at least `least`; 0 for a frame without, in
        which the detector sees nothing.
        """
        kept = self.confidence.values >= least
        row = self.confidence.row[kept]
        count = np.bincount(row, minlength=len(self))
        total = np.bincount(row, weights=self.confidence.values[kept], minlength=len(self))
        mean: Reals = total / np.maximum(count, 1)
        return mean
