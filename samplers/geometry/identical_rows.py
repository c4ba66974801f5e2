"""The rows a choice is made from, equal ones together: one of them is as far from everything as all
of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samplers.geometry.distances import Floats

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Vectors = Callable[[Ints], Floats]
"""The vectors (R, D) of some places (R,)."""
SAMPLE = 4096
ENOUGH = 16
TOGETHER = 512


class Candidates:
    """Places 0..M-1 and the rows of the pool that they stand for: one each, or all that are equal."""

    def __init__(self, rows: Ints | None, size: int) -> None:
        """rows: (M,) rising, of a pool of `size`; None for all."""
        self._rows = None if rows is not None and len(rows) == size else rows
        self._count = size if self._rows is None else len(self._rows)
        self._copies: Copies | None = None

    def __len__(self) -> int:
        return self._count if self._copies is None else len(self._copies.first)

    def merge(self, vectors: Callable[[Any], Floats]) -> None:
        """Equal rows become one place, where there are enough of them to matter.

        vectors: of rows of the pool.
        """
        self._copies = copies_of(len(self), lambda places: vectors(self._of(places)))

    def rows(self, places: Any) -> Any:
        """One row of each place; an index, indices or a slice."""
        return self._of(places if self._copies is None else self._copies.first[places])

    def open(self, open_rows: Bools) -> Bools:
        """(M,) whether any row of each place is open. open_rows: (N,)."""
        still: Bools = open_rows if self._rows is None else open_rows[self._rows]
        return still if self._copies is None else self._copies.any_of(still)

    def still_open(self, open_rows: Bools, places: Ints) -> Bools:
        """(P,) the same, of some places."""
        still: Bools = open_rows[self.rows(places)]
        if self._copies is not None:
            for index in np.flatnonzero(~still):
                still[index] = open_rows[self._of(self._copies.of(int(places[index])))].any()
        return still

    def first_open(self, open_rows: Bools, place: int) -> int:
        """The lowest open row of a place that has one."""
        if self._copies is None:
            return int(self.rows(place))
        rows = self._of(self._copies.of(place))
        return int(rows[open_rows[rows].argmax()])

    def _of(self, places: Any) -> Any:
        return places if self._rows is None else self._rows[places]


class Copies:
    """first: (U,) the lowest place of each group of equal rows, rising."""

    def __init__(self, count: int, vectors: Vectors) -> None:
        """Cost: the rows are read once, copies once more. Memory: 40 bytes a row while it is built,
        24 after.
        """
        places = np.arange(count)
        key = _keys(places, vectors)
        order = np.argsort(key, kind="stable")
        new = np.append(True, key[order][1:] != key[order][:-1])
        first = np.empty(count, dtype=np.int64)
        first[order] = order[new][np.cumsum(new) - 1]
        for part in _chunks(np.flatnonzero(first != places)):
            other = part[(vectors(part) != vectors(first[part])).any(axis=1)]
            first[other] = other
        self.first = np.flatnonzero(first == places)
        self._order = np.argsort(first, kind="stable")
        self._ends = np.searchsorted(first[self._order], self.first, side="right")
        self._starts = np.append(0, self._ends[:-1])

    def of(self, group: int) -> Ints:
        """Places of the rows that equal the first of a group, and its own, rising."""
        return self._order[self._starts[group] : self._ends[group]]

    def any_of(self, value: Bools) -> Bools:
        """(U,) whether any row of each group is true. value: (M,) bool."""
        either: Bools = np.logical_or.reduceat(value[self._order], self._starts)
        return either


def copies_of(count: int, vectors: Vectors) -> Copies | None:
    """None where, as a sample of 4,096 rows shows, copies are too few to matter."""
    if count <= SAMPLE:
        return None
    drawn = np.sort(np.random.default_rng(0).choice(count, SAMPLE, replace=False))
    distinct = len(np.unique(_keys(drawn, vectors)))
    return Copies(count, vectors) if SAMPLE - distinct >= ENOUGH else None


def _keys(places: Ints, vectors: Vectors) -> Ints:
    keys: Ints = np.concatenate([_key(vectors(part)) for part in _chunks(places)])
    return keys


def _key(rows: Floats) -> Ints:
    """(R,) of its norm and of its length in one direction; equal for rows that are equal, and for
    hardly any others.
    """
    direction = np.random.default_rng(1).standard_normal(rows.shape[1], dtype=np.float32)
    parts = np.stack([np.einsum("nd,nd->n", rows, rows), np.einsum("nd,d->n", rows, direction)], axis=1)
    key: Ints = parts.view(np.int64)[:, 0]
    return key


def _chunks(places: Ints) -> list[Ints]:
    return [places[start : start + TOGETHER] for start in range(0, len(places), TOGETHER)]
