"""What is missed, what is not there, and what is taken for something else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from connectors.ports import Detections
from loop.math.boxes.box_errors import BoxErrors, box_errors
from loop.math.boxes.matching import Truth, match, truth_of

BOX = (10.0, 10.0, 30.0, 30.0)
FAR = (60.0, 60.0, 80.0, 80.0)


def errors(
    truth: list[tuple[int, tuple[float, ...]]], seen: list[tuple[int, tuple[float, ...], float]]
) -> BoxErrors:
    return box_errors(
        truth_of((class_id, *xyxy) for class_id, xyxy in truth),
        np.array([xyxy for _, xyxy, _ in seen]).reshape(-1, 4),
        np.array([class_id for class_id, _, _ in seen], np.int64),
        np.array([score for _, _, score in seen]),
    )


def test_each_kind_of_error_is_told_apart() -> None:
    assert errors([(0, BOX)], [(0, BOX, 0.9)]).counts == (0, 0, 0)
    assert errors([(0, BOX)], []).counts == (1, 0, 0)
    assert errors([], [(0, BOX, 0.9)]).counts == (0, 1, 0)
    assert errors([(0, BOX)], [(1, BOX, 0.9)]).counts == (0, 0, 1)
    assert errors([(0, BOX)], [(0, FAR, 0.9)]).counts == (1, 1, 0)
    assert errors([(0, BOX)], [(0, BOX, 0.9), (0, BOX, 0.8)]).counts == (0, 1, 0)
    assert errors([(0, BOX), (1, FAR)], [(1, BOX, 0.9), (1, FAR, 0.5)]).other_class.tolist() == [1, -1]


def test_the_right_class_is_matched_before_another() -> None:
    both = errors([(0, BOX)], [(1, BOX, 0.95), (0, BOX, 0.6)])
    assert both.counts == (0, 1, 0)
    assert both.found.tolist() == [False, True]


def test_an_object_is_found_once_by_the_surest_box() -> None:
    found = errors([(0, BOX)], [(0, (10, 10, 30, 28), 0.5), (0, (12, 10, 32, 30), 0.8)])
    assert found.found.tolist() == [False, True]


boxes = st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 5)).map(
    lambda b: (b[0], (8.0 * b[1], 8.0 * b[2], 8.0 * b[1] + 16, 8.0 * b[2] + 16))
)


@given(st.lists(boxes, max_size=6), st.lists(boxes, max_size=6))
def test_hits_are_those_of_the_evaluation_and_nothing_is_counted_twice(
    truth: list[tuple[int, tuple[float, ...]]], seen: list[tuple[int, tuple[float, ...]]]
) -> None:
    scored = [(class_id, xyxy, 1 - place / 10) for place, (class_id, xyxy) in enumerate(seen)]
    found = errors(truth, scored)
    missed, false, other = found.counts
    assert missed + other + int(found.found.sum()) == len(truth)
    assert false + other + int(found.found.sum()) == len(seen)
    reference = match(
        Truth(
            np.array([xyxy for _, xyxy in truth]).reshape(-1, 4),
            np.array([class_id for class_id, _ in truth], np.int64),
        ),
        Detections(
            np.array([xyxy for _, xyxy in seen], np.float32).reshape(-1, 4),
            np.array([score for *_, score in scored], np.float32),
            np.array([class_id for class_id, _ in seen], np.int64),
        ),
        [0.5],
    )
    assert int(reference.hit.sum()) == int(found.found.sum())
