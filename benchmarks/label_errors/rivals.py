"""cleanlab's ObjectLab on the same predictions, with calibrated confidences and its best thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cleanlab.object_detection import rank

from loop.base.arrays import Reals
from loop.math.quality.box_chances import box_chances
from loop.math.quality.judged_frames import JudgedFrame, classes_of

TUNED = 0.5
"""The threshold of high confidence that suits calibrated confidences; cleanlab's own is .95."""
HIGHS, LOWS = (0.1, 0.25, 0.5, 0.75, 0.95), (0.05, 0.1, 0.25, 0.5)
"""Thresholds among which the best is chosen knowing which labels are wrong."""


class ObjectLab:
    """Scores of ObjectLab (Tkachenko, Thyagarajan and Mueller 2023), turned so that 1 is suspect."""

    def __init__(self, frames: Sequence[JudgedFrame]) -> None:
        chances, classes = box_chances(frames), classes_of(frames)
        self._orders = [np.argsort(each.class_id, kind="stable") for each in frames]
        labels = [{"bboxes": each.labels_xyxy, "labels": each.labels_class} for each in frames]
        found = [_by_class(each, chances.of(each.class_id, each.confidence), classes) for each in frames]
        self._inputs: Any = rank._get_valid_inputs_for_compute_scores(0.9, labels, found)

    def overlooked(self, high: float) -> list[Reals]:
        """(K,) of each frame's boxes."""
        told = rank.compute_overlooked_box_scores(
            auxiliary_inputs=self._inputs, high_probability_threshold=high
        )
        out: list[Reals] = []
        for order, scores in zip(self._orders, told, strict=True):
            own: Reals = np.zeros(len(order))
            own[order] = 1 - np.nan_to_num(scores, nan=1.0)
            out.append(own)
        return out

    def wrong_class(self, high: float) -> list[Reals]:
        """(L,) of each frame's labels."""
        told = rank.compute_swap_box_scores(auxiliary_inputs=self._inputs, high_probability_threshold=high)
        return [1 - np.asarray(scores) for scores in told]

    def bad_location(self, low: float) -> list[Reals]:
        """(L,) of each frame's labels."""
        told = rank.compute_badloc_box_scores(auxiliary_inputs=self._inputs, low_probability_threshold=low)
        return [1 - np.asarray(scores) for scores in told]


def _by_class(frame: JudgedFrame, chance: Reals, classes: int) -> Any:
    rows = np.column_stack([frame.xyxy, chance])
    out = np.empty(classes, dtype=object)
    for one in range(classes):
        out[one] = rows[frame.class_id == one]
    return out
