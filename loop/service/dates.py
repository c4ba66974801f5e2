"""Dates that passed while no service ran: a job that waits for a date remembers the next one.

Jobs of an interval owe nothing: they run at every start, and take up whatever there is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger
from sqlalchemy import Engine

from db.engine import read, write
from db.facts import get_fact, set_fact

NEXT_DATE = "next_date"


def missed_date(engine: Engine, job: str, schedule: str, now: datetime) -> datetime | None:
    """The date that the job waited for, if it passed without a run; None for a new schedule."""
    with read(engine) as session:
        fact = get_fact(session, f"{NEXT_DATE}_{job}")
    if fact is None:
        return None
    date, _, text = fact.partition(" ")
    due = datetime.fromisoformat(date)
    return due if text == schedule and due <= now else None


def remember_date(engine: Engine, job: str, schedule: str, trigger: BaseTrigger, now: datetime) -> None:
    """The first date after now is what the job waits for."""
    following = trigger.get_next_fire_time(None, now + timedelta(microseconds=1))
    if following is not None:
        with write(engine) as session:
            set_fact(session, f"{NEXT_DATE}_{job}", f"{following.isoformat()} {schedule}")
