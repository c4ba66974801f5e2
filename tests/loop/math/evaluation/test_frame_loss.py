from __future__ import annotations

import numpy as np
import pytest

from connectors.ports import Detections
from loop.math.boxes.matching import Truth, match
from loop.math.evaluation.frame_loss import frame_loss

BOX, OTHER = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]


def found(*boxes: tuple[list[float], float]) -> Detections:
    return Detections(
        np.array([xyxy for xyxy, _ in boxes], dtype=np.float32).reshape(-1, 4),
        np.array([confidence for _, confidence in boxes], dtype=np.float32),
        np.zeros(len(boxes), dtype=np.int64),
    )


def truth(*boxes: list[float]) -> Truth:
    return Truth(np.array(boxes, dtype=np.float64).reshape(-1, 4), np.zeros(len(boxes), dtype=np.int64))


@pytest.mark.parametrize(
    ("detections", "objects", "loss"),
    [
        (found((BOX, 1.0)), truth(BOX), 0.0),
        (found((BOX, 0.6)), truth(BOX), 0.4),
        (found(), truth(BOX), 1.0),
        (found((OTHER, 0.5)), truth(BOX), (1 + 0.5) / 1.5),
        (found((BOX, 0.8), (OTHER, 0.2)), truth(BOX), (0.2 + 0.2) / 1.2),
        (found((OTHER, 0.3)), truth(), 1.0),
        (found(), truth(), 0.0),
    ],
)
def test_by_hand(detections: Detections, objects: Truth, loss: float) -> None:
    assert frame_loss(match(objects, detections, [0.5])) == pytest.approx(loss, abs=1e-6)
