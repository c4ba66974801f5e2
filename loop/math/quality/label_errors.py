"""Labels that may be wrong, the most probable first: overlooked objects, spurious labels, wrong
classes and bad boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loop.math.quality.error_calibration import Calibration, Decision, calibrate
from loop.math.quality.judged_frames import KINDS, JudgedFrame, Kind, Suspected
from loop.math.quality.label_scores import score_labels

__all__ = [
    "KINDS",
    "Calibration",
    "Decision",
    "JudgedFrame",
    "Kind",
    "Suspected",
    "calibrate",
    "score_labels",
    "suspects",
]


def suspects(frames: Sequence[JudgedFrame], calibration: Calibration) -> list[Suspected]:
    """Each label once, with what is most probably wrong about it, and each place without a label.

    By falling probability. What cannot be wrong (probability 0) is left out.
    """
    told = _with_probability(score_labels(frames), calibration)
    worst: dict[tuple[int, int], Suspected] = {}
    places = [each for each in told if each.label < 0]
    for each in told:
        key = each.frame, each.label
        if each.label >= 0 and (key not in worst or each.probability > worst[key].probability):
            worst[key] = each
    listed = [each for each in (*worst.values(), *places) if each.probability > 0]
    return sorted(listed, key=lambda each: (-each.probability, -each.score, each.frame, each.label))


def _with_probability(found: Sequence[Suspected], calibration: Calibration) -> list[Suspected]:
    probability = np.zeros(len(found))
    kinds = np.array([each.kind for each in found])
    scores = np.array([each.score for each in found])
    for kind in KINDS:
        rows = kinds == kind
        probability[rows] = calibration.probability(kind, scores[rows])
    return [replace(each, probability=float(p)) for each, p in zip(found, probability, strict=True)]
