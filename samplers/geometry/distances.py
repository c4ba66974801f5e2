"""Euclidean distances in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
CHUNK_ROWS = 4096
REFERENCE = 20_000
"""Rows that stand for all where only medians and ranks are asked for."""


def rows_of(points: Floats, rows: NDArray[np.int64]) -> Floats:
    """points[rows], without a copy when these are all rows in order. rows: rising."""
    return points if len(rows) == len(points) else points[rows]


def reference_rows(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most 20,000 of `count` rows, drawn at random, rising."""
    return np.sort(rng.choice(count, min(count, REFERENCE), replace=False))


def nearest_distance(points: Floats, centers: Floats) -> NDArray[np.float64]:
    """Distance of each of (N, D) points to the nearest of (L, D) centers: (N,) float64,
    infinite if L is 0.
    """
    best = np.full(len(points), np.inf)
    for start in range(0, len(points), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        for first in range(0, len(centers), CHUNK_ROWS):
            squared = squared_distances(points[rows], centers[first : first + CHUNK_ROWS])
            best[rows] = np.minimum(best[rows], squared.min(axis=1))
    distance: NDArray[np.float64] = np.sqrt(best)
    return distance


def squared_distances(left: Floats, right: Floats) -> NDArray[np.float64]:
    """(A, D) and (B, D): (A, B) float64, never negative."""
    products = (left @ right.T).astype(np.float64)
    squared = squared_norms(left)[:, None] + squared_norms(right)[None, :] - 2 * products
    return np.maximum(squared, 0.0)


def squared_norms(vectors: Floats) -> NDArray[np.float64]:
    squared: NDArray[np.float64] = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    return squared
