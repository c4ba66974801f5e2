"""Push: chosen frames become tasks in Label Studio, each exactly once, whatever is interrupted.

A task goes pending -> sent -> confirmed. `sent` commits before the import, so a stop in between leaves a task of which we do not
know whether it arrived: it is looked for, and sent again only when it is absent and old enough that no import of it can still be
under way on the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine

from connectors.errors import LabelStudioError, ProjectGone
from connectors.ports import Box, LabelBackend, LabelTask, Progress
from db.analysis import load_detections, producer
from db.engine import read, write
from db.facts import get_fact, set_fact
from db.frames import FrameRow, frames
from db.states import TaskStatus
from db.tables import utcnow
from db.tasks import TaskRow, move, tasks
from loop.base.errors import ConfigError
from loop.base.lease import exclusive
from loop.ingest.ingest import chunked
from loop.labeling.pull import pull
from loop.math.boxes.drawn import predicted_boxes

CHUNK = 100
SETTLE = timedelta(seconds=30)
PROJECT_FACT = "label_studio_project"
OVER_THERE = (TaskStatus.SENT, TaskStatus.CONFIRMED, TaskStatus.QUARANTINED)


@dataclass
class PushReport:
    """pushed: tasks made now. found: tasks that were there already. waiting: sent so recently that they may still arrive.

    busy: another process is pushing; nothing was done. renewed: what became of the Label Studio project that was left.
    """

    project_id: int = 0
    url: str = ""
    pushed: int = 0
    found: int = 0
    waiting: int = 0
    busy: bool = False
    renewed: str = ""

    def lines(self) -> list[str]:
        counts = (
            f"{self.pushed} tasks made, {self.found} were there already, {self.waiting} may still be arriving"
        )
        return [*([self.renewed] if self.renewed else []), counts, f"label them at {self.url}"]


def push(
    engine: Engine,
    store: Path,
    backend: LabelBackend,
    title: str,
    classes: Sequence[str],
    instructions: str,
    configured_project: int,
    progress: Progress,
    settle: timedelta = SETTLE,
    new_project: bool = False,
) -> PushReport:
    """Sends every pending task. Raises LabelStudioError; what was not sent stays pending.

    new_project: see `renew_project`; then another is made. Raises ConfigError where the settings name one.
    """
    if new_project and configured_project:
        raise ConfigError(
            f"label_studio.project_id: expected 0 with --new-project, got {configured_project}; set it to 0 or to the new project"
        )
    with exclusive(engine, "push") as mine:
        if not mine:
            return PushReport(busy=True)
        renewed = renew_project(engine, backend, classes, progress) if new_project else ""
        report = _ensure_project(engine, backend, title, classes, instructions, configured_project)
        report.renewed = renewed
        backend.check(report.project_id, classes)
        _resolve_sent(engine, backend, report, settle)
        _send_pending(engine, store, backend, report, progress)
        return report


def renew_project(engine: Engine, backend: LabelBackend, classes: Sequence[str], progress: Progress) -> str:
    """Fetches what the Label Studio project holds, unless it is gone, then forgets it: open tasks go to the next one. What was done.

    Raises LabelStudioError where its answers cannot be had; nothing is forgotten then.
    """
    former = label_studio_project(engine)
    if former is None:
        return ""
    said = _last_pull(engine, backend, former, classes, progress)
    with write(engine) as session:
        set_fact(session, PROJECT_FACT, "")
        waiting = [task.id for task in tasks(session, status=OVER_THERE)]
        again = move(session, waiting, OVER_THERE, TaskStatus.PENDING)
    return f"{said}; {again} open tasks go to a new project"


def label_studio_project(engine: Engine, configured: int = 0) -> int | None:
    """The Label Studio project of this fieldloop project, once there is one."""
    with read(engine) as session:
        fact = get_fact(session, PROJECT_FACT)
    return configured or (int(fact) if fact else None)


def _last_pull(
    engine: Engine, backend: LabelBackend, former: int, classes: Sequence[str], progress: Progress
) -> str:
    try:
        report = pull(engine, backend, former, classes, progress)
    except ProjectGone:
        return f"project {former} is not there any more, and with it every answer that was not pulled"
    except LabelStudioError as error:
        raise type(error)(
            f"expected to fetch the answers of project {former} before another takes its place, got: {error}; "
            f"no new project was made. To give its answers up, delete project {former} in Label Studio first"
        ) from error
    fetched = "; ".join(report.lines())
    return f"project {former} is left, its answers were fetched first ({fetched}); what is answered there from now on is not"


def _ensure_project(
    engine: Engine,
    backend: LabelBackend,
    title: str,
    classes: Sequence[str],
    instructions: str,
    configured: int,
) -> PushReport:
    known = label_studio_project(engine, configured)
    project = backend.ensure_project(title, classes, instructions, known)
    if project.external_id != known or not configured:
        with write(engine) as session:
            set_fact(session, PROJECT_FACT, str(project.external_id))
    return PushReport(project_id=project.external_id, url=project.url)


def _resolve_sent(engine: Engine, backend: LabelBackend, report: PushReport, settle: timedelta) -> None:
    with read(engine) as session:
        sent = tasks(session, status=TaskStatus.SENT)
    for chunk in chunked(sent, CHUNK):
        there = _find_once(backend, report.project_id, [task.key for task in chunk])
        absent = [task for task in chunk if task.key not in there]
        lost = [task.id for task in absent if utcnow() - task.changed_at >= settle]
        _confirm(engine, chunk, there, report.project_id)
        with write(engine) as session:
            move(session, lost, TaskStatus.SENT, TaskStatus.PENDING)
        report.found += len(there)
        report.waiting += len(absent) - len(lost)


def _send_pending(
    engine: Engine, store: Path, backend: LabelBackend, report: PushReport, progress: Progress
) -> None:
    with read(engine) as session:
        pending = tasks(session, status=TaskStatus.PENDING)
    for done, chunk in enumerate(chunked(pending, CHUNK)):
        there = _find_once(backend, report.project_id, [task.key for task in chunk])
        missing = [task for task in chunk if task.key not in there]
        outgoing = label_tasks(engine, store, missing)
        with write(engine) as session:
            move(session, [task.id for task in chunk], TaskStatus.PENDING, TaskStatus.SENT)
        made = backend.push(report.project_id, outgoing) if outgoing else {}
        _confirm(engine, chunk, there | made, report.project_id)
        report.pushed += len(made)
        report.found += len(there)
        progress(min((done + 1) * CHUNK, len(pending)), len(pending), "tasks")


def _find_once(backend: LabelBackend, project_id: int, keys: Sequence[str]) -> dict[str, int]:
    """One task per key; further copies that nobody has answered are removed."""
    found = backend.find(project_id, keys)
    if copies := [extra for ids in found.values() for extra in sorted(ids)[1:]]:
        backend.remove(project_id, copies)
    return {key: min(ids) for key, ids in found.items()}


def _confirm(engine: Engine, rows: Sequence[TaskRow], external: dict[str, int], project_id: int) -> None:
    with write(engine) as session:
        for row in rows:
            if row.key in external:
                fields = {"external_id": external[row.key], "external_project": project_id}
                move(session, [row.id], (TaskStatus.PENDING, TaskStatus.SENT), TaskStatus.CONFIRMED, **fields)


def label_tasks(engine: Engine, store: Path, rows: Sequence[TaskRow]) -> list[LabelTask]:
    """What Label Studio gets to see of these tasks: image, reason, and the detector's own boxes."""
    with read(engine) as session:
        by_seq = {frame.seq: frame for frame in frames(session, seqs=[row.frame for row in rows])}
        drawn = {
            detector: (
                load_detections(session, detector, [row.frame for row in rows]),
                producer(session, detector),
            )
            for detector in {row.detector for row in rows if row.detector is not None}
        }
    result = []
    for row in rows:
        boxes: list[Box] = []
        version = ""
        if row.detector is not None:
            found, made_by = drawn[row.detector]
            version = made_by.name
            if row.frame in found:
                boxes = predicted_boxes(found[row.frame], made_by.details["classes"])
        result.append(_label_task(store, row, by_seq[row.frame], boxes, version))
    return result


def _label_task(store: Path, row: TaskRow, frame: FrameRow, boxes: Sequence[Box], version: str) -> LabelTask:
    return LabelTask(
        key=row.key,
        image=store / frame.path,
        width=frame.width,
        height=frame.height,
        priority=row.priority,
        reason=row.reason,
        purpose="evaluation" if row.purpose == "evaluation" else "train",
        predictions=boxes,
        model_version=version,
        meta={
            "camera": frame.camera,
            "site": frame.site,
            "captured_at": frame.captured_at.isoformat() if frame.captured_at else "",
        },
    )
