"""Whether our tasks still stand in Label Studio. What changed since the last pull does not tell of a task
that was deleted, so the tasks are counted at every pull, and all are looked at where the count is off.

A count is off at the next pull after a task was deleted, or after a copy of one arrived. A person who
deletes some and adds as many others hides that until the next full comparison.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.ports import LabelBackend, TaskAnswers
from db.engine import read, write
from db.facts import get_fact, set_fact
from db.states import TaskStatus
from db.tasks import TaskRow, count_in_project, move, tasks, tasks_by_keys
from loop.labeling.copies import copies, kept_of
from loop.labeling.project import OVER_THERE

WAITING = (TaskStatus.CONFIRMED, TaskStatus.QUARANTINED)
OTHERS = "tasks_of_others"
"""Fact: how many more tasks a project held than are ours, when all were compared; "" for not known."""


@dataclass(frozen=True, slots=True)
class Present:
    """missing: ids of tasks that wait for a person and are not there any more.
    elsewhere: tasks of which another number alone is there, with that number.
    removed: copies were removed.
    """

    missing: list[int]
    elsewhere: list[tuple[TaskRow, int]]
    removed: bool


def is_as_counted(engine: Engine, project_id: int, count: int) -> bool:
    """Whether a project that holds so many tasks has gained and lost none but by us since all were
    compared.
    """
    with read(engine) as session:
        others = get_fact(session, f"{OTHERS}_{project_id}")
        return others == str(count - count_in_project(session, project_id, OVER_THERE))


def note_count(session: Session, project_id: int, count: int | None) -> None:
    """All were compared. count: tasks that the project held when that began, None where that has changed."""
    others = "" if count is None else str(count - count_in_project(session, project_id, OVER_THERE))
    set_fact(session, f"{OTHERS}_{project_id}", others)


def keys_waiting(engine: Engine, project_id: int) -> list[str]:
    """Keys of the tasks that wait for a person there. Read before a comparison: one that is pushed
    meanwhile is not held to be missing.
    """
    with read(engine) as session:
        return [task.key for task in tasks(session, status=WAITING) if task.external_project == project_id]


def look(
    engine: Engine,
    backend: LabelBackend,
    project_id: int,
    changed: Sequence[TaskAnswers],
    waiting: Collection[str],
) -> Present:
    """Where our tasks stand that wait, and those that changed and stand at another number than we know.
    Removes copies that an import left which arrived after it was given up.

    waiting: keys; then `changed` are all tasks of the project. Empty where these are only some.
    """
    strangers = _strangers(engine, project_id, changed)
    there = _numbers(changed) if waiting else backend.find(project_id, strangers) if strangers else {}
    with read(engine) as session:
        known = [*tasks_by_keys(session, {*waiting, *strangers}).values()]
    extra = [number for task in known for number in copies(task, there.get(task.key, []))]
    if extra:
        backend.remove(project_id, extra)
    kept = [(task, kept_of(task, there.get(task.key, []))) for task in known]
    elsewhere = [
        (task, number)
        for task, number in kept
        if task.external_project == project_id and number not in (None, task.external_id)
    ]
    missing = [task.id for task, number in kept if number is None]
    return Present(missing, [(task, number) for task, number in elsewhere if number], bool(extra))


def point_at(engine: Engine, elsewhere: Sequence[tuple[TaskRow, int]]) -> None:
    """A task that was deleted, and of which a backup was imported, is followed where it is now."""
    with write(engine) as session:
        for task, number in elsewhere:
            move(session, [task.id], task.status, task.status, external_id=number)


def _strangers(engine: Engine, project_id: int, changed: Sequence[TaskAnswers]) -> list[str]:
    """Keys of tasks of ours that changed and stand at another number than we know."""
    with read(engine) as session:
        known = tasks_by_keys(session, {seen.key for seen in changed})
    return [
        seen.key
        for seen in changed
        if (task := known.get(seen.key)) is not None
        and (task.external_project, task.external_id) != (project_id, seen.external_task_id)
    ]


def _numbers(changed: Sequence[TaskAnswers]) -> dict[str, list[int]]:
    """Task ids by key, oldest first."""
    found: dict[str, list[int]] = {}
    for seen in sorted(changed, key=lambda seen: seen.external_task_id):
        found.setdefault(seen.key, []).append(seen.external_task_id)
    return found
