"""PPAL and the stream: two steps each."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samplers import Pool, PoolError, PPALSettings, StreamSettings
from samplers.strategies.ppal import class_weights, difficulty, frame_distances, k_medoids, ppal
from samplers.strategies.streaming import keep, streaming
from tests.samplers import plain

RNG = np.random.default_rng


def circle(degrees: Any) -> np.ndarray:
    angle = np.radians(np.asarray(degrees, dtype=np.float64))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def test_hard_classes_count_a_fifth_more_at_most() -> None:
    weights = class_weights(PPALSettings(quality=(1.0, 0.0, 0.5)))
    np.testing.assert_allclose(weights[:2], [1.0, 1.2])
    assert weights[2] == pytest.approx(1 + 0.06 * np.log(1 + (np.exp(1 / 0.3) - 1) / 2))


def test_difficulty_by_hand() -> None:
    pool = Pool.of(np.eye(3), scores=[np.array([0.5, 0.9, 0.01]), np.zeros(0), np.array([0.5])])
    np.testing.assert_allclose(difficulty(pool, PPALSettings()), [1.018, 0, 0.693], atol=1e-3)
    by_class = Pool.of(np.eye(2), scores=[np.array([[0.5, 0.1]]), np.array([[0.1, 0.5]])])
    np.testing.assert_allclose(
        difficulty(by_class, PPALSettings(quality=(1.0, 0.0))), [0.693, 0.832], atol=1e-3
    )
    with pytest.raises(PoolError, match="quality: expected one per class, 2 or more, got 1"):
        difficulty(by_class, PPALSettings(quality=(1.0,)))


def test_frames_without_a_class_in_common_are_opposite() -> None:
    """At 60 degrees: .5 apart with one class; with half of one frame's confidence in common (1 +
    .5) / 2 = 1.25 and .5.
    """
    scores = [
        np.array([[0.8, 0.0]]),
        np.array([[0.6, 0.0]]),
        np.array([[0.0, 0.9]]),
        np.array([[0.5, 0.1], [0.1, 0.5]]),
    ]
    pool = Pool.of(circle([0, 60, 60, 60]), scores=scores)
    distance = frame_distances(pool, np.arange(4), 0.05)
    np.testing.assert_allclose(distance[0], [0, 0.5, 2, (0.5 + 1.25) / 2], atol=1e-6)
    np.testing.assert_allclose(distance, distance.T)


def test_medoids_are_the_best_there_are_where_that_can_be_told() -> None:
    for seed in range(10):
        rng = RNG(seed)
        points = np.repeat(10 * np.eye(3), 4, axis=0) + rng.normal(size=(12, 3))
        distance = np.linalg.norm(points[:, None] - points[None], axis=2)
        best = min(plain.medoid_cost(distance, three) for three in combinations(range(12), 3))
        assert plain.medoid_cost(distance, k_medoids(distance, 3, rng)) == pytest.approx(best)


def test_medoids_of_equal_rows() -> None:
    assert len(set(k_medoids(np.zeros((6, 6)), 4, RNG(0)).tolist())) == 4
    assert k_medoids(np.zeros((2, 2)), 0, RNG(0)).tolist() == []


def test_the_most_uncertain_then_one_of_each_kind() -> None:
    """Eight uncertain frames of two kinds and forty sure ones: two are chosen, the middles of the
    kinds.
    """
    degrees = [0, 10, 20, 30, 90, 100, 110, 120] + [45] * 40
    scores = [np.array([0.5])] * 8 + [np.array([0.95])] * 40
    chosen = ppal(Pool.of(circle(degrees), scores=scores), 2, RNG(0))
    assert len(chosen.indices) == 2
    assert {int(row) // 4 for row in chosen.indices} == {0, 1}
    assert {int(row) % 4 for row in chosen.indices} <= {1, 2}
    assert chosen.contributions["uncertainty"] == pytest.approx([0.693] * 2, abs=1e-3)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def uncertain(seed: int, size: int) -> Pool:
    """Frames of three kinds, each of a class of its own, with boxes, seconds, near-duplicates and
    sequences.
    """
    rng = RNG(seed)
    kind = rng.integers(0, 3, size)
    scores = [np.full((count, 3), 0.01) for count in rng.integers(1, 5, size)]
    for boxes, of_kind in zip(scores, kind, strict=True):
        boxes[:, of_kind] = rng.uniform(0.1, 0.95, len(boxes))
    return Pool.of(
        unit(3 * np.eye(3, 8)[kind] + 0.3 * rng.normal(size=(size, 8))),
        scores=scores,
        seconds=1 + rng.random(size),
        cluster=np.where(rng.random(size) < 0.6, -1, rng.integers(0, size, size)),
        sequence=rng.integers(-1, size // 2, size),
        max_per_sequence=2,
    )


def most_uncertain(pool: Pool, quality: list[float], count: int) -> tuple[list[int], list[float]]:
    """The rows of the first stage, plainly, and what every row is worth."""
    worth = [
        plain.difficulty(boxes, quality, 0.3, 0.2, 0.05) / float(seconds)
        for boxes, seconds in zip(pool.scores, pool.seconds, strict=True)
    ]
    order = sorted(range(len(pool)), key=lambda row: -worth[row])
    return plain.admitted(order, pool.cluster, pool.sequence, pool.max_per_sequence, count), worth


@pytest.mark.parametrize("seed", range(12))
def test_the_first_stage_equals_the_plain_form(seed: int) -> None:
    """Where as many are kept as are asked for, each is a medoid, and they come in their order."""
    pool, quality = uncertain(seed, 40), [1.0, 0.4, 0.0]
    chosen = ppal(pool, 12, RNG(seed), PPALSettings(expansion=1, quality=tuple(quality)))
    expected, worth = most_uncertain(pool, quality, 12)
    assert chosen.indices.tolist() == expected
    np.testing.assert_allclose(chosen.gains, np.array(worth)[expected] * pool.seconds.mean())


@pytest.mark.parametrize("seed", range(8))
def test_both_stages_are_as_good_as_the_plain_form(seed: int) -> None:
    """Of the twelve most uncertain frames no other three lie closer to the rest: all combinations
    are tried.
    """
    pool, quality = uncertain(seed, 36), [0.2, 0.9, 0.5]
    chosen = ppal(pool, 3, RNG(seed), PPALSettings(quality=tuple(quality))).indices.tolist()
    short, worth = most_uncertain(pool, quality, 12)
    assert set(chosen) <= set(short)
    assert chosen == sorted(chosen, key=lambda row: -worth[row])
    distance = between(pool, short)
    cost = plain.medoid_cost(distance, [short.index(row) for row in chosen])
    assert cost == pytest.approx(plain.best_medoids(distance, 3), abs=1e-5)


@given(seed=st.integers(0, 999), size=st.integers(1, 9), classes=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_distances_of_frames_equal_the_plain_form(seed: int, size: int, classes: int) -> None:
    rng = RNG(seed)
    scores = [rng.random((count, classes)) ** 3 for count in rng.integers(0, 4, size)]
    pool = Pool.of(unit(rng.normal(size=(size, 4))), scores=scores)
    rows = np.arange(size)
    np.testing.assert_allclose(frame_distances(pool, rows, 0.05), between(pool, rows.tolist()), atol=1e-5)


def between(pool: Pool, rows: list[int]) -> np.ndarray:
    frames = [(pool.embeddings[row], pool.scores[row]) for row in rows]
    return np.array([[plain.frame_distance(*one, *other, 0.05) for other in frames] for one in frames])


def test_a_stream_by_hand() -> None:
    """Labeled at 0 degrees; half may be kept, from distance .5 on: 0 is known, 61 is like 60."""
    pool = Pool.of(circle([0, 60, 61, 180]), labeled=circle([0]))
    rows, gains = keep(pool, 2, StreamSettings(past_gains=(0.0, 1.0)))
    assert rows.tolist() == [1, 3]
    np.testing.assert_allclose(gains, [1, 3**0.5], atol=1e-3)
    assert streaming(pool, 2, RNG(0), StreamSettings(past_gains=(0.0, 1.0))).indices.tolist() == [3, 1]


def test_what_is_left_goes_to_the_farthest_of_the_refused() -> None:
    pool = Pool.of(circle([0, 60, 90, 180]), labeled=circle([0]))
    chosen = streaming(pool, 2, RNG(0), StreamSettings(past_gains=(1.9,), tau=1.95))
    assert chosen.component.tolist() == ["stream", "second_look"]
    assert chosen.indices.tolist() == [3, 2]


@given(
    seed=st.integers(0, 999),
    size=st.integers(1, 120),
    k=st.integers(0, 30),
    labeled=st.integers(0, 3),
    first=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_the_stream_equals_one_frame_after_another(
    seed: int, size: int, k: int, labeled: int, first: bool
) -> None:
    """first: nothing is known of yesterday."""
    rng = RNG(seed)
    rows = rng.normal(size=(size + labeled, 3))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    past = None if first else rng.random(20)
    pool = Pool.of(rows[:size], labeled=rows[size:])
    kept, _ = keep(pool, min(k, size), StreamSettings(() if past is None else tuple(past), tau=0.1))
    assert kept.tolist() == plain.stream(rows[:size], min(k, size), rows[size:], past, 0.1)


def test_the_day_is_not_spent_in_the_morning() -> None:
    rng = RNG(1)
    rows = rng.normal(size=(1000, 16))
    pool = Pool.of(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    kept, _ = keep(pool, 50, StreamSettings())
    assert (np.arange(1, len(kept) + 1) <= np.ceil(0.05 * (kept + 1))).all()
    assert 25 <= len(kept) <= 50
    assert kept[-1] > 700


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(ValueError, match="tau: expected 0 or more, got -1"):
        StreamSettings(tau=-1)
    with pytest.raises(ValueError, match="past_gains: expected distances, got"):
        StreamSettings(past_gains=(0.1, float("nan")))
    with pytest.raises(ValueError, match="expansion: expected 1 or more, got 0"):
        PPALSettings(expansion=0)
    with pytest.raises(ValueError, match=r"quality: expected numbers in 0\.\.1"):
        PPALSettings(quality=(2.0,))
