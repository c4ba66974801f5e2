"""Candidate against deployed model, on the same held-out frames, per class and per condition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Detections, Detector, Progress, Purpose
from db.analysis import keep_detections
from db.engine import read, write
from db.frames import FrameRow, frames
from db.labels import count_labels, labels
from db.rounds import RoundRow, rounds
from db.slice_members import members_among
from db.slices import SliceRow, slice_totals, slices
from db.states import OPEN_TASKS, Origin, SliceKind, TaskStatus
from db.tasks import TaskRow, tasks
from loop.analysis.held_out_groups import held_out_groups
from loop.analysis.producers import Producers, register_detector
from loop.base.arrays import Bools, Ints, Reals
from loop.base.errors import RoundError
from loop.base.files import BATCH_BYTES, chunked_by_size, decoded_bytes, load_image
from loop.gaps.shown import producer_of
from loop.gaps.slices import ORDINARY, TRAINING_WORLD, class_slices
from loop.math.boxes.matching import Truth, truth_of, with_class_ids
from loop.math.evaluation.ap import match_all
from loop.math.evaluation.gate import Latency, judge
from loop.math.evaluation.verdict import Verdict
from loop.project.project import Project
from loop.rounds.freeze import frozen_at
from loop.rounds.stored import mend
from loop.selection.held_out_weights import evaluation_answers, held_out_weights

CHUNK = 16
CONDITIONS = (SliceKind.METADATA, SliceKind.MEASURED, SliceKind.PROMPT)
LEAST_SHARE = 0.02
"""Of production, that a condition must have to be judged though no target."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Frames that judge and never train, row by row.

    weights: 1 / inclusion probability, 0 where the overall estimate leaves it out.
    looks: verdicts that rest on the frame already.
    targets: names of the conditions and classes that the round was to mend, also of those that no
    frame shows.
    slice_ids: by "condition NAME" and "class NAME".
    """

    rows: list[FrameRow]
    truths: list[Truth]
    groups: list[str]
    conditions: dict[str, Bools]
    weights: Reals
    looks: Ints
    targets: list[str]
    slice_ids: dict[str, int]

    def without(self, seqs: Collection[int]) -> HeldOut:
        """These but for some frames."""
        if not seqs:
            return self
        keep = np.array([row.seq not in seqs for row in self.rows])
        return replace(
            self,
            rows=list(compress(self.rows, keep)),
            truths=list(compress(self.truths, keep)),
            groups=list(compress(self.groups, keep)),
            conditions={name: shown[keep] for name, shown in self.conditions.items()},
            weights=self.weights[keep],
            looks=self.looks[keep],
        )


def judge_candidate(
    project: Project,
    made: Producers,
    deployed: Detector,
    candidate: Detector,
    row: RoundRow,
    progress: Progress,
    weights: str = "",
) -> Verdict:
    """Runs both models over the held-out frames, in turns; those whose stored image is lost are left
    out. What the candidate saw is kept beside what the deployed model did.

    weights: sha256 of the candidate's, "" to keep nothing.
    Raises RoundError when there is nothing to judge on, RoundHeld when most images are gone.
    """
    held = held_out(project, made, row.base_model_id, row.id)
    held = held.without(mend(project, held.rows))
    before: list[Detections] = []
    after: list[Detections] = []
    for chunk in chunked_by_size(held.rows, CHUNK, lambda f: decoded_bytes(f.width, f.height), BATCH_BYTES):
        images = [load_image(project.store, frame.path) for frame in chunk]
        before += deployed.detect(images)
        after += candidate.detect(images)
        progress(len(before), len(held.rows), "held-out frames")
    if weights:
        with write(project.engine) as session:
            producer = register_detector(session, project.settings, weights, candidate)
            keep_detections(session, producer, [frame.seq for frame in held.rows], after)
    verdict = judge(
        match_all(held.truths, before, len(project.classes)),
        match_all(held.truths, after, len(project.classes)),
        groups=held.groups,
        classes=project.classes,
        conditions=held.conditions,
        targets=held.targets,
        weights=held.weights,
        looks=held.looks,
        latency=Latency([d.forward_ms for d in before], [d.forward_ms for d in after]),
        settings=project.settings.gate,
        seed=project.settings.seed,
    )
    imported = np.array([frame.origin == Origin.IMPORTED for frame in held.rows])
    return replace(
        verdict.with_slices(held.slice_ids),
        frames=[frame.seq for frame in held.rows],
        production_only=not held.weights[imported].any(),
    )


def held_out(
    project: Project, made: Producers, base_model: int, number: int | None = None, planned: bool = False
) -> HeldOut:
    """Everything labeled for evaluation, with the conditions it is judged under.

    made: those by whose word a frame shows a condition.
    base_model: from which a round starts. number: of the round, None before it is opened.
    planned: what frames that wait for their labels were chosen for is a target too.
    Raises RoundError when nothing is labeled.
    """
    check_held_out(project)
    with read(project.engine) as session:
        labeled = labels(session, purpose=Purpose.EVALUATION, usable=True)
        held = frames(session, seqs=sorted(labeled))
        done = tasks(session, status=TaskStatus.DONE)
        answered = evaluation_answers(done)
        drawn = {seq: task.slice_id for seq, task in answered.items()}
        waiting = tasks(session, status=OPEN_TASKS) if planned else []
        targets = targets_of(session, base_model, [*done, *waiting])
        chosen_for = {target.id for target in targets} | {each for each in drawn.values() if each}
        known = _judged_slices(session, project.classes, chosen_for)
        names = _names(known, project.classes)
        conditions = _conditions(session, made, held, drawn, known, names)
        weights = held_out_weights(session, made, held, answered)
        past = [row for row in rounds(session) if row.id != number]
        looks = _looks(past, [frame.seq for frame in held])
    classes = class_slices(known, project.classes)
    from_production = np.array([frame.origin == Origin.PRODUCTION for frame in held])
    days = {frame.group_key for frame in held if frame.origin == Origin.PRODUCTION}
    enough = len(days) >= project.settings.gate.min_groups
    return HeldOut(
        held,
        [truth_of(with_class_ids(labeled[frame.seq].boxes, project.classes)) for frame in held],
        held_out_groups(project.engine, made.embedder, held),
        conditions,
        np.where(from_production | (not enough), weights, 0.0),
        looks,
        sorted({names[target.id] for target in targets}),
        {f"{'class' if one.id in classes else 'condition'} {names[one.id]}": one.id for one in known},
    )


def targets_of(session: Session, base_model: int, chosen: Iterable[TaskRow]) -> list[SliceRow]:
    """What a round from this model is to mend: the slices that frames were chosen to show which wait
    for their answers, or were answered after the model's own dataset was frozen.
    """
    since = frozen_at(session, base_model)
    wanted = {
        task.slice_id
        for task in chosen
        if task.purpose == Purpose.TRAIN
        and task.slice_id is not None
        and (since is None or task.status in OPEN_TASKS or task.changed_at > since)
    }
    return [row for row in slices(session, ids=wanted) if not row.retired_at]


def check_held_out(project: Project) -> None:
    """Raises RoundError when nothing is labeled for evaluation."""
    with read(project.engine) as session:
        if count_labels(session, purpose=Purpose.EVALUATION, usable=True):
            return
    raise RoundError(
        "expected frames labeled for evaluation, found none; label some of the evaluation tasks in Label"
        " Studio, or import a dataset with a val split"
    )


def _judged_slices(session: Session, classes: Sequence[str], chosen_for: set[int]) -> list[SliceRow]:
    """Classes, the slices that frames were chosen for, conditions that a good part of production
    shows, and the collections that a user wants judged.
    """
    totals = slice_totals(session)
    known = [row for row in slices(session) if not row.retired_at]
    of_classes = class_slices(known, classes)

    def common(row: SliceRow) -> bool:
        total = totals.get(row.id)
        return row.kind in CONDITIONS and total is not None and total.inside >= LEAST_SHARE * total.known

    def wanted(row: SliceRow) -> bool:
        return row.kind is SliceKind.COLLECTION and bool(row.definition.get("judged"))

    return [
        row for row in known if row.id in chosen_for or row.id in of_classes or common(row) or wanted(row)
    ]


def _names(known: Sequence[SliceRow], classes: Sequence[str]) -> dict[int, str]:
    """What each is called in the verdict; of those that users called alike, with its number."""
    of_class = class_slices(known, classes)
    names = {row.id: of_class.get(row.id, row.name) for row in known}
    count = Counter([*names.values(), TRAINING_WORLD, ORDINARY])
    return {
        number: name if count[name] == 1 or number in of_class else f"{name} (slice {number})"
        for number, name in names.items()
    }


def _conditions(
    session: Session,
    made: Producers,
    held: Sequence[FrameRow],
    drawn: Mapping[int, int | None],
    known: Sequence[SliceRow],
    names: Mapping[int, str],
) -> dict[str, Bools]:
    """Every slice but those of classes, with the frames that show it, and the training set's own
    world.

    drawn: by frame, the slice it was drawn by, None for ordinary frames.
    """
    seqs = np.array([frame.seq for frame in held], dtype=np.int64)
    found = {
        TRAINING_WORLD: np.array([frame.origin == Origin.IMPORTED for frame in held]),
        ORDINARY: np.array([frame.seq in drawn and drawn[frame.seq] is None for frame in held]),
    }
    found = {name: mask for name, mask in found.items() if mask.any()}
    for row in known:
        if row.kind is not SliceKind.CLASS:
            inside = members_among(session, producer_of(row.kind, made), row.id, seqs)
            by_chance = np.array([drawn.get(frame.seq) == row.id for frame in held])
            found[names[row.id]] = by_chance | np.isin(seqs, inside)
    return found


def _looks(past: Iterable[RoundRow], seqs: Sequence[int]) -> Ints:
    """(N,) how many verdicts rest on each frame."""
    judged = Counter(seq for row in past if row.verdict for seq in row.verdict.get("frames", ()))
    return np.array([judged[seq] for seq in seqs], dtype=np.int64)
