"""Labels of frames beside what models saw there that were not trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from loop.base.arrays import Ints, Reals

Kind = Literal["overlooked", "spurious", "class", "location"]
"""An object without a label, a label without an object, a wrong class, a bad box."""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, eq=False)
class JudgedFrame:
    """One frame's labels, and the boxes of a model that was not trained on its camera-day.

    labels_xyxy: (L, 4) float64 px.
    labels_class: (L,) int64.
    xyxy: (K, 4) float px, the model's boxes after suppression.
    confidence: (K,) float in 0..1.
    class_id: (K,) int64.
    class_scores: (K, C) float in 0..1, every class's score of each box, or None where only the
    highest is known.
    group: its camera-day, video or sequence.
    Raises ValueError when the shapes do not fit.
    """

    labels_xyxy: Reals
    labels_class: Ints
    xyxy: Reals
    confidence: Reals
    class_id: Ints
    class_scores: Reals | None
    group: str

    def __post_init__(self) -> None:
        _check(self.labels_xyxy, (len(self.labels_class), 4), "labels_xyxy")
        _check(self.xyxy, (len(self.class_id), 4), "xyxy")
        _check(self.confidence, (len(self.class_id),), "confidence")
        if self.class_scores is not None and len(self.class_scores) != len(self.class_id):
            raise ValueError(
                f"expected class_scores of {len(self.class_id)} boxes, got {len(self.class_scores)} rows;"
                " give one row per box"
            )


@dataclass(frozen=True, slots=True)
class Suspected:
    """A label, or a place without one, that may be wrong.

    frame: index of the frame.
    label: index of its label, -1 where none is (overlooked).
    fix_class, fix_xyxy: what it should be, px; None where that stays or the label should go.
    score: 0..1, larger is more suspect, comparable within its kind alone.
    probability: that it is wrong, comparable over kinds; nan before calibration.
    """

    frame: int
    kind: Kind
    label: int
    fix_class: int | None
    fix_xyxy: tuple[float, float, float, float] | None
    score: float
    probability: float


def classes_of(frames: Sequence[JudgedFrame]) -> int:
    """How many classes labels, boxes and class scores name."""
    known = [each.class_scores.shape[1] for each in frames if each.class_scores is not None]
    named = [int(ids.max()) + 1 for each in frames for ids in (each.labels_class, each.class_id) if len(ids)]
    return max([*known, *named], default=0)


def _check(array: Reals, shape: tuple[int, ...], what: str) -> None:
    if np.shape(array) != shape:
        raise ValueError(
            f"expected {what} of shape {shape}, got {np.shape(array)}; give one row per class id"
        )
