"""Leaders of a camera as new frames are compared with them: packed by the hundred, not row by row.

A view of `near_duplicates`, `frames` and `embeddings`, written in the transaction that clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from connectors.ports import Array
from db.sql import table_of
from db.tables import CameraLeaders, CameraThreshold, Frame, NearDuplicate

Ids = NDArray[np.int64]
Reals = NDArray[np.float64]
PER_PART = 128


@dataclass(frozen=True, eq=False)
class Leaders:
    """The L leaders of one camera, in the order in which they became leaders.

    seq, group: (L,) int64.
    reach: (L,) float64.
    coordinates: (K,) int64, rising.
    vectors: (L, K) float16, these coordinates of their embeddings.
    center: (D,) float32, the median embedding by which the camera's threshold was learned.
    """

    seq: Ids
    group: Ids
    reach: Reals
    vectors: NDArray[np.float16]
    coordinates: Ids
    center: Array

    def __len__(self) -> int:
        return len(self.seq)

    @classmethod
    def none(cls, coordinates: Ids, center: Array) -> Leaders:
        """Of a camera that has none yet."""
        ids = np.zeros(0, np.int64)
        return cls(ids, ids, np.zeros(0), np.zeros((0, len(coordinates)), np.float16), coordinates, center)

    def and_more(self, seq: Ids, group: Ids, reach: Reals, vectors: Array) -> Leaders:
        """With n more at the end. vectors: (n, D) float32, their whole embeddings."""
        told = vectors[:, self.coordinates].astype(np.float16)
        return Leaders(
            np.concatenate([self.seq, seq]),
            np.concatenate([self.group, group]),
            np.concatenate([self.reach, reach]),
            np.concatenate([self.vectors, told]),
            self.coordinates,
            self.center,
        )

    def residual(self) -> Array:
        """(L, K) float32: what differs from the center in these coordinates."""
        residual: Array = self.vectors.astype(np.float32) - self.center[self.coordinates]
        return residual


def packed_leaders(session: Session, producer: int, camera: str) -> Leaders | None:
    """None where nothing is packed: a version before packed none."""
    learned = session.get(CameraThreshold, (camera, producer))
    if learned is None or learned.center is None or learned.coordinates is None:
        return None
    columns = (CameraLeaders.frames, CameraLeaders.groups, CameraLeaders.reaches, CameraLeaders.vectors)
    parts = select(*columns).where(CameraLeaders.camera == camera, CameraLeaders.producer == producer)
    rows = session.execute(parts.order_by(CameraLeaders.part)).all()
    seq, group, reach, vectors = (
        (b"".join(column) for column in zip(*rows, strict=True)) if rows else 4 * (b"",)
    )
    coordinates = np.frombuffer(learned.coordinates, "<i2").astype(np.int64)
    return Leaders(
        np.frombuffer(seq, "<i8"),
        np.frombuffer(group, "<i8"),
        np.frombuffer(reach, "<f8"),
        np.frombuffer(vectors, "<f2").reshape(-1, len(coordinates)),
        coordinates,
        np.frombuffer(learned.center, "<f4"),
    )


def leaders_by_row(session: Session, producer: int, camera: str) -> tuple[Ids, Ids, Reals]:
    """Frames that lead clusters of a camera (L,) int64, ascending, their groups and reaches, read row
    by row.
    """
    columns = select(Frame.seq, Frame.group_id, NearDuplicate.reach)
    lead = columns.join(NearDuplicate, NearDuplicate.frame == Frame.seq).where(
        Frame.camera == camera, NearDuplicate.producer == producer, NearDuplicate.leader == Frame.seq
    )
    found = np.array([tuple(row) for row in session.execute(lead.order_by(Frame.seq))], np.float64)
    seq, group, reach = found.reshape(-1, 3).T
    return seq.astype(np.int64), group.astype(np.int64), reach


def pack_leaders(session: Session, producer: int, camera: str, leaders: Leaders, kept: int) -> None:
    """Stores those after the first `kept`, which are stored."""
    if kept and kept == len(leaders):
        return
    first = kept // PER_PART
    of_camera = (CameraLeaders.camera == camera, CameraLeaders.producer == producer)
    session.execute(delete(CameraLeaders).where(*of_camera, CameraLeaders.part >= first))
    starts = range(first * PER_PART, len(leaders), PER_PART)
    rows = [_part(leaders, start) | {"camera": camera, "producer": producer} for start in starts]
    if rows:
        session.execute(insert(table_of(CameraLeaders)), rows)


def center_columns(leaders: Leaders) -> dict[str, Any]:
    """What `camera_thresholds` keeps of them."""
    return {
        "center": leaders.center.astype("<f4").tobytes(),
        "coordinates": leaders.coordinates.astype("<i2").tobytes(),
    }


def _part(leaders: Leaders, start: int) -> dict[str, Any]:
    rows = slice(start, start + PER_PART)
    return {
        "part": start // PER_PART,
        "frames": leaders.seq[rows].astype("<i8").tobytes(),
        "groups": leaders.group[rows].astype("<i8").tobytes(),
        "reaches": leaders.reach[rows].astype("<f8").tobytes(),
        "vectors": leaders.vectors[rows].astype("<f2").tobytes(),
    }
