"""What labeled frames teach about choosing the next ones: what confidence means, how far expected
loss is right, what a label costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectors.ports import Purpose
from db.analysis import load_detections
from db.engine import read
from db.frames import frames
from db.labels import labels
from db.states import Origin, TaskStatus
from db.tasks import tasks
from loop.analysis.held_out_groups import held_out_groups
from loop.base.arrays import Bools, Ints, Reals
from loop.gaps.coverage_view import CoverageView
from loop.math.boxes.matching import ImageMatch, match, truth_of, with_class_ids
from loop.math.coverage.frame_arrays import codes_of
from loop.math.coverage.frame_slices import NO_SLICE
from loop.math.evaluation.calibration import calibrate
from loop.math.evaluation.frame_loss import frame_loss
from loop.math.statistics.rank_correlation import trust_of
from loop.project.project import Project
from loop.selection.batch_cost import learned_cost
from loop.selection.held_out_weights import evaluation_answers, held_out_weights
from loop.selection.sampler_pool import Calibrated
from samplers.expected_loss import expected_loss
from samplers.ragged import Ragged

IOU = 0.5
FOLDS = 5
FEW_FRAMES = 40


@dataclass(frozen=True, eq=False)
class MatchedFrames:
    """Frames that are labeled, never trained and seen by the current detector.

    group: (H,).
    missed: (H,), 0 where nobody knows.
    production: (H,) bool.
    slice: (H,) the gap that a frame shows, NO_SLICE for ordinary ones.
    weight: (H,) of how many frames each is one.
    """

    matches: Sequence[ImageMatch]
    group: Ints
    missed: Reals
    production: Bools
    slice: Ints
    weight: Reals


def calibrated(project: Project, view: CoverageView) -> Calibrated:
    """From evaluation frames and the held-out part of the imported dataset, and from how long the
    answers so far took.
    """
    held = _held_out(project, view)
    with read(project.engine) as session:
        cost, counts = learned_cost(session, view.detector)
    seed = project.settings.seed
    return Calibrated(calibrate(held.matches), trust(held, seed), cost, trust_in_gaps(held, seed), counts)


def trust(held: MatchedFrames, seed: int) -> float:
    """In expected loss that was calibrated on other frames, among ordinary ones: see `trust_of`.

    That gaps are worse than all else says nothing of frames that show none.
    By frames of production once there are 40 of them, because that is what is chosen from; before,
    by the imported ones.
    """
    ordinary = np.flatnonzero(held.production & (held.slice == NO_SLICE))
    return _trust_among(held, ordinary if len(ordinary) >= FEW_FRAMES else ~held.production, seed)


def trust_in_gaps(held: MatchedFrames, seed: int) -> float:
    """The same of frames of production that show gaps, each set against others of its gap."""
    return _trust_among(held, held.production & (held.slice != NO_SLICE), seed)


def _trust_among(held: MatchedFrames, among: Ints | Bools, seed: int) -> float:
    chosen = np.arange(len(held.matches))[among]
    if len(chosen) < FEW_FRAMES:
        return 0.0
    loss = np.array([frame_loss(held.matches[row]) for row in chosen])
    return trust_of(
        out_of_fold(held)[chosen],
        loss,
        held.group[chosen],
        seed,
        weight=held.weight[chosen],
        stratum=held.slice[chosen],
    )


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


def _held_out(project: Project, view: CoverageView) -> MatchedFrames:
    """Grouped and weighed as the judge does."""
    with read(project.engine) as session:
        known = labels(session, purpose=Purpose.EVALUATION)
        found = load_detections(session, view.detector, sorted(known))
        rows = frames(session, seqs=sorted(found))
        answered = evaluation_answers(tasks(session, status=TaskStatus.DONE))
        weight = held_out_weights(session, view.made, rows, answered)
    truths = [truth_of(with_class_ids(known[row.seq].boxes, project.classes)) for row in rows]
    matches = [match(truth, found[row.seq], [IOU]) for row, truth in zip(rows, truths, strict=True)]
    seqs = np.array([row.seq for row in rows], dtype=np.int64)
    place = np.minimum(np.searchsorted(view.production.seq, seqs), len(view.production) - 1)
    compared = view.production.seq[place] == seqs
    return MatchedFrames(
        matches,
        codes_of(held_out_groups(project.engine, view.embedder, rows)),
        np.where(compared, view.missed[place], 0.0),
        np.array([row.origin == Origin.PRODUCTION for row in rows], dtype=bool),
        np.where(compared, view.frame_slices.code[place], NO_SLICE),
        weight,
    )
