"""Arrays of different lengths as one: what is said of the boxes of many frames, without an object
for each frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ragged(Sequence[NDArray[Any]]):
    """N arrays, one after another.

    values: (B, ...).
    start: (N + 1,) int64, row n is values[start[n]:start[n + 1]].
    """

    values: NDArray[Any]
    start: Ints

    @classmethod
    def of(cls, rows: Sequence[NDArray[Any]]) -> Ragged:
        """From N arrays whose shapes differ in length alone. Raises ValueError where more differs."""
        if isinstance(rows, Ragged):
            return rows
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        filled = [row for row in rows if len(row)] or list(rows[:1]) or [np.zeros(0)]
        return cls(np.concatenate(filled), _starts(lengths))

    def __len__(self) -> int:
        return len(self.start) - 1

    @overload
    def __getitem__(self, row: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[NDArray[Any]]: ...
    def __getitem__(self, row: int | slice) -> NDArray[Any] | Sequence[NDArray[Any]]:
        if isinstance(row, slice):
            return [self[n] for n in range(*row.indices(len(self)))]
        row = range(len(self))[row]
        return self.values[self.start[row] : self.start[row + 1]]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (
            self.values[a:b] for a, b in zip(self.start[:-1].tolist(), self.start[1:].tolist(), strict=True)
        )

    @property
    def lengths(self) -> Ints:
        """(N,) how many each has."""
        return np.diff(self.start)

    @property
    def row(self) -> Ints:
        """(B,) which of the N each value is of."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: Ints) -> Ragged:
        """Those of these rows, in their order."""
        lengths = self.lengths[rows]
        start = _starts(lengths)
        places = np.repeat(self.start[:-1][rows] - start[:-1], lengths) + np.arange(start[-1])
        return Ragged(self.values[places], start)

    def with_values(self, values: NDArray[Any]) -> Ragged:
        """Other values (B, ...) in the same places."""
        return Ragged(values, self.start)

    def sums(self) -> Reals:
        """(N,) of values (B,)."""
        total: Reals = np.bincount(self.row, weights=self.values, minlength=len(self)).astype(np.float64)
        return total

    def maxima(self) -> NDArray[Any]:
        """(N, ...) the largest of each, 0 where there is none. Values must not be negative."""
        found = np.zeros((len(self), *self.values.shape[1:]), dtype=self.values.dtype)
        filled = np.flatnonzero(self.lengths)
        if len(filled):
            found[filled] = np.maximum.reduceat(self.values, self.start[:-1][filled], axis=0)
        return found

    @property
    def top(self) -> Ragged:
        """The largest of each of its rows of values (B, C); values (B,) as they are."""
        if self.values.ndim == 1:
            return self
        return self.with_values(self.values.max(axis=1, initial=0.0))


def _starts(lengths: Ints) -> Ints:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])
