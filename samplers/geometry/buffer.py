"""Distances to the nearest center, kept up to date for a few rows only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samplers.geometry.distances import Floats
from samplers.geometry.identical_rows import Ints

BLOCK = 64


class Centers:
    """What was labeled, then what was chosen, in order."""

    def __init__(self, known: Floats) -> None:
        """known: (L, D)."""
        self.known = known
        self._of_known = max(BLOCK, len(known) // BLOCK)
        self._added: Floats = np.zeros((0, known.shape[1]), dtype=np.float32)
        self._count = 0

    def __len__(self) -> int:
        return len(self.known) + self._count

    def add(self, vector: Floats) -> None:
        if self._count == len(self._added):
            room = np.zeros((max(BLOCK, self._count), len(vector)), dtype=np.float32)
            self._added = np.concatenate([self._added, room])
        self._added[self._count] = vector
        self._count += 1

    def blocks(self, first: int) -> Iterator[tuple[int, int]]:
        """From the block that center `first` is in on, where each starts and ends: at most 64
        blocks of all that are labeled, then 64 at a time of those that were chosen.
        """
        known = len(self.known)
        for low, high, step in ((0, known, self._of_known), (known, len(self), BLOCK)):
            start = low + max(first - low, 0) // step * step
            yield from ((at, min(at + step, high)) for at in range(start, high, step))

    def between(self, start: int, end: int) -> Floats:
        known = len(self.known)
        return self.known[start:end] if end <= known else self._added[start - known : end - known]


class Buffer:
    """Rows with their vectors at hand.

    bound: (B,) squared distances.
    seen: (B,) centers it accounts for.
    """

    def __init__(
        self, places: Ints, vectors: Floats, norms: Floats, bound: Floats, seen: NDArray[np.int32]
    ) -> None:
        self.places, self.vectors, self.norms, self.bound, self.seen = places, vectors, norms, bound, seen

    @classmethod
    def empty(cls, width: int) -> Buffer:
        nothing = np.zeros(0, dtype=np.float32)
        none = np.zeros(0, dtype=np.int64)
        return cls(none, np.zeros((0, width), np.float32), nothing, nothing, none.astype(np.int32))

    def at(self, index: int) -> tuple[float, int]:
        """Squared distance, or the bound of it, and place."""
        return float(self.bound[index]), int(self.places[index])

    def catch_up(self, centers: Centers, stale: Ints, least: float) -> None:
        """Accounts for all centers in some rows (R,), each until its bound is below `least`."""
        for start, end in centers.blocks(int(self.seen[stale].min(initial=len(centers)))):
            stale = stale[self.bound[stale] >= least]
            behind = stale[self.seen[stale] < end]
            if len(behind):
                self._account(behind, centers.between(max(start, int(self.seen[behind].min())), end))
                self.seen[behind] = end

    def leave(self, outside: float) -> tuple[Ints, Floats, NDArray[np.int32]]:
        """Places, bounds and centers seen of the rows that lost to those outside, once they are
        more than half.
        """
        stay = self.bound >= outside
        if 2 * stay.sum() > len(stay):
            stay[:] = True
        leaving = self.places[~stay], self.bound[~stay], self.seen[~stay]
        if not stay.all():
            self.places, self.vectors, self.norms = self.places[stay], self.vectors[stay], self.norms[stay]
            self.bound, self.seen = self.bound[stay], self.seen[stay]
        return leaving

    def _account(self, rows: Ints, centers: Floats) -> None:
        """Of more than half of the rows it is as fast to look at all."""
        all_rows = 2 * len(rows) > len(self.places)
        asked: Any = slice(None) if all_rows else rows
        squared = self.vectors[asked] @ (-2 * centers.T)
        squared += np.einsum("nd,nd->n", centers, centers)
        nearest = np.maximum(squared.min(axis=1) + self.norms[asked], 0)
        self.bound[asked] = np.minimum(self.bound[asked], nearest)
