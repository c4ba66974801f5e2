"""Sets of frames, fast at a million of them.

Where and when frames were taken is read from columns that are mapped into memory, which follow the
database by what came in since. Ids of what is rarer (tasks, labels, members of slices) come from
indexed queries, and are kept for as long as nothing of them changed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Engine, func, or_, select
from sqlalchemy.orm import Session

from db.columns import HEADER
from db.engine import read
from db.facts import get_fact
from db.frame_columns import frames_view, open_as_left, synced
from db.recorded_slices import Recorded
from db.slice_members import CHANGED, Members, together
from db.sql import AnySelect
from db.states import OPEN_TASKS, TaskStatus
from db.tables import DatasetMember, Detection, Frame, Label, LabelTask, LotMember, SliceMember

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]
FEW = 16_384
"""So many frames that came in are kept beside the columns; with more these are brought up to date."""
KEPT_MEMBERS = 20_000_000
"""Of slices, in memory at once: 16 bytes each, less where they are mapped."""


@dataclass(frozen=True, eq=False)
class FrameTable:
    """Every frame, a row each, in order of its id.

    seq, group: (N,) int64.
    camera, site: (N,) int32 codes of cameras and sites.
    captured_at: (N,) float64 seconds since 1970, NaN for unknown.
    origin, role: (N,) int8 places in ORIGINS and ROLES of db.frame_columns.
    """

    seq: Ids
    group: NDArray[Any]
    camera: NDArray[Any]
    site: NDArray[Any]
    captured_at: NDArray[Any]
    origin: NDArray[Any]
    role: NDArray[Any]
    cameras: tuple[str, ...]
    sites: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.seq)

    def locate(self, ids: Ids) -> Ids:
        """(K,) row of each of these ids, -1 for one that is not there."""
        if not len(self) or not len(ids):
            return np.full(len(ids), -1, np.int64)
        first = int(self.seq[0])
        if int(self.seq[-1]) - first == len(self) - 1:  # no gap: the row follows from the id
            rows = ids - first
            return np.where((rows >= 0) & (rows < len(self)), rows, -1)
        place = np.minimum(np.searchsorted(self.seq, ids), len(self) - 1)
        return np.where(self.seq[place] == ids, place, -1)

    def rows(self, ids: Ids) -> Ids:
        """Rows of those of these ids that are there."""
        rows = self.locate(ids)
        return rows if not len(rows) or rows.min() >= 0 else rows[rows >= 0]

    def mask(self, ids: Ids) -> Mask:
        """(N,) which frames are among these ids."""
        found = np.zeros(len(self), np.bool_)
        found[self.rows(ids)] = True
        return found


ARRAYS = tuple(field.name for field in fields(FrameTable))[:7]


class FrameTables:
    """The frames of one project, as they are whenever they are asked for. Safe from several threads."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        self._lock = threading.Lock()
        self._table: FrameTable | None = None
        self._columns = self._stamp()

    def now(self) -> FrameTable:
        """What the database holds. Raises OSError where the columns cannot be written."""
        with self._lock:
            with read(self._engine) as session:
                newest = session.execute(select(func.max(Frame.seq))).scalar()
            last = -1 if newest is None else int(newest)
            stamp = self._stamp()
            if self._table is None or stamp != self._columns or last < _last(self._table):
                self._table = self._opened()
            if last > _last(self._table):
                self._table = self._followed(self._table)
            self._columns = self._stamp()
            return self._table

    def _opened(self) -> FrameTable:
        """From the columns as somebody left them, where there are any that agree."""
        left = None if self._table is None else open_as_left(self._folder, frames_view())
        columns = left or synced(self._engine, self._folder, frames_view())
        if not len(columns):
            return _table_of({}, {})
        return _table_of({name: columns[_COLUMN[name]] for name in ARRAYS}, columns.notes)

    def _followed(self, table: FrameTable) -> FrameTable:
        view = frames_view()
        newer = view.rows.where(Frame.seq > _last(table)).order_by(Frame.seq).limit(FEW + 1)
        with read(self._engine) as session:
            rows = session.execute(newer).all()
        if not rows:
            return table
        if len(rows) > FEW or not len(table):
            columns = synced(self._engine, self._folder, view)
            return _table_of({name: columns[_COLUMN[name]] for name in ARRAYS}, columns.notes)
        known = {"camera": list(table.cameras), "site": list(table.sites), "sequence": []}
        parts, _, notes = view.pack(rows, known)
        joined = {
            name: np.concatenate([getattr(table, name), parts[_COLUMN[name]].astype(_dtype(table, name))])
            for name in ARRAYS
        }
        return _table_of(joined, notes)

    def _stamp(self) -> tuple[int, int, int] | None:
        """Another whenever the columns were written."""
        try:
            found = (self._folder / frames_view().name / HEADER).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


_COLUMN = {name: "frame" if name == "seq" else name for name in ARRAYS}


def _dtype(table: FrameTable, name: str) -> np.dtype[Any]:
    dtype: np.dtype[Any] = getattr(table, name).dtype
    return dtype


def _last(table: FrameTable) -> int:
    return int(table.seq[-1]) if len(table) else -1


def _table_of(arrays: dict[str, NDArray[Any]], notes: dict[str, Any]) -> FrameTable:
    if not arrays:
        empty = np.zeros(0, np.int64)
        return FrameTable(empty, empty, empty, empty, np.zeros(0), empty, empty, (), ())
    seq = arrays["seq"]
    if not (seq[1:] > seq[:-1]).all():  # some came in late
        order = np.argsort(seq, kind="stable")
        arrays = {name: values[order] for name, values in arrays.items()}
    return FrameTable(**arrays, cameras=tuple(notes["camera"]), sites=tuple(notes["site"]))


def ids_of(session: Session, statement: AnySelect) -> Ids:
    """(K,) int64, the first column of what a statement finds."""
    return np.fromiter(session.execute(statement).scalars(), np.int64)


def task_frames(
    session: Session, statuses: Iterable[TaskStatus] | None = None, batches: Sequence[int] = ()
) -> Ids:
    """Frames that have a task in any of these states (None: in any), chosen in any of these batches."""
    statement = select(LabelTask.frame)
    if statuses is not None:
        statement = statement.where(LabelTask.status.in_(list(statuses)))
    if batches:
        statement = statement.where(LabelTask.batch_id.in_(list(batches)))
    return ids_of(session, statement)


def labeled_frames(session: Session) -> Ids:
    """Frames that have a label, for whatever purpose."""
    return ids_of(session, select(Label.frame))


def frames_labeled_by(
    session: Session, sources: Sequence[str], rules: Sequence[str] = (), since: datetime | None = None
) -> Ids:
    """Frames with a label of any of these sources or rules (of all where both are empty), set or changed
    after `since`.
    """
    statement = select(Label.frame)
    if sources or rules:
        statement = statement.where(or_(Label.source.in_(list(sources)), Label.rule.in_(list(rules))))
    return ids_of(session, statement if since is None else statement.where(Label.updated_at > since))


def frames_chosen(session: Session, since: datetime) -> Ids:
    """Frames with a task that was made at or after `since`, whatever became of it."""
    return ids_of(session, select(LabelTask.frame).where(LabelTask.created_at >= since))


def dataset_frames(session: Session, datasets: Sequence[int], splits: Sequence[str] = ()) -> Ids:
    """Frames of any of these frozen dataset versions, of these of their splits."""
    statement = select(DatasetMember.frame).where(DatasetMember.dataset_id.in_(list(datasets)))
    return ids_of(session, statement.where(DatasetMember.split.in_(list(splits))) if splits else statement)


def lot_frames(session: Session, lots: Sequence[int]) -> Ids:
    """Frames of any of these lots."""
    return ids_of(session, select(LotMember.frame).where(LotMember.lot_id.in_(list(lots))))


@dataclass(frozen=True)
class LabelStamp:
    """Another whenever a label was set, changed or taken back."""

    count: int
    newest: datetime | None


def label_stamp(session: Session) -> LabelStamp:
    count, newest = session.execute(select(func.count(Label.frame), func.max(Label.updated_at))).one()
    return LabelStamp(int(count), newest)


class MemberSets:
    """Who shows which slice, kept from one question to the next. Safe from several threads.

    What the last comparison left is mapped into memory; rows are read of what came in since.
    recorded: what it left, by the token that the database names; None where that is not there.
    token: the fact that names it.
    """

    def __init__(self, token: str, recorded: Callable[[str], Recorded | None]) -> None:
        self._token, self._recorded = token, recorded
        self._stamp: tuple[str | None, str | None] = (None, None)
        self._left: Recorded | None = None
        self._kept: OrderedDict[tuple[int, int], Members] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, session: Session, producer: int, slice_id: int) -> Members:
        """The frames, ascending, that show the slice by the word of this producer."""
        key = producer, slice_id
        with self._lock:
            self._follow(session)
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            left = self._left
        found = _members_now(session, producer, slice_id, left)
        with self._lock:
            self._kept[key] = found
            while (
                sum(len(each.frames) for each in self._kept.values()) > KEPT_MEMBERS and len(self._kept) > 1
            ):
                self._kept.popitem(last=False)
        return found

    def _follow(self, session: Session) -> None:
        """Forgets what is kept when a member of any slice changed."""
        stamp = get_fact(session, CHANGED), get_fact(session, self._token)
        if stamp != self._stamp:
            self._left = self._recorded(stamp[1] or "")
            self._kept.clear()
            self._stamp = stamp


def _members_now(session: Session, producer: int, slice_id: int, recorded: Recorded | None) -> Members:
    left = recorded.members.get((producer, slice_id)) if recorded else None
    if recorded is None or left is None or not len(recorded.frames):
        return _members(session, producer, slice_id, -1)
    newer = _members(session, producer, slice_id, int(recorded.frames[-1]))
    joined = together(left, newer) if len(newer.frames) else left
    own = SliceMember.slice_id == slice_id, SliceMember.producer == producer
    count = session.execute(select(func.count()).select_from(SliceMember).where(*own)).scalar_one()
    return joined if len(joined.frames) == count else _members(session, producer, slice_id, -1)


def _members(session: Session, producer: int, slice_id: int, after: int) -> Members:
    statement = select(SliceMember.frame, SliceMember.strength).order_by(SliceMember.frame)
    statement = statement.where(SliceMember.slice_id == slice_id, SliceMember.producer == producer)
    rows = session.execute(statement.where(SliceMember.frame > after)).all()
    frames = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    return Members(frames, np.fromiter((row[1] for row in rows), np.float64, len(rows)))


def label_classes(session: Session) -> tuple[Ids, dict[str, Ids]]:
    """Labeled frames, and those of them with a box of each class."""
    frames: list[int] = []
    by_class: dict[str, list[int]] = {}
    for frame, boxes in session.execute(select(Label.frame, Label.boxes).order_by(Label.frame)):
        frames.append(frame)
        for name in {box[0] for box in boxes}:
            by_class.setdefault(name, []).append(frame)
    return np.array(frames, np.int64), {name: np.array(ids, np.int64) for name, ids in by_class.items()}


def priorities(session: Session) -> tuple[Ids, NDArray[np.float64]]:
    """Frames that wait for a person, and how much their tasks are worth, 0..1."""
    statement = select(LabelTask.frame, LabelTask.priority).where(LabelTask.status.in_(OPEN_TASKS))
    rows = session.execute(statement).all()
    return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.float64)


def detected_among(session: Session, detector: int) -> int:
    """How many labeled frames a detector has seen."""
    statement = select(func.count()).select_from(Label).where(_seen_by(detector))
    return int(session.execute(statement).scalar_one())


def label_times(session: Session, detector: int) -> tuple[Ids, NDArray[np.float64]]:
    """Labeled frames that a detector has seen, ascending, and when each label was set, s since 1970."""
    statement = select(Label.frame, Label.updated_at).where(_seen_by(detector)).order_by(Label.frame)
    rows = session.execute(statement).all()
    times = np.array([at.timestamp() for _, at in rows], np.float64)
    return np.array([frame for frame, _ in rows], np.int64), times


def _seen_by(detector: int) -> ColumnElement[bool]:
    """Of labels, which are fewer than detections: the frame of one has been seen."""
    same = Detection.frame == Label.frame, Detection.producer == detector
    return select(Detection.frame).where(*same).exists()
