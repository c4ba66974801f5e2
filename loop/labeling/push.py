"""Push: chosen frames become tasks in Label Studio, each exactly once, whatever is interrupted.

A task goes pending -> sent -> confirmed. `sent` commits before the import, so a stop in between
leaves a task of which we do not know whether it arrived: it is looked for, and sent again only when
it is absent and old enough that no import of it can still be under way on the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Engine

from connectors.ports import LabelBackend, LabelProject, LabelTask, Progress
from db.effort import set_drawn
from db.engine import read, write
from db.frames import FrameRow, frames
from db.states import TaskStatus
from db.tables import utcnow
from db.tasks import TaskRow, move, tasks
from loop.base.errors import ConfigError
from loop.base.files import chunked
from loop.base.lease import exclusive
from loop.base.moments import SECOND, shown
from loop.base.wording import counted, either
from loop.labeling.collection_tabs import COLLECTIONS, any_tab, anything_to_keep, keep_tabs, texts_of
from loop.labeling.consensus import draw_second
from loop.labeling.drawing import Drawing, drawings
from loop.labeling.order import shown_priority
from loop.labeling.project import (
    PERSONS,
    SLOTS,
    holding_project,
    is_restored,
    label_studio_project,
    mark_of_ours,
    note_push,
    remember_address,
    remember_project,
    require_ours,
    title_of,
)
from loop.labeling.renewal import renew_project
from loop.labeling.showing import anything_to_show, guideline_to_show, instructions, note_guideline
from loop.labeling.slice_names import slice_names
from loop.labeling.telling import Told, anything_to_tell, forget_untold, tell
from loop.project.project import Project
from loop.project.wiring import Parts

CHUNK = 100
SLICES = "slices"
"""Of what a task says: what its frame shows."""
SETTLE = timedelta(seconds=30)


@dataclass
class PushReport:
    """pushed: tasks made now.
    found: tasks that were there already.
    waiting: sent so recently that they may still arrive.

    busy: another process is pushing; nothing was done.
    renewed: what became of the Label Studio project that was left.
    tabs: what became of the tabs of collections.
    others: address of the project of each further person.
    told: what Label Studio heard of tasks that were dropped or moved here.
    guideline: labelers are shown a new wording of the guideline.
    """

    project_id: int = 0
    url: str = ""
    pushed: int = 0
    found: int = 0
    waiting: int = 0
    busy: bool = False
    renewed: str = ""
    told: Told = field(default_factory=Told)
    tabs: str = ""
    others: dict[str, str] = field(default_factory=dict)
    guideline: bool = False

    def lines(self) -> list[str]:
        counts = (
            f"{counted(self.pushed, 'task')} made, {self.found} {either(self.found, 'was', 'were')} there"
            f" already, {self.waiting} may still be arriving"
        )
        others = [f"a {person} labels at {url}" for person, url in self.others.items()]
        told = [*self.told.lines(), *([self.tabs] if self.tabs else [])]
        told += ["labelers are shown the guideline as it is now"] if self.guideline else []
        return [
            *([self.renewed] if self.renewed else []),
            counts,
            *told,
            f"label them at {self.url}",
            *others,
        ]


def push(
    parts: Parts,
    progress: Progress,
    new_project: bool = False,
    settle: timedelta = SETTLE,
    give_up_answers: bool = False,
) -> PushReport:
    """Sends every pending task. Raises LabelStudioError; what was not sent stays pending.

    Where the settings name another project than the last push, that one is left as by new_project,
    and its open tasks follow.

    new_project: see `renew_project`; then another is made.
    Raises ConfigError where the settings name one.
    settle: how long an import may be under way.
    give_up_answers: of the project that is left nothing is fetched. Raises ConfigError where none is.
    """
    project = parts.project
    configured = project.settings.label_studio.project_id
    if new_project and configured:
        raise ConfigError(
            f"label_studio.project_id: expected 0 with --new-project, got {configured}; "
            "set it to 0 or to the new project"
        )
    follows = bool(configured) and holding_project(project) not in (None, configured)
    if give_up_answers and not (new_project or follows):
        raise ConfigError(
            "--give-up-answers: expected --new-project beside it, or another project in"
            " label_studio.project_id, got neither; add one"
        )
    backend = parts.label_backend()
    with exclusive(project.engine, "push") as mine:
        if not mine:
            return PushReport(busy=True)
        renewed = ""
        if follows:
            require_ours(project, backend, configured)
            backend.check(configured, project.classes)
        if new_project or follows:
            renewed = renew_project(parts, progress, configured, give_up_answers)
        draw_second(project)
        report = _serve_all(project, backend, settle, progress)
        report.renewed = renewed
        return report


def anything_to_push(parts: Parts) -> bool:
    """Whether a task waits to be sent, or to be found where it was sent, or something of one to be told."""
    with read(parts.project.engine) as session:
        waits = tasks(session, status=(TaskStatus.PENDING, TaskStatus.SENT), limit=1)
        waiting = bool(waits) or anything_to_tell(session) or anything_to_keep(session)
    return waiting or anything_to_show(parts.project)


def _serve_all(project: Project, backend: LabelBackend, settle: timedelta, progress: Progress) -> PushReport:
    """First answers first; the project of a further person is made when it has a task."""
    report, guideline = PushReport(), guideline_to_show(project)
    for slot in SLOTS:
        if slot and not _wanted(project, slot):
            forget_untold(project.engine, slot)
            continue
        found = _ensure_project(project, backend, slot, instructions(project, guideline))
        if slot:
            report.others[PERSONS[slot]] = found.url
        else:
            report.project_id, report.url = found.external_id, found.url
            report.guideline = note_guideline(project, backend, guideline)
        _serve(project, backend, Place(slot, found.external_id), report, settle, progress)
    return report


@dataclass(frozen=True, slots=True)
class Place:
    """Where tasks of a slot go: a Label Studio project."""

    slot: int
    number: int


def _serve(
    project: Project,
    backend: LabelBackend,
    place: Place,
    report: PushReport,
    settle: timedelta,
    progress: Progress,
) -> None:
    before = report.pushed
    _resolve_sent(project.engine, backend, place, report, settle)
    report.told += tell(project.engine, backend, place.number, settle, place.slot)
    restored = is_restored(project, backend, place.number)
    _send_pending(project, backend, place, report, progress)
    if place.slot == 0:
        report.tabs = keep_tabs(project, backend, place.number)
    if report.pushed > before and not restored:
        note_push(project, backend, place.number)


def _wanted(project: Project, slot: int) -> bool:
    """Whether a further person has, or had, a task."""
    if holding_project(project, slot) is not None:
        return True
    with read(project.engine) as session:
        waiting = tasks(session, status=(TaskStatus.PENDING, TaskStatus.SENT))
    return any(row.slot == slot for row in waiting)


def _ensure_project(project: Project, backend: LabelBackend, slot: int, told: str) -> LabelProject:
    """told: to labelers, as HTML."""
    known = label_studio_project(project, slot)
    if known is not None:
        require_ours(project, backend, known, slot)
    mark = mark_of_ours(project)
    found = backend.ensure_project(title_of(project, slot), project.classes, told, known, mark)
    remember_project(project, found.external_id, slot)
    remember_address(project, backend.url)
    return found


def _resolve_sent(
    engine: Engine, backend: LabelBackend, place: Place, report: PushReport, settle: timedelta
) -> None:
    for chunk in chunked(_of_slot(engine, TaskStatus.SENT, place.slot), CHUNK):
        there = _find_once(backend, place.number, [task.key for task in chunk])
        absent = [task for task in chunk if task.key not in there]
        lost = [task.id for task in absent if utcnow() - task.changed_at >= settle]
        _confirm(engine, chunk, there, place.number)
        with write(engine) as session:
            move(session, lost, TaskStatus.SENT, TaskStatus.PENDING)
        report.found += len(there)
        report.waiting += len(absent) - len(lost)


def _send_pending(
    project: Project, backend: LabelBackend, place: Place, report: PushReport, progress: Progress
) -> None:
    engine = project.engine
    pending = _of_slot(engine, TaskStatus.PENDING, place.slot)
    with read(engine) as session:
        drawn = drawings(session, project, pending)
    for done, chunk in enumerate(chunked(pending, CHUNK)):
        there = _find_once(backend, place.number, [task.key for task in chunk])
        missing = [task for task in chunk if task.key not in there]
        outgoing = label_tasks(project, missing, drawn)
        with write(engine) as session:
            for task in missing:
                set_drawn(session, task.id, drawn[task.id].boxes, drawn[task.id].bare)
            move(session, [task.id for task in chunk], TaskStatus.PENDING, TaskStatus.SENT)
        made = backend.push(place.number, outgoing) if outgoing else {}
        _confirm(engine, chunk, there | made, place.number)
        report.pushed += len(made)
        report.found += len(there)
        progress(min((done + 1) * CHUNK, len(pending)), len(pending), "tasks")


def _of_slot(engine: Engine, status: TaskStatus, slot: int) -> list[TaskRow]:
    with read(engine) as session:
        return [row for row in tasks(session, status=status) if row.slot == slot]


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


def label_tasks(
    project: Project, rows: Sequence[TaskRow], drawn: Mapping[int, Drawing] | None = None
) -> list[LabelTask]:
    """What Label Studio gets to see of these tasks: image, reason, and boxes.

    drawn: by task, what `drawings` said before.
    """
    with read(project.engine) as session:
        by_seq = {frame.seq: frame for frame in frames(session, seqs=[row.frame for row in rows])}
        boxes = drawings(session, project, rows) if drawn is None else drawn
        texts = texts_of(session, [row.frame for row in rows]) if any_tab(session) else {}
        names = slice_names(session, project, [row.frame for row in rows])
    return [
        _label_task(
            project,
            row,
            by_seq[row.frame],
            boxes[row.id],
            {SLICES: ", ".join(names.get(row.frame, ()))}
            | ({COLLECTIONS: texts[row.frame]} if texts else {}),
        )
        for row in rows
    ]


def _label_task(
    project: Project, row: TaskRow, frame: FrameRow, drawn: Drawing, said: dict[str, str]
) -> LabelTask:
    timezone = project.settings.frames.timezone
    return LabelTask(
        key=row.key,
        image=project.store / frame.path,
        width=frame.width,
        height=frame.height,
        priority=shown_priority(row),
        reason=row.reason,
        purpose=row.purpose,
        predictions=drawn.boxes,
        model_version=drawn.model,
        meta={
            "camera": frame.camera,
            "site": frame.site,
            "file": frame.source_key,
            "captured_at": shown(frame.captured_at, timezone, SECOND) if frame.captured_at else "",
            **said,
        },
    )
