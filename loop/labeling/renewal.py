"""Leaving a Label Studio project for another.

What it holds is fetched first, unless that is given up, then its open tasks go to the next one.
"""

from __future__ import annotations

from connectors.errors import LabelStudioError, ProjectGone
from connectors.ports import Progress
from db.engine import write
from db.facts import set_fact
from db.states import TaskStatus
from db.tasks import move, tasks
from loop.labeling.project import PROJECT_FACT, PUSHES_FACT, giving_up, holding_project
from loop.labeling.pull import WATERMARK, pull
from loop.project.wiring import Parts

OVER_THERE = (TaskStatus.SENT, TaskStatus.CONFIRMED, TaskStatus.QUARANTINED)


def renew_project(parts: Parts, progress: Progress, target: int = 0, give_up: bool = False) -> str:
    """Fetches what the project holds, unless it is gone, then forgets it.

    target: the project that tasks go to from now on, 0 for a new one.
    give_up: what it holds is not fetched, because it cannot be.
    Answers what was done, "" before the first push.
    Raises LabelStudioError where its answers cannot be had; nothing is forgotten then.
    """
    former = holding_project(parts.project)
    if former is None:
        return ""
    if give_up:
        said = f"project {former} is left, and what was answered there and not pulled is given up"
    else:
        said = _last_pull(parts, former, target, progress)
    with write(parts.project.engine) as session:
        set_fact(session, PROJECT_FACT, "")
        # The next project may have the same number, on another server.
        for fact in (WATERMARK, PUSHES_FACT):
            set_fact(session, f"{fact}_{former}", "")
        waiting = [task.id for task in tasks(session, status=OVER_THERE)]
        again = move(session, waiting, OVER_THERE, TaskStatus.PENDING, problem="")
    return f"{said}; {again} open tasks go to {f'project {target}' if target else 'a new project'}"


def _last_pull(parts: Parts, former: int, target: int, progress: Progress) -> str:
    try:
        report = pull(parts, progress)
    except ProjectGone:
        return f"project {former} is not there any more, and with it every answer that was not pulled"
    except LabelStudioError as error:
        raise type(error)(
            f"expected to fetch the answers of project {former} before another takes its place, "
            f"got: {str(error).rstrip('.')}; no new project was made. To give its answers up, run"
            f" {giving_up(bool(target))}"
        ) from error
    report.follows = ""
    fetched = "; ".join(report.lines())
    return (
        f"project {former} is left, its answers were fetched first ({fetched}); "
        "what is answered there from now on is not"
    )
