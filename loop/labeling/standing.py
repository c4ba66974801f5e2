"""Which label stands for a frame that several tasks ask about.

A frame is first labeled by the task that trains or judges, or came labeled with a dataset. Tasks that
look at that label again (a suspect, an inspection, a report) are reviews. Of the first answer and all
reviews the one that was given last stands. A second person's answer alone changes nothing: it shows
whether the two agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.labels import AnswerRow, answers, delete_label, labels, set_label, set_rule
from db.states import TaskStatus
from db.tasks import TaskRow, tasks

FIRST = (Purpose.TRAIN, Purpose.EVALUATION)
REVIEWS = (Purpose.SUSPECT, Purpose.INSPECTION, Purpose.REPORT)
IMPORTED, ANSWERED = "imported", "annotation"


def settle(session: Session, frame: int) -> bool:
    """Gives the frame the label that stands by what its tasks say now; whether one was taken away."""
    done = [task for task in tasks(session, status=TaskStatus.DONE, frames=[frame]) if task.stands]
    stored = {row.id: row for row in answers(session, ids=[task.stands for task in done if task.stands])}
    task = standing_task(done, stored)
    held = labels(session, [frame]).get(frame)
    came_with = None
    if held is not None:
        came_with = held.boxes if held.source == IMPORTED else held.imported
    if task is None or task.stands is None:
        if held is None or held.source == IMPORTED:
            return False
        if came_with is None:
            return delete_label(session, frame)
        set_label(session, frame, came_with, held.purpose, IMPORTED)
        return True
    if held is not None and held.annotation_id == task.stands:
        if held.rule != task.rule:
            set_rule(session, frame, task.rule)
        return False
    answer = stored[task.stands]
    assert answer.boxes is not None
    purpose = _purpose(done, held.purpose if held else Purpose.TRAIN)
    set_label(session, frame, answer.boxes, purpose, ANSWERED, answer.id, task.rule, came_with)
    return False


def standing_task(done: Sequence[TaskRow], stored: dict[int, AnswerRow]) -> TaskRow | None:
    """Of the tasks of a frame that are done, the one whose answer is its label; None for none."""

    def time(task: TaskRow) -> tuple[object, int]:
        return stored[task.stands or 0].updated_at, task.id

    can = [task for task in done if task.stands and stored[task.stands].boxes is not None]
    return max((task for task in can if task.purpose in (*FIRST, *REVIEWS)), key=time, default=None)


def _purpose(done: Sequence[TaskRow], held: str) -> str:
    first = [task.purpose for task in done if task.purpose in FIRST]
    return first[-1] if first else held
