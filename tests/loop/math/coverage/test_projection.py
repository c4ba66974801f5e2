from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from loop.math.coverage.projection import aligned, place_beside, project, sample_rows


def test_the_map_keeps_clusters_apart_and_is_deterministic() -> None:
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1, 2], 40)
    vectors = (3 * np.eye(3, 64)[kind] + 0.3 * rng.normal(size=(120, 64))).astype(np.float32)
    plane = project(vectors)
    np.testing.assert_array_equal(plane, project(vectors))
    assert plane.shape == (120, 2)
    assert plane.min() == 0
    assert plane.max() == 1
    nearest = NearestNeighbors(n_neighbors=2).fit(plane).kneighbors(plane, return_distance=False)[:, 1]
    assert (kind[nearest] == kind).mean() > 0.95


def test_few_or_equal_rows_still_have_a_place() -> None:
    assert project(np.zeros((0, 8), np.float32)).shape == (0, 2)
    assert project(np.ones((2, 8), np.float32)).tolist() == [[0.5, 0.5]] * 2
    assert project(np.ones((20, 8), np.float32)).tolist() == [[0.5, 0.5]] * 20
    few = project(np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32))
    assert np.isfinite(few).all()
    line = project(np.arange(30, dtype=np.float32)[:, None])
    assert (np.diff(line[:, 0]) > 0).all() or (np.diff(line[:, 0]) < 0).all()


def test_small_parts_are_kept_whole() -> None:
    parts = [np.arange(5000), np.arange(5000, 5030), np.arange(6000, 9000)]
    sampled = sample_rows(parts, parts, 1030)
    assert [len(rows) for rows in sampled] == [500, 30, 500]
    assert all(np.isin(rows, part).all() for rows, part in zip(sampled, parts, strict=True))
    assert [len(rows) for rows in sample_rows(parts, parts, 99999)] == [5000, 30, 3000]


def test_most_of_a_sample_stays_when_frames_come_in() -> None:
    (before,) = sample_rows([np.arange(10_000)], [np.arange(10_000)], 500)
    (now,) = sample_rows([np.arange(10_500)], [np.arange(10_500)], 500)
    assert len(now) == 500
    assert 450 <= np.isin(now, before).sum() < 500
    (spread,) = sample_rows([np.arange(10_000)], [np.arange(10_000)], 1000)
    assert np.bincount(spread // 1000, minlength=10).min() > 70


def test_a_new_frame_lies_between_those_it_looks_like() -> None:
    known = np.eye(4, dtype=np.float32)
    plane = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    new = np.array([[0, 0, 0, 1], [1, 1, 0, 0]], dtype=np.float32) / np.array([[1], [2**0.5]], np.float32)
    (alone, between) = place_beside(new, known, plane)
    np.testing.assert_allclose(alone, [1, 1], atol=1e-4)
    np.testing.assert_allclose(between, [0.5, 0], atol=1e-4)


def test_a_map_is_turned_and_mirrored_to_lie_as_the_one_before() -> None:
    rng = np.random.default_rng(0)
    before = rng.random((300, 2))
    before[:2] = [[0, 0], [1, 1]]
    turned = (before - 0.5) @ np.array([[0.0, 1.0], [1.0, 0.0]]) @ np.diag([-1.0, 1.0]) + 0.5
    known = np.arange(300) < 100
    back = aligned(turned, before[known], known)
    assert np.abs(turned - before).max() > 0.5
    np.testing.assert_allclose(back, before, atol=0.02)
    np.testing.assert_array_equal(aligned(turned, before[:1], np.arange(300) < 1), turned)
