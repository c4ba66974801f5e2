"""What labeled frames teach about choosing the next ones: what confidence means, how far expected
loss is right, what a label costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.analysis import load_detections
from db.engine import read
from db.frames import frames
from db.labels import answers, labels
from db.states import Origin, TaskStatus
from db.tasks import tasks
from loop.analysis.held_out_groups import held_out_groups
from loop.base.arrays import Bools, Ints, Reals
from loop.gaps.coverage_view import CoverageView
from loop.math.boxes.matching import ImageMatch, match, truth_of, with_class_ids
from loop.math.coverage.frame_arrays import codes_of
from loop.math.evaluation.calibration import calibrate
from loop.math.evaluation.frame_loss import frame_loss
from loop.math.statistics.rank_correlation import trust_of
from loop.project.project import Project
from loop.selection.sampler_pool import Calibrated, Cost
from samplers.expected_loss import expected_loss
from samplers.ragged import Ragged

IOU = 0.5
FOLDS = 5
FEW_FRAMES = 40
FEW_ANSWERS = 30
LONGEST_S = 600.0
"""Longer than this nobody looks at one frame; the browser was left open."""


@dataclass(frozen=True, eq=False)
class MatchedFrames:
    """Frames that are labeled, never trained and seen by the current detector.

    group: (H,).
    missed: (H,), 0 where nobody knows.
    production: (H,) bool.
    """

    matches: Sequence[ImageMatch]
    group: Ints
    missed: Reals
    production: Bools


def calibrated(project: Project, view: CoverageView) -> Calibrated:
    """From evaluation frames and the held-out part of the imported dataset, and from how long the
    answers so far took.
    """
    held = _held_out(project, view)
    with read(project.engine) as session:
        cost = _cost(session)
    return Calibrated(calibrate(held.matches), trust(held, project.settings.seed), cost)


def trust(held: MatchedFrames, seed: int) -> float:
    """Of expected loss that was calibrated on other frames: see `trust_of`.

    By frames of production once there are 40 of them, because that is what is chosen from; before,
    by the imported ones.
    """
    chosen = np.flatnonzero(held.production)
    if len(chosen) < FEW_FRAMES:
        chosen = np.flatnonzero(~held.production)
    if len(chosen) < FEW_FRAMES:
        return 0.0
    loss = np.array([frame_loss(held.matches[row]) for row in chosen])
    return trust_of(out_of_fold(held)[chosen], loss, held.group[chosen], seed)


def out_of_fold(held: MatchedFrames) -> Reals:
    """(H,) expected loss of every frame, by what boxes of other groups mean."""
    expected = np.zeros(len(held.matches))
    fold = np.unique(held.group, return_inverse=True)[1] % FOLDS
    for part in range(FOLDS):
        inside = np.flatnonzero(fold == part)
        others = calibrate([held.matches[row] for row in np.flatnonzero(fold != part)])
        boxes = [held.matches[row] for row in inside]
        confidence = Ragged.of([each.confidence for each in boxes])
        chance = others.chances(Ragged.of([each.class_id for each in boxes]), confidence)
        expected[inside] = expected_loss(confidence, chance, held.missed[inside])
    return expected


def fitted_cost(boxes: Reals, seconds: Reals) -> Cost:
    """Non-negative least squares of seconds on a constant and the number of boxes; unknown below 30
    answers that were timed.
    """
    timed = np.isfinite(seconds) & (seconds > 0) & (seconds <= LONGEST_S)
    if timed.sum() < FEW_ANSWERS:
        return Cost()
    design = np.stack([np.ones(timed.sum()), boxes[timed]], axis=1)
    (frame, box), _ = nnls(design, seconds[timed])
    return Cost(max(float(frame), 1.0), float(box), known=True)


def _held_out(project: Project, view: CoverageView) -> MatchedFrames:
    """Grouped as the judge groups them."""
    with read(project.engine) as session:
        known = labels(session, purpose=Purpose.EVALUATION)
        found = load_detections(session, view.detector, sorted(known))
        rows = frames(session, seqs=sorted(found))
    missed = dict(zip(view.production.seq.tolist(), view.missed.tolist(), strict=True))
    truths = [truth_of(with_class_ids(known[row.seq].boxes, project.classes)) for row in rows]
    matches = [match(truth, found[row.seq], [IOU]) for row, truth in zip(rows, truths, strict=True)]
    return MatchedFrames(
        matches,
        codes_of(held_out_groups(project.engine, view.embedder, rows)),
        np.array([missed.get(row.seq, 0.0) for row in rows], dtype=np.float64),
        np.array([row.origin == Origin.PRODUCTION for row in rows], dtype=bool),
    )


def _cost(session: Session) -> Cost:
    """By the answers that stand: how many boxes they have and how long they took."""
    done = {task.id: task.frame for task in tasks(session, status=TaskStatus.DONE)}
    known = labels(session, sorted(set(done.values())))
    timed = [
        (len(known[done[answer.task_id]].boxes), answer.lead_time_s)
        for answer in answers(session, sorted(done))
        if not answer.cancelled and answer.lead_time_s is not None and done[answer.task_id] in known
    ]
    boxes, seconds = np.array(timed, dtype=np.float64).reshape(-1, 2).T
    return fitted_cost(boxes, seconds)
