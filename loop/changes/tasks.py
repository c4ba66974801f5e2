"""What people do with label tasks: drop, pin, hurry, and take that back.

The database changes at once and Label Studio hears of it with the next push (`loop.labeling.telling`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from db.changes import ChangeRow, change_by_id
from db.engine import read, write
from db.errors import Conflict
from db.states import OPEN_TASKS, TaskStatus
from db.task_queue import front_priority, tasks_by_id
from db.tasks import TaskRow, close_batches, move, reopen_batches
from loop.base.errors import ConfigError
from loop.base.printable import printable
from loop.base.wording import counted
from loop.changes.audit import Who, note
from loop.insights.queue import STATES
from loop.labeling.consensus import opinions_to_come
from loop.labeling.order import hurried_priority
from loop.labeling.project import holding_project
from loop.labeling.telling import not_to_take_back, to_move, to_take_back
from loop.project.project import Project

MOST = 500
LONGEST_REASON = 1000
DROPPED, PINNED, UNPINNED, HURRIED = "task dropped", "task pinned", "task unpinned", "task hurried"
TAKEN_BACK = "taken back"
"""How what undoes a change is called in the audit log, after the change."""

Refused = str
"""Why a task stays as it is, "" where it does not."""


@dataclass
class Report:
    """What came of a change of several tasks.

    what: dropped, pinned. done: ids of the tasks. changes: ids of the lines in the audit log, by which
    it is undone. refused: by task, why it stays as it is. judging: of those that were dropped, the ones
    that chance drew to judge models.
    """

    what: str
    done: list[int] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    judging: int = 0

    @property
    def undoable(self) -> bool:
        """Whether its changes can be taken back."""
        return bool(self.changes) and self.what != TAKEN_BACK

    def lines(self) -> list[str]:
        """For people."""
        said = [f"{counted(len(self.done), 'task')} {self.what}"]
        if self.judging:
            said.append(
                f"{self.judging} of them had been drawn to judge models: the more of those are dropped, the"
                " less the verdict speaks for all frames"
            )
        return said + [f"task {number} stays: {why}" for number, why in self.refused.items()]


def drop(project: Project, who: Who, ids: Sequence[int], reason: str = "") -> Report:
    """Nobody is asked to label these any more, and their frames are not chosen again. What somebody has
    begun in Label Studio stays there, and an answer to it counts. Nobody is asked for another opinion on
    them either. Raises ConfigError.
    """
    said = f"dropped by {printable(who.name)}" + (f": {clean(reason)}" if clean(reason) else "")

    def change(session: Session, row: TaskRow, place: int) -> Refused:
        move(session, [row.id], row.status, TaskStatus.CANCELLED, problem=said)
        return ""

    report = Report("dropped")
    with write(project.engine) as session:
        rows = _apply(session, who, ids, DROPPED, change, report, {"reason": clean(reason)})
        others = opinions_to_come(session, rows)
        move(session, others, OPEN_TASKS, TaskStatus.CANCELLED, problem=said)
        if holding_project(project) is not None:
            to_take_back(session, [*report.done, *others])
        close_batches(session)
    report.judging = sum(row.inclusion_probability is not None for row in rows)
    return report


def pin(project: Project, who: Who, ids: Sequence[int], pinned: bool = True) -> Report:
    """These come first, whatever is chosen later; or no longer. Raises ConfigError."""

    def change(session: Session, row: TaskRow, place: int) -> Refused:
        if row.pinned == pinned:
            return "it is pinned already" if pinned else "it is not pinned"
        move(session, [row.id], row.status, row.status, pinned=pinned)
        return ""

    report = Report("pinned" if pinned else "no longer pinned")
    with write(project.engine) as session:
        _apply(session, who, ids, PINNED if pinned else UNPINNED, change, report)
        to_move(session, report.done)
    return report


def hurry(project: Project, who: Who, ids: Sequence[int]) -> Report:
    """These come before all that are open now, behind the pinned ones; the first of them first.
    Raises ConfigError.
    """
    report = Report("hurried")
    with write(project.engine) as session:
        front, last = front_priority(session), len(set(ids)) - 1

        def change(session: Session, row: TaskRow, place: int) -> Refused:
            move(session, [row.id], row.status, row.status, priority=hurried_priority(front, last - place))
            return ""

        _apply(session, who, ids, HURRIED, change, report)
        to_move(session, report.done)
    return report


def undo(project: Project, who: Who, changes: Sequence[int]) -> Report:
    """Takes changes back, by their ids in the audit log; a task that was changed since stays as it is.
    Raises ConfigError for an id that is none of a task's change.
    """
    report = Report(TAKEN_BACK)
    with read(project.engine) as session:
        rows = [_undoable(session, number) for number in _bounded(changes)]
    for row in rows:
        number = int(row.subject.removeprefix("task "))
        try:
            with write(project.engine) as session:
                why = _undone(session, who, row, number, report)
        except Conflict:
            why = "its frame has another open task by now"
        if why:
            report.refused[number] = why
        else:
            report.done.append(number)
    return report


def clean(reason: str) -> str:
    """What a person wrote, on one line. Raises ConfigError where it is too long."""
    text = printable(" ".join(reason.split()))
    if len(text) > LONGEST_REASON:
        raise ConfigError(
            f"expected a reason of at most {LONGEST_REASON} characters, got {len(text)}; shorten it"
        )
    return text


def _apply(
    session: Session,
    who: Who,
    ids: Sequence[int],
    what: str,
    change: Callable[[Session, TaskRow, int], Refused],
    report: Report,
    more: dict[str, str] | None = None,
) -> list[TaskRow]:
    """Changes each open task, with a line in the audit log; the tasks that were changed, as before."""
    wanted = _bounded(ids)
    known = tasks_by_id(session, wanted)
    changed = []
    for place, number in enumerate(wanted):
        row = known.get(number)
        why = _closed(row) or (change(session, row, place) if row else "")
        if why or row is None:
            report.refused[number] = why
            continue
        after = _state(tasks_by_id(session, [number])[number])
        said = {name: value for name, value in (more or {}).items() if value}
        report.changes.append(note(session, who, what, f"task {number}", _state(row), after | said))
        report.done.append(number)
        changed.append(row)
    return changed


def _undone(session: Session, who: Who, row: ChangeRow, number: int, report: Report) -> Refused:
    task = tasks_by_id(session, [number]).get(number)
    if task is None:
        return "it is not known any more"
    now = _state(task)
    if any(now[name] != row.after[name] for name in now):
        return "it was changed again since"
    before = row.before
    status = TaskStatus(before["status"])
    if row.what == DROPPED and status is not TaskStatus.QUARANTINED:
        # The next push finds it where it still stands, and makes it again where it was taken back.
        status = TaskStatus.PENDING
    values = {name: before[name] for name in ("priority", "pinned", "problem")}
    move(session, [number], task.status, status, **values)
    if row.what == DROPPED:
        not_to_take_back(session, [number])
        reopen_batches(session)
    else:
        to_move(session, [number])
    after = _state(tasks_by_id(session, [number])[number])
    what = f"{row.what}, {TAKEN_BACK}"
    report.changes.append(note(session, who, what, f"task {number}", now, after))
    return ""


def _undoable(session: Session, number: int) -> ChangeRow:
    row = change_by_id(session, number)
    if row is None or row.what not in (DROPPED, PINNED, UNPINNED, HURRIED):
        raise ConfigError(
            f"expected the number of a task's change, got {number}; the page Changes lists them"
        )
    return row


def _state(row: TaskRow) -> dict[str, object]:
    """What these changes change."""
    return {"status": str(row.status), "priority": row.priority, "pinned": row.pinned, "problem": row.problem}


def _closed(row: TaskRow | None) -> Refused:
    if row is None:
        return "it is not known"
    return "" if row.status in OPEN_TASKS else f"it is {STATES[row.status]}"


def _bounded(ids: Sequence[int]) -> list[int]:
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise ConfigError("expected at least one task, got none; choose some first")
    if len(wanted) > MOST:
        raise ConfigError(f"expected at most {MOST} tasks at once, got {len(wanted)}; do it in parts")
    return wanted
