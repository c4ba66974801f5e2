"""The boxes that a person is shown."""

from __future__ import annotations

import numpy as np

from connectors.ports import Box, Detections
from loop.math.boxes.drawn import predicted_boxes


def test_only_confident_boxes_are_drawn() -> None:
    found = Detections(
        np.arange(8, dtype=np.float32).reshape(2, 4), np.array([0.3, 0.2], np.float32), np.array([1, 0])
    )
    assert predicted_boxes(found, ("person", "helmet")) == [
        Box("helmet", (0.0, 1.0, 2.0, 3.0), "prediction", float(np.float32(0.3)))
    ]
