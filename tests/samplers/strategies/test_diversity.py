from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from samplers import STRATEGIES, Pool
from samplers.evaluation_sample import allocate, draw_evaluation
from samplers.geometry.distances import nearest_distance


def unit(vectors: Any) -> np.ndarray:
    rows = np.asarray(vectors, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_nearest_distance_over_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samplers.geometry.distances.CHUNK_ROWS", 7)
    rng = np.random.default_rng(1)
    points, centers = rng.normal(size=(23, 4)).astype(np.float32), rng.normal(size=(16, 4)).astype(np.float32)
    brute = np.linalg.norm(points[:, None] - centers[None], axis=2).min(axis=1)
    np.testing.assert_allclose(nearest_distance(points, centers), brute, rtol=1e-5)
    assert np.isinf(nearest_distance(points, centers[:0])).all()


def test_random_is_uniform() -> None:
    pool = Pool.of(np.eye(5))
    first = [
        int(STRATEGIES["random"](pool, 1, np.random.default_rng(seed)).indices[0]) for seed in range(1000)
    ]
    assert np.bincount(first).min() > 150


def test_evaluation_inclusion_probabilities_are_what_happens() -> None:
    strata = np.repeat([7, 3, -1], [30, 8, 2])
    eligible = np.ones(40, dtype=bool)
    eligible[0] = False
    hits, stated = np.zeros(40), np.zeros(40)
    for seed in range(4000):
        rows, probability = draw_evaluation(
            strata, np.arange(40) // 4, eligible, 9, np.random.default_rng(seed)
        )
        assert len(rows) == len(np.unique(rows)) == 9
        hits[rows] += 1
        stated[rows] = probability
    assert hits[0] == 0
    np.testing.assert_allclose(hits[1:] / 4000, stated[1:], atol=0.035)
    assert stated[1:].sum() == pytest.approx(9)
    assert hits[38:].tolist() == [4000, 4000], "a stratum of two with a minimum of two"


def test_no_stratum_is_out_of_reach_of_a_small_budget() -> None:
    strata = np.arange(10) // 2
    drawn = np.concatenate(
        [
            draw_evaluation(strata, np.arange(10), np.ones(10, dtype=bool), 2, np.random.default_rng(seed))[0]
            for seed in range(200)
        ]
    )
    assert np.bincount(drawn, minlength=10).min() > 10


def test_evaluation_spreads_over_the_groups_of_a_stratum() -> None:
    group = np.repeat(np.arange(10), 4)
    for seed in range(100):
        rows, _ = draw_evaluation(
            np.zeros(40, dtype=np.int64), group, np.ones(40, dtype=bool), 10, np.random.default_rng(seed)
        )
        assert sorted(group[rows].tolist()) == list(range(10)), "one of each camera-day"


def test_evaluation_edges() -> None:
    everything, nothing = np.ones(3, dtype=bool), np.zeros(3, dtype=np.int64)
    rows, probability = draw_evaluation(nothing, nothing, everything, 99, np.random.default_rng(0))
    assert sorted(rows.tolist()) == [0, 1, 2]
    assert probability.tolist() == [1, 1, 1]
    rows, _ = draw_evaluation(nothing, nothing, ~everything, 5, np.random.default_rng(0))
    assert len(rows) == 0
    with pytest.raises(ValueError, match="budget: expected 0 or more frames, got -1"):
        draw_evaluation(nothing, nothing, everything, -1, np.random.default_rng(0))


def test_allocation_by_hand() -> None:
    np.testing.assert_allclose(allocate(np.array([90, 10]), 8, minimum=0), [6, 2])
    np.testing.assert_allclose(allocate(np.array([90, 10]), 10, minimum=3), [6, 4])
    np.testing.assert_allclose(allocate(np.array([90, 1]), 50, minimum=3), [49, 1])
