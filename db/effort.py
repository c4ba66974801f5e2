"""Answers in force with the tasks that they answer: what labelers did, and how long it took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from connectors.ports import Box, Purpose
from db.labels import stored_boxes
from db.sql import in_parts
from db.states import TaskStatus
from db.tables import Annotation, Frame, LabelTask, Producer


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer in force, and its task.

    answer, task, frame, detector: ids; detector None where none chose the frame.
    group: the camera-day. model: the name of the detector, "" for none.
    slices: what the frame was chosen to show, or showed then, by id.
    drawn: boxes that the task was sent with, None where that is not known.
    bare: sent without boxes by chance. rule: which rule chose the answer.
    seconds: that the labeler took, None where nobody knows.
    """

    answer: int
    task: int
    frame: int
    group: int
    purpose: Purpose
    detector: int | None
    model: str
    slices: tuple[int, ...]
    drawn: tuple[Box, ...] | None
    bare: bool
    rule: str
    author: str
    seconds: float | None
    boxes: tuple[Box, ...]


def given_answers(session: Session, limit: int) -> list[GivenAnswer]:
    """The latest answers in force, oldest first; those whose boxes were not kept are left out."""
    columns = (
        Annotation.id.label("answer"),
        LabelTask.id.label("task"),
        LabelTask.frame,
        Frame.group_id.label("group"),
        LabelTask.purpose,
        LabelTask.detector,
        Producer.name.label("model"),
        LabelTask.slice_id,
        LabelTask.shows,
        LabelTask.drawn,
        LabelTask.bare,
        LabelTask.rule,
        Annotation.author,
        Annotation.lead_time_s,
        Annotation.boxes,
    )
    statement = (
        select(*columns)
        .join(Annotation, Annotation.id == LabelTask.stands)
        .join(Frame, Frame.seq == LabelTask.frame)
        .join(Producer, Producer.id == LabelTask.detector, isouter=True)
        .where(LabelTask.status == TaskStatus.DONE)
        .order_by(Annotation.id.desc())
        .limit(limit)
    )
    rows = session.execute(statement).all()
    return [_given(row) for row in reversed(rows) if row.boxes is not None]


def answers_stamp(session: Session) -> tuple[str, ...]:
    """Another whenever an answer came or was taken back."""
    last = session.execute(select(func.max(Annotation.id))).scalar()
    tasks = select(func.count(LabelTask.stands), func.max(LabelTask.changed_at))
    count, newest = session.execute(tasks.where(LabelTask.status == TaskStatus.DONE)).one()
    return str(last), str(count), str(newest)


def say_origins(session: Session, answers: Iterable[int]) -> set[int]:
    """Of these answers, those in which Label Studio says of a box how it came to be."""
    parts = in_parts(select(Annotation.id, Annotation.result), Annotation.id, answers)
    return {
        number
        for part in parts
        for number, result in session.execute(part)
        if any(isinstance(region, dict) and region.get("origin") for region in result)
    }


def set_drawn(session: Session, task: int, boxes: Iterable[Box], bare: bool) -> None:
    """The boxes that a task is sent with."""
    drawn = [[box.class_name, *map(float, box.xyxy), box.confidence] for box in boxes]
    session.execute(update(LabelTask).where(LabelTask.id == task).values(drawn=drawn, bare=bare))


def drawn_boxes(drawn: list[Any]) -> tuple[Box, ...]:
    """Boxes as `label_tasks.drawn` keeps them."""
    return tuple(
        Box(name, (x1, y1, x2, y2), "prediction", confidence) for name, x1, y1, x2, y2, confidence in drawn
    )


def _given(row: Any) -> GivenAnswer:
    own = () if row.slice_id is None else (row.slice_id,)
    return GivenAnswer(
        answer=row.answer,
        task=row.task,
        frame=row.frame,
        group=row.group,
        purpose=Purpose(row.purpose),
        detector=row.detector,
        model=row.model or "",
        slices=tuple(sorted({*own, *row.shows})),
        drawn=None if row.drawn is None else drawn_boxes(row.drawn),
        bare=row.bare,
        rule=row.rule,
        author=row.author,
        seconds=row.lead_time_s,
        boxes=stored_boxes(row.boxes),
    )
