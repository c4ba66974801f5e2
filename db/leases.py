"""Who may act, and the ledger of what ran."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from db.sql import changed_rows, insert_one, table_of
from db.tables import Lease, Run, utcnow

KEPT_RUNS = 200


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Who holds a lease, and until when."""

    name: str
    holder: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RunRow:
    """What a job did from when to when; of what it met again and again, the first time and the
    last.
    """

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


def note_run(
    session: Session,
    job: str,
    started_at: datetime,
    outcome: str,
    detail: str | None = None,
    *,
    repeated: bool = False,
    keep: int = KEPT_RUNS,
) -> None:
    """A line in the ledger, which keeps the newest `keep` of each job.

    outcome: done, waiting, stopped, failed or missed.
    repeated: where the job's newest line says the same, its end moves on instead.
    """
    last = last_runs(session).get(job) if repeated else None
    if last is not None and (last.outcome, last.detail) == (outcome, detail):
        session.execute(update(Run).where(Run.id == last.id).values(finished_at=utcnow()))
        return
    session.add(Run(job=job, started_at=started_at, finished_at=utcnow(), outcome=outcome, detail=detail))
    session.flush()
    newest = select(Run.id).where(Run.job == job).order_by(Run.id.desc()).limit(keep)
    session.execute(delete(Run).where(Run.job == job, Run.id.not_in(newest)))


def last_runs(session: Session) -> dict[str, RunRow]:
    """The newest run of each job."""
    newest = select(func.max(Run.id)).group_by(Run.job)
    rows = session.execute(select(*table_of(Run).columns).where(Run.id.in_(newest)).order_by(Run.job))
    return {row.job: RunRow(**row._mapping) for row in rows}
