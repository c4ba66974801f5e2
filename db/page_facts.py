"""What pages show, computed once and kept with its date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db.sql import table_of
from db.tables import PageFact, utcnow


@dataclass(frozen=True, slots=True)
class PageFactRow:
    """One view of a kind, as it was when it was made."""

    id: int
    kind: str
    made_at: datetime
    value: dict[str, Any]


def add_page_fact(session: Session, kind: str, value: Mapping[str, Any]) -> int:
    """The id of the new row."""
    row = PageFact(kind=kind, value=dict(value), made_at=utcnow())
    session.add(row)
    session.flush()
    return row.id


def latest_page_fact(session: Session, kind: str, until: datetime | None = None) -> PageFactRow | None:
    """The newest of a kind, or the newest made by then; None where there is none."""
    statement = select(*table_of(PageFact).columns).where(PageFact.kind == kind)
    if until is not None:
        statement = statement.where(PageFact.made_at <= until)
    newest = statement.order_by(PageFact.made_at.desc(), PageFact.id.desc()).limit(1)
    row = session.execute(newest).one_or_none()
    return None if row is None else PageFactRow(**row._mapping)


def page_fact_dates(session: Session, kind: str) -> list[tuple[int, datetime]]:
    """(id, made at) of all of a kind, oldest first."""
    columns = select(PageFact.id, PageFact.made_at).where(PageFact.kind == kind)
    return [(row.id, row.made_at) for row in session.execute(columns.order_by(PageFact.made_at, PageFact.id))]


def page_fact_by_id(session: Session, fact_id: int) -> PageFactRow | None:
    """None where there is none of that id."""
    row = session.execute(select(*table_of(PageFact).columns).where(PageFact.id == fact_id)).one_or_none()
    return None if row is None else PageFactRow(**row._mapping)


def drop_page_facts(session: Session, ids: list[int]) -> None:
    """Those that are no longer wanted."""
    session.execute(delete(PageFact).where(PageFact.id.in_(ids)))
