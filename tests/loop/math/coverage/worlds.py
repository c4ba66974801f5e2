"""Synthetic embeddings of fixed cameras with planted gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loop.math.coverage.regions import TrainingSet

DIM, CAMERAS, BURST = 64, 5, 6
KINDS = ("day", "night", "fog", "new camera")


@dataclass(frozen=True)
class World:
    """kind: (N,) index of KINDS. camera: (N,), CAMERAS for the new one."""

    training: TrainingSet
    training_camera: np.ndarray
    production: np.ndarray
    kind: np.ndarray
    camera: np.ndarray
    sequence: np.ndarray
    day: np.ndarray

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Brute force, as an exact index answers."""
        similarity = queries @ self.training.vectors.T
        best = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(similarity, best, axis=1), self.training.ids[best]


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def make_world(seed: int, kinds: tuple[int, ...] = (1, 2, 3), bursts: int = 200) -> World:
    """Each kind but day has 3 % of the bursts. Fog shifts a frame by less than scenes differ on the
    busiest camera.
    """
    rng = np.random.default_rng(seed)
    backgrounds = unit(rng.normal(size=(CAMERAS + 1, DIM)))
    shifts = np.zeros((4, DIM))
    shifts[1], shifts[2] = 0.6 * unit(rng.normal(size=(1, DIM)))[0], 0.35 * unit(rng.normal(size=(1, DIM)))[0]

    def frames(kind: np.ndarray, camera: np.ndarray) -> np.ndarray:
        busy = np.where(camera == 0, 0.06, 0.02)[:, None]
        scene = busy * rng.normal(size=(len(kind), DIM))
        rows = np.repeat(backgrounds[camera] + shifts[kind] + scene, BURST, axis=0)
        return unit(rows + 0.005 * rng.normal(size=rows.shape))

    train_camera = rng.integers(0, CAMERAS, bursts)
    vectors = frames(np.zeros(bursts, dtype=int), train_camera)
    each = max(2, round(0.03 * bursts))
    kind = rng.permutation(
        np.r_[np.repeat(np.array(kinds, dtype=int), each), np.zeros(bursts - each * len(kinds), dtype=int)]
    )
    camera = np.where(kind == 3, CAMERAS, rng.integers(0, CAMERAS, bursts))
    burst = np.arange(bursts)
    return World(
        TrainingSet(1000 + np.arange(len(vectors)), vectors, np.repeat(burst, BURST)),
        np.repeat(train_camera, BURST),
        frames(kind, camera),
        np.repeat(kind, BURST),
        np.repeat(camera, BURST),
        np.repeat(burst, BURST),
        np.repeat(burst // 10, BURST),
    )


def constant_search(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """An index that answers the same whatever it is asked."""
    return np.full((len(queries), k), 0.5, dtype=np.float32), np.tile(1000 + np.arange(k), (len(queries), 1))
