"""Euclidean distances in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
CHUNK_ROWS = 4096
MANY_PAIRS = 1 << 28


def rows_of(points: Floats, rows: NDArray[np.int64]) -> Floats:
    """points[rows], without a copy when these are all rows in order. rows: rising."""
    return points if len(rows) == len(points) else points[rows]


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


def covered_distance(points: Floats, centers: Floats) -> NDArray[np.float64]:
    """The same, where pairs are too many to one that is near: never too small, seldom much too large."""
    if not too_many(len(points), len(centers)):
        return nearest_distance(points, centers)
    probe, best = Probe(centers), np.empty(len(points))
    for start in range(0, len(points), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        best[rows] = probe.squared_distance(points[rows])
    return np.sqrt(best, out=best)


def too_many(points: int, centers: int) -> bool:
    """Whether comparing all would cost more than choosing does: over 4,096 centers, or 268 million pairs."""
    return centers > CHUNK_ROWS or points * centers > MANY_PAIRS


class Probe:
    """Distance to a center that is near, if not the nearest: to all of the cell that a point falls into.

    An inverted file with sqrt(L) cells, whose middles are centers themselves: O(sqrt(L) D) a point.
    """

    def __init__(self, centers: Floats) -> None:
        """centers: (L, D), L > 0."""
        self._centers = centers
        self._middles = centers[:: max(1, round(len(centers) ** 0.5))]
        cell = self._cell_of(centers)
        self._order = np.argsort(cell, kind="stable")
        self._ends = np.searchsorted(cell[self._order], np.arange(len(self._middles)), side="right")

    def squared_distance(self, points: Floats) -> Floats:
        """(N,) float32, never below the distance to the nearest center."""
        squared = np.empty(len(points), dtype=np.float32)
        cell = self._cell_of(points)
        for name in np.unique(cell):
            rows = np.flatnonzero(cell == name)
            members = self._order[self._ends[name - 1] if name else 0 : self._ends[name]]
            near = self._centers[members] if len(members) else self._middles[name : name + 1]
            squared[rows] = squared_distances(points[rows], near).min(axis=1)
        return squared

    def _cell_of(self, points: Floats) -> NDArray[np.int64]:
        cell = np.empty(len(points), dtype=np.int64)
        for start in range(0, len(points), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            cell[rows] = squared_distances(points[rows], self._middles).argmin(axis=1)
        return cell


def squared_distances(left: Floats, right: Floats) -> NDArray[np.float64]:
    """(A, D) and (B, D): (A, B) float64, never negative."""
    products = (left @ right.T).astype(np.float64)
    squared = squared_norms(left)[:, None] + squared_norms(right)[None, :] - 2 * products
    return np.maximum(squared, 0.0)


def squared_norms(vectors: Floats) -> NDArray[np.float64]:
    squared: NDArray[np.float64] = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    return squared
