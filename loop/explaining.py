"""What a batch buys: coverage, conditions, classes, redundancy and hours, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loop.comparing import Comparison
from loop.pooling import Learned
from samplers import Pool
from samplers.worth import Worth, worth_of

Ints = NDArray[np.int64]
ORDINARY = "ordinary frames"


@dataclass(frozen=True)
class ConditionBought:
    """frames: of the batch. labeled: before it. wanted: more that are lacking, of which the batch's are a part."""

    name: str
    frames: int
    labeled: int
    wanted: int


@dataclass(frozen=True)
class ClassBought:
    """boxes: expected in the batch. labeled: before it."""

    name: str
    boxes: float
    labeled: int


@dataclass(frozen=True)
class Nearest:
    """A labeled frame. path: below the store. similarity: cosine."""

    frame: int
    path: str
    similarity: float


@dataclass(frozen=True)
class Explanation:
    """Of the frames that train. coverage, redundancy: see `Worth`. arms: frames by what chose them.

    trust: 0..1, how far the detector's doubt counted. timed: whether the hours come from how long the answers so far took.
    nearest: by chosen frame, what it resembles most of all that is labeled.
    """

    coverage_before: float
    coverage_after: float
    redundancy: float
    hours: float
    timed: bool
    boxes: float
    trust: float
    arms: dict[str, int]
    conditions: list[ConditionBought]
    classes: list[ClassBought]
    nearest: dict[int, Nearest]


def explain(
    found: Comparison,
    pool: Pool,
    chosen: Ints,
    arms: Sequence[str],
    learned: Learned,
    rng: np.random.Generator,
) -> Explanation:
    """chosen: (k,) rows of the pool. arms: (k,) what chose each."""
    worth = worth_of(pool, chosen, rng)
    return Explanation(
        coverage_before=worth.coverage_before,
        coverage_after=worth.coverage_after,
        redundancy=worth.redundancy,
        hours=worth.hours,
        timed=learned.cost.known,
        boxes=worth.boxes,
        trust=learned.trust,
        arms=dict(Counter(arms).most_common()),
        conditions=_conditions(found, pool, chosen),
        classes=_classes(found, worth),
        nearest=_nearest(found, pool, chosen),
    )


def lines(of: Explanation) -> list[str]:
    """For people, a line a fact."""
    source = (
        "by how long answers took so far"
        if of.timed
        else "by a rule of thumb, until 30 answers have been timed"
    )
    return [
        f"covers     {of.coverage_before:.1%} of production before, {of.coverage_after:.1%} with it",
        f"costs      about {of.hours:.1f} hours of labeling, {of.boxes:.0f} boxes ({source})",
        f"redundant  {of.redundancy:.1%}: how far its frames are covered by each other and by what is labeled",
        f"chosen by  {', '.join(f'{count} {arm}' for arm, count in of.arms.items()) or 'nothing'}; "
        f"the model's own doubt counts {of.trust:.0%}",
        *(
            f"condition  {each.name}: {each.frames} frames; {each.labeled} labeled, {each.wanted} more wanted"
            for each in of.conditions
        ),
        *(
            f"class      {each.name}: about {each.boxes:.0f} boxes; {each.labeled} labeled"
            for each in of.classes
        ),
    ]


def _conditions(found: Comparison, pool: Pool, chosen: Ints) -> list[ConditionBought]:
    frames = np.bincount(pool.strata[chosen][pool.strata[chosen] >= 0], minlength=len(found.gaps))
    return [
        ConditionBought(
            gap.name,
            int(frames[place]),
            round(gap.training_share * len(found.training)),
            int(pool.wanted[place]),
        )
        for place, gap in enumerate(found.gaps)
    ]


def _classes(found: Comparison, worth: Worth) -> list[ClassBought]:
    return [
        ClassBought(name, float(boxes), int(found.boxes_per_class[place]))
        for place, (name, boxes) in enumerate(zip(found.classes, worth.by_class, strict=False))
    ]


def _nearest(found: Comparison, pool: Pool, chosen: Ints) -> dict[int, Nearest]:
    similar = pool.embeddings[chosen] @ found.training.vectors.T
    best = similar.argmax(axis=1)
    rows = [found.training.rows[int(place)] for place in best]
    return {
        int(pool.ids[row]): Nearest(labeled.seq, labeled.path, float(similar[place, best[place]]))
        for place, (row, labeled) in enumerate(zip(chosen, rows, strict=True))
    }
