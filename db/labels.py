"""Answers as people gave them, and what we hold to be true of frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, select, update
from sqlalchemy.orm import Session

from connectors.ports import Box, BoxOrigin
from db.sql import AnySelect, changed_rows, in_parts, insert_one, table_of, upsert
from db.states import LotStatus
from db.tables import Annotation, Label, Lot, LotMember, utcnow

SAME_TIME = timedelta(milliseconds=1)
"""Room for other contents of one answer that say they are of the same time."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """What is true of a frame; no boxes = verified background.

    rule: which rule chose its answer among those to the task, "" where it came from none.
    imported: the boxes that came with the dataset, where an answer has taken their place.
    """

    frame: int
    boxes: tuple[Box, ...]
    purpose: str
    source: str
    annotation_id: int | None
    updated_at: datetime
    rule: str = ""
    imported: tuple[Box, ...] | None = None


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answer, one state of it.

    boxes: what it shows; None where it was no label, or came before boxes were kept.
    guideline: the stored guideline that labelers were shown.
    """

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
    boxes: tuple[Box, ...] | None = None
    guideline: int | None = None


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
    boxes: Sequence[Box] | None = None,
    guideline: int | None = None,
) -> int | None:
    """The id of the stored answer, or None when this state of it is already stored.

    A state is what the answer holds, not its time alone: another content of the same time is stored
    as one microsecond later than the last.
    """
    wanted = (Annotation.external_project == external_project, Annotation.external_id == external_id)
    statement = select(*table_of(Annotation).columns).where(*wanted)
    rows = [_answer_row(row) for row in session.execute(statement)]
    if stored_state(rows, external_project, external_id, updated_at, cancelled, result):
        return None
    same_time = [row.updated_at for row in rows if _same_time(row, updated_at)]
    return insert_one(
        session,
        Annotation,
        task_id=task_id,
        external_project=external_project,
        external_id=external_id,
        author=author[:200],
        created_at=created_at,
        updated_at=max(same_time) + timedelta(microseconds=1) if same_time else updated_at,
        cancelled=cancelled,
        lead_time_s=lead_time_s,
        result=list(result),
        boxes=None if boxes is None else _each_once([stored_box(box) for box in boxes]),
        guideline=guideline,
    )


def set_boxes(session: Session, answer: int, boxes: Sequence[Box]) -> None:
    """What a stored answer shows, where that was not known before."""
    values = {"boxes": _each_once([stored_box(box) for box in boxes])}
    session.execute(update(Annotation).where(Annotation.id == answer).values(values))


def stored_state(
    rows: Iterable[AnswerRow],
    external_project: int,
    external_id: int,
    updated_at: datetime,
    cancelled: bool,
    result: Sequence[Any],
) -> AnswerRow | None:
    """The row of that very state of an answer: of its time, and with what it holds."""
    for row in rows:
        same = (row.external_project, row.external_id) == (external_project, external_id)
        if same and _same_time(row, updated_at) and same_content(row, cancelled, result):
            return row
    return None


def same_content(row: AnswerRow, cancelled: bool, result: Sequence[Any]) -> bool:
    """Whether the stored state says exactly this, whenever and by whom."""
    return row.cancelled == cancelled and _text(row.result) == _text(result)


def answers(
    session: Session, task_ids: Iterable[int] | None = None, ids: Iterable[int] | None = None
) -> list[AnswerRow]:
    """Stored answers, of these tasks or of these ids, in the order they were last changed."""
    statement = select(*table_of(Annotation).columns)
    parts = in_parts(statement, Annotation.task_id, task_ids)
    if ids is not None:
        parts = in_parts(statement, Annotation.id, ids)
    rows = [_answer_row(row) for part in parts for row in session.execute(part)]
    return sorted(rows, key=lambda row: (row.updated_at, row.id))


def set_label(
    session: Session,
    frame: int,
    boxes: Sequence[Box],
    purpose: str,
    source: str,
    annotation_id: int | None = None,
    rule: str = "",
    imported: Sequence[Box] | None = None,
) -> None:
    """What is true of the frame from now on.

    rule: which rule chose the answer.
    imported: the boxes that came with the dataset, where an answer takes their place.

    boxes: none = verified background. Corners are kept to a hundredth of a pixel, confidence is
    not. A box that is there twice counts once: its second would be an object that nobody can find.
    """
    row = {
        "frame": frame,
        "boxes": _each_once([stored_box(box) for box in boxes]),
        "purpose": purpose,
        "source": source,
        "annotation_id": annotation_id,
        "rule": rule,
        "imported": None if imported is None else _each_once([stored_box(box) for box in imported]),
        "updated_at": utcnow(),
    }
    upsert(session, Label, [row])


def set_rule(session: Session, frame: int, rule: str) -> None:
    """Another rule chose the very answer that the label is of: the label itself did not change."""
    session.execute(update(Label).where(Label.frame == frame).values(rule=rule))


def delete_label(session: Session, frame: int) -> bool:
    """Whether there was one that came from an answer. An imported one is never deleted."""
    statement = delete(Label).where(Label.frame == frame, Label.annotation_id.is_not(None))
    return changed_rows(session.execute(statement)) > 0


def labels(
    session: Session,
    seqs: Iterable[int] | None = None,
    purpose: str | None = None,
    source: str | None = None,
    usable: bool = False,
) -> dict[int, LabelRow]:
    """Labels by frame, ascending, that meet every given condition.

    usable: without those that a rejected lot holds back.
    """
    statement = _matching(select(*table_of(Label).columns), None, purpose, source).order_by(Label.frame)
    if usable:
        statement = statement.where(~_held_back())
    parts = in_parts(statement, Label.frame, seqs)
    return {row.frame: _label_row(row) for part in parts for row in session.execute(part)}


def labeled_ids(session: Session, purpose: str) -> list[int]:
    """Frames with a label for this purpose, ascending."""
    return list(
        session.execute(_matching(select(Label.frame), None, purpose, None).order_by(Label.frame)).scalars()
    )


def count_labels(
    session: Session,
    since: datetime | None = None,
    purpose: str | None = None,
    source: str | None = None,
    rule: str | None = None,
    usable: bool = False,
) -> int:
    """How many labels were set or changed after `since` (ever when None). usable: see `labels`."""
    statement = _matching(select(func.count(Label.frame)), since, purpose, source)
    if usable:
        statement = statement.where(~_held_back())
    if rule is not None:
        statement = statement.where(Label.rule == rule)
    return int(session.execute(statement).scalar_one())


def as_drawn() -> ColumnElement[bool]:
    """Whether the label of a lot's member is the one that the lot was drawn with."""
    same = Label.annotation_id.is_not_distinct_from(LotMember.annotation_id)
    return and_(LotMember.frame == Label.frame, same)


def _held_back() -> ColumnElement[bool]:
    rejected = and_(Lot.id == LotMember.lot_id, Lot.status == LotStatus.REJECTED)
    return exists().where(as_drawn(), rejected)


def stored_boxes(stored: Iterable[Any]) -> tuple[Box, ...]:
    """Boxes as `labels.boxes` and `annotations.boxes` keep them."""
    return tuple(read_box(*each) for each in stored)


def _text(result: Sequence[Any]) -> str:
    return json.dumps(result, sort_keys=True)


def _same_time(row: AnswerRow, updated_at: datetime) -> bool:
    return updated_at <= row.updated_at < updated_at + SAME_TIME


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


def _answer_row(row: Any) -> AnswerRow:
    boxes = None if row.boxes is None else stored_boxes(row.boxes)
    return AnswerRow(**{**row._mapping, "boxes": boxes})


def _label_row(row: Any) -> LabelRow:
    imported = None if row.imported is None else stored_boxes(row.imported)
    return LabelRow(**{**row._mapping, "boxes": stored_boxes(row.boxes), "imported": imported})


def _each_once(boxes: Sequence[list[str | float]]) -> list[list[str | float]]:
    """Boxes of one class and the same corners are one, whoever drew them."""
    return list({tuple(box[:5]): box for box in reversed(boxes)}.values())[::-1]


def stored_box(box: Box) -> list[str | float]:
    """As it is kept: class name, corners to a hundredth of a pixel, origin, and what is hidden of it."""
    seen = [box.occluded, box.truncated] if box.occluded or box.truncated else []
    return [box.class_name, *(round(float(side), 2) for side in box.xyxy), box.origin, *seen]


def read_box(
    class_name: str,
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    origin: BoxOrigin = "manual",
    occluded: bool = False,
    truncated: bool = False,
) -> Box:
    """The inverse of `stored_box`."""
    return Box(class_name, (x1, y1, x2, y2), origin, occluded=occluded, truncated=truncated)
