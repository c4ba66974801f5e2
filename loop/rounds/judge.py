"""Candidate against deployed model, on the same held-out frames, per class and per condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Detections, Detector, Progress, Purpose
from db.engine import read
from db.frames import FrameRow, frames
from db.labels import count_labels, labels
from db.rounds import RoundRow
from db.slice_members import members_among
from db.slices import SliceRow, slices
from db.states import Origin, TaskStatus
from db.tasks import tasks
from loop.analysis.held_out_groups import held_out_groups
from loop.analysis.producers import Producers
from loop.base.arrays import Bools, Reals
from loop.base.errors import RoundError
from loop.base.files import chunked, load_image
from loop.gaps.shown import producer_of
from loop.gaps.slices import ORDINARY, class_slices
from loop.math.boxes.matching import Truth, truth_of, with_class_ids
from loop.math.evaluation.ap import match_all
from loop.math.evaluation.gate import Latency, judge
from loop.math.evaluation.verdict import Verdict
from loop.project.project import Project
from loop.rounds.held_out_weights import held_out_weights

CHUNK = 16
TRAINING_WORLD = "like the training set (held out)"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Frames that judge and never train, row by row.

    groups: see `held_out_groups`.
    weights: see `held_out_weights`, 0 where the overall estimate leaves it out.
    targets: names of the conditions and classes that the round was to mend, as far as they can be
    judged.
    slice_ids: by "condition NAME" and "class NAME".
    """

    rows: list[FrameRow]
    truths: list[Truth]
    groups: list[str]
    conditions: dict[str, Bools]
    weights: Reals
    targets: list[str]
    slice_ids: dict[str, int]


def judge_candidate(
    project: Project,
    made: Producers,
    deployed: Detector,
    candidate: Detector,
    row: RoundRow,
    progress: Progress,
) -> Verdict:
    """Runs both models over the held-out frames, in turns. Raises RoundError when there is nothing
    to judge on.
    """
    held = held_out(project, made, row)
    before: list[Detections] = []
    after: list[Detections] = []
    for done, chunk in enumerate(chunked(held.rows, CHUNK)):
        images = [load_image(project.store, frame.path) for frame in chunk]
        before += deployed.detect(images)
        after += candidate.detect(images)
        progress(min((done + 1) * CHUNK, len(held.rows)), len(held.rows), "held-out frames")
    return judge(
        match_all(held.truths, before, len(project.classes)),
        match_all(held.truths, after, len(project.classes)),
        groups=held.groups,
        classes=project.classes,
        conditions=held.conditions,
        targets=held.targets,
        weights=held.weights,
        latency=Latency([d.forward_ms for d in before], [d.forward_ms for d in after]),
        settings=project.settings.gate,
        seed=project.settings.seed,
    ).with_slices(held.slice_ids)


def held_out(project: Project, made: Producers, row: RoundRow) -> HeldOut:
    """Everything labeled for evaluation, with the conditions it is judged under.

    made: those by whose word a frame shows a condition.
    Raises RoundError when nothing is labeled.
    """
    check_held_out(project)
    with read(project.engine) as session:
        labeled = labels(session, purpose=Purpose.EVALUATION)
        held = frames(session, seqs=sorted(labeled))
        answered = {task.frame: task for task in tasks(session, status=TaskStatus.DONE)}
        wanted = {task.slice_id for task in answered.values() if task.purpose == Purpose.TRAIN}
        drawn = {seq: task.slice_id for seq, task in answered.items() if task.purpose == Purpose.EVALUATION}
        known = [
            row
            for row in slices(session, ids=[number for number in {*wanted, *drawn.values()} if number])
            if not row.retired_at
        ]
        conditions = _conditions(session, made, held, drawn, known)
        weights = held_out_weights(session, made, held, answered)
    classes = class_slices(known, project.classes)
    names = {row.id: classes.get(row.id, row.name) for row in known}
    from_production = np.array([frame.origin == Origin.PRODUCTION for frame in held])
    days = {frame.group_key for frame in held if frame.origin == Origin.PRODUCTION}
    enough = len(days) >= project.settings.gate.min_groups
    return HeldOut(
        held,
        [truth_of(with_class_ids(labeled[frame.seq].boxes, project.classes)) for frame in held],
        held_out_groups(project.engine, made.embedder, held),
        conditions,
        np.where(from_production | (not enough), weights, 0.0),
        sorted(
            names[row.id]
            for row in known
            if row.id in wanted and (row.id in classes or row.name in conditions)
        ),
        {f"{'class' if row.id in classes else 'condition'} {names[row.id]}": row.id for row in known},
    )


def check_held_out(project: Project) -> None:
    """Raises RoundError when nothing is labeled for evaluation."""
    with read(project.engine) as session:
        if count_labels(session, purpose=Purpose.EVALUATION):
            return
    raise RoundError(
        "expected frames labeled for evaluation, found none; label some of the evaluation tasks in Label"
        " Studio, or import a dataset with a val split"
    )


def _conditions(
    session: Session,
    made: Producers,
    held: Sequence[FrameRow],
    drawn: Mapping[int, int | None],
    known: Sequence[SliceRow],
) -> dict[str, Bools]:
    """Slices that evaluation frames were drawn by, with every frame that shows them, and the
    training set's own world.

    drawn: by frame, the slice it was drawn by, None for ordinary frames.
    """
    seqs = np.array([frame.seq for frame in held], dtype=np.int64)
    found = {
        TRAINING_WORLD: np.array([frame.origin == Origin.IMPORTED for frame in held]),
        ORDINARY: np.array([frame.seq in drawn and drawn[frame.seq] is None for frame in held]),
    }
    for row in known:
        if row.id in drawn.values():
            inside = members_among(session, producer_of(row.kind, made), row.id, seqs)
            by_chance = np.array([drawn.get(frame.seq) == row.id for frame in held])
            found[row.name] = by_chance | np.isin(seqs, inside)
    return {name: mask for name, mask in found.items() if mask.any()}
