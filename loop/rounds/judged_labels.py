"""Labels beside what models saw that were not trained on them, whatever dataset they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectors.ports import Box, Detections
from db.states import SuspectKind
from db.suspects import Place
from loop.math.boxes.matching import match, truth_of, with_class_ids
from loop.math.quality.error_calibration import Decision
from loop.math.quality.label_errors import JudgedFrame, Suspected, calibrate, suspects
from loop.math.quality.review_seconds import review_seconds

FOUND_ABOVE = 0.25
"""Confidence from which a detection counts for the recall that is told of a judge."""
LEAST = 0.05
"""Probability from which a label is suspect: below, twenty looks mend less than one label."""
SAME = 0.5


@dataclass(frozen=True, eq=False)
class Judged:
    """A frame, its label and what a model that was not trained on it saw. group: its camera-day."""

    frame: int
    boxes: tuple[Box, ...]
    seen: Detections
    group: str


@dataclass(frozen=True, slots=True)
class FoundSuspect:
    """A label, or a place without one, that looks wrong; see `db.suspects.NewSuspect`."""

    frame: int
    kind: SuspectKind
    box: Place | None
    fix: Place | None
    score: float
    probability: float

    @property
    def gain(self) -> float:
        """Expected errors mended per second of a person."""
        return self.probability / review_seconds(self.kind, self.probability)


def find_suspects(
    judged: Sequence[Judged], classes: Sequence[str], seed: int, decisions: Sequence[Decision] = ()
) -> tuple[list[FoundSuspect], dict[str, Any]]:
    """What looks wrong, the most probable first, and the calibration that says so.

    decisions: what people decided of earlier ones, see `calibrate`.
    """
    if not judged:
        return [], {}
    shown = [_judged_frame(one, classes) for one in judged]
    calibration = calibrate(shown, seed, decisions)
    likely = [one for one in suspects(shown, calibration) if one.probability >= LEAST]
    found = [_found(one, judged[one.frame], classes) for one in likely]
    return found, calibration.to_json()


def recall(judged: Sequence[Judged], classes: Sequence[str]) -> float | None:
    """Share of the labeled objects that the judges find: the class, an IoU of 0.5 and a confidence of
    FOUND_ABOVE. None without objects.
    """
    hits = objects = 0
    for one in judged:
        found = match(truth_of(with_class_ids(one.boxes, classes)), one.seen, [SAME])
        hits += int((found.hit[0] & (found.confidence >= FOUND_ABOVE)).sum())
        objects += len(found.truth_class)
    return hits / objects if objects else None


def found_share(share: float | None) -> str:
    """Such a recall in words."""
    return "not known" if share is None else f"{100 * share:.0f} %"


def _judged_frame(one: Judged, classes: Sequence[str]) -> JudgedFrame:
    truth, seen = truth_of(with_class_ids(one.boxes, classes)), one.seen
    return JudgedFrame(
        truth.xyxy,
        truth.class_id,
        np.asarray(seen.xyxy, np.float64),
        np.asarray(seen.confidence, np.float64),
        seen.class_id,
        None if seen.class_scores is None else np.asarray(seen.class_scores, np.float64),
        one.group,
    )


def _found(one: Suspected, judged: Judged, classes: Sequence[str]) -> FoundSuspect:
    known = [box for box in judged.boxes if box.class_name in classes]
    label = known[one.label] if one.label >= 0 else None
    box: Place | None = None if label is None else [label.class_name, *map(float, label.xyxy)]
    kind = SuspectKind(one.kind)
    fix = None if kind is SuspectKind.SPURIOUS else _fix_of(one, box, classes)
    return FoundSuspect(judged.frame, kind, box, fix, float(one.score), float(one.probability))


def _fix_of(one: Suspected, box: Place | None, classes: Sequence[str]) -> Place:
    """What the label should be; what is not said of it stays as it is."""
    name = classes[one.fix_class] if one.fix_class is not None else (box or [""])[0]
    sides = one.fix_xyxy if one.fix_xyxy is not None else (box or [""])[1:]
    return [name, *(round(float(side), 2) for side in sides)]
