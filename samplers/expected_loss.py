"""What a detector is expected to get wrong in a frame, by its own account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from samplers.ragged import Ragged

Reals = NDArray[np.float64]


def expected_loss(
    scores: Sequence[NDArray[Any]],
    chance: Sequence[NDArray[Any]] | None = None,
    missed: ArrayLike | None = None,
) -> Reals:
    """(N,) in 0..1: confidence that is missing on objects or put where there is none, by what there
    is to win or lose.

    A box of confidence c that is an object with probability p lacks p (1 - c) and adds (1 - p) c;
    an object that nothing was found of lacks 1. The sum is divided by the objects and the false
    confidence to be expected, so that a crowded frame is not unsure for being crowded. 0 where
    nothing is found and nothing expected.

    scores: N arrays (K,) or (K, C) of sigmoid scores; the top class counts.
    chance: N arrays (K,), p of every box, its own score when left out.
    missed: (N,) objects expected beside those that were found, >= 0.
    """
    found = _top(scores)
    confidence = found.values.astype(np.float64)
    p = confidence if chance is None else Ragged.of(chance).values.astype(np.float64)
    frame = found.row
    more = np.zeros(len(scores)) if missed is None else np.asarray(missed, dtype=np.float64)
    false = _per_frame((1 - p) * confidence, frame, len(scores))
    lost = _per_frame(p * (1 - confidence), frame, len(scores)) + more + false
    there = _per_frame(p, frame, len(scores)) + more + false
    share: Reals = np.divide(lost, there, out=np.zeros(len(scores)), where=there > 0)
    return np.clip(share, 0, 1)


def missed_objects(scores: Sequence[NDArray[Any]], neighbor_counts: ArrayLike) -> Reals:
    """(N,) objects that a frame has at least, seen from frames that look like it, where less than
    half of them was found.

    neighbor_counts: (N, k) labeled objects in the k labeled frames nearest to each.
    The least of them counts: the usual one would tell crowded frames from empty ones and little
    else.
    """
    least = np.asarray(neighbor_counts, dtype=np.float64).min(axis=1, initial=np.inf)
    least = np.where(np.isfinite(least), least, 0)
    found = _top(scores).sums()
    missed: Reals = np.where(found < least / 2, least - found, 0.0)
    return missed


def _top(scores: Sequence[NDArray[Any]]) -> Ragged:
    """(K,) of each frame: its scores, or of several classes the highest."""
    if isinstance(scores, Ragged):
        return scores.top
    return Ragged.of([boxes if boxes.ndim == 1 else boxes.max(axis=1, initial=0.0) for boxes in scores])


def _per_frame(value: Reals, frame: NDArray[np.int64], size: int) -> Reals:
    total: Reals = np.bincount(frame, weights=value, minlength=size).astype(np.float64)
    return total
