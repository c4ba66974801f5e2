"""Who may act, and the ledger of what ran."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from db.sql import changed_rows, insert_one, table_of
from db.tables import Lease, Run, utcnow


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Who holds a lease, and until when."""

    name: str
    holder: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of a job; finished_at is None while it runs, or when its process died."""

    id: int
    job: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    detail: str | None


def acquire(session: Session, name: str, holder: str, ttl_s: float) -> bool:
    """True when the lease is the holder's now: it was free, expired, or already theirs."""
    until = utcnow() + timedelta(seconds=ttl_s)
    if insert_one(session, Lease, name=name, holder=holder, expires_at=until) is not None:
        return True
    mine_or_expired = or_(Lease.holder == holder, Lease.expires_at <= utcnow())
    statement = update(Lease).where(Lease.name == name, mine_or_expired)
    return changed_rows(session.execute(statement.values(holder=holder, expires_at=until))) == 1


def beat(session: Session, name: str, holder: str, ttl_s: float) -> bool:
    """Prolongs the lease; False when somebody else took it: the former holder must stop acting."""
    until = utcnow() + timedelta(seconds=ttl_s)
    statement = update(Lease).where(Lease.name == name, Lease.holder == holder).values(expires_at=until)
    return changed_rows(session.execute(statement)) == 1


def release(session: Session, name: str, holder: str) -> bool:
    """Gives the lease back; False when it was not the holder's."""
    statement = delete(Lease).where(Lease.name == name, Lease.holder == holder)
    return changed_rows(session.execute(statement)) == 1


def lease(session: Session, name: str) -> LeaseRow | None:
    """The lease as stored, expired or not."""
    row = session.execute(select(*table_of(Lease).columns).where(Lease.name == name)).one_or_none()
    return None if row is None else LeaseRow(**row._mapping)


def start_run(session: Session, job: str) -> int:
    """Opens a line in the ledger."""
    run = Run(job=job)
    session.add(run)
    session.flush()
    return run.id


def finish_run(session: Session, run_id: int, outcome: str, detail: str | None = None) -> bool:
    """Closes the line once. outcome: done, waiting or failed."""
    statement = update(Run).where(Run.id == run_id, Run.finished_at.is_(None))
    values = {"finished_at": utcnow(), "outcome": outcome, "detail": detail}
    return changed_rows(session.execute(statement.values(**values))) == 1


def last_runs(session: Session) -> dict[str, RunRow]:
    """The newest run of each job."""
    newest = select(func.max(Run.id)).group_by(Run.job)
    rows = session.execute(select(*table_of(Run).columns).where(Run.id.in_(newest)).order_by(Run.job))
    return {row.job: RunRow(**row._mapping) for row in rows}
