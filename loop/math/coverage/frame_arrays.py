"""One side of the comparison, production or training, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Array
from db.analysis import load_embeddings, load_measurements
from db.frames import FrameRow
from loop.base.arrays import Ints, Reals
from loop.math.coverage.prompts import bursts


@dataclass(frozen=True, eq=False)
class Side:
    """Frames of one side of the comparison, row by row. camera, sequence, group: (N,) int64 codes, sequence -1 for none."""

    rows: list[FrameRow]
    vectors: Array
    measures: dict[str, Reals]
    camera: Ints
    sequence: Ints
    group: Ints

    def __len__(self) -> int:
        return len(self.rows)


def codes_of(names: Sequence[str]) -> Ints:
    """(N,) a number for each different name."""
    if not names:
        return np.zeros(0, dtype=np.int64)
    codes: Ints = np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)
    return codes


def load_side(session: Session, rows: list[FrameRow], embedder: int, measure: int) -> Side:
    """Everything known of these frames by these producers; each must have been embedded."""
    seqs = [row.seq for row in rows]
    ids, vectors = load_embeddings(session, embedder, seqs)
    measured = _measures(load_measurements(session, measure, seqs), seqs)
    return side_of(rows, vectors[np.searchsorted(ids, seqs)], measured)


def side_of(rows: list[FrameRow], vectors: Array, measures: dict[str, Reals]) -> Side:
    """vectors: (N, D). measures: (N,) by name."""
    camera = codes_of([row.camera for row in rows])
    groups = np.array([row.group_id for row in rows], dtype=np.int64)
    return Side(rows, vectors, measures, camera, _sequences(rows, camera, groups), groups)


def _measures(found: dict[int, dict[str, float]], seqs: Sequence[int]) -> dict[str, Reals]:
    names = sorted({name for values in found.values() for name in values})
    return {
        name: np.array([found.get(seq, {}).get(name, np.nan) for seq in seqs], dtype=np.float64)
        for name in names
    }


def sequences(named: Sequence[str | None], camera: Ints, group: Ints, seconds: Reals) -> Ints:
    """(N,) a number for each sequence, -1 for none: those that a source named, in their camera and group, for a name such as
    "morning" comes back every day; where it named none, frames of a camera that follow one another closely.

    seconds: (N,) when each was captured, NaN where nobody knows.
    """
    by_time = bursts(camera, seconds)
    places = zip(named, camera.tolist(), group.tolist(), by_time.tolist(), strict=True)
    codes = codes_of([f"{day}/{own}/{name}" if name else f"#{burst}" for name, own, day, burst in places])
    alone = np.array([not name for name in named], dtype=bool) & (by_time < 0)
    return np.where(alone, -1, codes)


def _sequences(rows: Sequence[FrameRow], camera: Ints, group: Ints) -> Ints:
    seconds = np.array(
        [row.captured_at.timestamp() if row.captured_at else np.nan for row in rows], dtype=np.float64
    )
    return sequences([row.sequence for row in rows], camera, group, seconds)
