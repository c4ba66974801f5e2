"""As many frames of every class as possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samplers.engine.components import take_turns
from samplers.engine.lazy_greedy import Greedy, blocks
from samplers.pool import Ints, Pool, PoolError, Reals, Selection
from samplers.reason import ChosenFrame, Reason
from samplers.strategies.uncertainty import in_columns, relative_cost


def _why(frame: ChosenFrame) -> str:
    if frame.values["classes"] > 0:
        return "Probably shows objects that few labeled or chosen images show"
    return "The model found no object here, and no image with rarer objects is left"


CLASS_BALANCED = Reason("class_balanced", _why)


def class_balanced(pool: Pool, k: int, rng: np.random.Generator) -> Selection:
    """Greedy on sum_c sqrt(labeled frames that show class c + expected chosen ones), gain per
    second: a feature-based submodular function (Wei et al. 2014).

    A frame is expected to show a class with 1 - prod(1 - p) over its boxes, p as the detector says,
    calibrated or not. Cost: B C for B boxes of C classes, N C, and a few per cent of the frames
    again. A class that the detector never suspects gets nothing: use `targeted` or a floor. Frames
    without boxes come last, in order of the pool. Seconds divide the gain.
    """
    objective = Balance(expected_classes(pool), pool.class_counts)
    values = {"novelty": pool.novelty, "classes": objective.shown.sum(axis=1)}
    return take_turns(pool, k, [Greedy(CLASS_BALANCED, objective, relative_cost(pool))], values)


def expected_classes(pool: Pool) -> Reals:
    """(N, C) float64 0..1: the probability that a frame shows a class. Raises PoolError when C
    varies.
    """
    wide = [in_columns(boxes) for boxes in pool.scores]
    counts = {boxes.shape[1] for boxes in wide if len(boxes)}
    known = len(pool.class_counts)
    if len(counts) > 1 or (known and counts and known not in counts):
        raise PoolError(f"scores: expected one number of classes, got {sorted(counts | ({known} - {0}))}")
    return shown_classes(wide, max(counts, default=max(known, 1)))


def shown_classes(scores: Sequence[NDArray[Any]], classes: int) -> Reals:
    """(N, C) 1 - prod over boxes of 1 - p. scores: N arrays (K, C)."""
    shown = np.zeros((len(scores), classes))
    for row, boxes in enumerate(scores):
        if len(boxes):
            shown[row] = 1 - np.prod(1 - boxes.astype(np.float64), axis=0)
    return shown


class Balance:
    """The objective, as a greedy choice sees it."""

    def __init__(self, shown: Reals, labeled: Reals) -> None:
        """shown: (N, C).
        labeled: (C,) or (0,).
        """
        self.shown = shown
        self.cells = blocks(np.arange(len(shown)))
        self._have = labeled.copy() if len(labeled) else np.zeros(shown.shape[1])

    def gains(self, cell: int, rows: Ints) -> Reals:
        gained: Reals = (np.sqrt(self._have + self.shown[rows]) - np.sqrt(self._have)).sum(axis=1)
        return gained

    def cover(self, row: int) -> list[int]:
        self._have = self._have + self.shown[row]
        return list(range(len(self.cells))) if self.shown[row].any() else []
