"""What people do with lots: draw one, so that its sample is inspected, or give it up."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from db.engine import write
from db.lots import lots_of_labels
from db.states import OPEN_TASKS, TaskStatus
from db.tasks import close_batches, move
from loop.base.errors import ConfigError
from loop.base.printable import printable
from loop.base.wording import counted
from loop.changes.audit import Who, note
from loop.insights.lots import planned, sample_lines
from loop.labeling.lots import BEGUN, begin, withdraw_lot
from loop.labeling.project import holding_project
from loop.labeling.telling import to_take_back
from loop.project.project import Project
from loop.project.wiring import Parts

DRAWN, WITHDRAWN = "lot drawn", "lot withdrawn"
ALL_NEW = "all new labels"


@dataclass(frozen=True)
class LotDrawn:
    """lot: its number. said: what is inspected, a line a fact."""

    lot: int
    said: tuple[str, ...]


def draw(
    parts: Parts, who: Who, address: str = "", kind: str = "double", seed: int | None = None
) -> LotDrawn:
    """Puts a random sample of the labels before people. address: of frames, "" for all new labels that
    people gave. seed: None for one that nobody can foresee. Raises ConfigError.
    """
    chosen = secrets.randbits(31) if seed is None else seed
    found = planned(parts, address, kind, chosen)
    name = printable(address)[:200] or ALL_NEW
    with write(parts.project.engine) as session:
        if lots_of_labels(session, BEGUN, [one.frame for one in found.members]):
            raise ConfigError(
                "expected labels that no lot holds, got some that another lot took just now; draw again"
            )
        number = begin(session, found, name, chosen, who.name)
        after = {"name": name, "labels": found.sample.labels, "plan": found.plan.kind, "seed": chosen}
        note(session, who, DRAWN, f"lot {number}", {}, after)
    return LotDrawn(number, tuple(sample_lines(found)))


def withdraw(project: Project, who: Who, number: int, reason: str = "") -> str:
    """Nothing is claimed of the lot, and nobody is asked any more; what happened. Raises ConfigError where it
    is not under inspection.

    reason: stands in the audit log.
    """
    with write(project.engine) as session:
        left = withdraw_lot(session, number)
        move(session, left, OPEN_TASKS, TaskStatus.CANCELLED, problem=f"lot {number} was withdrawn")
        if holding_project(project) is not None:
            to_take_back(session, left)
        close_batches(session)
        after = {"status": "withdrawn", **({"reason": reason} if reason else {})}
        note(session, who, WITHDRAWN, f"lot {number}", {"status": "drawn"}, after)
    return f"lot {number} is withdrawn; {counted(len(left), 'task')} taken back with the next push"
