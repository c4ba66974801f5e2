"""The audit log: who changed what, and what it was before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.sql import table_of
from db.tables import Change


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change.

    via: page, api or command.
    subject: what was changed, such as "model 3".
    before, after: what of it is different, by name.
    """

    id: int
    at: datetime
    who: str
    via: str
    what: str
    subject: str
    before: dict[str, Any]
    after: dict[str, Any]


def record_change(
    session: Session,
    who: str,
    via: str,
    what: str,
    subject: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> int:
    """The id of the new row; in the transaction of the change itself where that is one."""
    row = Change(who=who, via=via, what=what, subject=subject, before=dict(before), after=dict(after))
    session.add(row)
    session.flush()
    return row.id


def changes(
    session: Session,
    limit: int,
    before: int | None = None,
    subject: str | None = None,
    who: str | None = None,
    what: str | None = None,
) -> list[ChangeRow]:
    """At most `limit` changes, newest first; those with a smaller id than `before`, of this subject, by
    this person, and of this kind.
    """
    statement = select(*table_of(Change).columns).order_by(Change.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(Change.id < before)
    for column, wanted in ((Change.subject, subject), (Change.who, who), (Change.what, what)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    return [ChangeRow(**row._mapping) for row in session.execute(statement)]


def change_choices(session: Session, limit: int) -> tuple[list[str], list[str]]:
    """Who changed something, and what was done, at most `limit` each, in order."""
    who, what = (
        list(session.execute(select(column).distinct().order_by(column).limit(limit)).scalars())
        for column in (Change.who, Change.what)
    )
    return who, what


def change_by_id(session: Session, change_id: int) -> ChangeRow | None:
    """None where there is none of that id."""
    row = session.execute(select(*table_of(Change).columns).where(Change.id == change_id)).one_or_none()
    return None if row is None else ChangeRow(**row._mapping)
