"""Near-duplicates: what a fixed camera shows again and again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from samplers.distances import Floats, squared_distances, squared_norms
from samplers.pool import Ints, Reals

CHUNK_ROWS = 1024
FEW_FRAMES = 8
SLACK = 1.1


def near_duplicates(vectors: Floats, sequence: Ints, camera: Ints, rng: np.random.Generator) -> Ints:
    """(N,) int64 cluster numbers: leader clusters of what sets frames apart from their camera's median, within the
    radius that their sequence teaches.

    vectors: (N, D) float32, rows in order of time. sequence, camera: (N,) int, sequence -1 for none.
    """
    residual = camera_residuals(vectors, camera)
    return leader_clusters(residual, estimate_radius(residual, sequence, camera, rng), camera)


def camera_residuals(embeddings: Floats, camera: Ints) -> Floats:
    """(N, D) float32, unit norm or zero: what differs from the camera's median embedding.

    On a fixed camera the background dominates an embedding, so without this everything it shows looks alike.
    A camera with fewer than 8 frames is compared with the median of all. camera: (N,) int.
    """
    residual = embeddings - _median(embeddings)
    for name in np.unique(camera):
        rows = camera == name
        if rows.sum() >= FEW_FRAMES:
            residual[rows] = embeddings[rows] - _median(embeddings[rows])
    norms = np.sqrt(squared_norms(residual))[:, None]
    unit: Floats = np.where(norms > 1e-6, residual / np.maximum(norms, 1e-6), 0).astype(np.float32)
    return unit


def leader_clusters(vectors: Floats, radius: float | Reals, group: Ints | None = None) -> Ints:
    """(N,) int64 cluster numbers from 0: a frame joins the nearest leader within its radius, else it leads.

    radius: one for all, or (N,). Frames are taken in order, so a slow pan becomes a chain of clusters and
    not one. Frames of different groups (cameras) never share a cluster. Hartigan 1975; memory is bounded by
    1024 x number of leaders.
    """
    cluster = np.zeros(len(vectors), dtype=np.int64)
    groups = np.zeros(len(vectors), dtype=np.int64) if group is None else group
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(vectors),))
    used = 0
    for name in np.unique(groups):
        rows = np.flatnonzero(groups == name)
        found = _leaders_of_group(vectors[rows], radii[rows])
        cluster[rows] = used + found
        used += int(found.max()) + 1
    return cluster


def estimate_radius(
    vectors: Floats, sequence: Ints, camera: Ints, rng: np.random.Generator, pairs: int = 5000
) -> Reals:
    """(N,) the distance below which another frame of the camera counts as a near-duplicate of this one.

    Rows are in order of time. Nine in ten consecutive frames of the same sequence lie well within it: each
    sequence has its own, because all that fog or night leaves of a scene lies close together, and one radius
    would take different foggy scenes for duplicates. A frame without a sequence gets that of all consecutive
    frames. Nowhere does it exceed what 1 in 100 pairs of different sequences of a camera stay below; it is 0
    where there is nothing to learn it from.
    """
    consecutive = np.flatnonzero(
        (sequence[1:] == sequence[:-1]) & (camera[1:] == camera[:-1]) & (sequence[1:] >= 0)
    )
    if not len(consecutive):
        return np.zeros(len(vectors))
    near = _pair_distances(vectors, consecutive, consecutive + 1)
    left, right = _far_pairs(sequence, camera, rng, pairs)
    unrelated = np.quantile(_pair_distances(vectors, left, right), 0.01) if len(left) else np.inf
    radius = np.full(len(vectors), np.quantile(near, 0.9))
    names, own = _quantile_by(sequence[consecutive], near, 0.9)
    place = np.minimum(np.searchsorted(names, sequence), len(names) - 1)
    radius = np.where(names[place] == sequence, own[place], radius)
    capped: Reals = np.minimum(SLACK * radius, unrelated)
    return capped


def _median(vectors: Floats) -> NDArray[np.float32]:
    if not len(vectors):
        return np.zeros(vectors.shape[1], dtype=np.float32)
    return np.asarray(np.median(vectors, axis=0), dtype=np.float32)


def _leaders_of_group(vectors: Floats, radius: Reals) -> Ints:
    leaders: list[int] = []
    cluster = np.full(len(vectors), -1, dtype=np.int64)
    for start in range(0, len(vectors), CHUNK_ROWS):
        rows = np.arange(start, min(start + CHUNK_ROWS, len(vectors)))
        if leaders:
            squared = squared_distances(vectors[rows], vectors[leaders])
            nearest = squared.argmin(axis=1)
            near = squared[np.arange(len(rows)), nearest] <= radius[rows] ** 2
            cluster[rows[near]] = nearest[near]
        _lead(vectors, rows[cluster[rows] < 0], radius, leaders, cluster)
    return cluster


def _lead(vectors: Floats, rows: Ints, radius: Reals, leaders: list[int], cluster: Ints) -> None:
    squared = squared_distances(vectors[rows], vectors[rows])
    fresh: list[int] = []
    for position, row in enumerate(rows):
        near = squared[position, fresh] if fresh else np.zeros(0)
        if len(near) and near.min() <= radius[row] ** 2:
            cluster[row] = len(leaders) - len(fresh) + int(near.argmin())
        else:
            fresh.append(position)
            leaders.append(int(row))
            cluster[row] = len(leaders) - 1


def _pair_distances(vectors: Floats, left: Ints, right: Ints) -> Reals:
    return np.sqrt(squared_norms(vectors[left] - vectors[right]))


def _quantile_by(group: Ints, value: Reals, level: float) -> tuple[Ints, Reals]:
    """The groups, sorted, and the lower `level` quantile of each one's values."""
    names, code, sizes = np.unique(group, return_inverse=True, return_counts=True)
    ordered = value[np.lexsort((value, code))]
    starts = np.cumsum(sizes) - sizes
    return names, ordered[starts + np.floor(level * (sizes - 1)).astype(np.int64)]


def _far_pairs(sequence: Ints, camera: Ints, rng: np.random.Generator, pairs: int) -> tuple[Ints, Ints]:
    order = np.argsort(camera, kind="stable")
    _, starts, sizes = np.unique(camera[order], return_index=True, return_counts=True)
    which = rng.choice(len(sizes), size=pairs, p=sizes / sizes.sum())
    left = order[starts[which] + rng.integers(0, sizes[which])]
    right = order[starts[which] + rng.integers(0, sizes[which])]
    far = sequence[left] != sequence[right]
    return left[far], right[far]
