"""The training frames nearest to each frame: a view that is brought up to date by what changed.

Searching a training set for all of production costs most of a comparison, so it is done once for
each frame. When frames enter the training set, only they are compared with what is known; when
one leaves it, only the frames that it was near to are searched for again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from db.columns import Column, Columns, forget_others, locked
from db.vectors import VectorStore

Array = NDArray[np.float32]
Ids = NDArray[np.int64]
Rows = NDArray[np.int32]
Vectors = Callable[[Ids], Array]
"""(B, D) unit vectors of these frames."""
Progress = Callable[[int, int, str], None]

LAYOUT = 1
"""Changes whenever the files would."""
NONE = -1
FAR = -1.0
"""Similarity to no frame."""
BLOCK = 8192
KEPT_AT_ONCE = 16
"""Blocks."""


@dataclass(frozen=True)
class Found:
    """similarity: (B, k) float32, best first.
    rows: (B, k) int32 of the training set, -1 for none.
    """

    similarity: Array
    rows: Rows


class NearestFrames:
    """The k frames of a training set nearest to each of many frames, in a folder of columns.

    folder: of the columns.
    index: opens that of the training set.
    vectors: of any frames.
    made: another whenever the vectors of a frame could be; what was found by others is forgotten.
    Row n of the training set is the n-th of its ids (M,), ascending.
    """

    def __init__(
        self,
        folder: Path,
        k: int,
        training: Ids,
        vectors: Vectors,
        index: Callable[[], VectorStore],
        made: str,
    ) -> None:
        self._folder, self._k, self._training = folder, k, training
        self._vectors, self._index = vectors, index
        self._stamp = f"{folder.name} {k} {LAYOUT} {made}"

    def of(self, frames: Ids, progress: Progress | None = None) -> Found:
        """Of these frames, ascending. What is not known yet is searched for and kept."""
        with locked(self._folder):
            known = Columns(self._folder, self._stamp)
            self._follow(known, progress)
            if not np.array_equal(known.ids, frames):
                self._add_searched(known, np.setdiff1d(frames, known.ids), progress)
        forget_others(self._folder)
        places = known.places(frames)
        return Found(known["similarity"][places], known["near"][places])

    def _follow(self, known: Columns, progress: Progress | None) -> None:
        """To the training set of now."""
        before = np.array(known["training"]) if "training" in known else np.zeros(0, np.int64)
        if "training" in known and np.array_equal(before, self._training):
            return
        if not len(known):
            known.clear()
            return self._add(known, [])
        frames, old = np.array(known["frame"]), Found(known["similarity"], known["near"])
        moved = _moved(old, before, self._training)
        lost = ((moved.rows == NONE) & (old.rows != NONE)).any(axis=1)
        kept = self._merged(
            frames[~lost], _take(moved, ~lost), np.setdiff1d(self._training, before), progress
        )
        known.clear()
        self._add(known, kept)
        self._add_searched(known, frames[lost], progress)

    def _merged(
        self, frames: Ids, old: Found, added: Ids, progress: Progress | None
    ) -> list[tuple[Ids, Found]]:
        if not len(added):
            return [(frames, old)]
        store, found = self._store_of(added), []
        for place in range(0, len(frames), BLOCK):
            rows = slice(place, place + BLOCK)
            part = Found(old.similarity[rows], old.rows[rows])
            found.append((frames[rows], self._nearer(part, frames[rows], store)))
            _tell(progress, place, len(frames), "frames: new labels")
        return found

    def _add_searched(self, known: Columns, frames: Ids, progress: Progress | None) -> None:
        if not len(frames):
            return
        store = self._index()
        parts = []
        for place in range(0, len(frames), BLOCK):
            part = frames[place : place + BLOCK]
            parts.append((part, self._search(store, part)))
            if len(parts) == KEPT_AT_ONCE:
                self._add(known, parts)
                parts = []
            _tell(progress, place, len(frames), "frames: nearest labeled ones")
        self._add(known, parts)

    def _nearer(self, old: Found, frames: Ids, store: VectorStore) -> Found:
        new = self._search(store, frames)
        similarity = np.concatenate([old.similarity, new.similarity], axis=1)
        rows = np.concatenate([old.rows, new.rows], axis=1)
        distance = np.where(rows == NONE, np.inf, -similarity)
        best = np.argsort(distance, axis=1, kind="stable")[:, : self._k]
        return Found(np.take_along_axis(similarity, best, axis=1), np.take_along_axis(rows, best, axis=1))

    def _search(self, store: VectorStore, frames: Ids) -> Found:
        similarity, ids = store.search(self._vectors(frames), self._k)
        return Found(similarity, _rows_of(ids, self._training))

    def _store_of(self, ids: Ids) -> VectorStore:
        vectors = self._vectors(ids)
        store = VectorStore(vectors.shape[1], producer=0)
        store.add(ids, vectors)
        return store

    def _add(self, known: Columns, found: Sequence[tuple[Ids, Found]]) -> None:
        columns = {
            "frame": Column("<i8"),
            "similarity": Column("<f4", (self._k,)),
            "near": Column("<i4", (self._k,)),
            "training": Column("<i8", axis="training"),
        }
        empty = Found(np.zeros((0, self._k), np.float32), np.zeros((0, self._k), np.int32))
        parts = [(self._training[:0], empty), *found]
        values = {
            "frame": np.concatenate([frames for frames, _ in parts]),
            "similarity": np.concatenate([part.similarity for _, part in parts]),
            "near": np.concatenate([part.rows for _, part in parts]),
            "training": self._training[: 0 if "training" in known else None],
        }
        known.append(values, columns)


def _moved(found: Found, before: Ids, now: Ids) -> Found:
    """The same with rows of another training set; those that left it are none."""
    row = np.append(_rows_of(before, now), np.int32(NONE))[found.rows]
    similarity = np.where(row == NONE, np.float32(FAR), found.similarity)
    return Found(similarity, row)


def _rows_of(ids: Ids, training: Ids) -> Rows:
    """int32 places of ids among those of the training set, -1 where they are not."""
    if not len(training):
        return np.full(ids.shape, NONE, np.int32)
    place = np.minimum(np.searchsorted(training, ids), len(training) - 1)
    return np.where(training[place] == ids, place, NONE).astype(np.int32)


def _take(found: Found, rows: NDArray[np.bool_]) -> Found:
    return Found(found.similarity[rows], found.rows[rows])


def _tell(progress: Progress | None, done: int, total: int, what: str) -> None:
    if progress is not None and total > BLOCK:
        progress(min(done + BLOCK, total), total, what)
