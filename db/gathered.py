"""What is counted of collections, without a look at every frame in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import Group, Label, SliceCount, SliceMember


def inside_by_day(session: Session, slice_ids: Iterable[int]) -> dict[int, list[tuple[date, int]]]:
    """By slice, the frames that show it by the UTC day of their camera-day, oldest first; groups that
    are no days are left out.
    """
    columns = select(SliceCount.slice_id, Group.key, SliceCount.inside)
    rows = columns.join(Group, Group.id == SliceCount.group_id).where(
        SliceCount.slice_id.in_(list(slice_ids))
    )
    found: dict[int, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for number, key, inside in session.execute(rows):
        with suppress(ValueError):  # the group of a sequence, or of frames without a time
            found[number][date.fromisoformat(key.rpartition("|")[2])] += inside
    return {number: sorted(days.items()) for number, days in found.items()}


def labeled_inside(session: Session, producer: int, slice_ids: Iterable[int]) -> dict[int, int]:
    """By slice, how many frames that show it have a label; labels are far fewer than members."""
    own = (SliceMember.frame == Label.frame) & (SliceMember.producer == producer)
    rows = select(SliceMember.slice_id, func.count()).select_from(Label).join(SliceMember, own)
    wanted = rows.where(SliceMember.slice_id.in_(list(slice_ids))).group_by(SliceMember.slice_id)
    return {number: count for number, count in session.execute(wanted)}  # noqa: C416
