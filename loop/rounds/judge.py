"""Candidate against deployed model, on the same held-out frames, per class and per condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from connectors.ports import Detections, Detector, Progress, Purpose
from db.engine import read
from db.frames import FrameRow, frames
from db.labels import count_labels, labels
from db.rounds import RoundRow
from db.states import Origin, TaskStatus
from db.tasks import TaskRow, tasks
from loop.base.arrays import Bools, Reals
from loop.base.errors import RoundError
from loop.base.files import chunked, load_image
from loop.gaps.coverage_view import CoverageView
from loop.math.boxes.matching import Truth, truth_of, with_class_ids
from loop.math.evaluation.ap import match_all
from loop.math.evaluation.gate import GateSettings, Latency, Verdict, judge
from loop.project.project import Project

CHUNK = 16
TRAINING_WORLD = "like the training set (held out)"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Frames that judge and never train, row by row. weights: 1 / inclusion probability, 0 where the overall estimate leaves it out."""

    rows: list[FrameRow]
    truths: list[Truth]
    groups: list[str]
    conditions: dict[str, Bools]
    weights: Reals
    targets: list[str]


def judge_candidate(
    project: Project,
    view: CoverageView,
    deployed: Detector,
    candidate: Detector,
    row: RoundRow,
    progress: Progress,
) -> Verdict:
    """Runs both models over the held-out frames, in turns. Raises RoundError when there is nothing to judge on."""
    held = held_out(project, view, row)
    before: list[Detections] = []
    after: list[Detections] = []
    for done, chunk in enumerate(chunked(held.rows, CHUNK)):
        images = [load_image(project.store, frame.path) for frame in chunk]
        before += deployed.detect(images)
        after += candidate.detect(images)
        progress(min((done + 1) * CHUNK, len(held.rows)), len(held.rows), "held-out frames")
    gate = project.settings.gate
    return judge(
        match_all(held.truths, before, len(project.classes)),
        match_all(held.truths, after, len(project.classes)),
        groups=held.groups,
        classes=project.classes,
        conditions=held.conditions,
        targets=held.targets,
        weights=held.weights,
        latency=Latency([d.forward_ms for d in before], [d.forward_ms for d in after]),
        settings=GateSettings(
            margin=gate.margin,
            few_margin=gate.few_margin,
            alpha=gate.alpha,
            min_groups=gate.min_groups,
            max_slowdown=gate.max_slowdown,
            required=gate.required,
        ),
        seed=project.settings.seed,
    )


def held_out(project: Project, view: CoverageView, row: RoundRow) -> HeldOut:
    """Everything labeled for evaluation, with the conditions it is judged under. Raises RoundError when that is nothing."""
    check_held_out(project)
    with read(project.engine) as session:
        known = labels(session, purpose=Purpose.EVALUATION)
        rows = frames(session, seqs=sorted(known))
        answered = {task.frame: task for task in tasks(session, status=TaskStatus.DONE)}
        trained = [task for task in answered.values() if task.purpose == Purpose.TRAIN]
    conditions = _conditions(
        view,
        rows,
        {seq: task.stratum for seq, task in answered.items() if task.purpose == Purpose.EVALUATION},
    )
    probability = np.array([_probability(answered, frame) for frame in rows])
    from_production = np.array([frame.origin == Origin.PRODUCTION for frame in rows])
    enough = (
        len({frame.group_key for frame in rows if frame.origin == Origin.PRODUCTION})
        >= project.settings.gate.min_groups
    )
    weights = np.where(from_production | (not enough), 1 / probability, 0.0)
    return HeldOut(
        rows,
        [truth_of(with_class_ids(known[frame.seq].boxes, project.classes)) for frame in rows],
        [frame.group_key for frame in rows],
        conditions,
        weights,
        _targets({task.stratum for task in trained if task.stratum}, conditions, project.classes),
    )


def check_held_out(project: Project) -> None:
    """Raises RoundError when nothing is labeled for evaluation."""
    with read(project.engine) as session:
        if count_labels(session, purpose=Purpose.EVALUATION):
            return
    raise RoundError(
        "expected frames labeled for evaluation, found none; label some of the evaluation tasks in Label Studio, "
        "or import a dataset with a val split"
    )


def _probability(answered: Mapping[int, TaskRow], frame: FrameRow) -> float:
    task = answered.get(frame.seq)
    return 1.0 if task is None or task.inclusion_probability is None else task.inclusion_probability


def _conditions(
    view: CoverageView, rows: Sequence[FrameRow], strata: dict[int, str | None]
) -> dict[str, Bools]:
    """Conditions that evaluation frames were drawn by, with every frame that shows them now, and the training set's own world."""
    place = {seq: i for i, seq in enumerate(view.production.seq.tolist())}
    shown = {frame.seq: view.conditions_of(place[frame.seq]) for frame in rows if frame.seq in place}
    found = {TRAINING_WORLD: np.array([frame.origin == Origin.IMPORTED for frame in rows])}
    for name in sorted({stratum for stratum in strata.values() if stratum}):
        facet, _, option = name.partition(": ")
        found[name] = np.array(
            [strata.get(frame.seq) == name or shown.get(frame.seq, {}).get(facet) == option for frame in rows]
        )
    return {name: mask for name, mask in found.items() if mask.any()}


def _targets(strata: set[str], conditions: dict[str, Bools], classes: Sequence[str]) -> list[str]:
    """What the round was to mend, as far as it can be judged: conditions by name, classes without their prefix."""
    named = {name.removeprefix("class: ") if name.startswith("class: ") else name for name in strata}
    return sorted(name for name in named if name in conditions or name in classes)
