from __future__ import annotations

import numpy as np
import pytest

from samplers import Pool
from samplers.worth import coverage, expected_boxes, worth_of

CORNERS = np.eye(4, dtype=np.float32)


def test_coverage_by_hand() -> None:
    """Two of four corners are taken; the others lie at a squared distance of 2."""
    assert coverage(CORNERS, CORNERS[:2], scale=1.0) == pytest.approx((2 + 2 * np.exp(-2)) / 4, rel=1e-5)
    assert coverage(CORNERS, CORNERS[:0], scale=1.0) == 0


def test_what_a_batch_buys() -> None:
    rng = np.random.default_rng(0)
    pool = Pool.of(
        CORNERS,
        labeled=CORNERS[:1],
        scores=[np.array([[0.9, 0.2], [0.1, 0.7]])] * 4,
        seconds=[10, 20, 30, 40],
    )
    worth = worth_of(pool, np.array([1, 3]), rng)
    assert worth.coverage_before < worth.coverage_after
    assert worth.hours == pytest.approx(60 / 3600)
    assert worth.by_class.tolist() == pytest.approx([2.0, 1.8])
    assert worth.boxes == pytest.approx(3.2)


def test_a_batch_of_the_same_again_is_redundant() -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate([CORNERS, CORNERS])
    same, other = (worth_of(Pool.of(rows), np.array(chosen), rng).redundancy for chosen in ([0, 4], [0, 1]))
    assert same == pytest.approx(1)
    assert other < 0.5
    assert worth_of(Pool.of(rows), np.zeros(0, dtype=int), rng).redundancy == 0


def test_without_class_scores_only_the_number_of_boxes_is_known() -> None:
    pool = Pool.of(CORNERS, scores=[np.array([0.5, 0.5])] * 4)
    assert expected_boxes(pool, np.array([0, 1])).shape == (2, 0)
    assert worth_of(pool, np.array([0]), np.random.default_rng(0)).boxes == pytest.approx(1)
