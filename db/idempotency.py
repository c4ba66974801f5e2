"""Answers to changes that were asked for under a key: asking again gets the same answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from db.sql import insert_new_ids, table_of
from db.tables import IdempotentRequest, utcnow

KEPT = timedelta(days=7)
WORKED_ON = timedelta(minutes=10)
"""A request that changed nothing and has no answer for so long was stopped: it may be asked again."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a key.

    fingerprint: of what was asked, sha256.
    status: of the answer, None while it is worked on.
    body: of the answer; without a status what the request changed so far, such as "change 12".
    """

    fingerprint: str
    status: int | None
    body: str | None


def claim_request(session: Session, key: str, fingerprint: str) -> Kept | None:
    """None where the key is new, and the caller's from now on; else what is known of it."""
    now = utcnow()
    idle = _changed_nothing() & (IdempotentRequest.asked_at < now - WORKED_ON)
    session.execute(delete(IdempotentRequest).where((IdempotentRequest.asked_at < now - KEPT) | idle))
    row = {"key": key, "fingerprint": fingerprint, "asked_at": now}
    if insert_new_ids(session, IdempotentRequest, [row]):
        return None
    table = table_of(IdempotentRequest)
    found = session.execute(select(table).where(table.c.key == key)).one()
    return Kept(found.fingerprint, found.status, found.body)


def mark_request(session: Session, key: str, changed: str) -> None:
    """Notes what a request changed, in the transaction of that change: then it never happens again."""
    begun = update(IdempotentRequest).where(IdempotentRequest.key == key, _changed_nothing())
    session.execute(begun.values(body=changed))


def answer_request(session: Session, key: str, status: int, body: str) -> None:
    """Keeps the answer for whoever asks again."""
    mine = update(IdempotentRequest).where(IdempotentRequest.key == key)
    session.execute(mine.values(status=status, body=body))


def forget_request(session: Session, key: str) -> None:
    """Of a request that has no answer: it may be asked again, unless it changed something."""
    session.execute(delete(IdempotentRequest).where(IdempotentRequest.key == key, _changed_nothing()))


def _changed_nothing() -> ColumnElement[bool]:
    return IdempotentRequest.status.is_(None) & IdempotentRequest.body.is_(None)
