"""What a detector found in many frames is what it found in each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from connectors.ports import Detections
from loop.math.boxes.frame_boxes import FrameBoxes


def found(*confidence: float, class_id: int = 0) -> Detections:
    scores = np.array([[each, each / 2] for each in confidence], np.float32).reshape(-1, 2)
    boxes = np.zeros((len(confidence), 4), np.float32)
    ids = np.full(len(confidence), class_id, np.int64)
    return Detections(boxes, np.array(confidence, np.float32), ids, scores)


EACH = [found(0.9, 0.5, 0.05), found(0.05), found(), found(0.4, class_id=1)]


def test_confidence_of_a_frame_is_the_mean_of_its_sure_boxes() -> None:
    assert FrameBoxes.of(EACH).mean_confidence().tolist() == pytest.approx([0.7, 0, 0, 0.4])


def test_the_highest_score_of_each_class() -> None:
    boxes = FrameBoxes.of(EACH)
    wanted = np.array([[0.9, 0.45], [0.05, 0.025], [0, 0], [0.4, 0.2]])
    np.testing.assert_allclose(boxes.class_maxima(2), wanted, rtol=1e-6)
    plain = FrameBoxes.of([replace(each, class_scores=None) for each in EACH])
    assert plain.scores is plain.confidence
    np.testing.assert_allclose(plain.class_maxima(2), [[0.9, 0], [0.05, 0], [0, 0], [0, 0.4]], rtol=1e-6)


def test_scores_count_where_they_are_known_of_every_frame_with_a_box() -> None:
    assert FrameBoxes.of([EACH[2], EACH[0]]).class_scores is not None
    assert FrameBoxes.of([replace(EACH[0], class_scores=None), EACH[1]]).class_scores is None
    assert FrameBoxes.of([]).mean_confidence().tolist() == []


def test_frames_are_taken_in_the_order_asked_for() -> None:
    taken = FrameBoxes.of(EACH).take(np.array([3, 0]))
    assert [row.tolist() for row in taken.class_id] == [[1], [0, 0, 0]]
    assert taken.mean_confidence().tolist() == pytest.approx([0.4, 0.7])
