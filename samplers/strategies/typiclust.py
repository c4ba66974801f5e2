"""Typical frames first: for the first rounds, when nothing is known yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samplers.engine.components import Queue, take_turns
from samplers.geometry.distances import Floats, squared_distances
from samplers.geometry.partition import SAMPLE, k_means, members, nearest_cells
from samplers.pool import Ints, Pool, Reals, Selection
from samplers.reason import Reason

MOST_ROWS = 4096
TYPICAL = Reason("typical", "Typical of a kind of image of which few are labeled")


@dataclass(frozen=True)
class TypiClustSettings:
    """max_clusters: however large the budget.
    few: clusters of so many rows or fewer are passed over.
    neighbors: whose mean distance measures how typical a row is.
    """

    max_clusters: int = 500
    few: int = 5
    neighbors: int = 20

    def __post_init__(self) -> None:
        for name, least in (("max_clusters", 1), ("few", 0), ("neighbors", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected {least} or more, got {getattr(self, name)}")


def typiclust(
    pool: Pool, k: int, rng: np.random.Generator, settings: TypiClustSettings | None = None
) -> Selection:
    """TypiClust (Hacohen et al. 2022): k-means into min(L + k, 500) clusters; those with the fewest
    labeled frames, then the largest, give their most typical frame in turn.

    Typical is the row with the least mean distance to its 20 nearest in the cluster (of at most
    4,096 rows of it). Gains are 1 / rank. Cost: (N + L + 512 clusters) clusters D multiplications,
    and in each cluster its rows times as many, 4,096 at most, chunk by chunk. The budget shapes the
    clusters, so a smaller one is no prefix of a larger. On detection it fell below chance beyond
    the first rounds: what is typical is what is known. Seconds play no part.
    """
    chosen = settings or TypiClustSettings()
    order, typicality = typical_order(pool, k, rng, chosen)
    value = np.zeros(len(pool))
    value[order] = 1 / (1 + np.arange(len(order)))
    values = {"novelty": pool.novelty, "typicality": typicality}
    return take_turns(pool, k, [Queue(TYPICAL, order, value)], values)


def typical_order(
    pool: Pool, k: int, rng: np.random.Generator, settings: TypiClustSettings
) -> tuple[Ints, Reals]:
    """All rows that are not excluded, in TypiClust's order, then the rows of small clusters; (N,)
    typicality.
    """
    rows = np.flatnonzero(~pool.excluded)
    typicality = np.zeros(len(pool))
    if not len(rows):
        return rows, typicality
    cells = min(max(len(pool.labeled) + k, 1), settings.max_clusters)
    middles = k_means(_sample(pool, rows, SAMPLE * cells, rng), cells, rng)
    inside = [rows[part] for part in members(nearest_cells(pool.embeddings[rows], middles), len(middles))]
    labeled = np.bincount(nearest_cells(pool.labeled, middles)[:, 0], minlength=len(middles))
    for part in inside:
        typicality[part] = typical(pool.embeddings[part], settings.neighbors, rng)
    size = np.array([len(part) for part in inside]) + labeled
    ranked = np.lexsort((-size, labeled))
    in_turn = [part for part in ranked if size[part] > settings.few]
    small = [part for part in ranked if size[part] <= settings.few]
    turns = [
        _round_robin([_most_typical(inside[n], typicality) for n in group]) for group in (in_turn, small)
    ]
    return np.concatenate(turns), typicality


def typical(points: Floats, neighbors: int, rng: np.random.Generator) -> Reals:
    """(M,) 1 / mean distance to the nearest others, half of them at most; higher is more typical."""
    if len(points) < 2:
        return np.ones(len(points))
    among = np.sort(rng.choice(len(points), min(len(points), MOST_ROWS), replace=False))
    near = min(neighbors, max(len(among) // 2, 1))
    mean = np.empty(len(points))
    itself = np.isin(np.arange(len(points)), among)
    for start in range(0, len(points), MOST_ROWS):
        part = slice(start, start + MOST_ROWS)
        squared = squared_distances(points[part], points[among])
        kth = min(near, len(among) - 1)
        nearest = np.sort(np.sqrt(np.partition(squared, kth, axis=1)[:, : near + 1]), axis=1)
        others = np.where(itself[part], nearest.sum(axis=1) - nearest[:, 0], nearest[:, :near].sum(axis=1))
        mean[part] = others / near
    return 1 / (mean + 1e-5)


def _sample(pool: Pool, rows: Ints, count: int, rng: np.random.Generator) -> Floats:
    drawn = rng.choice(
        len(rows) + len(pool.labeled), min(len(rows) + len(pool.labeled), count), replace=False
    )
    drawn.sort()
    of_pool, of_labeled = drawn[drawn < len(rows)], drawn[drawn >= len(rows)] - len(rows)
    return np.concatenate([pool.embeddings[rows[of_pool]], pool.labeled[of_labeled]])


def _most_typical(rows: Ints, typicality: Reals) -> Ints:
    ordered: Ints = rows[np.lexsort((rows, -typicality[rows]))]
    return ordered


def _round_robin(lists: list[Ints]) -> Ints:
    """Each one's first, then each one's second, ..."""
    if not lists:
        return np.zeros(0, dtype=np.int64)
    place = np.concatenate([np.arange(len(rows)) for rows in lists])
    ordered: Ints = np.concatenate(lists)[np.argsort(place, kind="stable")]
    return ordered
