"""Which label stands for a frame that several tasks ask about.

A frame is first labeled by the task that trains or judges, or came labeled with a dataset. Tasks that
look at that label again (a suspect, an inspection, a report) are reviews. Of the first answer and all
reviews the one that was given last stands.

Where the first answer stands, other persons' opinions on the same frame count too (see `consensus`).
Two who drew the same objects: their boxes, fused. Two who contradict each other: the first answer, until
a third person decided by most of three, object by object. A review given later outdoes them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from connectors.ports import Box, Purpose
from db.frames import frames
from db.labels import AnswerRow, LabelRow, answers, delete_label, labels, set_label, set_rule
from db.states import Role, TaskStatus
from db.tasks import TaskRow, tasks
from loop.labeling.consensus import FIRST, FUSED, SECOND, THIRD, opinion, rule_of

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
    boxes, rule = _with_others(task, done, stored)
    purpose = _purpose(session, frame, held)
    same = held is not None and (held.annotation_id, held.purpose) == (task.stands, purpose)
    if held is not None and same and (held.rule in FUSED or rule in FUSED):
        same = [_rounded(box) for box in held.boxes] == [_rounded(box) for box in boxes]
    if held is not None and same:
        if held.rule != rule:
            set_rule(session, frame, rule)
        return False
    set_label(session, frame, boxes, purpose, ANSWERED, task.stands, rule, came_with)
    return False


def answers_of(task: TaskRow, done: Sequence[TaskRow], stored: Mapping[int, AnswerRow]) -> list[AnswerRow]:
    """The first answer and, behind it, the opinions of others on the same frame.

    task: of the first answer. done: all tasks of the frame that are done. A third opinion counts beside a
    second one alone.
    """
    others = {one.slot: one for one in done if one.purpose is Purpose.CONSENSUS}
    persons = [task]
    for slot in (SECOND, THIRD):
        if slot not in others:
            break
        persons.append(others[slot])
    found = [stored[one.stands] for one in persons if one.stands]
    return [one for one in found if one.boxes is not None]


def standing_task(done: Sequence[TaskRow], stored: dict[int, AnswerRow]) -> TaskRow | None:
    """Of the tasks of a frame that are done, the one whose answer is its label; None for none."""

    def time(task: TaskRow) -> tuple[object, int]:
        return stored[task.stands or 0].updated_at, task.id

    can = [task for task in done if task.stands and stored[task.stands].boxes is not None]
    return max((task for task in can if task.purpose in (*FIRST, *REVIEWS)), key=time, default=None)


def _with_others(
    task: TaskRow, done: Sequence[TaskRow], stored: Mapping[int, AnswerRow]
) -> tuple[Sequence[Box], str]:
    """The boxes that stand where this task's answer does, and the rule that says so."""
    if task.purpose not in FIRST:
        return stored[task.stands or 0].boxes or (), task.rule
    told, boxes = opinion([one.boxes or () for one in answers_of(task, done, stored)])
    return boxes, rule_of(told, task.rule)


def _rounded(box: Box) -> tuple[object, ...]:
    """As a label keeps it."""
    return box.class_name, *(round(side, 2) for side in box.xyxy), box.occluded, box.truncated


def _purpose(session: Session, frame: int, held: LabelRow | None) -> str:
    """What the label is for: as it was asked for first, whatever became of that task, or as it came, or as
    the group of the frame says.
    """
    first = [task for task in tasks(session, frames=[frame]) if task.purpose in FIRST]
    if first:
        return max(first, key=lambda task: (task.status is TaskStatus.DONE, task.id)).purpose
    if held:
        return held.purpose
    (row,) = frames(session, seqs=[frame])
    return Purpose.EVALUATION if row.role is Role.EVALUATION else Purpose.TRAIN
