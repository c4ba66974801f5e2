"""Near-duplicates as they are known: the cluster and the reach of each frame, the threshold of each
camera.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.leaders import Leaders, center_columns, pack_leaders
from db.sql import DIRECT, changed_rows, in_parts, insert_new_ids, upsert
from db.states import Role
from db.tables import CameraLeaders, CameraThreshold, Embedding, Frame, Group, NearDuplicate, Unclustered

Ids = NDArray[np.int64]
Reals = NDArray[np.float64]
NO_LEADER = -1


@dataclass(frozen=True, slots=True)
class CameraThresholdRow:
    """What a camera teaches one embedder.

    threshold: a distance, 0 where there was nothing to learn it from.
    learned_from: frames the camera had then.
    frames: those that are in clusters by now.
    """

    camera: str
    threshold: float
    learned_from: int
    frames: int


@dataclass(frozen=True, eq=False)
class CameraFrames:
    """The embedded frames of one camera in order of time, those without one last.

    seq, group (its id): (n,) int64.
    seconds: (n,) float64, NaN for none.
    sequence: as the source named it.
    held_out: (n,) bool, judges models and trains none.
    leader: (n,) int64 seq, NO_LEADER for a frame in no cluster yet.
    reach: (n,) float64, NaN likewise.
    """

    camera: str
    seq: Ids
    seconds: Reals
    sequence: list[str | None]
    group: Ids
    held_out: NDArray[np.bool_]
    leader: Ids
    reach: Reals

    def __len__(self) -> int:
        return len(self.seq)

    def placed(self) -> CameraFrames:
        """Those that are in a cluster."""
        rows = np.flatnonzero(self.leader != NO_LEADER)
        return CameraFrames(
            self.camera,
            self.seq[rows],
            self.seconds[rows],
            [self.sequence[row] for row in rows],
            self.group[rows],
            self.held_out[rows],
            self.leader[rows],
            self.reach[rows],
        )


@dataclass(frozen=True, eq=False)
class Clustered:
    """Frames of one camera with what they get: seq, leader (n,) int64; reach (n,) float64.

    leaders: all that the camera has then, new ones last.
    kept: so many of them are packed already.
    """

    learned: CameraThresholdRow
    seq: Ids
    leader: Ids
    reach: Reals
    leaders: Leaders
    kept: int = 0


def cameras_waiting(session: Session, producer: int) -> dict[str, int]:
    """How many embedded frames are in no cluster yet, by camera."""
    counts = select(Unclustered.camera, func.count()).where(Unclustered.producer == producer)
    found = session.execute(counts.group_by(Unclustered.camera).order_by(Unclustered.camera))
    return {camera: count for camera, count in found}  # noqa: C416


def new_frames(session: Session, producer: int, camera: str) -> tuple[Ids, Ids]:
    """Embedded frames of the camera that are in no cluster yet: (n,) int64, ascending, and (n,) int64
    their groups.
    """
    columns = select(Frame.seq, Frame.group_id).join(Unclustered, Unclustered.frame == Frame.seq)
    missing = ~_clustered(Unclustered.frame, producer).exists()
    waiting = columns.where(Unclustered.producer == producer, Unclustered.camera == camera, missing)
    return _two(session.execute(waiting.order_by(Frame.seq)).all())


def latest_frames(session: Session, producer: int, camera: str, count: int) -> tuple[Ids, Ids]:
    """So many of the camera's frames in clusters that came last, and their groups, likewise."""
    columns = select(Frame.seq, Frame.group_id).join(NearDuplicate, NearDuplicate.frame == Frame.seq)
    known = columns.where(Frame.camera == camera, NearDuplicate.producer == producer)
    return _two(session.execute(known.order_by(Frame.seq.desc()).limit(count)).all())


def thresholds(session: Session, producer: int) -> dict[str, CameraThresholdRow]:
    """What every camera teaches this embedder, by camera."""
    columns = (
        CameraThreshold.camera,
        CameraThreshold.threshold,
        CameraThreshold.learned_from,
        CameraThreshold.frames,
    )
    statement = select(*columns).where(CameraThreshold.producer == producer).order_by(CameraThreshold.camera)
    return {row.camera: CameraThresholdRow(*row) for row in session.execute(statement)}


def threshold(session: Session, producer: int, camera: str) -> CameraThresholdRow | None:
    """The same of one camera, None before its first frame is in a cluster."""
    found = session.get(CameraThreshold, (camera, producer))
    if found is None:
        return None
    return CameraThresholdRow(camera, found.threshold, found.learned_from, found.frames)


def camera_frames(
    session: Session, producer: int, camera: str, seqs: Iterable[int] | None = None
) -> CameraFrames:
    """Every frame of the camera that this embedder has a vector for, or those of them in `seqs`."""
    parts = in_parts(_camera_frames(producer, camera), Frame.seq, seqs)
    rows = [row for part in parts for row in session.execute(part)]
    seconds = np.array(
        [row.captured_at.timestamp() if row.captured_at else np.nan for row in rows], np.float64
    )
    order = np.lexsort(([row.seq for row in rows], seconds))
    rows = [rows[place] for place in order]
    return CameraFrames(
        camera,
        np.array([row.seq for row in rows], np.int64),
        seconds[order],
        [row.sequence for row in rows],
        np.array([row.group_id for row in rows], np.int64),
        np.array([bool(row.held_out) for row in rows], bool),
        np.array([NO_LEADER if row.leader is None else row.leader for row in rows], np.int64),
        np.array([np.nan if row.reach is None else row.reach for row in rows], np.float64),
    )


def _camera_frames(producer: int, camera: str) -> Select[*tuple[Any, ...]]:
    columns = (
        Frame.seq,
        Frame.captured_at,
        Frame.sequence,
        Frame.group_id,
        (Group.role == Role.EVALUATION).label("held_out"),
        NearDuplicate.leader,
        NearDuplicate.reach,
    )
    statement: Select[*tuple[Any, ...]] = select(*columns).join(Group, Group.id == Frame.group_id)
    statement = statement.join(Embedding, and_(Embedding.frame == Frame.seq, Embedding.producer == producer))
    return statement.outerjoin(NearDuplicate, and_(*_same_frame())).where(Frame.camera == camera)


def record_clusters(session: Session, producer: int, made: Clustered, before: int) -> bool:
    """Stores clusters of a camera; False, and nothing stored, where another process has stored some
    since.

    before: how many of the camera's frames were in clusters when these were made.
    """
    if not _move(session, producer, made, before):
        return False
    rows = zip(made.seq.tolist(), made.leader.tolist(), made.reach.tolist(), strict=True)
    columns = [
        {"frame": seq, "producer": producer, "leader": leader, "reach": reach} for seq, leader, reach in rows
    ]
    upsert(session, NearDuplicate, columns)
    pack_leaders(session, producer, made.learned.camera, made.leaders, made.kept)
    waiting = (Unclustered.producer == producer, Unclustered.camera == made.learned.camera)
    done = delete(Unclustered).where(*waiting, _clustered(Unclustered.frame, producer).exists())
    session.execute(done, execution_options=DIRECT)
    return True


def forget_clusters(session: Session, cameras: Iterable[str]) -> None:
    """All frames of these cameras are in no cluster any more and wait to be compared anew, by every
    embedder.
    """
    for camera in sorted(set(cameras)):
        frames = select(Frame.seq).where(Frame.camera == camera)
        for table in (CameraThreshold, CameraLeaders, Unclustered):
            session.execute(delete(table).where(table.camera == camera), execution_options=DIRECT)
        session.execute(
            delete(NearDuplicate).where(NearDuplicate.frame.in_(frames)), execution_options=DIRECT
        )
        waiting = select(Embedding.producer, Frame.camera, Frame.seq)
        waiting = waiting.join(Frame, Frame.seq == Embedding.frame).where(Frame.camera == camera)
        session.execute(insert(Unclustered).from_select(["producer", "camera", "frame"], waiting))


def clusters_of(session: Session, producer: int, seqs: Iterable[int] | None = None) -> tuple[Ids, Ids, Reals]:
    """Frames (N,) int64, ascending, their leaders (N,) int64 and reaches (N,); those in no cluster
    yet are left out.
    """
    columns = select(NearDuplicate.frame, NearDuplicate.leader, NearDuplicate.reach)
    columns = columns.where(NearDuplicate.producer == producer).order_by(NearDuplicate.frame)
    parts = in_parts(columns, NearDuplicate.frame, seqs)
    rows = [tuple(row) for part in parts for row in session.execute(part)]
    found = np.array(rows, np.float64).reshape(-1, 3)
    return found[:, 0].astype(np.int64), found[:, 1].astype(np.int64), found[:, 2]


def _move(session: Session, producer: int, made: Clustered, before: int) -> bool:
    """Compare-and-set of the camera's row."""
    columns = asdict(made.learned) | center_columns(made.leaders)
    if not before:
        return bool(insert_new_ids(session, CameraThreshold, [columns | {"producer": producer}]))
    row = update(CameraThreshold).where(
        CameraThreshold.camera == made.learned.camera,
        CameraThreshold.producer == producer,
        CameraThreshold.frames == before,
    )
    return bool(changed_rows(session.execute(row.values(columns), execution_options=DIRECT)))


def _two(rows: Sequence[Any]) -> tuple[Ids, Ids]:
    """Two columns of numbers."""
    first, second = np.array([tuple(row) for row in rows], np.int64).reshape(-1, 2).T
    return first, second


def _clustered(frame: InstrumentedAttribute[int], producer: int) -> Select[int]:
    return select(NearDuplicate.frame).where(NearDuplicate.frame == frame, NearDuplicate.producer == producer)


def _same_frame() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return NearDuplicate.frame == Embedding.frame, NearDuplicate.producer == Embedding.producer
