"""Objects that are cut out, pasted and painted over."""

from __future__ import annotations

import numpy as np
import pytest

from connectors.ports import Detections
from loop.math.bias.counterfactual import alone, cut, fall, free, is_found, painted_over, pasted

RED = np.array([220, 20, 20], np.uint8)


def street(width: int = 120, height: int = 80, light: int = 100) -> np.ndarray:
    """Gray, lighter to the right."""
    row = (light + np.arange(width) // 4).astype(np.uint8)
    return np.repeat(np.repeat(row[None, :, None], height, 0), 3, 2).copy()


def with_object(box: tuple[int, int, int, int] = (30, 20, 60, 50)) -> np.ndarray:
    image = street()
    image[box[1] : box[3], box[0] : box[2]] = RED
    return image


def test_an_object_is_pasted_whole_where_it_was_asked_for_and_nothing_else_changes() -> None:
    patch = cut(with_object(), (30, 20, 60, 50))
    made, box = pasted(street(light=150), patch, (0.75, 0.5))
    assert box == (75, 25, 105, 55)
    assert (made[26:54, 76:104] == RED).all()
    changed = (made != street(light=150)).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (columns.min() >= 71, columns.max() <= 109, rows.min() >= 21, rows.max() <= 59) == (True,) * 4
    edge = made[40, 70:76].astype(int).mean(axis=1)
    assert (np.abs(np.diff(edge)) < 60).all(), "its rim fades"


def test_it_is_as_large_for_the_other_image_as_it_was_for_its_own() -> None:
    patch = cut(with_object(), (30, 20, 60, 50))
    _, box = pasted(street(240, 160), patch, (0.5, 0.5))
    assert box[2] - box[0] == pytest.approx(60, abs=1)
    assert box[3] - box[1] == pytest.approx(60, abs=1)


def test_it_is_moved_inwards_where_it_would_be_cut_off_and_always_fits() -> None:
    patch = cut(with_object(), (30, 20, 60, 50))
    _, box = pasted(street(), patch, (0.0, 1.0))
    assert box[0] >= 0
    assert box[3] <= 80
    wide = cut(street(), (0, 0, 120, 80))
    made, box = pasted(street(31, 400), wide, (0.9, 0.1))
    assert made.shape == (400, 31, 3)
    assert 0 <= box[0] < box[2] <= 31.001


def test_painting_over_leaves_the_place_and_takes_the_object() -> None:
    made = painted_over(with_object(), (30, 20, 60, 50))
    difference = np.abs(made.astype(int) - street().astype(int))
    assert difference.max() < 12, "what is left is the street"
    outside = np.ones(made.shape[:2], dtype=bool)
    outside[16:54, 26:64] = False
    assert (made[outside] == with_object()[outside]).all()


def test_found_is_a_box_of_the_class_on_it() -> None:
    seen = Detections(
        np.array([[30, 20, 60, 52], [0, 0, 9, 9]], np.float32),
        np.array([0.4, 0.9], np.float32),
        np.array([1, 0], np.int64),
    )
    assert is_found(seen, (30, 20, 60, 50), 1, 0.25)
    assert not is_found(seen, (30, 20, 60, 50), 1, 0.5)
    assert not is_found(seen, (30, 20, 60, 50), 0, 0.25)


def test_only_objects_that_stand_alone_are_cut_out() -> None:
    boxes = np.array([[0, 0, 20, 20], [15, 15, 40, 40], [60, 60, 80, 80], [90, 90, 90.5, 90.5]], float)
    assert alone(boxes, 100, 100, 0.001, 0.25).tolist() == [False, False, True, False]
    assert free(boxes, (41, 41, 59, 59))
    assert not free(boxes, (70, 70, 75, 75))
    assert alone(np.zeros((0, 4)), 100, 100, 0.001, 0.25).tolist() == []


def test_a_fall_is_told_over_groups() -> None:
    group = np.repeat(np.arange(10), 3)
    own = np.ones(30, dtype=bool)
    away = np.arange(30) % 3 == 0
    value, interval = fall(own, away, group)
    assert value == pytest.approx(2 / 3)
    assert interval is not None
    assert interval[0] > 0.5
    assert fall(own, own, group) == (0.0, (0.0, 0.0))
    assert fall(own[:12], away[:12], group[:12])[1] is None, "four camera-days"
