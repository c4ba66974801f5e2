from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from loop.math.statistics.rank_correlation import spearman, trust_of


def test_rank_correlation_is_scipys_ties_too() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        left, right = rng.integers(0, 6, 80).astype(float), rng.normal(size=80)
        assert spearman(left, right) == pytest.approx(spearmanr(left, right).statistic)
    assert spearman(np.ones(9), rng.normal(size=9)) == 0


def test_expected_loss_is_trusted_as_far_as_it_predicts_and_never_wholly() -> None:
    rng = np.random.default_rng(1)
    loss, group = rng.random(300), np.arange(300) // 10
    assert trust_of(loss, loss, group) == 0.95
    some = trust_of(loss + rng.normal(0, 0.3, 300), loss, group)
    assert 0.4 < some < 0.8
    assert trust_of(-loss, loss, group) == 0
    assert trust_of(loss, loss, np.arange(300) // 50) == 0, "six groups are no evidence"


def test_an_expected_loss_that_means_nothing_is_hardly_ever_trusted() -> None:
    rng = np.random.default_rng(2)
    group = np.arange(240) // 8
    by_chance = [trust_of(rng.random(240), rng.random(240), group, seed) for seed in range(40)]
    assert np.mean(np.array(by_chance) == 0) > 0.75
    assert max(by_chance) < 0.2


@pytest.mark.slow
def test_frames_of_one_camera_day_are_no_independent_evidence() -> None:
    """Ten camera-days of thirty frames each that are the same frame again, and related by chance
    alone.
    """
    day, by_day, by_frame = np.arange(300) // 30, [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        expected_loss, loss = rng.random(10)[day], rng.random(10)[day]
        by_day.append(trust_of(expected_loss, loss, day, seed))
        by_frame.append(trust_of(expected_loss, loss, np.arange(300), seed))
    assert np.mean(by_day) < 0.5 * np.mean(by_frame)
