"""Distances to what is labeled, where comparing all would cost more than choosing does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from samplers.geometry.distances import CHUNK_ROWS, Floats, nearest_distance
from samplers.geometry.partition import members, near_cells

MANY_CENTERS = 4096
MANY_PAIRS = 1 << 28
CELLS_PER_ROOT = 3
MOST_MEMBERS = 256


def too_many(points: int, centers: int) -> bool:
    """More than 4,096 centers, or 268 million pairs."""
    return centers > MANY_CENTERS or points * centers > MANY_PAIRS


def covered_distance(points: Floats, centers: Floats) -> NDArray[np.float64]:
    """`nearest_distance`, (N,) float64; where pairs are too many to one that is near: never too
    small, seldom much too large.
    """
    if not too_many(len(points), len(centers)):
        return nearest_distance(points, centers)
    probe, best = Probe(centers), np.empty(len(points))
    for start in range(0, len(points), 8 * CHUNK_ROWS):
        rows = slice(start, start + 8 * CHUNK_ROWS)
        best[rows] = probe.squared_distance(points[rows])
    return np.sqrt(best, out=best)


class Probe:
    """Distance to a center that is near, if not the nearest: to up to 256 of the cell that a point
    falls into.

    An inverted file with 3 sqrt(L) cells, whose middles are centers themselves, found by way of
    leaders: some hundred comparisons a point.
    """

    def __init__(self, centers: Floats) -> None:
        """centers: (L, D), L > 0."""
        self._centers = centers
        self._middles = centers[:: max(1, round(len(centers) ** 0.5 / CELLS_PER_ROOT))]
        cells = members(near_cells(centers, self._middles, 1)[:, 0], len(self._middles))
        self._members = [rows[:: -(-len(rows) // MOST_MEMBERS) or 1] for rows in cells]

    def squared_distance(self, points: Floats) -> Floats:
        """(N,) float32, never below the distance to the nearest center."""
        nearest = np.empty(len(points), dtype=np.float32)
        norms = np.einsum("nd,nd->n", points, points)
        cell = near_cells(points, self._middles, 1)[:, 0]
        for name, rows in enumerate(members(cell, len(self._middles))):
            if len(rows):
                of_cell = self._members[name]
                near = self._centers[of_cell] if len(of_cell) else self._middles[name : name + 1]
                squared = points[rows] @ (-2 * near.T)
                squared += np.einsum("nd,nd->n", near, near)
                nearest[rows] = squared.min(axis=1) + norms[rows]
        return np.maximum(nearest, 0, out=nearest)
