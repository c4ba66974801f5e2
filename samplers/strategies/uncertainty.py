"""How unsure a detector is of a frame, from the scores of its boxes.

YOLO's class scores are independent sigmoids, so entropy is binary, of the top class; normalizing
them into a softmax would turn background (.02, .01) into near-maximal entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from samplers.engine.components import Queue, take_turns
from samplers.pool import Pool, Reals, Selection
from samplers.reason import ChosenFrame, Reason

Measure = Literal["entropy", "least_confidence", "margin"]
Aggregation = Literal["sum", "mean", "max", "top", "size_corrected"]


def _why(frame: ChosenFrame) -> str:
    if frame.values["uncertainty"] > 0:
        return "The model is less sure of what it found here than in images that take as long to label"
    return "The model found nothing here, and no image is left in which it is unsure"


UNCERTAIN = Reason("uncertainty", _why)


@dataclass(frozen=True)
class UncertaintySettings:
    """measure: of a box.
    aggregation: of a frame's boxes.
    min_score: boxes below are not looked at.
    top: boxes that "top" averages.

    `sum` follows crowding, `mean` prefers frames with few boxes, `top` (zero-padded mean of the
    most unsure) lies between; `size_corrected` prefers neither crowded frames nor empty ones, over
    all frames given.
    """

    measure: Measure = "entropy"
    aggregation: Aggregation = "mean"
    min_score: float = 0.05
    top: int = 3

    def __post_init__(self) -> None:
        for name, allowed in (("measure", get_args(Measure)), ("aggregation", get_args(Aggregation))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.top < 1:
            raise ValueError(f"top: expected 1 or more, got {self.top}")


def uncertainty(
    pool: Pool, k: int, rng: np.random.Generator, settings: UncertaintySettings | None = None
) -> Selection:
    """Uncertainty sampling (Settles 2009): the frames with the largest uncertainty per second; ties
    in random order.

    As `entropy`: the binary entropy of each box's top class, the mean over a frame's boxes. Cost: B
    C log C for B boxes of C classes, and N log N; no distances. It knows only what the detector
    sees: a frame without boxes comes last, whatever was missed there, and noise comes early. It
    takes the same again and again where near-duplicates are not known. The mean prefers frames with
    few boxes, and seconds, which divide it, do so again where they grow with the boxes.
    """
    unsure = frame_uncertainty(pool.scores, settings or UncertaintySettings())
    value = unsure / relative_cost(pool)
    order = np.lexsort((rng.permutation(len(pool)), -value))
    return take_turns(pool, k, [Queue(UNCERTAIN, order, value)], {"uncertainty": unsure})


def least_confidence(pool: Pool, k: int, rng: np.random.Generator) -> Selection:
    """Uncertainty sampling (Settles 2009) by 1 - p of each box's top class, the mean over a frame's
    boxes, per second.

    Cost, failures and what seconds do are `uncertainty`'s. Besides, what lies just above min_score
    is the most unsure of all, so that this threshold decides much of the choice.
    """
    return uncertainty(pool, k, rng, UncertaintySettings(measure="least_confidence"))


def margin(pool: Pool, k: int, rng: np.random.Generator) -> Selection:
    """Uncertainty sampling (Settles 2009) by 1 - (p1 - p2) of each box's two best classes, the mean
    over a frame's boxes, per second; with one score p for a box, p2 is 1 - p.

    Cost, failures and what seconds do are `uncertainty`'s. Besides, scores are sigmoids here, so
    that two low ones are as close as two high ones: a box that hardly is an object counts as
    uncertain.
    """
    return uncertainty(pool, k, rng, UncertaintySettings(measure="margin"))


def frame_uncertainty(scores: Sequence[NDArray[Any]], settings: UncertaintySettings) -> Reals:
    """(N,) float64 >= 0; a frame without boxes is 0, which a blind detector makes of every frame it
    cannot see into.

    scores: N arrays (K,) or (K, C) of sigmoid scores.
    """
    first, second = top_two(scores)
    frame = np.repeat(np.arange(len(scores)), [len(boxes) for boxes in scores])
    seen = first >= settings.min_score
    unsure = box_uncertainty(first[seen], second[seen], settings.measure)
    return aggregate(unsure, frame[seen], len(scores), settings)


def top_two(scores: Sequence[NDArray[Any]]) -> tuple[Reals, Reals]:
    """The two largest class scores of every box, (sum of K,) each;
    with one score p per box the second is 1 - p.
    """
    pairs = [_top_two_of_frame(boxes) for boxes in scores]
    if not pairs:
        return np.zeros(0), np.zeros(0)
    return np.concatenate([first for first, _ in pairs]), np.concatenate([second for _, second in pairs])


def box_uncertainty(first: Reals, second: Reals, measure: Measure) -> Reals:
    """Of each box (Settles 2009): 1 - p1, 1 - |p1 - p2|, and the binary entropy of p1 in nats."""
    if measure == "least_confidence":
        return 1 - first
    if measure == "margin":
        return 1 - np.abs(first - second)
    p = np.clip(first, 1e-12, 1 - 1e-12)
    entropy: Reals = -p * np.log(p) - (1 - p) * np.log1p(-p)
    return entropy


def aggregate(value: Reals, frame: NDArray[np.int64], size: int, settings: UncertaintySettings) -> Reals:
    """(B,) values of boxes that belong to frames (B,): one number for each of `size` frames."""
    if settings.aggregation == "max":
        largest = np.zeros(size)
        np.maximum.at(largest, frame, value)
        return largest
    if settings.aggregation == "top":
        best = rank_within(frame, value) < settings.top
        top: Reals = np.bincount(frame[best], weights=value[best], minlength=size) / settings.top
        return top
    total: Reals = np.bincount(frame, weights=value, minlength=size).astype(np.float64)
    if settings.aggregation == "sum":
        return total
    boxes = np.bincount(frame, minlength=size)
    if settings.aggregation == "size_corrected":
        return without_size(total, boxes)
    mean: Reals = total / np.maximum(boxes, 1)
    return mean


def without_size(total: Reals, boxes: NDArray[np.int64]) -> Reals:
    """(N,) >= 0: what is left of sums over n boxes when their number is accounted for; 0 without
    boxes.

    total / sqrt(n) spreads equally at every n; what ln(1 + n) explains of it by least squares, over
    the frames that have boxes, is taken off.
    """
    there = boxes > 0
    corrected = np.zeros(len(total))
    if there.any():
        value, size = total[there] / np.sqrt(boxes[there]), np.log1p(boxes[there])
        away = size - size.mean()
        slope = (away @ value) / max(float(away @ away), 1e-12)
        corrected[there] = np.maximum(value - slope * away, 0)
    return corrected


def rank_within(group: NDArray[np.int64], value: Reals) -> NDArray[np.int64]:
    """(B,) int: 0 for the largest value of each group, 1 for the next; ties by position."""
    order = np.lexsort((-value, group))
    ordered = group[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    lengths = np.diff(starts, append=len(group))
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(starts, lengths)
    return rank


def in_columns(boxes: NDArray[Any]) -> NDArray[Any]:
    """(K,) or (K, C) scores as (K, C)."""
    return boxes[:, None] if boxes.ndim == 1 else boxes


def relative_cost(pool: Pool) -> Reals:
    """(N,) seconds over their mean."""
    relative: Reals = pool.seconds / (pool.seconds.mean() if len(pool) else 1.0)
    return relative


def _top_two_of_frame(boxes: NDArray[Any]) -> tuple[Reals, Reals]:
    if boxes.ndim == 1 or boxes.shape[1] == 1:
        only = boxes.reshape(-1).astype(np.float64)
        return only, 1 - only
    if boxes.shape[1] == 0:
        return np.zeros(len(boxes)), np.zeros(len(boxes))
    ordered = np.sort(boxes.astype(np.float64), axis=1)
    return ordered[:, -1], ordered[:, -2]
