"""Second opinions: a share of the tasks of each batch is answered by a second person, who sees nothing of
the first answer, and by a third one where the two contradict each other.

The first answer is that of the task that trains or judges. Each later person has a Label Studio project
of their own (see `project.SLOTS`). Of the same person two answers are one opinion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum

from sqlalchemy.orm import Session

from connectors.ports import Box, Purpose
from db.consensus import contested_frames
from db.engine import write
from db.facts import get_fact
from db.labels import answers
from db.states import OPEN_TASKS, TaskStatus
from db.tasks import TaskRow, move, tasks
from loop.ingest.camera_days import SECRET
from loop.labeling.asking import Ask, ask
from loop.math.quality.agreement import agree
from loop.math.quality.fusion import fuse
from loop.project.project import Project

FIRST = (Purpose.TRAIN, Purpose.EVALUATION)
SECOND, THIRD = 1, 2
"""Slots of the persons who answer what another answered."""
TWO_AGREE, MOST_SAY = "two agree, fused", "most of three, fused"
FUSED = (TWO_AGREE, MOST_SAY)
"""Rules of labels that are fused of several answers."""
STRATEGIES = {SECOND: "second person", THIRD: "third person"}
REASONS = {
    SECOND: "labeled by several people, to see whether they agree: draw every object",
    THIRD: "two people contradict each other here: draw every object, as if nobody had",
}
SAME_PERSON = "no second opinion"


class Opinion(StrEnum):
    """What the answers of several persons to one frame come to."""

    ALONE = "alone"  # one person answered
    AGREED = "agreed"  # two persons drew the same objects
    TIE = "tie"  # two persons contradict each other, a third is asked
    DECIDED = "decided"  # of three persons most say the same of each object
    OPEN = "open"  # of three persons no two say the same of some object: a review


def opinion(given: Sequence[Sequence[Box]]) -> tuple[Opinion, Sequence[Box]]:
    """What the answers of one to three persons, the first one first, come to, and the boxes that stand
    by that. Where nothing is decided those of the first stand.
    """
    first = given[0]
    if len(given) == 1:
        return Opinion.ALONE, first
    if len(given) == 2:
        same = agree(*given)
        return (Opinion.AGREED, fuse(given).boxes) if same else (Opinion.TIE, first)
    fused = fuse(given)
    return (Opinion.OPEN, first) if fused.undecided else (Opinion.DECIDED, fused.boxes)


def rule_of(told: Opinion, otherwise: str) -> str:
    """What is written beside a label. otherwise: the rule of the first answer."""
    return {Opinion.AGREED: TWO_AGREE, Opinion.DECIDED: MOST_SAY}.get(told, otherwise)


def draw_second(project: Project) -> int:
    """Second tasks beside those that wait to be sent: of each batch `labels.second_share`, those that
    judge first, among equals by a keyed hash. How many were made.

    Repeatable: asked again, the same are drawn and none is made twice.
    """
    share = project.settings.labels.second_share
    with write(project.engine) as session:
        waiting = [row for row in tasks(session, status=TaskStatus.PENDING) if row.purpose in FIRST]
        if not share or not waiting:
            return 0
        secret = get_fact(session, SECRET) or ""
        drawn = {
            key
            for batch in {row.batch_id for row in waiting}
            for key in drawn_keys(_first(tasks(session, batch=batch)), share, secret)
        }
        wanted = [row for row in waiting if row.key in drawn]
        asked = {row.frame for row in _consensus(session, [row.frame for row in wanted])}
        new = [_ask(row.frame, SECOND, row.priority) for row in wanted if row.frame not in asked]
        return len(ask(session, Purpose.CONSENSUS, STRATEGIES[SECOND], new, {"share": share}))


def drawn_keys(batch: Sequence[TaskRow], share: float, secret: str) -> list[str]:
    """Keys of the tasks of a batch that a second person answers too: share of them, the broken rest of
    a task by chance.
    """

    def chance(text: str) -> float:
        digest = hashlib.blake2b(text.encode(), key=secret.encode()[:64], digest_size=8, person=b"second")
        return int.from_bytes(digest.digest(), "big") / 2**64

    if not batch:
        return []
    count = int(share * len(batch) + chance(f"batch {batch[0].batch_id}"))
    return [
        row.key
        for row in sorted(batch, key=lambda row: (row.purpose is not Purpose.EVALUATION, chance(row.key)))
    ][:count]


def ask_third(session: Session) -> int:
    """A task for a third person wherever two contradict each other and no review has settled it. How
    many were made.
    """
    new = [_ask(frame, THIRD, 1.0) for frame in contested_frames(session, FUSED, unasked=True)]
    return len(ask(session, Purpose.CONSENSUS, STRATEGIES[THIRD], new, {}))


def persons_before(session: Session, task: TaskRow) -> frozenset[str]:
    """Who gave the answers that this task is another opinion on."""
    if task.purpose is not Purpose.CONSENSUS:
        return frozenset()
    done = tasks(session, status=TaskStatus.DONE, frames=[task.frame])
    before = [row.stands for row in done if row.stands and _place(row) < task.slot]
    return frozenset(row.author for row in answers(session, ids=before))


def same_person(author: str) -> str:
    """Why an answer counts for no second opinion, and what to do."""
    return (
        f"{SAME_PERSON}: {author} answered this image before; delete this answer in Label Studio, so that"
        " another person gets the task"
    )


def recheck_others(session: Session, task: TaskRow) -> None:
    """Takes back other opinions on a frame that turn out to be of a person who answered before them: the
    task was answered now, perhaps after them.
    """
    for row in _consensus(session, [task.frame]):
        if row.status is not TaskStatus.DONE or row.stands is None or row.slot <= _place(task):
            continue
        (stored,) = answers(session, ids=[row.stands])
        if stored.author in persons_before(session, row):
            asked = is_asked_otherwise(session, row)
            status = TaskStatus.CANCELLED if asked else TaskStatus.QUARANTINED
            problem = "" if asked else same_person(stored.author)
            move(session, [row.id], TaskStatus.DONE, status, problem=problem, stands=None, rule="")


def is_asked_otherwise(session: Session, task: TaskRow) -> bool:
    """Whether another task that asks the same of the frame is open: of these there is one at most. The one
    that would open beside it is cancelled, and counts again when it is answered.
    """
    same = FIRST if task.purpose in FIRST else (task.purpose,)
    open_ones = tasks(session, status=OPEN_TASKS, frames=[task.frame])
    return any(row.id != task.id and row.purpose in same for row in open_ones)


def opinions_to_come(session: Session, firsts: Sequence[TaskRow]) -> list[int]:
    """Ids of open tasks for another opinion on what these ask first."""
    open_ones = _consensus(session, [row.frame for row in _first(firsts)])
    return [row.id for row in open_ones if row.status in OPEN_TASKS]


def _place(task: TaskRow) -> int:
    """Which person a task asks: 0 the first; beyond all others for what is no opinion."""
    if task.purpose in FIRST:
        return 0
    return task.slot if task.purpose is Purpose.CONSENSUS else THIRD + 1


def _first(batch: Iterable[TaskRow]) -> list[TaskRow]:
    return [row for row in batch if row.purpose in FIRST]


def _consensus(session: Session, seqs: Sequence[int]) -> list[TaskRow]:
    return [row for row in tasks(session, frames=seqs) if row.purpose is Purpose.CONSENSUS]


def _ask(frame: int, slot: int, priority: float) -> Ask:
    return Ask(frame, REASONS[slot], min(priority, 1.0), slot=slot)
