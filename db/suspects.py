"""Labels that look wrong, as runs over all labels found them, and what people decided of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from db.facts import get_fact, set_fact
from db.sql import in_parts, insert_new, insert_one, table_of
from db.states import OPEN_TASKS, SuspectKind, SuspectOutcome
from db.tables import LabelTask, Suspect, SuspectRun, utcnow

Place = list[Any]
"""[class name, x1, y1, x2, y2] in px."""
LAST_FACT = "last_suspect"
"""The largest id that a suspect ever had."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One comparison of the labels with models that were not trained on them.

    judges: the models, and how they were trained. calibration: what turns a score into a probability.
    """

    id: int
    begun_at: datetime
    finished_at: datetime | None
    judges: dict[str, Any]
    calibration: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewSuspect:
    """One label, or one place without a label, that looks wrong.

    box: the label, None where none is there. fix: what it should be, None for no box.
    score: 0..1 of its kind. probability: that it is wrong. gain: expected errors mended a second.
    """

    frame: int
    kind: SuspectKind
    box: Place | None
    fix: Place | None
    score: float
    probability: float
    gain: float


@dataclass(frozen=True, slots=True)
class SuspectRow:
    """One as stored. task_id: where a person looks, or looked, at it; outcome: what that came to."""

    id: int
    run_id: int
    frame: int
    kind: SuspectKind
    box: Place | None
    fix: Place | None
    score: float
    probability: float
    gain: float
    task_id: int | None
    outcome: SuspectOutcome | None
    decided_at: datetime | None


def begin_run(session: Session) -> int:
    """The id of a run that begins now."""
    number = insert_one(session, SuspectRun, begun_at=utcnow(), judges={}, calibration={})
    assert number is not None
    return number


def finish_run(
    session: Session,
    run: int,
    judges: Mapping[str, Any],
    calibration: Mapping[str, Any],
    found: Iterable[NewSuspect],
) -> None:
    """What the run found takes the place of what was found before and nobody looked at. What stands
    before people, or was decided, stays. No id is given twice: a page that is still open, and a picture
    that a browser keeps, name suspects by it.
    """
    last = max(int(get_fact(session, LAST_FACT) or 0), session.scalar(select(func.max(Suspect.id))) or 0)
    values = {"finished_at": utcnow(), "judges": dict(judges), "calibration": dict(calibration)}
    session.execute(update(SuspectRun).where(SuspectRun.id == run).values(values))
    before_people = select(LabelTask.id).where(LabelTask.status.in_(OPEN_TASKS))
    unseen = or_(Suspect.task_id.is_(None), Suspect.task_id.not_in(before_people))
    session.execute(delete(Suspect).where(Suspect.outcome.is_(None), unseen))
    rows = [{**asdict(one), "id": number, "run_id": run} for number, one in enumerate(found, last + 1)]
    insert_new(session, Suspect, rows)
    set_fact(session, LAST_FACT, str(last + len(rows)))


def newest_run(session: Session) -> RunRow | None:
    """The newest run that ended; None before the first one."""
    statement = select(*table_of(SuspectRun).columns).where(SuspectRun.finished_at.is_not(None))
    row = session.execute(statement.order_by(SuspectRun.id.desc()).limit(1)).one_or_none()
    return None if row is None else RunRow(**row._mapping)


def suspects(
    session: Session,
    ids: Iterable[int] | None = None,
    tasks: Iterable[int] | None = None,
    decided: bool | None = None,
) -> list[SuspectRow]:
    """Those that meet every given condition, the largest gain first. decided: whether a person has."""
    statement = select(*table_of(Suspect).columns)
    if decided is not None:
        statement = statement.where(Suspect.outcome.is_not(None) if decided else Suspect.outcome.is_(None))
    if tasks is not None:
        parts = in_parts(statement, Suspect.task_id, tasks)
    else:
        parts = in_parts(statement, Suspect.id, ids)
    found = [_row(row) for part in parts for row in session.execute(part)]
    return sorted(found, key=lambda row: (-row.gain, row.id))


def put_before(session: Session, ids: Collection[int], task: int | None) -> None:
    """A task asks about these; None: none does."""
    session.execute(update(Suspect).where(Suspect.id.in_(ids)).values(task_id=task))


def decide(session: Session, ids: Sequence[int], outcome: SuspectOutcome | None) -> None:
    """What a person decided of these; None takes it back."""
    when = None if outcome is None else utcnow()
    session.execute(update(Suspect).where(Suspect.id.in_(ids)).values(outcome=outcome, decided_at=when))


def _row(row: Any) -> SuspectRow:
    values = dict(row._mapping)
    outcome = values["outcome"]
    return SuspectRow(
        **values
        | {
            "kind": SuspectKind(values["kind"]),
            "outcome": None if outcome is None else SuspectOutcome(outcome),
        }
    )
