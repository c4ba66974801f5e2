"""What is counted of collections, without a look at every frame in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from datetime import date

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.slices import SliceTotal
from db.sql import in_parts
from db.states import Origin
from db.tables import Frame, Group, Label, LabelTask, Slice, SliceCount, SliceMember

Ids = NDArray[np.int64]
DAY = len("2026-11-24")


def totals_of(session: Session, slice_ids: Iterable[int]) -> dict[int, SliceTotal]:
    """Of these slices, over all groups of production; one that no frame shows is absent."""
    wanted = list(slice_ids)
    own = select(Slice.id, Slice.parent_id).where(Slice.id.in_(wanted))
    parents = {number: parent for number, parent in session.execute(own)}  # noqa: C416
    sums = select(SliceCount.slice_id, func.sum(SliceCount.inside), func.count())
    asked = [*wanted, *{parent for parent in parents.values() if parent is not None}]
    rows = sums.where(SliceCount.slice_id.in_(asked), SliceCount.inside > 0).group_by(SliceCount.slice_id)
    counted = {number: (int(inside), int(groups)) for number, inside, groups in session.execute(rows)}
    found = {}
    for number in wanted:
        if number in counted:
            inside, groups = counted[number]
            known = counted.get(parents[number] or number, (inside, 0))[0]
            found[number] = SliceTotal(known, inside, groups)
    return found


def inside_by_day(session: Session, slice_ids: Iterable[int]) -> dict[int, list[tuple[date, int]]]:
    """By slice, the frames that show it by the UTC day of their camera-day, oldest first; groups that
    are no days are left out.
    """
    day = func.substr(Group.key, func.length(Group.key) - DAY + 1)
    columns = select(SliceCount.slice_id, day, func.sum(SliceCount.inside))
    rows = columns.join(Group, Group.id == SliceCount.group_id)
    rows = rows.where(SliceCount.slice_id.in_(list(slice_ids))).group_by(SliceCount.slice_id, day)
    found: dict[int, list[tuple[date, int]]] = defaultdict(list)
    for number, text, inside in session.execute(rows):
        with suppress(ValueError):  # the group of a sequence, or of frames without a time
            found[number].append((date.fromisoformat(text), int(inside)))
    return {number: sorted(days) for number, days in found.items()}


def labeled_inside(session: Session, producer: int, slice_ids: Iterable[int]) -> dict[int, int]:
    """By slice, how many production frames that show it have a label; labels are far fewer than
    members.
    """
    own = (SliceMember.frame == Label.frame) & (SliceMember.producer == producer)
    rows = select(SliceMember.slice_id, func.count()).select_from(Label).join(SliceMember, own)
    # asked of labeled members alone; a join would look up the frame of every member first
    origin = select(Frame.origin).where(Frame.seq == Label.frame).scalar_subquery()
    rows = rows.where(origin == Origin.PRODUCTION)
    wanted = rows.where(SliceMember.slice_id.in_(list(slice_ids))).group_by(SliceMember.slice_id)
    return {number: count for number, count in session.execute(wanted)}  # noqa: C416


def members_among_all(
    session: Session, producer: int, slice_ids: Iterable[int], frames: Ids
) -> dict[int, Ids]:
    """By slice, those of these frames, ascending, that show it."""
    columns = select(SliceMember.slice_id, SliceMember.frame).where(SliceMember.producer == producer)
    columns = columns.where(SliceMember.slice_id.in_(list(slice_ids))).order_by(SliceMember.frame)
    found: dict[int, list[int]] = defaultdict(list)
    for part in in_parts(columns, SliceMember.frame, frames.tolist()):
        for number, frame in session.execute(part):
            found[number].append(frame)
    return {number: np.array(seqs, np.int64) for number, seqs in found.items()}


def tasks_stamp(session: Session) -> list[str]:
    """Another whenever a task was made, moved or changed."""
    count, newest = session.execute(select(func.count(LabelTask.id), func.max(LabelTask.changed_at))).one()
    return [str(count), str(newest)]


def newest_members(session: Session, producer: int, slice_id: int, limit: int) -> list[tuple[int, float]]:
    """(frame, strength) of the newest production frames that show a slice, newest first."""
    own = select(SliceMember.frame, SliceMember.strength).join(Frame, Frame.seq == SliceMember.frame)
    own = own.where(SliceMember.slice_id == slice_id, SliceMember.producer == producer)
    own = own.where(Frame.origin == Origin.PRODUCTION)
    rows = session.execute(own.order_by(SliceMember.frame.desc()).limit(limit))
    return [(frame, strength) for frame, strength in rows]
