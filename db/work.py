"""Work that people asked for once: kept with the change that asks for it, and until it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from db.sql import table_of
from db.states import WorkKind
from db.tables import AskedWork, utcnow

KEPT = timedelta(days=90)
"""What ended is forgotten then."""
TITLE = 200
"""Characters."""


@dataclass(frozen=True, slots=True)
class WorkRow:
    """Work as stored.

    arguments: of its kind, as JSON.
    begun_at: last, None while it waits. times_begun: more than once where the service was killed.
    outcome: "" until it ends; done, failed, waiting or stopped then.
    """

    id: int
    kind: WorkKind
    title: str
    arguments: dict[str, Any]
    who: str
    via: str
    asked_at: datetime
    begun_at: datetime | None
    times_begun: int
    ended_at: datetime | None
    outcome: str
    detail: str


def add_work(
    session: Session, kind: WorkKind, title: str, arguments: Mapping[str, Any], who: str, via: str
) -> int:
    """The id of the new row, in the transaction of whoever asks. Forgets what ended long ago."""
    session.execute(delete(AskedWork).where(AskedWork.ended_at < utcnow() - KEPT))
    row = AskedWork(kind=kind, title=title[:TITLE], arguments=dict(arguments), who=who, via=via)
    session.add(row)
    session.flush()
    return row.id


def begin_work(session: Session) -> WorkRow | None:
    """The oldest that did not end, begun now; None where all is done. For the leader's one thread alone."""
    first = select(func.min(AskedWork.id)).where(AskedWork.ended_at.is_(None))
    number = session.execute(first).scalar()
    if number is None:
        return None
    counted = {"begun_at": utcnow(), "times_begun": AskedWork.times_begun + 1}
    session.execute(update(AskedWork).where(AskedWork.id == number).values(counted))
    return work_by_id(session, number)


def put_back_work(session: Session, number: int) -> None:
    """It was stopped as the service was asked to: it waits again, and this beginning does not count."""
    waits = {"begun_at": None, "times_begun": AskedWork.times_begun - 1}
    session.execute(update(AskedWork).where(AskedWork.id == number).values(waits))


def end_work(session: Session, number: int, outcome: str, detail: str) -> None:
    ended = {"ended_at": utcnow(), "outcome": outcome, "detail": detail}
    session.execute(update(AskedWork).where(AskedWork.id == number).values(ended))


def work_by_id(session: Session, number: int) -> WorkRow | None:
    table = table_of(AskedWork)
    found = session.execute(select(table).where(table.c.id == number)).first()
    return None if found is None else WorkRow(**found._mapping)


def latest_work(session: Session, limit: int) -> list[WorkRow]:
    """The latest first."""
    table = table_of(AskedWork)
    found = session.execute(select(table).order_by(table.c.id.desc()).limit(limit))
    return [WorkRow(**row._mapping) for row in found]


def any_open_work(session: Session) -> bool:
    found = session.execute(select(AskedWork.id).where(AskedWork.ended_at.is_(None)).limit(1))
    return found.first() is not None
