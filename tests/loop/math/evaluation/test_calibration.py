from __future__ import annotations

import numpy as np
import pytest

from loop.math.boxes.matching import ImageMatch
from loop.math.evaluation.calibration import calibrate
from samplers.ragged import Ragged


def match(class_id: np.ndarray, confidence: np.ndarray, hit: np.ndarray) -> ImageMatch:
    return ImageMatch(class_id, confidence, hit[None], class_id[hit])


def overconfident(seed: int, boxes: int = 4000) -> ImageMatch:
    """Class 0 is right as often as it says, class 1 half as often, and class 2 was hardly ever
    seen.
    """
    rng = np.random.default_rng(seed)
    class_id = rng.choice(3, boxes, p=[0.6, 0.39, 0.01])
    confidence = rng.random(boxes)
    hit = rng.random(boxes) < confidence * np.array([1.0, 0.5, 0.5])[class_id]
    return match(class_id, confidence, hit)


def test_each_class_means_what_it_meant_before() -> None:
    learned = calibrate([overconfident(0)])
    given = np.array([0.2, 0.5, 0.8])
    np.testing.assert_allclose(learned.chance(np.zeros(3, int), given), given, atol=0.08)
    np.testing.assert_allclose(learned.chance(np.ones(3, int), given), given / 2, atol=0.08)
    assert set(learned.by_class) == {0, 1}, "the third has too few objects: it is pooled with the others"
    pooled = learned.chance(np.full(3, 2), given)
    assert (pooled < given).all()
    assert (np.diff(pooled) > 0).all()


def test_on_other_frames_it_is_nearer_to_the_truth() -> None:
    learned, fresh = calibrate([overconfident(0)]), overconfident(1)
    chance = learned.chance(fresh.class_id, fresh.confidence)
    before, after = (float(((p - fresh.hit[0]) ** 2).mean()) for p in (fresh.confidence, chance))
    assert after < before - 0.01, "Brier score"


def test_from_too_little_nothing_is_learned() -> None:
    few = match(np.zeros(60, int), np.full(60, 0.9), np.arange(60) < 49)
    assert calibrate([few]).chance([0], [0.9]).tolist() == [0.9]
    assert calibrate([]).chance([], []).tolist() == []
    enough = match(np.zeros(60, int), np.full(60, 0.9), np.arange(60) < 50)
    assert calibrate([enough]).chance([0], [0.9])[0] == pytest.approx(50 / 60)


def test_frames_looked_up_at_once_get_what_each_gets_alone() -> None:
    learned, rng = calibrate([overconfident(0)]), np.random.default_rng(2)
    sizes = [3, 0, 5, 1]
    classes, given = [rng.integers(0, 3, size) for size in sizes], [rng.random(size) for size in sizes]
    at_once = learned.chances(Ragged.of(classes), Ragged.of(given))
    for found, class_id, confidence in zip(at_once, classes, given, strict=True):
        np.testing.assert_array_equal(found, learned.chance(class_id, confidence))
    assert len(learned.chances(Ragged.of([]), Ragged.of([]))) == 0
