"""Which frames would loosen a tie between a class and places."""

from __future__ import annotations

import numpy as np

from loop.base.arrays import Ints, Reals


def evening(
    hits: Ints | Reals,
    totals: Ints | Reals,
    most: int,
    available: Ints | None = None,
    right: tuple[float, float] = (1.0, 1.0),
) -> Ints:
    """(K, 2) int64 how many frames with the class, and without it, to add to each of K places.

    hits, totals: (K,) labeled frames of each place that show the class, and all of them.
    most: frames in all. available: (K, 2) that there are; no limit where left out.
    right: how many of the frames that seem to show the class do, and of those that seem not to do
    not.
    Greedy: each next frame is the one that lessens the mean square contingency of class and place
    most, until that is what independent frames give by chance, (K - 1) / (n - 1), where Cramer's V
    is 0 (Bergsma 2013).
    """
    places = len(hits)
    added = np.zeros((places, 2), dtype=np.int64)
    limit = np.full((places, 2), most) if available is None else np.asarray(available)
    counts = np.stack([hits, totals - hits], axis=1).astype(np.float64)
    shown, not_shown = right
    expected = np.array([[shown, 1 - shown], [1 - not_shown, not_shown]])
    each = np.einsum("kj,cd->kcjd", np.eye(places), expected).reshape(2 * places, places, 2)
    for _ in range(most):
        size, known = counts.sum(), int((counts.sum(axis=1) > 0).sum())
        now = float(_contingency(counts[None])[0])
        if size < 2 or now <= (known - 1) / (size - 1):
            break
        tried = _contingency(counts + each)
        tried[(added >= limit).ravel()] = np.inf
        best = int(tried.argmin())
        if tried[best] >= now:
            break
        counts += each[best]
        added.flat[best] += 1
    return added


def _contingency(counts: Reals) -> Reals:
    """(T,) chi-square over n of tables (T, K, 2); 0 for one with an empty column."""
    size = counts.sum(axis=(1, 2))
    rows, columns = counts.sum(axis=2), counts.sum(axis=1)
    share = columns[:, 0] / size
    spread = np.divide(counts[:, :, 0] ** 2, rows, out=np.zeros_like(rows), where=rows > 0).sum(axis=1) / size
    variance = share * (1 - share)
    found: Reals = np.divide(spread - share**2, variance, out=np.zeros_like(size), where=variance > 0)
    return found
