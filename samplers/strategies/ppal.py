"""Uncertain first, then different: PPAL's two stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samplers.engine.components import Admission, Queue, take_turns
from samplers.pool import Ints, Pool, PoolError, Reals, Selection
from samplers.reason import ChosenFrame, Reason
from samplers.strategies.uncertainty import box_uncertainty, in_columns, relative_cost, top_two

ROUNDS = 10


def _why(frame: ChosenFrame) -> str:
    if frame.values["uncertainty"] > 0:
        return "The model is unsure of what it found here, and other such images in this batch look different"
    return "The model found nothing here, and too few images are left in which it is unsure"


PPAL = Reason("ppal", _why)


@dataclass(frozen=True)
class PPALSettings:
    """expansion: stage 1 keeps so many times the budget.
    quality: per class, .4 IoU and .6 confidence blended over training, 0 for the hardest; every
    class the same when empty.
    alpha, beta: as published.
    """

    expansion: int = 4
    quality: tuple[float, ...] = ()
    alpha: float = 0.3
    beta: float = 0.2
    min_score: float = 0.05

    def __post_init__(self) -> None:
        if self.expansion < 1:
            raise ValueError(f"expansion: expected 1 or more, got {self.expansion}")
        if not all(0 <= quality <= 1 for quality in self.quality):
            raise ValueError(f"quality: expected numbers in 0..1, got {self.quality}")


def ppal(pool: Pool, k: int, rng: np.random.Generator, settings: PPALSettings | None = None) -> Selection:
    """PPAL (Yang et al. 2024): the 4k frames with the largest difficulty-weighted sum of entropies
    per second, then the medoids of k clusters of them.

    The published similarity matches boxes of a class by box features. A pool has one vector per
    frame, so here two frames are as similar as their vectors, as far as the classes of one are
    found in the other, and opposite (-1) as far as they are not. Cost: (4k)^2 (D + C), N log N and
    the scores of all boxes, memory 40 bytes times (4k)^2. A sum follows crowding, and what is
    labeled plays no part. Seconds divide the sum, so they decide who is among the 4k and in which
    order the medoids come, but not which of the 4k are medoids. The budget shapes the clusters: a
    smaller one is no prefix of a larger.
    """
    chosen = settings or PPALSettings()
    unsure = difficulty(pool, chosen)
    value = unsure / relative_cost(pool)
    order = np.lexsort((rng.permutation(len(pool)), -value))
    short = _short_list(pool, order, chosen.expansion * k)
    medoids = short[k_medoids(frame_distances(pool, short, chosen.min_score), k, rng)]
    first = medoids[np.lexsort((medoids, -value[medoids]))]
    rest = order[~np.isin(order, first)]
    worth = np.minimum(value, value[first].min(initial=np.inf))
    worth[first] = value[first]
    component = Queue(PPAL, np.concatenate([first, rest]), worth)
    return take_turns(pool, k, [component], {"novelty": pool.novelty, "uncertainty": unsure})


def difficulty(pool: Pool, settings: PPALSettings) -> Reals:
    """(N,) sum over boxes of w_c h(p), w_c = 1 + alpha beta ln(1 + (e^(1 / alpha) - 1) (1 -
    quality_c)).
    """
    first, second = top_two([boxes for boxes in pool.scores if boxes.size])
    frame = np.repeat(np.arange(len(pool)), [len(boxes) if boxes.size else 0 for boxes in pool.scores])
    value = box_uncertainty(first, second, "entropy")
    if settings.quality:
        value = value * class_weights(settings)[_classes(pool, len(settings.quality))]
    seen = first >= settings.min_score
    return np.bincount(frame[seen], weights=value[seen], minlength=len(pool)).astype(np.float64)


def class_weights(settings: PPALSettings) -> Reals:
    """(C,) 1 for a class of quality 1, 1 + beta for one of quality 0."""
    hard = 1 - np.asarray(settings.quality)
    weights: Reals = 1 + settings.alpha * settings.beta * np.log1p(np.expm1(1 / settings.alpha) * hard)
    return weights


def frame_distances(pool: Pool, rows: Ints, min_score: float) -> Reals:
    """(M, M) 0..2, symmetric: 1 - similarity, as `ppal` explains."""
    cosine = (pool.embeddings[rows] @ pool.embeddings[rows].T).astype(np.float64)
    shares = _class_shares(pool, rows, min_score)
    common = shares @ (shares > 0).T
    similar = common * cosine - (1 - common)
    return np.clip(1 - (similar + similar.T) / 2, 0, 2)


def k_medoids(distance: Reals, k: int, rng: np.random.Generator) -> Ints:
    """(min(k, M),) places of medoids: k-means++ seeds (Arthur and Vassilvitskii 2007), then
    alternation, 10 rounds.
    """
    count = min(k, len(distance))
    if count < 1:
        return np.zeros(0, dtype=np.int64)
    medoids: Ints = _seeds(distance, count, rng)
    for _ in range(ROUNDS):
        owner = distance[:, medoids].argmin(axis=1)
        owner[medoids] = np.arange(count)
        inside = [np.flatnonzero(owner == cluster) for cluster in range(count)]
        moved = np.array([rows[distance[np.ix_(rows, rows)].sum(axis=0).argmin()] for rows in inside])
        if np.array_equal(moved, medoids):
            break
        medoids = moved.astype(np.int64)
    return medoids


def _seeds(distance: Reals, count: int, rng: np.random.Generator) -> Ints:
    seeds = [int(rng.integers(len(distance)))]
    near = distance[seeds[0]].copy()
    while len(seeds) < count:
        near[seeds] = 0
        weight = near**2 if near.any() else ~np.isin(np.arange(len(near)), seeds) * 1.0
        seeds.append(int(rng.choice(len(near), p=weight / weight.sum())))
        near = np.minimum(near, distance[seeds[-1]])
    return np.array(seeds, dtype=np.int64)


def _short_list(pool: Pool, order: Ints, count: int) -> Ints:
    """The first rows that may be chosen together."""
    admission = Admission(pool)
    rows: list[int] = []
    for row in order:
        if len(rows) >= count:
            break
        if admission.open_rows()[row]:
            admission.take(int(row))
            rows.append(int(row))
    return np.array(rows, dtype=np.int64)


def _class_shares(pool: Pool, rows: Ints, min_score: float) -> Reals:
    """(M, C) of each frame's confidence, the part that is in each class; frames without boxes are a
    class of their own.
    """
    scores = [in_columns(pool.scores[row]) for row in rows]
    classes = max((boxes.shape[1] for boxes in scores), default=1)
    shares = np.zeros((len(rows), classes + 1))
    for place, boxes in enumerate(scores):
        if boxes.size:
            best = boxes.max(axis=1)
            np.add.at(shares[place], boxes.argmax(axis=1), np.where(best >= min_score, best, 0))
    shares[shares.sum(axis=1) == 0, -1] = 1
    parts: Reals = shares / shares.sum(axis=1, keepdims=True)
    return parts


def _classes(pool: Pool, classes: int) -> Ints:
    """(boxes,) the top class of every box. Raises PoolError when a quality is missing."""
    wide = [in_columns(boxes) for boxes in pool.scores if boxes.size]
    top: Ints = np.concatenate([np.zeros(0, dtype=np.int64), *(boxes.argmax(axis=1) for boxes in wide)])
    if len(top) and top.max() >= classes:
        raise PoolError(f"quality: expected one per class, {top.max() + 1} or more, got {classes}")
    return top
