"""Frames, their groups, and files that were set aside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from db.facts import get_fact, set_fact
from db.sql import AnySelect, in_parts, insert_new, insert_one, table_of, upsert
from db.states import Origin, Role
from db.tables import UNPLACED, Frame, Group, Label, Reject, Sighting

UNKNOWN = "unknown"
"""Camera or site of a frame of which nothing says it."""
REGROUPED = "regrouped"
"""The fact that counts how often frames moved from one group to another."""


@dataclass(frozen=True, slots=True)
class NewFrame:
    """A stored image that may be new.

    path: below the project's store, POSIX.
    group_id: from `group_id`.
    """

    content_hash: str
    path: str
    origin: Origin
    group_id: int
    camera: str
    site: str
    width: int
    height: int
    bytes: int
    source_key: str
    split: str | None = None
    sequence: str | None = None
    captured_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One frame as stored, with the role of its group."""

    seq: int
    content_hash: str
    path: str
    origin: Origin
    split: str | None
    group_id: int
    camera: str
    site: str
    sequence: str | None
    captured_at: datetime | None
    width: int
    height: int
    bytes: int
    source_key: str
    ingested_at: datetime
    embedded_by: int
    detected_by: int
    measured_by: int
    role: Role
    group_key: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as a scan finds it.

    size: bytes.
    mtime_ns: nanoseconds.
    """

    source_key: str
    size: int
    mtime_ns: int
    content_hash: str = ""


def add_frame(session: Session, frame: NewFrame) -> int | None:
    """The new frame's seq, or None when its content is already stored."""
    return insert_one(session, Frame, **asdict(frame))


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What is known of where and when a frame was taken, and the group that follows from it."""

    seq: int
    group_id: int
    camera: str
    site: str
    sequence: str | None
    captured_at: datetime | None


def set_facts(session: Session, found: Iterable[FrameFacts]) -> None:
    """Replaces what is known of frames. Whoever keeps copies of it must be told."""
    for one in found:
        values = {name: value for name, value in asdict(one).items() if name != "seq"}
        session.execute(update(Frame).where(Frame.seq == one.seq).values(values))
    set_fact(session, REGROUPED, str(int(get_fact(session, REGROUPED) or 0) + 1))


def group_exists(session: Session, key: str) -> bool:
    """Whether a group of this key has a role already."""
    return session.execute(select(Group.id).where(Group.key == key)).scalar() is not None


def group_id(session: Session, key: str, role: Role) -> int:
    """The group's id; a group that exists keeps the role it was given first."""
    insert_new(session, Group, [{"key": key, "role": role}])
    return session.execute(select(Group.id).where(Group.key == key)).scalar_one()


def first_production_group(session: Session) -> str | None:
    """The key of the group of the oldest production frame."""
    statement = select(Group.key).join(Frame, Frame.group_id == Group.id).order_by(Frame.seq).limit(1)
    return session.execute(statement.where(Frame.origin == Origin.PRODUCTION)).scalar()


def newest_undated_group(session: Session, camera: str) -> tuple[str, int] | None:
    """The group of a camera's newest production frame with neither time nor sequence: its key and
    how many frames it has.
    """
    statement = select(Group.id, Group.key).join(Frame, Frame.group_id == Group.id)
    of_camera = (Frame.origin == Origin.PRODUCTION, Frame.camera == camera)
    undated = (Frame.captured_at.is_(None), Frame.sequence.is_(None))
    newest = session.execute(
        statement.where(*of_camera, *undated).order_by(Frame.seq.desc()).limit(1)
    ).first()
    if newest is None:
        return None
    count = select(func.count()).select_from(Frame).where(Frame.group_id == newest.id)
    return newest.key, session.execute(count).scalar_one()


def known_hashes(session: Session, hashes: Iterable[str]) -> set[str]:
    """Those of the content hashes that are stored as frames."""
    parts = in_parts(select(Frame.content_hash), Frame.content_hash, hashes)
    return {found for part in parts for found in session.execute(part).scalars()}


def frame_by_hash(session: Session, begins_with: str) -> int | None:
    """The seq of the frame whose content hash begins so, None where there is none or several."""
    range_of = (Frame.content_hash >= begins_with, Frame.content_hash < begins_with + "g")
    found = session.execute(select(Frame.seq).where(*range_of).limit(2)).scalars().all()
    return found[0] if len(found) == 1 else None


def seen_sources(session: Session, found: Iterable[Seen]) -> set[str]:
    """Keys of the files that were read before and have the same size and time since."""
    now = {seen.source_key: (seen.size, seen.mtime_ns) for seen in found}
    columns = select(Sighting.source_key, Sighting.size, Sighting.mtime_ns)
    rows = (row for part in in_parts(columns, Sighting.source_key, now) for row in session.execute(part))
    return {row.source_key for row in rows if now[row.source_key] == (row.size, row.mtime_ns)}


def seen_as(session: Session, source_key: str) -> str | None:
    """The content hash that a file had when it was read last, None where it never was."""
    return session.execute(select(Sighting.content_hash).where(Sighting.source_key == source_key)).scalar()


def all_seen(session: Session) -> list[Seen]:
    """Every file that is remembered, as it was last read."""
    rows = session.execute(select(Sighting.source_key, Sighting.size, Sighting.mtime_ns))
    return [Seen(*row) for row in rows]


def record_seen(session: Session, found: Iterable[Seen]) -> None:
    """Remembers files that were read, whatever became of them."""
    upsert(session, Sighting, [asdict(seen) for seen in found])


def add_reject(session: Session, source_key: str, content_hash: str, code: str, reason: str) -> bool:
    """Records a file that could not be used; False when this key and content are already set aside."""
    row = {"source_key": source_key, "content_hash": content_hash, "code": code, "reason": reason}
    return insert_one(session, Reject, **row) is not None


def reject_reason(session: Session, source_key: str) -> str | None:
    """Why the file of this key was set aside, None where it was not."""
    statement = select(Reject.reason).where(Reject.source_key == source_key).order_by(Reject.id.desc())
    return session.execute(statement.limit(1)).scalar()


def known_rejects(session: Session, found: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those (source key, content hash) pairs that are set aside already."""
    wanted = set(found)
    columns = select(Reject.source_key, Reject.content_hash)
    parts = in_parts(columns, Reject.source_key, {key for key, _ in wanted})
    return {(row.source_key, row.content_hash) for part in parts for row in session.execute(part)} & wanted


def forget_rejects(session: Session, source_key: str, keep: str | None = None) -> None:
    """What a file was set aside for before, now that it is whole or of another content.

    keep: the content hash that stays.
    """
    statement = delete(Reject).where(Reject.source_key == source_key)
    session.execute(statement if keep is None else statement.where(Reject.content_hash != keep))


def frames(
    session: Session,
    *,
    seqs: Iterable[int] | None = None,
    origin: Origin | None = None,
    role: Role | None = None,
    labeled: bool | None = None,
) -> list[FrameRow]:
    """Frames that meet every given condition, by ascending seq. labeled: whether they have a label."""
    statement = frame_select().order_by(Frame.seq)
    if origin is not None:
        statement = statement.where(Frame.origin == origin)
    if role is not None:
        statement = statement.where(Group.role == role)
    if labeled is not None:
        has_label = select(Label.frame).where(Label.frame == Frame.seq).exists()
        statement = statement.where(has_label if labeled else ~has_label)
    return [frame_row(row) for part in in_parts(statement, Frame.seq, seqs) for row in session.execute(part)]


def frame_counts(session: Session) -> dict[str, int]:
    """Counts: total; by origin (production, imported); of production, by role (pool, evaluation)."""
    by_group = select(Frame.group_id, Frame.origin, func.count().label("count"))
    of = by_group.group_by(Frame.group_id, Frame.origin).subquery()  # first: groups are few
    count = func.sum(of.c.count)
    statement = select(of.c.origin, Group.role, count).join(Group, Group.id == of.c.group_id)
    rows = session.execute(statement.group_by(of.c.origin, Group.role)).all()
    counts: dict[str, int] = dict.fromkeys(("total", *map(str, Origin), *map(str, Role)), 0)
    for origin, role, count in rows:
        counts["total"] += count
        counts[origin] += count
        if origin == Origin.PRODUCTION:
            counts[role] += count
    return counts


def days_by_camera(session: Session) -> dict[str, dict[date, int]]:
    """Production frames by camera and UTC day, of those with a time."""
    counted = select(Frame.group_id, func.count().label("count")).where(Frame.origin == Origin.PRODUCTION)
    of = counted.group_by(Frame.group_id).subquery()  # first: groups are few
    found: dict[str, dict[date, int]] = defaultdict(dict)
    for key, count in session.execute(select(Group.key, of.c.count).join(of, of.c.group_id == Group.id)):
        camera, _, day = key.rpartition("|")
        with suppress(ValueError):  # the group of a sequence, or of frames without a time
            found[camera][date.fromisoformat(day)] = count
    return dict(found)


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Production frames without a camera, without a time, and with neither time nor sequence.

    paths: of the newest without a camera or a time.
    """

    without_camera: int
    without_time: int
    by_arrival: int
    paths: tuple[str, ...]


def unplaced(session: Session, limit: int = 200) -> Unplaced:
    """Frames of which it is not known where or when they were taken."""
    nameless, timeless = Frame.camera == UNKNOWN, Frame.captured_at.is_(None)
    cases = (nameless, timeless, timeless & Frame.sequence.is_(None))
    lacking = (Frame.origin == Origin.PRODUCTION, text(f"({UNPLACED})"))
    counts = select(*(func.count().filter(case) for case in cases)).select_from(Frame).where(*lacking)
    found: Any = session.execute(counts).one()
    cameras, times, arrived = found
    newest = select(Frame.source_key).where(*lacking).order_by(Frame.seq.desc())
    paths = session.execute(newest.limit(limit)).scalars() if cameras or times else ()
    return Unplaced(cameras, times, arrived, tuple(paths))


def count_analyzed(session: Session) -> int:
    """How many production frames are embedded and detected, by whatever models."""
    waiting = (Frame.origin == Origin.PRODUCTION, or_(Frame.embedded_by == 0, Frame.detected_by == 0))
    count = select(func.count()).select_from(Frame).where(*waiting)
    return frame_counts(session)[Origin.PRODUCTION] - session.execute(count).scalar_one()


def reject_counts(session: Session) -> dict[str, int]:
    """How many files were set aside, by code."""
    statement = select(Reject.code, func.count()).group_by(Reject.code).order_by(Reject.code)
    return {code: count for code, count in session.execute(statement)}  # noqa: C416


@dataclass(frozen=True, slots=True)
class RejectRow:
    """A file that was set aside."""

    source_key: str
    content_hash: str
    code: str
    reason: str
    seen_at: datetime


def rejects(session: Session, limit: int | None = None) -> list[RejectRow]:
    """Files that were set aside, newest first."""
    return [row for _, row in rejects_page(session, limit)]


def rejects_page(
    session: Session, limit: int | None, before: int | None = None, code: str = ""
) -> list[tuple[int, RejectRow]]:
    """Files that were rejected, newest first, with their ids: those with a smaller id than `before`, and
    of this code.
    """
    columns = (Reject.source_key, Reject.content_hash, Reject.code, Reject.reason, Reject.seen_at)
    statement = select(Reject.id, *columns).order_by(Reject.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(Reject.id < before)
    if code:
        statement = statement.where(Reject.code == code)
    return [(row[0], RejectRow(*row[1:])) for row in session.execute(statement)]


def frame_select() -> AnySelect:
    """What `frame_row` takes: all columns of a frame, and its group's role and key."""
    return select(*table_of(Frame).columns, Group.role, Group.key).join(Group, Group.id == Frame.group_id)


def frame_row(row: Any) -> FrameRow:
    values = dict(zip(_COLUMNS, row, strict=True))
    return FrameRow(**values | {"origin": Origin(values["origin"]), "role": Role(values["role"])})


_COLUMNS = (*table_of(Frame).columns.keys(), "role", "group_key")
