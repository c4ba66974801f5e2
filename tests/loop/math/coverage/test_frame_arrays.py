"""Frames of one side as arrays: what counts as one sequence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from db.frames import FrameRow
from db.states import Origin, Role
from loop.math.coverage.frame_arrays import side_of

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def frame(seq: int, day: int, sequence: str | None, after_s: float | None, camera: str = "gate") -> FrameRow:
    return FrameRow(
        seq=seq,
        content_hash=f"{seq:064d}",
        path=f"{seq}.jpg",
        origin=Origin.PRODUCTION,
        split=None,
        group_id=day,
        camera=camera,
        site="yard",
        sequence=sequence,
        captured_at=None if after_s is None else START + timedelta(days=day, seconds=after_s),
        width=64,
        height=48,
        bytes=1,
        source_key=f"{seq}.jpg",
        ingested_at=START,
        embedded_by=1,
        detected_by=1,
        measured_by=1,
        role=Role.POOL,
        group_key=f"{camera}|{day}",
    )


def sequences(*rows: FrameRow) -> list[int]:
    return side_of(list(rows), np.ones((len(rows), 2), np.float32), {}).sequence.tolist()


def test_a_name_that_comes_back_every_day_is_a_sequence_of_each() -> None:
    first, second, third = sequences(
        frame(1, 1, "morning", 0), frame(2, 1, "morning", 900), frame(3, 2, "morning", 0)
    )
    assert first == second != third
    assert -1 not in (first, third)


def test_cameras_share_no_sequence_and_an_empty_name_is_none() -> None:
    here, there = sequences(frame(1, 1, "morning", 0), frame(2, 1, "morning", 0, "dock"))
    assert here != there
    assert sequences(frame(1, 1, "", None), frame(2, 1, None, None)) == [-1, -1]
