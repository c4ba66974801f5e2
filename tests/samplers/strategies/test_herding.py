from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samplers import Pool
from samplers.engine.covering import Cells, Covering, ball, cosine, gaussian
from samplers.geometry.partition import k_means, members, near_cells, nearest_cells
from samplers.strategies.herding import (
    HerdingSettings,
    estimate_scale,
    facility_location,
    herding,
    spokesmen,
    uncertainty_herding,
)
from tests.samplers import plain

RNG = np.random.default_rng


def circle(degrees: Any) -> np.ndarray:
    angle = np.radians(np.asarray(degrees, dtype=np.float64))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def clustered(rng: np.random.Generator, size: int, modes: int, width: int = 16) -> np.ndarray:
    share = 1 / np.arange(1, modes + 1)
    mode = rng.choice(modes, size, p=share / share.sum())
    rows = rng.normal(size=(modes, width))[mode] + 0.35 * rng.normal(size=(size, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_by_hand_the_middle_then_the_far_one() -> None:
    """0, 1, 2 and 10 on a line, wound around a circle: the middle of three covers most, then the
    one apart.
    """
    pool = Pool.of(circle([0, 5, 10, 50]))
    chosen = herding(pool, 4, RNG(0), HerdingSettings(scale=np.radians(5)))
    assert chosen.indices[:2].tolist() == [1, 3]
    assert chosen.gains[:2] == pytest.approx([1 + 2 * np.exp(-1), 1.0], abs=2e-3)
    assert chosen.gains[2:] == pytest.approx(1 - np.exp(-1), abs=2e-3)


@given(seed=st.integers(0, 999), size=st.integers(1, 60), labeled=st.integers(0, 4), modes=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_equals_the_plain_greedy_loop(seed: int, size: int, labeled: int, modes: int) -> None:
    rng = RNG(seed)
    points, known = clustered(rng, size, modes), clustered(rng, labeled, 3)
    chosen = herding(Pool.of(points, labeled=known), size // 2, rng, HerdingSettings(scale=0.5))
    assert len(chosen) == size // 2
    had, best = plain.covering(points, np.ones(size), chosen.indices.tolist(), known, plain.gaussian(0.5))
    np.testing.assert_allclose(had, best, atol=1e-4)
    np.testing.assert_allclose(chosen.gains, had, atol=1e-4)


@given(seed=st.integers(0, 999), size=st.integers(2, 40), lam=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=40, deadline=None)
def test_masses_expected_loss_and_cost_equal_the_plain_greedy_loop(seed: int, size: int, lam: float) -> None:
    rng = RNG(seed)
    cluster = rng.integers(0, size, size)
    pool = Pool.of(
        clustered(rng, size, 4),
        cluster=cluster,
        expected_loss=rng.random(size),
        seconds=rng.choice([1.0, 3.0], size),
    )
    chosen = uncertainty_herding(pool, size, rng, HerdingSettings(lam=lam, scale=0.5)).indices
    rows, mass = spokesmen(pool)
    assert sorted(chosen) == rows.tolist()
    expected_loss = pool.expected_loss[rows]
    weights = mass * (1 - lam + lam * expected_loss / expected_loss.mean())
    points, cost = pool.embeddings[rows], pool.seconds[rows]
    picks = np.searchsorted(rows, chosen).tolist()
    had, best = plain.covering(points, weights, picks, points[:0], plain.gaussian(0.5), cost)
    np.testing.assert_allclose(had, best, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 1 << 26])
@pytest.mark.parametrize("scale", [0.3, 0.6, 1.0])
def test_cells_keep_the_objective_within_one_per_cent(
    scale: float, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samplers.engine.covering.LEAST_ROOM", room)
    rng = RNG(1)
    points = clustered(rng, 3000, 60)
    pool = Pool.of(points)
    exact = herding(pool, 90, RNG(0), HerdingSettings(scale=scale)).indices
    cells = HerdingSettings(scale=scale, cells=Cells(dense_rows=100, cell_rows=200))
    chosen = herding(pool, 90, RNG(0), cells).indices
    everything = np.ones(len(points))
    best = plain.coverage(points, everything, points[exact], scale)
    assert plain.coverage(points, everything, points[chosen], scale) > 0.99 * best
    chance = RNG(0).choice(3000, 90, replace=False)
    assert plain.coverage(points, everything, points[chance], scale) < 0.9 * best


def test_a_cell_that_nobody_is_in_covers_nothing() -> None:
    """Of equal middles one has no rows; a frame that is no spokesman may still lie nearest to it."""
    for seed in range(10):
        rng = RNG(seed)
        rows = np.repeat(clustered(rng, 5, 5, 33)[rng.integers(0, 5, 400)], 2, axis=0)
        shape = Cells(dense_rows=50, cell_rows=8, wide_cell_rows=8)
        objective = Covering(
            Pool.of(rows), np.arange(0, 800, 2), np.ones(400), gaussian(0.5), RNG(seed), shape, 5
        )
        for row in range(1, 100, 2):
            objective.cover(row)
        assert objective.gains(0, objective.cells[0]).shape == objective.cells[0].shape


def test_what_is_labeled_is_covered() -> None:
    rng = RNG(2)
    points = clustered(rng, 400, 2)
    mode = np.linalg.norm(points - points[0], axis=1) < 0.8
    chosen = herding(Pool.of(points, labeled=points[mode]), 5, RNG(0), HerdingSettings(scale=0.5)).indices
    assert not mode[chosen].any()


def test_many_labeled_frames_are_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = RNG(3)
    points, known = clustered(rng, 500, 12), clustered(rng, 300, 12)
    pool = Pool.of(points, labeled=known)
    exact = herding(pool, 30, RNG(0), HerdingSettings(scale=0.6)).indices
    monkeypatch.setattr("samplers.geometry.approximate_distance.MANY_CENTERS", 100)
    probed = herding(pool, 30, RNG(0), HerdingSettings(scale=0.6)).indices
    both = [np.concatenate([known, points[rows]]) for rows in (exact, probed)]
    best, found = (plain.coverage(points, np.ones(500), chosen, 0.6) for chosen in both)
    assert found > 0.99 * best


def test_copies_add_mass_and_are_chosen_once() -> None:
    """Two groups of 100 and 4 copies beside 3 single frames: masses 10, 2, 1."""
    points = np.repeat(np.eye(5, dtype=np.float32), [100, 4, 1, 1, 1], axis=0)
    cluster = np.repeat([7, 3, -1, -1, -1], [100, 4, 1, 1, 1])
    chosen = herding(Pool.of(points, cluster=cluster), 99, RNG(0), HerdingSettings(scale=0.1))
    assert len(chosen) == 5
    assert chosen.gains.tolist() == pytest.approx([10, 2, 1, 1, 1])


def test_the_middle_of_a_cluster_speaks_for_it() -> None:
    pool = Pool.of(circle([0, 10, 20, 90, 92]), cluster=[1, 1, 1, 0, 0])
    rows, mass = spokesmen(pool)
    assert rows.tolist() == [1, 3]
    np.testing.assert_allclose(mass, np.sqrt([3, 2]))
    by_sequence = Pool.of(circle([0, 10, 20]), cluster=[1, 1, 1], sequence=[0, 0, 1], max_per_sequence=1)
    rows, mass = spokesmen(by_sequence)
    assert rows.tolist() == [0, 2]
    np.testing.assert_allclose(mass, np.sqrt(3) / 2)


def test_cost_divides_the_gain() -> None:
    pool = Pool.of(np.eye(3), seconds=[2, 1, 3])
    assert herding(pool, 3, RNG(0), HerdingSettings(scale=0.5)).indices.tolist() == [1, 0, 2]


def test_uncertainty_weighs_the_mass_it_covers_as_far_as_it_is_trusted() -> None:
    points = np.repeat(np.eye(2, dtype=np.float32), [30, 20], axis=0)
    scores = [np.array([0.99])] * 30 + [np.array([0.5])] * 20
    pool = Pool.of(points, scores=scores)
    assert herding(pool, 1, RNG(0)).indices[0] < 30
    assert uncertainty_herding(pool, 1, RNG(0), HerdingSettings(lam=1.0)).indices[0] >= 30
    assert uncertainty_herding(pool, 1, RNG(0), HerdingSettings(lam=0.05)).indices[0] < 30


def test_random_uncertainty_costs_little_coverage() -> None:
    rng = RNG(4)
    points = clustered(rng, 1500, 40)
    pool = Pool.of(points, scores=[rng.random(3) for _ in points])
    narrow = HerdingSettings(scale=0.6)
    best = plain.coverage(points, np.ones(1500), points[herding(pool, 60, RNG(0), narrow).indices], 0.6)
    chosen = uncertainty_herding(pool, 60, RNG(0), HerdingSettings(lam=0.5, scale=0.6)).indices
    assert plain.coverage(points, np.ones(1500), points[chosen], 0.6) > 0.99 * best


def test_facility_location_takes_the_middle_of_everything_first() -> None:
    assert facility_location(Pool.of(circle([0, 30, 60])), 1, RNG(0)).indices.tolist() == [1]


def test_facility_location_by_hand() -> None:
    """0 resembles 60 and -60 by half each, 180 resembles nothing: 1 + .5 + .5, then 1, then what is
    left of the others.
    """
    chosen = facility_location(Pool.of(circle([60, 0, -60, 180])), 4, RNG(0))
    assert chosen.indices[:2].tolist() == [1, 3]
    assert chosen.gains == pytest.approx([2, 1, 0.5, 0.5], abs=1e-5)
    known = facility_location(Pool.of(circle([60, 0, -60, 180]), labeled=circle([0])), 1, RNG(0))
    assert known.indices.tolist() == [3]


@given(seed=st.integers(0, 999), size=st.integers(1, 40), labeled=st.integers(0, 3), modes=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_facility_location_equals_the_plain_greedy_loop(
    seed: int, size: int, labeled: int, modes: int
) -> None:
    rng = RNG(seed)
    points, known, cost = (
        clustered(rng, size, modes, 6),
        clustered(rng, labeled, 3, 6),
        rng.choice([1.0, 3.0], size),
    )
    chosen = facility_location(Pool.of(points, labeled=known, seconds=cost), size // 2, rng)
    relative = cost / cost.mean()
    had, best = plain.covering(points, np.ones(size), chosen.indices.tolist(), known, plain.cosine, relative)
    np.testing.assert_allclose(had, best, atol=1e-4)
    np.testing.assert_allclose(chosen.gains, had, atol=1e-4)


def test_kernels_by_hand() -> None:
    squared = np.array([[0.0, 1.0, 4.0]], dtype=np.float32)
    np.testing.assert_allclose(gaussian(2.0)(squared.copy()), np.exp([[0, -0.25, -1]]), rtol=1e-6)
    np.testing.assert_allclose(cosine(squared.copy()), [[1, 0.5, 0]])
    np.testing.assert_allclose(ball(1.0)(squared.copy()), [[1, 1, 0]])


def test_the_scale_is_the_median_distance_to_the_next_labeled_frame_within_bounds() -> None:
    """Of frames at 0, 6, 30, 39 and 57 degrees the next is 6, 6, 9, 9 and 18 away: the least is 6,
    the mean 9.6.
    """
    points, uneven = circle(np.arange(0, 100, 10)), circle([0, 6, 30, 39, 57])
    step, median = 2 * np.sin(np.radians(5)), 2 * np.sin(np.radians(4.5))
    assert estimate_scale(points, points[:0], RNG(0)) == pytest.approx(step, rel=1e-4)
    assert estimate_scale(points, uneven, RNG(0)) == pytest.approx(median, rel=1e-3)
    assert estimate_scale(uneven, points[:0], RNG(0)) == pytest.approx(median, rel=1e-3)
    assert estimate_scale(points, circle([0, 1]), RNG(0)) == pytest.approx(step / 2, rel=1e-4)
    assert estimate_scale(points, circle([0, 50]), RNG(0)) == pytest.approx(step * 2, rel=1e-4)
    assert estimate_scale(np.ones((5, 1), dtype=np.float32), points[:0, :1], RNG(0)) == 1.0


def test_copies_say_nothing_of_the_scale() -> None:
    points = circle(np.arange(0, 100, 10))
    once = estimate_scale(points, points[:0], RNG(0))
    assert estimate_scale(np.tile(points, (3, 1)), points[:0], RNG(0)) == pytest.approx(once, rel=1e-4)
    assert estimate_scale(points, circle([0, 0]), RNG(0)) == pytest.approx(once, rel=1e-4)


def test_cells() -> None:
    rng = RNG(5)
    points = clustered(rng, 500, 8)
    middles = k_means(points, 8, rng)
    near = nearest_cells(points, middles, 2)
    brute = np.argsort(((points[:, None] - middles[None]) ** 2).sum(axis=2), axis=1)[:, :2]
    np.testing.assert_array_equal(near, brute)
    many = near_cells(points, points[:400], 3)
    nearest = nearest_cells(points, points[:400], 3)
    assert (many[:400, 0] == np.arange(400)).mean() > 0.95
    assert np.mean([len(set(found) & set(best)) for found, best in zip(many, nearest, strict=True)]) > 2.5
    rows = members(near, len(middles))
    assert sum(len(part) for part in rows) == 1000
    assert all((near[part] == cell).any(axis=1).all() for cell, part in enumerate(rows))
    assert len(k_means(np.ones((20, 3), dtype=np.float32), 5, rng)) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lam": 1.5}, "lam: expected 0..1, got 1.5"),
        ({"scale": 0.0}, "scale: expected a number > 0, got 0.0"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HerdingSettings(**given)
    with pytest.raises(ValueError, match="cell_rows: expected 1 or more, got 0"):
        Cells(cell_rows=0)


@pytest.mark.parametrize("together", [1, 7, 64])
def test_who_speaks_for_a_cluster_does_not_depend_on_how_many_rows_are_read_at_once(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = RNG(3)
    pool = Pool.of(clustered(rng, 200, 9, 6), cluster=rng.integers(0, 30, 200))
    rows, mass = spokesmen(pool)
    monkeypatch.setattr(sys.modules["samplers.strategies.herding"], "TOGETHER", together)
    some, masses = spokesmen(pool)
    np.testing.assert_array_equal(some, rows)
    np.testing.assert_array_equal(masses, mass)
