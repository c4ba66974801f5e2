"""Pull: answers become labels. Only what a person submitted counts; a prediction that nobody submitted never does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.ports import Annotation, LabelBackend, Progress
from db.engine import read, write
from db.frames import get_fact, set_fact
from db.labels import answers, record_annotation, set_label
from db.states import TaskStatus
from db.tasks import TaskRow, close_batches, move, task_by_key, tasks, tasks_by_keys
from loop.ingest import chunked

OVERLAP = timedelta(minutes=5)
WATERMARK = "pull_watermark"
ANSWERABLE = (
    TaskStatus.PENDING,
    TaskStatus.SENT,
    TaskStatus.CONFIRMED,
    TaskStatus.DONE,
    TaskStatus.SKIPPED,
    TaskStatus.QUARANTINED,
)


@dataclass
class PullReport:
    """answers: new or changed answers by what they became. unknown: class names that are not ours. deleted: tasks gone over there."""

    answers: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)
    deleted: int = 0
    foreign: int = 0


def pull(
    engine: Engine, backend: LabelBackend, project_id: int, classes: Sequence[str], progress: Progress
) -> PullReport:
    """Every answer since the last pull. Raises LabelStudioError; nothing is lost, the next pull starts at the same point."""
    backend.check(project_id, classes)
    report = PullReport()
    watermark = _watermark(engine, project_id)
    newest = watermark
    found = backend.annotations(project_id, watermark - OVERLAP if watermark else None)
    answered: set[str] = set()
    for count, annotation in enumerate(sorted(found, key=lambda answer: answer.updated_at), 1):
        with write(engine) as session:
            _take(session, project_id, annotation, report)
        answered.add(annotation.key)
        newest = max(newest, annotation.updated_at) if newest else annotation.updated_at
        progress(count, 0, "answers")
    _reconcile(engine, backend, project_id, answered, report)
    with write(engine) as session:
        close_batches(session)
        if newest:
            set_fact(session, f"{WATERMARK}_{project_id}", newest.isoformat())
    return report


def _watermark(engine: Engine, project_id: int) -> datetime | None:
    with read(engine) as session:
        fact = get_fact(session, f"{WATERMARK}_{project_id}")
    return datetime.fromisoformat(fact) if fact else None


def _take(session: Session, project_id: int, annotation: Annotation, report: PullReport) -> None:
    task = task_by_key(session, annotation.key)
    if task is None:
        report.foreign += 1
        return
    recorded = record_annotation(
        session,
        task.id,
        external_project=project_id,
        external_id=annotation.external_id,
        author=annotation.author,
        created_at=annotation.created_at,
        updated_at=annotation.updated_at,
        cancelled=annotation.cancelled,
        lead_time_s=annotation.lead_time_s,
        result=annotation.result,
    )
    if recorded is None:
        return
    if _superseded(session, task, annotation):
        return
    status = _outcome(annotation)
    report.unknown.update(annotation.unknown_classes)
    report.answers[status] += 1
    if status is TaskStatus.SKIPPED and task.status is TaskStatus.DONE:
        return
    move(
        session,
        [task.id],
        ANSWERABLE,
        status,
        external_id=annotation.external_task_id,
        external_project=project_id,
    )
    if status is TaskStatus.DONE:
        _label(session, task, annotation, recorded)


def _superseded(session: Session, task: TaskRow, annotation: Annotation) -> bool:
    """Whether an answer given later is known already: of two answers to one task the later one counts."""
    known = answers(session, [task.id])
    return any(one.updated_at > annotation.updated_at and not one.cancelled for one in known)


def _outcome(annotation: Annotation) -> TaskStatus:
    if annotation.cancelled:
        return TaskStatus.SKIPPED
    return TaskStatus.QUARANTINED if annotation.unknown_classes else TaskStatus.DONE


def _label(session: Session, task: TaskRow, annotation: Annotation, annotation_id: int) -> None:
    boxes = [
        [box.class_name, *(round(float(v), 2) for v in box.xyxy), box.origin] for box in annotation.boxes
    ]
    set_label(session, task.frame, boxes, task.purpose, "annotation", annotation_id)


def _reconcile(
    engine: Engine, backend: LabelBackend, project_id: int, answered: Collection[str], report: PullReport
) -> None:
    """Cancels what was deleted over there; removes copies that an import left which arrived after it was given up."""
    with read(engine) as session:
        waiting = tasks(session, status=TaskStatus.CONFIRMED)
        looked_at = {task.key: task for task in waiting if task.external_project == project_id}
        looked_at |= tasks_by_keys(session, answered)
    for chunk in chunked(looked_at.values(), 1000):
        there = backend.find(project_id, [task.key for task in chunk])
        if copies := [extra for task in chunk for extra in _copies(task, there.get(task.key, []))]:
            backend.remove(project_id, copies)
        gone = [task.id for task in chunk if task.key not in there]
        with write(engine) as session:
            report.deleted += move(session, gone, TaskStatus.CONFIRMED, TaskStatus.CANCELLED)


def _copies(task: TaskRow, ids: Sequence[int]) -> list[int]:
    """All but the one that we know; where we know none of them, but the oldest."""
    kept = task.external_id if task.external_id in ids else min(ids, default=None)
    return [number for number in ids if number != kept]
