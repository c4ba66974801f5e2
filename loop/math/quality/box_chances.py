"""How often a model's box is right, by its class and confidence, told from the labels at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from loop.base.arrays import Bools, Ints, Reals
from loop.math.boxes.box_errors import box_errors
from loop.math.boxes.matching import Truth
from loop.math.quality.isotonic import Line, isotonic
from loop.math.quality.judged_frames import JudgedFrame

FEW_HITS = 50
"""Objects found from which a class has a curve of its own."""


@dataclass(frozen=True)
class BoxChances:
    """pooled: of all classes, None where there was too little to learn from. own: by class id."""

    pooled: Line | None
    own: Mapping[int, Line]

    def of(self, class_id: ArrayLike, confidence: ArrayLike) -> Reals:
        """(K,) chance of each box to be right; its confidence where nothing was learned."""
        ids, given = np.asarray(class_id), np.asarray(confidence, dtype=np.float64)
        if self.pooled is None or not given.size:
            return given
        chance = self.pooled.at(given)
        for one, curve in self.own.items():
            mine = ids == one
            if mine.any():
                chance[mine] = curve.at(given[mine])
        return chance

    def by_class(self, frame: JudgedFrame, classes: int) -> Reals:
        """(K, C) chance of every class in each box's place, 0 for classes that the model does not know."""
        table = np.zeros((len(frame.class_id), classes))
        if frame.class_scores is None:
            table[np.arange(len(table)), frame.class_id] = self.of(frame.class_id, frame.confidence)
            return table
        scores = np.asarray(frame.class_scores, dtype=np.float64)
        ids = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        table[:, : scores.shape[1]] = self.of(ids.ravel(), scores.ravel()).reshape(scores.shape)
        return table


def box_chances(frames: Sequence[JudgedFrame]) -> BoxChances:
    """Isotonic regression (Zadrozny and Elkan 2002) of "a label of its class is there" on
    confidence.

    Per class where 50 boxes or more are right, pooled otherwise, and not at all below 50 in all.
    """
    class_id = np.concatenate([each.class_id for each in frames] or [np.zeros(0, np.int64)])
    confidence = np.concatenate([each.confidence for each in frames] or [np.zeros(0)])
    right = np.concatenate([_right(each) for each in frames] or [np.zeros(0, np.bool_)])
    if right.sum() < FEW_HITS:
        return BoxChances(None, {})
    counts: Ints = np.bincount(class_id[right])
    own = {
        int(one): line
        for one in np.flatnonzero(counts >= FEW_HITS)
        if (line := _from_zero(confidence[class_id == one], right[class_id == one]))
    }
    return BoxChances(_from_zero(confidence, right), own)


def _right(frame: JudgedFrame) -> Bools:
    truth = Truth(frame.labels_xyxy, frame.labels_class)
    return box_errors(truth, frame.xyxy, frame.class_id, frame.confidence).found


def _from_zero(confidence: Reals, right: Bools) -> Line | None:
    """No confidence is no chance: class scores go below the least confidence of a box."""
    line = isotonic(confidence, right.astype(np.float64))
    return line and Line(np.append(0.0, line.x), np.append(0.0, line.y))
