"""The review desk as its tests use it: push, pull, and what came of one task."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from connectors.ports import Box
from db.engine import read
from db.labels import labels
from db.states import TaskStatus
from db.tasks import TaskRow, task_by_key, tasks
from loop.labeling import pull as pulling
from loop.labeling import push as pushing
from loop.labeling.pull import PullReport
from loop.labeling.push import PushReport
from tests.fakes import FakeParts, quiet

NOW = timedelta(0)
HAT = Box("helmet", (1.0, 2.0, 9.0, 10.0))


def push(parts: FakeParts, settle: timedelta = NOW) -> PushReport:
    return pushing.push(parts, quiet, settle=settle)


def pull(parts: FakeParts) -> PullReport:
    return pulling.pull(parts, quiet)


def rows(parts: FakeParts, status: TaskStatus | None = None) -> list[TaskRow]:
    with read(parts.project.engine) as session:
        return tasks(session, status=status)


def row(parts: FakeParts, key: str) -> TaskRow:
    with read(parts.project.engine) as session:
        found = task_by_key(session, key)
    assert found is not None
    return found


def a_key(parts: FakeParts, purpose: str = "train", boxes: bool = True) -> str:
    """The key of a task that shows predicted boxes, or none; one that judges never shows any."""
    boxes = boxes and purpose == "train"
    return next(
        task.task.key
        for task in parts.server.tasks
        if task.task.purpose == purpose and bool(task.task.predictions) == boxes and not task.answers
    )


def label_of(parts: FakeParts, key: str) -> tuple[Box, ...] | None:
    """What the frame of that task is held to show; None without a label."""
    frame = row(parts, key).frame
    with read(parts.project.engine) as session:
        known = labels(session, [frame])
    return known[frame].boxes if frame in known else None


def asking(parts: FakeParts, share: float = 1.0) -> FakeParts:
    """The same project, of whose tasks a second person answers so many."""
    chosen = parts.project.settings.labels.model_copy(update={"second_share": share})
    settings = parts.project.settings.model_copy(update={"labels": chosen})
    parts.project = replace(parts.project, settings=settings)
    return parts
