"""Leaving a Label Studio project for another.

What it holds is fetched first, unless that is given up, then its open tasks go to the next one.
"""

from __future__ import annotations

from connectors.errors import LabelStudioError, ProjectGone
from connectors.ports import Progress
from db.engine import read, write
from db.facts import set_fact
from db.states import TaskStatus
from db.tasks import move, tasks
from loop.labeling.mending import to_mend
from loop.labeling.project import PUSHES_FACT, SLOTS, giving_up, holding_project, project_fact
from loop.labeling.pull import WATERMARK, pull_project
from loop.project.wiring import Parts

OVER_THERE = (TaskStatus.SENT, TaskStatus.CONFIRMED, TaskStatus.QUARANTINED)


def renew_project(parts: Parts, progress: Progress, target: int = 0, give_up: bool = False) -> str:
    """Fetches what the project holds, unless it is gone, then forgets it.

    target: the project that tasks go to from now on, 0 for a new one.
    give_up: what it holds is not fetched, because it cannot be.
    Answers what was done, "" before the first push.
    Raises LabelStudioError where its answers cannot be had; nothing is forgotten then.
    Projects of further persons are left with it.
    """
    former = holding_project(parts.project)
    if former is None:
        return ""
    numbers = {slot: holding_project(parts.project, slot) for slot in SLOTS}
    held = {slot: number for slot, number in numbers.items() if number is not None}
    if give_up:
        said = f"project {former} is left, and what was answered there and not pulled is given up"
    else:
        said = "; ".join(_last_pull(parts, number, slot, target, progress) for slot, number in held.items())
    with write(parts.project.engine) as session:
        # The next project may have the same number, on another server.
        for slot, number in held.items():
            set_fact(session, project_fact(slot), "")
            for fact in (WATERMARK, PUSHES_FACT):
                set_fact(session, f"{fact}_{number}", "")
        waiting = [task.id for task in tasks(session, status=OVER_THERE)]
        again = move(session, waiting, OVER_THERE, TaskStatus.PENDING, problem="")
    return f"{said}; {again} open tasks go to {f'project {target}' if target else 'a new project'}"


def _last_pull(parts: Parts, former: int, slot: int, target: int, progress: Progress) -> str:
    try:
        report = pull_project(parts, former, progress, slot=slot)
    except ProjectGone:
        return f"project {former} is not there any more, and with it every answer that was not pulled"
    except LabelStudioError as error:
        raise type(error)(
            f"expected to fetch the answers of project {former} before another takes its place, "
            f"got: {str(error).rstrip('.')}; no new project was made. To give its answers up, run"
            f" {giving_up(bool(target))}"
        ) from error
    with read(parts.project.engine) as session:
        report.standing = to_mend(session)
    fetched = "; ".join(report.lines())
    return (
        f"project {former} is left, its answers were fetched first ({fetched}); "
        "what is answered there from now on is not"
    )
