"""From a comparison to what a strategy sees of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from loop.base.arrays import Ints, Reals
from loop.math.coverage.comparison import Comparison
from loop.math.coverage.gaps import Gap, enough_frames
from loop.math.evaluation.calibration import Calibration
from loop.math.quality.effort import RULE
from loop.math.quality.object_counts import ObjectCounts, in_bands
from loop.selection.exclusions import Rules
from samplers import Pool
from samplers.expected_loss import expected_loss
from samplers.ragged import Ragged


@dataclass(frozen=True)
class Cost:
    """Seconds that a labeler spends on a frame and on each of its boxes; known: measured from
    answers, not assumed.
    """

    frame: float = RULE.task
    box: float = RULE.added
    known: bool = False


@dataclass(frozen=True)
class Calibrated:
    """What the answers so far have taught.

    trust: 0..1, how far expected loss predicts what the detector gets wrong, among frames that show
    no gap.
    trust_in_gaps: the same within gaps. It is told; no strategy asks for it.
    counts: how many objects a frame holds, by the boxes that were found in it.
    """

    calibration: Calibration = field(default_factory=lambda: Calibration(None, {}))
    trust: float = 0.0
    cost: Cost = Cost()
    trust_in_gaps: float = 0.0
    counts: ObjectCounts = field(default_factory=ObjectCounts)


def pool_of(
    found: Comparison, rows: Ints, rules: Rules, calibrated: Calibrated, queries: ArrayLike | None = None
) -> Pool:
    """The production frames of these rows as a pool.

    queries: (Q, D) what is looked for, by `targeted`.
    """
    slices, production = found.frame_slices, found.production
    boxes = found.boxes.take(rows)
    return Pool.of(
        production.vectors[rows],
        ids=production.seq[rows],
        labeled=np.concatenate([found.training.vectors[:], production.vectors[_coming(found, rules)]]),
        scores=boxes.scores,
        cluster=rules.cluster[rows],
        sequence=rules.sequence[rows],
        slices=slices.code[rows],
        deficit=slices.deficit,
        names=slices.names,
        membership=slices.sure[rows],
        novelty=found.novelty.ratio[rows],
        novel_above=found.novelty.limit,
        excluded=rules.engaged[rows] | np.isin(rules.cluster[rows], rules.judging),
        seconds=seconds_of(found, rows, calibrated),
        max_per_sequence=rules.per_sequence,
        wanted=wanted_of(found, rules),
        queries=queries,
        class_counts=found.frames_per_class if boxes.class_scores is not None else (),
        expected_loss=expected_loss_of(found, rows, calibrated),
        trust=calibrated.trust,
    )


def expected_loss_of(found: Comparison, rows: Ints, calibrated: Calibrated) -> Reals:
    """(R,) what the detector is expected to get wrong in each frame, 0..1."""
    confidence = found.boxes.confidence.take(rows)
    return expected_loss(confidence, chances_of(found, rows, calibrated), found.missed[rows])


def chances_of(found: Comparison, rows: Ints, calibrated: Calibrated) -> Ragged:
    """Of each of R frames, (K,) how probable each box that was found is an object."""
    boxes = found.boxes.take(rows)
    return calibrated.calibration.chances(boxes.class_id, boxes.confidence)


def objects_of(found: Comparison, rows: Ints, calibrated: Calibrated) -> Reals:
    """(R,) how many objects each frame is expected to hold."""
    return calibrated.counts.expected(in_bands(found.boxes.confidence.take(rows)))


def seconds_of(found: Comparison, rows: Ints, calibrated: Calibrated) -> Reals:
    """(R,) what labeling each frame is expected to cost; the same for all until answers have told."""
    cost = calibrated.cost
    seconds: Reals = cost.frame + cost.box * objects_of(found, rows, calibrated)
    return seconds if cost.known or not len(seconds) else np.full(len(seconds), seconds.mean())


def wanted_of(found: Comparison, rules: Rules) -> Ints:
    """(S,) how many more frames each slice needs, what is queued to be trained on already taken
    off.
    """
    lacking = [_lacking(gap, len(found.training)) for gap in found.gaps]
    wanted: Ints = np.maximum(np.array(lacking, dtype=np.int64) - queued_of(found, rules), 0)
    return wanted


def queued_of(found: Comparison, rules: Rules) -> Ints:
    """(S,) how many frames that show each gap are queued to be trained on."""
    return showing(found, queued_rows(found, rules))


def showing(found: Comparison, rows: Ints) -> Ints:
    """(S,) how many of these frames show each gap; one that shows several counts for each."""
    return np.array([np.isin(rows, gap.frames).sum() for gap in found.gaps], dtype=np.int64)


def queued_rows(found: Comparison, rules: Rules) -> Ints:
    """Rows of production that are queued to be trained on; one that a labeler skipped never will
    be.
    """
    return np.setdiff1d(_coming(found, rules), rules.skipped)


def _coming(found: Comparison, rules: Rules) -> Ints:
    """Rows of production that were asked for and are not in the training set; what judges models
    never will be.
    """
    trained = np.isin(found.production.seq, found.training.seq)
    return np.flatnonzero(rules.engaged & rules.in_pool & ~trained)


def _lacking(gap: Gap, training: int) -> int:
    """Until enough training frames show the condition, see `enough_frames`."""
    known = gap.training_known * training
    return math.ceil(enough_frames(gap.production_share, known) - gap.labeled(training))
