"""Answers as people gave them, and what we hold to be true of frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from connectors.ports import Box, BoxOrigin
from db.sql import AnySelect, changed_rows, in_parts, insert_one, table_of, upsert
from db.tables import Annotation, Label, utcnow


@dataclass(frozen=True, slots=True)
class LabelRow:
    """What is true of a frame; no boxes = verified background."""

    frame: int
    boxes: tuple[Box, ...]
    purpose: str
    source: str
    annotation_id: int | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answer, one state of it."""

    id: int
    task_id: int
    external_project: int
    external_id: int
    author: str
    created_at: datetime
    updated_at: datetime
    cancelled: bool
    lead_time_s: float | None
    result: list[Any]


def record_annotation(
    session: Session,
    task_id: int,
    *,
    external_project: int,
    external_id: int,
    author: str,
    created_at: datetime,
    updated_at: datetime,
    cancelled: bool,
    result: Sequence[Any],
    lead_time_s: float | None = None,
) -> int | None:
    """The id of the stored answer, or None when this state of it is already stored."""
    return insert_one(
        session,
        Annotation,
        task_id=task_id,
        external_project=external_project,
        external_id=external_id,
        author=author[:200],
        created_at=created_at,
        updated_at=updated_at,
        cancelled=cancelled,
        lead_time_s=lead_time_s,
        result=list(result),
    )


def answers(session: Session, task_ids: Iterable[int] | None = None) -> list[AnswerRow]:
    """Stored answers, in the order they were last changed."""
    statement = select(*table_of(Annotation).columns)
    parts = in_parts(statement, Annotation.task_id, task_ids)
    rows = [AnswerRow(**row._mapping) for part in parts for row in session.execute(part)]
    return sorted(rows, key=lambda row: (row.updated_at, row.id))


def set_label(
    session: Session,
    frame: int,
    boxes: Sequence[Box],
    purpose: str,
    source: str,
    annotation_id: int | None = None,
) -> None:
    """What is true of the frame from now on.

    boxes: none = verified background. Corners are kept to a hundredth of a pixel, confidence is
    not. A box that is there twice counts once: its second would be an object that nobody can find.
    """
    row = {
        "frame": frame,
        "boxes": _each_once([_stored(box) for box in boxes]),
        "purpose": purpose,
        "source": source,
        "annotation_id": annotation_id,
        "updated_at": utcnow(),
    }
    upsert(session, Label, [row])


def delete_label(session: Session, task_id: int) -> bool:
    """Revokes the label that came from an answer to this task; whether there was one. No other
    label is touched.
    """
    given = select(Annotation.id).where(Annotation.task_id == task_id)
    return changed_rows(session.execute(delete(Label).where(Label.annotation_id.in_(given)))) > 0


def labels(
    session: Session,
    seqs: Iterable[int] | None = None,
    purpose: str | None = None,
    source: str | None = None,
) -> dict[int, LabelRow]:
    """Labels by frame, ascending, that meet every given condition."""
    statement = _matching(select(*table_of(Label).columns), None, purpose, source).order_by(Label.frame)
    parts = in_parts(statement, Label.frame, seqs)
    return {row.frame: _label_row(row) for part in parts for row in session.execute(part)}


def labeled_ids(session: Session, purpose: str) -> list[int]:
    """Frames with a label for this purpose, ascending."""
    return list(
        session.execute(_matching(select(Label.frame), None, purpose, None).order_by(Label.frame)).scalars()
    )


def count_labels(
    session: Session, since: datetime | None = None, purpose: str | None = None, source: str | None = None
) -> int:
    """How many labels were set or changed after `since` (ever when None)."""
    statement = _matching(select(func.count(Label.frame)), since, purpose, source)
    return int(session.execute(statement).scalar_one())


def _matching(
    statement: AnySelect, since: datetime | None, purpose: str | None, source: str | None
) -> AnySelect:
    if since is not None:
        statement = statement.where(Label.updated_at > since)
    if purpose is not None:
        statement = statement.where(Label.purpose == purpose)
    if source is not None:
        statement = statement.where(Label.source == source)
    return statement


def _label_row(row: Any) -> LabelRow:
    return LabelRow(**{**row._mapping, "boxes": tuple(_box(*stored) for stored in row.boxes)})


def _each_once(boxes: Sequence[list[str | float]]) -> list[list[str | float]]:
    """Boxes of one class and the same corners are one, whoever drew them."""
    return list({tuple(box[:5]): box for box in reversed(boxes)}.values())[::-1]


def _stored(box: Box) -> list[str | float]:
    return [box.class_name, *(round(float(side), 2) for side in box.xyxy), box.origin]


def _box(class_name: str, x1: float, y1: float, x2: float, y2: float, origin: BoxOrigin = "manual") -> Box:
    return Box(class_name, (x1, y1, x2, y2), origin)
