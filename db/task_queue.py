"""Tasks as a queue that people look at: filtered, in one order, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, String, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.sql import AnySelect, table_of
from db.states import OPEN_TASKS, TaskStatus
from db.tables import Frame, LabelTask
from db.tasks import TaskRow, task_row

Order = Literal["front", "recent"]
"""front: pinned ones, then by priority, as labelers get them. recent: what changed last."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tasks that meet every condition that is given.

    slice_id: they were chosen to show it, or show it beside.
    pinned: None for either.
    """

    status: tuple[TaskStatus, ...]
    pinned: bool | None = None
    purpose: Purpose | None = None
    batch: int | None = None
    camera: str | None = None
    slice_id: int | None = None


@dataclass(frozen=True, slots=True)
class After:
    """The task behind which a page begins."""

    id: int
    priority: float
    pinned: bool
    changed_at: datetime


def task_page(
    session: Session, wanted: Wanted, order: Order, limit: int, after: After | None = None
) -> list[TaskRow]:
    """At most `limit` tasks in this order, from behind `after` on."""
    statement = select(*table_of(LabelTask).columns).where(*_conditions(wanted))
    if after is not None:
        statement = statement.where(_behind(order, after))
    statement = statement.order_by(*_sorting(order)).limit(limit)
    states: list[ColumnElement[bool]] = [LabelTask.status.in_(wanted.status)]
    if order == "recent":  # each state in the order of its index, instead of all of them sorted
        states = [LabelTask.status == status for status in wanted.status]
    rows = [task_row(row) for state in states for row in session.execute(statement.where(state))]
    if order == "recent":
        rows.sort(key=lambda row: (row.changed_at, row.id), reverse=True)
    return rows[:limit]


def pinned_count(session: Session) -> int:
    """How many open tasks are pinned."""
    return session.execute(
        select(func.count()).where(LabelTask.status.in_(OPEN_TASKS), LabelTask.pinned.is_(True))
    ).scalar_one()


def front_priority(session: Session) -> float:
    """The highest priority of the open tasks, 0 without one."""
    highest = select(func.max(LabelTask.priority)).where(LabelTask.status.in_(OPEN_TASKS))
    return session.execute(highest).scalar_one() or 0.0


def cameras_of(session: Session, status: Sequence[TaskStatus]) -> list[str]:
    """The cameras whose frames have a task in one of these states, by name."""
    of = (
        select(Frame.camera).join(LabelTask, LabelTask.frame == Frame.seq).where(LabelTask.status.in_(status))
    )
    return list(session.execute(of.distinct().order_by(Frame.camera)).scalars())


def aims_of(session: Session, status: Sequence[TaskStatus]) -> list[int]:
    """Ids of the slices that tasks in one of these states were chosen to show."""
    of = select(LabelTask.slice_id).where(LabelTask.status.in_(status), LabelTask.slice_id.is_not(None))
    return sorted(number for number in session.execute(of.distinct()).scalars() if number is not None)


def batches_of(session: Session, status: Sequence[TaskStatus]) -> list[int]:
    """Ids of the batches with a task in one of these states, newest first."""
    of = select(LabelTask.batch_id).where(LabelTask.status.in_(status)).distinct()
    return sorted(session.execute(of).scalars(), reverse=True)


def tasks_by_id(session: Session, ids: Sequence[int]) -> dict[int, TaskRow]:
    """By id; an unknown one is absent."""
    statement: AnySelect = select(*table_of(LabelTask).columns).where(LabelTask.id.in_(list(ids)))
    return {row.id: task_row(row) for row in session.execute(statement)}


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    """All but its state."""
    found: list[ColumnElement[bool]] = []
    if wanted.pinned is not None:
        found.append(LabelTask.pinned.is_(wanted.pinned))
    if wanted.purpose is not None:
        found.append(LabelTask.purpose == wanted.purpose)
    if wanted.batch is not None:
        found.append(LabelTask.batch_id == wanted.batch)
    if wanted.camera is not None:
        of = select(Frame.seq).where(Frame.seq == LabelTask.frame, Frame.camera == wanted.camera)
        found.append(of.exists())
    if wanted.slice_id is not None:
        found.append(_shows(wanted.slice_id))
    return found


def _shows(slice_id: int) -> ColumnElement[bool]:
    """The list of slices is JSON, which both databases keep as it was written: [3, 12]."""
    text = cast(LabelTask.shows, String)
    patterns = (f"[{slice_id}]", f"[{slice_id},%", f"%, {slice_id},%", f"%, {slice_id}]")
    return or_(LabelTask.slice_id == slice_id, *(text.like(pattern) for pattern in patterns))


def _sorting(order: Order) -> tuple[ColumnElement[Any], ...]:
    if order == "front":
        return LabelTask.pinned.desc(), LabelTask.priority.desc(), LabelTask.id.asc()
    return LabelTask.changed_at.desc(), LabelTask.id.desc()


def _behind(order: Order, after: After) -> ColumnElement[bool]:
    if order == "recent":
        same = and_(LabelTask.changed_at == after.changed_at, LabelTask.id < after.id)
        return or_(LabelTask.changed_at < after.changed_at, same)
    later = or_(
        LabelTask.priority < after.priority,
        and_(LabelTask.priority == after.priority, LabelTask.id > after.id),
    )
    if after.pinned:
        return or_(LabelTask.pinned.is_(False), and_(LabelTask.pinned.is_(True), later))
    return and_(LabelTask.pinned.is_(False), later)
