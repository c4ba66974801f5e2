"""The mass that chosen frames cover, where no matrix of all similarities fits into memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samplers.geometry.distances import Floats, rows_of
from samplers.geometry.partition import members, near_cells, nearest_cells
from samplers.pool import Bools, Ints, Pool, Reals

Kernel = Callable[[Floats], Floats]
"""Squared distances to similarities in 0..1, in place."""
BATCH_ROWS = 256
LEAST_ROOM = 1 << 26
ROWS_PER_PICK = 64
GROUND_ROWS = 128
LEAST_CANDIDATES = 8
STEP = np.float32(1 / 255)


@dataclass(frozen=True)
class Cells:
    """Up to dense_rows rows the objective is exact. Beyond, cells choose from within: those rows
    that are nearest to one drawn at random, as many as there are rows to a pick, from cell_rows to
    wide_cell_rows. Every row can be covered in the `homes` cells nearest to it.

    most_rows: of more, and 64 for every pick, so many are candidates: in each cell half of them
    those that cover the most of 128 rows, the others drawn at random. All are covered all the same.
    neighbors: the best candidate gives way to that one of so many rows nearest to it in its cell,
    candidates or not, that covers the most.

    The middles of k-means would not do: that of many rows is nearer to everything than that of few,
    and in many dimensions one cell then takes a third of all.
    """

    dense_rows: int = 4096
    cell_rows: int = 512
    wide_cell_rows: int = 1024
    homes: int = 6
    most_rows: int = 3 << 16
    neighbors: int = 64

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name}: expected 1 or more, got {value}")

    def count(self, rows: int, k: int) -> int:
        """How many cells."""
        if rows <= self.dense_rows:
            return 1
        size = min(max(rows // max(k, 1), self.cell_rows), max(self.cell_rows, self.wide_cell_rows))
        return -(-rows // size)


class Covering:
    """The objective of herding, inside cells. See `Cells`."""

    def __init__(
        self,
        pool: Pool,
        rows: Ints,
        weights: Reals,
        kernel: Kernel,
        rng: np.random.Generator,
        cells: Cells,
        k: int,
    ) -> None:
        """rows: (M,) to be covered and to be chosen from.
        weights: (M,) >= 0.
        k: picks that are asked for.
        """
        self._points, self._rows, self._kernel = pool.embeddings, rows, kernel
        self._neighbors = cells.neighbors
        points = rows_of(pool.embeddings, rows)
        count = min(cells.count(len(rows), k), len(rows))
        self._middles = points[np.sort(rng.choice(len(points), count, replace=False))]
        self._homes = near_cells(points, self._middles, cells.homes)
        self._ground = [np.unique(near) for near in members(self._homes, len(self._middles))]
        self._inside = members(self._homes[:, 0], len(self._middles))
        self.cells = [rows[near] for near in self._inside]
        self._norms = np.einsum("nd,nd->n", pool.embeddings, pool.embeddings)
        self._weights = weights.astype(np.float32)
        self._covered: Floats = np.zeros(len(rows), dtype=np.float32)
        if len(pool.labeled):
            self._covered = kernel((pool.near[rows] ** 2).astype(np.float32))
        self._kept: dict[int, NDArray[Any]] = {}
        self._room = max(2 * points.nbytes, LEAST_ROOM)
        candidates = max(cells.most_rows, ROWS_PER_PICK * k)
        self.thinned = len(rows) > candidates
        if self.thinned:
            share = candidates / len(rows)
            self.cells = [self._promising(cell, share, rng) for cell in range(len(self.cells))]

    def gains(self, cell: int, rows: Ints) -> Reals:
        ground = self._ground[cell]
        covered, weights = self._covered[ground], self._weights[ground]
        gains = np.zeros(len(rows))
        for start in range(0, len(rows), BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            more = self._of_cell(cell, rows[part])
            more -= covered
            gains[part] = np.maximum(more, 0, out=more) @ weights
        return gains

    def beside(self, row: int, open_rows: Bools) -> tuple[Ints, Reals]:
        """Those (B,) of the open rows of its cell that are nearest to a row, candidates or not, and
        what each would add.
        """
        cell = self._cell_of(row)
        rows = self._rows[self._inside[cell]]
        rows = rows[open_rows[rows]]
        apart = self._norms[rows] - 2 * (self._points[rows] @ self._points[row])
        rows = rows[np.argsort(apart, kind="stable")[: self._neighbors]]
        ground = self._ground[cell]
        more = self._similar(rows, ground) - self._covered[ground]
        return rows, np.maximum(more, 0, out=more) @ self._weights[ground]

    def cover(self, row: int) -> list[int]:
        if not len(self._rows):
            return []
        cell = self._cell_of(row)
        ground, inside = self._ground[cell], self.cells[cell]
        place, asked = int(np.searchsorted(inside, row)), np.array([row])
        known = place < len(inside) and inside[place] == row
        near = (self._of_cell(cell, asked) if known else self._similar(asked, ground))[0]
        more = near > self._covered[ground]
        self._covered[ground[more]] = near[more]
        changed: list[int] = np.unique(self._homes[ground[more]]).tolist()
        return changed

    def _cell_of(self, row: int) -> int:
        """The cell of any row of the pool."""
        place = min(int(np.searchsorted(self._rows, row)), len(self._rows) - 1)
        if self._rows[place] == row:
            return int(self._homes[place, 0])
        return int(nearest_cells(self._points[row : row + 1], self._middles)[0, 0])

    def _promising(self, cell: int, share: float, rng: np.random.Generator) -> Ints:
        inside, ground = self.cells[cell], self._ground[cell]
        count = max(LEAST_CANDIDATES, round(share * len(inside)))
        if count >= len(inside):
            return inside
        ground = ground[:: -(-len(ground) // GROUND_ROWS)]
        more = np.maximum(self._similar(inside, ground) - self._covered[ground], 0) @ self._weights[ground]
        order = np.argsort(-more, kind="stable")
        others = rng.choice(order[count // 2 :], count - count // 2, replace=False)
        promising: Ints = inside[np.sort(np.append(order[: count // 2], others))]
        return promising

    def _of_cell(self, cell: int, rows: Ints) -> Floats:
        """(R, G) of candidates of a cell with its ground, kept from the first look on while there
        is room.
        """
        inside, ground = self.cells[cell], self._ground[cell]
        size = len(inside) * len(ground) * (4 if len(self.cells) == 1 else 1)
        if cell not in self._kept and size <= self._room:
            parts = [inside[start : start + BATCH_ROWS] for start in range(0, len(inside), BATCH_ROWS)]
            kept = np.concatenate([self._packed(self._similar(part, ground)) for part in parts])
            self._kept[cell] = kept
            self._room -= size
        if cell not in self._kept:
            return self._similar(rows, ground)
        packed = self._kept[cell][np.searchsorted(inside, rows)]
        return packed if packed.dtype == np.float32 else packed * STEP

    def _packed(self, similar: Floats) -> NDArray[Any]:
        """As they are when there is one cell, else in steps of 1 / 255."""
        return similar if len(self.cells) == 1 else np.rint(similar / STEP).astype(np.uint8)

    def _similar(self, rows: Ints, ground: Ints) -> Floats:
        """(R, G) of any rows of the pool with a ground."""
        left, right = self._points[rows], rows_of(self._points, self._rows[ground])
        squared: Floats = left @ (-2 * right).T if len(left) > len(right) else (-2 * left) @ right.T
        squared += self._norms[rows][:, None]
        squared += self._norms[self._rows[ground]]
        return self._kernel(np.maximum(squared, 0, out=squared))


def gaussian(scale: float) -> Kernel:
    """exp(-d^2 / scale^2)."""

    def similarity(squared: Floats) -> Floats:
        squared *= np.float32(-1 / scale**2)
        return np.exp(squared, out=squared)

    return similarity


def cosine(squared: Floats) -> Floats:
    """max(0, 1 - d^2 / 2)."""
    squared *= np.float32(-0.5)
    squared += np.float32(1)
    return np.maximum(squared, 0, out=squared)


def ball(radius: float) -> Kernel:
    """1 within the radius, 0 beyond."""
    limit = np.float32(radius**2)
    return lambda squared: np.less_equal(squared, limit).astype(np.float32)
