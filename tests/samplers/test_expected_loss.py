from __future__ import annotations

import numpy as np
import pytest

from samplers import Pool, PoolError
from samplers.expected_loss import expected_loss, missed_objects

NOTHING = np.zeros(0)


def test_by_hand() -> None:
    """One box of .8: lacks .8 x .2, adds .2 x .8, of .8 objects and .16 that may be false."""
    assert expected_loss([np.array([0.8])])[0] == pytest.approx(0.32 / 0.96)
    assert expected_loss([np.array([[0.8, 0.1]])])[0] == pytest.approx(0.32 / 0.96)
    assert expected_loss([np.array([1.0, 1.0])])[0] == 0
    assert expected_loss([NOTHING])[0] == 0


def test_it_does_not_grow_with_the_number_of_boxes() -> None:
    one, many = expected_loss([np.full(1, 0.4), np.full(30, 0.4)])
    assert one == pytest.approx(many)


def test_calibrated_chances_say_what_confidence_means() -> None:
    sure, unsure = (expected_loss([np.array([0.9])], [np.array([p])])[0] for p in (1.0, 0.1))
    assert sure == pytest.approx(0.1)
    assert unsure == pytest.approx((0.1 * 0.1 + 0.9 * 0.9) / (0.1 + 0.9 * 0.9))


def test_objects_that_nothing_was_found_of_are_lost() -> None:
    assert expected_loss([NOTHING], missed=[3])[0] == 1
    alone, beside = (expected_loss([np.array([0.8])], missed=[m])[0] for m in (0, 2))
    assert beside == pytest.approx((0.32 + 2) / (0.96 + 2))
    assert beside > alone


def test_missed_is_what_every_neighbor_has_and_the_frame_has_not() -> None:
    counts = np.array([[4, 5, 9], [4, 5, 9], [0, 5, 9], [4, 4, 4]])
    scores = [NOTHING, np.array([0.9, 0.9, 0.9]), NOTHING, np.array([[0.1, 0.9]])]
    assert missed_objects(scores, counts).tolist() == pytest.approx([4, 0, 0, 3.1])
    assert missed_objects([NOTHING], np.zeros((1, 0))).tolist() == [0]


def test_a_pool_expects_the_loss_that_its_scores_say_and_takes_another_word() -> None:
    rows = np.eye(2, dtype=np.float32)
    assert Pool.of(rows, scores=[np.array([0.8]), NOTHING]).expected_loss.tolist() == pytest.approx(
        [1 / 3, 0]
    )
    assert Pool.of(rows, expected_loss=[0.2, 0.4]).expected_loss.tolist() == [0.2, 0.4]
    for wrong in ([0.1], [2.0, 0.0]):
        with pytest.raises(PoolError, match="expected_loss: expected"):
            Pool.of(rows, expected_loss=wrong)
    with pytest.raises(PoolError, match=r"trust: expected a number in 0\.\.1, got 1.5"):
        Pool.of(rows, trust=1.5)
