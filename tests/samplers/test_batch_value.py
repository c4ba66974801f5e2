from __future__ import annotations

import numpy as np
import pytest

from samplers import Pool
from samplers.batch_value import coverage, worth_of

CORNERS = np.eye(4, dtype=np.float32)


def test_coverage_by_hand() -> None:
    """Two of four corners are taken; the others lie at a squared distance of 2."""
    assert coverage(CORNERS, CORNERS[:2], scale=1.0) == pytest.approx((2 + 2 * np.exp(-2)) / 4, rel=1e-5)
    assert coverage(CORNERS, CORNERS[:0], scale=1.0) == 0


def test_what_a_batch_buys() -> None:
    rng = np.random.default_rng(0)
    worth = worth_of(Pool.of(CORNERS, labeled=CORNERS[:1]), np.array([1, 3]), rng)
    assert worth.coverage_before < worth.coverage_after


def test_a_batch_of_the_same_again_is_redundant() -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate([CORNERS, CORNERS])
    same, other = (worth_of(Pool.of(rows), np.array(chosen), rng).redundancy for chosen in ([0, 4], [0, 1]))
    assert same == pytest.approx(1)
    assert other < 0.5
    assert worth_of(Pool.of(rows), np.zeros(0, dtype=int), rng).redundancy == 0


def test_coverage_goes_on_where_the_batch_before_ended() -> None:
    """Labeling a batch changes what is covered, not the measure: what it promised is what the next
    one starts from.
    """
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labeled, batch = rows[:4], np.arange(10, 20)
    first = worth_of(Pool.of(rows, labeled=labeled), batch, rng)
    second = worth_of(Pool.of(rows, labeled=np.concatenate([labeled, rows[batch]])), np.arange(20, 30), rng)
    assert second.coverage_before == pytest.approx(first.coverage_after)


def test_copies_do_not_make_the_measure_narrower() -> None:
    rows = np.tile(CORNERS, (5, 1))
    once, often = (
        worth_of(Pool.of(each, labeled=CORNERS[:1], cluster=np.arange(len(each)) % 4), np.array([1]), rng)
        for each, rng in ((CORNERS, np.random.default_rng(0)), (rows, np.random.default_rng(0)))
    )
    assert often.coverage_after == pytest.approx(once.coverage_after)
