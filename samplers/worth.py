"""What a batch buys: how much of the pool it covers, how much of it is the same again, and what labeling it costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samplers.covering import gaussian
from samplers.distances import Floats, nearest_distance, rows_of, squared_distances
from samplers.herding import estimate_scale
from samplers.pool import Ints, Pool, Reals

REFERENCE = 20_000


@dataclass(frozen=True)
class Worth:
    """coverage: 0..1, of the pool by what is labeled, and with the batch. redundancy: 0..1, how far each frame of the batch is
    covered by the others and by what is labeled. boxes: expected. by_class: (C,) of each class, empty where only confidences
    are known. hours: of labeling.
    """

    coverage_before: float
    coverage_after: float
    redundancy: float
    boxes: float
    by_class: Reals
    hours: float


def worth_of(pool: Pool, chosen: Ints, rng: np.random.Generator) -> Worth:
    """chosen: (k,) rows. By at most 20,000 rows drawn from the pool."""
    among = np.sort(rng.choice(len(pool), min(len(pool), REFERENCE), replace=False))
    points = rows_of(pool.embeddings, among)
    scale = estimate_scale(points, pool.labeled, rng)
    known, batch = nearest_distance(points, pool.labeled), pool.embeddings[chosen]
    both = np.minimum(known, nearest_distance(points, batch))
    return Worth(
        coverage_before=_covered(known, scale),
        coverage_after=_covered(both, scale),
        redundancy=_covered(np.minimum(nearest_distance(batch, pool.labeled), _to_others(batch)), scale),
        boxes=float(sum(_top(pool, int(row)) for row in chosen)),
        by_class=expected_boxes(pool, chosen).sum(axis=0),
        hours=float(pool.seconds[chosen].sum() / 3600),
    )


def coverage(points: Floats, centers: Floats, scale: float) -> float:
    """mean_i max_s exp(-d^2 / scale^2), the objective of MaxHerding (Bae et al. 2024). points: (N, D). centers: (S, D)."""
    return _covered(nearest_distance(points, centers), scale)


def expected_boxes(pool: Pool, rows: Ints) -> Reals:
    """(k, C) sum of the class scores of each frame's boxes; C is 0 where only confidences are known."""
    wide = [pool.scores[int(row)] for row in rows]
    classes = max((boxes.shape[1] for boxes in wide if boxes.ndim == 2), default=0)
    sums = np.zeros((len(rows), classes))
    for place, boxes in enumerate(wide):
        if boxes.ndim == 2 and len(boxes):
            sums[place] = boxes.sum(axis=0)
    return sums


def _covered(distance: Reals, scale: float) -> float:
    similar = gaussian(scale)((distance**2).astype(np.float32))
    return float(similar.mean(dtype=np.float64)) if len(similar) else 0.0


def _to_others(points: Floats) -> Reals:
    """(k,) distance to the nearest other row; infinite where there is none."""
    squared = squared_distances(points, points)
    np.fill_diagonal(squared, np.inf)
    nearest: Reals = np.sqrt(squared.min(axis=1, initial=np.inf))
    return nearest


def _top(pool: Pool, row: int) -> float:
    boxes = pool.scores[row]
    return float(boxes.sum() if boxes.ndim == 1 else boxes.max(axis=1, initial=0.0).sum())
