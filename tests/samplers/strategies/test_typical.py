"""TypiClust and ProbCover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from samplers import STRATEGIES, Pool, ProbCoverSettings
from samplers.geometry.partition import k_means, members, nearest_cells
from samplers.strategies.prob_cover import estimate_delta, prob_cover
from samplers.strategies.typiclust import MOST_ROWS, TypiClustSettings, typical, typical_order, typiclust
from tests.samplers import plain

RNG = np.random.default_rng


def circle(degrees: Any) -> np.ndarray:
    angle = np.radians(np.asarray(degrees, dtype=np.float64))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def clustered(rng: np.random.Generator, size: int, modes: int, width: int = 8) -> np.ndarray:
    rows = rng.normal(size=(modes, width))[rng.integers(0, modes, size)] + 0.2 * rng.normal(
        size=(size, width)
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_group_without_labels_gives_its_middle_first() -> None:
    """Nine rows around 0 degrees, one of them labeled, and seven around 90."""
    pool = Pool.of(circle([*range(-4, 5), *range(87, 94)]), labeled=circle([0]))
    for seed in range(5):
        chosen = typiclust(pool, 1, RNG(seed), TypiClustSettings(neighbors=2))
        assert chosen.indices[0] in (10, 11, 12, 13, 14)
        assert chosen.gains[0] == 1


def test_small_groups_wait() -> None:
    pool = Pool.of(circle([*range(12), 180]))
    assert 12 not in typiclust(pool, 2, RNG(0)).indices
    assert 12 in typiclust(pool, 2, RNG(0), TypiClustSettings(few=0)).indices


def test_typicality_equals_the_plain_form(monkeypatch: pytest.MonkeyPatch) -> None:
    points = clustered(RNG(0), 90, 3)
    np.testing.assert_allclose(typical(points, 20, RNG(0)), plain.typicality(points, 20), rtol=1e-3)
    np.testing.assert_allclose(typical(points[:5], 20, RNG(0)), plain.typicality(points[:5], 20), rtol=2e-3)
    assert typical(points[:1], 20, RNG(0)).tolist() == [1.0]


@pytest.mark.slow
def test_in_a_large_cluster_rows_of_the_sample_are_no_more_typical() -> None:
    points = clustered(RNG(0), 2 * MOST_ROWS, 1)
    sampled = RNG(1).choice(2 * MOST_ROWS, MOST_ROWS, replace=False)
    most = np.argsort(-typical(points, 20, RNG(1)))[:400]
    assert 0.4 < np.isin(most, sampled).mean() < 0.6


def test_the_order_equals_the_plain_form() -> None:
    points, known = clustered(RNG(1), 200, 6), clustered(RNG(2), 4, 2)
    pool, settings = Pool.of(points, labeled=known), TypiClustSettings()
    order, typicality = typical_order(pool, 2, RNG(3), settings)
    rng = RNG(3)
    both = np.concatenate([points, known])
    rng.choice(204, 204, replace=False)
    middles = k_means(both, 6, rng)
    groups = members(nearest_cells(points, middles), len(middles))
    labels = np.bincount(nearest_cells(known, middles)[:, 0], minlength=len(middles))
    ranked = sorted(range(len(groups)), key=lambda n: (labels[n], -(len(groups[n]) + labels[n])))
    ranked = [n for n in ranked if len(groups[n]) + labels[n] > 5]
    expected = [int(groups[n][plain.typicality(points[groups[n]], 20).argmax()]) for n in ranked]
    assert order[: len(ranked)].tolist() == expected
    assert sorted(order.tolist()) == list(range(200))
    assert typicality.min() > 0


def test_balls_by_hand() -> None:
    chosen = prob_cover(Pool.of(circle([0, 5, 10, 50])), 4, RNG(0), ProbCoverSettings(delta=np.radians(6)))
    assert chosen.indices[:2].tolist() == [1, 3]
    assert chosen.gains.tolist() == [3, 1, 0, 0]


def test_balls_equal_the_plain_greedy_loop() -> None:
    points = clustered(RNG(4), 60, 5)
    chosen = prob_cover(Pool.of(points), 8, RNG(0), ProbCoverSettings(delta=0.4)).indices
    assert chosen.tolist() == plain.greedy(lambda rows: plain.in_balls(points, rows, 0.4), 60, 8)


def test_delta_is_the_distance_that_keeps_balls_pure() -> None:
    points = circle([0, 1, 2, 60, 61, 62])
    delta = estimate_delta(points, RNG(0), ProbCoverSettings(classes=2))
    assert delta == pytest.approx(2 * np.sin(np.radians(29)), abs=1e-3)
    assert estimate_delta(points[[0] * 9], RNG(0), ProbCoverSettings()) == 0.0
    assert estimate_delta(points[:0], RNG(0), ProbCoverSettings()) == 0.0


def test_equal_frames_are_in_one_ball() -> None:
    chosen = STRATEGIES["prob_cover"](Pool.of(circle([3] * 20)), 3, RNG(0))
    assert chosen.gains.tolist() == [20, 0, 0]


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(ValueError, match="delta: expected a number > 0, got 0"):
        ProbCoverSettings(delta=0)
    with pytest.raises(ValueError, match="purity: expected a share between 0 and 1, got 1"):
        ProbCoverSettings(purity=1)
    with pytest.raises(ValueError, match="neighbors: expected 1 or more, got 0"):
        TypiClustSettings(neighbors=0)
