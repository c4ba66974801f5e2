"""Work that people asked for, as pages, API and commands read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from db.engine import read
from db.errors import StateError
from db.states import WorkKind
from db.work import WorkRow, latest_work, work_by_id
from loop.project.project import Project

SHOWN = 50
__all__ = ["SHOWN", "Submitted", "WorkKind", "one_submitted", "submitted"]


@dataclass(frozen=True)
class Submitted:
    """Work that someone asked for once.

    now: what it does, "" while it waits or once it ended.
    outcome: "" until it ends; done, failed, waiting or stopped then.
    detail: what came of it.
    """

    id: int
    kind: WorkKind
    title: str
    who: str
    now: str
    outcome: str
    detail: str
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def submitted(project: Project) -> list[Submitted]:
    """The latest first, SHOWN of it."""
    with read(project.engine) as session:
        return [_told(row) for row in latest_work(session, SHOWN)]


def one_submitted(project: Project, number: int) -> Submitted:
    """Raises StateError for a number that there is not."""
    with read(project.engine) as session:
        row = work_by_id(session, number)
    if row is None:
        raise StateError(f"work: expected the number of work that was asked for, got {number}; see /api/jobs")
    return _told(row)


def _told(row: WorkRow) -> Submitted:
    return Submitted(
        row.id,
        row.kind,
        row.title,
        row.who,
        "",
        row.outcome,
        row.detail,
        row.asked_at,
        row.begun_at,
        row.ended_at,
    )
