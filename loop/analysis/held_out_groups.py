"""Which frames that judge are no independent evidence of one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Engine

from connectors.times import camera_day
from db.analysis import load_embeddings
from db.engine import read
from db.frames import FrameRow
from db.states import Origin
from loop.analysis.near_duplicates import leak_groups
from loop.math.evaluation.scenes import scenes


def held_out_groups(engine: Engine, embedder: int, rows: Sequence[FrameRow]) -> list[str]:
    """(N,) the name of the group of each frame.

    Production has its camera-days. Of imported images a sequence is one, or else a camera and day.
    Those that tell neither are grouped by what they show, see `scenes`; all that the embedder has
    not seen are one group.
    """
    names = [_told(row) for row in rows]
    shown = _shown(engine, embedder, [row for row, name in zip(rows, names, strict=True) if not name])
    return [
        name or f"imported: scene {shown.get(row.seq, 'unknown')}"
        for row, name in zip(rows, names, strict=True)
    ]


def _told(row: FrameRow) -> str:
    """What its origin says, "" for nothing."""
    if row.origin == Origin.PRODUCTION:
        return row.group_key
    if row.sequence:
        return f"imported: sequence {row.sequence}"
    return "" if row.captured_at is None else camera_day(row.camera, row.captured_at)


def _shown(engine: Engine, embedder: int, rows: Sequence[FrameRow]) -> dict[int, int]:
    """By frame that is embedded, the number of its scene."""
    if not rows:
        return {}
    alike = leak_groups(engine, embedder, rows)
    with read(engine) as session:
        seqs, vectors = load_embeddings(session, embedder, alike)
    number = scenes(vectors, np.array([alike[seq] for seq in seqs.tolist()], dtype=np.int64))
    return dict(zip(seqs.tolist(), number.tolist(), strict=True))
