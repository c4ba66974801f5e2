"""Which of a detector's boxes are worth showing to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.ports import Array, Box, Detections

DRAWN_ABOVE = 0.25
"""Confidence from which a box is drawn where nothing else is known. A right box costs a second to look
at, a wrong one two to delete, a missing one seven to draw: 2 / (2 + 7 - 1).
"""


def predicted_boxes(
    found: Detections, classes: Sequence[str], above: Mapping[str, float] | None = None
) -> list[Box]:
    """The detections worth drawing, best first. above: by class, where it is not DRAWN_ABOVE."""
    least = above or {}
    return [
        Box(classes[class_id], corners(xyxy), "prediction", float(confidence))
        for xyxy, confidence, class_id in zip(found.xyxy, found.confidence, found.class_id, strict=True)
        if confidence >= least.get(classes[class_id], DRAWN_ABOVE)
    ]


def corners(xyxy: Array) -> tuple[float, float, float, float]:
    """The four sides of one box, px."""
    x1, y1, x2, y2 = (float(value) for value in xyxy)
    return x1, y1, x2, y2
