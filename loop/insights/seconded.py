"""Frames that several persons labeled, with what each of them said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from connectors.ports import Box, Purpose
from db.consensus import seconded_frames
from db.frames import FrameRow, frames
from db.labels import AnswerRow, answers, labels
from db.states import TaskStatus
from db.tasks import TaskRow, tasks
from loop.labeling.consensus import FIRST, SAME_PERSON, SECOND, THIRD, Opinion, opinion
from loop.labeling.standing import answers_of


@dataclass(frozen=True)
class Seconded:
    """One frame that two persons or three answered.

    answers: the first one first.
    told: what they come to. reviewed: the label is of a review given since, which settles it.
    asked: a third person has the task, and has not answered.
    """

    frame: FrameRow
    answers: tuple[AnswerRow, ...]
    told: Opinion
    judges: bool
    reviewed: bool = False
    asked: bool = False

    @property
    def boxes(self) -> tuple[tuple[Box, ...], ...]:
        """What each person drew."""
        return tuple(one.boxes or () for one in self.answers)

    @property
    def persons(self) -> tuple[str, ...]:
        return tuple(one.author for one in self.answers)

    @property
    def contested(self) -> bool:
        """Whether nothing has settled yet what they contradict each other on."""
        return self.told in (Opinion.TIE, Opinion.OPEN) and not self.reviewed


def seconded(session: Session) -> list[Seconded]:
    """All frames that a second person answered, by number."""
    seqs = seconded_frames(session)
    by_frame: dict[int, list[TaskRow]] = {seq: [] for seq in seqs}
    for task in tasks(session, frames=seqs):
        by_frame[task.frame].append(task)
    ids = [task.stands for rows in by_frame.values() for task in rows if task.stands]
    stored = {row.id: row for row in answers(session, ids=ids)}
    held = labels(session, seqs)
    rows = {row.seq: row for row in frames(session, seqs=seqs)}
    found = []
    for seq, own in by_frame.items():
        done = [task for task in own if task.status is TaskStatus.DONE]
        first = _newest([task for task in done if task.purpose in FIRST and task.stands], stored)
        given = [] if first is None else answers_of(first, done, stored)
        if first is None or len(given) < 2:
            continue
        found.append(
            Seconded(
                rows[seq],
                tuple(given),
                opinion([one.boxes or () for one in given])[0],
                first.purpose is Purpose.EVALUATION,
                seq in held and held[seq].annotation_id != first.stands,
                any(task.slot == THIRD and task.status is not TaskStatus.DONE for task in own),
            )
        )
    return found


def answered_by_one(session: Session) -> list[TaskRow]:
    """Second or third tasks that a person answered who had answered that image before."""
    waiting = tasks(session, status=TaskStatus.QUARANTINED)
    return [
        row
        for row in waiting
        if row.purpose is Purpose.CONSENSUS and row.slot >= SECOND and row.problem.startswith(SAME_PERSON)
    ]


def _newest(rows: Sequence[TaskRow], stored: dict[int, AnswerRow]) -> TaskRow | None:
    return max(rows, key=lambda row: (stored[row.stands or 0].updated_at, row.id), default=None)
