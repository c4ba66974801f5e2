"""What a batch costs its labelers, by what the answers so far took and held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from db.analysis import load_detections
from db.effort import GivenAnswer, given_answers
from loop.base.arrays import Ints, Reals
from loop.base.wording import counted
from loop.math.coverage.comparison import Comparison
from loop.math.quality.effort import FEW, fitted_seconds, timed_tasks
from loop.math.quality.object_counts import ObjectCounts, in_bands, learned_counts
from loop.selection.sampler_pool import Calibrated, Cost, objects_of
from samplers.ragged import Ragged

RECENT = 2000
"""Answers that are learned from, the latest."""


@dataclass(frozen=True, slots=True)
class BatchCost:
    """hours: of labeling. boxes: expected objects.
    timed: whether the seconds come from answers. answered: whether the number of boxes does.
    """

    hours: float
    boxes: float
    timed: bool
    answered: bool

    def line(self) -> str:
        """For people."""
        return f"about {self.hours:.1f} hours of labeling, {told_boxes(self.boxes)} ({self.source})"

    @property
    def source(self) -> str:
        """Where both numbers come from."""
        if self.timed and self.answered:
            return "by how long answers took so far, and what they held"
        if self.timed:
            return (
                f"hours by how long answers took so far, boxes by a rule of thumb, until {FEW} answers tell"
            )
        if self.answered:
            return (
                f"boxes by what answers held, hours by a rule of thumb, until {FEW} answers have been timed"
            )
        return f"by a rule of thumb, until {FEW} answers have been timed"


def cost_of(found: Comparison, rows: Ints, calibrated: Calibrated) -> BatchCost:
    """Of labeling these rows of production."""
    boxes, cost = float(objects_of(found, rows, calibrated).sum()), calibrated.cost
    hours = (cost.frame * len(rows) + cost.box * boxes) / 3600
    return BatchCost(hours, boxes, cost.known, calibrated.counts.frames > 0)


def told_boxes(boxes: float) -> str:
    """For people: about 3 boxes, less than 1 box."""
    return f"about {counted(round(boxes), 'box', 'boxes')}" if boxes >= 1 else "less than 1 box"


def learned_cost(session: Session, detector: int) -> tuple[Cost, ObjectCounts]:
    """What the latest answers tell of seconds and objects; rules of thumb before they do.

    detector: the present one. Its boxes are counted in frames that were chosen by it, so that it was not
    trained on them, or by any detector where these are too few.
    """
    given = given_answers(session, RECENT)
    boxes = np.array([len(one.boxes) for one in given], dtype=np.float64)
    seconds = np.array([np.nan if one.seconds is None else one.seconds for one in given], dtype=np.float64)
    own = [one for one in given if one.detector == detector]
    by = own if len(own) >= FEW else [one for one in given if one.detector is not None]
    return fitted_cost(boxes, seconds), _counts(session, by)


def fitted_cost(boxes: Reals, seconds: Reals) -> Cost:
    """Seconds of a frame and of each of its boxes, see `fitted_seconds`; the rule of thumb below FEW
    answers that were timed.
    """
    timed = timed_tasks(seconds)
    if timed.sum() < FEW:
        return Cost()
    design = np.column_stack([np.ones(timed.sum()), boxes[timed]])
    frame, box = fitted_seconds(design, seconds[timed], np.zeros(2))
    return Cost(max(float(frame), 1.0), float(box), known=True)


def _counts(session: Session, given: Sequence[GivenAnswer]) -> ObjectCounts:
    confidence: list[Reals] = []
    objects: list[int] = []
    for detector in {one.detector for one in given if one.detector is not None}:
        own = {one.frame: one for one in given if one.detector == detector}
        for frame, seen in load_detections(session, detector, own).items():
            confidence.append(np.asarray(seen.confidence, dtype=np.float64))
            objects.append(len(own[frame].boxes))
    return learned_counts(in_bands(Ragged.of(confidence)), np.array(objects, dtype=np.float64), FEW)
