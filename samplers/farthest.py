"""Farthest-first traversal without looking at every row for every pick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samplers.distances import Floats, Probe
from samplers.pool import DIAMETER, Bools, Ints, PoolError, Reals

COLUMNS = 512
FEW_CENTERS = 4096
GONE = np.float32(-1)


class Farthest:
    """k-center-greedy (Gonzalez 1985; Sener and Savarese 2018), exact, by buffered lazy evaluation.

    A row's distance to its nearest center never rises, so what it was some centers ago bounds what it is
    now. Only a buffer of the rows with the largest bounds is kept up to date; as long as one of them beats
    every bound outside, nothing outside can be the farthest. Ties go to the lowest row; with nothing labeled
    the first pick is drawn from the generator. The picks are the plain loop's, up to ties in float32.

    Cost: about 3N rows read and .4 NkD multiplications for k picks, where the plain loop reads kN rows; at
    worst (groups of equal rows larger than the buffer) the plain loop's. Memory beside the rows: 16N bytes and
    the buffer. It chases outliers, and covers worse than chance does where density matters: use it to find.
    """

    def __init__(
        self,
        name: str,
        points: NDArray[Any],
        centers: Floats,
        rows: Ints,
        rng: np.random.Generator,
        weight: float = 1.0,
        buffer_rows: int | None = None,
    ) -> None:
        """points: (N, D) the pool, float32 or a float16 memory map. centers: (L, D) where to stay away from.

        rows: (M,) candidates of the pool, rising. buffer_rows: 10 sqrt(M) when left out.
        """
        self.name, self.weight = name, weight
        self._points, self._rows = points, rows
        self._size = buffer_rows or max(1, round(10 * len(rows) ** 0.5))
        self._centers = _Centers(centers)
        self._draw: Reals | None = rng.random(len(rows))
        self._cap = np.float32(np.inf if len(centers) else DIAMETER**2)
        self._bound = np.zeros(0, dtype=np.float32)
        self._seen = np.zeros(0, dtype=np.int32)
        self._buffer = _Buffer.empty(points.shape[1])
        self._outside = (float("inf"), -1)

    def propose(self, open_rows: Bools) -> tuple[int, float] | None:
        if not len(self._centers) or not len(self._rows):
            return self._first(open_rows)
        if self._draw is not None:
            self._start()
        while True:
            self._drop(self._buffer.catch_up(self._centers, self._outside[0]))
            squared, place = self._buffer.best(open_rows[self._rows[self._buffer.places]])
            if squared >= 0 and (squared, -place) > (self._outside[0], -self._outside[1]):
                return int(self._rows[place]), float(np.sqrt(squared))
            if squared < 0 and self._outside[0] < 0:
                return None
            self._refill(open_rows)

    def observe(self, row: int) -> None:
        self._centers.add(np.asarray(self._points[row], dtype=np.float32))

    def reopen(self) -> None:
        self._outside = (float("inf"), -1)

    def _first(self, open_rows: Bools) -> tuple[int, float] | None:
        if self._draw is None or not open_rows[self._rows].any():
            return None
        value = np.where(open_rows[self._rows], DIAMETER + 1e-9 * self._draw, GONE)
        best = int(value.argmax())
        return int(self._rows[best]), float(value[best])

    def _start(self) -> None:
        """One pass over the rows: to few centers exactly, to many the distance to one that is near."""
        self._draw = None
        self._bound = np.full(len(self._rows), self._cap, dtype=np.float32)
        self._seen = np.zeros(len(self._rows), dtype=np.int32)
        many = len(self._centers.known) > FEW_CENTERS
        probe = Probe(self._centers.known) if many else None
        for start in range(0, len(self._rows), self._size):
            places = np.arange(start, min(start + self._size, len(self._rows)))
            part = self._load(places)
            _refuse_nan(part, self._rows)
            if probe is not None:
                part.bound = probe.squared_distance(part.vectors)
            else:
                part.catch_up(self._centers, -1.0)
            self._drop(part)

    def _refill(self, open_rows: Bools) -> None:
        self._drop(self._buffer)
        self._buffer = _Buffer.empty(self._points.shape[1])
        value = np.where(open_rows[self._rows], self._bound, GONE)
        chosen = _largest(value, self._size)
        value[chosen] = GONE
        place = int(value.argmax())
        self._outside = (float(value[place]), place)
        self._buffer = self._load(chosen)

    def _load(self, places: Ints) -> _Buffer:
        vectors = np.asarray(self._points[self._rows[places]], dtype=np.float32)
        return _Buffer(places, vectors, self._bound[places], self._seen[places])

    def _drop(self, part: _Buffer) -> None:
        self._bound[part.places] = part.bound
        self._seen[part.places] = part.seen


class _Centers:
    """What was labeled, then what was chosen, in order."""

    def __init__(self, known: Floats) -> None:
        self.known = known
        self._added: Floats = np.zeros((0, known.shape[1]), dtype=np.float32)
        self._count = 0

    def __len__(self) -> int:
        return len(self.known) + self._count

    def add(self, vector: Floats) -> None:
        if self._count == len(self._added):
            room = np.zeros((max(64, self._count), len(vector)), dtype=np.float32)
            self._added = np.concatenate([self._added, room])
        self._added[self._count] = vector
        self._count += 1

    def since(self, first: int) -> Iterator[Floats]:
        """The centers from number `first` on, (<= 512, D) at a time."""
        for start in range(first, len(self.known), COLUMNS):
            yield self.known[start : start + COLUMNS]
        for start in range(max(first - len(self.known), 0), self._count, COLUMNS):
            yield self._added[start : min(start + COLUMNS, self._count)]


class _Buffer:
    """Rows with their vectors at hand. bound: (B,) squared distances. seen: (B,) centers it accounts for."""

    def __init__(self, places: Ints, vectors: Floats, bound: Floats, seen: NDArray[np.int32]) -> None:
        self.places, self.vectors, self.bound, self.seen = places, vectors, bound, seen
        self.norms = np.einsum("nd,nd->n", vectors, vectors)

    @classmethod
    def empty(cls, width: int) -> _Buffer:
        nothing = np.zeros(0, dtype=np.float32)
        return cls(np.zeros(0, np.int64), np.zeros((0, width), np.float32), nothing, np.zeros(0, np.int32))

    def best(self, open_places: Bools) -> tuple[float, int]:
        """Squared distance and place of the farthest open row; -1 and -1 when there is none."""
        if not open_places.any():
            return -1.0, -1
        value = np.where(open_places, self.bound, GONE)
        best = int(value.argmax())
        return float(value[best]), int(self.places[best])

    def catch_up(self, centers: _Centers, outside: float) -> _Buffer:
        """Accounts for all centers; returns the rows that lost to those outside and leave the buffer."""
        for seen in np.unique(self.seen[self.seen < len(centers)]):
            self._account(np.flatnonzero(self.seen == seen), centers, int(seen))
        stay = self.bound >= outside
        if 2 * stay.sum() > len(stay):
            stay = np.ones(len(stay), dtype=bool)
        leaving = self._part(~stay)
        if not stay.all():
            kept = self._part(stay)
            self.places, self.vectors, self.bound = kept.places, kept.vectors, kept.bound
            self.seen, self.norms = kept.seen, kept.norms
        return leaving

    def _account(self, rows: Ints, centers: _Centers, seen: int) -> None:
        whole = len(rows) == len(self.seen)
        vectors = self.vectors if whole else self.vectors[rows]
        for piece in centers.since(seen):
            squared = vectors @ (-2 * piece.T)
            squared += np.einsum("nd,nd->n", piece, piece)
            nearest = np.maximum(squared.min(axis=1) + self.norms[rows], 0)
            self.bound[rows] = np.minimum(self.bound[rows], nearest)
        self.seen[rows] = len(centers)

    def _part(self, rows: Bools) -> _Buffer:
        part = _Buffer.__new__(_Buffer)
        part.places, part.vectors, part.bound = self.places[rows], self.vectors[rows], self.bound[rows]
        part.seen, part.norms = self.seen[rows], self.norms[rows]
        return part


def _largest(value: Floats, count: int) -> Ints:
    """Places of the `count` largest values that are not GONE, rising; of equal ones the first."""
    if count < len(value):
        limit = np.partition(value, len(value) - count)[len(value) - count]
        above = np.flatnonzero(value > limit)
        equal = np.flatnonzero(value == limit)[: count - len(above)]
        chosen = np.sort(np.concatenate([above, equal]))
    else:
        chosen = np.arange(len(value))
    there: Ints = chosen[value[chosen] >= 0]
    return there


def _refuse_nan(part: _Buffer, rows: Ints) -> None:
    wrong = np.flatnonzero(~np.isfinite(part.norms))
    if len(wrong):
        row = int(rows[part.places[wrong[0]]])
        raise PoolError(f"embeddings: expected finite numbers, got others in row {row}; leave that frame out")
