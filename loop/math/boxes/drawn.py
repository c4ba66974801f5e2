"""Which of a detector's boxes are worth showing to a person."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.ports import Array, Box, Detections

DRAWN_ABOVE = 0.25
"""Confidence from which a box is drawn."""


def predicted_boxes(found: Detections, classes: Sequence[str], above: float = DRAWN_ABOVE) -> list[Box]:
    """The detections worth drawing, best first."""
    return [
        Box(classes[class_id], corners(xyxy), "prediction", float(confidence))
        for xyxy, confidence, class_id in zip(found.xyxy, found.confidence, found.class_id, strict=True)
        if confidence >= above
    ]


def corners(xyxy: Array) -> tuple[float, float, float, float]:
    """The four sides of one box, px."""
    x1, y1, x2, y2 = (float(value) for value in xyxy)
    return x1, y1, x2, y2
