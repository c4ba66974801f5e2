"""Greedy choice by gains that only ever fall, looking at few of them again."""

from __future__ import annotations

import heapq
from typing import Protocol

import numpy as np

from samplers.pool import Bools, Ints, Reals
from samplers.reason import Reason

TOGETHER = 32
BLOCK_ROWS = 1024


class Objective(Protocol):
    """A set function with diminishing returns, as a greedy choice sees it."""

    cells: list[Ints]
    """Rows that are looked at together; every candidate is in one cell."""

    def gains(self, cell: int, rows: Ints) -> Reals:
        """What each of some rows of a cell would add to what is chosen so far."""

    def cover(self, row: int) -> list[int]:
        """Takes a row of the pool, candidate or not; returns the cells in which gains may have
        fallen.
        """


class Greedy:
    """Lazy greedy maximization (Minoux 1978): the picks of the plain greedy loop,
    ties to the first cell's lowest row.

    A gain computed earlier bounds what it is now, so only rows whose old gain still tops the others
    are computed anew, the best 32 of their cell together. Every candidate is looked at once and
    then, typically, a few per cent of them for every doubling of k. With cost, gain / cost is
    maximized, for which no bound is claimed.
    """

    def __init__(self, reason: Reason, objective: Objective, cost: Reals, weight: float = 1.0) -> None:
        """cost: (N,) > 0, of each row of the pool."""
        self.reason, self.weight = reason, weight
        self._objective, self._cost = objective, cost
        self._cells = objective.cells
        self._bound = [self._gains(cell, rows) for cell, rows in enumerate(self._cells)]
        self._fresh = [np.ones(len(rows), dtype=bool) for rows in self._cells]
        self._heap: list[tuple[float, int]] = []
        self.reopen()

    def propose(self, open_rows: Bools) -> tuple[int, float] | None:
        while self._heap:
            bound, cell = self._heap[0]
            rows = self._cells[cell]
            value = np.where(open_rows[rows], self._bound[cell], -np.inf)
            best = int(value.argmax())
            if value[best] == -np.inf:
                heapq.heappop(self._heap)
            elif self._fresh[cell][best] and value[best] == -bound:
                return int(rows[best]), float(value[best])
            else:
                self._look_again(cell, value)
        return None

    def observe(self, row: int) -> None:
        for cell in self._objective.cover(row):
            self._fresh[cell][:] = False

    def reopen(self) -> None:
        self._heap = [(-float(bound.max()), cell) for cell, bound in enumerate(self._bound) if len(bound)]
        heapq.heapify(self._heap)

    def _gains(self, cell: int, rows: Ints) -> Reals:
        return self._objective.gains(cell, rows) / self._cost[rows]

    def _look_again(self, cell: int, value: Reals) -> None:
        """Computes the best rows of a cell anew, unless the best is known, and puts the cell in its
        place.
        """
        best = int(value.argmax())
        if not self._fresh[cell][best]:
            first = np.argsort(-value, kind="stable")[:TOGETHER]
            stale = first[(value[first] > -np.inf) & ~self._fresh[cell][first]]
            now = self._gains(cell, self._cells[cell][stale])
            self._bound[cell][stale] = np.minimum(self._bound[cell][stale], now)
            self._fresh[cell][stale] = True
            value[stale] = self._bound[cell][stale]
        heapq.heapreplace(self._heap, (-float(value.max()), cell))


def blocks(rows: Ints) -> list[Ints]:
    """Cells for an objective whose gains depend on no neighborhood."""
    return [rows[start : start + BLOCK_ROWS] for start in range(0, len(rows), BLOCK_ROWS)]
