"""Copies of one task in Label Studio: an import that arrived twice, or a backup that was imported
beside or in place of what it was made of.

An import gives every answer a new time and the importing user. So an imported answer that we hold
already is taken for what it was, and never outdoes what was said since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from connectors.ports import Annotation, TaskAnswers
from db.labels import SAME_TIME, AnswerRow, same_content
from db.tasks import TaskRow


def repeated(answer: Annotation, project_id: int, known: Sequence[AnswerRow]) -> AnswerRow | None:
    """The latest stored state of another answer that says exactly what this imported one says; None
    where this one is stored itself.

    known: all that is stored of its task.
    """
    same = [row for row in known if same_content(row, answer.cancelled, answer.result)]
    if not answer.imported or any(_is_of(row, answer, project_id) for row in same):
        return None
    return max(same, key=lambda row: row.updated_at, default=None)


def as_first_given(answer: Annotation, project_id: int, known: Sequence[AnswerRow]) -> Annotation:
    """The answer, with time and author of the stored one that it repeats where it was imported."""
    first = repeated(answer, project_id, known)
    return replace(answer, updated_at=first.updated_at, author=first.author) if first else answer


def stands_there(task: TaskRow, project_id: int, external_id: int) -> bool:
    """Whether that is where we know the task to be, rather than a copy of it."""
    return (task.external_project, task.external_id) == (project_id, external_id)


def outdoes(answer: Annotation | None, project_id: int, known: Sequence[AnswerRow]) -> bool:
    """Whether an answer to a copy is newer than all that is known of the task, or more than skips."""
    if answer is None:
        return False
    return all(
        row.updated_at < answer.updated_at if row.cancelled == answer.cancelled else row.cancelled
        for row in known
        if not _is_of(row, answer, project_id)
    )


def is_older(seen: TaskAnswers, project_id: int, known: Sequence[AnswerRow]) -> bool:
    """Whether we hold a later state of the task than the server: deleting an answer, too, moves the
    time of its task. The time of a task that was imported with its answers says nothing.
    """
    held = max((row.updated_at for row in known if row.external_project == project_id), default=None)
    times = [one.updated_at for one in seen.answers]
    if not seen.answers or not all(one.imported for one in seen.answers):
        times.append(seen.updated_at)
    return held is not None and max(times) < held - SAME_TIME


def copies(task: TaskRow, ids: Sequence[int]) -> list[int]:
    """All but the one that we know; where we know none of them, but the oldest."""
    kept = kept_of(task, ids)
    return [number for number in ids if number != kept]


def kept_of(task: TaskRow, ids: Sequence[int]) -> int | None:
    """The one of a task's copies that counts, None where there is none."""
    return task.external_id if task.external_id in ids else min(ids, default=None)


def _is_of(row: AnswerRow, answer: Annotation, project_id: int) -> bool:
    return (row.external_project, row.external_id) == (project_id, answer.external_id)
