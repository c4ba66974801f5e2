"""Pull: labels follow what stands in Label Studio. Only what a person submitted counts, and only as
long as it stands there; a prediction that nobody submitted never does.

Every task that changed comes with all answers it holds now. `ruling` says which of them is in
force; a task has a label exactly while it is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.errors import LabelStudioDown, LabelStudioError, TokenRefused
from connectors.ports import Annotation, Progress, Purpose, TaskAnswers
from db.engine import read, write
from db.facts import get_fact, set_fact
from db.guidelines import guideline_at
from db.labels import (
    AnswerRow,
    LabelRow,
    answers,
    labels,
    record_annotation,
    set_boxes,
    stored_state,
)
from db.states import OPEN_TASKS, TaskStatus
from db.tables import utcnow
from db.task_queue import tasks_by_id
from db.tasks import TaskRow, close_batches, move, reopen_batches, task_by_key, tasks_by_keys
from loop.base.errors import ProjectError
from loop.base.files import chunked
from loop.base.wording import counted, either
from loop.labeling.adoption import adopt, may_be_ours
from loop.labeling.consensus import ask_third, is_asked_otherwise, persons_before, recheck_others
from loop.labeling.copies import as_first_given, is_older, outdoes, repeated, stands_there
from loop.labeling.lots import decide_lots
from loop.labeling.mending import Mend, to_mend
from loop.labeling.presence import WAITING, is_as_counted, keys_waiting, look, note_count, point_at
from loop.labeling.project import (
    SLOTS,
    holding_project,
    is_restored,
    label_studio_project,
    note_restored,
    remember_address,
    require_ours,
)
from loop.labeling.ruling import Ruling, rule
from loop.labeling.standing import settle
from loop.labeling.suspect_tasks import settle_suspects
from loop.project.project import Project
from loop.project.wiring import Parts

OVERLAP = timedelta(minutes=5)
WATERMARK = "pull_watermark"
COMPARED = "pull_compared"
MOVED = "pull_watermark_moved"
"""Fact: when, by our clock, the watermark came to where it is."""
CHUNK = 500
OF_THE_SERVER = (LabelStudioDown, TokenRefused)
"""What would go wrong with every project of the server."""
ANSWERED = (TaskStatus.DONE, TaskStatus.SKIPPED, TaskStatus.QUARANTINED)
ANSWERABLE = (*TaskStatus,)
"""Whatever became of a task, an answer to it counts; also to one that was deleted and imported again."""


@dataclass
class PullReport:
    """answers: new or changed answers by what they became.
    deleted: tasks gone over there, cancelled here.

    unseen: those of the answers that nobody looked at the image for.
    unknown: class names that are not ours and, in brackets, what else is no box.
    to_mend: what is wrong with the number of the task, of what was found now.
    foreign: answers of tasks that this project does not know.
    adopted: answers among them whose tasks it knows again, as after a restore.
    waiting: when those were given that may be ours, and whose frames are not in the project.
    standing: all that is to mend, found now or before.
    revoked: labels taken back, their answer deleted or turned into a skip or into one that is
    quarantined.
    kept: numbers of tasks of which Label Studio shows an older state than we hold, as after a backup
    was restored; their labels stay.
    restored: the whole project is older than our last push into it.
    again: tasks that such a server lacks, to be made again by the next push.
    compared: all answers were compared by what they hold.
    follows: where open tasks go with the next push, "" where they are.
    lots: what became of lots of labels that are inspected, a line each.
    """

    answers: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)
    to_mend: list[str] = field(default_factory=list)
    standing: list[Mend] = field(default_factory=list)
    deleted: int = 0
    foreign: int = 0
    revoked: int = 0
    adopted: int = 0
    waiting: list[datetime] = field(default_factory=list)
    unseen: int = 0
    kept: set[int] = field(default_factory=set)
    restored: bool = False
    again: int = 0
    compared: bool = False
    follows: str = ""
    lots: list[str] = field(default_factory=list)

    def add(self, other: PullReport) -> None:
        """What another project of ours said too."""
        self.answers += other.answers
        self.unknown |= other.unknown
        self.kept |= other.kept
        for name in ("deleted", "foreign", "revoked", "adopted", "unseen", "again"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.to_mend += other.to_mend
        self.waiting += other.waiting
        self.lots += other.lots
        self.restored |= other.restored
        self.compared |= other.compared

    def lines(self) -> list[str]:
        """What happened, for a person: counts first, then every task to mend with what is wrong in
        it, as long as that stands.
        """
        counts = [f"{count} {status}" for status, count in sorted(self.answers.items())]
        said = [", ".join(counts) or "no new answers"]
        if self.revoked:
            said.append(f"{counted(self.revoked, 'label')} revoked")
        if self.unseen:
            said.append(f"{self.unseen} accepted unseen")
        if self.deleted:
            they = either(self.deleted, "it was", "they were")
            said.append(f"{counted(self.deleted, 'task')} cancelled: {they} deleted in Label Studio")
        if self.adopted:
            said.append(f"{counted(self.adopted, 'task')} taken back that stood in Label Studio alone")
        if self.kept:
            said.append(_kept(self.kept))
        elif self.restored:
            said.append("Label Studio is older than our last push, as after a backup was restored")
        if self.again:
            again = counted(self.again, "task that it lacks is", "tasks that it lacks are")
            said.append(f"{again} made again by the next push")
        return [
            "; ".join(said),
            *([self.follows] if self.follows else []),
            *self._foreign_lines(),
            *self.lots,
            *(
                f"mend in Label Studio, no label until then: task {one.task} ({one.file}): {one.reason}"
                for one in self.standing
            ),
        ]

    def _foreign_lines(self) -> list[str]:
        if self.waiting:
            wait = counted(len(self.waiting), "answered task waits", "answered tasks wait")
            return [
                f"{wait} for frames that the project does not have; run `fieldloop ingest` where these still"
                " lie, then pull again"
            ]
        are = either(self.foreign, "is of a task that is", "are of tasks that are")
        return [f"{counted(self.foreign, 'answer')} {are} not ours"] if self.foreign else []


def pull(parts: Parts, progress: Progress, everything: bool = False) -> PullReport:
    """Every change since the last pull, from the projects that hold our tasks; where two persons turn
    out to contradict each other, a third is asked with the next push.

    everything: all answers are compared by what they hold, not only those of tasks whose time moved;
    done by itself once that is due (label_studio.compare_h), and where Label Studio holds fewer or more
    tasks than it should: only then a task that is missing is held to be deleted.
    Raises LabelStudioError, StrangersProject among them; nothing is lost, the next pull starts at
    the same point. One project that cannot be read keeps no other from being read first.
    Raises ProjectError before the first push.
    """
    project = parts.project
    chosen = label_studio_project(project)
    external = holding_project(project) or chosen
    if external is None:
        raise ProjectError("expected a Label Studio project, found none yet; `fieldloop push` makes it")
    report, unread = PullReport(), list[LabelStudioError]()
    for slot, number in _to_read(project, external):
        try:
            report.add(pull_project(parts, number, progress, everything, slot))
        except OF_THE_SERVER:
            raise
        except LabelStudioError as error:
            unread.append(error)
    with write(project.engine) as session:
        ask_third(session)
        report.standing = to_mend(session)
    if unread:
        raise unread[0]
    report.follows = _follows(external, chosen)
    return report


def _to_read(project: Project, first: int) -> list[tuple[int, int]]:
    """The projects that hold our tasks, each behind its slot."""
    further = [(slot, holding_project(project, slot)) for slot in SLOTS[1:]]
    return [(0, first), *((slot, number) for slot, number in further if number is not None)]


def pull_project(
    parts: Parts, external: int, progress: Progress, everything: bool = False, slot: int = 0
) -> PullReport:
    """Every change since the last pull, from one Label Studio project. Raises LabelStudioError."""
    project, begun = parts.project, utcnow()
    engine, backend = project.engine, parts.label_backend()
    require_ours(project, backend, external, slot)
    remember_address(project, backend.url)
    backend.check(external, project.classes)
    report = PullReport()
    report.restored = is_restored(project, backend, external)
    watermark = _watermark(engine, external)
    clock = min(begun, backend.clock or begun)
    set_back = watermark is None or watermark > clock
    count = backend.count(external)
    report.compared = (
        everything
        or report.restored
        or set_back
        or _comparison_due(project, external, begun)
        or not is_as_counted(engine, external, count)
    )
    since = None if watermark is None or report.compared else watermark - _overlap(engine, external, begun)
    waiting = keys_waiting(engine, external)
    changed = _follow_all(engine, external, backend.answers(external, since), report, progress)
    present = look(engine, backend, external, changed, waiting if report.compared else ())
    if present.elsewhere:
        point_at(engine, present.elsewhere)
        known = changed if report.compared else backend.answers(external, None)
        report.compared, report.foreign, report.waiting = True, 0, []
        _follow_all(engine, external, known, report, progress)
    with write(engine) as session:
        _part_with(session, present.missing, report)
        report.lots = decide_lots(session)
        close_batches(session)
        reopen_batches(session)
        if read_until := _read_until(watermark, clock, changed, report.waiting):
            set_fact(session, f"{WATERMARK}_{external}", read_until.isoformat())
            set_fact(session, f"{MOVED}_{external}", begun.isoformat())
        if report.compared:
            set_fact(session, f"{COMPARED}_{external}", begun.isoformat())
            note_count(session, external, None if present.removed else count)
    if report.restored:
        note_restored(project, backend, external)
    return report


def anything_to_pull(parts: Parts) -> bool:
    """Whether there is a Label Studio project to ask."""
    return label_studio_project(parts.project) is not None


def _kept(numbers: Collection[int]) -> str:
    shown = ", ".join(str(number) for number in sorted(numbers)[:10])
    one = len(numbers) == 1
    them = "it" if one else "them"
    return (
        f"{counted(len(numbers), 'task')} kept as {'it is' if one else 'they are'}: Label Studio shows an"
        f" older state of {them} than we fetched, as after a backup was restored ("
        f"{'task' if one else 'tasks'} {shown}); answer or skip {them} there to change {them}"
    )


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


def _overlap(engine: Engine, project_id: int, now: datetime) -> timedelta:
    """How far before the watermark is read again. Nothing once it has stood for so long that what was on
    its way when it was reached has arrived: so a large push is not read again at every pull.
    """
    with read(engine) as session:
        fact = get_fact(session, f"{MOVED}_{project_id}")
    stood = now - datetime.fromisoformat(fact) if fact else timedelta()
    return timedelta() if stood > 2 * OVERLAP else OVERLAP


def _read_until(
    watermark: datetime | None, clock: datetime, changed: Sequence[TaskAnswers], waiting: Sequence[datetime]
) -> datetime | None:
    """The new watermark, None where it stays. Not later than their clock and ours: theirs may have been
    ahead, and is put right. Answers that wait for their frames hold it back, also to before it.
    """
    if not changed and not waiting:
        return None
    newest = max((seen.updated_at for seen in changed), default=clock)
    until = min([newest, clock, *waiting])
    moves = watermark is None or watermark > clock or bool(waiting) or until > watermark
    return until if moves else None


def _comparison_due(project: Project, external: int, now: datetime) -> bool:
    """Also where our clock went back: a comparison that is yet to come says nothing."""
    hours = project.settings.label_studio.compare_h
    with read(project.engine) as session:
        fact = get_fact(session, f"{COMPARED}_{external}")
    if not hours:
        return False
    last = datetime.fromisoformat(fact) if fact else None
    return last is None or not timedelta() <= now - last < timedelta(hours=hours)


def _follow_all(
    engine: Engine, project_id: int, found: Iterable[TaskAnswers], report: PullReport, progress: Progress
) -> list[TaskAnswers]:
    """Follows each, in the order of time; answers them all. What is followed already, or was only
    just pushed, costs no transaction.
    """
    changed = sorted(found, key=lambda seen: seen.updated_at)
    count = 0
    for chunk in chunked(changed, CHUNK):
        with read(engine) as session:
            moved = _unsettled(session, project_id, chunk)
        for seen in moved:
            with write(engine) as session:
                _follow(session, project_id, seen, report)
            count += 1
            progress(count, 0, "answers")
    return changed


def _unsettled(session: Session, project_id: int, chunk: Sequence[TaskAnswers]) -> list[TaskAnswers]:
    """Those of which an answer is new, or that do not stand here as their answers say."""
    rows = tasks_by_keys(session, [seen.key for seen in chunk])
    answered = {key: task for key, task in rows.items() if task.status in ANSWERED}
    spoken = {task.key: persons_before(session, task) for task in answered.values()}
    held = labels(session, [task.frame for task in answered.values()])
    known: dict[int, list[AnswerRow]] = {}
    for row in answers(session, [task.id for task in answered.values()]):
        known.setdefault(row.task_id, []).append(row)

    def settled(seen: TaskAnswers) -> bool:
        task = answered.get(seen.key)
        if task is None:
            return not seen.answers
        own, label = known.get(task.id, []), held.get(task.frame)
        return _settled(project_id, seen, task, own, label, spoken[task.key])

    return [seen for seen in chunk if not settled(seen)]


def _settled(
    project_id: int,
    seen: TaskAnswers,
    task: TaskRow,
    known: Sequence[AnswerRow],
    label: LabelRow | None,
    spoken: Collection[str],
) -> bool:
    given = [as_first_given(one, project_id, known) for one in seen.answers]
    stored = {one.external_id: _stored(known, project_id, one) for one in given}
    ruling = rule(given, _judges(task.purpose), spoken)
    stands = (task.status, task.problem, task.external_project, task.external_id)
    if not all(stored.values()) or stands != (
        ruling.status,
        ruling.problem,
        project_id,
        seen.external_task_id,
    ):
        return False
    row = stored[ruling.answer.external_id] if ruling.answer else None
    if ruling.status is not TaskStatus.DONE or row is None:
        return True
    if (task.stands, task.rule) != (row.id, ruling.rule):
        return False
    return label is not None or task.purpose is Purpose.CONSENSUS


def _follow(session: Session, project_id: int, seen: TaskAnswers, report: PullReport) -> None:
    """Brings label and status of one task to what its answers say now, in one transaction and any
    number of times.
    """
    task = task_by_key(session, seen.key)
    if task is None:
        task = adopt(session, project_id, seen.external_task_id, seen.key)
        report.adopted += task is not None
    if task is None:
        report.foreign += len(seen.answers)
        report.waiting += [seen.updated_at] if may_be_ours(seen.key) else []
        return
    known = answers(session, [task.id])
    seen = replace(seen, answers=[as_first_given(one, project_id, known) for one in seen.answers])
    new = [
        one
        for one in seen.answers
        if not repeated(one, project_id, known) and _record(session, task, project_id, one)
    ]
    known = answers(session, [task.id])
    there = stands_there(task, project_id, seen.external_task_id)
    if there and not new and is_older(seen, project_id, known):
        report.kept.add(seen.external_task_id)
        return
    ruling = rule(seen.answers, _judges(task.purpose), persons_before(session, task))
    if there and ruling.answer is None and task.status not in ANSWERED:
        return
    if not there and not outdoes(ruling.answer, project_id, known):
        return
    if ruling.status in OPEN_TASKS and is_asked_otherwise(session, task):
        ruling = Ruling(TaskStatus.CANCELLED)
    answer, status = ruling.answer, ruling.status
    if task.status is TaskStatus.CANCELLED and not _may_stand_again(task, status):
        return
    changed = answer in new or status is not task.status
    if ruling.problem and (answer in new or ruling.problem != task.problem):
        report.unknown.update(ruling.unknown)
        report.to_mend.append(f"task {seen.external_task_id}: {ruling.problem}")
    row = _stored(known, project_id, answer) if answer and status is TaskStatus.DONE else None
    stands = row.id if row else None
    if row and row.boxes is None and answer:
        set_boxes(session, row.id, answer.boxes)
    changed |= stands is not None and stands != task.stands
    if answer and changed:
        report.answers[status] += 1
        report.unseen += answer.unseen
    there_now = {
        "external_project": project_id,
        "external_id": seen.external_task_id,
        "problem": ruling.problem,
        "stands": stands,
        "rule": ruling.rule,
    }
    if any(getattr(task, name) != value for name, value in {**there_now, "status": status}.items()):
        move(session, [task.id], ANSWERABLE, status, **there_now)
    recheck_others(session, task)
    report.revoked += settle(session, task.frame)
    if task.purpose is Purpose.SUSPECT:
        settle_suspects(session, tasks_by_id(session, [task.id])[task.id])


def _may_stand_again(task: TaskRow, status: TaskStatus) -> bool:
    """Whether a task that was deleted may count again, as in a copy that was imported. One that a person
    dropped counts when it is answered.
    """
    if status in OPEN_TASKS:
        return not task.problem
    return status is not TaskStatus.CANCELLED


def _record(session: Session, task: TaskRow, project_id: int, answer: Annotation) -> bool:
    followed = guideline_at(session, answer.updated_at)
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
        boxes=None if answer.unknown_classes else answer.boxes,
        guideline=None if followed is None else followed.id,
    )
    return recorded is not None


def _stored(known: Sequence[AnswerRow], project_id: int, answer: Annotation) -> AnswerRow | None:
    own = stored_state(
        known, project_id, answer.external_id, answer.updated_at, answer.cancelled, answer.result
    )
    return own or repeated(answer, project_id, known)


def _judges(purpose: Purpose) -> bool:
    """Whether somebody must have looked at the image: for all but what trains."""
    return purpose is not Purpose.TRAIN


def _part_with(session: Session, missing: Sequence[int], report: PullReport) -> None:
    """What a person deleted is cancelled; what a restored backup lacks is made again."""
    if report.kept or report.restored:
        report.again = move(session, missing, WAITING, TaskStatus.PENDING, problem="")
    else:
        report.deleted = move(session, missing, WAITING, TaskStatus.CANCELLED, problem="")
