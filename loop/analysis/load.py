"""One side of the comparison from the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sqlalchemy.orm import Session

from db.analysis import load_embeddings, load_measurements
from db.frames import UNKNOWN, FrameRow
from loop.base.arrays import Reals
from loop.math.coverage.frame_arrays import Side, side_of


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


def _measures(found: Mapping[int, Mapping[str, float]], seqs: Sequence[int]) -> dict[str, Reals]:
    names = sorted({name for values in found.values() for name in values})
    return {
        name: np.array([found.get(seq, {}).get(name, np.nan) for seq in seqs], dtype=np.float64)
        for name in names
    }
