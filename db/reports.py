"""Mistakes of models that people reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.sql import changed_rows, table_of
from db.states import ReportKind
from db.tables import Report, utcnow


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One report.

    model_id: whose mistake it is, None where that is not said.
    box: (x1, y1, x2, y2) in px, None for the frame as a whole.
    closed_at: since when it needs nobody any more.
    """

    id: int
    frame: int
    model_id: int | None
    kind: ReportKind
    class_name: str | None
    box: tuple[float, float, float, float] | None
    note: str
    who: str
    at: datetime
    closed_at: datetime | None


def add_report(
    session: Session,
    frame: int,
    kind: ReportKind,
    who: str,
    *,
    model_id: int | None = None,
    class_name: str | None = None,
    box: Sequence[float] | None = None,
    note: str = "",
) -> int:
    """The id of the new row."""
    corners = None if box is None else [float(value) for value in box]
    row = Report(
        frame=frame, kind=kind, who=who, model_id=model_id, class_name=class_name, box=corners, note=note
    )
    session.add(row)
    session.flush()
    return row.id


def reports(
    session: Session, *, frame: int | None = None, only_open: bool = False, limit: int | None = None
) -> list[ReportRow]:
    """Newest first."""
    statement = select(*table_of(Report).columns).order_by(Report.id.desc()).limit(limit)
    if frame is not None:
        statement = statement.where(Report.frame == frame)
    if only_open:
        statement = statement.where(Report.closed_at.is_(None))
    return [_row(row) for row in session.execute(statement)]


def close_report(session: Session, frame: int, report_id: int) -> bool:
    """False when it was closed before, or is none of this frame."""
    mine = update(Report).where(Report.id == report_id, Report.frame == frame)
    open_one = mine.where(Report.closed_at.is_(None))
    return changed_rows(session.execute(open_one.values(closed_at=utcnow()))) == 1


def open_report(session: Session, frame: int, report_id: int) -> bool:
    """Takes `close_report` back. False when it was not closed, or is none of this frame."""
    mine = update(Report).where(Report.id == report_id, Report.frame == frame)
    closed = mine.where(Report.closed_at.is_not(None))
    return changed_rows(session.execute(closed.values(closed_at=None))) == 1


def _row(row: Any) -> ReportRow:
    values = dict(row._mapping)
    box = values.pop("box")
    return ReportRow(
        **values | {"kind": ReportKind(values["kind"]), "box": None if box is None else tuple(box)}
    )
