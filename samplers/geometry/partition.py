"""Splitting a pool into cells of rows that lie together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from samplers.geometry.distances import CHUNK_ROWS, Floats

Ints = NDArray[np.int64]

SAMPLE = 64
ROUNDS = 8
FEW_CELLS = 256
LEADERS = 4


def k_means(points: Floats, cells: int, rng: np.random.Generator) -> Floats:
    """(<= cells, D) float32 middles: Lloyd's algorithm (1957) on a sample of 64 rows per cell, 8
    rounds.

    The first middles are drawn among the rows; a middle that no row is nearest to is dropped, so
    equal rows give fewer cells. Cost: 512 cells^2 D multiplications, whatever the number of rows.
    """
    if not len(points):
        return points
    sample = points[np.sort(rng.choice(len(points), min(len(points), SAMPLE * cells), replace=False))]
    middles = sample[np.sort(rng.choice(len(sample), min(len(sample), cells), replace=False))]
    for _ in range(ROUNDS):
        cell = nearest_cells(sample, middles)[:, 0]
        used, code = np.unique(cell, return_inverse=True)
        order = np.argsort(code, kind="stable")
        starts = np.searchsorted(code[order], np.arange(len(used)))
        total = np.add.reduceat(sample[order], starts, axis=0)
        middles = (total / np.bincount(code)[:, None]).astype(np.float32)
    return middles


def nearest_cells(points: Floats, middles: Floats, count: int = 1) -> Ints:
    """(N, count) the middles nearest to each row, nearest first; of equally near ones the first."""
    near = np.empty((len(points), min(count, max(len(middles), 1))), dtype=np.int64)
    for rows, squared in _squared(points, middles):
        for place in range(near.shape[1]):
            near[rows, place] = squared.argmin(axis=1)
            squared[np.arange(len(squared)), near[rows, place]] = np.inf
    return near


def near_cells(points: Floats, middles: Floats, count: int) -> Ints:
    """The same, for more than 256 middles those that are nearest among about 4 sqrt(C): O(N sqrt(C)
    D).

    Every sqrt(C)-th middle leads those to which it is among the four nearest leaders; a row looks
    only at those of the leader nearest to it.
    """
    if len(middles) <= FEW_CELLS:
        return nearest_cells(points, middles, count)
    leaders = middles[:: round(len(middles) ** 0.5)]
    led = members(nearest_cells(middles, leaders, LEADERS), len(leaders))
    near = np.zeros((len(points), count), dtype=np.int64)
    for leader, rows in enumerate(members(nearest_cells(points, leaders), len(leaders))):
        if len(rows) and len(led[leader]):
            found = led[leader][nearest_cells(points[rows], middles[led[leader]], count)]
            near[rows] = found[:, np.minimum(np.arange(count), found.shape[1] - 1)]
    return near


def members(cell: Ints, cells: int) -> list[Ints]:
    """The rows of each cell, rising.

    cell: (N,) int, or (N, P) for rows that belong to several cells.
    """
    flat = cell.ravel()
    order = np.argsort(flat, kind="stable")
    ends = np.searchsorted(flat[order], np.arange(cells + 1))
    rows: Ints = order // (cell.shape[1] if cell.ndim > 1 else 1)
    return [rows[first:end] for first, end in pairwise(ends)]


def _squared(points: Floats, middles: Floats) -> Iterator[tuple[slice, Floats]]:
    """Squared distances, less the row's own norm, which changes no order."""
    norms = np.einsum("nd,nd->n", middles, middles)
    for start in range(0, len(points), CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        squared = points[rows] @ (-2 * middles.T)
        squared += norms
        yield rows, squared
