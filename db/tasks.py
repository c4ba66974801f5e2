"""Batches of chosen frames and the tasks that put them before people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, union, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.errors import Conflict
from db.sql import changed_rows, in_chunks, in_parts, insert_new_ids, table_of
from db.states import OPEN_TASKS, BatchStatus, TaskStatus
from db.tables import Batch, Label, LabelTask, utcnow

ENGAGED = (*OPEN_TASKS, TaskStatus.DONE, TaskStatus.SKIPPED)
_HAS_OPEN_TASK = (
    select(LabelTask.id).where(LabelTask.batch_id == Batch.id, LabelTask.status.in_(OPEN_TASKS)).exists()
)
_MOVABLE = frozenset(
    {
        *("external_project", "external_id", "detector", "priority", "reason", "problem", "pinned"),
        *("drawn", "bare", "slot", "about", "stands", "rule"),
    }
)


@dataclass(frozen=True, slots=True)
class NewTask:
    """One chosen frame.

    component: the part of the strategy that chose it.
    slice_id: what it was chosen to show, None for nothing of a name.
    shows: slices of all gaps, when it was chosen, that its frame shows.
    rank: 0 = most valuable of its batch.
    priority: 0..1.
    detector: the producer whose boxes are drawn.
    bare: sent without boxes by chance.
    slot: which Label Studio project it goes to, 0 for that of the first persons.
    about: what a task of another purpose than train and evaluation is about.
    """

    frame: int
    purpose: Purpose
    key: str
    rank: int
    priority: float
    reason: str
    component: str
    slice_id: int | None = None
    inclusion_probability: float | None = None
    detector: int | None = None
    shows: tuple[int, ...] = ()
    bare: bool = False
    slot: int = 0
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task as stored.

    problem: what a person must mend in its answers, or why one that is
    cancelled was dropped; "" for nothing.
    pinned: a person wants it first, whatever its priority.
    drawn: the boxes that Label Studio was given, [class name, x1, y1, x2, y2, confidence] in px; None where
    that is not known.
    stands: the stored answer in force, while it is done. rule: which rule chose it.
    """

    id: int
    frame: int
    batch_id: int
    purpose: Purpose
    status: TaskStatus
    key: str
    rank: int
    priority: float
    reason: str
    component: str
    slice_id: int | None
    shows: tuple[int, ...]
    inclusion_probability: float | None
    detector: int | None
    external_project: int | None
    external_id: int | None
    problem: str
    created_at: datetime
    changed_at: datetime
    pinned: bool = False
    drawn: list[Any] | None = field(default=None, hash=False)
    bare: bool = False
    slot: int = 0
    about: dict[str, Any] = field(default_factory=dict, hash=False)
    stands: int | None = None
    rule: str = ""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One act of choosing as stored."""

    id: int
    status: BatchStatus
    strategy: str
    seed: int
    budget: int
    settings: dict[str, Any]
    created_at: datetime


def create_batch(session: Session, strategy: str, seed: int, budget: int, settings: Mapping[str, Any]) -> int:
    """A new batch that is still being chosen."""
    batch = Batch(
        status=BatchStatus.SELECTING, strategy=strategy, seed=seed, budget=budget, settings=dict(settings)
    )
    session.add(batch)
    session.flush()
    return batch.id


def add_tasks(session: Session, batch_id: int, tasks: Sequence[NewTask]) -> int:
    """Adds pending tasks; a frame with an open task of the same purpose is left out. How many went
    in.
    """
    rows = [asdict(task) | {"batch_id": batch_id, "status": TaskStatus.PENDING} for task in tasks]
    return len(insert_new_ids(session, LabelTask, rows))


def queue_batch(session: Session, batch_id: int) -> bool:
    """Chosen: its tasks may be pushed. False when it was queued before."""
    return _move_batches(session, [batch_id], BatchStatus.SELECTING, BatchStatus.QUEUED) == 1


def close_batches(session: Session) -> list[int]:
    """Closes the queued batches that have no open task left; their ids."""
    return _settle(session, BatchStatus.QUEUED, BatchStatus.CLOSED, ~_HAS_OPEN_TASK)


def reopen_batches(session: Session) -> list[int]:
    """Queues again the closed batches of which a task became open again; their ids."""
    return _settle(session, BatchStatus.CLOSED, BatchStatus.QUEUED, _HAS_OPEN_TASK)


def batches(session: Session, status: BatchStatus | None = None) -> list[BatchRow]:
    """Batches, oldest first."""
    statement = select(*table_of(Batch).columns).order_by(Batch.id)
    if status is not None:
        statement = statement.where(Batch.status == status)
    return [_batch_row(row) for row in session.execute(statement)]


def gaps_shown(session: Session, frames: Iterable[int]) -> dict[int, set[int]]:
    """Of these frames that were chosen, the slices that were gaps then and that they show, by
    frame.
    """
    found: dict[int, set[int]] = {}
    statement = select(LabelTask.frame, LabelTask.shows).order_by(LabelTask.id)
    for part in in_parts(statement, LabelTask.frame, frames):
        for frame, shown in session.execute(part):
            found.setdefault(frame, set()).update(shown)
    return found


def tasks(
    session: Session,
    *,
    status: TaskStatus | Sequence[TaskStatus] | None = None,
    batch: int | None = None,
    frames: Iterable[int] | None = None,
    limit: int | None = None,
) -> list[TaskRow]:
    """Tasks that meet every given condition, by batch and rank."""
    statement = select(*table_of(LabelTask).columns)
    if status is not None:
        statement = statement.where(LabelTask.status.in_(_statuses(status)))
    if batch is not None:
        statement = statement.where(LabelTask.batch_id == batch)
    parts = in_parts(statement, LabelTask.frame, frames)
    ordered = [part.order_by(LabelTask.batch_id, LabelTask.rank, LabelTask.id).limit(limit) for part in parts]
    rows = [task_row(row) for part in ordered for row in session.execute(part)]
    return sorted(rows, key=lambda task: (task.batch_id, task.rank, task.id))[:limit]


def task_by_key(session: Session, key: str) -> TaskRow | None:
    row = session.execute(select(*table_of(LabelTask).columns).where(LabelTask.key == key)).one_or_none()
    return None if row is None else task_row(row)


def tasks_by_keys(session: Session, keys: Iterable[str]) -> dict[str, TaskRow]:
    """By key; an unknown key is absent."""
    statement = select(*table_of(LabelTask).columns)
    return {
        row.key: task_row(row)
        for chunk in in_chunks(keys)
        for row in session.execute(statement.where(LabelTask.key.in_(chunk)))
    }


def move(
    session: Session,
    ids: Iterable[int],
    frm: TaskStatus | Sequence[TaskStatus],
    to: TaskStatus,
    **fields: Any,
) -> int:
    """Compare-and-set: moves those of the tasks that are in `frm`, setting `fields` too. How many
    moved.

    Raises Conflict when a task would be opened beside another open one of its frame; leave the
    session then.
    """
    if unknown := set(fields) - _MOVABLE:
        raise ValueError(f"expected fields among {sorted(_MOVABLE)}, got {sorted(unknown)}")
    moved = 0
    for chunk in in_chunks(ids):
        statement = update(LabelTask).where(LabelTask.id.in_(chunk), LabelTask.status.in_(_statuses(frm)))
        try:
            result = session.execute(statement.values(status=to, changed_at=utcnow(), **fields))
        except IntegrityError as error:
            raise Conflict(
                f"expected no other open task of these frames when moving to {to}; read them again"
            ) from error
        moved += changed_rows(result)
    return moved


def external_projects(session: Session) -> set[int]:
    """Numbers of the Label Studio projects that tasks are known to be in."""
    found = session.execute(select(LabelTask.external_project).distinct()).scalars()
    return {number for number in found if number is not None}


def count_in_project(session: Session, number: int, status: Sequence[TaskStatus]) -> int:
    """How many tasks of such a status are known to be in the Label Studio project of that number."""
    wanted = LabelTask.external_project == number, LabelTask.status.in_(status)
    return session.execute(select(func.count()).select_from(LabelTask).where(*wanted)).scalar_one()


def engaged_frames(session: Session) -> set[int]:
    """Frames never to be chosen again: labeled, before a person now, answered, skipped, or dropped by a
    person, which its task says.
    """
    dropped = and_(LabelTask.status == TaskStatus.CANCELLED, LabelTask.problem != "")
    asked = select(LabelTask.frame).where(or_(LabelTask.status.in_(ENGAGED), dropped))
    return set(session.execute(union(asked, select(Label.frame))).scalars())


def task_counts(session: Session) -> dict[TaskStatus, int]:
    """How many tasks are in each status; every status is present."""
    rows = session.execute(select(LabelTask.status, func.count()).group_by(LabelTask.status))
    return dict.fromkeys(TaskStatus, 0) | {TaskStatus(status): count for status, count in rows}


def selected_today(session: Session, since: datetime) -> int:
    """How many frames were chosen at or after `since`, whatever became of their tasks. Tasks that look at
    a label again are no choice of frames.
    """
    chosen = select(func.count()).where(LabelTask.purpose.in_((Purpose.TRAIN, Purpose.EVALUATION)))
    return session.execute(chosen.where(LabelTask.created_at >= since)).scalar_one()


def _settle(session: Session, frm: BatchStatus, to: BatchStatus, condition: ColumnElement[bool]) -> list[int]:
    statement = select(Batch.id).where(Batch.status == frm, condition).order_by(Batch.id)
    found = list(session.execute(statement).scalars())
    _move_batches(session, found, frm, to)
    return found


def _move_batches(session: Session, ids: Sequence[int], frm: BatchStatus, to: BatchStatus) -> int:
    statement = update(Batch).where(Batch.id.in_(ids), Batch.status == frm).values(status=to)
    return changed_rows(session.execute(statement))


def _statuses(status: TaskStatus | Sequence[TaskStatus]) -> list[TaskStatus]:
    return [status] if isinstance(status, str) else list(status)


def _batch_row(row: Any) -> BatchRow:
    return BatchRow(**{**row._mapping, "status": BatchStatus(row.status)})


def task_row(row: Any) -> TaskRow:
    found = {"status": TaskStatus(row.status), "purpose": Purpose(row.purpose), "shows": tuple(row.shows)}
    return TaskRow(**{**row._mapping, **found})
