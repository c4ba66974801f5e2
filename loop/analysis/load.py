"""One side of the comparison from the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.ports import Detections
from db.analysis import load_boxes, load_detections, load_embeddings, load_measurements
from db.engine import read
from db.frames import UNKNOWN, FrameRow
from loop.base.arrays import Ints, Reals
from loop.math.boxes.frame_boxes import FrameBoxes
from loop.math.coverage.frame_arrays import Side, side_of
from samplers.ragged import Ragged


def load_side(session: Session, rows: Sequence[FrameRow], embedder: int, measure: int) -> Side:
    """Everything known of these frames by these producers; each must have been embedded."""
    seqs = np.array([row.seq for row in rows], dtype=np.int64)
    ids, vectors = load_embeddings(session, embedder, seqs.tolist())
    return side_of(
        seqs,
        vectors[np.searchsorted(ids, seqs)],
        _measures(load_measurements(session, measure, seqs.tolist()), seqs.tolist()),
        camera=[row.camera for row in rows],
        site=[row.site for row in rows],
        sequence=[row.sequence for row in rows],
        captured_at=np.array(
            [row.captured_at.timestamp() if row.captured_at else np.nan for row in rows], dtype=np.float64
        ),
        group=np.array([row.group_id for row in rows], dtype=np.int64),
        unknown=UNKNOWN,
    )


def load_frame_boxes(session: Session, detector: int, seqs: Ints) -> tuple[Ints, FrameBoxes]:
    """The frames among `seqs` that this detector has seen, ascending, and what it found in them."""
    found = load_boxes(session, detector, seqs.tolist())
    start = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(found.count)])
    confidence = Ragged(found.confidence, start)
    scores = None if found.class_scores is None else Ragged(found.class_scores, start)
    return found.frame, FrameBoxes(confidence, Ragged(found.class_id, start), scores)


class StoredDetections(Sequence[Detections]):
    """What a detector found in each of these frames, fetched when it is asked for."""

    def __init__(self, engine: Engine, detector: int, seqs: Ints) -> None:
        self._engine, self._detector, self._seqs = engine, detector, seqs

    def __len__(self) -> int:
        return len(self._seqs)

    @overload
    def __getitem__(self, row: int) -> Detections: ...
    @overload
    def __getitem__(self, row: slice) -> list[Detections]: ...
    def __getitem__(self, row: int | slice) -> Detections | list[Detections]:
        seqs = self._seqs[row].tolist() if isinstance(row, slice) else [int(self._seqs[row])]
        with read(self._engine) as session:
            found = load_detections(session, self._detector, seqs)
        return [found[seq] for seq in seqs] if isinstance(row, slice) else found[seqs[0]]

    def __iter__(self) -> Iterator[Detections]:
        return iter(self[:])


def _measures(found: Mapping[int, Mapping[str, float]], seqs: Sequence[int]) -> dict[str, Reals]:
    names = sorted({name for values in found.values() for name in values})
    return {
        name: np.array([found.get(seq, {}).get(name, np.nan) for seq in seqs], dtype=np.float64)
        for name in names
    }
