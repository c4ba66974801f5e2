"""Farthest-first traversal without looking at every row for every pick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samplers.distances import Floats, Probe, too_many
from samplers.pool import DIAMETER, Bools, Ints, Pool, PoolError, Reals

BLOCK = 64
SMALL_POOL = 4096
GONE = np.float32(-1)


class Farthest:
    """k-center-greedy (Gonzalez 1985; Sener and Savarese 2018), exact, by buffered lazy evaluation.

    A row's distance to its nearest center never rises, so what it was some centers ago bounds what it is
    now. Only a buffer of the rows with the largest bounds is kept up to date, each only until some center
    is nearer than the largest bound outside; as long as one row beats that, nothing outside can be the
    farthest. Ties go to the lowest row; with nothing labeled the first pick is drawn from the generator. The
    picks are the plain loop's, up to ties in float32.

    Cost: about 3N rows read and .2 NkD multiplications for k picks, where the plain loop reads kN rows; at
    worst (groups of equal rows larger than the buffer) the plain loop's. Memory beside the rows: 20N bytes and
    the buffer. It chases outliers, and covers worse than chance does where density matters: use it to find.
    """

    def __init__(
        self,
        name: str,
        points: NDArray[Any],
        centers: Floats,
        rows: Ints | None,
        rng: np.random.Generator,
        weight: float = 1.0,
        buffer_rows: int | None = None,
        near: Reals | None = None,
    ) -> None:
        """points: (N, D) the pool, float32 or a float16 memory map. centers: (L, D) where to stay away from.

        rows: (M,) candidates of the pool, rising; None for all. buffer_rows: 10 sqrt(M) when left out. near: (N,)
        `covered_distance` of the points to the centers, where it is known.
        """
        self.name, self.weight = name, weight
        self._points, self._centers = points, _Centers(centers)
        self._rows = None if rows is not None and len(rows) == len(points) else rows
        self._count = len(points) if self._rows is None else len(self._rows)
        self._size = buffer_rows or max(1, round(10 * self._count**0.5))
        self._draw: Reals | None = rng.random(self._count)
        self._cap = np.float32(np.inf if len(centers) else DIAMETER**2)
        self._near = near
        self._bound = np.zeros(0, dtype=np.float32)
        self._norms = np.zeros(0, dtype=np.float32)
        self._seen = np.zeros(0, dtype=np.int32)
        self._buffer = _Buffer.empty(points.shape[1])
        self._outside = (float("inf"), -1)

    @classmethod
    def of(
        cls, name: str, pool: Pool, rows: Ints | None, rng: np.random.Generator, weight: float
    ) -> Farthest:
        near = pool.near if len(pool) > SMALL_POOL and len(pool.labeled) else None
        return cls(name, pool.embeddings, pool.labeled, rows, rng, weight, near=near)

    def propose(self, open_rows: Bools) -> tuple[int, float] | None:
        if not len(self._centers) or not self._count:
            return self._first(open_rows)
        if self._draw is not None:
            self._start()
        while True:
            self._drop(*self._buffer.catch_up(self._centers, self._outside[0]))
            squared, place = self._buffer.best(open_rows[self._rows_at(self._buffer.places)])
            if squared >= 0 and (squared, -place) > (self._outside[0], -self._outside[1]):
                return int(self._rows_at(place)), float(np.sqrt(squared))
            if squared < 0 and self._outside[0] < 0:
                return None
            self._refill(open_rows)

    def ahead(self, count: int) -> Ints:
        """Up to `count` rows that, as far as is known by now, may be proposed next."""
        first = np.argsort(-self._buffer.bound, kind="stable")[:count]
        rows: Ints = np.asarray(self._rows_at(self._buffer.places[first]), dtype=np.int64)
        return rows

    def observe(self, row: int) -> None:
        self._centers.add(np.asarray(self._points[row], dtype=np.float32))

    def reopen(self) -> None:
        self._outside = (float("inf"), -1)

    def _first(self, open_rows: Bools) -> tuple[int, float] | None:
        still = self._open(open_rows)
        if self._draw is None or not still.any():
            return None
        value = np.where(still, DIAMETER + 1e-9 * self._draw, GONE)
        best = int(value.argmax())
        return int(self._rows_at(best)), float(value[best])

    def _start(self) -> None:
        """One pass over the rows: to few centers exactly, to many the distance to one that is near."""
        self._draw = None
        self._bound = np.full(self._count, self._cap, dtype=np.float32)
        self._norms = np.zeros(self._count, dtype=np.float32)
        self._seen = np.zeros(self._count, dtype=np.int32)
        known = self._centers.known
        many = too_many(len(self._points), len(known))
        probe = Probe(known) if many and self._near is None else None
        if self._near is not None:
            self._bound = (self._near[self._rows_at(slice(None))] ** 2).astype(np.float32)
            self._seen[:] = 0 if many else len(known)
            self._near = None
        for start in range(0, self._count, self._size):
            part = slice(start, start + self._size)
            vectors = self._vectors(part)
            self._norms[part] = np.einsum("nd,nd->n", vectors, vectors)
            self._refuse_nan(part)
            if probe is not None:
                self._bound[part] = probe.squared_distance(vectors)
            elif not many:
                self._drop(*self._load(np.arange(self._count)[part], vectors).catch_up(self._centers, -1.0))

    def _refill(self, open_rows: Bools) -> None:
        self._drop(self._buffer.places, self._buffer.bound, self._buffer.seen)
        self._buffer = _Buffer.empty(self._points.shape[1])
        value = np.where(self._open(open_rows), self._bound, GONE)
        chosen = _largest(value, self._size)
        value[chosen] = GONE
        place = int(value.argmax())
        self._outside = (float(value[place]), place)
        self._buffer = self._load(chosen, self._vectors(chosen))

    def _load(self, places: Ints, vectors: Floats) -> _Buffer:
        return _Buffer(places, vectors, self._norms[places], self._bound[places], self._seen[places])

    def _drop(self, places: Ints, bound: Floats, seen: NDArray[np.int32]) -> None:
        self._bound[places] = bound
        self._seen[places] = seen

    def _vectors(self, places: Ints | slice) -> Floats:
        return np.asarray(self._points[self._rows_at(places)], dtype=np.float32)

    def _rows_at(self, places: Any) -> Any:
        return places if self._rows is None else self._rows[places]

    def _open(self, open_rows: Bools) -> Bools:
        return open_rows if self._rows is None else open_rows[self._rows]

    def _refuse_nan(self, part: slice) -> None:
        wrong = np.flatnonzero(~np.isfinite(self._norms[part]))
        if len(wrong):
            row = int(self._rows_at(part.start + wrong[0]))
            raise PoolError(
                f"embeddings: expected finite numbers, got others in row {row}; leave that frame out"
            )


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

    def blocks(self, first: int) -> Iterator[tuple[int, int]]:
        """From the block that center `first` is in on, where each starts and ends: at most 64 centers, all labeled
        or all chosen."""
        known = len(self.known)
        for low, high in ((0, known), (known, len(self))):
            start = low + max(first - low, 0) // BLOCK * BLOCK
            yield from ((at, min(at + BLOCK, high)) for at in range(start, high, BLOCK))

    def between(self, start: int, end: int) -> Floats:
        known = len(self.known)
        return self.known[start:end] if end <= known else self._added[start - known : end - known]


class _Buffer:
    """Rows with their vectors at hand. bound: (B,) squared distances. seen: (B,) centers it accounts for."""

    def __init__(
        self, places: Ints, vectors: Floats, norms: Floats, bound: Floats, seen: NDArray[np.int32]
    ) -> None:
        self.places, self.vectors, self.norms, self.bound, self.seen = places, vectors, norms, bound, seen

    @classmethod
    def empty(cls, width: int) -> _Buffer:
        nothing = np.zeros(0, dtype=np.float32)
        none = np.zeros(0, dtype=np.int64)
        return cls(none, np.zeros((0, width), np.float32), nothing, nothing, none.astype(np.int32))

    def best(self, open_places: Bools) -> tuple[float, int]:
        """Squared distance and place of the farthest open row; -1 and -1 when there is none."""
        if not open_places.any():
            return -1.0, -1
        value = np.where(open_places, self.bound, GONE)
        best = int(value.argmax())
        return float(value[best]), int(self.places[best])

    def catch_up(self, centers: _Centers, outside: float) -> tuple[Ints, Floats, NDArray[np.int32]]:
        """Accounts for all centers in rows that still beat `outside`; places, bounds and centers seen of rows that
        lost and leave the buffer.
        """
        for start, end in centers.blocks(int(self.seen.min(initial=len(centers)))):
            behind = np.flatnonzero((self.seen < end) & (self.bound >= outside))
            if len(behind):
                self._account(behind, centers.between(max(start, int(self.seen[behind].min())), end))
                self.seen[behind] = end
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
