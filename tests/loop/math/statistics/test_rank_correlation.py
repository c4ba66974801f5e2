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


def test_a_weight_is_so_many_frames() -> None:
    rng = np.random.default_rng(3)
    left, right, times = rng.integers(0, 6, 60).astype(float), rng.normal(size=60), rng.integers(1, 5, 60)
    repeated = spearmanr(np.repeat(left, times), np.repeat(right, times)).statistic
    assert spearman(left, right, weight=times.astype(float)) == pytest.approx(repeated)
    assert spearman(np.ones(60), right, weight=rng.random(60)) == 0, "but for rounding"


def test_what_tells_one_stratum_from_another_counts_nothing() -> None:
    rng = np.random.default_rng(4)
    part, left, right = np.arange(90) // 30, rng.normal(size=90), rng.normal(size=90)
    within = np.mean([spearman(left[part == p], right[part == p]) for p in range(3)])
    for apart in (0, 100):
        found = spearman(left + apart * part, right + apart * part, stratum=part)
        assert found == pytest.approx(within)
    assert spearman(left + 100 * part, right + 100 * part) > 0.8


def drawn(rng: np.random.Generator, groups: int) -> tuple[np.ndarray, ...]:
    """Two unrelated numbers that frames of a group share in part; group; uneven weights."""
    group = np.repeat(np.arange(groups), rng.integers(1, 11, groups))
    one, two = (rng.normal(size=groups)[group] + rng.normal(size=len(group)) for _ in range(2))
    return one, two, group, rng.choice([1.0, 5.0, 20.0, 80.0], len(group))


@pytest.mark.parametrize("groups", [8, 30])
def test_by_chance_there_is_trust_once_in_twenty_times(groups: int) -> None:
    worlds = [drawn(np.random.default_rng([groups, seed]), groups) for seed in range(200)]
    found = [trust_of(one, two, group, weight=weight) > 0 for one, two, group, weight in worlds]
    assert np.mean(found) <= 0.05


def test_trust_grows_with_the_evidence_and_stays_below_what_is_so() -> None:
    trusts = []
    for groups in (10, 40, 160):
        one, two, group, weight = drawn(np.random.default_rng(5), groups)
        trusts.append(trust_of(one + two, two, group, weight=weight))
    assert 0 <= trusts[0] < trusts[1] < trusts[2] < np.sqrt(0.5)


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
