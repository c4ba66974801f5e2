"""Detections against the truth of one image, by hand; average precision compares them with
faster-coco-eval.
"""

from __future__ import annotations

import numpy as np
import pytest

from connectors.ports import Box, Detections
from loop.math.boxes.matching import Truth, iou_matrix, match, truth_of, with_class_ids

CORNER = [0.0, 0.0, 10.0, 10.0]


def detections(count: int, confidence: list[float], class_id: list[int]) -> Detections:
    """All in the same place."""
    return Detections(
        np.array([CORNER] * count, np.float32).reshape(-1, 4),
        np.array(confidence, np.float32),
        np.array(class_id),
    )


def test_an_object_is_found_once_and_only_by_its_class() -> None:
    real = Truth(np.array([CORNER]), np.array([0]))
    one = match(real, detections(3, [0.5, 0.9, 0.7], [0, 1, 0]))
    assert one.confidence.tolist() == pytest.approx([0.9, 0.7, 0.5])
    assert one.hit[0].tolist() == [False, True, False]


def test_iou_of_degenerate_boxes_is_zero() -> None:
    np.testing.assert_array_equal(iou_matrix([[1, 1, 1, 1]], [[1, 1, 1, 1], [0, 0, 2, 2]]), [[0, 0]])


def test_truth_that_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected truth boxes \(2, 4\), got shape \(1, 4\)"):
        match(Truth(np.array([CORNER]), np.array([0, 0])), detections(0, [], []))


def test_labels_become_truth_by_class_id_without_classes_that_are_no_more() -> None:
    boxes = [
        Box("helmet", (1.5, 2, 3, 4)),
        Box("hat", (0, 0, 9, 9)),
        Box("person", (5, 6, 7.25, 8), "imported"),
    ]
    rows = with_class_ids(boxes, ("person", "helmet"))
    assert rows == ((1, 1.5, 2, 3, 4), (0, 5, 6, 7.25, 8))
    truth = truth_of(rows)
    np.testing.assert_array_equal(truth.xyxy, [[1.5, 2, 3, 4], [5, 6, 7.25, 8]])
    assert (truth.class_id.tolist(), truth.class_id.dtype, truth.xyxy.dtype) == ([1, 0], np.int64, np.float64)


def test_nothing_there_is_truth_too() -> None:
    truth = truth_of(with_class_ids([], ("person",)))
    assert (truth.xyxy.shape, truth.class_id.shape) == ((0, 4), (0,))
    assert match(truth, detections(1, [0.5], [0])).hit.tolist() == [[False]] * 10
