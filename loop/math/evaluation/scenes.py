"""Images of which nothing tells where or when they were taken, grouped by what they show."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from connectors.ports import Array
from loop.base.arrays import Ints

TRIES = 4
"""The best of so many starts counts."""


def scenes(vectors: Array, alike: Ints) -> Ints:
    """(N,) int64 a number for each image: about sqrt(N) groups, however different the images are,
    for pictures of one place are no independent evidence.

    vectors: (N, D) of what they show.
    alike: (N,) groups of near-duplicates, which stay together.
    k-means (scikit-learn) of the mean vectors of near-duplicates. Deterministic.
    """
    if not len(vectors):
        return np.zeros(0, dtype=np.int64)
    code = np.unique(alike, return_inverse=True)[1]
    centers = np.zeros((int(code.max()) + 1, vectors.shape[1]))
    np.add.at(centers, code, vectors)
    centers /= np.bincount(code)[:, None]
    many = min(max(round(len(vectors) ** 0.5), 1), len(np.unique(centers, axis=0)))
    found = KMeans(many, n_init=TRIES, random_state=0).fit_predict(centers)
    numbers: Ints = found.astype(np.int64)[code]
    return numbers
