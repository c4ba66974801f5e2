"""What a person must mend in Label Studio before there is a label: it stands until it is mended."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from db.engine import read
from db.facts import get_fact
from db.frames import frames
from db.states import TaskStatus
from db.tasks import TaskRow, tasks
from loop.labeling.project import ADDRESS_FACT
from loop.project.project import Project

log = logging.getLogger(__name__)
SHOWN = 20
NOT_KNOWN = "found by an earlier version; `fieldloop pull --all` says why"


@dataclass(frozen=True, slots=True)
class Mend:
    """One task whose answers are no label.

    task: its number in Label Studio.
    url: where a person opens it.
    file: the image, as its source names it.
    """

    task: int
    url: str
    file: str
    reason: str

    def line(self) -> str:
        return f"task {self.task} ({self.file}): {self.reason}; {self.url}"


def to_mend(session: Session) -> list[Mend]:
    """All that stands, oldest batch first."""
    waiting = tasks(session, status=TaskStatus.QUARANTINED)
    if not waiting:
        return []
    address = get_fact(session, ADDRESS_FACT) or ""
    files = {frame.seq: frame.source_key for frame in frames(session, seqs=[row.frame for row in waiting])}
    return [_mend(row, address, files[row.frame]) for row in waiting]


def lines(standing: Sequence[Mend]) -> list[str]:
    """A line each, of many the first SHOWN and how many more there are."""
    more = len(standing) - SHOWN
    rest = [f"and {more} more; `fieldloop status --json` lists all"] if more > 0 else []
    return [*(one.line() for one in standing[:SHOWN]), *rest]


def log_what_stands(project: Project) -> None:
    """A warning for each."""
    with read(project.engine) as session:
        standing = to_mend(session)
    for line in lines(standing):
        log.warning("mend in Label Studio, no label until then: %s", line)


def _mend(row: TaskRow, address: str, file: str) -> Mend:
    url = f"{address}/projects/{row.external_project}/data?task={row.external_id}"
    return Mend(row.external_id or 0, url, file, row.problem or NOT_KNOWN)
