"""Farthest-first traversal without looking at every row for every pick."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from samplers.geometry.approximate_distance import Probe, too_many
from samplers.geometry.buffer import Buffer, Centers
from samplers.geometry.distances import Floats
from samplers.geometry.identical_rows import Candidates
from samplers.pool import DIAMETER, Bools, Ints, Pool, PoolError, Reals
from samplers.reason import Reason

TOGETHER = 512
LAGGARDS = 2048
SMALL_POOL = 4096
GONE = np.float32(-1)


class Farthest:
    """k-center-greedy (Gonzalez 1985; Sener and Savarese 2018), exact, by buffered lazy evaluation.

    A row's distance to its nearest center never rises, so what it was some centers ago bounds what
    it is now. Only a buffer of the rows with the largest bounds is kept up to date, each only until
    some center is nearer than the largest bound outside; as long as one row beats that, nothing
    outside can be the farthest. Ties go to the lowest row; with nothing labeled the first pick is
    drawn from the generator. The picks are the plain loop's, up to ties in float32.

    Cost: about 3N rows read and .2 NkD multiplications for k picks, where the plain loop reads kN
    rows; at worst (groups of equal rows larger than the buffer) the plain loop's. Memory beside the
    rows: the buffer and 20N bytes, where equal rows are taken together 24N more (40N while they are
    looked for). It chases outliers, and covers worse than chance does where density matters: use it
    to find.
    """

    def __init__(
        self,
        reason: Reason,
        points: NDArray[Any],
        centers: Floats,
        rows: Ints | None,
        rng: np.random.Generator,
        weight: float = 1.0,
        buffer_rows: int | None = None,
        near: Reals | None = None,
    ) -> None:
        """points: (N, D) the pool, float32 or a float16 memory map.
        centers: (L, D) where to stay away from.

        rows: (M,) candidates of the pool, rising; None for all.
        buffer_rows: 10 sqrt(M) when left out.
        near: (N,) `covered_distance` of the points to the centers, where it is known.
        """
        self.reason, self.weight = reason, weight
        self._points, self._centers = points, Centers(centers)
        self._candidates = Candidates(rows, len(points))
        self._size = buffer_rows or max(1, round(10 * len(self._candidates) ** 0.5))
        self._draw: Reals | None = rng.random(len(self._candidates))
        self._cap = np.float32(np.inf if len(centers) else DIAMETER**2)
        self._near = near
        self._bound = np.zeros(0, dtype=np.float32)
        self._norms = np.zeros(0, dtype=np.float32)
        self._seen = np.zeros(0, dtype=np.int32)
        self._buffer = Buffer.empty(points.shape[1])
        self._outside = (float("inf"), -1)

    @classmethod
    def of(
        cls, reason: Reason, pool: Pool, rows: Ints | None, rng: np.random.Generator, weight: float
    ) -> Farthest:
        near = pool.near if len(pool) > SMALL_POOL and len(pool.labeled) else None
        return cls(reason, pool.embeddings, pool.labeled, rows, rng, weight, near=near)

    def propose(self, open_rows: Bools) -> tuple[int, float] | None:
        if not len(self._centers) or not len(self._candidates):
            return self._first(open_rows)
        if self._draw is not None:
            self._start()
        while True:
            still = self._candidates.still_open(open_rows, self._buffer.places)
            value = np.where(still, self._buffer.bound, GONE)
            best = int(value.argmax()) if len(value) else -1
            squared, place = self._buffer.at(best) if best >= 0 and still[best] else (-1.0, -1)
            if squared < 0 and self._outside[0] < 0:
                return None
            if (squared, -place) <= (self._outside[0], -self._outside[1]):
                self._refill(open_rows)
            elif self._buffer.seen[best] == len(self._centers):
                return self._candidates.first_open(open_rows, place), float(np.sqrt(squared))
            else:
                self._catch_up(value, best)
                self._drop(*self._buffer.leave(self._outside[0]))

    def ahead(self, count: int, among: Bools) -> Ints:
        """Up to `count` rows that, as far as is known by now, may be proposed next.

        among: (N,) bool, rows that count.
        """
        rows: Ints = np.asarray(self._candidates.rows(self._buffer.places), dtype=np.int64)
        counting = np.flatnonzero(among[rows] & (self._buffer.seen >= len(self._centers.known)))
        return rows[counting[np.argsort(-self._buffer.bound[counting], kind="stable")[:count]]]

    def observe(self, row: int) -> None:
        self._centers.add(np.asarray(self._points[row], dtype=np.float32))

    def reopen(self) -> None:
        self._outside = (float("inf"), -1)

    def _first(self, open_rows: Bools) -> tuple[int, float] | None:
        still = self._candidates.open(open_rows)
        if self._draw is None or not still.any():
            return None
        value = np.where(still, DIAMETER + 1e-9 * self._draw, GONE)
        best = int(value.argmax())
        return int(self._candidates.rows(best)), float(value[best])

    def _start(self) -> None:
        """One pass over the rows: to few centers exactly, to many the distance to one that is near."""
        self._draw = None
        self._candidates.merge(self._vectors)
        known, count = self._centers.known, len(self._candidates)
        many = too_many(len(self._points), len(known))
        probe = Probe(known) if many and self._near is None else None
        self._bound = np.full(count, self._cap, dtype=np.float32)
        self._norms = np.zeros(count, dtype=np.float32)
        self._seen = np.zeros(count, dtype=np.int32)
        if self._near is not None:
            self._bound = (self._near[self._candidates.rows(slice(None))] ** 2).astype(np.float32)
            self._seen[:] = 0 if many else len(known)
            self._near = None
        for start in range(0, count, self._size):
            self._look(slice(start, min(start + self._size, count)), probe, exact=not many)

    def _look(self, part: slice, probe: Probe | None, exact: bool) -> None:
        rows = self._candidates.rows(part)
        vectors = self._vectors(rows)
        self._norms[part] = np.einsum("nd,nd->n", vectors, vectors)
        wrong = np.flatnonzero(~np.isfinite(self._norms[part]))
        if len(wrong):
            row = np.arange(len(self._points))[rows][wrong[0]]
            raise PoolError(
                f"embeddings: expected finite numbers, got others in row {row}; leave that frame out"
            )
        if probe is not None:
            self._bound[part] = probe.squared_distance(vectors)
        elif exact:
            buffer = self._load(np.arange(part.start, part.stop), vectors)
            buffer.catch_up(self._centers, np.arange(len(vectors)), -1.0)
            self._drop(buffer.places, buffer.bound, buffer.seen)

    def _catch_up(self, value: Floats, best: int) -> None:
        """The best rows of the buffer; those that were never compared with what is labeled wait
        until one of them leads.
        """
        seen, known = self._buffer.seen, len(self._centers.known)
        lead = bool(seen[best] < known)
        value[(seen == len(self._centers)) | ((seen < known) & (not lead))] = GONE
        least = max(_at_rank(value, LAGGARDS if lead else TOGETHER), self._outside[0])
        self._buffer.catch_up(self._centers, np.flatnonzero(value >= least), least)

    def _refill(self, open_rows: Bools) -> None:
        self._drop(self._buffer.places, self._buffer.bound, self._buffer.seen)
        self._buffer = Buffer.empty(self._points.shape[1])
        value = np.where(self._candidates.open(open_rows), self._bound, GONE)
        chosen = _largest(value, self._size)
        value[chosen] = GONE
        place = int(value.argmax())
        self._outside = (float(value[place]), place)
        self._buffer = self._load(chosen, self._vectors(self._candidates.rows(chosen)))

    def _load(self, places: Ints, vectors: Floats) -> Buffer:
        return Buffer(places, vectors, self._norms[places], self._bound[places], self._seen[places])

    def _drop(self, places: Ints, bound: Floats, seen: NDArray[np.int32]) -> None:
        self._bound[places] = bound
        self._seen[places] = seen

    def _vectors(self, rows: Any) -> Floats:
        return np.asarray(self._points[rows], dtype=np.float32)


def _at_rank(value: Floats, rank: int) -> float:
    """The `rank`-th largest of (B,) values, or the smallest."""
    return float(
        np.partition(value, len(value) - rank)[len(value) - rank] if rank < len(value) else value.min()
    )


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
