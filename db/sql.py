"""What SQLite and PostgreSQL spell alike: insert-or-ignore, upserts, long IN lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, Insert, Select, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session

from db.tables import Base

DIRECT = {"synchronize_session": False}
"""Of a statement that changes rows: no object of the session stands for them."""
IN_LIMIT = 10_000  # below the number of parameters both databases take in one statement

Row = Mapping[str, Any]
Change = Callable[[Any], dict[str, Any]]
AnySelect = Select[*tuple[Any, ...]]


def table_of(entity: type[Base]) -> Table:
    return cast(Table, entity.__table__)


def insert_new(session: Session, entity: type[Base], rows: Sequence[Row]) -> None:
    """Inserts the rows; those that meet a unique constraint are left out."""
    if rows:
        session.execute(_insert(session, entity).on_conflict_do_nothing(), list(rows))


def insert_new_ids(session: Session, entity: type[Base], rows: Sequence[Row]) -> list[int]:
    """As insert_new; returns the primary keys of the rows that went in."""
    if not rows:
        return []
    key = next(iter(table_of(entity).primary_key.columns))
    statement: Insert = _insert(session, entity).on_conflict_do_nothing().returning(key)
    return list(session.execute(statement, list(rows)).scalars())


def insert_one(session: Session, entity: type[Base], **values: Any) -> int | None:
    """The new row's primary key, or None when a unique constraint was met."""
    return next(iter(insert_new_ids(session, entity, [values])), None)


def insert_selected(session: Session, entity: type[Base], names: Sequence[str], found: AnySelect) -> None:
    """Inserts what a statement finds, column by column; what meets a unique constraint is left out.

    The statement needs a WHERE: without one SQLite takes ON CONFLICT for a join.
    """
    session.execute(_insert(session, entity).from_select(names, found).on_conflict_do_nothing())


def upsert(session: Session, entity: type[Base], rows: Sequence[Row], change: Change | None = None) -> None:
    """Inserts the rows, or overwrites the row with the same primary key.

    change: what becomes of such a row instead, from the columns of the new one.
    """
    if not rows:
        return
    keys = [column.name for column in table_of(entity).primary_key.columns]
    statement = _insert(session, entity)
    new = statement.excluded
    changed = change(new) if change else {name: new[name] for name in rows[0] if name not in keys}
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))


def changed_rows(result: object) -> int:
    """How many rows an UPDATE or DELETE met."""
    return cast("CursorResult[Any]", result).rowcount


def in_chunks(values: Iterable[Any], size: int = IN_LIMIT) -> Iterator[list[Any]]:
    """Distinct plain values, ascending, at most `size` at a time."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def in_parts(statement: AnySelect, column: Any, values: Iterable[Any] | None) -> list[AnySelect]:
    """The statement once when values is None, else once for each chunk of values that column may
    have.
    """
    return [statement] if values is None else [statement.where(column.in_(c)) for c in in_chunks(values)]


def _insert(session: Session, entity: type[Base]) -> Any:
    if session.get_bind().dialect.name != "postgresql":
        return sqlite.insert(table_of(entity))
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table_of(entity))
