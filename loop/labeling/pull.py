"""Pull: labels follow what stands in Label Studio. Only what a person submitted counts, and only as
long as it stands there; a prediction that nobody submitted never does.

Every task that changed comes with all answers it holds now. `ruling` says which of them is in
force; a task has a label exactly while it is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.ports import Annotation, LabelBackend, Progress, Purpose, TaskAnswers
from db.engine import read, write
from db.facts import get_fact, set_fact
from db.labels import AnswerRow, answers, delete_label, labels, record_annotation, set_label
from db.states import TaskStatus
from db.tasks import TaskRow, close_batches, move, reopen_batches, task_by_key, tasks, tasks_by_keys
from loop.base.errors import ProjectError, PurposeError
from loop.base.files import chunked
from loop.labeling.project import holding_project, label_studio_project, remember_address, require_ours
from loop.labeling.ruling import rule
from loop.project.wiring import Parts

OVERLAP = timedelta(minutes=5)
WATERMARK = "pull_watermark"
ANSWERED = (TaskStatus.DONE, TaskStatus.SKIPPED, TaskStatus.QUARANTINED)
ANSWERABLE = (TaskStatus.PENDING, TaskStatus.SENT, TaskStatus.CONFIRMED, *ANSWERED)


@dataclass
class PullReport:
    """answers: new or changed answers by what they became.
    deleted: tasks gone over there, cancelled here.

    unseen: those of the answers that nobody looked at the image for.
    unknown: class names that are not ours and, in brackets, what else is no box.
    to_mend: what is wrong with the number of the task, of what was found now; `loop.labeling.mending`
    tells what stands.
    revoked: labels taken back, their answer deleted or turned into a skip or into one that is
    quarantined.
    follows: where open tasks go with the next push, "" where they are.
    """

    answers: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)
    to_mend: list[str] = field(default_factory=list)
    deleted: int = 0
    foreign: int = 0
    revoked: int = 0
    unseen: int = 0
    follows: str = ""

    def lines(self) -> list[str]:
        """What happened, for a person: counts first, then every quarantined task with what is wrong
        in it.
        """
        counts = [f"{count} {status}" for status, count in sorted(self.answers.items())]
        said = [", ".join(counts) or "no new answers"]
        if self.revoked:
            said.append(f"{self.revoked} labels revoked")
        if self.unseen:
            said.append(f"{self.unseen} accepted unseen")
        if self.deleted:
            said.append(f"{self.deleted} tasks cancelled: they were deleted in Label Studio")
        return [
            "; ".join(said),
            *([self.follows] if self.follows else []),
            *(f"mend in Label Studio, no label until then: {one}" for one in self.to_mend),
        ]


def pull(parts: Parts, progress: Progress) -> PullReport:
    """Every change since the last pull, from the project that holds our tasks.

    Raises LabelStudioError, StrangersProject among them; nothing is lost, the next pull starts at
    the same point.
    Raises ProjectError before the first push.
    """
    project = parts.project
    external = holding_project(project) or label_studio_project(project)
    if external is None:
        raise ProjectError("expected a Label Studio project, found none yet; `fieldloop push` makes it")
    engine, backend = project.engine, parts.label_backend()
    require_ours(project, backend, external)
    remember_address(project, backend.url)
    backend.check(external, project.classes)
    report = PullReport(follows=_follows(external, label_studio_project(project)))
    watermark = _watermark(engine, external)
    found = backend.answers(external, watermark - OVERLAP if watermark else None)
    changed = sorted(found, key=lambda seen: seen.updated_at)
    for count, seen in enumerate(_touched(engine, changed), 1):
        with write(engine) as session:
            _follow(session, external, seen, report)
        progress(count, 0, "answers")
    _reconcile(engine, backend, external, [seen.key for seen in changed if seen.answers], report)
    with write(engine) as session:
        close_batches(session)
        reopen_batches(session)
        if changed and (watermark is None or changed[-1].updated_at > watermark):
            set_fact(session, f"{WATERMARK}_{external}", changed[-1].updated_at.isoformat())
    return report


def anything_to_pull(parts: Parts) -> bool:
    """Whether there is a Label Studio project to ask."""
    return label_studio_project(parts.project) is not None


def _follows(holding: int, chosen: int | None) -> str:
    if chosen in (None, holding):
        return ""
    return (
        f"label_studio.project_id names project {chosen}: open tasks follow there with the next push; until"
        f" then answers are read from project {holding}"
    )


def _watermark(engine: Engine, project_id: int) -> datetime | None:
    with read(engine) as session:
        fact = get_fact(session, f"{WATERMARK}_{project_id}")
    return datetime.fromisoformat(fact) if fact else None


def _touched(engine: Engine, changed: Sequence[TaskAnswers]) -> list[TaskAnswers]:
    """Those that a person answered, now or before; what was only just pushed is left out."""
    with read(engine) as session:
        bare = tasks_by_keys(session, [seen.key for seen in changed if not seen.answers])
    answered = {key for key, task in bare.items() if task.status in ANSWERED}
    return [seen for seen in changed if seen.answers or seen.key in answered]


def _follow(session: Session, project_id: int, seen: TaskAnswers, report: PullReport) -> None:
    """Brings label and status of one task to what its answers say now, in one transaction and any
    number of times.
    """
    task = task_by_key(session, seen.key)
    if task is None:
        report.foreign += len(seen.answers)
        return
    new = [one for one in seen.answers if _record(session, task, project_id, one)]
    known = answers(session, [task.id])
    ruling = rule(seen.answers, judges=_judges(task.purpose))
    answer, status = ruling.answer, ruling.status
    if not _decides(task, project_id, seen, answer, known):
        return
    if answer in new:
        report.answers[status] += 1
        report.unseen += answer.unseen
    if ruling.problem and (answer in new or ruling.problem != task.problem):
        report.unknown.update(ruling.unknown)
        report.to_mend.append(f"task {seen.external_task_id}: {ruling.problem}")
    if answer and status is TaskStatus.DONE:
        _set_label(session, task, answer, _stored_id(known, project_id, answer), ruling.rule)
    else:
        report.revoked += delete_label(session, task.id)
    there = {
        "external_project": project_id,
        "external_id": seen.external_task_id,
        "problem": ruling.problem,
    }
    if (status, seen.external_task_id, ruling.problem) != (task.status, task.external_id, task.problem):
        move(session, [task.id], ANSWERABLE, status, **there)


def _record(session: Session, task: TaskRow, project_id: int, answer: Annotation) -> bool:
    recorded = record_annotation(
        session,
        task.id,
        external_project=project_id,
        external_id=answer.external_id,
        author=answer.author,
        created_at=answer.created_at,
        updated_at=answer.updated_at,
        cancelled=answer.cancelled,
        lead_time_s=answer.lead_time_s,
        result=answer.result,
    )
    return recorded is not None


def _decides(
    task: TaskRow,
    project_id: int,
    seen: TaskAnswers,
    answer: Annotation | None,
    known: Sequence[AnswerRow],
) -> bool:
    """The task we know of decides, also by what it lost; a copy of it only by an answer that none
    of the known outdoes.
    """
    if (task.external_project, task.external_id) == (project_id, seen.external_task_id):
        return answer is not None or task.status in ANSWERED
    return answer is not None and all(
        row.cancelled or (row.updated_at <= answer.updated_at and not answer.cancelled) for row in known
    )


def _stored_id(known: Sequence[AnswerRow], project_id: int, answer: Annotation) -> int:
    wanted = (project_id, answer.external_id, answer.updated_at)
    return next(row.id for row in known if (row.external_project, row.external_id, row.updated_at) == wanted)


def _judges(purpose: Purpose) -> bool:
    match purpose:
        case Purpose.TRAIN | Purpose.EVALUATION:
            return purpose is Purpose.EVALUATION
        case Purpose.CONSENSUS | Purpose.SUSPECT | Purpose.INSPECTION | Purpose.REPORT:
            raise PurposeError("pull", purpose)
        case _:
            assert_never(purpose)


def _set_label(session: Session, task: TaskRow, answer: Annotation, annotation_id: int, rule: str) -> None:
    held = labels(session, [task.frame]).get(task.frame)
    if held is None or (held.annotation_id, held.rule) != (annotation_id, rule):
        set_label(session, task.frame, answer.boxes, task.purpose, "annotation", annotation_id, rule)


def _reconcile(
    engine: Engine, backend: LabelBackend, project_id: int, answered: Collection[str], report: PullReport
) -> None:
    """Cancels what was deleted over there; removes copies that an import left which arrived after
    it was given up.
    """
    with read(engine) as session:
        waiting = tasks(session, status=TaskStatus.CONFIRMED)
        looked_at = {task.key: task for task in waiting if task.external_project == project_id}
        looked_at |= tasks_by_keys(session, answered)
    for chunk in chunked(looked_at.values(), 1000):
        there = backend.find(project_id, [task.key for task in chunk])
        if copies := [extra for task in chunk for extra in _copies(task, there.get(task.key, []))]:
            backend.remove(project_id, copies)
        gone = [task.id for task in chunk if task.key not in there]
        with write(engine) as session:
            report.deleted += move(session, gone, TaskStatus.CONFIRMED, TaskStatus.CANCELLED)


def _copies(task: TaskRow, ids: Sequence[int]) -> list[int]:
    """All but the one that we know; where we know none of them, but the oldest."""
    kept = task.external_id if task.external_id in ids else min(ids, default=None)
    return [number for number in ids if number != kept]
