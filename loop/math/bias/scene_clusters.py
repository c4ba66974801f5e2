"""Scenes that nobody named: camera-days that look alike, whatever stands in them."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from connectors.ports import Array
from loop.base.arrays import Bools, Ints, Reals
from loop.math.bias.association import UNKNOWN

LEAST_FRAMES = 3
"""A group of fewer cannot tell the scene from what stands in it."""
MOST_SCENES = 12
TRIES = 4


def scene_clusters(vectors: Array, presence: Bools, group: Ints, seed: int) -> Ints:
    """(N,) int64 the scene of each frame, the same for all of its group; -1 where the group has too
    few frames.

    vectors: (N, D) unit norm. presence: (N, C). group: (N,) camera-days.
    What the presence of a class itself changes of a vector, within groups, is projected out first:
    else frames with a forklift would be a scene of their own, and the class tied to it. Scenes are
    mini-batch k-means (Sculley 2010) of the groups' mean vectors, about sqrt(G) of them and 12
    at most. All unknown with fewer than four groups.
    """
    code = np.unique(group, return_inverse=True)[1]
    size = np.bincount(code, minlength=1)
    usable = np.flatnonzero(size >= LEAST_FRAMES)
    scene = np.full(len(size), UNKNOWN, dtype=np.int64)
    if len(usable) >= 4:
        flat = _without(vectors.astype(np.float64), _directions(vectors, presence, code, size))
        sums = np.zeros((len(size), vectors.shape[1]))
        np.add.at(sums, code, flat)
        means = sums[usable] / size[usable, None]
        many = int(np.clip(round(len(usable) ** 0.5), 2, MOST_SCENES))
        found = MiniBatchKMeans(many, n_init=TRIES, random_state=seed, batch_size=1024).fit_predict(means)
        scene[usable] = np.unique(found, return_inverse=True)[1]
    scenes: Ints = scene[code]
    return scenes


def _directions(vectors: Array, presence: Bools, code: Ints, size: Ints) -> Reals:
    """(R, D) orthonormal: how frames with each class differ from others of their group, in the
    mean.
    """
    means = np.zeros((len(size), vectors.shape[1]))
    np.add.at(means, code, vectors.astype(np.float64))
    means /= np.maximum(size, 1)[:, None]
    found = []
    for shown in presence.T:
        share = np.bincount(code, shown, len(size)) / np.maximum(size, 1)
        weight = shown - share[code]
        if np.abs(weight).sum() > 0:
            found.append(weight @ (vectors - means[code]))
    if not found:
        return np.zeros((0, vectors.shape[1]))
    _, scale, basis = np.linalg.svd(np.stack(found), full_matrices=False)
    kept: Reals = basis[scale > 1e-9]
    return kept


def _without(vectors: Reals, directions: Reals) -> Reals:
    """(N, D) unit norm, with no part along the directions."""
    left = vectors - (vectors @ directions.T) @ directions
    norms = np.linalg.norm(left, axis=1, keepdims=True)
    unit: Reals = left / np.maximum(norms, 1e-12)
    return unit
