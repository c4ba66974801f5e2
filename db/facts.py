"""Small named facts of the project: its uuid, the Label Studio project, watermarks."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.sql import insert_new, upsert
from db.tables import Fact


def get_fact(session: Session, key: str) -> str | None:
    return session.execute(select(Fact.value).where(Fact.key == key)).scalar()


def set_fact(session: Session, key: str, value: str) -> None:
    upsert(session, Fact, [{"key": key, "value": value}])


def claim_fact(session: Session, key: str, value: str) -> str:
    """The stored value; `value` is stored only when the key is new."""
    insert_new(session, Fact, [{"key": key, "value": value}])
    return session.execute(select(Fact.value).where(Fact.key == key)).scalar_one()


def lock_fact(session: Session, key: str) -> None:
    """Until the transaction ends, others that lock this fact wait; on SQLite all that write wait
    anyway.
    """
    session.execute(select(Fact.value).where(Fact.key == key).with_for_update())
