"""A map of the embedding space, for looking at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from connectors.ports import Array
from loop.base.arrays import Bools, Ints, Reals

FEW = 10
BESIDE = 3
START_SPREAD = 50.0
"""Of first places in 0..1: about as wide as t-SNE lays them, so that they hardly move."""


def project(vectors: Array, seed: int = 0, start: Reals | None = None) -> Reals:
    """(N, D) to (N, 2) in 0..1: PCA to 50 dimensions, then t-SNE (van der Maaten and Hinton 2008);
    the same seed, the same map.

    start: (N, 2) where points lie at first, in 0..1; by the first two principal components where left
    out. Groups stay about where they were (Kobak and Berens 2019).
    Takes some seconds per thousand rows: `sample_rows` first. Fewer than 10 rows are projected by
    PCA alone.
    """
    if len(vectors) < 3:
        return np.full((len(vectors), 2), 0.5)
    rows = np.asarray(vectors, dtype=np.float64)
    if np.ptp(rows, axis=0).max() == 0:
        return np.full((len(rows), 2), 0.5)
    dims = min(50, len(rows) - 1, rows.shape[1])
    reduced = PCA(dims, random_state=seed, svd_solver="full").fit_transform(rows)
    if len(rows) < FEW or dims < 2:
        return _to_unit_square(np.column_stack([reduced, np.zeros(len(rows))])[:, :2])
    perplexity = min(30.0, (len(rows) - 1) / 3)
    init = "pca" if start is None else ((start - 0.5) * START_SPREAD).astype(np.float32)
    plane = TSNE(2, perplexity=perplexity, init=init, random_state=seed).fit_transform(reduced)
    return _to_unit_square(np.asarray(plane, dtype=np.float64))


def aligned(plane: Reals, before: Reals, known: Bools) -> Reals:
    """A map (N, 2) turned and mirrored so that points lie as near as can be to where they were
    (orthogonal Procrustes, Schoenemann 1966), in 0..1.

    known: (N,) points that have an old place.
    before: (K, 2) the old places of those.
    """
    if np.count_nonzero(known) < 2:
        return plane
    turn, _ = orthogonal_procrustes(plane[known] - plane[known].mean(axis=0), before - before.mean(axis=0))
    return _to_unit_square((plane - 0.5) @ turn)


def place_beside(vectors: Array, known: Array, plane: Reals) -> Reals:
    """Places (N, 2) for vectors (N, D) on a map that is there: between the three most similar of
    its own points, known (K, D) at plane (K, 2), weighted by how similar they are.
    """
    similar = vectors @ known.T
    rows, count = np.arange(len(vectors)), min(BESIDE, len(known))
    near, weight = np.empty((len(rows), count), np.int64), np.empty((len(rows), count))
    for place in range(count):  # a few maxima are found far quicker than an order
        near[:, place] = similar.argmax(axis=1)
        weight[:, place] = np.maximum(similar[rows, near[:, place]], 0) + 1e-6
        similar[rows, near[:, place]] = -np.inf
    places: Reals = (plane[near] * weight[:, :, None]).sum(axis=1) / weight.sum(axis=1, keepdims=True)
    return places


def sample_rows(parts: list[Ints], ids: list[Ints], most: int) -> list[Ints]:
    """At most `most` rows of all parts together, sorted: the budget is shared evenly, what a small
    part does not use goes to the larger.

    ids: of the frames of each part; which are taken depends on them alone, so that most stay when
    others come in.
    """
    chosen: list[Ints] = [np.zeros(0, dtype=np.int64)] * len(parts)
    left = most
    for done, index in enumerate(sorted(range(len(parts)), key=lambda i: len(parts[i]))):
        take = min(len(parts[index]), left // (len(parts) - done))
        if take < len(parts[index]):
            least = np.argpartition(_mixed(ids[index]), take)[:take]
            chosen[index] = np.sort(parts[index][least])
        else:
            chosen[index] = np.sort(parts[index])
        left -= take
    return chosen


def _mixed(ids: Ints) -> NDArray[np.uint64]:
    """A number for each id that tells nothing of its place (SplitMix64, Steele et al. 2014)."""
    mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return found


def _to_unit_square(plane: Reals) -> Reals:
    low, high = plane.min(axis=0), plane.max(axis=0)
    scaled: Reals = (plane - low) / np.maximum(high - low, 1e-12)
    return scaled
