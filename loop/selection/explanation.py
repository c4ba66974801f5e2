"""What a batch buys: coverage, conditions, classes, redundancy and hours, for people and for
programs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loop.base.arrays import Ints, Reals
from loop.base.wording import counted
from loop.gaps.coverage_view import CoverageView
from loop.math.coverage.comparison import Comparison
from loop.selection.batch_cost import BatchCost, cost_of, told_boxes
from loop.selection.exclusions import Rules
from loop.selection.sampler_pool import Calibrated, queued_rows, showing
from samplers import Pool
from samplers.batch_value import worth_of


@dataclass(frozen=True)
class ConditionBought:
    """frames: of the batch that show it; one can show several.
    labeled, queued: before it.
    wanted: more that are lacking, of which the batch's are a part.
    untold: labeled frames of which nobody knows whether they show it.
    """

    name: str
    frames: int
    labeled: int
    queued: int
    wanted: int
    untold: int


@dataclass(frozen=True)
class ClassBought:
    """boxes: expected in the frames that train.
    labeled: before it.
    """

    name: str
    boxes: float
    labeled: int


@dataclass(frozen=True)
class Nearest:
    """A labeled frame.

    path: below the store.
    file: as its source names it.
    similarity: cosine.
    """

    frame: int
    path: str
    file: str
    similarity: float


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of production.

    train: (k,).
    evaluation: (e,).
    components: (k,) what chose each frame that trains.
    """

    train: Ints
    evaluation: Ints
    components: Sequence[str]


@dataclass(frozen=True)
class Explanation:
    """Of the frames that train, but for the cost, which is that of all.
    coverage, redundancy: see `Worth`, by what is labeled or queued; what a labeler skipped covers
    nothing.

    components: frames by what chose them.
    trust, trust_in_gaps: 0..1, how far expected loss counted, and how far it predicts within gaps.
    nearest: by chosen frame, what it resembles most of all that is labeled.
    """

    coverage_before: float
    coverage_after: float
    redundancy: float
    cost: BatchCost
    trust: float
    trust_in_gaps: float
    components: dict[str, int]
    conditions: list[ConditionBought]
    classes: list[ClassBought]
    nearest: dict[int, Nearest]


def explain(
    found: CoverageView,
    rules: Rules,
    pool: Pool,
    batch: Batch,
    calibrated: Calibrated,
    rng: np.random.Generator,
) -> Explanation:
    """pool: the batch's frames that train are rows of it."""
    seqs = found.production.seq[batch.train]
    order = np.argsort(pool.ids)
    chosen = order[np.searchsorted(pool.ids, seqs, sorter=order)]
    queued = queued_rows(found, rules)
    labeled = np.concatenate([found.training.vectors[:], found.production.vectors[queued]])
    worth = worth_of(replace(pool, labeled=labeled), chosen, rng)
    return Explanation(
        coverage_before=worth.coverage_before,
        coverage_after=worth.coverage_after,
        redundancy=worth.redundancy,
        cost=cost_of(found, np.concatenate([batch.train, batch.evaluation]), calibrated),
        trust=calibrated.trust,
        trust_in_gaps=calibrated.trust_in_gaps,
        components=dict(Counter(batch.components).most_common()),
        conditions=_conditions(found, pool, batch.train, queued),
        classes=_classes(found, _expected(found, batch.train, calibrated)),
        nearest=_nearest(found, pool, chosen),
    )


def lines(of: Explanation) -> list[str]:
    """For people, a line a fact."""
    chosen = ", ".join(f"{count} {component}" for component, count in of.components.items())
    return [
        f"covers     {of.coverage_before:.1%} of production before, {of.coverage_after:.1%} with it",
        f"costs      {of.cost.line()}",
        (
            f"redundant  {of.redundancy:.1%}: how far its frames are covered by each other and by what is"
            " labeled or queued"
        ),
        f"chosen by  {chosen or 'nothing'}; the model's uncertainty counts {of.trust:.0%}, as far as it"
        f" predicts what the model gets wrong among ordinary frames ({of.trust_in_gaps:.0%} within gaps)",
        *(
            f"condition  {each.name}: {counted(each.frames, 'frame')}; {each.labeled}"
            f" labeled{f' (of {each.untold} more it is not known)' if each.untold else ''}, {each.queued}"
            f" queued, {each.wanted} more wanted"
            for each in of.conditions
        ),
        *(
            f"class      {each.name}: {told_boxes(each.boxes)} expected to train on; {each.labeled} labeled"
            for each in of.classes
        ),
    ]


def _expected(found: Comparison, rows: Ints, calibrated: Calibrated) -> Reals:
    """(C,) objects of each class in these frames: those of their boxes, and as many more as no box
    shows.
    """
    boxes = found.boxes.take(rows)
    objects = calibrated.counts.shares(boxes.confidence.values)
    if boxes.class_scores is None:
        expected: Reals = np.bincount(boxes.class_id.values, objects, len(found.classes)).astype(np.float64)
    else:
        scores = boxes.class_scores.values
        total = scores.sum(axis=1)
        expected = np.divide(objects, total, out=np.zeros(len(objects)), where=total > 0) @ scores
    more = calibrated.counts.missed * len(rows)
    return expected * (1 + more / expected.sum()) if expected.sum() else expected


def _conditions(found: Comparison, pool: Pool, rows: Ints, queued: Ints) -> list[ConditionBought]:
    frames, before, training = showing(found, rows), showing(found, queued), len(found.training)
    return [
        ConditionBought(
            gap.name,
            int(frames[place]),
            round(gap.labeled(training)),
            int(before[place]),
            int(pool.wanted[place]),
            round((1 - gap.training_known) * training),
        )
        for place, gap in enumerate(found.gaps)
    ]


def _classes(found: Comparison, expected: Reals) -> list[ClassBought]:
    return [
        ClassBought(name, float(boxes), int(found.boxes_per_class[place]))
        for place, (name, boxes) in enumerate(zip(found.classes, expected, strict=True))
    ]


def _nearest(found: CoverageView, pool: Pool, chosen: Ints) -> dict[int, Nearest]:
    similar = pool.embeddings[chosen] @ found.training.vectors[:].T
    best = similar.argmax(axis=1).astype(np.int64)
    return {
        int(pool.ids[row]): Nearest(
            labeled.seq, labeled.path, labeled.source_key, float(similar[place, column])
        )
        for place, (row, column, labeled) in enumerate(
            zip(chosen, best, found.training_frames.take(best), strict=True)
        )
    }
