"""A labeled project whose rounds end in a verdict, and what its tests do with it; torch-free, all
but the training is real.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from connectors.ports import Box, Purpose
from db.engine import read, write
from db.frames import FrameRow, frames
from db.labels import set_label
from db.models import deployed
from db.rounds import RoundRow
from db.states import Origin, Role, TaskStatus
from db.tasks import NewTask, add_tasks, create_batch, move, queue_batch, tasks
from loop.project.project import Project
from loop.rounds import rounds
from loop.rounds.deploy import promote
from tests.fakes import (
    CLASSES,
    FakeParts,
    FakeTrainer,
    add_checkpoint,
    box_of,
    quiet,
    weights,
)

BASE = weights(blind_below=100)
BETTER = weights(note="sees in the dark")
BY_DAY, BY_NIGHT = 30, 60
NOTHING_HELD_OUT = (
    "expected frames labeled for evaluation, found none; label some of the evaluation tasks in Label Studio, "
    "or import a dataset with a val split"
)


class Killed(BaseException):
    """The process is gone."""


def label_all(project: Project, only: Collection[int] | None = None) -> None:
    """What a person would have answered: the truth, for the purpose of each frame's group.

    only: these frames, all of production when None.
    """
    with write(project.engine) as session:
        for row in frames(session, seqs=only, origin=Origin.PRODUCTION):
            number = int(Path(row.source_key).stem.split("-")[-1])
            boxes = [Box(CLASSES[class_of(number)], box_of(number))]
            purpose = "evaluation" if row.role == Role.EVALUATION else "train"
            set_label(session, row.seq, boxes, purpose, "annotation")


def class_of(number: int) -> int:
    return int(number < BY_DAY and number // 3 % 4 == 1)


def run(parts: FakeParts) -> RoundRow:
    row = rounds.run(parts, quiet)
    assert row is not None
    return row


def started(parts: FakeParts, candidate: bytes = BETTER, **settings: object) -> FakeParts:
    """A round is open; the trainer will answer with this candidate."""
    if settings:
        parts = with_round(parts, **settings)
    parts.fake_trainer = FakeTrainer(candidate)
    rounds.start(parts)
    return parts


def with_round(parts: FakeParts, **changed: object) -> FakeParts:
    chosen = parts.project.settings
    chosen = chosen.model_copy(update={"round": chosen.round.model_copy(update=changed)})
    return FakeParts(dataclasses.replace(parts.project, settings=chosen))


def aimed_at(session: Session, rows: Sequence[FrameRow], number: int) -> None:
    """Some frames that train were chosen to show the slice, and answered."""
    chosen = [row.seq for row in rows if row.role == Role.POOL][:5]
    batch = create_batch(session, "hybrid", 0, 5, {})
    made = [
        NewTask(seq, Purpose.TRAIN, f"snow-{seq}", rank, 1.0, "snow", "gaps", number)
        for rank, seq in enumerate(chosen)
    ]
    add_tasks(session, batch, made)
    queue_batch(session, batch)
    ids = [task.id for task in tasks(session) if task.frame in chosen]
    move(session, ids, TaskStatus.PENDING, TaskStatus.DONE)


def with_gate(parts: FakeParts, **changed: object) -> FakeParts:
    chosen = parts.project.settings
    gate = chosen.gate.model_copy(update=changed)
    return FakeParts(dataclasses.replace(parts.project, settings=chosen.model_copy(update={"gate": gate})))


def in_production(parts: FakeParts) -> str:
    with read(parts.project.engine) as session:
        now = deployed(session)
    assert now is not None
    return now.sha256


def sha_of(data: bytes) -> str:
    from connectors.images import content_hash

    return content_hash(data)


def production(parts: FakeParts) -> Sequence[FrameRow]:
    with read(parts.project.engine) as session:
        return frames(session, origin=Origin.PRODUCTION)


def promoted_before(parts: FakeParts) -> FakeParts:
    """Another detector than the one that analyzed production is deployed."""
    promote(parts.project, add_checkpoint(parts.project, weights(blind_below=100, note="by hand")), "by hand")
    return parts
