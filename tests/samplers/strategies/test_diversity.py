from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from samplers import STRATEGIES, Pool
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
