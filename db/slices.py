"""Slices: parts of the frames that last, who is in them, and how many of each group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, aliased

from db.errors import StateError
from db.sql import Change, changed_rows, in_chunks, in_parts, insert_new, table_of, upsert
from db.states import SliceKind
from db.tables import Frame, Slice, SliceCount, SliceMember, utcnow

Ids = NDArray[np.int64]
Reals = NDArray[np.float64]
NAME_LENGTH = 200
ENOUGH = 0.1
"""By so much of itself a strength differs before it is written anew."""
WRITTEN_AT_ONCE = 20_000
DIRECT = {"synchronize_session": False}


@dataclass(frozen=True, slots=True)
class NewSlice:
    """A slice as it is defined now.

    key: of its own, whatever it is called.
    parent: the key of its facet, "" for none.
    definition: what decides who is in it, such as sentences, a limit or a center.
    """

    key: str
    kind: SliceKind
    name: str
    parent: str = ""
    definition: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice as stored.

    name: what a person reads, a user's own name before that of the definition.
    """

    id: int
    key: str
    kind: SliceKind
    parent_id: int | None
    definition: dict[str, Any]
    defined_name: str
    given_name: str | None
    created_at: datetime
    retired_at: datetime | None

    @property
    def name(self) -> str:
        return self.given_name or self.defined_name


@dataclass(frozen=True, slots=True)
class SliceTotal:
    """A slice over all groups of production.

    known, inside: frames.
    groups: that show it.
    """

    known: int
    inside: int
    groups: int


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


def define_slices(session: Session, wanted: Sequence[NewSlice]) -> dict[str, int]:
    """Ids by key. New slices are made; of those that are there, name and definition become these;
    ids and the names that users gave stay. A parent must be among `wanted` or stored.
    """
    known = _by_key(session, [one.key for one in wanted])
    first = [one for one in wanted if one.key not in known]
    insert_new(
        session, Slice, [_columns(one, None) | {"key": one.key, "created_at": utcnow()} for one in first]
    )
    named = _by_key(session, {key for one in wanted for key in (one.key, one.parent) if key})
    for one in wanted:
        row, columns = named[one.key], _columns(one, named[one.parent].id if one.parent else None)
        if columns != {
            "kind": row.kind,
            "parent_id": row.parent_id,
            "definition": row.definition,
            "name": row.defined_name,
        }:
            session.execute(update(Slice).where(Slice.id == row.id).values(**columns))
    return {one.key: named[one.key].id for one in wanted}


def _columns(one: NewSlice, parent: int | None) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "parent_id": parent,
        "definition": dict(one.definition),
        "name": one.name[:NAME_LENGTH],
    }


def slices(
    session: Session, kinds: Iterable[SliceKind] | None = None, ids: Iterable[int] | None = None
) -> list[SliceRow]:
    """Slices in order of their ids, retired ones too."""
    statement = select(*table_of(Slice).columns).order_by(Slice.id)
    if kinds is not None:
        statement = statement.where(Slice.kind.in_(list(kinds)))
    if ids is not None:
        statement = statement.where(Slice.id.in_(list(ids)))
    return [_row(row) for row in session.execute(statement)]


def slice_by_id(session: Session, slice_id: int) -> SliceRow:
    """Raises StateError when there is none of that id."""
    found = slices(session, ids=[slice_id])
    if not found:
        raise StateError(f"expected the id of a slice, got {slice_id}; `fieldloop slices` lists them")
    return found[0]


def slice_names(session: Session, ids: Iterable[int]) -> dict[int, str]:
    """What a person reads, by id."""
    return {row.id: row.name for row in slices(session, ids=set(ids))}


def name_slice(session: Session, slice_id: int, name: str | None) -> None:
    """Gives a slice the name of a user, or with None takes it back."""
    session.execute(update(Slice).where(Slice.id == slice_id).values(given_name=name))


def retire_slice(session: Session, slice_id: int) -> bool:
    """It is no longer looked for; its history stays. False when it was retired before."""
    open_one = update(Slice).where(Slice.id == slice_id, Slice.retired_at.is_(None))
    return changed_rows(session.execute(open_one.values(retired_at=utcnow()))) == 1


def restore_slice(session: Session, slice_id: int) -> bool:
    """Takes `retire_slice` back. False when it was not retired."""
    retired = update(Slice).where(Slice.id == slice_id, Slice.retired_at.is_not(None))
    return changed_rows(session.execute(retired.values(retired_at=None))) == 1


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
    for chunk in in_chunks(known.frames[gone].tolist()):
        where = (
            SliceMember.slice_id == slice_id,
            SliceMember.producer == producer,
            SliceMember.frame.in_(chunk),
        )
        session.execute(delete(SliceMember).where(*where))
    add_members(session, producer, slice_id, Members(frames[~same], strength[~same]))
    kept = left & ~gone
    if not kept.any():
        return Members(frames, np.where(same, was, strength))
    every = np.concatenate([known.frames[kept], frames])
    order = np.argsort(every, kind="stable")
    stays = np.concatenate([known.strength[kept], np.where(same, was, strength)])
    return Members(every[order], stays[order])


def _close(was: Reals, strength: Reals) -> NDArray[np.bool_]:
    return np.abs(was - strength) <= ENOUGH * np.abs(was)


def add_members(session: Session, producer: int, slice_id: int, new: Members) -> None:
    """These frames show the slice too."""
    own = {"producer": producer, "slice_id": slice_id}
    for start in range(0, len(new.frames), WRITTEN_AT_ONCE):
        part = slice(start, start + WRITTEN_AT_ONCE)
        values = zip(new.frames[part].tolist(), new.strength[part].tolist(), strict=True)
        upsert(session, SliceMember, [own | {"frame": seq, "strength": value} for seq, value in values])


def any_members(session: Session, frames: Ids) -> Ids:
    """Those of these frames that show any slice."""
    statement = select(SliceMember.frame).distinct()
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
    for name in ("known", "inside", "confidence", "expected_loss"):
        same &= np.append(getattr(known, name), 0)[row] == getattr(counts, name)
    _upsert_counts(session, counts, np.flatnonzero(~same))


def add_counts(session: Session, counts: Counts) -> None:
    """Adds frames that came in to what is counted of them."""
    table = table_of(SliceCount)
    summed = ("known", "inside", "confidence", "expected_loss")

    def more(new: Any) -> dict[str, Any]:
        return {name: table.c[name] + new[name] for name in summed}

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


def load_counts(session: Session, groups: Ids | None = None) -> Counts:
    """What is counted of these groups, or everything; of all by slice and group."""
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
    parts = in_parts(statement, table.group_id, None if groups is None else groups.tolist())
    rows = [tuple(row) for part in parts for row in session.execute(part)]
    found = np.array(rows, np.float64).reshape(-1, len(columns))
    group, slice_id, known, inside = found[:, :4].astype(np.int64).T
    return Counts(group, slice_id, known, inside, found[:, 4], found[:, 5])


def slice_totals(session: Session) -> dict[int, SliceTotal]:
    """By slice, over all groups; a slice that no frame shows is absent."""
    inside = func.sum(SliceCount.inside)
    sums = select(SliceCount.slice_id, inside, func.count()).where(SliceCount.inside > 0)
    counted = {
        number: (int(count), int(groups))
        for number, count, groups in session.execute(sums.group_by(SliceCount.slice_id))
    }
    facets = {number: parent for number, parent in session.execute(select(Slice.id, Slice.parent_id))}  # noqa: C416
    return {
        number: SliceTotal(counted.get(facets[number] or number, (count, 0))[0], count, groups)
        for number, (count, groups) in counted.items()
    }


def _by_key(session: Session, keys: Iterable[str]) -> dict[str, SliceRow]:
    statement = select(*table_of(Slice).columns)
    return {
        row.key: _row(row)
        for chunk in in_chunks(keys)
        for row in session.execute(statement.where(Slice.key.in_(chunk)))
    }


def _row(row: Any) -> SliceRow:
    values = dict(row._mapping)
    name, kind = values.pop("name"), SliceKind(values.pop("kind"))
    return SliceRow(**values, defined_name=name, kind=kind)
