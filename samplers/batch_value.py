"""What a batch buys: how much of the pool it covers, and how much of it is the same again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samplers.engine.covering import gaussian
from samplers.geometry.distances import Floats, nearest_distance, reference_rows, rows_of, squared_distances
from samplers.pool import Ints, Pool, Reals, views_of
from samplers.strategies.herding import estimate_scale

TOGETHER = 512


@dataclass(frozen=True)
class Worth:
    """coverage: 0..1, of the pool by what is labeled, and with the batch.
    redundancy: 0..1, how far each frame of the batch is covered by the others and by what is
    labeled.
    """

    coverage_before: float
    coverage_after: float
    redundancy: float


def worth_of(pool: Pool, chosen: Ints, rng: np.random.Generator) -> Worth:
    """chosen: (k,) rows. By at most 20,000 rows drawn from the pool.

    What is near is told by how far apart the pool's own views lie, near-duplicates counted once:
    what is labeled would change the measure from batch to batch.
    """
    among = reference_rows(len(pool), rng)
    points = rows_of(pool.embeddings, among)
    scale = estimate_scale(points[views_of(pool.cluster[among])], pool.labeled[:0], rng)
    known, batch = nearest_distance(points, pool.labeled), pool.embeddings[chosen]
    both = np.minimum(known, nearest_distance(points, batch))
    return Worth(
        coverage_before=_covered(known, scale),
        coverage_after=_covered(both, scale),
        redundancy=_covered(np.minimum(nearest_distance(batch, pool.labeled), _to_others(batch)), scale),
    )


def coverage(points: Floats, centers: Floats, scale: float) -> float:
    """mean_i max_s exp(-d^2 / scale^2), the objective of MaxHerding (Bae et al. 2024).

    points: (N, D).
    centers: (S, D).
    """
    return _covered(nearest_distance(points, centers), scale)


def _covered(distance: Reals, scale: float) -> float:
    similar = gaussian(scale)((distance**2).astype(np.float32))
    return float(similar.mean(dtype=np.float64)) if len(similar) else 0.0


def _to_others(points: Floats) -> Reals:
    """(k,) distance to the nearest other row; infinite where there is none."""
    nearest = np.full(len(points), np.inf)
    for start in range(0, len(points), TOGETHER):
        part = np.arange(start, min(start + TOGETHER, len(points)))
        squared = squared_distances(points[part], points)
        squared[part - start, part] = np.inf
        nearest[part] = np.sqrt(squared.min(axis=1))
    return nearest
