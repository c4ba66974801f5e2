from __future__ import annotations

import numpy as np
import pytest

from samplers.clusters import camera_residuals, estimate_radius, leader_clusters


def test_leaders_by_hand_a_slow_pan_is_a_chain() -> None:
    pan = np.array([[0.0], [0.6], [1.2], [1.8], [0.1]], dtype=np.float32)
    assert leader_clusters(pan, 1.0).tolist() == [0, 0, 1, 1, 0]


def test_leaders_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 3)).astype(np.float32)
    whole = leader_clusters(points, 1.0)
    monkeypatch.setattr("samplers.clusters.CHUNK_ROWS", 300)
    np.testing.assert_array_equal(leader_clusters(points, 1.0), whole)


def test_every_member_is_near_its_leader_and_leaders_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samplers.clusters.CHUNK_ROWS", 16)
    points = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    cluster = leader_clusters(points, 0.5)
    leaders = points[[int(np.flatnonzero(cluster == name)[0]) for name in range(cluster.max() + 1)]]
    assert (np.linalg.norm(points - leaders[cluster], axis=1) <= 0.5 + 1e-5).all()
    apart = np.linalg.norm(leaders[:, None] - leaders[None], axis=2) + 9 * np.eye(len(leaders))
    assert apart.min() > 0.5 - 1e-5


def test_cameras_do_not_share_clusters() -> None:
    same = np.ones((4, 2), dtype=np.float32)
    assert leader_clusters(same, 1.0, np.array([0, 1, 0, 1])).tolist() == [0, 1, 0, 1]
    assert leader_clusters(same[:0], 1.0).tolist() == []


def fixed_cameras(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """4 cameras x 15 bursts x 6 frames: the background dominates; frames of a burst hardly differ."""
    camera = np.repeat(np.arange(4), 90)
    burst = np.arange(360) // 6
    rows = (
        rng.normal(size=(4, 32))[camera]
        + 0.1 * rng.normal(size=(60, 32))[burst]
        + 0.01 * rng.normal(size=(360, 32))
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), burst, camera


def test_residuals_and_estimated_radius_find_the_bursts() -> None:
    rng = np.random.default_rng(0)
    rows, burst, camera = fixed_cameras(rng)
    residual = camera_residuals(rows, camera)
    np.testing.assert_allclose(np.linalg.norm(residual, axis=1), 1, atol=1e-5)
    radius = estimate_radius(residual, burst, camera, rng)
    cluster = leader_clusters(residual, radius, camera)
    assert 60 <= len(np.unique(cluster)) <= 90
    assert all(len(np.unique(burst[cluster == name])) == 1 for name in np.unique(cluster))


def test_different_foggy_scenes_are_no_duplicates() -> None:
    """Fog takes the contrast from everything: its bursts lie as close together as frames of one daylight burst."""
    rng = np.random.default_rng(0)
    fog = np.repeat([False, True], [330, 30])
    burst = np.arange(360) // 6
    scale = np.where(fog, 0.1, 1.0)[:, None]
    scenes = rng.normal(size=(60, 32))[burst] + 0.3 * rng.normal(size=(360, 32))
    rows = 8 * fog[:, None] * np.eye(1, 32) + scale * scenes
    residual = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    one_camera = np.zeros(360, dtype=np.int64)
    radius = estimate_radius(residual, burst, one_camera, rng)
    assert radius[~fog].mean() > 4 * radius[fog].mean()
    cluster = leader_clusters(residual, radius, one_camera)
    assert len(np.unique(cluster[fog])) >= 5
    assert len(np.unique(leader_clusters(residual, float(radius[0]), one_camera)[fog])) <= 2


def test_residual_of_identical_frames_is_zero_not_nan() -> None:
    rows = np.tile(np.eye(1, 4, dtype=np.float32), (10, 1))
    assert camera_residuals(rows, np.zeros(10, dtype=np.int64)).tolist() == np.zeros((10, 4)).tolist()


def test_nothing_to_learn_from() -> None:
    rows = np.eye(4, dtype=np.float32)
    alone = np.full(4, -1)
    assert (
        estimate_radius(rows, alone, np.zeros(4, dtype=np.int64), np.random.default_rng(0)).tolist()
        == [0.0] * 4
    )
    one = np.zeros(4, dtype=np.int64)
    assert estimate_radius(rows, one, one, np.random.default_rng(0)).tolist() == pytest.approx(
        [1.1 * 2**0.5] * 4
    )
