"""Which frames show which slices, and what is counted of each slice and group."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, aliased

from db.facts import set_fact
from db.sql import DIRECT, Change, in_chunks, in_parts, table_of, upsert
from db.states import Origin, Role, SliceKind
from db.tables import Frame, Group, Slice, SliceCount, SliceMember

Ids = NDArray[np.int64]
Reals = NDArray[np.float64]
CHANGED = "slice_members_changed"
"""Fact: another whenever a member of any slice was added or taken away."""
ENOUGH = 0.1
"""By so much of itself a strength differs before it is written anew."""
WRITTEN_AT_ONCE = 20_000


@dataclass(frozen=True, eq=False)
class Members:
    """frames: (K,) int64 ids, ascending where stored.
    strength: (K,), larger is clearer.
    """

    frames: Ids
    strength: Reals


@dataclass(frozen=True, eq=False)
class Counts:
    """Of each of R pairs of a group and a slice: ids, frames known and inside (int64), and two sums
    over the frames inside (float64): the detector's mean confidence and the expected loss.
    """

    group: Ids
    slice_id: Ids
    known: Ids
    inside: Ids
    confidence: Reals
    expected_loss: Reals


COUNTED = tuple(field.name for field in fields(Counts))[2:]
"""What is counted of a pair."""


def members(
    session: Session, producer: int, slice_id: int, since: datetime | None = None
) -> tuple[Ids, Reals]:
    """Frames (K,) int64, ascending, that show the slice, and how clearly (K,).

    since: came in at or after that time.
    """
    statement = select(SliceMember.frame, SliceMember.strength)
    statement = statement.where(SliceMember.slice_id == slice_id, SliceMember.producer == producer)
    if since is not None:
        statement = statement.join(Frame, Frame.seq == SliceMember.frame).where(Frame.ingested_at >= since)
    rows = session.execute(statement.order_by(SliceMember.frame)).all()
    return (
        np.array([frame for frame, _ in rows], np.int64),
        np.array([strength for _, strength in rows], np.float64),
    )


def members_among(session: Session, producer: int, slice_id: int, frames: Ids) -> Ids:
    """Those of these frames, ascending, that show the slice."""
    own = select(SliceMember.frame).order_by(SliceMember.frame)
    own = own.where(SliceMember.slice_id == slice_id, SliceMember.producer == producer)
    parts = in_parts(own, SliceMember.frame, frames.tolist())
    return np.array([seq for part in parts for seq in session.execute(part).scalars()], np.int64)


def evaluation_members(session: Session, producer: int, slice_id: int) -> list[int]:
    """Production frames of groups that only ever judge that show the slice, ascending."""
    own = select(SliceMember.frame).where(SliceMember.slice_id == slice_id, SliceMember.producer == producer)
    own = own.join(Frame, Frame.seq == SliceMember.frame).join(Group, Group.id == Frame.group_id)
    own = own.where(Group.role == Role.EVALUATION, Frame.origin == Origin.PRODUCTION)
    return list(session.execute(own.order_by(SliceMember.frame)).scalars())


def slices_of(session: Session, frame: int, producers: Iterable[int]) -> dict[int, float]:
    """The slices that a frame shows by these producers, with how clearly."""
    statement = select(SliceMember.slice_id, SliceMember.strength).order_by(SliceMember.slice_id)
    statement = statement.where(SliceMember.frame == frame, SliceMember.producer.in_(list(producers)))
    return {number: strength for number, strength in session.execute(statement)}  # noqa: C416


def record_members(
    session: Session,
    producer: int,
    slice_id: int,
    now: Members,
    before: Members | None = None,
    judged: Ids | None = None,
) -> Members:
    """These frames show the slice by this producer. Of `judged`, or of all frames when None, no
    others do any more. Returns all that do.

    before: what is stored, where that is known.
    Only what differs from it is written; a strength that differs by less than a tenth stays.
    """
    known = before or Members(*members(session, producer, slice_id))
    if np.array_equal(known.frames, now.frames) and _close(known.strength, now.strength).all():
        return known
    order = np.argsort(now.frames, kind="stable")
    frames, strength = now.frames[order], now.strength[order]
    place = np.searchsorted(known.frames, frames)
    there = np.append(known.frames, -1)[place] == frames
    was = np.append(known.strength, 0.0)[place]
    same = there & _close(was, strength)
    left = np.ones(len(known.frames), np.bool_)
    left[place[there]] = False
    gone = left if judged is None else left & np.isin(known.frames, judged)
    if gone.any():
        _note_change(session)
    for chunk in in_chunks(known.frames[gone].tolist()):
        where = (
            SliceMember.slice_id == slice_id,
            SliceMember.producer == producer,
            SliceMember.frame.in_(chunk),
        )
        session.execute(delete(SliceMember).where(*where))
    add_members(session, producer, slice_id, Members(frames[~same], strength[~same]))
    kept = left & ~gone
    stays = Members(known.frames[kept], known.strength[kept])
    return together(stays, Members(frames, np.where(same, was, strength).astype(stays.strength.dtype)))


def together(some: Members, others: Members) -> Members:
    """Both, which share no frame, in order."""
    frames = np.concatenate([some.frames, others.frames])
    strength = np.concatenate([some.strength, others.strength])
    if np.max(some.frames, initial=-1) < np.min(others.frames, initial=np.iinfo(np.int64).max):
        return Members(frames, strength)
    order = np.argsort(frames, kind="stable")
    return Members(frames[order], strength[order])


def _close(was: Reals, strength: Reals) -> NDArray[np.bool_]:
    return np.abs(was - strength) <= ENOUGH * np.abs(was)


def add_members(session: Session, producer: int, slice_id: int, new: Members) -> None:
    """These frames show the slice too."""
    if len(new.frames):
        _note_change(session)
    own = {"producer": producer, "slice_id": slice_id}
    for start in range(0, len(new.frames), WRITTEN_AT_ONCE):
        part = slice(start, start + WRITTEN_AT_ONCE)
        values = zip(new.frames[part].tolist(), new.strength[part].tolist(), strict=True)
        upsert(session, SliceMember, [own | {"frame": seq, "strength": value} for seq, value in values])


def _note_change(session: Session) -> None:
    set_fact(session, CHANGED, secrets.token_hex(8))


def any_members(session: Session, producers: Iterable[int], frames: Ids) -> Ids:
    """Those of these frames that show any slice by these producers, regions aside: a region keeps
    the frames that a comparison did not see.
    """
    statement = select(SliceMember.frame).join(Slice, Slice.id == SliceMember.slice_id).distinct()
    shown = SliceMember.producer.in_(list(producers)), Slice.kind != SliceKind.REGION
    statement = statement.where(*shown)
    parts = in_parts(statement, SliceMember.frame, frames.tolist())
    return np.array([seq for part in parts for seq in session.execute(part).scalars()], np.int64)


def members_of(session: Session, frames: Ids) -> dict[tuple[int, int], Members]:
    """What these frames show, by producer and slice; those of them that do, ascending."""
    table = SliceMember
    columns = table.producer, table.slice_id, table.frame, table.strength
    found: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for chunk in in_chunks(frames.tolist()):
        rows = select(*columns).where(table.frame.in_(chunk)).order_by(table.frame)
        for producer, number, frame, strength in session.execute(rows):
            found.setdefault((producer, number), []).append((frame, strength))
    return {
        key: Members(np.array([frame for frame, _ in rows], np.int64), np.array([value for _, value in rows]))
        for key, rows in found.items()
    }


def record_counts(session: Session, counts: Counts, before: Counts | None = None) -> None:
    """What is counted is this and nothing else. before: what is stored, where that is known."""
    known = before or load_counts(session)
    old, new = _pairs(known), _pairs(counts)
    for number, chunk in _by_slice(known, np.flatnonzero(~np.isin(old, new))):
        gone = (SliceCount.slice_id == number, SliceCount.group_id.in_(chunk))
        session.execute(delete(SliceCount).where(*gone))
    order = np.argsort(old, kind="stable")
    place = np.searchsorted(old, new, sorter=order)
    row = np.append(order, -1)[place]
    same = (row >= 0) & (np.append(old, -1)[row] == new)
    for name in COUNTED:
        same &= np.append(getattr(known, name), 0)[row] == getattr(counts, name)
    _upsert_counts(session, counts, np.flatnonzero(~same))


def add_counts(session: Session, counts: Counts) -> None:
    """Adds frames that came in to what is counted of them."""
    table = table_of(SliceCount)

    def more(new: Any) -> dict[str, Any]:
        return {name: table.c[name] + new[name] for name in COUNTED}

    _upsert_counts(session, counts, np.arange(len(counts.group)), more)
    _know_as_facets_do(session, np.unique(counts.group))


def _know_as_facets_do(session: Session, groups: Ids) -> None:
    """Of an option as many frames are known as of its facet, whether or not some of them show it."""
    facet, own = aliased(SliceCount), table_of(SliceCount)
    options = session.execute(select(Slice.id, Slice.parent_id).where(Slice.parent_id.is_not(None))).all()
    of_facet: dict[int | None, list[int]] = {}
    for number, parent in options:
        of_facet.setdefault(parent, []).append(number)
    for parent, numbers in of_facet.items():
        known = select(facet.known).where(facet.slice_id == parent, facet.group_id == own.c.group_id)
        for chunk in in_chunks(groups.tolist()):
            rows = update(SliceCount).where(SliceCount.slice_id.in_(numbers), SliceCount.group_id.in_(chunk))
            counted = func.coalesce(known.scalar_subquery(), SliceCount.known)
            session.execute(rows.values(known=counted), execution_options=DIRECT)


def _pairs(counts: Counts) -> Ids:
    """(R,) a number for each pair of a slice and a group."""
    return (counts.slice_id << 32) + counts.group


def _by_slice(counts: Counts, rows: Ids) -> Iterator[tuple[int, list[int]]]:
    for number in np.unique(counts.slice_id[rows]).tolist():
        for chunk in in_chunks(counts.group[rows][counts.slice_id[rows] == number].tolist()):
            yield number, chunk


def _upsert_counts(session: Session, counts: Counts, rows: Ids, change: Change | None = None) -> None:
    for start in range(0, len(rows), WRITTEN_AT_ONCE):
        part = rows[start : start + WRITTEN_AT_ONCE]
        columns = {
            "group_id": counts.group,
            "slice_id": counts.slice_id,
            "known": counts.known,
            "inside": counts.inside,
            "confidence": counts.confidence,
            "expected_loss": counts.expected_loss,
        }
        values = zip(*(column[part].tolist() for column in columns.values()), strict=True)
        upsert(session, SliceCount, [dict(zip(columns, row, strict=True)) for row in values], change)


def load_counts(
    session: Session, groups: Ids | None = None, slice_ids: Iterable[int] | None = None
) -> Counts:
    """What is counted of these groups, or everything; of all by slice and group.

    slice_ids: of these alone.
    """
    table = SliceCount
    columns = (
        table.group_id,
        table.slice_id,
        table.known,
        table.inside,
        table.confidence,
        table.expected_loss,
    )
    statement = select(*columns).order_by(table.slice_id, table.group_id)
    if groups is not None:  # as the rows lie: by slice, then by group
        statement = statement.where(table.slice_id.in_(select(Slice.id)))
    if slice_ids is not None:
        statement = statement.where(table.slice_id.in_(list(slice_ids)))
    parts = in_parts(statement, table.group_id, None if groups is None else groups.tolist())
    rows = [tuple(row) for part in parts for row in session.execute(part)]
    found = np.array(rows, np.float64).reshape(-1, len(columns))
    group, slice_id, known, inside = found[:, :4].astype(np.int64).T
    return Counts(group, slice_id, known, inside, found[:, 4], found[:, 5])
