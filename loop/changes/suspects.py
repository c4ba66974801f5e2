"""What people do with suspect labels: put them before labelers, say that they are right, take that back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from db.changes import ChangeRow, change_by_id
from db.engine import read, write
from db.states import OPEN_TASKS, SuspectOutcome, TaskStatus
from db.suspects import SuspectRow, decide, put_before, suspects
from db.task_queue import tasks_by_id
from db.tasks import close_batches, move
from loop.base.errors import ConfigError
from loop.base.wording import counted
from loop.changes.audit import Who, note
from loop.insights.suspects import worst_first
from loop.labeling import suspect_tasks
from loop.labeling.project import holding_project
from loop.labeling.telling import to_take_back
from loop.project.project import Project
from loop.rounds.suspects import stop

MOST = 500
SENT, DISMISSED, TAKEN_BACK = "suspect sent", "suspect dismissed", "taken back"
Refused = str


@dataclass
class SuspectsChanged:
    """What came of it. what: sent, dismissed. done: ids of suspects. changes: ids of the lines in the audit
    log, by which it is undone. refused: by suspect, why it stays. frames: that labelers are asked about.
    """

    what: str
    done: list[int] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    refused: dict[int, Refused] = field(default_factory=dict)
    frames: int = 0

    @property
    def undoable(self) -> bool:
        """Whether it can be taken back."""
        return bool(self.changes) and self.what != TAKEN_BACK

    def lines(self) -> list[str]:
        """For people."""
        tasks = f", in {counted(self.frames, 'task')}" if self.frames else ""
        said = [f"{counted(len(self.done), 'suspect')} {self.what}{tasks}"]
        return said + [f"suspect {number} stays: {why}" for number, why in self.refused.items()]


def send_worst(project: Project, who: Who, count: int = 0) -> SuspectsChanged:
    """Puts the frames with the largest expected gain before labelers. count: frames, 0 for
    labels.suspect_budget.
    """
    with read(project.engine) as session:
        rows = worst_first(session, count or project.settings.labels.suspect_budget)
    return _send(project, who, [row.id for row in rows])


def send(project: Project, who: Who, ids: Sequence[int]) -> SuspectsChanged:
    """Puts these before labelers, one task for each frame. Raises ConfigError."""
    return _send(project, who, _bounded(ids))


def dismiss(project: Project, who: Who, ids: Sequence[int]) -> SuspectsChanged:
    """These labels are right: nobody is asked, and the next run learns from it. Raises ConfigError."""
    report = SuspectsChanged("dismissed")
    with write(project.engine) as session:
        known = {row.id: row for row in suspects(session, ids=ids)}
        for number in _bounded(ids):
            why = _why_not(session, known.get(number))
            if why:
                report.refused[number] = why
                continue
            decide(session, [number], SuspectOutcome.REFUTED)
            before, after = {"outcome": None}, {"outcome": str(SuspectOutcome.REFUTED)}
            report.changes.append(note(session, who, DISMISSED, f"suspect {number}", before, after))
            report.done.append(number)
    return report


def undo(project: Project, who: Who, changes: Sequence[int]) -> SuspectsChanged:
    """Takes changes back, by their ids in the audit log; what was decided or answered since stays. Raises
    ConfigError for an id that is none of a suspect's change.
    """
    report = SuspectsChanged(TAKEN_BACK)
    with write(project.engine) as session:
        for row in [_undoable(session, number) for number in _bounded(changes)]:
            number = int(row.subject.removeprefix("suspect "))
            why = UNDONE[row.what](project, session, number, row)
            if why:
                report.refused[number] = why
                continue
            what = f"{row.what}, {TAKEN_BACK}"
            report.changes.append(note(session, who, what, f"suspect {number}", row.after, row.before))
            report.done.append(number)
        close_batches(session)
    return report


def stop_run(project: Project, who: Who) -> None:
    """Stops the training of what judges labels; the next run goes on from there."""
    with write(project.engine) as session:
        stop(session)
        note(session, who, "judging of labels stopped", "suspects")


def _send(project: Project, who: Who, ids: Sequence[int]) -> SuspectsChanged:
    report = SuspectsChanged("sent")
    with write(project.engine) as session:
        rows = suspects(session, ids=ids)
        unknown = set(ids) - {row.id for row in rows}
        report.refused = dict.fromkeys(sorted(unknown), "it is not known")
        asked, refused = suspect_tasks.send(session, rows)
        report.refused |= refused
        report.frames = len(set(asked.values()))
        for number, task in asked.items():
            after = {"task": task}
            report.changes.append(note(session, who, SENT, f"suspect {number}", {"task": None}, after))
            report.done.append(number)
    return report


def _why_not(session: Session, row: SuspectRow | None) -> Refused:
    if row is None:
        return "it is not known"
    if row.outcome is not None:
        return "it is decided already"
    task = tasks_by_id(session, [row.task_id]).get(row.task_id) if row.task_id else None
    return suspect_tasks.ASKED if task is not None and task.status in OPEN_TASKS else ""


def _unsent(project: Project, session: Session, number: int, row: ChangeRow) -> Refused:
    task = tasks_by_id(session, [row.after["task"]])[row.after["task"]]
    rows = [one for one in suspects(session, tasks=[task.id]) if one.id == number]
    if not rows:
        return "it is not before people any more"
    if task.status not in OPEN_TASKS:
        return "its task is answered or dropped already"
    put_before(session, [number], None)
    if not suspects(session, tasks=[task.id]):
        move(session, [task.id], task.status, TaskStatus.CANCELLED, problem="its suspects were taken back")
        if holding_project(project) is not None:
            to_take_back(session, [task.id])
    return ""


def _undismissed(project: Project, session: Session, number: int, row: ChangeRow) -> Refused:
    rows = suspects(session, ids=[number])
    if not rows or rows[0].outcome is not SuspectOutcome.REFUTED or rows[0].task_id is not None:
        return "it was decided again since"
    decide(session, [number], None)
    return ""


UNDONE: dict[str, Callable[[Project, Session, int, ChangeRow], Refused]] = {
    SENT: _unsent,
    DISMISSED: _undismissed,
}


def _undoable(session: Session, number: int) -> ChangeRow:
    row = change_by_id(session, number)
    if row is None or row.what not in UNDONE:
        raise ConfigError(
            f"expected the number of a suspect's change, got {number}; the page Changes lists them"
        )
    return row


def _bounded(ids: Sequence[int]) -> list[int]:
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise ConfigError("expected at least one suspect, got none; choose some first")
    if len(wanted) > MOST:
        raise ConfigError(f"expected at most {MOST} suspects at once, got {len(wanted)}; do it in parts")
    return wanted
