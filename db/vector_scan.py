"""The frames most like a vector, among any of all frames: a scan of the stored vectors.

A search index answers for all vectors alike; a set of frames is another one at every question. So the
columns of vectors themselves are read. Where many are to be compared, a sketch of each comes first:
its coordinates along the directions in which vectors differ most (principal components), a byte
each. The best of those are then compared as they are stored, so that a similarity is never that of
a sketch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from db.analysis import load_embeddings
from db.columns import Column, Columns, forget_others, locked
from db.frame_columns import open_as_left, synced, vectors_view
from db.tables import Embedding

Array = NDArray[np.float32]
Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]
Inside = Callable[[Ids], Mask]
"""Which of these frames may be found."""

EXACT = 100_000
"""Up to so many vectors are compared one by one."""
SHORTLIST, TIMES = 4000, 10
"""So many of the best sketches are at least, and so many times as many as are wanted."""
COORDINATES = 128
SAMPLE = 20_000
BLOCK = 32_768
FEW = 16_384
"""So many vectors that came in are read beside the columns."""
OUTGROWN = 4
"""Times as many vectors as the directions were learned from: they are learned again."""
LEARNED_FROM = "learned_from"


@dataclass(frozen=True, eq=False)
class Alike:
    """frames: (K,) int64, the most alike first.
    similarity: (K,) cosine.
    """

    frames: Ids
    similarity: Array


@dataclass(frozen=True, eq=False)
class _Basis:
    """center: (D,). axes: (COORDINATES, D) orthonormal rows. step: (COORDINATES,) of one unit of a byte."""

    center: Array
    axes: Array
    step: Array

    def sketch(self, vectors: Array) -> NDArray[np.int8]:
        along = (vectors - self.center) @ self.axes.T / self.step
        return np.clip(np.rint(along), -127, 127).astype(np.int8)


class VectorScan:
    """The vectors of one project. Safe from several threads."""

    def __init__(self, engine: Engine, folder: Path, exact: int = EXACT, shortlist: int = SHORTLIST) -> None:
        self._engine, self._folder = engine, folder
        self._exact, self._shortlist = exact, shortlist

    def most_alike(self, session: Session, producer: int, query: Array, inside: Inside, most: int) -> Alike:
        """At most `most` frames with a vector by this producer. query: (D,) of unit norm."""
        stored, late_ids, late = self._vectors(session, producer)
        ids = stored.ids
        rows = np.flatnonzero(inside(ids))
        if len(rows) > self._exact:
            kept = max(self._shortlist, TIMES * most)
            rows = rows[_largest(self._sketched(stored, producer, query, rows), kept)]
            rows.sort()
        similarity = _compared(stored, query, rows)
        met = inside(late_ids)
        frames = np.concatenate([ids[rows], late_ids[met]])
        every = np.concatenate([similarity, late[met] @ query if met.any() else np.zeros(0, np.float32)])
        best = _largest(every, most)
        best = best[np.lexsort((-frames[best], -every[best]))]
        return Alike(frames[best], np.clip(every[best], -1.0, 1.0))

    def prepare(self, session: Session, producer: int) -> None:
        """Sketches what is stored, where it is so much that searches need sketches."""
        stored = self._vectors(session, producer)[0]
        if len(stored) > self._exact:
            self._sketches(stored, producer)

    def _vectors(self, session: Session, producer: int) -> tuple[Columns, Ids, Array]:
        """The columns as they are, and what came in since."""
        view = vectors_view(producer)
        stored = open_as_left(self._folder, view) or synced(self._engine, self._folder, view)
        newer = select(Embedding.frame).where(Embedding.producer == producer)
        newer = newer.where(Embedding.frame > int(np.max(stored.ids, initial=-1))).limit(FEW + 1)
        late = list(session.execute(newer).scalars())
        if len(late) > FEW:
            return (
                synced(self._engine, self._folder, view),
                np.zeros(0, np.int64),
                np.zeros((0, 0), np.float32),
            )
        return stored, *load_embeddings(session, producer, late)

    def _sketched(self, stored: Columns, producer: int, query: Array, rows: Ids) -> Array:
        """(R,) about how similar these rows are; alike but for a constant."""
        basis, sketches = self._sketches(stored, producer)
        weights = ((basis.axes @ query) * basis.step).astype(np.float32)
        found = np.empty(len(stored), np.float32)
        for start in range(0, len(stored), BLOCK):
            part = sketches.part("sketch", start, start + BLOCK)
            found[start : start + BLOCK] = part.astype(np.float32) @ weights
        return found[rows]

    def _sketches(self, stored: Columns, producer: int) -> tuple[_Basis, Columns]:
        """Of every row of the columns; what is missing is made, and kept."""
        folder = self._folder / f"sketch-{producer}"
        with locked(folder):
            known = Columns(folder, f"sketch {COORDINATES} of vectors {stored.made}")
            learned_from = int(known.notes.get(LEARNED_FROM, 0))
            if not len(known) or len(known) > len(stored) or len(stored) > OUTGROWN * learned_from:
                known.clear()
                _keep_basis(known, _basis_of(stored), len(stored))
            basis = _Basis(known["center"][0], known["axes"], known["step"][0])
            ids = stored.ids
            for start in range(len(known), len(stored), BLOCK):
                part = stored.part("vector", start, start + BLOCK).astype(np.float32)
                new: dict[str, NDArray[Any]] = {name: known[name][:0] for name in ("center", "axes", "step")}
                new |= {"frame": ids[start : start + BLOCK], "sketch": basis.sketch(part)}
                known.append(new, {})
        forget_others(folder)
        return basis, known


def _keep_basis(known: Columns, basis: _Basis, learned_from: int) -> None:
    length = basis.axes.shape[1]
    columns = {
        "frame": Column("<i8"),
        "sketch": Column("|i1", (COORDINATES,)),
        "center": Column("<f4", (length,), axis="center"),
        "axes": Column("<f4", (length,), axis="axes"),
        "step": Column("<f4", (COORDINATES,), axis="step"),
    }
    parts: dict[str, NDArray[Any]] = {
        "frame": np.zeros(0, np.int64),
        "sketch": np.zeros((0, COORDINATES), np.int8),
        "center": basis.center[None],
        "axes": basis.axes,
        "step": basis.step[None],
    }
    known.append(parts, columns, {LEARNED_FROM: learned_from})


def _basis_of(stored: Columns) -> _Basis:
    """From a sample."""
    size = len(stored)
    rows = np.sort(np.random.default_rng(0).choice(size, min(size, SAMPLE), replace=False))
    sample = np.concatenate([part for _, part in _blocks(stored, rows)])
    center = sample.mean(axis=0)
    apart = sample - center
    _, axes = np.linalg.eigh(apart.T @ apart / len(sample))
    kept = axes[:, ::-1][:, :COORDINATES].T
    lacking = COORDINATES - len(kept)
    if lacking > 0:
        kept = np.concatenate([kept, np.zeros((lacking, kept.shape[1]), kept.dtype)])
    spread = np.abs(apart @ kept.T).max(axis=0) / 127
    return _Basis(center, kept.astype(np.float32), np.maximum(spread, 1e-6).astype(np.float32))


def _compared(stored: Columns, query: Array, rows: Ids) -> Array:
    """(R,) similarity of these rows, ascending."""
    found = [part @ query for _, part in _blocks(stored, rows)]
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def _blocks(stored: Columns, rows: Ids) -> Iterator[tuple[Ids, Array]]:
    """The vectors of these rows, ascending, so many at a time."""
    for start in range(0, len(stored), BLOCK):
        low, high = np.searchsorted(rows, [start, start + BLOCK])
        if high > low:
            part = stored.part("vector", start, start + BLOCK)
            wanted = rows[low:high] - start
            taken = part if len(wanted) == len(part) else part[wanted]
            yield rows[low:high], taken.astype(np.float32)


def _largest(values: Array, most: int) -> Ids:
    """Places of the largest, in no order."""
    if len(values) <= most:
        return np.arange(len(values))
    return np.argpartition(values, len(values) - most)[len(values) - most :]
